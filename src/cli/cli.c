/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/text.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"
#include "proto/cause.h"

const char *cli_say(const struct cli *cli, const char *en, const char *ja)
{
	return cli->lang == YG_LANG_JA ? ja : en;
}

int cli_json(const json_t *answer)
{
	char *text YG_AUTO(mem) = yg_json_text(answer);
	(void)printf("%s\n", text ? text : "null");
	return ARGS_DONE;
}

static bool unreachable(const struct yg_err *err)
{
	static const char *const areas[] = {"agent.offline", "net.", "proxy.", "tls."};
	for (size_t i = 0; i < YG_COUNT(areas); i++)
		if (strncmp(err->cause, areas[i], strlen(areas[i])) == 0 &&
			strcmp(err->cause, "net.url") != 0)
			return true;
	return false;
}

char *cli_sentence(const struct cli *cli, const char *id, const char *found, bool remedy)
{
	const struct yg_cause *cause = yg_cause_find(id);
	struct yg_buf line YG_AUTO(yg_buf) = YG_BUF(16384);
	struct yg_err why = {0};
	const char *helps = cause && remedy ? yg_cause_remedy(cause, cli->lang) : "";
	const char *alone = cause && remedy ? yg_cause_auto(cause, cli->lang) : "";
	if (yg_cause_sentence(id, found, cli->lang, &line, &why) < 0)
		return text_join(id, "");
	/* Japanese sentences follow each other without a space, but a bracket. */
	const char *between = cli_say(cli, " ", "");
	const char *first = line.len > 0 && line.data[line.len - 1] == ')' ? " " : between;
	if (yg_str_addf(&line, &why, "%s%s%s%s", *helps ? first : "", helps,
		    !*alone          ? ""
			    : *helps ? between
				     : first,
		    alone) < 0 ||
		yg_buf_add(&line, "", 1, &why) < 0)
		return text_join(id, "");
	return text_join((const char *)line.data, "");
}

int cli_fail(const struct cli *cli, const struct yg_err *err)
{
	char *line YG_AUTO(mem) = cli_sentence(cli, err->cause, err->msg, true);
	(void)fputs("yagura: ", stderr);
	text_put(line, stderr);
	(void)fputc('\n', stderr);
	return unreachable(err) ? ARGS_UNREACHABLE : ARGS_FAILED;
}

void cli_progress(const struct cli *cli, const char *fmt, ...)
{
	/* At most five lines a second; the first after two. */
	static int64_t last_ms;
	int64_t now = yg_clock_mono_ms();
	if (now - cli->started_ms < 2000 || now - last_ms < 200)
		return;
	last_ms = now;
	char *text YG_AUTO(mem) = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	text_put(text ? text : "", stderr);
	(void)fputc('\n', stderr);
}

struct text_table *cli_table(const struct cli *cli, size_t columns, const char *const headings[][2])
{
	struct text_table *table = text_table_new(columns);
	for (size_t i = 0; i < columns; i++)
		text_table_add(table, headings[i][cli->lang]);
	return table;
}
