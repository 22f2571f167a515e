/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tests/fault/story.h"

#include <sys/mman.h>
#include <sys/stat.h>

const char *const story_names[STORIES] = {"install", "update", "rollback", "repair"};

/* Made once, so that the stories consist of the store's calls alone. */
struct release {
	struct yg_set *set;
	char texts[WORLD_FILES][64];
	char sha256[WORLD_FILES][YG_SHA256_TEXT];
};
#define VERSIONS 5
static struct release releases[VERSIONS];

static const struct release *release(int version)
{
	struct release *r = &releases[version];
	if (r->set)
		return r;
	world_texts(version, r->texts);
	for (size_t i = 0; i < WORLD_FILES; i++)
		world_sha(r->texts[i], r->sha256[i]);
	r->set = world_set(version);
	return r;
}

static const char *digest(int version)
{
	return release(version)->set->digest;
}

/* ---- an update, with everything a run does to the store ---- */

/* The transfer: from where an earlier run stopped; what is not right then is fetched again. */
static int transfer(struct yg_store *store, const char *text, const char *sha256,
	struct yg_err *err)
{
	for (int tries = 0; tries < 2; tries++) {
		uint64_t have = 0;
		uint64_t size = 0;
		size_t len = strlen(text);
		char hash[YG_SHA256_TEXT];
		int fd YG_AUTO(fd) = yg_store_part_open(store, sha256, &have, err);
		if (fd < 0 || yg_store_allot(store, fd, len, err) < 0)
			return -1;
		if (have <= len) {
			size_t half = have + (len - have) / 2;
			if (lseek(fd, (off_t)have, SEEK_SET) < 0 ||
				yg_fs_write_all(fd, text + have, half - have, err) < 0 ||
				yg_fs_write_all(fd, text + half, len - half, err) < 0)
				return -1;
			if (lseek(fd, 0, SEEK_SET) < 0 || yg_codec_hash(fd, hash, &size, err) < 0)
				return -1;
			if (size == len && strcmp(hash, sha256) == 0)
				return yg_take_fd(fd);
		}
		if (yg_store_part_drop(store, sha256, err) < 0)
			return -1;
	}
	return yg_fail(err, YG_EUNTRUSTED, "a part does not become whole");
}

static int fetch(struct yg_store *store, const char *text, const char *sha256, struct yg_err *err)
{
	if (yg_store_object_has(store, sha256, strlen(text)))
		return 0;
	int part YG_AUTO(fd) = transfer(store, text, sha256, err);
	int fd YG_AUTO(fd) = part < 0 ? -1 : yg_store_object_new(store, err);
	if (fd < 0 || yg_store_allot(store, fd, strlen(text), err) < 0 ||
		yg_fs_copy(part, fd, err) < 0 ||
		yg_store_object_add(store, fd, sha256, strlen(text), err) < 0)
		return -1;
	return yg_store_part_drop(store, sha256, err);
}

static int update(struct yg_store *store, int version, struct story_told *told, struct yg_err *err)
{
	const struct release *r = release(version);
	uint32_t removed = 0;
	if (yg_store_snapshot(store, err) < 0 || yg_store_reserve(store, 65536, err) < 0)
		return -1;
	for (size_t i = 0; i < WORLD_FILES; i++)
		if (fetch(store, r->texts[i], r->sha256[i], err) < 0)
			return -1;
	if (yg_store_stage(store, r->set, err) < 0 ||
		yg_store_check(store, digest(version), err) < 0 ||
		yg_store_switch(store, digest(version), err) < 0)
		return -1;
	if (told)
		told->switched = true;
	if (yg_store_drop_snapshot(store, err) < 0)
		return -1;
	return yg_store_collect(store, &removed, err);
}

static int rollback(struct yg_store *store, struct story_told *told, struct yg_err *err)
{
	uint32_t removed = 0;
	if (yg_store_hold_set(store, digest(2), "rollback", err) < 0)
		return -1;
	told->held = true;
	if (yg_store_rollback(store, err) < 0)
		return -1;
	told->switched = true;
	return yg_store_collect(store, &removed, err);
}

static int tell(struct telling *t, struct yg_err *err)
{
	struct yg_store_report report = {0};
	struct yg_store *store YG_AUTO(yg_store) = yg_store_open(t->w.root, err);
	if (!store || yg_store_recover(store, &report, err) < 0)
		return -1;
	switch (t->story) {
	case STORY_INSTALL:
		return update(store, 1, t->told, err);
	case STORY_UPDATE:
		return update(store, 3, t->told, err);
	case STORY_ROLLBACK:
		return rollback(store, t->told, err);
	case STORY_REPAIR:
		return yg_store_repair(store, &report, err);
	case STORIES:
		break;
	}
	return -1;
}

int story_tell(void *arg)
{
	struct telling *t = arg;
	struct yg_err err = {0};
	if (tell(t, &err) == 0)
		return 0;
	(void)yg_store_named(&err); /* the writes and reads of the run itself */
	t->told->err = err;
	return 1;
}

/* ---- before and after ---- */

