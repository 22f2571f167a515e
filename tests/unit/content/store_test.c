/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/store.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "tests/lib/content_set.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	w = (struct world){0};
	world_open(&w);
	world_start(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void update(int version)
{
	struct yg_err err = {0};
	if (world_update(w.store, version, &err) < 0)
		fail_msg("update to %d: %s", version, err.msg);
}

static void check_live(int lib, int roll)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	assert_int_equal(world_version(&w, YG_STORE_LIB), lib);
	assert_int_equal(world_version(&w, YG_STORE_ROLL), roll);
	assert_int_equal(world_version(&w, YG_STORE_COPY), 0);
	yg_store_link(w.store, YG_STORE_LIB, digest);
	if (lib && yg_store_check(w.store, digest, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Overwrite a file as a bad disk, or a careless hand, would. */
static void spoil(const char *path)
{
	char full[256];
	assert_true(yg_str_put(full, sizeof(full), "%s/%s", w.path, path));
	assert_int_equal(chmod(full, 0644), 0);
	int fd YG_AUTO(fd) = open(full, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "XX", 2, 0), 2);
}

static void object_path(const char *text, char out[128])
{
	char sha[YG_SHA256_TEXT];
	world_sha(text, sha);
	assert_true(yg_str_put(out, 128, "iaurepo/objects/%s", sha));
}

static void keeps_live_and_the_one_before(void **state)
{
	(void)state;
	update(1);
	check_live(1, 0);
	update(2);
	check_live(2, 1);
	update(3);
	check_live(3, 2);
	assert_int_equal(world_count(&w, "sets"), 2);
	/* a.hsb is one file for both sets and the object */
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
	char path[128];
	object_path("the same in every version", path);
	struct stat st;
	assert_int_equal(fstatat(w.root, path, &st, 0), 0);
	assert_int_equal(st.st_nlink, 3);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(fstatat(w.root, "lib/iaulogs", &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void goes_back_once(void **state)
{
	(void)state;
	struct yg_err err = {0};
	update(1);
	update(2);
	assert_int_equal(yg_store_rollback(w.store, &err), 0);
	check_live(1, 0);
	assert_int_equal(yg_store_rollback(w.store, &err), -1);
	assert_string_equal(err.cause, "store.no_rollback");
	assert_string_equal(err.msg, "'li_roll': there is no set to go back to");
}

static void same_set_again_changes_nothing(void **state)
{
	(void)state;
	update(1);
	update(2);
	update(2);
	check_live(2, 1);
}

static void holds_a_set(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_hold hold;
	char two[YG_SHA256_TEXT];
	uint32_t removed = 0;
	update(1);
	update(2);
	world_digest(2, two);
	yg_store_hold(w.store, &hold);
	assert_string_equal(hold.set, "");
	assert_int_equal(yg_store_hold_set(w.store, two, "rollback", &err), 0);
	assert_int_equal(yg_store_rollback(w.store, &err), 0);
	yg_store_hold(w.store, &hold);
	assert_string_equal(hold.set, two);
	assert_string_equal(hold.reason, "rollback");
	assert_int_equal(strlen(hold.since), 20);
	/* what is held stays on the disk: released, it needs no download */
	assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(yg_store_hold_clear(w.store, &err), 0);
	yg_store_hold(w.store, &hold);
	assert_string_equal(hold.set, "");
	assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
	assert_int_equal(removed, 3);
	assert_int_equal(yg_fs_replace(w.root, "state/hold.json", yg_bytes_of("{]"), 0644, &err),
		0);
	yg_store_hold(w.store, &hold);
	assert_string_equal(hold.set, "");
}

static void refuses_bytes_that_are_not_the_object(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char sha[YG_SHA256_TEXT];
	char have[YG_SHA256_TEXT];
	char want[512];
	world_sha("right", sha);
	world_sha("wrong", have);
	int fd YG_AUTO(fd) = yg_store_object_new(w.store, &err);
	assert_int_equal(yg_fs_write_all(fd, "wrong", 5, &err), 0);
	assert_int_equal(yg_store_object_add(w.store, fd, sha, 5, &err), -1);
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_string_equal(err.cause, "store.object_damaged");
	assert_true(yg_str_put(want, sizeof(want),
		"object %s: want 5 bytes, have 5 with SHA-256 %s", sha, have));
	assert_string_equal(err.msg, want);
	assert_false(yg_store_object_has(w.store, sha, 5));
	assert_int_equal(world_count(&w, "iaurepo/objects"), 0);
}

static void stage_names_what_is_missing(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_set *set YG_AUTO(yg_set) = world_set(1);
	assert_int_equal(yg_store_stage(w.store, set, &err), -1);
	assert_int_equal(err.code, YG_EABSENT);
	assert_non_null(strstr(err.msg, "('a.hsb') is not in the store"));
	assert_int_equal(world_count(&w, "sets"), 0);
}

/* T6: all of iaurepo deleted, also while it is open. */
static void adopts_its_sets_again(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	update(1);
	update(2);
	assert_int_equal(yg_fs_remove(w.root, "iaurepo", &err), 0);
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.adopted, 5);
	assert_int_equal(report.missing, 0);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
	check_live(2, 1);
	update(3); /* nothing of it is in the way of the next */
	check_live(3, 2);

	assert_int_equal(yg_fs_remove(w.root, "iaurepo", &err), 0);
	world_start(&w);
	check_live(3, 2);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
}

/* T11: bad bytes are found by hash wherever they lie, and healed in every set when good ones come. */
static void heals_what_is_damaged(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char path[128];
	char two[YG_SHA256_TEXT];
	update(1);
	update(2);
	object_path("the same in every version", path);
	spoil(path);
	world_digest(2, two);
	assert_int_equal(yg_store_check(w.store, two, &err), -1);
	assert_string_equal(err.cause, "store.object_damaged");
	assert_non_null(strstr(err.msg, "am-pattern/a.hsb': the bytes are not what was signed"));

	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.missing, 2);
	assert_int_equal(strncmp(report.first, "am-pattern/a.hsb ", 17), 0);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 4);

	struct yg_set *set YG_AUTO(yg_set) = world_set(2);
	assert_int_equal(world_add(w.store, 2, &err), 0);
	assert_int_equal(yg_store_stage(w.store, set, &err), 0);
	check_live(2, 1);
	/* the other set is healed by the next look, from the same object */
	report = (struct yg_store_report){0};
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.relinked, 1);
	assert_int_equal(report.missing, 0);
	assert_int_equal(yg_store_rollback(w.store, &err), 0);
	check_live(1, 0);
}

static void heals_from_its_own_copies(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	update(1);
	/* a file of the set that is no link of the object any more */
	assert_int_equal(unlinkat(w.root, "lib/am-pattern/b.hsb", 0), 0);
	assert_int_equal(yg_fs_replace(w.root, "lib/am-pattern/b.hsb", yg_bytes_of("bad"), 0444,
				 &err),
		0);
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.relinked, 1);
	assert_int_equal(report.dropped, 1);
	assert_int_equal(report.missing, 0);
	check_live(1, 0);
}

