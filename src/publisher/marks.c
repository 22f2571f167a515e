/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/marks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fs.h"
#include "core/str.h"
#include "publisher/history.h"

#define PATH_SIZE  512
#define LEVELS_MAX 4

/* ---- the set ---- */

static size_t place_of(const struct marks *marks, const char *path)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	for (const char *at = path; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 1099511628211u;
	size_t place = (size_t)hash & (marks->cap - 1);
	while (marks->paths[place] && strcmp(marks->paths[place], path) != 0)
		place = (place + 1) & (marks->cap - 1);
	return place;
}

bool marks_has(const struct marks *marks, const char *path)
{
	return marks->cap > 0 && marks->paths[place_of(marks, path)];
}

static int grow(struct marks *marks, struct yg_err *err)
{
	struct marks larger = {.cap = marks->cap ? 2 * marks->cap : 256, .count = marks->count};
	larger.paths = calloc(larger.cap, sizeof(*larger.paths));
	if (!larger.paths)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < marks->cap; i++) {
		if (marks->paths[i])
			larger.paths[place_of(&larger, marks->paths[i])] = marks->paths[i];
	}
	free(marks->paths);
	*marks = larger;
	return 0;
}

/* returns 1 it is new, 0 it was there, -1 */
static int mark(struct marks *marks, const char *path, struct yg_err *err)
{
	if (2 * marks->count >= marks->cap && grow(marks, err) < 0)
		return -1;
	char **at = &marks->paths[place_of(marks, path)];
	if (*at)
		return 0;
	*at = strdup(path);
	if (!*at)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	marks->count++;
	return 1;
}

void marks_free_at(struct marks *marks)
{
	for (size_t i = 0; i < marks->cap; i++)
		free(marks->paths[i]);
	free(marks->paths);
	*marks = (struct marks){0};
}

/* ---- files on disk ---- */

static void names_free_at(struct dirent ***names)
{
	for (size_t i = 0; *names && (*names)[i]; i++)
		free((*names)[i]);
	free(*names);
}

