/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/api.h"

#include <string.h>

#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *method;
	const char *path;
	int status; /* of the refusal; 0: found */
	const char *op;
	const char *id;
	const char *msg;
} finds[] = {
	{"GET", "/api/v1/status", 0, "status.get", "", NULL},
	{"GET", "/api/v1/computers/c-1", 0, "computers.get", "c-1", NULL},
	{"PATCH", "/api/v1/computers/c-1", 0, "computers.update", "c-1", NULL},
	{"GET", "/api/v1/computers/c-1/components", 0, "computers.components", "c-1", NULL},
	{"GET", "/api/v1/events/catalogue", 0, "events.catalogue", "", NULL},
	{"GET", "/api/v1/openapi.json", 0, "", "", NULL},
	{"PUT", "/api/v1/policies/p", 0, "policies.update", "p", NULL},
	{"POST", "/api/v1/status", 405, NULL, NULL, "/api/v1/status: want GET, have POST"},
	{"PUT", "/api/v1/computers/x", 405, NULL, NULL,
		"/api/v1/computers/{id}: want GET, PATCH, DELETE, have PUT"},
	{"GET", "/api/v1/computers/", 404, NULL, NULL, "there is no '/api/v1/computers/' here"},
	{"GET", "/api/v1/computers/a/b", 404, NULL, NULL,
		"there is no '/api/v1/computers/a/b' here"},
	{"GET", "/", 404, NULL, NULL, "there is no '/' here"},
};

static void finds_the_operation(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(finds); i++) {
		const struct api_route *route = NULL;
		char id[API_ID_MAX + 1];
		char allow[64];
		struct api_refusal refusal = {0};
		struct yg_err err = {0};
		int rc = api_find(finds[i].method, finds[i].path, &route, id, allow, &refusal,
			&err);
		assert_int_equal(refusal.status, finds[i].status);
		assert_int_equal(rc, finds[i].status ? -1 : 0);
		if (finds[i].status) {
			assert_string_equal(err.msg, finds[i].msg);
			continue;
		}
		assert_string_equal(route->op, finds[i].op);
		assert_string_equal(id, finds[i].id);
	}
}

static const struct api_route *route_of(const char *method, const char *path)
{
	const struct api_route *route = NULL;
	char id[API_ID_MAX + 1];
	char allow[64];
	struct api_refusal refusal = {0};
	struct yg_err err = {0};
	assert_int_equal(api_find(method, path, &route, id, allow, &refusal, &err), 0);
	return route;
}

static const struct {
	const char *query;
	const char *args; /* NULL: refused */
	const char *field;
	const char *msg;
} queries[] = {
	{NULL, "{}", NULL, NULL},
	{"", "{}", NULL, NULL},
	{"limit=5&id=784", "{\"id\":784,\"limit\":5}", NULL, NULL},
	{"text=a%20b+c%E6%AB%93", "{\"text\":\"a b c\xe6\xab\x93\"}", NULL, NULL},
	{"from=2026-11-21T22:47:43Z", "{\"from\":\"2026-11-21T22:47:43Z\"}", NULL, NULL},
	{"lang=ja&", "{\"lang\":\"ja\"}", NULL, NULL},
	{"limit=0", NULL, "limit", "limit: want 1..500, have 0"},
	{"limit=abc", NULL, "limit", "limit: want a whole number, have a string"},
	{"limit=-1", NULL, "limit", "limit: want a whole number, have a string"},
	{"limit=99999999999999999999", NULL, "limit", "limit: want a whole number, have a string"},
	{"limit=1&limit=2", NULL, "limit", "limit: given twice"},
	{"limits=1", NULL, "limits", "limits: no such parameter is known here"},
	{"level=bad", NULL, "level",
		"level: want \"info\" or \"warning\" or \"error\", have \"bad\""},
	{"text=%4", NULL, "text", "text: '%' without two hex digits in the query"},
	{"text=%00", NULL, "text", "text: a query value: want UTF-8 without NUL"},
	{"text=%ff", NULL, "text", "text: a query value: want UTF-8 without NUL"},
	{"cursor=", NULL, "cursor", "cursor: want 1..200 bytes, have 0"},
};

