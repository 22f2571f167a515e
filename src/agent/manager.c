/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Three activities that repeat, each with a timer and at most one request under way: heartbeat,
 * commands (held by the Manager) and events. Others happen once, on behalf of a heartbeat: policy, CA
 * bundle, renewal. A success of any of them wakes those that wait after a failure.
 */
#include "agent/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "net/url.h"
#include "proto/cause.h"
#include "proto/wire.h"

#define PAUSE_FIRST_MS  1000
#define PAUSE_MAX_MS    30000
#define RETRY_MAX_S     600 /* longest pause that a Manager, or what is before it, may ask for */
#define BEAT_FIRST_S    60
#define BEAT_SOON_MS    300 /* changes that come together are told together */
#define WAIT_S          50  /* how long the Manager may hold the request for commands */
#define BATCH_ENTRIES   500
#define BATCH_BYTES     (256u << 10)
#define UNKEPT_MAX      100
#define RESULT_AHEAD    50 /* events that a result need not wait behind */
#define EVENT_UNREACHED 4011
#define UNREACHED_AFTER 3 /* failures in a row until event 4011 */

struct activity {
	struct manager *manager;
	const char *name;
	void (*start)(struct manager *manager);
	struct yg_timer *timer;
	struct yg_client_call *call; /* under way, or NULL */
	unsigned failures;           /* in a row */
};

struct manager {
	struct yg_loop *loop;
	const struct identity *identity;
	struct spool *spool;
	const struct manager_ops *ops;
	void *ctx;
	struct yg_client *client;
	struct activity beat, commands, events;
	struct yg_client_call *policy_call, *ca_call, *renew_call, *progress_call;
	int64_t beat_s, last_ok_s;
	bool due; /* something changed since the last heartbeat began */
	/* Events wait for a heartbeat: none, the one under way, or the one after that. */
	enum { WAIT_NONE, WAIT_THIS, WAIT_NEXT } wait;
	bool events_wait;
	json_t *ahead; /* results that go ahead, array */
	int64_t after; /* commands up to this one were taken */
	int64_t asked_ms;
	size_t batch;
	uint64_t batch_last;
	size_t batch_count;
	json_t *progress; /* the newest; NULL */
	json_t *unkept;   /* results that no disk has, array */
	size_t unkept_sent;
	char ca_asked[YG_HASH_TEXT];
	char error[YG_ERR_MSG_MAX + 256];
	struct yg_key *renew_key;
	bool unreached_said;
};

/* ---- requests ---- */

static struct yg_client_call *request(struct manager *m, const char *path, const json_t *body,
	uint32_t deadline_ms, yg_client_done *done)
{
	char url[YG_URL_MAX + 128];
	char *text YG_AUTO(mem) = body ? yg_json_text(body) : NULL;
	if (!yg_str_put(url, sizeof(url), "%s/agent/v1/%s", m->identity->manager_url, path))
		return NULL;
	const struct yg_client_request ask = {.url = url,
		.body = text,
		.max = YG_WIRE_POLICY_MAX,
		.any_status = true,
		.idle_s = deadline_ms / 1000,
		.deadline_ms = deadline_ms};
	return yg_client_start(m->client, &ask, done, m);
}

int manager_refusal(int status, struct yg_bytes body, struct yg_err *err)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	const char *message = "";
	const char *cause = "";
	json_t *error = NULL;
	struct yg_err ignored = {0};
	if (yg_json_parse(body, YG_WIRE_SIZE_MAX, &answer, &ignored) < 0 ||
		yg_json_object(answer, "error", &error, &ignored) < 0 ||
		yg_json_str_or(error, "message", 300, "", &message, &ignored) < 0 ||
		yg_json_str_or(error, "cause", YG_ERR_CAUSE_MAX - 1, "", &cause, &ignored) < 0)
		message = "";
	/* A newer Manager may know more causes, and something between need not know any. */
	if (!yg_cause_find(cause))
		cause = status == 401 ? "auth.token" : status == 403 ? "auth.agent" : "";
	enum yg_code kind = status == 401 || status == 403 ? YG_EUNTRUSTED
		: status == 404                            ? YG_EABSENT
		: status == 429 || status >= 500           ? YG_EAGAIN
							   : YG_EFORMAT;
	return yg_fail_cause(err, kind, cause, "the Manager answered %d%s%s", status,
		*message ? ": " : "", message);
}

