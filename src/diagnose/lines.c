/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/archive.h"
#include "core/str.h"

#define HEAD 512 /* bytes */

enum coding { UNKNOWN, BYTES, UTF16_LE, UTF16_BE };

struct yg_lines {
	yg_lines_take *take;
	void *ctx;
	enum coding coding;
	uint8_t head[HEAD]; /* the start of the file, until there is enough to tell its coding */
	size_t head_len;
	uint8_t line[YG_LINES_BYTES_MAX]; /* as in the file, but for UTF-16, which is UTF-8 here */
	size_t len;
	uint8_t odd; /* the first byte of a UTF-16 unit whose second comes with the next piece */
	bool has_odd;
	uint16_t high; /* the first half of a pair of units; 0: none */
	iconv_t sjis;  /* (iconv_t)-1: not opened, or there is none */
	bool sjis_tried;
};

struct yg_lines *yg_lines_new(yg_lines_take *take, void *ctx, struct yg_err *err)
{
	struct yg_lines *lines = calloc(1, sizeof(*lines));
	if (!lines) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	lines->take = take;
	lines->ctx = ctx;
	lines->sjis = (iconv_t)-1;
	return lines;
}

void yg_lines_free(struct yg_lines *lines)
{
	if (!lines)
		return;
	if (lines->sjis != (iconv_t)-1)
		(void)iconv_close(lines->sjis);
	free(lines);
}

/* Bytes that are no UTF-8 are Shift_JIS where that fits, else '?' each. Returns the length. */
static size_t as_utf8(struct yg_lines *lines, const uint8_t *bytes, size_t len, char *out,
	size_t room)
{
	if (!lines->sjis_tried) {
		lines->sjis = iconv_open("UTF-8", "CP932");
		lines->sjis_tried = true;
	}
	char *in = (char *)(uintptr_t)bytes;
	char *at = out;
	size_t left = room;
	if (lines->sjis != (iconv_t)-1) {
		(void)iconv(lines->sjis, NULL, NULL, NULL, NULL);
		if (iconv(lines->sjis, &in, &len, &at, &left) != (size_t)-1)
			return (size_t)(at - out);
	}
	/* A line in two codings, or cut in the middle of a letter: what is ASCII stays readable. */
	for (; len > 0 && left > 0; len--, in++, left--)
		*at++ = (char)((uint8_t)*in < 0x80 ? *in : '?');
	return (size_t)(at - out);
}

