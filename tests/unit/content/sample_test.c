/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/sample.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

static void round_trip(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint8_t *plain = malloc(10000);
	assert_non_null(plain);
	for (size_t i = 0; i < 10000; i++)
		plain[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= 10000; len += 2500) {
		struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(20000);
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(20000);
		assert_int_equal(yg_sample_encode((struct yg_bytes){plain, len}, &stored, &err), 0);
		assert_int_equal(stored.len, len + 8);
		assert_memory_equal(stored.data, "YGSAMPLE", 8);
		assert_int_equal(yg_sample_decode(yg_buf_bytes(&stored), &out, &err), 0);
		assert_int_equal(out.len, len);
		if (len > 0)
			assert_memory_equal(out.data, plain, len);
	}
	free(plain);
}

static void known_bytes(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(64);
	assert_int_equal(yg_sample_encode(yg_bytes_of("A\x5a"), &stored, &err), 0);
	assert_int_equal(stored.len, 10);
	assert_memory_equal(stored.data, "YGSAMPLE\xe4\xff", 10);
}

static void refusals(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "YGSAMPL", "ygsample....", "XGSAMPLE"};
	for (size_t i = 0; i < 4; i++) {
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(64);
		assert_int_equal(yg_sample_decode(yg_bytes_of(bad[i]), &out, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
		assert_string_equal(err.msg, "sample: want 8 bytes 'YGSAMPLE' first");
	}
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(64);
	const struct yg_bytes huge = {(const uint8_t *)"", YG_SAMPLE_SIZE_MAX + 1};
	assert_int_equal(yg_sample_encode(huge, &out, &err), -1);
	assert_string_equal(err.msg, "sample: want <= 16777216 bytes, have 16777217");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(known_bytes),
		cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
