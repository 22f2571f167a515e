/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Activation: the agent checks the Manager by the token before it says anything, makes its key here,
 * and believes the answer only when everything in it fits the token and the key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manager.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/secret.h"
#include "crypto/token.h"
#include "net/url.h"
#include "proto/wire.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"

struct manager_activation {
	struct yg_client *client;
	struct yg_client_call *call;
	struct yg_key *key;
	uint8_t ca_spki[32];
	struct yg_url url;
	char name[256];
	manager_activated *done;
	void *ctx;
};

void activate_free(struct manager_activation *a)
{
	if (!a)
		return;
	yg_client_free(a->client);
	yg_key_free(a->key);
	free(a);
}

static inline void activate_free_at(struct manager_activation **at)
{
	activate_free(*at);
}

/* One of the CAs must be the one that the token names. */
static int check_bundle(const char *bundle, const uint8_t want[32], struct yg_err *err)
{
	for (const char *at = bundle; (at = strstr(at, PEM_BEGIN)); at += strlen(PEM_BEGIN)) {
		struct yg_x509_info info;
		if (yg_x509_read(yg_bytes_of(at), &info, err) < 0)
			return yg_wrap(err, "ca_bundle");
		if (info.ca && yg_secret_equal(info.spki, want, 32))
			return 0;
	}
	return yg_fail_cause(err, YG_EUNTRUSTED, "auth.manager_key",
		"ca_bundle: the CA that the token names is not in it");
}

static int check_certificate(const struct yg_key *key, const char *cert, struct yg_err *err)
{
	struct yg_x509_info info;
	uint8_t ours[32];
	if (yg_x509_read(yg_bytes_of(cert), &info, err) < 0)
		return yg_wrap(err, "certificate");
	if (yg_key_spki(key, ours, err) < 0)
		return -1;
	if (!yg_secret_equal(info.spki, ours, 32))
		return yg_fail(err, YG_EUNTRUSTED, "certificate: it is for another key than ours");
	return 0;
}

static int read_answer(const struct manager_activation *a, const struct yg_client_reply *reply,
	struct identity **out, struct yg_err *err)
{
	json_t *answer YG_AUTO(yg_json) = NULL;
	if (reply->status >= 300)
		return manager_refusal(reply->status, reply->body, err);
	if (yg_wire_parse(YG_WIRE_ACTIVATE_REPLY, reply->body, &answer, err) < 0)
		return yg_wrap(err, "the Manager's answer");
	const char *cert = json_string_value(json_object_get(answer, "certificate"));
	const char *cas = json_string_value(json_object_get(answer, "ca_bundle"));
	if (check_bundle(cas, a->ca_spki, err) < 0 || check_certificate(a->key, cert, err) < 0)
		return yg_wrap(err, "the Manager's answer");
	struct identity *identity YG_AUTO(identity) = calloc(1, sizeof(*identity));
	if (!identity || yg_key_save(a->key, NULL, &identity->key, err) < 0)
		return identity ? -1 : yg_fail_sys(err, ENOMEM, "activation");
	identity->agent_id = strdup(json_string_value(json_object_get(answer, "agent_id")));
	identity->manager_id = strdup(json_string_value(json_object_get(answer, "manager_id")));
	identity->manager_url = strdup(a->url.base);
	identity->name = strdup(a->name);
	identity->cert = strdup(cert);
	identity->cas = strdup(cas);
	*out = yg_take(identity);
	return 0;
}

static void answered(void *ctx, const struct yg_client_reply *reply, const struct yg_err *why)
{
	struct manager_activation *a = ctx;
	struct identity *identity = NULL;
	struct yg_err err = *why;
	a->call = NULL;
	/* Here the pin is the token's: who reads it has the wrong address or the wrong token. */
	if (strcmp(err.cause, "tls.pin") == 0)
		(void)yg_fail_cause(&err, why->code, "auth.manager_key", "%s", why->msg);
	if (!err.code && read_answer(a, reply, &identity, &err) < 0)
		identity = NULL;
	a->done(a->ctx, identity, &err);
}

static int begin(struct manager_activation *a, const char *token, const json_t *hello,
	struct yg_err *err)
{
	char url[YG_URL_MAX + 32];
	char *csr YG_AUTO(mem) = NULL;
	a->key = yg_key_generate(YG_KEY_ECDSA_P256, err);
	if (!a->key || yg_x509_make_csr(a->key, "yagura-agent", &csr, err) < 0)
		return -1;
	json_t *body YG_AUTO(yg_json) = json_pack("{s:s,s:s}", "token", token, "csr", csr);
	(void)json_object_set(body, "hello", (json_t *)(uintptr_t)hello);
	char *text YG_AUTO(yg_secret) = body ? yg_json_text(body) : NULL;
	if (!text || !yg_str_put(url, sizeof(url), "%s/agent/v1/activate", a->url.base))
		return yg_fail_sys(err, ENOMEM, "activation");
	const struct yg_client_request ask = {.url = url,
		.body = text,
		.max = YG_WIRE_SIZE_MAX,
		.any_status = true,
		.deadline_ms = 30000};
	a->call = yg_client_start(a->client, &ask, answered, a);
	return 0;
}

struct manager_activation *activate_start(struct yg_loop *loop, const struct yg_proxy *proxy,
	const char *url, const char *token, const char *name, json_t *hello,
	manager_activated *done, void *ctx, struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = hello;
	struct manager_activation *a YG_AUTO(activate) = calloc(1, sizeof(*a));
	struct yg_token parsed;
	if (!a) {
		(void)yg_fail_sys(err, ENOMEM, "activation");
		return NULL;
	}
	if (yg_token_parse(token, &parsed, err) < 0) {
		struct yg_err why = *err;
		(void)yg_fail_cause(err, YG_EFORMAT, "auth.token", "%s", why.msg);
		return NULL;
	}
	if (yg_url_parse(url, &a->url, err) < 0)
		return NULL;
	if (!a->url.https) {
		(void)yg_fail_cause(err, YG_EFORMAT, "net.url", "URL '%s': want https", url);
		return NULL;
	}
	memcpy(a->ca_spki, parsed.ca_spki, sizeof(a->ca_spki));
	yg_secret_wipe(&parsed, sizeof(parsed));
	(void)!yg_str_put(a->name, sizeof(a->name), "%s", name);
	a->done = done;
	a->ctx = ctx;
	/* A relay's certificate is of the same CA: only the Manager's may have the token. */
	const struct yg_tls tls = {.ca_spki = a->ca_spki, .peer_prefix = "urn:yagura:manager:"};
	a->client = yg_client_new(loop, &tls, proxy, err);
	if (!a->client || begin(a, token, owned, err) < 0)
		return NULL;
	return yg_take(a);
}
