/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A publisher is cut off at each of its system calls that change the disk: by the end of the process, by an
 * I/O error, by a full disk. A reader must find exactly the repository of before or that of after, whole,
 * with the root that came with its installation; the same command must then work, and leave nothing
 * behind. Nor may anything be named to readers before it is on disk. The linker sends the calls here
 * (--wrap).
 *
 * usage: publish_fault [STEP]
 *     each STEP-th call is tried, of each command from another one on; 1: all. Sanitized builds, whose
 *     processes begin and end slowly, try fewer (meson.build)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/init.h"
#include "publisher/prune.h"
#include "publisher/release.h"
#include "publisher/resign.h"
#include "publisher/root.h"
#include "publisher/rotate.h"
#include "publisher/show.h"
#include "publisher/verify.h"
#include "publisher/wave.h"
#include "publisher/withdraw.h"
#include "tests/lib/cmocka_all.h"

#define NOW    1800000000 /* 2027-01-15T08:00:00Z */
#define KILLED 77
#define FAILED 78 /* and said why */
#define UNSAFE 79 /* readers could have been told of what was not on disk */

static uint64_t step = 1;

enum fault { NONE, KILL, IO_ERROR, DISK_FULL };

static struct {
	bool armed;
	enum fault fault;
	long at, count;
} plan;

/* Returns true when this call has to fail; errno is set. */
static bool strikes(void)
{
	if (!plan.armed || ++plan.count != plan.at)
		return false;
	switch (plan.fault) {
	case NONE:
		return false;
	case KILL:
		_exit(KILLED);
	case IO_ERROR:
		errno = EIO;
		break;
	case DISK_FULL:
		errno = ENOSPC;
		break;
	}
	return true;
}

/* ---- what is not on disk yet ---- */

#define DIRTY_MAX 4096u

static struct {
	ino_t inodes[DIRTY_MAX];
	size_t count;
} dirty;

static void dirty_set(ino_t inode, bool is)
{
	for (size_t i = 0; i < dirty.count; i++) {
		if (dirty.inodes[i] != inode)
			continue;
		if (!is)
			dirty.inodes[i] = dirty.inodes[--dirty.count];
		return;
	}
	if (is && dirty.count < DIRTY_MAX)
		dirty.inodes[dirty.count++] = inode;
}

static void dirty_fd(int fd, bool is)
{
	struct stat at;
	if (plan.armed && fstat(fd, &at) == 0 && (S_ISREG(at.st_mode) || S_ISDIR(at.st_mode)))
		dirty_set(at.st_ino, is);
}

static void dirty_parent(int dir, const char *path)
{
	char parent[4096];
	struct stat at;
	const char *slash = strrchr(path, '/');
	if (plan.armed &&
		yg_str_put(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1,
			slash ? path : ".") &&
		fstatat(dir, parent, &at, 0) == 0)
		dirty_set(at.st_ino, true);
}

/* timestamp.json, and a root: what a reader sees from here on must all be there after a power cut. */
static void dirty_check(int dir, const char *from, const char *to)
{
	struct stat at;
	size_t len = strlen(to);
	if (!plan.armed || len < 9 ||
		(strcmp(to + len - 9, "root.json") != 0 && !strstr(to, "/timestamp.json")))
		return;
	if (fstatat(dir, from, &at, 0) < 0 || dirty.count == 0)
		return;
	/* The name that is being given was just made here; its folder is synced after the rename. */
	struct stat folder;
	char parent[4096];
	const char *slash = strrchr(to, '/');
	if (!slash || !yg_str_put(parent, sizeof(parent), "%.*s", (int)(slash - to), to) ||
		fstatat(dir, parent, &folder, 0) < 0)
		_exit(UNSAFE);
	for (size_t i = 0; i < dirty.count; i++) {
		if (dirty.inodes[i] != folder.st_ino) {
			(void)fprintf(stderr, "%s: inode %ju is not on disk yet\n", to,
				(uintmax_t)dirty.inodes[i]);
			_exit(UNSAFE);
		}
	}
}

/* ---- the calls ---- */

