/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/set.h"

#include <string.h>

#include "core/attr.h"
#include "core/str.h"
#include "tests/unit/tuf/sim.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A manifest's text. */
static char *manifest_text(const char *component, const char *family, int version, int min)
{
	char *text = yg_str_format(
		"{\"format\":1,\"component\":\"%s\",\"family\":\"%s\",\"version\":%d,"
		"\"released\":\"2026-11-21T22:47:43Z\",\"abi\":{\"engine\":\"clamav\",\"min\":%d,\"max\":999},"
		"\"files\":[{\"path\":\"z.hdb\",\"sha256\":\"" A64
		"\",\"size\":9,\"forms\":[{\"encoding\":"
		"\"zstd\",\"sha256\":\"" B64 "\",\"size\":4}]}]}",
		component, family, version, min);
	assert_non_null(text);
	return text;
}

static struct yg_manifest *manifest(const char *component, int version)
{
	struct yg_err err = {0};
	char *text YG_AUTO(mem) = manifest_text(component, "pattern", version, 1);
	struct yg_manifest *out = yg_manifest_parse(yg_bytes_of(text), &err);
	assert_non_null(out);
	return out;
}

static void description(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(8192);
	struct yg_buf forms YG_AUTO(yg_buf) = YG_BUF(8192);
	struct yg_manifest *two[] = {manifest("b-x", 1), manifest("a-x", 2)};
	struct yg_set *set YG_AUTO(yg_set) = yg_set_new(two, 2, &err);
	assert_non_null(set);
	assert_string_equal(set->components[0]->component, "a-x");
	assert_int_equal(yg_set_format(set, false, &plain, &err), 0);
	assert_int_equal(yg_set_format(set, true, &forms, &err), 0);
	char *want YG_AUTO(mem) = yg_str_format(
		"{\"components\":["
		"{\"abi\":{\"engine\":\"clamav\",\"max\":999,\"min\":1},\"family\":\"pattern\",\"files\":"
		"[{\"path\":\"z.hdb\",\"sha256\":\"" A64
		"\",\"size\":9}],\"manifest\":\"%s\",\"name\":"
		"\"a-x\",\"trial\":{\"find\":[],\"pass\":[]},\"version\":2},"
		"{\"abi\":{\"engine\":\"clamav\",\"max\":999,\"min\":1},\"family\":\"pattern\",\"files\":"
		"[{\"path\":\"z.hdb\",\"sha256\":\"" A64
		"\",\"size\":9}],\"manifest\":\"%s\",\"name\":"
		"\"b-x\",\"trial\":{\"find\":[],\"pass\":[]},\"version\":1}]}",
		set->components[0]->sha256, set->components[1]->sha256);
	assert_int_equal(plain.len, strlen(want));
	assert_memory_equal(plain.data, want, plain.len);
	char digest[YG_HASH_TEXT];
	assert_int_equal(yg_hash_text(yg_buf_bytes(&plain), digest, &err), 0);
	assert_string_equal(set->digest, digest);

	/* Read back, from either text, it is the same set; forms survive where they were given. */
	struct yg_set *bare YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&plain), &err);
	struct yg_set *full YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&forms), &err);
	assert_non_null(bare);
	assert_non_null(full);
	assert_string_equal(bare->digest, digest);
	assert_string_equal(full->digest, digest);
	assert_int_equal(yg_set_component(bare, "a-x")->files[0].form_count, 0);
	assert_int_equal(yg_set_component(full, "a-x")->files[0].form_count, 1);
	assert_null(yg_set_component(full, "c-x"));
}

static void doubles(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_manifest *two[] = {manifest("a-x", 1), manifest("a-x", 2)};
	assert_null(yg_set_new(two, 2, &err));
	assert_string_equal(err.msg, "component 'a-x' is there twice");
}

