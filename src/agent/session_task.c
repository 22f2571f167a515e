/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What is asked of this computer, by the Manager (a job, with exactly one result) or by somebody here.
 * A task lives until its answer is where it belongs: a result in the spool, a reply on the socket. What
 * was lost because another role died is asked again when it is back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session_task_impl.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/random.h"
#include "net/probe.h"
#include "proto/cause.h"
#include "proto/wire.h"

#define TRIES_MAX      8 /* times that a role may die with a task */
#define AGAIN_MS       5000
#define STALE_MS       10000 /* how long an update waits for the Manager's settings */
#define ROUNDS_MAX     3     /* times that it asks for them */
#define EVENT_SCAN     9001
#define EVENT_SCANNED  9002
#define EVENT_SCAN_END 9003
#define EVENT_UNJUDGED 9018

static const struct {
	const char *command; /* of the Manager */
	const char *ask;     /* of the control socket, or NULL */
	const char *message; /* to the role */
	bool walk;           /* to walk, else to install */
} kinds[] = {
	[UPDATE] = {"update", "update", "update.run", false},
	[UPDATE_RELAY] = {"update.relay", NULL, "update.run", false},
	[ROLLBACK] = {"rollback", "rollback", "rollback.run", false},
	[RELEASE_HOLD] = {"release_hold", "release_hold", "hold.release", false},
	[REPAIR] = {"", "repair", "repair.run", false},
	[SCAN] = {"scan", "scan", "scan.run", true},
	[TEST] = {"test", "test", "fetch.probe", false}, /* session_probe.c sees to its role */
};

struct task *session_task_find(const struct session *s, const char *job)
{
	for (struct task *task = s->tasks; task; task = task->next)
		if (strcmp(task->job, job) == 0)
			return task;
	return NULL;
}

static void task_free(struct task *task)
{
	for (struct task **at = &task->session->tasks; *at; at = &(*at)->next) {
		if (*at == task) {
			*at = task->next;
			break;
		}
	}
	if (task->bundle >= 0)
		(void)close(task->bundle);
	json_decref(task->command);
	json_decref(task->result);
	free(task);
}

static struct task *task_new(struct session *s, enum what what, const char *job,
	const json_t *command)
{
	struct task *task = calloc(1, sizeof(*task));
	if (!task)
		return NULL;
	task->session = s;
	task->what = what;
	task->bundle = -1;
	(void)!yg_str_put(task->job, sizeof(task->job), "%s", job);
	(void)!yg_str_put(task->phase, sizeof(task->phase), "waiting");
	task->command = json_deep_copy(command);
	task->next = s->tasks;
	s->tasks = task;
	return task;
}

/* ---- the end of a task ---- */

/* Its result is stored, and the job is done: a crash between the two finds the result and does the rest. */
static void store_result(struct task *task)
{
	struct session *s = task->session;
	struct yg_err err = {0};
	if (!session_result(s, json_incref(task->result))) {
		yg_timer_set(s->again, AGAIN_MS);
		return;
	}
	if (jobs_end(s->jobs, task->job, &err) < 0)
		yg_log_err(YG_LOG_ERROR, "session.jobs", &err);
	task_free(task);
	session_changed(s);
}

static void finish(struct task *task, const char *outcome, const char *cause, const char *sentence,
	const json_t *detail)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	if (!task->remote) {
		struct session *s = task->session;
		task_free(task);
		session_changed(s);
		return;
	}
	task->running = false;
	json_t *text = json_string(sentence);
	task->result = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:O}", "kind", "result", "job",
		task->job, "time", now, "outcome", outcome, "cause", cause, "sentence",
		text ? text : json_string(""), "detail", detail);
	store_result(task);
}

bool session_task_is_update(const struct task *task)
{
	return task->what == UPDATE || task->what == UPDATE_RELAY;
}

