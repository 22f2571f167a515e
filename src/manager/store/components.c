/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The newest content that the Manager has verified itself, and who runs what. */
#include <stdio.h>
#include <string.h>

#include "manager/store/alerts.h"
#include "manager/store/content.h"
#include "manager/store/store.h"
#include "proto/event.h"
#include "proto/wire.h"

json_t *store_component_newest(struct store *store, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	if (store_fact_get(store, "newest", &text, &absent) < 0) {
		if (absent.code == YG_EABSENT)
			return json_null();
		*err = absent;
		return NULL;
	}
	return store_parse(text);
}

#define EARLIER     "newest_earlier" /* fact: array of digests, the last one first */
#define EARLIER_MAX 50

static int earlier(struct store *store, json_t **out, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	if (store_fact_get(store, EARLIER, &text, &absent) < 0 && absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	return store_give(text ? store_parse(text) : json_array(), out, err);
}

static int find_set(const json_t *list, const char *set)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), set) == 0)
			return (int)i;
	return -1;
}

int store_component_was_newest(struct store *store, const char *set, bool *out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = NULL;
	if (earlier(store, &list, err) < 0)
		return -1;
	*out = find_set(list, set) >= 0;
	return 0;
}

/* `now` is the newest, `old` (or NULL) no longer. */
static int keep_earlier(struct store *store, const char *old, const char *now, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = NULL;
	if (earlier(store, &list, err) < 0)
		return -1;
	int again = find_set(list, now);
	if (again >= 0)
		(void)json_array_remove(list, (size_t)again);
	if (old && json_array_insert_new(list, 0, json_string(old)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	while (json_array_size(list) > EARLIER_MAX)
		(void)json_array_remove(list, EARLIER_MAX);
	char *text YG_AUTO(mem) = yg_json_text(list);
	return text ? store_fact_put(store, EARLIER, text, err)
		    : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int check(const json_t *args, struct yg_err *err)
{
	const char *set;
	json_t *components;
	if (yg_json_str(args, "set", 64, &set, err) < 0 ||
		yg_json_array(args, "components", 256, &components, err) < 0)
		return -1;
	if (!yg_wire_digest_ok(set))
		return yg_fail(err, YG_EFORMAT, "set: want 64 hex digits, have '%s'", set);
	size_t i;
	json_t *item;
	json_array_foreach(components, i, item)
	{
		const char *text;
		int64_t version;
		if (yg_json_str(item, "name", 64, &text, err) < 0 ||
			yg_json_int(item, "version", 0, INT64_MAX / 2, &version, err) < 0 ||
			yg_json_str_or(item, "family", 16, "pattern", &text, err) < 0 ||
			yg_json_str_or(item, "manifest", 64, "", &text, err) < 0)
			return yg_wrap(err, "components[%zu]", i);
	}
	return 0;
}

int op_components_newest_put(struct store *store, const struct store_asker *asker,
	const json_t *args, json_t **out, struct yg_err *err)
{
	(void)asker;
	if (check(args, err) < 0)
		return -1;
	json_t *before YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!before)
		return -1;
	const char *set = json_string_value(json_object_get(args, "set"));
	const char *old = json_string_value(json_object_get(before, "set"));
	bool changed = !old || strcmp(old, set) != 0;

	json_t *components = json_object_get(args, "components");
	json_t *newest YG_AUTO(yg_json) = json_pack("{s:s, s:O, s:o}", "set", set, "components",
		components, "checked", store_time(store->clock_s));
	char *text YG_AUTO(mem) = newest ? yg_json_text(newest) : NULL;
	char moment[24];
	(void)snprintf(moment, sizeof(moment), "%lld", (long long)store->clock_s);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (store_fact_put(store, "newest", text, err) < 0 ||
		store_fact_put(store, "newest_checked", moment, err) < 0 ||
		store_fact_put(store, "check_failed", "null", err) < 0 ||
		store_alert_well(store, "check_failed", "", "success", err) < 0)
		return -1;
	if (changed &&
		(store_fact_put(store, "newest_since", moment, err) < 0 ||
			keep_earlier(store, old, set, err) < 0))
		return -1;
	if (changed) {
		json_t *was = json_object_get(before, "components");
		json_t *what YG_AUTO(yg_json) = store_computer_difference(was, components);
		json_t *params = json_pack("{s:s}", "set", set);
		if (what)
			(void)json_object_set(params, "components", what);
		if (store_event(store, 20005, NULL, NULL, params, err) < 0)
			return -1;
	}
	const json_t *ends = json_object_get(args, "expires");
	char *expires YG_AUTO(mem) = json_is_object(ends) ? yg_json_text(ends) : NULL;
	if (expires && store_fact_put(store, "newest_expires", expires, err) < 0)
		return -1;
	store->next_expiry_s = 0;
	if (store_job_checked(store, err) < 0)
		return -1;
	return store_give(json_pack("{s:b}", "changed", changed), out, err);
}

int op_components_check_failed(struct store *store, const struct store_asker *asker,
	const json_t *args, json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *cause;
	const char *sentence;
	if (yg_json_str_or(args, "cause", YG_ERR_CAUSE_MAX, "", &cause, err) < 0 ||
		yg_json_str_or(args, "sentence", 4096, "", &sentence, err) < 0)
		return -1;
	json_t *failure YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:o}", "cause", cause, "sentence",
		sentence, "time", store_time(store->clock_s));
	char *text YG_AUTO(mem) = failure ? yg_json_text(failure) : NULL;
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	/* Nothing set up yet is not a failure: the status says what to do, no event cries. */
	if (strcmp(cause, "update.source_unset") != 0 &&
		(store_event(store, 103, NULL, NULL,
			 json_pack("{s:s, s:s}", "cause", cause, "detail", sentence), err) < 0 ||
			store_alert_failing(store, "check_failed", "",
				json_pack("{s:s, s:s}", "cause", cause, "detail", sentence), NULL,
				err) < 0))
		return -1;
	if (store_fact_put(store, "check_failed", text, err) < 0 ||
		store_job_checked(store, err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}

/* {name: {"name", "newest", "versions": [{version, computers}]}} as a list by name. */
static int who_runs(struct store *store, const json_t *newest, json_t *items, struct yg_err *err)
{
	size_t i;
	json_t *component;
	json_array_foreach(json_object_get(newest, "components"), i,
		component) if (store_add(items,
				       json_pack("{s:O, s:O, s:[]}", "name",
					       json_object_get(component, "name"), "newest",
					       json_object_get(component, "version"), "versions"),
				       err) < 0) return -1;

	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT k.name, k.version, count(*) FROM computer_components k JOIN computers c ON "
		    "c.id = k.computer WHERE c.deleted = 0 GROUP BY k.name, k.version ORDER BY k.name, "
		    "k.version DESC",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *name = yg_rows_text(rows, 0);
		json_t *item = NULL;
		json_array_foreach(items, i,
			component) if (strcmp(json_string_value(json_object_get(component, "name")),
					       name) == 0) item = component;
		if (!item) {
			item = json_pack("{s:s, s:n, s:[]}", "name", name, "newest", "versions");
			if (store_add(items, item, err) < 0)
				return -1;
		}
		if (store_add(json_object_get(item, "versions"),
			    json_pack("{s:I, s:I}", "version", (json_int_t)yg_rows_int(rows, 1),
				    "computers", (json_int_t)yg_rows_int(rows, 2)),
			    err) < 0)
			return -1;
	}
	return more;
}

int op_components_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *items YG_AUTO(yg_json) = json_array();
	json_t *sets YG_AUTO(yg_json) = json_array();
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || who_runs(store, newest, items, err) < 0)
		return -1;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT set_has, count(*) FROM computers WHERE deleted = 0 AND activated IS NOT NULL "
		    "GROUP BY set_has ORDER BY count(*) DESC, set_has LIMIT 100",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(sets,
			    json_pack("{s:s, s:I}", "set", yg_rows_text(rows, 0), "computers",
				    (json_int_t)yg_rows_int(rows, 1)),
			    err) < 0)
			return -1;
	if (more < 0)
		return -1;
	return store_give(json_pack("{s:O, s:O, s:O}", "newest", newest, "sets", sets, "items",
				  items),
		out, err);
}