/* Whether it was called is what counts here; the disk need not hear of it. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	if (strikes())
		return -1;
	dirty_fd(fd, false);
	return 0;
}

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode)
{
	return strikes() ? -1 : __real_fchmod(fd, mode);
}

int __real_linkat(int a, const char *b, int c, const char *d, int e);
int __wrap_linkat(int a, const char *b, int c, const char *d, int e);
int __wrap_linkat(int a, const char *b, int c, const char *d, int e)
{
	int rc = strikes() ? -1 : __real_linkat(a, b, c, d, e);
	if (rc == 0)
		dirty_parent(c, d);
	return rc;
}

int __real_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d)
{
	if (strikes())
		return -1;
	dirty_check(a, b, d);
	int rc = __real_renameat(a, b, c, d);
	if (rc == 0)
		dirty_parent(c, d);
	return rc;
}

int __real_unlinkat(int a, const char *b, int c);
int __wrap_unlinkat(int a, const char *b, int c);
int __wrap_unlinkat(int a, const char *b, int c)
{
	return strikes() ? -1 : __real_unlinkat(a, b, c);
}

int __real_mkdirat(int a, const char *b, mode_t c);
int __wrap_mkdirat(int a, const char *b, mode_t c);
int __wrap_mkdirat(int a, const char *b, mode_t c)
{
	int rc = strikes() ? -1 : __real_mkdirat(a, b, c);
	if (rc == 0)
		dirty_parent(a, b);
	return rc;
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (strikes())
		return -1;
	dirty_fd(fd, true);
	return __real_write(fd, data, len);
}

/* ---- a repository, and what is done to it ---- */

struct place {
	char dir[64], base[96], repo[96], keys[96], from[96], root[96];
	struct command command;
};

typedef int verb_run(const struct command *command, json_t **out, struct yg_err *err);

static void shell(const char *fmt, const char *a, const char *b)
{
	char line[512];
	assert_true(yg_str_put(line, sizeof(line), "%s %s %s", fmt, a, b));
	assert_int_equal(system(line), 0);
}

static void put_file(const struct place *place, const char *name, const char *text)
{
	struct yg_err err = {0};
	char path[256];
	assert_true(yg_str_put(path, sizeof(path), "%s/%s", place->from, name));
	assert_int_equal(yg_fs_replace(AT_FDCWD, path, yg_bytes_of(text), 0644, &err), 0);
}

/* Signatures enough that a delta is worth it, but for one line those of any other day. */
static void put_day(const struct place *place, int day)
{
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	uint64_t random = 1;
	for (int i = 0; i < 200; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint64_t more = random * 2862933555777941757u + (uint64_t)(i == 7 ? day : 0);
		assert_int_equal(yg_str_addf(&text, &err, "%016jx%016jx:68:Test.%d\n",
					 (uintmax_t)random, (uintmax_t)more, i),
			0);
	}
	assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
	put_file(place, "c.hdb", (const char *)text.data);
}

static void done(verb_run *run, const struct command *command, const char *what, long at)
{
	struct yg_err err = {0};
	json_t *out YG_AUTO(yg_json) = NULL;
	if (run(command, &out, &err) < 0)
		fail_msg("%s, call %ld: %s", what, at, err.msg);
}

