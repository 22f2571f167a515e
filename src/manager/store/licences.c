/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/licences.h"

#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "manager/store/licence.h"
#include "manager/store/store.h"

#define KEYS_MAX     32
#define LICENCES_MAX 256

/* Of a group: the one that lasts longest counts. */
struct standing {
	int64_t count, ends; /* ends LICENCE_FOREVER: it does not end */
};

static int load(struct store *store, const char *group, struct standing *out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT count(*), sum(CASE WHEN ends IS NULL THEN 1 ELSE 0 END), max(ends) FROM licences "
		    "WHERE in_group = $1",
		    YG_DB_ARGS(yg_db_text(group)), &rows, err) < 0)
		return -1;
	if (yg_rows_next(rows, err) < 0)
		return -1;
	out->count = yg_rows_int(rows, 0);
	out->ends = out->count == 0 || yg_rows_int(rows, 1) > 0 ? LICENCE_FOREVER
								: yg_rows_int(rows, 2);
	return 0;
}

static bool valid(const struct store *store, const struct standing *standing)
{
	return standing->ends == LICENCE_FOREVER || standing->ends > store->clock_s;
}

int store_licences_for_agent(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	const char *group;
	for (size_t i = 0; (group = licence_group(i)) != NULL; i++) {
		struct standing standing;
		if (load(store, group, &standing, err) < 0)
			return -1;
		json_t *ends = standing.ends == LICENCE_FOREVER ? json_null()
								: store_time(standing.ends);
		if (store_add(list,
			    json_pack("{s:s, s:s, s:o}", "group", group, "state",
				    valid(store, &standing) ? "valid" : "expired", "ends", ends),
			    err) < 0)
			return -1;
	}
	*out = yg_take(list);
	return 0;
}

/* What agents were last told, by group: "valid", "expired". Event 101 and a word to agents when it is not so any
 * more, or when `who` has changed something.
 */
static int settle(struct store *store, const char *who, struct yg_err *err)
{
	json_t *now YG_AUTO(yg_json) = NULL;
	char *before YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	if (store_licences_for_agent(store, &now, err) < 0)
		return -1;
	char *text YG_AUTO(mem) = yg_json_text(now);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (store_fact_get(store, "licences", &before, &absent) < 0 && absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	if (!who && before && strcmp(before, text) == 0)
		return 0;
	if (store_fact_put(store, "licences", text, err) < 0)
		return -1;
	store->next_expiry_s = 0; /* the calendar is another one */
	if (!before && !who)      /* the first look */
		return 0;
	size_t i;
	json_t *item;
	json_array_foreach(now, i, item)
	{
		json_t *params = json_pack("{s:O, s:O}", "group", json_object_get(item, "group"),
			"state", json_object_get(item, "state"));
		if (json_is_string(json_object_get(item, "ends")))
			(void)json_object_set(params, "ends", json_object_get(item, "ends"));
		if (who)
			(void)json_object_set_new(params, "who", json_string(who));
		if (store_event(store, 101, NULL, NULL, params, err) < 0)
			return -1;
	}
	return store_command_all(store, "settings", "", err);
}

int store_licences_tick(struct store *store, struct yg_err *err)
{
	return settle(store, NULL, err);
}

/* --- what people do ---------------------------------------------------------------------- */

static int load_keys(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *texts YG_AUTO(yg_json) = NULL;
	json_t *keys YG_AUTO(yg_json) = json_array();
	size_t i;
	json_t *text;
	if (store_texts(store, "SELECT public FROM licence_keys ORDER BY added, id", YG_DB_NO_ARGS,
		    &texts, err) < 0)
		return -1;
	json_array_foreach(texts, i,
		text) if (store_add(keys, store_parse(json_string_value(text)), err) < 0) return -1;
	*out = yg_take(keys);
	return 0;
}

static int show_keys(struct store *store, json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT id, added, who FROM licence_keys ORDER BY added, id",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(list,
			    json_pack("{s:s, s:o, s:s}", "id", yg_rows_text(rows, 0), "added",
				    store_time(yg_rows_int(rows, 1)), "who", yg_rows_text(rows, 2)),
			    err) < 0)
			return -1;
	return more;
}

static int show_files(struct store *store, json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, in_group, name, issued, ends, key, added, who FROM licences ORDER BY in_group, "
		    "issued, id",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		bool good = yg_rows_null(rows, 4) || yg_rows_int(rows, 4) > store->clock_s;
		if (store_add(list,
			    json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:s}", "id",
				    yg_rows_text(rows, 0), "group", yg_rows_text(rows, 1), "name",
				    yg_rows_text(rows, 2), "issued",
				    store_time(yg_rows_int(rows, 3)), "ends",
				    store_time_or_null(rows, 4), "state",
				    good ? "valid" : "expired", "key", yg_rows_text(rows, 5),
				    "added", store_time(yg_rows_int(rows, 6)), "who",
				    yg_rows_text(rows, 7)),
			    err) < 0)
			return -1;
	}
	return more;
}

