/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "net/client.h"

/* A place to fetch from, as it stands in messages to fetch: {url, kind: "relay", "source" or "manager", relay_id,
 * manager_id, ca, tls:{cert, key, cas}, proxy:{url, user, password}}. Everything points into the message.
 */

#define FETCH_SOURCE_PEER 128 /* bytes, with the terminator */

struct fetch_source {
	const char *url, *kind, *relay_id, *manager_id, *ca;
	const char *cert, *key, *cas;
	const char *proxy_url, *proxy_user, *proxy_password;
};

/* The member "source" of a message. errors  YG_EFORMAT, YG_ELIMIT */
int fetch_source_parse(const json_t *body, struct fetch_source *out, struct yg_err *err)
	YG_MUST_CHECK;

/* Whom to trust there, and as whom to come. in  peer  room for the peer's name, which *tls points to
 * errors  YG_EFORMAT
 */
int fetch_source_tls(const struct fetch_source *source, char peer[FETCH_SOURCE_PEER],
	struct yg_tls *tls, struct yg_err *err) YG_MUST_CHECK;

struct yg_proxy fetch_source_proxy(const struct fetch_source *source);
