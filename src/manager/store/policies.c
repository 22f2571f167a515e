/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A policy is one document, a member an engine, known by the SHA-256 of its canonical JSON. What the
 * values mean is the engines' business: they refuse what does not fit, and the last good one stays.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "manager/store/content.h"
#include "manager/store/store.h"

#define DOCUMENT_MAX (1u << 20) /* bytes of a document as text */

#define COLUMNS                                                                                    \
	"p.id, p.name, p.version, p.is_default, p.fingerprint, p.document, p.updated, "            \
	"(SELECT count(*) FROM computers c WHERE c.policy = p.id AND c.deleted = 0)"

/* What a new Manager starts with: scans on demand, nothing in real time yet. */
static const char preset[] = "{\"am\":{\"heuristics\":true,\"max_file_bytes\":104857600,"
			     "\"max_recursion\":17,\"max_scan_bytes\":419430400}}";

static json_t *policy_json(const struct yg_rows *rows)
{
	return json_pack("{s:s, s:s, s:I, s:b, s:s, s:o, s:o, s:I}", "id", yg_rows_text(rows, 0),
		"name", yg_rows_text(rows, 1), "version", (json_int_t)yg_rows_int(rows, 2),
		"default", yg_rows_int(rows, 3) != 0, "fingerprint", yg_rows_text(rows, 4),
		"document", store_parse(yg_rows_text(rows, 5)), "updated",
		store_time(yg_rows_int(rows, 6)), "computers", (json_int_t)yg_rows_int(rows, 7));
}

static int get(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT " COLUMNS " FROM policies p WHERE p.id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "policy '%s': no such policy", id);
	return store_give(policy_json(rows), out, err);
}

int store_policy_default(struct store *store, char out[40], struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT id FROM policies WHERE is_default = 1", YG_DB_NO_ARGS,
		    &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "there is no default policy");
	(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	return 0;
}

/* Canonical text, fingerprint and what of it the Manager itself heeds. *text and *content are the caller's to
 * free.
 */
static int settle(const json_t *document, char **text, char hash[YG_HASH_TEXT], char **content,
	struct yg_err *err)
{
	const char *section;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)document, section,
		value) if (!json_is_object(value)) return yg_fail(err, YG_EFORMAT,
		"document: %s: want an object, have %s", section, yg_json_kind(value));
	char *made YG_AUTO(mem) = yg_json_text(document);
	if (!made)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (strlen(made) > DOCUMENT_MAX)
		return yg_fail(err, YG_ELIMIT, "document: want <= %u bytes, have %zu", DOCUMENT_MAX,
			strlen(made));
	if (yg_hash_text(yg_bytes_of(made), hash, err) < 0 ||
		content_of_document(document, content, err) < 0)
		return -1;
	*text = yg_take(made);
	return 0;
}

static int insert(struct store *store, const char *name, bool is_default, const json_t *document,
	char id[YG_UUID_TEXT], struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	char *content YG_AUTO(mem) = NULL;
	char hash[YG_HASH_TEXT];
	if (settle(document, &text, hash, &content, err) < 0 || yg_random_uuid(id, err) < 0)
		return -1;
	if (yg_db_exec(store->db,
		    "INSERT INTO policies (id, name, version, is_default, document, fingerprint, updated, content) "
		    "VALUES ($1, $2, 1, $3, $4, $5, $6, $7)",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name), yg_db_int(is_default),
			    yg_db_text(text), yg_db_text(hash), yg_db_int(store->clock_s),
			    yg_db_text(content)),
		    NULL, err) == 0)
		return 0;
	if (strcmp(err->cause, "conflict") == 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"name: there is a policy '%s' already", name);
	return -1;
}

int store_policy_ensure(struct store *store, struct yg_err *err)
{
	int64_t count = 0;
	if (yg_db_number(store->db, "SELECT count(*) FROM policies", YG_DB_NO_ARGS, &count, err) <
		0)
		return -1;
	if (count > 0)
		return 0;
	json_t *document YG_AUTO(yg_json) = store_parse(preset);
	char id[YG_UUID_TEXT];
	return insert(store, "Base Policy", true, document, id, err);
}

