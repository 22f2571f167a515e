/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

/* What verify asks for: it has no files and no network. Metadata is kept here (install_run_cache.c), and fetched for
 * it.
 */

#define TUF_MAX    (8u << 20) /* bytes of a file of metadata */
#define NAME_BYTES 128

/* ---- tuf.load, tuf.save ---- */

static int tuf_load(struct install_run *r, const json_t *body, struct yg_err *err)
{
	const char *name = NULL;
	char path[INSTALL_RUN_PATH];
	if (yg_json_str(body, "name", NAME_BYTES, &name, err) < 0)
		return -1;
	if (strcmp(name, "installed.json") == 0) {
		int fd = r->in->installed_root < 0
			? -1
			: fcntl(r->in->installed_root, F_DUPFD_CLOEXEC, 3);
		return fd >= 0 ? fd
			       : yg_fail(err, YG_EABSENT, "no root came with the installation");
	}
	if (install_run_cache_path(r, name, path, err) < 0)
		return -1;
	int fd = yg_fs_open(r->in->root, path, err);
	if (fd >= 0 || (err->code != YG_EFORMAT && err->sys != ELOOP))
		return fd;
	/* A folder, a link: somebody's left-over, in place of something that can be had again. */
	yg_log_err(YG_LOG_WARN, "update.cache", err);
	*err = (struct yg_err){0};
	if (yg_fs_remove(r->in->root, path, err) < 0)
		return -1;
	return yg_fail(err, YG_EABSENT, "'%s' was no file", path);
}

static void on_tuf_load(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = tuf_load(helper->run, msg->body, &err);
	if (fd < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, NULL, &fd, 1);
}

static int tuf_save(struct install_run *r, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *name = NULL;
	char path[INSTALL_RUN_PATH];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(TUF_MAX);
	if (yg_json_str(msg->body, "name", NAME_BYTES, &name, err) < 0 ||
		install_run_cache_path(r, name, path, err) < 0)
		return -1;
	if (msg->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "tuf.save: want 1 descriptor, have %zu",
			msg->fd_count);
	if (yg_fs_read_fd(msg->fds[0], &text, err) < 0)
		return -1;
	if (text.len == 0)
		return yg_fs_remove(r->in->root, path, err);
	/* On the disk when it returns: verify asks in the order in which one needs the other. */
	return install_run_cache_keep(r, path, yg_buf_bytes(&text), err);
}

static void on_tuf_save(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	if (tuf_save(helper->run, msg, &err) < 0) {
		if (err.code == YG_ESYSTEM && !err.cause[0])
			(void)!yg_str_put(err.cause, sizeof(err.cause), "%s",
				err.sys == ENOSPC || err.sys == EDQUOT ? "store.disk_full"
								       : "store.io");
		yg_ipc_reply_err(ipc, msg->id, &err);
	} else {
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
	}
}

/* ---- tuf.fetch ---- */

static void tuf_fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	int fd YG_AUTO(fd) = yg_take_fd(r->tuf_fd);
	uint32_t id = r->tuf_id;
	struct yg_err why = *err;
	r->tuf_id = 0;
	install_run_fetch_log(r, r->tuf_path, err, reply->body);
	if (!why.code)
		(void)!install_run_cache_came(r, r->tuf_path, reply->body, &fd, &why);
	if (!why.code && r->relay)
		(void)!install_mirror_note(r->in->mirror, r->tuf_path, fd, &why);
	if (!r->verify.ipc)
		return;
	if (why.code)
		yg_ipc_reply_err(r->verify.ipc, id, &why);
	else
		yg_ipc_reply(r->verify.ipc, id, NULL, &fd, 1);
}

static int ask_fetch(struct install_run *r, const struct yg_ipc_msg *msg, const char *path,
	uint64_t max, struct yg_err *err)
{
	if (r->tuf_id || !r->fetch.ipc)
		return yg_fail_cause(err, YG_EAGAIN, "update.interrupted",
			"'%s': there is no process to fetch it", path);
	r->tuf_fd = install_run_fetch_file(r, err);
	if (r->tuf_fd < 0)
		return -1;
	memcpy(r->tuf_path, path, strlen(path) + 1);
	r->tuf_id = msg->id;
	json_t *body = install_run_fetch_body(r, path, max);
	json_t *etag = install_run_cache_etag(r, path);
	if (etag)
		(void)json_object_set_new(body, "etag", etag);
	install_run_helper_get(r, body, r->tuf_fd, tuf_fetched);
	return 0;
}

static int tuf_fetch(struct install_run *r, struct yg_ipc *ipc, const struct yg_ipc_msg *msg,
	struct yg_err *err)
{
	const char *path = NULL;
	int64_t max = 0;
	if (yg_json_str(msg->body, "path", INSTALL_RUN_PATH - 1, &path, err) < 0 ||
		yg_json_int(msg->body, "max", 0, TUF_MAX, &max, err) < 0)
		return -1;
	if (!yg_str_path_ok(path, INSTALL_RUN_PATH - 1))
		return yg_fail(err, YG_EFORMAT, "path: not a path of a repository");
	int kept YG_AUTO(fd) = install_run_cache_find(r, path);
	if (kept < 0)
		return ask_fetch(r, msg, path, (uint64_t)max, err);
	if (r->relay && install_mirror_note(r->in->mirror, path, kept, err) < 0)
		return -1;
	yg_ipc_reply(ipc, msg->id, NULL, &kept, 1);
	return 0;
}

static void on_tuf_fetch(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	if (tuf_fetch(helper->run, ipc, msg, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
}

const struct yg_ipc_handler install_run_tuf_asks[] = {
	{"tuf.load", on_tuf_load},
	{"tuf.save", on_tuf_save},
	{"tuf.fetch", on_tuf_fetch},
	{0},
};
