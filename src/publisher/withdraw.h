/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Take a release back: it is no target any more, its number is never used again, and when it was the newest,
 * the one before it is.
 */
int withdraw_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
