/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "content/set.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/role.h"
#include "core/str.h"
#include "manager/boxes.h"
#include "manager/call.h"
#include "net/client.h"
#include "net/url.h"

/* yagura-manager-content: the Manager's own client of the update repository (U7). It fetches metadata
 * and release manifests (never objects), verifies them from the publisher's root.json on, and
 * tells the store what the newest set is. Nothing here can choose content: it can only find out
 * what the publisher has signed.
 *
 *     started, settings changed, an hour over, content.check ──> content.settings
 *         ──> fetch and verify ──> components.newest.put   or   components.check.failed
 *
 * A check blocks this process, which has nothing else to do. It has: outgoing network, its TUF
 * folder, the system's CAs. It has not: programs, other paths, capabilities, any secret.
 */

#define EVERY_MS  (3600LL * 1000)
#define ROOT_NAME "root.json"

struct content {
	struct yg_role_env *env;
	struct call_link store;
	struct yg_timer *timer;
	int tuf_fd;
	struct yg_buf root;    /* the publisher's root.json; empty: none was given */
	const char *root_path; /* where it was looked for */
	bool asking, again;
};

/* One check. */
struct run {
	struct content *content;
	struct yg_client *client;
	struct yg_url url;
	uint32_t timeout_s;
};

/* ---- the repository and the trusted state, as src/tuf asks for them ---- */

static int run_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct run *run = ctx;
	char url[YG_URL_MAX];
	if (yg_url_join(&run->url, path, url, err) < 0)
		return -1;
	const struct yg_client_request request = {
		.url = url,
		.max = max,
		.content = true,
		.idle_s = run->timeout_s,
	};
	struct yg_client_reply reply;
	return yg_client_text(run->client, &request, buf, &reply, err);
}

static int run_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	return yg_fs_read(((struct run *)ctx)->content->tuf_fd, name, buf, err);
}

static int run_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	int dir = ((struct run *)ctx)->content->tuf_fd;
	if (bytes.len == 0)
		return yg_fs_remove(dir, name, err);
	return yg_fs_replace(dir, name, bytes, 0600, err);
}

static const struct yg_tuf_ops run_ops = {run_fetch, run_load, run_save};

/* ---- one check ---- */

static json_t *described(const struct yg_set *set)
{
	json_t *components = json_array();
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *manifest = set->components[i];
		(void)json_array_append_new(components,
			json_pack("{s:s, s:I, s:s, s:s}", "name", manifest->component, "version",
				(json_int_t)manifest->version, "family",
				yg_family_name(manifest->family), "manifest", manifest->sha256));
	}
	return json_pack("{s:s, s:o}", "set", set->digest, "components", components);
}

static int look(struct run *run, json_t **newest, struct yg_err *err)
{
	struct content *content = run->content;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&run_ops, run, yg_clock_now_s(), err);
	if (!tuf || yg_tuf_trust(tuf, yg_buf_bytes(&content->root), err) < 0 ||
		yg_tuf_refresh(tuf, err) < 0)
		return -1;
	/* Which engines can load it is each computer's question: 0. */
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf, 0, YG_FAMILIES_ALL, err);
	if (!set)
		return -1;
	*newest = described(set);
	return *newest ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int check(struct content *content, const json_t *settings, json_t **newest,
	struct yg_err *err)
{
	struct run run = {.content = content};
	json_t *source = NULL;
	json_t *update = NULL;
	const char *url = NULL;
	const char *ca = NULL;
	int64_t timeout_s = 0;
	if (yg_json_object(settings, "source", &source, err) < 0 ||
		yg_json_str(source, "url", YG_URL_MAX, &url, err) < 0 ||
		yg_json_str_or(source, "ca", 256u << 10, "", &ca, err) < 0 ||
		yg_json_object(settings, "update", &update, err) < 0 ||
		yg_json_int_or(update, "timeout_s", 1, 3600, 60, &timeout_s, err) < 0)
		return -1;
	if (!url[0])
		return yg_fail_cause(err, YG_EABSENT, "update.no_source",
			"no update source is set (settings: source.url)");
	if (content->root.len == 0)
		return yg_fail_cause(err, YG_EABSENT, "tuf.root",
			"the publisher's root.json is not at %s: put it there and restart the Manager",
			content->root_path);
	if (yg_url_parse(url, &run.url, err) < 0)
		return -1;
	const struct yg_tls tls = {
		.cas = ca[0] ? ca : NULL,
		.system_cas = !ca[0],
		.insecure = run.url.unchecked,
	};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, NULL, err);
	if (!client)
		return -1;
	run.client = client;
	run.timeout_s = (uint32_t)timeout_s;
	return look(&run, newest, err);
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
	(void)malloc_trim(0); /* an hour of nothing follows */
	if (content->again)
		ask(content);
}

static void got_settings(void *ctx, json_t *result, const struct yg_err *why)
{
	struct content *content = ctx;
	struct yg_err err = *why;
	json_t *newest = NULL;
	if (err.code == YG_OK && check(content, result, &newest, &err) == 0) {
		call_store(&content->store, "components.newest.put", newest, NULL, NULL, reported,
			content);
		return;
	}
	if (why->code != YG_OK) {
		reported(content, NULL, why);
		return;
	}
	yg_log_err(strcmp(err.cause, "update.no_source") == 0 ? YG_LOG_INFO : YG_LOG_WARN,
		"content.check", &err);
	call_store(&content->store, "components.check.failed",
		json_pack("{s:s, s:s}", "cause", err.cause, "sentence", err.msg), NULL, NULL,
		reported, content);
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

/* ---- the role ---- */

static const struct yg_ipc_handler handlers[] = {{"content.check", told_to_check}, {0}};

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
	(void)ipc;
	call_link_drop(&content->store);
}

static void link_to(void *self, const char *peer, const char *tag, int fd)
{
	struct content *content = self;
	(void)tag;
	call_link_set(&content->store, content->env->loop, fd, peer, handlers, closed, content);
	ask(content);
}

static void stop(void *self)
{
	struct content *content = self;
	if (!content)
		return;
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
