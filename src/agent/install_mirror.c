/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_mirror_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

/* ROOT/relay/{metadata,targets,objects}: the tree of docs/repository.md, filled in its order, with
 * timestamp.json last, by rename. What belongs to the set served now and to the one before is kept, and the
 * metadata of the last publication, for agents that are in the middle of it; root metadata for ever.
 */

#define STATE       "state/relay.json"
#define DESCRIPTION "state/relay-set.json" /* of the set, with forms */
#define STATE_MAX   (64u << 20)
#define TIMESTAMP   "metadata/timestamp.json"
#define DEPTH_MAX   3 /* folders below one of the three */

int install_mirror_folder(struct install_mirror *mirror, const char *folder, struct yg_err *err)
{
	struct yg_err why = {0};
	if (yg_fs_mkdirs(mirror->root, folder, 0755, &why) == 0)
		return 0;
	if (why.sys != ENOTDIR && why.sys != EEXIST) {
		*err = why;
		return -1;
	}
	char part[MIRROR_FULL] = "";
	for (size_t i = 0; folder[i] && i + 1 < sizeof(part); i++) {
		struct stat st;
		part[i] = folder[i];
		if ((folder[i + 1] == '/' || !folder[i + 1]) &&
			fstatat(mirror->root, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!S_ISDIR(st.st_mode) && yg_fs_remove(mirror->root, part, err) < 0)
			return -1;
	}
	return yg_fs_mkdirs(mirror->root, folder, 0755, err);
}

static json_t *kept_list(const json_t *state, const char *key)
{
	json_t *list = json_object_get(state, key);
	return json_is_object(list) ? json_incref(list) : NULL;
}

static int load_state(struct install_mirror *mirror, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(STATE_MAX);
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *files = NULL;
	const char *set = NULL;
	if (yg_fs_read(mirror->root, STATE, &text, err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), STATE_MAX, &root, err) < 0 ||
		yg_json_str(root, "set", YG_SHA256_TEXT - 1, &set, err) < 0 ||
		yg_json_object(root, "files", &files, err) < 0)
		return -1;
	memcpy(mirror->set, set, strlen(set) + 1);
	mirror->now = json_incref(files);
	mirror->before = kept_list(root, "before");
	mirror->last = kept_list(root, "last");
	return 0;
}

struct install_mirror *install_mirror_new(int root, struct yg_err *err)
{
	struct yg_err why = {0};
	struct install_mirror *mirror YG_AUTO(install_mirror) = calloc(1, sizeof(*mirror));
	if (!mirror) {
		(void)yg_fail_sys(err, ENOMEM, "opening what the relay serves");
		return NULL;
	}
	mirror->good = json_object();
	mirror->root = fcntl(root, F_DUPFD_CLOEXEC, 3);
	if (mirror->root < 0) {
		(void)yg_fail_sys(err, errno, "opening what the relay serves");
		return NULL;
	}
	static const char *const folders[] = {MIRROR_BASE "/metadata", MIRROR_BASE "/targets",
		MIRROR_BASE "/objects"};
	for (size_t i = 0; i < YG_COUNT(folders); i++)
		if (install_mirror_folder(mirror, folders[i], err) < 0)
			return NULL;
	/* Without the file that agents start from, nothing is served, whatever else lies there. */
	int timestamp YG_AUTO(fd) = yg_fs_open(mirror->root, MIRROR_BASE "/" TIMESTAMP, &why);
	if (timestamp >= 0 && load_state(mirror, &why) < 0)
		mirror->set[0] = 0;
	return yg_take(mirror);
}

void install_mirror_forget(struct install_mirror *mirror)
{
	for (size_t i = 0; i < mirror->note_count; i++)
		yg_buf_free(&mirror->notes[i].bytes);
	mirror->note_count = 0;
	memset(mirror->also, 0, sizeof(mirror->also));
}

void install_mirror_also(struct install_mirror *mirror,
	struct yg_set *const sets[INSTALL_MIRROR_ALSO])
{
	for (size_t i = 0; i < INSTALL_MIRROR_ALSO; i++)
		mirror->also[i] = sets[i];
}

void install_mirror_free(struct install_mirror *mirror)
{
	if (!mirror)
		return;
	install_mirror_forget(mirror);
	json_decref(mirror->now);
	json_decref(mirror->before);
	json_decref(mirror->last);
	json_decref(mirror->good);
	if (mirror->root >= 0)
		(void)close(mirror->root);
	free(mirror);
}

const char *install_mirror_set(const struct install_mirror *mirror)
{
	return mirror->set;
}

