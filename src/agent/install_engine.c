/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_impl.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

/* An engine process from its start to its end:
 *
 *     spawn -> link -> am.load -> loaded -> (am.trial) -> live -> retired -> gone
 *
 * It is found by its set everywhere: answers of the parent can come when it is long gone.
 */

#define START_MS  600000 /* a large base takes minutes on a small machine; then it hangs */
#define TRIAL_MS  120000
#define RETIRE_MS 5000 /* time for walk to take the new one before we let go of the old */
#define SAMPLES   8    /* of each kind in one am.trial: descriptors of a message are limited */

static void unlink_engine(struct install_engine *engine)
{
	for (struct install_engine **at = &engine->in->engines; *at; at = &(*at)->next) {
		if (*at == engine) {
			*at = engine->next;
			return;
		}
	}
}

static void release(struct install_engine *engine)
{
	yg_timer_free(engine->timer);
	if (engine->ipc)
		install_asked_lost(engine->in, engine->ipc);
	yg_ipc_free(engine->ipc);
	free(engine->trial);
	free(engine);
}

static void engine_free(struct install_engine *engine)
{
	unlink_engine(engine);
	release(engine);
}

static void ended(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	(void)err; /* gone already is what we wanted */
}

static void end_process(struct install *in, const char *set)
{
	yg_ipc_request(in->env->parent, "end", json_pack("{s:s, s:s}", "role", "am", "tag", set),
		NULL, 0, ended, NULL);
}

/* Not loaded: say so, and forget it. */
static void fail(struct install_engine *engine, const struct yg_err *why)
{
	struct yg_err err = *why;
	if (err.code == YG_EAGAIN && !err.cause[0])
		(void)yg_fail_cause(&err, YG_EAGAIN, "engine.crash",
			"the engine ended while it loaded the content");
	end_process(engine->in, engine->set);
	unlink_engine(engine); /* so that `up` can start another for the same set */
	engine->up(engine->ctx, engine, &err);
	release(engine);
}

static void spawn(struct install_engine *engine);

/* Another process for the same set, of which nobody else need know. */
static void start_afresh(struct install_engine *engine)
{
	end_process(engine->in, engine->set);
	yg_ipc_free(yg_take(engine->ipc));
	engine->ready = engine->adopted = engine->revived = false;
	spawn(engine);
}

/* One that we did not start may have been about to end when we took it over: it was nobody's. */
static bool was_ending(const struct install_engine *engine)
{
	return engine->revived || (engine->adopted && !engine->ready);
}

static void closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	struct install_engine *engine = ctx;
	if (was_ending(engine)) {
		start_afresh(engine);
		return;
	}
	if (!engine->ready) {
		struct yg_err err = {0};
		(void)yg_fail(&err, YG_EAGAIN, "the engine ended");
		fail(engine, &err);
		return;
	}
	if (!engine->retired) {
		unlink_engine(engine);
		engine->down(engine->ctx, engine);
	}
	engine_free(engine);
}

/* A policy that this engine cannot take, or not with this content. */
static bool blames_policy(const struct install_engine *engine, const struct yg_err *err)
{
	return engine->in->policy.engine && !engine->bare &&
		(strcmp(err->cause, "engine.config") == 0 ||
			strcmp(err->cause, "engine.memory") == 0);
}

static void loaded(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_engine *engine = ctx;
	struct yg_err why = {0};
	if (err->code == YG_EAGAIN && !err->cause[0] && was_ending(engine)) {
		start_afresh(engine);
		return;
	}
	if (err->code && blames_policy(engine, err)) {
		/* It must not leave the computer without an engine: the last good one, if there is
		 * another, else presets. Its failure is the end of that process.
		 */
		bool another = engine->in->policy.unproven && engine->in->policy.before;
		install_policy_refused(engine->in, err);
		engine->bare = !another;
		start_afresh(engine);
		return;
	}
	if (err->code) {
		fail(engine, err);
		return;
	}
	if (yg_json_int_or(reply->body, "signatures", 0, INT64_MAX, 0, &engine->signatures, &why) <
			0 ||
		yg_json_int_or(reply->body, "memory_bytes", 0, INT64_MAX, 0, &engine->memory_bytes,
			&why) < 0 ||
		yg_json_int_or(reply->body, "abi", 0, INT32_MAX, engine->in->abi, &engine->in->abi,
			&why) < 0) {
		fail(engine, &why);
		return;
	}
	json_t *seconds = json_object_get(reply->body, "seconds");
	engine->seconds = json_is_number(seconds) ? json_number_value(seconds) : 0;
	yg_timer_stop(engine->timer);
	engine->ready = true;
	if (!engine->bare)
		install_policy_proven(engine->in);
	engine->up(engine->ctx, engine, &(struct yg_err){0});
}

