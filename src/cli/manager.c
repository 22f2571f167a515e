/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/manager.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "cli/text.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/x509.h"
#include "proto/cause.h"
#include "proto/wire.h"

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* A usage error that the table of options cannot see. */
static int misuse(struct cli *cli, const struct yg_err *err)
{
	(void)cli_fail(cli, err);
	return ARGS_USAGE;
}

/* api_call that reports. `path` and `body` are taken over. */
static int ask(struct cli *cli, const char *method, char *path, json_t *body, json_t **answer)
{
	struct yg_err err = {0};
	char *own YG_AUTO(mem) = path;
	if (own && api_call(cli, method, own, body, answer, &err) == 0)
		return ARGS_DONE;
	if (!own)
		(void)yg_fail(&err, YG_ESYSTEM, "out of memory");
	return cli_fail(cli, &err);
}

/* "computers" and an id as the user typed it: nothing in it can be another path. */
static char *path_of(const char *what, const char *id)
{
	char *query YG_AUTO(mem) = api_query(yg_str_format("%s", ""), "", id);
	return yg_str_format("%s/%s", what, query + 2);
}

/* All pages of a list as one answer. */
static int ask_all(struct cli *cli, const char *what, json_t **answer)
{
	json_t *items YG_AUTO(yg_json) = json_array();
	char *cursor YG_AUTO(mem) = NULL;
	do {
		json_t *page YG_AUTO(yg_json) = NULL;
		char *path = api_query(api_query(yg_str_format("%s", what), "limit", "500"),
			"cursor", cursor);
		int code = ask(cli, "GET", path, NULL, &page);
		if (code != ARGS_DONE)
			return code;
		(void)json_array_extend(items, json_object_get(page, "items"));
		const char *next = json_string_value(json_object_get(page, "next"));
		free(cursor);
		cursor = next ? yg_str_format("%s", next) : NULL;
	} while (cursor);
	*answer = json_pack("{s:O, s:n}", "items", items, "next");
	return ARGS_DONE;
}

static int list(struct cli *cli, const char *what, const struct show_column *columns, size_t count)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_all(cli, what, &answer);
	if (code != ARGS_DONE)
		return code;
	return cli->json ? cli_json(answer)
			 : show_list(cli, json_object_get(answer, "items"), columns, count);
}

static int one(struct cli *cli, char *path, const struct show_column *columns, size_t count)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "GET", path, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	return cli->json ? cli_json(answer) : show_object(cli, answer, columns, count);
}

static int removed(struct cli *cli, const char *what)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "DELETE", path_of(what, cli->args.words[0]), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)puts(cli_say(cli, "Deleted", "削除しました"));
	return ARGS_DONE;
}

/* ---- status, computers ---- */