bool install_mirror_noted(const struct install_mirror *mirror, const char *path)
{
	for (size_t i = 0; i < mirror->note_count; i++)
		if (strcmp(mirror->notes[i].path, path) == 0)
			return true;
	return false;
}

int install_mirror_description(const struct install_mirror *mirror)
{
	struct yg_err why = {0};
	return mirror->set[0] ? yg_fs_open(mirror->root, DESCRIPTION, &why) : -1;
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
	size_t len = strlen(text);
	size_t tail = strlen(with);
	return len >= tail && strcmp(text + len - tail, with) == 0;
}

int install_mirror_note(struct install_mirror *mirror, const char *path, int fd, struct yg_err *err)
{
	if (!yg_str_path_ok(path, MIRROR_PATH - 1) ||
		(!starts(path, "metadata/") && !starts(path, "targets/")))
		return yg_fail(err, YG_EFORMAT, "'%s': not a file of a repository", path);
	struct mirror_note *note = NULL;
	for (size_t i = 0; i < mirror->note_count && !note; i++)
		if (strcmp(mirror->notes[i].path, path) == 0)
			note = &mirror->notes[i];
	if (!note && mirror->note_count == MIRROR_NOTES_MAX)
		return yg_fail(err, YG_ELIMIT, "more than %d files of metadata", MIRROR_NOTES_MAX);
	if (!note)
		note = &mirror->notes[mirror->note_count++];
	yg_buf_free(&note->bytes);
	note->bytes = YG_BUF(MIRROR_NOTE_MAX);
	memcpy(note->path, path, strlen(path) + 1);
	return yg_fs_read_fd(fd, &note->bytes, err);
}

int install_mirror_path(const char *path, char out[MIRROR_FULL], struct yg_err *err)
{
	if (!yg_str_put(out, MIRROR_FULL, MIRROR_BASE "/%s", path))
		return yg_fail(err, YG_ELIMIT, "'%s': path too long", path);
	return 0;
}

bool install_mirror_knows(struct install_mirror *mirror, const char *path)
{
	char full[MIRROR_FULL];
	struct yg_err why = {0};
	struct stat st;
	return install_mirror_noted(mirror, path) ||
		(install_mirror_path(path, full, &why) == 0 &&
			fstatat(mirror->root, full, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode));
}

static int write_note(struct install_mirror *mirror, const struct mirror_note *note,
	struct yg_err *err)
{
	char path[MIRROR_FULL];
	char folder[MIRROR_FULL];
	if (install_mirror_path(note->path, path, err) < 0 ||
		!yg_str_put(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path))
		return -1;
	if (install_mirror_folder(mirror, folder, err) < 0)
		return -1;
	if (yg_fs_replace(mirror->root, path, yg_buf_bytes(&note->bytes), 0444, err) == 0)
		return 0;
	/* A folder of that name was left there. */
	*err = (struct yg_err){0};
	if (yg_fs_remove(mirror->root, path, err) < 0)
		return -1;
	return yg_fs_replace(mirror->root, path, yg_buf_bytes(&note->bytes), 0444, err);
}

/* A reader goes timestamp, snapshot, targets, roles, manifests; so the files come in reverse. */
static int rank(const char *path)
{
	if (starts(path, "targets/"))
		return 0;
	if (ends(path, ".root.json"))
		return 1;
	if (ends(path, ".targets.json"))
		return 3;
	if (ends(path, ".snapshot.json"))
		return 4;
	return strcmp(path, TIMESTAMP) == 0 ? 5 : 2;
}

int install_mirror_stage(struct install_mirror *mirror, struct yg_err *err)
{
	for (int r = 0; r < 5; r++)
		for (size_t i = 0; i < mirror->note_count; i++)
			if (rank(mirror->notes[i].path) == r &&
				write_note(mirror, &mirror->notes[i], err) < 0)
				return -1;
	return 0;
}

static bool on_disk(struct install_mirror *mirror, const struct mirror_note *note)
{
	struct yg_err why = {0};
	char path[MIRROR_FULL];
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(MIRROR_NOTE_MAX);
	if (install_mirror_path(note->path, path, &why) < 0 ||
		yg_fs_read(mirror->root, path, &have, &why) < 0)
		return false;
	return have.len == note->bytes.len &&
		(have.len == 0 || memcmp(have.data, note->bytes.data, have.len) == 0);
}

bool install_mirror_same(struct install_mirror *mirror, const struct yg_set *set)
{
	if (strcmp(mirror->set, set->digest) != 0)
		return false;
	for (size_t i = 0; i < mirror->note_count; i++)
		if (!on_disk(mirror, &mirror->notes[i]))
			return false;
	return true;
}

