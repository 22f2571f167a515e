/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/tuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "tuf/meta.h"

/* Numbers in comments are sections of the specification. */

#define ROLES_MAX (YG_TUF_DELEGATIONS_MAX * 2u) /* delegated roles held in one run */
#define URL_MAX   YG_TUF_URL_MAX

/* A delegated role, and the delegator for which its signatures were last found good. */
struct role {
	char name[YG_META_NAME_MAX];
	struct yg_meta *meta;
	const struct yg_meta *by; /* metadata of this run; never freed before the role */
};

struct yg_tuf {
	const struct yg_tuf_ops *ops;
	void *ctx;
	int64_t now;
	struct yg_meta *root;
	struct yg_meta *timestamp;
	struct yg_meta *snapshot;
	struct yg_meta *targets;
	struct role roles[ROLES_MAX];
	size_t role_count;
	bool refreshed;
};

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

static void replace(struct yg_meta **at, struct yg_meta *with)
{
	yg_meta_free(*at);
	*at = with;
}

/* Forget all but the root: what a new refresh has to establish again. */
static void forget(struct yg_tuf *tuf)
{
	replace(&tuf->timestamp, NULL);
	replace(&tuf->snapshot, NULL);
	replace(&tuf->targets, NULL);
	for (size_t i = 0; i < tuf->role_count; i++)
		replace(&tuf->roles[i].meta, NULL);
	tuf->role_count = 0;
	tuf->refreshed = false;
}

void yg_tuf_free(struct yg_tuf *tuf)
{
	if (!tuf)
		return;
	forget(tuf);
	yg_meta_free(tuf->root);
	free(tuf);
}

/* ---- what everybody needs ---- */

static int fetch(struct yg_tuf *tuf, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	if (tuf->ops->fetch(tuf->ctx, path, max, buf, err) < 0) {
		const struct yg_err why = *err;
		if (!why.cause[0] && why.code == YG_ELIMIT)
			(void)yg_fail_cause(err, YG_ELIMIT, "tuf.size", "%s", why.msg);
		if (!why.cause[0] && why.code == YG_EABSENT)
			(void)yg_fail_cause(err, YG_EABSENT, "tuf.missing", "%s", why.msg);
		return yg_wrap(err, "%s", path);
	}
	if (buf->len > max)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size", "%s: want <= %zu bytes, have %zu",
			path, max, buf->len);
	return 0;
}

/* Metadata that was kept: NULL and no failure when there is none, or when it is broken. It must still
 * be vouched for by who vouches for the role now.
 */
static struct yg_meta *load(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, size_t max, struct yg_buf *text)
{
	char name[YG_META_NAME_MAX];
	struct yg_err why = {0};
	if (!yg_meta_name(role, name) || tuf->ops->load(tuf->ctx, name, text, &why) < 0)
		return NULL;
	struct yg_meta *meta YG_AUTO(yg_meta) = yg_meta_parse(type, yg_buf_bytes(text), max, &why);
	if (!meta || yg_meta_verify(by, role, meta, &why) < 0)
		return NULL;
	return yg_take(meta);
}

static int save(struct yg_tuf *tuf, const char *role, struct yg_bytes text, struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	bool fits = yg_meta_name(role, name);
	assert(fits); /* yg_meta_parse refuses longer ones */
	if (tuf->ops->save(tuf->ctx, name, text, err) < 0)
		return yg_wrap(err, "keeping '%s'", name);
	return 0;
}

static int check_expiry(const struct yg_tuf *tuf, const struct yg_meta *meta, struct yg_err *err)
{
	char at[YG_CLOCK_TEXT], now[YG_CLOCK_TEXT];
	if (tuf->now < meta->expires)
		return 0;
	yg_clock_format(meta->expires, at);
	yg_clock_format(tuf->now, now);
	return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.expired", "expired at %s, it is %s", at, now);
}

/* ---- root: 5.2 and 5.3 ---- */

static int check_next_root(const struct yg_tuf *tuf, const struct yg_meta *next, struct yg_err *err)
{
	if (next->version != tuf->root->version + 1)
		return yg_fail_cause(err, YG_EUNTRUSTED,
			next->version <= tuf->root->version ? "tuf.rollback" : "tuf.version",
			"version: want %lld, have %lld", (long long)tuf->root->version + 1,
			(long long)next->version);
	if (yg_meta_verify(tuf->root, "root", next, err) < 0)
		return -1;
	return yg_meta_verify(next, "root", next, err);
}

