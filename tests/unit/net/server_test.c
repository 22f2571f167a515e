/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "../../lib/pki.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "net/client.h"

/* A server in a process of its own, and our client against it, on loopback. */

#define DAY    86400
#define BIG    (3u << 20) /* bytes of the file that is served */
#define AGENT  "urn:yagura:agent:11111111-2222-4333-8444-555555555555"
#define RELAY  "urn:yagura:relay:99999999-2222-4333-8444-555555555555"
#define SERVER "urn:yagura:manager:22222222-2222-4333-8444-555555555555"

struct world {
	struct pki ca, foreign;
	struct party server, agent, expired, stranger, dead_server;
	pid_t pids[3];
	uint16_t port, dead_port; /* of a good server, and of one whose certificate has expired */
	uint16_t plain_port;      /* without TLS, to speak HTTP by hand */
	int log;                  /* what the servers write to stderr */
};

static struct world world;

/* --- the server's handlers */

static void handle_echo(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	const struct yg_x509_info *cert = yg_server_cert(request);
	const char *uri = cert ? yg_x509_uri_after(cert, "urn:yagura:agent:") : NULL;
	struct yg_bytes body = yg_server_body(request);
	yg_server_reply_json(request, 200,
		json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:i, s:s, s:s*}", "method",
			yg_server_method(request), "path", yg_server_path(request), "id",
			yg_server_arg(request, "id"), "q", yg_server_query(request, "q"), "uri",
			uri, "body", (int)body.len, "peer", yg_server_peer(request), "rest",
			yg_server_arg(request, "*")));
}

static void handle_json(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	json_t *body YG_AUTO(yg_json) = NULL;
	if (yg_server_json(request, &body) == 0)
		yg_server_reply_json(request, 200, json_incref(body));
}

static void handle_file(void *ctx, struct yg_server_request *request)
{
	struct yg_err err = {0};
	(void)ctx;
	int fd YG_AUTO(fd) = memfd_create("file", 0);
	char *data YG_AUTO(mem) = malloc(BIG);
	assert_non_null(data);
	for (size_t i = 0; i < BIG; i++)
		data[i] = (char)(i * 7 + i / 251);
	assert_int_equal(yg_fs_write_all(fd, data, BIG, &err), 0);
	yg_server_reply_file(request, yg_take_fd(fd), "application/octet-stream", "\"tag\"");
}

static struct yg_server_request *held;
static int closed_count;

static void on_closed(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	if (held == request)
		held = NULL;
	closed_count++;
}

static void handle_hold(void *ctx, struct yg_server_request *request)
{
	held = request;
	yg_server_hold(request, on_closed, ctx);
}

static void handle_wake(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	if (held)
		yg_server_reply_json(held, 200, json_pack("{s:s}", "woken", "yes"));
	held = NULL;
	yg_server_reply_json(request, 200, json_pack("{s:i}", "closed", closed_count));
}

static void handle_refuse(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	yg_server_reply_error(request, 403, "certificate_revoked", NULL,
		"your certificate is revoked");
}

static void handle_page(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	yg_server_reply(request, 200, "text/html; charset=utf-8",
		yg_bytes_of("<html>login</html>"));
}

static const struct yg_server_route routes[] = {
	{"GET", "/echo/{id}/x", handle_echo, true},
	{"POST", "/echo/{id}/x", handle_echo, true},
	{"GET", "/rest/*", handle_echo, true},
	{"POST", "/json", handle_json, true},
	{"GET", "/file", handle_file, true},
	{"GET", "/hold", handle_hold, true},
	{"POST", "/wake", handle_wake, true},
	{"GET", "/refuse", handle_refuse, true},
	{"GET", "/page", handle_page, true},
	{"GET", "/secret", handle_echo, false},
	{0},
};

static void forget_parties(void)
{
	pki_done(&world.ca);
	pki_done(&world.foreign);
	party_done(&world.server);
	party_done(&world.agent);
	party_done(&world.expired);
	party_done(&world.stranger);
	party_done(&world.dead_server);
}

