/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/str.h"

#include <string.h>

#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text;
	uint64_t max, want;
	const char *error; /* NULL: accepted */
} number_rows[] = {
	{"0", 10, 0, NULL},
	{"10", 10, 10, NULL},
	{"00018446744073709551615", UINT64_MAX, UINT64_MAX, NULL},
	{"11", 10, 0, "want <= 10, have 11"},
	{"9", 5, 0, "want <= 5, have 9"},
	{"18446744073709551616", UINT64_MAX, 0,
		"want <= 18446744073709551615, have 18446744073709551616"},
	{"", 10, 0, "want digits, have nothing"},
	{"-1", 10, 0, "want digits, have '-1'"},
	{" 1", 10, 0, "want digits, have ' 1'"},
	{"1x", 10, 0, "want digits, have '1x'"},
};

static void numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(number_rows); i++) {
		struct yg_err err = {0};
		uint64_t n = 77;
		int r = yg_str_u64(number_rows[i].text, number_rows[i].max, &n, &err);
		assert_int_equal(r, number_rows[i].error ? -1 : 0);
		assert_string_equal(err.msg, number_rows[i].error ? number_rows[i].error : "");
		assert_true(n == (number_rows[i].error ? 77 : number_rows[i].want));
	}
}

static void hex(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint8_t bytes[3] = {0x00, 0xa5, 0xff}, back[3];
	char text[7];
	yg_str_hex(bytes, 3, text);
	assert_string_equal(text, "00a5ff");
	assert_int_equal(yg_str_unhex("id", text, back, 3, &err), 0);
	assert_memory_equal(bytes, back, 3);
	assert_int_equal(yg_str_unhex("id", "00a5f", back, 3, &err), -1);
	assert_string_equal(err.msg, "id: want 6 digits, have 5");
	assert_int_equal(yg_str_unhex("id", "00A5ff", back, 3, &err), -1);
	assert_string_equal(err.msg, "id: not lower-case hex at digit 2");
}

static const struct {
	const char *path;
	bool ok;
} path_rows[] = {
	{"a", true}, {"daily.hsb", true}, {"samples/find/yagura-1", true}, {"", false},
	{"/a", false}, {"a/", false}, {"a//b", false}, {"..", false}, {"a/../b", false},
	{"a/.hidden", false}, {"a b", false}, {"a\\b", false}, {"caf\xc3\xa9", false},
	{"0123456789012345678901234567890123", false}, /* longer than the 32 allowed here */
};

static void paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(path_rows); i++)
		assert_int_equal(yg_str_path_ok(path_rows[i].path, 32), path_rows[i].ok);
}

/* source  RFC 3629, section 3 and its lists of what must be refused */
static const struct {
	const char *text;
	bool ok;
} utf8_rows[] = {
	{"", true},
	{"abc", true},
	{"\xe6\xab\x93", true},      /* U+6AD3 */
	{"\xf0\x9f\x8f\xaf", true},  /* U+1F3EF */
	{"\xc3", false},             /* cut */
	{"\xe6\xab", false},         /* cut */
	{"\x80", false},             /* continuation alone */
	{"\xc0\x80", false},         /* overlong NUL */
	{"\xe0\x9f\xbf", false},     /* overlong */
	{"\xf0\x8f\xbf\xbf", false}, /* overlong */
	{"\xed\xa0\x80", false},     /* surrogate */
	{"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
	{"\xff", false},
};

static void utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(utf8_rows); i++)
		assert_int_equal(yg_str_utf8_ok(utf8_rows[i].text, strlen(utf8_rows[i].text)),
			utf8_rows[i].ok);
	assert_false(yg_str_utf8_ok("a\0b", 3));
}

static void put_and_add(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char small[4];
	assert_true(yg_str_put(small, sizeof(small), "%d", 123));
	assert_false(yg_str_put(small, sizeof(small), "%d", 1234));
	assert_string_equal(small, "");
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(5);
	assert_int_equal(yg_str_addf(&buf, &err, "%s-%d", "ab", 12), 0);
	assert_memory_equal(buf.data, "ab-12", 5);
	assert_int_equal(yg_str_addf(&buf, &err, "x"), -1);
	assert_int_equal(err.code, YG_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(hex),
		cmocka_unit_test(paths),
		cmocka_unit_test(utf8),
		cmocka_unit_test(put_and_add),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
