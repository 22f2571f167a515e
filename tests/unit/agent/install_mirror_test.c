/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What a relay keeps: the linker sends some calls here (--wrap), to count them and to make each fail. */
#include <errno.h>
#include <sys/stat.h>

#include "agent/install_impl.h"
#include "core/json.h"
#include "tests/lib/content_set.h"

static struct {
	unsigned hashed;      /* calls of yg_codec_hash */
	unsigned calls, fail; /* fail: the number of the call that fails; 0: none */
} here;

int __real_yg_codec_hash(int in, char *sha256, uint64_t *size, struct yg_err *err);
int __wrap_yg_codec_hash(int in, char *sha256, uint64_t *size, struct yg_err *err);
int __wrap_yg_codec_hash(int in, char *sha256, uint64_t *size, struct yg_err *err)
{
	here.hashed += !world_helping;
	return __real_yg_codec_hash(in, sha256, size, err);
}

static bool fails(void)
{
	return !world_helping && here.fail && ++here.calls == here.fail;
}

#define WRAP_FD(name)                                                                              \
	int __real_##name(int fd);                                                                 \
	int __wrap_##name(int fd);                                                                 \
	int __wrap_##name(int fd)                                                                  \
	{                                                                                          \
		if (fails()) {                                                                     \
			errno = EIO;                                                               \
			return -1;                                                                 \
		}                                                                                  \
		return __real_##name(fd);                                                          \
	}
WRAP_FD(fsync)

int __real_linkat(int a, const char *b, int c, const char *d, int flags);
int __wrap_linkat(int a, const char *b, int c, const char *d, int flags);
int __wrap_linkat(int a, const char *b, int c, const char *d, int flags)
{
	if (fails()) {
		errno = ENOSPC;
		return -1;
	}
	return __real_linkat(a, b, c, d, flags);
}

int __real_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d)
{
	if (fails()) {
		errno = EIO;
		return -1;
	}
	return __real_renameat(a, b, c, d);
}

struct relay {
	struct world world;
	struct install_mirror *mirror;
};

static int set_up(void **state)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	struct yg_err err = {0};
	world_open(&relay->world);
	assert_int_equal(yg_fs_mkdirs(relay->world.root, "state", 0755, &err), 0);
	relay->mirror = install_mirror_new(relay->world.root, &err);
	assert_non_null(relay->mirror);
	memset(&here, 0, sizeof(here));
	*state = relay;
	return 0;
}

static int tear_down(void **state)
{
	struct relay *relay = *state;
	memset(&here, 0, sizeof(here));
	install_mirror_free(relay->mirror);
	world_close(&relay->world);
	free(relay);
	return 0;
}

static void restart(struct relay *relay)
{
	struct yg_err err = {0};
	install_mirror_free(relay->mirror);
	relay->mirror = install_mirror_new(relay->world.root, &err);
	assert_non_null(relay->mirror);
}

/* A set whose files travel as they are. */
static struct yg_set *offered(int version)
{
	struct yg_err err = {0};
	struct yg_set *set = world_set(version);
	for (size_t i = 0; i < set->components[0]->file_count; i++) {
		struct yg_file *file = &set->components[0]->files[i];
		struct yg_form form = {.encoding = YG_ENCODING_PLAIN, .size = file->size};
		memcpy(form.sha256, file->sha256, sizeof(form.sha256));
		assert_int_equal(yg_file_add_form(file, &form, &err), 0);
	}
	return set;
}

static int bring(struct relay *relay, const struct yg_form *form, const char *text,
	struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_tmpfile(relay->world.root, err);
	if (fd < 0)
		return -1;
	world_helping++; /* fetch brings it */
	assert_int_equal(yg_fs_write_all(fd, text, strlen(text), err), 0);
	world_helping--;
	return install_mirror_object_add(relay->mirror, fd, form, err);
}

static int note(struct relay *relay, const char *path, const char *text)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = yg_fs_memfd("note", yg_bytes_of(text), &err);
	assert_true(fd >= 0);
	return install_mirror_note(relay->mirror, path, fd, &err);
}

/* One publication: version of the set, and of the metadata. */
static int publish(struct relay *relay, int version, int metadata, struct yg_err *err)
{
	struct yg_set *set YG_AUTO(yg_set) = offered(version);
	char texts[WORLD_FILES][64];
	char path[64];
	world_texts(version, texts);
	for (size_t i = 0; i < WORLD_FILES; i++) {
		const struct yg_form *form = &set->components[0]->files[i].forms[0];
		if (!install_mirror_object_has(relay->mirror, form) &&
			bring(relay, form, texts[i], err) < 0)
			return -1;
	}
	(void)snprintf(path, sizeof(path), "metadata/%d.snapshot.json", metadata);
	assert_int_equal(note(relay, path, path), 0);
	(void)snprintf(path, sizeof(path), "targets/am/%d.am-pattern.json", version);
	assert_int_equal(note(relay, path, path), 0);
	(void)snprintf(path, sizeof(path), "timestamp of %d", metadata);
	assert_int_equal(note(relay, "metadata/timestamp.json", path), 0);
	if (install_mirror_stage(relay->mirror, err) < 0)
		return -1;
	return install_mirror_switch(relay->mirror, set, err);
}

