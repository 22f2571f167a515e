/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Jobs: one thing asked of many computers. Each computer's part has exactly one final result, however
 * often it is reported, and every job ends: what has not answered by the deadline has failed.
 *
 *     update:  relays ──all have answered, and the content role has looked──> agents ──> done
 *     others:                                                                 agents ──> done
 *
 * A computer that takes part in a running update joins it (T5): its part of the new job waits for the
 * one that runs and gets its result, or, when that fell short of what the new job aims at, a run of its
 * own. Relays know their part by another job id (relay_ref), because a relay is
 * a computer with an agent's part too, and has one result for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/str.h"
#include "crypto/random.h"
#include "manager/store/store.h"
#include "proto/cause.h"
#include "proto/job.h"
#include "proto/wire.h"

#define GROUP         "default" /* the one relay group that there is */
#define HELD_LEFT_OUT 20011     /* the event, in place of 784 and 785 */
#define CHECK_S       60        /* longest wait for the Manager's own look at the content */
#define FAILED_MAX    100       /* failures named in one event 2205 */
#define SCAN_PATHS    100

struct job {
	char id[40], relay_ref[40], phase[16], by[208], aim[65];
	enum yg_job_kind kind;
	bool scheduled, relays;
	int64_t created, deadline, check_until;
	json_t *paths; /* owned */
};

static void job_free_at(struct job *job)
{
	json_decref(job->paths);
}

/* errors  YG_EABSENT */
static int load(struct store *store, const char *id, struct job *job, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, relay_ref, phase, made_by, aim, kind, scheduled, relays, created, deadline, "
		    "check_until, paths FROM jobs WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': no such job", id);
	(void)snprintf(job->id, sizeof(job->id), "%s", yg_rows_text(rows, 0));
	(void)snprintf(job->relay_ref, sizeof(job->relay_ref), "%s", yg_rows_text(rows, 1));
	(void)snprintf(job->phase, sizeof(job->phase), "%s", yg_rows_text(rows, 2));
	(void)snprintf(job->by, sizeof(job->by), "%s", yg_rows_text(rows, 3));
	(void)snprintf(job->aim, sizeof(job->aim), "%s", yg_rows_text(rows, 4));
	if (yg_job_kind_parse(yg_rows_text(rows, 5), &job->kind, err) < 0)
		return -1;
	job->scheduled = yg_rows_int(rows, 6) != 0;
	job->relays = yg_rows_int(rows, 7) != 0;
	job->created = yg_rows_int(rows, 8);
	job->deadline = yg_rows_int(rows, 9);
	job->check_until = yg_rows_int(rows, 10);
	job->paths = store_parse(yg_rows_text(rows, 11));
	return 0;
}

/* One computer's part, as far as the steps below need it. */
struct part {
	char computer[40], name[208];
	char joined[40]; /* the job whose run this part waits for; "": it has its own */
	bool relay;
};

/* Parts of a job that are open, collected first: the table changes while they are worked on. */
static int open_parts(struct store *store, const char *job, struct part **out, size_t *count,
	struct yg_err *err)
{
	int64_t many = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM job_computers WHERE job = $1 AND final = 0",
		    YG_DB_ARGS(yg_db_text(job)), &many, err) < 0)
		return -1;
	struct part *list YG_AUTO(mem) = calloc((size_t)many + 1, sizeof(*list));
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (!list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_db_query(store->db,
		    "SELECT r.computer, c.name, r.part, r.joined FROM job_computers r JOIN computers c ON c.id = "
		    "r.computer WHERE r.job = $1 AND r.final = 0 ORDER BY r.computer",
		    YG_DB_ARGS(yg_db_text(job)), &rows, err) < 0)
		return -1;
	size_t n = 0;
	int more = 0;
	while (n < (size_t)many && (more = yg_rows_next(rows, err)) > 0) {
		struct part *part = &list[n++];
		(void)snprintf(part->computer, sizeof(part->computer), "%s", yg_rows_text(rows, 0));
		(void)snprintf(part->name, sizeof(part->name), "%s", yg_rows_text(rows, 1));
		part->relay = strcmp(yg_rows_text(rows, 2), "relay") == 0;
		const char *joined = yg_rows_text(rows, 3);
		(void)snprintf(part->joined, sizeof(part->joined), "%s", joined ? joined : "");
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	*count = n;
	return 0;
}

/* --- results --------------------------------------------------------------------------- */

struct result {
	const char *outcome; /* "success", "failed", "cancelled" */
	const char *cause, *sentence;
	json_t *detail; /* borrowed; may be NULL */
};

/* What the sentence says beyond the cause's own text, which readers get in their language. */
static char *more_than_cause(const char *cause, const char *sentence)
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

static const char *set_of(const json_t *detail)
{
	const char *set = json_string_value(json_object_get(detail, "set"));
	return set && yg_wire_digest_ok(set) ? set : "";
}

/* A schedule that met a hold did what the operator wanted: neither 784 nor 785 would be true. */
static bool was_held(const char *state, const char *cause)
{
	return strcmp(state, "cancelled") == 0 && strcmp(cause, "update.held") == 0;
}

