/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

#define PATH_SIZE 256

const struct repo_class repo_classes[] = {
	{"am", "am/*"},
	{"wr", "wr/*"},
	{"fw", "fw/*"},
	{"ips", "ips/*"},
	{"im", "im/*"},
	{"li", "li/*"},
	{NULL, NULL},
};

/* ---- reading ---- */

static int op_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf, struct yg_err *err)
{
	const int *dir = ctx;
	int fd YG_AUTO(fd) = yg_fs_open(*dir, path, err);
	(void)max; /* the buffer's own limit is never more */
	return fd < 0 ? -1 : yg_fs_read_fd(fd, buf, err);
}

static int op_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	(void)ctx;
	(void)buf;
	return yg_fail(err, YG_EABSENT, "'%s': nothing is kept", name);
}

static int op_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	(void)ctx;
	(void)name;
	(void)bytes;
	(void)err;
	return 0;
}

const struct yg_tuf_ops repo_ops = {op_fetch, op_load, op_save};

struct yg_tuf *repo_client(struct repo *repo, int64_t now, struct yg_err *err)
{
	struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&repo_ops, &repo->dir, now, err);
	if (!tuf || yg_fs_read(repo->dir, "metadata/1.root.json", &root, err) < 0 ||
		yg_tuf_trust(tuf, yg_buf_bytes(&root), err) < 0)
		return NULL;
	return yg_take(tuf);
}

static struct yg_meta *read_meta(const struct repo *repo, enum yg_meta_type type, const char *role,
	int64_t version, struct yg_err *err)
{
	char name[YG_META_NAME_MAX], path[PATH_SIZE];
	if (!yg_meta_name(role, name) ||
		!(version ? yg_str_put(path, sizeof(path), "metadata/%lld.%s", (long long)version,
				    name)
			  : yg_str_put(path, sizeof(path), "metadata/%s", name))) {
		(void)yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
		return NULL;
	}
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TARGETS_MAX);
	if (yg_fs_read(repo->dir, path, &text, err) < 0)
		return NULL;
	struct yg_meta *meta = yg_meta_parse(type, yg_buf_bytes(&text), YG_TUF_TARGETS_MAX, err);
	if (!meta)
		(void)yg_wrap(err, "%s", path);
	return meta;
}

struct yg_meta *repo_role(const struct repo *repo, const char *role, struct yg_err *err)
{
	char key[YG_META_KEY_MAX];
	struct yg_meta_file file = {0};
	if (!yg_meta_key(role, key) || !yg_meta_file(repo->snapshot, key, &file)) {
		(void)yg_fail(err, YG_EABSENT, "role '%s': the repository has none", role);
		return NULL;
	}
	return read_meta(repo, YG_META_TARGETS, role, file.version, err);
}

/* A view of the repository without the roots from a version on. */
struct before {
	int dir;
	int64_t version;
};

static int op_fetch_before(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct before *before = ctx;
	char hidden[64];
	if (yg_str_put(hidden, sizeof(hidden), "metadata/%lld.root.json",
		    (long long)before->version) &&
		strcmp(path, hidden) == 0)
		return yg_fail(err, YG_EABSENT, "'%s': not looked at", path);
	return op_fetch(&before->dir, path, max, buf, err);
}

/* A root whose new keys have signed nothing yet, because its publisher was killed: what the root before
 * vouches for is what we go on from.
 */
static int refresh_before(struct repo *repo, struct yg_tuf **tuf, struct yg_err *err)
{
	static const struct yg_tuf_ops ops = {op_fetch_before, op_load, op_save};
	struct before before = {repo->dir, yg_tuf_version(*tuf, "root")};
	struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_err why = {0};
	if (before.version < 2)
		return -1;
	struct yg_tuf *again YG_AUTO(yg_tuf) = yg_tuf_new(&ops, &before, YG_TUF_ANY_TIME, &why);
	if (!again || yg_fs_read(repo->dir, "metadata/1.root.json", &root, &why) < 0 ||
		yg_tuf_trust(again, yg_buf_bytes(&root), &why) < 0 ||
		yg_tuf_refresh(again, &why) < 0)
		return -1; /* the first failure says more */
	*err = (struct yg_err){0};
	repo->unfinished = before.version;
	struct yg_tuf *old = *tuf;
	*tuf = yg_take(again);
	yg_tuf_free(old);
	return 0;
}

