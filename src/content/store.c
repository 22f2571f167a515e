/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/recover.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define OBJECTS  "iaurepo/objects"
#define TMP      "iaurepo/tmp"
#define SETS     "sets"
#define HOLD     "state/hold.json"
#define LOCK     "state/store.lock"
#define LOGS     "iaulogs"
#define RESERVE  (16u << 20) /* bytes that stay free: logs, metadata, the event spool */
#define HOLD_MAX 4096
#define PATH_LEN 512 /* fits "sets/<64>/<component 64>/<path 200>" with room */

/* Names are checked where they are read: they fit, or it is our bug. */
#define PUT(out, size, ...)                                                                        \
	do {                                                                                       \
		bool fits_ = yg_str_put(out, size, __VA_ARGS__);                                   \
		assert(fits_);                                                                     \
	} while (0)

/* A file that was hashed, by inode. While neither time has changed, its bytes have not been written;
 * what changes without a write (a bad disk) is found before each switch, which asks for no memory.
 */
struct seen {
	ino_t ino;
	struct timespec mtime, ctime;
	uint64_t size;
	char sha256[YG_SHA256_TEXT]; /* "" when it cannot be read */
};

struct yg_store {
	int root;
	int lock;
	unsigned serial; /* makes names in iaurepo/tmp */
	struct seen *seen;
	size_t seen_count, seen_cap;
};

static const char *const link_names[] = {
	[YG_STORE_LIB] = "lib",
	[YG_STORE_COPY] = "li_copy",
	[YG_STORE_ROLL] = "li_roll",
};

/* What the system refuses gets the name under which people are told. */
static int named(struct yg_err *err)
{
	if (err->code != YG_ESYSTEM || err->cause[0])
		return -1;
	const char *cause = "store.io";
	if (err->sys == ENOSPC || err->sys == EDQUOT)
		cause = "store.disk_full";
	else if (err->sys == EROFS)
		cause = "store.read_only";
	PUT(err->cause, sizeof(err->cause), "%s", cause);
	return -1;
}

