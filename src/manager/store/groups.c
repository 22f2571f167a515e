/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Relay groups as people see and change them. The tree is small and read whole. */
#include "manager/store/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "manager/store/alerts.h"
#include "manager/store/store.h"

#define GROUPS_MAX 500

struct group {
	char id[40], name[208], parent[40];
	bool is_default;
	int64_t created, relays, computers;
};

struct tree {
	size_t count;
	struct group list[GROUPS_MAX];
};

static int load(struct store *store, struct tree **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT g.id, g.name, g.parent, g.is_default, g.created, (SELECT count(*) FROM computers c "
		    "WHERE c.relay_group = g.id AND c.relay = 1 AND c.deleted = 0 AND c.activated IS NOT NULL), "
		    "(SELECT count(*) FROM computers c WHERE c.relay_group = g.id AND (c.relay = 0 OR "
		    "c.activated IS NULL) AND c.deleted = 0) FROM relay_groups g ORDER BY g.is_default DESC, g.name, g.id LIMIT $1",
		    YG_DB_ARGS(yg_db_int(GROUPS_MAX)), &rows, err) < 0)
		return -1;
	struct tree *tree YG_AUTO(mem) = calloc(1, sizeof(*tree));
	if (!tree)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int more = 0;
	while (tree->count < GROUPS_MAX && (more = yg_rows_next(rows, err)) > 0) {
		struct group *group = &tree->list[tree->count++];
		const char *parent = yg_rows_text(rows, 2);
		(void)snprintf(group->id, sizeof(group->id), "%s", yg_rows_text(rows, 0));
		(void)snprintf(group->name, sizeof(group->name), "%s", yg_rows_text(rows, 1));
		(void)snprintf(group->parent, sizeof(group->parent), "%s", parent ? parent : "");
		group->is_default = yg_rows_int(rows, 3) != 0;
		group->created = yg_rows_int(rows, 4);
		group->relays = yg_rows_int(rows, 5);
		group->computers = yg_rows_int(rows, 6);
	}
	if (more < 0)
		return -1;
	*out = yg_take(tree);
	return 0;
}

static const struct group *by_id(const struct tree *tree, const char *id)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->list[i].id, id) == 0)
			return &tree->list[i];
	return NULL;
}

static const struct group *parent_of(const struct tree *tree, const struct group *group)
{
	return group->parent[0] ? by_id(tree, group->parent) : NULL;
}

/* 1 at the top. */
static int depth_of(const struct tree *tree, const struct group *group)
{
	int depth = 0;
	for (; group && depth <= GROUPS_DEPTH_MAX; group = parent_of(tree, group))
		depth++;
	return depth;
}

static bool is_below(const struct tree *tree, const struct group *group, const struct group *top)
{
	for (int i = 0; group && i <= GROUPS_DEPTH_MAX; i++, group = parent_of(tree, group))
		if (group == top)
			return true;
	return false;
}

static const struct group *serving(const struct tree *tree, const struct group *group)
{
	for (int i = 0; group && i < GROUPS_DEPTH_MAX; i++, group = parent_of(tree, group))
		if (group->relays > 0)
			return group;
	return NULL;
}

static json_t *short_json(const struct group *group)
{
	return group ? json_pack("{s:s, s:s}", "id", group->id, "name", group->name) : json_null();
}

static json_t *group_json(const struct tree *tree, const struct group *group)
{
	return json_pack("{s:s, s:s, s:o, s:b, s:i, s:I, s:I, s:o, s:o}", "id", group->id, "name",
		group->name, "parent", short_json(parent_of(tree, group)), "default",
		group->is_default, "depth", depth_of(tree, group), "relays",
		(json_int_t)group->relays, "computers", (json_int_t)group->computers, "served_by",
		short_json(serving(tree, group)), "created", store_time(group->created));
}

static int find(struct store *store, const char *id, struct tree **tree, const struct group **group,
	struct yg_err *err)
{
	if (load(store, tree, err) < 0)
		return -1;
	*group = by_id(*tree, id);
	return *group ? 0
		      : yg_fail(err, YG_EABSENT, "relay group '%.100s': no such relay group", id);
}

int groups_find(struct store *store, const char *id, char out[40], char name[208],
	struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT id, name FROM relay_groups WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "relay group '%.100s': no such relay group", id);
	(void)snprintf(out, 40, "%s", yg_rows_text(rows, 0));
	(void)snprintf(name, 208, "%s", yg_rows_text(rows, 1));
	return 0;
}

