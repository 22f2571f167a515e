/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Scheduled tasks: made, changed and removed by people (here), run by the clock (tasks_run.c). */
#include "manager/store/tasks.h"

#include <stdio.h>
#include <string.h>

#include "crypto/random.h"
#include "manager/store/schedule.h"
#include "manager/store/store.h"
#include "manager/store/tasks_impl.h"

#define COMPUTERS_MAX 1000 /* named one by one */
#define PATHS_MAX     100
#define TASKS_MAX     500

#define COLUMNS                                                                                    \
	"id, name, kind, enabled, schedule, target, paths, relays, window_s, missed, next_run, "   \
	"last_run, last_job, last_state, created"

/* --- what people send -------------------------------------------------------------------- */

static int check_word(const char *name, const char *text, const char *const *words, size_t count,
	const char *list, struct yg_err *err)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], text) == 0)
			return 0;
	return yg_fail(err, YG_EFORMAT, "%s: want %s, have '%s'", name, list, text);
}

static int check_computers(struct store *store, const json_t *target, struct yg_err *err)
{
	json_t *ids;
	size_t i;
	json_t *item;
	char name[208];
	if (yg_json_array(target, "computers", COMPUTERS_MAX, &ids, err) < 0)
		return -1;
	if (json_array_size(ids) == 0)
		return yg_fail(err, YG_EFORMAT, "computers: want 1..%d, have none", COMPUTERS_MAX);
	json_array_foreach(ids, i, item)
	{
		const char *id = json_string_value(item);
		if (!id)
			return yg_fail(err, YG_EFORMAT, "computers[%zu]: want a string, have %s", i,
				yg_json_kind(item));
		if (store_computer_name(store, id, name, err) < 0)
			return yg_wrap(err, "computers[%zu]", i);
	}
	return 0;
}

static int check_there(struct store *store, const char *sql, const char *what, const char *id,
	struct yg_err *err)
{
	int64_t there = 0;
	if (yg_db_number(store->db, sql, YG_DB_ARGS(yg_db_text(id)), &there, err) < 0)
		return -1;
	return there > 0 ? 0 : yg_fail(err, YG_EABSENT, "%s '%s': no such %s", what, id, what);
}

/* {"type":"all"}, {"type":"group"|"policy","id"}, {"type":"computers","computers":[id]} */
static int check_target(struct store *store, const json_t *target, struct yg_err *err)
{
	const char *type;
	const char *id;
	if (yg_json_str(target, "type", 16, &type, err) < 0)
		return -1;
	if (strcmp(type, "all") == 0)
		return 0;
	if (strcmp(type, "computers") == 0)
		return check_computers(store, target, err);
	bool group = strcmp(type, "group") == 0;
	if (!group && strcmp(type, "policy") != 0)
		return yg_fail(err, YG_EFORMAT,
			"type: want all, group, policy or computers, have '%s'", type);
	if (yg_json_str(target, "id", 64, &id, err) < 0)
		return -1;
	return group ? check_there(store, "SELECT count(*) FROM relay_groups WHERE id = $1",
			       "relay group", id, err)
		     : check_there(store, "SELECT count(*) FROM policies WHERE id = $1", "policy",
			       id, err);
}

static int check_paths(const json_t *task, struct yg_err *err)
{
	json_t *paths;
	size_t i;
	json_t *item;
	if (yg_json_array(task, "paths", PATHS_MAX, &paths, err) < 0)
		return -1;
	bool scan = strcmp(json_string_value(json_object_get(task, "kind")), "scan") == 0;
	if (scan != (json_array_size(paths) > 0))
		return yg_fail(err, YG_EFORMAT, "paths: want %s, have %zu",
			scan ? "1..100 for a scan" : "none but for a scan", json_array_size(paths));
	json_array_foreach(paths, i, item)
	{
		const char *text = json_string_value(item);
		if (!text || text[0] != '/' || strlen(text) > 4000)
			return yg_fail(err, YG_EFORMAT, "paths[%zu]: want an absolute path", i);
	}
	return 0;
}

