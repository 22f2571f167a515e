/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Computers as people see them. What agents say of themselves is in agents.c. */
#include <stdio.h>
#include <string.h>

#include "manager/store/content.h"
#include "manager/store/groups.h"
#include "manager/store/store.h"
#include "proto/wire.h"

#define COLUMNS                                                                                     \
	"c.id, c.name, c.hostname, c.in_group, c.kind, c.address, c.state, c.protection, c.relay, " \
	"c.relay_port, c.relay_urls, c.policy, p.name, p.fingerprint, c.policy_has, c.set_has, "    \
	"c.hello, c.status, c.serial, k.not_after, c.online, c.created, c.activated, "              \
	"c.last_contact, g.id, g.name, c.relay_on, c.content, p.content "                           \
	"FROM computers c JOIN policies p ON p.id = c.policy LEFT JOIN certificates k ON k.serial " \
	"= c.serial LEFT JOIN relay_groups g ON g.id = c.relay_group "

json_t *store_computer_difference(const json_t *have, const json_t *newest)
{
	json_t *list = json_array();
	size_t i;
	json_t *want;
	json_array_foreach(newest, i, want)
	{
		const char *name = json_string_value(json_object_get(want, "name"));
		json_int_t to = json_integer_value(json_object_get(want, "version"));
		json_int_t from = 0;
		size_t k;
		json_t *item;
		json_array_foreach(have, k, item)
		{
			const char *other = json_string_value(json_object_get(item, "name"));
			if (name && other && strcmp(name, other) == 0)
				from = json_integer_value(json_object_get(item, "version"));
		}
		if (name && from != to)
			(void)json_array_append_new(list,
				json_pack("{s:s, s:I, s:I}", "name", name, "from", from, "to", to));
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static const char *against_newest(const char *set, const json_t *components, const json_t *newest,
	const char *content)
{
	const char *newest_set = json_string_value(json_object_get(newest, "set"));
	if (!newest_set)
		return "unknown";
	if (content[0] == '\0' && strcmp(set, newest_set) == 0)
		return "current";
	/* A computer may run fewer components than there are: then versions decide. */
	json_t *old YG_AUTO(yg_json) = content_difference(content, components,
		json_object_get(newest, "components"));
	return old ? "old" : "current";
}

static json_t *member(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	return value ? json_incref(value) : json_null();
}

static json_t *member_array(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	return json_is_array(value) ? json_incref(value) : json_array();
}

static const char *content_of(const struct yg_rows *rows)
{
	return yg_rows_text(rows, yg_rows_null(rows, 27) ? 28 : 27);
}

static json_t *computer_json(const struct yg_rows *rows, const json_t *newest)
{
	json_t *hello YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 16));
	json_t *status YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 17));
	bool activated = !yg_rows_null(rows, 22);
	const char *urls = yg_rows_text(rows, 10);
	json_t *components YG_AUTO(yg_json) = member_array(status, "components");
	json_t *made = json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:s}", "id",
		yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1), "hostname",
		yg_rows_text(rows, 2), "group", yg_rows_text(rows, 3), "kind",
		yg_rows_text(rows, 4), "address", yg_rows_text(rows, 5), "state",
		yg_rows_text(rows, 6), "protection", yg_rows_text(rows, 7));
	json_t *rest YG_AUTO(yg_json) = json_pack(
		"{s:s, s:b, s:o, s:o, s:b, s:{s:s, s:s, s:s, s:s}, s:O, s:s, s:s}", "agent_state",
		!activated                      ? "activation_required"
			: yg_rows_int(rows, 20) ? "online"
						: "offline",
		"relay", yg_rows_int(rows, 8) != 0, "relay_port",
		yg_rows_int(rows, 8) ? json_integer((json_int_t)yg_rows_int(rows, 9)) : json_null(),
		"relay_urls",
		yg_rows_int(rows, 8) || urls ? groups_urls(urls, yg_rows_text(rows, 16),
						       yg_rows_text(rows, 5), yg_rows_int(rows, 9))
					     : json_array(),
		"relay_urls_fixed", urls != NULL, "policy", "id", yg_rows_text(rows, 11), "name",
		yg_rows_text(rows, 12), "fingerprint", yg_rows_text(rows, 13), "sent",
		strcmp(yg_rows_text(rows, 13), yg_rows_text(rows, 14)) == 0 ? "current" : "pending",
		"components", components, "set", yg_rows_text(rows, 15), "newest",
		against_newest(yg_rows_text(rows, 15), components, newest, content_of(rows)));
	json_t *times YG_AUTO(yg_json) = json_pack("{s:o, s:o, s:o}", "created",
		store_time(yg_rows_int(rows, 21)), "activated", store_time_or_null(rows, 22),
		"last_contact", store_time_or_null(rows, 23));
	if (!made || !rest || !times || json_object_update(made, rest) < 0 ||
		json_object_update(made, times) < 0) {
		json_decref(made);
		return NULL;
	}
	static const char *const from_hello[] = {"os", "version"};
	for (size_t i = 0; i < YG_COUNT(from_hello); i++) {
		const char *text = json_string_value(json_object_get(hello, from_hello[i]));
		(void)json_object_set_new(made, from_hello[i], json_string(text ? text : ""));
	}
	static const char *const lists[] = {"addresses", "roles", "capabilities"};
	for (size_t i = 0; i < YG_COUNT(lists); i++)
		(void)json_object_set_new(made, lists[i], member_array(hello, lists[i]));
	(void)json_object_set_new(made, "relay_on",
		yg_rows_null(rows, 26) ? json_null() : json_boolean(yg_rows_int(rows, 26) != 0));
	(void)json_object_set_new(made, "relay_group",
		yg_rows_null(rows, 24) ? json_null()
				       : json_pack("{s:s, s:s}", "id", yg_rows_text(rows, 24),
						 "name", yg_rows_text(rows, 25)));
	json_t *content = content_json(content_of(rows));
	(void)json_object_set_new(content, "from",
		json_string(yg_rows_null(rows, 27) ? "policy" : "computer"));
	(void)json_object_set_new(made, "content", content);
	const char *back = json_string_value(json_object_get(status, "rollback_set"));
	(void)json_object_set_new(made, "rollback_set", json_string(back ? back : ""));
	static const char *const from_status[] = {"hold", "engine", "update"};
	for (size_t i = 0; i < YG_COUNT(from_status); i++)
		(void)json_object_set_new(made, from_status[i], member(status, from_status[i]));
	(void)json_object_set_new(made, "relay_status", member(status, "relay"));
	(void)json_object_set_new(made, "certificate",
		yg_rows_null(rows, 18) ? json_null()
				       : json_pack("{s:s, s:o}", "serial", yg_rows_text(rows, 18),
						 "not_after", store_time_or_null(rows, 19)));
	return made;
}

