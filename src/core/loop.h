/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* One event loop a process, over libevent. Callbacks take their context first. Nothing here is
 * called from another thread.
 */

struct yg_loop;
struct event_base;

/* errors  YG_ESYSTEM */
struct yg_loop *yg_loop_new(struct yg_err *err) YG_MUST_CHECK;
void yg_loop_free(struct yg_loop *loop); /* after everything that hangs on it; NULL is fine */
YG_DEFINE_AUTO(yg_loop);

void yg_loop_run(struct yg_loop *loop);  /* until yg_loop_stop */
void yg_loop_stop(struct yg_loop *loop); /* from inside a callback */

/* For net/, which hangs libevent's HTTP server and libcurl on the same loop. */
struct event_base *yg_loop_base(struct yg_loop *loop);

/* A timer that fires once each time it is set. Free it before the loop; NULL is fine to free. */
struct yg_timer;
struct yg_timer *yg_loop_timer(struct yg_loop *loop, void (*fire)(void *ctx), void *ctx);
void yg_timer_set(struct yg_timer *timer, int64_t ms); /* from now; replaces an earlier setting */
void yg_timer_stop(struct yg_timer *timer);
void yg_timer_free(struct yg_timer *timer);

/* Call back whenever a descriptor is readable and/or writable, until freed. The descriptor stays
 * the caller's and must outlive the watch.
 */
#define YG_LOOP_READ  1u
#define YG_LOOP_WRITE 2u
struct yg_watch;
struct yg_watch *yg_loop_watch(struct yg_loop *loop, int fd, unsigned what,
	void (*ready)(void *ctx, unsigned what), void *ctx);
void yg_watch_want(struct yg_watch *watch,
	unsigned what); /* change what is waited for; 0: nothing */
void yg_watch_free(struct yg_watch *watch);

/* Call back for a signal, from the loop. One callback a signal. */
int yg_loop_signal(struct yg_loop *loop, int signo, void (*got)(void *ctx, int signo), void *ctx,
	struct yg_err *err) YG_MUST_CHECK;
