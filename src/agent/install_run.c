/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/scrub.h"
#include "core/str.h"
#include "crypto/random.h"

/* One update run from its request to its answer. What its states (src/update/run.h) do is in the files
 * beside this one.
 */

#define POLL_MS    3000
#define RETRY_S    2
#define CONNECT_S  10
#define PATIENCE_S 300   /* longest wait for a source that says when it may be asked again */
#define WAIT_S     600   /* how long the aim is waited for, unless the request says */
#define LIMIT_S    21600 /* for all that comes from outside, unless the request says */

enum yg_logs_file install_run_log(const struct install_run *r)
{
	return r->relay ? YG_LOGS_RELAY : YG_LOGS_IAU;
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

const json_t *install_run_source(const struct install_run *r)
{
	return json_array_get(r->sources, r->run.source);
}

const char *install_run_source_url(const struct install_run *r)
{
	const char *url = json_string_value(json_object_get(install_run_source(r), "url"));
	return url ? url : "";
}

#define URL_BYTES 2049

/* The same for people: without the password that somebody has written into it. */
static const char *told_url(const struct install_run *r, char out[URL_BYTES])
{
	(void)!yg_str_put(out, URL_BYTES, "%s", install_run_source_url(r));
	out[yg_scrub(out, strlen(out), NULL)] = 0;
	return out;
}

/* ---- how things fail ---- */

/* A relay or source that cannot be reached is told once a run; that it went well after all is
 * in the result.
 */
static void tell_source(struct install_run *r, const struct yg_err *why)
{
	bool at_relay = yg_run_at_relay(&r->run);
	bool *told = at_relay ? &r->told_relay : &r->told_source;
	char url[URL_BYTES];
	if (*told)
		return;
	*told = true;
	install_event(r->in, at_relay ? 9115 : 9108,
		json_pack("{s:s, s:s, s:s}", "url", told_url(r, url), "cause", why->cause, "detail",
			why->msg));
}

/* Of each source what it said last; those of one relay are several. */
void install_run_note(struct install_run *r, const struct yg_err *why)
{
	char url[URL_BYTES];
	json_t *text = json_string(why->msg);
	json_t *said = json_pack("{s:s, s:s, s:o}", "url", told_url(r, url), "cause", why->cause,
		"detail", text ? text : json_string(""));
	size_t i;
	json_t *one;
	if (why->retry_s > 0)
		(void)json_object_set_new(r->in->later, install_run_source_url(r),
			json_pack("{s:I, s:s}", "at",
				(json_int_t)yg_clock_mono_ms() + (json_int_t)why->retry_s * 1000,
				"cause", why->cause));
	json_array_foreach(r->tried, i, one)
	{
		const char *known = json_string_value(json_object_get(one, "url"));
		if (known && strcmp(known, url) == 0) {
			(void)json_array_remove(r->tried, i);
			break;
		}
	}
	(void)json_array_append_new(r->tried, said);
}

void install_run_not_yet(struct install_run *r, const struct yg_err *why)
{
	yg_timer_stop(r->watchdog);
	install_run_note(r, why);
	YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_APP, "Update", "%s (%s): %s",
		yg_run_state_name(r->run.state), install_run_source_url(r), why->msg);
	(void)yg_run_step(&r->run, YG_RUN_NOT_YET, why);
}

/* Another source may help, unless the fault is this computer's. May free the run. */
void install_run_fail(struct install_run *r, const struct yg_err *why)
{
	yg_timer_stop(r->watchdog);
	bool here = starts(why->cause, "store.") || starts(why->cause, "engine.") ||
		starts(why->cause, "system.") || strcmp(why->cause, "content.abi") == 0 ||
		strcmp(why->cause, "content.newer") == 0 || strcmp(why->cause, "clock.wrong") == 0;
	YG_LOGS_FAILURE(r->in->logs, install_run_log(r), "Update", why, "%s (%s)",
		yg_run_state_name(r->run.state), install_run_source_url(r));
	if (!here) {
		install_run_note(r, why);
		tell_source(r, why);
	}
	(void)yg_run_step(&r->run, here ? YG_RUN_FAILED : YG_RUN_SOURCE_FAILED, why);
}

void install_run_fail_here(struct install_run *r, const struct yg_err *why)
{
	yg_timer_stop(r->watchdog);
	YG_LOGS_FAILURE(r->in->logs, install_run_log(r), "Update", why, "%s",
		yg_run_state_name(r->run.state));
	(void)yg_run_step(&r->run, YG_RUN_FAILED, why);
}

