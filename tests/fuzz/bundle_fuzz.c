/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/bundle.h"
#include "core/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an index says lies within the bundle, and is found again by its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = yg_fs_memfd("bundle", (struct yg_bytes){data, size}, &err);
	if (fd < 0)
		return 0;
	struct yg_bundle *bundle YG_AUTO(yg_bundle) = yg_bundle_open(fd, &err);
	struct yg_bundle_file file, same;
	for (size_t i = 0; bundle && yg_bundle_file(bundle, i, &file); i++) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		assert(file.offset <= size && file.size <= size - file.offset);
		assert(yg_bundle_find(bundle, file.path, &same) && same.offset == file.offset);
		assert(yg_bundle_read(bundle, file.path, &text, &err) == 0 &&
			text.len == file.size);
	}
	return 0;
}
