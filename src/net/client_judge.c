/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/scrub.h"
#include "core/str.h"
#include "net/client_impl.h"
#include "net/failure.h"
#include "net/retry.h"

/* The message in a JSON error of ours, made printable; "" when there is none. */
static void read_said(const struct yg_client_call *call, char *out, size_t size, const char **cause)
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

static bool is_https(const struct yg_client_call *call)
{
	return strncmp(call->url, "https:", 6) == 0;
}

static bool has_tunnel(const struct yg_client_call *call)
{
	return call->client->proxy.http && is_https(call);
}

static curl_off_t time_of(const struct yg_client_call *call, CURLINFO what)
{
	curl_off_t us = 0;
	(void)curl_easy_getinfo(call->easy, what, &us);
	return us;
}

static long number_of(const struct yg_client_call *call, CURLINFO what)
{
	long number = 0;
	(void)curl_easy_getinfo(call->easy, what, &number);
	return number;
}

/* A connection that was kept from an earlier request has no times, and opened no socket. */
static bool is_kept(const struct yg_client_call *call)
{
	const char *address = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &address);
	return call->sockets == 0 && address && address[0];
}

/* libcurl's versions differ in whether a connection that waits for the proxy's tunnel, or for TLS, is one; a
 * handshake begins when there is a connection.
 */
static bool is_connected(const struct yg_client_call *call)
{
	if (is_kept(call))
		return true;
	return has_tunnel(call) ? number_of(call, CURLINFO_HTTP_CONNECTCODE) / 100 == 2
				: call->contexts > 0 || time_of(call, CURLINFO_CONNECT_TIME_T) > 0;
}

static bool in_handshake(const struct yg_client_call *call)
{
	return is_https(call) && !is_kept(call) && time_of(call, CURLINFO_APPCONNECT_TIME_T) == 0;
}

/* The address of a kept connection, too. */
static void note_address(struct yg_client_call *call)
{
	const char *address = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &address);
	if (is_kept(call))
		(void)!yg_str_put(call->tried, sizeof(call->tried), "%s port %ld", address,
			number_of(call, CURLINFO_PRIMARY_PORT));
}

/* Where redirects led to, else what was asked for. */
static const char *url_of(const struct yg_client_call *call)
{
	const char *end = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &end);
	return end && number_of(call, CURLINFO_REDIRECT_COUNT) > 0 ? end : call->url;
}

/* "https://portal.example/login?x" -> "portal.example"; "" for a path. */
static void host_of(const char *url, char out[128])
{
	const char *host = strstr(url, "://");
	out[0] = 0;
	if (!host || host - url > 8)
		return;
	host += 3;
	size_t len = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	(void)snprintf(out, 128, "%.*s", (int)(len < 120 ? len : 120), host);
}

/* Where a redirect led to, or would have, when that is another host; "". */
static void find_other_host(const struct yg_client_call *call, char out[128])
{
	char own[128], there[128];
	const char *end = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &end);
	host_of(call->url, own);
	host_of(call->location[0] ? call->location : end ? end : "", there);
	out[0] = 0;
	if (there[0] && strcasecmp(own, there) != 0)
		memcpy(out, there, sizeof(there));
}

static int px_of(const struct yg_client_call *call)
{
	return (int)number_of(call, CURLINFO_PROXY_ERROR);
}

/* The proxy's own TLS is what failed: of two handshakes on this connection the first was the last. */
static bool is_proxys_tls(const struct yg_client_call *call)
{
	return call->client->proxy.https && call->contexts == 1 && !call->tunnelled &&
		(has_tunnel(call) || time_of(call, CURLINFO_APPCONNECT_TIME_T) == 0);
}

static void add_page(const struct yg_client_call *call, struct yg_failure *seen,
	char title[YG_PAGE_TITLE])
{
	struct yg_bytes said = {(const uint8_t *)call->said, call->said_len};
	(void)yg_page_title(said, title);
	seen->title = title;
	seen->page = call->page || strcmp(call->reply.type, "text/html") == 0 || yg_page_is(said);
	seen->maintenance = yg_page_says_maintenance(said);
	seen->busy = yg_page_says_busy(said);
}

