/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Private and public keys. The bytes of a private key never leave this folder but as PEM, which is
 * freed by yg_secret_free (crypto/secret.h).
 */

enum yg_key_type { YG_KEY_ED25519, YG_KEY_ECDSA_P256, YG_KEY_RSA_PSS };

struct yg_key;

#define YG_KEY_PEM_MAX 16384 /* bytes of a PEM text that is accepted */

/* errors  YG_ESYSTEM */
struct yg_key *yg_key_generate(enum yg_key_type type, struct yg_err *err) YG_MUST_CHECK;

/* A private key from PEM (PKCS#8, or the older forms of OpenSSL).
 * in      passphrase  NULL when it is not encrypted
 * errors  YG_EFORMAT not a key, of a kind that is not used here, or a wrong passphrase; YG_ELIMIT
 */
struct yg_key *yg_key_load(struct yg_bytes pem, const char *passphrase, struct yg_err *err)
	YG_MUST_CHECK;

/* As PEM PKCS#8; with a passphrase encrypted (AES-256-CBC, scrypt).
 * out     *pem    the caller's, for yg_secret_free
 * errors  YG_ESYSTEM
 */
int yg_key_save(const struct yg_key *key, const char *passphrase, char **pem, struct yg_err *err)
	YG_MUST_CHECK;

enum yg_key_type yg_key_type(const struct yg_key *key);

/* A public key as TUF writes it. Borrowed texts when it is somebody's input. */
struct yg_public {
	const char *keytype; /* "ed25519", "ecdsa", "rsa"; read also: "ecdsa-sha2-nistp256" */
	const char *scheme;  /* "ed25519", "ecdsa-sha2-nistp256", "rsassa-pss-sha256" */
	const char *text;    /* ed25519: 64 hex digits; the others: PEM of SubjectPublicKeyInfo */
};

/* The public half.
 * out     keytype and scheme are literals, text is the caller's to free
 * errors  YG_ESYSTEM
 */
int yg_key_public(const struct yg_key *key, struct yg_public *out, char **text, struct yg_err *err)
	YG_MUST_CHECK;

/* SHA-256 of SubjectPublicKeyInfo (DER), which activation tokens carry. errors  YG_ESYSTEM */
int yg_key_spki(const struct yg_key *key, uint8_t out[32], struct yg_err *err) YG_MUST_CHECK;

void yg_key_free(struct yg_key *key); /* wiped; NULL is fine */
YG_DEFINE_AUTO(yg_key);
