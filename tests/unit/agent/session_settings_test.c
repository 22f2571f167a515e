/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/session_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* What the Manager says of an update, as far as it can be used. */

struct world {
	struct yg_role_env env;
	struct identity identity;
	struct session s;
	char folder[64];
};

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);
	assert_non_null(value);
	return value;
}

static void begin(struct world *w, const char *config, const char *settings)
{
	*w = (struct world){.folder = "/tmp/yagura-settings-XXXXXX"};
	assert_non_null(mkdtemp(w->folder));
	w->env.config = parse(config);
	w->s = (struct session){.env = &w->env, .identity = &w->identity, .relay_turned = -1};
	w->s.state_dir = open(w->folder, O_RDONLY | O_DIRECTORY);
	w->s.revoked = json_array();
	w->s.settings = settings ? parse(settings) : NULL;
}

static void end(struct world *w)
{
	struct yg_err err = {0};
	json_decref(w->env.config);
	json_decref(w->s.settings);
	json_decref(w->s.revoked);
	json_decref(w->s.last);
	(void)close(w->s.state_dir);
	assert_int_equal(yg_fs_remove(AT_FDCWD, w->folder, &err), 0);
}

static void limits_are_those_of_the_part(void **state)
{
	(void)state;
	static const struct {
		const char *name, *settings;
		bool relay;
		const char *want;
	} rows[] = {
		{"configured", "{}", false, "{\"tries\": 2, \"timeout_s\": 50}"},
		{"of an agent", "{\"update\":{\"tries\":7,\"connect_s\":5,\"retry_s\":9}}", false,
			"{\"tries\": 7, \"timeout_s\": 50, \"connect_s\": 5, \"retry_s\": 9}"},
		{"of a relay",
			"{\"update\":{\"tries\":7},\"relay_update\":{\"tries\":8,\"limit_s\":70}}",
			true, "{\"tries\": 8, \"timeout_s\": 50, \"limit_s\": 70}"},
		{"a relay's of an older Manager", "{\"update\":{\"tries\":7}}", true,
			"{\"tries\": 7, \"timeout_s\": 50}"},
		{"what is malformed is as if absent",
			"{\"update\":{\"tries\":0,\"timeout_s\":\"60\",\"connect_s\":99999,\"retry_s\":null}}",
			false, "{\"tries\": 2, \"timeout_s\": 50}"},
		{"no object", "{\"update\":7,\"relay_update\":[]}", true,
			"{\"tries\": 2, \"timeout_s\": 50}"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct world w;
		begin(&w, "{\"update\":{\"tries\":2,\"timeout_s\":50}}", rows[i].settings);
		json_t *body YG_AUTO(yg_json) = json_object();
		json_t *want YG_AUTO(yg_json) = parse(rows[i].want);
		session_settings_limits(&w.s, rows[i].relay, body);
		if (!json_equal(body, want)) {
			char *have = json_dumps(body, 0);
			fail_msg("%s: want %s, have %s", rows[i].name, rows[i].want, have);
		}
		end(&w);
	}
}

static void what_a_licence_covers(void **state)
{
	(void)state;
	static const struct {
		const char *settings;
		size_t families;
		bool alarm;
	} rows[] = {
		{"{}", 2, false},
		{"{\"licences\":[{\"group\":\"am-wr\",\"state\":\"valid\",\"ends\":null}]}", 2,
			false},
		{"{\"licences\":[{\"group\":\"other\",\"state\":\"expired\"}]}", 2, false},
		{"{\"licences\":[{\"group\":\"am-wr\",\"state\":\"expired\",\"ends\":\"2026-01-01T00:00:00Z\"}]}",
			1, true},
		{"{\"licences\":{\"am-wr\":\"expired\"}}", 2, false},
		{"{\"licences\":[7,{\"group\":7},{\"state\":\"expired\"}]}", 2, false},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct world w;
		begin(&w, "{}", rows[i].settings);
		json_t *families YG_AUTO(yg_json) = session_settings_families(&w.s);
		json_t *alarm YG_AUTO(yg_json) = session_settings_licence(&w.s);
		assert_int_equal(json_array_size(families), rows[i].families);
		assert_int_equal(alarm != NULL, rows[i].alarm);
		/* Nobody's Manager has no licence to end. */
		w.s.identity = NULL;
		json_t *all YG_AUTO(yg_json) = session_settings_families(&w.s);
		assert_int_equal(json_array_size(all), 2);
		end(&w);
	}
}

/* When it ends and when it is renewed, and not with each heartbeat. */
static void an_expired_licence_is_told_once(void **state)
{
	(void)state;
	static const struct {
		const char *licence;
		json_int_t event; /* 0: none */
	} steps[] = {{"valid", 0}, {"expired", 9110}, {"expired", 0}, {"valid", 20120},
		{"valid", 0}, {"expired", 9110}};
	struct world w;
	struct yg_err err = {0};
	const struct spool_limits limits = {.bytes = 1 << 20, .entries = 100};
	json_t *revoked YG_AUTO(yg_json) = json_array();
	begin(&w, "{}", NULL);
	w.s.spool = spool_open(w.s.state_dir, &limits, &err);
	assert_non_null(w.s.spool);
	w.s.recent = json_array();
	for (size_t i = 0; i < YG_COUNT(steps); i++) {
		json_t *settings YG_AUTO(yg_json) = json_pack("{s:[{s:s,s:s}],s:i}", "licences",
			"group", "am-wr", "state", steps[i].licence, "newer", (int)i);
		size_t before = json_array_size(w.s.recent);
		session_settings_came(&w.s, settings, revoked);
		size_t told = json_array_size(w.s.recent) - before;
		assert_int_equal(told, steps[i].event ? 1 : 0);
		const json_t *last = json_array_get(w.s.recent, json_array_size(w.s.recent) - 1);
		if (told)
			assert_int_equal(json_integer_value(json_object_get(last, "id")),
				steps[i].event);
	}
	spool_free(w.s.spool);
	json_decref(w.s.recent);
	end(&w);
}

static void which_releases(void **state)
{
	(void)state;
	static const struct {
		const char *settings, *content, *serve;
	} rows[] = {
		{"{}", NULL, "[]"},
		{"{\"content\":{\"mode\":\"latest\"}}", NULL, "[]"},
		{"{\"content\":{\"mode\":\"previous\"}}", "{\"mode\":\"previous\"}",
			"[{\"mode\":\"previous\"}]"},
		{"{\"content\":{\"mode\":\"previous\"},\"serve\":[{\"mode\":\"previous\"},{\"mode\":"
		 "\"latest\"},7,{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":3}}]}",
			"{\"mode\":\"previous\"}",
			"[{\"mode\":\"previous\"},{\"mode\":\"pinned\",\"pins\":{\"am-pattern\":3}}]"},
		{"{\"content\":\"previous\",\"serve\":{}}", NULL, "[]"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct world w;
		begin(&w, "{}", rows[i].settings);
		json_t *content YG_AUTO(yg_json) = session_settings_content(&w.s);
		json_t *serve YG_AUTO(yg_json) = session_settings_serve(&w.s);
		json_t *want YG_AUTO(yg_json) = parse(rows[i].serve);
		json_t *own YG_AUTO(yg_json) = rows[i].content ? parse(rows[i].content) : NULL;
		assert_true(own ? json_equal(own, content) : !content);
		assert_true(json_equal(serve, want));
		end(&w);
	}
}

