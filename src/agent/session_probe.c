/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The test of a connection ("yagura test"): session asks for a fetch process of its own, which has the network and
 * nothing else, hands it the targets and ends it. docs/processes.md: fetch.probe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session_impl.h"
#include "agent/sources.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

#define LATE_MS     200000 /* fetch itself needs less */
#define TARGETS_MAX 12

struct session_probe {
	struct session_probe *next;
	struct session *session;
	char tag[48];
	json_t *body; /* of fetch.probe; NULL once it was sent */
	struct yg_ipc *ipc;
	struct yg_timer *late;
	session_probe_done *done;
	void *ctx;
};

/* ---- what is tested ---- */

static json_t *target(const char *what, json_t *source)
{
	return json_pack("{s:s, s:o}", "what", what, "source", source);
}

/* As an update run would have them; of the source, also where only relays may use it. */
static int list_sources(const struct session *s, bool relays, json_t **out, struct yg_err *err)
{
	const json_t *conf = json_object_get(s->env->config, "update");
	const char *kind = relays ? "relay" : "source";
	json_t *settings YG_AUTO(yg_json) = s->identity ? json_copy(s->settings) : NULL;
	json_t *list YG_AUTO(yg_json) = NULL;
	json_t *targets YG_AUTO(yg_json) = json_array();
	if (settings && !relays) {
		(void)json_object_del(settings, "relays");
		(void)json_object_del(settings, "parents");
		(void)json_object_set_new(settings, "direct_fallback", json_true());
	}
	const struct sources_ask ask = {
		.agent_id = s->identity ? s->identity->agent_id : "",
		.settings = settings,
		.source = json_string_value(json_object_get(conf, "source")),
		.ca = json_string_value(json_object_get(conf, "ca")),
		.proxy = json_object_get(s->env->config, "proxy"),
		.for_relay = s->relay_on &&
			(!relays || json_array_size(json_object_get(settings, "parents")) > 0),
	};
	bool direct = json_is_true(json_object_get(s->settings, "direct_fallback"));
	if (!relays && s->identity && !s->relay_on && !direct && !*ask.source)
		return yg_fail_cause(err, YG_EFORMAT, "update.source_off",
			"direct_fallback is off");
	if (sources_list(&ask, &list, err) < 0)
		return -1;
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
	{
		const char *is = json_string_value(json_object_get(one, "kind"));
		if (is && strcmp(is, kind) == 0 && json_array_size(targets) < TARGETS_MAX)
			(void)json_array_append_new(targets, target(kind, json_incref(one)));
	}
	if (json_array_size(targets) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "update.no_source",
			"there is no relay for this computer");
	*out = yg_take(targets);
	return 0;
}

static int list_manager(const struct session *s, json_t **out, struct yg_err *err)
{
	const json_t *proxy = json_object_get(json_object_get(s->env->config, "proxy"), "manager");
	if (!s->identity)
		return yg_fail_cause(err, YG_EFORMAT, "auth.agent",
			"this computer is not activated: there is no Manager to test");
	json_t *source = json_pack("{s:s, s:s, s:s}", "url", s->identity->manager_url, "kind",
		"manager", "manager_id", s->identity->manager_id);
	if (json_is_object(proxy))
		(void)json_object_set(source, "proxy", (json_t *)(uintptr_t)proxy);
	*out = json_pack("[o]", target("manager", source));
	return 0;
}

static json_t *make_body(const struct session *s, const char *what, struct yg_err *err)
{
	json_t *targets = NULL;
	int rc = -1;
	if (strcmp(what, "manager") == 0)
		rc = list_manager(s, &targets, err);
	else if (strcmp(what, "source") == 0 || strcmp(what, "relays") == 0)
		rc = list_sources(s, strcmp(what, "relays") == 0, &targets, err);
	else
		(void)yg_fail(err, YG_EFORMAT, "what: want relays, source or manager, have '%.32s'",
			what);
	if (rc < 0)
		return NULL;
	json_t *body = json_pack("{s:o}", "targets", targets);
	if (s->identity)
		(void)json_object_set_new(body, "tls",
			json_pack("{s:s,s:s,s:s}", "cert", s->identity->cert, "key",
				s->identity->key, "cas", s->identity->cas));
	return body;
}

