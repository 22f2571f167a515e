/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "crypto/random.h"

/* A job is made. */

#define SCAN_PATHS 100
#define COMPUTERS_MAX                                                                              \
	1000000 /* a group's, of a task; a request's are limited before (manager/api.c) */

/* [[id, name, relay group]] of the computers that are asked. */
static int chosen(struct store *store, const json_t *args, json_t **out, struct yg_err *err)
{
	const json_t *which = json_object_get(args, "computers");
	json_t *list YG_AUTO(yg_json) = json_array();
	if (json_is_string(which) && strcmp(json_string_value(which), "all") == 0) {
		struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
		if (yg_db_query(store->db,
			    "SELECT c.id, c.name, " JOB_GROUP_OF
			    " FROM computers c WHERE c.deleted = 0 AND c.activated "
			    "IS NOT NULL ORDER BY c.id",
			    YG_DB_NO_ARGS, &rows, err) < 0)
			return -1;
		int more;
		while ((more = yg_rows_next(rows, err)) > 0)
			if (store_add(list,
				    json_pack("[s, s, s]", yg_rows_text(rows, 0),
					    yg_rows_text(rows, 1), yg_rows_text(rows, 2)),
				    err) < 0)
				return -1;
		if (more < 0)
			return -1;
	} else {
		json_t *ids;
		json_t *seen YG_AUTO(yg_json) = json_object();
		size_t i;
		json_t *item;
		if (yg_json_array(args, "computers", COMPUTERS_MAX, &ids, err) < 0)
			return -1;
		json_array_foreach(ids, i, item)
		{
			const char *id = json_string_value(item);
			char name[208];
			if (!id)
				return yg_fail(err, YG_EFORMAT,
					"computers[%zu]: want a string, have %s", i,
					yg_json_kind(item));
			if (json_object_get(seen, id))
				continue;
			(void)json_object_set_new(seen, id, json_true());
			if (store_computer_name(store, id, name, err) < 0)
				return yg_wrap(err, "computers[%zu]", i);
			json_t *group YG_AUTO(yg_json) = NULL;
			if (store_texts(store,
				    "SELECT " JOB_GROUP_OF " FROM computers c WHERE c.id = $1",
				    YG_DB_ARGS(yg_db_text(id)), &group, err) < 0 ||
				store_add(list,
					json_pack("[s, s, O]", id, name, json_array_get(group, 0)),
					err) < 0)
				return -1;
		}
	}
	if (json_array_size(list) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"computers: there is none to ask");
	*out = yg_take(list);
	return 0;
}

