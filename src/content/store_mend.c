/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"

struct mending {
	struct yg_store_report *report;
	bool linked; /* the set under way is lib's, li_copy's or li_roll's */
	bool again;  /* something came to light that files before it may need */
};

static void first_damage(struct mending *mending, const char *path, const char *sha256)
{
	if (mending->linked && !mending->report->first[0])
		STORE_PUT(mending->report->first, sizeof(mending->report->first), "%s %s",
			path + sizeof(STORE_SETS) + YG_SHA256_TEXT, sha256);
}

static int drop(struct yg_store *store, const char *path, struct mending *mending,
	struct yg_err *err)
{
	mending->report->dropped++;
	return store_disk_clear(store, path, err);
}

static int link_from_object(struct yg_store *store, const char *object, const char *path, bool good,
	struct yg_err *err)
{
	if (!good && store_disk_make_parent(store, path, err) < 0)
		return -1;
	return store_disk_link_over(store, object, path, !good, err);
}

/* A file of a set and its object should be one good inode. Whatever is good wins. */
static int mend_file(struct yg_store *store, const char *path, const struct yg_file *file,
	void *ctx, struct yg_err *err)
{
	struct mending *mending = ctx;
	struct yg_store_report *report = mending->report;
	char object[STORE_PATH];
	enum store_file mine, shared;
	ino_t my_ino, shared_ino;
	store_disk_object(file->sha256, object);
	if (store_disk_look(store, path, file->sha256, file->size, report, &mine, &my_ino, err) <
			0 ||
		store_disk_look(store, object, file->sha256, file->size, report, &shared,
			&shared_ino, err) < 0)
		return -1;
	if (mine == STORE_FILE_GOOD && shared == STORE_FILE_GOOD && my_ino == shared_ino)
		return 0;
	if (mine != STORE_FILE_GOOD)
		first_damage(mending, path, file->sha256);
	if (shared == STORE_FILE_BAD && drop(store, object, mending, err) < 0)
		return -1;
	if (shared == STORE_FILE_GOOD) {
		report->relinked += mine != STORE_FILE_GOOD;
		report->dropped += mine == STORE_FILE_BAD;
		return link_from_object(store, object, path, mine == STORE_FILE_GOOD, err);
	}
	if (mine == STORE_FILE_GOOD) {
		report->adopted++;
		mending->again = true;
		return store_disk_link_over(store, path, object, true, err);
	}
	report->missing++;
	/* Two names of one bad file are one damage. */
	if (mine == STORE_FILE_BAD && shared == STORE_FILE_BAD && my_ino == shared_ino)
		report->dropped--;
	return mine == STORE_FILE_BAD ? drop(store, path, mending, err) : 0;
}

/* ---- what does not belong into a set's folder ---- */

enum fit { FIT_FOREIGN, FIT_FOLDER, FIT_FILE };

/* in  path  below the set's folder: "am-pattern/samples" */
static enum fit fit(const struct yg_set *set, const char *path)
{
	const char *slash = strchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : strlen(path);
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *component = set->components[i];
		if (strlen(component->component) != len ||
			strncmp(component->component, path, len) != 0)
			continue;
		if (!slash)
			return FIT_FOLDER;
		size_t rest = strlen(slash + 1);
		for (size_t j = 0; j < component->file_count; j++) {
			const char *file = component->files[j].path;
			if (strcmp(file, slash + 1) == 0)
				return FIT_FILE;
			if (strncmp(file, slash + 1, rest) == 0 && file[rest] == '/')
				return FIT_FOLDER;
		}
	}
	return FIT_FOREIGN;
}

struct walk {
	const struct yg_set *set;
	store_mend_visit *visit;
	void *ctx;
};

static int is_logs(struct yg_store *store, const char *path, bool *yes, struct yg_err *err)
{
	struct yg_err why = {0};
	char target[64];
	int rc = yg_fs_readlink(store->root, path, target, sizeof(target), &why);
	*yes = rc == 0 && strcmp(target, "../../" STORE_LOGS) == 0;
	if (rc == 0 || store_disk_is_damage(&why))
		return 0;
	*err = why;
	return -1;
}

/* in  inside  0 for the set's folder itself; else where in `folder` the path below it starts */
static int walk(struct yg_store *store, const char *folder, size_t inside, const struct walk *what,
	struct yg_err *err)
{
	DIR *dir YG_AUTO(store_disk_list) = store_disk_list(store, folder, err);
	if (!dir)
		return -1;
	size_t start = inside ? inside : strlen(folder) + 1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(dir, &name, err)) > 0) {
		char path[STORE_PATH];
		struct stat st;
		if (!yg_str_put(path, sizeof(path), "%s/%s", folder, name))
			return yg_fail(err, YG_ELIMIT, "'%s': a name in it is too long", folder);
		if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!inside && strcmp(name, "set.json") == 0)
			continue;
		bool logs = false;
		if (!inside && strcmp(name, STORE_LOGS) == 0 &&
			is_logs(store, path, &logs, err) < 0)
			return -1;
		if (logs)
			continue;
		enum fit is = fit(what->set, path + start);
		if (is == FIT_FILE && S_ISREG(st.st_mode))
			continue;
		bool ours = is == FIT_FOLDER && S_ISDIR(st.st_mode);
		if (ours ? walk(store, path, start, what, err) < 0
			 : what->visit(store, path, what->ctx, err) < 0)
			return -1;
	}
	return more;
}

