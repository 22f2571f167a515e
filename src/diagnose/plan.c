/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/plan.h"

#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "core/str.h"

#define CELL_MAX 1024 /* bytes */

enum note { NOTE_NONE, NOTE_MUTUAL, NOTE_SIGNED, NOTE_UNCHECKED, NOTE_SERVER };

static const char *const notes[][2] = {
	[NOTE_NONE] = {"", ""},
	[NOTE_MUTUAL] = {"TLS with certificates on both sides: do not inspect it",
		"相互TLS認証のため、TLS検査の対象から除外してください"},
	[NOTE_SIGNED] = {"Content is signed. If TLS is inspected, add the inspecting CA to the settings (source.ca)",
		"コンテンツは署名済みです。TLSを検査する場合は、検査用CAを設定 (source.ca) に追加してください"},
	[NOTE_UNCHECKED] =
		{"Content is signed. The certificate is not checked (the URL ends in //)",
			"コンテンツは署名済みです。URLの末尾が // のため、証明書は検証されません"},
	[NOTE_SERVER] = {"TLS with a certificate of the Manager's CA",
		"ManagerのCAが発行した証明書によるTLS"},
};

struct plan {
	enum yg_lang lang;
	const json_t *site;
	json_t *rows;
	struct yg_err *err;
};

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

__attribute__((format_arg(2), format_arg(3))) static const char *say(const struct plan *plan,
	const char *en, const char *ja)
{
	return plan->lang == YG_LANG_JA ? ja : en;
}

/* ---- where a URL leads ---- */

struct end {
	char host[300];
	char protocol[32];
	int64_t port;
	bool unchecked;
};

static int end_of(const char *url, struct end *out, struct yg_err *err)
{
	static const struct {
		const char *scheme, *protocol;
		int64_t port;
	} known[] = {{"https://", "TCP (HTTPS)", 443}, {"http://", "TCP (HTTP)", 80},
		{"socks5h://", "TCP (SOCKS5)", 1080}, {"socks5://", "TCP (SOCKS5)", 1080}};
	*out = (struct end){.port = 0};
	for (size_t i = 0; i < YG_COUNT(known); i++) {
		size_t scheme = strlen(known[i].scheme);
		if (strncmp(url, known[i].scheme, scheme) != 0)
			continue;
		const char *host = url + scheme;
		size_t len = strcspn(host, "/?#");
		const char *user = memchr(host, '@', len);
		if (user) {
			len -= (size_t)(user + 1 - host);
			host = user + 1;
		}
		size_t name = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
		if (name > len)
			name = len;
		uint64_t port = (uint64_t)known[i].port;
		char digits[8];
		if (name < len &&
			(!yg_str_put(digits, sizeof(digits), "%.*s", (int)(len - name - 1),
				 host + name + 1) ||
				yg_str_u64(digits, 65535, &port, err) < 0))
			return yg_fail(err, YG_EFORMAT, "'%s': not a URL", url);
		if (!yg_str_put(out->host, sizeof(out->host), "%.*s", (int)name, host) ||
			!yg_str_put(out->protocol, sizeof(out->protocol), "%s", known[i].protocol))
			break;
		size_t all = strlen(url);
		out->port = (int64_t)port;
		out->unchecked = all > scheme + 2 && url[all - 1] == '/' && url[all - 2] == '/';
		return 0;
	}
	return yg_fail(err, YG_EFORMAT, "'%s': not a URL", url);
}

/* ---- rows ---- */

static int add(struct plan *plan, const char *from, const struct end *to, const char *why,
	enum note note)
{
	json_t *row = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "from", from, "to", to->host,
		"port", (json_int_t)to->port, "protocol", to->protocol, "why", why, "note",
		notes[note][plan->lang]);
	size_t i;
	json_t *have;
	json_array_foreach(plan->rows, i, have)
	{
		if (json_equal(have, row)) {
			json_decref(row);
			return 0;
		}
	}
	return row && json_array_append_new(plan->rows, row) == 0
		? 0
		: yg_fail(plan->err, YG_ESYSTEM, "out of memory");
}

