/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "crypto/x509.h"
#include "world.h"

/* What the Manager says is wrong: nothing while all is well, else the one thing that is. */

static void want_in(struct world *world, const char *lang, const char *causes)
{
	json_t *out YG_AUTO(yg_json) = person_in(world, lang, "diagnosis.get", NULL);
	char have[400] = "";
	size_t i;
	json_t *cause;
	json_array_foreach(json_object_get(out, "causes"), i, cause)
	{
		size_t len = strlen(have);
		(void)snprintf(have + len, sizeof(have) - len, "%s%s", len ? " " : "",
			text(cause, "cause"));
		assert_true(*text(cause, "sentence") != 0);
	}
	if (strcmp(have, causes) != 0) {
		char *all YG_AUTO(mem) = yg_json_text(out);
		fail_msg("want '%s', have '%s': %s", causes, have, all);
	}
}

/* What stands behind the check of the alerts. */
static void want_seen(struct world *world, const char *state, const char *seen)
{
	json_t *out YG_AUTO(yg_json) = person_in(world, "ja", "diagnosis.get", NULL);
	size_t alerts = 0;
	size_t i;
	json_t *check;
	json_array_foreach(json_object_get(out, "checks"), i, check)
	{
		if (strcmp(text(check, "check"), "alerts") != 0)
			continue;
		alerts++;
		assert_string_equal(text(check, "state"), state);
		assert_string_equal(text(check, "seen"), seen);
	}
	assert_int_equal(alerts, 1);
}

static void want(struct world *world, const char *causes)
{
	want_in(world, "en", causes);
	want_in(world, "ja", causes);
}

/* A real CA in the place of the one that other tests pretend to have. */
static void with_ca(struct world *world, int days)
{
	struct yg_err err = {0};
	char *cert YG_AUTO(mem) = NULL;
	struct yg_x509_spec spec = {.cn = "Test CA", .days = days};
	assert_int_equal(yg_clock_parse("2026-01-01T00:00:00Z", &spec.from_s, &err), 0);
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	assert_int_equal(yg_x509_make(NULL, NULL, key, &spec, &cert, NULL, &err), 0);
	assert_int_equal(yg_db_begin(world->store->db, &err), 0);
	assert_int_equal(store_fact_put(world->store, "ca_bundle", cert, &err), 0);
	assert_int_equal(yg_db_commit(world->store->db, &err), 0);
}

static void all_is_well(struct world *world, struct agent *relay, struct agent *web)
{
	/* The time that the agents of these tests have. */
	struct yg_err err = {0};
	with_ca(world, 3650);
	assert_int_equal(yg_clock_parse("2026-11-21T22:47:43Z", &world->store->now_s, &err), 0);
	json_decref(person(world, "settings.update",
		json_pack("{s:{s:s}}", "source", "url", "https://updates.example")));
	newest(world, DIGEST_A, 1);
	activate(world, relay, "relay1", true);
	activate(world, web, "web1", false);
	relay->version = web->version = 1;
	relay->set = web->set = DIGEST_A;
	beat(world, relay);
	beat(world, web);
	want(world, "");
}

