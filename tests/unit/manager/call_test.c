/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/loop.h"
#include "tests/lib/cmocka_all.h"

/* A store at the other end of a pair, in the same loop: it answers, fails, answers with something
 * large, or says nothing, as the operation's name asks.
 */

struct test {
	struct yg_loop *loop;
	struct call_link link;
	struct yg_ipc *store;
	char seen[256]; /* of the last request: op, who, size of args */
	int done;
	char outcome[400];
};

static void store_call(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct test *test = ctx;
	struct yg_err err = {0};
	const char *op = json_string_value(json_object_get(msg->body, "op"));
	json_t *large YG_AUTO(yg_json) = NULL;
	json_t *args = json_object_get(msg->body, "args");
	if (!args && msg->fd_count == 1 &&
		yg_json_read(msg->fds[0], CALL_ARGS_MAX, &large, &err) == 0)
		args = large;
	char *who YG_AUTO(mem) = yg_json_text(json_object_get(msg->body, "who"));
	(void)snprintf(test->seen, sizeof(test->seen), "%s %s %zu %s", op, who,
		json_dumpb(args, NULL, 0, JSON_COMPACT), large ? "large" : "small");
	if (strcmp(op, "good") == 0)
		yg_ipc_reply(ipc, msg->id, json_pack("{s:i}", "n", 7), NULL, 0);
	if (strcmp(op, "bad") == 0) {
		(void)yg_fail_cause(&err, YG_EFORMAT, "conflict", "it is there");
		yg_ipc_reply_err(ipc, msg->id, &err);
	}
	if (strcmp(op, "large") == 0) {
		int fd YG_AUTO(fd) = yg_fs_memfd("x", yg_bytes_of("{\"n\":8}"), &err);
		yg_ipc_reply(ipc, msg->id, json_pack("{s:b}", "large", 1), &fd, 1);
	}
	if (strcmp(op, "silent") == 0)
		yg_loop_stop(test->loop);
}

static const struct yg_ipc_handler handlers[] = {{"store.call", store_call}, {0}};

static void closed(void *ctx, struct yg_ipc *ipc)
{
	struct test *test = ctx;
	(void)ipc;
	call_link_drop(&test->link);
	yg_loop_stop(test->loop);
}

static void far_closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ctx;
	(void)ipc;
}

static void done(void *ctx, json_t *result, const struct yg_err *err)
{
	struct test *test = ctx;
	char *text YG_AUTO(mem) = result ? yg_json_text(result) : NULL;
	test->done++;
	(void)snprintf(test->outcome, sizeof(test->outcome), "%s", text ? text : err->msg);
	yg_loop_stop(test->loop);
}

static void connect_both(struct test *test)
{
	struct yg_err err = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				 pair),
		0);
	call_link_set(&test->link, test->loop, pair[0], "store", NULL, closed, test);
	test->store = yg_ipc_new(test->loop, pair[1], "asker", handlers, far_closed, test, &err);
	assert_non_null(test->store);
}

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	struct yg_err err = {0};
	assert_non_null(test);
	test->loop = yg_loop_new(&err);
	connect_both(test);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;
	call_link_drop(&test->link);
	yg_ipc_free(test->store);
	yg_loop_free(test->loop);
	free(test);
	return 0;
}

static void answers_come_back(void **state)
{
	struct test *test = *state;
	static const struct {
		const char *op;
		const char *outcome;
	} rows[] = {{"good", "{\"n\":7}"}, {"bad", "it is there"}, {"large", "{\"n\":8}"}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		test->done = 0;
		call_store(&test->link, rows[i].op, json_object(), NULL, NULL, done, test);
		yg_loop_run(test->loop);
		assert_int_equal(test->done, 1);
		assert_string_equal(test->outcome, rows[i].outcome);
	}
	assert_string_equal(test->seen, "large {\"kind\":\"system\"} 2 small");
}

static void large_arguments_travel_as_a_descriptor(void **state)
{
	struct test *test = *state;
	json_t *ids = json_array();
	for (int i = 0; i < 20000; i++)
		(void)json_array_append_new(ids,
			json_string("11111111-2222-4333-8444-555555555555"));
	call_store(&test->link, "good", json_pack("{s:o}", "computers", ids),
		json_pack("{s:s}", "kind", "key"), "ja", done, test);
	yg_loop_run(test->loop);
	assert_string_equal(test->outcome, "{\"n\":7}");
	assert_string_equal(test->seen, "good {\"kind\":\"key\"} 780015 large");
}

static void without_a_store_the_answer_comes_at_once(void **state)
{
	struct test *test = *state;
	call_link_drop(&test->link);
	call_store(&test->link, "good", json_object(), NULL, NULL, done, test);
	assert_int_equal(test->done, 1);
	assert_string_equal(test->outcome, "the Manager's store is starting again; try again");
}

/* A store that dies, and one that is replaced before its end was noticed: asked once, answered once. */
static void nobody_waits_for_ever(void **state)
{
	struct test *test = *state;
	call_store(&test->link, "silent", json_object(), NULL, NULL, done, test);
	yg_loop_run(test->loop);
	yg_ipc_free(test->store);
	test->store = NULL;
	yg_loop_run(test->loop);
	assert_int_equal(test->done, 1);

	connect_both(test);
	call_store(&test->link, "silent", json_object(), NULL, NULL, done, test);
	yg_loop_run(test->loop);
	struct yg_ipc *before = test->store;
	connect_both(test);
	assert_int_equal(test->done, 2);
	assert_string_equal(test->outcome, "a part of the Manager is starting again; try again");
	yg_ipc_free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(large_arguments_travel_as_a_descriptor, setup,
			teardown),
		cmocka_unit_test_setup_teardown(without_a_store_the_answer_comes_at_once, setup,
			teardown),
		cmocka_unit_test_setup_teardown(nobody_waits_for_ever, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
