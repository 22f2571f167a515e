/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/release.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/set.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/deltas.h"
#include "publisher/history.h"
#include "publisher/jobs.h"
#include "publisher/objects.h"
#include "publisher/sources.h"
#include "publisher/wave.h"

struct work {
	const struct command *command;
	struct repo repo;
	struct keys keys;
	struct sources sources;
	struct history *history;
	struct yg_manifest *manifest; /* NULL once it is in the history */
	int objects;                  /* objects/, open */
	uint64_t plain, transfer;     /* bytes, all files */
	size_t stored;                /* files that were not there yet */
	struct deltas_count deltas;
};

#define WORK(which)                                                                                \
	{                                                                                          \
		.command = (which), .repo = {.dir = -1, .lock = -1}, .keys = {.dir = -1},          \
		.objects = -1                                                                      \
	}

static void work_free_at(struct work *work)
{
	sources_free_at(&work->sources);
	history_free(work->history);
	yg_manifest_free(work->manifest);
	fd_free_at(&work->objects);
	repo_close(&work->repo);
	keys_close(&work->keys);
}

/* ---- whole forms ---- */

/* What an earlier release has of the same bytes: compressing is dear, and the object is fetched once. */
static bool whole_before(const struct work *work, const char *sha256, struct yg_form *out)
{
	for (size_t i = 0; i < work->history->count; i++) {
		const struct yg_manifest *manifest = work->history->releases[i].manifest;
		for (size_t k = 0; k < manifest->file_count; k++) {
			if (strcmp(manifest->files[k].sha256, sha256) != 0)
				continue;
			*out = *yg_file_form(&manifest->files[k]);
			if (objects_good(work->repo.dir, out))
				return true;
		}
	}
	return false;
}

static int rewind_fd(int fd, struct yg_err *err)
{
	return lseek(fd, 0, SEEK_SET) < 0 ? yg_fail_sys(err, errno, "rewinding") : 0;
}

/* Write `in` compressed, or as it is where that is not larger. */
static int encode(const struct work *work, int in, int out, struct jobs_result *result)
{
	struct yg_err *err = &result->err;
	if (rewind_fd(in, err) < 0 ||
		yg_codec_encode(in, out, YG_ENCODING_ZSTD, work->command->level, &result->form,
			result->sha256, &result->size, err) < 0)
		return -1;
	if (result->form.size < result->size)
		return 0;
	if (ftruncate(out, 0) < 0)
		return yg_fail_sys(err, errno, "emptying a temporary file");
	if (rewind_fd(in, err) < 0 || rewind_fd(out, err) < 0)
		return -1;
	return yg_codec_encode(in, out, YG_ENCODING_PLAIN, 0, &result->form, result->sha256,
		&result->size, err);
}

/* In a process of its own. */
static void make_whole(void *ctx, size_t index, int out, struct jobs_result *result)
{
	const struct work *work = ctx;
	int in YG_AUTO(fd) = sources_open(&work->sources.list[index], work->objects, &result->err);
	if (in < 0 || yg_codec_hash(in, result->sha256, &result->size, &result->err) < 0)
		return;
	result->old = whole_before(work, result->sha256, &result->form);
	result->good = result->old || encode(work, in, out, result) == 0;
}

static int keep_whole(void *ctx, size_t index, int out, const struct jobs_result *result,
	struct yg_err *err)
{
	struct work *work = ctx;
	struct yg_file *file = &work->manifest->files[index];
	if (!result->good) {
		*err = result->err;
		return yg_wrap(err, "'%s'", work->sources.list[index].path);
	}
	memcpy(file->sha256, result->sha256, sizeof(file->sha256));
	file->size = result->size;
	work->plain += result->size;
	work->transfer += result->form.size;
	work->stored += !result->old;
	if (yg_file_add_form(file, &result->form, err) < 0)
		return -1;
	return result->old ? 0 : objects_keep(work->repo.dir, out, &result->form, err);
}

static int make_files(struct work *work, struct yg_err *err)
{
	struct yg_manifest *manifest = work->manifest;
	manifest->files = calloc(work->sources.count, sizeof(*manifest->files));
	if (!manifest->files)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < work->sources.count; i++) {
		manifest->files[i].path = strdup(work->sources.list[i].name);
		if (!manifest->files[i].path)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		manifest->file_count++;
	}
	const struct jobs jobs = {.ctx = work,
		.count = work->sources.count,
		.what = "compressing files",
		.dir = work->objects,
		.lock = work->repo.lock,
		.work = make_whole,
		.done = keep_whole};
	return jobs_run(&jobs, NULL, err);
}

/* ---- the manifest ---- */

static int add_trial(struct yg_manifest *manifest, const char *folder, char ***list, size_t *count,
	struct yg_err *err)
{
	*list = calloc(YG_MANIFEST_TRIAL_MAX, sizeof(**list));
	if (!*list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < manifest->file_count; i++) {
		const char *path = manifest->files[i].path;
		if (strncmp(path, folder, strlen(folder)) != 0)
			continue;
		if (*count == YG_MANIFEST_TRIAL_MAX)
			return yg_fail(err, YG_ELIMIT, "want <= %u samples of a kind, have more",
				YG_MANIFEST_TRIAL_MAX);
		(*list)[*count] = strdup(path);
		if (!(*list)[*count])
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		++*count;
	}
	return 0;
}

