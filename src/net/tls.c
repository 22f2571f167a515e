/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "net/tls_ctx.h"

#define PEM_MAX       (8u << 20)          /* bytes of a CA bundle: Debian's has 220 KiB */
#define RELEASED_S    1793491200          /* 2026-11-01: no computer can run this program before */
#define EXPIRED_MAX_S (2LL * 365 * 86400) /* a certificate that ended longer ago: it is the clock */

static inline void bio_free_at(BIO **at)
{
	(void)BIO_free(*at);
}

static int refuse(const char *cause, const char *what, struct yg_err *err)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	ERR_clear_error();
	return yg_fail_cause(err, YG_EFORMAT, cause, "%s: %s", what,
		reason ? reason : "want PEM, have something else");
}

/* Without it OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static BIO *reader(const char *pem)
{
	size_t len = strnlen(pem, PEM_MAX + 1);
	return len > PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
}

static int load_chain(struct yg_tls_ctx *tls, const char *pem, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = reader(pem);
	tls->chain = sk_X509_new_null();
	if (!bio || !tls->chain)
		return yg_fail(err, YG_ESYSTEM, "TLS certificate: out of memory");
	tls->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!tls->leaf)
		return refuse("tls.failed", "own TLS certificate", err);
	for (X509 *next; (next = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
		if (sk_X509_push(tls->chain, next) <= 0) {
			X509_free(next);
			return yg_fail(err, YG_ESYSTEM, "TLS certificate: out of memory");
		}
	ERR_clear_error(); /* the end of the text is an error to OpenSSL */
	return 0;
}

static int load_key(struct yg_tls_ctx *tls, const char *pem, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = reader(pem);
	tls->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	if (!tls->key)
		return refuse("tls.failed", "own TLS key", err);
	if (X509_check_private_key(tls->leaf, tls->key) != 1) {
		ERR_clear_error();
		return yg_fail_cause(err, YG_EFORMAT, "tls.failed",
			"own TLS key: it does not belong to the certificate");
	}
	return 0;
}

static int load_cas(struct yg_tls_ctx *tls, const char *pem, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = reader(pem);
	size_t count = 0;
	for (X509 *ca; bio && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)); count++) {
		int ok = X509_STORE_add_cert(tls->store, ca);
		X509_free(ca);
		if (!ok)
			return refuse("tls.ca", "CA bundle", err);
	}
	if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return refuse("tls.ca", "CA bundle", err);
	ERR_clear_error();
	return 0;
}

static bool copy(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

/* When our own certificate was made, its maker's clock had that time. */
static void note_own(struct yg_tls_ctx *tls)
{
	struct yg_x509_info info;
	if (tls->leaf && yg_tls_ctx_info(tls->leaf, &info) && info.not_before_s > tls->known_s)
		tls->known_s = info.not_before_s;
}

struct yg_tls_ctx *yg_tls_ctx_new(const struct yg_tls *from, struct yg_err *err)
{
	struct yg_tls_ctx *tls YG_AUTO(yg_tls_ctx) = calloc(1, sizeof(*tls));
	if (tls)
		tls->store = X509_STORE_new();
	if (!tls || !tls->store || !copy(&tls->peer_uri, from->peer_uri) ||
		!copy(&tls->peer_prefix, from->peer_prefix)) {
		(void)yg_fail(err, YG_ESYSTEM, "TLS: out of memory");
		return NULL;
	}
	tls->insecure = from->insecure;
	tls->known_s = from->known_s > RELEASED_S ? from->known_s : RELEASED_S;
	tls->pinned = from->ca_spki != NULL;
	if (from->ca_spki)
		memcpy(tls->ca_spki, from->ca_spki, sizeof(tls->ca_spki));
	/* Whatever is in the bundle is trusted by itself, also a CA that another one signed. */
	(void)X509_STORE_set_flags(tls->store, X509_V_FLAG_PARTIAL_CHAIN);
	if (from->cert && load_chain(tls, from->cert, err) < 0)
		return NULL;
	note_own(tls);
	if (from->cert && from->key && load_key(tls, from->key, err) < 0)
		return NULL;
	if (from->cas && from->cas[0] && load_cas(tls, from->cas, err) < 0)
		return NULL;
	if (from->system_cas && X509_STORE_load_path(tls->store, YG_TLS_SYSTEM_CAS) != 1) {
		(void)refuse("tls.ca", "CAs of the system", err);
		return NULL;
	}
	return yg_take(tls);
}

void yg_tls_ctx_free(struct yg_tls_ctx *tls)
{
	if (!tls)
		return;
	X509_free(tls->leaf);
	sk_X509_pop_free(tls->chain, X509_free);
	EVP_PKEY_free(tls->key);
	X509_STORE_free(tls->store);
	free(tls->peer_uri);
	free(tls->peer_prefix);
	free(tls);
}

bool yg_tls_ctx_apply(const struct yg_tls_ctx *tls, SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 2);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set1_cert_store(ctx, tls->store);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return false;
	if (!tls->leaf || !tls->key)
		return true;
	return SSL_CTX_use_certificate(ctx, tls->leaf) == 1 &&
		SSL_CTX_use_PrivateKey(ctx, tls->key) == 1 &&
		SSL_CTX_set1_chain(ctx, tls->chain) == 1;
}

bool yg_tls_ctx_info(const X509 *cert, struct yg_x509_info *out)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);
	if (len <= 0)
		return false;
	struct yg_err err = {0};
	int rc = yg_x509_read((struct yg_bytes){der, (size_t)len}, out, &err);
	OPENSSL_free(der);
	return rc == 0;
}