int manager_status(struct cli *cli)
{
	static const struct show_column rows[] = {
		{"version", {"Version", "バージョン"}},
		{"time", {"Time", "時刻"}},
		{"database.kind", {"Database", "データベース"}},
		{"computers.total", {"Computers", "コンピュータ"}},
		{"computers.online", {"  online", "  オンライン"}},
		{"computers.offline", {"  offline", "  オフライン"}},
		{"computers.protected", {"  protected", "  保護されている"}},
		{"computers.out_of_date", {"  out of date", "  最新でない"}},
		{"newest.components", {"Newest components", "最新のコンポーネント"}},
		{"newest.set", {"Newest set", "最新のコンテンツセット"}},
		{"newest.checked", {"Checked", "最終確認"}},
		{"jobs.running", {"Running jobs", "実行中のジョブ"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "GET", yg_str_format("status"), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)show_object(cli, answer, rows, YG_COUNT(rows));
	const json_t *failure = json_object_get(answer, "check_failed");
	if (json_is_object(failure)) {
		char *line YG_AUTO(mem) = cli_sentence(cli, member(failure, "cause"),
			member(failure, "sentence"), true);
		(void)fputs(cli_say(cli, "The update source could not be checked: ",
				    "アップデート元を確認できません: "),
			stdout);
		text_put(line, stdout);
		(void)putchar('\n');
	}
	return ARGS_DONE;
}

/* The id of a computer or policy that the user names by id or by its exact name. in  *id freed by
 * the caller. errors  YG_EABSENT, and those of api_call
 */
static int resolve(struct cli *cli, const char *what, const char *text, char **id,
	struct yg_err *err)
{
	if (yg_wire_uuid_ok(text)) {
		*id = yg_str_format("%s", text);
		return *id ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	bool computers = strcmp(what, "computers") == 0;
	json_t *answer YG_AUTO(yg_json) = NULL;
	char *path YG_AUTO(mem) = api_query(yg_str_format("%s?limit=500", what), "text",
		computers ? text : NULL);
	if (api_call(cli, "GET", path, NULL, &answer, err) < 0)
		return -1;
	const json_t *items = json_object_get(answer, "items");
	const char *found = NULL;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		if (strcmp(member(item, "name"), text) != 0 &&
			strcmp(member(item, "id"), text) != 0)
			continue;
		if (found)
			return yg_fail(err, YG_EFORMAT,
				cli_say(cli, "'%s' is the name of more than one: want an id",
					"'%s' という名前は複数あります。IDで指定してください"),
				text);
		found = member(item, "id");
	}
	if (!found)
		return yg_fail(err, YG_EABSENT,
			computers ? cli_say(cli, "there is no computer '%s'",
					    "コンピュータ '%s' はありません")
				  : cli_say(cli, "there is no policy '%s'",
					    "ポリシー '%s' はありません"),
			text);
	*id = yg_str_format("%s", found);
	return *id ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int manager_computers(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"state", {"State", "状態"}},
		{"protection", {"Protection", "保護"}},
		{"relay", {"Relay", "Relay"}},
		{"components", {"Components", "コンポーネント"}},
		{"newest", {"Content", "コンテンツ"}},
		{"last_contact", {"Last contact", "最後の通信"}},
		{"id", {"Id", "ID"}},
	};
	static const struct show_column rows[] = {
		{"name", {"Name", "名前"}},
		{"hostname", {"Host name", "ホスト名"}},
		{"id", {"Id", "ID"}},
		{"state", {"State", "状態"}},
		{"protection", {"Protection", "保護"}},
		{"kind", {"Kind", "種類"}},
		{"os", {"System", "OS"}},
		{"version", {"Agent version", "Agentバージョン"}},
		{"addresses", {"Addresses", "アドレス"}},
		{"policy", {"Policy", "ポリシー"}},
		{"policy.sent", {"  in force", "  適用状況"}},
		{"components", {"Components", "コンポーネント"}},
		{"newest", {"Content", "コンテンツ"}},
		{"set", {"Content set", "コンテンツセット"}},
		{"rollback_set", {"To roll back to", "ロールバック先"}},
		{"hold.set", {"On hold", "保留中"}},
		{"engine.state", {"Engine", "エンジン"}},
		{"engine.signatures", {"  signatures", "  シグネチャ数"}},
		{"relay", {"Relay", "Relay"}},
		{"relay_urls", {"  addresses", "  アドレス"}},
		{"certificate.not_after", {"Certificate until", "証明書の有効期限"}},
		{"activated", {"Activated", "有効化"}},
		{"last_contact", {"Last contact", "最後の通信"}},
	};
	if (cli->args.word_count == 0)
		return list(cli, "computers", columns, YG_COUNT(columns));
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (resolve(cli, "computers", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	return one(cli, path_of("computers", id), rows, YG_COUNT(rows));
}

int manager_computers_delete(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (resolve(cli, "computers", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	cli->args.words[0] = id;
	return removed(cli, "computers");
}

/* ---- jobs ---- */

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
	if (*changes && !*member(computer, "cause"))
		return yg_take(changes);
	return cli_sentence(cli, member(computer, "cause"), member(computer, "sentence"), false);
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
		"job", member(job, "id"));
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
				member(json_object_get(item, "computer"), "name"), "path",
				member(params, "path"), "signature", member(params, "signature")));
	}
	return ARGS_DONE;
}

