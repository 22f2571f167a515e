/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "manager/content_impl.h"
#include "net/probe.h"
#include "tuf/look.h"

#define TARGETS_MAX 12
#define ALL_MS      120000 /* no target begins after that */

/* One test, from content.test to tests.put. */
struct test {
	struct content *content;
	char id[40];
	bool relays;
	json_t *settings;
};

static void test_free(struct test *test)
{
	json_decref(test->settings);
	free(test);
}

static void reported(void *ctx, json_t *result, const struct yg_err *err)
{
	(void)ctx;
	(void)result;
	if (err->code)
		yg_log_err(YG_LOG_WARN, "content.test", err);
}

/* Either of the two; targets is taken over. */
static void report(struct test *test, json_t *targets, const struct yg_err *err)
{
	json_t *args = json_pack("{s:s}", "id", test->id);
	if (targets) {
		(void)json_object_set_new(args, "targets", targets);
	} else {
		json_t *text = json_string(err->msg);
		(void)json_object_set_new(args, "cause", json_string(err->cause));
		(void)json_object_set_new(args, "sentence", text ? text : json_string(""));
	}
	call_store(&test->content->store, "tests.put", args, NULL, NULL, reported, NULL);
	test_free(test);
}

static int look(void *ctx, struct yg_bytes body, char seen[YG_PROBE_SEEN], struct yg_err *err)
{
	(void)ctx;
	return yg_look_timestamp(body, yg_clock_now_s(), seen, YG_PROBE_SEEN, err);
}

static int probe(const struct test *test, const struct content_place *place,
	const struct content_identity *identity, json_t *targets, struct yg_err *err)
{
	json_t *target = NULL;
	const struct yg_tls tls = content_where_tls(test->content, place, identity);
	const struct yg_probe wish = {.what = place->relay ? "relay" : "source",
		.url = place->url,
		.path = YG_LOOK_PATH,
		.tls = &tls,
		.proxy = &place->proxy,
		.check = look};
	if (yg_probe_run(&wish, &target, err) < 0)
		return -1;
	return json_array_append_new(targets, target) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

static void test_relays(void *ctx, const struct content_identity *identity,
	const struct yg_err *given)
{
	struct test *test = ctx;
	struct yg_err err = *given;
	json_t *targets YG_AUTO(yg_json) = json_array();
	const int64_t until_ms = yg_clock_mono_ms() + ALL_MS;
	struct content_place place;
	size_t at = 0;
	while (!err.code && at < TARGETS_MAX && yg_clock_mono_ms() < until_ms &&
		content_where_relay(test->settings, &at, &place))
		(void)!probe(test, &place, identity, targets, &err);
	if (!err.code && json_array_size(targets) == 0)
		(void)yg_fail_cause(&err, YG_EABSENT, "update.no_source", "there is no relay");
	report(test, err.code ? NULL : yg_take(targets), &err);
}

static void test_source(struct test *test)
{
	struct yg_err err = {0};
	json_t *targets YG_AUTO(yg_json) = json_array();
	struct content_place place;
	if (content_where_source(test->settings, &place, &err) == 0)
		(void)!probe(test, &place, NULL, targets, &err);
	report(test, err.code ? NULL : yg_take(targets), &err);
}

static void got_settings(void *ctx, json_t *result, const struct yg_err *err)
{
	struct test *test = ctx;
	if (err->code) {
		report(test, NULL, err);
		return;
	}
	test->settings = json_incref(result);
	if (test->relays)
		content_where_identity(test->content, test_relays, test);
	else
		test_source(test);
}

void content_test(struct content *content, const json_t *body)
{
	const char *id = NULL;
	const char *what = NULL;
	struct yg_err err = {0};
	struct test *test = calloc(1, sizeof(*test));
	if (!test)
		abort(); /* the parent starts us again */
	if (yg_json_str(body, "id", 39, &id, &err) < 0 ||
		yg_json_str(body, "what", 16, &what, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "content.test", &err);
		free(test);
		return;
	}
	test->content = content;
	test->relays = strcmp(what, "relays") == 0;
	(void)!yg_str_put(test->id, sizeof(test->id), "%s", id);
	call_store(&content->store, "content.settings", json_object(), NULL, NULL, got_settings,
		test);
}
