/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* A client of The Update Framework. It knows no HTTP, no files and no clock: it asks for bytes by
 * name and decides which of them to believe. source  TUF specification 1.0.34, section 5
 *
 *     struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&ops, ctx, now, err);
 *     if (yg_tuf_trust(tuf, root, err) || yg_tuf_refresh(tuf, err))
 *             return -1;
 *     if (yg_tuf_get(tuf, "am/am-pattern.json", &manifest, err)) …
 *
 * Failures name the file and the rule, and have a cause:
 *
 *     tuf.signature     YG_EUNTRUSTED  a threshold of one that is not met, no good signature at all
 *     tuf.threshold     YG_EUNTRUSTED  some good signatures, fewer than the threshold
 *     tuf.rollback      YG_EUNTRUSTED  an older version than one already trusted
 *     tuf.expired       YG_EUNTRUSTED  past its date at the time given: freeze, or a wrong clock
 *     tuf.version       YG_EUNTRUSTED  another version than the one that was announced (mix-and-match)
 *     tuf.hash          YG_EUNTRUSTED  other bytes than the ones announced (mix-and-match)
 *     tuf.size          YG_ELIMIT      longer than announced or allowed
 *     tuf.format        YG_EFORMAT     malformed metadata
 *     tuf.not_delegated YG_EUNTRUSTED  nobody who may vouch for this path does
 *
 *     tuf.missing       YG_EABSENT     the source lacks a file that signed metadata names
 *     tuf.root          YG_EABSENT     no root was given and none is kept
 *
 * Failures of fetch keep the code and the cause that fetch gave them, if it gave one. What was trusted
 * before a failure stays trusted: the next refresh goes on from there, and yg_tuf_use_kept() goes on with
 * it when nothing newer is to be had ("tuf.expired", no network): expired metadata is a reason for an
 * alarm, never one to stop protecting.
 *
 * The floor. Beside the metadata the client keeps "floor.json": the versions of root, timestamp, snapshot
 * and each role that the snapshot lists, as they were last trusted, and the time that was signed. Whoever
 * keeps it in another place than the metadata (it is the only name that does not belong to the cache) may
 * lose or wipe the cache and still refuses all that is older ("tuf.rollback"). It is written after the
 * metadata that raises it. New keys of timestamp or snapshot lower it, once, together with what the
 * specification deletes (5.3.11). A floor that is absent or malformed is made again from what is trusted.
 *
 * Time. The publisher may write `"signed_at": "2026-11-21T22:47:43Z"` into the signed part of timestamp;
 * others ignore it as an unknown member, and so does this client when it is no such text or not before
 * `expires`. What the newest timestamp says is the last known time, and expiry is judged at max(now, last
 * known time): turning a clock back thaws nothing. A newer timestamp may say an earlier time, so that a
 * publisher's wrong clock is put right. The computer's own clock never enters the floor: one that once was far
 * ahead would else make everything look expired for ever.
 */

#define YG_TUF_ROOT_MAX        (512u << 10) /* bytes */
#define YG_TUF_TIMESTAMP_MAX   (16u << 10)
#define YG_TUF_SNAPSHOT_MAX    (2u << 20)
#define YG_TUF_TARGETS_MAX     (5u << 20) /* "targets" and every delegated role */
#define YG_TUF_ROOT_STEPS_MAX  1024u      /* root versions in one refresh */
#define YG_TUF_DELEGATIONS_MAX 32u        /* roles looked at for one target */
#define YG_TUF_PATH_MAX        256u       /* bytes of a target path */
#define YG_TUF_ROLE_MAX        256u       /* bytes of a role's name, with the terminator */
#define YG_TUF_NAME_MAX        128u /* bytes of what load and save are given, with the terminator */
#define YG_TUF_URL_MAX         1024u     /* bytes of what fetch is given, with the terminator */
#define YG_TUF_ANY_TIME        INT64_MIN /* instead of the time: nothing is too old */
#define YG_TUF_FLOOR_MAX       (YG_TUF_SNAPSHOT_MAX + 4096u) /* bytes of floor.json */

struct yg_tuf_ops {
	/* GET a file of the repository: "metadata/2.root.json", "targets/am/<sha256>.am-pattern.json".
	 * The path is one of a URL: what is not safe there is percent-encoded already.
	 * Appends at most `max` bytes to `buf` (buf->max is at least that).
	 * errors  YG_EABSENT the source has no such file (404); cause http.forbidden: the same, for the
	 *         next root; YG_ELIMIT more than max; whatever else
	 */
	int (*fetch)(void *ctx, const char *path, size_t max, struct yg_buf *buf,
		struct yg_err *err);

