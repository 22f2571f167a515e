/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"

/* ---- descriptions ---- */

static void note_path(const char *digest, char out[STORE_PATH])
{
	STORE_PUT(out, STORE_PATH, STORE_NOTES "/%s.json", digest);
}

int store_stage_note(struct yg_store *store, const char *digest, struct yg_set **out,
	struct yg_err *err)
{
	struct yg_err why = {0};
	char path[STORE_PATH];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_set *set YG_AUTO(yg_set) = NULL;
	*out = NULL;
	note_path(digest, path);
	if (store_disk_read(store, path, &text, &why) == 0)
		set = yg_set_parse(yg_buf_bytes(&text), &why);
	if (!set && !store_disk_is_damage(&why)) {
		*err = why;
		return yg_store_named(err);
	}
	if (set && strcmp(set->digest, digest) == 0)
		*out = yg_take(set);
	return 0;
}

static bool has_forms(const struct yg_set *set)
{
	return set->count > 0 && set->components[0]->file_count > 0 &&
		set->components[0]->files[0].form_count > 0;
}

/* Written once: what the manifests of its day said about how to get the files. */
static int note(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	struct yg_set *have YG_AUTO(yg_set) = NULL;
	if (store_stage_note(store, set->digest, &have, err) < 0)
		return -1;
	if (have && (has_forms(have) || !has_forms(set)))
		return 0;
	char path[STORE_PATH];
	struct stat st;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	note_path(set->digest, path);
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		store_disk_clear(store, path, err) < 0)
		return -1;
	if (yg_set_format(set, true, &text, err) < 0)
		return -1;
	return yg_fs_replace(store->root, path, yg_buf_bytes(&text), 0644, err);
}

int store_stage_describe(struct yg_store *store, const struct yg_set *set, const char *folder,
	struct yg_err *err)
{
	char path[STORE_PATH];
	struct stat st;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	STORE_PUT(path, sizeof(path), "%s/set.json", folder);
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		store_disk_clear(store, path, err) < 0)
		return -1;
	if (yg_set_format(set, false, &text, err) < 0)
		return -1;
	return yg_fs_replace(store->root, path, yg_buf_bytes(&text), 0444, err);
}

/* ---- a new set ---- */

static int absent(const struct yg_file *file, struct yg_err *err)
{
	return yg_fail(err, YG_EABSENT, "object %s ('%s') is not in the store", file->sha256,
		file->path);
}

/* In a folder that is synced as a whole before it gets its name: not one by one. */
static int make_parents(struct yg_store *store, char *path, struct yg_err *err)
{
	for (char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		int rc = mkdirat(store->root, path, 0755);
		*at = '/';
		if (rc < 0 && errno != EEXIST)
			return yg_fail_sys(err, errno, "making the folders of '%s'", path);
	}
	return 0;
}

static int place(struct yg_store *store, const char *path, const struct yg_file *file, void *ctx,
	struct yg_err *err)
{
	(void)ctx;
	char object[STORE_PATH];
	store_disk_object(file->sha256, object);
	if (!yg_store_object_has(store, file->sha256, file->size))
		return absent(file, err);
	char parents[STORE_PATH];
	STORE_PUT(parents, sizeof(parents), "%s", path);
	if (make_parents(store, parents, err) < 0)
		return -1;
	return store_disk_link(store, object, path, err);
}