/* T10: whatever was left behind at whatever place. */
static void left_overs_do_not_block(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool folder;
	} cases[] = {
		{"lib", true},
		{"lib", false},
		{"li_copy", true},
		{"li_copy", false},
		{"li_roll", true},
		{"li_roll", false},
		{"iaurepo/tmp/set.1.0", true},
		{"iaurepo/objects/x", false},
		{"iaurepo/objects/"
		 "0000000000000000000000000000000000000000000000000000000000000000",
			true},
		{"sets/x", true},
		{"sets/0000000000000000000000000000000000000000000000000000000000000000", false},
		{"sets/0000000000000000000000000000000000000000000000000000000000000000", true},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		update(1);
		update(2);
		yg_store_free(w.store);
		w.store = NULL;
		assert_int_equal(yg_fs_remove(w.root, cases[i].name, &err), 0);
		char inside[256];
		assert_true(yg_str_put(inside, sizeof(inside), "%s/x", cases[i].name));
		if (cases[i].folder)
			assert_int_equal(yg_fs_mkdirs(w.root, inside, 0755, &err), 0);
		else
			assert_int_equal(yg_fs_replace(w.root, cases[i].name, yg_bytes_of("x"),
						 0644, &err),
				0);
		world_start(&w);
		update(3);
		if (world_version(&w, YG_STORE_LIB) != 3)
			fail_msg("case %zu: '%s'", i, cases[i].name);
		assert_int_equal(world_count(&w, "iaurepo/tmp"), 0);
		assert_int_equal(yg_fs_remove(w.root, "lib", &err), 0);
		assert_int_equal(yg_fs_remove(w.root, "li_roll", &err), 0);
		world_start(&w);
	}
}

