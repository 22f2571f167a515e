/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "archive/archive.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

#define BLOCK 512

/* A member of a tar, as few of its fields as a reader needs. source  POSIX.1-1988, ustar */
static void add(struct yg_buf *tar, const char *name, char type, const char *link, const char *data,
	size_t size)
{
	struct yg_err err = {0};
	char head[BLOCK] = {0}, pad[BLOCK] = {0};
	(void)snprintf(head, 100, "%s", name);
	(void)snprintf(head + 100, 8, "0000644");
	(void)snprintf(head + 124, 12, "%011o", (unsigned)size);
	head[156] = type;
	(void)snprintf(head + 157, 100, "%s", link);
	memcpy(head + 257,
		"ustar\0"
		"00",
		8);
	memset(head + 148, ' ', 8);
	unsigned sum = 0;
	for (size_t i = 0; i < BLOCK; i++)
		sum += (uint8_t)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum);
	assert_int_equal(yg_buf_add(tar, head, BLOCK, &err), 0);
	assert_int_equal(yg_buf_add(tar, data, size, &err), 0);
	assert_int_equal(yg_buf_add(tar, pad, (BLOCK - size % BLOCK) % BLOCK, &err), 0);
}

static void end(struct yg_buf *tar)
{
	struct yg_err err = {0};
	static const char zeros[2 * BLOCK];
	assert_int_equal(yg_buf_add(tar, zeros, sizeof(zeros), &err), 0);
}

struct seen {
	struct yg_buf names; /* each with a newline */
	int out;
	bool refuse;
};

static int open_it(void *ctx, const char *path, int *out, struct yg_err *err)
{
	struct seen *seen = ctx;
	if (seen->refuse)
		return yg_fail(err, YG_EAGAIN, "not now");
	*out = seen->out;
	return yg_str_addf(&seen->names, err, "%s\n", path);
}

static int unpack(struct yg_bytes bytes, const struct yg_archive_limits *limits, bool single,
	struct seen *seen, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_memfd("tar", bytes, err);
	assert_true(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
	return yg_archive_unpack(fd, single, limits, open_it, seen, err);
}

static const struct yg_archive_limits wide = {100, 1u << 20, 1u << 20, 300};

static void members(void **state)
{
	static const struct {
		const char *name;
		char type;
		const char *want; /* what came out, or "!" and the error */
	} rows[] = {
		{"a.ndb", '0', "a.ndb\n"},
		{"./x//y/a.ndb", '0', "x//y/a.ndb\n"},
		{".//a", '0', "a\n"},
		{".//../a", '0', "!'.//../a': want a path inside the archive, have '..'"},
		{"x/", '5', ""},
		{"a\nb", '0', "a\nb\n"},
		{"../a", '0', "!'../a': want a path inside the archive, have '..'"},
		{"x/../../a", '0', "!'x/../../a': want a path inside the archive, have '..'"},
		{"..", '0', "!'..': want a path inside the archive, have '..'"},
		{"..a/b..", '0', "..a/b..\n"},
		{"/a", '0', "!'/a': want a relative path, have an absolute one"},
		{"a", '1', "!'a': want files, have a link"},
		{"a", '2', "!'a': want files, have a link"},
		{"a", '3', "!'a': want files, have a device"},
		{"a", '6', "!'a': want files, have a device"},
		{"1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h", '0',
			"!'1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h': want <= 16 folders in folders, have more"},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf tar YG_AUTO(yg_buf) = YG_BUF(1u << 16);
		struct seen seen = {.names = YG_BUF(4096), .out = -1};
		bool links = rows[i].type == '1' || rows[i].type == '2';
		add(&tar, rows[i].name, rows[i].type, links ? "/etc/passwd" : "", "", 0);
		end(&tar);
		int r = unpack(yg_buf_bytes(&tar), &wide, false, &seen, &err);
		assert_int_equal(yg_buf_add(&seen.names, "", 1, &(struct yg_err){0}), 0);
		if (r < 0)
			assert_string_equal(err.msg, rows[i].want + 1);
		else
			assert_string_equal((const char *)seen.names.data, rows[i].want);
		yg_buf_free(&seen.names);
	}
}

static void limits(void **state)
{
	static const struct {
		struct yg_archive_limits limits;
		const char *want; /* NULL: fine */
	} rows[] = {
		{{3, 1000, 3000, 300}, NULL},
		{{2, 1000, 3000, 300}, "want <= 2 files in the archive, have more"},
		{{3, 999, 3000, 300}, "'a': want <= 999 bytes in a file, have more"},
		{{3, 1000, 2999, 300}, "'c': want <= 2999 bytes in the archive, have more"},
	};
	static char data[1000];
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf tar YG_AUTO(yg_buf) = YG_BUF(1u << 16);
		int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
		struct seen seen = {.names = YG_BUF(4096), .out = out};
		add(&tar, "a", '0', "", data, sizeof(data));
		add(&tar, "b", '0', "", data, sizeof(data));
		add(&tar, "c", '0', "", data, sizeof(data));
		end(&tar);
		int r = unpack(yg_buf_bytes(&tar), &rows[i].limits, false, &seen, &err);
		assert_int_equal(r, rows[i].want ? -1 : 0);
		if (rows[i].want) {
			assert_string_equal(err.msg, rows[i].want);
			assert_int_equal(err.code, YG_ELIMIT);
		} else {
			assert_int_equal(lseek(out, 0, SEEK_END), 3000);
		}
		yg_buf_free(&seen.names);
	}
}

