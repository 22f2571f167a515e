/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

static char root[64];
static int dir;

static int setup(void **state)
{
	(void)state;
	strncpy(root, "/tmp/yagura-fs-XXXXXX", sizeof(root) - 1);
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, root, &err);
}

static void expect(const char *path, const char *want)
{
	struct yg_err err = {0};
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(1000);
	assert_int_equal(yg_fs_read(dir, path, &have, &err), 0);
	assert_int_equal(have.len, strlen(want));
	assert_memory_equal(have.data ? (char *)have.data : "", want, have.len);
}

static void replaces_whole(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat st;
	assert_int_equal(yg_fs_mkdirs(dir, "a/b/c", 0755, &err), 0);
	assert_int_equal(yg_fs_mkdirs(dir, "a/b/c", 0755, &err), 0);
	assert_int_equal(yg_fs_replace(dir, "a/b/f", yg_bytes_of("one"), 0640, &err), 0);
	assert_int_equal(yg_fs_replace(dir, "a/b/f", yg_bytes_of("two"), 0600, &err), 0);
	expect("a/b/f", "two");
	assert_int_equal(fstatat(dir, "a/b/f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A target that cannot be replaced stays, and nothing is left beside it. */
	assert_int_equal(yg_fs_replace(dir, "a/b/c", yg_bytes_of("x"), 0600, &err), -1);
	assert_string_equal(err.msg, "renaming to 'a/b/c': Is a directory");
	assert_int_equal(yg_fs_remove(dir, "a/b/f", &err), 0);
	assert_int_equal(yg_fs_remove(dir, "a/b/c", &err), 0);
	assert_int_equal(unlinkat(dir, "a/b", AT_REMOVEDIR), 0);
}

static void names_a_nameless_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = yg_fs_tmpfile(dir, &err);
	assert_true(fd >= 0);
	assert_int_equal(yg_fs_write_all(fd, "bytes", 5, &err), 0);
	assert_int_equal(yg_fs_link_tmpfile(fd, dir, "object", 0444, &err), 0);
	expect("object", "bytes");
	int again YG_AUTO(fd) = yg_fs_tmpfile(dir, &err);
	assert_int_equal(yg_fs_link_tmpfile(again, dir, "object", 0444, &err), 0);
	expect("object", "bytes");
}

static void links(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char to[16];
	assert_int_equal(yg_fs_readlink(dir, "lib", to, sizeof(to), &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	assert_int_equal(yg_fs_symlink(dir, "sets/one", "lib", &err), 0);
	assert_int_equal(yg_fs_symlink(dir, "sets/two", "lib", &err), 0);
	assert_int_equal(yg_fs_readlink(dir, "lib", to, sizeof(to), &err), 0);
	assert_string_equal(to, "sets/two");
	assert_int_equal(yg_fs_readlink(dir, "lib", to, 8, &err), -1);
	assert_string_equal(err.msg, "'lib': the link is too long");
	assert_int_equal(yg_fs_readlink(dir, "object", to, sizeof(to), &err), -1);
	assert_string_equal(err.msg, "'object': not a symbolic link");
}

static void refuses_what_is_no_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(yg_fs_open(dir, "fifo", &err), -1);
	assert_string_equal(err.msg, "'fifo': not a regular file");
	assert_int_equal(symlinkat("object", dir, "alias"), 0);
	assert_int_equal(yg_fs_open(dir, "alias", &err), -1);
	assert_int_equal(err.sys, ELOOP);
	assert_int_equal(yg_fs_open(dir, "gone", &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	struct yg_buf small YG_AUTO(yg_buf) = YG_BUF(2);
	assert_int_equal(yg_fs_read(dir, "object", &small, &err), -1);
	assert_string_equal(err.msg, "'object': more than 2 bytes");
}

/* Removing follows no link out of the tree. */
static void removes_only_inside(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(yg_fs_mkdirs(dir, "keep", 0755, &err), 0);
	assert_int_equal(yg_fs_replace(dir, "keep/me", yg_bytes_of("x"), 0600, &err), 0);
	assert_int_equal(yg_fs_mkdirs(dir, "drop/deep/er", 0755, &err), 0);
	assert_int_equal(symlinkat("../../keep", dir, "drop/deep/link"), 0);
	assert_int_equal(yg_fs_remove(dir, "drop", &err), 0);
	assert_int_equal(yg_fs_remove(dir, "drop", &err), 0);
	expect("keep/me", "x");
}

static void memory_is_sealed(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = yg_fs_memfd("test", yg_bytes_of("sealed"), &err);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(10);
	assert_int_equal(yg_fs_read_fd(fd, &have, &err), 0);
	assert_memory_equal(have.data, "sealed", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaces_whole),
		cmocka_unit_test(names_a_nameless_file),
		cmocka_unit_test(links),
		cmocka_unit_test(refuses_what_is_no_file),
		cmocka_unit_test(removes_only_inside),
		cmocka_unit_test(memory_is_sealed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
