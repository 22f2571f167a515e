/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/set.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "tuf/tuf.h"

#define MEMORY_MAX   (512ull << 20) /* bytes of address space: metadata, and one zstd window */
#define METADATA_MAX (8u << 20)     /* bytes; above every limit of tuf/ */

struct verify {
	struct yg_role_env *env;
	struct yg_ipc *asker;
	int64_t now;
	bool begun;
};

/* ---- what the client of The Update Framework asks for, install brings ---- */

/* in  reply_fd  from a call; read and closed */
static int read_reply(int reply_fd, const char *what, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	int fd YG_AUTO(fd) = reply_fd;
	if (fd < 0)
		return yg_fail(err, YG_EFORMAT, "%s: the reply has no descriptor", what);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(max);
	if (yg_fs_read_fd(fd, &text, err) < 0)
		return yg_wrap(err, "%s", what);
	return yg_buf_add(buf, text.data, text.len, err);
}

static int ask_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf,
	struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd = -1;
	json_t *body = json_pack("{s:s, s:I}", "path", path, "max", (json_int_t)max);
	if (yg_ipc_call(verify->asker, "tuf.fetch", body, NULL, 0, &reply, &fd, err) < 0)
		return -1;
	return read_reply(fd, path, max, buf, err);
}

static int ask_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd = -1;
	if (yg_ipc_call(verify->asker, "tuf.load", json_pack("{s:s}", "name", name), NULL, 0,
		    &reply, &fd, err) < 0)
		return -1;
	return read_reply(fd, name, METADATA_MAX, buf, err);
}

static int ask_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	struct verify *verify = ctx;
	json_t *reply YG_AUTO(yg_json) = NULL;
	int fd YG_AUTO(fd) = yg_fs_memfd(name, bytes, err);
	if (fd < 0)
		return -1;
	return yg_ipc_call(verify->asker, "tuf.save", json_pack("{s:s}", "name", name), &fd, 1,
		&reply, NULL, err);
}

static const struct yg_tuf_ops tuf_ops = {ask_fetch, ask_load, ask_save};

/* The root of the installation, if one came with it; else one must be kept from before. */
static int trust(struct verify *verify, struct yg_tuf *tuf, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (ask_load(verify, "installed.json", &root, &why) < 0) {
		if (why.code == YG_EABSENT)
			return 0;
		*err = why;
		return -1;
	}
	return yg_tuf_trust(tuf, yg_buf_bytes(&root), err);
}

/* ---- verify.begin, verify.refresh ---- */

static void on_begin(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct verify *verify = ctx;
	struct yg_err err = {0};
	if (yg_json_int(msg->body, "now", 0, INT64_MAX, &verify->now, &err) < 0) {
		yg_ipc_reply_err(ipc, msg->id, &err);
		return;
	}
	verify->begun = true;
	yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static int parse_families(const json_t *body, unsigned *out, struct yg_err *err)
{
	json_t *list = NULL;
	unsigned families = 0;
	if (yg_json_array(body, "families", 8, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		for (unsigned f = YG_FAMILY_PATTERN; f <= YG_FAMILY_RULE; f++)
			if (name && strcmp(name, yg_family_name((enum yg_family)f)) == 0)
				families |= 1u << f;
	}
	*out = families;
	return 0;
}

static int refresh(struct verify *verify, const json_t *body, json_t **reply, int *fd,
	struct yg_err *err)
{
	json_t *abi = NULL;
	int64_t clamav = 0;
	unsigned families = 0;
	if (!verify->begun)
		return yg_fail(err, YG_EFORMAT, "verify.refresh came before verify.begin");
	if (yg_json_object(body, "abi", &abi, err) < 0 ||
		yg_json_int_or(abi, "clamav", 0, INT32_MAX, 0, &clamav, err) < 0 ||
		parse_families(body, &families, err) < 0)
		return yg_wrap(err, "verify.refresh");

	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&tuf_ops, verify, verify->now, err);
	if (!tuf || trust(verify, tuf, err) < 0 || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.clamav = clamav, .families = families, .every = true}, NULL,
		err);
	if (!set)
		return -1;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_set_format(set, true, &text, err) < 0)
		return -1;
	int memfd YG_AUTO(fd) = yg_fs_memfd("set", yg_buf_bytes(&text), err);
	if (memfd < 0)
		return -1;
	*reply = json_pack("{s:s, s:I, s:I, s:I}", "set", set->digest, "root",
		(json_int_t)yg_tuf_version(tuf, "root"), "timestamp",
		(json_int_t)yg_tuf_version(tuf, "timestamp"), "expires",
		(json_int_t)yg_tuf_expires(tuf, "timestamp"));
	if (!*reply)
		return yg_fail_sys(err, ENOMEM, "answering");
	*fd = yg_take_fd(memfd);
	return 0;
}

