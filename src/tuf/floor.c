/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/floor.h"

#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "tuf/state.h"

#define NAME     "floor.json"
#define LAST_MAX (INT64_MAX - 1)

void tuf_floor_done(struct tuf_floor *floor)
{
	json_decref(floor->targets);
	*floor = (struct tuf_floor){0};
}

/* ---- the file ---- */

static int parse_targets(const json_t *doc, json_t **out, struct yg_err *err)
{
	json_t *targets;
	if (!json_object_get(doc, "targets"))
		return 0;
	if (yg_json_object(doc, "targets", &targets, err) < 0)
		return -1;
	for (void *i = json_object_iter(targets); i; i = json_object_iter_next(targets, i)) {
		int64_t version;
		if (yg_json_int(targets, json_object_iter_key(i), 1, LAST_MAX, &version, err) < 0)
			return yg_wrap(err, "targets");
	}
	*out = json_incref(targets);
	return 0;
}

static int parse_members(const json_t *doc, struct tuf_floor *floor, struct yg_err *err)
{
	int64_t format;
	const char *time;
	if (!json_is_object(doc))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(doc));
	if (yg_json_int(doc, "format", 1, 1, &format, err) < 0 ||
		yg_json_int_or(doc, "root", 0, LAST_MAX, 0, &floor->root, err) < 0 ||
		yg_json_int_or(doc, "timestamp", 0, LAST_MAX, 0, &floor->timestamp, err) < 0 ||
		yg_json_int_or(doc, "snapshot", 0, LAST_MAX, 0, &floor->snapshot, err) < 0 ||
		yg_json_str_or(doc, "time", 64, NULL, &time, err) < 0)
		return -1;
	if (time && yg_clock_parse(time, &floor->time, err) < 0)
		return yg_wrap(err, "time");
	return parse_targets(doc, &floor->targets, err);
}

int tuf_floor_parse(struct tuf_floor *floor, struct yg_bytes text, struct yg_err *err)
{
	json_t *doc YG_AUTO(yg_json) = NULL;
	struct tuf_floor have = {0};
	if (yg_json_parse(text, YG_TUF_FLOOR_MAX, &doc, err) < 0 ||
		parse_members(doc, &have, err) < 0)
		return yg_wrap(err, NAME);
	tuf_floor_done(floor);
	*floor = have;
	return 0;
}

int tuf_floor_load(struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_FLOOR_MAX);
	struct yg_err why = {0};
	tuf_floor_done(&tuf->floor);
	if (tuf->ops->load(tuf->ctx, NAME, &text, &why) == 0 &&
		tuf_floor_parse(&tuf->floor, yg_buf_bytes(&text), &why) == 0)
		return 0;
	if (why.code == YG_EABSENT || why.code == YG_EFORMAT || why.code == YG_ELIMIT)
		return 0;
	*err = why;
	return yg_wrap(err, "kept %s", NAME);
}

static json_t *describe(const struct tuf_floor *floor)
{
	json_t *doc = json_pack("{s:i}", "format", 1);
	const struct {
		const char *name;
		int64_t version;
	} roles[] = {{"root", floor->root}, {"timestamp", floor->timestamp},
		{"snapshot", floor->snapshot}};
	int bad = doc ? 0 : -1;
	for (size_t i = 0; i < YG_COUNT(roles) && bad == 0; i++)
		if (roles[i].version > 0)
			bad = json_object_set_new(doc, roles[i].name,
				json_integer(roles[i].version));
	if (bad == 0 && floor->targets)
		bad = json_object_set(doc, "targets", floor->targets);
	if (bad == 0 && floor->time > 0) {
		char time[YG_CLOCK_TEXT];
		yg_clock_format(floor->time, time);
		bad = json_object_set_new(doc, "time", json_string(time));
	}
	if (bad == 0)
		return doc;
	json_decref(doc);
	return NULL;
}

int tuf_floor_save(struct yg_tuf *tuf, struct yg_err *err)
{
	if (!tuf->floor.changed)
		return 0;
	json_t *doc YG_AUTO(yg_json) = describe(&tuf->floor);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_FLOOR_MAX);
	if (!doc)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_json_dump(doc, &text, err) < 0 ||
		tuf->ops->save(tuf->ctx, NAME, yg_buf_bytes(&text), err) < 0)
		return yg_wrap(err, "keeping '%s'", NAME);
	tuf->floor.changed = false;
	return 0;
}

