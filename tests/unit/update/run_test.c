/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/run.h"

#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* A world whose ops answer as a script says, at once or when the test says so; it writes down what was
 * asked of it.
 */
struct world {
	struct yg_run run;
	char story[1024];
	const char *script; /* one letter for each answer; see answer() */
	uint32_t retry_s;   /* of failures that say so */
	int64_t now_ms;
	int64_t paused_ms; /* last pause asked for */
	bool done, later;
	char phases[256];
};

static void tell(struct world *w, const char *what)
{
	size_t len = strlen(w->story);
	assert_true(
		yg_str_put(w->story + len, sizeof(w->story) - len, "%s%s", len ? " " : "", what));
}

static void answer(struct world *w)
{
	struct yg_err err = {0};
	char c = *w->script;
	assert_int_not_equal(c, 0);
	w->script++;
	bool taken = true;
	switch (c) {
	case '.':
		taken = yg_run_step(&w->run, YG_RUN_OK, NULL);
		break;
	case 's':
		taken = yg_run_step(&w->run, YG_RUN_SAME, NULL);
		break;
	case 'n':
		taken = yg_run_step(&w->run, YG_RUN_NOT_YET, NULL);
		break;
	case 'b': /* behind, and says when it may be asked again */
		(void)yg_fail_cause(&err, YG_EAGAIN, "http.busy", "source %zu is being filled",
			w->run.source);
		err.retry_s = w->retry_s;
		taken = yg_run_step(&w->run, YG_RUN_NOT_YET, &err);
		break;
	case 'h':
		taken = yg_run_step(&w->run, YG_RUN_HELD, NULL);
		break;
	case 'c':
		taken = yg_run_step(&w->run, YG_RUN_COMPLETE, NULL);
		break;
	case 'l':
		taken = yg_run_step(&w->run, YG_RUN_LACKING, NULL);
		break;
	case 'x':
		(void)yg_fail_cause(&err, YG_EAGAIN, "net.refused", "source %zu refused",
			w->run.source);
		taken = yg_run_step(&w->run, YG_RUN_SOURCE_FAILED, &err);
		break;
	case 'm': /* an answer that says when it may be asked again */
		(void)yg_fail_cause(&err, YG_EAGAIN, "http.maintenance", "source %zu pauses",
			w->run.source);
		err.retry_s = w->retry_s;
		taken = yg_run_step(&w->run, YG_RUN_SOURCE_FAILED, &err);
		break;
	case 't':
		(void)yg_fail_cause(&err, YG_EUNTRUSTED, "tls.untrusted", "source %zu is unknown",
			w->run.source);
		taken = yg_run_step(&w->run, YG_RUN_SOURCE_FAILED, &err);
		break;
	case 'C':
		(void)yg_fail_cause(&err, YG_EAGAIN, "job.cancelled", "by command");
		taken = yg_run_step(&w->run, YG_RUN_CANCEL, &err);
		break;
	case 'F':
		(void)yg_fail_cause(&err, YG_ESYSTEM, "store.io", "a bad disk");
		taken = yg_run_step(&w->run, YG_RUN_FAILED, &err);
		break;
	default:
		fail_msg("script: '%c'", c);
	}
	if (!taken)
		fail_msg("'%c' is not taken after: %s", c, w->story);
}

static void act(struct world *w, const char *what)
{
	tell(w, what);
	answer(w);
}

