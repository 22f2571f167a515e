/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/ring.h"
#include "core/scrub.h"
#include "core/str.h"

#define LINE_MAX_BYTES 2048 /* longer lines are cut: the journal cuts at 48 KiB, people before */
#define HEAD_MAX       128  /* "<4>agent/install: update.rejected: " */
#define STAMP_MAX      64   /* "2026-11-22T06:39:39.123456Z 4467 ", before it in the ring */

_Static_assert(STAMP_MAX + HEAD_MAX + LINE_MAX_BYTES <= YG_RING_LINE_MAX, "no line is cut twice");

static const char *process_name = "yagura";
static enum yg_level most = YG_LOG_INFO;
static struct yg_ring *ring;

void yg_log_init(const char *process, enum yg_level level)
{
	process_name = process;
	most = level;
}

void yg_log_level_set(enum yg_level level)
{
	most = level;
}

enum yg_level yg_log_level(void)
{
	return most;
}

static const char *const levels[] = {"error", "warn", "notice", "info", "debug"};

int yg_log_level_parse(const char *name, enum yg_level *out, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(levels); i++) {
		if (strcmp(levels[i], name) == 0) {
			*out = (enum yg_level)(YG_LOG_ERROR + (int)i);
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "want error, warn, notice, info or debug, have '%s'", name);
}

const char *yg_log_level_name(enum yg_level level)
{
	return level >= YG_LOG_ERROR && level <= YG_LOG_DEBUG ? levels[level - YG_LOG_ERROR]
							      : "trace";
}

int yg_log_ring(int fd, struct yg_err *err)
{
	struct yg_ring *own = yg_ring_map(fd, err);
	if (!own)
		return -1;
	yg_ring_free(ring);
	ring = own;
	return 0;
}

/* Control characters could forge lines or drive a terminal: they become \xNN. */
static size_t escape(char *out, size_t room, const char *text)
{
	size_t used = 0;
	for (const char *at = text; *at && used + 5 < room; at++) {
		if (yg_str_is_c1(at)) {
			at++;
		} else if ((unsigned char)*at >= 0x20 && *at != 0x7f) {
			out[used++] = *at;
			continue;
		}
		used += (size_t)snprintf(out + used, room - used, "\\x%02x", (unsigned char)*at);
	}
	out[used] = 0;
	return used;
}

/* Right-aligned in STAMP_MAX bytes, so that it stands before the line. Returns how long it is. */
static size_t stamp(char *line)
{
	struct timespec now;
	struct tm tm;
	char text[STAMP_MAX + 1];
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (!gmtime_r(&now.tv_sec, &tm))
		return 0;
	int len = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %ld ",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		now.tv_nsec / 1000, (long)getpid());
	if (len <= 0 || len > STAMP_MAX)
		return 0;
	memcpy(line + STAMP_MAX - len, text, (size_t)len);
	return (size_t)len;
}

void yg_log(enum yg_level level, const char *what, const char *fmt, ...)
{
	if (level > most && !ring)
		return;

	char text[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	int made = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = made < 0 ? 0 : (size_t)made;
	text[yg_scrub(text, len < sizeof(text) ? len : sizeof(text) - 1, NULL)] = 0;

	char line[STAMP_MAX + HEAD_MAX + LINE_MAX_BYTES];
	char *at = line + STAMP_MAX;
	size_t room = sizeof(line) - STAMP_MAX;
	int head = snprintf(at, HEAD_MAX, "<%d>%s: %s: ", (int)level, process_name, what);
	size_t used = head < 0 ? 0 : (size_t)head < HEAD_MAX ? (size_t)head : HEAD_MAX - 1;
	used += escape(at + used, room - used - 1, text);
	at[used++] = '\n';
	if (ring) {
		size_t more = stamp(line);
		yg_ring_add(ring, at - more, used + more);
	}
	/* One write, so that lines of several processes do not mix. A log that fails has no log. */
	if (level <= most && level <= YG_LOG_DEBUG) {
		ssize_t ignored = write(STDERR_FILENO, at, used);
		(void)ignored;
	}
}

void yg_log_err(enum yg_level level, const char *what, const struct yg_err *err)
{
	yg_log(level, what, "%s%s%s%s", err->msg, err->cause[0] ? " [" : "", err->cause,
		err->cause[0] ? "]" : "");
}
