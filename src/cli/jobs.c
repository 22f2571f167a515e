/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/ask.h"
#include "cli/support.h"
#include "cli/text.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "proto/word.h"

/* What a computer's part came to: what a scan saw, what an update changed, or the sentence of its
 * failure in the user's language. A new string.
 */
static char *result(const struct cli *cli, const json_t *computer)
{
	const json_t *detail = json_object_get(computer, "detail");
	const json_t *files = json_object_get(detail, "files"),
		     *found = json_object_get(detail, "found");
	if (json_is_integer(files) && json_is_integer(found))
		return yg_str_format(cli_say(cli, "%lld files, %lld with malware",
					     "%lldファイル、検出%lld件"),
			json_integer_value(files), json_integer_value(found));
	char *changes YG_AUTO(mem) = text_updated(json_object_get(detail, "updated"));
	if (*changes && !*ask_member(computer, "cause"))
		return yg_take(changes);
	const char *cause = ask_member(computer, "cause"), *said = ask_member(computer, "sentence");
	char *text YG_AUTO(
		mem) = cli_sentence(cli, cause, yg_word(YG_WORDS_REASON, said, cli->lang), false);
	return *cause ? yg_str_format("%s [%s]", text, cause) : yg_take(text);
}

/* What helps, once for each cause that parts ended with. */
static void show_remedies(const struct cli *cli, const json_t *computers)
{
	json_t *told YG_AUTO(yg_json) = json_object();
	size_t i;
	json_t *computer;
	json_array_foreach(computers, i, computer)
	{
		const char *cause = ask_member(computer, "cause");
		const struct yg_cause *known = yg_cause_find(cause);
		if (!known || !*yg_cause_remedy(known, cli->lang) || json_object_get(told, cause))
			continue;
		(void)printf("%s→ [%s] ", json_object_size(told) == 0 ? "\n" : "", cause);
		text_put(yg_cause_remedy(known, cli->lang), stdout);
		(void)putchar('\n');
		(void)json_object_set_new(told, cause, json_true());
	}
}

static bool is_over(const json_t *computer)
{
	const char *state = ask_member(computer, "state");
	return *ask_member(computer, "outcome") || strcmp(state, "success") == 0 ||
		strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
}

/* "3.0 MiB of 4.0 MiB", "1.2 MiB" or "". A new string. */
static char *amount(const struct cli *cli, const json_t *computer)
{
	json_int_t bytes = json_integer_value(json_object_get(computer, "bytes"));
	json_int_t of = json_integer_value(json_object_get(computer, "bytes_of"));
	char *have YG_AUTO(mem) = text_bytes(bytes, cli->lang);
	char *all YG_AUTO(mem) = text_bytes(of, cli->lang);
	if (of <= 0)
		return bytes > 0 ? yg_take(have) : yg_str_format("%s", "");
	return yg_str_format(cli_say(cli, "%s of %s", "%s / %s"), have, all);
}

/* What a part waits for, or what it does at the moment: of what component, how much, how long still. A new
 * string.
 */
static char *going_on(const struct cli *cli, const json_t *computer)
{
	const json_t *waits = json_object_get(computer, "waits_for");
	const json_t *left = json_object_get(computer, "left_s");
	if (*ask_member(waits, "job")) {
		char *phase YG_AUTO(mem) = show_value(cli, waits, "phase");
		return yg_str_format(cli_say(cli, "joined job %s of %s (%s)",
					     "ジョブ%1$s (要求元: %2$s、%3$s) に合流"),
			ask_member(waits, "job"), ask_member(waits, "by"), phase);
	}
	if (*ask_member(waits, "group"))
		return yg_str_format(cli_say(cli, "waits for relay group %s",
					     "Relayグループ%sの完了を待機中"),
			ask_member(waits, "group"));
	char *how YG_AUTO(mem) = amount(cli, computer);
	char *time YG_AUTO(mem) = json_is_integer(left)
		? yg_str_format(cli_say(cli, "%lld s left", "残り%lld秒"),
			  (long long)json_integer_value(left))
		: NULL;
	const char *what = ask_member(computer, "what");
	return yg_str_format("%s%s%s%s%s", what, *what && *how ? " " : "", how,
		time && (*what || *how) ? ", " : "", time ? time : "");
}

