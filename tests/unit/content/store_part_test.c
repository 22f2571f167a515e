/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "tests/lib/content_set.h"

static struct world w;
static char sha[YG_SHA256_TEXT];
static char path[128];

static int setup(void **state)
{
	(void)state;
	w = (struct world){0};
	world_open(&w);
	world_start(&w);
	world_sha("the bytes of a transfer", sha);
	return yg_str_put(path, sizeof(path), "iaurepo/part/%s", sha) ? 0 : -1;
}

static int setup_on_disk(void **state)
{
	(void)state;
	w = (struct world){0};
	if (!world_open_in(&w, "/tmp"))
		return -1;
	world_start(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static int part(uint64_t want)
{
	struct yg_err err = {0};
	uint64_t have = UINT64_MAX;
	int fd = yg_store_part_open(w.store, sha, &have, &err);
	if (fd < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(have, want);
	return fd;
}

static void goes_on_where_it_stopped(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat st;
	int fd = part(0);
	assert_int_equal(yg_fs_write_all(fd, "the bytes", 9, &err), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(fstatat(w.root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	world_start(&w); /* also over a new start */
	fd = part(9);
	assert_int_equal(pwrite(fd, " of", 3, 9), 3);
	assert_int_equal(close(fd), 0);
	assert_int_equal(yg_store_part_drop(w.store, sha, &err), 0);
	assert_int_equal(yg_store_part_drop(w.store, sha, &err), 0);
	assert_int_equal(close(part(0)), 0);
}

static void only_by_a_digest(void **state)
{
	(void)state;
	static const char *const names[] = {"", "x", "../objects/x",
		"0000000000000000000000000000000000000000000000000000000000000000/",
		"000000000000000000000000000000000000000000000000000000000000000G"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		struct yg_err err = {0};
		char want[160];
		uint64_t have;
		assert_true(yg_str_put(want, sizeof(want), "'%s': not a SHA-256", names[i]));
		assert_int_equal(yg_store_part_open(w.store, names[i], &have, &err), -1);
		assert_string_equal(err.msg, want);
		assert_int_equal(yg_store_part_drop(w.store, names[i], &err), -1);
		assert_string_equal(err.msg, want);
	}
}

/* An object gets a file of its own: what is still written to the part must not reach it. */
static void is_never_another_name_of_an_object(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct stat a;
	struct stat b;
	char object[128];
	int fd = part(0);
	assert_int_equal(yg_fs_write_all(fd, "the bytes of a transfer", 23, &err), 0);
	assert_int_equal(yg_store_object_add(w.store, fd, sha, 23, &err), 0);
	assert_int_equal(close(fd), 0);
	assert_true(yg_str_put(object, sizeof(object), "iaurepo/objects/%s", sha));
	assert_int_equal(fstatat(w.root, object, &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(w.root, path, &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(a.st_ino != b.st_ino);
	assert_int_equal(a.st_nlink, 1);
	assert_int_equal(a.st_mode & 07777, 0444);

	/* and what is linked to one from outside is not opened */
	assert_int_equal(yg_store_part_drop(w.store, sha, &err), 0);
	assert_int_equal(linkat(w.root, object, w.root, path, 0), 0);
	assert_int_equal(close(part(0)), 0);
	assert_true(yg_store_object_has(w.store, sha, 23));
}

/* T10: whatever lies at its name. */
static void left_overs_do_not_block(void **state)
{
	(void)state;
	struct yg_err err = {0};
	for (int kind = 0; kind < 4; kind++) {
		assert_int_equal(yg_fs_remove(w.root, path, &err), 0);
		if (kind == 0)
			assert_int_equal(mkdirat(w.root, path, 0755), 0);
		else if (kind == 1)
			assert_int_equal(symlinkat("../../lib", w.root, path), 0);
		else if (kind == 2)
			assert_int_equal(mkfifoat(w.root, path, 0600), 0);
		else if (mknodat(w.root, path, S_IFBLK | 0600, makedev(7, 250)) < 0)
			continue; /* not allowed here */
		assert_int_equal(close(part(0)), 0);
	}
}

static void set_age(const char *name, int64_t seconds)
{
	struct timespec now;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	now.tv_sec -= seconds;
	const struct timespec times[2] = {now, now};
	assert_int_equal(utimensat(w.root, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void goes_when_nobody_goes_on_with_it(void **state)
{
	(void)state;
	static const struct {
		int64_t age; /* seconds */
		bool stays;
	} cases[] = {{0, true}, {23 * 3600, true}, {25 * 3600, false}, {-23 * 3600, true},
		{-400 * 86400, false}};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		struct yg_store_report report = {0};
		uint32_t removed = 0;
		for (int way = 0; way < 2; way++) {
			assert_int_equal(close(part(0)), 0);
			set_age(path, cases[i].age);
			if (way == 0)
				assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
			else
				assert_int_equal(yg_store_repair(w.store, &report, &err), 0);
			assert_int_equal(world_count(&w, "iaurepo/part"), cases[i].stays);
			assert_int_equal(yg_store_part_drop(w.store, sha, &err), 0);
		}
		assert_int_equal(report.leftovers, 0);
	}
}

static void the_oldest_go_beyond_the_quota(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char names[3][YG_SHA256_TEXT];
	bool held = false;
	for (int i = 0; i < 3; i++) {
		char text[16];
		char name[128];
		uint64_t have;
		(void)snprintf(text, sizeof(text), "part %d", i);
		world_sha(text, names[i]);
		int fd YG_AUTO(fd) = yg_store_part_open(w.store, names[i], &have, &err);
		assert_int_equal(yg_fs_allocate(fd, 400u << 20, &held, &err), 0);
		if (!held) {
			printf("skip: this file system cannot allocate ahead\n");
			skip();
		}
		assert_true(yg_str_put(name, sizeof(name), "iaurepo/part/%s", names[i]));
		set_age(name, i == 1 ? 3600 : 60);
	}
	assert_int_equal(yg_store_repair(w.store, &report, &err), 0);
	assert_int_equal(world_count(&w, "iaurepo/part"), 2);
	assert_true(yg_str_put(path, sizeof(path), "iaurepo/part/%s", names[1]));
	assert_int_equal(faccessat(w.root, path, F_OK, 0), -1);
}

static void what_is_no_part_is_reported(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	assert_int_equal(yg_fs_mkdirs(w.root, "iaurepo/part/a/b", 0755, &err), 0);
	assert_int_equal(mkfifoat(w.root, "iaurepo/part/fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", w.root, path), 0);
	assert_int_equal(yg_store_repair(w.store, &report, &err), 0);
	assert_int_equal(report.leftovers, 3);
	assert_int_equal(world_count(&w, "iaurepo/part"), 0);
}

/* ---- space ---- */

static uint64_t blocks(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void reserved_space_moves_to_the_files(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = part(0);
	assert_int_equal(yg_store_reserve(w.store, 8u << 20, &err), 0);
	assert_int_equal(yg_store_allot(w.store, fd, 3u << 20, &err), 0);
	if (blocks(fd) < 3u << 20) {
		printf("skip: this file system cannot allocate ahead\n");
		skip();
	}
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	/* more than was set aside is allowed as far as it is there */
	assert_int_equal(yg_store_allot(w.store, fd, 16u << 20, &err), 0);
	yg_store_release(w.store);
	yg_store_release(w.store);
	assert_int_equal(world_count(&w, "iaurepo/tmp"), 0); /* it never had a name */
}

static void says_what_is_wanted_and_what_is_there(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(yg_store_reserve(w.store, UINT64_MAX / 2, &err), -1);
	assert_string_equal(err.cause, "store.disk_full");
	assert_non_null(strstr(err.msg,
		"the update needs 8796093022208 MiB besides a reserve of 16 MiB, and "));
	assert_non_null(strstr(err.msg, " MiB are free"));
	assert_int_equal(yg_store_reserve(w.store, 0, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_on_where_it_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(only_by_a_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(is_never_another_name_of_an_object, setup,
			teardown),
		cmocka_unit_test_setup_teardown(left_overs_do_not_block, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_when_nobody_goes_on_with_it, setup, teardown),
		cmocka_unit_test_setup_teardown(the_oldest_go_beyond_the_quota, setup_on_disk,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_no_part_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(reserved_space_moves_to_the_files, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_is_wanted_and_what_is_there, setup,
			teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
