/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A job goes from group to group, from relays to agents, to its end. */

#define FAILED_MAX 100 /* failures named in one event 2205 */
#define LISTEN_S   60  /* after the start, before anything is too late */

/* The set that the agents of a group are sent for: the newest that the Manager has verified since the job
 * began. A relay that says it holds one that the Manager knows as older is behind, and the agents wait for it
 * (U4). Where a relay holds what the Manager has never seen nobody knows which is newer: they take what it has.
 */
static int choose_aim(struct store *store, const struct job *job, const json_t *newest,
	struct job_group *group, struct yg_err *err)
{
	char set[65];
	group->aim[0] = '\0';
	if (job_newest_since(store, job, newest, set, err) < 0)
		return -1;
	if (set[0] == '\0')
		return 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT detail FROM job_computers WHERE job = $1 AND part = 'relay' AND in_group = $2 AND "
		    "state = 'success'",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group->id)), &rows, err) < 0)
		return -1;
	bool strange = false;
	bool holds = false;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 0));
		const char *have = job_set_of(detail);
		bool older = false;
		if (have[0] == '\0')
			continue;
		if (store_component_was_newest(store, have, &older, err) < 0)
			return -1;
		holds = holds || strcmp(have, set) == 0;
		strange = strange || !older;
	}
	if (more < 0)
		return -1;
	if (holds || !strange)
		memcpy(group->aim, set, sizeof(set));
	return 0;
}

static int begin_part(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *newest, struct yg_err *err)
{
	if (part->not_before > 0 &&
		yg_db_exec(store->db,
			"UPDATE job_computers SET not_before = NULL WHERE job = $1 AND computer = $2 AND part = "
			"'agent'",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(part->computer)), NULL, err) < 0)
		return -1;
	if (job_part_tell(store, job, part, newest, err) < 0)
		return -1;
	return part->joined[0] ? job_part_settle(store, job, part, err)
			       : job_part_send(store, job, part, err);
}

/* Parts of a job that is spread over a time, at their moment. */
static int begin_due(struct store *store, const struct job *job, struct yg_err *err)
{
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || job_parts_due(store, job->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (begin_part(store, job, &parts[i], newest, err) < 0)
			return -1;
	return 0;
}

int job_begin_agents(struct store *store, const struct job *job, const char *group,
	struct yg_err *err)
{
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || job_parts_open(store, job->id, "agent", group, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (parts[i].not_before <= store->clock_s &&
			begin_part(store, job, &parts[i], newest, err) < 0)
			return -1;
	return 0;
}

/* What the part of a group's relays has come to. Who is a relay no more does not count: those that it served take
 * from others now.
 */
struct relays {
	int64_t all, open, open_online, good;
	char cause[YG_ERR_CAUSE_MAX], name[208]; /* of one that failed */
	char *sentence;                          /* owned; the same one's */
	char set[65];                            /* of one that succeeded */
};

static void relays_free_at(struct relays *relays)
{
	free(relays->sentence);
}

static int count_relays(struct store *store, const struct job *job, const char *group,
	struct relays *relays, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	relays_free_at(relays);
	*relays = (struct relays){0};
	if (yg_db_query(store->db,
		    "SELECT r.state, r.final, c.online, r.cause, r.sentence, r.detail, c.name FROM job_computers r "
		    "JOIN computers c ON c.id = r.computer WHERE r.job = $1 AND r.part = 'relay' AND r.in_group = "
		    "$2 AND " JOB_IS_RELAY " ORDER BY c.name, c.id",
		    YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group)), &rows, err) < 0)
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
			(void)snprintf(relays->set, sizeof(relays->set), "%s", job_set_of(detail));
		} else if (!relays->sentence) {
			(void)snprintf(relays->cause, sizeof(relays->cause), "%s",
				yg_rows_text(rows, 3));
			(void)snprintf(relays->name, sizeof(relays->name), "%s",
				yg_rows_text(rows, 6));
			relays->sentence = strdup(yg_rows_text(rows, 4));
			if (!relays->sentence)
				return yg_fail(err, YG_ESYSTEM, "out of memory");
		}
	}
	return more;
}

