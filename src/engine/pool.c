/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* One queue in, one queue out, one lock over both; an eventfd wakes the loop. All but the threads'
 * own function is called on the loop's thread, so `pending`, `threads` and `running` need no lock.
 */
#include "engine/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
	struct job *next;
	void (*work)(void *job);
	void (*done)(void *ctx, void *job);
	void *ctx;
	void *job;
};

struct queue {
	struct job *first, *last;
};

struct yg_pool {
	pthread_mutex_t lock;
	pthread_cond_t come; /* something in `in`, or `wanted` or `stop` changed */
	struct queue in, out;
	unsigned wanted; /* threads that take jobs, the others wait; under the lock */
	bool stop;       /* under the lock */
	int wake;        /* eventfd, readable while `out` has something */
	struct yg_watch *watch;
	pthread_t threads[YG_POOL_THREADS_MAX];
	unsigned running; /* of threads[] */
	size_t pending;
	bool *alive; /* on the stack of drain(); NULL outside */
};

/* What one thread is given. */
struct seat {
	struct yg_pool *pool;
	unsigned index;
};

static void push(struct queue *queue, struct job *job)
{
	job->next = NULL;
	if (queue->last)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
}

static struct job *shift(struct queue *queue)
{
	struct job *job = queue->first;
	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = NULL;
	return job;
}

static void *run(void *arg)
{
	struct seat seat = *(struct seat *)arg;
	struct yg_pool *pool = seat.pool;
	free(arg);
	(void)pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		struct job *job = seat.index < pool->wanted ? shift(&pool->in) : NULL;
		if (!job) {
			(void)pthread_cond_wait(&pool->come, &pool->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&pool->lock);
		job->work(job->job);
		(void)pthread_mutex_lock(&pool->lock);
		push(&pool->out, job);
		uint64_t one = 1;
		/* Can only fail when the counter is full, and then the loop is awake. */
		if (write(pool->wake, &one, sizeof(one)) < 0)
			assert(errno == EAGAIN);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Call back for all that is done. The callback may free the pool: then we must not look at it. */
static void drain(void *ctx, unsigned what)
{
	(void)what;
	struct yg_pool *pool = ctx;
	bool alive = true;
	pool->alive = &alive;
	uint64_t count;
	(void)!read(pool->wake, &count, sizeof(count)); /* EAGAIN: nothing to clear */
	while (alive) {
		(void)pthread_mutex_lock(&pool->lock);
		struct job *job = shift(&pool->out);
		(void)pthread_mutex_unlock(&pool->lock);
		if (!job)
			break;
		pool->pending--;
		job->done(job->ctx, job->job);
		free(job);
	}
	if (alive)
		pool->alive = NULL;
}

static int start_thread(struct yg_pool *pool, struct yg_err *err)
{
	struct seat *seat = malloc(sizeof(*seat));
	if (!seat)
		return yg_fail_sys(err, ENOMEM, "starting thread %u", pool->running);
	*seat = (struct seat){pool, pool->running};
	int r = pthread_create(&pool->threads[pool->running], NULL, run, seat);
	if (r != 0) {
		free(seat);
		return yg_fail_sys(err, r, "starting thread %u", pool->running);
	}
	pool->running++;
	return 0;
}

static void want(struct yg_pool *pool, unsigned threads, bool stop)
{
	(void)pthread_mutex_lock(&pool->lock);
	pool->wanted = threads;
	pool->stop = stop;
	(void)pthread_cond_broadcast(&pool->come);
	(void)pthread_mutex_unlock(&pool->lock);
}

int yg_pool_resize(struct yg_pool *pool, unsigned threads, struct yg_err *err)
{
	assert(threads >= 1 && threads <= YG_POOL_THREADS_MAX);
	while (pool->running < threads)
		if (start_thread(pool, err) < 0)
			return -1;
	want(pool, threads, false);
	return 0;
}

static void drop(struct queue *queue)
{
	for (struct job *job; (job = shift(queue));)
		free(job);
}

void yg_pool_free(struct yg_pool *pool)
{
	if (!pool)
		return;
	want(pool, 0, true);
	while (pool->running > 0)
		(void)pthread_join(pool->threads[--pool->running], NULL);
	if (pool->alive)
		*pool->alive = false;
	drop(&pool->in);
	drop(&pool->out);
	yg_watch_free(pool->watch);
	if (pool->wake >= 0)
		(void)close(pool->wake);
	(void)pthread_cond_destroy(&pool->come);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

struct yg_pool *yg_pool_new(struct yg_loop *loop, unsigned threads, struct yg_err *err)
{
	struct yg_pool *pool YG_AUTO(yg_pool) = calloc(1, sizeof(*pool));
	if (!pool) {
		(void)yg_fail_sys(err, ENOMEM, "starting threads");
		return NULL;
	}
	(void)pthread_mutex_init(&pool->lock, NULL); /* neither can fail with default attributes */
	(void)pthread_cond_init(&pool->come, NULL);
	pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->wake < 0) {
		(void)yg_fail_sys(err, errno, "starting threads: eventfd");
		return NULL;
	}
	pool->watch = yg_loop_watch(loop, pool->wake, YG_LOOP_READ, drain, pool);
	if (yg_pool_resize(pool, threads, err) < 0)
		return NULL;
	return yg_take(pool);
}

void yg_pool_run(struct yg_pool *pool, void (*work)(void *job), void (*done)(void *ctx, void *job),
	void *ctx, void *job)
{
	struct job *entry = malloc(sizeof(*entry));
	assert(entry); /* a worker role: it dies and is started again */
	*entry = (struct job){.work = work, .done = done, .ctx = ctx, .job = job};
	pool->pending++;
	(void)pthread_mutex_lock(&pool->lock);
	push(&pool->in, entry);
	(void)pthread_cond_broadcast(&pool->come); /* one may wake a thread that is not to work */
	(void)pthread_mutex_unlock(&pool->lock);
}

size_t yg_pool_pending(const struct yg_pool *pool)
{
	return pool->pending;
}
