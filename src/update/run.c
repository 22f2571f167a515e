/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/run.h"

#include <assert.h>
#include <string.h>

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

	{YG_RUN_SNAPSHOT, YG_RUN_OK, YG_RUN_CHOOSING},
	{YG_RUN_SNAPSHOT, YG_RUN_FAILED, YG_RUN_CLOSING},

	{YG_RUN_PLAN, YG_RUN_OK, YG_RUN_FETCH},
	{YG_RUN_PLAN, YG_RUN_SAME, YG_RUN_CLOSING},
	{YG_RUN_PLAN, YG_RUN_HELD, YG_RUN_CLOSING},
	{YG_RUN_PLAN, YG_RUN_NOT_YET, YG_RUN_WAITING},
	{YG_RUN_PLAN, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_PLAN, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_PLAN, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_WAITING, YG_RUN_DUE, YG_RUN_PLAN},
	{YG_RUN_WAITING, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_WAITING, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_CHOOSING, YG_RUN_DUE, YG_RUN_PLAN},
	{YG_RUN_CHOOSING, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_CHOOSING, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_FETCH, YG_RUN_OK, YG_RUN_VERIFY},
	{YG_RUN_FETCH, YG_RUN_COMPLETE, YG_RUN_STAGE},
	{YG_RUN_FETCH, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_FETCH, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_FETCH, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_VERIFY, YG_RUN_OK, YG_RUN_FETCH},
	{YG_RUN_VERIFY, YG_RUN_SOURCE_FAILED, YG_RUN_CHOOSING},
	{YG_RUN_VERIFY, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_VERIFY, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_STAGE, YG_RUN_OK, YG_RUN_TRY},
	{YG_RUN_STAGE, YG_RUN_LACKING, YG_RUN_PLAN},
	{YG_RUN_STAGE, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_STAGE, YG_RUN_CANCEL, YG_RUN_CLOSING},

	{YG_RUN_TRY, YG_RUN_OK, YG_RUN_SWITCH},
	{YG_RUN_TRY, YG_RUN_FAILED, YG_RUN_CLOSING},
	{YG_RUN_TRY, YG_RUN_CANCEL, YG_RUN_CLOSING},

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

/* ---- who is asked next ---- */

int yg_run_rank(enum yg_run_state state, const char *cause)
{
	static const struct {
		const char *cause; /* or how it begins; the first that fits counts */
		int rank;
	} ranks[] = {{"net.dns", 1}, {"proxy.dns", 1}, {"net.url", 0}, {"net.reset", 5},
		{"net.short_body", 5}, {"net.", 2}, {"proxy.refused", 2}, {"proxy.timeout", 2},
		{"proxy.unreachable", 2}, {"proxy.", 3}, {"tls.", 4}, {"http.", 5}, {"tuf.", 6},
		{"update.relay_behind", 6}, {"content.", 7}};
	if (state == YG_RUN_FETCH || state == YG_RUN_VERIFY)
		return 7;
	for (size_t i = 0; i < YG_COUNT(ranks); i++)
		if (strncmp(cause, ranks[i].cause, strlen(ranks[i].cause)) == 0)
			return ranks[i].rank;
	return 0;
}

/* What a source failed of. */
static void consider(struct yg_run *run, const struct yg_err *why)
{
	int rank = yg_run_rank(run->state, why->cause);
	if (run->err.code && rank < run->rank)
		return;
	run->err = *why;
	run->rank = rank;
}

static void not_before(struct yg_run *run, const struct yg_err *why)
{
	if (why && why->retry_s > 0 && run->source < YG_RUN_SOURCES_MAX)
		run->later_ms[run->source] = run->ops->now_ms(run->ctx) +
			(int64_t)why->retry_s * 1000;
}

static int64_t later(const struct yg_run *run, size_t source, int64_t now)
{
	int64_t at = source < YG_RUN_SOURCES_MAX ? run->later_ms[source] : 0;
	return at > now ? at - now : 0;
}

/* The relays or the sources, from the one whose turn it is: the first that may be asked, or the one that may be
 * first. returns how long that takes, ms
 */
static int64_t turn(struct yg_run *run, bool relays, uint32_t first)
{
	size_t count = relays ? run->limits.relays : run->limits.sources;
	size_t base = relays ? 0 : run->limits.relays;
	int64_t now = run->ops->now_ms(run->ctx);
	int64_t best = INT64_MAX;
	for (size_t i = 0; i < count && best > 0; i++) {
		size_t source = base + (first + i) % count;
		int64_t wait = later(run, source, now);
		if (wait >= best)
			continue;
		best = wait;
		run->source = source;
	}
	return best;
}