static void show_findings(const json_t *found)
{
	size_t i;
	json_t *item;
	json_array_foreach(found, i, item)
	{
		text_put(member(item, "computer"), stdout);
		(void)fputs(": ", stdout);
		text_put(member(item, "path"), stdout);
		(void)fputs(": ", stdout);
		text_put(member(item, "signature"), stdout);
		(void)putchar('\n');
	}
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
		{"ended", {"Ended", "終了"}},
	};
	static const char *const headings[][2] = {{"Computer", "コンピュータ"}, {"As", "役割"},
		{"State", "状態"}, {"Phase", "段階"}, {"Result", "結果"}};
	json_t *found YG_AUTO(yg_json) = NULL;
	if (strcmp(member(job, "kind"), "scan") == 0) {
		int code = findings(cli, job, tries, &found);
		if (code != ARGS_DONE)
			return code;
		(void)json_object_set(job, "found", found);
	}
	if (cli->json)
		return cli_json(job);
	(void)show_object(cli, job, rows, YG_COUNT(rows));
	(void)putchar('\n');
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 5, headings);
	const json_t *computers = json_object_get(job, "computers");
	for (size_t i = 0; i < json_array_size(computers); i++) {
		const json_t *computer = json_array_get(computers, i);
		const char *name = member(computer, "name");
		char *what YG_AUTO(mem) = result(cli, computer);
		static const char *const columns[] = {"as", "state", "phase"};
		text_table_add(table, *name ? name : member(computer, "id"));
		for (size_t k = 0; k < YG_COUNT(columns); k++) {
			char *text YG_AUTO(mem) = show_value(cli, computer, columns[k]);
			text_table_add(table, text);
		}
		text_table_add(table, what);
	}
	text_table_print(table, stdout);
	if (json_array_size(found) > 0)
		(void)putchar('\n');
	show_findings(found);
	return ARGS_DONE;
}

int manager_jobs(struct cli *cli)
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
		return list(cli, "jobs", columns, YG_COUNT(columns));
	json_t *job YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "GET", path_of("jobs", cli->args.words[0]), NULL, &job);
	return code == ARGS_DONE ? show_job(cli, job, 1) : code;
}

/* "2 of 3 done; web1: fetch 40%" */
static void show_progress(const struct cli *cli, const json_t *job)
{
	const json_t *computers = json_object_get(job, "computers"), *at = NULL;
	size_t ended = 0, total = json_array_size(computers);
	for (size_t i = 0; i < total; i++) {
		const json_t *computer = json_array_get(computers, i);
		const char *state = member(computer, "state");
		if (strcmp(state, "running") == 0)
			at = computer;
		if (*member(computer, "outcome") || strcmp(state, "success") == 0 ||
			strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0)
			ended++;
	}
	json_int_t of = json_integer_value(json_object_get(at, "of"));
	json_int_t done = json_integer_value(json_object_get(at, "done"));
	char *percent YG_AUTO(mem) = of > 0 && done <= of
		? yg_str_format(" %lld%%", (long long)(done * 100 / of))
		: NULL;
	char *phase YG_AUTO(mem) = show_value(cli, at, "phase");
	if (at)
		cli_progress(cli,
			cli_say(cli, "%zu of %zu done; %s: %s%s",
				"%2$zu台中%1$zu台完了、%3$s: %4$s%5$s"),
			ended, total, member(at, "name"), phase, percent ? percent : "");
	else
		cli_progress(cli, cli_say(cli, "%zu of %zu done", "%2$zu台中%1$zu台完了"), ended,
			total);
}

static int wait_job(struct cli *cli, const char *id)
{
	unsigned shown = 0;
	for (;;) {
		json_t *job YG_AUTO(yg_json) = NULL;
		int code = ask(cli, "GET", path_of("jobs", id), NULL, &job);
		if (code != ARGS_DONE)
			return code;
		if (strcmp(member(job, "state"), "done") == 0) {
			code = show_job(cli, job, FINDINGS_TRIES);
			bool good = strcmp(member(job, "outcome"), "success") == 0 &&
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

/* Create a job; `body` is taken over. With --wait its outcome is the exit code. */
static int start_job(struct cli *cli, json_t *body)
{
	json_t *job YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "POST", yg_str_format("jobs"), body, &job);
	if (code != ARGS_DONE)
		return code;
	if (args_get(&cli->args, "--wait"))
		return wait_job(cli, member(job, "id"));
	if (cli->json)
		return cli_json(job);
	(void)printf(cli_say(cli, "Job %s\n", "ジョブ %s\n"), member(job, "id"));
	return ARGS_DONE;
}

/* Ids of the computers in words[first..], or in a list with commas. A new array. */
static json_t *computers_of(struct cli *cli, const char *commas, size_t first, size_t end,
	struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = json_array();
	char *copy YG_AUTO(mem) = commas ? yg_str_format("%s", commas) : NULL;
	char *rest = copy;
	while (rest ? true : first < end) {
		char *next = rest ? strchr(rest, ',') : NULL;
		if (next)
			*next++ = 0;
		char *id YG_AUTO(mem) = NULL;
		if (resolve(cli, "computers", rest ? rest : cli->args.words[first], &id, err) < 0)
			return NULL;
		(void)json_array_append_new(ids, json_string(id));
		if (!rest)
			first++;
		else if (next)
			rest = next;
		else
			break;
	}
	return yg_take(ids);
}

int manager_update(struct cli *cli)
{
	struct yg_err err = {0};
	const char *named = args_get(&cli->args, "--computers");
	json_t *ids YG_AUTO(yg_json) = !named || strcmp(named, "all") == 0
		? json_string("all")
		: computers_of(cli, named, 0, 0, &err);
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
	json_t *ids YG_AUTO(yg_json) = computers_of(cli, NULL, 0, cli->args.word_count, &err);
	if (!ids)
		return cli_fail(cli, &err);
	return start_job(cli, json_pack("{s:s, s:O}", "kind", kind, "computers", ids));
}

int manager_rollback(struct cli *cli)
{
	return job_of(cli, "rollback");
}

int manager_release_hold(struct cli *cli)
{
	return job_of(cli, "release_hold");
}

int manager_policies_send(struct cli *cli)
{
	return job_of(cli, "policy");
}

int manager_scan(struct cli *cli)
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
			return misuse(cli, &err);
		}
		(void)json_array_append_new(paths, json_string(cli->args.words[i]));
	}
	ids = computers_of(cli, NULL, 0, 1, &err);
	if (!ids)
		return cli_fail(cli, &err);
	return start_job(cli,
		json_pack("{s:s, s:O, s:O}", "kind", "scan", "computers", ids, "paths", paths));
}