static void one_thing(void **state)
{
	WORLD(world);
	struct agent relay, web;
	with_ca(&world, 3650);
	want(&world, "update.source_unset");
	all_is_well(&world, &relay, &web);

	static const struct {
		const char *plant, *heal, *cause,
			*seen; /* seen: in Japanese; NULL: not looked at */
	} rows[] = {
		{"UPDATE computers SET online = 0 WHERE name = 'web1'",
			"UPDATE computers SET online = 1 WHERE name = 'web1'", "computer.offline",
			NULL},
		{"UPDATE computers SET online = 0 WHERE name = 'relay1'",
			"UPDATE computers SET online = 1 WHERE name = 'relay1'", "computer.offline",
			NULL},
		{"UPDATE certificates SET not_after = 5",
			"UPDATE certificates SET not_after = 99999999999", "auth.expired", NULL},
		{"INSERT INTO jobs (id, number, relay_ref, kind, state, phase, made_by, scheduled, relays, paths, "
		 "aim, created, deadline, check_until) VALUES ('j', 900, 'r', 'update', 'running', 'agents', 'x', 0, 0, "
		 "'[]', '', 1, 2, 0)",
			"DELETE FROM jobs WHERE id = 'j'", "job.stuck", NULL},
		{"INSERT INTO alerts (kind, subject, level, params, began, changed, reason) VALUES "
		 "('relay_group_empty', 'g', 2, '{\"group\":\"g\"}', 1, 1, '')",
			"DELETE FROM alerts", "relay.none", NULL},
		{"INSERT INTO alerts (kind, subject, level, params, began, changed, reason) VALUES "
		 "('update_failed', 'c', 2, '{\"computer\":\"web1\",\"cause\":\"proxy.auth\"}', 1, 1, '')",
			"DELETE FROM alerts", "proxy.auth", NULL},
		{"INSERT INTO alerts (kind, subject, level, params, began, changed, reason) VALUES "
		 "('expired', 'c', 2, '{\"what\":\"licence\",\"name\":\"am-wr\",\"ends\":\"2026-11-22T08:44:37Z\"}', "
		 "1, 1, '')",
			"DELETE FROM alerts", "update.licence",
			"ライセンス am-wrの有効期限は2026-11-22 08:44:37 UTCに切れました。"},
		/* Only a warning: the calendar says it. */
		{"INSERT INTO alerts (kind, subject, level, params, began, changed, reason) VALUES "
		 "('expiry', 'c', 2, '{\"what\":\"licence\",\"name\":\"am-wr\",\"ends\":\"2026-12-22T08:44:37Z\"}', "
		 "1, 1, '')",
			"DELETE FROM alerts", "",
			"ライセンス am-wrの有効期限は2026-12-22 08:44:37 UTCです。"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sql(&world, rows[i].plant);
		want(&world, rows[i].cause);
		if (rows[i].seen)
			want_seen(&world, rows[i].cause[0] ? "bad" : "note", rows[i].seen);
		sql(&world, rows[i].heal);
		want(&world, "");
	}
}

static void its_ca(void **state)
{
	WORLD(world);
	struct agent relay, web;
	all_is_well(&world, &relay, &web);
	with_ca(&world, 30);
	want(&world, "tls.ca");
	with_ca(&world, 3650);
	want(&world, "");
	world.store->now_s -= 400LL * 86400;
	json_t *out YG_AUTO(yg_json) = person(&world, "diagnosis.get", NULL);
	const json_t *first = json_array_get(json_object_get(out, "causes"), 0);
	assert_string_equal(text(first, "cause"), "clock.wrong");
}

static void say(struct world *world, struct agent *agent, json_t *more)
{
	json_t *says = status(agent);
	assert_int_equal(json_object_update(says, more), 0);
	json_decref(more);
	json_decref(agent_does(world, agent, "agents.heartbeat",
		json_pack("{s:o, s:o}", "hello", hello(agent), "status", says)));
}

static void what_computers_say(void **state)
{
	WORLD(world);
	struct agent relay, web;
	all_is_well(&world, &relay, &web);
	say(&world, &web, json_pack("{s:s}", "time", "2020-01-01T00:00:00Z"));
	want(&world, "clock.wrong");
	beat(&world, &web);
	say(&world, &web, json_pack("{s:s}", "time", "2036-01-01T00:00:00Z"));
	want(&world, "clock.wrong");
	beat(&world, &web);
	say(&world, &relay, json_pack("{s:{s:s, s:s}}", "relay", "set", "", "state", "on"));
	want(&world, "relay.empty");
	say(&world, &relay, json_pack("{s:{s:s, s:s}}", "relay", "set", DIGEST_A, "state", "off"));
	want(&world, "relay.off");
	say(&world, &relay, json_pack("{s:{s:s, s:s}}", "relay", "set", DIGEST_A, "state", "on"));
	want(&world, "");

	/* Its own look at the source. */
	json_decref(role(&world, STORE_CONTENT, "components.check.failed",
		json_pack("{s:s, s:s}", "cause", "tls.untrusted", "sentence",
			"issued by a proxy")));
	want(&world, "tls.untrusted");
	newest(&world, DIGEST_A, 1);
	want(&world, "");
}

/* A token has its day. */
static void token_expired(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	struct agent late = {.hostname = "late"};
	json_t *token YG_AUTO(yg_json) = person(&world, "tokens.create",
		json_pack("{s:s, s:i}", "name", "short", "valid_s", 60));
	world.store->now_s = yg_clock_now_s() + 3600;
	assert_int_equal(activate_with(&world, text(token, "token"), "late", &late, &err), -1);
	assert_string_equal(err.cause, "auth.token_expired");
}

static void the_plan(void **state)
{
	WORLD(world);
	struct agent relay, web;
	all_is_well(&world, &relay, &web);
	json_t *out YG_AUTO(yg_json) = person_in(&world, "ja", "network_plan.get", NULL);
	const json_t *items = json_object_get(out, "items");
	bool relays = false, source = false;
	size_t i;
	json_t *row;
	json_array_foreach(items, i, row)
	{
		relays |= strcmp(text(row, "from"), "Relayグループ default のAgent (1台)") == 0;
		source |= strcmp(text(row, "to"), "updates.example") == 0 &&
			number(row, "port") == 443;
	}
	assert_true(relays && source);
}

/* The package of an installation with many computers: each file once, and of a large job what went wrong. */
static void package(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	copies(&world, "web1", 600);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s}", "kind", "update", "computers", "all"));
	assert_int_equal(json_array_size(json_object_get(job, "computers")), 601);
	result(&world, &web, 1, text(job, "id"), "failed", "engine.config", NULL);
	json_t *out YG_AUTO(yg_json) = person(&world, "diagnostics.collect", NULL);
	json_t *names YG_AUTO(yg_json) = json_object();
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(out, "files"), i, file)
	{
		const char *name = text(file, "name");
		if (json_object_get(names, name))
			fail_msg("%s is there twice", name);
		(void)json_object_set(names, name, json_object_get(file, "value"));
	}
	const json_t *full = json_array_get(json_object_get(names, "jobs-in-full.json"), 0);
	const json_t *computers = json_object_get(full, "computers");
	assert_int_equal(number(json_object_get(full, "counts"), "total"), 601);
	assert_int_equal(json_array_size(computers), 500);
	assert_string_equal(text(json_array_get(computers, 0), "name"), "web1");
	assert_string_equal(text(json_array_get(computers, 0), "state"), "failed");
}

