/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/fetch_bundle.h"

#include <errno.h>
#include <unistd.h>

#include "core/fs.h"

static int copy(int fd, uint64_t at, uint64_t left, int out, struct yg_err *err)
{
	uint8_t chunk[65536];
	while (left > 0) {
		ssize_t n = pread(fd, chunk, left < sizeof(chunk) ? (size_t)left : sizeof(chunk),
			(off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading the bundle");
		if (n == 0)
			return yg_fail_cause(err, YG_EFORMAT, "content.format",
				"the bundle became shorter");
		if (yg_fs_write_all(out, chunk, (size_t)n, err) < 0)
			return -1;
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return 0;
}

int fetch_bundle_get(struct yg_bundle **bundle, int fd, const char *path, uint64_t offset,
	uint64_t max, int out, uint64_t *size, struct yg_err *err)
{
	struct yg_bundle_file file;
	if (!*bundle)
		*bundle = yg_bundle_open(fd, err);
	if (!*bundle)
		return yg_wrap(err, "the bundle");
	if (!yg_bundle_find(*bundle, path, &file))
		return yg_fail(err, YG_EABSENT, "the bundle has no '%s'", path);
	if (file.size > max || offset > file.size)
		return yg_fail(err, YG_ELIMIT,
			"'%s' in the bundle: want at most %llu bytes, have %llu", path,
			(unsigned long long)max, (unsigned long long)file.size);
	if (copy(fd, file.offset + offset, file.size - offset, out, err) < 0)
		return -1;
	*size = file.size - offset;
	return 0;
}
