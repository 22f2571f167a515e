/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Release manifests: what one version of one component consists of. docs/repository.md has the
 * format. Everything here is checked by the parser, so that users need not look twice: names are
 * safe as path components, digests are 64 lower-case hex digits, no path occurs twice.
 */

#define YG_MANIFEST_SIZE_MAX  (4u << 20) /* bytes of a manifest */
#define YG_MANIFEST_FILES_MAX 4096u
#define YG_MANIFEST_FORMS_MAX 64u  /* ways to get one file: whole, and deltas */
#define YG_MANIFEST_TRIAL_MAX 64u  /* samples of a kind */
#define YG_COMPONENT_NAME_MAX 64u  /* bytes */
#define YG_FILE_PATH_MAX      200u /* bytes, "/" included */
#define YG_FILE_LEVELS_MAX    8u   /* parts of a path: folders, and the file itself */
#define YG_DESCRIPTION_MAX    200u
#define YG_FILE_SIZE_MAX      (4ull << 30) /* bytes of one file, plain */
#define YG_SHA256_TEXT        65           /* bytes of a SHA-256 in hex, with the terminator */

enum yg_family { YG_FAMILY_PATTERN, YG_FAMILY_RULE };
enum yg_encoding { YG_ENCODING_PLAIN, YG_ENCODING_ZSTD, YG_ENCODING_DELTA };

/* One way to get a file's bytes: the object "objects/<first two digits>/<sha256>". */
struct yg_form {
	enum yg_encoding encoding;
	char sha256[YG_SHA256_TEXT]; /* of the bytes that are transferred */
	uint64_t size;               /* bytes that are transferred */
	char from[YG_SHA256_TEXT];   /* of a delta: the plain bytes that it changes; else empty */
};

struct yg_file {
	char *path;                  /* "daily.hsb", "samples/find/yagura-1"; owned */
	char sha256[YG_SHA256_TEXT]; /* of the plain bytes: the object's id */
	uint64_t size;               /* plain bytes */
	struct yg_form *forms;       /* those we know, owned; none in a set.json */
	size_t form_count;
};

struct yg_abi {
	char engine[33];  /* "clamav"; empty: any */
	int64_t min, max; /* content format levels, inclusive */
};

struct yg_manifest {
	char component[YG_COMPONENT_NAME_MAX + 1]; /* "am-pattern" */
	enum yg_family family;
	int64_t version;  /* 1.. */
	int64_t released; /* seconds since the epoch; 0 when it came from a set description */
	char description[YG_DESCRIPTION_MAX + 1]; /* UTF-8; empty likewise */
	char sha256[YG_SHA256_TEXT];              /* of the manifest's own text */
	struct yg_abi abi;
	struct yg_file *files; /* owned; in byte order of path */
	size_t file_count;
	char **find; /* owned; paths of samples the engine must find */
	size_t find_count;
	char **pass; /* owned; paths of samples it must not flag */
	size_t pass_count;
};

/* Parse the text of a manifest. Fills sha256. A form with an encoding unknown to us is left out; a
 * file that no form left gives whole is an error.
 * errors  YG_EFORMAT cause content.format, YG_ELIMIT cause content.limit:
 *         "files: 1: 'daily.hsb': sha256: want …, have …"
 */
struct yg_manifest *yg_manifest_parse(struct yg_bytes text, struct yg_err *err) YG_MUST_CHECK;

/* The text of a manifest, appended. Sorts files by path. errors  YG_ELIMIT, YG_ESYSTEM */
int yg_manifest_format(struct yg_manifest *manifest, struct yg_buf *out, struct yg_err *err)
	YG_MUST_CHECK;

void yg_manifest_free(struct yg_manifest *manifest);
YG_DEFINE_AUTO(yg_manifest);

/* The file of this path, or NULL. */
const struct yg_file *yg_manifest_file(const struct yg_manifest *manifest, const char *path);

/* The cheapest form that gives the file whole, without anything else. */
const struct yg_form *yg_file_form(const struct yg_file *file);

/* The cheapest delta from a file that `has` says is here, by the SHA-256 of its plain bytes; NULL when
 * there is none, or the whole file is no dearer.
 */
const struct yg_form *yg_file_delta(const struct yg_file *file,
	bool (*has)(void *ctx, const char *sha256), void *ctx);

/* Add a form, which is copied. errors  YG_ELIMIT more than YG_MANIFEST_FORMS_MAX; YG_ESYSTEM */
int yg_file_add_form(struct yg_file *file, const struct yg_form *form, struct yg_err *err)
	YG_MUST_CHECK;

/* "objects/ab/abcd…", relative to the repository. `out` has YG_OBJECT_PATH bytes. */
#define YG_OBJECT_PATH (sizeof("objects/ab/") + 64)
void yg_form_path(const struct yg_form *form, char out[YG_OBJECT_PATH]);

const char *yg_family_name(enum yg_family family);       /* "pattern" */
const char *yg_encoding_name(enum yg_encoding encoding); /* "zstd" */
int yg_encoding_parse(const char *name, enum yg_encoding *out, struct yg_err *err) YG_MUST_CHECK;

/* The role whose keys sign a component: "am" for "am-pattern"; NULL for an unknown component. */
const char *yg_component_role(const char *component);

/* The known components, index from 0; NULL after the last. */
const char *yg_component_name(size_t index);
