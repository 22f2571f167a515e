/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/finding.h"

#include <string.h>

#include "core/json.h"
#include "proto/cause.h"
#include "tests/lib/cmocka_all.h"

/* The rule by which causes are put in order (finding.h). */

static void add(struct yg_findings *findings, struct yg_found found)
{
	struct yg_err err = {0};
	assert_int_equal(yg_findings_add(findings, &found, &err), 0);
}

/* "a b(c) ~d": a and b stand, b explains c, d is over. */
static void summary(const struct yg_findings *findings, char *out, size_t size)
{
	json_t *list YG_AUTO(yg_json) = yg_findings_json(findings, YG_LANG_EN);
	size_t i, k;
	json_t *cause, *below;
	out[0] = 0;
	json_array_foreach(list, i, cause)
	{
		size_t len = strlen(out);
		(void)snprintf(out + len, size - len, "%s%s%s", i ? " " : "",
			json_is_true(json_object_get(cause, "over")) ? "~" : "",
			json_string_value(json_object_get(cause, "cause")));
		json_array_foreach(json_object_get(cause, "explains"), k, below)
		{
			len = strlen(out);
			(void)snprintf(out + len, size - len, "(%s)",
				json_string_value(json_object_get(below, "cause")));
		}
	}
}

#define LOG    YG_FIND_LOG
#define RUN    YG_FIND_RUN
#define KIND   YG_FIND_KIND
#define FAILED YG_FIND_FAILED

static const struct row {
	const char *rule;
	struct yg_found found[4];
	const char *want;
} rows[] = {
	{"nothing", {{0}}, ""},
	{"the same cause is one", {{.cause = "net.dns"}, {.cause = "net.dns"}}, "net.dns"},
	{"unless it is about two things",
		{{.cause = "store.exists", .object = "/a"},
			{.cause = "store.exists", .object = "/b"}},
		"store.exists store.exists"},
	{"what has no object is about the one that has",
		{{.cause = "store.exists", .object = "/a"}, {.cause = "store.exists"}},
		"store.exists"},
	{"the other way round too",
		{{.cause = "store.exists"}, {.cause = "store.exists", .object = "/a"}},
		"store.exists"},
	{"checked before run before log",
		{{.cause = "net.dns", .how = LOG}, {.cause = "tls.name", .how = RUN},
			{.cause = "engine.load"}},
		"engine.load tls.name net.dns"},
	{"what names it before the kind",
		{{.cause = "store.io", .weight = KIND}, {.cause = "tls.name"}},
		"tls.name store.io"},
	{"what must work first goes first",
		{{.cause = "engine.load"}, {.cause = "http.busy"}, {.cause = "agent.offline"},
			{.cause = "store.disk_full"}},
		"agent.offline store.disk_full http.busy engine.load"},
	{"name, route, proxy, TLS, HTTP",
		{{.cause = "tls.name"}, {.cause = "proxy.auth"}, {.cause = "net.reset"},
			{.cause = "net.dns"}},
		"net.dns net.reset proxy.auth tls.name"},
	{"the later of two alike",
		{{.cause = "net.reset", .at_s = 5}, {.cause = "net.refused", .at_s = 9}},
		"net.refused net.reset"},
	{"a wrong clock explains certificates",
		{{.cause = "tls.expired"}, {.cause = "auth.expired"}, {.cause = "clock.ahead"}},
		"clock.ahead(auth.expired)(tls.expired)"},
	{"a wrong configuration why it does not run",
		{{.cause = "agent.offline"}, {.cause = "agent.config"}},
		"agent.config(agent.offline)"},
	{"no content while nothing can be fetched",
		{{.cause = "engine.absent"}, {.cause = "proxy.auth"}}, "proxy.auth(engine.absent)"},
	{"why of why stands below the first",
		{{.cause = "update.source_unset"}, {.cause = "update.no_source"},
			{.cause = "engine.absent"}},
		"update.source_unset(engine.absent)(update.no_source)"},
	{"a kind is explained by one of it",
		{{.cause = "engine.config", .weight = KIND}, {.cause = "engine.memory"}},
		"engine.memory(engine.config)"},
	{"but not by another kind",
		{{.cause = "engine.config", .weight = KIND}, {.cause = "net.dns"}},
		"net.dns engine.config"},
	{"that it failed, by whatever says why",
		{{.cause = "update.failed", .weight = FAILED}, {.cause = "net.dns"}},
		"net.dns(update.failed)"},
	{"but not by the engine",
		{{.cause = "update.failed", .weight = FAILED}, {.cause = "engine.offline"}},
		"engine.offline update.failed"},
	{"alone it stands", {{.cause = "update.failed", .weight = FAILED}}, "update.failed"},
	{"two faults are two", {{.cause = "proxy.refused"}, {.cause = "clock.behind"}},
		"clock.behind proxy.refused"},
	{"a cause that nobody knows", {{.cause = "no.such"}}, "no.such"},
};

