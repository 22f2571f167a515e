/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/rotate.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "publisher/keyring.h"
#include "publisher/root.h"

#define ID_MIN 8u /* digits of a key's id that are enough to name it */

struct work {
	const struct command *command;
	struct keys keys;
	struct repo repo;
	char old[KEYS_ID_SIZE];    /* the key that goes; empty: none, only the threshold changes */
	char new_id[KEYS_ID_SIZE]; /* the key that comes; empty: none */
	char new_name
		[KEYS_NAME_MAX]; /* and its name in the folder, empty when it was made elsewhere */
	size_t new_place;
	json_t *new_public; /* owned */
	json_t *roles;      /* owned; names of those that changed */
};

static void work_free_at(struct work *work)
{
	json_decref(work->new_public);
	json_decref(work->roles);
	repo_close(&work->repo);
	keys_close(&work->keys);
}

static const char *const top[] = {"root", "targets", "snapshot", "timestamp"};

static bool is_top(const char *role)
{
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		if (strcmp(top[i], role) == 0)
			return true;
	}
	return false;
}

static const json_t *entry_of(const struct work *work, const char *role)
{
	return repo_role_entry(is_top(role) ? work->repo.root->body : work->repo.targets->body,
		role);
}

static size_t find_id(const json_t *ids, const char *id)
{
	size_t i = 0;
	while (i < json_array_size(ids) &&
		strcmp(json_string_value(json_array_get(ids, i)), id) != 0)
		i++;
	return i;
}

/* ---- which key goes ---- */

/* The one id of the role that begins like this. */
static int match(const json_t *ids, const char *role, const char *text, char out[KEYS_ID_SIZE],
	struct yg_err *err)
{
	size_t found = 0, len = strlen(text);
	if (len < ID_MIN || len >= KEYS_ID_SIZE)
		return yg_fail(err, YG_EFORMAT, "key: want %u to 64 digits of its id, have '%.80s'",
			ID_MIN, text);
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		if (strncmp(id, text, len) != 0)
			continue;
		found++;
		if (!yg_str_put(out, KEYS_ID_SIZE, "%s", id))
			return yg_fail(err, YG_EFORMAT, "key id '%.80s': too long", id);
	}
	if (found == 1)
		return 0;
	return yg_fail(err, found == 0 ? YG_EABSENT : YG_EFORMAT,
		"role '%s': want one key whose id begins with '%.64s', have %zu", role, text,
		found);
}

static int choose_old(struct work *work, const char *role, struct yg_err *err)
{
	const json_t *ids = json_object_get(entry_of(work, role), "keyids");
	const char *key = work->command->key;
	if (!ids)
		return yg_fail(err, YG_EFORMAT,
			"role: want root, targets, snapshot, timestamp or a class, have '%.64s'",
			role);
	if (key)
		return match(ids, role, key, work->old, err);
	if (json_array_size(ids) != 1)
		return yg_fail(err, YG_EFORMAT,
			"role '%s' has %zu keys: say with --key which one goes", role,
			json_array_size(ids));
	return match(ids, role, json_string_value(json_array_get(ids, 0)), work->old, err);
}

/* ---- which key comes ---- */

static int choose_new(struct work *work, const char *role, struct yg_err *err)
{
	const struct command *command = work->command;
	if (is_top(role) && root_none_waits(command, &work->keys, err) < 0)
		return -1;
	if (command->drop)
		return 0;
	if (command->public_key_count > 1)
		return yg_fail(err, YG_EFORMAT, "--public-key: want one, have %zu",
			command->public_key_count);
	if (command->public_key_count == 1)
		return keys_read_public(command->public_keys[0], &work->new_public, work->new_id,
			err);
	if (keyring_new_place(command, &work->keys, &work->new_place, err) < 0 ||
		keys_free_name(&work->keys, work->new_place, role, work->new_name, err) < 0 ||
		keys_make(&work->keys, work->new_place, work->new_name, command->key_type, err) < 0)
		return -1;
	return keys_public(&work->keys, work->new_place, work->new_name, &work->new_public,
		work->new_id, err);
}

/* ---- the change ---- */

static bool used_in(const json_t *entry, const char *id)
{
	const json_t *ids = json_object_get(entry, "keyids");
	return find_id(ids, id) < json_array_size(ids);
}

