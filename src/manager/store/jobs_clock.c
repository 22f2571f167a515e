/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

/* What jobs do by the clock. */

int store_jobs_tick(struct store *store, struct yg_err *err)
{
	return job_advance_all(store, err);
}

#define CLEAN_JOBS 20 /* each has a row for every computer */

int store_jobs_clean(struct store *store, int64_t before, bool *more, struct yg_err *err)
{
	/* What an open part has joined is still asked for its result. */
	static const char old[] =
		"SELECT j.id FROM jobs j WHERE j.state = 'done' AND j.ended < $1 AND NOT EXISTS (SELECT 1 FROM "
		"job_computers w WHERE w.joined = j.id AND w.final = 0) ORDER BY j.number LIMIT $2";
	json_t *ids YG_AUTO(yg_json) = NULL;
	if (store_texts(store, old, YG_DB_ARGS(yg_db_int(before), yg_db_int(CLEAN_JOBS)), &ids,
		    err) < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
	{
		const char *text = json_string_value(id);
		if (yg_db_exec(store->db, "DELETE FROM job_computers WHERE job = $1",
			    YG_DB_ARGS(yg_db_text(text)), NULL, err) < 0 ||
			yg_db_exec(store->db, "DELETE FROM job_groups WHERE job = $1",
				YG_DB_ARGS(yg_db_text(text)), NULL, err) < 0 ||
			yg_db_exec(store->db, "DELETE FROM jobs WHERE id = $1",
				YG_DB_ARGS(yg_db_text(text)), NULL, err) < 0)
			return -1;
	}
	*more = *more || json_array_size(ids) == CLEAN_JOBS;
	return 0;
}
