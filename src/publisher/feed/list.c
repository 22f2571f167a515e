/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Lists of addresses, networks, domains and URLs: one a line, as a hosts file, or as a table. They come out in
 * one spelling each: lower-case names in ASCII (IDNA 2008), shortest addresses, networks without bits behind
 * their prefix, so that two makers' lists of the same things are the same bytes.
 */
#include "publisher/feed/feed.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "publisher/feed/columns.h"

#define ENTRY_MAX 2048 /* bytes of a URL */
#define HOST_MAX  253  /* source  RFC 1035, 2.3.4, as text */

enum { NONE, DOMAIN, ADDRESS, URL };

struct out {
	char text[ENTRY_MAX + 1];
	size_t len;
};

static bool add(struct out *out, const void *bytes, size_t len)
{
	if (len > ENTRY_MAX - out->len)
		return false;
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
	out->text[out->len] = 0;
	return true;
}

/* ---- addresses ---- */

static void mask(uint8_t *address, size_t size, uint64_t prefix)
{
	for (size_t i = 0; i < size; i++) {
		uint64_t bits = prefix > 8 * i ? prefix - 8 * i : 0;
		if (bits < 8)
			address[i] = (uint8_t)(address[i] & (uint8_t)(0xff00u >> bits));
	}
}

/* "192.0.2.1", "192.0.2.0/24", and IPv6 */
static bool put_address(struct out *out, struct yg_bytes value)
{
	char text[INET6_ADDRSTRLEN], clean[INET6_ADDRSTRLEN], prefix_text[8];
	uint8_t address[16];
	const uint8_t *slash = value.len ? memchr(value.ptr, '/', value.len) : NULL;
	size_t len = slash ? (size_t)(slash - value.ptr) : value.len;
	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, value.ptr, len);
	text[len] = 0;
	if (strlen(text) != len)
		return false;
	int family = memchr(text, ':', len) ? AF_INET6 : AF_INET;
	size_t size = family == AF_INET ? 4 : 16;
	uint64_t prefix = 8 * size;
	if (inet_pton(family, text, address) != 1 ||
		(slash &&
			!feed_number((struct yg_bytes){slash + 1, value.len - len - 1}, 8 * size,
				&prefix)))
		return false;
	mask(address, size, prefix);
	if (!inet_ntop(family, address, clean, sizeof(clean)) || !add(out, clean, strlen(clean)))
		return false;
	return prefix == 8 * size ||
		(yg_str_put(prefix_text, sizeof(prefix_text), "/%u", (unsigned)prefix) &&
			add(out, prefix_text, strlen(prefix_text)));
}

/* ---- names ---- */

static bool label_ok(const char *label, size_t len)
{
	if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((uint8_t)label[i]) && label[i] != '-' && label[i] != '_')
			return false;
	}
	return true;
}

/* Lower case, at least two labels, the last one no number. */
static bool name_ok(const char *name)
{
	size_t labels = 0;
	bool digits = true;
	for (const char *at = name;; labels++) {
		size_t len = strcspn(at, ".");
		if (!label_ok(at, len))
			return false;
		digits = strspn(at, "0123456789") == len;
		at += len;
		if (*at == 0)
			return labels > 0 && !digits;
		at++;
	}
}

static bool to_ascii(const char *name, struct out *out)
{
	char *ascii = NULL;
	if (!yg_str_utf8_ok(name, strlen(name)) ||
		idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	bool ok = strlen(ascii) <= HOST_MAX && name_ok(ascii) && add(out, ascii, strlen(ascii));
	idn2_free(ascii);
	return ok;
}

/* "Example.COM.", "*.example.com" or ".example.com" (all below it), "bücher.example" */
static bool put_domain(struct out *out, struct yg_bytes value)
{
	char name[4 * HOST_MAX];
	bool ascii = true;
	bool star = value.len > 2 && value.ptr[0] == '*' && value.ptr[1] == '.';
	bool dot = value.len > 1 && value.ptr[0] == '.';
	value.ptr += star ? 2 : (dot ? 1 : 0);
	value.len -= star ? 2 : (dot ? 1 : 0);
	if (value.len > 0 && value.ptr[value.len - 1] == '.')
		value.len--;
	if (value.len == 0 || value.len >= sizeof(name))
		return false;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.ptr[i];
		if (c <= ' ' || c == 0x7f)
			return false;
		ascii = ascii && c < 0x80;
		name[i] = (char)(c < 0x80 ? tolower(c) : c);
	}
	name[value.len] = 0;
	if ((star || dot) && !add(out, "*.", 2))
		return false;
	if (!ascii)
		return to_ascii(name, out);
	return value.len <= HOST_MAX && name_ok(name) && add(out, name, value.len);
}

/* ---- URLs ---- */

