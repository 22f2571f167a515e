/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "net/range.h"
#include "net/tls_ctx.h"

/* How one connection lives:
 *
 *   accepted ── make_connection: an SSL, a bufferevent over it, a `struct connection` in the SSL's extra
 *      │        data, which goes when the SSL goes: that is how connections are counted
 *   handshake ─ judge_client: chain and purpose by OpenSSL; an expired leaf passes, for HTTP to refuse
 *      │
 *   request ─── on_request: libevent has parsed it whole; certificate, `before`, route, handler
 *      │        The answer comes now or later. Until then libevent does not read from the socket, so
 *      │        that a held request watches for the peer's FIN by itself (EV_CLOSED).
 *   answer ──── on_complete, and again from "request"; or on_close wherever the connection ends.
 *
 * A `struct yg_server_request` ends in on_complete or in on_close, never elsewhere.
 */

#define HEADERS_MAX 16384      /* bytes of request line and headers */
#define BODY_MAX    (1u << 20) /* bytes, preset */
#define PIECE       (60u << 10) /* bytes of a file in memory at a time: libevent rounds up to 64 KiB */
#define ARGS_MAX    4           /* {names} in a route */
#define ARG_MAX     256         /* bytes of one */
#define LOGS_MAX    20          /* refusals logged in LOGS_MS; strangers must not fill the log */
#define LOGS_MS     10000

#define FILES_KEPT    512 /* descriptors for all but connections */
#define FAREWELL_S    2
#define FAREWELLS_MAX 256

TAILQ_HEAD(connections, connection);
LIST_HEAD(farewells, farewell);

struct yg_server {
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener; /* of http */
	SSL_CTX *ctx;
	struct yg_tls_ctx *tls;
	struct yg_server_options options;
	struct yg_server_stats stats;
	struct connections fresh; /* those that had no request yet */
	struct connections busy;  /* those that have one */
	struct connections idle;  /* those that had one, the longest idle first */
	struct farewells farewells;
	unsigned farewell_count;
	int64_t logs_since_ms;
	unsigned logs;
	int ssl_index; /* of struct connection in an SSL */
	bool full;     /* the listener rests until a connection ends */
	bool closing;
};

struct connection {
	TAILQ_ENTRY(connection) others;
	struct connections *list; /* that it is in */
	struct yg_server *server;
	SSL *ssl;
	struct event *patience; /* fires when no whole request came in time */
	bool judged;            /* the certificate was refused, and that was logged */
	bool has_cert;
	bool read_cert;
	struct yg_x509_info cert;
};

/* A socket that was refused, kept open until its peer has read why. */
struct farewell {
	LIST_ENTRY(farewell) others;
	struct yg_server *server;
	struct event *timer;
	int fd;
};

struct arg {
	const char *name; /* points into the route */
	size_t name_len;
	char value[ARG_MAX];
};

struct yg_server_request {
	struct yg_server *server;
	struct connection *connection; /* NULL without TLS */
	struct evhttp_request *ev;
	struct evhttp_connection *evcon;
	char *path;
	struct evkeyvalq query;
	struct arg args[ARGS_MAX];
	size_t arg_count;
	struct event *gone; /* while held */
	void (*closed)(void *ctx, struct yg_server_request *request);
	void *closed_ctx;
	int fd; /* of the file that is being sent, or -1 */
	uint64_t at, left;
	char cause[YG_ERR_CAUSE_MAX]; /* of the error that is answered */
};

/* --- logging refusals */

static bool may_log(struct yg_server *server)
{
	int64_t now = yg_clock_mono_ms();
	if (now - server->logs_since_ms > LOGS_MS) {
		if (server->logs > LOGS_MAX)
			yg_log(YG_LOG_WARN, "server.refused",
				"%s: %u more refusals were not logged", server->options.name,
				server->logs - LOGS_MAX);
		server->logs_since_ms = now;
		server->logs = 0;
	}
	return ++server->logs <= LOGS_MAX;
}

static void peer_of(int fd, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	const void *bytes = NULL;
	memcpy(out, "?", 2);
	if (fd < 0 || getpeername(fd, (struct sockaddr *)&address, &len) < 0)
		return;
	if (address.ss_family == AF_INET)
		bytes = &((struct sockaddr_in *)&address)->sin_addr;
	else if (address.ss_family == AF_INET6)
		bytes = &((struct sockaddr_in6 *)&address)->sin6_addr;
	if (bytes)
		(void)inet_ntop(address.ss_family, bytes, out, INET6_ADDRSTRLEN);
	if (strncmp(out, "::ffff:", 7) == 0)
		memmove(out, out + 7, strlen(out + 7) + 1);
}

