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
#include "crypto/key.h"
#include "crypto/secret.h"
#include "crypto/x509.h"
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
 *         ──> fetch and verify, at the source, else at a relay
 *         ──> components.newest.put   or   components.check.failed
 *
 * A check blocks this process, which has nothing else to do. It has: outgoing network, its TUF
 * folder, the system's CAs. It has not: programs, other paths, capabilities, any secret.
 */

#define EVERY_MS     (3600LL * 1000)
#define AGAIN_MS     (300LL * 1000) /* after a failure that may pass */
#define ROOT_NAME    "root.json"
#define CACHE        "cache" /* in the TUF folder: what can be had again */
#define PATH_BYTES   256
#define BEHIND_MAX_S 300 /* of a clock that is not worth a line */
#define RELAY_TRIES  4   /* addresses of relays in one check */

struct content {
	struct yg_role_env *env;
	struct call_link store, ca;
	struct yg_timer *timer;
	int tuf_fd;
	struct yg_buf root;    /* the publisher's root.json; empty: none was given */
	const char *root_path; /* where it was looked for */
	bool asking, again;

	/* Of the check under way: */
	json_t *settings;  /* content.settings */
	char *key;         /* PEM; towards relays */
	struct yg_err why; /* what the source said */
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

/* floor.json is no part of the cache: who empties that does not open the door to an old repository. */
static int path_of(const char *name, char out[PATH_BYTES], struct yg_err *err)
{
	const char *folder = strcmp(name, "floor.json") == 0 ? "" : CACHE "/";
	return yg_str_put(out, PATH_BYTES, "%s%s", folder, name)
		? 0
		: yg_fail(err, YG_ELIMIT, "'%s': name too long", name);
}

static int run_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	char path[PATH_BYTES];
	int dir = ((struct run *)ctx)->content->tuf_fd;
	if (path_of(name, path, err) < 0)
		return -1;
	if (yg_fs_read(dir, path, buf, err) == 0)
		return 0;
	if (err->code != YG_EFORMAT && err->sys != ELOOP)
		return -1;
	/* A folder or a link, in place of something that can be had again. */
	*err = (struct yg_err){0};
	return yg_fs_remove(dir, path, err) < 0
		? -1
		: yg_fail(err, YG_EABSENT, "'%s' was no file", path);
}

static int run_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	char path[PATH_BYTES];
	int dir = ((struct run *)ctx)->content->tuf_fd;
	if (path_of(name, path, err) < 0)
		return -1;
	if (bytes.len == 0)
		return yg_fs_remove(dir, path, err);
	if (yg_fs_mkdirs(dir, CACHE, 0700, err) < 0)
		return -1;
	return yg_fs_replace(dir, path, bytes, 0600, err);
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

/* What was newest before: of a component whose role is broken it still is. */
static struct yg_set *load_set(struct content *content)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_err why = {0};
	if (yg_fs_read(content->tuf_fd, CACHE "/set.text", &text, &why) < 0)
		return NULL;
	return yg_set_parse(yg_buf_bytes(&text), &why);
}

static void save_set(struct content *content, const struct yg_set *set)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_err why = {0};
	if (yg_set_format(set, false, &text, &why) < 0 ||
		yg_fs_mkdirs(content->tuf_fd, CACHE, 0700, &why) < 0 ||
		yg_fs_replace(content->tuf_fd, CACHE "/set.text", yg_buf_bytes(&text), 0600, &why) <
			0)
		yg_log_err(YG_LOG_WARN, "content.set", &why);
}

static void log_notes(const struct yg_set_notes *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		if (notes->list[i].why.code && notes->list[i].taken > 0)
			yg_log(YG_LOG_WARN, "content.component", "%s stays at version %lld: %s",
				notes->list[i].component, (long long)notes->list[i].taken,
				notes->list[i].why.msg);
}

static int look(struct run *run, json_t **newest, struct yg_err *err)
{
	struct content *content = run->content;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&run_ops, run, yg_clock_now_s(), err);
	if (!tuf || yg_tuf_trust(tuf, yg_buf_bytes(&content->root), err) < 0 ||
		yg_tuf_refresh(tuf, err) < 0)
		return -1;
	if (yg_tuf_clock_behind(tuf) > BEHIND_MAX_S)
		yg_log(YG_LOG_WARN, "content.clock",
			"the clock is at least %lld s behind what the repository has signed",
			(long long)yg_tuf_clock_behind(tuf));
	struct yg_set_notes *notes YG_AUTO(mem) = calloc(1, sizeof(*notes));
	struct yg_set *before YG_AUTO(yg_set) = load_set(content);
	if (!notes)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	/* Which engines can load it is each computer's question: 0. */
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true, .have = before},
		notes, err);
	if (!set)
		return -1;
	log_notes(notes);
	save_set(content, set);
	*newest = described(set);
	return *newest ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* One place to look at. `tls` is borrowed. */
