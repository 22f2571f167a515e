/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "tests/lib/cmocka_all.h"

static const struct yg_opt opts[] = {
	{"net", "port", YG_OPT_INT, 1, 65535, "4122", "TCP port"},
	{"net", "host", YG_OPT_TEXT, 1, 16, NULL, "host name"},
	{"net", "on", YG_OPT_BOOL, 0, 0, "off", "whether to listen"},
	{"store", "dir", YG_OPT_PATH, 1, 0, "/var/lib/x", "where things are"},
	{"store", "level", YG_OPT_INT, -5, 5, "0", "a signed number"},
	{0},
};

static void values_come_from_presets_and_text(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(opts, &err);
	assert_non_null(conf);
	assert_int_equal(yg_conf_int(conf, "net", "port"), 4122);
	assert_null(yg_conf_text(conf, "net", "host"));
	assert_false(yg_conf_bool(conf, "net", "on"));

	const char *text = "# a comment\n\n [net] \r\nport=80\r\n host = a b # c \non = yes\n"
			   "[store]\nlevel = -3\n";
	assert_int_equal(yg_conf_parse(conf, "x.conf", yg_bytes_of(text), &err), 0);
	assert_int_equal(yg_conf_int(conf, "net", "port"), 80);
	assert_string_equal(yg_conf_text(conf, "net", "host"), "a b # c");
	assert_true(yg_conf_bool(conf, "net", "on"));
	assert_int_equal(yg_conf_int(conf, "store", "level"), -3);
	assert_string_equal(yg_conf_text(conf, "store", "dir"), "/var/lib/x");

	/* A second file goes over the first. */
	assert_int_equal(yg_conf_parse(conf, "y.conf", yg_bytes_of("[net]\nport = 81"), &err), 0);
	assert_int_equal(yg_conf_int(conf, "net", "port"), 81);
}

static void errors_name_file_and_line(void **unused)
{
	(void)unused;
	static const struct {
		const char *text;
		enum yg_code code;
		const char *want;
	} rows[] = {
		{"port = 1", YG_EFORMAT, "x.conf:1: 'port' stands before any [section]"},
		{"[net]\nprot = 1", YG_EFORMAT, "x.conf:2: unknown key 'prot' in [net]"},
		{"\n[nat]", YG_EFORMAT, "x.conf:2: unknown section [nat]"},
		{"[net", YG_EFORMAT, "x.conf:1: want [section], have '[net'"},
		{"[net]\nport", YG_EFORMAT, "x.conf:2: want key = value, have 'port'"},
		{"[net]\nport = 0", YG_EFORMAT, "x.conf:2: port: want 1..65535, have 0"},
		{"[net]\nport = x1", YG_EFORMAT, "x.conf:2: port: want a whole number, have 'x1'"},
		{"[net]\nport =", YG_EFORMAT, "x.conf:2: port: want a whole number, have ''"},
		{"[net]\nport = 99999999999999999999", YG_EFORMAT,
			"x.conf:2: port: want a whole number, have '99999999999999999999'"},
		{"[net]\non = maybe", YG_EFORMAT, "x.conf:2: on: want on or off, have 'maybe'"},
		{"[net]\nhost = 12345678901234567", YG_EFORMAT,
			"x.conf:2: host: want 1..16 bytes, have 17"},
		{"[store]\ndir =", YG_EFORMAT, "x.conf:2: dir: want 1..4096 bytes, have 0"},
		{"[net]\nport = 1\n\nport = 2", YG_EFORMAT,
			"x.conf:4: 'port' is set already in line 2"},
		{"[net]\nhost = \xff", YG_EFORMAT, "x.conf: not UTF-8 text"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(opts, &err);
		assert_non_null(conf);
		assert_int_equal(yg_conf_parse(conf, "x.conf", yg_bytes_of(rows[i].text), &err),
			-1);
		assert_string_equal(err.msg, rows[i].want);
		assert_int_equal(err.code, rows[i].code);
	}
}

static void too_long_and_absent_are_told_apart(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(opts, &err);
	static uint8_t big[YG_CONF_SIZE_MAX + 1];
	assert_int_equal(yg_conf_parse(conf, "x", (struct yg_bytes){big, sizeof(big)}, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_string_equal(err.msg, "x: want <= 262144 bytes, have 262145");
	assert_int_equal(yg_conf_load(conf, "/nonexistent/x.conf", &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	assert_string_equal(err.msg, "'/nonexistent/x.conf': no such file");
}

/* What --help-config prints is a configuration file itself, with all presets. */
static void help_is_a_file_that_loads(void **unused)
{
	(void)unused;
	char path[] = "/tmp/conf_test.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *out = fdopen(fd, "w");
	assert_non_null(out);
	yg_conf_help(opts, out);
	(void)fclose(out);
	struct yg_err err = {0};
	struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(opts, &err);
	assert_int_equal(yg_conf_load(conf, path, &err), 0);
	assert_int_equal(yg_conf_int(conf, "net", "port"), 4122);
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_from_presets_and_text),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(too_long_and_absent_are_told_apart),
		cmocka_unit_test(help_is_a_file_that_loads),
	};
	return cmocka_run_group_tests_name("core/conf", tests, NULL, NULL);
}
