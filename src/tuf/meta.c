/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/meta.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "tuf/canon.h"

#define TEXT_MAX    (64u << 10) /* bytes of a key's text: an RSA key in PEM is far below */
#define VERSION_MAX (INT64_MAX - 1)
#define LENGTH_MAX  INT64_MAX

static const char *const type_names[] = {"root", "timestamp", "snapshot", "targets"};
static const char *const top_roles[] = {"root", "timestamp", "snapshot", "targets"};

/* Give a failure of a parser below its name in the catalogue. */
static int malformed(struct yg_err *err)
{
	const struct yg_err why = *err;
	return yg_fail_cause(err, YG_EFORMAT, "tuf.format", "%s", why.msg);
}

/* ---- shape ---- */

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

/* Hashes must have one that we can compute: to accept others only would be to accept any bytes. */
static int parse_hashes(const json_t *file, struct yg_err *err)
{
	json_t *hashes;
	const char *hex;
	uint8_t raw[YG_HASH_SIZE];
	if (yg_json_object(file, "hashes", &hashes, err) < 0)
		return -1;
	if (yg_json_str(hashes, "sha256", 2 * YG_HASH_SIZE, &hex, err) < 0 ||
		yg_str_unhex("sha256", hex, raw, sizeof(raw), err) < 0)
		return yg_wrap(err, "hashes");
	return 0;
}

static int parse_meta_entry(const json_t *file, struct yg_err *err)
{
	int64_t number;
	if (yg_json_int(file, "version", 1, VERSION_MAX, &number, err) < 0 ||
		yg_json_int_or(file, "length", 0, LENGTH_MAX, 0, &number, err) < 0)
		return -1;
	return json_object_get(file, "hashes") ? parse_hashes(file, err) : 0;
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
	char file[YG_META_NAME_MAX];
	bool terminating;
	if (yg_json_str(role, "name", YG_META_NAME_MAX, &name, err) < 0)
		return -1;
	if (!*name || !yg_meta_name(name, file))
		return yg_fail(err, YG_EFORMAT, "name: '%.64s' is empty or too long", name);
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

static int parse_delegations(const json_t *body, struct yg_err *err)
{
	json_t *delegations, *roles;
	if (!json_object_get(body, "delegations"))
		return 0;
	if (yg_json_object(body, "delegations", &delegations, err) < 0)
		return -1;
	if (json_object_get(delegations, "succinct_roles"))
		return yg_fail(err, YG_EFORMAT,
			"delegations: succinct_roles are not supported, want roles");
	if (parse_keys(delegations, err) < 0 ||
		yg_json_array(delegations, "roles", YG_META_ROLES_MAX, &roles, err) < 0)
		return yg_wrap(err, "delegations");
	json_t *seen YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < json_array_size(roles); i++) {
		if (parse_delegation(json_array_get(roles, i), seen, err) < 0)
			return yg_wrap(err, "delegations: role %zu", i + 1);
	}
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
			parse_hashes(file, err) < 0)
			return yg_wrap(err, "targets: '%.128s'", json_object_iter_key(i));
	}
	return parse_delegations(body, err);
}

