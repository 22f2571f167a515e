/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Each file is read up to three times, so that memory does not grow with what differs: once for the hashes of
 * all signatures, which are sorted and taken from each other; once for the hashes of the names of those that
 * are left; once for the names that are shown. 64 bits a signature: with 8 million on each side, two
 * different ones have one hash once in some hundred thousand comparisons.
 */
#include "publisher/diff_compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/feed/feed.h"

#define NAME_MAX_SHOWN 200 /* bytes of a name */
#define SAMPLES        "samples/"

struct hashes {
	uint64_t *list; /* owned */
	size_t count, cap;
};

static void hashes_free_at(struct hashes *hashes)
{
	free(hashes->list);
}

static int push(struct hashes *to, uint64_t hash, struct yg_err *err)
{
	if (to->count == to->cap) {
		size_t cap = to->cap ? to->cap + to->cap / 2 : 1024;
		uint64_t *grown = reallocarray(to->list, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		to->list = grown;
		to->cap = cap;
	}
	to->list[to->count++] = hash;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;
	return (one > two) - (one < two);
}

static void sort(struct hashes *hashes)
{
	if (hashes->count > 1)
		qsort(hashes->list, hashes->count, sizeof(*hashes->list), by_value);
}

static bool has(const struct hashes *hashes, uint64_t hash)
{
	return hashes->count > 0 &&
		bsearch(&hash, hashes->list, hashes->count, sizeof(hash), by_value) != NULL;
}

/* Take what both have from both, as often as both have it. Returns how often that was. */
static size_t take_common(struct hashes *a, struct hashes *b)
{
	size_t i = 0, k = 0, a_kept = 0, b_kept = 0, common = 0;
	while (i < a->count || k < b->count) {
		if (k == b->count || (i < a->count && a->list[i] < b->list[k])) {
			a->list[a_kept++] = a->list[i++];
		} else if (i == a->count || b->list[k] < a->list[i]) {
			b->list[b_kept++] = b->list[k++];
		} else {
			i++;
			k++;
			common++;
		}
	}
	a->count = a_kept;
	b->count = b_kept;
	return common;
}

/* ---- one side of one file ---- */

struct view {
	const char *name;
	struct yg_bytes bytes; /* mapped */
	bool there;
};

static void view_free_at(const struct view *view)
{
	if (view->bytes.len > 0)
		(void)munmap((void *)(uintptr_t)view->bytes.ptr, view->bytes.len);
}

static int map(const struct diff_file *file, struct view *out, struct yg_err *err)
{
	struct stat st;
	*out = (struct view){.bytes = {(const uint8_t *)"", 0}};
	if (!file)
		return 0;
	int fd YG_AUTO(fd) = yg_fs_open(AT_FDCWD, file->path, err);
	if (fd < 0)
		return yg_wrap(err, "'%s'", file->name);
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "'%s'", file->name);
	out->name = file->name;
	out->there = true;
	if (st.st_size == 0)
		return 0;
	void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return yg_fail_sys(err, errno, "'%s'", file->name);
	out->bytes = (struct yg_bytes){at, (size_t)st.st_size};
	return 0;
}

/* A sample is one thing, whatever its bytes look like. */
static int each(const struct view *view, feed_take *take, void *ctx, struct yg_err *err)
{
	const char *slash = view->there ? strrchr(view->name, '/') : NULL;
	const struct feed_reader reader = {.name = slash ? slash + 1 : view->name,
		.take = take,
		.ctx = ctx};
	if (!view->there)
		return 0;
	if (strncmp(view->name, SAMPLES, strlen(SAMPLES)) == 0)
		return take(ctx,
			&(struct feed_entry){yg_bytes_of(view->name), view->bytes, 1, NULL}, err);
	if (feed_of_content(reader.name)->read(&reader, view->bytes, err) < 0)
		return yg_wrap(err, "'%s'", view->name);
	return 0;
}

