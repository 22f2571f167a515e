/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/deep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "content/codec.h"
#include "content/delta.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/jobs.h"
#include "publisher/marks.h"
#include "publisher/objects.h"

#define LOOSE_SAID 100u /* files that are listed by name */

/* ---- which objects ---- */

struct check {
	const struct yg_form *form;
	const struct yg_file *file,
		*base; /* base: what a delta changes; NULL: not among the releases */
	const struct yg_manifest *manifest;
	char *problem; /* owned; NULL: it is good */
};

struct checks {
	struct verify *verify;
	struct check *list;
	size_t count;
};

static void checks_free_at(struct checks *checks)
{
	for (size_t i = 0; i < checks->count; i++)
		free(checks->list[i].problem);
	free(checks->list);
}

static int by_object(const void *a, const void *b)
{
	const struct check *one = a, *two = b;
	int order = strcmp(one->form->sha256, two->form->sha256);
	return order != 0 ? order : strcmp(one->file->sha256, two->file->sha256);
}

static size_t count_forms(const struct verify *verify)
{
	size_t count = 0;
	for (size_t i = 0; i < verify->release_count; i++) {
		const struct yg_manifest *manifest = verify->releases[i].manifest;
		for (size_t k = 0; k < manifest->file_count; k++)
			count += manifest->files[k].form_count;
	}
	return count;
}

static int by_content(const void *a, const void *b)
{
	return strcmp((*(const struct yg_file *const *)a)->sha256,
		(*(const struct yg_file *const *)b)->sha256);
}

/* Every file of every release, by its content. */
static const struct yg_file **all_files(const struct verify *verify, size_t *count)
{
	size_t most = 0;
	for (size_t i = 0; i < verify->release_count; i++)
		most += verify->releases[i].manifest->file_count;
	const struct yg_file **files = calloc(most + 1, sizeof(*files));
	for (size_t i = 0; files && i < verify->release_count; i++) {
		const struct yg_manifest *manifest = verify->releases[i].manifest;
		for (size_t k = 0; k < manifest->file_count; k++)
			files[(*count)++] = &manifest->files[k];
	}
	if (files && *count > 0)
		qsort(files, *count, sizeof(const struct yg_file *), by_content);
	return files;
}

static const struct yg_file *find_content(const struct yg_file **files, size_t count,
	const char *sha256)
{
	struct yg_file key = {0};
	const struct yg_file *at = &key;
	memcpy(key.sha256, sha256, sizeof(key.sha256));
	const struct yg_file **found = bsearch(&at, files, count, sizeof(const struct yg_file *),
		by_content);
	return found ? *found : NULL;
}

/* Of a bundle only what is in it: what should be is deep_complete's question. */
static bool wanted(const struct checks *checks, const struct yg_form *form, bool deltas)
{
	const struct view *view = &checks->verify->view;
	if (form->encoding == YG_ENCODING_DELTA && !deltas)
		return false;
	return !view->bundle || view_has(view, form);
}

static int make_checks(struct checks *checks, bool deltas, struct yg_err *err)
{
	struct verify *verify = checks->verify;
	size_t count = 0, kept = 0;
	const struct yg_file **files YG_AUTO(mem) = all_files(verify, &count);
	checks->list = calloc(count_forms(verify) + 1, sizeof(*checks->list));
	if (!files || !checks->list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < verify->release_count; i++) {
		const struct yg_manifest *manifest = verify->releases[i].manifest;
		for (size_t k = 0; k < manifest->file_count; k++) {
			const struct yg_file *file = &manifest->files[k];
			for (size_t n = 0; n < file->form_count; n++) {
				const struct yg_form *form = &file->forms[n];
				if (wanted(checks, form, deltas))
					checks->list[checks->count++] = (struct check){form, file,
						find_content(files, count, form->from), manifest,
						NULL};
			}
		}
	}
	if (checks->count > 0)
		qsort(checks->list, checks->count, sizeof(*checks->list), by_object);
	for (size_t i = 0; i < checks->count; i++) {
		if (kept == 0 || by_object(&checks->list[kept - 1], &checks->list[i]) != 0)
			checks->list[kept++] = checks->list[i];
	}
	checks->count = kept;
	return 0;
}

