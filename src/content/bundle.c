/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define END_BLOCKS 2u /* blocks of zeros that end an archive */
#define CHUNK      65536u

/* source  POSIX.1-2017, pax, "ustar Interchange Format" */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == YG_BUNDLE_HEADER, "a ustar header has 512 bytes");

struct yg_bundle {
	int fd; /* borrowed */
	struct yg_bundle_file *files;
	size_t count, cap;
	const struct yg_bundle_file **sorted; /* by path */
	json_t *info;
	int64_t made;
};

/* ---- numbers and names of a header ---- */

/* Octal digits up to a NUL or space. False when there is anything else. */
static bool octal(const char *field, size_t len, uint64_t *out)
{
	uint64_t value = 0;
	size_t i = 0;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0');
	bool digits = i > 0 && i <= 20;
	for (; i < len; i++) {
		if (field[i] != 0 && field[i] != ' ')
			return false;
	}
	*out = value;
	return digits;
}

static void put_octal(char *field, size_t len, uint64_t value)
{
	for (size_t i = len - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

/* The sum of all bytes, with the checksum's own as spaces. */
static uint64_t sum(const struct header *header)
{
	const uint8_t *bytes = (const uint8_t *)header;
	const size_t from = offsetof(struct header, checksum);
	uint64_t total = 0;
	for (size_t i = 0; i < sizeof(*header); i++)
		total += i >= from && i < from + sizeof(header->checksum) ? ' ' : bytes[i];
	return total;
}

int yg_bundle_header(const char *path, uint64_t size, int64_t mtime, uint8_t out[YG_BUNDLE_HEADER],
	struct yg_err *err)
{
	struct header header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	size_t len = strlen(path), split = 0;
	if (len > sizeof(header.name)) {
		split = len - sizeof(header.name) - 1;
		split += strcspn(path + split, "/");
	}
	if (split > sizeof(header.prefix) || (split > 0 && path[split] != '/') ||
		len - split - (split > 0) > sizeof(header.name))
		return yg_fail(err, YG_ELIMIT, "'%.100s': the name is too long for an archive",
			path);
	if (size > YG_BUNDLE_FILE_MAX || mtime < 0 || (uint64_t)mtime > YG_BUNDLE_FILE_MAX)
		return yg_fail(err, YG_ELIMIT, "'%.100s': too large for an archive", path);
	memcpy(header.prefix, path, split);
	memcpy(header.name, path + split + (split > 0), len - split - (split > 0));
	put_octal(header.mode, sizeof(header.mode), 0644);
	put_octal(header.uid, sizeof(header.uid), 0);
	put_octal(header.gid, sizeof(header.gid), 0);
	put_octal(header.size, sizeof(header.size), size);
	put_octal(header.mtime, sizeof(header.mtime), (uint64_t)mtime);
	put_octal(header.major, sizeof(header.major), 0);
	put_octal(header.minor, sizeof(header.minor), 0);
	put_octal(header.checksum, sizeof(header.checksum) - 1, sum(&header));
	header.checksum[7] = ' ';
	memcpy(out, &header, sizeof(header));
	return 0;
}

static bool name_of(const struct header *header, char out[YG_BUNDLE_PATH_MAX + 2])
{
	size_t prefix = strnlen(header->prefix, sizeof(header->prefix));
	size_t name = strnlen(header->name, sizeof(header->name));
	return yg_str_put(out, YG_BUNDLE_PATH_MAX + 2, "%.*s%s%.*s", (int)prefix, header->prefix,
		prefix > 0 ? "/" : "", (int)name, header->name);
}

static bool path_ok(const char *path)
{
	if (strcmp(path, YG_BUNDLE_INFO) == 0)
		return true;
	return (strncmp(path, "metadata/", 9) == 0 || strncmp(path, "targets/", 8) == 0 ||
		       strncmp(path, "objects/", 8) == 0) &&
		yg_str_path_ok(path, YG_BUNDLE_PATH_MAX);
}

/* ---- the index ---- */

static int bad(struct yg_err *err, uint64_t at, const char *what)
{
	return yg_fail_cause(err, YG_EFORMAT, "content.format", "bundle: at byte %llu: %s",
		(unsigned long long)at, what);
}

static int read_at(int fd, void *out, size_t len, uint64_t at, struct yg_err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (uint8_t *)out + done, len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "bundle: reading");
		if (n == 0)
			return bad(err, at + done, "it ends too early");
		done += (size_t)n;
	}
	return 0;
}

static bool zeros(const void *block)
{
	static const uint8_t none[YG_BUNDLE_HEADER];
	return memcmp(block, none, sizeof(none)) == 0;
}

