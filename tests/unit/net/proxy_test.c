/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/proxy.h"

#include <string.h>

#include "../../lib/cmocka_all.h"
#include "core/attr.h"

static void test_good(void **state)
{
	(void)state;
	static const struct {
		const char *text, *url, *host;
		uint16_t port;
		bool http, https, names;
		const char *user, *password;
	} rows[] = {
		{"http://proxy:3128", "http://proxy:3128", "proxy", 3128, true, false, true, "",
			""},
		{"http://proxy:3128/", "http://proxy:3128", "proxy", 3128, true, false, true, "",
			""},
		{"proxy:8080", "http://proxy:8080", "proxy", 8080, true, false, true, "", ""},
		{"https://[fd00::1]:443", "https://[fd00::1]:443", "fd00::1", 443, true, true, true,
			"", ""},
		{"socks5://10.0.0.1:1080", "socks5://10.0.0.1:1080", "10.0.0.1", 1080, false, false,
			false, "", ""},
		{"socks5h://p:1080", "socks5h://p:1080", "p", 1080, false, false, true, "", ""},
		{"http://user%40corp:pa%3Ass@proxy:80", "http://proxy:80", "proxy", 80, true, false,
			true, "user@corp", "pa:ss"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_proxy_at at;
		if (yg_proxy_parse(rows[i].text, &at, &err) < 0)
			fail_msg("%s: %s", rows[i].text, err.msg);
		assert_string_equal(at.url, rows[i].url);
		assert_string_equal(at.host, rows[i].host);
		assert_int_equal(at.port, rows[i].port);
		assert_int_equal(at.http, rows[i].http);
		assert_int_equal(at.https, rows[i].https);
		assert_int_equal(at.names, rows[i].names);
		assert_string_equal(at.user, rows[i].user);
		assert_string_equal(at.password, rows[i].password);
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const char kinds[] = "want http://, https://, socks5:// or socks5h://";
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{"http://u:hidden@proxy", "want its port, as in http://proxy.example.com:3128"},
		{"http://proxy:0", "want its port"},
		{"socks4://u:hidden@proxy:1", kinds},
		{"file:///etc/passwd", ""},
		{"http://pro xy:1", "want no spaces, control or non-ASCII characters"},
		{"http://u:hidden\n@proxy:1", "want no spaces"},
		{"", ""},
		{"http://u:hidden@:1", ""},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_proxy_at at = {.port = 7};
		if (yg_proxy_parse(rows[i].text, &at, &err) == 0)
			fail_msg("'%s': taken", rows[i].text);
		assert_string_equal(err.cause, "proxy.url");
		assert_int_equal(err.code, YG_EFORMAT);
		assert_int_equal(at.port, 7);
		if (!strstr(err.msg, rows[i].msg) || strstr(err.msg, "hidden"))
			fail_msg("'%s': %s", rows[i].text, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
