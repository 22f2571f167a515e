/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/diagnose.h"
#include "cli/text.h"
#include "core/json.h"
#include "diagnose/logread.h"

/* `yagura diagnose --log FILE...`: what logs say. Nothing else of this computer is looked at: they may be of another. */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* "-" is what comes on stdin: `journalctl -u yagura-agent | yagura diagnose --log -`. */
static int read_one(struct yg_logread *logread, const char *name, struct yg_err *err)
{
	if (strcmp(name, "-") == 0)
		return yg_logread_file(logread, "stdin", STDIN_FILENO, err);
	const char *base = strrchr(name, '/');
	int fd YG_AUTO(fd) = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd < 0)
		return yg_fail_sys(err, errno, "%s", name);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return yg_fail(err, YG_EFORMAT, "%s: want a file, have a folder", name);
	if (yg_logread_file(logread, base ? base + 1 : name, fd, err) < 0)
		return yg_wrap(err, "%s", name);
	return 0;
}

static void show_rest(const struct cli *cli, const json_t *result)
{
	const json_t *notes = json_object_get(result, "notes"),
		     *unknown = json_object_get(result, "unknown");
	size_t i;
	json_t *item;
	if (json_array_size(notes) > 0)
		(void)puts(cli_say(cli, "\nAlso there:", "\nその他の記録:"));
	json_array_foreach(notes, i, item)
	{
		json_int_t count = json_integer_value(json_object_get(item, "count"));
		(void)fputs(" - ", stdout);
		text_put(member(item, "text"), stdout);
		if (count > 1)
			(void)printf(cli_say(cli, " (%lld times)", " (%lld回)"), (long long)count);
		(void)putchar('\n');
	}
	if (json_array_size(unknown) > 0)
		(void)printf(cli_say(cli, "\nFailures that are not in the table (%lld):\n",
				     "\n判別できないエラー (%lld件):\n"),
			(long long)json_integer_value(json_object_get(result, "unknown_count")));
	json_array_foreach(unknown, i, item)
	{
		(void)fputs(" - ", stdout);
		text_put(member(item, "seen"), stdout);
		(void)putchar('\n');
	}
}

/* Files that say nothing, or of which only known words could be looked at. returns whether any file said something */
static bool show_unread(const struct cli *cli, const json_t *result)
{
	bool silent = json_array_size(json_object_get(result, "causes")) == 0;
	bool some = false;
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(result, "files"), i, file)
	{
		bool entries = json_integer_value(json_object_get(file, "entries")) > 0;
		some |= entries;
		if (cli->json ||
			(entries && (!silent || strcmp(member(file, "format"), "text") != 0)))
			continue;
		text_put(member(file, "name"), stdout);
		(void)puts(entries
				? cli_say(cli,
					  ": the format is not known; it was searched for known codes and words",
					  ": 形式が不明なため、既知のコードと語句のみを確認しました")
				: cli_say(cli, ": there is no entry of a log in it",
					  ": ログとして読み取れる記録がありません"));
	}
	return some;
}

int diagnose_log(struct cli *cli)
{
	struct yg_err err = {0};
	struct yg_logread *logread YG_AUTO(yg_logread) = yg_logread_new(cli->lang, &err);
	bool bad = false;
	size_t standing = 0;
	if (!logread)
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	if (cli->args.word_count == 0) {
		(void)yg_fail(&err, YG_EFORMAT, "%s",
			cli_say(cli, "want the files to read: --log FILE...",
				"読み取るファイルを指定してください: --log FILE..."));
		return (void)cli_fail(cli, &err), ARGS_USAGE;
	}
	for (size_t i = 0; i < cli->args.word_count; i++) {
		err = (struct yg_err){0};
		if (read_one(logread, cli->args.words[i], &err) < 0) {
			(void)cli_fail(cli, &err);
			bad = true;
		}
	}
	json_t *result YG_AUTO(yg_json) = yg_logread_result(logread, &standing);
	bool some = show_unread(cli, result);
	if (cli->json) {
		(void)cli_json(result);
	} else if (args_get(&cli->args, "--support")) {
		if ((some && !bad) || json_array_size(json_object_get(result, "causes")) > 0)
			diagnose_support(cli, json_object_get(result, "causes"), "", "", "");
	} else {
		diagnose_show(cli, json_object_get(result, "causes"),
			some && !bad && json_array_size(json_object_get(result, "unknown")) == 0);
		show_rest(cli, result);
	}
	return bad || !some ? ARGS_USAGE : standing > 0 ? ARGS_FAILED : ARGS_DONE;
}
