/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "manager/store/alerts.h"

/* What agents say of their parts. */

/* The deadline was quicker than the result. The part stays as it is, and says that it came; nobody need wait for that
 * computer any more (T4). However often it is sent again: once.
 */
static int came_late(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err)
{
	int64_t changed = 0;
	json_t *late YG_AUTO(yg_json) = json_pack("{s:{s:s, s:s, s:o}}", "late", "outcome",
		result->outcome, "cause", result->cause, "time", store_time(store->clock_s));
	char *text YG_AUTO(mem) = late ? yg_json_text(late) : NULL;
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_db_exec(store->db,
		    "UPDATE job_computers SET detail = $4 WHERE job = $1 AND computer = $2 AND part = $3 AND "
		    "final = 1 AND cause = 'job.timeout' AND detail IS NULL AND joined IS NULL",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
			    yg_db_text(job_part_word(part)), yg_db_text(text)),
		    &changed, err) < 0)
		return -1;
	if (changed == 0 || job->kind != YG_JOB_UPDATE)
		return 0;
	return store_alerts_late(store, part->computer, part->relay, result->outcome, err);
}

int store_job_result(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	struct job_part part = {0};
	const char *ref = json_string_value(json_object_get(entry, "job"));
	struct yg_err why = {0};
	if (job_part_find(store, computer, ref, &job, &part, &why) < 0) {
		if (why.code ==
			YG_EABSENT) { /* an update that somebody started at the computer itself */
			yg_log(YG_LOG_INFO, "store.result", "computer %s: %s", computer, why.msg);
			return 0;
		}
		*err = why;
		return -1;
	}
	const char *cause = json_string_value(json_object_get(entry, "cause"));
	const char *sentence = json_string_value(json_object_get(entry, "sentence"));
	json_t *detail = json_object_get(entry, "detail");
	const struct job_result result = {json_string_value(json_object_get(entry, "outcome")),
		cause ? cause : "", sentence ? sentence : "",
		json_is_object(detail) ? detail : NULL, false};
	if (part.final)
		return came_late(store, &job, &part, &result, err);
	bool answer = part.relay && strcmp(result.outcome, "success") == 0 && !job.cancelled[0];
	if ((answer ? job_relay_answer(store, &job, &part, &result, err)
		    : job_part_end(store, &job, &part, &result, err)) < 0)
		return -1;
	return job_advance_after(store, job.id, part.relay, err);
}

/* What an entry says of numbers, kept as it was where it says nothing. */
#define PROGRESS                                                                                       \
	"UPDATE job_computers SET state = 'running', phase = $4, done = coalesce($5, done), total = "  \
	"coalesce($6, total), what = coalesce($7, CASE WHEN phase = $4 THEN what ELSE '' END), bytes " \
	"= coalesce($8, bytes), bytes_of = coalesce($9, bytes_of), left_s = $10 WHERE "

static struct yg_db_value number_of(const json_t *entry, const char *name)
{
	const json_t *number = json_object_get(entry, name);
	return yg_db_int_or_null(json_is_integer(number), json_integer_value(number));
}

int store_job_progress(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err)
{
	const char *ref = json_string_value(json_object_get(entry, "job"));
	const char *phase = json_string_value(json_object_get(entry, "phase"));
	if (!ref || !phase)
		return 0;
	char job[40] = "";
	char part[16] = "";
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.job, r.part FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.computer = $1 "
		    "AND r.final = 0 AND ((r.part = 'agent' AND r.job = $2) OR (r.part = 'relay' AND "
		    "coalesce(r.ref, j.relay_ref) = $2))",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	(void)snprintf(job, sizeof(job), "%s", yg_rows_text(rows, 0));
	(void)snprintf(part, sizeof(part), "%s", yg_rows_text(rows, 1));
	/* Who joined this run sees where it stands too. */
	return yg_db_exec(store->db,
		PROGRESS "(job = $1 OR joined = $1) AND computer = $2 AND part = $3 AND final = 0",
		YG_DB_ARGS(yg_db_text(job), yg_db_text(computer), yg_db_text(part),
			yg_db_text(phase), number_of(entry, "done"), number_of(entry, "of"),
			yg_db_text(json_string_value(json_object_get(entry, "what"))),
			number_of(entry, "bytes"), number_of(entry, "bytes_of"),
			number_of(entry, "left_s")),
		NULL, err);
}