int store_mend_foreign(struct yg_store *store, const struct yg_set *set, store_mend_visit *visit,
	void *ctx, struct yg_err *err)
{
	char folder[STORE_PATH];
	store_disk_set(set->digest, "", "", folder);
	return walk(store, folder, 0, &(struct walk){.set = set, .visit = visit, .ctx = ctx}, err);
}

static int clear_foreign(struct yg_store *store, const char *path, void *ctx, struct yg_err *err)
{
	struct mending *mending = ctx;
	mending->report->leftovers++;
	return store_disk_clear(store, path, err);
}

static int mend_logs(struct yg_store *store, const char *folder, struct yg_err *err)
{
	char path[STORE_PATH];
	STORE_PUT(path, sizeof(path), "%s/" STORE_LOGS, folder);
	bool logs = false;
	if (is_logs(store, path, &logs, err) < 0)
		return -1;
	return logs ? 0 : yg_fs_symlink(store->root, "../../" STORE_LOGS, path, err);
}

static int mend_set(struct yg_store *store, const struct yg_set *set, struct mending *mending,
	struct yg_err *err)
{
	char folder[STORE_PATH];
	store_disk_set(set->digest, "", "", folder);
	mending->report->sets++;
	if (store_mend_foreign(store, set, clear_foreign, mending, err) < 0 ||
		mend_logs(store, folder, err) < 0)
		return -1;
	return store_disk_each(store, set, folder, mend_file, mending, err);
}

/* ---- descriptions ---- */

/* A set's description is written again from what state/ knows of the set, also when its whole folder is
 * gone: mending fills it from the objects.
 */
static int mend_description(struct yg_store *store, const char *digest, struct mending *mending,
	struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_set *have YG_AUTO(yg_set) = yg_store_set(store, digest, &why);
	if (have)
		return 0;
	if (!store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	struct yg_set *note YG_AUTO(yg_set) = NULL;
	if (store_stage_note(store, digest, &note, err) < 0)
		return -1;
	if (!note)
		return 0;
	char folder[STORE_PATH];
	store_disk_set(digest, "", "", folder);
	struct stat st;
	if (fstatat(store->root, folder, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
		store_disk_clear(store, folder, err) < 0)
		return -1;
	mending->report->relinked++;
	return yg_fs_mkdirs(store->root, folder, 0755, err) < 0
		? -1
		: store_stage_describe(store, note, folder, err);
}

static int mend_descriptions(struct yg_store *store, const struct store_kept *kept,
	struct mending *mending, struct yg_err *err)
{
	for (size_t i = 0; i < STORE_LINKS; i++)
		if (kept->named[i][0] && mend_description(store, kept->named[i], mending, err) < 0)
			return -1;
	return 0;
}

/* The files of a folder that was a set, and is none any more: what they hold is good under its hash. */
static int adopt(struct yg_store *store, const char *folder, unsigned depth,
	struct mending *mending, struct yg_err *err)
{
	DIR *dir YG_AUTO(store_disk_list) = store_disk_list(store, folder, err);
	if (!dir)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(dir, &name, err)) > 0) {
		char path[STORE_PATH];
		char object[STORE_PATH];
		char sha256[YG_SHA256_TEXT];
		struct stat st;
		if (!yg_str_put(path, sizeof(path), "%s/%s", folder, name) ||
			fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0 &&
			adopt(store, path, depth - 1, mending, err) < 0)
			return -1;
		if (!S_ISREG(st.st_mode) || strcmp(name, "set.json") == 0)
			continue;
		if (store_disk_hash(store, path, mending->report, sha256, err) < 0)
			return -1;
		if (!sha256[0] || yg_store_object_has(store, sha256, (uint64_t)st.st_size))
			continue;
		mending->report->adopted++;
		mending->again = true;
		store_disk_object(sha256, object);
		if (store_disk_link_over(store, path, object, true, err) < 0)
			return -1;
	}
	return more;
}

/* ---- all of it ---- */

