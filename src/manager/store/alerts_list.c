/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Alerts as people see them: texts in the reader's language, made when somebody reads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "manager/store/store.h"
#include "proto/alert.h"
#include "proto/cause.h"
#include "proto/event.h"
#include "proto/word.h"

/* {kind, level, name, description, remedy, cause, sentence} of one alert in a language. */
static json_t *texts(const char *kind, uint8_t level, const json_t *params, enum yg_lang lang,
	struct yg_err *err)
{
	const struct yg_alert *alert = yg_alert_find(kind);
	const char *cause = json_string_value(json_object_get(params, "cause"));
	const struct yg_cause *known = yg_cause_find(cause);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(2 * YG_EVENT_TEXT_MAX);
	if ((alert && yg_alert_render(alert, params, lang, &text, err) < 0) ||
		yg_buf_add(&text, "", 1, err) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", kind, "level",
		yg_event_level_name(level), "name", alert ? yg_alert_name(alert, lang) : kind,
		"description", (const char *)text.data, "remedy",
		alert ? yg_alert_remedy(alert, params, lang) : "", "cause", cause ? cause : "",
		"sentence", known ? yg_cause_text(known, lang) : "");
}

static json_t *alert_json(const struct yg_rows *rows, enum yg_lang lang, struct yg_err *err)
{
	json_t *params YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 4));
	const char *reason = yg_rows_text(rows, 8);
	json_t *made YG_AUTO(yg_json) = texts(yg_rows_text(rows, 1), (uint8_t)yg_rows_int(rows, 3),
		params, lang, err);
	if (!made)
		return NULL;
	json_t *computer = yg_rows_null(rows, 9)
		? json_null()
		: json_pack("{s:s, s:s}", "id", yg_rows_text(rows, 2), "name",
			  yg_rows_text(rows, 9));
	json_t *rest YG_AUTO(
		yg_json) = json_pack("{s:I, s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:O}", "id",
		(json_int_t)yg_rows_int(rows, 0), "subject", yg_rows_text(rows, 2), "computer",
		computer, "state", yg_rows_null(rows, 7) ? "standing" : "ended", "began",
		store_time(yg_rows_int(rows, 5)), "changed", store_time(yg_rows_int(rows, 6)),
		"ended", store_time_or_null(rows, 7), "reason", reason, "reason_text",
		yg_word(YG_WORDS_REASON, reason, lang), "params", params);
	if (!rest || json_object_update(made, rest) < 0) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	return yg_take(made);
}

struct filter {
	int64_t before, limit;
	bool standing, ended;
	const char *kind, *subject;
};

static int read_filter(const json_t *args, struct filter *filter, struct yg_err *err)
{
	struct store_page page;
	const char *state;
	uint64_t before = INT64_MAX;
	if (store_page(args, &page, err) < 0 ||
		yg_json_str_or(args, "state", 16, "standing", &state, err) < 0 ||
		yg_json_str_or(args, "kind", 64, "", &filter->kind, err) < 0 ||
		yg_json_str_or(args, "computer", 64, "", &filter->subject, err) < 0)
		return -1;
	if (strcmp(state, "standing") != 0 && strcmp(state, "ended") != 0 &&
		strcmp(state, "all") != 0)
		return yg_fail(err, YG_EFORMAT, "state: want standing, ended or all, have '%s'",
			state);
	if (page.cursor[0] != '\0' && yg_str_u64(page.cursor, INT64_MAX, &before, err) < 0)
		return yg_wrap(err, "cursor");
	filter->standing = strcmp(state, "ended") != 0;
	filter->ended = strcmp(state, "standing") != 0;
	filter->before = (int64_t)before;
	filter->limit = page.limit;
	return 0;
}

int op_alerts_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	struct filter filter;
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (read_filter(args, &filter, err) < 0 ||
		yg_db_query(store->db,
			"SELECT a.number, a.kind, a.subject, a.level, a.params, a.began, a.changed, a.ended, "
			"a.reason, c.name FROM alerts a LEFT JOIN computers c ON c.id = a.subject WHERE a.number "
			"< $1 AND ((a.ended IS NULL AND $2 = 1) OR (a.ended IS NOT NULL AND $3 = 1)) AND ($4 = "
			"'' OR a.kind = $4) AND ($5 = '' OR a.subject = $5) ORDER BY a.number DESC LIMIT $6",
			YG_DB_ARGS(yg_db_int(filter.before), yg_db_int(filter.standing),
				yg_db_int(filter.ended), yg_db_text(filter.kind),
				yg_db_text(filter.subject), yg_db_int(filter.limit)),
			&rows, err) < 0)
		return -1;
	char last[24] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%" PRId64, yg_rows_int(rows, 0));
		json_t *item = alert_json(rows, asker->lang, err);
		if (!item || store_add(items, item, err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == filter.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}

int op_alerts_catalogue(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)store;
	(void)asker;
	(void)args;
	json_t *items YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < yg_alert_count(); i++) {
		const struct yg_alert *alert = yg_alert_at(i);
		if (store_add(items,
			    json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}}", "kind",
				    yg_alert_kind(alert), "level",
				    yg_event_level_name(yg_alert_level(alert)), "name", "en",
				    yg_alert_name(alert, YG_LANG_EN), "ja",
				    yg_alert_name(alert, YG_LANG_JA), "text", "en",
				    yg_alert_template(alert, YG_LANG_EN), "ja",
				    yg_alert_template(alert, YG_LANG_JA)),
			    err) < 0)
			return -1;
	}
	return store_give(json_pack("{s:O}", "items", items), out, err);
}