/* Names that a set's folder needs for itself. */
static void taken(void **state)
{
	(void)state;
	static const char *const names[] = {"set.json", "iaulogs"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		struct yg_err err = {0};
		char want[80];
		struct yg_manifest *one[] = {manifest(names[i], 1)};
		assert_null(yg_set_new(one, 1, &err));
		assert_true(yg_str_put(want, sizeof(want),
			"component '%s': the name is taken in a set's folder", names[i]));
		assert_string_equal(err.msg, want);
	}
}

static const struct {
	const char *text, *error;
} rows[] = {
	{"{\"components\":[]}", NULL},
	{"[]", "components: want an array, have nothing"},
	{"{\"components\":{}}", "components: want an array, have an object"},
	{"{\"components\":[7]}", "components: 1: want an object, have a whole number"},
	{"{\"components\":[{\"name\":\"a/b\"}]}",
		"components: 1: name: want 1..64 of a-z 0-9 . _ - and no leading dot, have 'a/b'"},
	{"{\"components\":[{\"name\":\"a\",\"version\":1,\"family\":\"rule\",\"files\":[]}]}",
		"components: 1: manifest: want a string, have nothing"},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_set *set YG_AUTO(yg_set) = yg_set_parse(yg_bytes_of(rows[i].text), &err);
		assert_int_equal(set == NULL, rows[i].error != NULL);
		assert_string_equal(err.msg, rows[i].error ? rows[i].error : "");
	}
}

/* ---- out of a repository ---- */

static const struct {
	const char *target, *component, *family;
	int min;
	int64_t clamav;
	unsigned families;
	const char *cause, *error; /* NULL: collected; "": left out */
} collected[] = {
	{"am/am-pattern.json", "am-pattern", "pattern", 150, 200, YG_FAMILIES_ALL, "", NULL},
	{"am/am-pattern.json", "am-pattern", "pattern", 150, 0, YG_FAMILIES_ALL, "", NULL},
	{"am/am-hash.json", "am-hash", "rule", 150, 200, 1u << YG_FAMILY_PATTERN, "", ""},
	{"am/am-newer.json", "am-newer", "pattern", 150, 200, YG_FAMILIES_ALL, "", ""},
	{"am/wr-list.json", "wr-list", "pattern", 150, 200, YG_FAMILIES_ALL, "", ""},
	{"am/am-pattern.txt", "am-pattern", "pattern", 150, 200, YG_FAMILIES_ALL, "", ""},
	{"am/am-pattern.json", "am-pattern", "pattern", 250, 200, YG_FAMILIES_ALL, "content.abi",
		"am-pattern version 7 is for engines with content format level 250..999, this one has 200"},
	{"am/am-pattern.json", "am-hash", "pattern", 150, 200, YG_FAMILIES_ALL, "content.format",
		"manifest 'am/am-pattern.json': component: want 'am-pattern', have 'am-hash'"},
	{"am/am-pattern.json", "am-pattern", "game", 150, 200, YG_FAMILIES_ALL, "content.format",
		"manifest 'am/am-pattern.json': family: want 'pattern' or 'rule', have 'game'"},
};

static void collecting(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(collected); i++) {
		struct sim sim;
		struct yg_err err = {0};
		sim_init(&sim);
		(void)json_object_clear(json_object_get(sim.am, "targets"));
		char *text YG_AUTO(mem) = manifest_text(collected[i].component, collected[i].family,
			7, collected[i].min);
		sim_target(&sim, sim.am, collected[i].target, text);
		sim_publish(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
			&(struct yg_set_want){.clamav = collected[i].clamav,
				.families = collected[i].families,
				.every = true},
			NULL, &err);
		bool fails = collected[i].error && collected[i].error[0];
		if ((set == NULL) != fails)
			fail_msg("%zu: '%s'", i, err.msg);
		assert_string_equal(err.msg, fails ? collected[i].error : "");
		assert_string_equal(err.cause, collected[i].cause);
		if (set)
			assert_int_equal(set->count, collected[i].error ? 0 : 1);
		sim_done(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(description),
		cmocka_unit_test(doubles),
		cmocka_unit_test(taken),
		cmocka_unit_test(refusals),
		cmocka_unit_test(collecting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
