/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <assert.h>
#include <dirent.h>
#include <sys/types.h>
#include <time.h>

#include "content/recover.h"
#include "content/store.h"
#include "core/str.h"

/* The parts of the store among themselves. store.c: opening, sets and their files. store_disk.c: names,
 * folders, hashing. store_object.c: objects and space. store_part.c: transfers that were cut off.
 * store_stage.c: a set is built. store_link.c: the links. store_hold.c: the hold. store_mend.c: damage.
 * store_recover.c: the start. store_collect.c: what is no longer needed.
 */

#define STORE_OBJECTS "iaurepo/objects"
#define STORE_TMP     "iaurepo/tmp"
#define STORE_PARTS   "iaurepo/part"
#define STORE_SETS    "sets"
#define STORE_NOTES   "state/sets"
#define STORE_LOGS    "iaulogs"
#define STORE_PATH    512 /* bytes; fits "sets/<64>/<component 64>/<path 200>" with room */

/* Names are checked where they are read: they fit, or it is our bug. */
#define STORE_PUT(out, size, ...)                                                                  \
	do {                                                                                       \
		bool fits_ = yg_str_put(out, size, __VA_ARGS__);                                   \
		assert(fits_);                                                                     \
	} while (0)

/* A file that was hashed, by inode. While neither time has changed, its bytes have not been written;
 * what changes without a write (a bad disk) is found before each switch, which asks for no memory.
 */
struct store_seen {
	ino_t ino;
	struct timespec mtime, ctime;
	uint64_t size;
	char sha256[YG_SHA256_TEXT]; /* "" when it cannot be read */
};

struct yg_store {
	int root;
	int lock;
	unsigned serial; /* makes names in iaurepo/tmp */
	struct store_seen *seen;
	size_t seen_count, seen_cap;
	int held;            /* a nameless file that holds blocks for the run, or -1 */
	uint64_t held_bytes; /* its size */
	bool running;        /* between snapshot and its end: nothing is collected */
	uint32_t found;      /* left-overs that opening removed, for recovery's report */
};

/* ---- store_disk.c ---- */

bool store_disk_digest_ok(const char *text);

/* Make the folders that are missing. Called often: operators delete all of iaurepo, and may do that
 * while we run (T6).
 */
