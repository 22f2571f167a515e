/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/progress.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/str.h"

#define EVERY_S 2

/* A signal handler has no other way to its data. Changed only while the timer is off. */
static struct {
	char what[200];
	int fd;
	uint64_t size;
} step;

static size_t put_text(char *out, size_t at, size_t size, const char *text)
{
	while (*text && at < size)
		out[at++] = *text++;
	return at;
}

static size_t put_number(char *out, size_t at, size_t size, uint64_t number)
{
	char digits[24];
	size_t n = sizeof(digits) - 1;
	digits[n] = 0;
	do
		digits[--n] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	return put_text(out, at, size, digits + n);
}

/* Only calls that are allowed in a signal handler. */
static void tick(int signo)
{
	int saved = errno;
	char line[320];
	size_t at = put_text(line, 0, sizeof(line) - 1, step.what);
	off_t done = step.fd < 0 ? -1 : lseek(step.fd, 0, SEEK_CUR);
	if (done >= 0) {
		at = put_text(line, at, sizeof(line) - 1, ": ");
		at = put_number(line, at, sizeof(line) - 1, (uint64_t)done >> 20);
		at = put_text(line, at, sizeof(line) - 1, " of ");
		at = put_number(line, at, sizeof(line) - 1, step.size >> 20);
		at = put_text(line, at, sizeof(line) - 1, " MiB");
	}
	line[at++] = '\n';
	(void)signo;
	if (write(STDERR_FILENO, line, at) < 0)
		errno = saved; /* nobody reads it: fine */
	errno = saved;
}

static void timer(int seconds)
{
	const struct itimerval at = {{seconds, 0}, {seconds, 0}};
	(void)setitimer(ITIMER_REAL, &at, NULL);
}

void progress_begin(const char *what, int fd, uint64_t size)
{
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	timer(0);
	if (!yg_str_put(step.what, sizeof(step.what), "%s", what))
		step.what[0] = 0;
	step.fd = fd;
	step.size = size;
	(void)sigaction(SIGALRM, &action, NULL);
	timer(EVERY_S);
}

void progress_end(void)
{
	timer(0);
}
