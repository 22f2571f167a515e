/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* The one place that says what a failed transfer means. Everything that speaks to the network
 * describes what it saw, and gets one cause and one sentence, the same everywhere. Causes:
 *
 * net.url net.dns net.refused net.unreachable net.timeout net.reset net.short_body net.failed
 * proxy.dns proxy.refused proxy.unreachable proxy.timeout proxy.auth proxy.forbidden proxy.failed
 * tls.untrusted tls.expired tls.name tls.peer_identity tls.revoked tls.rejected_us tls.failed
 * tls.not_yet tls.pin tls.ca
 * http.maintenance http.forbidden http.not_found http.busy http.status http.block_page
 * http.too_large http.redirect
 *
 * Texts may be NULL, but for the URL.
 */
struct yg_failure {
	const char *url;     /* as asked */
	const char *proxy;   /* URL without credentials; NULL: none */
	const char *address; /* tried, "10.0.0.5 port 4122"; "" when it did not come to that */
	int curl;            /* CURLcode; 0: the transfer itself worked */
	int sys;             /* errno of the connection, or 0 */
	long verify;         /* X509_V_ERR_* of the peer's certificate, or 0 */
	const char *subject; /* of the certificate that was judged; "" */
	const char *issuer;
	const char *detail; /* curl's or OpenSSL's own words */
	bool tls_alert;     /* the peer ended the handshake with an alert about us */
	bool connected;     /* over TCP, and through the proxy when it makes a tunnel */
	long proxy_status;  /* HTTP status of a CONNECT, or 0 */
	long status;        /* HTTP status, or 0 */
	const char *type;   /* content type of the reply; "" */
	bool content;       /* content was wanted */
	uint64_t max, size; /* bytes allowed, bytes seen */
	uint32_t waited_ms;
	const char *want_peer; /* the identity that was wanted; NULL: the host name */
};

/* Fill err. Always returns -1. */
int yg_failure_say(const struct yg_failure *given, struct yg_err *err);
