/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* Role session: agents' requests. What it keeps: its listening socket and its links to store and ca. */
int session_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void session_link(void *self, const char *peer, const char *tag, int fd);
void session_stop(void *self);
