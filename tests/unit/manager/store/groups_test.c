/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/groups.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "manager/store/jobs_impl.h"
#include "world.h"

static void make(struct world *world, const char *name, const char *parent, char id[40])
{
	json_t *made YG_AUTO(yg_json) = person(world, "relay_groups.create",
		json_pack("{s:s, s:s}", "name", name, "parent", parent));
	assert_string_equal(text(made, "name"), name);
	(void)snprintf(id, 40, "%s", text(made, "id"));
}

static void assign(struct world *world, const struct agent *agent, const char *group)
{
	json_decref(person(world, "computers.update",
		json_pack("{s:s, s:s}", "id", agent->id, "relay_group", group)));
}

static void switch_relay(struct world *world, const struct agent *agent, json_t *on)
{
	json_decref(person(world, "computers.update",
		json_pack("{s:s, s:o}", "id", agent->id, "relay_on", on)));
}

/* What a heartbeat gives: "a,b" names of relays in one list, "-" when there is no such list. */
static void given(struct world *world, struct agent *agent, const char *list,
	const struct agent *relays, size_t count, char out[64])
{
	json_t *reply YG_AUTO(yg_json) = heartbeat(world, agent);
	const json_t *all = json_object_get(json_object_get(reply, "settings"), list);
	(void)snprintf(out, 64, "%s", json_is_array(all) ? "" : "-");
	for (size_t i = 0; i < count; i++) {
		size_t k;
		json_t *item;
		json_array_foreach(all, k, item) if (strcmp(text(item, "id"), relays[i].id) == 0)
		{
			size_t len = strlen(out);
			(void)snprintf(out + len, 64 - len, "%s%s", len ? "," : "",
				relays[i].hostname);
		}
	}
	assert_true(!all ||
		json_array_size(all) ==
			(out[0] && out[0] != '-' ? 1 : 0) + (size_t)(strchr(out, ',') ? 1 : 0));
}

#define WANT_GIVEN(agent, list, want)                                                              \
	do {                                                                                       \
		char have[64];                                                                     \
		given(&world, agent, list, relays, YG_COUNT(relays), have);                        \
		assert_string_equal(have, want);                                                   \
	} while (0)

static void tree(void **state)
{
	WORLD(world);
	struct agent relays[3];
	struct agent web;
	char tokyo[40];
	char branch[40];
	activate(&world, &relays[0], "top", true);
	activate(&world, &relays[1], "tokyo", true);
	activate(&world, &relays[2], "branch", true);
	activate(&world, &web, "web", false);
	json_t *list YG_AUTO(yg_json) = person(&world, "relay_groups.list", NULL);
	const json_t *first = json_array_get(json_object_get(list, "items"), 0);
	assert_string_equal(text(first, "name"), "default");
	assert_int_equal(number(first, "relays"), 3);
	assert_int_equal(number(first, "computers"), 1);
	char top[40];
	(void)snprintf(top, sizeof(top), "%s", text(first, "id"));

	/* top <- tokyo <- branch, one relay each; the agent is in the branch. */
	make(&world, "Tokyo", top, tokyo);
	make(&world, "branch", tokyo, branch);
	json_int_t since = now_seq(&world);
	assign(&world, &relays[1], tokyo);
	assign(&world, &relays[2], branch);
	assign(&world, &web, branch);
	assign(&world, &web, branch); /* nothing new: no event */
	want_history(&world, since, "287 287 287");
	WANT_GIVEN(&web, "relays", "branch");
	WANT_GIVEN(&web, "parents", "-");
	WANT_GIVEN(&relays[2], "relays", "branch");
	WANT_GIVEN(&relays[2], "parents", "tokyo");
	WANT_GIVEN(&relays[1], "parents", "top");
	WANT_GIVEN(&relays[0], "parents", "");

	/* Without a relay of its own, the nearest above serves. */
	switch_relay(&world, &relays[2], json_false());
	WANT_GIVEN(&web, "relays", "tokyo");
	switch_relay(&world, &relays[1], json_false());
	WANT_GIVEN(&web, "relays", "top");
	WANT_GIVEN(&relays[2], "relays", "top");
	json_t *shown YG_AUTO(
		yg_json) = person(&world, "relay_groups.get", json_pack("{s:s}", "id", branch));
	assert_string_equal(text(json_object_get(shown, "served_by"), "name"), "default");
	assert_string_equal(text(json_object_get(shown, "parent"), "name"), "Tokyo");
	assert_int_equal(number(shown, "depth"), 3);
	assert_int_equal(json_array_size(json_object_get(shown, "members")), 0);
	switch_relay(&world, &relays[0], json_false());
	WANT_GIVEN(&web, "relays", "");
}