static void on_refresh(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct yg_err err = {0};
	json_t *reply = NULL;
	int fd YG_AUTO(fd) = -1;
	if (refresh(ctx, msg->body, &reply, &fd, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, reply, &fd, 1);
}

/* ---- verify.object ---- */

static int object(const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *encoding = NULL;
	const char *sha256 = NULL;
	const char *plain_sha256 = NULL;
	int64_t size = 0;
	int64_t plain_size = 0;
	struct yg_form form = {0};
	if (yg_json_str(msg->body, "encoding", 16, &encoding, err) < 0 ||
		yg_json_str(msg->body, "sha256", 64, &sha256, err) < 0 ||
		yg_json_str(msg->body, "plain_sha256", 64, &plain_sha256, err) < 0 ||
		yg_json_int(msg->body, "size", 0, INT64_MAX, &size, err) < 0 ||
		yg_json_int(msg->body, "plain_size", 0, (int64_t)YG_FILE_SIZE_MAX, &plain_size,
			err) < 0 ||
		yg_encoding_parse(encoding, &form.encoding, err) < 0)
		return yg_wrap(err, "verify.object");
	if (msg->fd_count != 2)
		return yg_fail(err, YG_EFORMAT, "verify.object: want 2 descriptors, have %zu",
			msg->fd_count);
	form.size = (uint64_t)size;
	if (!yg_str_put(form.sha256, sizeof(form.sha256), "%s", sha256))
		return yg_fail(err, YG_EFORMAT, "verify.object: sha256: too long");
	return yg_codec_decode(msg->fds[0], msg->fds[1], &form, plain_sha256, (uint64_t)plain_size,
		err);
}

static void on_object(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ctx;
	struct yg_err err = {0};
	if (object(msg, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static const struct yg_ipc_handler handlers[] = {
	{"verify.begin", on_begin},
	{"verify.refresh", on_refresh},
	{"verify.object", on_object},
	{0},
};

/* ---- the role ---- */

int verify_confine(const char *user, struct yg_err *err)
{
	return yg_sandbox_enter(&(struct yg_sandbox){.user = user && *user ? user : NULL,
					.memory_max = MEMORY_MAX,
					.files_max = 64},
		err);
}

int verify_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	const char *user = NULL;
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	struct verify *verify = calloc(1, sizeof(*verify));
	if (!verify)
		return yg_fail_sys(err, ENOMEM, "starting");
	verify->env = env;
	*self = verify;
	if (yg_sandbox_enter(&(struct yg_sandbox){.memory_max = MEMORY_MAX, .files_max = 64}, err) <
		0)
		return -1;
	yg_role_ready(env);
	return 0;
}

static void asker_gone(void *ctx, struct yg_ipc *ipc)
{
	struct verify *verify = ctx;
	yg_ipc_free(ipc);
	verify->asker = NULL;
	yg_loop_stop(verify->env->loop); /* nobody is left to work for */
}

void verify_link(void *self, const char *peer, const char *tag, int fd)
{
	(void)tag;
	struct verify *verify = self;
	struct yg_err err = {0};
	yg_ipc_free(verify->asker);
	verify->asker = yg_ipc_new(verify->env->loop, fd, peer, handlers, asker_gone, verify, &err);
}

void verify_stop(void *self)
{
	struct verify *verify = self;
	if (!verify)
		return;
	yg_ipc_free(verify->asker);
	free(verify);
}