static int parse_signatures(const json_t *doc, struct yg_err *err)
{
	json_t *signatures;
	if (yg_json_array(doc, "signatures", YG_META_SIGNATURES_MAX, &signatures, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *signature = json_array_get(signatures, i);
		const char *text;
		if (yg_json_str(signature, "keyid", 256, &text, err) < 0 ||
			yg_json_str(signature, "sig", TEXT_MAX, &text, err) < 0)
			return yg_wrap(err, "signatures: %zu", i + 1);
	}
	return 0;
}

/* Versions "1", "1.x" and "1.x.y" of the specification have one format. */
static bool spec_ok(const char *text)
{
	return text[0] == '1' && (text[1] == 0 || text[1] == '.');
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

static int parse(struct yg_meta *meta, struct yg_bytes text, size_t max, struct yg_err *err)
{
	if (yg_json_parse(text, max, &meta->doc, err) < 0)
		return -1;
	if (!json_is_object(meta->doc))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(meta->doc));
	if (yg_json_object(meta->doc, "signed", &meta->body, err) < 0 ||
		parse_signatures(meta->doc, err) < 0)
		return -1;
	return parse_body(meta, err);
}

struct yg_meta *yg_meta_parse(enum yg_meta_type type, struct yg_bytes text, size_t max,
	struct yg_err *err)
{
	if (text.len > max) {
		(void)yg_fail_cause(err, YG_ELIMIT, "tuf.size", "want <= %zu bytes, have %zu", max,
			text.len);
		return NULL;
	}
	struct yg_meta *meta YG_AUTO(yg_meta) = calloc(1, sizeof(*meta));
	if (!meta) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	meta->type = type;
	if (parse(meta, text, max, err) < 0) {
		/* Whatever limit or rule it breaks, to the caller it is malformed. */
		if (err->code != YG_ESYSTEM)
			(void)malformed(err);
		return NULL;
	}
	return yg_take(meta);
}

void yg_meta_free(struct yg_meta *meta)
{
	if (!meta)
		return;
	json_decref(meta->doc);
	free(meta);
}

/* ---- roles and signatures ---- */

static const json_t *delegation_of(const struct yg_meta *by, const char *role)
{
	const json_t *roles = json_object_get(json_object_get(by->body, "delegations"), "roles");
	for (size_t i = 0; i < json_array_size(roles); i++) {
		const json_t *at = json_array_get(roles, i);
		if (strcmp(json_string_value(json_object_get(at, "name")), role) == 0)
			return at;
	}
	return NULL;
}

static const json_t *role_of(const struct yg_meta *by, const char *role)
{
	if (by->type == YG_META_ROOT)
		return json_object_get(json_object_get(by->body, "roles"), role);
	return by->type == YG_META_TARGETS ? delegation_of(by, role) : NULL;
}

static const json_t *keys_of(const struct yg_meta *by)
{
	const json_t *at = by->type == YG_META_ROOT ? by->body
						    : json_object_get(by->body, "delegations");
	return json_object_get(at, "keys");
}

bool yg_meta_knows(const struct yg_meta *by, const char *role)
{
	return role_of(by, role) != NULL;
}

bool yg_meta_same_keys(const struct yg_meta *a, const struct yg_meta *b, const char *role)
{
	const json_t *one = json_object_get(role_of(a, role), "keyids");
	const json_t *two = json_object_get(role_of(b, role), "keyids");
	if (json_array_size(one) != json_array_size(two))
		return false;
	/* No id is in a list twice (parse_role), so equal length and containment is equality. */
	for (size_t i = 0; i < json_array_size(one); i++) {
		bool found = false;
		for (size_t k = 0; k < json_array_size(two) && !found; k++)
			found = json_equal(json_array_get(one, i), json_array_get(two, k));
		if (!found)
			return false;
	}
	return true;
}

/* One signature, over text that is canonical already. */
static bool signature_ok(const json_t *key, const char *hex, struct yg_bytes text)
{
	uint8_t raw[YG_SIGN_MAX];
	size_t len = strlen(hex) / 2;
	struct yg_err why = {0}; /* a bad signature is not a failure, it only does not count */
	if (len == 0 || len > sizeof(raw) || yg_str_unhex("sig", hex, raw, len, &why) < 0)
		return false;
	struct yg_public public = {
		.keytype = json_string_value(json_object_get(key, "keytype")),
		.scheme = json_string_value(json_object_get(key, "scheme")),
		.text = json_string_value(
			json_object_get(json_object_get(key, "keyval"), "public")),
	};
	return yg_sign_verify(&public, text, (struct yg_bytes){raw, len}, &why) == 0;
}

static bool array_has(const json_t *array, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (json_equal(json_array_get(array, i), value))
			return true;
	}
	return false;
}

/* How many different keys of the role signed; -1 when memory is out. */
static int count_signers(const json_t *role, const json_t *keys, const struct yg_meta *what,
	struct yg_bytes text)
{
	const json_t *signatures = json_object_get(what->doc, "signatures");
	/* Public keys that were counted: the same key under two ids must not count twice. */
	json_t *counted YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *signature = json_array_get(signatures, i);
		const json_t *id = json_object_get(signature, "keyid");
		const json_t *key = json_object_get(keys, json_string_value(id));
		json_t *public = json_object_get(json_object_get(key, "keyval"), "public");
		if (!key || !array_has(json_object_get(role, "keyids"), id) ||
			array_has(counted, public) ||
			!signature_ok(key, json_string_value(json_object_get(signature, "sig")),
				text))
			continue;
		if (json_array_append(counted, public) < 0)
			return -1;
	}
	return (int)json_array_size(counted);
}

int yg_meta_verify(const struct yg_meta *by, const char *role, const struct yg_meta *what,
	struct yg_err *err)
{
	const json_t *entry = role_of(by, role);
	if (!entry)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.not_delegated",
			"no delegation to role '%.64s'", role);
	/* Canonical text is never longer than twice what was parsed; this bounds a buffer. */
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(64u << 20);
	if (yg_canon(what->body, &text, err) < 0)
		return err->code == YG_EFORMAT ? malformed(err) : -1;
	int have = count_signers(entry, keys_of(by), what, yg_buf_bytes(&text));
	long long want = json_integer_value(json_object_get(entry, "threshold"));
	if (have < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (have >= want)
		return 0;
	return yg_fail_cause(err, YG_EUNTRUSTED, have == 0 ? "tuf.signature" : "tuf.threshold",
		"want valid signatures of %lld keys of role '%.64s' in version %lld of its delegator, "
		"have %d",
		want, role, (long long)by->version, have);
}

