/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/tuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "tuf/floor.h"
#include "tuf/meta.h"
#include "tuf/role.h"
#include "tuf/root.h"
#include "tuf/search.h"
#include "tuf/state.h"

static_assert(YG_TUF_NAME_MAX == YG_META_NAME_MAX && YG_TUF_ROLE_MAX == YG_META_ROLE_MAX,
	"tuf.h and meta.h agree");

struct yg_tuf *yg_tuf_new(const struct yg_tuf_ops *ops, void *ctx, int64_t now, struct yg_err *err)
{
	struct yg_tuf *tuf = calloc(1, sizeof(*tuf));
	if (!tuf) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	tuf->ops = ops;
	tuf->ctx = ctx;
	tuf->now = now;
	return tuf;
}

void yg_tuf_free(struct yg_tuf *tuf)
{
	if (!tuf)
		return;
	tuf_state_forget(tuf);
	tuf_floor_done(&tuf->floor);
	free(tuf->roles);
	yg_meta_free(tuf->root);
	free(tuf);
}

/* ---- what is trusted ---- */

int yg_tuf_trust(struct yg_tuf *tuf, struct yg_bytes root, struct yg_err *err)
{
	return tuf_root_trust(tuf, root, err);
}

static int refresh(struct yg_tuf *tuf, struct yg_err *err)
{
	if (tuf_root_load(tuf, err) < 0 || tuf_root_update(tuf, err) < 0 ||
		tuf_role_timestamp(tuf, err) < 0 || tuf_role_snapshot(tuf, err) < 0)
		return -1;
	tuf->targets = tuf_role_targets(tuf, "targets", tuf->root, err);
	return tuf->targets ? 0 : -1;
}

int yg_tuf_refresh(struct yg_tuf *tuf, struct yg_err *err)
{
	tuf_state_forget(tuf);
	if (tuf_floor_load(tuf, err) < 0)
		return -1;
	int done = refresh(tuf, err);
	/* Also what was trusted before something else failed. That failure is the one to tell. */
	struct yg_err why = {0};
	if (tuf_floor_save(tuf, &why) < 0 && done == 0) {
		*err = why;
		return -1;
	}
	tuf->refreshed = done == 0;
	return done;
}

int yg_tuf_use_kept(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_buf timestamp YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	struct yg_buf snapshot YG_AUTO(yg_buf) = YG_BUF(YG_TUF_SNAPSHOT_MAX);
	tuf_state_forget(tuf);
	if (tuf_floor_load(tuf, err) < 0 || tuf_root_load(tuf, err) < 0)
		return -1;
	/* These two say what is new and are not needed to trust what is here. */
	tuf->timestamp = tuf_state_load(tuf, YG_META_TIMESTAMP, "timestamp", tuf->root,
		YG_TUF_TIMESTAMP_MAX, &timestamp);
	tuf->snapshot = tuf_state_load(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root,
		YG_TUF_SNAPSHOT_MAX, &snapshot);
	tuf->kept = true;
	tuf->targets = tuf_role_targets(tuf, "targets", tuf->root, err);
	tuf->refreshed = tuf->targets != NULL;
	return tuf->targets ? 0 : -1;
}

/* ---- looking up: 5.6.7 ---- */

struct lookup {
	const char *path;
	struct yg_meta_file file;
	char role[YG_META_ROLE_MAX];
};

static int look_up(void *ctx, const char *role, const struct yg_meta *meta, struct yg_err *err)
{
	struct lookup *lookup = ctx;
	if (!yg_meta_file(meta, lookup->path, &lookup->file))
		return 0;
	if (!yg_str_put(lookup->role, sizeof(lookup->role), "%s", role))
		return yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
	return 1;
}

int yg_tuf_find(struct yg_tuf *tuf, const char *path, struct yg_tuf_target *out, struct yg_err *err)
{
	struct lookup lookup = {.path = path};
	if (!tuf->refreshed && yg_tuf_refresh(tuf, err) < 0)
		return -1;
	int found = tuf_search_roles(tuf, path, look_up, &lookup, err);
	if (found < 0)
		return -1;
	if (found == 0)
		return yg_fail_cause(err, YG_EABSENT, "tuf.not_delegated",
			"target '%.128s': no role that may vouch for it knows it", path);
	if (!lookup.file.sha256[0] && !lookup.file.sha512[0])
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.hash",
			"target '%.128s': want a sha256 or sha512, have other hashes only", path);
	*out = (struct yg_tuf_target){
		.length = lookup.file.length,
		.custom = lookup.file.custom,
	};
	memcpy(out->sha256, lookup.file.sha256, sizeof(out->sha256));
	memcpy(out->sha512, lookup.file.sha512, sizeof(out->sha512));
	memcpy(out->role, lookup.role, sizeof(out->role));
	return 0;
}

/* ---- targets: 5.7 ---- */

