/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

#include "tests/lib/content_set.h"

/* What a store lives through, for tests that cut it off: each story starts from a prepared store, and is told by
 * a process of its own (story_tell, for trace_run). However it ends, story_check must be content.
 */

enum story { STORY_INSTALL, STORY_UPDATE, STORY_ROLLBACK, STORY_REPAIR, STORIES };
extern const char *const story_names[STORIES];

/* What the process says while it goes; in memory that the test shares with it. */
struct story_told {
	bool switched;     /* lib leads to the new set, for ever */
	bool held;         /* the hold is on disk, for ever */
	struct yg_err err; /* why it failed */
};

struct telling {
	enum story story;
	struct world w;
	struct story_told *told; /* shared */
};

void story_prepare(struct telling *t, enum story story);
void story_free(struct telling *t);

/* arg: a struct telling. returns 0, or 1 with told->err */
int story_tell(void *arg);

/* A new process starts on what is in `root`, below `path`: exactly the old or the new set, whole; nothing left
 * over; and the next update works. Fails the test with `what` in the message.
 */
void story_check(const struct telling *t, int root, const char *path, const char *what);