/* --- TLS */

static struct connection *connection_of(const struct yg_server *server, const SSL *ssl)
{
	return SSL_get_ex_data(ssl, server->ssl_index);
}

static struct yg_server *server_of(const SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* An expired certificate that is ours gets as far as HTTP, where it is told so. */
static int tolerate_age(int ok, X509_STORE_CTX *verify)
{
	if (ok || X509_STORE_CTX_get_error_depth(verify) != 0)
		return ok;
	int why = X509_STORE_CTX_get_error(verify);
	if (why != X509_V_ERR_CERT_HAS_EXPIRED && why != X509_V_ERR_CERT_NOT_YET_VALID)
		return 0;
	X509_STORE_CTX_set_error(verify, X509_V_OK);
	return 1;
}

static int judge_client(X509_STORE_CTX *verify, void *arg)
{
	(void)arg;
	const SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct yg_server *server = server_of(ssl);
	X509_STORE_CTX_set_verify_cb(verify, tolerate_age);
	if (X509_verify_cert(verify) > 0)
		return 1;
	struct connection *connection = connection_of(server, ssl);
	if (connection)
		connection->judged = true;
	server->stats.refused++;
	struct yg_x509_info info = {0};
	char peer[INET6_ADDRSTRLEN];
	peer_of(SSL_get_fd(ssl), peer);
	if (!may_log(server))
		return 0;
	(void)yg_tls_ctx_info(X509_STORE_CTX_get0_cert(verify), &info);
	yg_log(YG_LOG_WARN, "server.refused",
		"%s: the client %s: certificate of %s, issued by %s, serial %s: %s",
		server->options.name, peer, info.subject, info.issuer, info.serial,
		X509_verify_cert_error_string(X509_STORE_CTX_get_error(verify)));
	return 0;
}

static void end_farewell(struct farewell *farewell)
{
	LIST_REMOVE(farewell, others);
	farewell->server->farewell_count--;
	event_free(farewell->timer);
	(void)close(farewell->fd);
	free(farewell);
}

static void on_farewell(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end_farewell(arg);
}

/* With TLS 1.3 a client may have sent its request before it learns that its certificate is refused.
 * Closing a socket with unread bytes resets the connection, and the alert is lost on the way. So a
 * second descriptor keeps the socket for a moment.
 */
static void bid_farewell(struct yg_server *server, int fd)
{
	struct timeval while_s = {.tv_sec = FAREWELL_S};
	if (server->farewell_count >= FAREWELLS_MAX)
		return;
	struct farewell *farewell = calloc(1, sizeof(*farewell));
	if (!farewell)
		return;
	farewell->server = server;
	farewell->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	farewell->timer = farewell->fd < 0 ? NULL
					   : evtimer_new(server->base, on_farewell, farewell);
	if (!farewell->timer) {
		if (farewell->fd >= 0)
			(void)close(farewell->fd);
		free(farewell);
		return;
	}
	(void)shutdown(farewell->fd, SHUT_WR);
	(void)event_add(farewell->timer, &while_s);
	LIST_INSERT_HEAD(&server->farewells, farewell, others);
	server->farewell_count++;
}

/* Alerts in either direction: the rest of what can go wrong in a handshake. */
static void on_info(const SSL *ssl, int where, int value)
{
	if (!(where & SSL_CB_ALERT) || (value >> 8) != SSL3_AL_FATAL)
		return;
	struct yg_server *server = server_of(ssl);
	struct connection *connection = connection_of(server, ssl);
	if ((where & SSL_CB_WRITE) && connection)
		bid_farewell(server, SSL_get_fd(ssl));
	if (!connection || connection->judged)
		return;
	connection->judged = true;
	server->stats.refused++;
	char peer[INET6_ADDRSTRLEN];
	peer_of(SSL_get_fd(ssl), peer);
	if (may_log(server))
		yg_log(YG_LOG_NOTICE, "server.refused", "%s: the client %s: TLS alert %s us: %s",
			server->options.name, peer, (where & SSL_CB_READ) ? "to" : "from",
			SSL_alert_desc_string_long(value));
}

static void rest(struct yg_server *server, bool full)
{
	if (server->full == full || server->closing)
		return;
	server->full = full;
	if (full)
		(void)evconnlistener_disable(server->listener);
	else
		(void)evconnlistener_enable(server->listener);
}

/* Move it to the end of a list, or out of all. */
static void set_list(struct connection *connection, struct connections *list)
{
	if (connection->list)
		TAILQ_REMOVE(connection->list, connection, others);
	connection->list = list;
	if (list)
		TAILQ_INSERT_TAIL(list, connection, others);
}

static void forget(struct connection *connection)
{
	set_list(connection, NULL);
	event_free(connection->patience);
	free(connection);
}

static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	struct connection *connection = ptr;
	if (!connection)
		return;
	struct yg_server *server = connection->server;
	forget(connection);
	server->stats.connections--;
	if (server->stats.connections < server->options.connections_max)
		rest(server, false);
}