/* UTF-8 that was cut in the middle of a letter, because the line was too long. */
static size_t whole_letters(const uint8_t *bytes, size_t len)
{
	size_t back = 0;
	while (back < 3 && back < len && (bytes[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len && bytes[len - 1 - back] >= 0xc0) {
		size_t want = bytes[len - 1 - back] >= 0xf0 ? 4
			: bytes[len - 1 - back] >= 0xe0     ? 3
							    : 2;
		return want > back + 1 ? len - back - 1 : len;
	}
	return len;
}

static int give(struct yg_lines *lines, struct yg_err *err)
{
	static const size_t most = YG_LINES_BYTES_MAX * 3; /* two bytes of Shift_JIS become three */
	char *text YG_AUTO(mem) = malloc(most + 1);
	size_t len = lines->len;
	lines->len = 0;
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (len > 0 && lines->line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len; i++)
		if (lines->line[i] < 0x20 || lines->line[i] == 0x7f)
			lines->line[i] = ' ';
	if (len == YG_LINES_BYTES_MAX)
		len = whole_letters(lines->line, len);
	if (yg_str_utf8_ok((const char *)lines->line, len)) {
		memcpy(text, lines->line, len);
	} else {
		len = as_utf8(lines, lines->line, len, text, most);
		for (size_t i = 0; i < len; i++)
			if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
				text[i] = ' ';
	}
	text[len] = 0;
	return lines->take(lines->ctx, text, len, err);
}

static int byte(struct yg_lines *lines, uint8_t c, struct yg_err *err)
{
	if (c == '\n')
		return give(lines, err);
	if (lines->len < sizeof(lines->line))
		lines->line[lines->len++] = c;
	return 0;
}

static int letter(struct yg_lines *lines, uint32_t point, struct yg_err *err)
{
	uint8_t out[4];
	size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	if (len == 1)
		return byte(lines, (uint8_t)point, err);
	for (size_t i = len - 1; i > 0; i--, point >>= 6)
		out[i] = (uint8_t)(0x80 | (point & 0x3f));
	out[0] = (uint8_t)((0xf00u >> len) | point);
	if (lines->len + len > sizeof(lines->line))
		return 0;
	memcpy(lines->line + lines->len, out, len);
	lines->len += len;
	return 0;
}

static int unit(struct yg_lines *lines, uint16_t value, struct yg_err *err)
{
	uint16_t high = lines->high;
	lines->high = 0;
	if (high && value >= 0xdc00 && value <= 0xdfff)
		return letter(lines, 0x10000u + ((high - 0xd800u) << 10) + (value - 0xdc00u), err);
	if (high && letter(lines, '?', err) < 0)
		return -1;
	if (value >= 0xd800 && value <= 0xdbff) {
		lines->high = value;
		return 0;
	}
	if (value == 0xfeff || value == 0)
		return 0;
	return letter(lines, value >= 0xdc00 && value <= 0xdfff ? '?' : value, err);
}

static int units(struct yg_lines *lines, const uint8_t *bytes, size_t len, struct yg_err *err)
{
	for (size_t i = 0; i < len; i++) {
		if (!lines->has_odd) {
			lines->odd = bytes[i];
			lines->has_odd = true;
			continue;
		}
		lines->has_odd = false;
		unsigned first = lines->odd;
		unsigned second = bytes[i];
		uint16_t value = (uint16_t)(lines->coding == UTF16_LE ? second << 8 | first
								      : first << 8 | second);
		if (unit(lines, value, err) < 0)
			return -1;
	}
	return 0;
}

/* By the mark, else by where the zero bytes of ASCII text stand in UTF-16. */
static enum coding guess(const uint8_t *bytes, size_t len)
{
	size_t zeros[2] = {0, 0};
	if (len >= 2 && bytes[0] == 0xff && bytes[1] == 0xfe)
		return UTF16_LE;
	if (len >= 2 && bytes[0] == 0xfe && bytes[1] == 0xff)
		return UTF16_BE;
	for (size_t i = 0; i < len; i++)
		zeros[i % 2] += bytes[i] == 0;
	size_t half = len / 2;
	if (half >= 2 && zeros[1] > half / 2 && zeros[0] <= half / 8)
		return UTF16_LE;
	if (half >= 2 && zeros[0] > half / 2 && zeros[1] <= half / 8)
		return UTF16_BE;
	return BYTES;
}

static int decode(struct yg_lines *lines, const uint8_t *bytes, size_t len, struct yg_err *err)
{
	if (lines->coding != BYTES)
		return units(lines, bytes, len, err);
	for (size_t i = 0; i < len; i++)
		if (byte(lines, bytes[i], err) < 0)
			return -1;
	return 0;
}

/* What was kept of the start says what the file is. */
static int begin(struct yg_lines *lines, struct yg_err *err)
{
	static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
	bool marked = lines->head_len >= sizeof(mark) &&
		memcmp(lines->head, mark, sizeof(mark)) == 0;
	size_t skip = marked ? sizeof(mark) : 0;
	lines->coding = guess(lines->head, lines->head_len);
	return decode(lines, lines->head + skip, lines->head_len - skip, err);
}

int yg_lines_add(struct yg_lines *lines, const uint8_t *bytes, size_t len, struct yg_err *err)
{
	if (len == 0)
		return 0;
	if (lines->coding == UNKNOWN) {
		size_t room = sizeof(lines->head) - lines->head_len;
		size_t some = len < room ? len : room;
		memcpy(lines->head + lines->head_len, bytes, some);
		lines->head_len += some;
		if (lines->head_len < sizeof(lines->head))
			return 0;
		if (begin(lines, err) < 0)
			return -1;
		bytes += some;
		len -= some;
	}
	return decode(lines, bytes, len, err);
}

int yg_lines_end(struct yg_lines *lines, struct yg_err *err)
{
	if (lines->coding == UNKNOWN && begin(lines, err) < 0)
		return -1;
	return lines->len > 0 ? give(lines, err) : 0;
}

/* ---- files ---- */

static int pump(struct yg_lines *lines, int fd, uint64_t max, bool *whole, struct yg_err *err)
{
	uint8_t piece[32768];
	*whole = true;
	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			return yg_lines_end(lines, err);
		size_t take = (uint64_t)n < max ? (size_t)n : (size_t)max;
		if (yg_lines_add(lines, piece, take, err) < 0)
			return -1;
		max -= take;
		if (take < (size_t)n) {
			*whole = false;
			return yg_lines_end(lines, err);
		}
	}
}

static int give_pipe(void *ctx, const char *path, int *out, struct yg_err *err)
{
	(void)path;
	(void)err;
	*out = *(const int *)ctx;
	return 0;
}

/* In a process of its own: what unpacks the bytes of strangers ends with them. */
static _Noreturn void unpack(int fd, int out, uint64_t max)
{
	struct yg_err err = {0};
	const struct yg_archive_limits limits = {.entries = 1,
		.file_bytes = max + (64u << 20),
		.bytes = max + (64u << 20),
		.ratio = 10000};
	(void)signal(SIGPIPE, SIG_DFL);
	_exit(yg_archive_unpack(fd, true, &limits, give_pipe, &out, &err) < 0);
}

static int read_packed(struct yg_lines *lines, int fd, uint64_t max, bool *whole,
	struct yg_err *err)
{
	int ends[2];
	int status = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return yg_fail_sys(err, errno, "a pipe");
	pid_t child = fork();
	if (child == 0) {
		(void)close(ends[0]);
		unpack(fd, ends[1], max);
	}
	int from YG_AUTO(fd) = ends[0];
	(void)close(ends[1]);
	if (child < 0)
		return yg_fail_sys(err, errno, "fork");
	int rc = pump(lines, from, max, whole, err);
	(void)close(yg_take_fd(from));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0 && *whole && status != 0)
		return yg_fail(err, YG_EFORMAT,
			"its compression is damaged, or it unpacks to too much");
	return rc;
}

int yg_lines_read(struct yg_lines *lines, int fd, uint64_t max, bool *whole, struct yg_err *err)
{
	if (yg_archive_kind(fd) == YG_ARCHIVE_PACKED)
		return read_packed(lines, fd, max, whole, err);
	return pump(lines, fd, max, whole, err);
}
