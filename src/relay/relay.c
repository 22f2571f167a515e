/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "relay/relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "net/server.h"

#define FOLDER      "relay" /* in the state folder; the tree of docs/repository.md */
#define NAME_MAX_   200     /* bytes of a file's name */
#define FILES_MAX   16384   /* descriptors: two a client at most */
#define REVOKED_MAX 10000   /* serial numbers; as many as a heartbeat's answer has (docs/wire.md) */
#define LIST_MAX    (1u << 20) /* bytes of their list, in a file of its own */
#define PEM_MAX     65536      /* bytes; a message is no larger */
#define SHA_LEN     64         /* digits of a SHA-256 */
#define RECENT      16         /* refused clients that are remembered */
#define AGAIN_MS    60000      /* one of them is logged again after so long */
#define DEAF_MS     10000      /* until a port that was taken is tried again */
#define RETRY_S     "5"        /* a relay that has nothing yet is being filled */

struct refused {
	char serial[YG_X509_SERIAL];
	int64_t at_ms;
};

struct relay {
	struct yg_role_env *env;
	int folder;         /* FOLDER */
	int listen;         /* -1: `deaf` says why not */
	struct yg_err deaf; /* told to who wants it to serve; then another process tries again */
	struct yg_timer *again;
	uint16_t port;
	struct yg_ipc *session, *install;
	struct yg_server *server; /* NULL before relay.serve */
	json_t *revoked;          /* object, its members named by serial numbers; NULL: none */
	uint64_t refused;         /* clients that TLS let in and we did not */
	struct refused recent[RECENT];
	size_t next; /* of recent, to be overwritten */
};

/* --- who may ask */

static bool is_revoked(const struct relay *relay, const char *serial)
{
	return json_object_get(relay->revoked, serial) != NULL;
}

/* A refused client comes back every few seconds: one line a minute says it. */
static bool is_news(struct relay *relay, const char *serial)
{
	int64_t now = yg_clock_mono_ms();
	struct refused *at = &relay->recent[relay->next];
	for (size_t i = 0; i < RECENT; i++) {
		struct refused *one = &relay->recent[i];
		if (one->at_ms == 0 || strcmp(one->serial, serial) != 0)
			continue;
		if (now - one->at_ms < AGAIN_MS)
			return false;
		at = one;
	}
	if (at == &relay->recent[relay->next])
		relay->next = (relay->next + 1) % RECENT;
	(void)snprintf(at->serial, sizeof(at->serial), "%s", serial);
	at->at_ms = now;
	return true;
}

static bool refuse(struct relay *relay, struct yg_server_request *request, const char *code,
	const char *why)
{
	const struct yg_x509_info *cert = yg_server_cert(request);
	relay->refused++;
	if (is_news(relay, cert ? cert->serial : ""))
		yg_log(YG_LOG_WARN, "relay.refused",
			"the client %s: certificate of %s, serial %s: %s", yg_server_peer(request),
			cert ? cert->subject : "nobody", cert ? cert->serial : "none", why);
	yg_server_reply_error(request, 403, code, NULL, "your certificate (serial %s) %s",
		cert ? cert->serial : "none", why);
	return true;
}

/* Looks at every request; true: it was refused. */
static bool check_client(void *ctx, struct yg_server_request *request)
{
	struct relay *relay = ctx;
	const struct yg_x509_info *cert = yg_server_cert(request);
	/* A serial that is too long to be read cannot be found in the list either. */
	if (!cert || !cert->serial[0] ||
		(!yg_x509_uri_after(cert, "urn:yagura:agent:") &&
			!yg_x509_uri_after(cert, "urn:yagura:manager:")))
		return refuse(relay, request, "forbidden", "is not one of an agent");
	if (is_revoked(relay, cert->serial))
		return refuse(relay, request, "certificate_revoked", "is revoked");
	return false;
}

/* --- what is there */

static bool is_sha(const char *text)
{
	return strspn(text, "0123456789abcdef") == SHA_LEN;
}

/* Not yet filled is another answer than not there: who asks comes back. */
static void reply_absent(const struct relay *relay, struct yg_server_request *request)
{
	struct stat about;
	if (fstatat(relay->folder, "metadata/timestamp.json", &about, AT_SYMLINK_NOFOLLOW) == 0) {
		yg_server_reply_error(request, 404, "not_found", NULL, "the relay does not have %s",
			yg_server_path(request));
		return;
	}
	yg_server_add(request, "Retry-After", RETRY_S);
	yg_server_reply_error(request, 503, "unavailable", NULL, "the relay has no content yet");
}

