/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* An installation, an update, a rollback and a repair, each cut off at every system call that changes the disk:
 * by the end of the process, and by the power, with what was not synced lost, torn or out of order (disk.h). The
 * next start must find exactly the old set or exactly the new one, whole, and the next update must work.
 *
 * usage: store_crash_fault [STATES] [SEED]
 *     STATES  that a cut at one call may leave are tried, chosen by SEED; all of them when they are fewer
 */
#include <stdio.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "tests/fault/disk.h"
#include "tests/fault/story.h"
#include "tests/fault/trace.h"

static size_t states_max = 12;
static uint64_t seed = 1;

struct cut {
	long at, count; /* the call before which the process ends */
	char what[128];
};

static int cut_step(void *ctx, const struct trace_call *call)
{
	struct cut *cut = ctx;
	if (++cut->count != cut->at)
		return TRACE_GO;
	(void)snprintf(cut->what, sizeof(cut->what), "killed before call %ld, %s", cut->at,
		trace_name(call->nr));
	return TRACE_KILL;
}

static void needs(bool memory)
{
	struct statfs fs;
	if (!trace_possible())
		skip();
	if (memory && (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)) {
		printf("skip: /dev/shm is no tmpfs, in which inodes have numbers of their own\n");
		skip();
	}
}

/* Before each call is also after the one before it: nothing between them changes the disk. */
static void ends_at_every_call(void **state)
{
	(void)state;
	needs(false);
	for (enum story story = 0; story < STORIES; story++) {
		for (long at = 1;; at++) {
			struct telling t;
			struct cut cut = {.at = at, .what = "not killed"};
			story_prepare(&t, story);
			int rc = trace_run(story_tell, &t, TRACE_CHANGES, cut_step, &cut);
			if (rc > 0)
				fail_msg("%s: %s", story_names[story], t.told->err.msg);
			story_check(&t, t.w.root, t.w.path, cut.what);
			story_free(&t);
			if (rc == 0) {
				printf("%s: ended at each of %ld calls\n", story_names[story],
					at - 1);
				assert_true(at > 5);
				break;
			}
		}
	}
}

struct power {
	struct telling t;
	struct disk *disk;
	long count;
	size_t states;
	char what[160];
};

static void power_state(void *ctx, int root, const char *path)
{
	struct power *power = ctx;
	story_check(&power->t, root, path, power->what);
}

static void power_cut(struct power *power, const char *call)
{
	(void)snprintf(power->what, sizeof(power->what),
		"%s: seed %llu: power cut before call %ld, %s", story_names[power->t.story],
		(unsigned long long)seed, power->count, call);
	int mark = power->t.told->switched + 2 * power->t.told->held;
	power->states += disk_states(power->disk, "/dev/shm", states_max,
		seed + (uint64_t)power->count, mark, power_state, power);
}

static int power_step(void *ctx, const struct trace_call *call)
{
	struct power *power = ctx;
	power->count++;
	disk_step(power->disk, call);
	power_cut(power, trace_name(call->nr));
	return TRACE_GO;
}

static void power_cut_at_every_call(void **state)
{
	(void)state;
	needs(true);
	for (enum story story = 0; story < STORIES; story++) {
		struct power power = {0};
		story_prepare(&power.t, story);
		power.disk = disk_new(power.t.w.root);
		int rc = trace_run(story_tell, &power.t, TRACE_CHANGES, power_step, &power);
		if (rc != 0)
			fail_msg("%s: %s", story_names[story], power.t.told->err.msg);
		disk_step(power.disk, NULL);
		power_cut(&power, "none");
		printf("%s: power cut at each of %ld calls: %zu states\n", story_names[story],
			power.count, power.states);
		disk_free(power.disk);
		story_free(&power.t);
	}
}

int main(int argc, char **argv)
{
	struct yg_err err = {0};
	uint64_t value = 0;
	if (argc > 1 && yg_str_u64(argv[1], 1000000, &value, &err) == 0)
		states_max = value;
	if (argc > 2 && yg_str_u64(argv[2], UINT32_MAX, &value, &err) == 0)
		seed = value;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_at_every_call),
		cmocka_unit_test(power_cut_at_every_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
