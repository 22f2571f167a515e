/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Settings by name: NAME shows what begins with it, NAME=VALUE changes, NAME=@FILE and NAME=@- (standard input)
 * keep a value off the command line, where other users of the computer see it.
 */
#include "cli/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/text.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/secret.h"

#define VALUE_MAX (1u << 20)

/* ---- showing ---- */

static bool wanted(const struct cli *cli, const char *path)
{
	if (cli->args.word_count == 0)
		return true;
	for (size_t i = 0; i < cli->args.word_count; i++) {
		const char *word = cli->args.words[i];
		size_t len = strcspn(word, "=");
		if (strncmp(path, word, len) == 0 && (path[len] == '.' || path[len] == '\0'))
			return true;
	}
	return false;
}

/* Instead of the PEM text: whose they are and how long they last. */
static void add_certificates(const struct cli *cli, struct text_table *table, const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		text_table_add(table, cli_say(cli, "  certificate", "  証明書"));
		text_table_addf(table, cli_say(cli, "%s, until %s", "%s、有効期限 %s"),
			ask_member(item, "subject"), ask_member(item, "not_after"));
	}
}

static void flatten(const struct cli *cli, struct text_table *table, const char *prefix,
	const json_t *value)
{
	const char *name = NULL;
	json_t *item = NULL;
	json_object_foreach((json_t *)(uintptr_t)value, name, item)
	{
		char *path YG_AUTO(mem) = yg_str_format("%s%s%s", prefix, *prefix ? "." : "", name);
		if (path && json_is_object(item)) {
			flatten(cli, table, path, item);
			continue;
		}
		if (path && json_is_array(item) && wanted(cli, "source.ca")) {
			add_certificates(cli, table, item);
			continue;
		}
		if (!path || json_is_array(item) || !wanted(cli, path))
			continue;
		char *text YG_AUTO(mem) = text_value(item, cli->lang);
		text_table_add(table, path);
		if (text && strchr(text, '\n'))
			text_table_addf(table,
				cli_say(cli, "set, %zu bytes", "設定済み (%zuバイト)"),
				strlen(text));
		else
			text_table_add(table, text);
	}
}

/* The same choice in JSON: what nobody named goes. */
static void leave(const struct cli *cli, const char *prefix, json_t *value)
{
	const char *name;
	json_t *item;
	void *next;
	json_object_foreach_safe(value, next, name, item)
	{
		char *path YG_AUTO(mem) = yg_str_format("%s%s%s", prefix, *prefix ? "." : "", name);
		bool named = json_is_array(item) ? wanted(cli, "source.ca")
						 : wanted(cli, path ? path : "");
		if (path && json_is_object(item)) {
			leave(cli, path, item);
			named = json_object_size(item) > 0;
		}
		if (!named)
			(void)json_object_del(value, name);
	}
}

/* ---- changing ---- */

/* All that comes, also from a pipe or a terminal. */
static int read_all(int fd, struct yg_buf *out, struct yg_err *err)
{
	char chunk[4096];
	ssize_t n = 0;
	int rc = 0;
	while (rc == 0 && ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)))
		rc = n > 0 ? yg_buf_add(out, chunk, (size_t)n, err) : 0;
	if (rc == 0 && n < 0)
		rc = yg_fail_sys(err, errno, "reading");
	yg_secret_wipe(chunk, sizeof(chunk));
	return rc;
}

