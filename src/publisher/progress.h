/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far a long step is, on stderr: on a terminal a bar, elsewhere a line every two seconds, "compressing
 * main.hdb: 12 of 40 MiB", or {"progress": {"what", "done", "of", "unit"}}. Nothing about a step that is
 * ready before. Written from a signal handler, so the work itself need not know of it.
 */

/* JSON instead of text, from now on. */
void progress_json(bool json);

/* A step begins: what is done, and, if fd >= 0, the file whose position tells how far it is. */
void progress_begin(const char *what, int fd, uint64_t size);

/* A step that consists of `count` smaller ones begins; progress_step says how many are done. */
void progress_count(const char *what, size_t count);
void progress_step(size_t done);

void progress_end(void);
