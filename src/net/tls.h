/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/x509.h"

/* What one side of a TLS connection presents and trusts. Everything is PEM in memory: the processes
 * that speak TLS have no paths. The environment and OpenSSL's configuration file are ignored.
 */

#define YG_TLS_SYSTEM_CAS "/etc/ssl/certs" /* the folder that system_cas reads; for Landlock */

struct yg_tls {
	const char *cert; /* own certificate and its chain, leaf first; NULL: none. A server's chain
			     includes its CA, so that a token can be checked against it */
	const char *key;  /* its private key */
	const char *cas;  /* trusted CAs, any number of certificates; NULL: none */
	bool system_cas;  /* trust the CAs in YG_TLS_SYSTEM_CAS too */
	bool insecure;    /* a client checks nothing: a source URL with "//" at its end */

	/* A client's idea of its peer: one of these, else the URL's host name must be in the
	 * certificate. */
	const char *peer_uri;    /* this URI name must be: "urn:yagura:relay:<uuid>" */
	const char *peer_prefix; /* some URI name must start so: "urn:yagura:manager:" */
	const uint8_t *ca_spki;  /* 32 bytes: the chain must end in a CA with this key (activation);
				   then cas and system_cas are not needed */

	int64_t known_s; /* a time that has passed for certain, as the newest that a publisher has
			    signed; 0: none. A clock before it is wrong */
};

/* What a client saw of its peer, or of an HTTPS proxy. */
#define YG_TLS_CHAIN_MAX 6

struct yg_tls_seen {
	char version[16]; /* "TLSv1.3"; "": no handshake came so far */
	long verify;      /* X509_V_ERR_* that the certificate was refused for; 0: it was not */
	bool clock;       /* it was refused for a date, and it is our clock that is wrong */
	char subject[YG_X509_NAME]; /* of the certificate that was refused, else of the peer's */
	char issuer[YG_X509_NAME];
	int64_t from_s, until_s; /* its validity */
	size_t count;            /* of what the peer sent, leaf first */
	struct {
		char subject[YG_X509_NAME];
		char issuer[YG_X509_NAME];
		int64_t until_s;
	} chain[YG_TLS_CHAIN_MAX];
};
