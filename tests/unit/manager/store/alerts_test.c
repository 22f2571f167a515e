/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/alerts.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "proto/cause.h"
#include "proto/word.h"
#include "world.h"

/* How a part of an update ended, as the jobs say it. */
static void ended(struct world *world, const struct agent *agent, bool relay, const char *outcome,
	const char *cause)
{
	struct yg_err err = {0};
	assert_int_equal(yg_db_begin(world->store->db, &err), 0);
	if (store_alerts_result(world->store, agent->id, relay, outcome, cause, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_db_commit(world->store->db, &err), 0);
}

static json_t *alerts(struct world *world, const char *state)
{
	json_t *out YG_AUTO(
		yg_json) = person(world, "alerts.list", json_pack("{s:s}", "state", state));
	return json_incref(json_object_get(out, "items"));
}

/* "kind kind …" of those in a state, newest first. */
static void want(struct world *world, const char *state, const char *kinds)
{
	json_t *items YG_AUTO(yg_json) = alerts(world, state);
	char have[512] = "";
	size_t i;
	json_t *item;
	json_array_foreach(items, i, item)
	{
		size_t len = strlen(have);
		(void)snprintf(have + len, sizeof(have) - len, "%s%s", len ? " " : "",
			text(item, "kind"));
	}
	assert_string_equal(have, kinds);
}

/* One computer that is protected, so that nothing stands. */
static void protected_one(struct world *world, struct agent *agent, const char *name)
{
	/* There is no relay; that is another test's story. */
	json_decref(person(world, "settings.update",
		json_pack("{s:{s:i}}", "alerts", "relay_group_empty_s", 31536000)));
	activate(world, agent, name, false);
	agent->version = 1;
	beat(world, agent);
	want(world, "standing", "");
}

/* As ended, in a transaction that is open; then exactly this stands. */
static void one(struct world *world, const struct agent *agent, bool relay, const char *outcome,
	const char *cause, const char *kind)
{
	struct yg_err err = {0};
	int64_t all = 0;
	int64_t good = 0;
	if (store_alerts_result(world->store, agent->id, relay, outcome, cause, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_db_number(world->store->db,
				 "SELECT count(*) FROM alerts WHERE ended IS NULL", YG_DB_NO_ARGS,
				 &all, &err),
		0);
	assert_int_equal(yg_db_number(world->store->db,
				 "SELECT count(*) FROM alerts WHERE ended IS NULL AND kind = $1",
				 YG_DB_ARGS(yg_db_text(kind)), &good, &err),
		0);
	assert_int_equal(all, kind[0] ? 1 : 0);
	assert_int_equal(good, all);
}

/* S0: watch and wait. Whatever the cause, one failure and then a success is nobody's business; one that lasts is
 * exactly one alert, which ends by itself.
 */
static void every_cause(void **state)
{
	WORLD(world);
	struct agent web;
	protected_one(&world, &web, "web1");
	for (size_t i = 0; i < yg_cause_count(); i++) {
		const char *cause = yg_cause_id(yg_cause_at(i));
		bool late = strcmp(cause, "job.timeout") == 0;
		for (int relay = 0; relay < 2; relay++) {
			const char *kind = relay ? "relay_failed"
				: late           ? "update_timeout"
						 : "update_failed";
			struct yg_err err = {0};
			assert_int_equal(yg_db_begin(world.store->db, &err), 0);
			one(&world, &web, relay, "failed", cause, "");
			one(&world, &web, relay, "success", "", "");
			one(&world, &web, relay, "failed", cause, "");
			one(&world, &web, relay, "failed", cause, "");
			for (int n = 0; n < 3; n++)
				one(&world, &web, relay, "failed", cause, kind);
			assert_int_equal(yg_db_commit(world.store->db, &err), 0);
			json_t *items YG_AUTO(yg_json) = alerts(&world, "standing");
			const json_t *alert = json_array_get(items, 0);
			assert_int_equal(json_array_size(items), 1);
			assert_string_equal(text(alert, "cause"), cause);
			assert_string_equal(text(alert, "sentence"),
				yg_cause_text(yg_cause_at(i), YG_LANG_EN));
			assert_non_null(
				strstr(text(alert, "description"), text(alert, "sentence")));
			assert_string_equal(text(alert, "remedy"),
				yg_cause_remedy(yg_cause_at(i), YG_LANG_EN));
			assert_int_equal(number(json_object_get(alert, "params"), "failures"), 5);
			ended(&world, &web, relay, "success", "");
		}
	}
	want(&world, "standing", "");
	/* Each began once and ended once. The first is engine_offline, from before the first components. */
	json_t *began YG_AUTO(yg_json) = person(&world, "events.search",
		json_pack("{s:i, s:i}", "id", 190, "limit", 500));
	json_t *over YG_AUTO(yg_json) = person(&world, "events.search",
		json_pack("{s:i, s:i}", "id", 192, "limit", 500));
	assert_int_equal(json_array_size(json_object_get(began, "items")),
		2 * yg_cause_count() + 1);
	assert_int_equal(json_array_size(json_object_get(over, "items")), 2 * yg_cause_count() + 1);
}

/* What comes after what, and what stands then. */
static const struct {
	const char *label;
	struct {
		const char *outcome, *cause;
		int64_t after_s;
	} steps[6];
	const char *standing;
} rows[] = {
	{"two in a row", {{"failed", "net.dns", 0}, {"failed", "net.dns", 0}}, ""},
	{"two with the time between", {{"failed", "net.dns", 0}, {"failed", "net.dns", 14400}},
		"update_failed"},
	{"a cancelled one says nothing",
		{{"failed", "net.dns", 0}, {"cancelled", "update.held", 0},
			{"failed", "net.dns", 0}},
		""},
	{"a success begins anew",
		{{"failed", "net.dns", 0}, {"failed", "net.dns", 0}, {"success", "", 0},
			{"failed", "net.dns", 14400}},
		""},
	{"different causes are one trouble",
		{{"failed", "net.dns", 0}, {"failed", "net.refused", 0},
			{"failed", "tls.expired", 0}},
		"update_failed"},
	{"T4: a result ends the alert of the missing one",
		{{"failed", "job.timeout", 0}, {"failed", "job.timeout", 0},
			{"failed", "job.timeout", 0}, {"failed", "net.dns", 0}},
		"update_failed"},
	{"one alert, also when then no result comes",
		{{"failed", "net.dns", 0}, {"failed", "net.dns", 0}, {"failed", "net.dns", 0},
			{"failed", "job.timeout", 0}},
		"update_failed"},
	{"T4: never after a success",
		{{"failed", "job.timeout", 0}, {"failed", "job.timeout", 0}, {"success", "", 0},
			{"failed", "job.timeout", 0}},
		""},
};

static void sequences(void **state)
{
	WORLD(world);
	world.store->now_s = yg_clock_now_s();
	struct agent web;
	protected_one(&world, &web, "web1");
	world.store->clock_s = world.store->now_s;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		for (size_t k = 0; k < 6 && rows[i].steps[k].outcome; k++) {
			world.store->clock_s += rows[i].steps[k].after_s;
			ended(&world, &web, false, rows[i].steps[k].outcome,
				rows[i].steps[k].cause);
		}
		print_message("%s\n", rows[i].label);
		want(&world, "standing", rows[i].standing);
		ended(&world, &web, false, "success", "");
		want(&world, "standing", "");
	}
}

/* E1: at once, and ended by itself; the reader's language. */
static void engine(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false); /* it has no components yet */
	want(&world, "standing", "engine_offline");
	beat(&world, &web);
	want(&world, "standing", "engine_offline");
	web.version = 1;
	beat(&world, &web);
	want(&world, "standing", "");
	want(&world, "ended", "engine_offline");
	json_t *out YG_AUTO(yg_json) = person_in(&world, "ja", "alerts.list",
		json_pack("{s:s, s:s}", "state", "all", "computer", web.id));
	const json_t *alert = json_array_get(json_object_get(out, "items"), 0);
	assert_string_equal(text(alert, "name"), "不正プログラム対策エンジンがオフライン");
	assert_string_equal(text(alert, "reason"), "protected");
	assert_string_equal(text(alert, "reason_text"), "保護が回復したため");
	assert_string_equal(text(json_object_get(alert, "computer"), "name"), "web1");

	/* A computer that is deleted has no trouble. */
	web.version = 0;
	beat(&world, &web);
	want(&world, "standing", "engine_offline");
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", web.id)));
	want(&world, "standing", "");
}