static int shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The names of a folder, sorted, NULL after the last. A folder that is not there has none. */
static int list(int repo, const char *path, struct dirent ***out, struct yg_err *err)
{
	int count = scandirat(repo, path, out, shown, alphasort);
	if (count < 0 && errno != ENOENT)
		return yg_fail_sys(err, errno, "'%s'", path);
	size_t used = count < 0 ? 0 : (size_t)count;
	struct dirent **longer = reallocarray(count < 0 ? NULL : *out, used + 1, sizeof(*longer));
	if (!longer) {
		for (size_t i = 0; i < used; i++)
			free((*out)[i]);
		free(used > 0 ? *out : NULL);
		*out = NULL;
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	longer[used] = NULL;
	*out = longer;
	return 0;
}

static int walk(int repo, const char *folder, unsigned level, marks_visit *visit, void *ctx,
	struct yg_err *err)
{
	struct dirent **names YG_AUTO(names) = NULL;
	if (list(repo, folder, &names, err) < 0)
		return -1;
	for (size_t i = 0; names[i]; i++) {
		char path[PATH_SIZE];
		struct stat st;
		if (!yg_str_put(path, sizeof(path), "%s/%s", folder, names[i]->d_name))
			continue; /* nothing of ours is that long */
		if (fstatat(repo, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return yg_fail_sys(err, errno, "'%s'", path);
		}
		if (S_ISDIR(st.st_mode) && level < LEVELS_MAX) {
			if (walk(repo, path, level + 1, visit, ctx, err) < 0)
				return -1;
		} else if (S_ISREG(st.st_mode) &&
			visit(ctx, path, (uint64_t)st.st_size, (int64_t)st.st_mtime, err) < 0) {
			return -1;
		}
	}
	return 0;
}

int marks_walk(int repo, marks_visit *visit, void *ctx, struct yg_err *err)
{
	for (const char *const *at = (const char *const[]){"metadata", "targets", "objects", NULL};
		*at; at++) {
		if (walk(repo, *at, 0, visit, ctx, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- metadata and what it names ---- */

struct version {
	char role[YG_META_NAME_MAX]; /* "am.json", as in the file's name */
	int64_t number;
	int64_t mtime;
};

struct collection {
	struct marks *marks;
	const struct repo *repo;
	int64_t since;
	struct version *versions; /* owned */
	size_t count, cap;
};

static void collection_free_at(struct collection *collection)
{
	free(collection->versions);
}

/* "metadata/12.am.json" to 12 and "am.json". */
static bool version_of(const char *path, struct version *out)
{
	char digits[24];
	uint64_t number = 0;
	struct yg_err why = {0};
	const char *name = path + strlen("metadata/"), *dot = strchr(name, '.');
	if (strncmp(path, "metadata/", 9) != 0 || !dot ||
		!yg_str_put(digits, sizeof(digits), "%.*s", (int)(dot - name), name) ||
		yg_str_u64(digits, INT64_MAX, &number, &why) < 0 || number == 0 ||
		!yg_str_put(out->role, sizeof(out->role), "%s", dot + 1))
		return false;
	out->number = (int64_t)number;
	return true;
}

static int note_version(void *ctx, const char *path, uint64_t size, int64_t mtime,
	struct yg_err *err)
{
	struct collection *to = ctx;
	struct version version = {.mtime = mtime};
	(void)size;
	if (!version_of(path, &version))
		return 0;
	if (strcmp(version.role, "root.json") == 0)
		return mark(to->marks, path, err) < 0 ? -1 : 0;
	if (to->count == to->cap) {
		size_t cap = to->cap ? 2 * to->cap : 64;
		struct version *grown = reallocarray(to->versions, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		to->versions = grown;
		to->cap = cap;
	}
	to->versions[to->count++] = version;
	return 0;
}

static int by_role_and_number(const void *a, const void *b)
{
	const struct version *one = a, *two = b;
	int order = strcmp(one->role, two->role);
	return order != 0 ? order : (one->number > two->number) - (one->number < two->number);
}

static int64_t present(const struct repo *repo, const char *role)
{
	struct yg_meta_file file = {0};
	if (strcmp(role, "snapshot.json") == 0)
		return repo->snapshot->version;
	return yg_meta_file(repo->snapshot, role, &file) ? file.version : 0;
}

static int mark_manifest(struct collection *to, const char *path, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (yg_fs_read(to->repo->dir, path, &text, &why) < 0)
		return 0; /* gone: nobody can come to its objects */
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), &why);
	for (size_t i = 0; manifest && i < manifest->file_count; i++) {
		const struct yg_file *file = &manifest->files[i];
		for (size_t n = 0; n < file->form_count; n++) {
			char object[YG_OBJECT_PATH];
			yg_form_path(&file->forms[n], object);
			if (mark(to->marks, object, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* What a role's metadata names. `must`: it is in force, and has to be readable. */
static int mark_targets(struct collection *to, const char *path, bool must, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TARGETS_MAX);
	struct yg_meta *meta YG_AUTO(yg_meta) = yg_fs_read(to->repo->dir, path, &text, &why) < 0
		? NULL
		: yg_meta_parse(YG_META_TARGETS, yg_buf_bytes(&text), YG_TUF_TARGETS_MAX, &why);
	if (!meta && must) {
		*err = why;
		return yg_wrap(err, "%s", path);
	}
	if (!meta)
		return 0;
	const char *target;
	json_t *entry;
	json_object_foreach(json_object_get(meta->body, "targets"), target, entry)
	{
		char manifest[320];
		struct yg_meta_file file = {0};
		if (!yg_meta_file(meta, target, &file))
			continue;
		if (history_path(target, file.sha256, manifest, err) < 0)
			return -1;
		int new = mark(to->marks, manifest, err);
		if (new < 0 || (new > 0 && mark_manifest(to, manifest, err) < 0))
			return -1;
	}
	return 0;
}

static int mark_version(struct collection *to, size_t index, struct yg_err *err)
{
	const struct version *at = &to->versions[index], *next = at + 1;
	char path[PATH_SIZE];
	int64_t now = present(to->repo, at->role);
	bool last = index + 1 == to->count || strcmp(next->role, at->role) != 0;
	if (at->number > now || (at->number < now && (last || next->mtime <= to->since)))
		return 0;
	if (!yg_str_put(path, sizeof(path), "metadata/%lld.%s", (long long)at->number, at->role))
		return yg_fail(err, YG_ELIMIT, "metadata: name too long");
	if (mark(to->marks, path, err) < 0)
		return -1;
	if (strcmp(at->role, "snapshot.json") == 0)
		return 0;
	return mark_targets(to, path, at->number == now, err);
}

int marks_collect(struct marks *marks, const struct repo *repo, int64_t since, struct yg_err *err)
{
	struct collection to YG_AUTO(collection) = {.marks = marks, .repo = repo, .since = since};
	if (mark(marks, "metadata/timestamp.json", err) < 0 ||
		walk(repo->dir, "metadata", 0, note_version, &to, err) < 0)
		return -1;
	if (to.count > 0)
		qsort(to.versions, to.count, sizeof(*to.versions), by_role_and_number);
	for (size_t i = 0; i < to.count; i++) {
		if (mark_version(&to, i, err) < 0)
			return -1;
	}
	return 0;
}