static void shut(int fd)
{
	if (fd >= 0)
		(void)shutdown(fd, SHUT_RDWR); /* libevent sees the end and cleans up */
}

static void on_impatient(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct connection *connection = arg;
	if (connection->list != &connection->server->busy)
		shut(SSL_get_fd(connection->ssl));
}

static void wait_for_request(struct connection *connection)
{
	struct timeval patience = {.tv_sec = (time_t)connection->server->options.idle_s};
	(void)event_add(connection->patience, &patience);
}

/* When there are no more, the longest idle one goes: clients keep connections that they may never need. */
static void make_room(struct yg_server *server)
{
	if (server->full && !TAILQ_EMPTY(&server->idle))
		shut(SSL_get_fd(TAILQ_FIRST(&server->idle)->ssl));
}

static struct bufferevent *make_connection(struct event_base *base, void *arg)
{
	struct yg_server *server = arg;
	struct connection *connection = calloc(1, sizeof(*connection));
	SSL *ssl = SSL_new(server->ctx);
	/* Returning NULL would make libevent speak plain HTTP. Without memory for a connection the
	 * process ends, and its parent starts it again. */
	assert(connection && ssl);
	connection->server = server;
	connection->ssl = ssl;
	connection->patience = evtimer_new(base, on_impatient, connection);
	assert(connection->patience);
	int ok = SSL_set_ex_data(ssl, server->ssl_index, connection);
	assert(ok == 1);
	(void)ok;
	struct bufferevent *bev = bufferevent_openssl_socket_new(base, -1, ssl,
		BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	assert(bev);
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	server->stats.accepted++;
	if (++server->stats.connections >= server->options.connections_max)
		rest(server, true);
	set_list(connection, &server->fresh);
	make_room(server);
	wait_for_request(connection);
	return bev;
}

static int verify_mode(enum yg_server_client client)
{
	switch (client) {
	case YG_SERVER_REQUIRE:
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	case YG_SERVER_ASK:
		return SSL_VERIFY_PEER;
	case YG_SERVER_ANYONE:
		break;
	}
	return SSL_VERIFY_NONE;
}

/* The CAs whose certificates we ask for: clients choose theirs by it. */
static void name_cas(SSL_CTX *ctx, const struct yg_tls_ctx *tls)
{
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(tls->store);
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		if (ca)
			(void)SSL_CTX_add_client_CA(ctx, ca);
	}
}