	/* What `save` was last given under this name: "root.json", "root@2.json" (every later version),
	 * "timestamp.json", "snapshot.json", "targets.json", "<role>.json", and "floor.json". Names
	 * are safe as one path component; unusual characters of a role are percent-encoded, and a name
	 * that would be too long for that, or one that is taken ("floor", "installed"), is
	 * "role@<sha256 of the role's name>.json".
	 * errors  YG_EABSENT; any other failure is taken as a broken cache and fetched again, except
	 *         for roots and the floor, where it is the failure of the refresh
	 */
	int (*load)(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err);

	/* Keep bytes under a name; durable when it returns. Empty bytes: forget the name. */
	int (*save)(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err);
};

struct yg_tuf;

/* What a role that is trusted for the path says about a target. */
struct yg_tuf_target {
	uint64_t length;            /* bytes */
	char sha256[65];            /* lower-case hex; empty when only the other is given */
	char sha512[129];           /* the same */
	char role[YG_TUF_ROLE_MAX]; /* who said it: "am" */
	const json_t *custom; /* "custom" of the entry (4.5), until the next refresh; or NULL */
};

/* A client for one run. `ops` and `ctx` are borrowed until it is freed.
 * in      now     seconds since the epoch: the update start time, for every expiry (5.1); or
 *                 YG_TUF_ANY_TIME: for a publisher, who must be able to renew what has expired
 * errors  YG_ESYSTEM
 */
struct yg_tuf *yg_tuf_new(const struct yg_tuf_ops *ops, void *ctx, int64_t now, struct yg_err *err)
	YG_MUST_CHECK;
void yg_tuf_free(struct yg_tuf *tuf);
YG_DEFINE_AUTO(yg_tuf);

/* The root that came with the installation (5.2): checked against its own keys. From it on, each kept root
 * that the one before has signed is taken; one that nobody vouches for is nothing, whatever its version.
 * Without this call a kept "root.json" is needed, and believed.
 * errors  tuf.format, tuf.signature, tuf.threshold; those of load and save
 */
int yg_tuf_trust(struct yg_tuf *tuf, struct yg_bytes root, struct yg_err *err) YG_MUST_CHECK;

/* Root, timestamp, snapshot, targets: 5.3 to 5.6. */
int yg_tuf_refresh(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* Instead of a refresh, or after one that failed: take what is kept, expired or not, and ask the source
 * for no metadata. Signatures are checked as ever, by the newest root; versions need not fit each other,
 * for a refresh that broke off keeps the first files of a new release beside the last ones of the old.
 * yg_tuf_find, yg_tuf_get and yg_tuf_each then answer from it; yg_tuf_expires tells what to warn of.
 * Nothing is saved.
 * errors  YG_EABSENT cause tuf.missing: no valid targets metadata is kept; tuf.root; those of load
 */
int yg_tuf_use_kept(struct yg_tuf *tuf, struct yg_err *err) YG_MUST_CHECK;

/* Look a target up, in pre-order through the delegations, whose metadata is fetched as needed (5.6.7).
 * Refreshes first if that was not done.
 * errors  YG_EABSENT cause tuf.not_delegated: no role that may say so knows it; those of refresh
 */
int yg_tuf_find(struct yg_tuf *tuf, const char *path, struct yg_tuf_target *out, struct yg_err *err)
	YG_MUST_CHECK;

/* Fetch a target, check length and hash, append it to `buf` (5.7). errors  those of find; tuf.hash, tuf.size */
int yg_tuf_get(struct yg_tuf *tuf, const char *path, struct yg_buf *buf, struct yg_err *err)
	YG_MUST_CHECK;

/* Check bytes against what was said about a target. errors  tuf.hash, tuf.size */
int yg_tuf_target_check(const struct yg_tuf_target *target, struct yg_bytes bytes,
	struct yg_err *err) YG_MUST_CHECK;

/* Visit every target that the roles vouch for, each path once, with what yg_tuf_find would say, in
 * byte order of path. `visit` returns non-zero to stop; that is what the function returns.
 */
int yg_tuf_each(struct yg_tuf *tuf,
	int (*visit)(void *ctx, const char *path, const struct yg_tuf_target *target,
		struct yg_err *err),
	void *ctx, struct yg_err *err) YG_MUST_CHECK;

/* Version of trusted metadata ("root", "timestamp", "snapshot", "targets", "am"), 0 if none. */
int64_t yg_tuf_version(const struct yg_tuf *tuf, const char *role);

/* Seconds since the epoch when trusted metadata expires; 0 if none. */
int64_t yg_tuf_expires(const struct yg_tuf *tuf, const char *role);

/* When the newest timestamp was signed, as far as known: seconds since the epoch, 0 if none.
 * Valid after a refresh, whatever became of it, and after yg_tuf_use_kept.
 */
int64_t yg_tuf_known_time(const struct yg_tuf *tuf);

/* Seconds by which `now` is behind that time: the computer's clock is wrong by at least so much; 0 if it
 * is not behind. A few minutes may be the publisher's clock.
 */
int64_t yg_tuf_clock_behind(const struct yg_tuf *tuf);
