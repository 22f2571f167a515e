/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/seal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/kdf.h>

#include "core/fs.h"
#include "crypto/ossl.h"
#include "crypto/random.h"
#include "crypto/secret.h"

#define KEY   YG_SEAL_KEY
#define NONCE 12
#define TAG   16
#define FORM  1 /* the first byte of what is sealed */

struct yg_seal {
	uint8_t key[KEY];
};

static inline void cipher_free_at(EVP_CIPHER_CTX **at)
{
	EVP_CIPHER_CTX_free(*at);
}

/* A buffer for plain text, wiped before it goes. */
static void wiped_free_at(struct yg_buf *buf)
{
	if (buf->data)
		yg_secret_wipe(buf->data, buf->cap);
	yg_buf_free(buf);
}

struct yg_seal *yg_seal_open(int fd, struct yg_err *err)
{
	struct yg_buf buf YG_AUTO(wiped) = YG_BUF(KEY + 1);
	if (yg_fs_read_fd(fd, &buf, err) < 0) {
		if (err->code == YG_ELIMIT)
			(void)yg_fail(err, YG_EFORMAT, "want %d bytes, have more", KEY);
		(void)yg_wrap(err, "master key");
		return NULL;
	}
	if (buf.len != KEY) {
		(void)yg_fail(err, YG_EFORMAT, "master key: want %d bytes, have %zu", KEY, buf.len);
		return NULL;
	}
	struct yg_seal *seal = malloc(sizeof(*seal));
	if (!seal) {
		(void)yg_fail(err, YG_ESYSTEM, "master key: out of memory");
		return NULL;
	}
	memcpy(seal->key, buf.data, KEY);
	return seal;
}

static int make_file(int dir, const char *path, struct yg_err *err)
{
	uint8_t key[KEY];
	if (yg_random_bytes(key, sizeof(key), err) < 0)
		return -1;
	int rc = yg_fs_replace(dir, path, (struct yg_bytes){key, sizeof(key)}, 0600, err);
	yg_secret_wipe(key, sizeof(key));
	return rc;
}

struct yg_seal *yg_seal_make(int dir, const char *path, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open(dir, path, err);
	if (fd < 0 && err->code == YG_EABSENT && make_file(dir, path, err) == 0)
		fd = yg_fs_open(dir, path, err);
	return fd < 0 ? NULL : yg_seal_open(fd, err);
}

static inline void ctx_free_at(EVP_PKEY_CTX **at)
{
	EVP_PKEY_CTX_free(*at);
}

int yg_seal_derive(int fd, const char *purpose, uint8_t out[YG_SEAL_KEY], struct yg_err *err)
{
	struct yg_seal *master YG_AUTO(yg_seal) = yg_seal_open(fd, err);
	EVP_PKEY_CTX *ctx YG_AUTO(ctx) = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t size = YG_SEAL_KEY;
	if (!master)
		return -1;
	if (!ctx || EVP_PKEY_derive_init(ctx) != 1 ||
		EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) != 1 ||
		EVP_PKEY_CTX_set1_hkdf_key(ctx, master->key, KEY) != 1 ||
		EVP_PKEY_CTX_add1_hkdf_info(ctx, (const uint8_t *)purpose, (int)strlen(purpose)) !=
			1 ||
		EVP_PKEY_derive(ctx, out, &size) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "deriving a key");
	return 0;
}

void yg_seal_free(struct yg_seal *seal)
{
	if (!seal)
		return;
	yg_secret_wipe(seal, sizeof(*seal));
	free(seal);
}

/* Run the cipher over `in` to `out`, with associated data. Returns false on any failure. */
static bool run(EVP_CIPHER_CTX *ctx, struct yg_bytes bound, struct yg_bytes in, uint8_t *out)
{
	int n = 0;
	if (bound.len && EVP_CipherUpdate(ctx, NULL, &n, bound.ptr, (int)bound.len) != 1)
		return false;
	return !in.len || EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1;
}

static int check_sizes(struct yg_bytes bytes, struct yg_bytes bound, struct yg_err *err)
{
	if (bytes.len > INT_MAX - YG_SEAL_EXTRA || bound.len > INT_MAX)
		return yg_fail(err, YG_ELIMIT, "sealing: more than 2 GiB");
	return 0;
}

int yg_seal_put(const struct yg_seal *seal, struct yg_bytes plain, struct yg_bytes bound,
	struct yg_buf *out, struct yg_err *err)
{
	if (check_sizes(plain, bound, err) < 0)
		return -1;
	size_t size = plain.len + YG_SEAL_EXTRA;
	uint8_t *form YG_AUTO(mem) = malloc(size);
	EVP_CIPHER_CTX *ctx YG_AUTO(cipher) = EVP_CIPHER_CTX_new();
	if (!form || !ctx)
		return yg_fail(err, YG_ESYSTEM, "sealing: out of memory");
	uint8_t *nonce = form + 1, *text = nonce + NONCE, *tag = text + plain.len;
	form[0] = FORM;
	if (yg_random_bytes(nonce, NONCE, err) < 0)
		return -1;
	int n = 0;
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, nonce) != 1 ||
		!run(ctx, bound, plain, text) || EVP_EncryptFinal_ex(ctx, tag, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "sealing");
	return yg_buf_add(out, form, size, err);
}

int yg_seal_get(const struct yg_seal *seal, struct yg_bytes sealed, struct yg_bytes bound,
	struct yg_buf *out, struct yg_err *err)
{
	if (check_sizes(sealed, bound, err) < 0)
		return -1;
	if (sealed.len < YG_SEAL_EXTRA)
		return yg_fail(err, YG_EFORMAT, "sealed value: want at least %d bytes, have %zu",
			YG_SEAL_EXTRA, sealed.len);
	if (sealed.ptr[0] != FORM)
		return yg_fail(err, YG_EFORMAT, "sealed value: want form %d, have %u", FORM,
			sealed.ptr[0]);
	struct yg_bytes text = {sealed.ptr + 1 + NONCE, sealed.len - YG_SEAL_EXTRA};
	uint8_t tag[TAG];
	memcpy(tag, text.ptr + text.len, TAG);
	struct yg_buf plain YG_AUTO(wiped) = YG_BUF(text.len + 1);
	plain.data = malloc(text.len + 1);
	plain.cap = plain.data ? text.len + 1 : 0;
	EVP_CIPHER_CTX *ctx YG_AUTO(cipher) = EVP_CIPHER_CTX_new();
	if (!plain.data || !ctx)
		return yg_fail(err, YG_ESYSTEM, "unsealing: out of memory");
	int n = 0;
	if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, sealed.ptr + 1) != 1 ||
		!run(ctx, bound, text, plain.data) ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "unsealing");
	if (EVP_DecryptFinal_ex(ctx, plain.data + text.len, &n) != 1)
		return yg_fail(err, YG_EUNTRUSTED,
			"sealed value: it was sealed with another key or for another place, or changed");
	return yg_buf_add(out, plain.data, text.len, err);
}
