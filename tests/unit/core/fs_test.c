/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/attr.h"
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

/* A path deeper than there are descriptors, or than PATH_MAX allows to name. */
static void removes_what_is_deep(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int at = dup(dir);
	for (int i = 0; i < 700; i++) {
		assert_int_equal(mkdirat(at, "twelve-bytes", 0755), 0);
		int next = openat(at, "twelve-bytes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(at);
		at = next;
	}
	(void)close(at);
	assert_int_equal(yg_fs_remove(dir, "twelve-bytes", &err), 0);
	assert_int_equal(faccessat(dir, "twelve-bytes", F_OK, 0), -1);
	expect("keep/me", "x"); /* and nothing else */
}

static void says_what_is_in_the_way(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(yg_fs_mkdirs(dir, "object/inside", 0755, &err), -1);
	assert_int_equal(err.sys, ENOTDIR);
	assert_string_equal(err.msg, "making directory 'object': Not a directory");
	err = (struct yg_err){0};
	assert_int_equal(yg_fs_mkdirs(dir, "object", 0755, &err), -1);
	assert_string_equal(err.msg, "making directory 'object': Not a directory");
	assert_int_equal(symlinkat("nowhere", dir, "dead"), 0);
	assert_int_equal(yg_fs_mkdirs(dir, "dead", 0755, &err), -1);
	assert_int_equal(err.sys, ENOTDIR);
	assert_int_equal(symlinkat("keep", dir, "alive"), 0);
	assert_int_equal(yg_fs_mkdirs(dir, "alive", 0755, &err), 0);
}

/* What lies at the temporary's name is removed, not written into. */
static void left_overs_keep_their_bytes(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char temp[64];
	(void)snprintf(temp, sizeof(temp), "new.%ld.tmp", (long)getpid());
	assert_int_equal(linkat(dir, "keep/me", dir, temp, 0), 0);
	assert_int_equal(yg_fs_replace(dir, "new", yg_bytes_of("new"), 0600, &err), 0);
	expect("new", "new");
	expect("keep/me", "x");
	assert_int_equal(mkdirat(dir, temp, 0755), 0);
	assert_int_equal(yg_fs_replace(dir, "new", yg_bytes_of("newer"), 0600, &err), 0);
	expect("new", "newer");
	assert_int_equal(mkdirat(dir, temp, 0755), 0);
	assert_int_equal(yg_fs_symlink(dir, "keep", "new", &err), 0);
	assert_int_equal(faccessat(dir, temp, F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void copies(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat st;
	int fd YG_AUTO(fd) = yg_fs_open(dir, "object", &err);
	assert_int_equal(yg_fs_copy_to(fd, dir, "copy", 0400, &err), 0);
	assert_int_equal(yg_fs_copy_to(fd, dir, "copy", 0444, &err), 0);
	expect("copy", "bytes");
	assert_int_equal(fstatat(dir, "copy", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	/* a file with a name does not get a second one */
	assert_int_equal(yg_fs_link_tmpfile(fd, dir, "second", 0400, &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 07777, 0444);
	expect("second", "bytes");
}

/* The page says of each function that writes what it promises. */
static void the_page_knows_every_call(void **state)
{
	(void)state;
	static const char *const calls[] = {"yg_fs_replace", "yg_fs_copy_to", "yg_fs_link_tmpfile",
		"yg_fs_symlink", "yg_fs_mkdirs", "yg_fs_sync", "yg_fs_sync_dir", "yg_fs_remove",
		"yg_fs_tmpfile", "yg_fs_write_all", "yg_fs_copy", "yg_fs_allocate"};
	struct yg_err err = {0};
	struct yg_buf page YG_AUTO(yg_buf) = YG_BUF(1 << 20);
	assert_int_equal(yg_fs_read(AT_FDCWD, YG_SOURCE_ROOT "/docs/durability.md", &page, &err),
		0);
	assert_int_equal(yg_buf_add(&page, "", 1, &err), 0);
	for (size_t i = 0; i < YG_COUNT(calls); i++) {
		char want[64];
		(void)snprintf(want, sizeof(want), "`%s`", calls[i]);
		if (!strstr((const char *)page.data, want))
			fail_msg("docs/durability.md does not say what %s promises", calls[i]);
	}
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
		cmocka_unit_test(removes_what_is_deep),
		cmocka_unit_test(says_what_is_in_the_way),
		cmocka_unit_test(left_overs_keep_their_bytes),
		cmocka_unit_test(copies),
		cmocka_unit_test(the_page_knows_every_call),
		cmocka_unit_test(memory_is_sealed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