static void on_term(void *ctx, int signo)
{
	(void)signo;
	yg_loop_stop(ctx);
}

static pid_t serve(const struct party *party, enum yg_server_client client, uint16_t *port)
{
	struct yg_err err = {0};
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	assert_true(fd >= 0);
	*port = yg_server_port(fd);
	pid_t pid = fork();
	if (pid != 0) {
		(void)close(fd);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(100);
	(void)dup2(world.log, STDERR_FILENO);
	struct yg_loop *loop = yg_loop_new(&err);
	struct yg_tls tls = {.cas = world.ca.cert};
	if (party) {
		tls.cert = party->cert;
		tls.key = party->key;
	}
	struct yg_server_options options = {.name = "test",
		.client = client,
		.plain = !party,
		.body_max = 4096,
		.idle_s = 2,
		.routes = routes};
	struct yg_server *server = yg_server_new(loop, fd, &tls, &options, &err);
	if (!server || yg_loop_signal(loop, SIGTERM, on_term, loop, &err) < 0)
		_exit(1);
	yg_loop_run(loop);
	yg_server_free(server);
	yg_loop_free(loop);
	forget_parties();
	exit(0); /* where a sanitizer looks for leaks */
}

static int set_up(void **state)
{
	(void)state;
	int64_t now = yg_clock_now_s();
	pki_init(&world.ca, "Yagura CA");
	pki_init(&world.foreign, "Foreign CA");
	party_init(&world.server, &world.ca, SERVER, 0, 30);
	party_init(&world.agent, &world.ca, AGENT, 0, 30);
	party_init(&world.expired, &world.ca, AGENT, now - 10 * DAY, 5);
	party_init(&world.stranger, &world.foreign, AGENT, 0, 30);
	party_init(&world.dead_server, &world.ca, SERVER, now - 10 * DAY, 5);
	world.log = memfd_create("log", 0);
	world.pids[0] = serve(&world.server, YG_SERVER_ASK, &world.port);
	world.pids[1] = serve(&world.dead_server, YG_SERVER_REQUIRE, &world.dead_port);
	world.pids[2] = serve(NULL, YG_SERVER_ANYONE, &world.plain_port);
	return 0;
}

static char *log_text(void)
{
	static char text[65536];
	ssize_t n = pread(world.log, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static int tear_down(void **state)
{
	(void)state;
	int rc = 0;
	for (size_t i = 0; i < YG_COUNT(world.pids); i++) {
		int status = -1;
		(void)kill(world.pids[i], SIGTERM);
		(void)waitpid(world.pids[i], &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			rc = -1;
	}
	if (rc < 0)
		(void)fprintf(stderr, "a server ended badly: %s\n", log_text());
	(void)close(world.log);
	forget_parties();
	return rc;
}

static char *url_of(uint16_t port, const char *path)
{
	static char url[256];
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", port, path);
	return url;
}

static struct yg_client *client_of(const struct party *party, const char *uri)
{
	struct yg_err err = {0};
	struct yg_tls tls = {.cas = world.ca.cert, .peer_uri = uri};
	if (party) {
		tls.cert = party->cert;
		tls.key = party->key;
	}
	struct yg_client *client = yg_client_new(NULL, &tls, NULL, &err);
	assert_non_null(client);
	return client;
}

static void check_text(struct yg_client *client, const struct yg_client_request *request,
	int status, const char *want)
{
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65536);
	struct yg_client_reply reply = {0};
	if (yg_client_text(client, request, &buf, &reply, &err) < 0)
		fail_msg("%s: %s (%s)", request->url, err.msg, err.cause);
	assert_int_equal(reply.status, status);
	assert_string_equal((const char *)reply.body.ptr, want);
}

static void test_requests(void **state)
{
	(void)state;
	struct {
		const char *method, *path, *body;
		int status;
		const char *want;
	} cases[] = {
		{"GET", "/echo/a%20b/x?q=1%2B1", NULL, 200,
			"{\"body\":0,\"id\":\"a b\",\"method\":\"GET\",\"path\":\"/echo/a b/x\",\"peer\":\"127.0.0.1\","
			"\"q\":\"1+1\",\"uri\":\"11111111-2222-4333-8444-555555555555\"}"},
		{"POST", "/echo/7/x", "{}", 200,
			"{\"body\":2,\"id\":\"7\",\"method\":\"POST\",\"path\":\"/echo/7/x\",\"peer\":\"127.0.0.1\","
			"\"uri\":\"11111111-2222-4333-8444-555555555555\"}"},
		{"GET", "/rest/a/b/c.json", NULL, 200,
			"{\"body\":0,\"method\":\"GET\",\"path\":\"/rest/a/b/c.json\",\"peer\":\"127.0.0.1\","
			"\"rest\":\"a/b/c.json\",\"uri\":\"11111111-2222-4333-8444-555555555555\"}"},
		{"POST", "/json", "{\"a\":1}", 200, "{\"a\":1}"},
		{"POST", "/json", "[1]", 400,
			"{\"error\":{\"code\":\"bad_request\",\"message\":\"body: want an object, have an array\"}}"},
		{"GET", "/nothing", NULL, 404,
			"{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at this path\"}}"},
		{"GET", "/echo/7", NULL, 404,
			"{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at this path\"}}"},
		{"GET", "/echo//x", NULL, 404,
			"{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at this path\"}}"},
		{"DELETE", "/echo/7/x", NULL, 405,
			"{\"error\":{\"code\":\"bad_request\",\"message\":\"the method DELETE is not for this path\"}}"},
		{"GET", "/rest/%00", NULL, 400,
			"{\"error\":{\"code\":\"bad_request\",\"message\":\"the URL is malformed\"}}"},
	};
	struct yg_client *client YG_AUTO(yg_client) = client_of(&world.agent, SERVER);
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_client_request request = {.method = cases[i].method,
			.url = url_of(world.port, cases[i].path),
			.body = cases[i].body,
			.max = 65536,
			.any_status = true};
		check_text(client, &request, cases[i].status, cases[i].want);
	}
}

static void test_certificate_is_needed(void **state)
{
	(void)state;
	struct yg_client *nobody YG_AUTO(yg_client) = client_of(NULL, SERVER);
	struct yg_client_request request = {.url = url_of(world.port, "/secret"),
		.max = 65536,
		.any_status = true};
	check_text(nobody, &request, 401,
		"{\"error\":{\"code\":\"unauthorized\",\"message\":\"this needs a client certificate\"}}");
}

struct refusal {
	const char *name;
	const struct party *us;
	const struct pki *trust;
	const char *uri, *prefix, *path;
	bool dead, content;
	uint64_t max;
	enum yg_code code;
	const char *cause, *words, *log;
};

static void test_refusals(void **state)
{
	(void)state;
	const struct refusal cases[] = {
		{.name = "no certificate",
			.dead = true,
			.trust = &world.ca,
			.uri = SERVER,
			.code = YG_EUNTRUSTED,
			.cause = "tls.expired",
			.words = "the certificate of CN=test has expired"},
		{.name = "foreign server",
			.us = &world.agent,
			.trust = &world.foreign,
			.uri = SERVER,
			.code = YG_EUNTRUSTED,
			.cause = "tls.untrusted",
			.words = "issued by CN=Yagura CA, who is not trusted here"},
		{.name = "wrong URI",
			.us = &world.agent,
			.trust = &world.ca,
			.uri = RELAY,
			.code = YG_EUNTRUSTED,
			.cause = "tls.peer_identity",
			.words = "want the peer " RELAY ", have the certificate of CN=test"},
		{.name = "wrong prefix",
			.us = &world.agent,
			.trust = &world.ca,
			.prefix = "urn:yagura:relay:",
			.code = YG_EUNTRUSTED,
			.cause = "tls.peer_identity",
			.words = "want the peer urn:yagura:relay:, have"},
		{.name = "foreign client",
			.us = &world.stranger,
			.trust = &world.ca,
			.uri = SERVER,
			.code = YG_EUNTRUSTED,
			.cause = "tls.rejected_us",
			.words = "the peer ended the TLS connection over our certificate",
			.log = "certificate of CN=test, issued by CN=Foreign CA, serial "},
		{.name = "expired client",
			.us = &world.expired,
			.trust = &world.ca,
			.uri = SERVER,
			.code = YG_EFORMAT,
			.cause = "auth.expired",
			.words = "access refused (status 403): your certificate (serial ",
			.log = "expired at 20"},
		{.name = "revoked",
			.us = &world.agent,
			.trust = &world.ca,
			.uri = SERVER,
			.path = "/refuse",
			.code = YG_EFORMAT,
			.cause = "auth.revoked",
			.words = "status 403): your certificate is revoked"},
		{.name = "not there",
			.us = &world.agent,
			.trust = &world.ca,
			.uri = SERVER,
			.path = "/nothing",
			.code = YG_EABSENT,
			.cause = "http.not_found",
			.words = "not there (status 404)"},
		{.name = "block page",
			.us = &world.agent,
			.trust = &world.ca,
			.uri = SERVER,
			.path = "/page",
			.content = true,
			.code = YG_EFORMAT,
			.cause = "http.block_page",
			.words = "a web page (text/html) came where content was expected"},
		{.name = "too large",
			.us = &world.agent,
			.trust = &world.ca,
			.uri = SERVER,
			.path = "/file",
			.max = 1000,
			.code = YG_ELIMIT,
			.cause = "http.too_large",
			.words = "the answer is larger than the 1000 bytes allowed"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		const struct refusal *at = &cases[i];
		struct yg_err err = {0};
		struct yg_tls tls = {.cas = at->trust->cert,
			.peer_uri = at->uri,
			.peer_prefix = at->prefix};
		if (at->us) {
			tls.cert = at->us->cert;
			tls.key = at->us->key;
		}
		struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, NULL, &err);
		assert_non_null(client);
		struct yg_client_request request = {.url = url_of(at->dead ? world.dead_port
									   : world.port,
							    at->path ? at->path : "/secret"),
			.max = at->max ? at->max : 65536,
			.content = at->content};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(BIG + 1);
		struct yg_client_reply reply = {0};
		if (yg_client_text(client, &request, &buf, &reply, &err) == 0)
			fail_msg("%s: it worked", at->name);
		if (err.code != at->code || strcmp(err.cause, at->cause) != 0 ||
			!strstr(err.msg, at->words))
			fail_msg("%s: want %d %s '%s', have %d %s '%s'", at->name, at->code,
				at->cause, at->words, err.code, err.cause, err.msg);
		if (!strstr(err.msg, "https://127.0.0.1:"))
			fail_msg("%s: '%s' does not name the host", at->name, err.msg);
		if (at->log && !strstr(log_text(), at->log))
			fail_msg("%s: no '%s' in the log: %s", at->name, at->log, log_text());
	}
}

static void test_pin(void **state)
{
	(void)state;
	struct yg_err err = {0};
	const struct pki *cases[] = {&world.ca, &world.foreign};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_tls tls = {.ca_spki = cases[i]->spki,
			.peer_prefix = "urn:yagura:manager:"};
		struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, NULL, &err);
		assert_non_null(client);
		struct yg_client_request request = {.url = url_of(world.port, "/rest/x"),
			.max = 65536};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
		struct yg_client_reply reply = {0};
		int rc = yg_client_text(client, &request, &buf, &reply, &err);
		assert_int_equal(rc, i == 0 ? 0 : -1);
	}
	assert_string_equal(err.cause, "tls.pin");
	assert_int_equal(err.code, YG_EUNTRUSTED);
}

