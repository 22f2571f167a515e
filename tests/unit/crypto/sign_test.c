/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/sign.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/str.h"
#include "crypto/secret.h"

static size_t unhex(const char *hex, uint8_t *out)
{
	struct yg_err err = {0};
	size_t len = strlen(hex) / 2;
	assert_int_equal(yg_str_unhex("hex", hex, out, len, &err), 0);
	return len;
}

/* source  RFC 8032, 7.1, tests 1 to 3 */
static void test_ed25519_vectors(void **state)
{
	(void)state;
	const struct {
		const char *key, *text, *signature;
	} cases[] = {
		{"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
			"c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
			"458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
			"ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		uint8_t text[8], signature[64];
		struct yg_err err = {0};
		struct yg_public key = {"ed25519", "ed25519", cases[i].key};
		size_t len = unhex(cases[i].text, text);
		size_t n = unhex(cases[i].signature, signature);
		assert_int_equal(yg_sign_verify(&key, (struct yg_bytes){text, len},
					 (struct yg_bytes){signature, n}, &err),
			0);
		signature[3] ^= 1;
		assert_int_equal(yg_sign_verify(&key, (struct yg_bytes){text, len},
					 (struct yg_bytes){signature, n}, &err),
			-1);
		assert_int_equal(err.code, YG_EUNTRUSTED);
		assert_string_equal(err.msg, "the signature does not fit the key and the text");
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	const struct {
		enum yg_key_type type;
		const char *keytype, *scheme;
	} cases[] = {
		{YG_KEY_ED25519, "ed25519", "ed25519"},
		{YG_KEY_ECDSA_P256, "ecdsa", "ecdsa-sha2-nistp256"},
		{YG_KEY_RSA_PSS, "rsa", "rsassa-pss-sha256"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(cases[i].type, &err);
		assert_non_null(key);
		char *pem YG_AUTO(yg_secret) = NULL;
		char *sealed YG_AUTO(yg_secret) = NULL;
		assert_int_equal(yg_key_save(key, NULL, &pem, &err), 0);
		assert_int_equal(yg_key_save(key, "open sesame", &sealed, &err), 0);
		assert_non_null(strstr(pem, "-----BEGIN PRIVATE KEY-----"));
		assert_non_null(strstr(sealed, "-----BEGIN ENCRYPTED PRIVATE KEY-----"));
		struct yg_key *again YG_AUTO(
			yg_key) = yg_key_load(yg_bytes_of(sealed), "open sesame", &err);
		assert_non_null(again);
		assert_int_equal(yg_key_type(again), cases[i].type);
		assert_null(yg_key_load(yg_bytes_of(sealed), "wrong", &err));
		assert_string_equal(err.msg, "key: the passphrase does not open it");
		assert_null(yg_key_load(yg_bytes_of(sealed), NULL, &err));
		assert_string_equal(err.msg, "key: it is encrypted, and no passphrase was given");

		struct yg_public public;
		char *text YG_AUTO(mem) = NULL;
		assert_int_equal(yg_key_public(key, &public, &text, &err), 0);
		assert_string_equal(public.keytype, cases[i].keytype);
		assert_string_equal(public.scheme, cases[i].scheme);
		uint8_t signature[YG_SIGN_MAX];
		size_t len = 0;
		assert_int_equal(yg_sign_make(again, yg_bytes_of("text"), signature, &len, &err),
			0);
		struct yg_bytes bytes = {signature, len};
		assert_int_equal(yg_sign_verify(&public, yg_bytes_of("text"), bytes, &err), 0);
		assert_int_equal(yg_sign_verify(&public, yg_bytes_of("Text"), bytes, &err), -1);
		assert_int_equal(err.code, YG_EUNTRUSTED);
		bytes.len--;
		assert_int_equal(yg_sign_verify(&public, yg_bytes_of("text"), bytes, &err), -1);
		assert_int_equal(err.code, YG_EUNTRUSTED);
		bytes.len = 0;
		assert_int_equal(yg_sign_verify(&public, yg_bytes_of("text"), bytes, &err), -1);
		assert_int_equal(err.code, YG_EUNTRUSTED);
	}
}

/* One key has one hash, however its text is broken into lines; two keys have two. */
static void test_key_hash(void **state)
{
	(void)state;
	static const enum yg_key_type types[] = {YG_KEY_ED25519, YG_KEY_ECDSA_P256, YG_KEY_RSA_PSS};
	uint8_t last[32] = {0};
	for (size_t i = 0; i < YG_COUNT(types); i++) {
		struct yg_err err = {0};
		struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(types[i], &err);
		assert_non_null(key);
		struct yg_public public;
		char *text YG_AUTO(mem) = NULL;
		uint8_t one[32], two[32], spki[32];
		assert_int_equal(yg_key_public(key, &public, &text, &err), 0);
		assert_int_equal(yg_sign_key_hash(&public, one, &err), 0);
		assert_int_equal(yg_key_spki(key, spki, &err), 0);
		assert_memory_equal(one, spki, sizeof(one));
		char *other YG_AUTO(mem) = yg_str_format("%s%s", text,
			types[i] == YG_KEY_ED25519 ? "" : "\n\n");
		public.text = other;
		assert_int_equal(yg_sign_key_hash(&public, two, &err), 0);
		assert_memory_equal(one, two, sizeof(one));
		assert_memory_not_equal(one, last, sizeof(one));
		memcpy(last, one, sizeof(last));
		public.text = "none";
		assert_int_equal(yg_sign_key_hash(&public, two, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
	}
}

static void test_bad_keys(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_key *p256 YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	struct yg_public good;
	char *pem YG_AUTO(mem) = NULL;
	assert_int_equal(yg_key_public(p256, &good, &pem, &err), 0);
	const struct {
		struct yg_public key;
		const char *words;
	} cases[] = {
		{{"ed25519", "ed25519", "00"}, "public key: want 64 digits, have 2"},
		{{"ed25519", "rsa", "00"},
			"public key: keytype 'ed25519' with scheme 'rsa' is not known"},
		{{"rsa", "rsassa-pss-sha256", pem},
			"public key: the PEM holds another kind than its scheme"},
		{{"rsa", "rsassa-pss-sha256", "junk"}, "public key: want PEM: "},
		{{"ecdsa", "ecdsa-sha2-nistp256", ""}, "public key: want PEM: "},
		{{"", "", ""}, "public key: keytype '' with scheme '' is not known"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		assert_int_equal(yg_sign_verify(&cases[i].key, yg_bytes_of("t"), yg_bytes_of("s"),
					 &err),
			-1);
		assert_int_equal(err.code, YG_EFORMAT);
		if (strncmp(err.msg, cases[i].words, strlen(cases[i].words)) != 0)
			fail_msg("want '%s', have '%s'", cases[i].words, err.msg);
	}
	assert_null(yg_key_load(yg_bytes_of("junk"), NULL, &err));
	assert_int_equal(err.code, YG_EFORMAT);
	char *large YG_AUTO(mem) = calloc(1, YG_KEY_PEM_MAX + 2);
	memset(large, 'x', YG_KEY_PEM_MAX + 1);
	assert_null(yg_key_load(yg_bytes_of(large), NULL, &err));
	assert_int_equal(err.code, YG_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ed25519_vectors),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_key_hash),
		cmocka_unit_test(test_bad_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
