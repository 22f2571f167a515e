/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "proto/lang.h"

/* The command line: a table of commands, options anywhere. Parser, --help and the shell completion
 * come from the same tables.
 */

struct cli;

enum { ARGS_DONE = 0, ARGS_FAILED = 1, ARGS_USAGE = 2, ARGS_UNREACHABLE = 3 }; /* exit codes */

struct args_option {
	const char *name;    /* "--wait"; a table ends with NULL */
	const char *value;   /* "FILE"; NULL: takes none */
	const char *help[2]; /* by enum yg_lang */
};

struct args_command {
	const char *name;  /* one or two words: "agent status"; the table ends with NULL */
	const char *words; /* "[ID]" for --help; "" */
	size_t words_min, words_max;
	const struct args_option *options; /* its own; NULL: none */
	int (*run)(struct cli *cli);       /* returns an exit code */
	const char *help[2];               /* one line, by enum yg_lang */
};

#define ARGS_WORDS_MAX   256
#define ARGS_OPTIONS_MAX 32

struct args {
	const struct args_command *command; /* NULL: no words at all */
	const char *words[ARGS_WORDS_MAX];  /* behind the command's name; borrowed from argv */
	size_t word_count;
	struct {
		const char *name;
		const char *value; /* "" when it takes none */
	} options[ARGS_OPTIONS_MAX];
	size_t option_count;
};

/* Options of all commands: --json, --lang, … */
extern const struct args_option args_global[];

/* Read argv[1..]. "--name VALUE" and "--name=VALUE" are the same; "--" ends the options.
 * errors  YG_EFORMAT one sentence for the user, in `lang`
 */
int args_parse(const struct args_command *commands, int argc, char **argv, enum yg_lang lang,
	struct args *out, struct yg_err *err) YG_MUST_CHECK;

/* The value of an option, or NULL when it was not given. The last one counts. */
const char *args_get(const struct args *args, const char *name);

/* --help: of everything, or of one command. */
void args_help(const struct args_command *commands, const struct args_command *one,
	enum yg_lang lang);

/* --help --json: the same tables for programs, {"options":[…],"commands":[…]}. A new reference. */
json_t *args_json(const struct args_command *commands, enum yg_lang lang);