/* ---- events, components ---- */

int manager_events(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"time", {"Time", "時刻"}},
		{"id", {"Id", "ID"}},
		{"level", {"Level", "レベル"}},
		{"computer", {"Computer", "コンピュータ"}},
		{"name", {"Event", "イベント"}},
		{"description", {"Description", "説明"}},
	};
	static const char *const filters[] = {"--id", "--level", "--text", "--from", "--to",
		"--limit"};
	struct yg_err err = {0};
	char *path = api_query(yg_str_format("events"), "lang", yg_lang_name(cli->lang));
	for (size_t i = 0; i < YG_COUNT(filters); i++)
		path = api_query(path, filters[i] + 2, args_get(&cli->args, filters[i]));
	const char *computer = args_get(&cli->args, "--computer");
	char *id YG_AUTO(mem) = NULL;
	if (computer && resolve(cli, "computers", computer, &id, &err) < 0) {
		free(path);
		return cli_fail(cli, &err);
	}
	path = api_query(path, "computer", id);
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "GET", path, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	return cli->json
		? cli_json(answer)
		: show_list(cli, json_object_get(answer, "items"), columns, YG_COUNT(columns));
}

int manager_components(struct cli *cli)
{
	static const char *const headings[][2] = {{"Component", "コンポーネント"},
		{"Newest", "最新"}, {"Computers by version", "バージョン別台数"}};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "GET", yg_str_format("components"), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	struct text_table *table YG_AUTO(text_table) = cli_table(cli, 3, headings);
	const json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		const json_t *versions = json_object_get(item, "versions");
		char *newest YG_AUTO(mem) = text_value(json_object_get(item, "newest"), cli->lang);
		char *all YG_AUTO(mem) = yg_str_format("%s", "");
		for (size_t v = 0; all && v < json_array_size(versions); v++) {
			char *before YG_AUTO(mem) = all;
			const json_t *row = json_array_get(versions, v);
			all = yg_str_format("%s%s%lld: %lld", before, *before ? ", " : "",
				json_integer_value(json_object_get(row, "version")),
				json_integer_value(json_object_get(row, "computers")));
		}
		text_table_add(table, member(item, "name"));
		text_table_add(table, newest);
		text_table_add(table, all);
	}
	show_table(table);
	return ARGS_DONE;
}

/* ---- tokens, keys ---- */

int manager_tokens(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"id", {"Id", "ID"}},
		{"name", {"Name", "名前"}},
		{"used", {"Used", "使用回数"}},
		{"uses", {"Of", "上限"}},
		{"relay", {"Relay", "Relay"}},
		{"created", {"Created", "作成"}},
		{"expires", {"Expires", "有効期限"}},
		{"revoked", {"Withdrawn", "取り消し"}},
	};
	return list(cli, "tokens", columns, YG_COUNT(columns));
}

/* Put an option's number into a body; nothing when it was not given. */
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

/* The secret alone on stdout, for scripts. */
static int created(struct cli *cli, const char *what, const char *secret, json_t *body)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask(cli, "POST", yg_str_format("%s", what), body, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)printf("%s\n", member(answer, secret));
	return ARGS_DONE;
}

