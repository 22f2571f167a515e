/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Runs a command and says what it cost. A program of its own, and a small one, because the kernel counts
 * what the one that starts a command has in memory as the command's.
 * usage: measure COMMAND ARGUMENT…   (the command's output goes nowhere)
 * prints: seconds, seconds of processor time, KiB of memory at most
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec at;
	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double seconds(struct timeval at)
{
	return (double)at.tv_sec + (double)at.tv_usec / 1e6;
}

static _Noreturn void run(char **command)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0)
		(void)execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage cost;
	int status = 0;
	if (argc < 2) {
		(void)fputs("usage: measure COMMAND ARGUMENT…\n", stderr);
		return 2;
	}
	double begin = now();
	pid_t child = fork();
	if (child == 0)
		run(argv + 1);
	if (child < 0 || wait4(child, &status, 0, &cost) < 0) {
		perror("measure");
		return 1;
	}
	printf("%.4f %.4f %ld\n", now() - begin, seconds(cost.ru_utime) + seconds(cost.ru_stime),
		cost.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