static void fail(struct task *task, const struct yg_err *err)
{
	json_t *detail YG_AUTO(yg_json) = json_object();
	yg_log(YG_LOG_WARN, "session.task", "%s: %s", kinds[task->what].message, err->msg);
	if (task->what == SCAN)
		session_event(task->session, EVENT_SCAN_END,
			json_pack("{s:s,s:s,s:s}", "job", task->job, "cause", err->cause, "detail",
				err->msg));
	const char *outcome = strcmp(err->cause, "job.cancelled") == 0 ? "cancelled" : "failed";
	if (session_task_is_update(task))
		session_last_keep(task->session, task->what == UPDATE_RELAY, outcome, err->cause,
			err->msg, NULL);
	if (task->call)
		control_fail(yg_take(task->call), err);
	finish(task, outcome, err->cause, err->msg, detail);
}

static void scan_done(struct task *task, const json_t *body)
{
	struct session *s = task->session;
	double seconds = json_number_value(json_object_get(body, "seconds"));
	json_int_t unjudged = json_integer_value(json_object_get(body, "unjudged"));
	const json_t *first = json_object_get(body, "unjudged_first");
	if (unjudged > 0)
		session_event(s, EVENT_UNJUDGED,
			json_pack("{s:s,s:I,s:s*,s:s*}", "job", task->job, "count", unjudged,
				"path", json_string_value(json_object_get(first, "path")), "reason",
				json_string_value(json_object_get(first, "reason"))));
	session_event(s, EVENT_SCANNED,
		json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "job", task->job, "files",
			json_integer_value(json_object_get(body, "files")), "found",
			json_integer_value(json_object_get(body, "found")), "unjudged", unjudged,
			"bytes", json_integer_value(json_object_get(body, "bytes")), "seconds",
			(json_int_t)seconds));
	if (task->call)
		control_reply(yg_take(task->call), json_deep_copy(body));
	finish(task, "success", "", "", body);
}

static void start(struct task *task);

/* A bundle that the relay here serves from now on is then this computer's own, too. */
static bool goes_on(struct task *task, const char *outcome)
{
	if (task->bundle < 0 || task->what != UPDATE_RELAY || strcmp(outcome, "success") != 0)
		return false;
	task->what = UPDATE;
	start(task);
	return true;
}

static void update_done(struct task *task, const json_t *body)
{
	const char *outcome = NULL;
	const char *cause = NULL;
	const char *sentence = NULL;
	struct yg_err err = {0};
	if (yg_json_str_or(body, "outcome", 16, "success", &outcome, &err) < 0 ||
		yg_json_str_or(body, "cause", YG_ERR_CAUSE_MAX - 1, "", &cause, &err) < 0 ||
		yg_json_str_or(body, "sentence", 4096, "", &sentence, &err) < 0) {
		fail(task, &err);
		return;
	}
	if (session_task_is_update(task))
		session_last_keep(task->session, task->what == UPDATE_RELAY, outcome, cause,
			sentence, body);
	if (goes_on(task, outcome))
		return;
	json_t *detail YG_AUTO(yg_json) = json_object();
	static const char *const kept[] = {"set", "updated", "source", "seconds", "bytes",
		"requests", "tried"};
	for (size_t i = 0; i < YG_COUNT(kept); i++)
		if (json_object_get(body, kept[i]))
			(void)json_object_set(detail, kept[i], json_object_get(body, kept[i]));
	if (task->call) {
		json_t *reply = json_deep_copy(body);
		(void)json_object_set_new(reply, "job", json_string(task->job));
		control_reply(yg_take(task->call), reply);
	}
	finish(task, outcome, cause, sentence, detail);
}

static void cancelled(struct task *task)
{
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "job.cancelled", "%s",
		task->remote ? "it was cancelled by command"
			     : "the scan was cancelled: who asked for it has gone");
	fail(task, &why);
}

