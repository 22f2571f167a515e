/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/resign.h"

#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "publisher/root.h"

static int resign_root(const struct command *command, struct repo *repo, json_t **out,
	struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = json_deep_copy(repo->root->body);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return root_propose(command, repo, body, out, err);
}

static int resign_targets(struct repo *repo, const char *role, struct yg_err *err)
{
	if (strcmp(role, "targets") == 0)
		return repo_stage(repo, role, repo->root, repo->targets->body,
			repo->targets->version + 1, err);
	struct yg_meta *meta YG_AUTO(yg_meta) = repo_role(repo, role, err);
	if (!meta)
		return -1;
	return repo_stage(repo, role, repo->targets, meta->body, meta->version + 1, err);
}

/* ---- when it runs out ---- */

static int expiry(const struct repo *repo, const char *role, int64_t *out, struct yg_err *err)
{
	const struct yg_meta *meta = strcmp(role, "root") == 0 ? repo->root
		: strcmp(role, "targets") == 0                 ? repo->targets
		: strcmp(role, "snapshot") == 0                ? repo->snapshot
		: strcmp(role, "timestamp") == 0               ? repo->timestamp
							       : NULL;
	struct yg_meta *own YG_AUTO(yg_meta) = meta ? NULL : repo_role(repo, role, err);
	if (!meta && !own)
		return -1;
	*out = meta ? meta->expires : own->expires;
	return 0;
}

static bool due(const struct command *command, int64_t expires)
{
	return command->if_due == 0 || expires - command->now <= command->if_due * REPO_DAY;
}

static const char *const every[] = {"root", "targets", "snapshot", "timestamp", "am", "wr", "fw",
	"ips", "im", "li"};

/* What runs out first, of a repository as it is on disk now. */
static int report_next(const char *path, json_t *doc, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	const char *first = NULL;
	int64_t at = INT64_MAX;
	char text[YG_CLOCK_TEXT];
	if (repo_open(&repo, path, false, err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(every); i++) {
		int64_t expires = 0;
		if (expiry(&repo, every[i], &expires, err) < 0)
			return -1;
		if (expires < at) {
			at = expires;
			first = every[i];
		}
	}
	yg_clock_format(at, text);
	if (json_object_set_new(doc, "next", json_string(first)) < 0 ||
		json_object_set_new(doc, "expires", json_string(text)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

struct plan {
	bool root, snapshot, timestamp;
	bool signs[YG_COUNT(every)]; /* targets and classes */
};

static int plan_role(const struct command *command, const struct repo *repo, const char *role,
	struct plan *plan, struct yg_err *err)
{
	int64_t expires = 0;
	if (expiry(repo, role, &expires, err) < 0)
		return -1;
	if (!due(command, expires))
		return 0;
	if (strcmp(role, "root") == 0) {
		plan->root = true;
		return 0;
	}
	plan->timestamp = true;
	if (strcmp(role, "timestamp") == 0)
		return 0;
	plan->snapshot = true;
	for (size_t i = 0; i < YG_COUNT(every); i++)
		plan->signs[i] = plan->signs[i] || strcmp(every[i], role) == 0;
	return 0;
}

static int make_plan(const struct command *command, const struct repo *repo, struct plan *plan,
	struct yg_err *err)
{
	static const char *const online[] = {"snapshot", "timestamp"};
	const char *const *roles = command->role_count > 0 ? command->roles : online;
	size_t count = command->role_count > 0 ? command->role_count : YG_COUNT(online);
	for (size_t i = 0; i < count; i++) {
		if (plan_role(command, repo, roles[i], plan, err) < 0)
			return -1;
	}
	return 0;
}

static int carry_out(const struct command *command, struct repo *repo, const struct plan *plan,
	json_t **root, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(every); i++) {
		if (plan->signs[i] && strcmp(every[i], "snapshot") != 0 &&
			resign_targets(repo, every[i], err) < 0)
			return -1;
	}
	if (plan->timestamp && repo_publish(repo, plan->snapshot, err) < 0)
		return -1;
	return plan->root ? resign_root(command, repo, root, err) : 0;
}

int resign_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct plan plan = {0};
	json_t *root YG_AUTO(yg_json) = NULL;
	if (command_open(command, &repo, &keys, err) < 0 ||
		make_plan(command, &repo, &plan, err) < 0 ||
		carry_out(command, &repo, &plan, &root, err) < 0)
		return -1;
	json_t *doc YG_AUTO(yg_json) = json_pack("{s:s, s:b, s:b, s:b}", "repository",
		command->repo, "snapshot", plan.snapshot, "timestamp", plan.timestamp, "root",
		plan.root);
	if (!doc || (root && json_object_update_missing(doc, root) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	repo_close(&repo);
	if (report_next(command->repo, doc, err) < 0)
		return -1;
	/* A timer hears nothing as long as there is nothing to do. */
	if (command->if_due == 0 || command->json || plan.timestamp || plan.root)
		*out = yg_take(doc);
	return 0;
}
