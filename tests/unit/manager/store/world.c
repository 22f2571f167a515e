/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "pg_server.h"
#include "proto/wire.h"

static const char *pg_url;
static const char *pg_why = "not started";
static char dir[] = "/tmp/yagura-store-XXXXXX";

static bool noticed(void *ctx, const char *peer, const char *name, json_t *body)
{
	struct world *world = ctx;
	assert_int_equal(json_array_append_new(world->notices,
				 json_pack("[s, s, o]", peer, name, body)),
		0);
	return true;
}

/* --- asking ------------------------------------------------------------------------------ */

/* takes args and who over */
int call(struct world *world, enum store_caller caller, const char *op, json_t *args, json_t *who,
	const char *lang, json_t **out, struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s, s:o, s:o, s:s}", "op", op, "args",
		args ? args : json_object(), "who", who, "lang", lang);
	assert_non_null(body);
	*out = NULL;
	return store_call(world->store, caller, body, out, err);
}

json_t *as_admin(struct world *world)
{
	return json_pack("{s:s, s:s}", "kind", "key", "key", world->admin);
}

json_t *as_system(void)
{
	return json_pack("{s:s}", "kind", "system");
}

json_t *person_in(struct world *world, const char *lang, const char *op, json_t *args)
{
	struct yg_err err = {0};
	json_t *out;
	if (call(world, STORE_WEB, op, args, as_admin(world), lang, &out, &err) < 0)
		fail_msg("%s: %s", op, err.msg);
	return out;
}

json_t *person(struct world *world, const char *op, json_t *args)
{
	return person_in(world, "en", op, args);
}

void person_fails(struct world *world, const char *op, json_t *args, enum yg_code code,
	const char *message)
{
	struct yg_err err = {0};
	json_t *out;
	int rc = call(world, STORE_WEB, op, args, as_admin(world), "en", &out, &err);
	if (rc == 0 || err.code != code || strcmp(err.msg, message) != 0)
		fail_msg("%s: want %u '%s', have %u '%s'", op, code, message, err.code, err.msg);
}

json_t *role(struct world *world, enum store_caller caller, const char *op, json_t *args)
{
	struct yg_err err = {0};
	json_t *out;
	if (call(world, caller, op, args, as_system(), "en", &out, &err) < 0)
		fail_msg("%s: %s", op, err.msg);
	return out;
}

int agent_try(struct world *world, const struct agent *agent, const char *op, json_t *args,
	json_t **out, struct yg_err *err)
{
	return call(world, STORE_SESSION, op, args,
		json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", agent->id, "serial",
			agent->serial),
		"en", out, err);
}

json_t *agent_does(struct world *world, const struct agent *agent, const char *op, json_t *args)
{
	struct yg_err err = {0};
	json_t *out;
	if (agent_try(world, agent, op, args, &out, &err) < 0)
		fail_msg("%s: %s: %s", agent->hostname, op, err.msg);
	return out;
}

const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "";
}

json_int_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

json_t *hello(const struct agent *agent)
{
	return json_pack("{s:[i], s:s, s:s, s:o, s:s, s:s, s:[s], s:i, s:[s]}", "protocol", 1,
		"version", "0.1.0", "kind", "agent", "roles",
		agent->relay ? json_pack("[s]", "relay") : json_array(), "hostname",
		agent->hostname, "os", "Debian GNU/Linux 12", "capabilities", "scan", "relay_port",
		4122, "addresses", "10.0.0.5");
}

json_t *status(const struct agent *agent)
{
	json_t *components = json_array();
	if (agent->version > 0)
		json_array_append_new(components,
			json_pack("{s:s, s:i}", "name", "am-pattern", "version", agent->version));
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:{s:s}}", "time",
		"2026-11-21T22:47:43Z", "epoch", EPOCH_1, "state",
		agent->version > 0 ? "protected" : "unprotected", "components", components, "set",
		agent->set ? agent->set : "", "rollback_set", "", "policy_fingerprint",
		agent->fingerprint, "engine", "state", agent->version > 0 ? "online" : "none");
}

json_t *heartbeat(struct world *world, struct agent *agent)
{
	json_t *reply = agent_does(world, agent, "agents.heartbeat",
		json_pack("{s:o, s:o, s:s}", "hello", hello(agent), "status", status(agent),
			"address", "10.0.0.9"));
	struct yg_err err = {0};
	if (yg_wire_check(YG_WIRE_HEARTBEAT_REPLY, reply, &err) < 0)
		fail_msg("%s", err.msg);
	return reply;
}

