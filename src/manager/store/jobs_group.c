/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tree of relay groups as a job sees it: only groups that have relays, and what it was when the job was made. */

#define DEPTH_MAX 100 /* a tree deeper than that is none */

int job_tree(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *tree YG_AUTO(yg_json) = json_object();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT t.id, t.name, coalesce(t.parent, ''), (SELECT count(*) FROM computers c WHERE " JOB_IS_RELAY
		    " AND " JOB_GROUP_OF " = t.id) FROM relay_groups t",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (json_object_set_new(tree, yg_rows_text(rows, 0),
			    json_pack("{s:s, s:s, s:I}", "name", yg_rows_text(rows, 1), "parent",
				    yg_rows_text(rows, 2), "relays",
				    (json_int_t)yg_rows_int(rows, 3))) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (more < 0)
		return -1;
	*out = yg_take(tree);
	return 0;
}

static const char *member(const json_t *tree, const char *group, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(tree, group), name));
	return text ? text : "";
}

static bool has_relays(const json_t *tree, const char *group)
{
	return json_integer_value(json_object_get(json_object_get(tree, group), "relays")) > 0;
}

const char *job_tree_serving(const json_t *tree, const char *group)
{
	const char *at = group;
	for (int depth = 0; at[0] != '\0' && depth < DEPTH_MAX; depth++) {
		if (has_relays(tree, at))
			return at;
		at = member(tree, at, "parent");
	}
	return group;
}

/* The next one above that has relays, or "". */
static const char *parent_of(const json_t *tree, const char *group)
{
	const char *serving = job_tree_serving(tree, member(tree, group, "parent"));
	return has_relays(tree, serving) ? serving : "";
}

static int add_group(struct store *store, const struct job *job, const json_t *tree,
	const char *group, struct yg_err *err)
{
	int64_t depth = 0;
	bool relays = job->relays && has_relays(tree, group);
	const char *parent = relays ? parent_of(tree, group) : "";
	for (const char *at = parent; at[0] != '\0' && depth < DEPTH_MAX; at = parent_of(tree, at))
		depth++;
	return yg_db_exec(store->db,
		"INSERT INTO job_groups (job, in_group, name, parent, depth, relays, state, aim, cause, sentence) "
		"VALUES ($1, $2, $3, $4, $5, $6, 'waiting', '', '', '')",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group),
			yg_db_text(member(tree, group, "name")), yg_db_text(parent),
			yg_db_int(depth), yg_db_int(relays)),
		NULL, err);
}

int job_groups_make(struct store *store, const struct job *job, const json_t *tree, json_t *wanted,
	struct yg_err *err)
{
	json_t *all YG_AUTO(yg_json) = json_object();
	const char *id;
	json_t *unused;
	json_object_foreach(wanted, id, unused)
	{
		const char *at = id;
		for (int depth = 0; depth < DEPTH_MAX; depth++) {
			if (json_object_get(all, at))
				break;
			if (json_object_set_new(all, at, json_true()) < 0)
				return yg_fail(err, YG_ESYSTEM, "out of memory");
			if (add_group(store, job, tree, at, err) < 0)
				return -1;
			at = job->relays ? parent_of(tree, at) : "";
			if (at[0] == '\0')
				break;
		}
	}
	return 0;
}

void job_groups_free_at(struct job_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->list[i].sentence);
	free(groups->list);
}

int job_groups_load(struct store *store, const struct job *job, struct job_groups *out,
	struct yg_err *err)
{
	int64_t many = 0;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_number(store->db, "SELECT count(*) FROM job_groups WHERE job = $1",
		    YG_DB_ARGS(yg_db_text(job->id)), &many, err) < 0 ||
		yg_db_query(store->db,
			"SELECT in_group, name, parent, state, aim, cause, sentence, relays FROM job_groups WHERE job "
			"= $1 ORDER BY depth, name, in_group",
			YG_DB_ARGS(yg_db_text(job->id)), &rows, err) < 0)
		return -1;
	struct job_groups groups YG_AUTO(job_groups) = {0};
	groups.list = calloc((size_t)many + 1, sizeof(*groups.list));
	if (!groups.list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int more = 0;
	while (groups.count < (size_t)many && (more = yg_rows_next(rows, err)) > 0) {
		struct job_group *group = &groups.list[groups.count++];
		(void)snprintf(group->id, sizeof(group->id), "%s", yg_rows_text(rows, 0));
		(void)snprintf(group->name, sizeof(group->name), "%s", yg_rows_text(rows, 1));
		(void)snprintf(group->parent, sizeof(group->parent), "%s", yg_rows_text(rows, 2));
		(void)snprintf(group->state, sizeof(group->state), "%s", yg_rows_text(rows, 3));
		(void)snprintf(group->aim, sizeof(group->aim), "%s", yg_rows_text(rows, 4));
		(void)snprintf(group->cause, sizeof(group->cause), "%s", yg_rows_text(rows, 5));
		group->sentence = strdup(yg_rows_text(rows, 6));
		group->relays = yg_rows_int(rows, 7) != 0;
		if (!group->sentence)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	if (more < 0)
		return -1;
	*out = groups;
	groups = (struct job_groups){0};
	return 0;
}

int job_group_save(struct store *store, const struct job *job, struct job_group *group,
	const char *sentence, struct yg_err *err)
{
	if (sentence) {
		char *copy = strdup(sentence); /* it may be this group's own */
		if (!copy)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		free(group->sentence);
		group->sentence = copy;
	}
	return yg_db_exec(store->db,
		"UPDATE job_groups SET state = $3, aim = $4, cause = $5, sentence = $6 WHERE job = $1 AND in_group "
		"= $2",
		YG_DB_ARGS(yg_db_text(job->id), yg_db_text(group->id), yg_db_text(group->state),
			yg_db_text(group->aim), yg_db_text(group->cause),
			yg_db_text(group->sentence)),
		NULL, err);
}
