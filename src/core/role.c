/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/role.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/super.h"

struct state {
	const struct yg_role *role;
	struct yg_role_env env;
	json_t *config; /* a reference of ours */
	void *self;
	bool started;
	int status;
};

static void fail(struct state *state, const char *what, const struct yg_err *err)
{
	yg_log_err(YG_LOG_ERROR, what, err);
	state->status = EXIT_FAILURE;
	yg_loop_stop(state->env.loop);
}

static void set_level(const json_t *body, const char *member)
{
	const char *name = NULL;
	enum yg_level level = YG_LOG_INFO;
	struct yg_err err = {0};
	if (yg_json_str_or(body, member, 16, "info", &name, &err) < 0 ||
		yg_log_level_parse(name, &level, &err) < 0)
		yg_log(YG_LOG_WARN, "role.log", "%s: %s", member, err.msg);
	else
		yg_log_level_set(level);
}

static void got_log(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	(void)ipc;
	set_level(msg->body, "level");
}

static void got_config(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct state *state = ctx;
	struct yg_err err = {0};
	if (state->started)
		return;
	state->config = json_incref(msg->body);
	state->env.config = state->config;
	if (yg_json_str_or(msg->body, "tag", 256, "", &state->env.tag, &err) < 0) {
		fail(state, "role.config", &err);
		return;
	}
	set_level(msg->body, "log_level");
	for (size_t i = 0; i < msg->fd_count; i++)
		state->env.fds[i] = yg_take_fd(msg->fds[i]);
	state->env.fd_count = msg->fd_count;
	if (state->role->start(&state->env, &state->self, &err) < 0) {
		fail(state, "role.start", &err);
		return;
	}
	state->started = true;
}

static void got_link(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct state *state = ctx;
	struct yg_err err = {0};
	const char *peer = NULL;
	const char *tag = NULL;
	if (!state->started || !state->role->link)
		return;
	if (yg_json_str(msg->body, "peer", 64, &peer, &err) < 0 ||
		yg_json_str_or(msg->body, "tag", 256, "", &tag, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "role.link", &err);
		return;
	}
	if (msg->fd_count != 1) {
		yg_log(YG_LOG_WARN, "role.link", "link to %s: want 1 descriptor, have %zu", peer,
			msg->fd_count);
		return;
	}
	state->role->link(state->self, peer, tag, yg_take_fd(msg->fds[0]));
}

static void got_stop(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	yg_loop_stop(((struct state *)ctx)->env.loop);
}

static void got_signal(void *ctx, int signo)
{
	(void)signo;
	yg_loop_stop(((struct state *)ctx)->env.loop);
}

static void parent_gone(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	yg_loop_stop(((struct state *)ctx)->env.loop);
}

static const struct yg_ipc_handler handlers[] = {
	{"config", got_config},
	{"link", got_link},
	{"stop", got_stop},
	{"log", got_log},
	{0},
};

static int run(struct state *state, struct yg_err *err)
{
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(err);
	if (!loop)
		return -1;
	state->env.loop = loop;
	if (yg_loop_signal(loop, SIGTERM, got_signal, state, err) < 0 ||
		yg_loop_signal(loop, SIGINT, got_signal, state, err) < 0)
		return -1;
	state->env.parent = yg_ipc_new(loop, YG_SUPER_FD, "parent", handlers, parent_gone, state,
		err);
	if (!state->env.parent)
		return -1;
	yg_loop_run(loop);
	if (state->role->stop)
		state->role->stop(state->self);
	yg_ipc_free(state->env.parent);
	return 0;
}

static const struct yg_role *find(int argc, char **argv, const struct yg_role *roles)
{
	if (argc == 3 && strcmp(argv[1], "--role") == 0)
		for (const struct yg_role *role = roles; role->name; role++)
			if (strcmp(role->name, argv[2]) == 0)
				return role;
	(void)fprintf(stderr,
		"%s is started by its parent program, as --role with one of:", argv[0]);
	for (const struct yg_role *role = roles; role->name; role++)
		(void)fprintf(stderr, " %s", role->name);
	(void)fputs("\n", stderr);
	return NULL;
}

static void take_ring(void)
{
	int fd YG_AUTO(fd) = fcntl(YG_SUPER_RING_FD, F_GETFD) < 0 ? -1 : YG_SUPER_RING_FD;
	struct yg_err err = {0};
	if (fd >= 0 && yg_log_ring(fd, &err) < 0)
		yg_log_err(YG_LOG_WARN, "role.ring", &err);
}

int yg_role_main(int argc, char **argv, const struct yg_role *roles)
{
	const struct yg_role *role = find(argc, argv, roles);
	if (!role)
		return 2;
	if (fcntl(YG_SUPER_FD, F_GETFD) < 0) {
		(void)fprintf(stderr, "%s: no channel to a parent program on descriptor %d\n",
			argv[0], YG_SUPER_FD);
		return 2;
	}
	yg_log_init(role->label, YG_LOG_INFO);
	take_ring();
	yg_log(YG_LOG_DEBUG, "role.start", "%s " YG_VERSION, role->name);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is EFBIG, not our end */

	struct state state = {.role = role, .env.tag = "", .status = EXIT_SUCCESS};
	struct yg_err err = {0};
	if (run(&state, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "role.start", &err);
		state.status = EXIT_FAILURE;
	}
	json_decref(state.config);
	return state.status;
}

void yg_role_ready(struct yg_role_env *env)
{
	struct yg_err err = {0};
	yg_log(YG_LOG_DEBUG, "role.ready", "the first work is done");
	if (yg_ipc_send(env->parent, "ready", NULL, NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "role.ready", &err);
}