/* A whole task, as it will be, but whom it is for. */
static int check(const json_t *task, struct yg_err *err)
{
	static const char *const kinds[] = {"update", "scan", "check"};
	static const char *const missed[] = {"run", "skip"};
	const char *name;
	const char *kind;
	const char *late;
	bool flag;
	int64_t window_s;
	json_t *schedule;
	json_t *target;
	if (yg_json_str(task, "name", 200, &name, err) < 0 ||
		yg_json_str(task, "kind", 16, &kind, err) < 0 ||
		check_word("kind", kind, kinds, YG_COUNT(kinds), "update, scan or check", err) <
			0 ||
		yg_json_bool(task, "enabled", &flag, err) < 0 ||
		yg_json_bool(task, "relays", &flag, err) < 0 ||
		yg_json_int(task, "window_s", 0, TASK_WINDOW_MAX, &window_s, err) < 0 ||
		yg_json_str(task, "missed", 8, &late, err) < 0 ||
		check_word("missed", late, missed, YG_COUNT(missed), "run or skip", err) < 0 ||
		yg_json_object(task, "schedule", &schedule, err) < 0 ||
		yg_json_object(task, "target", &target, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want a name, have none");
	return schedule_check(schedule, err) < 0 ? -1 : check_paths(task, err);
}

/* Only what was sent: a computer of the target may be gone by now, a scan have a window from when it could, and that
 * keeps nobody from switching the task off.
 */
static int check_new(struct store *store, const json_t *args, const json_t *task,
	struct yg_err *err)
{
	const json_t *target = json_object_get(args, "target");
	json_int_t window_s = json_integer_value(json_object_get(task, "window_s"));
	bool update = strcmp(json_string_value(json_object_get(task, "kind")), "update") == 0;
	bool sent = json_object_get(args, "window_s") || json_object_get(args, "kind");
	if (sent && !update && window_s > 0)
		return yg_fail(err, YG_EFORMAT, "window_s: want 0 but for an update, have %lld",
			(long long)window_s);
	return target && check_target(store, target, err) < 0 ? yg_wrap(err, "target") : 0;
}

static int few(struct store *store, struct yg_err *err)
{
	int64_t count = 0;
	if (yg_db_number(store->db, "SELECT count(*) FROM tasks", YG_DB_NO_ARGS, &count, err) < 0)
		return -1;
	return count < TASKS_MAX
		? 0
		: yg_fail(err, YG_ELIMIT, "want at most %d tasks, have them", TASKS_MAX);
}

static int name_free(struct store *store, const char *id, const json_t *task, struct yg_err *err)
{
	int64_t others = 0;
	const char *name = json_string_value(json_object_get(task, "name"));
	if (yg_db_number(store->db, "SELECT count(*) FROM tasks WHERE name = $1 AND id <> $2",
		    YG_DB_ARGS(yg_db_text(name), yg_db_text(id)), &others, err) < 0)
		return -1;
	return others == 0 ? 0
			   : yg_fail_cause(err, YG_EFORMAT, "conflict",
				     "name: there is a task '%s' already", name);
}

/* --- the table --------------------------------------------------------------------------- */

static json_t *task_json(const struct yg_rows *rows)
{
	return json_pack(
		"{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:b, s:I, s:s, s:o, s:o, s:s?, s:s, s:o}",
		"id", yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1), "kind",
		yg_rows_text(rows, 2), "enabled", yg_rows_int(rows, 3) != 0, "schedule",
		store_parse(yg_rows_text(rows, 4)), "target", store_parse(yg_rows_text(rows, 5)),
		"paths", store_parse(yg_rows_text(rows, 6)), "relays", yg_rows_int(rows, 7) != 0,
		"window_s", (json_int_t)yg_rows_int(rows, 8), "missed", yg_rows_text(rows, 9),
		"next_run", store_time_or_null(rows, 10), "last_run", store_time_or_null(rows, 11),
		"last_job", yg_rows_text(rows, 12), "last_state", yg_rows_text(rows, 13), "created",
		store_time(yg_rows_int(rows, 14)));
}

int task_load(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT " COLUMNS " FROM tasks WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "task '%s': no such task", id);
	return store_give(task_json(rows), out, err);
}

static const char *member(const json_t *task, const char *name)
{
	return json_string_value(json_object_get(task, name));
}

