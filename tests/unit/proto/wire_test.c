/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

static json_t *example(enum yg_wire kind)
{
	struct yg_err err = {0};
	json_t *value = NULL;
	const char *folder = getenv("YG_EXAMPLES");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_WIRE_SIZE_MAX);
	char *path YG_AUTO(mem) = yg_str_format("%s/%s.json",
		folder ? folder : "src/proto/examples", yg_wire_name(kind));
	if (yg_fs_read(AT_FDCWD, path, &text, &err) < 0 ||
		yg_wire_parse(kind, yg_buf_bytes(&text), &value, &err) < 0)
		fail_msg("%s: %s", path, err.msg);
	return value;
}

static void examples_pass(void **state)
{
	(void)state;
	for (int i = 0; i < YG_WIRE_KINDS; i++) {
		json_t *value YG_AUTO(yg_json) = example((enum yg_wire)i);
		assert_true(json_object_size(value) > 0);
	}
}

/* Without any one of its members an example passes or is refused by that member's name; unknown members
 * are ignored; every member with a value of another type is refused by name.
 */
static void every_member(void **state)
{
	(void)state;
	for (int i = 0; i < YG_WIRE_KINDS; i++) {
		json_t *value YG_AUTO(yg_json) = example((enum yg_wire)i);
		const char *name = NULL;
		json_t *item = NULL;
		struct yg_err err = {0};
		assert_int_equal(json_object_set_new(value, "unknown", json_pack("[i]", 1)), 0);
		assert_int_equal(yg_wire_check((enum yg_wire)i, value, &err), 0);
		json_object_foreach(value, name, item)
		{
			json_t *copy YG_AUTO(yg_json) = json_copy(value);
			if (strcmp(name, "unknown") == 0)
				continue;
			(void)json_object_set_new(copy, name, json_real(1.5));
			err = (struct yg_err){0};
			if (yg_wire_check((enum yg_wire)i, copy, &err) == 0)
				fail_msg("%s: %s: 1.5 passed", yg_wire_name((enum yg_wire)i), name);
			assert_non_null(strstr(err.msg, name));
			assert_int_equal(strncmp(err.msg, yg_wire_name((enum yg_wire)i),
						 strlen(yg_wire_name((enum yg_wire)i))),
				0);
			(void)json_object_del(copy, name);
			err = (struct yg_err){0};
			if (yg_wire_check((enum yg_wire)i, copy, &err) < 0)
				assert_non_null(strstr(err.msg, name));
		}
	}
}

#define U "11111111-2222-4333-8444-555555555555"
#define T "\"time\":\"2026-11-21T22:47:43Z\""

