/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"
#include "core/str.h"
#include "crypto/secret.h"

int yg_random_bytes(void *out, size_t len, struct yg_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = getrandom((uint8_t *)out + at, len - at, 0);
		if (n < 0 && errno != EINTR)
			return yg_fail_sys(err, errno, "getting randomness");
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int yg_random_uuid(char out[YG_UUID_TEXT], struct yg_err *err)
{
	uint8_t raw[16];
	if (yg_random_bytes(raw, sizeof(raw), err) < 0)
		return -1;
	raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
	char hex[33];
	yg_str_hex(raw, sizeof(raw), hex);
	size_t from = 0, to = 0;
	for (; from < 32; from++) {
		if (from == 8 || from == 12 || from == 16 || from == 20)
			out[to++] = '-';
		out[to++] = hex[from];
	}
	out[to] = 0;
	return 0;
}

bool yg_random_uuid_ok(const char *text)
{
	if (strnlen(text, YG_UUID_TEXT) != YG_UUID_TEXT - 1)
		return false;
	for (size_t i = 0; i < YG_UUID_TEXT - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
			return false;
	}
	return true;
}

int yg_random_token(char *out, size_t size, struct yg_err *err)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t *raw YG_AUTO(mem) = malloc(size ? size : 1);
	if (!raw)
		return yg_fail_sys(err, ENOMEM, "making a random text");
	if (yg_random_bytes(raw, size, err) < 0)
		return -1;
	unsigned bits = 0, held = 0;
	size_t to = 0;
	for (size_t i = 0; i < size; i++) {
		bits = (bits << 8 | raw[i]) & 0xffff;
		held += 8;
		for (; held >= 6; held -= 6)
			out[to++] = digits[bits >> (held - 6) & 63];
	}
	if (held)
		out[to++] = digits[bits << (6 - held) & 63];
	out[to] = 0;
	yg_secret_wipe(raw, size);
	return 0;
}
