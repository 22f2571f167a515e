/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "content/rollout.h"
#include "content/set.h"
#include "core/attr.h"
#include "core/str.h"
#include "tests/unit/tuf/sim.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Which release a computer gets: am-pattern 42, 41 and 40 are there, and am-hash 3. */

static void add_family(struct sim *sim, const char *target, const char *component, int version,
	int abi, const char *family)
{
	char *text YG_AUTO(mem) = yg_str_format(
		"{\"format\":1,\"component\":\"%s\",\"family\":\"%s\",\"version\":%d,"
		"\"released\":\"2026-11-21T22:47:43Z\",\"abi\":{\"engine\":\"clamav\",\"min\":%d,\"max\":999},"
		"\"files\":[{\"path\":\"z.hdb\",\"sha256\":\"" A64
		"\",\"size\":9,\"forms\":[{\"encoding\":"
		"\"plain\",\"sha256\":\"" A64 "\",\"size\":9}]}]}",
		component, family, version, abi);
	assert_non_null(text);
	sim_target(sim, sim->am, target, text);
}

static void add(struct sim *sim, const char *target, const char *component, int version, int abi)
{
	add_family(sim, target, component, version, abi, "pattern");
}

/* The simulated repository has one class only; which family it is of, its manifest says. */
static void rule(struct sim *sim, int version)
{
	add_family(sim, "am/am-hash.json", "am-hash", version, 1, "rule");
}

static void custom(struct sim *sim, const char *text)
{
	struct yg_err err = {0};
	json_t *object = NULL;
	assert_int_equal(yg_json_parse(yg_bytes_of(text), 4096, &object, &err), 0);
	json_t *entry = json_object_get(json_object_get(sim->am, "targets"), "am/am-pattern.json");
	assert_int_equal(json_object_set_new(entry, "custom", object), 0);
}

#define EARLIER "\"version\":42,\"earlier\":[41,40]"
#define WAVES                                                                                      \
	",\"waves\":[{\"at\":\"2027-01-15T07:00:00Z\",\"percent\":1},"                             \
	"{\"at\":\"2027-01-15T09:00:00Z\",\"percent\":100}]"

