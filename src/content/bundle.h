/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Bundles: a repository, or what some computers lack of it, as one file for sites without internet. A
 * POSIX ustar archive of "bundle.json" and then regular files only, by the names that they have in a
 * repository. Nothing in it is believed before the TUF metadata in it vouches for it.
 * docs/repository.md, "Bundle"
 */

#define YG_BUNDLE_FILES_MAX  262144u
#define YG_BUNDLE_PATH_MAX   255u       /* bytes: what ustar can say */
#define YG_BUNDLE_INFO_MAX   (1u << 20) /* bytes of bundle.json */
#define YG_BUNDLE_FILE_MAX   ((8ull << 30) - 1)
#define YG_BUNDLE_HEADER     512u /* bytes; also what files are padded to */
#define YG_BUNDLE_INFO       "bundle.json"
#define YG_BUNDLE_FORMAT     1
#define YG_BUNDLE_COMPONENTS 64u

struct yg_bundle;

struct yg_bundle_file {
	const char *path; /* "objects/ab/abcd…"; lives as long as the bundle */
	uint64_t offset;  /* of its first byte in the bundle */
	uint64_t size;    /* bytes */
};

/* Read the index of a bundle: headers only, by position (the descriptor's own stays). `fd` is a regular file
 * that is borrowed until the bundle is freed.
 * errors  cause content.format: YG_EFORMAT no ustar archive, something else than a regular file below
 *         metadata/, targets/ or objects/, a name twice, bytes missing or left over, a bundle.json of
 *         another format; cause content.limit: YG_ELIMIT; YG_ESYSTEM
 */
struct yg_bundle *yg_bundle_open(int fd, struct yg_err *err) YG_MUST_CHECK;
void yg_bundle_free(struct yg_bundle *bundle);
YG_DEFINE_AUTO(yg_bundle);

/* When it was made, seconds since the epoch, as bundle.json says, which nobody signed. */
int64_t yg_bundle_made(const struct yg_bundle *bundle);

/* bundle.json, borrowed: {"format", "made", "components": [{"name", "version", "from": [versions]}]};
 * checked for form only. "from" is empty where the component is there whole.
 */
const json_t *yg_bundle_info(const struct yg_bundle *bundle);

/* Where a file lies; false when the bundle has none of this path. */
bool yg_bundle_find(const struct yg_bundle *bundle, const char *path, struct yg_bundle_file *out);

/* The files in the order of the archive, bundle.json not among them; false after the last. */
bool yg_bundle_file(const struct yg_bundle *bundle, size_t index, struct yg_bundle_file *out);

/* Append a file. errors  YG_EABSENT; YG_ELIMIT more than buf->max; YG_ESYSTEM */
int yg_bundle_read(const struct yg_bundle *bundle, const char *path, struct yg_buf *buf,
	struct yg_err *err) YG_MUST_CHECK;

/* Write a file's bytes at `out`'s present position. errors  YG_EFORMAT cause content.format: the
 * bundle became shorter; YG_ESYSTEM
 */
int yg_bundle_copy(const struct yg_bundle *bundle, const struct yg_bundle_file *file, int out,
	struct yg_err *err) YG_MUST_CHECK;

/* The header of a file, as it stands before its bytes. The same arguments give the same bytes: owner 0,
 * mode 0644. in  mtime  seconds since the epoch. errors  YG_ELIMIT what ustar cannot say
 */
int yg_bundle_header(const char *path, uint64_t size, int64_t mtime, uint8_t out[YG_BUNDLE_HEADER],
	struct yg_err *err) YG_MUST_CHECK;
