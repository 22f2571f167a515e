/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Activation tokens. Kept is the SHA-256 of the whole text, what it allows and how often it was used. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "manager/store/groups.h"
#include "manager/store/store.h"

#define COLUMNS                                                                                    \
	"id, name, policy, in_group, relay, uses, used, created, expires, revoked, relay_group"

static json_t *token_json(const struct yg_rows *rows)
{
	return json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:I, s:I, s:o, s:o, s:b, s:s?}", "id",
		yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1), "policy",
		yg_rows_text(rows, 2), "group", yg_rows_text(rows, 3), "relay",
		yg_rows_int(rows, 4) != 0, "uses", (json_int_t)yg_rows_int(rows, 5), "used",
		(json_int_t)yg_rows_int(rows, 6), "created", store_time(yg_rows_int(rows, 7)),
		"expires", store_time(yg_rows_int(rows, 8)), "revoked", yg_rows_int(rows, 9) != 0,
		"relay_group", yg_rows_text(rows, 10));
}

int op_tokens_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	if (store_page(args, &page, err) < 0)
		return -1;
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT " COLUMNS " FROM tokens WHERE id > $1 ORDER BY id LIMIT $2",
		    YG_DB_ARGS(yg_db_text(page.cursor), yg_db_int(page.limit)), &rows, err) < 0)
		return -1;
	char last[40] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%s", yg_rows_text(rows, 0));
		if (store_add(items, token_json(rows), err) < 0)
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
	if (yg_db_query(store->db, "SELECT " COLUMNS " FROM tokens WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "token '%s': no such token", id);
	return store_give(token_json(rows), out, err);
}

/* A token that nobody named: "token-2026-11-22-3", the third of its day. */
static int name_it(struct store *store, char out[64], struct yg_err *err)
{
	int64_t before = 0;
	char day[YG_CLOCK_TEXT];
	if (yg_db_number(store->db, "SELECT count(*) FROM tokens WHERE created >= $1",
		    YG_DB_ARGS(yg_db_int(store->clock_s - store->clock_s % 86400)), &before,
		    err) < 0)
		return -1;
	yg_clock_format(store->clock_s, day);
	(void)snprintf(out, 64, "token-%.10s-%lld", day, (long long)before + 1);
	return 0;
}

int op_tokens_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *name;
	const char *policy;
	const char *group;
	const char *relays;
	int64_t uses;
	int64_t valid_s;
	bool relay;
	if (yg_json_str_or(args, "name", 200, "", &name, err) < 0 ||
		yg_json_str_or(args, "policy", 64, NULL, &policy, err) < 0 ||
		yg_json_str_or(args, "group", 200, NULL, &group, err) < 0 ||
		yg_json_str_or(args, "relay_group", 64, NULL, &relays, err) < 0 ||
		yg_json_int_or(args, "uses", 1, 1000000, 1, &uses, err) < 0 ||
		yg_json_int_or(args, "valid_s", 60, 31536000, 86400, &valid_s, err) < 0 ||
		yg_json_bool_or(args, "relay", true, &relay, err) < 0)
		return -1;
	if (policy) {
		int64_t there = 0;
		if (yg_db_number(store->db, "SELECT count(*) FROM policies WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(policy)), &there, err) < 0)
			return -1;
		if (there == 0)
			return yg_fail(err, YG_EABSENT, "policy '%s': no such policy", policy);
	}
	char in[40];
	char in_name[208];
	if (relays && groups_find(store, relays, in, in_name, err) < 0)
		return -1;
	char *spki YG_AUTO(mem) = NULL;
	if (store_fact_get(store, "ca_spki_sha256", &spki, err) < 0) {
		if (err->code == YG_EABSENT)
			return yg_fail(err, YG_EAGAIN, "the CA is not ready yet");
		return -1;
	}

	char made[64];
	if (name[0] == '\0') {
		if (name_it(store, made, err) < 0)
			return -1;
		name = made;
	}
	char id[YG_UUID_TEXT];
	char secret[YG_RANDOM_TOKEN(32)];
	char text[128];
	char hash[YG_HASH_TEXT];
	if (yg_random_uuid(id, err) < 0 || yg_random_token(secret, 32, err) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "yg1.%s.%s", spki, secret);
	if (yg_hash_text(yg_bytes_of(text), hash, err) < 0)
		return -1;
	if (yg_db_exec(store->db,
		    "INSERT INTO tokens (id, name, secret_sha256, policy, in_group, relay, uses, used, created, "
		    "expires, revoked, relay_group) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, 0, $10)",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name), yg_db_text(hash),
			    yg_db_text(policy), yg_db_text(group), yg_db_int(relay),
			    yg_db_int(uses), yg_db_int(store->clock_s),
			    yg_db_int(store->clock_s + valid_s), yg_db_text(relays)),
		    NULL, err) < 0 ||
		store_event(store, 20002, NULL, NULL,
			json_pack("{s:s, s:s}", "name", name, "who", asker->name), err) < 0 ||
		get(store, id, out, err) < 0)
		return -1;
	int rc = json_object_set_new(*out, "token", json_string(text));
	yg_secret_wipe(secret, sizeof(secret));
	yg_secret_wipe(text, sizeof(text));
	return rc == 0 ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int op_tokens_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	json_t *token YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || get(store, id, &token, err) < 0)
		return -1;
	if (json_is_false(json_object_get(token, "revoked")) &&
		(yg_db_exec(store->db, "UPDATE tokens SET revoked = 1 WHERE id = $1",
			 YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
			store_event(store, 20003, NULL, NULL,
				json_pack("{s:O, s:s}", "name", json_object_get(token, "name"),
					"who", asker->name),
				err) < 0))
		return -1;
	return store_give(json_object(), out, err);
}
