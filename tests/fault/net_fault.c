/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Every allocation of our own code in crypto/ and net/ fails once (not those of libraries): the call that
 * it belongs to fails with a message, leaks nothing, and works again afterwards. The linker sends the
 * calls here (--wrap).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/cmocka_all.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "net/client.h"

static unsigned long left; /* allocations until one fails; 0: none does */

static bool strikes(void)
{
	if (left == 0 || --left > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t size)
{
	return strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return strikes() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
	return strikes() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
	return strikes() ? NULL : __real_strndup(text, n);
}

static int certificates(struct yg_err *err)
{
	struct yg_key *ca_key YG_AUTO(yg_key) = NULL;
	char *ca YG_AUTO(mem) = NULL;
	char *csr YG_AUTO(mem) = NULL;
	char *cert YG_AUTO(mem) = NULL;
	char *pem YG_AUTO(yg_secret) = NULL;
	char *text YG_AUTO(mem) = NULL;
	if (yg_x509_make_ca("CA", &ca_key, &ca, err) < 0)
		return -1;
	struct yg_key *key YG_AUTO(yg_key) = yg_key_generate(YG_KEY_ED25519, err);
	struct yg_x509_spec spec = {.cn = "x",
		.uris = (const char *const[]){"urn:yagura:agent:1", NULL},
		.use = YG_X509_CLIENT,
		.days = 1};
	if (!key || yg_x509_make_csr(key, "x", &csr, err) < 0 ||
		yg_x509_issue(ca_key, ca, csr, &spec, &cert, NULL, err) < 0 ||
		yg_key_save(key, "word", &pem, err) < 0)
		return -1;
	struct yg_key *again YG_AUTO(yg_key) = yg_key_load(yg_bytes_of(pem), "word", err);
	struct yg_public public;
	uint8_t signature[YG_SIGN_MAX];
	size_t len = 0;
	if (!again || yg_key_public(again, &public, &text, err) < 0 ||
		yg_sign_make(again, yg_bytes_of("t"), signature, &len, err) < 0)
		return -1;
	return yg_sign_verify(&public, yg_bytes_of("t"), (struct yg_bytes){signature, len}, err);
}

static int clients(struct yg_err *err)
{
	const struct yg_proxy proxy = {.url = "https://p:1", .user = "u", .password = "w"};
	const struct yg_tls tls = {.peer_uri = "urn:x", .peer_prefix = "urn:"};
	struct yg_client *client YG_AUTO(yg_client) = yg_client_new(NULL, &tls, &proxy, err);
	if (!client)
		return -1;
	struct yg_client_request request = {.url = "gopher://x/", .body = "{}", .max = 1};
	struct yg_client_reply reply = {0};
	struct yg_buf buf YG_AUTO(yg_buf) = YG_BUF(10);
	int rc = yg_client_text(client, &request, &buf, &reply, err);
	return rc < 0 && strcmp(err->cause, "net.url") == 0 ? 0 : -1; /* as far as it can get */
}

static void each_fails_once(int (*work)(struct yg_err *err), unsigned long least)
{
	struct yg_err err = {0};
	assert_int_equal(work(&err), 0);
	unsigned long n = 0;
	for (bool through = false; !through;) {
		err = (struct yg_err){0};
		left = ++n;
		int rc = work(&err);
		through = left > 0; /* it did not need that many */
		left = 0;
		if (!through && rc == 0)
			fail_msg("allocation %lu failed, and nobody noticed", n);
		if (rc < 0 && !err.msg[0])
			fail_msg("allocation %lu: failed without a word", n);
		err = (struct yg_err){0};
		if (work(&err) < 0)
			fail_msg("after allocation %lu: %s", n, err.msg);
	}
	assert_true(n > least);
}

static void test_certificates(void **state)
{
	(void)state;
	each_fails_once(certificates, 5);
}

static void test_clients(void **state)
{
	(void)state;
	each_fails_once(clients, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_clients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
