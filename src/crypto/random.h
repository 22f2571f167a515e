/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* Random values that nobody can guess. They fail only when the system has no randomness. */

#define YG_UUID_TEXT          37 /* bytes of "6f1c…-…" with the terminator */
#define YG_RANDOM_TOKEN(size) (((size)*4 + 2) / 3 + 1) /* bytes of text for that many raw bytes */

/* errors  YG_ESYSTEM (all here) */
int yg_random_bytes(void *out, size_t len, struct yg_err *err) YG_MUST_CHECK;

/* A UUID, version 4, lower case. source  RFC 9562 */
int yg_random_uuid(char out[YG_UUID_TEXT], struct yg_err *err) YG_MUST_CHECK;

/* True for any UUID in lower-case text form. */
bool yg_random_uuid_ok(const char *text);

/* size random bytes as base64url without padding: 32 bytes give 43 characters.
 * out     YG_RANDOM_TOKEN(size) bytes. source  RFC 4648, 5
 */
int yg_random_token(char *out, size_t size, struct yg_err *err) YG_MUST_CHECK;
