/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/meta_shape.h"

#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

/* Every size and count that metadata may have is checked here, before anything else reads it. */

#define TEXT_MAX    (64u << 10) /* bytes of a key's text: an RSA key in PEM is far below */
#define VERSION_MAX (INT64_MAX - 1)
#define LENGTH_MAX  INT64_MAX

static const char *const type_names[] = {"root", "timestamp", "snapshot", "targets"};
static const char *const top_roles[] = {"root", "timestamp", "snapshot", "targets"};

static int parse_keys(const json_t *object, struct yg_err *err)
{
	json_t *keys;
	if (yg_json_object(object, "keys", &keys, err) < 0)
		return -1;
	if (json_object_size(keys) > YG_META_KEYS_MAX)
		return yg_fail(err, YG_ELIMIT, "keys: want <= %u, have %zu", YG_META_KEYS_MAX,
			json_object_size(keys));
	for (void *i = json_object_iter(keys); i; i = json_object_iter_next(keys, i)) {
		const json_t *key = json_object_iter_value(i);
		const char *text;
		json_t *value;
		if (yg_json_str(key, "keytype", 64, &text, err) < 0 ||
			yg_json_str(key, "scheme", 64, &text, err) < 0 ||
			yg_json_object(key, "keyval", &value, err) < 0 ||
			yg_json_str(value, "public", TEXT_MAX, &text, err) < 0)
			return yg_wrap(err, "keys: '%.64s'", json_object_iter_key(i));
	}
	return 0;
}

