/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

/* Lines on stderr about a step that takes more than two seconds, one every two seconds:
 * "compressing main.hdb: 12 of 40 MiB". Written from a signal handler, so the work itself need not
 * know of it.
 */

/* A step begins: what is done, and, if fd >= 0, the file whose position tells how far it is. */
void progress_begin(const char *what, int fd, uint64_t size);
void progress_end(void);
