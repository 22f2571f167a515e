/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/identity.h"
#include "agent/spool.h"
#include "core/err.h"
#include "core/loop.h"
#include "core/mem.h"
#include "net/client.h"

/* The conversation with the Manager (docs/wire.md): heartbeats, held commands, events from the spool,
 * renewal of the certificate. All of it from the loop; every failure is tried again with a growing
 * pause, for ever.
 */

struct manager;

struct manager_ops {
	json_t *(*hello)(void *ctx);  /* new references */
	json_t *(*status)(void *ctx); /* of the heartbeat */
	/* Each heartbeat's answer; borrowed. */
	void (*settings)(void *ctx, const json_t *settings, const json_t *revoked);
	/* Whether the policy with this fingerprint is to be fetched; then it comes. */
	bool (*policy_wanted)(void *ctx, const char *fingerprint);
	void (*policy)(void *ctx, const char *fingerprint, const json_t *policy);
	/* One command; false when it could not be remembered: then it is not acknowledged. */
	bool (*command)(void *ctx, const json_t *command);
	/* Certificate or CAs changed. A new identity; the callee's. The manager is to be made anew, but
	 * not from inside this call. */
	void (*identity)(void *ctx, struct identity *identity);
	void (*event)(void *ctx, unsigned id, json_t *params); /* params taken over */
};

/* in  identity, spool  borrowed; ops borrowed for ever
 * errors  those of yg_client_new
 */
struct manager *manager_new(struct yg_loop *loop, const struct identity *identity,
	struct spool *spool, const struct yg_proxy *proxy, const struct manager_ops *ops, void *ctx,
	struct yg_err *err) YG_MUST_CHECK;
void manager_free(struct manager *manager);
YG_DEFINE_AUTO(manager);

void manager_beat(struct manager *manager);   /* a heartbeat soon: something changed */
void manager_events(struct manager *manager); /* the spool has got something */
/* A result that is in the spool: sent ahead too when many events wait before it. It stays there. */
void manager_result(struct manager *manager, const json_t *entry);
/* One that cannot be in the spool: it is kept here until the Manager has it, or `manager` is freed. Taken over. */
void manager_unkept(struct manager *manager, json_t *entry);
void manager_renew(struct manager *manager);  /* another certificate, now */
void manager_policy(struct manager *manager); /* fetch the policy, whatever the fingerprint says */
void manager_progress(struct manager *manager,
	json_t *entry); /* taken over; only the newest counts */

/* {"state":"online"|"offline","error":"…" or ""}; *last_s: time of the last success, 0: none */
const char *manager_state(const struct manager *manager, int64_t *last_s);
const char *manager_error(const struct manager *manager);

/* Ask a Manager to take this computer, with a token.
 * in      hello  taken over. `done` is called once, not from inside: identity (the callee's) or err.
 * Nothing is stored here.
 */
typedef void manager_activated(void *ctx, struct identity *identity, const struct yg_err *err);
struct manager_activation;
struct manager_activation *activate_start(struct yg_loop *loop, const struct yg_proxy *proxy,
	const char *url, const char *token, const char *name, json_t *hello,
	manager_activated *done, void *ctx, struct yg_err *err) YG_MUST_CHECK;
void activate_free(struct manager_activation *activation); /* from the loop; NULL is fine */

/* The failure that an answer with a status of 400 or more stands for. Returns -1. */
int manager_refusal(int status, struct yg_bytes body, struct yg_err *err);
