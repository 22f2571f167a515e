/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* API keys: "ygk_<8 hex digits>_<43 characters>"; of the second part only the SHA-256 is kept. */
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "manager/store/store.h"

#define ID_LEN     8
#define SECRET_LEN 43
#define KEY_LEN    (4 + ID_LEN + 1 + SECRET_LEN)
#define USED_S     60 /* last_used is no finer than this: a key in use is no write a request */

static int refused(struct yg_err *err)
{
	/* One text for all: who guesses learns nothing. */
	return yg_fail_cause(err, YG_EUNTRUSTED, "auth.key", "the API key is not valid");
}

/* Written at the next tick: who only asks is answered also while nothing can be written. */
static int note_used(struct store *store, const char *id, struct yg_err *err)
{
	if (!store->keys_used)
		store->keys_used = json_object();
	if (json_object_get(store->keys_used, id) ||
		json_object_set_new(store->keys_used, id, json_integer(store->clock_s)) == 0)
		return 0;
	return yg_fail(err, YG_ESYSTEM, "out of memory");
}

int store_key_auth(struct store *store, const char *text, struct store_asker *asker,
	struct yg_err *err)
{
	if (strlen(text) != KEY_LEN || strncmp(text, "ygk_", 4) != 0 || text[4 + ID_LEN] != '_')
		return refused(err);
	char id[ID_LEN + 1];
	memcpy(id, text + 4, ID_LEN);
	id[ID_LEN] = '\0';
	char hash[YG_HASH_TEXT];
	if (yg_hash_text(yg_bytes_of(text + 4 + ID_LEN + 1), hash, err) < 0)
		return -1;

	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT secret_sha256, role, name, last_used FROM keys WHERE id = $1 AND revoked = 0",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0 || !yg_secret_equal_text(hash, yg_rows_text(rows, 0)))
		return refused(err);

	memcpy(asker->id, id, sizeof(id));
	asker->full = strcmp(yg_rows_text(rows, 1), "full") == 0;
	(void)snprintf(asker->name, sizeof(asker->name), "%s", yg_rows_text(rows, 2));
	if (!yg_rows_null(rows, 3) && yg_rows_int(rows, 3) > store->clock_s - USED_S)
		return 0;
	return note_used(store, id, err);
}

int store_keys_tick(struct store *store, struct yg_err *err)
{
	const char *id;
	json_t *when;
	json_object_foreach(store->keys_used, id, when)
	{
		/* The clock may have gone back meanwhile. */
		int64_t used_s = json_integer_value(when);
		if (used_s > store->clock_s)
			used_s = store->clock_s;
		if (yg_db_exec(store->db, "UPDATE keys SET last_used = $2 WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(id), yg_db_int(used_s)), NULL, err) < 0)
			return -1;
	}
	json_decref(store->keys_used);
	store->keys_used = NULL;
	return 0;
}

static json_t *key_json(const struct yg_rows *rows)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "id", yg_rows_text(rows, 0), "name",
		yg_rows_text(rows, 1), "role", yg_rows_text(rows, 2), "created",
		store_time(yg_rows_int(rows, 3)), "last_used", store_time_or_null(rows, 4),
		"revoked", yg_rows_int(rows, 5) != 0);
}

int op_keys_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	if (store_page(args, &page, err) < 0)
		return -1;
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, name, role, created, last_used, revoked FROM keys WHERE id > $1 ORDER BY id "
		    "LIMIT $2",
		    YG_DB_ARGS(yg_db_text(page.cursor), yg_db_int(page.limit)), &rows, err) < 0)
		return -1;
	char last[40] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%s", yg_rows_text(rows, 0));
		if (store_add(items, key_json(rows), err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == page.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}

static int get(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, name, role, created, last_used, revoked FROM keys WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "key '%s': no such key", id);
	return store_give(key_json(rows), out, err);
}

int op_keys_check(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	return get(store, asker->id, out, err);
}

static int make(struct store *store, const struct store_asker *asker, const char *name,
	const char *role, json_t **out, struct yg_err *err)
{
	uint8_t raw[ID_LEN / 2];
	char id[ID_LEN + 1];
	char secret[YG_RANDOM_TOKEN(32)];
	char hash[YG_HASH_TEXT];
	if (yg_random_bytes(raw, sizeof(raw), err) < 0 || yg_random_token(secret, 32, err) < 0 ||
		yg_hash_text(yg_bytes_of(secret), hash, err) < 0)
		return -1;
	yg_str_hex(raw, sizeof(raw), id);
	if (yg_db_exec(store->db,
		    "INSERT INTO keys (id, name, role, secret_sha256, created, revoked) VALUES ($1, $2, $3, $4, "
		    "$5, 0)",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name), yg_db_text(role), yg_db_text(hash),
			    yg_db_int(store->clock_s)),
		    NULL, err) < 0 ||
		store_event(store, 20000, NULL, NULL,
			json_pack("{s:s, s:s}", "name", name, "who", asker->name), err) < 0 ||
		get(store, id, out, err) < 0)
		return -1;
	char key[KEY_LEN + 1];
	(void)snprintf(key, sizeof(key), "ygk_%s_%s", id, secret);
	int rc = json_object_set_new(*out, "key", json_string(key));
	yg_secret_wipe(secret, sizeof(secret));
	yg_secret_wipe(key, sizeof(key));
	return rc == 0 ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int op_keys_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *name;
	const char *role;
	if (yg_json_str(args, "name", 200, &name, err) < 0 ||
		yg_json_str(args, "role", 8, &role, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	if (strcmp(name, "system") == 0 || strcmp(name, "schedule") == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"name: '%s' is what the Manager calls itself in events", name);
	if (strcmp(role, "full") != 0 && strcmp(role, "read") != 0)
		return yg_fail(err, YG_EFORMAT, "role: want full or read, have '%s'", role);
	return make(store, asker, name, role, out, err);
}

int op_keys_first(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	int64_t count = 0;
	if (yg_db_number(store->db, "SELECT count(*) FROM keys", YG_DB_NO_ARGS, &count, err) < 0)
		return -1;
	if (count > 0)
		return store_give(json_object(), out, err);
	return make(store, asker, "admin", "full", out, err);
}

int op_keys_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	if (yg_json_str(args, "id", 64, &id, err) < 0)
		return -1;
	json_t *key YG_AUTO(yg_json) = NULL;
	int64_t others = 0;
	if (get(store, id, &key, err) < 0 ||
		yg_db_number(store->db,
			"SELECT count(*) FROM keys WHERE role = 'full' AND revoked = 0 AND id <> $1",
			YG_DB_ARGS(yg_db_text(id)), &others, err) < 0)
		return -1;
	if (others == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"key '%s': the last key with role full cannot be withdrawn", id);
	if (json_is_true(json_object_get(key, "revoked")))
		return store_give(json_object(), out, err);
	if (yg_db_exec(store->db, "UPDATE keys SET revoked = 1 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		store_event(store, 20001, NULL, NULL,
			json_pack("{s:O, s:s}", "name", json_object_get(key, "name"), "who",
				asker->name),
			err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}
