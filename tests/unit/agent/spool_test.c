/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/spool.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "tests/lib/cmocka_all.h"

static char path[64];
static int dir = -1;
static const struct spool_limits wide = {.bytes = 1u << 20, .entries = 10000};

static int begin(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	(void)snprintf(path, sizeof(path), "/tmp/spool_test.XXXXXX");
	if (!mkdtemp(path))
		return -1;
	dir = yg_fs_open_dir(AT_FDCWD, path, &err);
	return dir < 0 ? -1 : 0;
}

static int end(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, path, &err);
}

static struct spool *open_spool(const struct spool_limits *limits)
{
	struct yg_err err = {0};
	struct spool *spool = spool_open(dir, limits, &err);
	if (!spool)
		fail_msg("%s", err.msg);
	return spool;
}

static void add(struct spool *spool, int id)
{
	struct yg_err err = {0};
	assert_int_equal(spool_add(spool,
				 json_pack("{s:s,s:i,s:{}}", "kind", "event", "id", id, "params"),
				 &err),
		0);
}

/* "1:11 2:22": sequence numbers and ids of what is in it. */
static void assert_holds(struct spool *spool, const char *want)
{
	char have[4096] = "";
	size_t used = 0;
	json_t *list = NULL;
	struct yg_err err = {0};
	assert_int_equal(spool_batch(spool, 1000, 1u << 20, &list, &err), 0);
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry)
		used += (size_t)snprintf(have + used, sizeof(have) - used, "%s%lld:%lld",
			i ? " " : "", json_integer_value(json_object_get(entry, "seq")),
			json_integer_value(json_object_get(entry, "id")));
	assert_string_equal(have, want);
	json_decref(list);
}

static void entries_stay_until_acknowledged(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	struct spool *spool = open_spool(&wide);
	char epoch[SPOOL_EPOCH_TEXT];
	(void)snprintf(epoch, sizeof(epoch), "%s", spool_epoch(spool));
	add(spool, 11);
	add(spool, 22);
	add(spool, 33);
	assert_holds(spool, "1:11 2:22 3:33");
	spool_free(spool);

	spool = open_spool(&wide); /* a restart changes nothing */
	assert_string_equal(spool_epoch(spool), epoch);
	assert_holds(spool, "1:11 2:22 3:33");
	assert_int_equal(spool_ack(spool, 2, &err), 0);
	assert_holds(spool, "3:33");
	add(spool, 44);
	assert_holds(spool, "3:33 4:44");
	spool_free(spool);

	/* What was acknowledged may come once more after a crash, never less than what was not. */
	spool = open_spool(&wide);
	assert_true(spool_count(spool) >= 2);
	assert_int_equal(spool_ack(spool, 4, &err), 0);
	assert_int_equal(spool_count(spool), 0);
	add(spool, 55);
	assert_holds(spool, "5:55");
	spool_free(spool);
}

static void sequence_numbers_go_on_after_all_is_gone(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	struct spool *spool = open_spool(&wide);
	for (int i = 0; i < 200; i++)
		add(spool, i);
	assert_int_equal(spool_ack(spool, 200, &err), 0); /* large enough to be rewritten */
	spool_free(spool);
	struct stat st;
	assert_int_equal(fstatat(dir, "spool", &st, 0), 0);
	assert_true(st.st_size < 200);
	spool = open_spool(&wide);
	add(spool, 7);
	assert_holds(spool, "201:7");
	spool_free(spool);
}

static void a_torn_tail_is_cut_at_every_byte(void **unused)
{
	(void)unused;
	struct spool *spool = open_spool(&wide);
	add(spool, 11);
	spool_free(spool);
	struct stat st;
	assert_int_equal(fstatat(dir, "spool", &st, 0), 0);
	off_t whole = st.st_size;
	spool = open_spool(&wide);
	add(spool, 22);
	spool_free(spool);
	assert_int_equal(fstatat(dir, "spool", &st, 0), 0);
	for (off_t cut = whole; cut < st.st_size; cut++) {
		int fd = openat(dir, "spool", O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, cut), 0);
		(void)close(fd);
		spool = open_spool(&wide);
		assert_holds(spool, "1:11");
		add(spool, 22);
		assert_holds(spool, "1:11 2:22");
		spool_free(spool);
	}
}

