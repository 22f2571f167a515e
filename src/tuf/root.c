/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/root.h"

#include <assert.h>
#include <string.h>

#include "core/str.h"
#include "tuf/floor.h"
#include "tuf/meta.h"
#include "tuf/state.h"

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
	tuf_state_replace(&tuf->root, yg_take(next));
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
	return tuf_state_save(tuf, "root", newest, err);
}

int tuf_root_trust(struct yg_tuf *tuf, struct yg_bytes root, struct yg_err *err)
{
	struct yg_meta *given YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_ROOT, root, YG_TUF_ROOT_MAX, err);
	if (!given || yg_meta_verify(given, "root", given, err) < 0)
		return yg_wrap(err, "installed root.json");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (yg_buf_add(&text, root.ptr, root.len, err) < 0)
		return -1;
	tuf_state_forget(tuf);
	tuf_state_replace(&tuf->root, yg_take(given));
	bool more = true;
	for (unsigned i = 0; more && i < YG_TUF_ROOT_STEPS_MAX; i++) {
		if (step_kept(tuf, &text, &more, err) < 0) {
			tuf_state_replace(&tuf->root, NULL);
			return -1;
		}
	}
	return keep_newest(tuf, yg_buf_bytes(&text), err);
}

int tuf_root_load(struct yg_tuf *tuf, struct yg_err *err)
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
	if (tuf_state_save(tuf, "timestamp", nothing, err) < 0)
		return -1;
	if (tuf_state_save(tuf, "snapshot", nothing, err) < 0)
		return -1;
	return tuf_floor_lower(tuf, next->version, err);
}

static int keep_root(struct yg_tuf *tuf, const struct yg_meta *next, struct yg_bytes text,
	struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	chain_name(next->version, name);
	if (tuf->ops->save(tuf->ctx, name, text, err) < 0)
		return yg_wrap(err, "keeping '%s'", name);
	return tuf_state_save(tuf, "root", text, err);
}

/* One step. *more is false when the source has no newer root. */
static int step_root(struct yg_tuf *tuf, bool *more, struct yg_err *err)
{
	char path[YG_TUF_URL_MAX];
	bool fits = yg_str_put(path, sizeof(path), "metadata/%lld.root.json",
		(long long)tuf->root->version + 1);
	assert(fits);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_err why = {0};
	*more = false;
	if (tuf_state_fetch(tuf, path, YG_TUF_ROOT_MAX, &text, &why) < 0) {
		/* Object stores forbid what is not there, so as not to tell. */
		if (why.code == YG_EABSENT || strcmp(why.cause, "http.forbidden") == 0)
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
	tuf_state_replace(&tuf->root, yg_take(next));
	*more = true;
	return 0;
}

int tuf_root_check_expiry(const struct yg_tuf *tuf, int64_t time, struct yg_err *err)
{
	if (tuf_state_check_expiry(tuf, tuf->root, time, err) < 0)
		return yg_wrap(err, "%lld.root.json", (long long)tuf->root->version);
	return 0;
}

int tuf_root_update(struct yg_tuf *tuf, struct yg_err *err)
{
	bool more = true;
	for (unsigned i = 0; more && i < YG_TUF_ROOT_STEPS_MAX; i++) {
		if (step_root(tuf, &more, err) < 0)
			return -1;
	}
	if (tuf_floor_check_root(tuf, err) < 0)
		return -1;
	tuf_floor_raise_root(tuf);
	return tuf_root_check_expiry(tuf, tuf->now, err);
}
