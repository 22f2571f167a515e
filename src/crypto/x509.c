/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/ossl.h"
#include "crypto/random.h"

#define DAY       86400
#define CA_DAYS   3653 /* ten years */
#define CN_MAX    64   /* characters; ub-common-name of RFC 5280 */
#define COUNT_MAX 1024 /* certificates in a bundle */

static inline void req_free_at(X509_REQ **at)
{
	X509_REQ_free(*at);
}

static inline void names_free_at(GENERAL_NAMES **at)
{
	GENERAL_NAMES_free(*at);
}

static int set_cn(X509_NAME *name, const char *cn, struct yg_err *err)
{
	if (!yg_str_utf8_ok(cn, strlen(cn)) || !*cn || strlen(cn) > CN_MAX)
		return yg_fail(err, YG_EFORMAT, "common name: want 1..%d bytes of UTF-8", CN_MAX);
	if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		    (const unsigned char *)cn, -1, -1, 0) != 1)
		return yg_ossl_fail(err, YG_EFORMAT, "common name");
	return 0;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct yg_err *err)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	int ok = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok ? 0 : yg_ossl_fail(err, YG_ESYSTEM, "adding the extension %s", OBJ_nid2sn(nid));
}

/* Names go in as values, never as OpenSSL's configuration text, in which a comma would begin another. */
static GENERAL_NAME *make_name(int kind, const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	if (!name)
		return NULL;
	if (kind == GEN_IPADD) {
		ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
		if (address)
			GENERAL_NAME_set0_value(name, kind, address);
		else
			GENERAL_NAME_free(name);
		return address ? name : NULL;
	}
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();
	if (!value || ASN1_STRING_set(value, text, -1) != 1) {
		ASN1_IA5STRING_free(value);
		GENERAL_NAME_free(name);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, kind, value);
	return name;
}

static bool name_ok(int kind, const char *text)
{
	size_t len = strlen(text);
	if (len < 1 || len >= YG_X509_URI)
		return false;
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~' || (kind == GEN_DNS && strchr("/@:,", *at)))
			return false;
	return true;
}

static int add_names(GENERAL_NAMES *names, int kind, const char *const *list, struct yg_err *err)
{
	for (; list && *list; list++) {
		GENERAL_NAME *name = name_ok(kind, *list) ? make_name(kind, *list) : NULL;
		if (!name)
			return yg_ossl_fail(err, YG_EFORMAT, "alternative name '%.80s'", *list);
		if (sk_GENERAL_NAME_push(names, name) <= 0) {
			GENERAL_NAME_free(name);
			return yg_fail_sys(err, ENOMEM, "alternative name '%.80s'", *list);
		}
	}
	return 0;
}

static int add_all_names(X509 *cert, const struct yg_x509_spec *spec, struct yg_err *err)
{
	GENERAL_NAMES *names YG_AUTO(names) = GENERAL_NAMES_new();
	if (!names)
		return yg_fail_sys(err, ENOMEM, "alternative names");
	if (add_names(names, GEN_URI, spec->uris, err) < 0 ||
		add_names(names, GEN_DNS, spec->dns, err) < 0 ||
		add_names(names, GEN_IPADD, spec->ips, err) < 0)
		return -1;
	if (sk_GENERAL_NAME_num(names) == 0)
		return 0;
	if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "adding alternative names");
	return 0;
}

/* 127 random bits: RFC 5280 wants a positive number, and nobody can guess the next one. */
static int set_serial(X509 *cert, struct yg_err *err)
{
	uint8_t raw[16];
	if (yg_random_bytes(raw, sizeof(raw), err) < 0)
		return -1;
	raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40);
	BIGNUM *number = BN_bin2bn(raw, sizeof(raw), NULL);
	int ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return ok ? 0 : yg_ossl_fail(err, YG_ESYSTEM, "making a serial number");
}

