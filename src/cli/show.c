/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/show.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"

json_t *show_at(const json_t *value, const char *path)
{
	char name[64] = "";
	size_t len = strcspn(path, ".");
	if (len >= sizeof(name))
		return NULL;
	memcpy(name, path, len);
	json_t *found = json_object_get(value, name);
	return path[len] ? show_at(found, path + len + 1) : found;
}

int show_list(const struct cli *cli, const json_t *items, const struct show_column *columns,
	size_t count)
{
	struct text_table *table YG_AUTO(text_table) = text_table_new(count);
	for (size_t i = 0; i < count; i++)
		text_table_add(table, columns[i].title[cli->lang]);
	for (size_t row = 0; row < json_array_size(items); row++) {
		for (size_t i = 0; i < count; i++) {
			char *text YG_AUTO(mem) = text_value(show_at(json_array_get(items, row),
								     columns[i].path),
				cli->lang);
			text_table_add(table, text);
		}
	}
	text_table_print(table, stdout);
	return ARGS_DONE;
}

int show_object(const struct cli *cli, const json_t *object, const struct show_column *columns,
	size_t count)
{
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	for (size_t i = 0; i < count; i++) {
		char *text YG_AUTO(mem) = text_value(show_at(object, columns[i].path), cli->lang);
		text_table_add(table, columns[i].title[cli->lang]);
		text_table_add(table, text);
	}
	text_table_print(table, stdout);
	return ARGS_DONE;
}