int manager_tokens_create(struct cli *cli)
{
	struct yg_err err = {0};
	const char *policy = args_get(&cli->args, "--policy");
	char *id YG_AUTO(mem) = NULL;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s*}", "name", args_get(&cli->args, "--name"));
	if (number(cli, "--uses", "uses", body, &err) < 0 ||
		number(cli, "--valid", "valid_s", body, &err) < 0)
		return misuse(cli, &err);
	if (policy && resolve(cli, "policies", policy, &id, &err) < 0)
		return cli_fail(cli, &err);
	if (id)
		(void)json_object_set_new(body, "policy", json_string(id));
	if (args_get(&cli->args, "--no-relay"))
		(void)json_object_set_new(body, "relay", json_false());
	return created(cli, "tokens", "token", json_incref(body));
}

int manager_tokens_delete(struct cli *cli)
{
	return removed(cli, "tokens");
}

int manager_keys(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"id", {"Id", "ID"}},
		{"name", {"Name", "名前"}},
		{"role", {"Role", "権限"}},
		{"created", {"Created", "作成"}},
		{"last_used", {"Last used", "最終使用"}},
		{"revoked", {"Withdrawn", "取り消し"}},
	};
	return list(cli, "keys", columns, YG_COUNT(columns));
}

int manager_keys_create(struct cli *cli)
{
	const char *role = args_get(&cli->args, "--role");
	return created(cli, "keys", "key",
		json_pack("{s:s, s:s}", "name", cli->args.words[0], "role", role ? role : "full"));
}

int manager_keys_delete(struct cli *cli)
{
	return removed(cli, "keys");
}

/* ---- settings ---- */

/* A certificate in a few words; of any other long text its size. */
static void add_long(const struct cli *cli, struct text_table *table, const char *text)
{
	struct yg_x509_info info = {0};
	struct yg_err err = {0};
	size_t count = 0;
	size_t bytes = strlen(text);
	if (yg_x509_count(yg_bytes_of(text), &count, &err) < 0 ||
		yg_x509_read(yg_bytes_of(text), &info, &err) < 0)
		text_table_addf(table, cli_say(cli, "set, %zu bytes", "設定済み (%zuバイト)"),
			bytes);
	else if (count == 1)
		text_table_addf(table, cli_say(cli, "%s (%zu bytes)", "%s (%zuバイト)"),
			info.subject, bytes);
	else
		text_table_addf(table,
			cli_say(cli, "%s and others (%zu certificates, %zu bytes)",
				"%s など (証明書%zu件、%zuバイト)"),
			info.subject, count, bytes);
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
		char *text YG_AUTO(mem) = text_value(item, cli->lang);
		text_table_add(table, path);
		if (strchr(text, '\n'))
			add_long(cli, table, text);
		else
			text_table_add(table, text);
	}
}

/* The text of a file, for values that begin with '@'. A new string. */
static char *file_text(const char *path, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, path, err);
	if (fd < 0 || yg_fs_read_fd(fd, &text, err) < 0 || yg_buf_add(&text, "", 1, err) < 0)
		return NULL;
	return yg_str_format("%s", (const char *)text.data);
}

/* A value as text becomes what the setting is now. returns a new reference, or NULL */
static json_t *typed(const json_t *now, const char *text, struct yg_err *err)
{
	uint64_t number_value = 0;
	if (json_is_boolean(now)) {
		bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
		if (yes || strcmp(text, "no") == 0 || strcmp(text, "false") == 0)
			return json_boolean(yes);
		(void)yg_fail(err, YG_EFORMAT, "want yes or no, have '%s'", text);
		return NULL;
	}
	if (json_is_integer(now))
		return yg_str_u64(text, INT32_MAX, &number_value, err) < 0
			? NULL
			: json_integer((json_int_t)number_value);
	if (text[0] != '@')
		return json_string(text);
	char *content YG_AUTO(mem) = file_text(text + 1, err);
	return content ? json_string(content) : NULL;
}

