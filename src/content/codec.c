/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/codec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "crypto/hash.h"

#define PIECE (128u << 10) /* bytes moved at once; zstd asks for about as much */

static void decoder_free_at(ZSTD_DCtx **at)
{
	(void)ZSTD_freeDCtx(*at); /* NULL is fine, nothing can fail */
}

static void encoder_free_at(ZSTD_CCtx **at)
{
	(void)ZSTD_freeCCtx(*at);
}

/* The end of a stream of bytes: where they go (-1: nowhere), how many may come, their hash. */
struct sink {
	int fd;
	uint64_t size, max;
	struct yg_hash *hash;
	bool over; /* more came than may */
};

static void sink_free_at(struct sink *sink)
{
	yg_hash_free(sink->hash);
}

static int sink_add(struct sink *sink, const void *data, size_t len, struct yg_err *err)
{
	if (len > sink->max - sink->size) {
		sink->over = true;
		return yg_fail_cause(err, YG_ELIMIT, "content.size",
			"want <= %llu bytes, have more", (unsigned long long)sink->max);
	}
	sink->size += len;
	yg_hash_add(sink->hash, data, len);
	return sink->fd < 0 ? 0 : yg_fs_write_all(sink->fd, data, len, err);
}

static void sink_digest(struct sink *sink, char out[YG_SHA256_TEXT])
{
	uint8_t raw[YG_HASH_SIZE];
	yg_hash_end(sink->hash, raw);
	yg_str_hex(raw, sizeof(raw), out);
}

/* Hash and size must be the stated ones. A lie about either is the same to everybody: these are not
 * the bytes that were vouched for.
 */
static int sink_check(struct sink *sink, const char *what, const char *sha256, uint64_t size,
	struct yg_err *err)
{
	char have[YG_SHA256_TEXT];
	if (sink->over)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.size",
			"%s bytes: want %llu, have more", what, (unsigned long long)size);
	if (sink->size != size)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.size",
			"%s bytes: want %llu, have %llu", what, (unsigned long long)size,
			(unsigned long long)sink->size);
	sink_digest(sink, have);
	if (strcmp(have, sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.hash",
			"%s bytes: sha256: want %s, have %s", what, sha256, have);
	return 0;
}

