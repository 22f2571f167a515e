/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Publish a new version of a component: the files of a folder, more files, and samples for its trial.
 * Files that end in ".zst" are decompressed first.
 */
int release_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
