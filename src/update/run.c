/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/run.h"

#include <assert.h>

#include "core/attr.h"

#define BACKOFF_MAX   60000 /* ms */
#define REPLANNED_MAX 3     /* objects that vanish again and again are somebody else's doing */

/* The whole machine. What is not here cannot happen. Drawn in docs/recovery.md. */
static const struct {
	enum yg_run_state from;
	enum yg_run_event event;
	enum yg_run_state to;
} rules[] = {
	{YG_RUN_IDLE, YG_RUN_START, YG_RUN_LICENCE},
	{YG_RUN_IDLE, YG_RUN_FAILED, YG_RUN_DONE},

	{YG_RUN_LICENCE, YG_RUN_OK, YG_RUN_SNAPSHOT},
	{YG_RUN_LICENCE, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_SNAPSHOT, YG_RUN_OK, YG_RUN_PLAN},
	{YG_RUN_SNAPSHOT, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_PLAN, YG_RUN_OK, YG_RUN_FETCH},
	{YG_RUN_PLAN, YG_RUN_SAME, YG_RUN_CLOSING},
	{YG_RUN_PLAN, YG_RUN_HELD, YG_RUN_CLOSING},
	{YG_RUN_PLAN, YG_RUN_NOT_YET, YG_RUN_WAITING},
	{YG_RUN_PLAN, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_PLAN, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_WAITING, YG_RUN_DUE, YG_RUN_PLAN},
	{YG_RUN_WAITING, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_CHOOSING, YG_RUN_DUE, YG_RUN_PLAN},
	{YG_RUN_CHOOSING, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_FETCH, YG_RUN_OK, YG_RUN_VERIFY},
	{YG_RUN_FETCH, YG_RUN_COMPLETE, YG_RUN_STAGE},
	{YG_RUN_FETCH, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_FETCH, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_VERIFY, YG_RUN_OK, YG_RUN_FETCH},
	{YG_RUN_VERIFY, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_VERIFY, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_STAGE, YG_RUN_OK, YG_RUN_TRY},
	{YG_RUN_STAGE, YG_RUN_LACKING, YG_RUN_PLAN},
	{YG_RUN_STAGE, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_TRY, YG_RUN_OK, YG_RUN_SWITCH},
	{YG_RUN_TRY, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_SWITCH, YG_RUN_OK, YG_RUN_CLOSING},
	{YG_RUN_SWITCH, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_CLOSING, YG_RUN_OK, YG_RUN_DONE},
	{YG_RUN_CLOSING, YG_RUN_FAILED, YG_RUN_DONE},
};

/* The words of progress messages: what a person wants to know, not each state. */
static const char *const phases[] = {
	[YG_RUN_IDLE] = "waiting",
	[YG_RUN_LICENCE] = "metadata",
	[YG_RUN_SNAPSHOT] = "snapshot",
	[YG_RUN_PLAN] = "metadata",
	[YG_RUN_WAITING] = "waiting",
	[YG_RUN_CHOOSING] = "metadata",
	[YG_RUN_FETCH] = "fetch",
	[YG_RUN_VERIFY] = "fetch",
	[YG_RUN_STAGE] = "stage",
	[YG_RUN_TRY] = "trial",
	[YG_RUN_SWITCH] = "switch",
	[YG_RUN_CLOSING] = "done",
	[YG_RUN_DONE] = "done",
};

bool yg_run_rule(enum yg_run_state from, enum yg_run_event event, enum yg_run_state *to)
{
	for (size_t i = 0; i < YG_COUNT(rules); i++) {
		if (rules[i].from == from && rules[i].event == event) {
			*to = rules[i].to;
			return true;
		}
	}
	return false;
}

void yg_run_init(struct yg_run *run, const struct yg_run_limits *limits,
	const struct yg_run_ops *ops, void *ctx)
{
	*run = (struct yg_run){.limits = *limits, .ops = ops, .ctx = ctx};
	if (run->limits.tries == 0)
		run->limits.tries = 1;
}

bool yg_run_at_relay(const struct yg_run *run)
{
	return run->source < run->limits.relays;
}

static void fail_here(struct yg_run *run, const struct yg_err *why)
{
	bool taken = yg_run_step(run, YG_RUN_FAILED, why);
	assert(taken);
}

/* The next try: over the relays in turn, `tries` in all; then over the sources in the same way. What the
 * last one failed of is the run's failure when there is no next.
 */
static void choose(struct yg_run *run)
{
	const struct yg_run_limits *limits = &run->limits;
	struct yg_err why = run->err;
	run->tried++;
	if (yg_run_at_relay(run) && run->tried >= limits->tries && limits->sources > 0) {
		run->source = limits->relays;
		run->tried = 0;
		run->ops->pause(run->ctx, 0);
		return;
	}
	if (run->tried >= limits->tries) {
		fail_here(run, &why);
		return;
	}
	bool relay = yg_run_at_relay(run);
	size_t count = relay ? limits->relays : limits->sources;
	run->source = (relay ? 0 : limits->relays) + run->tried % count;
	int64_t pause = 0; /* one that was not asked yet is asked at once */
	if (run->tried >= count) {
		pause = limits->backoff_ms;
		for (uint32_t i = (uint32_t)count; i < run->tried && pause < BACKOFF_MAX; i++)
			pause *= 2;
	}
	run->ops->pause(run->ctx, pause < BACKOFF_MAX ? pause : BACKOFF_MAX);
}

