/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* An import, step by step; each is done on the files that the one before left in a folder of its own:
 *
 * 1. unpack   what was named becomes a list of files                       a process without anything else
 * 2. verify   the signatures of ClamAV's containers                         the same
 * 3. stage    each file is read, checked, and written as it will be published    the same
 * 4. compare  with the newest release: nothing new, too much gone, older?       the same
 * 5. check    who will use it takes it                                      the same; programs
 * 6. release  as 'release' does it                                          here, where the keys are
 */
#include "publisher/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/manifest.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "publisher/diff_compare.h"
#include "publisher/diff_side.h"
#include "publisher/feed/feed.h"
#include "publisher/history.h"
#include "publisher/import_check.h"
#include "publisher/import_child.h"
#include "publisher/import_stage.h"
#include "publisher/import_unpack.h"
#include "publisher/options.h"
#include "publisher/release.h"
#include "publisher/scratch.h"

#define MEMORY_MAX (16ull << 30) /* address space: files are mapped */
#define SECONDS    3600
#define FEW        10 /* a file may lose so many signatures, whatever share of it they are */

/* --format, by its number. */
static const struct feed_format *const formats[] = {NULL, &feed_clamav, &feed_yara, &feed_hash,
	&feed_list, &feed_suricata, &feed_ossec, &feed_lines};

struct work {
	const struct command *command;
	const struct feed_format *format;
	struct scratch scratch;
	struct repo repo;
	struct history *history;
	struct diff_compare compare;
	char inbox[320], set[384];
	json_t *unpacked, *staged, *differences, *by;
	json_t *ignored; /* what --force passed over */
	int64_t version; /* of the feed; 0: it has none */
	int64_t loaded;  /* signatures that the engine counted; -1: none did */
	char description[YG_DESCRIPTION_MAX + 1];
};

static void work_free_at(struct work *work)
{
	json_decref(work->unpacked);
	json_decref(work->staged);
	json_decref(work->differences);
	json_decref(work->by);
	json_decref(work->ignored);
	diff_compare_free_at(&work->compare);
	history_free(work->history);
	repo_close(&work->repo);
	scratch_close(&work->scratch);
}

static int open_work(struct work *work, struct yg_err *err)
{
	const struct command *command = work->command;
	char set[128];
	if (!yg_component_role(command->component))
		return yg_fail(err, YG_EFORMAT,
			"component: want am-pattern, am-yara, am-hash, wr-list, fw-list, ips-rules, im-rules or "
			"li-rules, have '%.64s'",
			command->component);
	if (command->feed < 0 || (size_t)command->feed >= YG_COUNT(formats))
		return yg_fail(err, YG_EFORMAT, "--format: unknown");
	work->format = formats[command->feed];
	if (repo_open(&work->repo, command->repo, false, err) < 0)
		return -1;
	work->history = history_load(&work->repo, command->component, err);
	work->ignored = json_array();
	if (!work->history || !work->ignored || scratch_open(&work->scratch, err) < 0)
		return -1;
	if (!yg_str_put(set, sizeof(set), "set/%s", command->component) ||
		!yg_str_put(work->inbox, sizeof(work->inbox), "%s/inbox", work->scratch.path) ||
		!yg_str_put(work->set, sizeof(work->set), "%s/%s", work->scratch.path, set))
		return yg_fail(err, YG_ELIMIT, "path too long");
	if (yg_fs_mkdirs(work->scratch.dir, "inbox", 0700, err) < 0 ||
		yg_fs_mkdirs(work->scratch.dir, set, 0700, err) < 0 ||
		yg_fs_mkdirs(work->scratch.dir, "tmp", 0700, err) < 0 ||
		yg_fs_mkdirs(work->scratch.dir, "before", 0700, err) < 0)
		return -1;
	return 0;
}

