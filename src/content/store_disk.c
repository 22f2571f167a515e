/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/codec.h"
#include "core/fs.h"

int yg_store_named(struct yg_err *err)
{
	if (err->code != YG_ESYSTEM || err->cause[0])
		return -1;
	static const struct {
		int sys;
		const char *cause;
	} causes[] = {
		{ENOSPC, "store.disk_full"},
		{EDQUOT, "store.disk_full"},
		{EROFS, "store.read_only"},
		{ENOMEM, "system.error"},
		{EMFILE, "system.error"},
		{ENFILE, "system.error"},
		{ENOTDIR, "store.exists"},
		{EISDIR, "store.exists"},
		{EFBIG, "system.error"},
		{ENOTEMPTY, "store.exists"},
		{EEXIST, "store.exists"},
	};
	const char *cause = "store.io";
	for (size_t i = 0; i < YG_COUNT(causes); i++)
		if (causes[i].sys == err->sys)
			cause = causes[i].cause;
	STORE_PUT(err->cause, sizeof(err->cause), "%s", cause);
	return -1;
}

bool store_disk_digest_ok(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static const char *const folders[] = {STORE_SETS, "iaurepo", STORE_OBJECTS, STORE_TMP, STORE_PARTS,
	STORE_LOGS, "state", STORE_NOTES};

int store_disk_ways(struct yg_store *store, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(folders); i++) {
		struct stat st;
		/* Only `state` may lead elsewhere: hard links and renames need the rest on one disk. */
		int follow = strncmp(folders[i], "state", 5) == 0 ? 0 : AT_SYMLINK_NOFOLLOW;
		if (fstatat(store->root, folders[i], &st, follow) < 0 && errno != ELOOP) {
			if (errno != ENOENT || follow ||
				fstatat(store->root, folders[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
		} else if (S_ISDIR(st.st_mode)) {
			continue;
		}
		store->found++;
		if (yg_fs_remove(store->root, folders[i], err) < 0)
			return yg_store_named(err);
	}
	return store_disk_folders(store, err);
}

static int make_folders(struct yg_store *store, struct yg_err *err)
{
	struct stat st;
	for (size_t i = 0; i < YG_COUNT(folders); i++)
		if ((fstatat(store->root, folders[i], &st, 0) < 0 || !S_ISDIR(st.st_mode)) &&
			yg_fs_mkdirs(store->root, folders[i], 0755, err) < 0)
			return yg_store_named(err);
	return 0;
}

int store_disk_folders(struct yg_store *store, struct yg_err *err)
{
	/* Who empties iaurepo may do so between two of these calls. */
	struct yg_err why = {0};
	for (int tries = 0; tries < 3; tries++) {
		why = (struct yg_err){0};
		if (make_folders(store, &why) == 0)
			return 0;
		if (why.code != YG_EABSENT && why.sys != ENOENT)
			break;
	}
	*err = why;
	return yg_store_named(err);
}

void store_disk_object(const char *sha256, char out[STORE_PATH])
{
	STORE_PUT(out, STORE_PATH, STORE_OBJECTS "/%s", sha256);
}

void store_disk_set(const char *digest, const char *component, const char *path,
	char out[STORE_PATH])
{
	STORE_PUT(out, STORE_PATH, STORE_SETS "/%s%s%s%s%s", digest, *component ? "/" : "",
		component, *path ? "/" : "", path);
}

void store_disk_temporary(struct yg_store *store, const char *what, char out[STORE_PATH])
{
	STORE_PUT(out, STORE_PATH, STORE_TMP "/%s.%ld.%u", what, (long)getpid(), store->serial++);
}

static int in_the_way(struct yg_err *err, int sys, const char *path)
{
	(void)yg_fail_sys(err, sys, "moving '%s' away", path);
	if (sys == EPERM || sys == EBUSY ||
		sys == EACCES) /* immutable, or something is mounted there */
		STORE_PUT(err->cause, sizeof(err->cause), "store.exists");
	return -1;
}

int store_disk_clear(struct yg_store *store, const char *path, struct yg_err *err)
{
	char gone[STORE_PATH];
	if (store_disk_folders(store, err) < 0)
		return -1;
	for (int tries = 0; tries < 8; tries++) {
		store_disk_temporary(store, "gone", gone);
		if (renameat(store->root, path, store->root, gone) == 0)
			return yg_fs_remove(store->root, gone, err);
		int sys = errno;
		if (sys == ENOENT || (sys == ENOTDIR && !strchr(path, '/')))
			return 0;
		if (sys == EXDEV) /* a folder of overlayfs' lower layer cannot be renamed */
			break;
		/* A left-over has the name: another. */
		if (sys != EEXIST && sys != ENOTEMPTY && sys != EISDIR && sys != ENOTDIR)
			return in_the_way(err, sys, path);
	}
	return yg_fs_remove(store->root, path, err);
}

int store_disk_discard(int dir, const char *name, struct yg_err *err)
{
	struct yg_err why = {0};
	if (yg_fs_remove(dir, name, &why) == 0 || why.sys == EPERM || why.sys == EBUSY)
		return 0; /* it stays, and is in nobody's way */
	*err = why;
	return -1;
}

int store_disk_sync(struct yg_store *store, const char *path, struct yg_err *err)
{
	return yg_fs_sync_dir(store->root, path, err);
}

int store_disk_make_parent(struct yg_store *store, const char *path, struct yg_err *err)
{
	char parent[STORE_PATH];
	STORE_PUT(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	return yg_fs_mkdirs(store->root, parent, 0755, err);
}

void store_disk_list_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

DIR *store_disk_list(struct yg_store *store, const char *path, struct yg_err *err)
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

int store_disk_next(DIR *dir, const char **name, struct yg_err *err)
{
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (!entry && errno)
			return yg_fail_sys(err, errno, "reading a directory");
		if (!entry)
			return 0;
		*name = entry->d_name;
		if (strcmp(*name, ".") != 0 && strcmp(*name, "..") != 0)
			return 1;
	}
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct store_seen *find_seen(struct yg_store *store, const struct stat *st)
{
	for (size_t i = 0; i < store->seen_count; i++)
		if (store->seen[i].ino == st->st_ino)
			return &store->seen[i];
	return NULL;
}

/* Our own links and unlinks of a file change its ctime, and say nothing about its bytes. */
void store_disk_refresh(struct yg_store *store, const char *path)
{
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct store_seen *seen = find_seen(store, &st);
	if (seen && same_time(seen->mtime, st.st_mtim))
		seen->ctime = st.st_ctim;
}

static struct store_seen *new_seen(struct yg_store *store, struct yg_err *err)
{
	if (store->seen_count == store->seen_cap) {
		size_t cap = store->seen_cap ? store->seen_cap * 2 : 64;
		struct store_seen *grown = reallocarray(store->seen, cap, sizeof(*grown));
		if (!grown) {
			(void)yg_fail_sys(err, ENOMEM, "remembering hashes");
			return NULL;
		}
		store->seen = grown;
		store->seen_cap = cap;
	}
	return &store->seen[store->seen_count++];
}

/* The hash of an open file, from memory when that still holds. sha256 is "" when reading fails: a disk
 * that cannot give the bytes back has lost them.
 */
static int hash_open(struct yg_store *store, int fd, const struct stat *st,
	struct yg_store_report *report, const char **sha256, struct yg_err *err)
{
	struct store_seen *seen = find_seen(store, st);
	if (seen && same_time(seen->mtime, st->st_mtim) && same_time(seen->ctime, st->st_ctim) &&
		seen->size == (uint64_t)st->st_size) {
		*sha256 = seen->sha256;
		return 0;
	}
	if (!seen && !(seen = new_seen(store, err)))
		return -1;
	*seen = (struct store_seen){.ino = st->st_ino,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.size = (uint64_t)st->st_size};
	struct yg_err why = {0};
	uint64_t size = 0;
	char hash[YG_SHA256_TEXT];
	if (yg_codec_hash(fd, hash, &size, &why) == 0 && size == seen->size)
		STORE_PUT(seen->sha256, sizeof(seen->sha256), "%s", hash);
	else if (why.code != YG_OK && !store_disk_is_damage(&why)) {
		*err = why;
		seen->ino = 0; /* nothing is remembered of it */
		return -1;
	}
	if (report)
		report->checked++;
	*sha256 = seen->sha256;
	return 0;
}

/* Failures that say something about the file; any other is about this moment. */
static bool is_damage(int sys)
{
	static const int damage[] = {EIO, ENOTDIR, ENAMETOOLONG, ELOOP, ENXIO, ENODEV, EISDIR,
		EACCES, EPERM, EUCLEAN, EOVERFLOW, EBADMSG, ESTALE, ENODATA};
	for (size_t i = 0; i < YG_COUNT(damage); i++)
		if (damage[i] == sys)
			return true;
	return false;
}

bool store_disk_is_damage(const struct yg_err *err)
{
	return err->code != YG_ESYSTEM || is_damage(err->sys);
}

/* Hash it again the next time. */
static void forget(struct yg_store *store, ino_t ino)
{
	for (size_t i = 0; i < store->seen_count; i++)
		if (store->seen[i].ino == ino)
			store->seen[i].ino = 0;
}

static int look_once(struct yg_store *store, const char *path, const char *want, uint64_t size,
	struct yg_store_report *report, enum store_file *state, ino_t *ino, bool *again,
	struct yg_err *err)
{
	*ino = 0;
	*again = false;
	*state = STORE_FILE_GONE;
	struct yg_err why = {0};
	int fd YG_AUTO(fd) = yg_fs_open_flags(store->root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
		0, &why);
	if (fd < 0 && (why.code == YG_EABSENT || why.sys == ENOTDIR))
		return 0;
	*state = STORE_FILE_BAD;
	if (fd < 0 && !is_damage(why.sys)) {
		*err = why;
		return -1;
	}
	struct stat st;
	*again = fd < 0 && why.sys == EIO;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	*ino = st.st_ino;
	if (size != UINT64_MAX && (uint64_t)st.st_size != size)
		return 0;
	const char *have = "";
	if (hash_open(store, fd, &st, report, &have, err) < 0)
		return -1;
	if (strcmp(have, want) == 0)
		*state = STORE_FILE_GOOD;
	*again = !have[0];
	return 0;
}

int store_disk_look(struct yg_store *store, const char *path, const char *want, uint64_t size,
	struct yg_store_report *report, enum store_file *state, ino_t *ino, struct yg_err *err)
{
	bool again = false;
	if (look_once(store, path, want, size, report, state, ino, &again, err) < 0)
		return -1;
	if (!again)
		return 0;
	/* What cannot be read is removed. A cable, a controller, a server may be back at once. */
	forget(store, *ino);
	return look_once(store, path, want, size, report, state, ino, &again, err);
}

int store_disk_hash(struct yg_store *store, const char *path, struct yg_store_report *report,
	char sha256[YG_SHA256_TEXT], struct yg_err *err)
{
	struct yg_err why = {0};
	struct stat st;
	const char *have = "";
	sha256[0] = 0;
	int fd YG_AUTO(fd) = yg_fs_open(store->root, path, &why);
	if (fd < 0 && !store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (hash_open(store, fd, &st, report, &have, err) < 0)
		return -1;
	STORE_PUT(sha256, YG_SHA256_TEXT, "%s", have);
	return 0;
}

static int copy_over(struct yg_store *store, const char *from, const char *path, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open(store->root, from, err);
	if (fd < 0)
		return -1;
	return yg_fs_copy_to(fd, store->root, path, 0444, err);
}

/* Neither is a reason to fail: a file has as many names as it may have (ext4: 65000), or the file system
 * has no hard links at all.
 */
static bool must_copy(int sys)
{
	return sys == EMLINK || sys == EOPNOTSUPP || sys == EXDEV || sys == EPERM;
}

int store_disk_link(struct yg_store *store, const char *from, const char *path, struct yg_err *err)
{
	if (linkat(store->root, from, store->root, path, 0) == 0) {
		store_disk_refresh(store, path);
		return 0;
	}
	if (must_copy(errno))
		return copy_over(store, from, path, err);
	return yg_fail_sys(err, errno, "linking '%s' to '%s'", from, path);
}

static int clear_folder(struct yg_store *store, const char *path, struct yg_err *err)
{
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	return store_disk_clear(store, path, err);
}

int store_disk_link_over(struct yg_store *store, const char *from, const char *path, bool copy,
	struct yg_err *err)
{
	char temp[STORE_PATH];
	store_disk_temporary(store, "link", temp);
	if (clear_folder(store, path, err) < 0)
		return -1;
	if (linkat(store->root, from, store->root, temp, 0) < 0) {
		if (must_copy(errno))
			return copy ? copy_over(store, from, path, err) : 0;
		return yg_fail_sys(err, errno, "linking '%s'", from);
	}
	if (renameat(store->root, temp, store->root, path) < 0) {
		(void)yg_fail_sys(err, errno, "linking '%s' to '%s'", from, path);
		(void)unlinkat(store->root, temp, 0);
		return -1;
	}
	/* Renaming over another name of the same file does nothing, and leaves the temporary. */
	(void)unlinkat(store->root, temp, 0);
	store_disk_refresh(store, path);
	char parent[STORE_PATH];
	STORE_PUT(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	return store_disk_sync(store, parent, err);
}

int store_disk_each(struct yg_store *store, const struct yg_set *set, const char *folder,
	store_disk_visit *visit, void *ctx, struct yg_err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *component = set->components[i];
		for (size_t j = 0; j < component->file_count; j++) {
			char path[STORE_PATH];
			STORE_PUT(path, sizeof(path), "%s/%s/%s", folder, component->component,
				component->files[j].path);
			if (visit(store, path, &component->files[j], ctx, err) < 0)
				return -1;
		}
	}
	return 0;
}

int store_disk_read(struct yg_store *store, const char *path, struct yg_buf *text,
	struct yg_err *err)
{
	struct yg_err why = {0};
	for (int tries = 0; tries < 2; tries++) {
		why = (struct yg_err){0};
		text->len = 0;
		if (yg_fs_read(store->root, path, text, &why) == 0)
			return 0;
		if (why.sys != EIO)
			break;
	}
	*err = why;
	return yg_store_named(err);
}
