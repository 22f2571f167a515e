/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Alerts that the clock finds: computers that are silent or out of date. */
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "manager/store/alerts.h"
#include "manager/store/content.h"
#include "manager/store/store.h"

#define EVERY_S   10  /* between two looks */
#define SOME      500 /* computers in one look; the rest comes with the next */
#define NAMED_MAX 20  /* computers named in one alert */

static int raise_silent(struct store *store, const json_t *list, struct yg_err *err)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		json_t *params = json_pack("{s:O, s:O}", "computer", json_array_get(item, 1),
			"since", json_array_get(item, 2));
		if (store_alert_raise(store, "computer_offline",
			    json_string_value(json_array_get(item, 0)), params, err) < 0)
			return -1;
	}
	return 0;
}

static int silent(struct store *store, struct yg_err *err)
{
	int64_t after_s = 0;
	if (store_setting_int(store, "alerts.offline_after_s", &after_s, err) < 0)
		return -1;
	/* 0: nobody minds. After our own absence everybody gets the whole time again. */
	if (after_s == 0 || store->clock_s - store->started_s < after_s)
		return 0;
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT c.id, c.name, c.last_contact FROM computers c WHERE c.online = 0 AND c.deleted = 0 "
		    "AND c.last_contact < $1 AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.kind = "
		    "'computer_offline' AND a.subject = c.id AND a.ended IS NULL) ORDER BY c.id LIMIT $2",
		    YG_DB_ARGS(yg_db_int(store->clock_s - after_s), yg_db_int(SOME)), &rows,
		    err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list,
			    json_pack("[s, s, o]", yg_rows_text(rows, 0), yg_rows_text(rows, 1),
				    store_time(yg_rows_int(rows, 2))),
			    err) < 0)
			return -1;
	return more < 0 ? -1 : raise_silent(store, list, err);
}

/* Since when the newest set is known; 0 when none is. */
static int newest_since(struct store *store, int64_t *out, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	uint64_t since = 0;
	*out = 0;
	if (store_fact_get(store, "newest_since", &text, &absent) < 0) {
		if (absent.code == YG_EABSENT)
			return 0;
		*err = absent;
		return -1;
	}
	if (yg_str_u64(text, INT64_MAX, &since, err) < 0)
		return -1;
	*out = (int64_t)since;
	return 0;
}

static int out_of_date(struct store *store, struct yg_err *err)
{
	int64_t after_s = 0;
	int64_t since = 0;
	int64_t count = 0;
	if (store_setting_int(store, "alerts.out_of_date_s", &after_s, err) < 0 ||
		newest_since(store, &since, err) < 0)
		return -1;
	json_t *names YG_AUTO(yg_json) = json_array();
	if (after_s > 0 && since > 0 && store->clock_s - since >= after_s &&
		store_content_old(store, NAMED_MAX, names, &count, err) < 0)
		return -1;
	if (count == 0)
		return store_alert_end(store, "components_out_of_date", "", "newest", err);
	return store_alert_raise(store, "components_out_of_date", "",
		json_pack("{s:I, s:O, s:o}", "count", (json_int_t)count, "computers", names,
			"since", store_time(since)),
		err);
}

int store_alerts_tick(struct store *store, struct yg_err *err)
{
	if (store->clock_s < store->next_alerts_s)
		return 0;
	store->next_alerts_s = store->clock_s + EVERY_S;
	return silent(store, err) < 0 || out_of_date(store, err) < 0 ? -1 : 0;
}
