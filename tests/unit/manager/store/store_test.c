/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/str.h"
#include "manager/store/store.h"
#include "proto/wire.h"
#include "world.h"

/* --- stories ----------------------------------------------------------------------------- */

static void first_start(void **state)
{
	WORLD(world);
	json_t *again YG_AUTO(yg_json) = role(&world, STORE_PARENT, "keys.first", NULL);
	assert_int_equal(json_object_size(again), 0);

	json_t *policies YG_AUTO(yg_json) = person(&world, "policies.list", NULL);
	const json_t *base = json_array_get(json_object_get(policies, "items"), 0);
	assert_string_equal(text(base, "name"), "Base Policy");
	assert_true(json_is_true(json_object_get(base, "default")));

	/* Another start finds the same Manager. */
	char id[40];
	(void)snprintf(id, sizeof(id), "%s", world.store->manager_id);
	store_free(world.store);
	struct yg_err err = {0};
	assert_int_equal(store_open(&world.store, world.where, &err), 0);
	assert_string_equal(world.store->manager_id, id);
	want_history(&world, 0, "100 20000 100");
}

static void who_may_what(void **state)
{
	WORLD(world);
	/* Events tell who did what: no key can be taken for the Manager itself. */
	person_fails(&world, "keys.create",
		json_pack("{s:s, s:s}", "name", "schedule", "role", "full"), YG_EFORMAT,
		"name: 'schedule' is what the Manager calls itself in events");
	json_t *made YG_AUTO(yg_json) = person(&world, "keys.create",
		json_pack("{s:s, s:s}", "name", "looker", "role", "read"));
	char reader[128];
	(void)snprintf(reader, sizeof(reader), "%s", text(made, "key"));
	char wrong[128];
	(void)snprintf(wrong, sizeof(wrong), "%s", world.admin);
	wrong[55] = wrong[55] == 'A' ? 'B' : 'A';
	struct agent agent;
	activate(&world, &agent, "web1", false);

	const struct {
		const char *label;
		enum store_caller caller;
		const char *op;
		json_t *who;
		const char *cause; /* NULL: goes */
		const char *message;
	} rows[] = {
		{"a person", STORE_WEB, "settings.get", as_admin(&world), NULL, ""},
		{"a reader reads", STORE_WEB, "settings.get",
			json_pack("{s:s, s:s}", "kind", "key", "key", reader), NULL, ""},
		{"a reader changes", STORE_WEB, "settings.update",
			json_pack("{s:s, s:s}", "kind", "key", "key", reader), "auth.denied",
			"settings.update: want a key with role full, have role read"},
		{"a reader looks at keys", STORE_WEB, "keys.list",
			json_pack("{s:s, s:s}", "kind", "key", "key", reader), "auth.denied",
			"keys.list: want a key with role full, have role read"},
		{"one letter wrong", STORE_WEB, "settings.get",
			json_pack("{s:s, s:s}", "kind", "key", "key", wrong), "auth.key",
			"the API key is not valid"},
		{"no key at all", STORE_WEB, "settings.get",
			json_pack("{s:s, s:s}", "kind", "key", "key", "x"), "auth.key",
			"the API key is not valid"},
		{"web as system", STORE_WEB, "settings.get", as_system(), "auth.denied",
			"settings.get: not for who asks (system)"},
		{"web wants the CA key", STORE_WEB, "secrets.get", as_system(), "auth.denied",
			"secrets.get: not for who asks (system)"},
		{"session wants the CA key", STORE_SESSION, "secrets.get", as_system(),
			"auth.denied", "secrets.get: not for who asks (system)"},
		{"session as a person", STORE_SESSION, "settings.get", as_admin(&world),
			"auth.denied", "settings.get: not for who asks (key)"},
		{"an agent", STORE_SESSION, "agents.commands",
			json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", agent.id, "serial",
				agent.serial),
			NULL, ""},
		{"another certificate", STORE_SESSION, "agents.commands",
			json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", agent.id, "serial",
				"FFFF"),
			"auth.unknown_agent", NULL},
		{"another's certificate", STORE_SESSION, "agents.commands",
			json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", EPOCH_1, "serial",
				agent.serial),
			"auth.unknown_agent", NULL},
		{"nobody", STORE_WEB, "settings.get", json_object(), "",
			"who: kind: want a string, have nothing"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *out = NULL;
		int rc = call(&world, rows[i].caller, rows[i].op, NULL, rows[i].who, "en", &out,
			&err);
		json_decref(out);
		if ((rc == 0) != (rows[i].cause == NULL))
			fail_msg("%s: have %d '%s'", rows[i].label, rc, err.msg);
		if (rows[i].cause && strcmp(rows[i].cause, err.cause) != 0)
			fail_msg("%s: want %s, have %s (%s)", rows[i].label, rows[i].cause,
				err.cause, err.msg);
		if (rows[i].cause && rows[i].cause[0] && rows[i].message &&
			strcmp(rows[i].message, err.msg) != 0)
			fail_msg("%s: want '%s', have '%s'", rows[i].label, rows[i].message,
				err.msg);
	}
	person_fails(&world, "computers.melt", NULL, YG_EABSENT,
		"store.call: no operation 'computers.melt'");

	/* A withdrawn key is none; the last full one stays. */
	char id[9];
	(void)snprintf(id, sizeof(id), "%.8s", reader + 4);
	json_decref(person(&world, "keys.delete", json_pack("{s:s}", "id", id)));
	struct yg_err err = {0};
	json_t *out;
	assert_int_equal(call(&world, STORE_WEB, "settings.get", NULL,
				 json_pack("{s:s, s:s}", "kind", "key", "key", reader), "en", &out,
				 &err),
		-1);
	assert_string_equal(err.cause, "auth.key");
	(void)snprintf(id, sizeof(id), "%.8s", world.admin + 4);
	char message[128];
	(void)snprintf(message, sizeof(message),
		"key '%s': the last key with role full cannot be withdrawn", id);
	person_fails(&world, "keys.delete", json_pack("{s:s}", "id", id), YG_EFORMAT, message);
}

/* Who only asks is answered without a write; when a key was used is written by the clock. */
static void key_used(void **state)
{
	WORLD(world);
	for (int ticked = 0; ticked < 2; ticked++) {
		json_t *list YG_AUTO(yg_json) = person(&world, "keys.list", NULL);
		const json_t *first = json_array_get(json_object_get(list, "items"), 0);
		assert_int_equal(json_is_string(json_object_get(first, "last_used")), ticked);
		store_tick(world.store);
	}
}

