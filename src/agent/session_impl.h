/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/control.h"
#include "agent/identity.h"
#include "agent/jobs.h"
#include "agent/manager.h"
#include "agent/spool.h"
#include "core/role.h"

/* The parts of the session role among themselves. session.c: links, Manager, events. session_ask.c: the
 * control socket. session_task.c: everything that is asked of this computer, by whomever.
 */

#define SESSION_RECENT_MAX 500 /* events that the control socket can show */

struct task;

struct session {
	struct yg_role_env *env;
	int identity_dir, state_dir;
	struct identity *identity, *next_identity; /* NULL: not activated; no change */
	bool forget;                               /* deactivate, from the loop */
	struct yg_timer *remake;
	struct manager *manager; /* NULL: not activated */
	struct spool *spool;
	struct jobs *jobs;
	struct control *control;
	struct yg_ipc *install, *walk, *relay;
	struct task *tasks;
	struct yg_timer *again; /* results that could not be stored; tasks that wait */

	json_t *store;         /* what install said last; NULL: nothing yet */
	bool store_fresh;      /* the install role that runs now has said so */
	json_t *engine_before; /* install starts again: how the engine was; NULL: as `store` says */
	struct yg_timer *settled;
	json_t *settings; /* of the Manager; NULL: none */
	json_t *revoked;  /* array */
	json_t *addresses, *recent;
	char os[128], hostname[256];
	char policy_refused[129]; /* fingerprint that this computer could not take */
	char policy_asked[129];
	int64_t stale_until_ms; /* newer settings were announced: updates wait for them; 0: no */
	bool relay_wanted, relay_on;
	int64_t relay_port;

	struct manager_activation *activation;
	struct control_call *activation_call;
	struct yg_timer *activation_end;
};

/* An event of this agent: kept until the Manager has it. params (or NULL) are taken over. */
void session_event(struct session *s, unsigned id, json_t *params);
/* The same for a result; false when it could not be stored. entry is taken over. */
bool session_result(struct session *s, json_t *entry);
void session_changed(struct session *s); /* tell the Manager soon */
json_t *session_hello(struct session *s, const char *name);
json_t *session_status(struct session *s);
const struct yg_proxy *session_proxy(const struct session *s, struct yg_proxy *out);
void session_policy(struct session *s, const char *fingerprint, const json_t *policy);

/* ---- session_ask.c ---- */

extern const struct control_verb session_ask_verbs[];
void session_ask_activated(void *ctx, struct identity *identity, const struct yg_err *err);

/* ---- session_task.c ---- */

/* Take a command of the Manager's; false when it could not be remembered. */
bool session_task_command(struct session *s, const json_t *command);
/* Take a question from the control socket; it is answered later.
 * in      question  "paths" (scan) and "bundle" (update) are taken from it; NULL
 */
void session_task_ask(struct session *s, const char *kind, struct control_call *call,
	const json_t *question);
void session_task_resume(struct session *s); /* at the start: jobs that had not ended */
void session_task_pump(struct session *s);   /* a link came, or time passed */
void session_task_free(struct session *s);
void session_task_phase(struct session *s, const json_t *body); /* update.progress */
void session_task_scan(struct session *s, const char *name,
	const json_t *body); /* scan.* notices */
json_t *session_task_update(
	const struct session *s); /* {job, phase} of a running update, or null */
