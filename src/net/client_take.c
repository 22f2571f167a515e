/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/str.h"
#include "net/client_impl.h"
#include "net/retry.h"

void client_take_anew(struct yg_client_call *call)
{
	call->reply = (struct yg_client_reply){0};
	call->tls = call->proxy_tls = (struct yg_tls_seen){0};
	call->contexts = call->sockets = 0;
	call->tunnelled = call->connecting = false;
	call->local = (struct yg_err){0};
	call->said_len = 0;
	call->swallowed = call->header_bytes = call->from = 0;
	call->date_s = 0;
	call->auth[0] = call->retry[0] = call->squid[0] = 0;
	call->encoding[0] = call->location[0] = 0;
	call->large = call->page = call->ahead = call->endless = false;
	call->tried[0] = call->words[0] = 0;
	call->resolved = NULL;
	call->since_ms = call->moved_ms = yg_clock_mono_ms();
	call->ready_ms = call->window_ms = 0;
	call->moved = call->window_bytes = 0;
	call->stalled = call->slow = false;
}

/* ---- TLS ---- */

static int judge_peer(X509_STORE_CTX *verify, void *arg)
{
	struct yg_client_call *call = arg;
	return yg_tls_ctx_judge(call->client->tls, verify, &call->tls);
}

static int judge_proxy(X509_STORE_CTX *verify, void *arg)
{
	struct yg_client_call *call = arg;
	return yg_tls_ctx_judge_proxy(call->client->proxy_tls, verify, &call->proxy_tls);
}

/* curl asks for the proxy's connection, too: on each new connection that is the first of two. */
CURLcode client_take_tls(CURL *easy, void *ssl_ctx, void *arg)
{
	(void)easy;
	struct yg_client_call *call = arg;
	bool proxy = call->client->proxy.https && call->contexts == 0;
	call->contexts++;
	if (!yg_tls_ctx_apply(proxy ? call->client->proxy_tls : call->client->tls, ssl_ctx))
		return CURLE_SSL_CERTPROBLEM;
	SSL_CTX_set_cert_verify_callback(ssl_ctx, proxy ? judge_proxy : judge_peer, call);
	return CURLE_OK;
}

/* ---- the connection ---- */

