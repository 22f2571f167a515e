/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "net/client.h"

/* A test of one connection, step by step: its answer is the step that failed. A step is only gone when the one
 * before was good:
 *
 *     resolve   the name of the server, or of the proxy: its addresses
 *     connect   each address in turn, until one takes the connection
 *     proxy     only with one: it lets us through
 *     tls       only with https: version, the chain that came, which check failed
 *     http      the answer: status, server, type
 *     metadata  what it means, when the asker can tell
 *
 *     {"what":"relay","url":"https://…","proxy":"http://…" or "","steps":[
 *       {"step":"resolve","ok":true,"ms":3,"seen":"relay.example: 10.0.0.5","cause":"","detail":""}, …]}
 *
 * "seen" is what was found, the same in every language; "cause" and "detail" are those of the failure, and so
 * they stand in the last step only. Nothing has credentials in it.
 */

#define YG_PROBE_SEEN 800 /* bytes of "seen", with the terminator */

struct yg_probe {
	const char *what; /* "source", "relay" or "manager" */
	const char *url;  /* base; yg_url_parse */
	const char *path; /* what is asked for behind it */
	const struct yg_tls *tls;
	const struct yg_proxy *proxy; /* NULL: none */
	uint32_t connect_ms;          /* for each address; 0: 5 s */
	uint32_t deadline_ms;         /* for the request; 0: 20 s */

	/* Say what the body means: *seen is filled, or -1 with a cause. NULL: it is not looked at. */
	int (*check)(void *ctx, struct yg_bytes body, char seen[YG_PROBE_SEEN], struct yg_err *err);
	void *ctx;
};

/* Blocks, for a few seconds at most: the resolver, four addresses, the request.
 * out     *target  a new reference: how far it came, whatever that is
 * errors  YG_ESYSTEM only: there is nothing to tell
 */
int yg_probe_run(const struct yg_probe *probe, json_t **target, struct yg_err *err) YG_MUST_CHECK;

/* The step that failed, "cause" and "detail" of it; false when all were good. Borrowed. */
bool yg_probe_failed(const json_t *target, const char **cause, const char **detail);
