/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The encoder of deltas: which way to look for what two files have in common.
 *
 * delta_block.c finds equal pieces in files of any size. Where that leaves much text and the files are
 * small enough, delta_like.c looks for pieces that are nearly equal, too, as versions of a program have
 * them, and the smaller delta is taken. delta_code.c makes bytes of what either finds.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "content/delta.h"
#include "content/delta_block.h"
#include "content/delta_code.h"
#include "content/delta_like.h"
#include "core/fs.h"
#include "core/str.h"
#include "crypto/hash.h"

#define KEEP_MAX  (YG_DELTA_LIKE_MAX + (YG_DELTA_LIKE_MAX >> 4)) /* bytes of a small file's delta */
#define ADDED_FEW 4096u /* bytes of text that a delta may have without a look for what is alike */

struct files {
	int old, new;
	uint64_t old_size, new_size;
};

typedef int (*match_fn)(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err);

static int size_of(int fd, uint64_t *out, struct yg_err *err)
{
	struct stat at;
	if (fstat(fd, &at) < 0)
		return yg_fail_sys(err, errno, "reading a file's size");
	*out = (uint64_t)at.st_size;
	if (*out > YG_FILE_SIZE_MAX)
		return yg_fail(err, YG_ELIMIT, "a file: want <= %llu bytes, have %llu",
			YG_FILE_SIZE_MAX, (unsigned long long)*out);
	return 0;
}

static int encode(const struct files *files, match_fn match, struct yg_delta_sink *sink,
	uint64_t *added, struct yg_err *err)
{
	struct yg_delta_coder *coder YG_AUTO(delta_coder) = yg_delta_code_new(files->old,
		files->old_size, files->new, files->new_size, sink, err);
	if (!coder ||
		match(files->old, files->old_size, files->new, files->new_size, coder, err) < 0 ||
		yg_delta_code_end(coder, err) < 0)
		return -1;
	*added = yg_delta_code_added(coder);
	return 0;
}

static int failed(struct yg_err *err, const struct yg_err *why)
{
	*err = *why;
	return -1;
}

/* Small files are kept until the better of two deltas is known.
 * errors  YG_ELIMIT no delta of at most `max` bytes
 */
static int encode_small(const struct files *files, uint64_t max, struct yg_delta_sink *out,
	struct yg_err *err)
{
	struct yg_buf first YG_AUTO(yg_buf) = YG_BUF(KEEP_MAX);
	struct yg_buf second YG_AUTO(yg_buf) = YG_BUF(KEEP_MAX);
	struct yg_delta_sink sink = {.fd = -1,
		.keep = &first,
		.max = max < KEEP_MAX ? max : KEEP_MAX};
	uint64_t added = 0;
	struct yg_err why = {0};
	int blocks = encode(files, yg_delta_block_match, &sink, &added, &why);
	if (blocks < 0 && why.code != YG_ELIMIT)
		return failed(err, &why);
	if (blocks == 0 && added <= ADDED_FEW)
		return yg_delta_code_put(out, first.data, first.len, err);
	sink = (struct yg_delta_sink){.fd = -1, .keep = &second, .max = sink.max};
	if (blocks == 0)
		sink.max = first.len; /* no more than that is worth it */
	int like = encode(files, yg_delta_like_match, &sink, &added, &why);
	if (like < 0 && (blocks < 0 || why.code != YG_ELIMIT))
		return failed(err, &why);
	const struct yg_buf *best = like == 0 ? &second : &first;
	return yg_delta_code_put(out, best->data, best->len, err);
}

int yg_delta_encode(int old, int new, int out, uint64_t max, struct yg_form *form,
	struct yg_err *err)
{
	struct files files = {.old = old, .new = new};
	struct yg_hash *hash YG_AUTO(yg_hash) = yg_hash_new(err);
	if (!hash || size_of(old, &files.old_size, err) < 0 ||
		size_of(new, &files.new_size, err) < 0)
		return -1;
	struct yg_delta_sink sink = {.fd = out, .hash = hash, .max = max};
	uint64_t added;
	bool small = files.old_size <= YG_DELTA_LIKE_MAX && files.new_size <= YG_DELTA_LIKE_MAX;
	if (small ? encode_small(&files, max, &sink, err) < 0
		  : encode(&files, yg_delta_block_match, &sink, &added, err) < 0)
		return -1;
	uint8_t raw[YG_HASH_SIZE];
	yg_hash_end(hash, raw);
	yg_str_hex(raw, sizeof(raw), form->sha256);
	form->size = sink.size;
	return 0;
}