static void must_publish(struct relay *relay, int version, int metadata)
{
	struct yg_err err = {0};
	if (publish(relay, version, metadata, &err) < 0)
		fail_msg("%d, %d: %s", version, metadata, err.msg);
}

static bool is_there(struct relay *relay, const char *path)
{
	char full[300];
	struct stat st;
	assert_true(yg_str_put(full, sizeof(full), "relay/%s", path));
	return fstatat(relay->world.root, full, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether all objects of a version are there; or, of those that only it has, none. */
static bool has_version(struct relay *relay, int version)
{
	struct yg_set *set YG_AUTO(yg_set) = offered(version);
	size_t count = 0;
	for (size_t i = 1; i < WORLD_FILES; i++) { /* the first is in all of them */
		char path[YG_OBJECT_PATH];
		yg_form_path(&set->components[0]->files[i].forms[0], path);
		count += is_there(relay, path);
	}
	assert_true(count == 0 || count == WORLD_FILES - 1);
	return count > 0;
}

static void spoil(struct relay *relay, const struct yg_form *form)
{
	char object[YG_OBJECT_PATH];
	char path[300];
	yg_form_path(form, object);
	assert_true(yg_str_put(path, sizeof(path), "relay/%s", object));
	assert_int_equal(fchmodat(relay->world.root, path, 0644, 0), 0);
	int fd YG_AUTO(fd) = openat(relay->world.root, path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "X", 1, 3), 1);
}

static void keeps_the_set_before_and_forgets_older_ones(void **state)
{
	struct relay *relay = *state;
	must_publish(relay, 1, 1);
	must_publish(relay, 2, 2);
	assert_true(has_version(relay, 1) && has_version(relay, 2));
	assert_true(is_there(relay, "targets/am/1.am-pattern.json"));
	restart(relay); /* what was before is known after a restart */
	must_publish(relay, 2, 3);
	assert_true(has_version(relay, 1));
	assert_true(is_there(relay, "metadata/2.snapshot.json")); /* of the last publication */
	must_publish(relay, 2, 4);
	assert_true(has_version(relay, 1));
	assert_false(is_there(relay, "metadata/2.snapshot.json"));
	assert_true(is_there(relay, "metadata/3.snapshot.json"));
	must_publish(relay, 3, 5);
	assert_false(has_version(relay, 1));
	assert_false(is_there(relay, "targets/am/1.am-pattern.json"));
	assert_true(has_version(relay, 2) && has_version(relay, 3));
	struct yg_set *set YG_AUTO(yg_set) = offered(3);
	assert_string_equal(install_mirror_set(relay->mirror), set->digest);
}

static void hashes_what_somebody_touched(void **state)
{
	struct relay *relay = *state;
	must_publish(relay, 1, 1);
	struct yg_set *set YG_AUTO(yg_set) = offered(1);
	const struct yg_form *form = &set->components[0]->files[1].forms[0];
	assert_true(install_mirror_object_has(relay->mirror, form));
	here.hashed = 0;
	for (int i = 0; i < 3; i++)
		assert_true(install_mirror_object_has(relay->mirror, form));
	assert_int_equal(here.hashed, 0);
	install_mirror_object_check(relay->mirror);
	assert_int_equal(here.hashed, WORLD_FILES);
	assert_true(install_mirror_object_has(relay->mirror, form));
	assert_int_equal(here.hashed, WORLD_FILES);
	restart(relay);
	assert_true(install_mirror_object_has(relay->mirror, form));
	assert_int_equal(here.hashed, WORLD_FILES + 1);
	assert_int_equal(install_mirror_object_damage(relay->mirror).count, 0);

	spoil(relay, form);
	assert_false(install_mirror_object_has(relay->mirror, form));
	struct install_mirror_damage found = install_mirror_object_damage(relay->mirror);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.object, form->sha256);
	assert_non_null(strstr(found.path, "relay/objects/"));
	assert_int_equal(install_mirror_object_damage(relay->mirror).count, 0);
	must_publish(relay, 1, 2);
	assert_true(install_mirror_object_has(relay->mirror, form));
}

static void a_check_removes_what_is_damaged(void **state)
{
	struct relay *relay = *state;
	must_publish(relay, 1, 1);
	struct yg_set *set YG_AUTO(yg_set) = offered(1);
	spoil(relay, &set->components[0]->files[2].forms[0]);
	install_mirror_object_check(relay->mirror);
	struct install_mirror_damage found = install_mirror_object_damage(relay->mirror);
	assert_int_equal(found.checked, WORLD_FILES);
	assert_int_equal(found.count, 1);
	char path[YG_OBJECT_PATH];
	yg_form_path(&set->components[0]->files[2].forms[0], path);
	assert_false(is_there(relay, path));
	yg_form_path(&set->components[0]->files[1].forms[0], path);
	assert_true(is_there(relay, path));
}