static bool digest_ok(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* ---- opening ---- */

/* Called often: operators delete all of iaurepo, and may do that while we run (T6). */
static int folders(struct yg_store *store, struct yg_err *err)
{
	static const char *const names[] = {SETS, OBJECTS, TMP, LOGS, "state"};
	for (size_t i = 0; i < YG_COUNT(names); i++)
		if (yg_fs_mkdirs(store->root, names[i], 0755, err) < 0)
			return named(err);
	return 0;
}

static int lock(struct yg_store *store, struct yg_err *err)
{
	store->lock = openat(store->root, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock < 0)
		return yg_fail_sys(err, errno, "opening '" LOCK "'");
	if (flock(store->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return yg_fail_cause(err, YG_EAGAIN, "store.busy",
			"'" LOCK "': another process has this store open");
	return 0;
}

struct yg_store *yg_store_open(int root, struct yg_err *err)
{
	struct yg_store *store YG_AUTO(yg_store) = calloc(1, sizeof(*store));
	if (!store) {
		(void)yg_fail_sys(err, ENOMEM, "opening the store");
		return NULL;
	}
	store->lock = -1;
	store->root = fcntl(root, F_DUPFD_CLOEXEC, 3);
	if (store->root < 0) {
		(void)yg_fail_sys(err, errno, "opening the store");
		return NULL;
	}
	if (folders(store, err) < 0 || lock(store, err) < 0) {
		(void)named(err);
		return NULL;
	}
	return yg_take(store);
}

void yg_store_free(struct yg_store *store)
{
	if (!store)
		return;
	if (store->lock >= 0)
		(void)close(store->lock);
	if (store->root >= 0)
		(void)close(store->root);
	free(store->seen);
	free(store);
}

/* ---- names ---- */

static void object_path(const char *sha256, char out[PATH_LEN])
{
	PUT(out, PATH_LEN, OBJECTS "/%s", sha256);
}

static void set_path(const char *digest, const char *component, const char *path,
	char out[PATH_LEN])
{
	PUT(out, PATH_LEN, SETS "/%s%s%s%s%s", digest, *component ? "/" : "", component,
		*path ? "/" : "", path);
}

static void temporary(struct yg_store *store, const char *what, char out[PATH_LEN])
{
	PUT(out, PATH_LEN, TMP "/%s.%ld.%u", what, (long)getpid(), store->serial++);
}

/* Make room at a name, whatever lies there: first out of the way by one rename, then removed. */
static int clear_away(struct yg_store *store, const char *path, struct yg_err *err)
{
	char gone[PATH_LEN];
	temporary(store, "gone", gone);
	if (folders(store, err) < 0)
		return -1;
	if (renameat(store->root, path, store->root, gone) < 0) {
		if (errno == ENOENT)
			return 0;
		return yg_fail_sys(err, errno, "moving '%s' away", path);
	}
	return yg_fs_remove(store->root, gone, err);
}

static int sync_of(struct yg_store *store, const char *path, struct yg_err *err)
{
	return yg_fs_sync_dir(store->root, path, err);
}

/* ---- hashing what lies on the disk ---- */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct seen *find_seen(struct yg_store *store, const struct stat *st)
{
	for (size_t i = 0; i < store->seen_count; i++)
		if (store->seen[i].ino == st->st_ino)
			return &store->seen[i];
	return NULL;
}

/* Our own links and unlinks of a file change its ctime, and say nothing about its bytes. */
static void refresh_seen(struct yg_store *store, const char *path)
{
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct seen *seen = find_seen(store, &st);
	if (seen && same_time(seen->mtime, st.st_mtim))
		seen->ctime = st.st_ctim;
}

static struct seen *new_seen(struct yg_store *store, struct yg_err *err)
{
	if (store->seen_count == store->seen_cap) {
		size_t cap = store->seen_cap ? store->seen_cap * 2 : 64;
		struct seen *grown = reallocarray(store->seen, cap, sizeof(*grown));
		if (!grown) {
			(void)yg_fail_sys(err, ENOMEM, "remembering hashes");
			return NULL;
		}
		store->seen = grown;
		store->seen_cap = cap;
	}
	return &store->seen[store->seen_count++];
}

enum file_state { FILE_GONE, FILE_BAD, FILE_GOOD };

/* The hash of an open file, from memory when that still holds. sha256 is "" when reading fails: a disk
 * that cannot give the bytes back has lost them.
 */
static int hash_open(struct yg_store *store, int fd, const struct stat *st,
	struct yg_store_report *report, const char **sha256, struct yg_err *err)
{
	struct seen *seen = find_seen(store, st);
	if (seen && same_time(seen->mtime, st->st_mtim) && same_time(seen->ctime, st->st_ctim) &&
		seen->size == (uint64_t)st->st_size) {
		*sha256 = seen->sha256;
		return 0;
	}
	if (!seen && !(seen = new_seen(store, err)))
		return -1;
	*seen = (struct seen){.ino = st->st_ino,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.size = (uint64_t)st->st_size};
	struct yg_err why = {0};
	uint64_t size = 0;
	char hash[YG_SHA256_TEXT];
	if (yg_codec_hash(fd, hash, &size, &why) == 0 && size == seen->size)
		PUT(seen->sha256, sizeof(seen->sha256), "%s", hash);
	if (report)
		report->checked++;
	*sha256 = seen->sha256;
	return 0;
}

/* in  size  UINT64_MAX: any */
static int look(struct yg_store *store, const char *path, const char *want, uint64_t size,
	struct yg_store_report *report, enum file_state *state, ino_t *ino, struct yg_err *err)
{
	*ino = 0;
	*state = FILE_GONE;
	int fd YG_AUTO(
		fd) = openat(store->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	*state = FILE_BAD;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return yg_fail_sys(err, errno, "opening '%s'", path);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*ino = st.st_ino;
	if (size != UINT64_MAX && (uint64_t)st.st_size != size)
		return 0;
	const char *have = "";
	if (hash_open(store, fd, &st, report, &have, err) < 0)
		return -1;
	if (strcmp(have, want) == 0)
		*state = FILE_GOOD;
	return 0;
}

/* ---- sets ---- */

struct yg_set *yg_store_set(struct yg_store *store, const char *digest, struct yg_err *err)
{
	if (!digest_ok(digest)) {
		(void)yg_fail(err, YG_EABSENT, "'%s': not the name of a set", digest);
		return NULL;
	}
	char path[PATH_LEN];
	set_path(digest, "", "set.json", path);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_fs_read(store->root, path, &text, err) < 0) {
		(void)named(err);
		return NULL;
	}
	struct yg_set *set YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&text), err);
	if (!set) {
		(void)yg_wrap(err, "'%s'", path);
		PUT(err->cause, sizeof(err->cause), "store.object_damaged");
		return NULL;
	}
	if (strcmp(set->digest, digest) != 0) {
		(void)yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
			"'%s': want digest %s, have %s", path, digest, set->digest);
		return NULL;
	}
	return yg_take(set);
}

/* Call for every file of a set; a non-zero return ends it. */
typedef int each_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err);

