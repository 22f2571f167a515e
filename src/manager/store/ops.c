/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Every operation of the store, who may ask for it, and what happens around each: the asker is
 * checked, a transaction begins, the operation runs, the transaction ends, notices go out. The page
 * for those who call is docs/store-ops.md.
 */
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "manager/store/alerts.h"
#include "manager/store/diagnosis.h"
#include "manager/store/diagnostics.h"
#include "manager/store/expiry.h"
#include "manager/store/groups.h"
#include "manager/store/licences.h"
#include "manager/store/store.h"
#include "manager/store/tasks.h"
#include "manager/store/tests.h"

#define PEOPLE    STORE_WEB, STORE_KEY
#define AGENTS    STORE_SESSION, STORE_AGENT
#define REFUSED_S 10 /* between two events of a kind about somebody turned away */
#define TRIES_MAX 4  /* transactions that crossed another one are done again */

const struct store_op store_ops[] = {
	{"status.get", PEOPLE, false, op_status_get, false},
	{"manager.get", STORE_WEB | STORE_SESSION | STORE_CA | STORE_CONTENT | STORE_PARENT,
		STORE_SYSTEM, false, op_manager_get, false},
	{"computers.list", PEOPLE, false, op_computers_list, false},
	{"computers.get", PEOPLE, false, op_computers_get, false},
	{"computers.update", PEOPLE, true, op_computers_update, false},
	{"computers.delete", PEOPLE, true, op_computers_delete, false},
	{"computers.components", PEOPLE, false, op_computers_components, false},
	{"computers.policy", PEOPLE, true, op_computers_policy, false},
	{"jobs.list", PEOPLE, false, op_jobs_list, false},
	{"jobs.get", PEOPLE, false, op_jobs_get, false},
	{"jobs.create", PEOPLE, true, op_jobs_create, false},
	{"jobs.cancel", PEOPLE, true, op_jobs_cancel, false},
	{"alerts.list", PEOPLE, false, op_alerts_list, false},
	{"alerts.catalogue", PEOPLE, false, op_alerts_catalogue, false},
	{"expiry.list", PEOPLE, false, op_expiry_list, false},
	{"licences.list", PEOPLE, false, op_licences_list, false},
	{"licences.add", PEOPLE, true, op_licences_add, false},
	{"licences.key", PEOPLE, true, op_licences_key, false},
	{"licences.delete", PEOPLE, true, op_licences_delete, false},
	{"tasks.list", PEOPLE, false, op_tasks_list, false},
	{"tasks.get", PEOPLE, false, op_tasks_get, false},
	{"tasks.create", PEOPLE, true, op_tasks_create, false},
	{"tasks.update", PEOPLE, true, op_tasks_update, false},
	{"tasks.delete", PEOPLE, true, op_tasks_delete, false},
	{"tasks.run", PEOPLE, true, op_tasks_run, false},
	{"tests.create", PEOPLE, true, op_tests_create, false},
	{"tests.get", PEOPLE, false, op_tests_get, false},
	{"tests.put", STORE_CONTENT, STORE_SYSTEM, false, op_tests_put, false},
	{"events.search", PEOPLE, false, op_events_search, false},
	{"events.catalogue", PEOPLE, false, op_events_catalogue, false},
	{"components.list", PEOPLE, false, op_components_list, false},
	{"relay_groups.list", PEOPLE, false, op_relay_groups_list, false},
	{"relay_groups.get", PEOPLE, false, op_relay_groups_get, false},
	{"relay_groups.create", PEOPLE, true, op_relay_groups_create, false},
	{"relay_groups.update", PEOPLE, true, op_relay_groups_update, false},
	{"relay_groups.delete", PEOPLE, true, op_relay_groups_delete, false},
	{"diagnosis.get", PEOPLE, false, op_diagnosis_get, false},
	{"network_plan.get", PEOPLE, false, op_network_plan_get, false},
	{"diagnostics.collect", PEOPLE, true, op_diagnostics_collect, false},
	{"settings.get", PEOPLE, false, op_settings_get, false},
	{"settings.update", PEOPLE, true, op_settings_update, false},
	{"tokens.list", PEOPLE, false, op_tokens_list, false},
	{"tokens.create", PEOPLE, true, op_tokens_create, false},
	{"tokens.delete", PEOPLE, true, op_tokens_delete, false},
	{"keys.list", PEOPLE, true, op_keys_list, false},
	{"keys.create", STORE_WEB | STORE_PARENT, STORE_KEY | STORE_SYSTEM, true, op_keys_create,
		false},
	{"keys.delete", PEOPLE, true, op_keys_delete, false},
	{"keys.check", PEOPLE, false, op_keys_check, false},
	{"keys.first", STORE_PARENT, STORE_SYSTEM, false, op_keys_first, false},
	{"policies.list", PEOPLE, false, op_policies_list, false},
	{"policies.get", PEOPLE, false, op_policies_get, false},
	{"policies.create", PEOPLE, true, op_policies_create, false},
	{"policies.update", PEOPLE, true, op_policies_update, false},
	{"policies.delete", PEOPLE, true, op_policies_delete, false},
	{"agents.activate", STORE_SESSION, STORE_SYSTEM, false, op_agents_activate, false},
	{"agents.certificate", STORE_SESSION | STORE_CA, STORE_SYSTEM, false, op_agents_certificate,
		false},
	{"agents.renew", AGENTS, false, op_agents_renew, false},
	{"agents.heartbeat", AGENTS, false, op_agents_heartbeat, true},
	{"agents.commands", AGENTS, false, op_agents_commands, true},
	{"agents.policy", AGENTS, false, op_agents_policy, false},
	{"agents.ca", AGENTS, false, op_agents_ca, false},
	{"events.add", AGENTS, false, op_events_add, false},
	{"secrets.get", STORE_CA, STORE_SYSTEM, false, op_secrets_get, false},
	{"secrets.put", STORE_CA, STORE_SYSTEM, false, op_secrets_put, false},
	{"ca.put", STORE_CA, STORE_SYSTEM, false, op_ca_put, false},
	{"ca.issued", STORE_CA, STORE_SYSTEM, false, op_ca_issued, false},
	{"ca.get", STORE_CA | STORE_SESSION | STORE_WEB | STORE_PARENT, STORE_SYSTEM, false,
		op_ca_get, false},
	{"content.settings", STORE_CONTENT, STORE_SYSTEM, false, op_content_settings, false},
	{"components.newest.put", STORE_CONTENT, STORE_SYSTEM, false, op_components_newest_put,
		false},
	{"components.check.failed", STORE_CONTENT, STORE_SYSTEM, false, op_components_check_failed,
		false},
	{NULL, 0, 0, false, NULL, false},
};

