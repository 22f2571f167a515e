/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/store/content.h"

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
		    "check_until, paths, cancelled, spread FROM jobs WHERE id = $1",
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
	const char *cancelled = yg_rows_text(rows, 12);
	(void)snprintf(job->cancelled, sizeof(job->cancelled), "%s", cancelled ? cancelled : "");
	job->spread = yg_rows_int(rows, 13);
	return 0;
}

/* A computer that shall not have the newest (content.h) takes what that is from what its relay has. */
#define AIM                                                                                           \
	"CASE WHEN r.part = 'agent' AND coalesce(c.content, (SELECT p.content FROM policies p WHERE " \
	"p.id = c.policy)) <> '' THEN '' ELSE g.aim END"

/* What both queries below give, in this order. */
#define PART                                                                                                  \
	"SELECT r.job, r.computer, c.name, r.part, r.joined, r.state, r.final, CASE WHEN r.part = "           \
	"'agent' THEN j.id ELSE coalesce(r.ref, j.relay_ref) END, r.in_group, g.state, " AIM ", "             \
	"g.relays, r.not_before FROM job_computers r JOIN jobs j ON j.id = r.job JOIN computers c ON c.id = " \
	"r.computer LEFT JOIN job_groups g ON g.job = r.job AND g.in_group = r.in_group "

static void text_of(const struct yg_rows *rows, int column, char *out, size_t size)
{
	const char *text = yg_rows_text(rows, column);
	(void)snprintf(out, size, "%s", text ? text : "");
}

static void part_of(const struct yg_rows *rows, struct job_part *part)
{
	text_of(rows, 1, part->computer, sizeof(part->computer));
	text_of(rows, 2, part->name, sizeof(part->name));
	part->relay = strcmp(yg_rows_text(rows, 3), "relay") == 0;
	text_of(rows, 4, part->joined, sizeof(part->joined));
	text_of(rows, 5, part->state, sizeof(part->state));
	part->final = yg_rows_int(rows, 6) != 0;
	text_of(rows, 7, part->ref, sizeof(part->ref));
	text_of(rows, 8, part->group, sizeof(part->group));
	text_of(rows, 9, part->group_state, sizeof(part->group_state));
	text_of(rows, 10, part->aim, sizeof(part->aim));
	part->with_relays = yg_rows_int(rows, 11) != 0;
	part->not_before = yg_rows_int(rows, 12);
}

/* All rows of a query. */
static int collect(struct yg_rows *rows, struct job_part **out, size_t *count, struct yg_err *err)
{
	struct job_part *list YG_AUTO(mem) = NULL;
	size_t n = 0;
	size_t room = 0;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		if (n == room) {
			room = room ? 2 * room : 16;
			struct job_part *grown = reallocarray(list, room, sizeof(*list));
			if (!grown)
				return yg_fail(err, YG_ESYSTEM, "out of memory");
			list = grown;
		}
		list[n] = (struct job_part){0};
		part_of(rows, &list[n++]);
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	*count = n;
	return 0;
}

/* Each so that an index finds the rows: a group's relays are few among its agents ("+": not by what is open). */
static const char any_sql[] = PART
	"WHERE r.job = $1 AND r.final = 0 AND ($2 = '' OR r.part = $2) ORDER BY r.computer";
const char job_parts_group_sql[] = PART
	"WHERE r.job = $1 AND r.final = 0 AND ($2 = '' OR r.part = $2) AND r.in_group = $3 ORDER BY "
	"r.computer";
const char job_parts_relays_sql[] = PART
	"WHERE r.job = $1 AND + r.final = 0 AND r.part = 'relay' AND r.part = $2 AND r.in_group = $3 "
	"ORDER BY r.computer";

