/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/fetch.h"

#include <sys/mman.h>

#include "tests/lib/confined.h"

static int enter(void)
{
	struct yg_err err = {0};
	return fetch_confine("", &err);
}

static int try_cas(void)
{
	return open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 ? errno : 0;
}

static void has_the_network_and_no_paths(void **state)
{
	(void)state;
	if (!yg_sandbox_walls())
		skip();
	assert_int_equal(confined_try(enter, confined_socket), 0);
	int cas = confined_try(enter, try_cas);
	assert_true(cas == 0 || cas == ENOENT);
	assert_int_equal(confined_try(enter, confined_read), EACCES);
	assert_int_equal(confined_try(enter, confined_write), EPERM);
	assert_int_equal(confined_try(enter, confined_listen), EPERM);
	assert_int_equal(confined_try(enter, confined_exec), EPERM);
	assert_int_equal(confined_try(enter, confined_kill), EPERM);
}

static int enter_without_log(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return null < 0 || dup2(null, STDERR_FILENO) < 0 ? -1 : enter();
}

/* Not even in memory. */
static int try_file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	if (fd < 0)
		return ENOSYS;
	return write(fd, "x", 1) < 0 ? errno : 0;
}

static void writes_no_file(void **state)
{
	(void)state;
	assert_int_equal(confined_try(enter_without_log, try_file), EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_network_and_no_paths),
		cmocka_unit_test(writes_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
