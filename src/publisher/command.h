/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "crypto/key.h"
#include "proto/lang.h"
#include "publisher/repo.h"

#define COMMAND_LIST_MAX 256u /* files named on the command line, of a kind */

/* What the command line said; texts point into argv. Each member that an option fills has a row in
 * options.c.
 */
struct command {
	const char *repo;      /* the first operand */
	const char *component; /* the second, where there is one */
	const char *operands[COMMAND_LIST_MAX];
	size_t operand_count;
	const char *keys;       /* NULL: "<repo>.keys" */
	const char *passphrase; /* file, or NULL */
	const char *out;        /* file, or NULL */
	const char *root;       /* file, or NULL */
	const char *description;
	const char *reason;         /* why a release is withdrawn or a key revoked, or NULL */
	const char *key;            /* id of a key, or its beginning; or NULL */
	const char *new_dir;        /* folder of a new key, or NULL */
	const char *new_passphrase; /* file, or NULL */
	const char *token;          /* address of a key in a token, or NULL */
	const char *name;           /* whom a licence is for; or NULL */
	const char *from[COMMAND_LIST_MAX]; /* folders */
	const char *roles[COMMAND_LIST_MAX];
	const char *add[COMMAND_LIST_MAX];
	const char *find[COMMAND_LIST_MAX];
	const char *pass[COMMAND_LIST_MAX];
	const char *root_dirs[COMMAND_LIST_MAX];        /* folders with root keys */
	const char *root_passphrases[COMMAND_LIST_MAX]; /* files, one for each of them */
	const char *public_keys[COMMAND_LIST_MAX];      /* files with public halves */
	const char *role_keys[COMMAND_LIST_MAX];        /* "ROLE=M/N" */
	const char *wave[COMMAND_LIST_MAX];             /* "TIME:PERCENT" */
	const char *only[COMMAND_LIST_MAX];             /* components */
	size_t wave_count, only_count;
	size_t from_count, role_count, add_count, find_count, pass_count, root_dir_count,
		root_passphrase_count, public_key_count, role_key_count;
	int64_t version; /* 0: the next */
	int64_t now;     /* seconds since the epoch */
	int64_t abi_min, abi_max;
	int64_t root_keys, threshold;
	int64_t if_due;        /* days; 0: sign in any case */
	int64_t max_shrink;    /* percent of a feed's entries that may go */
	int64_t keep;          /* versions of a component */
	int64_t limit;         /* names that are listed */
	int64_t deltas;        /* from so many versions before */
	int64_t delta_seconds; /* begin no delta after so long; 0: no limit */
	int64_t grace;         /* days that readers of older metadata have */
	int64_t warn;          /* days before expiry that are worth a word */
	int64_t since;         /* seconds since the epoch, or 0 */
	int64_t ends;          /* of a licence, seconds since the epoch; 0: never */
	int level;             /* of zstd */
	int waves;             /* of options.c's list of presets; 0: none */
	int feed;              /* --format, in the order of its words; 0: found out */
	enum yg_key_type key_type;
	enum yg_lang lang;
	struct repo_days days;
	bool json, force, deep, dry_run, all, pause, unpack, plain_keys, drop, no_engine, ask,
		unsigned_too;
};

/* The key folder that the command names, or "<repo>.keys", and the media. */
int command_keys(const struct command *command, struct keys *keys, bool make, struct yg_err *err)
	YG_MUST_CHECK;

/* Only the folders that the command names. errors  YG_EFORMAT it names none */
int command_places(const struct command *command, struct keys *keys, struct yg_err *err)
	YG_MUST_CHECK;

/* The repository, opened for writing, when its keys are open already. */
int command_repo(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err) YG_MUST_CHECK;

/* The repository and its keys, opened for writing. Close both in any case. */
int command_open(const struct command *command, struct repo *repo, struct keys *keys,
	struct yg_err *err) YG_MUST_CHECK;

/* Refuse a key folder inside the repository. errors  YG_EFORMAT; YG_ESYSTEM */
int command_apart(const struct repo *repo, const struct keys *keys, struct yg_err *err)
	YG_MUST_CHECK;