/* What a client trusts is what we go on from, of any age: metadata that ran out must not keep its
 * publisher from signing anew.
 */
static int read_all(struct repo *repo, struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(repo, YG_TUF_ANY_TIME, err);
	if (!tuf ||
		(yg_tuf_refresh(tuf, err) < 0 &&
			(repo->lock < 0 || refresh_before(repo, &tuf, err) < 0)))
		return -1;
	repo->root = read_meta(repo, YG_META_ROOT, "root",
		repo->unfinished ? repo->unfinished : yg_tuf_version(tuf, "root"), err);
	if (!repo->root)
		return -1;
	repo->timestamp = read_meta(repo, YG_META_TIMESTAMP, "timestamp", 0, err);
	if (!repo->timestamp)
		return -1;
	repo->snapshot = read_meta(repo, YG_META_SNAPSHOT, "snapshot",
		yg_tuf_version(tuf, "snapshot"), err);
	if (!repo->snapshot)
		return -1;
	repo->targets = read_meta(repo, YG_META_TARGETS, "targets", yg_tuf_version(tuf, "targets"),
		err);
	return repo->targets ? 0 : -1;
}

static int open_dirs(struct repo *repo, const char *path, struct yg_err *err)
{
	repo->dir = yg_fs_open_dir(AT_FDCWD, path, err);
	if (repo->dir < 0)
		return -1;
	repo->lock = yg_fs_open_dir(repo->dir, "metadata", err);
	return repo->lock < 0 ? -1 : 0;
}

int repo_open(struct repo *repo, const char *path, bool write, struct yg_err *err)
{
	if (open_dirs(repo, path, err) < 0 ||
		(write && (repo_lock(repo, err) < 0 || repo_lock_sweep(repo, false, err) < 0)) ||
		read_all(repo, err) < 0)
		return yg_wrap(err, "repository '%s'", path);
	return 0;
}

int repo_open_unrooted(struct repo *repo, const char *path, struct yg_err *err)
{
	if (open_dirs(repo, path, err) < 0 || repo_lock(repo, err) < 0)
		return yg_wrap(err, "repository '%s'", path);
	return 0;
}

