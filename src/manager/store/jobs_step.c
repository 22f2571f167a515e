/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A job goes from the relays to the agents to its end. */

#define FAILED_MAX 100 /* failures named in one event 2205 */

/* The set that agents are sent for: the newest that the Manager has verified since the job began, and
 * that a relay has said it holds. Where that is not known it is empty, and agents take what their relay
 * has: better than sending them for something that nobody can give.
 */
static int choose_aim(struct store *store, const struct job *job, const json_t *newest,
	char aim[65], struct yg_err *err)
{
	char set[65];
	aim[0] = '\0';
	if (job_newest_since(store, job, newest, set, err) < 0)
		return -1;
	if (set[0] == '\0')
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT detail FROM job_computers WHERE job = $1 AND part = 'relay' AND state = 'success'",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	bool said = false;
	bool holds = false;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
		said = said || job_set_of(detail)[0] != '\0';
		holds = holds || strcmp(job_set_of(detail), set) == 0;
	}
	if (more < 0)
		return -1;
	if (!said || holds)
		(void)snprintf(aim, 65, "%s", set);
	return 0;
}

int job_begin_agents(struct store *store, struct job *job, struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest)
		return -1;
	if (job->kind == YG_JOB_UPDATE && choose_aim(store, job, newest, job->aim, err) < 0)
		return -1;
	(void)snprintf(job->phase, sizeof(job->phase), "agents");
	if (yg_db_exec(store->db, "UPDATE jobs SET phase = 'agents', aim = $2 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(job->aim)), NULL, err) < 0)
		return -1;

	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (job_parts_open(store, job->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].relay)
			continue;
		if (job_part_tell(store, job, &parts[i], newest, err) < 0)
			return -1;
		if (!parts[i].joined[0] && job_part_send(store, job, &parts[i], err) < 0)
			return -1;
	}
	return job_parts_settle(store, job, false, err);
}

/* What the relays' part has come to. */
struct relays {
	int64_t all, open, open_online, good;
	char cause[YG_ERR_CAUSE_MAX];
	char *sentence; /* owned: of one that failed */
	char set[65];   /* of one that succeeded */
};

static void relays_free_at(struct relays *relays)
{
	free(relays->sentence);
}

static int count_relays(struct store *store, const struct job *job, struct relays *relays,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.state, r.final, c.online, r.cause, r.sentence, r.detail FROM job_computers r JOIN "
		    "computers c ON c.id = r.computer WHERE r.job = $1 AND r.part = 'relay'",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		relays->all++;
		if (yg_rows_int(rows, 1) == 0) {
			relays->open++;
			relays->open_online += yg_rows_int(rows, 2);
		} else if (strcmp(yg_rows_text(rows, 0), "success") == 0) {
			json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 5));
			relays->good++;
			(void)snprintf(relays->set, sizeof(relays->set), "%s", job_set_of(detail));
		} else if (!relays->sentence) {
			(void)snprintf(relays->cause, sizeof(relays->cause), "%s",
				yg_rows_text(rows, 3));
			relays->sentence = strdup(yg_rows_text(rows, 4));
		}
	}
	return more;
}

/* From relays to agents, when it is time. */
static int leave_relays(struct store *store, struct job *job, struct yg_err *err)
{
	struct relays relays __attribute__((cleanup(relays_free_at))) = {0};
	if (job_parts_settle(store, job, true, err) < 0 ||
		count_relays(store, job, &relays, err) < 0)
		return -1;
	/* Half the time is the agents'. */
	if (relays.open > 0 &&
		store->clock_s >= job->created + (job->deadline - job->created) / 2) {
		const struct job_result late = {"failed", "job.timeout", "", NULL};
		if (job_parts_fail(store, job, true, &late, err) < 0)
			return -1;
		relays_free_at(&relays);
		relays = (struct relays){0};
		if (count_relays(store, job, &relays, err) < 0)
			return -1;
	}
	/* One relay that holds it is enough to go on when the others are not even there. */
	bool ready = relays.open == 0 || (relays.good > 0 && relays.open_online == 0);
	if (!ready || job->check_until > store->clock_s)
		return 0;
	if (relays.all > 0 && relays.good == 0) {
		const struct job_result same = {"failed", relays.cause,
			relays.sentence ? relays.sentence : "", NULL};
		return job_parts_fail(store, job, false, &same, err);
	}
	if (relays.all > 0) {
		json_t *params = json_pack("{s:s}", "group", JOB_GROUP);
		if (relays.set[0] != '\0')
			(void)json_object_set_new(params, "set", json_string(relays.set));
		if (store_event(store, 1601, NULL, job->id, params, err) < 0)
			return -1;
	}
	return job_begin_agents(store, job, err);
}

