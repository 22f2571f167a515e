/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/attr.h"
#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"

/* The control socket for people's programs on this computer (docs/processes.md): JSON lines, one
 * question at a time on a connection. Only root and the agent's own user may connect.
 */

struct control;
struct control_call; /* one question; ends with exactly one control_reply or control_fail */

struct control_verb {
	const char *name; /* the table ends with NULL */
	void (*handle)(void *ctx, struct control_call *call, const json_t *question);
};

/* Serve on a listening socket, which is taken over. errors  YG_ESYSTEM */
struct control *control_new(struct yg_loop *loop, int fd, const struct control_verb *verbs,
	void *ctx, struct yg_err *err) YG_MUST_CHECK;
void control_free(struct control *control); /* open calls become deaf: still answer them */
YG_DEFINE_AUTO(control);

/* The file that came with the question: the caller's from now on; -1: none. */
int control_take_fd(struct control_call *call);

/* `gone` is called once when the asker closes the connection before the answer; it may answer (nobody). NULL:
 * no more. One that only sends no more still waits.
 */
void control_on_gone(struct control_call *call, void (*gone)(void *ctx), void *ctx);

/* Nothing happens when the asker has gone. Bodies are taken over. */
void control_progress(struct control_call *call, json_t *body);
void control_reply(struct control_call *call, json_t *body);
void control_fail(struct control_call *call, const struct yg_err *why);
