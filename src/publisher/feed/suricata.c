/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Suricata rules: "action proto address port direction address port (option; option: value; …)", a rule a
 * line, or more with a backslash at the end. The header's form and the options sid and rev are checked here;
 * what keywords mean is for Suricata to say, where it is installed (import_check.c).
 * source  Suricata's manual, "Rules Format"
 */
#include "publisher/feed/feed.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/str.h"

#define HEADER_PARTS 7
#define MSG_MAX      120 /* bytes of a rule's message in its name */

struct rule {
	struct yg_bytes text;
	uint64_t line;
	uint64_t sid, gid;
	bool has_sid, has_rev;
	struct yg_bytes msg;
};

static bool one_of(struct yg_bytes word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (feed_is(word, words[i]))
			return true;
	}
	return false;
}

/* The next part of the header; white space in [] does not end one. False: none, or a '[' without end. */
static bool part(struct yg_bytes *rest, struct yg_bytes *out)
{
	size_t n = 0, depth = 0;
	*rest = feed_trim(*rest);
	for (; n < rest->len; n++) {
		uint8_t c = rest->ptr[n];
		depth += c == '[';
		if (c == ']' && depth-- == 0)
			return false;
		if (depth == 0 && (c == ' ' || c == '\t'))
			break;
	}
	*out = (struct yg_bytes){rest->ptr, n};
	rest->ptr += n;
	rest->len -= n;
	return n > 0 && depth == 0;
}

static int check_header(struct yg_bytes header, uint64_t line, struct yg_err *err)
{
	static const char *const actions[] = {"alert", "config", "drop", "pass", "reject",
		"rejectboth", "rejectdst", "rejectsrc"};
	static const char *const directions[] = {"->", "<>", "=>"};
	struct yg_bytes parts[HEADER_PARTS], rest = header;
	size_t have = 0;
	while (have < HEADER_PARTS && part(&rest, &parts[have]))
		have++;
	rest = feed_trim(rest);
	if (have < 1 || !one_of(parts[0], actions, YG_COUNT(actions)))
		return feed_fail(err, line,
			"want an action (alert, drop, pass, reject, …), have '%.*s'",
			have < 1 ? 0 : (int)(parts[0].len < 30 ? parts[0].len : 30),
			(const char *)header.ptr);
	for (size_t i = 0; have > 1 && i < parts[1].len; i++) {
		if (!isalnum(parts[1].ptr[i]) && parts[1].ptr[i] != '-' && parts[1].ptr[i] != '_')
			return feed_fail(err, line, "want a protocol, have '%.*s'",
				(int)(parts[1].len < 30 ? parts[1].len : 30),
				(const char *)parts[1].ptr);
	}
	if (have < HEADER_PARTS || rest.len > 0)
		return feed_fail(err, line,
			"want action, protocol, address, port, direction, address, port before '(', have %zu%s",
			have, rest.len > 0 ? " and more" : "");
	if (!one_of(parts[4], directions, YG_COUNT(directions)))
		return feed_fail(err, line, "want '->' or '<>', have '%.*s'",
			(int)(parts[4].len < 30 ? parts[4].len : 30), (const char *)parts[4].ptr);
	return 0;
}

static int take_option(struct rule *rule, struct yg_bytes option, uint64_t line, struct yg_err *err)
{
	const uint8_t *colon = option.len ? memchr(option.ptr, ':', option.len) : NULL;
	size_t len = colon ? (size_t)(colon - option.ptr) : option.len;
	struct yg_bytes name = feed_trim((struct yg_bytes){option.ptr, len}), value = {NULL, 0};
	uint64_t number = 0;
	if (colon)
		value = feed_trim((struct yg_bytes){colon + 1, option.len - len - 1});
	bool sid = feed_is(name, "sid"), rev = feed_is(name, "rev"), gid = feed_is(name, "gid");
	if ((sid || rev || gid) &&
		(!feed_number(value, UINT32_MAX, &number) || (sid && number == 0)))
		return feed_fail(err, line, "%s: want a number, have '%.*s'",
			sid ? "sid" : (rev ? "rev" : "gid"), (int)(value.len < 30 ? value.len : 30),
			(const char *)value.ptr);
	if ((sid && rule->has_sid) || (rev && rule->has_rev))
		return feed_fail(err, line, "%s: want it once, have it twice", sid ? "sid" : "rev");
	if (sid)
		rule->sid = number;
	if (gid)
		rule->gid = number;
	rule->has_sid = rule->has_sid || sid;
	rule->has_rev = rule->has_rev || rev;
	if (feed_is(name, "msg"))
		rule->msg = value;
	return 0;
}

