/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "crypto/random.h"
#include "manager/store/alerts.h"
#include "proto/cause.h"
#include "proto/wire.h"

/* A part ends, exactly once, and with it what waited for it. */

#define HELD_LEFT_OUT 20011 /* the event, in place of 784 and 785 */

char *job_more_than_cause(const char *cause, const char *sentence)
{
	const struct yg_cause *known = yg_cause_find(cause);
	const char *rest = sentence;
	for (int lang = 0; known && lang < 2; lang++) {
		const char *text = yg_cause_text(known, lang == 0 ? YG_LANG_EN : YG_LANG_JA);
		if (strncmp(sentence, text, strlen(text)) == 0)
			rest = sentence + strlen(text);
	}
	while (*rest == ' ')
		rest++;
	size_t len = strlen(rest);
	if (rest != sentence && len >= 2 && rest[0] == '(' && rest[len - 1] == ')')
		return strndup(rest + 1, len - 2);
	return strdup(rest);
}

/* [{"name","from","to"}] out of what an agent says it updated; NULL when there is nothing to show. */
static json_t *updated(const json_t *detail)
{
	json_t *list = json_array();
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(detail, "updated"), i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		const json_t *to = json_object_get(item, "to");
		if (name && json_is_integer(to))
			(void)json_array_append_new(list,
				json_pack("{s:s, s:I, s:I}", "name", name, "from",
					json_integer_value(json_object_get(item, "from")), "to",
					json_integer_value(to)));
	}
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return NULL;
}

const char *job_set_of(const json_t *detail)
{
	const char *set = json_string_value(json_object_get(detail, "set"));
	return set && yg_wire_digest_ok(set) ? set : "";
}

bool job_was_held(const char *state, const char *cause)
{
	return strcmp(state, "cancelled") == 0 && strcmp(cause, "update.held") == 0;
}

/* The event that tells of one part's end. */
static int tell(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err)
{
	bool good = strcmp(result->outcome, "success") == 0;
	const char *cause = result->cause;
	if (!good && cause[0] == '\0' && strcmp(result->outcome, "cancelled") == 0)
		cause = "job.cancelled";
	char *detail YG_AUTO(mem) = job_more_than_cause(cause, result->sentence);
	if (!detail)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	uint32_t id = 0;
	switch (job->kind) {
	case YG_JOB_UPDATE:
		id = good ? 784 : job_was_held(result->outcome, cause) ? HELD_LEFT_OUT : 785;
		break;
	case YG_JOB_ROLLBACK:
		id = good ? 1603 : 1604;
		break;
	case YG_JOB_SCAN:
		id = good ? 0
			  : 20009; /* a good end is the agent's own event, with what was found */
		break;
	case YG_JOB_POLICY:
		id = good ? 720 : 721;
		break;
	case YG_JOB_RELEASE_HOLD:
		id = good ? 20010 : 740;
		break;
	case YG_JOB_TEST: /* who asked looks at it; nothing has happened */
		break;
	}
	/* A relay's good end: 1601 comes once, for the group. */
	if (id == 0 || (part->relay && good))
		return 0;
	json_t *params = json_pack("{s:s}", "computer", part->name);
	if (!good) {
		(void)json_object_set_new(params, "cause", json_string(cause));
		(void)json_object_set_new(params, "detail", json_string(detail));
	} else if (job->kind == YG_JOB_UPDATE || job->kind == YG_JOB_ROLLBACK) {
		json_t *list = updated(result->detail);
		if (list)
			(void)json_object_set_new(params, "components", list);
		(void)json_object_set_new(params, "set", json_string(job_set_of(result->detail)));
	} else if (job->kind == YG_JOB_RELEASE_HOLD) {
		(void)json_object_set_new(params, "who", json_string(job->by));
	}
	return store_event(store, id, part->computer, job->id, params, err);
}

/* One more run for a part whose joined run fell short; several such parts share it. */
static int run_again(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	char other[40];
	const char *which = job_part_word(part);
	if (job_part_meets(store, part->computer, which, other, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE job_computers SET joined = $4, state = 'waiting', phase = 'waiting', what = '', "
			"done = 0, total = 0, bytes = 0, bytes_of = 0, left_s = NULL WHERE job = $1 AND computer = $2 AND part = $3 AND final = 0",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
				yg_db_text(which), yg_db_text(other[0] ? other : NULL)),
			NULL, err) < 0)
		return -1;
	return other[0] ? 0 : job_part_send(store, job, part, err);
}