/* The text of a file or of standard input, for values that begin with '@'. A new string, for yg_secret_free. */
static char *file_text(const char *path, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(VALUE_MAX);
	bool standard = strcmp(path, "-") == 0;
	int fd YG_AUTO(fd) = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				      : yg_fs_open(AT_FDCWD, path, err);
	if (standard && fd < 0)
		(void)yg_fail_sys(err, errno, "standard input");
	char *made = NULL;
	if (fd >= 0 && read_all(fd, &text, err) == 0 && yg_buf_add(&text, "", 1, err) == 0) {
		made = strdup((const char *)text.data);
		if (!made)
			(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	if (text.data)
		yg_secret_wipe(text.data, text.len);
	return made;
}

/* What an editor or echo puts behind the only line is no part of the value. */
static void one_line(char *text)
{
	size_t len = strcspn(text, "\r\n");
	if (text[len + strspn(text + len, "\r\n")] == '\0')
		text[len] = '\0';
}

static json_t *from_file(const char *path, struct yg_err *err)
{
	char *content YG_AUTO(yg_secret) = file_text(path, err);
	if (!content)
		return NULL;
	one_line(content);
	json_t *value = json_string(content);
	if (!value)
		(void)yg_fail(err, YG_EFORMAT, "'%s': want text in UTF-8", path);
	return value;
}

/* A value as text becomes what the setting is now. returns a new reference, or NULL */
static json_t *typed(const struct cli *cli, const char *name, const json_t *now, const char *text,
	struct yg_err *err)
{
	uint64_t number = 0;
	size_t len = strlen(name);
	if (json_is_boolean(now)) {
		bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
		if (yes || strcmp(text, "no") == 0 || strcmp(text, "false") == 0)
			return json_boolean(yes);
		(void)yg_fail(err, YG_EFORMAT,
			cli_say(cli, "want yes or no, have '%s'",
				"yesまたはnoを指定してください ('%s')"),
			text);
		return NULL;
	}
	if (json_is_integer(now))
		return yg_str_u64(text, INT32_MAX, &number, err) < 0
			? NULL
			: json_integer((json_int_t)number);
	if (text[0] == '@')
		return from_file(text + 1, err);
	if (text[0] != '\0' && len > 9 && strcmp(name + len - 9, ".password") == 0) {
		(void)yg_fail(err, YG_EFORMAT, "%s",
			cli_say(cli,
				"want @FILE, or @- for standard input: everybody on this computer can read a "
				"command line",
				"コマンドラインは他のユーザから見えるため、@FILE (ファイル) または @- (標準入力) で指定してください"));
		return NULL;
	}
	return json_string(text);
}

/* "source.url=https://…" into {"source":{"url":…}}. */
static int set_one(const struct cli *cli, const json_t *now, const char *word, json_t *change,
	struct yg_err *err)
{
	size_t len = strcspn(word, "=");
	char *name YG_AUTO(mem) = yg_str_format("%.*s", (int)len, word);
	const json_t *present = name ? show_at(now, name) : NULL;
	if (!present || (word[len] && (json_is_object(present) || json_is_array(present))))
		return yg_fail(err, YG_EABSENT,
			cli_say(cli, "there is no setting '%s'; 'yagura settings' lists them all",
				"設定 '%s' はありません。「yagura settings」で一覧を表示できます"),
			name ? name : "");
	if (!word[len])
		return 0;
	json_t *value YG_AUTO(yg_json) = typed(cli, name, present, word + len + 1, err);
	if (!value)
		return yg_wrap(err, "%s", name);
	char *at = name;
	for (char *dot; (dot = strchr(at, '.')); at = dot + 1) {
		*dot = 0;
		json_t *inner = json_object_get(change, at);
		if (!inner) {
			inner = json_object();
			(void)json_object_set_new(change, at, inner);
		}
		change = inner;
	}
	(void)json_object_set(change, at, value);
	return 0;
}

int settings_run(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *now YG_AUTO(yg_json) = NULL;
	json_t *change YG_AUTO(yg_json) = json_object();
	int code = ask_manager(cli, "GET", yg_str_format("settings"), NULL, &now);
	if (code != ARGS_DONE)
		return code;
	for (size_t i = 0; i < cli->args.word_count; i++)
		if (set_one(cli, now, cli->args.words[i], change, &err) < 0)
			return ask_misuse(cli, &err);
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (json_object_size(change) > 0) {
		code = ask_manager(cli, "PATCH", yg_str_format("settings"), json_incref(change),
			&answer);
		if (code != ARGS_DONE)
			return code;
	}
	if (cli->json) {
		leave(cli, "", answer ? answer : now);
		return cli_json(answer ? answer : now);
	}
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	flatten(cli, table, "", answer ? answer : now);
	text_table_print(table, stdout);
	return ARGS_DONE;
}