static int fail(struct yg_client_call *call, CURLcode code, struct yg_err *err)
{
	char said[160], title[YG_PAGE_TITLE], other[128];
	const char *cause = NULL;
	read_said(call, said, sizeof(said), &cause);
	find_other_host(call, other);
	const char *words = call->words[0] ? call->words : curl_easy_strerror(code);
	const struct yg_client *client = call->client;
	bool proxys_tls = is_proxys_tls(call);
	const struct yg_tls_seen *tls = proxys_tls ? &call->proxy_tls : &call->tls;
	struct yg_failure seen = {
		.url = url_of(call),
		.proxy = client->proxy.url[0] ? client->proxy.url : NULL,
		.address = call->tried,
		.curl = (int)code,
		.sys = (int)number_of(call, CURLINFO_OS_ERRNO),
		.proxy_error = px_of(call),
		.resolved = call->resolved != NULL,
		.resolve_error = call->resolved ? call->resolved->error : 0,
		.verify = tls->verify,
		.clock = tls->clock,
		.subject = tls->subject,
		.issuer = tls->issuer,
		.from_s = tls->from_s,
		.until_s = tls->until_s,
		.detail = code == CURLE_OK ? said : words,
		.tls_alert = code != CURLE_OK && is_alert(words),
		.proxys_tls = proxys_tls,
		.tunnel = has_tunnel(call),
		.connected = is_connected(call),
		.handshake = in_handshake(call),
		.credentials = client->proxy_user != NULL,
		.auth = call->auth,
		.squid = call->squid,
		.proxy_status = number_of(call, CURLINFO_HTTP_CONNECTCODE),
		.status = number_of(call, CURLINFO_RESPONSE_CODE),
		.type = call->reply.type,
		.content = call->content,
		.encoding = call->encoding,
		.other_host = other,
		.moved = number_of(call, CURLINFO_REDIRECT_COUNT) > 0,
		.endless = call->endless,
		.max = call->max,
		.size = call->large ? call->max + 1 : call->reply.size,
		.slow = call->slow,
		.waited_ms = (uint32_t)(yg_clock_mono_ms() - call->since_ms),
		.want_peer = wanted_peer(client->tls),
	};
	add_page(call, &seen, title);
	(void)yg_failure_say(&seen, err);
	if (cause && code == CURLE_OK)
		(void)snprintf(err->cause, sizeof(err->cause), "%s", cause);
	if (err->code == YG_EAGAIN)
		err->retry_s = call->reply.retry_after_s;
	return -1;
}

static void fill_reply(struct yg_client_call *call)
{
	char *address = NULL;
	struct yg_client_reply *reply = &call->reply;
	(void)curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &address);
	reply->status = (int)number_of(call, CURLINFO_RESPONSE_CODE);
	(void)snprintf(reply->address, sizeof(reply->address), "%s", address ? address : "");
	reply->retry_after_s = yg_retry_after(call->retry, strlen(call->retry),
		call->date_s ? call->date_s : yg_clock_now_s());
}

static int judge(struct yg_client_call *call, CURLcode code, struct yg_err *err)
{
	fill_reply(call);
	note_address(call);
	const int status = call->reply.status;
	if (call->local.code) {
		*err = call->local;
		return yg_wrap(err, "storing the answer");
	}
	if (call->ahead)
		return yg_fail_cause(err, YG_EFORMAT, "http.status",
			"%s: want a range from byte %llu, have one from byte %llu", call->url,
			(unsigned long long)call->offset, (unsigned long long)call->from);
	/* Enough was read of what is only looked at. */
	if (code == CURLE_WRITE_ERROR && call->swallowed > 0 && !call->endless)
		code = CURLE_OK;
	if (code == CURLE_ABORTED_BY_CALLBACK && (call->stalled || call->slow))
		code = CURLE_OPERATION_TIMEDOUT;
	bool page = call->page ||
		(call->content && status == 200 && strcmp(call->reply.type, "text/html") == 0);
	if (code != CURLE_OK || call->large || page)
		return fail(call, code, err);
	if (status == 304 || (status >= 200 && status < 300) || call->any_status)
		return 0;
	return fail(call, code, err);
}

