/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/rotate.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "publisher/keyring.h"
#include "publisher/root.h"

#define ID_MIN 8u /* digits of a key's id that are enough to name it */

/* One key in another's place. */
struct change {
	char old[KEYS_ID_SIZE];    /* the key that goes */
	char new_id[KEYS_ID_SIZE]; /* the key that comes; empty: none */
	char new_name
		[KEYS_NAME_MAX]; /* and its name in the folder, empty when it was made elsewhere */
	size_t new_place;
	json_t *new_public; /* owned */
	const char *only;   /* the role that changes; NULL: all that use the key */
};

static void change_free_at(struct change *change)
{
	json_decref(change->new_public);
}

struct work {
	const struct command *command;
	struct keys keys;
	struct repo repo;
	json_t *root; /* owned; the body of the root to come */
	bool root_changed, classes_changed;
	bool touched[YG_META_ROLES_MAX]; /* of targets' delegations: to be signed anew */
	json_t *replaced;                /* owned; [{"role", "old_key", "new_key", "file"}] */
};

static void work_free_at(struct work *work)
{
	json_decref(work->root);
	json_decref(work->replaced);
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
	return repo_role_entry(is_top(role) ? work->root : work->repo.targets->body, role);
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

static int choose_old(const struct work *work, const char *role, struct change *change,
	struct yg_err *err)
{
	const json_t *ids = json_object_get(entry_of(work, role), "keyids");
	const char *key = work->command->key;
	if (!ids)
		return yg_fail(err, YG_EFORMAT,
			"role: want root, targets, snapshot, timestamp or a class, have '%.64s'",
			role);
	if (key)
		return match(ids, role, key, change->old, err);
	if (json_array_size(ids) != 1)
		return yg_fail(err, YG_EFORMAT,
			"role '%s' has %zu keys: say with --key which one goes", role,
			json_array_size(ids));
	return match(ids, role, json_string_value(json_array_get(ids, 0)), change->old, err);
}

/* ---- which key comes ---- */

static int choose_new(struct work *work, const char *role, struct change *change,
	struct yg_err *err)
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
		return keys_read_public(command->public_keys[0], &change->new_public,
			change->new_id, err);
	if (keyring_new_place(command, &work->keys, &change->new_place, err) < 0 ||
		keys_free_name(&work->keys, change->new_place, role, change->new_name, err) < 0 ||
		keys_make(&work->keys, change->new_place, change->new_name, command->key_type,
			err) < 0)
		return -1;
	return keys_public(&work->keys, change->new_place, change->new_name, &change->new_public,
		change->new_id, err);
}

/* ---- the change ---- */

static bool used_in(const json_t *entry, const char *id)
{
	const json_t *ids = json_object_get(entry, "keyids");
	return find_id(ids, id) < json_array_size(ids);
}