/* The group has not got the content, and so its agents cannot: they have its cause. relay: whose failure it
 * was, or "".
 */
static int fail_group(struct store *store, const struct job *job, struct job_group *group,
	const char *relay, const char *cause, const char *sentence, struct yg_err *err)
{
	/* A relay that said nothing is no agent that said nothing. */
	if (strcmp(cause, "job.timeout") == 0)
		cause = "update.relay_silent";
	(void)snprintf(group->state, sizeof(group->state), "failed");
	(void)snprintf(group->cause, sizeof(group->cause), "%s", cause);
	char *detail YG_AUTO(mem) = job_more_than_cause(cause, sentence);
	json_t *params = json_pack("{s:s, s:s, s:s}", "group", group->name, "cause", cause,
		"detail", detail ? detail : "");
	if (relay[0] != '\0')
		(void)json_object_set_new(params, "computer", json_string(relay));
	const struct job_result same = {"failed", group->cause, sentence, NULL, true};
	if (job_group_save(store, job, group, sentence, err) < 0 ||
		store_event(store, 1602, NULL, job->id, params, err) < 0)
		return -1;
	return job_parts_end(store, job, "agent", group->id, &same, err);
}

/* Its agents' turn. That its relays have the content is told where there is one that has. */
static int ready_group(struct store *store, const struct job *job, struct job_group *group,
	const struct relays *relays, struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || choose_aim(store, job, newest, group, err) < 0)
		return -1;
	if (relays->good > 0) {
		json_t *params = json_pack("{s:s}", "group", group->name);
		if (relays->set[0] != '\0')
			(void)json_object_set_new(params, "set", json_string(relays->set));
		if (store_event(store, 1601, NULL, job->id, params, err) < 0)
			return -1;
	}
	(void)snprintf(group->state, sizeof(group->state), "ready");
	if (job_group_save(store, job, group, NULL, err) < 0 ||
		yg_db_exec(store->db, "UPDATE jobs SET aim = $2 WHERE id = $1 AND aim = ''",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group->aim)), NULL, err) < 0)
		return -1;
	return job_begin_agents(store, job, group->id, err);
}

