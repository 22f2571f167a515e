/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_code.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "content/delta_format.h"
#include "content/delta_text.h"
#include "core/fs.h"
#include "crypto/hash.h"

#define PIECE_SIZE (32u << 10)                             /* bytes looked at at once */
#define OP_SIZE    (3 * DELTA_VARINT_MAX)                  /* bytes of an operation's numbers */
#define LOOK_ROOM  (4 * PIECE_SIZE + 2 * DELTA_VARINT_MAX) /* what the changes of a piece may take */
#define LEVEL      19

struct yg_delta_coder {
	int old, new;
	uint64_t new_at, old_at; /* what is done of the new file; where the last copy ended */
	uint64_t added;          /* bytes of text so far */
	struct yg_delta_sink *sink;
	struct yg_buf stream[DELTA_STREAMS]; /* the part; text without words; DELTA_HEX unused */
	struct yg_buf words, hex;            /* the text with words */
	uint64_t copy, add, seek;            /* the operation under way */
	uint64_t same;                       /* copied bytes since the last change in this part */
	uint8_t *pieces;                     /* 2 * PIECE_SIZE bytes */
	ZSTD_CCtx *zstd;
};

int yg_delta_code_put(struct yg_delta_sink *sink, const void *data, size_t len, struct yg_err *err)
{
	if (len > sink->max - sink->size)
		return yg_fail(err, YG_ELIMIT, "the delta: want <= %llu bytes, have more",
			(unsigned long long)sink->max);
	sink->size += len;
	if (sink->hash)
		yg_hash_add(sink->hash, data, len);
	return sink->keep ? yg_buf_add(sink->keep, data, len, err)
			  : yg_fs_write_all(sink->fd, data, len, err);
}

static size_t number_put(uint8_t out[DELTA_VARINT_MAX], uint64_t value)
{
	size_t len = 0;
	for (; value >= 128; value >>= 7)
		out[len++] = (uint8_t)(value | 128);
	out[len++] = (uint8_t)value;
	return len;
}

static int number_add(struct yg_buf *to, uint64_t value, struct yg_err *err)
{
	uint8_t bytes[DELTA_VARINT_MAX];
	return yg_buf_add(to, bytes, number_put(bytes, value), err);
}

