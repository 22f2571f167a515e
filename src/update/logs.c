/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/scrub.h"
#include "core/str.h"
#include "proto/cause.h"
#include "proto/status.h"

#define ENTRY_MAX 4096        /* bytes of one entry; longer ones are cut */
#define RING_MAX  (64u << 10) /* bytes */
#define NAME_LEN  32

static const char *const names[YG_LOGS_FILES] = {
	[YG_LOGS_TMU] = "TmuDump.txt",
	[YG_LOGS_IAU] = "iau.log",
	[YG_LOGS_RELAY] = "iaurelay.log",
};

static const char *const levels[] = {
	[YG_LOGS_ERR] = "err",
	[YG_LOGS_APP] = "app",
	[YG_LOGS_DBG] = "dbg",
};

/* What was not written because of its level, oldest first; one ring a file. */
struct ring {
	char *text;
	size_t len;
};

struct yg_logs {
	int dir;
	enum yg_logs_level level;
	int64_t size_max;
	int keep;
	int fds[YG_LOGS_FILES];
	struct ring rings[YG_LOGS_FILES];
	bool complained;
};

struct yg_logs *yg_logs_new(int dir, enum yg_logs_level level, int64_t size_max, int keep,
	struct yg_err *err)
{
	struct yg_logs *logs YG_AUTO(yg_logs) = calloc(1, sizeof(*logs));
	if (!logs) {
		(void)yg_fail_sys(err, ENOMEM, "opening the update logs");
		return NULL;
	}
	for (size_t i = 0; i < YG_LOGS_FILES; i++)
		logs->fds[i] = -1;
	logs->level = level;
	logs->size_max = size_max;
	logs->keep = keep;
	logs->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (logs->dir < 0) {
		(void)yg_fail_sys(err, errno, "opening the update logs");
		return NULL;
	}
	return yg_take(logs);
}

void yg_logs_free(struct yg_logs *logs)
{
	if (!logs)
		return;
	for (size_t i = 0; i < YG_LOGS_FILES; i++) {
		if (logs->fds[i] >= 0)
			(void)close(logs->fds[i]);
		free(logs->rings[i].text);
	}
	if (logs->dir >= 0)
		(void)close(logs->dir);
	free(logs);
}

int yg_logs_level_parse(const char *name, enum yg_logs_level *out, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(levels); i++) {
		if (strcmp(levels[i], name) == 0) {
			*out = (enum yg_logs_level)i;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "log level: want err, app or dbg, have '%s'", name);
}

/* FILE.1 of a log, or the log itself for 0. */
static void name_of(enum yg_logs_file file, int age, char out[NAME_LEN])
{
	(void)snprintf(out, NAME_LEN, age > 0 ? "%s.%d" : "%s", names[file], age);
}

/* FILE.2 to FILE.3, FILE.1 to FILE.2, FILE to FILE.1, as far as the first name that is free: when we were killed
 * between two of these renames there is one, and nothing is lost. Only when none is free the oldest goes.
 */