static void believes_no_bytes(void **state)
{
	struct relay *relay = *state;
	struct yg_set *set YG_AUTO(yg_set) = offered(1);
	const struct yg_form *form = &set->components[0]->files[0].forms[0];
	static const struct {
		const char *text, *cause, *says;
	} rows[] = {
		{"the same in every versioN", "content.hash", "have SHA-256 "},
		{"the same", "content.size", "want 25 bytes, have 8"},
		{"the same in every version, and more", "content.size", "want 25 bytes, have 35"},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		assert_int_equal(bring(relay, form, rows[i].text, &err), -1);
		if (strcmp(err.cause, rows[i].cause) != 0 || !strstr(err.msg, rows[i].says))
			fail_msg("%s: %s: %s", rows[i].text, err.cause, err.msg);
		assert_false(install_mirror_object_has(relay->mirror, form));
	}
	struct yg_err err = {0};
	assert_int_equal(note(relay, "objects/x", "x"), -1);
	assert_int_equal(note(relay, "metadata/../x", "x"), -1);
	assert_int_equal(bring(relay, form, "the same in every version", &err), 0);
	assert_true(install_mirror_object_has(relay->mirror, form));
}

/* T10: whatever lies where something belongs. */
static void what_was_left_behind_is_in_nobodys_way(void **state)
{
	struct relay *relay = *state;
	int root = relay->world.root;
	struct yg_err err = {0};
	struct yg_set *set YG_AUTO(yg_set) = offered(1);
	char object[YG_OBJECT_PATH];
	char path[300];
	yg_form_path(&set->components[0]->files[0].forms[0], object);
	assert_true(yg_str_put(path, sizeof(path), "relay/%s/in/it", object));
	assert_int_equal(yg_fs_mkdirs(root, path, 0755, &err), 0);
	yg_form_path(&set->components[0]->files[1].forms[0], object);
	assert_true(yg_str_put(path, sizeof(path), "relay/%.10s", object)); /* "objects/ab" */
	assert_int_equal(yg_fs_replace(root, path, yg_bytes_of("left"), 0600, &err), 0);
	yg_form_path(&set->components[0]->files[2].forms[0], object);
	assert_true(yg_str_put(path, sizeof(path), "relay/%.10s", object));
	(void)!yg_fs_mkdirs(root, path, 0755, &err);
	assert_true(yg_str_put(path, sizeof(path), "relay/%s", object));
	assert_int_equal(symlinkat("../../../state", root, path), 0);
	assert_int_equal(yg_fs_remove(root, "relay/targets", &err), 0);
	assert_int_equal(yg_fs_replace(root, "relay/targets", yg_bytes_of("left"), 0600, &err), 0);
	assert_int_equal(yg_fs_mkdirs(root, "relay/metadata/1.snapshot.json/in/it", 0755, &err), 0);
	must_publish(relay, 1, 1);
	for (size_t i = 0; i < WORLD_FILES; i++)
		assert_true(install_mirror_object_has(relay->mirror,
			&set->components[0]->files[i].forms[0]));
	assert_true(is_there(relay, "targets/am/1.am-pattern.json"));

	/* The same when it starts. */
	install_mirror_free(relay->mirror);
	assert_int_equal(yg_fs_remove(root, "relay/objects", &err), 0);
	assert_int_equal(yg_fs_replace(root, "relay/objects", yg_bytes_of("left"), 0600, &err), 0);
	relay->mirror = NULL;
	restart(relay);
	must_publish(relay, 1, 2);
	assert_true(has_version(relay, 1));
}

/* Every call that changes the disk fails once: what is served is the old publication or the new one, and the
 * next try succeeds.
 */
static void survives_every_failure(void **state)
{
	struct relay *relay = *state;
	must_publish(relay, 1, 1);
	unsigned failed = 0;
	for (int version = 2;; version++) {
		struct yg_err err = {0};
		here.calls = 0;
		here.fail = ++failed;
		int rc = publish(relay, version, version, &err);
		here.fail = 0;
		install_mirror_forget(relay->mirror);
		if (here.calls < failed) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_true(has_version(relay, version - 1));
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(100);
		struct yg_err why = {0};
		assert_int_equal(yg_fs_read(relay->world.root, "relay/metadata/timestamp.json",
					 &text, &why),
			0);
		char old[32], new[32];
		(void)snprintf(old, sizeof(old), "timestamp of %d", version - 1);
		(void)snprintf(new, sizeof(new), "timestamp of %d", version);
		bool is_new = text.len == strlen(new) && memcmp(text.data, new, text.len) == 0;
		bool is_old = text.len == strlen(old) && memcmp(text.data, old, text.len) == 0;
		assert_true(is_new || is_old);
		if (is_new)
			assert_true(has_version(relay, version));
		restart(relay);
		must_publish(relay, version, version);
		assert_true(has_version(relay, version) && has_version(relay, version - 1));
	}
	assert_true(failed > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_the_set_before_and_forgets_older_ones, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(hashes_what_somebody_touched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_check_removes_what_is_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(believes_no_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_left_behind_is_in_nobodys_way, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(survives_every_failure, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
