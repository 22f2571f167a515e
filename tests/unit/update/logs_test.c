/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "update/logs.h"

#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"
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
	yg_logs_tmu(logs, true, "HttpsConnection", "%s",
		"a\nErr 20140528 forged\x1b[2J\xc2\x9b"
		"2J");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: a Err 20140528 forged \\[2J  2J\n$");
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

/* What everybody is told stands in the logs, with its cause; the old log's lines are as they were. */
static void failures_have_their_words(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)yg_fail_cause(&err, YG_EAGAIN, "net.refused",
		"10.0.0.5 port 4122: Connection refused");
	YG_LOGS_FAILURE(logs, YG_LOGS_IAU, "Update", &err, "fetch (%s)", "https://relay:4122");
	expect("iau.log",
		"^" WHEN "\\[err\\] Update \\[[^\n]*logs_test.c\\([0-9]+\\)\\]\n"
		"fetch \\(https://relay:4122\\): The connection was refused: nothing listens at this "
		"address and port\\. \\(10\\.0\\.0\\.5 port 4122: Connection refused\\) "
		"\\[net\\.refused\\]\n$");
	yg_logs_tmu_failure(logs, "https://relay:4122/objects/1", &err);
	(void)yg_fail_cause(&err, YG_EAGAIN, "http.maintenance", "not available now (status 503)");
	yg_logs_tmu_failure(logs, "https://source/metadata/timestamp.json", &err);
	(void)yg_fail_cause(&err, YG_EAGAIN, "http.busy", "too many requests (status 429)");
	yg_logs_tmu_failure(logs, "https://source/x", &err);
	expect("TmuDump.txt",
		"^Err " TMU
		"HttpsConnection: https://relay:4122/objects/1: The connection was refused: "
		"[^\n]* \\[net\\.refused\\]\n"
		"Err " TMU "HttpsConnection: Server Error: HTTP 503 Service Unavailable\n"
		"Err " TMU "TmDownloader: Service is under maintainence\n"
		"Err " TMU "HttpsConnection: https://source/metadata/timestamp.json: "
		"The server is under maintenance\\. \\(not available now \\(status 503\\)\\) "
		"\\[http\\.maintenance\\]\n"
		"Err " TMU "HttpsConnection: https://source/x: [^\n]* \\[http\\.busy\\]\n$");
	/* A failure without a name is its message. */
	(void)yg_fail(&err, YG_EFORMAT, "something else");
	err.cause[0] = 0;
	YG_LOGS_FAILURE(logs, YG_LOGS_RELAY, "Update", &err, "%s", "");
	expect("iaurelay.log", "\\]\nsomething else\n$");
}

static void secrets_are_taken_out(void **state)
{
	(void)state;
	yg_logs_tmu(logs, true, "HttpsConnection", "http://joe:geheim@proxy:3128: failed");
	expect("TmuDump.txt", "HttpsConnection: http://joe:\\*\\*\\*@proxy:3128: failed\n$");
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_APP, "Update", "password=geheim\nnext");
	expect("iau.log", "\npassword=\\*\\*\\*\nnext\n$");
}

