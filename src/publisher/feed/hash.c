/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Lists of hashes, plain ("hash", "hash  file" as sha256sum writes it) or as a table: they become ClamAV's
 * hash signatures. A size is taken from the table where it has one; without it the signature has '*', and
 * the functionality level that libclamav wants then.
 */
#include "publisher/feed/feed.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "publisher/feed/columns.h"

#define NAME_MAX_BYTES 100
#define BASE_MAX       40
#define ANY_SIZE_LEVEL 73 /* source  libclamav, cli_loadhash */

enum { MD5 = 1, SHA1, SHA256 };

static const char *const name_words[] = {"signature", "malware", "malware_name", "family",
	"malware_family", "threat", "threat_name", "virus", "virus_name", "detection", "name"};
static const char *const size_words[] = {"size", "file_size", "filesize", "length"};

struct table {
	struct columns columns;
	bool has_name, has_size;
	size_t name, size;
};

static unsigned kind_of(void *ctx, struct yg_bytes value)
{
	(void)ctx;
	if (!feed_all_hex(value))
		return 0;
	return value.len == 64 ? SHA256 : (value.len == 40 ? SHA1 : (value.len == 32 ? MD5 : 0));
}

/* ClamAV's names are words: what would end one, or stand between fields, is not in them. */
static size_t put_word(char *out, size_t max, struct yg_bytes text)
{
	size_t n = 0;
	for (; n < text.len && n < max; n++) {
		uint8_t c = text.ptr[n];
		out[n] = isalnum(c) || c == '.' || c == '-' || c == '/' ? (char)c : '_';
	}
	return n;
}

static bool says_nothing(struct yg_bytes name)
{
	static const char *const words[] = {"n/a", "N/A", "null", "NULL", "None", "none", "unknown",
		"Unknown", "-", "?"};
	for (size_t i = 0; i < YG_COUNT(words); i++) {
		if (feed_is(name, words[i]))
			return true;
	}
	return name.len == 0;
}

static size_t put_name(const struct feed_reader *reader, struct yg_bytes hash,
	struct yg_bytes given, char *out)
{
	if (!says_nothing(given))
		return put_word(out, NAME_MAX_BYTES, given);
	const char *dot = strchr(reader->name, '.');
	size_t len = dot && dot != reader->name ? (size_t)(dot - reader->name)
						: strlen(reader->name);
	size_t n = put_word(out, BASE_MAX, (struct yg_bytes){(const uint8_t *)reader->name, len});
	out[n++] = '.';
	for (size_t i = 0; i < 12; i++)
		out[n++] = (char)tolower(hash.ptr[i]);
	return n;
}

static int take_hash(const struct feed_reader *reader, struct yg_bytes hash, struct yg_bytes name,
	uint64_t size, uint64_t line, struct yg_err *err)
{
	char text[64 + NAME_MAX_BYTES + 64], word[NAME_MAX_BYTES + 1], digits[65];
	for (size_t i = 0; i < hash.len; i++)
		digits[i] = (char)tolower(hash.ptr[i]);
	size_t len = put_name(reader, hash, name, word);
	int n = size > 0 ? snprintf(text, sizeof(text), "%.*s:%llu:%.*s", (int)hash.len, digits,
				   (unsigned long long)size, (int)len, word)
			 : snprintf(text, sizeof(text), "%.*s:*:%.*s:%d", (int)hash.len, digits,
				   (int)len, word, ANY_SIZE_LEVEL);
	if (n < 0 || (size_t)n >= sizeof(text))
		return feed_fail(err, line, "too long");
	const struct feed_entry entry = {{(uint8_t *)word, len}, {(uint8_t *)text, (size_t)n}, line,
		hash.len == 32 ? "hdb" : "hsb"};
	return reader->take(reader->ctx, &entry, err);
}

static int no_hash(struct yg_bytes have, uint64_t line, struct yg_err *err)
{
	return feed_fail(err, line, "want an MD5, SHA-1 or SHA-256, have '%.*s'",
		(int)(have.len < 70 ? have.len : 70), (const char *)have.ptr);
}

/* ---- one a line ---- */

static int read_plain(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	while (feed_text_next(&lines, &line)) {
		if (feed_check_line(line, lines.line, err) < 0)
			return -1;
		line = feed_trim(line);
		if (columns_remark(line))
			continue;
		size_t len = 0;
		while (len < line.len && line.ptr[len] != ' ' && line.ptr[len] != '\t')
			len++;
		struct yg_bytes hash = {line.ptr, len};
		if (kind_of(NULL, hash) == 0)
			return no_hash(line, lines.line, err);
		/* What stands behind it is the name of somebody's file, not of malware. */
		if (take_hash(reader, hash, (struct yg_bytes){NULL, 0}, 0, lines.line, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- tables ---- */

static int take_row(const struct feed_reader *reader, const struct table *table,
	const struct yg_bytes *values, size_t count, uint64_t line, struct yg_err *err)
{
	struct yg_bytes hash = {NULL, 0}, name = {NULL, 0};
	uint64_t size = 0;
	if (table->columns.at < count)
		hash = values[table->columns.at];
	/* Where the best hash is missing, another of the row does. */
	for (size_t i = 0; hash.len == 0 && i < count; i++) {
		if (kind_of(NULL, values[i]) > 0)
			hash = values[i];
	}
	if (kind_of(NULL, hash) == 0)
		return no_hash(hash, line, err);
	if (table->has_name && table->name < count)
		name = values[table->name];
	if (table->has_size && table->size < count &&
		!feed_number(values[table->size], INT64_MAX, &size))
		size = 0;
	return take_hash(reader, hash, name, size, line, err);
}

static int read_table(const struct feed_reader *reader, const struct table *table,
	struct yg_bytes text, struct yg_err *err)
{
	struct yg_buf scratch YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX + 1);
	struct yg_bytes line, values[COLUMNS_MAX];
	struct feed_text lines = {text, 0};
	size_t count = 0;
	while (feed_text_next(&lines, &line)) {
		if (feed_check_line(line, lines.line, err) < 0)
			return -1;
		if (columns_remark(line) || lines.line == table->columns.header_line)
			continue;
		struct yg_err why = {0};
		if (feed_csv(line, table->columns.separator, values, COLUMNS_MAX, &count, &scratch,
			    &why) < 0)
			return feed_fail(err, lines.line, "%s", why.msg);
		if (take_row(reader, table, values, count, lines.line, err) < 0)
			return -1;
	}
	return 0;
}

static int read_hash(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct table table = {0};
	if (!columns_find(text, kind_of, NULL, &table.columns))
		return read_plain(reader, text, err);
	table.has_name = columns_named(&table.columns, name_words, YG_COUNT(name_words),
		&table.name);
	table.has_size = columns_named(&table.columns, size_words, YG_COUNT(size_words),
		&table.size);
	return read_table(reader, &table, text, err);
}

const struct feed_format feed_hash = {"hash", FEED_SORTED, NULL, read_hash};