/* Everything that can be wrong and heals without a network. */
static void spoil(struct telling *t)
{
	struct yg_err err = {0};
	char path[256];
	char target[128];
	assert_true(yg_str_put(target, sizeof(target), "sets/%s", digest(1)));
	assert_int_equal(yg_fs_symlink(t->w.root, target, "li_copy", &err), 0);
	assert_int_equal(yg_fs_remove(t->w.root, "li_roll", &err), 0);
	assert_int_equal(yg_fs_remove(t->w.root, "iaurepo", &err), 0);
	assert_int_equal(yg_fs_mkdirs(t->w.root, "iaurepo/tmp/a/b", 0755, &err), 0);
	assert_int_equal(yg_fs_mkdirs(t->w.root, "sets/x", 0755, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/am-pattern/a.hsb", digest(1)));
	assert_int_equal(yg_fs_remove(t->w.root, path, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/am-pattern/planted", digest(2)));
	assert_int_equal(yg_fs_replace(t->w.root, path, yg_bytes_of("x"), 0600, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "sets/%s/set.json", digest(2)));
	assert_int_equal(yg_fs_replace(t->w.root, path, yg_bytes_of("{"), 0444, &err), 0);
}

void story_prepare(struct telling *t, enum story story)
{
	struct yg_err err = {0};
	*t = (struct telling){.story = story};
	for (int version = 1; version < VERSIONS; version++)
		(void)release(version);
	t->told = mmap(NULL, sizeof(*t->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	assert_true(t->told != MAP_FAILED);
	world_open(&t->w);
	if (story == STORY_INSTALL)
		return;
	world_start(&t->w);
	if (update(t->w.store, 1, NULL, &err) < 0 || update(t->w.store, 2, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	yg_store_free(t->w.store);
	t->w.store = NULL;
	if (story == STORY_REPAIR)
		spoil(t);
}

void story_free(struct telling *t)
{
	world_close(&t->w);
	assert_int_equal(munmap(t->told, sizeof(*t->told)), 0);
}

static int version_of(struct yg_store *store, enum yg_store_link link)
{
	char have[YG_SHA256_TEXT];
	yg_store_link(store, link, have);
	for (int version = 1; version < VERSIONS; version++)
		if (strcmp(have, digest(version)) == 0)
			return version;
	return have[0] ? -1 : 0;
}

/* What lib and li_roll may be. */
static const struct {
	int lib[2], roll[2]; /* before, after */
} ends[STORIES] = {
	[STORY_INSTALL] = {{0, 1}, {0, 0}},
	[STORY_UPDATE] = {{2, 3}, {1, 2}},
	[STORY_ROLLBACK] = {{2, 1}, {1, 0}},
	[STORY_REPAIR] = {{2, 2}, {1, 1}},
};

static void check_set(struct yg_store *store, int version, const char *what)
{
	struct yg_err err = {0};
	if (version > 0 && yg_store_check(store, digest(version), &err) < 0)
		fail_msg("%s: version %d: %s", what, version, err.msg);
}

static void check_live(const struct telling *t, struct yg_store *store, const char *what)
{
	struct yg_store_hold hold;
	int lib = version_of(store, YG_STORE_LIB);
	int roll = version_of(store, YG_STORE_ROLL);
	bool new = t->told->switched || lib != ends[t->story].lib[0];
	if (lib != ends[t->story].lib[new] || roll != ends[t->story].roll[new] ||
		version_of(store, YG_STORE_COPY) != 0)
		fail_msg("%s: %s: lib leads to version %d, li_roll to %d, li_copy to %d", what,
			t->told->switched ? "after the switch" : "before", lib, roll,
			version_of(store, YG_STORE_COPY));
	check_set(store, lib, what);
	check_set(store, roll, what);
	yg_store_hold(store, &hold);
	bool held = strcmp(hold.set, digest(2)) == 0;
	if (t->story == STORY_ROLLBACK && !held && (new || t->told->held))
		fail_msg("%s: the hold is lost", what);
}

void story_check(const struct telling *t, int root, const char *path, const char *what)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	struct world after = {.root = root};
	assert_true(yg_str_put(after.path, sizeof(after.path), "%s", path));
	struct yg_store *store YG_AUTO(yg_store) = yg_store_open(root, &err);
	if (!store || yg_store_recover(store, &report, &err) < 0)
		fail_msg("%s: the next start: %s", what, err.msg);
	if (report.missing > 0)
		fail_msg("%s: %u files are missing, first %s", what, report.missing, report.first);
	check_live(t, store, what);
	assert_int_equal(world_count(&after, "iaurepo/tmp"), 0);
	int before = version_of(store, YG_STORE_LIB);
	if (update(store, 4, NULL, &err) < 0)
		fail_msg("%s: the next update: %s", what, err.msg);
	if (version_of(store, YG_STORE_LIB) != 4 || version_of(store, YG_STORE_ROLL) != before)
		fail_msg("%s: the next update did not switch", what);
	check_set(store, 4, what);
	check_set(store, before, what);
}
