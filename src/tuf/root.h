/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/err.h"
#include "tuf/tuf.h"

/* Private to tuf/: 5.2 and 5.3. */

int tuf_root_trust(struct yg_tuf *tuf, struct yg_bytes root, struct yg_err *err) YG_MUST_CHECK;

/* The kept one, unless there is one already. */
int tuf_root_load(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* To the newest that the source has, which must not have expired by the computer's clock. */
int tuf_root_update(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

int tuf_root_check_expiry(const struct yg_tuf *tuf, int64_t time, struct yg_err *err) YG_MUST_CHECK;
