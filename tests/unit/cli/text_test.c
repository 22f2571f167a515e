/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text;
	size_t width;
} width_rows[] = {
	{"", 0}, {"abc", 3}, {"日本語", 6}, {"Relay Webサーバ", 15},
	{"ｱｲｳ", 3},                                             /* half-width katakana */
	{"ＡＢ", 4},                                            /* full-width Latin */
	{"。、「」", 8}, {"한글", 4}, {"é", 1}, {"e\u0301", 1}, /* combining */
	{"か\u3099", 2},                                        /* combining voiced mark */
	{"1 → 2", 5}, {"🔥", 2}, {"𠮷", 2},                      /* beyond the basic plane */
	{"a\xff"
	 "b",
		3},      /* a broken byte is one column */
	{"\xe3\x81", 1}, /* cut short */
};

static void widths(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(width_rows); i++)
		if (text_width(width_rows[i].text) != width_rows[i].width)
			fail_msg("'%s': want %zu, have %zu", width_rows[i].text,
				width_rows[i].width, text_width(width_rows[i].text));
}

static char *printed(const struct text_table *table)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	text_table_print(table, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void tables(void **state)
{
	(void)state;
	struct text_table *table YG_AUTO(text_table) = text_table_new(3);
	text_table_add(table, "名前");
	text_table_add(table, "State");
	text_table_add(table, "ID");
	text_table_add(table, "web1");
	text_table_add(table, "保護されている");
	text_table_addf(table, "%d", 7);
	text_table_add(table, "a\x1b[31m\nb");
	text_table_add(table, NULL);
	text_table_add(table,
		"\xc2\x9b"
		"x");
	char *text YG_AUTO(mem) = printed(table);
	assert_string_equal(text,
		"名前      State           ID\n"
		"web1      保護されている  7\n"
		"a?[31m?b  -               ??x\n");
}

static const struct {
	const char *json, *en, *ja;
} value_rows[] = {
	{"null", "-", "-"},
	{"\"\"", "-", "-"},
	{"\"text\"", "text", "text"},
	{"true", "yes", "はい"},
	{"false", "no", "いいえ"},
	{"42", "42", "42"},
	{"[]", "-", "-"},
	{"[\"a\",\"b\"]", "a, b", "a, b"},
	{"[{\"name\":\"am-pattern\",\"version\":2}]", "am-pattern 2", "am-pattern 2"},
	{"{\"id\":\"7\",\"name\":\"web1\"}", "web1", "web1"},
	{"{\"b\":1,\"a\":2}", "b 1, a 2", "b 1, a 2"},
	{"{\"b\":1,\"a\":\"x\"}", "{\"a\":\"x\",\"b\":1}", "{\"a\":\"x\",\"b\":1}"},
	{"{}", "-", "-"},
};

static void values(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(value_rows); i++) {
		struct yg_err err = {0};
		json_t *value YG_AUTO(yg_json) = NULL;
		assert_int_equal(yg_json_parse(yg_bytes_of(value_rows[i].json), 1000, &value, &err),
			0);
		char *en YG_AUTO(mem) = text_value(value, YG_LANG_EN);
		char *ja YG_AUTO(mem) = text_value(value, YG_LANG_JA);
		assert_string_equal(en, value_rows[i].en);
		assert_string_equal(ja, value_rows[i].ja);
	}
}

static const struct {
	json_int_t bytes;
	enum yg_lang lang;
	const char *text;
} bytes_rows[] = {
	{0, YG_LANG_EN, "0 bytes"},
	{0, YG_LANG_JA, "0バイト"},
	{1023, YG_LANG_EN, "1023 bytes"},
	{1024, YG_LANG_EN, "1.0 KiB"},
	{1536, YG_LANG_JA, "1.5 KiB"},
	{1048576, YG_LANG_EN, "1.0 MiB"},
	{5368709120, YG_LANG_EN, "5.0 GiB"},
};

static void bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(bytes_rows); i++) {
		char *text YG_AUTO(mem) = text_bytes(bytes_rows[i].bytes, bytes_rows[i].lang);
		assert_string_equal(text, bytes_rows[i].text);
	}
}

/* Short cells stay; of the long ones the longest is cut first, between characters. */
static const struct {
	size_t width;
	const char *cells[3], *want[3];
} fit_rows[] = {
	{80, {"a", "b", "c"}, {"a", "b", "c"}},
	{40, {"11111111-2222-4333-8444-555555555555", "x", "1234567890123456789012345678901234567"},
		{"11111111-2222-4333-8444-555555555555", "x", "1234567890123456789…"}},
	{50,
		{"id", "1234567890123456789012345678901234567",
			"1234567890123456789012345678901234567890"},
		{"id", "123456789012345678901…", "123456789012345678901…"}},
	{43, {"日本", "x", "あいうえおかきくけこさしすせそたちつてと"},
		{"日本", "x", "あいうえおかきくけこさしすせそた…"}},
	{45, {"日本", "x", "あいうえおかきくけこさしすせそたちつてと"},
		{"日本", "x", "あいうえおかきくけこさしすせそたち…"}},
};

static void fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(fit_rows); i++) {
		struct text_table *table YG_AUTO(text_table) = text_table_new(3);
		char want[512];
		for (size_t k = 0; k < 3; k++)
			text_table_add(table, fit_rows[i].cells[k]);
		text_table_fit(table, fit_rows[i].width);
		(void)snprintf(want, sizeof(want), "%s  %s  %s\n", fit_rows[i].want[0],
			fit_rows[i].want[1], fit_rows[i].want[2]);
		char *have YG_AUTO(mem) = printed(table);
		assert_string_equal(have, want);
	}
	assert_int_equal(text_terminal(stdin), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),
		cmocka_unit_test(tables),
		cmocka_unit_test(fits),
		cmocka_unit_test(values),
		cmocka_unit_test(bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
