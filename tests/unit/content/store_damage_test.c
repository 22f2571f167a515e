/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Left-overs of every kind at every name (T10), bytes that changed (T6, T11), folders that vanish while a run is
 * under way (T6), and what nothing on this disk can replace.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/lib/content_set.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	struct yg_err err = {0};
	w = (struct world){0};
	world_open(&w);
	world_start(&w);
	assert_int_equal(world_update(w.store, 1, &err), 0);
	assert_int_equal(world_update(w.store, 2, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

/* in  form  a name, in which "%s" stands for the version's digest */
static void put_digest(int version, const char *form, char out[160])
{
	char digest[YG_SHA256_TEXT];
	const char *at = strstr(form, "%s");
	world_digest(version, digest);
	if (at)
		assert_true(
			yg_str_put(out, 160, "%.*s%s%s", (int)(at - form), form, digest, at + 2));
	else
		assert_true(yg_str_put(out, 160, "%s", form));
}

static void object_path(const char *text, char out[160])
{
	char sha[YG_SHA256_TEXT];
	world_sha(text, sha);
	assert_true(yg_str_put(out, 160, "iaurepo/objects/%s", sha));
}

static void flip(const char *path)
{
	char byte = 0;
	assert_int_equal(fchmodat(w.root, path, 0644, 0), 0);
	int fd YG_AUTO(fd) = openat(w.root, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 3), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 3), 1);
}

/* ---- left-overs ---- */

enum kind { A_FILE, A_FOLDER, A_DEEP_FOLDER, A_LINK, A_DEAD_LINK, A_FIFO, A_DEVICE, KINDS };
static const char *const kind_names[KINDS] = {"file", "folder", "deep folder", "link", "dead link",
	"fifo", "device"};

/* Returns false where this is not allowed. */
static bool plant(const char *path, enum kind kind)
{
	struct yg_err err = {0};
	char deep[512];
	assert_int_equal(yg_fs_remove(w.root, path, &err), 0);
	switch (kind) {
	case A_FILE:
		return yg_fs_replace(w.root, path, yg_bytes_of("x"), 0644, &err) == 0;
	case A_FOLDER:
		assert_true(yg_str_put(deep, sizeof(deep), "%s/a", path));
		return yg_fs_mkdirs(w.root, deep, 0755, &err) == 0;
	case A_DEEP_FOLDER:
		assert_true(yg_str_put(deep, sizeof(deep), "%s", path));
		for (int i = 0; i < 100; i++)
			memcpy(deep + strlen(deep), "/d", 3);
		return yg_fs_mkdirs(w.root, deep, 0755, &err) == 0;
	case A_LINK:
		return symlinkat("/etc", w.root, path) == 0;
	case A_DEAD_LINK:
		return symlinkat("/nowhere", w.root, path) == 0;
	case A_FIFO:
		return mkfifoat(w.root, path, 0600) == 0;
	case A_DEVICE:
		return mknodat(w.root, path, S_IFBLK | 0600, makedev(7, 250)) == 0;
	case KINDS:
		break;
	}
	return false;
}

static void start(const char *name, enum kind kind, struct yg_store_report *report)
{
	struct yg_err err = {0};
	*report = (struct yg_store_report){0};
	yg_store_free(w.store);
	w.store = yg_store_open(w.root, &err);
	if (!w.store || yg_store_recover(w.store, report, &err) < 0)
		fail_msg("%s at '%s': %s", kind_names[kind], name, err.msg);
}

static void check(const char *name, enum kind kind, int version)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	world_digest(version, digest);
	if (world_version(&w, YG_STORE_LIB) != version || yg_store_check(w.store, digest, &err) < 0)
		fail_msg("%s at '%s': lib leads to %d: %s", kind_names[kind], name,
			world_version(&w, YG_STORE_LIB), err.msg);
}