static void refused(void **state)
{
	WORLD(world);
	char ids[9][40];
	json_t *list YG_AUTO(yg_json) = person(&world, "relay_groups.list", NULL);
	const char *top = text(json_array_get(json_object_get(list, "items"), 0), "id");
	make(&world, "1", "", ids[1]);
	for (int i = 2; i <= 8; i++) {
		char name[4];
		(void)snprintf(name, sizeof(name), "%d", i);
		make(&world, name, ids[i - 1], ids[i]);
	}
	person_fails(&world, "relay_groups.create",
		json_pack("{s:s, s:s}", "name", "9", "parent", ids[8]), YG_EFORMAT,
		"parent: want at most 8 levels of relay groups, have 9");
	person_fails(&world, "relay_groups.create",
		json_pack("{s:s, s:s}", "name", "x", "parent", EPOCH_1), YG_EABSENT,
		"parent: there is no relay group '" EPOCH_1 "'");
	person_fails(&world, "relay_groups.create", json_pack("{s:s}", "name", "3"), YG_EFORMAT,
		"name: there is a relay group '3' already");
	person_fails(&world, "relay_groups.create", json_pack("{s:s}", "name", ""), YG_EFORMAT,
		"name: want 1..200 bytes, have none");
	person_fails(&world, "relay_groups.update",
		json_pack("{s:s, s:s}", "id", ids[3], "parent", ids[5]), YG_EFORMAT,
		"parent: '5' is '3' itself or below it: relays would wait for each other");
	person_fails(&world, "relay_groups.update",
		json_pack("{s:s, s:s}", "id", ids[3], "parent", ids[3]), YG_EFORMAT,
		"parent: '3' is '3' itself or below it: relays would wait for each other");
	/* Eight levels below one more. */
	person_fails(&world, "relay_groups.update",
		json_pack("{s:s, s:s}", "id", ids[1], "parent", top), YG_EFORMAT,
		"parent: want at most 8 levels of relay groups, have 9");
	person_fails(&world, "relay_groups.update",
		json_pack("{s:s, s:b}", "id", top, "default", 0), YG_EFORMAT,
		"default: one relay group is the default: choose another one instead");
	person_fails(&world, "relay_groups.get", json_pack("{s:s}", "id", EPOCH_1), YG_EABSENT,
		"relay group '" EPOCH_1 "': no such relay group");
	/* A subtree moves with what is below it. */
	json_t *moved YG_AUTO(yg_json) = person(&world, "relay_groups.update",
		json_pack("{s:s, s:s, s:s}", "id", ids[5], "parent", top, "name", "five"));
	assert_int_equal(number(moved, "depth"), 2);
	json_t *below YG_AUTO(
		yg_json) = person(&world, "relay_groups.get", json_pack("{s:s}", "id", ids[8]));
	assert_int_equal(number(below, "depth"), 5);
	json_t *up YG_AUTO(yg_json) = person(&world, "relay_groups.update",
		json_pack("{s:s, s:s}", "id", ids[5], "parent", ""));
	assert_true(json_is_null(json_object_get(up, "parent")));
}

