/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "publisher/feed/feed.h"

/* The first step of an import: from what the content engineer named (files, folders, archives, ClamAV's
 * containers) to a list of files, unpacked where they must be.
 */
struct import_unpack {
	const char *component;
	const struct feed_format *format; /* of every file; NULL: found by component and name */
	const char *const *sources; /* paths; of files with one name the last source's is taken */
	size_t source_count;
	const char *inbox; /* folder for what is unpacked; empty */
};

/* A job of import_child. ctx: struct import_unpack.
 * out  {"files": [{"path", "name": as published, "from": where it was, "source": which}], in order of name,
 *       "containers": [{"path", "name", "signed": bool, "version", "time", "builder"}],
 *       "left_out": [names]}: what the component has no use for
 */
int import_unpack_work(void *ctx, json_t **out, struct yg_err *err);
