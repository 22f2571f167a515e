/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/support.h"

#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/ask.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "diagnose/support.h"

struct blocks {
	struct cli *cli;
	json_t *versions; /* owned: id of a computer to the version of its agent; "" the Manager's */
	bool some;
};

/* Asked for once each; "" when it cannot be had: a failure is told all the same. Borrowed. */
static const char *version_of(struct blocks *blocks, const char *id)
{
	const char *known = json_string_value(json_object_get(blocks->versions, id));
	if (known)
		return known;
	struct yg_err ignored = {0};
	json_t *answer YG_AUTO(yg_json) = NULL;
	char *path YG_AUTO(mem) = *id ? ask_path("computers", id) : yg_str_format("status");
	if (path && api_call(blocks->cli, "GET", path, NULL, &answer, &ignored) < 0)
		answer = NULL;
	(void)json_object_set_new(blocks->versions, id, json_string(ask_member(answer, "version")));
	known = json_string_value(json_object_get(blocks->versions, id));
	return known ? known : "";
}

static void block(struct blocks *blocks, const char *cause, const char *found, const char *name,
	const char *id, const char *time)
{
	int64_t at_s = 0;
	struct yg_err ignored = {0};
	(void)!yg_clock_parse(time, &at_s, &ignored);
	const char *agent = *id ? version_of(blocks, id) : "", *manager = version_of(blocks, "");
	char *what YG_AUTO(mem) = cli_sentence(blocks->cli, cause, found, false);
	char *versions YG_AUTO(mem) = yg_str_format("%s%s%s%s%s", *agent ? "agent " : "", agent,
		*agent && *manager ? ", " : "", *manager ? "Manager " : "", manager);
	const struct yg_support given = {cause, what, name, id, at_s, versions ? versions : ""};
	char *text YG_AUTO(mem) = yg_support_text(&given, blocks->cli->lang);
	if (blocks->some)
		(void)putchar('\n');
	blocks->some = true;
	(void)fputs(text ? text : "", stdout);
}

int support_job(struct cli *cli, const json_t *job)
{
	json_t *versions YG_AUTO(yg_json) = json_object();
	struct blocks blocks = {cli, versions, false};
	size_t i;
	json_t *part;
	json_array_foreach(json_object_get(job, "computers"), i, part)
	{
		const char *ended = ask_member(part, "ended");
		if (strcmp(ask_member(part, "state"), "failed") == 0)
			block(&blocks, ask_member(part, "cause"), ask_member(part, "sentence"),
				ask_member(part, "name"), ask_member(part, "id"),
				*ended ? ended : ask_member(job, "ended"));
	}
	if (!blocks.some)
		(void)puts(
			cli_say(cli, "Nothing failed in this job", "このジョブに失敗はありません"));
	return ARGS_DONE;
}

int support_events(struct cli *cli, const json_t *items)
{
	json_t *versions YG_AUTO(yg_json) = json_object();
	struct blocks blocks = {cli, versions, false};
	size_t i;
	json_t *event;
	json_array_foreach(items, i, event)
	{
		const json_t *params = json_object_get(event, "params");
		const json_t *computer = json_object_get(event, "computer");
		if (*ask_member(params, "cause"))
			block(&blocks, ask_member(params, "cause"), ask_member(params, "detail"),
				ask_member(computer, "name"), ask_member(computer, "id"),
				ask_member(event, "time"));
	}
	if (!blocks.some)
		(void)puts(cli_say(cli, "No event with a cause",
			"原因コードのあるイベントはありません"));
	return ARGS_DONE;
}
