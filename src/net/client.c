/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/scrub.h"
#include "net/client_impl.h"

#define WHY_MS 5000 /* for asking why a name does not resolve */

struct socket_watch {
	struct yg_client *client;
	struct yg_watch *watch;
	int fd;
};

static void clear(struct yg_client_call *call)
{
	curl_slist_free_all(call->headers);
	free(call->url);
	free(call->body);
	yg_buf_free(&call->own);
}

/* --- blocking */

static int run(struct yg_client_call *call, struct yg_err *err)
{
	char host[256];
	uint16_t port = 0;
	struct yg_resolved answer = {0};
	struct yg_err ignored = {0}; /* then it stays unknown */
	CURLcode code = curl_easy_perform(call->easy);
	if (client_judge_again(call))
		code = curl_easy_perform(call->easy);
	if (client_judge_unresolved(call, code, host, &port) &&
		yg_resolve_wait(host, port, WHY_MS, &answer, &ignored) == 0)
		call->resolved = &answer;
	int rc = client_judge(call, code, err);
	call->resolved = NULL;
	return rc;
}

static int perform(struct yg_client *client, const struct yg_client_request *request, int fd,
	struct yg_buf *buf, struct yg_client_reply *reply, struct yg_err *err)
{
	struct yg_client_call call = {.client = client, .fd = fd, .buf = buf};
	client->trace = (struct yg_client_trace){0};
	if (!client->easy)
		client->easy = curl_easy_init();
	if (!client->easy)
		return yg_fail(err, YG_ESYSTEM, "request: out of memory");
	curl_easy_reset(client->easy); /* connections and TLS sessions stay */
	call.easy = client->easy;
	int rc = client_setup(&call, request, err);
	if (rc == 0)
		rc = run(&call, err);
	client_judge_trace(&call, &client->trace);
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

const struct yg_client_trace *yg_client_trace(const struct yg_client *client)
{
	return &client->trace;
}

/* --- from the loop */

static void free_call(struct yg_client_call *call)
{
	LIST_REMOVE(call, others);
	yg_timer_free(call->late);
	yg_watch_free(call->why_watch);
	yg_resolve_free(call->why);
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

/* Why the name does not resolve is known, or takes too long. */
static void on_why(void *ctx)
{
	static const struct yg_resolved unknown = {.error = EAI_AGAIN};
	struct yg_client_call *call = ctx;
	struct yg_err err = {0};
	const struct yg_resolved *answer = yg_resolve_answer(call->why);
	call->resolved = answer ? answer : &unknown;
	(void)client_judge(call, call->code, &err);
	(void)finish(call, &err);
}

static void on_answer(void *ctx, unsigned what)
{
	(void)what;
	on_why(ctx);
}

/* Ask, and end the call when the answer has come. False: it can end now. */
static bool ask_why(struct yg_client_call *call, CURLcode code)
{
	char host[256];
	uint16_t port = 0;
	int fd = -1;
	struct yg_err ignored = {0};
	if (!client_judge_unresolved(call, code, host, &port))
		return false;
	call->why = yg_resolve_start(host, port, &fd, &ignored);
	if (!call->why)
		return false;
	call->code = code;
	call->why_watch = yg_loop_watch(call->client->loop, fd, YG_LOOP_READ, on_answer, call);
	call->late = yg_loop_timer(call->client->loop, on_why, call);
	yg_timer_set(call->late, WHY_MS);
	return true;
}

/* Returns false when the client is gone. */
static bool end(struct yg_client_call *call, CURLcode code)
{
	struct yg_client *client = call->client;
	struct yg_err err = {0};
	if (client_judge_again(call)) {
		(void)curl_multi_remove_handle(client->multi, call->easy);
		if (curl_multi_add_handle(client->multi, call->easy) == CURLM_OK)
			return true;
	}
	if (ask_why(call, code))
		return true;
	(void)client_judge(call, code, &err);
	return finish(call, &err);
}

static void check_done(struct yg_client *client)
{
	int left = 0;
	for (CURLMsg *msg; (msg = curl_multi_info_read(client->multi, &left));) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		struct yg_client_call *call = NULL;
		CURLcode code = msg->data.result;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
		if (!end(call, code))
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
	int rc = call->easy ? client_setup(call, request, &call->local)
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

/* The credentials that stand beside the address go before those in it; no line of a log has them. */
static int take_proxy(struct yg_client *client, const struct yg_proxy *way, struct yg_err *err)
{
	struct yg_proxy_at at;
	if (!way || !way->url || !way->url[0])
		return 0;
	if (yg_proxy_parse(way->url, &at, err) < 0)
		return -1;
	const bool beside = way->user && way->user[0];
	bool copied = copy(&client->proxy_user, beside ? way->user : at.user) &&
		copy(&client->proxy_password, beside ? way->password : at.password);
	explicit_bzero(at.password, sizeof(at.password));
	client->proxy = at;
	if (!copied)
		return yg_fail(err, YG_ESYSTEM, "HTTP client: out of memory");
	(void)yg_scrub_add(client->proxy_password); /* of many, the first ones are known */
	return 0;
}

static int take_trust(struct yg_client *client, const struct yg_tls *given, struct yg_err *err)
{
	static const struct yg_tls preset = {.system_cas = true};
	const struct yg_tls *tls = given ? given : &preset;
	client->tls = yg_tls_ctx_new(tls, err);
	if (!client->tls)
		return -1;
	if (!client->proxy.https)
		return 0;
	client->proxy_tls = yg_tls_ctx_new(&(struct yg_tls){.cas = tls->cas, .system_cas = true},
		err);
	return client->proxy_tls ? 0 : -1;
}

struct yg_client *yg_client_new(struct yg_loop *loop, const struct yg_tls *tls,
	const struct yg_proxy *proxy, struct yg_err *err)
{
	struct yg_client *client YG_AUTO(yg_client) = calloc(1, sizeof(*client));
	if (!client) {
		(void)yg_fail(err, YG_ESYSTEM, "HTTP client: out of memory");
		return NULL;
	}
	LIST_INIT(&client->calls);
	client->loop = loop;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		(void)yg_fail(err, YG_ESYSTEM, "HTTP client: curl does not start");
		return NULL;
	}
	if (take_proxy(client, proxy, err) < 0 || take_trust(client, tls, err) < 0 ||
		(loop && init_multi(client, err) < 0))
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
	yg_tls_ctx_free(client->proxy_tls);
	free(client->proxy_user);
	if (client->proxy_password)
		explicit_bzero(client->proxy_password, strlen(client->proxy_password));
	free(client->proxy_password);
	free(client);
}
