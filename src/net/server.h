/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"
#include "crypto/x509.h"
#include "net/tls.h"

/* An HTTPS server on libevent's HTTP server over OpenSSL. TLS 1.2 or newer.
 *
 * Client certificates: one of a foreign CA, and (YG_SERVER_REQUIRE) none, ends the handshake. One of
 * ours that is expired gets through to HTTP and there a 403 that says so; what is revoked or may do
 * what is the route's business. Each refusal is one line in the log, with subject and reason.
 */

struct yg_server;
struct yg_server_request;

enum yg_server_client {
	YG_SERVER_ANYONE,  /* client certificates are not asked for */
	YG_SERVER_ASK,     /* asked for; routes without `open` need one */
	YG_SERVER_REQUIRE, /* no handshake without one */
};

/* A handler answers the request with one of the reply functions, at once or later. */
typedef void yg_server_handle(void *ctx, struct yg_server_request *request);

struct yg_server_route {
	const char *method; /* "GET" (answers HEAD too); the table ends with NULL */
	const char *path;   /* "/api/v1/computers/{id}": {name} is one path component; a last
			       component of "*" takes all the rest */
	yg_server_handle *handle;
	bool open; /* with YG_SERVER_ASK: also without a client certificate */
};

struct yg_server_options {
	const char *name; /* for the log: "agents", "relay"; borrowed for ever */
	enum yg_server_client client;
	bool plain;               /* no TLS; for tests and sources on loopback */
	uint32_t body_max;        /* bytes of a request's body; 0: 1 MiB */
	uint32_t connections_max; /* 0: 4096; more wait in the listening queue */
	uint32_t idle_s;          /* from connecting, or the last reply, to the next whole request;
					and without progress while writing; 0: 60 */
	const struct yg_server_route *routes; /* borrowed for ever */
	void *ctx;                            /* for handlers */
	/* Look at each request before its route; may answer it (returns true then). NULL: none */
	bool (*before)(void *ctx, struct yg_server_request *request);
};

/* A listening socket, non-blocking, TCP_NODELAY; may be made before the sandbox.
 * in      address  "" for all addresses of both families, else a numeric one
 *         port     0: any free one
 * returns the descriptor, or -1. errors  YG_EFORMAT not an address; YG_ESYSTEM (in use, not allowed)
 */
int yg_server_listen(const char *address, uint16_t port, struct yg_err *err) YG_MUST_CHECK;
uint16_t yg_server_port(int fd); /* the port of a listening socket; 0: it has none */

/* Serve on a listening socket, which is taken over (on failure closed). Options are copied, tls too;
 * its `cas` are those of the clients.
 * errors  YG_EFORMAT a certificate or key that does not parse or fit; YG_ESYSTEM
 */
struct yg_server *yg_server_new(struct yg_loop *loop, int fd, const struct yg_tls *tls,
	const struct yg_server_options *options, struct yg_err *err) YG_MUST_CHECK;

/* Another certificate, key or CAs, for new connections. On failure the old ones stay. */
int yg_server_tls(struct yg_server *server, const struct yg_tls *tls, struct yg_err *err)
	YG_MUST_CHECK;

/* Ends all connections; held requests get their `closed`. Not from inside a handler. */
void yg_server_free(struct yg_server *server);
YG_DEFINE_AUTO(yg_server);

struct yg_server_stats {
	uint64_t accepted, requests, refused; /* connections, requests, refusals (TLS or 403) */
	uint32_t connections;                 /* now */
};
void yg_server_stats(const struct yg_server *server, struct yg_server_stats *out);

/* --- the request; texts live until it is answered */

const char *yg_server_method(const struct yg_server_request *request);
const char *yg_server_path(const struct yg_server_request *request); /* decoded, no NUL inside */
const char *yg_server_arg(const struct yg_server_request *request, const char *name); /* {name} */
const char *yg_server_query(const struct yg_server_request *request,
	const char *name); /* or NULL */
/* All of the query as it came, not decoded, for those who refuse what they do not know; or NULL. */
const char *yg_server_query_text(const struct yg_server_request *request);
const char *yg_server_header(const struct yg_server_request *request, const char *name);
struct yg_bytes yg_server_body(const struct yg_server_request *request);
const char *yg_server_peer(const struct yg_server_request *request); /* "10.0.0.7" */

/* Its body as a JSON object; on failure a 400 has been sent.
 * out     *out    a new reference
 */
int yg_server_json(struct yg_server_request *request, json_t **out) YG_MUST_CHECK;

/* The client's certificate, which our CAs vouch for; NULL when it has none. */
const struct yg_x509_info *yg_server_cert(const struct yg_server_request *request);

/* --- answers; each takes the request over, exactly once */

/* A header for the answer, before it. */
void yg_server_add(struct yg_server_request *request, const char *name, const char *value);

void yg_server_reply(struct yg_server_request *request, int status, const char *type,
	struct yg_bytes body);
void yg_server_reply_json(struct yg_server_request *request, int status, json_t *body); /* taken */

/* The cause (proto/cause.h) of the error that is answered next: "" and NULL: none. */
void yg_server_cause(struct yg_server_request *request, const char *cause);

/* {"error":{"code","message","field","cause"}}; field may be NULL. source  docs/wire.md */
void yg_server_reply_error(struct yg_server_request *request, int status, const char *code,
	const char *field, const char *fmt, ...) YG_PRINTF(5, 6);

/* A failure as an answer: status and code from err->code. */
void yg_server_reply_err(struct yg_server_request *request, const struct yg_err *why);

/* A regular file; fd is taken over. ETag (with quotes, NULL: none), If-None-Match, single ranges and
 * HEAD are seen to; it is read as it is sent, 256 KiB at a time.
 */
void yg_server_reply_file(struct yg_server_request *request, int fd, const char *type,
	const char *etag);

/* Hold the request: `closed` is called if the client goes away before the answer; then the request
 * is gone and must not be answered. Nothing limits how long: set a timer.
 */
void yg_server_hold(struct yg_server_request *request,
	void (*closed)(void *ctx, struct yg_server_request *request), void *ctx);
