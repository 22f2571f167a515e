/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/groups.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/text.h"
#include "core/json.h"
#include "core/str.h"

static int find(struct cli *cli, const char *text, char **id, struct yg_err *err)
{
	if (ask_resolve(cli, "relay-groups", text, id, err) == 0)
		return 0;
	if (err->code != YG_EABSENT)
		return -1;
	*err = (struct yg_err){0};
	return yg_fail(err, YG_EABSENT,
		cli_say(cli, "there is no relay group '%s'", "Relayグループ '%s' はありません"),
		text);
}

int groups_option(struct cli *cli, const char *option, const char *name, json_t *body,
	struct yg_err *err)
{
	const char *text = args_get(&cli->args, option);
	char *id YG_AUTO(mem) = NULL;
	if (!text)
		return 0;
	if (text[0] != '\0' && find(cli, text, &id, err) < 0)
		return -1;
	if (json_object_set_new(body, name, json_string(id ? id : "")) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int show(const struct cli *cli, const json_t *group)
{
	static const struct show_column rows[] = {
		{"name", {"Name", "名前"}},
		{"id", {"Id", "ID"}},
		{"default", {"Default", "既定"}},
		{"parent.name", {"Takes from", "取得元グループ"}},
		{"depth", {"Level", "階層"}},
		{"relays", {"Relays", "Relay"}},
		{"computers", {"Other computers", "その他のコンピュータ"}},
		{"served_by.name", {"Served by", "配信元グループ"}},
		{"created", {"Created", "作成"}},
	};
	static const struct show_column members[] = {
		{"name", {"Relay", "Relay"}},
		{"agent_state", {"State", "状態"}},
		{"urls", {"Addresses", "アドレス"}},
		{"id", {"Id", "ID"}},
	};
	if (cli->json)
		return cli_json(group);
	const json_t *list = json_object_get(group, "members");
	int code = show_object(cli, group, rows, YG_COUNT(rows));
	if (code != ARGS_DONE || json_array_size(list) == 0)
		return code;
	(void)puts("");
	return show_list(cli, list, members, YG_COUNT(members));
}

int groups_list(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"parent.name", {"Takes from", "取得元グループ"}},
		{"relays", {"Relays", "Relay"}},
		{"computers", {"Others", "その他"}},
		{"served_by.name", {"Served by", "配信元グループ"}},
		{"default", {"Default", "既定"}},
		{"id", {"Id", "ID"}},
	};
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (cli->args.word_count == 0)
		return ask_list(cli, "relay-groups", columns, YG_COUNT(columns));
	if (find(cli, cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	int code = ask_manager(cli, "GET", ask_path("relay-groups", id), NULL, &answer);
	return code != ARGS_DONE ? code : show(cli, answer);
}

int groups_create(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s}", "name", cli->args.words[0]);
	if (groups_option(cli, "--parent", "parent", body, &err) < 0)
		return cli_fail(cli, &err);
	if (args_get(&cli->args, "--default"))
		(void)json_object_set_new(body, "default", json_true());
	int code = ask_manager(cli, "POST", yg_str_format("relay-groups"), json_incref(body),
		&answer);
	return code != ARGS_DONE ? code : show(cli, answer);
}

int groups_set(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	json_t *answer YG_AUTO(yg_json) = NULL;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s*}", "name", args_get(&cli->args, "--name"));
	if (find(cli, cli->args.words[0], &id, &err) < 0 ||
		groups_option(cli, "--parent", "parent", body, &err) < 0)
		return cli_fail(cli, &err);
	if (args_get(&cli->args, "--default"))
		(void)json_object_set_new(body, "default", json_true());
	int code = ask_manager(cli, "PATCH", ask_path("relay-groups", id), json_incref(body),
		&answer);
	return code != ARGS_DONE ? code : show(cli, answer);
}

int groups_delete(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (find(cli, cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	cli->args.words[0] = id;
	return ask_remove(cli, "relay-groups");
}

/* The same change of every computer that words[first..] name. Takes `body` over. */
static int change(struct cli *cli, size_t first, size_t end, json_t *body, const char *done)
{
	struct yg_err err = {0};
	json_t *owned YG_AUTO(yg_json) = body;
	json_t *ids YG_AUTO(yg_json) = ask_computers(cli, NULL, first, end, &err);
	if (!ids)
		return cli_fail(cli, &err);
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
	{
		json_t *answer YG_AUTO(yg_json) = NULL;
		int code = ask_manager(cli, "PATCH", ask_path("computers", json_string_value(id)),
			json_incref(owned), &answer);
		if (code != ARGS_DONE)
			return code;
		if (cli->json)
			(void)cli_json(answer);
		else {
			text_put(ask_member(answer, "name"), stdout);
			(void)printf(": %s\n", done);
		}
	}
	return ARGS_DONE;
}

int groups_assign(struct cli *cli)
{
	struct yg_err err = {0};
	char *id YG_AUTO(mem) = NULL;
	if (find(cli, cli->args.words[0], &id, &err) < 0)
		return cli_fail(cli, &err);
	return change(cli, 1, cli->args.word_count, json_pack("{s:s}", "relay_group", id),
		cli_say(cli, "assigned", "割り当てました"));
}

/* ---- relays ---- */

int groups_relays(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"name", {"Name", "名前"}},
		{"agent_state", {"State", "状態"}},
		{"relay", {"Relay", "Relay"}},
		{"relay_status.state", {"Serves", "配信"}},
		{"relay_on", {"Manager says", "Managerの指定"}},
		{"relay_group.name", {"Group", "グループ"}},
		{"relay_status.set", {"Content set", "コンテンツセット"}},
		{"relay_urls", {"Addresses", "アドレス"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_all(cli, "computers?relay=true", &answer);
	if (code != ARGS_DONE)
		return code;
	json_t *items = json_object_get(answer, "items");
	if (cli->json)
		return cli_json(answer);
	/* As elsewhere in tables: enough of a digest to tell one from another. */
	size_t i;
	json_t *item;
	json_array_foreach(items, i, item)
	{
		json_t *status = json_object_get(item, "relay_status");
		const char *set = json_string_value(json_object_get(status, "set"));
		if (set && set[0] != '\0')
			(void)json_object_set_new(status, "set", json_sprintf("%.12s", set));
	}
	return show_list(cli, items, columns, YG_COUNT(columns));
}

int groups_relays_on(struct cli *cli)
{
	return change(cli, 0, cli->args.word_count, json_pack("{s:b}", "relay_on", 1),
		cli_say(cli, "told to be a relay", "Relayを有効にするよう指示しました"));
}

int groups_relays_off(struct cli *cli)
{
	return change(cli, 0, cli->args.word_count, json_pack("{s:b}", "relay_on", 0),
		cli_say(cli, "no relay any more", "Relayを無効にしました"));
}

int groups_relays_own(struct cli *cli)
{
	return change(cli, 0, cli->args.word_count, json_pack("{s:n}", "relay_on"),
		cli_say(cli, "its own configuration decides", "Agentの構成に従います"));
}

int groups_relays_address(struct cli *cli)
{
	json_t *urls = json_array();
	for (size_t i = 1; i < cli->args.word_count; i++)
		(void)json_array_append_new(urls, json_string(cli->args.words[i]));
	return change(cli, 0, 1, json_pack("{s:o}", "relay_urls", urls),
		cli->args.word_count > 1
			? cli_say(cli, "addresses set", "アドレスを設定しました")
			: cli_say(cli, "its own addresses", "Agentが通知するアドレスを使用します"));
}
