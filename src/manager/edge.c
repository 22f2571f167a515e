/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/edge.h"

#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/key.h"
#include "crypto/secret.h"
#include "crypto/x509.h"
#include "manager/boxes.h"
#include "manager/session.h"
#include "manager/web.h"
#include "proto/cause.h"

/* yagura-manager-edge: the two roles that strangers can reach.
 *
 *     people ──4119── web ─────┬── store      has: its listening socket, the links, 256 MiB
 *     agents ──4120── session ─┴── store, ca  has not: paths, outgoing network, programs, threads,
 *                                             capabilities, any key but its own server's
 */

#define RENEW_MS (10LL * 24 * 3600 * 1000) /* server certificates live 90 days */
#define AGAIN_MS 1000

static void renew(void *ctx);

int edge_start(struct edge *edge, struct yg_role_env *env, const char *role, const char *label,
	const struct yg_server_options *options, struct yg_err *err)
{
	*edge = (struct edge){.env = env, .role = role, .listening = -1, .options = *options};
	if (env->fd_count != 1)
		return yg_fail(err, YG_EFORMAT,
			"config: want a listening socket, have %zu descriptors", env->fd_count);
	edge->listening = yg_take_fd(env->fds[0]);
	if (call_start(env, label, &boxes_edge, err) < 0)
		return -1;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, err);
	if (!key || yg_key_save(key, NULL, &edge->key, err) < 0)
		return -1;
	edge->renew = yg_loop_timer(env->loop, renew, edge);
	return edge->renew ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int serve(struct edge *edge, json_t *result, struct yg_err *err)
{
	const char *cert = NULL;
	const char *bundle = NULL;
	if (yg_json_str(result, "certificate", 2 * YG_X509_PEM_MAX, &cert, err) < 0 ||
		yg_json_str(result, "ca_bundle", 4 * YG_X509_PEM_MAX, &bundle, err) < 0)
		return -1;
	char *copy = strdup(bundle);
	if (!copy)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	free(edge->ca_bundle);
	edge->ca_bundle = copy;
	struct yg_tls tls = {.cert = cert, .key = edge->key};
	if (edge->options.client != YG_SERVER_ANYONE)
		tls.cas = edge->ca_bundle;
	if (edge->server)
		return yg_server_tls(edge->server, &tls, err);

	edge->server = yg_server_new(edge->env->loop, yg_take_fd(edge->listening), &tls,
		&edge->options, err);
	if (!edge->server)
		return -1;
	yg_role_ready(edge->env);
	return 0;
}

static void certified(void *ctx, json_t *result, const struct yg_err *why)
{
	struct edge *edge = ctx;
	struct yg_err err = *why;
	if (err.code == YG_OK && serve(edge, result, &err) == 0) {
		yg_timer_set(edge->renew, RENEW_MS);
		return;
	}
	/* The ca may still be making its own key; anything else is worth a line each time. */
	if (err.code != YG_EAGAIN)
		yg_log_err(YG_LOG_ERROR, "edge.certificate", &err);
	if (!edge->server && edge->listening < 0) {
		yg_loop_stop(
			edge->env
				->loop); /* the socket is gone with the failed server: start anew */
		return;
	}
	if (edge->ca.ipc)
		yg_timer_set(edge->renew, err.code == YG_EAGAIN ? AGAIN_MS / 20 : AGAIN_MS);
}

static void renew(void *ctx)
{
	struct edge *edge = ctx;
	struct yg_err err = {0};
	char *csr YG_AUTO(mem) = NULL;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_load(yg_bytes_of(edge->key), NULL, &err);
	if (!key || yg_x509_make_csr(key, edge->role, &csr, &err) < 0) {
		certified(edge, NULL, &err);
		return;
	}
	call_role(&edge->ca, "ca", "ca.server",
		json_pack("{s:s, s:s}", "csr", csr, "role", edge->role), certified, edge);
}

static void ca_closed(void *ctx, struct yg_ipc *ipc)
{
	struct edge *edge = ctx;
	(void)ipc;
	call_link_drop(&edge->ca);
}

void edge_link_ca(struct edge *edge, int fd)
{
	call_link_set(&edge->ca, edge->env->loop, fd, "ca", NULL, ca_closed, edge);
	if (!edge->server)
		yg_timer_set(edge->renew, 0);
}

void edge_stop(struct edge *edge)
{
	yg_server_free(yg_take(edge->server));
	call_link_drop(&edge->store);
	call_link_drop(&edge->ca);
	yg_timer_free(yg_take(edge->renew));
	yg_secret_free(yg_take(edge->key));
	free(yg_take(edge->ca_bundle));
	fd_free_at(&edge->listening);
}

static void client_gone(void *ctx, struct yg_server_request *request)
{
	struct edge_wait *wait = ctx;
	(void)request;
	wait->request = NULL;
	if (wait->gone)
		wait->gone(wait);
}

void edge_hold(struct edge_wait *wait, struct yg_server_request *request)
{
	wait->request = request;
	yg_server_hold(request, client_gone, wait);
}

void edge_fail(struct yg_server_request *request, const struct yg_err *why, const char *field)
{
	static const struct {
		enum yg_code code;
		const char *cause; /* NULL: any */
		int status;
		const char *word;
	} rows[] = {
		{YG_EFORMAT, "conflict", 409, "conflict"},
		{YG_EFORMAT, NULL, 400, "bad_request"},
		{YG_EUNTRUSTED, "auth.key", 401, "unauthorized"},
		{YG_EUNTRUSTED, "auth.token", 401, "unauthorized"},
		{YG_EUNTRUSTED, "auth.token_expired", 401, "unauthorized"},
		{YG_EUNTRUSTED, "auth.token_used", 401, "unauthorized"},
		{YG_EUNTRUSTED, NULL, 403, "forbidden"},
		{YG_EABSENT, NULL, 404, "not_found"},
		{YG_ELIMIT, NULL, 413, "too_large"},
		{YG_EAGAIN, NULL, 503, "unavailable"},
		{YG_ESYSTEM, "store.disk_full", 503, "unavailable"},
		{YG_ESYSTEM, "store.read_only", 503, "unavailable"},
		{YG_ESYSTEM, "store.io", 503, "unavailable"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		if (rows[i].code != why->code ||
			(rows[i].cause && strcmp(rows[i].cause, why->cause) != 0))
			continue;
		if (why->code == YG_ESYSTEM)
			yg_log_err(YG_LOG_ERROR, "request.failed", why);
		if (rows[i].status == 503)
			yg_server_add(request, "Retry-After", "2");
		if (strcmp(why->cause, "auth.key") == 0)
			yg_server_add(request, "WWW-Authenticate", "Bearer");
		if (yg_cause_find(why->cause))
			yg_server_cause(request, why->cause);
		yg_server_reply_error(request, rows[i].status, rows[i].word, field, "%s", why->msg);
		return;
	}
	/* What went wrong inside is for the operator's log, not for strangers. */
	yg_log_err(YG_LOG_ERROR, "request.failed", why);
	yg_server_reply_error(request, 500, "internal", NULL, "the Manager failed; see its log");
}

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){
			{"web", "manager/web", web_start, web_link, web_stop},
			{"session", "manager/session", session_start, session_link, session_stop},
			{0},
		});
}
