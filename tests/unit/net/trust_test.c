/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "core/json.h"
#include "net/probe.h"
#include "net/server.h"

/* Certificates as they go wrong, at a server and at a proxy with TLS of its own; each is met by the client and by
 * the test of connections, which must come to the same cause, at the right step.
 */

#define DAY (24L * 3600)

struct cert {
	X509 *x509;
	EVP_PKEY *key;
};

struct cert_spec {
	const char *cn;
	const char *alt;           /* "IP:127.0.0.1"; NULL: none */
	const char *use;           /* extended key usage; NULL: any */
	const struct cert *issuer; /* NULL: itself */
	bool ca;
	long from, until; /* seconds from now */
};

static void extend(X509 *x509, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x509, x509, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(x509, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static struct cert make(const struct cert_spec *spec)
{
	static long serial = 1;
	struct cert made = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name = X509_get_subject_name(made.x509);
	assert_non_null(made.key);
	assert_int_equal(X509_set_version(made.x509, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
				 (const unsigned char *)spec->cn, -1, -1, 0),
		1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made.x509), spec->from));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made.x509), spec->until));
	assert_int_equal(X509_set_pubkey(made.x509, made.key), 1);
	assert_int_equal(X509_set_issuer_name(made.x509,
				 spec->issuer ? X509_get_subject_name(spec->issuer->x509) : name),
		1);
	extend(made.x509, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (spec->alt)
		extend(made.x509, NID_subject_alt_name, spec->alt);
	if (spec->use)
		extend(made.x509, NID_ext_key_usage, spec->use);
	assert_true(X509_sign(made.x509, spec->issuer ? spec->issuer->key : made.key,
			    EVP_sha256()) > 0);
	return made;
}

static void forget(struct cert *cert)
{
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
}

static char *pem_of(const struct cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	assert_int_equal(PEM_write_bio_X509(bio, cert->x509), 1);
	long len = BIO_get_mem_data(bio, &text);
	char *copy = strndup(text, (size_t)len);
	BIO_free(bio);
	return copy;
}

/* --- a server, in a process of its own */

#define HERE  "IP:127.0.0.1,DNS:localhost"
#define RELAY "urn:yagura:relay:11111111-2222-4333-8444-555555555555"

enum how { TLS, OLD, CUT, PLAIN, STALL };

struct role { /* what a side shows */
	struct cert ca, leaf;
	enum how how;
};

static SSL *greet(SSL_CTX *ctx, const struct role *role, BIO *bio)
{
	assert_int_equal(SSL_CTX_use_certificate(ctx, role->leaf.x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, role->leaf.key), 1);
	if (role->ca.x509) {
		X509_up_ref(role->ca.x509);
		assert_int_equal(SSL_CTX_add_extra_chain_cert(ctx, role->ca.x509), 1);
	}
	if (role->how == OLD) {
		SSL_CTX_set_security_level(ctx, 0);
		assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION), 1);
	}
	SSL *ssl = SSL_new(ctx);
	SSL_set_bio(ssl, bio, bio);
	return SSL_accept(ssl) == 1 ? ssl : NULL;
}

