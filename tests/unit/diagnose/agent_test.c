/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* What an agent says of itself and what lies in its folder, each with one thing wrong, and the cause that stands first. */

#define STATUS(version, roles, more)                                                               \
	"{'version':'" version "','roles':[" roles                                                 \
	"],'activated':true,'manager':'https://m:4120',"                                           \
	"'last_contact':'2026-11-22T06:00:00Z'," more "}"
#define ROLES           "{'role':'session'},{'role':'install'},{'role':'walk'}"
#define ONLINE          "'manager_state':'online'"
#define ENGINE          "'engine':{'state':'online','signatures':1}"
#define GOOD            ONLINE "," ENGINE
#define RUN(name, text) ",'" name "':{'time':'2026-11-22T06:00:00Z'," text "}"
#define STEP(what, url, cause)                                                                     \
	"{'what':'" what "','url':'" url                                                           \
	"','proxy':'','steps':[{'step':'resolve','ok':true,'ms':1,'seen':'x'},"                    \
	"{'step':'tls','ok':false,'ms':1,'seen':'y','cause':'" cause "','detail':'z'}]}"

static const struct row {
	const char *name, *status, *targets, *want; /* want: causes that stand, apart by spaces */
} rows[] = {
	{"healthy", STATUS(YG_VERSION, ROLES, GOOD), NULL, ""},
	{"not activated is no fault",
		"{'version':'" YG_VERSION "','roles':[" ROLES "],'activated':false," ENGINE "}",
		NULL, ""},
	{"not running", NULL, NULL, "agent.offline"},
	{"a role is missing", STATUS(YG_VERSION, "{'role':'session'},{'role':'walk'}", GOOD), NULL,
		"agent.role"},
	{"an old one still runs", STATUS("0.0.9", ROLES, GOOD), NULL, "agent.version"},
	{"no content", STATUS(YG_VERSION, ROLES, ONLINE ",'engine':{'state':'none','reason':''}"),
		NULL, "engine.absent"},
	{"engine away",
		STATUS(YG_VERSION, ROLES,
			ONLINE ",'engine':{'state':'offline','reason':'it died'}"),
		NULL, "engine.offline"},
	{"engine away, and why",
		STATUS(YG_VERSION, ROLES,
			ONLINE ",'engine':{'state':'offline','reason':'engine.load'}"),
		NULL, "engine.load"},
	{"engine on its way",
		STATUS(YG_VERSION, ROLES, ONLINE ",'engine':{'state':'offline','reason':''}"), NULL,
		""},
	{"relay does not serve",
		STATUS(YG_VERSION, ROLES, GOOD ",'relay':{'state':'off','set':'ab'}"), NULL,
		"relay.off"},
	{"relay has nothing", STATUS(YG_VERSION, ROLES, GOOD ",'relay':{'state':'on','set':''}"),
		NULL, "relay.empty"},
	{"relay serves", STATUS(YG_VERSION, ROLES, GOOD ",'relay':{'state':'on','set':'ab'}"), NULL,
		""},
	{"Manager away, in words",
		STATUS(YG_VERSION, ROLES,
			ENGINE ",'manager_state':'offline','manager_error':"
			       "'https://m:4120: the connection was refused'"),
		NULL, "net.refused"},
	{"Manager away, nobody knows why",
		STATUS(YG_VERSION, ROLES, ENGINE ",'manager_state':'offline'"), NULL, "net.failed"},
	{"an alarm",
		STATUS(YG_VERSION, ROLES,
			GOOD ",'alarms':[{'name':'expired','cause':'tuf.expired','since':'x'}]"),
		NULL, "tuf.expired"},
	{"the last update was good",
		STATUS(YG_VERSION, ROLES, GOOD RUN("last_update", "'outcome':'success'")), NULL,
		""},
	{"the last update failed",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update",
				"'outcome':'failed','cause':'content.hash','detail':'d'")),
		NULL, "content.hash"},
	{"both failed, each for its own",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update", "'outcome':'failed','cause':'content.hash'")
				RUN("last_relay_update",
					"'outcome':'failed','cause':'proxy.auth'")),
		NULL, "proxy.auth content.hash"},
	{"what was tried says more",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update",
				"'outcome':'failed','cause':'update.timeout','tried':[{'url':'u','cause':'net.reset','detail':''}]")),
		NULL, "net.reset"},
	{"one relay of two was away, and it went well",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update",
				"'outcome':'success','tried':[{'url':'u','cause':'net.reset','detail':''}]")),
		NULL, ""},
	{"a held set is no fault",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update", "'outcome':'cancelled','cause':'update.held'")),
		NULL, ""},
	{"a connection fails at a step", STATUS(YG_VERSION, ROLES, GOOD),
		STEP("source", "https://s", "tls.untrusted"), "tls.untrusted"},
	{"it is the same that the update failed for",
		STATUS(YG_VERSION, ROLES,
			GOOD RUN("last_update", "'outcome':'failed','cause':'tls.untrusted'")),
		STEP("source", "https://s", "tls.untrusted"), "tls.untrusted"},
	{"two servers' certificates have expired: the clock", STATUS(YG_VERSION, ROLES, GOOD),
		STEP("relay", "https://r", "tls.expired") "," STEP("source", "https://s",
			"tls.expired"),
		"clock.ahead"},
	{"one is the server's own", STATUS(YG_VERSION, ROLES, GOOD),
		STEP("source", "https://s", "tls.expired"), "tls.expired"},
	{"two are not valid yet", STATUS(YG_VERSION, ROLES, GOOD),
		STEP("relay", "https://r", "tls.not_yet") "," STEP("source", "https://s",
			"tls.not_yet"),
		"clock.behind"},
};