static SSL_CTX *make_ctx(struct yg_server *server, const struct yg_tls_ctx *tls)
{
	static const unsigned char context[] = "yagura";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || !yg_tls_ctx_apply(tls, ctx) ||
		SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_app_data(ctx, server);
	/* A client that just closes is no failure: the ends of messages are HTTP's to say. */
	(void)SSL_CTX_set_options(ctx,
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
			SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_timeout(ctx, 3600);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_verify(ctx, verify_mode(server->options.client), NULL);
	if (server->options.client != YG_SERVER_ANYONE) {
		SSL_CTX_set_cert_verify_callback(ctx, judge_client, NULL);
		name_cas(ctx, tls);
	}
	return ctx;
}

int yg_server_tls(struct yg_server *server, const struct yg_tls *from, struct yg_err *err)
{
	struct yg_tls_ctx *tls YG_AUTO(yg_tls_ctx) = yg_tls_ctx_new(from, err);
	if (!tls)
		return -1;
	if (!tls->leaf || !tls->key)
		return yg_fail_cause(err, YG_EFORMAT, "tls.failed",
			"the server %s: want a certificate and its key", server->options.name);
	SSL_CTX *ctx = make_ctx(server, tls);
	if (!ctx) {
		const char *reason = ERR_reason_error_string(ERR_peek_error());
		ERR_clear_error();
		return yg_fail_cause(err, YG_EFORMAT, "tls.failed", "the server %s: %s",
			server->options.name, reason ? reason : "OpenSSL refuses the certificate");
	}
	SSL_CTX_free(server->ctx);
	yg_tls_ctx_free(server->tls);
	server->ctx = ctx;
	server->tls = yg_take(tls);
	return 0;
}

/* --- the life of a request */

static void discard(struct yg_server_request *request)
{
	if (request->gone)
		event_free(request->gone);
	if (request->fd >= 0)
		(void)close(request->fd);
	evhttp_clear_headers(&request->query);
	free(request->path);
	free(request);
}

/* The connection ends, whoever ended it. libevent leaves a request that we have not answered to us,
 * cut off from its connection; one that we were sending it frees itself.
 */
static void on_close(struct evhttp_connection *evcon, void *arg)
{
	(void)evcon;
	struct yg_server_request *request = arg;
	if (!evhttp_request_get_connection(request->ev))
		evhttp_request_free(request->ev);
	if (request->closed)
		request->closed(request->closed_ctx, request);
	discard(request);
}

static void on_complete(struct evhttp_request *ev, void *arg)
{
	(void)ev;
	struct yg_server_request *request = arg;
	evhttp_connection_set_closecb(request->evcon, NULL, NULL);
	if (request->connection) {
		set_list(request->connection, &request->server->idle);
		wait_for_request(request->connection);
		make_room(request->server);
	}
	discard(request);
}

static struct yg_server_request *begin(struct yg_server *server, struct evhttp_request *ev)
{
	struct yg_server_request *request = calloc(1, sizeof(*request));
	assert(request);
	request->server = server;
	request->ev = ev;
	request->evcon = evhttp_request_get_connection(ev);
	request->fd = -1;
	TAILQ_INIT(&request->query);
	SSL *ssl = server->options.plain
		? NULL
		: bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(request->evcon));
	if (ssl) {
		request->connection = connection_of(server, ssl);
		set_list(request->connection, &server->busy);
		(void)evtimer_del(request->connection->patience);
	}
	evhttp_connection_set_closecb(request->evcon, on_close, request);
	evhttp_request_set_on_complete_cb(ev, on_complete, request);
	server->stats.requests++;
	return request;
}

/* Read the certificate once a connection; resumed sessions have it too. */
static void read_cert(struct connection *connection)
{
	if (connection->read_cert)
		return;
	connection->read_cert = true;
	const X509 *cert = SSL_get0_peer_certificate(connection->ssl);
	connection->has_cert = cert && yg_tls_ctx_info(cert, &connection->cert);
}

/* False when a refusal was sent. */
static bool cert_ok(struct yg_server_request *request)
{
	struct connection *connection = request->connection;
	if (!connection)
		return true;
	read_cert(connection);
	if (!connection->has_cert)
		return true;
	const struct yg_x509_info *cert = &connection->cert;
	int64_t now = yg_clock_now_s();
	bool old = cert->not_after_s < now;
	if (!old && cert->not_before_s <= now)
		return true;
	char when[YG_CLOCK_TEXT];
	yg_clock_format(old ? cert->not_after_s : cert->not_before_s, when);
	request->server->stats.refused++;
	if (may_log(request->server))
		yg_log(YG_LOG_WARN, "server.refused",
			"%s: the client %s: certificate of %s, serial %s: %s %s",
			request->server->options.name, yg_server_peer(request), cert->subject,
			cert->serial, old ? "expired at" : "not valid before", when);
	yg_server_cause(request, old ? "auth.expired" : "clock.wrong");
	yg_server_reply_error(request, 403, old ? "certificate_expired" : "certificate_not_yet",
		NULL, "your certificate (serial %s) %s %s", cert->serial,
		old ? "expired at" : "is not valid before", when);
	return false;
}

/* --- routes */

static bool decode(const char *from, size_t len, char *out, size_t size)
{
	char raw[ARG_MAX * 3];
	if (len >= sizeof(raw))
		return false;
	memcpy(raw, from, len);
	raw[len] = 0;
	size_t plain = 0;
	char *text YG_AUTO(mem) = evhttp_uridecode(raw, 0, &plain);
	if (!text || strlen(text) != plain || plain >= size)
		return false;
	memcpy(out, text, plain + 1);
	return true;
}