static bool read_head(SSL *ssl, char *out, int size)
{
	int len = 0;
	while (len < size - 1) {
		int n = SSL_read(ssl, out + len, size - 1 - len);
		if (n <= 0)
			return false;
		len += n;
		out[len] = 0;
		if (strstr(out, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void say(SSL *ssl, const char *text)
{
	(void)SSL_write(ssl, text, (int)strlen(text));
}

#define GOOD "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 4\r\n\r\ngood"

/* `proxy` before `server`: TLS to the proxy, CONNECT, and TLS in that. */
static void serve_one(int fd, const struct role *proxy, const struct role *server)
{
	char head[4096] = "";
	const struct role *first = proxy ? proxy : server;
	SSL_CTX *outer_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX *inner_ctx = SSL_CTX_new(TLS_server_method());
	if (first->how == PLAIN)
		(void)send(fd, GOOD, strlen(GOOD), MSG_NOSIGNAL);
	if (first->how == STALL)
		(void)sleep(10);
	if (first->how == CUT)
		(void)recv(fd, head, sizeof(head), 0);
	if (first->how == CUT || first->how == PLAIN || first->how == STALL)
		return;
	SSL *ssl = greet(outer_ctx, first, BIO_new_socket(fd, BIO_NOCLOSE));
	if (!ssl || !read_head(ssl, head, sizeof(head)))
		return;
	if (proxy && strncmp(head, "CONNECT ", 8) == 0) {
		say(ssl, "HTTP/1.1 200 Go\r\n\r\n");
		BIO *inside = BIO_new(BIO_f_ssl());
		(void)BIO_set_ssl(inside, ssl, BIO_CLOSE);
		ssl = greet(inner_ctx, server, inside);
		if (!ssl || !read_head(ssl, head, sizeof(head)))
			return;
	}
	say(ssl, GOOD);
}

static pid_t serve(const struct role *proxy, const struct role *server, uint16_t *port)
{
	struct yg_err err = {0};
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	assert_true(fd >= 0);
	*port = yg_server_port(fd);
	pid_t pid = fork();
	if (pid != 0) {
		(void)close(fd);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int peer = accept(fd, NULL, NULL);
		if (peer < 0) {
			(void)usleep(2000); /* the socket is non-blocking */
			continue;
		}
		if (fork() == 0) {
			(void)alarm(20);
			serve_one(peer, proxy, server);
			_exit(0);
		}
		(void)close(peer);
	}
}

/* --- the table */

enum via { NONE, PROXY, PROXY_PLAIN };

struct row {
	const char *name;
	const char *ca;                      /* of the server; NULL: self-signed */
	long ca_from, ca_until, from, until; /* days; 0: good */
	const char *alt, *use;
	enum how how;
	bool trusted, insecure; /* the server's CA; nothing is checked */
	const char *uri;
	long known; /* days */
	enum via via;
	bool proxy_trusted;
	const char *step, *cause, *words; /* NULL: good */
};

static const struct row rows[] = {
	{.name = "good", .ca = "Own CA", .trusted = true},
	{.name = "a CA that is not trusted",
		.ca = "Own CA",
		.step = "tls",
		.cause = "tls.untrusted",
		.words = "issued by CN=Own CA, who is not trusted here"},
	{.name = "not checked (T13)", .ca = "Own CA", .insecure = true},
	{.name = "an inspector (T13)",
		.ca = "Zscaler Intermediate",
		.step = "tls",
		.cause = "tls.intercepted",
		.words = "issued by CN=Zscaler Intermediate"},
	{.name = "self-signed",
		.step = "tls",
		.cause = "tls.self_signed",
		.words = "the certificate of CN=server is signed by nobody but itself"},
	{.name = "another name",
		.ca = "Own CA",
		.trusted = true,
		.alt = "DNS:other.test",
		.step = "tls",
		.cause = "tls.name",
		.words = "the certificate is for another name: CN=server"},
	{.name = "a client's certificate",
		.ca = "Own CA",
		.trusted = true,
		.use = "clientAuth",
		.step = "tls",
		.cause = "tls.peer_identity",
		.words = "have one for another purpose: CN=server"},
	{.name = "expired",
		.ca = "Own CA",
		.trusted = true,
		.from = -20,
		.until = -10,
		.step = "tls",
		.cause = "tls.expired",
		.words = "the certificate of CN=server has expired, on 20"},
	{.name = "not valid yet",
		.ca = "Own CA",
		.trusted = true,
		.from = 10,
		.until = 20,
		.step = "tls",
		.cause = "tls.not_yet",
		.words = "is not valid yet, but from 20"},
	{.name = "not valid yet, and a time that has passed says that our clock is behind",
		.ca = "Own CA",
		.trusted = true,
		.from = 10,
		.until = 20,
		.known = 15,
		.step = "tls",
		.cause = "clock.wrong",
		.words = "the clock here says 20"},
	{.name = "nothing is valid yet",
		.ca = "Own CA",
		.ca_from = 5,
		.ca_until = 50,
		.trusted = true,
		.from = 10,
		.until = 20,
		.step = "tls",
		.cause = "clock.wrong",
		.words = "is valid from 20"},
	{.name = "all has expired",
		.ca = "Own CA",
		.ca_from = -50,
		.ca_until = -5,
		.trusted = true,
		.from = -40,
		.until = -10,
		.step = "tls",
		.cause = "clock.wrong",
		.words = "is valid until 20"},
	{.name = "cut in the handshake",
		.ca = "Own CA",
		.how = CUT,
		.step = "tls",
		.cause = "net.reset",
		.words = "the connection was cut in the TLS handshake"},
	{.name = "no TLS",
		.ca = "Own CA",
		.how = PLAIN,
		.step = "tls",
		.cause = "tls.failed",
		.words = "no TLS connection: "},
	{.name = "old TLS",
		.ca = "Own CA",
		.how = OLD,
		.step = "tls",
		.cause = "tls.failed",
		.words = "no TLS connection: "},
	{.name = "a stall in the handshake",
		.ca = "Own CA",
		.how = STALL,
		.step = "tls",
		.cause = "tls.timeout",
		.words = "connected, but the TLS handshake was not over within"},
	{.name = "a relay", .ca = "Own CA", .trusted = true, .alt = "URI:" RELAY, .uri = RELAY},
	{.name = "another relay",
		.ca = "Own CA",
		.trusted = true,
		.alt = "URI:urn:yagura:relay:other",
		.uri = RELAY,
		.step = "tls",
		.cause = "tls.peer_identity",
		.words = "want the peer " RELAY},
	{.name = "through an HTTPS proxy",
		.ca = "Own CA",
		.trusted = true,
		.via = PROXY,
		.proxy_trusted = true},
	{.name = "a relay through an HTTPS proxy",
		.ca = "Own CA",
		.trusted = true,
		.alt = "URI:" RELAY,
		.uri = RELAY,
		.via = PROXY,
		.proxy_trusted = true},
	{.name = "plain HTTP through an HTTPS proxy",
		.ca = "Own CA",
		.trusted = true,
		.via = PROXY_PLAIN,
		.proxy_trusted = true},
	{.name = "an HTTPS proxy that is not trusted",
		.ca = "Own CA",
		.trusted = true,
		.via = PROXY,
		.step = "proxy",
		.cause = "proxy.certificate",
		.words = "the proxy's own certificate, of CN=Proxy CA issued by CN=Proxy CA: "},
	{.name = "that is not excused by a source that is not checked",
		.ca = "Own CA",
		.insecure = true,
		.via = PROXY,
		.step = "proxy",
		.cause = "proxy.certificate",
		.words = "the proxy's own certificate"},
	{.name = "what comes through the tunnel is another's certificate",
		.ca = "Own CA",
		.via = PROXY,
		.proxy_trusted = true,
		.step = "tls",
		.cause = "tls.intercepted",
		.words = "issued by CN=Own CA, who is not trusted here"},
};

struct setting { /* of one row */
	struct role server, proxy;
	char *cas;
	struct yg_tls tls;
	struct yg_proxy via;
	char url[64], proxy_url[64];
	pid_t pid;
};

static long days_or(long days, long preset)
{
	return (days ? days : preset) * DAY;
}

static void set_roles(const struct row *row, struct setting *out)
{
	struct cert_spec ca = {.cn = row->ca,
		.ca = true,
		.from = days_or(row->ca_from, -1),
		.until = days_or(row->ca_until, 100)};
	if (row->ca)
		out->server.ca = make(&ca);
	out->server.leaf = make(&(struct cert_spec){.cn = "server",
		.alt = row->alt ? row->alt : HERE,
		.use = row->use ? row->use : "serverAuth",
		.issuer = row->ca ? &out->server.ca : NULL,
		.from = days_or(row->from, -1),
		.until = days_or(row->until, 10)});
	out->server.how = row->how;
	out->proxy.ca = make(
		&(struct cert_spec){.cn = "Proxy CA", .ca = true, .from = -DAY, .until = DAY});
	out->proxy.leaf = make(&(struct cert_spec){.cn = "proxy",
		.alt = HERE,
		.issuer = &out->proxy.ca,
		.from = -DAY,
		.until = DAY});
}

static void set_up_row(const struct row *row, struct setting *out)
{
	*out = (struct setting){0};
	set_roles(row, out);
	char *own = row->trusted ? pem_of(&out->server.ca) : strdup("");
	char *proxys = row->proxy_trusted ? pem_of(&out->proxy.ca) : strdup("");
	size_t size = strlen(own) + strlen(proxys) + 1;
	out->cas = calloc(1, size);
	assert_non_null(out->cas);
	(void)snprintf(out->cas, size, "%s%s", own, proxys);
	free(own);
	free(proxys);
	uint16_t port = 0;
	out->pid = serve(row->via ? &out->proxy : NULL, &out->server, &port);
	bool plain = row->via == PROXY_PLAIN;
	(void)snprintf(out->url, sizeof(out->url), "%s://127.0.0.1:%u", plain ? "http" : "https",
		port);
	(void)snprintf(out->proxy_url, sizeof(out->proxy_url), "https://localhost:%u", port);
	out->tls = (struct yg_tls){.cas = out->cas[0] ? out->cas : NULL,
		.insecure = row->insecure,
		.peer_uri = row->uri,
		.known_s = row->known ? (int64_t)time(NULL) + row->known * DAY : 0};
	if (row->via)
		out->via.url = out->proxy_url;
}

static void tear_down_row(struct setting *setting)
{
	(void)kill(setting->pid, SIGKILL);
	(void)waitpid(setting->pid, NULL, 0);
	forget(&setting->server.ca);
	forget(&setting->server.leaf);
	forget(&setting->proxy.ca);
	forget(&setting->proxy.leaf);
	free(setting->cas);
}

static void check_client(const struct row *row, const struct setting *setting)
{
	struct yg_err err = {0};
	struct yg_client_reply reply = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	char url[80];
	struct yg_client *client YG_AUTO(
		yg_client) = yg_client_new(NULL, &setting->tls, &setting->via, &err);
	if (!client)
		fail_msg("%s: %s", row->name, err.msg);
	(void)snprintf(url, sizeof(url), "%s/x", setting->url);
	const struct yg_client_request request = {.url = url,
		.max = 50,
		.connect_ms = row->how == STALL ? 500 : 5000,
		.deadline_ms = 8000};
	int rc = yg_client_text(client, &request, &buf, &reply, &err);
	if (!row->cause && rc < 0)
		fail_msg("%s: %s: %s", row->name, err.cause, err.msg);
	if (!row->cause) {
		assert_string_equal((const char *)reply.body.ptr, "good");
		return;
	}
	if (rc == 0 || strcmp(err.cause, row->cause) != 0 || !strstr(err.msg, row->words))
		fail_msg("%s: want %s '%s', have %s '%s'", row->name, row->cause, row->words,
			err.cause, err.msg);
}

/* The same, as a test of the connection tells it. */
static void check_probe(const struct row *row, const struct setting *setting)
{
	struct yg_err err = {0};
	json_t *target YG_AUTO(yg_json) = NULL;
	const char *cause = "";
	const char *detail = "";
	const struct yg_probe probe = {.what = "source",
		.url = setting->url,
		.path = "x",
		.tls = &setting->tls,
		.proxy = &setting->via,
		.connect_ms = row->how == STALL ? 300 : 3000,
		.deadline_ms = 6000};
	assert_int_equal(yg_probe_run(&probe, &target, &err), 0);
	const json_t *steps = json_object_get(target, "steps");
	const json_t *last = json_array_get(steps, json_array_size(steps) - 1);
	bool failed = yg_probe_failed(target, &cause, &detail);
	if (failed != (row->cause != NULL) || (failed && strcmp(cause, row->cause) != 0))
		fail_msg("%s: want '%s', have '%s' (%s)", row->name, row->cause ? row->cause : "",
			cause, detail);
	assert_string_equal(json_string_value(json_object_get(last, "step")),
		failed ? row->step : "http");
	if (failed && !strstr(detail, row->words))
		fail_msg("%s: want '%s', have '%s'", row->name, row->words, detail);
	const char *proxy = json_string_value(json_object_get(target, "proxy"));
	assert_string_equal(proxy, row->via ? setting->proxy_url : "");
	char *text YG_AUTO(mem) = yg_json_text(target);
	if (row->how == TLS && row->via != PROXY_PLAIN &&
		(!failed || strcmp(row->step, "proxy") != 0))
		assert_non_null(strstr(text, "CN=server (until "));
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct setting setting;
		set_up_row(&rows[i], &setting);
		check_client(&rows[i], &setting);
		check_probe(&rows[i], &setting);
		tear_down_row(&setting);
	}
}

int main(void)
{
	(void)alarm(110);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
