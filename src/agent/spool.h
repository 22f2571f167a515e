/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* Events and results until the Manager has them. One file, `spool`, in a folder of its own:
 *
 *     <crc32, 8 hex digits> {"epoch":"<uuid>","next":N}        the head: N is the next sequence number
 *     <crc32> {"seq":7,"kind":"event",…}                       entries, each on disk when added
 *
 * What follows the first line that is torn or wrong was never confirmed to anybody, and is cut off. The
 * file is rewritten as a whole (rename) when most of it has been acknowledged. When it is full the
 * oldest events go, never results, and event 20106 says how many.
 */

#define SPOOL_EPOCH_TEXT 37

struct spool_limits {
	size_t bytes; /* of the file */
	size_t entries;
};

struct spool;

/* errors  YG_ESYSTEM; a spool that is broken from its first byte is begun anew, with a new epoch */
struct spool *spool_open(int dir, const struct spool_limits *limits, struct yg_err *err)
	YG_MUST_CHECK;
void spool_free(struct spool *spool);
YG_DEFINE_AUTO(spool);

const char *spool_epoch(const struct spool *spool);
size_t spool_count(const struct spool *spool);

/* Add an entry (taken over); it gets its "seq". On disk when this returns.
 * errors  YG_ELIMIT the entry is too large; YG_ESYSTEM
 */
int spool_add(struct spool *spool, json_t *entry, struct yg_err *err) YG_MUST_CHECK;

/* The oldest entries, as an array: a new reference. At most `entries` and about `bytes`.
 * errors  YG_ESYSTEM
 */
int spool_batch(struct spool *spool, size_t entries, size_t bytes, json_t **out, struct yg_err *err)
	YG_MUST_CHECK;

/* Forget what the Manager has: everything up to this sequence number. errors  YG_ESYSTEM */
int spool_ack(struct spool *spool, uint64_t seq, struct yg_err *err) YG_MUST_CHECK;

/* True when a result of this job is still in it. */
bool spool_has_result(const struct spool *spool, const char *job);
