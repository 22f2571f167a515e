/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The conversation with a Manager that this test plays: what comes when, and what is said of a refusal. */
#include "agent/manager.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "crypto/hash.h"
#include "net/server.h"
#include "tests/lib/cmocka_all.h"
#include "tests/lib/pki.h"

#define ID      "11111111-2222-4333-8444-555555555555"
#define AGENT   "urn:yagura:agent:" ID
#define MANAGER "urn:yagura:manager:" ID
#define DAY     86400

struct scene {
	struct pki ca;
	struct party server, agent;
	struct identity identity;
	char url[64], dir[32];
	int state;
	struct yg_loop *loop;
	struct yg_timer *limit;
	struct yg_server *listener;
	struct spool *spool;
	struct manager *manager;
	char came[64]; /* h: heartbeat, e: events, r: renewal; in their order */
	bool hold;
	struct yg_server_request *held; /* a heartbeat that is not answered yet */
	char want;                      /* stop when this came */
	int busy;                       /* batches of events that are not taken */
	char jobs[64];                  /* of results that were taken, in their order */
	json_t *csr;
	struct identity *renewed;
};

/* ---- the Manager ---- */

static void came(struct scene *s, char what)
{
	size_t n = strlen(s->came);
	assert_true(n < sizeof(s->came) - 1);
	s->came[n] = what;
	if (s->want == what)
		yg_loop_stop(s->loop);
}

static void answer_beat(struct scene *s, struct yg_server_request *request)
{
	char hash[YG_HASH_TEXT];
	struct yg_err err = {0};
	assert_int_equal(yg_hash_text(yg_bytes_of(s->ca.cert), hash, &err), 0);
	yg_server_reply_json(request, 200,
		json_pack("{s:s,s:i,s:{s:s},s:{s:[],s:{s:s,s:s},s:b,s:{s:i,s:i}},s:[],s:s}", "time",
			"2026-11-21T22:47:43Z", "interval_s", 60, "policy", "fingerprint", hash,
			"settings", "relays", "source", "url", "https://localhost/", "ca", "",
			"direct_fallback", 1, "update", "tries", 3, "timeout_s", 60, "revoked",
			"ca_bundle_sha256", hash));
}

static void on_gone(void *ctx, struct yg_server_request *request)
{
	(void)request;
	((struct scene *)ctx)->held = NULL;
}

static void on_beat(void *ctx, struct yg_server_request *request)
{
	struct scene *s = ctx;
	if (s->hold) {
		s->held = request;
		yg_server_hold(request, on_gone, s);
	} else {
		answer_beat(s, request);
	}
	came(s, 'h');
}

static void on_commands(void *ctx, struct yg_server_request *request)
{
	(void)ctx;
	yg_server_reply_json(request, 200, json_pack("{s:[]}", "commands"));
}

static void on_events(void *ctx, struct yg_server_request *request)
{
	struct scene *s = ctx;
	json_t *body YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_server_json(request, &body), 0);
	const json_t *entries = json_object_get(body, "entries");
	json_t *last = json_array_get(entries, json_array_size(entries) - 1);
	if (s->busy > 0) {
		s->busy--;
		yg_server_reply_json(request, 503, json_pack("{s:{}}", "error"));
		came(s, 'x');
		return;
	}
	size_t i;
	json_t *entry;
	json_array_foreach(entries, i, entry)
	{
		const char *job = json_string_value(json_object_get(entry, "job"));
		if (job)
			(void)strncat(s->jobs, job, sizeof(s->jobs) - strlen(s->jobs) - 1);
	}
	yg_server_reply_json(request, 200, json_pack("{s:O}", "ack", json_object_get(last, "seq")));
	came(s, 'e');
}

static void on_renew(void *ctx, struct yg_server_request *request)
{
	struct scene *s = ctx;
	json_t *body YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_server_json(request, &body), 0);
	s->csr = json_incref(json_object_get(body, "csr"));
	yg_server_reply_json(request, 200,
		json_pack("{s:s,s:s}", "certificate", s->agent.cert, "ca_bundle", s->ca.cert));
	came(s, 'r');
}

