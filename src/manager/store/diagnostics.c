/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/diagnostics.h"

#include <string.h>

#include "core/str.h"

#define PAGE_ITEMS   500
#define EVENT_MADE   20140
#define JOBS_IN_FULL 20  /* the newest, with results of computers: */
#define RESULTS_MAX  500 /* of each, those that did not succeed first */

/* In the order of what helps most. None of these operations gives a secret away. */
static const struct {
	const char *op, *file;
	size_t pages; /* at most; 0: no list */
} parts[] = {
	{"status.get", "status.json", 0},
	{"diagnosis.get", "diagnosis.json", 0},
	{"settings.get", "settings.json", 0},
	{"alerts.list", "alerts.json", 4},
	{"events.search", "events.json", 4},
	{"jobs.list", "jobs.json", 1},
	{"relay_groups.list", "relay-groups.json", 4},
	{"tasks.list", "tasks.json", 1},
	{"licences.list", "licences.json", 1},
	{"expiry.list", "expiry.json", 1},
	{"components.list", "components.json", 0},
	{"network_plan.get", "network-plan.json", 0},
	{"computers.list", "computers.json", 10},
	{"policies.list", "policies.json", 1},
	{"tokens.list", "tokens.json", 1},
	{"keys.list", "keys.json", 1},
};

static const struct store_op *find(const char *name)
{
	for (const struct store_op *op = store_ops; op->name; op++)
		if (strcmp(op->name, name) == 0)
			return op;
	return NULL;
}

static int add(json_t *files, const char *name, json_t *value, struct yg_err *err)
{
	return store_add(files, json_pack("{s:s,s:o}", "name", name, "value", value), err);
}

/* All pages of a list, up to so many, as one array. */
static int add_list(struct store *store, const struct store_asker *asker, const struct store_op *op,
	size_t pages, json_t **out, struct yg_err *err)
{
	json_t *items YG_AUTO(yg_json) = json_array();
	json_t *cursor YG_AUTO(yg_json) = NULL;
	for (size_t page = 0; page < pages && (page == 0 || json_is_string(cursor)); page++) {
		json_t *one YG_AUTO(yg_json) = NULL;
		json_t *args YG_AUTO(yg_json) = json_pack("{s:i}", "limit", PAGE_ITEMS);
		if (cursor)
			(void)json_object_set(args, "cursor", cursor);
		if (op->run(store, asker, args, &one, err) < 0)
			return -1;
		(void)json_array_extend(items, json_object_get(one, "items"));
		json_decref(cursor);
		cursor = json_incref(json_object_get(one, "next"));
	}
	*out = yg_take(items);
	return 0;
}

static int add_part(struct store *store, const struct store_asker *asker, const char *name,
	const char *file, size_t pages, json_t *files, struct yg_err *err)
{
	const struct store_op *op = find(name);
	json_t *none YG_AUTO(yg_json) = json_object();
	json_t *value = NULL;
	if (!op)
		return 0;
	int rc = pages > 0 ? add_list(store, asker, op, pages, &value, err)
			   : op->run(store, asker, none, &value, err);
	if (rc < 0)
		return yg_wrap(err, "%s", name);
	return add(files, file, value, err);
}

static int add_jobs(struct store *store, const struct store_asker *asker, json_t *files,
	struct yg_err *err)
{
	const struct store_op *list = find("jobs.list");
	json_t *args YG_AUTO(yg_json) = json_pack("{s:i}", "limit", JOBS_IN_FULL);
	json_t *newest YG_AUTO(yg_json) = NULL;
	json_t *full YG_AUTO(yg_json) = json_array();
	size_t i;
	json_t *job;
	if (!list)
		return 0;
	if (list->run(store, asker, args, &newest, err) < 0)
		return -1;
	json_array_foreach(json_object_get(newest, "items"), i, job)
	{
		json_t *one = NULL;
		const char *id = json_string_value(json_object_get(job, "id"));
		if (store_job_show(store, id, asker->lang, RESULTS_MAX, &one, err) < 0)
			return -1;
		if (json_array_append_new(full, one) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return add(files, "jobs-in-full.json", yg_take(full), err);
}

/* {"rings":[{"name","text"}],"host":[…]}: each becomes a file of its folder. */
static int add_outside(struct store *store, json_t *files, struct yg_err *err)
{
	static const char *const kinds[] = {"rings", "host"};
	struct yg_err why = {0};
	json_t *outside YG_AUTO(yg_json) = NULL;
	if (!store->outside)
		return 0;
	if (store->outside(store->outside_ctx, &outside, &why) < 0)
		return add(files, "ring/why.json", json_pack("{s:s}", "absent", why.msg), err);
	for (size_t k = 0; k < YG_COUNT(kinds); k++) {
		size_t i;
		json_t *one;
		json_array_foreach(json_object_get(outside, kinds[k]), i, one)
		{
			const char *name = json_string_value(json_object_get(one, "name"));
			char *path YG_AUTO(mem) = k == 0 ? yg_str_format("ring/%s.log", name)
							 : yg_str_format("host/%s", name);
			if (store_add(files,
				    json_pack("{s:s,s:O}", "name", path, "text",
					    json_object_get(one, "text")),
				    err) < 0)
				return -1;
		}
	}
	return 0;
}

int op_diagnostics_collect(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	json_t *files YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < YG_COUNT(parts); i++)
		if (add_part(store, asker, parts[i].op, parts[i].file, parts[i].pages, files, err) <
			0)
			return -1;
	if (add_jobs(store, asker, files, err) < 0 || add_outside(store, files, err) < 0 ||
		store_event(store, EVENT_MADE, NULL, NULL, json_pack("{s:s}", "who", asker->name),
			err) < 0)
		return -1;
	return store_give(json_pack("{s:O}", "files", files), out, err);
}