static bool put_host(struct out *out, struct yg_bytes host)
{
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
		struct out inner = {.len = 0};
		return !memchr(host.ptr, '/', host.len) &&
			put_address(&inner, (struct yg_bytes){host.ptr + 1, host.len - 2}) &&
			strchr(inner.text, ':') && add(out, "[", 1) &&
			add(out, inner.text, inner.len) && add(out, "]", 1);
	}
	struct out inner = {.len = 0};
	if (!put_address(&inner, host)) {
		inner.len = 0;
		if (!put_domain(&inner, host))
			return false;
	}
	return !strchr(inner.text, ':') && add(out, inner.text, inner.len);
}

static bool put_path(struct out *out, struct yg_bytes path)
{
	for (size_t i = 0; i < path.len; i++) {
		char coded[4];
		uint8_t c = path.ptr[i];
		if (c <= ' ' || c == 0x7f)
			return false;
		bool plain = c < 0x80;
		(void)snprintf(coded, sizeof(coded), "%%%02X", c);
		if (!add(out, plain ? (const char *)&path.ptr[i] : coded, plain ? 1 : 3))
			return false;
	}
	return true;
}

static const uint8_t *last_of(struct yg_bytes value, uint8_t c)
{
	for (size_t i = value.len; i > 0; i--) {
		if (value.ptr[i - 1] == c)
			return value.ptr + i - 1;
	}
	return NULL;
}

/* authority  "[user@]host[:port]" */
static bool put_authority(struct out *out, struct yg_bytes authority)
{
	const uint8_t *at = last_of(authority, '@');
	uint64_t number = 0;
	char text[8];
	if (at) {
		size_t len = (size_t)(at - authority.ptr) + 1;
		if (!put_path(out, (struct yg_bytes){authority.ptr, len}))
			return false;
		authority.ptr += len;
		authority.len -= len;
	}
	const uint8_t *colon = last_of(authority, ':');
	if (!colon || authority.ptr[authority.len - 1] == ']')
		return put_host(out, authority);
	size_t len = (size_t)(colon - authority.ptr);
	if (!feed_number((struct yg_bytes){colon + 1, authority.len - len - 1}, UINT16_MAX,
		    &number) ||
		number == 0)
		return false;
	return put_host(out, (struct yg_bytes){authority.ptr, len}) &&
		yg_str_put(text, sizeof(text), ":%u", (unsigned)number) &&
		add(out, text, strlen(text));
}

/* "192.0.2.0/33": somebody meant a network, not a page of a computer. */
static bool broken_network(struct yg_bytes value, size_t end)
{
	struct out out = {.len = 0};
	for (size_t i = end + 1; i < value.len; i++) {
		if (!isdigit(value.ptr[i]))
			return false;
	}
	return put_address(&out, (struct yg_bytes){value.ptr, end});
}

/* With a scheme, or without one when there is a path: "example.com/login". */
static bool put_url(struct out *out, struct yg_bytes value)
{
	const uint8_t *mark = memmem(value.ptr, value.len, "://", 3);
	size_t scheme = 0;
	if (mark) {
		scheme = (size_t)(mark - value.ptr);
		if (scheme == 0 || scheme > 16)
			return false;
		for (size_t i = 0; i < scheme; i++) {
			char c = (char)tolower(value.ptr[i]);
			if (!isalnum((uint8_t)c) && c != '+' && c != '-' && c != '.')
				return false;
			if (!add(out, &c, 1))
				return false;
		}
		if (!add(out, "://", 3))
			return false;
		value.ptr += scheme + 3;
		value.len -= scheme + 3;
	}
	size_t end = 0;
	while (end < value.len && !memchr("/?#", value.ptr[end], 3))
		end++;
	if ((!mark && (end == value.len || broken_network(value, end))) ||
		!put_authority(out, (struct yg_bytes){value.ptr, end}))
		return false;
	struct yg_bytes path = {value.ptr + end, value.len - end};
	if ((path.len == 0 || path.ptr[0] != '/') && !add(out, "/", 1))
		return false;
	return put_path(out, path);
}

/* ---- one entry ---- */

static unsigned put_entry(struct out *out, struct yg_bytes value)
{
	/* As ad blockers write a domain. */
	if (value.len > 3 && memcmp(value.ptr, "||", 2) == 0 && value.ptr[value.len - 1] == '^') {
		value.ptr += 2;
		value.len -= 3;
	}
	static bool (*const puts[])(struct out *, struct yg_bytes) = {put_address, put_domain,
		put_url};
	static const unsigned kinds[] = {ADDRESS, DOMAIN, URL};
	for (size_t i = 0; value.len > 0 && i < YG_COUNT(puts); i++) {
		out->len = 0;
		if (puts[i](out, value))
			return kinds[i];
	}
	return NONE;
}

/* ctx  the reader, or NULL */
static unsigned kind_of(void *ctx, struct yg_bytes value)
{
	const struct feed_reader *reader = ctx;
	struct out out;
	unsigned kind = put_entry(&out, value);
	return reader->addresses && kind != ADDRESS ? NONE : kind;
}

