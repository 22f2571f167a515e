/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/failure.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"
#include "net/failure_impl.h"

#define WHERE 200 /* bytes */

/* "https://relay:4122 (10.0.0.5 port 4122), through the proxy http://proxy:3128": never a path,
 * which may be long, and never credentials.
 */
static void say_where(const struct yg_failure *seen, char out[WHERE])
{
	const char *host = strstr(seen->url, "://");
	host = host ? host + 3 : seen->url;
	int len = (int)(host - seen->url + (ptrdiff_t)strcspn(host, "/?#"));
	const char *user = memrchr(host, '@', strcspn(host, "/?#"));
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

/* A text that was cut keeps whole characters: it goes into JSON. */
static void trim(char *text)
{
	size_t len = strlen(text);
	for (size_t i = 0; i < 3 && len > 0 && !yg_str_utf8_ok(text, len); i++)
		text[--len] = 0;
}

int failure_say(const struct yg_failure *seen, struct failure_words words, struct yg_err *err)
{
	char where[WHERE];
	say_where(seen, where);
	(void)yg_fail_cause(err, words.code, words.cause, "%s: %s", where, words.text);
	trim(err->msg);
	return -1;
}

/* ---- before there is a connection ---- */

const char *yg_failure_name(int error, int sys, const char **cause)
{
	switch (error) {
	case EAI_NONAME:
		*cause = "net.dns";
		return "there is no such name";
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		*cause = "net.no_address";
		return "the name exists but has no address";
	case EAI_AGAIN:
		*cause = "net.dns_server";
		return "no DNS server answers";
	case EAI_FAIL:
		*cause = "net.dns_server";
		return "the DNS server refuses to answer";
	case EAI_SYSTEM:
		*cause = "net.dns_server";
		return sys ? strerrordesc_np(sys) : "the system's resolver failed";
	default:
		*cause = "net.dns";
		return gai_strerror(error);
	}
}

static int say_resolve(const struct yg_failure *seen, struct yg_err *err)
{
	const char *cause = "net.dns";
	const char *why = NULL;
	if (seen->resolved && seen->resolve_error)
		why = yg_failure_name(seen->resolve_error, seen->sys, &cause);
	else if (seen->resolved)
		cause = "net.dns_server";
	if (seen->curl == CURLE_COULDNT_RESOLVE_PROXY)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.dns",
			"the proxy's name does not resolve%s%s", why ? ": " : "", why ? why : "");
	if (seen->resolved && !why)
		why = "it does now";
	return FAILURE_SAY(seen, err, YG_EAGAIN, cause, "the host name does not resolve%s%s",
		why ? ": " : "", why ? why : "");
}

const char *yg_failure_connect(int sys)
{
	switch (sys) {
	case ECONNREFUSED:
		return "net.refused";
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case EADDRNOTAVAIL:
	case EACCES:
	case EPERM:
	case EAFNOSUPPORT:
		return "net.unreachable";
	case ETIMEDOUT:
		return "net.timeout";
	case ECONNRESET:
	case ECONNABORTED:
		return "net.reset";
	default:
		return "net.failed";
	}
}

static int say_connect(const struct yg_failure *seen, struct yg_err *err)
{
	bool proxy = seen->proxy != NULL;
	const char *cause = yg_failure_connect(seen->sys);
	if (strcmp(cause, "net.refused") == 0)
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, proxy ? "proxy.refused" : cause,
				proxy ? "the proxy refused the connection"
				      : "the connection was refused"},
			err);
	if (strcmp(cause, "net.unreachable") == 0)
		return FAILURE_SAY(seen, err, YG_EAGAIN, proxy ? "proxy.unreachable" : cause,
			"not reachable from here: %s", strerrordesc_np(seen->sys));
	if (strcmp(cause, "net.timeout") == 0)
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, proxy ? "proxy.timeout" : cause,
				"nobody answered the connection"},
			err);
	return FAILURE_SAY(seen, err, YG_EAGAIN, proxy ? "proxy.failed" : cause,
		"connecting failed: %.160s", seen->sys ? strerrordesc_np(seen->sys) : seen->detail);
}

/* ---- a connection that goes wrong ---- */

static int say_timeout(const struct yg_failure *seen, struct yg_err *err)
{
	const double waited_s = (double)seen->waited_ms / 1000;
	bool proxy = seen->proxy && (!seen->connected || seen->proxys_tls);
	if (!seen->address[0] && strncmp(seen->detail, "Resolving", 9) == 0)
		return FAILURE_SAY(seen, err, YG_EAGAIN, proxy ? "proxy.dns" : "net.dns_server",
			"the %s does not resolve: no DNS server answered within %.1f s",
			proxy ? "proxy's name" : "host name", waited_s);
	if (!seen->connected || proxy)
		return FAILURE_SAY(seen, err, YG_EAGAIN, proxy ? "proxy.timeout" : "net.timeout",
			"no connection within %.1f s", waited_s);
	if (seen->handshake)
		return failure_tls_timeout(seen, err);
	if (seen->status == 0)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "net.timeout",
			"connected, but no answer came within %.1f s", waited_s);
	if (seen->slow)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "net.slow",
			"too slow: %llu bytes in %.1f s; given up", (unsigned long long)seen->size,
			waited_s);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "net.timeout",
		"no more came; given up after %.1f s with %llu bytes received", waited_s,
		(unsigned long long)seen->size);
}