static void await(struct yg_run *run)
{
	int64_t now = run->ops->now_ms(run->ctx);
	if (run->deadline_ms == 0)
		run->deadline_ms = now + run->limits.wait_ms;
	run->tried = 0; /* it answers */
	if (now < run->deadline_ms) {
		run->ops->pause(run->ctx, run->limits.poll_ms);
		return;
	}
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "update.relay_behind",
		"the relay has not got the content that this update aims at within %lld s",
		(long long)(run->limits.wait_ms / 1000));
	fail_here(run, &why);
}

static void plan(struct yg_run *run)
{
	if (run->limits.relays + run->limits.sources > 0) {
		run->ops->plan(run->ctx);
		return;
	}
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EABSENT, "update.no_source",
		"no relay and no update source is set for this computer");
	fail_here(run, &why);
}

static void enter(struct yg_run *run)
{
	if (run->ops->phase && phases[run->state] != run->phase)
		run->ops->phase(run->ctx, phases[run->state]);
	run->phase = phases[run->state];
	switch (run->state) {
	case YG_RUN_IDLE:
		return;
	case YG_RUN_LICENCE:
		run->ops->licence(run->ctx);
		return;
	case YG_RUN_SNAPSHOT:
		run->ops->snapshot(run->ctx);
		return;
	case YG_RUN_PLAN:
		plan(run);
		return;
	case YG_RUN_WAITING:
		await(run);
		return;
	case YG_RUN_CHOOSING:
		choose(run);
		return;
	case YG_RUN_FETCH:
		run->ops->fetch(run->ctx);
		return;
	case YG_RUN_VERIFY:
		run->ops->verify(run->ctx);
		return;
	case YG_RUN_STAGE:
		run->ops->stage(run->ctx);
		return;
	case YG_RUN_TRY:
		run->ops->trial(run->ctx);
		return;
	case YG_RUN_SWITCH:
		run->ops->swap(run->ctx);
		return;
	case YG_RUN_CLOSING:
		run->ops->close(run->ctx);
		return;
	case YG_RUN_DONE:
		run->ops->done(run->ctx); /* may free the run: nothing after it */
		return;
	}
}

/* What an event means for the result, when it is taken. */
static void note(struct yg_run *run, enum yg_run_event event, const struct yg_err *why)
{
	static const struct yg_err none;
	if (run->state == YG_RUN_CLOSING && event == YG_RUN_FAILED)
		return; /* a failure to tidy up is not the run's: the next start does it */
	switch (event) {
	case YG_RUN_SOURCE_FAILED:
		run->err = *why;
		return;
	case YG_RUN_FAILED:
		run->outcome = YG_JOB_FAILED;
		run->err = *why;
		return;
	case YG_RUN_HELD:
		run->outcome = YG_JOB_CANCELLED;
		run->err = none;
		(void)yg_fail_cause(&run->err, YG_EAGAIN, "update.held",
			"the newest content was rolled back here and is held: a scheduled update does "
			"not take it");
		return;
	case YG_RUN_SAME:
		run->err = none;
		return;
	case YG_RUN_OK:
		if (run->state == YG_RUN_SWITCH) {
			run->changed = true;
			run->err = none;
		}
		return;
	case YG_RUN_START:
	case YG_RUN_NOT_YET:
	case YG_RUN_COMPLETE:
	case YG_RUN_LACKING:
	case YG_RUN_DUE:
		return;
	}
}

static bool take(struct yg_run *run, enum yg_run_event event, const struct yg_err *why)
{
	enum yg_run_state to = YG_RUN_IDLE;
	if (!yg_run_rule(run->state, event, &to))
		return false;
	struct yg_err vanished = {0};
	if (event == YG_RUN_LACKING && ++run->replanned > REPLANNED_MAX) {
		(void)yg_fail_cause(&vanished, YG_ESYSTEM, "store.io",
			"objects of the new set vanish from the store while it is built");
		return take(run, YG_RUN_FAILED, &vanished);
	}
	note(run, event, why);
	run->state = to;
	return true;
}

bool yg_run_step(struct yg_run *run, enum yg_run_event event, const struct yg_err *why)
{
	if (!take(run, event, why))
		return false;
	if (run->inside) { /* the op answers from inside: the loop below goes on when it has returned */
		run->has_next = true;
		return true;
	}
	do {
		bool last = run->state == YG_RUN_DONE;
		run->has_next = false;
		run->inside = !last;
		enter(run);
		if (last)
			return true;
		run->inside = false;
	} while (run->has_next);
	return true;
}

const char *yg_run_state_name(enum yg_run_state state)
{
	static const char *const names[] = {
		[YG_RUN_IDLE] = "idle",
		[YG_RUN_LICENCE] = "licence",
		[YG_RUN_SNAPSHOT] = "snapshot",
		[YG_RUN_PLAN] = "plan",
		[YG_RUN_WAITING] = "waiting",
		[YG_RUN_CHOOSING] = "choosing",
		[YG_RUN_FETCH] = "fetch",
		[YG_RUN_VERIFY] = "verify",
		[YG_RUN_STAGE] = "stage",
		[YG_RUN_TRY] = "try",
		[YG_RUN_SWITCH] = "switch",
		[YG_RUN_CLOSING] = "closing",
		[YG_RUN_DONE] = "done",
	};
	return names[state];
}

const char *yg_run_event_name(enum yg_run_event event)
{
	static const char *const names[] = {
		[YG_RUN_START] = "start",
		[YG_RUN_OK] = "ok",
		[YG_RUN_SAME] = "same",
		[YG_RUN_NOT_YET] = "not yet",
		[YG_RUN_HELD] = "held",
		[YG_RUN_COMPLETE] = "complete",
		[YG_RUN_LACKING] = "lacking",
		[YG_RUN_DUE] = "due",
		[YG_RUN_SOURCE_FAILED] = "source failed",
		[YG_RUN_FAILED] = "failed",
	};
	return names[event];
}
