/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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

enum state { STATE_NONE, STATE_DAMAGED, STATE_WHOLE };

/* After mending: what is bad is gone, so what is there is good. */
static int state_of(struct yg_store *store, const char *digest, enum state *out, struct yg_err *err)
{
	struct yg_err why = {0};
	*out = STATE_NONE;
	if (!digest[0])
		return 0;
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, digest, &why);
	if (!set && !store_disk_is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (!set)
		return 0;
	char folder[STORE_PATH];
	store_disk_set(digest, "", "", folder);
	bool whole = true;
	if (store_disk_each(store, set, folder, look_whole, &whole, err) < 0)
		return -1;
	*out = whole ? STATE_WHOLE : STATE_DAMAGED;
	return 0;
}

bool yg_store_whole(struct yg_store *store, const char *digest)
{
	struct yg_err why = {0};
	enum state state;
	return state_of(store, digest, &state, &why) == 0 && state == STATE_WHOLE;
}

/* A link that the disk cannot give back is lost: the start goes on without it. */
static int link_or_none(struct yg_store *store, size_t link, char digest[YG_SHA256_TEXT],
	struct yg_err *err)
{
	struct yg_err why = {0};
	if (store_link_of(store, (enum yg_store_link)link, digest, &why) == 0)
		return 0;
	digest[0] = 0;
	if (store_disk_is_damage(&why))
		return 0;
	*err = why;
	return -1;
}

static int plan(struct yg_store *store, struct yg_recover_step *step, struct yg_err *err)
{
	static const enum yg_recover_lib libs[] = {YG_LIB_NONE, YG_LIB_DAMAGED, YG_LIB_WHOLE};
	static const enum yg_recover_copy copies[] = {YG_COPY_NONE, YG_COPY_DAMAGED, YG_COPY_WHOLE};
	static const enum yg_recover_roll rolls[] = {YG_ROLL_NONE, YG_ROLL_DAMAGED, YG_ROLL_WHOLE};
	char digests[STORE_LINKS][YG_SHA256_TEXT];
	enum state states[STORE_LINKS];
	for (size_t i = 0; i < STORE_LINKS; i++) {
		if (link_or_none(store, i, digests[i], err) < 0 ||
			state_of(store, digests[i], &states[i], err) < 0)
			return -1;
	}
	enum yg_recover_copy copy = copies[states[YG_STORE_COPY]];
	if (copy != YG_COPY_NONE && states[YG_STORE_LIB] != STATE_NONE &&
		strcmp(digests[YG_STORE_LIB], digests[YG_STORE_COPY]) == 0)
		copy = YG_COPY_SAME;
	*step = yg_recover_plan(libs[states[YG_STORE_LIB]], copy, rolls[states[YG_STORE_ROLL]]);
	return 0;
}

static int act(struct yg_store *store, enum yg_recover_action action, struct yg_err *err)
{
	switch (action) {
	case YG_RECOVER_NOTHING:
		return 0;
	case YG_RECOVER_DROP_COPY:
	case YG_RECOVER_KEEP_DAMAGED:
		return store_link_drop(store, "li_copy", err);
	case YG_RECOVER_COPY_TO_ROLL:
		return store_link_move(store, "li_copy", "li_roll", err);
	case YG_RECOVER_COPY_TO_LIB:
		return store_link_move(store, "li_copy", "lib", err);
	case YG_RECOVER_ROLL_TO_LIB:
		if (store_link_move(store, "li_roll", "lib", err) < 0)
			return -1;
		return store_link_drop(store, "li_copy", err);
	}
	return 0;
}

/* What stands at a link's name and is no link, or leads to no set, is in the way: a left-over. */
static int clear_names(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	for (size_t i = 0; i < STORE_LINKS; i++) {
		char digest[YG_SHA256_TEXT];
		struct stat st;
		if (link_or_none(store, i, digest, err) < 0)
			return -1;
		if (digest[0] ||
			fstatat(store->root, store_link_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		report->leftovers++;
		if (store_disk_clear(store, store_link_names[i], err) < 0)
			return -1;
	}
	return 0;
}

/* Folders under sets/ without a good set.json, files there, and sets of a run that was cut off which are
 * not whole belong to nobody.
 */
static int clear_sets(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	struct store_kept kept;
	if (store_link_kept(store, &kept, err) < 0)
		return -1;
	DIR *sets YG_AUTO(store_disk_list) = store_disk_list(store, STORE_SETS, err);
	if (!sets)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(sets, &name, err)) > 0) {
		struct yg_err why = {0};
		char path[STORE_PATH];
		struct yg_set *set YG_AUTO(yg_set) = yg_store_set(store, name, &why);
		if (!set && !store_disk_is_damage(&why)) {
			*err = why;
			return -1;
		}
		if (set && (store_link_is_linked(&kept, name) || yg_store_whole(store, name)))
			continue;
		report->leftovers++;
		STORE_PUT(path, sizeof(path), STORE_SETS "/%s", name);
		if (store_disk_clear(store, path, err) < 0)
			return -1;
	}
	return more;
}

static int clear_tmp(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	DIR *tmp YG_AUTO(store_disk_list) = store_disk_list(store, STORE_TMP, err);
	if (!tmp)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(tmp, &name, err)) > 0) {
		report->leftovers++;
		if (store_disk_discard(dirfd(tmp), name, err) < 0)
			return -1;
	}
	return more;
}

/* "hold.json.4711.tmp": what core/fs.h leaves when its process ends between two steps. */
static bool is_temporary(const char *name)
{
	size_t len = strlen(name);
	if (len < 7 || strcmp(name + len - 4, ".tmp") != 0)
		return false;
	size_t digits = 0;
	while (digits < len - 5 && name[len - 5 - digits] >= '0' && name[len - 5 - digits] <= '9')
		digits++;
	return digits > 0 && name[len - 5 - digits] == '.';
}

static int clear_temporaries(struct yg_store *store, const char *folder,
	struct yg_store_report *report, struct yg_err *err)
{
	DIR *dir YG_AUTO(store_disk_list) = store_disk_list(store, folder, err);
	if (!dir)
		return -1;
	const char *name = NULL;
	int more = 0;
	while ((more = store_disk_next(dir, &name, err)) > 0) {
		if (!is_temporary(name))
			continue;
		report->leftovers++;
		if (store_disk_discard(dirfd(dir), name, err) < 0)
			return -1;
	}
	return more;
}

int yg_store_repair(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	if (store_disk_ways(store, err) < 0 || clear_tmp(store, report, err) < 0 ||
		store_part_sweep(store, &report->leftovers, err) < 0)
		return yg_store_named(err);
	report->leftovers += store->found;
	store->found = 0;
	store->seen_count = 0;
	return yg_store_mend(store, report, err);
}

int yg_store_recover(struct yg_store *store, struct yg_store_report *report, struct yg_err *err)
{
	static const char *const folders[] = {".", "state", STORE_NOTES};
	for (size_t i = 0; i < YG_COUNT(folders); i++)
		if (clear_temporaries(store, folders[i], report, err) < 0)
			return yg_store_named(err);
	if (yg_store_repair(store, report, err) < 0)
		return -1;
	if (clear_names(store, report, err) < 0)
		return yg_store_named(err);
	struct yg_recover_step step = {0};
	if (plan(store, &step, err) < 0)
		return yg_store_named(err);
	report->links = step.why;
	if (act(store, step.action, err) < 0 || clear_sets(store, report, err) < 0)
		return yg_store_named(err);
	return 0;
}