/* ---- the three readings ---- */

static int take_text(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	return push(ctx, feed_hash64(entry->text), err);
}

struct naming {
	const struct hashes *texts; /* that differ */
	struct hashes *names;
};

static int take_name(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	struct naming *naming = ctx;
	if (!has(naming->texts, feed_hash64(entry->text)))
		return 0;
	return push(naming->names, feed_hash64(entry->key), err);
}

struct listing {
	const struct hashes *texts;  /* that differ */
	const struct hashes *others; /* names of the other side that differ */
	json_t *alone, *both;        /* lists; both may be NULL */
	size_t limit;
};

static int add_name(json_t *list, struct yg_bytes key, size_t limit, struct yg_err *err)
{
	char name[NAME_MAX_SHOWN + 1];
	if (!list || json_array_size(list) >= limit)
		return 0;
	size_t len = key.len < NAME_MAX_SHOWN ? key.len : NAME_MAX_SHOWN;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)(key.ptr[i] < 0x20 || key.ptr[i] > 0x7e ? '?' : key.ptr[i]);
	name[len] = 0;
	return json_array_append_new(list, json_string(name)) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

static int take_listed(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	struct listing *listing = ctx;
	if (!has(listing->texts, feed_hash64(entry->text)))
		return 0;
	bool both = has(listing->others, feed_hash64(entry->key));
	return add_name(both ? listing->both : listing->alone, entry->key, listing->limit, err);
}

/* ---- one file ---- */

struct totals {
	uint64_t before, after, added, removed, changed;
};

struct found {
	struct hashes texts[2], names[2]; /* of a, of b: what the other side does not have */
};

static void found_free_at(struct found *found)
{
	for (size_t i = 0; i < 2; i++) {
		hashes_free_at(&found->texts[i]);
		hashes_free_at(&found->names[i]);
	}
}

/* The names of what differs; those on both sides stay in both lists. */
static int name_them(const struct view views[2], struct found *found, struct totals *totals,
	struct yg_err *err)
{
	for (size_t i = 0; i < 2; i++) {
		struct naming naming = {&found->texts[i], &found->names[i]};
		if (found->texts[i].count > 0 && each(&views[i], take_name, &naming, err) < 0)
			return -1;
		sort(&found->names[i]);
	}
	const struct hashes *a = &found->names[0], *b = &found->names[1];
	for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
		if (a->list[i] == b->list[k]) {
			totals->changed++;
			i++;
			k++;
		} else if (a->list[i] < b->list[k]) {
			i++;
		} else {
			k++;
		}
	}
	/* A text that one side has more often than the other was named each time. */
	size_t gone = found->texts[0].count, come = found->texts[1].count;
	size_t most = gone < come ? gone : come;
	totals->changed = totals->changed < most ? totals->changed : most;
	totals->removed = gone - totals->changed;
	totals->added = come - totals->changed;
	return 0;
}

static int list_them(const struct view views[2], const struct found *found, size_t limit,
	json_t *item, struct yg_err *err)
{
	json_t *lists[3] = {json_array(), json_array(), json_array()};
	static const char *const keys[3] = {"removed_names", "added_names", "changed_names"};
	for (size_t i = 0; i < 3; i++) {
		if (json_object_set_new(item, keys[i], lists[i]) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	for (size_t i = 0; limit > 0 && i < 2; i++) {
		struct listing listing = {&found->texts[i], &found->names[1 - i], lists[i],
			i == 1 ? lists[2] : NULL, limit};
		if (found->texts[i].count > 0 && each(&views[i], take_listed, &listing, err) < 0)
			return -1;
	}
	return 0;
}

static json_t *totals_json(const struct totals *totals)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "before", (json_int_t)totals->before, "after",
		(json_int_t)totals->after, "added", (json_int_t)totals->added, "removed",
		(json_int_t)totals->removed, "changed", (json_int_t)totals->changed);
}

