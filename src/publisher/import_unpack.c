/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/import_unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "content/manifest.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "engine/am/cvd.h"
#include "publisher/feed/feed.h"

#define FILES_MAX  8192u /* of a feed, with what is left out of it */
#define LEVELS_MAX 8u    /* folders in folders */
#define NESTED_MAX 2u    /* archives in archives */

static const struct yg_archive_limits limits = {
	.entries = FILES_MAX,
	.file_bytes = YG_FILE_SIZE_MAX,
	.bytes = 4 * YG_FILE_SIZE_MAX,
	.ratio = 300,
};

struct work {
	const struct import_unpack *job;
	size_t source;      /* which is worked on */
	size_t inbox_count; /* files in the inbox */
	json_t *files, *containers, *left_out;
};

/* Where something lies now, and what it is called in messages. */
struct at {
	const char *path;
	const char *from;
	unsigned nested;
};

static int add(struct work *work, const struct at *at, const char *name, struct yg_err *err);

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* A name that can be published: what may not be in one becomes '_'. False: not to be published. */
static bool put_name(char *out, size_t size, const char *name)
{
	if (name[0] == 0 || name[0] == '.' || !yg_str_put(out, size, "%s", name))
		return false;
	for (char *c = out; *c; c++) {
		if (!strchr(YG_STR_FILE_CHARS, *c))
			*c = '_';
	}
	return true;
}

/* ---- archives ---- */

struct unpacking {
	struct work *work;
	const struct at *at;
	const char *name; /* of the archive */
	int out;          /* the file that is written */
	size_t first;     /* number in the inbox of the first that came out */
	json_t *paths;    /* in the archive, of each that came out */
};

static bool inbox_path(const struct work *work, size_t number, char out[512])
{
	return yg_str_put(out, 512, "%s/%zu", work->job->inbox, number);
}

