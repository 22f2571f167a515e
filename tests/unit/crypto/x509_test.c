/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "crypto/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/cmocka_all.h"
#include "../../lib/pki.h"

#define AGENT "urn:yagura:agent:11111111-2222-4333-8444-555555555555"
#define RELAY "urn:yagura:relay:11111111-2222-4333-8444-555555555555"
#define DAY   86400

static void test_issue(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct pki ca;
	pki_init(&ca, "Yagura CA");
	struct yg_x509_info info;
	assert_int_equal(yg_x509_read(yg_bytes_of(ca.cert), &info, &err), 0);
	assert_string_equal(info.subject, "CN=Yagura CA");
	assert_true(info.ca);
	assert_memory_equal(info.spki, ca.spki, 32);
	assert_true(info.not_after_s > yg_clock_now_s() + 3650ll * DAY);

	const enum yg_key_type types[] = {YG_KEY_ED25519, YG_KEY_ECDSA_P256, YG_KEY_RSA_PSS};
	for (size_t i = 0; i < YG_COUNT(types); i++) {
		struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(types[i], &err);
		char *csr YG_AUTO(mem) = NULL;
		char *cert YG_AUTO(mem) = NULL;
		char serial[YG_X509_SERIAL];
		assert_int_equal(yg_x509_make_csr(key, "i want to be admin", &csr, &err), 0);
		struct yg_x509_spec spec = {.cn = "agent, O=Evil",
			.uris = (const char *const[]){AGENT, RELAY, NULL},
			.dns = (const char *const[]){"host.example", NULL},
			.ips = (const char *const[]){"10.0.0.5", "fd00::5", NULL},
			.use = YG_X509_CLIENT | YG_X509_SERVER,
			.days = 90};
		assert_int_equal(yg_x509_issue(ca.key, ca.cert, csr, &spec, &cert, serial, &err),
			0);
		assert_int_equal(yg_x509_read(yg_bytes_of(cert), &info, &err), 0);
		assert_string_equal(info.subject, "CN=agent\\, O=Evil"); /* one name, escaped */
		assert_string_equal(info.issuer, "CN=Yagura CA");
		assert_string_equal(info.serial, serial);
		assert_int_equal(strlen(serial), 32);
		assert_int_equal(strspn(serial, "0123456789ABCDEF"), 32);
		assert_false(info.ca);
		assert_int_equal(info.uri_count, 2);
		assert_true(yg_x509_has_uri(&info, RELAY));
		assert_false(yg_x509_has_uri(&info, "urn:yagura:relay:1"));
		assert_string_equal(yg_x509_uri_after(&info, "urn:yagura:agent:"),
			"11111111-2222-4333-8444-555555555555");
		assert_null(yg_x509_uri_after(&info, "urn:yagura:manager:"));
		assert_int_equal(info.not_after_s - info.not_before_s, 90 * DAY);
		uint8_t spki[32];
		assert_int_equal(yg_key_spki(key, spki, &err), 0);
		assert_memory_equal(info.spki, spki, 32);
	}
	pki_done(&ca);
}

/* A request whose text was changed: its signature no longer holds. */
static void test_forged_request(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct pki ca;
	pki_init(&ca, "CA");
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ECDSA_P256, &err);
	char *csr YG_AUTO(mem) = NULL;
	assert_int_equal(yg_x509_make_csr(key, "AAAAAAAAAAAA", &csr, &err), 0);
	struct yg_x509_spec spec = {.cn = "x", .use = YG_X509_CLIENT, .days = 1};
	char *at = strstr(csr, "QUFBQU"); /* base64 of AAAA… */
	if (!at)
		at = strstr(csr, "FBQUFB");
	assert_non_null(at);
	at[0] = at[0] == 'Q' ? 'R' : 'G';
	char *cert = NULL;
	assert_int_equal(yg_x509_issue(ca.key, ca.cert, csr, &spec, &cert, NULL, &err), -1);
	assert_null(cert);
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_string_equal(err.msg, "certificate request: it is not signed by its own key");
	assert_int_equal(yg_x509_issue(ca.key, ca.cert, "junk", &spec, &cert, NULL, &err), -1);
	assert_int_equal(err.code, YG_EFORMAT);
	pki_done(&ca);
}