static void put(const char *name, const char *text)
{
	struct yg_err err = {0};
	if (yg_fs_replace(dir, name, yg_bytes_of(text), 0640, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Killed between two renames there is a name that is free, and what is older than it stays where it is. */
static void goes_on_after_half_a_rotation(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat st;
	char *many YG_AUTO(mem) = malloc(4097);
	memset(many, 'x', 4096);
	many[4095] = '\n';
	many[4096] = 0;
	put("TmuDump.txt", many);
	put("TmuDump.txt.2", "oldest\n");
	yg_logs_tmu(logs, true, "HttpsConnection", "new");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: new\n$");
	expect("TmuDump.txt.1", "^x+\n$");
	expect("TmuDump.txt.2", "^oldest\n$");
	/* Killed after the last of them there is no present file. */
	assert_int_equal(yg_fs_remove(dir, "TmuDump.txt", &err), 0);
	yg_logs_tmu(logs, true, "HttpsConnection", "again");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: again\n$");
	expect("TmuDump.txt.2", "^oldest\n$");
	assert_int_equal(fstatat(dir, "TmuDump.txt.3", &st, 0), -1);
	/* What lost its end has one again. */
	put("iau.log", "half a li");
	YG_LOGS(logs, YG_LOGS_IAU, YG_LOGS_APP, "Update", "whole");
	expect("iau.log", "^half a li\n" WHEN "\\[app\\] [^\n]*\nwhole\n$");
}

static void follows_somebody_elses_rotation(void **state)
{
	(void)state;
	yg_logs_tmu(logs, true, "HttpsConnection", "one");
	assert_int_equal(renameat(dir, "TmuDump.txt", dir, "TmuDump.txt-20261122"), 0);
	yg_logs_tmu(logs, true, "HttpsConnection", "two");
	expect("TmuDump.txt", "^Err " TMU "HttpsConnection: two\n$");
	expect("TmuDump.txt-20261122", "^Err " TMU "HttpsConnection: one\n$");
}

/* Half an entry is none: a disk that is full leaves the log as it was. */
static void a_full_disk_tears_no_entry(void **state)
{
	(void)state;
	yg_logs_tmu(logs, true, "HttpsConnection", "one");
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit most = {120, 120};
		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &most) < 0)
			_exit(1);
		yg_logs_tmu(logs, true, "HttpsConnection", "%s",
			"this one is far too long for what there is of room, and so it is not there");
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	yg_logs_tmu(logs, true, "HttpsConnection", "two");
	expect("TmuDump.txt",
		"^Err " TMU "HttpsConnection: one\nErr " TMU "HttpsConnection: two\n$");
}

static _Noreturn void write_for_ever(void)
{
	(void)alarm(60); /* nobody is left to end us when the test was killed */
	for (int i = 0;; i++)
		yg_logs_tmu(logs, true, "HttpsConnection", "line %08d end", i);
}

/* All lines of the three files, oldest first. A new string. */
static char *all_lines(void)
{
	static const char *const order[] = {"TmuDump.txt.2", "TmuDump.txt.1", "TmuDump.txt"};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	struct yg_err err = {0};
	for (size_t i = 0; i < YG_COUNT(order); i++)
		if (yg_fs_read(dir, order[i], &text, &err) < 0)
			assert_int_equal(err.code, YG_EABSENT);
	assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
	return strdup((const char *)text.data);
}

/* Killed at any moment, rotations included: every line is whole, and between the oldest that is kept and the last
 * that was written none is missing.
 */
static void a_kill_loses_and_tears_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		pid_t child = fork();
		assert_true(child >= 0); /* -1 would be everybody */
		if (child == 0)
			write_for_ever();
		(void)usleep((useconds_t)(300 + round * 137 % 4000));
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
		char *text YG_AUTO(mem) = all_lines();
		uint64_t next = 0; /* 0: any */
		for (char *at = text; *at;) {
			size_t len = strcspn(at, "\n");
			const char *number = memmem(at, len, "HttpsConnection: line ", 22);
			if (at[len] != '\n' || strncmp(at, "Err ", 4) != 0 || !number ||
				strncmp(number + 30, " end\n", 5) != 0)
				fail_msg("round %d: a torn line: %.*s", round, (int)len, at);
			uint64_t have = 0;
			char digits[9] = "";
			struct yg_err err = {0};
			memcpy(digits, number + 22, 8);
			assert_int_equal(yg_str_u64(digits, UINT32_MAX, &have, &err), 0);
			/* The next child began at 0 again. */
			if (next > 0 && have != next && have != 0)
				fail_msg("round %d: want line %lu, have %lu", round, next, have);
			next = have + 1;
			at += len + 1;
		}
	}
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
		cmocka_unit_test_setup_teardown(failures_have_their_words, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_are_taken_out, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_after_half_a_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_somebody_elses_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_tears_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kill_loses_and_tears_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_have_names, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
