/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/scrub.h"
#include "core/str.h"
#include "net/failure.h"
#include "net/resolve.h"
#include "net/url.h"

#define CONNECT_MS    5000
#define RESOLVE_MS    10000
#define DEADLINE_MS   20000
#define ADDRESSES_MAX 4
#define BODY_MAX      (256u << 10)

/* One test under way. */
struct run {
	const struct yg_probe *probe;
	json_t *steps; /* borrowed from the target */
	struct yg_url url;
	struct yg_proxy_at proxy; /* no url: none */
	int64_t since_ms;         /* the step began */
	struct yg_client *client;
};

/* Texts of strangers need not be UTF-8, and JSON must be. */
static json_t *text_of(const char *text)
{
	json_t *value = json_string(text);
	if (value)
		return value;
	char *plain YG_AUTO(mem) = strdup(text);
	for (char *at = plain; at && *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	return json_string(plain ? plain : "");
}

static void add_step(struct run *run, const char *step, uint32_t ms, const char *seen,
	const struct yg_err *why)
{
	(void)json_array_append_new(run->steps,
		json_pack("{s:s, s:b, s:I, s:o, s:s, s:o}", "step", step, "ok", why == NULL, "ms",
			(json_int_t)ms, "seen", text_of(seen), "cause", why ? why->cause : "",
			"detail", text_of(why ? why->msg : "")));
}

/* A step that ends now; the next one begins. */
static void end_step(struct run *run, const char *step, const char *seen, const struct yg_err *why)
{
	const int64_t now_ms = yg_clock_mono_ms();
	add_step(run, step, (uint32_t)(now_ms - run->since_ms), seen, why);
	run->since_ms = now_ms;
}

/* Another piece, as long as there is room. */
static void add_seen(char seen[YG_PROBE_SEEN], const char *fmt, ...) YG_PRINTF(2, 3);
static void add_seen(char seen[YG_PROBE_SEEN], const char *fmt, ...)
{
	size_t used = strlen(seen);
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(seen + used, YG_PROBE_SEEN - used, fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= YG_PROBE_SEEN - used)
		seen[used] = 0;
}

/* ---- resolve ---- */

static bool resolve(struct run *run, struct yg_resolved *out)
{
	const bool proxy = run->proxy.url[0] != 0;
	const char *host = proxy ? run->proxy.host : run->url.host;
	char seen[YG_PROBE_SEEN] = "";
	struct yg_err err = {0};
	if (yg_resolve_wait(host, proxy ? run->proxy.port : run->url.port, RESOLVE_MS, out, &err) ==
			0 &&
		out->error) {
		const char *cause = NULL;
		const char *text = yg_failure_name(out->error, out->sys, &cause);
		(void)yg_fail_cause(&err, YG_EAGAIN, proxy ? "proxy.dns" : cause, "%.200s: %s",
			host, text);
	}
	const bool literal = out->count == 1 && strcmp(out->list[0].text, host) == 0;
	add_seen(seen, "%s%s", host, out->count && !literal ? ": " : "");
	for (size_t i = 0; i < out->count && !literal; i++)
		add_seen(seen, "%s%s", i ? ", " : "", out->list[i].text);
	end_step(run, "resolve", seen, err.code ? &err : NULL);
	return !err.code;
}

/* ---- connect ---- */

/* 0, or why not, as an errno. */
static int try_address(const struct yg_resolved *to, size_t at, uint32_t ms)
{
	int fd YG_AUTO(fd) = socket(to->list[at].address.ss_family,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	const struct sockaddr *address = (const struct sockaddr *)&to->list[at].address;
	if (connect(fd, address, to->list[at].len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	struct pollfd one = {.fd = fd, .events = POLLOUT};
	int why = 0;
	socklen_t len = sizeof(why);
	if (poll(&one, 1, (int)ms) <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0 ? errno : why;
}

/* The cause of the same at a proxy. */
static const char *proxys(const char *cause)
{
	static const char *const pairs[][2] = {{"net.refused", "proxy.refused"},
		{"net.unreachable", "proxy.unreachable"}, {"net.timeout", "proxy.timeout"}};
	for (size_t i = 0; i < YG_COUNT(pairs); i++)
		if (strcmp(cause, pairs[i][0]) == 0)
			return pairs[i][1];
	return "proxy.failed";
}

static bool connect_to(struct run *run, const struct yg_resolved *to)
{
	const bool proxy = run->proxy.url[0] != 0;
	const unsigned port = proxy ? run->proxy.port : run->url.port;
	const uint32_t ms = run->probe->connect_ms ? run->probe->connect_ms : CONNECT_MS;
	char seen[YG_PROBE_SEEN] = "";
	struct yg_err err = {0};
	for (size_t i = 0; i < to->count && i < ADDRESSES_MAX; i++) {
		int why = try_address(to, i, ms);
		add_seen(seen, "%s%s port %u%s%s", i ? "; " : "", to->list[i].text, port,
			why ? ": " : "", why ? strerrordesc_np(why) : "");
		if (why == 0) {
			end_step(run, "connect", seen, NULL);
			return true;
		}
		const char *cause = yg_failure_connect(why);
		(void)yg_fail_cause(&err, YG_EAGAIN, proxy ? proxys(cause) : cause,
			"%.48s port %u: %s", to->list[i].text, port, strerrordesc_np(why));
	}
	end_step(run, "connect", seen, &err);
	return false;
}

/* ---- one request, and which of the steps it came to ---- */

static void see_tls(const struct run *run, const struct yg_client_trace *trace,
	char seen[YG_PROBE_SEEN])
{
	const struct yg_tls_seen *tls = &trace->tls;
	add_seen(seen, "%s", tls->version);
	for (size_t i = 0; i < tls->count; i++) {
		char until[YG_CLOCK_TEXT];
		yg_clock_format(tls->chain[i].until_s, until);
		add_seen(seen, "; %.120s (until %s)", tls->chain[i].subject, until);
	}
	if (tls->count)
		add_seen(seen, "; issuer %.120s", tls->chain[tls->count - 1].issuer);
	if (run->probe->tls && run->probe->tls->insecure)
		add_seen(seen, "; not checked");
}

static void see_http(const struct yg_client_reply *reply, char seen[YG_PROBE_SEEN])
{
	if (reply->status)
		add_seen(seen, "HTTP %d", reply->status);
	if (reply->server[0])
		add_seen(seen, ", %s", reply->server);
	if (reply->type[0])
		add_seen(seen, ", %s", reply->type);
}

static void see_proxy(const struct run *run, const struct yg_client_trace *trace,
	char seen[YG_PROBE_SEEN])
{
	add_seen(seen, "%s", run->proxy.url);
	if (trace->proxy_status)
		add_seen(seen, ", CONNECT %ld", trace->proxy_status);
	if (trace->auth[0])
		add_seen(seen, ", %s", trace->auth);
	if (trace->proxy_tls.version[0])
		add_seen(seen, ", %s %.120s", trace->proxy_tls.version, trace->proxy_tls.subject);
}

static bool is_area(const struct yg_err *err, const char *area)
{
	return strncmp(err->cause, area, strlen(area)) == 0;
}

static bool is_proxys(const struct run *run, const struct yg_client_trace *trace,
	const struct yg_err *err)
{
	if (!run->proxy.url[0])
		return false;
	if (is_area(err, "proxy."))
		return true;
	return run->proxy.http ? run->url.https && trace->proxy_status / 100 != 2
			       : trace->connected_ms == 0;
}

static bool is_tls(const struct run *run, const struct yg_client_trace *trace,
	const struct yg_err *err)
{
	return run->url.https &&
		(is_area(err, "tls.") || is_area(err, "clock.") || trace->tls_ms == 0) &&
		!trace->status;
}

static uint32_t less(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

/* Write down what a request came through; true when it was good. */
static bool tell_request(struct run *run, const struct yg_client_reply *reply, int rc,
	const struct yg_err *err)
{
	const struct yg_client_trace *trace = yg_client_trace(run->client);
	char proxy[YG_PROBE_SEEN] = "", tls[YG_PROBE_SEEN] = "", http[YG_PROBE_SEEN] = "";
	bool proxys = rc < 0 && is_proxys(run, trace, err);
	bool tlss = rc < 0 && !proxys && is_tls(run, trace, err);
	if (run->proxy.url[0]) {
		see_proxy(run, trace, proxy);
		add_step(run, "proxy", proxys ? trace->total_ms : trace->connected_ms, proxy,
			proxys ? err : NULL);
	}
	if (proxys)
		return false;
	if (run->url.https) {
		see_tls(run, trace, tls);
		add_step(run, "tls",
			less(tlss ? trace->total_ms : trace->tls_ms, trace->connected_ms), tls,
			tlss ? err : NULL);
	}
	if (tlss)
		return false;
	see_http(reply, http);
	add_step(run, "http", less(trace->total_ms, trace->tls_ms), http, rc < 0 ? err : NULL);
	return rc == 0;
}

static bool request(struct run *run, struct yg_buf *body)
{
	const struct yg_probe *probe = run->probe;
	char url[YG_URL_MAX];
	struct yg_err err = {0};
	struct yg_client_reply reply = {0};
	const struct yg_client_request wish = {.url = url,
		.max = BODY_MAX,
		.content = probe->check != NULL,
		.connect_ms = 2 * (probe->connect_ms ? probe->connect_ms : CONNECT_MS),
		.idle_s = 10,
		.deadline_ms = probe->deadline_ms ? probe->deadline_ms : DEADLINE_MS};
	if (yg_url_join(&run->url, probe->path, url, &err) < 0 ||
		!(run->client = yg_client_new(NULL, probe->tls, probe->proxy, &err))) {
		end_step(run, run->url.https ? "tls" : "http", "", &err);
		return false;
	}
	int rc = yg_client_text(run->client, &wish, body, &reply, &err);
	return tell_request(run, &reply, rc, &err);
}

static void check(struct run *run, struct yg_bytes body)
{
	char seen[YG_PROBE_SEEN] = "";
	struct yg_err err = {0};
	const struct yg_probe *probe = run->probe;
	run->since_ms = yg_clock_mono_ms();
	if (!probe->check)
		return;
	int rc = probe->check(probe->ctx, body, seen, &err);
	end_step(run, "metadata", seen, rc < 0 ? &err : NULL);
}

static void go(struct run *run)
{
	const struct yg_probe *probe = run->probe;
	struct yg_resolved to = {0};
	struct yg_buf body YG_AUTO(yg_buf) = YG_BUF(BODY_MAX + 1);
	struct yg_err err = {0};
	run->since_ms = yg_clock_mono_ms();
	const char *proxy = probe->proxy && probe->proxy->url ? probe->proxy->url : "";
	if (yg_url_parse(probe->url, &run->url, &err) < 0 ||
		(proxy[0] && yg_proxy_parse(proxy, &run->proxy, &err) < 0)) {
		end_step(run, "resolve", "", &err);
		return;
	}
	explicit_bzero(run->proxy.password, sizeof(run->proxy.password));
	if (resolve(run, &to) && connect_to(run, &to) && request(run, &body))
		check(run, yg_buf_bytes(&body));
}

int yg_probe_run(const struct yg_probe *probe, json_t **target, struct yg_err *err)
{
	char *url YG_AUTO(mem) = strdup(probe->url);
	if (url)
		url[yg_scrub(url, strlen(url), NULL)] = 0;
	json_t *out YG_AUTO(yg_json) = json_pack("{s:s, s:o, s:s, s:[]}", "what", probe->what,
		"url", text_of(url ? url : ""), "proxy", "", "steps");
	if (!out)
		return yg_fail(err, YG_ESYSTEM, "connection test: out of memory");
	struct run run = {.probe = probe, .steps = json_object_get(out, "steps")};
	go(&run);
	(void)json_object_set_new(out, "proxy", json_string(run.proxy.url));
	yg_client_free(run.client);
	*target = yg_take(out);
	return 0;
}

bool yg_probe_failed(const json_t *target, const char **cause, const char **detail)
{
	const json_t *steps = json_object_get(target, "steps");
	size_t count = json_array_size(steps);
	const json_t *last = json_array_get(steps, count ? count - 1 : 0);
	if (json_is_true(json_object_get(last, "ok")))
		return false;
	const char *word = json_string_value(json_object_get(last, "cause"));
	const char *text = json_string_value(json_object_get(last, "detail"));
	*cause = word ? word : "";
	*detail = text ? text : "";
	return true;
}
