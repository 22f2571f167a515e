/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* The last lines that one process said, in a file of fixed size that it has mapped: what was written is there
 * however it ended, for whoever opens the file. The parent makes the files and hands them out; a role opens none.
 *
 * 64 bytes of head (magic, how many bytes were ever written), then text that goes round. A line counts when it
 * is whole: a process that is killed while it writes one leaves the lines before.
 */

#define YG_RING_BYTES    (64u << 10) /* of the file */
#define YG_RING_LINE_MAX 2400u       /* bytes of one line; longer ones are cut */

struct yg_ring;

/* Open the ring file `name`, made or put right when it is not one. What it holds stays.
 * returns the descriptor, or -1. errors  YG_ESYSTEM
 */
int yg_ring_file(int dir, const char *name, struct yg_err *err) YG_MUST_CHECK;

/* Write to it from now on; the descriptor is not needed any longer. errors  YG_EFORMAT, YG_ESYSTEM */
struct yg_ring *yg_ring_map(int fd, struct yg_err *err) YG_MUST_CHECK;
void yg_ring_free(struct yg_ring *ring);
YG_DEFINE_AUTO(yg_ring);

/* Add a line, which ends with '\n'. Any thread. */
void yg_ring_add(struct yg_ring *ring, const char *line, size_t len);

/* Append what is there, oldest first, whole lines. Another process may be writing: what it overtakes is left
 * out. Bytes that are not UTF-8 or would drive a terminal become '?'.
 * errors  YG_EFORMAT not such a file; YG_ELIMIT; YG_ESYSTEM
 */
int yg_ring_read(int fd, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* Call `each` for every ring file of a folder, by name: `name` is "session" for "session.ring", `text` what
 * yg_ring_read gives, NUL-terminated, borrowed. One that cannot be read is passed over.
 * errors  YG_ESYSTEM the folder cannot be read
 */
int yg_ring_all(int dir, void (*each)(void *ctx, const char *name, struct yg_bytes text), void *ctx,
	struct yg_err *err) YG_MUST_CHECK;

#define YG_RING_SUFFIX ".ring"