/* ---- checks ---- */

static int too_old(const char *what, int64_t floor, int64_t have, struct yg_err *err)
{
	return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
		"%s version: want >= %lld, which was trusted before, have %lld", what,
		(long long)floor, (long long)have);
}

int tuf_floor_check_root(const struct yg_tuf *tuf, struct yg_err *err)
{
	if (tuf->root->version >= tuf->floor.root)
		return 0;
	return too_old("root:", tuf->floor.root, tuf->root->version, err);
}

int tuf_floor_check_timestamp(const struct yg_tuf *tuf, const struct yg_meta *timestamp,
	struct yg_err *err)
{
	struct yg_meta_file snapshot = {0};
	(void)yg_meta_file(timestamp, "snapshot.json",
		&snapshot); /* there: meta_shape.c asks for it */
	if (timestamp->version < tuf->floor.timestamp)
		return too_old("floor:", tuf->floor.timestamp, timestamp->version, err);
	if (snapshot.version < tuf->floor.snapshot)
		return too_old("floor: snapshot.json:", tuf->floor.snapshot, snapshot.version, err);
	return 0;
}

int tuf_floor_check_snapshot(const struct yg_tuf *tuf, const struct yg_meta *snapshot,
	struct yg_err *err)
{
	json_t *floor = tuf->floor.targets;
	for (void *i = json_object_iter(floor); i; i = json_object_iter_next(floor, i)) {
		const char *name = json_object_iter_key(i);
		int64_t version = json_integer_value(json_object_iter_value(i));
		struct yg_meta_file now = {0};
		if (!yg_meta_file(snapshot, name, &now))
			return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
				"floor: '%.128s' was listed before and is not any more", name);
		if (now.version < version)
			return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.rollback",
				"floor: '%.128s': version: want >= %lld, which was trusted before, "
				"have %lld",
				name, (long long)version, (long long)now.version);
	}
	return 0;
}

/* ---- changes ---- */

static void lift(struct tuf_floor *floor, int64_t *at, int64_t to)
{
	if (to <= *at)
		return;
	*at = to;
	floor->changed = true;
}

void tuf_floor_raise_root(struct yg_tuf *tuf)
{
	lift(&tuf->floor, &tuf->floor.root, tuf->root->version);
}

void tuf_floor_raise_timestamp(struct yg_tuf *tuf)
{
	struct yg_meta_file snapshot = {0};
	(void)yg_meta_file(tuf->timestamp, "snapshot.json", &snapshot);
	lift(&tuf->floor, &tuf->floor.timestamp, tuf->timestamp->version);
	lift(&tuf->floor, &tuf->floor.snapshot, snapshot.version);
	/* The newest version tells the time, not the latest time any version told: versions cannot go back. */
	int64_t time = tuf->timestamp->signed_at;
	if (time == 0 || time == tuf->floor.time)
		return;
	tuf->floor.time = time;
	tuf->floor.changed = true;
}

/* All that the snapshot lists, whether it was ever fetched or not: none of it may go back (5.5.5). */
int tuf_floor_raise_snapshot(struct yg_tuf *tuf, struct yg_err *err)
{
	json_t *listed = json_object_get(tuf->snapshot->body, "meta");
	json_t *versions YG_AUTO(yg_json) = json_object();
	int bad = versions ? 0 : -1;
	for (void *i = json_object_iter(listed); i && bad == 0;
		i = json_object_iter_next(listed, i))
		bad = json_object_set(versions, json_object_iter_key(i),
			json_object_get(json_object_iter_value(i), "version"));
	if (bad < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (json_equal(versions, tuf->floor.targets))
		return 0;
	json_decref(tuf->floor.targets);
	tuf->floor.targets = yg_take(versions);
	tuf->floor.changed = true;
	return 0;
}

int tuf_floor_lower(struct yg_tuf *tuf, int64_t root, struct yg_err *err)
{
	struct tuf_floor *floor = &tuf->floor;
	if (root <= floor->root)
		return 0;
	int64_t kept = floor->root;
	bool any = floor->timestamp || floor->snapshot || floor->targets || floor->time;
	tuf_floor_done(floor);
	floor->root = kept;
	floor->changed = any;
	return tuf_floor_save(tuf, err);
}
