/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Random sequences of everything that happens to a store, against a model that knows which set each link leads
 * to. Whatever the order: what is live is whole, byte for byte, and so is what can be gone back to; nothing is
 * kept that nobody needs.
 */
#include <sys/stat.h>

#include "tests/lib/content_set.h"

#define VERSIONS 5
#define ROUNDS   40
#define STEPS    40

struct model {
	int lib, copy, roll, held; /* versions; 0: none */
	int staged;                /* a set that a run has built, or 0 */
	bool running;
};

static struct world w;
static struct model m;
static uint64_t random_state;
static char trail[2048]; /* what was done, for the message */

static unsigned draw(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % below);
}

static void did(const char *what, int version)
{
	size_t len = strlen(trail);
	(void)snprintf(trail + len, sizeof(trail) - len, "%s %d, ", what, version);
}

static void must(int rc, const struct yg_err *err)
{
	if (rc < 0)
		fail_msg("%s\n%s", err->msg, trail);
}

static void begin(void)
{
	struct yg_err err = {0};
	if (m.running)
		return;
	did("begin", 0);
	must(yg_store_snapshot(w.store, &err), &err);
	m.copy = m.lib;
	m.running = true;
}

static void fetch(void)
{
	struct yg_err err = {0};
	int version = (int)draw(VERSIONS) + 1;
	begin();
	did("stage", version);
	struct yg_set *set YG_AUTO(yg_set) = world_set(version);
	must(world_add(w.store, version, &err), &err);
	if (draw(3) == 0) { /* in the middle of a run */
		uint32_t removed = 0;
		must(yg_store_collect(w.store, &removed, &err), &err);
		assert_int_equal(removed, 0);
	}
	must(yg_store_stage(w.store, set, &err), &err);
	must(yg_store_check(w.store, set->digest, &err), &err);
	m.staged = version;
}

static void finish(void)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	if (!m.running)
		return;
	if (m.staged && draw(4) > 0) {
		did("switch", m.staged);
		world_digest(m.staged, digest);
		must(yg_store_switch(w.store, digest, &err), &err);
		if (m.copy && m.copy != m.staged)
			m.roll = m.copy;
		m.lib = m.staged;
	}
	did("end", 0);
	must(yg_store_drop_snapshot(w.store, &err), &err);
	m.copy = m.staged = 0;
	m.running = false;
}

static void rollback(void)
{
	struct yg_err err = {0};
	if (m.running)
		return;
	did("rollback", m.roll);
	int rc = yg_store_rollback(w.store, &err);
	assert_int_equal(rc, m.roll ? 0 : -1);
	if (m.roll)
		m.lib = m.roll;
	m.roll = 0;
}

static void hold(void)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	if (m.running)
		return;
	if (m.held) {
		did("release", m.held);
		must(yg_store_hold_clear(w.store, &err), &err);
		m.held = 0;
	} else if (m.lib) {
		did("hold", m.lib);
		world_digest(m.lib, digest);
		must(yg_store_hold_set(w.store, digest, "rollback", &err), &err);
		m.held = m.lib;
	}
}

static void empty_iaurepo(void)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	did("empty iaurepo", 0);
	must(yg_fs_remove(w.root, "iaurepo", &err), &err);
	if (draw(2))
		must(yg_store_mend(w.store, &report, &err), &err);
}

static void spoil_description(void)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	char path[128];
	int version = draw(2) ? m.lib : m.roll;
	if (!version)
		return;
	did("spoil set.json of", version);
	world_digest(version, digest);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/set.json", digest));
	must(yg_fs_replace(w.root, path, yg_bytes_of("{\"comp"), 0444, &err), &err);
}

static bool needed(const char *sha256)
{
	const int versions[] = {m.lib, m.copy, m.roll, m.held};
	for (size_t i = 0; i < YG_COUNT(versions); i++) {
		char texts[WORLD_FILES][64];
		world_texts(versions[i], texts);
		for (size_t j = 0; versions[i] && j < WORLD_FILES; j++) {
			char sha[YG_SHA256_TEXT];
			world_sha(texts[j], sha);
			if (strcmp(sha, sha256) == 0)
				return true;
		}
	}
	return false;
}

/* Everything that a collection kept is needed. */
static void check_nothing_else(void)
{
	DIR *dir = NULL;
	char path[160];
	assert_true(yg_str_put(path, sizeof(path), "%s/iaurepo/objects", w.path));
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] != '.' && !needed(entry->d_name))
			fail_msg("object %s is of no use\n%s", entry->d_name, trail);
	(void)closedir(dir);
}

