/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "core/str.h"
#include "diagnose/agent.h"
#include "net/failure.h"
#include "net/proxy.h"
#include "net/resolve.h"
#include "net/url.h"

#define NAMES_MAX 32
#define WAIT_MS   5000

/* Each name is asked for once, whoever uses it. */
struct names {
	struct yg_diagnosis *d;
	char asked[NAMES_MAX][256];
	size_t count;
	bool bad;
};

/* The host and port of an address. errors  with a cause, without credentials in the text */
static int read_address(const char *text, bool proxy, char host[256], uint16_t *port,
	struct yg_err *err)
{
	struct yg_proxy_at at;
	struct yg_url url;
	if (!proxy) {
		if (yg_url_parse(text, &url, err) < 0 || !yg_str_put(host, 256, "%s", url.host))
			return -1;
		*port = url.port;
		return 0;
	}
	if (yg_proxy_parse(text, &at, err) < 0)
		return -1;
	explicit_bzero(at.password, sizeof(at.password));
	memcpy(host, at.host, sizeof(at.host));
	*port = at.port;
	return 0;
}

static void ask(struct names *names, const char *text, bool proxy)
{
	char host[256];
	uint16_t port = 0;
	struct yg_err err = {0};
	struct yg_resolved answer = {0};
	if (!text || !*text)
		return;
	if (read_address(text, proxy, host, &port, &err) < 0) {
		yg_diagnosis_bad(names->d, "names", err.cause, "%s", err.msg);
		names->bad = true;
		return;
	}
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->asked[i], host) == 0)
			return;
	if (names->count == NAMES_MAX)
		return;
	memcpy(names->asked[names->count++], host, sizeof(host));
	if (yg_resolve_wait(host, port, WAIT_MS, &answer, &err) < 0 || answer.error == 0)
		return;
	names->bad = true;
	const char *cause = NULL;
	const char *why = yg_failure_name(answer.error, answer.sys, &cause);
	yg_diagnosis_bad(names->d, "names", proxy ? "proxy.dns" : cause, "%s: %s", host, why);
}

static void ask_relays(struct names *names, const json_t *relays)
{
	size_t i, k;
	json_t *relay, *url;
	json_array_foreach(relays, i, relay)
	{
		json_array_foreach(json_object_get(relay, "urls"), k, url)
		{
			ask(names, json_string_value(url), false);
		}
	}
}

void yg_diagnose_names(struct yg_diagnosis *d, const json_t *settings, const json_t *local,
	const char *manager)
{
	struct names names = {.d = d};
	static const char *const proxies[] = {"relay", "source", "relay_source"};
	static const char *const local_proxies[] = {"manager", "relay", "source"};
	ask(&names, manager, false);
	ask_relays(&names, json_object_get(settings, "relays"));
	ask_relays(&names, json_object_get(settings, "parents"));
	ask(&names, json_string_value(json_object_get(json_object_get(settings, "source"), "url")),
		false);
	for (size_t i = 0; i < YG_COUNT(proxies); i++)
		ask(&names,
			json_string_value(json_object_get(
				json_object_get(json_object_get(settings, "proxies"), proxies[i]),
				"url")),
			true);
	ask(&names, json_string_value(json_object_get(local, "update.source")), false);
	for (size_t i = 0; i < YG_COUNT(local_proxies); i++) {
		char name[32];
		if (yg_str_put(name, sizeof(name), "proxy.%s", local_proxies[i]))
			ask(&names, json_string_value(json_object_get(local, name)), true);
	}
	if (names.count > 0 && !names.bad)
		yg_diagnosis_good(d, "names",
			yg_diagnosis_say(d, "%zu names resolve", "%zu件の名前を解決できます"),
			names.count);
}
