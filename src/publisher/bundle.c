/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "content/bundle.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/bundle_list.h"
#include "publisher/objects.h"
#include "publisher/progress.h"
#include "publisher/unpack.h"

#define CHUNK 65536

/* ---- bundle.json ---- */

static json_t *component_json(const struct bundle_choice *choice)
{
	json_t *from = json_array();
	for (size_t i = 0; from && i < choice->from_count; i++)
		(void)json_array_append_new(from, json_integer((json_int_t)choice->from[i]));
	return json_pack("{s:s, s:I, s:o}", "name", choice->history->component, "version",
		(json_int_t)choice->history->releases[0].manifest->version, "from", from);
}

static json_t *info_json(const struct bundle_list *list, int64_t now)
{
	char made[YG_CLOCK_TEXT];
	yg_clock_format(now, made);
	json_t *components = json_array();
	json_t *info YG_AUTO(yg_json) = json_pack("{s:i, s:s, s:o}", "format", YG_BUNDLE_FORMAT,
		"made", made, "components", components);
	for (size_t i = 0; info && i < list->choice_count; i++) {
		if (list->choices[i].wanted &&
			json_array_append_new(components, component_json(&list->choices[i])) < 0)
			return NULL;
	}
	return yg_take(info);
}

/* ---- the archive ---- */

struct archive {
	int fd;
	int64_t made;
	uint64_t size;
};

static int pad(struct archive *archive, uint64_t size, struct yg_err *err)
{
	static const uint8_t zeros[YG_BUNDLE_HEADER];
	size_t rest = (size_t)(size % YG_BUNDLE_HEADER);
	archive->size += size + (rest ? YG_BUNDLE_HEADER - rest : 0);
	return rest ? yg_fs_write_all(archive->fd, zeros, YG_BUNDLE_HEADER - rest, err) : 0;
}

static int put_header(struct archive *archive, const char *path, uint64_t size, struct yg_err *err)
{
	uint8_t header[YG_BUNDLE_HEADER];
	archive->size += YG_BUNDLE_HEADER;
	if (yg_bundle_header(path, size, archive->made, header, err) < 0)
		return -1;
	return yg_fs_write_all(archive->fd, header, sizeof(header), err);
}

static int put_text(struct archive *archive, const char *path, struct yg_bytes text,
	struct yg_err *err)
{
	if (put_header(archive, path, text.len, err) < 0 ||
		yg_fs_write_all(archive->fd, text.ptr, text.len, err) < 0)
		return -1;
	return pad(archive, text.len, err);
}

static int copy(int in, int out, uint64_t size, struct yg_err *err)
{
	uint8_t *chunk YG_AUTO(mem) = malloc(CHUNK);
	if (!chunk)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (uint64_t done = 0; done < size;) {
		size_t want = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
		ssize_t n = read(in, chunk, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			return yg_fail(err, YG_EFORMAT, "it became shorter meanwhile");
		if (yg_fs_write_all(out, chunk, (size_t)n, err) < 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

static int put_file(struct archive *archive, int repo, const struct bundle_entry *entry,
	struct yg_err *err)
{
	struct stat st;
	if (entry->form && !objects_good(repo, entry->form))
		return yg_fail(err, YG_EUNTRUSTED,
			"%s: missing or damaged: release its files again", entry->path);
	int fd YG_AUTO(fd) = yg_fs_open(repo, entry->path, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "'%s'", entry->path);
	uint64_t size = (uint64_t)st.st_size;
	if (put_header(archive, entry->path, size, err) < 0 || copy(fd, archive->fd, size, err) < 0)
		return yg_wrap(err, "'%s'", entry->path);
	return pad(archive, size, err);
}

static int write_archive(struct archive *archive, const struct repo *repo,
	const struct bundle_list *list, struct yg_err *err)
{
	static const uint8_t end[2 * YG_BUNDLE_HEADER];
	json_t *info YG_AUTO(yg_json) = info_json(list, archive->made);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_BUNDLE_INFO_MAX);
	if (!info)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_json_dump(info, &text, err) < 0 || yg_buf_add(&text, "\n", 1, err) < 0 ||
		put_text(archive, YG_BUNDLE_INFO, yg_buf_bytes(&text), err) < 0)
		return -1;
	for (size_t i = 0; i < list->count; i++) {
		if (put_file(archive, repo->dir, &list->entries[i], err) < 0)
			return -1;
		progress_step(i + 1);
	}
	archive->size += sizeof(end);
	return yg_fs_write_all(archive->fd, end, sizeof(end), err);
}

/* ---- the file ---- */

/* The folder of a path, and its last part. */
static int open_parent(const char *path, const char **name, struct yg_err *err)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];
	*name = slash ? slash + 1 : path;
	if (**name == 0 ||
		!yg_str_put(folder, sizeof(folder), "%.*s",
			slash ? (slash == path ? 1 : (int)(slash - path)) : 1, slash ? path : "."))
		return yg_fail(err, YG_EFORMAT, "--out: want the name of a file");
	return yg_fs_open_dir(AT_FDCWD, folder, err);
}

/* An older file of this name is there, or the new one, whole. */
static int name_file(int fd, int dir, const char *name, struct yg_err *err)
{
	char temporary[512];
	if (!yg_str_put(temporary, sizeof(temporary), "%s.new", name))
		return yg_fail(err, YG_ELIMIT, "--out: name too long");
	if (yg_fs_remove(dir, temporary, err) < 0 ||
		yg_fs_link_tmpfile(fd, dir, temporary, 0644, err) < 0)
		return -1;
	if (renameat(dir, temporary, dir, name) < 0)
		return yg_fail_sys(err, errno, "'%s'", name);
	return fsync(dir) < 0 ? yg_fail_sys(err, errno, "'%s'", name) : 0;
}

static int pack(const struct command *command, struct bundle_list *list, struct repo *repo,
	json_t **out, struct yg_err *err)
{
	const char *name = NULL;
	struct archive archive = {.made = command->now};
	int dir YG_AUTO(fd) = open_parent(command->out, &name, err);
	int fd YG_AUTO(fd) = dir < 0 ? -1 : yg_fs_tmpfile(dir, err);
	if (fd < 0)
		return -1;
	archive.fd = fd;
	progress_count("writing the bundle", list->count);
	int bad = write_archive(&archive, repo, list, err);
	progress_end();
	if (bad < 0 || name_file(fd, dir, name, err) < 0)
		return -1;
	json_t *info YG_AUTO(yg_json) = info_json(list, command->now);
	*out = json_pack("{s:s, s:I, s:I, s:I, s:O}", "bundle", command->out, "bytes",
		(json_int_t)archive.size, "files", (json_int_t)list->count, "objects",
		(json_int_t)list->objects, "components",
		info ? json_object_get(info, "components") : NULL);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int bundle_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct bundle_list list YG_AUTO(bundle_list) = {0};
	if (command->unpack)
		return unpack_run(command, out, err);
	if (!command->out)
		return yg_fail(err, YG_EFORMAT, "want --out, or --unpack");
	if (command->operand_count != 1)
		return yg_fail(err, YG_EFORMAT, "want one operand, REPO");
	if (repo_open(&repo, command->repo, false, err) < 0 ||
		bundle_list_make(&list, command, &repo, err) < 0)
		return -1;
	return pack(command, &list, &repo, out, err);
}
