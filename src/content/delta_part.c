/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "core/mem.h"

#define READ_SIZE (16u << 10) /* bytes of the delta read at once */

int delta_part_bad(const struct delta_part *part, struct yg_err *err, const char *what)
{
	return yg_fail_cause(err, YG_EFORMAT, "content.format", "delta: part %llu: %s",
		(unsigned long long)part->count, what);
}

/* ---- the delta's bytes ---- */

static int refill(struct delta_part *part, struct yg_err *err)
{
	size_t len = part->unread < READ_SIZE ? (size_t)part->unread : READ_SIZE;
	ssize_t n;
	if (len == 0)
		return delta_part_bad(part, err, "the delta ends too early");
	do
		n = read(part->fd, part->in_data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return yg_fail_sys(err, errno, "reading the delta");
	if (n == 0)
		return delta_part_bad(part, err, "the delta became shorter");
	part->unread -= (uint64_t)n;
	part->in = (struct delta_cursor){part->in_data, part->in_data + n};
	return 0;
}

int delta_part_get(struct delta_part *part, uint8_t *out, size_t len, struct yg_err *err)
{
	while (len > 0) {
		if (delta_rest(&part->in) == 0 && refill(part, err) < 0)
			return -1;
		size_t n = delta_rest(&part->in) < len ? delta_rest(&part->in) : len;
		memcpy(out, part->in.at, n);
		part->in.at += n;
		out += n;
		len -= n;
	}
	return 0;
}

/* Take a number off a cursor. returns false when it is cut or has more than 64 bits */
static bool number(struct delta_cursor *cursor, uint64_t *out)
{
	uint64_t value = 0;
	for (unsigned shift = 0; cursor->at < cursor->end; shift += 7) {
		uint8_t byte = *cursor->at++;
		if (shift > 63 || (shift == 63 && byte > 1))
			return false;
		value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = value;
			return true;
		}
	}
	return false;
}

int delta_part_number(struct delta_part *part, uint64_t *out, struct yg_err *err)
{
	uint8_t bytes[DELTA_VARINT_MAX];
	struct delta_cursor all = {bytes, bytes};
	do {
		if (all.end == bytes + sizeof(bytes))
			return delta_part_bad(part, err, "a number has more than 64 bits");
		if (delta_part_get(part, bytes + (all.end - bytes), 1, err) < 0)
			return -1;
		all.end++;
	} while (all.end[-1] >= 128);
	return number(&all, out) ? 0 : delta_part_bad(part, err, "a number has more than 64 bits");
}

/* ---- a part ---- */

struct stored {
	size_t size, packed; /* bytes in the part, and in the delta; packed 0: as they are */
};

static int get_stored(struct delta_part *part, struct stored *out, size_t room, struct yg_err *err)
{
	uint64_t size, packed = 0;
	if (delta_part_number(part, &size, err) < 0)
		return -1;
	bool zstd = size & 1;
	size >>= 1;
	if (size == 0 || size > room)
		return delta_part_bad(part, err, "a stream is empty, or more than a part may hold");
	if (zstd && delta_part_number(part, &packed, err) < 0)
		return -1;
	if (zstd && (packed == 0 || packed >= size))
		return delta_part_bad(part, err, "a packed stream is not smaller than it was");
	*out = (struct stored){(size_t)size, (size_t)packed};
	return 0;
}

static int unpack(struct delta_part *part, uint8_t *out, const struct stored *stored,
	struct yg_err *err)
{
	if (stored->packed == 0)
		return delta_part_get(part, out, stored->size, err);
	size_t len = DELTA_ZSTD_HEADER + stored->packed;
	uint8_t *frame YG_AUTO(mem) = malloc(len);
	if (!frame)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	delta_zstd_header(frame, (uint32_t)stored->size);
	if (delta_part_get(part, frame + DELTA_ZSTD_HEADER, stored->packed, err) < 0)
		return -1;
	size_t n = ZSTD_findFrameCompressedSize(frame, len);
	if (!ZSTD_isError(n) && n != len)
		return delta_part_bad(part, err, "zstd: bytes after the frame");
	n = ZSTD_decompressDCtx(part->zstd, out, stored->size, frame, len);
	if (ZSTD_isError(n) || n != stored->size)
		return delta_part_bad(part, err,
			ZSTD_isError(n) ? ZSTD_getErrorName(n) : "zstd: too little came out");
	return 0;
}

/* Two digits of each byte. */
static void digits(uint8_t *out, const uint8_t *bytes, size_t count, bool upper)
{
	const char *const set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		out[2 * i] = (uint8_t)set[bytes[i] >> 4];
		out[2 * i + 1] = (uint8_t)set[bytes[i] & 15];
	}
}

/* How many bytes of hex a word takes; the word is off the cursor then. returns -1 when it is cut */
static int word_len(uint8_t word, struct delta_cursor *in)
{
	if (word == DELTA_WORD_LOWER16)
		return 16;
	if (word == DELTA_WORD_LOWER20)
		return 20;
	if (word == DELTA_WORD_LOWER32)
		return 32;
	return delta_rest(in) > 0 ? *in->at++ : -1;
}

static int add_text(struct delta_part *part, const uint8_t *bytes, size_t len, struct yg_err *err)
{
	if (len > DELTA_PART_MAX - part->words.len)
		return delta_part_bad(part, err, "text: more than a part may hold");
	return yg_buf_add(&part->words, bytes, len, err);
}

