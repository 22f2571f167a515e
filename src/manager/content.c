/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/role.h"
#include "manager/boxes.h"
#include "manager/content_impl.h"

/* yagura-manager-content: the Manager's own client of the update repository (U7). It fetches metadata
 * and release manifests (never objects), verifies them from the publisher's root.json on, and
 * tells the store what the newest set is. Nothing here can choose content: it can only find out
 * what the publisher has signed.
 *
 *     started, settings changed, an hour over, content.check ──> content.settings
 *         ──> fetch and verify, at the source, else at a relay
 *         ──> components.newest.put   or   components.check.failed
 *     content.test ──> content.settings ──> each step of a connection ──> tests.put
 *
 * A check blocks this process, which has nothing else to do. It has: outgoing network, its TUF
 * folder, the system's CAs. It has not: programs, other paths, capabilities, any secret.
 */

#define EVERY_MS    (3600LL * 1000)
#define AGAIN_MS    (300LL * 1000) /* after a failure that may pass */
#define ROOT_NAME   "root.json"
#define RELAY_TRIES 4 /* addresses of relays in one check */

static int look_at_source(struct content *content, json_t **newest, struct yg_err *err)
{
	struct content_place place;
	if (content_where_source(content->settings, &place, err) < 0)
		return -1;
	if (content->root.len == 0)
		return yg_fail_cause(err, YG_EABSENT, "tuf.root",
			"the publisher's root.json is not at %s: put it there and restart the Manager",
			content->root_path);
	return content_look(content, &place, NULL, newest, err);
}

/* The relays in turn, a few addresses of them, until one has something that verifies. */
static int look_at_relays(struct content *content, const struct content_identity *identity,
	json_t **newest)
{
	size_t at = 0;
	struct content_place place;
	for (size_t tries = 0;
		tries < RELAY_TRIES && content_where_relay(content->settings, &at, &place);
		tries++) {
		struct yg_err err = {0};
		if (content_look(content, &place, identity, newest, &err) == 0)
			return 0;
		yg_log_err(YG_LOG_INFO, "content.relay", &err);
	}
	return -1;
}

/* ---- when ---- */

static void ask(void *ctx);

static void reported(void *ctx, json_t *result, const struct yg_err *err)
{
	struct content *content = ctx;
	if (err->code != YG_OK && err->code != YG_EAGAIN)
		yg_log_err(YG_LOG_ERROR, "content.report", err);
	if (err->code == YG_OK && json_is_true(json_object_get(result, "changed")))
		yg_log(YG_LOG_NOTICE, "content.newest", "there is newer content");
	content->asking = false;
	json_decref(yg_take(content->settings));
	(void)malloc_trim(0); /* an hour of nothing follows */
	if (content->again)
		ask(content);
}

static void found(struct content *content, json_t *newest)
{
	call_store(&content->store, "components.newest.put", newest, NULL, NULL, reported, content);
}

/* Nothing to be had anywhere: what the source said is the reason. */
static void failed(struct content *content)
{
	const struct yg_err *why = &content->why;
	if (why->code == YG_EAGAIN)
		yg_timer_set(content->timer,
			why->retry_s ? (int64_t)why->retry_s * 1000 : AGAIN_MS);
	yg_log_err(strcmp(why->cause, "update.source_unset") == 0 ? YG_LOG_INFO : YG_LOG_WARN,
		"content.check", why);
	call_store(&content->store, "components.check.failed",
		json_pack("{s:s, s:s}", "cause", why->cause, "sentence", why->msg), NULL, NULL,
		reported, content);
}

static void got_identity(void *ctx, const struct content_identity *identity,
	const struct yg_err *err)
{
	struct content *content = ctx;
	json_t *newest = NULL;
	if (err->code)
		yg_log_err(YG_LOG_WARN, "content.identity", err);
	if (identity && look_at_relays(content, identity, &newest) == 0)
		found(content, newest);
	else
		failed(content);
}

