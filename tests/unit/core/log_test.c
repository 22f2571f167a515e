/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/log.h"

#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/ring.h"
#include "core/scrub.h"
#include "tests/lib/cmocka_all.h"

static char root[64];
static int dir = -1, ring = -1, out = -1, before = -1;

/* stderr is a file of ours while a test runs. */
static int setup(void **state)
{
	(void)state;
	struct yg_err err = {0};
	strncpy(root, "/tmp/yagura-log-XXXXXX", sizeof(root) - 1);
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ring = yg_ring_file(dir, "a.ring", &err);
	out = openat(dir, "stderr", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	before = dup(STDERR_FILENO);
	yg_log_init("test/one", YG_LOG_INFO);
	return ring < 0 || dup2(out, STDERR_FILENO) < 0 || yg_log_ring(ring, &err) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)dup2(before, STDERR_FILENO);
	(void)close(out);
	(void)close(ring);
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, root, &err);
}

static void expect(struct yg_buf *have, const char *pattern)
{
	struct yg_err err = {0};
	regex_t regex;
	assert_int_equal(yg_buf_add(have, "", 1, &err), 0);
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&regex, (const char *)have->data, 0, NULL, 0) != 0)
		fail_msg("want %s\nhave %s", pattern, have->data);
	regfree(&regex);
}

#define STAMP "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\\.[0-9]{6}Z [0-9]+ "

static void lines_by_level(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_true(yg_scrub_add("geheim99"));
	yg_log(YG_LOG_WARN, "a.b", "with\na \033\xc2\x9b and http://u:geheim99@h");
	yg_log(YG_LOG_DEBUG, "a.c", "not %s", "said");
	yg_log_level_set(YG_LOG_DEBUG);
	yg_log(YG_LOG_DEBUG, "a.d", "said");
	yg_log(YG_LOG_TRACE, "a.e", "kept");
	yg_log_level_set(YG_LOG_ERROR);
	yg_log(YG_LOG_WARN, "a.f", "kept: geheim99");

	struct yg_buf said YG_AUTO(yg_buf) = YG_BUF(65536);
	struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(65536);
	assert_int_equal(yg_fs_read_fd(out, &said, &err), 0);
	assert_int_equal(yg_ring_read(ring, &kept, &err), 0);
	expect(&said,
		"^<4>test/one: a\\.b: with\\\\x0aa \\\\x1b\\\\x9b and http://u:\\*\\*\\*@h\n"
		"<7>test/one: a\\.d: said\n$");
	expect(&kept,
		"^" STAMP "<4>test/one: a\\.b: .*\n" STAMP "<7>test/one: a\\.c: not said\n" STAMP
		"<7>test/one: a\\.d: said\n" STAMP "<8>test/one: a\\.e: kept\n" STAMP
		"<4>test/one: a\\.f: kept: \\*\\*\\*\n$");
}

static void long_lines_are_cut_once(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char *text YG_AUTO(mem) = malloc(9000);
	memset(text, '\n', 8999); /* each becomes four */
	text[8999] = 0;
	yg_log_level_set(YG_LOG_INFO);
	yg_log(YG_LOG_INFO, "a.long", "%s", text);
	yg_log(YG_LOG_INFO, "a.next", "after it");
	struct yg_buf kept YG_AUTO(yg_buf) = YG_BUF(65536);
	assert_int_equal(yg_ring_read(ring, &kept, &err), 0);
	expect(&kept, "a\\.long: (\\\\x0a)+\n" STAMP "<6>test/one: a\\.next: after it\n$");
}

static void levels_have_names(void **state)
{
	(void)state;
	static const char *const names[] = {"error", "warn", "notice", "info", "debug"};
	enum yg_level level = YG_LOG_INFO;
	struct yg_err err = {0};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		assert_int_equal(yg_log_level_parse(names[i], &level, &err), 0);
		assert_string_equal(yg_log_level_name(level), names[i]);
	}
	assert_int_equal(yg_log_level_parse("loud", &level, &err), -1);
	assert_string_equal(err.msg, "want error, warn, notice, info or debug, have 'loud'");
	assert_int_equal(level, YG_LOG_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_by_level),
		cmocka_unit_test(long_lines_are_cut_once),
		cmocka_unit_test(levels_have_names),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
