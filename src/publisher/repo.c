/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

#define KEYS_MAX  32 /* keys of one role that sign */
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
	char key[YG_META_NAME_MAX];
	struct yg_meta_file file = {0};
	if (!yg_meta_key(role, key) || !yg_meta_file(repo->snapshot, key, &file)) {
		(void)yg_fail(err, YG_EABSENT, "role '%s': the repository has none", role);
		return NULL;
	}
	return read_meta(repo, YG_META_TARGETS, role, file.version, err);
}

/* What a client trusts is what we go on from. Time 0: metadata that ran out must not keep its
 * publisher from signing anew.
 */
static int read_all(struct repo *repo, struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(repo, 0, err);
	if (!tuf || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	repo->root = read_meta(repo, YG_META_ROOT, "root", yg_tuf_version(tuf, "root"), err);
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

/* The lock is on the folder itself: no file of ours lies in what a web server shows. */
static int lock(struct repo *repo, struct yg_err *err)
{
	if (flock(repo->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return yg_fail(err, YG_EAGAIN, "another publisher is working on it");
	return yg_fail_sys(err, errno, "locking");
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
	if (open_dirs(repo, path, err) < 0 || (write && lock(repo, err) < 0) ||
		read_all(repo, err) < 0)
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
	if (open_dirs(repo, path, err) < 0 || lock(repo, err) < 0)
		return yg_wrap(err, "repository '%s'", path);
	/* timestamp.json comes last: without it, an earlier init did not get to its end. */
	if (faccessat(repo->dir, "metadata/timestamp.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return yg_fail(err, YG_EFORMAT, "repository '%s': want a new one, have one already",
			path);
	return 0;
}

void repo_close(struct repo *repo)
{
	yg_meta_free(repo->root);
	yg_meta_free(repo->timestamp);
	yg_meta_free(repo->snapshot);
	yg_meta_free(repo->targets);
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

static const json_t *keyids_of(const json_t *by, const char *role)
{
	const json_t *top = json_object_get(json_object_get(by, "roles"), role);
	if (top)
		return json_object_get(top, "keyids");
	const json_t *list = json_object_get(json_object_get(by, "delegations"), "roles");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *at = json_array_get(list, i);
		if (strcmp(json_string_value(json_object_get(at, "name")), role) == 0)
			return json_object_get(at, "keyids");
	}
	return NULL;
}

/* Sign a body as `role` of `by`, check that a client would take it, write it. */
static int write_role(struct repo *repo, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, const json_t *body, const char *path, struct yg_buf *text,
	struct yg_err *err)
{
	char names[KEYS_MAX][KEYS_NAME_MAX];
	size_t count = 0;
	const json_t *by_body = by ? by->body : body; /* the first root vouches for itself */
	if (keys_of_role(repo->keys, role, keyids_of(by_body, role), names, KEYS_MAX, &count, err) <
			0 ||
		keys_sign(repo->keys, (const char(*)[KEYS_NAME_MAX])names, count, body, text, err) <
			0)
		return -1;
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(type, yg_buf_bytes(text), YG_TUF_TARGETS_MAX, err);
	if (!meta || yg_meta_verify(by ? by : meta, role, meta, err) < 0)
		return yg_wrap(err, "%s", path);
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

int repo_write_root(struct repo *repo, json_t *body, int64_t version, struct yg_err *err)
{
	char path[PATH_SIZE];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (path_of("root", version, path, err) < 0 ||
		repo_stamp(body, "root", version, repo->now + repo->days.root * REPO_DAY, err) <
			0 ||
		write_role(repo, YG_META_ROOT, "root", repo->root, body, path, &text, err) < 0)
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
	char path[PATH_SIZE], key[YG_META_NAME_MAX];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TARGETS_MAX);
	if (!yg_meta_key(role, key))
		return yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
	if (path_of(role, version, path, err) < 0 ||
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
	if (path_of("snapshot", version, path, err) < 0 ||
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
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	if (repo_stamp(body, "timestamp", version, repo->now + repo->days.timestamp * REPO_DAY,
		    err) < 0)
		return -1;
	return write_role(repo, YG_META_TIMESTAMP, "timestamp", repo->root, body,
		"metadata/timestamp.json", &text, err);
}