#define MALWARE_FOUND  "20100" /* the event */
#define FINDINGS_TRIES 20

/* How many files with malware the computers of a job counted. */
static json_int_t counted(const json_t *job)
{
	json_int_t sum = 0;
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(job, "computers"), i, item)
	{
		sum += json_integer_value(
			json_object_get(json_object_get(item, "detail"), "found"));
	}
	return sum;
}

/* What the scans of a job found, [{"computer","path","signature"}] in *found. Agents report each finding
 * as an event, which can come after the result: `tries` times half a second are waited for them.
 */
static int findings(struct cli *cli, const json_t *job, int tries, json_t **found)
{
	json_int_t want = counted(job);
	char *path YG_AUTO(mem) = api_query(api_query(yg_str_format("events"), "id", MALWARE_FOUND),
		"job", ask_member(job, "id"));
	json_t *answer YG_AUTO(yg_json) = NULL;
	for (; want > 0 && tries > 0; tries--) {
		json_decref(answer);
		answer = NULL;
		int code = ask_all(cli, path, &answer);
		if (code != ARGS_DONE)
			return code;
		if ((json_int_t)json_array_size(json_object_get(answer, "items")) >= want)
			break;
		if (tries > 1)
			(void)nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	}
	*found = json_array();
	const json_t *items = json_object_get(answer, "items");
	for (size_t i = json_array_size(items); i-- > 0;) {
		const json_t *item = json_array_get(items, i);
		const json_t *params = json_object_get(item, "params");
		(void)json_array_append_new(*found,
			json_pack("{s:s, s:s, s:s}", "computer",
				ask_member(json_object_get(item, "computer"), "name"), "path",
				ask_member(params, "path"), "signature",
				ask_member(params, "signature")));
	}
	return ARGS_DONE;
}

static void show_findings(const json_t *found)
{
	size_t i;
	json_t *item;
	json_array_foreach(found, i, item)
	{
		text_put(ask_member(item, "computer"), stdout);
		(void)fputs(": ", stdout);
		text_put(ask_member(item, "path"), stdout);
		(void)fputs(": ", stdout);
		text_put(ask_member(item, "signature"), stdout);
		(void)putchar('\n');
	}
}

/* The relay groups of an update, when there is more than one. */
static void show_groups(const struct cli *cli, const json_t *groups)
{
	static const char *const headings[][2] = {{"Relay group", "Relayグループ"},
		{"Above", "上位グループ"}, {"State", "状態"}, {"Result", "結果"}};
	size_t i;
	json_t *group;
	if (json_array_size(groups) < 2)
		return;
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 4, headings);
	json_array_foreach(groups, i, group)
	{
		char *state YG_AUTO(mem) = show_value(cli, group, "state");
		char *why YG_AUTO(mem) = cli_sentence(cli, ask_member(group, "cause"),
			ask_member(group, "sentence"), false);
		text_table_add(table, ask_member(group, "name"));
		text_table_add(table, ask_member(group, "above"));
		text_table_add(table, state);
		text_table_add(table, why);
	}
	text_table_print(table, stdout);
	(void)putchar('\n');
}

