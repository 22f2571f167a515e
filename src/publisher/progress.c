/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/progress.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/str.h"

#define LINE_US 2000000 /* microseconds between lines */
#define BAR_US  250000  /* and between bars */
#define BAR     24      /* characters */

/* A signal handler has no other way to its data. Changed only while the timer is off, except `done`. */
static struct {
	char what[200];
	int fd;
	uint64_t size;
	volatile size_t done;
	bool counts, terminal, json;
	volatile sig_atomic_t drawn;
} step;

struct line {
	char text[400];
	size_t len;
};

static void put(struct line *line, const char *text)
{
	while (*text && line->len < sizeof(line->text) - 1)
		line->text[line->len++] = *text++;
}

static void put_number(struct line *line, uint64_t number)
{
	char digits[24];
	size_t n = sizeof(digits) - 1;
	digits[n] = 0;
	do
		digits[--n] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	put(line, digits + n);
}

static void put_json(struct line *line, uint64_t done, uint64_t size)
{
	put(line, "{\"progress\": {\"what\": \"");
	put(line, step.what);
	put(line, "\", \"done\": ");
	put_number(line, done);
	put(line, ", \"of\": ");
	put_number(line, size);
	put(line, step.counts ? "}}\n" : ", \"unit\": \"MiB\"}}\n");
}

static void put_text(struct line *line, uint64_t done, uint64_t size)
{
	put(line, step.terminal ? "\r" : "");
	put(line, step.what);
	if (step.terminal && size > 0) {
		put(line, " [");
		for (uint64_t i = 0; i < BAR; i++)
			put(line, i * size < done * BAR ? "#" : ".");
		put(line, "]");
	}
	if (step.counts ||
		step.size > 0) { /* else nobody knows how far it is, only that it goes on */
		put(line, step.terminal ? " " : ": ");
		put_number(line, done);
		put(line, " of ");
		put_number(line, size);
		put(line, step.counts ? "" : " MiB");
	}
	put(line, step.terminal ? "\033[K" : "\n");
}

/* Only calls that are allowed in a signal handler. */
static void tick(int signo)
{
	int saved = errno;
	struct line line = {.len = 0};
	off_t at = step.fd < 0 ? 0 : lseek(step.fd, 0, SEEK_CUR);
	uint64_t done = step.counts ? step.done : at < 0 ? 0 : (uint64_t)at >> 20;
	uint64_t size = step.counts ? step.size : step.size >> 20;
	(void)signo;
	if (step.json)
		put_json(&line, done, size);
	else
		put_text(&line, done, size);
	step.drawn = 1;
	if (write(STDERR_FILENO, line.text, line.len) < 0)
		errno = saved; /* nobody reads it: fine */
	errno = saved;
}

static void timer(int microseconds)
{
	const struct timeval every = {microseconds / 1000000, microseconds % 1000000};
	const struct itimerval at = {every, every};
	(void)setitimer(ITIMER_REAL, &at, NULL);
}

static void begin(const char *what, bool counts, int fd, uint64_t size)
{
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	timer(0);
	if (!yg_str_put(step.what, sizeof(step.what), "%s", what))
		step.what[0] = 0;
	for (char *at = step.what; *at; at++) { /* it may stand in JSON */
		if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
			*at = '_';
	}
	step.counts = counts;
	step.fd = fd;
	step.size = size;
	step.done = 0;
	step.drawn = 0;
	step.terminal = !step.json && isatty(STDERR_FILENO) == 1;
	(void)sigaction(SIGALRM, &action, NULL);
	timer(step.terminal ? BAR_US : LINE_US);
}

void progress_json(bool json)
{
	step.json = json;
}

void progress_begin(const char *what, int fd, uint64_t size)
{
	begin(what, false, fd, size);
}

void progress_count(const char *what, size_t count)
{
	begin(what, true, -1, count);
}

void progress_step(size_t done)
{
	step.done = done;
}

void progress_end(void)
{
	static const char clear[] = "\r\033[K";
	timer(0);
	if (step.drawn && step.terminal && write(STDERR_FILENO, clear, sizeof(clear) - 1) < 0)
		step.drawn = 0; /* nobody reads it: fine */
	step.drawn = 0;
}