static char root[] = "/tmp/yagura-diagnose-XXXXXX";

static json_t *quoted(const char *text, bool list)
{
	char *json YG_AUTO(mem) = yg_str_format("%s%s%s", list ? "[" : "", text, list ? "]" : "");
	struct yg_err err = {0};
	json_t *value = NULL;
	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	if (yg_json_parse(yg_bytes_of(json), 65536, &value, &err) < 0)
		fail_msg("%s: %s", json, err.msg);
	return value;
}

/* The causes that stand, in order. */
static void causes_of(json_t *result, char *out, size_t size)
{
	size_t i;
	json_t *cause;
	out[0] = 0;
	json_array_foreach(json_object_get(result, "causes"), i, cause)
	{
		size_t len = strlen(out);
		(void)snprintf(out + len, size - len, "%s%s", i ? " " : "",
			json_string_value(json_object_get(cause, "cause")));
	}
}

static void look(const char *status, const char *targets, char *out, size_t size)
{
	struct yg_err err = {0};
	size_t standing = 0;
	json_t *says YG_AUTO(yg_json) = status ? quoted(status, false) : NULL;
	json_t *tried YG_AUTO(yg_json) = targets ? quoted(targets, true) : NULL;
	struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = yg_diagnosis_new(YG_LANG_EN, &err);
	const struct yg_diagnose_agent given = {.root = root,
		.status = says,
		.offline = "no socket",
		.targets = tried,
		.now_s = 1795328400};
	yg_diagnose_agent(d, &given);
	json_t *result YG_AUTO(yg_json) = yg_diagnosis_result(d, &standing);
	causes_of(result, out, size);
}

static void what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char have[300];
		look(rows[i].status, rows[i].targets, have, sizeof(have));
		if (strcmp(have, rows[i].want) != 0)
			fail_msg("%s: want '%s', have '%s'", rows[i].name, rows[i].want, have);
	}
}

/* ---- what lies there ---- */

static void put(const char *path, const char *text)
{
	struct yg_err err = {0};
	char *whole YG_AUTO(mem) = yg_str_format("%s/%s", root, path);
	char *folder YG_AUTO(mem) = yg_str_format("%s", whole);
	*strrchr(folder, '/') = 0;
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, folder, 0755, &err), 0);
	assert_int_equal(yg_fs_replace(AT_FDCWD, whole, yg_bytes_of(text), 0600, &err), 0);
}

#define AGENT "var/opt/yagura/agent/"

static void licence_gone(void)
{
	put(AGENT "state/session/settings.json",
		"{\"settings\":{\"licences\":[{\"group\":\"am-wr\",\"state\":\"expired\",\"ends\":\"2026-01-01T00:00:00Z\"}]}}");
}

static void licence_good(void)
{
	put(AGENT "state/session/settings.json",
		"{\"settings\":{\"licences\":[{\"group\":\"am-wr\",\"state\":\"valid\",\"ends\":null}]}}");
}

static void signed_later(void)
{
	put(AGENT "state/floor.json", "{\"format\":1,\"time\":\"2027-01-01T00:00:00Z\"}");
}

static void signed_before(void)
{
	put(AGENT "state/floor.json", "{\"format\":1,\"time\":\"2026-01-01T00:00:00Z\"}");
}

static void link_to_nothing(void)
{
	char *path YG_AUTO(mem) = yg_str_format("%s/" AGENT "lib", root);
	assert_int_equal(symlink("sets/none", path), 0);
}

static void whole_set(void)
{
	put(AGENT "sets/none/set.json",
		"{\"components\":[{\"name\":\"am-pattern\",\"files\":[{\"path\":\"a.hsb\",\"size\":3}]}]}");
	put(AGENT "sets/none/am-pattern/a.hsb", "abc");
}

