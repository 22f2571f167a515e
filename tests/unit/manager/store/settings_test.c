/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"
#include "crypto/seal.h"
#include "crypto/x509.h"
#include "world.h"

#define SECRET "s3cret-of-the-proxy"

static void give_key(struct world *world, char byte)
{
	struct yg_err err = {0};
	uint8_t key[YG_SEAL_KEY];
	memset(key, byte, sizeof(key));
	int fd YG_AUTO(fd) = yg_fs_memfd("key", (struct yg_bytes){key, sizeof(key)}, &err);
	yg_seal_free(world->store->seal);
	world->store->seal = yg_seal_open(fd, &err);
	assert_non_null(world->store->seal);
}

/* {"a":{"b":value}} of "a.b"; takes value over */
static json_t *nested(const char *name, json_t *value)
{
	const char *dot = strrchr(name, '.');
	json_t *made = json_object();
	json_object_set_new(made, dot ? dot + 1 : name, value);
	if (!dot)
		return made;
	char *rest YG_AUTO(mem) = yg_str_format("%.*s", (int)(dot - name), name);
	return nested(rest, made);
}

static json_t *set(struct world *world, const char *name, json_t *value)
{
	return person(world, "settings.update", nested(name, value));
}

static const json_t *at(const json_t *tree, const char *name)
{
	const char *dot = strchr(name, '.');
	if (!dot)
		return json_object_get(tree, name);
	char *first YG_AUTO(mem) = yg_str_format("%.*s", (int)(dot - name), name);
	return at(json_object_get(tree, first), dot + 1);
}

static const char *text_at(const json_t *tree, const char *name)
{
	const char *found = json_string_value(at(tree, name));
	return found ? found : "(none)";
}

static char *certificate(const char *name, bool ca)
{
	struct yg_err err = {0};
	struct yg_key *key YG_AUTO(yg_key) = NULL;
	char *pem = NULL;
	if (ca) {
		assert_int_equal(yg_x509_make_ca(name, &key, &pem, &err), 0);
		return pem;
	}
	key = yg_key_generate(YG_KEY_ED25519, &err);
	char *secret = NULL;
	assert_int_equal(yg_key_save(key, NULL, &secret, &err), 0);
	return secret;
}

/* ---- values ---- */

