/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/sample.h"

#include <string.h>

#include "core/mem.h"

#define MAGIC      "YGSAMPLE"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define MASK       0xA5

/* Append bytes with every bit pattern turned around: the same step both ways. */
static int add_masked(const uint8_t *from, size_t len, struct yg_buf *out, struct yg_err *err)
{
	uint8_t piece[4096];
	for (size_t at = 0; at < len;) {
		size_t n = len - at < sizeof(piece) ? len - at : sizeof(piece);
		for (size_t i = 0; i < n; i++)
			piece[i] = from[at + i] ^ MASK;
		if (yg_buf_add(out, piece, n, err) < 0)
			return -1;
		at += n;
	}
	return 0;
}

int yg_sample_encode(struct yg_bytes plain, struct yg_buf *out, struct yg_err *err)
{
	if (plain.len > YG_SAMPLE_SIZE_MAX)
		return yg_fail(err, YG_ELIMIT, "sample: want <= %u bytes, have %zu",
			YG_SAMPLE_SIZE_MAX, plain.len);
	if (yg_buf_add(out, MAGIC, MAGIC_SIZE, err) < 0)
		return -1;
	return add_masked(plain.ptr, plain.len, out, err);
}

int yg_sample_decode(struct yg_bytes stored, struct yg_buf *out, struct yg_err *err)
{
	if (stored.len < MAGIC_SIZE || memcmp(stored.ptr, MAGIC, MAGIC_SIZE) != 0)
		return yg_fail(err, YG_EFORMAT, "sample: want 8 bytes '%s' first", MAGIC);
	if (stored.len - MAGIC_SIZE > YG_SAMPLE_SIZE_MAX)
		return yg_fail(err, YG_ELIMIT, "sample: want <= %u bytes, have %zu",
			YG_SAMPLE_SIZE_MAX, stored.len - MAGIC_SIZE);
	return add_masked(stored.ptr + MAGIC_SIZE, stored.len - MAGIC_SIZE, out, err);
}
