/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/show.h"

/* The Manager is asked, and what it answers is shown: what its commands share. Functions that return an exit
 * code have reported their failure.
 */

/* A text of an answer, or "". */
static inline const char *ask_member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* A usage error that the table of options cannot see. */
int ask_misuse(struct cli *cli, const struct yg_err *err);

/* api_call that reports. `path` and `body` are taken over. */
int ask_manager(struct cli *cli, const char *method, char *path, json_t *body, json_t **answer);

/* "computers" and an id as the user typed it: nothing in it can be another path. A new string. */
char *ask_path(const char *what, const char *id);

/* All pages of a list as one answer. */
int ask_all(struct cli *cli, const char *what, json_t **answer);

/* A list, or the object at `path` (taken over), as a table or as JSON. */
int ask_list(struct cli *cli, const char *what, const struct show_column *columns, size_t count);
int ask_one(struct cli *cli, char *path, const struct show_column *columns, size_t count);

/* Delete the one that the first word names by its id. */
int ask_remove(struct cli *cli, const char *what);

/* The id of a computer or policy that the user names by id or by its exact name. in  *id freed by
 * the caller. errors  YG_EABSENT, and those of api_call
 */
int ask_resolve(struct cli *cli, const char *what, const char *text, char **id, struct yg_err *err);

/* Ids of the computers in words[first..end-1], or in a list with commas (or NULL). A new array; NULL when one
 * is not known.
 */
json_t *ask_computers(struct cli *cli, const char *commas, size_t first, size_t end,
	struct yg_err *err);
