/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "net/failure.h"

/* The parts of the classifier among themselves. */

struct failure_words {
	enum yg_code code;
	const char *cause;
	const char *text;
};

/* "<where>: <text>". Always returns -1. */
int failure_say(const struct yg_failure *seen, struct failure_words words, struct yg_err *err);

/* The same with a text that is made here. */
#define FAILURE_SAY(seen, err, code, cause, ...)                                                   \
	({                                                                                         \
		char text_[300];                                                                   \
		(void)snprintf(text_, sizeof(text_), __VA_ARGS__);                                 \
		failure_say(seen, (struct failure_words){code, cause, text_}, err);                \
	})

/* failure_tls.c: certificates and handshakes. */
int failure_tls_verify(const struct yg_failure *seen, struct yg_err *err);
int failure_tls_timeout(const struct yg_failure *seen, struct yg_err *err);
int failure_tls_handshake(const struct yg_failure *seen, struct yg_err *err);

/* failure_proxy.c: what a proxy says. */
int failure_proxy_connect(const struct yg_failure *seen, struct yg_err *err); /* to CONNECT */
int failure_proxy_auth(const struct yg_failure *seen, struct yg_err *err);    /* 407 */
int failure_proxy_socks(const struct yg_failure *seen, struct yg_err *err);
bool failure_proxy_squid(const struct yg_failure *seen,
	struct yg_err *err); /* false: not its page */

/* failure_http.c: what an answer says. */
int failure_http_status(const struct yg_failure *seen, struct yg_err *err);
int failure_http_page(const struct yg_failure *seen, struct yg_err *err);
int failure_http_redirect(const struct yg_failure *seen, struct yg_err *err);