static int setup(void **state)
{
	struct yg_err err = {0};
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	assert_true(yg_str_put(place->dir, sizeof(place->dir), "/tmp/yg-pfault-XXXXXX"));
	assert_non_null(mkdtemp(place->dir));
	assert_true(yg_str_put(place->base, sizeof(place->base), "%s/base", place->dir));
	assert_true(yg_str_put(place->repo, sizeof(place->repo), "%s/work/repo", place->dir));
	assert_true(yg_str_put(place->keys, sizeof(place->keys), "%s/work/keys", place->dir));
	assert_true(yg_str_put(place->from, sizeof(place->from), "%s/from", place->dir));
	assert_true(yg_str_put(place->root, sizeof(place->root), "%s/root.json", place->dir));
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, place->from, 0755, &err), 0);
	put_file(place, "a.hdb", "44d88612fea8a8f36de82e1278abb02f:68:Test.A\n");
	put_day(place, 1);
	place->command = (struct command){.repo = place->repo,
		.component = "am-pattern",
		.operands = {place->repo},
		.operand_count = 1,
		.keys = place->keys,
		.from = {place->from},
		.from_count = 1,
		.now = NOW,
		.abi_min = 150,
		.abi_max = 999,
		.root_keys = 2,
		.threshold = 0,
		.level = 1,
		.keep = 30,
		.deltas = 30,
		.days = {365, 90, 14, 7}};
	char work[96];
	assert_true(yg_str_put(work, sizeof(work), "%s/work", place->dir));
	assert_int_equal(mkdir(work, 0755), 0);
	struct command command = place->command;
	command.threshold = 2;
	done(init_run, &command, "init", 0);
	done(release_run, &command, "release", 0);
	put_day(place, 2);
	done(release_run, &command, "release", 0);
	command.out = place->root;
	done(show_trust, &command, "trust", 0);
	assert_int_equal(rename(work, place->base), 0);
	put_file(place, "a.hdb", "44d88612fea8a8f36de82e1278abb02f:68:Test.B\n");
	put_day(place, 3);
	put_file(place, "b.ndb", "Test.B:0:*:414141414141414141414141\n");
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct yg_err err = {0};
	struct place *place = *state;
	assert_int_equal(yg_fs_remove(AT_FDCWD, place->dir, &err), 0);
	free(place);
	return 0;
}

/* Start again from what setup made (or, for init, from nothing). */
static void fresh(const struct place *place, bool empty)
{
	struct yg_err err = {0};
	char work[96];
	assert_true(yg_str_put(work, sizeof(work), "%s/work", place->dir));
	assert_int_equal(yg_fs_remove(AT_FDCWD, work, &err), 0);
	if (empty)
		assert_int_equal(mkdir(work, 0755), 0);
	else
		shell("cp -a", place->base, work);
}

