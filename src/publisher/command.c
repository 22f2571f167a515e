/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"

static void pair_free_at(char *(*at)[2])
{
	free((*at)[0]);
	free((*at)[1]);
}

/* What lies in the repository is shown to everybody. */
static int apart(const struct repo *repo, int place, struct yg_err *err)
{
	char link[64];
	char *at[2] YG_AUTO(pair) = {NULL, NULL};
	const int fds[2] = {repo->dir, place};
	for (size_t i = 0; i < 2; i++) {
		if (!yg_str_put(link, sizeof(link), "/proc/self/fd/%d", fds[i]))
			return yg_fail(err, YG_ELIMIT, "descriptor: too large");
		at[i] = realpath(link, NULL);
		if (!at[i])
			return yg_fail_sys(err, errno, "%s", link);
	}
	size_t len = strlen(at[0]);
	if (strncmp(at[1], at[0], len) != 0 || (at[1][len] != '/' && at[1][len] != 0))
		return 0;
	return yg_fail(err, YG_EFORMAT,
		"keys: '%.150s' is inside the repository, which everybody can read: name another folder",
		at[1]);
}

int command_apart(const struct repo *repo, const struct keys *keys, struct yg_err *err)
{
	for (size_t i = 0; i < keys->place_count; i++) {
		if (apart(repo, keys->places[i].dir, err) < 0)
			return -1;
	}
	return 0;
}

/* Media: each a place of its own, with its own passphrase. */
int command_places(const struct command *command, struct keys *keys, struct yg_err *err)
{
	keys->ask = command->ask;
	keys->lang = command->lang;
	if (command->keys && keys->place_count == 0 &&
		keys_open(keys, command->keys, command->passphrase, false, err) < 0)
		return -1;
	for (size_t i = 0; i < command->root_dir_count; i++) {
		const char *file = i < command->root_passphrase_count ? command->root_passphrases[i]
								      : NULL;
		if (keys_open(keys, command->root_dirs[i], file, false, err) < 0)
			return -1;
	}
	return keys->place_count > 0
		? 0
		: yg_fail(err, YG_EFORMAT, "want a folder with keys: --keys or --root-key-dir");
}

int command_keys(const struct command *command, struct keys *keys, bool make, struct yg_err *err)
{
	char path[4096];
	size_t len = strlen(command->repo);
	while (len > 1 && command->repo[len - 1] == '/')
		len--;
	bool fits = command->keys
		? yg_str_put(path, sizeof(path), "%s", command->keys)
		: yg_str_put(path, sizeof(path), "%.*s.keys", (int)len, command->repo);
	if (!fits)
		return yg_fail(err, YG_ELIMIT, "keys: path too long");
	if (keys_open(keys, path, command->passphrase, make, err) < 0)
		return -1;
	return command_places(command, keys, err);
}

int command_repo(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err)
{
	if (repo_open(repo, command->repo, true, err) < 0 || command_apart(repo, keys, err) < 0)
		return -1;
	repo->keys = keys;
	repo->now = command->now;
	repo->days = command->days;
	return 0;
}

int command_open(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err)
{
	if (command_keys(command, keys, false, err) < 0 ||
		command_repo(command, repo, keys, err) < 0)
		return -1;
	return repo_finish(repo, err);
}
