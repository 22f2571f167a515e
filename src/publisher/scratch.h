/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/attr.h"
#include "core/err.h"

/* A folder for one command, under TMPDIR or /var/tmp, gone with it. What a killed command left is removed by
 * the next that makes one.
 */
struct scratch {
	char path[256]; /* absolute */
	int dir;        /* the folder, open and locked; -1: none */
};

/* errors  YG_ESYSTEM */
int scratch_open(struct scratch *scratch, struct yg_err *err) YG_MUST_CHECK;
void scratch_close(struct scratch *scratch);

static inline void scratch_free_at(struct scratch *scratch)
{
	scratch_close(scratch);
}