static void load(struct install_engine *engine)
{
	struct yg_err err = {0};
	int set YG_AUTO(fd) = yg_store_open_component(engine->in->store, engine->set, "", &err);
	if (set < 0) {
		fail(engine, &err);
		return;
	}
	json_t *body = json_pack("{s:s}", "set", engine->set);
	if (engine->in->policy.engine && !engine->bare)
		(void)json_object_set(body, "policy", engine->in->policy.engine);
	yg_ipc_request(engine->ipc, "am.load", body, &set, 1, loaded, engine);
}

void install_engine_link(struct install_engine *engine, int fd)
{
	static const struct yg_ipc_handler none[] = {{0}};
	struct yg_err err = {0};
	yg_ipc_free(engine->ipc);
	engine->ipc = yg_ipc_new(engine->in->env->loop, fd, "am", none, closed, engine, &err);
	if (!engine->ipc)
		fail(engine, &err);
	else if (!engine->ready)
		load(engine);
}

/* Comes before the link. */
static void spawned(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_asked *asked = ctx;
	struct install_engine *engine = install_engine_find(asked->in, asked->name);
	if (err->code && engine && !engine->ipc)
		fail(engine, err);
	else if (!err->code && engine)
		engine->adopted = json_is_true(json_object_get(reply->body, "adopted"));
	install_asked_free(asked);
}

static void spawn(struct install_engine *engine)
{
	struct install_asked *asked = install_asked_new(engine->in, engine->in->env->parent);
	memcpy(asked->name, engine->set, sizeof(engine->set));
	yg_timer_set(engine->timer, START_MS);
	yg_ipc_request(engine->in->env->parent, "spawn",
		json_pack("{s:s, s:s, s:{}, s:b}", "role", "am", "tag", engine->set, "args",
			"adopt", 1),
		NULL, 0, spawned, asked);
}

static void late(void *ctx)
{
	struct install_engine *engine = ctx;
	struct yg_err err = {0};
	if (engine->retired) {
		/* Its scans go on; it ends by itself when walk has let go of it too. */
		engine_free(engine);
		return;
	}
	if (engine->revived) {
		engine->revived = false;
		engine->up(engine->ctx, engine, &err);
		return;
	}
	(void)yg_fail_cause(&err, YG_EAGAIN, "engine.timeout", "the engine did not %s within %d s",
		engine->ready ? "judge its samples" : "load the content",
		(engine->ready ? TRIAL_MS : START_MS) / 1000);
	if (!engine->ready) {
		fail(engine, &err);
		return;
	}
	void (*tried)(void *, const struct yg_err *) = engine->tried;
	engine->tried = NULL;
	if (tried)
		tried(engine->ctx, &err);
}

struct install_engine *install_engine_find(struct install *in, const char *set)
{
	for (struct install_engine *engine = in->engines; engine; engine = engine->next)
		if (strcmp(engine->set, set) == 0 && !engine->retired)
			return engine;
	return NULL;
}

/* One that retired a moment ago is as good as new: it has the set loaded. */
static struct install_engine *revive(struct install *in, const char *set)
{
	for (struct install_engine *engine = in->engines; engine; engine = engine->next) {
		if (strcmp(engine->set, set) != 0 || !engine->retired)
			continue;
		engine->retired = false;
		engine->revived = true;
		yg_timer_set(engine->timer, 0); /* `up` comes from the loop, as always */
		return engine;
	}
	return NULL;
}

static void forget_retired(struct install *in)
{
	for (struct install_engine *engine = in->engines; engine;) {
		struct install_engine *next = engine->next;
		if (engine->retired)
			engine_free(engine);
		engine = next;
	}
}

struct install_engine *install_engine_new(struct install *in, const char *set,
	void (*up)(void *ctx, struct install_engine *engine, const struct yg_err *err),
	void (*down)(void *ctx, struct install_engine *engine), void *ctx)
{
	struct install_engine *engine = revive(in, set);
	if (engine) {
		engine->up = up;
		engine->down = down;
		engine->ctx = ctx;
		return engine;
	}
	forget_retired(in); /* no more than two at a time, but for scans that still run */
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		abort(); /* the parent starts us again */
	engine->in = in;
	engine->up = up;
	engine->down = down;
	engine->ctx = ctx;
	memcpy(engine->set, set, strlen(set) + 1);
	engine->timer = yg_loop_timer(in->env->loop, late, engine);
	engine->next = in->engines;
	in->engines = engine;
	spawn(engine);
	return engine;
}

