/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"

#define AGE_MAX   (24 * 3600)  /* seconds that a part is kept since it last grew */
#define BYTES_MAX (1ULL << 30) /* of all parts together */

static void part_path(const char *sha256, char out[STORE_PATH])
{
	STORE_PUT(out, STORE_PATH, STORE_PARTS "/%s", sha256);
}

/* Only a regular file of ours with one name is written to: another name may be an object's. */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid();
}

int yg_store_part_open(struct yg_store *store, const char *transfer_sha256, uint64_t *have,
	struct yg_err *err)
{
	char path[STORE_PATH];
	if (!store_disk_digest_ok(transfer_sha256))
		return yg_fail(err, YG_EFORMAT, "'%s': not a SHA-256", transfer_sha256);
	part_path(transfer_sha256, path);
	if (store_disk_folders(store, err) < 0)
		return yg_store_named(err);
	struct stat st;
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_ours(&st) &&
		store_disk_clear(store, path, err) < 0)
		return yg_store_named(err);
	int fd YG_AUTO(fd) = yg_fs_open_flags(store->root, path,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600, err);
	if (fd < 0)
		return yg_store_named(err);
	if (fstat(fd, &st) < 0) {
		(void)yg_fail_sys(err, errno, "'%s': stat", path);
		return yg_store_named(err);
	}
	if (!is_ours(&st))
		return yg_fail_cause(err, YG_ESYSTEM, "store.exists",
			"'%s': want a regular file of this user with one name", path);
	*have = (uint64_t)st.st_size;
	return yg_take_fd(fd);
}

int yg_store_part_drop(struct yg_store *store, const char *transfer_sha256, struct yg_err *err)
{
	char path[STORE_PATH];
	if (!store_disk_digest_ok(transfer_sha256))
		return yg_fail(err, YG_EFORMAT, "'%s': not a SHA-256", transfer_sha256);
	part_path(transfer_sha256, path);
	return yg_fs_remove(store->root, path, err) < 0 ? yg_store_named(err) : 0;
}

struct part {
	char name[YG_SHA256_TEXT];
	int64_t mtime;
	uint64_t bytes; /* on disk, with what is allocated ahead */
};

struct parts {
	uint64_t bytes;
	struct part oldest; /* of those that stay; name "" when there is none */
};

/* One look at all of them: what is no part, or too old, goes. */
static int look_at_all(struct yg_store *store, struct parts *parts, uint32_t *leftovers,
	struct yg_err *err)
{
	int64_t now = yg_clock_now_s();
	DIR *dir YG_AUTO(store_disk_list) = store_disk_list(store, STORE_PARTS, err);
	if (!dir)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(dir, &name, err)) > 0) {
		struct stat st;
		if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bool part = is_ours(&st) && store_disk_digest_ok(name);
		bool young = st.st_mtim.tv_sec >= now - AGE_MAX &&
			st.st_mtim.tv_sec <= now + AGE_MAX;
		*leftovers += !part;
		if (!part || !young) {
			if (store_disk_discard(dirfd(dir), name, err) < 0)
				return -1;
			continue;
		}
		uint64_t bytes = (uint64_t)st.st_blocks * 512;
		parts->bytes += bytes;
		if (!parts->oldest.name[0] || st.st_mtim.tv_sec < parts->oldest.mtime) {
			STORE_PUT(parts->oldest.name, sizeof(parts->oldest.name), "%s", name);
			parts->oldest.mtime = st.st_mtim.tv_sec;
			parts->oldest.bytes = bytes;
		}
	}
	return more;
}

int store_part_sweep(struct yg_store *store, uint32_t *leftovers, struct yg_err *err)
{
	for (;;) {
		struct parts parts = {0};
		if (look_at_all(store, &parts, leftovers, err) < 0)
			return -1;
		if (parts.bytes <= BYTES_MAX || !parts.oldest.name[0])
			return 0;
		if (yg_store_part_drop(store, parts.oldest.name, err) < 0)
			return -1;
	}
}