/* What people decide of it; when it runs next begins anew. */
static int save(struct store *store, const char *id, const json_t *task, struct yg_err *err)
{
	char *schedule YG_AUTO(mem) = yg_json_text(json_object_get(task, "schedule"));
	char *target YG_AUTO(mem) = yg_json_text(json_object_get(task, "target"));
	char *paths YG_AUTO(mem) = yg_json_text(json_object_get(task, "paths"));
	int64_t next = 0;
	if (!schedule || !target || !paths)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (schedule_next(json_object_get(task, "schedule"), store->clock_s, &next, err) < 0)
		return -1;
	bool enabled = json_is_true(json_object_get(task, "enabled"));
	return yg_db_exec(store->db,
		"UPDATE tasks SET name = $2, kind = $3, enabled = $4, schedule = $5, target = $6, paths = $7, "
		"relays = $8, window_s = $9, missed = $10, next_run = $11 WHERE id = $1",
		YG_DB_ARGS(yg_db_text(id), yg_db_text(member(task, "name")),
			yg_db_text(member(task, "kind")), yg_db_int(enabled), yg_db_text(schedule),
			yg_db_text(target), yg_db_text(paths),
			yg_db_int(json_is_true(json_object_get(task, "relays"))),
			yg_db_int(json_integer_value(json_object_get(task, "window_s"))),
			yg_db_text(member(task, "missed")), yg_db_int_or_null(enabled, next)),
		NULL, err);
}

/* Members of `args` that people may change go over those of `task`. */
static int merge(json_t *task, const json_t *args, struct yg_err *err)
{
	static const char *const names[] = {"name", "kind", "enabled", "schedule", "target",
		"paths", "relays", "window_s", "missed"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		json_t *value = json_object_get(args, names[i]);
		if (value && json_object_set(task, names[i], value) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

/* --- operations --------------------------------------------------------------------------- */

int op_tasks_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	char last[208] = "";
	int more;
	if (store_page(args, &page, err) < 0 ||
		yg_db_query(store->db,
			"SELECT " COLUMNS " FROM tasks WHERE name > $1 ORDER BY name LIMIT $2",
			YG_DB_ARGS(yg_db_text(page.cursor), yg_db_int(page.limit)), &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%s", yg_rows_text(rows, 1));
		if (store_add(items, task_json(rows), err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == page.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}

int op_tasks_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0 ? -1 : task_load(store, id, out, err);
}

int op_tasks_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	char id[YG_UUID_TEXT];
	json_t *task YG_AUTO(yg_json) = json_pack("{s:s, s:b, s:{s:s}, s:[], s:b, s:i, s:s}",
		"kind", "update", "enabled", 1, "target", "type", "all", "paths", "relays", 1,
		"window_s", 0, "missed", "run");
	if (!task || yg_random_uuid(id, err) < 0)
		return task ? -1 : yg_fail(err, YG_ESYSTEM, "out of memory");
	if (merge(task, args, err) < 0 || check(task, err) < 0 ||
		check_new(store, args, task, err) < 0 || few(store, err) < 0 ||
		name_free(store, id, task, err) < 0 ||
		yg_db_exec(store->db,
			"INSERT INTO tasks (id, name, kind, enabled, schedule, target, paths, relays, window_s, "
			"missed, last_state, created) VALUES ($1, $1, '', 0, '', '', '', 0, 0, '', '', $2)",
			YG_DB_ARGS(yg_db_text(id), yg_db_int(store->clock_s)), NULL, err) < 0 ||
		save(store, id, task, err) < 0 ||
		store_event(store, 560, NULL, NULL,
			json_pack("{s:s, s:s}", "task", member(task, "name"), "who", asker->name),
			err) < 0)
		return -1;
	return task_load(store, id, out, err);
}

int op_tasks_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	json_t *task YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || task_load(store, id, &task, err) < 0 ||
		merge(task, args, err) < 0 || check(task, err) < 0 ||
		check_new(store, args, task, err) < 0 || name_free(store, id, task, err) < 0 ||
		save(store, id, task, err) < 0 ||
		store_event(store, 562, NULL, NULL,
			json_pack("{s:s, s:s}", "task", member(task, "name"), "who", asker->name),
			err) < 0)
		return -1;
	return task_load(store, id, out, err);
}

int op_tasks_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	json_t *task YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || task_load(store, id, &task, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM tasks WHERE id = $1", YG_DB_ARGS(yg_db_text(id)),
			NULL, err) < 0 ||
		store_event(store, 561, NULL, NULL,
			json_pack("{s:s, s:s}", "task", member(task, "name"), "who", asker->name),
			err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}

int op_tasks_run(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	json_t *task YG_AUTO(yg_json) = NULL;
	char job[40];
	if (yg_json_str(args, "id", 64, &id, err) < 0 || task_load(store, id, &task, err) < 0 ||
		task_run(store, asker, task, job, err) < 0)
		return -1;
	return store_give(json_pack("{s:s?}", "job", job[0] ? job : NULL), out, err);
}
