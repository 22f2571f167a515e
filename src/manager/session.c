/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/session.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "manager/edge.h"
#include "proto/wire.h"

/* Agents' requests (docs/wire.md, "Agent → Manager"). Everything an agent says is checked here for its
 * form and answered by the store; only activation and renewal take a second step through the ca, and
 * only the commands request waits.
 *
 *     held: GET /commands ── agents.commands ──> something: answer
 *                                            └─> nothing: wait for store.wake (ask again), the end of
 *                                                the wait (empty answer), or the next request of the
 *                                                same agent (empty answer to the older one)
 *
 * A held request is one small object and one timer besides the connection itself.
 */

#define BUCKETS 1024 /* of the table of held requests, by agent */

struct session;

/* A held commands request. */
struct held {
	struct edge_wait wait; /* first: see held_gone */
	struct session *session;
	struct held *next; /* in its bucket */
	struct yg_timer *timer;
	char agent[40];
	char serial[YG_X509_SERIAL];
	int64_t after;
	bool asking; /* the store has not answered yet */
	bool again;  /* it was woken meanwhile */
	bool over;   /* the wait is over: the next answer goes out whatever it holds */
	bool done;   /* answered or gone; freed when the store has answered */
};

struct session {
	struct edge edge;
	struct held *held[BUCKETS];
};

/* Any other request on its way. */
struct ask {
	struct edge_wait wait; /* first */
	struct session *session;
	char *csr;      /* activate, renew; owned */
	char agent[40]; /* of a renewal */
	bool renewal;
};

/* ---- who asks ---- */

static int identity(struct yg_server_request *request, char agent[40], char serial[YG_X509_SERIAL],
	struct yg_err *err)
{
	const struct yg_x509_info *cert = yg_server_cert(request);
	const char *id = cert ? yg_x509_uri_after(cert, "urn:yagura:agent:") : NULL;
	if (!id || !yg_wire_uuid_ok(id))
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.agent",
			"client certificate '%s': want a name urn:yagura:agent:<uuid>, have none",
			cert ? cert->subject : "");
	if (!yg_str_put(agent, 40, "%s", id) ||
		!yg_str_put(serial, YG_X509_SERIAL, "%s", cert->serial))
		return yg_fail(err, YG_ELIMIT, "client certificate: name too long");
	return 0;
}

static json_t *agent_who(const char *agent, const char *serial)
{
	return json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", agent, "serial", serial);
}

/* What is refused is one line: who, from where, why. */
static void refuse(struct yg_server_request *request, const struct yg_err *why)
{
	if (why->code != YG_EAGAIN)
		yg_log(YG_LOG_WARN, "agent.refused", "%s %s from %s: %s", yg_server_method(request),
			yg_server_path(request), yg_server_peer(request), why->msg);
	edge_fail(request, why, NULL);
}

/* ---- requests that are one operation of the store ---- */

static void ask_free(struct ask *ask)
{
	free(ask->csr);
	free(ask);
}

static void answered(void *ctx, json_t *result, const struct yg_err *err)
{
	struct ask *ask = ctx;
	struct yg_server_request *request = ask->wait.request;
	if (request && err->code != YG_OK)
		refuse(request, err);
	else if (request)
		yg_server_reply_json(request, 200, json_incref(result));
	ask_free(ask);
}

static struct ask *ask_new(struct session *session, struct yg_server_request *request)
{
	struct ask *ask = calloc(1, sizeof(*ask));
	if (!ask) {
		yg_server_reply_error(request, 503, "unavailable", NULL,
			"out of memory; try again");
		return NULL;
	}
	ask->session = session;
	return ask;
}

static int body_of(struct yg_server_request *request, enum yg_wire kind, json_t **out)
{
	struct yg_err err = {0};
	if (yg_wire_parse(kind, yg_server_body(request), out, &err) == 0)
		return 0;
	err.code = err.code == YG_ESYSTEM ? YG_ESYSTEM : YG_EFORMAT;
	refuse(request, &err);
	return -1;
}

