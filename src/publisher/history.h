/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/manifest.h"
#include "content/rollout.h"
#include "core/buf.h"
#include "publisher/repo.h"

/* The releases of one component that its role signs: the newest as "am/am-pattern.json", earlier ones as
 * "am/am-pattern@41.json", and what is said about them ("custom"). Read, changed in memory, and written
 * as the role's next version. docs/repository.md, "Earlier releases, waves, withdrawal"
 */

#define HISTORY_EARLIER_MAX YG_ROLLOUT_EARLIER_MAX

struct history_release {
	struct yg_manifest *manifest; /* owned */
	struct yg_buf text;           /* owned; as signed */
	bool newest;                  /* it was read as the newest */
};

struct history {
	char component[YG_COMPONENT_NAME_MAX + 1];
	const char *role;
	struct yg_meta *meta;                                     /* owned; the role's metadata */
	struct yg_rollout *rollout;                               /* owned; about the newest */
	struct history_release releases[HISTORY_EARLIER_MAX + 2]; /* newest first */
	size_t count;
	int64_t highest; /* version ever given to a release, withdrawn or not */
	char lost[HISTORY_EARLIER_MAX + 1]
		 [96]; /* targets that are signed and cannot be read any more */
	size_t lost_count;
	bool newest_lost; /* the newest is among them */
};

/* Read what is signed now. A component without a release has none. A history is large: not for the stack.
 * errors  YG_EFORMAT unknown component, metadata that we would not write; YG_ELIMIT; YG_ESYSTEM
 */
struct history *history_load(const struct repo *repo, const char *component, struct yg_err *err)
	YG_MUST_CHECK;
void history_free(struct history *history);
YG_DEFINE_AUTO(history);

/* The release of this version, or NULL; the index of it for those who change the list. */
const struct history_release *history_find(const struct history *history, int64_t version,
	size_t *index);

/* Put a new release before all others, without waves, and leave `keep` earlier ones. Takes the manifest over,
 * also on failure.
 */
int history_add(struct history *history, struct yg_manifest *manifest, size_t keep,
	struct yg_err *err) YG_MUST_CHECK;

/* Take releases out of the list: one, or all but `keep` earlier ones (returns how many). */
void history_remove(struct history *history, size_t index);
size_t history_trim(struct history *history, size_t keep);

/* Replace the waves. */
int history_set_waves(struct history *history, const struct yg_wave *waves, size_t count,
	struct yg_err *err) YG_MUST_CHECK;

/* Enter a version as withdrawn. errors  YG_ELIMIT reason too long; YG_ESYSTEM */
int history_withdraw(struct history *history, int64_t version, const char *reason,
	struct yg_err *err) YG_MUST_CHECK;

/* Write manifests under the names that they have now, and the role's next version, for repo_publish to
 * show. There must be a release. errors  those of repo_stage
 */
int history_stage(struct history *history, struct repo *repo, struct yg_err *err) YG_MUST_CHECK;

/* "am/am-pattern.json" for index 0, else "am/am-pattern@41.json". errors  YG_ELIMIT */
int history_target(const struct history *history, size_t index, char out[160], struct yg_err *err)
	YG_MUST_CHECK;

/* "targets/am/<sha256>.am-pattern.json": where a target's bytes lie. errors  YG_ELIMIT */
int history_path(const char *target, const char *sha256, char out[320], struct yg_err *err)
	YG_MUST_CHECK;
