/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/expiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/x509.h"
#include "manager/store/alerts.h"
#include "manager/store/licences.h"
#include "manager/store/store.h"

#define DAY_S      86400
#define EVERY_S    300
#define AGENTS_MAX 100 /* certificates of computers that are listed, the first to expire first */
#define CERTS_MAX  64  /* in a bundle */
#define LATE_DAYS  7   /* a certificate that renews itself has done so long before */

/* Who renews a thing, and how many days ahead that is worth a warning; 0 ends the list. */
struct rule {
	const char *by;
	int days[4];
};

static const struct rule person = {"person", {90, 30, 7}};
static const struct rule itself = {"itself", {LATE_DAYS}};

/* Metadata lives as long as the publisher signs it for: the preset is 365 days for root, 90 for targets, 14 for
 * snapshot and 7 for timestamp. A warning comes when the next signature is late, not as soon as the last is made.
 */
static const struct {
	const char *role; /* the last row is for all others, the delegated ones */
	struct rule rule;
} metadata[] = {
	{"root", {"publisher", {90, 30, 7}}},
	{"snapshot", {"publisher", {3}}},
	{"timestamp", {"publisher", {1}}},
	{NULL, {"publisher", {30, 7}}},
};

/* {id, what, name, ends, days_left, state, warned, renewed_by}; the calendar is a list of these. */
static int add(struct store *store, json_t *list, const char *id, const char *what,
	const char *name, int64_t ends, const struct rule *rule, struct yg_err *err)
{
	int64_t left = ends - store->clock_s;
	int warned = 0;
	for (size_t i = 0; rule->days[i] != 0; i++)
		if (left <= (int64_t)rule->days[i] * DAY_S)
			warned = rule->days[i];
	return store_add(list,
		json_pack("{s:s, s:s, s:s, s:o, s:I, s:s, s:i, s:s}", "id", id, "what", what,
			"name", name, "ends", store_time(ends), "days_left",
			(json_int_t)(left >= 0 ? left / DAY_S : -1 - (-left - 1) / DAY_S), "state",
			left <= 0        ? "expired"
				: warned ? "soon"
					 : "ok",
			"warned", left <= 0 ? 0 : warned, "renewed_by", rule->by),
		err);
}

static int licences(struct store *store, json_t *list, struct yg_err *err)
{
	json_t *groups YG_AUTO(yg_json) = NULL;
	size_t i;
	json_t *item;
	if (store_licences_for_agent(store, &groups, err) < 0)
		return -1;
	json_array_foreach(groups, i, item)
	{
		char id[80];
		int64_t ends = 0;
		const char *when = json_string_value(json_object_get(item, "ends"));
		const char *group = json_string_value(json_object_get(item, "group"));
		if (!when)
			continue;
		(void)snprintf(id, sizeof(id), "licence:%s", group);
		if (yg_clock_parse(when, &ends, err) < 0 ||
			add(store, list, id, "licence", group, ends, &person, err) < 0)
			return -1;
	}
	return 0;
}

/* Each certificate of a bundle. What cannot be read is not ours to judge here: it does not come in. */
static int bundle(struct store *store, json_t *list, const char *prefix, const char *pem,
	struct yg_err *err)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	size_t count = 0;
	for (const char *at = strstr(pem, begin); at && count < CERTS_MAX;
		at = strstr(at + 1, begin), count++) {
		struct yg_x509_info info;
		struct yg_err why = {0};
		char digits[17];
		char id[80];
		const char *next = strstr(at + 1, begin);
		struct yg_bytes one = {(const uint8_t *)at,
			next ? (size_t)(next - at) : strlen(at)};
		if (yg_x509_read(one, &info, &why) < 0)
			continue;
		yg_str_hex(info.sha256, 8, digits);
		(void)snprintf(id, sizeof(id), "%s:%s", prefix, digits);
		if (add(store, list, id, "ca", info.subject, info.not_after_s, &person, err) < 0)
			return -1;
	}
	return 0;
}

static int fact(struct store *store, const char *name, char **out, struct yg_err *err)
{
	struct yg_err absent = {0};
	if (store_fact_get(store, name, out, &absent) == 0 || absent.code == YG_EABSENT)
		return 0;
	*err = absent;
	return -1;
}

static int authorities(struct store *store, json_t *list, struct yg_err *err)
{
	char *own YG_AUTO(mem) = NULL;
	char *added YG_AUTO(mem) = NULL;
	if (fact(store, "ca_bundle", &own, err) < 0 ||
		(own && bundle(store, list, "ca:manager", own, err) < 0) ||
		store_setting_text(store, "source.ca", &added, err) < 0)
		return -1;
	return bundle(store, list, "ca:source", added, err);
}

/* {name: time} of a fact, each with the rule that its kind has. */
static int times(struct store *store, json_t *list, const char *name, const char *what,
	struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	if (fact(store, name, &text, err) < 0)
		return -1;
	json_t *all YG_AUTO(yg_json) = store_parse(text);
	const char *key;
	json_t *when;
	json_object_foreach(all, key, when)
	{
		char id[120];
		int64_t ends = 0;
		struct yg_err why = {0};
		size_t row = 0;
		if (yg_clock_parse(json_string_value(when) ? json_string_value(when) : "", &ends,
			    &why) < 0)
			continue;
		while (metadata[row].role && strcmp(metadata[row].role, key) != 0)
			row++;
		(void)snprintf(id, sizeof(id), "%s:%.80s", what, key);
		if (add(store, list, id, what, key, ends,
			    strcmp(what, "metadata") == 0 ? &metadata[row].rule : &itself, err) < 0)
			return -1;
	}
	return 0;
}