static void test_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_client *client YG_AUTO(yg_client) = client_of(&world.agent, SERVER);
	int fd YG_AUTO(fd) = memfd_create("got", 0);
	struct yg_client_request request = {.url = url_of(world.port, "/file"), .max = BIG};
	struct yg_client_reply reply = {0};
	assert_int_equal(yg_client_get(client, &request, fd, &reply, &err), 0);
	assert_int_equal(reply.size, BIG);
	assert_string_equal(reply.etag, "\"tag\"");
	assert_string_equal(reply.type, "application/octet-stream");
	unsigned char last[2];
	assert_int_equal(pread(fd, last, 2, BIG - 2), 2);
	assert_int_equal(last[1], (unsigned char)((BIG - 1) * 7 + (BIG - 1) / 251));
	request.etag = reply.etag;
	assert_int_equal(yg_client_get(client, &request, fd, &reply, &err), 0);
	assert_int_equal(reply.status, 304);
	assert_int_equal(reply.size, 0);
}

/* --- from the loop */

struct asked {
	struct yg_loop *loop;
	int left, good, bad;
	char last_cause[YG_ERR_CAUSE_MAX];
	char body[256];
};

static void on_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *err)
{
	struct asked *asked = ctx;
	if (err->code) {
		asked->bad++;
		(void)snprintf(asked->last_cause, sizeof(asked->last_cause), "%s", err->cause);
	} else {
		asked->good++;
		(void)snprintf(asked->body, sizeof(asked->body), "%s",
			(const char *)reply->body.ptr);
	}
	if (--asked->left == 0)
		yg_loop_stop(asked->loop);
}

