/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The store role: the database and every rule about it.
 *
 *     has      its state folder to read and write, the time zone database to read; with PostgreSQL also outgoing connections
 *     has not  listening, starting programs, other paths, capabilities
 *
 * It answers one request after the other: the database is the only thing it waits for.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/ipc.h"
#include "core/log.h"
#include "core/role.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "crypto/seal.h"
#include "manager/store/store.h"
#include "manager/store/zone.h"

#define ARGS_MAX    (8u << 20)               /* bytes of arguments that come as a descriptor */
#define RESULT_MAX  (256u << 20)             /* bytes of a result that goes as one */
#define SMALL_MAX   (YG_IPC_SIZE_MAX - 1024) /* bytes that fit into a message beside its head */
#define OUTSIDE_MAX (8u << 20)               /* bytes of what the parent knows */
#define MEMORY_MAX  (2048ull << 20)
#define TICK_MS     5000
#define TICK_JOB_MS 1000 /* while jobs run */

static const struct {
	const char *peer;
	enum store_caller caller;
} peers[] = {{"web", STORE_WEB}, {"session", STORE_SESSION}, {"ca", STORE_CA},
	{"content", STORE_CONTENT}, {"parent", STORE_PARENT}};
#define PEERS YG_COUNT(peers)

struct self {
	struct yg_loop *loop;
	struct yg_role_env *env;
	char level[16]; /* of the log, as the parent was told; "" not yet */
	struct store *store;
	struct yg_ipc *links[PEERS];
	struct yg_timer *tick;
};

static size_t index_of(const char *peer)
{
	size_t i = 0;
	while (i < PEERS && strcmp(peers[i].peer, peer) != 0)
		i++;
	return i;
}

static void answer(struct yg_ipc *ipc, uint32_t id, json_t *result)
{
	json_t *owned YG_AUTO(yg_json) = result;
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(RESULT_MAX);
	if (yg_json_dump(owned, &text, &err) < 0) {
		yg_ipc_reply_err(ipc, id, &err);
		return;
	}
	if (text.len <= SMALL_MAX) {
		yg_ipc_reply(ipc, id, yg_take(owned), NULL, 0);
		return;
	}
	int fd YG_AUTO(fd) = yg_fs_memfd("store-result", yg_buf_bytes(&text), &err);
	if (fd < 0) {
		yg_ipc_reply_err(ipc, id, &err);
		return;
	}
	yg_ipc_reply(ipc, id, json_pack("{s:b}", "large", 1), &fd, 1);
}

/* With one descriptor the arguments are in it. */
static int large_args(struct yg_ipc_msg *msg, struct yg_err *err)
{
	if (msg->fd_count == 0 || json_object_get(msg->body, "args"))
		return 0;
	json_t *args YG_AUTO(yg_json) = NULL;
	if (yg_json_read(msg->fds[0], ARGS_MAX, &args, err) < 0)
		return yg_wrap(err, "store.call: args");
	return json_object_set(msg->body, "args", args) == 0
		? 0
		: yg_fail(err, YG_ESYSTEM, "store.call: out of memory");
}

static void got_call(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct self *self = ctx;
	struct yg_err err = {0};
	json_t *result = NULL;
	size_t peer = index_of(yg_ipc_peer(ipc));
	if (peer == PEERS)
		return;
	if (large_args(msg, &err) == 0 &&
		store_call(self->store, peers[peer].caller, msg->body, &result, &err) == 0) {
		answer(ipc, msg->id, result);
		return;
	}
	/* What somebody outside did wrong is their answer; what is wrong here is ours to say. */
	if (err.code == YG_ESYSTEM || err.code == YG_EAGAIN) {
		const char *op = json_string_value(json_object_get(msg->body, "op"));
		yg_log(YG_LOG_WARN, "store.call", "%s: %s", op ? op : "?", err.msg);
	}
	yg_ipc_reply_err(ipc, msg->id, &err);
}

static const struct yg_ipc_handler handlers[] = {{"store.call", got_call}, {0}};

static void closed(void *ctx, struct yg_ipc *ipc)
{
	struct self *self = ctx;
	for (size_t i = 0; i < PEERS; i++)
		if (self->links[i] == ipc)
			self->links[i] = NULL;
	self->store->has_content = self->links[index_of("content")] != NULL;
	yg_ipc_free(ipc);
}

static bool notify(void *ctx, const char *peer, const char *name, json_t *body)
{
	struct self *self = ctx;
	struct yg_err err = {0};
	struct yg_ipc *ipc = self->links[index_of(peer)];
	if (!ipc) {
		json_decref(body);
		return false;
	}
	return yg_ipc_send(ipc, name, body, NULL, 0, &err) == 0;
}