/* Those of computers renew themselves: listed are the first to expire. A computer that is offline cannot, and has
 * an alert for that already; what counts is whether it is there and did not.
 */
static int computers(struct store *store, json_t *list, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT c.id, c.name, k.not_after FROM computers c JOIN certificates k ON k.serial = c.serial "
		    "WHERE c.deleted = 0 ORDER BY k.not_after, c.id LIMIT $1",
		    YG_DB_ARGS(yg_db_int(AGENTS_MAX)), &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		char id[80];
		(void)snprintf(id, sizeof(id), "certificate:%s", yg_rows_text(rows, 0));
		if (add(store, list, id, "certificate", yg_rows_text(rows, 1), yg_rows_int(rows, 2),
			    &itself, err) < 0)
			return -1;
	}
	return more;
}

static int by_end(const void *a, const void *b)
{
	json_t *const *x = a;
	json_t *const *y = b;
	int order = strcmp(json_string_value(json_object_get(*x, "ends")),
		json_string_value(json_object_get(*y, "ends")));
	return order ? order
		     : strcmp(json_string_value(json_object_get(*x, "id")),
			       json_string_value(json_object_get(*y, "id")));
}

static int sorted(const json_t *list, json_t **out, struct yg_err *err)
{
	size_t count = json_array_size(list);
	json_t **all YG_AUTO(mem) = calloc(count + 1, sizeof(json_t *));
	json_t *made YG_AUTO(yg_json) = json_array();
	if (!all)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(list, i);
	qsort(all, count, sizeof(json_t *), by_end);
	for (size_t i = 0; i < count; i++)
		if (json_array_append(made, all[i]) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(made);
	return 0;
}

static int calendar(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	if (licences(store, list, err) < 0 || authorities(store, list, err) < 0 ||
		times(store, list, "certificates", "certificate", err) < 0 ||
		computers(store, list, err) < 0 ||
		times(store, list, "newest_expires", "metadata", err) < 0)
		return -1;
	return sorted(list, out, err);
}

int op_expiry_list(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *list YG_AUTO(yg_json) = NULL;
	if (calendar(store, &list, err) < 0)
		return -1;
	return store_give(json_pack("{s:O}", "items", list), out, err);
}

/* --- warnings ---------------------------------------------------------------------------- */

static int warn(struct store *store, const json_t *item, struct yg_err *err)
{
	const char *id = json_string_value(json_object_get(item, "id"));
	const char *state = json_string_value(json_object_get(item, "state"));
	json_t *params YG_AUTO(yg_json) = json_pack("{s:O, s:O, s:O}", "what",
		json_object_get(item, "what"), "name", json_object_get(item, "name"), "ends",
		json_object_get(item, "ends"));
	if (!params)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (strcmp(state, "expired") == 0)
		return store_alert_end(store, "expiry", id, "expired", err) < 0
			? -1
			: store_alert_raise(store, "expired", id, json_incref(params), err);
	if (store_alert_end(store, "expired", id, "renewed", err) < 0)
		return -1;
	if (strcmp(state, "ok") == 0)
		return store_alert_end(store, "expiry", id, "renewed", err);
	(void)json_object_set(params, "days", json_object_get(item, "warned"));
	return store_alert_raise(store, "expiry", id, json_incref(params), err);
}

/* What stands for something that is not in the calendar any more: it was removed. */
static int removed(struct store *store, const json_t *known, struct yg_err *err)
{
	static const char *const kinds[] = {"expiry", "expired"};
	for (size_t k = 0; k < YG_COUNT(kinds); k++) {
		json_t *ids YG_AUTO(yg_json) = NULL;
		size_t i;
		json_t *id;
		if (store_texts(store,
			    "SELECT subject FROM alerts WHERE kind = $1 AND ended IS NULL",
			    YG_DB_ARGS(yg_db_text(kinds[k])), &ids, err) < 0)
			return -1;
		json_array_foreach(ids, i, id) if (!json_object_get(known, json_string_value(id)) &&
			store_alert_end(store, kinds[k], json_string_value(id), "deleted", err) <
				0) return -1;
	}
	return 0;
}

int store_expiry_tick(struct store *store, struct yg_err *err)
{
	if (store->clock_s < store->next_expiry_s)
		return 0;
	json_t *list YG_AUTO(yg_json) = NULL;
	json_t *known YG_AUTO(yg_json) = json_object();
	size_t i;
	json_t *item;
	if (calendar(store, &list, err) < 0)
		return -1;
	json_array_foreach(list, i, item)
	{
		(void)json_object_set_new(known, json_string_value(json_object_get(item, "id")),
			json_true());
		if (warn(store, item, err) < 0)
			return -1;
	}
	if (removed(store, known, err) < 0)
		return -1;
	store->next_expiry_s = store->clock_s + EVERY_S;
	return 0;
}

int op_ca_issued(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *role;
	const char *until;
	int64_t ends = 0;
	char *text YG_AUTO(mem) = NULL;
	if (yg_json_str(args, "role", 32, &role, err) < 0 ||
		yg_json_str(args, "not_after", 32, &until, err) < 0 ||
		yg_clock_parse(until, &ends, err) < 0 ||
		fact(store, "certificates", &text, err) < 0)
		return -1;
	json_t *all YG_AUTO(yg_json) = text ? store_parse(text) : json_object();
	if (!json_is_object(all) || json_object_size(all) > 16 ||
		json_object_set_new(all, role, json_string(until)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	char *now YG_AUTO(mem) = yg_json_text(all);
	if (!now || store_fact_put(store, "certificates", now, err) < 0)
		return now ? -1 : yg_fail(err, YG_ESYSTEM, "out of memory");
	store->next_expiry_s = 0;
	return store_give(json_object(), out, err);
}
