/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/str.h"

/* fetch and verify: two processes for one run, started afresh and ended with it. */

static void ended(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	(void)err; /* gone already is what we wanted */
}

void install_run_helper_end(struct install_run *r)
{
	struct install_run_helper *const helpers[] = {&r->fetch, &r->verify};
	for (size_t i = 0; i < YG_COUNT(helpers); i++) {
		if (helpers[i]->ipc || r->spawning)
			yg_ipc_request(r->in->env->parent, "end",
				json_pack("{s:s, s:s}", "role", helpers[i]->role, "tag", r->tag),
				NULL, 0, ended, NULL);
		yg_ipc_free(helpers[i]->ipc);
		helpers[i]->ipc = NULL;
	}
	install_run_pipe_free(yg_take(r->pipe));
	if (r->tuf_fd >= 0)
		(void)close(yg_take_fd(r->tuf_fd));
	r->tuf_id = 0;
	r->spawning = false;
	r->begun = false;
}

static void helper_closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	struct install_run_helper *helper = ctx;
	struct install_run *r = helper->run;
	install_run_helper_end(r);
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted",
		"the %s process ended unexpectedly", helper->role);
	yg_log_err(YG_LOG_WARN, "update.helper", &why);
	/* Its own request has failed already, and led on; one at the other helper never answers now. */
	if (r->run.state == YG_RUN_PLAN || r->run.state == YG_RUN_FETCH ||
		r->run.state == YG_RUN_VERIFY)
		install_run_fail(r, &why);
}

static void spawn_done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_asked *asked = ctx;
	struct install_run *r = asked->in->run;
	bool ours = r && r->spawning && strcmp(r->tag, asked->name) == 0;
	install_asked_free(asked);
	if (err->code && ours) {
		struct yg_err why = *err;
		install_run_helper_end(r);
		if (!why.cause[0])
			(void)yg_fail_cause(&why, YG_ESYSTEM, "system.error", "%s", err->msg);
		install_run_fail_here(r, &why);
	}
}

void install_run_helper_spawn(struct install_run *r)
{
	r->spawning = true;
	r->begun = false;
	(void)!yg_str_put(r->tag, sizeof(r->tag), "run-%ld-%u", (long)getpid(), r->in->serial++);
	static const char *const roles[] = {"fetch", "verify"};
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		struct install_asked *asked = install_asked_new(r->in, r->in->env->parent);
		memcpy(asked->name, r->tag, sizeof(r->tag));
		yg_ipc_request(r->in->env->parent, "spawn",
			json_pack("{s:s, s:s, s:{}}", "role", roles[i], "tag", r->tag, "args"),
			NULL, 0, spawn_done, asked);
	}
}

void install_run_helper_late(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "update.timeout", "%s: no answer in time",
		yg_run_state_name(r->run.state));
	install_run_helper_end(r);
	install_run_fail(r, &why);
}

static void got(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = yg_take(r->pipe);
	r->came_bytes += install_run_pipe_bytes(pipe);
	struct yg_err why = *err;
	struct yg_err own = {0};
	if (install_run_pipe_finish(pipe, &own) < 0)
		why = own; /* fetch only saw that nobody read any more */
	r->got(r, reply, &why);
}

static uint64_t number(const json_t *body, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(body, key));
}

void install_run_helper_get(struct install_run *r, json_t *body, int fd, yg_ipc_done *done)
{
	struct yg_ipc_msg none = {.body = NULL};
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	if (!r->fetch.ipc || r->pipe)
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"there is no process that fetches");
	else
		r->pipe = install_run_pipe_new(r->in->env->loop, fd,
			number(body, "max") - number(body, "offset"), install_run_fetch_progress, r,
			&end, &err);
	if (err.code) {
		json_decref(body);
		done(r, &none, &err);
		return;
	}
	const int fds[] = {end, r->bundle};
	r->got = done;
	r->requests++;
	yg_ipc_request(r->fetch.ipc, "fetch.get", body, fds, r->bundle < 0 ? 1 : 2, got, r);
}

static const struct yg_ipc_handler fetch_asks[] = {{0}};

void install_run_helper_link(struct install *in, const char *peer, const char *tag, int fd)
{
	int owned YG_AUTO(fd) = fd;
	struct install_run *r = in->run;
	struct yg_err err = {0};
	if (!r || strcmp(tag, r->tag) != 0)
		return;
	bool is_fetch = strcmp(peer, "fetch") == 0;
	struct install_run_helper *helper = is_fetch ? &r->fetch : &r->verify;
	yg_ipc_free(helper->ipc);
	helper->ipc = yg_ipc_new(in->env->loop, yg_take_fd(owned), peer,
		is_fetch ? fetch_asks : install_run_tuf_asks, helper_closed, helper, &err);
	if (!helper->ipc) {
		install_run_fail_here(r, &err);
		return;
	}
	if (!r->spawning || !r->fetch.ipc || !r->verify.ipc)
		return;
	r->spawning = false;
	yg_ipc_request(r->verify.ipc, "verify.begin",
		json_pack("{s:I}", "now", (json_int_t)yg_clock_now_s()), NULL, 0,
		install_run_plan_begun, r);
}