static int sync_tree(int dir, const char *name, int depth, struct yg_err *err)
{
	if (depth > 16)
		return yg_fail(err, YG_ELIMIT, "'%s': too deep", name);
	int fd YG_AUTO(
		fd) = yg_fs_open_flags(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return -1;
	int own YG_AUTO(fd) = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *entries YG_AUTO(store_disk_list) = own < 0 ? NULL : fdopendir(own);
	if (!entries)
		return yg_fail_sys(err, errno, "reading directory '%s'", name);
	(void)yg_take_fd(own); /* the list's now */
	const char *entry = NULL;
	int more = 0;
	while ((more = store_disk_next(entries, &entry, err)) > 0) {
		struct stat st;
		if (fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (sync_tree(fd, entry, depth + 1, err) < 0)
			return -1;
	}
	return more < 0 ? -1 : yg_fs_sync(fd, name, err);
}

static int build(struct yg_store *store, const struct yg_set *set, const char *folder,
	struct yg_err *err)
{
	char path[STORE_PATH];
	if (store_disk_clear(store, folder, err) < 0 ||
		yg_fs_mkdirs(store->root, folder, 0755, err) < 0 ||
		store_disk_each(store, set, folder, place, NULL, err) < 0)
		return -1;
	STORE_PUT(path, sizeof(path), "%s/" STORE_LOGS, folder);
	if (symlinkat("../../" STORE_LOGS, store->root, path) < 0)
		return yg_fail_sys(err, errno, "linking '%s'", path);
	if (store_stage_describe(store, set, folder, err) < 0)
		return -1;
	return sync_tree(store->root, folder, 0, err);
}

/* Then it takes two steps: file systems without these flags, and overlayfs where it is about a folder of the
 * lower layer.
 */
static bool cannot_exchange(int sys)
{
	return sys == EINVAL || sys == ENOSYS || sys == EXDEV;
}

/* A crash between the two leaves no set of this name. When a link leads there, that set was damaged. */
static int replace(struct yg_store *store, const char *folder, const char *path, struct yg_err *err)
{
	if (store_disk_clear(store, path, err) < 0)
		return -1;
	if (renameat(store->root, folder, store->root, path) < 0)
		return yg_fail_sys(err, errno, "renaming to '%s'", path);
	return store_disk_sync(store, STORE_SETS, err);
}

static int publish(struct yg_store *store, const char *folder, const char *digest,
	struct yg_err *err)
{
	char path[STORE_PATH];
	store_disk_set(digest, "", "", path);
	if (renameat2(store->root, folder, store->root, path, RENAME_NOREPLACE) < 0) {
		if (cannot_exchange(errno))
			return replace(store, folder, path, err);
		if (errno != EEXIST)
			return yg_fail_sys(err, errno, "renaming to '%s'", path);
		/* A left-over of that name, perhaps the damaged set of a link: change places at once. */
		if (renameat2(store->root, folder, store->root, path, RENAME_EXCHANGE) < 0)
			return cannot_exchange(errno)
				? replace(store, folder, path, err)
				: yg_fail_sys(err, errno, "changing '%s'", path);
		if (store_disk_sync(store, STORE_SETS, err) < 0)
			return -1;
		return yg_fs_remove(store->root, folder, err);
	}
	return store_disk_sync(store, STORE_SETS, err);
}

static int stage_new(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	struct yg_err why = {0};
	char folder[STORE_PATH];
	store_disk_temporary(store, "set", folder);
	if (build(store, set, folder, err) == 0 && publish(store, folder, set->digest, err) == 0)
		return 0;
	if (yg_fs_remove(store->root, folder, &why) < 0)
		return -1; /* recovery will remove it */
	return -1;
}

/* ---- a set that is there ---- */

/* As a mending of this one set, from objects alone. */
static int complete_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	(void)ctx;
	char object[STORE_PATH];
	struct stat mine, shared;
	store_disk_object(file->sha256, object);
	if (fstatat(store->root, object, &shared, AT_SYMLINK_NOFOLLOW) < 0)
		return absent(file, err);
	bool there = fstatat(store->root, path, &mine, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && mine.st_ino == shared.st_ino)
		return 0;
	enum store_file state = STORE_FILE_GONE;
	ino_t ino;
	if (there &&
		store_disk_look(store, path, file->sha256, file->size, NULL, &state, &ino, err) < 0)
		return -1;
	if (store_disk_make_parent(store, path, err) < 0)
		return -1;
	return store_disk_link_over(store, object, path, state != STORE_FILE_GOOD, err);
}

static int clear_foreign(struct yg_store *store, const char *path, void *ctx, struct yg_err *err)
{
	(void)ctx;
	return store_disk_clear(store, path, err);
}

static int complete(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	char folder[STORE_PATH];
	store_disk_set(set->digest, "", "", folder);
	if (store_mend_foreign(store, set, clear_foreign, NULL, err) < 0)
		return -1;
	return store_disk_each(store, set, folder, complete_file, NULL, err);
}

static int stage_once(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	struct yg_err why = {0};
	if (store_disk_folders(store, err) < 0 || note(store, set, err) < 0)
		return -1;
	struct yg_set *there YG_AUTO(yg_set) = yg_store_set(store, set->digest, &why);
	if (there)
		return complete(store, there, err);
	if (!store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	return stage_new(store, set, err);
}

int yg_store_stage(struct yg_store *store, const struct yg_set *set, struct yg_err *err)
{
	/* Folders that vanish while we work (T6) are made again; objects that do are fetched again. */
	struct yg_err why = {0};
	for (int tries = 0; tries < 3; tries++) {
		why = (struct yg_err){0};
		if (stage_once(store, set, &why) == 0)
			return 0;
		if (why.code != YG_ESYSTEM || why.sys != ENOENT)
			break;
	}
	*err = why;
	if (err->sys == ENOENT)
		err->code = YG_EABSENT;
	return yg_store_named(err);
}