/* A root that is kept by its version. No role's metadata is kept under such a name: yg_meta_name has no
 * '@'.
 */
static void chain_name(int64_t version, char out[YG_META_NAME_MAX])
{
	bool fits = yg_str_put(out, YG_META_NAME_MAX, "root@%lld.json", (long long)version);
	assert(fits);
	(void)fits;
}

/* The next root of those that are kept. *more is false when there is none, or none that the present one
 * vouches for: it is fetched again.
 * in/out  text  of tuf->root
 */
static int step_kept(struct yg_tuf *tuf, struct yg_buf *text, bool *more, struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	struct yg_buf fresh YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_err why = {0};
	*more = false;
	chain_name(tuf->root->version + 1, name);
	if (tuf->ops->load(tuf->ctx, name, &fresh, &why) < 0) {
		if (why.code == YG_EABSENT)
			return 0;
		*err = why;
		return yg_wrap(err, "kept %s", name);
	}
	struct yg_meta *next YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&fresh), YG_TUF_ROOT_MAX, &why);
	if (!next || check_next_root(tuf, next, &why) < 0) {
		if (why.code != YG_ESYSTEM)
			return 0;
		*err = why;
		return yg_wrap(err, "kept %s", name);
	}
	replace(&tuf->root, yg_take(next));
	yg_buf_free(text);
	*text = fresh;
	fresh = (struct yg_buf){0};
	*more = true;
	return 0;
}

/* "root.json" is for clients without an installed root, and never read here: who could write to what is
 * kept once would be trusted for ever. Each root is believed for the signatures of the one before.
 */
static int keep_newest(struct yg_tuf *tuf, struct yg_bytes newest, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_err why = {0};
	if (tuf->ops->load(tuf->ctx, "root.json", &text, &why) == 0) {
		if (text.len == newest.len && memcmp(text.data, newest.ptr, text.len) == 0)
			return 0;
	} else if (why.code != YG_EABSENT) {
		*err = why;
		return yg_wrap(err, "kept root.json");
	}
	return save(tuf, "root", newest, err);
}

int yg_tuf_trust(struct yg_tuf *tuf, struct yg_bytes root, struct yg_err *err)
{
	struct yg_meta *given YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, root, YG_TUF_ROOT_MAX, err);
	if (!given || yg_meta_verify(given, "root", given, err) < 0)
		return yg_wrap(err, "installed root.json");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (yg_buf_add(&text, root.ptr, root.len, err) < 0)
		return -1;
	forget(tuf);
	replace(&tuf->root, yg_take(given));
	bool more = true;
	for (unsigned i = 0; more && i < YG_TUF_ROOT_STEPS_MAX; i++) {
		if (step_kept(tuf, &text, &more, err) < 0) {
			replace(&tuf->root, NULL);
			return -1;
		}
	}
	return keep_newest(tuf, yg_buf_bytes(&text), err);
}

static int load_root(struct yg_tuf *tuf, struct yg_err *err)
{
	if (tuf->root)
		return 0;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (tuf->ops->load(tuf->ctx, "root.json", &text, err) < 0) {
		const struct yg_err why = *err;
		if (why.code == YG_EABSENT)
			(void)yg_fail_cause(err, YG_EABSENT, "tuf.root", "%s", why.msg);
		return yg_wrap(err, "kept root.json");
	}
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&text), YG_TUF_ROOT_MAX, err);
	if (!meta || yg_meta_verify(meta, "root", meta, err) < 0)
		return yg_wrap(err, "kept root.json");
	tuf->root = yg_take(meta);
	return 0;
}

/* Timestamp and snapshot of a repository whose online keys were replaced may carry any version: what
 * was kept from the lost keys must not outvote the new ones (5.3.11). This comes before the new root
 * is kept, so that a crash in between does it again.
 */