/* The event that tells of one part's end. */
static int tell(struct store *store, const struct job *job, const struct part *part,
	const struct result *result, struct yg_err *err)
{
	bool good = strcmp(result->outcome, "success") == 0;
	const char *cause = result->cause;
	if (!good && cause[0] == '\0' && strcmp(result->outcome, "cancelled") == 0)
		cause = "job.cancelled";
	char *detail YG_AUTO(mem) = more_than_cause(cause, result->sentence);
	if (!detail)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	uint32_t id = 0;
	switch (job->kind) {
	case YG_JOB_UPDATE:
		id = good ? 784 : was_held(result->outcome, cause) ? HELD_LEFT_OUT : 785;
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
	}
	if (part->relay && good)
		return 0; /* 1601 comes once, for the group */
	if (part->relay &&
		store_event(store, 1602, part->computer, job->id,
			json_pack("{s:s, s:s, s:s, s:s}", "group", GROUP, "computer", part->name,
				"cause", cause, "detail", detail),
			err) < 0)
		return -1;
	if (id == 0)
		return 0;
	json_t *params = json_pack("{s:s}", "computer", part->name);
	if (!good) {
		(void)json_object_set_new(params, "cause", json_string(cause));
		(void)json_object_set_new(params, "detail", json_string(detail));
	} else if (job->kind == YG_JOB_UPDATE || job->kind == YG_JOB_ROLLBACK) {
		json_t *list = updated(result->detail);
		if (list)
			(void)json_object_set_new(params, "components", list);
		(void)json_object_set_new(params, "set", json_string(set_of(result->detail)));
	} else if (job->kind == YG_JOB_RELEASE_HOLD) {
		(void)json_object_set_new(params, "who", json_string(job->by));
	}
	return store_event(store, id, part->computer, job->id, params, err);
}

static int advance(struct store *store, const char *id, struct yg_err *err);
static int settle(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err);

/* Parts of other jobs that waited for this one may go on. */
static int pass_on(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err)
{
	json_t *jobs YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.job FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.joined = $1 AND "
		    "r.computer = $2 AND r.part = $3 AND r.final = 0 ORDER BY j.number",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
			    yg_db_text(part->relay ? "relay" : "agent")),
		    &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(jobs, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(jobs, i, id)
	{
		struct job other YG_AUTO(job) = {0};
		struct part waiting = *part;
		memcpy(waiting.joined, job->id, sizeof(waiting.joined));
		if (load(store, json_string_value(id), &other, err) < 0 ||
			settle(store, &other, &waiting, err) < 0 ||
			advance(store, other.id, err) < 0)
			return -1;
	}
	return 0;
}

/* A part's row gets its end. *changed is 0 when it had one. */
static int end_row(struct store *store, const struct job *job, const struct part *part,
	const struct result *result, int64_t *changed, struct yg_err *err)
{
	char *detail YG_AUTO(mem) = result->detail ? yg_json_text(result->detail) : NULL;
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = $4, final = 1, phase = 'done', cause = $5, sentence = $6, "
		"detail = $7, ended = $8 WHERE job = $1 AND computer = $2 AND part = $3 AND final = 0",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
			yg_db_text(part->relay ? "relay" : "agent"), yg_db_text(result->outcome),
			yg_db_text(result->cause), yg_db_text(result->sentence), yg_db_text(detail),
			yg_db_int(store->clock_s)),
		changed, err);
}

