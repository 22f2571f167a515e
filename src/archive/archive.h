/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/attr.h"
#include "core/err.h"

/* Archives of strangers: tar and zip, and tar or a single file compressed by gzip, xz, zstd or bzip2. Only
 * regular files come out, into descriptors that the caller gives; nothing in an archive decides where.
 */

struct yg_archive_limits {
	uint64_t entries;    /* files and folders */
	uint64_t file_bytes; /* of one file, unpacked */
	uint64_t bytes;      /* of all files, unpacked */
	uint64_t ratio;      /* unpacked bytes for each packed one, above YG_ARCHIVE_RATIO_FROM */
};

#define YG_ARCHIVE_RATIO_FROM (16u << 20) /* bytes unpacked, from which the ratio counts */
#define YG_ARCHIVE_PATH_MAX   1024u       /* bytes of a path in an archive */
#define YG_ARCHIVE_LEVELS_MAX 16u         /* folders in folders */

/* A file in the archive: say where its bytes go. "path" is relative, without "." and ".." in it; its bytes
 * may be any but NUL. It is empty for a single compressed file, which has no name inside.
 * out     *out  a descriptor to write to, still the caller's; -1: pass over it
 */
typedef int yg_archive_open(void *ctx, const char *path, int *out, struct yg_err *err);

enum yg_archive_kind { YG_ARCHIVE_NONE, YG_ARCHIVE_MANY, YG_ARCHIVE_PACKED };

/* By its first bytes, whatever its name says: an archive (tar, zip), something compressed, or neither. The
 * position of `fd` stays.
 */
enum yg_archive_kind yg_archive_kind(int fd);

/* Unpack from the present position of `fd`.
 * in      single  a compressed file that is no tar is one file; otherwise it is an error
 * errors  YG_EFORMAT damaged, encrypted, a link or device, a path that leads out of it; YG_ELIMIT: the
 *         message names the file; those of open; YG_ESYSTEM
 */
int yg_archive_unpack(int fd, bool single, const struct yg_archive_limits *limits,
	yg_archive_open *open, void *ctx, struct yg_err *err) YG_MUST_CHECK;