static void link_to(void *ctx, const char *peer, const char *tag, int fd)
{
	(void)tag;
	struct self *self = ctx;
	struct yg_err err = {0};
	size_t i = index_of(peer);
	if (i == PEERS) {
		yg_log(YG_LOG_WARN, "store.link", "no business with role '%s'", peer);
		(void)close(fd);
		return;
	}
	yg_ipc_free(self->links[i]);
	self->links[i] = yg_ipc_new(self->loop, fd, peer, handlers, closed, self, &err);
	if (!self->links[i])
		yg_log_err(YG_LOG_ERROR, "store.link", &err);
	self->store->has_content = self->links[index_of("content")] != NULL;
}

/* The setting may have been changed by another store before us: it is looked at, not told. */
static void follow_level(struct self *self)
{
	struct yg_err err = {0};
	char *level YG_AUTO(mem) = NULL;
	if (store_setting_text(self->store, "log.manager_level", &level, &err) < 0 || !*level ||
		strcmp(level, self->level) == 0 ||
		!yg_str_put(self->level, sizeof(self->level), "%s", level))
		return;
	if (yg_ipc_send(self->env->parent, "log", json_pack("{s:s}", "level", level), NULL, 0,
		    &err) < 0)
		yg_log_err(YG_LOG_WARN, "store.log", &err);
}

static void tick(void *ctx)
{
	struct self *self = ctx;
	store_tick(self->store);
	follow_level(self);
	yg_timer_set(self->tick, self->store->running ? TICK_JOB_MS : TICK_MS);
}

static void stop(void *ctx)
{
	struct self *self = ctx;
	if (!self)
		return;
	yg_timer_free(self->tick);
	for (size_t i = 0; i < PEERS; i++)
		yg_ipc_free(self->links[i]);
	store_free(self->store);
	free(self);
}

static int enter(struct yg_role_env *env, const char *database, struct yg_err *err)
{
	const char *user;
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	yg_log_init("manager/store", yg_log_level());
	/* Where there is no time zone database, UTC is the only zone. */
	int zones YG_AUTO(fd) = open(ZONE_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct yg_sandbox_path paths[] = {{.fd = env->fds[0], .write = true}, {.fd = zones}};
	struct yg_sandbox box = {
		.syscalls = YG_SYS_FILES,
		.user = user[0] ? user : NULL,
		.memory_max = MEMORY_MAX,
		.files_max = 256,
		.paths = paths,
		.path_count = zones < 0 ? 1 : 2,
	};
	if (strncmp(database, "postgresql:", 11) == 0)
		box.syscalls |= YG_SYS_CONNECT | YG_SYS_LOCAL;
	/* What the database needs from the system's folders has to be loaded before they are gone. */
	if (yg_db_prepare(database, err) < 0)
		return -1;
	return yg_sandbox_enter(&box, err);
}

/* The parent answers at once: it waits for nobody. */
static int outside(void *ctx, json_t **out, struct yg_err *err)
{
	const struct yg_role_env *env = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd YG_AUTO(fd) = -1;
	if (yg_ipc_call(env->parent, "rings", NULL, NULL, 0, &reply, &fd, err) < 0)
		return yg_wrap(err, "asking the parent");
	if (fd < 0)
		return yg_fail(err, YG_EFORMAT, "the parent's answer has no descriptor");
	return yg_json_read(fd, OUTSIDE_MAX, out, err);
}

static int start(struct yg_role_env *env, void **out, struct yg_err *err)
{
	const char *database;
	if (yg_json_str(env->config, "database", 4096, &database, err) < 0)
		return -1;
	if (env->fd_count < 1)
		return yg_fail(err, YG_EFORMAT, "store: want the state folder, have no descriptor");
	if (enter(env, database, err) < 0)
		return -1;

	struct self *self = calloc(1, sizeof(*self));
	if (!self)
		return yg_fail(err, YG_ESYSTEM, "store: out of memory");
	self->loop = env->loop;
	self->env = env;
	if (store_open(&self->store, database, err) < 0) {
		stop(self);
		return -1;
	}
	if (env->fd_count > 2 && !(self->store->seal = yg_seal_open(env->fds[2], err))) {
		stop(self);
		return yg_wrap(err, "settings key");
	}
	self->store->notify = notify;
	self->store->notify_ctx = self;
	self->store->state_fd = env->fds[0];
	self->store->site = json_incref(json_object_get(env->config, "site"));
	self->store->outside = outside;
	self->store->outside_ctx = env;
	self->tick = yg_loop_timer(env->loop, tick, self);
	if (!self->tick) {
		stop(self);
		return yg_fail(err, YG_ESYSTEM, "store: out of memory");
	}
	yg_timer_set(self->tick, TICK_JOB_MS);
	if (env->fd_count > 1)
		link_to(self, "parent", "", yg_take_fd(env->fds[1]));
	*out = self;
	yg_role_ready(env);
	return 0;
}

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){{"store", "manager/store", start, link_to, stop}, {0}});
}
