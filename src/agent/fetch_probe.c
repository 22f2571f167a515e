/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/fetch_probe.h"

#include <string.h>

#include "agent/fetch_source.h"
#include "core/clock.h"
#include "core/json.h"
#include "net/probe.h"
#include "tuf/look.h"

#define TARGETS_MAX 16
#define ALL_MS      120000 /* no test begins after that */

static int look(void *ctx, struct yg_bytes body, char seen[YG_PROBE_SEEN], struct yg_err *err)
{
	(void)ctx;
	return yg_look_timestamp(body, yg_clock_now_s(), seen, YG_PROBE_SEEN, err);
}

static int probe_one(const json_t *target, const json_t *tls, json_t **out, struct yg_err *err)
{
	const char *what = NULL;
	struct fetch_source source = {0};
	char peer[FETCH_SOURCE_PEER];
	struct yg_tls trust = {0};
	if (yg_json_str(target, "what", 16, &what, err) < 0)
		return -1;
	json_t *own YG_AUTO(yg_json) = json_copy((json_t *)(uintptr_t)target);
	json_t *from YG_AUTO(yg_json) = json_copy(json_object_get(target, "source"));
	if (tls && from && strcmp(what, "source") != 0)
		(void)json_object_set(from, "tls", (json_t *)(uintptr_t)tls);
	(void)json_object_set(own, "source", from);
	if (fetch_source_parse(own, &source, err) < 0 ||
		fetch_source_tls(&source, peer, &trust, err) < 0)
		return -1;
	const struct yg_proxy proxy = fetch_source_proxy(&source);
	bool manager = strcmp(source.kind, "manager") == 0;
	const struct yg_probe probe = {.what = what,
		.url = source.url,
		.path = manager ? "agent/v1/ca" : YG_LOOK_PATH,
		.tls = &trust,
		.proxy = &proxy,
		.check = manager ? NULL : look};
	return yg_probe_run(&probe, out, err);
}

int fetch_probe(const json_t *body, json_t **out, struct yg_err *err)
{
	json_t *targets = NULL;
	json_t *tls = json_object_get(body, "tls");
	json_t *list YG_AUTO(yg_json) = json_array();
	const int64_t until_ms = yg_clock_mono_ms() + ALL_MS;
	if (yg_json_array(body, "targets", TARGETS_MAX, &targets, err) < 0 ||
		(tls && yg_json_object(body, "tls", &tls, err) < 0))
		return yg_wrap(err, "fetch.probe");
	for (size_t i = 0; i < json_array_size(targets); i++) {
		json_t *one = NULL;
		if (i > 0 && yg_clock_mono_ms() > until_ms)
			break;
		if (probe_one(json_array_get(targets, i), tls, &one, err) < 0)
			return yg_wrap(err, "fetch.probe: targets[%zu]", i);
		(void)json_array_append_new(list, one);
	}
	*out = json_pack("{s:O}", "targets", list);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "fetch.probe: out of memory");
}
