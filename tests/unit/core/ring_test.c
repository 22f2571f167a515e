/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

static char root[64];
static int dir = -1;

static int setup(void **state)
{
	(void)state;
	strncpy(root, "/tmp/yagura-ring-XXXXXX", sizeof(root) - 1);
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, root, &err);
}

static int make(const char *name)
{
	struct yg_err err = {0};
	int fd = yg_ring_file(dir, name, &err);
	if (fd < 0)
		fail_msg("%s", err.msg);
	return fd;
}

static struct yg_ring *map(int fd)
{
	struct yg_err err = {0};
	struct yg_ring *ring = yg_ring_map(fd, &err);
	if (!ring)
		fail_msg("%s", err.msg);
	return ring;
}

/* What it holds, as a string. */
static char *have(int fd)
{
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_RING_BYTES + 1);
	if (yg_ring_read(fd, &text, &err) < 0 || yg_buf_add(&text, "", 1, &err) < 0)
		fail_msg("%s", err.msg);
	return strdup((const char *)text.data);
}

static void add(struct yg_ring *ring, const char *line)
{
	yg_ring_add(ring, line, strlen(line));
}

/* The number that a line ends with. */
static uint64_t number_at(const char *text)
{
	char digits[16];
	uint64_t value = 0;
	struct yg_err err = {0};
	assert_true(yg_str_put(digits, sizeof(digits), "%.*s", (int)strcspn(text, "\n"), text));
	assert_int_equal(yg_str_u64(digits, UINT32_MAX, &value, &err), 0);
	return value;
}

static void keeps_the_last_lines(void **state)
{
	(void)state;
	int fd YG_AUTO(fd) = make("a.ring");
	struct yg_ring *ring YG_AUTO(yg_ring) = map(fd);
	char *none YG_AUTO(mem) = have(fd);
	assert_string_equal(none, "");
	add(ring, "one\n");
	add(ring, "two\n");
	char *two YG_AUTO(mem) = have(fd);
	assert_string_equal(two, "one\ntwo\n");

	char line[64];
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(line, sizeof(line), "line %d\n", i);
		add(ring, line);
	}
	char *last YG_AUTO(mem) = have(fd);
	size_t len = strlen(last);
	assert_true(len > YG_RING_BYTES - 2 * YG_RING_LINE_MAX);
	assert_int_equal(strncmp(last, "line ", 5), 0);
	assert_string_equal(last + len - strlen("line 19999\n"), "line 19999\n");
	/* Without a gap. */
	uint64_t at = number_at(last + 5);
	for (const char *next = last; *next; next = strchr(next, '\n') + 1)
		assert_int_equal(number_at(next + 5), at++);
	assert_int_equal(at, 20000);
}

static void goes_on_where_it_was(void **state)
{
	(void)state;
	for (int life = 0; life < 2; life++) {
		int fd YG_AUTO(fd) = make("b.ring");
		struct yg_ring *ring YG_AUTO(yg_ring) = map(fd);
		add(ring, life == 0 ? "first life\n" : "second life\n");
	}
	int fd YG_AUTO(fd) = make("b.ring");
	char *both YG_AUTO(mem) = have(fd);
	assert_string_equal(both, "first life\nsecond life\n");
}

static void a_file_that_is_none_becomes_one(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(yg_fs_replace(dir, "c.ring", yg_bytes_of("not a ring"), 0600, &err), 0);
	int raw YG_AUTO(fd) = yg_fs_open(dir, "c.ring", &err);
	assert_int_equal(yg_ring_read(raw, &text, &err), -1);
	assert_string_equal(err.msg, "not a ring file");
	assert_null(yg_ring_map(raw, &err));
	int fd YG_AUTO(fd) = make("c.ring");
	char *none YG_AUTO(mem) = have(fd);
	assert_string_equal(none, "");
}