int op_manager_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	char *language YG_AUTO(mem) = NULL;
	if (store_setting_text(store, "language", &language, err) < 0)
		return -1;
	return store_give(json_pack("{s:s, s:s, s:s}", "manager_id", store->manager_id, "version",
				  YG_VERSION, "language", language),
		out, err);
}

static int count_states(struct store *store, const json_t *newest, json_t **out, struct yg_err *err)
{
	json_t *by_state YG_AUTO(yg_json) = json_object();
	int64_t total = 0;
	int64_t online = 0;
	int64_t offline = 0;
	int64_t waiting = 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT state, count(*) FROM computers WHERE deleted = 0 GROUP BY state",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *state = yg_rows_text(rows, 0);
		int64_t count = yg_rows_int(rows, 1);
		total += count;
		if (strcmp(state, "Activation Required") == 0)
			waiting += count;
		else if (strcmp(state, "Managed (Offline)") == 0)
			offline += count;
		else
			online += count;
		(void)json_object_set_new(by_state, state, json_integer((json_int_t)count));
	}
	if (more < 0)
		return -1;
	int64_t protected = 0;
	int64_t old = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM computers WHERE deleted = 0 AND online = 1 AND protection = 'protected'",
		    YG_DB_NO_ARGS, &protected, err) < 0)
		return -1;
	if (store_content_out_of_date(store, newest, &old, err) < 0)
		return -1;
	return store_give(json_pack("{s:I, s:I, s:I, s:I, s:O, s:I, s:I}", "total",
				  (json_int_t)total, "online", (json_int_t)online, "offline",
				  (json_int_t)offline, "activation_required", (json_int_t)waiting,
				  "by_state", by_state, "protected", (json_int_t) protected,
				  "out_of_date", (json_int_t)old),
		out, err);
}

