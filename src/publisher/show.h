/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/set.h"
#include "publisher/command.h"

/* What a repository holds: roles with versions and expiry, components with versions and
 * sizes, and of each its earlier releases, what an update from them costs, waves, and what was withdrawn.
 */
int show_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* The short of it, of a refreshed client and the set that it got (NULL: none). */
int show_describe(const struct yg_tuf *tuf, const struct yg_set *set, const char *path,
	json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* Write the newest root that 1.root.json leads to: what agents get with their installation. */
int show_trust(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
