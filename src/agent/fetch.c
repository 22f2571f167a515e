/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fetch_bundle.h"
#include "agent/fetch_probe.h"
#include "agent/fetch_source.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "net/client.h"

#define URL_MAX     2048
#define PATH_BYTES  512
#define TIMEOUT_MAX 3600 /* seconds */
#define RESUMES_MAX 3    /* times that one request goes on after a connection that was cut */

struct fetch {
	struct yg_role_env *env;
	struct yg_ipc *asker;
	struct yg_client
		*client; /* of the source in `key`: connections are kept between requests */
	char *key;       /* the source it was made for, as JSON text */
	struct yg_bundle *bundle;
	int bundle_fd; /* -1: none yet */
};

/* ---- a client for a source ---- */

static struct yg_client *new_client(const struct fetch_source *source, struct yg_err *err)
{
	char peer[FETCH_SOURCE_PEER];
	struct yg_tls tls = {0};
	struct yg_proxy proxy = fetch_source_proxy(source);
	if (fetch_source_tls(source, peer, &tls, err) < 0)
		return NULL;
	return yg_client_new(NULL, &tls, &proxy, err);
}

static int use_source(struct fetch *fetch, const json_t *body, const struct fetch_source *source,
	struct yg_err *err)
{
	char *key YG_AUTO(mem) = yg_json_text(json_object_get(body, "source"));
	if (!key)
		return yg_fail_sys(err, ENOMEM, "remembering a source");
	if (fetch->client && strcmp(fetch->key, key) == 0)
		return 0;
	struct yg_client *client YG_AUTO(yg_client) = new_client(source, err);
	if (!client)
		return -1;
	yg_client_free(fetch->client);
	free(fetch->key);
	fetch->client = yg_take(client);
	fetch->key = yg_take(key);
	return 0;
}

/* "https://host/repo//" + "metadata/x" -> "https://host/repo/metadata/x" */
static int make_url(const char *base, const char *path, char *out, size_t size, struct yg_err *err)
{
	size_t len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	if (!yg_str_put(out, size, "%.*s/%s", (int)len, base, path))
		return yg_fail_cause(err, YG_ELIMIT, "net.url", "the address of '%s' is too long",
			path);
	return 0;
}

struct wish { /* points into the request */
	struct fetch_source source;
	const char *path, *etag;
	int64_t max, offset, timeout_s, connect_s;
};

static int parse_wish(const struct yg_ipc_msg *msg, struct wish *wish, struct yg_err *err)
{
	if (fetch_source_parse(msg->body, &wish->source, err) < 0 ||
		yg_json_str(msg->body, "path", PATH_BYTES, &wish->path, err) < 0 ||
		yg_json_int(msg->body, "max", 0, INT64_MAX, &wish->max, err) < 0 ||
		yg_json_int_or(msg->body, "offset", 0, wish->max, 0, &wish->offset, err) < 0 ||
		yg_json_int_or(msg->body, "timeout_s", 1, TIMEOUT_MAX, 60, &wish->timeout_s, err) <
			0 ||
		yg_json_int_or(msg->body, "connect_s", 1, TIMEOUT_MAX,
			wish->timeout_s < 10 ? wish->timeout_s : 10, &wish->connect_s, err) < 0 ||
		yg_json_str_or(msg->body, "etag", 128, NULL, &wish->etag, err) < 0)
		return yg_wrap(err, "fetch.get");
	if (!yg_str_path_ok(wish->path, PATH_BYTES))
		return yg_fail(err, YG_EFORMAT, "fetch.get: path: not a path of a repository");
	if (msg->fd_count != 1 && msg->fd_count != 2)
		return yg_fail(err, YG_EFORMAT, "fetch.get: want 1 or 2 descriptors, have %zu",
			msg->fd_count);
	return 0;
}

/* Whether asking for the rest may help: the line was cut, and had brought something. */
static bool was_cut(const struct yg_client_reply *got, const struct yg_err *why)
{
	return why->code == YG_EAGAIN && got->size > 0 && strncmp(why->cause, "net.", 4) == 0;
}

static bool is_strong(const char *etag)
{
	return etag[0] == '"';
}

/* One request, and the rest of it when the connection is cut: asking again here is cheaper than a run that
 * goes to another source.
 */
static int get_all(struct fetch *fetch, struct yg_client_request *request, int fd,
	struct yg_client_reply *out, struct yg_err *err)
{
	char etag[sizeof(out->etag)] = "";
	const uint64_t since = request->offset;
	for (int i = 0;; i++) {
		struct yg_client_reply got = {0};
		struct yg_err why = {0};
		int rc = yg_client_get(fetch->client, request, fd, &got, &why);
		*out = got;
		out->size += request->offset - since;
		if (rc == 0)
			return 0;
		if (i == RESUMES_MAX || !was_cut(&got, &why)) {
			*err = why;
			return -1;
		}
		request->offset += got.size;
		(void)!yg_str_put(etag, sizeof(etag), "%s", is_strong(got.etag) ? got.etag : "");
		request->if_range = *etag ? etag : NULL;
		request->etag = NULL;
	}
}