static int show_job(struct cli *cli, json_t *job, int tries)
{
	static const struct show_column rows[] = {
		{"id", {"Job", "ジョブ"}},
		{"kind", {"Kind", "種類"}},
		{"state", {"State", "状態"}},
		{"outcome", {"Outcome", "結果"}},
		{"by", {"Asked for by", "要求元"}},
		{"created", {"Created", "作成"}},
		{"deadline", {"Deadline", "期限"}},
		{"ended", {"Ended", "終了"}},
		{"cancelled_by", {"Cancelled by", "キャンセルした人"}},
	};
	static const char *const headings[][2] = {{"Computer", "コンピュータ"}, {"As", "役割"},
		{"State", "状態"}, {"Phase", "段階"}, {"Result", "結果"}};
	json_t *found YG_AUTO(yg_json) = NULL;
	if (strcmp(ask_member(job, "kind"), "scan") == 0) {
		int code = findings(cli, job, tries, &found);
		if (code != ARGS_DONE)
			return code;
		(void)json_object_set(job, "found", found);
	}
	if (cli->json)
		return cli_json(job);
	(void)show_object(cli, job, rows, YG_COUNT(rows));
	(void)putchar('\n');
	show_groups(cli, json_object_get(job, "groups"));
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 5, headings);
	const json_t *computers = json_object_get(job, "computers");
	for (size_t i = 0; i < json_array_size(computers); i++) {
		const json_t *computer = json_array_get(computers, i);
		const char *name = ask_member(computer, "name");
		char *what YG_AUTO(mem) = is_over(computer) ? result(cli, computer)
							    : going_on(cli, computer);
		static const char *const columns[] = {"as", "state", "phase"};
		text_table_add(table, *name ? name : ask_member(computer, "id"));
		for (size_t k = 0; k < YG_COUNT(columns); k++) {
			char *text YG_AUTO(mem) = show_value(cli, computer, columns[k]);
			text_table_add(table, text);
		}
		text_table_add(table, what);
	}
	text_table_print(table, stdout);
	show_remedies(cli, computers);
	if (json_array_size(found) > 0)
		(void)putchar('\n');
	show_findings(found);
	return ARGS_DONE;
}

int jobs_list(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"id", {"Job", "ジョブ"}},
		{"kind", {"Kind", "種類"}},
		{"state", {"State", "状態"}},
		{"outcome", {"Outcome", "結果"}},
		{"counts.total", {"Parts", "件数"}},
		{"counts.failed", {"Failed", "失敗"}},
		{"by", {"By", "要求元"}},
		{"created", {"Created", "作成"}},
		{"ended", {"Ended", "終了"}},
	};
	if (cli->args.word_count == 0)
		return ask_list(cli, "jobs", columns, YG_COUNT(columns));
	json_t *job YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", ask_path("jobs", cli->args.words[0]), NULL, &job);
	if (code == ARGS_DONE && args_get(&cli->args, "--support"))
		return support_job(cli, job);
	return code == ARGS_DONE ? show_job(cli, job, 1) : code;
}

/* "2 of 3 done; web1: fetch 40%" */
static void show_progress(const struct cli *cli, const json_t *job)
{
	const json_t *computers = json_object_get(job, "computers"), *at = NULL;
	size_t ended = 0, total = json_array_size(computers);
	for (size_t i = 0; i < total; i++) {
		const json_t *computer = json_array_get(computers, i);
		const char *state = ask_member(computer, "state");
		if (strcmp(state, "running") == 0)
			at = computer;
		if (is_over(computer))
			ended++;
	}
	json_int_t of = json_integer_value(json_object_get(at, "of"));
	json_int_t done = json_integer_value(json_object_get(at, "done"));
	char *percent YG_AUTO(mem) = of > 0 && done <= of
		? yg_str_format(" %lld%%", (long long)(done * 100 / of))
		: NULL;
	char *phase YG_AUTO(mem) = show_value(cli, at, "phase");
	char *what YG_AUTO(mem) = going_on(cli, at);
	if (at)
		cli_progress(cli,
			cli_say(cli, "%zu of %zu done; %s: %s%s%s%s",
				"%2$zu台中%1$zu台完了、%3$s: %4$s%5$s%6$s%7$s"),
			ended, total, ask_member(at, "name"), phase, percent ? percent : "",
			*what ? " " : "", what);
	else
		cli_progress(cli, cli_say(cli, "%zu of %zu done", "%2$zu台中%1$zu台完了"), ended,
			total);
}

