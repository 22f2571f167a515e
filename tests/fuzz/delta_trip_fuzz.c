/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "content/delta.h"
#include "content/delta_block.h"
#include "content/delta_like.h"
#include "core/fs.h"

#define NEW_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int (*match_fn)(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err);

static void trip(match_fn match, struct yg_bytes old, struct yg_bytes new)
{
	struct yg_err err = {0};
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20),
			    back YG_AUTO(yg_buf) = YG_BUF(NEW_MAX);
	struct yg_delta_sink sink = {.fd = -1, .keep = &bytes, .max = 1u << 20};
	int from YG_AUTO(fd) = yg_fs_memfd("old", old, &err);
	int to YG_AUTO(fd) = yg_fs_memfd("new", new, &err);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	assert(from >= 0 && to >= 0 && out >= 0);
	struct yg_delta_coder *coder YG_AUTO(
		delta_coder) = yg_delta_code_new(from, old.len, to, new.len, &sink, &err);
	assert(coder && match(from, old.len, to, new.len, coder, &err) == 0);
	assert(yg_delta_code_end(coder, &err) == 0);
	int delta YG_AUTO(fd) = yg_fs_memfd("delta", yg_buf_bytes(&bytes), &err);
	assert(delta >= 0 && lseek(delta, 0, SEEK_SET) == 0);
	assert(yg_delta_decode_unchecked(from, delta, out, bytes.len, new.len, &err) == 0);
	assert(yg_fs_read_fd(out, &back, &err) == 0);
	assert(back.len == new.len && (new.len == 0 || memcmp(back.data, new.ptr, new.len) == 0));
}

/* What is done to the old file: three bytes each. */
static void edit(struct yg_bytes old, struct yg_bytes edits, struct yg_buf *new)
{
	struct yg_err err = {0};
	for (size_t i = 0; i + 3 <= edits.len; i += 3) {
		const uint8_t *how = edits.ptr + i;
		size_t at = old.len ? how[1] * old.len / 256 : 0;
		size_t len = old.len - at < how[2] * 4u ? old.len - at : how[2] * 4u;
		size_t before = new->len;
		if (yg_buf_add(new, how[0] & 1 ? how : old.ptr + at, how[0] & 1 ? 3 : len, &err) <
			0)
			return;
		if (how[0] & 2)
			for (size_t j = before; j < new->len; j += 1u + (how[0] >> 2))
				new->data[j] = (uint8_t)(new->data[j] + how[2]);
	}
}

/* Two bytes, the length of the old file; the old file; what is done to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_buf new YG_AUTO(yg_buf) = YG_BUF(NEW_MAX);
	if (size < 2)
		return 0;
	size_t len = ((size_t)data[0] << 8 | data[1]) % (size - 1);
	struct yg_bytes old = {data + 2, len}, rest = {data + 2 + len, size - 2 - len};
	edit(old, rest, &new);
	trip(yg_delta_block_match, old, yg_buf_bytes(&new));
	trip(yg_delta_like_match, old, yg_buf_bytes(&new));
	trip(yg_delta_block_match, old, rest);
	trip(yg_delta_like_match, old, rest);
	return 0;
}