static void the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		char have[400];
		struct yg_findings *findings YG_AUTO(yg_findings) = yg_findings_new(&err);
		for (size_t k = 0; k < 4 && rows[i].found[k].cause; k++)
			add(findings, rows[i].found[k]);
		yg_findings_settle(findings);
		summary(findings, have, sizeof(have));
		if (strcmp(have, rows[i].want) != 0)
			fail_msg("%s: want '%s', have '%s'", rows[i].rule, rows[i].want, have);
	}
}

/* Whatever cause is planted alone stands alone and first; of two, both are named, unless one explains the other. */
static void all_causes(void **state)
{
	(void)state;
	for (size_t i = 0; i < yg_cause_count(); i++) {
		struct yg_err err = {0};
		struct yg_findings *one YG_AUTO(yg_findings) = yg_findings_new(&err);
		const char *first = yg_cause_id(yg_cause_at(i));
		add(one, (struct yg_found){.cause = first});
		yg_findings_settle(one);
		assert_int_equal(yg_findings_standing(one), 1);
		for (size_t k = 0; k < yg_cause_count(); k++) {
			char have[400];
			const char *second = yg_cause_id(yg_cause_at(k));
			struct yg_findings *two YG_AUTO(yg_findings) = yg_findings_new(&err);
			add(two, (struct yg_found){.cause = first});
			add(two, (struct yg_found){.cause = second});
			yg_findings_settle(two);
			summary(two, have, sizeof(have));
			assert_non_null(strstr(have, first));
			assert_non_null(strstr(have, second));
			assert_true(yg_findings_standing(two) >= 1);
		}
	}
}

static void over(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char have[200];
	struct yg_findings *findings YG_AUTO(yg_findings) = yg_findings_new(&err);
	add(findings, (struct yg_found){.cause = "net.dns", .how = LOG, .at_s = 10, .source = "a"});
	add(findings,
		(struct yg_found){.cause = "tls.name", .how = LOG, .at_s = 10, .source = "b"});
	add(findings,
		(struct yg_found){.cause = "http.busy", .how = LOG, .at_s = 30, .source = "a"});
	add(findings, (struct yg_found){.cause = "store.io"});
	yg_findings_over(findings, 20, "a", "tls.");
	yg_findings_over(findings, 20, "a", "");
	yg_findings_settle(findings);
	summary(findings, have, sizeof(have));
	assert_string_equal(have, "store.io tls.name http.busy ~net.dns");
	assert_int_equal(yg_findings_standing(findings), 3);
}

/* A failure of every minute for a month is one, and does not grow. */
static void many(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_findings *findings YG_AUTO(yg_findings) = yg_findings_new(&err);
	for (int i = 0; i < 40000; i++) {
		char seen[40], object[40];
		(void)snprintf(seen, sizeof(seen), "line %d", i);
		(void)snprintf(object, sizeof(object), "/file %d", i % 5000);
		add(findings, (struct yg_found){.cause = "net.dns", .seen = seen, .at_s = i + 1});
		if (i < 5000)
			add(findings, (struct yg_found){.cause = "store.exists", .object = object});
	}
	yg_findings_settle(findings);
	json_t *list YG_AUTO(yg_json) = yg_findings_json(findings, YG_LANG_JA);
	assert_int_equal(json_array_size(list), YG_FINDINGS_MAX);
	size_t i;
	json_t *cause;
	json_array_foreach(list, i, cause)
	{
		if (strcmp(json_string_value(json_object_get(cause, "cause")), "net.dns") != 0)
			continue;
		const json_t *seen = json_object_get(cause, "seen");
		assert_int_equal(json_integer_value(json_object_get(cause, "count")), 40000);
		assert_int_equal(json_array_size(seen), YG_FIND_SEEN);
		assert_string_equal(json_string_value(json_array_get(seen, 0)), "line 0");
		assert_string_equal(json_string_value(json_array_get(seen, YG_FIND_SEEN - 1)),
			"line 39999");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule),
		cmocka_unit_test(all_causes),
		cmocka_unit_test(over),
		cmocka_unit_test(many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
