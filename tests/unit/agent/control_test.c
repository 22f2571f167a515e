/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/cmocka_all.h"

/* A question that stays open, and whoever asked it leaves in one way or another. */

struct scene {
	struct yg_loop *loop;
	struct yg_timer *limit;
	struct control *control;
	struct control_call *call;
	int asked, gone;
	int fd; /* the asker's */
};

static char folder[] = "/tmp/control_test.XXXXXX";

static void gone(void *ctx)
{
	struct scene *s = ctx;
	s->gone++;
	yg_loop_stop(s->loop);
}

static void on_open(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	struct scene *s = ctx;
	s->call = call;
	s->asked++;
	control_on_gone(call, gone, s);
	yg_loop_stop(s->loop);
}

static const struct control_verb verbs[] = {{"open", on_open}, {NULL, NULL}};

static void too_late(void *ctx)
{
	yg_loop_stop(((struct scene *)ctx)->loop);
}

/* Run until something happens, at most so long. */
static void pass(struct scene *s, int64_t ms)
{
	yg_timer_set(s->limit, ms);
	yg_loop_run(s->loop);
}

static void open_scene(struct scene *s)
{
	struct yg_err err = {0};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/sock", folder);
	(void)unlink(at.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	s->loop = yg_loop_new(&err);
	s->limit = yg_loop_timer(s->loop, too_late, s);
	s->control = control_new(s->loop, fd, verbs, s, &err);
	assert_non_null(s->control);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s->fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(write(s->fd, "{\"do\":\"open\"}\n", 14), 14);
	pass(s, 10000);
	assert_int_equal(s->asked, 1);
}

static void close_scene(struct scene *s)
{
	control_free(s->control);
	yg_timer_free(s->limit);
	yg_loop_free(s->loop);
	if (s->fd >= 0)
		(void)close(s->fd);
	assert_int_equal(s->asked, 1);
}

static void who_closes_is_gone_at_once(void **unused)
{
	(void)unused;
	struct scene s = {0};
	open_scene(&s);
	(void)close(s.fd);
	s.fd = -1;
	pass(&s, 10000);
	assert_int_equal(s.gone, 1);
	control_progress(s.call, json_object()); /* to nobody */
	control_reply(s.call, json_object());
	close_scene(&s);
	assert_int_equal(s.gone, 1);
}

static void who_only_sends_no_more_is_answered(void **unused)
{
	(void)unused;
	char text[64] = "";
	struct scene s = {0};
	open_scene(&s);
	assert_int_equal(shutdown(s.fd, SHUT_WR), 0);
	pass(&s, 200);
	assert_int_equal(s.gone, 0);
	control_reply(s.call, json_pack("{s:i}", "a", 1));
	assert_true(read(s.fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "{\"ok\":{\"a\":1}}\n");
	assert_int_equal(read(s.fd, text, sizeof(text)), 0); /* and that was all */
	close_scene(&s);
	assert_int_equal(s.gone, 0);
}

static void an_answer_ends_the_interest(void **unused)
{
	(void)unused;
	struct scene s = {0};
	open_scene(&s);
	control_reply(s.call, json_object());
	(void)close(s.fd);
	s.fd = -1;
	pass(&s, 200);
	close_scene(&s);
	assert_int_equal(s.gone, 0);
}

/* The next question waits for its turn, and is no sign of anything. */
static void another_question_meanwhile(void **unused)
{
	(void)unused;
	struct scene s = {0};
	open_scene(&s);
	assert_int_equal(write(s.fd, "{\"do\":\"open\"}\n", 14), 14);
	pass(&s, 200);
	assert_int_equal(s.asked, 1);
	assert_int_equal(s.gone, 0);
	control_on_gone(s.call, NULL, NULL);
	control_reply(s.call, json_object());
	assert_int_equal(s.asked, 2);
	control_reply(s.call, json_object());
	s.asked = 1;
	close_scene(&s);
}

/* Send a question with so many descriptors of one pipe's writing end. */
static void ask_with(int fd, int file, size_t count)
{
	int files[4];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(files))];
	} space = {0};
	struct iovec piece = {(void *)(uintptr_t) "{\"do\":\"open\"}\n", 14};
	struct msghdr msg = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = space.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	for (size_t i = 0; i < count; i++)
		files[i] = file;
	space.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&space.header), files, count * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), 14);
}

/* A file comes with a question; what nobody takes, and what is too many, is closed: the pipe ends. */
static void files_come_and_none_stays(void **unused)
{
	(void)unused;
	for (size_t count = 1; count <= 4; count++) {
		struct scene s = {0};
		char byte = 0;
		int ends[2];
		open_scene(&s);
		assert_int_equal(control_take_fd(s.call), -1);
		control_on_gone(s.call, NULL, NULL);
		control_reply(s.call, json_object());
		assert_int_equal(pipe(ends), 0);
		ask_with(s.fd, ends[1], count);
		(void)close(ends[1]);
		pass(&s, 10000);
		assert_int_equal(s.asked, 2);
		int file = control_take_fd(s.call);
		assert_true(file >= 0);
		assert_int_equal(control_take_fd(s.call), -1);
		assert_int_equal(write(file, "x", 1), 1);
		assert_int_equal(read(ends[0], &byte, 1), 1);
		(void)close(file);
		assert_int_equal(read(ends[0], &byte, 1), 0);
		(void)close(ends[0]);
		control_on_gone(s.call, NULL, NULL);
		control_reply(s.call, json_object());
		s.asked = 1;
		close_scene(&s);
	}
}

static void a_file_that_nobody_takes_is_closed(void **unused)
{
	(void)unused;
	struct scene s = {0};
	char byte = 0;
	int ends[2];
	open_scene(&s);
	assert_int_equal(pipe(ends), 0);
	control_on_gone(s.call, NULL, NULL);
	control_reply(s.call, json_object());
	ask_with(s.fd, ends[1], 1);
	(void)close(ends[1]);
	pass(&s, 10000);
	control_on_gone(s.call, NULL, NULL);
	control_reply(s.call, json_object());
	assert_int_equal(read(ends[0], &byte, 1), 0);
	(void)close(ends[0]);
	s.asked = 1;
	close_scene(&s);
}

static int setup(void **unused)
{
	(void)unused;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	char path[sizeof(folder) + 8];
	(void)snprintf(path, sizeof(path), "%s/sock", folder);
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_closes_is_gone_at_once),
		cmocka_unit_test(who_only_sends_no_more_is_answered),
		cmocka_unit_test(an_answer_ends_the_interest),
		cmocka_unit_test(another_question_meanwhile),
		cmocka_unit_test(files_come_and_none_stays),
		cmocka_unit_test(a_file_that_nobody_takes_is_closed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