/* A test's only argument stands where a scan has its paths. */
static int check_what(const json_t *args, json_t **out, struct yg_err *err)
{
	static const char *const words[] = {"relays", "source", "manager"};
	const char *what = NULL;
	if (yg_json_str(args, "what", 16, &what, err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(words); i++)
		if (strcmp(what, words[i]) == 0)
			return store_give(json_pack("[s]", what), out, err);
	return yg_fail(err, YG_EFORMAT, "what: want relays, source or manager, have '%s'", what);
}

static int check_paths(const json_t *args, enum yg_job_kind kind, json_t **out, struct yg_err *err)
{
	json_t *none YG_AUTO(yg_json) = json_array();
	json_t *paths = none;
	size_t i;
	json_t *path;
	if (kind == YG_JOB_SCAN) {
		if (yg_json_array(args, "paths", SCAN_PATHS, &paths, err) < 0)
			return -1;
		if (json_array_size(paths) == 0)
			return yg_fail(err, YG_EFORMAT, "paths: want 1..%d, have none", SCAN_PATHS);
		json_array_foreach(paths, i, path)
		{
			const char *text = json_string_value(path);
			if (!text || text[0] != '/' || strlen(text) > 4000)
				return yg_fail(err, YG_EFORMAT, "paths[%zu]: want an absolute path",
					i);
		}
	}
	if (kind == YG_JOB_TEST)
		return check_what(args, out, err);
	*out = json_incref(paths);
	return 0;
}

/* Where in the job's time a computer comes: spread evenly, and the same whoever asks. */
static int64_t moment(const struct job *job, const char *computer)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	for (const char *text = computer; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	for (const char *text = job->id; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return (int64_t)(hash % (uint64_t)(job->spread + 1));
}

static int add_part(struct store *store, const struct job *job, const char *computer, bool relay,
	const char *group, char joined[40], struct yg_err *err)
{
	const char *part = relay ? "relay" : "agent";
	joined[0] = '\0';
	if (job->kind == YG_JOB_UPDATE && job_part_meets(store, computer, part, joined, err) < 0)
		return -1;
	bool later = job->spread > 0 && !relay;
	return yg_db_exec(store->db,
		"INSERT INTO job_computers (job, computer, part, state, final, phase, done, total, cause, "
		"sentence, joined, in_group, not_before) VALUES ($1, $2, $3, 'waiting', 0, 'waiting', 0, 0, '', "
		"'', $4, $5, $6)",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(computer), yg_db_text(part),
			yg_db_text(joined[0] ? joined : NULL), yg_db_text(group),
			yg_db_int_or_null(later, job->created + moment(job, computer))),
		NULL, err);
}

/* The relays of the job's groups. */
static int add_relays(struct store *store, const struct job *job, struct yg_err *err)
{
	struct job_groups groups YG_AUTO(job_groups) = {0};
	if (job_groups_load(store, job, &groups, err) < 0)
		return -1;
	for (size_t i = 0; i < groups.count; i++) {
		json_t *list YG_AUTO(yg_json) = NULL;
		size_t k;
		json_t *id;
		if (store_texts(store,
			    "SELECT c.id FROM computers c WHERE " JOB_IS_RELAY " AND " JOB_GROUP_OF
			    " = $1 ORDER BY c.id",
			    YG_DB_ARGS(yg_db_text(groups.list[i].id)), &list, err) < 0)
			return -1;
		json_array_foreach(list, k, id)
		{
			char joined[40];
			if (add_part(store, job, json_string_value(id), true, groups.list[i].id,
				    joined, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* The groups that serve these computers, and with them the relays' parts; each entry of `computers` gets
 * its group as the third member.
 */
static int add_groups(struct store *store, const struct job *job, json_t *computers,
	struct yg_err *err)
{
	json_t *tree YG_AUTO(yg_json) = NULL;
	json_t *wanted YG_AUTO(yg_json) = json_object();
	size_t i;
	json_t *item;
	if (job_tree(store, &tree, err) < 0)
		return -1;
	json_array_foreach(computers, i, item)
	{
		const char *group = job_tree_serving(tree,
			json_string_value(json_array_get(item, 2)));
		if (json_array_set_new(item, 2, json_string(group)) < 0 ||
			json_object_set_new(wanted, json_string_value(json_array_get(item, 2)),
				json_true()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	if (job_groups_make(store, job, tree, wanted, err) < 0 ||
		(job->relays && add_relays(store, job, err) < 0))
		return -1;
	return job_groups_ask(store, job, err);
}

static int tell_joined(struct store *store, const struct job *job, const char *other,
	struct yg_err *err)
{
	struct job running YG_AUTO(job) = {0};
	if (job_load(store, other, &running, err) < 0)
		return -1;
	return store_event(store, 20006, NULL, job->id,
		json_pack("{s:s, s:s, s:s, s:s}", "job", job->id, "running", other, "phase",
			running.phase, "who", running.by),
		err);
}

static int insert(struct store *store, struct job *job, struct yg_err *err)
{
	int64_t number = 0;
	int64_t deadline_s = 0;
	if (yg_random_uuid(job->id, err) < 0 || yg_random_uuid(job->relay_ref, err) < 0 ||
		yg_db_number(store->db, "SELECT coalesce(max(number), 0) + 1 FROM jobs",
			YG_DB_NO_ARGS, &number, err) < 0 ||
		store_setting_int(store, "update.deadline_s", &deadline_s, err) < 0)
		return -1;
	bool update = job->kind == YG_JOB_UPDATE;
	store->running = true;
	job->created = store->clock_s;
	job->deadline = store->clock_s + deadline_s + job->spread;
	(void)snprintf(job->phase, sizeof(job->phase), "%s", update ? "relays" : "agents");
	if (update && store->has_content) {
		store->check_content = true;
		job->check_until = store->clock_s + JOB_CHECK_S;
	}
	char *paths YG_AUTO(mem) = yg_json_text(job->paths);
	return yg_db_exec(store->db,
		"INSERT INTO jobs (id, number, relay_ref, kind, state, phase, made_by, scheduled, relays, paths, "
		"aim, created, deadline, check_until, spread) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, "
		"$9, '', $10, $11, $12, $13)",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_int(number), yg_db_text(job->relay_ref),
			yg_db_text(yg_job_kind_name(job->kind)), yg_db_text(job->phase),
			yg_db_text(job->by), yg_db_int(job->scheduled), yg_db_int(job->relays),
			yg_db_text(paths ? paths : "[]"), yg_db_int(job->created),
			yg_db_int(job->deadline), yg_db_int(job->check_until),
			yg_db_int(job->spread)),
		NULL, err);
}

int store_job_make(struct store *store, const struct store_asker *asker, const json_t *args,
	char out[40], struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	const char *kind;
	json_t *computers YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "kind", 32, &kind, err) < 0 ||
		yg_job_kind_parse(kind, &job.kind, err) < 0 ||
		yg_json_bool_or(args, "scheduled", false, &job.scheduled, err) < 0 ||
		yg_json_bool_or(args, "relays", true, &job.relays, err) < 0 ||
		yg_json_int_or(args, "spread_s", 0, 86400, 0, &job.spread, err) < 0 ||
		check_paths(args, job.kind, &job.paths, err) < 0 ||
		chosen(store, args, &computers, err) < 0)
		return -1;
	bool update = job.kind == YG_JOB_UPDATE;
	job.relays = job.relays && update;
	job.spread = update ? job.spread : 0;
	(void)snprintf(job.by, sizeof(job.by), "%s", asker->name);
	if (insert(store, &job, err) < 0 || (update && add_groups(store, &job, computers, err) < 0))
		return -1;

	char first_joined[40] = "";
	size_t i;
	json_t *item;
	json_array_foreach(computers, i, item)
	{
		char joined[40];
		struct job_part part = {0};
		(void)snprintf(part.computer, sizeof(part.computer), "%s",
			json_string_value(json_array_get(item, 0)));
		(void)snprintf(part.name, sizeof(part.name), "%s",
			json_string_value(json_array_get(item, 1)));
		if (add_part(store, &job, part.computer, false,
			    update ? json_string_value(json_array_get(item, 2)) : "", joined,
			    err) < 0)
			return -1;
		if (joined[0] != '\0')
			(void)snprintf(first_joined, sizeof(first_joined), "%s", joined);
		/* A scheduled run asks the agents at the same moment as the relays (U4). */
		if (update && job.scheduled && job_part_requested(store, &job, &part, err) < 0)
			return -1;
	}
	if (first_joined[0] != '\0' && tell_joined(store, &job, first_joined, err) < 0)
		return -1;
	if (!update && job_begin_agents(store, &job, NULL, err) < 0)
		return -1;
	(void)snprintf(out, 40, "%s", job.id);
	return job_advance(store, job.id, err);
}
