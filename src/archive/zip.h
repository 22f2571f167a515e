/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* A zip file of our own making, written from its beginning to its end: also into a pipe. */

struct yg_zip;

/* in  fd  the caller's; written to until yg_zip_close. errors  YG_ESYSTEM */
struct yg_zip *yg_zip_new(int fd, struct yg_err *err) YG_MUST_CHECK;

/* Give it up: what was written is no whole zip. NULL is fine. */
void yg_zip_free(struct yg_zip *zip);
YG_DEFINE_AUTO(yg_zip);

/* Add a file, compressed.
 * in      path    relative, as yg_str_path_ok wants it
 *         time_s  of its last change
 * errors  YG_EFORMAT the path; YG_ESYSTEM
 */
int yg_zip_add(struct yg_zip *zip, const char *path, struct yg_bytes bytes, int64_t time_s,
	struct yg_err *err) YG_MUST_CHECK;

/* Write its end. errors  YG_ESYSTEM */
int yg_zip_close(struct yg_zip *zip, struct yg_err *err) YG_MUST_CHECK;
