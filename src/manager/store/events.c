/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Events: an id of the catalogue and its parameters; texts are made for whoever reads. The Manager's
 * own are written with what caused them; those of agents come in batches that can be repeated.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/str.h"
#include "manager/store/alerts.h"
#include "manager/store/store.h"
#include "proto/event.h"
#include "proto/wire.h"

#define SCAN_MAX  20000 /* events looked at for one page of a text search */
#define CHUNK     500
#define CLEAN_MAX 20000 /* events dropped in one transaction */
#define AHEAD_S   86400 /* an agent's clock may be so far ahead before its times are not believed */

static int insert(struct store *store, uint32_t id, enum yg_event_origin origin,
	const char *computer, const char *epoch, int64_t seq, const char *job, int64_t happened,
	const json_t *params, int64_t *changed, struct yg_err *err)
{
	const struct yg_event *event = yg_event_find(id);
	char *text YG_AUTO(mem) = yg_json_text(params);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_db_exec(store->db,
		"INSERT INTO events (id, level, origin, computer, epoch, agent_seq, job, happened, received, "
		"params) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
		YG_DB_ARGS(yg_db_int(id), yg_db_int(event ? event->level : YG_EVENT_INFO),
			yg_db_int(origin), yg_db_text(computer), yg_db_text(epoch),
			yg_db_int_or_null(epoch != NULL, seq), yg_db_text(job), yg_db_int(happened),
			yg_db_int(store->clock_s), yg_db_text(text)),
		changed, err);
}

int store_event(struct store *store, uint32_t id, const char *computer, const char *job,
	json_t *params, struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = params;
	if (!owned)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	struct yg_err why = {0};
	if (yg_event_check(id, owned, &why) < 0)
		yg_log(YG_LOG_ERROR, "store.event", "event %u does not fit the catalogue: %s", id,
			why.msg);
	return insert(store, id, YG_EVENT_MANAGER, computer, NULL, 0, job, store->clock_s, owned,
		NULL, err);
}

/* Agents say which engine refused what in event 1001; a policy job of that computer fails with it. */
static int consequences(struct store *store, const char *computer, int64_t id, const json_t *params,
	struct yg_err *err)
{
	if (id != 1001)
		return 0;
	const char *error = json_string_value(json_object_get(params, "error"));
	const char *detail = json_string_value(json_object_get(params, "detail"));
	return store_job_policy_failed(store, computer, detail ? detail : error ? error : "", err);
}

