/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"

/* What fetch brings comes through a pipe and is written here: fetch holds no file at all, so that it cannot
 * change one after somebody looked at it, nor fill the disk.
 */
struct install_run_pipe;

/* in      out    a file, written at its present position; borrowed until the pipe is freed
 *         max    bytes that are accepted
 *         moved  called when bytes came; may be NULL
 * out     *end   where fetch writes (blocking); the caller's to close, once it is sent
 * errors  YG_ESYSTEM
 */
struct install_run_pipe *install_run_pipe_new(struct yg_loop *loop, int out, uint64_t max,
	void (*moved)(void *ctx), void *ctx, int *end, struct yg_err *err) YG_MUST_CHECK;
void install_run_pipe_free(struct install_run_pipe *pipe);
YG_DEFINE_AUTO(install_run_pipe);

/* fetch says that it has written all: take what is still in the pipe. What comes later is nobody's.
 * errors  why writing went wrong, now or before: YG_ESYSTEM; YG_ELIMIT more than `max`
 */
int install_run_pipe_finish(struct install_run_pipe *pipe, struct yg_err *err) YG_MUST_CHECK;

uint64_t install_run_pipe_bytes(const struct install_run_pipe *pipe); /* written so far */