static int add(struct yg_bundle *bundle, const char *path, uint64_t offset, uint64_t size,
	struct yg_err *err)
{
	if (bundle->count > YG_BUNDLE_FILES_MAX)
		return yg_fail_cause(err, YG_ELIMIT, "content.limit",
			"bundle: want <= %u files, have more", YG_BUNDLE_FILES_MAX);
	if (bundle->count == bundle->cap) {
		size_t cap = bundle->cap ? 2 * bundle->cap : 64;
		struct yg_bundle_file *grown = reallocarray(bundle->files, cap, sizeof(*grown));
		if (!grown)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
		bundle->files = grown;
		bundle->cap = cap;
	}
	char *copy = strdup(path);
	if (!copy)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	bundle->files[bundle->count++] = (struct yg_bundle_file){copy, offset, size};
	return 0;
}

/* One header at *at; moves on over the file's bytes. */
static int read_entry(struct yg_bundle *bundle, const struct header *header, uint64_t *at,
	uint64_t end, struct yg_err *err)
{
	char path[YG_BUNDLE_PATH_MAX + 2];
	uint64_t size = 0, checksum = 0;
	if (memcmp(header->magic, "ustar", 6) != 0 || memcmp(header->version, "00", 2) != 0)
		return bad(err, *at, "want a ustar header");
	if (!octal(header->checksum, sizeof(header->checksum), &checksum) ||
		checksum != sum(header))
		return bad(err, *at, "the header's checksum is wrong");
	if (header->type != '0')
		return bad(err, *at, "want regular files only");
	if (!name_of(header, path) || !path_ok(path))
		return bad(err, *at, "want a name below metadata/, targets/ or objects/");
	if (!octal(header->size, sizeof(header->size), &size) || size > YG_BUNDLE_FILE_MAX)
		return bad(err, *at, "the size is no octal number");
	if ((strcmp(path, YG_BUNDLE_INFO) == 0) != (bundle->count == 0))
		return bad(err, *at, "want bundle.json first, and nowhere else");
	uint64_t offset = *at + YG_BUNDLE_HEADER;
	uint64_t padded = (size + YG_BUNDLE_HEADER - 1) / YG_BUNDLE_HEADER * YG_BUNDLE_HEADER;
	if (padded > end - offset)
		return bad(err, *at, "the file is longer than the bundle");
	*at = offset + padded;
	return add(bundle, path, offset, size, err);
}

static int read_index(struct yg_bundle *bundle, struct yg_err *err)
{
	struct stat st;
	struct header header;
	uint64_t at = 0;
	if (fstat(bundle->fd, &st) < 0)
		return yg_fail_sys(err, errno, "bundle");
	if (!S_ISREG(st.st_mode))
		return yg_fail_cause(err, YG_EFORMAT, "content.format",
			"bundle: want a regular file");
	uint64_t end = (uint64_t)st.st_size;
	for (;;) {
		if (at > end || end - at < sizeof(header))
			return bad(err, at, "it ends too early");
		if (read_at(bundle->fd, &header, sizeof(header), at, err) < 0)
			return -1;
		if (zeros(&header))
			break;
		if (read_entry(bundle, &header, &at, end, err) < 0)
			return -1;
	}
	if (end - at != (uint64_t)END_BLOCKS * YG_BUNDLE_HEADER)
		return bad(err, at, "want two blocks of zeros at the end");
	if (read_at(bundle->fd, &header, sizeof(header), at + YG_BUNDLE_HEADER, err) < 0)
		return -1;
	return zeros(&header) ? 0 : bad(err, at, "want two blocks of zeros at the end");
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(const struct yg_bundle_file *const *)a)->path,
		(*(const struct yg_bundle_file *const *)b)->path);
}

static int sort(struct yg_bundle *bundle, struct yg_err *err)
{
	bundle->sorted = calloc(bundle->count, sizeof(*bundle->sorted));
	if (!bundle->sorted)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 0; i < bundle->count; i++)
		bundle->sorted[i] = &bundle->files[i];
	qsort(bundle->sorted, bundle->count, sizeof(const struct yg_bundle_file *), by_path);
	for (size_t i = 1; i < bundle->count; i++) {
		if (by_path(&bundle->sorted[i - 1], &bundle->sorted[i]) == 0)
			return yg_fail_cause(err, YG_EFORMAT, "content.format",
				"bundle: '%s' is there twice", bundle->sorted[i]->path);
	}
	return 0;
}

/* ---- bundle.json ---- */

