/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

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
 *
 *     jobs_make    a job and its parts are made, and the relays asked
 *     jobs_step    a job goes from phase to phase
 *     jobs_end     a part ends, and what that means for others
 *     jobs_report  what agents say
 *     jobs_part    one part: found, sent for, told of
 *     jobs_clock   what happens by itself
 *     jobs_show    what people see
 *
 * This header is for those files only.
 */
#include "manager/store/store.h"
#include "proto/job.h"

#define JOB_GROUP "default" /* the one relay group that there is */

struct job {
	char id[40], relay_ref[40], phase[16], by[208], aim[65];
	enum yg_job_kind kind;
	bool scheduled, relays;
	int64_t created, deadline, check_until;
	json_t *paths; /* owned */
};

void job_free_at(struct job *job); /* for YG_AUTO(job) */

/* One computer's part, as far as the steps need it. */
struct job_part {
	char computer[40], name[208];
	char joined[40]; /* the job whose run this part waits for; "": it has its own */
	bool relay;
};

struct job_result {
	const char *outcome; /* "success", "failed", "cancelled" */
	const char *cause, *sentence;
	json_t *detail; /* borrowed; may be NULL */
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
 */
int job_parts_open(struct store *store, const char *job, struct job_part **out, size_t *count,
	struct yg_err *err) YG_MUST_CHECK;

/* Which part of which job an agent means. errors  YG_EABSENT it has none such */
int job_part_find(struct store *store, const char *computer, const char *ref, struct job *job,
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

/* The same for all open parts, or those of relays. */
int job_parts_fail(struct store *store, const struct job *job, bool relays_only,
	const struct job_result *result, struct yg_err *err) YG_MUST_CHECK;

/* A part that joined a run, when that run has ended and this job knows what it aims at. Otherwise
 * nothing happens yet: it is asked again when the other thing has come.
 */
int job_part_settle(struct store *store, const struct job *job, const struct job_part *part,
	struct yg_err *err) YG_MUST_CHECK;
int job_parts_settle(struct store *store, const struct job *job, bool relays, struct yg_err *err)
	YG_MUST_CHECK;

/* --- jobs_step.c --- */

int job_begin_agents(struct store *store, struct job *job, struct yg_err *err) YG_MUST_CHECK;

/* Take a running job as far as it goes now. Safe to call at any time, any number of times. */
int job_advance(struct store *store, const char *id, struct yg_err *err) YG_MUST_CHECK;
int job_advance_all(struct store *store, struct yg_err *err) YG_MUST_CHECK;
