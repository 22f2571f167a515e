/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/tasks.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "world.h"

#define DAILY "{s:s, s:s, s:s}", "type", "daily", "at", "03:30", "zone", "Asia/Tokyo"

static void at(struct world *world, const char *moment)
{
	struct yg_err err = {0};
	assert_int_equal(yg_clock_parse(moment, &world->store->now_s, &err), 0);
}

static json_t *make(struct world *world, const char *name, const char *kind, json_t *schedule)
{
	return person(world, "tasks.create",
		json_pack("{s:s, s:s, s:o}", "name", name, "kind", kind, "schedule", schedule));
}

static json_t *get(struct world *world, const json_t *task)
{
	return person(world, "tasks.get", json_pack("{s:s}", "id", text(task, "id")));
}

static json_t *job_of(struct world *world, const json_t *task)
{
	json_t *now YG_AUTO(yg_json) = get(world, task);
	return job_get(world, text(now, "last_job"));
}

/* U1, U4: at its time, for everybody, with 273 at the same moment as 1600. */
static void daily(void **state)
{
	WORLD(world);
	struct agent web;
	struct agent relay;
	at(&world, "2026-11-22T10:00:00Z");
	activate(&world, &web, "web1", false);
	activate(&world, &relay, "relay1", true);
	json_t *task YG_AUTO(yg_json) = make(&world, "nightly", "update", json_pack(DAILY));
	assert_string_equal(text(task, "next_run"), "2026-11-22T18:30:00Z");
	assert_true(json_is_true(json_object_get(task, "enabled")));
	at(&world, "2026-11-22T18:29:59Z");
	beat(&world, &web);
	beat(&world, &relay);
	json_int_t since = now_seq(&world);
	store_tick(world.store);
	want_history(&world, since, "");
	at(&world, "2026-11-22T18:30:01Z");
	store_tick(world.store);
	want_history(&world, since, "1600 273 273");
	store_tick(world.store); /* once */
	want_history(&world, since, "1600 273 273");
	json_t *now YG_AUTO(yg_json) = get(&world, task);
	assert_string_equal(text(now, "next_run"), "2026-11-23T18:30:00Z");
	assert_string_equal(text(now, "last_run"), "2026-11-22T18:30:01Z");
	assert_string_equal(text(now, "last_state"), "started");
	json_t *job YG_AUTO(yg_json) = job_of(&world, task);
	assert_string_equal(text(job, "by"), "schedule");
	assert_true(json_is_true(json_object_get(job, "scheduled")));
}

/* The Manager was not there: made up once, or left out. */
static void missed(void **state)
{
	WORLD(world);
	struct agent web;
	at(&world, "2026-11-22T10:00:00Z");
	activate(&world, &web, "web1", false);
	json_t *run YG_AUTO(yg_json) = make(&world, "a run", "check", json_pack(DAILY));
	json_t *skip YG_AUTO(yg_json) = make(&world, "skipped", "check", json_pack(DAILY));
	json_decref(person(&world, "tasks.update",
		json_pack("{s:s, s:s}", "id", text(skip, "id"), "missed", "skip")));
	at(&world, "2026-11-25T20:00:00Z"); /* four were due */
	json_int_t since = now_seq(&world);
	store_tick(world.store);
	json_t *a YG_AUTO(yg_json) = get(&world, run);
	json_t *b YG_AUTO(yg_json) = get(&world, skip);
	assert_string_equal(text(a, "last_state"), "started");
	assert_string_equal(text(b, "last_state"), "skipped");
	assert_string_equal(text(a, "next_run"), "2026-11-26T18:30:00Z");
	assert_string_equal(text(b, "next_run"), "2026-11-26T18:30:00Z");
	char have[256];
	history(&world, since, have, sizeof(have));
	assert_non_null(strstr(have, "20030 20030"));
	at(&world, "2026-11-26T18:30:02Z");
	since = now_seq(&world);
	store_tick(world.store);
	history(&world, since, have, sizeof(have));
	assert_null(strstr(have, "20030"));
}

/* For a moment the clock said 2036 (a dead battery, a virtual machine that was resumed). When it is right again,
 * nothing waits for ten years: not the task, not the job's deadline, not the alert of a silent computer.
 */
