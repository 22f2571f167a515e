/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/feed/columns.h"

#include <string.h>

#define SAMPLE 200 /* rows */

static const char separators[] = {',', ';', '\t', '|'};

bool columns_remark(struct yg_bytes line)
{
	return line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '!' ||
		(line.len >= 2 && memcmp(line.ptr, "//", 2) == 0);
}

/* How often each column has each kind of value. Returns the rows looked at. */
static unsigned count_kinds(struct yg_bytes text, char separator,
	unsigned (*kind)(void *ctx, struct yg_bytes value), void *ctx,
	unsigned hits[COLUMNS_MAX][COLUMNS_KINDS])
{
	struct yg_buf scratch YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX + 1);
	struct yg_bytes line, values[COLUMNS_MAX];
	struct feed_text lines = {text, 0};
	size_t count = 0;
	unsigned rows = 0;
	while (rows < SAMPLE && feed_text_next(&lines, &line)) {
		struct yg_err why = {0};
		if (columns_remark(line))
			continue;
		rows++;
		if (feed_csv(line, separator, values, COLUMNS_MAX, &count, &scratch, &why) < 0)
			continue; /* not with this separator, or broken: who reads it all says so */
		for (size_t i = 0; count > 1 && i < count; i++)
			hits[i][kind(ctx, values[i])]++;
	}
	return rows;
}

/* A row more than have it may be the header. */
static void best_of(char separator, unsigned rows, unsigned hits[COLUMNS_MAX][COLUMNS_KINDS],
	struct columns *out)
{
	for (unsigned kind = COLUMNS_KINDS - 1; kind > 0; kind--) {
		for (size_t i = 0; i < COLUMNS_MAX; i++) {
			if (2 * hits[i][kind] + 1 < rows || hits[i][kind] == 0 ||
				kind < out->kind ||
				(kind == out->kind && hits[i][kind] <= out->hits))
				continue;
			*out = (struct columns){.separator = separator,
				.at = i,
				.kind = kind,
				.hits = hits[i][kind]};
		}
	}
}

/* The header is the first row, when it does not have such a value, or the last remark before it. */
static void find_header(struct yg_bytes text, unsigned (*kind)(void *ctx, struct yg_bytes value),
	void *ctx, struct columns *out)
{
	struct yg_buf scratch YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX + 1);
	struct yg_bytes line, remark = {NULL, 0}, values[COLUMNS_MAX];
	struct feed_text lines = {text, 0};
	struct yg_err why = {0};
	size_t count = 0;
	while (feed_text_next(&lines, &line)) {
		if (line.len > 0 && line.ptr[0] == '#') {
			struct yg_bytes inner = feed_trim(
				(struct yg_bytes){line.ptr + 1, line.len - 1});
			if (feed_fields(inner, out->separator) > 1)
				remark = inner;
		}
		if (columns_remark(line))
			continue;
		bool good = feed_csv(line, out->separator, values, COLUMNS_MAX, &count, &scratch,
				    &why) == 0 &&
			count > out->at && kind(ctx, values[out->at]) > 0;
		out->header = good ? remark : line;
		out->header_line = good ? 0 : lines.line;
		return;
	}
}

bool columns_find(struct yg_bytes text, unsigned (*kind)(void *ctx, struct yg_bytes value),
	void *ctx, struct columns *out)
{
	*out = (struct columns){0};
	for (size_t i = 0; i < YG_COUNT(separators); i++) {
		unsigned hits[COLUMNS_MAX][COLUMNS_KINDS] = {0};
		unsigned rows = count_kinds(text, separators[i], kind, ctx, hits);
		best_of(separators[i], rows, hits, out);
	}
	if (out->kind == 0)
		return false;
	find_header(text, kind, ctx, out);
	return true;
}

bool columns_named(const struct columns *columns, const char *const *words, size_t count,
	size_t *out)
{
	struct yg_buf scratch YG_AUTO(yg_buf) = YG_BUF(FEED_LINE_MAX + 1);
	struct yg_bytes values[COLUMNS_MAX];
	struct yg_err why = {0};
	size_t have = 0;
	if (feed_csv(columns->header, columns->separator, values, COLUMNS_MAX, &have, &scratch,
		    &why) < 0)
		return false;
	for (size_t w = 0; w < count; w++) {
		for (size_t i = 0; i < have; i++) {
			if (values[i].len != strlen(words[w]) ||
				strncasecmp((const char *)values[i].ptr, words[w], values[i].len) !=
					0)
				continue;
			*out = i;
			return true;
		}
	}
	return false;
}
