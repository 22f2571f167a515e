/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The Manager's diagnosis: its disk and database, its own view of the newest components, relays, computers, jobs, certificates
 * and standing alerts. What a computer has, that computer's own diagnosis says.
 */
#include "manager/store/diagnosis.h"

#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/x509.h"
#include "diagnose/diagnosis.h"
#include "diagnose/files.h"
#include "proto/alert.h"
#include "proto/cause.h"

#define CLOCK_S    300 /* seconds that a computer's clock may be off */
#define ROWS_MAX   "5000"
#define JOB_LATE_S 120 /* seconds after its deadline that a job may take to end */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static void look_at_database(struct store *store, struct yg_diagnosis *d)
{
	const char *kind = yg_db_kind(store->db) == YG_DB_SQLITE ? "SQLite" : "PostgreSQL";
	yg_diagnosis_good(d, "database", "%s, schema %d", kind, store->migration);
}

/* The CA's own certificate. Without one no agent can be activated; it is made at the first start. */
static int look_at_ca(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_err absent = {0};
	struct yg_x509_info info;
	char until[YG_CLOCK_TEXT];
	char *bundle YG_AUTO(mem) = NULL;
	if (store_fact_get(store, "ca_bundle", &bundle, &absent) < 0) {
		if (absent.code != YG_EABSENT) {
			*err = absent;
			return -1;
		}
		yg_diagnosis_unknown(d, "ca", "%s",
			yg_diagnosis_say(d, "not made yet", "まだ作成されていません"));
		return 0;
	}
	if (yg_x509_read(yg_bytes_of(bundle), &info, &absent) < 0) {
		yg_diagnosis_bad(d, "ca", "tls.ca", "%s", absent.msg);
		return 0;
	}
	yg_clock_format(info.not_after_s, until);
	if (store->clock_s < info.not_before_s)
		yg_diagnosis_bad(d, "clock", "clock.wrong",
			yg_diagnosis_say(d, "the CA of this Manager is not valid yet: %s",
				"このManagerのCAはまだ有効期間前です: %s"),
			info.subject);
	else if (store->clock_s > info.not_after_s)
		yg_diagnosis_bad(d, "ca", "tls.ca",
			yg_diagnosis_say(d, "it expired: %s", "有効期限切れ: %s"), until);
	else
		yg_diagnosis_good(d, "ca", yg_diagnosis_say(d, "valid until %s", "有効期限 %s"),
			until);
	return 0;
}

/* ---- the newest components ---- */

static int look_at_content(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_err absent = {0};
	char *text YG_AUTO(mem) = NULL;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest)
		return -1;
	if (store_fact_get(store, "check_failed", &text, &absent) < 0 &&
		absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	json_t *failed YG_AUTO(yg_json) = store_parse(text);
	const char *cause = member(failed, "cause");
	int64_t at_s = 0;
	(void)!yg_clock_parse(member(failed, "time"), &at_s, &absent);
	if (*cause) {
		const struct yg_found found = {.cause = cause, .how = YG_FIND_RUN, .at_s = at_s};
		yg_diagnosis_find(d, "content", &found, "%s: %s", member(failed, "time"),
			member(failed, "sentence"));
	} else if (json_is_object(newest)) {
		yg_diagnosis_good(d, "content",
			yg_diagnosis_say(d, "set %.12s, looked for %s",
				"コンテンツセット %.12s、確認 %s"),
			member(newest, "set"), member(newest, "checked"));
	} else {
		yg_diagnosis_unknown(d, "content",
			yg_diagnosis_say(d, "not looked for yet", "まだ確認していません"));
	}
	return 0;
}

/* ---- computers and relays ---- */

static void look_at_clock(struct yg_diagnosis *d, const char *name, const json_t *status,
	int64_t contact_s)
{
	int64_t theirs_s = 0;
	char ours[YG_CLOCK_TEXT];
	struct yg_err ignored = {0};
	if (!contact_s || yg_clock_parse(member(status, "time"), &theirs_s, &ignored) < 0 ||
		(theirs_s < contact_s + CLOCK_S && theirs_s > contact_s - CLOCK_S))
		return;
	yg_clock_format(contact_s, ours);
	const struct yg_found found = {.cause = "clock.wrong",
		.sentence = {"The clock of a computer is not that of the Manager.",
			"コンピュータの時計がManagerの時計と一致していません。"}};
	yg_diagnosis_find(d, "clock", &found,
		yg_diagnosis_say(d, "%s: %s there, %s here", "%s: コンピュータ %s、Manager %s"),
		name, member(status, "time"), ours);
}

