/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "tuf/meta.h"

/* Private to tuf/: the second half of yg_meta_parse. Fills all but `type` and `doc`, which are there.
 * errors  YG_EFORMAT, YG_ELIMIT; YG_ESYSTEM
 */
int yg_meta_shape_check(struct yg_meta *meta, struct yg_err *err) YG_MUST_CHECK;