/* in  lib  the version that is live after the start */
static void survives(const char *name, enum kind kind, int lib)
{
	struct yg_err err = {0};
	struct yg_store_report report;
	start(name, kind, &report);
	/* What can be put right by a good copy at once is counted as that. */
	if (report.leftovers + report.dropped + report.relinked == 0)
		fail_msg("%s at '%s': not reported", kind_names[kind], name);
	check(name, kind, lib);
	assert_int_equal(world_count(&w, "iaurepo/tmp"), 0);
	for (int version = 3; version >= 2; version--) {
		if (world_update(w.store, version, &err) < 0)
			fail_msg("%s at '%s': %s", kind_names[kind], name, err.msg);
		check(name, kind, version);
	}
	if (world_update(w.store, 1, &err) < 0 || world_update(w.store, 2, &err) < 0)
		fail_msg("%s at '%s': %s", kind_names[kind], name, err.msg);
}

static void left_overs_of_every_kind(void **state)
{
	(void)state;
	static const struct {
		const char *name; /* %s: the digest of version 2 */
		int lib;
	} cases[] = {
		{"iaurepo", 2},
		{"iaurepo/objects", 2},
		{"iaurepo/objects/x", 2},
		{"iaurepo/objects/%s", 2},
		{"iaurepo/tmp", 2},
		{"iaurepo/tmp/gone.1.0", 2},
		{"iaurepo/part", 2},
		{"iaurepo/part/%s", 2},
		{"sets/x", 2},
		{"sets/0000000000000000000000000000000000000000000000000000000000000000", 2},
		{"sets/%s/set.json", 2},
		{"sets/%s/iaulogs", 2},
		{"sets/%s/planted", 2},
		{"sets/%s/am-pattern/planted", 2},
		{"sets/%s/am-pattern/b.hsb", 2},
		{"sets/%s/am-pattern/samples", 2},
		{"iaulogs", 2},
		{"lib", 1},
		{"li_copy", 2},
		{"lib.4711.tmp", 2},
		{"state/hold.json.4711.tmp", 2},
		{"state/store.lock", 2},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		char name[160];
		put_digest(2, cases[i].name, name);
		for (enum kind kind = 0; kind < KINDS; kind++) {
			/* What may well be there: a part, a folder, a lock of any kind. */
			if (kind == A_FILE && strncmp(name, "iaurepo/part/", 13) == 0)
				continue;
			bool lock = strcmp(name, "state/store.lock") == 0;
			bool folder = strcmp(name, "iaulogs") == 0 ||
				strncmp(name, "iaurepo", 7) == 0;
			if ((lock && (kind == A_FILE || kind == A_FIFO || kind == A_DEVICE)) ||
				(folder && strchr(name, '.') == NULL && !strstr(name, "objects/") &&
					!strstr(name, "part/") &&
					(kind == A_FOLDER || kind == A_DEEP_FOLDER)))
				continue;
			if (plant(name, kind))
				survives(name, kind, cases[i].lib);
		}
	}
}

/* All of state/ or sets/ is a file: what is left is used, and nothing blocks. */
static void folders_that_are_files(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report;
	yg_store_free(w.store);
	w.store = NULL;
	assert_true(plant("sets", A_FILE));
	start("sets", A_FILE, &report);
	/* the sets are built again: state/ knows them, iaurepo has their files */
	check("sets", A_FILE, 2);
	assert_int_equal(world_version(&w, YG_STORE_ROLL), 1);
	yg_store_free(w.store);
	w.store = NULL;
	assert_true(plant("state", A_FILE));
	start("state", A_FILE, &report);
	assert_int_equal(report.leftovers, 1);
	check("state", A_FILE, 2);
	assert_int_equal(world_update(w.store, 3, &err), 0);
	check("state", A_FILE, 3);
}