static int64_t time_of(const ASN1_TIME *time)
{
	struct tm tm = {0};
	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* The fields that every certificate has. */
static int begin(X509 *cert, X509 *issuer, EVP_PKEY *pkey, const char *cn, int64_t from,
	int64_t until, struct yg_err *err)
{
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, pkey) != 1 ||
		!ASN1_TIME_set(X509_getm_notBefore(cert), from) ||
		!ASN1_TIME_set(X509_getm_notAfter(cert), until))
		return yg_ossl_fail(err, YG_ESYSTEM, "making a certificate");
	if (set_serial(cert, err) < 0 || set_cn(X509_get_subject_name(cert), cn, err) < 0)
		return -1;
	if (X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "making a certificate");
	return 0;
}

static int finish(X509 *cert, const struct yg_key *ca_key, char **out, struct yg_err *err)
{
	const EVP_MD *digest = ca_key->type == YG_KEY_ED25519 ? NULL : EVP_sha256();
	BIO *bio YG_AUTO(bio) = BIO_new(BIO_s_mem());
	if (!bio || X509_sign(cert, ca_key->pkey, digest) <= 0 ||
		PEM_write_bio_X509(bio, cert) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "signing a certificate");
	char *pem = yg_ossl_text(bio);
	if (!pem)
		return yg_fail_sys(err, ENOMEM, "writing a certificate");
	*out = pem;
	return 0;
}

int yg_x509_make_ca(const char *cn, struct yg_key **key, char **cert, struct yg_err *err)
{
	struct yg_key *made YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, err);
	X509 *x YG_AUTO(x509) = X509_new();
	if (!made)
		return -1;
	if (!x)
		return yg_fail_sys(err, ENOMEM, "making a CA");
	int64_t from = yg_clock_now_s() - 300;
	if (begin(x, x, made->pkey, cn, from, from + (int64_t)CA_DAYS * DAY, err) < 0 ||
		add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", err) < 0 ||
		add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign", err) < 0 ||
		add_extension(x, x, NID_subject_key_identifier, "hash", err) < 0 ||
		finish(x, made, cert, err) < 0)
		return -1;
	*key = yg_take(made);
	return 0;
}

int yg_x509_make_csr(const struct yg_key *key, const char *cn, char **csr, struct yg_err *err)
{
	const EVP_MD *digest = key->type == YG_KEY_ED25519 ? NULL : EVP_sha256();
	X509_REQ *req YG_AUTO(req) = X509_REQ_new();
	BIO *bio YG_AUTO(bio) = BIO_new(BIO_s_mem());
	if (!req || !bio)
		return yg_fail_sys(err, ENOMEM, "making a certificate request");
	if (set_cn(X509_REQ_get_subject_name(req), cn, err) < 0)
		return -1;
	if (X509_REQ_set_pubkey(req, key->pkey) != 1 ||
		X509_REQ_sign(req, key->pkey, digest) <= 0 || PEM_write_bio_X509_REQ(bio, req) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "making a certificate request");
	char *pem = yg_ossl_text(bio);
	if (!pem)
		return yg_fail_sys(err, ENOMEM, "making a certificate request");
	*csr = pem;
	return 0;
}

static X509 *load_pem(const char *what, struct yg_bytes pem, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = yg_ossl_reader(pem, (size_t)COUNT_MAX * YG_X509_PEM_MAX, err);
	if (!bio)
		return NULL;
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!x)
		(void)yg_ossl_fail(err, YG_EFORMAT, "%s: want a certificate in PEM", what);
	return x;
}

/* How long a certificate may live that this CA signs: never past the CA's own end. */
static int span(const struct yg_x509_spec *spec, const X509 *ca, int64_t *from, int64_t *until,
	struct yg_err *err)
{
	if (spec->days < 1 || spec->days > CA_DAYS)
		return yg_fail(err, YG_EFORMAT, "days: want 1..%d, have %d", CA_DAYS, spec->days);
	*from = spec->from_s ? spec->from_s : yg_clock_now_s() - 300;
	*until = *from + (int64_t)spec->days * DAY;
	int64_t end = ca ? time_of(X509_get0_notAfter(ca)) : *until;
	if (*until > end)
		*until = end;
	if (*until <= *from)
		return yg_fail(err, YG_EUNTRUSTED, "the CA's certificate has ended");
	return 0;
}

static const char *use_text(unsigned use)
{
	switch (use) {
	case YG_X509_CLIENT:
		return "clientAuth";
	case YG_X509_SERVER:
		return "serverAuth";
	default:
		return "clientAuth,serverAuth";
	}
}