static int recover(struct yg_tuf *tuf, const struct yg_meta *next, struct yg_err *err)
{
	const struct yg_bytes nothing = {0};
	if (yg_meta_same_keys(tuf->root, next, "timestamp") &&
		yg_meta_same_keys(tuf->root, next, "snapshot"))
		return 0;
	if (save(tuf, "timestamp", nothing, err) < 0)
		return -1;
	return save(tuf, "snapshot", nothing, err);
}

static int keep_root(struct yg_tuf *tuf, const struct yg_meta *next, struct yg_bytes text,
	struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	chain_name(next->version, name);
	if (tuf->ops->save(tuf->ctx, name, text, err) < 0)
		return yg_wrap(err, "keeping '%s'", name);
	return save(tuf, "root", text, err);
}

/* One step. *more is false when the source has no newer root. */
static int step_root(struct yg_tuf *tuf, bool *more, struct yg_err *err)
{
	char path[URL_MAX];
	bool fits = yg_str_put(path, sizeof(path), "metadata/%lld.root.json",
		(long long)tuf->root->version + 1);
	assert(fits);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_err why = {0};
	*more = false;
	if (fetch(tuf, path, YG_TUF_ROOT_MAX, &text, &why) < 0) {
		if (why.code == YG_EABSENT)
			return 0;
		*err = why;
		return -1;
	}
	struct yg_meta *next YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&text), YG_TUF_ROOT_MAX, err);
	if (!next || check_next_root(tuf, next, err) < 0)
		return yg_wrap(err, "%s", path);
	if (recover(tuf, next, err) < 0 || keep_root(tuf, next, yg_buf_bytes(&text), err) < 0)
		return -1;
	replace(&tuf->root, yg_take(next));
	*more = true;
	return 0;
}

static int update_root(struct yg_tuf *tuf, struct yg_err *err)
{
	bool more = true;
	for (unsigned i = 0; more && i < YG_TUF_ROOT_STEPS_MAX; i++) {
		if (step_root(tuf, &more, err) < 0)
			return -1;
	}
	if (check_expiry(tuf, tuf->root, err) < 0)
		return yg_wrap(err, "%lld.root.json", (long long)tuf->root->version);
	return 0;
}

/* ---- timestamp: 5.4 ---- */

static int64_t snapshot_version(const struct yg_meta *timestamp)
{
	struct yg_meta_file file = {0};
	bool there = yg_meta_file(timestamp, "snapshot.json", &file);
	assert(there); /* yg_meta_parse asks for it */
	return file.version;
}

/* Against the one that was trusted before. *same: not newer, so nothing is taken from it. */
static int check_timestamp(const struct yg_meta *old, const struct yg_meta *fresh, bool *same,
	struct yg_err *err)
{
	*same = old && fresh->version == old->version;
	if (!old || *same)
		return 0;
	if (fresh->version < old->version)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
			"version: want >= %lld, which was trusted before, have %lld",
			(long long)old->version, (long long)fresh->version);
	if (snapshot_version(fresh) < snapshot_version(old))
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
			"snapshot.json: version: want >= %lld, which was trusted before, have %lld",
			(long long)snapshot_version(old), (long long)snapshot_version(fresh));
	return 0;
}

static int update_timestamp(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	tuf->timestamp = load(tuf, YG_META_TIMESTAMP, "timestamp", tuf->root, YG_TUF_TIMESTAMP_MAX,
		&kept);
	if (fetch(tuf, "metadata/timestamp.json", YG_TUF_TIMESTAMP_MAX, &text, err) < 0)
		return -1;
	struct yg_meta *fresh YG_AUTO(yg_meta) = yg_meta_parse(YG_META_TIMESTAMP,
		yg_buf_bytes(&text), YG_TUF_TIMESTAMP_MAX, err);
	bool same = false;
	if (!fresh || yg_meta_verify(tuf->root, "timestamp", fresh, err) < 0 ||
		check_timestamp(tuf->timestamp, fresh, &same, err) < 0 ||
		check_expiry(tuf, same ? tuf->timestamp : fresh, err) < 0)
		return yg_wrap(err, "timestamp.json");
	if (same)
		return 0;
	if (save(tuf, "timestamp", yg_buf_bytes(&text), err) < 0)
		return -1;
	replace(&tuf->timestamp, yg_take(fresh));
	return 0;
}

