/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"
#include "publisher/feed/columns.h"
#include "publisher/feed/feed.h"
#include "tests/lib/cmocka_all.h"

#define MD5    "d41d8cd98f00b204e9800998ecf8427e"
#define SHA1   "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int note(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	return yg_str_addf(ctx, err, "%llu %.*s|%.*s%s%s\n", (unsigned long long)entry->line,
		(int)entry->key.len, (const char *)entry->key.ptr, (int)entry->text.len,
		(const char *)entry->text.ptr, entry->extension ? " > " : "",
		entry->extension ? entry->extension : "");
}

/* What comes out: a line an entry, "LINE KEY|TEXT > EXTENSION", or the error. */
static void reads(const struct feed_format *format, const char *name, bool strict, bool addresses,
	struct yg_bytes text, const char *want)
{
	struct yg_err err = {0};
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	const struct feed_reader reader = {name, strict, addresses, note, &out};
	int r = format->read(&reader, text, &err);
	if (r == 0)
		assert_int_equal(yg_buf_add(&out, "", 1, &err), 0);
	const char *have = r == 0 ? (const char *)out.data : err.msg;
	if (r < 0 ? strncmp(have, want, strlen(want)) != 0 : strcmp(have, want) != 0)
		fail_msg("%s of '%.*s':\nwant '%s'\nhave '%s'", name, (int)text.len,
			(const char *)text.ptr, want, have);
}

struct row {
	const char *name, *text, *want;
};

static void all(const struct feed_format *format, const struct row *rows, size_t count, bool strict)
{
	for (size_t i = 0; i < count; i++)
		reads(format, rows[i].name, strict, false, yg_bytes_of(rows[i].text), rows[i].want);
}

static void clamav(void **state)
{
	static const struct row rows[] = {
		{"a.ndb",
			"\xef\xbb\xbf"
			"Test.A:0:*:41\r\n\n# x\nTest.B:0:*:42",
			"1 Test.A|Test.A:0:*:41\n4 Test.B|Test.B:0:*:42\n"},
		{"a.ndb", "Test.A:0:*:41:1:2:3\n", "line 1: want 6 or fewer fields, have 7"},
		{"a.ndb", ":0:*:41\n", "line 1: want a name, have none"},
		{"a.hdb", MD5 ":68:Test.A\n", "1 Test.A|" MD5 ":68:Test.A\n"},
		{"a.hsb", SHA256 ":*:Test.A:73\n", "1 Test.A|" SHA256 ":*:Test.A:73\n"},
		{"a.hsb", SHA256 ":*:Test.A:72\n", "line 1: a hash without a size wants"},
		{"a.hdb", MD5 ":-1:Test.A\n", "line 1: want a size or '*', have '-1'"},
		{"a.hdb", MD5 ":99999999999999999999:Test.A\n", "line 1: want a size or '*'"},
		{"a.fp", "d41:68:Test.A\n",
			"line 1: want a hash of 32, 40 or 64 hex digits, have 'd41'"},
		{"a.mdb", "512:" MD5 ":Test.A\n", "1 Test.A|512:" MD5 ":Test.A\n"},
		{"a.msb", MD5 ":512:Test.A\n", "line 1: want a hash of 32, 40 or 64 hex digits"},
		{"a.ldb", "Test.A;Target:0;0;41;42\n", "1 Test.A|Test.A;Target:0;0;41;42\n"},
		{"a.ldb", "Test.A;Target:0;0\n", "line 1: want 4 or more fields, have 3"},
		{"a.db", "Test.A=4141\n", "1 Test.A|Test.A=4141\n"},
		{"a.ign2", "Test.A\n", "1 Test.A|Test.A\n"},
		{"a.wdb", "M:a.example:b.example\n",
			"1 M:a.example:b.example|M:a.example:b.example\n"},
		{"a.ftm", "0:0:4141:ZIP:CL_TYPE_ANY:CL_TYPE_ZIP\n",
			"1 ZIP|0:0:4141:ZIP:CL_TYPE_ANY:CL_TYPE_ZIP\n"},
		{"a.exe", "x\n", "no database of ClamAV that is made of lines"},
	};
	static const struct row lax[] = {
		{"a.ndb", "broken\n", "1 broken|broken\n"},
		{"a.hdb", "a:b\n", "1 a:b|a:b\n"},
	};
	(void)state;
	all(&feed_clamav, rows, YG_COUNT(rows), true);
	all(&feed_clamav, lax, YG_COUNT(lax), false);
	reads(&feed_clamav, "a.ndb", true, false, (struct yg_bytes){(const uint8_t *)"A:0:*:\0", 7},
		"line 1: want text, have a NUL byte");
}