/* A relay that fails, and then is no relay any more: the alert ends with it. */
static void no_relay_any_more(void **state)
{
	WORLD(world);
	struct agent relay;
	activate(&world, &relay, "relay1", true);
	relay.version = 1;
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 3; k++)
			ended(&world, &relay, true, "failed", "net.dns");
		beat(&world, &relay);
		want(&world, "standing", "relay_failed");
		relay.relay = i > 0;
		if (i > 0) /* the Manager decides, not the relay */
			json_decref(person(&world, "computers.update",
				json_pack("{s:s, s:b}", "id", relay.id, "relay_on", 0)));
		beat(&world, &relay);
		want(&world, "standing", "");
		relay.relay = true;
		beat(&world, &relay);
		ended(&world, &relay, true, "failed", "net.dns"); /* counted anew */
		want(&world, "standing", "");
		ended(&world, &relay, true, "success", "");
	}
}

static void tick(struct world *world, int64_t seconds)
{
	world->store->now_s += seconds;
	store_tick(world->store);
}

static void silence(void **state)
{
	WORLD(world);
	world.store->now_s = yg_clock_now_s();
	struct agent web;
	protected_one(&world, &web, "web1");
	tick(&world, 200); /* offline, but not for long */
	tick(&world, 200);
	want(&world, "standing", "");
	/* Its updates time out: the silence is the one alert. */
	for (int i = 0; i < 3; i++)
		ended(&world, &web, false, "failed", "job.timeout");
	want(&world, "standing", "");
	tick(&world, 600);
	want(&world, "standing", "computer_offline");
	tick(&world, 86400);
	want(&world, "standing", "computer_offline");
	beat(&world, &web);
	want(&world, "standing", "");

	/* 0: nobody minds. */
	json_decref(person(&world, "settings.update",
		json_pack("{s:{s:i}}", "alerts", "offline_after_s", 0)));
	tick(&world, 86400);
	tick(&world, 86400);
	want(&world, "standing", "");
}