/* ---- one object ---- */

static int check_hash(int fd, const struct yg_form *form, struct yg_err *err)
{
	char have[YG_SHA256_TEXT];
	uint64_t size = 0;
	if (yg_codec_hash(fd, have, &size, err) < 0)
		return -1;
	if (size == form->size && strcmp(have, form->sha256) == 0)
		return 0;
	return yg_fail(err, YG_EUNTRUSTED, "want %llu bytes with SHA-256 %s, have %llu with %s",
		(unsigned long long)form->size, form->sha256, (unsigned long long)size, have);
}

static int apply(const struct view *view, const struct check *check, int fd, int sink,
	struct yg_err *err)
{
	int base YG_AUTO(fd) = objects_load(view->dir, view->scratch, check->base, err);
	if (base < 0)
		return yg_wrap(err, "cannot be applied: its base");
	return yg_delta_decode(base, fd, sink, check->form, check->file->sha256, check->file->size,
		err);
}

static int examine(const struct view *view, const struct check *check, struct yg_err *err)
{
	int sink YG_AUTO(fd) = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (sink < 0)
		return yg_fail_sys(err, errno, "/dev/null");
	int fd YG_AUTO(fd) = view_object(view, check->form, err);
	if (fd < 0)
		return -1;
	if (check->form->encoding != YG_ENCODING_DELTA)
		return yg_codec_decode(fd, sink, check->form, check->file->sha256,
			check->file->size, err);
	return check->base && !view->bundle ? apply(view, check, fd, sink, err)
					    : check_hash(fd, check->form, err);
}

/* In a process of its own. */
static void work(void *ctx, size_t index, int out, struct jobs_result *result)
{
	const struct checks *checks = ctx;
	(void)out;
	result->good = examine(&checks->verify->view, &checks->list[index], &result->err) == 0;
}

