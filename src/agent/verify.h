/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that reads what strangers wrote, for one update run: metadata, release manifests and the
 * transfer forms of objects. It has descriptors and nothing else; what it asks for, install brings.
 *
 * Answers `verify.begin`, `verify.refresh`, `verify.object`; asks `tuf.load`, `tuf.save`, `tuf.fetch`
 * (docs/processes.md). config  {"user"}
 */
int verify_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void verify_link(void *self, const char *peer, const char *tag, int fd);
void verify_stop(void *self);

/* Its sandbox, for verify_start and its test. in  user  to become when root; NULL or "": stay */
int verify_confine(const char *user, struct yg_err *err) YG_MUST_CHECK;
