/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One part of a job: found, sent for, told of. */

void job_free_at(struct job *job)
{
	json_decref(job->paths);
}

int job_load(struct store *store, const char *id, struct job *job, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, relay_ref, phase, made_by, aim, kind, scheduled, relays, created, deadline, "
		    "check_until, paths FROM jobs WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': no such job", id);
	(void)snprintf(job->id, sizeof(job->id), "%s", yg_rows_text(rows, 0));
	(void)snprintf(job->relay_ref, sizeof(job->relay_ref), "%s", yg_rows_text(rows, 1));
	(void)snprintf(job->phase, sizeof(job->phase), "%s", yg_rows_text(rows, 2));
	(void)snprintf(job->by, sizeof(job->by), "%s", yg_rows_text(rows, 3));
	(void)snprintf(job->aim, sizeof(job->aim), "%s", yg_rows_text(rows, 4));
	if (yg_job_kind_parse(yg_rows_text(rows, 5), &job->kind, err) < 0)
		return -1;
	job->scheduled = yg_rows_int(rows, 6) != 0;
	job->relays = yg_rows_int(rows, 7) != 0;
	job->created = yg_rows_int(rows, 8);
	job->deadline = yg_rows_int(rows, 9);
	job->check_until = yg_rows_int(rows, 10);
	job->paths = store_parse(yg_rows_text(rows, 11));
	return 0;
}

int job_parts_open(struct store *store, const char *job, struct job_part **out, size_t *count,
	struct yg_err *err)
{
	int64_t many = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM job_computers WHERE job = $1 AND final = 0",
		    YG_DB_ARGS(yg_db_text(job)), &many, err) < 0)
		return -1;
	struct job_part *list YG_AUTO(mem) = calloc((size_t)many + 1, sizeof(*list));
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (!list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_db_query(store->db,
		    "SELECT r.computer, c.name, r.part, r.joined FROM job_computers r JOIN computers c ON c.id = "
		    "r.computer WHERE r.job = $1 AND r.final = 0 ORDER BY r.computer",
		    YG_DB_ARGS(yg_db_text(job)), &rows, err) < 0)
		return -1;
	size_t n = 0;
	int more = 0;
	while (n < (size_t)many && (more = yg_rows_next(rows, err)) > 0) {
		struct job_part *part = &list[n++];
		(void)snprintf(part->computer, sizeof(part->computer), "%s", yg_rows_text(rows, 0));
		(void)snprintf(part->name, sizeof(part->name), "%s", yg_rows_text(rows, 1));
		part->relay = strcmp(yg_rows_text(rows, 2), "relay") == 0;
		const char *joined = yg_rows_text(rows, 3);
		(void)snprintf(part->joined, sizeof(part->joined), "%s", joined ? joined : "");
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	*count = n;
	return 0;
}

int job_part_find(struct store *store, const char *computer, const char *ref, struct job *job,
	struct job_part *part, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT j.id, r.part, c.name, r.joined FROM jobs j JOIN job_computers r ON r.job = j.id JOIN "
		    "computers c ON c.id = r.computer WHERE r.computer = $1 AND ((j.id = $2 AND r.part = "
		    "'agent') OR (j.relay_ref = $2 AND r.part = 'relay'))",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': not one of computer '%s'", ref,
			computer);
	(void)snprintf(part->computer, sizeof(part->computer), "%s", computer);
	(void)snprintf(part->name, sizeof(part->name), "%s", yg_rows_text(rows, 2));
	part->relay = strcmp(yg_rows_text(rows, 1), "relay") == 0;
	const char *joined = yg_rows_text(rows, 3);
	(void)snprintf(part->joined, sizeof(part->joined), "%s", joined ? joined : "");
	return job_load(store, yg_rows_text(rows, 0), job, err);
}

/* What the agent gets to run its part. A new object, NULL when memory was out. */
static json_t *command_of(const struct job *job, const struct job_part *part)
{
	if (part->relay)
		return json_pack("{s:s, s:s}", "command", "update.relay", "job", job->relay_ref);
	json_t *body = json_pack("{s:s, s:s}", "command", yg_job_kind_name(job->kind), "job",
		job->id);
	if (job->kind == YG_JOB_UPDATE) {
		(void)json_object_set_new(body, "set", json_string(job->aim));
		(void)json_object_set_new(body, "scheduled", json_boolean(job->scheduled));
		(void)json_object_set_new(body, "with_relays", json_boolean(job->relays));
	} else if (job->kind == YG_JOB_SCAN) {
		(void)json_object_set(body, "paths", job->paths);
	}
	return body;
}

int job_part_send(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	return store_command(store, part->computer, part->relay ? job->relay_ref : job->id,
		command_of(job, part), err);
}

int job_part_requested(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	return store_event(store, 273, part->computer, job->id,
		json_pack("{s:s, s:s}", "computer", part->name, "who", job->by), err);
}

/* 276, when what the computer reports is not the newest. */
static int tell_difference(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *newest, struct yg_err *err)
{
	const char *set = json_string_value(json_object_get(newest, "set"));
	if (!set)
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT components, set_has FROM computers WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(part->computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	if (strcmp(yg_rows_text(rows, 1), set) == 0)
		return 0;
	json_t *have YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
	json_t *what = store_computer_difference(have, json_object_get(newest, "components"));
	if (!what)
		return 0;
	return store_event(store, 276, part->computer, job->id,
		json_pack("{s:s, s:o, s:s}", "computer", part->name, "components", what, "set",
			set),
		err);
}

int job_part_tell(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *newest, struct yg_err *err)
{
	switch (job->kind) {
	case YG_JOB_UPDATE:
		if (!job->scheduled && job_part_requested(store, job, part, err) < 0)
			return -1;
		return tell_difference(store, job, part, newest, err);
	case YG_JOB_ROLLBACK:
	case YG_JOB_POLICY:
		return store_event(store, job->kind == YG_JOB_ROLLBACK ? 274 : 256, part->computer,
			job->id, json_pack("{s:s, s:s}", "computer", part->name, "who", job->by),
			err);
	case YG_JOB_SCAN:
		return store_event(store, 20008, part->computer, job->id,
			json_pack("{s:s, s:O, s:s}", "computer", part->name, "paths",
				json_array_get(job->paths, 0), "who", job->by),
			err);
	case YG_JOB_RELEASE_HOLD:
		break;
	}
	return 0;
}

int job_part_meets(struct store *store, const char *computer, const char *part, char out[40],
	struct yg_err *err)
{
	out[0] = '\0';
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.job FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.computer = $1 AND "
		    "r.part = $2 AND r.final = 0 AND r.joined IS NULL AND j.kind = 'update' AND j.state = "
		    "'running' ORDER BY j.number LIMIT 1",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(part)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more > 0)
		(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	return more < 0 ? -1 : 0;
}