/* One component of a pattern against one of a path. */
static bool part_fits(struct yg_server_request *request, const char *pattern, size_t pattern_len,
	const char *path, size_t path_len)
{
	if (pattern_len < 2 || pattern[0] != '{')
		return pattern_len == path_len && memcmp(pattern, path, path_len) == 0;
	assert(request->arg_count < ARGS_MAX);
	struct arg *arg = &request->args[request->arg_count];
	if (path_len == 0 || !decode(path, path_len, arg->value, sizeof(arg->value)))
		return false;
	arg->name = pattern + 1;
	arg->name_len = pattern_len - 2;
	request->arg_count++;
	return true;
}

static bool fits(struct yg_server_request *request, const char *pattern, const char *path)
{
	request->arg_count = 0;
	while (*pattern == '/' && *path == '/') {
		size_t pattern_len = strcspn(++pattern, "/"), path_len = strcspn(++path, "/");
		if (strcmp(pattern, "*") == 0) {
			struct arg *arg = &request->args[request->arg_count++];
			arg->name = pattern;
			arg->name_len = 1;
			return decode(path, strlen(path), arg->value, sizeof(arg->value));
		}
		if (!part_fits(request, pattern, pattern_len, path, path_len))
			return false;
		pattern += pattern_len;
		path += path_len;
	}
	return !*pattern && !*path;
}

static bool method_fits(const char *route, const char *have)
{
	return strcmp(route, have) == 0 || (strcmp(route, "GET") == 0 && strcmp(have, "HEAD") == 0);
}

static void dispatch(struct yg_server_request *request, const char *raw_path)
{
	const struct yg_server_options *options = &request->server->options;
	const char *method = yg_server_method(request);
	bool known = false;
	for (const struct yg_server_route *route = options->routes; route && route->method;
		route++) {
		if (!fits(request, route->path, raw_path))
			continue;
		known = true;
		if (!method_fits(route->method, method))
			continue;
		if (options->client == YG_SERVER_ASK && !route->open && !yg_server_cert(request)) {
			yg_server_reply_error(request, 401, "unauthorized", NULL,
				"this needs a client certificate");
			return;
		}
		route->handle(options->ctx, request);
		return;
	}
	if (known)
		yg_server_reply_error(request, 405, "bad_request", NULL,
			"the method %s is not for this path", method);
	else
		yg_server_reply_error(request, 404, "not_found", NULL,
			"there is nothing at this path");
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct yg_server *server = arg;
	struct yg_server_request *request = begin(server, ev);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
	const char *raw_path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
	size_t len = 0;
	request->path = raw_path ? evhttp_uridecode(raw_path, 0, &len) : NULL;
	if (!request->path || strlen(request->path) != len ||
		(query && evhttp_parse_query_str(query, &request->query) < 0)) {
		yg_server_reply_error(request, 400, "bad_request", NULL, "the URL is malformed");
		return;
	}
	if (!cert_ok(request))
		return;
	if (server->options.before && server->options.before(server->options.ctx, request))
		return;
	dispatch(request, raw_path);
}

/* --- reading it */

const char *yg_server_method(const struct yg_server_request *request)
{
	switch (evhttp_request_get_command(request->ev)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_OPTIONS:
	case EVHTTP_REQ_TRACE:
	case EVHTTP_REQ_CONNECT:
		break;
	}
	return "?";
}

const char *yg_server_path(const struct yg_server_request *request)
{
	return request->path;
}

const char *yg_server_arg(const struct yg_server_request *request, const char *name)
{
	for (size_t i = 0; i < request->arg_count; i++) {
		const struct arg *arg = &request->args[i];
		if (arg->name_len == strlen(name) && memcmp(arg->name, name, arg->name_len) == 0)
			return arg->value;
	}
	return NULL;
}

const char *yg_server_query(const struct yg_server_request *request, const char *name)
{
	return evhttp_find_header(&request->query, name);
}

const char *yg_server_query_text(const struct yg_server_request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request->ev);
	return uri ? evhttp_uri_get_query(uri) : NULL;
}

const char *yg_server_header(const struct yg_server_request *request, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request->ev), name);
}

struct yg_bytes yg_server_body(const struct yg_server_request *request)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(request->ev);
	size_t len = evbuffer_get_length(body);
	return (struct yg_bytes){len ? evbuffer_pullup(body, -1) : NULL, len};
}

const char *yg_server_peer(const struct yg_server_request *request)
{
	char *address = NULL;
	ev_uint16_t port = 0;
	evhttp_connection_get_peer(request->evcon, &address, &port);
	if (address && strncmp(address, "::ffff:", 7) == 0)
		address += 7;
	return address ? address : "?";
}