int groups_default(struct store *store, char id[40], struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT id FROM relay_groups WHERE is_default = 1",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EFORMAT, "relay groups: none is the default");
	(void)snprintf(id, 40, "%s", yg_rows_text(rows, 0));
	return 0;
}

/* ---- operations ---- */

int op_relay_groups_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	struct store_page page;
	struct tree *tree YG_AUTO(mem) = NULL;
	json_t *items YG_AUTO(yg_json) = json_array();
	if (store_page(args, &page, err) < 0 || load(store, &tree, err) < 0)
		return -1;
	size_t i = 0;
	while (page.cursor[0] && i < tree->count && strcmp(tree->list[i++].id, page.cursor) != 0)
		;
	for (; i < tree->count && (int64_t)json_array_size(items) < page.limit; i++)
		if (store_add(items, group_json(tree, &tree->list[i]), err) < 0)
			return -1;
	bool more = i > 0 && i < tree->count;
	return store_list(json_incref(items), more ? tree->list[i - 1].id : NULL, out, err);
}

/* One with its relays: [{id, name, agent_state, urls, set}]. */
static int show(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	struct tree *tree YG_AUTO(mem) = NULL;
	const struct group *group = NULL;
	if (find(store, id, &tree, &group, err) < 0)
		return -1;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	json_t *members YG_AUTO(yg_json) = json_array();
	if (yg_db_query(store->db,
		    "SELECT id, name, online, relay_urls, hello, address, relay_port FROM computers WHERE "
		    "relay_group = $1 AND relay = 1 AND deleted = 0 ORDER BY name, id LIMIT 500",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (store_add(members,
			    json_pack("{s:s, s:s, s:s, s:o}", "id", yg_rows_text(rows, 0), "name",
				    yg_rows_text(rows, 1), "agent_state",
				    yg_rows_int(rows, 2) ? "online" : "offline", "urls",
				    groups_urls(yg_rows_text(rows, 3), yg_rows_text(rows, 4),
					    yg_rows_text(rows, 5), yg_rows_int(rows, 6))),
			    err) < 0)
			return -1;
	if (more < 0)
		return -1;
	json_t *made YG_AUTO(yg_json) = group_json(tree, group);
	if (!made || json_object_set(made, "members", members) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(made);
	return 0;
}

int op_relay_groups_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	return yg_json_str(args, "id", 64, &id, err) < 0 ? -1 : show(store, id, out, err);
}

/* May `group` (NULL: a new one) stand below `parent`? */
static int check_parent(const struct tree *tree, const struct group *group, const char *parent,
	struct yg_err *err)
{
	int height = 1;
	if (parent[0] == '\0')
		return 0;
	const struct group *above = by_id(tree, parent);
	if (!above)
		return yg_fail(err, YG_EABSENT, "parent: there is no relay group '%.100s'", parent);
	if (group && is_below(tree, above, group))
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"parent: '%s' is '%s' itself or below it: relays would wait for each other",
			above->name, group->name);
	for (size_t i = 0; group && i < tree->count; i++)
		if (is_below(tree, &tree->list[i], group)) {
			int levels = depth_of(tree, &tree->list[i]) - depth_of(tree, group) + 1;
			height = levels > height ? levels : height;
		}
	if (depth_of(tree, above) + height > GROUPS_DEPTH_MAX)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"parent: want at most %d levels of relay groups, have %d", GROUPS_DEPTH_MAX,
			depth_of(tree, above) + height);
	return 0;
}

static int taken(const char *name, struct yg_err *err)
{
	if (strcmp(err->cause, "conflict") != 0)
		return -1;
	return yg_fail_cause(err, YG_EFORMAT, "conflict",
		"name: there is a relay group '%s' already", name);
}

static int make_default(struct store *store, const char *id, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE relay_groups SET is_default = CASE WHEN id = $1 THEN 1 ELSE 0 END",
		YG_DB_ARGS(yg_db_text(id)), NULL, err);
}

