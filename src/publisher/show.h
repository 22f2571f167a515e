/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* What a repository holds: roles with versions and expiry, components with versions and sizes. */
int show_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* The same after everything was checked as a client checks it, at the time given, and every object
 * was decoded and hashed.
 */
int show_verify(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* Write the newest root that 1.root.json leads to: what agents get with their installation. */
int show_trust(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
