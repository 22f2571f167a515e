/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "manager/store/schedule.h"
#include "manager/store/tasks.h"
#include "manager/store/tasks_impl.h"

#define LATE_S 300 /* a run that is so late was missed: the Manager was not there */

static const char *member(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* The ids of the computers that the task is for, when not for all. */
static int targets(struct store *store, const json_t *target, json_t **out, struct yg_err *err)
{
	static const char group[] =
		"SELECT id FROM computers WHERE coalesce(relay_group, '00000000-0000-4000-8000-000000000001') = $1 "
		"AND deleted = 0 AND activated IS NOT NULL ORDER BY id";
	static const char policy[] =
		"SELECT id FROM computers WHERE policy = $1 AND deleted = 0 AND activated IS NOT NULL ORDER BY id";
	static const char one[] =
		"SELECT id FROM computers WHERE id = $1 AND deleted = 0 AND activated IS NOT NULL";
	const char *type = member(target, "type");
	if (strcmp(type, "computers") != 0)
		return store_texts(store, strcmp(type, "group") == 0 ? group : policy,
			YG_DB_ARGS(yg_db_text(member(target, "id"))), out, err);
	json_t *list YG_AUTO(yg_json) = json_array();
	size_t i;
	json_t *id;
	json_array_foreach(json_object_get(target, "computers"), i, id)
	{
		json_t *there YG_AUTO(yg_json) = NULL;
		if (store_texts(store, one, YG_DB_ARGS(yg_db_text(json_string_value(id))), &there,
			    err) < 0)
			return -1;
		if (json_array_extend(list, there) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	*out = yg_take(list);
	return 0;
}

static int remember(struct store *store, const json_t *task, const char *job, const char *state,
	struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE tasks SET last_run = $2, last_job = $3, last_state = $4 WHERE id = $1",
		YG_DB_ARGS(yg_db_text(member(task, "id")), yg_db_int(store->clock_s),
			yg_db_text(job && job[0] ? job : NULL), yg_db_text(state)),
		NULL, err);
}

int task_run(struct store *store, const struct store_asker *asker, const json_t *task, char job[40],
	struct yg_err *err)
{
	const char *kind = member(task, "kind");
	job[0] = '\0';
	if (strcmp(kind, "check") == 0) {
		store->check_content = true;
		return remember(store, task, "", "started", err);
	}
	/* All are not counted here: there may be more than a request can name. */
	const json_t *target = json_object_get(task, "target");
	json_t *computers YG_AUTO(yg_json) = NULL;
	if (strcmp(member(target, "type"), "all") == 0)
		computers = json_string("all");
	else if (targets(store, target, &computers, err) < 0)
		return -1;
	json_t *order YG_AUTO(yg_json) = json_pack("{s:s, s:O, s:b, s:b, s:O, s:s}", "kind", kind,
		"computers", computers, "scheduled", 1, "relays",
		json_is_true(json_object_get(task, "relays")), "spread_s",
		json_object_get(task, "window_s"), "task", member(task, "name"));
	if (!order ||
		(strcmp(kind, "scan") == 0 &&
			json_object_set(order, "paths", json_object_get(task, "paths")) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (store_job_make(store, asker, order, job, err) < 0)
		return -1;
	return remember(store, task, job, "started", err);
}

/* The Manager was not there when it was due. */
static int missed(struct store *store, const json_t *task, struct yg_err *err)
{
	bool run = strcmp(member(task, "missed"), "run") == 0;
	return store_event(store, 20030, NULL, NULL,
		json_pack("{s:s, s:O, s:s}", "task", member(task, "name"), "due",
			json_object_get(task, "next_run"), "reason", run ? "made_up" : "left_out"),
		err);
}

static int run_due(struct store *store, const json_t *task, struct yg_err *err)
{
	struct store_asker asker = {.kind = STORE_SYSTEM, .name = "schedule", .full = true};
	struct yg_err why = {0};
	int64_t due = 0;
	char job[40];
	if (yg_clock_parse(member(task, "next_run"), &due, err) < 0)
		return -1;
	bool late = store->clock_s - due > LATE_S;
	if (late && missed(store, task, err) < 0)
		return -1;
	if (late && strcmp(member(task, "missed"), "skip") == 0)
		return remember(store, task, NULL, "skipped", err);
	if (task_run(store, &asker, task, job, &why) == 0)
		return 0;
	/* Nobody to ask is not a failure of the Manager: the task goes on, and its row says so. */
	if (why.code == YG_EFORMAT && strcmp(why.cause, "conflict") == 0)
		return remember(store, task, NULL, "nobody", err);
	/* A task that cannot be done keeps no other from its time. Nothing was written: a job is checked first. */
	if (why.code == YG_EFORMAT || why.code == YG_ELIMIT || why.code == YG_EABSENT) {
		yg_log(YG_LOG_WARN, "store.task", "task %s: %s", member(task, "name"), why.msg);
		return remember(store, task, NULL, "failed", err);
	}
	*err = why;
	return -1;
}

/* Its next time, from now: what was missed is made up once, however often it was missed. */
static int plan(struct store *store, const json_t *task, struct yg_err *err)
{
	int64_t next = 0;
	struct yg_err why = {0};
	bool good = schedule_next(json_object_get(task, "schedule"), store->clock_s, &next, &why) ==
		0;
	if (!good) /* a zone that is gone from the system: better late than every second */
		yg_log(YG_LOG_WARN, "store.task", "task %s: %s; tried again in an hour",
			member(task, "name"), why.msg);
	return yg_db_exec(store->db, "UPDATE tasks SET next_run = $2 WHERE id = $1",
		YG_DB_ARGS(yg_db_text(member(task, "id")),
			yg_db_int(good ? next : store->clock_s + 3600)),
		NULL, err);
}

int store_tasks_replan(struct store *store, struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = NULL;
	size_t i;
	json_t *id;
	if (store_texts(store, "SELECT id FROM tasks WHERE enabled = 1 AND next_run > $1",
		    YG_DB_ARGS(yg_db_int(store->clock_s + STORE_CLOCK_S)), &ids, err) < 0)
		return -1;
	json_array_foreach(ids, i, id)
	{
		json_t *task YG_AUTO(yg_json) = NULL;
		struct yg_err why = {0};
		int64_t next = 0;
		int64_t planned = 0;
		if (task_load(store, json_string_value(id), &task, err) < 0)
			return -1;
		if (schedule_next(json_object_get(task, "schedule"), store->clock_s, &next, &why) ==
				0 &&
			yg_clock_parse(member(task, "next_run"), &planned, err) == 0 &&
			planned > next && plan(store, task, err) < 0)
			return -1;
	}
	return 0;
}

int store_tasks_tick(struct store *store, struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = NULL;
	size_t i;
	json_t *id;
	if (store_texts(store,
		    "SELECT id FROM tasks WHERE enabled = 1 AND (next_run IS NULL OR next_run <= $1) ORDER BY "
		    "next_run, name",
		    YG_DB_ARGS(yg_db_int(store->clock_s)), &ids, err) < 0)
		return -1;
	json_array_foreach(ids, i, id)
	{
		json_t *task YG_AUTO(yg_json) = NULL;
		if (task_load(store, json_string_value(id), &task, err) < 0)
			return -1;
		/* None yet: it came with a migration. */
		if (member(task, "next_run") && run_due(store, task, err) < 0)
			return -1;
		if (plan(store, task, err) < 0)
			return -1;
	}
	return 0;
}
