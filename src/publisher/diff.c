/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/diff_compare.h"
#include "publisher/diff_side.h"
#include "publisher/history.h"
#include "publisher/import_child.h"
#include "publisher/import_unpack.h"
#include "publisher/scratch.h"

#define MEMORY_MAX (16ull << 30) /* address space: both sides are mapped */
#define SECONDS    3600

static int make_folders(const struct scratch *scratch, struct yg_err *err)
{
	return yg_fs_mkdirs(scratch->dir, "a", 0700, err) < 0 ||
			yg_fs_mkdirs(scratch->dir, "b", 0700, err) < 0
		? -1
		: 0;
}

static int folder_of(const struct scratch *scratch, const char *name, char out[320],
	struct yg_err *err)
{
	return yg_str_put(out, 320, "%s/%s", scratch->path, name)
		? 0
		: yg_fail(err, YG_ELIMIT, "path too long");
}

/* ---- two folders, files or archives ---- */

static int read_paths(struct diff_side *side, const json_t *unpacked, struct yg_err *err)
{
	json_t *files = NULL;
	if (yg_json_array(unpacked, "files", SIZE_MAX, &files, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(files); i++) {
		const char *name = NULL, *path = NULL;
		const json_t *item = json_array_get(files, i);
		if (yg_json_str(item, "name", 255, &name, err) < 0 ||
			yg_json_str(item, "path", 4096, &path, err) < 0)
			return -1;
		if (diff_compare_add(side, name, path, err) < 0)
			return -1;
	}
	return 0;
}

static int unpack(struct diff_side *side, const struct scratch *scratch, const char *source,
	const char *name, struct yg_err *err)
{
	char inbox[320];
	if (folder_of(scratch, name, inbox, err) < 0)
		return -1;
	int fd YG_AUTO(fd) = open(source, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return yg_fail_sys(err, errno, "'%.200s'", source);
	json_t *unpacked YG_AUTO(yg_json) = NULL;
	struct import_unpack job = {.format = &feed_lines,
		.sources = &source,
		.source_count = 1,
		.inbox = inbox};
	const struct import_child child = {.what = "reading",
		.work = import_unpack_work,
		.ctx = &job,
		.paths = (const struct yg_sandbox_path[]){{.fd = fd},
			{.fd = scratch->dir, .write = true}},
		.path_count = 2,
		.memory_max = MEMORY_MAX,
		.seconds = SECONDS};
	if (import_child_run(&child, &unpacked, err) < 0)
		return -1;
	return read_paths(side, unpacked, err);
}

/* Two files are compared whatever they are called, as files of the first one's name. */
static int same_name(struct diff_compare *job, struct yg_err *err)
{
	if (job->a.count != 1 || job->b.count != 1)
		return 0;
	char *name = strdup(job->a.files[0].name);
	if (!name)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	free(job->b.files[0].name);
	job->b.files[0].name = name;
	return 0;
}

static int compare(struct diff_compare *job, const struct scratch *scratch,
	const char *const sources[2], json_t **out, struct yg_err *err)
{
	int a YG_AUTO(fd) = sources ? open(sources[0], O_PATH | O_CLOEXEC) : -1;
	int b YG_AUTO(fd) = sources ? open(sources[1], O_PATH | O_CLOEXEC) : -1;
	const struct yg_sandbox_path paths[] = {{.fd = scratch->dir}, {.fd = a}, {.fd = b}};
	if (sources && (a < 0 || b < 0))
		return yg_fail_sys(err, errno, "'%.200s'", a < 0 ? sources[0] : sources[1]);
	const struct import_child child = {.what = "comparing",
		.work = diff_compare_work,
		.ctx = job,
		.paths = paths,
		.path_count = sources ? 3 : 1,
		.memory_max = MEMORY_MAX,
		.seconds = SECONDS};
	return import_child_run(&child, out, err);
}

static int diff_paths(const struct command *command, json_t **out, struct yg_err *err)
{
	struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
	struct diff_compare job YG_AUTO(diff_compare) = {.limit = (size_t)command->limit};
	if (scratch_open(&scratch, err) < 0 || make_folders(&scratch, err) < 0 ||
		unpack(&job.a, &scratch, command->operands[0], "a", err) < 0 ||
		unpack(&job.b, &scratch, command->operands[1], "b", err) < 0 ||
		same_name(&job, err) < 0)
		return -1;
	return compare(&job, &scratch, command->operands, out, err);
}

/* ---- two releases ---- */

static const struct history_release *pick(const struct history *history, const char *text,
	size_t preset, struct yg_err *err)
{
	uint64_t version = 0;
	if (!text && preset < history->count)
		return &history->releases[preset];
	if (!text) {
		(void)yg_fail(err, YG_EABSENT, "%s: want %zu releases, have %zu",
			history->component, preset + 1, history->count);
		return NULL;
	}
	if (yg_str_u64(text, INT64_MAX, &version, err) < 0) {
		(void)yg_wrap(err, "version '%.32s'", text);
		return NULL;
	}
	const struct history_release *found = history_find(history, (int64_t)version, NULL);
	if (!found)
		(void)yg_fail(err, YG_EABSENT, "%s: version %llu is not in the repository",
			history->component, (unsigned long long)version);
	return found;
}

static int side_of(struct diff_side *side, const struct repo *repo, const struct scratch *scratch,
	const struct history_release *release, const char *name, struct yg_err *err)
{
	char folder[320];
	if (folder_of(scratch, name, folder, err) < 0)
		return -1;
	return diff_side_release(side, repo->dir, release->manifest, folder, err);
}

static int diff_releases(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct scratch scratch YG_AUTO(scratch) = {.dir = -1};
	struct diff_compare job YG_AUTO(diff_compare) = {.limit = (size_t)command->limit};
	if (repo_open(&repo, command->repo, false, err) < 0)
		return -1;
	struct history *history YG_AUTO(history) = history_load(&repo, command->component, err);
	if (!history)
		return -1;
	size_t count = command->operand_count;
	const struct history_release *a = pick(history, count > 2 ? command->operands[2] : NULL, 1,
		err);
	const struct history_release *b = a
		? pick(history, count > 3 ? command->operands[3] : NULL, 0, err)
		: NULL;
	if (!b || scratch_open(&scratch, err) < 0 || make_folders(&scratch, err) < 0 ||
		side_of(&job.a, &repo, &scratch, a, "a", err) < 0 ||
		side_of(&job.b, &repo, &scratch, b, "b", err) < 0 ||
		compare(&job, &scratch, NULL, out, err) < 0)
		return -1;
	if (json_object_set_new(*out, "component", json_string(command->component)) < 0 ||
		json_object_set_new(*out, "from", json_integer(a->manifest->version)) < 0 ||
		json_object_set_new(*out, "to", json_integer(b->manifest->version)) < 0) {
		json_decref(*out);
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

int diff_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct yg_err why = {0};
	int metadata YG_AUTO(fd) = -1;
	int first YG_AUTO(fd) = yg_fs_open_dir(AT_FDCWD, command->operands[0], &why);
	if (first >= 0)
		metadata = yg_fs_open_dir(first, "metadata", &why);
	if (metadata >= 0 || command->operand_count > 2)
		return diff_releases(command, out, err);
	return diff_paths(command, out, err);
}
