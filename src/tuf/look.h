/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* A glance at timestamp.json, for who tests a connection: whether this is a repository, and one that lives.
 * Nothing is verified, and nothing here may be believed.
 */

#define YG_LOOK_PATH "metadata/timestamp.json"

/* out     seen  "timestamp 12, expires 2026-11-28T00:00:00Z", cut when it does not fit
 * errors  YG_EFORMAT cause tuf.format; YG_ELIMIT tuf.size; YG_EUNTRUSTED tuf.expired
 */
int yg_look_timestamp(struct yg_bytes text, int64_t now_s, char *seen, size_t size,
	struct yg_err *err) YG_MUST_CHECK;