/* Straight, or by way of a proxy: then two connections, and the second is the proxy's. */
static int reach(struct plan *plan, const char *from, const char *proxy, const char *url,
	const char *why, enum note note)
{
	struct end to, by;
	char through[CELL_MAX], name[CELL_MAX];
	if (end_of(url, &to, plan->err) < 0)
		return -1;
	if (note == NOTE_SIGNED && to.unchecked)
		note = NOTE_UNCHECKED;
	if (!*proxy)
		return add(plan, from, &to, why, note);
	if (end_of(proxy, &by, plan->err) < 0)
		return -1;
	if (!yg_str_put(through, sizeof(through),
		    say(plan, "%s (proxy, on the way to %s)", "%s (%s宛て通信のプロキシ)"), why,
		    to.host) ||
		!yg_str_put(name, sizeof(name), say(plan, "Proxy %s", "プロキシ %s"), by.host))
		return yg_fail(plan->err, YG_ELIMIT, "a name is too long");
	return add(plan, from, &by, through, NOTE_NONE) < 0 ? -1 : add(plan, name, &to, why, note);
}

static const char *proxy_of(const struct plan *plan, const char *name)
{
	return member(json_object_get(plan->site, "proxies"), name);
}

/* ---- what there is ---- */

static int manager_rows(struct plan *plan)
{
	const json_t *manager = json_object_get(plan->site, "manager");
	const json_t *database = json_object_get(plan->site, "database");
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(manager, "names"), i, name)
	{
		struct end to = {.protocol = "TCP (HTTPS)",
			.port = json_integer_value(json_object_get(manager, "agent_port"))};
		if (!yg_str_put(to.host, sizeof(to.host), "Manager %s", json_string_value(name)))
			continue;
		if (add(plan,
			    say(plan, "All computers (agents, relays)",
				    "すべてのコンピュータ (Agent、Relay)"),
			    &to,
			    say(plan, "Activation, heartbeat, commands, events, policies",
				    "有効化、ハートビート、コマンド、イベント、ポリシー"),
			    NOTE_MUTUAL) < 0)
			return -1;
		to.port = json_integer_value(json_object_get(manager, "web_port"));
		if (add(plan, say(plan, "Computers of administrators", "管理者の端末"), &to,
			    say(plan, "REST API and command line", "REST API、コマンドライン"),
			    NOTE_SERVER) < 0)
			return -1;
	}
	if (!database)
		return 0;
	struct end to = {.protocol = "TCP (PostgreSQL)",
		.port = json_integer_value(json_object_get(database, "port"))};
	if (!yg_str_put(to.host, sizeof(to.host), "%s", member(database, "host")))
		return yg_fail(plan->err, YG_ELIMIT, "the database's name is too long");
	return add(plan, "Manager", &to,
		say(plan, "Database of the Manager", "Managerのデータベース"), NOTE_NONE);
}

static const json_t *group_of(const struct plan *plan, const char *id)
{
	size_t i;
	json_t *group;
	json_array_foreach(json_object_get(plan->site, "groups"), i, group)
	{
		if (strcmp(member(group, "id"), id) == 0)
			return group;
	}
	return NULL;
}

/* The group whose relays serve: itself, or the nearest above that has some; NULL: the update source. */
static const json_t *serving(const struct plan *plan, const json_t *group)
{
	for (int depth = 0; group && depth < 16; depth++) {
		if (json_array_size(json_object_get(group, "relays")) > 0)
			return group;
		group = group_of(plan, member(group, "parent"));
	}
	return NULL;
}

static int to_relays(struct plan *plan, const char *from, const json_t *group, const char *why)
{
	size_t i, k;
	json_t *relay, *url;
	json_array_foreach(json_object_get(group, "relays"), i, relay)
	{
		json_array_foreach(json_object_get(relay, "urls"), k, url)
		{
			if (reach(plan, from, proxy_of(plan, "agent_relay"), json_string_value(url),
				    why, NOTE_MUTUAL) < 0)
				return -1;
		}
	}
	return 0;
}

/* A load balancer stands before relays, which must be reached by it too. */
static int by_balancer(struct plan *plan, const char *from, const char *balancer,
	const json_t *group, const char *why)
{
	size_t i, k;
	json_t *relay, *url;
	if (reach(plan, from, proxy_of(plan, "agent_relay"), balancer, why, NOTE_MUTUAL) < 0)
		return -1;
	json_array_foreach(json_object_get(group, "relays"), i, relay)
	{
		json_array_foreach(json_object_get(relay, "urls"), k, url)
		{
			if (reach(plan, say(plan, "Load balancer", "ロードバランサ"), "",
				    json_string_value(url),
				    say(plan, "Passes connections on to relays",
					    "Relayへの振り分け"),
				    NOTE_MUTUAL) < 0)
				return -1;
		}
	}
	return 0;
}

