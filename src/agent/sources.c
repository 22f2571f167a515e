/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/sources.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "crypto/hash.h"

#define RELAYS_MAX  1000
#define SOURCES_MAX 32 /* more routes than a run can try */

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
	if (strcmp(agent_id, relay_id) == 0)
		memset(out, 0, YG_HASH_SIZE);
	return 0;
}

static json_t *with_proxy(json_t *source, const json_t *proxies, const char *kind)
{
	json_t *proxy = json_object_get(proxies, kind);
	if (json_is_object(proxy))
		(void)json_object_set(source, "proxy", proxy);
	return source;
}

static int add_relays(const struct sources_ask *ask, json_t *list, struct yg_err *err)
{
	const json_t *relays = json_object_get(ask->settings, "relays");
	struct ranked *order YG_AUTO(mem) = calloc(RELAYS_MAX, sizeof(*order));
	size_t count = 0;
	size_t i;
	json_t *relay;
	if (!order)
		return yg_fail(err, YG_ESYSTEM, "no memory for the list of relays");
	json_array_foreach(relays, i, relay)
	{
		const char *id = json_string_value(json_object_get(relay, "id"));
		if (!id || count == RELAYS_MAX)
			continue;
		if (rank(ask->agent_id, id, order[count].rank, err) < 0)
			return -1;
		order[count++].relay = relay;
	}
	qsort(order, count, sizeof(*order), by_rank);
	for (i = 0; i < count; i++) {
		const char *id = json_string_value(json_object_get(order[i].relay, "id"));
		const json_t *urls = json_object_get(order[i].relay, "urls");
		size_t u;
		json_t *url;
		json_array_foreach(urls, u, url) if (json_array_size(list) < SOURCES_MAX)(
			void) json_array_append_new(list,
			with_proxy(json_pack("{s:s,s:s,s:s,s:s}", "name", id, "url",
					   json_string_value(url), "kind", "relay", "relay_id", id),
				ask->proxy, "relay"));
	}
	return 0;
}

static void add_source(const struct sources_ask *ask, json_t *list)
{
	const json_t *given = json_object_get(ask->settings, "source");
	const char *url = json_string_value(json_object_get(given, "url"));
	const char *ca = json_string_value(json_object_get(given, "ca"));
	if (!url || !*url) {
		url = ask->source;
		ca = ask->ca;
	}
	if (!*url)
		return;
	json_t *source = json_pack("{s:s,s:s,s:s,s:s}", "name", "source", "url", url, "kind",
		"source", "relay_id", "");
	if (ca && *ca)
		(void)json_object_set_new(source, "ca", json_string(ca));
	(void)json_array_append_new(list, with_proxy(source, ask->proxy, "source"));
}

int sources_list(const struct sources_ask *ask, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	if (!ask->for_relay && add_relays(ask, list, err) < 0)
		return -1;
	bool direct = !ask->settings ||
		json_is_true(json_object_get(ask->settings, "direct_fallback"));
	if (json_array_size(list) == 0 || (direct && !ask->with_relays))
		add_source(ask, list);
	if (json_array_size(list) == 0)
		return yg_fail_cause(err, YG_EFORMAT, "update.no_source",
			"neither the Manager's settings nor [update] source name one");
	*out = yg_take(list);
	return 0;
}