static int note(struct work *work, const char *role, const struct change *change,
	struct yg_err *err)
{
	char *file YG_AUTO(mem) = change->new_name[0]
		? yg_str_format("%s/%s.pem", work->keys.places[change->new_place].path,
			  change->new_name)
		: NULL;
	json_t *row = json_pack("{s:s, s:s}", "role", role, "old_key", change->old);
	if (!row || json_array_append_new(work->replaced, row) < 0 ||
		(change->new_id[0] &&
			json_object_set_new(row, "new_key", json_string(change->new_id)) < 0) ||
		(file && json_object_set_new(row, "file", json_string(file)) < 0))
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* One role's entry: the old id goes, the new one takes its place. */
static int change_entry(struct work *work, const char *role, json_t *entry,
	const struct change *change, struct yg_err *err)
{
	json_t *ids = json_object_get(entry, "keyids");
	size_t at = find_id(ids, change->old);
	int64_t threshold = work->command->threshold > 0
		? work->command->threshold
		: json_integer_value(json_object_get(entry, "threshold"));
	int bad = change->new_id[0] ? json_array_set_new(ids, at, json_string(change->new_id))
				    : json_array_remove(ids, at);
	if (bad < 0 ||
		json_object_set_new(entry, "threshold", json_integer((json_int_t)threshold)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (threshold > (int64_t)json_array_size(ids))
		return yg_fail(err, YG_EFORMAT,
			"role '%s': %lld keys must sign, and only %zu would be left: give another key, or a "
			"lower --threshold",
			role, (long long)threshold, json_array_size(ids));
	return note(work, role, change, err);
}

/* The list of keys: the new one in, the old one out when nothing uses it. */
static int change_keys(const struct change *change, json_t *keys, bool old_used, struct yg_err *err)
{
	if (!old_used)
		(void)json_object_del(keys, change->old);
	if (change->new_id[0] && json_object_set(keys, change->new_id, change->new_public) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static bool wanted(const struct change *change, const char *role)
{
	return !change->only || strcmp(change->only, role) == 0;
}

static int change_root(struct work *work, const struct change *change, struct yg_err *err)
{
	bool changed = false, still = false;
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		json_t *entry = json_object_get(json_object_get(work->root, "roles"), top[i]);
		if (!used_in(entry, change->old))
			continue;
		if (!wanted(change, top[i])) {
			still = true;
			continue;
		}
		if (change_entry(work, top[i], entry, change, err) < 0)
			return -1;
		changed = true;
	}
	work->root_changed = work->root_changed || changed;
	return changed ? change_keys(change, json_object_get(work->root, "keys"), still, err) : 0;
}

static int change_classes(struct work *work, const struct change *change, struct yg_err *err)
{
	json_t *delegations = json_object_get(work->repo.targets->body, "delegations");
	json_t *list = json_object_get(delegations, "roles");
	bool changed = false, still = false;
	for (size_t i = 0; i < json_array_size(list) && i < YG_COUNT(work->touched); i++) {
		json_t *entry = json_array_get(list, i);
		const char *role = json_string_value(json_object_get(entry, "name"));
		if (!used_in(entry, change->old))
			continue;
		if (!wanted(change, role)) {
			still = true;
			continue;
		}
		if (change_entry(work, role, entry, change, err) < 0)
			return -1;
		changed = work->touched[i] = true;
	}
	work->classes_changed = work->classes_changed || changed;
	return changed ? change_keys(change, json_object_get(delegations, "keys"), still, err) : 0;
}

/* ---- publishing it ---- */

/* New targets, and the metadata of the classes that changed, signed anew. */
static int publish_classes(struct work *work, struct yg_err *err)
{
	struct repo *repo = &work->repo;
	const json_t *list = json_object_get(json_object_get(repo->targets->body, "delegations"),
		"roles");
	if (repo_stage(repo, "targets", repo->root, repo->targets->body, repo->targets->version + 1,
		    err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list) && i < YG_COUNT(work->touched); i++) {
		const char *role = json_string_value(
			json_object_get(json_array_get(list, i), "name"));
		if (!work->touched[i])
			continue;
		struct yg_meta *meta YG_AUTO(yg_meta) = repo_role(repo, role, err);
		if (!meta ||
			repo_stage(repo, role, repo->targets, meta->body, meta->version + 1, err) <
				0)
			return -1;
	}
	return repo_publish(repo, true, err);
}

static int publish(struct work *work, json_t **out, struct yg_err *err)
{
	json_t *doc YG_AUTO(yg_json) = NULL;
	if (work->classes_changed && publish_classes(work, err) < 0)
		return -1;
	if (work->root_changed &&
		root_propose(work->command, &work->repo, work->root, &doc, err) < 0)
		return -1;
	if (!doc)
		doc = json_object();
	if (!doc || json_object_set_new(doc, "repository", json_string(work->command->repo)) < 0 ||
		json_object_set(doc, "replaced", work->replaced) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(doc);
	return 0;
}

/* ---- the commands ---- */

static int open_work(struct work *work, struct yg_err *err)
{
	const struct command *command = work->command;
	work->replaced = json_array();
	if (!work->replaced)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (command->operand_count > 2 && (command->key || command->public_key_count > 0))
		return yg_fail(err, YG_EFORMAT,
			"--key, --public-key: want one role with them, have %zu",
			command->operand_count - 1);
	if (command_open(command, &work->repo, &work->keys, err) < 0)
		return -1;
	work->root = json_deep_copy(work->repo.root->body);
	return work->root ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* The key that the text names, and the first role that it signs for. */
static int find_revoked(const struct work *work, const char *text, struct change *change,
	const char **role, struct yg_err *err)
{
	struct yg_err why = {0};
	*role = text;
	if (entry_of(work, text))
		return choose_old(work, text, change, err);
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		const json_t *ids = json_object_get(entry_of(work, top[i]), "keyids");
		*role = top[i];
		if (match(ids, top[i], text, change->old, &why) == 0)
			return 0;
		if (why.code != YG_EABSENT) {
			*err = why;
			return -1;
		}
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		const json_t *ids = json_object_get(entry_of(work, at->role), "keyids");
		*role = at->role;
		if (match(ids, at->role, text, change->old, &why) == 0)
			return 0;
	}
	return yg_fail(err, YG_EABSENT, "key '%.64s': no role has it", text);
}

/* One operand: a role whose key changes, or with `revoke` a key or a role's key that goes everywhere. */
static int replace(struct work *work, const char *text, bool revoke, struct yg_err *err)
{
	struct change change YG_AUTO(change) = {.only = revoke ? NULL : text};
	const char *role = text;
	if ((revoke ? find_revoked(work, text, &change, &role, err)
		    : choose_old(work, text, &change, err)) < 0 ||
		choose_new(work, role, &change, err) < 0)
		return -1;
	if ((revoke || is_top(text)) && change_root(work, &change, err) < 0)
		return -1;
	return revoke || !is_top(text) ? change_classes(work, &change, err) : 0;
}

static int run(const struct command *command, bool revoke, json_t **out, struct yg_err *err)
{
	struct work work YG_AUTO(
		work) = {.command = command, .repo = {.dir = -1, .lock = -1}, .keys = {.dir = -1}};
	if (open_work(&work, err) < 0)
		return -1;
	for (size_t i = 1; i < command->operand_count; i++) {
		if (replace(&work, command->operands[i], revoke, err) < 0)
			return -1;
	}
	return publish(&work, out, err);
}

int rotate_run(const struct command *command, json_t **out, struct yg_err *err)
{
	return run(command, false, out, err);
}

int rotate_revoke(const struct command *command, json_t **out, struct yg_err *err)
{
	return run(command, true, out, err);
}
