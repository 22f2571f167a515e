/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/resolve.h"

#include <string.h>

#include "../../lib/cmocka_all.h"

static void test_addresses(void **state)
{
	(void)state;
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	for (size_t i = 0; i < 2; i++) {
		struct yg_err err = {0};
		struct yg_resolved out = {0};
		assert_int_equal(yg_resolve_wait(hosts[i], 4122, 5000, &out, &err), 0);
		assert_int_equal(out.error, 0);
		assert_int_equal(out.count, 1);
		assert_string_equal(out.list[0].text, hosts[i]);
		assert_true(out.list[0].len > 0);
	}
}

static void test_nothing(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_resolved out = {0};
	assert_int_equal(yg_resolve_wait("nowhere.invalid", 1, 20000, &out, &err), 0);
	assert_int_not_equal(out.error, 0);
	assert_int_equal(out.count, 0);
	/* An answer that nobody waits for any more is thrown away, by whoever comes last. */
	for (int i = 0; i < 20; i++) {
		int fd = -1;
		struct yg_resolve *resolve = yg_resolve_start("127.0.0.1", 1, &fd, &err);
		assert_non_null(resolve);
		assert_true(fd >= 0);
		yg_resolve_free(resolve);
	}
	assert_int_equal(yg_resolve_wait("127.0.0.1", 1, 0, &out, &err), 0);
	assert_true(out.error == EAI_AGAIN || out.count == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_nothing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