static int look_at(struct content *content, const char *url, struct yg_tls *tls, json_t **newest,
	struct yg_err *err)
{
	int64_t timeout_s = 0;
	struct run run = {.content = content};
	if (yg_url_parse(url, &run.url, err) < 0 ||
		yg_json_int_or(json_object_get(content->settings, "update"), "timeout_s", 1, 3600,
			60, &timeout_s, err) < 0)
		return -1;
	tls->insecure = run.url.unchecked;
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, tls, NULL, err);
	if (!client)
		return -1;
	run.client = client;
	run.timeout_s = (uint32_t)timeout_s;
	return look(&run, newest, err);
}

static int look_at_source(struct content *content, json_t **newest, struct yg_err *err)
{
	json_t *source = NULL;
	const char *url = NULL;
	const char *ca = NULL;
	if (yg_json_object(content->settings, "source", &source, err) < 0 ||
		yg_json_str(source, "url", YG_URL_MAX, &url, err) < 0 ||
		yg_json_str_or(source, "ca", 256u << 10, "", &ca, err) < 0)
		return -1;
	if (!url[0])
		return yg_fail_cause(err, YG_EABSENT, "update.source_unset", "source.url is empty");
	if (content->root.len == 0)
		return yg_fail_cause(err, YG_EABSENT, "tuf.root",
			"the publisher's root.json is not at %s: put it there and restart the Manager",
			content->root_path);
	struct yg_tls tls = {.cas = ca[0] ? ca : NULL, .system_cas = !ca[0]};
	return look_at(content, url, &tls, newest, err);
}

/* The relays in turn, a few addresses of them, until one has something that verifies. */
static int look_at_relays(struct content *content, const char *cert, const char *bundle,
	json_t **newest)
{
	size_t tries = 0;
	size_t i;
	json_t *relay;
	json_array_foreach(json_object_get(content->settings, "relays"), i, relay)
	{
		const char *id = NULL;
		char peer[64];
		struct yg_err err = {0};
		size_t k;
		json_t *url;
		if (yg_json_str(relay, "id", 36, &id, &err) < 0 ||
			!yg_str_put(peer, sizeof(peer), "urn:yagura:relay:%s", id))
			continue;
		json_array_foreach(json_object_get(relay, "urls"), k, url)
		{
			if (!json_is_string(url) || tries++ == RELAY_TRIES)
				return -1;
			struct yg_tls tls = {.cert = cert,
				.key = content->key,
				.cas = bundle,
				.peer_uri = peer};
			err = (struct yg_err){0};
			if (look_at(content, json_string_value(url), &tls, newest, &err) == 0)
				return 0;
			yg_log_err(YG_LOG_INFO, "content.relay", &err);
		}
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
	yg_secret_free(yg_take(content->key));
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
		yg_timer_set(content->timer, AGAIN_MS);
	yg_log_err(strcmp(why->cause, "update.source_unset") == 0 ? YG_LOG_INFO : YG_LOG_WARN,
		"content.check", why);
	call_store(&content->store, "components.check.failed",
		json_pack("{s:s, s:s}", "cause", why->cause, "sentence", why->msg), NULL, NULL,
		reported, content);
}

static void got_certificate(void *ctx, json_t *result, const struct yg_err *why)
{
	struct content *content = ctx;
	struct yg_err err = *why;
	const char *cert = NULL;
	const char *bundle = NULL;
	json_t *newest = NULL;
	if (err.code == YG_OK && yg_json_str(result, "certificate", 32768, &cert, &err) == 0 &&
		yg_json_str(result, "ca_bundle", 65536, &bundle, &err) == 0 &&
		look_at_relays(content, cert, bundle, &newest) == 0)
		found(content, newest);
	else
		failed(content);
}

/* A key for this check only, and a certificate for it. */
static void ask_certificate(struct content *content)
{
	struct yg_err err = {0};
	char *csr YG_AUTO(mem) = NULL;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	if (!key || yg_key_save(key, NULL, &content->key, &err) < 0 ||
		yg_x509_make_csr(key, "content", &csr, &err) < 0)
		got_certificate(content, NULL, &err);
	else
		call_role(&content->ca, "ca", "ca.client", json_pack("{s:s}", "csr", csr),
			got_certificate, content);
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
	else if (content->root.len > 0 &&
		json_array_size(json_object_get(content->settings, "relays")) > 0)
		ask_certificate(content);
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
