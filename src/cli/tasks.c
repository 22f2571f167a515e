/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/ask.h"
#include "cli/text.h"
#include "core/json.h"
#include "core/str.h"

/* "mon, thu", "月、木". A new string. */
static char *days_text(const struct cli *cli, const json_t *days)
{
	static const char *const names[][2] = {{"sun", "日"}, {"mon", "月"}, {"tue", "火"},
		{"wed", "水"}, {"thu", "木"}, {"fri", "金"}, {"sat", "土"}};
	char *out = yg_str_format("%s", "");
	size_t i;
	json_t *day;
	json_array_foreach(days, i, day)
	{
		char *before YG_AUTO(mem) = out;
		const char *name = json_string_value(day);
		for (size_t k = 0; name && k < YG_COUNT(names); k++)
			if (strcmp(names[k][0], name) == 0)
				name = names[k][cli->lang];
		out = yg_str_format("%s%s%s", before ? before : "",
			i > 0 ? cli_say(cli, ", ", "、") : "", name ? name : "?");
	}
	return out;
}

/* "daily 03:30 Asia/Tokyo". A new string. */
static char *schedule_text(const struct cli *cli, const json_t *schedule)
{
	const char *type = ask_member(schedule, "type"), *at = ask_member(schedule, "at");
	const char *zone = *ask_member(schedule, "zone") ? ask_member(schedule, "zone") : "UTC";
	if (strcmp(type, "every") == 0)
		return yg_str_format(cli_say(cli, "every %lld s", "%lld秒ごと"),
			json_integer_value(json_object_get(schedule, "seconds")));
	if (strcmp(type, "hourly") == 0)
		return yg_str_format(cli_say(cli, "hourly :%02lld", "毎時 %02lld分"),
			json_integer_value(json_object_get(schedule, "minute")));
	if (strcmp(type, "daily") == 0)
		return yg_str_format(cli_say(cli, "daily %s %s", "毎日 %s %s"), at, zone);
	char *days YG_AUTO(mem) = days_text(cli, json_object_get(schedule, "weekdays"));
	return yg_str_format(cli_say(cli, "weekly %1$s %2$s %3$s", "毎週 %2$s %1$s %3$s"), at,
		days ? days : "", zone);
}

/* "relay group osaka": asked for by its id; the id when it is not there any more. A new string. */
static char *target_text(struct cli *cli, const json_t *target)
{
	struct yg_err ignored = {0};
	const char *type = ask_member(target, "type"), *id = ask_member(target, "id");
	bool group = strcmp(type, "group") == 0;
	if (group || strcmp(type, "policy") == 0) {
		json_t *answer YG_AUTO(yg_json) = NULL;
		char *path YG_AUTO(mem) = ask_path(group ? "relay-groups" : "policies", id);
		if (path && api_call(cli, "GET", path, NULL, &answer, &ignored) < 0)
			answer = NULL;
		const char *name = ask_member(answer, "name");
		return yg_str_format(group ? cli_say(cli, "relay group %s", "Relayグループ %s")
					   : cli_say(cli, "policy %s", "ポリシー %s"),
			*name ? name : id);
	}
	if (strcmp(type, "computers") == 0)
		return yg_str_format(cli_say(cli, "%zu computers", "コンピュータ%zu台"),
			json_array_size(json_object_get(target, "computers")));
	return yg_str_format("%s", cli_say(cli, "all", "すべて"));
}

