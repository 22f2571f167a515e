/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/failure.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "../../lib/cmocka_all.h"

#define URL "https://user:secret@relay:4122/objects/ab/1"
#define AT  "10.0.0.5 port 4122"

struct row {
	struct yg_failure seen;
	enum yg_code code;
	const char *cause, *msg;
};

#define SEEN(...)                                                                                  \
	{                                                                                          \
		.url = URL, __VA_ARGS__                                                            \
	}

static const struct row rows[] = {
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST), YG_EAGAIN, "net.dns",
		"relay:4122: the host name does not resolve"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_PROXY, .proxy = "http://u:p@proxy:3128"), YG_EAGAIN,
		"proxy.dns",
		"relay:4122, through the proxy proxy:3128: the proxy's name does not resolve"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ECONNREFUSED, .address = AT), YG_EAGAIN,
		"net.refused", "relay:4122 (" AT "): the connection was refused"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ECONNREFUSED, .proxy = "http://proxy:1"),
		YG_EAGAIN, "proxy.refused",
		"relay:4122, through the proxy http://proxy:1: the proxy refused the connection"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = EHOSTUNREACH), YG_EAGAIN, "net.unreachable",
		"relay:4122: not reachable from here: No route to host"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ENETUNREACH, .proxy = "http://proxy:1"),
		YG_EAGAIN, "proxy.unreachable", "Network is unreachable"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 1500), YG_EAGAIN, "net.timeout",
		"relay:4122: no connection within 1.5 s"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 1500, .connected = true, .size = 7),
		YG_EAGAIN, "net.timeout",
		"no more came; given up after 1.5 s with 7 bytes received"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .proxy = "http://proxy:1"), YG_EAGAIN,
		"proxy.timeout", "no connection within"},
	{SEEN(.curl = CURLE_RECV_ERROR, .detail = "Connection reset by peer"), YG_EAGAIN,
		"net.reset",
		"relay:4122: the connection was cut before an answer: Connection reset by peer"},
	{SEEN(.curl = CURLE_PARTIAL_FILE, .status = 200, .size = 12), YG_EAGAIN, "net.short_body",
		"relay:4122: the connection ended after 12 bytes of the answer"},
	{SEEN(.curl = CURLE_RECV_ERROR, .proxy = "http://proxy:1", .proxy_status = 407), YG_EAGAIN,
		"proxy.auth", "the proxy wants a user and password (407)"},
	{SEEN(.curl = CURLE_RECV_ERROR, .proxy = "http://proxy:1", .proxy_status = 403), YG_EAGAIN,
		"proxy.forbidden", "the proxy forbids this connection (403)"},
	{SEEN(.curl = CURLE_RECV_ERROR, .proxy = "http://proxy:1", .proxy_status = 502), YG_EAGAIN,
		"proxy.failed", "the proxy answered CONNECT with 502"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION,
		 .verify = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, .issuer = "CN=Zscaler"),
		YG_EUNTRUSTED, "tls.untrusted",
		"relay:4122: the certificate was issued by CN=Zscaler, who is not trusted here"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .subject = "CN=x"), YG_EUNTRUSTED, "tls.name",
		"the certificate is for another name: CN=x"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .verify = X509_V_ERR_CERT_HAS_EXPIRED,
		 .subject = "CN=x"),
		YG_EUNTRUSTED, "tls.expired", "the certificate of CN=x has expired"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .verify = X509_V_ERR_CERT_NOT_YET_VALID),
		YG_EUNTRUSTED, "tls.not_yet", "is not valid yet"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .verify = X509_V_ERR_CERT_REVOKED),
		YG_EUNTRUSTED, "tls.revoked", "is revoked"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .verify = X509_V_ERR_APPLICATION_VERIFICATION,
		 .want_peer = "urn:yagura:relay:1", .subject = "CN=x"),
		YG_EUNTRUSTED, "tls.peer_identity",
		"want the peer urn:yagura:relay:1, have the certificate of CN=x"},
	{SEEN(.curl = CURLE_PEER_FAILED_VERIFICATION, .verify = X509_V_ERR_UNSPECIFIED),
		YG_EUNTRUSTED, "tls.pin", "the CA is not the one that was named"},
	{SEEN(.curl = CURLE_RECV_ERROR, .tls_alert = true, .detail = "alert unknown ca"),
		YG_EUNTRUSTED, "tls.rejected_us",
		"the peer ended the TLS connection over our certificate: alert unknown ca"},
	{SEEN(.curl = CURLE_SSL_CONNECT_ERROR, .detail = "wrong version number"), YG_EAGAIN,
		"tls.failed", "no TLS connection: wrong version number"},
	{SEEN(.curl = CURLE_UNSUPPORTED_PROTOCOL, .status = 302), YG_EFORMAT, "http.redirect",
		"a redirect that is not followed (status 302)"},
	{SEEN(.curl = CURLE_UNSUPPORTED_PROTOCOL, .detail = "gopher"), YG_EFORMAT, "net.url",
		"not a URL that is used here: gopher"},
	{SEEN(.curl = CURLE_TOO_MANY_REDIRECTS, .status = 302), YG_EFORMAT, "http.redirect",
		"redirect"},
	{SEEN(.status = 302), YG_EFORMAT, "http.redirect", "redirect"},
	{SEEN(.curl = CURLE_FILESIZE_EXCEEDED, .max = 5), YG_ELIMIT, "http.too_large",
		"the answer is larger than the 5 bytes allowed"},
	{SEEN(.curl = CURLE_WRITE_ERROR, .max = 5, .size = 6), YG_ELIMIT, "http.too_large",
		"the answer is larger than the 5 bytes allowed"},
	{SEEN(.curl = CURLE_WRITE_ERROR, .status = 200, .content = true, .type = "text/html"),
		YG_EFORMAT, "http.block_page",
		"a web page (text/html) came where content was expected"},
	{SEEN(.status = 404), YG_EABSENT, "http.not_found", "relay:4122: not there (status 404)"},
	{SEEN(.status = 404, .content = true, .type = "text/html"), YG_EABSENT, "http.not_found",
		"not there (status 404)"},
	{SEEN(.status = 403, .detail = "no"), YG_EFORMAT, "http.forbidden",
		"access refused (status 403): no"},
	{SEEN(.status = 407), YG_EAGAIN, "proxy.auth", "(407)"},
	{SEEN(.status = 429), YG_EAGAIN, "http.busy", "too many requests"},
	{SEEN(.status = 503, .detail = "the relay has no content yet"), YG_EAGAIN,
		"http.maintenance", "not available now (status 503): the relay has no content yet"},
	{SEEN(.status = 500), YG_EAGAIN, "http.status", "status 500"},
	{SEEN(.status = 400), YG_EFORMAT, "http.status", "status 400"},
	{SEEN(.curl = CURLE_OUT_OF_MEMORY, .detail = "Out of memory"), YG_EAGAIN, "net.failed",
		"relay:4122: Out of memory"},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		assert_int_equal(yg_failure_say(&rows[i].seen, &err), -1);
		if (err.code != rows[i].code || strcmp(err.cause, rows[i].cause) != 0 ||
			!strstr(err.msg, rows[i].msg))
			fail_msg("row %zu: want %d %s '%s', have %d %s '%s'", i, rows[i].code,
				rows[i].cause, rows[i].msg, err.code, err.cause, err.msg);
		if (strstr(err.msg, "secret") || strstr(err.msg, "u:p"))
			fail_msg("row %zu: credentials in '%s'", i, err.msg);
	}
}

static void test_long_texts_are_cut(void **state)
{
	(void)state;
	char text[2000];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	for (int curl = 0; curl < CURL_LAST; curl++) {
		struct yg_failure seen = SEEN(.curl = curl);
		struct yg_err err = {0};
		seen.url = seen.address = seen.proxy = seen.subject = text;
		seen.issuer = seen.detail = seen.type = seen.want_peer = text;
		assert_int_equal(yg_failure_say(&seen, &err), -1);
		assert_true(strlen(err.msg) < sizeof(err.msg));
		assert_true(err.cause[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_texts_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
