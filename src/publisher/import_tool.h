/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/err.h"

/* Programs that check a feed where they are installed: suricata, yarac. They read what strangers wrote: they get
 * no input, a clean environment, no network, no capabilities, the system's folders to read and one to write, and
 * a limit of memory and time.
 */

/* Where a program is, in PATH; false: nowhere. */
bool import_tool_find(const char *name, char *out, size_t size);

/* Run it; what it says, in both of its outputs, is added to `said` as far as that takes it.
 * in      work  the folder that it may read and write, open
 * out     *status  its exit status
 * errors  YG_ELIMIT it took too long, or was killed; YG_ESYSTEM
 */
int import_tool_run(const char *path, char *const argv[], int work, unsigned seconds,
	struct yg_buf *said, int *status, struct yg_err *err) YG_MUST_CHECK;
