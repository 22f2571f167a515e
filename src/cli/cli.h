/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "cli/args.h"
#include "core/buf.h"
#include "core/conf.h"
#include "core/err.h"
#include "net/client.h"
#include "proto/lang.h"

/* What every command gets. */
struct cli {
	struct args args;
	enum yg_lang lang;
	bool json;
	const char *root;           /* of the local agent */
	const char *url, *key, *ca; /* of the Manager; NULL: not given */
	struct yg_conf *conf;       /* owned; holds what came from the file */
	struct yg_client *client;   /* owned; made when first needed */
	struct yg_buf ca_text;      /* PEM */
	int64_t started_ms;         /* to tell long operations from short ones */
};

/* The text in the user's language. */
const char *cli_say(const struct cli *cli, const char *en, const char *ja)
	__attribute__((format_arg(2), format_arg(3)));

/* Print a failure as one line on stderr: its cause's sentence, what was found, what helps. Returns
 * the exit code.
 */
int cli_fail(const struct cli *cli, const struct yg_err *err);

/* A cause's sentence with what was found, in the user's language; with `remedy` also what helps and what
 * is done without anybody. A new
 * string.
 */
char *cli_sentence(const struct cli *cli, const char *cause, const char *found, bool remedy);

/* A line about something that goes on, on stderr, once it has taken more than two seconds. */
void cli_progress(const struct cli *cli, const char *fmt, ...) YG_PRINTF(2, 3);

/* Print an answer as one line of JSON on stdout. Returns ARGS_DONE. */
int cli_json(const json_t *answer);

/* A table with the headings of one language; texts are in pairs: English, Japanese. */
struct text_table *cli_table(const struct cli *cli, size_t columns,
	const char *const headings[][2]);

extern const struct args_command cli_commands[];
