/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"

#define LOCK "state/store.lock"

static int lock(struct yg_store *store, struct yg_err *err)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW;
	struct yg_err why = {0};
	store->lock = yg_fs_open_flags(store->root, LOCK, flags, 0600, &why);
	if (store->lock < 0 && (why.sys == EISDIR || why.sys == ELOOP || why.sys == ENXIO)) {
		store->found++; /* a left-over has the name */
		if (yg_fs_remove(store->root, LOCK, err) < 0)
			return -1;
		why = (struct yg_err){0};
		store->lock = yg_fs_open_flags(store->root, LOCK, flags, 0600, &why);
	}
	if (store->lock < 0 &&
		why.sys == EROFS) { /* what is whole can be used from a read-only disk */
		why = (struct yg_err){0};
		store->lock = yg_fs_open_flags(store->root, LOCK, O_RDONLY | O_NOFOLLOW, 0, &why);
	}
	if (store->lock < 0) {
		*err = why;
		return -1;
	}
	int rc;
	do
		rc = flock(store->lock, LOCK_EX | LOCK_NB);
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && errno == EWOULDBLOCK)
		return yg_fail_cause(err, YG_EAGAIN, "store.busy",
			"'" LOCK "': another process has this store open");
	/* Some network file systems have no locks: there the parent of our roles is the only guard. */
	return rc < 0 && errno != EOPNOTSUPP && errno != ENOLCK
		? yg_fail_sys(err, errno, "locking '" LOCK "'")
		: 0;
}

/* The folder of the lock has to be one before anything else. */
static int make_state(struct yg_store *store, struct yg_err *err)
{
	struct yg_err why = {0};
	if (yg_fs_mkdirs(store->root, "state", 0755, &why) == 0)
		return 0;
	if (why.sys != ENOTDIR) {
		*err = why;
		return -1;
	}
	store->found++;
	if (yg_fs_remove(store->root, "state", err) < 0)
		return -1;
	return yg_fs_mkdirs(store->root, "state", 0755, err);
}

struct yg_store *yg_store_open(int root, struct yg_err *err)
{
	struct yg_store *store YG_AUTO(yg_store) = calloc(1, sizeof(*store));
	if (!store) {
		(void)yg_fail_sys(err, ENOMEM, "opening the store");
		(void)yg_store_named(err);
		return NULL;
	}
	store->lock = store->held = -1;
	store->root = fcntl(root, F_DUPFD_CLOEXEC, 3);
	if (store->root < 0) {
		(void)yg_fail_sys(err, errno, "opening the store");
		(void)yg_store_named(err);
		return NULL;
	}
	if (make_state(store, err) < 0 || lock(store, err) < 0 || store_disk_ways(store, err) < 0) {
		(void)yg_store_named(err);
		return NULL;
	}
	return yg_take(store);
}

void yg_store_free(struct yg_store *store)
{
	if (!store)
		return;
	if (store->held >= 0)
		(void)close(store->held);
	if (store->lock >= 0)
		(void)close(store->lock);
	if (store->root >= 0)
		(void)close(store->root);
	free(store->seen);
	free(store);
}

struct yg_set *yg_store_set(struct yg_store *store, const char *digest, struct yg_err *err)
{
	if (!store_disk_digest_ok(digest)) {
		(void)yg_fail(err, YG_EABSENT, "'%s': not the name of a set", digest);
		return NULL;
	}
	char path[STORE_PATH];
	store_disk_set(digest, "", "set.json", path);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (store_disk_read(store, path, &text, err) < 0)
		return NULL;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&text), err);
	if (!set) {
		(void)yg_wrap(err, "'%s'", path);
		if (err->code == YG_ESYSTEM)
			(void)yg_store_named(err);
		else
			STORE_PUT(err->cause, sizeof(err->cause), "store.object_damaged");
		return NULL;
	}
	if (strcmp(set->digest, digest) != 0) {
		(void)yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
			"'%s': want digest %s, have %s", path, digest, set->digest);
		return NULL;
	}
	return yg_take(set);
}

static int check_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	(void)ctx;
	enum store_file state;
	ino_t ino;
	if (store_disk_look(store, path, file->sha256, file->size, NULL, &state, &ino, err) < 0)
		return -1;
	if (state == STORE_FILE_GOOD)
		return 0;
	return yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
		"'%s': %s; want SHA-256 %s", path,
		state == STORE_FILE_GONE ? "the file is gone" : "the bytes are not what was signed",
		file->sha256);
}

static int refuse_foreign(struct yg_store *store, const char *path, void *ctx, struct yg_err *err)
{
	(void)store;
	(void)ctx;
	return yg_fail_cause(err, YG_EUNTRUSTED, "store.object_damaged",
		"'%s': the set does not consist of this", path);
}

int yg_store_check(struct yg_store *store, const char *digest, struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, digest, err);
	if (!set)
		return -1;
	store->seen_count = 0; /* from the disk, not from memory */
	char folder[STORE_PATH];
	store_disk_set(digest, "", "", folder);
	if (store_disk_each(store, set, folder, check_file, NULL, err) < 0 ||
		store_mend_foreign(store, set, refuse_foreign, NULL, err) < 0)
		return yg_store_named(err);
	return 0;
}

int yg_store_open_component(struct yg_store *store, const char *digest, const char *component,
	struct yg_err *err)
{
	char path[STORE_PATH];
	if (!store_disk_digest_ok(digest) ||
		(*component && !yg_str_path_ok(component, YG_COMPONENT_NAME_MAX)))
		return yg_fail(err, YG_EABSENT, "'%s/%s': no such set or component", digest,
			component);
	store_disk_set(digest, component, "", path);
	int fd = yg_fs_open_dir(store->root, path, err);
	return fd < 0 ? yg_store_named(err) : fd;
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
	return fd < 0 ? yg_store_named(err) : fd;
}
