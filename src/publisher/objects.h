/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

#include "content/manifest.h"
#include "core/err.h"

/* A repository's objects: transfer forms, named by their hash. `repo` is the repository's folder. */

/* True when the object is there with the bytes of its name. */
bool objects_good(int repo, const struct yg_form *form);

/* Give the nameless file with a form's bytes its place. One that lies there already is read before it is
 * relied on, and replaced when it is damaged. errors  YG_ESYSTEM
 */
int objects_keep(int repo, int fd, const struct yg_form *form, struct yg_err *err) YG_MUST_CHECK;

/* A file's plain bytes, out of its whole form, checked: a nameless file in folder `dir`.
 * returns a descriptor at its start, or -1; errors  YG_EABSENT, those of yg_codec_decode
 */
int objects_load(int repo, int dir, const struct yg_file *file, struct yg_err *err) YG_MUST_CHECK;