/* A reply's body as the message it must be. */
static int read_reply(enum yg_wire kind, const struct yg_client_reply *reply,
	const struct yg_err *why, json_t **out, struct yg_err *err)
{
	if (why->code) {
		*err = *why;
		return -1;
	}
	if (reply->status >= 300) {
		(void)manager_refusal(reply->status, reply->body, err);
		err->retry_s = reply->retry_after_s;
		return -1;
	}
	return yg_wire_parse(kind, reply->body, out, err);
}

static int64_t pause_ms(unsigned failures)
{
	int64_t ms = PAUSE_FIRST_MS;
	for (unsigned i = 1; i < failures && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	uint16_t chance = 0;
	struct yg_err ignored = {0};
	(void)!yg_random_bytes(&chance, sizeof(chance), &ignored);
	return ms * 3 / 4 + ms / 2 * chance / UINT16_MAX; /* a herd must not come back as one */
}

static void fire(void *ctx)
{
	struct activity *a = ctx;
	if (!a->call)
		a->start(a->manager);
}

static void failed(struct activity *a, const struct yg_err *err)
{
	struct manager *m = a->manager;
	char text[sizeof(m->error)];
	/* What a person must do is said; the rest heals by itself. */
	bool person = err->code == YG_EUNTRUSTED || strncmp(err->cause, "version.", 8) == 0;
	const struct yg_cause *cause = person ? yg_cause_find(err->cause) : NULL;
	if (!yg_str_put(text, sizeof(text), "%s%s%s", err->msg, cause ? ". " : "",
		    cause ? yg_cause_remedy(cause, YG_LANG_EN) : ""))
		memcpy(text, err->msg, sizeof(err->msg));
	a->failures++;
	if (a->failures == 1 && strcmp(text, m->error) != 0) /* the others meet the same */
		yg_log(YG_LOG_WARN, "manager.failed", "%s: %s", a->name, text);
	memcpy(m->error, text, sizeof(m->error));
	int64_t pause = pause_ms(a->failures);
	int64_t wait = (err->retry_s < RETRY_MAX_S ? err->retry_s : RETRY_MAX_S) * 1000;
	yg_timer_set(a->timer, pause > wait ? pause : wait);
	if (a == &m->beat && a->failures >= UNREACHED_AFTER && !m->unreached_said) {
		m->unreached_said = true;
		m->ops->event(m->ctx, EVENT_UNREACHED,
			json_pack("{s:s,s:s,s:s}", "url", m->identity->manager_url, "cause",
				err->cause, "detail", err->msg));
	}
}

static void succeeded(struct activity *a)
{
	struct manager *m = a->manager;
	bool was_away = m->error[0] != 0;
	a->failures = 0;
	m->last_ok_s = yg_clock_now_s();
	m->error[0] = 0;
	m->unreached_said = false;
	if (!was_away)
		return;
	yg_log(YG_LOG_INFO, "manager.online", "the Manager at %s answers",
		m->identity->manager_url);
	struct activity *all[] = {&m->beat, &m->commands, &m->events};
	for (size_t i = 0; i < YG_COUNT(all); i++)
		if (all[i] != a && all[i]->failures > 0 && !all[i]->call)
			yg_timer_set(all[i]->timer, 0);
}

/* ---- what a heartbeat brings along ---- */

static void policy_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	m->policy_call = NULL;
	if (read_reply(YG_WIRE_POLICY_REPLY, reply, why, &answer, &err) < 0) {
		yg_log(YG_LOG_WARN, "manager.policy", "the policy was not fetched: %s", err.msg);
		return; /* the next heartbeat asks again */
	}
	m->ops->policy(m->ctx, json_string_value(json_object_get(answer, "fingerprint")),
		json_object_get(answer, "policy"));
}

void manager_policy(struct manager *m)
{
	if (!m->policy_call)
		m->policy_call = request(m, "policy", NULL, 60000, policy_done);
}

static struct identity *copy_of(const struct identity *from, const char *key, const char *cert,
	const char *cas)
{
	struct identity *to = calloc(1, sizeof(*to));
	if (!to)
		return NULL;
	to->agent_id = strdup(from->agent_id);
	to->manager_id = strdup(from->manager_id);
	to->manager_url = strdup(from->manager_url);
	to->name = strdup(from->name);
	to->key = strdup(key);
	to->cert = strdup(cert);
	to->cas = strdup(cas);
	return to;
}

