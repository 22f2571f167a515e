/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/import_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define CHUNK (1u << 20)

/* Texts that outlive the file they came from; all gone at once. */
struct arena {
	uint8_t **chunks; /* owned */
	size_t count, used, size;
};

struct line { /* of a file that is sorted */
	struct yg_bytes text;
	const char *extension;
};

struct work {
	const struct import_stage *job;
	struct feed_seen ids;  /* of rules, over all files; texts in ids_text */
	const char **id_files; /* which file each is in; borrowed from the job */
	size_t id_cap;
	struct arena ids_text;
	json_t *files;
	uint64_t signatures, duplicates;
};

struct mapped {
	struct yg_bytes bytes;
};

/* One file while it is read. */
struct reading {
	struct work *work;
	const char *from;
	const struct feed_format *format;
	struct mapped in;
	struct arena texts;
	struct feed_seen seen; /* FEED_LINES */
	struct line *lines;    /* FEED_SORTED, owned */
	size_t line_count, line_cap;
	FILE *out; /* FEED_LINES */
	uint64_t signatures, duplicates;
};

static void arena_free(struct arena *arena)
{
	for (size_t i = 0; i < arena->count; i++)
		free(arena->chunks[i]);
	free(arena->chunks);
	*arena = (struct arena){0};
}

static int keep(struct arena *arena, struct yg_bytes text, struct yg_bytes *out, struct yg_err *err)
{
	if (arena->count == 0 || arena->size - arena->used < text.len) {
		size_t size = text.len > CHUNK ? text.len : CHUNK;
		uint8_t **chunks = reallocarray(arena->chunks, arena->count + 1, sizeof(*chunks));
		uint8_t *chunk = malloc(size);
		if (chunks)
			arena->chunks = chunks;
		if (!chunks || !chunk) {
			free(chunk);
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		}
		arena->chunks[arena->count++] = chunk;
		arena->used = 0;
		arena->size = size;
	}
	uint8_t *at = arena->chunks[arena->count - 1] + arena->used;
	if (text.len > 0)
		memcpy(at, text.ptr, text.len);
	arena->used += text.len;
	*out = (struct yg_bytes){at, text.len};
	return 0;
}

static void work_free_at(struct work *work)
{
	feed_seen_free(&work->ids);
	free(work->id_files);
	arena_free(&work->ids_text);
}

static void mapped_free_at(const struct mapped *mapped)
{
	if (mapped->bytes.len > 0)
		(void)munmap((void *)(uintptr_t)mapped->bytes.ptr, mapped->bytes.len);
}

static void reading_free_at(struct reading *reading)
{
	mapped_free_at(&reading->in);
	arena_free(&reading->texts);
	feed_seen_free(&reading->seen);
	free(reading->lines);
	if (reading->out)
		(void)fclose(reading->out);
}

static int map(const char *path, struct mapped *out, struct yg_err *err)
{
	struct stat st;
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, path, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "fstat");
	out->bytes = (struct yg_bytes){(const uint8_t *)"", 0};
	if (st.st_size == 0)
		return 0;
	void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return yg_fail_sys(err, errno, "mmap");
	out->bytes = (struct yg_bytes){at, (size_t)st.st_size};
	return 0;
}

/* ---- names that are there once ---- */

/* Suricata knows a rule by its sid, OSSEC by its id, over all files of a set. */
static bool once(const struct feed_format *format, struct yg_bytes key)
{
	if (format == &feed_suricata)
		return true;
	return format == &feed_ossec && key.len > 5 && memcmp(key.ptr, "rule ", 5) == 0 &&
		key.ptr[key.len - 1] != ')';
}

