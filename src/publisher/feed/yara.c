/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* YARA rules: found by their braces, past comments, strings and regular expressions. What a rule means is
 * for the engine to say. source  YARA's manual, "Writing YARA rules"; in it a '/' begins a comment or a
 * regular expression, never a division
 */
#include "publisher/feed/feed.h"

#include <ctype.h>
#include <string.h>

struct scan {
	const uint8_t *at, *end;
	uint64_t line;
};

static bool word_byte(uint8_t c)
{
	return isalnum(c) || c == '_';
}

/* To the end of what was begun with `open` ('"' or '/') and may have escapes. */
static int skip_quoted(struct scan *scan, uint8_t open, const char *what, struct yg_err *err)
{
	uint64_t begin = scan->line;
	for (scan->at++; scan->at < scan->end && *scan->at != '\n'; scan->at++) {
		if (*scan->at == '\\' && scan->at + 1 < scan->end && scan->at[1] != '\n') {
			scan->at++;
		} else if (*scan->at == open) {
			scan->at++;
			return 0;
		}
	}
	return feed_fail(err, begin, "want an end of this %s, have none", what);
}

static int skip_comment(struct scan *scan, struct yg_err *err)
{
	uint64_t begin = scan->line;
	if (scan->at[1] == '/') {
		while (scan->at < scan->end && *scan->at != '\n')
			scan->at++;
		return 0;
	}
	for (scan->at += 2; scan->at < scan->end; scan->at++) {
		scan->line += *scan->at == '\n';
		if (*scan->at == '*' && scan->at + 1 < scan->end && scan->at[1] == '/') {
			scan->at += 2;
			return 0;
		}
	}
	return feed_fail(err, begin, "want an end of this comment, have none");
}

/* The next word or sign; comments, strings and regular expressions are passed over ('"' stands for one).
 * returns 1, 0 at the end, -1
 */
static int next(struct scan *scan, struct yg_bytes *token, struct yg_err *err)
{
	while (scan->at < scan->end) {
		uint8_t c = *scan->at;
		bool more = scan->at + 1 < scan->end;
		if (c == '/' && more && (scan->at[1] == '/' || scan->at[1] == '*')) {
			if (skip_comment(scan, err) < 0)
				return -1;
		} else if (c == '"' || c == '/') {
			*token = (struct yg_bytes){(const uint8_t *)"\"", 1};
			return skip_quoted(scan, c, c == '"' ? "string" : "regular expression",
				       err) < 0
				? -1
				: 1;
		} else if (isspace(c)) {
			scan->line += c == '\n';
			scan->at++;
		} else {
			const uint8_t *begin = scan->at++;
			while (word_byte(c) && scan->at < scan->end && word_byte(*scan->at))
				scan->at++;
			*token = (struct yg_bytes){begin, (size_t)(scan->at - begin)};
			return 1;
		}
	}
	return 0;
}

/* From behind its name to behind its last brace. */
static int skip_rule(struct scan *scan, struct yg_bytes name, uint64_t line, struct yg_err *err)
{
	struct yg_bytes token;
	unsigned depth = 0;
	for (int more; (more = next(scan, &token, err)) != 0;) {
		if (more < 0)
			return -1;
		if (feed_is(token, "{"))
			depth++;
		if (feed_is(token, "}") && depth > 0 && --depth == 0)
			return 0;
		if (depth == 0 && feed_is(token, "rule"))
			break;
	}
	return feed_fail(err, line, "rule '%.*s': want '{' and '}' around it, have no end of it",
		(int)(name.len < 100 ? name.len : 100), (const char *)name.ptr);
}

static int take_rule(const struct feed_reader *reader, struct scan *scan, const uint8_t *begin,
	uint64_t line, struct feed_seen *names, struct yg_err *err)
{
	struct yg_bytes name;
	size_t old = 0;
	int more = next(scan, &name, err);
	if (more < 0)
		return -1;
	if (more == 0 || !word_byte(name.ptr[0]) || isdigit(name.ptr[0]) || name.len > 128)
		return feed_fail(err, line, "want a name of a rule, have none");
	if (skip_rule(scan, name, line, err) < 0)
		return -1;
	int twice = feed_seen_add(names, name, &old, err);
	if (twice < 0)
		return -1;
	if (twice && reader->strict)
		return feed_fail(err, line, "rule '%.*s' is there twice", (int)name.len,
			(const char *)name.ptr);
	return reader->take(reader->ctx,
		&(struct feed_entry){name, {begin, (size_t)(scan->at - begin)}, line, NULL}, err);
}

static int read_rules(const struct feed_reader *reader, struct yg_bytes text,
	struct feed_seen *names, struct yg_err *err)
{
	struct scan scan = {text.ptr, text.ptr + text.len, 1};
	struct yg_bytes token;
	const uint8_t *begin = NULL; /* of "private global rule …" */
	uint64_t line = 0;
	if (reader->strict && text.len > 0 && memchr(text.ptr, 0, text.len))
		return yg_fail(err, YG_EFORMAT, "want text, have a NUL byte");
	for (int more; (more = next(&scan, &token, err)) != 0;) {
		if (more < 0)
			return -1;
		bool rule = feed_is(token, "rule");
		if (!begin && (rule || feed_is(token, "private") || feed_is(token, "global"))) {
			begin = token.ptr;
			line = scan.line;
		}
		if (rule) {
			if (take_rule(reader, &scan, begin, line, names, err) < 0)
				return -1;
			begin = NULL;
		} else if (feed_is(token, "include") && reader->strict) {
			return feed_fail(err, scan.line,
				"include: want the rules themselves, have a reference to another file");
		} else if (!begin && (feed_is(token, "{") || feed_is(token, "}"))) {
			return feed_fail(err, scan.line, "want 'rule NAME' before '%c', have none",
				token.ptr[0]);
		}
	}
	return 0;
}

static int take_nothing(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	(void)ctx;
	(void)entry;
	(void)err;
	return 0;
}

static int read_yara(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct feed_seen names YG_AUTO(feed_seen) = {0}, again YG_AUTO(feed_seen) = {0};
	const struct feed_reader try = {.name = reader->name, .take = take_nothing};
	struct yg_err why = {0};
	if (!reader->strict && read_rules(&try, text, &names, &why) < 0) {
		if (why.code == YG_EFORMAT)
			return feed_lines.read(reader, text, err);
		*err = why;
		return -1;
	}
	return read_rules(reader, text, &again, err);
}

const struct feed_format feed_yara = {"yara", FEED_TEXT, NULL, read_yara};