/* source  libcurl's messages, lib/http_chunks.c, lib/http.c: it has no code of its own for these */
static bool is_malformed(const struct yg_failure *seen)
{
	static const char *const words[] = {"chunk", "HTTP/0.9", "header", "status line",
		"Content-Length", "Unsupported HTTP"};
	for (size_t i = 0; i < YG_COUNT(words); i++)
		if (strcasestr(seen->detail, words[i]))
			return true;
	return seen->endless;
}

static int say_malformed(const struct yg_failure *seen, struct yg_err *err)
{
	return FAILURE_SAY(seen, err, YG_EAGAIN, "http.malformed",
		"what answers there does not speak HTTP correctly: %.140s",
		seen->endless ? "headers without end" : seen->detail);
}

static int say_broken(const struct yg_failure *seen, struct yg_err *err)
{
	if (is_malformed(seen))
		return say_malformed(seen, err);
	if (seen->status >= 200)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "net.short_body",
			"the connection ended after %llu bytes of the answer",
			(unsigned long long)seen->size);
	if (seen->proxy && !seen->connected)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.failed",
			"the proxy cut the connection before it answered: %.140s", seen->detail);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "net.reset",
		"the connection was cut before an answer: %.140s", seen->detail);
}

static int say_large(const struct yg_failure *seen, struct yg_err *err)
{
	return FAILURE_SAY(seen, err, YG_ELIMIT, "http.too_large",
		"the answer is larger than the %llu bytes allowed", (unsigned long long)seen->max);
}

/* curl's names for many of them are from other times: SSL_CONNECT_ERROR is also a cut in the handshake. */
static int say_curl(const struct yg_failure *seen, struct yg_err *err)
{
	bool moved = seen->status >= 300 && seen->status < 400;
	switch (seen->curl) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		if (moved)
			return failure_http_redirect(seen, err);
		if (seen->connected)
			return say_malformed(seen, err);
		return FAILURE_SAY(seen, err, YG_EFORMAT, "net.url",
			"not a URL that is used here: %.140s", seen->detail);
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
		return say_resolve(seen, err);
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
		return failure_tls_verify(seen, err);
	case CURLE_FILESIZE_EXCEEDED:
		return say_large(seen, err);
	case CURLE_TOO_MANY_REDIRECTS:
		return failure_http_redirect(seen, err);
	case CURLE_SSL_CONNECT_ERROR:
		return failure_tls_handshake(seen, err);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return say_malformed(seen, err);
	case CURLE_PROXY:
		return failure_proxy_socks(seen, err);
	default:
		break;
	}
	if (is_malformed(seen))
		return say_malformed(seen, err);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "net.failed", "%.160s", seen->detail);
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void fill_texts(struct yg_failure *seen)
{
	const char **const texts[] = {&seen->address, &seen->subject, &seen->issuer, &seen->detail,
		&seen->type, &seen->auth, &seen->squid, &seen->title, &seen->encoding,
		&seen->other_host};
	for (size_t i = 0; i < YG_COUNT(texts); i++)
		*texts[i] = text_of(*texts[i]);
}

int yg_failure_say(const struct yg_failure *given, struct yg_err *err)
{
	struct yg_failure copy = *given;
	const struct yg_failure *seen = &copy;
	fill_texts(&copy);
	if (seen->max && seen->size > seen->max)
		return say_large(seen, err);
	if (seen->proxy_status >= 300)
		return failure_proxy_connect(seen, err);
	if (seen->content && seen->page && seen->status >= 200 && seen->status < 300)
		return failure_http_page(seen, err);
	if (seen->encoding[0] &&
		(seen->curl == CURLE_WRITE_ERROR || seen->curl == CURLE_BAD_CONTENT_ENCODING))
		return FAILURE_SAY(seen, err, YG_EFORMAT, "http.encoding",
			"the answer is encoded as %.31s, which was not asked for", seen->encoding);
	if (seen->tls_alert)
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.rejected_us",
			"the peer ended the TLS connection over our certificate: %.120s",
			seen->detail);
	if (seen->curl)
		return say_curl(seen, err);
	if (seen->status >= 300 && seen->status < 400)
		return failure_http_redirect(seen, err);
	return failure_http_status(seen, err);
}
