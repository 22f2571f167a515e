/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* rotate-key REPO ROLE…: a new key comes, an old one goes. Readers follow by themselves. Root, targets, snapshot
 * and timestamp change by a new root, which may have to wait for signatures (root.h); classes by
 * new targets, with the class's metadata signed anew.
 */
int rotate_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* revoke-key REPO ID|ROLE…: the same for one key, in every role that it signs for; with --drop nothing comes
 * in its place.
 */
int rotate_revoke(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