static void deleting(void **state)
{
	WORLD(world);
	struct agent web;
	char site[40];
	char below[40];
	activate(&world, &web, "web", false);
	make(&world, "site", "", site);
	make(&world, "below", site, below);
	assign(&world, &web, site);
	person_fails(&world, "relay_groups.delete", json_pack("{s:s}", "id", site), YG_EFORMAT,
		"relay group 'site': 0 relays and 1 other computers belong to it; give them another group "
		"first");
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", web.id)));
	person_fails(&world, "relay_groups.delete", json_pack("{s:s}", "id", site), YG_EFORMAT,
		"relay group 'site': the group 'below' takes from it; give that one another parent first");
	json_decref(person(&world, "relay_groups.delete", json_pack("{s:s}", "id", below)));

	json_t *token YG_AUTO(
		yg_json) = person(&world, "tokens.create", json_pack("{s:s}", "relay_group", site));
	person_fails(&world, "relay_groups.delete", json_pack("{s:s}", "id", site), YG_EFORMAT,
		"relay group 'site': 1 activation tokens name it; withdraw them first");
	/* A relay that has not got its certificate yet belongs to it too. */
	struct yg_err err = {0};
	struct agent half = {.hostname = "half", .relay = true};
	assert_int_equal(activate_with(&world, text(token, "token"), "half", &half, &err), 0);
	person_fails(&world, "relay_groups.delete", json_pack("{s:s}", "id", site), YG_EFORMAT,
		"relay group 'site': 0 relays and 1 other computers belong to it; give them another group "
		"first");
	json_decref(person(&world, "computers.delete", json_pack("{s:s}", "id", half.id)));
	json_decref(person(&world, "tokens.delete", json_pack("{s:s}", "id", text(token, "id"))));
	json_int_t since = now_seq(&world);
	json_decref(person(&world, "relay_groups.delete", json_pack("{s:s}", "id", site)));
	want_history(&world, since, "20024");

	json_t *list YG_AUTO(yg_json) = person(&world, "relay_groups.list", NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	char top[40];
	(void)snprintf(top, sizeof(top), "%s",
		text(json_array_get(json_object_get(list, "items"), 0), "id"));
	person_fails(&world, "relay_groups.delete", json_pack("{s:s}", "id", top), YG_EFORMAT,
		"relay group 'default': it is the default, which new computers join; make another one the "
		"default first");
	json_decref(person(&world, "relay_groups.create",
		json_pack("{s:s, s:b}", "name", "new", "default", 1)));
	json_decref(person(&world, "relay_groups.delete", json_pack("{s:s}", "id", top)));
}

/* A new computer joins the group of its token, else the default one. */
static void joining(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	char site[40];
	make(&world, "site", "", site);
	json_t *token YG_AUTO(
		yg_json) = person(&world, "tokens.create", json_pack("{s:s}", "relay_group", site));
	assert_string_equal(text(token, "relay_group"), site);
	struct agent web = {.hostname = "web"};
	struct agent other;
	assert_int_equal(activate_with(&world, text(token, "token"), "web", &web, &err), 0);
	certify(&world, &web);
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &web);
	assert_string_equal(text(json_object_get(reply, "settings"), "relay_group"), "site");
	activate(&world, &other, "other", false);
	json_t *shown YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", other.id));
	assert_string_equal(text(json_object_get(shown, "relay_group"), "name"), "default");
	json_t *found YG_AUTO(yg_json) = person(&world, "computers.list",
		json_pack("{s:s}", "relay_group", site));
	assert_int_equal(json_array_size(json_object_get(found, "items")), 1);
	person_fails(&world, "tokens.create", json_pack("{s:s}", "relay_group", EPOCH_1),
		YG_EABSENT, "relay group '" EPOCH_1 "': no such relay group");
	person_fails(&world, "computers.update",
		json_pack("{s:s, s:s}", "id", web.id, "relay_group", EPOCH_1), YG_EABSENT,
		"relay group '" EPOCH_1 "': no such relay group");
}

static bool may_be_relay(struct world *world, const struct agent *agent)
{
	json_t *reply YG_AUTO(yg_json) = agent_does(world, agent, "agents.renew", NULL);
	return json_is_true(json_object_get(reply, "relay"));
}

