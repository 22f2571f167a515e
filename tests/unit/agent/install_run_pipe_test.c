/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/install_run_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fs.h"
#include "tests/lib/cmocka_all.h"

static int file;
static struct yg_loop *loop;
static unsigned moved;

static int set_up(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)signal(SIGPIPE, SIG_IGN);
	file = memfd_create("out", MFD_CLOEXEC);
	loop = yg_loop_new(&err);
	moved = 0;
	return file < 0 || !loop ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	yg_loop_free(loop);
	return close(file);
}

static void count(void *ctx)
{
	(void)ctx;
	moved++;
	yg_loop_stop(loop);
}

static struct install_run_pipe *begin(int out, uint64_t max, int *end)
{
	struct yg_err err = {0};
	struct install_run_pipe *pipe = install_run_pipe_new(loop, out, max, count, NULL, end,
		&err);
	if (!pipe)
		fail_msg("%s", err.msg);
	assert_int_equal(fcntl(*end, F_GETFL) & O_NONBLOCK, 0);
	assert_true(fcntl(*end, F_GETFD) & FD_CLOEXEC);
	return pipe;
}

static void what_comes_is_written(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = begin(file, 10, &end);
	assert_int_equal(write(end, "01234", 5), 5);
	yg_loop_run(loop);
	assert_int_equal(moved, 1);
	assert_int_equal(install_run_pipe_bytes(pipe), 5);
	assert_int_equal(write(end, "56789", 5), 5);
	assert_int_equal(install_run_pipe_finish(pipe, &err), 0); /* not from the loop */
	assert_int_equal(install_run_pipe_bytes(pipe), 10);
	char have[16] = "";
	assert_int_equal(pread(file, have, sizeof(have), 0), 10);
	assert_string_equal(have, "0123456789");

	/* What was checked can not be changed any more by who brought it. */
	assert_int_equal(write(end, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void it_goes_on_where_the_file_is(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	assert_int_equal(write(file, "012", 3), 3);
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = begin(file, 7, &end);
	assert_int_equal(write(end, "3456789", 7), 7);
	(void)close(yg_take_fd(end));
	yg_loop_run(loop);
	assert_int_equal(install_run_pipe_finish(pipe, &err), 0);
	char have[16] = "";
	assert_int_equal(pread(file, have, sizeof(have), 0), 10);
	assert_string_equal(have, "0123456789");
}

static void more_than_was_asked_for_is_refused(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = begin(file, 4, &end);
	assert_int_equal(write(end, "01234", 5), 5);
	yg_loop_run(loop);
	assert_int_equal(write(end, "x", 1), -1); /* at once, not when it has sent everything */
	assert_int_equal(install_run_pipe_finish(pipe, &err), -1);
	assert_string_equal(err.cause, "content.size");
	assert_string_equal(err.msg, "want at most 4 bytes, more came");
}

static void a_full_disk_has_its_name(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	int full YG_AUTO(fd) = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (full < 0)
		skip();
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = begin(full, 10, &end);
	assert_int_equal(write(end, "01234", 5), 5);
	assert_int_equal(install_run_pipe_finish(pipe, &err), -1);
	assert_string_equal(err.cause, "store.disk_full");
	assert_non_null(strstr(err.msg, "storing what comes: "));
}

static void a_file_that_cannot_be_written_has_its_name(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int end YG_AUTO(fd) = -1;
	int null YG_AUTO(fd) = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct install_run_pipe *pipe YG_AUTO(install_run_pipe) = begin(null, 10, &end);
	assert_int_equal(write(end, "01234", 5), 5);
	assert_int_equal(install_run_pipe_finish(pipe, &err), -1);
	assert_string_equal(err.cause, "store.io");
}

static void it_can_be_forgotten(void **state)
{
	(void)state;
	int end YG_AUTO(fd) = -1;
	struct install_run_pipe *pipe = begin(file, 10, &end);
	assert_int_equal(write(end, "01234", 5), 5);
	install_run_pipe_free(pipe);
	install_run_pipe_free(NULL);
	assert_int_equal(write(end, "x", 1), -1);
	assert_int_equal(lseek(file, 0, SEEK_END), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_comes_is_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_goes_on_where_the_file_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_than_was_asked_for_is_refused, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_has_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_written_has_its_name, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(it_can_be_forgotten, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
