/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"
#include "net/proxy.h"
#include "net/tls.h"

/* HTTP requests over libcurl. A client is one idea of whom to trust and which proxy to take,
 * together with the connections that were made under it: one client a peer. Nothing comes from the
 * environment. Failures carry a cause ("net.refused", see net/failure.h) and name host, address and
 * what was seen.
 */

struct yg_client;

/* in      loop   for yg_client_start; NULL for a client that only blocks
 *         tls, proxy  copied; NULL: system CAs and host names, no proxy. Authentication at a proxy is
 *                     Basic, Digest, NTLM or Negotiate, whatever it offers and curl has; the certificate of
 *                     an https proxy must be of the system's CAs or of tls->cas
 * errors  YG_EFORMAT a certificate, key or CA that does not parse, cause proxy.url; YG_ESYSTEM
 */
struct yg_client *yg_client_new(struct yg_loop *loop, const struct yg_tls *tls,
	const struct yg_proxy *proxy, struct yg_err *err) YG_MUST_CHECK;

/* Requests under way are forgotten: their callbacks are not called. A callback may do it. */
void yg_client_free(struct yg_client *client);
YG_DEFINE_AUTO(yg_client);

struct yg_client_request {
	const char *method; /* NULL: GET, or POST when there is a body */
	const char *url;
	const char *body; /* JSON text; NULL: none */
	const char *etag; /* with quotes, for If-None-Match; NULL: none. One that is no ETag is left
	                       out: it may come from a file */
	const char *bearer; /* for "Authorization: Bearer …"; NULL: none */
	uint64_t max;       /* bytes of reply body that are accepted; required */
	uint64_t offset;    /* bytes of the body that are here already: asked for from there on, and
	                       * not given out again when the server sends them all the same */
	const char *if_range; /* the ETag of those bytes, with quotes; NULL: the URL says which */
	bool content;         /* content is wanted: text/html is a block page, not an answer */
	bool any_status;      /* statuses from 400 on are replies, not failures */
	uint32_t connect_ms;  /* 0: 10 s */
	uint32_t idle_s;      /* give up when next to nothing came or went for so long; 0: 30 s */
	uint32_t deadline_ms; /* for all of it; 0: ten minutes */
};

struct yg_client_reply {
	int status;             /* 200, 304 …; redirects were followed */
	char etag[128];         /* with quotes; "" */
	char type[64];          /* content type without parameters, lower case; "" */
	uint32_t retry_after_s; /* Retry-After, in seconds, at most a day; 0: not given */
	uint64_t size;          /* bytes of body that were given out; without `offset` */
	uint64_t skipped;       /* bytes that came although they are here */
	struct yg_bytes body;   /* of yg_client_start and yg_client_text; a terminator follows */
	char address[64];       /* of the peer (or proxy) that answered */
	char server[64];        /* what it calls itself; "" */
};

/* How far a request came, for who looks into why. Times are since it began; 0: not so far. */
struct yg_client_trace {
	uint32_t connected_ms; /* TCP, to the proxy when there is one */
	uint32_t tls_ms;       /* the handshake with the peer is over */
	uint32_t answer_ms;    /* the first byte of the answer */
	uint32_t total_ms;
	long proxy_status; /* of CONNECT; 0: none */
	int status;        /* of the answer; 0: none */
	char address[64];  /* "10.0.0.5 port 4122" */
	char auth[96];     /* what the proxy offers, when it wants a user: "Basic, NTLM" */
	struct yg_tls_seen tls, proxy_tls;
};

/* Do a request and write its body to a descriptor, at its current position. On failure some of the
 * body may have been written: reply->size says how much, reply->etag of what. Status 304 and, with
 * any_status, >= 400 write nothing.
 * errors  with a cause, and retry_s where the server gave it. YG_EABSENT 404 and 410; YG_EAGAIN net.*, proxy.*, 408, 429, 5xx;
 *         YG_EUNTRUSTED tls.*; YG_ELIMIT more than max; YG_EFORMAT block pages, other statuses (416: there
 *         are no more than `offset` bytes), a range that was not asked for, bad URLs
 */
int yg_client_get(struct yg_client *client, const struct yg_client_request *request, int fd,
	struct yg_client_reply *reply, struct yg_err *err) YG_MUST_CHECK;

/* The same with the body in memory (reply->body points into buf). */
int yg_client_text(struct yg_client *client, const struct yg_client_request *request,
	struct yg_buf *buf, struct yg_client_reply *reply, struct yg_err *err) YG_MUST_CHECK;

/* Of the newest yg_client_get or yg_client_text. */
const struct yg_client_trace *yg_client_trace(const struct yg_client *client);

/* Do a request from the loop. `done` is called once, never from inside this call: err->code is 0 and
 * reply is there until it returns, or err says why not. The request's texts are copied. The
 * callback may start further requests.
 * returns a handle for yg_client_cancel, valid until `done` is called
 */
struct yg_client_call;
typedef void yg_client_done(void *ctx, const struct yg_client_reply *reply,
	const struct yg_err *err);
struct yg_client_call *yg_client_start(struct yg_client *client,
	const struct yg_client_request *request, yg_client_done *done, void *ctx);
void yg_client_cancel(struct yg_client_call *call); /* done is not called; NULL is fine */
