/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* What the class role says about a component's newest release besides its bytes: who may take it from
 * when, which earlier releases are still there, which were withdrawn. It is the member "custom" of the TUF
 * target, so that changing it leaves manifest and set as they are. docs/repository.md, "Earlier releases"
 */

#define YG_ROLLOUT_WAVES_MAX     16u
#define YG_ROLLOUT_EARLIER_MAX   64u
#define YG_ROLLOUT_WITHDRAWN_MAX 64u
#define YG_ROLLOUT_REASON_MAX    160u   /* bytes */
#define YG_ROLLOUT_SEATS         10000u /* a computer has one of 0..9999 */
#define YG_ROLLOUT_NEVER         INT64_MAX

struct yg_wave {
	int64_t at;       /* seconds since the epoch */
	unsigned percent; /* of all seats that may take it from then on, 0..100 */
};

struct yg_withdrawn {
	int64_t version;
	char reason[YG_ROLLOUT_REASON_MAX + 1];
};

struct yg_rollout {
	int64_t version;                /* of the newest release; 0: not said */
	struct yg_wave *waves;          /* owned; by time, percent growing */
	int64_t *earlier;               /* owned; versions, newest first */
	struct yg_withdrawn *withdrawn; /* owned; as they came */
	size_t wave_count, earlier_count, withdrawn_count;
};

/* Read the member. NULL is one that says nothing. Unknown members are ignored.
 * returns NULL with *err: YG_EFORMAT cause content.format, "waves: 2: percent: want > 10, have 5"; YG_ELIMIT
 */
struct yg_rollout *yg_rollout_parse(const json_t *custom, struct yg_err *err) YG_MUST_CHECK;
void yg_rollout_free(struct yg_rollout *rollout);
YG_DEFINE_AUTO(yg_rollout);

/* The member; members that are empty are left out. A new reference, or NULL when memory is out. */
json_t *yg_rollout_json(const struct yg_rollout *rollout) YG_MUST_CHECK;

/* When the release opens to a seat: 0 at once, YG_ROLLOUT_NEVER with these waves never. */
int64_t yg_rollout_opens(const struct yg_rollout *rollout, unsigned seat);