static void simple(struct session *session, struct yg_server_request *request, const char *op,
	json_t *args)
{
	struct yg_err err = {0};
	char agent[40];
	char serial[YG_X509_SERIAL];
	struct ask *ask = NULL;
	if (identity(request, agent, serial, &err) < 0)
		refuse(request, &err);
	else
		ask = ask_new(session, request);
	if (!ask) {
		json_decref(args);
		return;
	}
	edge_hold(&ask->wait, request);
	call_store(&session->edge.store, op, args, agent_who(agent, serial), NULL, answered, ask);
}

static void get_policy(void *ctx, struct yg_server_request *request)
{
	simple(ctx, request, "agents.policy", json_object());
}

static void get_ca(void *ctx, struct yg_server_request *request)
{
	simple(ctx, request, "agents.ca", json_object());
}

static void post_heartbeat(void *ctx, struct yg_server_request *request)
{
	json_t *body YG_AUTO(yg_json) = NULL;
	if (body_of(request, YG_WIRE_HEARTBEAT, &body) < 0)
		return;
	json_t *args = json_pack("{s:O, s:O, s:s}", "hello", json_object_get(body, "hello"),
		"status", json_object_get(body, "status"), "address", yg_server_peer(request));
	simple(ctx, request, "agents.heartbeat", args);
}

static void post_events(void *ctx, struct yg_server_request *request)
{
	json_t *body YG_AUTO(yg_json) = NULL;
	if (body_of(request, YG_WIRE_EVENTS, &body) < 0)
		return;
	simple(ctx, request, "events.add",
		json_pack("{s:O, s:O}", "epoch", json_object_get(body, "epoch"), "entries",
			json_object_get(body, "entries")));
}

/* ---- activation and renewal: store, then ca ---- */

static void certified(void *ctx, json_t *result, const struct yg_err *why)
{
	struct ask *ask = ctx;
	struct yg_server_request *request = ask->wait.request;
	struct yg_err err = *why;
	const char *fields[] = {"certificate", "ca_bundle", "agent_id", "manager_id"};
	json_t *reply YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; err.code == YG_OK && i < (ask->renewal ? 2u : 4u); i++)
		(void)json_object_set(reply, fields[i], json_object_get(result, fields[i]));
	if (request && err.code != YG_OK)
		refuse(request, &err);
	else if (request)
		yg_server_reply_json(request, 200, json_incref(reply));
	ask_free(ask);
}

static void allowed(void *ctx, json_t *result, const struct yg_err *why)
{
	struct ask *ask = ctx;
	struct yg_err err = *why;
	const char *agent = NULL;
	const char *hostname = NULL;
	bool relay = false;
	if (err.code != YG_OK || yg_json_str(result, "agent_id", 64, &agent, &err) < 0 ||
		yg_json_str_or(result, "hostname", 255, "", &hostname, &err) < 0 ||
		yg_json_bool_or(result, "relay", false, &relay, &err) < 0) {
		certified(ask, NULL, &err);
		return;
	}
	/* Even when the client is gone: it comes again with the same request and gets its certificate. */
	call_role(&ask->session->edge.ca, "ca", "ca.agent",
		json_pack("{s:s, s:s, s:s, s:b}", "csr", ask->csr, "agent_id", agent, "hostname",
			hostname, "relay", relay),
		certified, ask);
}

static struct ask *ask_with_csr(struct session *session, struct yg_server_request *request,
	const json_t *body)
{
	struct ask *ask = ask_new(session, request);
	if (!ask)
		return NULL;
	ask->csr = strdup(json_string_value(json_object_get(body, "csr")));
	if (ask->csr)
		return ask;
	ask_free(ask);
	yg_server_reply_error(request, 503, "unavailable", NULL, "out of memory; try again");
	return NULL;
}

