/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* This program is its own set of roles: started with --role it is one of a, b, c and inst, which greet
 * every new link and tell the test through a pipe what they meet.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/role.h"
#include "core/str.h"
#include "core/super.h"
#include "tests/lib/cmocka_all.h"

/* ---- the roles ---- */

struct peer {
	struct role *role;
	char name[64];
	struct yg_ipc *ipc;
};

struct role {
	struct yg_role_env *env;
	const char *name;
	int out;
	struct peer peers[16];
};

static int open_fds_at_start;

static void say(const struct role *role, const char *what, const char *whom)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "%s%s%s %s %s %ld\n", role->name,
		*role->env->tag ? ":" : "", role->env->tag, what, whom, (long)getpid());
	ssize_t ignored = write(role->out, line, (size_t)n);
	(void)ignored;
}

static void got_hello(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	const struct peer *peer = ctx;
	say(peer->role, "hears", peer->name);
}

static const struct yg_ipc_handler peer_handlers[] = {{"hello", got_hello}, {0}};

static void peer_gone(void *ctx, struct yg_ipc *ipc)
{
	struct peer *peer = ctx;
	say(peer->role, "loses", peer->name);
	yg_ipc_free(ipc);
	peer->ipc = NULL;
	peer->name[0] = 0;
}

static void role_link(void *self, const char *name, const char *tag, int fd)
{
	struct role *role = self;
	struct yg_err err = {0};
	struct peer *peer = role->peers;
	while (peer->ipc)
		peer++;
	peer->role = role;
	(void)snprintf(peer->name, sizeof(peer->name), "%s%s%s", name, *tag ? ":" : "", tag);
	peer->ipc = yg_ipc_new(role->env->loop, fd, peer->name, peer_handlers, peer_gone, peer,
		&err);
	if (!peer->ipc || yg_ipc_send(peer->ipc, "hello", NULL, NULL, 0, &err) < 0)
		say(role, "cannot", "greet");
}

static void asked(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	const struct role *role = ctx;
	if (err->code)
		say(role, "refused", err->msg);
	else
		say(role,
			json_is_true(json_object_get(reply->body, "adopted")) ? "adopted" : "asked",
			"-");
}

static int role_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	static struct role role;
	(void)err;
	role.env = env;
	role.name = json_string_value(json_object_get(env->config, "role"));
	role.out = env->fds[0];
	*self = &role;
	say(&role, "starts", open_fds_at_start == 4 ? "clean" : "dirty");
	const char *how = json_string_value(json_object_get(env->config, "how"));
	if (how && strcmp(how, "exit") == 0)
		exit(3);
	if (how && strcmp(how, "deaf") == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		yg_role_ready(env);
		for (;;)
			(void)poll(NULL, 0, 1000);
	}
	how = json_string_value(json_object_get(json_object_get(env->config, "args"), "how"));
	if (how && strcmp(how, "mute") == 0) {
		(void)close(YG_SUPER_FD);
		for (;;)
			(void)poll(NULL, 0, 1000);
	}
	json_t *asks = json_object_get(env->config, "asks");
	size_t i;
	json_t *ask;
	json_array_foreach(asks, i, ask)
		yg_ipc_request(env->parent, json_string_value(json_object_get(ask, "do")),
			json_incref(ask), NULL, 0, asked, &role);
	yg_role_ready(env);
	return 0;
}

static int be_role(int argc, char **argv)
{
	for (int fd = 0; fd < 64; fd++)
		open_fds_at_start += fcntl(fd, F_GETFD) >= 0;
	return yg_role_main(argc, argv,
		(const struct yg_role[]){{"a", "test/a", role_start, role_link, NULL},
			{"b", "test/b", role_start, role_link, NULL},
			{"c", "test/c", role_start, role_link, NULL},
			{"inst", "test/inst", role_start, role_link, NULL},
			{"keep", "test/keep", role_start, role_link, NULL}, {0}});
}

/* ---- the parent in this process ---- */