static int open_next(void *ctx, const char *path, int *out, struct yg_err *err)
{
	struct unpacking *unpacking = ctx;
	char to[512], name[128];
	fd_free_at(&unpacking->out);
	unpacking->out = -1;
	*out = -1;
	if (path[0] && !put_name(name, sizeof(name), base_of(path)))
		return 0; /* hidden, as what macOS puts beside every file */
	if (!inbox_path(unpacking->work, unpacking->work->inbox_count, to))
		return yg_fail(err, YG_ELIMIT, "path too long");
	if (json_array_append_new(unpacking->paths, json_stringn_nocheck(path, strlen(path))) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	unpacking->out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (unpacking->out < 0)
		return yg_fail_sys(err, errno, "'%.200s'", to);
	unpacking->work->inbox_count++;
	*out = unpacking->out;
	return 0;
}

/* "daily.ndb.zst" to "daily.ndb" */
static void strip(char *name)
{
	char *dot = strrchr(name, '.');
	if (dot && dot != name && feed_ext(name, " bz2 gz xz zst "))
		*dot = 0;
}

/* Each file that came out is looked at in its turn: it may be an archive. */
static int add_unpacked(struct unpacking *unpacking, struct yg_err *err)
{
	for (size_t i = 0; i < json_array_size(unpacking->paths); i++) {
		const char *inner = json_string_value(json_array_get(unpacking->paths, i));
		char path[512], name[128];
		char *from YG_AUTO(mem) = inner[0]
			? yg_str_format("%s: %s", unpacking->at->from, inner)
			: strdup(unpacking->at->from);
		if (!from || !inbox_path(unpacking->work, unpacking->first + i, path))
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (!put_name(name, sizeof(name), inner[0] ? base_of(inner) : unpacking->name))
			return yg_fail(err, YG_ELIMIT, "%s: want a name of <= 127 bytes", from);
		if (!inner[0])
			strip(name);
		const struct at at = {path, from, unpacking->at->nested + 1};
		if (add(unpacking->work, &at, name, err) < 0)
			return -1;
	}
	return 0;
}

static int unpack(struct work *work, const struct at *at, const char *name, int fd, bool single,
	struct yg_err *err)
{
	json_t *paths YG_AUTO(yg_json) = json_array();
	struct unpacking unpacking = {.work = work,
		.at = at,
		.name = name,
		.out = -1,
		.first = work->inbox_count,
		.paths = paths};
	if (at->nested >= NESTED_MAX)
		return yg_fail(err, YG_ELIMIT, "%s: want <= %u archives in archives, have more",
			at->from, NESTED_MAX);
	int bad = yg_archive_unpack(fd, single, &limits, open_next, &unpacking, err);
	fd_free_at(&unpacking.out);
	if (bad < 0)
		return yg_wrap(err, "%s", at->from);
	return add_unpacked(&unpacking, err);
}

/* ---- ClamAV's containers ---- */

static int add_container(struct work *work, const struct at *at, const char *name, int fd,
	struct yg_err *err)
{
	uint8_t head[YG_AM_CVD_HEAD];
	struct yg_am_cvd cvd;
	bool is_signed = feed_ext(name, " cvd ");
	ssize_t n = read(fd, head, sizeof(head));
	if (n < 0)
		return yg_fail_sys(err, errno, "%s", at->from);
	if (yg_am_cvd_parse((struct yg_bytes){head, (size_t)n}, &cvd, err) < 0)
		return yg_wrap(err, "%s", at->from);
	if (json_array_append_new(work->containers,
		    json_pack("{s:s, s:s, s:b, s:I, s:s, s:s}", "path", at->path, "name", name,
			    "signed", is_signed, "version", (json_int_t)cvd.version, "time",
			    cvd.time, "builder", cvd.builder)) < 0)
		return yg_fail(err, YG_EFORMAT, "%s: header: want text", at->from);
	return unpack(work, at, name, fd, false, err);
}

/* ---- files and folders ---- */

static int add_item(struct work *work, const struct at *at, const char *name, struct yg_err *err)
{
	bool wanted = work->job->format || feed_of_source(work->job->component, name);
	json_t *list = wanted ? work->files : work->left_out;
	if (json_array_size(list) == FILES_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %u files in a feed, have more", FILES_MAX);
	json_t *item = wanted ? json_pack("{s:s, s:s, s:s, s:I}", "path", at->path, "name", name,
					"from", at->from, "source", (json_int_t)work->source)
			      : json_string(at->from);
	if (json_array_append_new(list, item) < 0)
		return yg_fail(err, YG_EFORMAT, "'%.200s': want a name in UTF-8", at->from);
	return 0;
}

static int add(struct work *work, const struct at *at, const char *name, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, at->path, err);
	if (fd < 0)
		return -1;
	if (feed_ext(name, " cld cud cvd "))
		return add_container(work, at, name, fd, err);
	enum yg_archive_kind kind = yg_archive_kind(fd);
	if (kind != YG_ARCHIVE_NONE)
		return unpack(work, at, name, fd, kind == YG_ARCHIVE_PACKED, err);
	return add_item(work, at, name, err);
}

static void list_free_at(struct dirent ***at)
{
	for (struct dirent **one = *at; one && *one; one++)
		free(*one);
	free(*at);
}

static int seen_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int add_path(struct work *work, const char *path, unsigned level, struct yg_err *err);

static int add_folder(struct work *work, const char *path, unsigned level, struct yg_err *err)
{
	struct dirent **names = NULL;
	if (level == LEVELS_MAX)
		return yg_fail(err, YG_ELIMIT, "'%.200s': want <= %u folders in folders, have more",
			path, LEVELS_MAX);
	int count = scandir(path, &names, seen_name, alphasort);
	if (count < 0)
		return yg_fail_sys(err, errno, "'%.200s'", path);
	/* With an end that the cleanup finds. */
	struct dirent **ended = reallocarray(names, (size_t)count + 1, sizeof(*names));
	if (ended)
		ended[count] = NULL;
	struct dirent **list YG_AUTO(list) = ended;
	if (!list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (int i = 0; i < count; i++) {
		char *inner YG_AUTO(mem) = yg_str_format("%s/%s", path, list[i]->d_name);
		if (!inner)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (add_path(work, inner, level + 1, err) < 0)
			return -1;
	}
	return 0;
}

static int add_path(struct work *work, const char *path, unsigned level, struct yg_err *err)
{
	struct stat st;
	char name[128];
	if (lstat(path, &st) < 0)
		return yg_fail_sys(err, errno, "'%.200s'", path);
	/* What the engineer names himself may be a link; what lies in a feed may not. */
	if (level == 0 && S_ISLNK(st.st_mode) && stat(path, &st) < 0)
		return yg_fail_sys(err, errno, "'%.200s'", path);
	if (S_ISDIR(st.st_mode))
		return add_folder(work, path, level, err);
	if (!S_ISREG(st.st_mode))
		return yg_fail(err, YG_EFORMAT, "'%.200s': want files and folders, have a %s", path,
			S_ISLNK(st.st_mode) ? "link" : "device");
	if (!put_name(name, sizeof(name), base_of(path)))
		return yg_fail(err, YG_ELIMIT, "'%.200s': want a name of <= 127 bytes", path);
	return add(work, &(struct at){path, path, 0}, name, err);
}

/* ---- the list ---- */

static const char *text_of(const json_t *item, const char *name)
{
	return json_string_value(json_object_get(item, name));
}

static int by_name(const void *a, const void *b)
{
	const json_t *one = *(json_t *const *)a, *two = *(json_t *const *)b;
	int order = strcmp(text_of(one, "name"), text_of(two, "name"));
	json_int_t x = json_integer_value(json_object_get(one, "source")),
		   y = json_integer_value(json_object_get(two, "source"));
	return order != 0 ? order : (x > y) - (x < y);
}

/* Of one name in several sources the last one's; in one source, an error. */
static int merge(json_t **list, size_t count, json_t *out, struct yg_err *err)
{
	for (size_t i = 0; i < count; i++) {
		bool same = i + 1 < count &&
			strcmp(text_of(list[i], "name"), text_of(list[i + 1], "name")) == 0;
		if (same &&
			json_equal(json_object_get(list[i], "source"),
				json_object_get(list[i + 1], "source")))
			return yg_fail(err, YG_EFORMAT, "'%.100s' and '%.100s' have one name, '%s'",
				text_of(list[i], "from"), text_of(list[i + 1], "from"),
				text_of(list[i], "name"));
		if (!same && json_array_append(out, list[i]) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

static int sorted(const json_t *files, json_t *out, struct yg_err *err)
{
	size_t count = json_array_size(files);
	json_t **list YG_AUTO(mem) = calloc(count + 1, sizeof(json_t *));
	if (!list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		list[i] = json_array_get(files, i);
	qsort(list, count, sizeof(json_t *), by_name);
	return merge(list, count, out, err);
}

int import_unpack_work(void *ctx, json_t **out, struct yg_err *err)
{
	const struct import_unpack *job = ctx;
	json_t *files YG_AUTO(yg_json) = json_array();
	json_t *containers = json_array(), *list = json_array(), *left_out = json_array();
	json_t *root YG_AUTO(yg_json) = json_pack("{s:o, s:o, s:o}", "files", list, "containers",
		containers, "left_out", left_out);
	struct work work = {.job = job,
		.files = files,
		.containers = containers,
		.left_out = left_out};
	if (!files || !root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (; work.source < job->source_count; work.source++) {
		if (add_path(&work, job->sources[work.source], 0, err) < 0)
			return -1;
	}
	if (sorted(files, list, err) < 0)
		return -1;
	*out = yg_take(root);
	return 0;
}