static const struct store_op *find(const char *name)
{
	for (const struct store_op *op = store_ops; op->name; op++)
		if (strcmp(op->name, name) == 0)
			return op;
	return NULL;
}

static int ask_who(struct store *store, const struct store_op *op, const json_t *who,
	struct store_asker *asker, struct yg_err *err)
{
	const char *kind;
	if (yg_json_str(who, "kind", 16, &kind, err) < 0)
		return yg_wrap(err, "who");
	asker->kind = strcmp(kind, "key") == 0 ? STORE_KEY
		: strcmp(kind, "agent") == 0   ? STORE_AGENT
		: strcmp(kind, "system") == 0  ? STORE_SYSTEM
					       : 0;
	if (asker->kind == 0)
		return yg_fail(err, YG_EFORMAT, "who: kind: want key, agent or system, have '%s'",
			kind);
	if ((op->callers & asker->caller) == 0 || (op->kinds & asker->kind) == 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.denied", "%s: not for who asks (%s)",
			op->name, kind);

	if (asker->kind == STORE_SYSTEM) {
		memcpy(asker->name, "system", sizeof("system"));
		asker->full = asker->caller == STORE_PARENT;
	} else if (asker->kind == STORE_KEY) {
		const char *key;
		if (yg_json_str(who, "key", 256, &key, err) < 0)
			return yg_wrap(err, "who");
		if (store_key_auth(store, key, asker, err) < 0)
			return -1;
	} else {
		const char *id;
		const char *serial;
		if (yg_json_str(who, "id", 39, &id, err) < 0 ||
			yg_json_str(who, "serial", 128, &serial, err) < 0)
			return yg_wrap(err, "who");
		if (store_agent_auth(store, id, serial, asker, err) < 0)
			return -1;
	}
	if (op->full && !asker->full)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.denied",
			"%s: want a key with role full, have role read", op->name);
	return 0;
}

