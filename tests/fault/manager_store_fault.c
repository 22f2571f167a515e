/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Every call of the Manager's rules to the database is made to fail once: the operation must end in that
 * error, the database be as before, nobody be told anything, and the same operation work afterwards. The
 * linker sends the calls here (--wrap).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/str.h"
#include "manager/store/store.h"
#include "tests/lib/cmocka_all.h"

#define SECRET_MAX 200

static struct {
	long at; /* which call; 0: none */
	long count;
	bool fired;
} plan;

static int strike(struct yg_err *err)
{
	if (plan.at == 0 || ++plan.count != plan.at)
		return 0;
	plan.fired = true;
	return yg_fail(err, YG_ESYSTEM, "a fault of the test");
}

#define WRAP(call, params, args)                                                                   \
	int __real_##call params;                                                                  \
	int __wrap_##call params;                                                                  \
	int __wrap_##call params                                                                   \
	{                                                                                          \
		return strike(err) < 0 ? -1 : __real_##call args;                                  \
	}

WRAP(yg_db_exec,
	(struct yg_db * db, const char *sql, const struct yg_db_value *values, size_t count,
		int64_t *changed, struct yg_err *err),
	(db, sql, values, count, changed, err))
WRAP(yg_db_query,
	(struct yg_db * db, const char *sql, const struct yg_db_value *values, size_t count,
		struct yg_rows **rows, struct yg_err *err),
	(db, sql, values, count, rows, err))
WRAP(yg_db_number,
	(struct yg_db * db, const char *sql, const struct yg_db_value *values, size_t count,
		int64_t *number, struct yg_err *err),
	(db, sql, values, count, number, err))
WRAP(yg_rows_next, (struct yg_rows * rows, struct yg_err *err), (rows, err))
WRAP(yg_db_begin, (struct yg_db * db, struct yg_err *err), (db, err))
WRAP(yg_db_begin_lazy, (struct yg_db * db, struct yg_err *err), (db, err))

int __real_yg_db_commit(struct yg_db *db, struct yg_err *err);
int __wrap_yg_db_commit(struct yg_db *db, struct yg_err *err);
int __wrap_yg_db_commit(struct yg_db *db, struct yg_err *err)
{
	if (strike(err) == 0)
		return __real_yg_db_commit(db, err);
	yg_db_rollback(db);
	return -1;
}

/* --- what is in the database ------------------------------------------------------------- */

/* A query without parameters that gives one text; `sql` must stay where it is. */
static char *ask_text(struct yg_db *db, const char *sql)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	struct yg_err err = {0};
	if (yg_db_query(db, sql, YG_DB_NO_ARGS, &rows, &err) < 0 || yg_rows_next(rows, &err) <= 0)
		fail_msg("%s: %s", sql, err.msg);
	const char *text = yg_rows_text(rows, 0);
	return strdup(text ? text : "");
}

#define LICENCE_KEY "2599d6426361170b55212de1d3867b1d6fe7eba5569494cc19e83eacb662f362"
#define TABLES      64
static char *queries[TABLES]; /* the content of each table as one text */

static void find_tables(struct yg_db *db)
{
	static char columns[TABLES][256];
	char *names YG_AUTO(mem) = ask_text(db,
		"SELECT group_concat(name) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
		"'sqlite%'");
	size_t n = 0;
	char *rest = names;
	for (char *name; (name = strsep(&rest, ",")); n++) {
		assert_true(n < TABLES);
		(void)snprintf(columns[n], sizeof(columns[n]),
			"SELECT group_concat('quote(' || name || ')', ' || '';'' || ') FROM "
			"pragma_table_info('%s')",
			name);
		char *list YG_AUTO(mem) = ask_text(db, columns[n]);
		queries[n] = yg_str_format(
			"SELECT group_concat(line, char(10)) FROM (SELECT %s AS line FROM "
			"%s ORDER BY 1)",
			list, name);
		assert_non_null(queries[n]);
	}
	assert_true(n > 10);
}

