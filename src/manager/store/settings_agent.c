/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What an agent, a relay and the Manager's own client are given of the settings (docs/wire.md). */
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "crypto/secret.h"
#include "manager/store/content.h"
#include "manager/store/groups.h"
#include "manager/store/licences.h"
#include "manager/store/settings.h"
#include "manager/store/store.h"

static int set(json_t *object, const char *name, json_t *value, struct yg_err *err)
{
	return json_object_set_new(object, name, value) == 0
		? 0
		: yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* {url, user, password}, or null when there is no proxy. */
static int proxy(struct store *store, const json_t *all, const char *which, json_t **out,
	struct yg_err *err)
{
	char name[64];
	char *password YG_AUTO(yg_secret) = NULL;
	(void)snprintf(name, sizeof(name), "proxy.%s.url", which);
	const char *url = settings_text(all, name);
	if (url[0] == '\0')
		return store_give(json_null(), out, err);
	(void)snprintf(name, sizeof(name), "proxy.%s.user", which);
	const char *user = settings_text(all, name);
	(void)snprintf(name, sizeof(name), "proxy.%s.password", which);
	if (settings_secret(store, all, name, &password, err) < 0)
		return -1;
	return store_give(json_pack("{s:s, s:s, s:s}", "url", url, "user", user, "password",
				  password),
		out, err);
}

static int proxies(struct store *store, const json_t *all, bool relay, bool direct, json_t **out,
	struct yg_err *err)
{
	const struct {
		const char *name, *setting;
		bool given; /* nobody gets a password that it has no use for */
	} ways[] = {{"relay", "agent_relay", true}, {"source", "agent_source", direct},
		{"relay_source", "relay_source", relay}};
	json_t *made YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < YG_COUNT(ways); i++) {
		json_t *one = json_null();
		if ((ways[i].given && proxy(store, all, ways[i].setting, &one, err) < 0) ||
			set(made, ways[i].name, one, err) < 0)
			return -1;
	}
	*out = yg_take(made);
	return 0;
}

static json_t *limits(const json_t *all, const char *which)
{
	static const char *const names[] = {"tries", "timeout_s", "connect_s", "limit_s",
		"retry_s"};
	json_t *made = json_object();
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "%s.%s", which, names[i]);
		(void)json_object_set_new(made, names[i],
			json_integer((json_int_t)settings_number(all, name)));
	}
	return made;
}

static json_t *source_of(const json_t *all)
{
	return json_pack("{s:s, s:s}", "url", settings_text(all, "source.url"), "ca",
		settings_text(all, "source.ca"));
}

/* In place of the relays' own addresses: whoever answers there is one of them (T7). */
static int balance(const json_t *all, json_t **relays, struct yg_err *err)
{
	char url[320];
	settings_balancer_url(settings_text(all, "relay.load_balancer"), url);
	if (url[0] == '\0' || json_array_size(*relays) == 0)
		return 0;
	json_decref(*relays);
	*relays = NULL;
	return store_give(json_pack("[{s:s, s:[s]}]", "id", "", "urls", url), relays, err);
}

/* What everybody gets. */
static int common(struct store *store, const json_t *all, const struct groups_place *place,
	const char *computer, bool relay, json_t *out, struct yg_err *err)
{
	bool direct = settings_number(all, "direct_fallback") != 0;
	json_t *relays YG_AUTO(yg_json) = NULL;
	json_t *ways = NULL;
	json_t *licences = NULL;
	json_t *content = NULL;
	if (groups_relays(store, place->serving, computer, &relays, err) < 0 ||
		balance(all, &relays, err) < 0 ||
		set(out, "relay_group", json_string(place->name), err) < 0 ||
		set(out, "relays", json_incref(relays), err) < 0 ||
		set(out, "source", relay || direct ? source_of(all) : json_null(), err) < 0 ||
		set(out, "direct_fallback", json_boolean(direct), err) < 0 ||
		proxies(store, all, relay, direct, &ways, err) < 0 ||
		set(out, "proxies", ways, err) < 0 ||
		set(out, "update", limits(all, "update"), err) < 0 ||
		store_licences_for_agent(store, &licences, err) < 0 ||
		set(out, "licences", licences, err) < 0 ||
		store_content_for_agent(store, computer, &content, err) < 0 ||
		set(out, "content", content, err) < 0)
		return -1;
	return 0;
}

/* What a relay gets besides: whom it takes from, and what it is to have. */
static int for_relay(struct store *store, const json_t *all, const struct groups_place *place,
	const char *computer, json_t *out, struct yg_err *err)
{
	char above[40];
	json_t *parents = NULL;
	json_t *served = NULL;
	if (groups_serving(store, place->parent, above, err) < 0 ||
		groups_relays(store, above, computer, &parents, err) < 0 ||
		set(out, "parents", parents, err) < 0 ||
		set(out, "relay_update", limits(all, "relay_update"), err) < 0 ||
		store_content_served(store, &served, err) < 0 || set(out, "serve", served, err) < 0)
		return -1;
	return 0;
}

int store_settings_for_agent(struct store *store, const char *computer, bool relay, json_t **out,
	struct yg_err *err)
{
	struct groups_place place;
	json_t *all YG_AUTO(yg_json) = NULL;
	json_t *made YG_AUTO(yg_json) = json_object();
	if (settings_read(store, &all, err) < 0 || groups_place(store, computer, &place, err) < 0)
		return -1;
	relay = relay || place.decided == GROUPS_ON;
	const char *level = settings_text(all, "log.level");
	if (common(store, all, &place, computer, relay, made, err) < 0 ||
		(relay && for_relay(store, all, &place, computer, made, err) < 0) ||
		(place.decided != GROUPS_OWN &&
			set(made, "relay", json_pack("{s:b}", "on", place.decided == GROUPS_ON),
				err) < 0) ||
		(level[0] != '\0' && set(made, "log", json_pack("{s:s}", "level", level), err) < 0))
		return -1;
	*out = yg_take(made);
	return 0;
}

int op_content_settings(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	char balancer[320];
	json_t *all YG_AUTO(yg_json) = NULL;
	json_t *list YG_AUTO(yg_json) = NULL;
	json_t *own YG_AUTO(yg_json) = NULL;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || settings_read(store, &all, err) < 0 ||
		groups_relays(store, NULL, store->manager_id, &list, err) < 0 ||
		proxy(store, all, "manager", &own, err) < 0)
		return -1;
	settings_balancer_url(settings_text(all, "relay.load_balancer"), balancer);
	return store_give(json_pack("{s:o, s:O, s:s, s:O, s:o, s:O}", "source", source_of(all),
				  "relays", list, "load_balancer", balancer, "proxy", own, "update",
				  limits(all, "update"), "newest", newest),
		out, err);
}
