/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Every allocation of a parse, a check and a rendering fails once: the failure is reported, outputs are
 * as they were, and nothing leaks (the sanitizers look). The linker sends the calls here (--wrap);
 * jansson's come by way of the allocator that core/json.c gives it with the first parse.
 */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "proto/cause.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "tests/lib/cmocka_all.h"

static long fail_at, count; /* fail_at 0: never */

static bool strikes(void)
{
	return fail_at && ++count == fail_at;
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	return strikes() ? NULL : __real_realloc(old, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return strikes() ? NULL : __real_malloc(size);
}

/* Runs an attempt with its n-th allocation failing, for each n until it gets through. */
static void each(int (*attempt)(void))
{
	for (long n = 1; n < 10000; n++) {
		fail_at = n;
		count = 0;
		int r = attempt();
		bool struck = count >= n;
		fail_at = 0;
		if (r == 0 && !struck) {
			assert_true(n > 1); /* there was something that could fail */
			return;
		}
	}
	fail_msg("it never gets through");
}

static const char heartbeat[] =
	"{\"time\":\"2026-11-21T22:47:43Z\",\"interval_s\":60,\"policy\":{\"fingerprint\":\"\"},"
	"\"settings\":{\"relays\":[],\"direct_fallback\":true,\"update\":{\"tries\":3,\"timeout_s\":60}},"
	"\"revoked\":[\"0A\"],\"ca_bundle_sha256\":"
	"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";

static int parse(void)
{
	struct yg_err err = {0};
	json_t *value YG_AUTO(yg_json) = NULL;
	int r = yg_wire_parse(YG_WIRE_HEARTBEAT_REPLY, yg_bytes_of(heartbeat), &value, &err);
	assert_int_equal(r == 0, value != NULL);
	assert_int_equal(r == 0, err.code == YG_OK);
	return r;
}

static json_t *params;

static int render(void)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX);
	int r = yg_event_render(784, params, YG_LANG_JA, &out, &err);
	assert_int_equal(r == 0, out.len > 0);
	assert_int_equal(err.code, r == 0 ? YG_OK : YG_ESYSTEM);
	return r;
}

static int unknown(void)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX);
	int r = yg_event_render(65000, params, YG_LANG_EN, &out, &err);
	assert_int_equal(r == 0, out.len > 0);
	return r;
}

static int sentence(void)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(1000);
	return yg_cause_sentence("net.dns", "relay", YG_LANG_EN, &out, &err);
}

static int error(void)
{
	json_t *value YG_AUTO(yg_json) = yg_wire_error("internal", "why", "field");
	return value ? 0 : -1;
}

static void everything_fails_once(void **state)
{
	(void)state;
	each(parse);
	params = json_pack("{s:s, s:[{s:s, s:i, s:i}]}", "computer", "web1", "components", "name",
		"am-pattern", "from", 1, "to", 2);
	assert_non_null(params);
	each(render);
	each(unknown);
	each(sentence);
	each(error);
	json_decref(params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everything_fails_once)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
