/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "tests/lib/cmocka_all.h"
#include "tuf/canon.h"
#include "tuf/tuf.h"

/* A repository and a client's cache in memory, whose every byte a test can change. Bodies are edited as
 * JSON, then published, which signs them.
 */

#define SIM_NOW  1800000000 /* 2027-01-15T08:00:00Z */
#define SIM_KEYS 16

struct sim {
	struct {
		char name[32];
		struct yg_key *key;
	} keys[SIM_KEYS];
	json_t *root, *timestamp, *snapshot, *targets, *am; /* "signed" parts */
	json_t *remote;                                     /* path to text */
	json_t *cache;                                      /* name to text */
	json_t *requests;                                   /* paths asked for */
	json_t *root_doc; /* the first root, as it was installed */
	int64_t now;
	bool hashes; /* snapshot and timestamp list lengths and hashes */
};

static inline struct yg_key *sim_key(struct sim *sim, const char *name)
{
	struct yg_err err = {0};
	for (size_t i = 0; i < SIM_KEYS; i++) {
		if (strcmp(sim->keys[i].name, name) == 0)
			return sim->keys[i].key;
		if (sim->keys[i].key)
			continue;
		assert_true(yg_str_put(sim->keys[i].name, sizeof(sim->keys[i].name), "%s", name));
		sim->keys[i].key = yg_key_generate(YG_KEY_ED25519, &err);
		assert_non_null(sim->keys[i].key);
		return sim->keys[i].key;
	}
	assert_true(false);
	return NULL;
}

/* Key ids are the names: what a test says is what a failure shows. */
static inline void sim_add_key(struct sim *sim, json_t *body, const char *id, const char *name)
{
	struct yg_err err = {0};
	struct yg_public public;
	char *text = NULL;
	assert_int_equal(yg_key_public(sim_key(sim, name), &public, &text, &err), 0);
	assert_int_equal(json_object_set_new(json_object_get(body, "keys"), id,
				 json_pack("{s:s, s:s, s:{s:s}}", "keytype", public.keytype,
					 "scheme", public.scheme, "keyval", "public", text)),
		0);
	free(text);
}

static inline char *sim_sign(struct sim *sim, const json_t *body, const char *signers)
{
	struct yg_err err = {0};
	struct yg_buf text = YG_BUF(8u << 20);
	json_t *signatures = json_array();
	assert_int_equal(yg_canon(body, &text, &err), 0);
	char *list = strdup(signers), *rest = list;
	for (char *name; (name = strsep(&rest, " ")) != NULL;) {
		uint8_t raw[YG_SIGN_MAX];
		char hex[2 * YG_SIGN_MAX + 1];
		size_t len = 0;
		if (!*name)
			continue;
		/* "id=key" signs with another key's id. */
		char *key = strchr(name, '=');
		if (key)
			*key++ = 0;
		assert_int_equal(yg_sign_make(sim_key(sim, key ? key : name), yg_buf_bytes(&text),
					 raw, &len, &err),
			0);
		yg_str_hex(raw, len, hex);
		(void)json_array_append_new(signatures,
			json_pack("{s:s, s:s}", "keyid", name, "sig", hex));
	}
	free(list);
	yg_buf_free(&text);
	json_t *copy = json_deep_copy(body);
	json_t *doc = json_pack("{s:o, s:o}", "signatures", signatures, "signed", copy);
	char *out = yg_json_text(doc);
	assert_non_null(out);
	json_decref(doc);
	return out;
}

static inline void sim_put(struct sim *sim, const char *path, const char *text)
{
	assert_int_equal(json_object_set_new(sim->remote, path, json_string(text)), 0);
}

static inline int64_t sim_version(const json_t *body)
{
	return json_integer_value(json_object_get(body, "version"));
}

static inline void sim_set(json_t *body, const char *name, int64_t value)
{
	assert_int_equal(json_object_set_new(body, name, json_integer(value)), 0);
}

static inline void sim_bump(json_t *body)
{
	sim_set(body, "version", sim_version(body) + 1);
}

static inline json_t *sim_entry(const struct sim *sim, const json_t *body, const char *text)
{
	char hash[YG_HASH_TEXT];
	struct yg_err err = {0};
	if (!sim->hashes)
		return json_pack("{s:I}", "version", (json_int_t)sim_version(body));
	assert_int_equal(yg_hash_text(yg_bytes_of(text), hash, &err), 0);
	return json_pack("{s:I, s:I, s:{s:s}}", "version", (json_int_t)sim_version(body), "length",
		(json_int_t)strlen(text), "hashes", "sha256", hash);
}

static inline void sim_write(struct sim *sim, json_t *body, const char *role, const char *signers,
	json_t *listed_in)
{
	char path[128], key[64];
	char *text = sim_sign(sim, body, signers);
	if (strcmp(role, "timestamp") == 0)
		assert_true(yg_str_put(path, sizeof(path), "metadata/timestamp.json"));
	else
		assert_true(yg_str_put(path, sizeof(path), "metadata/%lld.%s.json",
			(long long)sim_version(body), role));
	assert_true(yg_str_put(key, sizeof(key), "%s.json", role));
	sim_put(sim, path, text);
	if (listed_in)
		(void)json_object_set_new(json_object_get(listed_in, "meta"), key,
			sim_entry(sim, body, text));
	free(text);
}

/* Sign and write all but the root, each linked to the one above it. */
static inline void sim_publish(struct sim *sim)
{
	sim_write(sim, sim->am, "am", "am", sim->snapshot);
	sim_write(sim, sim->targets, "targets", "targets", sim->snapshot);
	sim_write(sim, sim->snapshot, "snapshot", "snapshot", sim->timestamp);
	sim_write(sim, sim->timestamp, "timestamp", "timestamp", NULL);
}

