/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/verify_object.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/delta.h"
#include "core/fs.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

#define OLD_TEXT "a line that stays\na line that goes\nanother line that stays\n"
#define NEW_TEXT "a line that stays\nanother line that stays\na line that comes\n"

static int text_file(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static json_t *body_of(const struct yg_form *form, const char *plain)
{
	char sha256[YG_SHA256_TEXT];
	uint64_t size = 0;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = text_file(plain);
	assert_int_equal(yg_codec_hash(fd, sha256, &size, &err), 0);
	return json_pack("{s:s, s:s, s:I, s:s, s:I}", "encoding", yg_encoding_name(form->encoding),
		"sha256", form->sha256, "size", (json_int_t)form->size, "plain_sha256", sha256,
		"plain_size", (json_int_t)size);
}

static void holds(int fd, const char *want)
{
	char have[256] = "";
	assert_true(pread(fd, have, sizeof(have) - 1, 0) >= 0);
	assert_string_equal(have, want);
}

static void a_delta_is_made_from_the_third_descriptor(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_form form = {.encoding = YG_ENCODING_DELTA};
	int old YG_AUTO(fd) = text_file(OLD_TEXT);
	int other YG_AUTO(fd) = text_file(OLD_TEXT "and more\n");
	int new YG_AUTO(fd) = text_file(NEW_TEXT);
	int delta YG_AUTO(fd) = text_file("");
	assert_int_equal(yg_delta_encode(old, new, delta, 4096, &form, &err), 0);
	json_t *body YG_AUTO(yg_json) = body_of(&form, NEW_TEXT);

	int out YG_AUTO(fd) = text_file("");
	const int good[] = {delta, out, old};
	assert_int_equal(lseek(delta, 0, SEEK_SET), 0);
	if (verify_object_decode(body, good, 3, &err) < 0)
		fail_msg("%s", err.msg);
	holds(out, NEW_TEXT);

	/* Neither another old file nor another delta leads anywhere. */
	int out2 YG_AUTO(fd) = text_file("");
	const int bad[] = {delta, out2, other};
	assert_int_equal(lseek(delta, 0, SEEK_SET), 0);
	assert_int_equal(verify_object_decode(body, bad, 3, &err), -1);
	assert_string_equal(err.cause, "content.base");
	err = (struct yg_err){0};
	assert_int_equal(pwrite(delta, "x", 1, 0), 1);
	assert_int_equal(lseek(delta, 0, SEEK_SET), 0);
	assert_int_equal(verify_object_decode(body, good, 3, &err), -1);
	assert_string_equal(err.cause, "content.hash");

	err = (struct yg_err){0};
	assert_int_equal(verify_object_decode(body, good, 2, &err), -1);
	assert_string_equal(err.msg, "verify.object: want 3 descriptors, have 2");
}

static void a_whole_file_needs_no_other(void **state)
{
	(void)state;
	static const enum yg_encoding encodings[] = {YG_ENCODING_PLAIN, YG_ENCODING_ZSTD};
	for (size_t i = 0; i < YG_COUNT(encodings); i++) {
		struct yg_err err = {0};
		struct yg_form form = {0};
		char sha256[YG_SHA256_TEXT];
		uint64_t size = 0;
		int plain YG_AUTO(fd) = text_file(NEW_TEXT);
		int transfer YG_AUTO(fd) = text_file("");
		int out YG_AUTO(fd) = text_file("");
		assert_int_equal(yg_codec_encode(plain, transfer, encodings[i], 3, &form, sha256,
					 &size, &err),
			0);
		json_t *body YG_AUTO(yg_json) = body_of(&form, NEW_TEXT);
		const int fds[] = {transfer, out, plain};
		assert_int_equal(lseek(transfer, 0, SEEK_SET), 0);
		if (verify_object_decode(body, fds, 2, &err) < 0)
			fail_msg("%s", err.msg);
		holds(out, NEW_TEXT);
		assert_int_equal(verify_object_decode(body, fds, 3, &err), -1);
		assert_string_equal(err.msg, "verify.object: want 2 descriptors, have 3");
	}
}

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_request_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value; /* JSON text */
		const char *says;
	} rows[] = {
		{"encoding", "\"xz\"", "verify.object: "},
		{"encoding", "7", "verify.object: encoding: "},
		{"sha256", "\"abc\"", "verify.object: sha256: want 64 digits, have 3"},
		{"plain_sha256", "\"\"", "verify.object: plain_sha256: want 64 digits, have 0"},
		{"size", "-1", "verify.object: size: "},
		{"size", "\"1\"", "verify.object: size: "},
		{"plain_size", "4294967297", "verify.object: plain_size: "},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *body YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:i, s:s, s:i}", "encoding",
			"plain", "sha256", DIGEST, "size", 1, "plain_sha256", DIGEST, "plain_size",
			1);
		json_t *value = json_loads(rows[i].value, JSON_DECODE_ANY, NULL);
		assert_int_equal(json_object_set_new(body, rows[i].key, value), 0);
		const int fds[] = {-1, -1};
		assert_int_equal(verify_object_decode(body, fds, 2, &err), -1);
		if (strncmp(err.msg, rows[i].says, strlen(rows[i].says)) != 0)
			fail_msg("%s: %s: %s", rows[i].key, rows[i].value, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delta_is_made_from_the_third_descriptor),
		cmocka_unit_test(a_whole_file_needs_no_other),
		cmocka_unit_test(a_request_that_makes_no_sense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
