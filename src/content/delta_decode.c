/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The decoder of deltas: what a delta says is never believed.
 *
 * One part of it is in memory at a time (delta_part.c). From it come operations: so many bytes of the old
 * file, changed where the part says so, then so many bytes of the part's text. Every operation makes at
 * least one byte and none beyond the stated size, so that the work is bounded by what is wanted, however
 * the delta was made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "content/codec.h"
#include "content/delta.h"
#include "content/delta_part.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "crypto/hash.h"

#define WINDOW_SIZE (32u << 10) /* bytes of the old file kept for short copies */
#define OUT_SIZE    (128u << 10)

struct decoder {
	struct delta_part part;
	int old, out;
	uint64_t old_size, at; /* at: where the next copy begins */
	uint8_t *window;       /* WINDOW_SIZE bytes */
	uint64_t window_at, window_len;
	uint64_t left;     /* bytes still wanted */
	uint8_t *out_data; /* OUT_SIZE bytes, not yet written */
	size_t out_len;
	struct yg_hash *hash; /* borrowed, or NULL */
};

static void decoder_free_at(struct decoder *decoder)
{
	delta_part_end(&decoder->part);
	free(decoder->window);
	free(decoder->out_data);
}

static int wrong_base(struct yg_err *err, uint64_t want, uint64_t have)
{
	return yg_fail_cause(err, YG_EUNTRUSTED, "content.base",
		"the old file is not the one that the delta was made from: want %llu bytes, have "
		"%llu",
		(unsigned long long)want, (unsigned long long)have);
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

static int put_copy(struct decoder *decoder, uint64_t len, struct yg_err *err)
{
	while (len > 0) {
		if (decoder->out_len == OUT_SIZE && flush(decoder, err) < 0)
			return -1;
		uint8_t *to = decoder->out_data + decoder->out_len;
		size_t room = OUT_SIZE - decoder->out_len;
		size_t n = len < room ? (size_t)len : room;
		if (copy_old(decoder, to, n, err) < 0 ||
			delta_part_change(&decoder->part, to, n, err) < 0)
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
		memcpy(decoder->out_data + decoder->out_len, decoder->part.text.at, n);
		decoder->out_len += n;
		decoder->part.text.at += n;
		len -= n;
	}
	return 0;
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
	struct delta_part *part = &decoder->part;
	if (delta_part_operand(part, DELTA_COPY, &copy, err) < 0 ||
		delta_part_operand(part, DELTA_ADD, &add, err) < 0 ||
		delta_part_operand(part, DELTA_SEEK, &seek, err) < 0)
		return -1;
	if (copy == 0 && add == 0)
		return delta_part_bad(part, err, "an operation makes nothing");
	if (copy > decoder->left || add > decoder->left - copy)
		return delta_part_bad(part, err, "more comes out than is wanted");
	if (!seek_ok(decoder, seek) || copy > decoder->old_size - decoder->at)
		return delta_part_bad(part, err, "a copy from outside the old file");
	if (add > delta_rest(&part->text))
		return delta_part_bad(part, err, "more text is wanted than there is");
	decoder->left -= copy + add;
	if (put_copy(decoder, copy, err) < 0)
		return -1;
	return put_text(decoder, (size_t)add, err);
}

static int run_part(struct decoder *decoder, struct yg_err *err)
{
	int more = 1;
	if (delta_part_next(&decoder->part, err) < 0)
		return -1;
	while (more > 0) {
		if (run_op(decoder, err) < 0)
			return -1;
		more = delta_part_more(&decoder->part, err);
	}
	return more;
}

/* ---- the whole ---- */

static int decoder_begin(struct decoder *decoder, int delta, uint64_t delta_size,
	struct yg_err *err)
{
	decoder->window = malloc(WINDOW_SIZE);
	decoder->out_data = malloc(OUT_SIZE);
	if (!decoder->window || !decoder->out_data)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return delta_part_begin(&decoder->part, delta, delta_size, err);
}

static int get_header(struct decoder *decoder, uint64_t size, struct yg_err *err)
{
	uint8_t magic[DELTA_MAGIC_SIZE];
	uint64_t new_size;
	struct stat at;
	if (delta_part_get(&decoder->part, magic, sizeof(magic), err) < 0)
		return -1;
	if (memcmp(magic, DELTA_MAGIC, sizeof(magic)) != 0)
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"delta: want '%s' at the beginning", DELTA_MAGIC);
	if (delta_part_number(&decoder->part, &decoder->old_size, err) < 0 ||
		delta_part_number(&decoder->part, &new_size, err) < 0)
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

static int decode(struct decoder *decoder, int delta, uint64_t delta_size, uint64_t size,
	struct yg_err *err)
{
	if (decoder_begin(decoder, delta, delta_size, err) < 0 ||
		get_header(decoder, size, err) < 0)
		return -1;
	while (decoder->left > 0)
		if (run_part(decoder, err) < 0)
			return -1;
	if (!delta_part_at_end(&decoder->part))
		return delta_part_bad(&decoder->part, err, "bytes after the last part");
	return flush(decoder, err);
}

int yg_delta_decode_unchecked(int old, int delta, int out, uint64_t delta_size, uint64_t size,
	struct yg_err *err)
{
	struct decoder decoder YG_AUTO(decoder) = {.old = old, .out = out};
	return decode(&decoder, delta, delta_size, size, err);
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
	struct decoder decoder YG_AUTO(decoder) = {.old = old, .out = out, .hash = hash};
	if (decode(&decoder, delta, form->size, size, err) < 0)
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
