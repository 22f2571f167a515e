/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "content/codec.h"
#include "content/sample.h"
#include "core/fs.h"
#include "crypto/hash.h"

#define PLAIN_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A transfer form whose own hash is right: the decoder sees every byte of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_form form = {.encoding = YG_ENCODING_ZSTD, .size = size};
	struct yg_buf sample YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	struct yg_bytes bytes = {data, size};
	int in YG_AUTO(fd) = yg_fs_memfd("in", bytes, &err);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	struct stat at;
	if (in < 0 || out < 0 || yg_hash_text(bytes, form.sha256, &err) < 0)
		return 0;
	if (lseek(in, 0, SEEK_SET) < 0)
		return 0;
	if (yg_codec_decode(in, out, &form, "", PLAIN_MAX, &err) == 0)
		assert(0); /* the empty text is nobody's hash */
	assert(fstat(out, &at) == 0 && at.st_size <= PLAIN_MAX);
	if (yg_sample_decode(bytes, &sample, &err) == 0)
		assert(sample.len + 8 == size);
	return 0;
}