void install_run_step(struct install_run *r, enum yg_run_event event)
{
	yg_timer_stop(r->watchdog);
	(void)yg_run_step(&r->run, event, NULL);
}

/* ---- LICENCE, SNAPSHOT, CLOSING ---- */

/* A licence is perpetual as long as there is no other kind: the families that session found valid are
 * what may be updated, and none of them is a failure with a name (U5).
 */
static void op_licence(void *ctx)
{
	struct install_run *r = ctx;
	const json_t *families = json_object_get(r->body, "families");
	if (families && json_array_size(families) == 0) {
		struct yg_err err = {0};
		(void)yg_fail_cause(&err, YG_EUNTRUSTED, "update.licence",
			"no component family may be updated under the present licence");
		install_event(r->in, 9110, json_object());
		install_run_fail_here(r, &err);
		return;
	}
	install_run_step(r, YG_RUN_OK);
}

static void op_snapshot(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	if (!r->relay && yg_store_snapshot(r->in->store, &err) < 0)
		install_run_fail_here(r, &err);
	else
		install_run_step(r, YG_RUN_OK);
}

static void op_close(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	uint32_t removed = 0;
	install_run_helper_end(r);
	install_engine_end(yg_take(r->engine));
	if (r->relay && r->in->mirror)
		install_mirror_forget(r->in->mirror);
	if (!r->relay)
		install_run_plan_drop(r);
	if (!r->relay && yg_store_drop_snapshot(r->in->store, &err) < 0)
		yg_log_err(YG_LOG_WARN, "store.snapshot", &err);
	if (!r->relay && r->run.changed && yg_store_collect(r->in->store, &removed, &err) < 0)
		yg_log_err(YG_LOG_WARN, "store.collect", &err);
	(void)yg_run_step(&r->run, YG_RUN_OK, NULL);
}

static void paused(void *ctx)
{
	struct install_run *r = ctx;
	(void)yg_run_step(&r->run, YG_RUN_DUE, NULL);
}

static void op_pause(void *ctx, int64_t ms)
{
	struct install_run *r = ctx;
	yg_timer_set(r->pause, ms);
}

void install_run_progress(struct install_run *r, const char *phase, int64_t done, int64_t of,
	const json_t *more)
{
	for (const struct install_waiter *waiter = r->waiters; waiter; waiter = waiter->next) {
		const char *job = json_string_value(json_object_get(waiter->body, "job"));
		install_progress(r->in, job ? job : "", phase, done, of, more);
	}
}

/* A herd must not come back as one. */
static int64_t op_jitter(void *ctx, int64_t ms)
{
	(void)ctx;
	uint16_t chance = 0;
	struct yg_err ignored = {0};
	(void)!yg_random_bytes(&chance, sizeof(chance), &ignored);
	return ms * 3 / 4 + ms / 2 * chance / UINT16_MAX;
}

static void op_phase(void *ctx, const char *phase)
{
	struct install_run *r = ctx;
	YG_LOGS(r->in->logs, install_run_log(r), YG_LOGS_DBG, "Update", "Phase %s (%s)", phase,
		yg_run_state_name(r->run.state));
	install_run_progress(r, phase, 0, 0, NULL);
}

static int64_t op_now_ms(void *ctx)
{
	(void)ctx;
	return yg_clock_mono_ms();
}

/* ---- the result ---- */

json_t *install_run_updated(const struct yg_set *from, const struct yg_set *to)
{
	json_t *list = json_array();
	for (size_t i = 0; to && i < to->count; i++) {
		const struct yg_manifest *now = to->components[i];
		const struct yg_manifest *old = from ? yg_set_component(from, now->component)
						     : NULL;
		int64_t version = old ? old->version : 0;
		if (version != now->version)
			(void)json_array_append_new(list,
				json_pack("{s:s, s:I, s:I}", "name", now->component, "from",
					(json_int_t)version, "to", (json_int_t)now->version));
	}
	return list;
}

