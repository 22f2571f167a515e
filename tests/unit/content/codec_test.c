/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/codec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

/* A file in memory with `len` bytes that compress well, but not to nothing. */
static int make(size_t len)
{
	struct yg_err err = {0};
	int fd = memfd_create("plain", MFD_CLOEXEC);
	uint8_t *data YG_AUTO(mem) = malloc(len + 1);
	uint32_t x = 1;
	assert_true(fd >= 0 && data);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (uint8_t)("0123456789abcdef"[x >> 28]);
	}
	assert_int_equal(yg_fs_write_all(fd, data, len, &err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int empty(void)
{
	int fd = memfd_create("out", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

struct object {
	int fd;
	struct yg_form form;
	char sha256[YG_SHA256_TEXT];
	uint64_t size;
};

static void encode(struct object *object, size_t len, enum yg_encoding encoding)
{
	struct yg_err err = {0};
	int in YG_AUTO(fd) = make(len);
	object->fd = empty();
	assert_int_equal(yg_codec_encode(in, object->fd, encoding, 9, &object->form, object->sha256,
				 &object->size, &err),
		0);
	assert_int_equal(object->size, len);
	assert_int_equal(lseek(object->fd, 0, SEEK_SET), 0);
}

static void round_trip(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 131071, 131072, 131073, 3000000};
	for (size_t i = 0; i < 2 * YG_COUNT(sizes); i++) {
		struct object object;
		struct yg_err err = {0};
		struct stat at;
		size_t len = sizes[i / 2];
		encode(&object, len, i % 2 ? YG_ENCODING_ZSTD : YG_ENCODING_PLAIN);
		int out YG_AUTO(fd) = empty();
		if (yg_codec_decode(object.fd, out, &object.form, object.sha256, object.size,
			    &err) != 0)
			fail_msg("%zu: %s", len, err.msg);
		assert_int_equal(fstat(out, &at), 0);
		assert_int_equal(at.st_size, len);
		assert_int_equal(lseek(out, 0, SEEK_SET), 0);
		char hash[YG_SHA256_TEXT];
		uint64_t size;
		assert_int_equal(yg_codec_hash(out, hash, &size, &err), 0);
		assert_string_equal(hash, object.sha256);
		if (i % 2 && len > 1000000)
			assert_true(object.form.size < len * 3 / 4);
		close(object.fd);
	}
}

static void longer(struct object *object)
{
	assert_true(lseek(object->fd, 0, SEEK_END) > 0);
	assert_int_equal(write(object->fd, "x", 1), 1);
}

static void longer_and_said(struct object *object)
{
	longer(object);
	object->form.size++;
}

static void shorter(struct object *object)
{
	assert_int_equal(ftruncate(object->fd, (off_t)object->form.size - 1), 0);
}

static void flipped(struct object *object)
{
	uint8_t byte;
	assert_int_equal(pread(object->fd, &byte, 1, (off_t)object->form.size - 1), 1);
	byte ^= 1;
	assert_int_equal(pwrite(object->fd, &byte, 1, (off_t)object->form.size - 1), 1);
}

static void not_zstd(struct object *object)
{
	assert_int_equal(pwrite(object->fd, "<html>", 6, 0), 6);
}

/* State size and hash of what the object now is. */
static void vouch(struct object *object)
{
	struct yg_err err = {0};
	assert_int_equal(lseek(object->fd, 0, SEEK_SET), 0);
	assert_int_equal(yg_codec_hash(object->fd, object->form.sha256, &object->form.size, &err),
		0);
}

static void longer_and_vouched(struct object *object)
{
	longer(object);
	vouch(object);
}

static void shorter_and_vouched(struct object *object)
{
	shorter(object);
	vouch(object);
}

static void not_zstd_and_vouched(struct object *object)
{
	not_zstd(object);
	vouch(object);
}

static void other_plain_hash(struct object *object)
{
	object->sha256[0] = object->sha256[0] == '0' ? '1' : '0';
}

static void plain_too_large(struct object *object)
{
	object->size -= 1; /* the bomb: more comes out than was promised */
}

static void plain_too_small(struct object *object)
{
	object->size += 1;
}

static const struct {
	const char *name;
	enum yg_encoding encoding;
	void (*change)(struct object *object);
	enum yg_code code;
	const char *cause, *msg;
} rows[] = {
	{"a longer file", YG_ENCODING_PLAIN, longer, YG_EUNTRUSTED, "content.size",
		"transferred bytes: want 300000, have more"},
	{"a shorter file", YG_ENCODING_PLAIN, shorter, YG_EUNTRUSTED, "content.size",
		"transferred bytes: want 300000, have 299999"},
	{"a changed file", YG_ENCODING_PLAIN, flipped, YG_EUNTRUSTED, "content.hash",
		"transferred bytes: sha256: want "},
	{"a longer object", YG_ENCODING_ZSTD, longer, YG_EUNTRUSTED, "content.size",
		"transferred bytes: want "},
	{"a byte after the frame", YG_ENCODING_ZSTD, longer_and_said, YG_EUNTRUSTED, "content.hash",
		"transferred bytes: sha256: want "},
	{"a byte after the frame, vouched for", YG_ENCODING_ZSTD, longer_and_vouched, YG_EFORMAT,
		"content.format", "zstd: want one frame, have bytes after it"},
	{"a cut object", YG_ENCODING_ZSTD, shorter, YG_EUNTRUSTED, "content.size",
		"transferred bytes: want "},
	{"a cut object, vouched for", YG_ENCODING_ZSTD, shorter_and_vouched, YG_EFORMAT,
		"content.format", "zstd: ends in the middle of a frame"},
	{"a block page", YG_ENCODING_ZSTD, not_zstd, YG_EUNTRUSTED, "content.hash",
		"transferred bytes: sha256: want "},
	{"a block page, vouched for", YG_ENCODING_ZSTD, not_zstd_and_vouched, YG_EFORMAT,
		"content.format", "zstd: "},
	{"another plain hash", YG_ENCODING_ZSTD, other_plain_hash, YG_EUNTRUSTED, "content.hash",
		"plain bytes: sha256: want "},
	{"more than promised", YG_ENCODING_ZSTD, plain_too_large, YG_EUNTRUSTED, "content.size",
		"plain bytes: want 299999, have more"},
	{"less than promised", YG_ENCODING_ZSTD, plain_too_small, YG_EUNTRUSTED, "content.size",
		"plain bytes: want 300001, have 300000"},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct object object;
		struct yg_err err = {0};
		struct stat at;
		encode(&object, 300000, rows[i].encoding);
		rows[i].change(&object);
		assert_int_equal(lseek(object.fd, 0, SEEK_SET), 0);
		int out YG_AUTO(fd) = empty();
		int r = yg_codec_decode(object.fd, out, &object.form, object.sha256, object.size,
			&err);
		if (r != -1 || err.code != rows[i].code || strcmp(err.cause, rows[i].cause) != 0 ||
			strncmp(err.msg, rows[i].msg, strlen(rows[i].msg)) != 0)
			fail_msg("%s: %d, code %d, '%s', '%s'", rows[i].name, r, (int)err.code,
				err.cause, err.msg);
		assert_int_equal(fstat(out, &at), 0);
		assert_true((uint64_t)at.st_size <= object.size);
		if (strncmp(rows[i].msg, "transferred ", 12) == 0)
			assert_int_equal(at.st_size, 0); /* nothing of it was decoded */
		close(object.fd);
	}
}

/* A frame header that asks for a window of 128 MiB: refused before memory is taken. */
static void window(void **state)
{
	(void)state;
	static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00};
	struct yg_err err = {0};
	int in YG_AUTO(fd) = empty();
	int out YG_AUTO(fd) = empty();
	assert_int_equal(yg_fs_write_all(in, frame, sizeof(frame), &err), 0);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	struct object object = {.fd = in, .form = {.encoding = YG_ENCODING_ZSTD}};
	vouch(&object);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	assert_int_equal(yg_codec_decode(in, out, &object.form, "", 0, &err), -1);
	assert_string_equal(err.cause, "content.format");
}

static void unzstd(void **state)
{
	(void)state;
	struct object object;
	struct yg_err err = {0};
	encode(&object, 200000, YG_ENCODING_ZSTD);
	int out YG_AUTO(fd) = empty();
	assert_int_equal(yg_codec_unzstd(object.fd, out, 199999, &err), -1);
	assert_string_equal(err.msg, "want <= 199999 bytes, have more");
	/* Several frames one after another are one file, as the zstd tool has it. */
	struct yg_buf frame YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	struct stat at;
	assert_int_equal(yg_fs_read_fd(object.fd, &frame, &err), 0);
	assert_true(lseek(object.fd, 0, SEEK_END) > 0);
	assert_int_equal(yg_fs_write_all(object.fd, frame.data, frame.len, &err), 0);
	assert_int_equal(lseek(object.fd, 0, SEEK_SET), 0);
	assert_int_equal(ftruncate(out, 0), 0);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_int_equal(yg_codec_unzstd(object.fd, out, 400000, &err), 0);
	assert_int_equal(fstat(out, &at), 0);
	assert_int_equal(at.st_size, 400000);
	close(object.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refusals),
		cmocka_unit_test(window),
		cmocka_unit_test(unzstd),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