static void secrets(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	json_t *out = NULL;
	assert_int_equal(call(&world, STORE_CA, "secrets.get", json_pack("{s:s}", "name", "ca/key"),
				 as_system(), "en", &out, &err),
		-1);
	assert_int_equal(err.code, YG_EABSENT);
	json_decref(role(&world, STORE_CA, "secrets.put",
		json_pack("{s:s, s:s, s:b}", "name", "ca/key", "data", "QUJD", "only_new", 1)));
	assert_int_equal(call(&world, STORE_CA, "secrets.put",
				 json_pack("{s:s, s:s, s:b}", "name", "ca/key", "data", "WFla",
					 "only_new", 1),
				 as_system(), "en", &out, &err),
		-1);
	assert_string_equal(err.cause, "conflict");
	json_t *got YG_AUTO(yg_json) = role(&world, STORE_CA, "secrets.get",
		json_pack("{s:s}", "name", "ca/key"));
	assert_string_equal(text(got, "data"), "QUJD");
	json_decref(role(&world, STORE_CA, "secrets.put",
		json_pack("{s:s, s:s}", "name", "ca/key", "data", "WFla")));
	json_t *ca YG_AUTO(yg_json) = role(&world, STORE_SESSION, "ca.get", NULL);
	assert_string_equal(text(ca, "spki_sha256"), SPKI);
}

static void activation(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	json_t *token YG_AUTO(yg_json) = person(&world, "tokens.create",
		json_pack("{s:s, s:i, s:b}", "name", "two", "uses", 2, "relay", 0));
	const char *secret = text(token, "token");
	assert_int_equal(strlen(secret), 112);
	assert_memory_equal(secret, "yg1." SPKI ".", 69);

	struct agent one = {.hostname = "web1"};
	assert_int_equal(activate_with(&world, secret, "csr1", &one, &err), 0);
	/* The answer was lost: the same again, and no use more. */
	struct agent same = {.hostname = "web1"};
	assert_int_equal(activate_with(&world, secret, "csr1", &same, &err), 0);
	assert_string_equal(one.id, same.id);

	json_t *before YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", one.id));
	assert_string_equal(text(before, "state"), "Activation Required");
	certify(&world, &one);
	json_t *after YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", one.id));
	assert_string_equal(text(after, "state"), "Managed (Offline)");
	beat(&world, &one);
	json_t *alive YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", one.id));
	assert_string_equal(text(alive, "state"), "Anti-Malware Engine Offline");
	one.version = 1;
	one.set = DIGEST_A;
	beat(&world, &one);
	json_t *good YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", one.id));
	assert_string_equal(text(good, "state"), "Managed (Online)");

	static const struct {
		const char *label, *token; /* NULL: the good one */
		bool relay;
		const char *cause, *message;
	} rows[] = {
		{"garbage", "yg1.x", false, "auth.token", "activation token: not known"},
		{"not for relays", NULL, true, "auth.token",
			"activation token: it is not for relays, and the agent is one"},
		{"the second use", NULL, false, NULL, NULL},
		{"a third", NULL, false, "auth.token_used",
			"activation token: used up (2 of 2 times)"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct agent other = {.hostname = "web2", .relay = rows[i].relay};
		err = (struct yg_err){0};
		int rc = activate_with(&world, rows[i].token ? rows[i].token : secret,
			rows[i].label, &other, &err);
		if ((rc == 0) != (rows[i].cause == NULL) ||
			(rc < 0 &&
				(strcmp(err.cause, rows[i].cause) != 0 ||
					strcmp(err.msg, rows[i].message) != 0)))
			fail_msg("%s: have %d %s '%s'", rows[i].label, rc, err.cause, err.msg);
	}
	json_decref(person(&world, "tokens.delete", json_pack("{s:s}", "id", text(token, "id"))));
	struct agent late = {.hostname = "web3"};
	assert_int_equal(activate_with(&world, secret, "csr3", &late, &err), -1);
	assert_string_equal(err.msg, "activation token: withdrawn");

	world.store->now_s = yg_clock_now_s() + 90000;
	json_t *other YG_AUTO(yg_json) = person(&world, "tokens.create", NULL);
	world.store->now_s += 86401;
	assert_int_equal(activate_with(&world, text(other, "token"), "csr4", &late, &err), -1);
	assert_string_equal(err.msg, "activation token: expired");
}

static void certificates(void **state)
{
	WORLD(world);
	struct agent agent;
	activate(&world, &agent, "web1", false);
	struct agent other;
	struct agent relay;
	activate(&world, &other, "web2", false);
	activate(&world, &relay, "relay1", true);
	json_decref(commands(&world, &other));
	json_decref(commands(&world, &relay));

	/* Renewed: both are good until the old one runs out; the event says so. */
	struct agent old = agent;
	json_t *may YG_AUTO(yg_json) = agent_does(&world, &agent, "agents.renew", NULL);
	assert_string_equal(text(may, "agent_id"), agent.id);
	certify(&world, &agent);
	beat(&world, &agent);
	beat(&world, &old);

	/* Deleted: none is, and relays learn both. */
	json_int_t since = now_seq(&world);
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", agent.id)));
	struct yg_err err = {0};
	json_t *out;
	assert_int_equal(agent_try(&world, &agent, "agents.commands", NULL, &out, &err), -1);
	assert_string_equal(err.cause, "auth.revoked");
	assert_int_equal(agent_try(&world, &old, "agents.commands", NULL, &out, &err), -1);
	assert_string_equal(err.cause, "auth.revoked");
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &relay);
	assert_int_equal(json_array_size(json_object_get(reply, "revoked")), 2);
	json_t *no_relay YG_AUTO(yg_json) = heartbeat(&world, &other);
	assert_int_equal(json_array_size(json_object_get(no_relay, "revoked")), 0);
	/* Relays are called to hear it at once; a relay that goes concerns everybody. */
	json_t *told YG_AUTO(yg_json) = commands(&world, &relay);
	assert_string_equal(text(json_array_get(told, 0), "command"), "settings");
	json_t *untold YG_AUTO(yg_json) = commands(&world, &other);
	assert_int_equal(json_array_size(untold), 0);
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", relay.id)));
	json_t *gone YG_AUTO(yg_json) = commands(&world, &other);
	assert_string_equal(text(json_array_get(gone, 0), "command"), "settings");
	char message[128];
	(void)snprintf(message, sizeof(message), "computer '%s': no such computer", agent.id);
	person_fails(&world, "computers.get", json_pack("{s:s}", "id", agent.id), YG_EABSENT,
		message);

	/* It was told once, not as often as it knocked. */
	want_history(&world, since, "192 708 251 770 192 708 251");

	/* Nobody gets certificates without end, and tomorrow is another day. */
	for (int i = 0; i < 49; i++) {
		json_decref(agent_does(&world, &other, "agents.renew", NULL));
		certify(&world, &other);
	}
	assert_int_equal(agent_try(&world, &other, "agents.renew", NULL, &out, &err), -1);
	assert_int_equal(err.code, YG_EAGAIN);
	assert_non_null(strstr(err.msg, "had 50 certificates within a day; try again later"));
	/* Nor by its token, again and again. */
	json_t *token YG_AUTO(yg_json) = person(&world, "tokens.create", NULL);
	struct agent eager = {.hostname = "web4"};
	for (int i = 0; i < 50; i++) {
		assert_int_equal(activate_with(&world, text(token, "token"), "csr", &eager, &err),
			0);
		certify(&world, &eager);
	}
	assert_int_equal(activate_with(&world, text(token, "token"), "csr", &eager, &err), -1);
	assert_int_equal(err.code, YG_EAGAIN);
	world.store->now_s = yg_clock_now_s() + 86401;
	json_decref(agent_does(&world, &other, "agents.renew", NULL));

	/* An expired one is refused even when TLS let it through. */
	world.store->now_s = 4102444800 + 86400;
	assert_int_equal(agent_try(&world, &other, "agents.commands", NULL, &out, &err), -1);
	assert_string_equal(err.cause, "tls.expired");
}

