/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "crypto/key.h"
#include "publisher/repo.h"

#define COMMAND_LIST_MAX 256u /* files named on the command line, of a kind */

/* What the command line said; texts point into argv. */
struct command {
	const char *repo;
	const char *component;
	const char *keys;       /* NULL: "<repo>.keys" */
	const char *passphrase; /* file, or NULL */
	const char *out;        /* file, or NULL */
	const char *root;       /* file, or NULL */
	const char *description;
	const char *from[COMMAND_LIST_MAX]; /* folders */
	const char *roles[COMMAND_LIST_MAX];
	const char *add[COMMAND_LIST_MAX];
	const char *find[COMMAND_LIST_MAX];
	const char *pass[COMMAND_LIST_MAX];
	size_t from_count, role_count, add_count, find_count, pass_count;
	int64_t version; /* 0: the next */
	int64_t now;     /* seconds since the epoch */
	int64_t abi_min, abi_max;
	int64_t root_keys, threshold;
	int level; /* of zstd */
	enum yg_key_type key_type;
	struct repo_days days;
	bool json;
};

/* The key folder that the command names, or "<repo>.keys". */
int command_keys(const struct command *command, struct keys *keys, bool make, struct yg_err *err)
	YG_MUST_CHECK;

/* The repository and its keys, opened for writing. Close both in any case. */
int command_open(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err) YG_MUST_CHECK;

/* Refuse a key folder inside the repository. errors  YG_EFORMAT; YG_ESYSTEM */
int command_apart(const struct repo *repo, const struct keys *keys, struct yg_err *err)
	YG_MUST_CHECK;
