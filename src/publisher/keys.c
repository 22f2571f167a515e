/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "tuf/canon.h"

#define PASSPHRASE_MAX 1024        /* bytes */
#define BODY_MAX       (16u << 20) /* bytes of canonical text */
#define PUBLIC_MAX     8192u       /* bytes of a public half */

/* ---- places ---- */

int keys_read_passphrase(const char *path, char **out, struct yg_err *err)
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
	*out = strndup((const char *)text.data, len);
	yg_secret_wipe(text.data, text.len);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static void place_close(struct keys_place *place)
{
	if (place->dir >= 0)
		(void)close(place->dir);
	free(place->path);
	yg_secret_free(place->passphrase);
	yg_secret_free(place->pin);
	free(place->pin_token);
	*place = (struct keys_place){.dir = -1};
}

int keys_open(struct keys *keys, const char *path, const char *passphrase_file, bool make,
	struct yg_err *err)
{
	if (keys->place_count == KEYS_PLACES_MAX)
		return yg_fail(err, YG_ELIMIT, "keys: want <= %u folders, have more",
			KEYS_PLACES_MAX);
	if (make && yg_fs_mkdirs(AT_FDCWD, path, 0700, err) < 0)
		return -1;
	struct keys_place place = {.dir = yg_fs_open_dir(AT_FDCWD, path, err)};
	if (place.dir < 0)
		return yg_wrap(err, "keys");
	place.path = strdup(path);
	if (!place.path) {
		place_close(&place);
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	place.given = passphrase_file != NULL;
	if (passphrase_file && keys_read_passphrase(passphrase_file, &place.passphrase, err) < 0) {
		place_close(&place);
		return -1;
	}
	if (keys->place_count == 0)
		keys->dir = place.dir;
	keys->places[keys->place_count++] = place;
	return 0;
}

void keys_close(struct keys *keys)
{
	for (size_t i = 0; i < keys->place_count; i++)
		place_close(&keys->places[i]);
	keys->place_count = 0;
	keys->dir = -1;
}

/* ---- one key's files ---- */

static int file_of(const char *name, const char *extension, char out[KEYS_NAME_MAX + 8],
	struct yg_err *err)
{
	if (yg_str_put(out, KEYS_NAME_MAX + 8, "%s.%s", name, extension))
		return 0;
	return yg_fail(err, YG_ELIMIT, "key '%s': name too long", name);
}

static bool has_file(const struct keys *keys, size_t place, const char *name, const char *extension)
{
	char file[KEYS_NAME_MAX + 8];
	return yg_str_put(file, sizeof(file), "%s.%s", name, extension) &&
		faccessat(keys->places[place].dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

const char *keys_kind(const struct keys *keys, size_t place, const char *name)
{
	return has_file(keys, place, name, "pem")    ? "pem"
		: has_file(keys, place, name, "p11") ? "p11"
						     : NULL;
}

static bool in_token(const struct keys *keys, size_t place, const char *name)
{
	const char *kind = keys_kind(keys, place, name);
	return kind && strcmp(kind, "p11") == 0;
}

static bool encrypted(struct yg_bytes pem)
{
	return memmem(pem.ptr, pem.len, "ENCRYPTED", strlen("ENCRYPTED")) != NULL;
}

/* What is not known is asked for when somebody is there to ask, and kept for the other keys of the place. */
static struct yg_key *open_pem(struct keys *keys, size_t at, const char *name, struct yg_bytes pem,
	struct yg_err *err)
{
	struct keys_place *place = &keys->places[at];
	if (place->passphrase || !keys->ask || !encrypted(pem))
		return yg_key_load(pem, place->passphrase, err);
	char *asked YG_AUTO(yg_secret) = NULL;
	char *what YG_AUTO(mem) = yg_str_format("%s/%s.pem", place->path, name);
	if (!what) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	if (keys_ask(what, false, keys->lang, &asked, err) < 0)
		return NULL;
	struct yg_key *key = yg_key_load(pem, asked, err);
	if (key)
		place->passphrase = yg_take(asked);
	return key;
}

static struct yg_key *load(struct keys *keys, size_t place, const char *name, struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8];
	struct yg_buf pem YG_AUTO(yg_buf) = YG_BUF(YG_KEY_PEM_MAX);
	if (file_of(name, "pem", file, err) < 0)
		return NULL;
	struct yg_key *key = NULL;
	if (yg_fs_read(keys->places[place].dir, file, &pem, err) < 0)
		(void)yg_wrap(err, "keys");
	else
		key = open_pem(keys, place, name, yg_buf_bytes(&pem), err);
	if (!key)
		(void)yg_wrap(err, "key '%s'", name);
	if (pem.data)
		yg_secret_wipe(pem.data, pem.len);
	return key;
}

int keys_id(const json_t *public, char id[KEYS_ID_SIZE], struct yg_err *err)
{
	struct yg_buf canon YG_AUTO(yg_buf) = YG_BUF(BODY_MAX);
	const char *text = NULL;
	json_t *value = NULL;
	if (yg_json_str(public, "keytype", 64, &text, err) < 0 ||
		yg_json_str(public, "scheme", 64, &text, err) < 0 ||
		yg_json_object(public, "keyval", &value, err) < 0 ||
		yg_json_str(value, "public", PUBLIC_MAX, &text, err) < 0)
		return yg_wrap(err, "public key");
	if (yg_canon(public, &canon, err) < 0)
		return -1;
	return yg_hash_text(yg_buf_bytes(&canon), id, err);
}

int keys_public_of(const struct yg_public *public, json_t **out, char id[KEYS_ID_SIZE],
	struct yg_err *err)
{
	json_t *value YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:{s:s}}", "keytype",
		public->keytype, "scheme", public->scheme, "keyval", "public", public->text);
	if (!value)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (keys_id(value, id, err) < 0)
		return -1;
	*out = yg_take(value);
	return 0;
}

