/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/buf.h"
#include "core/err.h"

/* Text with its long runs of hexadecimal digits taken out: enum delta_word, docs/delta.md. What is made
 * of bytes that are no text is right, too, but longer. Both are appended to.
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_delta_text_words(struct yg_bytes text, struct yg_buf *words, struct yg_buf *hex,
	struct yg_err *err) YG_MUST_CHECK;
