/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "publisher/feed/feed.h"

/* The second step of an import: each file of the feed is read, checked and written as it will be published. The
 * same signatures give the same bytes, and a day's changes few different ones.
 */
struct import_stage {
	const char *component;
	const struct feed_format *format; /* of every file; NULL: found by component and name */
	const json_t *files;              /* of import_unpack, in order of name */
	const char *out;                  /* folder for the files; empty */
};

/* A job of import_child. ctx: struct import_stage.
 * out     {"files": [{"name", "from", "signatures", "duplicates"}], "signatures", "duplicates"}
 * errors  YG_EFORMAT "daily.ndb: line 17: want 4 or more fields, have 2"
 */
int import_stage_work(void *ctx, json_t **out, struct yg_err *err);
