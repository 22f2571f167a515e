/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/manager.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/ask.h"
#include "cli/groups.h"
#include "cli/support.h"
#include "cli/text.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"
#include "proto/wire.h"

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
		{"alerts.error", {"Alerts: errors", "アラート: エラー"}},
		{"alerts.warning", {"  warnings", "  警告"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", yg_str_format("status"), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)show_object(cli, answer, rows, YG_COUNT(rows));
	const json_t *failure = json_object_get(answer, "check_failed");
	if (json_is_object(failure)) {
		char *line YG_AUTO(mem) = cli_sentence(cli, ask_member(failure, "cause"),
			ask_member(failure, "sentence"), true);
		(void)fputs(cli_say(cli, "The update source could not be checked: ",
				    "アップデート元を確認できません: "),
			stdout);
		text_put(line, stdout);
		(void)putchar('\n');
	}
	return ARGS_DONE;
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
		{"relay_group.name", {"Relay group", "Relayグループ"}},
		{"relay_urls", {"  addresses", "  アドレス"}},
		{"certificate.not_after", {"Certificate until", "証明書の有効期限"}},
		{"activated", {"Activated", "有効化"}},
		{"last_contact", {"Last contact", "最後の通信"}},
	};
	if (cli->args.word_count == 0)
		return ask_list(cli, "computers", columns, YG_COUNT(columns));
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (ask_resolve(cli, "computers", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	return ask_one(cli, ask_path("computers", id), rows, YG_COUNT(rows));
}

int manager_computers_delete(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (ask_resolve(cli, "computers", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	cli->args.words[0] = id;
	return ask_remove(cli, "computers");
}

/* ---- events, components ---- */

/* The code behind the text, as logs and jobs have it. */
static void name_causes(json_t *events)
{
	size_t i;
	json_t *event;
	json_array_foreach(events, i, event)
	{
		const char *cause = ask_member(json_object_get(event, "params"), "cause");
		if (*cause)
			(void)json_object_set_new(event, "description",
				json_sprintf("%s [%s]", ask_member(event, "description"), cause));
	}
}

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
	if (computer && ask_resolve(cli, "computers", computer, &id, &err) < 0) {
		free(path);
		return cli_fail(cli, &err);
	}
	path = api_query(path, "computer", id);
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", path, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (!cli->json && args_get(&cli->args, "--support"))
		return support_events(cli, json_object_get(answer, "items"));
	if (cli->json)
		return cli_json(answer);
	name_causes(json_object_get(answer, "items"));
	return show_list(cli, json_object_get(answer, "items"), columns, YG_COUNT(columns));
}

int manager_components(struct cli *cli)
{
	static const char *const headings[][2] = {{"Component", "コンポーネント"},
		{"Newest", "最新"}, {"Computers by version", "バージョン別台数"}};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", yg_str_format("components"), NULL, &answer);
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
		text_table_add(table, ask_member(item, "name"));
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
	return ask_list(cli, "tokens", columns, YG_COUNT(columns));
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
	int code = ask_manager(cli, "POST", yg_str_format("%s", what), body, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)printf("%s\n", ask_member(answer, secret));
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
		return ask_misuse(cli, &err);
	if (policy && ask_resolve(cli, "policies", policy, &id, &err) < 0)
		return cli_fail(cli, &err);
	if (groups_option(cli, "--relay-group", "relay_group", body, &err) < 0)
		return cli_fail(cli, &err);
	if (id)
		(void)json_object_set_new(body, "policy", json_string(id));
	if (args_get(&cli->args, "--no-relay"))
		(void)json_object_set_new(body, "relay", json_false());
	return created(cli, "tokens", "token", json_incref(body));
}

int manager_tokens_delete(struct cli *cli)
{
	return ask_remove(cli, "tokens");
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
	return ask_list(cli, "keys", columns, YG_COUNT(columns));
}

int manager_keys_create(struct cli *cli)
{
	const char *role = args_get(&cli->args, "--role");
	return created(cli, "keys", "key",
		json_pack("{s:s, s:s}", "name", cli->args.words[0], "role", role ? role : "full"));
}

int manager_keys_delete(struct cli *cli)
{
	return ask_remove(cli, "keys");
}

/* ---- policies ---- */

int manager_policies(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"version", {"Version", "版"}},
		{"default", {"Default", "既定"}},
		{"computers", {"Computers", "台数"}},
		{"updated", {"Changed", "変更"}},
		{"id", {"Id", "ID"}},
	};
	return ask_list(cli, "policies", columns, YG_COUNT(columns));
}

int manager_policies_show(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (ask_resolve(cli, "policies", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	int code = ask_manager(cli, "GET", ask_path("policies", id), NULL, &answer);
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
		return ask_misuse(cli, &err);
	}
	if (ask_resolve(cli, "policies", name, &id, &err) < 0 && err.code != YG_EABSENT)
		return cli_fail(cli, &err);
	int code = id
		? ask_manager(cli, "PUT", ask_path("policies", id),
			  json_pack("{s:O}", "document", document), &answer)
		: ask_manager(cli, "POST", yg_str_format("policies"),
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
	if (ask_resolve(cli, "policies", cli->args.words[0], &policy, &err) < 0)
		return cli_fail(cli, &err);
	json_t *ids YG_AUTO(yg_json) = ask_computers(cli, NULL, 1, cli->args.word_count, &err);
	if (!ids)
		return cli_fail(cli, &err);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		json_t *answer YG_AUTO(yg_json) = NULL;
		int code = ask_manager(cli, "PATCH",
			ask_path("computers", json_string_value(json_array_get(ids, i))),
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
	if (ask_resolve(cli, "policies", cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	cli->args.words[0] = id;
	return ask_remove(cli, "policies");
}
