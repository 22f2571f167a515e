/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "net/failure_impl.h"

/* Products that open TLS connections on their way, by what their CAs are called. A proxy that makes a tunnel and
 * an issuer who is not trusted say the same without them.
 */
static const char *const inspectors[] = {"zscaler", "squid", "fortinet", "fortigate", "palo alto",
	"blue coat", "bluecoat", "symantec web", "netskope", "forcepoint", "websense", "sophos",
	"cisco umbrella", "opendns", "mcafee web", "skyhigh", "check point", "watchguard",
	"sonicwall", "barracuda", "iboss", "untangle", "menlo", "i-filter", "digital arts",
	"interscan", "kaspersky", "avast", "bitdefender", "eset ssl", "mitmproxy", "inspection",
	"interception", "proxy"};

static bool is_inspector(const char *issuer)
{
	for (size_t i = 0; i < YG_COUNT(inspectors); i++)
		if (strcasestr(issuer, inspectors[i]))
			return true;
	return false;
}

static int say_untrusted(const struct yg_failure *seen, struct yg_err *err)
{
	const char *why = X509_verify_cert_error_string(seen->verify);
	if (seen->verify == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.self_signed",
			"the certificate of %.100s is signed by nobody but itself", seen->subject);
	if (seen->tunnel || is_inspector(seen->issuer))
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.intercepted",
			"the certificate was issued by %.100s, who is not trusted here (%.60s)",
			seen->issuer, why);
	return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.untrusted",
		"the certificate was issued by %.100s, who is not trusted here (%.60s)",
		seen->issuer, why);
}

static int say_date(const struct yg_failure *seen, bool early, struct yg_err *err)
{
	char now[YG_CLOCK_TEXT], date[YG_CLOCK_TEXT];
	int64_t at = early ? seen->from_s : seen->until_s;
	yg_clock_format(yg_clock_now_s(), now);
	yg_clock_format(at, date);
	if (seen->clock)
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "clock.wrong",
			"the clock here says %s, the certificate of %.80s is valid %s %s", now,
			seen->subject, early ? "from" : "until", date);
	if (early)
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.not_yet",
			"the certificate of %.100s is not valid yet%s%s", seen->subject,
			at ? ", but from " : "", at ? date : "");
	return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.expired",
		"the certificate of %.100s has expired%s%s", seen->subject, at ? ", on " : "",
		at ? date : "");
}

/* Whatever is wrong with it, it is the proxy's own certificate. */
static int say_proxys(const struct yg_failure *seen, struct yg_err *err)
{
	bool name = seen->verify == X509_V_OK;
	return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "proxy.certificate",
		"the proxy's own certificate, of %.90s issued by %.90s: %.60s", seen->subject,
		seen->issuer,
		name ? "for another name" : X509_verify_cert_error_string(seen->verify));
}

int failure_tls_verify(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->proxys_tls)
		return say_proxys(seen, err);
	switch (seen->verify) {
	case X509_V_OK:
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.name",
			"the certificate is for another name: %.100s", seen->subject);
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.peer_identity",
			"want the peer %.80s, have the certificate of %.100s",
			seen->want_peer ? seen->want_peer : "?", seen->subject);
	case X509_V_ERR_INVALID_PURPOSE:
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.peer_identity",
			"want the certificate of a server, have one for another purpose: %.100s",
			seen->subject);
	case X509_V_ERR_UNSPECIFIED:
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.pin",
			"the CA is not the one that was named; the certificate was issued by %.100s",
			seen->issuer);
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return say_date(seen, seen->verify == X509_V_ERR_CERT_NOT_YET_VALID, err);
	case X509_V_ERR_CERT_REVOKED:
		return FAILURE_SAY(seen, err, YG_EUNTRUSTED, "tls.revoked",
			"the certificate of %.100s is revoked", seen->subject);
	default:
		return say_untrusted(seen, err);
	}
}

int failure_tls_timeout(const struct yg_failure *seen, struct yg_err *err)
{
	return FAILURE_SAY(seen, err, YG_EAGAIN, "tls.timeout",
		"connected, but the TLS handshake was not over within %.1f s",
		(double)seen->waited_ms / 1000);
}

/* source  libcurl's lib/vtls/openssl.c */
static bool was_cut(const struct yg_failure *seen)
{
	return seen->sys == ECONNRESET || seen->sys == EPIPE ||
		strstr(seen->detail, "SSL_ERROR_SYSCALL") ||
		strstr(seen->detail, "unexpected eof") || strstr(seen->detail, "reset by peer");
}

int failure_tls_handshake(const struct yg_failure *seen, struct yg_err *err)
{
	if (seen->verify) /* libcurl loses sight of why, in a connection within a connection */
		return failure_tls_verify(seen, err);
	if (seen->proxys_tls)
		return FAILURE_SAY(seen, err, YG_EAGAIN, "proxy.failed",
			"no TLS connection to the proxy: %.160s", seen->detail);
	if (was_cut(seen))
		return FAILURE_SAY(seen, err, YG_EAGAIN, "net.reset",
			"the connection was cut in the TLS handshake: %.120s", seen->detail);
	return FAILURE_SAY(seen, err, YG_EAGAIN, "tls.failed", "no TLS connection: %.160s",
		seen->detail);
}