/* The second descriptor is a bundle. It is kept: one process has one at most. */
static int get_from_bundle(struct fetch *fetch, struct yg_ipc_msg *msg, const struct wish *wish,
	json_t **reply, struct yg_err *err)
{
	uint64_t size = 0;
	if (fetch->bundle_fd < 0)
		fetch->bundle_fd = yg_take_fd(msg->fds[1]);
	if (fetch_bundle_get(&fetch->bundle, fetch->bundle_fd, wish->path, (uint64_t)wish->offset,
		    (uint64_t)wish->max, msg->fds[0], &size, err) < 0)
		return -1;
	*reply = json_pack("{s:i, s:I, s:I, s:s, s:s}", "status", 200, "size", (json_int_t)size,
		"skipped", (json_int_t)0, "etag", "", "type", "");
	return *reply ? 0 : yg_fail_sys(err, ENOMEM, "answering");
}

static int get(struct fetch *fetch, struct yg_ipc_msg *msg, json_t **reply, struct yg_err *err)
{
	struct wish wish = {0};
	char url[URL_MAX + PATH_BYTES];
	if (parse_wish(msg, &wish, err) < 0)
		return -1;
	if (msg->fd_count == 2)
		return get_from_bundle(fetch, msg, &wish, reply, err);
	if (make_url(wish.source.url, wish.path, url, sizeof(url), err) < 0 ||
		use_source(fetch, msg->body, &wish.source, err) < 0)
		return -1;

	struct yg_client_request request = {.url = url,
		.etag = wish.offset == 0 ? wish.etag : NULL,
		.max = (uint64_t)wish.max,
		.offset = (uint64_t)wish.offset,
		.content = true,
		.connect_ms = (uint32_t)wish.connect_s * 1000,
		.idle_s = (uint32_t)wish.timeout_s,
		.deadline_ms = 3600u * 1000};
	struct yg_client_reply got = {0};
	if (get_all(fetch, &request, msg->fds[0], &got, err) < 0)
		return -1;
	*reply = json_pack("{s:i, s:I, s:I, s:s, s:s}", "status", got.status, "size",
		(json_int_t)got.size, "skipped", (json_int_t)got.skipped, "etag", got.etag, "type",
		got.type);
	return *reply ? 0 : yg_fail_sys(err, ENOMEM, "answering");
}

static void on_get(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct yg_err err = {0};
	json_t *reply = NULL;
	if (get(ctx, msg, &reply, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, reply, NULL, 0);
}

static void on_probe(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	struct yg_err err = {0};
	json_t *reply = NULL;
	if (fetch_probe(msg->body, &reply, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, reply, NULL, 0);
}

static const struct yg_ipc_handler handlers[] = {{"fetch.get", on_get}, {"fetch.probe", on_probe},
	{0}};

/* ---- the role ---- */

/* There is nothing that it writes but pipes and sockets, and what it says, where that goes to a file. */
static int write_no_files(struct yg_err *err)
{
	const struct rlimit none = {0, 0};
	struct stat st;
	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	(void)signal(SIGXFSZ, SIG_IGN);
	return setrlimit(RLIMIT_FSIZE, &none) < 0
		? yg_fail_sys(err, errno, "limiting what is written to files")
		: 0;
}

int fetch_confine(const char *user, struct yg_err *err)
{
	if (write_no_files(err) < 0)
		return -1;
	int cas YG_AUTO(fd) = open(YG_TLS_SYSTEM_CAS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Debian's certificates are links to the packaged ones. */
	int shared YG_AUTO(
		fd) = open("/usr/share/ca-certificates", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct yg_sandbox_path paths[2];
	uint32_t count = 0;
	if (cas >= 0)
		paths[count++] = (struct yg_sandbox_path){.fd = cas};
	if (shared >= 0)
		paths[count++] = (struct yg_sandbox_path){.fd = shared};
	/* Threads: libcurl resolves names in one. */
	return yg_sandbox_enter(&(struct yg_sandbox){.syscalls = YG_SYS_CONNECT | YG_SYS_THREADS,
					.user = user && *user ? user : NULL,
					.files_max = 128,
					.paths = paths,
					.path_count = count},
		err);
}

int fetch_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	const char *user = NULL;
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	struct fetch *fetch = calloc(1, sizeof(*fetch));
	if (!fetch)
		return yg_fail_sys(err, ENOMEM, "starting");
	fetch->env = env;
	fetch->bundle_fd = -1;
	*self = fetch;
	if (fetch_confine(user, err) < 0)
		return -1;
	yg_role_ready(env);
	return 0;
}

static void asker_gone(void *ctx, struct yg_ipc *ipc)
{
	struct fetch *fetch = ctx;
	yg_ipc_free(ipc);
	fetch->asker = NULL;
	yg_loop_stop(fetch->env->loop); /* nobody is left to work for */
}

void fetch_link(void *self, const char *peer, const char *tag, int fd)
{
	(void)tag;
	struct fetch *fetch = self;
	struct yg_err err = {0};
	yg_ipc_free(fetch->asker);
	fetch->asker = yg_ipc_new(fetch->env->loop, fd, peer, handlers, asker_gone, fetch, &err);
}

void fetch_stop(void *self)
{
	struct fetch *fetch = self;
	if (!fetch)
		return;
	yg_ipc_free(fetch->asker);
	yg_client_free(fetch->client);
	free(fetch->key);
	yg_bundle_free(fetch->bundle);
	if (fetch->bundle_fd >= 0)
		(void)close(fetch->bundle_fd);
	free(fetch);
}
