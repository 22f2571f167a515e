/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "manager/call.h"
#include "net/client.h"
#include "tuf/tuf.h"

/* The parts of the content role among themselves. content.c: when it looks, and for whom. content_where.c: the
 * places that there are. content_look.c: one look at one of them. content_test.c: tests of connections.
 */

struct content {
	struct yg_role_env *env;
	struct call_link store, ca;
	struct yg_timer *timer;
	int tuf_fd;
	struct yg_buf root;    /* the publisher's root.json; empty: none was given */
	const char *root_path; /* where it was looked for */
	bool asking, again;
	int64_t known_s; /* the newest time that was signed, as far as this process saw; or 0 */

	/* Of the check under way: */
	json_t *settings;  /* content.settings */
	struct yg_err why; /* what the source said */
};

/* ---- content_where.c ---- */

/* A place to look at, all of it borrowed from the settings and the identity. */
struct content_place {
	const char *url;
	bool relay;
	char peer[64]; /* of a relay: what its certificate must name */
	const char *ca;
	struct yg_proxy proxy;
};

/* Who the Manager is towards relays, for a moment. */
struct content_identity {
	const char *key, *cert, *bundle; /* PEM */
};

/* errors  cause update.source_unset; YG_EFORMAT */
int content_where_source(const json_t *settings, struct content_place *out, struct yg_err *err)
	YG_MUST_CHECK;

/* The next address of a relay, or of the load balancer in their place; *at begins with 0. False: no more. */
bool content_where_relay(const json_t *settings, size_t *at, struct content_place *out);

/* Points into all three. in  identity  NULL for the source */
struct yg_tls content_where_tls(const struct content *content, const struct content_place *place,
	const struct content_identity *identity);

/* A key for this moment only, and a certificate for it. identity is NULL when *err has a code. Called once. */
typedef void content_identity_done(void *ctx, const struct content_identity *identity,
	const struct yg_err *err);
void content_where_identity(struct content *content, content_identity_done *done, void *ctx);

/* ---- content_look.c ---- */

/* What is newest there, verified: {set, components, expires} for components.newest.put.
 * errors  with a cause; those of net/ and tuf/
 */
int content_look(struct content *content, const struct content_place *place,
	const struct content_identity *identity, json_t **newest, struct yg_err *err) YG_MUST_CHECK;

/* ---- content_test.c ---- */

/* content.test {id, what}: test, and tell the store (tests.put). */
void content_test(struct content *content, const json_t *body);
