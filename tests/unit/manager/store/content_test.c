/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static json_t *parse(const char *text)
{
	struct yg_err err = {0};
	json_t *value = NULL;
	if (yg_json_parse(yg_bytes_of(text), 65536, &value, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

/* What people say, and as it is kept. */
static const struct {
	const char *content, *kept, *msg; /* kept NULL: refused with msg */
} rows[] = {
	{"{\"mode\":\"latest\"}", "", NULL},
	{"{\"mode\":\"latest\",\"pins\":{}}", "", NULL},
	{"{\"mode\":\"previous\"}", "{\"mode\":\"previous\"}", NULL},
	{"{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":12}}",
		"{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":12}}", NULL},
	{"{\"pins\":{\"am-pattern\":12},\"mode\":\"pinned\",\"else\":1}",
		"{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":12}}", NULL},
	{"[]", NULL, "want an object, have an array"},
	{"{}", NULL, "mode: want a string, have nothing"},
	{"{\"mode\":\"newest\"}", NULL, "mode: want latest, previous or pinned, have 'newest'"},
	{"{\"mode\":\"pinned\"}", NULL, "pins: want an object, have nothing"},
	{"{\"mode\":\"pinned\",\"pins\":{}}", NULL, "pins: want 1..64, have 0"},
	{"{\"mode\":\"latest\",\"pins\":{\"a\":1}}", NULL,
		"pins: want none but with the mode pinned, have 1"},
	{"{\"mode\":\"pinned\",\"pins\":{\"a\":0}}", NULL,
		"pins: a: want 1..4611686018427387903, have 0"},
	{"{\"mode\":\"pinned\",\"pins\":{\"a\":\"1\"}}", NULL,
		"pins: a: want a whole number, have a string"},
};

static void texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *content YG_AUTO(yg_json) = parse(rows[i].content);
		char *kept YG_AUTO(mem) = NULL;
		int rc = content_text(content, &kept, &err);
		if (rows[i].kept ? rc < 0 || strcmp(kept, rows[i].kept) != 0
				 : rc == 0 || strcmp(err.msg, rows[i].msg) != 0)
			fail_msg("%s: have '%s' '%s'", rows[i].content, kept ? kept : "", err.msg);
	}
}

/* Is a computer old? newest is am-pattern 12, am-yara 3. */
static const struct {
	const char *label, *text, *have;
	bool old;
} olds[] = {
	{"newest", "",
		"[{\"name\":\"am-pattern\",\"version\":12},{\"name\":\"am-yara\",\"version\":3}]",
		false},
	{"behind", "",
		"[{\"name\":\"am-pattern\",\"version\":11},{\"name\":\"am-yara\",\"version\":3}]",
		true},
	{"the one before", "{\"mode\":\"previous\"}",
		"[{\"name\":\"am-pattern\",\"version\":11},{\"name\":\"am-yara\",\"version\":2}]",
		false},
	{"none at all", "{\"mode\":\"previous\"}", "[{\"name\":\"am-pattern\",\"version\":11}]",
		true},
	{"as pinned", "{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":7}}",
		"[{\"name\":\"am-pattern\",\"version\":7},{\"name\":\"am-yara\",\"version\":3}]",
		false},
	{"not as pinned", "{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":7}}",
		"[{\"name\":\"am-pattern\",\"version\":12},{\"name\":\"am-yara\",\"version\":3}]",
		true},
	{"another is not pinned", "{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":7}}",
		"[{\"name\":\"am-pattern\",\"version\":7},{\"name\":\"am-yara\",\"version\":2}]",
		true},
};

static void differences(void **state)
{
	(void)state;
	json_t *newest YG_AUTO(yg_json) = parse(
		"[{\"name\":\"am-pattern\",\"version\":12},{\"name\":\"am-yara\",\"version\":3}]");
	for (size_t i = 0; i < YG_COUNT(olds); i++) {
		json_t *have YG_AUTO(yg_json) = parse(olds[i].have);
		json_t *what YG_AUTO(yg_json) = content_difference(olds[i].text, have, newest);
		if ((what != NULL) != olds[i].old)
			fail_msg("%s: want %s", olds[i].label, olds[i].old ? "old" : "current");
	}
}

