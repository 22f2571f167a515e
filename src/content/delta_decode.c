/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The decoder of deltas: what a delta says is never believed.
 *
 * One part of it is in memory at a time: its streams, unpacked (DELTA_PART_MAX bytes), and its text
 * (as many). From them come operations: so many bytes of the old file, changed where the part says so,
 * then so many bytes of the text. Every operation makes at least one byte and none beyond the stated
 * size, so that the work is bounded by what is wanted, however the delta was made.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "content/codec.h"
#include "content/delta.h"
#include "content/delta_format.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "crypto/hash.h"

#define READ_SIZE   (16u << 10) /* bytes of the delta read at once */
#define WINDOW_SIZE (32u << 10) /* bytes of the old file kept for short copies */
#define OUT_SIZE    (128u << 10)

struct cursor {
	const uint8_t *at, *end; /* points into decoder.streams or .text */
};

struct decoder {
	/* the delta */
	int delta;
	uint64_t unread; /* bytes of it not yet in `in` */
	struct cursor in;
	uint8_t *in_data; /* READ_SIZE bytes */
	uint64_t parts;   /* begun so far: the name of a part in messages */
	/* the old file */
	int old;
	uint64_t old_size, at; /* at: where the next copy begins */
	uint8_t *window;       /* WINDOW_SIZE bytes */
	uint64_t window_at, window_len;
	/* what comes out */
	int out;
	uint64_t left; /* bytes still wanted */
	uint8_t *out_data;
	size_t out_len;
	struct yg_hash *hash; /* borrowed, or NULL */
	/* the part */
	uint8_t *streams, *packed,
		*words; /* DELTA_PART_MAX bytes each; packed with a frame header */
	struct cursor stream[DELTA_STREAMS];
	struct cursor text;
	uint64_t gap, run; /* copied bytes until the next changed ones; of those, the rest */
	ZSTD_DCtx *zstd;
};

static void decoder_end(struct decoder *decoder)
{
	free(decoder->in_data);
	free(decoder->window);
	free(decoder->out_data);
	free(decoder->streams);
	free(decoder->packed);
	free(decoder->words);
	(void)ZSTD_freeDCtx(decoder->zstd); /* NULL is fine, nothing can fail */
}

static void decoder_free_at(struct decoder *decoder)
{
	decoder_end(decoder);
}

static int bad(struct decoder *decoder, struct yg_err *err, const char *what)
{
	return yg_fail_cause(err, YG_EFORMAT, "content.format", "delta: part %llu: %s",
		(unsigned long long)decoder->parts, what);
}

static int wrong_base(struct yg_err *err, uint64_t want, uint64_t have)
{
	return yg_fail_cause(err, YG_EUNTRUSTED, "content.base",
		"the old file is not the one that the delta was made from: want %llu bytes, have "
		"%llu",
		(unsigned long long)want, (unsigned long long)have);
}