static bool has_relays(const struct content *content)
{
	size_t at = 0;
	struct content_place place;
	return content->root.len > 0 && content_where_relay(content->settings, &at, &place);
}

static void got_settings(void *ctx, json_t *result, const struct yg_err *err)
{
	struct content *content = ctx;
	json_t *newest = NULL;
	if (err->code != YG_OK) {
		reported(content, NULL, err);
		return;
	}
	content->settings = json_incref(result);
	content->why = (struct yg_err){0};
	if (look_at_source(content, &newest, &content->why) == 0)
		found(content, newest);
	else if (has_relays(content))
		content_where_identity(content, got_identity, content);
	else
		failed(content);
}

static void ask(void *ctx)
{
	struct content *content = ctx;
	content->again = content->asking;
	if (content->asking || !content->store.ipc)
		return;
	content->asking = true;
	yg_timer_set(content->timer, EVERY_MS);
	call_store(&content->store, "content.settings", json_object(), NULL, NULL, got_settings,
		content);
}

static void told_to_check(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	ask(ctx);
}

static void told_to_test(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	content_test(ctx, msg->body);
}

/* ---- the role ---- */

static const struct yg_ipc_handler handlers[] = {{"content.check", told_to_check},
	{"content.test", told_to_test}, {0}};

static int enter_sandbox(struct content *content, struct yg_err *err)
{
	int cas YG_AUTO(fd) = open(YG_TLS_SYSTEM_CAS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Debian's certificates are links to the packaged ones. */
	int shared YG_AUTO(
		fd) = open("/usr/share/ca-certificates", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct yg_sandbox_path paths[3] = {{.fd = content->tuf_fd, .write = true}};
	uint32_t count = 1;
	if (cas >= 0)
		paths[count++] = (struct yg_sandbox_path){.fd = cas};
	if (shared >= 0)
		paths[count++] = (struct yg_sandbox_path){.fd = shared};
	struct yg_sandbox box = boxes_content;
	box.paths = paths;
	box.path_count = count;
	return call_start(content->env, "manager/content", &box, err);
}

static int start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct content *content = calloc(1, sizeof(*content));
	if (!content)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*self = content;
	content->env = env;
	content->tuf_fd = -1;
	content->root = YG_BUF(YG_TUF_ROOT_MAX);
	if (env->fd_count < 1)
		return yg_fail(err, YG_EFORMAT, "config: want the TUF folder, have no descriptor");
	content->tuf_fd = yg_take_fd(env->fds[0]);
	if (yg_json_str_or(env->config, "root_path", 4096, ROOT_NAME, &content->root_path, err) < 0)
		return -1;
	if (env->fd_count > 1) {
		int fd YG_AUTO(fd) = yg_take_fd(env->fds[1]);
		if (yg_fs_read_fd(fd, &content->root, err) < 0)
			return yg_wrap(err, "%s", content->root_path);
	}
	if (enter_sandbox(content, err) < 0)
		return -1;
	content->timer = yg_loop_timer(env->loop, ask, content);
	if (!content->timer)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	yg_role_ready(env);
	return 0;
}

static void closed(void *ctx, struct yg_ipc *ipc)
{
	struct content *content = ctx;
	call_link_drop(ipc == content->store.ipc ? &content->store : &content->ca);
}

static void link_to(void *self, const char *peer, const char *tag, int fd)
{
	struct content *content = self;
	(void)tag;
	if (strcmp(peer, "ca") == 0) {
		call_link_set(&content->ca, content->env->loop, fd, peer, NULL, closed, content);
		return;
	}
	call_link_set(&content->store, content->env->loop, fd, peer, handlers, closed, content);
	ask(content);
}

static void stop(void *self)
{
	struct content *content = self;
	if (!content)
		return;
	call_link_drop(&content->ca);
	call_link_drop(&content->store);
	yg_timer_free(content->timer);
	yg_buf_free(&content->root);
	fd_free_at(&content->tuf_fd);
	free(content);
}

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){{"content", "manager/content", start, link_to, stop},
			{0}});
}
