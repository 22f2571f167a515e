/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Who takes from whom, and where relays are reached. */
#include <stdio.h>
#include <string.h>

#include "core/str.h"
#include "manager/store/alerts.h"
#include "manager/store/groups.h"
#include "manager/store/store.h"

#define RELAYS_MAX 64    /* of one heartbeat; the rest is for other computers */
#define URLS_MAX   16    /* of one relay */
#define BYTES_MAX  24576 /* of all URLs: they go through messages of 64 KiB at the agent */
#define IS_RELAY   "c.relay = 1 AND c.deleted = 0 AND c.activated IS NOT NULL"
#define RELAYS     "SELECT id, relay_urls, hello, address, relay_port FROM computers c WHERE " IS_RELAY
#define BEST_FIRST " ORDER BY online DESC, id LIMIT 500"

int groups_serving(struct store *store, const char *group, char out[40], struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	out[0] = '\0';
	if (group[0] == '\0')
		return 0;
	if (yg_db_query(store->db,
		    "WITH RECURSIVE up (id, parent, n) AS (SELECT id, parent, 0 FROM relay_groups WHERE id = "
		    "$1 UNION ALL SELECT g.id, g.parent, up.n + 1 FROM relay_groups g JOIN up ON g.id = "
		    "up.parent WHERE up.n < $2) SELECT id FROM up WHERE EXISTS (SELECT 1 FROM computers c "
		    "WHERE c.relay_group = up.id AND " IS_RELAY ") ORDER BY n LIMIT 1",
		    YG_DB_ARGS(yg_db_text(group), yg_db_int(GROUPS_DEPTH_MAX)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more > 0)
		(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	return more < 0 ? -1 : 0;
}

int groups_place(struct store *store, const char *computer, struct groups_place *out,
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	*out = (struct groups_place){0};
	/* Asked at every heartbeat: that the group has a relay of its own is known without climbing. */
	if (yg_db_query(store->db,
		    "SELECT g.id, g.name, g.parent, own.relay_on, CASE WHEN EXISTS (SELECT 1 FROM computers c "
		    "WHERE c.relay_group = g.id AND " IS_RELAY
		    ") THEN 1 ELSE 0 END FROM computers own JOIN "
		    "relay_groups g ON g.id = own.relay_group WHERE own.id = $1",
		    YG_DB_ARGS(yg_db_text(computer)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", computer);
	const char *parent = yg_rows_text(rows, 2);
	(void)snprintf(out->group, sizeof(out->group), "%s", yg_rows_text(rows, 0));
	(void)snprintf(out->name, sizeof(out->name), "%s", yg_rows_text(rows, 1));
	(void)snprintf(out->parent, sizeof(out->parent), "%s", parent ? parent : "");
	out->decided = yg_rows_null(rows, 3) ? GROUPS_OWN
		: yg_rows_int(rows, 3) != 0  ? GROUPS_ON
					     : GROUPS_OFF;
	if (yg_rows_int(rows, 4) != 0) {
		(void)snprintf(out->serving, sizeof(out->serving), "%s", out->group);
		return 0;
	}
	return groups_serving(store, out->parent, out->serving, err);
}

/* ---- addresses ---- */

/* 0: an address that others can use, 1: one of the own network segment only, 2: of the computer itself only. */
static int far(const char *host)
{
	if (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
		strcmp(host, "localhost") == 0)
		return 2;
	return strncmp(host, "169.254.", 8) == 0 || strncmp(host, "fe80:", 5) == 0;
}

static void add_url(json_t *urls, const char *host, int64_t port)
{
	char url[320];
	bool six = strchr(host, ':') != NULL;
	if (!yg_str_put(url, sizeof(url), "https://%s%s%s:%lld", six ? "[" : "", host,
		    six ? "]" : "", (long long)port))
		return;
	size_t i;
	json_t *there;
	json_array_foreach(urls, i, there) if (strcmp(json_string_value(there), url) == 0) return;
	if (json_array_size(urls) < URLS_MAX)
		(void)json_array_append_new(urls, json_string(url));
}

json_t *groups_urls(const char *fixed, const char *hello, const char *seen, int64_t port)
{
	json_t *set = store_parse(fixed);
	if (json_is_array(set) && json_array_size(set) > 0)
		return set;
	json_decref(set);
	json_t *said YG_AUTO(yg_json) = store_parse(hello);
	json_t *addresses = json_object_get(said, "addresses");
	json_t *urls = json_array();
	for (int distance = 0; distance <= 2; distance++) {
		size_t i;
		json_t *address;
		/* The one of its own that it reaches the Manager with has proved to lead somewhere. */
		json_array_foreach(addresses, i, address)
		{
			const char *host = json_string_value(address);
			if (host && seen && strcmp(host, seen) == 0 && far(host) == distance)
				add_url(urls, host, port);
		}
		json_array_foreach(addresses, i, address)
		{
			const char *host = json_string_value(address);
			if (host && host[0] != '\0' && far(host) == distance)
				add_url(urls, host, port);
		}
	}
	if (json_array_size(urls) == 0 && seen && seen[0] != '\0')
		add_url(urls, seen, port);
	return urls;
}

/* ---- lists ---- */

/* Computers begin at different places of a long list; one computer always at the same. */
static json_t *part_of(const json_t *list, const char *computer)
{
	json_t *part = json_array();
	size_t count = json_array_size(list);
	size_t bytes = 0;
	unsigned start = 0;
	for (const char *c = computer; *c; c++)
		start = start * 31 + (unsigned char)*c;
	for (size_t i = 0; i < count && json_array_size(part) < RELAYS_MAX; i++) {
		json_t *relay = json_array_get(list, (i + start) % count);
		size_t k;
		json_t *url;
		json_array_foreach(json_object_get(relay, "urls"), k, url)
			bytes += json_string_length(url);
		if (bytes > BYTES_MAX && json_array_size(part) > 0)
			break;
		if (json_array_append(part, relay) < 0) {
			json_decref(part);
			return NULL;
		}
	}
	return part;
}

int groups_relays(struct store *store, const char *group, const char *computer, json_t **out,
	struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	if (group && group[0] == '\0')
		return store_give(json_array(), out, err);
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	int rc = group ? yg_db_query(store->db, RELAYS " AND relay_group = $1" BEST_FIRST,
				 YG_DB_ARGS(yg_db_text(group)), &rows, err)
		       : yg_db_query(store->db, RELAYS BEST_FIRST, YG_DB_NO_ARGS, &rows, err);
	if (rc < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *urls YG_AUTO(yg_json) = groups_urls(yg_rows_text(rows, 1),
			yg_rows_text(rows, 2), yg_rows_text(rows, 3), yg_rows_int(rows, 4));
		if (json_array_size(urls) > 0 &&
			store_add(list,
				json_pack("{s:s, s:O}", "id", yg_rows_text(rows, 0), "urls", urls),
				err) < 0)
			return -1;
	}
	return more < 0 ? -1 : store_give(part_of(list, computer), out, err);
}

/* ---- the alert ---- */

const char groups_lacking_sql[] =
	"SELECT g.id, g.name, g.empty_since, (SELECT count(*) FROM computers c WHERE c.relay_group = g.id AND "
	"c.deleted = 0 AND c.activated IS NOT NULL AND c.relay = 0) FROM relay_groups g WHERE NOT EXISTS "
	"(SELECT 1 FROM computers c WHERE c.relay_group = g.id AND " IS_RELAY ")";

/* A group that nobody takes from may be empty; so may the only one of an installation without relays, when its
 * computers may ask the update source themselves.
 */
static int lacking(struct store *store, json_t **out, struct yg_err *err)
{
	bool direct = false;
	int64_t relays = 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	json_t *list YG_AUTO(yg_json) = json_array();
	if (store_setting_bool(store, "direct_fallback", &direct, err) < 0 ||
		yg_db_number(store->db, "SELECT count(*) FROM computers c WHERE " IS_RELAY,
			YG_DB_NO_ARGS, &relays, err) < 0)
		return -1;
	if (yg_db_query(store->db, groups_lacking_sql, YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		int64_t count = yg_rows_int(rows, 3);
		if (count > 0 && (relays > 0 || !direct) &&
			store_add(list,
				json_pack("[s, s, I, I]", yg_rows_text(rows, 0),
					yg_rows_text(rows, 1),
					yg_rows_null(rows, 2) ? (json_int_t)store->clock_s
							      : (json_int_t)yg_rows_int(rows, 2),
					(json_int_t)count),
				err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	return 0;
}

/* Those that were empty and are not any more. */
static int filled(struct store *store, const json_t *empty, struct yg_err *err)
{
	json_t *before YG_AUTO(yg_json) = NULL;
	if (store_texts(store, "SELECT id FROM relay_groups WHERE empty_since IS NOT NULL",
		    YG_DB_NO_ARGS, &before, err) < 0)
		return -1;
	size_t i;
	json_t *id;
	json_array_foreach(before, i, id)
	{
		size_t k;
		json_t *item;
		bool still = false;
		json_array_foreach(empty, k, item)
			still = still || json_equal(json_array_get(item, 0), id);
		if (!still &&
			(yg_db_exec(store->db,
				 "UPDATE relay_groups SET empty_since = NULL WHERE id = $1",
				 YG_DB_ARGS(yg_db_text(json_string_value(id))), NULL, err) < 0 ||
				store_alert_end(store, "relay_group_empty", json_string_value(id),
					"relay", err) < 0))
			return -1;
	}
	return 0;
}

int groups_tick(struct store *store, struct yg_err *err)
{
	int64_t after_s = 0;
	json_t *empty YG_AUTO(yg_json) = NULL;
	if (store_setting_int(store, "alerts.relay_group_empty_s", &after_s, err) < 0 ||
		lacking(store, &empty, err) < 0 || filled(store, empty, err) < 0)
		return -1;
	size_t i;
	json_t *item;
	json_array_foreach(empty, i, item)
	{
		const char *id = json_string_value(json_array_get(item, 0));
		int64_t since = json_integer_value(json_array_get(item, 2));
		if (yg_db_exec(store->db,
			    "UPDATE relay_groups SET empty_since = $2 WHERE id = $1 AND empty_since IS NULL",
			    YG_DB_ARGS(yg_db_text(id), yg_db_int(since)), NULL, err) < 0)
			return -1;
		/* A relay that is being installed, or changes groups, is no alert. */
		if (after_s > 0 && store->clock_s >= since + after_s &&
			store_alert_raise(store, "relay_group_empty", id,
				json_pack("{s:O, s:O}", "group", json_array_get(item, 1), "count",
					json_array_get(item, 3)),
				err) < 0)
			return -1;
	}
	return 0;
}