static const struct yg_super_role table[] = {
	{.name = "a",
		.program = "core_super_test",
		.links = {"b", "c"},
		.turns = {"c"},
		.spawns = {"inst", "keep"}},
	{.name = "b", .program = "core_super_test", .links = {"c"}},
	{.name = "c", .program = "core_super_test"},
	{.name = "inst", .program = "core_super_test", .instance = true},
	{.name = "keep", .program = "core_super_test", .instance = true, .survives = true},
	{0},
};

struct setup {
	struct yg_loop *loop;
	struct yg_super *super;
	struct yg_watch *watch;
	struct yg_timer *limit;
	int pipe[2];
	char seen[65536]; /* all lines so far */
	size_t used;
	const char *want; /* stop when this has been seen … */
	int times;        /* … so often */
	bool late, ready, stopped;
	const char *a_asks; /* JSON */
	const char *c_how;
	bool c_off;
};

static json_t *config(void *ctx, const char *role, int fds[YG_IPC_FDS_MAX], size_t *count)
{
	struct setup *s = ctx;
	if (strcmp(role, "c") == 0 && s->c_off)
		return NULL;
	fds[(*count)++] = s->pipe[1];
	json_t *object = json_object();
	if (strcmp(role, "a") == 0 && s->a_asks)
		(void)json_object_set_new(object, "asks", json_loads(s->a_asks, 0, NULL));
	if (strcmp(role, "c") == 0 && s->c_how)
		(void)json_object_set_new(object, "how", json_string(s->c_how));
	return object;
}

static int count_of(const struct setup *s, const char *what)
{
	int n = 0;
	for (const char *at = s->seen; (at = strstr(at, what)); at++)
		n++;
	return n;
}

static void readable(void *ctx, unsigned what)
{
	(void)what;
	struct setup *s = ctx;
	ssize_t n = read(s->pipe[0], s->seen + s->used, sizeof(s->seen) - s->used - 1);
	if (n > 0)
		s->used += (size_t)n;
	s->seen[s->used] = 0;
	if (s->want && count_of(s, s->want) >= s->times)
		yg_loop_stop(s->loop);
}

static void too_late(void *ctx)
{
	struct setup *s = ctx;
	s->late = true;
	yg_loop_stop(s->loop);
}

static void is_ready(void *ctx)
{
	((struct setup *)ctx)->ready = true;
}

static void is_stopped(void *ctx)
{
	((struct setup *)ctx)->stopped = true;
	yg_loop_stop(((struct setup *)ctx)->loop);
}

static void open_setup(struct setup *s)
{
	struct yg_err err = {0};
	assert_int_equal(pipe2(s->pipe, O_CLOEXEC), 0);
	s->loop = yg_loop_new(&err);
	assert_non_null(s->loop);
	s->super = yg_super_new(s->loop, table, config, s, &err);
	assert_non_null(s->super);
	s->watch = yg_loop_watch(s->loop, s->pipe[0], YG_LOOP_READ, readable, s);
	s->limit = yg_loop_timer(s->loop, too_late, s);
	yg_super_start(s->super);
}

/* Run until the text was seen so often, for 30 s at most. */
static bool comes(struct setup *s, int times, const char *want)
{
	s->want = want;
	s->times = times;
	if (count_of(s, want) >= times)
		return true;
	s->late = false;
	yg_timer_set(s->limit, 30000);
	yg_loop_run(s->loop);
	return count_of(s, want) >= times;
}

static void wait_for(struct setup *s, int times, const char *want)
{
	if (!comes(s, times, want))
		fail_msg("want %d times '%s', have:\n%s", times, want, s->seen);
}

/* Run for a time. */
static void pass(struct setup *s, int64_t ms)
{
	s->want = NULL;
	yg_timer_set(s->limit, ms);
	yg_loop_run(s->loop);
}

static void close_setup(struct setup *s)
{
	yg_super_free(s->super);
	yg_watch_free(s->watch);
	yg_timer_free(s->limit);
	yg_loop_free(s->loop);
	(void)close(s->pipe[0]);
	(void)close(s->pipe[1]);
	free(s);
}

