/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/deltas.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "content/delta.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/jobs.h"
#include "publisher/objects.h"

struct edge {        /* from a file of an earlier release to the new file of the same path */
	size_t file; /* of the manifest */
	size_t release;
	const struct yg_file *old;
	struct yg_form form;
	bool have;
};

struct plan {
	const struct repo *repo;
	const struct history *history;
	const struct sources *sources;
	const struct yg_manifest *manifest;
	size_t releases;
	int dir;                    /* for nameless files */
	const struct yg_file **old; /* releases × files; NULL: that release has no such file */
	struct edge *edges;         /* nearest release first */
	size_t edge_count;
	size_t *todo; /* edges that must be made */
	size_t todo_count;
	struct deltas_count *count;
};

static void plan_free_at(struct plan *plan)
{
	free(plan->old);
	free(plan->edges);
	free(plan->todo);
}

/* ---- what is worth making ---- */

static const struct yg_file *old_of(const struct plan *plan, size_t release, size_t file)
{
	return plan->old[release * plan->manifest->file_count + file];
}

/* Both lists are in byte order of path. */
static void match(struct plan *plan, size_t release)
{
	const struct yg_manifest *before = plan->history->releases[release].manifest;
	const struct yg_manifest *now = plan->manifest;
	for (size_t i = 0, k = 0; i < before->file_count && k < now->file_count;) {
		int order = strcmp(before->files[i].path, now->files[k].path);
		if (order == 0)
			plan->old[release * now->file_count + k] = &before->files[i];
		i += order <= 0;
		k += order >= 0;
	}
}

/* A delta of an earlier release that makes the same of the same. */
static bool made_before(const struct plan *plan, const struct edge *edge, struct yg_form *out)
{
	const struct yg_file *file = &plan->manifest->files[edge->file];
	for (size_t i = 0; i < plan->releases; i++) {
		const struct yg_file *same = old_of(plan, i, edge->file);
		if (!same || strcmp(same->sha256, file->sha256) != 0)
			continue;
		for (size_t n = 0; n < same->form_count; n++) {
			const struct yg_form *form = &same->forms[n];
			if (form->encoding == YG_ENCODING_DELTA &&
				strcmp(form->from, edge->old->sha256) == 0 &&
				objects_good(plan->repo->dir, form)) {
				*out = *form;
				return true;
			}
		}
	}
	return false;
}

static bool worth(const struct plan *plan, size_t release, size_t file)
{
	const struct yg_file *old = old_of(plan, release, file);
	const struct yg_file *new = &plan->manifest->files[file];
	if (!old || old->size == 0 || strcmp(old->sha256, new->sha256) == 0 ||
		yg_file_form(new)->size < DELTAS_WHOLE_MIN)
		return false;
	for (size_t i = 0; i < release; i++) {
		const struct yg_file *nearer = old_of(plan, i, file);
		if (nearer && strcmp(nearer->sha256, old->sha256) == 0)
			return false;
	}
	return true;
}

static int make_plan(struct plan *plan, struct yg_err *err)
{
	size_t files = plan->manifest->file_count, most = plan->releases * files;
	plan->old = calloc(most + 1, sizeof(*plan->old));
	plan->edges = calloc(most + 1, sizeof(*plan->edges));
	plan->todo = calloc(most + 1, sizeof(*plan->todo));
	if (!plan->old || !plan->edges || !plan->todo)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < plan->releases; i++)
		match(plan, i);
	for (size_t i = 0; i < plan->releases; i++) {
		for (size_t k = 0; k < files; k++) {
			if (!worth(plan, i, k))
				continue;
			struct edge *edge = &plan->edges[plan->edge_count];
			*edge = (struct edge){.file = k, .release = i, .old = old_of(plan, i, k)};
			edge->have = made_before(plan, edge, &edge->form);
			plan->count->kept += edge->have;
			if (!edge->have)
				plan->todo[plan->todo_count++] = plan->edge_count;
			plan->edge_count++;
		}
	}
	return 0;
}