static int group_rows(struct plan *plan, const json_t *group, bool *direct)
{
	char agents[CELL_MAX], relays[CELL_MAX];
	const char *source = member(json_object_get(plan->site, "source"), "url");
	const char *balancer = member(plan->site, "load_balancer");
	const char *fetch = say(plan, "Security updates", "セキュリティアップデートの取得");
	json_int_t computers = json_integer_value(json_object_get(group, "computers"));
	const json_t *from = serving(plan, group);
	const json_t *above = serving(plan, group_of(plan, member(group, "parent")));
	if (!yg_str_put(agents, sizeof(agents),
		    say(plan, "Agents of relay group %s (%lld computers)",
			    "Relayグループ %s のAgent (%lld台)"),
		    member(group, "name"), (long long)computers) ||
		!yg_str_put(relays, sizeof(relays),
			say(plan, "Relays of relay group %s", "Relayグループ %s のRelay"),
			member(group, "name")))
		return yg_fail(plan->err, YG_ELIMIT, "a relay group's name is too long");
	if (computers > 0 && from &&
		(*balancer ? by_balancer(plan, agents, balancer, from, fetch)
			   : to_relays(plan, agents, from, fetch)) < 0)
		return -1;
	*direct |= computers > 0 && !from;
	if (json_array_size(json_object_get(group, "relays")) == 0)
		return 0;
	if (above)
		return to_relays(plan, relays, above,
			say(plan, "Security updates from the group above",
				"上位グループからのセキュリティアップデートの取得"));
	return *source
		? reach(plan, relays, proxy_of(plan, "relay_source"), source, fetch, NOTE_SIGNED)
		: 0;
}

static int source_rows(struct plan *plan, bool needed)
{
	const char *source = member(json_object_get(plan->site, "source"), "url");
	bool allowed = json_is_true(json_object_get(plan->site, "direct"));
	if (!*source)
		return 0;
	if ((allowed || needed) &&
		reach(plan, say(plan, "All agents", "すべてのAgent"),
			proxy_of(plan, "agent_source"), source,
			needed ? say(plan, "Security updates of groups without a relay",
					 "Relayのないグループのセキュリティアップデートの取得")
			       : say(plan,
					 "Security updates when no relay is reachable (direct_fallback)",
					 "Relayに接続できない場合のセキュリティアップデートの取得 (direct_fallback)"),
			NOTE_SIGNED) < 0)
		return -1;
	return reach(plan, "Manager", proxy_of(plan, "manager"), source,
		say(plan, "Look for new components", "新しいコンポーネントの確認"), NOTE_SIGNED);
}

static int manager_to_relays(struct plan *plan)
{
	size_t i;
	json_t *group;
	json_array_foreach(json_object_get(plan->site, "groups"), i, group)
	{
		if (to_relays(plan, "Manager", group,
			    say(plan,
				    "Look for new components when the source cannot be reached; tests",
				    "アップデート元に接続できない場合の新しいコンポーネントの確認、接続テスト")) <
			0)
			return -1;
	}
	return 0;
}

static int common_rows(struct plan *plan)
{
	const char *all = say(plan, "Manager and all computers", "Managerとすべてのコンピュータ");
	struct end dns = {.protocol = "UDP/TCP (DNS)", .port = 53};
	struct end ntp = {.protocol = "UDP (NTP)", .port = 123};
	if (!yg_str_put(dns.host, sizeof(dns.host), "%s", say(plan, "DNS servers", "DNSサーバ")) ||
		!yg_str_put(ntp.host, sizeof(ntp.host), "%s",
			say(plan, "NTP servers", "NTPサーバ")))
		return -1;
	return add(plan, all, &dns,
		       say(plan, "Names of the destinations above", "上記の接続先の名前解決"),
		       NOTE_NONE) < 0
		? -1
		: add(plan, all, &ntp,
			  say(plan, "Clocks: certificates and signatures have end dates",
				  "時刻同期 (証明書と署名の有効期限の判定に必要)"),
			  NOTE_NONE);
}

