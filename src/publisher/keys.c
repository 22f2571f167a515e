/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "tuf/canon.h"

#define PASSPHRASE_MAX 1024        /* bytes */
#define BODY_MAX       (16u << 20) /* bytes of canonical text */

static int read_passphrase(struct keys *keys, const char *path, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(PASSPHRASE_MAX);
	if (yg_fs_read(AT_FDCWD, path, &text, err) < 0)
		return yg_wrap(err, "passphrase");
	size_t len = 0;
	while (len < text.len && text.data[len] != '\n' && text.data[len] != 0)
		len++;
	if (len == 0)
		return yg_fail(err, YG_EFORMAT, "passphrase: '%s': want a line of text, have none",
			path);
	keys->passphrase = strndup((const char *)text.data, len);
	yg_secret_wipe(text.data, text.len);
	return keys->passphrase ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int keys_open(struct keys *keys, const char *path, const char *passphrase_file, bool make,
	struct yg_err *err)
{
	if (make && yg_fs_mkdirs(AT_FDCWD, path, 0700, err) < 0)
		return -1;
	int dir = yg_fs_open_dir(AT_FDCWD, path, err);
	if (dir < 0)
		return yg_wrap(err, "keys");
	*keys = (struct keys){.dir = dir};
	if (passphrase_file && read_passphrase(keys, passphrase_file, err) < 0) {
		keys_close(keys);
		return -1;
	}
	return 0;
}

void keys_close(struct keys *keys)
{
	if (keys->dir >= 0)
		(void)close(keys->dir);
	yg_secret_free(keys->passphrase);
	*keys = (struct keys){.dir = -1};
}

static int file_of(const char *name, char out[KEYS_NAME_MAX + 8], struct yg_err *err)
{
	if (yg_str_put(out, KEYS_NAME_MAX + 8, "%s.pem", name))
		return 0;
	return yg_fail(err, YG_ELIMIT, "key '%s': name too long", name);
}

static struct yg_key *load(const struct keys *keys, const char *name, struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8];
	struct yg_buf pem YG_AUTO(yg_buf) = YG_BUF(YG_KEY_PEM_MAX);
	if (file_of(name, file, err) < 0)
		return NULL;
	struct yg_key *key = NULL;
	if (yg_fs_read(keys->dir, file, &pem, err) < 0)
		(void)yg_wrap(err, "keys");
	else
		key = yg_key_load(yg_buf_bytes(&pem), keys->passphrase, err);
	if (!key)
		(void)yg_wrap(err, "key '%s'", name);
	if (pem.data)
		yg_secret_wipe(pem.data, pem.len);
	return key;
}

int keys_make(const struct keys *keys, const char *name, enum yg_key_type type, struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8];
	if (file_of(name, file, err) < 0)
		return -1;
	if (faccessat(keys->dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(type, err);
	char *pem YG_AUTO(yg_secret) = NULL;
	if (!key || yg_key_save(key, keys->passphrase, &pem, err) < 0)
		return yg_wrap(err, "key '%s'", name);
	return yg_fs_replace(keys->dir, file, yg_bytes_of(pem), 0600, err);
}

/* "keyval" has the public key; the id is the hash of the canonical text of it all. */
static int public_of(const struct yg_key *key, json_t **out, char id[65], struct yg_err *err)
{
	struct yg_public public;
	char *text YG_AUTO(mem) = NULL;
	if (yg_key_public(key, &public, &text, err) < 0)
		return -1;
	json_t *value YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:{s:s}}", "keytype", public.keytype,
		"scheme", public.scheme, "keyval", "public", text);
	struct yg_buf canon YG_AUTO(yg_buf) = YG_BUF(BODY_MAX);
	if (!value)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_canon(value, &canon, err) < 0 || yg_hash_text(yg_buf_bytes(&canon), id, err) < 0)
		return -1;
	*out = yg_take(value);
	return 0;
}

int keys_public(const struct keys *keys, const char *name, json_t **out, char id[65],
	struct yg_err *err)
{
	struct yg_key *key YG_AUTO(yg_key) = load(keys, name, err);
	if (!key)
		return -1;
	return public_of(key, out, id, err);
}

static int add_signature(const struct keys *keys, const char *name, struct yg_bytes text,
	json_t *signatures, struct yg_err *err)
{
	json_t *public YG_AUTO(yg_json) = NULL;
	char id[65], hex[2 * YG_SIGN_MAX + 1];
	uint8_t raw[YG_SIGN_MAX];
	size_t len = 0;
	struct yg_key *key YG_AUTO(yg_key) = load(keys, name, err);
	if (!key || public_of(key, &public, id, err) < 0 ||
		yg_sign_make(key, text, raw, &len, err) < 0)
		return -1;
	yg_str_hex(raw, len, hex);
	if (json_array_append_new(signatures, json_pack("{s:s, s:s}", "keyid", id, "sig", hex)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

int keys_sign(const struct keys *keys, const char names[][KEYS_NAME_MAX], size_t count,
	const json_t *body, struct yg_buf *out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(BODY_MAX);
	json_t *signatures = json_array();
	json_t *doc YG_AUTO(yg_json) = json_pack("{s:o, s:O}", "signatures", signatures, "signed",
		(json_t *)(uintptr_t)body); /* the packer only counts a reference */
	if (!doc)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_canon(body, &text, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (add_signature(keys, names[i], yg_buf_bytes(&text), signatures, err) < 0)
			return -1;
	}
	if (yg_json_dump(doc, out, err) < 0)
		return -1;
	return yg_buf_add(out, "\n", 1, err);
}

static bool has(const json_t *keyids, const char *id)
{
	for (size_t i = 0; i < json_array_size(keyids); i++) {
		if (strcmp(json_string_value(json_array_get(keyids, i)), id) == 0)
			return true;
	}
	return false;
}

int keys_of_role(const struct keys *keys, const char *role, const json_t *keyids,
	char names[][KEYS_NAME_MAX], size_t max, size_t *count, struct yg_err *err)
{
	*count = 0;
	for (size_t i = 0; i <= max && *count < max; i++) {
		char name[KEYS_NAME_MAX], id[65];
		json_t *public YG_AUTO(yg_json) = NULL;
		struct yg_err why = {0};
		bool fits = i == 0 ? yg_str_put(name, sizeof(name), "%s", role)
				   : yg_str_put(name, sizeof(name), "%s-%zu", role, i);
		if (!fits)
			return yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
		if (keys_public(keys, name, &public, id, &why) < 0) {
			/* A key that is kept elsewhere is fine; one that cannot be read is not. */
			if (why.code == YG_EABSENT)
				continue;
			*err = why;
			return -1;
		}
		if (has(keyids, id))
			memcpy(names[(*count)++], name, KEYS_NAME_MAX);
	}
	if (*count > 0)
		return 0;
	return yg_fail(err, YG_EABSENT, "role '%s': none of its %zu keys is in the key folder",
		role, json_array_size(keyids));
}
