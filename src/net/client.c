/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "net/failure.h"
#include "net/tls_ctx.h"

#define CONNECT_MS    10000
#define IDLE_S        30
#define DEADLINE_MS   600000
#define REDIRECTS_MAX 5
#define SAID_MAX      1024        /* bytes of an error's body that are looked at */
#define SWALLOW_MAX   (64u << 10) /* bytes of one that are read at all */
#define RETRY_MAX_S   86400

struct yg_client_call {
	LIST_ENTRY(yg_client_call) others;
	struct yg_client *client;
	CURL *easy;
	struct curl_slist *headers;
	char *url, *body, *peer;
	bool content, any_status;
	uint64_t max, offset;
	int fd; /* where the body goes; -1: to buf */
	struct yg_buf *buf;
	struct yg_buf own; /* buf of a call from the loop */
	yg_client_done *done;
	void *ctx;
	struct yg_timer *late; /* reports what failed before curl had it */

	/* what was seen */
	struct yg_client_reply reply;
	struct yg_tls_seen tls;
	struct yg_err local; /* writing the body failed here */
	char said[SAID_MAX]; /* the start of an error's body */
	size_t said_len;
	uint64_t swallowed;
	uint64_t from; /* where the body of a 206 begins, as it says */
	bool large, page, ahead;
	char tried[64]; /* the last address, "10.0.0.5 port 4122" */
	int64_t since_ms;
	char words[CURL_ERROR_SIZE];
};

LIST_HEAD(calls, yg_client_call);

struct socket_watch {
	struct yg_client *client;
	struct yg_watch *watch;
	int fd;
};

struct yg_client {
	struct yg_loop *loop;
	struct yg_tls_ctx *tls;
	char *proxy, *proxy_user, *proxy_password;
	CURL *easy;   /* of blocking requests; keeps their connections */
	CURLM *multi; /* of requests from the loop */
	struct yg_timer *timer;
	struct calls calls;
	bool *freed; /* set when the client goes while a callback runs */
};

/* --- what curl asks us */

static int judge_peer(X509_STORE_CTX *verify, void *arg)
{
	struct yg_client_call *call = arg;
	return yg_tls_ctx_judge(call->client->tls, verify, &call->tls);
}