/* ---- what is kept ---- */

static void list_set(json_t *files, const struct yg_set *set)
{
	for (size_t i = 0; set && i < set->count; i++) {
		for (size_t j = 0; j < set->components[i]->file_count; j++) {
			const struct yg_file *file = &set->components[i]->files[j];
			for (size_t k = 0; k < file->form_count; k++) {
				char path[YG_OBJECT_PATH];
				yg_form_path(&file->forms[k], path);
				(void)json_object_set_new(files, path, json_true());
			}
		}
	}
}

static json_t *list_files(const struct install_mirror *mirror, const struct yg_set *set)
{
	json_t *files = json_object();
	for (size_t i = 0; i < mirror->note_count; i++)
		(void)json_object_set_new(files, mirror->notes[i].path, json_true());
	list_set(files, set);
	for (size_t i = 0; i < INSTALL_MIRROR_ALSO; i++)
		list_set(files, mirror->also[i]);
	return files;
}

static bool is_kept(const struct install_mirror *mirror, const char *path)
{
	return ends(path, ".root.json") || strcmp(path, TIMESTAMP) == 0 ||
		json_object_get(mirror->now, path) || json_object_get(mirror->before, path) ||
		json_object_get(mirror->last, path);
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

/* Look at every file below a folder ("metadata"), depth first. A folder that cannot be read costs room, no more. */
void install_mirror_each(struct install_mirror *mirror, const char *folder, int depth,
	void (*look)(struct install_mirror *mirror, int dir, const char *name, const char *path))
{
	struct yg_err why = {0};
	char full[MIRROR_FULL];
	if (depth > DEPTH_MAX || install_mirror_path(folder, full, &why) < 0)
		return;
	int fd YG_AUTO(fd) = yg_fs_open_dir(mirror->root, full, &why);
	int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *list YG_AUTO(dir) = own < 0 ? NULL : fdopendir(own);
	if (!list)
		return;
	for (struct dirent *entry; (entry = readdir(list));) {
		char path[MIRROR_PATH];
		struct stat st;
		if (entry->d_name[0] == '.' ||
			!yg_str_put(path, sizeof(path), "%s/%s", folder, entry->d_name) ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			install_mirror_each(mirror, path, depth + 1, look);
		else
			look(mirror, fd, entry->d_name, path);
	}
}

static void prune(struct install_mirror *mirror, int dir, const char *name, const char *path)
{
	if (is_kept(mirror, path))
		return;
	(void)json_object_del(mirror->good, path);
	(void)unlinkat(dir, name, 0);
}

static int save_state(struct install_mirror *mirror, struct yg_err *err)
{
	json_t *root YG_AUTO(
		yg_json) = json_pack("{s:s, s:O}", "set", mirror->set, "files", mirror->now);
	if (mirror->before)
		(void)json_object_set(root, "before", mirror->before);
	if (mirror->last)
		(void)json_object_set(root, "last", mirror->last);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(STATE_MAX);
	if (!root)
		return yg_fail_sys(err, ENOMEM, "writing '" STATE "'");
	if (yg_json_dump(root, &text, err) < 0)
		return -1;
	return yg_fs_replace(mirror->root, STATE, yg_buf_bytes(&text), 0644, err);
}

static int save_description(struct install_mirror *mirror, const struct yg_set *set,
	struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_set_format(set, true, &text, err) < 0)
		return -1;
	return yg_fs_replace(mirror->root, DESCRIPTION, yg_buf_bytes(&text), 0644, err);
}

int install_mirror_switch(struct install_mirror *mirror, const struct yg_set *set,
	struct yg_err *err)
{
	for (size_t i = 0; i < mirror->note_count; i++)
		if (rank(mirror->notes[i].path) == 5 &&
			write_note(mirror, &mirror->notes[i], err) < 0)
			return -1;
	bool other = strcmp(mirror->set, set->digest) != 0;
	json_t *files = list_files(mirror, set);
	json_decref(mirror->last);
	mirror->last = NULL;
	if (other) {
		json_decref(mirror->before);
		mirror->before = yg_take(mirror->now);
	} else {
		mirror->last = yg_take(mirror->now);
	}
	mirror->now = files;
	memcpy(mirror->set, set->digest, sizeof(mirror->set));
	if (save_description(mirror, set, err) < 0 || save_state(mirror, err) < 0)
		return -1;
	install_mirror_each(mirror, "metadata", 0, prune);
	install_mirror_each(mirror, "targets", 0, prune);
	install_mirror_each(mirror, "objects", 0, prune);
	install_mirror_forget(mirror);
	return 0;
}