static const struct {
	enum yg_wire kind;
	const char *text, *msg;
	enum yg_code code;
} rows[] = {
	{YG_WIRE_RENEW, "{}", "renew: csr: want a string, have nothing", YG_EFORMAT},
	{YG_WIRE_RENEW, "{\"csr\":\"\"}", "renew: csr: want text, have none", YG_EFORMAT},
	{YG_WIRE_RENEW, "[]", "renew: want an object, have an array", YG_EFORMAT},
	{YG_WIRE_EVENTS_REPLY, "{\"ack\":-1}",
		"events-reply: ack: want 0..9007199254740992, have -1", YG_ELIMIT},
	{YG_WIRE_EVENTS, "{\"epoch\":\"" U "\",\"entries\":[{\"seq\":1,\"kind\":\"event\"}]}",
		"events: entries[0]: id: want a whole number, have nothing", YG_EFORMAT},
	{YG_WIRE_EVENTS,
		"{\"epoch\":\"" U "\",\"entries\":[{\"seq\":1,\"kind\":\"result\",\"job\":\"" U
		"\"," T ",\"outcome\":\"good\"}]}",
		"events: entries[0]: outcome: want success|failed|cancelled, have 'good'",
		YG_EFORMAT},
	/* of a newer agent: passes, is acknowledged and left alone */
	{YG_WIRE_EVENTS, "{\"epoch\":\"" U "\",\"entries\":[{\"seq\":1,\"kind\":\"later\"}]}", "",
		YG_OK},
	{YG_WIRE_EVENTS, "{\"epoch\":\"11111111-2222-4333-8444-55555555555X\",\"entries\":[]}",
		"events: epoch: want a UUID, have '11111111-2222-4333-8444-55555555555X'",
		YG_EFORMAT},
	{YG_WIRE_EVENTS, "{\"epoch\":\"" U "\",\"entries\":[7]}",
		"events: entries[0]: want an object, have a whole number", YG_EFORMAT},
	{YG_WIRE_ENTRY, "{\"seq\":0,\"kind\":\"event\",\"id\":1," T ",\"params\":{}}",
		"entry: seq: want 1..9007199254740992, have 0", YG_ELIMIT},
	{YG_WIRE_COMMAND, "{\"seq\":1,\"command\":\"scan\",\"job\":\"" U "\",\"paths\":[]}",
		"command: command scan: paths: want at least one, have none", YG_EFORMAT},
	{YG_WIRE_COMMAND, "{\"seq\":1,\"command\":\"scan\",\"job\":\"" U "\",\"paths\":[\"x\"]}",
		"command: command scan: paths[0]: want an absolute path, have 'x'", YG_EFORMAT},
	{YG_WIRE_COMMAND, "{\"seq\":1,\"command\":\"update\",\"job\":\"" U "\",\"set\":\"zz\"}",
		"command: command update: set: want 64 hex digits, have 'zz'", YG_EFORMAT},
	{YG_WIRE_COMMAND, "{\"seq\":1,\"command\":\"fly\"}",
		"command: command 'fly' is not known to version " YG_VERSION, YG_EABSENT},
	{YG_WIRE_COMMANDS_REPLY, "{\"commands\":[{\"seq\":1,\"command\":\"fly\"}]}", "", YG_OK},
	{YG_WIRE_HELLO,
		"{\"protocol\":[1],\"version\":\"1\",\"kind\":\"agent\",\"hostname\":\"a\\nb\"}",
		"hello: hostname: control characters in it", YG_EFORMAT},
	{YG_WIRE_HELLO,
		"{\"protocol\":[1],\"version\":\"1\",\"kind\":\"robot\",\"hostname\":\"a\"}",
		"hello: kind: want agent|appliance, have 'robot'", YG_EFORMAT},
	{YG_WIRE_HELLO,
		"{\"protocol\":\"1\",\"version\":\"1\",\"kind\":\"agent\",\"hostname\":\"a\"}",
		"hello: protocol: want an array, have a string", YG_EFORMAT},
	{YG_WIRE_SETTINGS,
		"{\"relays\":[{\"id\":\"" U "\",\"urls\":[\"\"]}],\"direct_fallback\":true,"
		"\"update\":{\"tries\":1,\"timeout_s\":1}}",
		"settings: relays[0]: urls[0]: want 1..4096 bytes, have 0", YG_ELIMIT},
	{YG_WIRE_SETTINGS,
		"{\"relays\":[],\"direct_fallback\":1,\"update\":{\"tries\":1,\"timeout_s\":1}}",
		"settings: direct_fallback: want true or false, have a whole number", YG_EFORMAT},
	{YG_WIRE_SETTINGS,
		"{\"relays\":[],\"direct_fallback\":true,\"update\":{\"tries\":0,\"timeout_s\":1}}",
		"settings: update: tries: want 1..100, have 0", YG_ELIMIT},
	{YG_WIRE_ERROR, "{\"error\":{\"code\":\"x\",\"message\":\"y\",\"field\":null}}", "", YG_OK},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *value YG_AUTO(yg_json) = NULL;
		int r = yg_wire_parse(rows[i].kind, yg_bytes_of(rows[i].text), &value, &err);
		assert_string_equal(err.msg, rows[i].msg);
		assert_int_equal(err.code, rows[i].code);
		assert_int_equal(r == 0, value != NULL);
		if (rows[i].kind == YG_WIRE_COMMAND && rows[i].code == YG_EABSENT)
			assert_string_equal(err.cause, "job.unsupported");
	}
}

