/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/set.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* The content of one computer, under one directory:
 *
 *     sets/<digest>/   immutable; set.json, one folder a component, iaulogs -> ../../iaulogs
 *     lib -> sets/…    the live set       li_copy -> …  the snapshot while an update runs
 *     li_roll -> …     the set before
 *     iaulogs/         logs                state/hold.json  the set that no scheduled run may take
 *     iaurepo/objects/<sha256>  0444, hard links of the sets' files     iaurepo/tmp/
 *     iaurepo/part/<sha256>     transfers that were cut off
 *     state/sets/<digest>.json  what the set consists of, with the forms its files were offered in
 *
 * One process at a time writes (a lock on state/store.lock). Every change is one rename or one link,
 * on disk when the call returns, so that a crash leaves the old or the new; docs/recovery.md. Nothing that
 * is found on the disk is believed before its hash: also because live and rollback share their bytes.
 *
 * Failures have a cause: store.disk_full, store.read_only, store.io, store.object_damaged, store.exists (what
 * cannot be removed is in the way), store.busy, store.no_rollback; system.error for want of memory or
 * descriptors.
 */

struct yg_store;

/* Give a failure of the system the name under which people are told, if it has none: for who writes to a part or
 * to a new object. Returns -1.
 */
int yg_store_named(struct yg_err *err);

enum yg_store_link { YG_STORE_LIB, YG_STORE_COPY, YG_STORE_ROLL };

/* What mending and recovery found and did. */
struct yg_store_report {
	uint32_t sets;      /* found */
	uint32_t checked;   /* different files hashed */
	uint32_t adopted;   /* objects taken back from a set's file */
	uint32_t relinked;  /* files of sets replaced by a good object */
	uint32_t dropped;   /* files and objects whose bytes were wrong: removed */
	uint32_t missing;   /* files of sets that are nowhere on this disk now */
	uint32_t leftovers; /* foreign or half-made things removed */
	/* the first that was damaged: "am-pattern/daily.hsb <sha256>" */
	char first[YG_SHA256_TEXT + YG_COMPONENT_NAME_MAX + YG_FILE_PATH_MAX + 4];
	const char *links; /* what was done with the links and why; static, NULL before recovery */
};

/* Open, and lock. Makes the folders that are missing. On a read-only disk a store that needs no mending opens and
 * recovers; every change fails then. `root` is borrowed for the call.
 * errors  YG_EAGAIN cause store.busy: another process has it; YG_ESYSTEM
 */
struct yg_store *yg_store_open(int root, struct yg_err *err) YG_MUST_CHECK;
void yg_store_free(struct yg_store *store);
YG_DEFINE_AUTO(yg_store);

/* After opening, once: mend, put the links in order by yg_recover_plan, remove what is half-made.
 * errors  YG_ESYSTEM
 */
