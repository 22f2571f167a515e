/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/ipc.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

/* Two ends in one loop: everything the channel promises, without a second process. */
struct ends {
	struct yg_loop *loop;
	struct yg_ipc *a, *b;
	char trace[1024]; /* what happened, in order */
	bool free_in_callback;
};

static void note(struct ends *e, const char *what)
{
	size_t used = strlen(e->trace);
	(void)snprintf(e->trace + used, sizeof(e->trace) - used, "%s%s", used ? " " : "", what);
}

static void on_echo(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct ends *e = ctx;
	note(e, "echo");
	yg_ipc_reply(ipc, msg->id, json_incref(msg->body), msg->fds, msg->fd_count);
}

static void on_fail(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EUNTRUSTED, "tuf.signature", "file '\xff'");
	why.retry_s = 90;
	yg_ipc_reply_err(ipc, msg->id, &why);
}

static void on_large(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	char big[YG_IPC_SIZE_MAX + 10];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	yg_ipc_reply(ipc, msg->id, json_pack("{s:s}", "big", big), NULL, 0);
}

static void on_bye(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct ends *e = ctx;
	(void)msg;
	note(e, "bye");
	if (e->free_in_callback) {
		yg_ipc_free(ipc);
		e->b = NULL;
	}
}

static const struct yg_ipc_handler handlers[] = {{"echo", on_echo}, {"fail", on_fail},
	{"large", on_large}, {"bye", on_bye}, {0}};

static void on_closed(void *ctx, struct yg_ipc *ipc)
{
	struct ends *e = ctx;
	note(e, "closed");
	if (ipc == e->a)
		e->a = NULL;
	else
		e->b = NULL;
	yg_ipc_free(ipc);
	yg_loop_stop(e->loop);
}

static void setup(struct ends *e)
{
	int pair[2];
	struct yg_err err = {0};
	*e = (struct ends){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	e->loop = yg_loop_new(&err);
	e->a = yg_ipc_new(e->loop, pair[0], "bob", handlers, on_closed, e, &err);
	e->b = yg_ipc_new(e->loop, pair[1], "alice", handlers, on_closed, e, &err);
	assert_non_null(e->a);
	assert_non_null(e->b);
}

static void teardown(struct ends *e)
{
	yg_ipc_free(e->a);
	yg_ipc_free(e->b);
	yg_loop_free(e->loop);
}

static void done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct ends *e = ctx;
	char text[YG_ERR_MSG_MAX + 64];
	if (err->code != YG_OK) {
		(void)snprintf(text, sizeof(text), "error:%d:%u:%s:%s", (int)err->code,
			err->retry_s, err->cause, err->msg);
	} else {
		const char *value = json_string_value(json_object_get(reply->body, "v"));
		(void)snprintf(text, sizeof(text), "reply:%s:%zu", value ? value : "",
			reply->fd_count);
	}
	note(e, text);
	yg_loop_stop(e->loop);
}

static const struct {
	const char *row, *msg, *want;
	size_t fds;
} request_rows[] = {
	{"an echo", "echo", "echo reply:x:0", 0},
	{"an echo with a descriptor", "echo", "echo reply:x:1", 1},
	{"a failure keeps all it says, and bytes that are not UTF-8 do not lose it", "fail",
		"error:2:90:tuf.signature:a failure whose text is not UTF-8", 0},
	{"a message that is not in the table", "nonsense", "error:1:0::no message 'nonsense' here",
		0},
	{"a reply that is too large", "large",
		"error:3:0::message to alice: want <= 65536 bytes, have 65571", 0},
};

static void requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(request_rows); i++) {
		struct ends e;
		setup(&e);
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		print_message("%s\n", request_rows[i].row);
		yg_ipc_request(e.a, request_rows[i].msg, json_pack("{s:s}", "v", "x"), &fd,
			request_rows[i].fds, done, &e);
		yg_loop_run(e.loop);
		assert_string_equal(e.trace, request_rows[i].want);
		(void)close(fd);
		teardown(&e);
	}
}

static void too_large_to_send(void **state)
{
	(void)state;
	struct ends e;
	setup(&e);
	char big[YG_IPC_SIZE_MAX + 10];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	yg_ipc_request(e.a, "echo", json_pack("{s:s}", "v", big), NULL, 0, done, &e);
	assert_string_equal(e.trace, ""); /* never from inside the call */
	yg_loop_run(e.loop);
	assert_non_null(strstr(e.trace, "error:3:0::message to bob: want <= 65536 bytes"));
	teardown(&e);
}

