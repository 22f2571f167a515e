/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/attr.h"
#include "tests/unit/tuf/sim.h"
#include "tuf/meta.h"
#include "tuf/tuf.h"

/* What other clients of The Update Framework got wrong, each as a test of ours. The names are those of the
 * advisories and reports. A cached role that is trusted through another delegator: two_delegators in tuf_test.c;
 * no floor of versions and time: floor_test.c.
 */

#define TARGET "am/am-pattern.json"
#define DAY    86400

static int visit(struct sim *sim, struct yg_err *err)
{
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	return sim_run(sim, TARGET, &out, err);
}

static void visit_ok(struct sim *sim)
{
	struct yg_err err = {0};
	if (visit(sim, &err) != 0)
		fail_msg("%s", err.msg);
}

static void visit_fails(struct sim *sim, const char *cause)
{
	struct yg_err err = {0};
	assert_int_equal(visit(sim, &err), -1);
	if (strcmp(err.cause, cause) != 0)
		fail_msg("want %s, have %s: %s", cause, err.cause, err.msg);
}

static void start(struct sim *sim)
{
	sim_init(sim);
	visit_ok(sim);
}

static int64_t kept_version(const struct sim *sim, const char *name)
{
	json_t *doc YG_AUTO(
		yg_json) = json_loads(json_string_value(json_object_get(sim->cache, name)), 0,
		NULL);
	return sim_version(json_object_get(doc, "signed"));
}

/* CVE-2020-15093, CVE-2020-6174: one key that is counted as often as it signs, or under as many ids as it has.
 * The same key also comes in another form: PEM with other line breaks.
 */
static void one_key_counts_once(void **state)
{
	(void)state;
	static const char *const forms[] = {"same", "other breaks"};
	for (size_t i = 0; i < YG_COUNT(forms); i++) {
		struct sim sim;
		struct yg_err err = {0};
		start(&sim);
		/* The first key of this name is an ecdsa one, whose text is PEM. */
		for (size_t k = 0; k < SIM_KEYS; k++) {
			if (sim.keys[k].key)
				continue;
			assert_true(yg_str_put(sim.keys[k].name, sizeof(sim.keys[k].name), "pem"));
			sim.keys[k].key = yg_key_generate(YG_KEY_ECDSA_P256, &err);
			assert_non_null(sim.keys[k].key);
			break;
		}
		json_t *keys = json_object_get(sim.root, "keys");
		sim_add_key(&sim, sim.root, "one", "pem");
		sim_add_key(&sim, sim.root, "two", "pem");
		if (i == 1) {
			json_t *value = json_object_get(json_object_get(keys, "two"), "keyval");
			char *pem YG_AUTO(mem) = yg_str_format("%s\n\n",
				json_string_value(json_object_get(value, "public")));
			(void)json_object_set_new(value, "public", json_string(pem));
		}
		sim_role(sim.root, "timestamp", "one two", 2);
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
		sim_bump(sim.timestamp);
		sim_write(&sim, sim.timestamp, "timestamp", "one=pem two=pem", NULL);
		visit_fails(&sim, "tuf.threshold");
		/* A second key of its own is another matter. */
		sim_add_key(&sim, sim.root, "two", "timestamp");
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
		sim_write(&sim, sim.timestamp, "timestamp", "one=pem two=timestamp", NULL);
		visit_ok(&sim);
		sim_done(&sim);
	}
}

/* GHSA-fphv-w9fq-2525: a threshold of zero, which nobody's signatures reach. */
static void threshold_zero(void **state)
{
	(void)state;
	static const int thresholds[] = {0, -1, 257};
	for (size_t i = 0; i < YG_COUNT(thresholds); i++) {
		struct sim sim;
		start(&sim);
		sim_role(sim.root, "targets", "targets", thresholds[i]);
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
		visit_fails(&sim, "tuf.format");
		sim_done(&sim);
		start(&sim);
		json_t *role = json_array_get(
			json_object_get(json_object_get(sim.targets, "delegations"), "roles"), 0);
		sim_set(role, "threshold", thresholds[i]);
		sim_next(&sim);
		sim_publish(&sim);
		visit_fails(&sim, "tuf.format");
		sim_done(&sim);
	}
}

