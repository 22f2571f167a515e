/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/range.h"

#include "../../lib/cmocka_all.h"
#include "core/attr.h"

static void test_range(void **state)
{
	(void)state;
	const struct {
		const char *header;
		uint64_t size;
		enum yg_range want;
		uint64_t first, last;
	} cases[] = {
		{"bytes=0-9", 100, YG_RANGE_PART, 0, 9},
		{"bytes=90-", 100, YG_RANGE_PART, 90, 99},
		{"bytes=90-200", 100, YG_RANGE_PART, 90, 99},
		{"Bytes=99-99", 100, YG_RANGE_PART, 99, 99},
		{"bytes=-10", 100, YG_RANGE_PART, 90, 99},
		{"bytes=-200", 100, YG_RANGE_PART, 0, 99},
		{"bytes=0-99999999999999999999999", 100, YG_RANGE_PART, 0, 99},
		{"bytes=0-18446744073709551615", 18446744073709551615u, YG_RANGE_PART, 0,
			18446744073709551614u},
		{"bytes=100-", 100, YG_RANGE_BEYOND, 0, 0},
		{"bytes=99999999999999999999-", 100, YG_RANGE_BEYOND, 0, 0},
		{"bytes=0-", 0, YG_RANGE_BEYOND, 0, 0},
		{"bytes=-0", 100, YG_RANGE_BEYOND, 0, 0},
		{"bytes=-5", 0, YG_RANGE_BEYOND, 0, 0},
		{"bytes=9-0", 100, YG_RANGE_NONE, 0, 0},
		{"bytes=0-9,20-29", 100, YG_RANGE_NONE, 0, 0},
		{"bytes=", 100, YG_RANGE_NONE, 0, 0},
		{"bytes=-", 100, YG_RANGE_NONE, 0, 0},
		{"bytes=a-b", 100, YG_RANGE_NONE, 0, 0},
		{"bytes= 0-9", 100, YG_RANGE_NONE, 0, 0},
		{"lines=0-9", 100, YG_RANGE_NONE, 0, 0},
		{"", 100, YG_RANGE_NONE, 0, 0},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		uint64_t first = 0, last = 0;
		enum yg_range have = yg_range_parse(cases[i].header, cases[i].size, &first, &last);
		if (have != cases[i].want || first != cases[i].first || last != cases[i].last)
			fail_msg("'%s' of %llu: have %u %llu-%llu", cases[i].header,
				(unsigned long long)cases[i].size, have, (unsigned long long)first,
				(unsigned long long)last);
	}
}

static void test_etag(void **state)
{
	(void)state;
	const struct {
		const char *header;
		bool want;
	} cases[] = {
		{"\"abc\"", true},
		{"W/\"abc\"", true},
		{"*", true},
		{"\"x\", \"abc\"", true},
		{"\"x\",W/\"abc\" , \"y\"", true},
		{"\"a,b\", \"abc\"", true},
		{"\"ab\"", false},
		{"\"abcd\"", false},
		{"abc", false},
		{"\"abc", false},
		{"x, *", false},
		{"", false},
		{",,,", false},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++)
		if (yg_range_etag_match(cases[i].header, "\"abc\"") != cases[i].want)
			fail_msg("'%s': want %d", cases[i].header, cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_etag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