static void close_answers_all(void **state)
{
	(void)state;
	struct ends e;
	setup(&e);
	yg_ipc_free(e.b);
	e.b = NULL;
	yg_ipc_request(e.a, "echo", NULL, NULL, 0, done, &e);
	yg_ipc_request(e.a, "echo", NULL, NULL, 0, done, &e);
	yg_loop_run(e.loop);
	if (e.a)
		yg_loop_run(e.loop);
	assert_string_equal(e.trace, "error:5:0::bob went away error:5:0::bob went away closed");
	teardown(&e);
}

static void freed_in_its_own_handler(void **state)
{
	(void)state;
	struct ends e;
	setup(&e);
	struct yg_err err = {0};
	e.free_in_callback = true;
	assert_int_equal(yg_ipc_send(e.a, "bye", NULL, NULL, 0, &err), 0);
	assert_int_equal(yg_ipc_send(e.a, "bye", NULL, NULL, 0, &err), 0);
	yg_loop_run(e.loop);
	assert_string_equal(e.trace, "bye closed");
	teardown(&e);
}

static void *serve(void *arg)
{
	struct ends *e = arg;
	yg_loop_run(e->loop);
	return NULL;
}

/* A blocking call meets notices on its way: they wait, in order, for the loop. */
static void blocking(void **state)
{
	(void)state;
	struct ends server, client;
	struct yg_err err = {0};
	int pair[2];
	server = client = (struct ends){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	server.loop = yg_loop_new(&err);
	client.loop = yg_loop_new(&err);
	server.b = yg_ipc_new(server.loop, pair[1], "client", handlers, on_closed, &server, &err);
	client.a = yg_ipc_new(client.loop, pair[0], "server", handlers, on_closed, &client, &err);
	assert_int_equal(yg_ipc_send(server.b, "bye", NULL, NULL, 0, &err), 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);

	json_t *reply YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_ipc_call(client.a, "echo", json_pack("{s:s}", "v", "1"), NULL, 0,
				 &reply, NULL, &err),
		0);
	assert_string_equal(json_string_value(json_object_get(reply, "v")), "1");
	json_t *failed YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_ipc_call(client.a, "nope", NULL, NULL, 0, &failed, NULL, &err), -1);
	assert_string_equal(err.msg, "no message 'nope' here");
	assert_string_equal(client.trace, "");

	yg_ipc_request(client.a, "echo", NULL, NULL, 0, done, &client);
	yg_loop_run(client.loop);
	assert_string_equal(client.trace, "bye reply::0");
	teardown(&client);
	assert_int_equal(pthread_join(thread, NULL), 0);
	teardown(&server);
}

/* More than the socket holds: it queues, with the descriptors alive, and arrives in order. */
static void queues(void **state)
{
	(void)state;
	struct ends e;
	setup(&e);
	struct yg_err err = {0};
	char body[4000];
	memset(body, 'y', sizeof(body) - 1);
	body[sizeof(body) - 1] = 0;
	for (int i = 0; i < 500; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		json_t *object = json_pack("{s:s}", "pad", body);
		assert_int_equal(yg_ipc_send(e.a, "nobody", object, &fd, 1, &err), 0);
		(void)close(fd);
	}
	yg_ipc_request(e.a, "echo", NULL, NULL, 0, done, &e);
	yg_loop_run(e.loop);
	assert_string_equal(e.trace, "echo reply::0");
	teardown(&e);
}

static const struct {
	const char *text, *want;
} broken_rows[] = {
	{"", "JSON: line 1: '[' or '{' expected near end of file"},
	{"[]", "msg: want a string, have nothing"},
	{"{\"msg\":1,\"body\":{}}", "msg: want a string, have a whole number"},
	{"{\"msg\":\"a\"}", "body: want an object, have nothing"},
	{"{\"msg\":\"a\",\"id\":-1,\"body\":{}}", "id: want 0..4294967295, have -1"},
	{"{\"re\":1,\"err\":{\"code\":0,\"msg\":\"x\"}}", "err: code: want 1..6, have 0"},
	{"{\"re\":1,\"err\":{\"code\":9,\"msg\":\"x\"}}", "err: code: want 1..6, have 9"},
	{"{\"re\":1,\"err\":{\"code\":1}}", "err: msg: want a string, have nothing"},
	{"{\"re\":1}", "body: want an object, have nothing"},
};

static void broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(broken_rows); i++) {
		json_t *root YG_AUTO(yg_json) = NULL;
		struct yg_ipc_msg msg;
		struct yg_err why = {0}, err = {0};
		uint32_t re = 0;
		assert_int_equal(yg_ipc_parse(yg_bytes_of(broken_rows[i].text), &root, &msg, &re,
					 &why, &err),
			-1);
		if (i > 0) /* the first text is jansson's own */
			assert_string_equal(err.msg, broken_rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(too_large_to_send),
		cmocka_unit_test(close_answers_all),
		cmocka_unit_test(freed_in_its_own_handler),
		cmocka_unit_test(blocking),
		cmocka_unit_test(queues),
		cmocka_unit_test(broken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