static const struct yg_server_route routes[] = {
	{"POST", "/agent/v1/heartbeat", on_beat, false},
	{"GET", "/agent/v1/commands", on_commands, false},
	{"POST", "/agent/v1/events", on_events, false},
	{"POST", "/agent/v1/renew", on_renew, false},
	{0},
};

/* ---- the agent ---- */

static json_t *object(void *ctx)
{
	(void)ctx;
	return json_object();
}

static void settings(void *ctx, const json_t *given, const json_t *revoked)
{
	(void)ctx;
	(void)given;
	(void)revoked;
}

static bool no_policy(void *ctx, const char *fingerprint)
{
	(void)ctx;
	(void)fingerprint;
	return false;
}

static void policy(void *ctx, const char *fingerprint, const json_t *document)
{
	(void)ctx;
	(void)fingerprint;
	(void)document;
}

static bool command(void *ctx, const json_t *given)
{
	(void)ctx;
	(void)given;
	return true;
}

static void renewed(void *ctx, struct identity *identity)
{
	struct scene *s = ctx;
	s->renewed = identity;
	yg_loop_stop(s->loop);
}

static void event(void *ctx, unsigned id, json_t *params)
{
	(void)ctx;
	(void)id;
	json_decref(params);
}

static const struct manager_ops ops = {object, object, settings, no_policy, policy, command,
	renewed, event};

static void too_late(void *ctx)
{
	yg_loop_stop(((struct scene *)ctx)->loop);
}

/* A certificate for 90 days, so many of which are over. */
static struct scene *scene_new(int days_over)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct yg_err err = {0};
	int64_t from = yg_clock_now_s() - (int64_t)days_over * DAY;
	assert_non_null(s);
	memcpy(s->dir, "/tmp/manager_test.XXXXXX", sizeof("/tmp/manager_test.XXXXXX"));
	assert_non_null(mkdtemp(s->dir));
	s->state = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pki_init(&s->ca, "Manager CA");
	party_init(&s->server, &s->ca, MANAGER, 0, 30);
	party_init(&s->agent, &s->ca, AGENT, from, 90);
	s->loop = yg_loop_new(&err);
	s->limit = yg_loop_timer(s->loop, too_late, s);
	int fd = yg_server_listen("127.0.0.1", 0, &err);
	assert_true(fd >= 0);
	(void)snprintf(s->url, sizeof(s->url), "https://localhost:%u", yg_server_port(fd));
	const struct yg_tls tls = {.cert = s->server.cert, .key = s->server.key, .cas = s->ca.cert};
	const struct yg_server_options options = {.name = "manager",
		.client = YG_SERVER_ASK,
		.routes = routes,
		.ctx = s};
	s->listener = yg_server_new(s->loop, fd, &tls, &options, &err);
	assert_non_null(s->listener);
	const struct spool_limits limits = {.bytes = 1 << 20, .entries = 1000};
	s->spool = spool_open(s->state, &limits, &err);
	assert_non_null(s->spool);
	static char id[] = ID;
	static char name[] = "test";
	s->identity = (struct identity){.agent_id = id,
		.manager_id = id,
		.manager_url = s->url,
		.name = name,
		.key = s->agent.key,
		.cert = s->agent.cert,
		.cas = s->ca.cert,
		.not_before_s = from,
		.not_after_s = from + 90 * (int64_t)DAY};
	s->manager = manager_new(s->loop, &s->identity, s->spool, NULL, &ops, s, &err);
	assert_non_null(s->manager);
	return s;
}