static int describe(const struct view views[2], const struct found *found,
	const struct totals *totals, size_t limit, json_t *files, struct yg_err *err)
{
	json_t *item = totals_json(totals);
	if (json_array_append_new(files, item) < 0 ||
		json_object_set_new(item, "file",
			json_string(views[0].there ? views[0].name : views[1].name)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return list_them(views, found, limit, item, err);
}

static int take_one(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	uint64_t *count = ctx;
	(void)entry;
	(void)err;
	++*count;
	return 0;
}

static int count(const struct view *view, struct totals *sum, struct yg_err *err)
{
	uint64_t here = 0;
	if (each(view, take_one, &here, err) < 0)
		return -1;
	sum->before += here;
	sum->after += here;
	return 0;
}

static int compare(const struct diff_file *a, const struct diff_file *b, size_t limit,
	struct totals *sum, json_t *files, struct yg_err *err)
{
	struct view one YG_AUTO(view) = {0}, two YG_AUTO(view) = {0};
	struct found found YG_AUTO(found) = {0};
	struct totals totals = {0};
	if (map(a, &one, err) < 0 || map(b, &two, err) < 0)
		return -1;
	const struct view views[2] = {one, two};
	/* Most files of a day are as they were: they are counted only. */
	bool same = one.there && two.there && one.bytes.len == two.bytes.len &&
		memcmp(one.bytes.ptr, two.bytes.ptr, one.bytes.len) == 0;
	if (same)
		return count(&one, sum, err);
	for (size_t i = 0; i < 2; i++) {
		if (each(&views[i], take_text, &found.texts[i], err) < 0)
			return -1;
		sort(&found.texts[i]);
	}
	totals.before = found.texts[0].count;
	totals.after = found.texts[1].count;
	(void)take_common(&found.texts[0], &found.texts[1]);
	bool differs = found.texts[0].count + found.texts[1].count > 0 || one.there != two.there;
	if (differs &&
		(name_them(views, &found, &totals, err) < 0 ||
			describe(views, &found, &totals, limit, files, err) < 0))
		return -1;
	sum->before += totals.before;
	sum->after += totals.after;
	sum->added += totals.added;
	sum->removed += totals.removed;
	sum->changed += totals.changed;
	return 0;
}

int diff_compare_work(void *ctx, json_t **out, struct yg_err *err)
{
	const struct diff_compare *job = ctx;
	struct totals sum = {0};
	json_t *files YG_AUTO(yg_json) = json_array();
	for (size_t i = 0, k = 0; i < job->a.count || k < job->b.count;) {
		const struct diff_file *a = i < job->a.count ? &job->a.files[i] : NULL;
		const struct diff_file *b = k < job->b.count ? &job->b.files[k] : NULL;
		int order = !a ? 1 : (!b ? -1 : strcmp(a->name, b->name));
		if (compare(order <= 0 ? a : NULL, order >= 0 ? b : NULL, job->limit, &sum, files,
			    err) < 0)
			return -1;
		i += order <= 0;
		k += order >= 0;
	}
	json_t *root YG_AUTO(yg_json) = totals_json(&sum);
	if (!root || json_object_set(root, "files", files) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(root);
	return 0;
}

/* ---- sides ---- */

int diff_compare_add(struct diff_side *side, const char *name, const char *path, struct yg_err *err)
{
	if (side->count == side->cap) {
		size_t cap = side->cap ? 2 * side->cap : 64;
		struct diff_file *grown = reallocarray(side->files, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		side->files = grown;
		side->cap = cap;
	}
	struct diff_file *file = &side->files[side->count];
	*file = (struct diff_file){strdup(name), strdup(path)};
	side->count++;
	if (!file->name || !file->path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

void diff_compare_free(struct diff_side *side)
{
	for (size_t i = 0; i < side->count; i++) {
		free(side->files[i].name);
		free(side->files[i].path);
	}
	free(side->files);
	*side = (struct diff_side){0};
}