int job_newest_since(struct store *store, const struct job *job, const json_t *newest, char out[65],
	struct yg_err *err)
{
	out[0] = '\0';
	char *checked YG_AUTO(mem) = NULL;
	uint64_t when = 0;
	struct yg_err absent = {0};
	const char *set = json_string_value(json_object_get(newest, "set"));
	if (!set)
		return 0;
	if (store_fact_get(store, "newest_checked", &checked, &absent) < 0) {
		if (absent.code == YG_EABSENT)
			return 0;
		*err = absent;
		return -1;
	}
	if (yg_str_u64(checked, INT64_MAX, &when, err) < 0)
		return -1;
	if ((int64_t)when >= job->created)
		(void)snprintf(out, 65, "%s", set);
	return 0;
}

/* Does this job want more than the run that it joined came to? ran: in the other job. */
static bool fell_short(const struct job *job, const struct job_part *ran, bool ran_cancelled,
	const struct job_result *result, const char *want)
{
	/* A schedule stops at a hold, a person does not; and who cancelled the other job did not mean this one. */
	if (strcmp(result->outcome, "cancelled") == 0)
		return ran_cancelled ||
			(job_was_held(result->outcome, result->cause) && !job->scheduled);
	if (want[0] == '\0')
		return false;
	if (strcmp(result->outcome, "success") == 0)
		return strcmp(job_set_of(result->detail), want) != 0;
	/* What failed for one set may succeed for the next; a relay always aims at the newest. */
	return !ran->relay && strcmp(ran->aim, want) != 0;
}

/* A part's row gets its end. *changed is 0 when it had one. */
static int end_row(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, int64_t *changed, struct yg_err *err)
{
	char *detail YG_AUTO(mem) = result->detail ? yg_json_text(result->detail) : NULL;
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = $4, final = 1, phase = 'done', cause = $5, sentence = $6, "
		"detail = $7, ended = $8, left_s = NULL WHERE job = $1 AND computer = $2 AND part = $3 AND final = 0",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
			yg_db_text(job_part_word(part)), yg_db_text(result->outcome),
			yg_db_text(result->cause), yg_db_text(result->sentence), yg_db_text(detail),
			yg_db_int(store->clock_s)),
		changed, err);
}

int job_part_settle(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	if (part->final || strcmp(part->group_state, part->relay ? "asked" : "ready") != 0 ||
		(part->relay && job->check_until > store->clock_s))
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT state, cause, sentence, detail FROM job_computers WHERE job = $1 AND computer = $2 "
		    "AND part = $3 AND final = 1",
		    YG_DB_ARGS(yg_db_text(part->joined), yg_db_text(part->computer),
			    yg_db_text(job_part_word(part))),
		    &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 3));
	const struct job_result result = {yg_rows_text(rows, 0), yg_rows_text(rows, 1),
		yg_rows_text(rows, 2), json_is_object(detail) ? detail : NULL, false};

	char want[65];
	struct job other YG_AUTO(job) = {0};
	struct job_part ran = {0};
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || job_load(store, part->joined, &other, err) < 0 ||
		job_part_load(store, part->joined, part->computer, part->relay, &ran, err) < 0 ||
		job_newest_since(store, job, newest, want, err) < 0)
		return -1;
	if (!part->relay)
		memcpy(want, part->aim, sizeof(want));
	if (fell_short(job, &ran, other.cancelled[0] != '\0', &result, want))
		return run_again(store, job, part, err);
	/* Its events came with the run itself. */
	int64_t changed = 0;
	return end_row(store, job, part, &result, &changed, err);
}

int job_parts_settle(struct store *store, const struct job *job, const char *word,
	const char *group, struct yg_err *err)
{
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (job_parts_open(store, job->id, word, group, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (parts[i].joined[0] && job_part_settle(store, job, &parts[i], err) < 0)
			return -1;
	return 0;
}

/* Parts of other jobs that waited for this one may go on. */
static int pass_on(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	json_t *jobs YG_AUTO(yg_json) = NULL;
	if (store_texts(store,
		    "SELECT r.job FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.joined = $1 AND "
		    "r.computer = $2 AND r.part = $3 AND r.final = 0 ORDER BY j.number",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
			    yg_db_text(job_part_word(part))),
		    &jobs, err) < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(jobs, i, id)
	{
		struct job other YG_AUTO(job) = {0};
		struct job_part waiting = {0};
		if (job_load(store, json_string_value(id), &other, err) < 0 ||
			job_part_load(store, other.id, part->computer, part->relay, &waiting, err) <
				0 ||
			job_part_settle(store, &other, &waiting, err) < 0 ||
			job_advance_after(store, other.id, part->relay, err) < 0)
			return -1;
	}
	return 0;
}

/* A relay whose own run failed is told of once, though its agent's part fails with it. */
static int told_as_relay(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, bool *out, struct yg_err *err)
{
	int64_t count = 0;
	*out = false;
	if (!result->elsewhere || part->relay)
		return 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM job_computers WHERE job = $1 AND computer = $2 AND part = 'relay' AND "
		    "state = 'failed'",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer)), &count, err) < 0)
		return -1;
	*out = count > 0;
	return 0;
}