static void scene_free(struct scene *s)
{
	struct yg_err err = {0};
	manager_free(s->manager);
	yg_server_free(s->listener);
	spool_free(s->spool);
	yg_timer_free(s->limit);
	yg_loop_free(s->loop);
	identity_free(s->renewed);
	json_decref(s->csr);
	party_done(&s->server);
	party_done(&s->agent);
	pki_done(&s->ca);
	(void)close(s->state);
	assert_int_equal(yg_fs_remove(AT_FDCWD, s->dir, &err), 0);
	free(s);
}

/* Run until this comes, at most so long. */
static void wait_for(struct scene *s, char what, int64_t ms)
{
	s->want = what;
	yg_timer_set(s->limit, ms);
	yg_loop_run(s->loop);
}

static void add_event(struct scene *s)
{
	struct yg_err err = {0};
	assert_int_equal(spool_add(s->spool,
				 json_pack("{s:s,s:i,s:s,s:{}}", "kind", "event", "id", 5000,
					 "time", "2026-11-21T22:47:43Z", "params"),
				 &err),
		0);
	manager_events(s->manager);
}

static void events_do_not_overtake_the_status(void **unused)
{
	(void)unused;
	struct scene *s = scene_new(0);
	wait_for(s, 'h', 10000);
	wait_for(s, 0, 200);
	assert_string_equal(s->came, "h");

	add_event(s); /* nothing has changed */
	wait_for(s, 'e', 10000);
	assert_string_equal(s->came, "he");

	manager_beat(s->manager);
	add_event(s);
	wait_for(s, 'e', 10000);
	assert_string_equal(s->came, "hehe");

	/* Something changes while a heartbeat is under way: that one does not know it. */
	wait_for(s, 0, 200);
	s->hold = true;
	manager_beat(s->manager);
	wait_for(s, 'h', 10000);
	s->hold = false;
	manager_beat(s->manager);
	add_event(s);
	wait_for(s, 'e', 400);
	assert_string_equal(s->came, "heheh");
	assert_non_null(s->held);
	answer_beat(s, s->held);
	wait_for(s, 'e', 10000);
	assert_string_equal(s->came, "hehehhe");
	scene_free(s);
}

static json_t *entry_of(const char *kind, const char *job)
{
	return json_pack("{s:i,s:s,s:s}", "seq", 0, "kind", kind, "job", job);
}

/* No disk has it: it waits for the Manager here, and progress does not push it out. */
static void a_result_that_cannot_be_kept_comes_through(void **unused)
{
	(void)unused;
	static const char *const jobs[] = {"a", "b", "c"};
	struct scene *s = scene_new(0);
	wait_for(s, 'h', 10000);
	wait_for(s, 0, 200);
	for (size_t i = 0; i < YG_COUNT(jobs); i++)
		manager_unkept(s->manager, entry_of("result", jobs[i]));
	manager_progress(s->manager, entry_of("progress", "1"));
	manager_progress(s->manager, entry_of("progress", "2"));
	wait_for(s, 0, 300);
	assert_string_equal(s->jobs, "abc2");

	/* A Manager that is not there for it now gets it after its next heartbeat. */
	s->jobs[0] = 0;
	s->busy = 1;
	manager_unkept(s->manager, entry_of("result", "d"));
	wait_for(s, 'x', 10000);
	wait_for(s, 0, 200);
	assert_string_equal(s->jobs, "");
	manager_beat(s->manager);
	wait_for(s, 'e', 10000);
	assert_string_equal(s->jobs, "d");
	manager_beat(s->manager);
	wait_for(s, 'h', 10000);
	wait_for(s, 0, 200);
	assert_string_equal(s->jobs, "d"); /* once */
	scene_free(s);
}

static void a_certificate_is_renewed_at_two_thirds_of_its_life(void **unused)
{
	(void)unused;
	struct scene *s = scene_new(59);
	wait_for(s, 'r', 1000);
	assert_string_equal(s->came, "h");
	scene_free(s);

	s = scene_new(61);
	wait_for(s, 0, 10000); /* until the new one is handed over */
	assert_string_equal(s->came, "hr");
	assert_non_null(s->renewed);
	assert_string_equal(s->renewed->agent_id, ID);
	assert_string_equal(s->renewed->cert, s->agent.cert); /* as it was answered */
	assert_string_not_equal(s->renewed->key, s->agent.key);
	assert_non_null(strstr(json_string_value(s->csr), "BEGIN CERTIFICATE REQUEST"));
	scene_free(s);
}

