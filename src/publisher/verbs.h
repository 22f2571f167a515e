/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* The commands of yagura-publish. A new one is a number here, a row and an include in verbs.c, and the
 * options that it knows in options.c.
 */
enum verb {
	VERB_INIT,
	VERB_MAKE_KEY,
	VERB_KEYS,
	VERB_ROTATE_KEY,
	VERB_REVOKE_KEY,
	VERB_SHOW_ROOT,
	VERB_SIGN_ROOT,
	VERB_ADD_ROOT,
	VERB_RESIGN,
	VERB_IMPORT,
	VERB_RELEASE,
	VERB_WAVE,
	VERB_WITHDRAW,
	VERB_PRUNE,
	VERB_VERIFY,
	VERB_SHOW,
	VERB_DIFF,
	VERB_BUNDLE,
	VERB_TRUST,
	VERB_MAKE_LICENCE,
};

struct verb_row {
	enum verb verb;
	const char *name;
	const char *operands; /* as the help shows them */
	size_t min, max;      /* how many */
	const char *help[2];  /* one line, by enum yg_lang */
	const char *needs;    /* the option that must be there, or NULL */

	/* Do it. *out: what was done, for people and for --json; a new reference. */
	int (*run)(const struct command *command, json_t **out, struct yg_err *err);
};

extern const struct verb_row verbs_all[]; /* ends with a NULL name */

const struct verb_row *verbs_find(const char *name); /* NULL: there is none */