/* What runs in another role ends there, and that is the answer; what has not begun ends here. */
static void cancel(struct task *task)
{
	struct session *s = task->session;
	struct yg_err err = {0};
	struct yg_ipc *ipc = kinds[task->what].walk ? s->walk : s->install;
	const char *message = task->what == SCAN ? "scan.cancel"
		: session_task_is_update(task)   ? "update.cancel"
						 : NULL;
	if (task->result || !message)
		return; /* it ends by itself, at once */
	/* A role that outlived us may still be at it. */
	if (ipc && (task->running || task->resumed) &&
		yg_ipc_send(ipc, message, json_pack("{s:s}", "job", task->job), NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "session.cancel", &err);
	task->dropped = true;
	if (!task->running)
		cancelled(task);
}

/* A scan is for who watches it; everything else here is done for the computer, and goes on. */
static void asker_gone(void *ctx)
{
	struct task *task = ctx;
	struct session *s = task->session;
	struct yg_err err = {0};
	task->dropped = true;
	if (!task->running)
		cancelled(task);
	else if (s->walk &&
		yg_ipc_send(s->walk, "scan.cancel", json_pack("{s:s}", "job", task->job), NULL, 0,
			&err) < 0)
		yg_log_err(YG_LOG_WARN, "session.cancel", &err);
}

static void task_done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct task *task = ctx;
	task->running = false;
	if (err->code && task->dropped) {
		cancelled(task);
		return;
	}
	/* Without a cause it is the channel that ended, not the work. */
	if (err->code == YG_EAGAIN && !err->cause[0] && ++task->tries < TRIES_MAX) {
		task->resumed = true;
		return; /* again when the role is back */
	}
	if (err->code) {
		struct yg_err why = *err;
		fail(task, &why);
	} else if (task->what == SCAN) {
		scan_done(task, reply->body);
	} else {
		update_done(task, reply->body);
	}
}

/* ---- the beginning of a task ---- */

/* A rollback that ran when we died must not run twice: the hold that it sets says that it did. */
static bool rolled_back(const struct task *task)
{
	const json_t *hold = json_object_get(task->session->store, "hold");
	const char *since = json_string_value(json_object_get(hold, "since"));
	int64_t then = 0;
	struct yg_err ignored = {0};
	return task->what == ROLLBACK && since && yg_clock_parse(since, &then, &ignored) == 0 &&
		then >= json_integer_value(json_object_get(task->command, "begun_s"));
}

static void scan_begins(const struct task *task)
{
	const json_t *paths = json_object_get(task->command, "paths");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(4096);
	struct yg_err ignored = {0};
	size_t i;
	json_t *path;
	json_array_foreach(paths, i, path) if (yg_str_addf(&text, &ignored, "%s%s", i ? ", " : "",
						       json_string_value(path)) < 0) break;
	if (yg_buf_add(&text, "", 1, &ignored) == 0)
		session_event(task->session, EVENT_SCAN,
			json_pack("{s:s,s:s}", "job", task->job, "paths", (const char *)text.data));
}

/* The Manager's settings may be on their way: ask for them, and begin when they are here. */
static void expect_settings(struct session *s)
{
	s->stale_until_ms = yg_clock_mono_ms() + STALE_MS;
	yg_timer_set(s->again, STALE_MS + 1);
	if (s->manager)
		manager_beat(s->manager);
}

/* A test that finds something wrong has failed; what it found is in its detail. */
static void tested(void *ctx, const json_t *result, const struct yg_err *err)
{
	struct task *task = ctx;
	const char *cause = "";
	const char *said = "";
	bool failed = false;
	size_t i;
	json_t *target;
	task->running = false;
	if (err->code) {
		struct yg_err why = *err;
		fail(task, &why);
		return;
	}
	json_array_foreach(json_object_get(result, "targets"), i, target)
	{
		failed = yg_probe_failed(target, &cause, &said);
		if (failed)
			break;
	}
	if (task->call)
		control_reply(yg_take(task->call), json_deep_copy(result));
	finish(task, failed ? "failed" : "success", cause, said, result);
}

static void start_test(struct task *task)
{
	struct session *s = task->session;
	const char *what = json_string_value(json_object_get(task->command, "what"));
	struct yg_err err = {0};
	if (task->remote && yg_clock_mono_ms() < s->stale_until_ms)
		return;
	task->running = true;
	if (session_probe_start(s, what ? what : "relays", tested, task, &err) < 0)
		fail(task, &err);
}