/* gzip of "hello\n", which has no name inside. */
static const uint8_t hello[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
	0xe7, 2, 0, 0x20, 0x30, 0x3a, 0x36, 6, 0, 0, 0};

static void single(void **state)
{
	struct yg_err err = {0};
	char text[16] = {0};
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	struct seen seen = {.names = YG_BUF(4096), .out = out};
	struct yg_bytes bytes = {hello, sizeof(hello)};
	(void)state;
	if (unpack(bytes, &wide, true, &seen, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pread(out, text, sizeof(text), 0), 6);
	assert_string_equal(text, "hello\n");
	assert_int_equal(seen.names.len, 1); /* an empty name */
	assert_int_equal(unpack(bytes, &wide, false, &seen, &err), -1);
	assert_true(strncmp(err.msg, "archive: ", 9) == 0);
	bytes.len -= 10;
	assert_int_equal(unpack(bytes, &wide, true, &seen, &err), -1);
	yg_buf_free(&seen.names);
}

static void refused_by_caller(void **state)
{
	struct yg_err err = {0};
	struct seen seen = {.refuse = true, .out = -1};
	(void)state;
	assert_int_equal(unpack((struct yg_bytes){hello, sizeof(hello)}, &wide, true, &seen, &err),
		-1);
	assert_string_equal(err.msg, "not now");
}

static void kinds(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum yg_archive_kind want;
	} rows[] = {
		{"", 0, YG_ARCHIVE_NONE},
		{"\x1f", 1, YG_ARCHIVE_NONE},
		{"\x1f\x8b", 2, YG_ARCHIVE_PACKED},
		{"\xfd"
		 "7zXZ\0",
			6, YG_ARCHIVE_PACKED},
		{"\x28\xb5\x2f\xfd", 4, YG_ARCHIVE_PACKED},
		{"BZh9", 4, YG_ARCHIVE_PACKED},
		{"PK\x03\x04", 4, YG_ARCHIVE_MANY},
		{"Test.A:0:*:41\n", 14, YG_ARCHIVE_NONE},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		int fd YG_AUTO(fd) = yg_fs_memfd("x",
			(struct yg_bytes){(const uint8_t *)rows[i].bytes, rows[i].len}, &err);
		assert_true(lseek(fd, 0, SEEK_SET) == 0);
		assert_int_equal(yg_archive_kind(fd), rows[i].want);
		assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	}
	struct yg_err err = {0};
	struct yg_buf tar YG_AUTO(yg_buf) = YG_BUF(1u << 16);
	add(&tar, "a", '0', "", "", 0);
	int fd YG_AUTO(fd) = yg_fs_memfd("x", yg_buf_bytes(&tar), &err);
	assert_true(lseek(fd, 0, SEEK_SET) == 0);
	assert_int_equal(yg_archive_kind(fd), YG_ARCHIVE_MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(limits),
		cmocka_unit_test(single), cmocka_unit_test(refused_by_caller),
		cmocka_unit_test(kinds)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