static CURLcode set_tls(CURL *easy, void *ssl_ctx, void *arg)
{
	(void)easy;
	struct yg_client_call *call = arg;
	if (!yg_tls_ctx_apply(call->client->tls, ssl_ctx))
		return CURLE_SSL_CERTPROBLEM;
	SSL_CTX_set_cert_verify_callback(ssl_ctx, judge_peer, call);
	return CURLE_OK;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct yg_client_call *call = arg;
	char host[INET6_ADDRSTRLEN] = "", port[8] = "";
	if (getnameinfo(&address->addr, address->addrlen, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(call->tried, sizeof(call->tried), "%s port %s", host, port);
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool header_is(const char *line, size_t len, const char *name, const char **value,
	size_t *value_len)
{
	size_t name_len = strlen(name);
	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return false;
	const char *from = line + name_len + 1, *end = line + len;
	while (from < end && (*from == ' ' || *from == '\t'))
		from++;
	while (end > from && isspace((unsigned char)end[-1]))
		end--;
	*value = from;
	*value_len = (size_t)(end - from);
	return true;
}

/* "bytes 100-199/200": 100. What cannot be read counts as the beginning: then nothing fits. */
static uint64_t range_start(const char *text, size_t len)
{
	static const char unit[] = "bytes ";
	uint64_t start = 0;
	if (len < sizeof(unit) || strncasecmp(text, unit, sizeof(unit) - 1) != 0)
		return 0;
	for (size_t i = sizeof(unit) - 1; i < len && isdigit((unsigned char)text[i]); i++) {
		if (start > UINT64_MAX / 16)
			return 0;
		start = start * 10 + (uint64_t)(text[i] - '0');
	}
	return start;
}

static size_t take_header(char *line, size_t size, size_t count, void *arg)
{
	struct yg_client_call *call = arg;
	size_t len = size * count, value_len = 0;
	const char *value = NULL;
	struct yg_client_reply *reply = &call->reply;
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) { /* of a redirect, or the answer itself */
		reply->etag[0] = reply->type[0] = 0;
		reply->retry_after_s = 0;
		call->from = 0;
	} else if (header_is(line, len, "Content-Range", &value, &value_len)) {
		call->from = range_start(value, value_len);
	} else if (header_is(line, len, "ETag", &value, &value_len)) {
		if (value_len < sizeof(reply->etag))
			(void)snprintf(reply->etag, sizeof(reply->etag), "%.*s", (int)value_len,
				value);
	} else if (header_is(line, len, "Content-Type", &value, &value_len)) {
		size_t n = 0;
		for (; n < value_len && n + 1 < sizeof(reply->type) && !strchr("; \t", value[n]);
			n++)
			reply->type[n] = (char)tolower((unsigned char)value[n]);
		reply->type[n] = 0;
	} else if (header_is(line, len, "Retry-After", &value, &value_len)) {
		uint64_t seconds = 0;
		for (size_t i = 0; i < value_len && isdigit((unsigned char)value[i]); i++)
			seconds = seconds < RETRY_MAX_S ? seconds * 10 + (uint64_t)(value[i] - '0')
							: seconds;
		reply->retry_after_s = (uint32_t)(seconds < RETRY_MAX_S ? seconds : RETRY_MAX_S);
	}
	return len;
}

static size_t take_error_body(struct yg_client_call *call, const char *data, size_t len)
{
	size_t room = sizeof(call->said) - 1 - call->said_len;
	size_t n = len < room ? len : room;
	memcpy(call->said + call->said_len, data, n);
	call->said_len += n;
	call->swallowed += len;
	return call->swallowed > SWALLOW_MAX ? 0 : len;
}

/* Leave out what is here already: all that comes before `offset`. A body that begins after it is no use. */
static bool skip(struct yg_client_call *call, long status, char **data, size_t *len)
{
	uint64_t at = (status == 206 ? call->from : 0) + call->reply.skipped + call->reply.size;
	call->ahead = at > call->offset + call->reply.size;
	if (call->ahead)
		return false;
	uint64_t left = call->offset + call->reply.size - at;
	size_t n = left < *len ? (size_t)left : *len;
	call->reply.skipped += n;
	*data += n;
	*len -= n;
	return true;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct yg_client_call *call = arg;
	size_t len = size * count;
	long status = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300 && !call->any_status)
		return take_error_body(call, data, len);
	if (call->content && strcmp(call->reply.type, "text/html") == 0) {
		call->page = true;
		return 0;
	}
	const size_t all = len;
	if (!skip(call, status, &data, &len))
		return 0;
	if (len > call->max - call->offset - call->reply.size) {
		call->large = true;
		return 0;
	}
	int rc = call->fd >= 0 ? yg_fs_write_all(call->fd, data, len, &call->local)
			       : yg_buf_add(call->buf, data, len, &call->local);
	if (rc < 0)
		return 0;
	call->reply.size += len;
	return all;
}

/* --- setting a request up */

static bool add_header(struct yg_client_call *call, const char *fmt, const char *value)
{
	char *line YG_AUTO(mem) = NULL;
	if (asprintf(&line, "%s%s", fmt, value) < 0) {
		line = NULL;
		return false;
	}
	struct curl_slist *list = curl_slist_append(call->headers, line);
	if (!list)
		return false;
	call->headers = list;
	return true;
}

static bool set_range(struct yg_client_call *call, const struct yg_client_request *request)
{
	char range[40];
	(void)snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)request->offset);
	return request->offset == 0 ||
		(add_header(call, "Range: ", range) &&
			(!request->if_range || add_header(call, "If-Range: ", request->if_range)));
}

static bool set_headers(struct yg_client_call *call, const struct yg_client_request *request)
{
	/* "Accept" of everything says nothing. */
	return add_header(call, "Accept:", "") &&
		add_header(call, "Accept-Encoding: identity", "") && set_range(call, request) &&
		add_header(call, "Expect:", "") &&
		(!request->etag || add_header(call, "If-None-Match: ", request->etag)) &&
		(!request->body || add_header(call, "Content-Type: application/json", "")) &&
		(!request->bearer || add_header(call, "Authorization: Bearer ", request->bearer));
}

