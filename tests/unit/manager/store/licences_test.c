/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/licences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/key.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "manager/store/expiry.h"
#include "manager/store/licence.h"
#include "tuf/canon.h"
#include "world.h"

#define UNKNOWN(n)                                                                                 \
	"licence: want the signature of one of " n                                                 \
	" known keys, have none; add the issuer's public key first (yagura licences add-key)"
#define ID_1 "10000000-0000-4000-8000-000000000001"
#define ID_2 "20000000-0000-4000-8000-000000000002"

/* The publisher's side, as small as it can be. */
struct issuer {
	struct yg_key *key;
	json_t *public;
};

static void issuer_free_at(struct issuer *issuer)
{
	yg_key_free(issuer->key);
	json_decref(issuer->public);
}

static void issuer_make(struct issuer *issuer)
{
	struct yg_err err = {0};
	struct yg_public public;
	char *text YG_AUTO(mem) = NULL;
	issuer->key = yg_key_generate(YG_KEY_ED25519, &err);
	assert_non_null(issuer->key);
	assert_int_equal(yg_key_public(issuer->key, &public, &text, &err), 0);
	issuer->public = json_pack("{s:s, s:s, s:{s:s}}", "keytype", public.keytype, "scheme",
		public.scheme, "keyval", "public", text);
}

#define ISSUER(name)                                                                               \
	struct issuer name __attribute__((cleanup(issuer_free_at))) = {0};                         \
	issuer_make(&name)

/* A whole file with a body; body is taken over. The caller's to free. */
static char *issue(const struct issuer *issuer, json_t *body)
{
	struct yg_err err = {0};
	uint8_t sig[YG_SIGN_MAX];
	char hex[2 * YG_SIGN_MAX + 1];
	size_t len = 0;
	json_t *owned YG_AUTO(yg_json) = body;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(65536);
	assert_int_equal(yg_canon(owned, &text, &err), 0);
	assert_int_equal(yg_sign_make(issuer->key, yg_buf_bytes(&text), sig, &len, &err), 0);
	yg_str_hex(sig, len, hex);
	json_t *file YG_AUTO(yg_json) = json_pack("{s:O, s:[{s:s, s:s}]}", "signed", owned,
		"signatures", "keyid", "x", "sig", hex);
	return yg_json_text(file);
}

static json_t *body_of(const char *id, const char *ends)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s?}", "_type", "licence", "version", 1,
		"id", id, "group", "am-wr", "name", "Example Inc.", "issued",
		"2026-01-01T00:00:00Z", "ends", ends);
}

static void at(struct world *world, const char *moment)
{
	struct yg_err err = {0};
	assert_int_equal(yg_clock_parse(moment, &world->store->now_s, &err), 0);
}

static void tick(struct world *world, int64_t seconds)
{
	world->store->now_s += seconds;
	store_tick(world->store);
}

/* What an agent is told of the one group. */
static void want_state(struct world *world, struct agent *agent, const char *state,
	const char *ends)
{
	json_t *reply YG_AUTO(yg_json) = heartbeat(world, agent);
	const json_t *licence = json_array_get(json_object_get(json_object_get(reply, "settings"),
						       "licences"),
		0);
	assert_string_equal(text(licence, "group"), "am-wr");
	assert_string_equal(text(licence, "state"), state);
	assert_string_equal(text(licence, "ends"), ends);
}

static void add(struct world *world, const struct issuer *issuer, const char *id, const char *ends)
{
	char *file YG_AUTO(mem) = issue(issuer, body_of(id, ends));
	json_decref(person(world, "licences.add", json_pack("{s:s}", "file", file)));
}

