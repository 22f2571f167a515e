/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/init.h"

#include "core/json.h"
#include "core/str.h"

/* Make a key and enter it: its public half under `keys`, its id in `keyids`. */
static int add_key(const struct command *command, const struct keys *keys, const char *name,
	json_t *all, json_t *keyids, struct yg_err *err)
{
	char id[65];
	json_t *public YG_AUTO(yg_json) = NULL;
	if (keys_make(keys, name, command->key_type, err) < 0 ||
		keys_public(keys, name, &public, id, err) < 0)
		return -1;
	if (json_object_set(all, id, public) < 0 ||
		json_array_append_new(keyids, json_string(id)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* {"keyids", "threshold"} with `count` new keys: "<role>", or "<role>-1"… */
static json_t *make_role(const struct command *command, const struct keys *keys, const char *role,
	int64_t count, int64_t threshold, json_t *all, struct yg_err *err)
{
	json_t *keyids = json_array();
	json_t *entry YG_AUTO(yg_json) = json_pack("{s:o, s:I}", "keyids", keyids, "threshold",
		(json_int_t)threshold);
	if (!entry) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	for (int64_t i = 1; i <= count; i++) {
		char name[KEYS_NAME_MAX];
		bool fits = count == 1
			? yg_str_put(name, sizeof(name), "%s", role)
			: yg_str_put(name, sizeof(name), "%s-%lld", role, (long long)i);
		if (!fits) {
			(void)yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
			return NULL;
		}
		if (add_key(command, keys, name, all, keyids, err) < 0)
			return NULL;
	}
	return yg_take(entry);
}

static int write_root(const struct command *command, struct repo *repo, struct yg_err *err)
{
	json_t *keys = json_object(), *roles = json_object();
	json_t *body YG_AUTO(yg_json) = json_pack("{s:b, s:o, s:o}", "consistent_snapshot", 1,
		"keys", keys, "roles", roles);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (const char *const *role =
			(const char *const[]){"root", "targets", "snapshot", "timestamp", NULL};
		*role; role++) {
		bool root = role[0][0] == 'r';
		json_t *entry = make_role(command, repo->keys, *role, root ? command->root_keys : 1,
			root ? command->threshold : 1, keys, err);
		if (!entry)
			return -1;
		if (json_object_set_new(roles, *role, entry) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return repo_write_root(repo, body, 1, err);
}

static int write_targets(const struct command *command, struct repo *repo, struct yg_err *err)
{
	json_t *keys = json_object(), *roles = json_array();
	json_t *body YG_AUTO(yg_json) = json_pack("{s:{}, s:{s:o, s:o}}", "targets", "delegations",
		"keys", keys, "roles", roles);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		json_t *entry = make_role(command, repo->keys, at->role, 1, 1, keys, err);
		if (!entry)
			return -1;
		if (json_object_set_new(entry, "name", json_string(at->role)) < 0 ||
			json_object_set_new(entry, "terminating", json_true()) < 0 ||
			json_object_set_new(entry, "paths", json_pack("[s]", at->paths)) < 0) {
			json_decref(entry);
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		}
		if (json_array_append_new(roles, entry) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	if (repo_stage(repo, "targets", repo->root, body, 1, err) < 0)
		return -1;
	const struct yg_meta targets = {.type = YG_META_TARGETS, .body = body};
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		json_t *empty YG_AUTO(yg_json) = json_pack("{s:{}}", "targets");
		if (!empty)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		if (repo_stage(repo, at->role, &targets, empty, 1, err) < 0)
			return -1;
	}
	return 0;
}

int init_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	if (command_keys(command, &keys, true, err) < 0 ||
		repo_make(&repo, command->repo, err) < 0 || command_apart(&repo, &keys, err) < 0)
		return -1;
	repo.keys = &keys;
	repo.now = command->now;
	repo.days = command->days;
	if (write_root(command, &repo, err) < 0 || write_targets(command, &repo, err) < 0 ||
		repo_publish(&repo, true, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:I, s:I}", "repository", command->repo, "root_keys",
		(json_int_t)command->root_keys, "threshold", (json_int_t)command->threshold);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