/* The very names that staging needs are taken. */
static void left_overs_do_not_block_staging(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char path[160];
	char digest[YG_SHA256_TEXT];
	update(1);
	world_digest(2, digest);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/am-pattern/b.hsb/x", digest));
	assert_int_equal(yg_fs_mkdirs(w.root, path, 0755, &err), 0);
	char object[128];
	object_path("b of version 2", object);
	assert_int_equal(yg_fs_mkdirs(w.root, object, 0755, &err), 0);
	update(2);
	check_live(2, 1);
}

static void damaged_lib_falls_back(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char path[128];
	update(1);
	update(2);
	object_path("b of version 2", path);
	spoil(path);
	world_start(&w);
	check_live(1, 0);

	/* with nothing to fall back to, lib stays for the next update to heal */
	object_path("b of version 1", path);
	spoil(path);
	world_start(&w);
	assert_int_equal(world_version(&w, YG_STORE_LIB), 1);
	char digest[YG_SHA256_TEXT];
	yg_store_link(w.store, YG_STORE_LIB, digest);
	assert_int_equal(yg_store_check(w.store, digest, &err), -1);
	assert_non_null(strstr(err.msg, "b.hsb': the file is gone"));
	update(1);
	check_live(1, 0);
}

static void one_at_a_time(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store *other = yg_store_open(w.root, &err);
	assert_null(other);
	assert_string_equal(err.cause, "store.busy");
	assert_string_equal(err.msg, "'state/store.lock': another process has this store open");
}

static void says_when_there_is_no_room(void **state)
{
	(void)state;
	struct yg_err err = {0};
	assert_int_equal(yg_store_room(w.store, 1, &err), 0);
	assert_int_equal(yg_store_room(w.store, UINT64_MAX / 2, &err), -1);
	assert_string_equal(err.cause, "store.disk_full");
	assert_non_null(
		strstr(err.msg, "the update needs 8796093022208 MiB besides a reserve of 16 MiB"));
}

static void opens_only_inside(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char one[YG_SHA256_TEXT];
	update(1);
	world_digest(1, one);
	int fd YG_AUTO(
		fd) = yg_store_open_file(w.store, one, "am-pattern", "samples/find/s1", &err);
	assert_true(fd >= 0);
	assert_int_equal(yg_store_open_file(w.store, one, "am-pattern", "../set.json", &err), -1);
	assert_string_equal(err.msg, "'../set.json': not a path of a set");
	assert_int_equal(yg_store_open_component(w.store, one, "../..", &err), -1);
	assert_int_equal(yg_store_open_component(w.store, "..", "", &err), -1);
	assert_null(yg_store_set(w.store, "../lib", &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_live_and_the_one_before, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_back_once, setup, teardown),
		cmocka_unit_test_setup_teardown(same_set_again_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_a_set, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_bytes_that_are_not_the_object, setup,
			teardown),
		cmocka_unit_test_setup_teardown(stage_names_what_is_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(adopts_its_sets_again, setup, teardown),
		cmocka_unit_test_setup_teardown(heals_what_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(heals_from_its_own_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(left_overs_do_not_block, setup, teardown),
		cmocka_unit_test_setup_teardown(left_overs_do_not_block_staging, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_lib_falls_back, setup, teardown),
		cmocka_unit_test_setup_teardown(one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(says_when_there_is_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_only_inside, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