int store_computer_get(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (!newest ||
		yg_db_query(store->db, "SELECT " COLUMNS "WHERE c.id = $1 AND c.deleted = 0",
			YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", id);
	return store_give(computer_json(rows, newest), out, err);
}

int store_computer_name(struct store *store, const char *id, char out[208], struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT name FROM computers WHERE id = $1 AND deleted = 0",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", id);
	(void)snprintf(out, 208, "%s", yg_rows_text(rows, 0));
	return 0;
}

int op_computers_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0 ? -1
							 : store_computer_get(store, id, out, err);
}

int op_computers_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	const char *text;
	const char *state;
	const char *policy;
	const char *relays;
	bool relay;
	if (store_page(args, &page, err) < 0 ||
		yg_json_str_or(args, "text", 200, "", &text, err) < 0 ||
		yg_json_str_or(args, "state", 40, "", &state, err) < 0 ||
		yg_json_str_or(args, "policy", 64, "", &policy, err) < 0 ||
		yg_json_str_or(args, "relay_group", 64, "", &relays, err) < 0 ||
		yg_json_bool_or(args, "relay", false, &relay, err) < 0)
		return -1;
	bool any = !json_is_boolean(json_object_get(args, "relay"));
	char *like YG_AUTO(mem) = store_like(text);
	json_t *items YG_AUTO(yg_json) = json_array();
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || !like)
		return newest ? yg_fail(err, YG_ESYSTEM, "out of memory") : -1;

	/* The cursor is the last computer's id; its place is where its name stands. */
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT " COLUMNS "WHERE c.deleted = 0 AND ($1 = '' OR c.state = $1) AND "
		    "($2 = '' OR c.policy = $2) AND ($3 < 0 OR CASE WHEN c.relay = 1 OR c.relay_on IS NOT NULL THEN 1 ELSE 0 END = $3) AND (lower(c.name) LIKE $4 ESCAPE "
		    "'!' OR lower(c.hostname) LIKE $4 ESCAPE '!') AND ($5 = '' OR (c.name, c.id) > (SELECT "
		    "l.name, l.id FROM computers l WHERE l.id = $5)) AND ($7 = '' OR c.relay_group = $7) ORDER BY "
		    "c.name, c.id LIMIT $6",
		    YG_DB_ARGS(yg_db_text(state), yg_db_text(policy), yg_db_int(any ? -1 : relay),
			    yg_db_text(like), yg_db_text(page.cursor), yg_db_int(page.limit),
			    yg_db_text(relays)),
		    &rows, err) < 0)
		return -1;
	char last[40] = "";
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		(void)snprintf(last, sizeof(last), "%s", yg_rows_text(rows, 0));
		if (store_add(items, computer_json(rows, newest), err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	bool full = (int64_t)json_array_size(items) == page.limit;
	return store_list(json_incref(items), full ? last : NULL, out, err);
}

int op_computers_components(struct store *store, const struct store_asker *asker,
	const json_t *args, json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	json_t *computer YG_AUTO(yg_json) = NULL;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || yg_json_str(args, "id", 64, &id, err) < 0 ||
		store_computer_get(store, id, &computer, err) < 0)
		return -1;
	json_t *items YG_AUTO(yg_json) = json_array();
	json_t *have = json_object_get(computer, "components");
	json_t *want = json_object_get(newest, "components");
	size_t i;
	size_t k;
	json_t *item;
	json_t *other;
	json_array_foreach(have, i, item)
	{
		json_t *name = json_object_get(item, "name");
		json_t *version = json_object_get(item, "version");
		json_t *newer = NULL;
		json_array_foreach(want, k,
			other) if (json_equal(json_object_get(other, "name"), name))
			newer = json_object_get(other, "version");
		if (store_add(items,
			    json_pack("{s:O, s:O, s:O, s:s}", "name", name, "version", version,
				    "newest", newer ? newer : json_null(), "state",
				    !newer                               ? "unknown"
					    : json_equal(newer, version) ? "current"
									 : "old"),
			    err) < 0)
			return -1;
	}
	/* What it does not have at all. */
	json_array_foreach(want, k, other)
	{
		bool there = false;
		json_array_foreach(have, i, item) there = there ||
			json_equal(json_object_get(other, "name"), json_object_get(item, "name"));
		if (!there &&
			store_add(items,
				json_pack("{s:O, s:n, s:O, s:s}", "name",
					json_object_get(other, "name"), "version", "newest",
					json_object_get(other, "version"), "state", "old"),
				err) < 0)
			return -1;
	}
	const char *set = json_string_value(json_object_get(newest, "set"));
	return store_give(json_pack("{s:O, s:O, s:s}", "items", items, "set",
				  json_object_get(computer, "set"), "newest_set", set ? set : ""),
		out, err);
}