/* With --force a refusal is something to be told about. */
static int refuse(struct work *work, const struct yg_err *why, struct yg_err *err)
{
	if (!work->command->force) {
		*err = *why;
		return -1;
	}
	return json_array_append_new(work->ignored, json_string(why->msg)) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

/* ---- in processes of their own ---- */

struct fds {
	int *list; /* owned */
	size_t count;
};

static void fds_free_at(const struct fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		fd_free_at(&fds->list[i]);
	free(fds->list);
}

/* A job that reads the sources and the scratch folder, and writes into that. */
static int run_child(struct work *work, const char *what,
	int (*job)(void *ctx, json_t **out, struct yg_err *err), void *ctx, json_t **out,
	struct yg_err *err)
{
	const struct command *command = work->command;
	size_t sources = command->operand_count - 2;
	struct fds fds YG_AUTO(fds) = {calloc(sources + 1, sizeof(int)), 0};
	struct yg_sandbox_path *paths YG_AUTO(mem) = calloc(sources + 1, sizeof(*paths));
	if (!fds.list || !paths)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < sources; i++) {
		int fd = open(command->operands[2 + i], O_PATH | O_CLOEXEC);
		if (fd < 0)
			return yg_fail_sys(err, errno, "'%.200s'", command->operands[2 + i]);
		fds.list[fds.count++] = fd;
		paths[i] = (struct yg_sandbox_path){.fd = fd};
	}
	paths[sources] = (struct yg_sandbox_path){.fd = work->scratch.dir, .write = true};
	const struct import_child child = {.what = what,
		.work = job,
		.ctx = ctx,
		.paths = paths,
		.path_count = (uint32_t)sources + 1,
		.memory_max = MEMORY_MAX,
		.seconds = SECONDS};
	return import_child_run(&child, out, err);
}

static int unpack(struct work *work, struct yg_err *err)
{
	const struct command *command = work->command;
	struct import_unpack job = {.component = command->component,
		.format = work->format,
		.sources = &command->operands[2],
		.source_count = command->operand_count - 2,
		.inbox = work->inbox};
	return run_child(work, "unpacking the feed", import_unpack_work, &job, &work->unpacked,
		err);
}

/* ---- containers ---- */

/* "daily 27488" in a text, as we write descriptions; 0: not there. */
static uint64_t version_in(const char *text, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = text; (at = strstr(at, name)); at += len) {
		struct yg_bytes digits = yg_bytes_of(at + len);
		uint64_t version = 0;
		if ((at > text && at[-1] != ' ') || digits.ptr[0] != ' ')
			continue;
		digits.ptr++;
		digits.len = strspn((const char *)digits.ptr, "0123456789");
		if (feed_number(digits, INT64_MAX, &version))
			return version;
	}
	return 0;
}

static int older(struct work *work, const char *name, int64_t version, struct yg_err *err)
{
	if (work->history->count == 0)
		return 0;
	uint64_t have = version_in(work->history->releases[0].manifest->description, name);
	struct yg_err why = {0};
	if ((uint64_t)version >= have)
		return 0;
	(void)yg_fail_cause(&why, YG_EFORMAT, "feed.older",
		"%s: version %lld is older than %llu, which is published", name, (long long)version,
		(unsigned long long)have);
	return refuse(work, &why, err);
}

/* The most recent container gives the version; all of them are named in the description. */
static int take_container(struct work *work, const json_t *item, struct yg_err *err)
{
	const char *path = NULL, *file = NULL, *time = NULL;
	int64_t version = 0;
	bool is_signed = false;
	char name[128], text[YG_DESCRIPTION_MAX + 1];
	if (yg_json_str(item, "path", 4096, &path, err) < 0 ||
		yg_json_str(item, "name", 127, &file, err) < 0 ||
		yg_json_str(item, "time", 63, &time, err) < 0 ||
		yg_json_bool(item, "signed", &is_signed, err) < 0 ||
		yg_json_int(item, "version", 1, UINT32_MAX, &version, err) < 0)
		return -1;
	if (is_signed && import_check_cvd(path, &work->scratch, err) < 0)
		return yg_wrap(err, "%s", file);
	if (!is_signed && !work->command->unsigned_too)
		return yg_fail_cause(err, YG_EUNTRUSTED, "feed.unsigned",
			"%s: nobody can sign a .cld: take the .cvd, or say --unsigned", file);
	if (!yg_str_put(name, sizeof(name), "%.*s", (int)strcspn(file, "."), file) ||
		older(work, name, version, err) < 0)
		return -1;
	if (version > work->version)
		work->version = version;
	if (yg_str_put(text, sizeof(text), "%s%s%s %lld (%s)",
		    work->description[0] ? work->description : "ClamAV",
		    work->description[0] ? ", " : " ", name, (long long)version, time))
		(void)!yg_str_put(work->description, sizeof(work->description), "%s", text);
	return 0;
}