/* A word that stands for digits. */
static int add_digits(struct delta_part *part, uint8_t word, struct delta_cursor *in,
	struct yg_err *err)
{
	uint8_t out[2 * UINT8_MAX];
	struct delta_cursor *hex = &part->stream[DELTA_HEX];
	int len = word_len(word, in);
	if (len <= 0 || delta_rest(hex) < (size_t)len)
		return delta_part_bad(part, err, "text: a word is cut, or has no digits");
	digits(out, hex->at, (size_t)len, word == DELTA_WORD_UPPER);
	hex->at += len;
	return add_text(part, out, 2 * (size_t)len, err);
}

/* Words to text. */
static int expand(struct delta_part *part, struct yg_err *err)
{
	struct delta_cursor in = part->stream[DELTA_TEXT];
	part->words.len = 0;
	while (delta_rest(&in) > 0) {
		uint8_t byte = *in.at++;
		if (byte > DELTA_WORD_QUOTE && byte < DELTA_WORDS) {
			if (add_digits(part, byte, &in, err) < 0)
				return -1;
			continue;
		}
		if (byte == DELTA_WORD_QUOTE && delta_rest(&in) == 0)
			return delta_part_bad(part, err, "text: a word is cut");
		if (byte == DELTA_WORD_QUOTE)
			byte = *in.at++;
		if (add_text(part, &byte, 1, err) < 0)
			return -1;
	}
	const uint8_t *text = part->words.data;
	part->text = (struct delta_cursor){text, text + part->words.len};
	if (delta_rest(&part->stream[DELTA_HEX]) > 0)
		return delta_part_bad(part, err, "text: digits are left over");
	return 0;
}

static int next_gap(struct delta_part *part, struct yg_err *err)
{
	part->run = 0;
	part->gap = UINT64_MAX; /* more than any part can copy: the rest is as it was */
	if (delta_rest(&part->stream[DELTA_GAP]) == 0)
		return 0;
	if (!number(&part->stream[DELTA_GAP], &part->gap) ||
		!number(&part->stream[DELTA_RUN], &part->run) ||
		part->run >= delta_rest(&part->stream[DELTA_CHANGE]))
		return delta_part_bad(part, err, "changes: a number is cut, or bytes are missing");
	part->run++;
	return 0;
}

static int get_streams(struct delta_part *part, const struct stored stored[DELTA_STREAMS],
	struct yg_err *err)
{
	size_t used = 1; /* never nothing */
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		used += stored[i].size;
	free(part->streams);
	part->streams = malloc(used);
	if (!part->streams)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	uint8_t *at = part->streams;
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		if (stored[i].size > 0 && unpack(part, at, &stored[i], err) < 0)
			return -1;
		part->stream[i] = (struct delta_cursor){at, at + stored[i].size};
		at += stored[i].size;
	}
	return 0;
}

int delta_part_next(struct delta_part *part, struct yg_err *err)
{
	uint8_t present;
	struct stored stored[DELTA_STREAMS] = {{0}};
	size_t room = DELTA_PART_MAX;
	part->count++;
	if (delta_part_get(part, &present, 1, err) < 0)
		return -1;
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		if ((present >> i & 1) && get_stored(part, &stored[i], room, err) < 0)
			return -1;
		room -= stored[i].size;
	}
	if (get_streams(part, stored, err) < 0)
		return -1;
	part->text = part->stream[DELTA_TEXT];
	if (stored[DELTA_HEX].size > 0 && expand(part, err) < 0)
		return -1;
	return next_gap(part, err);
}

int delta_part_operand(struct delta_part *part, enum delta_stream stream, uint64_t *out,
	struct yg_err *err)
{
	*out = 0;
	if (delta_rest(&part->stream[stream]) == 0 || number(&part->stream[stream], out))
		return 0;
	return delta_part_bad(part, err, "a number is cut, or has more than 64 bits");
}

int delta_part_more(struct delta_part *part, struct yg_err *err)
{
	if (delta_rest(&part->stream[DELTA_COPY]) > 0 || delta_rest(&part->stream[DELTA_ADD]) > 0 ||
		delta_rest(&part->stream[DELTA_SEEK]) > 0)
		return 1;
	if (delta_rest(&part->text) > 0 || part->run > 0 ||
		delta_rest(&part->stream[DELTA_RUN]) > 0 ||
		delta_rest(&part->stream[DELTA_CHANGE]) > 0)
		return delta_part_bad(part, err, "text or changes are left over");
	return 0;
}

int delta_part_change(struct delta_part *part, uint8_t *bytes, size_t len, struct yg_err *err)
{
	while (len > 0) {
		uint64_t *count = part->gap > 0 ? &part->gap : &part->run;
		size_t n = *count < len ? (size_t)*count : len;
		if (part->gap == 0) { /* a run: next_gap saw that it has its bytes */
			for (size_t i = 0; i < n; i++)
				bytes[i] = (uint8_t)(bytes[i] + *part->stream[DELTA_CHANGE].at++);
		}
		if (*count != UINT64_MAX)
			*count -= n;
		bytes += n;
		len -= n;
		if (part->gap == 0 && part->run == 0 && next_gap(part, err) < 0)
			return -1;
	}
	return 0;
}

bool delta_part_at_end(const struct delta_part *part)
{
	return part->unread == 0 && delta_rest(&part->in) == 0;
}

int delta_part_begin(struct delta_part *part, int fd, uint64_t size, struct yg_err *err)
{
	*part = (struct delta_part){.fd = fd, .unread = size, .words.max = DELTA_PART_MAX};
	part->in_data = malloc(READ_SIZE);
	part->zstd = ZSTD_createDCtx();
	if (!part->in_data || !part->zstd)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

void delta_part_end(struct delta_part *part)
{
	free(part->in_data);
	free(part->streams);
	yg_buf_free(&part->words);
	(void)ZSTD_freeDCtx(part->zstd); /* NULL is fine, nothing can fail */
}
