/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <sys/mman.h>

#include "archive/archive.h"
#include "core/fs.h"
#include "core/mem.h"

#define BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_out(void *ctx, const char *path, int *out, struct yg_err *err)
{
	(void)err;
	assert(path[0] != '/' && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
	*out = *(const int *)ctx;
	return 0;
}

/* As import reads it; the first byte says if a single compressed file would do. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct yg_archive_limits limits = {64, BYTES_MAX / 2, BYTES_MAX, 300};
	struct yg_err err = {0};
	struct stat at;
	if (size < 1)
		return 0;
	int in YG_AUTO(fd) = yg_fs_memfd("in", (struct yg_bytes){data + 1, size - 1}, &err);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	if (in < 0 || out < 0 || lseek(in, 0, SEEK_SET) < 0)
		return 0;
	(void)yg_archive_kind(in);
	if (yg_archive_unpack(in, data[0] & 1, &limits, open_out, &out, &err) < 0)
		assert(err.code != YG_OK && err.msg[0]);
	assert(fstat(out, &at) == 0 && at.st_size <= BYTES_MAX);
	return 0;
}
