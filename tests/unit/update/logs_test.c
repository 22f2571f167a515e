/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/logs.h"

#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "tests/lib/cmocka_all.h"

static char root[64];
static int dir;
static struct yg_logs *logs;

static int setup(void **state)
{
	(void)state;
	struct yg_err err = {0};
	strncpy(root, "/tmp/yagura-logs-XXXXXX", sizeof(root) - 1);
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	logs = yg_logs_new(dir, YG_LOGS_APP, 4096, 2, &err);
	return logs ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	yg_logs_free(logs);
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, root, &err);
}

/* The whole file must match; %T stands for a time and the ids of process and thread. */
static void expect(const char *name, const char *pattern)
{
	struct yg_err err = {0};
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(65536);
	regex_t regex;
	if (yg_fs_read(dir, name, &have, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_buf_add(&have, "", 1, &err), 0);
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&regex, (const char *)have.data, 0, NULL, 0) != 0)
		fail_msg("%s: want %s\nhave %s", name, pattern, have.data);
	regfree(&regex);
}

#define WHEN "\\[20[0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]+\\|[0-9]+\\] "
#define TMU  "20[0-9]{6} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]+ [0-9]+ "

static void writes_the_old_format(void **state)
{
	(void)state;
	yg_logs_tmu(logs, true, "HttpsConnection", "Server Error: HTTP %d Service Unavailable",
		503);
	yg_logs_tmu(logs, true, "TmDownloader", YG_LOGS_MAINTENANCE);
	expect("TmuDump.txt",
		"^Err " TMU "HttpsConnection: Server Error: HTTP 503 Service Unavailable\n"
		"Err " TMU "TmDownloader: Service is under maintainence\n$");

	yg_logs_entry(logs, YG_LOGS_IAU, YG_LOGS_ERR, "Install",
		"src/common/src/remote_package.cpp", 199, "Dynamic exception type: x\nPath1: /a");
	yg_logs_finished(logs, YG_LOGS_IAU, "store.exists");
	expect("iau.log",
		"^" WHEN "\\[err\\] Install \\[src/common/src/remote_package.cpp\\(199\\)\\]\n"
		"Dynamic exception type: x\nPath1: /a\n" WHEN
		"\\[app\\] Update \\[src/update/logs.c\\([0-9]+\\)\\]\n"
		"Update finished with result : IAU_STATUS_FILE_EXISTS\\[-1073610747\\(3,2,5\\)\\]\n$");

	yg_logs_finished(logs, YG_LOGS_RELAY, "store.object_damaged");
	expect("iaurelay.log",
		"^" WHEN "\\[app\\] Update \\[.*\\]\n"
		"Update finished with result : IAURELAY_STATUS_NOT_AVAILABLE\\(-18\\)\n$");
}

static void success_has_its_code(void **state)
{
	(void)state;
	yg_logs_finished(logs, YG_LOGS_IAU, "");
	expect("iau.log", "Update finished with result : IAU_STATUS_SUCCESS\\[0\\(0,0,0\\)\\]\n$");
}

static void text_from_outside_forges_nothing(void **state)
{
	(void)state;
	yg_logs_tmu(logs, true, "HttpsConnection", "%s", "a\nErr 20140528 forged\x1b[2J");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: a Err 20140528 forged \\[2J\n$");
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_APP, "Update", "%s",
		"a\n[2014-May-28 06:39:41 1|1] [app] x");
	expect("iau.log",
		"^" WHEN "\\[app\\] Update \\[[^\n]*\\]\na \\[2014-May-28 06:39:41 1\\|1\\] "
		"\\[app\\] x\n$");
}

/* What the level leaves out is still there when something fails. */
static void the_ring_comes_with_an_error(void **state)
{
	(void)state;
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_DBG, "Plan", "a detail");
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_APP, "Update", "no detail");
	expect("iau.log", "^" WHEN "\\[app\\] [^\n]*\nno detail\n$");
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_ERR, "Update", "it failed");
	expect("iau.log",
		"no detail\n" WHEN "\\[dbg\\] Plan [^\n]*\na detail\n" WHEN
		"\\[err\\] Update [^\n]*\nit failed\n$");
	for (int i = 0; i < 3000; i++)
		YG_LOGS(logs, YG_LOGS_RELAY, YG_LOGS_DBG, "Plan", "detail %d", i);
	expect("iau.log", "it failed\n$");
}

static void rotates_by_size(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat st;
	for (int i = 0; i < 400; i++)
		yg_logs_tmu(logs, true, "HttpsConnection", "line %d", i);
	static const char *const names[] = {"TmuDump.txt", "TmuDump.txt.1", "TmuDump.txt.2"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		assert_int_equal(fstatat(dir, names[i], &st, 0), 0);
		assert_in_range(st.st_size, 1, 4096);
	}
	assert_int_equal(fstatat(dir, "TmuDump.txt.3", &st, 0), -1);
	expect("TmuDump.txt", "line 399\n$");
	/* removed or moved by somebody else: it goes on under the old name */
	assert_int_equal(yg_fs_remove(dir, "TmuDump.txt", &err), 0);
	yg_logs_tmu(logs, true, "HttpsConnection", "after");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: after\n$");
}

static void levels_have_names(void **state)
{
	(void)state;
	struct yg_err err = {0};
	enum yg_logs_level level = YG_LOGS_ERR;
	assert_int_equal(yg_logs_level_parse("dbg", &level, &err), 0);
	assert_int_equal(level, YG_LOGS_DBG);
	assert_int_equal(yg_logs_level_parse("all", &level, &err), -1);
	assert_string_equal(err.msg, "log level: want err, app or dbg, have 'all'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_the_old_format, setup, teardown),
		cmocka_unit_test_setup_teardown(success_has_its_code, setup, teardown),
		cmocka_unit_test_setup_teardown(text_from_outside_forges_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_ring_comes_with_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(rotates_by_size, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_have_names, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
