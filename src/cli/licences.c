/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/licences.h"

#include <fcntl.h>
#include <stdio.h>

#include "cli/ask.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define FILE_MAX 65536 /* bytes that the Manager accepts */

static int show(const struct cli *cli, const json_t *answer)
{
	static const struct show_column groups[] = {
		{"group", {"Group", "グループ"}},
		{"state", {"State", "状態"}},
		{"ends", {"Until", "有効期限"}},
	};
	static const struct show_column files[] = {
		{"id", {"Licence", "ライセンス"}},
		{"group", {"Group", "グループ"}},
		{"name", {"For", "使用者"}},
		{"state", {"State", "状態"}},
		{"ends", {"Until", "有効期限"}},
		{"added", {"Added", "追加"}},
	};
	static const struct show_column keys[] = {
		{"id", {"Key", "鍵"}},
		{"added", {"Added", "追加"}},
		{"who", {"By", "追加した人"}},
	};
	if (cli->json)
		return cli_json(answer);
	(void)show_list(cli, json_object_get(answer, "groups"), groups, YG_COUNT(groups));
	if (json_array_size(json_object_get(answer, "items")) > 0) {
		(void)putchar('\n');
		(void)show_list(cli, json_object_get(answer, "items"), files, YG_COUNT(files));
	}
	if (json_array_size(json_object_get(answer, "keys")) > 0) {
		(void)putchar('\n');
		(void)show_list(cli, json_object_get(answer, "keys"), keys, YG_COUNT(keys));
	}
	return ARGS_DONE;
}

int licences_list(struct cli *cli)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", yg_str_format("licences"), NULL, &answer);
	return code == ARGS_DONE ? show(cli, answer) : code;
}

static int read_file(struct cli *cli, struct yg_buf *text, struct yg_err *err)
{
	return yg_fs_read(AT_FDCWD, cli->args.words[0], text, err);
}

int licences_add(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	if (read_file(cli, &text, &err) < 0)
		return cli_fail(cli, &err);
	json_t *body = json_pack("{s:s%}", "file", (const char *)text.data, text.len);
	if (!body) {
		(void)yg_fail(&err, YG_EFORMAT, "%s: want a licence file", cli->args.words[0]);
		return cli_fail(cli, &err);
	}
	int code = ask_manager(cli, "POST", yg_str_format("licences"), body, &answer);
	return code == ARGS_DONE ? show(cli, answer) : code;
}

int licences_add_key(struct cli *cli)
{
	struct yg_err err = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	json_t *key YG_AUTO(yg_json) = NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	if (read_file(cli, &text, &err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), FILE_MAX, &key, &err) < 0) {
		(void)yg_wrap(&err, "%s", cli->args.words[0]);
		return cli_fail(cli, &err);
	}
	int code = ask_manager(cli, "POST", yg_str_format("licences/keys"),
		json_pack("{s:O}", "key", key), &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	(void)printf("%s\n", ask_member(answer, "id"));
	return ARGS_DONE;
}

int licences_remove(struct cli *cli)
{
	return ask_remove(cli, "licences");
}