static int make(const struct yg_key *ca_key, const char *ca_cert, EVP_PKEY *pkey,
	const struct yg_x509_spec *spec, char **cert, char serial[YG_X509_SERIAL],
	struct yg_err *err)
{
	X509 *ca YG_AUTO(x509) = ca_cert ? load_pem("CA", yg_bytes_of(ca_cert), err) : NULL;
	if (ca_cert && !ca)
		return -1;
	if (ca && X509_check_private_key(ca, ca_key->pkey) != 1) {
		ERR_clear_error();
		return yg_fail(err, YG_EFORMAT, "CA: the key does not belong to the certificate");
	}
	X509 *x YG_AUTO(x509) = X509_new();
	if (!x)
		return yg_fail_sys(err, ENOMEM, "making a certificate");
	X509 *issuer = ca ? ca : x;
	int64_t from = 0, until = 0;
	if (span(spec, ca, &from, &until, err) < 0 ||
		begin(x, issuer, pkey, spec->cn, from, until, err) < 0 ||
		add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE", err) < 0 ||
		add_extension(x, issuer, NID_key_usage, "critical,digitalSignature", err) < 0 ||
		add_extension(x, issuer, NID_ext_key_usage, use_text(spec->use), err) < 0 ||
		add_extension(x, issuer, NID_subject_key_identifier, "hash", err) < 0)
		return -1;
	if (ca && add_extension(x, ca, NID_authority_key_identifier, "keyid", err) < 0)
		return -1;
	char *pem = NULL;
	if (add_all_names(x, spec, err) < 0 || finish(x, ca_key, &pem, err) < 0)
		return -1;
	struct yg_x509_info info;
	if (yg_x509_read(yg_bytes_of(pem), &info, err) < 0) {
		free(pem);
		return -1;
	}
	if (serial)
		memcpy(serial, info.serial, YG_X509_SERIAL);
	*cert = pem;
	return 0;
}

int yg_x509_issue(const struct yg_key *ca_key, const char *ca_cert, const char *csr,
	const struct yg_x509_spec *spec, char **cert, char serial[YG_X509_SERIAL],
	struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = yg_ossl_reader(yg_bytes_of(csr), YG_X509_PEM_MAX, err);
	if (!bio)
		return yg_wrap(err, "certificate request");
	X509_REQ *req YG_AUTO(req) = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;
	if (!pkey)
		return yg_ossl_fail(err, YG_EFORMAT, "certificate request: want one in PEM");
	enum yg_key_type type;
	if (yg_ossl_kind(pkey, &type, err) < 0)
		return yg_wrap(err, "certificate request");
	if (X509_REQ_verify(req, pkey) != 1) {
		ERR_clear_error();
		return yg_fail(err, YG_EUNTRUSTED,
			"certificate request: it is not signed by its own key");
	}
	return make(ca_key, ca_cert, pkey, spec, cert, serial, err);
}

int yg_x509_make(const struct yg_key *ca_key, const char *ca_cert, const struct yg_key *key,
	const struct yg_x509_spec *spec, char **cert, char serial[YG_X509_SERIAL],
	struct yg_err *err)
{
	return make(ca_key ? ca_key : key, ca_cert, key->pkey, spec, cert, serial, err);
}

/* --- reading */

static void print_name(const X509_NAME *name, char out[YG_X509_NAME])
{
	out[0] = 0;
	BIO *bio YG_AUTO(bio) = BIO_new(BIO_s_mem());
	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
		return;
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	if (len <= 0)
		return;
	size_t n = (size_t)len < YG_X509_NAME ? (size_t)len : YG_X509_NAME - 1;
	memcpy(out, data, n);
	out[n] = 0;
	while (n > 0 && !yg_str_utf8_ok(out, n)) /* cut inside a character, or never UTF-8 */
		out[--n] = 0;
}

