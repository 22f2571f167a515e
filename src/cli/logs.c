/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/logs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/text.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/ring.h"
#include "core/str.h"

#define LINES_MAX 100000
#define STAMP_LEN 27 /* "2026-11-22T06:39:39.123456Z" */

/* ---- log-level ---- */

static int show_levels(struct cli *cli)
{
	static const char *const headings[][2] = {{"Process", "プロセス"}, {"Level", "レベル"}};
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s}", "do", "status");
	if (control_call(cli->root, ask, -1, NULL, NULL, &answer, &err) < 0)
		return cli_fail(cli, &err);
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 2, headings);
	json_t *levels YG_AUTO(yg_json) = json_object();
	const json_t *roles = json_object_get(answer, "roles");
	for (size_t i = 0; i < json_array_size(roles); i++) {
		const json_t *role = json_array_get(roles, i);
		const char *name = json_string_value(json_object_get(role, "role"));
		const char *level = json_string_value(json_object_get(role, "log_level"));
		if (!name || !level || json_object_get(levels, name))
			continue;
		(void)json_object_set_new(levels, name, json_string(level));
		text_table_add(table, name);
		text_table_add(table, level);
	}
	if (cli->json)
		return cli_json(levels);
	text_table_print(table, stdout);
	return ARGS_DONE;
}

int logs_level(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (cli->args.word_count == 0)
		return show_levels(cli);
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s,s:s,s:s*}", "do", "log_level", "level",
		cli->args.words[0], "role", args_get(&cli->args, "--role"));
	if (control_call(cli->root, ask, -1, NULL, NULL, &answer, &err) < 0)
		return cli_fail(cli, &err);
	return cli->json ? cli_json(answer) : ARGS_DONE;
}

/* ---- log ---- */

struct line {
	const char *text; /* begins with the time */
	size_t len, number;
};

struct lines {
	const char *role; /* only of this one; NULL: of all */
	int level;        /* what is said at most */
	char *texts[64];  /* owned: one a ring */
	size_t text_count;
	struct line *list; /* owned */
	size_t count;
};

static void lines_free_at(struct lines *lines)
{
	for (size_t i = 0; i < lines->text_count; i++)
		free(lines->texts[i]);
	free(lines->list);
}

/* "2026-… 4467 <6>agent/session: …": 6; one without a level is shown. */
static int level_of(const char *text, size_t len)
{
	const char *open = memchr(text, '<', len);
	if (!open || (size_t)(open - text) + 2 >= len || open[2] != '>' || open[1] < '0' ||
		open[1] > '9')
		return 0;
	return open[1] - '0';
}

static void add_line(struct lines *lines, const char *text, size_t len)
{
	if (len < STAMP_LEN || level_of(text, len) > lines->level || lines->count == LINES_MAX)
		return;
	lines->list[lines->count] = (struct line){text, len, lines->count};
	lines->count++;
}

/* "fetch-1" is of role "fetch". */
static bool is_of(const char *name, const char *role)
{
	size_t len = strlen(role);
	return strncmp(name, role, len) == 0 && (name[len] == 0 || name[len] == '-');
}

static void add_ring(void *ctx, const char *name, struct yg_bytes text)
{
	struct lines *lines = ctx;
	if ((lines->role && !is_of(name, lines->role)) ||
		lines->text_count == YG_COUNT(lines->texts))
		return;
	char *own = strndup((const char *)text.ptr, text.len);
	if (!own)
		return;
	lines->texts[lines->text_count++] = own;
	for (char *at = own; *at;) {
		size_t len = strcspn(at, "\n");
		add_line(lines, at, len);
		at += len + (at[len] == '\n');
	}
}

static int by_time(const void *a, const void *b)
{
	const struct line *x = a;
	const struct line *y = b;
	int order = strncmp(x->text, y->text, STAMP_LEN);
	return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

static int read_options(const struct cli *cli, struct lines *lines, uint64_t *limit,
	struct yg_err *err)
{
	const char *level = args_get(&cli->args, "--level");
	const char *count = args_get(&cli->args, "--limit");
	enum yg_level most = YG_LOG_TRACE;
	lines->role = args_get(&cli->args, "--role");
	if (level && strcmp(level, "trace") != 0 && yg_log_level_parse(level, &most, err) < 0)
		return yg_wrap(err, "--level");
	lines->level = (int)most;
	if (count && yg_str_u64(count, LINES_MAX, limit, err) < 0)
		return yg_wrap(err, "--limit");
	return 0;
}

static void print(const struct cli *cli, const struct lines *lines, size_t from)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = from; i < lines->count; i++) {
		const struct line *line = &lines->list[i];
		if (cli->json)
			(void)json_array_append_new(list, json_stringn(line->text, line->len));
		else
			(void)printf("%.*s\n", (int)line->len, line->text);
	}
	json_t *answer YG_AUTO(yg_json) = json_pack("{s:O}", "lines", list);
	if (cli->json)
		(void)cli_json(answer);
}

/* in  folder  of rings, owned by the caller; NULL when memory is out */
static int show(struct cli *cli, const char *folder)
{
	struct yg_err err = {0};
	uint64_t limit = LINES_MAX;
	struct lines lines YG_AUTO(lines) = {.list = calloc(LINES_MAX, sizeof(struct line))};
	if (!lines.list)
		return ARGS_FAILED;
	if (read_options(cli, &lines, &limit, &err) < 0) {
		(void)cli_fail(cli, &err);
		return ARGS_USAGE;
	}
	int dir YG_AUTO(fd) = folder ? yg_fs_open_dir(AT_FDCWD, folder, &err) : -1;
	if (dir < 0 || yg_ring_all(dir, add_ring, &lines, &err) < 0)
		return cli_fail(cli, &err);
	qsort(lines.list, lines.count, sizeof(struct line), by_time);
	print(cli, &lines, lines.count > limit ? lines.count - (size_t)limit : 0);
	return ARGS_DONE;
}

int logs_show(struct cli *cli)
{
	char *folder YG_AUTO(mem) = yg_str_format("%s/run/yagura/ring", cli->root);
	return show(cli, folder);
}

int logs_show_manager(struct cli *cli)
{
	bool own_root = *cli->root && strcmp(cli->root, "/") != 0;
	char *folder YG_AUTO(mem) = yg_str_format("%s/run/%s", cli->root,
		own_root ? "ring" : "yagura-manager/ring");
	return show(cli, folder);
}