/* The one place where a part ends. A part that has ended stays as it is. */
static int finish(struct store *store, const struct job *job, const struct part *part,
	const struct result *result, struct yg_err *err)
{
	int64_t changed = 0;
	if (end_row(store, job, part, result, &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	/* What the agent has not fetched yet it need not run any more. */
	if (yg_db_exec(store->db, "DELETE FROM commands WHERE computer = $1 AND job = $2",
		    YG_DB_ARGS(yg_db_text(part->computer),
			    yg_db_text(part->relay ? job->relay_ref : job->id)),
		    NULL, err) < 0)
		return -1;
	if (tell(store, job, part, result, err) < 0)
		return -1;
	return part->joined[0] ? 0 : pass_on(store, job, part, err);
}

static int fail_open(struct store *store, const struct job *job, bool relays_only,
	const struct result *result, struct yg_err *err)
{
	struct part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (open_parts(store, job->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if ((!relays_only || parts[i].relay) &&
			finish(store, job, &parts[i], result, err) < 0)
			return -1;
	return 0;
}

/* --- steps of a job ------------------------------------------------------------------- */

/* The newest set that the Manager has verified since the job began; "" when it has not. */
static int newest_since(struct store *store, const struct job *job, const json_t *newest,
	char out[65], struct yg_err *err)
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

/* The set that agents are sent for: the newest that the Manager has verified since the job began, and
 * that a relay has said it holds. Where that is not known it is empty, and agents take what their relay
 * has: better than sending them for something that nobody can give.
 */
static int choose_aim(struct store *store, const struct job *job, const json_t *newest,
	char aim[65], struct yg_err *err)
{
	char set[65];
	aim[0] = '\0';
	if (newest_since(store, job, newest, set, err) < 0)
		return -1;
	if (set[0] == '\0')
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT detail FROM job_computers WHERE job = $1 AND part = 'relay' AND state = 'success'",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	bool said = false;
	bool holds = false;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
		said = said || set_of(detail)[0] != '\0';
		holds = holds || strcmp(set_of(detail), set) == 0;
	}
	if (more < 0)
		return -1;
	if (!said || holds)
		(void)snprintf(aim, 65, "%s", set);
	return 0;
}

/* 276, when what the computer reports is not the newest. */
static int tell_difference(struct store *store, const struct job *job, const struct part *part,
	const json_t *newest, struct yg_err *err)
{
	const char *set = json_string_value(json_object_get(newest, "set"));
	if (!set)
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT components, set_has FROM computers WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(part->computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	if (strcmp(yg_rows_text(rows, 1), set) == 0)
		return 0;
	json_t *have YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
	json_t *what = store_computer_difference(have, json_object_get(newest, "components"));
	if (!what)
		return 0;
	return store_event(store, 276, part->computer, job->id,
		json_pack("{s:s, s:o, s:s}", "computer", part->name, "components", what, "set",
			set),
		err);
}

static int requested(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err)
{
	return store_event(store, 273, part->computer, job->id,
		json_pack("{s:s, s:s}", "computer", part->name, "who", job->by), err);
}

/* What the agent gets to run its part. A new object, NULL when memory was out. */
static json_t *command_of(const struct job *job, const struct part *part)
{
	if (part->relay)
		return json_pack("{s:s, s:s}", "command", "update.relay", "job", job->relay_ref);
	json_t *body = json_pack("{s:s, s:s}", "command", yg_job_kind_name(job->kind), "job",
		job->id);
	if (job->kind == YG_JOB_UPDATE) {
		(void)json_object_set_new(body, "set", json_string(job->aim));
		(void)json_object_set_new(body, "scheduled", json_boolean(job->scheduled));
		(void)json_object_set_new(body, "with_relays", json_boolean(job->relays));
	} else if (job->kind == YG_JOB_SCAN) {
		(void)json_object_set(body, "paths", job->paths);
	}
	return body;
}

static int send(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err)
{
	return store_command(store, part->computer, part->relay ? job->relay_ref : job->id,
		command_of(job, part), err);
}

/* The events that come with a command. */
static int tell_begin(struct store *store, const struct job *job, const struct part *part,
	const json_t *newest, struct yg_err *err)
{
	switch (job->kind) {
	case YG_JOB_UPDATE:
		if (!job->scheduled && requested(store, job, part, err) < 0)
			return -1;
		return tell_difference(store, job, part, newest, err);
	case YG_JOB_ROLLBACK:
	case YG_JOB_POLICY:
		return store_event(store, job->kind == YG_JOB_ROLLBACK ? 274 : 256, part->computer,
			job->id, json_pack("{s:s, s:s}", "computer", part->name, "who", job->by),
			err);
	case YG_JOB_SCAN:
		return store_event(store, 20008, part->computer, job->id,
			json_pack("{s:s, s:O, s:s}", "computer", part->name, "paths",
				json_array_get(job->paths, 0), "who", job->by),
			err);
	case YG_JOB_RELEASE_HOLD:
		break;
	}
	return 0;
}

/* The running update that this computer's part would meet, or "". */
static int meets(struct store *store, const char *computer, const char *part, char out[40],
	struct yg_err *err)
{
	out[0] = '\0';
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.job FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.computer = $1 AND "
		    "r.part = $2 AND r.final = 0 AND r.joined IS NULL AND j.kind = 'update' AND j.state = "
		    "'running' ORDER BY j.number LIMIT 1",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(part)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more > 0)
		(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	return more < 0 ? -1 : 0;
}

/* One more run for a part whose joined run fell short; several such parts share it. */
static int run_again(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err)
{
	char other[40];
	const char *which = part->relay ? "relay" : "agent";
	if (meets(store, part->computer, which, other, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE job_computers SET joined = $4, state = 'waiting', phase = 'waiting', done = 0, total = "
			"0 WHERE job = $1 AND computer = $2 AND part = $3",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer),
				yg_db_text(which), yg_db_text(other[0] ? other : NULL)),
			NULL, err) < 0)
		return -1;
	return other[0] ? 0 : send(store, job, part, err);
}

/* Does this job want more than the run that it joined came to? `ran` is the other job. */
static bool fell_short(const struct job *job, const struct job *ran, const struct part *part,
	const struct result *result, const char *want)
{
	/* A schedule stops at a hold, a person does not. */
	if (strcmp(result->outcome, "cancelled") == 0)
		return was_held(result->outcome, result->cause) && !job->scheduled;
	if (want[0] == '\0')
		return false;
	if (strcmp(result->outcome, "success") == 0)
		return strcmp(set_of(result->detail), want) != 0;
	/* What failed for one set may succeed for the next; a relay always aims at the newest. */
	return !part->relay && strcmp(ran->aim, want) != 0;
}

/* A part that joined a run, when that run has ended and this job knows what it aims at. Otherwise
 * nothing happens yet: it is asked again when the other thing has come.
 */
static int settle(struct store *store, const struct job *job, const struct part *part,
	struct yg_err *err)
{
	if (part->relay ? job->check_until > store->clock_s : strcmp(job->phase, "agents") != 0)
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT state, cause, sentence, detail FROM job_computers WHERE job = $1 AND computer = $2 "
		    "AND part = $3 AND final = 1",
		    YG_DB_ARGS(yg_db_text(part->joined), yg_db_text(part->computer),
			    yg_db_text(part->relay ? "relay" : "agent")),
		    &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 3));
	const struct result result = {yg_rows_text(rows, 0), yg_rows_text(rows, 1),
		yg_rows_text(rows, 2), json_is_object(detail) ? detail : NULL};

	char want[65];
	struct job ran YG_AUTO(job) = {0};
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || load(store, part->joined, &ran, err) < 0 ||
		newest_since(store, job, newest, want, err) < 0)
		return -1;
	if (!part->relay)
		memcpy(want, job->aim, sizeof(want));
	if (fell_short(job, &ran, part, &result, want))
		return run_again(store, job, part, err);
	/* Its events came with the run itself. */
	int64_t changed = 0;
	return end_row(store, job, part, &result, &changed, err);
}