int job_parts_open(struct store *store, const char *job, const char *part, const char *group,
	struct job_part **out, size_t *count, struct yg_err *err)
{
	bool relays = part && strcmp(part, "relay") == 0;
	const char *sql = !group ? any_sql : relays ? job_parts_relays_sql : job_parts_group_sql;
	const struct yg_db_value values[] = {yg_db_text(job), yg_db_text(part ? part : ""),
		yg_db_text(group)};
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, sql, values, group ? 3 : 2, &rows, err) < 0)
		return -1;
	return collect(rows, out, count, err);
}

int job_parts_due(struct store *store, const char *job, struct job_part **out, size_t *count,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    PART
		    "WHERE r.job = $1 AND r.not_before <= $2 AND r.final = 0 AND g.state = 'ready' ORDER BY "
		    "r.computer",
		    YG_DB_ARGS(yg_db_text(job), yg_db_int(store->clock_s)), &rows, err) < 0)
		return -1;
	return collect(rows, out, count, err);
}

int job_part_load(struct store *store, const char *job, const char *computer, bool relay,
	struct job_part *part, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, PART "WHERE r.job = $1 AND r.computer = $2 AND r.part = $3",
		    YG_DB_ARGS(yg_db_text(job), yg_db_text(computer),
			    yg_db_text(relay ? "relay" : "agent")),
		    &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': not one of computer '%s'", job,
			computer);
	part_of(rows, part);
	return 0;
}

int job_part_find(struct store *store, const char *computer, const char *ref, struct job *job,
	struct job_part *part, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    PART
		    "WHERE r.computer = $1 AND ((r.part = 'agent' AND j.id = $2) OR (r.part = 'relay' AND "
		    "coalesce(r.ref, j.relay_ref) = $2))",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': not one of computer '%s'", ref,
			computer);
	part_of(rows, part);
	return job_load(store, yg_rows_text(rows, 0), job, err);
}

/* What the agent gets to run its part. A new object, NULL when memory was out. */
static json_t *command_of(const struct job *job, const struct job_part *part)
{
	if (part->relay)
		return json_pack("{s:s, s:s}", "command", "update.relay", "job", part->ref);
	json_t *body = json_pack("{s:s, s:s}", "command", yg_job_kind_name(job->kind), "job",
		job->id);
	if (job->kind == YG_JOB_UPDATE) {
		(void)json_object_set_new(body, "set", json_string(part->aim));
		(void)json_object_set_new(body, "scheduled", json_boolean(job->scheduled));
		(void)json_object_set_new(body, "with_relays", json_boolean(part->with_relays));
	} else if (job->kind == YG_JOB_SCAN) {
		(void)json_object_set(body, "paths", job->paths);
	} else if (job->kind == YG_JOB_TEST) {
		(void)json_object_set(body, "what", json_array_get(job->paths, 0));
	}
	return body;
}

int job_part_send(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	return store_command(store, part->computer, part->ref, command_of(job, part), err);
}

int job_part_requested(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	return store_event(store, 273, part->computer, job->id,
		json_pack("{s:s, s:s}", "computer", part->name, "who", job->by), err);
}

/* 276, when what the computer reports is not what it should be. */
static int tell_difference(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *newest, struct yg_err *err)
{
	const char *set = json_string_value(json_object_get(newest, "set"));
	if (!set)
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT c.components, c.set_has, " CONTENT_OF
		    " FROM computers c JOIN policies p ON p.id = c.policy WHERE c.id = $1",
		    YG_DB_ARGS(yg_db_text(part->computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	if (yg_rows_text(rows, 2)[0] == '\0' && strcmp(yg_rows_text(rows, 1), set) == 0)
		return 0;
	json_t *have YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
	json_t *what = content_difference(yg_rows_text(rows, 2), have,
		json_object_get(newest, "components"));
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
	case YG_JOB_TEST:
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
		    "r.part = $2 AND r.final = 0 AND r.joined IS NULL AND coalesce(r.not_before, 0) <= $3 AND "
		    "j.kind = 'update' AND j.state = 'running' ORDER BY j.number LIMIT 1",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(part), yg_db_int(store->clock_s)),
		    &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more > 0)
		(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	return more < 0 ? -1 : 0;
}
