/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The network plan: what this installation is, for diagnose/plan.c to say who connects to whom. */
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "diagnose/plan.h"
#include "manager/store/diagnosis.h"
#include "manager/store/groups.h"
#include "manager/store/settings.h"

#define RELAYS_MAX 500 /* of one group */

/* Relays of one group as they are set up, also those that are away just now. */
static int relays_of(struct store *store, const char *group, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int more;
	if (yg_db_query(store->db,
		    "SELECT name, relay_urls, hello, address, relay_port FROM computers WHERE deleted = 0 AND "
		    "relay = 1 AND relay_group = $1 ORDER BY name LIMIT $2",
		    YG_DB_ARGS(yg_db_text(group), yg_db_int(RELAYS_MAX)), &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *urls = groups_urls(yg_rows_text(rows, 1), yg_rows_text(rows, 2),
			yg_rows_text(rows, 3), yg_rows_int(rows, 4));
		if (store_add(list,
			    json_pack("{s:s, s:o}", "name", yg_rows_text(rows, 0), "urls", urls),
			    err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	return 0;
}

static int groups_of(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int more;
	if (yg_db_query(store->db,
		    "SELECT g.id, g.name, g.parent, (SELECT count(*) FROM computers c WHERE c.relay_group = g.id "
		    "AND c.deleted = 0 AND c.relay = 0) FROM relay_groups g ORDER BY g.name",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	while ((more = yg_rows_next(rows, err)) > 0) {
		const char *parent = yg_rows_text(rows, 2);
		if (store_add(list,
			    json_pack("{s:s, s:s, s:s, s:I}", "id", yg_rows_text(rows, 0), "name",
				    yg_rows_text(rows, 1), "parent", parent ? parent : "",
				    "computers", (json_int_t)yg_rows_int(rows, 3)),
			    err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	/* One query after the other: not every database goes on with one while another is read. */
	size_t i;
	json_t *group;
	json_array_foreach(list, i, group)
	{
		json_t *relays = NULL;
		const char *id = json_string_value(json_object_get(group, "id"));
		if (relays_of(store, id, &relays, err) < 0)
			return -1;
		if (json_object_set_new(group, "relays", relays) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	*out = yg_take(list);
	return 0;
}

static json_t *proxies_of(const json_t *settings)
{
	static const char *const names[] = {"relay_source", "agent_relay", "agent_source",
		"manager"};
	json_t *made = json_object();
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "proxy.%s.url", names[i]);
		(void)json_object_set_new(made, names[i],
			json_string(settings_text(settings, name)));
	}
	return made;
}

int op_network_plan_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	char balancer[320];
	json_t *settings YG_AUTO(yg_json) = NULL;
	json_t *groups YG_AUTO(yg_json) = NULL;
	json_t *rows = NULL;
	if (settings_read(store, &settings, err) < 0 || groups_of(store, &groups, err) < 0)
		return -1;
	settings_balancer_url(settings_text(settings, "relay.load_balancer"), balancer);
	json_t *manager = json_object_get(store->site, "manager");
	json_t *site YG_AUTO(yg_json) = json_pack("{s:o, s:{s:s}, s:b, s:s, s:o, s:O}", "manager",
		manager ? json_incref(manager) : json_object(), "source", "url",
		settings_text(settings, "source.url"), "direct",
		(int)(settings_number(settings, "direct_fallback") != 0), "load_balancer", balancer,
		"proxies", proxies_of(settings), "groups", groups);
	if (!site)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (json_object_get(store->site, "database"))
		(void)json_object_set(site, "database", json_object_get(store->site, "database"));
	if (yg_plan_make(site, asker->lang, &rows, err) < 0)
		return yg_wrap(err, "network plan");
	return store_give(json_pack("{s:o, s:o}", "items", rows, "time",
				  store_time(store->clock_s)),
		out, err);
}