int yg_plan_make(const json_t *site, enum yg_lang lang, json_t **out, struct yg_err *err)
{
	json_t *rows YG_AUTO(yg_json) = json_array();
	struct plan plan = {lang, site, rows, err};
	bool direct = false;
	size_t i;
	json_t *group;
	if (!rows)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (manager_rows(&plan) < 0)
		return -1;
	json_array_foreach(json_object_get(site, "groups"), i, group)
	{
		if (group_rows(&plan, group, &direct) < 0)
			return -1;
	}
	if (source_rows(&plan, direct) < 0 || manager_to_relays(&plan) < 0 ||
		common_rows(&plan) < 0)
		return -1;
	*out = yg_take(rows);
	return 0;
}

/* ---- as text ---- */

static const struct {
	const char *name, *title[2];
} columns[] = {
	{"from", {"Source", "送信元"}},
	{"to", {"Destination", "宛先"}},
	{"port", {"Port", "ポート"}},
	{"protocol", {"Protocol", "プロトコル"}},
	{"why", {"Purpose", "用途"}},
	{"note", {"Note", "備考"}},
};

static int cell_text(const json_t *value, char out[CELL_MAX])
{
	if (json_is_integer(value))
		return yg_str_put(out, CELL_MAX, "%lld", (long long)json_integer_value(value)) ? 0
											       : -1;
	const char *text = json_string_value(value);
	return yg_str_put(out, CELL_MAX, "%s", text ? text : "") ? 0 : -1;
}

/* RFC 4180; and what a spreadsheet would run is text. */
static int csv_cell(const char *text, bool first, struct yg_buf *out, struct yg_err *err)
{
	bool formula = *text && strchr("=+-@\t", *text);
	if (yg_str_addf(out, err, "%s\"%s", first ? "" : ",", formula ? "'" : "") < 0)
		return -1;
	for (; *text; text++)
		if (yg_buf_add(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, err) < 0)
			return -1;
	return yg_buf_add(out, "\"", 1, err);
}

static int md_cell(const char *text, struct yg_buf *out, struct yg_err *err)
{
	if (yg_buf_add(out, "| ", 2, err) < 0)
		return -1;
	for (; *text; text++)
		if ((strchr("|\\`<", *text) && yg_buf_add(out, "\\", 1, err) < 0) ||
			yg_buf_add(out, *text == '\n' ? " " : text, 1, err) < 0)
			return -1;
	return yg_buf_add(out, " ", 1, err);
}

static int line(const json_t *row, enum yg_plan_form form, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(columns); i++) {
		char text[CELL_MAX];
		if (!row && !yg_str_put(text, sizeof(text), "%s", columns[i].title[lang]))
			return -1;
		if (row && cell_text(json_object_get(row, columns[i].name), text) < 0)
			return yg_fail(err, YG_ELIMIT, "a cell is too long");
		if ((form == YG_PLAN_CSV ? csv_cell(text, i == 0, out, err)
					 : md_cell(text, out, err)) < 0)
			return -1;
	}
	return form == YG_PLAN_CSV ? yg_buf_add(out, "\r\n", 2, err)
				   : yg_buf_add(out, "|\n", 2, err);
}

static int heading(enum yg_lang lang, const char *time, struct yg_buf *out, struct yg_err *err)
{
	if (lang == YG_LANG_JA)
		return yg_str_addf(out, err,
			"# Yagura ネットワーク通信一覧\n\n作成日時: %s。接続はすべて「送信元」から開始されます。"
			"ManagerからAgentへの接続、およびAgentでの受信ポートの開放は不要です (Relayを除く)。\n\n",
			time);
	return yg_str_addf(out, err,
		"# Yagura network plan\n\nMade %s. Every connection is opened by its source. The Manager never "
		"connects to agents, and agents need no open port (but for relays).\n\n",
		time);
}

int yg_plan_text(const json_t *rows, enum yg_plan_form form, enum yg_lang lang, const char *time,
	struct yg_buf *out, struct yg_err *err)
{
	size_t i;
	json_t *row;
	if ((form == YG_PLAN_CSV ? yg_buf_add(out, "\xef\xbb\xbf", 3, err)
				 : heading(lang, time, out, err)) < 0 ||
		line(NULL, form, lang, out, err) < 0)
		return -1;
	if (form == YG_PLAN_MARKDOWN && yg_str_addf(out, err, "|---|---|---|---|---|---|\n") < 0)
		return -1;
	json_array_foreach(rows, i, row)
	{
		if (line(row, form, lang, out, err) < 0)
			return -1;
	}
	return 0;
}
