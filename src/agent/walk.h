/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that finds the files of a scan and has them judged. It may read everything and change
 * nothing; it never looks into a file: descriptors go to the engine that is current.
 *
 * config  none. fds  [0] the folder "/"
 * links   session (scan.run, scan.cancel), install (engine.changed,
 *         engine.state), instances am
 */
int walk_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void walk_link(void *self, const char *peer, const char *tag, int fd);
void walk_stop(void *self);

/* Its sandbox, for walk_start and its test. */
int walk_confine(struct yg_err *err) YG_MUST_CHECK;
