/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"

/* Private to crypto/: what its files share of OpenSSL. */

struct yg_key {
	EVP_PKEY *pkey;
	enum yg_key_type type;
};

/* As yg_fail, with OpenSSL's reason appended; empties OpenSSL's queue of errors. */
int yg_ossl_fail(struct yg_err *err, enum yg_code code, const char *fmt, ...) YG_PRINTF(3, 4);

/* Which kind a key is. errors  YG_EFORMAT one that is not used here, RSA outside 2048..4096 bits */
int yg_ossl_kind(const EVP_PKEY *pkey, enum yg_key_type *type, struct yg_err *err) YG_MUST_CHECK;

/* A read-only BIO over bytes. errors  YG_ESYSTEM, YG_ELIMIT more than max */
BIO *yg_ossl_reader(struct yg_bytes bytes, size_t max, struct yg_err *err) YG_MUST_CHECK;

/* What was written to a memory BIO, as a string that is the caller's. NULL: out of memory */
char *yg_ossl_text(BIO *bio) YG_MUST_CHECK;

/* SHA-256 of a key's SubjectPublicKeyInfo. errors  YG_ESYSTEM */
int yg_ossl_spki(EVP_PKEY *pkey, uint8_t out[32], struct yg_err *err) YG_MUST_CHECK;

static inline void bio_free_at(BIO **at)
{
	(void)BIO_free(*at);
}

static inline void pkey_free_at(EVP_PKEY **at)
{
	EVP_PKEY_free(*at);
}

static inline void pkey_ctx_free_at(EVP_PKEY_CTX **at)
{
	EVP_PKEY_CTX_free(*at);
}

static inline void md_ctx_free_at(EVP_MD_CTX **at)
{
	EVP_MD_CTX_free(*at);
}

static inline void x509_free_at(X509 **at)
{
	X509_free(*at);
}
