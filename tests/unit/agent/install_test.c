/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/install.h"

#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/confined.h"

static char root[64];
static int dir = -1;

static int setup(void **state)
{
	(void)state;
	strncpy(root, "/tmp/yagura-install-XXXXXX", sizeof(root) - 1);
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

static int enter(void)
{
	struct yg_err err = {0};
	return install_confine(dir, &err);
}

/* All that the store does: nameless files, links and renames between folders. */
static int try_store(void)
{
	struct yg_err err = {0};
	if (yg_fs_mkdirs(dir, "a/b", 0755, &err) < 0 || yg_fs_mkdirs(dir, "c", 0755, &err) < 0)
		return 1;
	int folder YG_AUTO(fd) = yg_fs_open_dir(dir, "a", &err);
	int fd YG_AUTO(fd) = folder < 0 ? -1 : yg_fs_tmpfile(folder, &err);
	if (fd < 0 || yg_fs_link_tmpfile(fd, folder, "x", 0444, &err) < 0)
		return 2;
	if (linkat(dir, "a/x", dir, "c/x", 0) < 0 || renameat(dir, "a/b", dir, "c/b") < 0)
		return 3;
	return yg_fs_symlink(dir, "c", "lib", &err) < 0 ? 4 : 0;
}

static void has_its_folder_and_nothing_else(void **state)
{
	(void)state;
	if (!yg_sandbox_walls())
		skip();
	assert_int_equal(confined_try(enter, try_store), 0);
	assert_int_equal(confined_try(enter, confined_read), EACCES);
	assert_int_equal(confined_try(enter, confined_write), EACCES);
	assert_int_equal(confined_try(enter, confined_socket), EPERM);
	assert_int_equal(confined_try(enter, confined_exec), EPERM);
	assert_int_equal(confined_try(enter, confined_kill), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(has_its_folder_and_nothing_else, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