/* Redirects: none with an identity to check or to show; else a few, never from https to http. */
static void set_redirects(struct yg_client_call *call)
{
	const struct yg_tls_ctx *tls = call->client->tls;
	bool https = strncmp(call->url, "https:", 6) == 0;
	bool follow = !tls->peer_uri && !tls->peer_prefix && !tls->pinned && !tls->leaf &&
		!call->body;
	(void)curl_easy_setopt(call->easy, CURLOPT_FOLLOWLOCATION, (long)follow);
	(void)curl_easy_setopt(call->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	(void)curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(call->easy, CURLOPT_REDIR_PROTOCOLS_STR,
		https ? "https" : "http,https");
}

static void set_peer(struct yg_client_call *call)
{
	CURL *easy = call->easy;
	const struct yg_tls_ctx *tls = call->client->tls;
	bool by_name = !tls->insecure && !tls->peer_uri && !tls->peer_prefix && !tls->pinned;
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, (long)!tls->insecure);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, by_name ? 2L : 0L);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_CAINFO, NULL); /* trust is set in set_tls */
	(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, set_tls);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, call);
}

/* An empty text, unlike NULL, keeps curl from looking into the environment. */
static void set_proxy(struct yg_client_call *call)
{
	const struct yg_client *client = call->client;
	CURL *easy = call->easy;
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, client->proxy ? client->proxy : "");
	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, YG_TLS_SYSTEM_CAS);
	if (!client->proxy || !client->proxy_user)
		return;
	(void)curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, client->proxy_user);
	(void)curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD,
		client->proxy_password ? client->proxy_password : "");
	(void)curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)CURLAUTH_ANY);
}

static void set_limits(struct yg_client_call *call, const struct yg_client_request *request)
{
	CURL *easy = call->easy;
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(request->connect_ms ? request->connect_ms : CONNECT_MS));
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
		(long)(request->deadline_ms ? request->deadline_ms : DEADLINE_MS));
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
		(long)(request->idle_s ? request->idle_s : IDLE_S));
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L << 10);
}

static void set_callbacks(struct yg_client_call *call)
{
	CURL *easy = call->easy;
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->words);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static int prepare(struct yg_client_call *call, const struct yg_client_request *request,
	struct yg_err *err)
{
	CURL *easy = call->easy;
	const char *method = request->method;
	call->url = strdup(request->url);
	call->body = request->body ? strdup(request->body) : NULL;
	call->content = request->content;
	call->any_status = request->any_status;
	call->max = request->max;
	call->offset = request->offset;
	call->since_ms = yg_clock_mono_ms();
	assert(call->offset <= call->max);
	if (!call->url || (request->body && !call->body) || !set_headers(call, request))
		return yg_fail(err, YG_ESYSTEM, "request: out of memory");
	if (curl_easy_setopt(easy, CURLOPT_URL, call->url) != CURLE_OK)
		return yg_fail_cause(err, YG_EFORMAT, "net.url", "URL '%.200s': refused",
			call->url);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "yagura/" YG_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	if (call->body) {
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)strlen(call->body));
	}
	if (method && strcmp(method, "HEAD") == 0)
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (method)
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	set_redirects(call);
	set_peer(call);
	set_proxy(call);
	set_limits(call, request);
	set_callbacks(call);
	return 0;
}

static void clear(struct yg_client_call *call)
{
	curl_slist_free_all(call->headers);
	free(call->url);
	free(call->body);
	yg_buf_free(&call->own);
}

/* --- judging the outcome */