static void yara(void **state)
{
	static const struct row rows[] = {
		{"a.yar",
			"rule A { condition: true }\nglobal private rule B : t u\n{\ncondition: true }",
			"1 A|rule A { condition: true }\n"
			"2 B|global private rule B : t u\n{\ncondition: true }\n"},
		{"a.yar",
			"// rule X {\n/* rule Y {\n */ rule A { strings: $a = \"}\\\"\" condition: $a }",
			"3 A|rule A { strings: $a = \"}\\\"\" condition: $a }\n"},
		{"a.yar", "rule A { strings: $a = /}\\/}/i condition: $a }",
			"1 A|rule A { strings: $a = /}\\/}/i condition: $a }\n"},
		{"a.yar", "import \"pe\"\n", ""},
		{"a.yar", "rule 1A { }", "line 1: want a name of a rule, have none"},
		{"a.yar", "rule", "line 1: want a name of a rule, have none"},
		{"a.yar", "rule A\nrule B { }", "line 1: rule 'A': want '{' and '}' around it"},
		{"a.yar", "\n{ }", "line 2: want 'rule NAME' before '{', have none"},
		{"a.yar", "rule A { strings: $a = /x",
			"line 1: want an end of this regular expression"},
		{"a.yar", "rule A {} rule A {}", "line 1: rule 'A' is there twice"},
	};
	static const struct row lax[] = {
		{"a.yar", "rule A {} rule A {}", "1 A|rule A {}\n1 A|rule A {}\n"},
		{"a.yar", "rule A {}\nrule B {", "1 rule A {}|rule A {}\n2 rule B {|rule B {\n"},
	};
	(void)state;
	all(&feed_yara, rows, YG_COUNT(rows), true);
	all(&feed_yara, lax, YG_COUNT(lax), false);
}

static void suricata(void **state)
{
#define HEAD "alert tcp $A any -> [1.2.3.4, !$B] 80 "
	static const struct row rows[] = {
		{"a.rules", HEAD "(sid:1; rev:2;)", "1 sid 1|" HEAD "(sid:1; rev:2;)\n"},
		{"a.rules", "#off\n" HEAD "(gid:3; sid:1; rev:2;)\n",
			"2 sid 3:1|" HEAD "(gid:3; sid:1; rev:2;)\n"},
		{"a.rules", HEAD "\\\n (sid:1; \\\n rev:2;)\n\n",
			"1 sid 1|" HEAD "(sid:1; rev:2;)\n"},
		{"a.rules", HEAD "(msg:\"a;b\"; pcre:\"/x\\;\\\"/\"; sid:1; rev:2;)",
			"1 sid 1|" HEAD "(msg:\"a;b\"; pcre:\"/x\\;\\\"/\"; sid:1; rev:2;)\n"},
		{"a.rules", HEAD "(sid:1; sid:2; rev:2;)",
			"line 1: sid: want it once, have it twice"},
		{"a.rules", HEAD "(sid:0; rev:2;)", "line 1: sid: want a number, have '0'"},
		{"a.rules", HEAD "(sid:4294967296; rev:2;)", "line 1: sid: want a number"},
		{"a.rules", "drop t$p any any -> any any (sid:1; rev:1;)",
			"line 1: want a protocol, have 't$p'"},
		{"a.rules", "alert tcp [any any -> any any (sid:1; rev:1;)",
			"line 1: want action, protocol, address"},
		{"a.rules", HEAD "x (sid:1; rev:1;)",
			"line 1: want action, protocol, address, port, direction, address, port before '(', "
			"have 7 and more"},
		{"a.rules", "(sid:1; rev:1;)", "line 1: want an action"},
	};
	static const struct row lax[] = {{"a.rules", "nonsense\n", "1 nonsense|nonsense\n"}};
	(void)state;
	all(&feed_suricata, rows, YG_COUNT(rows), true);
	all(&feed_suricata, lax, YG_COUNT(lax), false);
}