static const struct row {
	const char *name, *custom;
	int abi_42, abi_41, abi_40; /* lowest level, 0: that release is not there */
	struct yg_set_want want;
	bool notes, have;
	int64_t version; /* of am-pattern; 0: left out, -1: the whole fails */
	int64_t noted;   /* newest of its note, -1: none */
	const char *error;
	const char *pins; /* JSON */
} rows[] = {
	{"the newest", "{" EARLIER "}", 1, 1, 1, {.seat = 9999}, true, false, 42, -1, "", NULL},
	{"nothing said", "{}", 1, 1, 1, {.seat = 9999}, true, false, 42, -1, "", NULL},
	{"open to an early seat", "{" EARLIER WAVES "}", 1, 1, 1, {.seat = 99}, true, false, 42, -1,
		"", NULL},
	{"a later seat waits", "{" EARLIER WAVES "}", 1, 1, 1, {.seat = 100}, true, false, 41, 42,
		"", NULL},
	{"somebody's now does not", "{" EARLIER WAVES "}", 1, 1, 1, {.seat = 100, .every = true},
		true, false, 42, -1, "", NULL},
	{"who has nothing to wait with does not", "{\"version\":42" WAVES "}", 1, 0, 0,
		{.seat = 100}, true, false, 42, -1, "", NULL},
	{"one that is listed and pruned", "{" EARLIER WAVES "}", 1, 0, 1, {.seat = 100}, true,
		false, 40, 42, "", NULL},
	{"an engine for an earlier one", "{" EARLIER "}", 300, 300, 1, {.clamav = 200}, true, false,
		40, 42, "am-pattern version 42 is for engines with content format level 300..999, ",
		NULL},
	{"the same, and nobody is told", "{" EARLIER "}", 300, 300, 1, {.clamav = 200}, false,
		false, 40, -1, "", NULL},
	{"an engine for none", "{" EARLIER "}", 300, 300, 300, {.clamav = 200}, true, false, 0, 42,
		"am-pattern version 42 is for engines with content format level 300..999, ", NULL},
	{"the same, and it runs one", "{" EARLIER "}", 300, 300, 300, {.clamav = 200}, true, true,
		39, 42, "am-pattern version 42 is for engines with content format level 300..999, ",
		NULL},
	{"the same, and nobody is told", "{" EARLIER "}", 300, 300, 300, {.clamav = 200}, false,
		false, -1, -1,
		"am-pattern version 42 is for engines with content format level 300..999, ", NULL},
	{"malformed waves", "{\"waves\":7}", 1, 1, 1, {.seat = 1}, true, true, 39, 0,
		"target 'am/am-pattern.json': custom: waves: want an array, have a whole number",
		NULL},
	{"the one before", "{" EARLIER "}", 1, 1, 1, {.take = YG_TAKE_PREVIOUS}, true, false, 41,
		42, "", NULL},
	{"the one before, wave or not", "{" EARLIER WAVES "}", 1, 1, 1,
		{.take = YG_TAKE_PREVIOUS, .seat = 9999}, true, false, 41, 42, "", NULL},
	{"the one before that an engine can load", "{" EARLIER "}", 1, 300, 1,
		{.take = YG_TAKE_PREVIOUS, .clamav = 200}, true, false, 40, 42,
		"am-pattern version 41 is for engines with content format level 300..999, ", NULL},
	{"the one before, and there is none", "{\"version\":42" WAVES "}", 1, 0, 0,
		{.take = YG_TAKE_PREVIOUS, .seat = 9999}, true, false, 42, -1, "", NULL},
	{"pinned", "{" EARLIER "}", 1, 1, 1, {.take = YG_TAKE_PINNED}, true, true, 40, 42, "",
		"{\"am-pattern\":40}"},
	{"pinned to the newest", "{" EARLIER WAVES "}", 1, 1, 1,
		{.take = YG_TAKE_PINNED, .seat = 9999}, true, true, 42, -1, "",
		"{\"am-pattern\":42}"},
	{"another is pinned", "{" EARLIER "}", 1, 1, 1, {.take = YG_TAKE_PINNED}, true, true, 42,
		-1, "", "{\"wr-list\":3}"},
	{"pinned to what is not offered", "{" EARLIER "}", 1, 1, 1, {.take = YG_TAKE_PINNED}, true,
		true, 39, 42,
		"am-pattern is pinned to version 12, which is not offered: the newest is 42, and some "
		"before it are",
		"{\"am-pattern\":12}"},
	{"pinned to what was pruned", "{" EARLIER "}", 1, 0, 1, {.take = YG_TAKE_PINNED}, true,
		true, 39, 42, "am-pattern is pinned to version 41, which is not offered: ",
		"{\"am-pattern\":41}"},
	{"pinned to what the engine cannot load", "{" EARLIER "}", 1, 300, 1,
		{.take = YG_TAKE_PINNED, .clamav = 200}, true, true, 39, 42,
		"am-pattern version 41 is for engines with content format level 300..999, ",
		"{\"am-pattern\":41}"},
	{"a pin that is no number", "{" EARLIER "}", 1, 1, 1, {.take = YG_TAKE_PINNED}, true, true,
		42, -1, "", "{\"am-pattern\":\"old\"}"},
	{"another version than was said", "{\"version\":43,\"earlier\":[41]}", 1, 1, 1, {0}, true,
		false, 41, 43, "manifest 'am/am-pattern.json': version: want 43, have 42", NULL},
};

static struct yg_set *have_39(void)
{
	struct yg_err err = {0};
	struct yg_set *set = yg_set_parse(
		yg_bytes_of("{\"components\":[{\"name\":\"am-pattern\",\"manifest\":\"" A64
			    "\",\"version\":39,\"family\":\"pattern\",\"files\":[]}]}"),
		&err);
	assert_non_null(set);
	return set;
}

static void check(const struct row *row, const struct yg_set *set, const struct yg_set_notes *notes,
	const struct yg_err *err)
{
	if (row->version < 0) {
		assert_null(set);
		assert_ptr_equal(strstr(err->msg, row->error), err->msg);
		return;
	}
	if (!set)
		fail_msg("%s: %s", row->name, err->msg);
	const struct yg_manifest *got = yg_set_component(set, "am-pattern");
	if ((got ? got->version : 0) != row->version)
		fail_msg("%s: version %lld", row->name, got ? (long long)got->version : 0LL);
	assert_non_null(yg_set_component(set, "am-hash")); /* the others go on */
	if (!row->notes)
		return;
	assert_int_equal(notes->count, row->noted < 0 ? 0 : 1);
	if (row->noted < 0)
		return;
	assert_string_equal(notes->list[0].component, "am-pattern");
	assert_int_equal(notes->list[0].newest, row->noted);
	assert_int_equal(notes->list[0].why.code == 0, row->error[0] == 0);
	assert_ptr_equal(strstr(notes->list[0].why.msg, row->error), notes->list[0].why.msg);
	if (!row->error[0])
		assert_int_equal(notes->list[0].opens,
			row->want.take == YG_TAKE_LATEST ? SIM_NOW + 3600 : 0);
}

