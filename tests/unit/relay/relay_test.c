/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "../../lib/pki.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/super.h"
#include "net/client.h"

/* The program itself, in its sandbox, with us as its parent and its session. */

#define AGENT "urn:yagura:agent:11111111-2222-4333-8444-555555555555"
#define RELAY "urn:yagura:relay:99999999-2222-4333-8444-555555555555"
#define SHA   "ab000000000000000000000000000000000000000000000000000000000000ff"

static const char *program;

struct world {
	struct pki ca, foreign;
	struct party relay, agent, revoked, expired, odd, stranger;
	char dir[64];
	int state; /* descriptor of dir */
	int log;
	pid_t pid;
	struct yg_loop *loop;
	struct yg_ipc *parent, *session;
	uint16_t port;
};

static struct world world;

static void nothing(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	(void)ipc;
	(void)msg;
}

static const struct yg_ipc_handler parent_handlers[] = {{"ready", nothing}, {0}};
static const struct yg_ipc_handler no_handlers[] = {{0}};

static void on_closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ctx;
	(void)ipc;
}

static void put(const char *path, const char *text)
{
	struct yg_err err = {0};
	char folder[256];
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	assert_int_equal(yg_fs_mkdirs(world.state, folder, 0755, &err), 0);
	assert_int_equal(yg_fs_replace(world.state, path, yg_bytes_of(text), 0444, &err), 0);
}

static void start_program(void)
{
	int pair[2], links[2];
	struct yg_err err = {0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, links), 0);
	world.pid = fork();
	if (world.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(world.log, STDERR_FILENO);
		if (pair[1] == YG_SUPER_FD)
			(void)fcntl(pair[1], F_SETFD, 0);
		else
			(void)dup2(pair[1], YG_SUPER_FD);
		(void)execl(program, program, "--role", "relay", NULL);
		_exit(127);
	}
	(void)close(pair[1]);
	world.parent = yg_ipc_new(world.loop, pair[0], "relay", parent_handlers, on_closed, NULL,
		&err);
	world.session = yg_ipc_new(world.loop, links[0], "relay", no_handlers, on_closed, NULL,
		&err);
	json_t *config = json_pack("{s:s, s:s, s:i, s:s, s:s}", "role", "relay", "tag", "", "port",
		0, "bind", "127.0.0.1", "user", "");
	assert_int_equal(yg_ipc_send(world.parent, "config", config, &world.state, 1, &err), 0);
	assert_int_equal(yg_ipc_send(world.parent, "link",
				 json_pack("{s:s, s:s}", "peer", "session", "tag", ""), &links[1],
				 1, &err),
		0);
	(void)close(links[1]);
}

static json_t *call(const char *name, json_t *body, struct yg_err *err)
{
	json_t *reply = NULL;
	if (yg_ipc_call(world.session, name, body, NULL, 0, &reply, NULL, err) < 0)
		assert_int_not_equal(err->code, YG_OK);
	return reply;
}

static json_t *serve_body(const char *key)
{
	return json_pack("{s:i, s:[s], s:s, s:s, s:s}", "port", 0, "revoked", world.revoked.serial,
		"ca_bundle", world.ca.cert, "cert", world.relay.cert, "key", key);
}

/* relay.serve with the revoked certificates in a descriptor. NULL, or the failure. */
static const struct yg_err *serve_list(struct yg_bytes list, struct yg_err *err)
{
	json_t *reply YG_AUTO(yg_json) = NULL;
	json_t *body = serve_body(world.relay.key);
	(void)json_object_del(body, "revoked");
	int fd YG_AUTO(fd) = yg_fs_memfd("revoked", list, err);
	assert_true(fd >= 0);
	return yg_ipc_call(world.session, "relay.serve", body, &fd, 1, &reply, NULL, err) < 0
		? err
		: NULL;
}