static void collect(void)
{
	struct yg_err err = {0};
	uint32_t removed = 0;
	did("collect", 0);
	must(yg_store_collect(w.store, &removed, &err), &err);
	if (m.running)
		assert_int_equal(removed, 0);
}

static void check_version(int version)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	if (!version)
		return;
	world_digest(version, digest);
	if (yg_store_check(w.store, digest, &err) < 0)
		fail_msg("version %d: %s\n%s", version, err.msg, trail);
}

static void check_model(void)
{
	struct yg_store_hold held;
	char digest[YG_SHA256_TEXT] = "";
	if (world_version(&w, YG_STORE_LIB) != m.lib ||
		world_version(&w, YG_STORE_ROLL) != m.roll ||
		world_version(&w, YG_STORE_COPY) != m.copy)
		fail_msg("want lib %d, li_roll %d, li_copy %d; have %d, %d, %d\n%s", m.lib, m.roll,
			m.copy, world_version(&w, YG_STORE_LIB), world_version(&w, YG_STORE_ROLL),
			world_version(&w, YG_STORE_COPY), trail);
	if (m.held)
		world_digest(m.held, digest);
	yg_store_hold(w.store, &held);
	assert_string_equal(held.set, digest);
}

/* A start, or a mending by hand, makes everything whole again. */
static void restart(void)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	did("start", 0);
	yg_store_free(w.store);
	w.store = yg_store_open(w.root, &err);
	must(w.store ? yg_store_recover(w.store, &report, &err) : -1, &err);
	m.copy = m.staged = 0;
	m.running = false;
	if (report.missing > 0)
		fail_msg("%u files are missing: %s\n%s", report.missing, report.first, trail);
	check_version(m.lib);
	check_version(m.roll);
}

static void play(uint64_t seed)
{
	static void (*const steps[])(void) = {fetch, fetch, finish, finish, finish, rollback, hold,
		empty_iaurepo, spoil_description, collect, collect, restart};
	w = (struct world){0};
	m = (struct model){0};
	random_state = seed * 0x9e3779b97f4a7c15ULL + 1;
	(void)snprintf(trail, sizeof(trail), "seed %llu: ", (unsigned long long)seed);
	world_open(&w);
	world_start(&w);
	for (int i = 0; i < STEPS; i++) {
		steps[draw(YG_COUNT(steps))]();
		if (!m.running || m.copy == m.lib)
			check_model();
	}
	restart();
	check_model();
	collect();
	if (m.lib)
		check_nothing_else();
	check_version(m.lib);
	check_version(m.roll);
	check_version(m.held);
	world_close(&w);
}

static void never_removes_what_is_live(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		play(seed);
}

/* ---- the rule, case by case ---- */

static int setup(void **state)
{
	(void)state;
	struct yg_err err = {0};
	w = (struct world){0};
	trail[0] = 0;
	world_open(&w);
	world_start(&w);
	must(world_update(w.store, 1, &err), &err);
	must(world_update(w.store, 2, &err), &err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void keeps_all_while_lib_is_unknown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint32_t removed = 0;
	assert_int_equal(yg_fs_remove(w.root, "lib", &err), 0);
	assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(world_count(&w, "sets"), 2);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
}

static void keeps_objects_of_a_set_it_cannot_read(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint32_t removed = 0;
	char digest[YG_SHA256_TEXT];
	char path[128];
	world_digest(2, digest);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/set.json", digest));
	assert_int_equal(yg_fs_replace(w.root, path, yg_bytes_of("{"), 0444, &err), 0);
	assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
	/* and the description comes back from what state/ knows of the set */
	world_start(&w);
	check_version(2);
	assert_int_equal(world_version(&w, YG_STORE_LIB), 2);
}

static void removes_what_has_many_names_and_no_use(void **state)
{
	(void)state;
	struct yg_err err = {0};
	uint32_t removed = 0;
	must(world_add(w.store, 4, &err), &err);
	char texts[WORLD_FILES][64];
	char sha[YG_SHA256_TEXT];
	char path[128];
	world_texts(4, texts);
	world_sha(texts[1], sha);
	assert_true(yg_str_put(path, sizeof(path), "iaurepo/objects/%s", sha));
	assert_int_equal(linkat(w.root, path, w.root, "somebodys-backup", 0), 0);
	assert_int_equal(yg_store_collect(w.store, &removed, &err), 0);
	assert_int_equal(removed, 2);
	assert_int_equal(world_count(&w, "iaurepo/objects"), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_removes_what_is_live),
		cmocka_unit_test_setup_teardown(keeps_all_while_lib_is_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_objects_of_a_set_it_cannot_read, setup,
			teardown),
		cmocka_unit_test_setup_teardown(removes_what_has_many_names_and_no_use, setup,
			teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