/* The message in a JSON error of ours, made printable; "" when there is none. */
static void read_said(struct yg_client_call *call, char *out, size_t size, const char **cause)
{
	out[0] = 0;
	*cause = NULL;
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *error = NULL;
	const char *message = "", *code = "";
	struct yg_err ignored = {0}; /* most servers do not speak our JSON */
	struct yg_bytes said = {(const uint8_t *)call->said, call->said_len};
	if (!said.len || yg_json_parse(said, sizeof(call->said), &root, &ignored) < 0 ||
		yg_json_object(root, "error", &error, &ignored) < 0 ||
		yg_json_str_or(error, "message", 400, "", &message, &ignored) < 0 ||
		yg_json_str_or(error, "code", 40, "", &code, &ignored) < 0)
		return;
	(void)snprintf(out, size, "%.150s", message);
	for (char *at = out; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	if (strcmp(code, "certificate_revoked") == 0)
		*cause = "auth.revoked";
	else if (strcmp(code, "certificate_expired") == 0)
		*cause = "auth.expired";
	else if (strncmp(code, "certificate_", 12) == 0)
		*cause = "tls.rejected_us";
}

static bool is_alert(const char *words)
{
	return strstr(words, " alert ") != NULL &&
		(strstr(words, "certificate") != NULL || strstr(words, "unknown ca") != NULL ||
			strstr(words, "access denied") != NULL);
}

static const char *wanted_peer(const struct yg_tls_ctx *tls)
{
	return tls->peer_uri ? tls->peer_uri : tls->peer_prefix;
}

/* libcurl's versions differ in whether a connection that waits for the proxy's tunnel is one. */
static bool is_connected(const struct yg_client_call *call, curl_off_t connect_us,
	long connect_status)
{
	const char *proxy = call->client->proxy;
	bool tunnel = proxy && strncmp(proxy, "http", 4) == 0 &&
		strncmp(call->url, "https:", 6) == 0;
	return tunnel ? connect_status / 100 == 2 : connect_us > 0;
}

static int fail(struct yg_client_call *call, CURLcode code, struct yg_err *err)
{
	long status = 0, connect_status = 0, sys = 0;
	curl_off_t connect_us = 0;
	char said[160];
	const char *cause = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	(void)curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &sys);
	(void)curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
	read_said(call, said, sizeof(said), &cause);
	const char *words = call->words[0] ? call->words : curl_easy_strerror(code);
	struct yg_failure seen = {
		.url = call->url,
		.proxy = call->client->proxy,
		.address = call->tried,
		.curl = (int)code,
		.sys = (int)sys,
		.verify = call->tls.verify,
		.subject = call->tls.subject,
		.issuer = call->tls.issuer,
		.detail = code == CURLE_OK ? said : words,
		.tls_alert = code != CURLE_OK && is_alert(words),
		.connected = is_connected(call, connect_us, connect_status),
		.proxy_status = connect_status,
		.status = status,
		.type = call->reply.type,
		.content = call->content,
		.max = call->max,
		.size = call->large ? call->max + 1 : call->reply.size,
		.waited_ms = (uint32_t)(yg_clock_mono_ms() - call->since_ms),
		.want_peer = wanted_peer(call->client->tls),
	};
	(void)yg_failure_say(&seen, err);
	if (cause && code == CURLE_OK)
		(void)snprintf(err->cause, sizeof(err->cause), "%s", cause);
	return -1;
}

/* 0 with call->reply filled, or -1. */
static int judge(struct yg_client_call *call, CURLcode code, struct yg_err *err)
{
	long status = 0;
	char *address = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &address);
	if (call->local.code) {
		*err = call->local;
		return yg_wrap(err, "storing the answer");
	}
	call->reply.status = (int)status;
	(void)snprintf(call->reply.address, sizeof(call->reply.address), "%s",
		address ? address : "");
	if (call->ahead)
		return yg_fail_cause(err, YG_EFORMAT, "http.status",
			"%s: want a range from byte %llu, have one from byte %llu", call->url,
			(unsigned long long)call->offset, (unsigned long long)call->from);
	bool swallowed = code == CURLE_WRITE_ERROR && call->swallowed > SWALLOW_MAX;
	if (swallowed)
		code = CURLE_OK;
	bool empty_page = call->content && status == 200 &&
		strcmp(call->reply.type, "text/html") == 0;
	if (code != CURLE_OK || call->large || call->page || empty_page)
		return fail(call, code, err);
	if (status == 304 || (status >= 200 && status < 300) || call->any_status)
		return 0;
	return fail(call, code, err);
}

/* --- blocking */

