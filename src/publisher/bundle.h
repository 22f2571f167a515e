/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Write a bundle of a repository (content/bundle.h), or with --unpack make a repository of one. The same
 * repository, time and choice give the same bytes.
 */
int bundle_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