/* Key ids and threshold, of a top-level role and of a delegation. */
static int parse_role(const json_t *role, struct yg_err *err)
{
	int64_t threshold;
	json_t *ids;
	if (yg_json_int(role, "threshold", 1, YG_META_ROLE_KEYS_MAX, &threshold, err) < 0 ||
		yg_json_array(role, "keyids", YG_META_ROLE_KEYS_MAX, &ids, err) < 0)
		return -1;
	json_t *seen YG_AUTO(yg_json) = json_object();
	if (!seen)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		if (!id)
			return yg_fail(err, YG_EFORMAT, "keyids: want strings, have %s",
				yg_json_kind(json_array_get(ids, i)));
		if (json_object_get(seen, id))
			return yg_fail(err, YG_EFORMAT, "keyids: '%.64s' is there twice", id);
		if (json_object_set_new(seen, id, json_true()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

static int parse_root(const json_t *body, struct yg_err *err)
{
	bool consistent;
	json_t *roles;
	if (yg_json_bool_or(body, "consistent_snapshot", false, &consistent, err) < 0 ||
		parse_keys(body, err) < 0 || yg_json_object(body, "roles", &roles, err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(top_roles); i++) {
		json_t *role;
		if (yg_json_object(roles, top_roles[i], &role, err) < 0)
			return yg_wrap(err, "roles");
		if (parse_role(role, err) < 0)
			return yg_wrap(err, "roles: '%s'", top_roles[i]);
	}
	return 0;
}

static int parse_hash(const json_t *hashes, const char *name, size_t size, bool *known,
	struct yg_err *err)
{
	const char *hex;
	uint8_t raw[YG_HASH_512_SIZE];
	if (!json_object_get(hashes, name))
		return 0;
	*known = true;
	if (yg_json_str(hashes, name, 2 * size, &hex, err) < 0)
		return -1;
	return yg_str_unhex(name, hex, raw, size, err);
}

/* Of metadata there must be one that we can compute: to accept others only would be to accept any bytes. For
 * one target with such hashes a whole role is not refused; yg_tuf_find refuses the target.
 */
static int parse_hashes(const json_t *file, bool need_known, struct yg_err *err)
{
	json_t *hashes;
	bool known = false;
	if (yg_json_object(file, "hashes", &hashes, err) < 0)
		return -1;
	if (parse_hash(hashes, "sha256", YG_HASH_SIZE, &known, err) < 0 ||
		parse_hash(hashes, "sha512", YG_HASH_512_SIZE, &known, err) < 0)
		return yg_wrap(err, "hashes");
	if (known || (!need_known && json_object_size(hashes) > 0))
		return 0;
	return yg_fail(err, YG_EFORMAT, "hashes: want sha256 or sha512, have %s",
		json_object_size(hashes) > 0 ? "others only" : "none");
}

static int parse_meta_entry(const json_t *file, struct yg_err *err)
{
	int64_t number;
	if (yg_json_int(file, "version", 1, VERSION_MAX, &number, err) < 0 ||
		yg_json_int_or(file, "length", 0, LENGTH_MAX, 0, &number, err) < 0)
		return -1;
	return json_object_get(file, "hashes") ? parse_hashes(file, true, err) : 0;
}

static int parse_meta(const json_t *body, const char *needed, struct yg_err *err)
{
	json_t *meta;
	if (yg_json_object(body, "meta", &meta, err) < 0)
		return -1;
	if (!json_object_get(meta, needed))
		return yg_fail(err, YG_EFORMAT, "meta: want '%s', have nothing", needed);
	for (void *i = json_object_iter(meta); i; i = json_object_iter_next(meta, i)) {
		if (parse_meta_entry(json_object_iter_value(i), err) < 0)
			return yg_wrap(err, "meta: '%.128s'", json_object_iter_key(i));
	}
	return 0;
}

static int parse_strings(const json_t *role, const char *name, struct yg_err *err)
{
	json_t *list;
	if (yg_json_array(role, name, YG_META_ROLES_MAX, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!json_is_string(json_array_get(list, i)))
			return yg_fail(err, YG_EFORMAT, "%s: want strings, have %s", name,
				yg_json_kind(json_array_get(list, i)));
	}
	return 0;
}

static int parse_delegation(const json_t *role, json_t *seen, struct yg_err *err)
{
	const char *name;
	bool terminating;
	if (yg_json_str(role, "name", YG_META_ROLE_MAX - 1, &name, err) < 0)
		return -1;
	if (!*name)
		return yg_fail(err, YG_EFORMAT, "name: want one, have an empty text");
	for (size_t i = 0; i < YG_COUNT(top_roles); i++) {
		if (strcmp(name, top_roles[i]) == 0)
			return yg_fail(err, YG_EFORMAT, "name: '%s' is a top-level role", name);
	}
	if (json_object_get(seen, name))
		return yg_fail(err, YG_EFORMAT, "name: '%s' is there twice", name);
	if (json_object_set_new(seen, name, json_true()) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	bool paths = json_object_get(role, "paths") != NULL;
	bool prefixes = json_object_get(role, "path_hash_prefixes") != NULL;
	if (paths == prefixes)
		return yg_fail(err, YG_EFORMAT,
			"'%s': want either paths or path_hash_prefixes, have %s", name,
			paths ? "both" : "neither");
	if (yg_json_bool_or(role, "terminating", false, &terminating, err) < 0 ||
		parse_role(role, err) < 0 ||
		parse_strings(role, paths ? "paths" : "path_hash_prefixes", err) < 0)
		return yg_wrap(err, "'%s'", name);
	return 0;
}

/* TAP 15. The longest bin's name must be one of a role. */
static int parse_succinct(const json_t *delegations, struct yg_err *err)
{
	json_t *succinct;
	const char *prefix;
	int64_t bits;
	if (yg_json_object(delegations, "succinct_roles", &succinct, err) < 0)
		return -1;
	if (yg_json_int(succinct, "bit_length", 1, YG_META_BITS_MAX, &bits, err) < 0 ||
		yg_json_str(succinct, "name_prefix", YG_META_ROLE_MAX - 1 - sizeof("-ffffffff"),
			&prefix, err) < 0 ||
		parse_role(succinct, err) < 0)
		return yg_wrap(err, "succinct_roles");
	if (!*prefix)
		return yg_fail(err, YG_EFORMAT,
			"succinct_roles: name_prefix: want one, have an empty text");
	return 0;
}

static int parse_roles(const json_t *delegations, struct yg_err *err)
{
	json_t *roles;
	if (yg_json_array(delegations, "roles", YG_META_ROLES_MAX, &roles, err) < 0)
		return -1;
	json_t *seen YG_AUTO(yg_json) = json_object();
	if (!seen)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(roles); i++) {
		if (parse_delegation(json_array_get(roles, i), seen, err) < 0)
			return yg_wrap(err, "role %zu", i + 1);
	}
	return 0;
}

static int parse_delegations(const json_t *body, struct yg_err *err)
{
	json_t *delegations;
	if (!json_object_get(body, "delegations"))
		return 0;
	if (yg_json_object(body, "delegations", &delegations, err) < 0)
		return -1;
	bool succinct = json_object_get(delegations, "succinct_roles") != NULL;
	if (succinct && json_object_get(delegations, "roles"))
		return yg_fail(err, YG_EFORMAT,
			"delegations: want either roles or succinct_roles, have both");
	if (parse_keys(delegations, err) < 0 ||
		(succinct ? parse_succinct(delegations, err) : parse_roles(delegations, err)) < 0)
		return yg_wrap(err, "delegations");
	return 0;
}

static int parse_targets(const json_t *body, struct yg_err *err)
{
	json_t *targets;
	if (yg_json_object(body, "targets", &targets, err) < 0)
		return -1;
	for (void *i = json_object_iter(targets); i; i = json_object_iter_next(targets, i)) {
		const json_t *file = json_object_iter_value(i);
		int64_t length;
		if (yg_json_int(file, "length", 0, LENGTH_MAX, &length, err) < 0 ||
			parse_hashes(file, false, err) < 0)
			return yg_wrap(err, "targets: '%.128s'", json_object_iter_key(i));
	}
	return parse_delegations(body, err);
}

static int parse_signatures(const json_t *doc, struct yg_err *err)
{
	json_t *signatures;
	if (yg_json_array(doc, "signatures", YG_META_SIGNATURES_MAX, &signatures, err) < 0)
		return -1;
	json_t *seen YG_AUTO(yg_json) = json_object();
	if (!seen)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *signature = json_array_get(signatures, i);
		const char *id, *text;
		if (yg_json_str(signature, "keyid", 256, &id, err) < 0 ||
			yg_json_str(signature, "sig", TEXT_MAX, &text, err) < 0)
			return yg_wrap(err, "signatures: %zu", i + 1);
		if (json_object_get(seen, id)) /* 4.2.1: "MUST be unique" */
			return yg_fail(err, YG_EFORMAT, "signatures: keyid '%.64s' is there twice",
				id);
		if (json_object_set_new(seen, id, json_true()) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

/* Versions "1", "1.x" and "1.x.y" of the specification have one format. */
static bool spec_ok(const char *text)
{
	return text[0] == '1' && (text[1] == 0 || text[1] == '.');
}

/* Ours, and unknown to others: whatever else stands under that name is none. */
static int64_t parse_signed_at(const struct yg_meta *meta)
{
	struct yg_err why = {0};
	int64_t at = 0;
	const char *text = json_string_value(json_object_get(meta->body, "signed_at"));
	if (!text || yg_clock_parse(text, &at, &why) < 0 || at < 0 || at >= meta->expires)
		return 0;
	return at;
}

static int parse_body(struct yg_meta *meta, struct yg_err *err)
{
	const char *text;
	if (yg_json_str(meta->body, "_type", 32, &text, err) < 0)
		return -1;
	if (strcmp(text, type_names[meta->type]) != 0)
		return yg_fail(err, YG_EFORMAT, "_type: want '%s', have '%s'",
			type_names[meta->type], text);
	if (yg_json_str(meta->body, "spec_version", 32, &text, err) < 0)
		return -1;
	if (!spec_ok(text))
		return yg_fail(err, YG_EFORMAT, "spec_version: want 1.x, have '%s'", text);
	if (yg_json_int(meta->body, "version", 1, VERSION_MAX, &meta->version, err) < 0 ||
		yg_json_str(meta->body, "expires", 64, &text, err) < 0)
		return -1;
	if (yg_clock_parse(text, &meta->expires, err) < 0)
		return yg_wrap(err, "expires");
	meta->signed_at = parse_signed_at(meta);
	switch (meta->type) {
	case YG_META_ROOT:
		return parse_root(meta->body, err);
	case YG_META_TIMESTAMP:
		return parse_meta(meta->body, "snapshot.json", err);
	case YG_META_SNAPSHOT:
		return parse_meta(meta->body, "targets.json", err);
	case YG_META_TARGETS:
		return parse_targets(meta->body, err);
	}
	return yg_fail(err, YG_EFORMAT, "unknown type of metadata");
}

int yg_meta_shape_check(struct yg_meta *meta, struct yg_err *err)
{
	if (!json_is_object(meta->doc))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(meta->doc));
	if (yg_json_object(meta->doc, "signed", &meta->body, err) < 0 ||
		parse_signatures(meta->doc, err) < 0)
		return -1;
	return parse_body(meta, err);
}
