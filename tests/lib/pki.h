/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "core/clock.h"
#include "crypto/secret.h"
#include "crypto/x509.h"

/* A small PKI for tests: a CA, and parties with certificates of it. */

struct pki {
	struct yg_key *key;
	char *cert;
	uint8_t spki[32];
};

struct party {
	char *key, *cert; /* cert: the chain with its CA */
	char serial[YG_X509_SERIAL];
};

static inline void pki_init(struct pki *ca, const char *cn)
{
	struct yg_err err = {0};
	assert_int_equal(yg_x509_make_ca(cn, &ca->key, &ca->cert, &err), 0);
	assert_int_equal(yg_key_spki(ca->key, ca->spki, &err), 0);
}

static inline void pki_done(struct pki *ca)
{
	yg_key_free(ca->key);
	free(ca->cert);
}

/* A party with one URI name, and the addresses of loopback; valid from `from_s` (0: now). */
static inline void party_init(struct party *party, const struct pki *ca, const char *uri,
	int64_t from_s, int days)
{
	struct yg_err err = {0};
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	assert_non_null(key);
	struct yg_x509_spec spec = {.cn = "test",
		.uris = (const char *const[]){uri, NULL},
		.dns = (const char *const[]){"localhost", NULL},
		.ips = (const char *const[]){"127.0.0.1", "::1", NULL},
		.use = YG_X509_CLIENT | YG_X509_SERVER,
		.from_s = from_s,
		.days = days};
	char *leaf = NULL;
	assert_int_equal(yg_x509_make(ca->key, ca->cert, key, &spec, &leaf, party->serial, &err),
		0);
	size_t size = strlen(leaf) + strlen(ca->cert) + 1;
	party->cert = malloc(size);
	assert_non_null(party->cert);
	memcpy(party->cert, leaf, strlen(leaf));
	memcpy(party->cert + strlen(leaf), ca->cert, strlen(ca->cert) + 1);
	free(leaf);
	assert_int_equal(yg_key_save(key, NULL, &party->key, &err), 0);
}

static inline void party_done(struct party *party)
{
	yg_secret_free(party->key);
	free(party->cert);
}
