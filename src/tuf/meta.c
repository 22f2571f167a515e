/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/meta.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "tuf/canon.h"
#include "tuf/meta_shape.h"

/* Give a failure of a parser below its name in the catalogue. */
static int malformed(struct yg_err *err)
{
	const struct yg_err why = *err;
	return yg_fail_cause(err, YG_EFORMAT, "tuf.format", "%s", why.msg);
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
	if (yg_json_parse(text, max, &meta->doc, err) < 0 || yg_meta_shape_check(meta, err) < 0) {
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

static const json_t *delegations_of(const struct yg_meta *meta, const char *kind)
{
	return json_object_get(json_object_get(meta->body, "delegations"), kind);
}

/* Hex digits of a bin's number. */
static int bin_digits(int64_t bits)
{
	return (int)((bits + 3) / 4);
}

/* "prefix-0f": the name of a bin (TAP 15). */
static void bin_name(const json_t *succinct, uint32_t bin, char out[YG_META_ROLE_MAX])
{
	bool fits = yg_str_put(out, YG_META_ROLE_MAX, "%s-%0*x",
		json_string_value(json_object_get(succinct, "name_prefix")),
		bin_digits(json_integer_value(json_object_get(succinct, "bit_length"))), bin);
	assert(fits); /* meta_shape.c saw to it */
	(void)fits;
}

static bool is_bin(const json_t *succinct, const char *role)
{
	const char *prefix = json_string_value(json_object_get(succinct, "name_prefix"));
	int64_t bits = json_integer_value(json_object_get(succinct, "bit_length"));
	size_t len = strlen(prefix), digits = (size_t)bin_digits(bits);
	if (strncmp(role, prefix, len) != 0 || role[len] != '-' ||
		strlen(role + len + 1) != digits ||
		strspn(role + len + 1, "0123456789abcdef") != digits)
		return false;
	uint64_t bin = 0;
	for (const char *at = role + len + 1; *at; at++)
		bin = bin << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return bin >> bits == 0;
}

static const json_t *delegation_of(const struct yg_meta *by, const char *role)
{
	const json_t *succinct = delegations_of(by, "succinct_roles");
	if (succinct)
		return is_bin(succinct, role) ? succinct : NULL;
	const json_t *roles = delegations_of(by, "roles");
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

static bool array_has(const json_t *array, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		if (json_equal(json_array_get(array, i), value))
			return true;
	}
	return false;
}

/* An id is only a name: the key behind it counts. */
static bool same_key(const struct yg_meta *a, const struct yg_meta *b, const char *id)
{
	const json_t *one = json_object_get(json_object_get(keys_of(a), id), "keyval");
	const json_t *two = json_object_get(json_object_get(keys_of(b), id), "keyval");
	return (!one && !two) || json_equal(one, two);
}

bool yg_meta_same_keys(const struct yg_meta *a, const struct yg_meta *b, const char *role)
{
	const json_t *one = json_object_get(role_of(a, role), "keyids");
	const json_t *two = json_object_get(role_of(b, role), "keyids");
	if (json_array_size(one) != json_array_size(two))
		return false;
	/* No id is in a list twice (meta_shape.c), so equal length and containment is equality. */
	for (size_t i = 0; i < json_array_size(one); i++) {
		const json_t *id = json_array_get(one, i);
		if (!array_has(two, id) || !same_key(a, b, json_string_value(id)))
			return false;
	}
	return true;
}

static struct yg_public public_of(const json_t *key)
{
	return (struct yg_public){
		.keytype = json_string_value(json_object_get(key, "keytype")),
		.scheme = json_string_value(json_object_get(key, "scheme")),
		.text = json_string_value(
			json_object_get(json_object_get(key, "keyval"), "public")),
	};
}

/* One signature, over text that is canonical already. */
static bool signature_ok(const struct yg_public *public, const char *hex, struct yg_bytes text)
{
	uint8_t raw[YG_SIGN_MAX];
	size_t len = strlen(hex) / 2;
	struct yg_err why = {0}; /* a bad signature is not a failure, it only does not count */
	if (len == 0 || len > sizeof(raw) || yg_str_unhex("sig", hex, raw, len, &why) < 0)
		return false;
	return yg_sign_verify(public, text, (struct yg_bytes){raw, len}, &why) == 0;
}

/* Keys that were counted, by their hash: one key must not count twice, under whatever ids and in whatever
 * form.
 */
struct counted {
	uint8_t keys[YG_META_SIGNATURES_MAX][YG_HASH_SIZE];
	int count;
};

static int count_key(struct counted *counted, const struct yg_public *public, struct yg_err *err)
{
	uint8_t hash[YG_HASH_SIZE];
	if (yg_sign_key_hash(public, hash, err) < 0)
		return -1;
	for (int i = 0; i < counted->count; i++)
		if (memcmp(counted->keys[i], hash, sizeof(hash)) == 0)
			return 0;
	memcpy(counted->keys[counted->count++], hash, sizeof(hash));
	return 0;
}

static int count_signers(const json_t *role, const json_t *keys, const struct yg_meta *what,
	struct yg_bytes text, struct counted *counted, struct yg_err *err)
{
	const json_t *signatures = json_object_get(what->doc, "signatures");
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *signature = json_array_get(signatures, i);
		const json_t *id = json_object_get(signature, "keyid");
		const json_t *key = json_object_get(keys, json_string_value(id));
		if (!key || !array_has(json_object_get(role, "keyids"), id))
			continue;
		const struct yg_public public = public_of(key);
		if (signature_ok(&public, json_string_value(json_object_get(signature, "sig")),
			    text) &&
			count_key(counted, &public, err) < 0)
			return -1;
	}
	return 0;
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
	struct counted counted;
	counted.count = 0;
	if (count_signers(entry, keys_of(by), what, yg_buf_bytes(&text), &counted, err) < 0)
		return -1;
	long long want = json_integer_value(json_object_get(entry, "threshold"));
	int have = counted.count;
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
	/* Their lengths were checked by meta_shape.c. */
	const char *hex = json_string_value(json_object_get(hashes, "sha256"));
	if (hex)
		memcpy(out->sha256, hex, sizeof(out->sha256));
	hex = json_string_value(json_object_get(hashes, "sha512"));
	if (hex)
		memcpy(out->sha512, hex, sizeof(out->sha512));
	return true;
}

static int check_hash(const char *name, const char *want, const char *have, struct yg_err *err)
{
	if (strcmp(have, want) == 0)
		return 0;
	return yg_fail_cause(err, YG_EUNTRUSTED, "tuf.hash", "%s: want %.64s, have %.64s", name,
		want, have);
}

int yg_meta_check(const struct yg_meta_file *file, struct yg_bytes bytes, struct yg_err *err)
{
	char sha256[YG_HASH_TEXT], sha512[YG_HASH_512_TEXT];
	if (file->has_length && bytes.len != file->length)
		return yg_fail_cause(err, YG_ELIMIT, "tuf.size", "want %llu bytes, have %zu",
			(unsigned long long)file->length, bytes.len);
	if (file->sha256[0] &&
		(yg_hash_text(bytes, sha256, err) < 0 ||
			check_hash("sha256", file->sha256, sha256, err) < 0))
		return -1;
	if (file->sha512[0] &&
		(yg_hash_512_text(bytes, sha512, err) < 0 ||
			check_hash("sha512", file->sha512, sha512, err) < 0))
		return -1;
	return 0;
}

/* ---- delegations ---- */

/* One pattern element that is no '*' against one byte that is no '/'. *next: where the pattern goes on. */
static bool match_one(const char *pattern, char byte, const char **next)
{
	*next = pattern + 1;
	if (*pattern == '?')
		return byte != '/';
	/* A set ends before the next '/': without an end there, '[' is a '['. */
	const char *from = pattern + (pattern[0] == '[' && pattern[1] == '!' ? 2 : 1);
	const char *end = *pattern == '[' && *from ? strpbrk(from + 1, "/]") : NULL;
	if (!end || *end != ']' || *from == '/')
		return *pattern == byte;
	*next = end + 1;
	bool in = false;
	for (const char *at = from; at < end; at++) {
		bool range = at + 2 < end && at[1] == '-';
		in = in ||
			((unsigned char)byte >= (unsigned char)at[0] &&
				(unsigned char)byte <= (unsigned char)at[range ? 2 : 0]);
		at += range ? 2 : 0;
	}
	return byte != '/' && in == (from == pattern + 1);
}

bool yg_meta_match(const char *pattern, const char *path)
{
	/* The last '*' seen and where it stopped matching: greedy with one step back is enough, since
	 * a '*' never needs to give back what an earlier one took. */
	const char *star = NULL, *from = NULL, *next = NULL;
	while (*path) {
		if (*pattern == '*') {
			star = ++pattern;
			from = path;
		} else if (*pattern && match_one(pattern, *path, &next)) {
			pattern = next;
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

/* The bin of a path: the first bits of its hash. */
static bool find_bin(const json_t *succinct, const char *path, uint32_t *bin)
{
	uint8_t hash[YG_HASH_SIZE];
	struct yg_err why = {0};
	int64_t bits = json_integer_value(json_object_get(succinct, "bit_length"));
	if (yg_hash_bytes(yg_bytes_of(path), hash, &why) < 0)
		return false;
	uint32_t first = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 |
		(uint32_t)hash[2] << 8 | hash[3];
	*bin = first >> (YG_META_BITS_MAX - bits);
	return true;
}

uint64_t yg_meta_delegations(const struct yg_meta *meta)
{
	const json_t *succinct = delegations_of(meta, "succinct_roles");
	if (succinct)
		return 1ull << json_integer_value(json_object_get(succinct, "bit_length"));
	return json_array_size(delegations_of(meta, "roles"));
}

static bool succinct_delegation(const json_t *succinct, uint64_t count, size_t index,
	const char *path, struct yg_meta_delegation *out)
{
	uint32_t bin = (uint32_t)index;
	if (index >= (path ? 1 : count) || (path && !find_bin(succinct, path, &bin)))
		return false;
	*out = (struct yg_meta_delegation){.terminating = true, .covers = path != NULL};
	bin_name(succinct, bin, out->role);
	return true;
}

bool yg_meta_delegation(const struct yg_meta *meta, size_t index, const char *path,
	struct yg_meta_delegation *out)
{
	const json_t *succinct = delegations_of(meta, "succinct_roles");
	if (succinct)
		return succinct_delegation(succinct, yg_meta_delegations(meta), index, path, out);
	const json_t *role = json_array_get(delegations_of(meta, "roles"), index);
	if (!role)
		return false;
	*out = (struct yg_meta_delegation){
		.terminating = json_is_true(json_object_get(role, "terminating")),
		.covers = path && covers(role, path),
	};
	bool fits = yg_str_put(out->role, sizeof(out->role), "%s",
		json_string_value(json_object_get(role, "name")));
	assert(fits); /* meta_shape.c saw to it */
	(void)fits;
	return true;
}

/* ---- names ---- */

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

bool yg_meta_key(const char *role, char out[YG_META_KEY_MAX])
{
	return yg_str_put(out, YG_META_KEY_MAX, "%s.json", role);
}

/* Append, percent-encoded or not. False, and nothing, when it does not fit. */
static bool put_byte(char *out, size_t size, size_t *len, char byte, bool plain)
{
	static const char digits[] = "0123456789ABCDEF";
	if (*len + (plain ? 1 : 3) >= size)
		return false;
	if (plain) {
		out[(*len)++] = byte;
	} else {
		out[(*len)++] = '%';
		out[(*len)++] = digits[(uint8_t)byte >> 4];
		out[(*len)++] = digits[(uint8_t)byte & 15];
	}
	out[*len] = 0;
	return true;
}

bool yg_meta_url(const char *text, const char *also, char out[YG_META_URL_MAX])
{
	size_t len = 0;
	out[0] = 0;
	for (const char *at = text; *at; at++) {
		bool plain = strchr(LETTERS DIGITS "-._~", *at) || strchr(also, *at);
		if (!put_byte(out, YG_META_URL_MAX, &len, *at, plain))
			return false;
	}
	return true;
}

bool yg_meta_name(const char *role, char out[YG_META_NAME_MAX])
{
	size_t len = 0;
	out[0] = 0;
	for (const char *at = role; *at; at++) {
		bool plain = strchr(LETTERS DIGITS "_-", *at) || (*at == '.' && at != role);
		if (!put_byte(out, YG_META_NAME_MAX - sizeof(".json") + 1, &len, *at, plain))
			return false;
	}
	memcpy(out + len, ".json", sizeof(".json"));
	return true;
}

int yg_meta_kept_name(const char *role, char out[YG_META_NAME_MAX], struct yg_err *err)
{
	static const char *const taken[] = {"floor", "installed"};
	bool plain = yg_meta_name(role, out);
	for (size_t i = 0; i < YG_COUNT(taken); i++)
		plain = plain && strcmp(role, taken[i]) != 0;
	if (plain)
		return 0;
	char hash[YG_HASH_TEXT];
	if (yg_hash_text(yg_bytes_of(role), hash, err) < 0)
		return -1;
	bool fits = yg_str_put(out, YG_META_NAME_MAX, "role@%s.json", hash);
	assert(fits);
	(void)fits;
	return 0;
}
