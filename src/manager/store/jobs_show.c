/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "proto/cause.h"

/* What people see of jobs. */

#define COLUMNS                                                                                      \
	"number, id, kind, state, phase, outcome, made_by, scheduled, relays, paths, aim, created, " \
	"deadline, ended, cancelled"

static int counts(struct store *store, const char *job, json_t **out, struct yg_err *err)
{
	static const char *const names[] = {"pending", "running", "success", "failed", "cancelled"};
	int64_t count[YG_COUNT(names)] = {0};
	int64_t total = 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT state, count(*) FROM job_computers WHERE job = $1 GROUP BY state",
		    YG_DB_ARGS(yg_db_text(job)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *state = yg_rows_text(rows, 0);
		size_t at = strcmp(state, "waiting") == 0 ? 0 : strcmp(state, "sent") == 0 ? 1 : 5;
		for (size_t i = 1; at == 5 && i < YG_COUNT(names); i++)
			if (strcmp(names[i], state) == 0)
				at = i;
		if (at < YG_COUNT(names))
			count[at] += yg_rows_int(rows, 1);
		total += yg_rows_int(rows, 1);
	}
	if (more < 0)
		return -1;
	json_t *made = json_pack("{s:I}", "total", (json_int_t)total);
	for (size_t i = 0; i < YG_COUNT(names); i++)
		(void)json_object_set_new(made, names[i], json_integer((json_int_t)count[i]));
	return store_give(made, out, err);
}

static json_t *job_json(struct store *store, const struct yg_rows *rows, struct yg_err *err)
{
	json_t *sums YG_AUTO(yg_json) = NULL;
	if (counts(store, yg_rows_text(rows, 1), &sums, err) < 0)
		return NULL;
	json_t *made = json_pack(
		"{s:s, s:s, s:s, s:s, s:s?, s:s, s:b, s:b, s:o, s:s, s:o, s:o, s:o, s:s?, s:O}",
		"id", yg_rows_text(rows, 1), "kind", yg_rows_text(rows, 2), "state",
		yg_rows_text(rows, 3), "phase", yg_rows_text(rows, 4), "outcome",
		yg_rows_text(rows, 5), "by", yg_rows_text(rows, 6), "scheduled",
		yg_rows_int(rows, 7) != 0, "relays", yg_rows_int(rows, 8) != 0, "paths",
		store_parse(yg_rows_text(rows, 9)), "set", yg_rows_text(rows, 10), "created",
		store_time(yg_rows_int(rows, 11)), "deadline", store_time(yg_rows_int(rows, 12)),
		"ended", store_time_or_null(rows, 13), "cancelled_by", yg_rows_text(rows, 14),
		"counts", sums);
	if (!made)
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	return made;
}

/* Bytes of what is fetched now, and how long it will take: null where nobody said. */
static json_t *amount(const struct yg_rows *rows, int column)
{
	return yg_rows_int(rows, column) > 0 ? json_integer((json_int_t)yg_rows_int(rows, column))
					     : json_null();
}

/* Why a part has not begun: its group's relays have not got the content, or a run of another job comes
 * first (T5). null when it has.
 */
static json_t *waits_for(const struct yg_rows *rows)
{
	const char *state = yg_rows_text(rows, 3);
	bool final = yg_rows_int(rows, 4) != 0;
	bool relay = strcmp(yg_rows_text(rows, 2), "relay") == 0;
	const char *group = yg_rows_text(rows, 19);
	const char *group_state = yg_rows_text(rows, 20);
	if (final)
		return json_null();
	if (!yg_rows_null(rows, 11))
		return json_pack("{s:s, s:s?, s:s?}", "job", yg_rows_text(rows, 11), "by",
			yg_rows_text(rows, 17), "phase", yg_rows_text(rows, 18));
	if (!group || strcmp(state, "waiting") != 0 || strcmp(group_state, "ready") == 0 ||
		(relay && strcmp(group_state, "asked") == 0))
		return json_null();
	return json_pack("{s:s, s:s}", "group", relay ? yg_rows_text(rows, 21) : group, "state",
		group_state);
}

static json_t *part_json(const struct yg_rows *rows)
{
	bool final = yg_rows_int(rows, 4) != 0;
	const char *detail = final ? yg_rows_text(rows, 10) : NULL;
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s?, s:s, s:I, s:I, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:b, "
		"s:o, s:s?, s:o}",
		"id", yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1), "as",
		yg_rows_text(rows, 2), "state", yg_rows_text(rows, 3), "outcome",
		final ? yg_rows_text(rows, 3) : NULL, "phase", yg_rows_text(rows, 5), "done",
		(json_int_t)yg_rows_int(rows, 6), "of", (json_int_t)yg_rows_int(rows, 7), "what",
		yg_rows_text(rows, 13), "bytes", amount(rows, 14), "bytes_of", amount(rows, 15),
		"left_s",
		yg_rows_null(rows, 16) ? json_null() : json_integer(yg_rows_int(rows, 16)), "cause",
		yg_rows_text(rows, 8), "sentence", yg_rows_text(rows, 9), "detail",
		detail ? store_parse(detail) : json_null(), "joined", !yg_rows_null(rows, 11),
		"waits_for", waits_for(rows), "group", yg_rows_text(rows, 19), "ended",
		store_time_or_null(rows, 12));
}