static void short_file(void)
{
	put(AGENT "sets/none/am-pattern/a.hsb", "ab");
}

static void strange_set(void)
{
	put(AGENT "sets/none/set.json",
		"{\"components\":[{\"name\":\"../..\",\"files\":[{\"path\":\"a.hsb\",\"size\":3}]}]}");
}

static void broken_set(void)
{
	put(AGENT "sets/none/set.json", "{");
}

static void open_session(void)
{
	char *path YG_AUTO(mem) = yg_str_format("%s/" AGENT "state/session", root);
	assert_int_equal(chmod(path, 0755), 0);
}

static void closed_session(void)
{
	char *path YG_AUTO(mem) = yg_str_format("%s/" AGENT "state/session", root);
	assert_int_equal(chmod(path, 0700), 0);
}

static void no_root(void)
{
	char *path YG_AUTO(mem) = yg_str_format("%s/etc/yagura/root.json", root);
	assert_int_equal(unlink(path), 0);
}

/* One after the other, in one folder. */
static const struct {
	void (*change)(void);
	const char *want;
} steps[] = {
	{licence_gone, "update.licence"},
	{licence_good, ""},
	{signed_later, "clock.behind"},
	{signed_before, ""},
	{link_to_nothing, "store.missing"},
	{whole_set, ""},
	{short_file, "store.object_damaged"},
	{strange_set, "store.object_damaged"},
	{broken_set, "store.object_damaged"},
	{whole_set, ""},
	{open_session, "store.permission"},
	{closed_session, ""},
	{no_root, "tuf.root"},
};

static void what_lies_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(steps); i++) {
		char have[300];
		steps[i].change();
		look(STATUS(YG_VERSION, ROLES, GOOD), NULL, have, sizeof(have));
		if (strcmp(have, steps[i].want) != 0)
			fail_msg("step %zu: want '%s', have '%s'", i, steps[i].want, have);
	}
}

static void configuration(void **state)
{
	(void)state;
	put("etc/yagura/agent.conf",
		"# comment\n[update]\n  source = https://a b \n[proxy]\nsource=http://p\r\nbroken\n[x\n=\n");
	char *path YG_AUTO(mem) = yg_str_format("%s/etc/yagura/agent.conf", root);
	json_t *conf YG_AUTO(yg_json) = yg_diagnose_config(path);
	assert_string_equal(json_string_value(json_object_get(conf, "update.source")),
		"https://a b");
	assert_string_equal(json_string_value(json_object_get(conf, "proxy.source")), "http://p");
	assert_int_equal(json_object_size(conf), 3);
	json_t *none YG_AUTO(yg_json) = yg_diagnose_config("/no/such/file");
	assert_int_equal(json_object_size(none), 0);
}

static void names(void **state)
{
	(void)state;
	static const struct {
		const char *local, *want;
	} cases[] = {
		{"'proxy.source':'joe:geheim@127.0.0.1:3128'", ""}, /* http:// may be left out */
		{"'proxy.source':'http://joe:gehe%2Fim@[::1]:3128'", ""},
		{"'proxy.source':'ftp://joe:geheim@127.0.0.1:3128'", "proxy.url"},
		{"'proxy.source':'http://joe:geheim@127.0.0.1'", "proxy.url"},
		{"'proxy.source':'http://joe:geheim@no-such-name.invalid:1'", "proxy.dns"},
		{"'update.source':'ftp://joe:geheim@127.0.0.1'", "net.url"},
		{"'update.source':'https://joe:ge/heim@127.0.0.1'", "net.url"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		size_t standing = 0;
		char have[300];
		char *text YG_AUTO(mem) = yg_str_format("{%s}", cases[i].local);
		json_t *local YG_AUTO(yg_json) = quoted(text, false);
		struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = yg_diagnosis_new(YG_LANG_EN, &err);
		yg_diagnose_names(d, NULL, local, NULL);
		json_t *result YG_AUTO(yg_json) = yg_diagnosis_result(d, &standing);
		char *said YG_AUTO(mem) = yg_json_text(result);
		causes_of(result, have, sizeof(have));
		if (strcmp(have, cases[i].want) != 0)
			fail_msg("%s: want '%s', have '%s'", cases[i].local, cases[i].want, have);
		assert_null(strstr(said, "heim"));
	}
}

static int make(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	put("etc/yagura/root.json", "{}");
	put(AGENT "state/session/spool", "");
	closed_session();
	return 0;
}

static int clear(void **state)
{
	(void)state;
	struct yg_err err = {0};
	return yg_fs_remove(AT_FDCWD, root, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says),
		cmocka_unit_test(what_lies_there),
		cmocka_unit_test(configuration),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, make, clear);
}