int yg_server_json(struct yg_server_request *request, json_t **out)
{
	struct yg_err err = {0};
	json_t *body = NULL;
	struct yg_bytes text = yg_server_body(request);
	if (!text.len) {
		yg_server_reply_error(request, 400, "bad_request", NULL,
			"want a JSON object as body");
		return -1;
	}
	if (yg_json_parse(text, text.len, &body, &err) < 0) {
		yg_server_reply_error(request, 400, "bad_request", NULL, "body: %s", err.msg);
		return -1;
	}
	if (!json_is_object(body)) {
		yg_server_reply_error(request, 400, "bad_request", NULL,
			"body: want an object, have %s", yg_json_kind(body));
		json_decref(body);
		return -1;
	}
	*out = body;
	return 0;
}

const struct yg_x509_info *yg_server_cert(const struct yg_server_request *request)
{
	return request->connection && request->connection->has_cert ? &request->connection->cert
								    : NULL;
}

/* --- answering */

/* The request goes from its holder's hands into libevent's. */
static void unhold(struct yg_server_request *request)
{
	if (request->gone)
		event_free(request->gone);
	request->gone = NULL;
	request->closed = NULL;
}

void yg_server_add(struct yg_server_request *request, const char *name, const char *value)
{
	(void)evhttp_add_header(evhttp_request_get_output_headers(request->ev), name, value);
}

static void add_number(struct yg_server_request *request, const char *name, uint64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	yg_server_add(request, name, text);
}

void yg_server_reply(struct yg_server_request *request, int status, const char *type,
	struct yg_bytes body)
{
	unhold(request);
	struct evbuffer *out = evhttp_request_get_output_buffer(request->ev);
	if (type)
		yg_server_add(request, "Content-Type", type);
	yg_server_add(request, "X-Content-Type-Options", "nosniff");
	if (status != 204 && status != 304)
		add_number(request, "Content-Length", body.len);
	int ok = body.len ? evbuffer_add(out, body.ptr, body.len) : 0;
	assert(ok == 0);
	(void)ok;
	evhttp_send_reply(request->ev, status, NULL, NULL);
}

void yg_server_reply_json(struct yg_server_request *request, int status, json_t *body)
{
	char *text YG_AUTO(mem) = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(body);
	assert(text);
	yg_server_reply(request, status, "application/json", yg_bytes_of(text));
}

void yg_server_cause(struct yg_server_request *request, const char *cause)
{
	(void)snprintf(request->cause, sizeof(request->cause), "%s", cause ? cause : "");
}

void yg_server_reply_error(struct yg_server_request *request, int status, const char *code,
	const char *field, const char *fmt, ...)
{
	char message[YG_ERR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	size_t len = strlen(message); /* it may quote strangers, and be cut inside a character */
	while (len > 0 && !yg_str_utf8_ok(message, len))
		message[--len] = 0;
	json_t *error = json_pack("{s:s, s:s}", "code", code, "message", message);
	if (field)
		(void)json_object_set_new(error, "field", json_string(field));
	if (request->cause[0])
		(void)json_object_set_new(error, "cause", json_string(request->cause));
	yg_server_reply_json(request, status, json_pack("{s:o}", "error", error));
}

void yg_server_reply_err(struct yg_server_request *request, const struct yg_err *why)
{
	static const struct {
		int status;
		const char *code;
	} answers[] = {
		[YG_OK] = {500, "internal"},
		[YG_EFORMAT] = {400, "bad_request"},
		[YG_EUNTRUSTED] = {403, "forbidden"},
		[YG_ELIMIT] = {413, "too_large"},
		[YG_EABSENT] = {404, "not_found"},
		[YG_EAGAIN] = {503, "unavailable"},
		[YG_ESYSTEM] = {500, "internal"},
	};
	yg_server_reply_error(request, answers[why->code].status, answers[why->code].code, NULL,
		"%s", why->msg);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct yg_server_request *request = arg;
	evhttp_connection_free(request->evcon); /* calls on_close */
}

void yg_server_hold(struct yg_server_request *request,
	void (*closed)(void *ctx, struct yg_server_request *request), void *ctx)
{
	request->closed = closed;
	request->closed_ctx = ctx;
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(request->evcon));
	request->gone = event_new(request->server->base, fd, EV_CLOSED, on_gone, request);
	assert(request->gone);
	(void)event_add(request->gone, NULL);
}

/* --- files */

