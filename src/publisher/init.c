/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/init.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "publisher/keyring.h"
#include "publisher/root.h"

struct counts { /* of a role: so many keys, so many of which must sign */
	int64_t keys, threshold;
};

/* "ROLE=M/N" of --role-keys. */
static int parse_counts(const char *text, const char **name_end, struct counts *out,
	struct yg_err *err)
{
	char first[24], second[24];
	uint64_t threshold = 0, keys = 0;
	const char *equals = strchr(text, '='), *slash = equals ? strchr(equals, '/') : NULL;
	struct yg_err why = {0};
	if (!slash ||
		!yg_str_put(first, sizeof(first), "%.*s", (int)(slash - equals - 1), equals + 1) ||
		!yg_str_put(second, sizeof(second), "%s", slash + 1) ||
		yg_str_u64(first, 32, &threshold, &why) < 0 ||
		yg_str_u64(second, 32, &keys, &why) < 0 || threshold < 1 || threshold > keys)
		return yg_fail(err, YG_EFORMAT,
			"--role-keys: want ROLE=M/N with 1 <= M <= N <= 32, have '%.64s'", text);
	*name_end = equals;
	*out = (struct counts){(int64_t)keys, (int64_t)threshold};
	return 0;
}

static bool known(const char *role, size_t len)
{
	static const char *const top[] = {"targets", "snapshot", "timestamp"};
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		if (strlen(top[i]) == len && strncmp(top[i], role, len) == 0)
			return true;
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		if (strlen(at->role) == len && strncmp(at->role, role, len) == 0)
			return true;
	}
	return false;
}

static int counts_of(const struct command *command, const char *role, struct counts *out,
	struct yg_err *err)
{
	*out = (struct counts){1, 1};
	for (size_t i = 0; i < command->role_key_count; i++) {
		const char *text = command->role_keys[i], *end = NULL;
		struct counts counts = {1, 1};
		if (parse_counts(text, &end, &counts, err) < 0)
			return -1;
		size_t len = (size_t)(end - text);
		if (!known(text, len))
			return yg_fail(err, YG_EFORMAT,
				"--role-keys: want targets, snapshot, timestamp or a class, have '%.64s'",
				text);
		if (strlen(role) == len && strncmp(role, text, len) == 0)
			*out = counts;
	}
	return 0;
}