static void whole_installation(void **state)
{
	WORLD(world);
	world.store->now_s = yg_clock_now_s();
	struct agent web;
	protected_one(&world, &web, "web1");

	/* T13 */
	json_decref(person(&world, "settings.update",
		json_pack("{s:{s:s}}", "source", "url", "https://updates.example/repo//")));
	want(&world, "standing", "source_unchecked");
	json_decref(person(&world, "settings.update",
		json_pack("{s:{s:s}}", "source", "url", "https://updates.example/repo/")));
	tick(&world, 60);
	want(&world, "standing", "");

	/* The Manager's own look. */
	for (int i = 0; i < 4; i++) {
		want(&world, "standing", i < 3 ? "" : "check_failed");
		json_decref(role(&world, STORE_CONTENT, "components.check.failed",
			json_pack("{s:s, s:s}", "cause", "net.refused", "sentence",
				"updates.example")));
	}
	newest(&world, DIGEST_B, 2);
	want(&world, "standing", "");

	/* Not the newest, for long. */
	beat(&world, &web);
	tick(&world, 60);
	want(&world, "standing", "");
	tick(&world, 3600);
	beat(&world, &web);
	tick(&world, 60);
	want(&world, "standing", "components_out_of_date");
	web.version = 2;
	web.set = DIGEST_B;
	beat(&world, &web);
	tick(&world, 60);
	want(&world, "standing", "");

	/* History goes with time. */
	tick(&world, 90 * 86400 + 7200);
	json_t *all YG_AUTO(yg_json) = alerts(&world, "all");
	assert_int_equal(json_array_size(all), 1); /* web1 is silent */
}

static void lists(void **state)
{
	WORLD(world);
	struct agent web[3];
	char name[] = "web0";
	for (int i = 0; i < 3; i++, name[3]++)
		activate(&world, &web[i], name, false);
	json_t *first YG_AUTO(
		yg_json) = person(&world, "alerts.list", json_pack("{s:i}", "limit", 2));
	assert_int_equal(json_array_size(json_object_get(first, "items")), 2);
	json_t *rest YG_AUTO(yg_json) = person(&world, "alerts.list",
		json_pack("{s:i, s:O}", "limit", 2, "cursor", json_object_get(first, "next")));
	assert_int_equal(json_array_size(json_object_get(rest, "items")), 1);
	assert_true(json_is_null(json_object_get(rest, "next")));
	person_fails(&world, "alerts.list", json_pack("{s:s}", "state", "gone"), YG_EFORMAT,
		"state: want standing, ended or all, have 'gone'");
	person_fails(&world, "alerts.list", json_pack("{s:s}", "cursor", "x"), YG_EFORMAT,
		"cursor: want digits, have 'x'");
	json_t *kinds YG_AUTO(yg_json) = person(&world, "alerts.catalogue", NULL);
	assert_true(json_array_size(json_object_get(kinds, "items")) > 10);
}

/* Every reason that alerts end with has its words. */
static void reasons(void **state)
{
	(void)state;
	static const char *const all[] = {"success", "result", "contact", "protected", "settings",
		"deleted", "renewed", "newest"};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		assert_string_not_equal(yg_word(YG_WORDS_REASON, all[i], YG_LANG_JA), all[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(every_cause),
		BOTH(sequences),
		BOTH(engine),
		BOTH(no_relay_any_more),
		BOTH(silence),
		BOTH(whole_installation),
		BOTH(lists),
		cmocka_unit_test(reasons),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
