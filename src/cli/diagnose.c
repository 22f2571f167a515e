/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/diagnose.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/text.h"
#include "core/clock.h"
#include "core/str.h"
#include "diagnose/support.h"
#include "proto/word.h"

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* ---- what was found, for people ---- */

static void line(const char *indent, const char *label, const char *text)
{
	if (!*text)
		return;
	(void)printf("%s%s%s", indent, label, *label ? ": " : "");
	text_put(text, stdout);
	(void)putchar('\n');
}

/* What a check saw begins with the check's word. A new string. */
static char *seen_text(const struct cli *cli, const char *seen)
{
	size_t len = strcspn(seen, ":");
	char *check YG_AUTO(mem) = yg_str_format("%.*s", (int)len, seen);
	return yg_str_format("%s%s",
		check && seen[len] ? yg_word(YG_WORDS_CHECK, check, cli->lang)
			: check    ? check
				   : "",
		seen + len);
}

static void show_seen(const struct cli *cli, const json_t *cause)
{
	size_t i;
	json_t *seen;
	json_array_foreach(json_object_get(cause, "seen"), i, seen)
	{
		char *text YG_AUTO(mem) = seen_text(cli, json_string_value(seen));
		line("   ", cli_say(cli, "Seen", "確認した内容"), text ? text : "");
	}
}

static void show_one(const struct cli *cli, const json_t *cause, size_t number)
{
	json_int_t count = json_integer_value(json_object_get(cause, "count"));
	if (number > 0)
		(void)printf("%zu. ", number);
	else
		(void)fputs(" - ", stdout);
	text_put(member(cause, "sentence"), stdout);
	(void)printf(" [%s]\n", member(cause, "cause"));
	show_seen(cli, cause);
	if (count > 1)
		(void)printf(cli_say(cli, "   %lld times\n", "   %lld回\n"), (long long)count);
	line("   ", cli_say(cli, "What helps", "対処方法"), member(cause, "remedy"));
	line("   ", cli_say(cli, "By itself", "自動的な処理"), member(cause, "auto"));
	size_t i;
	json_t *below;
	json_array_foreach(json_object_get(cause, "explains"), i, below)
	{
		(void)fputs(cli_say(cli, "   Explains: ", "   これにより発生: "), stdout);
		text_put(member(below, "sentence"), stdout);
		(void)printf(" [%s]\n", member(below, "cause"));
	}
}

static bool is_over(const json_t *cause)
{
	return json_is_true(json_object_get(cause, "over"));
}

void diagnose_show(const struct cli *cli, const json_t *causes, bool all_known)
{
	size_t i;
	size_t number = 0;
	size_t past = 0;
	json_t *cause;
	json_array_foreach(causes, i, cause)
	{
		past += is_over(cause);
		if (!is_over(cause))
			show_one(cli, cause, ++number);
	}
	if (number == 0 && all_known)
		(void)puts(cli_say(cli, "Nothing was found that is wrong.",
			"問題は見つかりませんでした。"));
	if (past > 0)
		(void)puts(cli_say(cli, "\nHappened, and is over (a success came after it):",
			"\n発生したが、その後の成功により解消:"));
	json_array_foreach(causes, i, cause)
	{
		if (is_over(cause))
			show_one(cli, cause, 0);
	}
}

/* ---- for support ---- */

void diagnose_support(const struct cli *cli, const json_t *causes, const char *computer,
	const char *id, const char *versions)
{
	size_t i;
	json_t *cause;
	bool first = true;
	json_array_foreach(causes, i, cause)
	{
		struct yg_err err = {0};
		int64_t at_s = 0;
		const json_t *seen = json_object_get(cause, "seen");
		const char *detail = json_string_value(json_array_get(seen, 0));
		if (is_over(cause))
			continue;
		(void)!yg_clock_parse(member(cause, "last"), &at_s, &err);
		char *shown YG_AUTO(mem) = detail ? seen_text(cli, detail) : NULL;
		char *what YG_AUTO(mem) = shown
			? yg_str_format("%s (%s)", member(cause, "sentence"), shown)
			: yg_str_format("%s", member(cause, "sentence"));
		const struct yg_support given = {member(cause, "cause"), what, computer, id, at_s,
			versions};
		char *text YG_AUTO(mem) = yg_support_text(&given, cli->lang);
		if (!first)
			(void)putchar('\n');
		first = false;
		(void)fputs(text ? text : "", stdout);
	}
	if (first)
		(void)puts(cli_say(cli, "Nothing was found that is wrong.",
			"問題は見つかりませんでした。"));
}

/* ---- a whole diagnosis ---- */

static void show_checks(const struct cli *cli, const json_t *checks)
{
	static const char *const headings[][2] = {{"Check", "確認項目"}, {"State", "状態"},
		{"Seen", "確認した内容"}};
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 3, headings);
	size_t i;
	json_t *check;
	json_array_foreach(checks, i, check)
	{
		text_table_add(table, yg_word(YG_WORDS_CHECK, member(check, "check"), cli->lang));
		text_table_add(table, yg_word(YG_WORDS_CHECK, member(check, "state"), cli->lang));
		text_table_add(table, member(check, "seen"));
	}
	(void)putchar('\n');
	show_table(table);
}

int diagnose_done(const struct cli *cli, const json_t *result, size_t standing)
{
	const char *agent = member(result, "version"), *manager = member(result, "manager_version");
	if (cli->json) {
		(void)cli_json(result);
	} else if (args_get(&cli->args, "--support")) {
		char *versions YG_AUTO(mem) = yg_str_format("%s%s%s%s%s", *agent ? "agent " : "",
			agent, *agent && *manager ? ", " : "", *manager ? "Manager " : "", manager);
		diagnose_support(cli, json_object_get(result, "causes"), member(result, "computer"),
			member(result, "id"), versions ? versions : "");
	} else {
		diagnose_show(cli, json_object_get(result, "causes"), true);
		show_checks(cli, json_object_get(result, "checks"));
	}
	return standing > 0 ? ARGS_FAILED : ARGS_DONE;
}

/* ---- which diagnosis ---- */

int diagnose_run(struct cli *cli)
{
	static const struct {
		const char *option;
		int (*run)(struct cli *cli);
	} kinds[] = {{"--log", diagnose_log}, {"--manager", diagnose_manager},
		{"--network-plan", diagnose_plan}};
	int (*run)(struct cli *) = diagnose_agent;
	size_t asked = 0;
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		if (args_get(&cli->args, kinds[i].option)) {
			run = kinds[i].run;
			asked++;
		}
	}
	if (asked > 1 || (cli->args.word_count > 0 && run != diagnose_log)) {
		(void)fputs(
			cli_say(cli,
				"yagura: want one of --log FILE..., --manager and --network-plan\n",
				"yagura: --log FILE...、--manager、--network-plan のいずれか1つを指定してください\n"),
			stderr);
		return ARGS_USAGE;
	}
	return run(cli);
}