static struct setup *new_setup(void)
{
	struct setup *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	return s;
}

/* The process id in the last line that begins so. */
static pid_t pid_in(const struct setup *s, const char *head)
{
	const char *last = NULL;
	for (const char *at = s->seen; (at = strstr(at, head)); at++)
		last = at;
	assert_non_null(last);
	char line[200];
	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(last, "\n"), last);
	uint64_t pid = 0;
	struct yg_err err = {0};
	assert_int_equal(yg_str_u64(strrchr(line, ' ') + 1, INT32_MAX, &pid, &err), 0);
	return (pid_t)pid;
}

static void roles_start_clean_and_are_joined(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	open_setup(s);
	yg_super_on_ready(s->super, is_ready, s);
	wait_for(s, 3, "starts clean");
	static const char *const pairs[] = {"a hears b", "b hears a", "a hears c", "c hears a",
		"b hears c", "c hears b"};
	for (size_t i = 0; i < YG_COUNT(pairs); i++)
		wait_for(s, 1, pairs[i]);
	if (!s->ready)
		pass(s, 1000);
	assert_true(s->ready);
	assert_true(yg_super_ready(s->super));
	close_setup(s);
}

static void a_killed_role_comes_back_and_is_joined_again(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	open_setup(s);
	for (int i = 1; i <= 3; i++) {
		/* everybody has heard everybody before the next one dies: the counts below rely on it */
		wait_for(s, i, "b hears c");
		wait_for(s, i, "b hears a");
		wait_for(s, i, "a hears b");
		wait_for(s, i, "c hears b");
		assert_int_equal(kill(pid_in(s, "b starts"), SIGKILL), 0);
		wait_for(s, i, "a loses b");
		wait_for(s, i + 1, "b starts clean");
		wait_for(s, i + 1, "a hears b");
		wait_for(s, i + 1, "c hears b");
		wait_for(s, i + 1, "b hears a");
		wait_for(s, i + 1, "b hears c");
	}
	assert_int_equal(count_of(s, "a starts"), 1);
	close_setup(s);
}

static void instances_are_joined_and_end_with_their_asker(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->a_asks = "[{\"do\":\"spawn\",\"role\":\"inst\",\"tag\":\"t1\",\"args\":{\"x\":1}},"
		    "{\"do\":\"spawn\",\"role\":\"inst\",\"tag\":\"t1\"},"
		    "{\"do\":\"spawn\",\"role\":\"b\",\"tag\":\"t1\"},"
		    "{\"do\":\"spawn\",\"role\":\"inst\",\"tag\":\"../x\"}]";
	open_setup(s);
	wait_for(s, 1, "a hears inst:t1");
	wait_for(s, 1, "inst:t1 hears a");
	wait_for(s, 1, "a refused inst:t1 runs already");
	wait_for(s, 1, "a refused a may not touch role 'b'");
	wait_for(s, 1, "a refused tag: want a name, have '../x'");
	pid_t inst = pid_in(s, "inst:t1 starts");
	assert_int_equal(kill(pid_in(s, "a starts"), SIGKILL), 0);
	wait_for(s, 2, "inst:t1 starts clean"); /* asked for anew by the new a */
	pass(s, 300);
	assert_int_equal(kill(inst, 0), -1);
	/* An instance that dies stays dead: its asker decides. */
	assert_int_equal(kill(pid_in(s, "inst:t1 starts"), SIGKILL), 0);
	wait_for(s, 1, "a loses inst:t1");
	pass(s, 300);
	assert_int_equal(count_of(s, "inst:t1 starts"), 2);
	close_setup(s);
}

