/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/mem.h"
#include "publisher/progress.h"

#define CHILDREN_MAX 64

struct child {
	pid_t pid; /* 0: the place is free */
	int out;   /* its nameless file, or -1 */
	int pipe;  /* its result comes here */
	size_t index;
};

struct crew {
	const struct jobs *jobs;
	struct child children[CHILDREN_MAX];
	size_t places, busy, next, finished;
};

static size_t processors(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	size_t count = (size_t)CPU_COUNT(&set);
	return count < 1 ? 1 : count > CHILDREN_MAX ? CHILDREN_MAX : count;
}

static void clear(struct crew *crew, struct child *child)
{
	fd_free_at(&child->out);
	fd_free_at(&child->pipe);
	if (child->pid > 0)
		crew->busy--;
	*child = (struct child){.out = -1, .pipe = -1};
}

static void crew_free_at(struct crew *crew)
{
	for (size_t i = 0; i < crew->places; i++) {
		struct child *child = &crew->children[i];
		if (child->pid > 0) {
			(void)kill(child->pid, SIGKILL);
			(void)waitpid(child->pid, NULL, 0);
		}
		clear(crew, child);
	}
	progress_end();
}

/* ---- a child ---- */

static _Noreturn void live(const struct jobs *jobs, size_t index, int out, int pipe, pid_t parent)
{
	struct jobs_result result = {0};
	struct yg_err why = {0};
	/* Who is killed leaves nobody behind that works on, or holds the lock. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (jobs->lock >= 0)
		(void)close(jobs->lock);
	jobs->work(jobs->ctx, index, out, &result);
	_exit(yg_fs_write_all(pipe, &result, sizeof(result), &why) == 0 ? 0 : 1);
}

static int begin(struct crew *crew, struct yg_err *err)
{
	struct child *child = crew->children;
	while (child->pid > 0)
		child++;
	int ends[2];
	if (crew->jobs->dir >= 0) {
		child->out = yg_fs_tmpfile(crew->jobs->dir, err);
		if (child->out < 0)
			return -1;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return yg_fail_sys(err, errno, "pipe");
	child->pipe = ends[0];
	int write_end YG_AUTO(fd) = ends[1];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return yg_fail_sys(err, errno, "fork");
	if (pid == 0)
		live(crew->jobs, crew->next, child->out, write_end, parent);
	child->pid = pid;
	child->index = crew->next++;
	crew->busy++;
	return 0;
}

/* ---- the parent ---- */

static int read_result(int fd, struct jobs_result *result, struct yg_err *err)
{
	size_t have = 0;
	while (have < sizeof(*result)) {
		ssize_t n = read(fd, (uint8_t *)result + have, sizeof(*result) - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading from a child process");
		if (n == 0)
			return yg_fail(err, YG_ESYSTEM, "a child process died");
		have += (size_t)n;
	}
	return 0;
}

static int finish(struct crew *crew, struct child *child, struct yg_err *err)
{
	struct jobs_result result;
	int bad = read_result(child->pipe, &result, err);
	if (waitpid(child->pid, NULL, 0) < 0 && bad == 0)
		bad = yg_fail_sys(err, errno, "waiting for a child process");
	if (bad == 0)
		bad = crew->jobs->done(crew->jobs->ctx, child->index, child->out, &result, err);
	crew->finished++;
	progress_step(crew->finished);
	clear(crew, child);
	return bad;
}

static int wait_for_one(struct crew *crew, struct yg_err *err)
{
	struct pollfd fds[CHILDREN_MAX];
	for (size_t i = 0; i < crew->places; i++)
		fds[i] = (struct pollfd){.fd = crew->children[i].pipe, .events = POLLIN};
	int ready = poll(fds, crew->places, -1);
	if (ready < 0 && errno != EINTR)
		return yg_fail_sys(err, errno, "poll");
	for (size_t i = 0; ready > 0 && i < crew->places; i++) {
		if (fds[i].revents != 0 && finish(crew, &crew->children[i], err) < 0)
			return -1;
	}
	return 0;
}

static bool time_left(const struct jobs *jobs)
{
	return jobs->until_ms == 0 || yg_clock_mono_ms() < jobs->until_ms;
}

int jobs_run(const struct jobs *jobs, size_t *begun, struct yg_err *err)
{
	struct crew crew YG_AUTO(crew) = {.jobs = jobs, .places = processors()};
	for (size_t i = 0; i < crew.places; i++)
		crew.children[i] = (struct child){.out = -1, .pipe = -1};
	if (jobs->count > 0)
		progress_count(jobs->what, jobs->count);
	for (;;) {
		while (crew.busy < crew.places && crew.next < jobs->count && time_left(jobs)) {
			if (begin(&crew, err) < 0)
				return -1;
		}
		if (crew.busy == 0)
			break;
		if (wait_for_one(&crew, err) < 0)
			return -1;
	}
	if (begun)
		*begun = crew.next;
	return 0;
}