/* CVE-2022-29173: no rollback check but for the root; and what is kept before it is verified. */
static void rollback_of_every_role(void **state)
{
	(void)state;
	struct sim sim;
	start(&sim);
	json_t *all[] = {sim.timestamp, sim.snapshot, sim.targets, sim.am};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		sim_set(all[i], "version", 5);
	sim_publish(&sim);
	visit_ok(&sim);
	for (size_t i = 0; i < YG_COUNT(all); i++) {
		sim_next(&sim);
		int64_t good = sim_version(all[i]);
		sim_set(all[i], "version", 3);
		sim_publish(&sim);
		visit_fails(&sim, "tuf.rollback");
		sim_set(all[i], "version", good);
		sim_next(&sim);
		sim_publish(&sim);
		visit_ok(&sim);
	}
	sim_done(&sim);
}

static void nothing_kept_unverified(void **state)
{
	(void)state;
	static const char *const files[] = {"timestamp", "snapshot", "targets", "am"};
	for (size_t i = 0; i < YG_COUNT(files); i++) {
		struct sim sim;
		start(&sim);
		json_t *all[] = {sim.timestamp, sim.snapshot, sim.targets, sim.am};
		sim_next(&sim);
		sim_publish(&sim);
		/* Bottom up, so that what stands above lists the bad bytes. */
		sim_write(&sim, all[i], files[i], "stranger",
			i == 0           ? NULL
				: i == 1 ? sim.timestamp
					 : sim.snapshot);
		if (i >= 2)
			sim_write(&sim, sim.snapshot, "snapshot", "snapshot", sim.timestamp);
		if (i >= 1)
			sim_write(&sim, sim.timestamp, "timestamp", "timestamp", NULL);
		visit_fails(&sim, "tuf.signature");
		for (size_t k = 0; k < YG_COUNT(files); k++) {
			char name[32];
			assert_true(yg_str_put(name, sizeof(name), "%s.json", files[k]));
			assert_int_equal(kept_version(&sim, name), k < i ? 2 : 1);
		}
		sim_done(&sim);
	}
}

/* CVE-2024-47534: delegations asked in another order than they are written in. Fifteen roles claim the path; the
 * first one has it.
 */
static void first_delegation_wins(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_tuf_target target;
	static const char order[] = "qwertyuiopasdfg";
	sim_init(&sim);
	json_t *claim = sim_body("targets");
	(void)json_object_set_new(claim, "targets", json_object());
	sim_target(&sim, claim, "x/y", "claimed");
	for (const char *at = order; *at; at++) {
		char name[2] = {*at, 0};
		json_t *delegations = json_object_get(sim.targets, "delegations");
		sim_add_key(&sim, delegations, name, "claimer");
		(void)json_array_append_new(json_object_get(delegations, "roles"),
			json_pack("{s:s, s:[s], s:i, s:b, s:[s]}", "name", name, "keyids", name,
				"threshold", 1, "terminating", 0, "paths", "x/*"));
		char signer[16];
		assert_true(yg_str_put(signer, sizeof(signer), "%s=claimer", name));
		sim_write(&sim, claim, name, signer, sim.snapshot);
	}
	sim_publish(&sim);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)), &err), 0);
	assert_int_equal(yg_tuf_find(tuf, "x/y", &target, &err), 0);
	assert_string_equal(target.role, "q");
	/* And all of them are asked in their order for what none has. */
	(void)json_array_clear(sim.requests);
	assert_int_equal(yg_tuf_find(tuf, "x/z", &target, &err), -1);
	assert_string_equal(err.cause, "tuf.not_delegated");
	assert_int_equal(json_array_size(sim.requests), strlen(order) - 1);
	for (size_t i = 1; i < strlen(order); i++) {
		char want[32];
		assert_true(yg_str_put(want, sizeof(want), "metadata/1.%c.json", order[i]));
		assert_string_equal(json_string_value(json_array_get(sim.requests, i - 1)), want);
	}
	json_decref(claim);
	sim_done(&sim);
}

/* Only "1.0.0" taken for a version of the specification. */
static void spec_versions(void **state)
{
	(void)state;
	static const struct {
		const char *version;
		bool ok;
	} cases[] = {
		{"1.0.0", true},
		{"1.0", true},
		{"1", true},
		{"1.0.34", true},
		{"1.99.5", true},
		{"2.0.0", false},
		{"10.0.0", false},
		{"0.9", false},
		{"", false},
		{"one", false},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		start(&sim);
		(void)json_object_set_new(sim.snapshot, "spec_version",
			json_string(cases[i].version));
		sim_next(&sim);
		sim_publish(&sim);
		if (cases[i].ok)
			visit_ok(&sim);
		else
			visit_fails(&sim, "tuf.format");
		sim_done(&sim);
	}
}

