/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "crypto/key.h"
#include "crypto/sign.h"
#include "proto/lang.h"

/* The publisher's keys. They lie in places: the key folder, and media that are there only for a ceremony
 * (--root-key-dir). A place has a PEM file for each key, PKCS#8, mode 0600, and beside it the public half
 * as TUF writes it, so that nobody has to open a key to know which one it is. A role's keys are
 * "<role>.pem", "<role>-1.pem", "<role>-2.pem" and so on. Of a key that stays in a token, "<name>.p11" holds
 * the address (pkcs11/p11.h) in the place of "<name>.pem".
 */

#define KEYS_NAME_MAX   64
#define KEYS_PLACES_MAX 33u  /* the key folder, and one medium for each of 32 root keys */
#define KEYS_ROLE_MAX   64u  /* keys that sign one file */
#define KEYS_NUMBER_MAX 255u /* of "<role>-N" */
#define KEYS_ID_SIZE    65   /* bytes of a key's id, with the terminator */

struct keys_place {
	int dir;          /* open; -1: none */
	char *path;       /* owned; as the command line named it */
	char *passphrase; /* owned, wiped; NULL: not known yet, or keys are stored in plain */
	bool given;       /* the passphrase comes from a file, which is also for tokens' PINs */
	char *pin;        /* owned, wiped; NULL: none was asked for */
	char *pin_token;  /* owned; the token that it is of */
};

struct keys {
	int dir; /* the key folder's, for those who look; the places own theirs */
	struct keys_place places[KEYS_PLACES_MAX];
	size_t place_count;
	bool ask;          /* a person sits at the terminal: ask for what is not known */
	enum yg_lang lang; /* to ask in */
};

struct keys_ref { /* one key of a place */
	size_t place;
	char name[KEYS_NAME_MAX];
	char id[KEYS_ID_SIZE];
};

/* Add a place; `make` creates the folder (0700). The first one is the key folder.
 * in      passphrase_file  its first line; NULL: none
 * errors  YG_EABSENT, YG_EFORMAT no passphrase in the file, YG_ELIMIT too many, YG_ESYSTEM
 */
int keys_open(struct keys *keys, const char *path, const char *passphrase_file, bool make,
	struct yg_err *err) YG_MUST_CHECK;
void keys_close(struct keys *keys);

static inline void keys_free_at(struct keys *keys)
{
	keys_close(keys);
}

/* A passphrase or a PIN: the first line of a file. The caller's, for yg_secret_free.
 * errors  YG_EFORMAT it is empty; those of yg_fs_read
 */
int keys_read_passphrase(const char *path, char **out, struct yg_err *err) YG_MUST_CHECK;

/* Ask on the terminal, without echo; `twice` for a new one. The caller's, for yg_secret_free.
 * errors  YG_EFORMAT empty, or the two differ; YG_ESYSTEM no terminal
 */
int keys_ask(const char *what, bool twice, enum yg_lang lang, char **out, struct yg_err *err)
	YG_MUST_CHECK;

/* Make a key of this name in a place unless it is there, encrypted when the place has a passphrase.
 * errors  YG_ESYSTEM
 */
int keys_make(struct keys *keys, size_t place, const char *name, enum yg_key_type type,
	struct yg_err *err) YG_MUST_CHECK;

/* "pem", or "p11" for a key in a token; NULL: there is no key of this name. */
const char *keys_kind(const struct keys *keys, size_t place, const char *name);

/* Enter a key that lies in a token under a name that is free: its address and its public half, after a signature
 * on trial. errors  those of yg_p11_open, yg_p11_public, yg_p11_sign; YG_EUNTRUSTED it signs wrongly
 */
int keys_token_make(struct keys *keys, size_t place, const char *name, const char *uri,
	struct yg_err *err) YG_MUST_CHECK;

/* Sign with a key in a token. A signature that does not fit the public half is an error (YG_EUNTRUSTED). */
int keys_token_sign(struct keys *keys, size_t place, const char *name, const json_t *public,
	struct yg_bytes text, uint8_t out[YG_SIGN_MAX], size_t *len, struct yg_err *err)
	YG_MUST_CHECK;

/* The first name for a role that no key of the place has: "am", "am-1"… errors  YG_ELIMIT */
int keys_free_name(struct keys *keys, size_t place, const char *role, char out[KEYS_NAME_MAX],
	struct yg_err *err) YG_MUST_CHECK;

/* The public half as TUF writes it, a new reference, and its id. errors  as yg_key_load */
int keys_public(struct keys *keys, size_t place, const char *name, json_t **out,
	char id[KEYS_ID_SIZE], struct yg_err *err) YG_MUST_CHECK;

/* A public half as JSON, a new reference, and its id. errors  YG_ESYSTEM */
int keys_public_of(const struct yg_public *public, json_t **out, char id[KEYS_ID_SIZE],
	struct yg_err *err) YG_MUST_CHECK;

/* Write "<name>.pub". */
int keys_write_public(struct keys *keys, size_t place, const char *name, const json_t *public,
	struct yg_err *err) YG_MUST_CHECK;

/* The id of a public half: SHA-256 of its canonical text. errors  YG_EFORMAT no key */
int keys_id(const json_t *public, char id[KEYS_ID_SIZE], struct yg_err *err) YG_MUST_CHECK;

/* A public half out of a file ("*.pub"). errors  YG_EFORMAT; those of yg_fs_read */
int keys_read_public(const char *path, json_t **out, char id[KEYS_ID_SIZE], struct yg_err *err)
	YG_MUST_CHECK;

/* All keys of all places that are named after a role (NULL: whatever their name), ids in order of
 * place and number. out  at most `max`
 */
int keys_find(struct keys *keys, const char *role, struct keys_ref *out, size_t max, size_t *count,
	struct yg_err *err) YG_MUST_CHECK;

/* Those of them whose ids are in `keyids`; each id once. errors  YG_EABSENT none of them is here */
int keys_of_role(struct keys *keys, const char *role, const json_t *keyids, struct keys_ref *out,
	size_t max, size_t *count, struct yg_err *err) YG_MUST_CHECK;

/* Sign a body with these keys and append the whole file of metadata. */
int keys_sign(struct keys *keys, const struct keys_ref *refs, size_t count, const json_t *body,
	struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* Add {"keyid", "sig"} of one key over a body to `signatures`. */
int keys_sign_one(struct keys *keys, const struct keys_ref *ref, const json_t *body,
	json_t *signatures, struct yg_err *err) YG_MUST_CHECK;
