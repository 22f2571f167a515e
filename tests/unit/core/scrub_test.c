/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define S43   "Abcdefghijklmnopqrstuvwxyz_-0123456789ABCDE"

static const struct {
	const char *name, *text, *want;
} rows[] = {
	{"an address with a password", "GET http://joe:pa:ss@proxy:3128/x failed",
		"GET http://joe:***@proxy:3128/x failed"},
	{"a password with signs",
		"http://joe:a,b@p http://joe:a;b)c'd@p:1/x 'http://joe:a?b#c@p' http://joe@p",
		"http://joe:***@p http://joe:***@p:1/x 'http://joe:***@p' http://***@p"},
	{"an address without a scheme", "relay = joe:a:b,c@proxy.example:3128\nsource = x",
		"relay = joe:***@proxy.example:3128\nsource = x"},
	{"one of a domain, in JSON", "{\"url\":\"DOM\\\\joe:geheim@[::1]:80\"}",
		"{\"url\":\"DOM\\\\joe:***@[::1]:80\"}"},
	{"what is none", "12:34:56 to:joe@host, am:12/a@b:80, x:y z@h:8, C:@h:80 a:b@:80 a:b@c:d",
		"12:34:56 to:joe@host, am:12/a@b:80, x:y z@h:8, C:@h:80 a:b@:80 a:b@c:d"},
	{"addresses in a list", "https://h:1/a@b,https://h:2/, (http://h) and joe@h; 'http://h:1'",
		"https://h:1/a@b,https://h:2/, (http://h) and joe@h; 'http://h:1'"},
	{"a password with a slash", "source = https://joe:ap/fel@1@host:1/x y, http://joe:/@h",
		"source = https://joe:***@host:1/x y, http://joe:*@h"},
	{"what is none of an address", "https://[::1]:80/a@b http://h:1/a@b 'http://a:b/c' x@y",
		"https://[::1]:80/a@b http://h:1/a@b 'http://a:b/c' x@y"},
	{"an address with a token for a user", "https://t0ken@host", "https://***@host"},
	{"an address without one", "https://host:4122/objects/a@b",
		"https://host:4122/objects/a@b"},
	{"a database", "postgresql://yagura:geheim@/yagura?host=/run",
		"postgresql://yagura:***@/yagura?host=/run"},
	{"an activation token", "token yg1." HEX64 "." S43 " used", "token yg1.*** used"},
	{"an API key", "key ygk_1a2b3c4d_" S43 ".", "key ygk_1a2b3c4d_***"},
	{"an API key behind an escape", "\\nygk_1a2b3c4d_" S43 "\\n", "\\nygk_1a2b3c4d_***\\n"},
	{"a word that begins like one", "ygk_short", "ygk_short"},
	{"a JSON web token", "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgN y",
		"x eyJ*** y"},
	{"a header", "Proxy-Authorization: Basic am9lOnBhc3M=\nVia: x",
		"Proxy-Authorization: ***\nVia: x"},
	{"a cookie", "set-cookie: a=b; c=d\r\n", "set-cookie: ***\r\n"},
	{"a scheme", "sent Bearer abcdefgh12345 to it", "sent Bearer *** to it"},
	{"a scheme of a proxy", "NTLM TlRMTVNTUAABAAAAB4IIogAAAAA=", "NTLM ***"},
	{"a sentence about one", "Basic authentication is off; Negotiate failed",
		"Basic authentication is off; Negotiate failed"},
	{"a line of configuration", "[proxy]\nrelay_password = two words\nrelay = x",
		"[proxy]\nrelay_password = ***\nrelay = x"},
	{"an empty one", "relay_password =\nrelay_user = joe",
		"relay_password =\nrelay_user = joe"},
	{"a pair in a line", "host=db password=geheim user=joe", "host=db password=*** user=joe"},
	{"a member", "{\"user\":\"joe\",\"password\":\"a\\\"b\",\"url\":\"x\"}",
		"{\"user\":\"joe\",\"password\":\"***\",\"url\":\"x\"}"},
	{"a member with spaces", "\"proxy_password\" : \"geheim\"", "\"proxy_password\" : \"***\""},
	{"a member that is empty", "\"password\":\"\",\"a\":1", "\"password\":\"\",\"a\":1"},
	{"a member that is nothing", "\"password\":null,\"a\":1", "\"password\":null,\"a\":1"},
	{"JSON in JSON", "{\"text\":\"{\\\"password\\\":\\\"geheim\\\"}\"}",
		"{\"text\":\"{\\\"password\\\":\\\"***\\\"}\"}"},
	{"a short one", "password=a", "password=*"},
	{"a query", "/x?token=abcdef&y=1", "/x?token=***&y=1"},
	{"a sentence about a token", "token: want 43 characters, have 2",
		"token: want 43 characters, have 2"},
	{"a line that names a service", "passwd:         files systemd",
		"passwd:         files systemd"},
	{"a word that is short for it", "a pwd=geheim passwd:x", "a pwd=*** passwd:*"},
	{"a private key",
		"a\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\nEE=\n-----END EC PRIVATE KEY-----\nb",
		"a\n-----BEGIN EC PRIVATE KEY-----***-----END EC PRIVATE KEY-----\nb"},
	{"a private key in JSON",
		"\"-----BEGIN PRIVATE KEY-----\\nMHc\\n-----END PRIVATE KEY-----\\n\"",
		"\"-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----\\n\""},
	{"a private key that is cut", "-----BEGIN PRIVATE KEY-----\nMHc",
		"-----BEGIN PRIVATE KEY-----***"},
	{"a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"},
	{"one that was told", "the word Zitrone9 in Zitrone9s and xZitrone9x",
		"the word *** in ***s and x***x"},
	{"one with signs that was told", "/a%2Fb+c=/x", "/***/x"},
	{"nothing", "2026-11-22T06:39:39Z store.recovered; 3 sets",
		"2026-11-22T06:39:39Z store.recovered; 3 sets"},
	{"Japanese", "パスワード password=秘密 です", "パスワード password=*** です"},
};

static void takes_secrets_out(void **state)
{
	(void)state;
	assert_true(yg_scrub_add("Zitrone9"));
	assert_true(yg_scrub_add("a%2Fb+c="));
	assert_true(yg_scrub_add("abc")); /* too short to be looked for */
	assert_true(yg_scrub_add(NULL));
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char *text YG_AUTO(mem) = strdup(rows[i].text);
		unsigned count = 0;
		text[yg_scrub(text, strlen(text), &count)] = 0;
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("%s: want %s\nhave %s", rows[i].name, rows[i].want, text);
		assert_int_equal(count > 0, strcmp(rows[i].text, rows[i].want) != 0);
		/* What was done is not done again. */
		text[yg_scrub(text, strlen(text), NULL)] = 0;
		assert_string_equal(text, rows[i].want);
	}
}

static void keeps_bytes_of_any_kind(void **state)
{
	(void)state;
	char text[] = "a\0b password=geheim\0c";
	size_t len = yg_scrub(text, sizeof(text) - 1, NULL);
	assert_int_equal(len, strlen("a") + 1 + strlen("b password=***") + 1 + strlen("c"));
	assert_memory_equal(text, "a\0b password=***\0c", len);
	assert_int_equal(yg_scrub(text, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_secrets_out),
		cmocka_unit_test(keeps_bytes_of_any_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
