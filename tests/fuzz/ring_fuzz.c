/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/ring.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/str.h"

/* A ring file that a broken process left: how much was written (8 bytes), then text from its beginning on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_RING_BYTES);
	int fd YG_AUTO(fd) = memfd_create("ring", MFD_CLOEXEC);
	if (fd < 0 || size < 8 || ftruncate(fd, YG_RING_BYTES) < 0 ||
		pwrite(fd, "YGRING1\n", 8, 0) != 8 || pwrite(fd, data, 8, 8) != 8)
		return 0;
	size_t rest = size - 8 > YG_RING_BYTES - 64 ? YG_RING_BYTES - 64 : size - 8;
	if (pwrite(fd, data + 8, rest, 64) != (ssize_t)rest)
		return 0;
	assert(yg_ring_read(fd, &text, &err) == 0);
	for (size_t i = 0; i < text.len; i++)
		assert(text.data[i] == '\n' || text.data[i] >= 0x20);
	return 0;
}
