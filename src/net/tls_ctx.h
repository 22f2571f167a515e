/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"
#include "crypto/x509.h"
#include "net/tls.h"

/* Private to net/: a struct yg_tls in OpenSSL's terms, for client and server alike. */

struct yg_tls_ctx {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	X509_STORE *store;
	bool insecure;
	char *peer_uri, *peer_prefix;
	bool pinned;
	uint8_t ca_spki[32];
	int64_t known_s; /* has passed for certain */
};

/* errors  YG_EFORMAT, with a cause, naming the part; YG_ESYSTEM */
struct yg_tls_ctx *yg_tls_ctx_new(const struct yg_tls *tls, struct yg_err *err) YG_MUST_CHECK;
void yg_tls_ctx_free(struct yg_tls_ctx *tls);
YG_DEFINE_AUTO(yg_tls_ctx);

/* Give an SSL_CTX certificate, key, trust and the rules of this project. Returns false when OpenSSL
 * refuses.
 */
bool yg_tls_ctx_apply(const struct yg_tls_ctx *tls, SSL_CTX *ctx);

/* Judge the chain in a verification that OpenSSL asks for, on a client's side: chain, then pin, URI
 * or prefix. Returns what OpenSSL wants: 1 or 0.
 */
int yg_tls_ctx_judge(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify,
	struct yg_tls_seen *seen);

/* The same for an HTTPS proxy: `tls` is what it is trusted by, no identity is asked of it. */
int yg_tls_ctx_judge_proxy(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify,
	struct yg_tls_seen *seen);

/* Read an X509 as crypto/ does. Returns false when it is malformed. */
bool yg_tls_ctx_info(const X509 *cert, struct yg_x509_info *out);