static int enter(json_t *all, json_t *keyids, const char *id, json_t *public, struct yg_err *err)
{
	if (json_object_set(all, id, public) < 0 ||
		json_array_append_new(keyids, json_string(id)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* Make a key and enter it: its public half under `all`, its id in `keyids`. */
static int add_key(const struct command *command, struct keys *keys, size_t place, const char *name,
	json_t *all, json_t *keyids, struct yg_err *err)
{
	char id[KEYS_ID_SIZE];
	json_t *public YG_AUTO(yg_json) = NULL;
	if (keys_make(keys, place, name, command->key_type, err) < 0 ||
		keys_public(keys, place, name, &public, id, err) < 0)
		return -1;
	return enter(all, keyids, id, public, err);
}

static int name_of(const char *role, int64_t count, int64_t i, char out[KEYS_NAME_MAX],
	struct yg_err *err)
{
	bool fits = count == 1 ? yg_str_put(out, KEYS_NAME_MAX, "%s", role)
			       : yg_str_put(out, KEYS_NAME_MAX, "%s-%lld", role, (long long)i);
	return fits ? 0 : yg_fail(err, YG_ELIMIT, "role '%s': name too long", role);
}

static json_t *new_role(int64_t threshold, json_t **keyids, struct yg_err *err)
{
	*keyids = json_array();
	json_t *entry = json_pack("{s:o, s:I}", "keyids", *keyids, "threshold",
		(json_int_t)threshold);
	if (!entry)
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	return entry;
}

/* {"keyids", "threshold"} with new keys in the key folder: "<role>", or "<role>-1"… */
static json_t *make_role(const struct command *command, struct keys *keys, const char *role,
	json_t *all, struct yg_err *err)
{
	struct counts counts = {1, 1};
	json_t *keyids = NULL;
	if (counts_of(command, role, &counts, err) < 0)
		return NULL;
	json_t *entry YG_AUTO(yg_json) = new_role(counts.threshold, &keyids, err);
	for (int64_t i = 1; entry && i <= counts.keys; i++) {
		char name[KEYS_NAME_MAX];
		if (name_of(role, counts.keys, i, name, err) < 0 ||
			add_key(command, keys, 0, name, all, keyids, err) < 0)
			return NULL;
	}
	return yg_take(entry);
}

/* ---- the root's own keys: in the key folder, on media, or made elsewhere ---- */

static int64_t at_least_one(int64_t value)
{
	return value > 0 ? value : 1;
}

static int root_elsewhere(const struct command *command, json_t *all, json_t *keyids,
	struct yg_err *err)
{
	for (size_t i = 0; i < command->public_key_count; i++) {
		char id[KEYS_ID_SIZE];
		json_t *public YG_AUTO(yg_json) = NULL;
		if (keys_read_public(command->public_keys[i], &public, id, err) < 0)
			return -1;
		if (json_object_get(all, id))
			return yg_fail(err, YG_EFORMAT, "--public-key: '%s': named twice",
				command->public_keys[i]);
		if (enter(all, keyids, id, public, err) < 0)
			return -1;
	}
	return 0;
}

static json_t *make_root_role(const struct command *command, struct keys *keys, json_t *all,
	struct yg_err *err)
{
	int64_t given = (int64_t)(command->root_dir_count + command->public_key_count);
	int64_t total = command->root_keys > 0 ? command->root_keys : at_least_one(given);
	int64_t threshold = at_least_one(command->threshold);
	json_t *keyids = NULL;
	if (threshold > total) {
		(void)yg_fail(err, YG_EFORMAT, "--threshold: want <= --root-keys %lld, have %lld",
			(long long)total, (long long)threshold);
		return NULL;
	}
	if (given > total || (command->root_dir_count > 0 && given != total)) {
		(void)yg_fail(err, YG_EFORMAT,
			"--root-key-dir: want a folder for each of %lld root keys that no --public-key "
			"gives, have %zu",
			(long long)total, command->root_dir_count);
		return NULL;
	}
	json_t *entry YG_AUTO(yg_json) = new_role(threshold, &keyids, err);
	if (!entry || root_elsewhere(command, all, keyids, err) < 0)
		return NULL;
	int64_t own = total - (int64_t)command->public_key_count;
	for (int64_t i = 1; i <= own; i++) {
		char name[KEYS_NAME_MAX];
		size_t place = command->root_dir_count > 0 ? (size_t)i : 0;
		if (name_of("root", total, i, name, err) < 0 ||
			(place > 0 && keyring_secure(keys, place, command->plain_keys, err) < 0) ||
			add_key(command, keys, place, name, all, keyids, err) < 0)
			return NULL;
	}
	return yg_take(entry);
}

static int write_root(const struct command *command, struct repo *repo, char **pending,
	struct yg_err *err)
{
	json_t *keys = json_object(), *roles = json_object();
	json_t *body YG_AUTO(yg_json) = json_pack("{s:b, s:o, s:o}", "consistent_snapshot", 1,
		"keys", keys, "roles", roles);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (const char *const *role =
			(const char *const[]){"root", "targets", "snapshot", "timestamp", NULL};
		*role; role++) {
		json_t *entry = strcmp(*role, "root") == 0
			? make_root_role(command, repo->keys, keys, err)
			: make_role(command, repo->keys, *role, keys, err);
		if (!entry)
			return -1;
		if (json_object_set_new(roles, *role, entry) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return root_first(command, repo, body, pending, err);
}

static int write_targets(const struct command *command, struct repo *repo, struct yg_err *err)
{
	json_t *keys = json_object(), *roles = json_array();
	json_t *body YG_AUTO(yg_json) = json_pack("{s:{}, s:{s:o, s:o}}", "targets", "delegations",
		"keys", keys, "roles", roles);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		json_t *entry = make_role(command, repo->keys, at->role, keys, err);
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
	char *pending YG_AUTO(mem) = NULL;
	if (command_keys(command, &keys, true, err) < 0 ||
		repo_make(&repo, command->repo, err) < 0 || command_apart(&repo, &keys, err) < 0)
		return -1;
	repo.keys = &keys;
	repo.now = command->now;
	repo.days = command->days;
	if (write_root(command, &repo, &pending, err) < 0 ||
		write_targets(command, &repo, err) < 0 || repo_publish(&repo, true, err) < 0)
		return -1;
	const json_t *entry = repo_role_entry(repo.root->body, "root");
	*out = json_pack("{s:s, s:I, s:O}", "repository", command->repo, "root_keys",
		(json_int_t)json_array_size(json_object_get(entry, "keyids")), "threshold",
		json_object_get(entry, "threshold"));
	if (!*out || (pending && json_object_set_new(*out, "pending", json_string(pending)) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}
