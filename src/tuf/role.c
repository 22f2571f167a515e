/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/role.h"

#include <assert.h>

#include "core/str.h"
#include "tuf/floor.h"
#include "tuf/meta.h"
#include "tuf/root.h"
#include "tuf/state.h"

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

/* A timestamp says itself how late it is at least; only one that does not is judged by what an earlier one
 * said. So a publisher whose clock was wrong puts that right with the next one.
 */
static int check_timestamp_expiry(const struct yg_tuf *tuf, const struct yg_meta *timestamp,
	struct yg_err *err)
{
	int64_t known = timestamp->signed_at ? timestamp->signed_at : tuf->floor.time;
	return tuf_state_check_expiry(tuf, timestamp, tuf->now < known ? known : tuf->now, err);
}

static int take_timestamp(struct yg_tuf *tuf, struct yg_bytes text, struct yg_err *err)
{
	struct yg_meta *fresh YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_TIMESTAMP, text, YG_TUF_TIMESTAMP_MAX, err);
	bool same = false;
	if (!fresh || yg_meta_verify(tuf->root, "timestamp", fresh, err) < 0 ||
		check_timestamp(tuf->timestamp, fresh, &same, err) < 0 ||
		tuf_floor_check_timestamp(tuf, same ? tuf->timestamp : fresh, err) < 0 ||
		check_timestamp_expiry(tuf, same ? tuf->timestamp : fresh, err) < 0)
		return yg_wrap(err, "timestamp.json");
	if (same)
		return 0;
	if (tuf_state_save(tuf, "timestamp", text, err) < 0)
		return -1;
	tuf_state_replace(&tuf->timestamp, yg_take(fresh));
	return 0;
}

int tuf_role_timestamp(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	tuf->timestamp = tuf_state_load(tuf, YG_META_TIMESTAMP, "timestamp", tuf->root,
		YG_TUF_TIMESTAMP_MAX, &kept);
	if (tuf_state_fetch(tuf, "metadata/timestamp.json", YG_TUF_TIMESTAMP_MAX, &text, err) < 0 ||
		take_timestamp(tuf, yg_buf_bytes(&text), err) < 0)
		return -1;
	/* What is trusted from here on may tell a later time than the clock: the root is judged by it, too. */
	tuf_floor_raise_timestamp(tuf);
	return tuf_root_check_expiry(tuf, tuf_state_time(tuf), err);
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
	struct yg_meta *meta YG_AUTO(yg_meta) = tuf_state_load(tuf, type, role, by, max, &text);
	if (!meta || yg_meta_check(want, yg_buf_bytes(&text), &why) < 0 ||
		check_version(want, meta, &why) < 0 ||
		tuf_state_check_expiry(tuf, meta, tuf_state_time(tuf), &why) < 0)
		return NULL;
	return yg_take(meta);
}

/* Every role that was listed must still be listed, with no older version (5.5.5). */
static int check_listed(const struct yg_meta *old, const struct yg_meta *fresh, struct yg_err *err)
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

static int check_snapshot(const struct yg_tuf *tuf, const struct yg_meta *old,
	const struct yg_meta *fresh, struct yg_err *err)
{
	if (old && check_listed(old, fresh, err) < 0)
		return -1;
	return tuf_floor_check_snapshot(tuf, fresh, err);
}

/* Fetch the file that is announced; hashes come before anything is parsed. `old`, if any, is the
 * snapshot that was trusted before.
 */