/* 2204 or 2205, over all agents' parts. */
static int tell_whole(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t all = 0;
	int64_t bad = 0;
	json_t *failures YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.state, c.name, r.cause, r.sentence FROM job_computers r JOIN computers c ON c.id = "
		    "r.computer WHERE r.job = $1 AND r.part = 'agent' ORDER BY c.name, c.id",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		all++;
		if (strcmp(yg_rows_text(rows, 0), "success") == 0 ||
			job_was_held(yg_rows_text(rows, 0), yg_rows_text(rows, 2)))
			continue;
		if (++bad > FAILED_MAX)
			continue;
		char *detail YG_AUTO(
			mem) = job_more_than_cause(yg_rows_text(rows, 2), yg_rows_text(rows, 3));
		if (store_add(failures,
			    json_pack("{s:s, s:s, s:s}", "computer", yg_rows_text(rows, 1), "cause",
				    yg_rows_text(rows, 2), "sentence", detail ? detail : ""),
			    err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	if (bad == 0)
		return store_event(store, 2204, NULL, job->id,
			json_pack("{s:I, s:s}", "computers", (json_int_t)all, "job", job->id), err);
	return store_event(store, 2205, NULL, job->id,
		json_pack("{s:I, s:I, s:O, s:s}", "failed", (json_int_t)bad, "computers",
			(json_int_t)all, "failures", failures, "job", job->id),
		err);
}

static int end_if_done(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t open = 0;
	int64_t bad = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM (SELECT 1 FROM job_computers WHERE job = $1 AND final = 0 "
		    "LIMIT 1) AS open",
		    YG_DB_ARGS(yg_db_text(job->id)), &open, err) < 0)
		return -1;
	if (open > 0)
		return 0;
	int64_t good = 0;
	int64_t changed = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM job_computers WHERE job = $1 AND state = 'failed'",
		    YG_DB_ARGS(yg_db_text(job->id)), &bad, err) < 0 ||
		yg_db_number(store->db,
			"SELECT count(*) FROM job_computers WHERE job = $1 AND state = 'success'",
			YG_DB_ARGS(yg_db_text(job->id)), &good, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE jobs SET state = 'done', phase = 'done', outcome = $2, ended = $3 WHERE id = $1 "
			"AND state = 'running'",
			YG_DB_ARGS(yg_db_text(job->id),
				yg_db_text(bad > 0         ? "failed"
						: good > 0 ? "success"
							   : "cancelled"),
				yg_db_int(store->clock_s)),
			&changed, err) < 0)
		return -1;
	return changed > 0 && job->kind == YG_JOB_UPDATE ? tell_whole(store, job, err) : 0;
}

int job_advance(struct store *store, const char *id, struct yg_err *err)
{
	int64_t running = 0;
	struct job job YG_AUTO(job) = {0};
	if (yg_db_number(store->db, "SELECT count(*) FROM jobs WHERE id = $1 AND state = 'running'",
		    YG_DB_ARGS(yg_db_text(id)), &running, err) < 0)
		return -1;
	if (running == 0)
		return 0;
	if (job_load(store, id, &job, err) < 0)
		return -1;
	if (store->clock_s >= job.deadline) {
		const struct job_result late = {"failed", "job.timeout", "", NULL};
		if (job_parts_fail(store, &job, false, &late, err) < 0)
			return -1;
	} else if (strcmp(job.phase, "relays") == 0 && leave_relays(store, &job, err) < 0) {
		return -1;
	}
	return end_if_done(store, &job, err);
}

int job_advance_all(struct store *store, struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = NULL;
	if (store_texts(store, "SELECT id FROM jobs WHERE state = 'running' ORDER BY number",
		    YG_DB_NO_ARGS, &ids, err) < 0)
		return -1;
	store->running = json_array_size(ids) > 0;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i,
		id) if (job_advance(store, json_string_value(id), err) < 0) return -1;
	return 0;
}
