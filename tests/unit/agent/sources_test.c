/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>

#include "agent/sources.h"
#include "core/attr.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

#define RELAYS                                                                                     \
	"\"relays\":[{\"id\":\"r1\",\"urls\":[\"https://a:1\",\"https://a:2\"]},"                  \
	"{\"id\":\"r2\",\"urls\":[\"https://b:1\"]}]"

/* The URLs in their order, with the kinds' first letters. */
static int urls(const struct sources_ask *ask, char *out, size_t size, struct yg_err *err)
{
	json_t *list = NULL;
	size_t used = 0;
	out[0] = 0;
	if (sources_list(ask, &list, err) < 0)
		return -1;
	size_t i;
	json_t *source;
	json_array_foreach(list, i, source) used += (size_t)snprintf(out + used, size - used,
		"%s%c %s", i ? ", " : "", json_string_value(json_object_get(source, "kind"))[0],
		json_string_value(json_object_get(source, "url")));
	json_decref(list);
	return 0;
}

static void relays_first_then_the_source_where_allowed(void **unused)
{
	(void)unused;
	static const struct {
		const char *name, *settings, *conf;
		bool for_relay, with_relays;
		const char *want; /* NULL: none */
	} rows[] = {
		{"standalone", NULL, "https://s", false, false, "s https://s"},
		{"nothing at all", NULL, "", false, false, NULL},
		{"fallback on",
			"{\"relays\":[],\"source\":{\"url\":\"https://m\"},\"direct_fallback\":true}",
			"", false, false, "s https://m"},
		{"the Manager's source goes before ours",
			"{\"relays\":[],\"source\":{\"url\":\"https://m\"},\"direct_fallback\":true}",
			"https://s", false, false, "s https://m"},
		{"at the top a relay asks the source",
			"{" RELAYS ",\"source\":{\"url\":\"https://m\"},\"direct_fallback\":false}",
			"", true, true, "s https://m"},
		{"below, the relays of the parent group, and nobody past them",
			"{" RELAYS
			",\"parents\":[{\"id\":\"p\",\"urls\":[\"https://p\"]},{\"id\":\"r1\","
			"\"urls\":[\"https://self\"]}],\"source\":{\"url\":\"https://m\"},"
			"\"direct_fallback\":true}",
			"", true, true, "r https://p"},
		{"no relay, no fallback: what is configured here",
			"{\"relays\":[],\"source\":{\"url\":\"https://m\"},\"direct_fallback\":false}",
			"https://s", false, false, "s https://s"},
		{"a load balancer has no id",
			"{\"relays\":[{\"id\":\"\",\"urls\":[\"https://lb\"]}]}", "", false, false,
			"r https://lb"},
		{"what is malformed is left out",
			"{\"relays\":[7,{\"id\":1},{\"id\":\"r2\",\"urls\":[7,\"\",\"https://b\"]},"
			"{\"id\":\"r3\"}],\"source\":\"x\",\"direct_fallback\":1,\"proxies\":[]}",
			"", false, false, "r https://b"},
		{"no fallback",
			"{" RELAYS ",\"source\":{\"url\":\"https://m\"},\"direct_fallback\":false}",
			"", false, false, "r https://a:1, r https://b:1, r https://a:2"},
		{"fallback",
			"{" RELAYS ",\"source\":{\"url\":\"https://m\"},\"direct_fallback\":true}",
			"", false, false,
			"r https://a:1, r https://b:1, r https://a:2, s https://m"},
		{"never past relays that the job includes",
			"{" RELAYS ",\"source\":{\"url\":\"https://m\"},\"direct_fallback\":true}",
			"", false, true, "r https://a:1, r https://b:1, r https://a:2"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char have[1024];
		struct yg_err err = {0};
		json_t *settings = rows[i].settings ? json_loads(rows[i].settings, 0, NULL) : NULL;
		const struct sources_ask ask = {.agent_id = "r1",
			.settings = settings,
			.source = rows[i].conf,
			.ca = "",
			.for_relay = rows[i].for_relay,
			.with_relays = rows[i].with_relays};
		int rc = urls(&ask, have, sizeof(have), &err);
		if (rows[i].want) {
			if (rc < 0 || strcmp(have, rows[i].want) != 0)
				fail_msg("%s: want %s, have %s%s", rows[i].name, rows[i].want, have,
					err.msg);
		} else {
			assert_int_equal(rc, -1);
			assert_string_equal(err.cause, "update.no_source");
		}
		json_decref(settings);
	}
}

static void every_agent_has_an_order_of_its_own(void **unused)
{
	(void)unused;
	json_t *settings = json_pack("{s:[],s:b}", "relays", "direct_fallback", 0);
	json_t *relays = json_object_get(settings, "relays");
	for (int i = 0; i < 4; i++) {
		char id[16], url[32];
		(void)snprintf(id, sizeof(id), "relay-%d", i);
		(void)snprintf(url, sizeof(url), "https://relay-%d", i);
		(void)json_array_append_new(relays,
			json_pack("{s:s,s:[s]}", "id", id, "urls", url));
	}
	int first[4] = {0};
	for (int agent = 0; agent < 400; agent++) {
		char id[16], once[512], again[512];
		struct yg_err err = {0};
		(void)snprintf(id, sizeof(id), "agent-%d", agent);
		const struct sources_ask ask = {.agent_id = id,
			.settings = settings,
			.source = "",
			.ca = ""};
		assert_int_equal(urls(&ask, once, sizeof(once), &err), 0);
		assert_int_equal(urls(&ask, again, sizeof(again), &err), 0);
		assert_string_equal(once, again);
		first[once[strlen("r https://relay-")] - '0']++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(first[i] > 50); /* 100 each, if it were exact */
	json_decref(settings);
}

static void proxies_and_ca_go_along(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	json_t *proxy = json_loads("{\"relay\":null,\"source\":{\"url\":\"http://p:3128\"}}", 0,
		NULL);
	const struct sources_ask ask = {.agent_id = "",
		.source = "https://s",
		.ca = "PEM",
		.proxy = proxy};
	json_t *list = NULL;
	assert_int_equal(sources_list(&ask, &list, &err), 0);
	const json_t *source = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(source, "ca")), "PEM");
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(source, "proxy"), "url")),
		"http://p:3128");
	json_decref(list);
	json_decref(proxy);
}