static void ossec(void **state)
{
	static const struct row rows[] = {
		{"a.xml", "<group>\n<rule id=\"7\" level=\"3\"><a/></rule></group>",
			"2 rule 7|<rule id=\"7\" level=\"3\"><a/></rule>\n"},
		{"a.xml", "<?xml version='1.0'?><decoder name=\"d\"/><decoder name=\"d\"/>",
			"1 decoder d|<decoder name=\"d\"/>\n1 decoder d|<decoder name=\"d\"/>\n"},
		{"a.xml", "<rule id=\"7\" level=\"0\" overwrite=\"yes\"/>",
			"1 rule 7 (overwrites)|<rule id=\"7\" level=\"0\" overwrite=\"yes\"/>\n"},
		{"a.xml", "", ""},
		{"a.xml", "</yagura><rule/><yagura>", "line 1: junk after document element"},
		{"a.xml", "<rule id=\"7\"/>", "line 1: rule 7: level: want 0..16, have ''"},
	};
	static const struct row lax[] = {{"a.xml", "<a>\n<b>", "1 <a>|<a>\n2 <b>|<b>\n"}};
	char deep[1024] = "";
	(void)state;
	all(&feed_ossec, rows, YG_COUNT(rows), true);
	all(&feed_ossec, lax, YG_COUNT(lax), false);
	for (size_t i = 0; i < 40; i++)
		memcpy(deep + 3 * i, "<a>", 4);
	reads(&feed_ossec, "a.xml", true, false, yg_bytes_of(deep),
		"line 1: want <= 32 levels, have more");
}

static void hashes(void **state)
{
	static const struct row rows[] = {
		{"my list.txt", "# x\n" SHA256 "\n",
			"2 my_list.e3b0c44298fc|" SHA256 ":*:my_list.e3b0c44298fc:73 > hsb\n"},
		{"a", "D41D8CD98F00B204E9800998ECF8427E *x y.exe\n",
			"1 a.d41d8cd98f00|" MD5 ":*:a.d41d8cd98f00:73 > hdb\n"},
		{"a.csv", "file_size;family;md5\n12;Emo tet;" MD5 "\n",
			"2 Emo_tet|" MD5 ":12:Emo_tet > hdb\n"},
		{"a.csv", "md5,sha1,sha256\n" MD5 "," SHA1 "," SHA256 "\n",
			"2 a.e3b0c44298fc|" SHA256 ":*:a.e3b0c44298fc:73 > hsb\n"},
		{"a.csv", "md5,sha1\n" MD5 "," SHA1 "\n" MD5 ",\n",
			"2 a.da39a3ee5e6b|" SHA1 ":*:a.da39a3ee5e6b:73 > hsb\n"
			"3 a.d41d8cd98f00|" MD5 ":*:a.d41d8cd98f00:73 > hdb\n"},
		{"a.csv", "# \"md5\",\"signature\"\n" MD5 ",\"n/a\"\n" MD5 ",\"A\"\"B\"\n",
			"2 a.d41d8cd98f00|" MD5 ":*:a.d41d8cd98f00:73 > hdb\n"
			"3 A_B|" MD5 ":*:A_B:73 > hdb\n"},
		{"a.csv", "x,md5\n1," MD5 "\n2," MD5 "\n3,\"" MD5 "\n",
			"line 4: want a quote at the end of a value, have none"},
		{"a.txt", MD5 "\nnone\n", "line 2: want an MD5, SHA-1 or SHA-256, have 'none'"},
		{"a.txt", MD5 "0\n", "line 1: want an MD5, SHA-1 or SHA-256"},
		{"a.txt", "", ""},
	};
	(void)state;
	all(&feed_hash, rows, YG_COUNT(rows), true);
}