int tasks_list(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"kind", {"Kind", "種類"}},
		{"when", {"When", "予定"}},
		{"for", {"For", "対象"}},
		{"enabled", {"Enabled", "有効"}},
		{"next_run", {"Next", "次回"}},
		{"last_run", {"Last", "前回"}},
		{"last_state", {"Came to", "結果"}},
		{"id", {"Id", "ID"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_all(cli, "tasks", &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *item = json_array_get(items, i);
		char *when YG_AUTO(mem) = schedule_text(cli, json_object_get(item, "schedule"));
		char *whom YG_AUTO(mem) = target_text(cli, json_object_get(item, "target"));
		(void)json_object_set_new(item, "when", json_string(when));
		(void)json_object_set_new(item, "for", json_string(whom));
	}
	return show_list(cli, items, columns, YG_COUNT(columns));
}

/* "mon,thu" as an array. */
static json_t *split(const char *text)
{
	json_t *list = json_array();
	while (*text) {
		size_t len = strcspn(text, ",");
		(void)json_array_append_new(list, json_stringn(text, len));
		text += len + (text[len] == ',');
	}
	return list;
}

static int number(struct cli *cli, const char *option, const char *name, json_t *body,
	struct yg_err *err)
{
	const char *text = args_get(&cli->args, option);
	uint64_t value = 0;
	if (!text)
		return 0;
	if (yg_str_u64(text, INT32_MAX, &value, err) < 0)
		return yg_wrap(err, "%s", option);
	(void)json_object_set_new(body, name, json_integer((json_int_t)value));
	return 0;
}

/* What a schedule does not say stays as it is: the zone, and the days of a week. */
static void keep(const json_t *now, json_t *made)
{
	static const struct {
		const char *name, *type;
	} members[] = {{"zone", "daily"}, {"zone", "weekly"}, {"weekdays", "weekly"}};
	for (size_t i = 0; i < YG_COUNT(members); i++) {
		json_t *present = json_object_get(now, members[i].name);
		if (present && strcmp(ask_member(made, "type"), members[i].type) == 0)
			(void)json_object_set(made, members[i].name, present);
	}
}

/* in  now  the schedule that is changed; NULL for a new task, which needs one */
static int schedule(struct cli *cli, const json_t *now, json_t *body, struct yg_err *err)
{
	static const struct {
		const char *option, *type;
	} kinds[] = {{"--every", "every"}, {"--hourly", "hourly"}, {"--daily", "daily"},
		{"--weekly", "weekly"}};
	const char *zone = args_get(&cli->args, "--zone");
	const char *days = args_get(&cli->args, "--weekdays");
	json_t *made YG_AUTO(yg_json) = json_object();
	size_t count = 0;
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		const char *text = args_get(&cli->args, kinds[i].option);
		if (!text)
			continue;
		count++;
		(void)json_object_set_new(made, "type", json_string(kinds[i].type));
		if (i >= 2)
			(void)json_object_set_new(made, "at", json_string(text));
		else if (number(cli, kinds[i].option, i == 0 ? "seconds" : "minute", made, err) < 0)
			return -1;
	}
	if (count > 1 || (count == 0 && !now))
		return yg_fail(err, YG_EFORMAT,
			cli_say(cli, "want one of --every, --hourly, --daily and --weekly",
				"--every、--hourly、--daily、--weeklyのうち1つを指定してください"));
	if (count == 0 && !zone && !days)
		return 0;
	if (count == 0)
		(void)json_object_update(made, (json_t *)(uintptr_t)now);
	keep(now, made);
	if (zone)
		(void)json_object_set_new(made, "zone", json_string(zone));
	if (days)
		(void)json_object_set_new(made, "weekdays", split(days));
	return json_object_set(body, "schedule", made) == 0
		? 0
		: yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int target(struct cli *cli, json_t *body, struct yg_err *err)
{
	static const struct {
		const char *option, *type, *what;
	} kinds[] = {{"--relay-group", "group", "relay-groups"},
		{"--policy", "policy", "policies"}};
	const char *computers = args_get(&cli->args, "--computers");
	if (computers) {
		json_t *ids = ask_computers(cli, computers, 0, 0, err);
		return ids &&
				json_object_set_new(body, "target",
					json_pack("{s:s, s:o}", "type", "computers", "computers",
						ids)) == 0
			? 0
			: -1;
	}
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		const char *text = args_get(&cli->args, kinds[i].option);
		char *id YG_AUTO(mem) = NULL;
		if (!text)
			continue;
		if (ask_resolve(cli, kinds[i].what, text, &id, err) < 0)
			return -1;
		return json_object_set_new(body, "target",
			json_pack("{s:s, s:s}", "type", kinds[i].type, "id", id));
	}
	if (args_get(&cli->args, "--all-computers"))
		return json_object_set_new(body, "target", json_pack("{s:s}", "type", "all"));
	return 0;
}