/* One role's entry: the old id goes, the new one takes its place. */
static int change_entry(struct work *work, const char *role, json_t *entry, struct yg_err *err)
{
	json_t *ids = json_object_get(entry, "keyids");
	size_t at = find_id(ids, work->old);
	int64_t threshold = work->command->threshold > 0
		? work->command->threshold
		: json_integer_value(json_object_get(entry, "threshold"));
	int bad = work->new_id[0] ? json_array_set_new(ids, at, json_string(work->new_id))
				  : json_array_remove(ids, at);
	if (bad < 0 ||
		json_object_set_new(entry, "threshold", json_integer((json_int_t)threshold)) < 0 ||
		json_array_append_new(work->roles, json_string(role)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (threshold > (int64_t)json_array_size(ids))
		return yg_fail(err, YG_EFORMAT,
			"role '%s': %lld keys must sign, and only %zu would be left: give another key, or a "
			"lower --threshold",
			role, (long long)threshold, json_array_size(ids));
	return 0;
}

/* The list of keys: the new one in, the old one out when nothing uses it. */
static int change_keys(const struct work *work, json_t *keys, bool old_used, struct yg_err *err)
{
	if (!old_used)
		(void)json_object_del(keys, work->old);
	if (work->new_id[0] && json_object_set(keys, work->new_id, work->new_public) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* The body of a new root in which these roles changed; NULL: none of them did. */
static int change_root(struct work *work, const char *only, json_t **out, struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = json_deep_copy(work->repo.root->body);
	bool changed = false, still = false;
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		json_t *entry = json_object_get(json_object_get(body, "roles"), top[i]);
		if (!used_in(entry, work->old))
			continue;
		if (only && strcmp(only, top[i]) != 0) {
			still = true;
			continue;
		}
		if (change_entry(work, top[i], entry, err) < 0)
			return -1;
		changed = true;
	}
	if (!changed)
		return 0;
	if (change_keys(work, json_object_get(body, "keys"), still, err) < 0)
		return -1;
	*out = yg_take(body);
	return 0;
}

/* New targets in which classes changed, and those classes' metadata signed anew. */
static int change_classes(struct work *work, const char *only, bool *changed, struct yg_err *err)
{
	struct repo *repo = &work->repo;
	json_t *delegations = json_object_get(repo->targets->body, "delegations");
	json_t *list = json_object_get(delegations, "roles");
	bool touched[YG_META_ROLES_MAX] = {false}, still = false;
	for (size_t i = 0; i < json_array_size(list) && i < YG_COUNT(touched); i++) {
		json_t *entry = json_array_get(list, i);
		const char *role = json_string_value(json_object_get(entry, "name"));
		if (!used_in(entry, work->old))
			continue;
		if (only && strcmp(only, role) != 0) {
			still = true;
			continue;
		}
		if (change_entry(work, role, entry, err) < 0)
			return -1;
		*changed = touched[i] = true;
	}
	if (!*changed)
		return 0;
	if (change_keys(work, json_object_get(delegations, "keys"), still, err) < 0 ||
		repo_stage(repo, "targets", repo->root, repo->targets->body,
			repo->targets->version + 1, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list) && i < YG_COUNT(touched); i++) {
		const char *role = json_string_value(
			json_object_get(json_array_get(list, i), "name"));
		if (!touched[i])
			continue;
		struct yg_meta *meta YG_AUTO(yg_meta) = repo_role(repo, role, err);
		if (!meta ||
			repo_stage(repo, role, repo->targets, meta->body, meta->version + 1, err) <
				0)
			return -1;
	}
	return repo_publish(repo, true, err);
}

static int report(struct work *work, json_t **out, struct yg_err *err)
{
	json_t *doc = *out ? *out : json_object();
	char *file YG_AUTO(mem) = work->new_name[0]
		? yg_str_format("%s/%s.pem", work->keys.places[work->new_place].path,
			  work->new_name)
		: NULL;
	*out = doc;
	if (!doc || json_object_set_new(doc, "repository", json_string(work->command->repo)) < 0 ||
		json_object_set(doc, "roles", work->roles) < 0 ||
		json_object_set_new(doc, "old_key", json_string(work->old)) < 0 ||
		(work->new_id[0] &&
			json_object_set_new(doc, "new_key", json_string(work->new_id)) < 0) ||
		(file && json_object_set_new(doc, "file", json_string(file)) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* in  only  the role that changes; NULL: all that use the key */
static int change(struct work *work, const char *only, json_t **out, struct yg_err *err)
{
	json_t *body YG_AUTO(yg_json) = NULL;
	bool classes = false;
	if ((!only || !is_top(only)) && change_classes(work, only, &classes, err) < 0)
		return -1;
	if ((!only || is_top(only)) && change_root(work, only, &body, err) < 0)
		return -1;
	if (body && root_propose(work->command, &work->repo, body, out, err) < 0)
		return -1;
	return report(work, out, err);
}

static int open_work(struct work *work, struct yg_err *err)
{
	work->roles = json_array();
	if (!work->roles)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return command_open(work->command, &work->repo, &work->keys, err);
}

int rotate_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(
		work) = {.command = command, .repo = {.dir = -1, .lock = -1}, .keys = {.dir = -1}};
	const char *role = command->operands[1];
	if (open_work(&work, err) < 0 || choose_old(&work, role, err) < 0 ||
		choose_new(&work, role, err) < 0)
		return -1;
	return change(&work, role, out, err);
}

/* The key that the text names, and the first role that it signs for. */
static int find_revoked(struct work *work, const char *text, const char **role, struct yg_err *err)
{
	struct yg_err why = {0};
	*role = text;
	if (entry_of(work, text))
		return choose_old(work, text, err);
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		const json_t *ids = json_object_get(entry_of(work, top[i]), "keyids");
		*role = top[i];
		if (match(ids, top[i], text, work->old, &why) == 0)
			return 0;
		if (why.code != YG_EABSENT) {
			*err = why;
			return -1;
		}
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		const json_t *ids = json_object_get(entry_of(work, at->role), "keyids");
		*role = at->role;
		if (match(ids, at->role, text, work->old, &why) == 0)
			return 0;
	}
	return yg_fail(err, YG_EABSENT, "key '%.64s': no role has it", text);
}

int rotate_revoke(const struct command *command, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(
		work) = {.command = command, .repo = {.dir = -1, .lock = -1}, .keys = {.dir = -1}};
	const char *role = NULL;
	if (open_work(&work, err) < 0 ||
		find_revoked(&work, command->operands[1], &role, err) < 0 ||
		choose_new(&work, role, err) < 0)
		return -1;
	return change(&work, NULL, out, err);
}
