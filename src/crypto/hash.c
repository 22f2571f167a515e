/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/str.h"
#include "crypto/ossl.h"

#define PIECE (128u << 10) /* bytes read at a time: larger ones measured no faster */

struct yg_hash {
	EVP_MD_CTX *ctx;
};

struct yg_hash *yg_hash_new(struct yg_err *err)
{
	struct yg_hash *hash YG_AUTO(yg_hash) = calloc(1, sizeof(*hash));
	if (hash)
		hash->ctx = EVP_MD_CTX_new();
	if (!hash || !hash->ctx || EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL) != 1) {
		(void)yg_ossl_fail(err, YG_ESYSTEM, "starting SHA-256");
		return NULL;
	}
	return yg_take(hash);
}

void yg_hash_add(struct yg_hash *hash, const void *data, size_t len)
{
	int ok = EVP_DigestUpdate(hash->ctx, data, len);
	assert(ok == 1); /* it allocates nothing, and fails only when it was not started */
	(void)ok;
}

void yg_hash_end(struct yg_hash *hash, uint8_t out[YG_HASH_SIZE])
{
	int ok = EVP_DigestFinal_ex(hash->ctx, out, NULL);
	assert(ok == 1);
	ok = EVP_DigestInit_ex(hash->ctx, NULL, NULL);
	assert(ok == 1);
	(void)ok;
}

void yg_hash_free(struct yg_hash *hash)
{
	if (!hash)
		return;
	EVP_MD_CTX_free(hash->ctx);
	free(hash);
}

int yg_hash_bytes(struct yg_bytes bytes, uint8_t out[YG_HASH_SIZE], struct yg_err *err)
{
	if (EVP_Digest(bytes.ptr, bytes.len, out, NULL, EVP_sha256(), NULL) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "computing SHA-256");
	return 0;
}

int yg_hash_text(struct yg_bytes bytes, char out[YG_HASH_TEXT], struct yg_err *err)
{
	uint8_t raw[YG_HASH_SIZE];
	if (yg_hash_bytes(bytes, raw, err) < 0)
		return -1;
	yg_str_hex(raw, sizeof(raw), out);
	return 0;
}

int yg_hash_512_text(struct yg_bytes bytes, char out[YG_HASH_512_TEXT], struct yg_err *err)
{
	uint8_t raw[YG_HASH_512_SIZE];
	if (EVP_Digest(bytes.ptr, bytes.len, raw, NULL, EVP_sha512(), NULL) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "computing SHA-512");
	yg_str_hex(raw, sizeof(raw), out);
	return 0;
}

int yg_hash_fd(int fd, uint8_t out[YG_HASH_SIZE], uint64_t *size, struct yg_err *err)
{
	struct yg_hash *hash YG_AUTO(yg_hash) = yg_hash_new(err);
	if (!hash)
		return -1;
	uint8_t *piece YG_AUTO(mem) = malloc(PIECE);
	if (!piece)
		return yg_fail_sys(err, ENOMEM, "hashing");
	off_t at = 0;
	for (;;) {
		ssize_t n = pread(fd, piece, PIECE, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "hashing at byte %lld", (long long)at);
		if (n == 0)
			break;
		yg_hash_add(hash, piece, (size_t)n);
		at += n;
	}
	yg_hash_end(hash, out);
	if (size)
		*size = (uint64_t)at;
	return 0;
}