int op_relay_groups_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *name;
	const char *parent;
	bool is_default;
	char id[YG_UUID_TEXT];
	struct tree *tree YG_AUTO(mem) = NULL;
	if (yg_json_str(args, "name", 200, &name, err) < 0 ||
		yg_json_str_or(args, "parent", 64, "", &parent, err) < 0 ||
		yg_json_bool_or(args, "default", false, &is_default, err) < 0 ||
		load(store, &tree, err) < 0 || check_parent(tree, NULL, parent, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	if (tree->count >= GROUPS_MAX)
		return yg_fail(err, YG_ELIMIT, "want at most %d relay groups, have them",
			GROUPS_MAX);
	if (yg_random_uuid(id, err) < 0)
		return -1;
	if (yg_db_exec(store->db,
		    "INSERT INTO relay_groups (id, name, parent, is_default, created) VALUES ($1, $2, $3, 0, "
		    "$4)",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name),
			    yg_db_text(parent[0] ? parent : NULL), yg_db_int(store->clock_s)),
		    NULL, err) < 0)
		return taken(name, err);
	if ((is_default && make_default(store, id, err) < 0) ||
		store_event(store, 20022, NULL, NULL,
			json_pack("{s:s, s:s}", "group", name, "who", asker->name), err) < 0)
		return -1;
	return show(store, id, out, err);
}

int op_relay_groups_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	const char *name;
	const char *parent;
	bool is_default;
	struct tree *tree YG_AUTO(mem) = NULL;
	const struct group *group = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || find(store, id, &tree, &group, err) < 0 ||
		yg_json_str_or(args, "name", 200, group->name, &name, err) < 0 ||
		yg_json_str_or(args, "parent", 64, group->parent, &parent, err) < 0 ||
		yg_json_bool_or(args, "default", group->is_default, &is_default, err) < 0 ||
		check_parent(tree, group, parent, err) < 0)
		return -1;
	if (name[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	if (group->is_default && !is_default)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"default: one relay group is the default: choose another one instead");
	if (yg_db_exec(store->db, "UPDATE relay_groups SET name = $2, parent = $3 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(name),
			    yg_db_text(parent[0] ? parent : NULL)),
		    NULL, err) < 0)
		return taken(name, err);
	if ((is_default && !group->is_default && make_default(store, id, err) < 0) ||
		store_event(store, 20023, NULL, NULL,
			json_pack("{s:s, s:s}", "group", name, "who", asker->name), err) < 0)
		return -1;
	/* Another parent: its relays take from others, and so may everybody below. */
	if (strcmp(parent, group->parent) != 0 && store_command_all(store, "settings", "", err) < 0)
		return -1;
	return show(store, id, out, err);
}

/* What keeps a group from being deleted. */
static int check_unused(struct store *store, const struct tree *tree, const struct group *group,
	struct yg_err *err)
{
	int64_t tokens = 0;
	if (group->is_default)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"relay group '%s': it is the default, which new computers join; make another one the "
			"default first",
			group->name);
	if (group->relays + group->computers > 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"relay group '%s': %lld relays and %lld other computers belong to it; give them another "
			"group first",
			group->name, (long long)group->relays, (long long)group->computers);
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->list[i].parent, group->id) == 0)
			return yg_fail_cause(err, YG_EFORMAT, "conflict",
				"relay group '%s': the group '%s' takes from it; give that one another parent "
				"first",
				group->name, tree->list[i].name);
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM tokens WHERE relay_group = $1 AND revoked = 0 AND used < uses AND "
		    "expires > $2",
		    YG_DB_ARGS(yg_db_text(group->id), yg_db_int(store->clock_s)), &tokens, err) < 0)
		return -1;
	if (tokens > 0)
		return yg_fail_cause(err, YG_EFORMAT, "conflict",
			"relay group '%s': %lld activation tokens name it; withdraw them first",
			group->name, (long long)tokens);
	return 0;
}

int op_relay_groups_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	struct tree *tree YG_AUTO(mem) = NULL;
	const struct group *group = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || find(store, id, &tree, &group, err) < 0 ||
		check_unused(store, tree, group, err) < 0)
		return -1;
	/* What is only history may not hold it: deleted computers, tokens that are used up. */
	if (yg_db_exec(store->db,
		    "UPDATE computers SET relay_group = NULL WHERE relay_group = $1 AND deleted = 1",
		    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		yg_db_exec(store->db, "UPDATE tokens SET relay_group = NULL WHERE relay_group = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM relay_groups WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		store_alert_end(store, "relay_group_empty", id, "deleted", err) < 0 ||
		store_event(store, 20024, NULL, NULL,
			json_pack("{s:s, s:s}", "group", group->name, "who", asker->name), err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}
