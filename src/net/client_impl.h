/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "net/client.h"
#include "net/page.h"
#include "net/resolve.h"
#include "net/tls_ctx.h"

/* The parts of the HTTP client among themselves. client.c: clients, blocking and from the loop.
 * client_setup.c: what curl is told. client_take.c: what it hands over. client_judge.c: what that means.
 */

#define CLIENT_SAID_MAX    4096        /* bytes of an error's body or a page that are looked at */
#define CLIENT_SWALLOW_MAX (64u << 10) /* bytes of one that are read at all */
#define CLIENT_HEADERS_MAX (64u << 10) /* bytes of headers of one request, all answers together */
#define CLIENT_RATE_MIN    64          /* bytes a second */

struct yg_client_call {
	LIST_ENTRY(yg_client_call) others;
	struct yg_client *client;
	CURL *easy;
	struct curl_slist *headers;
	char *url, *body;
	bool content, any_status;
	uint64_t max, offset;
	uint32_t idle_s;
	int fd; /* where the body goes; -1: to buf */
	struct yg_buf *buf;
	struct yg_buf own; /* buf of a call from the loop */
	yg_client_done *done;
	void *ctx;
	struct yg_timer *late;  /* reports what failed before curl had it */
	struct yg_resolve *why; /* from the loop: why a name does not resolve is being asked */
	struct yg_watch *why_watch;
	CURLcode code;  /* meanwhile */
	bool no_ticket; /* Negotiate was tried and did not do */

	/* what was seen */
	struct yg_client_reply reply;
	struct yg_tls_seen tls, proxy_tls;
	unsigned
		contexts; /* TLS handshakes on the newest connection; the first may be the proxy's */
	unsigned sockets;
	bool tunnelled;      /* the proxy has made the way free on the newest connection */
	bool connecting;     /* the headers that come are of the proxy, of its answer to CONNECT */
	struct yg_err local; /* writing the body failed here */
	char said[CLIENT_SAID_MAX]; /* the start of an error's body, or of a page */
	size_t said_len;
	uint64_t swallowed;
	uint64_t header_bytes;
	uint64_t from;      /* where the body of a 206 begins, as it says */
	int64_t date_s;     /* the server's clock; 0: it did not say */
	char retry[40];     /* Retry-After */
	char auth[96];      /* what a proxy's 407 offers: "Basic, NTLM" */
	char squid[48];     /* X-Squid-Error: "ERR_DNS_FAIL 0" */
	char encoding[32];  /* Content-Encoding that we cannot use */
	char location[256]; /* of a redirect */
	bool large, page, ahead, endless;
	char tried[64];             /* the last address, "10.0.0.5 port 4122" */
	int64_t since_ms, moved_ms; /* begun; something came or went */
	curl_off_t moved;           /* bytes, both ways, as far as curl has told */
	int64_t ready_ms;           /* the request could be sent; 0: not yet */
	int64_t window_ms;          /* the speed is measured since, from window_bytes on */
	curl_off_t window_bytes;
	bool stalled, slow; /* it was given up because nothing came, or next to nothing */
	const struct yg_resolved *resolved; /* of the name that did not */
	char words[CURL_ERROR_SIZE];
};

LIST_HEAD(client_calls, yg_client_call);

struct yg_client {
	struct yg_loop *loop;
	struct yg_tls_ctx *tls, *proxy_tls;
	struct yg_proxy_at proxy; /* no url: none */
	char *proxy_user, *proxy_password;
	CURL *easy;   /* of blocking requests; keeps their connections */
	CURLM *multi; /* of requests from the loop */
	struct yg_timer *timer;
	struct client_calls calls;
	struct yg_client_trace trace; /* of the newest blocking request */
	bool *freed;                  /* set when the client goes while a callback runs */
};

/* client_setup.c: tell curl about a request. errors  cause net.url; YG_EFORMAT, YG_ESYSTEM */
int client_setup(struct yg_client_call *call, const struct yg_client_request *request,
	struct yg_err *err) YG_MUST_CHECK;

/* client_take.c: curl's callbacks. */
CURLcode client_take_tls(CURL *easy, void *ssl_ctx, void *arg);
curl_socket_t client_take_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
size_t client_take_header(char *line, size_t size, size_t count, void *arg);
size_t client_take_body(char *data, size_t size, size_t count, void *arg);
int client_take_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
	curl_off_t up);
void client_take_anew(struct yg_client_call *call); /* forget what was seen */

/* client_judge.c */

/* The name that was not resolved, when asking why may tell more: host and port. */
bool client_judge_unresolved(const struct yg_client_call *call, CURLcode code, char host[256],
	uint16_t *port);

/* The proxy offers Negotiate, for which this process has no ticket, and something else: prepare the call to be
 * done again without.
 */
bool client_judge_again(struct yg_client_call *call);

/* 0 with call->reply filled, or -1. errors  with a cause */
int client_judge(struct yg_client_call *call, CURLcode code, struct yg_err *err);

/* What there is to tell about it, whatever the outcome. */
void client_judge_trace(const struct yg_client_call *call, struct yg_client_trace *out);
