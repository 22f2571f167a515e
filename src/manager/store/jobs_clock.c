/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "core/str.h"

/* What jobs do by the clock. */

static int schedule(struct store *store, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	char *known YG_AUTO(mem) = NULL;
	char *last YG_AUTO(mem) = NULL;
	char now[24];
	(void)snprintf(now, sizeof(now), "%lld", (long long)store->clock_s);
	if (store_setting_text(store, "schedule.update", &text, err) < 0)
		return -1;
	struct yg_err absent = {0};
	if (store_fact_get(store, "schedule.update", &known, &absent) < 0 &&
		absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	if (strcmp(known ? known : "", text) != 0) /* a new schedule begins now */
		return store_fact_put(store, "schedule.update", text, err) < 0
			? -1
			: store_fact_put(store, "schedule.update.last", now, err);
	if (text[0] == '\0')
		return 0;
	uint64_t when = 0;
	int64_t next = 0;
	if (store_fact_get(store, "schedule.update.last", &last, err) < 0 ||
		yg_str_u64(last, INT64_MAX, &when, err) < 0 ||
		store_setting_schedule(text, (int64_t)when, store->clock_s, &next, err) < 0)
		return -1;
	if (next == 0 || next > store->clock_s)
		return 0;
	if (store_fact_put(store, "schedule.update.last", now, err) < 0)
		return -1;
	int64_t there = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM computers WHERE deleted = 0 AND activated IS NOT NULL",
		    YG_DB_NO_ARGS, &there, err) < 0)
		return -1;
	if (there == 0)
		return 0;
	struct store_asker asker = {.kind = STORE_SYSTEM, .name = "schedule", .full = true};
	json_t *order YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:b}", "kind", "update", "computers",
		"all", "scheduled", 1);
	char job[40];
	return store_job_make(store, &asker, order, job, err);
}

int store_jobs_tick(struct store *store, struct yg_err *err)
{
	return job_advance_all(store, err) < 0 ? -1 : schedule(store, err);
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
			yg_db_exec(store->db, "DELETE FROM jobs WHERE id = $1",
				YG_DB_ARGS(yg_db_text(text)), NULL, err) < 0)
			return -1;
	}
	*more = *more || json_array_size(ids) == CLEAN_JOBS;
	return 0;
}