/* The engine reads whole folders: what was not signed must not lie in one. */
static void foreign_files_are_refused(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	char path[160];
	char want[320];
	world_digest(2, digest);
	put_digest(2, "sets/%s/am-pattern/evil.hdb", path);
	assert_int_equal(yg_fs_replace(w.root, path, yg_bytes_of("x"), 0644, &err), 0);
	assert_int_equal(yg_store_check(w.store, digest, &err), -1);
	assert_string_equal(err.cause, "store.object_damaged");
	assert_true(yg_str_put(want, sizeof(want), "'%s': the set does not consist of this", path));
	assert_string_equal(err.msg, want);
	struct yg_store_report report = {0};
	err = (struct yg_err){0};
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.leftovers, 1);
	check(path, A_FILE, 2);
}

/* ---- damage ---- */

struct lost {
	char text[8][160]; /* "2 am-pattern/b.hsb 14" */
	size_t count, forms;
};

static int note_lost(void *ctx, const struct yg_store_lost *lost, struct yg_err *err)
{
	struct lost *all = ctx;
	(void)err;
	assert_true(all->count < 8);
	assert_true(yg_str_put(all->text[all->count++], 160, "%d %s/%s %s %d", (int)lost->link,
		lost->component, lost->file->path, lost->file->sha256, (int)lost->file->size));
	all->forms += lost->file->form_count;
	return 0;
}

static void expect_lost(const struct lost *lost, size_t at, int link, const char *path,
	const char *text)
{
	char sha[YG_SHA256_TEXT];
	char want[160];
	world_sha(text, sha);
	assert_true(yg_str_put(want, sizeof(want), "%d am-pattern/%s %s %d", link, path, sha,
		(int)strlen(text)));
	assert_string_equal(lost->text[at], want);
}

/* One bit of a file that live and rollback share, and one that only rollback needs. */
static void names_what_is_nowhere(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	struct lost lost = {0};
	char path[160];
	assert_int_equal(yg_store_missing(w.store, note_lost, &lost, &err), 0);
	assert_int_equal(lost.count, 0);
	object_path("the same in every version", path);
	flip(path);
	object_path("b of version 1", path);
	flip(path);
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.missing, 3);
	assert_int_equal(yg_store_missing(w.store, note_lost, &lost, &err), 0);
	assert_int_equal(lost.count, 3);
	expect_lost(&lost, 0, YG_STORE_LIB, "a.hsb", "the same in every version");
	expect_lost(&lost, 1, YG_STORE_ROLL, "a.hsb", "the same in every version");
	expect_lost(&lost, 2, YG_STORE_ROLL, "b.hsb", "b of version 1");

	/* with these objects fetched again, one look heals both sets */
	assert_int_equal(world_add(w.store, 1, &err), 0);
	report = (struct yg_store_report){0};
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.missing, 0);
	assert_int_equal(report.relinked, 3);
	check("", A_FILE, 2);
	assert_int_equal(yg_store_rollback(w.store, &err), 0);
	check("", A_FILE, 1);
}

/* What the manifests of its day offered is kept, so that also an old set's file can be fetched. */
static void knows_the_forms_of_what_is_lost(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	struct lost lost = {0};
	struct yg_set *set YG_AUTO(yg_set) = world_set(3);
	char path[160];
	for (size_t i = 0; i < WORLD_FILES; i++) {
		struct yg_file *file = &set->components[0]->files[i];
		file->forms = calloc(1, sizeof(*file->forms));
		assert_non_null(file->forms);
		memcpy(file->forms[0].sha256, file->sha256, YG_SHA256_TEXT);
		file->forms[0].size = file->size;
		file->form_count = 1;
	}
	assert_int_equal(world_add(w.store, 3, &err), 0);
	assert_int_equal(yg_store_stage(w.store, set, &err), 0);
	assert_int_equal(yg_store_switch(w.store, set->digest, &err), 0);
	object_path("b of version 3", path);
	flip(path);
	world_start(&w);
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(yg_store_missing(w.store, note_lost, &lost, &err), 0);
	for (size_t i = 0; i < lost.count; i++)
		assert_non_null(strstr(lost.text[i], "b.hsb"));
	assert_int_equal(lost.forms, lost.count);
}