static char *dump(struct yg_db *db)
{
	char *all = strdup("");
	for (size_t i = 0; i < TABLES && queries[i]; i++) {
		char *before YG_AUTO(mem) = all;
		char *text YG_AUTO(mem) = ask_text(db, queries[i]);
		all = yg_str_format("%s\n--\n%s", before, text);
		assert_non_null(all);
	}
	return all;
}

/* --- the story --------------------------------------------------------------------------- */

#define CSR(c) #c #c #c #c #c #c #c #c #c #c #c #c #c #c #c #c
#define A64    CSR(aaaa)
#define B64    CSR(bbbb)
#define HELLO(role)                                                                                \
	"{\"protocol\":[1],\"version\":\"0.1.0\",\"kind\":\"agent\",\"roles\":[" role              \
	"],\"hostname\":\"h\",\"os\":\"Debian\",\"capabilities\":[\"scan\"],\"relay_port\":4122,"  \
	"\"addresses\":[\"10.0.0.5\"]}"
#define STATUS(set, version)                                                                       \
	"{\"time\":\"2026-11-21T22:47:43Z\",\"epoch\":\"11111111-2222-4333-8444-555555555555\","   \
	"\"state\":\"protected\",\"components\":[{\"name\":\"am-pattern\",\"version\":" version    \
	"}],\"set\":\"" set "\",\"rollback_set\":\"\",\"policy_fingerprint\":\"\",\"engine\":{"    \
	"\"state\":\"online\"}}"
#define ENTRIES(list) "{\"epoch\":\"11111111-2222-4333-8444-555555555555\",\"entries\":[" list "]}"
#define RESULT(seq, job, outcome, cause, set)                                                      \
	"{\"seq\":" seq ",\"kind\":\"result\",\"job\":\"" job "\",\"time\":"                       \
	"\"2026-11-21T22:47:43Z\",\"outcome\":\"" outcome "\",\"cause\":\"" cause                  \
	"\",\"sentence\":\"s\",\"detail\":{\"set\":\"" set "\"}}"
#define EVENT(seq, id, params)                                                                     \
	"{\"seq\":" seq ",\"kind\":\"event\",\"id\":" id ",\"time\":\"2026-11-21T22:47:43Z\","     \
	"\"params\":" params "}"
#define NEWEST(set, version)                                                                       \
	"{\"set\":\"" set "\",\"components\":[{\"name\":\"am-pattern\",\"version\":" version       \
	",\"family\":\"pattern\",\"manifest\":\"" A64 "\"}]}"

/* Who asks: a key, the agent, the relay, the system in a role. */
enum who { KEY, AGENT, RELAY, SYSTEM };

