/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* OSSEC's rules and decoders: XML, several elements side by side in a file. Well-formed, rule ids once, levels
 * 0..16. They are read inside of an element of ours, where no document type may stand: nobody can define
 * entities, with which a reader is made to run out of memory. source  OSSEC's manual, "Rules syntax"
 */
#include "publisher/feed/feed.h"

#include <expat.h>
#include <string.h>

#include "core/str.h"

#define DEPTH_MAX 32
#define LEVEL_MAX 16
#define ROOT      "<yagura>" /* around it all, on the first line: XML knows one root only */

struct parse {
	const struct feed_reader *reader;
	struct yg_bytes text;
	XML_Parser parser;
	struct yg_err *err;
	unsigned depth;
	bool bad;
	char key[96];      /* of the rule or decoder that is open; empty: none */
	unsigned at_depth; /* of it */
	size_t begin;      /* in text */
	uint64_t line;
};

static void parser_free_at(const XML_Parser *at)
{
	if (*at)
		XML_ParserFree(*at);
}

/* Expat 2.9 has positions of 64 bits, and asks not to use the others any more. */
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
#	define CURRENT_LINE  XML_GetCurrentLineNumber64
#	define CURRENT_INDEX XML_GetCurrentByteIndex64
#	define CURRENT_COUNT XML_GetCurrentByteCount64
#else
#	define CURRENT_LINE  XML_GetCurrentLineNumber
#	define CURRENT_INDEX XML_GetCurrentByteIndex
#	define CURRENT_COUNT XML_GetCurrentByteCount
#endif

static uint64_t line_of(const struct parse *parse)
{
	return (uint64_t)CURRENT_LINE(parse->parser);
}

static void stop(struct parse *parse)
{
	parse->bad = true;
	(void)XML_StopParser(parse->parser, XML_FALSE);
}

static const char *attribute(const XML_Char **attributes, const char *name)
{
	for (size_t i = 0; attributes[i]; i += 2) {
		if (strcmp(attributes[i], name) == 0)
			return attributes[i + 1];
	}
	return NULL;
}

static int check_rule(const struct parse *parse, const XML_Char **attributes, struct yg_err *err)
{
	const char *id = attribute(attributes, "id"), *level = attribute(attributes, "level");
	uint64_t number = 0;
	if (!id || !feed_number(yg_bytes_of(id), 999999999, &number))
		return feed_fail(err, line_of(parse), "rule: id: want a number, have '%.30s'",
			id ? id : "");
	if (!level || !feed_number(yg_bytes_of(level), LEVEL_MAX, &number))
		return feed_fail(err, line_of(parse), "rule %s: level: want 0..%d, have '%.30s'",
			id, LEVEL_MAX, level ? level : "");
	return 0;
}

/* A rule or a decoder begins: note what it is called, and where. */
static int begin(struct parse *parse, const char *element, const XML_Char **attributes,
	struct yg_err *err)
{
	bool rule = strcmp(element, "rule") == 0;
	const char *name = attribute(attributes, rule ? "id" : "name");
	if (rule && parse->reader->strict && check_rule(parse, attributes, err) < 0)
		return -1;
	if (!rule && !name && parse->reader->strict)
		return feed_fail(err, line_of(parse), "decoder: name: want one, have none");
	/* A rule that overwrites another is one of its own. */
	bool over = rule && attribute(attributes, "overwrite");
	if (!yg_str_put(parse->key, sizeof(parse->key), "%s %.64s%s", element, name ? name : "?",
		    over ? " (overwrites)" : ""))
		return feed_fail(err, line_of(parse), "name too long");
	parse->at_depth = parse->depth;
	parse->begin = (size_t)CURRENT_INDEX(parse->parser) - strlen(ROOT);
	parse->line = line_of(parse);
	return 0;
}

static void XMLCALL on_start(void *ctx, const XML_Char *element, const XML_Char **attributes)
{
	struct parse *parse = ctx;
	if (parse->bad)
		return;
	bool ours = strcmp(element, "rule") == 0 || strcmp(element, "decoder") == 0;
	if (++parse->depth > DEPTH_MAX) {
		(void)feed_fail(parse->err, line_of(parse), "want <= %d levels, have more",
			DEPTH_MAX);
		stop(parse);
	} else if (ours && parse->key[0] == 0 &&
		begin(parse, element, attributes, parse->err) < 0) {
		stop(parse);
	}
}

static void XMLCALL on_end(void *ctx, const XML_Char *element)
{
	struct parse *parse = ctx;
	(void)element;
	if (parse->bad)
		return;
	if (parse->key[0] && parse->depth == parse->at_depth) {
		size_t end = (size_t)CURRENT_INDEX(parse->parser) +
			(size_t)CURRENT_COUNT(parse->parser) - strlen(ROOT);
		const struct feed_entry entry = {yg_bytes_of(parse->key),
			{parse->text.ptr + parse->begin, end - parse->begin}, parse->line, NULL};
		if (parse->reader->take(parse->reader->ctx, &entry, parse->err) < 0)
			stop(parse);
		parse->key[0] = 0;
	}
	parse->depth--;
}

static int parse_text(struct parse *parse, struct yg_bytes text, bool last)
{
	do {
		int len = text.len > (1 << 20) ? 1 << 20 : (int)text.len;
		bool end = last && (size_t)len == text.len;
		if (XML_Parse(parse->parser, (const char *)text.ptr, len, end) != XML_STATUS_OK) {
			if (!parse->bad)
				(void)feed_fail(parse->err, line_of(parse), "%s",
					XML_ErrorString(XML_GetErrorCode(parse->parser)));
			return -1;
		}
		text.ptr += len;
		text.len -= (size_t)len;
	} while (text.len > 0);
	return 0;
}

/* "<?xml …?>" may stand at the very beginning only, where the root is now. */
static size_t declaration(struct yg_bytes text)
{
	size_t at = text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	if (text.len - at < 5 || memcmp(text.ptr + at, "<?xml", 5) != 0)
		return at;
	for (; at + 1 < text.len; at++) {
		if (text.ptr[at] == '?' && text.ptr[at + 1] == '>')
			return at + 2;
	}
	return 0;
}

static int parse_all(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	size_t skip = declaration(text);
	XML_Parser parser YG_AUTO(parser) = XML_ParserCreate("UTF-8");
	struct parse parse = {.reader = reader, .parser = parser, .err = err};
	if (!parser)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (skip > 0 && memchr(text.ptr, '\n', skip))
		return feed_fail(err, 1, "want <?xml …?> on one line");
	parse.text = (struct yg_bytes){text.ptr + skip, text.len - skip};
	XML_SetUserData(parser, &parse);
	XML_SetElementHandler(parser, on_start, on_end);
	parse.depth = 0;
	if (parse_text(&parse, yg_bytes_of(ROOT), false) < 0 ||
		(parse.text.len > 0 && parse_text(&parse, parse.text, false) < 0))
		return -1;
	return parse_text(&parse, yg_bytes_of("</yagura>"), true);
}

static int take_nothing(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	(void)ctx;
	(void)entry;
	(void)err;
	return 0;
}

static int read_ossec(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	const struct feed_reader try = {.name = reader->name, .take = take_nothing};
	struct yg_err why = {0};
	if (!reader->strict && parse_all(&try, text, &why) < 0) {
		if (why.code == YG_EFORMAT)
			return feed_lines.read(reader, text, err);
		*err = why;
		return -1;
	}
	return parse_all(reader, text, err);
}

const struct feed_format feed_ossec = {"ossec", FEED_TEXT, NULL, read_ossec};
