/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "tuf/floor.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

/* Private to tuf/: what a client holds, and what all steps of its workflow need. The steps are root.c (5.2,
 * 5.3), role.c (5.4 to 5.6) and search.c (5.6.7); numbers are sections of the specification.
 */

#define TUF_ROLES_MAX 4096u /* delegated roles held in one run */

/* A delegated role, and the delegator for which its signatures were last found good. */
struct tuf_role {
	char name[YG_META_ROLE_MAX];
	struct yg_meta *meta;     /* owned */
	const struct yg_meta *by; /* metadata of this run; never freed before the role */
};

struct yg_tuf {
	const struct yg_tuf_ops *ops;
	void *ctx;
	int64_t now;                                           /* the computer's */
	struct yg_meta *root, *timestamp, *snapshot, *targets; /* owned; NULL: none is trusted */
	struct tuf_role *roles;                                /* owned */
	size_t role_count, role_cap;
	struct tuf_floor floor;
	bool refreshed; /* there is something to look targets up in */
	bool kept;      /* it is what was kept: expired or not, and nothing is fetched */
};

/* Forget all but the root: what a new refresh has to establish again. */
void tuf_state_forget(struct yg_tuf *tuf);

void tuf_state_replace(struct yg_meta **at, struct yg_meta *with);

/* What the client takes for the time: the computer's or, when that is behind, what was signed. */
int64_t tuf_state_time(const struct yg_tuf *tuf);

bool tuf_state_consistent(const struct yg_tuf *tuf); /* "consistent_snapshot" of the root */

/* ops->fetch, with the limit kept and its failures named. */
int tuf_state_fetch(struct yg_tuf *tuf, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err) YG_MUST_CHECK;

/* Metadata that was kept: NULL and no failure when there is none, or when it is broken. It must still
 * be vouched for by who vouches for the role now.
 */
struct yg_meta *tuf_state_load(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, size_t max, struct yg_buf *text);

int tuf_state_save(struct yg_tuf *tuf, const char *role, struct yg_bytes text, struct yg_err *err)
	YG_MUST_CHECK;

/* in      time  to judge by: tuf_state_time, where nothing else is said
 * errors  tuf.expired
 */
int tuf_state_check_expiry(const struct yg_tuf *tuf, const struct yg_meta *meta, int64_t time,
	struct yg_err *err) YG_MUST_CHECK;
