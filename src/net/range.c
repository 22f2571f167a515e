/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/range.h"

#include <string.h>
#include <strings.h>

/* Digits at *at, which moves past them; too many give the largest number. False without a digit. */
static bool digits(const char **at, uint64_t *out)
{
	uint64_t n = 0;
	const char *from = *at;
	for (; **at >= '0' && **at <= '9'; ++*at) {
		uint64_t digit = (uint64_t)(**at - '0');
		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	*out = n;
	return *at > from;
}

static enum yg_range suffix(uint64_t want, uint64_t size, uint64_t *first, uint64_t *last)
{
	if (want == 0 || size == 0)
		return YG_RANGE_BEYOND;
	*first = want >= size ? 0 : size - want;
	*last = size - 1;
	return YG_RANGE_PART;
}

enum yg_range yg_range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *last)
{
	if (strncasecmp(header, "bytes=", 6) != 0)
		return YG_RANGE_NONE;
	const char *at = header + 6;
	uint64_t from = 0, to = UINT64_MAX;
	bool has_from = digits(&at, &from);
	if (*at++ != '-')
		return YG_RANGE_NONE;
	bool has_to = digits(&at, &to);
	if (*at || (!has_from && !has_to))
		return YG_RANGE_NONE;
	if (!has_from)
		return suffix(to, size, first, last);
	if (has_to && to < from)
		return YG_RANGE_NONE;
	if (from >= size)
		return YG_RANGE_BEYOND;
	*first = from;
	*last = has_to && to < size ? to : size - 1;
	return YG_RANGE_PART;
}

bool yg_range_etag_match(const char *header, const char *etag)
{
	size_t len = strlen(etag);
	for (const char *at = header; *at;) {
		at += strspn(at, " \t,");
		if (at[0] == '*' && at == header && !at[1])
			return true;
		if (strncmp(at, "W/", 2) == 0)
			at += 2;
		if (*at != '"')
			return false;
		const char *end = strchr(at + 1, '"');
		if (!end)
			return false;
		if ((size_t)(end + 1 - at) == len && memcmp(at, etag, len) == 0)
			return true;
		at = end + 1;
	}
	return false;
}
