/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "crypto/key.h"
#include "crypto/secret.h"
#include "crypto/x509.h"
#include "manager/content_impl.h"
#include "net/url.h"

#define CA_MAX (256u << 10)

static int take_proxy(const json_t *settings, struct yg_proxy *out, struct yg_err *err)
{
	json_t *proxy = json_object_get(settings, "proxy");
	*out = (struct yg_proxy){0};
	if (!proxy || json_is_null(proxy))
		return 0;
	if (yg_json_object(settings, "proxy", &proxy, err) < 0)
		return -1;
	if (yg_json_str(proxy, "url", 1024, &out->url, err) < 0 ||
		yg_json_str_or(proxy, "user", 256, "", &out->user, err) < 0 ||
		yg_json_str_or(proxy, "password", 256, "", &out->password, err) < 0)
		return yg_wrap(err, "proxy");
	return 0;
}

int content_where_source(const json_t *settings, struct content_place *out, struct yg_err *err)
{
	json_t *source = NULL;
	*out = (struct content_place){0};
	if (yg_json_object(settings, "source", &source, err) < 0 ||
		yg_json_str(source, "url", YG_URL_MAX, &out->url, err) < 0 ||
		yg_json_str_or(source, "ca", CA_MAX, "", &out->ca, err) < 0 ||
		take_proxy(settings, &out->proxy, err) < 0)
		return -1;
	return out->url[0]
		? 0
		: yg_fail_cause(err, YG_EABSENT, "update.source_unset", "source.url is empty");
}

/* The load balancer speaks for any of them. */
static bool at_balancer(const json_t *settings, struct content_place *out)
{
	out->url = json_string_value(json_object_get(settings, "load_balancer"));
	return out->url && out->url[0];
}

bool content_where_relay(const json_t *settings, size_t *at, struct content_place *out)
{
	size_t n = 0;
	size_t i;
	json_t *relay;
	*out = (struct content_place){.relay = true};
	if (at_balancer(settings, out))
		return (*at)++ == 0;
	json_array_foreach(json_object_get(settings, "relays"), i, relay)
	{
		const char *id = json_string_value(json_object_get(relay, "id"));
		const json_t *urls = json_object_get(relay, "urls");
		for (size_t k = 0; id && k < json_array_size(urls); k++) {
			out->url = json_string_value(json_array_get(urls, k));
			if (!out->url || n++ < *at)
				continue;
			++*at;
			return yg_str_put(out->peer, sizeof(out->peer), "urn:yagura:relay:%s", id);
		}
	}
	return false;
}

struct yg_tls content_where_tls(const struct content *content, const struct content_place *place,
	const struct content_identity *identity)
{
	if (place->relay)
		return (struct yg_tls){.cert = identity->cert,
			.key = identity->key,
			.cas = identity->bundle,
			.peer_uri = place->peer[0] ? place->peer : NULL,
			.peer_prefix = place->peer[0] ? NULL : "urn:yagura:relay:"};
	struct yg_url url;
	struct yg_err later = {0}; /* who takes the URL says what is wrong with it */
	return (struct yg_tls){.cas = place->ca && place->ca[0] ? place->ca : NULL,
		.system_cas = true,
		.insecure = yg_url_parse(place->url, &url, &later) == 0 && url.unchecked,
		.known_s = content->known_s};
}

/* ---- an identity ---- */

struct wish {
	char *key; /* PEM, owned */
	content_identity_done *done;
	void *ctx;
};

static void got_certificate(void *ctx, json_t *result, const struct yg_err *why)
{
	struct wish *wish = ctx;
	struct yg_err err = *why;
	struct content_identity identity = {.key = wish->key};
	bool good = err.code == YG_OK &&
		yg_json_str(result, "certificate", 32768, &identity.cert, &err) == 0 &&
		yg_json_str(result, "ca_bundle", 65536, &identity.bundle, &err) == 0;
	wish->done(wish->ctx, good ? &identity : NULL, &err);
	yg_secret_free(wish->key);
	free(wish);
}

void content_where_identity(struct content *content, content_identity_done *done, void *ctx)
{
	struct yg_err err = {0};
	char *csr YG_AUTO(mem) = NULL;
	struct wish *wish = calloc(1, sizeof(*wish));
	if (!wish)
		abort(); /* the parent starts us again */
	wish->done = done;
	wish->ctx = ctx;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	if (!key || yg_key_save(key, NULL, &wish->key, &err) < 0 ||
		yg_x509_make_csr(key, "content", &csr, &err) < 0)
		got_certificate(wish, NULL, &err);
	else
		call_role(&content->ca, "ca", "ca.client", json_pack("{s:s}", "csr", csr),
			got_certificate, wish);
}