static void a_wrong_byte_ends_it_there(void **unused)
{
	(void)unused;
	struct spool *spool = open_spool(&wide);
	char epoch[SPOOL_EPOCH_TEXT];
	(void)snprintf(epoch, sizeof(epoch), "%s", spool_epoch(spool));
	add(spool, 11);
	struct stat st;
	assert_int_equal(fstatat(dir, "spool", &st, 0), 0);
	add(spool, 22);
	add(spool, 33);
	spool_free(spool);
	int fd = openat(dir, "spool", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, st.st_size + 20), 1);
	(void)close(fd);
	spool = open_spool(&wide);
	assert_holds(spool, "1:11");
	assert_string_equal(spool_epoch(spool), epoch);
	spool_free(spool);

	fd = openat(dir, "spool",
		O_RDWR | O_CLOEXEC); /* the head: a new epoch, or numbers would repeat */
	assert_int_equal(pwrite(fd, "X", 1, 12), 1);
	(void)close(fd);
	spool = open_spool(&wide);
	assert_int_equal(spool_count(spool), 0);
	assert_string_not_equal(spool_epoch(spool), epoch);
	spool_free(spool);
}

static void when_full_old_events_go_and_results_stay(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	const struct spool_limits narrow = {.bytes = 1u << 20, .entries = 20};
	struct spool *spool = open_spool(&narrow);
	static const char job[] = "11111111-2222-4333-8444-555555555555";
	assert_int_equal(spool_add(spool, json_pack("{s:s,s:s}", "kind", "result", "job", job),
				 &err),
		0);
	for (int i = 0; i < 60; i++)
		add(spool, i);
	assert_true(spool_count(spool) <= 21);
	assert_true(spool_has_result(spool, job));
	assert_false(spool_has_result(spool, "99999999-2222-4333-8444-555555555555"));
	json_t *list = NULL;
	assert_int_equal(spool_batch(spool, 100, 1u << 20, &list, &err), 0);
	json_int_t lost = 0;
	json_int_t kept = 0;
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry)
	{
		if (json_integer_value(json_object_get(entry, "id")) == 20106)
			lost += json_integer_value(
				json_object_get(json_object_get(entry, "params"), "count"));
		else if (strcmp(json_string_value(json_object_get(entry, "kind")), "event") == 0)
			kept++;
	}
	assert_true(lost > 0);
	/* Nothing goes without being counted, also when the event that counts goes itself. */
	assert_int_equal(lost + kept, 60);
	json_decref(list);
	spool_free(spool);
}

static void too_large_an_entry_is_refused(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	struct spool *spool = open_spool(&wide);
	char *text = calloc(1, 100001);
	memset(text, 'x', 100000);
	assert_int_equal(spool_add(spool, json_pack("{s:s,s:s}", "kind", "event", "x", text), &err),
		-1);
	assert_int_equal(err.code, YG_ELIMIT);
	add(spool, 1);
	assert_holds(spool, "1:1");
	free(text);
	spool_free(spool);
}

/* A writer is killed at any moment; whatever it was told to be stored must be there. */
static void kill_at_any_moment(void **unused)
{
	(void)unused;
	int told = 0;
	for (int round = 0; round < 20; round++) {
		int pipe_fds[2];
		assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct spool *spool = open_spool(&wide);
			struct yg_err err = {0};
			for (unsigned char i = 0; i < 250; i++) {
				add(spool, i);
				if (write(pipe_fds[1], &i, 1) != 1)
					_exit(1);
				if (i % 50 == 49 && spool_ack(spool, 1, &err) < 0)
					_exit(1);
			}
			_exit(0);
		}
		(void)close(pipe_fds[1]);
		unsigned char byte;
		for (int n = 0; n < 3 + round && read(pipe_fds[0], &byte, 1) == 1; n++)
			told++;
		(void)kill(pid, SIGKILL);
		while (read(pipe_fds[0], &byte, 1) == 1)
			told++;
		(void)waitpid(pid, NULL, 0);
		(void)close(pipe_fds[0]);
		struct spool *spool = open_spool(&wide);
		assert_true((int)spool_count(spool) + 1 >= told);
		spool_free(spool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(entries_stay_until_acknowledged, begin, end),
		cmocka_unit_test_setup_teardown(sequence_numbers_go_on_after_all_is_gone, begin,
			end),
		cmocka_unit_test_setup_teardown(a_torn_tail_is_cut_at_every_byte, begin, end),
		cmocka_unit_test_setup_teardown(a_wrong_byte_ends_it_there, begin, end),
		cmocka_unit_test_setup_teardown(when_full_old_events_go_and_results_stay, begin,
			end),
		cmocka_unit_test_setup_teardown(too_large_an_entry_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(kill_at_any_moment, begin, end),
	};
	return cmocka_run_group_tests_name("agent/spool", tests, NULL, NULL);
}
