/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/url.h"

#include <string.h>

#include "../../lib/cmocka_all.h"

static void test_parse(void **state)
{
	(void)state;
	const struct {
		const char *text;
		bool https, unchecked;
		const char *host;
		uint16_t port;
		const char *base;
	} cases[] = {
		{"https://relay:4122", true, false, "relay", 4122, "https://relay:4122"},
		{"https://relay:4122/", true, false, "relay", 4122, "https://relay:4122"},
		{"http://u.example/a/b", false, false, "u.example", 80, "http://u.example:80/a/b"},
		{"https://u.example/a//", true, true, "u.example", 443, "https://u.example:443/a"},
		{"https://u.example//", true, true, "u.example", 443, "https://u.example:443"},
		{"https://[fd00::5]:1/", true, false, "fd00::5", 1, "https://[fd00::5]:1"},
		{"http://10.0.0.5", false, false, "10.0.0.5", 80, "http://10.0.0.5:80"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_url url;
		struct yg_err err = {0};
		if (yg_url_parse(cases[i].text, &url, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.msg);
		assert_int_equal(url.https, cases[i].https);
		assert_int_equal(url.unchecked, cases[i].unchecked);
		assert_string_equal(url.host, cases[i].host);
		assert_int_equal(url.port, cases[i].port);
		assert_string_equal(url.base, cases[i].base);
	}
}

static void test_refuse(void **state)
{
	(void)state;
	const struct {
		const char *text, *words;
	} cases[] = {
		{"", "URL '': want http:// or https:// at its start"},
		{"relay:4122", "URL 'relay:4122': want http:// or https:// at its start"},
		{"file:///etc/passwd", "want http:// or https:// at its start"},
		{"https://", "URL 'https://': "},
		{"https://user:secret@relay/", "URL 'https://user:***@relay/': "},
		{"https://relay/?a=1", "want no '?' and no '#'"},
		{"https://relay/#x", "want no '?' and no '#'"},
		{"https://relay:0/", "want a port from 1 to 65535"},
		{"https://relay:99999/", "': "},
		{"https://re lay/", "want no spaces, control or non-ASCII characters"},
		{"https://re%6cay/", "want no '%' in the host"},
		{"https://a~b/", "the host has a character that host names do not have"},
		{"https://relay/\n", "want no spaces, control or non-ASCII characters"},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_url url;
		struct yg_err err = {0};
		assert_int_equal(yg_url_parse(cases[i].text, &url, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
		assert_string_equal(err.cause, "net.url");
		if (!strstr(err.msg, cases[i].words))
			fail_msg("%s: no '%s' in '%s'", cases[i].text, cases[i].words, err.msg);
	}
	char text[2000];
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	text[sizeof(text) - 1] = 0;
	struct yg_url url;
	struct yg_err err = {0};
	assert_int_equal(yg_url_parse(text, &url, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_string_equal(err.msg, "URL: want at most 1023 bytes");
}

static void test_join(void **state)
{
	(void)state;
	struct yg_url url;
	struct yg_err err = {0};
	char out[YG_URL_MAX];
	assert_int_equal(yg_url_parse("https://r/x/", &url, &err), 0);
	assert_int_equal(yg_url_join(&url, "metadata/1.root.json", out, &err), 0);
	assert_string_equal(out, "https://r:443/x/metadata/1.root.json");
	assert_int_equal(yg_url_join(&url, "../x", out, &err), -1);
	assert_string_equal(err.msg, "path '../x': not a plain relative path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_join),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
