/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/install_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

/* The watch over the live engine, with engines that only answer it. */

#define SILENCE_MS 1000000
#define SCAN_MS    1000 /* what a file may take */

struct am {
	struct world *w;
	struct install_engine *engine; /* of install; gone when it was ended */
	struct yg_ipc *ipc;
	uint32_t asked; /* id of am.abi; 0: not */
};

struct world {
	char path[64];
	struct yg_loop *loop;
	struct yg_role_env env;
	struct install in;
	struct yg_ipc *parent;
	struct am ams[2];
	bool ended; /* the parent was asked to end an engine */
};

static void on_abi(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct am *am = ctx;
	am->asked = msg->id;
	yg_loop_stop(am->w->loop);
}

static void on_end(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	struct world *w = ctx;
	w->ended = true;
	yg_loop_stop(w->loop);
}

static void on_seen(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	yg_loop_stop(((struct am *)ctx)->w->loop);
}

static void never(void *ctx)
{
	(void)ctx;
}

static const struct yg_ipc_handler at_am[] = {{"am.abi", on_abi}, {0}};
static const struct yg_ipc_handler at_parent[] = {{"end", on_end}, {0}};
static const struct yg_ipc_handler at_install[] = {{"seen", on_seen}, {0}};

static struct yg_ipc *channel(const struct world *w, const struct yg_ipc_handler *handlers,
	void *ctx, struct yg_ipc **other, const struct yg_ipc_handler *others)
{
	struct yg_err err = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*other = yg_ipc_new(w->loop, pair[1], "other", others, NULL, ctx, &err);
	struct yg_ipc *ipc = yg_ipc_new(w->loop, pair[0], "test", handlers, NULL, ctx, &err);
	assert_true(ipc && *other);
	return ipc;
}

static void start_engine(struct world *w, struct am *am, const char *set)
{
	struct install_engine *engine = calloc(1, sizeof(*engine));
	assert_non_null(engine);
	*engine = (struct install_engine){.in = &w->in, .next = w->in.engines, .ready = true};
	memcpy(engine->set, set, strlen(set) + 1);
	engine->timer = yg_loop_timer(w->loop, never, NULL);
	w->in.engines = engine;
	*am = (struct am){.w = w, .engine = engine};
	am->ipc = channel(w, at_am, am, &engine->ipc, at_install);
	install_live_take(&w->in, engine);
}

static int set_up(void **state)
{
	static struct world w;
	struct yg_err err = {0};
	w = (struct world){.path = "/tmp/yagura-live-XXXXXX"};
	assert_non_null(mkdtemp(w.path));
	w.loop = yg_loop_new(&err);
	assert_non_null(w.loop);
	w.env = (struct yg_role_env){.loop = w.loop,
		.config = json_pack("{s:i}", "engine_silence_s", 0)};
	w.parent = channel(&w, at_parent, &w, &w.env.parent, NULL);
	w.in = (struct install){.env = &w.env, .events = json_array()};
	w.in.root = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.in.store = yg_store_open(w.in.root, &err);
	assert_non_null(w.in.store);
	install_live_init(&w.in);
	w.in.live.silence_ms = SILENCE_MS;
	start_engine(&w, &w.ams[0], "first");
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct yg_err err = {0};
	install_live_done(&w->in);
	install_engine_free_all(&w->in);
	install_asked_lost(&w->in, NULL);
	yg_store_free(w->in.store);
	json_decref(w->in.events);
	json_decref(w->env.config);
	(void)close(w->in.root);
	for (size_t i = 0; i < YG_COUNT(w->ams); i++)
		yg_ipc_free(w->ams[i].ipc);
	yg_ipc_free(w->env.parent);
	yg_ipc_free(w->parent);
	yg_loop_free(w->loop);
	return yg_fs_remove(AT_FDCWD, w->path, &err);
}

static void wait_asked(struct world *w, const struct am *am)
{
	yg_timer_set(w->in.live.watch, 0);
	while (!am->asked)
		yg_loop_run(w->loop);
}

static void answer(struct am *am, json_t *body)
{
	struct yg_err err = {0};
	yg_ipc_reply(am->ipc, am->asked, body, NULL, 0);
	assert_int_equal(yg_ipc_send(am->ipc, "seen", NULL, NULL, 0, &err), 0);
	yg_loop_run(am->w->loop);
}

static json_t *busy_for(int64_t ms)
{
	return json_pack("{s:I, s:i}", "slowest_ms", (json_int_t)ms, "scan_max_ms", SCAN_MS);
}

static void is_not_busy(void **state)
{
	struct world *w = *state;
	wait_asked(w, &w->ams[0]);
	assert_true(w->in.live.asked_ms != 0);
	answer(&w->ams[0], json_object());
	assert_true(w->in.live.asked_ms == 0);
	assert_false(w->ended);
}

/* One that waits for a change of the configuration, which waits for a file. */
static void is_busy_for_long(void **state)
{
	struct world *w = *state;
	wait_asked(w, &w->ams[0]);
	answer(&w->ams[0], busy_for(2 * SCAN_MS + SILENCE_MS - 1));
	assert_true(w->in.live.asked_ms == 0);
	assert_false(w->ended);
	assert_ptr_equal(w->in.live.engine, w->ams[0].engine);
}

static void hangs_in_a_file(void **state)
{
	struct world *w = *state;
	wait_asked(w, &w->ams[0]);
	answer(&w->ams[0], busy_for(2 * SCAN_MS + SILENCE_MS));
	assert_true(w->ended);
	assert_null(w->in.live.engine);
	assert_string_equal(w->in.live.why.cause, "engine.timeout");
	assert_string_equal(w->in.live.why.msg,
		"the engine is busy with one file for 1002 s, want 1 s at most");
	assert_true(w->in.live.pending); /* another one comes */
}

static void who_retired_answers_for_nobody(void **state)
{
	struct world *w = *state;
	wait_asked(w, &w->ams[0]);
	start_engine(w, &w->ams[1], "second");
	wait_asked(w, &w->ams[1]);
	answer(&w->ams[0], busy_for(2 * SCAN_MS + SILENCE_MS));
	assert_true(w->in.live.asked_ms != 0);
	assert_false(w->ended);
	answer(&w->ams[1], busy_for(0));
	assert_true(w->in.live.asked_ms == 0);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(is_not_busy),
		ROW(is_busy_for_long),
		ROW(hangs_in_a_file),
		ROW(who_retired_answers_for_nobody),
	};
	return cmocka_run_group_tests_name("agent/install_live", tests, NULL, NULL);
}
