/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_suffix.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

static uint32_t seed = 1;

static uint32_t any(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Whether the suffix at a is smaller than the one at b. */
static int before(const uint8_t *text, size_t len, size_t a, size_t b)
{
	size_t most = len - (a > b ? a : b);
	int order = memcmp(text + a, text + b, most);
	return order < 0 || (order == 0 && a > b);
}

static void check(const uint8_t *text, size_t len)
{
	struct yg_err err = {0};
	int32_t *order YG_AUTO(mem) = NULL;
	bool *seen YG_AUTO(mem) = calloc(len + 1, sizeof(*seen));
	assert_non_null(seen);
	assert_int_equal(yg_delta_suffix_sort((struct yg_bytes){text, len}, &order, &err), 0);
	for (size_t i = 0; i < len; i++) {
		assert_in_range(order[i], 0, len - 1);
		assert_false(seen[order[i]]);
		seen[order[i]] = true;
		if (i > 0)
			assert_true(before(text, len, (size_t)order[i - 1], (size_t)order[i]));
	}
}

/* Every text of 1..10 letters of two and 1..7 of three; many longer ones of few letters. */
static void sorted(void **state)
{
	(void)state;
	uint8_t text[3000] = {0};
	check(text, 0);
	for (unsigned letters = 2; letters <= 3; letters++) {
		for (size_t len = 1; len <= (letters == 2 ? 10u : 7u); len++) {
			unsigned all = 1;
			for (size_t i = 0; i < len; i++)
				all *= letters;
			for (unsigned n = 0; n < all; n++) {
				for (size_t i = 0, left = n; i < len; i++, left /= letters)
					text[i] = (uint8_t)(left % letters + 254 - letters);
				check(text, len);
			}
		}
	}
	for (unsigned n = 0; n < 200; n++) {
		size_t len = any() % sizeof(text), letters = 1 + any() % (n % 2 ? 255 : 3);
		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t)(any() % letters);
		check(text, len);
	}
}

static void periods(void **state)
{
	(void)state;
	uint8_t text[2000];
	for (size_t period = 1; period < 40; period++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)(i % period);
		check(text, sizeof(text));
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)(255 - i % period);
		check(text, sizeof(text));
	}
}

/* The longest beginning, found by trying all. */
static size_t longest(struct yg_bytes text, struct yg_bytes wanted)
{
	size_t best = 0;
	for (size_t at = 0; at < text.len; at++) {
		size_t n = 0;
		while (n < wanted.len && at + n < text.len && text.ptr[at + n] == wanted.ptr[n])
			n++;
		best = n > best ? n : best;
	}
	return best;
}

static void found(void **state)
{
	(void)state;
	uint8_t text[600], wanted[100];
	for (unsigned n = 0; n < 400; n++) {
		struct yg_err err = {0};
		struct yg_bytes in = {text, any() % sizeof(text)},
				what = {wanted, any() % sizeof(wanted)};
		unsigned letters = 1 + any() % 4;
		int32_t *order YG_AUTO(mem) = NULL;
		size_t at;
		uint64_t work = 0;
		for (size_t i = 0; i < in.len; i++)
			text[i] = (uint8_t)(any() % letters);
		for (size_t i = 0; i < what.len; i++)
			wanted[i] = (uint8_t)(any() % letters);
		assert_int_equal(yg_delta_suffix_sort(in, &order, &err), 0);
		size_t len = yg_delta_suffix_find(in, order, what, &at, &work);
		assert_int_equal(len, longest(in, what));
		assert_true(at + len <= in.len);
		if (len > 0)
			assert_memory_equal(text + at, wanted, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorted),
		cmocka_unit_test(periods),
		cmocka_unit_test(found),
	};
	return cmocka_run_group_tests_name("content/delta_suffix", tests, NULL, NULL);
}
