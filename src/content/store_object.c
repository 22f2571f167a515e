/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "content/codec.h"
#include "core/fs.h"

#define RESERVE (16u << 20) /* bytes that stay free: logs, metadata, the event spool */
#define INODES  64u         /* that must be free where a file system has a number of them */

bool yg_store_object_has(const struct yg_store *store, const char *sha256, uint64_t size)
{
	char path[STORE_PATH];
	struct stat st;
	store_disk_object(sha256, path);
	return fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size == size;
}

int yg_store_object_new(struct yg_store *store, struct yg_err *err)
{
	if (store_disk_folders(store, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(store->root, STORE_OBJECTS, err);
	int fd = dir < 0 ? -1 : yg_fs_tmpfile(dir, err);
	return fd < 0 ? yg_store_named(err) : fd;
}

static int give_name(struct yg_store *store, int fd, const char *sha256, uint64_t size,
	struct yg_err *err)
{
	char path[STORE_PATH];
	enum store_file state;
	ino_t ino;
	store_disk_object(sha256, path);
	if (store_disk_folders(store, err) < 0 ||
		store_disk_look(store, path, sha256, size, NULL, &state, &ino, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(store->root, STORE_OBJECTS, err);
	if (dir < 0)
		return -1;
	/* One that is there already may be of a run that ended before its name was on disk. */
	if (state == STORE_FILE_GOOD)
		return yg_fs_sync(dir, STORE_OBJECTS, err);
	if (state == STORE_FILE_BAD && store_disk_clear(store, path, err) < 0)
		return -1;
	return yg_fs_link_tmpfile(fd, dir, sha256, 0444, err);
}

int yg_store_object_add(struct yg_store *store, int fd, const char *sha256, uint64_t size,
	struct yg_err *err)
{
	uint64_t have_size = 0;
	char have[YG_SHA256_TEXT];
	if (lseek(fd, 0, SEEK_SET) < 0) {
		(void)yg_fail_sys(err, errno, "object %s: seeking", sha256);
		return yg_store_named(err);
	}
	if (yg_codec_hash(fd, have, &have_size, err) < 0)
		return yg_store_named(err);
	if (have_size != size || strcmp(have, sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
			"object %s: want %" PRIu64 " bytes, have %" PRIu64 " with SHA-256 %s",
			sha256, size, have_size, have);

	/* Who empties iaurepo (T6) may do so between two of these steps. */
	struct yg_err why = {0};
	for (int tries = 0; tries < 3; tries++) {
		why = (struct yg_err){0};
		if (give_name(store, fd, sha256, size, &why) == 0)
			return 0;
		if (why.code != YG_EABSENT && why.sys != ENOENT)
			break;
	}
	*err = why;
	return yg_store_named(err);
}

/* ---- space ---- */

static int no_room(uint64_t bytes, uint64_t free_bytes, struct yg_err *err)
{
	return yg_fail_cause(err, YG_ESYSTEM, "store.disk_full",
		"the update needs %" PRIu64 " MiB besides a reserve of %u MiB, and %" PRIu64
		" MiB are free",
		(bytes >> 20) + !!(bytes & ((1u << 20) - 1)), RESERVE >> 20, free_bytes >> 20);
}

int yg_store_room(const struct yg_store *store, uint64_t bytes, struct yg_err *err)
{
	struct statvfs fs;
	int rc;
	do
		rc = fstatvfs(store->root, &fs);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		(void)yg_fail_sys(err, errno, "asking for free space");
		return yg_store_named(err);
	}
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize + store->held_bytes;
	if (free_bytes < bytes || free_bytes - bytes < RESERVE)
		return no_room(bytes, free_bytes, err);
	if (fs.f_files > 0 && fs.f_favail < INODES)
		return yg_fail_cause(err, YG_ESYSTEM, "store.disk_full",
			"the update needs %u free inodes, and %" PRIu64 " are free", INODES,
			(uint64_t)fs.f_favail);
	return 0;
}

void yg_store_release(struct yg_store *store)
{
	if (store->held >= 0)
		(void)close(store->held);
	store->held = -1;
	store->held_bytes = 0;
}

static int resize(int fd, uint64_t bytes, struct yg_err *err)
{
	int rc;
	do
		rc = ftruncate(fd, (off_t)bytes);
	while (rc < 0 && errno == EINTR);
	/* A limit on the size of files, or none that large: the blocks are held all the same. */
	return rc < 0 && errno != EFBIG ? yg_fail_sys(err, errno, "reserving space") : 0;
}

int yg_store_reserve(struct yg_store *store, uint64_t bytes, struct yg_err *err)
{
	yg_store_release(store);
	if (yg_store_room(store, bytes, err) < 0)
		return -1;
	if (bytes == 0)
		return 0;
	if (store_disk_folders(store, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(store->root, STORE_TMP, err);
	if (dir < 0)
		return yg_store_named(err);
	int fd YG_AUTO(fd) = yg_fs_tmpfile(dir, err);
	bool held = false;
	if (fd < 0 || yg_fs_allocate(fd, bytes, &held, err) < 0)
		return yg_store_named(err);
	if (!held)
		return 0;
	if (resize(fd, bytes, err) < 0) /* so that it can be made smaller, piece by piece */
		return yg_store_named(err);
	store->held = yg_take_fd(fd);
	store->held_bytes = bytes;
	return 0;
}

int yg_store_allot(struct yg_store *store, int fd, uint64_t bytes, struct yg_err *err)
{
	bool held = false;
	if (store->held >= 0) {
		uint64_t rest = store->held_bytes > bytes ? store->held_bytes - bytes : 0;
		if (resize(store->held, rest, err) < 0)
			return yg_store_named(err);
		store->held_bytes = rest;
	}
	return yg_fs_allocate(fd, bytes, &held, err) < 0 ? yg_store_named(err) : 0;
}
