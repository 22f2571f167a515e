/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The level of the log, which the parent sets for all processes or for one role: asked for at the control socket,
 * or as the Manager's setting says.
 */
#include <string.h>

#include "agent/session_impl.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

static void level_set(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	if (err->code)
		control_fail(ctx, err);
	else
		control_reply(ctx, NULL);
}

void session_log_ask(void *ctx, struct control_call *call, const json_t *question)
{
	const struct session *s = ctx;
	const char *level = NULL;
	const char *role = NULL;
	struct yg_err err = {0};
	if (yg_json_str(question, "level", 16, &level, &err) < 0 ||
		yg_json_str_or(question, "role", 32, "", &role, &err) < 0) {
		control_fail(call, &err);
		return;
	}
	yg_ipc_request(s->env->parent, "log", json_pack("{s:s,s:s}", "level", level, "role", role),
		NULL, 0, level_set, call);
}

static void told(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	if (err->code)
		yg_log(YG_LOG_WARN, "session.log", "the level stays: %s", err->msg);
}

void session_log_settings(struct session *s, const json_t *settings)
{
	const char *level = json_string_value(
		json_object_get(json_object_get(settings, "log"), "level"));
	const char *before = s->log_level;
	if (strcmp(level ? level : "", before) == 0 ||
		!yg_str_put(s->log_level, sizeof(s->log_level), "%s", level ? level : ""))
		return;
	if (!level) /* taken back: as configured here */
		level = json_string_value(json_object_get(s->env->config, "own_log_level"));
	if (!level)
		return;
	yg_ipc_request(s->env->parent, "log", json_pack("{s:s}", "level", level), NULL, 0, told, s);
}