/* options  what is between '(' and ')' */
static int check_options(struct rule *rule, struct yg_bytes options, uint64_t line,
	struct yg_err *err)
{
	size_t begin = 0;
	bool quotes = false;
	for (size_t i = 0; i < options.len; i++) {
		uint8_t c = options.ptr[i];
		if (c == '\\' && i + 1 < options.len) {
			i++;
		} else if (c == '"') {
			quotes = !quotes;
		} else if (c == ';' && !quotes) {
			if (take_option(rule, (struct yg_bytes){options.ptr + begin, i - begin},
				    line, err) < 0)
				return -1;
			begin = i + 1;
		}
	}
	if (quotes)
		return feed_fail(err, line, "want a quote at the end of a value, have none");
	if (feed_trim((struct yg_bytes){options.ptr + begin, options.len - begin}).len > 0)
		return feed_fail(err, line, "want ';' behind the last option, have none");
	if (!rule->has_sid || !rule->has_rev)
		return feed_fail(err, line, "want the option %s, have none",
			rule->has_sid ? "rev" : "sid");
	return 0;
}

static int check(struct rule *rule, struct yg_err *err)
{
	const uint8_t *open = memchr(rule->text.ptr, '(', rule->text.len);
	if (feed_check_line(rule->text, rule->line, err) < 0)
		return -1;
	if (!open || rule->text.ptr[rule->text.len - 1] != ')')
		return feed_fail(err, rule->line, "want options in '(' and ')', have none");
	size_t at = (size_t)(open - rule->text.ptr);
	if (check_header((struct yg_bytes){rule->text.ptr, at}, rule->line, err) < 0)
		return -1;
	return check_options(rule, (struct yg_bytes){open + 1, rule->text.len - at - 2}, rule->line,
		err);
}

static int take(const struct feed_reader *reader, struct rule *rule, struct yg_err *err)
{
	char key[MSG_MAX + 64];
	struct yg_err why = {0};
	struct feed_entry entry = {rule->text, rule->text, rule->line, NULL};
	if (check(rule, &why) == 0) {
		struct yg_bytes msg = rule->msg;
		if (msg.len >= 2 && msg.ptr[0] == '"') {
			msg.ptr++;
			msg.len -= 2;
		}
		int n = rule->gid
			? snprintf(key, sizeof(key), "sid %llu:%llu", (unsigned long long)rule->gid,
				  (unsigned long long)rule->sid)
			: snprintf(key, sizeof(key), "sid %llu", (unsigned long long)rule->sid);
		if (n > 0)
			entry.key = (struct yg_bytes){(uint8_t *)key, (size_t)n};
	} else if (reader->strict) {
		*err = why;
		return -1;
	}
	return reader->take(reader->ctx, &entry, err);
}

static int flush(const struct feed_reader *reader, struct rule *rule, struct yg_err *err)
{
	int bad = rule->text.len > 0 ? take(reader, rule, err) : 0;
	*rule = (struct rule){0};
	return bad;
}

static int read_suricata(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct yg_buf joined YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX);
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	struct rule rule = {0};
	bool open = false; /* the line before ended with a backslash */
	while (feed_text_next(&lines, &line)) {
		struct yg_bytes at = feed_trim(line);
		if (!open && (at.len == 0 || at.ptr[0] == '#'))
			continue; /* remarks, and rules that their maker switched off */
		bool more = at.len > 0 && at.ptr[at.len - 1] == '\\';
		at.len -= more ? 1 : 0;
		if (!open) {
			rule.line = lines.line;
			joined.len = 0;
		}
		if ((open || more) && yg_buf_add(&joined, at.ptr, at.len, err) < 0)
			return yg_wrap(err, "line %llu", (unsigned long long)rule.line);
		rule.text = open || more ? feed_trim(yg_buf_bytes(&joined)) : at;
		open = more;
		if (!open && flush(reader, &rule, err) < 0)
			return -1;
	}
	return open ? flush(reader, &rule, err) : 0;
}

const struct feed_format feed_suricata = {"suricata", FEED_LINES, NULL, read_suricata};