/* ---- files ---- */

static const json_t *entries_of(const struct yg_meta *meta)
{
	return json_object_get(meta->body, meta->type == YG_META_TARGETS ? "targets" : "meta");
}

bool yg_meta_file(const struct yg_meta *meta, const char *name, struct yg_meta_file *out)
{
	const json_t *entry = json_object_get(entries_of(meta), name);
	if (!entry)
		return false;
	*out = (struct yg_meta_file){0};
	const json_t *length = json_object_get(entry, "length");
	const json_t *hashes = json_object_get(entry, "hashes");
	out->version = json_integer_value(json_object_get(entry, "version"));
	out->has_length = json_is_integer(length);
	out->length = (uint64_t)json_integer_value(length);
	const json_t *custom = json_object_get(entry, "custom");
	out->custom = json_is_object(custom) ? custom : NULL;
	/* Its length was checked by parse_hashes. */
	if (hashes)
		memcpy(out->sha256, json_string_value(json_object_get(hashes, "sha256")),
			sizeof(out->sha256));
	return true;
}

int yg_meta_check(const struct yg_meta_file *file, struct yg_bytes bytes, struct yg_err *err)
{
	char have[YG_HASH_TEXT];
	if (file->has_length && bytes.len != file->length)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size", "want %llu bytes, have %zu",
			(unsigned long long)file->length, bytes.len);
	if (!file->sha256[0])
		return 0;
	if (yg_hash_text(bytes, have, err) < 0)
		return -1;
	if (strcmp(have, file->sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.hash", "sha256: want %s, have %s",
			file->sha256, have);
	return 0;
}

/* ---- delegations ---- */

bool yg_meta_match(const char *pattern, const char *path)
{
	/* The last '*' seen and where it stopped matching: greedy with one step back is enough, since
	 * a '*' never needs to give back what an earlier one took. */
	const char *star = NULL, *from = NULL;
	while (*path) {
		if (*pattern == '*') {
			star = ++pattern;
			from = path;
		} else if (*pattern == *path || (*pattern == '?' && *path != '/')) {
			pattern++;
			path++;
		} else if (star && *from != '/') {
			pattern = star;
			path = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == 0;
}

static bool covers(const json_t *role, const char *path)
{
	const json_t *paths = json_object_get(role, "paths");
	for (size_t i = 0; i < json_array_size(paths); i++) {
		if (yg_meta_match(json_string_value(json_array_get(paths, i)), path))
			return true;
	}
	const json_t *prefixes = json_object_get(role, "path_hash_prefixes");
	char hash[YG_HASH_TEXT];
	struct yg_err why = {0};
	if (!prefixes || yg_hash_text(yg_bytes_of(path), hash, &why) < 0)
		return false;
	for (size_t i = 0; i < json_array_size(prefixes); i++) {
		const char *prefix = json_string_value(json_array_get(prefixes, i));
		if (strncmp(hash, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

bool yg_meta_delegation(const struct yg_meta *meta, size_t index, const char *path,
	struct yg_meta_delegation *out)
{
	const json_t *role = json_array_get(
		json_object_get(json_object_get(meta->body, "delegations"), "roles"), index);
	if (!role)
		return false;
	*out = (struct yg_meta_delegation){
		.role = json_string_value(json_object_get(role, "name")),
		.terminating = json_is_true(json_object_get(role, "terminating")),
		.covers = path && covers(role, path),
	};
	return true;
}

/* ---- names ---- */

bool yg_meta_key(const char *role, char out[YG_META_NAME_MAX])
{
	return yg_str_put(out, YG_META_NAME_MAX, "%s.json", role);
}

bool yg_meta_name(const char *role, char out[YG_META_NAME_MAX])
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
	size_t n = 0;
	for (const char *at = role; *at; at++) {
		bool keep = strchr(plain, *at) && !(at == role && *at == '.');
		if (n + 3 + sizeof(".json") > YG_META_NAME_MAX)
			return false;
		if (keep) {
			out[n++] = *at;
			continue;
		}
		static const char digits[] = "0123456789ABCDEF";
		out[n++] = '%';
		out[n++] = digits[(uint8_t)*at >> 4];
		out[n++] = digits[(uint8_t)*at & 15];
	}
	memcpy(out + n, ".json", sizeof(".json"));
	return true;
}
