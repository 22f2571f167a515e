/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/content.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/str.h"
#include "manager/store/store.h"

static int check_pins(const json_t *content, bool pinned, struct yg_err *err)
{
	const char *name;
	json_t *value;
	json_t *pins = json_object_get(content, "pins");
	if (!pins && !pinned)
		return 0;
	if (!json_is_object(pins))
		return yg_fail(err, YG_EFORMAT, "pins: want an object, have %s",
			yg_json_kind(pins));
	size_t count = json_object_size(pins);
	if (pinned != (count > 0) || count > CONTENT_PINS_MAX)
		return yg_fail(err, YG_EFORMAT, "pins: want %s, have %zu",
			pinned ? "1..64" : "none but with the mode pinned", count);
	json_object_foreach(pins, name, value)
	{
		int64_t version;
		if (name[0] == '\0' || strlen(name) > 64)
			return yg_fail(err, YG_EFORMAT, "pins: want names of 1..64 bytes");
		if (yg_json_int(pins, name, 1, INT64_MAX / 2, &version, err) < 0)
			return yg_wrap(err, "pins");
	}
	return 0;
}

int content_text(const json_t *content, char **out, struct yg_err *err)
{
	const char *mode;
	if (!json_is_object(content))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(content));
	if (yg_json_str(content, "mode", 16, &mode, err) < 0)
		return -1;
	bool pinned = strcmp(mode, "pinned") == 0;
	bool latest = strcmp(mode, "latest") == 0;
	if (!pinned && !latest && strcmp(mode, "previous") != 0)
		return yg_fail(err, YG_EFORMAT, "mode: want latest, previous or pinned, have '%s'",
			mode);
	if (check_pins(content, pinned, err) < 0)
		return -1;
	json_t *made YG_AUTO(yg_json) = json_pack("{s:s, s:O*}", "mode", mode, "pins",
		pinned ? json_object_get(content, "pins") : NULL);
	char *text = latest ? strdup("") : made ? yg_json_text(made) : NULL;
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = text;
	return 0;
}