static int add_event(struct store *store, const struct store_asker *asker, const char *epoch,
	const json_t *entry, int64_t *unknown, struct yg_err *err)
{
	int64_t id = json_integer_value(json_object_get(entry, "id"));
	int64_t seq = json_integer_value(json_object_get(entry, "seq"));
	json_t *params = json_object_get(entry, "params");
	int64_t happened = store->clock_s;
	if (yg_clock_parse(json_string_value(json_object_get(entry, "time")), &happened, err) < 0)
		return -1;
	if (happened > store->clock_s + AHEAD_S)
		happened = store->clock_s;
	const char *job = json_string_value(json_object_get(params, "job"));
	int64_t changed = 0;
	if (insert(store, (uint32_t)id, YG_EVENT_AGENT, asker->id, epoch, seq,
		    job && yg_wire_uuid_ok(job) ? job : NULL, happened, params, &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0; /* sent again */
	if (!yg_event_find((uint32_t)id))
		(*unknown)++;
	return consequences(store, asker->id, id, params, err);
}

int op_events_add(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *epoch;
	json_t *entries;
	if (yg_json_str(args, "epoch", 36, &epoch, err) < 0 ||
		yg_json_array(args, "entries", YG_WIRE_ENTRIES_MAX, &entries, err) < 0)
		return -1;
	if (!yg_wire_uuid_ok(epoch))
		return yg_fail(err, YG_EFORMAT, "epoch: want a UUID, have '%s'", epoch);

	int64_t ack = 0;
	int64_t unknown = 0;
	size_t i;
	json_t *entry;
	json_array_foreach(entries, i, entry)
	{
		/* One that breaks the rules would come again for ever, and all behind it would wait: it is
		 * logged, acknowledged and dropped.
		 */
		struct yg_err why = {0};
		int64_t seq = json_integer_value(json_object_get(entry, "seq"));
		if (seq > ack)
			ack = seq;
		if (yg_wire_check(YG_WIRE_ENTRY, entry, &why) < 0) {
			yg_log(YG_LOG_WARN, "store.entry", "computer %s: entries[%zu] dropped: %s",
				asker->id, i, why.msg);
			continue;
		}
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		int rc = 0;
		if (strcmp(kind, "event") == 0)
			rc = add_event(store, asker, epoch, entry, &unknown, err);
		else if (strcmp(kind, "result") == 0)
			rc = store_job_result(store, asker->id, entry, err);
		else if (strcmp(kind, "progress") == 0)
			rc = store_job_progress(store, asker->id, entry, err);
		if (rc < 0)
			return -1;
	}
	if (unknown > 0 &&
		store_event(store, 20007, asker->id, NULL,
			json_pack("{s:s, s:I}", "computer", asker->name, "count",
				(json_int_t)unknown),
			err) < 0)
		return -1;
	return store_give(json_pack("{s:I}", "ack", (json_int_t)ack), out, err);
}

struct filter {
	int64_t from, to, id, level, origin, before;
	const char *computer, *job;
	char *text; /* lower case; NULL: none */
	enum yg_lang lang;
};

static int moment(const json_t *args, const char *name, int64_t preset, int64_t *out,
	struct yg_err *err)
{
	const char *text;
	if (yg_json_str_or(args, name, 32, "", &text, err) < 0)
		return -1;
	*out = preset;
	if (text[0] != '\0' && yg_clock_parse(text, out, err) < 0)
		return yg_wrap(err, "%s", name);
	return 0;
}

static int word(const json_t *args, const char *name, const char *(*word_of)(uint8_t),
	uint8_t count, int64_t *out, struct yg_err *err)
{
	const char *text;
	*out = -1;
	if (yg_json_str_or(args, name, 16, "", &text, err) < 0)
		return -1;
	if (text[0] == '\0')
		return 0;
	for (uint8_t i = 0; i < count; i++) {
		if (strcmp(text, word_of(i)) == 0) {
			*out = i;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "%s: '%s' is none", name, text);
}

static void lower(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x80)
			*text = (char)tolower((unsigned char)*text);
}

static int read_filter(const json_t *args, const struct store_asker *asker, struct filter *filter,
	struct yg_err *err)
{
	struct store_page page;
	const char *text;
	uint64_t before = INT64_MAX;
	if (moment(args, "from", INT64_MIN + 1, &filter->from, err) < 0 ||
		moment(args, "to", INT64_MAX, &filter->to, err) < 0 ||
		yg_json_int_or(args, "id", 0, INT32_MAX, -1, &filter->id, err) < 0 ||
		word(args, "level", yg_event_level_name, 3, &filter->level, err) < 0 ||
		word(args, "origin", yg_event_origin_name, 2, &filter->origin, err) < 0 ||
		yg_json_str_or(args, "computer", 64, "", &filter->computer, err) < 0 ||
		yg_json_str_or(args, "job", 64, "", &filter->job, err) < 0 ||
		yg_json_str_or(args, "text", 200, "", &text, err) < 0 ||
		store_page(args, &page, err) < 0)
		return -1;
	if (page.cursor[0] != '\0' && yg_str_u64(page.cursor, INT64_MAX, &before, err) < 0)
		return yg_wrap(err, "cursor");
	filter->before = (int64_t)before;
	filter->lang = asker->lang;
	if (text[0] == '\0')
		return 0;
	filter->text = strdup(text);
	if (!filter->text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	lower(filter->text);
	return 0;
}

/* The same question with and without a computer: each has its own index. */
#define SEARCH(where)                                                                                \
	"SELECT e.number, e.id, e.level, e.origin, e.computer, c.name, e.job, e.happened, "          \
	"e.received, e.params FROM events e LEFT JOIN computers c ON c.id = e.computer WHERE " where \
	"e.number < $1 AND e.happened >= $2 AND e.happened < $3 AND ($4 < 0 OR e.id = $4) AND "      \
	"($5 < 0 OR e.level = $5) AND ($6 < 0 OR e.origin = $6) AND ($7 = '' OR e.job = $7) AND "    \
	"($8 = '' OR e.computer = $8) ORDER BY e.number DESC LIMIT $9"

static int ask(struct store *store, const struct filter *filter, int64_t limit,
	struct yg_rows **rows, struct yg_err *err)
{
	const struct yg_db_value args[] = {yg_db_int(filter->before), yg_db_int(filter->from),
		yg_db_int(filter->to), yg_db_int(filter->id), yg_db_int(filter->level),
		yg_db_int(filter->origin), yg_db_text(filter->job), yg_db_text(filter->computer),
		yg_db_int(limit)};
	if (filter->computer[0] != '\0')
		return yg_db_query(store->db, SEARCH("e.computer = $8 AND "), args, YG_COUNT(args),
			rows, err);
	return yg_db_query(store->db, SEARCH(""), args, YG_COUNT(args), rows, err);
}

/* One event as people see it, or JSON null when its text is not what was searched for. */
static json_t *event_json(const struct yg_rows *rows, const struct filter *filter,
	struct yg_err *err)
{
	uint32_t id = (uint32_t)yg_rows_int(rows, 1);
	json_t *params YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 9));
	const char *name = yg_event_name(id, filter->lang);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(2 * YG_EVENT_TEXT_MAX);
	if (yg_event_render(id, params, filter->lang, &text, err) < 0 ||
		yg_buf_add(&text, "", 1, err) < 0)
		return NULL;
	if (filter->text) {
		char *all YG_AUTO(mem) = yg_str_format("%s\n%s", name, (const char *)text.data);
		if (!all) {
			(void)yg_fail(err, YG_ESYSTEM, "out of memory");
			return NULL;
		}
		lower(all);
		if (!strstr(all, filter->text))
			return json_null();
	}
	json_t *computer = yg_rows_null(rows, 4)
		? json_null()
		: json_pack("{s:s, s:s?}", "id", yg_rows_text(rows, 4), "name",
			  yg_rows_text(rows, 5));
	json_t *made = json_pack("{s:I, s:I, s:s, s:o, s:o, s:s, s:o, s:s?, s:s, s:s, s:O}", "seq",
		(json_int_t)yg_rows_int(rows, 0), "id", (json_int_t)id, "level",
		yg_event_level_name((uint8_t)yg_rows_int(rows, 2)), "time",
		store_time(yg_rows_int(rows, 7)), "received", store_time(yg_rows_int(rows, 8)),
		"origin", yg_event_origin_name((uint8_t)yg_rows_int(rows, 3)), "computer", computer,
		"job", yg_rows_text(rows, 6), "name", name, "description", (const char *)text.data,
		"params", params);
	if (!made)
		(void)yg_fail(err, YG_ESYSTEM, "event %u cannot be shown", id);
	return made;
}

static int search(struct store *store, struct filter *filter, int64_t limit, json_t **out,
	struct yg_err *err)
{
	json_t *items YG_AUTO(yg_json) = json_array();
	int64_t looked = 0;
	bool more_there = true;
	while (more_there && (int64_t)json_array_size(items) < limit && looked < SCAN_MAX) {
		int64_t chunk = filter->text ? CHUNK : limit;
		int64_t got = 0;
		struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
		if (ask(store, filter, chunk, &rows, err) < 0)
			return -1;
		int more = 0;
		while ((int64_t)json_array_size(items) < limit &&
			(more = yg_rows_next(rows, err)) > 0) {
			got++;
			filter->before = yg_rows_int(rows, 0);
			json_t *item = event_json(rows, filter, err);
			if (!item)
				return -1;
			if (!json_is_null(item) && store_add(items, item, err) < 0)
				return -1;
		}
		if (more < 0)
			return -1;
		looked += got;
		more_there = got == chunk || (int64_t)json_array_size(items) == limit;
	}
	char next[24];
	(void)snprintf(next, sizeof(next), "%lld", (long long)filter->before);
	return store_list(json_incref(items), more_there ? next : NULL, out, err);
}

int op_events_search(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	struct filter filter = {0};
	struct store_page page;
	int rc = read_filter(args, asker, &filter, err);
	if (rc == 0)
		rc = store_page(args, &page, err);
	if (rc == 0)
		rc = search(store, &filter, page.limit, out, err);
	free(filter.text);
	return rc;
}

int op_events_catalogue(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)store;
	(void)asker;
	(void)args;
	json_t *items YG_AUTO(yg_json) = json_array();
	size_t count;
	const struct yg_event *all = yg_event_all(&count);
	for (size_t i = 0; i < count; i++) {
		uint32_t id = all[i].id;
		if (store_add(items,
			    json_pack("{s:I, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}}", "id",
				    (json_int_t)id, "level", yg_event_level_name(all[i].level),
				    "origin", yg_event_origin_name(all[i].origin), "name", "en",
				    yg_event_name(id, YG_LANG_EN), "ja",
				    yg_event_name(id, YG_LANG_JA), "text", "en",
				    yg_event_template(id, YG_LANG_EN), "ja",
				    yg_event_template(id, YG_LANG_JA)),
			    err) < 0)
			return -1;
	}
	return store_give(json_pack("{s:O}", "items", items), out, err);
}

int store_events_clean(struct store *store, struct yg_err *err)
{
	int64_t days = 0;
	if (store_setting_int(store, "events.keep_days", &days, err) < 0)
		return -1;
	/* Numbers grow with time: only the lowest need to be looked at. */
	int64_t changed = 0;
	if (yg_db_exec(store->db,
		    "DELETE FROM events WHERE number IN (SELECT number FROM (SELECT number, received FROM events "
		    "ORDER BY number LIMIT $2) AS lowest WHERE received < $1)",
		    YG_DB_ARGS(yg_db_int(store->clock_s - days * 86400), yg_db_int(CLEAN_MAX)),
		    &changed, err) < 0)
		return -1;
	bool more = changed == CLEAN_MAX;
	if (store_alerts_clean(store, store->clock_s - days * 86400, err) < 0)
		return -1;
	if (store_jobs_clean(store, store->clock_s - days * 86400, &more, err) < 0)
		return -1;
	if (more)
		store->next_clean_s = store->clock_s;
	return 0;
}
