/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Which proxy a client takes. */

#define YG_PROXY_URL  300 /* bytes, with the terminator */
#define YG_PROXY_USER 256

struct yg_proxy {
	const char *url; /* "http://proxy:3128", "https://…", "socks5h://…"; NULL or "": none */
	const char *user; /* NULL: none */
	const char *password;
};

/* A proxy's address in its normal form: what is shown never has credentials. */
struct yg_proxy_at {
	char url[YG_PROXY_URL]; /* "http://proxy:3128" */
	char host[256];         /* name, IPv4, or IPv6 without brackets */
	uint16_t port;
	bool http;                /* http or https: makes tunnels by CONNECT */
	bool https;               /* TLS to the proxy itself */
	bool names;               /* it resolves names itself: all but socks5 */
	char user[YG_PROXY_USER]; /* that stood in the URL; "" */
	char password[YG_PROXY_USER];
};

/* "http://", "https://", "socks5://" and "socks5h://", with a port; a bare "host:port" is http.
 * errors  YG_EFORMAT cause proxy.url, without credentials in the text
 */
int yg_proxy_parse(const char *url, struct yg_proxy_at *out, struct yg_err *err) YG_MUST_CHECK;