static void the_relay_is_whose_word(void **state)
{
	(void)state;
	static const struct {
		const char *settings;
		int on;
	} rows[] = {{"{}", -1}, {"{\"relay\":{\"on\":true}}", 1}, {"{\"relay\":{\"on\":false}}", 0},
		{"{\"relay\":{\"on\":1}}", -1}, {"{\"relay\":true}", -1}};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct world w;
		begin(&w, "{}", rows[i].settings);
		assert_int_equal(session_settings_relay(&w.s), rows[i].on);
		end(&w);
	}
}

/* There are passwords in it. */
static void kept_for_nobody_else_to_read(void **state)
{
	(void)state;
	struct world w;
	struct stat st;
	json_t *settings YG_AUTO(yg_json) = parse("{\"proxies\":{\"relay\":{\"url\":\"http://p:1\","
						  "\"user\":\"u\",\"password\":\"secret\"}}}");
	json_t *revoked YG_AUTO(yg_json) = json_array();
	begin(&w, "{}", NULL);
	session_settings_came(&w.s, settings, revoked);
	assert_int_equal(fstatat(w.s.state_dir, "settings.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	struct session again = {.env = &w.env, .state_dir = w.s.state_dir};
	session_settings_load(&again);
	assert_true(json_equal(again.settings, settings));
	json_decref(again.settings);
	json_decref(again.revoked);
	end(&w);
}

static void the_last_run_is_remembered(void **state)
{
	(void)state;
	struct world w;
	begin(&w, "{}", NULL);
	session_last_load(&w.s);
	json_t *none YG_AUTO(yg_json) = session_last(&w.s, false);
	assert_true(json_is_null(none));
	json_t *result YG_AUTO(yg_json) = parse(
		"{\"source\":\"https://r\",\"seconds\":3,\"bytes\":40,\"requests\":5,\"set\":\"x\","
		"\"tried\":[{\"url\":\"https://q\",\"cause\":\"net.refused\",\"detail\":\"d\"}]}");
	session_last_keep(&w.s, true, "failed", "net.timeout", "no answer", result);

	struct session again = {.env = &w.env, .state_dir = w.s.state_dir};
	session_last_load(&again);
	json_t *run YG_AUTO(yg_json) = session_last(&again, true);
	assert_string_equal(json_string_value(json_object_get(run, "sentence")),
		"There was no answer in time.");
	assert_string_equal(json_string_value(json_object_get(run, "detail")), "no answer");
	assert_int_equal(json_integer_value(json_object_get(run, "bytes")), 40);
	assert_int_equal(json_array_size(json_object_get(run, "tried")), 1);
	json_t *other YG_AUTO(yg_json) = session_last(&again, false);
	assert_true(json_is_null(other));
	json_decref(again.last);

	/* A file that is broken costs what is in it, no more. */
	struct yg_err err = {0};
	assert_int_equal(yg_fs_replace(w.s.state_dir, "last-run.json", yg_bytes_of("{"), 0600,
				 &err),
		0);
	session_last_load(&again);
	assert_int_equal(json_object_size(again.last), 0);
	json_decref(again.last);
	end(&w);
}

/* What the parent was told since the last call, "" nothing. */
static const char *told_level(int parent)
{
	static char level[16];
	char text[1024];
	level[0] = 0;
	for (ssize_t n; (n = recv(parent, text, sizeof(text), MSG_DONTWAIT)) > 0;) {
		json_t *message YG_AUTO(yg_json) = json_loadb(text, (size_t)n, 0, NULL);
		assert_string_equal(json_string_value(json_object_get(message, "msg")), "log");
		assert_string_equal(level, "");
		(void)snprintf(level, sizeof(level), "%s",
			json_string_value(
				json_object_get(json_object_get(message, "body"), "level")));
	}
	return level;
}

/* The parent keeps a level when session ends: session must know of it when it comes again. */
static void the_level_of_logs_is_told_and_taken_back(void **state)
{
	(void)state;
	static const struct {
		enum { COMES, RESTART, DEACTIVATED } what;
		const char *settings;
		const char *told;
	} steps[] = {
		{COMES, "{}", ""}, /* whatever was set here stays */
		{COMES, "{\"log\":{\"level\":\"debug\"}}", "debug"},
		{COMES, "{\"log\":{\"level\":\"debug\"}}", ""},
		{RESTART, NULL, "debug"}, /* of all roles perhaps */
		{COMES, "{\"log\":{\"level\":\"debug\"}}", ""},
		{RESTART, NULL, "debug"},
		{COMES, "{}", "notice"},
		{RESTART, NULL, ""},
		{COMES, "{\"log\":{\"level\":\"warn\"}}", "warn"},
		{DEACTIVATED, NULL, "notice"},
		{RESTART, NULL, ""},
	};
	struct world w;
	struct yg_err err = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_ipc *parent YG_AUTO(
		yg_ipc) = yg_ipc_new(loop, pair[0], "parent", NULL, NULL, NULL, &err);
	json_t *revoked YG_AUTO(yg_json) = json_array();
	begin(&w, "{\"own_log_level\":\"notice\"}", NULL);
	w.env.parent = parent;
	for (size_t i = 0; i < YG_COUNT(steps); i++) {
		json_t *settings YG_AUTO(yg_json) = steps[i].settings ? parse(steps[i].settings)
								      : NULL;
		if (steps[i].what == COMES) {
			session_settings_came(&w.s, settings, revoked);
		} else if (steps[i].what == RESTART) {
			json_decref(yg_take(w.s.settings));
			json_decref(yg_take(w.s.revoked));
			w.s.log_level[0] = 0;
			session_settings_load(&w.s);
		} else {
			session_settings_forget(&w.s);
		}
		const char *told = told_level(pair[1]);
		if (strcmp(told, steps[i].told) != 0)
			fail_msg("step %zu: want '%s', have '%s'", i, steps[i].told, told);
	}
	(void)close(pair[1]);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_those_of_the_part),
		cmocka_unit_test(what_a_licence_covers),
		cmocka_unit_test(an_expired_licence_is_told_once),
		cmocka_unit_test(which_releases),
		cmocka_unit_test(the_relay_is_whose_word),
		cmocka_unit_test(kept_for_nobody_else_to_read),
		cmocka_unit_test(the_last_run_is_remembered),
		cmocka_unit_test(the_level_of_logs_is_told_and_taken_back),
	};
	return cmocka_run_group_tests_name("agent/session_settings", tests, NULL, NULL);
}