/* What the options say. *misused: it was the command line's fault. in  now  as of schedule() */
static int body_of(struct cli *cli, const json_t *now, json_t *body, bool *misused,
	struct yg_err *err)
{
	static const struct {
		const char *option, *name, *value; /* value NULL: the option's own */
	} texts[] = {{"--kind", "kind", NULL}, {"--missed", "missed", NULL}};
	for (size_t i = 0; i < YG_COUNT(texts); i++) {
		const char *text = args_get(&cli->args, texts[i].option);
		if (text)
			(void)json_object_set_new(body, texts[i].name, json_string(text));
	}
	const char *paths = args_get(&cli->args, "--paths");
	if (paths)
		(void)json_object_set_new(body, "paths", split(paths));
	if (args_get(&cli->args, "--no-relays"))
		(void)json_object_set_new(body, "relays", json_false());
	if (args_get(&cli->args, "--enable") || args_get(&cli->args, "--disable"))
		(void)json_object_set_new(body, "enabled",
			json_boolean(args_get(&cli->args, "--enable") != NULL));
	*misused = true;
	if (number(cli, "--window", "window_s", body, err) < 0 || schedule(cli, now, body, err) < 0)
		return -1;
	*misused = false;
	return target(cli, body, err);
}

static int send(struct cli *cli, const char *method, char *path, json_t *body)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, method, path, body, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	char *next YG_AUTO(mem) = text_value(json_object_get(answer, "next_run"), cli->lang);
	text_put(ask_member(answer, "name"), stdout);
	(void)printf(cli_say(cli, ": next run %s\n", ": 次回の実行 %s\n"), *next ? next : "-");
	return ARGS_DONE;
}

int tasks_create(struct cli *cli)
{
	struct yg_err err = {0};
	bool misused = false;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s}", "name", cli->args.words[0]);
	if (body_of(cli, NULL, body, &misused, &err) < 0)
		return misused ? ask_misuse(cli, &err) : cli_fail(cli, &err);
	return send(cli, "POST", yg_str_format("tasks"), json_incref(body));
}

/* The id of the task that the first word names. */
static int find(struct cli *cli, char **id)
{
	struct yg_err err = {0};
	if (ask_resolve(cli, "tasks", cli->args.words[0], id, &err) == 0)
		return ARGS_DONE;
	if (err.code != YG_EABSENT)
		return cli_fail(cli, &err);
	err = (struct yg_err){0};
	(void)yg_fail(&err, YG_EABSENT,
		cli_say(cli, "there is no task '%s'", "予約タスク '%s' はありません"),
		cli->args.words[0]);
	return cli_fail(cli, &err);
}

int tasks_change(struct cli *cli)
{
	struct yg_err err = {0};
	bool misused = false;
	char *id YG_AUTO(mem) = NULL;
	json_t *body YG_AUTO(yg_json) = json_object();
	json_t *task YG_AUTO(yg_json) = NULL;
	int code = find(cli, &id);
	if (code == ARGS_DONE)
		code = ask_manager(cli, "GET", ask_path("tasks", id), NULL, &task);
	if (code != ARGS_DONE)
		return code;
	if (body_of(cli, json_object_get(task, "schedule"), body, &misused, &err) < 0)
		return misused ? ask_misuse(cli, &err) : cli_fail(cli, &err);
	const char *name = args_get(&cli->args, "--name");
	if (name)
		(void)json_object_set_new(body, "name", json_string(name));
	return send(cli, "PATCH", ask_path("tasks", id), json_incref(body));
}

int tasks_delete(struct cli *cli)
{
	char *id YG_AUTO(mem) = NULL;
	int code = find(cli, &id);
	if (code != ARGS_DONE)
		return code;
	cli->args.words[0] = id;
	return ask_remove(cli, "tasks");
}

int tasks_run(struct cli *cli)
{
	char *id YG_AUTO(mem) = NULL;
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = find(cli, &id);
	if (code != ARGS_DONE)
		return code;
	code = ask_manager(cli, "POST", yg_str_format("tasks/%s/run", id), json_object(), &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	const char *job = ask_member(answer, "job");
	if (*job)
		(void)printf(cli_say(cli, "Job %s\n", "ジョブ %s\n"), job);
	else
		(void)puts(cli_say(cli, "Started", "開始しました"));
	return ARGS_DONE;
}
