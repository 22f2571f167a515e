/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

/* Jobs: one thing asked of many computers. Each computer's part has exactly one final result, however
 * often it is reported, and every job ends: what has not answered by the deadline has failed.
 *
 *     update, each relay group:  waiting ──the group above is ready──> asked ──its relays have answered, and
 *                                the content role has looked──> ready: its agents' parts begin
 *     others:                    all agents' parts begin at once
 *
 * An agent's part waits for its own group only. A group whose relays all failed fails with their cause, and
 * so do its agents and the groups below it. The job's phase is "relays" until every group is ready or
 * has failed, then "agents", then "done".
 *
 * A computer that takes part in a running update joins it (T5): its part of the new job waits for the
 * one that runs and gets its result, or, when that fell short of what the new job aims at, a run of its
 * own. Relays know their part by another job id (relay_ref), because a relay is
 * a computer with an agent's part too, and has one result for each.
 *
 *     jobs_make    a job and its parts are made
 *     jobs_group   the tree of relay groups, as it was when the job was made
 *     jobs_step    a job goes from group to group
 *     jobs_end     a part ends, and what that means for others
 *     jobs_report  what agents say
 *     jobs_part    one part: found, sent for, told of
 *     jobs_cancel  somebody does not want it any more
 *     jobs_clock   what happens by itself
 *     jobs_show    what people see
 *
 * This header is for those files only.
 */
#include "manager/store/store.h"
#include "proto/job.h"

#define JOB_CHECK_S 60 /* longest wait for the Manager's own look at the content */

struct job {
	char id[40], relay_ref[40], phase[16], by[208], aim[65];
	char cancelled[208]; /* who did, or "" */
	enum yg_job_kind kind;
	bool scheduled, relays;
	int64_t created, deadline, check_until;
	int64_t spread; /* seconds over which its agents are sent for */
	json_t *paths;  /* owned */
};

void job_free_at(struct job *job); /* for YG_AUTO(job) */

/* One computer's part, as far as the steps need it. */
struct job_part {
	char computer[40], name[208];
	char ref[40];    /* the id that the computer knows its part by */
	char joined[40]; /* the job whose run this part waits for; "": it has its own */
	char state[16];
	bool relay, final;
	int64_t not_before; /* 0: at once */
	/* Of its relay group in this job; for other jobs than updates "". */
	char group[40], group_state[16], aim[65];
	bool with_relays; /* the job brings its group's relays up to date, too */
};

struct job_group {
	char id[40], name[208], parent[40], state[16], aim[65], cause[64];
	char *sentence; /* owned */
	bool relays;    /* some take part */
};

struct job_groups {
	struct job_group *list; /* owned; those above first */
	size_t count;
};

void job_groups_free_at(struct job_groups *groups); /* for YG_AUTO(job_groups) */

struct job_result {
	const char *outcome; /* "success", "failed", "cancelled" */
	const char *cause, *sentence;
	json_t *detail; /* borrowed; may be NULL */
	bool elsewhere; /* the failure is another computer's (a relay's): no alert for this one */
};

/* --- jobs_part.c --- */

static inline const char *job_part_word(const struct job_part *part)
{
	return part->relay ? "relay" : "agent";
}

/* errors  YG_EABSENT */
int job_load(struct store *store, const char *id, struct job *job, struct yg_err *err)
	YG_MUST_CHECK;

/* Parts of a job that are open, collected first: the table changes while they are worked on. *out is
 * the caller's to free.
 * in      part   "relay", "agent", NULL: both
 *         group  of these, or NULL: any
 */
int job_parts_open(struct store *store, const char *job, const char *part, const char *group,
	struct job_part **out, size_t *count, struct yg_err *err) YG_MUST_CHECK;
/* With it: those of one group, and its relays. A test looks at their plans. */
extern const char job_parts_group_sql[];
extern const char job_parts_relays_sql[];
/* Those that have waited for their moment, and may begin. */
int job_parts_due(struct store *store, const char *job, struct job_part **out, size_t *count,
	struct yg_err *err) YG_MUST_CHECK;

/* Which part of which job an agent means. errors  YG_EABSENT it has none such */
int job_part_find(struct store *store, const char *computer, const char *ref, struct job *job,
	struct job_part *part, struct yg_err *err) YG_MUST_CHECK;

/* errors  YG_EABSENT */
int job_part_load(struct store *store, const char *job, const char *computer, bool relay,
	struct job_part *part, struct yg_err *err) YG_MUST_CHECK;

/* The command that makes the computer do its part. */
int job_part_send(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err) YG_MUST_CHECK;

/* 273 */
int job_part_requested(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err) YG_MUST_CHECK;