/* Next versions of all but the root. */
static inline void sim_next(struct sim *sim)
{
	sim_bump(sim->am);
	sim_bump(sim->targets);
	sim_bump(sim->snapshot);
	sim_bump(sim->timestamp);
}

static inline void sim_role(json_t *root, const char *role, const char *ids, int threshold)
{
	json_t *keyids = json_array();
	char *list = strdup(ids), *rest = list;
	for (char *id; (id = strsep(&rest, " ")) != NULL;)
		(void)json_array_append_new(keyids, json_string(id));
	free(list);
	(void)json_object_set_new(json_object_get(root, "roles"), role,
		json_pack("{s:o, s:i}", "keyids", keyids, "threshold", threshold));
}

static inline json_t *sim_body(const char *type)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "_type", type, "spec_version", "1.0.34", "version",
		1, "expires", "2027-06-01T00:00:00Z");
}

static inline void sim_target(struct sim *sim, json_t *body, const char *path, const char *text)
{
	char hash[YG_HASH_TEXT], url[256];
	struct yg_err err = {0};
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) + 1 : 0;
	assert_int_equal(yg_hash_text(yg_bytes_of(text), hash, &err), 0);
	assert_true(yg_str_put(url, sizeof(url), "targets/%.*s%s.%s", folder, path, hash,
		path + folder));
	sim_put(sim, url, text);
	(void)json_object_set_new(json_object_get(body, "targets"), path,
		json_pack("{s:i, s:{s:s}}", "length", (int)strlen(text), "hashes", "sha256", hash));
}

static inline void sim_delegate(struct sim *sim, json_t *by, const char *role, const char *pattern,
	bool terminating)
{
	json_t *delegations = json_object_get(by, "delegations");
	if (!delegations) {
		delegations = json_pack("{s:{}, s:[]}", "keys", "roles");
		(void)json_object_set_new(by, "delegations", delegations);
	}
	sim_add_key(sim, delegations, role, role);
	(void)json_array_append_new(json_object_get(delegations, "roles"),
		json_pack("{s:s, s:[s], s:i, s:b, s:[s]}", "name", role, "keyids", role,
			"threshold", 1, "terminating", terminating, "paths", pattern));
}

static inline void sim_init(struct sim *sim)
{
	static const char *const top[] = {"root", "timestamp", "snapshot", "targets"};
	*sim = (struct sim){.remote = json_object(),
		.cache = json_object(),
		.requests = json_array(),
		.now = SIM_NOW,
		.hashes = true,
		.root = sim_body("root"),
		.timestamp = sim_body("timestamp"),
		.snapshot = sim_body("snapshot"),
		.targets = sim_body("targets"),
		.am = sim_body("targets")};
	(void)json_object_update_new(sim->root,
		json_pack("{s:b, s:{}, s:{}}", "consistent_snapshot", 1, "keys", "roles"));
	for (size_t i = 0; i < 4; i++) {
		sim_add_key(sim, sim->root, top[i], top[i]);
		sim_role(sim->root, top[i], top[i], 1);
	}
	(void)json_object_set_new(sim->timestamp, "meta", json_object());
	(void)json_object_set_new(sim->snapshot, "meta", json_object());
	(void)json_object_set_new(sim->targets, "targets", json_object());
	(void)json_object_set_new(sim->am, "targets", json_object());
	sim_delegate(sim, sim->targets, "am", "am/*", true);
	sim_target(sim, sim->am, "am/am-pattern.json", "the manifest");
	sim_write(sim, sim->root, "root", "root", NULL);
	sim->root_doc = json_incref(json_object_get(sim->remote, "metadata/1.root.json"));
	sim_publish(sim);
}

static inline void sim_done(struct sim *sim)
{
	for (size_t i = 0; i < SIM_KEYS; i++)
		yg_key_free(sim->keys[i].key);
	json_t *all[] = {sim->root, sim->timestamp, sim->snapshot, sim->targets, sim->am,
		sim->remote, sim->cache, sim->requests, sim->root_doc};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		json_decref(all[i]);
}

/* ---- the client's side ---- */

static inline int sim_get(const json_t *from, const char *name, struct yg_buf *buf,
	struct yg_err *err)
{
	const json_t *text = json_object_get(from, name);
	if (!text)
		return yg_fail(err, YG_EABSENT, "not there");
	return yg_buf_add(buf, json_string_value(text), json_string_length(text), err);
}

static inline int sim_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct sim *sim = ctx;
	(void)json_array_append_new(sim->requests, json_string(path));
	(void)max;
	return sim_get(sim->remote, path, buf, err);
}

static inline int sim_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	const struct sim *sim = ctx;
	return sim_get(sim->cache, name, buf, err);
}

static inline int sim_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	struct sim *sim = ctx;
	(void)err;
	if (bytes.len == 0)
		(void)json_object_del(sim->cache, name);
	else
		(void)json_object_set_new(sim->cache, name,
			json_stringn((const char *)bytes.ptr, bytes.len));
	return 0;
}

static const struct yg_tuf_ops sim_ops = {sim_fetch, sim_load, sim_save};

/* A client's whole run: trust, refresh, get one target. */
static inline int sim_run(struct sim *sim, const char *target, struct yg_buf *out,
	struct yg_err *err)
{
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&sim_ops, sim, sim->now, err);
	(void)json_array_clear(sim->requests);
	if (!tuf || yg_tuf_trust(tuf, yg_bytes_of(json_string_value(sim->root_doc)), err) < 0 ||
		yg_tuf_refresh(tuf, err) < 0)
		return -1;
	return yg_tuf_get(tuf, target, out, err);
}