/* Where a target lies. A dot segment would take the request to another place. */
static int target_url(const struct yg_tuf *tuf, const char *path,
	const struct yg_tuf_target *target, char out[YG_TUF_URL_MAX], struct yg_err *err)
{
	char dir[YG_META_URL_MAX], name[YG_META_URL_MAX], copy[YG_TUF_PATH_MAX + 1];
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
	for (const char *at = path;; at++) {
		size_t len = strcspn(at, "/");
		if (len == 0 || (len <= 2 && strspn(at, ".") >= len))
			return yg_fail_cause(err, YG_EFORMAT, "tuf.format",
				"target '%.128s': want no empty, '.' or '..' part in a path", path);
		at += len;
		if (!*at)
			break;
	}
	memcpy(copy, path, folder);
	copy[folder] = 0;
	const char *hash = target->sha256[0] ? target->sha256 : target->sha512;
	bool prefix = tuf_state_consistent(tuf);
	if (!yg_meta_url(copy, "/+@=,:", dir) || !yg_meta_url(path + folder, "+@=,:", name) ||
		!yg_str_put(out, YG_TUF_URL_MAX, "targets/%s%s%s%s", dir, prefix ? hash : "",
			prefix ? "." : "", name))
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size", "target '%.128s…': URL too long",
			path);
	return 0;
}

int yg_tuf_get(struct yg_tuf *tuf, const char *path, struct yg_buf *buf, struct yg_err *err)
{
	struct yg_tuf_target target;
	char url[YG_TUF_URL_MAX];
	if (yg_tuf_find(tuf, path, &target, err) < 0)
		return -1;
	if (target.length > buf->max)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"target '%.128s': want <= %zu bytes, have %llu", path, buf->max,
			(unsigned long long)target.length);
	if (strlen(path) > YG_TUF_PATH_MAX)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"target '%.128s…': want a path of <= %u bytes, have %zu", path,
			YG_TUF_PATH_MAX, strlen(path));
	if (target_url(tuf, path, &target, url, err) < 0)
		return -1;
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF((size_t)target.length);
	if (tuf_state_fetch(tuf, url, (size_t)target.length, &bytes, err) < 0)
		return -1;
	if (yg_tuf_target_check(&target, yg_buf_bytes(&bytes), err) < 0)
		return yg_wrap(err, "%s", url);
	return yg_buf_add(buf, bytes.data, bytes.len, err);
}

int yg_tuf_target_check(const struct yg_tuf_target *target, struct yg_bytes bytes,
	struct yg_err *err)
{
	struct yg_meta_file file = {.has_length = true, .length = target->length};
	memcpy(file.sha256, target->sha256, sizeof(file.sha256));
	memcpy(file.sha512, target->sha512, sizeof(file.sha512));
	return yg_meta_check(&file, bytes, err);
}

/* ---- all targets ---- */

static int collect(void *ctx, const char *role, const struct yg_meta *meta, struct yg_err *err)
{
	json_t *paths = ctx;
	(void)role;
	/* jansson's own json_object_update_missing() says nothing when memory is out. */
	json_t *targets = json_object_get(meta->body, "targets");
	for (void *i = json_object_iter(targets); i; i = json_object_iter_next(targets, i)) {
		if (json_object_set_new(paths, json_object_iter_key(i), json_true()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int yg_tuf_each(struct yg_tuf *tuf,
	int (*visit)(void *ctx, const char *path, const struct yg_tuf_target *target,
		struct yg_err *err),
	void *ctx, struct yg_err *err)
{
	json_t *paths YG_AUTO(yg_json) = json_object();
	if (!tuf->refreshed && yg_tuf_refresh(tuf, err) < 0)
		return -1;
	if (!paths)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (tuf_search_roles(tuf, NULL, collect, paths, err) < 0)
		return -1;
	size_t count = 0;
	const char **sorted YG_AUTO(mem) = calloc(json_object_size(paths) + 1, sizeof(*sorted));
	if (!sorted)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (void *i = json_object_iter(paths); i; i = json_object_iter_next(paths, i))
		sorted[count++] = json_object_iter_key(i);
	qsort(sorted, count, sizeof(*sorted), by_bytes);
	for (size_t i = 0; i < count; i++) {
		/* That a role lists a path does not mean that it may. */
		struct yg_tuf_target target;
		struct yg_err why = {0};
		if (yg_tuf_find(tuf, sorted[i], &target, &why) < 0) {
			if (strcmp(why.cause, "tuf.not_delegated") == 0)
				continue;
			*err = why;
			return -1;
		}
		int stop = visit(ctx, sorted[i], &target, err);
		if (stop != 0)
			return stop;
	}
	return 0;
}

/* ---- state ---- */

static const struct yg_meta *trusted(const struct yg_tuf *tuf, const char *role)
{
	const struct {
		const char *name;
		const struct yg_meta *meta;
	} top[] = {{"root", tuf->root}, {"timestamp", tuf->timestamp}, {"snapshot", tuf->snapshot},
		{"targets", tuf->targets}};
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		if (strcmp(top[i].name, role) == 0)
			return top[i].meta;
	}
	for (size_t i = 0; i < tuf->role_count; i++) {
		if (strcmp(tuf->roles[i].name, role) == 0)
			return tuf->roles[i].meta;
	}
	return NULL;
}

int64_t yg_tuf_version(const struct yg_tuf *tuf, const char *role)
{
	const struct yg_meta *meta = trusted(tuf, role);
	return meta ? meta->version : 0;
}

int64_t yg_tuf_expires(const struct yg_tuf *tuf, const char *role)
{
	const struct yg_meta *meta = trusted(tuf, role);
	return meta ? meta->expires : 0;
}

int64_t yg_tuf_known_time(const struct yg_tuf *tuf)
{
	return tuf->floor.time;
}

int64_t yg_tuf_clock_behind(const struct yg_tuf *tuf)
{
	return tuf->now == YG_TUF_ANY_TIME ? 0 : tuf_state_time(tuf) - tuf->now;
}
