/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"
#include "manager/call.h"
#include "net/server.h"

/* What web and session have in common: a server whose key lives in this process only, and whose
 * certificate comes from role ca at each start and every ten days.
 */
struct edge {
	struct yg_role_env *env; /* borrowed for ever */
	const char *role;        /* "web"; a literal */
	struct call_link store, ca;
	int listening;   /* owned until the server has it */
	char *key;       /* PEM, owned */
	char *ca_bundle; /* PEM, owned; NULL until the first certificate came */
	struct yg_server *server;
	struct yg_server_options options;
	struct yg_timer *renew;
};

/* Enter the sandbox, take the listening socket, make a key. `options` is what the server shall be
 * once there is a certificate.
 */
int edge_start(struct edge *edge, struct yg_role_env *env, const char *role, const char *label,
	const struct yg_server_options *options, struct yg_err *err) YG_MUST_CHECK;

/* A channel to role ca came: ask for a certificate. */
void edge_link_ca(struct edge *edge, int fd);

void edge_stop(struct edge *edge);

/* A request that waits for another process: it may go away meanwhile, then `request` is NULL. */
struct edge_wait {
	struct yg_server_request *request;
	void (*gone)(struct edge_wait *wait); /* the client went away; NULL: nothing to do then */
};
void edge_hold(struct edge_wait *wait, struct yg_server_request *request);

/* A failure of the store, as docs/store-ops.md says, to the client. `field` may be NULL. */
void edge_fail(struct yg_server_request *request, const struct yg_err *why, const char *field);
