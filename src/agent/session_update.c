/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What install is asked for an update: from where, within which limits, what of it this computer may have. */
#include <string.h>

#include "agent/session_impl.h"
#include "agent/sources.h"
#include "core/json.h"

/* As little trusted as a source, and the only one. */
void session_update_bundle(const json_t *command, bool relay, json_t *body)
{
	const char *name = json_string_value(json_object_get(command, "bundle"));
	(void)json_object_set_new(body, "sources",
		json_pack("[{s:s,s:s,s:s}]", "name", "bundle", "url", name, "kind", "source"));
	(void)json_object_set_new(body, "kind", json_string(relay ? "relay" : "agent"));
	(void)json_object_set_new(body, "tries", json_integer(1));
}

/* The Manager's job, or nobody's; both are what somebody here may have to be told of a run that they join. */
static const char *asker(const json_t *command)
{
	return json_is_integer(json_object_get(command, "seq")) ? "manager" : "here";
}

void session_update_allowed(const struct session *s, bool relay, json_t *body)
{
	json_t *content = relay ? session_settings_serve(s) : session_settings_content(s);
	/* A relay has for others what it may not have itself. */
	(void)json_object_set_new(body, "families",
		relay ? json_pack("[s,s]", "pattern", "rule") : session_settings_families(s));
	if (content)
		(void)json_object_set_new(body, relay ? "serve" : "content", content);
}

int session_update_body(const struct session *s, const json_t *command, bool relay, json_t *body,
	struct yg_err *err)
{
	const json_t *conf = json_object_get(s->env->config, "update");
	const char *aim = json_string_value(json_object_get(command, "set"));
	json_t *list = NULL;
	const struct sources_ask ask = {
		.agent_id = s->identity ? s->identity->agent_id : "",
		.settings = s->identity ? s->settings : NULL,
		.source = json_string_value(json_object_get(conf, "source")),
		.ca = json_string_value(json_object_get(conf, "ca")),
		.proxy = json_object_get(s->env->config, "proxy"),
		.for_relay = relay,
		.with_relays = json_is_true(json_object_get(command, "with_relays")),
	};
	if (sources_list(&ask, &list, err) < 0)
		return -1;
	(void)json_object_set_new(body, "sources", list);
	(void)json_object_set_new(body, "kind", json_string(relay ? "relay" : "agent"));
	(void)json_object_set_new(body, "by", json_string(asker(command)));
	(void)json_object_set_new(body, "aim", json_string(aim ? aim : ""));
	(void)json_object_set_new(body, "scheduled",
		json_boolean(json_is_true(json_object_get(command, "scheduled"))));
	session_settings_limits(s, relay, body);
	session_update_allowed(s, relay, body);
	if (s->identity)
		(void)json_object_set_new(body, "tls",
			json_pack("{s:s,s:s,s:s}", "cert", s->identity->cert, "key",
				s->identity->key, "cas", s->identity->cas));
	return 0;
}