/* In a child, with the fault armed. */
static int attempt(verb_run *run, const struct command *command, enum fault fault, long at)
{
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct yg_err err = {0};
		json_t *out = NULL;
		plan.fault = fault;
		plan.at = at;
		plan.armed = true;
		int rc = run(command, &out, &err);
		plan.armed = false;
		_exit(rc == 0 ? 0 : err.msg[0] ? FAILED : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	/* Its own children may still be at work, with its lock. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return WEXITSTATUS(status);
}

static int is_left_over(const char *path, const struct stat *at, int type, struct FTW *where)
{
	size_t len = strlen(path);
	(void)at;
	(void)type;
	(void)where;
	return len > 4 && strcmp(path + len - 4, ".tmp") == 0;
}

/* Versions of timestamp and root as a reader finds them, one number. */
static long reader(const struct place *place, const char *what, long at)
{
	struct yg_err err = {0};
	json_t *out YG_AUTO(yg_json) = NULL;
	struct command command = place->command;
	command.root = place->root;
	command.deep = true;
	if (verify_run(&command, &out, &err) < 0)
		fail_msg("%s, call %ld: a reader: %s", what, at, err.msg);
	const json_t *roles = json_object_get(out, "roles");
	return (long)(json_integer_value(json_object_get(json_array_get(roles, 0), "version")) *
			1000 +
		json_integer_value(json_object_get(json_array_get(roles, 1), "version")));
}

struct op {
	const char *name;
	verb_run *run;
	const char *operand; /* the second one, or NULL */
	const char *role;    /* for resign, or NULL */
	bool two_steps;      /* timestamp, then root: between them is a whole repository too */
	bool once;           /* what was done cannot be done again */
	void (*prepare)(struct command *command);
};

static void prepare_withdraw(struct command *command)
{
	command->operands[1] = command->component;
	command->operands[2] = "2";
	command->operand_count = 3;
	command->reason = "flags clean files";
}

static void prepare_wave(struct command *command)
{
	command->waves = 1;
}

static void prepare_prune(struct command *command)
{
	command->keep = 0;
}

static const struct op ops[] = {
	{"release", release_run, NULL, NULL, false, false, NULL},
	{"resign", resign_run, NULL, NULL, false, false, NULL},
	{"resign root", resign_run, NULL, "root", false, false, NULL},
	{"resign am", resign_run, NULL, "am", false, false, NULL},
	{"rotate timestamp", rotate_run, "timestamp", NULL, true, false, NULL},
	{"rotate snapshot", rotate_run, "snapshot", NULL, true, false, NULL},
	{"rotate targets", rotate_run, "targets", NULL, true, false, NULL},
	{"rotate am", rotate_run, "am", NULL, false, false, NULL},
	{"revoke am", rotate_revoke, "am", NULL, false, false, NULL},
	{"revoke timestamp", rotate_revoke, "timestamp", NULL, true, false, NULL},
	{"wave", wave_run, NULL, NULL, false, false, prepare_wave},
	{"withdraw", withdraw_run, NULL, NULL, false, true, prepare_withdraw},
	{"prune", prune_run, NULL, NULL, false, false, prepare_prune},
};

static void every_call(const struct place *place, const struct op *op, enum fault fault, int want)
{
	int old = 0, new = 0, between = 0;
	struct command command = place->command;
	command.now = NOW + 60;
	if (op->operand) {
		command.operands[1] = op->operand;
		command.operand_count = 2;
	}
	if (op->role) {
		command.roles[0] = op->role;
		command.role_count = 1;
	}
	if (op->prepare)
		op->prepare(&command);
	fresh(place, false);
	long before = reader(place, op->name, 0);
	assert_int_equal(attempt(op->run, &command, NONE, 0), 0);
	long after = reader(place, op->name, 0);
	for (long at = 1 + (op - ops) % (long)step;; at += (long)step) {
		fresh(place, false);
		int rc = attempt(op->run, &command, fault, at);
		long have = reader(place, op->name, at);
		old += have == before;
		new += have == after;
		between += have != before && have != after;
		if (rc == 0 && have == after && at > 10)
			break;
		/* Files are made ready by children: one that is cut off is its parent's failure. */
		if (rc != want && rc != 0 && !(fault == KILL && rc == FAILED))
			fail_msg("%s, call %ld: ended with %d", op->name, at, rc);
		if (!op->two_steps && have != before && have != after)
			fail_msg("%s, call %ld: neither old nor new", op->name, at);
		if (!op->once || have != after)
			done(op->run, &command, op->name, at);
		(void)reader(place, op->name, at);
		assert_int_equal(nftw(place->repo, is_left_over, 8, FTW_PHYS), 0);
	}
	assert_true(old > 0 && new > 0);
	(void)printf("%s: cut off at %d calls: %d old, %d between, %d new\n", op->name,
		old + new + between - 1, old, between, new - 1);
}

static void killed(void **state)
{
	for (size_t i = 0; i < YG_COUNT(ops); i++)
		every_call(*state, &ops[i], KILL, KILLED);
}

static void disk_errors(void **state)
{
	for (size_t i = 0; i < YG_COUNT(ops); i += 4) {
		every_call(*state, &ops[i], IO_ERROR, FAILED);
		every_call(*state, &ops[i], DISK_FULL, FAILED);
	}
}

/* A new repository has no reader yet: init is run again until it is there. */
static void killed_init(void **state)
{
	const struct place *place = *state;
	struct command command = place->command;
	command.threshold = 2;
	for (long at = 1;; at += (long)step) {
		fresh(place, true);
		int rc = attempt(init_run, &command, KILL, at);
		if (rc == 0)
			break;
		assert_int_equal(rc, KILLED);
		struct yg_err err = {0};
		json_t *out YG_AUTO(yg_json) = NULL;
		/* The last calls come when the repository is there already. */
		if (init_run(&command, &out, &err) < 0 && !strstr(err.msg, "have one already"))
			fail_msg("init, call %ld: %s", at, err.msg);
		done(verify_run, &command, "init", at);
		done(release_run, &command, "init, release", at);
		assert_int_equal(nftw(place->repo, is_left_over, 8, FTW_PHYS), 0);
	}
}

int main(int argc, char **argv)
{
	struct yg_err err = {0};
	uint64_t value = 0;
	if (argc > 1 && yg_str_u64(argv[1], 1000, &value, &err) == 0 && value > 0)
		step = value;
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(disk_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_init, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
