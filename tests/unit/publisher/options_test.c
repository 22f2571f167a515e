/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

#define WORDS_MAX 12

static struct command command; /* its lists are long */

static int parse(const char *const *words, const struct verb_row **row, const char **asked,
	struct yg_err *err)
{
	char *argv[WORDS_MAX + 1] = {0};
	int argc = 0;
	argv[argc++] = strdup("yagura-publish");
	for (; words[argc - 1]; argc++)
		argv[argc] = strdup(words[argc - 1]);
	options_preset(&command);
	int bad = options_parse(argc, argv, &command, row, asked, err);
	static char *kept[WORDS_MAX + 1]; /* the command points into them */
	for (size_t i = 0; i <= WORDS_MAX; i++) {
		free(kept[i]);
		kept[i] = argv[i];
	}
	return bad;
}

static void fine(void **state)
{
	(void)state;
	const struct verb_row *row = NULL;
	const char *asked = NULL;
	struct yg_err err = {0};
	/* Options before the command, between operands, behind them, joined and not. */
	static const char *const words[] = {"--level=3", "release", "--from", "a", "repo",
		"--from=b", "am-yara", "--now", "2026-11-21T00:00:00Z", "--json", NULL};
	assert_int_equal(parse(words, &row, &asked, &err), 0);
	assert_null(asked);
	assert_string_equal(row->name, "release");
	assert_string_equal(command.repo, "repo");
	assert_string_equal(command.component, "am-yara");
	assert_int_equal(command.level, 3);
	assert_int_equal(command.from_count, 2);
	assert_string_equal(command.from[1], "b");
	assert_int_equal(command.now, 1795219200);
	assert_true(command.json);
	/* What begins with "-" is an operand behind "--". */
	static const char *const dashes[] = {"show", "--", "--repo", NULL};
	assert_int_equal(parse(dashes, &row, &asked, &err), 0);
	assert_string_equal(command.repo, "--repo");
	static const char *const kind[] = {"init", "r", "--key-type", "rsa", NULL};
	assert_int_equal(parse(kind, &row, &asked, &err), 0);
	assert_int_equal(command.key_type, YG_KEY_RSA_PSS);
}

static void asked_for(void **state)
{
	(void)state;
	static const struct {
		const char *words[4];
		const char *asked, *verb;
	} cases[] = {
		{{"--help"}, "help", NULL},
		{{"-h"}, "help", NULL},
		{{"release", "--help"}, "help", "release"},
		{{"--help", "release"}, "help", "release"},
		{{"--version"}, "version", NULL},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		const struct verb_row *row = NULL;
		const char *asked = NULL;
		struct yg_err err = {0};
		assert_int_equal(parse(cases[i].words, &row, &asked, &err), 0);
		assert_string_equal(asked, cases[i].asked);
		assert_string_equal(row ? row->name : "", cases[i].verb ? cases[i].verb : "");
	}
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *words[6];
		const char *en, *ja;
	} cases[] = {
		{{0}, "want a command", "コマンドを指定してください"},
		{{"publish"}, "'publish': no such command", "'publish': 不明なコマンドです"},
		{{"show", "r", "--frob"}, "--frob: no such option", "--frob: 不明なオプションです"},
		{{"show", "r", "--json=1"}, "--json: want no value, have one",
			"--json: 値は指定できません"},
		{{"release", "r", "am-hash", "--from"}, "--from: want a value, have none",
			"--from: 値を指定してください"},
		{{"show", "r", "--from", "x"}, "--from: not an option of show",
			"--from: show では使用できません"},
		{{"release", "r", "am-hash", "--level", "0"},
			"--level: want a number, 1 to 19, have '0'",
			"--level: 1～19 の数を指定してください ('0' は使用できません)"},
		{{"release", "r", "am-hash", "--level", "9x"},
			"--level: want a number, 1 to 19, have '9x'",
			"--level: 1～19 の数を指定してください ('9x' は使用できません)"},
		{{"init", "r", "--key-type", "dsa"},
			"--key-type: want ed25519|ecdsa|rsa, have 'dsa'",
			"--key-type: ed25519|ecdsa|rsa のいずれかを指定してください ('dsa' は使用できません)"},
		{{"resign", "r", "--now", "today"},
			"--now: want a time like 2026-11-21T00:00:00Z, have 'today'",
			"--now: 2026-11-21T00:00:00Z の形式で指定してください ('today' は使用できません)"},
		{{"init", "a", "b"}, "init: want REPO, have 2 operands",
			"init: 引数は REPO です (2 個指定されました)"},
		{{"trust", "r"}, "trust: want --out", "trust: --out を指定してください"},
		{{"init", "r", "--root-keys=2", "--threshold=3"},
			"--threshold: want <= --root-keys 2, have 3",
			"--threshold: --root-keys の 2 以下にしてください (現在 3)"},
		{{"release", "r", "c", "--abi-min=9", "--abi-max=8"},
			"--abi-min: want <= --abi-max 8, have 9",
			"--abi-min: --abi-max の 8 以下にしてください (現在 9)"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
			const struct verb_row *row = NULL;
			const char *asked = NULL, *words[9] = {0};
			struct yg_err err = {0};
			memcpy(words, cases[i].words, sizeof(cases[i].words));
			size_t n = 0;
			while (words[n])
				n++;
			assert_int_equal(setenv("LC_ALL", lang == YG_LANG_JA ? "ja_JP.UTF-8" : "C",
						 1),
				0);
			assert_int_equal(parse(words, &row, &asked, &err), -1);
			assert_string_equal(err.msg,
				lang == YG_LANG_JA ? cases[i].ja : cases[i].en);
		}
	}
}

/* Of the environment and of --lang, wherever it stands, also for errors. */
static void languages(void **state)
{
	(void)state;
	static const char *const words[] = {"show", "r", "--frob", "--lang", "ja", NULL};
	const struct verb_row *row = NULL;
	const char *asked = NULL;
	struct yg_err err = {0};
	assert_int_equal(setenv("LC_ALL", "C", 1), 0);
	assert_int_equal(parse(words, &row, &asked, &err), -1);
	assert_string_equal(err.msg, "--frob: 不明なオプションです");
	assert_int_equal(command.lang, YG_LANG_JA);
}

/* Every text is there in both languages, and every option belongs to a command or to all. */
static void tables(void **state)
{
	(void)state;
	for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
		json_t *all YG_AUTO(yg_json) = options_json((enum yg_lang)lang);
		const json_t *commands = json_object_get(all, "commands");
		assert_true(json_array_size(commands) >= 6);
		assert_true(json_array_size(json_object_get(all, "options")) == 3);
		for (size_t i = 0; i < json_array_size(commands); i++) {
			const json_t *one = json_array_get(commands, i);
			const json_t *list = json_object_get(one, "options");
			assert_non_null(json_string_value(json_object_get(one, "help")));
			for (size_t k = 0; k < json_array_size(list); k++) {
				const json_t *option = json_array_get(list, k);
				const char *help = json_string_value(
					json_object_get(option, "help"));
				assert_true(help && *help);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fine),
		cmocka_unit_test(asked_for),
		cmocka_unit_test(refused),
		cmocka_unit_test(languages),
		cmocka_unit_test(tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