static struct yg_meta *fetch_announced(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, const struct yg_meta_file *want, size_t max,
	const struct yg_meta *old, struct yg_err *err)
{
	char name[YG_META_URL_MAX], path[YG_TUF_URL_MAX];
	/* A role's name has at most 255 bytes, each of them three in a URL. */
	bool fits = yg_meta_url(role, "", name);
	fits = fits &&
		(tuf_state_consistent(tuf)
				? yg_str_put(path, sizeof(path), "metadata/%lld.%s.json",
					  (long long)want->version, name)
				: yg_str_put(path, sizeof(path), "metadata/%s.json", name));
	assert(fits);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	size_t limit = want->has_length && want->length < max ? (size_t)want->length : max;
	if (tuf_state_fetch(tuf, path, limit, &text, err) < 0)
		return NULL;
	struct yg_meta *meta YG_AUTO(yg_meta) = NULL;
	if (yg_meta_check(want, yg_buf_bytes(&text), err) == 0)
		meta = yg_meta_parse(type, yg_buf_bytes(&text), max, err);
	if (!meta || yg_meta_verify(by, role, meta, err) < 0 ||
		check_version(want, meta, err) < 0 ||
		(type == YG_META_SNAPSHOT && check_snapshot(tuf, old, meta, err) < 0) ||
		tuf_state_check_expiry(tuf, meta, tuf_state_time(tuf), err) < 0) {
		(void)yg_wrap(err, "%s", path);
		return NULL;
	}
	if (tuf_state_save(tuf, role, yg_buf_bytes(&text), err) < 0)
		return NULL;
	return yg_take(meta);
}

int tuf_role_snapshot(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_meta_file want = {0};
	bool there = yg_meta_file(tuf->timestamp, "snapshot.json", &want);
	assert(there);
	tuf->snapshot = load_announced(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root, &want,
		YG_TUF_SNAPSHOT_MAX);
	struct yg_err why = {0};
	if (tuf->snapshot && tuf_floor_check_snapshot(tuf, tuf->snapshot, &why) < 0)
		tuf_state_replace(&tuf->snapshot, NULL);
	if (!tuf->snapshot) {
		struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(YG_TUF_SNAPSHOT_MAX);
		struct yg_meta *old YG_AUTO(yg_meta) = tuf_state_load(tuf, YG_META_SNAPSHOT,
			"snapshot", tuf->root, YG_TUF_SNAPSHOT_MAX, &kept);
		tuf->snapshot = fetch_announced(tuf, YG_META_SNAPSHOT, "snapshot", tuf->root, &want,
			YG_TUF_SNAPSHOT_MAX, old, err);
	}
	return tuf->snapshot ? tuf_floor_raise_snapshot(tuf, err) : -1;
}

/* While the client lives from what is kept, that is all there is: a refresh that broke off may have left a
 * snapshot that lists newer files. Each of them was trusted in its day, and is verified again.
 */
static struct yg_meta *kept_targets(struct yg_tuf *tuf, const char *role, const struct yg_meta *by,
	struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TARGETS_MAX);
	struct yg_meta *meta = tuf_state_load(tuf, YG_META_TARGETS, role, by, YG_TUF_TARGETS_MAX,
		&text);
	if (!meta)
		(void)yg_fail_cause(err, YG_EABSENT, "tuf.missing",
			"role '%.64s': nothing that is valid is kept", role);
	return meta;
}

struct yg_meta *tuf_role_targets(struct yg_tuf *tuf, const char *role, const struct yg_meta *by,
	struct yg_err *err)
{
	char key[YG_META_KEY_MAX];
	struct yg_meta_file want = {0};
	if (tuf->kept)
		return kept_targets(tuf, role, by, err);
	bool fits = yg_meta_key(role, key);
	assert(fits); /* meta_shape.c saw to it */
	if (!yg_meta_file(tuf->snapshot, key, &want)) {
		(void)yg_fail_cause(err, YG_EUNTRUSTED, "tuf.version",
			"%lld.snapshot.json: does not list '%.200s'",
			(long long)tuf->snapshot->version, key);
		return NULL;
	}
	struct yg_meta *meta = load_announced(tuf, YG_META_TARGETS, role, by, &want,
		YG_TUF_TARGETS_MAX);
	return meta ? meta
		    : fetch_announced(tuf, YG_META_TARGETS, role, by, &want, YG_TUF_TARGETS_MAX,
			      NULL, err);
}
