/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* An update is cut off at each of its system calls that change the disk: by the end of the process, by an
 * I/O error, by a full disk, by writes that take half. The next start must find exactly the old set or
 * exactly the new one, whole, and the next update must work. The linker sends the calls here (--wrap).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/lib/content_set.h"

#define KILLED 77
#define FAILED 78 /* with a cause, as it must */
#define UNHURT 79 /* the call failed, and it did not matter */

enum fault { KILL, IO_ERROR, DISK_FULL, READ_ONLY, SHORT_WRITES };

static struct {
	bool armed;
	enum fault fault;
	long at, count;
} plan;

/* Returns true when this call has to fail; errno is set. */
static bool strikes(void)
{
	if (!plan.armed || world_helping || plan.fault == SHORT_WRITES || ++plan.count != plan.at)
		return false;
	switch (plan.fault) {
	case KILL:
		_exit(KILLED);
	case IO_ERROR:
		errno = EIO;
		break;
	case DISK_FULL:
		errno = ENOSPC;
		break;
	case READ_ONLY:
		errno = EROFS;
		break;
	case SHORT_WRITES:
		break;
	}
	return true;
}

#define WRAP(call, params, args)                                                                   \
	int __real_##call params;                                                                  \
	int __wrap_##call params;                                                                  \
	int __wrap_##call params                                                                   \
	{                                                                                          \
		return strikes() ? -1 : __real_##call args;                                        \
	}

WRAP(fsync, (int fd), (fd))
WRAP(fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))
WRAP(renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
WRAP(renameat2, (int a, const char *b, int c, const char *d, unsigned e), (a, b, c, d, e))
WRAP(symlinkat, (const char *a, int b, const char *c), (a, b, c))
WRAP(unlinkat, (int a, const char *b, int c), (a, b, c))
WRAP(mkdirat, (int a, const char *b, mode_t c), (a, b, c))

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (strikes())
		return -1;
	if (plan.armed && plan.fault == SHORT_WRITES && len > 1)
		len /= 2;
	return __real_write(fd, data, len);
}

/* In a child: open, and update to version 3 with the fault armed. */
static int attempt(struct world *w, enum fault fault, long at)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct yg_err err = {0};
		struct yg_store_report report = {0};
		struct yg_store *store = yg_store_open(w->root, &err);
		if (!store || yg_store_recover(store, &report, &err) < 0)
			_exit(1);
		plan.fault = fault;
		plan.at = at;
		plan.armed = true;
		int rc = world_update(store, 3, &err);
		plan.armed = false;
		if (rc < 0 && strncmp(err.cause, "store.", 6) != 0) {
			(void)fprintf(stderr, "call %ld: cause '%s': %s\n", at, err.cause, err.msg);
			_exit(2);
		}
		_exit(rc < 0 ? FAILED : plan.at > 0 && plan.count >= plan.at ? UNHURT : 0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_after(struct world *w, long at, int *old, int *new)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	world_start(w);
	int lib = world_version(w, YG_STORE_LIB);
	if (lib != 2 && lib != 3)
		fail_msg("call %ld: lib leads to version %d", at, lib);
	*old += lib == 2;
	*new += lib == 3;
	assert_int_equal(world_version(w, YG_STORE_ROLL), lib - 1);
	assert_int_equal(world_version(w, YG_STORE_COPY), 0);
	assert_int_equal(world_count(w, "iaurepo/tmp"), 0);
	static const enum yg_store_link links[] = {YG_STORE_LIB, YG_STORE_ROLL};
	for (size_t i = 0; i < YG_COUNT(links); i++) {
		yg_store_link(w->store, links[i], digest);
		if (yg_store_check(w->store, digest, &err) < 0)
			fail_msg("call %ld: %s", at, err.msg);
	}
	if (world_update(w->store, 3, &err) < 0)
		fail_msg("call %ld: the next update: %s", at, err.msg);
	assert_int_equal(world_version(w, YG_STORE_LIB), 3);
	assert_int_equal(world_version(w, YG_STORE_ROLL), 2);
	assert_int_equal(world_count(w, "sets"), 2);
	assert_int_equal(world_count(w, "iaurepo/objects"), 5);
}

static void prepare(struct world *w)
{
	struct yg_err err = {0};
	*w = (struct world){0};
	world_open(w);
	world_start(w);
	if (world_update(w->store, 1, &err) < 0 || world_update(w->store, 2, &err) < 0)
		fail_msg("%s", err.msg);
	yg_store_free(w->store);
	w->store = NULL;
}

static void every_call(enum fault fault, int want)
{
	int old = 0;
	int new = 0;
	for (long at = 1;; at++) {
		struct world w;
		prepare(&w);
		int have = attempt(&w, fault, at);
		if (have != want && have != 0 && have != UNHURT)
			fail_msg("call %ld: the update ended with %d, want %d", at, have, want);
		check_after(&w, at, &old, &new);
		world_close(&w);
		if (have == 0)
			break; /* there are no more calls than that */
		assert_true(at < 1000);
	}
	assert_true(old > 0);
	assert_true(new > 0);
}

static void survives_its_end_at_every_call(void **state)
{
	(void)state;
	every_call(KILL, KILLED);
}

static void survives_io_errors(void **state)
{
	(void)state;
	every_call(IO_ERROR, FAILED);
}

static void survives_a_full_disk(void **state)
{
	(void)state;
	every_call(DISK_FULL, FAILED);
}

static void survives_a_read_only_disk(void **state)
{
	(void)state;
	every_call(READ_ONLY, FAILED);
}

static void writes_in_pieces(void **state)
{
	(void)state;
	struct world w;
	int old = 0;
	int new = 0;
	prepare(&w);
	assert_int_equal(attempt(&w, SHORT_WRITES, 0), 0);
	check_after(&w, 0, &old, &new);
	assert_int_equal(new, 1);
	world_close(&w);
}

/* Recovery itself is cut off, from a state in which it has everything to do. */
static void recovery_survives_its_end(void **state)
{
	(void)state;
	for (long at = 1;; at++) {
		struct world w;
		struct yg_err err = {0};
		char one[YG_SHA256_TEXT];
		char target[128];
		prepare(&w);
		world_digest(1, one);
		assert_true(yg_str_put(target, sizeof(target), "sets/%s", one));
		assert_int_equal(yg_fs_symlink(w.root, target, "li_copy", &err), 0);
		assert_int_equal(yg_fs_remove(w.root, "li_roll", &err), 0);
		assert_int_equal(yg_fs_remove(w.root, "iaurepo/objects", &err), 0);
		assert_int_equal(yg_fs_mkdirs(w.root, "iaurepo/tmp/a/b", 0755, &err), 0);
		assert_int_equal(yg_fs_mkdirs(w.root, "sets/x", 0755, &err), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct yg_store_report report = {0};
			plan.at = at;
			plan.fault = KILL;
			plan.armed = true;
			struct yg_store *store = yg_store_open(w.root, &err);
			_exit(store && yg_store_recover(store, &report, &err) == 0 ? 0 : 1);
		}
		int status = 0;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		int old = 0;
		int new = 0;
		check_after(&w, at, &old, &new);
		assert_int_equal(old, 1);
		world_close(&w);
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), KILLED);
		assert_true(at < 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_its_end_at_every_call),
		cmocka_unit_test(survives_io_errors),
		cmocka_unit_test(survives_a_full_disk),
		cmocka_unit_test(survives_a_read_only_disk),
		cmocka_unit_test(writes_in_pieces),
		cmocka_unit_test(recovery_survives_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
