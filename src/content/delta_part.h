/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "content/delta_format.h"
#include "core/buf.h"
#include "core/err.h"

/* The bytes of a delta, one part in memory at a time. Nothing of it is believed: what these return is
 * within the part, and that is all that is known of it.
 */

struct delta_cursor {
	const uint8_t *at, *end;
};

struct delta_part {
	/* the delta */
	int fd;
	uint64_t unread;        /* bytes of it not yet in `in` */
	struct delta_cursor in; /* points into in_data */
	uint8_t *in_data;
	uint64_t count; /* parts begun so far: the name of a part in messages */
	/* the part */
	struct delta_cursor stream[DELTA_STREAMS]; /* points into streams */
	struct delta_cursor text;                  /* points into streams or words */
	uint8_t *streams;
	struct yg_buf words; /* the text, where the stream of it has words */
	uint64_t gap, run;   /* copied bytes until the next changed ones; of those, the rest */
	void *zstd;          /* ZSTD_DCtx */
};

/* Begin with a delta of `size` bytes, at the descriptor's position; it is borrowed.
 * errors  YG_ESYSTEM
 */
int delta_part_begin(struct delta_part *part, int fd, uint64_t size, struct yg_err *err)
	YG_MUST_CHECK;
void delta_part_end(struct delta_part *part);

/* The next bytes, and the next number, of the delta. errors  content.format it ends; YG_ESYSTEM */
int delta_part_get(struct delta_part *part, uint8_t *out, size_t len, struct yg_err *err)
	YG_MUST_CHECK;
int delta_part_number(struct delta_part *part, uint64_t *out, struct yg_err *err) YG_MUST_CHECK;

/* Whether there are none. */
bool delta_part_at_end(const struct delta_part *part);

/* The next part. errors  content.format; YG_ESYSTEM */
int delta_part_next(struct delta_part *part, struct yg_err *err) YG_MUST_CHECK;

/* The next operation's number; beyond the end of their stream, they are 0.
 * errors  content.format cut, or more than 64 bits
 */
int delta_part_operand(struct delta_part *part, enum delta_stream stream, uint64_t *out,
	struct yg_err *err) YG_MUST_CHECK;

/* Whether the part has another operation; if not, all else of it must be used up.
 * errors  content.format it is not. returns 1, 0, -1
 */
int delta_part_more(struct delta_part *part, struct yg_err *err) YG_MUST_CHECK;

/* Change the next copied bytes where the part says so. errors  content.format */
int delta_part_change(struct delta_part *part, uint8_t *bytes, size_t len, struct yg_err *err)
	YG_MUST_CHECK;

/* content.format, with the part's number. Returns -1. */
int delta_part_bad(const struct delta_part *part, struct yg_err *err, const char *what);

static inline size_t delta_rest(const struct delta_cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}
