/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "content/bundle.h"
#include "core/err.h"

/* A bundle in place of a source: what fetch would get from a web server, it gets from the file, and is no more
 * trusted.
 *
 * Write the file `path` from byte `offset` on to `out`.
 * in/out  *bundle  opened at first use; the caller's to free
 * in      fd       of the bundle; borrowed as long as *bundle is there
 *         max      bytes that the whole file may have
 * out     *size    bytes that were written
 * errors  YG_EABSENT the bundle has no such file; YG_ELIMIT; those of yg_bundle_open
 */
int fetch_bundle_get(struct yg_bundle **bundle, int fd, const char *path, uint64_t offset,
	uint64_t max, int out, uint64_t *size, struct yg_err *err) YG_MUST_CHECK;
