/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/failure.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
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

#define VERIFY(code, ...) .curl = CURLE_PEER_FAILED_VERIFICATION, .verify = (code), __VA_ARGS__

static const struct row rows[] = {
	/* names */
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST), YG_EAGAIN, "net.dns",
		"relay:4122: the host name does not resolve"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST, .resolved = true, .resolve_error = EAI_NONAME),
		YG_EAGAIN, "net.dns", "the host name does not resolve: there is no such name"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST, .resolved = true, .resolve_error = EAI_NODATA),
		YG_EAGAIN, "net.no_address", "the name exists but has no address"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST, .resolved = true, .resolve_error = EAI_AGAIN),
		YG_EAGAIN, "net.dns_server", "no DNS server answers"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST, .resolved = true, .resolve_error = EAI_FAIL),
		YG_EAGAIN, "net.dns_server", "the DNS server refuses to answer"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_HOST, .resolved = true), YG_EAGAIN, "net.dns_server",
		"the host name does not resolve: it does now"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .detail = "Resolving timed out after 9 ms",
		 .waited_ms = 10000),
		YG_EAGAIN, "net.dns_server", "no DNS server answered within 10.0 s"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_PROXY, .proxy = "http://u:p@proxy:3128"), YG_EAGAIN,
		"proxy.dns",
		"relay:4122, through the proxy proxy:3128: the proxy's name does not resolve"},
	{SEEN(.curl = CURLE_COULDNT_RESOLVE_PROXY, .proxy = "http://proxy:1", .resolved = true,
		 .resolve_error = EAI_AGAIN),
		YG_EAGAIN, "proxy.dns", "the proxy's name does not resolve: no DNS server answers"},
	/* connections */
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ECONNREFUSED, .address = AT), YG_EAGAIN,
		"net.refused", "relay:4122 (" AT "): the connection was refused"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ECONNREFUSED, .proxy = "http://proxy:1"),
		YG_EAGAIN, "proxy.refused",
		"relay:4122, through the proxy http://proxy:1: the proxy refused the connection"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = EHOSTUNREACH), YG_EAGAIN, "net.unreachable",
		"relay:4122: not reachable from here: No route to host"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ENETUNREACH, .proxy = "http://proxy:1"),
		YG_EAGAIN, "proxy.unreachable", "Network is unreachable"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = ETIMEDOUT), YG_EAGAIN, "net.timeout",
		"nobody answered the connection"},
	{SEEN(.curl = CURLE_COULDNT_CONNECT, .sys = EPROTO), YG_EAGAIN, "net.failed",
		"connecting failed: Protocol error"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 1500), YG_EAGAIN, "net.timeout",
		"relay:4122: no connection within 1.5 s"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 1500, .connected = true, .size = 7),
		YG_EAGAIN, "net.timeout", "connected, but no answer came within 1.5 s"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 1500, .connected = true, .size = 7,
		 .status = 200),
		YG_EAGAIN, "net.timeout",
		"no more came; given up after 1.5 s with 7 bytes received"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .waited_ms = 30000, .connected = true, .size = 30,
		 .status = 200, .slow = true),
		YG_EAGAIN, "net.slow", "too slow: 30 bytes in 30.0 s; given up"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .proxy = "http://proxy:1"), YG_EAGAIN,
		"proxy.timeout", "no connection within"},
	{SEEN(.curl = CURLE_RECV_ERROR, .detail = "Connection reset by peer"), YG_EAGAIN,
		"net.reset",
		"relay:4122: the connection was cut before an answer: Connection reset by peer"},
	{SEEN(.curl = CURLE_PARTIAL_FILE, .status = 200, .size = 12), YG_EAGAIN, "net.short_body",
		"relay:4122: the connection ended after 12 bytes of the answer"},
	{SEEN(.curl = CURLE_WEIRD_SERVER_REPLY, .detail = "Invalid Content-Length: value"),
		YG_EAGAIN, "http.malformed",
		"what answers there does not speak HTTP correctly: Invalid Content-Length: value"},
	{SEEN(.curl = CURLE_UNSUPPORTED_PROTOCOL, .connected = true,
		 .detail = "Received HTTP/0.9 when not allowed"),
		YG_EAGAIN, "http.malformed", "does not speak HTTP correctly: Received HTTP/0.9"},
	{SEEN(.curl = CURLE_WRITE_ERROR, .endless = true), YG_EAGAIN, "http.malformed",
		"headers without end"},
	{SEEN(.curl = CURLE_UNSUPPORTED_PROTOCOL, .detail = "gopher"), YG_EFORMAT, "net.url",
		"not a URL that is used here: gopher"},
	{SEEN(.curl = CURLE_OUT_OF_MEMORY, .detail = "Out of memory"), YG_EAGAIN, "net.failed",
		"relay:4122: Out of memory"},
	/* proxies */
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 407, .auth = "Negotiate, NTLM"), YG_EAGAIN,
		"proxy.auth",
		"the proxy wants a user and password (407); it offers Negotiate, NTLM"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 407, .auth = "Basic", .credentials = true),
		YG_EAGAIN, "proxy.credentials",
		"the proxy does not accept the user and password (407); it offers Basic"},
	{SEEN(.status = 407), YG_EAGAIN, "proxy.auth", "(407)"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 403), YG_EAGAIN, "proxy.forbidden",
		"the proxy forbids this connection (403)"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 502), YG_EAGAIN, "proxy.upstream",
		"the proxy answered CONNECT with 502: it does not reach the server"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 504), YG_EAGAIN, "proxy.upstream", "504"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 400), YG_EAGAIN, "proxy.failed",
		"the proxy answered CONNECT with 400"},
	{SEEN(.proxy = "http://proxy:1", .proxy_status = 503, .squid = "ERR_DNS_FAIL 0"), YG_EAGAIN,
		"proxy.upstream",
		"the proxy cannot resolve the server's name (503, ERR_DNS_FAIL 0)"},
	{SEEN(.proxy = "http://proxy:1", .status = 403, .squid = "ERR_ACCESS_DENIED 0",
		 .content = true, .page = true, .title = "ERROR"),
		YG_EAGAIN, "proxy.forbidden",
		"the proxy forbids this connection (403, ERR_ACCESS_DENIED 0)"},
	{SEEN(.proxy = "http://proxy:1", .status = 407, .squid = "ERR_CACHE_ACCESS_DENIED 0",
		 .credentials = true),
		YG_EAGAIN, "proxy.credentials", "(407)"},
	{SEEN(.proxy = "http://proxy:1", .status = 503, .squid = "ERR_CONNECT_FAIL 111"), YG_EAGAIN,
		"proxy.upstream", "the proxy cannot connect to the server"},
	{SEEN(.proxy = "http://proxy:1", .status = 500, .squid = "ERR_ODD 1"), YG_EAGAIN,
		"proxy.failed", "the proxy failed (500, ERR_ODD 1)"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_USER_REJECTED, .credentials = true),
		YG_EAGAIN, "proxy.credentials", "does not accept the user and password"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_USER_REJECTED), YG_EAGAIN, "proxy.auth",
		"wants a user and password"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_NO_AUTH), YG_EAGAIN, "proxy.auth",
		"none of the ways to log in"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_REPLY_NOT_ALLOWED), YG_EAGAIN,
		"proxy.forbidden", "forbids"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_REPLY_HOST_UNREACHABLE, .detail = "x"),
		YG_EAGAIN, "proxy.upstream", "the proxy does not reach the server: x"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_RESOLVE_HOST), YG_EAGAIN, "net.dns",
		"socks5h:// lets the proxy do it"},
	{SEEN(.curl = CURLE_PROXY, .proxy_error = CURLPX_BAD_VERSION, .detail = "x"), YG_EAGAIN,
		"proxy.failed", "the proxy failed: x"},
	{SEEN(.curl = CURLE_SSL_CONNECT_ERROR, .proxys_tls = true, .detail = "x"), YG_EAGAIN,
		"proxy.failed", "no TLS connection to the proxy: x"},
	{SEEN(VERIFY(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, .proxys_tls = true, .subject = "CN=p",
		 .issuer = "CN=c")),
		YG_EUNTRUSTED, "proxy.certificate",
		"the proxy's own certificate, of CN=p issued by CN=c: self-signed"},
	{SEEN(VERIFY(X509_V_OK, .proxys_tls = true)), YG_EUNTRUSTED, "proxy.certificate",
		"for another name"},
	/* TLS */
	{SEEN(VERIFY(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, .issuer = "CN=Own CA")),
		YG_EUNTRUSTED, "tls.untrusted",
		"relay:4122: the certificate was issued by CN=Own CA, who is not trusted here"},
	{SEEN(VERIFY(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, .issuer = "CN=Zscaler Root")),
		YG_EUNTRUSTED, "tls.intercepted", "issued by CN=Zscaler Root, who is not trusted"},
	{SEEN(VERIFY(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, .issuer = "CN=Acme", .tunnel = true)),
		YG_EUNTRUSTED, "tls.intercepted", "issued by CN=Acme"},
	{SEEN(VERIFY(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, .subject = "CN=x")), YG_EUNTRUSTED,
		"tls.self_signed", "the certificate of CN=x is signed by nobody but itself"},
	{SEEN(VERIFY(X509_V_OK, .subject = "CN=x")), YG_EUNTRUSTED, "tls.name",
		"the certificate is for another name: CN=x"},
	{SEEN(VERIFY(X509_V_ERR_CERT_HAS_EXPIRED, .subject = "CN=x", .until_s = 86400)),
		YG_EUNTRUSTED, "tls.expired",
		"the certificate of CN=x has expired, on 1970-01-02T00:00:00Z"},
	{SEEN(VERIFY(X509_V_ERR_CERT_NOT_YET_VALID, .from_s = 4102444800)), YG_EUNTRUSTED,
		"tls.not_yet", "is not valid yet, but from 2100-01-01T00:00:00Z"},
	{SEEN(VERIFY(X509_V_ERR_CERT_NOT_YET_VALID, .from_s = 4102444800, .subject = "CN=x",
		 .clock = true)),
		YG_EUNTRUSTED, "clock.wrong",
		"the certificate of CN=x is valid from 2100-01-01T00:00:00Z"},
	{SEEN(VERIFY(X509_V_ERR_CERT_HAS_EXPIRED, .until_s = 86400, .clock = true)), YG_EUNTRUSTED,
		"clock.wrong", "is valid until 1970-01-02T00:00:00Z"},
	{SEEN(VERIFY(X509_V_ERR_CERT_REVOKED)), YG_EUNTRUSTED, "tls.revoked", "is revoked"},
	{SEEN(VERIFY(X509_V_ERR_APPLICATION_VERIFICATION, .want_peer = "urn:yagura:relay:1",
		 .subject = "CN=x")),
		YG_EUNTRUSTED, "tls.peer_identity",
		"want the peer urn:yagura:relay:1, have the certificate of CN=x"},
	{SEEN(VERIFY(X509_V_ERR_UNSPECIFIED)), YG_EUNTRUSTED, "tls.pin",
		"the CA is not the one that was named"},
	{SEEN(.curl = CURLE_RECV_ERROR, .tls_alert = true, .detail = "alert unknown ca"),
		YG_EUNTRUSTED, "tls.rejected_us",
		"the peer ended the TLS connection over our certificate: alert unknown ca"},
	{SEEN(.curl = CURLE_SSL_CONNECT_ERROR, .detail = "SSL_ERROR_SYSCALL in connection"),
		YG_EAGAIN, "net.reset", "the connection was cut in the TLS handshake"},
	{SEEN(VERIFY(X509_V_ERR_INVALID_PURPOSE, .subject = "CN=x")), YG_EUNTRUSTED,
		"tls.peer_identity", "have one for another purpose: CN=x"},
	{SEEN(.curl = CURLE_RECV_ERROR, .status = 200,
		 .detail = "Illegal or missing hexadecimal sequence in chunked-encoding"),
		YG_EAGAIN, "http.malformed", "in chunked-encoding"},
	{SEEN(.curl = CURLE_SSL_CONNECT_ERROR, .detail = "wrong version number"), YG_EAGAIN,
		"tls.failed", "no TLS connection: wrong version number"},
	{SEEN(.curl = CURLE_OPERATION_TIMEDOUT, .connected = true, .handshake = true,
		 .waited_ms = 2000),
		YG_EAGAIN, "tls.timeout",
		"connected, but the TLS handshake was not over within 2.0 s"},
	/* answers */
	{SEEN(.curl = CURLE_UNSUPPORTED_PROTOCOL, .status = 302, .other_host = "portal.test"),
		YG_EFORMAT, "http.redirect",
		"a redirect that is not followed to portal.test (status 302)"},
	{SEEN(.curl = CURLE_TOO_MANY_REDIRECTS, .status = 302), YG_EFORMAT, "http.redirect",
		"redirects without end (status 302)"},
	{SEEN(.status = 302), YG_EFORMAT, "http.redirect", "redirect"},
	{SEEN(.curl = CURLE_FILESIZE_EXCEEDED, .max = 5), YG_ELIMIT, "http.too_large",
		"the answer is larger than the 5 bytes allowed"},
	{SEEN(.curl = CURLE_WRITE_ERROR, .max = 5, .size = 6), YG_ELIMIT, "http.too_large",
		"the answer is larger than the 5 bytes allowed"},
	{SEEN(.curl = CURLE_WRITE_ERROR, .status = 200, .encoding = "gzip"), YG_EFORMAT,
		"http.encoding", "the answer is encoded as gzip, which was not asked for"},
	{SEEN(.status = 200, .content = true, .page = true), YG_EFORMAT, "http.block_page",
		"a web page (text/html) came where content was expected"},
	{SEEN(.status = 200, .content = true, .page = true, .title = "Access Denied"), YG_EFORMAT,
		"http.block_page",
		"a web page (text/html), titled 'Access Denied', came where content was expected"},
	{SEEN(.status = 403, .content = true, .page = true, .title = "Blocked by policy"),
		YG_EFORMAT, "http.block_page", "titled 'Blocked by policy'"},
	{SEEN(.status = 403, .content = true, .page = true, .title = "403 Forbidden"), YG_EFORMAT,
		"http.forbidden", "access refused (status 403): 403 Forbidden"},
	{SEEN(.status = 200, .content = true, .page = true, .title = "Login", .moved = true,
		 .other_host = "wifi.test"),
		YG_EAGAIN, "http.portal", "sent to wifi.test, where a web page, titled 'Login',"},
	{SEEN(.status = 511), YG_EAGAIN, "http.portal", "the network wants a login first"},
	{SEEN(.status = 404), YG_EABSENT, "http.not_found", "relay:4122: not there (status 404)"},
	{SEEN(.status = 404, .content = true, .page = true, .title = "Oops"), YG_EABSENT,
		"http.not_found", "not there (status 404)"},
	{SEEN(.status = 403, .detail = "no"), YG_EFORMAT, "http.forbidden",
		"access refused (status 403): no"},
	{SEEN(.status = 429), YG_EAGAIN, "http.busy", "too many requests"},
	{SEEN(.status = 503), YG_EAGAIN, "http.maintenance", "not available now (status 503)"},
	{SEEN(.status = 503, .title = "Scheduled maintenance", .maintenance = true), YG_EAGAIN,
		"http.maintenance", "not available now (status 503): Scheduled maintenance"},
	{SEEN(.status = 503, .busy = true, .detail = "the relay has no content yet"), YG_EAGAIN,
		"http.busy", "not available now (status 503): the relay has no content yet"},
	{SEEN(.status = 500), YG_EAGAIN, "http.status", "status 500"},
	{SEEN(.status = 400), YG_EFORMAT, "http.status", "status 400"},
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