static void command_queue(void **state)
{
	WORLD(world);
	struct agent agent;
	activate(&world, &agent, "web1", false);
	json_decref(commands(&world, &agent));

	json_array_clear(world.notices);
	json_decref(
		person(&world, "settings.update", json_pack("{s:{s:i}}", "update", "tries", 5)));
	json_decref(
		person(&world, "settings.update", json_pack("{s:{s:i}}", "update", "tries", 6)));
	const json_t *notice = json_array_get(world.notices, 0);
	assert_string_equal(json_string_value(json_array_get(notice, 0)), "session");
	assert_string_equal(json_string_value(json_array_get(notice, 1)), "store.wake");

	/* Said twice, there once; repeated until acknowledged. */
	json_int_t seq = 0;
	for (int i = 0; i < 2; i++) {
		json_t *out YG_AUTO(yg_json) = agent_does(&world, &agent, "agents.commands", NULL);
		json_t *list = json_object_get(out, "commands");
		assert_int_equal(json_array_size(list), 1);
		assert_string_equal(text(json_array_get(list, 0), "command"), "settings");
		seq = number(json_array_get(list, 0), "seq");
	}
	json_t *empty YG_AUTO(yg_json) = agent_does(&world, &agent, "agents.commands",
		json_pack("{s:I}", "after", seq));
	assert_int_equal(json_array_size(json_object_get(empty, "commands")), 0);

	/* Our database is older than the agent's memory: new commands are above what it knows. */
	json_decref(
		agent_does(&world, &agent, "agents.commands", json_pack("{s:i}", "after", 1000)));
	json_decref(
		person(&world, "settings.update", json_pack("{s:{s:i}}", "update", "tries", 7)));
	json_t *high YG_AUTO(yg_json) = agent_does(&world, &agent, "agents.commands",
		json_pack("{s:i}", "after", 1000));
	assert_true(number(json_array_get(json_object_get(high, "commands"), 0), "seq") > 1000);
}

/* U1 to U10, with a relay: the events in the seed's order, each once, whatever is sent again. */
static void update(void **state)
{
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay1", true);
	activate(&world, &web, "web1", false);
	json_decref(commands(&world, &relay));
	json_decref(commands(&world, &web));
	world.store->has_content = true;
	json_array_clear(world.notices);

	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s}", "kind", "update", "computers", "all"));
	char id[40];
	(void)snprintf(id, sizeof(id), "%s", text(job, "id"));
	assert_string_equal(text(job, "phase"), "relays");
	want_history(&world, since, "1600");
	bool asked = false;
	size_t i;
	json_t *notice;
	json_array_foreach(world.notices, i, notice) asked = asked ||
		strcmp(json_string_value(json_array_get(notice, 1)), "content.check") == 0;
	assert_true(asked);

	/* Only the relay is told yet; it knows its part by an id of its own. */
	char ref[40];
	char none[40];
	command_job(&world, &web, "update", none);
	assert_string_equal(none, "");
	command_job(&world, &relay, "update.relay", ref);
	assert_true(yg_wire_uuid_ok(ref));
	assert_string_not_equal(ref, id);

	result(&world, &relay, 1, ref, "success", "", json_pack("{s:s}", "set", DIGEST_A));
	want_history(&world, since, "1600"); /* our own look at the content is still to come */
	newest(&world, DIGEST_A, 1);
	want_history(&world, since, "1600 20005 1601 273 276 273 276");
	result(&world, &relay, 1, ref, "success", "", json_pack("{s:s}", "set", DIGEST_A));

	json_t *list YG_AUTO(yg_json) = commands(&world, &web);
	const json_t *command = json_array_get(list, 0);
	assert_string_equal(text(command, "command"), "update");
	assert_string_equal(text(command, "job"), id);
	assert_string_equal(text(command, "set"), DIGEST_A);
	assert_true(json_is_true(json_object_get(command, "with_relays")));

	since = now_seq(&world);
	json_decref(agent_does(&world, &web, "events.add",
		json_pack("{s:s, s:[{s:i, s:s, s:s, s:s, s:i, s:i}]}", "epoch", EPOCH_1, "entries",
			"seq", 0, "kind", "progress", "job", id, "phase", "fetch", "done", 5, "of",
			10)));
	json_t *half YG_AUTO(yg_json) = job_get(&world, id);
	assert_int_equal(number(json_object_get(half, "counts"), "running"), 1);
	json_t *detail YG_AUTO(yg_json) = json_pack("{s:s, s:[{s:s, s:n, s:i}]}", "set", DIGEST_A,
		"updated", "name", "am-pattern", "from", "to", 1);
	for (int again = 0; again < 3; again++)
		result(&world, &web, 1, id, "success", "", json_incref(detail));
	want_history(&world, since, "784");
	want_job(&world, id, "running", "");
	result(&world, &relay, 2, id, "success", "", json_incref(detail));
	want_history(&world, since, "784 784 2204");
	want_job(&world, id, "done", "success");
	/* A late failure changes nothing any more. */
	result(&world, &web, 2, id, "failed", "net.refused", NULL);
	want_history(&world, since, "784 784 2204");
	want_job(&world, id, "done", "success");

	json_t *events YG_AUTO(yg_json) = person_in(&world, "ja", "events.search",
		json_pack("{s:i, s:s}", "id", 784, "computer", web.id));
	const json_t *event = json_array_get(json_object_get(events, "items"), 0);
	assert_string_equal(text(event, "name"), "セキュリティアップデート成功");
	assert_string_equal(text(json_object_get(event, "computer"), "name"), "web1");
	assert_non_null(strstr(text(event, "description"), "am-pattern"));
}