static void values(void **state)
{
	(void)state;
	static const struct {
		settings_check *check;
		const char *text, *message; /* NULL: fine */
	} rows[] = {
		{settings_check_source, "", NULL},
		{settings_check_source, "https://updates.example/yagura", NULL},
		{settings_check_source, "http://[fd00::1]:8080/", NULL},
		{settings_check_source, "https://updates.example//", NULL},
		{settings_check_source, "ftp://x",
			"x: want http://HOST/… or https://HOST/…, have 'ftp://x'"},
		{settings_check_source, "https://",
			"x: want http://HOST/… or https://HOST/…, have 'https://'"},
		{settings_check_source, "https://h/?q",
			"x: want http://HOST/… or https://HOST/…, have 'https://h/?q'"},
		{settings_check_source, "https://h:0/",
			"x: want http://HOST/… or https://HOST/…, have 'https://h:0/'"},
		{settings_check_source, "https://h:65536/",
			"x: want http://HOST/… or https://HOST/…, have 'https://h:65536/'"},
		{settings_check_source, "https://a b/",
			"x: want http://HOST/… or https://HOST/…, have 'https://a b/'"},
		{settings_check_source, "https://[fd00::1/",
			"x: want http://HOST/… or https://HOST/…, have 'https://[fd00::1/'"},
		{settings_check_source, "https://me:" SECRET "@h/",
			"x: want http://HOST/… or https://HOST/…, have one with a user or password in it"},
		{settings_check_proxy, "", NULL},
		{settings_check_proxy, "http://proxy:3128", NULL},
		{settings_check_proxy, "https://proxy.example:3128/", NULL},
		{settings_check_proxy, "socks5://10.0.0.1:1080", NULL},
		{settings_check_proxy, "socks5h://10.0.0.1:1080", NULL},
		{settings_check_proxy, "socks4://10.0.0.1:1080",
			"x: want http://, https://, socks5:// or socks5h:// with HOST:PORT, have "
			"'socks4://10.0.0.1:1080'"},
		{settings_check_proxy, "http://proxy",
			"x: want http://, https://, socks5:// or socks5h:// with HOST:PORT, have "
			"'http://proxy'"},
		{settings_check_proxy, "proxy:3128",
			"x: want http://, https://, socks5:// or socks5h:// with HOST:PORT, have "
			"'proxy:3128'"},
		{settings_check_proxy, "http://proxy:3128/path",
			"x: want http://, https://, socks5:// or socks5h:// with HOST:PORT, have "
			"'http://proxy:3128/path'"},
		{settings_check_proxy, "http://me:" SECRET "@proxy:3128",
			"x: want no user and no password in it: they are settings of their own"},
		{settings_check_balancer, "", NULL},
		{settings_check_balancer, "lb.example", NULL},
		{settings_check_balancer, "lb.example:4443", NULL},
		{settings_check_balancer, "[fd00::1]", NULL},
		{settings_check_balancer, "https://lb.example:4443/", NULL},
		{settings_check_balancer, "http://lb.example",
			"x: want HOST, HOST:PORT or https://HOST:PORT, have 'http://lb.example'"},
		{settings_check_balancer, "lb.example/x",
			"x: want HOST, HOST:PORT or https://HOST:PORT, have 'lb.example/x'"},
		{settings_check_relay, "https://10.0.0.5:4122", NULL},
		{settings_check_relay, "https://relay.example",
			"x: want https://HOST:PORT, have 'https://relay.example'"},
		{settings_check_relay, "", "x: want https://HOST:PORT, have ''"},
		{settings_check_level, "", NULL},
		{settings_check_level, "debug", NULL},
		{settings_check_level, "loud",
			"x: want error, warn, notice, info or debug, have 'loud'"},
		{settings_check_user, "DOMAIN\\me", NULL},
		{settings_check_user, "a:b", "x: want no ':' in it: that ends a user's name"},
		{settings_check_secret, "a:b c", NULL},
		{settings_check_secret, "a\nb", "x: want no line ends or other control characters"},
		{settings_check_ca, "", NULL},
		{settings_check_ca, "\n \n", NULL},
		{settings_check_ca, "hello",
			"x: want PEM certificates (-----BEGIN CERTIFICATE-----), have none"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		int rc = rows[i].check("x", rows[i].text, &err);
		if (!rows[i].message ? rc != 0 : rc == 0 || strcmp(err.msg, rows[i].message) != 0)
			fail_msg("'%s': want '%s', have '%s'", rows[i].text,
				rows[i].message ? rows[i].message : "success", err.msg);
		assert_null(strstr(err.msg, SECRET));
	}
	static const struct {
		const char *text, *url;
	} balancers[] = {{"", ""}, {"lb", "https://lb:4122"}, {"lb:1", "https://lb:1"},
		{"[fd00::1]", "https://[fd00::1]:4122"}, {"https://lb/", "https://lb:4122"}};
	for (size_t i = 0; i < YG_COUNT(balancers); i++) {
		char url[320];
		settings_balancer_url(balancers[i].text, url);
		assert_string_equal(url, balancers[i].url);
	}
	assert_true(settings_unchecked("https://h//"));
	assert_true(settings_unchecked("https://h/path//"));
	assert_false(settings_unchecked("https://h/"));
	assert_false(settings_unchecked("https://"));
	assert_false(settings_unchecked("http://h//"));
}

static void authorities(void **state)
{
	WORLD(world);
	char *one YG_AUTO(mem) = certificate("One CA", true);
	char *two YG_AUTO(mem) = certificate("Two CA", true);
	char *key YG_AUTO(mem) = certificate("", false);
	char *both YG_AUTO(mem) = yg_str_format("# ours\n%s\n%s", one, two);
	json_t *shown YG_AUTO(yg_json) = set(&world, "source.ca", json_string(both));
	const json_t *list = at(shown, "source.certificates");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(json_array_get(list, 0), "subject"), "CN=One CA");
	assert_string_equal(text(json_array_get(list, 1), "subject"), "CN=Two CA");
	assert_int_equal(strlen(text(json_array_get(list, 0), "not_after")), 20);
	/* What was read can be sent back as it is. */
	json_t *again YG_AUTO(yg_json) = person(&world, "settings.update", json_incref(shown));
	assert_true(json_equal(again, shown));

	char *with_key YG_AUTO(mem) = yg_str_format("%s%s", one, key);
	char *cut YG_AUTO(mem) = yg_str_format("%s%.200s", one, two);
	static const char *const messages[] = {
		"source.ca: want certificates only, have a block 'PRIVATE KEY'",
		"source.ca: certificate 2: "};
	const char *const texts[] = {with_key, cut};
	for (size_t i = 0; i < 2; i++) {
		struct yg_err err = {0};
		json_t *out;
		assert_int_equal(call(&world, STORE_WEB, "settings.update",
					 nested("source.ca", json_string(texts[i])),
					 as_admin(&world), "en", &out, &err),
			-1);
		if (strncmp(err.msg, messages[i], strlen(messages[i])) != 0)
			fail_msg("want '%s', have '%s'", messages[i], err.msg);
	}
}