static void start(struct task *task)
{
	struct session *s = task->session;
	if (task->what == TEST) {
		start_test(task);
		return;
	}
	struct yg_ipc *ipc = kinds[task->what].walk ? s->walk : s->install;
	struct yg_err err = {0};
	if (!ipc || (task->resumed && !kinds[task->what].walk && !s->store_fresh))
		return;
	if (json_is_true(json_object_get(task->command, "cancelled"))) {
		cancel(task);
		return;
	}
	bool update = session_task_is_update(task);
	if (task->remote && update && yg_clock_mono_ms() < s->stale_until_ms)
		return;
	json_t *body = json_pack("{s:s}", "job", task->job);
	if (task->resumed && rolled_back(task)) {
		update_done(task, body);
		json_decref(body);
		return;
	}
	bool relay = task->what == UPDATE_RELAY;
	if (task->bundle >= 0) {
		session_update_bundle(task->command, relay, body);
		session_update_allowed(s, relay, body);
	} else if (update || task->what == REPAIR) {
		(void)!session_update_body(s, task->command, relay, body, &err);
	}
	if (err.code && task->remote && update && task->rounds++ < ROUNDS_MAX) {
		json_decref(body);
		expect_settings(s);
		return;
	}
	if (err.code && task->what == REPAIR)
		err = (struct yg_err){0}; /* what is here can be healed without a source */
	if (err.code) {
		json_decref(body);
		fail(task, &err);
		return;
	}
	if (task->what == SCAN) {
		(void)json_object_set(body, "paths", json_object_get(task->command, "paths"));
		if (task->tries == 0)
			scan_begins(task);
	}
	task->running = true;
	yg_ipc_request(ipc, kinds[task->what].message, body, &task->bundle,
		task->bundle < 0 ? 0 : 1, task_done, task);
}

void session_task_pump(struct session *s)
{
	for (struct task *task = s->tasks; task;) {
		struct task *next = task->next;
		if (task->result)
			store_result(task);
		else if (!task->running)
			start(task);
		task = next;
	}
}

/* A command that this version does not know still gets its one result. */
static bool unsupported(struct session *s, const json_t *command, const char *name)
{
	char now[YG_CLOCK_TEXT];
	const char *job = json_string_value(json_object_get(command, "job"));
	yg_log(YG_LOG_WARN, "session.command", "unknown command '%s'", name);
	if (!job || !yg_wire_uuid_ok(job))
		return true;
	yg_clock_format(yg_clock_now_s(), now);
	return session_result(s,
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:{}}", "kind", "result", "job", job, "time",
			now, "outcome", "failed", "cause", "job.unsupported", "sentence", name,
			"detail"));
}

/* False when that could not be remembered. */
static bool cancel_job(struct session *s, const char *job)
{
	struct yg_err err = {0};
	struct task *task = job ? session_task_find(s, job) : NULL;
	if (!task)
		return true; /* it has its result, or never came */
	yg_log(YG_LOG_INFO, "session.command", "cancel (job %s)", job);
	if (jobs_cancel(s->jobs, job, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "session.jobs", &err);
		return false;
	}
	cancel(task);
	return true;
}