int content_of_document(const json_t *document, char **out, struct yg_err *err)
{
	const json_t *content = json_object_get(json_object_get(document, "update"), "content");
	if (!content) {
		*out = strdup("");
		return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return content_text(content, out, err) < 0 ? yg_wrap(err, "document: update: content") : 0;
}

json_t *content_json(const char *text)
{
	json_t *made = text[0] ? store_parse(text) : json_pack("{s:s}", "mode", "latest");
	if (json_is_object(made) && !json_object_get(made, "pins"))
		(void)json_object_set_new(made, "pins", json_object());
	return made;
}

/* The versions that should be there, by name. A new reference. */
static json_t *wanted(const json_t *content, const json_t *have, const json_t *newest)
{
	const char *mode = json_string_value(json_object_get(content, "mode"));
	bool previous = mode && strcmp(mode, "previous") == 0;
	json_t *list = json_array();
	size_t i;
	json_t *item;
	json_array_foreach(newest, i, item)
	{
		json_t *name = json_object_get(item, "name");
		json_t *version = json_object_get(item, "version");
		json_t *pin = json_object_get(json_object_get(content, "pins"),
			json_string_value(name) ? json_string_value(name) : "");
		size_t k;
		json_t *other;
		/* The one before the newest is whatever it was: not having any is what is wrong. */
		json_array_foreach(have, k,
			other) if (previous && json_equal(json_object_get(other, "name"), name))
			version = json_object_get(other, "version");
		(void)json_array_append_new(list,
			json_pack("{s:O, s:O}", "name", name, "version", pin ? pin : version));
	}
	return list;
}

json_t *content_difference(const char *text, const json_t *have, const json_t *newest)
{
	if (text[0] == '\0')
		return store_computer_difference(have, newest);
	json_t *content YG_AUTO(yg_json) = content_json(text);
	json_t *want YG_AUTO(yg_json) = wanted(content, have, newest);
	return store_computer_difference(have, want);
}

int store_content_for_agent(struct store *store, const char *computer, json_t **out,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT " CONTENT_OF
		    " FROM computers c JOIN policies p ON p.id = c.policy WHERE c.id = $1",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	return store_give(content_json(more > 0 ? yg_rows_text(rows, 0) : ""), out, err);
}

int store_content_served(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *texts YG_AUTO(yg_json) = NULL;
	json_t *list YG_AUTO(yg_json) = json_array();
	size_t i;
	json_t *text;
	if (store_texts(store,
		    "SELECT " CONTENT_OF
		    " FROM computers c JOIN policies p ON p.id = c.policy WHERE c.deleted = 0 AND c.activated IS "
		    "NOT NULL AND " CONTENT_OF
		    " <> '' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT $1",
		    YG_DB_ARGS(yg_db_int(CONTENT_SERVED_MAX + 1)), &texts, err) < 0)
		return -1;
	if (json_array_size(texts) > CONTENT_SERVED_MAX)
		yg_log(YG_LOG_WARN, "store.content",
			"more than %d different pins: relays hold what most computers want",
			CONTENT_SERVED_MAX);
	json_array_foreach(texts, i, text) if (i < CONTENT_SERVED_MAX &&
		store_add(list, content_json(json_string_value(text)), err) < 0) return -1;
	*out = yg_take(list);
	return 0;
}

#define SEEN_MAX 256 /* different ones that are remembered */

/* Has a computer other versions than it should? Thousands of them have the very same: `seen` ({texts: bool}) spares
 * looking again.
 */
static bool is_old(json_t *seen, const char *content, const char *components, const json_t *newest)
{
	char *key YG_AUTO(mem) = yg_str_format("%s\n%s", content, components);
	json_t *known = key ? json_object_get(seen, key) : NULL;
	if (known)
		return json_is_true(known);
	json_t *have YG_AUTO(yg_json) = store_parse(components);
	json_t *what YG_AUTO(yg_json) = content_difference(content, have, newest);
	if (key && json_object_size(seen) < SEEN_MAX)
		(void)json_object_set_new(seen, key, json_boolean(what != NULL));
	return what != NULL;
}

int store_content_old(struct store *store, size_t names_max, json_t *names, int64_t *count,
	struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	json_t *seen YG_AUTO(yg_json) = json_object();
	const char *set = json_string_value(json_object_get(newest, "set"));
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*count = 0;
	if (!newest)
		return -1;
	if (!set)
		return 0;
	if (yg_db_query(store->db,
		    "SELECT c.name, c.components, " CONTENT_OF
		    " FROM computers c JOIN policies p ON p.id = c.policy WHERE c.deleted = 0 AND c.online = 1 AND "
		    "c.set_has <> $1 ORDER BY c.name, c.id",
		    YG_DB_ARGS(yg_db_text(set)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		if (!is_old(seen, yg_rows_text(rows, 2), yg_rows_text(rows, 1),
			    json_object_get(newest, "components")))
			continue;
		(*count)++;
		if (json_array_size(names) < names_max &&
			store_add(names, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	}
	return more;
}

int store_content_out_of_date(struct store *store, const json_t *newest, int64_t *count,
	struct yg_err *err)
{
	const char *set = json_string_value(json_object_get(newest, "set"));
	json_t *seen YG_AUTO(yg_json) = json_object();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*count = 0;
	if (!set)
		return 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM computers c JOIN policies p ON p.id = c.policy WHERE c.deleted = 0 AND "
		    "c.activated IS NOT NULL AND c.set_has <> $1 AND " CONTENT_OF " = ''",
		    YG_DB_ARGS(yg_db_text(set)), count, err) < 0 ||
		yg_db_query(store->db,
			"SELECT c.components, " CONTENT_OF
			" FROM computers c JOIN policies p ON p.id = c.policy WHERE c.deleted = 0 AND c.activated "
			"IS NOT NULL AND " CONTENT_OF " <> ''",
			YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		*count += is_old(seen, yg_rows_text(rows, 1), yg_rows_text(rows, 0),
			json_object_get(newest, "components"));
	return more;
}
