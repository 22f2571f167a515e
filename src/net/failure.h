/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* The one place that says what a failed transfer means. Everything that speaks to the network
 * describes what it saw, and gets one cause and one sentence, the same everywhere. Causes:
 *
 * net.url net.dns net.dns_server net.no_address net.refused net.unreachable net.timeout net.slow
 * net.reset net.short_body net.failed
 * proxy.url proxy.dns proxy.refused proxy.unreachable proxy.timeout proxy.auth proxy.credentials
 * proxy.forbidden proxy.upstream proxy.certificate proxy.failed
 * tls.untrusted tls.intercepted tls.self_signed tls.expired tls.not_yet tls.name tls.peer_identity
 * tls.revoked tls.rejected_us tls.timeout tls.failed tls.pin tls.ca, and clock.wrong
 * http.maintenance http.busy http.forbidden http.not_found http.status http.block_page
 * http.portal http.malformed http.encoding http.too_large http.redirect
 *
 * (net.url, proxy.url, tls.ca are found before there is a transfer.) Texts may be NULL, but for the
 * URL.
 */
struct yg_failure {
	const char *url;     /* as asked, or where redirects led */
	const char *proxy;   /* URL without credentials; NULL: none */
	const char *address; /* tried, "10.0.0.5 port 4122"; "" when it did not come to that */
	int curl;            /* CURLcode; 0: the transfer itself worked */
	int sys;             /* errno of the connection, or 0 */
	int proxy_error;     /* CURLproxycode of a SOCKS proxy, or 0 */
	bool resolved;       /* the name was looked up once more, to know why it failed: */
	int resolve_error;   /* EAI_*; 0: then it worked */
	bool connected;      /* over TCP, and through the proxy when it makes a tunnel */
	uint32_t waited_ms;
	uint64_t max, size; /* bytes allowed, bytes seen */
	bool slow;          /* it was given up although something came all the time */
	bool endless;       /* headers without end */
	const char *
		detail; /* curl's or OpenSSL's own words; with a status, the server's own message */

	/* TLS */
	bool handshake;      /* it was not over */
	bool proxys_tls;     /* all this is about the proxy's own certificate */
	long verify;         /* X509_V_ERR_* of the certificate, or 0 */
	bool clock;          /* a date of it does not fit, and our clock is wrong */
	const char *subject; /* of the certificate that was judged; "" */
	const char *issuer;
	int64_t from_s, until_s; /* its validity; 0: unknown */
	bool tls_alert;          /* the peer ended the handshake with an alert about us */
	const char *want_peer;   /* the identity that was wanted; NULL: the host name */

	/* the proxy */
	bool tunnel;       /* it makes one, by CONNECT */
	bool credentials;  /* it was given a user */
	const char *auth;  /* what it offers: "Basic, NTLM"; "" */
	const char *squid; /* X-Squid-Error; "" */
	long proxy_status; /* HTTP status of a CONNECT, or 0 */

	/* the answer */
	long status;            /* HTTP status, or 0 */
	const char *type;       /* content type; "" */
	bool content;           /* content was wanted */
	bool page;              /* a web page came */
	const char *title;      /* of the page; "" */
	bool maintenance, busy; /* its text says so */
	const char *encoding;   /* Content-Encoding that was not asked for; "" */
	bool moved;             /* redirects were followed */
	const char *other_host; /* where a redirect led; "" */
};

/* Fill err. Always returns -1. */
int yg_failure_say(const struct yg_failure *given, struct yg_err *err);

/* Why a name does not resolve. in  error  EAI_*, not 0; sys  errno with EAI_SYSTEM
 * out     *cause  net.dns, net.dns_server or net.no_address
 * returns a text for people
 */
const char *yg_failure_name(int error, int sys, const char **cause);

/* Why a TCP connection fails, by errno: net.refused, net.unreachable, net.timeout, net.failed. */
const char *yg_failure_connect(int sys);