static void test_bad_specs(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct pki ca, other;
	pki_init(&ca, "CA");
	pki_init(&other, "Other");
	int64_t now = yg_clock_now_s();
	const struct {
		struct yg_x509_spec spec;
		const char *words;
	} cases[] = {
		{{.cn = "", .days = 1}, "common name: want 1..64 bytes of UTF-8"},
		{{.cn = "\xff", .days = 1}, "common name: want 1..64 bytes of UTF-8"},
		{{.cn = "x", .days = 0}, "days: want 1..3653, have 0"},
		{{.cn = "x", .days = 5000}, "days: want 1..3653, have 5000"},
		{{.cn = "x", .days = 1, .uris = (const char *const[]){"a b", NULL}},
			"alternative name 'a b'"},
		{{.cn = "x", .days = 1, .dns = (const char *const[]){"a,IP:1.2.3.4", NULL}},
			"alternative name 'a,"},
		{{.cn = "x", .days = 1, .ips = (const char *const[]){"10.0.0", NULL}},
			"alternative name '10.0.0'"},
		{{.cn = "x", .days = 9, .from_s = now + 4000ll * DAY},
			"the CA's certificate has ended"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		char *cert = NULL;
		if (yg_x509_make(ca.key, ca.cert, other.key, &cases[i].spec, &cert, NULL, &err) ==
			0)
			fail_msg("row %zu was accepted", i);
		if (strncmp(err.msg, cases[i].words, strlen(cases[i].words)) != 0)
			fail_msg("want '%s', have '%s'", cases[i].words, err.msg);
	}
	char *cert YG_AUTO(mem) = NULL;
	struct yg_x509_spec spec = {.cn = "x",
		.days = 3653,
		.use = YG_X509_SERVER,
		.from_s = now + 100ll * DAY};
	assert_int_equal(yg_x509_make(other.key, ca.cert, other.key, &spec, &cert, NULL, &err), -1);
	assert_string_equal(err.msg, "CA: the key does not belong to the certificate");
	assert_int_equal(yg_x509_make(ca.key, ca.cert, other.key, &spec, &cert, NULL, &err), 0);
	struct yg_x509_info info, ca_info;
	assert_int_equal(yg_x509_read(yg_bytes_of(cert), &info, &err), 0);
	assert_int_equal(yg_x509_read(yg_bytes_of(ca.cert), &ca_info, &err), 0);
	assert_int_equal(info.not_after_s, ca_info.not_after_s); /* never past the CA */
	pki_done(&ca);
	pki_done(&other);
}

static void test_read(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_x509_info info;
	const char *bad[] = {"", "junk", "0\x82",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	for (size_t i = 0; i < YG_COUNT(bad); i++) {
		assert_int_equal(yg_x509_read(yg_bytes_of(bad[i]), &info, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
	}
	struct pki a, b;
	pki_init(&a, "A");
	pki_init(&b, "B");
	char bundle[8192];
	(void)snprintf(bundle, sizeof(bundle), "# two\n%s\nbetween\n%s", a.cert, b.cert);
	size_t count = 0;
	assert_int_equal(yg_x509_count(yg_bytes_of(bundle), &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(yg_x509_count(yg_bytes_of(""), &count, &err), 0);
	assert_int_equal(count, 0);
	char *at = strstr(strstr(bundle, "between"), "MII");
	assert_non_null(at);
	at[0] = '!';
	assert_int_equal(yg_x509_count(yg_bytes_of(bundle), &count, &err), -1);
	assert_int_equal(strncmp(err.msg, "bundle: certificate 2: ", 23), 0);
	pki_done(&a);
	pki_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issue),
		cmocka_unit_test(test_forged_request),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
