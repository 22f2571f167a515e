/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "core/json.h"
#include "core/str.h"

static const struct show_column columns[] = {
	{"name", {"Computer", "コンピュータ"}},
	{"content.mode", {"Content", "コンテンツ"}},
	{"content.pins", {"Pins", "固定バージョン"}},
	{"content.from", {"Said by", "指定元"}},
	{"newest", {"Is", "状態"}},
};

int content_show(struct cli *cli)
{
	return ask_list(cli, "computers", columns, YG_COUNT(columns));
}

/* "am-pattern=12,am-yara=3" */
static int pins_of(const char *text, json_t *pins, struct yg_err *err)
{
	while (*text) {
		size_t len = strcspn(text, ",");
		size_t name = strcspn(text, "=,");
		uint64_t version = 0;
		char *digits YG_AUTO(mem) = NULL;
		char *key YG_AUTO(mem) = strndup(text, name);
		if (name == 0 || name >= len)
			return yg_fail(err, YG_EFORMAT,
				"--pins: want NAME=VERSION,…, have '%.100s'", text);
		digits = strndup(text + name + 1, len - name - 1);
		if (!digits || !key)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (yg_str_u64(digits, INT64_MAX / 2, &version, err) < 0)
			return yg_wrap(err, "--pins: %s", key);
		(void)json_object_set_new(pins, key, json_integer((json_int_t)version));
		text += len + (text[len] == ',');
	}
	return 0;
}

/* {"mode","pins"}, or null for what the policy says. */
static int wanted(struct cli *cli, json_t **out, struct yg_err *err)
{
	const char *mode = args_get(&cli->args, "--mode");
	const char *pins = args_get(&cli->args, "--pins");
	if (mode && strcmp(mode, "policy") == 0 && !pins) {
		*out = json_null();
		return 0;
	}
	if (!mode && !pins)
		return yg_fail(err, YG_EFORMAT,
			cli_say(cli, "want --mode latest, previous, pinned or policy, or --pins",
				"--mode latest、previous、pinned、policyのいずれか、または--pinsを指定してください"));
	json_t *made YG_AUTO(
		yg_json) = json_pack("{s:s, s:{}}", "mode", mode ? mode : "pinned", "pins");
	if (pins && pins_of(pins, json_object_get(made, "pins"), err) < 0)
		return -1;
	*out = yg_take(made);
	return 0;
}

int content_set(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *content YG_AUTO(yg_json) = NULL;
	json_t *done YG_AUTO(yg_json) = json_array();
	size_t i;
	json_t *id;
	if (wanted(cli, &content, &err) < 0)
		return ask_misuse(cli, &err);
	json_t *ids YG_AUTO(yg_json) = ask_computers(cli, NULL, 0, cli->args.word_count, &err);
	if (!ids)
		return cli_fail(cli, &err);
	json_array_foreach(ids, i, id)
	{
		json_t *answer YG_AUTO(yg_json) = NULL;
		int code = ask_manager(cli, "PATCH", ask_path("computers", json_string_value(id)),
			json_pack("{s:O}", "content", content), &answer);
		if (code != ARGS_DONE)
			return code;
		(void)json_array_append(done, answer);
	}
	if (cli->json) {
		json_t *all YG_AUTO(yg_json) = json_pack("{s:O}", "items", done);
		return cli_json(all);
	}
	return show_list(cli, done, columns, YG_COUNT(columns));
}
