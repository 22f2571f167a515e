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
struct session_probe;

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
	char log_level[16];     /* the Manager's setting as it was passed on; "" none */
	bool relay_wanted, relay_on;
	bool relay_bad;   /* event 9105 was sent */
	int relay_turned; /* what the parent was told: 1 on, 0 off, -1 as configured */
	int64_t relay_port;
	int64_t relay_renew_ms, relay_renew_pause_ms; /* of asking for a certificate of a relay */
	json_t *last;                                 /* session_last.c */
	struct session_probe *probes;                 /* tests of connections under way */

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

/* ---- session_settings.c ---- */

/* Those that were kept, after the identity. */
void session_settings_load(struct session *s);
/* Those of a heartbeat. */
void session_settings_came(struct session *s, const json_t *settings, const json_t *revoked);
void session_settings_forget(struct session *s); /* there is no Manager any more */
/* Members of an update.run: tries, timeout_s, connect_s, limit_s, retry_s; the Manager's, else configured. */
void session_settings_limits(const struct session *s, bool relay, json_t *body);
/* A new array: the families of components that the licences cover (U5). */
json_t *session_settings_families(const struct session *s);
/* {name, since, cause, detail} while a licence has expired, as an alarm; or NULL. */
json_t *session_settings_licence(const struct session *s);
/* New {mode, pins}: which releases this computer takes; NULL: the latest. */
json_t *session_settings_content(const struct session *s);
/* New array of such: those that the relay here has for others, besides the latest. */
json_t *session_settings_serve(const struct session *s);
/* Whether the Manager has switched the relay on: 1, off: 0, neither: -1. */
int session_settings_relay(const struct session *s);

/* ---- session_relay.c ---- */

void session_relay_settle(struct session *s); /* settings or the certificate may have changed */
void session_relay_serve(struct session *s);  /* tell the role what it serves as */
void session_relay_gone(struct session *s);   /* its link has ended */

/* ---- session_update.c: the body of update.run ---- */

/* errors  update.no_source */
int session_update_body(const struct session *s, const json_t *command, bool relay, json_t *body,
	struct yg_err *err) YG_MUST_CHECK;
void session_update_bundle(const json_t *command, bool relay, json_t *body);
/* Of which families and which releases. */
void session_update_allowed(const struct session *s, bool relay, json_t *body);

/* ---- session_last.c ---- */

void session_last_load(struct session *s);
/* A run has ended; `result` is install's answer, or NULL. */
void session_last_keep(struct session *s, bool relay, const char *outcome, const char *cause,
	const char *detail, const json_t *result);
json_t *session_last(const struct session *s, bool relay); /* a new reference; or null */

/* ---- session_probe.c: tests of connections ---- */

/* How it ended: *err has a code when there was no test, else `result` is {targets} of net/probe.h (borrowed). */
typedef void session_probe_done(void *ctx, const json_t *result, const struct yg_err *err);

/* in      what  "relays", "source" or "manager"
 * errors  nothing to test: update.no_source, auth.agent; YG_EFORMAT another word
 */
int session_probe_start(struct session *s, const char *what, session_probe_done *done, void *ctx,
	struct yg_err *err) YG_MUST_CHECK;
bool session_probe_link(struct session *s, const char *tag, int fd); /* false: not one of ours */
void session_probe_free(struct session *s);                          /* who waits is not told */

/* ---- session_refuse.c ---- */

/* The result of a command that cannot be kept, `kept` says why; an update's is also the last run. */
void session_refuse(struct session *s, const char *name, const char *job,
	const struct yg_err *kept);

/* ---- session_log.c ---- */

void session_log_ask(void *ctx, struct control_call *call, const json_t *question);
/* The Manager's log.level, when it is another than it was, or this process has not told it yet: the parent keeps it
 * longer than we live. `settings` NULL: there are none.
 */
void session_log_settings(struct session *s, const json_t *settings);

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
void session_task_say_phase(struct session *s, const json_t *body);  /* update.progress */
void session_task_say_joined(struct session *s, const json_t *body); /* update.joined */
void session_task_say_scan(struct session *s, const char *name,
	const json_t *body); /* scan.* notices */
json_t *session_task_say_update(
	const struct session *s); /* {job, phase} of a running update, or null */