/* What the heartbeat says, as text. */
static void want_content(struct world *world, struct agent *agent, const char *mode, int pattern)
{
	json_t *reply YG_AUTO(yg_json) = heartbeat(world, agent);
	const json_t *content = json_object_get(json_object_get(reply, "settings"), "content");
	assert_string_equal(text(content, "mode"), mode);
	assert_int_equal(number(json_object_get(content, "pins"), "am-pattern"), pattern);
}

static json_t *pinned(int version)
{
	return json_pack("{s:s, s:{s:i}}", "mode", "pinned", "pins", "am-pattern", version);
}

/* By policy, by computer, and back. */
static void who_says(void **state)
{
	WORLD(world);
	struct agent web;
	struct agent relay;
	activate(&world, &web, "web1", false);
	activate(&world, &relay, "relay1", true);
	want_content(&world, &web, "latest", 0);
	json_t *policy YG_AUTO(yg_json) = person(&world, "policies.create",
		json_pack("{s:s, s:{s:{s:o}}}", "name", "careful", "document", "update", "content",
			pinned(12)));
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:O}", "id", web.id, "policy", json_object_get(policy, "id"))));
	want_content(&world, &web, "pinned", 12);
	want_content(&world, &relay, "latest", 0);

	json_int_t since = now_seq(&world);
	json_t *one YG_AUTO(yg_json) = person(&world, "computers.update",
		json_pack("{s:s, s:{s:s}}", "id", web.id, "content", "mode", "previous"));
	assert_string_equal(text(json_object_get(one, "content"), "from"), "computer");
	want_history(&world, since, "20033");
	want_content(&world, &web, "previous", 0);
	/* Relays hold what somebody wants. */
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &relay);
	const json_t *serve = json_object_get(json_object_get(reply, "settings"), "serve");
	assert_int_equal(json_array_size(serve), 1);
	assert_string_equal(text(json_array_get(serve, 0), "mode"), "previous");

	/* The newest, although the policy says otherwise; then again as the policy says. */
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:{s:s}}", "id", web.id, "content", "mode", "latest")));
	want_content(&world, &web, "latest", 0);
	json_t *back YG_AUTO(yg_json) = person(&world, "computers.update",
		json_pack("{s:s, s:n}", "id", web.id, "content"));
	assert_string_equal(text(json_object_get(back, "content"), "from"), "policy");
	want_content(&world, &web, "pinned", 12);
	json_decref(person(&world, "policies.update",
		json_pack("{s:O, s:{}}", "id", json_object_get(policy, "id"), "document")));
	want_content(&world, &web, "latest", 0);

	person_fails(&world, "computers.update",
		json_pack("{s:s, s:{s:s}}", "id", web.id, "content", "mode", "old"), YG_EFORMAT,
		"content: mode: want latest, previous or pinned, have 'old'");
	person_fails(&world, "policies.create",
		json_pack("{s:s, s:{s:{s:{s:s}}}}", "name", "bad", "document", "update", "content",
			"mode", "pinned"),
		YG_EFORMAT, "document: update: content: pins: want an object, have nothing");
}

/* A pinned computer is sent for what it should have, and what it comes to is a success: no 276, not old. */
static void jobs(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web1", false);
	web.version = 11;
	web.set = DIGEST_B;
	beat(&world, &web);
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:o}", "id", web.id, "content", pinned(11))));
	newest(&world, DIGEST_A, 12);
	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s]}", "kind", "update", "computers", web.id));
	newest(&world, DIGEST_A, 12);
	store_tick(world.store);
	json_t *list YG_AUTO(yg_json) = commands(&world, &web);
	const json_t *command = json_array_get(list, json_array_size(list) - 1);
	assert_string_equal(text(command, "command"), "update");
	assert_string_equal(text(command, "set"), "");
	result(&world, &web, 1, text(job, "id"), "success", "",
		json_pack("{s:s, s:[]}", "set", DIGEST_B, "updated"));
	want_job(&world, text(job, "id"), "done", "success");
	char have[256];
	history(&world, since, have, sizeof(have));
	assert_null(strstr(have, "276"));
	json_t *now YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", web.id));
	assert_string_equal(text(now, "newest"), "current");
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:n}", "id", web.id, "content")));
	json_t *free YG_AUTO(
		yg_json) = person(&world, "computers.get", json_pack("{s:s}", "id", web.id));
	assert_string_equal(text(free, "newest"), "old");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(differences),
		BOTH(who_says),
		BOTH(jobs),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