int yg_store_recover(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
	YG_MUST_CHECK;

/* Hash everything. What is wrong is removed; what another good copy exists of is linked from that;
 * objects that are gone are adopted again from the sets. `report` is added to.
 * errors  YG_ESYSTEM; damage is no error
 */
int yg_store_mend(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
	YG_MUST_CHECK;

/* By hand, while content is in use: left-overs of runs removed, everything read again and mended; the
 * links stay. Not while a run is under way. errors  YG_ESYSTEM; damage is no error
 */
int yg_store_repair(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
	YG_MUST_CHECK;

/* A file of lib's, li_copy's or li_roll's set that is nowhere on this disk. */
struct yg_store_lost {
	enum yg_store_link link; /* the first whose set needs it */
	const char *set;         /* digest */
	const char *component;   /* "am-pattern" */
	const struct yg_file
		*file; /* path, SHA-256, size; the forms that were known when it was staged */
};

/* Call for every such file, once for each set that has it; a non-zero return of `visit` (which fills err)
 * ends it. Call after mending: what is there counts as good. Everything is borrowed for the call.
 * errors  YG_ESYSTEM; those of visit
 */
typedef int yg_store_lost_visit(void *ctx, const struct yg_store_lost *lost, struct yg_err *err);
int yg_store_missing(struct yg_store *store, yg_store_lost_visit *visit, void *ctx,
	struct yg_err *err) YG_MUST_CHECK;

/* The digest of the set that a link leads to; "" when there is none or it leads nowhere. */
void yg_store_link(const struct yg_store *store, enum yg_store_link link, char out[YG_SHA256_TEXT]);

/* The set of this digest as its set.json says. errors  YG_EABSENT; store.object_damaged; YG_ESYSTEM */
struct yg_set *yg_store_set(struct yg_store *store, const char *digest, struct yg_err *err)
	YG_MUST_CHECK;

/* Read a set back and hash every file of it. errors  YG_EABSENT; YG_EUNTRUSTED store.object_damaged with
 * the file's name; YG_ESYSTEM
 */
int yg_store_check(struct yg_store *store, const char *digest, struct yg_err *err) YG_MUST_CHECK;

/* A quick look: every file of the set is there in its size. After mending that means that it is good. */
bool yg_store_whole(struct yg_store *store, const char *digest);

/* A directory of a set, or the set itself for component ""; a file of it, for reading.
 * returns a descriptor, or -1. errors  YG_EABSENT, YG_ESYSTEM
 */
int yg_store_open_component(struct yg_store *store, const char *digest, const char *component,
	struct yg_err *err) YG_MUST_CHECK;
int yg_store_open_file(struct yg_store *store, const char *digest, const char *component,
	const char *path, struct yg_err *err) YG_MUST_CHECK;

/* Objects. A new one is a nameless file (yg_store_object_new, read-write) until it is added: then it is
 * read back, and what is not `size` bytes with this hash is refused.
 * errors  YG_EUNTRUSTED store.object_damaged; YG_ESYSTEM
 */
bool yg_store_object_has(const struct yg_store *store, const char *sha256, uint64_t size);
int yg_store_object_new(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;
int yg_store_object_add(struct yg_store *store, int fd, const char *sha256, uint64_t size,
	struct yg_err *err) YG_MUST_CHECK;

/* Transfers that were cut off: iaurepo/part/<SHA-256 of the transfer bytes>, mode 0600, a file of its own,
 * never another name of an object. Opened read-write, made when it is not there; `have` bytes of an earlier
 * run are in it. Nothing vouches for them: who has the whole hashes it, and drops the part when it is not
 * what was asked for, or when it was used. Parts of more than a day ago, and beyond 1 GiB the oldest, go at
 * recovery and collection; so does what is not a regular file of ours with one name.
 * returns a descriptor, or -1. errors  YG_EFORMAT not a digest; YG_ESYSTEM
 */
int yg_store_part_open(struct yg_store *store, const char *transfer_sha256, uint64_t *have,
	struct yg_err *err) YG_MUST_CHECK;
int yg_store_part_drop(struct yg_store *store, const char *transfer_sha256, struct yg_err *err)
	YG_MUST_CHECK;

/* Whether `bytes` more fit, with a reserve of 16 MiB for what else is written.
 * errors  YG_ESYSTEM cause store.disk_full, with what is wanted and what is free
 */
int yg_store_room(const struct yg_store *store, uint64_t bytes, struct yg_err *err) YG_MUST_CHECK;

/* Set `bytes` aside for a run: yg_store_room, then blocks that are really held (a nameless file), until
 * yg_store_release or the end of the process. Replaces an earlier reservation. yg_store_allot moves `bytes`
 * of it to a file that is about to be written: a part or a new object (its size stays as it is). Where the
 * file system cannot allocate ahead, only the room is checked.
 * errors  YG_ESYSTEM cause store.disk_full, store.read_only, store.io; nothing was changed then
 */
int yg_store_reserve(struct yg_store *store, uint64_t bytes, struct yg_err *err) YG_MUST_CHECK;
int yg_store_allot(struct yg_store *store, int fd, uint64_t bytes, struct yg_err *err)
	YG_MUST_CHECK;
void yg_store_release(struct yg_store *store);

/* Build sets/<set->digest> from objects that are all there (YG_EABSENT names one that is not). A set
 * that exists is completed. errors  YG_EABSENT; YG_ESYSTEM
 */
int yg_store_stage(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
	YG_MUST_CHECK;

/* The steps of an update run: keep lib as li_copy; after success lib leads to `digest` and the snapshot
 * becomes li_roll (without one, li_roll stays as it is); or forget the snapshot. The set is not checked here: do
 * it before.
 */
int yg_store_snapshot(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;
int yg_store_switch(struct yg_store *store, const char *digest, struct yg_err *err) YG_MUST_CHECK;
int yg_store_drop_snapshot(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;

/* Put li_roll back as lib, in one rename. errors  YG_EABSENT store.no_rollback; YG_ESYSTEM */
int yg_store_rollback(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;

/* The hold. since is "" when nothing is held; a broken file counts as no hold. */
struct yg_store_hold {
	char set[YG_SHA256_TEXT];
	char since[24];   /* "2026-11-21T22:47:43Z" */
	char reason[160]; /* a word: "rollback", "crash_loop"; never empty while held */
};
void yg_store_hold(struct yg_store *store, struct yg_store_hold *out);
int yg_store_hold_set(struct yg_store *store, const char *digest, const char *reason,
	struct yg_err *err) YG_MUST_CHECK;
int yg_store_hold_clear(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;

/* Remove sets that no link and no hold names, then objects that no set has. Not while a run is
 * fetching. errors  YG_ESYSTEM
 */
int yg_store_collect(struct yg_store *store, uint32_t *removed, struct yg_err *err) YG_MUST_CHECK;
