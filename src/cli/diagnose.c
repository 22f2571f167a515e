/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/diagnose.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"

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

static void show_seen(const struct cli *cli, const json_t *cause)
{
	size_t i;
	json_t *seen;
	json_array_foreach(json_object_get(cause, "seen"), i, seen)
	{
		line("   ", cli_say(cli, "Seen", "確認した内容"), json_string_value(seen));
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

void diagnose_show(const struct cli *cli, const json_t *causes)
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
	if (number == 0)
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

/* ---- which diagnosis ---- */

int diagnose_run(struct cli *cli)
{
	if (args_get(&cli->args, "--log"))
		return diagnose_log(cli);
	(void)fputs(cli_say(cli, "yagura: want --log FILE...\n",
			    "yagura: --log FILE... を指定してください\n"),
		stderr);
	return ARGS_USAGE;
}
