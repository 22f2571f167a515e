/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The system's clock was ahead, by years perhaps, and is right again. What was noted down meanwhile stands in the
 * future, and nothing may wait until then.
 */
#include <stdio.h>

#include "core/log.h"
#include "core/str.h"
#include "manager/store/store.h"
#include "manager/store/tasks.h"

/* What is noted as "since": it cannot be later than now. $1 is now, $2 the first moment that is too late. */
static const char *const since[] = {
	"UPDATE computers SET last_contact = $1 WHERE online = 1 AND last_contact > $2",
	"UPDATE relay_groups SET empty_since = $1 WHERE empty_since > $2",
	"UPDATE alert_failures SET since = $1 WHERE since > $2",
	"UPDATE keys SET last_used = $1 WHERE last_used > $2",
	"UPDATE certificates SET issued = $1 WHERE issued > $2",
	/* Parts before their jobs: how far ahead the clock was is in the job. */
	("UPDATE job_computers SET not_before = not_before - (SELECT j.created FROM jobs j WHERE j.id = job) + $1 "
	 "WHERE not_before IS NOT NULL AND final = 0 AND job IN (SELECT j.id FROM jobs j WHERE j.state = "
	 "'running' AND j.created > $2)"),
	("UPDATE jobs SET deadline = deadline - created + $1, check_until = 0, created = $1 WHERE state = 'running' "
	 "AND created > $2"),
};

/* A moment that is kept as a fact. instead: what it is when it stands in the future. */
static int fact(struct store *store, const char *name, int64_t instead, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	char now[24];
	uint64_t when = 0;
	struct yg_err absent = {0};
	if (store_fact_get(store, name, &text, &absent) < 0) {
		if (absent.code == YG_EABSENT)
			return 0;
		*err = absent;
		return -1;
	}
	if (yg_str_u64(text, INT64_MAX, &when, err) < 0)
		return -1;
	(void)snprintf(now, sizeof(now), "%lld", (long long)instead);
	return (int64_t)when > store->clock_s + STORE_CLOCK_S
		? store_fact_put(store, name, now, err)
		: 0;
}

int store_clock_back(struct store *store, struct yg_err *err)
{
	if (store->last_tick_s != 0)
		yg_log(YG_LOG_WARN, "store.clock", "the clock went back by %lld s",
			(long long)(store->last_tick_s - store->clock_s));
	store->next_clean_s = 0;
	store->next_alerts_s = 0;
	store->next_expiry_s = 0;
	for (size_t i = 0; i < YG_COUNT(store->refused_s); i++)
		store->refused_s[i] = 0;
	if (store->started_s > store->clock_s)
		store->started_s = store->clock_s;
	for (size_t i = 0; i < YG_COUNT(since); i++)
		if (yg_db_exec(store->db, since[i],
			    YG_DB_ARGS(yg_db_int(store->clock_s),
				    yg_db_int(store->clock_s + STORE_CLOCK_S)),
			    NULL, err) < 0)
			return -1;
	if (fact(store, "newest_since", store->clock_s, err) < 0 ||
		fact(store, "newest_checked", 0, err) < 0)
		return -1;
	return store_tasks_replan(store, err);
}