static void post_activate(void *ctx, struct yg_server_request *request)
{
	struct session *session = ctx;
	struct yg_err err = {0};
	json_t *body YG_AUTO(yg_json) = NULL;
	char hash[YG_HASH_TEXT];
	if (body_of(request, YG_WIRE_ACTIVATE, &body) < 0)
		return;
	const char *csr = json_string_value(json_object_get(body, "csr"));
	if (yg_hash_text(yg_bytes_of(csr), hash, &err) < 0) {
		refuse(request, &err);
		return;
	}
	struct ask *ask = ask_with_csr(session, request, body);
	if (!ask)
		return;
	edge_hold(&ask->wait, request);
	call_store(&session->edge.store, "agents.activate",
		json_pack("{s:O, s:O, s:s, s:s}", "token", json_object_get(body, "token"), "hello",
			json_object_get(body, "hello"), "csr_sha256", hash, "address",
			yg_server_peer(request)),
		NULL, NULL, allowed, ask);
}

static void post_renew(void *ctx, struct yg_server_request *request)
{
	struct session *session = ctx;
	struct yg_err err = {0};
	json_t *body YG_AUTO(yg_json) = NULL;
	char agent[40];
	char serial[YG_X509_SERIAL];
	if (body_of(request, YG_WIRE_RENEW, &body) < 0)
		return;
	if (identity(request, agent, serial, &err) < 0) {
		refuse(request, &err);
		return;
	}
	struct ask *ask = ask_with_csr(session, request, body);
	if (!ask)
		return;
	ask->renewal = true;
	edge_hold(&ask->wait, request);
	call_store(&session->edge.store, "agents.renew", json_object(), agent_who(agent, serial),
		NULL, allowed, ask);
}

/* ---- held commands ---- */

static size_t bucket(const char *agent)
{
	size_t h = 5381;
	for (; *agent; agent++)
		h = h * 33 + (unsigned char)*agent;
	return h % BUCKETS;
}

static struct held **held_find(struct session *session, const char *agent)
{
	struct held **at = &session->held[bucket(agent)];
	while (*at && strcmp((*at)->agent, agent) != 0)
		at = &(*at)->next;
	return at;
}

/* Out of the table; gone at once, or when the store has answered. */
static void held_end(struct held *held)
{
	struct held **at = held_find(held->session, held->agent);
	if (*at == held)
		*at = held->next;
	yg_timer_free(yg_take(held->timer));
	held->done = true;
	if (!held->asking)
		free(held);
}

static void held_reply(struct held *held, json_t *result)
{
	struct yg_server_request *request = yg_take(held->wait.request);
	held_end(held);
	yg_server_reply_json(request, 200, result);
}

static void held_gone(struct edge_wait *wait)
{
	held_end((struct held *)(void *)wait);
}

static void held_ask(struct held *held);

static void held_answered(void *ctx, json_t *result, const struct yg_err *err)
{
	struct held *held = ctx;
	held->asking = false;
	if (held->done) {
		free(held);
		return;
	}
	/* While the store starts again the request stays held: session_link asks again. */
	if (err->code == YG_EAGAIN && !held->session->edge.store.ipc && !held->over)
		return;
	if (err->code != YG_OK) {
		struct yg_server_request *request = yg_take(held->wait.request);
		struct yg_err why = *err;
		held_end(held);
		refuse(request, &why);
		return;
	}
	if (held->over || json_array_size(json_object_get(result, "commands")) > 0)
		held_reply(held, json_incref(result));
	else if (held->again)
		held_ask(held);
}

static void held_ask(struct held *held)
{
	held->again = held->asking;
	if (held->asking)
		return;
	held->asking = true;
	call_store(&held->session->edge.store, "agents.commands",
		json_pack("{s:I}", "after", (json_int_t)held->after),
		agent_who(held->agent, held->serial), NULL, held_answered, held);
}

static void held_over(void *ctx)
{
	struct held *held = ctx;
	held->over = true;
	if (!held->asking)
		held_reply(held, json_pack("{s:[]}", "commands"));
}

static int number(struct yg_server_request *request, const char *name, uint64_t max, uint64_t *out,
	struct yg_err *err)
{
	const char *text = yg_server_query(request, name);
	*out = 0;
	if (text && yg_str_u64(text, max, out, err) < 0) {
		err->code = YG_EFORMAT;
		return yg_wrap(err, "%s", name);
	}
	return 0;
}