/* U5, the Manager's part: perpetual, with an end, expired, renewed; agents hear of it without a policy. */
static void life(void **state)
{
	WORLD(world);
	ISSUER(issuer);
	struct agent web;
	char command[40];
	at(&world, "2026-06-01T00:00:00Z");
	activate(&world, &web, "web1", false);
	store_tick(world.store);
	want_state(&world, &web, "valid", "");
	json_decref(commands(&world, &web));
	json_int_t since = now_seq(&world);

	json_decref(person(&world, "licences.key", json_pack("{s:O}", "key", issuer.public)));
	add(&world, &issuer, ID_1, "2026-07-01T00:00:00Z");
	want_state(&world, &web, "valid", "2026-07-01T00:00:00Z");
	command_job(&world, &web, "policy", command);
	assert_string_equal(command, "");
	want_history(&world, since, "20031 101");

	since = now_seq(&world);
	at(&world, "2026-07-01T00:00:00Z");
	tick(&world, 0);
	want_state(&world, &web, "expired", "2026-07-01T00:00:00Z");
	json_t *list YG_AUTO(yg_json) = commands(&world, &web);
	assert_string_equal(text(json_array_get(list, 0), "command"), "settings");
	assert_int_equal(json_array_size(list), 1);

	add(&world, &issuer, ID_2, NULL);
	want_state(&world, &web, "valid", "");
	json_decref(person(&world, "licences.delete", json_pack("{s:s}", "id", ID_2)));
	want_state(&world, &web, "expired", "2026-07-01T00:00:00Z");
	json_decref(person(&world, "licences.delete", json_pack("{s:s}", "id", ID_1)));
	want_state(&world, &web, "valid", "");
	person_fails(&world, "licences.delete", json_pack("{s:s}", "id", ID_1), YG_EABSENT,
		"licence or key '" ID_1 "': no such licence or key");
}

static void keys(void **state)
{
	WORLD(world);
	ISSUER(issuer);
	ISSUER(other);
	char *file YG_AUTO(mem) = issue(&issuer, body_of(ID_1, NULL));
	person_fails(&world, "licences.add", json_pack("{s:s}", "file", file), YG_EFORMAT,
		UNKNOWN("0"));
	json_decref(person(&world, "licences.key", json_pack("{s:O}", "key", other.public)));
	person_fails(&world, "licences.add", json_pack("{s:s}", "file", file), YG_EFORMAT,
		UNKNOWN("1"));
	json_t *made YG_AUTO(
		yg_json) = person(&world, "licences.key", json_pack("{s:O}", "key", issuer.public));
	json_decref(person(&world, "licences.add", json_pack("{s:s}", "file", file)));
	/* The same twice is one, and nothing happens. */
	json_int_t since = now_seq(&world);
	json_decref(person(&world, "licences.add", json_pack("{s:s}", "file", file)));
	json_decref(person(&world, "licences.key", json_pack("{s:O}", "key", issuer.public)));
	want_history(&world, since, "");
	/* Another one that came under the same id is not dropped in silence. */
	char *twin YG_AUTO(mem) = issue(&issuer, body_of(ID_1, "2030-01-01T00:00:00Z"));
	person_fails(&world, "licences.add", json_pack("{s:s}", "file", twin), YG_EFORMAT,
		"licence: there is another one with the id " ID_1
		" already; delete that one first");
	json_t *all YG_AUTO(yg_json) = person(&world, "licences.list", NULL);
	assert_int_equal(json_array_size(json_object_get(all, "items")), 1);
	assert_int_equal(json_array_size(json_object_get(all, "keys")), 2);
	assert_string_equal(text(json_array_get(json_object_get(all, "items"), 0), "key"),
		text(made, "id"));
	/* A key that is gone signs nothing new; what it has signed stays. */
	json_decref(person(&world, "licences.delete",
		json_pack("{s:O}", "id", json_object_get(made, "id"))));
	char *more YG_AUTO(mem) = issue(&issuer, body_of(ID_2, NULL));
	person_fails(&world, "licences.add", json_pack("{s:s}", "file", more), YG_EFORMAT,
		UNKNOWN("1"));
	person_fails(&world, "licences.key", json_pack("{s:{s:s}}", "key", "keytype", "x"),
		YG_EFORMAT, "key: scheme: want a string, have nothing");
}

