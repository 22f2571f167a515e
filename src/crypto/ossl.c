/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/ossl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"

/* Before main, and so before any sandbox: OpenSSL must not read its configuration file, which the
 * environment can name and which a sandboxed role cannot open (then every call would fail).
 */
__attribute__((constructor)) static void settle(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

int yg_ossl_fail(struct yg_err *err, enum yg_code code, const char *fmt, ...)
{
	char what[YG_ERR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* The first entry is the cause, the later ones are who passed it on. */
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	ERR_clear_error();
	return yg_fail(err, code, "%s: %s", what, reason ? reason : "OpenSSL gives no reason");
}

int yg_ossl_kind(const EVP_PKEY *pkey, enum yg_key_type *type, struct yg_err *err)
{
	if (EVP_PKEY_is_a(pkey, "ED25519")) {
		*type = YG_KEY_ED25519;
		return 0;
	}
	if (EVP_PKEY_is_a(pkey, "EC")) {
		char group[64] = "";
		(void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
		if (strcmp(group, "prime256v1") != 0)
			return yg_fail(err, YG_EFORMAT, "key: want the curve P-256, have '%s'",
				group);
		*type = YG_KEY_ECDSA_P256;
		return 0;
	}
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		int bits = EVP_PKEY_get_bits(pkey);
		if (bits < 2048 || bits > 4096)
			return yg_fail(err, YG_EFORMAT, "key: want RSA of 2048..4096 bits, have %d",
				bits);
		*type = YG_KEY_RSA_PSS;
		return 0;
	}
	const char *name = EVP_PKEY_get0_type_name(pkey);
	return yg_fail(err, YG_EFORMAT, "key: want ed25519, ECDSA P-256 or RSA, have %s",
		name ? name : "something else");
}

BIO *yg_ossl_reader(struct yg_bytes bytes, size_t max, struct yg_err *err)
{
	if (bytes.len > max || bytes.len > INT_MAX) {
		(void)yg_fail(err, YG_ELIMIT, "PEM: want at most %zu bytes, have %zu", max,
			bytes.len);
		return NULL;
	}
	BIO *bio = BIO_new_mem_buf(bytes.len ? (const void *)bytes.ptr : "", (int)bytes.len);
	if (!bio)
		(void)yg_fail_sys(err, ENOMEM, "reading PEM");
	return bio;
}

char *yg_ossl_text(BIO *bio)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	return len < 0 ? NULL : strndup(data ? data : "", (size_t)len);
}

int yg_ossl_spki(EVP_PKEY *pkey, uint8_t out[32], struct yg_err *err)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);
	if (len <= 0)
		return yg_ossl_fail(err, YG_ESYSTEM, "encoding a public key");
	int rc = yg_hash_bytes((struct yg_bytes){der, (size_t)len}, out, err);
	OPENSSL_free(der);
	return rc;
}
