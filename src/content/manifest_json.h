/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "content/manifest.h"

/* What release manifests and set descriptions have in common. For this folder only. */

#define MANIFEST_SET   (1u << 0) /* a component of a set: "name", and "manifest" is its digest */
#define MANIFEST_FORMS (1u << 1) /* files must say how they are transferred */

/* Fill a zeroed manifest; half filled on failure. errors  as yg_manifest_parse */
int manifest_json_parse(const json_t *object, unsigned what, struct yg_manifest *manifest,
	struct yg_err *err) YG_MUST_CHECK;

/* version, family, abi, files, trial: a new reference, or NULL when memory is out. */
json_t *manifest_json_make(const struct yg_manifest *manifest, bool forms);
