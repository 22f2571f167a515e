/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/delta_code.h"

/* Find what two files of any size have in common, by the hashes of blocks of 64 bytes of the old one. Of
 * memory it takes 36 MB at most. Finds everything of 127 bytes and more (of more, when the old file has
 * more than 256 MB), and shorter pieces that stayed where they were.
 * errors  as the coder's
 */
int yg_delta_block_match(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err) YG_MUST_CHECK;
