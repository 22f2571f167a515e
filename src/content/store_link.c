/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"

const char *const store_link_names[] = {
	[YG_STORE_LIB] = "lib",
	[YG_STORE_COPY] = "li_copy",
	[YG_STORE_ROLL] = "li_roll",
};

/* in   link    by number
 * out  digest  "" when there is no link, or one that cannot be of ours; lost: it is there and unreadable
 */
static int target_of(const struct yg_store *store, size_t link, char digest[YG_SHA256_TEXT],
	bool *lost, struct yg_err *err)
{
	struct yg_err why = {0};
	char target[STORE_PATH];
	digest[0] = 0;
	int rc = yg_fs_readlink(store->root, store_link_names[link], target, sizeof(target), &why);
	if (rc < 0 && why.sys == EIO) { /* once more before anything is given up for it */
		why = (struct yg_err){0};
		rc = yg_fs_readlink(store->root, store_link_names[link], target, sizeof(target),
			&why);
	}
	if (rc < 0) {
		if (!store_disk_is_damage(&why)) {
			*err = why;
			return -1;
		}
		*lost |= why.code == YG_ESYSTEM;
		return 0;
	}
	if (strncmp(target, STORE_SETS "/", sizeof(STORE_SETS)) == 0 &&
		store_disk_digest_ok(target + sizeof(STORE_SETS)))
		STORE_PUT(digest, YG_SHA256_TEXT, "%s", target + sizeof(STORE_SETS));
	return 0;
}

int store_link_of(const struct yg_store *store, enum yg_store_link link, char out[YG_SHA256_TEXT],
	struct yg_err *err)
{
	char path[STORE_PATH];
	struct stat st;
	bool lost = false;
	if (target_of(store, link, out, &lost, err) < 0)
		return -1;
	if (lost)
		return yg_fail_sys(err, EIO, "reading link '%s'", store_link_names[link]);
	if (!out[0])
		return 0;
	store_disk_set(out, "", "", path);
	if (fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		out[0] = 0;
	return 0;
}

void yg_store_link(const struct yg_store *store, enum yg_store_link link, char out[YG_SHA256_TEXT])
{
	struct yg_err why = {0};
	if (store_link_of(store, link, out, &why) < 0)
		out[0] = 0;
}

int store_link_kept(struct yg_store *store, struct store_kept *out, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_store_hold hold = {0};
	*out = (struct store_kept){0};
	for (size_t i = 0; i < STORE_LINKS; i++)
		if (target_of(store, i, out->named[i], &out->lost, err) < 0)
			return -1;
	if (store_hold_read(store, &hold, &why) == 0) {
		STORE_PUT(out->held, sizeof(out->held), "%s", hold.set);
	} else if (why.code == YG_ESYSTEM) {
		if (!store_disk_is_damage(&why)) {
			*err = why;
			return -1;
		}
		out->lost = true;
	}
	return 0;
}

bool store_link_is_linked(const struct store_kept *kept, const char *digest)
{
	for (size_t i = 0; i < STORE_LINKS; i++)
		if (digest[0] && strcmp(kept->named[i], digest) == 0)
			return true;
	return false;
}

int store_link_drop(struct yg_store *store, const char *name, struct yg_err *err)
{
	if (unlinkat(store->root, name, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return yg_fail_sys(err, errno, "removing '%s'", name);
		if (store_disk_clear(store, name, err) < 0)
			return -1;
	}
	return store_disk_sync(store, ".", err);
}

int store_link_move(struct yg_store *store, const char *from, const char *to, struct yg_err *err)
{
	if (renameat(store->root, from, store->root, to) < 0)
		return yg_fail_sys(err, errno, "renaming '%s' to '%s'", from, to);
	/* Both links to one set: rename does nothing then, and says so to nobody. */
	struct stat st;
	if (fstatat(store->root, from, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		unlinkat(store->root, from, 0) < 0)
		return yg_fail_sys(err, errno, "removing '%s'", from);
	return store_disk_sync(store, ".", err);
}

static int point(struct yg_store *store, enum yg_store_link link, const char *digest,
	struct yg_err *err)
{
	char target[STORE_PATH];
	store_disk_set(digest, "", "", target);
	struct stat st;
	if (fstatat(store->root, store_link_names[link], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISLNK(st.st_mode) && store_disk_clear(store, store_link_names[link], err) < 0)
		return -1;
	return yg_fs_symlink(store->root, target, store_link_names[link], err);
}

int yg_store_snapshot(struct yg_store *store, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	if (store_link_of(store, YG_STORE_LIB, lib, err) < 0)
		return yg_store_named(err);
	store->running = true;
	if (!lib[0])
		return store_link_drop(store, "li_copy", err) < 0 ? yg_store_named(err) : 0;
	return point(store, YG_STORE_COPY, lib, err) < 0 ? yg_store_named(err) : 0;
}

int yg_store_switch(struct yg_store *store, const char *digest, struct yg_err *err)
{
	char copy[YG_SHA256_TEXT];
	struct stat st;
	if (store_link_of(store, YG_STORE_COPY, copy, err) < 0 ||
		point(store, YG_STORE_LIB, digest, err) < 0)
		return yg_store_named(err);
	if (!copy[0] || strcmp(copy, digest) == 0)
		return store_link_drop(store, "li_copy", err) < 0 ? yg_store_named(err) : 0;
	if (fstatat(store->root, "li_roll", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISLNK(st.st_mode) && store_disk_clear(store, "li_roll", err) < 0)
		return yg_store_named(err);
	return store_link_move(store, "li_copy", "li_roll", err) < 0 ? yg_store_named(err) : 0;
}

int yg_store_drop_snapshot(struct yg_store *store, struct yg_err *err)
{
	store->running = false;
	yg_store_release(store);
	return store_link_drop(store, "li_copy", err) < 0 ? yg_store_named(err) : 0;
}

int yg_store_rollback(struct yg_store *store, struct yg_err *err)
{
	char roll[YG_SHA256_TEXT];
	if (store_link_of(store, YG_STORE_ROLL, roll, err) < 0)
		return yg_store_named(err);
	if (!roll[0])
		return yg_fail_cause(err, YG_EABSENT, "store.no_rollback",
			"'li_roll': there is no set to go back to");
	return store_link_move(store, "li_roll", "lib", err) < 0 ? yg_store_named(err) : 0;
}
