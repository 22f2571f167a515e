/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/floor.h"

#include "core/attr.h"
#include "core/clock.h"
#include "tests/unit/tuf/sim.h"

#define TARGET "am/am-pattern.json"
#define DAY    86400

/* ---- the file ---- */

static const struct {
	const char *text, *error; /* NULL: accepted */
} files[] = {
	{"{\"format\":1}", NULL},
	{"{\"format\":1,\"root\":2,\"timestamp\":3,\"snapshot\":4,\"targets\":{\"am.json\":5},"
	 "\"time\":\"2027-01-15T08:00:00Z\",\"later\":[]}",
		NULL},
	{"", "floor.json: JSON: "},
	{"[]", "floor.json: want an object, have an array"},
	{"{}", "floor.json: format: want a whole number, have nothing"},
	{"{\"format\":2}", "floor.json: format: want 1..1, have 2"},
	{"{\"format\":1,\"root\":-1}", "floor.json: root: want 0..9223372036854775806, have -1"},
	{"{\"format\":1,\"timestamp\":\"3\"}",
		"floor.json: timestamp: want a whole number, have a string"},
	{"{\"format\":1,\"snapshot\":1.5}",
		"floor.json: snapshot: want a whole number, have a number"},
	{"{\"format\":1,\"targets\":[]}", "floor.json: targets: want an object, have an array"},
	{"{\"format\":1,\"targets\":{\"am.json\":0}}",
		"floor.json: targets: am.json: want 1..9223372036854775806, have 0"},
	{"{\"format\":1,\"time\":\"soon\"}", "floor.json: time: "},
};

static void parsing(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(files); i++) {
		struct yg_err err = {0};
		struct tuf_floor floor = {0};
		const char *error = files[i].error ? files[i].error : "";
		int r = tuf_floor_parse(&floor, yg_bytes_of(files[i].text), &err);
		if (r != (files[i].error ? -1 : 0) || strncmp(err.msg, error, strlen(error)) != 0)
			fail_msg("%s: '%s'", files[i].text, err.msg);
		tuf_floor_done(&floor);
	}
}

/* ---- a client ---- */

static const char *floor_text(const struct sim *sim)
{
	return json_string_value(json_object_get(sim->cache, "floor.json"));
}

/* All that is kept beside the floor is gone. */
static void wipe(struct sim *sim)
{
	json_t *floor = json_incref(json_object_get(sim->cache, "floor.json"));
	(void)json_object_clear(sim->cache);
	(void)json_object_set_new(sim->cache, "floor.json", floor);
}

static void run_ok(struct sim *sim)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	if (sim_run(sim, TARGET, &out, &err) != 0)
		fail_msg("%s", err.msg);
}

static void run_fails(struct sim *sim, const char *cause, const char *msg)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(sim_run(sim, TARGET, &out, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_string_equal(err.cause, cause);
}

static struct yg_tuf *client(struct sim *sim)
{
	struct yg_err err = {0};
	struct yg_tuf *tuf = yg_tuf_new(&sim_ops, sim, sim->now, &err);
	(void)json_array_clear(sim->requests);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim->root_doc)), &err), 0);
	return tuf;
}

static void sign_at(struct sim *sim, const char *time)
{
	(void)json_object_set_new(sim->timestamp, "signed_at", json_string(time));
	sim_next(sim);
	sim_publish(sim);
}

static void contents(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	run_ok(&sim);
	assert_string_equal(floor_text(&sim),
		"{\"format\":1,\"root\":1,\"snapshot\":1,\"targets\":{\"am.json\":1,\"targets.json\":1},"
		"\"timestamp\":1}");
	sim_bump(sim.root);
	sim_write(&sim, sim.root, "root", "root", NULL);
	sign_at(&sim, "2027-01-15T07:00:00Z");
	run_ok(&sim);
	assert_string_equal(floor_text(&sim),
		"{\"format\":1,\"root\":2,\"snapshot\":2,\"targets\":{\"am.json\":2,\"targets.json\":2},"
		"\"time\":\"2027-01-15T07:00:00Z\",\"timestamp\":2}");
	sim_done(&sim);
}

