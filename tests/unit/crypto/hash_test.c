/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/cmocka_all.h"
#include "core/str.h"
#include "crypto/random.h"
#include "crypto/secret.h"

/* source  FIPS 180-4 examples (NIST) */
static const struct {
	const char *text, *hex;
} vectors[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_vectors(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_hash *hash YG_AUTO(yg_hash) = yg_hash_new(&err);
	assert_non_null(hash);
	for (size_t i = 0; i < YG_COUNT(vectors); i++) {
		char hex[YG_HASH_TEXT];
		assert_int_equal(yg_hash_text(yg_bytes_of(vectors[i].text), hex, &err), 0);
		assert_string_equal(hex, vectors[i].hex);
		uint8_t raw[YG_HASH_SIZE];
		for (const char *at = vectors[i].text; *at; at++)
			yg_hash_add(hash, at, 1);
		yg_hash_end(hash, raw); /* and it starts again */
		yg_str_hex(raw, sizeof(raw), hex);
		assert_string_equal(hex, vectors[i].hex);
	}
}

/* source  FIPS 180-4, examples */
static void test_512(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char hex[YG_HASH_512_TEXT];
	assert_int_equal(yg_hash_512_text(yg_bytes_of("abc"), hex, &err), 0);
	assert_string_equal(hex,
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	assert_int_equal(yg_hash_512_text(yg_bytes_of(""), hex, &err), 0);
	assert_int_equal(strncmp(hex, "cf83e1357eefb8bd", 16), 0);
}

static void test_file(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = memfd_create("x", 0);
	const size_t size = 1000000; /* a million times "a" */
	char *data YG_AUTO(mem) = malloc(size);
	memset(data, 'a', size);
	assert_int_equal(write(fd, data, size), size);
	uint8_t raw[YG_HASH_SIZE];
	uint64_t have = 0;
	char hex[YG_HASH_TEXT];
	assert_int_equal(yg_hash_fd(fd, raw, &have, &err), 0);
	assert_int_equal(have, size);
	yg_str_hex(raw, sizeof(raw), hex);
	assert_string_equal(hex,
		"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	assert_int_equal(lseek(fd, 0, SEEK_CUR), size);
	assert_int_equal(yg_hash_fd(-1, raw, NULL, &err), -1);
	assert_string_equal(err.msg, "hashing at byte 0: Bad file descriptor");
}

static void test_random(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char a[YG_UUID_TEXT], b[YG_UUID_TEXT];
	assert_int_equal(yg_random_uuid(a, &err), 0);
	assert_int_equal(yg_random_uuid(b, &err), 0);
	assert_string_not_equal(a, b);
	assert_true(yg_random_uuid_ok(a));
	assert_int_equal(a[14], '4');
	const char *bad[] = {"", "11111111-2222-4333-8444-55555555555",
		"11111111-2222-4333-8444-5555555555555", "11111111-2222-4333-8444-55555555555A",
		"111111112222-4333-8444-555555555555-"};
	for (size_t i = 0; i < YG_COUNT(bad); i++)
		assert_false(yg_random_uuid_ok(bad[i]));
	for (size_t size = 0; size < 40; size++) {
		char text[YG_RANDOM_TOKEN(40)];
		memset(text, 'x', sizeof(text));
		assert_int_equal(yg_random_token(text, size, &err), 0);
		assert_int_equal(strlen(text), YG_RANDOM_TOKEN(size) - 1);
	}
}

static void test_secret(void **state)
{
	(void)state;
	assert_true(yg_secret_equal_text("abc", "abc"));
	assert_false(yg_secret_equal_text("abc", "abd"));
	assert_false(yg_secret_equal_text("abc", "ab"));
	assert_true(yg_secret_equal("a", "b", 0));
	char data[4] = "abc";
	yg_secret_wipe(data, sizeof(data));
	assert_memory_equal(data, "\0\0\0", 4);
	yg_secret_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_512),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
