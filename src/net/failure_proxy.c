/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "net/failure_impl.h"

/* What squid says beside the status. source  squid's errorpage.cc, err_type.h */
static const struct {
	const char *name; /* begins so */
	enum { AUTH, DENIED, UPSTREAM } what;
	const char *text;
} squids[] = {
	{"ERR_CACHE_ACCESS_DENIED", AUTH, ""},
	{"ERR_ACCESS_DENIED", DENIED, "the proxy forbids this connection"},
	{"ERR_FORWARDING_DENIED", DENIED, "the proxy forbids to pass this on"},
	{"ERR_DNS_FAIL", UPSTREAM, "the proxy cannot resolve the server's name"},
	{"ERR_CONNECT_FAIL", UPSTREAM, "the proxy cannot connect to the server"},
	{"ERR_SECURE_CONNECT_FAIL", UPSTREAM, "the proxy has no TLS connection to the server"},
	{"ERR_READ_TIMEOUT", UPSTREAM, "the server did not answer the proxy in time"},
	{"ERR_LIFETIME_EXP", UPSTREAM, "the server did not answer the proxy in time"},
	{"ERR_READ_ERROR", UPSTREAM, "the connection between proxy and server was cut"},
	{"ERR_WRITE_ERROR", UPSTREAM, "the connection between proxy and server was cut"},
	{"ERR_ZERO_SIZE_OBJECT", UPSTREAM, "the server gave the proxy no answer"},
	{"ERR_CANNOT_FORWARD", UPSTREAM, "the proxy has no way to the server"},
	{"ERR_CONFLICT_HOST", UPSTREAM, "the proxy sees other addresses of the server than asked"},
};

static int say_code(const struct yg_failure *seen, long status, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(squids); i++) {
		if (strncmp(seen->squid, squids[i].name, strlen(squids[i].name)) != 0)
			continue;
		if (squids[i].what == AUTH)
			return failure_proxy_auth(seen, err);
		return FAILURE_SAY(seen, err, YG_EAGAIN,
			squids[i].what == DENIED ? "proxy.forbidden" : "proxy.upstream",
			"%s (%ld, %.40s)", squids[i].text, status, seen->squid);
	}
	return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.failed", "the proxy failed (%ld, %.40s)",
		status, seen->squid);
}

bool failure_proxy_squid(const struct yg_failure *seen, struct yg_err *err)
{
	if (!seen->squid[0])
		return false;
	(void)say_code(seen, seen->status, err);
	return true;
}

int failure_proxy_auth(const struct yg_failure *seen, struct yg_err *err)
{
	const char *offers = seen->auth[0] ? "; it offers " : "";
	if (seen->credentials)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.credentials",
			"the proxy does not accept the user and password (407)%s%.90s", offers,
			seen->auth);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.auth",
		"the proxy wants a user and password (407)%s%.90s", offers, seen->auth);
}

int failure_proxy_connect(const struct yg_failure *seen, struct yg_err *err)
{
	const long status = seen->proxy_status;
	if (status == 407)
		return failure_proxy_auth(seen, err);
	if (seen->squid[0])
		return say_code(seen, status, err);
	if (status == 403)
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, "proxy.forbidden",
				"the proxy forbids this connection (403)"},
			err);
	if (status == 502 || status == 503 || status == 504)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.upstream",
			"the proxy answered CONNECT with %ld: it does not reach the server",
			status);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.failed",
		"the proxy answered CONNECT with %ld", status);
}

int failure_proxy_socks(const struct yg_failure *seen, struct yg_err *err)
{
	switch (seen->proxy_error) {
	case CURLPX_USER_REJECTED:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN,
				seen->credentials ? "proxy.credentials" : "proxy.auth",
				seen->credentials
					? "the proxy does not accept the user and password"
					: "the proxy wants a user and password"},
			err);
	case CURLPX_NO_AUTH:
	case CURLPX_GSSAPI:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN,
				seen->credentials ? "proxy.credentials" : "proxy.auth",
				"the proxy takes none of the ways to log in that there are here"},
			err);
	case CURLPX_REPLY_NOT_ALLOWED:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, "proxy.forbidden",
				"the proxy forbids this connection"},
			err);
	case CURLPX_REPLY_CONNECTION_REFUSED:
	case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
	case CURLPX_REPLY_HOST_UNREACHABLE:
	case CURLPX_REPLY_NETWORK_UNREACHABLE:
	case CURLPX_REPLY_TTL_EXPIRED:
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.upstream",
			"the proxy does not reach the server: %.140s", seen->detail);
	case CURLPX_RESOLVE_HOST:
		return failure_say(seen,
			(struct failure_words){YG_EAGAIN, "net.dns",
				"the host name does not resolve here, as socks5:// wants; socks5h:// lets the proxy do it"},
			err);
	default:
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.failed", "the proxy failed: %.160s",
			seen->detail);
	}
}
