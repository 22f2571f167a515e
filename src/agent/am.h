/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role that holds the anti-malware engine with one content set, and judges descriptors. It has
 * the set's folder while it loads, a temporary directory, and memory up to its policy; no network, no
 * other path, no capability. What bad content or a bad file does to it ends with this process.
 *
 * Answers `am.abi`, `am.load` (one set a process), `am.trial`, `am.config` to install, `am.scan` to walk
 * (docs/processes.md). Scans run on threads, so it answers messages all the time. It ends by itself
 * two seconds after install and walk have both gone and nothing is being scanned.
 *
 * config  {"user": to become when started as root, or ""}
 * fds     [0] folder of engines' temporary directories: this one makes its own in it, and removes
 *         those of engines that have ended
 */
int am_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void am_link(void *self, const char *peer, const char *tag, int fd);
void am_stop(void *self);