/* ---- a cache that was wiped ---- */

static void older_all(struct sim *sim)
{
	json_t *all[] = {sim->am, sim->targets, sim->snapshot, sim->timestamp};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		sim_set(all[i], "version", 4);
	sim_publish(sim);
}

static void older_snapshot(struct sim *sim)
{
	sim_set(sim->snapshot, "version", 4);
	sim_bump(sim->timestamp);
	sim_publish(sim);
}

static void older_role(struct sim *sim)
{
	sim_next(sim);
	sim_set(sim->am, "version", 4);
	sim_publish(sim);
}

static void no_role(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	(void)json_object_del(json_object_get(sim->snapshot, "meta"), "am.json");
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void hidden_root(struct sim *sim)
{
	(void)json_object_del(sim->remote, "metadata/2.root.json");
}

static void same(struct sim *sim)
{
	(void)sim;
}

static void newer(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
}

static const struct {
	const char *name;
	void (*change)(struct sim *sim);
	const char *msg; /* NULL: taken */
} wipes[] = {
	{"the same", same, NULL},
	{"a newer one", newer, NULL},
	{"an older state", older_all,
		"timestamp.json: floor: version: want >= 5, which was trusted before, have 4"},
	{"an older snapshot", older_snapshot,
		"timestamp.json: floor: snapshot.json: version: want >= 5, which was trusted before, "
		"have 4"},
	{"an older role", older_role,
		"metadata/6.snapshot.json: floor: 'am.json': version: want >= 5, which was trusted before, "
		"have 4"},
	{"a role less", no_role,
		"metadata/6.snapshot.json: floor: 'am.json' was listed before and is not any more"},
	{"roots that are hidden", hidden_root,
		"root: version: want >= 2, which was trusted before, have 1"},
};

static void wiped(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(wipes); i++) {
		struct sim sim;
		sim_init(&sim);
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
		for (int n = 0; n < 4; n++)
			sim_next(&sim);
		sim_publish(&sim);
		run_ok(&sim);
		char *before YG_AUTO(mem) = strdup(floor_text(&sim));
		wipe(&sim);
		wipes[i].change(&sim);
		if (wipes[i].msg)
			run_fails(&sim, "tuf.rollback", wipes[i].msg);
		else
			run_ok(&sim);
		/* The attack leaves nothing behind: the good repository is taken, and the floor stays. */
		if (wipes[i].msg && wipes[i].change != no_role && wipes[i].change != older_role) {
			assert_string_equal(floor_text(&sim), before);
		}
		sim_done(&sim);
	}
}

/* A cache that was put back from a backup is no way round it either. */
static void restored(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	run_ok(&sim);
	json_t *old = json_deep_copy(sim.cache), *remote = json_deep_copy(sim.remote);
	sim_next(&sim);
	sim_publish(&sim);
	run_ok(&sim);
	json_t *floor = json_incref(json_object_get(sim.cache, "floor.json"));
	json_decref(sim.cache);
	sim.cache = old;
	(void)json_object_set_new(sim.cache, "floor.json", floor);
	json_t *now = sim.remote;
	sim.remote = remote;
	run_fails(&sim, "tuf.rollback",
		"timestamp.json: floor: version: want >= 2, which was trusted before, have 1");
	sim.remote = now;
	json_decref(remote);
	run_ok(&sim);
	sim_done(&sim);
}

/* New online keys lower the floor, as they make the client forget timestamp and snapshot. Once: walking the
 * same roots again after a wipe does not.
 */
