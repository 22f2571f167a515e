/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/verbs.h"

/* The command line of yagura-publish, out of two tables: commands (verbs.c) and options (options.c).
 * Options stand before or after operands; "--name VALUE" and "--name=VALUE" are the same; "--" ends
 * them.
 */

/* Where options begin: the present time, and what the manual page calls a preset. */
void options_preset(struct command *command);

/* Read argv[1..]. --lang and --json count from the start, wherever they stand, so that errors come as
 * asked. *row is NULL when no command is there but --help or --version is; *asked says so.
 * out     *asked  "help", "version", or NULL: run the command
 * errors  YG_EFORMAT, YG_ELIMIT: one sentence in the command's language
 */
int options_parse(int argc, char **argv, struct command *command, const struct verb_row **row,
	const char **asked, struct yg_err *err) YG_MUST_CHECK;

/* --help: of all commands, or of one. */
void options_help(const struct verb_row *row, enum yg_lang lang);

/* --help --json: the same tables for programs, {"options":[…],"commands":[…]}. A new reference. */
json_t *options_json(enum yg_lang lang);

/* English or Japanese. Not for formats that come from elsewhere. */
#define OPTIONS_SAY(lang, en, ja) ((lang) == YG_LANG_JA ? (ja) : (en))