static void an_expired_certificate_is_one_clear_line(void **unused)
{
	(void)unused;
	char text[8192] = "";
	int log YG_AUTO(fd) = memfd_create("log", MFD_CLOEXEC);
	int real YG_AUTO(fd) = dup(STDERR_FILENO);
	assert_true(dup2(log, STDERR_FILENO) >= 0);
	struct scene *s = scene_new(91);
	wait_for(s, 0, 1500);
	assert_true(dup2(real, STDERR_FILENO) >= 0);
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);

	assert_string_equal(s->came, ""); /* nothing was taken from it */
	const char *said = manager_error(s->manager);
	static const char *const words[] = {"the Manager answered 403: your certificate (serial ",
		") expired at 20", "activate the computer again"};
	for (size_t i = 0; i < YG_COUNT(words); i++)
		if (!strstr(said, words[i]))
			fail_msg("no '%s' in '%s'", words[i], said);
	const char *line = strstr(text, "manager.failed: ");
	assert_non_null(line);
	assert_non_null(strstr(line, said));
	assert_null(strstr(line + 1, "manager.failed: "));
	scene_free(s);
}

static void a_refusal_has_the_cause_that_the_manager_says(void **unused)
{
	(void)unused;
	static const struct {
		int status;
		const char *body;
		enum yg_code code;
		const char *cause, *words;
	} cases[] = {
		{401, "{\"error\":{\"code\":\"unauthorized\",\"message\":\"no\",\"cause\":\"auth.token_used\"}}",
			YG_EUNTRUSTED, "auth.token_used", "the Manager answered 401: no"},
		{403, "{\"error\":{\"code\":\"forbidden\",\"message\":\"m\",\"cause\":\"auth.revoked\"}}",
			YG_EUNTRUSTED, "auth.revoked", "the Manager answered 403: m"},
		{403, "{\"error\":{\"code\":\"certificate_expired\",\"message\":\"m\",\"cause\":\"auth.expired\"}}",
			YG_EUNTRUSTED, "auth.expired", "403: m"},
		/* What it says is not what it is called: the words do not count. */
		{401, "{\"error\":{\"code\":\"unauthorized\",\"message\":\"expired, revoked\"}}",
			YG_EUNTRUSTED, "auth.token", "401: expired, revoked"},
		{403, "{\"error\":{\"message\":\"m\",\"cause\":\"new.thing\"}}", YG_EUNTRUSTED,
			"auth.agent", "403: m"},
		{403, "<html>a proxy</html>", YG_EUNTRUSTED, "auth.agent",
			"the Manager answered 403"},
		{503, "{\"error\":{\"code\":\"unavailable\",\"message\":\"later\"}}", YG_EAGAIN, "",
			"503: later"},
		{404, "", YG_EABSENT, "", "404"},
		{400, "{\"error\":{\"message\":\"hello: want an object\"}}", YG_EFORMAT, "",
			"400: hello: want an object"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		assert_int_equal(manager_refusal(cases[i].status, yg_bytes_of(cases[i].body), &err),
			-1);
		assert_int_equal(err.code, cases[i].code);
		assert_string_equal(err.cause, cases[i].cause);
		if (!strstr(err.msg, cases[i].words))
			fail_msg("no '%s' in '%s'", cases[i].words, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_do_not_overtake_the_status),
		cmocka_unit_test(a_result_that_cannot_be_kept_comes_through),
		cmocka_unit_test(a_certificate_is_renewed_at_two_thirds_of_its_life),
		cmocka_unit_test(an_expired_certificate_is_one_clear_line),
		cmocka_unit_test(a_refusal_has_the_cause_that_the_manager_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
