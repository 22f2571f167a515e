/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "crypto/key.h"

/* Certificates of one small CA. All are PEM texts that end with a newline; chains are concatenated
 * leaf first. Whether a chain holds is TLS's to say (net/), not ours. source  RFC 5280
 */

#define YG_X509_PEM_MAX 16384 /* bytes of a certificate or request that is accepted */
#define YG_X509_SERIAL  41    /* bytes of the serial's text, with the terminator */
#define YG_X509_NAME    256   /* bytes of a subject's or issuer's text, with the terminator */
#define YG_X509_URIS    8     /* URI names that are read from one certificate */
#define YG_X509_URI     256   /* bytes of one, with the terminator */

#define YG_X509_CLIENT (1u << 0) /* extended key usage: TLS client */
#define YG_X509_SERVER (1u << 1) /* extended key usage: TLS server */

/* What a certificate is to say. Lists end with NULL; a NULL list is empty. */
struct yg_x509_spec {
	const char *cn;          /* subject's common name, at most 64 bytes */
	const char *const *uris; /* subject alternative names */
	const char *const *dns;
	const char *const *ips; /* "10.0.0.5", "fd00::5" */
	unsigned use;           /* YG_X509_CLIENT and/or YG_X509_SERVER */
	int64_t from_s;         /* valid from, Unix seconds; 0: five minutes before now */
	int days;               /* valid for, from from_s */
};

/* A CA: an ECDSA P-256 key and its self-signed certificate, valid for ten years.
 * out     *key, *cert  the caller's to free
 * errors  YG_ESYSTEM
 */
int yg_x509_make_ca(const char *cn, struct yg_key **key, char **cert, struct yg_err *err)
	YG_MUST_CHECK;

/* A certificate request for a key. errors  YG_ESYSTEM */
int yg_x509_make_csr(const struct yg_key *key, const char *cn, char **csr, struct yg_err *err)
	YG_MUST_CHECK;

/* Sign a certificate for the key in a request. The request's own signature must hold, and nothing
 * but the key is taken from it. The certificate never outlives the CA's.
 * out     serial  upper-case hex, may be NULL
 * errors  YG_EFORMAT the request is malformed, its key of a kind not used here, or the spec's names
 *         are; YG_EUNTRUSTED its signature does not hold; YG_ELIMIT; YG_ESYSTEM
 */
int yg_x509_issue(const struct yg_key *ca_key, const char *ca_cert, const char *csr,
	const struct yg_x509_spec *spec, char **cert, char serial[YG_X509_SERIAL],
	struct yg_err *err) YG_MUST_CHECK;

/* The same for a key at hand; with ca_key and ca_cert NULL self-signed. errors  as above */
int yg_x509_make(const struct yg_key *ca_key, const char *ca_cert, const struct yg_key *key,
	const struct yg_x509_spec *spec, char **cert, char serial[YG_X509_SERIAL],
	struct yg_err *err) YG_MUST_CHECK;

struct yg_x509_info {
	char subject[YG_X509_NAME]; /* "CN=…,O=…" (RFC 2253), control characters escaped */
	char issuer[YG_X509_NAME];
	char serial[YG_X509_SERIAL]; /* upper-case hex without leading zeros; "" if too long */
	char uris[YG_X509_URIS][YG_X509_URI];
	size_t uri_count;
	int64_t not_before_s, not_after_s;
	uint8_t spki[32];   /* SHA-256 of SubjectPublicKeyInfo (DER) */
	uint8_t sha256[32]; /* of the certificate (DER) */
	bool ca;            /* basic constraints say CA */
};

/* Read the first certificate of a PEM text, or one in DER.
 * errors  YG_EFORMAT, YG_ELIMIT
 */
int yg_x509_read(struct yg_bytes pem_or_der, struct yg_x509_info *out, struct yg_err *err)
	YG_MUST_CHECK;

/* True when one of the URI names is this one. */
bool yg_x509_has_uri(const struct yg_x509_info *info, const char *uri);

/* The rest of the first URI name that starts with `prefix` ("urn:yagura:agent:" gives the UUID);
 * points into info; NULL when there is none.
 */
const char *yg_x509_uri_after(const struct yg_x509_info *info, const char *prefix);

/* How many certificates a PEM bundle holds; each of them is parsed. errors  YG_EFORMAT, YG_ELIMIT */
int yg_x509_count(struct yg_bytes pem, size_t *count, struct yg_err *err) YG_MUST_CHECK;
