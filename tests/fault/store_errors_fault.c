/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Every system call of an installation, an update, a rollback and a repair that can fail does so once, in every
 * way that it can: full and read-only disk, I/O error, no descriptors, no memory, a signal. The failure has its
 * cause, or it did not matter; what is live stays whole; the next run works.
 *
 * usage: store_errors_fault [STEP] [SEED] [STORY]
 *     each STEP-th of those failures is tried, from the SEED-th on; 1: all. STORY: 0..3, else all
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/attr.h"
#include "tests/fault/story.h"
#include "tests/fault/trace.h"

#define CALLS_MAX 4096

static uint64_t step = 23;
static uint64_t seed = 1;
static uint64_t only = STORIES;

struct failing {
	struct trace_call calls[CALLS_MAX]; /* of an undisturbed run */
	long total, count, at;
	int error;
	bool hit; /* memory is asked for at other moments in each run: then it is another call, and left alone */
};

static int note_step(void *ctx, const struct trace_call *call)
{
	struct failing *f = ctx;
	assert_true(f->total < CALLS_MAX);
	f->calls[f->total++] = *call;
	return TRACE_GO;
}

static int fail_step(void *ctx, const struct trace_call *call)
{
	struct failing *f = ctx;
	if (++f->count != f->at || call->nr != f->calls[f->at - 1].nr)
		return TRACE_GO;
	f->hit = true;
	return f->error;
}

static bool cause_fits(int error, const char *cause)
{
	static const struct {
		int error;
		const char *cause;
	} causes[] = {
		{ENOSPC, "store.disk_full"},
		{EDQUOT, "store.disk_full"},
		{EROFS, "store.read_only"},
		{EMFILE, "system.error"},
		{ENFILE, "system.error"},
		{ENOMEM, "system.error"},
		{EIO, "store.io"},
		{EIO, "store.object_damaged"},
	};
	for (size_t i = 0; i < YG_COUNT(causes); i++)
		if (causes[i].error == error && strcmp(causes[i].cause, cause) == 0)
			return true;
	return false;
}

static void one(enum story story, struct failing *f, const char *what)
{
	struct telling t;
	story_prepare(&t, story);
	f->count = 0;
	f->hit = false;
	int rc = trace_run(story_tell, &t, TRACE_ALL, fail_step, f);
	const struct yg_err *err = &t.told->err;
	int nr = f->calls[f->at - 1].nr;
	if (rc > 1)
		fail_msg("%s: ended with %d", what, rc);
	if (rc == 1 && f->error == EINTR)
		fail_msg("%s: a signal ended the run: %s", what, err->msg);
	if (rc == 1 && !cause_fits(f->error, err->cause))
		fail_msg("%s: cause '%s': %s", what, err->cause, err->msg);
	if (rc == 1 && !err->msg[0])
		fail_msg("%s: no message", what);
	if (rc == 0 && f->hit && f->error != EINTR && (nr == SYS_fsync || nr == SYS_fdatasync))
		fail_msg("%s: a failed fsync was taken for a success", what);
	story_check(&t, t.w.root, t.w.path, what);
	story_free(&t);
}

static void fails_at_every_call(void **state)
{
	(void)state;
	if (!trace_possible())
		skip();
	for (enum story story = 0; story < STORIES; story++) {
		static struct failing f;
		struct telling t;
		if (only != STORIES && only != (uint64_t)story)
			continue;
		f = (struct failing){0};
		story_prepare(&t, story);
		assert_int_equal(trace_run(story_tell, &t, TRACE_ALL, note_step, &f), 0);
		story_free(&t);
		uint64_t number = seed;
		size_t tried = 0;
		for (f.at = 1; f.at <= f.total; f.at++) {
			const int *errors = trace_errors(&f.calls[f.at - 1]);
			for (size_t i = 0; errors[i]; i++) {
				if (number++ % step != 0)
					continue;
				char what[160];
				f.error = errors[i];
				(void)snprintf(what, sizeof(what), "%s: call %ld, %s, fails: %s",
					story_names[story], f.at, trace_name(f.calls[f.at - 1].nr),
					strerror(f.error));
				one(story, &f, what);
				tried += f.hit;
			}
		}
		printf("%s: %zu failures of its %ld calls\n", story_names[story], tried, f.total);
	}
}

int main(int argc, char **argv)
{
	struct yg_err err = {0};
	uint64_t value = 0;
	if (argc > 1 && yg_str_u64(argv[1], 1000000, &value, &err) == 0 && value > 0)
		step = value;
	if (argc > 2 && yg_str_u64(argv[2], UINT32_MAX, &value, &err) == 0)
		seed = value;
	if (argc > 3 && yg_str_u64(argv[3], STORIES, &value, &err) == 0)
		only = value;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fails_at_every_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