static int set_up(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)alarm(100);
	pki_init(&world.ca, "Yagura CA");
	pki_init(&world.foreign, "Foreign CA");
	party_init(&world.relay, &world.ca, RELAY, 0, 30);
	party_init(&world.agent, &world.ca, AGENT, 0, 30);
	party_init(&world.revoked, &world.ca, AGENT, 0, 30);
	party_init(&world.expired, &world.ca, AGENT, yg_clock_now_s() - 10 * 86400, 5);
	party_init(&world.odd, &world.ca, "urn:other:thing", 0, 30);
	party_init(&world.stranger, &world.foreign, AGENT, 0, 30);
	(void)snprintf(world.dir, sizeof(world.dir), "/tmp/yagura-relay-test.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	world.state = yg_fs_open_dir(AT_FDCWD, world.dir, &err);
	world.log = memfd_create("log", 0);
	put("state/identity", "private");
	world.loop = yg_loop_new(&err);
	start_program();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)kill(world.pid, SIGTERM);
	int status = -1;
	(void)waitpid(world.pid, &status, 0);
	yg_ipc_free(world.session);
	yg_ipc_free(world.parent);
	yg_loop_free(world.loop);
	(void)close(world.state);
	(void)close(world.log);
	assert_int_equal(yg_fs_remove(AT_FDCWD, world.dir, &err), 0);
	pki_done(&world.ca);
	pki_done(&world.foreign);
	party_done(&world.relay);
	party_done(&world.agent);
	party_done(&world.revoked);
	party_done(&world.odd);
	party_done(&world.stranger);
	party_done(&world.expired);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static const char *log_text(void)
{
	static char text[65536];
	ssize_t n = pread(world.log, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

/* Ask as somebody; -1 with *err, or the status. */
static int ask(const struct party *who, const char *path, const char *etag, bool any_status,
	struct yg_client_reply *reply, struct yg_buf *buf, struct yg_err *err)
{
	char url[512];
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", world.port, path);
	struct yg_tls tls = {.cert = who->cert,
		.key = who->key,
		.cas = world.ca.cert,
		.peer_uri = RELAY};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, NULL, err);
	assert_non_null(client);
	struct yg_client_request request = {.url = url,
		.etag = etag,
		.max = 65536,
		.content = !any_status,
		.any_status = any_status};
	return yg_client_text(client, &request, buf, reply, err) < 0 ? -1 : reply->status;
}

static void test_messages(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *none YG_AUTO(yg_json) = call("relay.serve", json_object(), &err);
	assert_null(none);
	assert_string_equal(err.msg, "relay.serve: cert: want a string, have nothing");
	err = (struct yg_err){0};
	json_t *wrong YG_AUTO(yg_json) = call("relay.serve", serve_body(world.agent.key), &err);
	assert_null(wrong);
	assert_string_equal(err.msg,
		"relay.serve: own TLS key: it does not belong to the certificate");
	err = (struct yg_err){0};
	json_t *off YG_AUTO(yg_json) = call("relay.status", NULL, &err);
	assert_string_equal(json_string_value(json_object_get(off, "state")), "off");

	json_t *reply YG_AUTO(yg_json) = call("relay.serve", serve_body(world.relay.key), &err);
	if (!reply)
		fail_msg("%s; log: %s", err.msg, log_text());
	world.port = (uint16_t)json_integer_value(json_object_get(reply, "port"));
	assert_true(world.port > 0);
	json_t *status YG_AUTO(yg_json) = call("relay.status", NULL, &err);
	assert_string_equal(json_string_value(json_object_get(status, "state")), "empty");
}

static void test_empty(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
	struct yg_client_reply reply = {0};
	assert_int_equal(ask(&world.agent, "/metadata/timestamp.json", NULL, true, &reply, &buf,
				 &err),
		503);
	assert_int_equal(reply.retry_after_s, 5);
	assert_string_equal((const char *)reply.body.ptr,
		"{\"error\":{\"code\":\"unavailable\",\"message\":\"the relay has no content yet\"}}");
}

static void test_serving(void **state)
{
	(void)state;
	put("relay/objects/ab/" SHA, "object");
	put("relay/targets/am/" SHA ".am-pattern.json", "{\"m\":1}");
	put("relay/metadata/1.root.json", "{\"r\":1}");
	put("relay/metadata/timestamp.json", "{\"t\":1}");
	put("relay/metadata/deep/x.json", "no");
	const struct {
		const char *path;
		int status;
		const char *body, *etag, *type;
	} cases[] = {
		{"/metadata/timestamp.json", 200, "{\"t\":1}",
			"\"4834945f7bf91f82efc5cf881d902ec1cfa58f1be01cb35fe602b8ad4620c552\"",
			"application/json"},
		{"/metadata/1.root.json", 200, "{\"r\":1}", NULL, "application/json"},
		{"/targets/am/" SHA ".am-pattern.json", 200, "{\"m\":1}", "\"" SHA "\"",
			"application/json"},
		{"/objects/ab/" SHA, 200, "object", "\"" SHA "\"", "application/octet-stream"},
		{"/metadata/2.root.json", 404, NULL, NULL, NULL},
		{"/objects/cd/" SHA, 404, NULL, NULL, NULL},
		{"/objects/ab/short", 404, NULL, NULL, NULL},
		{"/objects/ab/..%2f..%2f..%2fstate%2fidentity", 404, NULL, NULL, NULL},
		{"/metadata/..%2f..%2fstate%2fidentity", 404, NULL, NULL, NULL},
		{"/metadata/../../state/identity", 404, NULL, NULL, NULL},
		{"/metadata/.hidden", 404, NULL, NULL, NULL},
		{"/metadata/deep/x.json", 404, NULL, NULL, NULL},
		{"/metadata/deep", 500, NULL, NULL, NULL},
		{"/targets/am/x.json", 404, NULL, NULL, NULL},
		{"/state/identity", 404, NULL, NULL, NULL},
		{"/", 404, NULL, NULL, NULL},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
		struct yg_client_reply reply = {0};
		int status = ask(&world.agent, cases[i].path, NULL, true, &reply, &buf, &err);
		if (status != cases[i].status)
			fail_msg("%s: want %d, have %d %s", cases[i].path, cases[i].status, status,
				err.msg);
		if (cases[i].body)
			assert_string_equal((const char *)reply.body.ptr, cases[i].body);
		if (cases[i].type)
			assert_string_equal(reply.type, cases[i].type);
		if (cases[i].etag)
			assert_string_equal(reply.etag, cases[i].etag);
		if (status != 200)
			continue;
		char etag[128];
		(void)snprintf(etag, sizeof(etag), "%s", reply.etag);
		assert_int_equal(strlen(etag), 66);
		assert_int_equal(ask(&world.agent, cases[i].path, etag, false, &reply, &buf, &err),
			304);
	}
	struct yg_err err = {0};
	json_t *status YG_AUTO(yg_json) = call("relay.status", NULL, &err);
	assert_string_equal(json_string_value(json_object_get(status, "state")), "on");
}

static void test_refusals(void **state)
{
	(void)state;
	const struct {
		const struct party *who;
		const char *cause, *words, *log;
	} cases[] = {
		{&world.revoked, "auth.revoked", "is revoked", ": is revoked"},
		{&world.expired, "auth.expired", "expired at 20", ": expired at 20"},
		{&world.odd, "http.forbidden", "is not one of an agent",
			": is not one of an agent"},
		{&world.stranger, "tls.rejected_us", "over our certificate",
			"issued by CN=Foreign CA"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
		struct yg_client_reply reply = {0};
		assert_int_equal(ask(cases[i].who, "/metadata/timestamp.json", NULL, false, &reply,
					 &buf, &err),
			-1);
		assert_string_equal(err.cause, cases[i].cause);
		if (!strstr(err.msg, cases[i].words))
			fail_msg("no '%s' in '%s'", cases[i].words, err.msg);
		if (!strstr(log_text(), cases[i].log))
			fail_msg("no '%s' in the log: %s", cases[i].log, log_text());
	}
	struct yg_err err = {0};
	json_t *status YG_AUTO(yg_json) = call("relay.status", NULL, &err);
	assert_int_equal(json_integer_value(json_object_get(status, "refused")), YG_COUNT(cases));

	/* A list without it: the next connection is served. */
	json_t *body = serve_body(world.relay.key);
	(void)json_object_set_new(body, "revoked", json_array());
	json_t *reply YG_AUTO(yg_json) = call("relay.serve", body, &err);
	assert_non_null(reply);
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
	struct yg_client_reply answer = {0};
	assert_int_equal(ask(&world.revoked, "/metadata/timestamp.json", NULL, false, &answer, &buf,
				 &err),
		200);
}

/* As many as a heartbeat brings are more than a message holds. */
static void test_long_list(void **state)
{
	(void)state;
	static const struct {
		const char *list, *error;
	} bad[] = {
		{"7", "relay.serve: revoked: want an array, have nothing"},
		{"{", "relay.serve: revoked: JSON: line 1: "},
		{"{\"revoked\":[\"ab\"]}", "relay.serve: revoked[0]: want upper-case hex digits"},
	};
	struct yg_err err = {0};
	json_t *serials = json_array();
	char serial[40];
	for (unsigned i = 0; i < 9999; i++) {
		(void)snprintf(serial, sizeof(serial), "%032X", i + 1);
		assert_int_equal(json_array_append_new(serials, json_string(serial)), 0);
	}
	assert_int_equal(json_array_append_new(serials, json_string(world.revoked.serial)), 0);
	json_t *list YG_AUTO(yg_json) = json_pack("{s:o}", "revoked", serials);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	assert_int_equal(yg_json_dump(list, &text, &err), 0);
	assert_true(text.len > YG_IPC_SIZE_MAX);
	/* One that is connected already is refused from its next request on. */
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(65537);
	struct yg_client_reply answer = {0};
	struct yg_tls tls = {.cert = world.revoked.cert,
		.key = world.revoked.key,
		.cas = world.ca.cert,
		.peer_uri = RELAY};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, NULL, &err);
	char url[128];
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/metadata/timestamp.json",
		world.port);
	struct yg_client_request request = {.url = url, .max = 65536, .any_status = true};
	assert_int_equal(yg_client_text(client, &request, &buf, &answer, &err), 0);
	assert_int_equal(answer.status, 200);
	assert_null(serve_list(yg_buf_bytes(&text), &err));
	assert_int_equal(err.code, YG_OK);
	assert_int_equal(yg_client_text(client, &request, &buf, &answer, &err), 0);
	assert_int_equal(answer.status, 403);
	assert_int_equal(ask(&world.revoked, "/metadata/timestamp.json", NULL, true, &answer, &buf,
				 &err),
		403);
	assert_int_equal(ask(&world.agent, "/metadata/timestamp.json", NULL, true, &answer, &buf,
				 &err),
		200);
	/* A list that cannot be read leaves the one before. */
	for (size_t i = 0; i < YG_COUNT(bad); i++) {
		err = (struct yg_err){0};
		assert_non_null(serve_list(yg_bytes_of(bad[i].list), &err));
		if (strncmp(err.msg, bad[i].error, strlen(bad[i].error)) != 0)
			fail_msg("want '%s', have '%s'", bad[i].error, err.msg);
		err = (struct yg_err){0};
		assert_int_equal(ask(&world.revoked, "/metadata/timestamp.json", NULL, true,
					 &answer, &buf, &err),
			403);
	}
}

/* The folder above its own is out of its reach, also by descriptors it was started with. */
static void test_sandbox(void **state)
{
	(void)state;
	char path[64], text[4096];
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)world.pid);
	int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	if (yg_sandbox_walls())
		assert_non_null(strstr(text, "Seccomp:\t2"));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	for (int i = 0; i < 64; i++) {
		char to[256];
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)world.pid, i);
		ssize_t len = readlink(path, to, sizeof(to) - 1);
		to[len > 0 ? len : 0] = 0;
		assert_string_not_equal(to, world.dir);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 77;
	program = argv[1];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_serving),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_sandbox),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