/* A scheduled run: 273 at the same moment as 1600; the relay fails, and everybody has its cause. */
static void update_fails(void **state)
{
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay1", true);
	activate(&world, &web, "web1", false);
	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "scheduled",
			1));
	want_history(&world, since, "1600 273");
	char ref[40];
	command_job(&world, &relay, "update.relay", ref);
	result(&world, &relay, 1, ref, "failed", "net.refused", NULL);
	want_history(&world, since, "1600 273 785 1602 785 2205");
	want_job(&world, text(job, "id"), "done", "failed");
	json_t *whole YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "id", 2205));
	const char *text_2205 = text(json_array_get(json_object_get(whole, "items"), 0),
		"description");
	if (!strstr(text_2205, "web1") || !strstr(text_2205, "refused") ||
		!strstr(text_2205, "10.0.0.5 port 443"))
		fail_msg("%s", text_2205);
}

/* T4: nobody answers; the job ends all the same, once, and says why. */
static void deadline(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	want_history(&world, since, "273");
	int64_t start = yg_clock_now_s();
	world.store->now_s = start + 3500;
	beat(&world, &web); /* it is there, but does not answer */
	store_tick(world.store);
	want_job(&world, text(job, "id"), "running", "");
	world.store->now_s = start + 3601;
	beat(&world, &web);
	store_tick(world.store);
	store_tick(world.store);
	want_job(&world, text(job, "id"), "done", "failed");
	want_history(&world, since, "273 785 2205");
	json_t *end YG_AUTO(yg_json) = job_get(&world, text(job, "id"));
	assert_string_equal(text(json_array_get(json_object_get(end, "computers"), 0), "cause"),
		"job.timeout");
	/* The command is gone with it. */
	char none[40];
	command_job(&world, &web, "update", none);
	assert_string_equal(none, "");
}

/* A relay that is silent costs half the time, and not the others' chance. */
static void silent_relay(void **state)
{
	WORLD(world);
	struct agent good;
	struct agent silent;
	struct agent web;
	activate(&world, &good, "relay1", true);
	activate(&world, &silent, "relay2", true);
	activate(&world, &web, "web1", false);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "update", "computers", web.id));
	char ref[40];
	char none[40];
	command_job(&world, &good, "update.relay", ref);
	result(&world, &good, 1, ref, "success", "", NULL);
	command_job(&world, &web, "update", none);
	assert_string_equal(none, "");
	int64_t start = yg_clock_now_s();
	world.store->now_s = start + 1801;
	beat(&world, &good);
	beat(&world, &web);
	store_tick(world.store);
	command_job(&world, &web, "update", none);
	assert_string_equal(none, text(job, "id"));

	/* One that is known to be offline is not waited for at all. */
	json_t *second YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "update", "computers", web.id));
	json_t *second_parts = json_object_get(second, "computers");
	assert_true(json_is_true(json_object_get(json_array_get(second_parts, 2), "joined")));
}

/* T5: the second update joins the first, is told so, and gets the same result. */
static void joining(void **state)
{
	WORLD(world);
	struct agent web;
	struct agent db;
	activate(&world, &web, "web1", false);
	activate(&world, &db, "db1", false);
	json_t *first YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	json_int_t since = now_seq(&world);
	json_t *second YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s, s:b}", "kind", "update", "computers", "all", "relays", 0));
	json_t *list YG_AUTO(yg_json) = commands(&world, &web);
	assert_int_equal(json_array_size(list), 1);
	/* Where the run stands is seen in both. */
	(void)report(&world, &web,
		json_pack("[{s:i, s:s, s:s, s:s, s:i, s:i}]", "seq", 0, "kind", "progress", "job",
			text(first, "id"), "phase", "fetch", "done", 5, "of", 10));
	json_t *half YG_AUTO(yg_json) = job_get(&world, text(second, "id"));
	size_t running = 0;
	size_t i;
	json_t *part;
	json_array_foreach(json_object_get(half, "computers"), i,
		part) if (strcmp(text(part, "id"), web.id) == 0 &&
		strcmp(text(part, "phase"), "fetch") == 0 &&
		strcmp(text(part, "state"), "running") == 0 && number(part, "of") == 10) running++;
	assert_int_equal(running, 1);
	result(&world, &web, 1, text(first, "id"), "success", "", NULL);
	want_job(&world, text(first, "id"), "done", "success");
	want_job(&world, text(second, "id"), "running", "");
	result(&world, &db, 1, text(second, "id"), "success", "", NULL);
	want_job(&world, text(second, "id"), "done", "success");
	char have[256];
	history(&world, since, have, sizeof(have));
	assert_non_null(strstr(have, "20006"));
}

/* T5: what the second one aims at is newer than what the run comes to, or it is not. */
static void joining_newer(void **state)
{
	static const struct {
		const char *what;
		bool early;          /* the first run ends before the second job knows its aim */
		const char *newer;   /* what the Manager finds, and the relay has, for the second */
		const char *outcome; /* of the first run */
		bool again;          /* one more run follows */
	} rows[] = {
		{"newer", false, DIGEST_B, "success", true},
		{"newer, known late", true, DIGEST_B, "success", true},
		{"the same", false, DIGEST_A, "success", false},
		{"the same, known late", true, DIGEST_A, "success", false},
		{"newer, and the first failed", false, DIGEST_B, "failed", true},
		{"the same, and the first failed", false, DIGEST_A, "failed", false},
	};
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay1", true);
	activate(&world, &web, "web1", false);
	world.store->has_content = true;
	int seq = 0;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char ref[40];
		char id[40];
		json_t *first YG_AUTO(yg_json) = person(&world, "jobs.create",
			json_pack("{s:s, s:[s]}", "kind", "update", "computers", web.id));
		newest(&world, DIGEST_A, 1);
		command_job(&world, &relay, "update.relay", ref);
		result(&world, &relay, ++seq, ref, "success", "",
			json_pack("{s:s}", "set", DIGEST_A));
		command_job(&world, &web, "update", id);
		assert_string_equal(id, text(first, "id"));

		/* Two more, made by people who do not know of each other: they share what follows. */
		json_t *others[2] = {NULL, NULL};
		char refs[2][40];
		for (size_t k = 0; k < 2; k++)
			others[k] = person(&world, "jobs.create",
				json_pack("{s:s, s:[s]}", "kind", "update", "computers", web.id));
		command_job(&world, &relay, "update.relay", refs[0]);
		bool good = strcmp(rows[i].outcome, "success") == 0;
		for (int late = 0; late < 2; late++) {
			if ((late == 1) == rows[i].early) {
				newest(&world, rows[i].newer, 2);
				result(&world, &relay, ++seq, refs[0], "success", "",
					json_pack("{s:s}", "set", rows[i].newer));
			} else {
				result(&world, &web, ++seq, id, rows[i].outcome,
					good ? "" : "engine.load",
					json_pack("{s:s}", "set", DIGEST_A));
				want_job(&world, id, "done", rows[i].outcome);
			}
		}
		json_t *list YG_AUTO(yg_json) = commands(&world, &web);
		if (json_array_size(list) != (rows[i].again ? 1u : 0u))
			fail_msg("%s: %zu commands", rows[i].what, json_array_size(list));
		if (rows[i].again) {
			const json_t *command = json_array_get(list, 0);
			assert_string_equal(text(command, "set"), rows[i].newer);
			for (size_t k = 0; k < 2; k++)
				want_job(&world, text(others[k], "id"), "running", "");
			result(&world, &web, ++seq, text(command, "job"), "success", "",
				json_pack("{s:s}", "set", rows[i].newer));
		}
		for (size_t k = 0; k < 2; k++) {
			want_job(&world, text(others[k], "id"), "done",
				rows[i].again ? "success" : rows[i].outcome);
			json_decref(others[k]);
		}
	}
}