static void send_piece(struct evhttp_connection *evcon, void *arg)
{
	(void)evcon;
	struct yg_server_request *request = arg;
	if (request->left == 0) {
		evhttp_send_reply_end(request->ev);
		return;
	}
	size_t want = request->left < PIECE ? (size_t)request->left : PIECE;
	struct evbuffer *piece = evbuffer_new();
	struct evbuffer_iovec room;
	assert(piece);
	if (evbuffer_reserve_space(piece, (ev_ssize_t)want, &room, 1) < 1) {
		evbuffer_free(piece);
		shut(bufferevent_getfd(evhttp_connection_get_bufferevent(request->evcon)));
		return;
	}
	ssize_t n = pread(request->fd, room.iov_base, want, (off_t)request->at);
	if (n <= 0) {
		/* The file ended early or cannot be read. The length is promised already: cut. */
		evbuffer_free(piece);
		yg_log(YG_LOG_ERROR, "server.file", "%s: %s: reading at byte %llu: %s",
			request->server->options.name, request->path,
			(unsigned long long)request->at,
			n < 0 ? strerror(errno) : "it became shorter");
		shut(bufferevent_getfd(evhttp_connection_get_bufferevent(request->evcon)));
		return;
	}
	room.iov_len = (size_t)n;
	(void)evbuffer_commit_space(piece, &room, 1);
	request->at += (uint64_t)n;
	request->left -= (uint64_t)n;
	evhttp_send_reply_chunk_with_cb(request->ev, piece, send_piece, request);
	evbuffer_free(piece);
}

void yg_server_reply_file(struct yg_server_request *request, int fd, const char *type,
	const char *etag)
{
	unhold(request);
	struct stat about;
	request->fd = fd;
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode)) {
		yg_server_reply_error(request, 500, "internal", NULL, "the file cannot be read");
		return;
	}
	uint64_t size = (uint64_t)about.st_size, last = 0;
	int status = 200;
	const char *wanted = yg_server_header(request, "If-None-Match");
	if (etag)
		yg_server_add(request, "ETag", etag);
	if (etag && wanted && yg_range_etag_match(wanted, etag)) {
		yg_server_reply(request, 304, NULL, (struct yg_bytes){0});
		return;
	}
	yg_server_add(request, "Accept-Ranges", "bytes");
	request->left = size;
	const char *range = yg_server_header(request, "Range");
	const char *only_if = yg_server_header(request, "If-Range");
	bool same = !only_if || (etag && strcmp(only_if, etag) == 0);
	char span[80];
	switch (range && same ? yg_range_parse(range, size, &request->at, &last) : YG_RANGE_NONE) {
	case YG_RANGE_NONE:
		break;
	case YG_RANGE_PART:
		status = 206;
		request->left = last - request->at + 1;
		(void)snprintf(span, sizeof(span), "bytes %llu-%llu/%llu",
			(unsigned long long)request->at, (unsigned long long)last,
			(unsigned long long)size);
		yg_server_add(request, "Content-Range", span);
		break;
	case YG_RANGE_BEYOND:
		(void)snprintf(span, sizeof(span), "bytes */%llu", (unsigned long long)size);
		yg_server_add(request, "Content-Range", span);
		yg_server_reply_error(request, 416, "bad_request", NULL,
			"the range lies beyond the end");
		return;
	}
	yg_server_add(request, "Content-Type", type);
	yg_server_add(request, "X-Content-Type-Options", "nosniff");
	add_number(request, "Content-Length", request->left);
	if (request->left == 0 || evhttp_request_get_command(request->ev) == EVHTTP_REQ_HEAD) {
		evhttp_send_reply(request->ev, status, NULL, NULL);
		return;
	}
	(void)posix_fadvise(fd, (off_t)request->at, (off_t)request->left, POSIX_FADV_SEQUENTIAL);
	evhttp_send_reply_start(request->ev, status, NULL);
	send_piece(request->evcon, request);
}

/* --- the server */

static int bind_socket(int fd, const struct sockaddr *address, socklen_t len, const char *text,
	uint16_t port, struct yg_err *err)
{
	int one = 1, zero = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Accepted sockets inherit it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (address->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, address, len) < 0 || listen(fd, 1024) < 0)
		return yg_fail_sys(err, errno, "listening on %s port %u",
			text[0] ? text : "all addresses", port);
	return 0;
}

