/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/am/config.h"

#include <stdio.h>
#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "engine/engine.h"
#include "tests/lib/cmocka_all.h"

static int parse(const char *text, struct yg_am_config *out, struct yg_err *err)
{
	json_t *value YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of(text), 4096, &value, err), 0);
	return yg_am_config_parse(value, out, err);
}

static void what_is_left_out_has_its_preset(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_am_config preset, config;
	yg_am_config_preset(&preset);
	assert_int_equal(parse("{}", &config, &err), 0);
	assert_int_equal(config.max_file_bytes, 100 << 20);
	assert_int_equal(config.threads, 2);
	assert_true(config.heuristics);
	assert_int_equal(config.memory_max_mb, preset.memory_max_mb);

	/* A document says all there is to say: nothing stays from the one before. */
	assert_int_equal(parse("{\"heuristics\":false,\"max_files\":7}", &config, &err), 0);
	assert_false(config.heuristics);
	assert_int_equal(config.max_files, 7);
	assert_int_equal(parse("{\"max_recursion\":3}", &config, &err), 0);
	assert_true(config.heuristics);
	assert_int_equal(config.max_files, preset.max_files);
	assert_int_equal(config.max_recursion, 3);
}

static void numbers_have_ranges(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		long long min, max;
	} rows[] = {
		{"max_file_bytes", 1, 2147483645},
		{"max_scan_bytes", 1, 1099511627776},
		{"max_recursion", 1, 100},
		{"max_files", 1, 1000000},
		{"max_scan_ms", 100, 3600000},
		{"memory_max_mb", 16, 1048576},
		{"threads", 1, 64},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const struct {
			long long value;
			bool good;
		} tries[] = {{rows[i].min, true}, {rows[i].max, true}, {rows[i].min - 1, false},
			{rows[i].max + 1, false}, {-1, false}};
		for (size_t t = 0; t < YG_COUNT(tries); t++) {
			struct yg_err err = {0};
			struct yg_am_config config;
			char text[128], want[256];
			(void)snprintf(text, sizeof(text), "{\"%s\":%lld}", rows[i].name,
				tries[t].value);
			assert_int_equal(parse(text, &config, &err), tries[t].good ? 0 : -1);
			if (tries[t].good)
				continue;
			(void)snprintf(want, sizeof(want),
				"SET_CONFIG ffffd8ec: %s: want %lld..%lld, have %lld", rows[i].name,
				rows[i].min, rows[i].max, tries[t].value);
			assert_string_equal(err.msg, want);
			assert_int_equal(err.code, YG_ELIMIT);
			assert_string_equal(err.cause, "engine.config");
		}
	}
}

static void a_refused_document_changes_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"[]", "SET_CONFIG ffffd8ed: want an object, have an array"},
		{"{\"threads\":3,\"color\":1}", "SET_CONFIG ffffd8ee: 'color': no such member"},
		{"{\"threads\":3,\"max_files\":null}",
			"SET_CONFIG ffffd8ed: max_files: want a whole number, have null"},
		{"{\"threads\":3,\"max_files\":1.5}",
			"SET_CONFIG ffffd8ed: max_files: want a whole number, have a number"},
		{"{\"threads\":3,\"heuristics\":\"yes\"}",
			"SET_CONFIG ffffd8ed: heuristics: want true or false, have a string"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_am_config config, before;
		memset(&config, 0x5a, sizeof(config));
		before = config;
		assert_int_equal(parse(rows[i].text, &config, &err), -1);
		assert_string_equal(err.msg, rows[i].error);
		assert_memory_equal(&config, &before, sizeof(config));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_has_its_preset),
		cmocka_unit_test(numbers_have_ranges),
		cmocka_unit_test(a_refused_document_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
