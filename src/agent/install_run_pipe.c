/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/install_run_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fs.h"

#define CHUNK     (64u << 10)
#define TURN_MAX  16          /* chunks before others on the loop get their turn */
#define PIPE_SIZE (256 << 10) /* bytes; smaller is fine */

struct install_run_pipe {
	struct yg_loop *loop;
	struct yg_watch *watch;
	int in, out;
	uint64_t max, bytes;
	void (*moved)(void *ctx);
	void *ctx;
	struct yg_err err;
	uint8_t chunk[CHUNK];
};

static void stop(struct install_run_pipe *pipe)
{
	yg_watch_free(pipe->watch);
	pipe->watch = NULL;
	if (pipe->in >= 0)
		(void)close(yg_take_fd(pipe->in));
}

/* Returns 1 when there may be more, 0 when not now, -1 when it is over. */
static int take(struct install_run_pipe *pipe)
{
	ssize_t n = read(pipe->in, pipe->chunk, sizeof(pipe->chunk));
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return yg_fail_sys(&pipe->err, errno, "reading from fetch");
	if (n == 0)
		return -1;
	if ((uint64_t)n > pipe->max - pipe->bytes)
		return yg_fail_cause(&pipe->err, YG_ELIMIT, "content.size",
			"want at most %llu bytes, more came", (unsigned long long)pipe->max);
	if (yg_fs_write_all(pipe->out, pipe->chunk, (size_t)n, &pipe->err) < 0) {
		bool full = pipe->err.sys == ENOSPC || pipe->err.sys == EDQUOT;
		struct yg_err why = pipe->err;
		return yg_fail_cause(&pipe->err, YG_ESYSTEM, full ? "store.disk_full" : "store.io",
			"storing what comes: %s", why.msg);
	}
	pipe->bytes += (uint64_t)n;
	return 1;
}

static void on_readable(void *ctx, unsigned what)
{
	(void)what;
	struct install_run_pipe *pipe = ctx;
	int rc = 1;
	for (int i = 0; i < TURN_MAX && rc > 0; i++)
		rc = take(pipe);
	if (rc < 0)
		stop(pipe); /* fetch finds nobody that reads, and gives up */
	if (pipe->moved)
		pipe->moved(pipe->ctx);
}

struct install_run_pipe *install_run_pipe_new(struct yg_loop *loop, int out, uint64_t max,
	void (*moved)(void *ctx), void *ctx, int *end, struct yg_err *err)
{
	struct install_run_pipe *made YG_AUTO(install_run_pipe) = calloc(1, sizeof(*made));
	int ends[2] = {-1, -1};
	if (!made) {
		(void)yg_fail_sys(err, ENOMEM, "making a pipe");
		return NULL;
	}
	made->in = -1;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		(void)yg_fail_sys(err, errno, "making a pipe");
		return NULL;
	}
	made->in = ends[0];
	int write_end YG_AUTO(fd) = ends[1];
	if (fcntl(made->in, F_SETFL, O_NONBLOCK) < 0) {
		(void)yg_fail_sys(err, errno, "making a pipe");
		return NULL;
	}
	(void)fcntl(made->in, F_SETPIPE_SZ, PIPE_SIZE);
	made->loop = loop;
	made->out = out;
	made->max = max;
	made->moved = moved;
	made->ctx = ctx;
	made->watch = yg_loop_watch(loop, made->in, YG_LOOP_READ, on_readable, made);
	*end = yg_take_fd(write_end);
	return yg_take(made);
}

void install_run_pipe_free(struct install_run_pipe *pipe)
{
	if (!pipe)
		return;
	stop(pipe);
	free(pipe);
}

int install_run_pipe_finish(struct install_run_pipe *pipe, struct yg_err *err)
{
	int rc = pipe->in < 0 ? -1 : 1;
	while (rc > 0)
		rc = take(pipe);
	stop(pipe);
	if (!pipe->err.code)
		return 0;
	*err = pipe->err;
	return -1;
}

uint64_t install_run_pipe_bytes(const struct install_run_pipe *pipe)
{
	return pipe->bytes;
}