static void a_surviving_instance_is_taken_over(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->a_asks = "[{\"do\":\"spawn\",\"role\":\"keep\",\"tag\":\"k\",\"adopt\":true},"
		    "{\"do\":\"connect\",\"role\":\"keep\",\"tag\":\"k\",\"to\":\"b\"}]";
	open_setup(s);
	wait_for(s, 1, "a hears keep:k");
	wait_for(s, 1, "b hears keep:k");
	assert_int_equal(kill(pid_in(s, "a starts"), SIGKILL), 0);
	wait_for(s, 1, "a adopted");
	wait_for(s, 2, "a hears keep:k");
	assert_int_equal(count_of(s, "keep:k starts"), 1);
	assert_int_equal(count_of(s, "b loses keep:k"), 0);
	close_setup(s);

	/* Also its own asker can have it once more, with a new link. */
	s = new_setup();
	s->a_asks = "[{\"do\":\"spawn\",\"role\":\"keep\",\"tag\":\"k\",\"adopt\":true},"
		    "{\"do\":\"spawn\",\"role\":\"keep\",\"tag\":\"k\",\"adopt\":true}]";
	open_setup(s);
	wait_for(s, 1, "a adopted");
	wait_for(s, 2, "a hears keep:k");
	assert_int_equal(count_of(s, "keep:k starts"), 1);
	close_setup(s);
}

/* Its channel is closed, its process still there: nobody could ever talk to it. */
static void an_instance_on_its_way_out_is_not_taken_over(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->a_asks = "[{\"do\":\"spawn\",\"role\":\"keep\",\"tag\":\"k\",\"adopt\":true,"
		    "\"args\":{\"how\":\"mute\"}}]";
	open_setup(s);
	wait_for(s, 1, "keep:k starts");
	pass(s, 200);
	assert_int_equal(kill(pid_in(s, "a starts"), SIGKILL), 0);
	wait_for(s, 2, "keep:k starts");
	wait_for(s, 2, "a asked");
	assert_int_equal(count_of(s, "a adopted"), 0);
	close_setup(s);
}

static void restarts_back_off(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->c_how = "exit";
	open_setup(s);
	wait_for(s, 4, "c starts"); /* at 0, 0.1, 0.3 and 0.7 s */
	int64_t before = yg_clock_mono_ms();
	wait_for(s, 5, "c starts"); /* 0.8 s later */
	assert_true(yg_clock_mono_ms() - before >= 500);
	assert_false(yg_super_ready(s->super));
	close_setup(s);
}

static void a_role_can_be_switched_off_and_on(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	open_setup(s);
	wait_for(s, 1, "a hears c");
	pid_t c = pid_in(s, "c starts");
	s->c_off = true;
	yg_super_start(s->super);
	wait_for(s, 1, "a loses c");
	pass(s, 500);
	assert_int_equal(kill(c, 0), -1);
	assert_int_equal(count_of(s, "c starts"), 1);
	s->c_off = false;
	yg_super_start(s->super);
	wait_for(s, 2, "a hears c");
	assert_int_equal(count_of(s, "a starts"), 1);
	close_setup(s);
}

static void stop_ends_all_also_the_deaf(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->c_how = "deaf";
	open_setup(s);
	wait_for(s, 1, "a hears b");
	wait_for(s, 1, "c starts");
	pid_t a = pid_in(s, "a starts");
	pid_t c = pid_in(s, "c starts");
	yg_super_stop(s->super, is_stopped, s);
	pass(s, 9000);
	assert_true(s->stopped);
	assert_int_equal(kill(a, 0), -1);
	assert_int_equal(kill(c, 0), -1);
	close_setup(s);
}