/* ---- passwords ---- */

static void passwords(void **state)
{
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay", true);
	activate(&world, &web, "web", false);
	person_fails(&world, "settings.update",
		nested("proxy.agent_relay.password", json_string(SECRET)), YG_ESYSTEM,
		"proxy.agent_relay.password: there is no key to seal it with");
	give_key(&world, 'k');
	json_int_t since = now_seq(&world);
	static const char *const ways[] = {"relay_source", "agent_relay", "agent_source",
		"manager"};
	json_t *change YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < YG_COUNT(ways); i++)
		json_object_set_new(change, ways[i],
			json_pack("{s:s, s:s, s:s+}", "url", "http://proxy:3128", "user", ways[i],
				"password", SECRET, ways[i]));
	json_t *shown YG_AUTO(yg_json) = person(&world, "settings.update",
		json_pack("{s:O, s:b}", "proxy", change, "direct_fallback", 1));
	assert_string_equal(text_at(shown, "proxy.manager.password"), "set");
	assert_string_equal(text_at(shown, "proxy.manager.user"), "manager");
	want_history(&world, since, "150");

	/* Nowhere but where it is used: not in what people are shown, not in events, not in the database. */
	json_t *events YG_AUTO(
		yg_json) = person(&world, "events.search", json_pack("{s:i}", "limit", 500));
	char *all YG_AUTO(mem) = json_dumps(events, 0);
	assert_null(strstr(all, SECRET));
	assert_non_null(strstr(all, "proxy.manager.password"));
	struct yg_err err = {0};
	json_t *rows YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_db_begin(world.store->db, &err), 0);
	assert_int_equal(store_texts(world.store, "SELECT value FROM settings", YG_DB_NO_ARGS,
				 &rows, &err),
		0);
	yg_db_rollback(world.store->db);
	char *kept YG_AUTO(mem) = json_dumps(rows, 0);
	assert_null(strstr(kept, SECRET));

	/* Each gets those of its own ways. */
	json_t *agent YG_AUTO(yg_json) = heartbeat(&world, &web);
	assert_string_equal(text_at(agent, "settings.proxies.relay.password"),
		SECRET "agent_relay");
	assert_string_equal(text_at(agent, "settings.proxies.source.user"), "agent_source");
	assert_true(json_is_null(at(agent, "settings.proxies.relay_source")));
	json_t *server YG_AUTO(yg_json) = heartbeat(&world, &relay);
	assert_string_equal(text_at(server, "settings.proxies.relay_source.password"),
		SECRET "relay_source");
	json_t *content YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_string_equal(text_at(content, "proxy.password"), SECRET "manager");
	json_decref(set(&world, "direct_fallback", json_false()));
	json_t *later YG_AUTO(yg_json) = heartbeat(&world, &web);
	assert_true(json_is_null(at(later, "settings.proxies.source")));

	/* "set" leaves it, "" takes it away. */
	json_decref(set(&world, "proxy.manager.password", json_string("set")));
	json_decref(set(&world, "proxy.agent_relay.password", json_string("")));
	json_t *now YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_string_equal(text_at(now, "proxy.password"), SECRET "manager");
	json_t *without YG_AUTO(yg_json) = heartbeat(&world, &web);
	assert_string_equal(text_at(without, "settings.proxies.relay.password"), "");

	/* With another master key they are lost, and nothing else. */
	give_key(&world, 'x');
	json_t *lost YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_string_equal(text_at(lost, "proxy.password"), "");
	assert_string_equal(text_at(lost, "proxy.url"), "http://proxy:3128");
	json_decref(set(&world, "proxy.manager.url", json_string("")));
	json_t *none YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_true(json_is_null(at(none, "proxy")));
}

