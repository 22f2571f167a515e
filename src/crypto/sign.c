/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/sign.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "core/str.h"
#include "crypto/ossl.h"

/* ed25519 hashes by itself; the others take SHA-256. */
static const EVP_MD *digest_of(enum yg_key_type type)
{
	return type == YG_KEY_ED25519 ? NULL : EVP_sha256();
}

/* PSS with a salt as long as the digest when we sign; any length when others did. */
static int set_padding(EVP_PKEY_CTX *ctx, enum yg_key_type type, int salt)
{
	if (type != YG_KEY_RSA_PSS)
		return 1;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1;
}

/* ECDSA needs a random number for each signature, or one that follows from key and text (RFC 6979), so that
 * the same text is signed by the same bytes. OpenSSL has it from 3.2 on; before, signatures differ.
 */
static int set_nonce(EVP_PKEY_CTX *ctx, enum yg_key_type type)
{
#ifdef OSSL_SIGNATURE_PARAM_NONCE_TYPE
	unsigned one = 1;
	const OSSL_PARAM how[] = {OSSL_PARAM_construct_uint(OSSL_SIGNATURE_PARAM_NONCE_TYPE, &one),
		OSSL_PARAM_construct_end()};
	if (type == YG_KEY_ECDSA_P256)
		return EVP_PKEY_CTX_set_params(ctx, how) == 1;
#else
	(void)ctx;
	(void)type;
#endif
	return 1;
}

int yg_sign_make(const struct yg_key *key, struct yg_bytes text, uint8_t out[YG_SIGN_MAX],
	size_t *len, struct yg_err *err)
{
	EVP_MD_CTX *ctx YG_AUTO(md_ctx) = EVP_MD_CTX_new();
	EVP_PKEY_CTX *settings = NULL;
	size_t size = YG_SIGN_MAX;
	if (!ctx ||
		EVP_DigestSignInit(ctx, &settings, digest_of(key->type), NULL, key->pkey) != 1 ||
		!set_padding(settings, key->type, RSA_PSS_SALTLEN_DIGEST) ||
		!set_nonce(settings, key->type) ||
		EVP_DigestSign(ctx, out, &size, text.ptr, text.len) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "signing");
	*len = size;
	return 0;
}

struct scheme {
	const char *keytype, *scheme;
	enum yg_key_type type;
};

static int find_scheme(const struct yg_public *key, enum yg_key_type *type, struct yg_err *err)
{
	static const struct scheme schemes[] = {
		{"ed25519", "ed25519", YG_KEY_ED25519},
		{"ecdsa", "ecdsa-sha2-nistp256", YG_KEY_ECDSA_P256},
		{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", YG_KEY_ECDSA_P256},
		{"rsa", "rsassa-pss-sha256", YG_KEY_RSA_PSS},
	};
	for (size_t i = 0; i < YG_COUNT(schemes); i++)
		if (strcmp(schemes[i].keytype, key->keytype) == 0 &&
			strcmp(schemes[i].scheme, key->scheme) == 0) {
			*type = schemes[i].type;
			return 0;
		}
	return yg_fail(err, YG_EFORMAT,
		"public key: keytype '%.40s' with scheme '%.40s' is not known", key->keytype,
		key->scheme);
}

static EVP_PKEY *load_raw(const char *hex, struct yg_err *err)
{
	uint8_t raw[32];
	if (yg_str_unhex("public key", hex, raw, sizeof(raw), err) < 0)
		return NULL;
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	if (!pkey)
		(void)yg_ossl_fail(err, YG_EFORMAT, "public key");
	return pkey;
}

static EVP_PKEY *load_pem(const char *pem, enum yg_key_type want, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = yg_ossl_reader(yg_bytes_of(pem), YG_KEY_PEM_MAX, err);
	if (!bio) {
		(void)yg_wrap(err, "public key");
		return NULL;
	}
	EVP_PKEY *pkey YG_AUTO(pkey) = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	if (!pkey) {
		(void)yg_ossl_fail(err, YG_EFORMAT, "public key: want PEM");
		return NULL;
	}
	enum yg_key_type have;
	if (yg_ossl_kind(pkey, &have, err) < 0) {
		(void)yg_wrap(err, "public");
		return NULL;
	}
	if (have != want) {
		(void)yg_fail(err, YG_EFORMAT,
			"public key: the PEM holds another kind than its scheme");
		return NULL;
	}
	return yg_take(pkey);
}

static EVP_PKEY *load(const struct yg_public *key, enum yg_key_type *type, struct yg_err *err)
{
	if (find_scheme(key, type, err) < 0)
		return NULL;
	return *type == YG_KEY_ED25519 ? load_raw(key->text, err) : load_pem(key->text, *type, err);
}

int yg_sign_verify(const struct yg_public *key, struct yg_bytes text, struct yg_bytes signature,
	struct yg_err *err)
{
	enum yg_key_type type = YG_KEY_ED25519;
	EVP_PKEY *pkey YG_AUTO(pkey) = load(key, &type, err);
	if (!pkey)
		return -1;
	EVP_MD_CTX *ctx YG_AUTO(md_ctx) = EVP_MD_CTX_new();
	EVP_PKEY_CTX *settings = NULL;
	if (!ctx || EVP_DigestVerifyInit(ctx, &settings, digest_of(type), NULL, pkey) != 1 ||
		!set_padding(settings, type, RSA_PSS_SALTLEN_AUTO))
		return yg_ossl_fail(err, YG_ESYSTEM, "verifying a signature");
	int ok = EVP_DigestVerify(ctx, signature.ptr, signature.len, text.ptr, text.len);
	ERR_clear_error(); /* a malformed signature is a wrong one */
	if (ok != 1)
		return yg_fail(err, YG_EUNTRUSTED,
			"the signature does not fit the key and the text");
	return 0;
}

int yg_sign_key_hash(const struct yg_public *key, uint8_t out[32], struct yg_err *err)
{
	enum yg_key_type type = YG_KEY_ED25519;
	EVP_PKEY *pkey YG_AUTO(pkey) = load(key, &type, err);
	return pkey ? yg_ossl_spki(pkey, out, err) : -1;
}