/* A client that asks again only when its timestamp has expired does not see a recovery before. */
static void every_refresh_asks(void **state)
{
	(void)state;
	struct sim sim;
	start(&sim);
	for (int i = 0; i < 3; i++) {
		visit_ok(&sim);
		assert_string_equal(json_string_value(json_array_get(sim.requests, 0)),
			"metadata/2.root.json");
		assert_string_equal(json_string_value(json_array_get(sim.requests, 1)),
			"metadata/timestamp.json");
	}
	sim_done(&sim);
}

/* Clients that cannot start from an expired cache: they refresh from it as from any other. */
static void expired_cache(void **state)
{
	(void)state;
	struct sim sim;
	start(&sim);
	sim.now = SIM_NOW + 400ll * DAY;
	visit_fails(&sim, "tuf.expired");
	json_t *all[] = {sim.root, sim.timestamp, sim.snapshot, sim.targets, sim.am};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		(void)json_object_set_new(all[i], "expires", json_string("2029-01-01T00:00:00Z"));
	sim_bump(sim.root);
	sim_write(&sim, sim.root, "root", "root", NULL);
	sim_next(&sim);
	sim_publish(&sim);
	visit_ok(&sim);
	sim_done(&sim);
}

/* Mirrors behind one name that are not at the same state: the older one is refused, not taken, and nothing is
 * spoiled by it.
 */
static void mirrors_apart(void **state)
{
	(void)state;
	struct sim sim;
	start(&sim);
	json_t *behind = json_deep_copy(sim.remote);
	sim_next(&sim);
	sim_publish(&sim);
	json_t *ahead = sim.remote;
	for (int i = 0; i < 3; i++) {
		sim.remote = ahead;
		visit_ok(&sim);
		assert_int_equal(kept_version(&sim, "timestamp.json"), 2);
		sim.remote = behind;
		visit_fails(&sim, "tuf.rollback");
		assert_int_equal(kept_version(&sim, "timestamp.json"), 2);
	}
	sim.remote = ahead;
	json_decref(behind);
	sim_done(&sim);
}

/* More versions of the root than one refresh takes are taken by the next one. */
static void many_roots(void **state)
{
	(void)state;
	struct sim sim;
	start(&sim);
	for (unsigned i = 0; i < YG_TUF_ROOT_STEPS_MAX + 3; i++) {
		sim_bump(sim.root);
		sim_write(&sim, sim.root, "root", "root", NULL);
	}
	visit_ok(&sim);
	assert_int_equal(kept_version(&sim, "root.json"), YG_TUF_ROOT_STEPS_MAX + 1);
	visit_ok(&sim);
	sim_done(&sim);
}

