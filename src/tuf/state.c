/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/state.h"

#include "core/clock.h"

void tuf_state_replace(struct yg_meta **at, struct yg_meta *with)
{
	yg_meta_free(*at);
	*at = with;
}

void tuf_state_forget(struct yg_tuf *tuf)
{
	tuf_state_replace(&tuf->timestamp, NULL);
	tuf_state_replace(&tuf->snapshot, NULL);
	tuf_state_replace(&tuf->targets, NULL);
	for (size_t i = 0; i < tuf->role_count; i++)
		tuf_state_replace(&tuf->roles[i].meta, NULL);
	tuf->role_count = 0;
	tuf->refreshed = false;
	tuf->kept = false;
}

int64_t tuf_state_time(const struct yg_tuf *tuf)
{
	return tuf->now < tuf->floor.time ? tuf->floor.time : tuf->now;
}

bool tuf_state_consistent(const struct yg_tuf *tuf)
{
	return tuf->root && json_is_true(json_object_get(tuf->root->body, "consistent_snapshot"));
}

int tuf_state_fetch(struct yg_tuf *tuf, const char *path, size_t max, struct yg_buf *buf,
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

struct yg_meta *tuf_state_load(struct yg_tuf *tuf, enum yg_meta_type type, const char *role,
	const struct yg_meta *by, size_t max, struct yg_buf *text)
{
	char name[YG_META_NAME_MAX];
	struct yg_err why = {0};
	if (yg_meta_kept_name(role, name, &why) < 0 ||
		tuf->ops->load(tuf->ctx, name, text, &why) < 0)
		return NULL;
	struct yg_meta *meta YG_AUTO(yg_meta) = yg_meta_parse(type, yg_buf_bytes(text), max, &why);
	if (!meta || yg_meta_verify(by, role, meta, &why) < 0)
		return NULL;
	return yg_take(meta);
}

int tuf_state_save(struct yg_tuf *tuf, const char *role, struct yg_bytes text, struct yg_err *err)
{
	char name[YG_META_NAME_MAX];
	if (yg_meta_kept_name(role, name, err) < 0)
		return yg_wrap(err, "keeping role '%.64s'", role);
	if (tuf->ops->save(tuf->ctx, name, text, err) < 0)
		return yg_wrap(err, "keeping '%s'", name);
	return 0;
}

int tuf_state_check_expiry(const struct yg_tuf *tuf, const struct yg_meta *meta, int64_t time,
	struct yg_err *err)
{
	char at[YG_CLOCK_TEXT], now[YG_CLOCK_TEXT], clock[YG_CLOCK_TEXT];
	if (tuf->now == YG_TUF_ANY_TIME || time < meta->expires)
		return 0;
	yg_clock_format(meta->expires, at);
	yg_clock_format(time, now);
	yg_clock_format(tuf->now, clock);
	if (time == tuf->now)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.expired", "expired at %s, it is %s",
			at, now);
	return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.expired",
		"expired at %s, it is %s at least (this computer's clock says %s)", at, now, clock);
}
