/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/show.h"
#include "cli/text.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "proto/event.h"
#include "proto/word.h"

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* A failure to reach the agent is another exit code than what the agent refuses. */
static int call_with(struct cli *cli, json_t *ask, int file,
	void (*progress)(void *ctx, const json_t *line), void *ctx, json_t **ok)
{
	struct yg_err err = {0};
	json_t *own YG_AUTO(yg_json) = ask;
	if (!own)
		(void)yg_fail(&err, YG_ESYSTEM, "out of memory");
	else if (control_call(cli->root, own, file, progress, ctx, ok, &err) == 0)
		return ARGS_DONE;
	return cli_fail(cli, &err);
}

static int call(struct cli *cli, json_t *ask, void (*progress)(void *ctx, const json_t *line),
	void *ctx, json_t **ok)
{
	return call_with(cli, ask, -1, progress, ctx, ok);
}

static void put_cause(const struct cli *cli, const char *id, const char *detail)
{
	const struct yg_cause *cause = yg_cause_find(id);
	text_put(cause ? yg_cause_text(cause, cli->lang) : id, stdout);
	if (*detail) {
		(void)fputs(" (", stdout);
		text_put(detail, stdout);
		(void)fputs(")", stdout);
	}
	(void)putchar('\n');
}

/* What is wrong for longer: one line each. */
static void show_alarms(struct cli *cli, const json_t *answer)
{
	size_t i;
	json_t *alarm;
	json_array_foreach(json_object_get(answer, "alarms"), i, alarm)
	{
		(void)printf(cli_say(cli, "Since %s: ", "%s以降: "), member(alarm, "since"));
		put_cause(cli, member(alarm, "cause"), member(alarm, "detail"));
	}
}

/* How the last run ended, and what each source said that could not help. */
static void show_last(struct cli *cli, const json_t *answer, const char *name, const char *title)
{
	const json_t *run = json_object_get(answer, name);
	size_t i;
	json_t *one;
	if (!json_is_object(run))
		return;
	char *outcome YG_AUTO(mem) = show_value(cli, run, "outcome");
	char *bytes YG_AUTO(
		mem) = text_bytes(json_integer_value(json_object_get(run, "bytes")), cli->lang);
	(void)printf("%s: %s%s%s", title, member(run, "time"), cli_say(cli, ", ", "、"), outcome);
	if (*member(run, "source"))
		(void)printf(cli_say(cli, ", %s, %lld s, %s", "、%s、%lld秒、%s"),
			member(run, "source"),
			(long long)json_integer_value(json_object_get(run, "seconds")), bytes);
	(void)putchar('\n');
	if (*member(run, "cause")) {
		(void)fputs("  ", stdout);
		put_cause(cli, member(run, "cause"), member(run, "detail"));
	}
	json_array_foreach(json_object_get(run, "tried"), i, one)
	{
		(void)fputs("  ", stdout);
		text_put(member(one, "url"), stdout);
		(void)fputs(": ", stdout);
		put_cause(cli, member(one, "cause"), member(one, "detail"));
	}
}

