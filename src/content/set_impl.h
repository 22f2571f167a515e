/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/set.h"

/* How a set is put together. For this folder only. */

struct yg_set *set_empty(struct yg_err *err) YG_MUST_CHECK;

/* Takes the manifest over, also on failure. errors  YG_ELIMIT */
int set_put(struct yg_set *set, struct yg_manifest *manifest, struct yg_err *err) YG_MUST_CHECK;

/* Sort, look for doubles, compute the digest. */
int set_finish(struct yg_set *set, struct yg_err *err) YG_MUST_CHECK;
