/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/json.h"

struct text_table {
	size_t columns;
	size_t count; /* of cells */
	char **cells; /* owned */
};

struct range {
	uint32_t first, last;
};

/* source  Unicode 15, EastAsianWidth.txt: W and F, joined to whole blocks */
static const struct range wide[] = {
	{0x1100, 0x115f},
	{0x2e80, 0x303e},
	{0x3041, 0x33ff},
	{0x3400, 0x4dbf},
	{0x4e00, 0xa4cf},
	{0xa960, 0xa97f},
	{0xac00, 0xd7a3},
	{0xf900, 0xfaff},
	{0xfe30, 0xfe6f},
	{0xff01, 0xff60},
	{0xffe0, 0xffe6},
	{0x1f300, 0x1f64f},
	{0x1f680, 0x1f6ff},
	{0x1f900, 0x1f9ff},
	{0x20000, 0x3fffd},
};

static const struct range narrow[] = {
	{0x300, 0x36f},
	{0x200b, 0x200f},
	{0x3099, 0x309a},
	{0xfe00, 0xfe0f},
};

static bool among(uint32_t point, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return false;
}

/* One code point; a broken byte counts as itself. */
static uint32_t next(const char **text)
{
	const unsigned char *at = (const unsigned char *)*text;
	size_t more = at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : at[0] >= 0xc0 ? 1 : 0;
	uint32_t point = more ? at[0] & (0x3fu >> more) : at[0];
	size_t used = 1;
	for (; used <= more && (at[used] & 0xc0) == 0x80; used++)
		point = point << 6 | (at[used] & 0x3fu);
	*text += used;
	return point;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	while (*text) {
		uint32_t point = next(&text);
		/* Combining marks first: some lie inside of wide blocks. */
		if (!among(point, narrow, YG_COUNT(narrow)))
			width += among(point, wide, YG_COUNT(wide)) ? 2 : 1;
	}
	return width;
}

/* Out of memory in a program that runs for seconds: there is nothing better to do than to end. */
static void *whole(void *pointer)
{
	if (!pointer)
		abort();
	return pointer;
}

struct text_table *text_table_new(size_t columns)
{
	struct text_table *table = whole(calloc(1, sizeof(*table)));
	table->columns = columns < TEXT_COLUMNS_MAX ? columns : TEXT_COLUMNS_MAX;
	return table;
}

void text_table_free(struct text_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

/* C1 controls are two bytes in UTF-8: c2 80 .. c2 9f. */
static void clean(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < ' ' || *at == 0x7f)
			*at = '?';
		if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
			at[0] = at[1] = '?';
	}
}

void text_put(const char *text, FILE *out)
{
	char *copy YG_AUTO(mem) = whole(strdup(text));
	clean(copy);
	(void)fputs(copy, out);
}

static void take(struct text_table *table, char *cell)
{
	clean(cell);
	if (table->count % 64 == 0)
		table->cells = whole(
			realloc(table->cells, (table->count + 64) * sizeof(*table->cells)));
	table->cells[table->count++] = cell;
}

void text_table_add(struct text_table *table, const char *cell)
{
	take(table, whole(strdup(cell && *cell ? cell : "-")));
}

void text_table_addf(struct text_table *table, const char *fmt, ...)
{
	char *cell = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&cell, fmt, ap) < 0)
		abort();
	va_end(ap);
	take(table, cell);
}

void text_table_print(const struct text_table *table, FILE *out)
{
	size_t widths[TEXT_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < table->count; i++) {
		size_t width = text_width(table->cells[i]);
		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		bool last = column + 1 == table->columns || i + 1 == table->count;
		(void)fputs(table->cells[i], out);
		size_t pad = widths[column] + 2 - text_width(table->cells[i]);
		(void)fprintf(out, "%*s", last ? 0 : (int)pad, "");
		if (last)
			(void)fputc('\n', out);
	}
}

/* The first `width` columns of a text, the last of them "…". */
static char *cut(const char *text, size_t width)
{
	const char *at = text;
	const char *end = text;
	size_t used = 0;
	while (*at && used < width) {
		uint32_t point = next(&at);
		if (!among(point, narrow, YG_COUNT(narrow)))
			used += among(point, wide, YG_COUNT(wide)) ? 2 : 1;
		if (used < width)
			end = at;
	}
	char *out = NULL;
	if (asprintf(&out, "%.*s…", (int)(end - text), text) < 0)
		abort();
	return out;
}

#define SHORT 36 /* a UUID */
#define LEAST 20 /* of a column that is cut */

