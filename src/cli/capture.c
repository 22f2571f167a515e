/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"

static _Noreturn void child(const char *path, const char *const *argv, int out)
{
	int null = open("/dev/null", O_RDWR);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || null < 0 ||
		dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0 || close_range(3, ~0u, 0) < 0)
		_exit(126);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)execv(path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int find(const char *name, char *path, size_t size, struct yg_err *err)
{
	static const char *const folders[] = {"/usr/bin", "/bin"};
	if (strchr(name, '/') && yg_str_put(path, size, "%s", name))
		return 0;
	for (size_t i = 0; i < YG_COUNT(folders); i++)
		if (yg_str_put(path, size, "%s/%s", folders[i], name) && access(path, X_OK) == 0)
			return 0;
	return yg_fail(err, YG_EABSENT, "there is no program '%s'", name);
}

/* returns 1 at the end, 0 when more comes, -1 on failure */
static int read_some(int fd, int64_t until_ms, struct yg_buf *out, struct yg_err *err)
{
	char chunk[16384];
	struct yg_err full = {0};
	struct pollfd at = {.fd = fd, .events = POLLIN};
	int64_t left = until_ms - yg_clock_mono_ms();
	int ready = poll(&at, 1, left > 0 ? (int)left : 0);
	if (ready < 0 && errno == EINTR)
		return 0;
	if (ready == 0)
		return yg_fail(err, YG_EAGAIN, "it took too long");
	ssize_t n = ready < 0 ? -1 : read(fd, chunk, sizeof(chunk));
	if (n < 0)
		return yg_fail_sys(err, errno, "reading what it says");
	size_t room = out->max - out->len;
	if (n > 0 && yg_buf_add(out, chunk, (size_t)n < room ? (size_t)n : room, &full) < 0)
		return yg_fail_sys(err, ENOMEM, "reading what it says");
	return n == 0;
}

int capture_run(const char *const *argv, int seconds, struct yg_buf *out, int *status,
	struct yg_err *err)
{
	char path[4096];
	int pair[2];
	int said = 0;
	if (find(argv[0], path, sizeof(path), err) < 0)
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return yg_fail_sys(err, errno, "'%s'", argv[0]);
	int from YG_AUTO(fd) = pair[0];
	int to YG_AUTO(fd) = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return yg_fail_sys(err, errno, "'%s'", argv[0]);
	if (pid == 0)
		child(path, argv, to);
	(void)close(yg_take_fd(to));
	int64_t until_ms = yg_clock_mono_ms() + (int64_t)seconds * 1000;
	int over = 0;
	while (over == 0)
		over = read_some(from, until_ms, out, err);
	/* Its output is closed: it has nothing more to do that anybody would see. */
	if (over < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &said, 0) < 0 && errno == EINTR)
		;
	*status = WIFEXITED(said) ? WEXITSTATUS(said) : 128 + WTERMSIG(said);
	if (over < 0)
		return yg_wrap(err, "'%s'", argv[0]);
	return *status == 127 ? yg_fail(err, YG_EABSENT, "'%s' cannot be run", argv[0]) : 0;
}