int store_job_sent(struct store *store, const char *computer, const char *ref, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = 'sent' WHERE computer = $1 AND state = 'waiting' AND final = 0 "
		"AND ((part = 'agent' AND job = $2) OR (part = 'relay' AND coalesce(ref, (SELECT relay_ref FROM "
		"jobs WHERE id = job)) = $2))",
		YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), NULL, err);
}

/* Open parts of policy jobs of one computer end with this result. */
static int end_policy(struct store *store, const char *computer, const struct job_result *result,
	struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = NULL;
	if (store_texts(store,
		    "SELECT j.id FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.computer = $1 AND "
		    "r.part = 'agent' AND r.final = 0 AND r.state <> 'waiting' AND j.kind = 'policy'",
		    YG_DB_ARGS(yg_db_text(computer)), &ids, err) < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
	{
		struct job job YG_AUTO(job) = {0};
		struct job_part part = {0};
		if (job_part_find(store, computer, json_string_value(id), &job, &part, err) < 0 ||
			job_part_end(store, &job, &part, result, err) < 0 ||
			job_advance(store, job.id, err) < 0)
			return -1;
	}
	return 0;
}

int store_job_policy(struct store *store, const char *computer, const char *fingerprint,
	struct yg_err *err)
{
	char want[65];
	if (store_policy_fingerprint(store, computer, want, err) < 0)
		return -1;
	if (!fingerprint || strcmp(fingerprint, want) != 0)
		return 0;
	const struct job_result good = {"success", "", "", NULL, false};
	return end_policy(store, computer, &good, err);
}

int store_job_policy_failed(struct store *store, const char *computer, const char *detail,
	struct yg_err *err)
{
	const struct job_result bad = {"failed", "engine.config", detail, NULL, false};
	return end_policy(store, computer, &bad, err);
}

/* Open parts end, since the computer is none that could do them. part: "relay", or "" for both. */
static int end_open(struct store *store, const char *computer, const char *part, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT job, part FROM job_computers WHERE computer = $1 AND final = 0 AND ($2 = '' OR part "
		    "= $2) ORDER BY part, job",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(part)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list,
			    json_pack("[s, b]", yg_rows_text(rows, 0),
				    strcmp(yg_rows_text(rows, 1), "relay") == 0),
			    err) < 0)
			return -1;
	if (more < 0)
		return -1;
	const struct job_result gone = {"cancelled", "job.cancelled", "", NULL, false};
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		struct job job YG_AUTO(job) = {0};
		struct job_part its = {0};
		const char *id = json_string_value(json_array_get(item, 0));
		bool relay = json_is_true(json_array_get(item, 1));
		if (job_load(store, id, &job, err) < 0 ||
			job_part_load(store, id, computer, relay, &its, err) < 0 ||
			job_part_end(store, &job, &its, &gone, err) < 0)
			return -1;
	}
	/* All of them first: no job sends it for what is to end here. */
	json_array_foreach(list, i, item)
	{
		if (job_advance(store, json_string_value(json_array_get(item, 0)), err) < 0)
			return -1;
	}
	return 0;
}

int store_job_forget(struct store *store, const char *computer, struct yg_err *err)
{
	return end_open(store, computer, "", err);
}

int store_job_no_relay(struct store *store, const char *computer, struct yg_err *err)
{
	return end_open(store, computer, "relay", err);
}

int store_job_checked(struct store *store, struct yg_err *err)
{
	if (yg_db_exec(store->db,
		    "UPDATE jobs SET check_until = 0 WHERE state = 'running' AND check_until > 0",
		    YG_DB_NO_ARGS, NULL, err) < 0)
		return -1;
	return job_advance_all(store, err);
}