static int settle_all(struct store *store, const struct job *job, bool relays, struct yg_err *err)
{
	struct part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (open_parts(store, job->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (parts[i].joined[0] && parts[i].relay == relays &&
			settle(store, job, &parts[i], err) < 0)
			return -1;
	return 0;
}

static int begin_agents(struct store *store, struct job *job, struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest)
		return -1;
	if (job->kind == YG_JOB_UPDATE && choose_aim(store, job, newest, job->aim, err) < 0)
		return -1;
	(void)snprintf(job->phase, sizeof(job->phase), "agents");
	if (yg_db_exec(store->db, "UPDATE jobs SET phase = 'agents', aim = $2 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(job->aim)), NULL, err) < 0)
		return -1;

	struct part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (open_parts(store, job->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].relay)
			continue;
		if (tell_begin(store, job, &parts[i], newest, err) < 0)
			return -1;
		if (!parts[i].joined[0] && send(store, job, &parts[i], err) < 0)
			return -1;
	}
	return settle_all(store, job, false, err);
}

/* What the relays' part has come to. */
struct relays {
	int64_t all, open, open_online, good;
	char cause[YG_ERR_CAUSE_MAX];
	char *sentence; /* owned: of one that failed */
	char set[65];   /* of one that succeeded */
};

static void relays_free_at(struct relays *relays)
{
	free(relays->sentence);
}

static int count_relays(struct store *store, const struct job *job, struct relays *relays,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.state, r.final, c.online, r.cause, r.sentence, r.detail FROM job_computers r JOIN "
		    "computers c ON c.id = r.computer WHERE r.job = $1 AND r.part = 'relay'",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		relays->all++;
		if (yg_rows_int(rows, 1) == 0) {
			relays->open++;
			relays->open_online += yg_rows_int(rows, 2);
		} else if (strcmp(yg_rows_text(rows, 0), "success") == 0) {
			json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 5));
			relays->good++;
			(void)snprintf(relays->set, sizeof(relays->set), "%s", set_of(detail));
		} else if (!relays->sentence) {
			(void)snprintf(relays->cause, sizeof(relays->cause), "%s",
				yg_rows_text(rows, 3));
			relays->sentence = strdup(yg_rows_text(rows, 4));
		}
	}
	return more;
}

/* From relays to agents, when it is time. */
static int leave_relays(struct store *store, struct job *job, struct yg_err *err)
{
	struct relays relays __attribute__((cleanup(relays_free_at))) = {0};
	if (settle_all(store, job, true, err) < 0 || count_relays(store, job, &relays, err) < 0)
		return -1;
	/* Half the time is the agents'. */
	if (relays.open > 0 &&
		store->clock_s >= job->created + (job->deadline - job->created) / 2) {
		const struct result late = {"failed", "job.timeout", "", NULL};
		if (fail_open(store, job, true, &late, err) < 0)
			return -1;
		relays_free_at(&relays);
		relays = (struct relays){0};
		if (count_relays(store, job, &relays, err) < 0)
			return -1;
	}
	/* One relay that holds it is enough to go on when the others are not even there. */
	bool ready = relays.open == 0 || (relays.good > 0 && relays.open_online == 0);
	if (!ready || job->check_until > store->clock_s)
		return 0;
	if (relays.all > 0 && relays.good == 0) {
		const struct result same = {"failed", relays.cause,
			relays.sentence ? relays.sentence : "", NULL};
		return fail_open(store, job, false, &same, err);
	}
	if (relays.all > 0) {
		json_t *params = json_pack("{s:s}", "group", GROUP);
		if (relays.set[0] != '\0')
			(void)json_object_set_new(params, "set", json_string(relays.set));
		if (store_event(store, 1601, NULL, job->id, params, err) < 0)
			return -1;
	}
	return begin_agents(store, job, err);
}