/* What repair cannot fetch: objects of the set before, which the newest manifests do not name. */
static const char *after_repair(struct install_run *r, const struct install_waiter *waiter)
{
	struct yg_err why = {0};
	char roll[YG_SHA256_TEXT];
	if (!waiter->prefix)
		return "";
	yg_store_link(r->in->store, YG_STORE_ROLL, roll);
	if (!roll[0] && r->roll_lost)
		return "; the set before has lost files that are not offered any more, and cannot be gone back to";
	if (!roll[0] || yg_store_check(r->in->store, roll, &why) == 0)
		return "";
	return "; the set before stays damaged, and cannot be gone back to";
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* Where it has come from, or whose failure is told. */
static const char *answered_by(const struct install_run *r, char own[URL_BYTES])
{
	size_t i;
	json_t *one;
	if (r->run.outcome != YG_JOB_FAILED)
		return told_url(r, own);
	json_array_foreach(r->tried, i,
		one) if (strcmp(text_of(one, "cause"), r->run.err.cause) == 0 &&
		strcmp(text_of(one, "detail"), r->run.err.msg) == 0) return text_of(one, "url");
	return told_url(r, own);
}

static void answer(struct install_run *r, const struct install_waiter *waiter)
{
	char lib[YG_SHA256_TEXT];
	char text[YG_ERR_MSG_MAX + 512];
	char url[URL_BYTES];
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	const char *set = r->relay ? install_mirror_set(r->in->mirror) : lib;
	if (!yg_str_put(text, sizeof(text), "%s%s%s%s", waiter->prefix ? waiter->prefix : "",
		    waiter->prefix && r->run.err.msg[0] ? "; " : "", r->run.err.msg,
		    after_repair(r, waiter)))
		memcpy(text, r->run.err.msg, sizeof(r->run.err.msg));
	json_t *updated = r->run.changed ? install_run_updated(r->from, r->set) : json_array();
	yg_ipc_reply(r->in->session, waiter->id,
		json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:O}", "outcome",
			yg_job_outcome_name(r->run.outcome), "set", set, "updated", updated,
			"cause", r->run.err.cause, "sentence", text, "source", answered_by(r, url),
			"seconds", (json_int_t)((yg_clock_mono_ms() - r->began_ms) / 1000), "bytes",
			(json_int_t)r->came_bytes, "requests", (json_int_t)r->requests, "tried",
			r->tried),
		NULL, 0);
}

void install_run_free(struct install_run *r)
{
	install_run_helper_end(r);
	yg_timer_free(r->pause);
	yg_timer_free(r->watchdog);
	yg_timer_free(r->limit);
	while (r->waiters) {
		struct install_waiter *waiter = r->waiters;
		r->waiters = waiter->next;
		install_run_ask_forget(waiter);
	}
	yg_store_release(r->in->store);
	if (r->transfer >= 0)
		(void)close(r->transfer);
	if (r->plain >= 0)
		(void)close(r->plain);
	yg_set_free(r->from);
	yg_set_free(r->set);
	for (size_t i = 0; i < YG_COUNT(r->also); i++)
		yg_set_free(r->also[i]);
	json_decref(r->tried);
	free(r->items);
	if (r->bundle >= 0)
		(void)close(r->bundle);
	install_run_plan_forget(r);
	json_decref(r->planned);
	json_decref(r->useless);
	json_decref(r->manifests);
	json_decref(r->notes);
	json_decref(r->body);
	free(r);
}

static void tell_result(struct install_run *r)
{
	if (r->relay)
		return;
	if (r->run.outcome == YG_JOB_FAILED)
		install_event(r->in, 9101,
			json_pack("{s:s, s:s}", "cause", r->run.err.cause, "detail",
				r->run.err.msg));
	if (r->run.changed)
		install_event(r->in, 9100,
			json_pack("{s:o, s:s}", "components", install_run_updated(r->from, r->set),
				"set", r->set->digest));
}

static void op_done(void *ctx)
{
	struct install_run *r = ctx;
	struct install *in = r->in;
	install_run_known_ended(r);
	if (r->run.outcome == YG_JOB_SUCCESS) /* it may be asked again, whatever it said before */
		(void)json_object_del(in->later, install_run_source_url(r));
	/* Once more in the words that everybody gets: what was tried before may have failed otherwise. */
	if (r->run.outcome == YG_JOB_FAILED)
		YG_LOGS_FAILURE(in->logs, install_run_log(r), "Update", &r->run.err,
			"The update failed");
	yg_logs_finished(in->logs, install_run_log(r), r->run.err.cause);
	if (r->run.outcome == YG_JOB_FAILED)
		yg_log_err(YG_LOG_ERROR, "update.failed", &r->run.err);
	else
		yg_log(YG_LOG_INFO, "update.done", "%s: %s", r->relay ? "relay" : "agent",
			r->run.outcome == YG_JOB_CANCELLED ? r->run.err.msg
				: r->run.changed           ? "new content is live"
							   : "nothing was new");
	tell_result(r);
	in->run = NULL;
	install_changed(in); /* before the answer, which must not find the old status */
	for (const struct install_waiter *waiter = r->waiters; waiter; waiter = waiter->next)
		if (waiter->id && in->session)
			answer(r, waiter);
	install_run_free(r);
	install_live_ensure(in);
	install_run_ask_next(in);
}

