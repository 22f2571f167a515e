/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/failure.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WHERE 200 /* bytes */

/* "https://relay:4122 (10.0.0.5 port 4122), through the proxy http://proxy:3128": never a path,
 * which may be long, and never credentials.
 */
static void say_where(const struct yg_failure *seen, char out[WHERE])
{
	const char *host = strstr(seen->url, "://");
	host = host ? host + 3 : seen->url;
	int len = (int)(host - seen->url + (ptrdiff_t)strcspn(host, "/?#"));
	const char *user = memchr(host, '@', strcspn(host, "/?#"));
	const char *from = user ? user + 1 : seen->url;
	len -= (int)(from - seen->url);
	char address[80] = "", proxy[100] = "";
	if (seen->address[0])
		(void)snprintf(address, sizeof(address), " (%.72s)", seen->address);
	if (seen->proxy) {
		const char *at = strrchr(seen->proxy, '@');
		(void)snprintf(proxy, sizeof(proxy), ", through the proxy %.70s",
			at ? at + 1 : seen->proxy);
	}
	(void)snprintf(out, WHERE, "%.*s%s%s", len < 90 ? len : 90, from, address, proxy);
}

struct words {
	enum yg_code code;
	const char *cause;
	const char *text;
};

static int say(const struct yg_failure *seen, struct words words, struct yg_err *err)
{
	char where[WHERE];
	say_where(seen, where);
	return yg_fail_cause(err, words.code, words.cause, "%s: %s", where, words.text);
}

/* The same with a text that is made here. */
#define SAY(seen, err, code, cause, ...)                                                           \
	({                                                                                         \
		char text_[280];                                                                   \
		(void)snprintf(text_, sizeof(text_), __VA_ARGS__);                                 \
		say(seen, (struct words){code, cause, text_}, err);                                \
	})

static int say_connect(const struct yg_failure *seen, struct yg_err *err)
{
	bool proxy = seen->proxy != NULL;
	switch (seen->sys) {
	case ECONNREFUSED:
		return say(seen,
			(struct words){YG_EAGAIN, proxy ? "proxy.refused" : "net.refused",
				proxy ? "the proxy refused the connection"
				      : "the connection was refused"},
			err);
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case EADDRNOTAVAIL:
	case EACCES:
	case EPERM:
		return SAY(seen, err, YG_EAGAIN, proxy ? "proxy.unreachable" : "net.unreachable",
			"not reachable from here: %s", strerror(seen->sys));
	case ETIMEDOUT:
		return say(seen,
			(struct words){YG_EAGAIN, proxy ? "proxy.timeout" : "net.timeout",
				"nobody answered the connection"},
			err);
	default:
		return SAY(seen, err, YG_EAGAIN, proxy ? "proxy.failed" : "net.failed",
			"connecting failed: %.160s",
			seen->sys ? strerror(seen->sys) : seen->detail);
	}
}

static int say_timeout(const struct yg_failure *seen, struct yg_err *err)
{
	bool proxy = seen->proxy && !seen->connected;
	const char *cause = proxy ? "proxy.timeout" : "net.timeout";
	if (!seen->connected)
		return SAY(seen, err, YG_EAGAIN, cause, "no connection within %.1f s",
			(double)seen->waited_ms / 1000);
	return SAY(seen, err, YG_EAGAIN, cause,
		"no more came; given up after %.1f s with %llu bytes received",
		(double)seen->waited_ms / 1000, (unsigned long long)seen->size);
}

static int say_verify(const struct yg_failure *seen, struct yg_err *err)
{
	switch (seen->verify) {
	case X509_V_OK:
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.name",
			"the certificate is for another name: %.100s", seen->subject);
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.peer_identity",
			"want the peer %.80s, have the certificate of %.100s",
			seen->want_peer ? seen->want_peer : "?", seen->subject);
	case X509_V_ERR_UNSPECIFIED:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.pin",
			"the CA is not the one that was named; the certificate was issued by %.100s",
			seen->issuer);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.expired",
			"the certificate of %.100s has expired", seen->subject);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.not_yet",
			"the certificate of %.100s is not valid yet", seen->subject);
	case X509_V_ERR_CERT_REVOKED:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.revoked",
			"the certificate of %.100s is revoked", seen->subject);
	default:
		return SAY(seen, err, YG_EUNTRUSTED, "tls.untrusted",
			"the certificate was issued by %.100s, who is not trusted here (%.60s)",
			seen->issuer, X509_verify_cert_error_string(seen->verify));
	}
}

static int say_connect_status(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->proxy_status == 407)
		return say(seen,
			(struct words){YG_EAGAIN, "proxy.auth",
				"the proxy wants a user and password (407)"},
			err);
	if (seen->proxy_status == 403)
		return say(seen,
			(struct words){YG_EAGAIN, "proxy.forbidden",
				"the proxy forbids this connection (403)"},
			err);
	return SAY(seen, err, YG_EAGAIN, "proxy.failed", "the proxy answered CONNECT with %ld",
		seen->proxy_status);
}

