/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tests/fault/trace.h"

/* A model of what a disk may hold after the power was cut, for a small tree in tmpfs.
 *
 *   The data of a file is safe from its fsync on; before, it may be what the last fsync left, all of it, the
 *   first half and zeros, or zeros. The entries of a folder are safe from its fsync on; before, any subset of
 *   the changes may have arrived, in any order. A rename is one change: a name never disappears without its
 *   other name being there; over two folders, an fsync of the new one may leave both names. The target of a
 *   symbolic link arrives with its name.
 *
 * Every system call that changes the tree is seen before it is made (disk_step), so what the last one did is
 * found by looking; which folder or file an fsync was for is known from its descriptor.
 */

struct disk;

/* What is in `root` now is safe. Everything fails the test when it cannot be done. */
struct disk *disk_new(int root);
void disk_free(struct disk *disk);

/* Look what the last call did; then note what this one, about to be made, makes safe. NULL: there is none. */
void disk_step(struct disk *disk, const struct trace_call *call);

/* Call for every state that a cut now may leave, built in a new folder below `where` and removed after. All of
 * them when they are at most `limit`, else that many: nothing arrived, everything did, one change did, all but
 * one, and mixtures by `seed`. A state that this disk has shown with the same `mark` is not shown again.
 * returns their number
 */
typedef void disk_visit(void *ctx, int root, const char *path);
size_t disk_states(struct disk *disk, const char *where, size_t limit, uint64_t seed, int mark,
	disk_visit *visit, void *ctx);