/* One value, and how it is published; NULL: it is not. */
static void list_values(void **state)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{".example.com", "*.example.com"},
		{"*.example.com", "*.example.com"},
		{"b\xc3\xbc"
		 "cher.example",
			"xn--bcher-kva.example"},
		{"\xe6\x97\xa5\xe6\x9c\xac.example", "xn--wgv71a.example"},
		{"\xff\xfe.example", NULL},
		{"_dmarc.example", "_dmarc.example"},
		{"localhost", NULL},
		{"a..example", NULL},
		{"example.-com", NULL},
		{"example.123", NULL},
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.001", NULL},
		{"192.0.2.99/24", "192.0.2.0/24"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"192.0.2.1/33", NULL},
		{"192.0.2.1/", NULL},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8:0:0::1", "2001:db8::1"},
		{"2001:db8:ffff::/33", "2001:db8:8000::/33"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"2001:db8::/129", NULL},
		{"http://Example.com", "http://example.com/"},
		{"HTTPS://Example.com:0443/A?b=C#d", "https://example.com:443/A?b=C#d"},
		{"http://example.com?x", "http://example.com/?x"},
		{"http://user:pw@example.com/", "http://user:pw@example.com/"},
		{"http://192.0.2.1:80/x", "http://192.0.2.1:80/x"},
		{"http://[2001:DB8::1]:80/", "http://[2001:db8::1]:80/"},
		{"http://[192.0.2.1]/", NULL},
		{"http://2001:db8::1/", NULL},
		{"http://example.com:0/", NULL},
		{"http://example.com:65536/", NULL},
		{"http:///x", NULL},
		{"://example.com", NULL},
		{"http://example.com/\xc3\xbc", "http://example.com/%C3%BC"},
		{"example.com/login", "example.com/login"},
		{"/login", NULL},
		{"||ads.example^", "ads.example"},
		{"||ads.example^$third-party", NULL},
		{"@@||ads.example^", NULL},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char want[512];
		(void)snprintf(want, sizeof(want), "1 %s|%s > list\n", rows[i].want, rows[i].want);
		reads(&feed_list, "a.txt", true, false, yg_bytes_of(rows[i].value),
			rows[i].want ? want
				     : "line 1: want an address, a network, a domain or a URL");
	}
}

static void lists(void **state)
{
	static const struct row rows[] = {
		{"hosts",
			"127.0.0.1\tlocalhost localhost.localdomain\n0.0.0.0 a.example  b.example #c\n",
			"2 a.example|a.example > list\n2 b.example|b.example > list\n"},
		{"a.txt", "! x\n[Adblock Plus 2.0]\n// y\n; z\na.example # w\n",
			"5 a.example|a.example > list\n"},
		{"a.csv", "id\tname\n1\ta.example\n2\tb.example\n",
			"2 a.example|a.example > list\n3 b.example|b.example > list\n"},
		{"a.csv", "1,a.example,192.0.2.1,http://a.example/x\n",
			"1 http://a.example/x|http://a.example/x > list\n"},
		{"a.csv", "a.example,1\nb.example,2\nc,3\n", "line 3: want an address"},
		{"a.txt", "a.example b.example\n", "line 1: want an address"},
	};
	(void)state;
	all(&feed_list, rows, YG_COUNT(rows), true);
	reads(&feed_list, "a.csv", true, true, yg_bytes_of("host,ip\na.example,192.0.2.1\n"),
		"2 192.0.2.1|192.0.2.1 > list\n");
	reads(&feed_list, "a.txt", true, true, yg_bytes_of("a.example\n"),
		"line 1: want an address or a network, have 'a.example'");
}

