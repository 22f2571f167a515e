/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>

#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"

/* Threads for libraries that block, so that the loop of their process does not. A job owns its input
 * and its output, and shares nothing with other jobs but what its engine says may be shared.
 */

struct yg_pool;

#define YG_POOL_THREADS_MAX 64

/* Start `threads` threads; they inherit what the calling thread is allowed to do by then.
 * errors  YG_ESYSTEM
 */
struct yg_pool *yg_pool_new(struct yg_loop *loop, unsigned threads, struct yg_err *err)
	YG_MUST_CHECK;

/* Have `work(job)` called on one of the threads, in the order of these calls, and then
 * `done(ctx, job)` from the loop; done may free the pool, and always runs unless the pool is freed
 * before. `job` is the caller's, and must live until then.
 */
void yg_pool_run(struct yg_pool *pool, void (*work)(void *job), void (*done)(void *ctx, void *job),
	void *ctx, void *job);

/* Change how many threads take jobs, never waiting for any; what cannot be had leaves it as it was.
 * errors  YG_ESYSTEM
 */
int yg_pool_resize(struct yg_pool *pool, unsigned threads, struct yg_err *err) YG_MUST_CHECK;

size_t yg_pool_pending(const struct yg_pool *pool); /* jobs whose done has not run */

/* Forget the jobs that wait, and wait for those that run; `done` is called for neither. */
void yg_pool_free(struct yg_pool *pool);
YG_DEFINE_AUTO(yg_pool);
