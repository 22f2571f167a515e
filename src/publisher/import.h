/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* "REPO COMPONENT SOURCE…": take a feed, check it, bring it into the form whose deltas are small, and release
 * it. Nothing new: nothing is published. A feed that lost too much, or that the engine does not take, is
 * refused, unless --force.
 */
int import_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
