/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

/* Somebody does not want a job any more. What no computer has heard of ends here and now; a computer that has
 * its part is told to end it, and its result says what it came to. It is not waited for long.
 */

#define CANCEL_S  60 /* for the computers to answer */
#define CANCELLED 20012

static int cancel_part(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	const struct job_result unheard = {"cancelled", "job.cancelled", "", NULL, false};
	if (part->joined[0] != '\0' || strcmp(part->state, "waiting") == 0)
		return job_part_end(store, job, part, &unheard, err);
	return store_command(store, part->computer, part->ref,
		json_pack("{s:s, s:s}", "command", "cancel", "job", part->ref), err);
}

static int cancel(struct store *store, struct job *job, const char *who, struct yg_err *err)
{
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	(void)snprintf(job->cancelled, sizeof(job->cancelled), "%s", who);
	if (yg_db_exec(store->db,
		    "UPDATE jobs SET cancelled = $2, phase = 'agents', deadline = CASE WHEN deadline < $3 THEN "
		    "deadline ELSE $3 END WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(who),
			    yg_db_int(store->clock_s + CANCEL_S)),
		    NULL, err) < 0 ||
		store_event(store, CANCELLED, NULL, job->id,
			json_pack("{s:s, s:s, s:s}", "job", job->id, "kind",
				yg_job_kind_name(job->kind), "who", who),
			err) < 0 ||
		job_parts_open(store, job->id, NULL, NULL, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (cancel_part(store, job, &parts[i], err) < 0)
			return -1;
	return job_advance(store, job->id, err);
}

int op_jobs_cancel(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	struct job job YG_AUTO(job) = {0};
	if (yg_json_str(args, "id", 64, &id, err) < 0 || job_load(store, id, &job, err) < 0)
		return -1;
	if (strcmp(job.phase, "done") == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict", "job '%s': it has ended already",
			id);
	if (job.cancelled[0] == '\0' && cancel(store, &job, asker->name, err) < 0)
		return -1;
	return op_jobs_get(store, asker, args, out, err);
}