static void rotation(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	json_t *all[] = {sim.am, sim.targets, sim.snapshot, sim.timestamp};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		sim_set(all[i], "version", 1000000);
	sign_at(&sim, "2027-05-31T00:00:00Z"); /* by who stole the key: months ahead */
	run_ok(&sim);
	sim_add_key(&sim, sim.root, "snapshot", "snapshot2");
	sim_bump(sim.root);
	sim_write(&sim, sim.root, "root", "root", NULL);
	(void)json_object_del(sim.timestamp, "signed_at");
	for (size_t i = 0; i < YG_COUNT(all); i++)
		sim_set(all[i], "version", 10);
	sim_publish(&sim);
	sim_write(&sim, sim.snapshot, "snapshot", "snapshot=snapshot2", sim.timestamp);
	sim_write(&sim, sim.timestamp, "timestamp", "timestamp", NULL);
	run_ok(&sim);
	assert_string_equal(floor_text(&sim),
		"{\"format\":1,\"root\":2,\"snapshot\":10,\"targets\":{\"am.json\":10,\"targets.json\":10},"
		"\"timestamp\":10}");
	for (size_t i = 0; i < YG_COUNT(all); i++)
		sim_set(all[i], "version", 9);
	sim_publish(&sim);
	sim_write(&sim, sim.snapshot, "snapshot", "snapshot=snapshot2", sim.timestamp);
	sim_write(&sim, sim.timestamp, "timestamp", "timestamp", NULL);
	wipe(&sim);
	run_fails(&sim, "tuf.rollback",
		"timestamp.json: floor: version: want >= 10, which was trusted before, have 9");
	sim_done(&sim);
}

/* A floor that is broken is made again; one that cannot be read is not taken for none. */
static void broken(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	run_ok(&sim);
	char *good YG_AUTO(mem) = strdup(floor_text(&sim));
	(void)json_object_set_new(sim.cache, "floor.json", json_string("{\"format\":1,\"root\""));
	run_ok(&sim);
	assert_string_equal(floor_text(&sim), good);
	sim_done(&sim);
}

static int load_fails(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	if (strcmp(name, "floor.json") == 0)
		return yg_fail(err, YG_ESYSTEM, "I/O error");
	return sim_load(ctx, name, buf, err);
}

static int save_fails(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	if (strcmp(name, "floor.json") == 0)
		return yg_fail(err, YG_ESYSTEM, "disk full");
	return sim_save(ctx, name, bytes, err);
}

