/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "archive/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/fs.h"
#include "core/str.h"

#define PATH_MAX_BYTES 512

struct yg_zip {
	struct archive *archive; /* owned */
	int fd;
	bool over;           /* nothing more is written */
	struct yg_err wrote; /* why not, when that failed */
};

static int failed(const struct yg_zip *zip, struct yg_err *err)
{
	const char *text = archive_error_string(zip->archive);
	if (zip->wrote.code)
		return yg_fail_sys(err, zip->wrote.sys, "writing the zip file");
	return yg_fail(err, YG_ESYSTEM, "writing the zip file: %s", text ? text : "failed");
}

/* libarchive that is told of a failure gives nothing back any more: we keep it to ourselves. */
static la_ssize_t put(struct archive *archive, void *ctx, const void *data, size_t len)
{
	(void)archive;
	struct yg_zip *zip = ctx;
	if (!zip->over && yg_fs_write_all(zip->fd, data, len, &zip->wrote) < 0)
		zip->over = true;
	return (la_ssize_t)len;
}

struct yg_zip *yg_zip_new(int fd, struct yg_err *err)
{
	struct yg_zip *zip YG_AUTO(yg_zip) = calloc(1, sizeof(*zip));
	if (zip) {
		zip->fd = fd;
		zip->archive = archive_write_new();
	}
	if (!zip || !zip->archive) {
		(void)yg_fail_sys(err, ENOMEM, "writing the zip file");
		return NULL;
	}
	/* In blocks of no size of its own: the last one would be filled up, which no zip wants. */
	if (archive_write_set_format_zip(zip->archive) != ARCHIVE_OK ||
		archive_write_zip_set_compression_deflate(zip->archive) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(zip->archive, 1) != ARCHIVE_OK ||
		archive_write_open(zip->archive, zip, NULL, put, NULL) != ARCHIVE_OK) {
		(void)failed(zip, err);
		return NULL;
	}
	return yg_take(zip);
}

void yg_zip_free(struct yg_zip *zip)
{
	if (!zip)
		return;
	zip->over = true;
	if (zip->archive)
		(void)archive_write_free(zip->archive);
	free(zip);
}

static inline void entry_free_at(struct archive_entry **at)
{
	archive_entry_free(*at);
}

int yg_zip_add(struct yg_zip *zip, const char *path, struct yg_bytes bytes, int64_t time_s,
	struct yg_err *err)
{
	if (!yg_str_path_ok(path, PATH_MAX_BYTES))
		return yg_fail(err, YG_EFORMAT, "a name in a zip file: want a path, have '%s'",
			path);
	struct archive_entry *entry YG_AUTO(entry) = archive_entry_new();
	if (!entry)
		return yg_fail_sys(err, ENOMEM, "writing the zip file");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_size(entry, (la_int64_t)bytes.len);
	archive_entry_set_mtime(entry, (time_t)time_s, 0);
	if (archive_write_header(zip->archive, entry) != ARCHIVE_OK)
		return failed(zip, err);
	if (bytes.len > 0 &&
		archive_write_data(zip->archive, bytes.ptr, bytes.len) != (la_ssize_t)bytes.len)
		return failed(zip, err);
	return zip->wrote.code ? failed(zip, err) : 0;
}

int yg_zip_close(struct yg_zip *zip, struct yg_err *err)
{
	if (archive_write_close(zip->archive) != ARCHIVE_OK || zip->wrote.code)
		return failed(zip, err);
	return 0;
}