static void which(void **state)
{
	static const struct {
		const char *component, *name;
		const struct feed_format *want;
	} rows[] = {
		{"am-pattern", "daily.ndb", &feed_clamav},
		{"am-pattern", "a.yar", &feed_yara},
		{"am-pattern", "COPYING", NULL},
		{"am-pattern", "daily.info", NULL},
		{"am-pattern", "a.cbc", NULL},
		{"am-yara", "a.yara", &feed_yara},
		{"am-yara", "a.ndb", NULL},
		{"am-hash", "a.hsb", &feed_clamav},
		{"am-hash", "a.csv", &feed_hash},
		{"am-hash", "hashes", &feed_hash},
		{"am-hash", "a.ndb", NULL},
		{"wr-list", "hosts", &feed_list},
		{"wr-list", "README.md", NULL},
		{"fw-list", "drop.txt", &feed_list},
		{"ips-rules", "a.rules", &feed_suricata},
		{"ips-rules", "sid-msg.map", &feed_lines},
		{"ips-rules", "LICENSE", NULL},
		{"li-rules", "a.xml", &feed_ossec},
		{"im-rules", "a.yaml", &feed_lines},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++)
		assert_ptr_equal(feed_of_source(rows[i].component, rows[i].name), rows[i].want);
	assert_ptr_equal(feed_of_content("a.ldb"), &feed_clamav);
	assert_ptr_equal(feed_of_content("a.list"), &feed_lines);
	assert_ptr_equal(feed_named("ossec"), &feed_ossec);
	assert_null(feed_named("nothing"));
}

/* Exact, also when many have one slot. */
static void seen(void **state)
{
	struct feed_seen table YG_AUTO(feed_seen) = {0};
	struct yg_err err = {0};
	static char texts[5000][8];
	size_t old = 0;
	(void)state;
	for (size_t i = 0; i < YG_COUNT(texts); i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%zu", i);
		assert_int_equal(feed_seen_add(&table, yg_bytes_of(texts[i]), &old, &err), 0);
	}
	for (size_t i = 0; i < YG_COUNT(texts); i++) {
		assert_int_equal(feed_seen_add(&table, yg_bytes_of(texts[i]), &old, &err), 1);
		assert_int_equal(old, i);
	}
	assert_int_equal(table.count, YG_COUNT(texts));
}

static int stop(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	(void)ctx;
	(void)entry;
	return yg_fail(err, YG_ELIMIT, "stop");
}

/* An error of who takes is the reader's. */
static void stopped(void **state)
{
	static const struct {
		const struct feed_format *format;
		const char *name, *text;
	} rows[] = {
		{&feed_clamav, "a.ndb", "A:0:*:41\n"},
		{&feed_yara, "a.yar", "rule A {}"},
		{&feed_suricata, "a.rules", "alert ip any any -> any any (sid:1; rev:1;)"},
		{&feed_ossec, "a.xml", "<rule id=\"1\" level=\"1\"/><rule id=\"2\" level=\"1\"/>"},
		{&feed_hash, "a", MD5},
		{&feed_list, "a", "a.example"},
		{&feed_lines, "a", "x"},
		{&feed_hash, "a", "x," MD5},
		{&feed_list, "a", "x,a.example"},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		const struct feed_reader reader = {.name = rows[i].name,
			.strict = true,
			.take = stop};
		assert_int_equal(rows[i].format->read(&reader, yg_bytes_of(rows[i].text), &err),
			-1);
		assert_string_equal(err.msg, "stop");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clamav),
		cmocka_unit_test(yara),
		cmocka_unit_test(suricata),
		cmocka_unit_test(ossec),
		cmocka_unit_test(hashes),
		cmocka_unit_test(list_values),
		cmocka_unit_test(lists),
		cmocka_unit_test(which),
		cmocka_unit_test(seen),
		cmocka_unit_test(stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