int repo_make(struct repo *repo, const char *path, struct yg_err *err)
{
	char folder[4096];
	for (const char *const *at = (const char *const[]){"metadata", "targets", "objects", NULL};
		*at; at++) {
		if (!yg_str_put(folder, sizeof(folder), "%s/%s", path, *at))
			return yg_fail(err, YG_ELIMIT, "repository: path too long");
		if (yg_fs_mkdirs(AT_FDCWD, folder, 0755, err) < 0)
			return -1;
	}
	if (open_dirs(repo, path, err) < 0 || repo_lock(repo, err) < 0)
		return yg_wrap(err, "repository '%s'", path);
	/* timestamp.json comes last: without it, an earlier init did not get to its end. */
	if (faccessat(repo->dir, "metadata/timestamp.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return yg_fail(err, YG_EFORMAT, "repository '%s': want a new one, have one already",
			path);
	return repo_lock_sweep(repo, true, err);
}

void repo_close(struct repo *repo)
{
	yg_meta_free(repo->root);
	yg_meta_free(repo->timestamp);
	yg_meta_free(repo->snapshot);
	yg_meta_free(repo->targets);
	yg_meta_free(repo->next);
	fd_free_at(&repo->lock);
	fd_free_at(&repo->dir);
	*repo = (struct repo){.dir = -1, .lock = -1};
}

/* ---- writing ---- */

int repo_stamp(json_t *body, const char *type, int64_t version, int64_t expires, struct yg_err *err)
{
	char text[YG_CLOCK_TEXT];
	yg_clock_format(expires, text);
	if (json_object_set_new(body, "_type", json_string(type)) < 0 ||
		json_object_set_new(body, "spec_version", json_string("1.0.34")) < 0 ||
		json_object_set_new(body, "version", json_integer(version)) < 0 ||
		json_object_set_new(body, "expires", json_string(text)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

const json_t *repo_role_entry(const json_t *by, const char *role)
{
	const json_t *top = json_object_get(json_object_get(by, "roles"), role);
	if (top)
		return top;
	const json_t *list = json_object_get(json_object_get(by, "delegations"), "roles");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *at = json_array_get(list, i);
		if (strcmp(json_string_value(json_object_get(at, "name")), role) == 0)
			return at;
	}
	return NULL;
}

/* Ids of the keys that sign: those of `by`, and of the root to come. A new reference. */
static json_t *signers_of(const struct yg_meta *by, const struct yg_meta *next, const char *role)
{
	json_t *ids = json_array();
	const struct yg_meta *const sources[] = {by, next};
	for (size_t i = 0; i < 2 && ids; i++) {
		if (sources[i])
			(void)json_array_extend(ids,
				json_object_get(repo_role_entry(sources[i]->body, role), "keyids"));
	}
	return ids;
}

/* The root to come, before what only its keys have signed. */
static int root_first(struct repo *repo, struct yg_err *err)
{
	struct yg_meta *next = repo->next;
	repo->next = NULL;
	int bad = repo_write_root(repo, next, err);
	yg_meta_free(next);
	repo->apart = false;
	return bad;
}

/* Sign a body as `role` of `by`, check that a client would take it, write it. While keys change, it is
 * signed for the root that is there and for the one to come, so that a reader who has either
 * takes it.
 */
static int write_role(struct repo *repo, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, const json_t *body, const char *path, struct yg_buf *text,
	struct yg_err *err)
{
	struct keys_ref refs[KEYS_ROLE_MAX];
	size_t count = 0;
	struct yg_err why = {0};
	const struct yg_meta *next = by == repo->root ? repo->next : NULL;
	json_t *ids YG_AUTO(yg_json) = signers_of(by, next, role);
	if (!ids)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (keys_of_role(repo->keys, role, ids, refs, YG_COUNT(refs), &count, err) < 0 ||
		keys_sign(repo->keys, refs, count, body, text, err) < 0)
		return -1;
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(type, yg_buf_bytes(text), YG_TUF_TARGETS_MAX, err);
	if (!meta || yg_meta_verify(next ? next : by, role, meta, err) < 0)
		return yg_wrap(err, "%s", path);
	/* The old keys may be lost: then readers need the new root first. */
	if (next && yg_meta_verify(by, role, meta, &why) < 0)
		repo->apart = true;
	if (type == YG_META_TIMESTAMP && repo->apart && root_first(repo, err) < 0)
		return -1;
	return yg_fs_replace(repo->dir, path, yg_buf_bytes(text), 0644, err);
}

/* {"version", "length", "hashes"} of a file of metadata. */
static json_t *entry_of(int64_t version, struct yg_bytes text, struct yg_err *err)
{
	char hash[YG_HASH_TEXT];
	if (yg_hash_text(text, hash, err) < 0)
		return NULL;
	json_t *entry = json_pack("{s:I, s:I, s:{s:s}}", "version", (json_int_t)version, "length",
		(json_int_t)text.len, "hashes", "sha256", hash);
	if (!entry)
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	return entry;
}

static int path_of(const char *role, int64_t version, char out[PATH_SIZE], struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	if (yg_meta_name(role, name) &&
		yg_str_put(out, PATH_SIZE, "metadata/%lld.%s", (long long)version, name))
		return 0;
	return yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
}

/* No name in metadata/ ever has other bytes, but timestamp.json: what a killed publisher left is passed
 * over. Versions may leave gaps.
 */
static int free_path(const struct repo *repo, const char *role, int64_t *version,
	char out[PATH_SIZE], struct yg_err *err)
{
	for (;; ++*version) {
		if (path_of(role, *version, out, err) < 0)
			return -1;
		if (faccessat(repo->dir, out, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : yg_fail_sys(err, errno, "'%s'", out);
	}
}

int repo_write_root(struct repo *repo, struct yg_meta *root, struct yg_err *err)
{
	char path[PATH_SIZE];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (path_of("root", root->version, path, err) < 0 ||
		yg_json_dump(root->doc, &text, err) < 0 || yg_buf_add(&text, "\n", 1, err) < 0)
		return -1;
	if (yg_meta_verify(repo->root ? repo->root : root, "root", root, err) < 0 ||
		yg_meta_verify(root, "root", root, err) < 0)
		return yg_wrap(err, "%s", path);
	if (yg_fs_replace(repo->dir, path, yg_buf_bytes(&text), 0644, err) < 0)
		return -1;
	return repo_take_root(repo, root, err);
}

int repo_take_root(struct repo *repo, const struct yg_meta *root, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (yg_json_dump(root->doc, &text, err) < 0)
		return -1;
	struct yg_meta *meta = yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&text), YG_TUF_ROOT_MAX,
		err);
	if (!meta)
		return -1;
	yg_meta_free(repo->root);
	repo->root = meta;
	return 0;
}

/* The snapshot to come: a new repository's is made on first use. */
static json_t *snapshot_entries(struct repo *repo, struct yg_err *err)
{
	if (!repo->snapshot) {
		struct yg_meta *meta YG_AUTO(yg_meta) = calloc(1, sizeof(*meta));
		if (meta)
			meta->doc = json_pack("{s:{s:{}}}", "signed", "meta");
		if (!meta || !meta->doc) {
			(void)yg_fail(err, YG_ESYSTEM, "out of memory");
			return NULL;
		}
		meta->type = YG_META_SNAPSHOT;
		meta->body = json_object_get(meta->doc, "signed");
		repo->snapshot = yg_take(meta);
	}
	return json_object_get(repo->snapshot->body, "meta");
}

int repo_stage(struct repo *repo, const char *role, const struct yg_meta *by, json_t *body,
	int64_t version, struct yg_err *err)
{
	char path[PATH_SIZE], key[YG_META_KEY_MAX];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TARGETS_MAX);
	if (!yg_meta_key(role, key))
		return yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
	if (free_path(repo, role, &version, path, err) < 0 ||
		repo_stamp(body, "targets", version, repo->now + repo->days.targets * REPO_DAY,
			err) < 0 ||
		write_role(repo, YG_META_TARGETS, role, by, body, path, &text, err) < 0)
		return -1;
	json_t *entries = snapshot_entries(repo, err);
	json_t *entry = entries ? entry_of(version, yg_buf_bytes(&text), err) : NULL;
	if (!entry)
		return -1;
	if (json_object_set_new(entries, key, entry) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int write_snapshot(struct repo *repo, struct yg_buf *text, struct yg_err *err)
{
	char path[PATH_SIZE];
	int64_t version = repo->snapshot->version + 1;
	if (free_path(repo, "snapshot", &version, path, err) < 0 ||
		repo_stamp(repo->snapshot->body, "snapshot", version,
			repo->now + repo->days.snapshot * REPO_DAY, err) < 0 ||
		write_role(repo, YG_META_SNAPSHOT, "snapshot", repo->root, repo->snapshot->body,
			path, text, err) < 0)
		return -1;
	repo->snapshot->version = version;
	return 0;
}

int repo_publish(struct repo *repo, bool snapshot, struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = repo->timestamp ? json_incref(repo->timestamp->body)
							: json_pack("{s:{}}", "meta");
	int64_t version = repo->timestamp ? repo->timestamp->version + 1 : 1;
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (snapshot) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_SNAPSHOT_MAX);
		if (write_snapshot(repo, &text, err) < 0)
			return -1;
		json_t *entry = entry_of(repo->snapshot->version, yg_buf_bytes(&text), err);
		if (!entry)
			return -1;
		if (json_object_set_new(json_object_get(body, "meta"), "snapshot.json", entry) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	char signed_at[YG_CLOCK_TEXT];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	yg_clock_format(repo->now, signed_at);
	if (json_object_set_new(body, "signed_at", json_string(signed_at)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (repo_stamp(body, "timestamp", version, repo->now + repo->days.timestamp * REPO_DAY,
		    err) < 0)
		return -1;
	if (write_role(repo, YG_META_TIMESTAMP, "timestamp", repo->root, body,
		    "metadata/timestamp.json", &text, err) < 0)
		return -1;
	if (repo->timestamp)
		repo->timestamp->version = version;
	return 0;
}

int repo_finish(struct repo *repo, struct yg_err *err)
{
	if (!repo->unfinished)
		return 0;
	if (repo_stage(repo, "targets", repo->root, repo->targets->body, repo->targets->version + 1,
		    err) < 0 ||
		repo_publish(repo, true, err) < 0)
		return -1;
	repo->unfinished = 0;
	return 0;
}