/* ---- snapshot, targets and delegated roles: 5.5, 5.6 ---- */

static int check_version(const struct yg_meta_file *want, const struct yg_meta *have,
	struct yg_err *err)
{
	if (have->version == want->version)
		return 0;
	return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.version", "version: want %lld, have %lld",
		(long long)want->version, (long long)have->version);
}

/* The file that is kept, if it is the very one that is announced and vouched for. */
static struct yg_meta *load_announced(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, const struct yg_meta_file *want, size_t max)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	struct yg_err why = {0};
	struct yg_meta *meta YG_AUTO(yg_meta) = load(tuf, type, role, by, max, &text);
	if (!meta || yg_meta_check(want, yg_buf_bytes(&text), &why) < 0 ||
		check_version(want, meta, &why) < 0 || check_expiry(tuf, meta, &why) < 0)
		return NULL;
	return yg_take(meta);
}

/* Fetch the file that is announced; hashes come before anything is parsed. `old`, if any, is the
 * snapshot that was trusted before, for check_snapshot.
 */
static int check_snapshot(const struct yg_meta *old, const struct yg_meta *fresh,
	struct yg_err *err);

static struct yg_meta *fetch_announced(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, const struct yg_meta_file *want, size_t max,
	const struct yg_meta *old, struct yg_err *err)
{
	char name[YG_META_NAME_MAX], path[URL_MAX];
	bool fits = yg_meta_name(role, name);
	fits = fits &&
		yg_str_put(path, sizeof(path), "metadata/%lld.%s", (long long)want->version, name);
	assert(fits);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	size_t limit = want->has_length && want->length < max ? (size_t)want->length : max;
	if (fetch(tuf, path, limit, &text, err) < 0)
		return NULL;
	if (yg_meta_check(want, yg_buf_bytes(&text), err) < 0) {
		(void)yg_wrap(err, "%s", path);
		return NULL;
	}
	struct yg_meta *meta YG_AUTO(yg_meta) = yg_meta_parse(type, yg_buf_bytes(&text), max, err);
	if (!meta || yg_meta_verify(by, role, meta, err) < 0 ||
		check_version(want, meta, err) < 0 || (old && check_snapshot(old, meta, err) < 0) ||
		check_expiry(tuf, meta, err) < 0) {
		(void)yg_wrap(err, "%s", path);
		return NULL;
	}
	if (save(tuf, role, yg_buf_bytes(&text), err) < 0)
		return NULL;
	return yg_take(meta);
}

/* Every role that was listed must still be listed, with no older version (5.5.5). */
static int check_snapshot(const struct yg_meta *old, const struct yg_meta *fresh,
	struct yg_err *err)
{
	json_t *entries = json_object_get(old->body, "meta");
	for (void *i = json_object_iter(entries); i; i = json_object_iter_next(entries, i)) {
		const char *name = json_object_iter_key(i);
		struct yg_meta_file before = {0}, now = {0};
		bool was = yg_meta_file(old, name, &before);
		assert(was);
		if (!yg_meta_file(fresh, name, &now))
			return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
				"'%.128s' was listed before and is not any more", name);
		if (now.version < before.version)
			return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
				"'%.128s': version: want >= %lld, which was trusted before, have %lld",
				name, (long long)before.version, (long long)now.version);
	}
	return 0;
}

static int update_snapshot(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_meta_file want = {0};
	bool there = yg_meta_file(tuf->timestamp, "snapshot.json", &want);
	assert(there);
	tuf->snapshot = load_announced(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root, &want,
		YG_TUF_SNAPSHOT_MAX);
	if (tuf->snapshot)
		return 0;
	struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(YG_TUF_SNAPSHOT_MAX);
	struct yg_meta *old YG_AUTO(yg_meta) = load(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root,
		YG_TUF_SNAPSHOT_MAX, &kept);
	tuf->snapshot = fetch_announced(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root, &want,
		YG_TUF_SNAPSHOT_MAX, old, err);
	return tuf->snapshot ? 0 : -1;
}

