/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "content/manifest.h"
#include "core/err.h"

/* Transfer forms to plain bytes and back, streaming: memory does not grow with the file. */

#define YG_CODEC_WINDOW_LOG_MAX 23 /* 8 MiB: the most that a decoder must hold */

/* Decode from `in` (a file; from its present position to its end) to `out` (at its present position).
 * Nothing is believed: the transfer bytes must have form->size and form->sha256, before the decoder
 * sees any of them; the plain bytes `size` and `sha256`; never more than `size` bytes are written.
 * What was written is worthless unless this returns 0.
 * errors  YG_EUNTRUSTED cause content.hash, content.size: not the bytes that were vouched for, whatever
 *         else is wrong with them; YG_EFORMAT cause content.format: those bytes, but no zstd frame, or
 *         one that needs more memory than allowed; YG_ESYSTEM read or write failed
 */
int yg_codec_decode(int in, int out, const struct yg_form *form, const char *sha256, uint64_t size,
	struct yg_err *err) YG_MUST_CHECK;

/* Encode from `in` to `out`, each at its present position; reads to the end of `in`.
 * in      level   of zstd, 1..19
 * out     *form   encoding, sha256 and size of what was written
 *         sha256  of the plain bytes, hex; *size in bytes
 * errors  YG_ELIMIT more than YG_FILE_SIZE_MAX; YG_ESYSTEM
 */
int yg_codec_encode(int in, int out, enum yg_encoding encoding, int level, struct yg_form *form,
	char sha256[YG_SHA256_TEXT], uint64_t *size, struct yg_err *err) YG_MUST_CHECK;

/* SHA-256 and size of the rest of a file. errors  YG_ESYSTEM */
int yg_codec_hash(int in, char sha256[YG_SHA256_TEXT], uint64_t *size, struct yg_err *err)
	YG_MUST_CHECK;

/* Decode a zstd file of any origin, whose hashes nobody stated; at most `max` plain bytes.
 * errors  YG_ELIMIT; YG_EFORMAT; YG_ESYSTEM
 */
int yg_codec_unzstd(int in, int out, uint64_t max, struct yg_err *err) YG_MUST_CHECK;
