/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/bundle.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define MADE 1795219200 /* 2026-11-21T00:00:00Z */
#define INFO                                                                                       \
	"{\"components\":[{\"from\":[1],\"name\":\"am-pattern\",\"version\":2}],\"format\":1,"     \
	"\"made\":\"2026-11-21T00:00:00Z\"}\n"

struct item {
	const char *path, *text;
};

static void put(struct yg_buf *out, const void *data, size_t len)
{
	struct yg_err err = {0};
	assert_int_equal(yg_buf_add(out, data, len, &err), 0);
}

static void put_item(struct yg_buf *out, const char *path, const char *text)
{
	static const uint8_t zeros[YG_BUNDLE_HEADER];
	struct yg_err err = {0};
	uint8_t header[YG_BUNDLE_HEADER];
	size_t len = strlen(text);
	assert_int_equal(yg_bundle_header(path, len, MADE, header, &err), 0);
	put(out, header, sizeof(header));
	put(out, text, len);
	put(out, zeros, (YG_BUNDLE_HEADER - len % YG_BUNDLE_HEADER) % YG_BUNDLE_HEADER);
}

static void put_end(struct yg_buf *out)
{
	static const uint8_t zeros[2 * YG_BUNDLE_HEADER];
	put(out, zeros, sizeof(zeros));
}

/* bundle.json, the items, the end. */
static void make(struct yg_buf *out, const struct item *items)
{
	put_item(out, YG_BUNDLE_INFO, INFO);
	for (const struct item *at = items; at && at->path; at++)
		put_item(out, at->path, at->text);
	put_end(out);
}

static int descriptor(const struct yg_buf *bytes)
{
	struct yg_err err = {0};
	int fd = yg_fs_memfd("bundle", yg_buf_bytes(bytes), &err);
	assert_true(fd >= 0);
	return fd;
}

static const struct item some[] = {{"objects/ab/abcd", "an object"}, {"metadata/1.root.json", "{}"},
	{"targets/am/empty.json", ""}, {NULL, NULL}};

