/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/token.h"

#include <string.h>

#include "core/str.h"
#include "crypto/random.h"

#define HEAD      "yg1."
#define HEX       64 /* digits */
#define SECRET_AT (sizeof(HEAD) - 1 + HEX + 1)
#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

int yg_token_parse(const char *text, struct yg_token *out, struct yg_err *err)
{
	struct yg_token token;
	if (strncmp(text, HEAD, sizeof(HEAD) - 1) != 0)
		return yg_fail(err, YG_EFORMAT, "token: want \"" HEAD "\" at its start");
	size_t have = strnlen(text, YG_TOKEN_TEXT);
	if (have != YG_TOKEN_TEXT - 1)
		return yg_fail(err, YG_EFORMAT, "token: want %d characters, have %s%zu",
			YG_TOKEN_TEXT - 1, have == YG_TOKEN_TEXT ? "at least " : "", have);
	char hex[HEX + 1];
	memcpy(hex, text + sizeof(HEAD) - 1, HEX);
	hex[HEX] = 0;
	if (yg_str_unhex("token: CA key", hex, token.ca_spki, sizeof(token.ca_spki), err) < 0)
		return -1;
	if (text[SECRET_AT - 1] != '.')
		return yg_fail(err, YG_EFORMAT, "token: want a '.' after the CA key's hash");
	if (strspn(text + SECRET_AT, BASE64URL) != YG_TOKEN_SECRET - 1)
		return yg_fail(err, YG_EFORMAT,
			"token: the secret has a character outside base64url");
	memcpy(token.secret, text + SECRET_AT, YG_TOKEN_SECRET);
	*out = token;
	return 0;
}

int yg_token_make(const uint8_t ca_spki[32], char out[YG_TOKEN_TEXT], struct yg_err *err)
{
	char secret[YG_TOKEN_SECRET];
	if (yg_random_token(secret, 32, err) < 0)
		return -1;
	memcpy(out, HEAD, sizeof(HEAD) - 1);
	yg_str_hex(ca_spki, 32, out + sizeof(HEAD) - 1);
	out[SECRET_AT - 1] = '.';
	memcpy(out + SECRET_AT, secret, sizeof(secret));
	return 0;
}
