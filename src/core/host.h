/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

/* What this computer is like, for a diagnostic package: operating system, memory, load, clock, mounts, addresses,
 * routes, names and how they are resolved. Only what the kernel and /etc tell; nothing is asked over a network.
 */

/* A new array of {name, text}: "os-release" and what it holds, in no particular order. Each at most 64 KiB, valid
 * UTF-8.
 */
json_t *yg_host_facts(void);
