/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* Role web: people's REST API. What it keeps: its listening socket and its links to store and ca. */
int web_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void web_link(void *self, const char *peer, const char *tag, int fd);
void web_stop(void *self);
