/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The questions of the control socket (docs/processes.md). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"

#define EVENT_ACTIVATED 20107

static void add_manager(const struct session *s, json_t *body)
{
	char when[YG_CLOCK_TEXT] = "";
	int64_t last_s = 0;
	const char *state = s->manager ? manager_state(s->manager, &last_s) : "none";
	if (last_s > 0)
		yg_clock_format(last_s, when);
	(void)json_object_set_new(body, "activated", json_boolean(s->identity != NULL));
	(void)json_object_set_new(body, "agent_id",
		json_string(s->identity ? s->identity->agent_id : ""));
	(void)json_object_set_new(body, "manager",
		json_string(s->identity ? s->identity->manager_url : ""));
	(void)json_object_set_new(body, "manager_state", json_string(state));
	(void)json_object_set_new(body, "manager_error",
		json_string(s->manager ? manager_error(s->manager) : ""));
	(void)json_object_set_new(body, "last_contact",
		last_s > 0 ? json_string(when) : json_null());
}

static void add_alarms(const struct session *s, json_t *body)
{
	json_t *alarms = json_array();
	json_t *licence = session_settings_licence(s);
	(void)json_array_extend(alarms, json_object_get(s->store, "alarms"));
	if (licence)
		(void)json_array_append_new(alarms, licence);
	(void)json_object_set_new(body, "alarms", alarms);
}

struct status_call {
	struct control_call *call;
	json_t *body;
};

static void roles_known(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct status_call *asked = ctx;
	if (!err->code)
		(void)json_object_set(asked->body, "roles", json_object_get(reply->body, "roles"));
	control_reply(asked->call, asked->body);
	free(asked);
}

static void ask_status(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	struct session *s = ctx;
	json_t *body = session_status(s);
	add_manager(s, body);
	(void)json_object_set_new(body, "version", json_string(YG_VERSION));
	(void)json_object_set_new(body, "name",
		json_string(s->identity && *s->identity->name ? s->identity->name : s->hostname));
	add_alarms(s, body);
	(void)json_object_set_new(body, "last_update", session_last(s, false));
	(void)json_object_set_new(body, "last_relay_update", session_last(s, true));
	(void)json_object_set_new(body, "spool", json_integer((json_int_t)spool_count(s->spool)));
	struct status_call *asked = calloc(1, sizeof(*asked));
	if (!asked) {
		control_reply(call, body);
		return;
	}
	asked->call = call;
	asked->body = body;
	yg_ipc_request(s->env->parent, "status", NULL, NULL, 0, roles_known, asked);
}

static void ask_components(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	const struct session *s = ctx;
	json_t *items = json_object_get(s->store, "components");
	json_t *body = json_object();
	(void)json_object_set_new(body, "items", items ? json_incref(items) : json_array());
	static const char *const kept[] = {"set", "rollback_set", "hold"};
	for (size_t i = 0; i < YG_COUNT(kept); i++)
		if (json_object_get(s->store, kept[i]))
			(void)json_object_set(body, kept[i], json_object_get(s->store, kept[i]));
	control_reply(call, body);
}

/* ---- activation ---- */

void session_ask_activated(void *ctx, struct identity *identity, const struct yg_err *err)
{
	struct session *s = ctx;
	struct identity *owned YG_AUTO(identity) = identity;
	struct yg_err why = *err;
	struct control_call *call = yg_take(s->activation_call);
	yg_timer_set(s->activation_end, 0); /* not from inside its own callback */
	if (!why.code && identity_save(s->identity_dir, owned, &why) == 0) {
		json_t *body = json_pack("{s:s,s:s,s:s}", "agent_id", owned->agent_id, "manager",
			owned->manager_url, "manager_id", owned->manager_id);
		yg_log(YG_LOG_INFO, "session.activated", "agent %s, Manager %s", owned->agent_id,
			owned->manager_url);
		session_event(s, EVENT_ACTIVATED,
			json_pack("{s:s}", "manager", owned->manager_url));
		identity_free(s->next_identity);
		s->next_identity = yg_take(owned);
		yg_timer_set(s->remake, 0);
		control_reply(call, body);
		return;
	}
	yg_log(YG_LOG_ERROR, "session.activate", "activation failed: %s", why.msg);
	control_fail(call, &why);
}

