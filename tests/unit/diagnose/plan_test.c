/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/plan.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define MANAGER "'manager':{'names':['m1'],'web_port':4119,'agent_port':4120}"
#define GROUP(id, parent, n, relays)                                                               \
	"{'id':'" id "','name':'" id "','parent':'" parent "','computers':" #n                     \
	",'relays':[" relays "]}"
#define RELAY(url) "{'name':'r','urls':['" url "']}"

/* "from > to:port" of every row, apart by line feeds, without those that every plan has. */
static const struct row {
	const char *name, *site, *want;
} rows[] = {
	{"nothing but a Manager", "{" MANAGER "}", ""},
	{"one relay",
		"{" MANAGER ",'source':{'url':'https://src/r'},'groups':[" GROUP("g", "", 3,
			RELAY("https://10.0.0.5:4122")) "]}",
		"Agents of relay group g (3 computers) > 10.0.0.5:4122\n"
		"Relays of relay group g > src:443\n"
		"Manager > src:443\n"
		"Manager > 10.0.0.5:4122\n"},
	{"a proxy before the source is two connections",
		"{" MANAGER
		",'source':{'url':'https://src'},'proxies':{'relay_source':'http://px:3128'},'groups':[" GROUP(
			"g", "", 0, RELAY("https://r1")) "]}",
		"Relays of relay group g > px:3128\n"
		"Proxy px > src:443\n"
		"Manager > src:443\n"
		"Manager > r1:443\n"},
	{"a lower group takes from the one above, by way of one without a relay",
		"{" MANAGER ",'groups':[" GROUP("top", "", 0,
			RELAY("https://r1:4122")) "," GROUP("mid", "top", 0, "") "," GROUP("low",
			"mid", 2, RELAY("https://r2:4122")) "," GROUP("none", "mid", 5, "") "]}",
		"Agents of relay group low (2 computers) > r2:4122\n"
		"Relays of relay group low > r1:4122\n"
		"Agents of relay group none (5 computers) > r1:4122\n"
		"Manager > r1:4122\n"
		"Manager > r2:4122\n"},
	{"no relay up to the top: the source",
		"{" MANAGER
		",'source':{'url':'http://src:8080//'},'groups':[" GROUP("g", "", 4, "") "]}",
		"All agents > src:8080\n"
		"Manager > src:8080\n"},
	{"straight to the source when that is allowed",
		"{" MANAGER
		",'source':{'url':'https://src'},'direct':true,'proxies':{'agent_source':'socks5h://sx'},'groups':[" GROUP(
			"g", "", 1, RELAY("https://[fd00::5]:4122")) "]}",
		"Agents of relay group g (1 computers) > [fd00::5]:4122\n"
		"Relays of relay group g > src:443\n"
		"All agents > sx:1080\n"
		"Proxy sx > src:443\n"
		"Manager > src:443\n"
		"Manager > [fd00::5]:4122\n"},
	{"a load balancer",
		"{" MANAGER ",'load_balancer':'https://lb:4122','groups':[" GROUP("g", "", 1,
			RELAY("https://r1:4122")) "]}",
		"Agents of relay group g (1 computers) > lb:4122\n"
		"Load balancer > r1:4122\n"
		"Manager > r1:4122\n"},
	{"a database elsewhere", "{" MANAGER ",'database':{'host':'db','port':5432}}",
		"Manager > db:5432\n"},
};

static json_t *site_of(const char *text)
{
	char *json YG_AUTO(mem) = yg_str_format("%s", text);
	struct yg_err err = {0};
	json_t *site = NULL;
	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	if (yg_json_parse(yg_bytes_of(json), 65536, &site, &err) < 0)
		fail_msg("%s: %s", json, err.msg);
	return site;
}

static void who_reaches_whom(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(65536);
		json_t *plan YG_AUTO(yg_json) = NULL;
		json_t *site YG_AUTO(yg_json) = site_of(rows[i].site);
		assert_int_equal(yg_plan_make(site, YG_LANG_EN, &plan, &err), 0);
		size_t k;
		json_t *row;
		json_array_foreach(plan, k, row)
		{
			const char *to = json_string_value(json_object_get(row, "to"));
			if (k < 2 || strstr(to, "servers"))
				continue;
			assert_int_equal(yg_str_addf(&have, &err, "%s > %s:%lld\n",
						 json_string_value(json_object_get(row, "from")),
						 to,
						 (long long)json_integer_value(
							 json_object_get(row, "port"))),
				0);
		}
		assert_int_equal(yg_buf_add(&have, "", 1, &err), 0);
		if (strcmp((const char *)have.data, rows[i].want) != 0)
			fail_msg("%s: want\n%shave\n%s", rows[i].name, rows[i].want,
				(const char *)have.data);
	}
}

static void bad_addresses(void **state)
{
	(void)state;
	static const char *const urls[] = {"", "ftp://x", "https://x:99999",
		"https://x:", "relay:4122"};
	for (size_t i = 0; i < YG_COUNT(urls); i++) {
		struct yg_err err = {0};
		json_t *plan = NULL;
		char *text YG_AUTO(mem) = yg_str_format("{" MANAGER ",'groups':[" GROUP("g", "", 1,
								"{'name':'r','urls':['%s']}") "]}",
			urls[i]);
		json_t *site YG_AUTO(yg_json) = site_of(text);
		assert_int_equal(yg_plan_make(site, YG_LANG_JA, &plan, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
		assert_null(plan);
	}
}

/* What a spreadsheet opens, in Japanese too, and never runs; what Markdown shows as it is. */
static void as_text(void **state)
{
	(void)state;
	struct yg_err err = {0};
	json_t *plan YG_AUTO(yg_json) = json_pack("[{s:s, s:s, s:i, s:s, s:s, s:s}]", "from",
		"=cmd|' /C calc'!A0", "to", "a \"quoted\" name", "port", 443, "protocol", "TCP",
		"why", "a|b", "note", "");
	struct yg_buf csv YG_AUTO(yg_buf) = YG_BUF(65536), md YG_AUTO(yg_buf) = YG_BUF(65536);
	assert_int_equal(yg_plan_text(plan, YG_PLAN_CSV, YG_LANG_JA, "now", &csv, &err), 0);
	assert_int_equal(yg_plan_text(plan, YG_PLAN_MARKDOWN, YG_LANG_EN, "now", &md, &err), 0);
	assert_int_equal(yg_buf_add(&csv, "", 1, &err) + yg_buf_add(&md, "", 1, &err), 0);
	assert_string_equal((const char *)csv.data,
		"\xef\xbb\xbf\"送信元\",\"宛先\",\"ポート\",\"プロトコル\",\"用途\",\"備考\"\r\n"
		"\"'=cmd|' /C calc'!A0\",\"a \"\"quoted\"\" name\",\"443\",\"TCP\",\"a|b\",\"\"\r\n");
	assert_non_null(strstr((const char *)md.data, "| Source | Destination | Port |"));
	assert_non_null(strstr((const char *)md.data, "| 443 | TCP | a\\|b |"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_reaches_whom),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
