/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/err.h"

/* What encoder and decoder of a delta agree on; docs/delta.md is the description. */

#define DELTA_MAGIC       "YGd1"
#define DELTA_MAGIC_SIZE  4
#define DELTA_VARINT_MAX  10         /* bytes of the longest number */
#define DELTA_PART_MAX    (1u << 20) /* bytes of a part's streams together; of its text, unpacked */
#define DELTA_ZSTD_HEADER 9          /* bytes that every zstd frame here begins with: not stored */
#define DELTA_HEADER_MAX  (DELTA_MAGIC_SIZE + 2 * DELTA_VARINT_MAX)

/* The streams of a part, in the order in which they are stored. */
enum delta_stream {
	DELTA_COPY,   /* numbers: bytes to copy */
	DELTA_ADD,    /* numbers: bytes of text after that */
	DELTA_SEEK,   /* numbers, signed: what to skip in the old file before the copy */
	DELTA_GAP,    /* numbers: copied bytes that stay as they are, before a run of others */
	DELTA_RUN,    /* numbers: the length of that run, less one */
	DELTA_CHANGE, /* bytes: what is added to each byte of the runs, modulo 256 */
	DELTA_TEXT, /* bytes: what the old file does not have; with words when DELTA_HEX is there */
	DELTA_HEX,  /* bytes: two hexadecimal digits each */
	DELTA_STREAMS
};

/* Words in the text of a part that has DELTA_HEX; other bytes stand for themselves. */
enum delta_word {
	DELTA_WORD_QUOTE,   /* the next byte stands for itself */
	DELTA_WORD_LOWER,   /* the next byte is n: n bytes of DELTA_HEX in lower-case digits */
	DELTA_WORD_UPPER,   /* the same, upper-case */
	DELTA_WORD_LOWER16, /* 16 bytes of DELTA_HEX: an MD5 in lower-case digits */
	DELTA_WORD_LOWER20, /* a SHA-1 */
	DELTA_WORD_LOWER32, /* a SHA-256 */
	DELTA_WORDS
};

/* A zstd frame of `size` bytes in one segment, with a content size of four bytes and no checksum. */
static inline void delta_zstd_header(uint8_t out[DELTA_ZSTD_HEADER], uint32_t size)
{
	static const uint8_t begin[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0};
	for (unsigned i = 0; i < sizeof(begin); i++)
		out[i] = begin[i];
	for (unsigned i = 0; i < 4; i++)
		out[sizeof(begin) + i] = (uint8_t)(size >> (8 * i));
}