static int wait_job(struct cli *cli, const char *id)
{
	unsigned shown = 0;
	for (;;) {
		json_t *job YG_AUTO(yg_json) = NULL;
		int code = ask_manager(cli, "GET", ask_path("jobs", id), NULL, &job);
		if (code != ARGS_DONE)
			return code;
		if (strcmp(ask_member(job, "state"), "done") == 0) {
			code = show_job(cli, job, FINDINGS_TRIES);
			bool good = strcmp(ask_member(job, "outcome"), "success") == 0 &&
				counted(job) == 0;
			return code == ARGS_DONE && !good ? ARGS_FAILED : code;
		}
		/* A line every two seconds. Large jobs are asked for less often: the answer is large too. */
		size_t many = json_array_size(json_object_get(job, "computers"));
		if (many > 500 || shown++ % 4 == 0)
			show_progress(cli, job);
		(void)nanosleep(&(struct timespec){.tv_sec = many > 500 ? 5 : 0,
					.tv_nsec = 500000000},
			NULL);
	}
}

int jobs_cancel(struct cli *cli)
{
	json_t *job YG_AUTO(yg_json) = NULL;
	char *path YG_AUTO(mem) = ask_path("jobs", cli->args.words[0]);
	int code = ask_manager(cli, "POST", yg_str_format("%s/cancel", path), NULL, &job);
	if (code != ARGS_DONE)
		return code;
	if (args_get(&cli->args, "--wait"))
		return wait_job(cli, cli->args.words[0]);
	return cli->json ? cli_json(job) : show_job(cli, job, 1);
}

/* Create a job; `body` is taken over. With --wait its outcome is the exit code. */
static int start_job(struct cli *cli, json_t *body)
{
	json_t *job YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "POST", yg_str_format("jobs"), body, &job);
	if (code != ARGS_DONE)
		return code;
	if (args_get(&cli->args, "--wait"))
		return wait_job(cli, ask_member(job, "id"));
	if (cli->json)
		return cli_json(job);
	(void)printf(cli_say(cli, "Job %s\n", "ジョブ %s\n"), ask_member(job, "id"));
	return ARGS_DONE;
}

int jobs_update(struct cli *cli)
{
	struct yg_err err = {0};
	const char *named = args_get(&cli->args, "--computers");
	json_t *ids YG_AUTO(yg_json) = !named || strcmp(named, "all") == 0
		? json_string("all")
		: ask_computers(cli, named, 0, 0, &err);
	if (!ids)
		return cli_fail(cli, &err);
	return start_job(cli,
		json_pack("{s:s, s:O, s:b, s:b}", "kind", "update", "computers", ids, "relays",
			args_get(&cli->args, "--no-relays") == NULL, "scheduled",
			args_get(&cli->args, "--scheduled") != NULL));
}

static int job_of(struct cli *cli, const char *kind)
{
	struct yg_err err = {0};
	json_t *ids YG_AUTO(yg_json) = ask_computers(cli, NULL, 0, cli->args.word_count, &err);
	if (!ids)
		return cli_fail(cli, &err);
	return start_job(cli, json_pack("{s:s, s:O}", "kind", kind, "computers", ids));
}

int jobs_rollback(struct cli *cli)
{
	return job_of(cli, "rollback");
}

int jobs_release_hold(struct cli *cli)
{
	return job_of(cli, "release_hold");
}

int jobs_send_policy(struct cli *cli)
{
	return job_of(cli, "policy");
}

int jobs_scan(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *paths YG_AUTO(yg_json) = json_array();
	json_t *ids YG_AUTO(yg_json) = NULL;
	for (size_t i = 1; i < cli->args.word_count; i++) {
		if (cli->args.words[i][0] != '/') {
			(void)yg_fail(&err, YG_EFORMAT,
				cli_say(cli, "want an absolute path, have '%s'",
					"絶対パスで指定してください: '%s'"),
				cli->args.words[i]);
			return ask_misuse(cli, &err);
		}
		(void)json_array_append_new(paths, json_string(cli->args.words[i]));
	}
	ids = ask_computers(cli, NULL, 0, 1, &err);
	if (!ids)
		return cli_fail(cli, &err);
	return start_job(cli,
		json_pack("{s:s, s:O, s:O}", "kind", "scan", "computers", ids, "paths", paths));
}
