/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "content/manifest.h"
#include "core/err.h"

/* The difference between two files, as one that is fetched in place of the new one. The format is
 * ours: docs/delta.md has every byte of it, docs/decisions/0006-our-own-delta-format.md why.
 */

/* Write to `out`, at its present position, what makes `new` of `old`. Both are regular files that
 * nobody changes meanwhile; their positions do not matter and stay. The same two files give the same
 * bytes.
 * in      max     bytes of a delta that are worth it; beyond, there is none (what was written is
 *                 worthless)
 * out     form    size and sha256 of what was written; the rest of it is untouched
 * errors  YG_ELIMIT the delta would have more than `max` bytes, or a file has more than
 *         YG_FILE_SIZE_MAX; YG_ESYSTEM
 */
int yg_delta_encode(int old, int new, int out, uint64_t max, struct yg_form *form,
	struct yg_err *err) YG_MUST_CHECK;

/* Make the new file: from `old` (its position does not matter and stays) and `delta` (from its present
 * position to its end) to `out` (at its present position, sequentially). Memory does not grow with the
 * files. Nothing is believed: the delta's bytes must have form->size and form->sha256 before the
 * decoder sees any of them; what comes out must have `size` and `sha256`, and never more than `size`
 * bytes are written, whatever the delta says. What was written is worthless unless this returns 0.
 * errors  YG_EUNTRUSTED cause content.hash, content.size: not the bytes that were vouched for;
 *         YG_EUNTRUSTED cause content.base: `old` is not the file that the delta was made from;
 *         YG_EFORMAT cause content.format: those bytes, but no delta; YG_ESYSTEM read or write failed
 */
int yg_delta_decode(int old, int delta, int out, const struct yg_form *form, const char *sha256,
	uint64_t size, struct yg_err *err) YG_MUST_CHECK;

/* yg_delta_decode without a look at hashes: neither of the `delta_size` bytes that are taken for the delta
 * nor of what comes out, which the caller does. errors  as yg_delta_decode
 */
int yg_delta_decode_unchecked(int old, int delta, int out, uint64_t delta_size, uint64_t size,
	struct yg_err *err) YG_MUST_CHECK;
