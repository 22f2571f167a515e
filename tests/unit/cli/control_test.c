/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

/* An agent that stands still, at each step of a question with a limit. */

struct world {
	char root[64];
	int socket;
	int waiting; /* fills the queue of connections; -1: none */
};

static struct sockaddr_un address_of(const struct world *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s/run/yagura/control.sock", w->root);
	return to;
}

static int set_up(void **state)
{
	static struct world w;
	struct yg_err err = {0};
	w = (struct world){.root = "/tmp/yagura-control-XXXXXX", .waiting = -1};
	assert_non_null(mkdtemp(w.root));
	int root YG_AUTO(fd) = open(w.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(yg_fs_mkdirs(root, "run/yagura", 0755, &err), 0);
	const struct sockaddr_un at = address_of(&w);
	w.socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w.socket, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(w.socket, 0), 0);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	const struct world *w = *state;
	struct yg_err err = {0};
	if (w->waiting >= 0)
		(void)close(w->waiting);
	(void)close(w->socket);
	return yg_fs_remove(AT_FDCWD, w->root, &err);
}

static void expect_silent(const struct world *w, const json_t *ask)
{
	json_t *ok YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	assert_int_equal(control_call_within(w->root, 1, ask, &ok, &err), -1);
	assert_string_equal(err.msg, "control socket: no answer in time");
	assert_int_equal(err.code, YG_EAGAIN);
	assert_string_equal(err.cause, "agent.silent");
}

static void nobody_takes_the_call(void **state)
{
	struct world *w = *state;
	const struct sockaddr_un at = address_of(w);
	w->waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(w->waiting, (const struct sockaddr *)&at, sizeof(at)), 0);
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s}", "do", "status");
	expect_silent(w, ask);
}

static void nobody_hears_the_question(void **state)
{
	char *text YG_AUTO(mem) = calloc(1, 900001);
	assert_non_null(text);
	for (size_t i = 0; i < 900000; i++)
		text[i] = 'x';
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s}", "do", text);
	expect_silent(*state, ask);
}

static void nobody_answers(void **state)
{
	json_t *ask YG_AUTO(yg_json) = json_pack("{s:s}", "do", "status");
	expect_silent(*state, ask);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(nobody_takes_the_call),
		ROW(nobody_hears_the_question),
		ROW(nobody_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