curl_socket_t client_take_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct yg_client_call *call = arg;
	char host[INET6_ADDRSTRLEN] = "", port[8] = "";
	call->sockets++;
	call->contexts = 0;
	call->tunnelled = false;
	if (getnameinfo(&address->addr, address->addrlen, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(call->tried, sizeof(call->tried), "%s port %s", host, port);
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- headers ---- */

struct header {
	const char *name, *value;
	size_t name_len, len;
};

static bool read_header(const char *line, size_t len, struct header *out)
{
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return false;
	const char *from = colon + 1;
	const char *end = line + len;
	while (from < end && (*from == ' ' || *from == '\t'))
		from++;
	while (end > from && isspace((unsigned char)end[-1]))
		end--;
	*out = (struct header){line, from, (size_t)(colon - line), (size_t)(end - from)};
	return true;
}

static bool is_named(const struct header *header, const char *name)
{
	return header->name_len == strlen(name) &&
		strncasecmp(header->name, name, header->name_len) == 0;
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

/* As much as fits, as it can stand in a line of text. */
static void copy_printable(const struct header *header, char *out, size_t size)
{
	size_t n = 0;
	for (; n < header->len && n + 1 < size; n++)
		out[n] = is_printable(header->value[n]) ? header->value[n] : '?';
	out[n] = 0;
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

static void take_range(struct yg_client_call *call, const struct header *header)
{
	call->from = range_start(header->value, header->len);
}

/* One that can be given back as it is; others would only ever be a hint that is none. */
static void take_etag(struct yg_client_call *call, const struct header *header)
{
	struct yg_client_reply *reply = &call->reply;
	size_t n = 0;
	while (n < header->len && is_printable(header->value[n]))
		n++;
	if (n == header->len && n < sizeof(reply->etag))
		(void)snprintf(reply->etag, sizeof(reply->etag), "%.*s", (int)header->len,
			header->value);
}

static void take_type(struct yg_client_call *call, const struct header *header)
{
	char *out = call->reply.type;
	copy_printable(header, out, sizeof(call->reply.type));
	out[strcspn(out, "; ?")] = 0; /* a tab is one, too */
	for (char *at = out; *at; at++)
		*at = (char)tolower((unsigned char)*at);
}

static void take_date(struct yg_client_call *call, const struct header *header)
{
	int64_t at = yg_retry_date(header->value, header->len);
	call->date_s = at > 0 ? at : 0;
}

static void take_retry(struct yg_client_call *call, const struct header *header)
{
	copy_printable(header, call->retry, sizeof(call->retry));
}

static void take_server(struct yg_client_call *call, const struct header *header)
{
	copy_printable(header, call->reply.server, sizeof(call->reply.server));
}

static void take_squid(struct yg_client_call *call, const struct header *header)
{
	copy_printable(header, call->squid, sizeof(call->squid));
}

static void take_location(struct yg_client_call *call, const struct header *header)
{
	copy_printable(header, call->location, sizeof(call->location));
}

static bool is_in_list(const char *list, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = list; (at = strcasestr(at, word)); at += len)
		if ((at == list || at[-1] == ' ') && (at[len] == 0 || at[len] == ','))
			return true;
	return false;
}

/* Of a challenge only its scheme. A header has one, or several with commas among their parameters. */
static void take_auth(struct yg_client_call *call, const struct header *header)
{
	char scheme[20];
	size_t n = 0;
	while (n < header->len && n + 1 < sizeof(scheme) &&
		isalnum((unsigned char)header->value[n])) {
		scheme[n] = header->value[n];
		n++;
	}
	scheme[n] = 0;
	size_t used = strlen(call->auth);
	if (n > 0 && used + n + 3 < sizeof(call->auth) && !is_in_list(call->auth, scheme))
		(void)snprintf(call->auth + used, sizeof(call->auth) - used, "%s%s",
			used ? ", " : "", scheme);
}

/* Nobody asked for a coding: what comes in one is refused by its name, when there is a body. */
static void take_encoding(struct yg_client_call *call, const struct header *header)
{
	if (header->len != 8 || strncasecmp(header->value, "identity", 8) != 0)
		copy_printable(header, call->encoding, sizeof(call->encoding));
}

/* curl undoes these by itself, whatever size comes out. */
static void take_transfer(struct yg_client_call *call, const struct header *header)
{
	if (header->len != 7 || strncasecmp(header->value, "chunked", 7) != 0)
		take_encoding(call, header);
}

static const struct {
	const char *name;
	void (*take)(struct yg_client_call *call, const struct header *header);
	bool proxys; /* also in a proxy's answer to CONNECT */
} wanted[] = {
	{"Content-Range", take_range, false},
	{"ETag", take_etag, false},
	{"Content-Type", take_type, false},
	{"Date", take_date, true},
	{"Retry-After", take_retry, true},
	{"Server", take_server, false},
	{"X-Squid-Error", take_squid, true},
	{"Location", take_location, false},
	{"Proxy-Authenticate", take_auth, true},
	{"Content-Encoding", take_encoding, false},
	{"Transfer-Encoding", take_transfer, false},
};

/* An answer begins: of a redirect, of the proxy to CONNECT or about credentials, or the one. */
static void begin_answer(struct yg_client_call *call, const char *line, size_t len)
{
	const char *code = memchr(line, ' ', len);
	bool good = code && code + 1 < line + len && code[1] == '2';
	call->connecting = call->client->proxy.http && !call->tunnelled && call->sockets > 0 &&
		strncmp(call->url, "https:", 6) == 0;
	if (call->connecting && good)
		call->tunnelled = true;
	call->reply.etag[0] = call->reply.type[0] = call->reply.server[0] = 0;
	call->auth[0] = call->retry[0] = call->squid[0] = call->encoding[0] = call->location[0] = 0;
	call->date_s = 0;
	call->from = 0;
	call->said_len = 0;
	call->swallowed = 0;
}

size_t client_take_header(char *line, size_t size, size_t count, void *arg)
{
	struct yg_client_call *call = arg;
	struct header header;
	size_t len = size * count;
	call->moved_ms = yg_clock_mono_ms();
	call->header_bytes += len;
	if (call->header_bytes > CLIENT_HEADERS_MAX) {
		call->endless = true;
		return 0;
	}
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) {
		begin_answer(call, line, len);
		return len;
	}
	if (!read_header(line, len, &header))
		return len;
	for (size_t i = 0; i < YG_COUNT(wanted); i++)
		if (is_named(&header, wanted[i].name) && (wanted[i].proxys || !call->connecting))
			wanted[i].take(call, &header);
	return len;
}

/* ---- the body ---- */

/* Of what is no content only the beginning is read, for its title or message. */
static size_t take_said(struct yg_client_call *call, const char *data, size_t len, size_t max)
{
	size_t room = sizeof(call->said) - call->said_len;
	size_t n = len < room ? len : room;
	memcpy(call->said + call->said_len, data, n);
	call->said_len += n;
	call->swallowed += len;
	return call->swallowed > max ? 0 : len;
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

/* A page in the place of content, by its label, or by how it begins where no label says otherwise. */
static bool is_page(const struct yg_client_call *call, const char *data, size_t len)
{
	const char *type = call->reply.type;
	if (!call->content)
		return false;
	if (call->page || strcmp(type, "text/html") == 0 ||
		strcmp(type, "application/xhtml+xml") == 0)
		return true;
	return call->reply.size + call->reply.skipped == 0 &&
		(!type[0] || strncmp(type, "text/", 5) == 0) &&
		yg_page_is((struct yg_bytes){(const uint8_t *)data, len});
}

/* Also when the announced length says so, before it has come. */
static bool is_large(const struct yg_client_call *call, size_t len)
{
	curl_off_t announced = -1;
	(void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	return len > call->max - call->offset - call->reply.size ||
		(announced > 0 && (uint64_t)announced > call->max);
}

size_t client_take_body(char *data, size_t size, size_t count, void *arg)
{
	struct yg_client_call *call = arg;
	size_t len = size * count;
	long status = 0;
	call->moved_ms = yg_clock_mono_ms();
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300 && !call->any_status)
		return take_said(call, data, len, CLIENT_SWALLOW_MAX);
	if (call->encoding[0])
		return 0;
	call->page = is_page(call, data, len);
	if (call->page)
		return take_said(call, data, len, CLIENT_SAID_MAX);
	const size_t all = len;
	if (!skip(call, status, &data, &len))
		return 0;
	if (is_large(call, len)) {
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

/* ---- time ---- */

static bool is_ready(struct yg_client_call *call, int64_t now_ms)
{
	curl_off_t us = 0;
	(void)curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
	if (call->ready_ms == 0 && us > 0)
		call->ready_ms = now_ms;
	return call->ready_ms > 0;
}

/* curl asks about once a second. Its own check of the speed averages over five seconds, which is long where somebody
 * has set two. Until the request is sent the time to connect counts instead.
 */
int client_take_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
	curl_off_t up)
{
	struct yg_client_call *call = arg;
	const int64_t now_ms = yg_clock_mono_ms();
	const int64_t idle_ms = (int64_t)call->idle_s * 1000;
	const curl_off_t moved = down + up;
	(void)down_all;
	(void)up_all;
	if (moved > call->moved)
		call->moved_ms = now_ms;
	call->moved = moved;
	if (!is_ready(call, now_ms))
		return 0;
	const int64_t last_ms = call->moved_ms > call->ready_ms ? call->moved_ms : call->ready_ms;
	if (moved == 0 || call->window_ms == 0) {
		call->window_ms = moved ? now_ms : 0;
		call->window_bytes = moved;
	} else if (now_ms - call->window_ms >= idle_ms) {
		call->slow = moved > call->window_bytes &&
			moved - call->window_bytes < (curl_off_t)call->idle_s * CLIENT_RATE_MIN;
		call->window_ms = now_ms;
		call->window_bytes = moved;
	}
	call->stalled = now_ms - last_ms >= idle_ms;
	return call->slow || call->stalled;
}
