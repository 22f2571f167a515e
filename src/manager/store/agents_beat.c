/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What agents say of themselves, and their silence. */
#include <stdlib.h>
#include <string.h>

#include "manager/store/alerts.h"
#include "manager/store/store.h"
#include "proto/wire.h"

#define REVOKED_MAX 10000 /* serial numbers in a heartbeat's answer */

/* The row as it was before this heartbeat. */
struct before {
	bool online, relay, may_relay, seen;
	char *components, *hello; /* owned */
};

static void before_free_at(struct before *before)
{
	free(before->components);
	free(before->hello);
}

static int read_before(struct store *store, const char *id, struct before *before,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT online, relay, CASE WHEN relay_on IS NULL THEN relay_allowed ELSE relay_on END, "
		    "last_contact, components, hello FROM computers WHERE "
		    "id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", id);
	before->online = yg_rows_int(rows, 0) != 0;
	before->relay = yg_rows_int(rows, 1) != 0;
	before->may_relay = yg_rows_int(rows, 2) != 0;
	before->seen = !yg_rows_null(rows, 3);
	before->components = strdup(yg_rows_text(rows, 4));
	before->hello = strdup(yg_rows_text(rows, 5));
	return before->components && before->hello ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int write_components(struct store *store, const char *id, const json_t *list,
	struct yg_err *err)
{
	if (yg_db_exec(store->db, "DELETE FROM computer_components WHERE computer = $1",
		    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0)
		return -1;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) if (
		yg_db_exec(store->db,
			"INSERT INTO computer_components (computer, name, version) VALUES ($1, $2, $3) ON "
			"CONFLICT DO NOTHING",
			YG_DB_ARGS(yg_db_text(id),
				yg_db_text(json_string_value(json_object_get(item, "name"))),
				yg_db_int(json_integer_value(json_object_get(item, "version")))),
			NULL, err) < 0) return -1;
	return 0;
}

static int write_row(struct store *store, const struct store_asker *asker,
	const struct yg_wire_hello *hello, const char *hello_text, const json_t *status, bool relay,
	const char *components, const char *address, struct yg_err *err)
{
	char *text YG_AUTO(mem) = yg_json_text(status);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_db_exec(store->db,
		    "UPDATE computers SET hostname = $2, kind = $3, address = CASE WHEN $4 = '' THEN address ELSE "
		    "$4 END, protection = $5, relay = $6, relay_port = $7, policy_has = $8, set_has = $9, hello = "
		    "$10, status = $11, components = $12, online = 1, last_contact = $13 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(asker->id), yg_db_text(hello->hostname),
			    yg_db_text(hello->appliance ? "appliance" : "agent"),
			    yg_db_text(address),
			    yg_db_text(json_string_value(json_object_get(status, "state"))),
			    yg_db_int(relay),
			    yg_db_int(hello->relay_port ? hello->relay_port : STORE_RELAY_PORT),
			    yg_db_text(json_string_value(
				    json_object_get(status, "policy_fingerprint"))),
			    yg_db_text(json_string_value(json_object_get(status, "set"))),
			    yg_db_text(hello_text), yg_db_text(text), yg_db_text(components),
			    yg_db_int(store->clock_s)),
		    NULL, err) < 0)
		return -1;
	return store_agent_restate(store, asker->id, err);
}

