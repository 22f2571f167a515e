/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/boxes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

/* Each role's box is entered in a child, which tries one thing; its exit status says whether that was
 * allowed.
 */

static int own = -1; /* a folder that content may write to */

static bool try_read(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool try_write(void)
{
	return open("/tmp/manager_boxes_test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
}

static bool try_own(void)
{
	return openat(own, "made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
}

static bool try_connect(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Nobody listens there: being refused by the other side is being allowed by ours. */
	return fd >= 0 &&
		(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ||
			errno == ECONNREFUSED);
}

static bool try_listen(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
		listen(fd, 1) == 0;
}

static bool try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool try_exec(void)
{
	const char *const argv[] = {"/bin/true", NULL};
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	return false; /* when it works, /bin/true's own 0 says so: see denied */
}

static bool try_kill(void)
{
	return kill(getppid(), 0) == 0;
}

static bool try_trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

enum { ALLOWED = 0, DENIED = 3 };

static int outcome(const struct yg_sandbox *box, bool (*attempt)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		struct yg_err err = {0};
		struct yg_sandbox_path paths[] = {{.fd = own, .write = true}};
		struct yg_sandbox with = *box;
		if (box == &boxes_content) {
			with.paths = paths;
			with.path_count = 1;
		}
		if (yg_sandbox_enter(&with, &err) < 0)
			_exit(9);
		_exit(attempt() ? ALLOWED : DENIED);
	}
	int status = 0;
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct {
	const char *name;
	bool (*attempt)(void);
	int edge, ca, content;
} rows[] = {
	{"read a file", try_read, DENIED, DENIED, DENIED},
	{"write a file", try_write, DENIED, DENIED, DENIED},
	{"write its own folder", try_own, DENIED, DENIED, ALLOWED},
	{"connect", try_connect, DENIED, DENIED, ALLOWED},
	{"listen", try_listen, DENIED, DENIED, DENIED},
	{"fork", try_fork, DENIED, DENIED, DENIED},
	{"start a program", try_exec, DENIED, DENIED, DENIED},
	{"signal its parent", try_kill, DENIED, DENIED, DENIED},
	{"trace", try_trace, DENIED, DENIED, DENIED},
};

static void the_denied_is_denied(void **state)
{
	(void)state;
	if (!yg_sandbox_walls())
		skip();
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		print_message("%s\n", rows[i].name);
		assert_int_equal(outcome(&boxes_edge, rows[i].attempt), rows[i].edge);
		assert_int_equal(outcome(&boxes_ca, rows[i].attempt), rows[i].ca);
		assert_int_equal(outcome(&boxes_content, rows[i].attempt), rows[i].content);
	}
}

int main(void)
{
	char folder[] = "/tmp/manager_boxes.XXXXXX";
	struct yg_err err = {0};
	if (!mkdtemp(folder))
		return 1;
	own = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_denied_is_denied)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return yg_fs_remove(AT_FDCWD, folder, &err) < 0 ? 1 : failed;
}
