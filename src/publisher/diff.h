/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* What a release adds and removes, in signatures: two versions of a component ("REPO COMPONENT [A [B]]"; presets:
 * the one before the newest, and the newest), or two folders, files or archives ("A B").
 */
int diff_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