static void ca_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	m->ca_call = NULL;
	if (read_reply(YG_WIRE_CA_REPLY, reply, why, &answer, &err) < 0) {
		yg_log(YG_LOG_WARN, "manager.ca", "the CA bundle was not fetched: %s", err.msg);
		m->ca_asked[0] = 0;
		return;
	}
	const char *cas = json_string_value(json_object_get(answer, "ca_bundle"));
	if (strcmp(cas, m->identity->cas) == 0)
		return;
	struct identity *identity = copy_of(m->identity, m->identity->key, m->identity->cert, cas);
	if (identity)
		m->ops->identity(m->ctx, identity);
}

/* The bundle's text is what is hashed. One request for each value that is announced. */
static void look_at_ca(struct manager *m, const json_t *answer)
{
	char have[YG_HASH_TEXT];
	struct yg_err err = {0};
	const char *want = json_string_value(json_object_get(answer, "ca_bundle_sha256"));
	if (!want || !*want || m->ca_call || strcmp(want, m->ca_asked) == 0 ||
		yg_hash_text(yg_bytes_of(m->identity->cas), have, &err) < 0 ||
		strcmp(want, have) == 0)
		return;
	(void)!yg_str_put(m->ca_asked, sizeof(m->ca_asked), "%s", want);
	m->ca_call = request(m, "ca", NULL, 60000, ca_done);
}

static void renew_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	char *key YG_AUTO(yg_secret) = NULL;
	struct yg_err err = {0};
	m->renew_call = NULL;
	if (read_reply(YG_WIRE_RENEW_REPLY, reply, why, &answer, &err) < 0 ||
		yg_key_save(m->renew_key, NULL, &key, &err) < 0) {
		yg_log(YG_LOG_WARN, "manager.renew", "the certificate was not renewed: %s",
			err.msg);
		return;
	}
	struct identity *identity = copy_of(m->identity, key,
		json_string_value(json_object_get(answer, "certificate")),
		json_string_value(json_object_get(answer, "ca_bundle")));
	if (identity)
		m->ops->identity(m->ctx, identity);
}

void manager_renew(struct manager *m)
{
	char *csr YG_AUTO(mem) = NULL;
	struct yg_err err = {0};
	if (m->renew_call)
		return;
	yg_key_free(m->renew_key);
	m->renew_key = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	if (!m->renew_key ||
		yg_x509_make_csr(m->renew_key, m->identity->agent_id, &csr, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "manager.renew", &err);
		return;
	}
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s}", "csr", csr);
	m->renew_call = request(m, "renew", body, 60000, renew_done);
}

static void look_at_certificate(struct manager *m)
{
	if (yg_clock_now_s() >= identity_renew_at(m->identity))
		manager_renew(m);
}

/* ---- heartbeat ---- */

static void status_went(struct manager *m);
static void progress_send(struct manager *m);

static void beat_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	m->beat.call = NULL;
	if (read_reply(YG_WIRE_HEARTBEAT_REPLY, reply, why, &answer, &err) < 0) {
		failed(&m->beat, &err);
		status_went(m);
		return;
	}
	succeeded(&m->beat);
	m->beat_s = json_integer_value(json_object_get(answer, "interval_s"));
	yg_timer_set(m->beat.timer, m->due ? BEAT_SOON_MS : m->beat_s * 1000);
	m->ops->settings(m->ctx, json_object_get(answer, "settings"),
		json_object_get(answer, "revoked"));
	const char *fingerprint = json_string_value(
		json_object_get(json_object_get(answer, "policy"), "fingerprint"));
	if (fingerprint && *fingerprint && m->ops->policy_wanted(m->ctx, fingerprint))
		manager_policy(m);
	look_at_ca(m, answer);
	look_at_certificate(m);
	progress_send(m);
	status_went(m);
}

static void beat_start(struct manager *m)
{
	json_t *body YG_AUTO(yg_json) = json_pack("{s:o,s:o}", "hello", m->ops->hello(m->ctx),
		"status", m->ops->status(m->ctx));
	m->due = false;
	m->beat.call = request(m, "heartbeat", body, 30000, beat_done);
}

void manager_beat(struct manager *m)
{
	m->due = true;
	if (!m->beat.call && m->beat.failures == 0)
		yg_timer_set(m->beat.timer, BEAT_SOON_MS);
}

/* Whoever reads that a job is done also finds what it did: events do not overtake the status that belongs
 * to them. True: they go when status_went() lets them.
 */
static bool status_goes_first(struct manager *m)
{
	if (m->wait != WAIT_NONE)
		return true;
	if (!m->due || m->beat.failures > 0)
		return false;
	m->wait = m->beat.call ? WAIT_NEXT : WAIT_THIS;
	if (!m->beat.call)
		beat_start(m);
	return true;
}