static void set_cache(struct yg_server_request *request, bool changes)
{
	yg_server_add(request, "Cache-Control",
		changes ? "no-cache" : "private, max-age=31536000, immutable");
}

/* sha NULL: the entity tag is the hash of the file, which is small then. */
static void reply_path(const struct relay *relay, struct yg_server_request *request,
	const char *path, const char *type, const char *sha)
{
	struct yg_err err = {0};
	char etag[SHA_LEN + 3];
	int fd YG_AUTO(fd) = yg_fs_open(relay->folder, path, &err);
	if (fd < 0 && err.code == YG_EABSENT) {
		reply_absent(relay, request);
		return;
	}
	uint8_t raw[YG_HASH_SIZE];
	if (fd < 0 || (!sha && yg_hash_fd(fd, raw, NULL, &err) < 0)) {
		yg_log_err(YG_LOG_ERROR, "relay.file", &err);
		yg_server_reply_error(request, 500, "internal", NULL, "the relay cannot read %s",
			path);
		return;
	}
	char hex[YG_HASH_TEXT];
	if (!sha)
		yg_str_hex(raw, sizeof(raw), hex);
	(void)snprintf(etag, sizeof(etag), "\"%.64s\"", sha ? sha : hex);
	yg_server_reply_file(request, yg_take_fd(fd), type, etag);
}

static void get_metadata(void *ctx, struct yg_server_request *request)
{
	const struct relay *relay = ctx;
	const char *name = yg_server_arg(request, "name");
	char path[NAME_MAX_ + 32];
	if (!yg_str_name_ok(name, NAME_MAX_, YG_STR_FILE_CHARS) ||
		!yg_str_put(path, sizeof(path), "metadata/%s", name)) {
		reply_absent(relay, request);
		return;
	}
	set_cache(request, strcmp(name, "timestamp.json") == 0);
	reply_path(relay, request, path, "application/json", NULL);
}

static void get_target(void *ctx, struct yg_server_request *request)
{
	const struct relay *relay = ctx;
	const char *role = yg_server_arg(request, "role");
	const char *name = yg_server_arg(request, "name");
	char path[2 * NAME_MAX_ + 32];
	if (!yg_str_name_ok(role, 64, YG_STR_NAME_CHARS) ||
		!yg_str_name_ok(name, NAME_MAX_, YG_STR_FILE_CHARS) || !is_sha(name) ||
		name[SHA_LEN] != '.' ||
		!yg_str_put(path, sizeof(path), "targets/%s/%s", role, name)) {
		reply_absent(relay, request);
		return;
	}
	set_cache(request, false);
	reply_path(relay, request, path, "application/json", name);
}

static void get_object(void *ctx, struct yg_server_request *request)
{
	const struct relay *relay = ctx;
	const char *start = yg_server_arg(request, "start");
	const char *sha = yg_server_arg(request, "sha");
	char path[SHA_LEN + 32];
	if (!is_sha(sha) || strlen(sha) != SHA_LEN || strlen(start) != 2 ||
		strncmp(start, sha, 2) != 0 ||
		!yg_str_put(path, sizeof(path), "objects/%s/%s", start, sha)) {
		reply_absent(relay, request);
		return;
	}
	set_cache(request, false);
	reply_path(relay, request, path, "application/octet-stream", sha);
}

static const struct yg_server_route routes[] = {
	{"GET", "/metadata/{name}", get_metadata, false},
	{"GET", "/targets/{role}/{name}", get_target, false},
	{"GET", "/objects/{start}/{sha}", get_object, false},
	{0},
};

/* --- messages */

static int read_serials(const json_t *list, json_t *out, struct yg_err *err)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *serial = json_string_value(json_array_get(list, i));
		size_t len = serial ? strlen(serial) : 0;
		if (len < 1 || len >= YG_X509_SERIAL || strspn(serial, "0123456789ABCDEF") != len)
			return yg_fail(err, YG_EFORMAT, "revoked[%zu]: want upper-case hex digits",
				i);
		if (json_object_set_new(out, serial, json_true()) < 0)
			return yg_fail_sys(err, ENOMEM, "revoked");
	}
	return 0;
}