/* 2204 or 2205, over all agents' parts. */
static int tell_whole(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t all = 0;
	int64_t bad = 0;
	json_t *failures YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.state, c.name, r.cause, r.sentence FROM job_computers r JOIN computers c ON c.id = "
		    "r.computer WHERE r.job = $1 AND r.part = 'agent' ORDER BY c.name, c.id",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		all++;
		if (strcmp(yg_rows_text(rows, 0), "success") == 0 ||
			was_held(yg_rows_text(rows, 0), yg_rows_text(rows, 2)))
			continue;
		if (++bad > FAILED_MAX)
			continue;
		char *detail YG_AUTO(
			mem) = more_than_cause(yg_rows_text(rows, 2), yg_rows_text(rows, 3));
		if (store_add(failures,
			    json_pack("{s:s, s:s, s:s}", "computer", yg_rows_text(rows, 1), "cause",
				    yg_rows_text(rows, 2), "sentence", detail ? detail : ""),
			    err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	if (bad == 0)
		return store_event(store, 2204, NULL, job->id,
			json_pack("{s:I, s:s}", "computers", (json_int_t)all, "job", job->id), err);
	return store_event(store, 2205, NULL, job->id,
		json_pack("{s:I, s:I, s:O, s:s}", "failed", (json_int_t)bad, "computers",
			(json_int_t)all, "failures", failures, "job", job->id),
		err);
}

static int end_if_done(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t open = 0;
	int64_t bad = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM (SELECT 1 FROM job_computers WHERE job = $1 AND final = 0 "
		    "LIMIT 1) AS open",
		    YG_DB_ARGS(yg_db_text(job->id)), &open, err) < 0)
		return -1;
	if (open > 0)
		return 0;
	int64_t good = 0;
	int64_t changed = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM job_computers WHERE job = $1 AND state = 'failed'",
		    YG_DB_ARGS(yg_db_text(job->id)), &bad, err) < 0 ||
		yg_db_number(store->db,
			"SELECT count(*) FROM job_computers WHERE job = $1 AND state = 'success'",
			YG_DB_ARGS(yg_db_text(job->id)), &good, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE jobs SET state = 'done', phase = 'done', outcome = $2, ended = $3 WHERE id = $1 "
			"AND state = 'running'",
			YG_DB_ARGS(yg_db_text(job->id),
				yg_db_text(bad > 0         ? "failed"
						: good > 0 ? "success"
							   : "cancelled"),
				yg_db_int(store->clock_s)),
			&changed, err) < 0)
		return -1;
	return changed > 0 && job->kind == YG_JOB_UPDATE ? tell_whole(store, job, err) : 0;
}

/* Take a running job as far as it goes now. Safe to call at any time, any number of times. */
static int advance(struct store *store, const char *id, struct yg_err *err)
{
	int64_t running = 0;
	struct job job YG_AUTO(job) = {0};
	if (yg_db_number(store->db, "SELECT count(*) FROM jobs WHERE id = $1 AND state = 'running'",
		    YG_DB_ARGS(yg_db_text(id)), &running, err) < 0)
		return -1;
	if (running == 0)
		return 0;
	if (load(store, id, &job, err) < 0)
		return -1;
	if (store->clock_s >= job.deadline) {
		const struct result late = {"failed", "job.timeout", "", NULL};
		if (fail_open(store, &job, false, &late, err) < 0)
			return -1;
	} else if (strcmp(job.phase, "relays") == 0 && leave_relays(store, &job, err) < 0) {
		return -1;
	}
	return end_if_done(store, &job, err);
}

static int advance_all(struct store *store, struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT id FROM jobs WHERE state = 'running' ORDER BY number",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(ids, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	store->running = json_array_size(ids) > 0;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i,
		id) if (advance(store, json_string_value(id), err) < 0) return -1;
	return 0;
}

/* --- what agents report ------------------------------------------------------------------ */

/* Which part of which job an agent means. errors  YG_EABSENT it has none such */
static int find_part(struct store *store, const char *computer, const char *ref, struct job *job,
	struct part *part, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT j.id, r.part, c.name, r.joined FROM jobs j JOIN job_computers r ON r.job = j.id JOIN "
		    "computers c ON c.id = r.computer WHERE r.computer = $1 AND ((j.id = $2 AND r.part = "
		    "'agent') OR (j.relay_ref = $2 AND r.part = 'relay'))",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "job '%s': not one of computer '%s'", ref,
			computer);
	(void)snprintf(part->computer, sizeof(part->computer), "%s", computer);
	(void)snprintf(part->name, sizeof(part->name), "%s", yg_rows_text(rows, 2));
	part->relay = strcmp(yg_rows_text(rows, 1), "relay") == 0;
	const char *joined = yg_rows_text(rows, 3);
	(void)snprintf(part->joined, sizeof(part->joined), "%s", joined ? joined : "");
	return load(store, yg_rows_text(rows, 0), job, err);
}

int store_job_result(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	struct part part = {0};
	const char *ref = json_string_value(json_object_get(entry, "job"));
	struct yg_err why = {0};
	if (find_part(store, computer, ref, &job, &part, &why) < 0) {
		if (why.code ==
			YG_EABSENT) { /* an update that somebody started at the computer itself */
			yg_log(YG_LOG_INFO, "store.result", "computer %s: %s", computer, why.msg);
			return 0;
		}
		*err = why;
		return -1;
	}
	const char *cause = json_string_value(json_object_get(entry, "cause"));
	const char *sentence = json_string_value(json_object_get(entry, "sentence"));
	json_t *detail = json_object_get(entry, "detail");
	const struct result result = {json_string_value(json_object_get(entry, "outcome")),
		cause ? cause : "", sentence ? sentence : "",
		json_is_object(detail) ? detail : NULL};
	if (finish(store, &job, &part, &result, err) < 0)
		return -1;
	return advance(store, job.id, err);
}

