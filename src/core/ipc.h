/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/loop.h"

/* Messages between processes of one program, over a SOCK_SEQPACKET pair.
 *
 * A message is one JSON object, at most YG_IPC_SIZE_MAX bytes, and up to YG_IPC_FDS_MAX descriptors:
 *
 *     {"msg":"object.fetch","id":7,"body":{…}}     a request (id > 0) or a notice (no id)
 *     {"re":7,"body":{…}}                          its reply
 *     {"re":7,"err":{"code":4,"sys":0,"retry_s":0,"cause":"net.refused","msg":"…"}}  or its failure
 *
 * Anything large travels as a descriptor (yg_fs_memfd). What the other side sends is checked as any
 * untrusted bytes: a broken message is logged, counted and dropped; the channel lives on. Only names
 * in the receiver's handler table are accepted.
 */

#define YG_IPC_SIZE_MAX 65536 /* bytes of one message; well under the default socket buffer */
#define YG_IPC_FDS_MAX  16

struct yg_ipc;

struct yg_ipc_msg {
	const char *name;
	uint32_t id;             /* 0: no reply is wanted */
	json_t *body;            /* an object, borrowed until the handler returns */
	int fds[YG_IPC_FDS_MAX]; /* what the handler does not take (yg_take_fd) is closed after it */
	size_t fd_count;
};

struct yg_ipc_handler {
	const char *name; /* the table ends with a NULL name */
	void (*handle)(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg);
};

/* How an outcome comes back: *err has a code when it failed, else `body` is the reply's body.
 * Descriptors that are not taken are closed afterwards.
 */
typedef void yg_ipc_done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err);

/* Take over one end of a pair. `peer` (copied) names the other side in logs and errors; `closed` is
 * called once when the other side is gone, after every open request was answered with YG_EAGAIN,
 * and may free the channel. Handlers may free it too.
 * errors  YG_ESYSTEM (fd is closed then)
 */
struct yg_ipc *yg_ipc_new(struct yg_loop *loop, int fd, const char *peer,
	const struct yg_ipc_handler *handlers, void (*closed)(void *ctx, struct yg_ipc *ipc),
	void *ctx, struct yg_err *err) YG_MUST_CHECK;
void yg_ipc_free(struct yg_ipc *ipc); /* open requests are forgotten; NULL is fine */
YG_DEFINE_AUTO(yg_ipc);
const char *yg_ipc_peer(const struct yg_ipc *ipc);

/* Send without waiting for an answer. `body` (an object or NULL) is taken over in any case;
 * descriptors stay the caller's. What the socket cannot take yet is queued.
 * errors  YG_ELIMIT too large; YG_EAGAIN the other side is gone
 */
int yg_ipc_send(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds, size_t fd_count,
	struct yg_err *err) YG_MUST_CHECK;

/* Send and have `done` called exactly once, from the loop, unless the channel is freed before.
 * A failure to send is reported through `done` as well.
 */
void yg_ipc_request(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds,
	size_t fd_count, yg_ipc_done *done, void *ctx);

/* The blocking form, for workers whose whole job is one thing after another. Messages that arrive
 * meanwhile are handled when control returns to the loop.
 * out     *reply  a new reference; reply_fd, if not NULL, gets the first descriptor or -1 (caller's)
 * errors  those of the reply; YG_EAGAIN the other side is gone
 */
int yg_ipc_call(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds, size_t fd_count,
	json_t **reply, int *reply_fd, struct yg_err *err) YG_MUST_CHECK;

/* Answer a request, from its handler or later (keep msg->id). `body` is taken over. A reply that
 * cannot be sent is dropped: the asker sees the channel close.
 */
void yg_ipc_reply(struct yg_ipc *ipc, uint32_t id, json_t *body, const int *fds, size_t fd_count);
void yg_ipc_reply_err(struct yg_ipc *ipc, uint32_t id, const struct yg_err *why);

/* Parse one datagram; the fuzz target's entry.
 * out     *msg    name and body point into *root, which the caller frees
 */
int yg_ipc_parse(struct yg_bytes text, json_t **root, struct yg_ipc_msg *msg, uint32_t *re,
	struct yg_err *why, struct yg_err *err) YG_MUST_CHECK;
