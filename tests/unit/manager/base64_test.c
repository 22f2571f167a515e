/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/base64.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

/* source  RFC 4648, 10 */
static const struct {
	const char *plain;
	const char *text;
} rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

static void there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char *text YG_AUTO(mem) = base64_encode(yg_bytes_of(rows[i].plain));
		assert_string_equal(text, rows[i].text);
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_err err = {0};
		assert_int_equal(base64_decode(text, &out, &err), 0);
		assert_int_equal(out.len, strlen(rows[i].plain));
		if (out.len)
			assert_memory_equal(out.data, rows[i].plain, out.len);
	}
}

static const struct {
	const char *text;
	const char *msg;
} wrong[] = {
	{"Zg=", "base64: want groups of 4 characters, have 3"},
	{"Z*==", "base64: character 2 is none of it"},
	{"Zg==Zg==", "base64: character 3 is none of it"},
	{"====", "base64: character 1 is none of it"},
	{"Zm9v\nZm", "base64: want groups of 4 characters, have 7"},
};

static void says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(wrong); i++) {
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_err err = {0};
		assert_int_equal(base64_decode(wrong[i].text, &out, &err), -1);
		assert_string_equal(err.msg, wrong[i].msg);
		assert_int_equal(out.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(says_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