/* The same for a relay's own part: it fetches again when there is something newer than it fetched. */
static void joining_relay(void **state)
{
	static const char *const newer[] = {DIGEST_A, DIGEST_B};
	WORLD(world);
	struct agent relay;
	activate(&world, &relay, "relay1", true);
	world.store->has_content = true;
	int seq = 0;
	for (size_t i = 0; i < YG_COUNT(newer); i++) {
		char ref[40];
		char second_ref[40];
		newest(&world, DIGEST_A, 1);
		json_t *first YG_AUTO(yg_json) = person(&world, "jobs.create",
			json_pack("{s:s, s:s}", "kind", "update", "computers", "all"));
		json_t *second YG_AUTO(yg_json) = person(&world, "jobs.create",
			json_pack("{s:s, s:s}", "kind", "update", "computers", "all"));
		command_job(&world, &relay, "update.relay", ref);
		result(&world, &relay, ++seq, ref, "success", "",
			json_pack("{s:s}", "set", DIGEST_A));
		command_job(&world, &relay, "update.relay", second_ref);
		assert_string_equal(second_ref, ""); /* nobody knows yet what is newest */
		newest(&world, newer[i], 2);
		command_job(&world, &relay, "update.relay", second_ref);
		assert_int_equal(second_ref[0] != '\0', i == 1);
		/* Both looked once more, the relay and the Manager. */
		if (i == 1) {
			result(&world, &relay, ++seq, second_ref, "success", "",
				json_pack("{s:s}", "set", newer[i]));
			newest(&world, newer[i], 2);
		}
		result(&world, &relay, ++seq, text(first, "id"), "success", "",
			json_pack("{s:s}", "set", newer[i]));
		want_job(&world, text(first, "id"), "done", "success");
		want_job(&world, text(second, "id"), "done", "success");
	}
}

/* A person's update does not end at the hold that a schedule's run stopped at. */
static void joining_held(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_t *first YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b, s:b}", "kind", "update", "computers", web.id, "relays",
			0, "scheduled", 1));
	json_t *second YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	json_t *third YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b, s:b}", "kind", "update", "computers", web.id, "relays",
			0, "scheduled", 1));
	json_decref(commands(&world, &web));
	result(&world, &web, 1, text(first, "id"), "cancelled", "update.held", NULL);
	want_job(&world, text(first, "id"), "done", "cancelled");
	want_job(&world, text(third, "id"), "done", "cancelled");
	char id[40];
	command_job(&world, &web, "update", id);
	assert_string_equal(id, text(second, "id"));
	result(&world, &web, 2, id, "success", "", NULL);
	want_job(&world, id, "done", "success");

	/* Whoever is deleted takes part in nothing any more. */
	json_t *fourth YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	json_t *fifth YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", web.id)));
	want_job(&world, text(fourth, "id"), "done", "cancelled");
	want_job(&world, text(fifth, "id"), "done", "cancelled");
}

static void rollback_and_others(void **state)
{
	static const struct {
		const char *kind, *outcome, *cause, *events;
	} rows[] = {
		{"rollback", "success", "", "274 1603"},
		{"rollback", "failed", "store.no_rollback", "274 1604"},
		{"scan", "success", "", "20008"},
		{"scan", "failed", "scan.path", "20008 20009"},
		{"release_hold", "success", "", "20010"},
	};
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		json_int_t since = now_seq(&world);
		json_t *args = json_pack("{s:s, s:[s]}", "kind", rows[i].kind, "computers", web.id);
		if (strcmp(rows[i].kind, "scan") == 0)
			json_object_set_new(args, "paths", json_pack("[s]", "/srv"));
		json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create", args);
		char id[40];
		command_job(&world, &web, rows[i].kind, id);
		assert_string_equal(id, text(job, "id"));
		result(&world, &web, (int)i + 1, id, rows[i].outcome, rows[i].cause, NULL);
		want_history(&world, since, rows[i].events);
		want_job(&world, id, "done", rows[i].outcome);
	}
}

static void bad_jobs(void **state)
{
	WORLD(world);
	person_fails(&world, "jobs.create",
		json_pack("{s:s, s:s}", "kind", "update", "computers", "all"), YG_EFORMAT,
		"computers: there is none to ask");
	person_fails(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "update", "computers", "x"), YG_EABSENT,
		"computers[0]: computer 'x': no such computer");
	person_fails(&world, "jobs.create",
		json_pack("{s:s, s:s}", "kind", "scan", "computers", "all"), YG_EFORMAT,
		"paths: want an array, have nothing");
	person_fails(&world, "jobs.create",
		json_pack("{s:s, s:s, s:[s]}", "kind", "scan", "computers", "all", "paths", "x"),
		YG_EFORMAT, "paths[0]: want an absolute path");
}

static void policies(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_t *policy YG_AUTO(yg_json) = person(&world, "policies.create",
		json_pack("{s:s, s:{s:{s:i}}}", "name", "Web", "document", "am", "max_recursion",
			9));
	person_fails(&world, "policies.create", json_pack("{s:s, s:{}}", "name", "Web", "document"),
		YG_EFORMAT, "name: there is a policy 'Web' already");
	person_fails(&world, "policies.create",
		json_pack("{s:s, s:{s:i}}", "name", "X", "document", "am", 5), YG_EFORMAT,
		"document: am: want an object, have a whole number");
	json_decref(commands(&world, &web));

	json_int_t since = now_seq(&world);
	json_t *sent YG_AUTO(yg_json) = person(&world, "computers.policy",
		json_pack("{s:s, s:s}", "id", web.id, "policy", text(policy, "id")));
	char id[40];
	command_job(&world, &web, "policy", id);
	assert_string_equal(id, text(sent, "job"));
	json_t *got YG_AUTO(yg_json) = agent_does(&world, &web, "agents.policy", NULL);
	assert_string_equal(text(got, "fingerprint"), text(policy, "fingerprint"));
	beat(&world, &web);
	want_job(&world, id, "running", "");
	(void)snprintf(web.fingerprint, sizeof(web.fingerprint), "%s", text(got, "fingerprint"));
	beat(&world, &web);
	want_job(&world, id, "done", "success");
	want_history(&world, since, "253 256 720");

	/* K1: the engine refuses; the event is the agent's, the failure is here. */
	since = now_seq(&world);
	json_decref(person(&world, "policies.update",
		json_pack("{s:s, s:{s:{s:i}}}", "id", text(policy, "id"), "document", "am",
			"max_recursion", 100)));
	json_t *again YG_AUTO(
		yg_json) = person(&world, "computers.policy", json_pack("{s:s}", "id", web.id));
	json_decref(commands(&world, &web));
	assert_int_equal(report(&world, &web,
				 json_pack("[{s:i, s:s, s:i, s:s, s:{s:s, s:I, s:s}}]", "seq", 7,
					 "kind", "event", "id", 1001, "time",
					 "2026-11-21T22:47:43Z", "params", "command", "SET_CONFIG",
					 "code", (json_int_t)0xffffd8ef, "error",
					 "unknown error ffffd8ef")),
		7);
	want_job(&world, text(again, "job"), "done", "failed");
	want_history(&world, since, "352 256 1001 721");

	char message[160];
	(void)snprintf(message, sizeof(message), "policy '%s': 1 computers use it",
		text(policy, "id"));
	person_fails(&world, "policies.delete", json_pack("{s:s}", "id", text(policy, "id")),
		YG_EFORMAT, message);
}