/* ---- commands ---- */

static void take_commands(struct manager *m, const json_t *list)
{
	size_t i;
	json_t *command;
	json_array_foreach(list, i, command)
	{
		int64_t seq = json_integer_value(json_object_get(command, "seq"));
		if (seq <= m->after)
			continue; /* repeated, because the acknowledgement crossed it */
		if (!m->ops->command(m->ctx, command))
			return;
		m->after = seq;
	}
}

static void commands_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	m->commands.call = NULL;
	if (read_reply(YG_WIRE_COMMANDS_REPLY, reply, why, &answer, &err) < 0) {
		failed(&m->commands, &err);
		return;
	}
	succeeded(&m->commands);
	const json_t *list = json_object_get(answer, "commands");
	int64_t before = m->after;
	take_commands(m, list);
	/* Nothing came and nothing was held, or nothing could be taken: not in a circle. */
	bool quick = yg_clock_mono_ms() - m->asked_ms < 1000 && m->after == before;
	yg_timer_set(m->commands.timer, quick ? 1000 : 0);
}

static void commands_start(struct manager *m)
{
	char path[96];
	(void)!yg_str_put(path, sizeof(path), "commands?wait=%d&after=%lld", WAIT_S,
		(long long)m->after);
	m->asked_ms = yg_clock_mono_ms();
	m->commands.call = request(m, path, NULL, (WAIT_S + 20) * 1000, commands_done);
}

/* ---- events ---- */

static void events_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	json_t *answer YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	m->events.call = NULL;
	if (read_reply(YG_WIRE_EVENTS_REPLY, reply, why, &answer, &err) < 0) {
		bool refused = err.code == YG_EFORMAT && !why->code && reply->status == 400;
		if (refused && m->batch_count == 1) {
			/* It would stop all that come after it, for ever. */
			yg_log(YG_LOG_ERROR, "manager.events", "entry %llu is dropped: %s",
				(unsigned long long)m->batch_last, err.msg);
			if (spool_ack(m->spool, m->batch_last, &err) < 0)
				yg_log_err(YG_LOG_ERROR, "manager.events", &err);
			m->batch = BATCH_ENTRIES;
			yg_timer_set(m->events.timer, 0);
			return;
		}
		m->batch = refused ? 1 : BATCH_ENTRIES;
		failed(&m->events, &err);
		return;
	}
	succeeded(&m->events);
	int64_t ack = json_integer_value(json_object_get(answer, "ack"));
	if (ack > 0 && spool_ack(m->spool, (uint64_t)ack, &err) < 0)
		yg_log_err(YG_LOG_ERROR, "manager.events", &err);
	if (spool_count(m->spool) > 0)
		yg_timer_set(m->events.timer, ack > 0 ? 0 : PAUSE_FIRST_MS);
}

static void events_send(struct manager *m)
{
	json_t *entries = NULL;
	struct yg_err err = {0};
	if (spool_batch(m->spool, m->batch, BATCH_BYTES, &entries, &err) < 0) {
		failed(&m->events, &err);
		return;
	}
	m->batch_count = json_array_size(entries);
	const json_t *last = json_array_get(entries, m->batch_count - 1);
	m->batch_last = (uint64_t)json_integer_value(json_object_get(last, "seq"));
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s,s:o}", "epoch", spool_epoch(m->spool),
		"entries", entries);
	m->events.call = request(m, "events", body, 60000, events_done);
}

static void events_start(struct manager *m)
{
	if (spool_count(m->spool) == 0)
		return;
	m->events_wait = status_goes_first(m);
	if (!m->events_wait)
		events_send(m);
}

void manager_events(struct manager *m)
{
	if (!m->events.call && m->events.failures == 0)
		yg_timer_set(m->events.timer, 50); /* those that come together go together */
}

static void result_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	(void)ctx;
	(void)reply;
	(void)why; /* it comes again in its turn, and is not added twice */
}

static void ahead_send(struct manager *m)
{
	if (json_array_size(m->ahead) == 0)
		return;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s,s:o}", "epoch", spool_epoch(m->spool),
		"entries", yg_take(m->ahead));
	(void)request(m, "events", body, 30000, result_done);
}