static int begin_activation(struct session *s, const json_t *question, struct yg_err *err)
{
	const char *url = NULL;
	const char *token = NULL;
	const char *name = NULL;
	struct yg_proxy proxy;
	if (s->activation)
		return yg_fail(err, YG_EAGAIN, "an activation is under way");
	if (yg_json_str(question, "url", 1023, &url, err) < 0 ||
		yg_json_str(question, "token", 200, &token, err) < 0 ||
		yg_json_str_or(question, "name", 255, "", &name, err) < 0)
		return -1;
	s->activation = activate_start(s->env->loop, session_proxy(s, &proxy), url, token, name,
		session_hello(s, name), session_ask_activated, s, err);
	return s->activation ? 0 : -1;
}

static void ask_activate(void *ctx, struct control_call *call, const json_t *question)
{
	struct session *s = ctx;
	struct yg_err err = {0};
	if (begin_activation(s, question, &err) < 0)
		control_fail(call, &err);
	else
		s->activation_call = call;
}

/* ---- work ---- */

static void ask_update(void *ctx, struct control_call *call, const json_t *question)
{
	const char *bundle = NULL;
	struct yg_err err = {0};
	if (yg_json_str_or(question, "bundle", 4095, NULL, &bundle, &err) < 0)
		control_fail(call, &err);
	else
		session_task_ask(ctx, "update", call, bundle ? question : NULL);
}

static void ask_rollback(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	session_task_ask(ctx, "rollback", call, NULL);
}

static void ask_release_hold(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	session_task_ask(ctx, "release_hold", call, NULL);
}

static void ask_repair(void *ctx, struct control_call *call, const json_t *question)
{
	(void)question;
	session_task_ask(ctx, "repair", call, NULL);
}

static void ask_test(void *ctx, struct control_call *call, const json_t *question)
{
	const char *what = NULL;
	struct yg_err err = {0};
	if (yg_json_str_or(question, "what", 16, "relays", &what, &err) < 0)
		control_fail(call, &err);
	else
		session_task_ask(ctx, "test", call, question);
}

static void ask_scan(void *ctx, struct control_call *call, const json_t *question)
{
	json_t *paths = NULL;
	struct yg_err err = {0};
	if (yg_json_array(question, "paths", 256, &paths, &err) < 0)
		control_fail(call, &err);
	else
		session_task_ask(ctx, "scan", call, question);
}

/* Newest first. */
static void ask_events(void *ctx, struct control_call *call, const json_t *question)
{
	const struct session *s = ctx;
	int64_t limit = 0;
	struct yg_err err = {0};
	if (yg_json_int_or(question, "limit", 1, SESSION_RECENT_MAX, 20, &limit, &err) < 0) {
		control_fail(call, &err);
		return;
	}
	json_t *items = json_array();
	for (size_t i = json_array_size(s->recent); i > 0 && json_array_size(items) < (size_t)limit;
		i--)
		(void)json_array_append(items, json_array_get(s->recent, i - 1));
	control_reply(call, json_pack("{s:o}", "items", items));
}

const struct control_verb session_ask_verbs[] = {
	{"log_level", session_log_ask},
	{"status", ask_status},
	{"components", ask_components},
	{"activate", ask_activate},
	{"update", ask_update},
	{"rollback", ask_rollback},
	{"release_hold", ask_release_hold},
	{"scan", ask_scan},
	{"test", ask_test},
	{"repair", ask_repair},
	{"events", ask_events},
	{NULL, NULL},
};
