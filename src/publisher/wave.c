/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/wave.h"

#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/history.h"

/* ---- presets ---- */

/* "default" is over before the next day's release, from which on everybody may take today's. "slow" is for
 * what changes seldom; "emergency" still leaves the first tenth time to say that it is bad.
 */
#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const struct {
	size_t count;
	struct yg_wave waves[8]; /* seconds after the release */
} presets[] = {
	{0, {{0}}}, /* none */
	{6, {{0, 1}, {HOUR, 5}, {3 * HOUR, 15}, {6 * HOUR, 40}, {9 * HOUR, 70}, {12 * HOUR, 100}}},
	{7,
		{{HOUR, 1}, {4 * HOUR, 5}, {DAY, 15}, {2 * DAY, 40}, {4 * DAY, 60}, {5 * DAY, 90},
			{6 * DAY, 100}}},
	{4, {{0, 5}, {30 * MINUTE, 20}, {HOUR, 50}, {2 * HOUR, 100}}},
	{3, {{0, 10}, {15 * MINUTE, 50}, {30 * MINUTE, 100}}},
};

/* ---- what the command line says ---- */

/* "+30m", "+4h", "+2d", "+0": after the release. */
static int parse_after(const char *text, size_t len, int64_t *out, struct yg_err *err)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'m', MINUTE}, {'h', HOUR}, {'d', DAY}};
	char digits[16];
	uint64_t value = 0;
	int64_t scale = 1;
	for (size_t i = 0; i < YG_COUNT(units) && len > 0; i++) {
		if (text[len - 1] == units[i].unit) {
			scale = units[i].seconds;
			len--;
			break;
		}
	}
	if (!yg_str_put(digits, sizeof(digits), "%.*s", (int)len, text) ||
		yg_str_u64(digits, 1u << 20, &value, err) < 0 || (scale == 1 && value != 0))
		return yg_fail(err, YG_EFORMAT, "no time");
	*out = (int64_t)value * scale;
	return 0;
}

static int parse_one(const char *text, int64_t now, struct yg_wave *out)
{
	char at[32];
	uint64_t percent = 0;
	struct yg_err why = {0};
	const char *colon = strrchr(text, ':');
	if (!colon || !yg_str_put(at, sizeof(at), "%.*s", (int)(colon - text), text) ||
		yg_str_u64(colon + 1, 100, &percent, &why) < 0)
		return -1;
	if (at[0] == '+') {
		if (parse_after(at + 1, strlen(at + 1), &out->at, &why) < 0)
			return -1;
		out->at += now;
	} else if (yg_clock_parse(at, &out->at, &why) < 0) {
		return -1;
	}
	out->percent = (unsigned)percent;
	return 0;
}

static int check_order(const struct yg_wave *waves, size_t at, struct yg_err *err)
{
	if (at == 0 ||
		(waves[at].at > waves[at - 1].at && waves[at].percent > waves[at - 1].percent))
		return 0;
	return yg_fail(err, YG_EFORMAT,
		"--wave: want each later and for more computers than the one before, have %u%% after %u%%",
		waves[at].percent, waves[at - 1].percent);
}

int wave_parse(const struct command *command, struct yg_wave out[YG_ROLLOUT_WAVES_MAX],
	size_t *count, struct yg_err *err)
{
	*count = 0;
	size_t preset = (size_t)command->waves;
	if (preset > 0 && command->wave_count > 0)
		return yg_fail(err, YG_EFORMAT, "want --wave or --waves, have both");
	for (size_t i = 0; i < presets[preset].count; i++) {
		out[i] = presets[preset].waves[i];
		out[i].at += command->now;
		*count = i + 1;
	}
	for (size_t i = 0; i < command->wave_count; i++) {
		if (i == YG_ROLLOUT_WAVES_MAX)
			return yg_fail(err, YG_ELIMIT, "--wave: want <= %u times",
				YG_ROLLOUT_WAVES_MAX);
		if (parse_one(command->wave[i], command->now, &out[i]) < 0)
			return yg_fail(err, YG_EFORMAT,
				"--wave: want TIME:PERCENT like 2026-11-22T04:00:00Z:5 or +4h:5, have '%.64s'",
				command->wave[i]);
		if (check_order(out, i, err) < 0)
			return -1;
		*count = i + 1;
	}
	return 0;
}

/* ---- the command ---- */

unsigned wave_open(const struct yg_rollout *rollout, int64_t now)
{
	unsigned open = rollout->wave_count == 0 ? 100 : 0;
	for (size_t i = 0; i < rollout->wave_count && rollout->waves[i].at <= now; i++)
		open = rollout->waves[i].percent;
	return open;
}

json_t *wave_json(const struct yg_rollout *rollout)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; list && i < rollout->wave_count; i++) {
		char at[YG_CLOCK_TEXT];
		yg_clock_format(rollout->waves[i].at, at);
		if (json_array_append_new(list,
			    json_pack("{s:s, s:i}", "at", at, "percent",
				    (int)rollout->waves[i].percent)) < 0)
			return NULL;
	}
	return yg_take(list);
}

/* Those who may take it keep it, nobody else comes. A first wave of nobody holds when none has begun. */
static size_t pause_waves(const struct yg_rollout *rollout, int64_t now, struct yg_wave *out)
{
	size_t count = 0;
	while (count < rollout->wave_count && rollout->waves[count].at <= now) {
		out[count] = rollout->waves[count];
		count++;
	}
	if (count == 0)
		out[count++] = (struct yg_wave){now, 0};
	return count;
}

static int new_waves(const struct command *command, const struct yg_rollout *rollout,
	struct yg_wave out[YG_ROLLOUT_WAVES_MAX], size_t *count, struct yg_err *err)
{
	bool some = command->waves > 0 || command->wave_count > 0;
	if (some + command->all + command->pause != 1)
		return yg_fail(err, YG_EFORMAT,
			"want one of --wave, --waves, --all and --pause, have %d",
			some + command->all + command->pause);
	if (some)
		return wave_parse(command, out, count, err);
	*count = 0;
	if (command->pause && rollout->wave_count == 0)
		return yg_fail(err, YG_EFORMAT,
			"--pause: every computer may take version %lld already; withdraw it instead",
			(long long)rollout->version);
	if (command->pause)
		*count = pause_waves(rollout, command->now, out);
	return 0;
}

int wave_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct yg_wave waves[YG_ROLLOUT_WAVES_MAX];
	size_t count = 0;
	if (command_open(command, &repo, &keys, err) < 0)
		return -1;
	struct history *history YG_AUTO(history) = history_load(&repo, command->component, err);
	if (!history)
		return -1;
	if (history->count == 0 || history->newest_lost)
		return yg_fail(err, YG_EABSENT, "%s: no release that can be read",
			command->component);
	if (new_waves(command, history->rollout, waves, &count, err) < 0 ||
		history_set_waves(history, waves, count, err) < 0 ||
		history_stage(history, &repo, err) < 0 || repo_publish(&repo, true, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:I, s:i, s:o}", "component", command->component, "version",
		(json_int_t)history->rollout->version, "open_percent",
		(int)wave_open(history->rollout, command->now), "waves",
		wave_json(history->rollout));
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