static const struct yg_run_ops ops = {
	.licence = op_licence,
	.snapshot = op_snapshot,
	.plan = install_run_plan,
	.fetch = install_run_fetch,
	.verify = install_run_verify,
	.stage = install_run_switch_stage,
	.trial = install_run_switch_trial,
	.swap = install_run_switch,
	.close = op_close,
	.pause = op_pause,
	.done = op_done,
	.phase = op_phase,
	.now_ms = op_now_ms,
	.jitter = op_jitter,
};

/* ---- starting ---- */

static int parse_sources(struct install_run_wish *wish, struct yg_run_limits *limits,
	struct yg_err *err)
{
	for (size_t i = 0; i < json_array_size(wish->sources); i++) {
		const json_t *item = json_array_get(wish->sources, i);
		const char *url = NULL;
		const char *kind = NULL;
		if (yg_json_str(item, "url", 2048, &url, err) < 0 ||
			yg_json_str(item, "kind", 16, &kind, err) < 0)
			return yg_wrap(err, "sources[%zu]", i);
		bool relay = strcmp(kind, "relay") == 0;
		if (relay && limits->sources > 0)
			return yg_fail(err, YG_EFORMAT, "sources[%zu]: relays come before sources",
				i);
		if (relay)
			limits->relays++;
		else
			limits->sources++;
	}
	return 0;
}

int install_run_wish(const json_t *body, struct install_run_wish *wish, struct yg_err *err)
{
	if (yg_json_str_or(body, "job", 128, "", &wish->job, err) < 0 ||
		yg_json_str_or(body, "aim", YG_SHA256_TEXT - 1, "", &wish->aim, err) < 0 ||
		yg_json_str_or(body, "kind", 16, "agent", &wish->kind, err) < 0 ||
		yg_json_bool_or(body, "scheduled", false, &wish->scheduled, err) < 0 ||
		yg_json_int_or(body, "tries", 1, 100, 3, &wish->tries, err) < 0 ||
		yg_json_int_or(body, "timeout_s", 1, 3600, 60, &wish->timeout_s, err) < 0 ||
		yg_json_int_or(body, "connect_s", 1, 3600,
			wish->timeout_s < CONNECT_S ? wish->timeout_s : CONNECT_S, &wish->connect_s,
			err) < 0 ||
		yg_json_int_or(body, "retry_s", 1, 3600, RETRY_S, &wish->retry_s, err) < 0 ||
		yg_json_int_or(body, "wait_s", 0, 86400, WAIT_S, &wish->wait_s, err) < 0 ||
		yg_json_int_or(body, "limit_s", 1, 604800, LIMIT_S, &wish->limit_s, err) < 0 ||
		yg_json_array(body, "sources", 64, &wish->sources, err) < 0)
		return -1;
	if (strcmp(wish->kind, "agent") != 0 && strcmp(wish->kind, "relay") != 0)
		return yg_fail(err, YG_EFORMAT, "kind: want agent or relay, have '%s'", wish->kind);
	return 0;
}

/* What sources have said in earlier runs holds for those that nobody waits for. */
static void leave_alone(struct install_run *r)
{
	for (size_t i = 0;
		r->scheduled && i < json_array_size(r->sources) && i < YG_RUN_SOURCES_MAX; i++) {
		const char *url = json_string_value(
			json_object_get(json_array_get(r->sources, i), "url"));
		const json_t *told = url ? json_object_get(r->in->later, url) : NULL;
		r->run.later_ms[i] = json_integer_value(json_object_get(told, "at"));
		(void)!yg_str_put(r->run.later_cause[i], YG_ERR_CAUSE_MAX, "%s",
			text_of(told, "cause"));
	}
}