/* Each way has its own; the Manager's goes before the configured one. */
static void the_managers_proxies_go_first(void **unused)
{
	(void)unused;
	static const struct {
		const char *name;
		bool for_relay, relays;
		const char *want; /* of the first entry; NULL: none */
	} rows[] = {
		{"agent to relay", false, true, "http://to-relay"},
		{"agent to source: not given, so configured", false, false, "http://own-source"},
		{"relay to source", true, false, "http://relay-source"},
	};
	json_t *own = json_loads("{\"relay\":{\"url\":\"http://own-relay\"},"
				 "\"source\":{\"url\":\"http://own-source\"}}",
		0, NULL);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *list = NULL;
		json_t *settings = json_loads(
			"{\"proxies\":{\"relay\":{\"url\":\"http://to-relay\",\"user\":\"u\",\"password\":"
			"\"p\"},\"source\":null,\"relay_source\":{\"url\":\"http://relay-source\"}},"
			"\"source\":{\"url\":\"https://m\"},\"direct_fallback\":true}",
			0, NULL);
		if (rows[i].relays)
			(void)json_object_set_new(settings, "relays",
				json_pack("[{s:s,s:[s]}]", "id", "r", "urls", "https://r"));
		const struct sources_ask ask = {.agent_id = "a",
			.settings = settings,
			.source = "",
			.ca = "",
			.proxy = own,
			.for_relay = rows[i].for_relay};
		assert_int_equal(sources_list(&ask, &list, &err), 0);
		const json_t *proxy = json_object_get(json_array_get(list, 0), "proxy");
		const char *url = json_string_value(json_object_get(proxy, "url"));
		if (!url || strcmp(url, rows[i].want) != 0)
			fail_msg("%s: want %s, have %s", rows[i].name, rows[i].want,
				url ? url : "none");
		json_decref(list);
		json_decref(settings);
	}
	json_decref(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relays_first_then_the_source_where_allowed),
		cmocka_unit_test(every_agent_has_an_order_of_its_own),
		cmocka_unit_test(proxies_and_ca_go_along),
		cmocka_unit_test(the_managers_proxies_go_first),
	};
	return cmocka_run_group_tests_name("agent/sources", tests, NULL, NULL);
}