static void look_at_relay(struct yg_diagnosis *d, const char *name, bool online,
	const json_t *status)
{
	const json_t *relay = json_object_get(status, "relay");
	if (!online)
		yg_diagnosis_bad(d, "relays", "computer.offline", "%s (a relay)", name);
	else if (json_is_object(relay) && strcmp(member(relay, "state"), "on") != 0)
		yg_diagnosis_bad(d, "relays", "relay.off", "%s: %s", name, member(relay, "state"));
	else if (json_is_object(relay) && !*member(relay, "set"))
		yg_diagnosis_bad(d, "relays", "relay.empty", "%s", name);
	else
		yg_diagnosis_good(d, "relays", "%s", name);
}

static int look_at_computers(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int64_t count = 0;
	int64_t away = 0;
	int more;
	if (yg_db_query(store->db,
		    "SELECT name, relay, online, status, last_contact FROM computers WHERE deleted = 0 AND "
		    "activated IS NOT NULL ORDER BY relay DESC, name LIMIT " ROWS_MAX,
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *name = yg_rows_text(rows, 0);
		bool relay = yg_rows_int(rows, 1) != 0;
		bool online = yg_rows_int(rows, 2) != 0;
		json_t *status YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 3));
		const json_t *engine = json_object_get(status, "engine");
		count++;
		away += !online;
		look_at_clock(d, name, status, yg_rows_int(rows, 4));
		if (relay)
			look_at_relay(d, name, online, status);
		else if (!online)
			yg_diagnosis_bad(d, "computers", "computer.offline", "%s", name);
		const char *reason = member(engine, "reason");
		if (online && *reason && strcmp(member(engine, "state"), "offline") == 0)
			yg_diagnosis_bad(d, "engine",
				yg_cause_find(reason) ? reason : "engine.offline", "%s", name);
	}
	if (more == 0 && away == 0)
		yg_diagnosis_good(d, "computers",
			yg_diagnosis_say(d, "%lld, all online", "%lld台、すべてオンライン"),
			(long long)count);
	return more;
}

/* ---- alerts, jobs ---- */

/* What an alert says that has no cause of its own. NULL: nothing that is wrong now, or what another check says. */
static const char *cause_of_kind(const char *kind, const json_t *params)
{
	static const struct {
		const char *kind, *cause;
	} known[] = {{"update_failed", "update.failed"}, {"update_timeout", "job.timeout"},
		{"relay_failed", "update.failed"}, {"check_failed", "update.failed"},
		{"relay_group_empty", "relay.none"}, {"engine_offline", "engine.offline"},
		{"computer_offline", "computer.offline"},
		{"components_out_of_date", "update.failed"}};
	static const struct {
		const char *what, *cause;
	} expired[] = {{"licence", "update.licence"}, {"certificate", "auth.expired"},
		{"ca", "tls.ca"}, {"metadata", "tuf.expired"}};
	const char *named = member(params, "cause");
	if (yg_cause_find(named))
		return named;
	for (size_t i = 0; i < YG_COUNT(known); i++)
		if (strcmp(known[i].kind, kind) == 0)
			return known[i].cause;
	for (size_t i = 0; strcmp(kind, "expired") == 0 && i < YG_COUNT(expired); i++)
		if (strcmp(expired[i].what, member(params, "what")) == 0)
			return expired[i].cause;
	return NULL;
}

/* The alert's own words. */
static int text_of(const char *kind, const json_t *params, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err)
{
	const struct yg_alert *alert = yg_alert_find(kind);
	if ((alert && yg_alert_render(alert, params, lang, out, err) < 0) ||
		(!alert && yg_str_addf(out, err, "%s", kind) < 0))
		return -1;
	return yg_buf_add(out, "", 1, err);
}

static int look_at_alerts(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int64_t count = 0;
	int more;
	if (yg_db_query(store->db,
		    "SELECT kind, params, began FROM alerts WHERE ended IS NULL ORDER BY number LIMIT 1000",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *kind = yg_rows_text(rows, 0);
		json_t *params YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 1));
		const char *cause = cause_of_kind(kind, params);
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(65536);
		if (text_of(kind, params, d->lang, &text, err) < 0)
			return -1;
		count++;
		const struct yg_found found = {.cause = cause ? cause : "",
			.how = YG_FIND_RUN,
			.weight = cause && strcmp(cause, "update.failed") == 0 ? YG_FIND_FAILED
									       : YG_FIND_NAMES,
			.at_s = yg_rows_int(rows, 2)};
		if (cause)
			yg_diagnosis_find(d, "alerts", &found, "%s", (const char *)text.data);
		else
			yg_diagnosis_note(d, "alerts", "%s", (const char *)text.data);
	}
	if (more == 0 && count == 0)
		yg_diagnosis_good(d, "alerts",
			yg_diagnosis_say(d, "none stands", "アラートはありません"));
	return more;
}

