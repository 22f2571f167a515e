/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "content/delta.h"
#include "core/fs.h"
#include "crypto/hash.h"

#define NEW_MAX 16000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t number(uint8_t *out, uint64_t value)
{
	size_t len = 0;
	for (; value >= 128; value >>= 7)
		out[len++] = (uint8_t)(value | 128);
	out[len++] = (uint8_t)value;
	return len;
}

/* All that is verified is right: the decoder must take what came out. */
static void decode(int old, int delta, struct yg_bytes bytes, int out, size_t size)
{
	struct yg_err err = {0};
	struct yg_form form = {.encoding = YG_ENCODING_DELTA, .size = bytes.len};
	struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(NEW_MAX);
	char sha256[YG_SHA256_TEXT];
	int again YG_AUTO(fd) = memfd_create("again", MFD_CLOEXEC);
	if (again < 0 || lseek(delta, 0, SEEK_SET) < 0 || yg_fs_read_fd(out, &plain, &err) < 0 ||
		yg_hash_text(bytes, form.sha256, &err) < 0 ||
		yg_hash_text(yg_buf_bytes(&plain), sha256, &err) < 0)
		return;
	assert(plain.len == size);
	assert(yg_delta_decode(old, delta, again, &form, sha256, size, &err) == 0);
	sha256[0] ^= 1;
	assert(lseek(delta, 0, SEEK_SET) == 0);
	assert(yg_delta_decode(old, delta, again, &form, sha256, size, &err) < 0);
}

/* Two bytes, the length of the old file, the old file, then the delta: two bytes, the size of the new file,
 * and parts, the header being made here; or, where the first bit of all is set, a whole delta.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	if (size < 4)
		return 0;
	size_t old_len = ((size_t)(data[0] & 127) << 8 | data[1]) % (size - 3);
	const uint8_t *rest = data + 2 + old_len;
	size_t left = size - 2 - old_len, new_size = ((size_t)rest[0] << 8 | rest[1]) % NEW_MAX;
	if (!(data[0] & 128)) {
		uint8_t header[24] = "YGd1";
		size_t len = 4;
		len += number(header + len, old_len);
		len += number(header + len, new_size);
		if (yg_buf_add(&bytes, header, len, &err) < 0)
			return 0;
	}
	if (yg_buf_add(&bytes, rest + 2, left - 2, &err) < 0)
		return 0;
	int old YG_AUTO(fd) = yg_fs_memfd("old", (struct yg_bytes){data + 2, old_len}, &err);
	int delta YG_AUTO(fd) = yg_fs_memfd("delta", yg_buf_bytes(&bytes), &err);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	struct stat at;
	if (old < 0 || delta < 0 || out < 0 || lseek(delta, 0, SEEK_SET) < 0)
		return 0;
	int bad = yg_delta_decode_unchecked(old, delta, out, bytes.len, new_size, &err);
	assert(fstat(out, &at) == 0 && (size_t)at.st_size <= new_size);
	assert(bad || (size_t)at.st_size == new_size);
	if (!bad)
		decode(old, delta, yg_buf_bytes(&bytes), out, new_size);
	return 0;
}