/* {level: how many stand} */
static int count_alerts(struct store *store, json_t **out, struct yg_err *err)
{
	int64_t warnings = 0;
	int64_t errors = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM alerts WHERE ended IS NULL AND level = $1",
		    YG_DB_ARGS(yg_db_int(YG_EVENT_WARNING)), &warnings, err) < 0 ||
		yg_db_number(store->db,
			"SELECT count(*) FROM alerts WHERE ended IS NULL AND level = $1",
			YG_DB_ARGS(yg_db_int(YG_EVENT_ERROR)), &errors, err) < 0)
		return -1;
	return store_give(json_pack("{s:I, s:I}", "warning", (json_int_t)warnings, "error",
				  (json_int_t)errors),
		out, err);
}

/* {cause, sentence, time} of the last look at the update source, when that failed; else null. */
static int check_failure(struct store *store, json_t **out, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	if (store_fact_get(store, "check_failed", &text, &absent) < 0 &&
		absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	*out = store_parse(text);
	return 0;
}

int op_status_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	json_t *computers YG_AUTO(yg_json) = NULL;
	json_t *check YG_AUTO(yg_json) = NULL;
	json_t *alerts YG_AUTO(yg_json) = NULL;
	int64_t running = 0;
	if (!newest || check_failure(store, &check, err) < 0 ||
		count_states(store, newest, &computers, err) < 0 ||
		count_alerts(store, &alerts, err) < 0 ||
		yg_db_number(store->db, "SELECT count(*) FROM jobs WHERE state = 'running'",
			YG_DB_NO_ARGS, &running, err) < 0)
		return -1;
	return store_give(json_pack("{s:s, s:s, s:o, s:{s:s, s:i}, s:O, s:O, s:O, s:{s:I}, s:O}",
				  "version", YG_VERSION, "manager_id", store->manager_id, "time",
				  store_time(store->clock_s), "database", "kind",
				  yg_db_kind(store->db) == YG_DB_SQLITE ? "sqlite" : "postgresql",
				  "migration", store->migration, "computers", computers, "newest",
				  newest, "check_failed", check, "jobs", "running",
				  (json_int_t)running, "alerts", alerts),
		out, err);
}