int agent_status(struct cli *cli)
{
	static const struct {
		const char *name, *title[2];
	} rows[] = {
		{"state", {"State", "状態"}},
		{"activated", {"Activated", "有効化済み"}},
		{"manager", {"Manager", "Manager"}},
		{"manager_state", {"  line", "  接続"}},
		{"manager_error", {"  error", "  エラー"}},
		{"last_contact", {"  last contact", "  最後の通信"}},
		{"version", {"Version", "バージョン"}},
		{"agent_id", {"Agent id", "Agent ID"}},
		{"components", {"Components", "コンポーネント"}},
		{"set", {"Content set", "コンテンツセット"}},
		{"rollback_set", {"To roll back to", "ロールバック先"}},
		{"hold", {"On hold", "保留中"}},
		{"engine", {"Engine", "エンジン"}},
		{"update", {"Update", "アップデート"}},
		{"relay", {"Relay", "Relay"}},
		{"spool", {"Events to send", "未送信のイベント"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = call(cli, json_pack("{s:s}", "do", "status"), NULL, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const json_t *value = json_object_get(answer, rows[i].name);
		static const char *const inside[] = {"state", "phase", "set"};
		char *text YG_AUTO(mem) = NULL;
		for (size_t k = 0; !text && k < YG_COUNT(inside); k++)
			if (json_object_get(value, inside[k]))
				text = show_value(cli, value, inside[k]);
		if (!text)
			text = show_value(cli, answer, rows[i].name);
		text_table_add(table, rows[i].title[cli->lang]);
		text_table_add(table, text);
	}
	text_table_print(table, stdout);
	show_alarms(cli, answer);
	show_last(cli, answer, "last_update", cli_say(cli, "Last update", "前回のアップデート"));
	show_last(cli, answer, "last_relay_update",
		cli_say(cli, "Last update of the relay", "前回のRelayのアップデート"));
	return ARGS_DONE;
}

int agent_components(struct cli *cli)
{
	static const char *const headings[][2] = {{"Component", "コンポーネント"},
		{"Version", "バージョン"}};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = call(cli, json_pack("{s:s}", "do", "components"), NULL, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 2, headings);
	const json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		char *version YG_AUTO(
			mem) = text_value(json_object_get(item, "version"), cli->lang);
		text_table_add(table, member(item, "name"));
		text_table_add(table, version);
	}
	text_table_print(table, stdout);
	return ARGS_DONE;
}

int agent_activate(struct cli *cli)
{
	const char *token = args_get(&cli->args, "--token"), *name = args_get(&cli->args, "--name");
	/* Only the option: YAGURA_URL is where people speak to the Manager, another port. */
	const char *url = args_get(&cli->args, "--url");
	struct yg_err err = {0};
	if (!token || !url) {
		(void)yg_fail(&err, YG_EFORMAT, "%s",
			cli_say(cli, "want --url URL and --token TOKEN",
				"--url URL と --token TOKEN を指定してください"));
		(void)cli_fail(cli, &err);
		return ARGS_USAGE;
	}
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = call(cli,
		json_pack("{s:s, s:s, s:s, s:s*}", "do", "activate", "url", url, "token", token,
			"name", name),
		NULL, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)printf(cli_say(cli, "Activated: agent %s\n", "有効化しました: Agent %s\n"),
		member(answer, "agent_id"));
	return ARGS_DONE;
}

/* T5: there is one already. */
static void show_joined(const struct cli *cli, const json_t *with)
{
	bool manager = strcmp(member(with, "by"), "manager") == 0;
	cli_progress(cli,
		cli_say(cli, "an update is running already (job %s, %s, at %s): joining it",
			"別のアップデートが実行中のため、合流します (ジョブ%s、%s、%s)"),
		member(with, "job"),
		manager ? cli_say(cli, "of the Manager", "Managerから")
			: cli_say(cli, "started here", "このコンピュータで開始"),
		yg_word(YG_WORDS_PHASE, member(with, "phase"), cli->lang));
}

static void show_phase(void *ctx, const json_t *line)
{
	const struct cli *cli = ctx;
	const char *phase = yg_word(YG_WORDS_PHASE, member(line, "phase"), cli->lang);
	const json_t *left = json_object_get(line, "left_s");
	json_int_t done = json_integer_value(json_object_get(line, "done"));
	json_int_t of = json_integer_value(json_object_get(line, "of"));
	if (json_object_get(line, "joined")) {
		show_joined(cli, json_object_get(line, "joined"));
		return;
	}
	if (of <= 0) {
		cli_progress(cli, "%s", phase);
		return;
	}
	char *all YG_AUTO(mem) = text_bytes(of, cli->lang);
	int percent = (int)(done >= of ? 100 : done * 100 / of);
	if (json_is_integer(left))
		cli_progress(cli,
			cli_say(cli, "%s %s %d%% of %s, %lld s left",
				"%s %s %d%% / %s、残り%lld秒"),
			phase, member(line, "what"), percent, all,
			(long long)json_integer_value(left));
	else
		cli_progress(cli, cli_say(cli, "%s %s %d%% of %s", "%s %s %d%% / %s"), phase,
			member(line, "what"), percent, all);
}

/* What update, rollback, release_hold and repair have in common. */
static int change(struct cli *cli, json_t *ask, int file, const char *en, const char *ja)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = call_with(cli, ask, file, show_phase, cli, &answer);
	if (code != ARGS_DONE)
		return code;
	const char *outcome = member(answer, "outcome");
	bool good = !*outcome || strcmp(outcome, "success") == 0;
	if (cli->json) {
		(void)cli_json(answer);
		return good ? ARGS_DONE : ARGS_FAILED;
	}
	if (!good) {
		struct yg_err err = {0};
		(void)yg_fail_cause(&err, YG_EFORMAT, member(answer, "cause"), "%s",
			member(answer, "sentence"));
		return cli_fail(cli, &err);
	}
	char *updated YG_AUTO(mem) = text_updated(json_object_get(answer, "updated"));
	(void)fputs(cli_say(cli, en, ja), stdout);
	(void)fputs(*updated ? ": " : "", stdout);
	text_put(updated, stdout);
	(void)putchar('\n');
	if (*member(answer, "cause")) /* good as far as it goes, and somebody may wonder */
		put_cause(cli, member(answer, "cause"), member(answer, "sentence"));
	return ARGS_DONE;
}

int agent_update(struct cli *cli)
{
	const char *bundle = args_get(&cli->args, "--bundle");
	int file YG_AUTO(fd) = -1;
	if (bundle) {
		struct yg_err err = {0};
		file = yg_fs_open(AT_FDCWD, bundle, &err);
		if (file < 0)
			return cli_fail(cli, &err);
	}
	return change(cli, json_pack("{s:s, s:s*}", "do", "update", "bundle", bundle), file,
		"Security update successful", "セキュリティアップデート成功");
}

int agent_rollback(struct cli *cli)
{
	return change(cli, json_pack("{s:s}", "do", "rollback"), -1,
		"The components from before are back in use", "以前のコンポーネントに戻しました");
}

int agent_release_hold(struct cli *cli)
{
	return change(cli, json_pack("{s:s}", "do", "release_hold"), -1, "The hold is released",
		"保留を解除しました");
}

int agent_repair(struct cli *cli)
{
	return change(cli, json_pack("{s:s}", "do", "repair"), -1,
		"The stored components are checked and whole",
		"保存されているコンポーネントを確認し、必要な修復を行いました");
}

struct scan {
	const struct cli *cli;
	json_t *found, *unjudged; /* owned arrays of {path, signature} and {path, reason} */
};

static void scan_line(void *ctx, const json_t *line)
{
	struct scan *scan = ctx;
	json_t *found = json_object_get(line, "found"),
	       *unjudged = json_object_get(line, "unjudged");
	if (json_is_object(found)) {
		(void)json_array_append(scan->found, found);
		if (!scan->cli->json) {
			text_put(member(found, "path"), stdout);
			(void)fputs(": ", stdout);
			text_put(member(found, "signature"), stdout);
			(void)putchar('\n');
			(void)fflush(stdout);
		}
	} else if (json_is_object(unjudged)) {
		(void)json_array_append(scan->unjudged, unjudged);
		if (!scan->cli->json) {
			text_put(member(unjudged, "path"), stderr);
			(void)fprintf(stderr, ": %s: ",
				cli_say(scan->cli, "could not be judged", "判定できませんでした"));
			char *reason YG_AUTO(mem) = show_value(scan->cli, unjudged, "reason");
			text_put(reason, stderr);
			(void)fputc('\n', stderr);
		}
	} else if (json_is_integer(json_object_get(line, "files"))) {
		cli_progress(scan->cli, cli_say(scan->cli, "%lld files", "%lldファイル"),
			json_integer_value(json_object_get(line, "files")));
	}
}

/* The agent has another working directory: paths are made absolute, and checked, here. */
static json_t *absolute(struct cli *cli, struct yg_err *err)
{
	json_t *paths YG_AUTO(yg_json) = json_array();
	char here[4096] = "";
	if (!getcwd(here, sizeof(here)))
		here[0] = 0;
	for (size_t i = 0; i < cli->args.word_count; i++) {
		const char *word = cli->args.words[i];
		if (access(word, F_OK) != 0) {
			(void)yg_fail_cause(err, YG_EABSENT, "scan.path", "%s", word);
			return NULL;
		}
		char *path YG_AUTO(mem) = word[0] == '/' ? yg_str_format("%s", word)
							 : yg_str_format("%s/%s", here, word);
		if (!path || json_array_append_new(paths, json_string(path)) < 0) {
			(void)yg_fail(err, YG_EFORMAT, "%s: not UTF-8", word);
			return NULL;
		}
	}
	return yg_take(paths);
}

int agent_scan(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *paths YG_AUTO(yg_json) = absolute(cli, &err);
	if (!paths)
		return cli_fail(cli, &err);
	json_t *found YG_AUTO(yg_json) = json_array(), *answer YG_AUTO(yg_json) = NULL;
	json_t *unjudged YG_AUTO(yg_json) = json_array();
	struct scan scan = {cli, found, unjudged};
	int code = call(cli, json_pack("{s:s, s:O}", "do", "scan", "paths", paths), scan_line,
		&scan, &answer);
	if (code != ARGS_DONE)
		return code;
	size_t count = json_array_size(found);
	if (cli->json) {
		/* The findings themselves in place of their number. */
		(void)json_object_set(answer, "found", found);
		(void)json_object_set(answer, "unjudged", unjudged);
		(void)cli_json(answer);
	} else {
		char *bytes YG_AUTO(
			mem) = text_bytes(json_integer_value(json_object_get(answer, "bytes")),
			cli->lang);
		(void)printf(cli_say(cli, "%lld files (%s), %zu with malware, %lld not judged\n",
				     "%lldファイル (%s)、検出%zu件、判定不能%lld件\n"),
			json_integer_value(json_object_get(answer, "files")), bytes, count,
			json_integer_value(json_object_get(answer, "unjudged")));
	}
	return count ? ARGS_FAILED : ARGS_DONE;
}

/* The agent has no texts: they are made here. */
static void add_event(struct cli *cli, struct text_table *table, json_t *item)
{
	uint32_t id = (uint32_t)json_integer_value(json_object_get(item, "id"));
	const struct yg_event *event = yg_event_find(id);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX + 1);
	struct yg_err err = {0};
	if (yg_event_render(id, json_object_get(item, "params"), cli->lang, &text, &err) < 0 ||
		yg_buf_add(&text, "", 1, &err) < 0)
		text.len = 0;
	const char *description = text.len ? (const char *)text.data : "";
	const char *level = event ? yg_event_level_name(event->level) : "";
	(void)json_object_set_new(item, "name", json_string(yg_event_name(id, cli->lang)));
	(void)json_object_set_new(item, "description", json_string(description));
	(void)json_object_set_new(item, "level", json_string(level));
	text_table_add(table, member(item, "time"));
	text_table_addf(table, "%u", id);
	char *word YG_AUTO(mem) = show_value(cli, item, "level");
	text_table_add(table, word);
	text_table_add(table, yg_event_name(id, cli->lang));
	text_table_add(table, description);
}

int agent_events(struct cli *cli)
{
	static const char *const headings[][2] = {{"Time", "時刻"}, {"Id", "ID"},
		{"Level", "レベル"}, {"Event", "イベント"}, {"Description", "説明"}};
	const char *limit = args_get(&cli->args, "--limit");
	uint64_t count = 20;
	struct yg_err err = {0};
	if (limit && yg_str_u64(limit, 500, &count, &err) < 0) {
		(void)yg_wrap(&err, "--limit");
		(void)cli_fail(cli, &err);
		return ARGS_USAGE;
	}
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = call(cli, json_pack("{s:s, s:I}", "do", "events", "limit", (json_int_t)count),
		NULL, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 5, headings);
	json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		add_event(cli, table, json_array_get(items, i));
	if (cli->json)
		return cli_json(answer);
	show_table(table);
	return ARGS_DONE;
}