static void size_limit(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *value = NULL;
	char *text YG_AUTO(mem) = malloc(YG_WIRE_SIZE_MAX + 1);
	assert_non_null(text);
	memset(text, ' ', YG_WIRE_SIZE_MAX + 1);
	struct yg_bytes bytes = {(const uint8_t *)text, YG_WIRE_SIZE_MAX + 1};
	assert_int_equal(yg_wire_parse(YG_WIRE_EVENTS, bytes, &value, &err), -1);
	assert_string_equal(err.msg, "events: JSON: want <= 1048576 bytes, have 1048577");
	assert_int_equal(err.code, YG_ELIMIT);
	assert_null(value);
}

static void commands(void **state)
{
	(void)state;
	json_t *reply YG_AUTO(yg_json) = example(YG_WIRE_COMMANDS_REPLY);
	const json_t *list = json_object_get(reply, "commands");
	assert_int_equal(json_array_size(list), YG_WIRE_DOS);
	struct yg_wire_command command = {0};
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct yg_err err = {0};
		assert_int_equal(yg_wire_command(json_array_get(list, i), &command, &err), 0);
		assert_int_equal(command.what, i);
		assert_int_equal(command.seq, 12 + i);
		const char *name = json_string_value(
			json_object_get(json_array_get(list, i), "command"));
		assert_string_equal(yg_wire_do_name(command.what), name);
		if (command.what == YG_DO_UPDATE) {
			assert_true(command.scheduled && command.with_relays);
			assert_int_equal(strlen(command.set), 64);
		}
		assert_int_equal(command.paths != NULL, command.what == YG_DO_SCAN);
		assert_int_equal(command.job == NULL,
			command.what == YG_DO_POLICY || command.what == YG_DO_SETTINGS ||
				command.what == YG_DO_DEACTIVATE);
	}
}

static void hello(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_wire_hello got = {0};
	json_t *value YG_AUTO(yg_json) = example(YG_WIRE_HELLO);
	assert_int_equal(yg_wire_hello(value, &got, &err), 0);
	assert_string_equal(got.hostname, "web1.example.jp");
	assert_true(got.relay && !got.appliance);
	assert_int_equal(got.relay_port, 4122);
	assert_int_equal(json_array_size(got.addresses), 2);
	/* T12: which side is the older one */
	(void)json_object_set_new(value, "protocol", json_pack("[i, i]", 2, 3));
	assert_int_equal(yg_wire_hello(value, &got, &err), -1);
	assert_string_equal(err.msg,
		"hello: protocol: want 1 among the versions, have 3 at most: the Manager must be upgraded");
	assert_string_equal(err.cause, "version.manager");
	(void)json_object_set_new(value, "protocol", json_pack("[i]", 0));
	assert_int_equal(yg_wire_hello(value, &got, &err), -1);
	assert_string_equal(err.msg,
		"hello: protocol: want 1 among the versions, have 0 at most: the agent must be upgraded");
	assert_string_equal(err.cause, "version.agent");
}

static void words(void **state)
{
	(void)state;
	assert_true(yg_wire_uuid_ok(U));
	assert_false(yg_wire_uuid_ok("11111111-2222-4333-8444-55555555555"));
	assert_false(yg_wire_uuid_ok("11111111-2222-4333-8444-55555555555A"));
	assert_false(yg_wire_uuid_ok("111111111222243338444x555555555555aa"));
	assert_false(yg_wire_uuid_ok(""));
	assert_false(yg_wire_digest_ok(""));
	assert_false(yg_wire_digest_ok("A"));
}

static void errors(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *one YG_AUTO(yg_json) = yg_wire_error("bad_request", "why", "name");
	json_t *two YG_AUTO(yg_json) = yg_wire_error("internal", "why", NULL);
	assert_int_equal(yg_wire_check(YG_WIRE_ERROR, one, &err), 0);
	assert_int_equal(yg_wire_check(YG_WIRE_ERROR, two, &err), 0);
	assert_null(json_object_get(json_object_get(two, "error"), "field"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_pass),
		cmocka_unit_test(every_member),
		cmocka_unit_test(refusals),
		cmocka_unit_test(size_limit),
		cmocka_unit_test(commands),
		cmocka_unit_test(hello),
		cmocka_unit_test(words),
		cmocka_unit_test(errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