/* Each event once: whole batches, parts of them and single ones again, in any order. */
static void events_once(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	static const struct {
		const char *epoch;
		int from, to, there; /* events with id 5003 afterwards */
	} rows[] = {{EPOCH_1, 1, 3, 3}, {EPOCH_1, 1, 3, 3}, {EPOCH_1, 2, 5, 5}, {EPOCH_1, 8, 9, 7},
		{EPOCH_1, 6, 7, 9}, {EPOCH_2, 1, 2, 11}, {EPOCH_2, 1, 2, 11}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		json_t *entries = json_array();
		for (int seq = rows[i].from; seq <= rows[i].to; seq++)
			json_array_append_new(entries,
				json_pack("{s:i, s:s, s:i, s:s, s:{}}", "seq", seq, "kind", "event",
					"id", 5003, "time", "2026-11-21T22:47:43Z", "params"));
		json_t *out YG_AUTO(yg_json) = agent_does(&world, &web, "events.add",
			json_pack("{s:s, s:o}", "epoch", rows[i].epoch, "entries", entries));
		assert_int_equal(number(out, "ack"), rows[i].to);
		json_t *list YG_AUTO(yg_json) = person(&world, "events.search",
			json_pack("{s:i, s:i}", "id", 5003, "limit", 100));
		if ((int)json_array_size(json_object_get(list, "items")) != rows[i].there)
			fail_msg("row %zu: have %zu", i,
				json_array_size(json_object_get(list, "items")));
	}

	/* What breaks the rules is dropped and acknowledged: what is behind it must come through. */
	assert_int_equal(report(&world, &web,
				 json_pack("[{s:i, s:s, s:i}, {s:i, s:s, s:i, s:s, s:{}}]", "seq",
					 20, "kind", "event", "id", 5003, "seq", 21, "kind",
					 "event", "id", 123456, "time", "2026-11-21T22:47:43Z",
					 "params")),
		21);
	json_t *odd YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "id", 20007));
	assert_int_equal(json_array_size(json_object_get(odd, "items")), 1);
}

static void event_search(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	for (int i = 0; i < 120; i++)
		report(&world, &web,
			json_pack("[{s:i, s:s, s:i, s:s, s:{s:s, s:s}}]", "seq", i + 1, "kind",
				"event", "id", 20100, "time", "2026-11-21T22:47:43Z", "params",
				"path", i % 2 ? "/srv/odd" : "/srv/Even", "signature", "Test.Sig"));
	static const struct {
		const char *label, *args;
		int there;
	} rows[] = {
		{"by id", "{\"id\":20100}", 120},
		{"by level", "{\"level\":\"warning\"}", 121},
		{"by origin", "{\"origin\":\"agent\"}", 120},
		{"by text, whatever case", "{\"text\":\"/SRV/even\"}", 60},
		{"by text that is nowhere", "{\"text\":\"nowhere\"}", 0},
		{"from later", "{\"id\":20100,\"from\":\"2026-11-21T22:47:44Z\"}", 0},
		{"up to, not with", "{\"id\":20100,\"to\":\"2026-11-21T22:47:43Z\"}", 0},
		{"in that second",
			"{\"from\":\"2026-11-21T22:47:43Z\",\"to\":\"2026-11-21T22:47:44Z\"}", 120},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		/* Page by page: nothing twice, nothing missing, newest first. */
		int have = 0;
		json_int_t before = INT64_MAX;
		char cursor[64] = "";
		for (int page = 0; page < 100; page++) {
			struct yg_err err = {0};
			json_t *args = NULL;
			assert_int_equal(yg_json_parse(yg_bytes_of(rows[i].args), 4096, &args,
						 &err),
				0);
			json_object_set_new(args, "limit", json_integer(50));
			if (cursor[0])
				json_object_set_new(args, "cursor", json_string(cursor));
			json_t *out YG_AUTO(yg_json) = person(&world, "events.search", args);
			size_t k;
			json_t *event;
			json_array_foreach(json_object_get(out, "items"), k, event)
			{
				assert_true(number(event, "seq") < before);
				before = number(event, "seq");
				have++;
			}
			if (json_is_null(json_object_get(out, "next")))
				break;
			(void)snprintf(cursor, sizeof(cursor), "%s", text(out, "next"));
		}
		if (have != rows[i].there)
			fail_msg("%s: want %d, have %d", rows[i].label, rows[i].there, have);
	}
	person_fails(&world, "events.search", json_pack("{s:s}", "level", "loud"), YG_EFORMAT,
		"level: 'loud' is none");
	person_fails(&world, "events.search", json_pack("{s:s}", "cursor", "x"), YG_EFORMAT,
		"cursor: want digits, have 'x'");

	/* Old ones go. */
	world.store->now_s = yg_clock_now_s() + 91 * 86400;
	world.store->next_clean_s = 0;
	store_tick(world.store);
	json_t *left YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "id", 20100));
	assert_int_equal(json_array_size(json_object_get(left, "items")), 0);
}

static void offline(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_int_t since = now_seq(&world);
	int64_t start = yg_clock_now_s();
	world.store->now_s = start + 179;
	store_tick(world.store);
	want_history(&world, since, "");
	world.store->now_s = start + 182;
	store_tick(world.store);
	store_tick(world.store);
	want_history(&world, since, "730");
	json_t *off YG_AUTO(yg_json) = person(&world, "computers.list",
		json_pack("{s:s}", "state", "Managed (Offline)"));
	assert_int_equal(json_array_size(json_object_get(off, "items")), 1);
	beat(&world, &web);
	want_history(&world, since, "730 731");

	/* After our own absence nobody is called offline before its time. */
	world.store->now_s = start + 5000;
	world.store->started_s = start + 4990;
	store_tick(world.store);
	/* But that there is no relay it could update from is an alert by now. */
	want_history(&world, since, "730 731 190");
}

