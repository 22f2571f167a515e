/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What goes: sets that no link and no hold names; then objects that no set which stays has. What stays
 * whatever happens: while a run is under way everything (the objects it fetched are in no set yet); when a
 * link or the hold cannot be read, or lib leads to no set, every set; when the description of a set that
 * stays cannot be read, every object with a second name (the sets' files are hard links of the objects).
 */

static bool stays(const struct store_kept *kept, const char *digest)
{
	return store_link_is_linked(kept, digest) || strcmp(kept->held, digest) == 0;
}

static int collect_sets(struct yg_store *store, const struct store_kept *kept, uint32_t *removed,
	struct yg_err *err)
{
	DIR *sets YG_AUTO(store_disk_list) = store_disk_list(store, STORE_SETS, err);
	if (!sets)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(sets, &name, err)) > 0) {
		char path[STORE_PATH];
		if (stays(kept, name))
			continue;
		STORE_PUT(path, sizeof(path), STORE_SETS "/%s", name);
		if (store_disk_clear(store, path, err) < 0)
			return -1;
		*removed += 1;
	}
	return more;
}

static int collect_notes(struct yg_store *store, const struct store_kept *kept, struct yg_err *err)
{
	DIR *notes YG_AUTO(store_disk_list) = store_disk_list(store, STORE_NOTES, err);
	if (!notes)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(notes, &name, err)) > 0) {
		char digest[YG_SHA256_TEXT] = "";
		if (strlen(name) == 64 + 5 && strcmp(name + 64, ".json") == 0)
			STORE_PUT(digest, sizeof(digest), "%.64s", name);
		if (digest[0] && stays(kept, digest))
			continue;
		if (store_disk_discard(dirfd(notes), name, err) < 0)
			return -1;
	}
	return more;
}

/* ---- objects ---- */

struct needed {
	char (*digests)[YG_SHA256_TEXT]; /* owned; sorted */
	size_t count, cap;
	bool whole; /* every set that stays could be read */
};

static void needed_free_at(struct needed *needed)
{
	free(needed->digests);
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int need(struct yg_store *store, const char *path, const struct yg_file *file, void *ctx,
	struct yg_err *err)
{
	(void)store;
	(void)path;
	struct needed *needed = ctx;
	if (needed->count == needed->cap) {
		size_t cap = needed->cap ? needed->cap * 2 : 64;
		char(*grown)[YG_SHA256_TEXT] = reallocarray(needed->digests, cap, sizeof(*grown));
		if (!grown)
			return yg_fail_sys(err, ENOMEM, "listing the objects in use");
		needed->digests = grown;
		needed->cap = cap;
	}
	memcpy(needed->digests[needed->count++], file->sha256, YG_SHA256_TEXT);
	return 0;
}

static int need_set(struct yg_store *store, const char *digest, struct needed *needed,
	struct yg_err *err)
{
	struct yg_err why = {0};
	if (!digest[0])
		return 0;
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, digest, &why);
	if (set)
		return store_disk_each(store, set, "", need, needed, err);
	if (!store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	needed->whole = false;
	return 0;
}

static int collect_objects(struct yg_store *store, const struct store_kept *kept, uint32_t *removed,
	struct yg_err *err)
{
	struct needed needed YG_AUTO(needed) = {.whole = true};
	for (size_t i = 0; i < STORE_LINKS; i++)
		if (need_set(store, kept->named[i], &needed, err) < 0)
			return -1;
	if (need_set(store, kept->held, &needed, err) < 0)
		return -1;
	if (needed.count > 0)
		qsort(needed.digests, needed.count, YG_SHA256_TEXT, compare);
	DIR *objects YG_AUTO(store_disk_list) = store_disk_list(store, STORE_OBJECTS, err);
	if (!objects)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(objects, &name, err)) > 0) {
		struct stat st;
		bool used = needed.count > 0 &&
			bsearch(name, needed.digests, needed.count, YG_SHA256_TEXT, compare);
		if (used || fstatat(dirfd(objects), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			(!needed.whole && S_ISREG(st.st_mode) && st.st_nlink > 1))
			continue;
		if (store_disk_discard(dirfd(objects), name, err) < 0)
			return -1;
		*removed += 1;
	}
	return more;
}

int yg_store_collect(struct yg_store *store, uint32_t *removed, struct yg_err *err)
{
	struct store_kept kept;
	uint32_t leftovers = 0;
	char lib[YG_SHA256_TEXT];
	*removed = 0;
	if (store->running)
		return 0;
	if (store_disk_folders(store, err) < 0 || store_link_kept(store, &kept, err) < 0 ||
		store_part_sweep(store, &leftovers, err) < 0)
		return yg_store_named(err);
	if (kept.lost)
		return 0;
	if (store_link_of(store, YG_STORE_LIB, lib, err) < 0)
		return yg_store_named(err);
	if (!lib[0])
		return 0;
	if (collect_sets(store, &kept, removed, err) < 0 || collect_notes(store, &kept, err) < 0 ||
		collect_objects(store, &kept, removed, err) < 0)
		return yg_store_named(err);
	return 0;
}
