/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/import_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/sandbox.h"
#include "core/str.h"

#define MEMORY_MAX (8ull << 30) /* bytes of address space */

bool import_tool_find(const char *name, char *out, size_t size)
{
	const char *at = getenv("PATH");
	while (at && *at) {
		size_t len = strcspn(at, ":");
		if (len > 0 && at[0] == '/' &&
			yg_str_put(out, size, "%.*s/%s", (int)len, at, name) &&
			access(out, X_OK) == 0)
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

/* Where programs, their libraries and their settings lie; and what they look at to count processors. */
static const struct {
	const char *path;
	bool write, run;
} tool_paths[] = {{"/usr", false, true}, {"/bin", false, true}, {"/lib", false, true},
	{"/lib64", false, true}, {"/opt", false, true}, {"/etc/ld.so.cache", false, false},
	{"/etc/localtime", false, false}, {"/etc/suricata", false, false},
	{"/sys/devices/system/cpu", false, false}, {"/dev/null", true, false}};

/* The keys of whoever publishes must be out of reach of what reads a stranger's rules. */
static int confine(const char *program, int work, struct yg_err *err)
{
	struct yg_sandbox_path paths[YG_COUNT(tool_paths) + 2] = {{work, true, false}};
	uint32_t count = 1;
	int own = open(program, O_PATH | O_CLOEXEC);
	if (own >= 0)
		paths[count++] = (struct yg_sandbox_path){own, false, true};
	for (size_t i = 0; i < YG_COUNT(tool_paths); i++) {
		int fd = open(tool_paths[i].path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			paths[count++] = (struct yg_sandbox_path){fd, tool_paths[i].write,
				tool_paths[i].run};
	}
	return yg_sandbox_enter(&(struct yg_sandbox){.syscalls = YG_SYS_FILES | YG_SYS_SPAWN |
						YG_SYS_THREADS | YG_SYS_LIMITS,
					.memory_max = MEMORY_MAX,
					.paths = paths,
					.path_count = count},
		err);
}

static _Noreturn void become(const char *path, char *const argv[], int work, int out, pid_t parent)
{
	char *const environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		(char *)(uintptr_t) "LC_ALL=C", NULL};
	struct yg_err err = {0};
	int in = open("/dev/null", O_RDONLY);
	if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	if (confine(path, work, &err) < 0) {
		(void)!yg_fs_write_all(2, err.msg, strlen(err.msg), &(struct yg_err){0});
		_exit(127);
	}
	if (close_range(3, ~0u, 0) < 0)
		_exit(127);
	(void)execve(path, argv, environment);
	_exit(127);
}

/* Until it closes its output, or time is over. Returns false when it is. */
static bool listen_to(int fd, int64_t end, struct yg_buf *said)
{
	for (;;) {
		char block[4096];
		struct pollfd at = {.fd = fd, .events = POLLIN};
		int64_t left = end - yg_clock_mono_ms();
		if (left <= 0)
			return false;
		int got = poll(&at, 1, left > 1000 ? 1000 : (int)left);
		if (got < 0 && errno != EINTR)
			return true;
		if (got <= 0)
			continue;
		ssize_t n = read(fd, block, sizeof(block));
		struct yg_err full = {0};
		if (n == 0 || (n < 0 && errno != EINTR))
			return true;
		if (n > 0)
			(void)!yg_buf_add(said, block, (size_t)n,
				&full); /* the rest says no more */
	}
}

int import_tool_run(const char *path, char *const argv[], int work, unsigned seconds,
	struct yg_buf *said, int *status, struct yg_err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return yg_fail_sys(err, errno, "making a pipe");
	int in YG_AUTO(fd) = ends[0], out YG_AUTO(fd) = ends[1];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return yg_fail_sys(err, errno, "making a process");
	if (pid == 0)
		become(path, argv, work, out, parent);
	fd_free_at(&out);
	out = -1;
	int got = 0;
	bool ended = listen_to(in, yg_clock_mono_ms() + 1000 * (int64_t)seconds, said);
	if (!ended)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &got, 0) < 0) {
		if (errno != EINTR)
			return yg_fail_sys(err, errno, "%s: waiting for it", argv[0]);
	}
	if (!ended)
		return yg_fail(err, YG_ELIMIT, "%s: want an end within %u s, had none", argv[0],
			seconds);
	if (WIFSIGNALED(got))
		return yg_fail(err, YG_ELIMIT, "%s: ended by signal %d (%s)", argv[0],
			WTERMSIG(got), strsignal(WTERMSIG(got)));
	*status = WEXITSTATUS(got);
	return 0;
}
