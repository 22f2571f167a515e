/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/err.h"

/* Activation tokens: "yg1.<hex SHA-256 of the Manager CA's public key>.<43 base64url characters>".
 * source  docs/wire.md, "Certificates"
 */

#define YG_TOKEN_TEXT   113 /* bytes, with the terminator */
#define YG_TOKEN_SECRET 44  /* bytes of the secret part, with the terminator */

struct yg_token {
	uint8_t ca_spki[32];
	char secret[YG_TOKEN_SECRET];
};

/* errors  YG_EFORMAT, saying which part is wrong; the secret is never in the message */
int yg_token_parse(const char *text, struct yg_token *out, struct yg_err *err) YG_MUST_CHECK;

/* A new token for a CA key. errors  YG_ESYSTEM */
int yg_token_make(const uint8_t ca_spki[32], char out[YG_TOKEN_TEXT], struct yg_err *err)
	YG_MUST_CHECK;