/* "$3" in arguments and what is kept stand for values of answers before: $0 … $9. */
static const struct {
	enum store_caller caller;
	enum who who;
	const char *op, *args;
	int keep; /* slot; -1: nothing */
	const char
		*from; /* member of the answer; "commands": the job of the first command with one */
} story[] = {
	{STORE_PARENT, SYSTEM, "keys.first", "{}", 0, "key"},
	{STORE_CA, SYSTEM, "ca.put", "{\"ca_bundle\":\"PEM\",\"spki_sha256\":\"" A64 "\"}", -1,
		NULL},
	{STORE_CA, SYSTEM, "secrets.put", "{\"name\":\"ca\",\"data\":\"AAAA\"}", -1, NULL},
	{STORE_CA, SYSTEM, "secrets.get", "{\"name\":\"ca\"}", -1, NULL},
	{STORE_WEB, KEY, "policies.create", "{\"name\":\"p\",\"document\":{}}", 1, "id"},
	{STORE_WEB, KEY, "tokens.create", "{\"uses\":3,\"policy\":\"$1\"}", 2, "token"},
	{STORE_SESSION, SYSTEM, "agents.activate",
		"{\"token\":\"$2\",\"hello\":" HELLO("") ",\"csr_sha256\":\"" A64
							 "\",\"address\":\"10.0.0.1\"}",
		3, "agent_id"},
	{STORE_CA, SYSTEM, "agents.certificate",
		"{\"agent_id\":\"$3\",\"serial\":\"0A\",\"not_after\":\"2099-01-01T00:00:00Z\"}",
		-1, NULL},
	{STORE_SESSION, SYSTEM, "agents.activate",
		"{\"token\":\"$2\",\"hello\":" HELLO("\"relay\"") ",\"csr_sha256\":\"" B64
								  "\",\"address\":\"10.0.0.2\"}",
		4, "agent_id"},
	{STORE_CA, SYSTEM, "agents.certificate",
		"{\"agent_id\":\"$4\",\"serial\":\"0B\",\"not_after\":\"2099-01-01T00:00:00Z\"}",
		-1, NULL},
	{STORE_SESSION, AGENT, "agents.heartbeat",
		"{\"hello\":" HELLO("") ",\"status\":" STATUS("", "1") ",\"address\":\"10.0.0.1\"}",
		-1, NULL},
	{STORE_SESSION, RELAY, "agents.heartbeat",
		"{\"hello\":" HELLO(
			"\"relay\"") ",\"status\":" STATUS("", "1") ",\"address\":\"10.0.0.2\"}",
		-1, NULL},
	{STORE_SESSION, AGENT, "agents.policy", "{}", -1, NULL},
	{STORE_SESSION, AGENT, "agents.renew", "{}", -1, NULL},
	{STORE_SESSION, AGENT, "agents.ca", "{}", -1, NULL},
	{STORE_WEB, KEY, "settings.update",
		"{\"heartbeat_interval_s\":30,\"source\":{\"url\":\"https://u\"}}", -1, NULL},
	{STORE_CONTENT, SYSTEM, "content.settings", "{}", -1, NULL},
	{STORE_CONTENT, SYSTEM, "components.check.failed",
		"{\"cause\":\"net.refused\",\"sentence\":\"s\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.update",
		"{\"id\":\"$4\",\"name\":\"r\",\"group\":\"g\",\"relay_urls\":[\"https://r:1\"]}",
		-1, NULL},
	{STORE_WEB, KEY, "relay_groups.create", "{\"name\":\"site\",\"default\":true}", 9, "id"},
	{STORE_WEB, KEY, "relay_groups.update",
		"{\"id\":\"$9\",\"name\":\"here\",\"parent\":\"00000000-0000-4000-8000-000000000001\"}",
		-1, NULL},
	{STORE_WEB, KEY, "computers.update",
		"{\"id\":\"$4\",\"relay_group\":\"$9\",\"relay_on\":false}", -1, NULL},
	{STORE_WEB, KEY, "computers.update", "{\"id\":\"$4\",\"relay_on\":true}", -1, NULL},
	{STORE_SESSION, RELAY, "agents.renew", "{}", -1, NULL},
	{STORE_SESSION, RELAY, "agents.heartbeat",
		"{\"hello\":" HELLO(
			"\"relay\"") ",\"status\":" STATUS("", "1") ",\"address\":\"10.0.0.2\"}",
		-1, NULL},
	{STORE_WEB, KEY, "relay_groups.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "relay_groups.get", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.update",
		"{\"id\":\"$4\",\"relay_group\":\"00000000-0000-4000-8000-000000000001\",\"relay_on\":null}",
		-1, NULL},
	{STORE_WEB, KEY, "relay_groups.update",
		"{\"id\":\"00000000-0000-4000-8000-000000000001\",\"default\":true}", -1, NULL},
	{STORE_WEB, KEY, "relay_groups.delete", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_SESSION, RELAY, "agents.commands", "{\"after\":0}", -1, NULL},
	{STORE_SESSION, RELAY, "agents.commands", "{\"after\":100}", -1, NULL},
	{STORE_SESSION, AGENT, "agents.commands", "{\"after\":100}", -1, NULL},
	{STORE_WEB, KEY, "jobs.create", "{\"kind\":\"update\",\"computers\":\"all\"}", 5, "id"},
	{STORE_SESSION, RELAY, "agents.commands", "{\"after\":0}", 6, "commands"},
	{STORE_SESSION, RELAY, "events.add", ENTRIES(RESULT("1", "$6", "success", "", A64)), -1,
		NULL},
	{STORE_CONTENT, SYSTEM, "components.newest.put", NEWEST(A64, "2"), -1, NULL},
	{STORE_SESSION, AGENT, "agents.commands", "{\"after\":0}", -1, NULL},
	/* One more joins, and aims at something newer. */
	{STORE_WEB, KEY, "jobs.create", "{\"kind\":\"update\",\"computers\":[\"$3\"]}", 7, "id"},
	{STORE_SESSION, RELAY, "agents.commands", "{\"after\":200}", 6, "commands"},
	{STORE_SESSION, RELAY, "events.add", ENTRIES(RESULT("2", "$6", "success", "", B64)), -1,
		NULL},
	{STORE_CONTENT, SYSTEM, "components.newest.put", NEWEST(B64, "3"), -1, NULL},
	{STORE_SESSION, AGENT, "events.add",
		ENTRIES(EVENT("1", "5000", "{\"version\":\"1\"}") "," RESULT("2", "$5", "success",
			"", A64) "," EVENT("3", "54321", "{}")),
		-1, NULL},
	{STORE_SESSION, AGENT, "events.add",
		ENTRIES(RESULT("4", "$7", "failed", "engine.load", A64)), -1, NULL},
	{STORE_WEB, KEY, "computers.policy", "{\"id\":\"$3\"}", 8, "job"},
	{STORE_SESSION, AGENT, "agents.commands", "{\"after\":0}", -1, NULL},
	{STORE_SESSION, AGENT, "events.add",
		ENTRIES(EVENT("5", "1001",
			"{\"command\":\"SET_CONFIG\",\"code\":1,\"error\":\"e\"}")),
		-1, NULL},
	{STORE_WEB, KEY, "jobs.create",
		"{\"kind\":\"scan\",\"computers\":[\"$3\"],\"paths\":[\"/srv\"]}", -1, NULL},
	{STORE_WEB, KEY, "tasks.create",
		"{\"name\":\"t\",\"kind\":\"scan\",\"paths\":[\"/srv\"],\"schedule\":{\"type\":\"hourly\"},"
		"\"target\":{\"type\":\"computers\",\"computers\":[\"$3\"]}}",
		9, "id"},
	{STORE_WEB, KEY, "tasks.update", "{\"id\":\"$9\",\"missed\":\"skip\"}", -1, NULL},
	{STORE_WEB, KEY, "tasks.run", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "tasks.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "tasks.get", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "tasks.delete", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "licences.key",
		"{\"key\":{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"" LICENCE_KEY
		"\"}}}",
		9, "id"},
	{STORE_WEB, KEY, "licences.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "licences.delete", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.update",
		"{\"id\":\"$3\",\"content\":{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":1}}}", -1,
		NULL},
	{STORE_WEB, KEY, "alerts.list", "{\"state\":\"all\"}", -1, NULL},
	{STORE_WEB, KEY, "expiry.list", "{}", -1, NULL},
	{STORE_CA, SYSTEM, "ca.issued", "{\"role\":\"web\",\"not_after\":\"2036-01-01T00:00:00Z\"}",
		-1, NULL},
	{STORE_CONTENT, SYSTEM, "components.check.failed",
		"{\"cause\":\"net.dns\",\"sentence\":\"x\"}", -1, NULL},
	{STORE_WEB, KEY, "status.get", "{}", -1, NULL},
	{STORE_WEB, KEY, "computers.list", "{\"text\":\"h\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.get", "{\"id\":\"$3\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.components", "{\"id\":\"$3\"}", -1, NULL},
	{STORE_WEB, KEY, "jobs.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "jobs.get", "{\"id\":\"$5\"}", -1, NULL},
	{STORE_WEB, KEY, "events.search", "{\"text\":\"a\"}", -1, NULL},
	{STORE_WEB, KEY, "events.search", "{\"computer\":\"$3\"}", -1, NULL},
	{STORE_WEB, KEY, "components.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "settings.get", "{}", -1, NULL},
	{STORE_WEB, KEY, "policies.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "policies.get", "{\"id\":\"$1\"}", -1, NULL},
	{STORE_WEB, KEY, "policies.update", "{\"id\":\"$1\",\"document\":{\"am\":{\"x\":1}}}", -1,
		NULL},
	{STORE_WEB, KEY, "computers.delete", "{\"id\":\"$3\"}", -1, NULL},
	{STORE_WEB, KEY, "computers.delete", "{\"id\":\"$4\"}", -1, NULL},
	{STORE_WEB, KEY, "policies.delete", "{\"id\":\"$1\"}", -1, NULL},
	{STORE_WEB, KEY, "tokens.create", "{}", 9, "id"},
	{STORE_WEB, KEY, "tokens.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "tokens.delete", "{\"id\":\"$9\"}", -1, NULL},
	{STORE_WEB, KEY, "keys.create", "{\"name\":\"k\",\"role\":\"read\"}", 9, "id"},
	{STORE_WEB, KEY, "keys.list", "{}", -1, NULL},
	{STORE_WEB, KEY, "keys.delete", "{\"id\":\"$9\"}", -1, NULL},
};

static char kept[10][SECRET_MAX];
static size_t notices;

static bool noticed(void *ctx, const char *peer, const char *name, json_t *body)
{
	(void)ctx;
	(void)peer;
	(void)name;
	json_decref(body);
	notices++;
	return true;
}

static char *filled(const char *text)
{
	char *out = strdup("");
	while (*text) {
		char *before YG_AUTO(mem) = out;
		size_t len = strcspn(text, "$");
		const char *value = text[len] ? kept[text[len + 1] - '0'] : "";
		out = yg_str_format("%s%.*s%s", before, (int)len, text, value);
		assert_non_null(out);
		text += len + (text[len] ? 2 : 0);
	}
	return out;
}

static json_t *asker(enum who who)
{
	if (who == KEY)
		return json_pack("{s:s, s:s}", "kind", "key", "key", kept[0]);
	if (who == SYSTEM)
		return json_pack("{s:s}", "kind", "system");
	return json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", kept[who == AGENT ? 3 : 4],
		"serial", who == AGENT ? "0A" : "0B");
}

static void keep(size_t row, const json_t *answer)
{
	const char *value = json_string_value(json_object_get(answer, story[row].from));
	size_t i;
	json_t *command;
	json_array_foreach(json_object_get(answer, "commands"), i, command)
	{
		const char *job = json_string_value(json_object_get(command, "job"));
		value = value ? value : job;
	}
	if (story[row].keep < 0)
		return;
	if (!value || !yg_str_put(kept[story[row].keep], SECRET_MAX, "%s", value))
		fail_msg("%s: no %s", story[row].op, story[row].from);
}

static void open_store(struct store **store, const char *folder)
{
	struct yg_err err = {0};
	char where[256];
	(void)snprintf(where, sizeof(where), "sqlite:%s/db", folder);
	if (store_open(store, where, &err) < 0)
		fail_msg("%s", err.msg);
	(*store)->notify = noticed;
	(*store)->now_s = 1795305600;
	(*store)->has_content = true;
}

static void every_operation(void **state)
{
	(void)state;
	char folder[] = "/tmp/yagura-fault-XXXXXX";
	assert_non_null(mkdtemp(folder));
	struct store *store YG_AUTO(store) = NULL;
	open_store(&store, folder);
	find_tables(store->db);
	long faults = 0;
	for (size_t row = 0; row < YG_COUNT(story); row++) {
		char *before YG_AUTO(mem) = dump(store->db);
		char *args YG_AUTO(mem) = filled(story[row].args);
		for (long at = 1;; at++) {
			struct yg_err err = {0};
			json_error_t bad;
			json_t *answer YG_AUTO(yg_json) = NULL;
			json_t *parsed = json_loads(args, 0, &bad);
			if (!parsed)
				fail_msg("%s: %s: %s", story[row].op, bad.text, args);
			json_t *call YG_AUTO(yg_json) = json_pack("{s:s, s:o, s:o}", "op",
				story[row].op, "args", parsed, "who", asker(story[row].who));
			plan.at = at;
			plan.count = 0;
			plan.fired = false;
			notices = 0;
			int rc = store_call(store, story[row].caller, call, &answer, &err);
			plan.at = 0;
			if (!plan.fired) { /* beyond its last call */
				if (rc < 0)
					fail_msg("%zu %s: %s", row, story[row].op, err.msg);
				keep(row, answer);
				faults += at - 1;
				break;
			}
			if (rc == 0)
				fail_msg("%zu %s: the fault at %ld was not noticed", row,
					story[row].op, at);
			if (err.code != YG_ESYSTEM || !strstr(err.msg, "a fault of the test"))
				fail_msg("%zu %s: at %ld: '%s'", row, story[row].op, at, err.msg);
			assert_int_equal(notices, 0);
			assert_false(yg_db_in_transaction(store->db));
			char *after YG_AUTO(mem) = dump(store->db);
			if (strcmp(before, after) != 0)
				fail_msg("%zu %s: at %ld: half done", row, story[row].op, at);
		}
	}
	print_message("%zu operations, %ld faults\n", YG_COUNT(story), faults);
	assert_true(faults > 500);
	struct yg_err err = {0};
	assert_int_equal(yg_fs_remove(AT_FDCWD, folder, &err), 0);
}

/* One row as it is, without a fault. */
static void play(struct store *store, size_t row)
{
	struct yg_err err = {0};
	char *args YG_AUTO(mem) = filled(story[row].args);
	json_t *answer YG_AUTO(yg_json) = NULL;
	json_t *call YG_AUTO(yg_json) = json_pack("{s:s, s:o, s:o}", "op", story[row].op, "args",
		json_loads(args, 0, NULL), "who", asker(story[row].who));
	if (store_call(store, story[row].caller, call, &answer, &err) < 0)
		fail_msg("%zu %s: %s", row, story[row].op, err.msg);
	keep(row, answer);
}

/* What happens by the clock: a deadline that meets a fault comes with the next tick, once. */
static void every_tick(void **state)
{
	(void)state;
	bool fired = true;
	long at;
	for (at = 1; fired; at++) {
		char folder[] = "/tmp/yagura-fault-XXXXXX";
		assert_non_null(mkdtemp(folder));
		struct store *store YG_AUTO(store) = NULL;
		struct yg_err err = {0};
		open_store(&store, folder);
		store->started_s = store->now_s;
		for (size_t row = 0; row == 0 || strcmp(story[row - 1].op, "jobs.create") != 0;
			row++)
			play(store, row);
		store->now_s += 40000;
		plan.at = at;
		plan.count = 0;
		plan.fired = false;
		store_tick(store);
		plan.at = 0;
		fired = plan.fired;
		store_tick(store);
		char *ends YG_AUTO(mem) = ask_text(store->db,
			"SELECT (SELECT group_concat(state || outcome) FROM jobs) || ' ' || (SELECT count(*) FROM "
			"events WHERE id = 2205) || ' ' || (SELECT count(*) FROM events WHERE id = 785) || ' ' || "
			"(SELECT count(*) FROM events WHERE id = 730)");
		if (strcmp(ends, "donefailed 1 3 2") != 0)
			fail_msg("at %ld: '%s'", at, ends);
		store_free(yg_take(store));
		assert_int_equal(yg_fs_remove(AT_FDCWD, folder, &err), 0);
	}
	print_message("%ld faults\n", at - 2);
	assert_true(at > 50);
}

int main(void)
{
	yg_log_init("manager_store_fault", YG_LOG_ERROR); /* the faults themselves are warnings */
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_operation),
		cmocka_unit_test(every_tick)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (size_t i = 0; i < TABLES; i++)
		free(queries[i]);
	return failed;
}