/* A number that was given once is never given again, also when its release was withdrawn. */
static int next_version(const struct work *work, int64_t *out, struct yg_err *err)
{
	int64_t asked = work->command->version, highest = work->history->highest;
	if (asked != 0 && asked <= highest)
		return yg_fail(err, YG_EFORMAT,
			"--version: want > %lld, which is published, have %lld", (long long)highest,
			(long long)asked);
	if (asked == 0 && highest == INT64_MAX)
		return yg_fail(err, YG_ELIMIT, "version: there is none after %lld",
			(long long)highest);
	*out = asked != 0 ? asked : highest + 1;
	return 0;
}

static int fill_manifest(struct work *work, struct yg_err *err)
{
	const struct command *command = work->command;
	struct yg_manifest *manifest = work->manifest;
	manifest->family = sources_family(command->component);
	manifest->released = command->now;
	manifest->abi = (struct yg_abi){.min = command->abi_min, .max = command->abi_max};
	bool clamav = strcmp(work->history->role, "am") == 0;
	if (!yg_str_put(manifest->component, sizeof(manifest->component), "%s",
		    command->component) ||
		!yg_str_put(manifest->abi.engine, sizeof(manifest->abi.engine), "%s",
			clamav ? "clamav" : "") ||
		!yg_str_put(manifest->description, sizeof(manifest->description), "%s",
			command->description ? command->description : ""))
		return yg_fail(err, YG_ELIMIT, "--description: want <= %u bytes",
			YG_DESCRIPTION_MAX);
	return next_version(work, &manifest->version, err);
}

static int make_manifest(struct work *work, struct yg_err *err)
{
	struct yg_manifest *manifest = calloc(1, sizeof(*manifest));
	work->manifest = manifest;
	if (!manifest)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (fill_manifest(work, err) < 0 || make_files(work, err) < 0 ||
		deltas_make(&work->repo, work->history, &work->sources,
			(size_t)work->command->deltas, work->objects, work->command->delta_seconds,
			manifest, &work->deltas, err) < 0 ||
		add_trial(manifest, "samples/find/", &manifest->find, &manifest->find_count, err) <
			0)
		return -1;
	return add_trial(manifest, "samples/pass/", &manifest->pass, &manifest->pass_count, err);
}

/* ---- publishing ---- */

static int publish(struct work *work, const struct yg_wave *waves, size_t count, struct yg_err *err)
{
	struct history *history = work->history;
	if (history_add(history, yg_take(work->manifest), (size_t)work->command->keep, err) < 0 ||
		history_set_waves(history, waves, count, err) < 0 ||
		history_stage(history, &work->repo, err) < 0)
		return -1;
	return repo_publish(&work->repo, true, err);
}

/* The digest of the whole set, as agents that take every component compute it. */
static struct yg_set *newest_set(struct work *work, struct yg_err *err)
{
	const struct yg_set_want want = {.families = YG_FAMILIES_ALL,
		.every = true,
		.now = work->command->now};
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&work->repo, work->command->now, err);
	return tuf && yg_tuf_refresh(tuf, err) == 0 ? yg_set_collect(tuf, &want, NULL, err) : NULL;
}

static int report(struct work *work, json_t **out, struct yg_err *err)
{
	const struct yg_manifest *manifest = work->history->releases[0].manifest;
	struct yg_set *set YG_AUTO(yg_set) = newest_set(work, err);
	if (!set)
		return yg_wrap(err, "published, but not as it should be");
	*out = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:s}",
		"component", manifest->component, "version", (json_int_t)manifest->version, "files",
		(json_int_t)manifest->file_count, "new_files", (json_int_t)work->stored, "bytes",
		(json_int_t)work->plain, "transfer_bytes", (json_int_t)work->transfer, "deltas",
		(json_int_t)(work->deltas.made + work->deltas.kept), "delta_bytes",
		(json_int_t)work->deltas.newest, "deltas_not_worth_it",
		(json_int_t)work->deltas.dear, "deltas_left_out",
		(json_int_t)(work->deltas.late + work->deltas.lacking), "open_percent",
		(int)wave_open(work->history->rollout, work->command->now), "manifest",
		manifest->sha256, "set", set->digest);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int release(struct work *work, json_t **out, struct yg_err *err)
{
	struct yg_wave waves[YG_ROLLOUT_WAVES_MAX];
	size_t count = 0;
	const struct command *command = work->command;
	if (wave_parse(command, waves, &count, err) < 0 ||
		command_open(command, &work->repo, &work->keys, err) < 0)
		return -1;
	work->history = history_load(&work->repo, command->component, err);
	if (!work->history)
		return -1;
	work->objects = yg_fs_open_dir(work->repo.dir, "objects", err);
	if (work->objects < 0 || make_manifest(work, err) < 0 ||
		publish(work, waves, count, err) < 0)
		return -1;
	return report(work, out, err);
}

int release_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(work) = WORK(command);
	if (sources_find(&work.sources, command, err) < 0)
		return -1;
	return release(&work, out, err);
}

int release_files(const struct command *command, const struct release_file *files, size_t count,
	json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(work) = WORK(command);
	if (sources_take(&work.sources, command, files, count, err) < 0)
		return -1;
	return release(&work, out, err);
}
