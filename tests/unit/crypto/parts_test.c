/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/parts.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/str.h"

/* The generator of P-256. source  SEC 2, 2.4.2; SP 800-186, 3.2.1.3 */
#define G                                                                                          \
	"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"                       \
	"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define ED "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" /* RFC 8032, 7.1 */

static size_t unhex(const char *hex, uint8_t *out)
{
	struct yg_err err = {0};
	size_t len = strlen(hex) / 2;
	assert_int_equal(yg_str_unhex("hex", hex, out, len, &err), 0);
	return len;
}

static void test_points(void **state)
{
	(void)state;
	const struct {
		enum yg_key_type type;
		const char *point, *keytype, *message; /* message NULL: it is a key */
	} cases[] = {
		{YG_KEY_ED25519, ED, "ed25519", NULL},
		{YG_KEY_ECDSA_P256, G, "ecdsa", NULL},
		{YG_KEY_ED25519, "00", NULL, "public key: want a point of 32 bytes, have 1"},
		{YG_KEY_ED25519, ED "00", NULL, "public key: want a point of 32 bytes, have 33"},
		{YG_KEY_ECDSA_P256, ED, NULL, "public key: want a point of 65 bytes, have 32"},
		{YG_KEY_ECDSA_P256, G "00", NULL, "public key: want a point of 65 bytes, have 66"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		uint8_t point[80];
		struct yg_err err = {0};
		struct yg_public public;
		char *text YG_AUTO(mem) = NULL;
		const struct yg_parts parts = {.type = cases[i].type,
			.point = {point, unhex(cases[i].point, point)}};
		int bad = yg_parts_public(&parts, &public, &text, &err);
		assert_int_equal(bad, cases[i].message ? -1 : 0);
		if (cases[i].message)
			assert_string_equal(err.msg, cases[i].message);
		else
			assert_string_equal(public.keytype, cases[i].keytype);
	}
}

static void test_a_point_off_the_curve_is_no_key(void **state)
{
	(void)state;
	uint8_t point[65];
	struct yg_err err = {0};
	struct yg_public public;
	char *text YG_AUTO(mem) = NULL;
	const struct yg_parts parts = {.type = YG_KEY_ECDSA_P256,
		.point = {point, unhex(G, point)}};
	point[64] ^= 1;
	assert_int_equal(yg_parts_public(&parts, &public, &text, &err), -1);
	assert_int_equal(err.code, YG_EFORMAT);
	assert_int_equal(strncmp(err.msg, "public key", 10), 0);
}

static void test_rsa_sizes(void **state)
{
	(void)state;
	static uint8_t n[600];
	memset(n, 0xc5, sizeof(n));
	const uint8_t e[9] = {1, 0, 1};
	const struct {
		size_t n, e;
		const char *message;
	} cases[] = {
		{256, 3, NULL},
		{512, 3, NULL},
		{0, 3, "public key: want a modulus of <= 512 bytes and an exponent of <= 8, have 0 and 3"},
		{513, 3,
			"public key: want a modulus of <= 512 bytes and an exponent of <= 8, have 513 and 3"},
		{256, 9,
			"public key: want a modulus of <= 512 bytes and an exponent of <= 8, have 256 and 9"},
		{128, 3, "key: want RSA of 2048..4096 bits, have 1024"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_public public;
		char *text YG_AUTO(mem) = NULL;
		const struct yg_parts parts = {.type = YG_KEY_RSA_PSS,
			.n = {n, cases[i].n},
			.e = {e, cases[i].e}};
		assert_int_equal(yg_parts_public(&parts, &public, &text, &err),
			cases[i].message ? -1 : 0);
		if (cases[i].message)
			assert_string_equal(err.msg, cases[i].message);
	}
}

/* r and s come without a sign and in full length; DER has them shortest, and positive. */
static void test_ecdsa_becomes_der(void **state)
{
	(void)state;
	uint8_t both[64] = {0}, out[YG_SIGN_MAX];
	char hex[2 * YG_SIGN_MAX + 1];
	size_t len = 0;
	struct yg_err err = {0};
	both[31] = 1;
	both[62] = 0x80;
	assert_int_equal(yg_parts_ecdsa((struct yg_bytes){both, 64}, out, &len, &err), 0);
	yg_str_hex(out, len, hex);
	assert_string_equal(hex, "30080201010203008000");
	assert_int_equal(yg_parts_ecdsa((struct yg_bytes){both, 63}, out, &len, &err), -1);
	assert_string_equal(err.msg, "signature: want 64 bytes, have 63");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_a_point_off_the_curve_is_no_key),
		cmocka_unit_test(test_rsa_sizes),
		cmocka_unit_test(test_ecdsa_becomes_der),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