/* An answer that nobody could take any more loses words, not computers, nor their causes. */
static void long_answers(void **state)
{
	static const char *const names[] = {"a", "b", "c"};
	if (*state) /* the rule is not the database's */
		skip();
	WORLD(world);
	struct agent agents[3];
	for (size_t i = 0; i < 3; i++)
		activate(&world, &agents[i], names[i], false);
	json_t *made YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s}", "kind", "update", "computers", "all"));
	for (size_t i = 0; i < 3; i++)
		result(&world, &agents[i], 1, text(made, "id"), "failed", "net.refused", NULL);
	sql(&world,
		"UPDATE job_computers SET detail = '{\"x\":\"' || hex(zeroblob(4500000)) || '\"}'");
	json_t *job YG_AUTO(yg_json) = job_get(&world, text(made, "id"));
	const json_t *computers = json_object_get(job, "computers");
	assert_int_equal(json_array_size(computers), 3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *part = json_array_get(computers, i);
		assert_string_equal(text(part, "cause"), "net.refused");
		assert_int_equal(json_is_object(json_object_get(part, "detail")), i < 2);
		assert_int_equal(text(part, "remedy")[0] != '\0', i < 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {BOTH(package), BOTH(long_answers), BOTH(one_thing),
		BOTH(its_ca), BOTH(what_computers_say), BOTH(token_expired), BOTH(the_plan)};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
