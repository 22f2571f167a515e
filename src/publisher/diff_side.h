/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/manifest.h"
#include "publisher/diff_compare.h"

/* What two sides of a comparison can be. */

/* The files of a release, decoded into an empty folder, checked. errors  those of yg_codec_decode */
int diff_side_release(struct diff_side *side, int repo, const struct yg_manifest *manifest,
	const char *folder, struct yg_err *err) YG_MUST_CHECK;

/* The files of a flat folder. errors  YG_ESYSTEM */
int diff_side_folder(struct diff_side *side, const char *folder, struct yg_err *err) YG_MUST_CHECK;