int store_policy_fingerprint(struct store *store, const char *computer, char out[65],
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT p.fingerprint FROM computers c JOIN policies p ON p.id = c.policy WHERE c.id = $1",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", computer);
	(void)snprintf(out, 65, "%s", yg_rows_text(rows, 0));
	return 0;
}

int op_agents_policy(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT p.document, p.fingerprint FROM computers c JOIN policies p ON p.id = c.policy "
		    "WHERE c.id = $1",
		    YG_DB_ARGS(yg_db_text(asker->id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", asker->id);
	return store_give(json_pack("{s:o, s:s}", "policy", store_parse(yg_rows_text(rows, 0)),
				  "fingerprint", yg_rows_text(rows, 1)),
		out, err);
}

int op_policies_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	if (store_page(args, &page, err) < 0)
		return -1;
	json_t *items YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT " COLUMNS " FROM policies p WHERE p.id > $1 ORDER BY p.id LIMIT $2",
		    YG_DB_ARGS(yg_db_text(page.cursor), yg_db_int(page.limit)), &rows, err) < 0)
		return -1;
	char last[40] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%s", yg_rows_text(rows, 0));
		if (store_add(items, policy_json(rows), err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == page.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}

int op_policies_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0 ? -1 : get(store, id, out, err);
}

int op_policies_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *name;
	json_t *document;
	char id[YG_UUID_TEXT];
	if (yg_json_str(args, "name", 200, &name, err) < 0 ||
		yg_json_object(args, "document", &document, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	if (insert(store, name, false, document, id, err) < 0 ||
		store_event(store, 350, NULL, NULL,
			json_pack("{s:s, s:s}", "policy", name, "who", asker->name), err) < 0)
		return -1;
	return get(store, id, out, err);
}

int op_policies_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	const char *name;
	json_t *before YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || get(store, id, &before, err) < 0 ||
		yg_json_str_or(args, "name", 200,
			json_string_value(json_object_get(before, "name")), &name, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	json_t *document = json_object_get(before, "document");
	if (json_object_get(args, "document") &&
		yg_json_object(args, "document", &document, err) < 0)
		return -1;

	char *text YG_AUTO(mem) = NULL;
	char *content YG_AUTO(mem) = NULL;
	char hash[YG_HASH_TEXT];
	if (settle(document, &text, hash, &content, err) < 0)
		return -1;
	bool changed = strcmp(hash, json_string_value(json_object_get(before, "fingerprint"))) != 0;
	if (yg_db_exec(store->db,
		    "UPDATE policies SET name = $2, document = $3, fingerprint = $4, version = version + $5, "
		    "updated = $6, content = $7 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name), yg_db_text(text), yg_db_text(hash),
			    yg_db_int(changed), yg_db_int(store->clock_s), yg_db_text(content)),
		    NULL, err) < 0) {
		if (strcmp(err->cause, "conflict") == 0)
			return yg_fail_cause(err, YG_EFORMAT, "conflict",
				"name: there is a policy '%s' already", name);
		return -1;
	}
	if (store_event(store, 352, NULL, NULL,
		    json_pack("{s:s, s:s}", "policy", name, "who", asker->name), err) < 0 ||
		(changed && store_command_all(store, "policy", id, err) < 0))
		return -1;
	return get(store, id, out, err);
}

int op_policies_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	json_t *policy YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || get(store, id, &policy, err) < 0)
		return -1;
	if (json_is_true(json_object_get(policy, "default")))
		return yg_fail_cause(err, YG_EFORMAT, "conflict", "policy '%s': it is the default",
			id);
	json_int_t used = json_integer_value(json_object_get(policy, "computers"));
	if (used > 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"policy '%s': %lld computers use it", id, (long long)used);
	char other[40];
	/* What still points here: computers that are deleted, tokens. */
	if (store_policy_default(store, other, err) < 0 ||
		yg_db_exec(store->db, "UPDATE computers SET policy = $2 WHERE policy = $1",
			YG_DB_ARGS(yg_db_text(id), yg_db_text(other)), NULL, err) < 0 ||
		yg_db_exec(store->db, "UPDATE tokens SET policy = NULL WHERE policy = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM policies WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		store_event(store, 351, NULL, NULL,
			json_pack("{s:O, s:s}", "policy", json_object_get(policy, "name"), "who",
				asker->name),
			err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}
