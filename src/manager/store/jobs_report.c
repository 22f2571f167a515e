/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"

/* What agents say of their parts. */

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
		json_is_object(detail) ? detail : NULL};
	if (job_part_end(store, &job, &part, &result, err) < 0)
		return -1;
	return job_advance(store, job.id, err);
}

int store_job_progress(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	struct job_part part = {0};
	struct yg_err why = {0};
	const char *ref = json_string_value(json_object_get(entry, "job"));
	const char *phase = json_string_value(json_object_get(entry, "phase"));
	if (!ref || !phase)
		return 0;
	if (job_part_find(store, computer, ref, &job, &part, &why) < 0) {
		*err = why;
		return why.code == YG_EABSENT ? 0 : -1;
	}
	bool counts = json_object_get(entry, "done") || json_object_get(entry, "of");
	/* Who joined this run sees where it stands too. */
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = 'running', phase = $4, done = CASE WHEN $5 = 0 THEN done ELSE "
		"$6 END, total = CASE WHEN $5 = 0 THEN total ELSE $7 END WHERE (job = $1 OR joined = $1) AND "
		"computer = $2 AND part = $3 AND final = 0",
		YG_DB_ARGS(yg_db_text(job.id), yg_db_text(computer),
			yg_db_text(job_part_word(&part)), yg_db_text(phase), yg_db_int(counts),
			yg_db_int(json_integer_value(json_object_get(entry, "done"))),
			yg_db_int(json_integer_value(json_object_get(entry, "of")))),
		NULL, err);
}

int store_job_sent(struct store *store, const char *computer, const char *ref, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = 'sent' WHERE computer = $1 AND state = 'waiting' AND job IN "
		"(SELECT id FROM jobs WHERE (id = $2 AND part = 'agent') OR (relay_ref = $2 AND part = "
		"'relay'))",
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
	const struct job_result good = {"success", "", "", NULL};
	return end_policy(store, computer, &good, err);
}

int store_job_policy_failed(struct store *store, const char *computer, const char *detail,
	struct yg_err *err)
{
	const struct job_result bad = {"failed", "engine.config", detail, NULL};
	return end_policy(store, computer, &bad, err);
}

int store_job_forget(struct store *store, const char *computer, struct yg_err *err)
{
	json_t *refs YG_AUTO(yg_json) = NULL;
	if (store_texts(store,
		    "SELECT CASE WHEN r.part = 'relay' THEN j.relay_ref ELSE j.id END FROM job_computers r JOIN "
		    "jobs j ON j.id = r.job WHERE r.computer = $1 AND r.final = 0",
		    YG_DB_ARGS(yg_db_text(computer)), &refs, err) < 0)
		return -1;
	const struct job_result gone = {"cancelled", "job.cancelled", "", NULL};
	size_t i;
	json_t *ref;
	json_array_foreach(refs, i, ref)
	{
		struct job job YG_AUTO(job) = {0};
		struct job_part part = {0};
		if (job_part_find(store, computer, json_string_value(ref), &job, &part, err) < 0 ||
			job_part_end(store, &job, &part, &gone, err) < 0 ||
			job_advance(store, job.id, err) < 0)
			return -1;
	}
	return 0;
}

int store_job_checked(struct store *store, struct yg_err *err)
{
	if (yg_db_exec(store->db,
		    "UPDATE jobs SET check_until = 0 WHERE state = 'running' AND check_until > 0",
		    YG_DB_NO_ARGS, NULL, err) < 0)
		return -1;
	return job_advance_all(store, err);
}
