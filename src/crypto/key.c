/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "crypto/ossl.h"

static struct yg_key *own(EVP_PKEY *pkey, enum yg_key_type type, struct yg_err *err)
{
	struct yg_key *key = calloc(1, sizeof(*key));
	if (!key) {
		EVP_PKEY_free(pkey);
		(void)yg_fail(err, YG_ESYSTEM, "key: out of memory");
		return NULL;
	}
	key->pkey = pkey;
	key->type = type;
	return key;
}

static EVP_PKEY *generate(enum yg_key_type type)
{
	switch (type) {
	case YG_KEY_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	case YG_KEY_ECDSA_P256:
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	case YG_KEY_RSA_PSS:
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
	}
	return NULL;
}

struct yg_key *yg_key_generate(enum yg_key_type type, struct yg_err *err)
{
	EVP_PKEY *pkey = generate(type);
	if (!pkey) {
		(void)yg_ossl_fail(err, YG_ESYSTEM, "generating a key");
		return NULL;
	}
	return own(pkey, type, err);
}

struct ask {
	const char *passphrase;
	bool asked;
};

/* Without this OpenSSL would ask on the terminal. */
static int give_passphrase(char *out, int size, int writing, void *arg)
{
	(void)writing;
	struct ask *ask = arg;
	ask->asked = true;
	if (!ask->passphrase)
		return -1;
	size_t len = strlen(ask->passphrase);
	if (size < 0 || len > (size_t)size)
		return -1;
	memcpy(out, ask->passphrase, len);
	return (int)len;
}

struct yg_key *yg_key_load(struct yg_bytes pem, const char *passphrase, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = yg_ossl_reader(pem, YG_KEY_PEM_MAX, err);
	if (!bio)
		return NULL;
	struct ask ask = {.passphrase = passphrase};
	EVP_PKEY *pkey YG_AUTO(pkey) = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &ask);
	if (!pkey && ask.asked) {
		ERR_clear_error();
		(void)yg_fail(err, YG_EFORMAT,
			passphrase ? "key: the passphrase does not open it"
				   : "key: it is encrypted, and no passphrase was given");
		return NULL;
	}
	if (!pkey) {
		(void)yg_ossl_fail(err, YG_EFORMAT, "key: want a private key in PEM");
		return NULL;
	}
	enum yg_key_type type;
	if (yg_ossl_kind(pkey, &type, err) < 0)
		return NULL;
	return own(yg_take(pkey), type, err);
}

static int write_encrypted(BIO *bio, const EVP_PKEY *pkey, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(pkey);
	if (!plain)
		return 0;
	/* scrypt with N = 2^14, r = 8, p = 5: 16 MiB of memory, which is what OpenSSL reads again without
	 * being told, five times over. source  OWASP Password Storage Cheat Sheet, equal to N = 2^17
	 */
	X509_ALGOR *how = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 16, NULL, 16384, 8, 5);
	X509_SIG *sealed = how ? PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, how)
			       : NULL;
	if (!sealed)
		X509_ALGOR_free(how);
	PKCS8_PRIV_KEY_INFO_free(plain);
	int ok = sealed ? PEM_write_bio_PKCS8(bio, sealed) : 0;
	X509_SIG_free(sealed);
	return ok;
}

int yg_key_save(const struct yg_key *key, const char *passphrase, char **pem, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = BIO_new(BIO_s_mem());
	int ok = 0;
	if (bio && passphrase)
		ok = write_encrypted(bio, key->pkey, passphrase);
	else if (bio)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL);
	char *text = ok == 1 ? yg_ossl_text(bio) : NULL;
	if (!text)
		return yg_ossl_fail(err, YG_ESYSTEM, "writing a key");
	*pem = text;
	return 0;
}

enum yg_key_type yg_key_type(const struct yg_key *key)
{
	return key->type;
}

static char *raw_hex(const EVP_PKEY *pkey)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);
	char *hex = malloc(2 * sizeof(raw) + 1);
	if (!hex || EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1) {
		free(hex);
		return NULL;
	}
	yg_str_hex(raw, len, hex);
	return hex;
}

static char *spki_pem(const EVP_PKEY *pkey)
{
	BIO *bio YG_AUTO(bio) = BIO_new(BIO_s_mem());
	if (!bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
		return NULL;
	return yg_ossl_text(bio);
}

int yg_key_public(const struct yg_key *key, struct yg_public *out, char **text, struct yg_err *err)
{
	static const struct yg_public kinds[] = {
		[YG_KEY_ED25519] = {"ed25519", "ed25519", NULL},
		[YG_KEY_ECDSA_P256] = {"ecdsa", "ecdsa-sha2-nistp256", NULL},
		[YG_KEY_RSA_PSS] = {"rsa", "rsassa-pss-sha256", NULL},
	};
	char *form = key->type == YG_KEY_ED25519 ? raw_hex(key->pkey) : spki_pem(key->pkey);
	if (!form)
		return yg_ossl_fail(err, YG_ESYSTEM, "writing a public key");
	*out = kinds[key->type];
	out->text = *text = form;
	return 0;
}

int yg_key_spki(const struct yg_key *key, uint8_t out[32], struct yg_err *err)
{
	return yg_ossl_spki(key->pkey, out, err);
}

void yg_key_free(struct yg_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey); /* OpenSSL wipes the private parts */
	free(key);
}