static void on_timer(void *ctx)
{
	yg_loop_stop(ctx);
}

static void wait_ms(struct yg_loop *loop, int64_t ms)
{
	struct yg_timer *timer = yg_loop_timer(loop, on_timer, loop);
	yg_timer_set(timer, ms);
	yg_loop_run(loop);
	yg_timer_free(timer);
}

static void test_loop(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_tls tls = {.cas = world.ca.cert, .peer_uri = SERVER};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(loop, &tls, NULL, &err);
	struct asked asked = {.loop = loop, .left = 22};
	struct yg_client_request request = {.url = url_of(world.port, "/rest/x"), .max = 65536};
	for (int i = 0; i < 20; i++)
		(void)yg_client_start(client, &request, on_done, &asked);
	request.url = "https://127.0.0.1:1/";
	(void)yg_client_start(client, &request, on_done, &asked);
	request.url = "gopher://x/";
	(void)yg_client_start(client, &request, on_done, &asked);
	yg_loop_run(loop);
	assert_int_equal(asked.good, 20);
	assert_int_equal(asked.bad, 2);
}

static void test_held(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_tls tls = {.cas = world.ca.cert, .peer_uri = SERVER};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(loop, &tls, NULL, &err);
	struct yg_client_request hold = {.url = url_of(world.port, "/hold"), .max = 65536};
	char wake_url[256];
	(void)snprintf(wake_url, sizeof(wake_url), "%s", url_of(world.port, "/wake"));
	struct yg_client_request wake = {.url = wake_url, .body = "{}", .max = 65536};

	/* Held longer than the server's own patience (2 s), then answered. */
	struct asked asked = {.loop = loop, .left = 2};
	hold.url = url_of(world.port, "/hold");
	(void)yg_client_start(client, &hold, on_done, &asked);
	wait_ms(loop, 3000);
	assert_int_equal(asked.left, 2);
	(void)yg_client_start(client, &wake, on_done, &asked);
	yg_loop_run(loop);
	assert_int_equal(asked.good, 2);

	/* A client that goes away is noticed. */
	struct yg_client_call *call = yg_client_start(client, &hold, on_done, &asked);
	wait_ms(loop, 300);
	yg_client_cancel(call);
	wait_ms(loop, 300);
	asked = (struct asked){.loop = loop, .left = 1};
	(void)yg_client_start(client, &wake, on_done, &asked);
	yg_loop_run(loop);
	assert_string_equal(asked.body, "{\"closed\":1}");
}

