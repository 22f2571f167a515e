/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "publisher/keys.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

/* A repository on this machine's disk: read and verified as any client does it, and changed so that a
 * reader sees the old one or the new one, whenever we are killed.
 */

#define REPO_DAY 86400

struct repo_days { /* how long new metadata is good, days */
	int64_t root, targets, snapshot, timestamp;
};

struct repo {
	int dir;     /* the repository's folder */
	int lock;    /* metadata/, with an exclusive lock when it was opened for writing */
	int64_t now; /* seconds since the epoch, for everything that is written */
	struct repo_days days;
	struct keys *keys; /* borrowed; NULL when nothing is signed */
	struct yg_meta *root;
	struct yg_meta *timestamp;
	struct yg_meta *snapshot;
	struct yg_meta *targets;
	struct yg_meta
		*next; /* while keys change: the root to come, for whose keys all is signed too */
	bool apart;    /* the root before cannot vouch for what is signed: next goes first */
	int64_t unfinished; /* 0, or the version of a root whose keys have signed nothing yet */
};

/* The classes of components: role names, and the pattern of the paths that each may vouch for. */
struct repo_class {
	const char *role, *paths;
};
extern const struct repo_class repo_classes[]; /* ends with a NULL role */

/* Open a repository, verify its metadata from 1.root.json on (expiry aside) and read it.
 * in      write   take the lock against other publishers
 * errors  YG_EABSENT; YG_EAGAIN another publisher works on it; those of yg_tuf_refresh
 */
int repo_open(struct repo *repo, const char *path, bool write, struct yg_err *err) YG_MUST_CHECK;

/* Open and lock one whose first root still waits for signatures: nothing is read. */
int repo_open_unrooted(struct repo *repo, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* Make the folders of a new one, empty and locked. errors  YG_EFORMAT there is one already */
int repo_make(struct repo *repo, const char *path, struct yg_err *err) YG_MUST_CHECK;

void repo_close(struct repo *repo);

static inline void repo_free_at(struct repo *repo)
{
	repo_close(repo);
}

/* A client that reads this repository; nothing is kept. `ctx` of the operations is &repo->dir. */
extern const struct yg_tuf_ops repo_ops;
struct yg_tuf *repo_client(struct repo *repo, int64_t now, struct yg_err *err) YG_MUST_CHECK;

/* The trusted metadata of a delegated role, the caller's. */
struct yg_meta *repo_role(const struct repo *repo, const char *role, struct yg_err *err)
	YG_MUST_CHECK;

/* Write the next version of targets metadata and note it in the snapshot to come. `body` gets its
 * version and expiry here. `by` is who delegates: the root, or targets.
 */
int repo_stage(struct repo *repo, const char *role, const struct yg_meta *by, json_t *body,
	int64_t version, struct yg_err *err) YG_MUST_CHECK;

/* Write snapshot and timestamp: from here on readers see what was staged. */
int repo_publish(struct repo *repo, bool snapshot, struct yg_err *err) YG_MUST_CHECK;

/* Sign what a killed publisher's new root has no signatures for; nothing when there is no such root. */
int repo_finish(struct repo *repo, struct yg_err *err) YG_MUST_CHECK;

/* Write a root that enough keys have signed, of the root before and its own; it is `root` from here on.
 * errors  those of yg_meta_verify
 */
int repo_write_root(struct repo *repo, struct yg_meta *root, struct yg_err *err) YG_MUST_CHECK;

/* Go on with a copy of this root, written or not. */
int repo_take_root(struct repo *repo, const struct yg_meta *root, struct yg_err *err) YG_MUST_CHECK;

/* {"keyids", "threshold", …} of a role in the body of a root or of targets; NULL: it has none. */
const json_t *repo_role_entry(const json_t *by, const char *role);

/* The lock against other publishers; remove what a killed one left (`all`: also versioned metadata, of a
 * repository that never was finished).
 * errors  YG_EAGAIN another publisher works on it, named if it is on this computer
 */
int repo_lock(const struct repo *repo, struct yg_err *err) YG_MUST_CHECK;
int repo_lock_sweep(const struct repo *repo, bool all, struct yg_err *err) YG_MUST_CHECK;

/* Give a body what every kind has: _type, spec_version, version, expires. */
int repo_stamp(json_t *body, const char *type, int64_t version, int64_t expires, struct yg_err *err)
	YG_MUST_CHECK;
