/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/err.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/cmocka_all.h"

static void says_what_and_where(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(yg_fail_sys(&err, ENOENT, "opening '%s'", "x"), -1);
	assert_string_equal(err.msg, "opening 'x': No such file or directory");
	assert_int_equal(yg_wrap(&err, "loading %d", 3), -1);
	assert_string_equal(err.msg, "loading 3: opening 'x': No such file or directory");
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(err.code, YG_ESYSTEM);
}

static void keeps_the_cause(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)yg_fail_cause(&err, YG_EAGAIN, "net.refused", "connecting");
	(void)yg_wrap(&err, "relay");
	assert_string_equal(err.cause, "net.refused");
	(void)yg_fail(&err, YG_EFORMAT, "another");
	assert_string_equal(err.cause, "");
}

/* When both do not fit, the context is cut and the cause stays, whatever the lengths. */
static void cuts_the_context(void **state)
{
	(void)state;
	char big[YG_ERR_MSG_MAX + 50];
	memset(big, 'a', sizeof(big));
	for (size_t cause = 1; cause < sizeof(big); cause++) {
		struct yg_err err = {0};
		(void)yg_fail(&err, YG_ELIMIT, "%.*s", (int)cause, big);
		(void)yg_wrap(&err, "context %d", 12345);
		size_t kept = cause < YG_ERR_MSG_MAX ? cause : YG_ERR_MSG_MAX - 1;
		assert_true(strlen(err.msg) < YG_ERR_MSG_MAX);
		assert_true(strlen(err.msg) >= kept);
		assert_memory_equal(err.msg + strlen(err.msg) - kept, big, kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_and_where),
		cmocka_unit_test(keeps_the_cause),
		cmocka_unit_test(cuts_the_context),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
