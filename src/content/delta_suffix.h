/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* All suffixes of a text in their order, so that what is most like any other bytes is soon found. */

/* out     order   text.len positions, the caller's to free(); NULL for an empty text
 * errors  YG_ELIMIT more than 2^30 bytes; YG_ESYSTEM out of memory (7 bytes for one of the text)
 * source  Nong, Zhang, Chan: "Two Efficient Algorithms for Linear Time Suffix Array Construction", 2011
 */
int yg_delta_suffix_sort(struct yg_bytes text, int32_t **order, struct yg_err *err) YG_MUST_CHECK;

/* The longest beginning of `wanted` that the text has.
 * in      order   of the text
 * out     at      where in the text
 *         work    bytes compared are added to it
 * returns its length
 */
size_t yg_delta_suffix_find(struct yg_bytes text, const int32_t *order, struct yg_bytes wanted,
	size_t *at, uint64_t *work);