/* returns bytes, 0 at the end, -1 */
static ssize_t get(int fd, void *data, size_t len, struct yg_err *err)
{
	ssize_t n;
	do
		n = read(fd, data, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? yg_fail_sys(err, errno, "reading") : n;
}

static int copy(int in, struct sink *from, struct sink *to, struct yg_err *err)
{
	uint8_t *piece YG_AUTO(mem) = malloc(PIECE);
	ssize_t n = 0;
	if (!piece)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	while ((n = get(in, piece, PIECE, err)) > 0) {
		if ((from && sink_add(from, piece, (size_t)n, err) < 0) ||
			sink_add(to, piece, (size_t)n, err) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

/* ---- zstd ---- */

struct decoder {
	ZSTD_DCtx *zstd;
	uint8_t *in, *out; /* PIECE bytes each; borrowed */
	bool many;         /* several frames, one after another, are fine */
	bool whole;        /* the last byte was the end of a frame */
};

static int decode_piece(struct decoder *decoder, size_t len, struct sink *to, struct yg_err *err)
{
	ZSTD_inBuffer in = {decoder->in, len, 0};
	bool full = false;
	while (in.pos < in.size || full) {
		if (decoder->whole && !decoder->many)
			return yg_fail_cause(err, YG_EFORMAT, "content.format",
				"zstd: want one frame, have bytes after it");
		ZSTD_outBuffer out = {decoder->out, PIECE, 0};
		size_t left = ZSTD_decompressStream(decoder->zstd, &out, &in);
		if (ZSTD_isError(left))
			return yg_fail_cause(err, YG_EFORMAT, "content.format", "zstd: %s",
				ZSTD_getErrorName(left));
		if (sink_add(to, out.dst, out.pos, err) < 0)
			return -1;
		decoder->whole = left == 0;
		full = out.pos == out.size && left != 0; /* there may be more inside zstd */
	}
	return 0;
}

static int unzstd(int in, struct sink *from, struct sink *to, bool many, int window,
	struct yg_err *err)
{
	uint8_t *pieces YG_AUTO(mem) = malloc(2 * (size_t)PIECE);
	ZSTD_DCtx *zstd YG_AUTO(decoder) = ZSTD_createDCtx();
	if (!pieces || !zstd)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	size_t set = ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, window);
	assert(!ZSTD_isError(set));
	struct decoder decoder = {zstd, pieces, pieces + PIECE, many, false};
	ssize_t n = 0;
	while ((n = get(in, decoder.in, PIECE, err)) > 0) {
		if ((from && sink_add(from, decoder.in, (size_t)n, err) < 0) ||
			decode_piece(&decoder, (size_t)n, to, err) < 0)
			return -1;
	}
	if (n < 0)
		return -1;
	return decoder.whole ? 0
			     : yg_fail_cause(err, YG_EFORMAT, "content.format",
				       "zstd: ends in the middle of a frame");
}

static int encode(ZSTD_CCtx *zstd, int in, struct sink *from, struct sink *to, struct yg_err *err)
{
	uint8_t *pieces YG_AUTO(mem) = malloc(2 * (size_t)PIECE);
	if (!pieces)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (bool more = true; more;) {
		ssize_t n = get(in, pieces, PIECE, err);
		if (n < 0 || sink_add(from, pieces, (size_t)n, err) < 0)
			return -1;
		more = n > 0;
		ZSTD_inBuffer piece = {pieces, (size_t)n, 0};
		size_t left = 1;
		while (piece.pos < piece.size || (!more && left != 0)) {
			ZSTD_outBuffer out = {pieces + PIECE, PIECE, 0};
			left = ZSTD_compressStream2(zstd, &out, &piece,
				more ? ZSTD_e_continue : ZSTD_e_end);
			if (ZSTD_isError(left))
				return yg_fail(err, YG_ESYSTEM, "zstd: %s",
					ZSTD_getErrorName(left));
			if (sink_add(to, out.dst, out.pos, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int zstd_encode(int in, struct sink *from, struct sink *to, int level, struct yg_err *err)
{
	ZSTD_CCtx *zstd YG_AUTO(encoder) = ZSTD_createCCtx();
	if (!zstd)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	size_t a = ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
	size_t b = ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, YG_CODEC_WINDOW_LOG_MAX);
	size_t c = ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0); /* SHA-256 does that */
	assert(!ZSTD_isError(a) && !ZSTD_isError(b) && !ZSTD_isError(c));
	return encode(zstd, in, from, to, err);
}

/* Read on to the end, for hash and size alone: when decoding failed, whether these are the bytes that
 * were vouched for is what the failure is called by (somebody may have changed them meanwhile).
 */
static int drain(int in, struct sink *from, struct yg_err *err)
{
	uint8_t piece[65536];
	ssize_t n = 0;
	struct yg_err why = {0};
	while (!from->over && (n = get(in, piece, sizeof(piece), err)) > 0) {
		if (sink_add(from, piece, (size_t)n, &why) < 0)
			break; /* sink_check says it */
	}
	return n < 0 ? -1 : 0;
}

/* ---- the interface ---- */

/* The decoder sees only bytes that were vouched for: what a stranger sends is hashed, no more. */
static int check_transferred(int in, const struct yg_form *form, struct yg_err *err)
{
	struct sink from YG_AUTO(sink) = {.fd = -1, .max = form->size, .hash = yg_hash_new(err)};
	off_t start = lseek(in, 0, SEEK_CUR);
	if (!from.hash)
		return -1;
	if (start < 0)
		return yg_fail_sys(err, errno, "seeking");
	if (drain(in, &from, err) < 0 ||
		sink_check(&from, "transferred", form->sha256, form->size, err) < 0)
		return -1;
	return lseek(in, start, SEEK_SET) < 0 ? yg_fail_sys(err, errno, "seeking") : 0;
}

int yg_codec_decode(int in, int out, const struct yg_form *form, const char *sha256, uint64_t size,
	struct yg_err *err)
{
	if (form->encoding == YG_ENCODING_DELTA)
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"want the whole file, have a delta");
	if (check_transferred(in, form, err) < 0)
		return -1;
	struct sink from YG_AUTO(sink) = {.fd = -1, .max = form->size, .hash = yg_hash_new(err)};
	struct sink to YG_AUTO(sink) = {.fd = out, .max = size, .hash = yg_hash_new(err)};
	if (!from.hash || !to.hash)
		return -1;
	struct yg_err why = {0};
	int bad = form->encoding == YG_ENCODING_ZSTD
		? unzstd(in, &from, &to, false, YG_CODEC_WINDOW_LOG_MAX, &why)
		: copy(in, &from, &to, &why);
	if (bad < 0 && why.code == YG_ESYSTEM) {
		*err = why;
		return -1;
	}
	if (drain(in, &from, err) < 0 ||
		sink_check(&from, "transferred", form->sha256, form->size, err) < 0)
		return -1;
	if (bad < 0 && !to.over) {
		*err = why;
		return -1;
	}
	return sink_check(&to, "plain", sha256, size, err);
}

int yg_codec_encode(int in, int out, enum yg_encoding encoding, int level, struct yg_form *form,
	char sha256[YG_SHA256_TEXT], uint64_t *size, struct yg_err *err)
{
	struct sink from YG_AUTO(
		sink) = {.fd = -1, .max = YG_FILE_SIZE_MAX, .hash = yg_hash_new(err)};
	struct sink to YG_AUTO(
		sink) = {.fd = out, .max = YG_FILE_SIZE_MAX, .hash = yg_hash_new(err)};
	if (!from.hash || !to.hash)
		return -1;
	int bad = encoding == YG_ENCODING_ZSTD ? zstd_encode(in, &from, &to, level, err)
					       : copy(in, &from, &to, err);
	if (bad < 0)
		return -1;
	*form = (struct yg_form){.encoding = encoding, .size = to.size};
	sink_digest(&to, form->sha256);
	sink_digest(&from, sha256);
	*size = from.size;
	return 0;
}

int yg_codec_hash(int in, char sha256[YG_SHA256_TEXT], uint64_t *size, struct yg_err *err)
{
	struct sink to YG_AUTO(sink) = {.fd = -1, .max = UINT64_MAX, .hash = yg_hash_new(err)};
	if (!to.hash || copy(in, NULL, &to, err) < 0)
		return -1;
	sink_digest(&to, sha256);
	*size = to.size;
	return 0;
}

int yg_codec_unzstd(int in, int out, uint64_t max, struct yg_err *err)
{
	struct sink to YG_AUTO(sink) = {.fd = out, .max = max, .hash = yg_hash_new(err)};
	if (!to.hash)
		return -1;
	/* 27 is what the zstd tool itself accepts without being asked for more. */
	return unzstd(in, NULL, &to, true, 27, err);
}