static int check_once(struct reading *reading, const struct feed_entry *entry, struct yg_err *err)
{
	struct work *work = reading->work;
	struct yg_bytes key;
	size_t old = 0;
	if (work->ids.count == work->id_cap) {
		size_t cap = work->id_cap ? 2 * work->id_cap : 1024;
		const char **grown = reallocarray(work->id_files, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		work->id_files = grown;
		work->id_cap = cap;
	}
	if (keep(&work->ids_text, entry->key, &key, err) < 0)
		return -1;
	int twice = feed_seen_add(&work->ids, key, &old, err);
	if (twice < 0)
		return -1;
	if (twice)
		return feed_fail(err, entry->line, "%.*s is there already, in %s", (int)key.len,
			(const char *)key.ptr, work->id_files[old]);
	work->id_files[work->ids.count - 1] = reading->from;
	return 0;
}

/* ---- what is read ---- */

static int put_line(struct reading *reading, const struct feed_entry *entry, struct yg_err *err)
{
	const struct yg_bytes *in = &reading->in.bytes;
	struct yg_bytes text = entry->text;
	size_t old = 0;
	/* What is not a piece of the file is gone when we return. */
	if ((text.ptr < in->ptr || text.ptr >= in->ptr + in->len) &&
		keep(&reading->texts, text, &text, err) < 0)
		return -1;
	int twice = feed_seen_add(&reading->seen, text, &old, err);
	if (twice < 0)
		return -1;
	if (twice) {
		reading->duplicates++;
		return 0;
	}
	reading->signatures++;
	if (fwrite(text.ptr, 1, text.len, reading->out) != text.len ||
		putc('\n', reading->out) == EOF)
		return yg_fail_sys(err, errno, "writing");
	return 0;
}

static int hold_line(struct reading *reading, const struct feed_entry *entry, struct yg_err *err)
{
	if (reading->line_count == reading->line_cap) {
		size_t cap = reading->line_cap ? 2 * reading->line_cap : 1024;
		struct line *grown = reallocarray(reading->lines, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		reading->lines = grown;
		reading->line_cap = cap;
	}
	struct line *line = &reading->lines[reading->line_count];
	if (keep(&reading->texts, entry->text, &line->text, err) < 0)
		return -1;
	line->extension = entry->extension;
	reading->line_count++;
	return 0;
}

static int take(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	struct reading *reading = ctx;
	if (reading->format->form == FEED_LINES) {
		/* The same rule twice is one; another rule of its number is an error. */
		uint64_t before = reading->signatures;
		if (put_line(reading, entry, err) < 0)
			return -1;
		return reading->signatures > before && once(reading->format, entry->key)
			? check_once(reading, entry, err)
			: 0;
	}
	if (reading->format->form == FEED_SORTED)
		return hold_line(reading, entry, err);
	reading->signatures++;
	return once(reading->format, entry->key) ? check_once(reading, entry, err) : 0;
}

/* ---- what is written ---- */

static FILE *create(struct work *work, const char *name, struct yg_err *err)
{
	char path[512];
	if (!yg_str_put(path, sizeof(path), "%s/%s", work->job->out, name)) {
		(void)yg_fail(err, YG_ELIMIT, "'%s': path too long", name);
		return NULL;
	}
	int fd YG_AUTO(fd) = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		(void)yg_fail(err, YG_EFORMAT, "would be '%s', which another file of the feed is",
			name);
	else if (fd < 0)
		(void)yg_fail_sys(err, errno, "'%s'", name);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (out)
		(void)yg_take_fd(fd);
	else if (fd >= 0)
		(void)yg_fail_sys(err, errno, "'%s'", name);
	return out;
}

static int end(FILE **out, struct yg_err *err)
{
	FILE *file = yg_take(*out);
	if (file && fclose(file) != 0)
		return yg_fail_sys(err, errno, "writing");
	return 0;
}

static int note(struct reading *reading, const char *name, uint64_t signatures, struct yg_err *err)
{
	if (json_array_append_new(reading->work->files,
		    json_pack("{s:s, s:s, s:I, s:I}", "name", name, "from", reading->from,
			    "signatures", (json_int_t)signatures, "duplicates",
			    (json_int_t)reading->duplicates)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	reading->work->signatures += signatures;
	reading->work->duplicates += reading->duplicates;
	reading->duplicates = 0;
	return 0;
}

static int by_line(const void *a, const void *b)
{
	const struct line *one = a, *two = b;
	int order = strcmp(one->extension, two->extension);
	size_t len = one->text.len < two->text.len ? one->text.len : two->text.len;
	if (order == 0)
		order = memcmp(one->text.ptr, two->text.ptr, len);
	return order != 0 ? order
			  : (one->text.len > two->text.len) - (one->text.len < two->text.len);
}

/* "hosts.txt" and "list" to "hosts.list" */
static int rename_to(const char *name, const char *extension, char *out, size_t size,
	struct yg_err *err)
{
	const char *dot = strrchr(name, '.');
	int len = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
	if (!yg_str_put(out, size, "%.*s.%s", len, name, extension))
		return yg_fail(err, YG_ELIMIT, "name too long");
	return 0;
}

/* The lines of one extension, from the first on. Returns how many, 0 for an error. */
static size_t write_run(struct reading *reading, const char *name, size_t first, struct yg_err *err)
{
	const struct line *lines = reading->lines;
	const char *extension = lines[first].extension;
	uint64_t written = 0;
	char renamed[160];
	size_t at = first;
	if (rename_to(name, extension, renamed, sizeof(renamed), err) < 0)
		return 0;
	reading->out = create(reading->work, renamed, err);
	if (!reading->out)
		return 0;
	for (; at < reading->line_count && strcmp(lines[at].extension, extension) == 0; at++) {
		const struct yg_bytes *text = &lines[at].text;
		if (at > first && by_line(&lines[at - 1], &lines[at]) == 0) {
			reading->duplicates++;
			continue;
		}
		written++;
		if (fwrite(text->ptr, 1, text->len, reading->out) != text->len ||
			putc('\n', reading->out) == EOF) {
			(void)yg_fail_sys(err, errno, "writing");
			return 0;
		}
	}
	if (end(&reading->out, err) < 0 || note(reading, renamed, written, err) < 0)
		return 0;
	return at - first;
}

static int write_sorted(struct reading *reading, const char *name, struct yg_err *err)
{
	if (reading->line_count > 0)
		qsort(reading->lines, reading->line_count, sizeof(*reading->lines), by_line);
	for (size_t at = 0; at < reading->line_count;) {
		size_t run = write_run(reading, name, at, err);
		if (run == 0)
			return -1;
		at += run;
	}
	return 0;
}

/* As it was, but for line ends and the white space before them. */
static int write_text(struct reading *reading, struct yg_err *err)
{
	struct feed_text lines = {reading->in.bytes, 0};
	struct yg_bytes line;
	while (feed_text_next(&lines, &line)) {
		if (fwrite(line.ptr, 1, line.len, reading->out) != line.len ||
			putc('\n', reading->out) == EOF)
			return yg_fail_sys(err, errno, "writing");
	}
	return 0;
}

static int drop(struct work *work, const char *name, struct yg_err *err)
{
	char path[512];
	if (!yg_str_put(path, sizeof(path), "%s/%s", work->job->out, name))
		return yg_fail(err, YG_ELIMIT, "'%s': path too long", name);
	return unlink(path) < 0 ? yg_fail_sys(err, errno, "'%s'", name) : 0;
}

static int read_file(struct reading *reading, const char *name, struct yg_err *err)
{
	const struct feed_format *format = reading->format;
	const struct feed_reader reader = {.name = name,
		.strict = true,
		.addresses = strcmp(reading->work->job->component, "fw-list") == 0,
		.take = take,
		.ctx = reading};
	if (format->form != FEED_SORTED) {
		reading->out = create(reading->work, name, err);
		if (!reading->out)
			return -1;
	}
	if (format->read(&reader, reading->in.bytes, err) < 0)
		return -1;
	if (format->form == FEED_SORTED)
		return write_sorted(reading, name, err);
	if (format->form == FEED_TEXT && write_text(reading, err) < 0)
		return -1;
	if (end(&reading->out, err) < 0)
		return -1;
	/* Remarks only. libclamav does not take an empty file, and nobody needs one. */
	if (reading->signatures == 0 && format != &feed_lines)
		return drop(reading->work, name, err);
	return note(reading, name, reading->signatures, err);
}

static int stage_file(struct work *work, const json_t *item, struct yg_err *err)
{
	const char *name = NULL, *path = NULL, *from = NULL;
	if (yg_json_str(item, "name", 255, &name, err) < 0 ||
		yg_json_str(item, "path", 4096, &path, err) < 0 ||
		yg_json_str(item, "from", 8192, &from, err) < 0)
		return -1;
	struct reading reading YG_AUTO(reading) = {.work = work,
		.from = from,
		.format = work->job->format ? work->job->format
					    : feed_of_source(work->job->component, name),
		.in = {.bytes = {(const uint8_t *)"", 0}}};
	if (!reading.format)
		return yg_fail(err, YG_EFORMAT, "%s: %s has no files of this kind", from,
			work->job->component);
	if (map(path, &reading.in, err) < 0 || read_file(&reading, name, err) < 0)
		return yg_wrap(err, "%s", from);
	return 0;
}

int import_stage_work(void *ctx, json_t **out, struct yg_err *err)
{
	const struct import_stage *job = ctx;
	json_t *files = json_array();
	json_t *root YG_AUTO(yg_json) = json_pack("{s:o}", "files", files);
	struct work work YG_AUTO(work) = {.job = job, .files = files};
	if (!root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(job->files); i++) {
		if (stage_file(&work, json_array_get(job->files, i), err) < 0)
			return -1;
	}
	if (json_object_set_new(root, "signatures", json_integer((json_int_t)work.signatures)) <
			0 ||
		json_object_set_new(root, "duplicates", json_integer((json_int_t)work.duplicates)) <
			0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(root);
	return 0;
}
