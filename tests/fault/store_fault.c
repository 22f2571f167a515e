/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The store on file systems that lack something: nameless files, hard links, renames that exchange, space ahead;
 * and under signals and short writes. The linker sends the calls here (--wrap). What fails outright is tested in
 * store_errors_fault.c.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "tests/lib/content_set.h"

enum lack {
	NO_TMPFILE,
	NO_NAMING,
	NO_LINKS,
	NO_EXCHANGE,
	NO_ALLOCATE,
	SHORT_WRITES,
	SIGNALS,
	LACKS
};
static const char *const names[LACKS] = {"no O_TMPFILE", "no names for nameless files",
	"no hard links", "no renameat2", "no fallocate", "short writes", "signals"};

static struct {
	bool on;
	enum lack lack;
	unsigned hits, calls;
} here;

static bool is(enum lack lack)
{
	if (!here.on || world_helping || here.lack != lack)
		return false;
	here.hits++;
	return true;
}

/* Every call is interrupted once, and made at the second try. */
static bool interrupted(void)
{
	if (!here.on || world_helping || here.lack != SIGNALS || ++here.calls % 2 == 0)
		return false;
	here.hits++;
	errno = EINTR;
	return true;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

int __real_openat64(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir, const char *path, int flags, mode_t mode)
{
	if ((flags & O_TMPFILE) == O_TMPFILE && is(NO_TMPFILE))
		return refuse(EOPNOTSUPP);
	return interrupted() ? -1 : __real_openat64(dir, path, flags, mode);
}

int __real_linkat(int a, const char *b, int c, const char *d, int flags);
int __wrap_linkat(int a, const char *b, int c, const char *d, int flags);
int __wrap_linkat(int a, const char *b, int c, const char *d, int flags)
{
	if (flags == AT_SYMLINK_FOLLOW && is(NO_NAMING))
		return refuse(ENOENT);
	return is(NO_LINKS) ? refuse(EPERM) : __real_linkat(a, b, c, d, flags);
}

int __real_renameat2(int a, const char *b, int c, const char *d, unsigned flags);
int __wrap_renameat2(int a, const char *b, int c, const char *d, unsigned flags);
int __wrap_renameat2(int a, const char *b, int c, const char *d, unsigned flags)
{
	return is(NO_EXCHANGE) ? refuse(EINVAL) : __real_renameat2(a, b, c, d, flags);
}

int __real_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len)
{
	if (is(NO_ALLOCATE))
		return refuse(EOPNOTSUPP);
	return interrupted() ? -1 : __real_fallocate64(fd, mode, at, len);
}

int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len)
{
	return interrupted() ? -1 : __real_ftruncate64(fd, len);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return interrupted() ? -1 : __real_fsync(fd);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (interrupted())
		return -1;
	return __real_write(fd, data, len > 1 && is(SHORT_WRITES) ? len / 2 : len);
}

static void update(struct world *w, int version)
{
	struct yg_err err = {0};
	if (yg_store_reserve(w->store, 65536, &err) < 0 ||
		world_update(w->store, version, &err) < 0)
		fail_msg("%s: update to %d: %s", names[here.lack], version, err.msg);
}

static void check(struct world *w, int lib, int roll)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	assert_int_equal(world_version(w, YG_STORE_LIB), lib);
	assert_int_equal(world_version(w, YG_STORE_ROLL), roll);
	world_digest(lib, digest);
	if (yg_store_check(w->store, digest, &err) < 0)
		fail_msg("%s: %s", names[here.lack], err.msg);
}

static void live(struct world *w)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char path[160];
	char digest[YG_SHA256_TEXT];
	world_start(w);
	update(w, 1);
	update(w, 2);
	check(w, 2, 1);
	assert_int_equal(yg_fs_remove(w->root, "iaurepo", &err), 0);
	assert_int_equal(yg_store_mend(w->store, &report, &err), 0);
	assert_int_equal(report.missing, 0);
	/* a left-over where the next set goes: the two change places, or one makes room */
	world_digest(3, digest);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/planted", digest));
	assert_int_equal(yg_fs_mkdirs(w->root, path, 0755, &err), 0);
	update(w, 3);
	check(w, 3, 2);
	world_start(w);
	check(w, 3, 2);
	assert_int_equal(yg_store_rollback(w->store, &err), 0);
	check(w, 2, 0);
	report = (struct yg_store_report){0};
	assert_int_equal(yg_store_mend(w->store, &report, &err), 0);
	assert_int_equal(report.relinked + report.dropped + report.missing, 0);
	assert_int_equal(world_count(w, "iaurepo/tmp"), 0);
}

static void lives_without_it(void **state)
{
	(void)state;
	for (here.lack = 0; here.lack < LACKS; here.lack++) {
		struct world w = {0};
		world_open(&w);
		here.hits = 0;
		here.on = true;
		live(&w);
		here.on = false;
		if (here.hits == 0 && here.lack != SHORT_WRITES)
			fail_msg("%s: never came up", names[here.lack]);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives_without_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