/* Bodies that are signed, and yet wrong: each is a good one but for one member. */
static const struct {
	const char *member, *value, *msg; /* value NULL: the member is not there */
} bad_rows[] = {
	{"_type", "\"root\"", "licence: _type: want licence, have 'root'"},
	{"version", "2", "licence: version: want 1..1, have 2"},
	{"id", "\"7\"", "licence: id: want a UUID, have '7'"},
	{"group", "\"ips\"", "licence: group: want am-wr, have 'ips'"},
	{"name", "7", "licence: name: want a string, have a whole number"},
	{"issued", "\"soon\"", NULL},
	{"ends", NULL, "licence: ends: want a time or null, have nothing"},
	{"ends", "\"2025-01-01T00:00:00Z\"", "licence: ends: want later than issued"},
};

static void bad(void **state)
{
	(void)state;
	ISSUER(issuer);
	json_t *known YG_AUTO(yg_json) = json_pack("[O]", issuer.public);
	for (size_t i = 0; i < YG_COUNT(bad_rows); i++) {
		struct yg_err err = {0};
		struct licence licence;
		char signer[65];
		json_t *body = body_of(ID_1, NULL);
		(void)json_object_del(body, bad_rows[i].member);
		if (bad_rows[i].value)
			(void)json_object_set_new(body, bad_rows[i].member,
				json_loads(bad_rows[i].value, JSON_DECODE_ANY, NULL));
		char *file YG_AUTO(mem) = issue(&issuer, body);
		assert_int_equal(licence_read(yg_bytes_of(file), known, &licence, signer, &err),
			-1);
		assert_int_equal(err.code, bad_rows[i].member[0] == 'v' ? YG_ELIMIT : YG_EFORMAT);
		if (bad_rows[i].msg)
			assert_string_equal(err.msg, bad_rows[i].msg);
	}
	/* One changed byte: nobody vouches for it. */
	struct yg_err err = {0};
	struct licence licence;
	char signer[65];
	char *file YG_AUTO(mem) = issue(&issuer, body_of(ID_1, "2026-07-01T00:00:00Z"));
	*strstr(file, "2026-07") = '3';
	assert_int_equal(licence_read(yg_bytes_of(file), known, &licence, signer, &err), -1);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_string_equal(err.cause, "auth.licence");
}

/* --- the calendar ------------------------------------------------------------------------ */

static const json_t *item_of(const json_t *calendar, const char *id)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(calendar, "items"), i,
		item) if (strncmp(text(item, "id"), id, strlen(id)) == 0) return item;
	return NULL;
}

static void want_alerts(struct world *world, const char *want)
{
	json_t *out YG_AUTO(
		yg_json) = person(world, "alerts.list", json_pack("{s:i}", "limit", 500));
	char have[512] = "";
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(out, "items"), i, item)
	{
		size_t len = strlen(have);
		if (strncmp(text(item, "kind"), "exp", 3) == 0)
			(void)snprintf(have + len, sizeof(have) - len, "%s%s %s %d",
				len ? ", " : "", text(item, "kind"), text(item, "subject"),
				(int)number(json_object_get(item, "params"), "days"));
	}
	assert_string_equal(have, want);
}

static void put_newest(struct world *world, const char *timestamp, const char *root)
{
	json_decref(role(world, STORE_CONTENT, "components.newest.put",
		json_pack("{s:s, s:[], s:{s:s, s:s}}", "set", DIGEST_A, "components", "expires",
			"timestamp", timestamp, "root", root)));
}