static void print_serial(const X509 *x, char out[YG_X509_SERIAL])
{
	out[0] = 0;
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = number ? BN_bn2hex(number) : NULL;
	const char *at = hex ? hex : "";
	while (at[0] == '0' && at[1])
		at++;
	if (strlen(at) < YG_X509_SERIAL)
		memcpy(out, at, strlen(at) + 1);
	OPENSSL_free(hex);
	BN_free(number);
}

/* URI names; one with a NUL or another odd byte in it, or a longer one, is nobody of ours. */
static void read_uris(const X509 *x, struct yg_x509_info *out)
{
	GENERAL_NAMES *names YG_AUTO(names) = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && out->uri_count < YG_X509_URIS; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
		int len = ASN1_STRING_length(text);
		char *uri = out->uris[out->uri_count];
		if (len < 1 || len >= YG_X509_URI)
			continue;
		memcpy(uri, ASN1_STRING_get0_data(text), (size_t)len);
		uri[len] = 0;
		if (strlen(uri) == (size_t)len && name_ok(GEN_URI, uri))
			out->uri_count++;
	}
}

static int fill(X509 *x, struct yg_x509_info *out, struct yg_err *err)
{
	EVP_PKEY *pkey = X509_get0_pubkey(x);
	if (!pkey)
		return yg_ossl_fail(err, YG_EFORMAT, "certificate: its key");
	if (yg_ossl_spki(pkey, out->spki, err) < 0)
		return -1;
	if (X509_digest(x, EVP_sha256(), out->sha256, NULL) != 1)
		return yg_ossl_fail(err, YG_ESYSTEM, "certificate");
	print_name(X509_get_subject_name(x), out->subject);
	print_name(X509_get_issuer_name(x), out->issuer);
	print_serial(x, out->serial);
	read_uris(x, out);
	out->not_before_s = time_of(X509_get0_notBefore(x));
	out->not_after_s = time_of(X509_get0_notAfter(x));
	out->ca = X509_check_ca(x) == 1;
	ERR_clear_error();
	return 0;
}

int yg_x509_read(struct yg_bytes pem_or_der, struct yg_x509_info *out, struct yg_err *err)
{
	X509 *x YG_AUTO(x509) = NULL;
	if (pem_or_der.len && pem_or_der.ptr[0] == 0x30) { /* SEQUENCE: DER */
		const uint8_t *at = pem_or_der.ptr;
		if (pem_or_der.len > YG_X509_PEM_MAX)
			return yg_fail(err, YG_ELIMIT,
				"certificate: want at most %d bytes, have %zu", YG_X509_PEM_MAX,
				pem_or_der.len);
		x = d2i_X509(NULL, &at, (long)pem_or_der.len);
		if (!x)
			return yg_ossl_fail(err, YG_EFORMAT, "certificate: want one in DER");
	} else {
		x = load_pem("certificate", pem_or_der, err);
		if (!x)
			return -1;
	}
	struct yg_x509_info info = {0};
	if (fill(x, &info, err) < 0)
		return -1;
	*out = info;
	return 0;
}

bool yg_x509_has_uri(const struct yg_x509_info *info, const char *uri)
{
	for (size_t i = 0; i < info->uri_count; i++)
		if (strcmp(info->uris[i], uri) == 0)
			return true;
	return false;
}

const char *yg_x509_uri_after(const struct yg_x509_info *info, const char *prefix)
{
	size_t len = strlen(prefix);
	for (size_t i = 0; i < info->uri_count; i++)
		if (strncmp(info->uris[i], prefix, len) == 0)
			return info->uris[i] + len;
	return NULL;
}

int yg_x509_count(struct yg_bytes pem, size_t *count, struct yg_err *err)
{
	BIO *bio YG_AUTO(bio) = yg_ossl_reader(pem, (size_t)COUNT_MAX * YG_X509_PEM_MAX, err);
	if (!bio)
		return -1;
	for (size_t n = 0;; n++) {
		X509 *x YG_AUTO(x509) = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		if (x && n < COUNT_MAX)
			continue;
		if (x)
			return yg_fail(err, YG_ELIMIT, "bundle: more than %d certificates",
				COUNT_MAX);
		if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
			return yg_ossl_fail(err, YG_EFORMAT, "bundle: certificate %zu", n + 1);
		ERR_clear_error();
		*count = n;
		return 0;
	}
}