static size_t rest(const struct cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

/* ---- the delta's bytes ---- */

static int refill(struct decoder *decoder, struct yg_err *err)
{
	size_t len = decoder->unread < READ_SIZE ? (size_t)decoder->unread : READ_SIZE;
	ssize_t n;
	if (len == 0)
		return bad(decoder, err, "the delta ends too early");
	do
		n = read(decoder->delta, decoder->in_data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return yg_fail_sys(err, errno, "reading the delta");
	if (n == 0)
		return bad(decoder, err, "the delta became shorter");
	decoder->unread -= (uint64_t)n;
	decoder->in = (struct cursor){decoder->in_data, decoder->in_data + n};
	return 0;
}

static int get(struct decoder *decoder, uint8_t *out, size_t len, struct yg_err *err)
{
	while (len > 0) {
		if (rest(&decoder->in) == 0 && refill(decoder, err) < 0)
			return -1;
		size_t n = rest(&decoder->in) < len ? rest(&decoder->in) : len;
		memcpy(out, decoder->in.at, n);
		decoder->in.at += n;
		out += n;
		len -= n;
	}
	return 0;
}

/* Take a number off a cursor. returns false when it is cut or has more than 64 bits */
static bool number(struct cursor *cursor, uint64_t *out)
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

static int get_number(struct decoder *decoder, uint64_t *out, struct yg_err *err)
{
	uint8_t bytes[DELTA_VARINT_MAX];
	struct cursor all = {bytes, bytes};
	do {
		if (all.end == bytes + sizeof(bytes))
			return bad(decoder, err, "a number has more than 64 bits");
		if (get(decoder, bytes + (all.end - bytes), 1, err) < 0)
			return -1;
		all.end++;
	} while (all.end[-1] >= 128);
	return number(&all, out) ? 0 : bad(decoder, err, "a number has more than 64 bits");
}

/* ---- a part ---- */

struct stored {
	size_t size, packed; /* bytes in the decoder, and in the delta; packed 0: as they are */
};

static int get_stored(struct decoder *decoder, struct stored *out, size_t room, struct yg_err *err)
{
	uint64_t size, packed = 0;
	if (get_number(decoder, &size, err) < 0)
		return -1;
	bool zstd = size & 1;
	size >>= 1;
	if (size == 0 || size > room)
		return bad(decoder, err, "a stream is empty, or more than a part may hold");
	if (zstd && get_number(decoder, &packed, err) < 0)
		return -1;
	if (zstd && (packed == 0 || packed >= size))
		return bad(decoder, err, "a packed stream is not smaller than it was");
	*out = (struct stored){(size_t)size, (size_t)packed};
	return 0;
}

static int unpack(struct decoder *decoder, uint8_t *out, const struct stored *stored,
	struct yg_err *err)
{
	if (stored->packed == 0)
		return get(decoder, out, stored->size, err);
	size_t len = DELTA_ZSTD_HEADER + stored->packed;
	delta_zstd_header(decoder->packed, (uint32_t)stored->size);
	if (get(decoder, decoder->packed + DELTA_ZSTD_HEADER, stored->packed, err) < 0)
		return -1;
	size_t n = ZSTD_findFrameCompressedSize(decoder->packed, len);
	if (!ZSTD_isError(n) && n != len)
		return bad(decoder, err, "zstd: bytes after the frame");
	n = ZSTD_decompressDCtx(decoder->zstd, out, stored->size, decoder->packed, len);
	if (ZSTD_isError(n) || n != stored->size)
		return bad(decoder, err,
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
static int word_len(uint8_t word, struct cursor *in)
{
	if (word == DELTA_WORD_LOWER16)
		return 16;
	if (word == DELTA_WORD_LOWER20)
		return 20;
	if (word == DELTA_WORD_LOWER32)
		return 32;
	return rest(in) > 0 ? *in->at++ : -1;
}

/* Words to text. */
static int expand(struct decoder *decoder, struct yg_err *err)
{
	struct cursor in = decoder->stream[DELTA_TEXT], *hex = &decoder->stream[DELTA_HEX];
	size_t used = 0;
	while (rest(&in) > 0) {
		uint8_t byte = *in.at++;
		if (byte == DELTA_WORD_QUOTE) {
			if (rest(&in) == 0)
				return bad(decoder, err, "text: a word is cut");
			byte = *in.at++;
		} else if (byte < DELTA_WORDS) {
			int len = word_len(byte, &in);
			if (len <= 0 || rest(hex) < (size_t)len)
				return bad(decoder, err, "text: a word is cut, or has no digits");
			if (DELTA_PART_MAX - used < 2 * (size_t)len)
				return bad(decoder, err, "text: more than a part may hold");
			digits(decoder->words + used, hex->at, (size_t)len,
				byte == DELTA_WORD_UPPER);
			hex->at += len;
			used += 2 * (size_t)len;
			continue;
		}
		if (used == DELTA_PART_MAX)
			return bad(decoder, err, "text: more than a part may hold");
		decoder->words[used++] = byte;
	}
	decoder->text = (struct cursor){decoder->words, decoder->words + used};
	return rest(hex) == 0 ? 0 : bad(decoder, err, "text: digits are left over");
}

static int next_gap(struct decoder *decoder, struct yg_err *err)
{
	decoder->run = 0;
	decoder->gap = UINT64_MAX; /* more than any part can copy: the rest is as it was */
	if (rest(&decoder->stream[DELTA_GAP]) == 0)
		return 0;
	if (!number(&decoder->stream[DELTA_GAP], &decoder->gap) ||
		!number(&decoder->stream[DELTA_RUN], &decoder->run) ||
		decoder->run >= rest(&decoder->stream[DELTA_CHANGE]))
		return bad(decoder, err, "changes: a number is cut, or bytes are missing");
	decoder->run++;
	return 0;
}

static int get_part(struct decoder *decoder, struct yg_err *err)
{
	uint8_t present;
	struct stored stored[DELTA_STREAMS] = {{0}};
	size_t used = 0;
	decoder->parts++;
	if (get(decoder, &present, 1, err) < 0)
		return -1;
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		if ((present >> i & 1) &&
			get_stored(decoder, &stored[i], DELTA_PART_MAX - used, err) < 0)
			return -1;
		decoder->stream[i].at = decoder->streams + used;
		used += stored[i].size;
		decoder->stream[i].end = decoder->streams + used;
	}
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		uint8_t *to = decoder->streams + (decoder->stream[i].at - decoder->streams);
		if (stored[i].size > 0 && unpack(decoder, to, &stored[i], err) < 0)
			return -1;
	}
	decoder->text = decoder->stream[DELTA_TEXT];
	if (stored[DELTA_HEX].size > 0 && expand(decoder, err) < 0)
		return -1;
	return next_gap(decoder, err);
}

/* ---- what comes out ---- */

static int flush(struct decoder *decoder, struct yg_err *err)
{
	if (decoder->hash)
		yg_hash_add(decoder->hash, decoder->out_data, decoder->out_len);
	size_t len = decoder->out_len;
	decoder->out_len = 0;
	return yg_fs_write_all(decoder->out, decoder->out_data, len, err);
}

static int read_old(struct decoder *decoder, uint8_t *out, size_t len, uint64_t at, size_t *got,
	struct yg_err *err)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = pread(decoder->old, out + *got, len - *got, (off_t)(at + *got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading the old file");
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return 0;
}

/* `len` bytes of the old file; short copies come out of the window. */
static int copy_old(struct decoder *decoder, uint8_t *out, size_t len, struct yg_err *err)
{
	size_t got;
	if (len >= WINDOW_SIZE) {
		if (read_old(decoder, out, len, decoder->at, &got, err) < 0)
			return -1;
		return got == len ? 0 : wrong_base(err, decoder->old_size, decoder->at + got);
	}
	if (decoder->at < decoder->window_at ||
		decoder->at - decoder->window_at > decoder->window_len ||
		decoder->window_len - (decoder->at - decoder->window_at) < len) {
		decoder->window_len = 0;
		if (read_old(decoder, decoder->window, WINDOW_SIZE, decoder->at, &got, err) < 0)
			return -1;
		decoder->window_at = decoder->at;
		decoder->window_len = got;
		if (got < len)
			return wrong_base(err, decoder->old_size, decoder->at + got);
	}
	memcpy(out, decoder->window + (decoder->at - decoder->window_at), len);
	return 0;
}

/* Change copied bytes where the part says so. */
static int change(struct decoder *decoder, uint8_t *bytes, size_t len, struct yg_err *err)
{
	while (len > 0) {
		uint64_t *count = decoder->gap > 0 ? &decoder->gap : &decoder->run;
		size_t n = *count < len ? (size_t)*count : len;
		if (decoder->gap == 0) { /* a run: next_gap saw that it has its bytes */
			for (size_t i = 0; i < n; i++)
				bytes[i] = (uint8_t)(bytes[i] +
					*decoder->stream[DELTA_CHANGE].at++);
		}
		if (*count != UINT64_MAX)
			*count -= n;
		bytes += n;
		len -= n;
		if (decoder->gap == 0 && decoder->run == 0 && next_gap(decoder, err) < 0)
			return -1;
	}
	return 0;
}

static int put_copy(struct decoder *decoder, uint64_t len, struct yg_err *err)
{
	while (len > 0) {
		if (decoder->out_len == OUT_SIZE && flush(decoder, err) < 0)
			return -1;
		uint8_t *to = decoder->out_data + decoder->out_len;
		size_t room = OUT_SIZE - decoder->out_len;
		size_t n = len < room ? (size_t)len : room;
		if (copy_old(decoder, to, n, err) < 0 || change(decoder, to, n, err) < 0)
			return -1;
		decoder->out_len += n;
		decoder->at += n;
		len -= n;
	}
	return 0;
}

static int put_text(struct decoder *decoder, size_t len, struct yg_err *err)
{
	while (len > 0) {
		if (decoder->out_len == OUT_SIZE && flush(decoder, err) < 0)
			return -1;
		size_t room = OUT_SIZE - decoder->out_len;
		size_t n = len < room ? len : room;
		memcpy(decoder->out_data + decoder->out_len, decoder->text.at, n);
		decoder->out_len += n;
		decoder->text.at += n;
		len -= n;
	}
	return 0;
}

/* A number of an operation; beyond the end of their stream, they are 0. */
static bool operand(struct cursor *cursor, uint64_t *out)
{
	*out = 0;
	return rest(cursor) == 0 || number(cursor, out);
}

/* Skip in the old file, either way; `seek` has its sign in the lowest bit. */
static bool seek_ok(struct decoder *decoder, uint64_t seek)
{
	uint64_t by = seek >> 1;
	if (seek & 1) { /* back, by one more */
		if (by >= decoder->at)
			return false;
		decoder->at -= by + 1;
		return true;
	}
	if (by > decoder->old_size - decoder->at)
		return false;
	decoder->at += by;
	return true;
}

static int run_op(struct decoder *decoder, struct yg_err *err)
{
	uint64_t copy, add, seek;
	if (!operand(&decoder->stream[DELTA_COPY], &copy) ||
		!operand(&decoder->stream[DELTA_ADD], &add) ||
		!operand(&decoder->stream[DELTA_SEEK], &seek))
		return bad(decoder, err, "a number is cut, or has more than 64 bits");
	if (copy == 0 && add == 0)
		return bad(decoder, err, "an operation makes nothing");
	if (copy > decoder->left || add > decoder->left - copy)
		return bad(decoder, err, "more comes out than is wanted");
	if (!seek_ok(decoder, seek) || copy > decoder->old_size - decoder->at)
		return bad(decoder, err, "a copy from outside the old file");
	if (add > rest(&decoder->text))
		return bad(decoder, err, "more text is wanted than there is");
	decoder->left -= copy + add;
	if (put_copy(decoder, copy, err) < 0)
		return -1;
	return put_text(decoder, (size_t)add, err);
}

static int run_part(struct decoder *decoder, struct yg_err *err)
{
	do {
		if (run_op(decoder, err) < 0)
			return -1;
	} while (rest(&decoder->stream[DELTA_COPY]) > 0 || rest(&decoder->stream[DELTA_ADD]) > 0 ||
		rest(&decoder->stream[DELTA_SEEK]) > 0);
	if (rest(&decoder->text) > 0 || decoder->run > 0 || rest(&decoder->stream[DELTA_RUN]) > 0 ||
		rest(&decoder->stream[DELTA_CHANGE]) > 0)
		return bad(decoder, err, "text or changes are left over");
	return 0;
}

/* ---- the whole ---- */

static int decoder_begin(struct decoder *decoder, struct yg_err *err)
{
	decoder->in_data = malloc(READ_SIZE);
	decoder->window = malloc(WINDOW_SIZE);
	decoder->out_data = malloc(OUT_SIZE);
	decoder->streams = malloc(DELTA_PART_MAX);
	decoder->packed = malloc(DELTA_ZSTD_HEADER + DELTA_PART_MAX);
	decoder->words = malloc(DELTA_PART_MAX);
	decoder->zstd = ZSTD_createDCtx();
	if (!decoder->in_data || !decoder->window || !decoder->out_data || !decoder->streams ||
		!decoder->packed || !decoder->words || !decoder->zstd)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int get_header(struct decoder *decoder, uint64_t size, struct yg_err *err)
{
	uint8_t magic[DELTA_MAGIC_SIZE];
	uint64_t new_size;
	struct stat at;
	if (get(decoder, magic, sizeof(magic), err) < 0)
		return -1;
	if (memcmp(magic, DELTA_MAGIC, sizeof(magic)) != 0)
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"delta: want '%s' at the beginning", DELTA_MAGIC);
	if (get_number(decoder, &decoder->old_size, err) < 0 ||
		get_number(decoder, &new_size, err) < 0)
		return -1;
	if (new_size != size)
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"delta: of a file of %llu bytes: want %llu", (unsigned long long)new_size,
			(unsigned long long)size);
	if (fstat(decoder->old, &at) < 0)
		return yg_fail_sys(err, errno, "reading the old file's size");
	if ((uint64_t)at.st_size != decoder->old_size)
		return wrong_base(err, decoder->old_size, (uint64_t)at.st_size);
	decoder->left = size;
	return 0;
}

static int decode(struct decoder *decoder, uint64_t size, struct yg_err *err)
{
	if (decoder_begin(decoder, err) < 0 || get_header(decoder, size, err) < 0)
		return -1;
	while (decoder->left > 0)
		if (get_part(decoder, err) < 0 || run_part(decoder, err) < 0)
			return -1;
	if (decoder->unread > 0 || rest(&decoder->in) > 0)
		return bad(decoder, err, "bytes after the last part");
	return flush(decoder, err);
}

int yg_delta_apply(int old, int delta, int out, uint64_t delta_size, uint64_t size,
	struct yg_err *err)
{
	struct decoder decoder YG_AUTO(
		decoder) = {.old = old, .delta = delta, .out = out, .unread = delta_size};
	return decode(&decoder, size, err);
}

/* The decoder sees only bytes that were vouched for. Leaves the position where it was. */
static int check_transferred(int delta, const struct yg_form *form, struct yg_err *err)
{
	char have[YG_SHA256_TEXT];
	uint64_t size;
	off_t start = lseek(delta, 0, SEEK_CUR);
	if (start < 0)
		return yg_fail_sys(err, errno, "seeking");
	if (yg_codec_hash(delta, have, &size, err) < 0)
		return -1;
	if (lseek(delta, start, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "seeking");
	if (size != form->size)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.size",
			"transferred bytes: want %llu, have %llu", (unsigned long long)form->size,
			(unsigned long long)size);
	if (strcmp(have, form->sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.hash",
			"transferred bytes: sha256: want %s, have %s", form->sha256, have);
	return 0;
}

/* Asked when something other than wanted came out: whether the old file is to blame. */
static bool base_is(int old, const char *sha256)
{
	struct yg_err why = {0};
	uint8_t raw[YG_HASH_SIZE];
	char have[YG_SHA256_TEXT];
	if (yg_hash_fd(old, raw, NULL, &why) < 0)
		return false;
	yg_str_hex(raw, sizeof(raw), have);
	return strcmp(have, sha256) == 0;
}

int yg_delta_decode(int old, int delta, int out, const struct yg_form *form, const char *sha256,
	uint64_t size, struct yg_err *err)
{
	struct yg_hash *hash YG_AUTO(yg_hash) = yg_hash_new(err);
	if (!hash || check_transferred(delta, form, err) < 0)
		return -1;
	struct decoder decoder YG_AUTO(decoder) = {.old = old,
		.delta = delta,
		.out = out,
		.unread = form->size,
		.hash = hash};
	if (decode(&decoder, size, err) < 0)
		return -1;
	uint8_t raw[YG_HASH_SIZE];
	char have[YG_SHA256_TEXT];
	yg_hash_end(hash, raw);
	yg_str_hex(raw, sizeof(raw), have);
	if (strcmp(have, sha256) == 0)
		return 0;
	bool base = base_is(old, form->from);
	return yg_fail_cause(err, YG_EUNTRUSTED, base ? "content.hash" : "content.base",
		"plain bytes: sha256: want %s, have %s%s", sha256, have,
		base ? "" : ": the old file is not the one that the delta was made from");
}
