/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/fs.h"
#include "core/ipc.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/super.h"
#include "db/db.h"
#include "pg_server.h"

/* The program itself, in its sandbox, with us as its parent and the roles around it. */

static const char *program;
static const char *pg_url;
static const char *pg_why = "not started";

struct world {
	char dir[64], where[256];
	int state, log;
	pid_t pid;
	struct yg_loop *loop;
	struct yg_ipc *parent, *asks, *web;
	bool ready;
};

static void got_ready(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	struct world *world = ctx;
	world->ready = true;
	yg_loop_stop(world->loop);
}

static void ignore(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	(void)ipc;
	(void)msg;
}

static const struct yg_ipc_handler parent_handlers[] = {{"ready", got_ready}, {0}};
static const struct yg_ipc_handler no_handlers[] = {{"store.wake", ignore}, {0}};

static void gone(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	yg_loop_stop(((struct world *)ctx)->loop);
}

static struct yg_ipc *channel(struct world *world, const struct yg_ipc_handler *handlers,
	int *other)
{
	int pair[2];
	struct yg_err err = {0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct yg_ipc *ipc = yg_ipc_new(world->loop, pair[0], "store", handlers, gone, world, &err);
	assert_non_null(ipc);
	*other = pair[1];
	return ipc;
}

/* Start it and wait until it is ready or has ended. */
static void start(struct world *world)
{
	struct yg_err err = {0};
	int roles;
	int asks;
	int web;
	world->ready = false;
	world->parent = channel(world, parent_handlers, &roles);
	world->asks = channel(world, no_handlers, &asks);
	world->web = channel(world, no_handlers, &web);
	world->pid = fork();
	if (world->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(world->log, STDERR_FILENO);
		if (roles == YG_SUPER_FD)
			(void)fcntl(roles, F_SETFD, 0);
		else
			(void)dup2(roles, YG_SUPER_FD);
		(void)execl(program, program, "--role", "store", NULL);
		_exit(127);
	}
	(void)close(roles);
	const int fds[] = {world->state, asks};
	assert_int_equal(yg_ipc_send(world->parent, "config",
				 json_pack("{s:s, s:s, s:s, s:s, s:s}", "role", "store", "tag", "",
					 "database", world->where, "state", world->dir, "user", ""),
				 fds, 2, &err),
		0);
	/* One that does not like its configuration may have ended by now. */
	int linked = yg_ipc_send(world->parent, "link",
		json_pack("{s:s, s:s}", "peer", "web", "tag", ""), &web, 1, &err);
	(void)close(asks);
	(void)close(web);
	yg_loop_run(world->loop);
	assert_true(!world->ready || linked == 0);
}

static void stop(struct world *world, int signo)
{
	if (world->pid <= 0)
		return;
	(void)kill(world->pid, signo);
	(void)waitpid(world->pid, NULL, 0);
	world->pid = 0;
	yg_ipc_free(world->parent);
	yg_ipc_free(world->asks);
	yg_ipc_free(world->web);
	world->parent = world->asks = world->web = NULL;
}

static void open_world(void **state, struct world *world)
{
	struct yg_err err = {0};
	bool pg = *state != NULL;
	if (pg && !pg_url) {
		print_message("skipped: %s\n", pg_why);
		skip();
	}
	*world = (struct world){0};
	(void)snprintf(world->dir, sizeof(world->dir), "/tmp/yagura-role-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	world->state = yg_fs_open_dir(AT_FDCWD, world->dir, &err);
	world->log = memfd_create("log", 0);
	world->loop = yg_loop_new(&err);
	(void)snprintf(world->where, sizeof(world->where), pg ? "%s" : "sqlite:%s/manager.db",
		pg ? pg_url : world->dir);
}

static void world_free_at(struct world *world)
{
	struct yg_err err = {0};
	stop(world, SIGKILL);
	yg_loop_free(world->loop);
	(void)close(world->state);
	(void)close(world->log);
	assert_int_equal(yg_fs_remove(AT_FDCWD, world->dir, &err), 0);
}

#define WORLD(name)                                                                                \
	struct world name __attribute__((cleanup(world_free_at)));                                 \
	open_world(state, &name)

static json_t *ask(struct yg_ipc *ipc, const char *op, json_t *args, json_t *who, int *fd,
	struct yg_err *err)
{
	json_t *reply = NULL;
	json_t *body = json_pack("{s:s, s:o}", "op", op, "who", who);
	if (args)
		json_object_set_new(body, "args", args);
	if (yg_ipc_call(ipc, "store.call", body, NULL, 0, &reply, fd, err) < 0)
		return NULL;
	return reply;
}

static json_t *first_key(struct world *world, char key[128])
{
	struct yg_err err = {0};
	json_t *made = ask(world->asks, "keys.first", NULL, json_pack("{s:s}", "kind", "system"),
		NULL, &err);
	if (!made)
		fail_msg("%s", err.msg);
	const char *text = json_string_value(json_object_get(made, "key"));
	if (text)
		(void)snprintf(key, 128, "%s", text);
	return made;
}

/* Killed at any time, it has what it acknowledged; results of any size arrive. */
static void life(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	char key[128] = "";
	start(&world);
	if (!world.ready) {
		char text[4096] = "";
		ssize_t got = pread(world.log, text, sizeof(text) - 1, 0);
		fail_msg("not ready: %.*s", got > 0 ? (int)got : 0, text);
	}
	json_decref(first_key(&world, key));
	assert_int_equal(strlen(key), 56);

	/* 300 keys do not fit into one message. */
	for (int i = 0; i < 300; i++) {
		char name[201];
		memset(name, 'k', 200);
		name[200] = '\0';
		json_decref(ask(world.web, "keys.create",
			json_pack("{s:s, s:s}", "name", name, "role", "read"),
			json_pack("{s:s, s:s}", "kind", "key", "key", key), NULL, &err));
	}
	int fd YG_AUTO(fd) = -1;
	json_t *large YG_AUTO(yg_json) = ask(world.web, "keys.list",
		json_pack("{s:i}", "limit", 500),
		json_pack("{s:s, s:s}", "kind", "key", "key", key), &fd, &err);
	assert_true(json_is_true(json_object_get(large, "large")));
	json_t *list YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_json_read(fd, 1 << 20, &list, &err), 0);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 301);

	/* Large arguments, the same way in. */
	json_t *document YG_AUTO(yg_json) = json_object();
	for (int i = 0; i < 4000; i++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "section-%d", i);
		json_object_set_new(document, name, json_pack("{s:s}", "value", "0123456789"));
	}
	json_t *args YG_AUTO(
		yg_json) = json_pack("{s:s, s:O}", "name", "Large", "document", document);
	char *text YG_AUTO(mem) = yg_json_text(args);
	assert_true(strlen(text) > YG_IPC_SIZE_MAX);
	int in YG_AUTO(fd) = yg_fs_memfd("args", yg_bytes_of(text), &err);
	int out YG_AUTO(fd) = -1;
	json_t *reply YG_AUTO(yg_json) = NULL;
	json_t *body = json_pack("{s:s, s:{s:s, s:s}}", "op", "policies.create", "who", "kind",
		"key", "key", key);
	assert_int_equal(yg_ipc_call(world.web, "store.call", body, &in, 1, &reply, &out, &err), 0);
	assert_true(json_is_true(json_object_get(reply, "large")));

	stop(&world, SIGKILL);
	start(&world);
	assert_true(world.ready);
	json_t *again YG_AUTO(yg_json) = first_key(&world, key);
	assert_int_equal(json_object_size(again), 0);
	json_t *check YG_AUTO(yg_json) = ask(world.web, "keys.check", NULL,
		json_pack("{s:s, s:s}", "kind", "key", "key", key), NULL, &err);
	assert_string_equal(json_string_value(json_object_get(check, "name")), "admin");
}

