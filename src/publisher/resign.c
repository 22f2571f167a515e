/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/resign.h"

#include <string.h>

#include "core/json.h"

static int resign_root(struct repo *repo, struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = json_deep_copy(repo->root->body);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return repo_write_root(repo, body, repo->root->version + 1, err);
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

int resign_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	bool snapshot = command->role_count == 0, timestamp = command->role_count == 0;
	if (command_open(command, &repo, &keys, err) < 0)
		return -1;
	for (size_t i = 0; i < command->role_count; i++) {
		const char *role = command->roles[i];
		if (strcmp(role, "root") == 0) {
			if (resign_root(&repo, err) < 0)
				return -1;
			continue;
		}
		timestamp = true;
		if (strcmp(role, "timestamp") == 0)
			continue;
		snapshot = true;
		if (strcmp(role, "snapshot") != 0 && resign_targets(&repo, role, err) < 0)
			return -1;
	}
	if (timestamp && repo_publish(&repo, snapshot, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:b, s:b}", "repository", command->repo, "snapshot", snapshot,
		"timestamp", timestamp);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