static void clock_goes_back(void **state)
{
	WORLD(world);
	struct agent web;
	at(&world, "2026-11-22T10:00:00Z");
	world.store->started_s = world.store->now_s;
	activate(&world, &web, "web1", false);
	web.version = 1;
	json_t *task YG_AUTO(yg_json) = make(&world, "nightly", "update", json_pack(DAILY));
	json_t *often YG_AUTO(yg_json) = make(&world, "often", "check",
		json_pack("{s:s, s:i}", "type", "every", "seconds", 3600));
	store_tick(world.store);
	at(&world, "2036-11-22T10:00:00Z");
	beat(&world, &web);
	store_tick(world.store);
	json_t *job YG_AUTO(yg_json) = job_of(&world, task);
	assert_string_equal(text(job, "state"), "running");

	at(&world, "2026-11-22T10:01:00Z");
	store_tick(world.store);
	json_t *nightly YG_AUTO(yg_json) = get(&world, task);
	json_t *hourly YG_AUTO(yg_json) = get(&world, often);
	assert_string_equal(text(nightly, "next_run"), "2026-11-22T18:30:00Z");
	assert_string_equal(text(hourly, "next_run"), "2026-11-22T11:01:00Z");
	at(&world, "2026-11-22T11:00:59Z");
	store_tick(world.store);
	want_job(&world, text(job, "id"), "running", "");
	at(&world, "2026-11-22T11:01:00Z");
	store_tick(world.store);
	want_job(&world, text(job, "id"), "done", "failed");
	at(&world, "2026-11-22T11:30:00Z");
	store_tick(world.store);
	json_t *out YG_AUTO(yg_json) = person(&world, "alerts.list",
		json_pack("{s:s}", "kind", "computer_offline"));
	assert_int_equal(json_array_size(json_object_get(out, "items")), 1);
}

static int64_t in_the_future(struct world *world, const char *statement)
{
	struct yg_err err = {0};
	int64_t count = -1;
	if (yg_db_number(world->store->db, statement, YG_DB_ARGS(yg_db_int(world->store->now_s)),
		    &count, &err) < 0)
		fail_msg("%s: %s", statement, err.msg);
	return count;
}

/* Nothing that was noted while the clock was ahead stays in the future; not either when the database failed at
 * the first look.
 */
static void clock_repairs(void **state)
{
	static const char *const future[] = {
		"SELECT count(*) FROM computers WHERE last_contact > $1",
		"SELECT count(*) FROM keys WHERE last_used > $1",
		"SELECT count(*) FROM certificates WHERE issued > $1",
	};
	for (int fails = 0; fails < 2; fails++) {
		WORLD(world);
		struct agent web;
		at(&world, "2026-11-22T10:00:00Z");
		store_tick(world.store);
		at(&world, "2036-11-22T10:00:00Z");
		activate(&world, &web, "web1", false);
		beat(&world, &web);
		store_tick(world.store);
		json_decref(person(&world, "keys.list", NULL)); /* not written yet */
		at(&world, "2026-11-22T10:01:00Z");
		for (size_t i = 0; i < YG_COUNT(future); i++)
			assert_int_equal(in_the_future(&world, future[i]), 1);
		if (fails) {
			sql(&world, "ALTER TABLE alert_failures RENAME TO away");
			store_tick(world.store);
			assert_int_equal(in_the_future(&world, future[0]), 1);
			sql(&world, "ALTER TABLE away RENAME TO alert_failures");
		}
		store_tick(world.store);
		for (size_t i = 0; i < YG_COUNT(future); i++)
			if (in_the_future(&world, future[i]) != 0)
				fail_msg("after %d failures: %s", fails, future[i]);
	}
}

