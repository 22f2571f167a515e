/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that speaks HTTP to relays and sources for one update run. It has the network and the
 * descriptors it is handed, and no path but the system's CA certificates and name resolution.
 *
 * Answers `fetch.get` (docs/processes.md). config  {"user"}
 */
int fetch_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void fetch_link(void *self, const char *peer, const char *tag, int fd);
void fetch_stop(void *self);

/* Its sandbox, for fetch_start and its test. in  user  to become when root; NULL or "": stay */
int fetch_confine(const char *user, struct yg_err *err) YG_MUST_CHECK;
