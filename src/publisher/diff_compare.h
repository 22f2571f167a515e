/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "core/err.h"

/* What differs between two versions of a component, in signatures. An edited signature, one whose name is on
 * both sides with another text, is changed; order and remarks are nothing.
 */
struct diff_file {
	char *name; /* owned; in the component */
	char *path; /* owned; where its bytes are */
};

struct diff_side {
	struct diff_file *files; /* owned; in byte order of name */
	size_t count, cap;
};

/* Add a file; names must come in order. errors  YG_ESYSTEM */
int diff_compare_add(struct diff_side *side, const char *name, const char *path, struct yg_err *err)
	YG_MUST_CHECK;
void diff_compare_free(struct diff_side *side);

struct diff_compare {
	struct diff_side a, b;
	size_t limit; /* names of each kind and file that are listed */
};

static inline void diff_compare_free_at(struct diff_compare *job)
{
	diff_compare_free(&job->a);
	diff_compare_free(&job->b);
}

/* A job of import_child; memory: 8 bytes for each signature, twice. ctx: struct diff_compare.
 * out  {"before", "after", "added", "removed", "changed": signatures, "files": [{"file", the same five,
 *       "added_names", "removed_names", "changed_names"}], those that differ}
 */
int diff_compare_work(void *ctx, json_t **out, struct yg_err *err);