static void free_client(void *ctx, const struct yg_client_reply *reply, const struct yg_err *err)
{
	(void)reply;
	(void)err;
	struct yg_client **client = ctx;
	yg_client_free(*client);
	*client = NULL;
}

static void test_client_may_go_in_callback(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_tls tls = {.cas = world.ca.cert, .peer_uri = SERVER};
	struct yg_client *client = yg_client_new(loop, &tls, NULL, &err);
	struct yg_client_request request = {.url = url_of(world.port, "/rest/x"), .max = 65536};
	for (int i = 0; i < 3; i++)
		(void)yg_client_start(client, &request, free_client, &client);
	wait_ms(loop, 500);
	assert_null(client);
}

/* --- strangers */

/* in  room  bytes that the kernel keeps for us at a time; 0: as it likes */
static int dial_with(uint16_t port, int room)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (room)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int dial(uint16_t port)
{
	return dial_with(port, 0);
}

static void test_garbage(void **state)
{
	(void)state;
	const char *cases[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello",
		"\x16\x03\x01", "", "\x80\x2e\x01\x00\x02",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		int fd YG_AUTO(fd) = dial(world.port);
		assert_true(send(fd, cases[i], strlen(cases[i]), MSG_NOSIGNAL) >= 0);
	}
	test_requests(NULL);
}