int store_disk_folders(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;
/* The same after removing what stands at their names and is no folder. */
int store_disk_ways(struct yg_store *store, struct yg_err *err) YG_MUST_CHECK;

void store_disk_object(const char *sha256, char out[STORE_PATH]);
void store_disk_set(const char *digest, const char *component, const char *path,
	char out[STORE_PATH]);
void store_disk_temporary(struct yg_store *store, const char *what, char out[STORE_PATH]);

/* Make room at a name, whatever lies there: first out of the way by one rename, then removed. */
int store_disk_clear(struct yg_store *store, const char *path, struct yg_err *err) YG_MUST_CHECK;
/* Remove what is in nobody's way; what cannot be removed (immutable, a mount point) stays. */
int store_disk_discard(int dir, const char *name, struct yg_err *err) YG_MUST_CHECK;
int store_disk_sync(struct yg_store *store, const char *path, struct yg_err *err) YG_MUST_CHECK;
int store_disk_make_parent(struct yg_store *store, const char *path, struct yg_err *err)
	YG_MUST_CHECK;

DIR *store_disk_list(struct yg_store *store, const char *path, struct yg_err *err) YG_MUST_CHECK;
void store_disk_list_free_at(DIR **at);
/* The next name without "." and ".."; it points into dir. returns 1, or 0 at the end. errors  YG_ESYSTEM */
int store_disk_next(DIR *dir, const char **name, struct yg_err *err) YG_MUST_CHECK;

enum store_file { STORE_FILE_GONE, STORE_FILE_BAD, STORE_FILE_GOOD };

/* What lies at a name: hashed, or remembered.
 * in   size    UINT64_MAX: any
 *      report  its `checked` grows; may be NULL
 * out  ino     0 when there is no file to read
 */
int store_disk_look(struct yg_store *store, const char *path, const char *want, uint64_t size,
	struct yg_store_report *report, enum store_file *state, ino_t *ino, struct yg_err *err)
	YG_MUST_CHECK;

/* The hash of what lies at a name; "" when it cannot be read. */
int store_disk_hash(struct yg_store *store, const char *path, struct yg_store_report *report,
	char sha256[YG_SHA256_TEXT], struct yg_err *err) YG_MUST_CHECK;

/* Our own links and unlinks of a file change its ctime, and say nothing about its bytes. */
void store_disk_refresh(struct yg_store *store, const char *path);

/* Whether a failure to read says that the file is lost; otherwise it may be there the next time. */
bool store_disk_is_damage(const struct yg_err *err);

/* yg_fs_read into an empty buffer; an I/O error gets a second try, because a set is given up for it. */
int store_disk_read(struct yg_store *store, const char *path, struct yg_buf *text,
	struct yg_err *err) YG_MUST_CHECK;

/* Another name for `from`, or a copy where it cannot have one. Not synced: the caller syncs the folder. */
int store_disk_link(struct yg_store *store, const char *from, const char *path, struct yg_err *err)
	YG_MUST_CHECK;

/* Replace whatever is at `path` by another name of `from`, in one rename.
 * in  copy  where it cannot have one: true copies, false leaves `path` as it is
 */
int store_disk_link_over(struct yg_store *store, const char *from, const char *path, bool copy,
	struct yg_err *err) YG_MUST_CHECK;

/* Called for every file of a set, with its path from the root; a non-zero return ends it. */
typedef int store_disk_visit(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err);
int store_disk_each(struct yg_store *store, const struct yg_set *set, const char *folder,
	store_disk_visit *visit, void *ctx, struct yg_err *err) YG_MUST_CHECK;

/* ---- store_part.c ---- */

/* Remove the parts that nobody will go on with. in  leftovers  grows by what was no part at all */
int store_part_sweep(struct yg_store *store, uint32_t *leftovers, struct yg_err *err) YG_MUST_CHECK;

/* ---- store_stage.c ---- */

/* What is known of a set besides its folder: state/sets/<digest>.json.
 * out  the caller's to free; NULL when there is none, or it is not what its name says
 * errors  YG_ESYSTEM for this moment
 */
int store_stage_note(struct yg_store *store, const char *digest, struct yg_set **out,
	struct yg_err *err) YG_MUST_CHECK;
/* Write set.json into a folder. */
int store_stage_describe(struct yg_store *store, const struct yg_set *set, const char *folder,
	struct yg_err *err) YG_MUST_CHECK;

/* ---- store_link.c ---- */

#define STORE_LINKS 3
extern const char *const store_link_names[STORE_LINKS]; /* by enum yg_store_link */

/* The sets that must stay. */
struct store_kept {
	char named[STORE_LINKS][YG_SHA256_TEXT]; /* by a link, whether the folder is there or not */
	char held[YG_SHA256_TEXT];
	bool lost; /* a link or the hold cannot be read: nobody knows what must stay */
};
/* errors  YG_ESYSTEM for this moment: no memory, no descriptors */
int store_link_kept(struct yg_store *store, struct store_kept *out, struct yg_err *err)
	YG_MUST_CHECK;
/* As yg_store_link, but a link that cannot be read is a failure. errors  YG_ESYSTEM */
int store_link_of(const struct yg_store *store, enum yg_store_link link, char out[YG_SHA256_TEXT],
	struct yg_err *err) YG_MUST_CHECK;
bool store_link_is_linked(const struct store_kept *kept, const char *digest);

/* A name of the root directory: removed, or renamed. On disk when it returns. */
int store_link_drop(struct yg_store *store, const char *name, struct yg_err *err) YG_MUST_CHECK;
int store_link_move(struct yg_store *store, const char *from, const char *to, struct yg_err *err)
	YG_MUST_CHECK;

/* ---- store_hold.c ---- */

/* As yg_store_hold, but says when the file is there and cannot be read. errors  YG_ESYSTEM, YG_EFORMAT */
int store_hold_read(struct yg_store *store, struct yg_store_hold *out, struct yg_err *err)
	YG_MUST_CHECK;

/* ---- store_mend.c ---- */

/* Called for everything in a set's folder that the set does not consist of. */
typedef int store_mend_visit(struct yg_store *store, const char *path, void *ctx,
	struct yg_err *err);
int store_mend_foreign(struct yg_store *store, const struct yg_set *set, store_mend_visit *visit,
	void *ctx, struct yg_err *err) YG_MUST_CHECK;