static int perform(struct yg_client *client, const struct yg_client_request *request, int fd,
	struct yg_buf *buf, struct yg_client_reply *reply, struct yg_err *err)
{
	struct yg_client_call call = {.client = client, .fd = fd, .buf = buf};
	if (!client->easy)
		client->easy = curl_easy_init();
	if (!client->easy)
		return yg_fail(err, YG_ESYSTEM, "request: out of memory");
	curl_easy_reset(client->easy); /* connections and TLS sessions stay */
	call.easy = client->easy;
	int rc = prepare(&call, request, err);
	if (rc == 0)
		rc = judge(&call, curl_easy_perform(call.easy), err);
	clear(&call);
	*reply = call.reply;
	return rc;
}

int yg_client_get(struct yg_client *client, const struct yg_client_request *request, int fd,
	struct yg_client_reply *reply, struct yg_err *err)
{
	assert(fd >= 0);
	return perform(client, request, fd, NULL, reply, err);
}

/* A terminator behind the text, which its length does not count. */
static int terminate(struct yg_buf *buf, struct yg_err *err)
{
	if (buf->len == buf->max)
		buf->max++;
	if (yg_buf_add(buf, "", 1, err) < 0)
		return -1;
	buf->len--;
	return 0;
}

int yg_client_text(struct yg_client *client, const struct yg_client_request *request,
	struct yg_buf *buf, struct yg_client_reply *reply, struct yg_err *err)
{
	size_t before = buf->len;
	if (perform(client, request, -1, buf, reply, err) < 0 || terminate(buf, err) < 0)
		return -1;
	reply->body = (struct yg_bytes){buf->data + before, buf->len - before};
	return 0;
}

/* --- from the loop */

static void free_call(struct yg_client_call *call)
{
	LIST_REMOVE(call, others);
	yg_timer_free(call->late);
	if (call->easy) {
		(void)curl_multi_remove_handle(call->client->multi, call->easy);
		curl_easy_cleanup(call->easy);
	}
	clear(call);
	free(call);
}

/* Tell its owner. The call is gone then, and perhaps the client: returns false in that case. */
static bool finish(struct yg_client_call *call, const struct yg_err *err)
{
	struct yg_client *client = call->client;
	yg_client_done *done = call->done;
	void *ctx = call->ctx;
	struct yg_client_reply reply = call->reply;
	struct yg_err outcome = *err;
	struct yg_buf body = call->own;
	call->own = (struct yg_buf){0};
	if (!outcome.code && terminate(&body, &outcome) == 0)
		reply.body = yg_buf_bytes(&body);
	free_call(call);
	bool freed = false, *outer = client->freed;
	client->freed = &freed;
	done(ctx, &reply, &outcome);
	yg_buf_free(&body);
	if (freed) {
		if (outer)
			*outer = true;
		return false;
	}
	client->freed = outer;
	return true;
}

static void check_done(struct yg_client *client)
{
	int left = 0;
	for (CURLMsg *msg; (msg = curl_multi_info_read(client->multi, &left));) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		struct yg_client_call *call = NULL;
		struct yg_err err = {0};
		CURLcode code = msg->data.result;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
		(void)judge(call, code, &err);
		if (!finish(call, &err))
			return;
	}
}

static void on_socket(void *ctx, unsigned what)
{
	struct socket_watch *watch = ctx;
	struct yg_client *client = watch->client; /* the watch may go in the next line */
	int running = 0,
	    action = ((what & YG_LOOP_READ) ? CURL_CSELECT_IN : 0) |
		((what & YG_LOOP_WRITE) ? CURL_CSELECT_OUT : 0);
	(void)curl_multi_socket_action(client->multi, watch->fd, action, &running);
	check_done(client);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *at)
{
	(void)easy;
	struct yg_client *client = arg;
	struct socket_watch *watch = at;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			yg_watch_free(watch->watch);
		free(watch);
		(void)curl_multi_assign(client->multi, fd, NULL);
		return 0;
	}
	unsigned want = (what != CURL_POLL_OUT ? YG_LOOP_READ : 0u) |
		(what != CURL_POLL_IN ? YG_LOOP_WRITE : 0u);
	if (watch) {
		yg_watch_want(watch->watch, want);
		return 0;
	}
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -1;
	watch->client = client;
	watch->fd = fd;
	watch->watch = yg_loop_watch(client->loop, fd, want, on_socket, watch);
	(void)curl_multi_assign(client->multi, fd, watch);
	return 0;
}