static size_t count_of(const char *text, const char *part)
{
	size_t n = 0;
	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

/* Send, and read until the answer has come so many times, or the server ends; for nothing, a second. */
static size_t speak(const char *bytes, size_t len, const char *answer, size_t times, char *out,
	size_t size)
{
	int fd YG_AUTO(fd) = dial(world.plain_port);
	struct timeval limit = {.tv_sec = times ? 10 : 1};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)send(fd, bytes, len, MSG_NOSIGNAL);
	size_t have = 0, seen = 0;
	out[0] = 0;
	for (ssize_t n; (!times || seen < times) && have < size - 1 &&
		(n = recv(fd, out + have, size - 1 - have, 0)) > 0;) {
		have += (size_t)n;
		out[have] = 0;
		seen = times ? count_of(out, answer) : have;
	}
	return seen;
}

/* Address space of the plain server, in KiB. */
static long server_size(void)
{
	char path[64], text[4096];
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)world.pids[2]);
	int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	text[strcspn(text, " ")] = 0; /* the first number: pages of its address space */
	uint64_t pages = 0;
	struct yg_err err = {0};
	assert_int_equal(yg_str_u64(text, UINT32_MAX, &pages, &err), 0);
	return (long)pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A relay has thousands of clients that read slowly, and two gigabytes for all of them. */
static void test_slow_readers(void **state)
{
	(void)state;
	if (!yg_sandbox_walls())
		skip(); /* a sanitizer's own memory */
	enum { COUNT = 100 };
	int fds[COUNT];
	const char *wish = "GET /file HTTP/1.1\r\nHost: x\r\n\r\n";
	char start[12];
	long before = server_size();
	for (size_t i = 0; i < COUNT; i++) {
		fds[i] = dial_with(world.plain_port, 4096);
		assert_int_equal(send(fds[i], wish, strlen(wish), MSG_NOSIGNAL), strlen(wish));
		assert_int_equal(recv(fds[i], start, sizeof(start), MSG_WAITALL), sizeof(start));
		assert_memory_equal(start, "HTTP/1.1 200", sizeof(start));
	}
	long more = server_size() - before;
	for (size_t i = 0; i < COUNT; i++)
		(void)close(fds[i]);
	if (more > COUNT * 128L)
		fail_msg("%d clients: want at most 128 KiB for one, have %ld", COUNT, more / COUNT);
}