/* Every job has a deadline, and somebody who ends it then: one that goes on is our own fault. */
static int look_at_jobs(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int64_t running = 0;
	int64_t late = 0;
	int more;
	if (yg_db_query(store->db,
		    "SELECT id, deadline, check_until FROM jobs WHERE state = 'running'",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		int64_t until = yg_rows_int(rows, 1) > yg_rows_int(rows, 2) ? yg_rows_int(rows, 1)
									    : yg_rows_int(rows, 2);
		running++;
		if (until == 0 || store->clock_s < until + JOB_LATE_S)
			continue;
		late++;
		yg_diagnosis_bad(d, "jobs", "job.stuck", "%s", yg_rows_text(rows, 0));
	}
	if (more == 0 && late == 0)
		yg_diagnosis_good(d, "jobs", yg_diagnosis_say(d, "%lld running", "実行中%lld件"),
			(long long)running);
	return more;
}

/* Of the last update of each computer that has failed more often than not at all: what it failed for. */
static int look_at_failures(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int more;
	if (yg_db_query(store->db,
		    "SELECT c.name, p.cause, p.sentence, p.ended FROM alert_failures f "
		    "JOIN computers c ON c.id = f.subject AND c.deleted = 0 "
		    "JOIN job_computers p ON p.computer = f.subject AND p.state = 'failed' AND p.ended = "
		    "(SELECT max(q.ended) FROM job_computers q WHERE q.computer = f.subject) "
		    "WHERE f.kind IN ('update_failed', 'update_timeout', 'relay_failed') ORDER BY c.name LIMIT 1000",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *cause = yg_rows_text(rows, 1);
		const struct yg_found found = {.cause = *cause ? cause : "update.failed",
			.how = YG_FIND_RUN,
			.weight = *cause && strcmp(cause, "job.timeout") != 0 ? YG_FIND_NAMES
									      : YG_FIND_FAILED,
			.at_s = yg_rows_int(rows, 3)};
		yg_diagnosis_find(d, "last_update", &found, "%s: %s", yg_rows_text(rows, 0),
			yg_rows_text(rows, 2));
	}
	return more;
}

static int look_at_certificates(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int64_t bad = 0;
	int more;
	if (yg_db_query(store->db,
		    "SELECT c.name, k.not_after FROM computers c JOIN certificates k ON k.serial = c.serial WHERE "
		    "c.deleted = 0 AND k.not_after < $1 ORDER BY c.name LIMIT 1000",
		    YG_DB_ARGS(yg_db_int(store->clock_s)), &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		char then[YG_CLOCK_TEXT];
		yg_clock_format(yg_rows_int(rows, 1), then);
		yg_diagnosis_bad(d, "certificates", "auth.expired", "%s: %s", yg_rows_text(rows, 0),
			then);
		bad++;
	}
	if (more == 0 && bad == 0)
		yg_diagnosis_good(d, "certificates",
			yg_diagnosis_say(d, "none has expired", "期限切れはありません"));
	return more;
}

static int look_at_source(struct store *store, struct yg_diagnosis *d, struct yg_err *err)
{
	char *url YG_AUTO(mem) = NULL;
	if (store_setting_text(store, "source.url", &url, err) < 0)
		return -1;
	if (*url)
		yg_diagnosis_good(d, "source", "%s", url);
	else
		yg_diagnosis_bad(d, "source", "update.source_unset",
			yg_diagnosis_say(d, "source.url is empty", "source.urlが空です"));
	return 0;
}

int op_diagnosis_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	size_t standing = 0;
	struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = yg_diagnosis_new(asker->lang, err);
	if (!d)
		return -1;
	look_at_database(store, d);
	if (store->state_fd > 0)
		yg_files_disk(d, store->state_fd, "state");
	if (look_at_ca(store, d, err) < 0 || look_at_source(store, d, err) < 0 ||
		look_at_content(store, d, err) < 0 || look_at_computers(store, d, err) < 0 ||
		look_at_failures(store, d, err) < 0 || look_at_jobs(store, d, err) < 0 ||
		look_at_certificates(store, d, err) < 0 || look_at_alerts(store, d, err) < 0)
		return -1;
	if (d->failed.code) {
		*err = d->failed;
		return -1;
	}
	json_t *result = yg_diagnosis_result(d, &standing);
	if (!result ||
		json_object_set_new(result, "standing", json_integer((json_int_t)standing)) < 0 ||
		json_object_set_new(result, "id", json_string(store->manager_id)) < 0 ||
		json_object_set_new(result, "version", json_string(YG_VERSION)) < 0 ||
		json_object_set_new(result, "time", store_time(store->clock_s)) < 0) {
		json_decref(result);
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	*out = result;
	return 0;
}
