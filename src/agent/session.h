/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that speaks to the Manager and to people on this computer. It has the network and two
 * folders of its own; content and files are other roles' business.
 *
 * config and fds  docs/processes.md, "What the parent hands out"
 * links           install, walk, relay
 */
int session_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void session_link(void *self, const char *peer, const char *tag, int fd);
void session_stop(void *self);

/* Its sandbox, for session_start and its test. in  user  NULL or "": stay */
int session_confine(int identity, int state, const char *user, struct yg_err *err) YG_MUST_CHECK;
