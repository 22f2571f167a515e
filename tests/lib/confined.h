/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sandbox.h"
#include "tests/lib/cmocka_all.h"

/* What a role may not do, tried in a child that has entered the role's sandbox. Each try answers 0 when
 * it worked, else errno.
 */

static inline int confined_try(int (*enter)(void), int (*what)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(enter() < 0 ? 250 : what());
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 251;
}

static inline int confined_read(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static inline int confined_write(void)
{
	return open("/tmp/yagura-confined", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static inline int confined_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? errno : 0;
}

static inline int confined_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 || listen(fd, 1) < 0 ? errno : 0;
}

static inline int confined_exec(void)
{
	(void)execl("/bin/true", "true", (char *)0);
	return errno;
}

static inline int confined_kill(void)
{
	return kill(getppid(), 0) < 0 ? errno : 0;
}
