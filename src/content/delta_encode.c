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
#include "core/fs.h"
#include "core/str.h"
#include "crypto/hash.h"


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
	if (encode(&files, yg_delta_block_match, &sink, &added, err) < 0)
		return -1;
	uint8_t raw[YG_HASH_SIZE];
	yg_hash_end(hash, raw);
	yg_str_hex(raw, sizeof(raw), form->sha256);
	form->size = sink.size;
	return 0;
}
