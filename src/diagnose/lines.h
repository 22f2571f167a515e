/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* Lines of a text file of any origin: UTF-8, UTF-16 of either order (logs of Windows, with or without a mark at their
 * start), Shift_JIS; LF or CRLF. A file of any size goes through in pieces. What comes out is UTF-8 without control
 * characters.
 */

#define YG_LINES_BYTES_MAX 65536 /* of one line; what is longer is cut */

typedef int yg_lines_take(void *ctx, const char *line, size_t len, struct yg_err *err);

struct yg_lines;

/* `take` is called for each line, without its end; it must not keep the text. A failure of it ends the work. */
struct yg_lines *yg_lines_new(yg_lines_take *take, void *ctx, struct yg_err *err) YG_MUST_CHECK;
void yg_lines_free(struct yg_lines *lines);
YG_DEFINE_AUTO(yg_lines);

/* The next bytes of the file. errors  those of take; YG_ESYSTEM */
int yg_lines_add(struct yg_lines *lines, const uint8_t *bytes, size_t len, struct yg_err *err)
	YG_MUST_CHECK;

/* The file has ended: the last line, when it has no end. */
int yg_lines_end(struct yg_lines *lines, struct yg_err *err) YG_MUST_CHECK;

/* A whole file from its present position, at most `max` bytes of it; with gzip, zstd, xz or bzip2 around it, what it
 * unpacks to.
 * out     *whole  false: there was more than `max`
 * errors  YG_EFORMAT damaged; YG_ESYSTEM; those of take
 */
int yg_lines_read(struct yg_lines *lines, int fd, uint64_t max, bool *whole, struct yg_err *err)
	YG_MUST_CHECK;
