/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/fetch_source.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"

#define URL_MAX 2048
#define PEM_MAX (256u << 10)

static int parse_tls(const json_t *source, struct fetch_source *out, struct yg_err *err)
{
	json_t *tls = json_object_get(source, "tls");
	if (!tls || json_is_null(tls))
		return 0;
	if (yg_json_object(source, "tls", &tls, err) < 0)
		return -1;
	if (yg_json_str_or(tls, "cert", PEM_MAX, NULL, &out->cert, err) < 0 ||
		yg_json_str_or(tls, "key", PEM_MAX, NULL, &out->key, err) < 0 ||
		yg_json_str_or(tls, "cas", PEM_MAX, NULL, &out->cas, err) < 0)
		return yg_wrap(err, "tls");
	return 0;
}

static int parse_proxy(const json_t *source, struct fetch_source *out, struct yg_err *err)
{
	json_t *proxy = json_object_get(source, "proxy");
	if (!proxy || json_is_null(proxy))
		return 0;
	if (yg_json_object(source, "proxy", &proxy, err) < 0)
		return -1;
	if (yg_json_str(proxy, "url", URL_MAX, &out->proxy_url, err) < 0 ||
		yg_json_str_or(proxy, "user", 256, NULL, &out->proxy_user, err) < 0 ||
		yg_json_str_or(proxy, "password", 256, NULL, &out->proxy_password, err) < 0)
		return yg_wrap(err, "proxy");
	return 0;
}

int fetch_source_parse(const json_t *body, struct fetch_source *out, struct yg_err *err)
{
	json_t *source = NULL;
	if (yg_json_object(body, "source", &source, err) < 0)
		return -1;
	if (yg_json_str(source, "url", URL_MAX, &out->url, err) < 0 ||
		yg_json_str_or(source, "kind", 16, "source", &out->kind, err) < 0 ||
		yg_json_str_or(source, "relay_id", 64, "", &out->relay_id, err) < 0 ||
		yg_json_str_or(source, "manager_id", 64, "", &out->manager_id, err) < 0 ||
		yg_json_str_or(source, "ca", PEM_MAX, "", &out->ca, err) < 0 ||
		parse_tls(source, out, err) < 0 || parse_proxy(source, out, err) < 0)
		return yg_wrap(err, "source");
	return 0;
}

static bool ends_in_slashes(const char *url)
{
	size_t len = strlen(url);
	return len > 2 && strcmp(url + len - 2, "//") == 0;
}

/* A relay or Manager is who its certificate says; the URL is only a way to it. */
static int set_peer(const struct fetch_source *source, const char *who, const char *id,
	char peer[FETCH_SOURCE_PEER], struct yg_tls *tls, struct yg_err *err)
{
	if (!yg_str_put(peer, FETCH_SOURCE_PEER, "urn:yagura:%s:%s", who, id))
		return yg_fail(err, YG_EFORMAT, "%s_id: too long", who);
	*tls = (struct yg_tls){.cert = source->cert,
		.key = source->key,
		.cas = source->cas,
		.peer_uri = *id ? peer : NULL,
		.peer_prefix = *id ? NULL : peer};
	return 0;
}

int fetch_source_tls(const struct fetch_source *source, char peer[FETCH_SOURCE_PEER],
	struct yg_tls *tls, struct yg_err *err)
{
	if (strcmp(source->kind, "relay") == 0)
		return set_peer(source, "relay", source->relay_id, peer, tls, err);
	if (strcmp(source->kind, "manager") == 0)
		return set_peer(source, "manager", source->manager_id, peer, tls, err);
	*tls = (struct yg_tls){.cas = *source->ca ? source->ca : NULL,
		.system_cas = true,
		.insecure = ends_in_slashes(source->url)};
	return 0;
}

struct yg_proxy fetch_source_proxy(const struct fetch_source *source)
{
	return (struct yg_proxy){.url = source->proxy_url,
		.user = source->proxy_user,
		.password = source->proxy_password};
}
