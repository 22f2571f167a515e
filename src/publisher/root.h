/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* A root on its way: it collects signatures, on one machine or on several, until enough keys of the root
 * before and of its own have signed; then it is published. Its file lies where no reader looks
 * (KEYS/pending-root.json) and travels: {"format": 1, "before": root or null, "root": root}, at most 1 MiB.
 */

#define ROOT_PENDING_NAME "pending-root.json"
#define ROOT_PENDING_MAX  (1u << 20) /* bytes */

struct root_pending {
	struct yg_meta *before; /* NULL: this is the first root */
	struct yg_meta *root;
};

void root_free(struct root_pending *pending);

static inline void root_pending_free_at(struct root_pending *at)
{
	root_free(at);
}

/* Parse what a pending root's file holds. errors  YG_EFORMAT, YG_ELIMIT */
int root_parse(struct yg_bytes text, struct root_pending *out, struct yg_err *err) YG_MUST_CHECK;

/* One change of the root at a time: before a key is made for another. errors  YG_EFORMAT one waits */
int root_none_waits(const struct command *command, const struct keys *keys, struct yg_err *err)
	YG_MUST_CHECK;

/* A new root body becomes the root to come: signed with the keys that are here, and published when they are
 * enough (with everything whose keys it changes), else written to --out or the key folder.
 * in      body    {"consistent_snapshot", "keys", "roles"}: the rest is added; borrowed
 * out     *out    what happened, a new reference: root_describe's members, "pending" is the file
 */
int root_propose(const struct command *command, struct repo *repo, json_t *body, json_t **out,
	struct yg_err *err) YG_MUST_CHECK;

/* The first root, at the start of init: *complete says whether it was written to the repository, or, for
 * lack of signatures, as a pending root whose path is in *path (the caller's to free).
 */
int root_first(const struct command *command, struct repo *repo, json_t *body, char **path,
	struct yg_err *err) YG_MUST_CHECK;

/* The commands: say what a pending root changes and who has signed; sign it; publish it. */
int root_show(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
int root_sign(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
int root_add(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