static int mend_entry(struct yg_store *store, const char *name, const struct store_kept *kept,
	struct mending *mending, struct yg_err *err)
{
	struct yg_err why = {0};
	char folder[STORE_PATH];
	struct stat st;
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, name, &why);
	mending->linked = store_link_is_linked(kept, name);
	if (set) {
		uint32_t missing = mending->report->missing;
		if (mend_set(store, set, mending, err) < 0)
			return -1;
		if (!mending->linked)
			mending->report->missing = missing;
		return 0;
	}
	if (!store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (!store_disk_digest_ok(name))
		return 0; /* no set: recovery or collection removes it */
	store_disk_set(name, "", "", folder);
	if (fstatat(store->root, folder, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	return adopt(store, folder, YG_FILE_LEVELS_MAX, mending, err);
}

static int mend_sets(struct yg_store *store, const struct store_kept *kept, struct mending *mending,
	struct yg_err *err)
{
	DIR *sets YG_AUTO(store_disk_list) = store_disk_list(store, STORE_SETS, err);
	if (!sets)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(sets, &name, err)) > 0)
		if (mend_entry(store, name, kept, mending, err) < 0)
			return -1;
	return more;
}

/* Objects that no set has yet (a run was cut off) are kept when they are what their name says. */
static int mend_objects(struct yg_store *store, struct mending *mending, struct yg_err *err)
{
	DIR *objects YG_AUTO(store_disk_list) = store_disk_list(store, STORE_OBJECTS, err);
	if (!objects)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(objects, &name, err)) > 0) {
		char path[STORE_PATH];
		enum store_file state = STORE_FILE_BAD;
		ino_t ino;
		STORE_PUT(path, sizeof(path), STORE_OBJECTS "/%s", name);
		if (store_disk_digest_ok(name) &&
			store_disk_look(store, path, name, UINT64_MAX, mending->report, &state,
				&ino, err) < 0)
			return -1;
		if (state == STORE_FILE_GOOD)
			continue;
		mending->report->leftovers++;
		if (store_disk_discard(dirfd(objects), name, err) < 0)
			return -1;
	}
	return more;
}

static int mend_all(struct yg_store *store, struct mending *mending, struct yg_err *err)
{
	struct store_kept kept;
	if (store_disk_folders(store, err) < 0 || store_link_kept(store, &kept, err) < 0 ||
		mend_descriptions(store, &kept, mending, err) < 0)
		return -1;
	for (int pass = 0; pass < 2; pass++) {
		mending->again = false;
		mending->report->sets = 0;
		mending->report->missing = 0;
		if (mend_sets(store, &kept, mending, err) < 0)
			return -1;
		if (!mending->again)
			break;
	}
	return mend_objects(store, mending, err);
}

int yg_store_mend(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	struct yg_store_report found = {0};
	struct mending mending = {.report = &found};
	if (mend_all(store, &mending, err) < 0)
		return yg_store_named(err);
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

/* ---- what is nowhere ---- */

static bool is_there(struct yg_store *store, const char *digest, const char *component,
	const struct yg_file *file)
{
	char path[STORE_PATH];
	struct stat st;
	store_disk_set(digest, component, file->path, path);
	return yg_store_object_has(store, file->sha256, file->size) ||
		(fstatat(store->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
			(uint64_t)st.st_size == file->size);
}

static int missing_of(struct yg_store *store, enum yg_store_link link, const char *digest,
	yg_store_lost_visit *visit, void *ctx, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_set *note YG_AUTO(yg_set) = NULL;
	if (store_stage_note(store, digest, &note, err) < 0)
		return -1;
	struct yg_set *described YG_AUTO(yg_set) = note ? NULL : yg_store_set(store, digest, &why);
	const struct yg_set *set = note ? note : described;
	if (!set && !store_disk_is_damage(&why)) {
		*err = why;
		return yg_store_named(err);
	}
	for (size_t i = 0; set && i < set->count; i++) {
		const struct yg_manifest *component = set->components[i];
		for (size_t j = 0; j < component->file_count; j++) {
			struct yg_store_lost lost = {.link = link,
				.set = digest,
				.component = component->component,
				.file = &component->files[j]};
			if (!is_there(store, digest, component->component, lost.file) &&
				visit(ctx, &lost, err) < 0)
				return -1;
		}
	}
	return 0;
}

int yg_store_missing(struct yg_store *store, yg_store_lost_visit *visit, void *ctx,
	struct yg_err *err)
{
	struct store_kept kept;
	if (store_link_kept(store, &kept, err) < 0)
		return yg_store_named(err);
	for (size_t i = 0; i < STORE_LINKS; i++) {
		bool again = false;
		for (size_t j = 0; j < i; j++)
			again |= strcmp(kept.named[i], kept.named[j]) == 0;
		if (kept.named[i][0] && !again &&
			missing_of(store, (enum yg_store_link)i, kept.named[i], visit, ctx, err) <
				0)
			return -1;
	}
	return 0;
}