static void a_flipped_description_comes_back(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char path[160];
	put_digest(2, "sets/%s/set.json", path);
	flip(path);
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.relinked, 1);
	check(path, A_FILE, 2);
	/* without what state/ knows, the files are adopted by hash and the set before takes over */
	flip(path);
	assert_int_equal(yg_fs_remove(w.root, "state/sets", &err), 0);
	assert_int_equal(yg_fs_remove(w.root, "iaurepo", &err), 0);
	world_start(&w);
	check(path, A_FILE, 1);
	char object[160];
	object_path("b of version 2", object);
	assert_int_equal(faccessat(w.root, object, F_OK, 0), 0);
}

/* ---- while a run is under way ---- */

static void empty(int at, int step)
{
	struct yg_err err = {0};
	if (at == step && yg_fs_remove(w.root, "iaurepo", &err) < 0)
		fail_msg("%s", err.msg);
}

/* One run as the agent makes it: what is gone again is fetched again. */
static int run(int version, int at, struct yg_err *err)
{
	uint32_t removed = 0;
	struct yg_set *set YG_AUTO(yg_set) = world_set(version);
	empty(at, 0);
	if (yg_store_snapshot(w.store, err) < 0)
		return -1;
	empty(at, 1);
	for (int tries = 0;; tries++) {
		struct yg_err why = {0};
		if (world_add(w.store, version, err) < 0)
			return -1;
		empty(at, 2 + tries);
		if (yg_store_stage(w.store, set, &why) == 0)
			break;
		if (why.code != YG_EABSENT || tries == 3) {
			*err = why;
			return -1;
		}
		struct yg_store_report report = {0};
		if (yg_store_mend(w.store, &report, err) < 0)
			return -1;
	}
	empty(at, 4);
	if (yg_store_check(w.store, set->digest, err) < 0 ||
		yg_store_switch(w.store, set->digest, err) < 0)
		return -1;
	empty(at, 5);
	if (yg_store_drop_snapshot(w.store, err) < 0)
		return -1;
	empty(at, 6);
	return yg_store_collect(w.store, &removed, err);
}

static void emptied_at_every_step(void **state)
{
	(void)state;
	for (int at = 0; at <= 6; at++) {
		struct yg_err err = {0};
		if (run(2 + (at + 1) % 2, at, &err) < 0)
			fail_msg("step %d: %s", at, err.msg);
		check("iaurepo", A_FOLDER, 2 + (at + 1) % 2);
		struct yg_store_report report = {0};
		assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
		assert_int_equal(report.missing, 0);
	}
}

/* An object that is half there when its folder vanishes is finished all the same. */
static void a_folder_vanishes_under_an_object(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char sha[YG_SHA256_TEXT];
	world_sha("new", sha);
	int fd YG_AUTO(fd) = yg_store_object_new(w.store, &err);
	assert_int_equal(yg_fs_write_all(fd, "new", 3, &err), 0);
	assert_int_equal(yg_fs_remove(w.root, "iaurepo", &err), 0);
	assert_int_equal(yg_store_object_add(w.store, fd, sha, 3, &err), 0);
	assert_true(yg_store_object_has(w.store, sha, 3));
}

/* A process may have a limit on the size of files: a failure with a name, and nothing live changes. */
static void a_limit_on_files_is_no_damage(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	const struct rlimit small = {.rlim_cur = 64, .rlim_max = before.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN); /* as every role does */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = world_update(w.store, 3, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, -1);
	assert_string_equal(err.cause, "system.error");
	assert_int_equal(world_version(&w, YG_STORE_LIB), 2);
	err = (struct yg_err){0};
	assert_int_equal(world_update(w.store, 3, &err), 0);
	check("", A_FILE, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(left_overs_of_every_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_that_are_files, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(names_what_is_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_the_forms_of_what_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flipped_description_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(emptied_at_every_step, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_vanishes_under_an_object, setup, teardown),
		cmocka_unit_test_setup_teardown(a_limit_on_files_is_no_damage, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