void text_table_fit(struct text_table *table, size_t width)
{
	size_t widths[TEXT_COLUMNS_MAX] = {0};
	size_t total = 2 * (table->columns - 1);
	for (size_t i = 0; i < table->count; i++) {
		size_t have = text_width(table->cells[i]);
		if (have > widths[i % table->columns])
			widths[i % table->columns] = have;
	}
	bool may[TEXT_COLUMNS_MAX];
	for (size_t i = 0; i < table->columns; i++) {
		may[i] = widths[i] > SHORT;
		total += widths[i];
	}
	while (total > width) {
		size_t most = TEXT_COLUMNS_MAX;
		for (size_t i = 0; i < table->columns; i++)
			if (may[i] && widths[i] > LEAST &&
				(most == TEXT_COLUMNS_MAX || widths[i] > widths[most]))
				most = i;
		if (most == TEXT_COLUMNS_MAX)
			break;
		widths[most]--;
		total--;
	}
	for (size_t i = 0; i < table->count; i++) {
		char *cell YG_AUTO(mem) = NULL;
		if (text_width(table->cells[i]) <= widths[i % table->columns])
			continue;
		cell = table->cells[i];
		table->cells[i] = cut(cell, widths[i % table->columns]);
	}
}

size_t text_terminal(FILE *out)
{
	struct winsize size = {0};
	int fd = fileno(out);
	if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

static char *list(const json_t *value, enum yg_lang lang)
{
	char *out = NULL;
	for (size_t i = 0; i < json_array_size(value); i++) {
		char *item YG_AUTO(mem) = text_value(json_array_get(value, i), lang);
		char *before YG_AUTO(mem) = out;
		if (asprintf(&out, "%s%s%s", before ? before : "", before ? ", " : "", item) < 0)
			abort();
	}
	return out ? out : whole(strdup("-"));
}

/* {"am-pattern":2} as "am-pattern 2". NULL: other values than numbers stand in it. */
static char *numbers(const json_t *value)
{
	const char *name;
	json_t *item;
	char *out = NULL;
	json_object_foreach((json_t *)(uintptr_t)value, name, item)
	{
		char *before YG_AUTO(mem) = out;
		out = NULL;
		if (!json_is_integer(item))
			return NULL;
		if (asprintf(&out, "%s%s%s %lld", before ? before : "", before ? ", " : "", name,
			    (long long)json_integer_value(item)) < 0)
			abort();
	}
	return out;
}

/* {"name":"am-pattern","version":2} and {"id":…,"name":"web1"} are common: show what people say. */
static char *object(const json_t *value)
{
	if (json_object_size(value) == 0)
		return whole(strdup("-"));
	char *counted YG_AUTO(mem) = numbers(value);
	if (counted)
		return yg_take(counted);
	const char *name = json_string_value(json_object_get(value, "name"));
	const json_t *version = json_object_get(value, "version");
	char *out = NULL;
	if (name && json_is_integer(version) && !json_object_get(value, "id")) {
		if (asprintf(&out, "%s %lld", name, (long long)json_integer_value(version)) < 0)
			abort();
		return out;
	}
	return whole(name ? strdup(name) : yg_json_text(value));
}

char *text_value(const json_t *value, enum yg_lang lang)
{
	char *out = NULL;
	if (!value || json_is_null(value))
		return whole(strdup("-"));
	if (json_is_string(value))
		return whole(strdup(*json_string_value(value) ? json_string_value(value) : "-"));
	if (json_is_boolean(value))
		return whole(strdup(json_is_true(value) ? (lang == YG_LANG_JA ? "はい" : "yes")
							: (lang == YG_LANG_JA ? "いいえ" : "no")));
	if (json_is_array(value))
		return list(value, lang);
	if (json_is_object(value))
		return object(value);
	if (json_is_integer(value) &&
		asprintf(&out, "%lld", (long long)json_integer_value(value)) < 0)
		abort();
	return out ? out : whole(yg_json_text(value));
}

char *text_join(const char *first, const char *second)
{
	char *out = NULL;
	if (asprintf(&out, "%s%s", first, second) < 0)
		abort();
	return out;
}

char *text_bytes(json_int_t bytes, enum yg_lang lang)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	json_int_t tenths = bytes * 10;
	for (; tenths >= 10240 && unit + 1 < YG_COUNT(units); unit++)
		tenths /= 1024;
	char *out = NULL;
	int n = unit ? asprintf(&out, "%lld.%lld %s", (long long)(tenths / 10),
			       (long long)(tenths % 10), units[unit])
		     : asprintf(&out, lang == YG_LANG_JA ? "%lldバイト" : "%lld bytes",
			       (long long)bytes);
	return whole(n < 0 ? NULL : out);
}

char *text_updated(const json_t *updated)
{
	char *out = whole(strdup(""));
	for (size_t i = 0; i < json_array_size(updated); i++) {
		char *before YG_AUTO(mem) = out;
		const json_t *item = json_array_get(updated, i);
		const char *name = json_string_value(json_object_get(item, "name"));
		json_int_t from = json_integer_value(json_object_get(item, "from"));
		json_int_t to = json_integer_value(json_object_get(item, "to"));
		const char *comma = *before ? ", " : "";
		int n = from > 0 ? asprintf(&out, "%s%s%s %lld → %lld", before, comma,
					   name ? name : "?", (long long)from, (long long)to)
				 : asprintf(&out, "%s%s%s %lld", before, comma, name ? name : "?",
					   (long long)to);
		if (n < 0)
			abort();
	}
	return out;
}