static int read_at(int fd, uint8_t *out, size_t len, uint64_t at, struct yg_err *err)
{
	while (len > 0) {
		ssize_t n = pread(fd, out, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			return yg_fail(err, YG_ESYSTEM, "a file became shorter while it was read");
		out += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- a part ---- */

/* How a stream is stored. */
struct stored {
	struct yg_bytes plain;
	struct yg_buf packed; /* len 0: as it is */
};

static void stored_free_at(struct stored *stored)
{
	yg_buf_free(&stored->packed);
}

static size_t stored_size(const struct stored *stored)
{
	return stored->packed.len ? stored->packed.len : stored->plain.len;
}

/* The bytes of a zstd frame's header; source RFC 8878, 3.1.1.1 */
static size_t header_size(const uint8_t *frame)
{
	static const uint8_t fields[] = {1, 2, 4, 8};
	assert(frame[4] & 0x20); /* one segment, since the size was known */
	return 5u + fields[frame[4] >> 6];
}

static int pack(struct yg_delta_coder *coder, struct yg_buf *from, struct stored *to,
	struct yg_err *err)
{
	*to = (struct stored){yg_buf_bytes(from), YG_BUF(ZSTD_COMPRESSBOUND(DELTA_PART_MAX))};
	if (from->len == 0)
		return 0;
	size_t room = ZSTD_compressBound(from->len);
	uint8_t *frame YG_AUTO(mem) = malloc(room);
	if (!frame)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	size_t n = ZSTD_compressCCtx(coder->zstd, frame, room, from->data, from->len, LEVEL);
	if (ZSTD_isError(n))
		return yg_fail(err, YG_ESYSTEM, "zstd: %s", ZSTD_getErrorName(n));
	size_t skip = header_size(frame);
	if (n - skip + 2 >= from->len)
		return 0; /* its size takes bytes, too */
	return yg_buf_add(&to->packed, frame + skip, n - skip, err);
}

static int put_part(struct yg_delta_coder *coder, const struct stored *stored, struct yg_err *err)
{
	uint8_t head[1 + DELTA_STREAMS * 2 * DELTA_VARINT_MAX] = {0};
	size_t len = 1;
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		if (stored[i].plain.len == 0)
			continue;
		head[0] |= (uint8_t)(1u << i);
		len += number_put(head + len,
			stored[i].plain.len << 1 | (stored[i].packed.len > 0));
		if (stored[i].packed.len > 0)
			len += number_put(head + len, stored[i].packed.len);
	}
	if (yg_delta_code_put(coder->sink, head, len, err) < 0)
		return -1;
	for (unsigned i = 0; i < DELTA_STREAMS; i++) {
		struct yg_bytes bytes = stored[i].packed.len ? yg_buf_bytes(&stored[i].packed)
							     : stored[i].plain;
		if (yg_delta_code_put(coder->sink, bytes.ptr, bytes.len, err) < 0)
			return -1;
	}
	return 0;
}

static void swap(struct stored *a, struct stored *b)
{
	struct stored was = *a;
	*a = *b;
	*b = was;
}

/* The text with words, when that takes less. */
static int pack_words(struct yg_delta_coder *coder, struct stored *stored, struct yg_err *err)
{
	struct stored words YG_AUTO(stored) = {{0}, {0}}, hex YG_AUTO(stored) = {{0}, {0}};
	coder->words.len = coder->hex.len = 0;
	if (yg_delta_text_words(stored[DELTA_TEXT].plain, &coder->words, &coder->hex, err) < 0)
		return -1;
	if (coder->hex.len == 0 || coder->hex.len + coder->words.len > stored[DELTA_TEXT].plain.len)
		return 0;
	if (pack(coder, &coder->words, &words, err) < 0 || pack(coder, &coder->hex, &hex, err) < 0)
		return -1;
	if (stored_size(&words) + stored_size(&hex) >= stored_size(&stored[DELTA_TEXT]))
		return 0;
	swap(&words, &stored[DELTA_TEXT]);
	swap(&hex, &stored[DELTA_HEX]);
	return 0;
}

/* Zeros at the end of an operand need not be there. A number that is not 0 does not end in one. */
static void trim(struct yg_buf *numbers)
{
	while (numbers->len > 0 && numbers->data[numbers->len - 1] == 0)
		numbers->len--;
}

static void stored_all_free_at(struct stored (*stored)[DELTA_STREAMS])
{
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		stored_free_at(&(*stored)[i]);
}

static int end_part(struct yg_delta_coder *coder, struct yg_err *err)
{
	struct stored stored[DELTA_STREAMS] YG_AUTO(stored_all) = {{{0}, {0}}};
	if (coder->stream[DELTA_COPY].len == 0)
		return 0;
	trim(&coder->stream[DELTA_COPY]);
	trim(&coder->stream[DELTA_ADD]);
	trim(&coder->stream[DELTA_SEEK]);
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		if (pack(coder, &coder->stream[i], &stored[i], err) < 0)
			return -1;
	if (pack_words(coder, stored, err) < 0 || put_part(coder, stored, err) < 0)
		return -1;
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		coder->stream[i].len = 0;
	coder->same = 0;
	return 0;
}

/* ---- operations ---- */

static size_t room(const struct yg_delta_coder *coder)
{
	size_t used = OP_SIZE;
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		used += coder->stream[i].len;
	return used < DELTA_PART_MAX ? DELTA_PART_MAX - used : 0;
}

static int end_op(struct yg_delta_coder *coder, struct yg_err *err)
{
	if (coder->copy == 0 && coder->add == 0)
		return 0;
	if (number_add(&coder->stream[DELTA_COPY], coder->copy, err) < 0 ||
		number_add(&coder->stream[DELTA_ADD], coder->add, err) < 0 ||
		number_add(&coder->stream[DELTA_SEEK], coder->seek, err) < 0)
		return -1;
	coder->copy = coder->add = coder->seek = 0;
	return 0;
}

/* Have `need` bytes of room in the part, or begin another. */
static int make_room(struct yg_delta_coder *coder, size_t need, struct yg_err *err)
{
	if (room(coder) >= need)
		return 0;
	return end_op(coder, err) < 0 ? -1 : end_part(coder, err);
}

static int look(struct yg_delta_coder *coder, size_t len, struct yg_err *err)
{
	const uint8_t *old = coder->pieces, *new = coder->pieces + PIECE_SIZE;
	for (size_t i = 0; i < len;) {
		size_t end = i;
		uint8_t changes[256];
		if (old[i] == new[i]) {
			coder->same++;
			i++;
			continue;
		}
		for (; end < len && end - i < sizeof(changes) && old[end] != new[end]; end++)
			changes[end - i] = (uint8_t)(new[end] - old[end]);
		if (number_add(&coder->stream[DELTA_GAP], coder->same, err) < 0 ||
			number_add(&coder->stream[DELTA_RUN], end - i - 1, err) < 0 ||
			yg_buf_add(&coder->stream[DELTA_CHANGE], changes, end - i, err) < 0)
			return -1;
		coder->same = 0;
		i = end;
	}
	return 0;
}

static int copy_like(struct yg_delta_coder *coder, uint64_t len, struct yg_err *err)
{
	while (len > 0) {
		size_t n = len < PIECE_SIZE ? (size_t)len : PIECE_SIZE;
		if (make_room(coder, LOOK_ROOM, err) < 0 ||
			read_at(coder->old, coder->pieces, n, coder->old_at, err) < 0 ||
			read_at(coder->new, coder->pieces + PIECE_SIZE, n, coder->new_at, err) <
				0 ||
			look(coder, n, err) < 0)
			return -1;
		coder->copy += n;
		coder->old_at += n;
		coder->new_at += n;
		len -= n;
	}
	return 0;
}

static int add(struct yg_delta_coder *coder, uint64_t len, struct yg_err *err)
{
	while (len > 0) {
		if (make_room(coder, 1, err) < 0)
			return -1;
		size_t n = len < room(coder) ? (size_t)len : room(coder);
		n = n < PIECE_SIZE ? n : PIECE_SIZE;
		if (read_at(coder->new, coder->pieces, n, coder->new_at, err) < 0 ||
			yg_buf_add(&coder->stream[DELTA_TEXT], coder->pieces, n, err) < 0)
			return -1;
		coder->add += n;
		coder->added += n;
		coder->new_at += n;
		len -= n;
	}
	return 0;
}

int yg_delta_code_op(struct yg_delta_coder *coder, uint64_t from, uint64_t copy, uint64_t add_len,
	bool exact, struct yg_err *err)
{
	if (make_room(coder, OP_SIZE, err) < 0)
		return -1;
	if (copy > 0) { /* the sign is in the lowest bit */
		coder->seek = from >= coder->old_at ? (from - coder->old_at) << 1
						    : ((coder->old_at - from - 1) << 1 | 1);
		coder->old_at = from;
	}
	if (exact) {
		coder->copy = copy;
		coder->same += copy;
		coder->old_at += copy;
		coder->new_at += copy;
	} else if (copy_like(coder, copy, err) < 0)
		return -1;
	if (add(coder, add_len, err) < 0)
		return -1;
	return end_op(coder, err);
}

int yg_delta_code_end(struct yg_delta_coder *coder, struct yg_err *err)
{
	return end_part(coder, err);
}

uint64_t yg_delta_code_added(const struct yg_delta_coder *coder)
{
	return coder->added;
}

static int coder_begin(struct yg_delta_coder *coder, uint64_t old_size, uint64_t new_size,
	struct yg_err *err)
{
	uint8_t header[DELTA_HEADER_MAX];
	size_t len = DELTA_MAGIC_SIZE;
	memcpy(header, DELTA_MAGIC, DELTA_MAGIC_SIZE);
	len += number_put(header + len, old_size);
	len += number_put(header + len, new_size);
	coder->pieces = malloc(2 * (size_t)PIECE_SIZE);
	coder->zstd = ZSTD_createCCtx();
	if (!coder->pieces || !coder->zstd)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_delta_code_put(coder->sink, header, len, err);
}

struct yg_delta_coder *yg_delta_code_new(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_sink *sink, struct yg_err *err)
{
	struct yg_delta_coder *coder YG_AUTO(delta_coder) = calloc(1, sizeof(*coder));
	if (!coder) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	coder->old = old;
	coder->new = new;
	coder->sink = sink;
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		coder->stream[i].max = DELTA_PART_MAX;
	coder->words.max = 2 * (size_t)DELTA_PART_MAX;
	coder->hex.max = DELTA_PART_MAX;
	return coder_begin(coder, old_size, new_size, err) < 0 ? NULL : yg_take(coder);
}

void yg_delta_code_free(struct yg_delta_coder *coder)
{
	if (!coder)
		return;
	for (unsigned i = 0; i < DELTA_STREAMS; i++)
		yg_buf_free(&coder->stream[i]);
	yg_buf_free(&coder->words);
	yg_buf_free(&coder->hex);
	free(coder->pieces);
	(void)ZSTD_freeCCtx(coder->zstd);
	free(coder);
}
