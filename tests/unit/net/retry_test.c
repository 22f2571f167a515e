/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/retry.h"

#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/attr.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static void test_rows(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t want;
	} rows[] = {
		{"120", 120},
		{"0", 0},
		{"86400", 86400},
		{"86401", YG_RETRY_MAX_S},
		{"99999999999999999999999", YG_RETRY_MAX_S},
		{"Sun, 06 Nov 1994 08:50:37 GMT", 60},
		{"Sunday, 06-Nov-94 08:50:37 GMT", 60},
		{"Sun Nov  6 08:50:37 1994", 60},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 0}, /* now */
		{"Sat, 05 Nov 1994 08:49:37 GMT", 0},
		{"Sun, 06 Nov 2094 08:49:37 GMT", YG_RETRY_MAX_S},
		{"", 0},
		{"-5", 0},
		{"12 s", 0},
		{"soon", 0},
		{"12:", 0},
		{"Sun, 99 Nov 1994 08:49:37 GMT", 0},
		{"Sun, 06 Nov 1994 08:50:37 GMT and so on and on", 0},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		uint32_t have = yg_retry_after(rows[i].text, strlen(rows[i].text), NOW);
		if (have != rows[i].want)
			fail_msg("'%s': want %u, have %u", rows[i].text, rows[i].want, have);
	}
	assert_int_equal(yg_retry_after("12\0", 3, NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
