/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/alerts.h"

#include <stdio.h>

#include "cli/ask.h"
#include "cli/text.h"
#include "core/json.h"
#include "core/str.h"

/* One alert in full: a table would cut what matters. */
static void show(const struct cli *cli, const json_t *alert)
{
	const char *remedy = ask_member(alert, "remedy");
	char *ended YG_AUTO(mem) = text_value(json_object_get(alert, "ended"), cli->lang);
	bool over = json_is_string(json_object_get(alert, "ended"));
	char *level YG_AUTO(mem) = show_value(cli, alert, "level");
	(void)printf("%s  [%s] ", ask_member(alert, "began"), level);
	text_put(ask_member(alert, "name"), stdout);
	(void)printf("\n    ");
	text_put(ask_member(alert, "description"), stdout);
	if (over) {
		(void)printf(cli_say(cli, "\n    Ended %s: ", "\n    終了 %s: "), ended);
		text_put(ask_member(alert, "reason_text"), stdout);
	} else if (*remedy) {
		(void)printf("\n    → ");
		text_put(remedy, stdout);
	}
	(void)putchar('\n');
}

int alerts_list(struct cli *cli)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	char *what YG_AUTO(mem) = yg_str_format("alerts?lang=%s&state=%s", yg_lang_name(cli->lang),
		args_get(&cli->args, "--all") ? "all" : "standing");
	int code = ask_all(cli, what, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	const json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		show(cli, json_array_get(items, i));
	if (json_array_size(items) == 0)
		(void)puts(cli_say(cli, "No alerts", "アラートはありません"));
	return ARGS_DONE;
}

int alerts_expiry(struct cli *cli)
{
	static const struct show_column columns[] = {
		{"ends", {"Expires", "有効期限"}},
		{"days_left", {"Days left", "残り日数"}},
		{"expiry_state", {"State", "状態"}},
		{"what", {"What", "種類"}},
		{"name", {"Name", "名前"}},
		{"renewed_by", {"Renewed by", "更新方法"}},
	};
	json_t *answer YG_AUTO(yg_json) = NULL;
	int code = ask_manager(cli, "GET", yg_str_format("expiry"), NULL, &answer);
	if (code != ARGS_DONE)
		return code;
	if (cli->json)
		return cli_json(answer);
	json_t *items = json_object_get(answer, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *item = json_array_get(items, i);
		(void)json_object_set(item, "expiry_state", json_object_get(item, "state"));
	}
	return show_list(cli, items, columns, YG_COUNT(columns));
}
