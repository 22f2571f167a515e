/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "core/fs.h"
#include "core/str.h"
#include "crypto/token.h"

static void test_seal(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char dir[] = "/tmp/yagura-seal-test.XXXXXX";
	assert_non_null(mkdtemp(dir));
	int fd YG_AUTO(fd) = yg_fs_open_dir(AT_FDCWD, dir, &err);
	struct yg_seal *seal YG_AUTO(yg_seal) = yg_seal_make(fd, "master.key", &err);
	struct yg_seal *again YG_AUTO(yg_seal) = yg_seal_make(fd, "master.key", &err);
	struct yg_seal *other YG_AUTO(yg_seal) = yg_seal_make(fd, "other.key", &err);
	assert_non_null(seal);
	assert_non_null(again);
	assert_non_null(other);
	struct stat about;
	assert_int_equal(fstatat(fd, "master.key", &about, 0), 0);
	assert_int_equal(about.st_mode & 0777, 0600);
	assert_int_equal(about.st_size, 32);

	const char *texts[] = {"", "x", "a longer secret than one block of the cipher"};
	for (size_t i = 0; i < YG_COUNT(texts); i++) {
		struct yg_buf sealed YG_AUTO(yg_buf) = YG_BUF(1000);
		struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(1000);
		struct yg_bytes place = yg_bytes_of("settings/x");
		assert_int_equal(yg_seal_put(seal, yg_bytes_of(texts[i]), place, &sealed, &err), 0);
		assert_int_equal(sealed.len, strlen(texts[i]) + YG_SEAL_EXTRA);
		assert_int_equal(yg_seal_get(again, yg_buf_bytes(&sealed), place, &plain, &err), 0);
		assert_int_equal(plain.len, strlen(texts[i]));
		if (plain.len)
			assert_memory_equal(plain.data, texts[i], plain.len);
		const struct {
			const struct yg_seal *seal;
			const char *place;
		} cases[] = {{other, "settings/x"}, {seal, "settings/y"}, {seal, ""}};
		for (size_t k = 0; k < YG_COUNT(cases); k++) {
			assert_int_equal(yg_seal_get(cases[k].seal, yg_buf_bytes(&sealed),
						 yg_bytes_of(cases[k].place), &plain, &err),
				-1);
			assert_int_equal(err.code, YG_EUNTRUSTED);
			assert_string_equal(err.msg,
				"sealed value: it was sealed with another key or for another place, or changed");
		}
		for (size_t at = 1; at < sealed.len; at++) {
			sealed.data[at] ^= 0x40;
			assert_int_equal(yg_seal_get(seal, yg_buf_bytes(&sealed), place, &plain,
						 &err),
				-1);
			assert_int_equal(err.code, YG_EUNTRUSTED);
			sealed.data[at] ^= 0x40;
		}
		sealed.data[0] = 2;
		assert_int_equal(yg_seal_get(seal, yg_buf_bytes(&sealed), place, &plain, &err), -1);
		assert_string_equal(err.msg, "sealed value: want form 1, have 2");
		assert_int_equal(plain.len, strlen(texts[i]));
		sealed.len = 28;
		assert_int_equal(yg_seal_get(seal, yg_buf_bytes(&sealed), place, &plain, &err), -1);
		assert_string_equal(err.msg, "sealed value: want at least 29 bytes, have 28");
	}
	assert_int_equal(yg_fs_replace(fd, "master.key", yg_bytes_of("short"), 0600, &err), 0);
	assert_null(yg_seal_make(fd, "master.key", &err));
	assert_string_equal(err.msg, "master key: want 32 bytes, have 5");
	assert_int_equal(yg_fs_remove(AT_FDCWD, dir, &err), 0);
}

static void test_token(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint8_t spki[32];
	memset(spki, 0xab, sizeof(spki));
	char text[YG_TOKEN_TEXT];
	struct yg_token token;
	assert_int_equal(yg_token_make(spki, text, &err), 0);
	assert_int_equal(strlen(text), YG_TOKEN_TEXT - 1);
	assert_int_equal(yg_token_parse(text, &token, &err), 0);
	assert_memory_equal(token.ca_spki, spki, 32);
	assert_int_equal(strlen(token.secret), 43);
	const struct {
		size_t at;
		char with;
		const char *msg;
	} cases[] = {
		{0, 'Y', "token: want \"yg1.\" at its start"},
		{4, 'G', "token: CA key: not lower-case hex at digit 0"},
		{68, 'x', "token: want a '.' after the CA key's hash"},
		{70, '=', "token: the secret has a character outside base64url"},
		{100, 0, "token: want 112 characters, have 100"},
		{3, 0, "token: want \"yg1.\" at its start"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		char bad[YG_TOKEN_TEXT];
		memcpy(bad, text, sizeof(bad));
		bad[cases[i].at] = cases[i].with;
		assert_int_equal(yg_token_parse(bad, &token, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
		assert_string_equal(err.msg, cases[i].msg);
	}
	char longer[YG_TOKEN_TEXT + 10];
	(void)snprintf(longer, sizeof(longer), "%sxyz", text);
	assert_int_equal(yg_token_parse(longer, &token, &err), -1);
	assert_string_equal(err.msg, "token: want 112 characters, have at least 113");
}

/* A key of the master key's making: always the same for one purpose, another one for another. */
static void test_derive(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint8_t master[YG_SEAL_KEY];
	memset(master, 7, sizeof(master));
	int fd YG_AUTO(fd) = yg_fs_memfd("master", (struct yg_bytes){master, sizeof(master)}, &err);
	uint8_t one[YG_SEAL_KEY];
	uint8_t two[YG_SEAL_KEY];
	uint8_t other[YG_SEAL_KEY];
	char hex[2 * YG_SEAL_KEY + 1];
	assert_int_equal(yg_seal_derive(fd, "settings", one, &err), 0);
	assert_int_equal(yg_seal_derive(fd, "settings", two, &err), 0);
	assert_int_equal(yg_seal_derive(fd, "something else", other, &err), 0);
	assert_memory_equal(one, two, sizeof(one));
	assert_memory_not_equal(one, other, sizeof(one));
	assert_memory_not_equal(one, master, sizeof(one));
	yg_str_hex(one, sizeof(one), hex);
	assert_string_equal(hex,
		"49ab8c7a4a9d453053cd014a4a31172ed86c764f638a9375afabd92a8a69ca7e");

	int empty YG_AUTO(fd) = yg_fs_memfd("none", (struct yg_bytes){master, 5}, &err);
	assert_int_equal(yg_seal_derive(empty, "settings", one, &err), -1);
	assert_string_equal(err.msg, "master key: want 32 bytes, have 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_derive),
		cmocka_unit_test(test_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
