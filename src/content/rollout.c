/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/rollout.h"

#include <stdlib.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"

/* An optional list: its array, and room for what it says in *out. Not there: no items, room for none. */
static int list_of(const json_t *custom, const char *name, size_t max, size_t item, json_t **list,
	void **out, struct yg_err *err)
{
	*list = NULL;
	if (json_object_get(custom, name) && yg_json_array(custom, name, max, list, err) < 0)
		return -1;
	*out = calloc(json_array_size(*list) + 1, item);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int parse_wave(const json_t *object, const struct yg_wave *before, struct yg_wave *out,
	struct yg_err *err)
{
	const char *at;
	int64_t percent;
	if (yg_json_str(object, "at", 64, &at, err) < 0 ||
		yg_json_int(object, "percent", 0, 100, &percent, err) < 0)
		return -1;
	if (yg_clock_parse(at, &out->at, err) < 0)
		return yg_wrap(err, "at");
	out->percent = (unsigned)percent;
	if (before && out->at <= before->at)
		return yg_fail(err, YG_EFORMAT, "at: want later than the wave before, have %s", at);
	if (before && out->percent <= before->percent)
		return yg_fail(err, YG_EFORMAT, "percent: want > %u, have %u", before->percent,
			out->percent);
	return 0;
}

static int parse_waves(const json_t *custom, struct yg_rollout *to, struct yg_err *err)
{
	json_t *list;
	if (list_of(custom, "waves", YG_ROLLOUT_WAVES_MAX, sizeof(*to->waves), &list,
		    (void **)&to->waves, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (parse_wave(json_array_get(list, i), i > 0 ? &to->waves[i - 1] : NULL,
			    &to->waves[i], err) < 0)
			return yg_wrap(err, "waves: %zu", i + 1);
		to->wave_count = i + 1;
	}
	return 0;
}

static int parse_earlier(const json_t *custom, struct yg_rollout *to, struct yg_err *err)
{
	json_t *list;
	if (list_of(custom, "earlier", YG_ROLLOUT_EARLIER_MAX, sizeof(*to->earlier), &list,
		    (void **)&to->earlier, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *version = json_array_get(list, i);
		int64_t have = json_integer_value(version);
		int64_t below = i > 0 ? to->earlier[i - 1] : to->version;
		if (!json_is_integer(version) || have < 1)
			return yg_fail(err, YG_EFORMAT, "earlier: %zu: want a version, have %s",
				i + 1, yg_json_kind(version));
		if (below > 0 && have >= below)
			return yg_fail(err, YG_EFORMAT, "earlier: %zu: want < %lld, have %lld",
				i + 1, (long long)below, (long long)have);
		to->earlier[to->earlier_count++] = have;
	}
	return 0;
}

static int parse_withdrawn(const json_t *custom, struct yg_rollout *to, struct yg_err *err)
{
	json_t *list;
	if (list_of(custom, "withdrawn", YG_ROLLOUT_WITHDRAWN_MAX, sizeof(*to->withdrawn), &list,
		    (void **)&to->withdrawn, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *object = json_array_get(list, i);
		struct yg_withdrawn *at = &to->withdrawn[i];
		const char *reason;
		if (yg_json_int(object, "version", 1, INT64_MAX, &at->version, err) < 0 ||
			yg_json_str_or(object, "reason", YG_ROLLOUT_REASON_MAX, "", &reason, err) <
				0)
			return yg_wrap(err, "withdrawn: %zu", i + 1);
		if (!yg_str_put(at->reason, sizeof(at->reason), "%s", reason))
			return yg_fail(err, YG_ELIMIT, "withdrawn: %zu: reason: too long", i + 1);
		to->withdrawn_count = i + 1;
	}
	return 0;
}

static int parse(const json_t *custom, struct yg_rollout *to, struct yg_err *err)
{
	if (yg_json_int_or(custom, "version", 1, INT64_MAX, 0, &to->version, err) < 0 ||
		parse_waves(custom, to, err) < 0 || parse_earlier(custom, to, err) < 0)
		return -1;
	return parse_withdrawn(custom, to, err);
}

struct yg_rollout *yg_rollout_parse(const json_t *custom, struct yg_err *err)
{
	json_t *nothing YG_AUTO(yg_json) = json_object();
	struct yg_rollout *rollout YG_AUTO(yg_rollout) = calloc(1, sizeof(*rollout));
	struct yg_err why = {0};
	if (!rollout || !nothing) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	if (parse(custom ? custom : nothing, rollout, &why) == 0)
		return yg_take(rollout);
	(void)yg_fail_cause(err, why.code, why.code == YG_ESYSTEM ? "" : "content.format", "%s",
		why.msg);
	return NULL;
}

void yg_rollout_free(struct yg_rollout *rollout)
{
	if (!rollout)
		return;
	free(rollout->waves);
	free(rollout->earlier);
	free(rollout->withdrawn);
	free(rollout);
}

/* ---- writing ---- */

/* Takes `item` over. */
static bool append(json_t *list, json_t *item)
{
	return json_array_append_new(list, item) == 0;
}

static bool fill(const struct yg_rollout *rollout, json_t *waves, json_t *earlier,
	json_t *withdrawn)
{
	bool good = true;
	for (size_t i = 0; i < rollout->wave_count; i++) {
		char at[YG_CLOCK_TEXT];
		yg_clock_format(rollout->waves[i].at, at);
		good &= append(waves,
			json_pack("{s:s, s:i}", "at", at, "percent",
				(int)rollout->waves[i].percent));
	}
	for (size_t i = 0; i < rollout->earlier_count; i++)
		good &= append(earlier, json_integer(rollout->earlier[i]));
	for (size_t i = 0; i < rollout->withdrawn_count; i++)
		good &= append(withdrawn,
			json_pack("{s:I, s:s}", "version",
				(json_int_t)rollout->withdrawn[i].version, "reason",
				rollout->withdrawn[i].reason));
	return good;
}

json_t *yg_rollout_json(const struct yg_rollout *rollout)
{
	json_t *object YG_AUTO(yg_json) = json_object();
	const struct {
		const char *name;
		json_t *list;
	} lists[] = {{"waves", json_array()}, {"earlier", json_array()},
		{"withdrawn", json_array()}};
	bool good = object && fill(rollout, lists[0].list, lists[1].list, lists[2].list);
	if (good && rollout->version > 0)
		good = json_object_set_new(object, "version", json_integer(rollout->version)) == 0;
	for (size_t i = 0; i < YG_COUNT(lists); i++) {
		if (json_array_size(lists[i].list) > 0)
			good &= json_object_set(object, lists[i].name, lists[i].list) == 0;
		json_decref(lists[i].list);
	}
	return good ? yg_take(object) : NULL;
}

/* ---- use ---- */

int64_t yg_rollout_opens(const struct yg_rollout *rollout, unsigned seat)
{
	if (rollout->wave_count == 0)
		return 0;
	for (size_t i = 0; i < rollout->wave_count; i++) {
		if (seat < rollout->waves[i].percent * (YG_ROLLOUT_SEATS / 100))
			return rollout->waves[i].at;
	}
	return YG_ROLLOUT_NEVER;
}