int yg_server_listen(const char *address, uint16_t port, struct yg_err *err)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool any = !address[0];
	bool is_six = any || inet_pton(AF_INET6, address, &six.sin6_addr) == 1;
	if (!is_six && inet_pton(AF_INET, address, &four.sin_addr) != 1)
		return yg_fail(err, YG_EFORMAT, "'%.64s': want a numeric address", address);
	int fd YG_AUTO(fd) = socket(is_six ? AF_INET6 : AF_INET,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && any && errno == EAFNOSUPPORT) {
		is_six = false; /* a kernel without IPv6 */
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return yg_fail_sys(err, errno, "making a socket");
	const void *where = is_six ? (const void *)&six : (const void *)&four;
	if (bind_socket(fd, where, is_six ? sizeof(six) : sizeof(four), address, port, err) < 0)
		return -1;
	return yg_take_fd(fd);
}

uint16_t yg_server_port(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
					     : 0;
}

static void set_presets(struct yg_server_options *options)
{
	options->body_max = options->body_max ? options->body_max : BODY_MAX;
	options->idle_s = options->idle_s ? options->idle_s : 60;
	options->connections_max = options->connections_max ? options->connections_max : 4096;
	/* Accepting beyond the limit of descriptors would make libevent spin. */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
		return;
	rlim_t room = files.rlim_cur > 4 * FILES_KEPT ? files.rlim_cur - FILES_KEPT
						      : files.rlim_cur / 2 + 1;
	if (room < options->connections_max)
		options->connections_max = (uint32_t)room;
}

static int start(struct yg_server *server, int *fd, struct yg_err *err)
{
	server->http = evhttp_new(server->base);
	struct evhttp_bound_socket *bound = server->http
		? evhttp_accept_socket_with_handle(server->http, *fd)
		: NULL;
	if (!bound)
		return yg_fail(err, YG_ESYSTEM, "the server %s: libevent refuses the socket",
			server->options.name);
	*fd = -1;
	server->listener = evhttp_bound_socket_get_listener(bound);
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, (ev_ssize_t)server->options.body_max);
	evhttp_set_timeout(server->http, (int)server->options.idle_s);
	evhttp_set_default_content_type(server->http, NULL);
	evhttp_set_allowed_methods(server->http,
		EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
			EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE);
	evhttp_set_gencb(server->http, on_request, server);
	if (!server->options.plain)
		evhttp_set_bevcb(server->http, make_connection, server);
	return 0;
}

struct yg_server *yg_server_new(struct yg_loop *loop, int fd, const struct yg_tls *tls,
	const struct yg_server_options *options, struct yg_err *err)
{
	int listening YG_AUTO(fd) = fd;
	struct yg_server *server YG_AUTO(yg_server) = calloc(1, sizeof(*server));
	if (!server) {
		(void)yg_fail_sys(err, ENOMEM, "making the server %s", options->name);
		return NULL;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets that may be closed */
	server->base = yg_loop_base(loop);
	TAILQ_INIT(&server->fresh);
	TAILQ_INIT(&server->busy);
	TAILQ_INIT(&server->idle);
	LIST_INIT(&server->farewells);
	server->options = *options;
	set_presets(&server->options);
	server->ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
	if (!options->plain && yg_server_tls(server, tls, err) < 0)
		return NULL;
	if (start(server, &listening, err) < 0)
		return NULL;
	return yg_take(server);
}

static struct connection *first_of(const struct yg_server *server)
{
	const struct connections *lists[] = {&server->fresh, &server->busy, &server->idle};
	for (size_t i = 0; i < YG_COUNT(lists); i++)
		if (!TAILQ_EMPTY(lists[i]))
			return TAILQ_FIRST(lists[i]);
	return NULL;
}

void yg_server_free(struct yg_server *server)
{
	if (!server)
		return;
	server->closing = true;
	if (server->http)
		evhttp_free(server->http);
	/* libevent frees the rest of what belongs to connections later, from the loop. */
	for (struct connection *connection; (connection = first_of(server));) {
		(void)SSL_set_ex_data(connection->ssl, server->ssl_index, NULL);
		forget(connection);
	}
	while (!LIST_EMPTY(&server->farewells))
		end_farewell(LIST_FIRST(&server->farewells));
	SSL_CTX_free(server->ctx);
	yg_tls_ctx_free(server->tls);
	if (server->ssl_index > 0)
		(void)CRYPTO_free_ex_index(CRYPTO_EX_INDEX_SSL, server->ssl_index);
	free(server);
}

void yg_server_stats(const struct yg_server *server, struct yg_server_stats *out)
{
	*out = server->stats;
}
