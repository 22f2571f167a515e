/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/mem.h"
#include "proto/lang.h"

/* Text for a terminal: how wide it is, and tables. What strangers chose (names, paths, messages)
 * cannot move the cursor: control characters become "?".
 */

/* Columns that UTF-8 text takes: 2 for East Asian wide characters, 0 for combining ones. */
size_t text_width(const char *text);

struct text_table;

/* A table without rows. in  columns  at most TEXT_COLUMNS_MAX */
#define TEXT_COLUMNS_MAX 12
struct text_table *text_table_new(size_t columns);
void text_table_free(struct text_table *table);

/* The next cell (copied), left to right, then the next row. NULL and "" are shown as "-". */
void text_table_add(struct text_table *table, const char *cell);
void text_table_addf(struct text_table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Two spaces between columns; nothing behind the last one. */
void text_table_print(const struct text_table *table, FILE *out);

/* Cut long cells, with "…", until a row takes at most `width` columns. What people copy (ids, times,
 * names) is short and stays whole, also when that is too wide.
 */
void text_table_fit(struct text_table *table, size_t width);

/* How wide the terminal is that `out` leads to; 0: it leads to none. */
size_t text_terminal(FILE *out);

YG_DEFINE_AUTO(text_table);

/* One value of an API answer as a person reads it: texts as they are, yes/no, numbers, lists with
 * commas, objects as JSON. A new string, the caller's to free.
 */
char *text_value(const json_t *value, enum yg_lang lang);

/* Both behind each other. A new string. */
char *text_join(const char *first, const char *second);

/* "1.5 MiB", "12 bytes". A new string. */
char *text_bytes(json_int_t bytes, enum yg_lang lang);

/* [{"name","from","to"}] as "am-pattern 1 → 2, am-yara 7"; "" for none. A new string. */
char *text_updated(const json_t *updated);

/* Write text with its control characters as "?". */
void text_put(const char *text, FILE *out);
