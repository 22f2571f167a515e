/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/sources.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "crypto/hash.h"

#define RELAYS_MAX  1000
#define SOURCES_MAX 24   /* more routes than a run can try; a message has room for them */
#define URLS_MAX    16   /* of one relay */
#define URL_MAX     1023 /* bytes */
#define CA_MAX      (32u << 10)

struct ranked {
	const json_t *relay;
	uint8_t rank[YG_HASH_SIZE];
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *left = a;
	const struct ranked *right = b;
	return memcmp(left->rank, right->rank, sizeof(left->rank));
}

/* The hash of both names: every agent another order, and the same one each time. Ourselves first. */
static int rank(const char *agent_id, const char *relay_id, uint8_t out[YG_HASH_SIZE],
	struct yg_err *err)
{
	struct yg_hash *hash YG_AUTO(yg_hash) = yg_hash_new(err);
	if (!hash)
		return -1;
	yg_hash_add(hash, agent_id, strlen(agent_id));
	yg_hash_add(hash, relay_id, strlen(relay_id));
	yg_hash_end(hash, out);
	if (*agent_id && strcmp(agent_id, relay_id) == 0)
		memset(out, 0, YG_HASH_SIZE);
	return 0;
}

static bool is_url(const json_t *value)
{
	return json_string_length(value) > 0 && json_string_length(value) <= URL_MAX;
}

/* The Manager's, under its own name of the way; else the configured one. */
static json_t *with_proxy(const struct sources_ask *ask, json_t *source, const char *way,
	const char *configured)
{
	json_t *proxy = json_object_get(json_object_get(ask->settings, "proxies"), way);
	if (!is_url(json_object_get(proxy, "url")))
		proxy = json_object_get(ask->proxy, configured);
	if (is_url(json_object_get(proxy, "url")))
		(void)json_object_set(source, "proxy", proxy);
	return source;
}

/* The n-th address of each relay, in their order. */
static void add_urls(const struct sources_ask *ask, const struct ranked *order, size_t count,
	size_t n, json_t *list)
{
	for (size_t i = 0; i < count && json_array_size(list) < SOURCES_MAX; i++) {
		const char *id = json_string_value(json_object_get(order[i].relay, "id"));
		const json_t *url = json_array_get(json_object_get(order[i].relay, "urls"), n);
		if (!is_url(url))
			continue;
		json_t *source = json_pack("{s:s,s:s,s:s,s:s}", "name", *id ? id : "relay", "url",
			json_string_value(url), "kind", "relay", "relay_id", id);
		if (source)
			(void)json_array_append_new(list,
				with_proxy(ask, source, "relay", "relay"));
	}
}

static int add_relays(const struct sources_ask *ask, const char *name, json_t *list,
	struct yg_err *err)
{
	const json_t *relays = json_object_get(ask->settings, name);
	struct ranked *order YG_AUTO(mem) = calloc(RELAYS_MAX, sizeof(*order));
	size_t count = 0;
	size_t i;
	json_t *relay;
	if (!order)
		return yg_fail(err, YG_ESYSTEM, "no memory for the list of relays");
	json_array_foreach(relays, i, relay)
	{
		const char *id = json_string_value(json_object_get(relay, "id"));
		/* It cannot have from itself what it lacks. */
		if (!id || count == RELAYS_MAX ||
			(ask->for_relay && *id && strcmp(id, ask->agent_id) == 0))
			continue;
		if (rank(ask->agent_id, id, order[count].rank, err) < 0)
			return -1;
		order[count++].relay = relay;
	}
	qsort(order, count, sizeof(*order), by_rank);
	for (size_t n = 0; n < URLS_MAX; n++)
		add_urls(ask, order, count, n, list);
	return 0;
}

static void add_source(const struct sources_ask *ask, const json_t *given, json_t *list)
{
	const char *url = json_string_value(json_object_get(given, "url"));
	const char *ca = json_string_value(json_object_get(given, "ca"));
	if (!url || !*url) {
		url = ask->source;
		ca = ask->ca;
	}
	if (!url || !*url || strlen(url) > URL_MAX)
		return;
	json_t *source = json_pack("{s:s,s:s,s:s,s:s}", "name", "source", "url", url, "kind",
		"source", "relay_id", "");
	if (!source)
		return;
	if (ca && *ca && strlen(ca) <= CA_MAX)
		(void)json_object_set_new(source, "ca", json_string(ca));
	(void)json_array_append_new(list,
		with_proxy(ask, source, ask->for_relay ? "relay_source" : "source", "source"));
}

int sources_list(const struct sources_ask *ask, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	const json_t *source = json_object_get(ask->settings, "source");
	if (add_relays(ask, ask->for_relay ? "parents" : "relays", list, err) < 0)
		return -1;
	bool managed = json_is_object(ask->settings);
	bool direct = !managed || json_is_true(json_object_get(ask->settings, "direct_fallback"));
	if (ask->for_relay) {
		if (json_array_size(list) == 0)
			add_source(ask, source, list);
	} else if (json_array_size(list) == 0) {
		/* Nobody to go past. Where direct download is off, what is configured here is what is left. */
		add_source(ask, direct ? source : NULL, list);
	} else if (direct && !ask->with_relays) {
		add_source(ask, source, list);
	}
	if (json_array_size(list) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "update.no_source",
			"neither the Manager's settings nor [update] source name one");
	*out = yg_take(list);
	return 0;
}