static int check_component(const json_t *item, struct yg_err *err)
{
	const char *name;
	int64_t version;
	json_t *from;
	if (yg_json_str(item, "name", 64, &name, err) < 0 ||
		yg_json_int(item, "version", 1, INT64_MAX, &version, err) < 0 ||
		yg_json_array(item, "from", 1024, &from, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(from); i++) {
		if (!json_is_integer(json_array_get(from, i)))
			return yg_fail(err, YG_EFORMAT, "from: %zu: want a number, have %s", i + 1,
				yg_json_kind(json_array_get(from, i)));
	}
	return 0;
}

static int check_info(struct yg_bundle *bundle, struct yg_err *err)
{
	int64_t format;
	const char *made;
	json_t *list;
	if (yg_json_int(bundle->info, "format", 1, INT64_MAX, &format, err) < 0)
		return -1;
	if (format != YG_BUNDLE_FORMAT)
		return yg_fail(err, YG_EFORMAT, "format: want %d, have %lld", YG_BUNDLE_FORMAT,
			(long long)format);
	if (yg_json_str(bundle->info, "made", YG_CLOCK_TEXT, &made, err) < 0 ||
		yg_clock_parse(made, &bundle->made, err) < 0 ||
		yg_json_array(bundle->info, "components", YG_BUNDLE_COMPONENTS, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (check_component(json_array_get(list, i), err) < 0)
			return yg_wrap(err, "components: %zu", i + 1);
	}
	return 0;
}

static int read_info(struct yg_bundle *bundle, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_BUNDLE_INFO_MAX);
	if (yg_bundle_read(bundle, YG_BUNDLE_INFO, &text, err) < 0)
		return -1;
	if (yg_json_parse(yg_buf_bytes(&text), YG_BUNDLE_INFO_MAX, &bundle->info, err) == 0 &&
		check_info(bundle, err) == 0)
		return 0;
	struct yg_err why = *err;
	return yg_fail_cause(err, why.code,
		why.code == YG_ELIMIT ? "content.limit" : "content.format",
		"bundle: bundle.json: %s", why.msg);
}

/* ---- whole ---- */

struct yg_bundle *yg_bundle_open(int fd, struct yg_err *err)
{
	struct yg_bundle *bundle YG_AUTO(yg_bundle) = calloc(1, sizeof(*bundle));
	if (!bundle) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	bundle->fd = fd;
	if (read_index(bundle, err) < 0)
		return NULL;
	if (bundle->count == 0) {
		(void)bad(err, 0, "want bundle.json first, and nowhere else");
		return NULL;
	}
	if (sort(bundle, err) < 0 || read_info(bundle, err) < 0)
		return NULL;
	return yg_take(bundle);
}

void yg_bundle_free(struct yg_bundle *bundle)
{
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->count; i++)
		free((char *)(uintptr_t)bundle->files[i].path); /* ours; const to readers */
	free(bundle->files);
	free(bundle->sorted);
	json_decref(bundle->info);
	free(bundle);
}

int64_t yg_bundle_made(const struct yg_bundle *bundle)
{
	return bundle->made;
}

const json_t *yg_bundle_info(const struct yg_bundle *bundle)
{
	return bundle->info;
}

bool yg_bundle_find(const struct yg_bundle *bundle, const char *path, struct yg_bundle_file *out)
{
	const struct yg_bundle_file key = {.path = path}, *at = &key;
	const struct yg_bundle_file **found = bsearch(&at, bundle->sorted, bundle->count,
		sizeof(const struct yg_bundle_file *), by_path);
	if (!found)
		return false;
	*out = **found;
	return true;
}

bool yg_bundle_file(const struct yg_bundle *bundle, size_t index, struct yg_bundle_file *out)
{
	if (index + 1 >= bundle->count)
		return false;
	*out = bundle->files[index + 1]; /* bundle.json is the first */
	return true;
}

int yg_bundle_read(const struct yg_bundle *bundle, const char *path, struct yg_buf *buf,
	struct yg_err *err)
{
	struct yg_bundle_file file;
	uint8_t chunk[4096];
	if (!yg_bundle_find(bundle, path, &file))
		return yg_fail(err, YG_EABSENT, "'%.200s': not in the bundle", path);
	if (file.size > buf->max - buf->len)
		return yg_fail(err, YG_ELIMIT, "'%.200s': want <= %zu bytes, have %llu", path,
			buf->max - buf->len, (unsigned long long)file.size);
	for (uint64_t done = 0; done < file.size;) {
		size_t n = file.size - done < sizeof(chunk) ? (size_t)(file.size - done)
							    : sizeof(chunk);
		if (read_at(bundle->fd, chunk, n, file.offset + done, err) < 0 ||
			yg_buf_add(buf, chunk, n, err) < 0)
			return -1;
		done += n;
	}
	return 0;
}

int yg_bundle_copy(const struct yg_bundle *bundle, const struct yg_bundle_file *file, int out,
	struct yg_err *err)
{
	char *chunk YG_AUTO(mem) = malloc(CHUNK);
	if (!chunk)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (uint64_t done = 0; done < file->size;) {
		size_t n = file->size - done < CHUNK ? (size_t)(file->size - done) : CHUNK;
		if (read_at(bundle->fd, chunk, n, file->offset + done, err) < 0 ||
			yg_fs_write_all(out, chunk, n, err) < 0)
			return -1;
		done += n;
	}
	return 0;
}
