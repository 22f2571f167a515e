/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/show.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "core/attr.h"
#include "proto/word.h"

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

/* Members whose values are words of the API. */
static const struct {
	const char *path;
	enum yg_words words;
} words[] = {
	{"state", YG_WORDS_STATE},
	{"agent_state", YG_WORDS_STATE},
	{"relay_status.state", YG_WORDS_STATE},
	{"expiry_state", YG_WORDS_STATE},
	{"last_state", YG_WORDS_STATE},
	{"protection", YG_WORDS_STATE},
	{"newest", YG_WORDS_STATE},
	{"policy.sent", YG_WORDS_STATE},
	{"engine.state", YG_WORDS_STATE},
	{"relay.state", YG_WORDS_STATE},
	{"manager_state", YG_WORDS_STATE},
	{"outcome", YG_WORDS_STATE},
	{"phase", YG_WORDS_PHASE},
	{"update.phase", YG_WORDS_PHASE},
	{"kind", YG_WORDS_KIND},
	{"as", YG_WORDS_KIND},
	{"level", YG_WORDS_KIND},
	{"role", YG_WORDS_KIND},
	{"what", YG_WORDS_KIND},
	{"content.mode", YG_WORDS_KIND},
	{"by", YG_WORDS_WHO},
	{"content.from", YG_WORDS_WHO},
	{"renewed_by", YG_WORDS_WHO},
	{"reason", YG_WORDS_REASON},
};

char *show_value(const struct cli *cli, const json_t *value, const char *path)
{
	const char *text = json_string_value(show_at(value, path));
	for (size_t i = 0; text && *text && i < YG_COUNT(words); i++) {
		if (strcmp(words[i].path, path) != 0)
			continue;
		return text_join(yg_word(words[i].words, text, cli->lang), "");
	}
	return text_value(show_at(value, path), cli->lang);
}

void show_table(struct text_table *table)
{
	size_t width = text_terminal(stdout);
	if (width > 0)
		text_table_fit(table, width);
	text_table_print(table, stdout);
}

int show_list(const struct cli *cli, const json_t *items, const struct show_column *columns,
	size_t count)
{
	if (json_array_size(items) == 0) {
		(void)puts(cli_say(cli, "None", "該当なし"));
		return ARGS_DONE;
	}
	struct text_table *table YG_AUTO(text_table) = text_table_new(count);
	for (size_t i = 0; i < count; i++)
		text_table_add(table, columns[i].title[cli->lang]);
	for (size_t row = 0; row < json_array_size(items); row++) {
		for (size_t i = 0; i < count; i++) {
			char *text YG_AUTO(
				mem) = show_value(cli, json_array_get(items, row), columns[i].path);
			text_table_add(table, text);
		}
	}
	show_table(table);
	return ARGS_DONE;
}

int show_object(const struct cli *cli, const json_t *object, const struct show_column *columns,
	size_t count)
{
	struct text_table *table YG_AUTO(text_table) = text_table_new(2);
	for (size_t i = 0; i < count; i++) {
		char *text YG_AUTO(mem) = show_value(cli, object, columns[i].path);
		text_table_add(table, columns[i].title[cli->lang]);
		text_table_add(table, text);
	}
	text_table_print(table, stdout);
	return ARGS_DONE;
}