static int each(struct yg_store *store, const struct yg_set *set, const char *folder,
	each_file *visit, void *ctx, struct yg_err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *component = set->components[i];
		for (size_t j = 0; j < component->file_count; j++) {
			char path[PATH_LEN];
			PUT(path, sizeof(path), "%s/%s/%s", folder, component->component,
				component->files[j].path);
			if (visit(store, path, &component->files[j], ctx, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int check_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	(void)ctx;
	enum file_state state;
	ino_t ino;
	if (look(store, path, file->sha256, file->size, NULL, &state, &ino, err) < 0)
		return -1;
	if (state == FILE_GOOD)
		return 0;
	return yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
		"'%s': %s; want SHA-256 %s", path,
		state == FILE_GONE ? "the file is gone" : "the bytes are not what was signed",
		file->sha256);
}

int yg_store_check(struct yg_store *store, const char *digest, struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, digest, err);
	if (!set)
		return -1;
	store->seen_count = 0; /* from the disk, not from memory */
	char folder[PATH_LEN];
	set_path(digest, "", "", folder);
	return each(store, set, folder, check_file, NULL, err) < 0 ? named(err) : 0;
}

int yg_store_open_component(struct yg_store *store, const char *digest, const char *component,
	struct yg_err *err)
{
	char path[PATH_LEN];
	if (!digest_ok(digest) || (*component && !yg_str_path_ok(component, YG_COMPONENT_NAME_MAX)))
		return yg_fail(err, YG_EABSENT, "'%s/%s': no such set or component", digest,
			component);
	set_path(digest, component, "", path);
	int fd = yg_fs_open_dir(store->root, path, err);
	return fd < 0 ? named(err) : fd;
}

int yg_store_open_file(struct yg_store *store, const char *digest, const char *component,
	const char *path, struct yg_err *err)
{
	int dir YG_AUTO(fd) = yg_store_open_component(store, digest, component, err);
	if (dir < 0)
		return -1;
	if (!yg_str_path_ok(path, YG_FILE_PATH_MAX))
		return yg_fail(err, YG_EABSENT, "'%s': not a path of a set", path);
	int fd = yg_fs_open(dir, path, err);
	return fd < 0 ? named(err) : fd;
}

/* ---- mending ---- */

/* Replace whatever is at `path` by another name of `from`, in one rename. */
static int link_over(struct yg_store *store, const char *from, const char *path, struct yg_err *err)
{
	char temp[PATH_LEN];
	temporary(store, "link", temp);
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		clear_away(store, path, err) < 0)
		return -1;
	if (linkat(store->root, from, store->root, temp, 0) < 0)
		return yg_fail_sys(err, errno, "linking '%s'", from);
	if (renameat(store->root, temp, store->root, path) < 0) {
		(void)yg_fail_sys(err, errno, "linking '%s' to '%s'", from, path);
		(void)unlinkat(store->root, temp, 0);
		return -1;
	}
	/* Renaming over another name of the same file does nothing, and leaves the temporary. */
	(void)unlinkat(store->root, temp, 0);
	refresh_seen(store, path);
	char parent[PATH_LEN];
	PUT(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	return sync_of(store, parent, err);
}

struct mending {
	struct yg_store_report *report;
	bool again; /* something came to light that files before it may need */
};

static void first_damage(struct yg_store_report *report, const char *path, const char *sha256)
{
	if (!report->first[0])
		PUT(report->first, sizeof(report->first), "%s %s", path + sizeof(SETS) + 65,
			sha256);
}

static int drop(struct yg_store *store, const char *path, struct mending *mending,
	struct yg_err *err)
{
	mending->report->dropped++;
	return clear_away(store, path, err);
}

static int make_parent(struct yg_store *store, const char *path, struct yg_err *err)
{
	char parent[PATH_LEN];
	PUT(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	return yg_fs_mkdirs(store->root, parent, 0755, err);
}

/* A file of a set and its object should be one good inode. Whatever is good wins. */
static int mend_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	struct mending *mending = ctx;
	char object[PATH_LEN];
	object_path(file->sha256, object);
	enum file_state mine, shared;
	ino_t my_ino, shared_ino;
	if (look(store, path, file->sha256, file->size, mending->report, &mine, &my_ino, err) < 0 ||
		look(store, object, file->sha256, file->size, mending->report, &shared, &shared_ino,
			err) < 0)
		return -1;
	if (mine == FILE_GOOD && shared == FILE_GOOD && my_ino == shared_ino)
		return 0;
	if (mine != FILE_GOOD)
		first_damage(mending->report, path, file->sha256);
	if (shared == FILE_BAD && drop(store, object, mending, err) < 0)
		return -1;
	if (shared == FILE_GOOD) {
		mending->report->relinked += mine != FILE_GOOD;
		mending->report->dropped += mine == FILE_BAD;
		if (make_parent(store, path, err) < 0)
			return -1;
		return link_over(store, object, path, err);
	}
	if (mine == FILE_GOOD) {
		mending->report->adopted++;
		mending->again = true;
		return link_over(store, path, object, err);
	}
	mending->report->missing++;
	/* Two names of one bad file are one damage. */
	if (mine == FILE_BAD && shared == FILE_BAD && my_ino == shared_ino)
		mending->report->dropped--;
	return mine == FILE_BAD ? drop(store, path, mending, err) : 0;
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static DIR *list(struct yg_store *store, const char *path, struct yg_err *err)
{
	int fd = yg_fs_open_dir(store->root, path, err);
	if (fd < 0)
		return NULL;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		(void)yg_fail_sys(err, errno, "reading directory '%s'", path);
		(void)close(fd);
	}
	return dir;
}

static bool dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int mend_sets(struct yg_store *store, struct mending *mending, struct yg_err *err)
{
	DIR *sets YG_AUTO(dir) = list(store, SETS, err);
	if (!sets)
		return -1;
	for (struct dirent *entry; (entry = readdir(sets));) {
		struct yg_err why = {0};
		if (dots(entry->d_name))
			continue;
		struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, entry->d_name, &why);
		if (!set)
			continue; /* no set: recovery or collection removes it */
		char folder[PATH_LEN];
		set_path(entry->d_name, "", "", folder);
		mending->report->sets++;
		if (each(store, set, folder, mend_file, mending, err) < 0)
			return -1;
	}
	return 0;
}

