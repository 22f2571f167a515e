/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/json.h"

#include <string.h>

#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text;
	enum yg_code code;
} parse_rows[] = {
	{"{}", YG_OK}, {"[1,2]", YG_OK}, {"\"x\"", YG_OK}, {"", YG_EFORMAT},
	{"{\"a\":1,\"a\":2}", YG_EFORMAT}, {"{} x", YG_EFORMAT}, {"{\"a\":\"\xff\"}", YG_EFORMAT},
	{"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}",
		YG_ELIMIT}, /* 66 bytes */
};

static void parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(parse_rows); i++) {
		struct yg_err err = {0};
		json_t *root YG_AUTO(yg_json) = NULL;
		int r = yg_json_parse(yg_bytes_of(parse_rows[i].text), 64, &root, &err);
		assert_int_equal(err.code, parse_rows[i].code);
		assert_int_equal(r == 0, root != NULL);
	}
}

static void depth(void **state)
{
	(void)state;
	for (int levels = YG_JSON_DEPTH_MAX - 1; levels <= YG_JSON_DEPTH_MAX + 1; levels++) {
		char text[2 * (YG_JSON_DEPTH_MAX + 2) + 1];
		memset(text, '[', (size_t)levels);
		memset(text + levels, ']', (size_t)levels);
		text[2 * levels] = 0;
		struct yg_err err = {0};
		json_t *root YG_AUTO(yg_json) = NULL;
		int r = yg_json_parse(yg_bytes_of(text), sizeof(text), &root, &err);
		assert_int_equal(r, levels <= YG_JSON_DEPTH_MAX ? 0 : -1);
		if (r < 0)
			assert_string_equal(err.msg, "JSON: more than 64 levels");
	}
}

static void members(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *o YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of(
					       "{\"s\":\"text\",\"n\":7,\"b\":true,\"a\":[1,2,3],"
					       "\"o\":{},\"z\":null}"),
				 1000, &o, &err),
		0);
	const char *s = NULL;
	int64_t n = 0;
	bool b = false;
	json_t *v = NULL;
	assert_int_equal(yg_json_str(o, "s", 4, &s, &err), 0);
	assert_int_equal(yg_json_str(o, "s", 3, &s, &err), -1);
	assert_string_equal(err.msg, "s: want <= 3 bytes, have 4");
	assert_int_equal(yg_json_str(o, "n", 3, &s, &err), -1);
	assert_string_equal(err.msg, "n: want a string, have a whole number");
	assert_int_equal(yg_json_str(o, "gone", 3, &s, &err), -1);
	assert_string_equal(err.msg, "gone: want a string, have nothing");
	assert_int_equal(yg_json_int(o, "n", 0, 6, &n, &err), -1);
	assert_string_equal(err.msg, "n: want 0..6, have 7");
	assert_int_equal(yg_json_int(o, "n", 0, 7, &n, &err), 0);
	assert_int_equal(yg_json_bool(o, "b", &b, &err), 0);
	assert_int_equal(yg_json_array(o, "a", 2, &v, &err), -1);
	assert_string_equal(err.msg, "a: want <= 2 items, have 3");
	assert_int_equal(yg_json_object(o, "a", &v, &err), -1);
	assert_string_equal(err.msg, "a: want an object, have an array");
	assert_int_equal(yg_json_int_or(o, "z", 0, 9, 5, &n, &err), 0);
	assert_int_equal(n, 5);
	assert_int_equal(yg_json_int_or(o, "s", 0, 9, 5, &n, &err), -1);
	assert_int_equal(yg_json_bool_or(o, "gone", true, &b, &err), 0);
	assert_true(b);
}

static void one_value_one_text(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *o YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of("{ \"b\" : 1, \"a\" : [ true ] }"), 100, &o,
				 &err),
		0);
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(100);
	assert_int_equal(yg_json_dump(o, &out, &err), 0);
	assert_int_equal(out.len, strlen("{\"a\":[true],\"b\":1}"));
	assert_memory_equal(out.data, "{\"a\":[true],\"b\":1}", out.len);
	struct yg_buf small YG_AUTO(yg_buf) = YG_BUF(5);
	assert_int_equal(yg_json_dump(o, &small, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(depth),
		cmocka_unit_test(members),
		cmocka_unit_test(one_value_one_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