static void rotate(struct yg_logs *logs, enum yg_logs_file file)
{
	char from[NAME_LEN];
	char to[NAME_LEN];
	int last = 1;
	(void)close(logs->fds[file]);
	logs->fds[file] = -1;
	if (logs->keep == 0) {
		(void)unlinkat(logs->dir, names[file], 0);
		return;
	}
	for (name_of(file, last, to);
		last < logs->keep && faccessat(logs->dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0;)
		name_of(file, ++last, to);
	for (int age = last - 1; age >= 0; age--) {
		name_of(file, age, from);
		name_of(file, age + 1, to);
		(void)renameat(logs->dir, from, logs->dir, to);
	}
}

static int open_file(struct yg_logs *logs, enum yg_logs_file file)
{
	if (logs->fds[file] < 0)
		logs->fds[file] = openat(logs->dir, names[file],
			O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
	return logs->fds[file];
}

static void complain(struct yg_logs *logs, enum yg_logs_file file, const char *why)
{
	if (!logs->complained)
		yg_log(YG_LOG_WARN, "update.log", "%s cannot be written: %s", names[file], why);
	logs->complained = true;
}

/* What a power cut left without an end does not run into what comes now. */
static void end_line(int fd, off_t size)
{
	char last = '\n';
	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		(void)!write(fd, "\n", 1);
}

/* Deleted, or moved by somebody else's rotation: people look where the name is. */
static bool is_in_place(const struct yg_logs *logs, enum yg_logs_file file, const struct stat *st)
{
	struct stat named;
	return fstatat(logs->dir, names[file], &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		named.st_ino == st->st_ino && named.st_dev == st->st_dev;
}

/* The file for `len` more bytes, and how long it is. returns its descriptor, or -1 with errno */
static int ready(struct yg_logs *logs, enum yg_logs_file file, size_t len, off_t *size)
{
	struct stat st;
	for (int try = 0; try < 3; try++) {
		bool fresh = logs->fds[file] < 0;
		int fd = open_file(logs, file);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -1;
		if (fresh)
			end_line(fd, st.st_size);
		if (st.st_size > 0 && st.st_size + (off_t)len > logs->size_max) {
			rotate(logs, file);
		} else if (!is_in_place(logs, file, &st)) {
			(void)close(fd);
			logs->fds[file] = -1;
		} else {
			*size = st.st_size;
			return fd;
		}
	}
	errno = EBUSY;
	return -1;
}

static void append(struct yg_logs *logs, enum yg_logs_file file, const char *text, size_t len)
{
	struct yg_err err = {0};
	off_t size = 0;
	int fd = ready(logs, file, len, &size);
	if (fd < 0) {
		complain(logs, file, strerror(errno));
		return;
	}
	if (yg_fs_write_all(fd, text, len, &err) < 0) {
		/* Half an entry is none. We are the only one who writes. */
		(void)!ftruncate(fd, size);
		complain(logs, file, err.msg);
	} else {
		logs->complained = false;
	}
}

/* Text from outside must not look like an entry of ours, and must not drive a terminal. */
static void tame(char *text, bool lines)
{
	for (char *at = text; *at; at++) {
		unsigned char c = (unsigned char)*at;
		if (c == '\n' && lines) {
			if (at[1] == '[')
				*at = ' ';
		} else if (c < 0x20 || c == 0x7f) {
			*at = ' ';
		} else if (yg_str_is_c1(at)) {
			at[0] = at[1] = ' ';
		}
	}
}

static void clean(char *text, bool lines)
{
	text[yg_scrub(text, strlen(text), NULL)] = 0;
	tame(text, lines);
}

static struct tm now(void)
{
	struct tm tm = {0};
	time_t s = time(NULL);
	(void)localtime_r(&s, &tm);
	return tm;
}

void yg_logs_tmu(struct yg_logs *logs, bool failed, const char *where, const char *fmt, ...)
{
	char text[ENTRY_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	clean(text, false);

	struct tm tm = now();
	char line[ENTRY_MAX + 128];
	int len = snprintf(line, sizeof(line), "%s %04d%02d%02d %02d:%02d:%02d %ld %ld %s: %s\n",
		failed ? "Err" : "Inf", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		tm.tm_min, tm.tm_sec, (long)getpid(), (long)gettid(), where, text);
	if (len > 0 && (size_t)len < sizeof(line))
		append(logs, YG_LOGS_TMU, line, (size_t)len);
}

/* Keep the last RING_MAX bytes, whole entries as far as possible. */
static void remember(struct ring *ring, const char *text, size_t len)
{
	if (!ring->text && !(ring->text = malloc(RING_MAX)))
		return; /* a debug aid: nothing depends on it */
	if (len > RING_MAX)
		return;
	if (ring->len + len > RING_MAX) {
		size_t gone = ring->len + len - RING_MAX;
		const char *next = memchr(ring->text + gone, '\n', ring->len - gone);
		gone = next ? (size_t)(next + 1 - ring->text) : ring->len;
		memmove(ring->text, ring->text + gone, ring->len - gone);
		ring->len -= gone;
	}
	memcpy(ring->text + ring->len, text, len);
	ring->len += len;
}

void yg_logs_entry(struct yg_logs *logs, enum yg_logs_file file, enum yg_logs_level level,
	const char *function, const char *source, int line, const char *fmt, ...)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec"};
	char text[ENTRY_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	clean(text, true);

	/* Where the build was made is nobody's business, and differs from machine to machine. */
	const char *src = strstr(source, "src/");
	struct tm tm = now();
	char entry[ENTRY_MAX + 512];
	int len = snprintf(entry, sizeof(entry),
		"[%04d-%s-%02d %02d:%02d:%02d %ld|%ld] [%s] %s [%s(%d)]\n%s\n", tm.tm_year + 1900,
		months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(long)getpid(), (long)gettid(), levels[level], function, src ? src : source, line,
		text);
	if (len <= 0 || (size_t)len >= sizeof(entry))
		return;
	struct ring *ring = &logs->rings[file];
	if (level > logs->level && yg_log_level() < YG_LOG_DEBUG) {
		remember(ring, entry, (size_t)len);
		yg_log(YG_LOG_TRACE, "update.debug", "%s: %s", function, text);
		return;
	}
	if (level == YG_LOGS_ERR && ring->len > 0) {
		append(logs, file, ring->text, ring->len);
		ring->len = 0;
	}
	append(logs, file, entry, (size_t)len);
}

/* "<sentence> (<detail>) [<cause>]", English as the log is. */
static void say_why(const struct yg_err *why, struct yg_buf *out)
{
	struct yg_err full = {0}; /* what has no room is left out, and a message has a bound */
	if (yg_cause_sentence(why->cause, why->msg, YG_LANG_EN, out, &full) == 0 && why->cause[0])
		(void)!yg_str_addf(out, &full, " [%s]", why->cause);
}

void yg_logs_failure(struct yg_logs *logs, enum yg_logs_file file, const char *function,
	const char *source, int line, const struct yg_err *why, const char *fmt, ...)
{
	char what[ENTRY_MAX / 2];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ENTRY_MAX / 2);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	say_why(why, &text);
	yg_logs_entry(logs, file, YG_LOGS_ERR, function, source, line, "%s%s%.*s", what,
		*what ? ": " : "", (int)text.len, (const char *)text.data);
}

void yg_logs_tmu_failure(struct yg_logs *logs, const char *url, const struct yg_err *why)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ENTRY_MAX / 2);
	if (strncmp(why->cause, "http.", 5) == 0 && strstr(why->msg, "status 503")) {
		yg_logs_tmu(logs, true, "HttpsConnection", "%s", YG_LOGS_503);
		yg_logs_tmu(logs, true, "TmDownloader", "%s", YG_LOGS_MAINTENANCE);
	}
	say_why(why, &text);
	yg_logs_tmu(logs, true, "HttpsConnection", "%s: %.*s", url, (int)text.len,
		(const char *)text.data);
}

void yg_logs_finished(struct yg_logs *logs, enum yg_logs_file file, const char *cause)
{
	char status[YG_STATUS_TEXT_MAX];
	yg_status_format(yg_status_of(cause, file == YG_LOGS_RELAY), status);
	YG_LOGS(logs, file, YG_LOGS_APP, "Update", "Update finished with result : %s", status);
}
