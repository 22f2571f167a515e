/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/clock.h"

#include <string.h>

#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text;
	int64_t s; /* -1: refused */
} rows[] = {
	{"1970-01-01T00:00:00Z", 0},
	{"2026-11-21T22:47:43Z", 1795301263},
	{"2038-01-19T03:14:08Z", 2147483648},
	{"2026-02-30T00:00:00Z", -1},
	{"2026-11-21T22:47:43", -1},
	{"2026-11-21 22:47:43Z", -1},
	{"2026-11-21T22:47:43+", -1},
	{"", -1},
};

static void there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		int64_t s = -1;
		assert_int_equal(yg_clock_parse(rows[i].text, &s, &err), rows[i].s < 0 ? -1 : 0);
		assert_int_equal(s, rows[i].s);
		if (s < 0)
			continue;
		char text[YG_CLOCK_TEXT];
		yg_clock_format(s, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
