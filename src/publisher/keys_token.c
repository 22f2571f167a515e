/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/secret.h"
#include "pkcs11/p11.h"
#include "publisher/keys.h"

#define PUBLIC_MAX 8192u /* bytes of a public half */

struct asker {
	struct keys *keys;
	size_t place;
};

/* ---- PINs ---- */

/* "/path", "file:/path" or "file:///path". */
static int from_source(const char *source, char **pin, struct yg_err *err)
{
	const char *path = source;
	if (strncmp(path, "file:", 5) == 0)
		path += 5;
	if (strncmp(path, "///", 3) == 0)
		path += 2;
	if (path[0] != '/' || path[1] == '/')
		return yg_fail(err, YG_EFORMAT,
			"pin-source: want a file's absolute path, have '%.100s'", source);
	return keys_read_passphrase(path, pin, err);
}

/* Asked for once a token; PINs of files are read each time. */
static int from_person(struct keys *keys, struct keys_place *place, const char *token,
	struct yg_err *err)
{
	char *what YG_AUTO(mem) = yg_str_format(keys->lang == YG_LANG_JA ? "トークン %s (PIN)"
									 : "token %s (PIN)",
		token);
	char *pin YG_AUTO(yg_secret) = NULL, *name YG_AUTO(mem) = strdup(token);
	if (!what || !name)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (keys_ask(what, false, keys->lang, &pin, err) < 0)
		return -1;
	yg_secret_free(place->pin);
	free(place->pin_token);
	place->pin = yg_take(pin);
	place->pin_token = yg_take(name);
	return 0;
}

static int give_pin(void *arg, const char *token, const char *source, char **pin,
	struct yg_err *err)
{
	const struct asker *asker = arg;
	struct keys_place *place = &asker->keys->places[asker->place];
	if (source)
		return from_source(source, pin, err);
	/* Only a passphrase of a file: one that was typed for a PEM is not tried on a token, which counts. */
	const char *known = place->given ? place->passphrase : NULL;
	if (!known && !asker->keys->ask)
		return yg_fail(err, YG_EABSENT,
			"want its PIN: a passphrase file for '%s', pin-source in its address, or a terminal "
			"to ask on",
			place->path);
	bool cached = place->pin_token && strcmp(place->pin_token, token) == 0;
	if (!known && !cached && from_person(asker->keys, place, token, err) < 0)
		return -1;
	*pin = strdup(known ? known : place->pin);
	return *pin ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* ---- a key ---- */

static int sign(struct yg_p11 *p11, const struct yg_public *public, struct yg_bytes text,
	uint8_t out[YG_SIGN_MAX], size_t *len, struct yg_err *err)
{
	if (yg_p11_sign(p11, text, out, len, err) < 0)
		return -1;
	if (yg_sign_verify(public, text, (struct yg_bytes){out, *len}, err) < 0)
		return yg_wrap(err, "what the token signed");
	return 0;
}

static int write_address(const struct keys_place *place, const char *name, const char *uri,
	struct yg_err *err)
{
	char *file YG_AUTO(mem) = yg_str_format("%s.p11", name);
	char *line YG_AUTO(mem) = yg_str_format("%s\n", uri);
	if (!file || !line)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_fs_replace(place->dir, file, yg_bytes_of(line), 0600, err);
}

int keys_token_make(struct keys *keys, size_t place, const char *name, const char *uri,
	struct yg_err *err)
{
	struct asker asker = {keys, place};
	const struct yg_p11_ask ask = {give_pin, &asker};
	struct yg_p11 *p11 YG_AUTO(yg_p11) = NULL;
	struct yg_public public;
	char *text YG_AUTO(mem) = NULL, id[KEYS_ID_SIZE];
	json_t *value YG_AUTO(yg_json) = NULL;
	uint8_t trial[YG_SIGN_MAX];
	size_t len = 0;
	if (yg_p11_open(uri, &ask, &p11, err) < 0 || yg_p11_public(p11, &public, &text, err) < 0 ||
		sign(p11, &public, yg_bytes_of("a signature on trial"), trial, &len, err) < 0 ||
		keys_public_of(&public, &value, id, err) < 0)
		return yg_wrap(err, "key '%s'", name);
	/* The public half first: a key that is there always has one. */
	if (keys_write_public(keys, place, name, value, err) < 0)
		return -1;
	return write_address(&keys->places[place], name, uri, err);
}

static int read_address(const struct keys_place *place, const char *name, char **out,
	struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_P11_URI_MAX + 1);
	char *file YG_AUTO(mem) = yg_str_format("%s.p11", name);
	if (!file)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_fs_read(place->dir, file, &text, err) < 0)
		return yg_wrap(err, "keys");
	size_t len = text.len;
	if (len > 0 && text.data[len - 1] == '\n')
		len--;
	if (len == 0 || memchr(text.data, 0, len) || memchr(text.data, '\n', len))
		return yg_fail(err, YG_EFORMAT, "'%s': want one line, pkcs11:token=...;object=...",
			file);
	*out = strndup((const char *)text.data, len);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int keys_token_sign(struct keys *keys, size_t place, const char *name, const json_t *public,
	struct yg_bytes text, uint8_t out[YG_SIGN_MAX], size_t *len, struct yg_err *err)
{
	struct asker asker = {keys, place};
	const struct yg_p11_ask ask = {give_pin, &asker};
	struct yg_p11 *p11 YG_AUTO(yg_p11) = NULL;
	struct yg_public half = {0};
	char *uri YG_AUTO(mem) = NULL;
	json_t *value = NULL;
	if (yg_json_str(public, "keytype", 64, &half.keytype, err) < 0 ||
		yg_json_str(public, "scheme", 64, &half.scheme, err) < 0 ||
		yg_json_object(public, "keyval", &value, err) < 0 ||
		yg_json_str(value, "public", PUBLIC_MAX, &half.text, err) < 0 ||
		read_address(&keys->places[place], name, &uri, err) < 0 ||
		yg_p11_open(uri, &ask, &p11, err) < 0 || sign(p11, &half, text, out, len, err) < 0)
		return yg_wrap(err, "key '%s'", name);
	return 0;
}
