/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/client.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "core/clock.h"
#include "net/server.h"

/* Our client against a server that answers from a table, badly. It is its proxy as well. */

struct answer {
	const char *start; /* of the request */
	const char *text;  /* %u: the server's port */
	enum { END, RESET, HANG } then;
};

static const struct answer answers[] = {
	{"GET /good ",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"e\"\r\nContent-Type: Text/Plain; x=y\r\n\r\ngood",
		END},
	{"GET /echo ", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho", END},
	{"GET /short ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", END},
	{"GET /chunk ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", END},
	{"GET /reset ", "", RESET},
	{"GET /nothing ", "", END},
	{"GET /reset-later ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", RESET},
	{"GET /hang ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", HANG},
	{"GET /silent ", "", HANG},
	{"GET /page ",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
		END},
	{"GET /empty-page ",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", END},
	{"GET /large ", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxxx", HANG},
	{"GET /large-chunks ",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n",
		END},
	{"GET /wait ",
		"HTTP/1.1 503 Wait\r\nRetry-After: 17\r\nContent-Length: 59\r\n\r\n{\"error\":{\"code\":\"unavailable\",\"message\":\"not\\u0007 yet!\"}}",
		END},
	{"GET /away ",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/good\r\nContent-Length: 0\r\n\r\n",
		END},
	{"GET /loop ", "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n", END},
	{"GET /file ",
		"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
		END},
	{"GET /rest ",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-9/10\r\nContent-Length: 7\r\nETag: \"r\"\r\n\r\n3456789",
		END},
	{"GET /earlier ",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-9/10\r\nContent-Length: 9\r\n\r\n123456789",
		END},
	{"GET /later ",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789",
		END},
	{"GET /whole ", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", END},
	{"GET /long ", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n0123456789AB", END},
	{"GET /no-range ", "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\r\n0123456789",
		END},
	{"GET /enough ",
		"HTTP/1.1 416 Enough\r\nContent-Range: bytes */3\r\nContent-Length: 0\r\n\r\n",
		END},
	{"GET /junk ", "\x01\x02\x03 this is not HTTP\r\n\r\n", END},
	{"GET http://plain.test/x ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy", END},
	{"GET http://auth.test/x ",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n",
		END},
	{"CONNECT auth.test:443 ",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n",
		END},
	{"CONNECT deny.test:443 ", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", END},
	{"CONNECT bad.test:443 ", "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", END},
	{"CONNECT silent.test:443 ", "", HANG},
};

static pid_t pid;
static uint16_t port;

static void reply(int fd, const struct answer *answer)
{
	char text[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	int len = snprintf(text, sizeof(text), answer->text, port);
#pragma GCC diagnostic pop
	(void)send(fd, text, (size_t)len, MSG_NOSIGNAL);
	if (answer->then == HANG)
		(void)sleep(12); /* curl averages over five seconds before it calls a line idle */
	struct linger now = {.l_onoff = 1};
	if (answer->then == RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void answer_one(int fd)
{
	char text[4096] = "";
	size_t len = 0;
	while (len < sizeof(text) - 1 && !strstr(text, "\r\n\r\n")) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			return;
		len += (size_t)n;
		text[len] = 0;
	}
	if (!strstr(text, "\r\nAccept-Encoding: identity\r\n") && strncmp(text, "CONNECT", 7) != 0)
		return;
	if (strstr(text, "If-Range") && !strstr(text, "\r\nIf-Range: \"r\"\r\n"))
		return;
	if (strncmp(text, "GET /rest ", 10) == 0 && !strstr(text, "\r\nRange: bytes=3-\r\n"))
		return;
	for (size_t i = 0; i < YG_COUNT(answers); i++)
		if (strncmp(text, answers[i].start, strlen(answers[i].start)) == 0)
			reply(fd, &answers[i]);
}

static int set_up(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	assert_true(fd >= 0);
	port = yg_server_port(fd);
	pid = fork();
	if (pid != 0) {
		(void)close(fd);
		(void)alarm(100);
		/* None of these may have any effect. */
		char proxy[64];
		(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:1");
		(void)setenv("http_proxy", proxy, 1);
		(void)setenv("https_proxy", proxy, 1);
		(void)setenv("ALL_PROXY", proxy, 1);
		(void)setenv("no_proxy", "*", 1);
		return 0;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int peer = accept(fd, NULL, NULL);
		if (peer < 0) {
			(void)usleep(2000); /* the socket is non-blocking */
			continue;
		}
		if (fork() == 0) {
			(void)alarm(20);
			answer_one(peer);
			_exit(0);
		}
		(void)close(peer);
	}
}

static int tear_down(void **state)
{
	(void)state;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return 0;
}

static int ask(const char *path, const struct yg_proxy *proxy, struct yg_client_request request,
	struct yg_buf *buf, struct yg_client_reply *out, struct yg_err *err)
{
	char url[256];
	if (path[0] == '/')
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
	else
		(void)snprintf(url, sizeof(url), "%s", path);
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, NULL, proxy, err);
	assert_non_null(client);
	request.url = url;
	request.max = request.max ? request.max : 50;
	request.idle_s = 1;
	return yg_client_text(client, &request, buf, out, err);
}

static void test_good(void **state)
{
	(void)state;
	const char *paths[] = {"/good", "/away"};
	for (size_t i = 0; i < YG_COUNT(paths); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_client_reply out = {0};
		if (ask(paths[i], NULL, (struct yg_client_request){0}, &buf, &out, &err) < 0)
			fail_msg("%s: %s", paths[i], err.msg);
		assert_int_equal(out.status, 200);
		assert_string_equal((const char *)out.body.ptr, "good");
		assert_string_equal(out.etag, "\"e\"");
		assert_string_equal(out.type, "text/plain");
		assert_string_equal(out.address, "127.0.0.1");
		assert_int_equal(out.size, 4);
	}
}

/* The first three of ten bytes are here. */
static void test_resuming(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		const char *cause; /* NULL: "3456789" */
		const char *says;
		unsigned skipped;
	} rows[] = {
		{"/rest", NULL, NULL, 0},
		{"/whole", NULL, NULL, 3},
		{"/earlier", NULL, NULL, 2},
		{"/no-range", NULL, NULL, 3},
		{"/later", "http.status", "want a range from byte 3, have one from byte 5", 0},
		{"/enough", "http.status", "status 416", 0},
		{"/long", "http.too_large", "larger than the 10 bytes allowed", 3},
		{"/short", "http.too_large", "larger than the 10 bytes allowed", 3},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_client_reply out = {0};
		const struct yg_client_request request = {.offset = 3,
			.max = 10,
			.if_range = i == 0 ? "\"r\"" : NULL};
		int rc = ask(rows[i].path, NULL, request, &buf, &out, &err);
		if ((rc == 0) != (rows[i].cause == NULL))
			fail_msg("%s: %s", rows[i].path, err.msg);
		assert_int_equal(out.skipped, rows[i].skipped);
		if (rc == 0) {
			assert_string_equal((const char *)out.body.ptr, "3456789");
			assert_int_equal(out.size, 7);
			continue;
		}
		if (strcmp(err.cause, rows[i].cause) != 0 || !strstr(err.msg, rows[i].says))
			fail_msg("%s: %s: %s", rows[i].path, err.cause, err.msg);
	}
}

static void test_any_status(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(200);
	struct yg_client_reply out = {0};
	struct yg_client_request request = {.any_status = true, .max = 200};
	assert_int_equal(ask("/wait", NULL, request, &buf, &out, &err), 0);
	assert_int_equal(out.status, 503);
	assert_int_equal(out.retry_after_s, 17);
}

static void test_failures(void **state)
{
	(void)state;
	char good_proxy[64];
	(void)snprintf(good_proxy, sizeof(good_proxy), "http://127.0.0.1:%u", port);
	const struct yg_proxy via = {.url = good_proxy, .user = "u", .password = "hidden"};
	const struct yg_proxy dead = {.url = "http://127.0.0.1:1"};
	const struct {
		const char *path;
		const struct yg_proxy *proxy;
		struct yg_client_request request;
		enum yg_code code;
		const char *cause, *words;
	} cases[] = {
		{"/short", NULL, {.max = 200}, YG_EAGAIN, "net.short_body",
			"ended after 5 bytes of the answer"},
		{"/chunk", NULL, {0}, YG_EAGAIN, "net.short_body",
			"ended after 5 bytes of the answer"},
		{"/reset", NULL, {0}, YG_EAGAIN, "net.reset",
			"the connection was cut before an answer"},
		{"/nothing", NULL, {0}, YG_EAGAIN, "net.reset",
			"the connection was cut before an answer"},
		{"/reset-later", NULL, {.max = 200}, YG_EAGAIN, "net.short_body", "of the answer"},
		{"/hang", NULL, {.max = 200}, YG_EAGAIN, "net.timeout", "with 5 bytes received"},
		{"/silent", NULL, {.deadline_ms = 500}, YG_EAGAIN, "net.timeout",
			"connected, but no answer came"},
		{"/page", NULL, {.content = true}, YG_EFORMAT, "http.block_page",
			"a web page (text/html)"},
		{"/empty-page", NULL, {.content = true}, YG_EFORMAT, "http.block_page",
			"a web page"},
		{"/large", NULL, {.max = 2}, YG_ELIMIT, "http.too_large",
			"larger than the 2 bytes allowed"},
		{"/large-chunks", NULL, {.max = 2}, YG_ELIMIT, "http.too_large",
			"larger than the 2 bytes"},
		{"/wait", NULL, {0}, YG_EAGAIN, "http.busy", "(status 503): not? yet!"},
		{"/loop", NULL, {0}, YG_EFORMAT, "http.redirect", "redirects without end"},
		{"/file", NULL, {0}, YG_EFORMAT, "http.redirect",
			"a redirect that is not followed"},
		{"/away", NULL, {.body = "{}"}, YG_EAGAIN, "net.reset", ""},
		{"/junk", NULL, {0}, YG_EAGAIN, "http.malformed", "does not speak HTTP"},
		{"http://127.0.0.1:1/x", NULL, {0}, YG_EAGAIN, "net.refused",
			"http://127.0.0.1:1 (127.0.0.1 port 1): the connection was refused"},
		{"ftp://127.0.0.1/", NULL, {0}, YG_EFORMAT, "net.url",
			"not a URL that is used here"},
		{"::::", NULL, {0}, YG_EFORMAT, "net.url", "not a URL that is used here"},
		{"http://x.test/", &dead, {0}, YG_EAGAIN, "proxy.refused",
			"http://x.test (127.0.0.1 port 1), through the proxy http://127.0.0.1:1: the proxy refused"},
		{"http://auth.test/x", &via, {0}, YG_EAGAIN, "proxy.credentials",
			"it offers Basic"},
		{"https://auth.test/x", &via, {0}, YG_EAGAIN, "proxy.credentials",
			"it offers Basic"},
		{"https://deny.test/x", &via, {0}, YG_EAGAIN, "proxy.forbidden", "(403)"},
		{"https://bad.test/x", &via, {0}, YG_EAGAIN, "proxy.upstream", "CONNECT with 502"},
		{"https://silent.test/x", &via, {.connect_ms = 500}, YG_EAGAIN, "proxy.timeout",
			"0.5 s"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100000);
		struct yg_client_reply out = {0};
		int64_t since = yg_clock_mono_ms();
		if (ask(cases[i].path, cases[i].proxy, cases[i].request, &buf, &out, &err) == 0)
			fail_msg("%s: it worked", cases[i].path);
		if (err.code != cases[i].code || strcmp(err.cause, cases[i].cause) != 0 ||
			!strstr(err.msg, cases[i].words))
			fail_msg("%s: want %d %s '%s', have %d %s '%s'", cases[i].path,
				cases[i].code, cases[i].cause, cases[i].words, err.code, err.cause,
				err.msg);
		assert_null(strstr(err.msg, "hidden"));
		assert_true(yg_clock_mono_ms() - since < 15000);
	}
}

static void test_proxy(void **state)
{
	(void)state;
	char url[64];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	const struct yg_proxy via = {.url = url};
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	struct yg_client_reply out = {0};
	if (ask("http://plain.test/x", &via, (struct yg_client_request){0}, &buf, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal((const char *)out.body.ptr, "proxy");
}

static void test_bad_pem(void **state)
{
	(void)state;
	const struct {
		struct yg_tls tls;
		const char *cause, *words;
	} cases[] = {
		{{.cas = "junk"}, "tls.ca", "CA bundle: "},
		{{.cert = "junk"}, "tls.failed", "own TLS certificate: "},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		assert_null(yg_client_new(NULL, &cases[i].tls, NULL, &err));
		assert_string_equal(err.cause, cases[i].cause);
		assert_non_null(strstr(err.msg, cases[i].words));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_resuming),
		cmocka_unit_test(test_any_status),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_bad_pem),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