static int done(void *ctx, size_t index, int out, const struct jobs_result *result,
	struct yg_err *err)
{
	struct checks *checks = ctx;
	struct check *check = &checks->list[index];
	(void)out;
	if (result->good)
		return 0;
	check->problem = strdup(result->err.msg);
	return check->problem ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* In the order of the objects, whoever was ready first. */
static int tell(struct verify *verify, const struct checks *checks, struct yg_err *err)
{
	for (size_t i = 0; i < checks->count; i++) {
		const struct check *check = &checks->list[i];
		char path[YG_OBJECT_PATH];
		bool delta = check->form->encoding == YG_ENCODING_DELTA;
		verify->objects += !delta;
		verify->deltas += delta;
		verify->unproved += delta && (!check->base || verify->view.bundle);
		yg_form_path(check->form, path);
		if (check->problem &&
			verify_problem(verify, path, err, "%s version %lld, '%.100s': %s",
				check->manifest->component, (long long)check->manifest->version,
				check->file->path, check->problem) < 0)
			return -1;
	}
	return 0;
}

int deep_objects(struct verify *verify, bool deltas, struct yg_err *err)
{
	struct checks checks YG_AUTO(checks) = {.verify = verify};
	if (make_checks(&checks, deltas, err) < 0)
		return -1;
	const struct jobs jobs = {.ctx = &checks,
		.count = checks.count,
		.what = "checking objects",
		.dir = -1,
		.lock = -1,
		.work = work,
		.done = done};
	return jobs_run(&jobs, NULL, err) < 0 ? -1 : tell(verify, &checks, err);
}

/* ---- a bundle's completeness ---- */

static const struct yg_manifest *release_of(const struct verify *verify, const char *component,
	int64_t version)
{
	for (size_t i = 0; i < verify->release_count; i++) {
		const struct yg_manifest *manifest = verify->releases[i].manifest;
		if (strcmp(manifest->component, component) == 0 &&
			(version == 0 ? verify->releases[i].newest : manifest->version == version))
			return manifest;
	}
	return NULL;
}

static bool has_whole(const struct view *view, const struct yg_file *file)
{
	for (size_t i = 0; i < file->form_count; i++) {
		if (file->forms[i].encoding != YG_ENCODING_DELTA && view_has(view, &file->forms[i]))
			return true;
	}
	return false;
}

/* Somebody who has `old` gets the file: has it, has a file that a delta in the bundle changes. */
static bool reachable(const struct view *view, const struct yg_manifest *old,
	const struct yg_file *file)
{
	for (size_t i = 0; old && i < old->file_count; i++) {
		if (strcmp(old->files[i].sha256, file->sha256) == 0)
			return true;
		for (size_t n = 0; n < file->form_count; n++) {
			const struct yg_form *form = &file->forms[n];
			if (form->encoding == YG_ENCODING_DELTA &&
				strcmp(form->from, old->files[i].sha256) == 0 &&
				view_has(view, form))
				return true;
		}
	}
	return false;
}

static int check_from(struct verify *verify, const struct yg_manifest *newest, int64_t from,
	struct yg_err *err)
{
	const struct yg_manifest *old = from ? release_of(verify, newest->component, from) : NULL;
	for (size_t k = 0; k < newest->file_count; k++) {
		const struct yg_file *file = &newest->files[k];
		if (has_whole(&verify->view, file) || reachable(&verify->view, old, file))
			continue;
		char whom[64];
		bool fits = from ? yg_str_put(whom, sizeof(whom), "computers with version %lld",
					   (long long)from)
				 : yg_str_put(whom, sizeof(whom), "computers without it");
		if (verify_problem(verify, newest->component, err,
			    "version %lld, '%.100s': %s cannot get this file from the bundle",
			    (long long)newest->version, file->path, fits ? whom : "") < 0)
			return -1;
	}
	return 0;
}

int deep_complete(struct verify *verify, struct yg_err *err)
{
	json_t *list = json_object_get(yg_bundle_info(verify->view.bundle), "components");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i), *from = json_object_get(item, "from");
		const char *name = json_string_value(json_object_get(item, "name"));
		int64_t version = json_integer_value(json_object_get(item, "version"));
		const struct yg_manifest *newest = release_of(verify, name, 0);
		if (!newest || newest->version != version) {
			if (verify_problem(verify, YG_BUNDLE_INFO, err,
				    "%s: want version %lld, have %lld in what is signed", name,
				    (long long)version,
				    newest ? (long long)newest->version : 0ll) < 0)
				return -1;
			continue;
		}
		if (json_array_size(from) == 0 && check_from(verify, newest, 0, err) < 0)
			return -1;
		for (size_t k = 0; k < json_array_size(from); k++) {
			if (check_from(verify, newest, json_integer_value(json_array_get(from, k)),
				    err) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- files that nothing names ---- */

struct loose {
	struct verify *verify;
	struct marks marks;
};

static void loose_free_at(struct loose *loose)
{
	marks_free_at(&loose->marks);
}

static int visit(void *ctx, const char *path, uint64_t size, int64_t mtime, struct yg_err *err)
{
	struct loose *loose = ctx;
	struct verify *verify = loose->verify;
	(void)mtime;
	if (marks_has(&loose->marks, path))
		return 0;
	verify->loose++;
	verify->loose_bytes += size;
	if (verify->loose > LOOSE_SAID)
		return 0;
	return json_array_append_new(verify->unreferenced,
		       json_pack("{s:s, s:I}", "file", path, "bytes", (json_int_t)size)) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

int deep_loose(struct verify *verify, struct yg_err *err)
{
	const struct command *command = verify->command;
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct loose loose YG_AUTO(loose) = {.verify = verify};
	if (repo_open(&repo, command->repo, false, err) < 0 ||
		marks_collect(&loose.marks, &repo, command->now - command->grace * REPO_DAY, err) <
			0)
		return -1;
	return marks_walk(repo.dir, visit, &loose, err);
}
