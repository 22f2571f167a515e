/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/args.h"

#include <string.h>

#include "cli/cli.h"
#include "core/attr.h"
#include "tests/lib/cmocka_all.h"

#define WORDS 10

static const struct {
	const char *argv[WORDS]; /* behind the program's name; ends with NULL */
	const char *command;     /* NULL: none, or refused */
	const char *words;       /* arguments, with spaces */
	const char *msg;
} rows[] = {
	{{NULL}, NULL, "", ""},
	{{"status"}, "status", "", ""},
	{{"--json", "status"}, "status", "", ""},
	{{"agent", "status", "--root", "/x"}, "agent status", "", ""},
	{{"--root", "/x", "agent", "--json", "scan", "a", "b"}, "agent scan", "a b", ""},
	{{"agent", "scan", "--", "--json"}, "agent scan", "--json", ""},
	{{"agent", "scan", "-"}, "agent scan", "-", ""},
	{{"computers"}, "computers", "", ""},
	{{"computers", "web1"}, "computers", "web1", ""},
	{{"computers", "delete", "web1"}, "computers delete", "web1", ""},
	{{"update", "--computers=a,b", "--wait"}, "update", "", ""},
	{{"update", "--computers", "a,b", "--wait"}, "update", "", ""},
	{{"tokens", "create", "--uses", "3"}, "tokens create", "", ""},
	{{"scan", "--help"}, "scan", "", ""},
	{{"fly"}, NULL, "", "unknown command 'fly'; see 'yagura --help'"},
	{{"agent", "fly"}, NULL, "", "unknown command 'agent fly'; see 'yagura --help'"},
	{{"--fly"}, NULL, "", "unknown option '--fly'; see 'yagura --help'"},
	{{"status", "--wait"}, NULL, "", "unknown option '--wait'; see 'yagura --help'"},
	{{"--fly=1", "status"}, NULL, "", "unknown option '--fly'; see 'yagura --help'"},
	{{"status", "--json=1"}, NULL, "", "option --json takes no value"},
	{{"status", "--url"}, NULL, "", "option --url: want URL, have nothing"},
	{{"status", "more"}, NULL, "", "usage: yagura status"},
	{{"agent", "scan"}, NULL, "", "usage: yagura agent scan PATH..."},
	{{"scan", "web1"}, NULL, "", "usage: yagura scan COMPUTER PATH..."},
};

static int parse(size_t row, struct args *out, struct yg_err *err)
{
	static char program[] = "yagura";
	char *argv[WORDS + 2] = {program};
	int argc = 1;
	for (size_t i = 0; i < WORDS && rows[row].argv[i]; i++)
		argv[argc++] = (char *)(uintptr_t)rows[row].argv[i];
	return args_parse(cli_commands, argc, argv, YG_LANG_EN, out, err);
}

static void parses(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct args args = {0};
		int r = parse(i, &args, &err);
		assert_string_equal(err.msg, rows[i].msg);
		assert_int_equal(r, *rows[i].msg ? -1 : 0);
		if (r < 0)
			continue;
		assert_int_equal(args.command != NULL, rows[i].command != NULL);
		if (args.command)
			assert_string_equal(args.command->name, rows[i].command);
		char words[256] = "";
		for (size_t w = 0; w < args.word_count; w++) {
			(void)strncat(words, w ? " " : "", sizeof(words) - strlen(words) - 1);
			(void)strncat(words, args.words[w], sizeof(words) - strlen(words) - 1);
		}
		assert_string_equal(words, rows[i].words);
	}
}

static void options(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct args args = {0};
	static char a[] = "yagura", b[] = "update", c[] = "--computers=x", d[] = "--computers",
		    e[] = "a=b", f[] = "--wait";
	char *argv[] = {a, b, c, d, e, f, NULL};
	assert_int_equal(args_parse(cli_commands, 6, argv, YG_LANG_EN, &args, &err), 0);
	assert_string_equal(args_get(&args, "--computers"), "a=b"); /* the last one counts */
	assert_string_equal(args_get(&args, "--wait"), "");
	assert_null(args_get(&args, "--relays"));
}

static void japanese(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct args args = {0};
	static char a[] = "yagura", b[] = "fly";
	char *argv[] = {a, b, NULL};
	assert_int_equal(args_parse(cli_commands, 2, argv, YG_LANG_JA, &args, &err), -1);
	assert_string_equal(err.msg,
		"不明なコマンド 'fly' です。「yagura --help」を参照してください");
}

/* The table itself: names are unique, every text exists in both languages, limits make sense. */
static void table(void **state)
{
	(void)state;
	for (const struct args_command *c = cli_commands; c->name; c++) {
		assert_non_null(c->run);
		assert_true(c->words_min <= c->words_max && c->words_max <= ARGS_WORDS_MAX);
		assert_int_equal(c->words_max > 0, *c->words != 0);
		assert_true(*c->help[YG_LANG_EN] && *c->help[YG_LANG_JA]);
		for (const struct args_command *other = c + 1; other->name; other++)
			assert_string_not_equal(c->name, other->name);
		for (const struct args_option *o = c->options; o && o->name; o++) {
			assert_int_equal(strncmp(o->name, "--", 2), 0);
			assert_true(*o->help[YG_LANG_EN] && *o->help[YG_LANG_JA]);
			for (const struct args_option *g = args_global; g->name; g++)
				assert_string_not_equal(o->name, g->name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(options),
		cmocka_unit_test(japanese),
		cmocka_unit_test(table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