void beat(struct world *world, struct agent *agent)
{
	json_decref(heartbeat(world, agent));
}

void certify(struct world *world, struct agent *agent)
{
	(void)snprintf(agent->serial, sizeof(agent->serial), "%04X", ++world->certificates);
	json_decref(role(world, STORE_CA, "agents.certificate",
		json_pack("{s:s, s:s, s:s}", "agent_id", agent->id, "serial", agent->serial,
			"not_after", "2099-01-01T00:00:00Z")));
}

int activate_with(struct world *world, const char *token, const char *csr, struct agent *agent,
	struct yg_err *err)
{
	json_t *out YG_AUTO(yg_json) = NULL;
	json_t *made = NULL;
	int rc = call(world, STORE_SESSION, "agents.activate",
		json_pack("{s:s, s:o, s:s, s:s}", "token", token, "hello", hello(agent),
			"csr_sha256", csr, "address", "10.0.0.9"),
		as_system(), "en", &made, err);
	out = made;
	if (rc == 0)
		(void)snprintf(agent->id, sizeof(agent->id), "%s", text(out, "agent_id"));
	return rc;
}

void activate(struct world *world, struct agent *agent, const char *hostname, bool relay)
{
	struct yg_err err = {0};
	*agent = (struct agent){.hostname = hostname, .relay = relay};
	json_t *token YG_AUTO(
		yg_json) = person(world, "tokens.create", json_pack("{s:s}", "name", "test"));
	if (activate_with(world, text(token, "token"), hostname, agent, &err) < 0)
		fail_msg("%s", err.msg);
	certify(world, agent);
	beat(world, agent);
}

void sql(struct world *world, const char *statement)
{
	struct yg_err err = {0};
	if (yg_db_exec(world->store->db, statement, YG_DB_NO_ARGS, NULL, &err) < 0)
		fail_msg("%s: %s", statement, err.msg);
}

