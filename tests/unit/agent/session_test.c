/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The session role's sandbox: what is denied is tried, and what it needs works. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/session.h"
#include "core/fs.h"
#include "core/sandbox.h"
#include "net/client.h"
#include "tests/lib/cmocka_all.h"

static char path[64];
static int dir = -1;

static int outcome(long rc)
{
	return rc < 0 ? errno : 0;
}

static int try_passwd(void)
{
	return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_store(void)
{
	return outcome(open("/var/opt", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_tmp(void)
{
	return outcome(open("/tmp/session_test.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_exec(void)
{
	const char *const argv[] = {"/bin/true", NULL};
	(void)execv("/bin/true", (char *const *)(uintptr_t)argv);
	return errno;
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static int try_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? errno : outcome(listen(fd, 1));
}

static int try_unix(void)
{
	return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_kill(void)
{
	return outcome(kill(getppid(), 0));
}

static int try_own(void)
{
	struct yg_err err = {0};
	return yg_fs_replace(dir, "x", yg_bytes_of("x"), 0600, &err) < 0 ? EIO : 0;
}

/* A request through curl with its resolver thread, to a port where nothing listens. */
static int try_client(void)
{
	struct yg_err err = {0};
	struct yg_client *client = yg_client_new(NULL, NULL, NULL, &err);
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(1024);
	struct yg_client_reply reply;
	const struct yg_client_request ask = {.url = "http://localhost:1/", .max = 1024};
	if (!client)
		return EIO;
	int rc = yg_client_text(client, &ask, &buf, &reply, &err);
	yg_client_free(client);
	return rc < 0 && strcmp(err.cause, "net.refused") == 0 ? 0 : EIO;
}

static int in_sandbox(int (*what)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		struct yg_err err = {0};
		if (session_confine(dir, dir, "", &err) < 0)
			_exit(250);
		_exit(what());
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 251;
}

static void the_denied_is_denied(void **unused)
{
	(void)unused;
	if (!yg_sandbox_walls())
		skip();
	static const struct {
		const char *name;
		int (*what)(void);
	} rows[] = {{"read /etc/passwd", try_passwd}, {"the store", try_store},
		{"write elsewhere", try_tmp}, {"exec", try_exec}, {"fork", try_fork},
		{"listen", try_listen}, {"Unix socket", try_unix}, {"kill", try_kill}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		int got = in_sandbox(rows[i].what);
		if (got != EPERM && got != EACCES)
			fail_msg("%s: want denied, have %d", rows[i].name, got);
	}
}

static void what_it_needs_works(void **unused)
{
	(void)unused;
	assert_int_equal(in_sandbox(try_own), 0);
	assert_int_equal(in_sandbox(try_client), 0);
}

static int begin(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	(void)snprintf(path, sizeof(path), "/tmp/session_test.XXXXXX");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_denied_is_denied),
		cmocka_unit_test(what_it_needs_works),
	};
	return cmocka_run_group_tests_name("agent/session", tests, begin, end);
}
