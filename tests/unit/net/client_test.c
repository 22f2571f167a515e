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
#include "net/client_impl.h"
#include "net/server.h"

/* Our client against a server that answers from a table, badly. It is its proxy as well. */

struct answer {
	const char *start; /* of the request */
	const char *text;  /* %u: the server's port */
	enum { END, RESET, HANG, DRIP, FLOOD, HEADERS } then;
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
	{"GET /drip ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", DRIP},
	{"GET /endless ", "HTTP/1.1 200 OK\r\n\r\n", FLOOD},
	{"GET /headers ", "HTTP/1.1 200 OK\r\n", HEADERS},
	{"GET /gzip ",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08x",
		END},
	{"GET /transfer-gzip ",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\n\x1f\x8b\x08x\r\n0\r\n\r\n",
		END},
	{"GET /identity ",
		"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 4\r\n\r\ngood",
		END},
	{"GET /wrong-length ", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\ngood", END},
	{"GET /bad-chunk ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", END},
	{"GET /titled ",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 44\r\n\r\n<html><title> Access\n denied &amp; co</title>x",
		END},
	{"GET /unlabelled ",
		"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n\n<!DOCTYPE html><title>Sneaky page</title>",
		END},
	{"GET /forbidden-page ",
		"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 31\r\n\r\n<title>Blocked by IT</title>...",
		END},
	{"GET /portal ",
		"HTTP/1.1 302 Found\r\nLocation: http://localhost:%u/titled\r\nContent-Length: 0\r\n\r\n",
		END},
	{"GET /busy ",
		"HTTP/1.1 503 Wait\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\nContent-Length: 20\r\n\r\nServer is overloaded",
		END},
	{"GET /closed ",
		"HTTP/1.1 503 Wait\r\nRetry-After: 99999999\r\nContent-Type: text/html\r\nContent-Length: 39\r\n\r\n<title>Scheduled Maintenance</title>...",
		END},
	{"GET /often ", "HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", END},
	{"GET /login ", "HTTP/1.1 511 Login\r\nContent-Length: 0\r\n\r\n", END},
	{"GET /latin ",
		"HTTP/1.1 200 OK\r\nETag: \"caf\xe9\"\r\nContent-Type: text/caf\xe9\r\nServer: caf\xe9\r\nContent-Length: 4\r\n\r\ngood",
		END},
	{"GET /etag ", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\netag", END},
	{"CONNECT squid.test:443 ",
		"HTTP/1.1 503 No\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\nContent-Length: 0\r\n\r\n",
		END},
	{"GET http://squid.test/x ",
		"HTTP/1.1 403 No\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
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
	for (int i = 0; answer->then == DRIP && i < 200; i++) {
		if (send(fd, "x", 1, MSG_NOSIGNAL) <= 0)
			return;
		(void)usleep(200000);
	}
	static const char more[] =
		"X-More: and more and more and more and more and more and more\r\n";
	while (answer->then == FLOOD || answer->then == HEADERS)
		if (send(fd, more, sizeof(more) - 1, MSG_NOSIGNAL) <= 0)
			return;
	if (answer->then == HANG)
		(void)sleep(12); /* curl averages over five seconds before it calls a line idle */
	struct linger now = {.l_onoff = 1};
	if (answer->then == RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* --- a proxy that wants to be logged in to; "u" with the password "hidden" */

static const struct login {
	const char *host;
	const char *first; /* the 407 offers */
	const char *good;  /* what the request must have then */
} logins[] = {
	{"basic.test", "Proxy-Authenticate: Basic realm=\"p\"\r\n",
		"\r\nProxy-Authorization: Basic dTpoaWRkZW4=\r\n"},
	{"digest.test",
		"Proxy-Authenticate: Digest realm=\"p\", nonce=\"abc\", qop=\"auth\", algorithm=MD5\r\n",
		"\r\nProxy-Authorization: Digest username=\"u\""},
	{"ntlm.test", "Proxy-Authenticate: NTLM\r\n",
		"\r\nProxy-Authorization: NTLM TlRMTVNTUAAB"}, /* the first leg */
	{"both.test", "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=\"p\"\r\n",
		"\r\nProxy-Authorization: Basic dTpoaWRkZW4=\r\n"},
};

static bool login(int fd, const char *text)
{
	char answer[400];
	for (size_t i = 0; i < YG_COUNT(logins); i++) {
		if (!strstr(text, logins[i].host))
			continue;
		bool good = strstr(text, logins[i].good) != NULL;
		int len = snprintf(answer, sizeof(answer),
			good ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy"
			     : "HTTP/1.1 407 No\r\nConnection: close\r\n%sContent-Length: 0\r\n\r\n",
			logins[i].first);
		(void)send(fd, answer, (size_t)len, MSG_NOSIGNAL);
		return true;
	}
	return false;
}

/* --- and one that speaks SOCKS5 */

static bool take(int fd, unsigned char *out, size_t len)
{
	return recv(fd, out, len, MSG_WAITALL) == (ssize_t)len;
}

/* source  RFC 1928, RFC 1929. The host name's first letter says what happens. */
static bool socks(int fd)
{
	unsigned char head[2], text[256] = "", port_bytes[2];
	bool wants_user = false, wants_none = false;
	if (!take(fd, head, 2) || !take(fd, text, head[1]))
		return false;
	for (size_t i = 0; i < head[1]; i++) {
		wants_user = wants_user || text[i] == 2;
		wants_none = wants_none || text[i] == 0;
	}
	(void)send(fd, wants_user ? "\5\2" : wants_none ? "\5\0" : "\5\xff", 2, MSG_NOSIGNAL);
	if (wants_user) {
		unsigned char user[256] = "", word[256] = "", size = 0;
		if (!take(fd, head, 2) || !take(fd, user, head[1]) || !take(fd, &size, 1) ||
			!take(fd, word, size))
			return false;
		bool good = strcmp((char *)user, "u") == 0 && strcmp((char *)word, "hidden") == 0;
		(void)send(fd, good ? "\1\0" : "\1\1", 2, MSG_NOSIGNAL);
		if (!good)
			return false;
	}
	unsigned char ask[5], name[256] = "";
	if (!take(fd, ask, 5) || ask[3] != 3 || !take(fd, name, ask[4]) || !take(fd, port_bytes, 2))
		return false;
	const char *how = name[0] == 'r' ? "\5\5\0\1\0\0\0\0\0\0"
		: name[0] == 'f'         ? "\5\2\0\1\0\0\0\0\0\0"
		: name[0] == 'u'         ? "\5\4\0\1\0\0\0\0\0\0"
					 : "\5\0\0\1\0\0\0\0\0\0";
	(void)send(fd, how, 10, MSG_NOSIGNAL);
	return how[1] == 0;
}

static void answer_one(int fd)
{
	char text[4096] = "";
	size_t len = 0;
	if (recv(fd, text, 1, MSG_PEEK) == 1 && text[0] == 5 && !socks(fd))
		return;
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
	/* What came out of a file must not become a line of its own. */
	if (strstr(text, "X-Injected"))
		return;
	if (strncmp(text, "GET http://", 11) == 0 && login(fd, text))
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

/* It logs in with it; nobody is told. */
static void test_no_password_of_the_address(void **state)
{
	(void)state;
	static const char *const paths[] = {"/later", "/enough", "/short", "/wait", "/loop",
		"/junk"};
	for (size_t i = 0; i < YG_COUNT(paths); i++) {
		char url[256];
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_client_reply out = {0};
		const struct yg_client_request request = {.offset = 3, .max = 10};
		(void)snprintf(url, sizeof(url), "http://joe:hidden@127.0.0.1:%u%s", port,
			paths[i]);
		assert_int_equal(ask(url, NULL, request, &buf, &out, &err), -1);
		if (strstr(err.msg, "hidden"))
			fail_msg("%s: %s", paths[i], err.msg);
	}
}

/* What is kept of headers goes into JSON, and an ETag back into a header. */
static void test_headers_in_other_alphabets(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	struct yg_client_reply out = {0};
	assert_int_equal(ask("/latin", NULL, (struct yg_client_request){0}, &buf, &out, &err), 0);
	assert_string_equal(out.etag, "");
	assert_string_equal(out.type, "text/caf");
	assert_string_equal(out.server, "caf?");
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
		{"/drip", NULL, {.max = 200}, YG_EAGAIN, "net.slow", "too slow: "},
		{"/endless", NULL, {.max = 300}, YG_ELIMIT, "http.too_large", "300 bytes"},
		{"/headers", NULL, {0}, YG_EAGAIN, "http.malformed", "headers without end"},
		{"/gzip", NULL, {0}, YG_EFORMAT, "http.encoding",
			"encoded as gzip, which was not asked for"},
		{"/transfer-gzip", NULL, {0}, YG_EFORMAT, "http.encoding", "gzip, chunked"},
		{"/wrong-length", NULL, {0}, YG_EAGAIN, "http.malformed", "Content-Length"},
		{"/bad-chunk", NULL, {0}, YG_EAGAIN, "http.malformed", "chunk"},
		{"/titled", NULL, {.content = true}, YG_EFORMAT, "http.block_page",
			"titled 'Access denied & co', came"},
		{"/unlabelled", NULL, {.content = true}, YG_EFORMAT, "http.block_page",
			"titled 'Sneaky page', came"},
		{"/forbidden-page", NULL, {.content = true}, YG_EFORMAT, "http.block_page",
			"titled 'Blocked by IT'"},
		{"/portal", NULL, {.content = true}, YG_EAGAIN, "http.portal", "sent to localhost"},
		{"/login", NULL, {0}, YG_EAGAIN, "http.portal", "wants a login"},
		{"/busy", NULL, {0}, YG_EAGAIN, "http.busy", "status 503"},
		{"/closed", NULL, {0}, YG_EAGAIN, "http.maintenance", "Scheduled Maintenance"},
		{"/often", NULL, {0}, YG_EAGAIN, "http.busy", "429"},
		{"https://squid.test/x", &via, {0}, YG_EAGAIN, "proxy.upstream",
			"cannot resolve the server's name (503, ERR_DNS_FAIL 0)"},
		{"http://squid.test/x", &via, {.content = true}, YG_EAGAIN, "proxy.forbidden",
			"forbids this connection (403, ERR_ACCESS_DENIED 0)"},
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

static int ask_via(const char *url, const char *scheme, const char *user, const char *password,
	struct yg_err *err)
{
	char proxy[64];
	(void)snprintf(proxy, sizeof(proxy), "%s://127.0.0.1:%u", scheme, port);
	const struct yg_proxy via = {.url = proxy, .user = user, .password = password};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	struct yg_client_reply out = {0};
	int rc = ask(url, &via, (struct yg_client_request){0}, &buf, &out, err);
	if (rc == 0)
		assert_string_equal((const char *)out.body.ptr,
			strcmp(scheme, "http") == 0 ? "proxy" : "good");
	return rc;
}

/* Whatever of them curl has, in the order of their strength; Negotiate without a ticket is no dead end. */
static void test_logins(void **state)
{
	(void)state;
	char url[64];
	for (size_t i = 0; i < YG_COUNT(logins); i++) {
		struct yg_err err = {0};
		(void)snprintf(url, sizeof(url), "http://%s/x", logins[i].host);
		if (ask_via(url, "http", "u", "hidden", &err) < 0)
			fail_msg("%s: %s", logins[i].host, err.msg);
		if (strcmp(logins[i].host, "basic.test") != 0 &&
			strcmp(logins[i].host, "both.test") != 0)
			continue;
		assert_int_equal(ask_via(url, "http", "u", "wrong", &err), -1);
		assert_string_equal(err.cause, "proxy.credentials");
		assert_null(strstr(err.msg, "wrong"));
		assert_int_equal(ask_via(url, "http", NULL, NULL, &err), -1);
		assert_string_equal(err.cause, "proxy.auth");
	}
}

/* Those in the address itself do, too, and are never shown. */
static void test_credentials_in_the_address(void **state)
{
	(void)state;
	char url[64];
	struct yg_err err = {0};
	(void)snprintf(url, sizeof(url), "http://u:hidden@127.0.0.1:%u", port);
	const struct yg_proxy via = {.url = url};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	struct yg_client_reply out = {0};
	const struct yg_client_request request = {0};
	assert_int_equal(ask("http://basic.test/x", &via, request, &buf, &out, &err), 0);
	assert_int_equal(ask("https://bad.test/x", &via, request, &buf, &out, &err), -1);
	assert_null(strstr(err.msg, "hidden"));
	assert_non_null(strstr(err.msg, "through the proxy http://127.0.0.1:"));
}

static void test_socks(void **state)
{
	(void)state;
	char good[64];
	const struct {
		const char *url, *scheme, *user, *password, *cause;
	} rows[] = {
		{good, "socks5h", NULL, NULL, NULL},
		{good, "socks5h", "u", "hidden", NULL},
		{good, "socks5h", "u", "wrong", "proxy.credentials"},
		{"http://refused.test/good", "socks5h", NULL, NULL, "proxy.upstream"},
		{"http://unreachable.test/good", "socks5h", NULL, NULL, "proxy.upstream"},
		{"http://forbidden.test/good", "socks5h", NULL, NULL, "proxy.forbidden"},
	};
	(void)snprintf(good, sizeof(good), "http://ok.test:%u/good", port);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		int rc = ask_via(rows[i].url, rows[i].scheme, rows[i].user, rows[i].password, &err);
		if (rc < 0 && (!rows[i].cause || strcmp(rows[i].cause, err.cause) != 0))
			fail_msg("row %zu: %s: %s", i, err.cause, err.msg);
		assert_int_equal(rc, rows[i].cause ? -1 : 0);
		assert_null(strstr(err.msg, "hidden"));
	}
}

/* Seconds or a date of the server's own clock, also with a failure, at most a day. */
static void test_retry_after(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		uint32_t retry_s;
	} rows[] = {{"/wait", 17}, {"/busy", 90}, {"/closed", 86400}, {"/often", 5}, {"/login", 0},
		{"/forbidden-page", 0}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_client_reply out = {0};
		assert_int_equal(ask(rows[i].path, NULL, (struct yg_client_request){0}, &buf, &out,
					 &err),
			-1);
		assert_int_equal(err.retry_s, rows[i].retry_s);
	}
}

/* Of a file that somebody has changed nothing but a hint is lost. */
static void test_no_header_from_a_file(void **state)
{
	(void)state;
	static const char *const tags[] = {"\"a\"\r\nX-Injected: 1", "\"a\"\nX-Injected: 1",
		"no quotes", "\"", "", "\"a b\"", "\"a\"b\""};
	for (size_t i = 0; i < YG_COUNT(tags); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_client_reply out = {0};
		const struct yg_client_request request = {.etag = tags[i]};
		if (ask("/etag", NULL, request, &buf, &out, &err) < 0)
			fail_msg("%zu: %s", i, err.msg);
	}
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(100);
	struct yg_client_reply out = {0};
	const struct yg_client_request request = {.bearer = "k\r\nX-Injected: 1"};
	assert_int_equal(ask("/good", NULL, request, &buf, &out, &err), -1);
	assert_string_equal(err.msg, "bearer: want no control characters");
}

static void test_bad_proxies(void **state)
{
	(void)state;
	static const char *const urls[] = {"ftp://u:hidden@p:1", "http://u:hidden@p", "http://p:0",
		"http://u:hidden@p:99999", "socks4://p:1", "http://u:hid den@p:1", "::::"};
	for (size_t i = 0; i < YG_COUNT(urls); i++) {
		struct yg_err err = {0};
		const struct yg_proxy via = {.url = urls[i]};
		assert_null(yg_client_new(NULL, NULL, &via, &err));
		assert_string_equal(err.cause, "proxy.url");
		assert_null(strstr(err.msg, "hid"));
	}
}

/* --- from the loop: what is looked at again is not the end */

struct waiting {
	struct yg_loop *loop;
	int rc, left;
	char cause[YG_ERR_CAUSE_MAX];
	uint32_t retry_s;
};

static void on_done(void *ctx, const struct yg_client_reply *out, const struct yg_err *err)
{
	struct waiting *waiting = ctx;
	(void)out;
	waiting->rc = err->code ? -1 : 0;
	waiting->retry_s = err->retry_s;
	(void)snprintf(waiting->cause, sizeof(waiting->cause), "%s", err->cause);
	if (--waiting->left == 0)
		yg_loop_stop(waiting->loop);
}

static void test_from_the_loop(void **state)
{
	(void)state;
	char proxy[64], busy[80];
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", port);
	(void)snprintf(busy, sizeof(busy), "%s/busy", proxy);
	const struct {
		const char *url, *proxy, *password, *cause; /* begins so; NULL: good */
		uint32_t retry_s;
	} rows[] = {
		{"http://both.test/x", proxy, "hidden", NULL, 0},
		{"http://both.test/x", proxy, "wrong", "proxy.credentials", 0},
		{"http://nowhere.invalid/", NULL, NULL, "net.dns", 0},
		{"http://x.test/", "http://nowhere.invalid:1", NULL, "proxy.dns", 0},
		{busy, NULL, NULL, "http.busy", 90},
		{"http://x.test/", "http://127.0.0.1:1", NULL, "proxy.refused", 0},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
		const struct yg_proxy via = {.url = rows[i].proxy,
			.user = rows[i].password ? "u" : NULL,
			.password = rows[i].password};
		struct yg_client *client YG_AUTO(yg_client) = yg_client_new(loop, NULL, &via, &err);
		assert_non_null(client);
		struct waiting waiting = {.loop = loop, .left = 1};
		const struct yg_client_request request = {.url = rows[i].url, .max = 50};
		assert_non_null(yg_client_start(client, &request, on_done, &waiting));
		yg_loop_run(loop);
		const char *want = rows[i].cause ? rows[i].cause : "";
		if ((waiting.rc == 0) != (rows[i].cause == NULL) ||
			strncmp(waiting.cause, want, strlen(want)) != 0)
			fail_msg("row %zu: want '%s', have '%s'", i, want, waiting.cause);
		assert_int_equal(waiting.retry_s, rows[i].retry_s);
	}
}

/* One that is asked why a name does not resolve may be forgotten meanwhile. */
static void test_cancelled_while_asking(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(loop, NULL, NULL, &err);
	assert_non_null(client);
	struct waiting waiting = {.loop = loop, .left = 1};
	const struct yg_client_request request = {.url = "http://nowhere.invalid/", .max = 50};
	for (int i = 0; i < 20; i++)
		yg_client_cancel(yg_client_start(client, &request, on_done, &waiting));
	assert_non_null(yg_client_start(client, &request, on_done, &waiting));
	yg_loop_run(loop);
	assert_int_equal(waiting.left, 0);
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

/* What curl tells each second, of a call that may be idle for twenty: bytes sent and received by then. */
static void test_idle(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int64_t ready_s, moved_s, window_s; /* ago; window_s 0: nothing has moved yet */
		curl_off_t before, window_bytes, down, up;
		bool stalled, slow;
	} rows[] = {
		{"it has just begun", 5, 5, 0, 0, 0, 0, 0, false, false},
		{"no answer", 30, 30, 0, 0, 0, 0, 0, true, false},
		{"no answer to what was sent", 30, 25, 15, 5000, 5000, 0, 5000, true, false},
		{"an upload goes on", 30, 25, 15, 5000, 1000, 0, 9000, false, false},
		{"the same, and it is time to look at its speed", 30, 10, 25, 5000, 1000, 0, 9000,
			false, false},
		{"the answer to an upload is late", 30, 15, 15, 9000, 1000, 0, 9000, false, false},
		{"a download goes on", 30, 25, 15, 5000, 1000, 4000, 5000, false, false},
		{"next to nothing goes", 30, 10, 25, 1002, 1000, 0, 1003, false, true},
		{"a redirect counts from the start", 30, 10, 15, 5000, 1000, 20, 0, false, false},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const int64_t now = yg_clock_mono_ms();
		struct yg_client_call call = {.idle_s = 20,
			.ready_ms = now - rows[i].ready_s * 1000,
			.moved_ms = now - rows[i].moved_s * 1000,
			.moved = rows[i].before,
			.window_ms = rows[i].window_s ? now - rows[i].window_s * 1000 : 0,
			.window_bytes = rows[i].window_bytes};
		int stop = client_take_progress(&call, 0, rows[i].down, 0, rows[i].up);
		if (call.stalled != rows[i].stalled || call.slow != rows[i].slow ||
			stop != (rows[i].stalled || rows[i].slow))
			fail_msg("%s: stalled %d, slow %d, %d", rows[i].name, call.stalled,
				call.slow, stop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_resuming),
		cmocka_unit_test(test_no_password_of_the_address),
		cmocka_unit_test(test_headers_in_other_alphabets),
		cmocka_unit_test(test_any_status),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_credentials_in_the_address),
		cmocka_unit_test(test_socks),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_no_header_from_a_file),
		cmocka_unit_test(test_bad_proxies),
		cmocka_unit_test(test_from_the_loop),
		cmocka_unit_test(test_cancelled_while_asking),
		cmocka_unit_test(test_bad_pem),
		cmocka_unit_test(test_idle),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