/* Objects that no set has yet (a run was cut off) are kept when they are what their name says. */
static int mend_objects(struct yg_store *store, struct mending *mending, struct yg_err *err)
{
	DIR *objects YG_AUTO(dir) = list(store, OBJECTS, err);
	if (!objects)
		return -1;
	for (struct dirent *entry; (entry = readdir(objects));) {
		char path[PATH_LEN];
		enum file_state state = FILE_BAD;
		ino_t ino;
		if (dots(entry->d_name) ||
			!yg_str_put(path, sizeof(path), OBJECTS "/%s", entry->d_name))
			continue;
		if (digest_ok(entry->d_name) &&
			look(store, path, entry->d_name, UINT64_MAX, mending->report, &state, &ino,
				err) < 0)
			return -1;
		if (state == FILE_GOOD)
			continue;
		mending->report->leftovers++;
		if (clear_away(store, path, err) < 0)
			return -1;
	}
	return 0;
}

int yg_store_mend(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	struct yg_store_report found = {0};
	struct mending mending = {.report = &found};
	if (folders(store, err) < 0)
		return -1;
	for (int pass = 0; pass < 2; pass++) {
		mending.again = false;
		found.sets = 0;
		found.missing = 0;
		if (mend_sets(store, &mending, err) < 0)
			return named(err);
		if (!mending.again || found.missing == 0)
			break;
	}
	if (mend_objects(store, &mending, err) < 0)
		return named(err);
	report->sets = found.sets;
	report->missing = found.missing;
	report->checked += found.checked;
	report->adopted += found.adopted;
	report->relinked += found.relinked;
	report->dropped += found.dropped;
	report->leftovers += found.leftovers;
	if (!report->first[0])
		memcpy(report->first, found.first, sizeof(report->first));
	return 0;
}

/* ---- links and recovery ---- */

void yg_store_link(const struct yg_store *store, enum yg_store_link link, char out[YG_SHA256_TEXT])
{
	struct yg_err why = {0};
	char target[PATH_LEN];
	struct stat st;
	out[0] = 0;
	if (yg_fs_readlink(store->root, link_names[link], target, sizeof(target), &why) < 0)
		return;
	if (strncmp(target, SETS "/", sizeof(SETS)) != 0 || !digest_ok(target + sizeof(SETS)))
		return;
	if (fstatat(store->root, target, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return;
	PUT(out, YG_SHA256_TEXT, "%s", target + sizeof(SETS));
}

static int look_whole(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	(void)err;
	bool *whole = ctx;
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size != file->size)
		*whole = false;
	return 0;
}

/* After mending: what is bad is gone, so what is there is good. */
static enum yg_recover_lib state_of(struct yg_store *store, const char *digest)
{
	struct yg_err why = {0};
	if (!digest[0])
		return YG_LIB_NONE;
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, digest, &why);
	if (!set)
		return YG_LIB_NONE;
	char folder[PATH_LEN];
	set_path(digest, "", "", folder);
	bool whole = true;
	if (each(store, set, folder, look_whole, &whole, &why) < 0 || !whole)
		return YG_LIB_DAMAGED;
	return YG_LIB_WHOLE;
}

bool yg_store_whole(struct yg_store *store, const char *digest)
{
	return state_of(store, digest) == YG_LIB_WHOLE;
}