/* ---- one test under way ---- */

static void ignore(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	(void)err; /* gone already is what we wanted */
}

static void forget(struct session_probe *probe)
{
	struct session_probe **at = &probe->session->probes;
	while (*at && *at != probe)
		at = &(*at)->next;
	if (*at)
		*at = probe->next;
	yg_ipc_free(probe->ipc);
	yg_timer_free(probe->late);
	json_decref(probe->body);
	free(probe);
}

static void end(struct session_probe *probe, const json_t *result, const struct yg_err *err)
{
	session_probe_done *done = probe->done;
	void *ctx = probe->ctx;
	json_t *kept YG_AUTO(yg_json) = json_incref((json_t *)(uintptr_t)result);
	struct yg_err why = *err;
	yg_ipc_request(probe->session->env->parent, "end",
		json_pack("{s:s, s:s}", "role", "fetch", "tag", probe->tag), NULL, 0, ignore, NULL);
	forget(probe);
	done(ctx, kept, &why);
}

static void probed(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct yg_err why = *err;
	if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_ESYSTEM, "system.error",
			"the fetch process ended unexpectedly");
	end(ctx, why.code ? NULL : reply->body, &why);
}

static void closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ctx;
	(void)ipc; /* the request was answered before */
}

static const struct yg_ipc_handler no_handlers[] = {{0}};

bool session_probe_link(struct session *s, const char *tag, int fd)
{
	struct session_probe *probe = s->probes;
	struct yg_err err = {0};
	while (probe && strcmp(probe->tag, tag) != 0)
		probe = probe->next;
	if (!probe || probe->ipc)
		return false;
	probe->ipc = yg_ipc_new(s->env->loop, fd, "fetch", no_handlers, closed, probe, &err);
	if (!probe->ipc)
		end(probe, NULL, &err);
	else
		yg_ipc_request(probe->ipc, "fetch.probe", yg_take(probe->body), NULL, 0, probed,
			probe);
	return true;
}

static void late(void *ctx)
{
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "job.timeout", "the test did not end in time");
	end(ctx, NULL, &why);
}

struct spawned { /* a request to the parent, which may be answered when the test is gone */
	struct session *session;
	char tag[48];
};

static void spawn_done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct spawned *asked = ctx;
	struct session_probe *probe = asked->session->probes;
	while (probe && strcmp(probe->tag, asked->tag) != 0)
		probe = probe->next;
	if (err->code && probe) {
		struct yg_err why = *err;
		if (!why.cause[0])
			(void)yg_fail_cause(&why, YG_ESYSTEM, "system.error", "%s", err->msg);
		end(probe, NULL, &why);
	}
	free(asked);
}

int session_probe_start(struct session *s, const char *what, session_probe_done *done, void *ctx,
	struct yg_err *err)
{
	static unsigned serial;
	json_t *body YG_AUTO(yg_json) = make_body(s, what, err);
	if (!body)
		return -1;
	struct session_probe *probe = calloc(1, sizeof(*probe));
	struct spawned *asked = calloc(1, sizeof(*asked));
	if (!probe || !asked)
		abort(); /* the parent starts us again */
	probe->session = asked->session = s;
	probe->body = yg_take(body);
	probe->done = done;
	probe->ctx = ctx;
	(void)!yg_str_put(probe->tag, sizeof(probe->tag), "test-%ld-%u", (long)getpid(), serial++);
	memcpy(asked->tag, probe->tag, sizeof(asked->tag));
	probe->next = s->probes;
	s->probes = probe;
	probe->late = yg_loop_timer(s->env->loop, late, probe);
	yg_timer_set(probe->late, LATE_MS);
	yg_ipc_request(s->env->parent, "spawn",
		json_pack("{s:s, s:s, s:{}}", "role", "fetch", "tag", probe->tag, "args"), NULL, 0,
		spawn_done, asked);
	return 0;
}

void session_probe_free(struct session *s)
{
	while (s->probes)
		forget(s->probes);
}
