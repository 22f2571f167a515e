/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/job.h"

#include "tests/lib/cmocka_all.h"

static void kinds(void **state)
{
	(void)state;
	for (int i = 0; i < YG_JOB_KINDS; i++) {
		struct yg_err err = {0};
		enum yg_job_kind kind = YG_JOB_UPDATE;
		assert_int_equal(yg_job_kind_parse(yg_job_kind_name((enum yg_job_kind)i), &kind,
					 &err),
			0);
		assert_int_equal(kind, i);
	}
	for (int i = 0; i < YG_JOB_OUTCOMES; i++) {
		struct yg_err err = {0};
		enum yg_job_outcome outcome = YG_JOB_SUCCESS;
		assert_int_equal(yg_job_outcome_parse(yg_job_outcome_name((enum yg_job_outcome)i),
					 &outcome, &err),
			0);
		assert_int_equal(outcome, i);
	}
}

static void refuses(void **state)
{
	(void)state;
	struct yg_err err = {0};
	enum yg_job_kind kind = YG_JOB_SCAN;
	enum yg_job_outcome outcome = YG_JOB_FAILED;
	assert_int_equal(yg_job_kind_parse("updates", &kind, &err), -1);
	assert_string_equal(err.msg,
		"kind: want update, scan, rollback, policy, release_hold or test, have 'updates'");
	assert_int_equal(yg_job_outcome_parse(NULL, &outcome, &err), -1);
	assert_string_equal(err.msg, "outcome: want success, failed or cancelled, have ''");
	assert_int_equal(kind, YG_JOB_SCAN);
	assert_int_equal(outcome, YG_JOB_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(refuses)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