static void note(const X509 *cert, struct yg_tls_seen *seen)
{
	struct yg_x509_info info;
	if (!cert || !yg_tls_ctx_info(cert, &info))
		return;
	memcpy(seen->subject, info.subject, sizeof(seen->subject));
	memcpy(seen->issuer, info.issuer, sizeof(seen->issuer));
	seen->from_s = info.not_before_s;
	seen->until_s = info.not_after_s;
}

static void note_chain(X509_STORE_CTX *verify, struct yg_tls_seen *seen)
{
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(verify);
	const SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());
	*seen = (struct yg_tls_seen){0};
	if (ssl)
		(void)!yg_str_put(seen->version, sizeof(seen->version), "%s", SSL_get_version(ssl));
	for (int i = 0; i < sk_X509_num(sent) && seen->count < YG_TLS_CHAIN_MAX; i++) {
		struct yg_x509_info info;
		if (!yg_tls_ctx_info(sk_X509_value(sent, i), &info))
			continue;
		size_t at = seen->count++;
		memcpy(seen->chain[at].subject, info.subject, sizeof(info.subject));
		memcpy(seen->chain[at].issuer, info.issuer, sizeof(info.issuer));
		seen->chain[at].until_s = info.not_after_s;
	}
	note(X509_STORE_CTX_get0_cert(verify), seen);
}

static int reject(X509_STORE_CTX *verify, struct yg_tls_seen *seen, int why)
{
	X509_STORE_CTX_set_error(verify, why);
	seen->verify = why;
	return 0;
}

/* Whether a date that does not fit tells of our own clock: it is before a time that has passed for certain; or
 * nothing in the whole chain, up to the CA that is trusted for years, is valid now; or it ended so long ago that
 * nobody would have left it there.
 */
static bool is_our_clock(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify, int why)
{
	bool early = why == X509_V_ERR_CERT_NOT_YET_VALID;
	if (early && yg_clock_now_s() < tls->known_s)
		return true;
	if (!early && why != X509_V_ERR_CERT_HAS_EXPIRED)
		return false;
	time_t long_ago = (time_t)(yg_clock_now_s() - EXPIRED_MAX_S);
	const X509 *judged = X509_STORE_CTX_get_current_cert(verify);
	if (!early && judged && X509_cmp_time(X509_get0_notAfter(judged), &long_ago) < 0)
		return true;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(verify);
	for (int i = 0; i < sk_X509_num(chain); i++) {
		const X509 *cert = sk_X509_value(chain, i);
		int there = early ? X509_cmp_current_time(X509_get0_notBefore(cert))
				  : -X509_cmp_current_time(X509_get0_notAfter(cert));
		if (there <= 0)
			return false;
	}
	return sk_X509_num(chain) > 1;
}

/* The CA with the wanted key among what the peer sent; NULL: none. Borrowed. */
static X509 *find_pinned(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify)
{
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(verify);
	for (int i = 0; i < sk_X509_num(sent); i++) {
		X509 *cert = sk_X509_value(sent, i);
		struct yg_x509_info info;
		if (yg_tls_ctx_info(cert, &info) && info.ca &&
			memcmp(info.spki, tls->ca_spki, sizeof(info.spki)) == 0)
			return cert;
	}
	return NULL;
}

static int judge_chain(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify,
	struct yg_tls_seen *seen)
{
	STACK_OF(X509) *trusted = NULL;
	if (tls->pinned) {
		X509 *ca = find_pinned(tls, verify);
		if (!ca)
			return reject(verify, seen, X509_V_ERR_UNSPECIFIED);
		trusted = sk_X509_new_null();
		if (!trusted || sk_X509_push(trusted, ca) <= 0) {
			sk_X509_free(trusted);
			return reject(verify, seen, X509_V_ERR_OUT_OF_MEM);
		}
		X509_STORE_CTX_set0_trusted_stack(verify, trusted);
	}
	int ok = X509_verify_cert(verify);
	int why = X509_STORE_CTX_get_error(verify);
	if (ok <= 0) { /* which certificate of the chain it was about */
		note(X509_STORE_CTX_get_current_cert(verify), seen);
		seen->clock = is_our_clock(tls, verify, why);
	}
	sk_X509_free(trusted);
	return ok > 0 ? 1 : reject(verify, seen, why == X509_V_OK ? X509_V_ERR_INVALID_CALL : why);
}

int yg_tls_ctx_judge(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify, struct yg_tls_seen *seen)
{
	struct yg_x509_info info;
	note_chain(verify, seen);
	if (tls->insecure) {
		X509_STORE_CTX_set_error(verify, X509_V_OK);
		return 1;
	}
	if (!judge_chain(tls, verify, seen))
		return 0;
	if (!tls->peer_uri && !tls->peer_prefix)
		return 1;
	if (!yg_tls_ctx_info(X509_STORE_CTX_get0_cert(verify), &info))
		return reject(verify, seen, X509_V_ERR_INVALID_CALL);
	if (tls->peer_uri && !yg_x509_has_uri(&info, tls->peer_uri))
		return reject(verify, seen, X509_V_ERR_APPLICATION_VERIFICATION);
	if (tls->peer_prefix && !yg_x509_uri_after(&info, tls->peer_prefix))
		return reject(verify, seen, X509_V_ERR_APPLICATION_VERIFICATION);
	return 1;
}

int yg_tls_ctx_judge_proxy(const struct yg_tls_ctx *tls, X509_STORE_CTX *verify,
	struct yg_tls_seen *seen)
{
	note_chain(verify, seen);
	return judge_chain(tls, verify, seen);
}