/* "true", "false" or "" (nothing is said) of the heartbeat's relay.on */
static const char *told(struct world *world, struct agent *agent)
{
	json_t *reply YG_AUTO(yg_json) = heartbeat(world, agent);
	const json_t *relay = json_object_get(json_object_get(reply, "settings"), "relay");
	const json_t *on = json_object_get(relay, "on");
	return !relay ? "" : json_is_true(on) ? "true" : "false";
}

static json_int_t last_of(const json_t *commands_json)
{
	size_t count = json_array_size(commands_json);
	return count ? number(json_array_get(commands_json, count - 1), "seq") : 0;
}

static void switching(void **state)
{
	WORLD(world);
	struct agent relays[1];
	struct agent web;
	struct yg_err err = {0};
	/* A computer that was not even allowed to be a relay when it came. */
	json_t *token YG_AUTO(
		yg_json) = person(&world, "tokens.create", json_pack("{s:b}", "relay", 0));
	relays[0] = (struct agent){.hostname = "one"};
	assert_int_equal(activate_with(&world, text(token, "token"), "one", &relays[0], &err), 0);
	certify(&world, &relays[0]);
	activate(&world, &web, "web", false);
	relays[0].relay = true; /* it says so, and nobody minds */
	WANT_GIVEN(&relays[0], "parents", "-");
	WANT_GIVEN(&web, "relays", "");
	relays[0].relay = false;
	beat(&world, &relays[0]);
	assert_string_equal(told(&world, &relays[0]), "");
	assert_false(may_be_relay(&world, &relays[0]));

	json_int_t since = now_seq(&world);
	switch_relay(&world, &relays[0], json_true());
	switch_relay(&world, &relays[0], json_true());
	want_history(&world, since, "20020");
	assert_string_equal(told(&world, &relays[0]), "true");
	assert_true(may_be_relay(&world, &relays[0]));
	/* Nobody is sent there before it says that it serves. */
	WANT_GIVEN(&web, "relays", "");
	relays[0].relay = true;
	beat(&world, &relays[0]);
	WANT_GIVEN(&web, "relays", "one");

	json_t *before YG_AUTO(yg_json) = commands(&world, &web);
	json_int_t last = last_of(before);
	switch_relay(&world, &relays[0], json_false());
	want_history(&world, since, "20020 20021");
	WANT_GIVEN(&web, "relays", "");
	assert_string_equal(told(&world, &relays[0]), "false");
	assert_false(may_be_relay(&world, &relays[0]));
	json_t *after YG_AUTO(yg_json) = commands(&world, &web);
	assert_true(last_of(after) > last); /* everybody hears of it */

	switch_relay(&world, &relays[0], json_null());
	want_history(&world, since, "20020 20021 20025");
	assert_string_equal(told(&world, &relays[0]), "");
	json_t *all YG_AUTO(
		yg_json) = person(&world, "computers.list", json_pack("{s:b}", "relay", 1));
	assert_int_equal(json_array_size(json_object_get(all, "items")), 0);
	person_fails(&world, "computers.update",
		json_pack("{s:s, s:s}", "id", web.id, "relay_on", "yes"), YG_EFORMAT,
		"relay_on: want true, false or null, have a string");
}