/* A short list is in the message; one that messages have no room for comes as {"revoked": […]} in a
 * descriptor.
 */
static int read_revoked(const struct yg_ipc_msg *msg, json_t **out, struct yg_err *err)
{
	json_t *file YG_AUTO(yg_json) = NULL;
	json_t *serials YG_AUTO(yg_json) = json_object();
	json_t *list = NULL;
	if (!serials)
		return yg_fail_sys(err, ENOMEM, "revoked");
	if (msg->fd_count > 0 && yg_json_read(msg->fds[0], LIST_MAX, &file, err) < 0)
		return yg_wrap(err, "revoked");
	if (yg_json_array(file ? file : msg->body, "revoked", REVOKED_MAX, &list, err) < 0 ||
		read_serials(list, serials, err) < 0)
		return -1;
	*out = yg_take(serials);
	return 0;
}

static int serve(struct relay *relay, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const json_t *body = msg->body;
	struct yg_tls tls = {0};
	if (relay->listen < 0) {
		*err = relay->deaf;
		return -1;
	}
	json_t *revoked YG_AUTO(yg_json) = NULL;
	if (yg_json_str(body, "cert", PEM_MAX, &tls.cert, err) < 0 ||
		yg_json_str(body, "key", PEM_MAX, &tls.key, err) < 0 ||
		yg_json_str(body, "ca_bundle", PEM_MAX, &tls.cas, err) < 0 ||
		read_revoked(msg, &revoked, err) < 0)
		return -1;
	if (!relay->server) {
		struct yg_server_options options = {.name = "relay",
			.client = YG_SERVER_REQUIRE,
			.body_max = 1, /* nobody sends us anything */
			.connections_max = FILES_MAX / 2,
			.routes = routes,
			.ctx = relay,
			.before = check_client};
		/* The server closes a socket that it refuses, and another message may bring better keys. */
		int fd YG_AUTO(fd) = fcntl(relay->listen, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return yg_fail_sys(err, errno, "copying the listening socket");
		relay->server = yg_server_new(relay->env->loop, yg_take_fd(fd), &tls, &options,
			err);
		if (!relay->server)
			return -1;
		yg_log(YG_LOG_NOTICE, "relay.on", "serving on port %u", relay->port);
	} else if (yg_server_tls(relay->server, &tls, err) < 0) {
		return -1;
	}
	json_decref(relay->revoked);
	relay->revoked = yg_take(revoked);
	return 0;
}

static void on_serve(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct relay *relay = ctx;
	struct yg_err err = {0};
	if (serve(relay, msg, &err) < 0) {
		(void)yg_wrap(&err, "relay.serve");
		yg_log_err(YG_LOG_ERROR, "relay.serve", &err);
		yg_ipc_reply_err(ipc, msg->id, &err);
		return;
	}
	yg_ipc_reply(ipc, msg->id, json_pack("{s:i}", "port", (int)relay->port), NULL, 0);
}

static void on_status(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	const struct relay *relay = ctx;
	struct yg_server_stats stats = {0};
	struct stat about;
	const char *state = "off";
	if (relay->server) {
		yg_server_stats(relay->server, &stats);
		state = fstatat(relay->folder, "metadata/timestamp.json", &about,
				AT_SYMLINK_NOFOLLOW) == 0
			? "on"
			: "empty";
	}
	yg_ipc_reply(ipc, msg->id,
		json_pack("{s:i, s:s, s:I, s:I, s:I, s:I}", "port", (int)relay->port, "state",
			state, "connections", (json_int_t)stats.connections, "accepted",
			(json_int_t)stats.accepted, "requests", (json_int_t)stats.requests,
			"refused", (json_int_t)(stats.refused + relay->refused)),
		NULL, 0);
}

static const struct yg_ipc_handler from_session[] = {
	{"relay.serve", on_serve},
	{"relay.status", on_status},
	{0},
};

static const struct yg_ipc_handler from_install[] = {
	{"relay.status", on_status},
	{0},
};

/* The other side died. What was said last holds until it comes back. */
static void on_closed(void *ctx, struct yg_ipc *ipc)
{
	struct relay *relay = ctx;
	struct yg_ipc **at = relay->session == ipc ? &relay->session : &relay->install;
	*at = NULL;
	yg_ipc_free(ipc);
}

void relay_link(void *self, const char *peer, const char *tag, int fd)
{
	struct relay *relay = self;
	(void)tag;
	struct yg_err err = {0};
	bool session = strcmp(peer, "session") == 0;
	if (!session && strcmp(peer, "install") != 0) {
		yg_log(YG_LOG_WARN, "relay.link", "a link to %s is not for us", peer);
		(void)close(fd);
		return;
	}
	struct yg_ipc **at = session ? &relay->session : &relay->install;
	yg_ipc_free(*at);
	*at = yg_ipc_new(relay->env->loop, fd, peer, session ? from_session : from_install,
		on_closed, relay, &err);
	if (!*at)
		yg_log_err(YG_LOG_ERROR, "relay.link", &err);
}

/* --- start and stop */

static int enter_sandbox(const struct relay *relay, struct yg_err *err)
{
	const char *user = "";
	if (yg_json_str_or(relay->env->config, "user", 64, "", &user, err) < 0)
		return -1;
	const struct yg_sandbox_path paths[] = {{.fd = relay->folder, .write = false}};
	const struct yg_sandbox box = {
		.syscalls = YG_SYS_FILES, /* to open; Landlock leaves reading, in one folder */
		.user = *user ? user : NULL,
		.memory_max = 2ull << 30,
		.files_max = FILES_MAX,
		.paths = paths,
		.path_count = YG_COUNT(paths),
	};
	return yg_sandbox_enter(&box, err);
}

static void try_again(void *ctx)
{
	const struct relay *relay = ctx;
	yg_loop_stop(relay->env->loop);
}

/* Most often another program has the port. In this sandbox no other socket can be had: the parent starts us again. */
static void listen_later(struct relay *relay, uint16_t port, struct yg_err *err)
{
	relay->port = port;
	(void)yg_fail_cause(&relay->deaf, YG_ESYSTEM, "relay.off", "%s", err->msg);
	yg_log_err(YG_LOG_ERROR, "relay.listen", &relay->deaf);
	*err = (struct yg_err){0};
	relay->again = yg_loop_timer(relay->env->loop, try_again, relay);
	yg_timer_set(relay->again, DEAF_MS);
}

static int open_all(struct relay *relay, struct yg_err *err)
{
	const struct yg_role_env *env = relay->env;
	const char *bind = "";
	int64_t port = 0;
	if (env->fd_count < 1)
		return yg_fail(err, YG_EFORMAT,
			"config: want the state folder's descriptor, have none");
	if (yg_json_int(env->config, "port", 0, 65535, &port, err) < 0 ||
		yg_json_str_or(env->config, "bind", 64, "", &bind, err) < 0)
		return yg_wrap(err, "config");
	/* It may be there only after the first update; Landlock needs it now. */
	if (yg_fs_mkdirs(env->fds[0], FOLDER, 0755, err) < 0)
		return -1;
	relay->folder = yg_fs_open_dir(env->fds[0], FOLDER, err);
	if (relay->folder < 0)
		return -1;
	relay->listen = yg_server_listen(bind, (uint16_t)port, err);
	if (relay->listen >= 0)
		relay->port = yg_server_port(relay->listen);
	else
		listen_later(relay, (uint16_t)port, err);
	return 0;
}

int relay_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	if (!relay)
		return yg_fail_sys(err, ENOMEM, "relay");
	relay->env = env;
	relay->folder = relay->listen = -1;
	if (open_all(relay, err) < 0 || enter_sandbox(relay, err) < 0) {
		relay_stop(relay);
		return -1;
	}
	for (size_t i = 0; i < env->fd_count; i++) { /* the state folder has keys in it */
		(void)close(env->fds[i]);
		env->fds[i] = -1;
	}
	env->fd_count = 0;
	*self = relay;
	yg_role_ready(env);
	return 0;
}

void relay_stop(void *self)
{
	struct relay *relay = self;
	if (!relay)
		return;
	yg_server_free(relay->server);
	yg_timer_free(relay->again);
	yg_ipc_free(relay->session);
	yg_ipc_free(relay->install);
	json_decref(relay->revoked);
	if (relay->folder >= 0)
		(void)close(relay->folder);
	if (relay->listen >= 0)
		(void)close(relay->listen);
	free(relay);
}