static void refusals(void **state)
{
	WORLD(world);
	char key[128] = "";
	start(&world);
	assert_true(world.ready);
	json_decref(first_key(&world, key));

	/* Web cannot pass for the parent: the channel says who it is. */
	struct yg_err err = {0};
	assert_null(ask(world.web, "keys.first", NULL, json_pack("{s:s}", "kind", "system"), NULL,
		&err));
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_string_equal(err.cause, "auth.denied");

	int in YG_AUTO(fd) = yg_fs_memfd("args", yg_bytes_of("{\"name\":"), &err);
	json_t *reply = NULL;
	json_t *body = json_pack("{s:s, s:{s:s, s:s}}", "op", "policies.create", "who", "kind",
		"key", "key", key);
	err = (struct yg_err){0};
	assert_int_equal(yg_ipc_call(world.web, "store.call", body, &in, 1, &reply, NULL, &err),
		-1);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_non_null(strstr(err.msg, "store.call: args: JSON: "));
}

static bool status_has(pid_t pid, const char *want)
{
	char path[64];
	char line[256];
	bool found = false;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found = found || strcmp(line, want) == 0;
	if (file)
		(void)fclose(file);
	return found;
}

/* What the role's table says it has not. */
static void walls(void **state)
{
	if (!yg_sandbox_walls())
		skip();
	WORLD(world);
	start(&world);
	assert_true(world.ready);
	assert_true(status_has(world.pid, "NoNewPrivs:\t1\n"));
	assert_true(status_has(world.pid, "Seccomp:\t2\n"));
	assert_true(status_has(world.pid, "CapEff:\t0000000000000000\n"));
	assert_true(status_has(world.pid, "CapPrm:\t0000000000000000\n"));
	stop(&world, SIGTERM);
	if (*state)
		return;

	/* A database outside its folder is out of reach, though the file would be ours to make. */
	(void)snprintf(world.where, sizeof(world.where), "sqlite:%s.elsewhere.db", world.dir);
	start(&world);
	assert_false(world.ready);
	char text[4096] = "";
	assert_true(pread(world.log, text, sizeof(text) - 1, 0) > 0);
	if (!strstr(text, ".elsewhere.db': Permission denied"))
		fail_msg("%s", text);
}

static int setup(void **state)
{
	(void)state;
	(void)alarm(100);
	pg_url = pg_server_start(&pg_why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_server_stop();
	return 0;
}

/* The tests of one server follow each other in one database: each wants it empty. */
static int empty(void **state)
{
	struct yg_err err = {0};
	if (!*state || !pg_url)
		return 0;
	struct yg_db *db YG_AUTO(yg_db) = yg_db_open(pg_url, &err);
	return db && yg_db_exec(db, "DROP SCHEMA public CASCADE", YG_DB_NO_ARGS, NULL, &err) == 0 &&
			yg_db_exec(db, "CREATE SCHEMA public", YG_DB_NO_ARGS, NULL, &err) == 0
		? 0
		: -1;
}

#define PG ((void *)(uintptr_t)1)
#define BOTH(test)                                                                                 \
	{#test ", sqlite", test, NULL, NULL, NULL},                                                \
	{                                                                                          \
#		test ", postgresql", test, empty, NULL, PG                                        \
	}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	program = argv[1];
	const struct CMUnitTest tests[] = {BOTH(life), BOTH(refusals), BOTH(walls)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
