/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/licence.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "proto/wire.h"
#include "tuf/canon.h"

#define KEY_TEXT_MAX 4096

static const char *const groups[] = {"am-wr"};

const char *licence_group(size_t index)
{
	return index < YG_COUNT(groups) ? groups[index] : NULL;
}

static int public_of(const json_t *key, struct yg_public *out, struct yg_err *err)
{
	json_t *value;
	if (!json_is_object(key))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(key));
	if (yg_json_str(key, "keytype", 32, &out->keytype, err) < 0 ||
		yg_json_str(key, "scheme", 64, &out->scheme, err) < 0 ||
		yg_json_object(key, "keyval", &value, err) < 0)
		return -1;
	return yg_json_str(value, "public", KEY_TEXT_MAX, &out->text, err) < 0
		? yg_wrap(err, "keyval")
		: 0;
}

int licence_key_check(const json_t *key, char id[65], struct yg_err *err)
{
	struct yg_public public;
	uint8_t hash[32];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(2 * KEY_TEXT_MAX);
	if (public_of(key, &public, err) < 0 || yg_sign_key_hash(&public, hash, err) < 0 ||
		yg_canon(key, &text, err) < 0)
		return yg_wrap(err, "key");
	return yg_hash_text(yg_buf_bytes(&text), id, err);
}

static int time_of(const json_t *body, const char *name, int64_t *out, struct yg_err *err)
{
	const char *text;
	if (yg_json_str(body, name, 32, &text, err) < 0)
		return -1;
	return yg_clock_parse(text, out, err) < 0 ? yg_wrap(err, "%s", name) : 0;
}

static int read_body(const json_t *body, struct licence *out, struct yg_err *err)
{
	const char *type;
	const char *id;
	const char *group;
	const char *name;
	int64_t version;
	size_t known = 0;
	if (yg_json_str(body, "_type", 32, &type, err) < 0)
		return -1;
	if (strcmp(type, "licence") != 0)
		return yg_fail(err, YG_EFORMAT, "_type: want licence, have '%s'", type);
	if (yg_json_int(body, "version", 1, 1, &version, err) < 0 ||
		yg_json_str(body, "id", 36, &id, err) < 0 ||
		yg_json_str(body, "group", 32, &group, err) < 0 ||
		yg_json_str(body, "name", 200, &name, err) < 0 ||
		time_of(body, "issued", &out->issued, err) < 0)
		return -1;
	if (!yg_wire_uuid_ok(id))
		return yg_fail(err, YG_EFORMAT, "id: want a UUID, have '%s'", id);
	while (licence_group(known) && strcmp(licence_group(known), group) != 0)
		known++;
	if (!licence_group(known))
		return yg_fail(err, YG_EFORMAT, "group: want am-wr, have '%s'", group);
	const json_t *ends = json_object_get(body, "ends");
	out->ends = LICENCE_FOREVER;
	if (!ends)
		return yg_fail(err, YG_EFORMAT, "ends: want a time or null, have nothing");
	if (!json_is_null(ends) && time_of(body, "ends", &out->ends, err) < 0)
		return -1;
	if (!json_is_null(ends) && out->ends <= out->issued)
		return yg_fail(err, YG_EFORMAT, "ends: want later than issued");
	(void)snprintf(out->id, sizeof(out->id), "%s", id);
	(void)snprintf(out->group, sizeof(out->group), "%s", group);
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	return 0;
}

/* errors  YG_EUNTRUSTED */
static int signed_by(const json_t *key, const json_t *signatures, struct yg_bytes text,
	struct yg_err *err)
{
	struct yg_public public;
	size_t i;
	json_t *item;
	if (public_of(key, &public, err) < 0)
		return -1;
	json_array_foreach(signatures, i, item)
	{
		uint8_t sig[YG_SIGN_MAX];
		const char *hex = json_string_value(json_object_get(item, "sig"));
		size_t len = hex ? strlen(hex) / 2 : 0;
		struct yg_err why = {0};
		if (len > 0 && len <= sizeof(sig) &&
			yg_str_unhex("sig", hex, sig, len, &why) == 0 &&
			yg_sign_verify(&public, text, (struct yg_bytes){sig, len}, &why) == 0)
			return 0;
	}
	return yg_fail(err, YG_EUNTRUSTED, "not signed by this key");
}

static int verify(const json_t *root, const json_t *keys, char signer[65], struct yg_err *err)
{
	json_t *signatures;
	size_t i;
	json_t *key;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(LICENCE_FILE_MAX);
	if (yg_json_array(root, "signatures", LICENCE_SIGS_MAX, &signatures, err) < 0 ||
		yg_canon(json_object_get(root, "signed"), &text, err) < 0)
		return -1;
	json_array_foreach(keys, i, key)
	{
		struct yg_err why = {0};
		if (signed_by(key, signatures, yg_buf_bytes(&text), &why) == 0)
			return licence_key_check(key, signer, err);
	}
	/* A licence says nothing about who sent it: refused as what it is, not for lack of permission. */
	return yg_fail_cause(err, YG_EFORMAT, "auth.licence",
		"want the signature of one of %zu known keys, have none; add the issuer's public key "
		"first (yagura licences add-key)",
		json_array_size(keys));
}

int licence_read(struct yg_bytes text, const json_t *keys, struct licence *out, char signer[65],
	struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *body;
	struct licence read = {0};
	if (yg_json_parse(text, LICENCE_FILE_MAX, &root, err) < 0)
		return yg_wrap(err, "licence");
	if (!json_is_object(root))
		return yg_fail(err, YG_EFORMAT, "licence: want an object, have %s",
			yg_json_kind(root));
	/* The signature first: what nobody vouches for is not looked at any closer. */
	if (yg_json_object(root, "signed", &body, err) < 0 || verify(root, keys, signer, err) < 0 ||
		read_body(body, &read, err) < 0)
		return yg_wrap(err, "licence");
	*out = read;
	return 0;
}
