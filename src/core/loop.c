/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define SIGNALS_MAX 8

struct signal_watch {
	struct event *event;
	void (*got)(void *ctx, int signo);
	void *ctx;
};

struct yg_loop {
	struct event_base *base;
	struct signal_watch signals[SIGNALS_MAX];
	size_t signal_count;
};

struct yg_timer {
	struct event *event;
	void (*fire)(void *ctx);
	void *ctx;
};

struct yg_watch {
	struct event_base *base;
	struct event *event;
	int fd;
	unsigned what;
	void (*ready)(void *ctx, unsigned what);
	void *ctx;
};

struct yg_loop *yg_loop_new(struct yg_err *err)
{
	struct yg_loop *loop YG_AUTO(yg_loop) = calloc(1, sizeof(*loop));
	if (loop)
		loop->base = event_base_new();
	if (!loop || !loop->base) {
		(void)yg_fail_sys(err, ENOMEM, "making the event loop");
		return NULL;
	}
	return yg_take(loop);
}

void yg_loop_free(struct yg_loop *loop)
{
	if (!loop)
		return;
	for (size_t i = 0; i < loop->signal_count; i++)
		event_free(loop->signals[i].event);
	if (loop->base) {
		/* libevent notes what came to a connection before it looks at it, and frees no connection that such a
		 * note is of, nor what belongs to it. Those noted when the loop was stopped are still there.
		 */
		(void)event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		event_base_free(loop->base);
	}
	free(loop);
}

void yg_loop_run(struct yg_loop *loop)
{
	(void)event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void yg_loop_stop(struct yg_loop *loop)
{
	(void)event_base_loopbreak(loop->base);
}

struct event_base *yg_loop_base(struct yg_loop *loop)
{
	return loop->base;
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct yg_timer *timer = arg;
	timer->fire(timer->ctx);
}

/* Out of memory while a role builds itself is fatal by assert: its parent starts it again. */
struct yg_timer *yg_loop_timer(struct yg_loop *loop, void (*fire)(void *ctx), void *ctx)
{
	struct yg_timer *timer = calloc(1, sizeof(*timer));
	assert(timer);
	timer->fire = fire;
	timer->ctx = ctx;
	timer->event = evtimer_new(loop->base, timer_fired, timer);
	assert(timer->event);
	return timer;
}

void yg_timer_set(struct yg_timer *timer, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	(void)evtimer_add(timer->event, &after);
}

void yg_timer_stop(struct yg_timer *timer)
{
	(void)evtimer_del(timer->event);
}

void yg_timer_free(struct yg_timer *timer)
{
	if (!timer)
		return;
	event_free(timer->event);
	free(timer);
}

static void watch_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct yg_watch *watch = arg;
	watch->ready(watch->ctx,
		((what & EV_READ) ? YG_LOOP_READ : 0u) | ((what & EV_WRITE) ? YG_LOOP_WRITE : 0u));
}

struct yg_watch *yg_loop_watch(struct yg_loop *loop, int fd, unsigned what,
	void (*ready)(void *ctx, unsigned what), void *ctx)
{
	struct yg_watch *watch = calloc(1, sizeof(*watch));
	assert(watch);
	watch->base = loop->base;
	watch->fd = fd;
	watch->ready = ready;
	watch->ctx = ctx;
	watch->event = event_new(loop->base, fd, EV_PERSIST, watch_ready, watch);
	assert(watch->event);
	yg_watch_want(watch, what);
	return watch;
}

void yg_watch_want(struct yg_watch *watch, unsigned what)
{
	if (watch->what == what)
		return;
	watch->what = what;
	short events = (short)(EV_PERSIST | ((what & YG_LOOP_READ) ? EV_READ : 0) |
		((what & YG_LOOP_WRITE) ? EV_WRITE : 0));
	(void)event_del(watch->event);
	(void)event_assign(watch->event, watch->base, watch->fd, events, watch_ready, watch);
	if (what)
		(void)event_add(watch->event, NULL);
}

void yg_watch_free(struct yg_watch *watch)
{
	if (!watch)
		return;
	event_free(watch->event);
	free(watch);
}

static void signal_got(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct signal_watch *watch = arg;
	watch->got(watch->ctx, signo);
}

int yg_loop_signal(struct yg_loop *loop, int signo, void (*got)(void *ctx, int signo), void *ctx,
	struct yg_err *err)
{
	assert(loop->signal_count < SIGNALS_MAX);
	struct signal_watch *watch = &loop->signals[loop->signal_count];
	watch->got = got;
	watch->ctx = ctx;
	watch->event = evsignal_new(loop->base, signo, signal_got, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0)
		return yg_fail_sys(err, ENOMEM, "watching signal %d", signo);
	loop->signal_count++;
	return 0;
}
