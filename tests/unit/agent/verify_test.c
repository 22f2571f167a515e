/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/verify.h"

#include "core/fs.h"
#include "tests/lib/confined.h"

static int enter(void)
{
	struct yg_err err = {0};
	return verify_confine("", &err);
}

static int try_memory_file(void)
{
	struct yg_err err = {0};
	return yg_fs_memfd("set", yg_bytes_of("bytes"), &err) < 0 ? 1 : 0;
}

static void has_descriptors_and_nothing_else(void **state)
{
	(void)state;
	if (!yg_sandbox_walls())
		skip();
	assert_int_equal(confined_try(enter, try_memory_file), 0);
	assert_int_equal(confined_try(enter, confined_read), EPERM);
	assert_int_equal(confined_try(enter, confined_write), EPERM);
	assert_int_equal(confined_try(enter, confined_socket), EPERM);
	assert_int_equal(confined_try(enter, confined_exec), EPERM);
	assert_int_equal(confined_try(enter, confined_kill), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_descriptors_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
