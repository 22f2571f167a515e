/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "crypto/key.h"

/* The publisher's key folder: one PEM file a key, mode 0600. A role's keys are "<role>.pem", or
 * "<role>-1.pem" and so on where there are several (root).
 */

#define KEYS_NAME_MAX 64

struct keys {
	int dir;          /* the folder, open; -1: none */
	char *passphrase; /* owned; NULL: keys are stored in plain */
};

/* Open the folder; `make` creates it (0700). errors  YG_EABSENT, YG_ESYSTEM */
int keys_open(struct keys *keys, const char *path, const char *passphrase_file, bool make,
	struct yg_err *err) YG_MUST_CHECK;
void keys_close(struct keys *keys);

static inline void keys_free_at(struct keys *keys)
{
	keys_close(keys);
}

/* Make a key of this name unless it is there. errors  YG_ESYSTEM */
int keys_make(const struct keys *keys, const char *name, enum yg_key_type type, struct yg_err *err)
	YG_MUST_CHECK;

/* The public half as TUF writes it, a new reference, and its id (65 bytes). errors  as yg_key_load */
int keys_public(const struct keys *keys, const char *name, json_t **out, char id[65],
	struct yg_err *err) YG_MUST_CHECK;

/* Sign a body with these keys of the folder and append the whole file of metadata. */
int keys_sign(const struct keys *keys, const char names[][KEYS_NAME_MAX], size_t count,
	const json_t *body, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* Names of the folder's keys whose ids are in `keyids`, for a role: "am", or "root-1"… `max` of them
 * at most. errors  YG_EABSENT none of them is here
 */
int keys_of_role(const struct keys *keys, const char *role, const json_t *keyids,
	char names[][KEYS_NAME_MAX], size_t max, size_t *count, struct yg_err *err) YG_MUST_CHECK;
