/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/err.h"

/* Activation token: "yg1.<64 hex: SHA-256 of the Manager CA's public key>.<43 base64url: secret>".
 * source  docs/wire.md, "Certificates"
 */

#define YG_TOKEN_TEXT_MAX   113 /* bytes with the terminator */
#define YG_TOKEN_SECRET_LEN 32  /* bytes; 43 characters of base64url */

struct yg_token {
	uint8_t ca_key[32];                  /* SHA-256 of the SubjectPublicKeyInfo (DER) */
	uint8_t secret[YG_TOKEN_SECRET_LEN]; /* the Manager keeps only its SHA-256 */
};

/* Only the one form that yg_token_format writes. Messages never hold any part of the secret.
 * errors  YG_EFORMAT
 */
int yg_token_parse(const char *text, struct yg_token *out, struct yg_err *err) YG_MUST_CHECK;

void yg_token_format(const struct yg_token *token, char out[YG_TOKEN_TEXT_MAX]);

/* The 43 characters alone, for API keys and other secrets. out  44 bytes with the terminator */
void yg_token_base64url(const uint8_t secret[YG_TOKEN_SECRET_LEN], char out[44]);
