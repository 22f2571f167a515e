/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What people change of computers. */
#include <stdio.h>
#include <string.h>

#include "manager/store/alerts.h"
#include "manager/store/content.h"
#include "manager/store/groups.h"
#include "manager/store/settings.h"
#include "manager/store/store.h"

static int assign(struct store *store, const struct store_asker *asker, const char *id,
	const char *name, const char *policy, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT name FROM policies WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(policy)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "policy '%s': no such policy", policy);
	int64_t changed = 0;
	if (yg_db_exec(store->db, "UPDATE computers SET policy = $2 WHERE id = $1 AND policy <> $2",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(policy)), &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	if (store_event(store, 253, id, NULL,
		    json_pack("{s:s, s:s, s:s}", "computer", name, "policy", yg_rows_text(rows, 0),
			    "who", asker->name),
		    err) < 0)
		return -1;
	return store_command(store, id, NULL, json_pack("{s:s}", "command", "policy"), err);
}

/* What a person enters as a relay's addresses: https URLs; an empty list gives the choice back. */
static int set_urls(struct store *store, const char *id, const json_t *args, struct yg_err *err)
{
	json_t *urls;
	size_t i;
	json_t *url;
	if (yg_json_array(args, "relay_urls", 16, &urls, err) < 0)
		return -1;
	json_array_foreach(urls, i, url)
	{
		char name[40];
		const char *text = json_string_value(url);
		(void)snprintf(name, sizeof(name), "relay_urls[%zu]", i);
		if (settings_check_relay(name, text ? text : yg_json_kind(url), err) < 0)
			return -1;
	}
	char *text YG_AUTO(mem) = json_array_size(urls) > 0 ? yg_json_text(urls) : NULL;
	if (yg_db_exec(store->db, "UPDATE computers SET relay_urls = $2 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(text)), NULL, err) < 0)
		return -1;
	return store_command_all(store, "settings", "", err);
}

static int set_group(struct store *store, const struct store_asker *asker, const char *id,
	const char *name, const char *group, struct yg_err *err)
{
	char found[40];
	char group_name[208];
	int64_t changed = 0;
	if (groups_find(store, group, found, group_name, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE computers SET relay_group = $2 WHERE id = $1 AND relay_group <> $2",
			YG_DB_ARGS(yg_db_text(id), yg_db_text(found)), &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	int64_t relay = 0;
	if (store_event(store, 287, id, NULL,
		    json_pack("{s:s, s:s, s:s}", "computer", name, "group", group_name, "who",
			    asker->name),
		    err) < 0 ||
		yg_db_number(store->db, "SELECT relay FROM computers WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), &relay, err) < 0)
		return -1;
	/* A relay takes its addresses along. */
	return relay
		? store_command_all(store, "settings", "", err)
		: store_command(store, id, NULL, json_pack("{s:s}", "command", "settings"), err);
}

/* true: it shall be a relay; false: not; null: as its own configuration says. Off counts at once; on when the agent
 * says that it is one, with a certificate that says so too.
 */
static int set_relay(struct store *store, const struct store_asker *asker, const char *id,
	const char *name, const json_t *on, struct yg_err *err)
{
	int64_t was = 0;
	int64_t changed = 0;
	if (!json_is_boolean(on) && !json_is_null(on))
		return yg_fail(err, YG_EFORMAT, "relay_on: want true, false or null, have %s",
			yg_json_kind(on));
	int64_t want = json_is_null(on) ? -1 : json_is_true(on);
	if (yg_db_number(store->db, "SELECT relay FROM computers WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), &was, err) < 0 ||
		yg_db_exec(store->db,
			"UPDATE computers SET relay_on = CASE WHEN $2 < 0 THEN NULL ELSE $2 END, relay = CASE "
			"WHEN $2 = 0 THEN 0 ELSE relay END WHERE id = $1 AND COALESCE(relay_on, -1) <> $2",
			YG_DB_ARGS(yg_db_text(id), yg_db_int(want)), &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	if (store_event(store,
		    want > 0            ? 20020
			    : want == 0 ? 20021
					: 20025,
		    id, NULL, json_pack("{s:s, s:s}", "computer", name, "who", asker->name),
		    err) < 0 ||
		(want == 0 &&
			(store_job_no_relay(store, id, err) < 0 ||
				store_alert_well(store, "relay_failed", id, "settings", err) < 0)))
		return -1;
	return want == 0 && was != 0
		? store_command_all(store, "settings", "", err)
		: store_command(store, id, NULL, json_pack("{s:s}", "command", "settings"), err);
}

/* What it should run; null: as its policy says. */
static int set_content(struct store *store, const struct store_asker *asker, const char *id,
	const char *name, const json_t *content, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	int64_t changed = 0;
	if (!json_is_null(content) && content_text(content, &text, err) < 0)
		return yg_wrap(err, "content");
	if (yg_db_exec(store->db,
		    "UPDATE computers SET content = $2 WHERE id = $1 AND coalesce(content, '-') <> "
		    "coalesce($2, '-')",
		    YG_DB_ARGS(yg_db_text(id), yg_db_text(text)), &changed, err) < 0)
		return -1;
	if (changed == 0)
		return 0;
	json_t *now YG_AUTO(yg_json) = text ? content_json(text)
					    : json_pack("{s:s}", "mode", "policy");
	char *pins YG_AUTO(mem) = json_object_size(json_object_get(now, "pins")) > 0
		? yg_json_text(json_object_get(now, "pins"))
		: NULL;
	json_t *params = json_pack("{s:s, s:O, s:s*, s:s}", "computer", name, "mode",
		json_object_get(now, "mode"), "pins", pins, "who", asker->name);
	if (store_event(store, 20033, id, NULL, params, err) < 0)
		return -1;
	/* Relays have to hold it, too. */
	return store_command(store, id, NULL, json_pack("{s:s}", "command", "settings"), err) < 0
		? -1
		: store_command_relays(store, "settings", err);
}

static void add_change(char changes[64], const char *what)
{
	size_t len = strlen(changes);
	(void)snprintf(changes + len, 64 - len, "%s%s", len > 0 ? ", " : "", what);
}

static int set_texts(struct store *store, const char *id, const char *before, const json_t *args,
	char changes[64], char name[208], struct yg_err *err)
{
	const char *text;
	const char *group;
	if (yg_json_str_or(args, "name", 200, before, &text, err) < 0 ||
		yg_json_str_or(args, "group", 200, NULL, &group, err) < 0)
		return -1;
	if (text[0] == '\0')
		return yg_fail(err, YG_EFORMAT, "name: want 1..200 bytes, have none");
	(void)snprintf(name, 208, "%s", text);
	if (strcmp(text, before) != 0) {
		add_change(changes, "name");
		if (yg_db_exec(store->db, "UPDATE computers SET name = $2 WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(id), yg_db_text(text)), NULL, err) < 0)
			return -1;
	}
	if (group) {
		add_change(changes, "group");
		if (yg_db_exec(store->db, "UPDATE computers SET in_group = $2 WHERE id = $1",
			    YG_DB_ARGS(yg_db_text(id), yg_db_text(group[0] ? group : NULL)), NULL,
			    err) < 0)
			return -1;
	}
	if (json_object_get(args, "relay_urls")) {
		add_change(changes, "relay_urls");
		if (set_urls(store, id, args, err) < 0)
			return -1;
	}
	return 0;
}

int op_computers_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	const char *policy;
	const char *relays;
	char before[208];
	char name[208];
	char changes[64] = "";
	const json_t *on = json_object_get(args, "relay_on");
	const json_t *content = json_object_get(args, "content");
	if (yg_json_str(args, "id", 64, &id, err) < 0 ||
		store_computer_name(store, id, before, err) < 0 ||
		yg_json_str_or(args, "policy", 64, NULL, &policy, err) < 0 ||
		yg_json_str_or(args, "relay_group", 64, NULL, &relays, err) < 0 ||
		set_texts(store, id, before, args, changes, name, err) < 0)
		return -1;
	if (changes[0] != '\0' &&
		store_event(store, 252, id, NULL,
			json_pack("{s:s, s:s, s:s}", "computer", name, "changes", changes, "who",
				asker->name),
			err) < 0)
		return -1;
	if ((policy && assign(store, asker, id, name, policy, err) < 0) ||
		(relays && set_group(store, asker, id, name, relays, err) < 0) ||
		(on && set_relay(store, asker, id, name, on, err) < 0) ||
		(content && set_content(store, asker, id, name, content, err) < 0))
		return -1;
	return store_computer_get(store, id, out, err);
}

int op_computers_delete(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	char name[208];
	int64_t relay = 0;
	if (yg_json_str(args, "id", 64, &id, err) < 0 ||
		store_computer_name(store, id, name, err) < 0 ||
		yg_db_number(store->db, "SELECT relay FROM computers WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id)), &relay, err) < 0)
		return -1;
	/* First of all: a job does not wait for a relay that is deleted. */
	if (yg_db_exec(store->db,
		    "UPDATE computers SET deleted = 1, online = 0, relay = 0 WHERE id = $1",
		    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		store_job_forget(store, id, err) < 0 || store_alerts_forget(store, id, err) < 0)
		return -1;
	if (yg_db_exec(store->db, "UPDATE certificates SET revoked = 1 WHERE computer = $1",
		    YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM commands WHERE computer = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0 ||
		yg_db_exec(store->db, "DELETE FROM computer_components WHERE computer = $1",
			YG_DB_ARGS(yg_db_text(id)), NULL, err) < 0)
		return -1;
	if (store_event(store, 708, id, NULL,
		    json_pack("{s:s, s:s}", "computer", name, "who", asker->name), err) < 0 ||
		store_event(store, 251, id, NULL,
			json_pack("{s:s, s:s}", "computer", name, "who", asker->name), err) < 0)
		return -1;
	/* Relays have to know the revoked serial at once; the others only that a relay is gone. */
	if (relay != 0 ? store_command_all(store, "settings", "", err) < 0
		       : store_command_relays(store, "settings", err) < 0)
		return -1;
	/* The session's held request for it asks again, and is refused. */
	if (store_command_wake(store, id, err) < 0)
		return -1;
	return store_give(json_object(), out, err);
}

int op_computers_policy(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	const char *id;
	const char *policy;
	char name[208];
	char job[40];
	if (yg_json_str(args, "id", 64, &id, err) < 0 ||
		yg_json_str_or(args, "policy", 64, NULL, &policy, err) < 0 ||
		store_computer_name(store, id, name, err) < 0 ||
		(policy && assign(store, asker, id, name, policy, err) < 0))
		return -1;
	json_t *order YG_AUTO(
		yg_json) = json_pack("{s:s, s:[s]}", "kind", "policy", "computers", id);
	if (store_job_make(store, asker, order, job, err) < 0)
		return -1;
	return store_give(json_pack("{s:s}", "job", job), out, err);
}