static int set_up(struct install_run *r, const json_t *body, struct yg_err *err)
{
	struct install_run_wish wish = {0};
	struct yg_run_limits limits = {.poll_ms = POLL_MS};
	char lib[YG_SHA256_TEXT];
	struct yg_err why = {0};
	if (install_run_wish(body, &wish, err) < 0 || parse_sources(&wish, &limits, err) < 0)
		return yg_wrap(err, "update.run");
	limits.tries = (uint32_t)wish.tries;
	limits.backoff_ms = wish.retry_s * 1000;
	limits.wait_ms = wish.wait_s * 1000;
	limits.patience_ms = (wish.limit_s < PATIENCE_S ? wish.limit_s : PATIENCE_S) * 1000;
	r->relay = strcmp(wish.kind, "relay") == 0;
	r->scheduled = wish.scheduled;
	r->job = wish.job;
	r->aim = wish.aim;
	r->sources = wish.sources;
	r->timeout_s = wish.timeout_s;
	r->connect_s = wish.connect_s;
	r->limit_s = wish.limit_s;
	if (r->relay && !r->in->mirror) {
		r->in->mirror = install_mirror_new(r->in->root, err);
		if (!r->in->mirror)
			return -1;
	}
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	r->from = lib[0] ? yg_store_set(r->in->store, lib, &why) : NULL;
	yg_run_init(&r->run, &limits, &ops, r);
	leave_alone(r);
	return 0;
}

/* A source that keeps a run busy with a byte now and then does not have it for ever. What is done here by
 * ourselves has bounds of its own.
 */
static void over(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err why = {0};
	switch (r->run.state) {
	case YG_RUN_PLAN:
	case YG_RUN_WAITING:
	case YG_RUN_CHOOSING:
	case YG_RUN_FETCH:
	case YG_RUN_VERIFY:
		break;
	case YG_RUN_IDLE:
	case YG_RUN_LICENCE:
	case YG_RUN_SNAPSHOT:
	case YG_RUN_STAGE:
	case YG_RUN_TRY:
	case YG_RUN_SWITCH:
	case YG_RUN_CLOSING:
	case YG_RUN_DONE:
		return;
	}
	/* What it waited for all the time is the reason, not the time. */
	bool behind = r->run.deadline_ms != 0 &&
		(r->run.state == YG_RUN_WAITING || r->run.state == YG_RUN_PLAN);
	yg_timer_stop(r->pause);
	install_run_helper_end(r);
	if (behind)
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.relay_behind",
			"the relay has not got the content that this update aims at within %lld s",
			(long long)r->limit_s);
	else
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.timeout",
			"given up after %lld s, with %llu of %llu bytes", (long long)r->limit_s,
			(unsigned long long)r->done_bytes, (unsigned long long)r->of_bytes);
	install_run_fail_here(r, &why);
}

void install_run_start(struct install *in, struct install_waiter *waiter)
{
	struct yg_err err = {0};
	struct install_run *r = calloc(1, sizeof(*r));
	if (!r)
		abort(); /* the parent starts us again */
	r->in = in;
	r->transfer = -1;
	r->plain = -1;
	r->tuf_fd = -1;
	r->bundle = yg_take_fd(waiter->bundle);
	r->manifests = json_object();
	r->planned = json_object();
	r->tried = json_array();
	r->began_ms = yg_clock_mono_ms();
	r->useless = json_object();
	r->fetch = (struct install_run_helper){.run = r, .role = "fetch"};
	r->verify = (struct install_run_helper){.run = r, .role = "verify"};
	r->body = json_incref(waiter->body);
	r->pause = yg_loop_timer(in->env->loop, paused, r);
	r->watchdog = yg_loop_timer(in->env->loop, install_run_helper_late, r);
	r->limit = yg_loop_timer(in->env->loop, over, r);
	if (set_up(r, r->body, &err) < 0) {
		install_run_free(r);
		install_run_ask_refuse(in, waiter, &err);
		return;
	}
	waiter->next = NULL;
	r->waiters = waiter;
	in->run = r;
	YG_LOGS(in->logs, install_run_log(r), YG_LOGS_APP, "Update", "Start update, job %s%s%s",
		r->job, *r->aim ? ", aim " : "", r->aim);
	yg_timer_set(r->limit, r->limit_s * 1000);
	(void)yg_run_step(&r->run, YG_RUN_START, NULL);
}
