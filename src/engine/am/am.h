/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "engine/engine.h"

/* The anti-malware engine: libclamav, and the only code that calls it. Content: the components
 * am-pattern, am-yara and am-hash of a set, in the formats that libclamav loads. Its page for
 * operators, with the members of SET_CONFIG, is am.md.
 *
 * One instance a process may hold content, because loading changes the working directory.
 */
extern const struct yg_engine yg_am_engine;

#define YG_AM_THREADS_PRESET 2

/* A folder that libclamav 1.5 reads before it loads anything; a sandbox around loading allows that.
 * It looks there for certificates that sign databases; there are none. Part of base-files: it exists
 * everywhere, for every user.
 */
#define YG_AM_NO_CERTS "/usr/share/dict"

/* By the configuration in force: files to be scanned at once, and how long one may take. */
unsigned yg_am_threads(const void *self);
int64_t yg_am_scan_ms(const void *self);
