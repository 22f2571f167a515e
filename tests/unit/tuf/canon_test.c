/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/canon.h"

#include "core/attr.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text, *want, *error;
} rows[] = {
	{"{}", "{}", NULL},
	{" { \"b\" : [ 1 , -2 ], \"a\" : null }", "{\"a\":null,\"b\":[1,-2]}", NULL},
	{"{\"B\":true,\"a\":false,\"A\":0}", "{\"A\":0,\"B\":true,\"a\":false}", NULL},
	/* Only two characters are escaped; a line feed and UTF-8 stand as they are. */
	{"\"q\\\"b\\\\s\\/n\\n\\u00e9\"", "\"q\\\"b\\\\s/n\n\xc3\xa9\"", NULL},
	/* By bytes, which is by code point: U+FFFF comes before U+10000. */
	{"{\"\\ud800\\udc00\":1,\"\\uffff\":2}", "{\"\xef\xbf\xbf\":2,\"\xf0\x90\x80\x80\":1}",
		NULL},
	{"9223372036854775807", "9223372036854775807", NULL},
	{"[1.5]", NULL, "canonical JSON: want whole numbers, have 1.5"},
	{"{\"a\":1e2}", NULL, "canonical JSON: want whole numbers, have 100"},
};

static void canonical(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *value YG_AUTO(yg_json) = NULL;
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
		assert_int_equal(yg_json_parse(yg_bytes_of(rows[i].text), 4096, &value, &err), 0);
		assert_int_equal(yg_canon(value, &out, &err), rows[i].error ? -1 : 0);
		assert_string_equal(err.msg, rows[i].error ? rows[i].error : "");
		if (!rows[i].error) {
			assert_int_equal(out.len, strlen(rows[i].want));
			assert_memory_equal(out.data, rows[i].want, out.len);
		}
	}
}

static void limit(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *value YG_AUTO(yg_json) = json_pack("{s:s}", "name", "some text");
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(8);
	assert_int_equal(yg_canon(value, &out, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(canonical), cmocka_unit_test(limit)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