static void settings(void **state)
{
	WORLD(world);
	json_t *before YG_AUTO(yg_json) = person(&world, "settings.get", NULL);
	assert_int_equal(number(json_object_get(before, "update"), "tries"), 3);
	json_t *after YG_AUTO(yg_json) = person(&world, "settings.update",
		json_pack("{s:{s:s}, s:b, s:{s:i}}", "source", "url", "https://u.example/",
			"direct_fallback", 1, "update", "tries", 4));
	assert_int_equal(number(json_object_get(after, "update"), "tries"), 4);
	assert_int_equal(number(json_object_get(after, "update"), "timeout_s"), 60);
	assert_true(json_is_true(json_object_get(after, "direct_fallback")));

	static const struct {
		const char *args, *message;
	} rows[] = {
		{"{\"colour\":1}", "colour: no such setting"},
		{"{\"update\":{\"speed\":1}}", "update.speed: no such setting"},
		{"{\"update\":5}", "update: want an object, have a whole number"},
		{"{\"update\":{\"tries\":0}}", "update.tries: want 1..100, have 0"},
		{"{\"update\":{\"tries\":\"3\"}}",
			"update.tries: want a whole number, have a string"},
		{"{\"language\":\"fr\"}", "language: want en or ja, have 'fr'"},
		{"{\"source\":{\"url\":\"ftp://x\"}}",
			"source.url: want http://HOST/… or https://HOST/…, have 'ftp://x'"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *args = NULL;
		json_t *out;
		assert_int_equal(yg_json_parse(yg_bytes_of(rows[i].args), 4096, &args, &err), 0);
		int rc = call(&world, STORE_WEB, "settings.update", args, as_admin(&world), "en",
			&out, &err);
		if (rc == 0 || (rows[i].message && strcmp(err.msg, rows[i].message) != 0))
			fail_msg("%s: want '%s', have '%s'", rows[i].args,
				rows[i].message ? rows[i].message : "", err.msg);
	}

	/* What relays are, and where, comes to agents; the source only where it may be used. */
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay1", true);
	activate(&world, &web, "web1", false);
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &web);
	const json_t *told = json_object_get(reply, "settings");
	const json_t *first = json_array_get(json_object_get(told, "relays"), 0);
	assert_string_equal(text(first, "id"), relay.id);
	assert_string_equal(json_string_value(json_array_get(json_object_get(first, "urls"), 0)),
		"https://10.0.0.5:4122");
	assert_string_equal(text(json_object_get(told, "source"), "url"), "https://u.example/");
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:[s]}", "id", relay.id, "relay_urls",
			"https://lb.example:4122")));
	json_decref(person(&world, "settings.update", json_pack("{s:b}", "direct_fallback", 0)));
	json_t *later YG_AUTO(yg_json) = heartbeat(&world, &web);
	told = json_object_get(later, "settings");
	first = json_array_get(json_object_get(told, "relays"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(first, "urls"), 0)),
		"https://lb.example:4122");
	assert_true(json_is_null(json_object_get(told, "source")));
}

static void scheduled_update(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_decref(person(&world, "tasks.create",
		json_pack("{s:s, s:{s:s, s:i}}", "name", "often", "schedule", "type", "every",
			"seconds", 600)));
	int64_t start = world.store->clock_s;
	static const struct {
		int at, jobs;
	} rows[] = {{1, 0}, {500, 0}, {602, 1}, {700, 1}, {1203, 2}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		world.store->now_s = start + rows[i].at;
		store_tick(world.store);
		json_t *list YG_AUTO(yg_json) = person(&world, "jobs.list", NULL);
		const json_t *items = json_object_get(list, "items");
		if ((int)json_array_size(items) != rows[i].jobs)
			fail_msg("after %d s: want %d, have %zu", rows[i].at, rows[i].jobs,
				json_array_size(items));
		if (rows[i].jobs > 0)
			assert_string_equal(text(json_array_get(items, 0), "by"), "schedule");
	}
}

/* The Manager is killed in the middle: what was acknowledged is there, and the job goes on. */
static void restart(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:b}", "kind", "update", "computers", web.id, "relays", 0));
	store_free(world.store);
	struct yg_err err = {0};
	if (store_open(&world.store, world.where, &err) < 0)
		fail_msg("%s", err.msg);
	char id[40];
	command_job(&world, &web, "update", id);
	assert_string_equal(id, text(job, "id"));
	result(&world, &web, 1, id, "success", "", NULL);
	want_job(&world, id, "done", "success");
}

static void lists_and_status(void **state)
{
	WORLD(world);
	struct agent agents[7];
	static const char *const names[] = {"g", "a", "f", "b", "e", "c", "d_%"};
	for (size_t i = 0; i < YG_COUNT(names); i++)
		activate(&world, &agents[i], names[i], false);
	newest(&world, DIGEST_B, 2);
	agents[0].version = 2;
	agents[0].set = DIGEST_B;
	beat(&world, &agents[0]);
	agents[1].version = 1;
	agents[1].set = DIGEST_A;
	beat(&world, &agents[1]);

	char order[64] = "";
	char cursor[64] = "";
	for (int page = 0; page < 10; page++) {
		json_t *args = json_pack("{s:i}", "limit", 3);
		if (cursor[0])
			json_object_set_new(args, "cursor", json_string(cursor));
		json_t *out YG_AUTO(yg_json) = person(&world, "computers.list", args);
		size_t i;
		json_t *item;
		json_array_foreach(json_object_get(out, "items"), i, item)(void)
			snprintf(order + strlen(order), sizeof(order) - strlen(order), "%c",
				text(item, "name")[0]);
		if (json_is_null(json_object_get(out, "next")))
			break;
		(void)snprintf(cursor, sizeof(cursor), "%s", text(out, "next"));
	}
	assert_string_equal(order, "abcdefg");
	json_t *found YG_AUTO(
		yg_json) = person(&world, "computers.list", json_pack("{s:s}", "text", "_%"));
	assert_int_equal(json_array_size(json_object_get(found, "items")), 1);

	json_t *now YG_AUTO(yg_json) = person(&world, "status.get", NULL);
	const json_t *counts = json_object_get(now, "computers");
	assert_int_equal(number(counts, "total"), 7);
	assert_int_equal(number(counts, "online"), 7);
	assert_int_equal(number(counts, "protected"), 2);
	assert_int_equal(number(counts, "out_of_date"), 6);
	json_t *runs YG_AUTO(yg_json) = person(&world, "components.list", NULL);
	const json_t *item = json_array_get(json_object_get(runs, "items"), 0);
	assert_int_equal(json_array_size(json_object_get(item, "versions")), 2);
	json_t *one YG_AUTO(yg_json) = person(&world, "computers.components",
		json_pack("{s:s}", "id", agents[1].id));
	assert_string_equal(text(json_array_get(json_object_get(one, "items"), 0), "state"), "old");
	json_t *catalogue YG_AUTO(yg_json) = person(&world, "events.catalogue", NULL);
	assert_true(json_array_size(json_object_get(catalogue, "items")) > 50);
	person_fails(&world, "computers.list", json_pack("{s:i}", "limit", 501), YG_ELIMIT,
		"limit: want 1..500, have 501");
}

