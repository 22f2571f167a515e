/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The delta codec alone, for bench/delta to measure.
 * usage: delta_drive encode OLD NEW DELTA
 *        delta_drive decode OLD DELTA OUT NEW-SHA256 NEW-SIZE   everything verified
 *        delta_drive apply OLD DELTA OUT NEW-SIZE               nothing verified
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "content/codec.h"
#include "content/delta.h"
#include "core/mem.h"
#include "core/str.h"

static int open_all(char **names, int flags, int fd[3])
{
	for (int i = 0; i < 3; i++) {
		fd[i] = open(names[i], i < 2 ? O_RDONLY | O_CLOEXEC : flags, 0644);
		if (fd[i] < 0) {
			perror(names[i]);
			return -1;
		}
	}
	return 0;
}

static int decode(int fd[3], bool verify, const char *sha256, uint64_t size, struct yg_err *err)
{
	struct yg_form form = {.encoding = YG_ENCODING_DELTA};
	struct stat at;
	if (fstat(fd[1], &at) < 0)
		return yg_fail(err, YG_ESYSTEM, "no size");
	form.size = (uint64_t)at.st_size;
	if (!verify)
		return yg_delta_decode_unchecked(fd[0], fd[1], fd[2], form.size, size, err);
	if (yg_codec_hash(fd[1], form.sha256, &form.size, err) < 0 || lseek(fd[1], 0, SEEK_SET) < 0)
		return -1;
	return yg_delta_decode(fd[0], fd[1], fd[2], &form, sha256, size, err);
}

int main(int argc, char **argv)
{
	struct yg_err err = {0};
	struct yg_form form = {0};
	int fd[3], bad = -1;
	uint64_t size = 0;
	bool encode = argc == 5 && strcmp(argv[1], "encode") == 0;
	bool verify = argc == 7 && strcmp(argv[1], "decode") == 0;
	if (!encode && !verify && !(argc == 6 && strcmp(argv[1], "apply") == 0)) {
		(void)fputs("usage: delta_drive encode|decode|apply …\n", stderr);
		return 2;
	}
	if (open_all(argv + 2, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, fd) < 0)
		return 1;
	if (encode)
		bad = yg_delta_encode(fd[0], fd[1], fd[2], YG_FILE_SIZE_MAX, &form, &err);
	else if (yg_str_u64(argv[argc - 1], YG_FILE_SIZE_MAX, &size, &err) == 0)
		bad = decode(fd, verify, argv[5], size, &err);
	if (bad)
		(void)fprintf(stderr, "delta_drive: %s\n", err.msg);
	return bad ? 1 : 0;
}
