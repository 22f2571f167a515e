/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/ipc.h"
#include "core/role.h"
#include "core/sandbox.h"

/* What every role of the Manager needs: its beginning, its links, and asking the store. */

#define CALL_ARGS_MAX   (8u << 20)  /* bytes of arguments that travel as a descriptor */
#define CALL_RESULT_MAX (64u << 20) /* bytes of such a result: a job of 50,000 computers fits */

/* The label for the log, then the sandbox with the user from there. */
int call_start(struct yg_role_env *env, const char *label, const struct yg_sandbox *box,
	struct yg_err *err) YG_MUST_CHECK;

/* One link to another role, which may come and go. */
struct call_link {
	struct yg_ipc *ipc;        /* owned; NULL while the other side is away */
	struct call_pending *open; /* requests without an answer; owned */
};

/* Give the channel up: what is open is answered with YG_EAGAIN. Also the link's `closed`. */
void call_link_drop(struct call_link *link);

/* Take a new channel, in the place of the one before. `self` goes to the handlers (NULL: none). */
void call_link_set(struct call_link *link, struct yg_loop *loop, int fd, const char *peer,
	const struct yg_ipc_handler *handlers, void (*closed)(void *ctx, struct yg_ipc *ipc),
	void *self);

/* An outcome: *err has a code when it failed, else `result` (borrowed) is an object. Called once,
 * from inside call_store only when the link is away.
 */
typedef void call_done(void *ctx, json_t *result, const struct yg_err *err);

/* {"op","args","who","lang"} to the store; docs/store-ops.md. `args` and `who` are taken over; NULL
 * `who` is {"kind":"system"}; NULL `lang` leaves it out.
 */
void call_store(struct call_link *store, const char *op, json_t *args, json_t *who,
	const char *lang, call_done *done, void *ctx);

/* A request to another role with a small answer. `body` is taken over. */
void call_role(struct call_link *link, const char *peer, const char *name, json_t *body,
	call_done *done, void *ctx);