#define OP(name)                                                                                   \
	static void name(void *ctx)                                                                \
	{                                                                                          \
		act(ctx, #name);                                                                   \
	}
OP(licence)
OP(snapshot)
OP(fetch)
OP(verify)
OP(stage)
OP(trial)
OP(swap)
OP(close)

static void plan(void *ctx)
{
	struct world *w = ctx;
	char text[32];
	assert_true(yg_str_put(text, sizeof(text), "plan%zu", w->run.source));
	act(w, text);
}

static void pause(void *ctx, int64_t ms)
{
	struct world *w = ctx;
	char text[32];
	w->paused_ms = ms;
	w->later = true;
	assert_true(yg_str_put(text, sizeof(text), "+%lld", (long long)ms));
	tell(w, text);
}

static void done(void *ctx)
{
	struct world *w = ctx;
	assert_false(w->done);
	w->done = true;
}

static void phase(void *ctx, const char *name)
{
	struct world *w = ctx;
	size_t len = strlen(w->phases);
	assert_true(
		yg_str_put(w->phases + len, sizeof(w->phases) - len, "%s%s", len ? " " : "", name));
}

static int64_t now_ms(void *ctx)
{
	return ((struct world *)ctx)->now_ms;
}

static const struct yg_run_ops ops = {.licence = licence,
	.snapshot = snapshot,
	.plan = plan,
	.fetch = fetch,
	.verify = verify,
	.stage = stage,
	.trial = trial,
	.swap = swap,
	.close = close,
	.pause = pause,
	.done = done,
	.phase = phase,
	.now_ms = now_ms};

static void begin(struct world *w, size_t relays, size_t sources, const char *script)
{
	const struct yg_run_limits limits = {.relays = relays,
		.sources = sources,
		.tries = 3,
		.backoff_ms = 2000,
		.wait_ms = 10000,
		.poll_ms = 3000,
		.patience_ms = 60000};
	*w = (struct world){.script = script, .now_ms = 1000000, .retry_s = 30};
	yg_run_init(&w->run, &limits, &ops, w);
}

static void walk_on(struct world *w)
{
	assert_true(yg_run_step(&w->run, YG_RUN_START, NULL));
	while (w->later) {
		w->later = false;
		w->now_ms += w->paused_ms;
		assert_true(yg_run_step(&w->run, YG_RUN_DUE, NULL));
	}
}

static void go(struct world *w, size_t relays, size_t sources, const char *script)
{
	begin(w, relays, sources, script);
	walk_on(w);
}

static void walks_every_path(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t relays, sources;
		const char *script, *story;
		enum yg_job_outcome outcome;
		bool changed;
		const char *cause, *msg;
	} cases[] = {
		{"two objects", 1, 0, ".......c....",
			"licence snapshot +0 plan0 fetch verify fetch verify fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"nothing new", 1, 0, "..s.", "licence snapshot +0 plan0 close", YG_JOB_SUCCESS,
			false, "", ""},
		{"held", 1, 0, "..h.", "licence snapshot +0 plan0 close", YG_JOB_CANCELLED, false,
			"update.held",
			"the newest content was rolled back here and is held: a scheduled update does not take it"},
		{"no licence", 1, 0, "F.", "licence close", YG_JOB_FAILED, false, "store.io",
			"a bad disk"},
		{"no snapshot", 1, 0, ".F.", "licence snapshot close", YG_JOB_FAILED, false,
			"store.io", "a bad disk"},
		{"one relay, three tries", 1, 0, "..xxx.",
			"licence snapshot +0 plan0 +2000 plan0 +4000 plan0 close", YG_JOB_FAILED,
			false, "net.refused", "source 0 refused"},
		{"two relays share three tries, then the source", 2, 1, "..xxxs.",
			"licence snapshot +0 plan0 +0 plan1 +2000 plan0 +0 plan2 close",
			YG_JOB_SUCCESS, false, "", ""},
		{"relays and source fail", 1, 1, "..xxxxxx.",
			"licence snapshot +0 plan0 +2000 plan0 +4000 plan0 +0 plan1 +2000 plan1 +4000 plan1 close",
			YG_JOB_FAILED, false, "net.refused", "source 1 refused"},
		{"source only", 0, 1, "..x.c....",
			"licence snapshot +0 plan0 +2000 plan0 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"none at all", 0, 0, "...", "licence snapshot close", YG_JOB_FAILED, false,
			"update.no_source",
			"no relay and no update source is set for this computer"},
		{"a bad object comes from the next relay", 2, 0,
			"....x..."
			"c....",
			"licence snapshot +0 plan0 fetch verify +0 plan1 fetch verify fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"the relay gets the set in time", 1, 0, "..nn.c....",
			"licence snapshot +0 plan0 +3000 plan0 +3000 plan0 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"it does not", 1, 0, "..nnnnn.",
			"licence snapshot +0 plan0 +3000 plan0 +3000 plan0 +3000 plan0 +3000 plan0 close",
			YG_JOB_FAILED, false, "update.relay_behind",
			"the relay has not got the content that this update aims at within 10 s"},
		{"another relay has it", 2, 0, "..n.c....",
			"licence snapshot +0 plan0 +0 plan1 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"both are behind, one gets it", 2, 0, "..nnn.c....",
			"licence snapshot +0 plan0 +0 plan1 +3000 plan0 +0 plan1 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"none gets it, the source has it", 2, 1, "..nnnnnnnnn.c....",
			"licence snapshot +0 plan0 +0 plan1 +3000 plan0 +0 plan1 +3000 plan0 +0 plan1 +3000 "
			"plan0 +0 plan1 +3000 plan0 +0 plan2 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"one says not before, the other is asked", 2, 0, "..mxs.",
			"licence snapshot +0 plan0 +0 plan1 +2000 plan1 close", YG_JOB_SUCCESS,
			false, "", ""},
		{"the only one says not before", 1, 0, "..ms.",
			"licence snapshot +0 plan0 +30000 plan0 close", YG_JOB_SUCCESS, false, "",
			""},
		{"all relays say so, and the source does not", 1, 1, "..mmms.",
			"licence snapshot +0 plan0 +30000 plan0 +30000 plan0 +0 plan1 close",
			YG_JOB_SUCCESS, false, "", ""},
		{"the one that got furthest is told", 2, 1, "..txxxxx.",
			"licence snapshot +0 plan0 +0 plan1 +2000 plan0 +0 plan2 +2000 plan2 +4000 plan2 close",
			YG_JOB_FAILED, false, "tls.untrusted", "source 0 is unknown"},
		{"of equals the last one", 2, 0, "..ttx.",
			"licence snapshot +0 plan0 +0 plan1 +2000 plan0 close", YG_JOB_FAILED,
			false, "tls.untrusted", "source 1 is unknown"},
		{"cancelled while it fetches", 1, 0, "...C.",
			"licence snapshot +0 plan0 fetch close", YG_JOB_CANCELLED, false,
			"job.cancelled", "by command"},
		{"it is gone for a while meanwhile", 1, 0, "..nxxs.",
			"licence snapshot +0 plan0 +3000 plan0 +2000 plan0 +4000 plan0 close",
			YG_JOB_SUCCESS, false, "", ""},
		{"an object vanishes", 1, 0, "...cl.c....",
			"licence snapshot +0 plan0 fetch stage plan0 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
		{"objects vanish for ever", 1, 0, "...cl.cl.cl.cl.",
			"licence snapshot +0 plan0 fetch stage plan0 fetch stage plan0 fetch stage plan0 fetch "
			"stage close",
			YG_JOB_FAILED, false, "store.io",
			"objects of the new set vanish from the store while it is built"},
		{"disk full while fetching", 1, 1, "...F.", "licence snapshot +0 plan0 fetch close",
			YG_JOB_FAILED, false, "store.io", "a bad disk"},
		{"the trial fails", 1, 0, "...c.F.",
			"licence snapshot +0 plan0 fetch stage trial close", YG_JOB_FAILED, false,
			"store.io", "a bad disk"},
		{"the switch fails", 1, 0, "...c..F.",
			"licence snapshot +0 plan0 fetch stage trial swap close", YG_JOB_FAILED,
			false, "store.io", "a bad disk"},
		{"tidying up fails", 1, 0, "...c...F",
			"licence snapshot +0 plan0 fetch stage trial swap close", YG_JOB_SUCCESS,
			true, "", ""},
		{"a try that failed is forgotten by success", 1, 0, "..x.c....",
			"licence snapshot +0 plan0 +2000 plan0 fetch stage trial swap close",
			YG_JOB_SUCCESS, true, "", ""},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct world w;
		go(&w, cases[i].relays, cases[i].sources, cases[i].script);
		if (strcmp(w.story, cases[i].story) != 0)
			fail_msg("%s:\nwant %s\nhave %s", cases[i].name, cases[i].story, w.story);
		assert_true(w.done);
		assert_string_equal(w.run.err.cause, cases[i].cause);
		assert_string_equal(w.run.err.msg, cases[i].msg);
		assert_int_equal(w.run.outcome, cases[i].outcome);
		assert_int_equal(w.run.changed, cases[i].changed);
	}
}

static void nobody_is_waited_for_longer_than_patience_has(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t relays, sources;
		const char *script, *story, *cause, *msg;
	} cases[] = {
		{"no other", 1, 0, "..m.", "licence snapshot +0 plan0 close", "http.maintenance",
			"source 0 pauses"},
		{"the source", 1, 1, "..ms.", "licence snapshot +0 plan0 +0 plan1 close", "", ""},
		{"nor the source", 1, 1, "..mm.", "licence snapshot +0 plan0 +0 plan1 close",
			"http.maintenance", "source 1 pauses"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct world w;
		begin(&w, cases[i].relays, cases[i].sources, cases[i].script);
		w.retry_s = 3600;
		walk_on(&w);
		if (strcmp(w.story, cases[i].story) != 0)
			fail_msg("%s:\nwant %s\nhave %s", cases[i].name, cases[i].story, w.story);
		assert_string_equal(w.run.err.cause, cases[i].cause);
		assert_string_equal(w.run.err.msg, cases[i].msg);
	}
}

/* Nor for a relay that is behind, for longer than it may be. */
static void a_relay_that_is_behind_does_not_say_how_long_it_is_waited_for(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t relays, sources;
		const char *script;
		uint32_t retry_s;
		const char *story, *msg;
	} cases[] = {
		{"the source", 1, 1, "..bs.", 86400, "licence snapshot +0 plan0 +0 plan1 close",
			""},
		{"no other", 1, 0, "..b.", 86400, "licence snapshot +0 plan0 close",
			"the relay has not got the content that this update aims at, and it may be asked "
			"again in 86400 s"},
		{"another relay", 2, 0, "..bns.", 86400,
			"licence snapshot +0 plan0 +0 plan1 +3000 plan1 close", ""},
		{"in time", 1, 1, "..bs.", 5, "licence snapshot +0 plan0 +5000 plan0 close", ""},
		{"in time, then not", 1, 1, "..bbs.", 6,
			"licence snapshot +0 plan0 +6000 plan0 +0 plan1 close", ""},
		{"none of them in time", 2, 0, "..bb.", 3600,
			"licence snapshot +0 plan0 +0 plan1 close",
			"no relay has got the content that this update aims at, and it may be asked again "
			"in 3600 s"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct world w;
		begin(&w, cases[i].relays, cases[i].sources, cases[i].script);
		w.retry_s = cases[i].retry_s;
		walk_on(&w);
		if (strcmp(w.story, cases[i].story) != 0)
			fail_msg("%s:\nwant %s\nhave %s", cases[i].name, cases[i].story, w.story);
		assert_string_equal(w.run.err.msg, cases[i].msg);
	}
}

/* What an earlier run was told holds for this one. */
static void a_source_is_left_alone_from_run_to_run(void **state)
{
	(void)state;
	struct world w;
	begin(&w, 2, 0, "..s.");
	w.run.later_ms[0] = w.now_ms + 1000;
	walk_on(&w);
	assert_string_equal(w.story, "licence snapshot +0 plan1 close");

	begin(&w, 1, 0, "..s.");
	w.run.later_ms[0] = w.now_ms + 1000;
	walk_on(&w);
	assert_string_equal(w.story, "licence snapshot +1000 plan0 close");

	begin(&w, 1, 1, "..s.");
	w.run.later_ms[0] = w.now_ms + 3600000;
	walk_on(&w);
	assert_string_equal(w.story, "licence snapshot +0 plan1 close");

	begin(&w, 1, 0, "...");
	w.run.later_ms[0] = w.now_ms + 3600000;
	walk_on(&w);
	assert_string_equal(w.run.err.msg,
		"asked lately, and told not to ask again for 3600 s more");
	assert_string_equal(w.run.err.cause, "http.maintenance");

	/* by the name that it had then */
	begin(&w, 2, 0, "...");
	w.run.later_ms[0] = w.now_ms + 7200000;
	w.run.later_ms[1] = w.now_ms + 3600000;
	(void)!yg_str_put(w.run.later_cause[1], YG_ERR_CAUSE_MAX, "http.busy");
	walk_on(&w);
	assert_string_equal(w.run.err.cause, "http.busy");
}

static void says_how_far_an_attempt_got(void **state)
{
	(void)state;
	static const struct {
		enum yg_run_state in;
		const char *cause;
		int rank;
	} cases[] = {{YG_RUN_PLAN, "", 0}, {YG_RUN_PLAN, "net.dns", 1},
		{YG_RUN_PLAN, "net.refused", 2}, {YG_RUN_PLAN, "proxy.refused", 2},
		{YG_RUN_PLAN, "proxy.auth", 3}, {YG_RUN_PLAN, "tls.name", 4},
		{YG_RUN_PLAN, "net.reset", 5}, {YG_RUN_PLAN, "http.maintenance", 5},
		{YG_RUN_PLAN, "tuf.signature", 6}, {YG_RUN_PLAN, "update.relay_behind", 6},
		{YG_RUN_PLAN, "content.format", 7}, {YG_RUN_FETCH, "net.refused", 7},
		{YG_RUN_PLAN, "update.interrupted", 0}};
	for (size_t i = 0; i < YG_COUNT(cases); i++)
		assert_int_equal(yg_run_rank(cases[i].in, cases[i].cause), cases[i].rank);
}

static void late_answers_change_nothing(void **state)
{
	(void)state;
	for (int from = 0; from < YG_RUN_STATES; from++) {
		for (int event = 0; event < YG_RUN_EVENTS; event++) {
			struct world w = {0};
			enum yg_run_state to = YG_RUN_IDLE;
			struct yg_run_limits limits = {0};
			yg_run_init(&w.run, &limits, &ops, &w);
			w.run.state = (enum yg_run_state)from;
			if (yg_run_rule((enum yg_run_state)from, (enum yg_run_event)event, &to))
				continue;
			assert_false(yg_run_step(&w.run, (enum yg_run_event)event, NULL));
			assert_int_equal(w.run.state, from);
			assert_string_equal(w.story, "");
		}
	}
}

/* Every state can be left, and everything but the end leads to the end. */
static void every_state_leads_on(void **state)
{
	(void)state;
	for (int from = 0; from < YG_RUN_STATES; from++) {
		enum yg_run_state to = YG_RUN_IDLE;
		bool fails = yg_run_rule((enum yg_run_state)from, YG_RUN_FAILED, &to);
		assert_int_equal(fails, from != YG_RUN_DONE);
		assert_non_null(yg_run_state_name((enum yg_run_state)from));
	}
	for (int event = 0; event < YG_RUN_EVENTS; event++)
		assert_non_null(yg_run_event_name((enum yg_run_event)event));
}

static void says_where_it_is(void **state)
{
	(void)state;
	struct world w;
	go(&w, 1, 0,
		"..n.."
		".c....");
	assert_string_equal(w.phases,
		"metadata snapshot metadata waiting metadata fetch stage trial switch done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_every_path),
		cmocka_unit_test(nobody_is_waited_for_longer_than_patience_has),
		cmocka_unit_test(a_relay_that_is_behind_does_not_say_how_long_it_is_waited_for),
		cmocka_unit_test(a_source_is_left_alone_from_run_to_run),
		cmocka_unit_test(says_how_far_an_attempt_got),
		cmocka_unit_test(late_answers_change_nothing),
		cmocka_unit_test(every_state_leads_on),
		cmocka_unit_test(says_where_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
