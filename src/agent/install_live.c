/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/install_impl.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"

/* The engine of what `lib` leads to always runs: it comes back with back-off, as often as it ends. Three
 * ends within a minute are the content's fault more likely than not: then the set before comes back
 * by itself, if there is one (T15, E5).
 */

#define BACKOFF_MIN 100   /* ms */
#define BACKOFF_MAX 30000 /* ms */
#define NEW_S       86400
#define WATCH_PARTS 4     /* of its silence: how often it is asked */
#define STEADY_MS   10000 /* having lived so long, the next end is a new story */

static void up(void *ctx, struct install_engine *engine, const struct yg_err *err);
static void down(void *ctx, struct install_engine *engine);

static bool any_comes(const struct install *in)
{
	for (const struct install_engine *engine = in->engines; engine; engine = engine->next)
		if (!engine->retired)
			return true;
	return in->live.pending;
}

/* walk has scans that wait for an engine: for one that comes, not for one that does not. */
void install_live_tell(struct install *in)
{
	const struct install_live *live = &in->live;
	struct yg_err err = {0};
	bool comes = live->engine || any_comes(in);
	if (in->walk &&
		yg_ipc_send(in->walk, "engine.state",
			json_pack("{s:b, s:s, s:s}", "comes", comes, "cause",
				comes ? "" : live->why.cause, "message",
				comes ? "" : live->why.msg),
			NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "engine.state", &err);
}

bool install_live_wants(const struct yg_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (strncmp(set->components[i]->component, "am-", 3) == 0)
			return true;
	return false;
}

static bool wants_engine(struct install *in, const char *digest)
{
	struct yg_err err = {0};
	struct yg_set *set YG_AUTO(yg_set) = yg_store_set(in->store, digest, &err);
	return set && install_live_wants(set);
}

/* Not even one start with half of a set: what keeps clean files clean may be in the other half. */
static void refuse_damaged(struct install *in, const char *lib)
{
	struct install_live *live = &in->live;
	(void)yg_fail_cause(&live->why, YG_EABSENT, "store.object_damaged",
		"files of the live set %.12s are missing: the next update fetches them", lib);
	if (!live->offline) {
		live->offline_ms = yg_clock_mono_ms();
		install_event(in, 20101,
			json_pack("{s:s, s:s}", "cause", live->why.cause, "detail", live->why.msg));
	}
	live->offline = true;
	install_changed(in);
}

static void ensure(struct install *in)
{
	struct install_live *live = &in->live;
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	live->pending = false;
	if (live->engine && strcmp(live->engine->set, lib) == 0)
		return;
	if (!lib[0] || !wants_engine(in, lib)) {
		(void)yg_fail_cause(&live->why, YG_EABSENT, "engine.absent",
			lib[0] ? "the live set has no content for the engine"
			       : "there is no content on this computer yet");
		install_engine_retire(live->engine);
		live->engine = NULL;
		return;
	}
	if (in->back || install_engine_find(in, lib))
		return; /* one comes already */
	if (!yg_store_whole(in->store, lib)) {
		refuse_damaged(in, lib);
		return;
	}
	(void)install_engine_new(in, lib, up, down, in);
}

void install_live_ensure(struct install *in)
{
	ensure(in);
	install_live_tell(in);
}

static void again(void *ctx)
{
	install_live_ensure(ctx);
}

static void back_done(void *ctx, const struct yg_err *err)
{
	struct install *in = ctx;
	if (err->code)
		yg_log_err(YG_LOG_ERROR, "engine.rollback", err);
	install_live_ensure(in);
}

/* Returns true when this end makes a crash loop of them. */
static bool is_loop(struct install_live *live)
{
	int64_t now = yg_clock_mono_ms();
	memmove(live->crashes, live->crashes + 1, sizeof(live->crashes) - sizeof(live->crashes[0]));
	live->crashes[INSTALL_CRASHES_MAX - 1] = now;
	return live->crashes[0] != 0 && now - live->crashes[0] < INSTALL_CRASH_MS;
}

/* Content that has done for a day is not what suddenly ends the engine; a file that is scanned may be. */
static bool is_new(struct install *in)
{
	struct stat st;
	return fstatat(in->root, "lib", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		yg_clock_now_s() - st.st_mtime < NEW_S;
}

static void lost(struct install *in, const struct yg_err *why)
{
	struct install_live *live = &in->live;
	char roll[YG_SHA256_TEXT];
	live->why = *why;
	if (!live->offline)
		install_event(in, 20101,
			json_pack("{s:s, s:s}", "cause", why->cause, "detail", why->msg));
	if (!live->offline)
		live->offline_ms = yg_clock_mono_ms();
	live->offline = true;
	install_changed(in);

	yg_store_link(in->store, YG_STORE_ROLL, roll);
	if (is_loop(live) && is_new(in) && roll[0] && !in->back && !in->run) {
		memset(live->crashes, 0, sizeof(live->crashes));
		yg_log(YG_LOG_ERROR, "engine.crash_loop",
			"the engine ended %d times within %d s with the present content, going back to the set before",
			INSTALL_CRASHES_MAX, INSTALL_CRASH_MS / 1000);
		install_back_start(in, "crash_loop", back_done, in);
		return;
	}
	yg_log(YG_LOG_WARN, "engine.offline", "%s, starting again in %lld ms", why->msg,
		(long long)live->backoff_ms);
	live->pending = true;
	yg_timer_set(live->again, live->backoff_ms);
	live->backoff_ms = live->backoff_ms * 2 < BACKOFF_MAX ? live->backoff_ms * 2 : BACKOFF_MAX;
}

static void up(void *ctx, struct install_engine *engine, const struct yg_err *err)
{
	struct install *in = ctx;
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	if (err->code) {
		if (strcmp(lib, engine->set) != 0)
			install_live_ensure(in);
		else
			lost(in, err);
		return;
	}
	if (strcmp(lib, engine->set) == 0) {
		install_live_take(in, engine);
		return;
	}
	install_engine_retire(engine); /* lib moved on while it loaded */
	install_live_ensure(in);
}

static void down(void *ctx, struct install_engine *engine)
{
	struct install *in = ctx;
	struct install_live *live = &in->live;
	struct yg_err why = {0};
	if (live->engine != engine)
		return;
	live->engine = NULL;
	if (yg_clock_mono_ms() - live->since_ms > STEADY_MS)
		live->backoff_ms = BACKOFF_MIN;
	(void)yg_fail_cause(&why, YG_EAGAIN, "engine.crash",
		"the engine process ended unexpectedly");
	install_event(in, 3700, json_pack("{s:s, s:s}", "process", "am", "detail", why.msg));
	lost(in, &why);
}

/* ---- an engine that hangs (E5) ---- */

static void hangs(struct install *in, const struct yg_err *why)
{
	struct install_live *live = &in->live;
	live->asked_ms = 0;
	install_engine_end(yg_take(live->engine));
	install_event(in, 3700, json_pack("{s:s, s:s}", "process", "am", "detail", why->msg));
	lost(in, why);
}

/* It answers also while its threads scan. What counts is the file that takes longest: it may wait for a change of the
 * configuration, which waits for another file, and then take its own time.
 */
static void answered(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_asked *asked = ctx;
	struct install *in = asked->in;
	struct install_live *live = &in->live;
	bool is_live = live->engine && asked->of == live->engine->ipc;
	struct yg_err why = {0};
	install_asked_free(asked);
	if (!is_live)
		return; /* one that has retired */
	live->asked_ms = 0;
	if (err->code)
		return; /* that it has ended is known by other ways */
	int64_t slowest = json_integer_value(json_object_get(reply->body, "slowest_ms"));
	int64_t allowed = json_integer_value(json_object_get(reply->body, "scan_max_ms"));
	if (slowest < 2 * allowed + live->silence_ms)
		return;
	(void)yg_fail_cause(&why, YG_EAGAIN, "engine.timeout",
		"the engine is busy with one file for %lld s, want %lld s at most",
		(long long)(slowest / 1000), (long long)(allowed / 1000));
	hangs(in, &why);
}

static void watch(void *ctx)
{
	struct install *in = ctx;
	struct install_live *live = &in->live;
	struct install_engine *engine = live->engine;
	int64_t now = yg_clock_mono_ms();
	struct yg_err why = {0};
	yg_timer_set(live->watch, live->silence_ms / WATCH_PARTS);
	if (!engine)
		return;
	if (live->asked_ms == 0) {
		live->asked_ms = now;
		yg_ipc_request(engine->ipc, "am.abi", NULL, NULL, 0, answered,
			install_asked_new(in, engine->ipc));
		return;
	}
	if (now - live->asked_ms < live->silence_ms)
		return;
	(void)yg_fail_cause(&why, YG_EAGAIN, "engine.timeout",
		"the engine has not answered for %lld s", (long long)(live->silence_ms / 1000));
	hangs(in, &why);
}

static void connected(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install *in = ctx;
	struct yg_err why = {0};
	if (err->code) {
		yg_log_err(YG_LOG_WARN, "engine.connect", err);
		return;
	}
	if (in->live.engine && in->walk &&
		yg_ipc_send(in->walk, "engine.changed",
			json_pack("{s:s}", "tag", in->live.engine->set), NULL, 0, &why) < 0)
		yg_log_err(YG_LOG_WARN, "engine.changed", &why);
}

void install_live_join(struct install *in)
{
	install_live_tell(in);
	if (!in->live.engine || !in->walk)
		return;
	yg_ipc_request(in->env->parent, "connect",
		json_pack("{s:s, s:s, s:s}", "role", "am", "tag", in->live.engine->set, "to",
			"walk"),
		NULL, 0, connected, in);
}

void install_live_take(struct install *in, struct install_engine *engine)
{
	struct install_live *live = &in->live;
	struct install_engine *old = live->engine;
	yg_timer_stop(live->again);
	live->pending = false;
	live->why = (struct yg_err){0};
	engine->down = down;
	engine->ctx = in;
	live->engine = engine;
	live->since_ms = yg_clock_mono_ms();
	live->asked_ms = 0;
	install_live_join(in);
	if (old && old != engine)
		install_engine_retire(old);
	if (live->offline)
		install_event(in, 20102,
			json_pack("{s:I, s:I}", "signatures", (json_int_t)engine->signatures,
				"seconds",
				(json_int_t)((live->since_ms - live->offline_ms) / 1000)));
	live->offline = false;
	install_changed(in);
}

json_t *install_live_status(struct install *in)
{
	const struct install_live *live = &in->live;
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	if (live->engine)
		return json_pack("{s:s, s:s, s:I, s:I}", "state", "online", "reason", "",
			"signatures", (json_int_t)live->engine->signatures, "memory_bytes",
			(json_int_t)live->engine->memory_bytes);
	bool none = !lib[0] || !wants_engine(in, lib);
	return json_pack("{s:s, s:s, s:i, s:i}", "state", none ? "none" : "offline", "reason",
		live->why.code ? live->why.cause : "", "signatures", 0, "memory_bytes", 0);
}

void install_live_init(struct install *in)
{
	in->live.again = yg_loop_timer(in->env->loop, again, in);
	in->live.backoff_ms = BACKOFF_MIN;
	in->live.silence_ms = 1000 *
		json_integer_value(json_object_get(in->env->config, "engine_silence_s"));
	in->live.watch = yg_loop_timer(in->env->loop, watch, in);
	if (in->live.silence_ms > 0)
		yg_timer_set(in->live.watch, in->live.silence_ms / WATCH_PARTS);
}

void install_live_done(struct install *in)
{
	yg_timer_free(in->live.again);
	in->live.again = NULL;
	yg_timer_free(in->live.watch);
	in->live.watch = NULL;
}
