/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* The second half of the delta encoder: from copies and texts to bytes. */

struct yg_delta_coder;

/* Where a delta's bytes go. */
struct yg_delta_sink {
	int fd;               /* -1: to keep */
	struct yg_buf *keep;  /* borrowed for the sink's life; NULL with an fd */
	struct yg_hash *hash; /* likewise; may be NULL */
	uint64_t size, max;   /* bytes so far, and as many as it may become */
};

/* errors  YG_ELIMIT more than sink->max bytes; YG_ESYSTEM */
int yg_delta_code_put(struct yg_delta_sink *sink, const void *data, size_t len, struct yg_err *err)
	YG_MUST_CHECK;

/* Begin a delta. All are borrowed until the coder is freed. errors  YG_ELIMIT, YG_ESYSTEM */
struct yg_delta_coder *yg_delta_code_new(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_sink *sink, struct yg_err *err) YG_MUST_CHECK;
void yg_delta_code_free(struct yg_delta_coder *coder);

static inline void delta_coder_free_at(struct yg_delta_coder **at)
{
	yg_delta_code_free(*at);
}

/* The next piece of the new file: `copy` bytes as in the old one at `from`, `add` bytes as in the new one.
 * in      exact   the copied bytes are the same; otherwise they are looked at
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_delta_code_op(struct yg_delta_coder *coder, uint64_t from, uint64_t copy, uint64_t add,
	bool exact, struct yg_err *err) YG_MUST_CHECK;

/* That was the last. errors  YG_ELIMIT, YG_ESYSTEM */
int yg_delta_code_end(struct yg_delta_coder *coder, struct yg_err *err) YG_MUST_CHECK;

/* Bytes of text so far. */
uint64_t yg_delta_code_added(const struct yg_delta_coder *coder);