static struct yg_recover_step plan(struct yg_store *store)
{
	char lib[YG_SHA256_TEXT];
	char copy[YG_SHA256_TEXT];
	char roll[YG_SHA256_TEXT];
	yg_store_link(store, YG_STORE_LIB, lib);
	yg_store_link(store, YG_STORE_COPY, copy);
	yg_store_link(store, YG_STORE_ROLL, roll);
	enum yg_recover_lib lib_state = state_of(store, lib);
	enum yg_recover_copy copy_state = YG_COPY_NONE;
	switch (state_of(store, copy)) {
	case YG_LIB_NONE:
		break;
	case YG_LIB_DAMAGED:
		copy_state = YG_COPY_DAMAGED;
		break;
	case YG_LIB_WHOLE:
		copy_state = YG_COPY_WHOLE;
		break;
	}
	if (copy_state != YG_COPY_NONE && lib_state != YG_LIB_NONE && strcmp(lib, copy) == 0)
		copy_state = YG_COPY_SAME;
	enum yg_recover_roll roll_state = YG_ROLL_NONE;
	switch (state_of(store, roll)) {
	case YG_LIB_NONE:
		break;
	case YG_LIB_DAMAGED:
		roll_state = YG_ROLL_DAMAGED;
		break;
	case YG_LIB_WHOLE:
		roll_state = YG_ROLL_WHOLE;
		break;
	}
	return yg_recover_plan(lib_state, copy_state, roll_state);
}