static void reads(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	make(&bytes, some);
	int fd YG_AUTO(fd) = descriptor(&bytes);
	struct yg_bundle *bundle YG_AUTO(yg_bundle) = yg_bundle_open(fd, &err);
	assert_non_null(bundle);
	assert_int_equal(yg_bundle_made(bundle), MADE);
	assert_int_equal(json_array_size(json_object_get(yg_bundle_info(bundle), "components")), 1);
	struct yg_bundle_file file;
	for (size_t i = 0; some[i].path; i++) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(64);
		assert_true(yg_bundle_file(bundle, i, &file));
		assert_string_equal(file.path, some[i].path);
		assert_int_equal(file.size, strlen(some[i].text));
		assert_int_equal(file.offset % YG_BUNDLE_HEADER, 0);
		assert_int_equal(yg_bundle_read(bundle, some[i].path, &text, &err), 0);
		assert_int_equal(text.len, file.size);
		assert_true(text.len == 0 || memcmp(text.data, some[i].text, text.len) == 0);
	}
	assert_false(yg_bundle_file(bundle, YG_COUNT(some) - 1, &file));
	assert_false(yg_bundle_find(bundle, "objects/ab/abce", &file));
	assert_true(yg_bundle_find(bundle, YG_BUNDLE_INFO, &file));
	assert_int_equal(file.offset, YG_BUNDLE_HEADER);
	struct yg_buf small YG_AUTO(yg_buf) = YG_BUF(4);
	assert_int_equal(yg_bundle_read(bundle, "objects/ab/abcd", &small, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_int_equal(yg_bundle_read(bundle, "objects/zz", &small, &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
}

static void copies(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20), back YG_AUTO(yg_buf) = YG_BUF(64);
	make(&bytes, some);
	int fd YG_AUTO(fd) = memfd_create("bundle", MFD_CLOEXEC);
	assert_int_equal(yg_fs_write_all(fd, bytes.data, bytes.len, &err), 0);
	struct yg_bundle *bundle YG_AUTO(yg_bundle) = yg_bundle_open(fd, &err);
	struct yg_bundle_file file;
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	assert_non_null(bundle);
	assert_true(yg_bundle_find(bundle, "objects/ab/abcd", &file));
	assert_int_equal(yg_bundle_copy(bundle, &file, out, &err), 0);
	assert_int_equal(yg_fs_read_fd(out, &back, &err), 0);
	assert_int_equal(back.len, 9);
	assert_memory_equal(back.data, "an object", 9);
	/* It became shorter while it was open. */
	assert_int_equal(ftruncate(fd, (off_t)file.offset + 4), 0);
	assert_int_equal(yg_bundle_copy(bundle, &file, out, &err), -1);
	assert_string_equal(err.cause, "content.format");
	assert_non_null(strstr(err.msg, "it ends too early"));
}

/* ---- names ---- */

static void names(void **state)
{
	(void)state;
	static const struct {
		size_t folder, name;
		bool fits;
	} rows[] = {{0, 100, true}, {0, 101, true}, {0, 108, true}, {0, 109, false},
		{150, 90, true}, {155, 99, true}, {156, 99, false}, {120, 101, false}};
	struct yg_err err = {0};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char path[400] = {0};
		size_t at = 0;
		if (rows[i].folder > 0) {
			memset(path, 'a', rows[i].folder);
			memcpy(path, "targets/", 8);
			path[rows[i].folder] = '/';
			at = rows[i].folder + 1;
		} else {
			memcpy(path, "targets/", 8);
			at = 8;
		}
		memset(path + at, 'b', rows[i].folder > 0 ? rows[i].name : rows[i].name - 8);
		uint8_t header[YG_BUNDLE_HEADER];
		bool fits = yg_bundle_header(path, 1, MADE, header, &err) == 0;
		assert_int_equal(fits, rows[i].fits);
		if (!fits)
			continue;
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		make(&bytes, (const struct item[]){{path, "x"}, {NULL, NULL}});
		int fd YG_AUTO(fd) = descriptor(&bytes);
		struct yg_bundle *bundle YG_AUTO(yg_bundle) = yg_bundle_open(fd, &err);
		struct yg_bundle_file file;
		assert_non_null(bundle);
		assert_true(yg_bundle_find(bundle, path, &file));
	}
	uint8_t header[YG_BUNDLE_HEADER];
	assert_int_equal(yg_bundle_header("objects/a", YG_BUNDLE_FILE_MAX + 1, MADE, header, &err),
		-1);
	assert_int_equal(err.code, YG_ELIMIT);
}

/* ---- refusals ---- */

static void refuse(const struct yg_buf *bytes, const char *message)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = descriptor(bytes);
	struct yg_bundle *bundle YG_AUTO(yg_bundle) = yg_bundle_open(fd, &err);
	if (bundle || !strstr(err.msg, message))
		print_error("'%s', want '%s'\n", bundle ? "it was taken" : err.msg, message);
	assert_null(bundle);
	assert_non_null(strstr(err.msg, message));
	assert_true(strncmp(err.cause, "content.", 8) == 0);
}