/* Targets metadata of any role, vouched for by `by`. */
static struct yg_meta *get_targets(struct yg_tuf *tuf, const char *role, const struct yg_meta *by,
	struct yg_err *err)
{
	char key[YG_META_NAME_MAX];
	struct yg_meta_file want = {0};
	bool fits = yg_meta_key(role, key);
	assert(fits);
	if (!yg_meta_file(tuf->snapshot, key, &want)) {
		(void)yg_fail_cause(err, YG_EUNTRUSTED, "tuf.version",
			"%lld.snapshot.json: does not list '%s'", (long long)tuf->snapshot->version,
			key);
		return NULL;
	}
	struct yg_meta *meta = load_announced(tuf, YG_META_TARGETS, role, by, &want,
		YG_TUF_TARGETS_MAX);
	return meta ? meta
		    : fetch_announced(tuf, YG_META_TARGETS, role, by, &want, YG_TUF_TARGETS_MAX,
			      NULL, err);
}

int yg_tuf_refresh(struct yg_tuf *tuf, struct yg_err *err)
{
	forget(tuf);
	if (load_root(tuf, err) < 0 || update_root(tuf, err) < 0 ||
		update_timestamp(tuf, err) < 0 || update_snapshot(tuf, err) < 0)
		return -1;
	tuf->targets = get_targets(tuf, "targets", tuf->root, err);
	if (!tuf->targets)
		return -1;
	tuf->refreshed = true;
	return 0;
}

/* ---- search: 5.6.7 ---- */

/* The metadata of a delegated role, once a run; borrowed from tuf. A role that several delegate is
 * checked again for each: who trusts it through one must not be given what only the other trusts.
 */
static const struct yg_meta *get_role(struct yg_tuf *tuf, const char *name,
	const struct yg_meta *by, struct yg_err *err)
{
	for (size_t i = 0; i < tuf->role_count; i++) {
		if (strcmp(tuf->roles[i].name, name) != 0)
			continue;
		if (tuf->roles[i].by != by &&
			yg_meta_verify(by, name, tuf->roles[i].meta, err) < 0) {
			(void)yg_wrap(err, "role '%s'", name);
			return NULL;
		}
		tuf->roles[i].by = by;
		return tuf->roles[i].meta;
	}
	if (tuf->role_count == ROLES_MAX) {
		(void)yg_fail_cause(err, YG_ELIMIT, "tuf.size", "more than %u delegated roles",
			ROLES_MAX);
		return NULL;
	}
	struct role *role = &tuf->roles[tuf->role_count];
	bool fits = yg_str_put(role->name, sizeof(role->name), "%s", name);
	assert(fits);
	role->meta = get_targets(tuf, name, by, err);
	if (!role->meta)
		return NULL;
	role->by = by;
	tuf->role_count++;
	return role->meta;
}

/* A role still to be looked at, and who delegated to it. */
struct visit {
	const char *role; /* points into `by` */
	const struct yg_meta *by;
};

/* Roles to look at, the next one last. */
struct search {
	struct visit *stack;
	size_t count, cap;
	json_t *seen; /* names of roles that were looked at */
};