/* For the ring of this process: what was asked of whom, and what came of it. */
int client_judge(struct yg_client_call *call, CURLcode code, struct yg_err *err)
{
	int rc = judge(call, code, err);
	if (rc < 0) /* the address may hold a password */
		err->msg[yg_scrub(err->msg, strlen(err->msg), NULL)] = 0;
	const struct yg_client_reply *reply = &call->reply;
	yg_log(YG_LOG_TRACE, "http.done", "%s: %d, %llu bytes, %lld ms, %s%s%s%s%s", call->url,
		reply->status, (unsigned long long)reply->size,
		(long long)time_of(call, CURLINFO_TOTAL_TIME_T) / 1000, reply->address,
		call->client->proxy.host[0] ? " (proxy)" : "", rc < 0 ? ": " : "",
		rc < 0 ? err->cause : "", rc < 0 && !err->cause[0] ? err->msg : "");
	return rc;
}

/* ---- looking again ---- */

bool client_judge_unresolved(const struct yg_client_call *call, CURLcode code, char host[256],
	uint16_t *port)
{
	const struct yg_proxy_at *proxy = &call->client->proxy;
	if (code == CURLE_COULDNT_RESOLVE_PROXY && proxy->host[0]) {
		*port = proxy->port;
		return yg_str_put(host, 256, "%s", proxy->host);
	}
	if (code != CURLE_COULDNT_RESOLVE_HOST)
		return false;
	const char *url = NULL;
	CURLU *parsed = curl_url();
	char *name = NULL;
	(void)curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &url);
	bool found = parsed &&
		curl_url_set(parsed, CURLUPART_URL, url ? url : call->url, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
		yg_str_put(host, 256, "%s", name);
	*port = 443; /* whichever: it is the name that is asked for */
	curl_free(name);
	curl_url_cleanup(parsed);
	return found;
}

bool client_judge_again(struct yg_client_call *call)
{
	bool refused = number_of(call, CURLINFO_HTTP_CONNECTCODE) == 407 ||
		number_of(call, CURLINFO_RESPONSE_CODE) == 407;
	if (!refused || call->no_ticket || !call->client->proxy_user || call->reply.size > 0 ||
		!strcasestr(call->auth, "negotiate") || !strchr(call->auth, ','))
		return false;
	const int64_t since_ms = call->since_ms;
	client_take_anew(call);
	call->since_ms = since_ms;
	call->no_ticket = true;
	(void)curl_easy_setopt(call->easy, CURLOPT_PROXYAUTH,
		(long)(CURLAUTH_ANY & ~CURLAUTH_NEGOTIATE));
	return true;
}

/* ---- telling ---- */

static uint32_t ms_of(curl_off_t us)
{
	return us > 0 ? (uint32_t)(us / 1000) + 1 : 0;
}

void client_judge_trace(const struct yg_client_call *call, struct yg_client_trace *out)
{
	*out = (struct yg_client_trace){
		.connected_ms = ms_of(time_of(call, CURLINFO_CONNECT_TIME_T)),
		.tls_ms = ms_of(time_of(call, CURLINFO_APPCONNECT_TIME_T)),
		.answer_ms = ms_of(time_of(call, CURLINFO_STARTTRANSFER_TIME_T)),
		.total_ms = ms_of(time_of(call, CURLINFO_TOTAL_TIME_T)),
		.proxy_status = number_of(call, CURLINFO_HTTP_CONNECTCODE),
		.status = call->reply.status,
		.tls = call->tls,
		.proxy_tls = call->proxy_tls,
	};
	memcpy(out->address, call->tried, sizeof(out->address));
	memcpy(out->auth, call->auth, sizeof(out->auth));
}