/* A sealed password of one setting is of no use in another. */
static void bound(void **state)
{
	WORLD(world);
	struct yg_err err = {0};
	give_key(&world, 'k');
	json_decref(set(&world, "proxy.agent_relay.password", json_string(SECRET)));
	json_decref(set(&world, "proxy.manager.url", json_string("http://p:1")));
	assert_int_equal(yg_db_begin(world.store->db, &err), 0);
	assert_int_equal(
		yg_db_exec(world.store->db,
			"INSERT INTO settings (name, value) SELECT 'proxy.manager.password', value FROM "
			"settings WHERE name = 'proxy.agent_relay.password'",
			YG_DB_NO_ARGS, NULL, &err),
		0);
	assert_int_equal(yg_db_commit(world.store->db, &err), 0);
	json_t *content YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_string_equal(text_at(content, "proxy.password"), "");
}

/* ---- what agents are given ---- */

static void given(void **state)
{
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay", true);
	activate(&world, &web, "web", false);
	json_t *preset YG_AUTO(yg_json) = heartbeat(&world, &relay);
	static const struct {
		const char *name;
		json_int_t relay;
	} presets[] = {{"tries", 3}, {"timeout_s", 60}, {"connect_s", 10}, {"limit_s", 21600},
		{"retry_s", 2}};
	for (size_t i = 0; i < YG_COUNT(presets); i++) {
		assert_int_equal(number(at(preset, "settings.update"), presets[i].name),
			presets[i].relay);
		assert_int_equal(number(at(preset, "settings.relay_update"), presets[i].name),
			presets[i].relay);
	}
	assert_null(at(preset, "settings.log"));
	assert_null(at(preset, "settings.relay"));
	assert_string_equal(text_at(preset, "settings.relay_group"), "default");

	json_decref(set(&world, "update.limit_s", json_integer(100)));
	json_decref(set(&world, "relay_update.tries", json_integer(9)));
	json_decref(set(&world, "log.level", json_string("debug")));
	json_decref(set(&world, "relay.load_balancer", json_string("lb.example")));
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &web);
	assert_int_equal(number(at(reply, "settings.update"), "limit_s"), 100);
	assert_null(at(reply, "settings.relay_update"));
	assert_string_equal(text_at(reply, "settings.log.level"), "debug");
	const json_t *relays = at(reply, "settings.relays");
	assert_int_equal(json_array_size(relays), 1);
	assert_string_equal(text(json_array_get(relays, 0), "id"), "");
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(json_array_get(relays, 0), "urls"), 0)),
		"https://lb.example:4122");
	json_t *content YG_AUTO(yg_json) = role(&world, STORE_CONTENT, "content.settings", NULL);
	assert_string_equal(text(content, "load_balancer"), "https://lb.example:4122");
	assert_string_equal(text(json_array_get(json_object_get(content, "relays"), 0), "id"),
		relay.id);
	json_t *server YG_AUTO(yg_json) = heartbeat(&world, &relay);
	assert_int_equal(number(at(server, "settings.relay_update"), "tries"), 9);
}