static void roles_die_with_a_killed_parent(void **unused)
{
	(void)unused;
	int ready[2];
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		struct setup *s = new_setup();
		open_setup(s);
		/* A failure here must not go on with the other tests in this process. */
		if (!comes(s, 1, "a hears b") || !comes(s, 1, "a hears c"))
			_exit(1);
		pid_t pids[] = {pid_in(s, "a starts"), pid_in(s, "b starts"),
			pid_in(s, "c starts")};
		ssize_t ignored = write(ready[1], pids, sizeof(pids));
		(void)ignored;
		yg_loop_run(s->loop);
		_exit(0);
	}
	pid_t pids[3] = {0};
	(void)close(ready[1]); /* or a child that ends without a word is waited for for ever */
	assert_int_equal(read(ready[0], pids, sizeof(pids)), sizeof(pids));
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	for (size_t i = 0; i < YG_COUNT(pids); i++) {
		int tries = 0;
		/* Whoever adopts them may leave a zombie for a moment: look at its state. */
		for (bool gone = false; !gone && tries < 100; tries++) {
			char path[64], text[512] = "";
			(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pids[i]);
			FILE *stat = fopen(path, "re");
			gone = !stat || !fgets(text, sizeof(text), stat) || strstr(text, ") Z ");
			if (stat)
				(void)fclose(stat);
			if (!gone)
				(void)poll(NULL, 0, 50);
		}
		assert_true(tries < 100);
	}
	(void)close(ready[0]);
}

static void helpers_are_found_or_named(void **unused)
{
	(void)unused;
	char path[4096];
	struct yg_err err = {0};
	assert_int_equal(yg_super_helper("core_super_test", path, sizeof(path), &err), 0);
	assert_int_equal(yg_super_helper("no-such-program", path, sizeof(path), &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	assert_string_equal(err.msg,
		"'no-such-program': no such program beside this one or in " YG_LIBEXECDIR);
}

/* What a role asks for is what the configuration says from then on. */
static void turned(void *ctx, const char *role, int on)
{
	struct setup *s = ctx;
	assert_string_equal(role, "c");
	s->c_off = on == 0;
}

static void a_role_switches_another_one_on_and_off(void **unused)
{
	(void)unused;
	struct setup *s = new_setup();
	s->a_asks = "[{\"do\":\"turn\",\"role\":\"b\",\"on\":false},"
		    "{\"do\":\"turn\",\"role\":\"c\",\"on\":7},"
		    "{\"do\":\"turn\",\"role\":\"inst\",\"on\":true},"
		    "{\"do\":\"turn\",\"role\":\"c\",\"on\":true}]";
	s->c_off = true;
	open_setup(s);
	yg_super_on_turn(s->super, turned, s);
	wait_for(s, 1, "a refused a may not turn role 'b'");
	wait_for(s, 1, "a refused on: want true, false or null, have a whole number");
	wait_for(s, 1, "a refused a may not turn role 'inst'");
	wait_for(s, 1, "c starts");
	wait_for(s, 1, "c hears a");
	close_setup(s);

	s = new_setup();
	s->a_asks = "[{\"do\":\"turn\",\"role\":\"c\",\"on\":false}]";
	open_setup(s);
	yg_super_on_turn(s->super, turned, s);
	wait_for(s, 1, "a asked");
	wait_for(s, 1, "a loses c");
	pass(s, 500);
	/* It may have been ended before it had said anything; it does not come again. */
	assert_in_range(count_of(s, "c starts"), 0, 1);
	pid_t pid = count_of(s, "c starts") ? pid_in(s, "c starts") : 0;
	for (int i = 0; i < 100 && pid && kill(pid, 0) == 0; i++)
		pass(s, 100);
	assert_true(pid == 0 || kill(pid, 0) == -1);
	close_setup(s);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return be_role(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_start_clean_and_are_joined),
		cmocka_unit_test(a_killed_role_comes_back_and_is_joined_again),
		cmocka_unit_test(instances_are_joined_and_end_with_their_asker),
		cmocka_unit_test(a_surviving_instance_is_taken_over),
		cmocka_unit_test(an_instance_on_its_way_out_is_not_taken_over),
		cmocka_unit_test(restarts_back_off),
		cmocka_unit_test(a_role_can_be_switched_off_and_on),
		cmocka_unit_test(a_role_switches_another_one_on_and_off),
		cmocka_unit_test(stop_ends_all_also_the_deaf),
		cmocka_unit_test(roles_die_with_a_killed_parent),
		cmocka_unit_test(helpers_are_found_or_named),
	};
	return cmocka_run_group_tests_name("core/super", tests, NULL, NULL);
}