static int public_of(const struct yg_key *key, json_t **out, char id[KEYS_ID_SIZE],
	struct yg_err *err)
{
	struct yg_public public;
	char *text YG_AUTO(mem) = NULL;
	if (yg_key_public(key, &public, &text, err) < 0)
		return -1;
	return keys_public_of(&public, out, id, err);
}

static int parse_public(struct yg_bytes text, json_t **out, char id[KEYS_ID_SIZE],
	struct yg_err *err)
{
	json_t *value YG_AUTO(yg_json) = NULL;
	if (yg_json_parse(text, PUBLIC_MAX, &value, err) < 0 || keys_id(value, id, err) < 0)
		return -1;
	*out = yg_take(value);
	return 0;
}

int keys_read_public(const char *path, json_t **out, char id[KEYS_ID_SIZE], struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(PUBLIC_MAX);
	if (yg_fs_read(AT_FDCWD, path, &text, err) < 0)
		return -1;
	if (parse_public(yg_buf_bytes(&text), out, id, err) < 0)
		return yg_wrap(err, "'%s'", path);
	return 0;
}

int keys_public(struct keys *keys, size_t place, const char *name, json_t **out,
	char id[KEYS_ID_SIZE], struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8];
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(PUBLIC_MAX);
	if (file_of(name, "pub", file, err) < 0)
		return -1;
	if (faccessat(keys->places[place].dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		yg_fs_read(keys->places[place].dir, file, &text, &why) == 0 &&
		parse_public(yg_buf_bytes(&text), out, id, &why) == 0)
		return 0;
	if (in_token(keys, place, name))
		return yg_fail(err, YG_EABSENT,
			"key '%s': it is in a token, and '%s.pub' is missing or damaged: put it back, or "
			"remove '%s.p11' and let make-key --token make both",
			name, name, name);
	struct yg_key *key YG_AUTO(yg_key) = load(keys, place, name, err);
	return key ? public_of(key, out, id, err) : -1;
}

int keys_write_public(struct keys *keys, size_t place, const char *name, const json_t *public,
	struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(PUBLIC_MAX);
	if (file_of(name, "pub", file, err) < 0 || yg_json_dump(public, &text, err) < 0 ||
		yg_buf_add(&text, "\n", 1, err) < 0)
		return -1;
	return yg_fs_replace(keys->places[place].dir, file, yg_buf_bytes(&text), 0644, err);
}