void copies(struct world *world, const char *hostname, int count)
{
	struct yg_err err = {0};
	if (yg_db_exec(world->store->db,
		    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO "
		    "computers SELECT 'c' || i, 'c' || i, hostname, in_group, kind, address, state, protection, "
		    "relay, relay_allowed, relay_port, relay_urls, policy, policy_has, set_has, hello, status, "
		    "components, token, csr_sha256, serial, online, last_seq, created, activated, last_contact, "
		    "deleted, content, relay_group, relay_on FROM n, computers WHERE name = $1",
		    YG_DB_ARGS(yg_db_text(hostname), yg_db_int(count)), NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The commands that wait, all acknowledged. */
json_t *commands(struct world *world, const struct agent *agent)
{
	json_t *out YG_AUTO(yg_json) = agent_does(world, agent, "agents.commands",
		json_pack("{s:i}", "after", 0));
	json_t *list = json_incref(json_object_get(out, "commands"));
	size_t i;
	json_t *command;
	json_int_t last = 0;
	json_array_foreach(list, i, command)
	{
		struct yg_wire_command read;
		struct yg_err err = {0};
		if (yg_wire_command(command, &read, &err) < 0)
			fail_msg("%s", err.msg);
		assert_true(read.seq > last);
		last = read.seq;
	}
	json_decref(agent_does(world, agent, "agents.commands", json_pack("{s:I}", "after", last)));
	return list;
}

/* The job id of the command of this name, or "" when there is none. */
void command_job(struct world *world, const struct agent *agent, const char *name, char out[40])
{
	json_t *list YG_AUTO(yg_json) = commands(world, agent);
	size_t i;
	json_t *command;
	out[0] = '\0';
	json_array_foreach(list, i, command) if (strcmp(text(command, "command"), name) == 0)(void)
		snprintf(out, 40, "%s", text(command, "job"));
}

json_int_t report(struct world *world, const struct agent *agent, json_t *entries)
{
	json_t *out YG_AUTO(yg_json) = agent_does(world, agent, "events.add",
		json_pack("{s:s, s:o}", "epoch", EPOCH_1, "entries", entries));
	return number(out, "ack");
}

void result(struct world *world, const struct agent *agent, int seq, const char *job,
	const char *outcome, const char *cause, json_t *detail)
{
	assert_int_equal(report(world, agent,
				 json_pack("[{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o}]", "seq", seq,
					 "kind", "result", "job", job, "time",
					 "2026-11-21T22:47:43Z", "outcome", outcome, "cause", cause,
					 "sentence", cause[0] ? "10.0.0.5 port 443" : "", "detail",
					 detail ? detail : json_null())),
		seq);
}

/* "1600 273 276 784 …": the ids of what happened, oldest first, after `since`. */
void history(struct world *world, json_int_t since, char *out, size_t size)
{
	json_t *list YG_AUTO(
		yg_json) = person(world, "events.search", json_pack("{s:i}", "limit", 500));
	json_t *items = json_object_get(list, "items");
	out[0] = '\0';
	for (size_t i = json_array_size(items); i-- > 0;) {
		const json_t *event = json_array_get(items, i);
		size_t len = strlen(out);
		if (number(event, "seq") > since)
			(void)snprintf(out + len, size - len, "%s%lld", len ? " " : "",
				(long long)number(event, "id"));
	}
}

json_int_t now_seq(struct world *world)
{
	json_t *list YG_AUTO(
		yg_json) = person(world, "events.search", json_pack("{s:i}", "limit", 1));
	return number(json_array_get(json_object_get(list, "items"), 0), "seq");
}

void want_history(struct world *world, json_int_t since, const char *want)
{
	char have[1024];
	history(world, since, have, sizeof(have));
	assert_string_equal(have, want);
}

json_t *job_get(struct world *world, const char *id)
{
	return person(world, "jobs.get", json_pack("{s:s}", "id", id));
}

void want_job(struct world *world, const char *id, const char *state, const char *outcome)
{
	json_t *job YG_AUTO(yg_json) = job_get(world, id);
	if (strcmp(text(job, "state"), state) != 0 || strcmp(text(job, "outcome"), outcome) != 0)
		fail_msg("job: want %s %s, have %s %s", state, outcome, text(job, "state"),
			text(job, "outcome"));
}

void newest(struct world *world, const char *set, int version)
{
	json_decref(role(world, STORE_CONTENT, "components.newest.put",
		json_pack("{s:s, s:[{s:s, s:i, s:s, s:s}]}", "set", set, "components", "name",
			"am-pattern", "version", version, "family", "pattern", "manifest",
			DIGEST_A)));
}

/* --- the world --------------------------------------------------------------------------- */

static unsigned files;

void world_empty(const char *url)
{
	struct yg_err err = {0};
	struct yg_db *db YG_AUTO(yg_db) = yg_db_open(url, &err);
	assert_non_null(db);
	assert_int_equal(yg_db_exec(db, "DROP SCHEMA public CASCADE", YG_DB_NO_ARGS, NULL, &err),
		0);
	assert_int_equal(yg_db_exec(db, "CREATE SCHEMA public", YG_DB_NO_ARGS, NULL, &err), 0);
}

void open_world(void **state, struct world *world)
{
	struct yg_err err = {0};
	bool pg = *state != NULL;
	if (pg && !pg_url) {
		print_message("skipped: %s\n", pg_why);
		skip();
	}
	*world = (struct world){.notices = json_array()};
	if (pg) {
		(void)snprintf(world->where, sizeof(world->where), "%s", pg_url);
		world_empty(pg_url);
	} else {
		(void)snprintf(world->where, sizeof(world->where), "sqlite:%s/%u.db", dir, ++files);
	}
	if (store_open(&world->store, world->where, &err) < 0)
		fail_msg("%s", err.msg);
	world->store->notify = noticed;
	world->store->notify_ctx = world;
	json_t *key YG_AUTO(yg_json) = role(world, STORE_PARENT, "keys.first", NULL);
	(void)snprintf(world->admin, sizeof(world->admin), "%s", text(key, "key"));
	assert_int_equal(strlen(world->admin), 56);
	json_decref(role(world, STORE_CA, "ca.put",
		json_pack("{s:s, s:s}", "ca_bundle", "-----BEGIN CERTIFICATE-----\n", "spki_sha256",
			SPKI)));
}

void world_free_at(struct world *world)
{
	store_free(world->store);
	json_decref(world->notices);
}

int world_setup(void **state)
{
	(void)state;
	yg_log_init("store_test", YG_LOG_ERROR);
	if (!mkdtemp(dir))
		return -1;
	pg_url = pg_server_start(&pg_why);
	return 0;
}

int world_teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	pg_server_stop();
	return yg_fs_remove(AT_FDCWD, dir, &err);
}