static void checks_parameters(void **state)
{
	(void)state;
	const struct api_route *route = route_of("GET", "/api/v1/events");
	for (size_t i = 0; i < YG_COUNT(queries); i++) {
		json_t *args YG_AUTO(yg_json) = json_object();
		struct api_refusal refusal = {0};
		struct yg_err err = {0};
		int rc = api_query(route, queries[i].query, args, &refusal, &err);
		assert_int_equal(rc, queries[i].args ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(refusal.status, 400);
			assert_string_equal(refusal.field, queries[i].field);
			assert_string_equal(err.msg, queries[i].msg);
			continue;
		}
		char *text YG_AUTO(mem) = yg_json_text(args);
		assert_string_equal(text, queries[i].args);
	}
}

static const struct {
	const char *method;
	const char *path;
	const char *body;
	const char *field; /* NULL: accepted */
	const char *msg;
} bodies[] = {
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\",\"computers\":\"all\"}", NULL, NULL},
	{"POST", "/api/v1/jobs", "{\"kind\":\"scan\",\"computers\":[\"a\"],\"paths\":[\"/x\"]}",
		NULL, NULL},
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\"}", "computers",
		"computers: want a string or an array, have nothing"},
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\",\"computers\":\"some\"}", "computers",
		"computers: want \"all\", have \"some\""},
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\",\"computers\":[\"a\",7]}", "computers[1]",
		"computers[1]: want a string, have a whole number"},
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\",\"computers\":[]}", "computers",
		"computers: want 1..50000 items, have 0"},
	{"POST", "/api/v1/jobs", "{\"kind\":\"update\",\"computers\":\"all\",\"now\":true}", "now",
		"now: no such member is known here"},
	{"POST", "/api/v1/jobs", "{\"kind\":\"dance\",\"computers\":\"all\"}", "kind",
		"kind: want \"update\" or \"scan\" or \"rollback\" or \"policy\" or \"release_hold\", have "
		"\"dance\""},
	{"POST", "/api/v1/jobs", "[]", "", "body: want an object, have an array"},
	{"POST", "/api/v1/jobs", "{", "", "JSON: line 1: string or '}' expected near end of file"},
	{"POST", "/api/v1/jobs", "", "kind", "kind: want a string, have nothing"},
	{"PATCH", "/api/v1/settings", "{\"update\":{\"tries\":3}}", NULL, NULL},
	{"PATCH", "/api/v1/settings", "{\"update\":{\"tries\":0}}", "update.tries",
		"update.tries: want 1..100, have 0"},
	{"PATCH", "/api/v1/settings", "{\"update\":{\"tried\":3}}", "update.tried",
		"update.tried: no such member is known here"},
	{"PATCH", "/api/v1/settings", "{\"direct_fallback\":\"yes\"}", "direct_fallback",
		"direct_fallback: want true or false, have a string"},
	{"POST", "/api/v1/policies", "{\"name\":\"n\",\"document\":{\"am\":{\"x\":1.5}}}", NULL,
		NULL},
	{"POST", "/api/v1/keys", "{\"name\":\"a\\u0000b\",\"role\":\"read\"}", "", NULL},
	{"POST", "/api/v1/computers/a/policy", "", NULL, NULL},
	{"POST", "/api/v1/computers/a/policy", "{}", NULL, NULL},
	{"DELETE", "/api/v1/keys/a", "", NULL, NULL},
	{"DELETE", "/api/v1/keys/a", "{\"really\":true}", "really",
		"really: no such member is known here"},
};

static void checks_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(bodies); i++) {
		const struct api_route *route = route_of(bodies[i].method, bodies[i].path);
		json_t *body YG_AUTO(yg_json) = NULL;
		struct api_refusal refusal = {0};
		struct yg_err err = {0};
		int rc = api_body(route, yg_bytes_of(bodies[i].body), &body, &refusal, &err);
		assert_int_equal(rc, bodies[i].field ? -1 : 0);
		if (rc == 0)
			continue;
		assert_int_equal(refusal.status, 400);
		assert_string_equal(refusal.field, bodies[i].field);
		if (bodies[i].msg)
			assert_string_equal(err.msg, bodies[i].msg);
	}
}

/* Every operation has a store operation, and only the document itself needs no key. */
static void the_table_is_whole(void **state)
{
	(void)state;
	size_t count = 0;
	const struct api_route *routes = api_routes(&count);
	assert_true(count > 27);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(routes[i].open, routes[i].op[0] == '\0');
	json_t *document YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	assert_int_equal(yg_json_parse(api_document(), 1u << 20, &document, &err), 0);
	assert_string_equal(json_string_value(json_object_get(document, "openapi")), "3.1.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_operation),
		cmocka_unit_test(checks_parameters),
		cmocka_unit_test(checks_bodies),
		cmocka_unit_test(the_table_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
