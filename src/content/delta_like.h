/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/delta_code.h"

#define YG_DELTA_LIKE_MAX (32u << 20) /* bytes of each file */

/* Find pieces of two files that are nearly the same: a program that was compiled again is full of them,
 * since in old code addresses changed. Both files are in memory, and 7 bytes for each of the old one.
 * errors  YG_ELIMIT, as the coder's, or files so much the same in themselves that it takes too long
 *         (this depends on the bytes, not on a clock); the coder's others
 * source  Colin Percival: "Naive Differences of Executable Code", 2003
 */
int yg_delta_like_match(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err) YG_MUST_CHECK;