static void empty_group(void **state)
{
	WORLD(world);
	struct agent relay;
	struct agent web;
	char site[40];
	int64_t start = yg_clock_now_s();
	activate(&world, &relay, "relay", true);
	activate(&world, &web, "web", false);
	make(&world, "site", "", site);
	json_int_t since = now_seq(&world);
	world.store->now_s = start;
	store_tick(world.store);
	world.store->now_s = start + 100;
	store_tick(world.store); /* nobody belongs to it: nothing is missing */
	assign(&world, &web, site);
	want_history(&world, since, "287");
	store_tick(world.store);
	beat(&world, &web);
	beat(&world, &relay);

	/* It was empty for a while only. */
	world.store->now_s = start + 160;
	assign(&world, &relay, site);
	store_tick(world.store);
	json_decref(person(&world, "settings.update",
		json_pack("{s:{s:i, s:i}}", "alerts", "offline_after_s", 0, "relay_group_empty_s",
			100)));
	json_decref(person(&world, "settings.update", json_pack("{s:i}", "offline_after", 100)));
	want_history(&world, since, "287 287 150 150");

	/* It stays so. */
	switch_relay(&world, &relay, json_false());
	store_tick(world.store);
	want_history(&world, since, "287 287 150 150 20021");
	world.store->now_s = start + 300;
	store_tick(world.store);
	store_tick(world.store);
	want_history(&world, since, "287 287 150 150 20021 190");
	switch_relay(&world, &relay, json_true());
	beat(&world, &relay);
	store_tick(world.store);
	store_tick(world.store);
	want_history(&world, since, "287 287 150 150 20021 190 20020 192");
}

/* An installation without relays whose computers may ask the source is as it should be. */
static void no_relays_at_all(void **state)
{
	WORLD(world);
	struct agent web;
	int64_t start = yg_clock_now_s();
	json_decref(person(&world, "settings.update",
		json_pack("{s:b, s:i, s:{s:i, s:i}}", "direct_fallback", 1, "offline_after", 100,
			"alerts", "relay_group_empty_s", 1, "offline_after_s", 0)));
	activate(&world, &web, "web", false);
	json_int_t since = now_seq(&world);
	for (int i = 0; i < 3; i++) {
		world.store->now_s = start + 10 * i;
		store_tick(world.store);
	}
	want_history(&world, since, "");
	json_decref(person(&world, "settings.update", json_pack("{s:b}", "direct_fallback", 0)));
	for (int i = 3; i < 6; i++) {
		world.store->now_s = start + 10 * i;
		store_tick(world.store);
	}
	want_history(&world, since, "150 190");
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *fixed, *hello, *seen, *want;
	} rows[] = {
		{NULL, "{\"addresses\":[\"10.0.0.5\"]}", "", "https://10.0.0.5:4122"},
		{NULL, "{\"addresses\":[\"fe80::1\",\"127.0.0.1\",\"fd00::5\",\"10.0.0.5\"]}", "",
			"https://[fd00::5]:4122 https://10.0.0.5:4122 https://[fe80::1]:4122 "
			"https://127.0.0.1:4122"},
		/* The address that it reaches the Manager with goes first, when it is its own. */
		{NULL, "{\"addresses\":[\"192.168.1.2\",\"10.0.0.5\",\"10.0.0.5\"]}", "10.0.0.5",
			"https://10.0.0.5:4122 https://192.168.1.2:4122"},
		{NULL, "{\"addresses\":[\"192.168.1.2\"]}", "203.0.113.9",
			"https://192.168.1.2:4122"},
		{NULL, "{}", "203.0.113.9", "https://203.0.113.9:4122"},
		{NULL, NULL, "", ""},
		{"[\"https://lb:1\",\"https://a:2\"]", "{\"addresses\":[\"10.0.0.5\"]}", "10.0.0.5",
			"https://lb:1 https://a:2"},
		{"[]", "{\"addresses\":[\"10.0.0.5\"]}", "", "https://10.0.0.5:4122"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		json_t *urls YG_AUTO(
			yg_json) = groups_urls(rows[i].fixed, rows[i].hello, rows[i].seen, 4122);
		char have[256] = "";
		size_t k;
		json_t *url;
		json_array_foreach(urls, k, url)
		{
			size_t len = strlen(have);
			(void)snprintf(have + len, sizeof(have) - len, "%s%s", len ? " " : "",
				json_string_value(url));
		}
		assert_string_equal(have, rows[i].want);
	}
}

