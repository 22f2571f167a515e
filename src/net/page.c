/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/page.h"

#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/str.h"

/* Where `word` begins at or behind `from`, letters of either case; len when nowhere. */
static size_t find(struct yg_bytes text, size_t from, const char *word)
{
	size_t len = strlen(word);
	for (size_t i = from; i + len <= text.len; i++)
		if (strncasecmp((const char *)text.ptr + i, word, len) == 0)
			return i;
	return text.len;
}

static bool has(struct yg_bytes text, const char *const *words)
{
	for (; *words; words++)
		if (find(text, 0, *words) < text.len)
			return true;
	return false;
}

bool yg_page_says_maintenance(struct yg_bytes text)
{
	static const char *const words[] = {"maintenance", "maintainence", "メンテナンス",
		"保守作業", NULL};
	return has(text, words);
}

bool yg_page_says_busy(struct yg_bytes text)
{
	static const char *const words[] = {"busy", "overload", "too many", "capacity", "混雑",
		"混み合", "\"unavailable\"", NULL};
	return has(text, words);
}

bool yg_page_is(struct yg_bytes bytes)
{
	static const char *const starts[] = {"<!doctype html", "<html", "<head", "<body"};
	struct yg_bytes rest = bytes;
	if (rest.len >= 3 && memcmp(rest.ptr, "\xef\xbb\xbf", 3) == 0)
		rest = (struct yg_bytes){rest.ptr + 3, rest.len - 3};
	while (rest.len > 0 && strchr(" \t\r\n", rest.ptr[0]) && rest.ptr[0])
		rest = (struct yg_bytes){rest.ptr + 1, rest.len - 1};
	for (size_t i = 0; i < YG_COUNT(starts); i++) {
		size_t len = strlen(starts[i]);
		if (rest.len >= len && strncasecmp((const char *)rest.ptr, starts[i], len) == 0)
			return true;
	}
	return false;
}

/* The character that an entity stands for, and how long it is; 0 when it is none of the usual. */
static char entity(const char *at, size_t left, size_t *used)
{
	static const struct {
		const char *name;
		char stands_for;
	} usual[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''},
		{"&apos;", '\''}, {"&nbsp;", ' '}};
	for (size_t i = 0; i < YG_COUNT(usual); i++) {
		size_t len = strlen(usual[i].name);
		if (left >= len && strncasecmp(at, usual[i].name, len) == 0) {
			*used = len;
			return usual[i].stands_for;
		}
	}
	return 0;
}

/* Bytes of the UTF-8 character at `at`; 0 when it is none. */
static size_t character(const char *at, size_t left)
{
	for (size_t len = 1; len <= 4 && len <= left; len++)
		if (yg_str_utf8_ok(at, len))
			return len;
	return 0;
}

static bool is_blank(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

/* Two bytes of UTF-8 for U+0080 to U+009F: control characters, too. */
static bool is_control(const char *at, size_t len)
{
	return len == 2 && (unsigned char)at[0] == 0xc2 && (unsigned char)at[1] < 0xa0;
}

static void clean(const char *text, size_t len, char out[YG_PAGE_TITLE])
{
	static const char more[] = "…";
	const size_t room = YG_PAGE_TITLE - sizeof(more);
	size_t used = 0;
	bool space = false;
	for (size_t i = 0; i < len;) {
		size_t step = 1;
		char one = text[i] == '&' ? entity(text + i, len - i, &step) : 0;
		const char *from = one ? &one : text + i;
		size_t bytes = 1;
		if (!one && is_blank(text[i])) {
			one = ' ';
		} else if (!one) {
			step = bytes = character(text + i, len - i);
			if (bytes == 0 || is_control(text + i, bytes)) {
				step = bytes ? bytes : 1;
				bytes = 1;
				from = "?";
			}
		}
		i += step;
		if (one == ' ') {
			space = used > 0;
			continue;
		}
		if (used + bytes + (space ? 1 : 0) > room) {
			memcpy(out + used, more, sizeof(more));
			return;
		}
		if (space)
			out[used++] = ' ';
		space = false;
		memcpy(out + used, from, bytes);
		used += bytes;
	}
	out[used] = 0;
}

bool yg_page_title(struct yg_bytes html, char out[YG_PAGE_TITLE])
{
	out[0] = 0;
	size_t tag = find(html, 0, "<title");
	size_t start = find(html, tag, ">");
	if (start == html.len)
		return false;
	size_t end = find(html, start, "</title");
	clean((const char *)html.ptr + start + 1, end - start - 1, out);
	return out[0] != 0;
}