static int take_value(const struct feed_reader *reader, struct yg_bytes value, uint64_t line,
	struct yg_err *err)
{
	struct out out;
	unsigned kind = put_entry(&out, value);
	if (kind == NONE || (reader->addresses && kind != ADDRESS))
		return feed_fail(err, line, "want an address%s, have '%.*s'",
			reader->addresses ? " or a network" : ", a network, a domain or a URL",
			(int)(value.len < 100 ? value.len : 100), (const char *)value.ptr);
	struct yg_bytes text = {(uint8_t *)out.text, out.len};
	return reader->take(reader->ctx, &(struct feed_entry){text, text, line, "list"}, err);
}

/* ---- lines ---- */

/* Without what is said about it: "192.0.2.0/24 ; SBL1", "example.com # why". */
static struct yg_bytes without_remark(struct yg_bytes line)
{
	for (size_t i = 1; i < line.len; i++) {
		if ((line.ptr[i] == '#' || line.ptr[i] == ';') &&
			(line.ptr[i - 1] == ' ' || line.ptr[i - 1] == '\t'))
			line.len = i;
	}
	return feed_trim(line);
}

static bool word(struct yg_bytes *rest, struct yg_bytes *out)
{
	*rest = feed_trim(*rest);
	size_t n = 0;
	while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t')
		n++;
	*out = (struct yg_bytes){rest->ptr, n};
	rest->ptr += n;
	rest->len -= n;
	return n > 0;
}

/* What every hosts file says about the computer itself. */
static bool own_name(struct yg_bytes name)
{
	static const char *const names[] = {"localhost", "localhost.localdomain", "local",
		"broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix",
		"ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		if (feed_is(name, names[i]))
			return true;
	}
	return false;
}

static int read_line(const struct feed_reader *reader, struct yg_bytes line, uint64_t number,
	struct yg_err *err)
{
	struct yg_bytes rest = line, first, value;
	struct out out = {.len = 0};
	(void)word(&rest, &first);
	rest = feed_trim(rest);
	if (rest.len == 0)
		return take_value(reader, line, number, err);
	if (!put_address(&out, first) || memchr(first.ptr, '/', first.len))
		return take_value(reader, line, number, err); /* says what is wrong with it */
	while (word(&rest, &value)) {
		if (!own_name(value) && take_value(reader, value, number, err) < 0)
			return -1;
	}
	return 0;
}

static bool skipped(struct yg_bytes line)
{
	/* "[Adblock Plus 2.0]"; an address in brackets has a colon */
	return columns_remark(line) || line.ptr[0] == ';' ||
		(line.ptr[0] == '[' && !memchr(line.ptr, ':', line.len));
}

static int read_plain(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	while (feed_text_next(&lines, &line)) {
		if (feed_check_line(line, lines.line, err) < 0)
			return -1;
		line = feed_trim(line);
		if (skipped(line))
			continue;
		if (read_line(reader, without_remark(line), lines.line, err) < 0)
			return -1;
	}
	return 0;
}

static int read_table(const struct feed_reader *reader, const struct columns *columns,
	struct yg_bytes text, struct yg_err *err)
{
	struct yg_buf scratch YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX + 1);
	struct yg_bytes line, values[COLUMNS_MAX];
	struct feed_text lines = {text, 0};
	size_t count = 0;
	while (feed_text_next(&lines, &line)) {
		struct yg_err why = {0};
		if (feed_check_line(line, lines.line, err) < 0)
			return -1;
		if (columns_remark(line) || lines.line == columns->header_line)
			continue;
		if (feed_csv(line, columns->separator, values, COLUMNS_MAX, &count, &scratch,
			    &why) < 0)
			return feed_fail(err, lines.line, "%s", why.msg);
		if (count <= columns->at)
			return feed_fail(err, lines.line, "want %zu or more columns, have %zu",
				columns->at + 1, count);
		if (take_value(reader, values[columns->at], lines.line, err) < 0)
			return -1;
	}
	return 0;
}

/* A list is a table when more of its first lines have an entry in one column than are one as they are. */
static bool is_table(const struct feed_reader *reader, struct yg_bytes text,
	struct columns *columns)
{
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	unsigned plain = 0, rows = 0;
	if (!columns_find(text, kind_of, (void *)(uintptr_t)reader, columns))
		return false;
	while (rows < 200 && feed_text_next(&lines, &line)) {
		line = feed_trim(line);
		if (skipped(line))
			continue;
		rows++;
		struct yg_bytes value = without_remark(line), rest = value, first;
		struct out out;
		(void)word(&rest, &first);
		plain += put_entry(&out, value) != NONE ||
			(feed_trim(rest).len > 0 && put_entry(&out, first) == ADDRESS);
	}
	return columns->hits > plain;
}

static int read_list(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct columns columns;
	return is_table(reader, text, &columns) ? read_table(reader, &columns, text, err)
						: read_plain(reader, text, err);
}

const struct feed_format feed_list = {"list", FEED_SORTED, "list", read_list};
