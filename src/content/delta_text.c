/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_text.h"

#include <stdbool.h>
#include <sys/types.h>

#include "content/delta_format.h"

#define RUN_MIN 16 /* digits: shorter ones are as likely a number, which zstd does better */
#define RUN_MAX 510

static int digit(uint8_t c, bool upper)
{
	uint8_t ten = upper ? 'A' : 'a';
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= ten && c < ten + 6 ? c - ten + 10 : -1;
}

static size_t run(const uint8_t *text, size_t len, bool upper)
{
	size_t n = 0;
	while (n < len && digit(text[n], upper) >= 0)
		n++;
	return n;
}

static int take(const uint8_t *text, size_t bytes, bool upper, struct yg_buf *words,
	struct yg_buf *hex, struct yg_err *err)
{
	uint8_t word[2] = {upper ? DELTA_WORD_UPPER : DELTA_WORD_LOWER, (uint8_t)bytes};
	size_t len = 2;
	if (!upper && (bytes == 16 || bytes == 20 || bytes == 32)) {
		word[0] = bytes == 16 ? DELTA_WORD_LOWER16
			: bytes == 20 ? DELTA_WORD_LOWER20
				      : DELTA_WORD_LOWER32;
		len = 1;
	}
	if (yg_buf_add(words, word, len, err) < 0)
		return -1;
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)(digit(text[2 * i], upper) << 4 |
			digit(text[2 * i + 1], upper));
		if (yg_buf_add(hex, &byte, 1, err) < 0)
			return -1;
	}
	return 0;
}

/* The digits at the beginning of the text, when they are enough. returns how many were taken, -1 */
static ssize_t take_run(const uint8_t *text, size_t len, struct yg_buf *words, struct yg_buf *hex,
	struct yg_err *err)
{
	size_t most = len < RUN_MAX ? len : RUN_MAX;
	size_t lower = run(text, most, false), upper = run(text, most, true);
	bool is_upper = upper > lower;
	size_t n = is_upper ? upper : lower;
	if (n < RUN_MIN)
		return 0;
	return take(text, n / 2, is_upper, words, hex, err) < 0 ? -1 : (ssize_t)(n & ~(size_t)1);
}

int yg_delta_text_words(struct yg_bytes text, struct yg_buf *words, struct yg_buf *hex,
	struct yg_err *err)
{
	for (size_t at = 0; at < text.len;) {
		ssize_t taken = take_run(text.ptr + at, text.len - at, words, hex, err);
		if (taken < 0)
			return -1;
		if (taken > 0) {
			at += (size_t)taken;
			continue;
		}
		uint8_t word[2] = {DELTA_WORD_QUOTE, text.ptr[at]};
		bool quote = text.ptr[at] < DELTA_WORDS;
		if (yg_buf_add(words, quote ? word : word + 1, quote ? 2 : 1, err) < 0)
			return -1;
		at++;
	}
	return 0;
}