/* How far an agent is, it says again soon: that does not wait for the disk. */
static bool is_lazy(const struct store_op *op, const json_t *args)
{
	if (op->lazy || op->run != op_events_add)
		return op->lazy;
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(args, "entries"), i, entry)
	{
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		if (!kind || strcmp(kind, "progress") != 0)
			return false;
	}
	return true;
}

static int in_transaction(struct store *store, const struct store_op *op, enum store_caller caller,
	const json_t *call, const json_t *args, json_t **result, struct yg_err *err)
{
	const char *lang;
	if (yg_json_str_or(call, "lang", 64, "en", &lang, err) < 0)
		return -1;
	struct store_asker asker = {.caller = caller, .lang = yg_lang_of(lang)};
	bool lazy = is_lazy(op, args);
	if ((lazy ? yg_db_begin_lazy(store->db, err) : yg_db_begin(store->db, err)) < 0)
		return -1;
	json_t *made YG_AUTO(yg_json) = NULL;
	if (ask_who(store, op, json_object_get(call, "who"), &asker, err) < 0 ||
		op->run(store, &asker, args, &made, err) < 0) {
		yg_db_rollback(store->db);
		return -1;
	}
	if (yg_db_commit(store->db, err) < 0)
		return -1;
	*result = yg_take(made);
	return 0;
}

/* Only what was committed is told. */
static void notices(struct store *store, bool committed)
{
	json_t *wake YG_AUTO(yg_json) = yg_take(store->wake);
	bool check = store->check_content;
	json_t *tests YG_AUTO(yg_json) = yg_take(store->tests);
	store->check_content = false;
	if (!committed || !store->notify)
		return;
	if (wake && json_object_size(wake) > 0) {
		/* Ids of 36 bytes: a thousand fit well into one message. */
		json_t *ids = json_array();
		const char *id;
		json_t *unused;
		json_object_foreach(wake, id, unused)
		{
			if (json_array_append_new(ids, json_string(id)) < 0)
				break;
			if (json_array_size(ids) < 1000)
				continue;
			(void)store->notify(store->notify_ctx, "session", "store.wake",
				json_pack("{s:o}", "agents", ids));
			ids = json_array();
		}
		if (json_array_size(ids) > 0)
			(void)store->notify(store->notify_ctx, "session", "store.wake",
				json_pack("{s:o}", "agents", ids));
		else
			json_decref(ids);
	}
	if (check)
		(void)store->notify(store->notify_ctx, "content", "content.check", json_object());
	size_t i;
	json_t *test;
	json_array_foreach(tests, i, test)(void)
		store->notify(store->notify_ctx, "content", "content.test", json_incref(test));
}

/* Who was turned away is an event, at most one of a kind in a while: whoever knocks without end must not
 * fill the database with it.
 */