static int say_broken(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->status >= 200)
		return SAY(seen, err, YG_EAGAIN, "net.short_body",
			"the connection ended after %llu bytes of the answer",
			(unsigned long long)seen->size);
	return SAY(seen, err, YG_EAGAIN, "net.reset",
		"the connection was cut before an answer: %.140s", seen->detail);
}

static int say_large(const struct yg_failure *seen, struct yg_err *err)
{
	return SAY(seen, err, YG_ELIMIT, "http.too_large",
		"the answer is larger than the %llu bytes allowed", (unsigned long long)seen->max);
}

static int say_redirect(const struct yg_failure *seen, struct yg_err *err)
{
	return SAY(seen, err, YG_EFORMAT, "http.redirect",
		"a redirect that is not followed (status %ld)", seen->status);
}

static int say_curl(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->proxy_status >= 300)
		return say_connect_status(seen, err);
	if (seen->tls_alert)
		return SAY(seen, err, YG_EUNTRUSTED, "tls.rejected_us",
			"the peer ended the TLS connection over our certificate: %.120s",
			seen->detail);
	bool moved = seen->status >= 300 && seen->status < 400;
	switch (seen->curl) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		if (moved)
			return say_redirect(seen, err);
		if (seen->connected)
			return SAY(seen, err, YG_EAGAIN, "net.failed",
				"what answers there does not speak HTTP: %.140s", seen->detail);
		return SAY(seen, err, YG_EFORMAT, "net.url", "not a URL that is used here: %.140s",
			seen->detail);
	case CURLE_COULDNT_RESOLVE_PROXY:
		return say(seen,
			(struct words){YG_EAGAIN, "proxy.dns", "the proxy's name does not resolve"},
			err);
	case CURLE_COULDNT_RESOLVE_HOST:
		return say(seen,
			(struct words){YG_EAGAIN, "net.dns", "the host name does not resolve"},
			err);
	case CURLE_COULDNT_CONNECT:
		return say_connect(seen, err);
	case CURLE_OPERATION_TIMEDOUT:
		return say_timeout(seen, err);
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return say_broken(seen, err);
	case CURLE_PEER_FAILED_VERIFICATION:
		return say_verify(seen, err);
	case CURLE_FILESIZE_EXCEEDED:
		return say_large(seen, err);
	case CURLE_TOO_MANY_REDIRECTS:
		return say_redirect(seen, err);
	case CURLE_SSL_CONNECT_ERROR:
		return SAY(seen, err, YG_EAGAIN, "tls.failed", "no TLS connection: %.160s",
			seen->detail);
	case CURLE_PROXY:
		return SAY(seen, err, YG_EAGAIN, "proxy.failed", "the proxy failed: %.160s",
			seen->detail);
	default:
		return SAY(seen, err, YG_EAGAIN, "net.failed", "%.160s", seen->detail);
	}
}

/* What the server itself says about a refusal, when it is one of ours. */
static int say_status(const struct yg_failure *seen, struct yg_err *err)
{
	const char *colon = seen->detail[0] ? ": " : "";
	switch (seen->status) {
	case 401:
	case 403:
		return SAY(seen, err, YG_EFORMAT, "http.forbidden",
			"access refused (status %ld)%s%.160s", seen->status, colon, seen->detail);
	case 404:
	case 410:
		return SAY(seen, err, YG_EABSENT, "http.not_found", "not there (status %ld)",
			seen->status);
	case 407:
		return say(seen,
			(struct words){YG_EAGAIN, "proxy.auth",
				"the proxy wants a user and password (407)"},
			err);
	case 429:
		return say(seen,
			(struct words){YG_EAGAIN, "http.busy", "too many requests (status 429)"},
			err);
	case 503:
		return SAY(seen, err, YG_EAGAIN, "http.maintenance",
			"not available now (status 503)%s%.160s", colon, seen->detail);
	default:
		return SAY(seen, err,
			seen->status >= 500 || seen->status == 408 ? YG_EAGAIN : YG_EFORMAT,
			"http.status", "status %ld%s%.160s", seen->status, colon, seen->detail);
	}
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

int yg_failure_say(const struct yg_failure *given, struct yg_err *err)
{
	struct yg_failure copy = *given;
	const struct yg_failure *seen = &copy;
	copy.address = text_of(copy.address);
	copy.subject = text_of(copy.subject);
	copy.issuer = text_of(copy.issuer);
	copy.detail = text_of(copy.detail);
	copy.type = text_of(copy.type);
	if (seen->max && seen->size > seen->max)
		return say_large(seen, err);
	bool html = strcasecmp(seen->type, "text/html") == 0;
	if (seen->content && html && seen->status >= 200 && seen->status < 300)
		return SAY(seen, err, YG_EFORMAT, "http.block_page",
			"a web page (text/html) came where content was expected");
	if (seen->curl)
		return say_curl(seen, err);
	if (seen->status >= 300 && seen->status < 400)
		return say_redirect(seen, err);
	return say_status(seen, err);
}