int op_licences_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *groups YG_AUTO(yg_json) = NULL;
	json_t *files YG_AUTO(yg_json) = json_array();
	json_t *keys YG_AUTO(yg_json) = json_array();
	if (store_licences_for_agent(store, &groups, err) < 0 ||
		show_files(store, files, err) < 0 || show_keys(store, keys, err) < 0)
		return -1;
	return store_give(json_pack("{s:O, s:O, s:O}", "groups", groups, "items", files, "keys",
				  keys),
		out, err);
}

static int few(struct store *store, const char *sql, int64_t max, const char *what,
	struct yg_err *err)
{
	int64_t count = 0;
	if (yg_db_number(store->db, sql, YG_DB_NO_ARGS, &count, err) < 0)
		return -1;
	return count < max ? 0
			   : yg_fail(err, YG_ELIMIT, "%s: want <= %lld, have %lld already", what,
				     (long long)max, (long long)count);
}

/* One that is there already stays as it is: *there, unless it is another one with the same id. */
static int known(struct store *store, const char *sql, const char *id, const char *text,
	bool *there, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*there = false;
	if (yg_db_query(store->db, sql, YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more <= 0)
		return more;
	if (strcmp(yg_rows_text(rows, 0), text) != 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"licence: there is another one with the id %s already; delete that one first",
			id);
	*there = true;
	return 0;
}

int op_licences_key(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	json_t *key;
	char id[65];
	bool there;
	if (yg_json_object(args, "key", &key, err) < 0 || licence_key_check(key, id, err) < 0 ||
		known(store, "SELECT id FROM licence_keys WHERE id = $1", id, id, &there, err) < 0)
		return -1;
	if (there)
		return store_give(json_pack("{s:s}", "id", id), out, err);
	if (few(store, "SELECT count(*) FROM licence_keys", KEYS_MAX, "keys", err) < 0)
		return -1;
	char *text YG_AUTO(mem) = yg_json_text(key);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_db_exec(store->db,
		    "INSERT INTO licence_keys (id, public, added, who) VALUES ($1, $2, $3, $4)",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(text), yg_db_int(store->clock_s),
			    yg_db_text(asker->name)),
		    NULL, err) < 0 ||
		store_event(store, 20031, NULL, NULL,
			json_pack("{s:s, s:s}", "key", id, "who", asker->name), err) < 0)
		return -1;
	return store_give(json_pack("{s:s}", "id", id), out, err);
}

int op_licences_add(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *text;
	json_t *keys YG_AUTO(yg_json) = NULL;
	struct licence licence;
	char signer[65];
	bool there;
	if (yg_json_str(args, "file", LICENCE_FILE_MAX, &text, err) < 0 ||
		load_keys(store, &keys, err) < 0 ||
		licence_read(yg_bytes_of(text), keys, &licence, signer, err) < 0 ||
		known(store, "SELECT file FROM licences WHERE id = $1", licence.id, text, &there,
			err) < 0)
		return -1;
	if (there)
		return op_licences_list(store, asker, args, out, err);
	if (few(store, "SELECT count(*) FROM licences", LICENCES_MAX, "licences", err) < 0)
		return -1;
	bool forever = licence.ends == LICENCE_FOREVER;
	if (yg_db_exec(store->db,
		    "INSERT INTO licences (id, in_group, name, issued, ends, key, file, added, who) VALUES ($1, "
		    "$2, $3, $4, $5, $6, $7, $8, $9)",
		    YG_DB_ARGS(yg_db_text(licence.id), yg_db_text(licence.group),
			    yg_db_text(licence.name), yg_db_int(licence.issued),
			    yg_db_int_or_null(!forever, licence.ends), yg_db_text(signer),
			    yg_db_text(text), yg_db_int(store->clock_s), yg_db_text(asker->name)),
		    NULL, err) < 0 ||
		settle(store, asker->name, err) < 0)
		return -1;
	return op_licences_list(store, asker, args, out, err);
}

int op_licences_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	int64_t changed = 0;
	int64_t keys = 0;
	if (yg_json_str(args, "id", 64, &id, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM licences WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), &changed, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM licence_keys WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), &keys, err) < 0)
		return -1;
	if (changed + keys == 0)
		return yg_fail(err, YG_EABSENT, "licence or key '%s': no such licence or key", id);
	if (changed > 0 ? settle(store, asker->name, err) < 0
			: store_event(store, 20032, NULL, NULL,
				  json_pack("{s:s, s:s}", "key", id, "who", asker->name), err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}