static void tell_refused(struct store *store, const char *op, const json_t *call,
	const struct yg_err *why)
{
	static const uint32_t ids[] = {160, 705, 716, 770};
	const json_t *args = json_object_get(call, "args");
	const char *address = json_string_value(json_object_get(args, "address"));
	const char *host = json_string_value(
		json_object_get(json_object_get(args, "hello"), "hostname"));
	size_t which;
	if (why->code != YG_EUNTRUSTED)
		return;
	if (strcmp(why->cause, "auth.key") == 0)
		which = 0;
	else if (strcmp(op, "agents.activate") == 0)
		which = 1;
	else if (strcmp(why->cause, "auth.unknown_agent") == 0)
		which = 2;
	else if (strcmp(why->cause, "auth.revoked") == 0 || strcmp(why->cause, "tls.expired") == 0)
		which = 3;
	else
		return;
	if (store->refused_s[which] != 0 && store->clock_s < store->refused_s[which] + REFUSED_S)
		return;
	store->refused_s[which] = store->clock_s;

	struct yg_err err = {0};
	json_t *params = json_pack("{s:s}", "detail", why->msg);
	if (which == 2)
		(void)json_object_set(params, "agent",
			json_object_get(json_object_get(call, "who"), "id"));
	else if (which != 0)
		(void)json_object_set_new(params, "cause", json_string(why->cause));
	if (address && address[0] != '\0')
		(void)json_object_set_new(params, "address", json_string(address));
	if (host && which == 1 && strlen(host) < 256)
		(void)json_object_set_new(params, "computer", json_string(host));
	if (yg_db_begin(store->db, &err) < 0) {
		json_decref(params);
		return;
	}
	if (store_event(store, ids[which], NULL, NULL, params, &err) < 0 ||
		yg_db_commit(store->db, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "store.refused", &err);
		yg_db_rollback(store->db);
	}
}

int store_call(struct store *store, enum store_caller caller, const json_t *call, json_t **result,
	struct yg_err *err)
{
	const char *name;
	if (yg_json_str(call, "op", 64, &name, err) < 0)
		return yg_wrap(err, "store.call");
	const struct store_op *op = find(name);
	if (!op)
		return yg_fail(err, YG_EABSENT, "store.call: no operation '%s'", name);

	json_t *none YG_AUTO(yg_json) = json_object();
	const json_t *args = json_object_get(call, "args");
	if (!args)
		args = none;
	if (!json_is_object(args))
		return yg_fail(err, YG_EFORMAT, "%s: args: want an object, have %s", name,
			yg_json_kind(args));

	for (int try = 1;; try++) {
		*err = (struct yg_err){0};
		store->clock_s = store->now_s ? store->now_s : yg_clock_now_s();
		int rc = in_transaction(store, op, caller, call, args, result, err);
		notices(store, rc == 0);
		if (rc == 0)
			return 0;
		if (try == TRIES_MAX || err->code != YG_EAGAIN ||
			strcmp(err->cause, "db.busy") != 0) {
			tell_refused(store, name, call, err);
			return -1;
		}
	}
}

static bool step(struct store *store, const char *what,
	int (*run)(struct store *store, struct yg_err *err))
{
	struct yg_err err = {0};
	store->clock_s = store->now_s ? store->now_s : yg_clock_now_s();
	if (yg_db_begin(store->db, &err) < 0) {
		yg_log_err(YG_LOG_WARN, what, &err);
		return false;
	}
	int rc = run(store, &err);
	if (rc < 0)
		yg_db_rollback(store->db);
	else
		rc = yg_db_commit(store->db, &err);
	if (rc < 0)
		yg_log_err(YG_LOG_WARN, what, &err);
	notices(store, rc == 0);
	return rc == 0;
}

void store_tick(struct store *store)
{
	int64_t now = store->now_s ? store->now_s : yg_clock_now_s();
	/* That the clock went back is known until all is put right. */
	bool back = store->last_tick_s == 0 || now + STORE_CLOCK_S < store->last_tick_s;
	if (!back || step(store, "store.clock", store_clock_back))
		store->last_tick_s = now;
	(void)step(store, "store.offline", store_agent_offline);
	(void)step(store, "store.jobs", store_jobs_tick);
	(void)step(store, "store.groups", groups_tick);
	(void)step(store, "store.tasks", store_tasks_tick);
	(void)step(store, "store.licences", store_licences_tick);
	(void)step(store, "store.expiry", store_expiry_tick);
	(void)step(store, "store.alerts", store_alerts_tick);
	(void)step(store, "store.keys", store_keys_tick);
	if (now >= store->next_clean_s) {
		store->next_clean_s = now + 3600;
		(void)step(store, "store.clean", store_events_clean);
	}
}