static void calendar(void **state)
{
	WORLD(world);
	ISSUER(issuer);
	at(&world, "2026-01-01T00:00:00Z");
	json_decref(person(&world, "licences.key", json_pack("{s:O}", "key", issuer.public)));
	add(&world, &issuer, ID_1, "2026-12-01T00:00:00Z");
	put_newest(&world, "2026-01-07T00:00:00Z", "2027-01-01T00:00:00Z");
	json_decref(role(&world, STORE_CA, "ca.issued",
		json_pack("{s:s, s:s}", "role", "web", "not_after", "2026-04-01T00:00:00Z")));
	tick(&world, 0);
	want_alerts(&world, "");
	json_t *list YG_AUTO(yg_json) = person(&world, "expiry.list", NULL);
	/* The first to expire first. */
	assert_string_equal(text(json_array_get(json_object_get(list, "items"), 0), "id"),
		"metadata:timestamp");
	const json_t *licence = item_of(list, "licence:am-wr");
	assert_string_equal(text(licence, "state"), "ok");
	assert_int_equal(number(licence, "days_left"), 334);
	assert_string_equal(text(licence, "renewed_by"), "person");
	assert_string_equal(text(item_of(list, "certificate:web"), "renewed_by"), "itself");

	/* Each threshold once; the publisher goes on signing. */
	static const struct {
		const char *now, *timestamp, *alerts;
	} rows[] = {
		{"2026-09-01T00:00:00Z", "2026-09-07T00:00:00Z", ""},
		{"2026-09-02T00:00:00Z", "2026-09-07T00:00:00Z", "expiry licence:am-wr 90"},
		{"2026-10-01T00:00:00Z", "2026-10-07T00:00:00Z", "expiry licence:am-wr 90"},
		{"2026-11-01T00:00:00Z", "2026-11-07T00:00:00Z", "expiry licence:am-wr 30"},
		{"2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z", "expiry licence:am-wr 7"},
		{"2026-11-30T00:00:00Z", "2026-11-30T12:00:00Z",
			"expiry metadata:timestamp 1, expiry licence:am-wr 7"},
		{"2026-12-01T00:00:00Z", "2026-12-07T00:00:00Z", "expired licence:am-wr 0"},
	};
	json_decref(role(&world, STORE_CA, "ca.issued",
		json_pack("{s:s, s:s}", "role", "web", "not_after", "2027-04-01T00:00:00Z")));
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		at(&world, rows[i].now);
		put_newest(&world, rows[i].timestamp, "2028-01-01T00:00:00Z");
		tick(&world, 0);
		want_alerts(&world, rows[i].alerts);
		tick(&world, 400);
		want_alerts(&world, rows[i].alerts);
	}
	json_t *began YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "id", 191));
	assert_int_equal(json_array_size(json_object_get(began, "items")),
		2); /* 90 to 30, 30 to 7 */

	/* Renewed: ended by itself. */
	add(&world, &issuer, ID_2, "2028-12-01T00:00:00Z");
	tick(&world, 400);
	want_alerts(&world, "");
	/* What renews itself is warned of when it has not. */
	at(&world, "2027-03-24T00:00:00Z");
	put_newest(&world, "2027-03-30T00:00:00Z", "2028-01-01T00:00:00Z");
	tick(&world, 0);
	want_alerts(&world, "");
	tick(&world, 86400 * 2);
	put_newest(&world, "2027-04-02T00:00:00Z", "2028-01-01T00:00:00Z");
	tick(&world, 400);
	want_alerts(&world, "expiry certificate:web 7");
}

/* CAs that people add, and the Manager's own; one that is taken out is nobody's trouble any more. */
static void authorities(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	struct yg_key *key = NULL;
	char *pem YG_AUTO(mem) = NULL;
	assert_int_equal(yg_x509_make_ca("Proxy CA", &key, &pem, &err), 0);
	yg_key_free(key);
	json_decref(person(&world, "settings.update", json_pack("{s:{s:s}}", "source", "ca", pem)));
	json_t *list YG_AUTO(yg_json) = person(&world, "expiry.list", NULL);
	const json_t *item = item_of(list, "ca:source:");
	assert_non_null(item);
	assert_string_equal(text(item, "what"), "ca");
	assert_non_null(strstr(text(item, "name"), "Proxy CA"));
	world.store->now_s = yg_clock_now_s() + 3640LL * 86400;
	tick(&world, 0);
	char want[200];
	(void)snprintf(want, sizeof(want), "expiry %s 30", text(item, "id"));
	want_alerts(&world, want);
	json_decref(person(&world, "settings.update", json_pack("{s:{s:s}}", "source", "ca", "")));
	tick(&world, 400);
	want_alerts(&world, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(life),
		BOTH(keys),
		cmocka_unit_test(bad),
		BOTH(calendar),
		BOTH(authorities),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