void manager_result(struct manager *m, const json_t *entry)
{
	if (spool_count(m->spool) <= RESULT_AHEAD || m->beat.failures > 0)
		return;
	if (!m->ahead)
		m->ahead = json_array();
	(void)json_array_append(m->ahead, (json_t *)(uintptr_t)entry);
	m->due = true; /* what it is the result of has changed something, or is over */
	(void)status_goes_first(m);
}

/* A heartbeat is over, well or not. */
static void status_went(struct manager *m)
{
	if (m->wait == WAIT_NEXT && m->beat.failures == 0) {
		m->wait = WAIT_THIS;
		beat_start(m);
		return;
	}
	if (m->wait == WAIT_NONE)
		return;
	m->wait = WAIT_NONE;
	ahead_send(m);
	if (m->events_wait && !m->events.call && spool_count(m->spool) > 0)
		events_send(m);
	m->events_wait = false;
}

static void progress_done(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager *m = ctx;
	m->progress_call = NULL;
	/* What the Manager refuses for good it would refuse each time. */
	bool answered = !why->code && reply->status < 500;
	for (size_t i = 0; answered && i < m->unkept_sent; i++)
		(void)json_array_remove(m->unkept, 0);
	m->unkept_sent = 0;
	if (answered)
		progress_send(m); /* else with the next heartbeat that gets through */
}

static void progress_send(struct manager *m)
{
	size_t results = json_array_size(m->unkept);
	if ((!m->progress && results == 0) || m->progress_call || m->beat.failures > 0)
		return;
	json_t *entries = json_array();
	(void)json_array_extend(entries, m->unkept);
	if (m->progress)
		(void)json_array_append_new(entries, yg_take(m->progress));
	m->unkept_sent = results;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s,s:o}", "epoch", spool_epoch(m->spool),
		"entries", entries);
	m->progress_call = request(m, "events", body, 30000, progress_done);
}

void manager_progress(struct manager *m, json_t *entry)
{
	json_decref(m->progress);
	m->progress = entry;
	progress_send(m);
}

void manager_unkept(struct manager *m, json_t *entry)
{
	if (json_array_size(m->unkept) < UNKEPT_MAX)
		(void)json_array_append_new(m->unkept, entry);
	else
		json_decref(entry);
	progress_send(m);
}

/* ---- the whole ---- */

static void activity_init(struct activity *a, struct manager *m, const char *name,
	void (*start)(struct manager *manager))
{
	a->manager = m;
	a->name = name;
	a->start = start;
	a->timer = yg_loop_timer(m->loop, fire, a);
}

struct manager *manager_new(struct yg_loop *loop, const struct identity *identity,
	struct spool *spool, const struct yg_proxy *proxy, const struct manager_ops *ops, void *ctx,
	struct yg_err *err)
{
	struct manager *m YG_AUTO(manager) = calloc(1, sizeof(*m));
	char uri[80];
	if (!m) {
		(void)yg_fail_sys(err, ENOMEM, "the Manager's client");
		return NULL;
	}
	m->loop = loop;
	m->identity = identity;
	m->spool = spool;
	m->unkept = json_array();
	m->ops = ops;
	m->ctx = ctx;
	m->beat_s = BEAT_FIRST_S;
	m->batch = BATCH_ENTRIES;
	(void)!yg_str_put(uri, sizeof(uri), "urn:yagura:manager:%s", identity->manager_id);
	const struct yg_tls tls = {.cert = identity->cert,
		.key = identity->key,
		.cas = identity->cas,
		.peer_uri = uri};
	m->client = yg_client_new(loop, &tls, proxy, err);
	if (!m->client)
		return NULL;
	activity_init(&m->beat, m, "heartbeat", beat_start);
	activity_init(&m->commands, m, "commands", commands_start);
	activity_init(&m->events, m, "events", events_start);
	yg_timer_set(m->beat.timer, 0);
	yg_timer_set(m->commands.timer, 50);
	yg_timer_set(m->events.timer, 100);
	return yg_take(m);
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	yg_client_free(m->client); /* forgets what is under way */
	yg_timer_free(m->beat.timer);
	yg_timer_free(m->commands.timer);
	yg_timer_free(m->events.timer);
	yg_key_free(m->renew_key);
	json_decref(m->progress);
	json_decref(m->unkept);
	json_decref(m->ahead);
	free(m);
}

const char *manager_state(const struct manager *m, int64_t *last_s)
{
	*last_s = m->last_ok_s;
	return m->last_ok_s > 0 && m->beat.failures == 0 ? "online" : "offline";
}

const char *manager_error(const struct manager *m)
{
	return m->error;
}