/* Whom it is for. */
static void targets(void **state)
{
	WORLD(world);
	struct agent web[3];
	char name[] = "web0";
	for (int i = 0; i < 3; i++, name[3]++)
		activate(&world, &web[i], name, false);
	json_t *policy YG_AUTO(yg_json) = person(&world, "policies.create",
		json_pack("{s:s, s:{}}", "name", "servers", "document"));
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:s}", "id", web[1].id, "policy", text(policy, "id"))));
	const struct {
		const char *label;
		json_t *target;
		const char *computers[4];
	} rows[] = {
		{"all", json_pack("{s:s}", "type", "all"), {web[0].id, web[1].id, web[2].id}},
		{"a policy",
			json_pack("{s:s, s:O}", "type", "policy", "id",
				json_object_get(policy, "id")),
			{web[1].id}},
		{"a relay group",
			json_pack("{s:s, s:s}", "type", "group", "id",
				"00000000-0000-4000-8000-000000000001"),
			{web[0].id, web[1].id, web[2].id}},
		{"single ones",
			json_pack("{s:s, s:[s, s]}", "type", "computers", "computers", web[0].id,
				web[2].id),
			{web[0].id, web[2].id}},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		json_t *task YG_AUTO(yg_json) = person(&world, "tasks.create",
			json_pack("{s:s, s:s, s:[s], s:{s:s}, s:o}", "name", rows[i].label, "kind",
				"scan", "paths", "/srv", "schedule", "type", "hourly", "target",
				rows[i].target));
		json_t *started YG_AUTO(yg_json) = person(&world, "tasks.run",
			json_pack("{s:s}", "id", text(task, "id")));
		json_t *job YG_AUTO(yg_json) = job_get(&world, text(started, "job"));
		const json_t *computers = json_object_get(job, "computers");
		size_t count = 0;
		while (count < 4 && rows[i].computers[count])
			count++;
		if (json_array_size(computers) != count)
			fail_msg("%s: want %zu, have %zu", rows[i].label, count,
				json_array_size(computers));
		for (size_t k = 0; k < count; k++)
			assert_string_equal(text(json_array_get(computers, k), "id"),
				rows[i].computers[k]);
		assert_string_equal(text(json_array_get(json_object_get(job, "paths"), 0), ""), "");
	}
	/* Nobody left to ask is no failure of the task. */
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", web[1].id)));
	json_t *list YG_AUTO(yg_json) = person(&world, "tasks.list", NULL);
	json_t *second = json_array_get(json_object_get(list, "items"), 0);
	assert_string_equal(text(second, "name"), "a policy");
	person_fails(&world, "tasks.run", json_pack("{s:s}", "id", text(second, "id")), YG_EFORMAT,
		"computers: there is none to ask");
	world.store->now_s = yg_clock_now_s() + 2 * 3600;
	store_tick(world.store);
	json_t *after YG_AUTO(yg_json) = get(&world, second);
	assert_string_equal(text(after, "last_state"), "nobody");
}

static void changing(void **state)
{
	WORLD(world);
	struct agent web;
	at(&world, "2026-11-22T10:00:00Z");
	activate(&world, &web, "web1", false);
	json_int_t since = now_seq(&world);
	json_t *task YG_AUTO(yg_json) = make(&world, "look", "check",
		json_pack("{s:s, s:i}", "type", "every", "seconds", 60));
	json_t *off YG_AUTO(yg_json) = person(&world, "tasks.update",
		json_pack("{s:s, s:b}", "id", text(task, "id"), "enabled", 0));
	assert_true(json_is_null(json_object_get(off, "next_run")));
	at(&world, "2026-11-22T10:02:00Z");
	world.store->has_content = true;
	store_tick(world.store);
	json_t *idle YG_AUTO(yg_json) = get(&world, task);
	assert_true(json_is_null(json_object_get(idle, "last_run")));
	/* By hand, whatever the clock says: the Manager's own look has no job. */
	json_t *ran YG_AUTO(
		yg_json) = person(&world, "tasks.run", json_pack("{s:s}", "id", text(task, "id")));
	assert_true(json_is_null(json_object_get(ran, "job")));
	const json_t *last = json_array_get(world.notices, json_array_size(world.notices) - 1);
	assert_string_equal(json_string_value(json_array_get(last, 1)), "content.check");
	json_decref(person(&world, "tasks.delete", json_pack("{s:s}", "id", text(task, "id"))));
	person_fails(&world, "tasks.delete", json_pack("{s:s}", "id", "x"), YG_EABSENT,
		"task 'x': no such task");
	want_history(&world, since, "560 562 561");
}

/* A task that can no longer be done keeps no other one from its time, nor from its next. */
static void one_that_fails(void **state)
{
	WORLD(world);
	struct agent web;
	at(&world, "2026-11-22T10:00:00Z");
	activate(&world, &web, "web1", false);
	json_t *bad_one YG_AUTO(yg_json) = person(&world, "tasks.create",
		json_pack("{s:s, s:s, s:[s], s:{s:s}}", "name", "a", "kind", "scan", "paths",
			"/srv", "schedule", "type", "hourly"));
	json_t *good YG_AUTO(yg_json) = person(&world, "tasks.create",
		json_pack("{s:s, s:{s:s}}", "name", "b", "schedule", "type", "hourly"));
	sql(&world, "UPDATE tasks SET paths = '[\"srv\"]' WHERE name = 'a'");
	at(&world, "2026-11-22T11:00:01Z");
	store_tick(world.store);
	json_t *failed YG_AUTO(yg_json) = get(&world, bad_one);
	json_t *done YG_AUTO(yg_json) = get(&world, good);
	assert_string_equal(text(done, "last_state"), "started");
	assert_string_equal(text(failed, "last_state"), "failed");
	assert_string_equal(text(failed, "next_run"), "2026-11-22T12:00:00Z");
}