static void on_timer(void *ctx)
{
	struct yg_client *client = ctx;
	int running = 0;
	(void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	check_done(client);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	struct yg_client *client = arg;
	if (ms < 0)
		yg_timer_stop(client->timer);
	else
		yg_timer_set(client->timer, ms);
	return 0;
}

static void on_late(void *ctx)
{
	struct yg_client_call *call = ctx;
	struct yg_err err = call->local;
	(void)finish(call, &err);
}

struct yg_client_call *yg_client_start(struct yg_client *client,
	const struct yg_client_request *request, yg_client_done *done, void *ctx)
{
	assert(client->loop);
	struct yg_client_call *call = calloc(1, sizeof(*call));
	assert(call); /* a role that cannot get a few hundred bytes is better started again */
	LIST_INSERT_HEAD(&client->calls, call, others);
	call->client = client;
	call->fd = -1;
	call->own = YG_BUF((size_t)request->max + 1);
	call->buf = &call->own;
	call->done = done;
	call->ctx = ctx;
	call->easy = curl_easy_init();
	int rc = call->easy ? prepare(call, request, &call->local)
			    : yg_fail(&call->local, YG_ESYSTEM, "request: out of memory");
	if (rc == 0 && curl_multi_add_handle(client->multi, call->easy) != CURLM_OK)
		rc = yg_fail(&call->local, YG_ESYSTEM, "request: curl refuses it");
	if (rc < 0) {
		call->late = yg_loop_timer(client->loop, on_late, call);
		yg_timer_set(call->late, 0);
	}
	return call;
}

void yg_client_cancel(struct yg_client_call *call)
{
	if (call)
		free_call(call);
}

/* --- the client */

static bool copy(char **out, const char *text)
{
	*out = text && text[0] ? strdup(text) : NULL;
	return !text || !text[0] || *out;
}

static int init_multi(struct yg_client *client, struct yg_err *err)
{
	client->multi = curl_multi_init();
	if (!client->multi)
		return yg_fail(err, YG_ESYSTEM, "HTTP client: out of memory");
	client->timer = yg_loop_timer(client->loop, on_timer, client);
	(void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	(void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	(void)curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	return 0;
}

struct yg_client *yg_client_new(struct yg_loop *loop, const struct yg_tls *tls,
	const struct yg_proxy *proxy, struct yg_err *err)
{
	static const struct yg_tls preset = {.system_cas = true};
	static const struct yg_proxy none = {0};
	struct yg_client *client YG_AUTO(yg_client) = calloc(1, sizeof(*client));
	const struct yg_proxy *way = proxy ? proxy : &none;
	if (!client || !copy(&client->proxy, way->url) || !copy(&client->proxy_user, way->user) ||
		!copy(&client->proxy_password, way->password)) {
		(void)yg_fail(err, YG_ESYSTEM, "HTTP client: out of memory");
		return NULL;
	}
	LIST_INIT(&client->calls);
	client->loop = loop;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		(void)yg_fail(err, YG_ESYSTEM, "HTTP client: curl does not start");
		return NULL;
	}
	client->tls = yg_tls_ctx_new(tls ? tls : &preset, err);
	if (!client->tls || (loop && init_multi(client, err) < 0))
		return NULL;
	return yg_take(client);
}

void yg_client_free(struct yg_client *client)
{
	if (!client)
		return;
	if (client->freed)
		*client->freed = true;
	while (!LIST_EMPTY(&client->calls))
		free_call(LIST_FIRST(&client->calls));
	if (client->multi)
		(void)curl_multi_cleanup(client->multi);
	if (client->easy)
		curl_easy_cleanup(client->easy);
	yg_timer_free(client->timer);
	yg_tls_ctx_free(client->tls);
	free(client->proxy);
	free(client->proxy_user);
	if (client->proxy_password)
		explicit_bzero(client->proxy_password, strlen(client->proxy_password));
	free(client->proxy_password);
	free(client);
}