/* More relays than a heartbeat holds: everybody gets some, and not the same. */
static void many_relays(void **state)
{
	WORLD(world);
	enum { MANY = 80 };
	struct agent relay;
	for (int i = 0; i < MANY; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "relay%02d", i);
		activate(&world, &relay, name, true);
	}
	json_t *seen YG_AUTO(yg_json) = json_object();
	for (int i = 0; i < 4; i++) {
		struct agent web;
		char name[16];
		(void)snprintf(name, sizeof(name), "web%d", i);
		activate(&world, &web, name, false);
		json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &web);
		const json_t *relays = json_object_get(json_object_get(reply, "settings"),
			"relays");
		assert_int_equal(json_array_size(relays), 64);
		json_t *again YG_AUTO(yg_json) = heartbeat(&world, &web);
		assert_true(json_equal(relays,
			json_object_get(json_object_get(again, "settings"), "relays")));
		size_t k;
		json_t *item;
		json_array_foreach(relays, k, item)
			assert_int_equal(json_object_set_new(seen, text(item, "id"), json_true()),
				0);
	}
	assert_true(json_object_size(seen) > 64);
	/* Long addresses take more room: fewer of them. */
	json_t *list YG_AUTO(yg_json) = person(&world, "computers.list",
		json_pack("{s:b, s:i}", "relay", 1, "limit", 500));
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(list, "items"), i, item)
	{
		json_t *urls = json_array();
		for (int k = 0; k < 16; k++)
			json_array_append_new(urls,
				json_sprintf("https://%0200d.example:%d", k, 4122));
		json_decref(person(&world, "computers.update",
			json_pack("{s:s, s:o}", "id", text(item, "id"), "relay_urls", urls)));
	}
	struct agent web;
	activate(&world, &web, "last", false);
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &web);
	const json_t *settings = json_object_get(reply, "settings");
	char *whole YG_AUTO(mem) = yg_json_text(settings);
	size_t have = json_array_size(json_object_get(settings, "relays"));
	assert_true(have >= 1 && have < 16);
	assert_true(strlen(whole) < 40000);
}

static void want_plan(struct world *world, const char *sql, size_t values, const char *want)
{
	const struct yg_db_value some[] = {yg_db_text("a"), yg_db_text("b"), yg_db_text("c")};
	char *explain YG_AUTO(mem) = yg_str_format("EXPLAIN QUERY PLAN %s", sql);
	char have[1000] = "";
	struct yg_err err = {0};
	struct yg_rows *plan YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(world->store->db, explain, some, values, &plan, &err) < 0)
		fail_msg("%s: %s", explain, err.msg);
	while (yg_rows_next(plan, &err) > 0) {
		size_t len = strlen(have);
		(void)snprintf(have + len, sizeof(have) - len, "%s\n", yg_rows_text(plan, 3));
	}
	if (!strstr(have, want))
		fail_msg("%s: want %s, have %s", sql, want, have);
}

/* Fifty thousand computers have a command of the same job: what is of one is found by the computer. SQLite has no
 * statistics and would take the job's index.
 */
static void plans(void **state)
{
	static const struct {
		const char *sql;
		size_t values;
		const char *want;
	} rows[] = {
		{job_commands_end_sql, 2, "(computer=?)"},
		{store_command_same_sql, 2, "(computer=?)"},
		{groups_lacking_sql, 0,
			"COVERING INDEX computers_relay_group (relay_group=? AND relay=? AND deleted=? AND activated>?)"},
		{job_parts_group_sql, 3, "job_computers_unfinished (job=? AND in_group=?)"},
		{job_parts_relays_sql, 3, "job_computers_relays (job=? AND in_group=?)"},
	};
	WORLD(world);
	for (size_t i = 0; i < YG_COUNT(rows); i++)
		want_plan(&world, rows[i].sql, rows[i].values, rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {{"plans", plans, NULL, NULL, NULL}, BOTH(tree),
		BOTH(refused), BOTH(deleting), BOTH(joining), BOTH(switching), BOTH(empty_group),
		BOTH(no_relays_at_all), BOTH(many_relays), cmocka_unit_test(addresses)};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
