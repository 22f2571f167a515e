/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/verify.h"

/* Read every object of the releases: decode whole forms, apply deltas (`deltas`). */
int deep_objects(struct verify *verify, bool deltas, struct yg_err *err) YG_MUST_CHECK;

/* A bundle has what its computers lack. */
int deep_complete(struct verify *verify, struct yg_err *err) YG_MUST_CHECK;

/* Files of the folder that no metadata names that is in force, or was within the days of grace. */
int deep_loose(struct verify *verify, struct yg_err *err) YG_MUST_CHECK;