bool session_task_command(struct session *s, const json_t *command)
{
	struct yg_err err = {0};
	const char *name = NULL;
	const char *job = json_string_value(json_object_get(command, "job"));
	if (yg_json_str(command, "command", 64, &name, &err) < 0)
		return true;
	if (strcmp(name, "deactivate") == 0) {
		s->forget = true;
		yg_timer_set(s->remake, 0);
		return true;
	}
	if (strcmp(name, "policy") == 0) {
		s->policy_refused[0] = 0;
		manager_policy(s->manager);
		return true;
	}
	if (strcmp(name, "settings") == 0) {
		expect_settings(s);
		return true;
	}
	if (strcmp(name, "cancel") == 0)
		return cancel_job(s, job);
	size_t what = 0;
	while (what < YG_COUNT(kinds) && strcmp(kinds[what].command, name) != 0)
		what++;
	if (what == YG_COUNT(kinds) || !job || !yg_wire_uuid_ok(job) ||
		(what == SCAN && !json_is_array(json_object_get(command, "paths"))))
		return unsupported(s, command, name);
	if (jobs_known(s->jobs, job))
		return true;
	if (jobs_begin(s->jobs, job, command, &err) < 0) {
		session_refuse(s, name, job, &err);
		return true;
	}
	yg_log(YG_LOG_INFO, "session.command", "%s (job %s)", name, job);
	struct task *task = task_new(s, (enum what)what, job, command);
	if (!task)
		return true; /* it is remembered: the next start takes it up */
	(void)json_object_set_new(task->command, "begun_s", json_integer(yg_clock_now_s()));
	task->remote = true;
	start(task);
	return true;
}

static int begin_bundle(struct task *task, struct yg_err *err)
{
	task->bundle = control_take_fd(task->call);
	if (task->bundle < 0)
		return yg_fail(err, YG_EFORMAT, "bundle: no file came with the question");
	if (task->session->relay_wanted)
		task->what = UPDATE_RELAY;
	return 0;
}

void session_task_ask(struct session *s, const char *kind, struct control_call *call,
	const json_t *question)
{
	struct yg_err err = {0};
	char job[YG_UUID_TEXT];
	size_t what = 0;
	while (!kinds[what].ask || strcmp(kinds[what].ask, kind) != 0)
		what++;
	json_t *command YG_AUTO(yg_json) = json_pack("{s:s}", "command", kinds[what].command);
	static const char *const kept[] = {"paths", "bundle", "what"};
	for (size_t i = 0; i < YG_COUNT(kept); i++)
		if (json_object_get(question, kept[i]))
			(void)json_object_set(command, kept[i], json_object_get(question, kept[i]));
	struct task *task = NULL;
	if (yg_random_uuid(job, &err) == 0)
		task = task_new(s, (enum what)what, job, command);
	if (!task) {
		if (!err.code)
			(void)yg_fail_sys(&err, ENOMEM, "%s", kind);
		control_fail(call, &err);
		return;
	}
	task->call = call;
	if (what == UPDATE && json_object_get(command, "bundle") && begin_bundle(task, &err) < 0) {
		fail(task, &err);
		return;
	}
	if (what == SCAN)
		control_on_gone(call, asker_gone, task);
	if (!kinds[what].walk && what != TEST && !s->install) {
		(void)yg_fail(&err, YG_EAGAIN, "the install role does not run at the moment");
		fail(task, &err);
		return;
	}
	start(task);
}

void session_task_resume(struct session *s)
{
	json_t *list YG_AUTO(yg_json) = jobs_running(s->jobs);
	struct yg_err err = {0};
	size_t i;
	json_t *command;
	json_array_foreach(list, i, command)
	{
		const char *job = json_string_value(json_object_get(command, "job"));
		const char *name = json_string_value(json_object_get(command, "command"));
		size_t what = 0;
		while (name && what < YG_COUNT(kinds) && strcmp(kinds[what].command, name) != 0)
			what++;
		if (!job || !name || what == YG_COUNT(kinds))
			continue;
		if (spool_has_result(s->spool, job)) {
			if (jobs_end(s->jobs, job, &err) < 0)
				yg_log_err(YG_LOG_ERROR, "session.jobs", &err);
			continue;
		}
		yg_log(YG_LOG_NOTICE, "session.resume", "%s (job %s) goes on", name, job);
		struct task *task = task_new(s, (enum what)what, job, command);
		if (task)
			task->remote = task->resumed = true;
	}
}

void session_task_free(struct session *s)
{
	struct yg_err ends = {0};
	(void)yg_fail(&ends, YG_EAGAIN, "the agent ends");
	while (s->tasks) {
		struct control_call *call = yg_take(s->tasks->call);
		task_free(s->tasks);
		if (!call)
			continue;
		control_on_gone(call, NULL, NULL);
		control_fail(call, &ends);
	}
}