int store_job_progress(struct store *store, const char *computer, const json_t *entry,
	struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	struct part part = {0};
	struct yg_err why = {0};
	const char *ref = json_string_value(json_object_get(entry, "job"));
	const char *phase = json_string_value(json_object_get(entry, "phase"));
	if (!ref || !phase)
		return 0;
	if (find_part(store, computer, ref, &job, &part, &why) < 0) {
		*err = why;
		return why.code == YG_EABSENT ? 0 : -1;
	}
	bool counts = json_object_get(entry, "done") || json_object_get(entry, "of");
	/* Who joined this run sees where it stands too. */
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = 'running', phase = $4, done = CASE WHEN $5 = 0 THEN done ELSE "
		"$6 END, total = CASE WHEN $5 = 0 THEN total ELSE $7 END WHERE (job = $1 OR joined = $1) AND "
		"computer = $2 AND part = $3 AND final = 0",
		YG_DB_ARGS(yg_db_text(job.id), yg_db_text(computer),
			yg_db_text(part.relay ? "relay" : "agent"), yg_db_text(phase),
			yg_db_int(counts),
			yg_db_int(json_integer_value(json_object_get(entry, "done"))),
			yg_db_int(json_integer_value(json_object_get(entry, "of")))),
		NULL, err);
}

int store_job_sent(struct store *store, const char *computer, const char *ref, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE job_computers SET state = 'sent' WHERE computer = $1 AND state = 'waiting' AND job IN "
		"(SELECT id FROM jobs WHERE (id = $2 AND part = 'agent') OR (relay_ref = $2 AND part = "
		"'relay'))",
		YG_DB_ARGS(yg_db_text(computer), yg_db_text(ref)), NULL, err);
}