/* All that the whole example has is sent, as the same kinds of values. */
static void as_the_example(void **state)
{
	WORLD(world);
	const char *root = getenv("YAGURA_SOURCE_ROOT");
	if (!root)
		skip();
	struct yg_err err = {0};
	char *path YG_AUTO(mem) = yg_str_format("%s/src/proto/examples/settings-all.json", root);
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(65536);
	json_t *example YG_AUTO(yg_json) = NULL;
	assert_int_equal(yg_fs_read(AT_FDCWD, path, &bytes, &err), 0);
	assert_int_equal(yg_json_parse(yg_buf_bytes(&bytes), 65536, &example, &err), 0);

	struct agent relay;
	give_key(&world, 'k');
	activate(&world, &relay, "relay", true);
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:b}", "id", relay.id, "relay_on", 1)));
	json_decref(set(&world, "log.level", json_string("info")));
	json_decref(set(&world, "direct_fallback", json_true()));
	json_decref(set(&world, "proxy.agent_relay.url", json_string("http://p:1")));
	json_decref(set(&world, "proxy.relay_source.url", json_string("http://p:1")));
	json_t *reply YG_AUTO(yg_json) = heartbeat(&world, &relay);
	const json_t *sent = json_object_get(reply, "settings");
	const char *name;
	json_t *value;
	json_object_foreach(example, name, value)
	{
		const json_t *have = json_object_get(sent, name);
		if (!have || json_typeof(have) != json_typeof(value))
			fail_msg("%s: want %s, have %s", name, yg_json_kind(value),
				yg_json_kind(have));
		const char *inner;
		json_t *part;
		json_object_foreach(value, inner, part)
		{
			const json_t *there = json_object_get(have, inner);
			if (strcmp(inner, "pins") != 0 &&
				(!there || json_typeof(there) != json_typeof(part)))
				fail_msg("%s.%s: want %s, have %s", name, inner, yg_json_kind(part),
					yg_json_kind(there));
		}
	}
	assert_int_equal(json_object_size(sent), json_object_size(example));
}

/* A source whose certificate is not checked is an alert for as long (T13). */
static void unchecked(void **state)
{
	WORLD(world);
	json_int_t since = now_seq(&world);
	json_decref(set(&world, "source.url", json_string("https://updates.example//")));
	want_history(&world, since, "150 190");
	json_decref(set(&world, "source.url", json_string("https://updates.example//")));
	want_history(&world, since, "150 190"); /* nothing new: nothing is told */
	json_decref(set(&world, "source.url", json_string("https://updates.example/")));
	want_history(&world, since, "150 190 150 192");
	json_t *alerts YG_AUTO(yg_json) = person(&world, "alerts.list", NULL);
	assert_int_equal(json_array_size(json_object_get(alerts, "items")), 0);
}

static void names(void **state)
{
	WORLD(world);
	static const struct {
		const char *args, *message;
	} rows[] = {
		{"{\"proxy\":5}", "proxy: want an object, have a whole number"},
		{"{\"proxy\":{\"manager\":5}}",
			"proxy.manager: want an object, have a whole number"},
		{"{\"proxy\":{\"home\":{}}}", "proxy.home: no such setting"},
		{"{\"proxy\":{\"manager\":{\"colour\":1}}}",
			"proxy.manager.colour: no such setting"},
		{"{\"proxy\":{\"manager\":{\"url\":5}}}",
			"proxy.manager.url: want a string, have a whole number"},
		{"{\"relay_update\":{\"deadline_s\":5}}",
			"relay_update.deadline_s: no such setting"},
		{"{\"update\":{\"limit_s\":9}}", "update.limit_s: want 10..604800, have 9"},
		{"{\"source.url\":\"x\"}", NULL},
		{"{\"proxy\":{\"manager\":{\"a-very-long-name-that-no-setting-has-and-that-does-not-fit-"
		 "anywhere\":1}}}",
			NULL},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *args = NULL;
		json_t *out;
		assert_int_equal(yg_json_parse(yg_bytes_of(rows[i].args), 4096, &args, &err), 0);
		int rc = call(&world, STORE_WEB, "settings.update", args, as_admin(&world), "en",
			&out, &err);
		if (rc == 0 || (rows[i].message && strcmp(err.msg, rows[i].message) != 0))
			fail_msg("%s: want '%s', have '%s'", rows[i].args,
				rows[i].message ? rows[i].message : "", err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(values), BOTH(authorities),
		BOTH(passwords), BOTH(bound), BOTH(given), BOTH(as_the_example), BOTH(unchecked),
		BOTH(names)};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
