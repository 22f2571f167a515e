/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What the ca role keeps here: sealed secrets, as they are, and the CA bundle for everybody. */
#include <string.h>

#include "core/str.h"
#include "crypto/hash.h"
#include "manager/store/store.h"

#define DATA_MAX   65536  /* bytes of one secret, as base64 text */
#define BUNDLE_MAX 262144 /* bytes of the CA bundle, PEM */

static int name_of(const json_t *args, const char **out, struct yg_err *err)
{
	const char *name;
	if (yg_json_str(args, "name", 100, &name, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..100 bytes, have none");
	*out = name;
	return 0;
}

int op_secrets_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *name = NULL;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (name_of(args, &name, err) < 0 ||
		yg_db_query(store->db, "SELECT data FROM secrets WHERE name = $1",
			YG_DB_ARGS(yg_db_text(name)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "secret '%s': no such secret", name);
	struct yg_bytes data = yg_rows_bytes(rows, 0);
	return store_give(json_pack("{s:s%}", "data", data.ptr ? (const char *)data.ptr : "",
				  data.len),
		out, err);
}

int op_secrets_put(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *name = NULL;
	const char *data;
	bool only_new;
	if (name_of(args, &name, err) < 0 || yg_json_str(args, "data", DATA_MAX, &data, err) < 0 ||
		yg_json_bool_or(args, "only_new", false, &only_new, err) < 0)
		return -1;
	int64_t changed = 0;
	if (yg_db_exec(store->db,
		    "INSERT INTO secrets (name, data) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		    YG_DB_ARGS(yg_db_text(name), yg_db_bytes(yg_bytes_of(data))), &changed,
		    err) < 0)
		return -1;
	if (changed == 0 && only_new)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"secret '%s': it is there already", name);
	if (changed == 0 &&
		yg_db_exec(store->db, "UPDATE secrets SET data = $2 WHERE name = $1",
			YG_DB_ARGS(yg_db_text(name), yg_db_bytes(yg_bytes_of(data))), NULL,
			err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}

int op_ca_put(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *bundle;
	const char *spki;
	uint8_t raw[YG_HASH_SIZE];
	char hash[YG_HASH_TEXT];
	if (yg_json_str(args, "ca_bundle", BUNDLE_MAX, &bundle, err) < 0 ||
		yg_json_str(args, "spki_sha256", 64, &spki, err) < 0 ||
		yg_str_unhex("spki_sha256", spki, raw, sizeof(raw), err) < 0 ||
		yg_hash_text(yg_bytes_of(bundle), hash, err) < 0)
		return -1;
	if (store_fact_put(store, "ca_bundle", bundle, err) < 0 ||
		store_fact_put(store, "ca_bundle_sha256", hash, err) < 0 ||
		store_fact_put(store, "ca_spki_sha256", spki, err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}

int op_ca_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	char *bundle YG_AUTO(mem) = NULL;
	char *hash YG_AUTO(mem) = NULL;
	char *spki YG_AUTO(mem) = NULL;
	if (store_fact_get(store, "ca_bundle", &bundle, err) < 0 ||
		store_fact_get(store, "ca_bundle_sha256", &hash, err) < 0 ||
		store_fact_get(store, "ca_spki_sha256", &spki, err) < 0)
		return -1;
	return store_give(json_pack("{s:s, s:s, s:s, s:s}", "ca_bundle", bundle, "ca_bundle_sha256",
				  hash, "spki_sha256", spki, "manager_id", store->manager_id),
		out, err);
}

int op_agents_ca(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	char *bundle YG_AUTO(mem) = NULL;
	if (store_fact_get(store, "ca_bundle", &bundle, err) < 0)
		return -1;
	return store_give(json_pack("{s:s}", "ca_bundle", bundle), out, err);
}