/* Open parts of policy jobs of one computer end with this result. */
static int end_policy(struct store *store, const char *computer, const struct result *result,
	struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT j.id FROM job_computers r JOIN jobs j ON j.id = r.job WHERE r.computer = $1 AND "
		    "r.part = 'agent' AND r.final = 0 AND r.state <> 'waiting' AND j.kind = 'policy'",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(ids, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
	{
		struct job job YG_AUTO(job) = {0};
		struct part part = {0};
		if (find_part(store, computer, json_string_value(id), &job, &part, err) < 0 ||
			finish(store, &job, &part, result, err) < 0 ||
			advance(store, job.id, err) < 0)
			return -1;
	}
	return 0;
}

int store_job_policy(struct store *store, const char *computer, const char *fingerprint,
	struct yg_err *err)
{
	char want[65];
	if (store_policy_fingerprint(store, computer, want, err) < 0)
		return -1;
	if (!fingerprint || strcmp(fingerprint, want) != 0)
		return 0;
	const struct result good = {"success", "", "", NULL};
	return end_policy(store, computer, &good, err);
}

int store_job_policy_failed(struct store *store, const char *computer, const char *detail,
	struct yg_err *err)
{
	const struct result bad = {"failed", "engine.config", detail, NULL};
	return end_policy(store, computer, &bad, err);
}

int store_job_forget(struct store *store, const char *computer, struct yg_err *err)
{
	json_t *refs YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT CASE WHEN r.part = 'relay' THEN j.relay_ref ELSE j.id END FROM job_computers r JOIN "
		    "jobs j ON j.id = r.job WHERE r.computer = $1 AND r.final = 0",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(refs, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	const struct result gone = {"cancelled", "job.cancelled", "", NULL};
	size_t i;
	json_t *ref;
	json_array_foreach(refs, i, ref)
	{
		struct job job YG_AUTO(job) = {0};
		struct part part = {0};
		if (find_part(store, computer, json_string_value(ref), &job, &part, err) < 0 ||
			finish(store, &job, &part, &gone, err) < 0 ||
			advance(store, job.id, err) < 0)
			return -1;
	}
	return 0;
}

int store_job_checked(struct store *store, struct yg_err *err)
{
	if (yg_db_exec(store->db,
		    "UPDATE jobs SET check_until = 0 WHERE state = 'running' AND check_until > 0",
		    YG_DB_NO_ARGS, NULL, err) < 0)
		return -1;
	return advance_all(store, err);
}

/* --- making --------------------------------------------------------------------------- */

/* [[id, name]] of the computers that are asked. */
static int chosen(struct store *store, const json_t *args, json_t **out, struct yg_err *err)
{
	const json_t *which = json_object_get(args, "computers");
	json_t *list YG_AUTO(yg_json) = json_array();
	if (json_is_string(which) && strcmp(json_string_value(which), "all") == 0) {
		struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
		if (yg_db_query(store->db,
			    "SELECT id, name FROM computers WHERE deleted = 0 AND activated IS NOT NULL ORDER BY "
			    "id",
			    YG_DB_NO_ARGS, &rows, err) < 0)
			return -1;
		int more;
		while ((more = yg_rows_next(rows, err)) > 0)
			if (store_add(list,
				    json_pack("[s, s]", yg_rows_text(rows, 0),
					    yg_rows_text(rows, 1)),
				    err) < 0)
				return -1;
		if (more < 0)
			return -1;
	} else {
		json_t *ids;
		json_t *seen YG_AUTO(yg_json) = json_object();
		size_t i;
		json_t *item;
		if (yg_json_array(args, "computers", 50000, &ids, err) < 0)
			return -1;
		json_array_foreach(ids, i, item)
		{
			const char *id = json_string_value(item);
			char name[208];
			if (!id)
				return yg_fail(err, YG_EFORMAT,
					"computers[%zu]: want a string, have %s", i,
					yg_json_kind(item));
			if (json_object_get(seen, id))
				continue;
			(void)json_object_set_new(seen, id, json_true());
			if (store_computer_name(store, id, name, err) < 0)
				return yg_wrap(err, "computers[%zu]", i);
			if (store_add(list, json_pack("[s, s]", id, name), err) < 0)
				return -1;
		}
	}
	if (json_array_size(list) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"computers: there is none to ask");
	*out = yg_take(list);
	return 0;
}

static int check_paths(const json_t *args, enum yg_job_kind kind, json_t **out, struct yg_err *err)
{
	json_t *none YG_AUTO(yg_json) = json_array();
	json_t *paths = none;
	size_t i;
	json_t *path;
	if (kind == YG_JOB_SCAN) {
		if (yg_json_array(args, "paths", SCAN_PATHS, &paths, err) < 0)
			return -1;
		if (json_array_size(paths) == 0)
			return yg_fail(err, YG_EFORMAT, "paths: want 1..%d, have none", SCAN_PATHS);
		json_array_foreach(paths, i, path)
		{
			const char *text = json_string_value(path);
			if (!text || text[0] != '/' || strlen(text) > 4000)
				return yg_fail(err, YG_EFORMAT, "paths[%zu]: want an absolute path",
					i);
		}
	}
	*out = json_incref(paths);
	return 0;
}

static int add_part(struct store *store, const struct job *job, const char *computer, bool relay,
	char joined[40], struct yg_err *err)
{
	const char *part = relay ? "relay" : "agent";
	joined[0] = '\0';
	if (job->kind == YG_JOB_UPDATE && meets(store, computer, part, joined, err) < 0)
		return -1;
	return yg_db_exec(store->db,
		"INSERT INTO job_computers (job, computer, part, state, final, phase, done, total, cause, "
		"sentence, joined) VALUES ($1, $2, $3, 'waiting', 0, 'waiting', 0, 0, '', '', $4)",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(computer), yg_db_text(part),
			yg_db_text(joined[0] ? joined : NULL)),
		NULL, err);
}

static int ask_relays(struct store *store, const struct job *job, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id FROM computers WHERE relay = 1 AND deleted = 0 AND activated IS NOT NULL ORDER BY "
		    "id",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	if (json_array_size(list) == 0)
		return 0;
	if (store_event(store, 1600, NULL, job->id,
		    json_pack("{s:s, s:s}", "group", GROUP, "who", job->by), err) < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(list, i, id)
	{
		char joined[40];
		if (add_part(store, job, json_string_value(id), true, joined, err) < 0)
			return -1;
		if (joined[0] == '\0' &&
			store_command(store, json_string_value(id), job->relay_ref,
				json_pack("{s:s, s:s}", "command", "update.relay", "job",
					job->relay_ref),
				err) < 0)
			return -1;
	}
	return 0;
}

static int tell_joined(struct store *store, const struct job *job, const char *other,
	struct yg_err *err)
{
	struct job running YG_AUTO(job) = {0};
	if (load(store, other, &running, err) < 0)
		return -1;
	return store_event(store, 20006, NULL, job->id,
		json_pack("{s:s, s:s, s:s, s:s}", "job", job->id, "running", other, "phase",
			running.phase, "who", running.by),
		err);
}

static int insert(struct store *store, struct job *job, struct yg_err *err)
{
	int64_t number = 0;
	int64_t deadline_s = 0;
	if (yg_random_uuid(job->id, err) < 0 || yg_random_uuid(job->relay_ref, err) < 0 ||
		yg_db_number(store->db, "SELECT coalesce(max(number), 0) + 1 FROM jobs",
			YG_DB_NO_ARGS, &number, err) < 0 ||
		store_setting_int(store, "update.deadline_s", &deadline_s, err) < 0)
		return -1;
	bool update = job->kind == YG_JOB_UPDATE;
	store->running = true;
	job->created = store->clock_s;
	job->deadline = store->clock_s + deadline_s;
	(void)snprintf(job->phase, sizeof(job->phase), "%s", update ? "relays" : "agents");
	if (update && store->has_content) {
		store->check_content = true;
		job->check_until = store->clock_s + CHECK_S;
	}
	char *paths YG_AUTO(mem) = yg_json_text(job->paths);
	return yg_db_exec(store->db,
		"INSERT INTO jobs (id, number, relay_ref, kind, state, phase, made_by, scheduled, relays, paths, "
		"aim, created, deadline, check_until) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, $9, '', "
		"$10, $11, $12)",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_int(number), yg_db_text(job->relay_ref),
			yg_db_text(yg_job_kind_name(job->kind)), yg_db_text(job->phase),
			yg_db_text(job->by), yg_db_int(job->scheduled), yg_db_int(job->relays),
			yg_db_text(paths ? paths : "[]"), yg_db_int(job->created),
			yg_db_int(job->deadline), yg_db_int(job->check_until)),
		NULL, err);
}

int store_job_make(struct store *store, const struct store_asker *asker, const json_t *args,
	char out[40], struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	const char *kind;
	json_t *computers YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "kind", 32, &kind, err) < 0 ||
		yg_job_kind_parse(kind, &job.kind, err) < 0 ||
		yg_json_bool_or(args, "scheduled", false, &job.scheduled, err) < 0 ||
		yg_json_bool_or(args, "relays", true, &job.relays, err) < 0 ||
		check_paths(args, job.kind, &job.paths, err) < 0 ||
		chosen(store, args, &computers, err) < 0)
		return -1;
	bool update = job.kind == YG_JOB_UPDATE;
	job.relays = job.relays && update;
	(void)snprintf(job.by, sizeof(job.by), "%s", asker->name);
	if (insert(store, &job, err) < 0 || (job.relays && ask_relays(store, &job, err) < 0))
		return -1;

	char first_joined[40] = "";
	size_t i;
	json_t *item;
	json_array_foreach(computers, i, item)
	{
		char joined[40];
		struct part part = {0};
		(void)snprintf(part.computer, sizeof(part.computer), "%s",
			json_string_value(json_array_get(item, 0)));
		(void)snprintf(part.name, sizeof(part.name), "%s",
			json_string_value(json_array_get(item, 1)));
		if (add_part(store, &job, part.computer, false, joined, err) < 0)
			return -1;
		if (joined[0] != '\0')
			(void)snprintf(first_joined, sizeof(first_joined), "%s", joined);
		/* A scheduled run asks the agents at the same moment as the relays (U4). */
		if (update && job.scheduled && requested(store, &job, &part, err) < 0)
			return -1;
	}
	if (first_joined[0] != '\0' && tell_joined(store, &job, first_joined, err) < 0)
		return -1;
	if (!update && begin_agents(store, &job, err) < 0)
		return -1;
	(void)snprintf(out, 40, "%s", job.id);
	return advance(store, job.id, err);
}

