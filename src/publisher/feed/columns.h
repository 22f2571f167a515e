/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/feed/feed.h"

/* Tables of others, whose columns are found by what is in them: headers are called what their makers like. */

#define COLUMNS_MAX   64u
#define COLUMNS_KINDS 4u /* kinds of values, 0 for those that are not wanted */

struct columns {
	char separator;
	size_t at;              /* the column */
	unsigned kind;          /* what is in it */
	unsigned hits;          /* rows of the sample that have such a value there */
	struct yg_bytes header; /* the line that names the columns; empty when there is none */
	uint64_t header_line;   /* its number, when it is not a remark; 0 */
};

/* Look at the first rows for the column that is worth most: a higher kind that half of the rows have, then
 * more rows. returns false when no column has what is wanted
 */
bool columns_find(struct yg_bytes text, unsigned (*kind)(void *ctx, struct yg_bytes value),
	void *ctx, struct columns *out);

/* The first column whose header has one of the words (" size filesize "), in the order of the words;
 * false: none.
 */
bool columns_named(const struct columns *columns, const char *const *words, size_t count,
	size_t *out);

bool columns_remark(struct yg_bytes line); /* empty, or begins with '#', '!' or "//" */