static void io_errors(void **state)
{
	(void)state;
	static const struct {
		struct yg_tuf_ops ops;
		const char *msg;
	} cases[] = {
		{{sim_fetch, load_fails, sim_save}, "kept floor.json: I/O error"},
		{{sim_fetch, sim_load, save_fails}, "keeping 'floor.json': disk full"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		struct yg_err err = {0};
		sim_init(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&cases[i].ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		assert_int_equal(yg_tuf_refresh(tuf, &err), -1);
		assert_string_equal(err.msg, cases[i].msg);
		/* What failed to be kept is not used as if it had been. */
		assert_int_equal(yg_tuf_refresh(tuf, &err), -1);
		sim_done(&sim);
	}
}

/* ---- time ---- */

static int64_t at(const char *text)
{
	struct yg_err err = {0};
	int64_t s = 0;
	assert_int_equal(yg_clock_parse(text, &s, &err), 0);
	return s;
}

static void check_time(struct sim *sim, int64_t known, int64_t behind)
{
	struct yg_err err = {0};
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = client(sim);
	if (yg_tuf_refresh(tuf, &err) != 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_tuf_known_time(tuf), known);
	assert_int_equal(yg_tuf_clock_behind(tuf), behind);
}

static void signed_times(void **state)
{
	(void)state;
	static const struct {
		const char *member; /* JSON */
		const char *known;  /* NULL: none */
	} cases[] = {
		{"\"2027-01-15T07:59:00Z\"", "2027-01-15T07:59:00Z"},
		{"\"2027-01-16T08:00:00Z\"", "2027-01-16T08:00:00Z"},
		{"\"2027-06-01T00:00:00Z\"", NULL}, /* not before it expires */
		{"\"9999-01-01T00:00:00Z\"", NULL},
		{"\"yesterday\"", NULL},
		{"\"\"", NULL},
		{"1800000000", NULL},
		{"{\"by\":\"others\"}", NULL},
		{"null", NULL},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		sim_init(&sim);
		(void)json_object_set_new(sim.timestamp, "signed_at",
			json_loads(cases[i].member, JSON_DECODE_ANY, NULL));
		sim_publish(&sim);
		int64_t known = cases[i].known ? at(cases[i].known) : 0;
		check_time(&sim, known, known > SIM_NOW ? known - SIM_NOW : 0);
		sim_done(&sim);
	}
}

/* A clock that is turned back thaws nothing; who asks is told by how much it is wrong. */
static void clock_back(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	(void)json_object_set_new(sim.timestamp, "expires", json_string("2027-01-20T08:00:00Z"));
	sign_at(&sim, "2027-01-15T08:00:00Z");
	run_ok(&sim);
	(void)json_object_set_new(sim.snapshot, "expires", json_string("2027-01-15T07:00:00Z"));
	sim_next(&sim);
	sim_publish(&sim);
	sim.now = SIM_NOW - 30 * DAY;
	run_fails(&sim, "tuf.expired",
		"metadata/3.snapshot.json: expired at 2027-01-15T07:00:00Z, it is 2027-01-15T08:00:00Z at "
		"least (this computer's clock says 2026-12-16T08:00:00Z)");
	/* Also on the first visit, when nothing is kept: the timestamp says what time it is. */
	(void)json_object_clear(sim.cache);
	run_fails(&sim, "tuf.expired",
		"metadata/3.snapshot.json: expired at 2027-01-15T07:00:00Z, it is 2027-01-15T08:00:00Z at "
		"least (this computer's clock says 2026-12-16T08:00:00Z)");
	(void)json_object_set_new(sim.snapshot, "expires", json_string("2027-06-01T00:00:00Z"));
	sim_next(&sim);
	sim_publish(&sim);
	check_time(&sim, SIM_NOW, 30 * DAY);
	sim_done(&sim);
}

/* The root is judged by what the timestamp says, too. */
static void clock_back_root(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	(void)json_object_set_new(sim.root, "expires", json_string("2027-01-15T00:00:00Z"));
	sim_bump(sim.root);
	sim_write(&sim, sim.root, "root", "root", NULL);
	sign_at(&sim, "2027-01-15T08:00:00Z");
	sim.now = SIM_NOW - 30 * DAY;
	run_fails(&sim, "tuf.expired",
		"2.root.json: expired at 2027-01-15T00:00:00Z, it is 2027-01-15T08:00:00Z at least (this "
		"computer's clock says 2026-12-16T08:00:00Z)");
	sim_done(&sim);
}

/* A publisher's clock that was months ahead is put right with the next timestamp. */
static void publisher_ahead(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	(void)json_object_set_new(sim.root, "expires", json_string("2027-04-01T00:00:00Z"));
	sim_bump(sim.root);
	sim_write(&sim, sim.root, "root", "root", NULL);
	sign_at(&sim, "2027-05-01T00:00:00Z");
	run_fails(&sim, "tuf.expired",
		"2.root.json: expired at 2027-04-01T00:00:00Z, it is 2027-05-01T00:00:00Z at least (this "
		"computer's clock says 2027-01-15T08:00:00Z)");
	run_fails(&sim, "tuf.expired",
		"2.root.json: expired at 2027-04-01T00:00:00Z, it is 2027-05-01T00:00:00Z at least (this "
		"computer's clock says 2027-01-15T08:00:00Z)");
	sign_at(&sim, "2027-01-15T08:00:00Z");
	check_time(&sim, SIM_NOW, 0);
	/* A timestamp that says nothing is judged by what the one before said. */
	(void)json_object_del(sim.timestamp, "signed_at");
	(void)json_object_set_new(sim.timestamp, "expires", json_string("2027-01-15T07:00:00Z"));
	sim_next(&sim);
	sim_publish(&sim);
	sim.now = SIM_NOW - DAY;
	run_fails(&sim, "tuf.expired",
		"timestamp.json: expired at 2027-01-15T07:00:00Z, it is 2027-01-15T08:00:00Z at least "
		"(this computer's clock says 2027-01-14T08:00:00Z)");
	sim_done(&sim);
}

/* A clock that was once years ahead is forgotten when it is right again. */
static void clock_ahead(void **state)
{
	(void)state;
	struct sim sim;
	sim_init(&sim);
	sign_at(&sim, "2027-01-15T07:00:00Z");
	run_ok(&sim);
	sim.now = SIM_NOW + 3650ll * DAY;
	run_fails(&sim, "tuf.expired",
		"1.root.json: expired at 2027-06-01T00:00:00Z, it is 2037-01-12T08:00:00Z");
	sim.now = SIM_NOW + 100 * DAY; /* ahead, and nothing has expired yet */
	check_time(&sim, SIM_NOW - 3600, 0);
	sim.now = SIM_NOW;
	check_time(&sim, SIM_NOW - 3600, 0);
	sim_done(&sim);
}

/* ---- living from what is kept ---- */

static void kept(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_tuf_target target;
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	sim_init(&sim);
	struct yg_tuf *bare YG_AUTO(yg_tuf) = client(&sim);
	assert_int_equal(yg_tuf_use_kept(bare, &err), -1);
	assert_string_equal(err.cause, "tuf.missing");
	assert_string_equal(err.msg, "role 'targets': nothing that is valid is kept");
	run_ok(&sim);
	/* Years later everything has expired: the refresh says so, and what is trusted stays usable. */
	sim.now = SIM_NOW + 3650ll * DAY;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = client(&sim);
	assert_int_equal(yg_tuf_refresh(tuf, &err), -1);
	assert_string_equal(err.cause, "tuf.expired");
	(void)json_array_clear(sim.requests);
	assert_int_equal(yg_tuf_use_kept(tuf, &err), 0);
	assert_int_equal(yg_tuf_find(tuf, TARGET, &target, &err), 0);
	assert_string_equal(target.role, "am");
	assert_int_equal(json_array_size(sim.requests), 0);
	assert_int_equal(yg_tuf_expires(tuf, "timestamp"), at("2027-06-01T00:00:00Z"));
	assert_int_equal(yg_tuf_get(tuf, TARGET, &out, &err), 0);
	/* A role that is not kept is not fetched. */
	(void)json_object_del(sim.cache, "am.json");
	assert_int_equal(yg_tuf_use_kept(tuf, &err), 0);
	assert_int_equal(yg_tuf_find(tuf, TARGET, &target, &err), -1);
	assert_string_equal(err.msg, "role 'am': nothing that is valid is kept");
	sim_done(&sim);
}

/* A refresh that broke off half-way leaves a new snapshot beside old targets: they still count. */
static void kept_half(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_tuf_target target;
	sim_init(&sim);
	run_ok(&sim);
	sim_next(&sim);
	sim_publish(&sim);
	(void)json_object_del(sim.remote, "metadata/2.targets.json");
	run_fails(&sim, "tuf.missing", "metadata/2.targets.json: not there");
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = client(&sim);
	assert_int_equal(yg_tuf_use_kept(tuf, &err), 0);
	assert_int_equal(yg_tuf_version(tuf, "snapshot"), 2);
	assert_int_equal(yg_tuf_version(tuf, "targets"), 1);
	assert_int_equal(yg_tuf_find(tuf, TARGET, &target, &err), 0);
	/* Who writes to what is kept still cannot sign. */
	json_t *forged = json_deep_copy(sim.targets);
	sim_set(forged, "x", 1);
	char *text YG_AUTO(mem) = sim_sign(&sim, forged, "targets=stranger");
	json_decref(forged);
	(void)json_object_set_new(sim.cache, "targets.json", json_string(text));
	assert_int_equal(yg_tuf_use_kept(tuf, &err), -1);
	assert_string_equal(err.cause, "tuf.missing");
	sim_done(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(contents),
		cmocka_unit_test(wiped),
		cmocka_unit_test(restored),
		cmocka_unit_test(rotation),
		cmocka_unit_test(broken),
		cmocka_unit_test(io_errors),
		cmocka_unit_test(signed_times),
		cmocka_unit_test(clock_back),
		cmocka_unit_test(clock_back_root),
		cmocka_unit_test(publisher_ahead),
		cmocka_unit_test(clock_ahead),
		cmocka_unit_test(kept),
		cmocka_unit_test(kept_half),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
