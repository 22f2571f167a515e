/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "archive/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"

#define BLOCK 65536u

struct work {
	struct archive *archive; /* owned */
	const struct yg_archive_limits *limits;
	uint64_t entries, bytes;
};

static void work_free_at(const struct work *work)
{
	if (work->archive)
		(void)archive_read_free(work->archive);
}

/* ---- what it is ---- */

enum yg_archive_kind yg_archive_kind(int fd)
{
	static const struct {
		const char *bytes;
		size_t at, len;
		enum yg_archive_kind kind;
	} magics[] = {
		{"\x1f\x8b", 0, 2, YG_ARCHIVE_PACKED},
		{"\xfd"
		 "7zXZ",
			0, 5, YG_ARCHIVE_PACKED},
		{"\x28\xb5\x2f\xfd", 0, 4, YG_ARCHIVE_PACKED},
		{"BZh", 0, 3, YG_ARCHIVE_PACKED},
		{"PK\x03\x04", 0, 4, YG_ARCHIVE_MANY},
		{"PK\x05\x06", 0, 4, YG_ARCHIVE_MANY},
		{"ustar", 257, 5, YG_ARCHIVE_MANY},
	};
	uint8_t head[512];
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t have = pread(fd, head, sizeof(head), at < 0 ? 0 : at);
	for (size_t i = 0; i < YG_COUNT(magics); i++) {
		if (have >= 0 && (size_t)have >= magics[i].at + magics[i].len &&
			memcmp(head + magics[i].at, magics[i].bytes, magics[i].len) == 0)
			return magics[i].kind;
	}
	return YG_ARCHIVE_NONE;
}

/* ---- reading ---- */

/* What libarchive says of it; its errno is of the system only when it failed to read. */
static int bad_archive(const struct work *work, struct yg_err *err)
{
	const char *text = archive_error_string(work->archive);
	if (archive_errno(work->archive) == ENOMEM)
		return yg_fail_sys(err, ENOMEM, "archive");
	return yg_fail(err, YG_EFORMAT, "archive: %s", text ? text : "damaged");
}

/* Only what is decoded in this process: libarchive would run programs for the rest. */
static int set_up(struct work *work, bool single, struct yg_err *err)
{
	static int (*const calls[])(struct archive *) = {archive_read_support_filter_gzip,
		archive_read_support_filter_xz, archive_read_support_filter_zstd,
		archive_read_support_filter_bzip2, archive_read_support_format_tar,
		archive_read_support_format_zip};
	work->archive = archive_read_new();
	if (!work->archive)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < YG_COUNT(calls); i++) {
		if (calls[i](work->archive) != ARCHIVE_OK)
			return yg_fail(err, YG_ESYSTEM, "libarchive lacks a format: %s",
				archive_error_string(work->archive));
	}
	if (single && archive_read_support_format_raw(work->archive) != ARCHIVE_OK)
		return yg_fail(err, YG_ESYSTEM, "libarchive lacks the format 'raw'");
	return 0;
}

/* "./a/b" to "a/b". errors  YG_EFORMAT leads out of the archive; YG_ELIMIT */
static int check_path(const char **path, struct yg_err *err)
{
	const char *at = *path;
	unsigned levels = 0;
	if (strlen(at) > YG_ARCHIVE_PATH_MAX)
		return yg_fail(err, YG_ELIMIT, "path: want <= %u bytes, have %zu",
			YG_ARCHIVE_PATH_MAX, strlen(at));
	if (at[0] == '/')
		return yg_fail(err, YG_EFORMAT, "want a relative path, have an absolute one");
	while (strncmp(at, "./", 2) == 0) {
		at += 2;
		at += strspn(at, "/");
	}
	for (const char *part = at; *part;) {
		size_t len = strcspn(part, "/");
		if (len == 2 && memcmp(part, "..", 2) == 0)
			return yg_fail(err, YG_EFORMAT,
				"want a path inside the archive, have '..'");
		if (++levels > YG_ARCHIVE_LEVELS_MAX)
			return yg_fail(err, YG_ELIMIT, "want <= %u folders in folders, have more",
				YG_ARCHIVE_LEVELS_MAX);
		part += len;
		part += strspn(part, "/");
	}
	*path = at;
	return 0;
}

