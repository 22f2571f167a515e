/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that holds the store: the only one that writes content. It keeps the live set and the one
 * before, runs updates (src/update/run.h) with a fetch and a verify process that live as long as
 * the run, starts the engine of the live set, tries a new set in a second engine before it switches, and
 * rolls back. It opens no network and parses nothing that verify has not passed.
 *
 * config  {"log_level": "err"|"app"|"dbg" (preset "app")}; unknown members ignored
 * fds     [0] the agent's ROOT directory; [1] optional: the root.json that came with the installation,
 *         open for reading, copied to state/tuf/ when there is none yet
 * links   session, walk, relay; instances fetch, verify, am (tag: digest of the set)
 */
int install_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void install_link(void *self, const char *peer, const char *tag, int fd);
void install_stop(void *self);

/* Its sandbox, for install_start and its test: it writes below `root`, and nothing else exists. */
int install_confine(int root, struct yg_err *err) YG_MUST_CHECK;
