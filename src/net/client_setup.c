/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "net/client_impl.h"

#define CONNECT_MS    10000
#define IDLE_S        30
#define DEADLINE_MS   600000
#define REDIRECTS_MAX 5

static bool add_header(struct yg_client_call *call, const char *name, const char *value)
{
	char *line YG_AUTO(mem) = NULL;
	if (asprintf(&line, "%s%s", name, value) < 0) {
		line = NULL;
		return false;
	}
	struct curl_slist *list = curl_slist_append(call->headers, line);
	if (!list)
		return false;
	call->headers = list;
	return true;
}

/* Nothing that would end the line that it stands in. source  RFC 9110, 5.5 */
static bool is_value(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* An ETag is a hint, and may come from a file: one that is none is left out. source  RFC 9110, 8.8.3 */
static bool is_etag(const char *text)
{
	const char *from = strncmp(text, "W/", 2) == 0 ? text + 2 : text;
	size_t len = strlen(from);
	if (len < 2 || from[0] != '"' || from[len - 1] != '"')
		return false;
	for (const char *at = from + 1; at < from + len - 1; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f || *at == '"')
			return false;
	return true;
}

static bool set_range(struct yg_client_call *call, const struct yg_client_request *request)
{
	char range[40];
	(void)snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)request->offset);
	return request->offset == 0 ||
		(add_header(call, "Range: ", range) &&
			(!request->if_range || !is_etag(request->if_range) ||
				add_header(call, "If-Range: ", request->if_range)));
}

static bool set_headers(struct yg_client_call *call, const struct yg_client_request *request)
{
	/* "Accept" of everything says nothing. */
	return add_header(call, "Accept:", "") &&
		add_header(call, "Accept-Encoding: identity", "") && set_range(call, request) &&
		add_header(call, "Expect:", "") &&
		(!request->etag || !is_etag(request->etag) ||
			add_header(call, "If-None-Match: ", request->etag)) &&
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
	(void)curl_easy_setopt(easy, CURLOPT_CAINFO, NULL); /* trust is set in client_take_tls */
	(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, client_take_tls);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, call);
}

/* An empty text, unlike NULL, keeps curl from looking into the environment. */
static void set_proxy(struct yg_client_call *call)
{
	const struct yg_client *client = call->client;
	CURL *easy = call->easy;
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, client->proxy.url);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!client->proxy.url[0] || !client->proxy_user)
		return;
	(void)curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, client->proxy_user);
	(void)curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD,
		client->proxy_password ? client->proxy_password : "");
	(void)curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)CURLAUTH_ANY);
}

static void set_limits(struct yg_client_call *call, const struct yg_client_request *request)
{
	CURL *easy = call->easy;
	call->idle_s = request->idle_s ? request->idle_s : IDLE_S;
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)(request->connect_ms ? request->connect_ms : CONNECT_MS));
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
		(long)(request->deadline_ms ? request->deadline_ms : DEADLINE_MS));
	/* It is also what makes curl ask client_take_progress once a second. */
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)call->idle_s);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L << 10);
}

static void set_callbacks(struct yg_client_call *call)
{
	CURL *easy = call->easy;
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->words);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, client_take_socket);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, client_take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, client_take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, client_take_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static int copy_request(struct yg_client_call *call, const struct yg_client_request *request,
	struct yg_err *err)
{
	call->url = strdup(request->url);
	call->body = request->body ? strdup(request->body) : NULL;
	call->content = request->content;
	call->any_status = request->any_status;
	call->max = request->max;
	call->offset = request->offset;
	assert(call->offset <= call->max);
	if (request->bearer && !is_value(request->bearer))
		return yg_fail(err, YG_EFORMAT, "bearer: want no control characters");
	if (!call->url || (request->body && !call->body) || !set_headers(call, request))
		return yg_fail(err, YG_ESYSTEM, "request: out of memory");
	return 0;
}

int client_setup(struct yg_client_call *call, const struct yg_client_request *request,
	struct yg_err *err)
{
	CURL *easy = call->easy;
	const char *method = request->method;
	client_take_anew(call);
	if (copy_request(call, request, err) < 0)
		return -1;
	if (curl_easy_setopt(easy, CURLOPT_URL, call->url) != CURLE_OK)
		return yg_fail_cause(err, YG_EFORMAT, "net.url", "the URL is refused");
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "yagura/" YG_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	(void)curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
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