/* Remove a name of the root directory, and have that on disk. */
static int drop_name(struct yg_store *store, const char *name, struct yg_err *err)
{
	if (unlinkat(store->root, name, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		return yg_fail_sys(err, errno, "removing '%s'", name);
	}
	return sync_of(store, ".", err);
}

static int move_name(struct yg_store *store, const char *from, const char *to, struct yg_err *err)
{
	if (renameat(store->root, from, store->root, to) < 0)
		return yg_fail_sys(err, errno, "renaming '%s' to '%s'", from, to);
	/* Both links to one set: rename does nothing then, and says so to nobody. */
	struct stat st;
	if (fstatat(store->root, from, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		unlinkat(store->root, from, 0) < 0)
		return yg_fail_sys(err, errno, "removing '%s'", from);
	return sync_of(store, ".", err);
}

static int act(struct yg_store *store, enum yg_recover_action action, struct yg_err *err)
{
	switch (action) {
	case YG_RECOVER_NOTHING:
		return 0;
	case YG_RECOVER_DROP_COPY:
	case YG_RECOVER_KEEP_DAMAGED:
		return drop_name(store, "li_copy", err);
	case YG_RECOVER_COPY_TO_ROLL:
		return move_name(store, "li_copy", "li_roll", err);
	case YG_RECOVER_COPY_TO_LIB:
		return move_name(store, "li_copy", "lib", err);
	case YG_RECOVER_ROLL_TO_LIB:
		if (move_name(store, "li_roll", "lib", err) < 0)
			return -1;
		return drop_name(store, "li_copy", err);
	}
	return 0;
}

/* What stands at a link's name and is no link, or leads to no set, is in the way: a left-over. */
static int clear_names(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(link_names); i++) {
		char digest[YG_SHA256_TEXT];
		struct stat st;
		yg_store_link(store, (enum yg_store_link)i, digest);
		if (digest[0] || fstatat(store->root, link_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		report->leftovers++;
		if (clear_away(store, link_names[i], err) < 0)
			return -1;
	}
	return 0;
}

/* Folders under sets/ without a good set.json, and files there, belong to nobody. */
static int clear_sets(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	DIR *sets YG_AUTO(dir) = list(store, SETS, err);
	if (!sets)
		return -1;
	for (struct dirent *entry; (entry = readdir(sets));) {
		struct yg_err why = {0};
		char path[PATH_LEN];
		if (dots(entry->d_name) ||
			!yg_str_put(path, sizeof(path), SETS "/%s", entry->d_name))
			continue;
		struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, entry->d_name, &why);
		if (set)
			continue;
		report->leftovers++;
		if (clear_away(store, path, err) < 0)
			return -1;
	}
	return 0;
}

static int clear_tmp(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	DIR *tmp YG_AUTO(dir) = list(store, TMP, err);
	if (!tmp)
		return -1;
	for (struct dirent *entry; (entry = readdir(tmp));) {
		if (dots(entry->d_name))
			continue;
		report->leftovers++;
		if (yg_fs_remove(dirfd(tmp), entry->d_name, err) < 0)
			return -1;
	}
	return 0;
}

/* A file where a folder belongs blocks everything: out of the way with it. */
static int clear_folders(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	static const char *const names[] = {SETS, "iaurepo", OBJECTS, TMP, LOGS};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		struct stat st;
		if (fstatat(store->root, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			S_ISDIR(st.st_mode))
			continue;
		report->leftovers++;
		if (yg_fs_remove(store->root, names[i], err) < 0)
			return -1;
	}
	return folders(store, err);
}

int yg_store_repair(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	if (clear_folders(store, report, err) < 0 || clear_tmp(store, report, err) < 0)
		return named(err);
	store->seen_count = 0;
	return yg_store_mend(store, report, err);
}

int yg_store_recover(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	if (yg_store_repair(store, report, err) < 0)
		return -1;
	if (clear_names(store, report, err) < 0)
		return named(err);
	struct yg_recover_step step = plan(store);
	report->links = step.why;
	if (act(store, step.action, err) < 0)
		return named(err);
	return clear_sets(store, report, err) < 0 ? named(err) : 0;
}

/* ---- objects ---- */

bool yg_store_object_has(const struct yg_store *store, const char *sha256, uint64_t size)
{
	char path[PATH_LEN];
	struct stat st;
	object_path(sha256, path);
	return fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size == size;
}

int yg_store_object_new(struct yg_store *store, struct yg_err *err)
{
	if (folders(store, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(store->root, OBJECTS, err);
	if (dir < 0)
		return named(err);
	int fd = yg_fs_tmpfile(dir, err);
	return fd < 0 ? named(err) : fd;
}

int yg_store_object_add(struct yg_store *store, int fd, const char *sha256, uint64_t size,
	struct yg_err *err)
{
	uint64_t have_size = 0;
	char have[YG_SHA256_TEXT];
	if (lseek(fd, 0, SEEK_SET) < 0) {
		(void)yg_fail_sys(err, errno, "object %s: seeking", sha256);
		return named(err);
	}
	if (yg_codec_hash(fd, have, &have_size, err) < 0)
		return named(err);
	if (have_size != size || strcmp(have, sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
			"object %s: want %" PRIu64 " bytes, have %" PRIu64 " with SHA-256 %s",
			sha256, size, have_size, have);

	char path[PATH_LEN];
	object_path(sha256, path);
	enum file_state state;
	ino_t ino;
	if (folders(store, err) < 0 || look(store, path, sha256, size, NULL, &state, &ino, err) < 0)
		return named(err);
	if (state == FILE_GOOD)
		return 0;
	if (state == FILE_BAD && clear_away(store, path, err) < 0)
		return named(err);
	int dir YG_AUTO(fd) = yg_fs_open_dir(store->root, OBJECTS, err);
	if (dir < 0 || yg_fs_link_tmpfile(fd, dir, sha256, 0444, err) < 0)
		return named(err);
	return 0;
}

int yg_store_room(const struct yg_store *store, uint64_t bytes, struct yg_err *err)
{
	struct statvfs fs;
	if (fstatvfs(store->root, &fs) < 0) {
		(void)yg_fail_sys(err, errno, "asking for free space");
		return named(err);
	}
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes >= bytes && free_bytes - bytes >= RESERVE)
		return 0;
	return yg_fail_cause(err, YG_ESYSTEM, "store.disk_full",
		"the update needs %" PRIu64 " MiB besides a reserve of %u MiB, and %" PRIu64
		" MiB are free",
		(bytes + (1u << 20) - 1) >> 20, RESERVE >> 20, free_bytes >> 20);
}

/* ---- staging ---- */

static int place(struct yg_store *store, const char *path, const struct yg_file *file, void *ctx,
	struct yg_err *err)
{
	(void)ctx;
	char object[PATH_LEN];
	object_path(file->sha256, object);
	if (make_parent(store, path, err) < 0)
		return -1;
	if (linkat(store->root, object, store->root, path, 0) == 0) {
		refresh_seen(store, object);
		return 0;
	}
	if (errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "object %s ('%s') is not in the store",
			file->sha256, file->path);
	return yg_fail_sys(err, errno, "linking '%s'", path);
}

static int sync_tree(int dir, const char *name, int depth, struct yg_err *err)
{
	if (depth > 16)
		return yg_fail(err, YG_ELIMIT, "'%s': too deep", name);
	int fd YG_AUTO(fd) = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *entries YG_AUTO(dir) = own < 0 ? NULL : fdopendir(own);
	if (!entries)
		return yg_fail_sys(err, errno, "reading directory '%s'", name);
	for (struct dirent *entry; (entry = readdir(entries));) {
		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
			continue;
		struct stat st;
		if (dots(entry->d_name) ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISDIR(st.st_mode))
			continue;
		if (sync_tree(fd, entry->d_name, depth + 1, err) < 0)
			return -1;
	}
	if (fsync(fd) < 0)
		return yg_fail_sys(err, errno, "'%s': fsync", name);
	return 0;
}

static int build(struct yg_store *store, const struct yg_set *set, const char *folder,
	struct yg_err *err)
{
	char path[PATH_LEN];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_set_format(set, false, &text, err) < 0 ||
		yg_fs_mkdirs(store->root, folder, 0755, err) < 0 ||
		each(store, set, folder, place, NULL, err) < 0)
		return -1;
	PUT(path, sizeof(path), "%s/" LOGS, folder);
	if (symlinkat("../../" LOGS, store->root, path) < 0)
		return yg_fail_sys(err, errno, "linking '%s'", path);
	PUT(path, sizeof(path), "%s/set.json", folder);
	if (yg_fs_replace(store->root, path, yg_buf_bytes(&text), 0444, err) < 0)
		return -1;
	return sync_tree(store->root, folder, 0, err);
}

static int publish(struct yg_store *store, const char *folder, const char *digest,
	struct yg_err *err)
{
	char path[PATH_LEN];
	set_path(digest, "", "", path);
	if (renameat2(store->root, folder, store->root, path, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return yg_fail_sys(err, errno, "renaming to '%s'", path);
		/* A left-over of that name, perhaps the damaged set of a link: change places at once. */
		if (renameat2(store->root, folder, store->root, path, RENAME_EXCHANGE) < 0)
			return yg_fail_sys(err, errno, "changing '%s'", path);
		if (yg_fs_remove(store->root, folder, err) < 0)
			return -1;
	}
	return sync_of(store, SETS, err);
}

/* As a mending of this one set, from objects alone. */
static int complete_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	(void)ctx;
	char object[PATH_LEN];
	struct stat mine, shared;
	object_path(file->sha256, object);
	if (fstatat(store->root, object, &shared, AT_SYMLINK_NOFOLLOW) < 0)
		return yg_fail(err, YG_EABSENT, "object %s ('%s') is not in the store",
			file->sha256, file->path);
	if (fstatat(store->root, path, &mine, AT_SYMLINK_NOFOLLOW) == 0 &&
		mine.st_ino == shared.st_ino)
		return 0;
	if (make_parent(store, path, err) < 0)
		return -1;
	return link_over(store, object, path, err);
}

int yg_store_stage(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	struct yg_err why = {0};
	char folder[PATH_LEN];
	if (folders(store, err) < 0)
		return -1;
	struct yg_set *there YG_AUTO(yg_set) = yg_store_set(store, set->digest, &why);
	if (there) {
		set_path(set->digest, "", "", folder);
		return each(store, there, folder, complete_file, NULL, err) < 0 ? named(err) : 0;
	}
	temporary(store, "set", folder);
	if (build(store, set, folder, err) < 0 || publish(store, folder, set->digest, err) < 0) {
		(void)named(err);
		if (yg_fs_remove(store->root, folder, &why) < 0)
			return -1; /* recovery will remove it */
		return -1;
	}
	return 0;
}

/* ---- an update's steps ---- */

static int point(struct yg_store *store, enum yg_store_link link, const char *digest,
	struct yg_err *err)
{
	char target[PATH_LEN];
	set_path(digest, "", "", target);
	struct stat st;
	if (fstatat(store->root, link_names[link], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISLNK(st.st_mode) && clear_away(store, link_names[link], err) < 0)
		return -1;
	return yg_fs_symlink(store->root, target, link_names[link], err);
}

int yg_store_snapshot(struct yg_store *store, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(store, YG_STORE_LIB, lib);
	if (!lib[0])
		return drop_name(store, "li_copy", err) < 0 ? named(err) : 0;
	return point(store, YG_STORE_COPY, lib, err) < 0 ? named(err) : 0;
}

int yg_store_switch(struct yg_store *store, const char *digest, struct yg_err *err)
{
	char copy[YG_SHA256_TEXT];
	struct stat st;
	yg_store_link(store, YG_STORE_COPY, copy);
	if (point(store, YG_STORE_LIB, digest, err) < 0)
		return named(err);
	if (!copy[0] || strcmp(copy, digest) == 0)
		return drop_name(store, "li_copy", err) < 0 ? named(err) : 0;
	if (fstatat(store->root, "li_roll", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISLNK(st.st_mode) && clear_away(store, "li_roll", err) < 0)
		return named(err);
	return move_name(store, "li_copy", "li_roll", err) < 0 ? named(err) : 0;
}

int yg_store_drop_snapshot(struct yg_store *store, struct yg_err *err)
{
	return drop_name(store, "li_copy", err) < 0 ? named(err) : 0;
}

int yg_store_rollback(struct yg_store *store, struct yg_err *err)
{
	char roll[YG_SHA256_TEXT];
	yg_store_link(store, YG_STORE_ROLL, roll);
	if (!roll[0])
		return yg_fail_cause(err, YG_EABSENT, "store.no_rollback",
			"'li_roll': there is no set to go back to");
	return move_name(store, "li_roll", "lib", err) < 0 ? named(err) : 0;
}

/* ---- hold ---- */

static int read_hold(struct yg_store *store, struct yg_store_hold *out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(HOLD_MAX);
	json_t *hold YG_AUTO(yg_json) = NULL;
	const char *set = NULL;
	const char *since = NULL;
	const char *reason = NULL;
	if (yg_fs_read(store->root, HOLD, &text, err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), HOLD_MAX, &hold, err) < 0 ||
		yg_json_str(hold, "set", 64, &set, err) < 0 ||
		yg_json_str(hold, "since", sizeof(out->since) - 1, &since, err) < 0 ||
		yg_json_str_or(hold, "reason", sizeof(out->reason) - 1, "rollback", &reason, err) <
			0)
		return -1;
	if (!digest_ok(set))
		return yg_fail(err, YG_EFORMAT, "'" HOLD "': set: not a digest");
	PUT(out->set, sizeof(out->set), "%s", set);
	PUT(out->since, sizeof(out->since), "%s", since);
	PUT(out->reason, sizeof(out->reason), "%s", reason);
	return 0;
}

void yg_store_hold(struct yg_store *store, struct yg_store_hold *out)
{
	struct yg_err why = {0};
	struct yg_store_hold hold = {0};
	if (read_hold(store, &hold, &why) < 0)
		hold = (struct yg_store_hold){0};
	*out = hold;
}

int yg_store_hold_set(struct yg_store *store, const char *digest, const char *reason,
	struct yg_err *err)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	json_t *hold YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:s}", "set", digest, "since", now,
		"reason", reason);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(HOLD_MAX);
	if (!hold)
		return yg_fail_sys(err, ENOMEM, "holding a set");
	if (yg_json_dump(hold, &text, err) < 0 ||
		yg_fs_replace(store->root, HOLD, yg_buf_bytes(&text), 0644, err) < 0)
		return named(err);
	return 0;
}

int yg_store_hold_clear(struct yg_store *store, struct yg_err *err)
{
	if (unlinkat(store->root, HOLD, 0) < 0 && errno != ENOENT) {
		(void)yg_fail_sys(err, errno, "removing '" HOLD "'");
		return named(err);
	}
	return yg_fs_sync_dir(store->root, "state", err) < 0 ? named(err) : 0;
}

/* ---- collection ---- */

static bool is_kept(const struct yg_store *store, const char *digest, const char *held)
{
	char linked[YG_SHA256_TEXT];
	for (size_t i = 0; i < YG_COUNT(link_names); i++) {
		yg_store_link(store, (enum yg_store_link)i, linked);
		if (strcmp(linked, digest) == 0)
			return true;
	}
	return strcmp(held, digest) == 0;
}

static int collect_sets(struct yg_store *store, uint32_t *removed, struct yg_err *err)
{
	struct yg_store_hold hold;
	yg_store_hold(store, &hold);
	DIR *sets YG_AUTO(dir) = list(store, SETS, err);
	if (!sets)
		return -1;
	for (struct dirent *entry; (entry = readdir(sets));) {
		char path[PATH_LEN];
		if (dots(entry->d_name) || is_kept(store, entry->d_name, hold.set) ||
			!yg_str_put(path, sizeof(path), SETS "/%s", entry->d_name))
			continue;
		if (clear_away(store, path, err) < 0)
			return -1;
		*removed += 1;
	}
	return 0;
}

/* The sets' files are hard links of the objects: an object with one name is in no set. */
static int collect_objects(struct yg_store *store, uint32_t *removed, struct yg_err *err)
{
	DIR *objects YG_AUTO(dir) = list(store, OBJECTS, err);
	if (!objects)
		return -1;
	for (struct dirent *entry; (entry = readdir(objects));) {
		struct stat st;
		if (dots(entry->d_name) ||
			fstatat(dirfd(objects), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			(S_ISREG(st.st_mode) && st.st_nlink > 1))
			continue;
		if (yg_fs_remove(dirfd(objects), entry->d_name, err) < 0)
			return -1;
		*removed += 1;
	}
	return 0;
}

int yg_store_collect(struct yg_store *store, uint32_t *removed, struct yg_err *err)
{
	*removed = 0;
	if (folders(store, err) < 0)
		return -1;
	if (collect_sets(store, removed, err) < 0 || collect_objects(store, removed, err) < 0)
		return named(err);
	return 0;
}