int keys_make(struct keys *keys, size_t place, const char *name, enum yg_key_type type,
	struct yg_err *err)
{
	char file[KEYS_NAME_MAX + 8], id[KEYS_ID_SIZE];
	json_t *public YG_AUTO(yg_json) = NULL;
	const struct keys_place *at = &keys->places[place];
	if (file_of(name, "pem", file, err) < 0)
		return -1;
	if (keys_kind(keys, place, name))
		return 0;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(type, err);
	char *pem YG_AUTO(yg_secret) = NULL;
	if (!key || yg_key_save(key, at->passphrase, &pem, err) < 0)
		return yg_wrap(err, "key '%s'", name);
	/* The public half first: a key that is there always has one. */
	if (public_of(key, &public, id, err) < 0 ||
		keys_write_public(keys, place, name, public, err) < 0)
		return -1;
	return yg_fs_replace(at->dir, file, yg_bytes_of(pem), 0600, err);
}

/* ---- names ---- */

static int name_of(const char *role, size_t number, char out[KEYS_NAME_MAX], struct yg_err *err)
{
	bool fits = number == 0 ? yg_str_put(out, KEYS_NAME_MAX, "%s", role)
				: yg_str_put(out, KEYS_NAME_MAX, "%s-%zu", role, number);
	return fits ? 0 : yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
}

int keys_free_name(struct keys *keys, size_t place, const char *role, char out[KEYS_NAME_MAX],
	struct yg_err *err)
{
	for (size_t i = 0; i <= KEYS_NUMBER_MAX; i++) {
		if (name_of(role, i, out, err) < 0)
			return -1;
		if (!keys_kind(keys, place, out))
			return 0;
	}
	return yg_fail(err, YG_ELIMIT, "role '%s': want <= %u keys in one folder, have more", role,
		KEYS_NUMBER_MAX);
}

static int take(struct keys *keys, size_t place, const char *name, struct keys_ref *out, size_t max,
	size_t *count, struct yg_err *err)
{
	json_t *public YG_AUTO(yg_json) = NULL;
	struct keys_ref ref = {.place = place};
	if (!yg_str_put(ref.name, sizeof(ref.name), "%s", name))
		return 0;
	if (*count == max)
		return yg_fail(err, YG_ELIMIT, "want <= %zu keys, have more", max);
	if (keys_public(keys, place, name, &public, ref.id, err) < 0)
		return -1;
	out[(*count)++] = ref;
	return 0;
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static int by_name(const void *a, const void *b)
{
	const struct keys_ref *one = a, *two = b;
	return one->place != two->place ? (one->place > two->place) - (one->place < two->place)
					: strcmp(one->name, two->name);
}

static int find_all(struct keys *keys, size_t place, struct keys_ref *out, size_t max,
	size_t *count, struct yg_err *err)
{
	int fd = openat(keys->places[place].dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir YG_AUTO(dir) = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int sys = errno;
		if (fd >= 0)
			(void)close(fd);
		return yg_fail_sys(err, sys, "'%s'", keys->places[place].path);
	}
	size_t first = *count;
	for (const struct dirent *at; (at = readdir(dir)) != NULL;) {
		size_t len = strlen(at->d_name);
		char name[KEYS_NAME_MAX];
		if (len < 5 || !yg_str_put(name, sizeof(name), "%.*s", (int)(len - 4), at->d_name))
			continue;
		/* Where there are both, the PEM is the key, and it is listed once. */
		const char *kind = keys_kind(keys, place, name);
		if (!kind || at->d_name[len - 4] != '.' || strcmp(at->d_name + len - 3, kind) != 0)
			continue;
		if (take(keys, place, name, out, max, count, err) < 0)
			return -1;
	}
	qsort(out + first, *count - first, sizeof(*out), by_name);
	return 0;
}

int keys_find(struct keys *keys, const char *role, struct keys_ref *out, size_t max, size_t *count,
	struct yg_err *err)
{
	*count = 0;
	for (size_t place = 0; place < keys->place_count; place++) {
		if (!role) {
			if (find_all(keys, place, out, max, count, err) < 0)
				return -1;
			continue;
		}
		for (size_t i = 0; i <= KEYS_NUMBER_MAX; i++) {
			char name[KEYS_NAME_MAX];
			if (name_of(role, i, name, err) < 0)
				return -1;
			/* A key that is kept elsewhere is fine; one that cannot be read is not. */
			if (keys_kind(keys, place, name) &&
				take(keys, place, name, out, max, count, err) < 0)
				return -1;
		}
	}
	return 0;
}

static bool has(const json_t *keyids, const char *id)
{
	for (size_t i = 0; i < json_array_size(keyids); i++) {
		if (strcmp(json_string_value(json_array_get(keyids, i)), id) == 0)
			return true;
	}
	return false;
}

static bool taken(const struct keys_ref *refs, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(refs[i].id, id) == 0)
			return true;
	}
	return false;
}

