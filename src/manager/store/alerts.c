/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Alerts: raising, ending, and what counts as lasting. Which conditions the clock finds is in
 * alerts_tick.c, how people see them in alerts_list.c.
 */
#include "manager/store/alerts.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "manager/store/store.h"
#include "proto/alert.h"

/* One that stands. */
struct standing {
	int64_t number; /* 0: none */
	json_t *params; /* owned */
};

static void standing_free_at(struct standing *standing)
{
	json_decref(standing->params);
}

#define STANDING(name) struct standing name __attribute__((cleanup(standing_free_at))) = {0}

static int load(struct store *store, const char *kind, const char *subject, struct standing *out,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT number, params FROM alerts WHERE kind = $1 AND subject = $2 AND ended IS NULL",
		    YG_DB_ARGS(yg_db_text(kind), yg_db_text(subject)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	out->number = yg_rows_int(rows, 0);
	out->params = store_parse(yg_rows_text(rows, 1));
	return 0;
}

/* 190, 191 and 192; `reason` only with the last. Takes `alert` ({"kind","params"?}) over. */
static int tell(struct store *store, uint32_t id, const struct yg_alert *kind, const char *subject,
	json_t *alert, const json_t *params, const char *reason, struct yg_err *err)
{
	json_t *all = json_pack("{s:o}", "alert", alert);
	json_t *name = json_object_get(params, "computer");
	if (name && id == 192)
		(void)json_object_set(all, "computer", name);
	if (reason)
		(void)json_object_set_new(all, "reason", json_string(reason));
	bool computer = yg_alert_subject(kind) == YG_ALERT_COMPUTER;
	return store_event(store, id, computer ? subject : NULL, NULL, all, err);
}

static int begin(struct store *store, const struct yg_alert *kind, const char *subject,
	json_t *params, const char *text, struct yg_err *err)
{
	const char *name = yg_alert_kind(kind);
	if (yg_db_exec(store->db,
		    "INSERT INTO alerts (kind, subject, level, params, began, changed, reason) VALUES ($1, $2, "
		    "$3, $4, $5, $5, '')",
		    YG_DB_ARGS(yg_db_text(name), yg_db_text(subject),
			    yg_db_int(yg_alert_level(kind)), yg_db_text(text),
			    yg_db_int(store->clock_s)),
		    NULL, err) < 0)
		return -1;
	return tell(store, 190, kind, subject,
		json_pack("{s:s, s:O}", "kind", name, "params", params), params, NULL, err);
}

static bool same(const json_t *a, const json_t *b, const char *name)
{
	json_t *x = json_object_get(a, name);
	json_t *y = json_object_get(b, name);
	return (!x && !y) || (x && y && json_equal(x, y));
}

static int change(struct store *store, const struct yg_alert *kind, const char *subject,
	const struct standing *was, json_t *params, const char *text, struct yg_err *err)
{
	if (json_equal(was->params, params))
		return 0;
	if (yg_db_exec(store->db, "UPDATE alerts SET params = $2, changed = $3 WHERE number = $1",
		    YG_DB_ARGS(yg_db_int(was->number), yg_db_text(text), yg_db_int(store->clock_s)),
		    NULL, err) < 0)
		return -1;
	if (same(was->params, params, "cause") && same(was->params, params, "days"))
		return 0;
	return tell(store, 191, kind, subject,
		json_pack("{s:s, s:O}", "kind", yg_alert_kind(kind), "params", params), params,
		NULL, err);
}

int store_alert_raise(struct store *store, const char *kind, const char *subject, json_t *params,
	struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = params;
	const struct yg_alert *alert = yg_alert_find(kind);
	char *text YG_AUTO(mem) = owned ? yg_json_text(owned) : NULL;
	struct yg_err why = {0};
	STANDING(was);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (!alert) {
		yg_log(YG_LOG_ERROR, "store.alert", "%s: no such kind of alert", kind);
		return 0;
	}
	if (yg_alert_check(alert, owned, &why) < 0)
		yg_log_err(YG_LOG_ERROR, "store.alert", &why);
	if (load(store, kind, subject, &was, err) < 0)
		return -1;
	return was.number ? change(store, alert, subject, &was, owned, text, err)
			  : begin(store, alert, subject, owned, text, err);
}

int store_alert_end(struct store *store, const char *kind, const char *subject, const char *reason,
	struct yg_err *err)
{
	const struct yg_alert *alert = yg_alert_find(kind);
	STANDING(was);
	if (load(store, kind, subject, &was, err) < 0)
		return -1;
	if (was.number == 0)
		return 0;
	if (yg_db_exec(store->db, "UPDATE alerts SET ended = $2, reason = $3 WHERE number = $1",
		    YG_DB_ARGS(yg_db_int(was.number), yg_db_int(store->clock_s),
			    yg_db_text(reason)),
		    NULL, err) < 0)
		return -1;
	if (!alert)
		return 0;
	return tell(store, 192, alert, subject, json_pack("{s:s}", "kind", kind), was.params,
		reason, err);
}

/* --- what lasts ------------------------------------------------------------------------ */

struct row {
	int64_t failures, since;
};

static int load_failures(struct store *store, const char *kind, const char *subject,
	struct row *row, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*row = (struct row){0, store->clock_s};
	if (yg_db_query(store->db,
		    "SELECT failures, since FROM alert_failures WHERE kind = $1 AND subject = $2",
		    YG_DB_ARGS(yg_db_text(kind), yg_db_text(subject)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more > 0)
		*row = (struct row){yg_rows_int(rows, 0), yg_rows_int(rows, 1)};
	return more < 0 ? -1 : 0;
}

/* One more. *lasts: it is time for an alert. Adds failures and since to `params`. */
static int count(struct store *store, const char *kind, const char *subject, json_t *params,
	bool *lasts, struct yg_err *err)
{
	struct row row;
	int64_t failures_max = 0;
	int64_t after_s = 0;
	if (load_failures(store, kind, subject, &row, err) < 0 ||
		store_setting_int(store, "alerts.failures", &failures_max, err) < 0 ||
		store_setting_int(store, "alerts.update_after_s", &after_s, err) < 0)
		return -1;
	row.failures++;
	*lasts = row.failures >= failures_max ||
		(row.failures >= 2 && store->clock_s - row.since >= after_s);
	if (!params || json_object_set_new(params, "failures", json_integer(row.failures)) < 0 ||
		json_object_set_new(params, "since", store_time(row.since)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_db_exec(store->db,
		"INSERT INTO alert_failures (kind, subject, failures, since) VALUES ($1, $2, $3, $4) ON "
		"CONFLICT (kind, subject) DO UPDATE SET failures = $3",
		YG_DB_ARGS(yg_db_text(kind), yg_db_text(subject), yg_db_int(row.failures),
			yg_db_int(row.since)),
		NULL, err);
}

static int forget(struct store *store, const char *kind, const char *subject, struct yg_err *err)
{
	return yg_db_exec(store->db, "DELETE FROM alert_failures WHERE kind = $1 AND subject = $2",
		YG_DB_ARGS(yg_db_text(kind), yg_db_text(subject)), NULL, err);
}

int store_alert_failing(struct store *store, const char *kind, const char *subject, json_t *params,
	bool *raised, struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = params;
	bool lasts = false;
	if (count(store, kind, subject, owned, &lasts, err) < 0)
		return -1;
	if (raised)
		*raised = lasts;
	return lasts ? store_alert_raise(store, kind, subject, yg_take(owned), err) : 0;
}

int store_alert_well(struct store *store, const char *kind, const char *subject, const char *reason,
	struct yg_err *err)
{
	return forget(store, kind, subject, err) < 0
		? -1
		: store_alert_end(store, kind, subject, reason, err);
}

/* --- updates --------------------------------------------------------------------------- */

static int failed(struct store *store, const char *computer, const char *name, bool relay,
	const char *cause, struct yg_err *err)
{
	const char *kind = relay ? "relay_failed" : "update_failed";
	bool late = !relay && strcmp(cause, "job.timeout") == 0;
	bool lasts = false;
	STANDING(other);
	json_t *params YG_AUTO(yg_json) = json_pack("{s:s, s:s}", "computer", name, "cause", cause);
	if (count(store, kind, computer, params, &lasts, err) < 0 ||
		load(store, kind, computer, &other, err) < 0)
		return -1;
	/* One trouble is one alert: without a result it is T4's, unless the other stands already. */
	if (!late && store_alert_end(store, "update_timeout", computer, "result", err) < 0)
		return -1;
	if (!lasts)
		return 0;
	return store_alert_raise(store, late && other.number == 0 ? "update_timeout" : kind,
		computer, json_incref(params), err);
}

/* *silent: the computer is offline, and that is the alert to have. */
static int who(struct store *store, const char *computer, char name[208], bool *silent,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT name, online FROM computers WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", computer);
	(void)snprintf(name, 208, "%s", yg_rows_text(rows, 0));
	*silent = yg_rows_int(rows, 1) == 0;
	return 0;
}

int store_alerts_result(struct store *store, const char *computer, bool relay, const char *outcome,
	const char *cause, struct yg_err *err)
{
	if (strcmp(outcome, "success") == 0)
		return store_alerts_late(store, computer, relay, outcome, err);
	if (strcmp(outcome, "failed") != 0)
		return 0;
	char name[208];
	bool silent = false;
	if (who(store, computer, name, &silent, err) < 0)
		return -1;
	if (silent && strcmp(cause, "job.timeout") == 0)
		return 0;
	return failed(store, computer, name, relay, cause, err);
}

int store_alerts_late(struct store *store, const char *computer, bool relay, const char *outcome,
	struct yg_err *err)
{
	bool good = strcmp(outcome, "success") == 0;
	if (!relay &&
		store_alert_end(store, "update_timeout", computer, good ? "success" : "result",
			err) < 0)
		return -1;
	return good ? store_alert_well(store, relay ? "relay_failed" : "update_failed", computer,
			      "success", err)
		    : 0;
}

/* --- computers ------------------------------------------------------------------------- */

int store_alerts_heartbeat(struct store *store, const char *computer, const char *name,
	const json_t *status, struct yg_err *err)
{
	const char *state = json_string_value(json_object_get(status, "state"));
	if (store_alert_end(store, "computer_offline", computer, "contact", err) < 0)
		return -1;
	if (state && strcmp(state, "protected") == 0)
		return store_alert_end(store, "engine_offline", computer, "protected", err);
	if (!state || strcmp(state, "unprotected") != 0)
		return 0;
	const json_t *engine = json_object_get(status, "engine");
	json_t *params = json_pack("{s:s}", "computer", name);
	const char *detail = json_string_value(json_object_get(engine, "reason"));
	if (detail && detail[0])
		(void)json_object_set_new(params, "detail", json_string(detail));
	return store_alert_raise(store, "engine_offline", computer, params, err);
}

int store_alerts_forget(struct store *store, const char *computer, struct yg_err *err)
{
	for (size_t i = 0; i < yg_alert_count(); i++) {
		const struct yg_alert *kind = yg_alert_at(i);
		if (yg_alert_subject(kind) == YG_ALERT_COMPUTER &&
			store_alert_end(store, yg_alert_kind(kind), computer, "deleted", err) < 0)
			return -1;
	}
	return yg_db_exec(store->db, "DELETE FROM alert_failures WHERE subject = $1",
		YG_DB_ARGS(yg_db_text(computer)), NULL, err);
}

int store_alerts_clean(struct store *store, int64_t before, struct yg_err *err)
{
	return yg_db_exec(store->db, "DELETE FROM alerts WHERE ended < $1",
		YG_DB_ARGS(yg_db_int(before)), NULL, err);
}
