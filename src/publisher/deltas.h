/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "publisher/history.h"
#include "publisher/sources.h"

/* Deltas from the files of earlier releases straight to the files of a new one. */

#define DELTAS_WHOLE_MIN 512u /* bytes of a whole form, below which a delta saves nothing */
#define DELTAS_SHARE     2u /* a delta has at most one part in this many of the whole form's bytes */

struct deltas_count {
	size_t made;    /* now */
	size_t kept;    /* that were there already */
	size_t dear;    /* not cheap enough */
	size_t lacking; /* the old file's object is not there any more, or damaged */
	size_t late;    /* not begun, because the time was over */
	uint64_t bytes; /* of all that there are */
	uint64_t
		newest; /* of those from the release before: what a computer that is up to date fetches */
};

/* Make them, prove each by applying it, store them as objects and add them to the files of `manifest`, which
 * stand in the order of `sources` and have their whole forms. The nearest release comes first.
 * in      releases  of history, at most so many
 *         dir       folder for nameless files
 *         seconds   begin none after so long; 0: no limit
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int deltas_make(const struct repo *repo, const struct history *history,
	const struct sources *sources, size_t releases, int dir, int64_t seconds,
	struct yg_manifest *manifest, struct deltas_count *count, struct yg_err *err) YG_MUST_CHECK;