static int64_t backoff(struct yg_run *run, uint32_t rounds)
{
	int64_t pause = run->limits.backoff_ms;
	for (uint32_t i = 0; i < rounds && pause < BACKOFF_MAX; i++)
		pause *= 2;
	pause = pause < BACKOFF_MAX ? pause : BACKOFF_MAX;
	return run->ops->jitter ? run->ops->jitter(run->ctx, pause) : pause;
}

/* Past the relays. False when no source may be asked in time. */
static bool leave_relays(struct yg_run *run)
{
	size_t here = run->source;
	if (!yg_run_at_relay(run) || run->limits.sources == 0)
		return false;
	run->tried = 0;
	int64_t wait = turn(run, false, 0);
	if (wait > run->limits.patience_ms) {
		run->source = here;
		return false;
	}
	run->ops->pause(run->ctx, wait);
	return true;
}

/* The first one; who is known not to be there yet is passed over. */
static void begin(struct yg_run *run)
{
	const struct yg_run_limits *limits = &run->limits;
	struct yg_err why = {0};
	run->begun = true;
	if (limits->relays + limits->sources == 0) {
		(void)yg_fail_cause(&why, YG_EABSENT, "update.no_source",
			"no relay and no update source is set for this computer");
		fail_here(run, &why);
		return;
	}
	int64_t wait = turn(run, limits->relays > 0, 0);
	if (wait <= limits->patience_ms) {
		run->ops->pause(run->ctx, wait);
		return;
	}
	const char *cause = run->source < YG_RUN_SOURCES_MAX ? run->later_cause[run->source] : "";
	(void)yg_fail_cause(&why, YG_EAGAIN, *cause ? cause : "http.maintenance",
		"asked lately, and told not to ask again for %lld s more",
		(long long)(wait / 1000));
	if (!leave_relays(run))
		fail_here(run, &why);
}

static void choose(struct yg_run *run)
{
	if (!run->begun) {
		begin(run);
		return;
	}
	const struct yg_run_limits *limits = &run->limits;
	struct yg_err why = run->err;
	bool relay = yg_run_at_relay(run);
	size_t count = relay ? limits->relays : limits->sources;
	run->tried++;
	if (run->tried < limits->tries) {
		int64_t wait = turn(run, relay, run->tried);
		/* One that was not asked yet is asked at once. */
		int64_t pause = run->tried < count ? 0 : backoff(run, run->tried - (uint32_t)count);
		if (wait <= limits->patience_ms) {
			run->ops->pause(run->ctx, wait > pause ? wait : pause);
			return;
		}
	}
	if (!leave_relays(run))
		fail_here(run, &why);
}

/* Nobody has to have what another relay has already; nor does one say for how long it is waited for. */
static void await(struct yg_run *run)
{
	struct yg_err why = {0};
	int64_t now = run->ops->now_ms(run->ctx);
	if (run->deadline_ms == 0)
		run->deadline_ms = now + run->limits.wait_ms;
	run->tried = 0; /* it answers */
	const char *who = run->limits.relays == 1 ? "the relay has not got" : "no relay has got";
	if (now < run->deadline_ms) {
		bool round = ++run->behind >= run->limits.relays;
		int64_t pause = round ? run->limits.poll_ms : 0;
		int64_t wait = turn(run, true, (uint32_t)run->source + 1);
		if (round)
			run->behind = 0;
		if (wait <= run->limits.patience_ms && wait < run->deadline_ms - now) {
			run->ops->pause(run->ctx, wait > pause ? wait : pause);
			return;
		}
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.relay_behind",
			"%s the content that this update aims at, and it may be asked again in %lld s",
			who, (long long)(wait / 1000));
	} else {
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.relay_behind",
			"%s the content that this update aims at within %lld s", who,
			(long long)(run->limits.wait_ms / 1000));
	}
	consider(run, &why);
	why = run->err;
	if (!leave_relays(run))
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
		run->ops->plan(run->ctx);
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
		consider(run, why);
		not_before(run, why);
		return;
	case YG_RUN_FAILED:
		run->outcome = YG_JOB_FAILED;
		run->err = *why;
		return;
	case YG_RUN_CANCEL:
		run->outcome = YG_JOB_CANCELLED;
		run->err = *why;
		return;
	case YG_RUN_NOT_YET:
		not_before(run, why);
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
		[YG_RUN_CANCEL] = "cancel",
	};
	return names[event];
}