/* All are as many as there are: a request can name 50,000. */
static void all_of_many(void **state)
{
	if (*state) /* the rule is not the database's, and it is slow there */
		skip();
	WORLD(world);
	struct agent web;
	struct yg_err err = {0};
	at(&world, "2026-11-22T10:00:00Z");
	activate(&world, &web, "web1", false);
	copies(&world, "web1", 50000);
	json_t *task YG_AUTO(yg_json) = make(&world, "nightly", "update", json_pack(DAILY));
	json_t *ran YG_AUTO(
		yg_json) = person(&world, "tasks.run", json_pack("{s:s}", "id", text(task, "id")));
	int64_t parts = 0;
	assert_int_equal(yg_db_number(world.store->db,
				 "SELECT count(*) FROM job_computers WHERE job = $1",
				 YG_DB_ARGS(yg_db_text(text(ran, "job"))), &parts, &err),
		0);
	assert_int_equal(parts, 50001);
}

/* A computer that a task names was deleted: the task can be switched off all the same. */
static void target_is_gone(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_t *task YG_AUTO(yg_json) = person(&world, "tasks.create",
		json_pack("{s:s, s:{s:s}, s:{s:s, s:[s]}}", "name", "one", "schedule", "type",
			"hourly", "target", "type", "computers", "computers", web.id));
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", web.id)));
	json_t *off YG_AUTO(yg_json) = person(&world, "tasks.update",
		json_pack("{s:s, s:b}", "id", text(task, "id"), "enabled", 0));
	assert_true(json_is_false(json_object_get(off, "enabled")));
}

/* Once a scan could have a window. Such a task can be switched off; who touches the window puts it right. */
static void window_of_a_scan(void **state)
{
	WORLD(world);
	json_t *task YG_AUTO(yg_json) = person(&world, "tasks.create",
		json_pack("{s:s, s:s, s:[s], s:{s:s}}", "name", "one", "kind", "scan", "paths",
			"/srv", "schedule", "type", "hourly"));
	const char *id = text(task, "id");
	sql(&world, "UPDATE tasks SET window_s = 600");
	json_t *off YG_AUTO(yg_json) = person(&world, "tasks.update",
		json_pack("{s:s, s:b}", "id", id, "enabled", 0));
	assert_true(json_is_false(json_object_get(off, "enabled")));
	person_fails(&world, "tasks.update", json_pack("{s:s, s:i}", "id", id, "window_s", 60),
		YG_EFORMAT, "window_s: want 0 but for an update, have 60");
	person_fails(&world, "tasks.update",
		json_pack("{s:s, s:s, s:[]}", "id", id, "kind", "check", "paths"), YG_EFORMAT,
		"window_s: want 0 but for an update, have 600");
	json_t *right YG_AUTO(yg_json) = person(&world, "tasks.update",
		json_pack("{s:s, s:i}", "id", id, "window_s", 0));
	assert_int_equal(number(right, "window_s"), 0);
}

static void limit(void **state)
{
	WORLD(world);
	char name[16];
	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		json_decref(make(&world, name, "check", json_pack("{s:s}", "type", "hourly")));
	}
	person_fails(&world, "tasks.create",
		json_pack("{s:s, s:{s:s}}", "name", "more", "schedule", "type", "hourly"),
		YG_ELIMIT, "want at most 500 tasks, have them");
}

/* What may not be. Every row is a whole task but for what is wrong. */
static const struct {
	const char *args;
	enum yg_code code;
	const char *msg;
} bad_rows[] = {
	{"{}", YG_EFORMAT, "name: want a string, have nothing"},
	{"{\"name\":\"\",\"schedule\":{\"type\":\"hourly\"}}", YG_EFORMAT,
		"name: want a name, have none"},
	{"{\"name\":\"a\"}", YG_EFORMAT, "schedule: want an object, have nothing"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"kind\":\"rollback\"}", YG_EFORMAT,
		"kind: want update, scan or check, have 'rollback'"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"missed\":\"cry\"}", YG_EFORMAT,
		"missed: want run or skip, have 'cry'"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"kind\":\"check\",\"window_s\":1}",
		YG_EFORMAT, "window_s: want 0 but for an update, have 1"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"window_s\":86401}", YG_ELIMIT,
		"window_s: want 0..86400, have 86401"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"kind\":\"scan\"}", YG_EFORMAT,
		"paths: want 1..100 for a scan, have 0"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"paths\":[\"/\"]}", YG_EFORMAT,
		"paths: want none but for a scan, have 1"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"kind\":\"scan\",\"paths\":[\"srv\"]}",
		YG_EFORMAT, "paths[0]: want an absolute path"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"target\":{\"type\":\"some\"}}",
		YG_EFORMAT, "target: type: want all, group, policy or computers, have 'some'"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"target\":{\"type\":\"policy\",\"id\":\"x\"}}",
		YG_EABSENT, "target: policy 'x': no such policy"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"target\":{\"type\":\"group\",\"id\":\"x\"}}",
		YG_EABSENT, "target: relay group 'x': no such relay group"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"target\":{\"type\":\"computers\",\"computers\":[]}}",
		YG_EFORMAT, "target: computers: want 1..1000, have none"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"hourly\"},\"target\":{\"type\":\"computers\",\"computers\":[\"x\"]}}",
		YG_EABSENT, "target: computers[0]: computer 'x': no such computer"},
	{"{\"name\":\"a\",\"schedule\":{\"type\":\"yearly\"}}", YG_EFORMAT,
		"schedule: type: want every, hourly, daily or weekly, have 'yearly'"},
};

