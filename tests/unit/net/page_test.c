/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/page.h"

#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/str.h"

#define LONG "ながい題名ながい題名ながい題名ながい題名ながい題名ながい題名ながい題名"

static void test_titles(void **state)
{
	(void)state;
	static const struct {
		const char *html, *want;
	} rows[] = {
		{"<html><title>Access denied</title>", "Access denied"},
		{"<TITLE lang=en>\n Access \t denied\r\n</TITLE>", "Access denied"},
		{"<title>a &lt;b&gt; &amp;amp; &quot;c&#39;&nbsp;d &unknown;</title>",
			"a <b> &amp; \"c' d &unknown;"},
		{"<title>アクセスがブロックされました</title>", "アクセスがブロックされました"},
		{"<title>a\x1b[31mb\x7f"
		 "c\xc2\x9b"
		 "d\xff\xfe</title>",
			"a [31mb c?d??"},
		{"<title>cut off", "cut off"},
		{"<title></title>", ""},
		{"<title>  </title>", ""},
		{"<title", ""},
		{"no title", ""},
		{"", ""},
		{"<title>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</title>",
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"},
		{"<title>" LONG "</title>",
			"ながい題名ながい題名ながい題名ながい題名ながい題名ながい題名なが…"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char title[YG_PAGE_TITLE];
		bool found = yg_page_title(yg_bytes_of(rows[i].html), title);
		assert_string_equal(title, rows[i].want);
		assert_int_equal(found, rows[i].want[0] != 0);
		assert_true(yg_str_utf8_ok(title, strlen(title)));
	}
}

static void test_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool page, maintenance, busy;
	} rows[] = {
		{"<!DOCTYPE html><p>", true, false, false},
		{"\xef\xbb\xbf \r\n<HTML>", true, false, false},
		{"<head>Scheduled Maintenance", true, true, false},
		{"{\"signed\":{}}", false, false, false},
		{"text about <html>", false, false, false},
		{"\0<html>", false, false, false},
		{"", false, false, false},
		{"<html>ただいまメンテナンス中です", true, true, false},
		{"<html>ただいま混み合っております", true, false, true},
		{"Service is under maintainence", false, true, false},
		{"Server too BUSY", false, false, true},
		{"{\"error\":{\"code\":\"unavailable\"}}", false, false, true},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_bytes text = yg_bytes_of(rows[i].text);
		if (yg_page_is(text) != rows[i].page ||
			yg_page_says_maintenance(text) != rows[i].maintenance ||
			yg_page_says_busy(text) != rows[i].busy)
			fail_msg("row %zu: %s", i, rows[i].text);
	}
	assert_false(yg_page_is((struct yg_bytes){(const uint8_t *)"\0<html>", 7}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_titles),
		cmocka_unit_test(test_kinds)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