static int revoked(struct store *store, bool relay, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (!relay) { /* nobody connects to it */
		*out = yg_take(list);
		return 0;
	}
	if (yg_db_query(store->db,
		    "SELECT serial FROM certificates WHERE revoked = 1 AND not_after > $1 ORDER BY not_after "
		    "DESC LIMIT $2",
		    YG_DB_ARGS(yg_db_int(store->clock_s), yg_db_int(REVOKED_MAX)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	*out = yg_take(list);
	return 0;
}

static int answer(struct store *store, const struct store_asker *asker, bool relay, json_t **out,
	struct yg_err *err)
{
	int64_t interval_s = 0;
	char fingerprint[65];
	char *ca YG_AUTO(mem) = NULL;
	json_t *settings YG_AUTO(yg_json) = NULL;
	json_t *serials YG_AUTO(yg_json) = NULL;
	if (store_setting_int(store, "heartbeat_interval_s", &interval_s, err) < 0 ||
		store_policy_fingerprint(store, asker->id, fingerprint, err) < 0 ||
		store_fact_get(store, "ca_bundle_sha256", &ca, err) < 0 ||
		store_settings_for_agent(store, asker->id, relay, &settings, err) < 0 ||
		revoked(store, relay, &serials, err) < 0)
		return -1;
	return store_give(json_pack("{s:o, s:I, s:{s:s}, s:O, s:O, s:s}", "time",
				  store_time(store->clock_s), "interval_s", (json_int_t)interval_s,
				  "policy", "fingerprint", fingerprint, "settings", settings,
				  "revoked", serials, "ca_bundle_sha256", ca),
		out, err);
}

int op_agents_heartbeat(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *address;
	json_t *hello_json;
	json_t *status;
	struct yg_wire_hello hello;
	struct before before __attribute__((cleanup(before_free_at))) = {0};
	if (yg_json_str_or(args, "address", 64, "", &address, err) < 0 ||
		yg_json_object(args, "hello", &hello_json, err) < 0 ||
		yg_json_object(args, "status", &status, err) < 0 ||
		yg_wire_check(YG_WIRE_STATUS, status, err) < 0)
		return -1;
	if (yg_wire_hello(hello_json, &hello, err) < 0)
		return yg_wrap(err, "hello");
	if (read_before(store, asker->id, &before, err) < 0)
		return -1;

	bool relay = hello.relay && before.may_relay;
	json_t *list = json_object_get(status, "components");
	char *components YG_AUTO(mem) = yg_json_text(list);
	char *hello_text YG_AUTO(mem) = yg_json_text(hello_json);
	if (!components || !hello_text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (write_row(store, asker, &hello, hello_text, status, relay, components, address, err) <
		0)
		return -1;
	if (strcmp(components, before.components) != 0 &&
		write_components(store, asker->id, list, err) < 0)
		return -1;
	if (!before.online && before.seen &&
		store_event(store, 731, asker->id, NULL,
			json_pack("{s:s}", "computer", asker->name), err) < 0)
		return -1;
	bool moved = relay && strcmp(hello_text, before.hello) != 0;
	if ((relay != before.relay || moved) && store_command_all(store, "settings", "", err) < 0)
		return -1;

	/* Nobody waits for what is not there, and it does not fail. */
	if (before.relay && !relay &&
		(store_job_no_relay(store, asker->id, err) < 0 ||
			store_alert_well(store, "relay_failed", asker->id, "settings", err) < 0))
		return -1;

	json_t *update = json_object_get(status, "update");
	if (json_is_object(update) && store_job_progress(store, asker->id, update, err) < 0)
		return -1;
	if (store_alerts_heartbeat(store, asker->id, asker->name, status, err) < 0)
		return -1;
	if (store_job_policy(store, asker->id,
		    json_string_value(json_object_get(status, "policy_fingerprint")), err) < 0)
		return -1;
	return answer(store, asker, relay, out, err);
}

int store_agent_offline(struct store *store, struct yg_err *err)
{
	int64_t interval_s = 0;
	int64_t missed = 0;
	if (store_setting_int(store, "heartbeat_interval_s", &interval_s, err) < 0 ||
		store_setting_int(store, "offline_after", &missed, err) < 0)
		return -1;
	/* After our own absence everybody gets the whole time again. */
	int64_t limit_s = interval_s * missed;
	if (store->clock_s - store->started_s < limit_s)
		return 0;

	json_t *gone YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, name, last_contact FROM computers WHERE online = 1 AND last_contact < $1 AND "
		    "deleted = 0 LIMIT 1000",
		    YG_DB_ARGS(yg_db_int(store->clock_s - limit_s)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(gone,
			    json_pack("[s, s, o]", yg_rows_text(rows, 0), yg_rows_text(rows, 1),
				    store_time(yg_rows_int(rows, 2))),
			    err) < 0)
			return -1;
	if (more < 0)
		return -1;
	size_t i;
	json_t *item;
	json_array_foreach(gone, i, item)
	{
		const char *id = json_string_value(json_array_get(item, 0));
		if (yg_db_exec(store->db, "UPDATE computers SET online = 0 WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
			store_agent_restate(store, id, err) < 0 ||
			store_event(store, 730, id, NULL,
				json_pack("{s:O, s:O}", "computer", json_array_get(item, 1),
					"since", json_array_get(item, 2)),
				err) < 0)
			return -1;
	}
	return 0;
}
