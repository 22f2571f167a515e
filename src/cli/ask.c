/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/wire.h"

int ask_misuse(struct cli *cli, const struct yg_err *err)
{
	(void)cli_fail(cli, err);
	return ARGS_USAGE;
}

int ask_manager(struct cli *cli, const char *method, char *path, json_t *body, json_t **answer)
{
	struct yg_err err = {0};
	char *own YG_AUTO(mem) = path;
	if (own && api_call(cli, method, own, body, answer, &err) == 0)
		return ARGS_DONE;
	if (!own)
		(void)yg_fail(&err, YG_ESYSTEM, "out of memory");
	return cli_fail(cli, &err);
}

char *ask_path(const char *what, const char *id)
{
	char *query YG_AUTO(mem) = api_query(yg_str_format("%s", ""), "", id);
	return yg_str_format("%s/%s", what, query + 2);
}

int ask_all(struct cli *cli, const char *what, json_t **answer)
{
	json_t *items YG_AUTO(yg_json) = json_array();
	char *cursor YG_AUTO(mem) = NULL;
	do {
		json_t *page YG_AUTO(yg_json) = NULL;
		char *path = api_query(api_query(yg_str_format("%s", what), "limit", "500"),
			"cursor", cursor);
		int code = ask_manager(cli, "GET", path, NULL, &page);
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

int ask_list(struct cli *cli, const char *what, const struct show_column *columns, size_t count)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_all(cli, what, &answer);
	if (code != ARGS_DONE)
		return code;
	return cli->json ? cli_json(answer)
			 : show_list(cli, json_object_get(answer, "items"), columns, count);
}

int ask_one(struct cli *cli, char *path, const struct show_column *columns, size_t count)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", path, NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	return cli->json ? cli_json(answer) : show_object(cli, answer, columns, count);
}

int ask_remove(struct cli *cli, const char *what)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "DELETE", ask_path(what, cli->args.words[0]), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)puts(cli_say(cli, "Deleted", "削除しました"));
	return ARGS_DONE;
}

int ask_resolve(struct cli *cli, const char *what, const char *text, char **id, struct yg_err *err)
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
		if (strcmp(ask_member(item, "name"), text) != 0 &&
			strcmp(ask_member(item, "id"), text) != 0)
			continue;
		if (found)
			return yg_fail(err, YG_EFORMAT,
				cli_say(cli, "'%s' is the name of more than one: want an id",
					"'%s' という名前は複数あります。IDで指定してください"),
				text);
		found = ask_member(item, "id");
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

json_t *ask_computers(struct cli *cli, const char *commas, size_t first, size_t end,
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
		if (ask_resolve(cli, "computers", rest ? rest : cli->args.words[first], &id, err) <
			0)
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
