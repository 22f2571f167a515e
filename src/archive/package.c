/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "archive/package.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/zip.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/scrub.h"

#define FILES_MAX   2000
#define BINARY_LOOK 4096 /* bytes in which a NUL says that it is no text */

struct yg_package {
	struct yg_zip *zip; /* owned */
	json_t *contents, *files;
	size_t left; /* bytes */
	int64_t secrets, bytes;
};

struct yg_package *yg_package_new(int fd, const char *kind, struct yg_err *err)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	struct yg_package *package YG_AUTO(yg_package) = calloc(1, sizeof(*package));
	if (!package) {
		(void)yg_fail_sys(err, ENOMEM, "making the package");
		return NULL;
	}
	package->left = YG_PACKAGE_BYTES;
	package->files = json_array();
	package->contents = json_pack("{s:s,s:s,s:s,s:O}", "kind", kind, "version", YG_VERSION,
		"made", now, "files", package->files);
	package->zip = yg_zip_new(fd, err);
	return package->zip ? yg_take(package) : NULL;
}

void yg_package_free(struct yg_package *package)
{
	if (!package)
		return;
	yg_zip_free(package->zip);
	json_decref(package->contents);
	json_decref(package->files);
	free(package);
}

bool yg_package_never(const char *path)
{
	static const char *const patterns[] = {"*.key", "*.p12", "*.pfx", "*.jks", "*.sealed",
		"*.token", "*.age", "*.gpg", "*.db", "*.sqlite*", "*-wal", "*-shm", "id_*",
		"identity.json*", "master*key*", "*.pem", "*.core", "core.*"};
	const char *slash = strrchr(path, '/');
	for (size_t i = 0; i < YG_COUNT(patterns); i++)
		if (fnmatch(patterns[i], slash ? slash + 1 : path, FNM_CASEFOLD) == 0)
			return true;
	return false;
}

void yg_package_absent(struct yg_package *package, const char *name, const char *why)
{
	if (json_array_size(package->files) < FILES_MAX)
		(void)json_array_append_new(package->files,
			json_pack("{s:s,s:s}", "name", name, "absent", why));
}

/* The newest part that there is room for, from the beginning of a line on. */
static struct yg_bytes newest(const struct yg_package *package, struct yg_bytes text)
{
	size_t room = package->left < YG_PACKAGE_FILE_BYTES ? package->left : YG_PACKAGE_FILE_BYTES;
	if (text.len <= room)
		return text;
	struct yg_bytes tail = {text.ptr + text.len - room, room};
	const uint8_t *line = memchr(tail.ptr, '\n', tail.len);
	size_t skip = line ? (size_t)(line + 1 - tail.ptr) : 0;
	return (struct yg_bytes){tail.ptr + skip, tail.len - skip};
}

/* `of` is how much there was before somebody cut it, or its own length. */
static int add(struct yg_package *package, const char *name, struct yg_bytes text, uint64_t of,
	int64_t time_s, struct yg_err *err)
{
	size_t look = text.len < BINARY_LOOK ? text.len : BINARY_LOOK;
	if (json_array_size(package->files) >= FILES_MAX)
		return 0;
	if (look > 0 && memchr(text.ptr, 0, look)) {
		yg_package_absent(package, name, "not a text");
		return 0;
	}
	/* Before it is cut: a secret may begin before the part that stays. */
	char *own YG_AUTO(mem) = malloc(text.len + 1);
	unsigned secrets = 0;
	if (!own)
		return yg_fail_sys(err, ENOMEM, "making the package");
	if (text.len > 0)
		memcpy(own, text.ptr, text.len);
	size_t len = yg_scrub(own, text.len, &secrets);
	struct yg_bytes clean = newest(package, (struct yg_bytes){(const uint8_t *)own, len});
	if (clean.len == 0 && len > 0) {
		yg_package_absent(package, name, "no room left");
		return 0;
	}
	if (clean.len > 0 && yg_zip_add(package->zip, name, clean, time_s, err) < 0)
		return -1;
	json_t *entry = json_pack("{s:s,s:I}", "name", name, "bytes", (json_int_t)clean.len);
	if (secrets > 0)
		(void)json_object_set_new(entry, "secrets", json_integer(secrets));
	if (of > text.len || clean.len < len)
		(void)json_object_set_new(entry, "of", json_integer((json_int_t)of));
	(void)json_array_append_new(package->files, entry);
	package->left -= clean.len;
	package->bytes += (int64_t)clean.len;
	package->secrets += secrets;
	return 0;
}

