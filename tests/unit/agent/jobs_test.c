/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/jobs.h"
#include "core/fs.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static char path[64];
static int dir = -1;

static int begin(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	(void)snprintf(path, sizeof(path), "/tmp/jobs_test.XXXXXX");
	if (!mkdtemp(path))
		return -1;
	dir = yg_fs_open_dir(AT_FDCWD, path, &err);
	return dir < 0 ? -1 : 0;
}

static int end(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, path, &err);
}

static void a_job_is_known_for_long_and_ends_once(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	json_t *command = json_pack("{s:s,s:s}", "command", "scan", "job", "one");
	struct jobs *jobs = jobs_open(dir, &err);
	assert_non_null(jobs);
	assert_false(jobs_known(jobs, "one"));
	assert_int_equal(jobs_begin(jobs, "one", command, &err), 0);
	jobs_free(jobs);

	jobs = jobs_open(dir, &err); /* killed meanwhile */
	assert_true(jobs_known(jobs, "one"));
	json_t *running = jobs_running(jobs);
	assert_int_equal(json_array_size(running), 1);
	assert_true(json_integer_value(json_object_get(json_array_get(running, 0), "begun_s")) > 0);
	json_decref(running);
	assert_int_equal(jobs_end(jobs, "one", &err), 0);
	jobs_free(jobs);

	jobs = jobs_open(dir, &err);
	assert_true(jobs_known(jobs, "one"));
	running = jobs_running(jobs);
	assert_int_equal(json_array_size(running), 0);
	json_decref(running);
	jobs_free(jobs);
	json_decref(command);
}

/* Also when we die before it has ended. */
static void that_one_is_cancelled_is_remembered(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	json_t *command = json_pack("{s:s,s:s}", "command", "update", "job", "one");
	struct jobs *jobs = jobs_open(dir, &err);
	assert_int_equal(jobs_cancel(jobs, "one", &err), 0); /* never came */
	assert_int_equal(jobs_begin(jobs, "one", command, &err), 0);
	assert_int_equal(jobs_cancel(jobs, "one", &err), 0);
	jobs_free(jobs);

	jobs = jobs_open(dir, &err);
	json_t *running = jobs_running(jobs);
	assert_true(json_is_true(json_object_get(json_array_get(running, 0), "cancelled")));
	json_decref(running);
	assert_int_equal(jobs_end(jobs, "one", &err), 0);
	assert_int_equal(jobs_cancel(jobs, "one", &err), 0); /* done */
	jobs_free(jobs);
	json_decref(command);
}

static void the_oldest_that_is_done_is_forgotten(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	json_t *command = json_pack("{s:s}", "command", "scan");
	struct jobs *jobs = jobs_open(dir, &err);
	assert_int_equal(jobs_begin(jobs, "running", command, &err), 0);
	for (int i = 0; i < JOBS_MAX + 5; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "job-%d", i);
		assert_int_equal(jobs_begin(jobs, id, command, &err), 0);
		assert_int_equal(jobs_end(jobs, id, &err), 0);
	}
	assert_true(jobs_known(jobs, "running"));
	assert_false(jobs_known(jobs, "job-0"));
	assert_true(jobs_known(jobs, "job-200"));
	jobs_free(jobs);
	json_decref(command);
}

static void a_broken_file_is_begun_anew(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	assert_int_equal(yg_fs_replace(dir, "jobs.json", yg_bytes_of("[{"), 0600, &err), 0);
	struct jobs *jobs = jobs_open(dir, &err);
	assert_non_null(jobs);
	assert_false(jobs_known(jobs, "one"));
	jobs_free(jobs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_job_is_known_for_long_and_ends_once, begin, end),
		cmocka_unit_test_setup_teardown(that_one_is_cancelled_is_remembered, begin, end),
		cmocka_unit_test_setup_teardown(the_oldest_that_is_done_is_forgotten, begin, end),
		cmocka_unit_test_setup_teardown(a_broken_file_is_begun_anew, begin, end),
	};
	return cmocka_run_group_tests_name("agent/jobs", tests, NULL, NULL);
}