/* "source.url=https://…" into {"source":{"url":…}}. */
static int set_one(const json_t *now, const char *word, json_t *change, struct yg_err *err)
{
	size_t len = strcspn(word, "=");
	char *name YG_AUTO(mem) = yg_str_format("%.*s", (int)len, word);
	const json_t *present = name ? show_at(now, name) : NULL;
	if (!word[len])
		return yg_fail(err, YG_EFORMAT, "want NAME=VALUE, have '%s'", word);
	if (!present || json_is_object(present))
		return yg_fail(err, YG_EABSENT, "there is no setting '%s'", name ? name : "");
	json_t *value YG_AUTO(yg_json) = typed(present, word + len + 1, err);
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

int manager_settings(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *now YG_AUTO(yg_json) = NULL;
	json_t *change YG_AUTO(yg_json) = json_object();
	int code = ask(cli, "GET", yg_str_format("settings"), NULL, &now);
	if (code != ARGS_DONE)
		return code;
	for (size_t i = 0; i < cli->args.word_count; i++)
		if (set_one(now, cli->args.words[i], change, &err) < 0)
			return misuse(cli, &err);
	json_t *answer YG_AUTO(yg_json) = json_incref(now);
	if (cli->args.word_count) {
		json_decref(answer);
		answer = NULL;
		code = ask(cli, "PATCH", yg_str_format("settings"), json_incref(change), &answer);
		if (code != ARGS_DONE)
			return code;
	}
	if (cli->json)
		return cli_json(answer);
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	flatten(cli, table, "", answer);
	text_table_print(table, stdout);
	return ARGS_DONE;
}

/* ---- policies ---- */

int manager_policies(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"version", {"Version", "版"}},
		{"default", {"Default", "初期値"}},
		{"computers", {"Computers", "台数"}},
		{"updated", {"Changed", "変更"}},
		{"id", {"Id", "ID"}},
	};
	return list(cli, "policies", columns, YG_COUNT(columns));
}

int manager_policies_show(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (resolve(cli, "policies", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	int code = ask(cli, "GET", path_of("policies", id), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	char *text YG_AUTO(mem) = json_dumps(json_object_get(answer, "document"),
		JSON_INDENT(2) | JSON_SORT_KEYS);
	(void)puts(text ? text : "");
	return ARGS_DONE;
}

/* The document of a file; with the name of a policy that is there it is replaced, else made. */
int manager_policies_set(struct cli *cli)
{
	struct yg_err err = {0};
	const char *name = args_get(&cli->args, "--name");
	json_t *document YG_AUTO(yg_json) = NULL, *answer YG_AUTO(yg_json) = NULL;
	char *id YG_AUTO(mem) = NULL;
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, cli->args.words[0], &err);
	if (fd < 0 || yg_json_read(fd, 4u << 20, &document, &err) < 0) {
		if (fd >= 0)
			(void)yg_wrap(&err, "%s", cli->args.words[0]);
		return cli_fail(cli, &err);
	}
	if (!name) {
		(void)yg_fail(&err, YG_EFORMAT, "%s",
			cli_say(cli, "want --name NAME", "--name で名前を指定してください"));
		return misuse(cli, &err);
	}
	if (resolve(cli, "policies", name, &id, &err) < 0 && err.code != YG_EABSENT)
		return cli_fail(cli, &err);
	int code = id
		? ask(cli, "PUT", path_of("policies", id), json_pack("{s:O}", "document", document),
			  &answer)
		: ask(cli, "POST", yg_str_format("policies"),
			  json_pack("{s:s, s:O}", "name", name, "document", document), &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)printf(cli_say(cli, "Policy %s, version %lld\n", "ポリシー %s (版 %lld)\n"), name,
		json_integer_value(json_object_get(answer, "version")));
	return ARGS_DONE;
}

int manager_policies_assign(struct cli *cli)
{
	struct yg_err err = {0};
	char *policy YG_AUTO(mem) = NULL;
	if (resolve(cli, "policies", cli->args.words[0], &policy, &err) < 0)
		return cli_fail(cli, &err);
	json_t *ids YG_AUTO(yg_json) = computers_of(cli, NULL, 1, cli->args.word_count, &err);
	if (!ids)
		return cli_fail(cli, &err);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		json_t *answer YG_AUTO(yg_json) = NULL;
		int code = ask(cli, "PATCH",
			path_of("computers", json_string_value(json_array_get(ids, i))),
			json_pack("{s:s}", "policy", policy), &answer);
		if (code != ARGS_DONE)
			return code;
		if (cli->json)
			(void)cli_json(answer);
	}
	if (!cli->json)
		(void)puts(cli_say(cli, "Assigned", "割り当てました"));
	return ARGS_DONE;
}

int manager_policies_delete(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (resolve(cli, "policies", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	cli->args.words[0] = id;
	return removed(cli, "policies");
}