static int take_containers(struct work *work, struct yg_err *err)
{
	json_t *list = NULL;
	if (yg_json_array(work->unpacked, "containers", 8192, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (take_container(work, json_array_get(list, i), err) < 0)
			return -1;
	}
	return 0;
}

static int stage(struct work *work, struct yg_err *err)
{
	json_t *files = NULL, *ready = NULL;
	if (yg_json_array(work->unpacked, "files", 8192, &files, err) < 0)
		return -1;
	struct import_stage job = {.component = work->command->component,
		.format = work->format,
		.files = files,
		.out = work->set};
	if (run_child(work, "reading the feed", import_stage_work, &job, &work->staged, err) < 0 ||
		yg_json_array(work->staged, "files", YG_MANIFEST_FILES_MAX, &ready, err) < 0)
		return -1;
	if (json_array_size(ready) == 0)
		return yg_fail(err, YG_EFORMAT, "the feed has nothing for %s",
			work->command->component);
	return diff_side_folder(&work->compare.b, work->set, err);
}

/* ---- compared with what is published ---- */

static int before(struct work *work, struct yg_err *err)
{
	char folder[320];
	if (!yg_str_put(folder, sizeof(folder), "%s/before", work->scratch.path))
		return yg_fail(err, YG_ELIMIT, "path too long");
	if (work->history->count > 0) {
		struct diff_side all = {0};
		int bad = diff_side_release(&all, work->repo.dir,
			work->history->releases[0].manifest, folder, err);
		/* Samples come with each command; they are no part of a feed. */
		for (size_t i = 0; bad == 0 && i < all.count; i++) {
			if (strchr(all.files[i].name, '/'))
				continue;
			bad = diff_compare_add(&work->compare.a, all.files[i].name,
				all.files[i].path, err);
		}
		diff_compare_free(&all);
		if (bad < 0)
			return -1;
	}
	return run_child(work, "comparing with the newest release", diff_compare_work,
		&work->compare, &work->differences, err);
}

/* The same files with the same bytes, and no samples but those that are there. */
static int unchanged(struct work *work, bool *out, struct yg_err *err)
{
	const struct diff_side *fresh = &work->compare.b;
	*out = false;
	if (work->history->count == 0 || work->compare.a.count != fresh->count ||
		work->command->find_count + work->command->pass_count > 0)
		return 0;
	const struct yg_manifest *manifest = work->history->releases[0].manifest;
	for (size_t i = 0; i < fresh->count; i++) {
		const struct yg_file *file = yg_manifest_file(manifest, fresh->files[i].name);
		uint8_t hash[YG_HASH_SIZE];
		char text[YG_HASH_TEXT];
		int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, fresh->files[i].path, err);
		if (fd < 0 || yg_hash_fd(fd, hash, NULL, err) < 0)
			return -1;
		yg_str_hex(hash, sizeof(hash), text);
		if (!file || strcmp(text, file->sha256) != 0)
			return 0;
	}
	*out = true;
	return 0;
}

static int shrunk(struct work *work, const char *what, int64_t from, int64_t to, struct yg_err *err)
{
	int64_t allowed = work->command->max_shrink;
	struct yg_err why = {0};
	if (from <= to || (double)(from - to) * 100 <= (double)from * (double)allowed)
		return 0;
	(void)yg_fail_cause(&why, YG_EFORMAT, "feed.shrunk",
		"%s: shrank from %lld signatures to %lld, by %lld %%; want <= %lld %% (--max-shrink)",
		what, (long long)from, (long long)to, (long long)((from - to) * 100 / from),
		(long long)allowed);
	return refuse(work, &why, err);
}

