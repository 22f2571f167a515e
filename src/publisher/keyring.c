/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"

#define LIST_MAX 1024 /* keys of all folders */

int keyring_secure(struct keys *keys, size_t place, bool plain, struct yg_err *err)
{
	struct keys_place *at = &keys->places[place];
	if (at->passphrase || plain)
		return 0;
	if (!keys->ask)
		return yg_fail(err, YG_EFORMAT,
			"'%s': want a passphrase file for its key, a terminal to ask on, or --plain-keys",
			at->path);
	return keys_ask(at->path, true, keys->lang, &at->passphrase, err);
}

int keyring_new_place(const struct command *command, struct keys *keys, size_t *place,
	struct yg_err *err)
{
	*place = 0;
	if (!command->new_dir)
		return 0;
	if (keys_open(keys, command->new_dir, command->new_passphrase, true, err) < 0)
		return -1;
	*place = keys->place_count - 1;
	/* A token keeps its key itself; what the place has then is the PIN. */
	return keyring_secure(keys, *place, command->plain_keys || command->token, err);
}

int keyring_make(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1, .ask = command->ask, .lang = command->lang};
	const char *name = command->operands[0];
	json_t *public YG_AUTO(yg_json) = NULL;
	char id[KEYS_ID_SIZE];
	size_t place = 0, found = 0;
	struct keys_ref *refs YG_AUTO(mem) = calloc(LIST_MAX, sizeof(*refs));
	if (!refs)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (!yg_str_name_ok(name, KEYS_NAME_MAX - 1, YG_STR_NAME_CHARS))
		return yg_fail(err, YG_EFORMAT, "NAME: want a-z 0-9 . _ -, have '%.64s'", name);
	if (keyring_new_place(command, &keys, &place, err) < 0 ||
		keys_find(&keys, NULL, refs, LIST_MAX, &found, err) < 0)
		return -1;
	for (size_t i = 0; i < found; i++) {
		if (strcmp(refs[i].name, name) == 0)
			return yg_fail(err, YG_EFORMAT, "'%s/%s.%s': want a new key, have one",
				command->new_dir, name, keys_kind(&keys, place, name));
	}
	int bad = command->token ? keys_token_make(&keys, place, name, command->token, err)
				 : keys_make(&keys, place, name, command->key_type, err);
	if (bad < 0 || keys_public(&keys, place, name, &public, id, err) < 0)
		return -1;
	char *file YG_AUTO(mem) = yg_str_format("%s/%s.pub", command->new_dir, name);
	*out = json_pack("{s:s, s:s, s:s?}", "name", name, "key", id, "public", file);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* ---- keys ---- */

static bool uses(const json_t *entry, const char *id)
{
	const json_t *ids = json_object_get(entry, "keyids");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			return true;
	}
	return false;
}

static const char *const top[] = {"root", "targets", "snapshot", "timestamp"};

/* Names of the roles that a key signs for. A new reference. */
static json_t *roles_of(const struct repo *repo, const char *id)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < YG_COUNT(top); i++) {
		if (uses(repo_role_entry(repo->root->body, top[i]), id))
			(void)json_array_append_new(list, json_string(top[i]));
	}
	for (const struct repo_class *at = repo_classes; list && at->role; at++) {
		if (uses(repo_role_entry(repo->targets->body, at->role), id))
			(void)json_array_append_new(list, json_string(at->role));
	}
	return list;
}

static int append_key(json_t *list, const struct repo *repo, const struct keys *keys,
	const struct keys_ref *ref, struct yg_err *err)
{
	const char *kind = keys_kind(keys, ref->place, ref->name);
	char *path YG_AUTO(mem) = yg_str_format("%s/%s.%s", keys->places[ref->place].path,
		ref->name, kind ? kind : "pem");
	json_t *roles = roles_of(repo, ref->id);
	if (json_array_append_new(list,
		    json_pack("{s:s?, s:s, s:b, s:o}", "file", path, "key", ref->id, "used",
			    json_array_size(roles) > 0, "roles", roles)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* Keys of a role that are not in any folder. */
static int append_absent(json_t *list, const json_t *by, const char *role,
	const struct keys_ref *refs, size_t count, struct yg_err *err)
{
	const json_t *ids = json_object_get(repo_role_entry(by, role), "keyids");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		bool here = false;
		for (size_t k = 0; k < count && !here; k++)
			here = strcmp(refs[k].id, id) == 0;
		if (!here &&
			json_array_append_new(list,
				json_pack("{s:s, s:b, s:[s]}", "key", id, "used", 1, "roles",
					role)) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

int keyring_list(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct keys_ref *refs YG_AUTO(mem) = calloc(LIST_MAX, sizeof(*refs));
	json_t *list YG_AUTO(yg_json) = json_array(), *absent YG_AUTO(yg_json) = json_array();
	size_t count = 0;
	if (!refs || !list || !absent)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (command_keys(command, &keys, false, err) < 0 ||
		repo_open(&repo, command->repo, false, err) < 0 ||
		keys_find(&keys, NULL, refs, LIST_MAX, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (append_key(list, &repo, &keys, &refs[i], err) < 0)
			return -1;
	}
	for (size_t i = 0; i < YG_COUNT(top); i++) {
		if (append_absent(absent, repo.root->body, top[i], refs, count, err) < 0)
			return -1;
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		if (append_absent(absent, repo.targets->body, at->role, refs, count, err) < 0)
			return -1;
	}
	*out = json_pack("{s:s, s:O, s:O}", "repository", command->repo, "keys", list, "elsewhere",
		absent);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
