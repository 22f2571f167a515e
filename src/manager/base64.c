/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/base64.h"

#include <stdlib.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(struct yg_bytes bytes)
{
	char *text = malloc((bytes.len + 2) / 3 * 4 + 1);
	char *to = text;
	for (size_t i = 0; text && i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)bytes.ptr[i] << 16;
		group |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
		group |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
		*to++ = letters[group >> 18];
		*to++ = letters[group >> 12 & 63];
		*to++ = left > 1 ? letters[group >> 6 & 63] : '=';
		*to++ = left > 2 ? letters[group & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

int base64_decode(const char *text, struct yg_buf *out, struct yg_err *err)
{
	size_t len = strlen(text);
	if (len % 4)
		return yg_fail(err, YG_EFORMAT, "base64: want groups of 4 characters, have %zu",
			len);
	size_t start = out->len;
	for (size_t i = 0; i < len; i += 4) {
		/* Padding stands at the very end only. */
		size_t pad = i + 4 < len ? 0
					 : (text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
		uint32_t group = 0;
		for (size_t k = 0; k < 4; k++) {
			const char *at = k < 4 - pad ? strchr(letters, text[i + k]) : letters;
			if (!at) {
				out->len = start;
				return yg_fail(err, YG_EFORMAT,
					"base64: character %zu is none of it", i + k + 1);
			}
			group = group << 6 | (uint32_t)(at - letters);
		}
		const uint8_t three[] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8),
			(uint8_t)group};
		if (yg_buf_add(out, three, 3 - pad, err) < 0) {
			out->len = start;
			return -1;
		}
	}
	return 0;
}