int yg_package_text(struct yg_package *package, const char *name, struct yg_bytes text,
	struct yg_err *err)
{
	return add(package, name, text, text.len, yg_clock_now_s(), err);
}

int yg_package_json(struct yg_package *package, const char *name, const json_t *value,
	struct yg_err *err)
{
	char *text YG_AUTO(mem) = json_dumps(value, JSON_INDENT(2));
	if (!text)
		return yg_fail_sys(err, ENOMEM, "making the package");
	return yg_package_text(package, name, yg_bytes_of(text), err);
}

/* The last bytes of a file. A secret that the cut goes through could not be told from other text, so the first
 * line goes too.
 */
static int read_end(int fd, struct yg_buf *out, struct stat *st, struct yg_err *err)
{
	char chunk[65536];
	if (fstat(fd, st) < 0)
		return yg_fail_sys(err, errno, "stat");
	off_t from = st->st_size > (off_t)YG_PACKAGE_FILE_BYTES
		? st->st_size - (off_t)YG_PACKAGE_FILE_BYTES
		: 0;
	for (off_t at = from; out->len < YG_PACKAGE_FILE_BYTES;) {
		ssize_t n = pread(fd, chunk, sizeof(chunk), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			break;
		size_t room = YG_PACKAGE_FILE_BYTES - out->len;
		if (yg_buf_add(out, chunk, (size_t)n < room ? (size_t)n : room, err) < 0)
			return -1;
		at += n;
	}
	const uint8_t *line = from > 0 && out->len > 0 ? memchr(out->data, '\n', out->len) : NULL;
	if (line) {
		size_t skip = (size_t)(line + 1 - out->data);
		memmove(out->data, out->data + skip, out->len - skip);
		out->len -= skip;
	}
	return 0;
}

int yg_package_file(struct yg_package *package, const char *name, int dir, const char *path,
	struct yg_err *err)
{
	struct yg_err why = {0};
	struct stat st = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_PACKAGE_FILE_BYTES);
	if (yg_package_never(path)) {
		yg_package_absent(package, name, "of a kind that is never read");
		return 0;
	}
	int fd YG_AUTO(fd) = yg_fs_open(dir, path, &why);
	if (fd < 0 && why.code == YG_EABSENT)
		return 0;
	if (fd < 0 || read_end(fd, &text, &st, &why) < 0) {
		yg_package_absent(package, name, why.msg);
		return 0;
	}
	/* Those of /proc say that they are empty. */
	uint64_t size = (uint64_t)st.st_size > text.len ? (uint64_t)st.st_size : text.len;
	return add(package, name, yg_buf_bytes(&text), size, st.st_mtime, err);
}

int yg_package_close(struct yg_package *package, json_t **contents, struct yg_err *err)
{
	(void)json_object_set_new(package->contents, "bytes", json_integer(package->bytes));
	(void)json_object_set_new(package->contents, "secrets", json_integer(package->secrets));
	char *text YG_AUTO(mem) = json_dumps(package->contents, JSON_INDENT(1));
	if (!text)
		return yg_fail_sys(err, ENOMEM, "making the package");
	if (yg_zip_add(package->zip, "contents.json", yg_bytes_of(text), yg_clock_now_s(), err) <
			0 ||
		yg_zip_close(package->zip, err) < 0)
		return -1;
	*contents = json_incref(package->contents);
	return 0;
}