/* A look at the update source that failed: an event and a line in the status, until one succeeds. That
 * no source is set is no failure.
 */
static void check_failed(void **state)
{
	static const struct {
		const char *cause, *events;
	} rows[] = {
		{"update.source_unset", ""},
		{"net.refused", "103"},
		{"tuf.root", "103"},
	};
	WORLD(world);
	json_t *fresh YG_AUTO(yg_json) = person(&world, "status.get", NULL);
	assert_true(json_is_null(json_object_get(fresh, "check_failed")));
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		json_int_t since = now_seq(&world);
		json_decref(role(&world, STORE_CONTENT, "components.check.failed",
			json_pack("{s:s, s:s}", "cause", rows[i].cause, "sentence", "why")));
		want_history(&world, since, rows[i].events);
		json_t *now YG_AUTO(yg_json) = person(&world, "status.get", NULL);
		const json_t *failure = json_object_get(now, "check_failed");
		assert_string_equal(text(failure, "cause"), rows[i].cause);
		assert_string_equal(text(failure, "sentence"), "why");
		assert_int_equal(strlen(text(failure, "time")), 20);
	}
	newest(&world, DIGEST_A, 1);
	json_t *good YG_AUTO(yg_json) = person(&world, "status.get", NULL);
	assert_true(json_is_null(json_object_get(good, "check_failed")));
}

/* People see these names in events: a token that has none gets one that can be read. */
static void token_names(void **state)
{
	static const struct {
		int at; /* seconds */
		const char *given, *want;
	} rows[] = {
		{0, "", "token-2026-11-22-2"},
		{1, "lab", "lab"},
		{2, "", "token-2026-11-22-4"},
		{86400, "", "token-2026-11-23-1"},
	};
	WORLD(world);
	world.store->now_s = 1795305600; /* 2026-11-22T00:00:00Z */
	json_decref(person(&world, "tokens.create", NULL));
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		world.store->now_s = 1795305600 + rows[i].at;
		json_t *token YG_AUTO(yg_json) = person(&world, "tokens.create",
			json_pack("{s:s}", "name", rows[i].given));
		assert_string_equal(text(token, "name"), rows[i].want);
	}
}

/* Jobs and events go after events.keep_days; a job that is asked for its result stays. */
static void ageing(void **state)
{
	enum { JOBS = 45, DAY = 86400 };
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	int64_t start = yg_clock_now_s();
	json_decref(person(&world, "settings.update",
		json_pack("{s:{s:i}, s:{s:i}}", "events", "keep_days", 10, "update", "deadline_s",
			604800)));
	int seq = 0;
	for (int i = 0; i < JOBS; i++) {
		json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
			json_pack("{s:s, s:[s]}", "kind", "rollback", "computers", web.id));
		result(&world, &web, ++seq, text(job, "id"), "success", "", NULL);
	}
	world.store->now_s = start + 8 * DAY;
	json_t *young YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "rollback", "computers", web.id));
	result(&world, &web, ++seq, text(young, "id"), "success", "", NULL);
	json_t *open YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "rollback", "computers", web.id));

	static const struct {
		int days, left;
	} rows[] = {{9, JOBS + 2}, {11, 2}, {14, 2}, {19, 1}, {30, 0}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		world.store->now_s = start + (int64_t)rows[i].days * DAY;
		for (int tick = 0; tick < 5; tick++)
			store_tick(world.store);
		json_t *list YG_AUTO(
			yg_json) = person(&world, "jobs.list", json_pack("{s:i}", "limit", 500));
		if (json_array_size(json_object_get(list, "items")) != (size_t)rows[i].left)
			fail_msg("after %d days: want %d, have %zu", rows[i].days, rows[i].left,
				json_array_size(json_object_get(list, "items")));
	}
	json_t *events YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "id", 704));
	assert_int_equal(json_array_size(json_object_get(events, "items")), 0);
	assert_string_not_equal(text(open, "id"), "");
}

/* docs/store-ops.md names every operation, with its callers, and no other. */
static void documented(void **state)
{
	(void)state;
	const char *root = getenv("YAGURA_SOURCE_ROOT");
	if (!root)
		skip();
	struct yg_err err = {0};
	char *path YG_AUTO(mem) = yg_str_format("%s/docs/store-ops.md", root);
	struct yg_buf page YG_AUTO(yg_buf) = YG_BUF(1 << 20);
	assert_int_equal(yg_fs_read(AT_FDCWD, path, &page, &err), 0);
	assert_int_equal(yg_buf_add(&page, "", 1, &err), 0);
	const char *all = (const char *)page.data;
	for (const struct store_op *op = store_ops; op->name; op++) {
		char cell[80];
		(void)snprintf(cell, sizeof(cell), "| `%s`", op->name);
		if (!strstr(all, cell))
			fail_msg("docs/store-ops.md: no row for %s", op->name);
		char full[96];
		(void)snprintf(full, sizeof(full), "| `%s` *full*", op->name);
		if (op->full != (strstr(all, full) != NULL))
			fail_msg("docs/store-ops.md: %s: *full* does not fit the code", op->name);
	}
	for (const char *at = all; (at = strstr(at, "\n| `")) != NULL; at += 4) {
		char name[64];
		size_t len = strcspn(at + 4, "`");
		if (len >= sizeof(name))
			continue;
		memcpy(name, at + 4, len);
		name[len] = '\0';
		bool there = name[0] == '{';
		for (const struct store_op *op = store_ops; op->name && !there; op++)
			there = strcmp(op->name, name) == 0;
		if (!there)
			fail_msg("docs/store-ops.md: no operation '%s'", name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented),
		BOTH(first_start),
		BOTH(who_may_what),
		BOTH(key_used),
		BOTH(secrets),
		BOTH(activation),
		BOTH(certificates),
		BOTH(command_queue),
		BOTH(update),
		BOTH(update_fails),
		BOTH(deadline),
		BOTH(silent_relay),
		BOTH(joining),
		BOTH(joining_newer),
		BOTH(joining_relay),
		BOTH(joining_held),
		BOTH(rollback_and_others),
		BOTH(bad_jobs),
		BOTH(policies),
		BOTH(events_once),
		BOTH(event_search),
		BOTH(offline),
		BOTH(settings),
		BOTH(scheduled_update),
		BOTH(restart),
		BOTH(lists_and_status),
		BOTH(check_failed),
		BOTH(token_names),
		BOTH(ageing),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