/* Roles that delegate to ever new ones end a search. */
static void endless_delegations(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_tuf_target target;
	sim_init(&sim);
	json_t *delegations = json_object_get(sim.targets, "delegations");
	sim_add_key(&sim, delegations, "k", "claimer");
	json_t *body = sim_body("targets");
	(void)json_object_set_new(body, "targets", json_object());
	for (unsigned i = 0; i < YG_TUF_DELEGATIONS_MAX + 1; i++) {
		char name[16];
		assert_true(yg_str_put(name, sizeof(name), "r%u", i));
		(void)json_array_append_new(json_object_get(delegations, "roles"),
			json_pack("{s:s, s:[s], s:i, s:b, s:[s]}", "name", name, "keyids", "k",
				"threshold", 1, "terminating", 0, "paths", "*"));
		sim_write(&sim, body, name, "k=claimer", sim.snapshot);
	}
	sim_publish(&sim);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)), &err), 0);
	assert_int_equal(yg_tuf_find(tuf, "x", &target, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_string_equal(err.msg, "want a target in at most 32 roles, have more");
	json_decref(body);
	sim_done(&sim);
}

/* Names of roles and targets that mean something to a file system or in a URL. */
static void names(void **state)
{
	(void)state;
	static const struct {
		const char *role, *request, *kept;
	} roles[] = {
		{"?", "metadata/1.%3F.json", "%3F.json"},
		{"#", "metadata/1.%23.json", "%23.json"},
		{"/x", "metadata/1.%2Fx.json", "%2Fx.json"},
		{"../x", "metadata/1...%2Fx.json", "%2E.%2Fx.json"},
		{"a;b", "metadata/1.a%3Bb.json", "a%3Bb.json"},
		{"\xe6\xab\x93", "metadata/1.%E6%AB%93.json", "%E6%AB%93.json"},
		{"floor", "metadata/1.floor.json", NULL},
		{"root@2", "metadata/1.root%402.json", "root%402.json"},
	};
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_tuf_target target;
		char url[YG_META_URL_MAX], kept[YG_META_NAME_MAX], path[YG_META_URL_MAX + 32];
		sim_init(&sim);
		json_t *body = sim_body("targets");
		(void)json_object_set_new(body, "targets", json_object());
		sim_target(&sim, body, "t/x", "text");
		sim_delegate(&sim, sim.targets, roles[i].role, "t/*", false);
		sim_write(&sim, body, roles[i].role, roles[i].role, sim.snapshot);
		sim_publish(&sim);
		/* The simulator writes names as they are; the client asks for them encoded. */
		assert_true(yg_str_put(path, sizeof(path), "metadata/1.%s.json", roles[i].role));
		assert_true(yg_meta_url(roles[i].role, "", url));
		json_t *text = json_incref(json_object_get(sim.remote, path));
		(void)json_object_set_new(sim.remote, roles[i].request, text);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		if (yg_tuf_find(tuf, "t/x", &target, &err) != 0)
			fail_msg("%s: %s", roles[i].role, err.msg);
		assert_string_equal(target.role, roles[i].role);
		assert_int_equal(yg_meta_kept_name(roles[i].role, kept, &err), 0);
		if (roles[i].kept)
			assert_string_equal(kept, roles[i].kept);
		assert_non_null(json_object_get(sim.cache, kept));
		assert_null(strchr(kept, '/'));
		json_decref(body);
		sim_done(&sim);
	}
}

static void target_paths(void **state)
{
	(void)state;
	static const struct {
		const char *path, *request, *error; /* "*" stands for the hash */
	} paths[] = {
		{"am/x", "targets/am/*.x", NULL},
		{"am/a b.json", "targets/am/*.a%20b.json", NULL},
		{"am/a?b#c%", "targets/am/*.a%3Fb%23c%25", NULL},
		{"am/1.2+b@x,y=z", "targets/am/*.1.2+b@x,y=z", NULL},
		{"am/..x", "targets/am/*...x", NULL},
		{"am/..", NULL, "target 'am/..': want no empty, '.' or '..' part in a path"},
		{"am/.", NULL, "target 'am/.': want no empty, '.' or '..' part in a path"},
		{"am/", NULL, "target 'am/': want no empty, '.' or '..' part in a path"},
	};
	for (size_t i = 0; i < YG_COUNT(paths); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(64);
		sim_init(&sim);
		sim_target(&sim, sim.am, paths[i].path, "text");
		sim_publish(&sim);
		if (paths[i].request) {
			char hash[YG_HASH_TEXT];
			assert_int_equal(yg_hash_text(yg_bytes_of("text"), hash, &err), 0);
			const char *star = strchr(paths[i].request, '*');
			char *url YG_AUTO(mem) = yg_str_format("%.*s%s%s",
				(int)(star - paths[i].request), paths[i].request, hash, star + 1);
			sim_put(&sim, url, "text");
		}
		int r = sim_run(&sim, paths[i].path, &out, &err);
		assert_string_equal(err.msg, paths[i].error ? paths[i].error : "");
		assert_int_equal(r, paths[i].error ? -1 : 0);
		sim_done(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_key_counts_once),
		cmocka_unit_test(threshold_zero),
		cmocka_unit_test(rollback_of_every_role),
		cmocka_unit_test(nothing_kept_unverified),
		cmocka_unit_test(first_delegation_wins),
		cmocka_unit_test(spec_versions),
		cmocka_unit_test(every_refresh_asks),
		cmocka_unit_test(expired_cache),
		cmocka_unit_test(mirrors_apart),
		cmocka_unit_test(many_roots),
		cmocka_unit_test(endless_delegations),
		cmocka_unit_test(names),
		cmocka_unit_test(target_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
