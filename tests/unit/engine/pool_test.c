/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/attr.h"
#include "tests/lib/cmocka_all.h"

struct place {
	struct yg_loop *loop;
	struct yg_pool *pool;
	size_t left; /* jobs without an answer */
	bool free_on_done;
};

struct job {
	int in, out;
	pthread_barrier_t *together; /* waited for, if there is one */
	atomic_bool *go;             /* the same */
};

static void work(void *arg)
{
	struct job *job = arg;
	if (job->together)
		(void)pthread_barrier_wait(job->together);
	while (job->go && !atomic_load(job->go))
		(void)sched_yield();
	job->out = 2 * job->in;
}

static void done(void *ctx, void *arg)
{
	struct place *p = ctx;
	struct job *job = arg;
	assert_int_equal(job->out, 2 * job->in);
	if (p->free_on_done) {
		yg_pool_free(p->pool);
		p->pool = NULL;
	}
	if (--p->left == 0 || p->free_on_done)
		yg_loop_stop(p->loop);
}

static struct place start(unsigned threads)
{
	struct yg_err err = {0};
	struct place p = {.loop = yg_loop_new(&err)};
	assert_non_null(p.loop);
	p.pool = yg_pool_new(p.loop, threads, &err);
	assert_non_null(p.pool);
	return p;
}

static void end(struct place *p)
{
	yg_pool_free(p->pool);
	yg_loop_free(p->loop);
}

static void every_job_comes_back(void **state)
{
	(void)state;
	static const unsigned threads[] = {1, 2, 7, YG_POOL_THREADS_MAX};
	static struct job jobs[1000];
	for (size_t t = 0; t < YG_COUNT(threads); t++) {
		struct place p = start(threads[t]);
		p.left = YG_COUNT(jobs);
		for (size_t i = 0; i < YG_COUNT(jobs); i++) {
			jobs[i] = (struct job){.in = (int)i};
			yg_pool_run(p.pool, work, done, &p, &jobs[i]);
		}
		assert_int_equal(yg_pool_pending(p.pool), YG_COUNT(jobs));
		yg_loop_run(p.loop);
		assert_int_equal(p.left, 0);
		assert_int_equal(yg_pool_pending(p.pool), 0);
		end(&p);
	}
}

/* Three jobs that wait for each other end only if three threads take them. */
static void threads_are_added_and_put_aside(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct place p = start(1);
	struct job jobs[3];
	pthread_barrier_t together;
	for (int round = 0; round < 3; round++) {
		unsigned threads = round == 1 ? 1 : 3;
		assert_int_equal(yg_pool_resize(p.pool, threads, &err), 0);
		assert_int_equal(pthread_barrier_init(&together, NULL, threads), 0);
		p.left = 3;
		for (int i = 0; i < 3; i++) {
			jobs[i] = (struct job){.in = i, .together = &together};
			yg_pool_run(p.pool, work, done, &p, &jobs[i]);
		}
		yg_loop_run(p.loop);
		assert_int_equal(p.left, 0);
		(void)pthread_barrier_destroy(&together);
	}
	end(&p);
}

static void may_be_freed_by_what_it_calls(void **state)
{
	(void)state;
	struct place p = start(2);
	struct job jobs[10];
	p.left = YG_COUNT(jobs);
	p.free_on_done = true;
	for (size_t i = 0; i < YG_COUNT(jobs); i++) {
		jobs[i] = (struct job){.in = (int)i};
		yg_pool_run(p.pool, work, done, &p, &jobs[i]);
	}
	yg_loop_run(p.loop);
	assert_int_equal(p.left, YG_COUNT(jobs) - 1);
	assert_null(p.pool);
	end(&p);
}

static void may_be_freed_with_work_to_do(void **state)
{
	(void)state;
	atomic_bool go = false;
	struct place p = start(1);
	struct job jobs[10];
	for (size_t i = 0; i < YG_COUNT(jobs); i++) {
		jobs[i] = (struct job){.in = 1, .go = &go};
		yg_pool_run(p.pool, work, done, &p, &jobs[i]);
	}
	atomic_store(&go, true);
	end(&p);
	end(&(struct place){0}); /* NULL is fine */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_comes_back),
		cmocka_unit_test(threads_are_added_and_put_aside),
		cmocka_unit_test(may_be_freed_by_what_it_calls),
		cmocka_unit_test(may_be_freed_with_work_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