static void bad(void **state)
{
	WORLD(world);
	for (size_t i = 0; i < YG_COUNT(bad_rows); i++) {
		struct yg_err err = {0};
		json_t *args = NULL;
		assert_int_equal(yg_json_parse(yg_bytes_of(bad_rows[i].args), 4096, &args, &err),
			0);
		person_fails(&world, "tasks.create", args, bad_rows[i].code, bad_rows[i].msg);
	}
	json_decref(make(&world, "twice", "check", json_pack("{s:s}", "type", "hourly")));
	person_fails(&world, "tasks.create",
		json_pack("{s:s, s:{s:s}}", "name", "twice", "schedule", "type", "hourly"),
		YG_EFORMAT, "name: there is a task 'twice' already");
}

/* The one schedule that there was before tasks goes on as one. Old databases are the ones of version 2. */
static const struct {
	const char *setting, *schedule;
} old_rows[] = {
	{"every 600", "{\"seconds\":600,\"type\":\"every\"}"},
	{"daily 03:30", "{\"at\":\"03:30\",\"type\":\"daily\",\"zone\":\"UTC\"}"},
	{"", NULL},
};

static void migrated(void **state)
{
	for (size_t i = 0; i < YG_COUNT(old_rows); i++) {
		WORLD(world);
		struct yg_err err = {0};
		char where[300];
		store_free(world.store);
		world.store = NULL;
		if (*state)
			world_empty(world.where);
		(void)snprintf(where, sizeof(where), "%s%s", world.where, *state ? "" : ".old");
		struct yg_db *db = yg_db_open(where, &err);
		assert_non_null(db);
		assert_int_equal(yg_db_migrate(db, yg_db_steps, 2, NULL, &err), 0);
		assert_int_equal(
			yg_db_exec(db,
				"INSERT INTO settings (name, value) VALUES ('schedule.update', $1)",
				YG_DB_ARGS(yg_db_text(old_rows[i].setting)), NULL, &err),
			0);
		yg_db_free(db);
		if (store_open(&world.store, where, &err) < 0)
			fail_msg("%s", err.msg);
		json_t *key YG_AUTO(yg_json) = role(&world, STORE_PARENT, "keys.first", NULL);
		(void)snprintf(world.admin, sizeof(world.admin), "%s", text(key, "key"));
		json_t *list YG_AUTO(yg_json) = person(&world, "tasks.list", NULL);
		const json_t *items = json_object_get(list, "items");
		if (!old_rows[i].schedule) {
			assert_int_equal(json_array_size(items), 0);
			continue;
		}
		assert_int_equal(json_array_size(items), 1);
		char *have YG_AUTO(mem) = yg_json_text(
			json_object_get(json_array_get(items, 0), "schedule"));
		assert_string_equal(have, old_rows[i].schedule);
		/* It is planned at the first look. */
		store_tick(world.store);
		json_t *now YG_AUTO(yg_json) = get(&world, json_array_get(items, 0));
		assert_string_not_equal(text(now, "next_run"), "");
		assert_string_equal(text(now, "last_run"), "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(daily),
		BOTH(missed),
		BOTH(clock_goes_back),
		BOTH(clock_repairs),
		BOTH(targets),
		BOTH(changing),
		BOTH(one_that_fails),
		BOTH(all_of_many),
		BOTH(target_is_gone),
		BOTH(window_of_a_scan),
		BOTH(limit),
		BOTH(bad),
		BOTH(migrated),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
