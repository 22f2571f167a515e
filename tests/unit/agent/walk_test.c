/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The walk role between a session and engines that are played here, in one loop. The role is started
 * without its sandbox's effect on us: in a child for the sandbox, directly for the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/walk.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

static char path[64];

/* ---- sandbox ---- */

static int outcome(long rc)
{
	return rc < 0 ? errno : 0;
}

static int try_read(void)
{
	return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_write(void)
{
	return outcome(open("/tmp/walk_test.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_remove(void)
{
	return outcome(unlink("/etc/hostname.no-such-file-in-any-case"));
}

static int try_socket(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_exec(void)
{
	const char *const argv[] = {"/bin/true", NULL};
	(void)execv("/bin/true", (char *const *)(uintptr_t)argv);
	return errno;
}

static int try_kill(void)
{
	return outcome(kill(getppid(), 0));
}

static int in_sandbox(int (*what)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		struct yg_err err = {0};
		if (walk_confine(&err) < 0)
			_exit(250);
		_exit(what());
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 251;
}

static void it_reads_everything_and_changes_nothing(void **unused)
{
	(void)unused;
	if (!yg_sandbox_walls())
		skip();
	assert_int_equal(in_sandbox(try_read), 0);
	assert_int_equal(in_sandbox(try_write), EACCES);
	int gone = in_sandbox(try_remove);
	assert_true(gone == ENOENT || gone == EACCES);
	assert_int_equal(in_sandbox(try_socket), EPERM);
	assert_int_equal(in_sandbox(try_exec), EPERM);
	assert_int_equal(in_sandbox(try_kill), EPERM);
}

/* ---- scans: the role in a child, we are parent, session, install and engines ---- */

struct scene {
	struct yg_loop *loop;
	struct yg_timer *limit;
	struct yg_ipc *parent, *session, *install, *engines[3];
	pid_t role;
	json_t *reply; /* of scan.run */
	struct yg_err err;
	char found[2048], unjudged[2048];
	int asked, by_engine[3]; /* questions to engines */
	int die_after;           /* close engine 0 at its n-th question; 0: never */
	const char *killer;      /* the file with this in its name closes any engine */
	bool done, late;
};

static void too_late(void *ctx)
{
	((struct scene *)ctx)->late = true;
	yg_loop_stop(((struct scene *)ctx)->loop);
}

static void closed(void *ctx, struct yg_ipc *ipc)
{
	struct scene *s = ctx;
	struct yg_ipc **all[] = {&s->parent, &s->session, &s->install, &s->engines[0],
		&s->engines[1], &s->engines[2]};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		if (*all[i] == ipc)
			*all[i] = NULL;
	yg_ipc_free(ipc);
}

static void add(char *list, size_t size, const json_t *body)
{
	const char *file = strrchr(json_string_value(json_object_get(body, "path")), '/');
	size_t used = strlen(list);
	(void)snprintf(list + used, size - used, "%s%s", used ? " " : "", file ? file + 1 : "?");
}

static void on_found(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	add(((struct scene *)ctx)->found, sizeof(((struct scene *)ctx)->found), msg->body);
}

static void on_unjudged(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	add(((struct scene *)ctx)->unjudged, sizeof(((struct scene *)ctx)->unjudged), msg->body);
}

static void on_ignored(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	(void)ipc;
	(void)msg;
}

static void engine_link(struct scene *s, int n, const char *tag);

/* Judges by the file's bytes: 'M' is malicious, 'U' cannot be judged. */
static void on_scan(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct scene *s = ctx;
	char byte = 0;
	int n = 0;
	const char *name = json_string_value(json_object_get(msg->body, "name"));
	while (s->engines[n] != ipc)
		n++;
	s->asked++;
	s->by_engine[n]++;
	assert_int_equal(msg->fd_count, 1);
	bool dies = n == 0 && s->die_after && s->by_engine[0] >= s->die_after;
	if (dies || (s->killer && strstr(name, s->killer))) {
		yg_ipc_free(ipc);
		s->engines[n] = NULL;
		if (n < 2)
			engine_link(s, n + 1, "set2");
		return;
	}
	ssize_t got = pread(msg->fds[0], &byte, 1, 0);
	const char *verdict = got == 1 && byte == 'M' ? "malicious"
		: got == 1 && byte == 'U'             ? "unjudged"
						      : "clean";
	yg_ipc_reply(ipc, msg->id,
		json_pack("{s:s,s:s,s:s}", "verdict", verdict, "signature", "Test.Sig", "reason",
			"limit"),
		NULL, 0);
}

static const struct yg_ipc_handler parent_handlers[] = {{"ready", on_ignored}, {0}};
static const struct yg_ipc_handler session_handlers[] = {{"scan.found", on_found},
	{"scan.unjudged", on_unjudged}, {"scan.progress", on_ignored}, {0}};
static const struct yg_ipc_handler none[] = {{0}};
static const struct yg_ipc_handler engine_handlers[] = {{"am.scan", on_scan}, {0}};

static struct yg_ipc *link_to(struct scene *s, const char *peer, const char *tag,
	const struct yg_ipc_handler *handlers)
{
	struct yg_err err = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct yg_ipc *ipc = yg_ipc_new(s->loop, pair[0], peer, handlers, closed, s, &err);
	assert_non_null(ipc);
	assert_int_equal(yg_ipc_send(s->parent, "link",
				 json_pack("{s:s,s:s}", "peer", peer, "tag", tag), &pair[1], 1,
				 &err),
		0);
	(void)close(pair[1]);
	return ipc;
}

static void engine_link(struct scene *s, int n, const char *tag)
{
	struct yg_err err = {0};
	s->engines[n] = link_to(s, "am", tag, engine_handlers);
	assert_int_equal(yg_ipc_send(s->install, "engine.changed", json_pack("{s:s}", "tag", tag),
				 NULL, 0, &err),
		0);
}

static int be_role(int channel)
{
	char name[] = "walk_test";
	char option[] = "--role";
	char role[] = "walk";
	char *argv[] = {name, option, role, NULL};
	if (channel != 3 && dup2(channel, 3) < 0)
		return 1;
	(void)close_range(4, ~0u, 0);
	return yg_role_main(3, argv,
		(const struct yg_role[]){{"walk", "agent/walk", walk_start, walk_link, walk_stop},
			{0}});
}

static struct scene *scene_new(void)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct yg_err err = {0};
	int pair[2];
	assert_non_null(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	s->role = fork();
	assert_true(s->role >= 0);
	if (s->role == 0)
		_exit(be_role(pair[1]));
	(void)close(pair[1]);
	s->loop = yg_loop_new(&err);
	s->limit = yg_loop_timer(s->loop, too_late, s);
	s->parent = yg_ipc_new(s->loop, pair[0], "role", parent_handlers, closed, s, &err);
	int all = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(yg_ipc_send(s->parent, "config", json_object(), &all, 1, &err), 0);
	(void)close(all);
	s->session = link_to(s, "session", "", session_handlers);
	s->install = link_to(s, "install", "", none);
	return s;
}

static void scan_answered(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct scene *s = ctx;
	s->err = *err;
	s->reply = err->code ? NULL : json_incref(reply->body);
	s->done = true;
	yg_loop_stop(s->loop);
}

static void ask_scan(struct scene *s, const char *what)
{
	yg_ipc_request(s->session, "scan.run",
		json_pack("{s:s,s:[s]}", "job", "11111111-2222-4333-8444-555555555555", "paths",
			what),
		NULL, 0, scan_answered, s);
}

static void wait_done(struct scene *s)
{
	yg_timer_set(s->limit, 20000);
	while (!s->done && !s->late)
		yg_loop_run(s->loop);
	assert_true(s->done);
}

static json_int_t number(const struct scene *s, const char *name)
{
	return json_integer_value(json_object_get(s->reply, name));
}

static void scene_free(struct scene *s)
{
	json_decref(s->reply);
	yg_ipc_free(s->parent);
	yg_ipc_free(s->session);
	yg_ipc_free(s->install);
	for (int i = 0; i < 3; i++)
		yg_ipc_free(s->engines[i]);
	yg_timer_free(s->limit);
	yg_loop_free(s->loop);
	int status = 0;
	assert_int_equal(waitpid(s->role, &status, 0), s->role);
	assert_int_equal(status, 0);
	free(s);
}

static void each_file_is_counted_once(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	engine_link(s, 0, "set1");
	ask_scan(s, path);
	wait_done(s);
	assert_int_equal(s->err.code, 0);
	assert_int_equal(number(s, "files"), 33); /* not the links, the FIFO, the folders */
	assert_int_equal(number(s, "found"), 1);
	assert_string_equal(s->found, "bad");
	assert_int_equal(number(s, "unjudged"), 1);
	assert_string_equal(s->unjudged, "odd\\xff");
	assert_int_equal(s->asked, 33);
	scene_free(s);
}

static void an_engine_that_comes_takes_over_and_none_is_waited_for(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	ask_scan(s, path); /* no engine yet */
	yg_timer_set(s->limit, 300);
	yg_loop_run(s->loop);
	assert_false(s->done);
	s->late = false;
	engine_link(s, 0, "set1");
	engine_link(s, 1, "set2"); /* before a file was taken: all are the new one's */
	wait_done(s);
	assert_int_equal(number(s, "files"), 33);
	assert_int_equal(s->by_engine[0] + s->by_engine[1], 33);
	assert_true(s->by_engine[1] > 0);
	scene_free(s);
}

/* Waiting is for one that comes. */
static void a_scan_without_any_engine_says_why_at_once(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	struct yg_err err = {0};
	assert_int_equal(yg_ipc_send(s->install, "engine.state",
				 json_pack("{s:b,s:s,s:s}", "comes", 1, "cause", "", "message", ""),
				 NULL, 0, &err),
		0);
	ask_scan(s, path);
	yg_timer_set(s->limit, 300);
	yg_loop_run(s->loop);
	assert_false(s->done);
	s->late = false;
	assert_int_equal(yg_ipc_send(s->install, "engine.state",
				 json_pack("{s:b,s:s,s:s}", "comes", 0, "cause", "engine.absent",
					 "message", "there is nothing to load"),
				 NULL, 0, &err),
		0);
	wait_done(s);
	assert_int_equal(s->err.code, YG_EABSENT);
	assert_string_equal(s->err.cause, "engine.absent");
	assert_non_null(strstr(s->err.msg, "there is nothing to load"));

	s->done = false;
	engine_link(s, 0, "set1");
	assert_int_equal(yg_ipc_send(s->install, "engine.state",
				 json_pack("{s:b,s:s,s:s}", "comes", 1, "cause", "", "message", ""),
				 NULL, 0, &err),
		0);
	ask_scan(s, path);
	wait_done(s);
	assert_int_equal(s->err.code, 0);
	scene_free(s);
}

static void a_dying_engine_takes_no_file_with_it(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	s->die_after = 5;
	engine_link(s, 0, "set1");
	ask_scan(s, path);
	wait_done(s);
	assert_int_equal(number(s, "files"), 33);
	assert_int_equal(number(s, "found"), 1);
	assert_int_equal(number(s, "unjudged"), 1);
	scene_free(s);
}

static void a_file_that_kills_engines_is_unjudged_alone(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	s->killer = "/killer";
	engine_link(s, 0, "set1");
	char deadly[128];
	(void)snprintf(deadly, sizeof(deadly), "%s/killer", path);
	int fd = open(deadly, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	(void)close(fd);
	ask_scan(s, path);
	wait_done(s);
	(void)unlink(deadly);
	assert_int_equal(number(s, "files"), 34);
	assert_int_equal(number(s, "found"), 1);
	assert_int_equal(number(s, "unjudged"), 2);
	assert_non_null(strstr(s->unjudged, "killer"));
	scene_free(s);
}

static void paths_that_are_not_there_are_named(void **unused)
{
	(void)unused;
	struct scene *s = scene_new();
	engine_link(s, 0, "set1");
	ask_scan(s, "/no/such/folder");
	wait_done(s);
	assert_string_equal(s->err.cause, "scan.path");
	assert_string_equal(s->err.msg, "'/no/such/folder': no such file or folder");
	s->done = false;
	ask_scan(s, "relative");
	wait_done(s);
	assert_string_equal(s->err.msg, "paths[0]: want a path from /, have 'relative'");
	scene_free(s);
}

static void make_file(const char *name, const char *text)
{
	char full[256];
	(void)snprintf(full, sizeof(full), "%s/%s", path, name);
	int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static int begin(void **unused)
{
	(void)unused;
	char full[256];
	(void)snprintf(path, sizeof(path), "/tmp/walk_test.XXXXXX");
	if (!mkdtemp(path))
		return -1;
	(void)snprintf(full, sizeof(full), "%s/deep", path);
	if (mkdir(full, 0755) < 0)
		return -1;
	(void)snprintf(full, sizeof(full), "%s/deep/er", path);
	if (mkdir(full, 0755) < 0)
		return -1;
	for (int i = 0; i < 30; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "deep/er/clean-%d", i);
		make_file(name, "clean");
	}
	make_file("clean", "");
	make_file("deep/bad", "M");
	make_file("odd\xff", "U");
	(void)snprintf(full, sizeof(full), "%s/link", path);
	if (symlink("/etc", full) < 0)
		return -1;
	(void)snprintf(full, sizeof(full), "%s/fifo", path);
	return mkfifo(full, 0600);
}

static int end(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	return yg_fs_remove(AT_FDCWD, path, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_everything_and_changes_nothing),
		cmocka_unit_test(each_file_is_counted_once),
		cmocka_unit_test(an_engine_that_comes_takes_over_and_none_is_waited_for),
		cmocka_unit_test(a_scan_without_any_engine_says_why_at_once),
		cmocka_unit_test(a_dying_engine_takes_no_file_with_it),
		cmocka_unit_test(a_file_that_kills_engines_is_unjudged_alone),
		cmocka_unit_test(paths_that_are_not_there_are_named),
	};
	return cmocka_run_group_tests_name("agent/walk", tests, begin, end);
}
