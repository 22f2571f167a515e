/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "core/err.h"
#include "core/sandbox.h"

/* Work on a stranger's bytes in a process of its own: no network, no paths but those that are named, a limit
 * of memory and of time. It may read everything of ours that it inherits in memory, and can tell nobody but us.
 */
struct import_child {
	const char *what; /* for progress and messages: "reading the feed" */
	int (*work)(void *ctx, json_t **out, struct yg_err *err);
	void *ctx;
	const struct yg_sandbox_path *paths;
	uint32_t path_count;
	uint64_t memory_max; /* bytes of address space */
	unsigned seconds;
};

/* Returns what work returned, there: its value, or its error.
 * errors  YG_ELIMIT it took too long, or was killed, as is done for want of memory
 */
int import_child_run(const struct import_child *child, json_t **out, struct yg_err *err)
	YG_MUST_CHECK;