/* ---- making ---- */

static int open_new(const struct plan *plan, size_t file, struct yg_err *err)
{
	const struct source *source = &plan->sources->list[file];
	return source->kind == SOURCE_PLAIN
		? sources_open(source, -1, err)
		: objects_load(plan->repo->dir, plan->dir, &plan->manifest->files[file], err);
}

/* Nothing is published that was not seen to work. */
static int prove(int old, int delta, const struct yg_form *form, const struct yg_file *file,
	struct yg_err *err)
{
	int sink YG_AUTO(fd) = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (sink < 0 || lseek(delta, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "reading a new delta");
	return yg_delta_decode(old, delta, sink, form, file->sha256, file->size, err);
}

/* In a process of its own. A result without a size: not worth it. */
static void work(void *ctx, size_t index, int out, struct jobs_result *result)
{
	const struct plan *plan = ctx;
	const struct edge *edge = &plan->edges[plan->todo[index]];
	const struct yg_file *file = &plan->manifest->files[edge->file];
	struct yg_form form = {.encoding = YG_ENCODING_DELTA};
	int old YG_AUTO(fd) = objects_load(plan->repo->dir, plan->dir, edge->old, &result->err);
	int new YG_AUTO(fd) = old < 0 ? -1 : open_new(plan, edge->file, &result->err);
	if (new < 0)
		return;
	if (yg_delta_encode(old, new, out, yg_file_form(file)->size / DELTAS_SHARE, &form,
		    &result->err) < 0) {
		result->good = result->err.code == YG_ELIMIT;
		return;
	}
	form.encoding = YG_ENCODING_DELTA;
	memcpy(form.from, edge->old->sha256, sizeof(form.from));
	if (prove(old, out, &form, file, &result->err) < 0)
		return;
	result->form = form;
	result->good = true;
}

static int done(void *ctx, size_t index, int out, const struct jobs_result *result,
	struct yg_err *err)
{
	struct plan *plan = ctx;
	struct edge *edge = &plan->edges[plan->todo[index]];
	if (!result->good && result->err.code == YG_ESYSTEM) {
		*err = result->err;
		return yg_wrap(err, "delta of '%s'", edge->old->path);
	}
	/* An old object that is gone, or a source that changes meanwhile: the whole is there. */
	if (!result->good) {
		plan->count->lacking++;
		return 0;
	}
	if (result->form.size == 0) {
		plan->count->dear++;
		return 0;
	}
	edge->form = result->form;
	edge->have = true;
	plan->count->made++;
	return objects_keep(plan->repo->dir, out, &edge->form, err);
}

int deltas_make(const struct repo *repo, const struct history *history,
	const struct sources *sources, size_t releases, int dir, int64_t seconds,
	struct yg_manifest *manifest, struct deltas_count *count, struct yg_err *err)
{
	size_t begun = 0;
	struct plan plan YG_AUTO(plan) = {.repo = repo,
		.history = history,
		.sources = sources,
		.manifest = manifest,
		.releases = releases < history->count ? releases : history->count,
		.dir = dir,
		.count = count};
	*count = (struct deltas_count){0};
	if (make_plan(&plan, err) < 0)
		return -1;
	const struct jobs jobs = {.ctx = &plan,
		.count = plan.todo_count,
		.what = "making deltas",
		.dir = dir,
		.lock = repo->lock,
		.until_ms = seconds > 0 ? yg_clock_mono_ms() + seconds * 1000 : 0,
		.work = work,
		.done = done};
	if (jobs_run(&jobs, &begun, err) < 0)
		return -1;
	count->late = plan.todo_count - begun;
	for (size_t i = 0; i < plan.edge_count; i++) {
		const struct edge *edge = &plan.edges[i];
		if (!edge->have)
			continue;
		count->bytes += edge->form.size;
		count->newest += edge->release == 0 ? edge->form.size : 0;
		if (yg_file_add_form(&manifest->files[edge->file], &edge->form, err) < 0)
			return -1;
	}
	return 0;
}