static int check_shrink(struct work *work, struct yg_err *err)
{
	json_t *files = NULL;
	int64_t from = 0, to = 0;
	if (yg_json_int(work->differences, "before", 0, INT64_MAX, &from, err) < 0 ||
		yg_json_int(work->differences, "after", 0, INT64_MAX, &to, err) < 0 ||
		yg_json_array(work->differences, "files", SIZE_MAX, &files, err) < 0 ||
		shrunk(work, "the feed", from, to, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *item = json_array_get(files, i);
		const char *name = NULL;
		if (yg_json_str(item, "file", 255, &name, err) < 0 ||
			yg_json_int(item, "before", 0, INT64_MAX, &from, err) < 0 ||
			yg_json_int(item, "after", 0, INT64_MAX, &to, err) < 0 ||
			(from - to > FEW && shrunk(work, name, from, to, err) < 0))
			return -1;
	}
	return 0;
}

static int check_content(struct work *work, struct yg_err *err)
{
	struct yg_err why = {0};
	if (import_check_content(work->command, &work->scratch, &work->by, &work->loaded, &why) ==
		0)
		return 0;
	if (strcmp(why.cause, "feed.engine") == 0)
		return refuse(work, &why, err);
	*err = why;
	return -1;
}

/* ---- the release ---- */

static int release(struct work *work, json_t **out, struct yg_err *err)
{
	const struct diff_side *fresh = &work->compare.b;
	struct command *command YG_AUTO(mem) = malloc(sizeof(*command));
	struct release_file *files YG_AUTO(mem) = calloc(fresh->count + 1, sizeof(*files));
	if (!command || !files)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*command = *work->command;
	for (size_t i = 0; i < fresh->count; i++)
		files[i] = (struct release_file){fresh->files[i].path, fresh->files[i].name};
	if (command->version == 0 && work->version > work->history->highest)
		command->version = work->version;
	if (!command->description && work->description[0])
		command->description = work->description;
	return release_files(command, files, fresh->count, out, err);
}

static int put(json_t *out, const json_t *from, const char *name, struct yg_err *err)
{
	json_t *value = json_object_get(from, name);
	return value && json_object_set(out, name, value) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

static int describe(struct work *work, json_t *out, bool published, struct yg_err *err)
{
	static const char *const counts[] = {"added", "removed", "changed"};
	for (size_t i = 0; i < YG_COUNT(counts); i++) {
		if (put(out, work->differences, counts[i], err) < 0)
			return -1;
	}
	if (json_object_set_new(out, "published", json_boolean(published)) < 0 ||
		json_object_set_new(out, "component", json_string(work->command->component)) < 0 ||
		(work->loaded >= 0 &&
			json_object_set_new(out, "loaded", json_integer((json_int_t)work->loaded)) <
				0) ||
		(work->by && json_object_set(out, "checked_by", work->by) < 0) ||
		(json_array_size(work->ignored) > 0 &&
			json_object_set(out, "ignored", work->ignored) < 0) ||
		(!json_object_get(out, "unchanged") &&
			json_object_set(out, "imported", json_object_get(work->staged, "files")) <
				0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	const json_t *left_out = json_object_get(work->unpacked, "left_out");
	if (put(out, work->staged, "signatures", err) < 0 ||
		put(out, work->staged, "duplicates", err) < 0)
		return -1;
	return json_array_size(left_out) > 0 ? put(out, work->unpacked, "left_out", err) : 0;
}

static int say_unchanged(struct work *work, json_t *out, struct yg_err *err)
{
	int64_t version = work->history->releases[0].manifest->version;
	char *text YG_AUTO(
		mem) = yg_str_format(OPTIONS_SAY(work->command->lang,
					     "nothing new: version %lld has all of it",
					     "新しい内容はありません (バージョン %lld と同じです)"),
		(long long)version);
	if (!text || json_object_set_new(out, "note", json_string(text)) < 0 ||
		json_object_set_new(out, "unchanged", json_true()) < 0 ||
		json_object_set_new(out, "version", json_integer((json_int_t)version)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int import(struct work *work, json_t **out, struct yg_err *err)
{
	bool same = false;
	if (open_work(work, err) < 0 || unpack(work, err) < 0 || take_containers(work, err) < 0 ||
		stage(work, err) < 0 || before(work, err) < 0 || unchanged(work, &same, err) < 0)
		return -1;
	bool nothing_new = same && !work->command->force;
	if (!nothing_new && (check_shrink(work, err) < 0 || check_content(work, err) < 0))
		return -1;
	bool publish = !nothing_new && !work->command->dry_run;
	json_t *result YG_AUTO(yg_json) = NULL;
	if (publish && release(work, &result, err) < 0)
		return -1;
	if (!publish)
		result = json_object();
	if (!result)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (nothing_new && say_unchanged(work, result, err) < 0)
		return -1;
	if (describe(work, result, publish, err) < 0)
		return -1;
	*out = yg_take(result);
	return 0;
}

int import_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(work) = {.command = command,
		.scratch = {.dir = -1},
		.repo = {.dir = -1, .lock = -1},
		.loaded = -1};
	return import(&work, out, err);
}
