/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/lines.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/fs.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* What comes out of files of any coding, whole and in pieces of any size. */

static int take(void *ctx, const char *line, size_t len, struct yg_err *err)
{
	assert_true(yg_str_utf8_ok(line, len));
	assert_int_equal(strlen(line), len);
	struct yg_buf *out = ctx;
	return yg_buf_add(out, line, len, err) < 0 ? -1 : yg_buf_add(out, "|", 1, err);
}

#define ROW(name, bytes, want)                                                                     \
	{                                                                                          \
		name, bytes, sizeof(bytes) - 1, want                                               \
	}

static const struct {
	const char *name, *bytes;
	size_t len;
	const char *want;
} rows[] = {
	ROW("nothing", "", ""),
	ROW("lines", "a\nb\r\n\nc", "a|b||c|"),
	ROW("UTF-8", "\xe3\x82\xa4\n", "イ|"),
	ROW("UTF-8 with a mark", "\xef\xbb\xbf\xe3\x82\xa4\n", "イ|"),
	ROW("UTF-16 with a mark",
		"\xff\xfe"
		"a\0\xa4\x30\r\0\n\0b\0",
		"aイ|b|"),
	ROW("UTF-16, the other order", "\xfe\xff\0a\x30\xa4\0\r\0\n\0b", "aイ|b|"),
	ROW("UTF-16 without a mark", "a\0b\0c\0d\0\n\0", "abcd|"),
	ROW("a letter of two units", "\xff\xfe\x3d\xd8\x00\xde\n\0", "😀|"),
	ROW("half of such a letter",
		"\xff\xfe\x3d\xd8"
		"a\0\x00\xde\n\0",
		"?a?|"),
	ROW("Shift_JIS", "\x83\x43\x83\x78\n", "イベ|"),
	ROW("neither",
		"a\xff\xfe"
		"b\n",
		"a??b|"),
	ROW("control characters", "a\x1b[31mb\x07\x7f\n", "a [31mb  |"),
	ROW("zero bytes", "abcdefgh\0ijk\n", "abcdefgh ijk|"),
};

static void codings(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		for (size_t piece = rows[i].len; piece > 0; piece = piece > 4 ? piece / 2 : 0) {
			struct yg_err err = {0};
			struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
			struct yg_lines *lines YG_AUTO(yg_lines) = yg_lines_new(take, &out, &err);
			for (size_t at = 0; at < rows[i].len; at += piece)
				assert_int_equal(yg_lines_add(lines,
							 (const uint8_t *)rows[i].bytes + at,
							 rows[i].len - at < piece ? rows[i].len - at
										  : piece,
							 &err),
					0);
			assert_int_equal(yg_lines_end(lines, &err), 0);
			assert_int_equal(yg_buf_add(&out, "", 1, &err), 0);
			if (strcmp((const char *)out.data, rows[i].want) != 0)
				fail_msg("%s, pieces of %zu: want '%s', have '%s'", rows[i].name,
					piece, rows[i].want, (const char *)out.data);
		}
	}
}

/* Called for each line of a long file: only counts. */
struct counted {
	uint64_t lines, longest;
};

static int count(void *ctx, const char *line, size_t len, struct yg_err *err)
{
	struct counted *counted = ctx;
	(void)line;
	(void)err;
	counted->lines++;
	if (len > counted->longest)
		counted->longest = len;
	return 0;
}

static int memory_file(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* A line without an end, and more than is read. */
static void limits(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct counted counted = {0};
	bool whole = true;
	int fd YG_AUTO(fd) = memory_file();
	char block[4096];
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 64; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	assert_int_equal(write(fd, "\nend\n", 5), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	struct yg_lines *lines YG_AUTO(yg_lines) = yg_lines_new(count, &counted, &err);
	assert_int_equal(yg_lines_read(lines, fd, 1 << 30, &whole, &err), 0);
	assert_true(whole);
	assert_int_equal(counted.lines, 2);
	assert_int_equal(counted.longest, YG_LINES_BYTES_MAX);

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	struct counted some = {0};
	struct yg_lines *again YG_AUTO(yg_lines) = yg_lines_new(count, &some, &err);
	assert_int_equal(yg_lines_read(again, fd, 1000, &whole, &err), 0);
	assert_false(whole);
	assert_int_equal(some.longest, 1000);
}

/* Rotated logs. */
static void packed(void **state)
{
	(void)state;
	static const char *const tools[] = {"gzip -c", "zstd -q -c", "xz -c"};
	for (size_t i = 0; i < YG_COUNT(tools); i++) {
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4096);
		bool whole = false;
		char path[] = "/tmp/yagura-lines-XXXXXX";
		int fd YG_AUTO(fd) = mkostemp(path, O_CLOEXEC);
		assert_true(fd >= 0);
		char *command YG_AUTO(
			mem) = yg_str_format("printf 'one\\ntwo\\n' | %s > %s", tools[i], path);
		int made = system(command); /* NOLINT: a test's own words */
		(void)unlink(path);
		if (made != 0)
			continue; /* that tool is not here */
		struct yg_lines *lines YG_AUTO(yg_lines) = yg_lines_new(take, &out, &err);
		assert_int_equal(yg_lines_read(lines, fd, 1 << 20, &whole, &err), 0);
		assert_int_equal(yg_buf_add(&out, "", 1, &err), 0);
		assert_string_equal((const char *)out.data, "one|two|");

		/* Cut in the middle. */
		assert_int_equal(ftruncate(fd, 12), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		struct counted some = {0};
		struct yg_lines *cut YG_AUTO(yg_lines) = yg_lines_new(count, &some, &err);
		assert_int_equal(yg_lines_read(cut, fd, 1 << 20, &whole, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codings),
		cmocka_unit_test(limits),
		cmocka_unit_test(packed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