static int check_size(const struct work *work, uint64_t file, struct yg_err *err)
{
	const struct yg_archive_limits *limits = work->limits;
	int64_t packed = archive_filter_bytes(work->archive, -1);
	if (file > limits->file_bytes)
		return yg_fail(err, YG_ELIMIT, "want <= %llu bytes in a file, have more",
			(unsigned long long)limits->file_bytes);
	if (work->bytes > limits->bytes)
		return yg_fail(err, YG_ELIMIT, "want <= %llu bytes in the archive, have more",
			(unsigned long long)limits->bytes);
	if (work->bytes > YG_ARCHIVE_RATIO_FROM && packed >= 0 &&
		work->bytes / limits->ratio > (uint64_t)packed)
		return yg_fail(err, YG_ELIMIT,
			"want <= %llu bytes for each that is packed, have more: made to fill disks",
			(unsigned long long)limits->ratio);
	return 0;
}

static int copy(struct work *work, int out, struct yg_err *err)
{
	uint8_t block[BLOCK];
	uint64_t file = 0;
	for (;;) {
		la_ssize_t n = archive_read_data(work->archive, block, sizeof(block));
		if (n < 0)
			return bad_archive(work, err);
		if (n == 0)
			return 0;
		file += (uint64_t)n;
		work->bytes += (uint64_t)n;
		if (check_size(work, file, err) < 0 ||
			(out >= 0 && yg_fs_write_all(out, block, (size_t)n, err) < 0))
			return -1;
	}
}

static int check_kind(struct archive_entry *entry, struct yg_err *err)
{
	if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) ||
		archive_entry_filetype(entry) == AE_IFLNK)
		return yg_fail(err, YG_EFORMAT, "want files, have a link");
	if (archive_entry_filetype(entry) != AE_IFREG)
		return yg_fail(err, YG_EFORMAT, "want files, have a device");
	if (archive_entry_is_encrypted(entry))
		return yg_fail(err, YG_EFORMAT, "is encrypted");
	return 0;
}

static int take(struct work *work, struct archive_entry *entry, yg_archive_open *open, void *ctx,
	struct yg_err *err)
{
	bool raw = archive_format(work->archive) == ARCHIVE_FORMAT_RAW;
	const char *path = raw ? "" : archive_entry_pathname(entry);
	int out = -1;
	if (archive_entry_filetype(entry) == AE_IFDIR)
		return 0;
	if (!path || (!raw && path[0] == 0))
		return yg_fail(err, YG_EFORMAT, "a file in the archive has no name");
	if ((!raw && check_path(&path, err) < 0) || check_kind(entry, err) < 0)
		return yg_wrap(err, "'%.200s'", path);
	if (open(ctx, path, &out, err) < 0)
		return -1;
	return copy(work, out, err) < 0 ? (raw ? -1 : yg_wrap(err, "'%.200s'", path)) : 0;
}

static int unpack(struct work *work, int fd, bool single, yg_archive_open *open, void *ctx,
	struct yg_err *err)
{
	struct archive_entry *entry = NULL;
	if (set_up(work, single, err) < 0)
		return -1;
	if (archive_read_open_fd(work->archive, fd, BLOCK) != ARCHIVE_OK)
		return bad_archive(work, err);
	for (;;) {
		int got = archive_read_next_header(work->archive, &entry);
		if (got == ARCHIVE_EOF)
			return 0;
		/* A warning is about a name or a time that it could not convert: names are bytes. */
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return bad_archive(work, err);
		if (++work->entries > work->limits->entries)
			return yg_fail(err, YG_ELIMIT,
				"want <= %llu files in the archive, have more",
				(unsigned long long)work->limits->entries);
		if (take(work, entry, open, ctx, err) < 0)
			return -1;
	}
}

int yg_archive_unpack(int fd, bool single, const struct yg_archive_limits *limits,
	yg_archive_open *open, void *ctx, struct yg_err *err)
{
	struct work work YG_AUTO(work) = {.limits = limits};
	return unpack(&work, fd, single, open, ctx, err);
}