int keys_of_role(struct keys *keys, const char *role, const json_t *keyids, struct keys_ref *out,
	size_t max, size_t *count, struct yg_err *err)
{
	struct keys_ref *all YG_AUTO(mem) = calloc(KEYS_NUMBER_MAX, sizeof(*all));
	size_t found = 0;
	*count = 0;
	if (!all)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (keys_find(keys, role, all, KEYS_NUMBER_MAX, &found, err) < 0)
		return -1;
	for (size_t i = 0; i < found && *count < max; i++) {
		if (has(keyids, all[i].id) && !taken(out, *count, all[i].id))
			out[(*count)++] = all[i];
	}
	if (*count > 0)
		return 0;
	return yg_fail(err, YG_EABSENT, "role '%s': none of its %zu keys is in the key folder",
		role, json_array_size(keyids));
}

/* ---- signing ---- */

static int sign_in_token(struct keys *keys, const struct keys_ref *ref, struct yg_bytes text,
	uint8_t raw[YG_SIGN_MAX], size_t *len, struct yg_err *err)
{
	json_t *public YG_AUTO(yg_json) = NULL;
	char id[KEYS_ID_SIZE];
	if (keys_public(keys, ref->place, ref->name, &public, id, err) < 0)
		return -1;
	if (strcmp(id, ref->id) != 0)
		return yg_fail(err, YG_EFORMAT, "key '%s': '%s.pub' changed while it was used",
			ref->name, ref->name);
	return keys_token_sign(keys, ref->place, ref->name, public, text, raw, len, err);
}

static int sign_here(struct keys *keys, const struct keys_ref *ref, struct yg_bytes text,
	uint8_t raw[YG_SIGN_MAX], size_t *len, struct yg_err *err)
{
	json_t *public YG_AUTO(yg_json) = NULL;
	char id[KEYS_ID_SIZE];
	struct yg_key *key YG_AUTO(yg_key) = load(keys, ref->place, ref->name, err);
	if (!key || public_of(key, &public, id, err) < 0)
		return -1;
	if (strcmp(id, ref->id) != 0)
		return yg_fail(err, YG_EFORMAT,
			"key '%s': '%s.pub' is the public half of another key than '%s.pem' is",
			ref->name, ref->name, ref->name);
	return yg_sign_make(key, text, raw, len, err);
}

static int sign_text(struct keys *keys, const struct keys_ref *ref, struct yg_bytes text,
	json_t *signatures, struct yg_err *err)
{
	char hex[2 * YG_SIGN_MAX + 1];
	uint8_t raw[YG_SIGN_MAX];
	size_t len = 0;
	int bad = in_token(keys, ref->place, ref->name)
		? sign_in_token(keys, ref, text, raw, &len, err)
		: sign_here(keys, ref, text, raw, &len, err);
	if (bad < 0)
		return -1;
	yg_str_hex(raw, len, hex);
	if (json_array_append_new(signatures,
		    json_pack("{s:s, s:s}", "keyid", ref->id, "sig", hex)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

int keys_sign_one(struct keys *keys, const struct keys_ref *ref, const json_t *body,
	json_t *signatures, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(BODY_MAX);
	if (yg_canon(body, &text, err) < 0)
		return -1;
	return sign_text(keys, ref, yg_buf_bytes(&text), signatures, err);
}

int keys_sign(struct keys *keys, const struct keys_ref *refs, size_t count, const json_t *body,
	struct yg_buf *out, struct yg_err *err)
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
		if (sign_text(keys, &refs[i], yg_buf_bytes(&text), signatures, err) < 0)
			return -1;
	}
	if (yg_json_dump(doc, out, err) < 0)
		return -1;
	return yg_buf_add(out, "\n", 1, err);
}
