/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/manifest.h"
#include "core/err.h"

/* Work that takes long (compressing, deltas, checking), in as many processes as there are processors. What comes
 * out does not depend on who is ready first: results have numbers.
 */

struct jobs_result { /* what a child tells; each kind of work uses what it needs */
	bool good;
	bool old; /* nothing was written: it is there already */
	struct yg_form form;
	char sha256[YG_SHA256_TEXT];
	uint64_t size;
	struct yg_err err; /* when not good */
};

struct jobs {
	void *ctx;
	size_t count;
	const char *what; /* for the progress: "deltas" */
	int dir;          /* where each job gets a nameless file to write to; -1: none */
	int lock; /* a descriptor that children close, so that no lock outlives us; -1: none */
	int64_t until_ms; /* by yg_clock_mono_ms(): begin no job after it; 0: no such time */

	/* In a child: do job `index`; its failure is part of the result. */
	void (*work)(void *ctx, size_t index, int out, struct jobs_result *result);

	/* Here, in whatever order: `out` is closed after it. */
	int (*done)(void *ctx, size_t index, int out, const struct jobs_result *result,
		struct yg_err *err);
};

/* Run them all, those of lower numbers first; end at the first failure of `done`.
 * out     *begun  how many were begun; may be NULL
 * errors  those of done; YG_ESYSTEM a child died, or there are no means for one
 */
int jobs_run(const struct jobs *jobs, size_t *begun, struct yg_err *err) YG_MUST_CHECK;