const char job_commands_end_sql[] = "DELETE FROM commands WHERE computer = $1 AND job = $2";

int job_part_end(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err)
{
	int64_t changed = 0;
	if (end_row(store, job, part, result, &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	/* What the agent has not fetched yet it need not run any more. */
	if (yg_db_exec(store->db, job_commands_end_sql,
		    YG_DB_ARGS(yg_db_text(part->computer), yg_db_text(part->ref)), NULL, err) < 0)
		return -1;
	bool told;
	if (told_as_relay(store, job, part, result, &told, err) < 0 ||
		(!told && tell(store, job, part, result, err) < 0))
		return -1;
	if (job->kind == YG_JOB_UPDATE && !result->elsewhere &&
		store_alerts_result(store, part->computer, part->relay, result->outcome,
			result->cause, err) < 0)
		return -1;
	return part->joined[0] ? 0 : pass_on(store, job, part, err);
}

int job_parts_end(struct store *store, const struct job *job, const char *word, const char *group,
	const struct job_result *result, struct yg_err *err)
{
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (job_parts_open(store, job->id, word, group, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (job_part_end(store, job, &parts[i], result, err) < 0)
			return -1;
	return 0;
}

/* The relay runs once more, under another id: it would not do the same job twice. */
static int ask_again(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err)
{
	struct job_part again = *part;
	if (yg_random_uuid(again.ref, err) < 0 ||
		yg_db_exec(store->db, job_commands_end_sql,
			YG_DB_ARGS(yg_db_text(part->computer), yg_db_text(part->ref)), NULL,
			err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE job_computers SET ref = $3, detail = NULL, state = 'waiting', phase = 'waiting', what "
			"= '', done = 0, total = 0, bytes = 0, bytes_of = 0, left_s = NULL WHERE job = $1 AND computer "
			"= $2 AND part = 'relay'",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
				yg_db_text(again.ref)),
			NULL, err) < 0)
		return -1;
	/* Which of the two is behind? The Manager looks again, too. */
	if (store->has_content) {
		store->check_content = true;
		if (yg_db_exec(store->db, "UPDATE jobs SET check_until = $2 WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(job->id),
				    yg_db_int(store->clock_s + JOB_CHECK_S)),
			    NULL, err) < 0)
			return -1;
	}
	return job_part_send(store, job, &again, err);
}

static int keep_answer(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *detail, struct yg_err *err)
{
	char *text YG_AUTO(mem) = detail ? yg_json_text(detail) : strdup("{}");
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_db_exec(store->db,
		"UPDATE job_computers SET detail = $3, state = 'running', phase = 'compare' WHERE job = $1 AND "
		"computer = $2 AND part = 'relay' AND final = 0",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer), yg_db_text(text)), NULL,
		err);
}

int job_relay_answer(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err)
{
	if (job->check_until > store->clock_s)
		return keep_answer(store, job, part, result->detail, err);
	char want[65];
	const char *have = job_set_of(result->detail);
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || job_newest_since(store, job, newest, want, err) < 0)
		return -1;
	bool again = strcmp(part->ref, job->relay_ref) != 0;
	if (want[0] == '\0' || have[0] == '\0' || strcmp(want, have) == 0 || again)
		return job_part_end(store, job, part, result, err);
	return ask_again(store, job, part, err);
}

int job_relays_answered(struct store *store, const struct job *job, const char *group,
	struct yg_err *err)
{
	json_t *answers YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT computer, detail FROM job_computers WHERE job = $1 AND part = 'relay' AND final = 0 "
		    "AND detail IS NOT NULL AND in_group = $2 ORDER BY computer",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(answers,
			    json_pack("[s, o]", yg_rows_text(rows, 0),
				    store_parse(yg_rows_text(rows, 1))),
			    err) < 0)
			return -1;
	if (more < 0)
		return -1;
	size_t i;
	json_t *answer;
	json_array_foreach(answers, i, answer)
	{
		struct job_part part = {0};
		const struct job_result good = {"success", "", "", json_array_get(answer, 1),
			false};
		if (job_part_load(store, job->id, json_string_value(json_array_get(answer, 0)),
			    true, &part, err) < 0 ||
			job_relay_answer(store, job, &part, &good, err) < 0)
			return -1;
	}
	return 0;
}
