/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Before a key is made on a medium: it has a passphrase, one is asked for, or `plain` says that none is wanted.
 * errors  YG_EFORMAT
 */
int keyring_secure(struct keys *keys, size_t place, bool plain, struct yg_err *err) YG_MUST_CHECK;

/* The place of a new key: --new-key-dir, which is added, or the key folder. */
int keyring_new_place(const struct command *command, struct keys *keys, size_t *place,
	struct yg_err *err) YG_MUST_CHECK;

/* make-key NAME: a key on a medium, apart from any repository; its public half goes to who runs init. */
int keyring_make(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* keys REPO: every key of every folder, and the roles that it signs for. */
int keyring_list(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
