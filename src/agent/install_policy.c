/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "agent/install_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "engine/engine.h"

#define POLICY      "state/policy.json"
#define POLICY_MAX  (1u << 20) /* bytes; a message is far shorter */
#define FINGERPRINT 128        /* bytes */

/* K1, K3: the last good configuration is kept on disk, and given to every engine that starts. */

static void take(struct install *in, json_t *engine, const char *fingerprint)
{
	json_decref(in->policy.engine);
	in->policy.engine = json_incref(engine);
	(void)!yg_str_put(in->policy.fingerprint, sizeof(in->policy.fingerprint), "%s",
		fingerprint);
}

static int save(struct install *in, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = json_pack("{s:s, s:O}", "fingerprint",
		in->policy.fingerprint, "engine", in->policy.engine);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(POLICY_MAX);
	if (yg_json_dump(root, &text, err) < 0)
		return -1;
	return yg_fs_replace(in->root, POLICY, yg_buf_bytes(&text), 0600, err);
}

static int load(struct install *in, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(POLICY_MAX);
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *engine = NULL;
	const char *fingerprint = NULL;
	if (yg_fs_read(in->root, POLICY, &text, err) < 0)
		return -1;
	if (yg_json_parse(yg_buf_bytes(&text), POLICY_MAX, &root, err) < 0 ||
		yg_json_object(root, "engine", &engine, err) < 0 ||
		yg_json_str(root, "fingerprint", FINGERPRINT, &fingerprint, err) < 0)
		return yg_wrap(err, "'" POLICY "'");
	take(in, engine, fingerprint);
	return 0;
}

void install_policy_load(struct install *in)
{
	struct yg_err err = {0};
	if (load(in, &err) < 0 && err.code != YG_EABSENT)
		yg_log(YG_LOG_WARN, "policy.load", "%s, the engine runs with its presets", err.msg);
}

/* What no engine has taken yet is refused: the one before is in force again. */
static void go_back(struct install *in)
{
	struct install_policy *policy = &in->policy;
	if (!policy->unproven)
		return;
	policy->unproven = false;
	memcpy(policy->refused, policy->fingerprint, sizeof(policy->refused));
	json_decref(policy->engine);
	policy->engine = yg_take(policy->before);
	memcpy(policy->fingerprint, policy->before_fingerprint, sizeof(policy->fingerprint));
	install_changed(in);
}

void install_policy_refused(struct install *in, const struct yg_err *why)
{
	uint32_t code = YG_ENGINE_CODE_ENGINE;
	char error[32];
	(void)yg_engine_code(why->msg, "SET_CONFIG", &code);
	(void)!yg_str_put(error, sizeof(error), "unknown error %08x", code);
	yg_log_err(YG_LOG_ERROR, "policy.refused", why);
	go_back(in);
	install_event(in, 1001,
		json_pack("{s:s, s:I, s:s, s:s}", "command", "SET_CONFIG", "code", (json_int_t)code,
			"error", error, "detail", why->msg));
}

static void keep(struct install *in)
{
	struct yg_err err = {0};
	if (save(in, &err) < 0)
		yg_log(YG_LOG_WARN, "policy.save", "%s, it is asked for again after a restart",
			err.msg);
}

void install_policy_proven(struct install *in)
{
	struct install_policy *policy = &in->policy;
	if (!policy->unproven)
		return;
	policy->unproven = false;
	json_decref(policy->before);
	policy->before = NULL;
	keep(in);
}

static void accept(struct install *in, uint32_t id, json_t *engine, const char *fingerprint,
	bool proven)
{
	struct install_policy *policy = &in->policy;
	if (!policy->unproven) {
		json_decref(policy->before);
		policy->before = json_incref(policy->engine);
		memcpy(policy->before_fingerprint, policy->fingerprint,
			sizeof(policy->fingerprint));
	}
	policy->unproven = true;
	take(in, engine, fingerprint);
	if (proven)
		install_policy_proven(in);
	if (in->session)
		yg_ipc_reply(in->session, id, NULL, NULL, 0);
}

static void configured(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_asked *asked = ctx;
	struct install *in = asked->in;
	if (!err->code) {
		accept(in, asked->id, asked->body, asked->name, true);
	} else {
		if (err->code != YG_EAGAIN)
			install_policy_refused(in, err);
		if (in->session)
			yg_ipc_reply_err(in->session, asked->id, err);
	}
	install_asked_free(asked);
}

static int parse(const json_t *body, json_t **engine, const char **fingerprint, struct yg_err *err)
{
	json_t *policy = NULL;
	if (yg_json_str(body, "fingerprint", FINGERPRINT, fingerprint, err) < 0 ||
		yg_json_object(body, "policy", &policy, err) < 0)
		return -1;
	json_t *am = json_object_get(policy, "am");
	if (am && !json_is_null(am))
		return yg_json_object(policy, "am", engine, err) < 0 ? yg_wrap(err, "policy") : 0;
	*engine = NULL;
	return 0;
}

void install_policy_apply(struct install *in, uint32_t id, const json_t *body)
{
	struct yg_err err = {0};
	json_t *engine = NULL;
	const char *fingerprint = NULL;
	if (parse(body, &engine, &fingerprint, &err) < 0) {
		yg_ipc_reply_err(in->session, id, &err);
		return;
	}
	json_t *config YG_AUTO(yg_json) = engine ? json_incref(engine) : json_object();
	if (!in->live.engine) {
		/* Nobody can judge it yet: the engine does when it starts, and 1001 follows then. */
		accept(in, id, config, fingerprint, false);
		return;
	}
	struct install_asked *asked = install_asked_new(in, in->live.engine->ipc);
	asked->session = in->session;
	asked->id = id;
	asked->body = json_incref(config);
	(void)!yg_str_put(asked->name, sizeof(asked->name), "%s", fingerprint);
	yg_ipc_request(in->live.engine->ipc, "am.config",
		json_pack("{s:s, s:O}", "command", "SET_CONFIG", "config", config), NULL, 0,
		configured, asked);
}
