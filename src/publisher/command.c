/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/command.h"

#include <string.h>

#include "core/str.h"

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
	return keys_open(keys, path, command->passphrase, make, err);
}

int command_open(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err)
{
	if (command_keys(command, keys, false, err) < 0 ||
		repo_open(repo, command->repo, true, err) < 0)
		return -1;
	repo->keys = keys;
	repo->now = command->now;
	repo->days = command->days;
	return 0;
}
