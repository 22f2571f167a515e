/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/call.h"

#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"

#define ARGS_SMALL (YG_IPC_SIZE_MAX - 8192) /* bytes that go inside the message */

static const struct yg_ipc_handler no_handlers[] = {{0}};

int call_start(struct yg_role_env *env, const char *label, const struct yg_sandbox *box,
	struct yg_err *err)
{
	const char *user = NULL;
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	yg_log_init(label, yg_log_level());
	struct yg_sandbox own = *box;
	own.user = user[0] ? user : NULL;
	return yg_sandbox_enter(&own, err);
}

struct call_pending {
	struct call_link *link;
	struct call_pending *next;
	call_done *done;
	void *ctx;
};

void call_link_drop(struct call_link *link)
{
	struct yg_err err = {0};
	(void)yg_fail(&err, YG_EAGAIN, "a part of the Manager is starting again; try again");
	yg_ipc_free(yg_take(link->ipc));
	/* A callback may ask again: that goes to nowhere and is answered at once. */
	while (link->open) {
		struct call_pending *pending = link->open;
		link->open = pending->next;
		pending->done(pending->ctx, NULL, &err);
		free(pending);
	}
}

void call_link_set(struct call_link *link, struct yg_loop *loop, int fd, const char *peer,
	const struct yg_ipc_handler *handlers, void (*closed)(void *ctx, struct yg_ipc *ipc),
	void *self)
{
	struct yg_err err = {0};
	call_link_drop(link);
	link->ipc = yg_ipc_new(loop, fd, peer, handlers ? handlers : no_handlers, closed, self,
		&err);
	if (!link->ipc)
		yg_log_err(YG_LOG_ERROR, "link.failed", &err);
}

static void answered(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct call_pending *own YG_AUTO(mem) = ctx;
	for (struct call_pending **at = &own->link->open; *at; at = &(*at)->next)
		if (*at == own) {
			*at = own->next;
			break;
		}
	struct yg_err bad = *err;
	json_t *large YG_AUTO(yg_json) = NULL;
	json_t *result = bad.code == YG_OK ? reply->body : NULL;
	if (result && json_is_true(json_object_get(result, "large"))) {
		if (reply->fd_count != 1)
			(void)yg_fail(&bad, YG_EFORMAT,
				"a large answer: want 1 descriptor, have %zu", reply->fd_count);
		else if (yg_json_read(reply->fds[0], CALL_RESULT_MAX, &large, &bad) < 0)
			(void)yg_wrap(&bad, "a large answer");
		result = large;
	}
	own->done(own->ctx, bad.code == YG_OK ? result : NULL, &bad);
}

static void ask(struct call_link *link, const char *peer, const char *name, json_t *body, int fd,
	call_done *done, void *ctx)
{
	struct yg_err err = {0};
	if (!link->ipc) {
		json_decref(body);
		(void)yg_fail(&err, YG_EAGAIN, "the Manager's %s is starting again; try again",
			peer);
		done(ctx, NULL, &err);
		return;
	}
	struct call_pending *pending = malloc(sizeof(*pending));
	if (!pending) {
		json_decref(body);
		(void)yg_fail(&err, YG_ESYSTEM, "out of memory");
		done(ctx, NULL, &err);
		return;
	}
	*pending = (struct call_pending){link, link->open, done, ctx};
	link->open = pending;
	yg_ipc_request(link->ipc, name, body, &fd, fd >= 0 ? 1 : 0, answered, pending);
}

void call_role(struct call_link *link, const char *peer, const char *name, json_t *body,
	call_done *done, void *ctx)
{
	ask(link, peer, name, body, -1, done, ctx);
}

void call_store(struct call_link *store, const char *op, json_t *args, json_t *who,
	const char *lang, call_done *done, void *ctx)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = -1;
	json_t *body = json_pack("{s:s, s:o}", "op", op, "who",
		who ? who : json_pack("{s:s}", "kind", "system"));
	if (lang)
		(void)json_object_set_new(body, "lang", json_string(lang));
	if (json_dumpb(args, NULL, 0, JSON_COMPACT) <= ARGS_SMALL) {
		(void)json_object_set_new(body, "args", args);
	} else {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(CALL_ARGS_MAX);
		if (yg_json_dump(args, &text, &err) == 0)
			fd = yg_fs_memfd("args", yg_buf_bytes(&text), &err);
		json_decref(args);
		if (fd < 0) {
			json_decref(body);
			done(ctx, NULL, &err);
			return;
		}
	}
	ask(store, "store", "store.call", body, fd, done, ctx);
}
