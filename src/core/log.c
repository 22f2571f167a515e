/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048 /* longer lines are cut: the journal cuts at 48 KiB, people before */

static const char *process_name = "yagura";
static enum yg_level most = YG_LOG_INFO;

void yg_log_init(const char *process, enum yg_level level)
{
	process_name = process;
	most = level;
}

/* Control characters could forge lines or drive a terminal: they become \xNN. */
static size_t escape(char *out, size_t room, const char *text)
{
	size_t used = 0;
	for (const char *at = text; *at && used + 5 < room; at++) {
		unsigned char c = (unsigned char)*at;
		if (c >= 0x20 && c != 0x7f)
			out[used++] = *at;
		else
			used += (size_t)snprintf(out + used, room - used, "\\x%02x", c);
	}
	out[used] = 0;
	return used;
}

void yg_log(enum yg_level level, const char *what, const char *fmt, ...)
{
	if (level > most)
		return;

	char text[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	char line[LINE_MAX_BYTES + 128];
	int head = snprintf(line, 128, "<%d>%s: %s: ", (int)level, process_name, what);
	size_t used = head < 0 ? 0 : (size_t)head < 127 ? (size_t)head : 127;
	used += escape(line + used, sizeof(line) - used - 1, text);
	line[used++] = '\n';
	/* One write, so that lines of several processes do not mix. A log that fails has no log. */
	ssize_t ignored = write(STDERR_FILENO, line, used);
	(void)ignored;
}

void yg_log_err(enum yg_level level, const char *what, const struct yg_err *err)
{
	yg_log(level, what, "%s", err->msg);
}
