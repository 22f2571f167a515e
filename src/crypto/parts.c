/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/parts.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "crypto/ossl.h"

#define MODULUS_MAX  512u /* bytes: RSA with 4096 bits */
#define EXPONENT_MAX 8u   /* bytes */
#define HALF         32u  /* bytes of r, of s */

static inline void bn_free_at(BIGNUM **at)
{
	BN_free(*at);
}

static inline void bld_free_at(OSSL_PARAM_BLD **at)
{
	OSSL_PARAM_BLD_free(*at);
}

static inline void params_free_at(OSSL_PARAM **at)
{
	OSSL_PARAM_free(*at);
}

static inline void ecdsa_free_at(ECDSA_SIG **at)
{
	ECDSA_SIG_free(*at);
}

/* A public key of a type out of its parameters. */
static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *bld, struct yg_err *err)
{
	OSSL_PARAM *params YG_AUTO(params) = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx YG_AUTO(pkey_ctx) = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		(void)yg_ossl_fail(err, YG_EFORMAT, "public key");
	return pkey;
}

static EVP_PKEY *of_rsa(const struct yg_parts *parts, struct yg_err *err)
{
	if (parts->n.len == 0 || parts->n.len > MODULUS_MAX || parts->e.len == 0 ||
		parts->e.len > EXPONENT_MAX) {
		(void)yg_fail(err, YG_EFORMAT,
			"public key: want a modulus of <= %u bytes and an exponent of <= %u, have %zu and %zu",
			MODULUS_MAX, EXPONENT_MAX, parts->n.len, parts->e.len);
		return NULL;
	}
	BIGNUM *n YG_AUTO(bn) = BN_bin2bn(parts->n.ptr, (int)parts->n.len, NULL);
	BIGNUM *e YG_AUTO(bn) = BN_bin2bn(parts->e.ptr, (int)parts->e.len, NULL);
	OSSL_PARAM_BLD *bld YG_AUTO(bld) = OSSL_PARAM_BLD_new();
	if (!n || !e || !bld || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
		OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) != 1) {
		(void)yg_ossl_fail(err, YG_ESYSTEM, "public key");
		return NULL;
	}
	return build("RSA", bld, err);
}

static EVP_PKEY *of_p256(const struct yg_parts *parts, struct yg_err *err)
{
	OSSL_PARAM_BLD *bld YG_AUTO(bld) = OSSL_PARAM_BLD_new();
	if (!bld ||
		OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
			1 ||
		OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, parts->point.ptr,
			parts->point.len) != 1) {
		(void)yg_ossl_fail(err, YG_ESYSTEM, "public key");
		return NULL;
	}
	return build("EC", bld, err);
}

static EVP_PKEY *of_parts(const struct yg_parts *parts, struct yg_err *err)
{
	if (parts->type == YG_KEY_RSA_PSS)
		return of_rsa(parts, err);
	size_t want = parts->type == YG_KEY_ED25519 ? 32 : 65;
	if (parts->point.len != want) {
		(void)yg_fail(err, YG_EFORMAT, "public key: want a point of %zu bytes, have %zu",
			want, parts->point.len);
		return NULL;
	}
	if (parts->type == YG_KEY_ECDSA_P256)
		return of_p256(parts, err);
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, parts->point.ptr,
		want);
	if (!pkey)
		(void)yg_ossl_fail(err, YG_EFORMAT, "public key");
	return pkey;
}

int yg_parts_public(const struct yg_parts *parts, struct yg_public *out, char **text,
	struct yg_err *err)
{
	EVP_PKEY *pkey YG_AUTO(pkey) = of_parts(parts, err);
	struct yg_key key = {.pkey = pkey};
	if (!pkey || yg_ossl_kind(pkey, &key.type, err) < 0)
		return -1;
	return yg_key_public(&key, out, text, err);
}

int yg_parts_ecdsa(struct yg_bytes both, uint8_t out[YG_SIGN_MAX], size_t *len, struct yg_err *err)
{
	if (both.len != 2 * HALF)
		return yg_fail(err, YG_EFORMAT, "signature: want %u bytes, have %zu", 2 * HALF,
			both.len);
	ECDSA_SIG *sig YG_AUTO(ecdsa) = ECDSA_SIG_new();
	BIGNUM *r YG_AUTO(bn) = BN_bin2bn(both.ptr, HALF, NULL);
	BIGNUM *s YG_AUTO(bn) = BN_bin2bn(both.ptr + HALF, HALF, NULL);
	if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "signature");
	r = s = NULL; /* sig's now */
	int size = i2d_ECDSA_SIG(sig, NULL);
	if (size <= 0 || size > (int)YG_SIGN_MAX || i2d_ECDSA_SIG(sig, &out) != size)
		return yg_ossl_fail(err, YG_ESYSTEM, "signature");
	*len = (size_t)size;
	return 0;
}
