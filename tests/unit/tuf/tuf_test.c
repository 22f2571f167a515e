/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/tuf.h"

#include "tests/unit/tuf/sim.h"

#define TARGET "am/am-pattern.json"

/* ---- changes to a repository after a client's first visit ---- */

static void nothing(struct sim *sim)
{
	(void)sim;
}

static void unsigned_timestamp(struct sim *sim)
{
	sim_bump(sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "", NULL);
}

static void stranger_timestamp(struct sim *sim)
{
	sim_bump(sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "stranger timestamp=stranger", NULL);
}

static void unsigned_snapshot(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	sim_write(sim, sim->snapshot, "snapshot", "", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void unsigned_role(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	sim_write(sim, sim->am, "am", "snapshot", sim->snapshot);
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void root_one_of_two(struct sim *sim)
{
	sim_add_key(sim, sim->root, "root2", "root2");
	sim_role(sim->root, "root", "root root2", 2);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void root_key_under_two_ids(struct sim *sim)
{
	sim_add_key(sim, sim->root, "other", "root");
	sim_role(sim->root, "root", "root other", 2);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root other=root", NULL);
}

static void root_signs_twice(struct sim *sim)
{
	sim_add_key(sim, sim->root, "root2", "root2");
	sim_role(sim->root, "root", "root root2", 2);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root root", NULL);
}

static void root_new_keys_only(struct sim *sim)
{
	sim_add_key(sim, sim->root, "root2", "root2");
	sim_role(sim->root, "root", "root2", 1);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root2", NULL);
}

static void root_old_keys_only(struct sim *sim)
{
	sim_add_key(sim, sim->root, "root2", "root2");
	sim_role(sim->root, "root", "root2", 1);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void root_threshold_zero(struct sim *sim)
{
	sim_role(sim->root, "timestamp", "timestamp", 0);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void root_skips(struct sim *sim)
{
	sim_set(sim->root, "version", 3);
	char *text = sim_sign(sim, sim->root, "root");
	sim_put(sim, "metadata/2.root.json", text);
	free(text);
}

static void root_again(struct sim *sim)
{
	sim_put(sim, "metadata/2.root.json", json_string_value(sim->root_doc));
}

static void root_rotates(struct sim *sim)
{
	sim_add_key(sim, sim->root, "root2", "root2");
	sim_role(sim->root, "root", "root2", 1);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root root2", NULL);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root2", NULL);
}

static void older_timestamp(struct sim *sim)
{
	sim_set(sim->timestamp, "version", 0x7fff);
	sim_publish(sim);
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(sim_run(sim, TARGET, &out, &err), 0);
	sim_set(sim->timestamp, "version", 3);
	sim_publish(sim);
}

static void older_snapshot_in_timestamp(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(sim_run(sim, TARGET, &out, &err), 0);
	sim_set(sim->snapshot, "version", 1);
	sim_bump(sim->timestamp);
	sim_publish(sim);
}

static void older_role_in_snapshot(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(sim_run(sim, TARGET, &out, &err), 0);
	sim_next(sim);
	sim_set(sim->am, "version", 1);
	sim_publish(sim);
}

static void role_gone_from_snapshot(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	(void)json_object_del(json_object_get(sim->snapshot, "meta"), "am.json");
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void expire(json_t *body)
{
	(void)json_object_set_new(body, "expires", json_string("2027-01-15T08:00:00Z"));
}

static void expired_root(struct sim *sim)
{
	expire(sim->root);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void expired_timestamp(struct sim *sim)
{
	expire(sim->timestamp);
	sim_next(sim);
	sim_publish(sim);
}

static void frozen_timestamp(struct sim *sim)
{
	sim->now = 1900000000;
	(void)json_object_set_new(sim->root, "expires", json_string("2040-01-01T00:00:00Z"));
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
}

static void expired_snapshot(struct sim *sim)
{
	expire(sim->snapshot);
	sim_next(sim);
	sim_publish(sim);
}

static void expired_targets(struct sim *sim)
{
	expire(sim->targets);
	sim_next(sim);
	sim_publish(sim);
}

static void expired_role(struct sim *sim)
{
	expire(sim->am);
	sim_next(sim);
	sim_publish(sim);
}

static void other_snapshot(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	/* Same length, other bytes. */
	(void)json_object_set_new(sim->snapshot, "expires", json_string("2027-06-01T00:00:01Z"));
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", NULL);
}

static void longer_snapshot(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	(void)json_object_set_new(sim->snapshot, "more", json_string("and more"));
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", NULL);
}

static void snapshot_of_other_version(struct sim *sim)
{
	sim->hashes = false;
	sim_next(sim);
	sim_publish(sim);
	char *text = sim_sign(sim, sim->snapshot, "snapshot");
	sim_bump(sim->timestamp);
	sim_bump(sim->snapshot);
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
	sim_put(sim, "metadata/3.snapshot.json", text);
	free(text);
}

static void snapshot_missing(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	(void)json_object_del(sim->remote, "metadata/2.snapshot.json");
}

static void garbage_timestamp(struct sim *sim)
{
	sim_put(sim, "metadata/timestamp.json", "<html>blocked</html>");
}

static void huge_timestamp(struct sim *sim)
{
	char *text = malloc(YG_TUF_TIMESTAMP_MAX + 2);
	assert_non_null(text);
	memset(text, ' ', YG_TUF_TIMESTAMP_MAX + 1);
	text[YG_TUF_TIMESTAMP_MAX + 1] = 0;
	sim_put(sim, "metadata/timestamp.json", text);
	free(text);
}

static void snapshot_as_timestamp(struct sim *sim)
{
	sim_put(sim, "metadata/timestamp.json",
		json_string_value(json_object_get(sim->remote, "metadata/1.snapshot.json")));
}

static void newer_specification(struct sim *sim)
{
	(void)json_object_set_new(sim->timestamp, "spec_version", json_string("2.0.0"));
	sim_next(sim);
	sim_publish(sim);
}

static void set_hashes(struct sim *sim, json_t *hashes)
{
	json_t *entry = json_object_get(json_object_get(sim->am, "targets"), TARGET);
	(void)json_object_set_new(entry, "hashes", hashes);
	sim_next(sim);
	sim_publish(sim);
}

static void short_sha512(struct sim *sim)
{
	set_hashes(sim, json_pack("{s:s}", "sha512", "00"));
}

static void other_hashes(struct sim *sim)
{
	set_hashes(sim, json_pack("{s:s}", "blake3", "00"));
}

static void other_hashes_of_metadata(struct sim *sim)
{
	sim_next(sim);
	sim_publish(sim);
	json_t *entry = json_object_get(json_object_get(sim->snapshot, "meta"), "am.json");
	(void)json_object_set_new(entry, "hashes", json_pack("{s:s}", "blake3", "00"));
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void sha512_too(struct sim *sim)
{
	struct yg_err err = {0};
	char sha256[YG_HASH_TEXT], sha512[YG_HASH_512_TEXT];
	const struct yg_bytes text = yg_bytes_of("the manifest");
	assert_int_equal(yg_hash_text(text, sha256, &err), 0);
	assert_int_equal(yg_hash_512_text(text, sha512, &err), 0);
	set_hashes(sim, json_pack("{s:s, s:s}", "sha256", sha256, "sha512", sha512));
}

static void sha512_of_another(struct sim *sim)
{
	struct yg_err err = {0};
	char sha256[YG_HASH_TEXT], sha512[YG_HASH_512_TEXT];
	assert_int_equal(yg_hash_text(yg_bytes_of("the manifest"), sha256, &err), 0);
	assert_int_equal(yg_hash_512_text(yg_bytes_of("another"), sha512, &err), 0);
	set_hashes(sim, json_pack("{s:s, s:s}", "sha256", sha256, "sha512", sha512));
}

static void sha512_only(struct sim *sim)
{
	struct yg_err err = {0};
	char sha512[YG_HASH_512_TEXT];
	assert_int_equal(yg_hash_512_text(yg_bytes_of("the manifest"), sha512, &err), 0);
	char *url YG_AUTO(mem) = yg_str_format("targets/am/%s.am-pattern.json", sha512);
	sim_put(sim, url, "the manifest");
	set_hashes(sim, json_pack("{s:s}", "sha512", sha512));
}

static char *target_url(struct sim *sim)
{
	const json_t *entry = json_object_get(json_object_get(sim->am, "targets"), TARGET);
	return yg_str_format("targets/am/%s.am-pattern.json",
		json_string_value(json_object_get(json_object_get(entry, "hashes"), "sha256")));
}

static void other_target(struct sim *sim)
{
	char *url = target_url(sim);
	sim_put(sim, url, "the mAnifest");
	free(url);
}

static void longer_target(struct sim *sim)
{
	char *url = target_url(sim);
	sim_put(sim, url, "the manifest and a bit");
	free(url);
}

static void target_elsewhere(struct sim *sim)
{
	/* am may speak for am/ only; what it says of wr/ is not heard. */
	sim_target(sim, sim->am, "wr/wr-list.json", "not am's to say");
	(void)json_object_del(json_object_get(sim->am, "targets"), TARGET);
	sim_next(sim);
	sim_publish(sim);
}

static void bad_extra_signatures(struct sim *sim)
{
	sim_bump(sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "stranger root=stranger timestamp", NULL);
}

static void unknown_members(struct sim *sim)
{
	(void)json_object_set_new(sim->timestamp, "x-note", json_pack("{s:[i, n]}", "k", 1));
	sim_next(sim);
	sim_publish(sim);
}

static void same_version_other_bytes(struct sim *sim)
{
	/* A timestamp of the same version is not looked into. */
	(void)json_object_set_new(sim->timestamp, "x-note", json_string("other"));
	sim_set(json_object_get(json_object_get(sim->timestamp, "meta"), "snapshot.json"),
		"version", 9);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

static void fast_forward(struct sim *sim)
{
	/* The lost timestamp key was used for a version nobody can reach; new keys must go on from 2. */
	sim_set(sim->timestamp, "version", 1000000);
	sim_set(sim->snapshot, "version", 1000000);
	sim_publish(sim);
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(sim_run(sim, TARGET, &out, &err), 0);
	/* The old keys stay in the roles: what they signed would still verify. */
	sim_add_key(sim, sim->root, "timestamp2", "timestamp2");
	sim_role(sim->root, "timestamp", "timestamp2 timestamp", 1);
	sim_bump(sim->root);
	sim_write(sim, sim->root, "root", "root", NULL);
	sim_set(sim->timestamp, "version", 2);
	sim_set(sim->snapshot, "version", 2);
	sim_publish(sim);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp2", NULL);
}

static void broken_cache(struct sim *sim)
{
	static const char *const names[] = {"root.json", "timestamp.json", "snapshot.json",
		"targets.json", "am.json"};
	for (size_t i = 0; i < YG_COUNT(names); i++)
		(void)json_object_set_new(sim->cache, names[i], json_string("{\"signed\":"));
}

static void forged_cache(struct sim *sim)
{
	/* Someone who writes to the cache still cannot sign. */
	json_t *am = json_deep_copy(sim->am);
	sim_set(am, "x", 1);
	char *text = sim_sign(sim, am, "stranger am=stranger");
	(void)json_object_set_new(sim->cache, "am.json", json_string(text));
	free(text);
	json_decref(am);
}

static const struct row {
	const char *name;
	void (*change)(struct sim *sim);
	enum yg_code code; /* YG_OK: the client takes it */
	const char *cause, *msg;
} rows[] = {
	{"nothing changed", nothing, YG_OK, "", ""},
	{"a timestamp nobody signed", unsigned_timestamp, YG_EUNTRUSTED, "tuf.signature",
		"timestamp.json: want valid signatures of 1 keys of role 'timestamp' in version 1 of its "
		"delegator, have 0"},
	{"a timestamp of a stranger", stranger_timestamp, YG_EUNTRUSTED, "tuf.signature",
		"timestamp.json: want valid signatures of 1 keys of role 'timestamp' in version 1 of its "
		"delegator, have 0"},
	{"a snapshot nobody signed", unsigned_snapshot, YG_EUNTRUSTED, "tuf.signature",
		"metadata/2.snapshot.json: want valid signatures of 1 keys of role 'snapshot' in version 1 "
		"of its delegator, have 0"},
	{"a role signed by another role", unsigned_role, YG_EUNTRUSTED, "tuf.signature",
		"metadata/2.am.json: want valid signatures of 1 keys of role 'am' in version 2 of its "
		"delegator, have 0"},
	{"a root with one of two signatures", root_one_of_two, YG_EUNTRUSTED, "tuf.threshold",
		"metadata/2.root.json: want valid signatures of 2 keys of role 'root' in version 2 of its "
		"delegator, have 1"},
	{"one key under two ids", root_key_under_two_ids, YG_EUNTRUSTED, "tuf.threshold",
		"metadata/2.root.json: want valid signatures of 2 keys of role 'root' in version 2 of its "
		"delegator, have 1"},
	{"one key that signs twice", root_signs_twice, YG_EFORMAT, "tuf.format",
		"metadata/2.root.json: signatures: keyid 'root' is there twice"},
	{"a root signed by its own new keys only", root_new_keys_only, YG_EUNTRUSTED,
		"tuf.signature",
		"metadata/2.root.json: want valid signatures of 1 keys of role 'root' in version 1 of its "
		"delegator, have 0"},
	{"a root signed by the old keys only", root_old_keys_only, YG_EUNTRUSTED, "tuf.signature",
		"metadata/2.root.json: want valid signatures of 1 keys of role 'root' in version 2 of its "
		"delegator, have 0"},
	{"a threshold of zero", root_threshold_zero, YG_EFORMAT, "tuf.format",
		"metadata/2.root.json: roles: 'timestamp': threshold: want 1..256, have 0"},
	{"a root that skips a version", root_skips, YG_EUNTRUSTED, "tuf.version",
		"metadata/2.root.json: version: want 2, have 3"},
	{"the same root again", root_again, YG_EUNTRUSTED, "tuf.rollback",
		"metadata/2.root.json: version: want 2, have 1"},
	{"two rotations of the root", root_rotates, YG_OK, "", ""},
	{"an older timestamp", older_timestamp, YG_EUNTRUSTED, "tuf.rollback",
		"timestamp.json: version: want >= 32767, which was trusted before, have 3"},
	{"an older snapshot in a new timestamp", older_snapshot_in_timestamp, YG_EUNTRUSTED,
		"tuf.rollback",
		"timestamp.json: snapshot.json: version: want >= 2, which was trusted before, have 1"},
	{"an older role in a new snapshot", older_role_in_snapshot, YG_EUNTRUSTED, "tuf.rollback",
		"metadata/3.snapshot.json: 'am.json': version: want >= 2, which was trusted before, have 1"},
	{"a role that a snapshot drops", role_gone_from_snapshot, YG_EUNTRUSTED, "tuf.rollback",
		"metadata/2.snapshot.json: 'am.json' was listed before and is not any more"},
	{"an expired root", expired_root, YG_EUNTRUSTED, "tuf.expired",
		"2.root.json: expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z"},
	{"an expired timestamp", expired_timestamp, YG_EUNTRUSTED, "tuf.expired",
		"timestamp.json: expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z"},
	{"a timestamp that never changes", frozen_timestamp, YG_EUNTRUSTED, "tuf.expired",
		"timestamp.json: expired at 2027-06-01T00:00:00Z, it is 2030-03-17T17:46:40Z"},
	{"an expired snapshot", expired_snapshot, YG_EUNTRUSTED, "tuf.expired",
		"metadata/2.snapshot.json: expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z"},
	{"expired targets", expired_targets, YG_EUNTRUSTED, "tuf.expired",
		"metadata/2.targets.json: expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z"},
	{"an expired role", expired_role, YG_EUNTRUSTED, "tuf.expired",
		"metadata/2.am.json: expired at 2027-01-15T08:00:00Z, it is 2027-01-15T08:00:00Z"},
	{"a snapshot of another day", other_snapshot, YG_EUNTRUSTED, "tuf.hash",
		"metadata/2.snapshot.json: sha256: want "},
	{"a snapshot that is longer", longer_snapshot, YG_ELIMIT, "tuf.size",
		"metadata/2.snapshot.json: "},
	{"a snapshot under another version's name", snapshot_of_other_version, YG_EUNTRUSTED,
		"tuf.version", "metadata/3.snapshot.json: version: want 3, have 2"},
	{"a snapshot that is not there", snapshot_missing, YG_EABSENT, "tuf.missing",
		"metadata/2.snapshot.json: not there"},
	{"a block page", garbage_timestamp, YG_EFORMAT, "tuf.format",
		"timestamp.json: JSON: line 1: "},
	{"a huge timestamp", huge_timestamp, YG_ELIMIT, "tuf.size", "metadata/timestamp.json: "},
	{"a snapshot in place of the timestamp", snapshot_as_timestamp, YG_EFORMAT, "tuf.format",
		"timestamp.json: _type: want 'timestamp', have 'snapshot'"},
	{"a newer specification", newer_specification, YG_EFORMAT, "tuf.format",
		"timestamp.json: spec_version: want 1.x, have '2.0.0'"},
	{"a hash that is too short", short_sha512, YG_EFORMAT, "tuf.format",
		"metadata/2.am.json: targets: 'am/am-pattern.json': hashes: sha512: want 128 digits, "
		"have 2"},
	{"a hash we cannot compute", other_hashes, YG_EUNTRUSTED, "tuf.hash",
		"target 'am/am-pattern.json': want a sha256 or sha512, have other hashes only"},
	{"a hash of metadata we cannot compute", other_hashes_of_metadata, YG_EFORMAT, "tuf.format",
		"metadata/2.snapshot.json: meta: 'am.json': hashes: want sha256 or sha512, have others "
		"only"},
	{"two hashes", sha512_too, YG_OK, "", ""},
	{"two hashes, of two files", sha512_of_another, YG_EUNTRUSTED, "tuf.hash", "targets/am/"},
	{"the longer hash only", sha512_only, YG_OK, "", ""},
	{"another target of the same length", other_target, YG_EUNTRUSTED, "tuf.hash",
		"targets/am/"},
	{"a longer target", longer_target, YG_ELIMIT, "tuf.size", "targets/am/"},
	{"a target that is not the role's to name", target_elsewhere, YG_EABSENT,
		"tuf.not_delegated",
		"target 'am/am-pattern.json': no role that may vouch for it knows it"},
	{"extra signatures that are bad", bad_extra_signatures, YG_OK, "", ""},
	{"members that we do not know", unknown_members, YG_OK, "", ""},
	{"a timestamp of the same version", same_version_other_bytes, YG_OK, "", ""},
	{"recovery from a fast-forward attack", fast_forward, YG_OK, "", ""},
	{"a broken cache", broken_cache, YG_OK, "", ""},
	{"a forged cache", forged_cache, YG_OK, "", ""},
};

static void attacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
		sim_init(&sim);
		assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
		out.len = 0;
		rows[i].change(&sim);
		int r = sim_run(&sim, TARGET, &out, &err);
		if (err.code != rows[i].code || strcmp(err.cause, rows[i].cause) != 0 ||
			strncmp(err.msg, rows[i].msg, strlen(rows[i].msg)) != 0)
			fail_msg("%s: code %d, cause '%s', '%s'", rows[i].name, (int)err.code,
				err.cause, err.msg);
		assert_int_equal(r, rows[i].code == YG_OK ? 0 : -1);
		if (rows[i].code == YG_OK) {
			assert_int_equal(out.len, strlen("the manifest"));
			assert_memory_equal(out.data, "the manifest", out.len);
		}
		sim_done(&sim);
	}
}

/* Put the repository right again: the bodies as they were, with versions that nobody has seen. */
static void repair(struct sim *sim, json_t *const bodies[4], const json_t *root)
{
	json_t **at[] = {&sim->am, &sim->targets, &sim->snapshot, &sim->timestamp};
	for (size_t i = 0; i < YG_COUNT(at); i++) {
		json_decref(*at[i]);
		*at[i] = json_deep_copy(bodies[i]);
		sim_set(*at[i], "version", 0x10000);
	}
	sim_target(sim, sim->am, TARGET, "the manifest");
	json_decref(sim->root);
	sim->root = json_deep_copy(root);
	sim->now = SIM_NOW;
	sim->hashes = true;
	(void)json_object_del(sim->remote, "metadata/3.root.json");
	bool first = json_equal(json_object_get(sim->cache, "root.json"), sim->root_doc);
	sim_set(sim->root, "version", first ? 2 : 3);
	sim_write(sim, sim->root, "root", "root", NULL);
	sim_publish(sim);
}

/* After any failed refresh a client goes on when the repository is good again. */
static void heals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
		if (rows[i].code == YG_OK)
			continue;
		sim_init(&sim);
		json_t *bodies[] = {json_deep_copy(sim.am), json_deep_copy(sim.targets),
			json_deep_copy(sim.snapshot), json_deep_copy(sim.timestamp)};
		json_t *root = json_deep_copy(sim.root);
		assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
		rows[i].change(&sim);
		assert_int_equal(sim_run(&sim, TARGET, &out, &err), -1);
		repair(&sim, bodies, root);
		if (sim_run(&sim, TARGET, &out, &err) != 0)
			fail_msg("%s: %s", rows[i].name, err.msg);
		for (size_t k = 0; k < YG_COUNT(bodies); k++)
			json_decref(bodies[k]);
		json_decref(root);
		sim_done(&sim);
	}
}

/* An idle poll is two requests. */
static void requests(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	sim_init(&sim);
	for (int i = 0; i < 2; i++) {
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		(void)json_array_clear(sim.requests);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		assert_int_equal(yg_tuf_refresh(tuf, &err), 0);
		char *text YG_AUTO(mem) = yg_json_text(sim.requests);
		assert_string_equal(text,
			i == 0 ? "[\"metadata/2.root.json\",\"metadata/timestamp.json\","
				 "\"metadata/1.snapshot.json\",\"metadata/1.targets.json\"]"
			       : "[\"metadata/2.root.json\",\"metadata/timestamp.json\"]");
		assert_int_equal(yg_tuf_version(tuf, "snapshot"), 1);
		assert_int_equal(yg_tuf_version(tuf, "am"), 0);
		struct yg_tuf_target target;
		assert_int_equal(yg_tuf_find(tuf, TARGET, &target, &err), 0);
		assert_string_equal(target.role, "am");
		assert_int_equal(target.length, strlen("the manifest"));
		assert_int_equal(yg_tuf_version(tuf, "am"), 1);
	}
	/* What is kept is what was served, byte for byte. */
	assert_true(json_equal(json_object_get(sim.cache, "targets.json"),
		json_object_get(sim.remote, "metadata/1.targets.json")));
	sim_done(&sim);
}

/* ---- installed roots ---- */

static void installed(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
	sim_init(&sim);
	root_rotates(&sim);
	assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
	/* The kept root is newer than the installed one, and stays. */
	assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
	assert_string_equal(json_string_value(json_array_get(sim.requests, 0)),
		"metadata/4.root.json");
	/* A stranger's root in its place is nothing: the chain from the installed one counts. */
	json_t *strange YG_AUTO(yg_json) = json_deep_copy(sim.root);
	sim_add_key(&sim, strange, "stranger", "stranger");
	sim_role(strange, "root", "stranger", 1);
	sim_set(strange, "version", 4);
	char *planted YG_AUTO(mem) = sim_sign(&sim, strange, "stranger");
	(void)json_object_set_new(sim.cache, "root.json", json_string(planted));
	(void)json_object_set_new(sim.cache, "root@4.json", json_string(planted));
	assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
	assert_string_equal(json_string_value(json_array_get(sim.requests, 0)),
		"metadata/4.root.json");
	assert_true(json_equal(json_object_get(sim.cache, "root.json"),
		json_object_get(sim.remote, "metadata/3.root.json")));
	/* A source that hides newer roots turns nobody back. */
	json_t *third YG_AUTO(yg_json) = json_incref(
		json_object_get(sim.remote, "metadata/3.root.json"));
	(void)json_object_del(sim.remote, "metadata/3.root.json");
	assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
	assert_string_equal(json_string_value(json_array_get(sim.requests, 0)),
		"metadata/4.root.json");
	(void)json_object_set(sim.remote, "metadata/3.root.json", third);
	/* An installed root that is newer than the kept one wins. */
	json_t *newest = json_object_get(sim.remote, "metadata/3.root.json");
	(void)json_object_set(sim.cache, "root.json", sim.root_doc);
	json_decref(sim.root_doc);
	sim.root_doc = json_incref(newest);
	assert_int_equal(sim_run(&sim, TARGET, &out, &err), 0);
	assert_true(json_equal(json_object_get(sim.cache, "root.json"), newest));
	/* One that nobody signed is refused, whatever is kept. */
	char *forged YG_AUTO(mem) = sim_sign(&sim, sim.root, "stranger");
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(forged), &err), -1);
	assert_string_equal(err.msg,
		"installed root.json: want valid signatures of 1 keys of role 'root' in version 3 of its "
		"delegator, have 0");
	/* Without one, the kept root is enough; without both there is nothing to start from. */
	assert_int_equal(yg_tuf_refresh(tuf, &err), 0);
	(void)json_object_clear(sim.cache);
	struct yg_tuf *bare YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_refresh(bare, &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	assert_string_equal(err.cause, "tuf.root");
	assert_string_equal(err.msg, "kept root.json: not there");
	sim_done(&sim);
}

/* ---- delegations ---- */

static json_t *role_body(void)
{
	json_t *body = sim_body("targets");
	(void)json_object_set_new(body, "targets", json_object());
	return body;
}

/* targets delegates to A (below a) and C (one letter below anything); A to B, and B back to A. */
static void order(void **state)
{
	(void)state;
	static const struct {
		bool terminating;
		const char *target, *who, *error;
	} cases[] = {
		{false, "a/b", "B", NULL},
		{false, "a/z", "C", NULL},
		{true, "a/z", NULL, "target 'a/z': no role that may vouch for it knows it"},
		{true, "a/b", "B", NULL},
		{true, "c/z", "C", NULL},
		{false, "x/y/z", NULL, "target 'x/y/z': no role that may vouch for it knows it"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		struct yg_err err = {0};
		sim_init(&sim);
		json_t *a = role_body(), *b = role_body(), *c = role_body();
		sim_delegate(&sim, sim.targets, "A", "a/*", cases[i].terminating);
		sim_delegate(&sim, sim.targets, "C", "*/?", false);
		sim_delegate(&sim, a, "B", "a/b*", false);
		sim_delegate(&sim, b, "A", "*/*", false); /* a cycle */
		sim_target(&sim, b, "a/b", "B");
		sim_target(&sim, c, "a/b", "C");
		sim_target(&sim, c, "a/z", "C");
		sim_target(&sim, c, "c/z", "C");
		sim_target(&sim, a, "x/y/z", "A");
		sim_write(&sim, a, "A", "A", sim.snapshot);
		sim_write(&sim, b, "B", "B", sim.snapshot);
		sim_write(&sim, c, "C", "C", sim.snapshot);
		sim_publish(&sim);
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(16);
		int r = sim_run(&sim, cases[i].target, &out, &err);
		if (r != (cases[i].error ? -1 : 0))
			fail_msg("%zu: %s", i, err.msg);
		assert_string_equal(err.msg, cases[i].error ? cases[i].error : "");
		if (r == 0)
			assert_memory_equal(out.data, cases[i].who, 1);
		json_decref(a);
		json_decref(b);
		json_decref(c);
		sim_done(&sim);
	}
}

static void not_in_snapshot(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(16);
	sim_init(&sim);
	sim_delegate(&sim, sim.targets, "../ghost", "g/*", false);
	sim_publish(&sim);
	assert_int_equal(sim_run(&sim, "g/x", &out, &err), -1);
	assert_string_equal(err.cause, "tuf.version");
	assert_string_equal(err.msg, "1.snapshot.json: does not list '../ghost.json'");
	sim_done(&sim);
}

/* A role that two delegate to, with different keys: who trusts it through one is not given what only
 * the other trusts, neither in one run nor out of the cache.
 */
static void two_delegators(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	struct yg_tuf_target target;
	sim_init(&sim);
	json_t *a = role_body(), *b = role_body(), *shared = role_body();
	sim_delegate(&sim, sim.targets, "A", "a/*", false);
	sim_delegate(&sim, sim.targets, "B", "b/*", false);
	sim_delegate(&sim, a, "S", "a/*", false);
	sim_delegate(&sim, b, "S", "b/*", false);
	/* B knows another key under the same id. */
	sim_add_key(&sim, json_object_get(b, "delegations"), "S", "other");
	sim_target(&sim, shared, "a/x", "x");
	sim_target(&sim, shared, "b/x", "x");
	sim_write(&sim, a, "A", "A", sim.snapshot);
	sim_write(&sim, b, "B", "B", sim.snapshot);
	sim_write(&sim, shared, "S", "S", sim.snapshot);
	sim_publish(&sim);
	for (int i = 0; i < 2; i++) {
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		if (i == 0)
			assert_int_equal(yg_tuf_find(tuf, "a/x", &target, &err), 0);
		assert_int_equal(yg_tuf_find(tuf, "b/x", &target, &err), -1);
		assert_string_equal(err.cause, "tuf.signature");
		assert_int_equal(yg_tuf_find(tuf, "a/x", &target, &err), 0);
		assert_string_equal(target.role, "S");
	}
	json_decref(a);
	json_decref(b);
	json_decref(shared);
	sim_done(&sim);
}

static int note(void *ctx, const char *path, const struct yg_tuf_target *target, struct yg_err *err)
{
	(void)err;
	return json_array_append_new(ctx, json_pack("[s, s]", path, target->role));
}

/* Only what a role may say is visited, in byte order. */
static void each(void **state)
{
	(void)state;
	struct sim sim;
	struct yg_err err = {0};
	sim_init(&sim);
	sim_target(&sim, sim.am, "wr/wr-list.json", "not am's");
	sim_target(&sim, sim.am, "am/am-hash.json", "hashes");
	sim_target(&sim, sim.targets, "top.txt", "top");
	sim_next(&sim);
	sim_publish(&sim);
	json_t *seen YG_AUTO(yg_json) = json_array();
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)), &err), 0);
	assert_int_equal(yg_tuf_each(tuf, note, seen, &err), 0);
	char *text YG_AUTO(mem) = yg_json_text(seen);
	assert_string_equal(text,
		"[[\"am/am-hash.json\",\"am\"],[\"am/am-pattern.json\",\"am\"],"
		"[\"top.txt\",\"targets\"]]");
	sim_done(&sim);
}

/* Succinct bins (TAP 15): each is asked for its own paths only, and a list of all has an end. */
static void bins(void **state)
{
	(void)state;
	static const struct {
		int bits;
		const char *error; /* NULL: all can be listed */
	} cases[] = {
		{1, NULL},
		{13, "want <= 4096 bins to list targets of, have 8192"},
		{32, "want <= 4096 bins to list targets of, have 4294967296"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct sim sim;
		struct yg_err err = {0};
		struct yg_tuf_target target;
		sim_init(&sim);
		json_t *by = role_body(), *bin = role_body(), *empty = role_body();
		(void)json_object_set_new(by, "delegations",
			json_pack("{s:{}, s:{s:[s], s:i, s:i, s:s}}", "keys", "succinct_roles",
				"keyids", "bin", "threshold", 1, "bit_length", cases[i].bits,
				"name_prefix", "bin"));
		sim_add_key(&sim, json_object_get(by, "delegations"), "bin", "bin");
		sim_target(&sim, bin, "x", "text"); /* sha256 2d711642…: the lower half */
		sim_delegate(&sim, sim.targets, "by", "*", false);
		sim_write(&sim, by, "by", "by", sim.snapshot);
		sim_write(&sim, bin, cases[i].bits == 1 ? "bin-0" : "bin-05ae", "bin",
			sim.snapshot);
		sim_write(&sim, empty, "bin-1", "bin", sim.snapshot);
		sim_publish(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		if (cases[i].bits < 32) {
			assert_int_equal(yg_tuf_find(tuf, "x", &target, &err), 0);
			assert_string_equal(target.role, cases[i].bits == 1 ? "bin-0" : "bin-05ae");
		}
		json_t *seen YG_AUTO(yg_json) = json_array();
		assert_int_equal(yg_tuf_each(tuf, note, seen, &err), cases[i].error ? -1 : 0);
		assert_string_equal(err.msg, cases[i].error ? cases[i].error : "");
		if (!cases[i].error)
			assert_int_equal(json_array_size(seen), 2);
		json_decref(by);
		json_decref(bin);
		json_decref(empty);
		sim_done(&sim);
	}
}

static int forbids(void *ctx, const char *path, size_t max, struct yg_buf *buf, struct yg_err *err)
{
	struct sim *sim = ctx;
	if (json_object_get(sim->remote, path) && strcmp(path, "metadata/timestamp.json") != 0)
		return sim_fetch(ctx, path, max, buf, err);
	if (strstr(path, ".root.json") || sim->now == 0)
		return yg_fail_cause(err, YG_EFORMAT, "http.forbidden", "HTTP 403");
	return sim_fetch(ctx, path, max, buf, err);
}

/* An object store answers 403 for what is not there: no newer root. For anything else it is a failure. */
static void forbidden(void **state)
{
	(void)state;
	static const struct yg_tuf_ops ops = {forbids, sim_load, sim_save};
	for (int all = 0; all < 2; all++) {
		struct sim sim;
		struct yg_err err = {0};
		sim_init(&sim);
		struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&ops, &sim, sim.now, &err);
		assert_int_equal(yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim.root_doc)),
					 &err),
			0);
		sim.now = all ? 0 : sim.now;
		assert_int_equal(yg_tuf_refresh(tuf, &err), all ? -1 : 0);
		assert_string_equal(err.cause, all ? "http.forbidden" : "");
		sim_done(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden),
		cmocka_unit_test(attacks),
		cmocka_unit_test(heals),
		cmocka_unit_test(requests),
		cmocka_unit_test(installed),
		cmocka_unit_test(order),
		cmocka_unit_test(not_in_snapshot),
		cmocka_unit_test(two_delegators),
		cmocka_unit_test(each),
		cmocka_unit_test(bins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
