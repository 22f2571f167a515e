/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/store.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "crypto/random.h"
#include "crypto/seal.h"

int store_give(json_t *made, json_t **out, struct yg_err *err)
{
	if (!made)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = made;
	return 0;
}

int store_add(json_t *array, json_t *made, struct yg_err *err)
{
	if (!made || json_array_append_new(array, made) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

int store_texts(struct store *store, const char *sql, const struct yg_db_value *args, size_t count,
	json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, sql, args, count, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list, json_string(yg_rows_text(rows, 0)), err) < 0)
			return -1;
	if (more < 0)
		return -1;
	*out = yg_take(list);
	return 0;
}

json_t *store_time(int64_t s)
{
	char text[YG_CLOCK_TEXT];
	yg_clock_format(s, text);
	return json_string(text);
}

json_t *store_time_or_null(const struct yg_rows *rows, int column)
{
	return yg_rows_null(rows, column) ? json_null() : store_time(yg_rows_int(rows, column));
}

json_t *store_parse(const char *text)
{
	struct yg_err ignored = {0};
	json_t *value = NULL;
	if (!text || yg_json_parse(yg_bytes_of(text), YG_DB_TEXT_MAX, &value, &ignored) < 0)
		return json_null();
	return value;
}

int store_page(const json_t *args, struct store_page *page, struct yg_err *err)
{
	if (yg_json_int_or(args, "limit", 1, 500, 50, &page->limit, err) < 0 ||
		yg_json_str_or(args, "cursor", 200, "", &page->cursor, err) < 0)
		return -1;
	return 0;
}

int store_list(json_t *items, const char *next, json_t **out, struct yg_err *err)
{
	return store_give(json_pack("{s:o, s:s?}", "items", items, "next", next), out, err);
}

char *store_like(const char *text)
{
	size_t len = strlen(text);
	char *like = malloc(2 * len + 3);
	if (!like)
		return NULL;
	size_t at = 0;
	like[at++] = '%';
	for (size_t i = 0; i < len; i++) {
		if (strchr("%_!", text[i]))
			like[at++] = '!';
		like[at++] = (char)((unsigned char)text[i] < 0x80 ? tolower((unsigned char)text[i])
								  : text[i]);
	}
	like[at++] = '%';
	like[at] = '\0';
	return like;
}

int store_fact_get(struct store *store, const char *name, char **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT value FROM facts WHERE name = $1",
		    YG_DB_ARGS(yg_db_text(name)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "%s: not known yet", name);
	*out = strdup(yg_rows_text(rows, 0));
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int store_fact_put(struct store *store, const char *name, const char *value, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
		YG_DB_ARGS(yg_db_text(name), yg_db_text(value)), NULL, err);
}

static int first_start(struct store *store, struct yg_err *err)
{
	char *id YG_AUTO(mem) = NULL;
	if (store_fact_get(store, "manager_id", &id, err) == 0) {
		memcpy(store->manager_id, id, strnlen(id, sizeof(store->manager_id) - 1));
	} else {
		if (err->code != YG_EABSENT)
			return -1;
		char made[YG_UUID_TEXT];
		if (yg_random_uuid(made, err) < 0 ||
			store_fact_put(store, "manager_id", made, err) < 0)
			return -1;
		memcpy(store->manager_id, made, sizeof(made));
	}
	return store_policy_ensure(store, err);
}

int store_open(struct store **out, const char *database, struct yg_err *err)
{
	struct store *store YG_AUTO(store) = calloc(1, sizeof(*store));
	if (!store)
		return yg_fail(err, YG_ESYSTEM, "store: out of memory");
	store->db = yg_db_open(database, err);
	if (!store->db)
		return -1;
	if (yg_db_migrate(store->db, yg_db_steps, yg_db_steps_count, &store->migration, err) < 0)
		return -1;
	store->clock_s = store->started_s = yg_clock_now_s();
	if (yg_db_begin(store->db, err) < 0)
		return -1;
	if (first_start(store, err) < 0 ||
		store_event(store, 100, NULL, NULL, json_pack("{s:s}", "version", YG_VERSION),
			err) < 0) {
		yg_db_rollback(store->db);
		return -1;
	}
	if (yg_db_commit(store->db, err) < 0)
		return -1;
	*err = (struct yg_err){0};
	*out = yg_take(store);
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	json_decref(store->wake);
	json_decref(store->keys_used);
	yg_seal_free(store->seal);
	json_decref(store->site);
	yg_db_free(store->db);
	free(store);
}
