/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/say.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static void shown(const char *json, enum yg_lang lang, const char *want)
{
	struct yg_err err = {0};
	json_t *value YG_AUTO(yg_json) = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_int_equal(yg_json_parse(yg_bytes_of(json), 4096, &value, &err), 0);
	say_result(value, lang, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, want);
	free(text);
}

static void results(void **state)
{
	(void)state;
	static const struct {
		const char *json, *en, *ja;
	} cases[] = {
		{"{\"repository\":\"r\",\"root_keys\":3,\"complete\":false}",
			"repository: r\nroot keys: 3\ncomplete: no\n",
			"リポジトリ: r\nルート鍵の数: 3\n署名完了: いいえ\n"},
		{"{\"roles\":[\"am\",\"li\"],\"version\":2}",
			"  roles: am\n  roles: li\nversion: 2\n",
			"  ロール: am\n  ロール: li\nバージョン: 2\n"},
		{"{\"changes\":[{\"change\":\"key added\",\"role\":\"root\"}],\"version\":2}",
			"version: 2\n\nchanges:\n\nchange: key added\nrole: root\n",
			"バージョン: 2\n\n変更点:\n\n変更: 鍵の追加\nロール: root\n"},
		{"{\"never_heard_of\":1,\"keys\":[]}", "never heard of: 1\n",
			"never heard of: 1\n"},
		{"{\"description\":\"a\\u001b[2Jb\\u009bc\"}", "description: a?[2Jb?c\n",
			"説明: a?[2Jb?c\n"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		shown(cases[i].json, YG_LANG_EN, cases[i].en);
		shown(cases[i].json, YG_LANG_JA, cases[i].ja);
	}
}

/* Sorted, each once, both languages. */
static void table(void **state)
{
	(void)state;
	const char *before = "", *en = NULL, *ja = NULL;
	for (size_t i = 0;; i++) {
		const char *name = say_row(i, &en, &ja);
		if (!name)
			break;
		assert_true(strcmp(before, name) < 0);
		assert_true(*en && *ja);
		before = name;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