static int push(struct search *search, struct visit visit, struct yg_err *err)
{
	if (search->count == search->cap) {
		size_t cap = search->cap ? 2 * search->cap : 16;
		struct visit *grown = reallocarray(search->stack, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		search->stack = grown;
		search->cap = cap;
	}
	search->stack[search->count++] = visit;
	return 0;
}

/* Put the delegations for `path` (all, when NULL) on the stack so that the first is looked at next.
 * A terminating one for this path ends the search below all others.
 */
static int push_delegations(struct search *search, const struct yg_meta *meta, const char *path,
	struct yg_err *err)
{
	struct yg_meta_delegation at;
	size_t end = 0;
	bool terminated = false;
	while (!terminated && yg_meta_delegation(meta, end, path, &at)) {
		end++;
		terminated = path && at.covers && at.terminating;
	}
	if (terminated)
		search->count = 0;
	for (size_t i = end; i-- > 0;) {
		bool there = yg_meta_delegation(meta, i, path, &at);
		assert(there);
		if (path && !at.covers)
			continue;
		if (push(search, (struct visit){at.role, meta}, err) < 0)
			return -1;
	}
	return 0;
}

static void search_end(struct search *search)
{
	free(search->stack);
	json_decref(search->seen);
}

static void search_free_at(struct search *search)
{
	search_end(search);
}

/* Call `look` for each role in pre-order until it returns 1 (found) or -1. With a path only the roles
 * that may vouch for it. returns 1, 0 nobody knew, -1
 */
static int search_roles(struct yg_tuf *tuf, const char *path,
	int (*look)(void *ctx, const char *role, const struct yg_meta *meta, struct yg_err *err),
	void *ctx, struct yg_err *err)
{
	struct search search YG_AUTO(search) = {.seen = json_object()};
	if (!search.seen)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int found = look(ctx, "targets", tuf->targets, err);
	if (found != 0)
		return found;
	if (push_delegations(&search, tuf->targets, path, err) < 0)
		return -1;
	while (search.count > 0) {
		struct visit at = search.stack[--search.count];
		if (json_object_get(search.seen, at.role))
			continue;
		if (json_object_size(search.seen) == YG_TUF_DELEGATIONS_MAX)
			return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
				"want a target in at most %u roles, have more",
				YG_TUF_DELEGATIONS_MAX);
		if (json_object_set_new(search.seen, at.role, json_true()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		const struct yg_meta *meta = get_role(tuf, at.role, at.by, err);
		if (!meta)
			return -1;
		found = look(ctx, at.role, meta, err);
		if (found != 0)
			return found;
		if (push_delegations(&search, meta, path, err) < 0)
			return -1;
	}
	return 0;
}

struct lookup {
	const char *path;
	struct yg_meta_file file;
	char role[YG_TUF_ROLE_MAX];
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
	int found = search_roles(tuf, path, look_up, &lookup, err);
	if (found < 0)
		return -1;
	if (found == 0)
		return yg_fail_cause(err, YG_EABSENT, "tuf.not_delegated",
			"target '%.128s': no role that may vouch for it knows it", path);
	*out = (struct yg_tuf_target){.length = lookup.file.length};
	memcpy(out->sha256, lookup.file.sha256, sizeof(out->sha256));
	out->custom = lookup.file.custom;
	memcpy(out->role, lookup.role, sizeof(out->role));
	return 0;
}

/* ---- targets: 5.7 ---- */

int yg_tuf_get(struct yg_tuf *tuf, const char *path, struct yg_buf *buf, struct yg_err *err)
{
	struct yg_tuf_target target;
	char url[URL_MAX];
	if (yg_tuf_find(tuf, path, &target, err) < 0)
		return -1;
	if (target.length > buf->max)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"target '%.128s': want <= %zu bytes, have %llu", path, buf->max,
			(unsigned long long)target.length);
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) + 1 : 0;
	bool fits = tuf->root &&
			json_is_true(json_object_get(tuf->root->body, "consistent_snapshot"))
		? yg_str_put(url, sizeof(url), "targets/%.*s%s.%s", folder, path, target.sha256,
			  path + folder)
		: yg_str_put(url, sizeof(url), "targets/%s", path);
	if (!fits || strlen(path) > YG_TUF_PATH_MAX)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size",
			"target '%.128s…': want a path of <= %u bytes, have %zu", path,
			YG_TUF_PATH_MAX, strlen(path));
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF((size_t)target.length);
	struct yg_meta_file file = {.has_length = true, .length = target.length};
	memcpy(file.sha256, target.sha256, sizeof(file.sha256));
	if (fetch(tuf, url, (size_t)target.length, &bytes, err) < 0)
		return -1;
	if (yg_meta_check(&file, yg_buf_bytes(&bytes), err) < 0)
		return yg_wrap(err, "%s", url);
	return yg_buf_add(buf, bytes.data, bytes.len, err);
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
	if (search_roles(tuf, NULL, collect, paths, err) < 0)
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

/* ---- what was kept, and time ---- */

int yg_tuf_use_kept(struct yg_tuf *tuf, struct yg_err *err)
{
	(void)tuf;
	return yg_fail_cause(err, YG_EABSENT, "tuf.missing", "nothing is kept");
}

int64_t yg_tuf_known_time(const struct yg_tuf *tuf)
{
	(void)tuf;
	return 0;
}

int64_t yg_tuf_clock_behind(const struct yg_tuf *tuf)
{
	(void)tuf;
	return 0;
}