/* Why a part failed, in the reader's language: "sentence" is only what was found. */
static int explain(json_t *part, bool words, enum yg_lang lang, struct yg_err *err)
{
	const char *id = json_string_value(json_object_get(part, "cause"));
	const struct yg_cause *cause = words && id && *id ? yg_cause_find(id) : NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(65536);
	if (cause &&
		yg_cause_sentence(id, json_string_value(json_object_get(part, "sentence")), lang,
			&text, err) < 0)
		return -1;
	if (json_object_set_new(part, "text",
		    json_stringn(text.data ? (const char *)text.data : "", text.len)) < 0 ||
		json_object_set_new(part, "remedy",
			json_string(cause ? yg_cause_remedy(cause, lang) : "")) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

#define WORDS_MAX                                                                                  \
	(16u << 20)    /* bytes of details, about, in one answer: who asks takes 64 MiB of all */
#define CAUSE_SIZE 512 /* bytes, about, of a cause's texts */

/* What a part says beyond its numbers and its sentence. */
static size_t words_of(const struct yg_rows *rows)
{
	const char *detail = yg_rows_text(rows, 10);
	return (detail ? strlen(detail) : 0) + (yg_rows_text(rows, 8)[0] ? CAUSE_SIZE : 0);
}

/* At most so many, then those that did not succeed first; 0: all of them. */
static int show_parts(struct store *store, const char *job, enum yg_lang lang, int64_t max,
	json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.computer, c.name, r.part, r.state, r.final, r.phase, r.done, r.total, r.cause, "
		    "r.sentence, r.detail, r.joined, r.ended, r.what, r.bytes, r.bytes_of, r.left_s, "
		    "o.made_by, o.phase, g.name, g.state, coalesce(a.name, '') FROM job_computers r JOIN "
		    "computers c ON c.id = r.computer LEFT JOIN jobs o ON o.id = r.joined LEFT JOIN job_groups "
		    "g ON g.job = r.job AND g.in_group = r.in_group LEFT JOIN job_groups a ON a.job = r.job AND "
		    "a.in_group = g.parent WHERE r.job = $1 ORDER BY CASE WHEN $2 = 0 OR r.state = 'failed' "
		    "THEN 0 WHEN r.state = 'success' THEN 2 ELSE 1 END, r.part DESC, c.name, c.id LIMIT CASE "
		    "WHEN $2 = 0 THEN $3 ELSE $2 END",
		    YG_DB_ARGS(yg_db_text(job), yg_db_int(max), yg_db_int(INT64_MAX)), &rows,
		    err) < 0)
		return -1;
	int more;
	size_t words = 0;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *part YG_AUTO(yg_json) = part_json(rows);
		if (!part)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		bool few = words <= WORDS_MAX;
		if (few)
			words += words_of(rows);
		else if (json_object_set_new(part, "detail", json_null()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (explain(part, few, lang, err) < 0 || store_add(list, yg_take(part), err) < 0)
			return -1;
	}
	return more;
}

static int show_groups(struct store *store, const char *job, json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT g.in_group, g.name, coalesce(a.name, ''), g.state, g.relays, g.aim, g.cause, "
		    "g.sentence FROM job_groups g LEFT JOIN job_groups a ON a.job = g.job AND a.in_group = g.parent "
		    "WHERE g.job = $1 ORDER BY g.depth, g.name, g.in_group",
		    YG_DB_ARGS(yg_db_text(job)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list,
			    json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "id",
				    yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1), "above",
				    yg_rows_text(rows, 2), "state", yg_rows_text(rows, 3), "relays",
				    yg_rows_int(rows, 4) != 0, "set", yg_rows_text(rows, 5),
				    "cause", yg_rows_text(rows, 6), "sentence",
				    yg_rows_text(rows, 7)),
			    err) < 0)
			return -1;
	return more;
}

int store_job_show(struct store *store, const char *id, enum yg_lang lang, int64_t max,
	json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT " COLUMNS " FROM jobs WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': no such job", id);
	json_t *job YG_AUTO(yg_json) = job_json(store, rows, err);
	if (!job)
		return -1;
	json_t *groups = json_array();
	json_t *list = json_array();
	if (json_object_set_new(job, "groups", groups) < 0 ||
		json_object_set_new(job, "computers", list) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (show_groups(store, id, groups, err) < 0 ||
		show_parts(store, id, lang, max, list, err) < 0)
		return -1;
	*out = yg_take(job);
	return 0;
}

int op_jobs_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	char id[40];
	return store_job_make(store, asker, args, id, err) < 0
		? -1
		: store_job_show(store, id, asker->lang, 0, out, err);
}

int op_jobs_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0
		? -1
		: store_job_show(store, id, asker->lang, 0, out, err);
}

int op_jobs_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	const char *kind;
	const char *state;
	const char *computer;
	uint64_t before = INT64_MAX;
	if (store_page(args, &page, err) < 0 ||
		yg_json_str_or(args, "kind", 32, "", &kind, err) < 0 ||
		yg_json_str_or(args, "state", 32, "", &state, err) < 0 ||
		yg_json_str_or(args, "computer", 64, "", &computer, err) < 0)
		return -1;
	if (page.cursor[0] != '\0' && yg_str_u64(page.cursor, INT64_MAX, &before, err) < 0)
		return yg_wrap(err, "cursor");
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT " COLUMNS
		    " FROM jobs WHERE number < $1 AND ($2 = '' OR kind = $2) AND ($3 = '' OR "
		    "state = $3) AND ($4 = '' OR id IN (SELECT job FROM job_computers WHERE computer = $4)) ORDER "
		    "BY number DESC LIMIT $5",
		    YG_DB_ARGS(yg_db_int((int64_t)before), yg_db_text(kind), yg_db_text(state),
			    yg_db_text(computer), yg_db_int(page.limit)),
		    &rows, err) < 0)
		return -1;
	char last[24] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%lld", (long long)yg_rows_int(rows, 0));
		json_t *job = job_json(store, rows, err);
		if (!job || store_add(items, job, err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == page.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}