/* A role is no friend: what it left may be anything. */
static void what_it_holds_is_looked_at(void **state)
{
	(void)state;
	int fd YG_AUTO(fd) = make("d.ring");
	struct yg_ring *ring YG_AUTO(yg_ring) = map(fd);
	add(ring, "esc \033[2J bell \a\n");
	add(ring, "half a \xe3\x81 letter\n");
	add(ring, "whole \xe3\x81\x82\n");
	add(ring,
		"C1 \xc2\x9b"
		"2J \xc2\xa0\n");
	char *text YG_AUTO(mem) = have(fd);
	assert_string_equal(text,
		"esc ?[2J bell ?\nhalf a ?? letter\nwhole \xe3\x81\x82\nC1 ??2J \xc2\xa0\n");
	for (uint64_t written = 1; written > 0; written <<= 7) {
		assert_int_equal(pwrite(fd, &written, sizeof(written), 8), sizeof(written));
		char *some YG_AUTO(mem) = have(fd);
		assert_true(strlen(some) <= YG_RING_BYTES);
	}
	uint64_t most = UINT64_MAX;
	assert_int_equal(pwrite(fd, &most, sizeof(most), 8), sizeof(most));
	char *some YG_AUTO(mem) = have(fd);
	assert_true(strlen(some) <= YG_RING_BYTES);
}

static void *write_many(void *arg)
{
	char line[64];
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(line, sizeof(line), "thread line %08d end\n", i);
		add(arg, line);
	}
	return NULL;
}

static void check_lines(const char *text)
{
	static const char form[] = "thread line 00000000 end";
	size_t length;
	for (const char *at = text; *at; at += length + 1) {
		length = strcspn(at, "\n");
		if (length != sizeof(form) - 1 || memcmp(at, form, 12) != 0 ||
			memcmp(at + 20, form + 20, 4) != 0 || !at[length])
			fail_msg("a torn line: %.40s", at);
	}
}

static void readers_see_whole_lines(void **state)
{
	(void)state;
	int fd YG_AUTO(fd) = make("e.ring");
	struct yg_ring *ring YG_AUTO(yg_ring) = map(fd);
	pthread_t writers[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, ring), 0);
	for (int i = 0; i < 200; i++) {
		char *text YG_AUTO(mem) = have(fd);
		check_lines(text);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(writers[i], NULL), 0);
	char *text YG_AUTO(mem) = have(fd);
	check_lines(text);
}

/* Killed wherever it is: what it wrote is there, whole. */
static void survives_its_process(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		int fd YG_AUTO(fd) = make("f.ring");
		pid_t child = fork();
		assert_true(child >= 0); /* -1 would be everybody */
		if (child == 0) {
			(void)alarm(60); /* nobody is left to end us when the test was killed */
			struct yg_err err = {0};
			struct yg_ring *ring = yg_ring_map(fd, &err);
			while (ring)
				(void)write_many(ring);
			_exit(1);
		}
		(void)usleep((useconds_t)(500 + i * 311));
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
		char *text YG_AUTO(mem) = have(fd);
		check_lines(text);
	}
}

static void note(void *ctx, const char *name, struct yg_bytes text)
{
	char *all = ctx;
	size_t len = strlen(all);
	assert_true(yg_str_put(all + len, 256 - len, "%s:%s;", name, (const char *)text.ptr));
}

static void all_of_a_folder(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char all[256] = "";
	assert_int_equal(yg_fs_mkdirs(dir, "rings", 0700, &err), 0);
	int folder YG_AUTO(fd) = yg_fs_open_dir(dir, "rings", &err);
	static const char *const names[] = {"walk.ring", "am-0.ring", "other"};
	for (size_t i = 0; i < 3; i++) {
		int fd YG_AUTO(fd) = yg_ring_file(folder, names[i], &err);
		struct yg_ring *ring YG_AUTO(yg_ring) = map(fd);
		add(ring, "x\n");
	}
	assert_int_equal(yg_fs_replace(folder, "bad.ring", yg_bytes_of("x"), 0600, &err), 0);
	assert_int_equal(yg_ring_all(folder, note, all, &err), 0);
	assert_string_equal(all, "am-0:x\n;walk:x\n;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_lines),
		cmocka_unit_test(goes_on_where_it_was),
		cmocka_unit_test(a_file_that_is_none_becomes_one),
		cmocka_unit_test(what_it_holds_is_looked_at),
		cmocka_unit_test(readers_see_whole_lines),
		cmocka_unit_test(survives_its_process),
		cmocka_unit_test(all_of_a_folder),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
