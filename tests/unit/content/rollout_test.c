/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/rollout.h"

#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

#define WAVE(at, percent) "{\"at\":\"2026-11-22T0" at ":00:00Z\",\"percent\":" percent "}"

static json_t *parse_text(const char *text)
{
	struct yg_err err = {0};
	json_t *object = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of(text), 4096, &object, &err), 0);
	return object;
}

static void round_trip(void **state)
{
	(void)state;
	static const char text[] = "{\"earlier\":[41,40],\"version\":42,\"waves\":[" WAVE("0",
		"1") "," WAVE("4",
		"100") "],\"withdrawn\":[{\"reason\":\"flags clean files\",\"version\":43}]}";
	struct yg_err err = {0};
	json_t *custom YG_AUTO(yg_json) = parse_text(text);
	struct yg_rollout *rollout YG_AUTO(yg_rollout) = yg_rollout_parse(custom, &err);
	assert_non_null(rollout);
	assert_int_equal(rollout->version, 42);
	assert_int_equal(rollout->waves[1].percent, 100);
	assert_int_equal(rollout->earlier[1], 40);
	assert_string_equal(rollout->withdrawn[0].reason, "flags clean files");
	json_t *again YG_AUTO(yg_json) = yg_rollout_json(rollout);
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(yg_json_dump(again, &out, &err), 0);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
}

/* What an older publisher, or one with nothing to say, writes. */
static void nothing_said(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_rollout *rollout YG_AUTO(yg_rollout) = yg_rollout_parse(NULL, &err);
	assert_non_null(rollout);
	assert_int_equal(yg_rollout_opens(rollout, 9999), 0);
	json_t *custom YG_AUTO(yg_json) = yg_rollout_json(rollout);
	assert_int_equal(json_object_size(custom), 0);
}

static const struct {
	const char *text, *error;
} rows[] = {
	{"{\"of\":\"later\"}", NULL},
	{"{\"version\":0}", "version: want 1..9223372036854775807, have 0"},
	{"{\"waves\":7}", "waves: want an array, have a whole number"},
	{"{\"waves\":[7]}", "waves: 1: at: want a string, have nothing"},
	{"{\"waves\":[" WAVE("0", "101") "]}", "waves: 1: percent: want 0..100, have 101"},
	{"{\"waves\":[" WAVE("0", "5") "," WAVE("0", "6") "]}",
		"waves: 2: at: want later than the wave before, have 2026-11-22T00:00:00Z"},
	{"{\"waves\":[" WAVE("0", "5") "," WAVE("1", "5") "]}",
		"waves: 2: percent: want > 5, have 5"},
	{"{\"version\":3,\"earlier\":[3]}", "earlier: 1: want < 3, have 3"},
	{"{\"earlier\":[3,4]}", "earlier: 2: want < 3, have 4"},
	{"{\"earlier\":[\"3\"]}", "earlier: 1: want a version, have a string"},
	{"{\"withdrawn\":[{\"reason\":\"\"}]}",
		"withdrawn: 1: version: want a whole number, have nothing"},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *custom YG_AUTO(yg_json) = parse_text(rows[i].text);
		struct yg_rollout *rollout YG_AUTO(yg_rollout) = yg_rollout_parse(custom, &err);
		assert_int_equal(rollout == NULL, rows[i].error != NULL);
		assert_string_equal(err.msg, rows[i].error ? rows[i].error : "");
		assert_string_equal(err.cause, rows[i].error ? "content.format" : "");
	}
}

static void seats(void **state)
{
	(void)state;
	struct yg_wave waves[] = {{100, 0}, {200, 1}, {300, 50}};
	struct yg_rollout rollout = {.waves = waves, .wave_count = 3};
	static const struct {
		unsigned seat;
		int64_t opens;
	} cases[] = {{0, 200}, {99, 200}, {100, 300}, {4999, 300}, {5000, YG_ROLLOUT_NEVER},
		{9999, YG_ROLLOUT_NEVER}};
	for (size_t i = 0; i < YG_COUNT(cases); i++)
		assert_int_equal(yg_rollout_opens(&rollout, cases[i].seat), cases[i].opens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(nothing_said),
		cmocka_unit_test(refusals),
		cmocka_unit_test(seats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
