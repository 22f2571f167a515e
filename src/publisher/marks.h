/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publisher/repo.h"

/* Which files of a repository somebody may still need: what the present metadata names, and what metadata named
 * that was in force at some time since then.
 */

struct marks {
	char **paths; /* owned; open addressing, NULL: free */
	size_t count, cap;
};

#define MARKS_PRESENT INT64_MAX /* since: only what is in force now */

/* In `since`, seconds since the epoch, by the time of the file that replaced a version. Root metadata is needed
 * for ever; what is numbered above the present version was never published. Free the marks in any case.
 * errors  YG_ESYSTEM; those of reading present metadata
 */
int marks_collect(struct marks *marks, const struct repo *repo, int64_t since, struct yg_err *err)
	YG_MUST_CHECK;
void marks_free_at(struct marks *marks);

bool marks_has(const struct marks *marks, const char *path);

/* One file below metadata/, targets/ or objects/: a folder at a time in that order, each sorted by name.
 * `mtime` in seconds since the epoch.
 */
typedef int marks_visit(void *ctx, const char *path, uint64_t size, int64_t mtime,
	struct yg_err *err);
int marks_walk(int repo, marks_visit *visit, void *ctx, struct yg_err *err) YG_MUST_CHECK;