/* --- by the clock ------------------------------------------------------------------------ */

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
	return advance_all(store, err) < 0 ? -1 : schedule(store, err);
}

#define CLEAN_JOBS 20 /* each has a row for every computer */

int store_jobs_clean(struct store *store, int64_t before, bool *more, struct yg_err *err)
{
	/* What an open part has joined is still asked for its result. */
	static const char old[] =
		"SELECT j.id FROM jobs j WHERE j.state = 'done' AND j.ended < $1 AND NOT EXISTS (SELECT 1 FROM "
		"job_computers w WHERE w.joined = j.id AND w.final = 0) ORDER BY j.number LIMIT $2";
	json_t *ids YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, old, YG_DB_ARGS(yg_db_int(before), yg_db_int(CLEAN_JOBS)), &rows,
		    err) < 0)
		return -1;
	int next;
	while ((next = yg_rows_next(rows, err)) > 0)
		if (store_add(ids, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (next < 0)
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

/* --- showing -------------------------------------------------------------------------- */

#define COLUMNS                                                                                      \
	"number, id, kind, state, phase, outcome, made_by, scheduled, relays, paths, aim, created, " \
	"deadline, ended"

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
		"{s:s, s:s, s:s, s:s, s:s?, s:s, s:b, s:b, s:o, s:s, s:o, s:o, s:o, s:O}", "id",
		yg_rows_text(rows, 1), "kind", yg_rows_text(rows, 2), "state",
		yg_rows_text(rows, 3), "phase", yg_rows_text(rows, 4), "outcome",
		yg_rows_text(rows, 5), "by", yg_rows_text(rows, 6), "scheduled",
		yg_rows_int(rows, 7) != 0, "relays", yg_rows_int(rows, 8) != 0, "paths",
		store_parse(yg_rows_text(rows, 9)), "set", yg_rows_text(rows, 10), "created",
		store_time(yg_rows_int(rows, 11)), "deadline", store_time(yg_rows_int(rows, 12)),
		"ended", store_time_or_null(rows, 13), "counts", sums);
	if (!made)
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	return made;
}

static int show_parts(struct store *store, const char *job, json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.computer, c.name, r.part, r.state, r.final, r.phase, r.done, r.total, r.cause, "
		    "r.sentence, r.detail, r.joined, r.ended FROM job_computers r JOIN computers c ON c.id = "
		    "r.computer WHERE r.job = $1 ORDER BY r.part DESC, c.name, c.id",
		    YG_DB_ARGS(yg_db_text(job)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		bool final = yg_rows_int(rows, 4) != 0;
		const char *detail = yg_rows_text(rows, 10);
		if (store_add(list,
			    json_pack(
				    "{s:s, s:s, s:s, s:s, s:s?, s:s, s:I, s:I, s:s, s:s, s:o, s:b, s:o}",
				    "id", yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1),
				    "as", yg_rows_text(rows, 2), "state", yg_rows_text(rows, 3),
				    "outcome", final ? yg_rows_text(rows, 3) : NULL, "phase",
				    yg_rows_text(rows, 5), "done", (json_int_t)yg_rows_int(rows, 6),
				    "of", (json_int_t)yg_rows_int(rows, 7), "cause",
				    yg_rows_text(rows, 8), "sentence", yg_rows_text(rows, 9),
				    "detail", detail ? store_parse(detail) : json_null(), "joined",
				    !yg_rows_null(rows, 11), "ended", store_time_or_null(rows, 12)),
			    err) < 0)
			return -1;
	}
	return more;
}

static int get(struct store *store, const char *id, json_t **out, struct yg_err *err)
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
	json_t *list = json_array();
	if (json_object_set_new(job, "computers", list) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (show_parts(store, id, list, err) < 0)
		return -1;
	*out = yg_take(job);
	return 0;
}

int op_jobs_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	char id[40];
	return store_job_make(store, asker, args, id, err) < 0 ? -1 : get(store, id, out, err);
}

int op_jobs_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0 ? -1 : get(store, id, out, err);
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
