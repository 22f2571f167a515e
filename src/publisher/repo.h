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

/* Sign a root body and write it as the next version. `by`, if any, is the root before. */
int repo_write_root(struct repo *repo, json_t *body, int64_t version, struct yg_err *err)
	YG_MUST_CHECK;

/* Give a body what every kind has: _type, spec_version, version, expires. */
int repo_stamp(json_t *body, const char *type, int64_t version, int64_t expires, struct yg_err *err)
	YG_MUST_CHECK;
