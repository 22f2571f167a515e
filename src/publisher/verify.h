/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/rollout.h"
#include "publisher/command.h"
#include "publisher/view.h"

/* Check a repository, or a bundle, as a client checks it, at the time given: metadata, the newest releases,
 * their whole objects. --deep: every release that is signed, every delta applied, expiry soon, waves, and
 * files that nothing names. All problems are said, not only the first.
 * errors  those of a client's refresh; YG_EUNTRUSTED there are problems (*out lists them)
 */
int verify_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* Between verify.c and deep.c: what was found so far. */

struct verify_release {
	struct yg_manifest *manifest; /* owned */
	bool newest;
	bool base_only; /* of a bundle: what its computers have */
};

struct verify {
	const struct command *command;
	struct view view;
	struct yg_tuf *tuf;
	struct verify_release *releases; /* owned */
	size_t release_count, release_cap;
	json_t *problems;                 /* [{"file", "problem"}] */
	json_t *warnings;                 /* [{"file", "warning"}] */
	json_t *unreferenced;             /* [{"file", "bytes"}], the first of them */
	size_t objects, deltas, unproved; /* checked; deltas whose base is not signed any more */
	size_t loose;                     /* files that nothing names */
	uint64_t loose_bytes;
};

/* Note something. Formats like printf. errors  YG_ESYSTEM */
int verify_problem(struct verify *verify, const char *file, struct yg_err *err, const char *fmt,
	...) YG_PRINTF(4, 5) YG_MUST_CHECK;
int verify_warning(struct verify *verify, const char *file, struct yg_err *err, const char *fmt,
	...) YG_PRINTF(4, 5) YG_MUST_CHECK;