/* Its relays' turn, when the group above has the content or cannot get it. */
static int ask_group(struct store *store, const struct job *job, struct job_group *group,
	const struct job_group *above, struct yg_err *err)
{
	if (above && strcmp(above->state, "failed") == 0) {
		const struct job_result same = {"failed", above->cause, above->sentence, NULL,
			true};
		return job_parts_end(store, job, "relay", group->id, &same, err) < 0
			? -1
			: fail_group(store, job, group, "", above->cause, above->sentence, err);
	}
	if (above && strcmp(above->state, "ready") != 0)
		return 0;
	(void)snprintf(group->state, sizeof(group->state), "asked");
	if (job_group_save(store, job, group, NULL, err) < 0)
		return -1;
	if (!group->relays)
		return 0;
	struct job_part *parts YG_AUTO(mem) = NULL;
	size_t count = 0;
	if (store_event(store, 1600, NULL, job->id,
		    json_pack("{s:s, s:s}", "group", group->name, "who", job->by), err) < 0 ||
		job_parts_open(store, job->id, "relay", group->id, &parts, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (!parts[i].joined[0] && job_part_send(store, job, &parts[i], err) < 0)
			return -1;
	return 0;
}

/* From a group's relays to its agents, when it is time. */
static int leave_group(struct store *store, const struct job *job, struct job_group *group,
	struct yg_err *err)
{
	struct relays relays __attribute__((cleanup(relays_free_at))) = {0};
	if (job_relays_answered(store, job, group->id, err) < 0 ||
		job_parts_settle(store, job, "relay", group->id, err) < 0 ||
		count_relays(store, job, group->id, &relays, err) < 0)
		return -1;
	/* Half the time is the agents'. */
	int64_t half = (job->deadline - job->spread - job->created) / 2;
	if (relays.open > 0 && store->clock_s >= job->created + half) {
		const struct job_result late = {"failed", "job.timeout", "", NULL, false};
		if (job_parts_end(store, job, "relay", group->id, &late, err) < 0 ||
			count_relays(store, job, group->id, &relays, err) < 0)
			return -1;
	}
	/* One relay that holds it is enough to go on when the others are not even there. */
	bool ready = relays.open == 0 || (relays.good > 0 && relays.open_online == 0);
	if (!ready || job->check_until > store->clock_s)
		return 0;
	if (relays.all > 0 && relays.good == 0)
		return fail_group(store, job, group, relays.name, relays.cause,
			relays.sentence ? relays.sentence : "", err);
	return ready_group(store, job, group, &relays, err);
}

static const struct job_group *above(const struct job_groups *groups, const struct job_group *group)
{
	for (size_t i = 0; i < groups->count; i++)
		if (strcmp(groups->list[i].id, group->parent) == 0)
			return &groups->list[i];
	return NULL;
}

int job_groups_ask(struct store *store, const struct job *job, struct yg_err *err)
{
	struct job_groups groups YG_AUTO(job_groups) = {0};
	if (job_groups_load(store, job, &groups, err) < 0)
		return -1;
	for (size_t i = 0; i < groups.count; i++)
		if (strcmp(groups.list[i].state, "waiting") == 0 &&
			ask_group(store, job, &groups.list[i], above(&groups, &groups.list[i]),
				err) < 0)
			return -1;
	return 0;
}

/* Every group as far as it goes; when none is left in the relays' part, the job is with the agents. */
static int through_groups(struct store *store, const struct job *job, struct yg_err *err)
{
	struct job_groups groups YG_AUTO(job_groups) = {0};
	size_t left = 0;
	if (job_groups_load(store, job, &groups, err) < 0)
		return -1;
	for (size_t i = 0; i < groups.count; i++) {
		struct job_group *group = &groups.list[i];
		if (strcmp(group->state, "waiting") == 0 &&
			ask_group(store, job, group, above(&groups, group), err) < 0)
			return -1;
		if (strcmp(group->state, "asked") == 0 && leave_group(store, job, group, err) < 0)
			return -1;
		left += strcmp(group->state, "waiting") == 0 || strcmp(group->state, "asked") == 0;
	}
	return left > 0
		? 0
		: yg_db_exec(store->db,
			  "UPDATE jobs SET phase = 'agents' WHERE id = $1 AND phase = 'relays'",
			  YG_DB_ARGS(yg_db_text(job->id)), NULL, err);
}

/* 2204 or 2205, over all agents' parts. */
static int tell_whole(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t all = 0;
	int64_t bad = 0;
	int64_t held = 0;
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
		if (job_was_held(yg_rows_text(rows, 0), yg_rows_text(rows, 2))) {
			held++;
			continue;
		}
		if (strcmp(yg_rows_text(rows, 0), "success") == 0)
			continue;
		if (++bad > FAILED_MAX)
			continue;
		char *detail YG_AUTO(
			mem) = job_more_than_cause(yg_rows_text(rows, 2), yg_rows_text(rows, 3));
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
			json_pack("{s:I, s:o*, s:s}", "computers", (json_int_t)(all - held), "held",
				held > 0 ? json_integer((json_int_t)held) : NULL, "job", job->id),
			err);
	return store_event(store, 2205, NULL, job->id,
		json_pack("{s:I, s:I, s:O, s:s}", "failed", (json_int_t)bad, "computers",
			(json_int_t)all, "failures", failures, "job", job->id),
		err);
}

/* "failed" when anything has; "cancelled" when somebody did and not all had succeeded by then, or when nothing
 * else happened.
 */
static int outcome_of(struct store *store, const struct job *job, const char **out,
	struct yg_err *err)
{
	bool good = false;
	bool bad = false;
	bool cancelled = false;
	int more;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT DISTINCT state FROM job_computers WHERE job = $1",
		    YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		good = good || strcmp(yg_rows_text(rows, 0), "success") == 0;
		bad = bad || strcmp(yg_rows_text(rows, 0), "failed") == 0;
		cancelled = cancelled || strcmp(yg_rows_text(rows, 0), "cancelled") == 0;
	}
	*out = bad                                                  ? "failed"
		: good && !(cancelled && job->cancelled[0] != '\0') ? "success"
								    : "cancelled";
	return more;
}