static void wrong_names(void **state)
{
	(void)state;
	static const struct {
		struct item items[3];
		const char *message;
	} rows[] = {
		{{{"metadata/a", "1"}, {"metadata/a", "2"}}, "'metadata/a' is there twice"},
		{{{YG_BUNDLE_INFO, INFO}}, "want bundle.json first, and nowhere else"},
		{{{"etc/passwd", "x"}}, "want a name below metadata/"},
		{{{"metadata/../x", "x"}}, "want a name below metadata/"},
		{{{"/metadata/x", "x"}}, "want a name below metadata/"},
		{{{"metadata//x", "x"}}, "want a name below metadata/"},
		{{{"objects/.x", "x"}}, "want a name below metadata/"},
		{{{"objects/", ""}}, "want a name below metadata/"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		make(&bytes, rows[i].items);
		refuse(&bytes, rows[i].message);
	}
}

static void wrong_bytes(void **state)
{
	(void)state;
	static const struct {
		size_t at; /* of the second header */
		char byte;
		const char *message;
	} rows[] = {
		{0, 'x', "checksum is wrong"},
		{257, 'U', "want a ustar header"},
		{263, '1', "want a ustar header"},
		{148, '9', "checksum is wrong"},
		{124, '8', "checksum is wrong"},
	};
	struct yg_buf good YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	make(&good, some);
	const size_t second = 1024;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		put(&bytes, good.data, good.len);
		bytes.data[second + rows[i].at] = (uint8_t)rows[i].byte;
		refuse(&bytes, rows[i].message);
	}
	/* Cut anywhere, and with anything after its end. */
	for (size_t len = 0; len < good.len; len += 256) {
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		put(&bytes, good.data, len);
		refuse(&bytes, "bundle: ");
	}
	put(&good, "x", 1);
	refuse(&good, "want two blocks of zeros at the end");
}

/* A header with this type and size, checksum right. */
static void wrong_kinds(void **state)
{
	(void)state;
	static const struct {
		char type;
		const char *size, *message;
	} rows[] = {
		{'1', "00000000000", "want regular files only"},
		{'2', "00000000000", "want regular files only"},
		{'5', "00000000000", "want regular files only"},
		{'x', "00000000000", "want regular files only"},
		{'L', "00000000000", "want regular files only"},
		{0, "00000000000", "want regular files only"},
		{'0', "77777777777", "the file is longer than the bundle"},
		{'0', "0000000000x", "the size is no octal number"},
		{'0', "           ", "the size is no octal number"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		make(&bytes, some);
		uint8_t *header = bytes.data + 1024;
		header[156] = (uint8_t)rows[i].type;
		memcpy(header + 124, rows[i].size, 11);
		memset(header + 148, ' ', 8);
		unsigned sum = 0;
		for (size_t k = 0; k < YG_BUNDLE_HEADER; k++)
			sum += header[k];
		char text[8];
		assert_true(yg_str_put(text, sizeof(text), "%06o", sum));
		memcpy(header + 148, text, 7);
		refuse(&bytes, rows[i].message);
	}
}

static void wrong_info(void **state)
{
	(void)state;
	static const struct {
		const char *info, *message;
	} rows[] = {
		{"", "bundle.json: "},
		{"[]", "bundle.json: format: want a whole number"},
		{"{\"format\":2}", "bundle.json: format: want 1, have 2"},
		{"{\"format\":1,\"made\":\"now\",\"components\":[]}", "bundle.json: "},
		{"{\"format\":1,\"made\":\"2026-11-21T00:00:00Z\"}", "bundle.json: components: "},
		{"{\"format\":1,\"made\":\"2026-11-21T00:00:00Z\",\"components\":[{\"name\":\"a\","
		 "\"version\":0,\"from\":[]}]}",
			"bundle.json: components: 1: version: "},
		{"{\"format\":1,\"made\":\"2026-11-21T00:00:00Z\",\"components\":[{\"name\":\"a\","
		 "\"version\":1,\"from\":[\"1\"]}]}",
			"components: 1: from: 1: want a number, have a string"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		put_item(&bytes, YG_BUNDLE_INFO, rows[i].info);
		put_end(&bytes);
		refuse(&bytes, rows[i].message);
	}
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	put_end(&bytes);
	refuse(&bytes, "want bundle.json first");
}

static void not_a_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_null(yg_bundle_open(ends[0], &err));
	assert_string_equal(err.msg, "bundle: want a regular file");
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(copies),
		cmocka_unit_test(names), cmocka_unit_test(wrong_names),
		cmocka_unit_test(wrong_bytes), cmocka_unit_test(wrong_kinds),
		cmocka_unit_test(wrong_info), cmocka_unit_test(not_a_file)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
