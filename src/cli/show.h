/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* Answers of the Manager as tables. */

struct cli;
struct text_table;

struct show_column {
	const char *path;     /* member, or "member.member" */
	const char *title[2]; /* by enum yg_lang */
};

/* The value at "a.b.c", or NULL. Borrowed. */
json_t *show_at(const json_t *value, const char *path);

/* The value at a path as people read it: members that hold a word of the API ("state": "online") in the
 * user's language. A new string.
 */
char *show_value(const struct cli *cli, const json_t *value, const char *path);

/* A table of many rows: cut to the terminal, when there is one. */
void show_table(struct text_table *table);

/* Each object of an array is a row. Returns ARGS_DONE. */
int show_list(const struct cli *cli, const json_t *items, const struct show_column *columns,
	size_t count);

/* Each column is a row: title and value. Returns ARGS_DONE. */
int show_object(const struct cli *cli, const json_t *object, const struct show_column *columns,
	size_t count);