static int end_if_done(struct store *store, const struct job *job, struct yg_err *err)
{
	int64_t open = 0;
	int64_t changed = 0;
	const char *outcome;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM (SELECT 1 FROM job_computers WHERE job = $1 AND final = 0 "
		    "LIMIT 1) AS open",
		    YG_DB_ARGS(yg_db_text(job->id)), &open, err) < 0)
		return -1;
	if (open > 0)
		return 0;
	if (outcome_of(store, job, &outcome, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE jobs SET state = 'done', phase = 'done', outcome = $2, ended = $3 WHERE id = $1 "
			"AND state = 'running'",
			YG_DB_ARGS(yg_db_text(job->id), yg_db_text(outcome),
				yg_db_int(store->clock_s)),
			&changed, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE job_groups SET state = 'failed', cause = $2 WHERE job = $1 AND state IN ('waiting', "
			"'asked')",
			YG_DB_ARGS(yg_db_text(job->id),
				yg_db_text(job->cancelled[0] ? "job.cancelled" : "job.timeout")),
			NULL, err) < 0)
		return -1;
	return changed > 0 && job->kind == YG_JOB_UPDATE ? tell_whole(store, job, err) : 0;
}

/* By the deadline a part without a result has failed. A Manager that was away listens for a while first:
 * results may wait at the agents (T4).
 */
static bool is_late(const struct store *store, const struct job *job)
{
	return store->clock_s >= job->deadline && store->clock_s >= store->started_s + LISTEN_S;
}

int job_advance(struct store *store, const char *id, struct yg_err *err)
{
	int64_t running = 0;
	struct job job YG_AUTO(job) = {0};
	if (yg_db_number(store->db, "SELECT count(*) FROM jobs WHERE id = $1 AND state = 'running'",
		    YG_DB_ARGS(yg_db_text(id)), &running, err) < 0)
		return -1;
	if (running == 0)
		return 0;
	if (job_load(store, id, &job, err) < 0)
		return -1;
	if (is_late(store, &job)) {
		const struct job_result late = {"failed", "job.timeout", "", NULL, false};
		const struct job_result unheard = {"cancelled", "job.cancelled", "", NULL, false};
		if (job_parts_end(store, &job, NULL, NULL, job.cancelled[0] ? &unheard : &late,
			    err) < 0)
			return -1;
	} else if (!job.cancelled[0]) {
		if (strcmp(job.phase, "relays") == 0 && through_groups(store, &job, err) < 0)
			return -1;
		if (job.spread > 0 && begin_due(store, &job, err) < 0)
			return -1;
	}
	return end_if_done(store, &job, err);
}

int job_advance_after(struct store *store, const char *id, bool relay, struct yg_err *err)
{
	struct job job YG_AUTO(job) = {0};
	if (relay)
		return job_advance(store, id, err);
	return job_load(store, id, &job, err) < 0 ? -1 : end_if_done(store, &job, err);
}

int job_advance_all(struct store *store, struct yg_err *err)
{
	json_t *ids YG_AUTO(yg_json) = NULL;
	if (store_texts(store, "SELECT id FROM jobs WHERE state = 'running' ORDER BY number",
		    YG_DB_NO_ARGS, &ids, err) < 0)
		return -1;
	store->running = json_array_size(ids) > 0;
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
	{
		if (job_advance(store, json_string_value(id), err) < 0)
			return -1;
	}
	return 0;
}
