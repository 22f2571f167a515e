/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

/* Private to tuf/: 5.4 to 5.6. */

int tuf_role_timestamp(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;
int tuf_role_snapshot(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* Targets metadata of any role, vouched for by `by`; the caller's to free. */
struct yg_meta *tuf_role_targets(struct yg_tuf *tuf, const char *role, const struct yg_meta *by,
	struct yg_err *err) YG_MUST_CHECK;