static void releases(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct sim sim;
		struct yg_err err = {0};
		struct yg_set_notes notes = {0};
		sim_init(&sim);
		add(&sim, "am/am-hash.json", "am-hash", 3, 1);
		add(&sim, "am/am-pattern.json", "am-pattern", 42, row->abi_42);
		if (row->abi_41)
			add(&sim, "am/am-pattern@41.json", "am-pattern", 41, row->abi_41);
		if (row->abi_40)
			add(&sim, "am/am-pattern@40.json", "am-pattern", 40, row->abi_40);
		custom(&sim, row->custom);
		sim_publish(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		struct yg_set *have YG_AUTO(yg_set) = row->have ? have_39() : NULL;
		struct yg_set_want want = row->want;
		want.families = YG_FAMILIES_ALL;
		want.now = sim.now;
		want.have = have;
		json_t *pins YG_AUTO(yg_json) = row->pins ? json_loads(row->pins, 0, NULL) : NULL;
		want.pins = pins;
		struct yg_set *set YG_AUTO(
			yg_set) = yg_set_collect(tuf, &want, row->notes ? &notes : NULL, &err);
		check(row, set, &notes, &err);
		sim_done(&sim);
	}
}

/* U5: a family that the licence does not cover stays as it is, and the others go on. */
static void a_family_that_is_not_wanted_stays(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int newest; /* what the repository has of am-pattern */
		bool have;
		int64_t version, noted;
	} cases[] = {
		{"an old one stays", 42, true, 41, 42},
		{"the newest is no reason to say anything", 41, true, 41, -1},
		{"none stays none", 42, false, 0, 42},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_set_notes notes = {0};
		sim_init(&sim);
		add(&sim, "am/am-pattern.json", "am-pattern", 41, 1);
		rule(&sim, 7);
		sim_publish(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		struct yg_set_want want = {.families = YG_FAMILIES_ALL, .now = sim.now};
		struct yg_set *have YG_AUTO(yg_set) = yg_set_collect(tuf, &want, &notes, &err);
		assert_non_null(have);
		if (cases[i].newest != 41) {
			add(&sim, "am/am-pattern.json", "am-pattern", cases[i].newest, 1);
			add(&sim, "am/am-pattern@41.json", "am-pattern", 41, 1);
			custom(&sim, "{" EARLIER "}");
		}
		rule(&sim, 8);
		sim_next(&sim);
		sim_publish(&sim);
		struct yg_tuf *later YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(later, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		want.families = 1u << YG_FAMILY_RULE;
		want.have = cases[i].have ? have : NULL;
		struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(later, &want, &notes, &err);
		if (!set)
			fail_msg("%s: %s", cases[i].name, err.msg);
		const struct yg_manifest *got = yg_set_component(set, "am-pattern");
		assert_int_equal(got ? got->version : 0, cases[i].version);
		if (got) /* as it is still offered: what is damaged of it can be had */
			assert_int_equal(got->files[0].form_count, 1);
		assert_int_equal(yg_set_component(set, "am-hash")->version, 8);
		assert_int_equal(notes.count, cases[i].noted < 0 ? 0 : 1);
		if (notes.count > 0) {
			assert_int_equal(notes.list[0].newest, cases[i].noted);
			assert_string_equal(notes.list[0].why.cause, "update.licence");
		}
		sim_done(&sim);
	}
}

/* What another source may have in order ends the collection, also with somebody to note. */
static void a_source_that_lacks_a_manifest(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_set_notes notes = {0};
	sim_init(&sim);
	add(&sim, "am/am-hash.json", "am-hash", 3, 1);
	add(&sim, "am/am-pattern.json", "am-pattern", 42, 1);
	sim_publish(&sim);
	const char *key;
	json_t *value;
	void *next;
	json_object_foreach_safe(sim.remote, next, key, value) if (strstr(key, "am-hash.json"))(
		void) json_object_del(sim.remote, key);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)), &err), 0);
	assert_null(yg_set_collect(tuf, &(struct yg_set_want){.families = YG_FAMILIES_ALL}, &notes,
		&err));
	assert_string_equal(err.cause, "tuf.missing");
	sim_done(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases),
		cmocka_unit_test(a_family_that_is_not_wanted_stays),
		cmocka_unit_test(a_source_that_lacks_a_manifest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