void install_engine_end(struct install_engine *engine)
{
	if (!engine)
		return;
	end_process(engine->in, engine->set);
	engine_free(engine);
}

void install_engine_retire(struct install_engine *engine)
{
	if (!engine)
		return;
	engine->retired = true;
	yg_timer_set(engine->timer, RETIRE_MS);
}

void install_engine_free_all(struct install *in)
{
	while (in->engines)
		engine_free(in->engines);
}

/* ---- trial ---- */

struct install_trial {
	struct install_engine *engine;
	const struct yg_set *set;     /* borrowed from the run, which outlives the trial */
	size_t component, find, pass; /* next to send */
};

static int add_sample(struct install_trial *trial, const char *component, const char *path,
	json_t *names, int *fds, size_t *fd_count, struct yg_err *err)
{
	if (strcmp(path, "eicar") != 0) {
		int fd = yg_store_open_file(trial->engine->in->store, trial->set->digest, component,
			path, err);
		if (fd < 0)
			return -1;
		fds[(*fd_count)++] = fd;
	}
	return json_array_append_new(names, json_string(path)) == 0
		? 0
		: yg_fail_sys(err, ENOMEM, "naming a sample");
}

static void send_samples(struct install_trial *trial);

static void finish(struct install_trial *trial, const struct yg_err *err)
{
	struct install_engine *engine = trial->engine;
	void (*tried)(void *, const struct yg_err *) = engine->tried;
	engine->tried = NULL;
	yg_timer_stop(engine->timer);
	engine->trial = NULL;
	free(trial);
	if (tried)
		tried(engine->ctx, err);
}

static void judged(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_trial *trial = ctx;
	if (!trial->engine->tried)
		return; /* too late: it was given up */
	struct yg_err why = *err;
	if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "engine.crash",
			"the engine ended while it judged the samples of the new content");
	if (why.code)
		finish(trial, &why);
	else
		send_samples(trial);
}

static int collect(struct install_trial *trial, json_t *find, json_t *pass, int *fds,
	size_t *fd_count, struct yg_err *err)
{
	const struct yg_manifest *component = trial->set->components[trial->component];
	for (size_t n = 0; n < SAMPLES && trial->find < component->find_count; n++)
		if (add_sample(trial, component->component, component->find[trial->find++], find,
			    fds, fd_count, err) < 0)
			return -1;
	for (size_t n = 0; n < SAMPLES && trial->pass < component->pass_count; n++)
		if (add_sample(trial, component->component, component->pass[trial->pass++], pass,
			    fds, fd_count, err) < 0)
			return -1;
	return 0;
}

static bool is_for_engine(const struct yg_manifest *component)
{
	return strncmp(component->component, "am-", 3) == 0;
}

/* One message of samples; then, from its answer, the next. */
static void send_samples(struct install_trial *trial)
{
	const struct yg_set *set = trial->set;
	struct yg_err err = {0};
	for (; trial->component < set->count; trial->component++, trial->find = trial->pass = 0) {
		const struct yg_manifest *component = set->components[trial->component];
		if (is_for_engine(component) &&
			(trial->find < component->find_count ||
				trial->pass < component->pass_count))
			break;
	}
	if (trial->component == set->count) {
		finish(trial, &err);
		return;
	}
	json_t *find = json_array();
	json_t *pass = json_array();
	int fds[YG_IPC_FDS_MAX];
	size_t fd_count = 0;
	int rc = collect(trial, find, pass, fds, &fd_count, &err);
	json_t *body = json_pack("{s:o, s:o}", "find", find, "pass", pass);
	if (rc == 0) {
		yg_ipc_request(trial->engine->ipc, "am.trial", body, fds, fd_count, judged, trial);
	} else {
		json_decref(body);
		finish(trial, &err);
	}
	for (size_t i = 0; i < fd_count; i++)
		(void)close(fds[i]);
}

void install_engine_try(struct install_engine *engine, const struct yg_set *set,
	void (*done)(void *ctx, const struct yg_err *err), void *ctx)
{
	struct install_trial *trial = calloc(1, sizeof(*trial));
	if (!trial)
		abort();
	trial->engine = engine;
	trial->set = set;
	free(engine->trial);
	engine->trial = trial;
	engine->tried = done;
	engine->ctx = ctx;
	yg_timer_set(engine->timer, TRIAL_MS);
	send_samples(trial);
}
