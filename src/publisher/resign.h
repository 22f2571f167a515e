/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Give metadata a new version and a new expiry: timestamp and snapshot, or the roles that are named; with
 * --if-due only what runs out soon. Says what runs out next; *out stays NULL when nothing was due.
 */
int resign_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