static void get_commands(void *ctx, struct yg_server_request *request)
{
	struct session *session = ctx;
	struct yg_err err = {0};
	char agent[40];
	char serial[YG_X509_SERIAL];
	uint64_t wait = 0;
	uint64_t after = 0;
	if (identity(request, agent, serial, &err) < 0 ||
		number(request, "wait", YG_WIRE_WAIT_MAX_S, &wait, &err) < 0 ||
		number(request, "after", INT64_MAX, &after, &err) < 0) {
		refuse(request, &err);
		return;
	}
	/* An agent has one such request: an older one is of a connection that broke unnoticed. */
	struct held *older = *held_find(session, agent);
	if (older)
		held_reply(older, json_pack("{s:[]}", "commands"));

	struct held *held = calloc(1, sizeof(*held));
	if (held)
		held->timer = yg_loop_timer(session->edge.env->loop, held_over, held);
	if (!held || !held->timer) {
		free(held);
		yg_server_reply_error(request, 503, "unavailable", NULL,
			"out of memory; try again");
		return;
	}
	held->session = session;
	held->after = (int64_t)after;
	held->over = wait == 0;
	memcpy(held->agent, agent, sizeof(held->agent));
	memcpy(held->serial, serial, sizeof(held->serial));
	held->next = session->held[bucket(agent)];
	session->held[bucket(agent)] = held;
	if (wait)
		yg_timer_set(held->timer, (int64_t)wait * 1000);
	held->wait.gone = held_gone;
	edge_hold(&held->wait, request);
	held_ask(held);
}

/* Notice of the store: commands wait for these agents. */
static void wake(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct session *session = ctx;
	(void)ipc;
	size_t i;
	json_t *agent;
	json_array_foreach(json_object_get(msg->body, "agents"), i, agent)
	{
		struct held *held = json_is_string(agent)
			? *held_find(session, json_string_value(agent))
			: NULL;
		if (held)
			held_ask(held);
	}
}

/* ---- the role ---- */

static const struct yg_server_route routes[] = {
	{"POST", "/agent/v1/activate", post_activate, true},
	{"POST", "/agent/v1/renew", post_renew, false},
	{"POST", "/agent/v1/heartbeat", post_heartbeat, false},
	{"GET", "/agent/v1/commands", get_commands, false},
	{"POST", "/agent/v1/events", post_events, false},
	{"GET", "/agent/v1/policy", get_policy, false},
	{"GET", "/agent/v1/ca", get_ca, false},
	{0},
};

static const struct yg_ipc_handler store_handlers[] = {{"store.wake", wake}, {0}};

int session_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct session *session = calloc(1, sizeof(*session));
	if (!session)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*self = session;
	const struct yg_server_options options = {
		.name = "agents",
		.client = YG_SERVER_ASK,
		.body_max = YG_WIRE_SIZE_MAX,
		.connections_max = 16000,
		.idle_s = 120,
		.routes = routes,
		.ctx = session,
	};
	return edge_start(&session->edge, env, "session", "manager/session", &options, err);
}

static void store_closed(void *ctx, struct yg_ipc *ipc)
{
	struct session *session = ctx;
	(void)ipc;
	call_link_drop(&session->edge.store);
}

void session_link(void *self, const char *peer, const char *tag, int fd)
{
	struct session *session = self;
	(void)tag;
	if (strcmp(peer, "ca") == 0) {
		edge_link_ca(&session->edge, fd);
		return;
	}
	call_link_set(&session->edge.store, session->edge.env->loop, fd, "store", store_handlers,
		store_closed, session);
	/* Notices of the store before may be lost: everybody looks again. */
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct held *held = session->held[i], *next; held; held = next) {
			next = held->next;
			held_ask(held);
		}
}

void session_stop(void *self)
{
	struct session *session = self;
	if (session)
		edge_stop(&session->edge);
	free(session);
}