#define GOOD "GET /rest/x HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_http_by_hand(void **state)
{
	(void)state;
	static char huge[70000];
	const struct {
		const char *name, *text;
		int pad;            /* so many 'a' after it */
		const char *answer; /* somewhere in what comes back; "": nothing may come */
		size_t times;
	} cases[] = {
		{"one", GOOD, 0, "HTTP/1.1 200 OK", 1},
		{"three at once", GOOD GOOD GOOD, 0, "HTTP/1.1 200 OK", 3},
		{"one behind a held one", "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" GOOD, 0, "", 0},
		{"one behind a file",
			"GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n" GOOD, 0,
			"Content-Range: bytes 0-9/3145728", 1},
		{"beyond the end", "GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=9999999-\r\n\r\n",
			0, "HTTP/1.1 416 ", 1},
		{"head", "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n" GOOD, 0,
			"Content-Length: 3145728", 1},
		{"no such method", "BREW /rest/x HTTP/1.1\r\nHost: x\r\n\r\n", 0, "HTTP/1.1 501",
			1},
		{"long header", "GET /rest/x HTTP/1.1\r\nX: ", 60000, "HTTP/1.1 4", 1},
		{"long line", "GET /", 60000, "HTTP/1.1 4", 1},
		{"large body", "POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
			5000, "HTTP/1.1 413", 1},
		{"huge length",
			"POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
			0, "HTTP/1.1 4", 1},
		{"negative length", "POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
			0, "HTTP/1.1 4", 1},
		{"chunks",
			"POST /json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			"7\r\n{\"b\":2}\r\n0\r\n\r\n",
			0, "{\"b\":2}", 1},
		{"bad chunks",
			"POST /json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			"zz\r\n",
			0, "HTTP/1.1 4", 1},
		{"large chunks",
			"POST /json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			"7fffffff\r\n",
			20000, "HTTP/1.1 413", 1},
		{"half a request",
			"POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", 0, "",
			0},
		{"no HTTP at all", "\x16\x03\x01\x02\r\n\r\n", 0, "HTTP/1.1 4", 1},
		{"HTTP/1.0", "GET /rest/x HTTP/1.0\r\n\r\n", 0, "HTTP/1.0 200 OK", 1},
		{"whole URL", "GET http://x/rest/y HTTP/1.1\r\nHost: x\r\n\r\n", 0,
			"\"rest\":\"y\"", 1},
		{"no path", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 0, "HTTP/1.1 4", 1},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		static char text[70000];
		size_t len = strlen(cases[i].text);
		memcpy(text, cases[i].text, len);
		memset(text + len, 'a', (size_t)cases[i].pad);
		size_t times = speak(text, len + (size_t)cases[i].pad, cases[i].answer,
			cases[i].times, huge, sizeof(huge));
		if (times != cases[i].times)
			fail_msg("%s: have %zu of '%s' in: %.600s", cases[i].name, times,
				cases[i].answer, huge);
	}
	assert_int_equal(waitpid(world.pids[2], NULL, WNOHANG), 0);
}

static void test_silent_client_is_cut(void **state)
{
	(void)state;
	int fd YG_AUTO(fd) = dial(world.port);
	struct timeval limit = {.tv_sec = 10};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	char byte;
	assert_int_equal(recv(fd, &byte, 1, 0), 0); /* the server's patience is 2 s */
}

static void test_full(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_server_options options = {.name = "full",
		.client = YG_SERVER_REQUIRE,
		.routes = routes,
		.connections_max = 2};
	struct yg_tls tls = {.cert = world.server.cert,
		.key = world.server.key,
		.cas = world.ca.cert};
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	uint16_t port = yg_server_port(fd);
	struct yg_server *server = yg_server_new(loop, fd, &tls, &options, &err);
	assert_non_null(server);
	/* Each client keeps its connection; yet every one is served. */
	struct yg_client *clients[8];
	struct asked asked = {.loop = loop, .left = YG_COUNT(clients)};
	struct yg_tls ours = {.cert = world.agent.cert,
		.key = world.agent.key,
		.cas = world.ca.cert,
		.peer_uri = SERVER};
	struct yg_client_request request = {.url = url_of(port, "/rest/x"), .max = 65536};
	for (size_t i = 0; i < YG_COUNT(clients); i++) {
		clients[i] = yg_client_new(loop, &ours, NULL, &err);
		assert_non_null(clients[i]);
		(void)yg_client_start(clients[i], &request, on_done, &asked);
	}
	yg_loop_run(loop);
	if (asked.bad)
		fail_msg("%d failed: %s", asked.bad, asked.last_cause);
	assert_int_equal(asked.good, YG_COUNT(clients));
	struct yg_server_stats stats;
	yg_server_stats(server, &stats);
	assert_int_equal(stats.requests, YG_COUNT(clients));
	assert_true(stats.connections <= 2);
	for (size_t i = 0; i < YG_COUNT(clients); i++)
		yg_client_free(clients[i]);
	yg_server_free(server);
}

static void test_swap_and_free(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_server_options options = {.name = "own",
		.client = YG_SERVER_REQUIRE,
		.routes = routes,
		.idle_s = 5};
	struct yg_tls tls = {.cert = world.server.cert,
		.key = world.server.key,
		.cas = world.ca.cert};
	int fd = yg_server_listen("", 0, &err);
	uint16_t port = yg_server_port(fd);
	struct yg_server *server = yg_server_new(loop, fd, &tls, &options, &err);
	assert_non_null(server);
	struct yg_tls bad = {.cert = world.server.cert, .key = world.agent.key};
	assert_int_equal(yg_server_tls(server, &bad, &err), -1);
	assert_string_equal(err.msg, "own TLS key: it does not belong to the certificate");
	assert_int_equal(yg_server_tls(server, &tls, &err), 0);
	struct yg_tls ours = {.cert = world.agent.cert,
		.key = world.agent.key,
		.cas = world.ca.cert,
		.peer_uri = SERVER};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(loop, &ours, NULL, &err);
	struct asked asked = {.loop = loop, .left = 1};
	struct yg_client_request request = {.url = url_of(port, "/rest/x"), .max = 65536};
	(void)yg_client_start(client, &request, on_done, &asked);
	yg_loop_run(loop);
	assert_int_equal(asked.good, 1);
	asked.left = 1;
	request.url = url_of(port, "/hold");
	(void)yg_client_start(client, &request, on_done, &asked);
	wait_ms(loop, 300);
	assert_non_null(held);
	closed_count = 0;
	yg_server_free(server); /* with a held request and an idle connection */
	assert_int_equal(closed_count, 1);
	assert_null(held);
	yg_loop_run(loop);
	assert_int_equal(asked.bad, 1); /* curl may have tried once more: cut, or refused */
}

static size_t count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	size_t n = 0;
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

struct stopping {
	struct yg_loop *loop;
	struct yg_server *server;
	struct yg_timer *timer;
};

static void on_stop(void *ctx)
{
	const struct stopping *stopping = ctx;
	yg_loop_stop(stopping->loop);
}

static void on_accepted(void *ctx)
{
	const struct stopping *stopping = ctx;
	struct yg_server_stats stats;
	yg_server_stats(stopping->server, &stats);
	if (stats.connections == 1)
		yg_loop_stop(stopping->loop);
	else
		yg_timer_set(stopping->timer, 1);
}

/* The end of a connection and the order to stop come together: libevent has noted the one, and not looked at it. */
static void test_nothing_stays_of_a_stopped_loop(void **state)
{
	(void)state;
	struct yg_err err = {0};
	size_t files = count_files();
	struct stopping stopping = {.loop = yg_loop_new(&err)};
	struct yg_server_options options = {.name = "own",
		.client = YG_SERVER_ANYONE,
		.routes = routes};
	struct yg_tls tls = {.cert = world.server.cert, .key = world.server.key};
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	uint16_t port = yg_server_port(fd);
	stopping.server = yg_server_new(stopping.loop, fd, &tls, &options, &err);
	assert_non_null(stopping.server);
	int client = dial(port);
	stopping.timer = yg_loop_timer(stopping.loop, on_accepted, &stopping);
	yg_timer_set(stopping.timer, 0);
	yg_loop_run(stopping.loop);
	yg_timer_free(stopping.timer);

	(void)close(client);
	stopping.timer = yg_loop_timer(stopping.loop, on_stop, &stopping);
	yg_timer_set(stopping.timer, 0);
	yg_loop_run(stopping.loop);
	yg_timer_free(stopping.timer);
	yg_server_free(stopping.server);
	yg_loop_free(stopping.loop);
	assert_int_equal(count_files(), files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_certificate_is_needed),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_client_may_go_in_callback),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_http_by_hand),
		cmocka_unit_test(test_slow_readers),
		cmocka_unit_test(test_silent_client_is_cut),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_swap_and_free),
		cmocka_unit_test(test_nothing_stays_of_a_stopped_loop),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
