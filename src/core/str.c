/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

char *yg_str_format(const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&out, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : out;
}

bool yg_str_put(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < size)
		return true;
	out[0] = 0;
	return false;
}

int yg_str_u64(const char *text, uint64_t max, uint64_t *out, struct yg_err *err)
{
	uint64_t n = 0;
	if (!*text)
		return yg_fail(err, YG_EFORMAT, "want digits, have nothing");
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9')
			return yg_fail(err, YG_EFORMAT, "want digits, have '%.32s'", text);
		uint64_t digit = (uint64_t)(*at - '0');
		if (n > (max - digit) / 10 || digit > max)
			return yg_fail(err, YG_ELIMIT, "want <= %llu, have %.32s",
				(unsigned long long)max, text);
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

void yg_str_hex(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int yg_str_unhex(const char *what, const char *hex, uint8_t *out, size_t len, struct yg_err *err)
{
	size_t have = strlen(hex);
	if (have != 2 * len)
		return yg_fail(err, YG_EFORMAT, "%s: want %zu digits, have %zu", what, 2 * len,
			have);
	for (size_t i = 0; i < len; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return yg_fail(err, YG_EFORMAT, "%s: not lower-case hex at digit %zu", what,
				2 * i);
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

bool yg_str_name_ok(const char *name, size_t max, const char *allowed)
{
	size_t len = strlen(name);
	return len >= 1 && len <= max && name[0] != '.' && strspn(name, allowed) == len;
}

bool yg_str_path_ok(const char *path, size_t max)
{
	size_t len = strlen(path);
	if (len < 1 || len > max)
		return false;
	for (const char *at = path;;) {
		size_t part = strcspn(at, "/");
		if (part == 0 || at[0] == '.' || strspn(at, YG_STR_FILE_CHARS) < part)
			return false;
		if (!at[part])
			return true;
		at += part + 1;
	}
}

/* How many bytes follow this first byte, and the lowest code point that needs that many. */
static int follow(unsigned char first, uint32_t *point, uint32_t *least)
{
	static const struct {
		unsigned char from, to, bits;
		uint32_t least;
	} rows[] = {{0, 0x7f, 0x7f, 0}, {0xc2, 0xdf, 0x1f, 0x80}, {0xe0, 0xef, 0x0f, 0x800},
		{0xf0, 0xf4, 0x07, 0x10000}};
	for (int i = 0; i < 4; i++) {
		if (first < rows[i].from || first > rows[i].to)
			continue;
		*point = first & rows[i].bits;
		*least = rows[i].least;
		return i;
	}
	return -1;
}

bool yg_str_utf8_ok(const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		uint32_t point = 0, least = 0;
		int more = follow((unsigned char)text[at++], &point, &least);
		if (more < 0 || (size_t)more > len - at)
			return false;
		for (; more > 0; more--) {
			unsigned char c = (unsigned char)text[at++];
			if ((c & 0xc0) != 0x80)
				return false;
			point = point << 6 | (c & 0x3f);
		}
		if (point == 0 || point < least || point > 0x10ffff ||
			(point >= 0xd800 && point < 0xe000))
			return false;
	}
	return true;
}

int yg_str_addf(struct yg_buf *buf, struct yg_err *err, const char *fmt, ...)
{
	char *text YG_AUTO(mem) = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return yg_fail_sys(err, ENOMEM, "formatting text");
	}
	return yg_buf_add(buf, text, (size_t)n, err);
}
