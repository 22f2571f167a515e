/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "tuf/meta.h"

struct yg_tuf;

/* Private to tuf/: below which no metadata is taken, however empty the cache is. "floor.json":
 *
 *     {"format": 1, "root": 3, "timestamp": 41, "snapshot": 40, "targets": {"am.json": 7, "targets.json": 9},
 *      "time": "2026-11-21T22:47:43Z"}
 *
 * A member that is absent is no floor.
 */
struct tuf_floor {
	int64_t root, timestamp, snapshot; /* versions; 0: none */
	json_t *targets;                   /* owned: name in snapshot to version; NULL: none */
	int64_t time;                      /* seconds since the epoch; 0: none */
	bool changed;                      /* since it was loaded or saved */
};

void tuf_floor_done(struct tuf_floor *floor);

/* Read a floor. errors  YG_EFORMAT, YG_ELIMIT; YG_ESYSTEM */
int tuf_floor_parse(struct tuf_floor *floor, struct yg_bytes text, struct yg_err *err)
	YG_MUST_CHECK;

/* What is kept, or none when that is absent or malformed. errors  those of ops->load */
int tuf_floor_load(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* When it changed. errors  those of ops->save; YG_ESYSTEM */
int tuf_floor_save(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* Against what is trusted now. errors  tuf.rollback */
int tuf_floor_check_root(const struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;
int tuf_floor_check_timestamp(const struct yg_tuf *tuf, const struct yg_meta *timestamp,
	struct yg_err *err) YG_MUST_CHECK;
int tuf_floor_check_snapshot(const struct yg_tuf *tuf, const struct yg_meta *snapshot,
	struct yg_err *err) YG_MUST_CHECK;

/* Take up what was trusted. errors  YG_ESYSTEM */
void tuf_floor_raise_root(struct yg_tuf *tuf);
void tuf_floor_raise_timestamp(struct yg_tuf *tuf);
int tuf_floor_raise_snapshot(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* Fast-forward recovery: the online keys are new in this version of root. Only a version that the floor has
 * not seen lowers it; else walking the roots again, after a wipe of the cache, would. It is saved at once.
 */
int tuf_floor_lower(struct yg_tuf *tuf, int64_t root, struct yg_err *err) YG_MUST_CHECK;