/* The events that come with a command. newest: store_component_newest. */
int job_part_tell(struct store *store, const struct job *job, const struct job_part *part,
	const json_t *newest, struct yg_err *err) YG_MUST_CHECK;

/* The running update that this computer's part would meet, or "". */
int job_part_meets(struct store *store, const char *computer, const char *part, char out[40],
	struct yg_err *err) YG_MUST_CHECK;

/* --- jobs_end.c --- */

/* What the sentence says beyond the cause's own text, which readers get in their language. The
 * caller's to free; NULL when memory was out.
 */
char *job_more_than_cause(const char *cause, const char *sentence);

/* The set that a result's detail names, or "". */
const char *job_set_of(const json_t *detail);

/* A schedule that met a hold did what the operator wanted: neither 784 nor 785 would be true. */
bool job_was_held(const char *state, const char *cause);

/* The newest set that the Manager has verified since the job began; "" when it has not. */
int job_newest_since(struct store *store, const struct job *job, const json_t *newest, char out[65],
	struct yg_err *err) YG_MUST_CHECK;

/* The one place where a part ends. A part that has ended stays as it is. */
int job_part_end(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err) YG_MUST_CHECK;
/* With it: what is left to fetch of a run. A test looks at its plan. */
extern const char job_commands_end_sql[];

/* The same for all open parts; part and group as in job_parts_open. */
int job_parts_end(struct store *store, const struct job *job, const char *part, const char *group,
	const struct job_result *result, struct yg_err *err) YG_MUST_CHECK;

/* A relay has answered that it is up to date. That ends its part, unless the Manager knows of something newer by
 * now: then it is asked once more. While the Manager still looks, the answer is kept.
 */
int job_relay_answer(struct store *store, const struct job *job, const struct job_part *part,
	const struct job_result *result, struct yg_err *err) YG_MUST_CHECK;
/* Look again at answers that were kept. */
int job_relays_answered(struct store *store, const struct job *job, const char *group,
	struct yg_err *err) YG_MUST_CHECK;

/* A part that joined a run, when that run has ended and this job knows what it aims at. Otherwise
 * nothing happens yet: it is asked again when the other thing has come.
 */
int job_part_settle(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err) YG_MUST_CHECK;
int job_parts_settle(struct store *store, const struct job *job, const char *part,
	const char *group, struct yg_err *err) YG_MUST_CHECK;

/* --- jobs_group.c --- */

/* Of computers, as c: takes part as a relay; its group ("computers c" must be in the query). */
#define JOB_IS_RELAY                                                                               \
	"c.relay = 1 AND coalesce(c.relay_on, 1) <> 0 AND c.deleted = 0 AND c.activated IS NOT NULL"
#define JOB_GROUP_OF                                                                               \
	"coalesce(c.relay_group, (SELECT g.id FROM relay_groups g WHERE g.is_default = 1))"

/* Which group's relays serve whom, as it is now: {id: {"name", "parent", "relays": N}}. */
int job_tree(struct store *store, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* The group that serves the members of one: itself, or the nearest above it that has relays; itself when
 * there is none. Points into tree, or is `group`.
 */
const char *job_tree_serving(const json_t *tree, const char *group);

/* Rows for the groups that a job needs: those of `wanted` ({id: true}, each already a serving one) and, when
 * the job includes the relays, those above them.
 */
int job_groups_make(struct store *store, const struct job *job, const json_t *tree, json_t *wanted,
	struct yg_err *err) YG_MUST_CHECK;
int job_groups_load(struct store *store, const struct job *job, struct job_groups *out,
	struct yg_err *err) YG_MUST_CHECK;
/* Its row gets what is in `group` but the sentence, which is given when it has failed (else NULL). */
int job_group_save(struct store *store, const struct job *job, struct job_group *group,
	const char *sentence, struct yg_err *err) YG_MUST_CHECK;

/* --- jobs_step.c --- */

/* Agents' parts begin, those whose moment has come: of a group that is ready, or (NULL) all. */
int job_begin_agents(struct store *store, const struct job *job, const char *group,
	struct yg_err *err) YG_MUST_CHECK;

/* The groups whose turn it is are told: at the top, when the job is made. */
int job_groups_ask(struct store *store, const struct job *job, struct yg_err *err) YG_MUST_CHECK;

/* Take a running job as far as it goes now. Safe to call at any time, any number of times. */
int job_advance(struct store *store, const char *id, struct yg_err *err) YG_MUST_CHECK;
/* The same after the end of a part: what an agent did moves no group, and there are many. */
int job_advance_after(struct store *store, const char *id, bool relay, struct yg_err *err)
	YG_MUST_CHECK;
int job_advance_all(struct store *store, struct yg_err *err) YG_MUST_CHECK;
