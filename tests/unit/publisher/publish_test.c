/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content/codec.h"
#include "content/set.h"
#include "core/attr.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/init.h"
#include "publisher/release.h"
#include "publisher/resign.h"
#include "publisher/show.h"
#include "publisher/verify.h"
#include "tests/lib/cmocka_all.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

/* A folder for one test, and a command for the repository in it. */
struct place {
	char dir[64];
	char repo[96], from[96], keys[96];
	struct command command;
};

static void write_file(const char *path, const char *text)
{
	struct yg_err err = {0};
	assert_int_equal(yg_fs_replace(AT_FDCWD, path, yg_bytes_of(text), 0644, &err), 0);
}

static int setup(void **state)
{
	struct yg_err err = {0};
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	assert_true(yg_str_put(place->dir, sizeof(place->dir), "/tmp/yg-publish-XXXXXX"));
	assert_non_null(mkdtemp(place->dir));
	assert_true(yg_str_put(place->repo, sizeof(place->repo), "%s/repo", place->dir));
	assert_true(yg_str_put(place->from, sizeof(place->from), "%s/from", place->dir));
	assert_true(yg_str_put(place->keys, sizeof(place->keys), "%s/keys", place->dir));
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, place->from, 0755, &err), 0);
	char path[128];
	assert_true(yg_str_put(path, sizeof(path), "%s/a.hdb", place->from));
	write_file(path, "44d88612fea8a8f36de82e1278abb02f:68:Test.A\n");
	assert_true(yg_str_put(path, sizeof(path), "%s/b.ndb", place->from));
	write_file(path, "Test.B:0:*:414141414141414141414141\n");
	place->command = (struct command){.repo = place->repo,
		.component = "am-pattern",
		.keys = place->keys,
		.from = {place->from},
		.from_count = 1,
		.now = NOW,
		.abi_min = 150,
		.abi_max = 999,
		.root_keys = 3,
		.threshold = 2,
		.level = 9,
		.days = {365, 90, 14, 7}};
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct yg_err err = {0};
	struct place *place = *state;
	assert_int_equal(yg_fs_remove(AT_FDCWD, place->dir, &err), 0);
	free(place);
	return 0;
}

/* Run a command; its result is the caller's. */
static json_t *ok(int (*run)(const struct command *, json_t **, struct yg_err *),
	const struct command *command)
{
	struct yg_err err = {0};
	json_t *out = NULL;
	if (run(command, &out, &err) != 0)
		fail_msg("%s", err.msg);
	assert_non_null(out);
	return out;
}

static void done(int (*run)(const struct command *, json_t **, struct yg_err *),
	const struct command *command)
{
	json_decref(ok(run, command));
}

static void fails(int (*run)(const struct command *, json_t **, struct yg_err *),
	const struct command *command, enum yg_code code, const char *msg)
{
	struct yg_err err = {0};
	json_t *out YG_AUTO(yg_json) = NULL; /* verify says what it found */
	assert_int_equal(run(command, &out, &err), -1);
	if (!strstr(err.msg, msg))
		fail_msg("'%s', want '%s'", err.msg, msg);
	assert_int_equal(err.code, code);
}

/* ---- publish to client ---- */

/* What a client with this root finds in the repository, file by file. */
static void round_trip(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char root_path[96], add[128];
	done(init_run, &place->command);
	assert_true(yg_str_put(add, sizeof(add), "%s/sample-1", place->dir));
	write_file(add, "harmless");
	place->command.find[0] = add;
	place->command.find_count = 1;
	place->command.description = "first";
	done(release_run, &place->command);
	assert_true(yg_str_put(root_path, sizeof(root_path), "%s/root.json", place->dir));
	place->command.out = root_path;
	done(show_trust, &place->command);

	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	repo.dir = yg_fs_open_dir(AT_FDCWD, place->repo, &err);
	assert_int_equal(yg_fs_read(AT_FDCWD, root_path, &root, &err), 0);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&repo_ops, &repo.dir, NOW, &err);
	assert_int_equal(yg_tuf_trust(tuf, yg_buf_bytes(&root), &err), 0);
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.clamav = 200, .families = YG_FAMILIES_ALL, .every = true},
		NULL, &err);
	if (!set)
		fail_msg("%s", err.msg);
	assert_int_equal(set->count, 1);
	const struct yg_manifest *manifest = set->components[0];
	assert_int_equal(manifest->version, 1);
	assert_int_equal(manifest->released, NOW);
	assert_string_equal(manifest->description, "first");
	assert_int_equal(manifest->file_count, 3);
	assert_string_equal(manifest->files[0].path, "a.hdb");
	assert_string_equal(manifest->files[2].path, "samples/find/sample-1");
	assert_string_equal(manifest->find[0], "samples/find/sample-1");
	assert_int_equal(manifest->files[2].size, strlen("harmless") + 8);
	for (size_t i = 0; i < manifest->file_count; i++) {
		char path[YG_OBJECT_PATH];
		const struct yg_file *file = &manifest->files[i];
		yg_form_path(yg_file_form(file), path);
		int in YG_AUTO(fd) = yg_fs_open(repo.dir, path, &err);
		int out YG_AUTO(fd) = open("/dev/null", O_WRONLY | O_CLOEXEC);
		assert_int_equal(yg_codec_decode(in, out, yg_file_form(file), file->sha256,
					 file->size, &err),
			0);
	}
}

/* Versions grow by themselves, or as said, and never back. */
static void versions(void **state)
{
	struct place *place = *state;
	done(init_run, &place->command);
	for (int i = 1; i <= 2; i++) {
		json_t *out YG_AUTO(yg_json) = ok(release_run, &place->command);
		assert_int_equal(json_integer_value(json_object_get(out, "version")), i);
	}
	place->command.version = 20241215;
	done(release_run, &place->command);
	fails(release_run, &place->command, YG_EFORMAT,
		"--version: want > 20241215, which is published, have 20241215");
	place->command.version = 0;
	json_t *out YG_AUTO(yg_json) = ok(release_run, &place->command);
	assert_int_equal(json_integer_value(json_object_get(out, "version")), 20241216);
	place->command.component = "am-yara";
	fails(release_run, &place->command, YG_EFORMAT, "am-yara has no files of this kind");
}

/* A damaged object is replaced by the next release that has it. */
static void healed(void **state)
{
	struct place *place = *state;
	char pattern[128];
	glob_t found;
	done(init_run, &place->command);
	done(release_run, &place->command);
	assert_true(yg_str_put(pattern, sizeof(pattern), "%s/objects/*/*", place->repo));
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 2);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		assert_int_equal(chmod(found.gl_pathv[i], 0644), 0);
		write_file(found.gl_pathv[i], "damaged");
	}
	globfree(&found);
	fails(verify_run, &place->command, YG_EUNTRUSTED, "transferred bytes: want ");
	done(release_run, &place->command);
	done(verify_run, &place->command);
}

/* ---- refusals ---- */

static void refusals(void **state)
{
	struct place *place = *state;
	struct command command = place->command;
	char path[128];
	fails(release_run, &command, YG_EABSENT, "keys");
	done(init_run, &command);
	fails(init_run, &command, YG_EFORMAT, "want a new one, have one already");
	command.component = "am-patterns";
	fails(release_run, &command, YG_EFORMAT, "component: want am-pattern, ");
	command.component = "am-pattern";
	command.from_count = 0;
	fails(release_run, &command, YG_EFORMAT, "want files (--from, --add), have none");
	command.from_count = 1;
	static const char *const bad[] = {"notes.txt", "program.exe", "noextension",
		"a.hdb.zst.gz"};
	for (size_t i = 0; i < YG_COUNT(bad); i++) {
		assert_true(yg_str_put(path, sizeof(path), "%s/%s", place->from, bad[i]));
		write_file(path, "x");
		fails(release_run, &command, YG_EFORMAT, bad[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_true(yg_str_put(path, sizeof(path), "%s/b c.ndb", place->from));
	write_file(path, "x");
	fails(release_run, &command, YG_EFORMAT, "b c.ndb': want a name of A-Z");
	assert_int_equal(unlink(path), 0);
	assert_true(yg_str_put(path, sizeof(path), "%s/c.ndb.zst", place->from));
	write_file(path, "not zstd at all");
	fails(release_run, &command, YG_EFORMAT, "c.ndb.zst': zstd: ");
	assert_int_equal(unlink(path), 0);
	assert_true(yg_str_put(path, sizeof(path), "%s/a.hdb", place->from));
	command.add[0] = path;
	command.add_count = 1;
	fails(release_run, &command, YG_EFORMAT, "have one name, 'a.hdb'");
	command.add_count = 0;
	/* Nothing of all that was published. */
	json_t *out YG_AUTO(yg_json) = ok(verify_run, &command);
	assert_int_equal(json_array_size(json_object_get(out, "components")), 0);
}

static void later_folder_wins(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char next[96], path[128];
	done(init_run, &place->command);
	assert_true(yg_str_put(next, sizeof(next), "%s/next", place->dir));
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, next, 0755, &err), 0);
	assert_true(yg_str_put(path, sizeof(path), "%s/a.hdb", next));
	write_file(path, "44d88612fea8a8f36de82e1278abb02f:68:Test.New.And.Longer\n");
	place->command.from[1] = next;
	place->command.from_count = 2;
	json_t *out YG_AUTO(yg_json) = ok(release_run, &place->command);
	assert_int_equal(json_integer_value(json_object_get(out, "files")), 2);
	assert_int_equal(json_integer_value(json_object_get(out, "bytes")), 56 + 36);
}

static void one_publisher(void **state)
{
	struct place *place = *state;
	char path[128];
	done(init_run, &place->command);
	assert_true(yg_str_put(path, sizeof(path), "%s/metadata", place->repo));
	int lock YG_AUTO(fd) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	fails(release_run, &place->command, YG_EAGAIN, "another publisher is working on it");
	fails(resign_run, &place->command, YG_EAGAIN, "another publisher is working on it");
	done(verify_run, &place->command); /* reading is free */
}

/* ---- time ---- */

static void expiry(void **state)
{
	struct place *place = *state;
	struct command later = place->command;
	done(init_run, &place->command);
	done(release_run, &place->command);
	later.now = NOW + 7 * REPO_DAY - 1;
	done(verify_run, &later);
	later.now++;
	fails(verify_run, &later, YG_EUNTRUSTED, "timestamp.json: expired at 2027-01-22T08:00:00Z");
	done(resign_run, &later);
	done(verify_run, &later);
	later.now = NOW + 366 * REPO_DAY;
	fails(verify_run, &later, YG_EUNTRUSTED, "1.root.json: expired at 2028-01-15T08:00:00Z");
	/* All of it again: a repository that was forgotten for a year comes back. */
	static const char *const all[] = {"root", "targets", "am", "wr", "fw", "ips", "im", "li"};
	memcpy(later.roles, all, sizeof(all));
	later.role_count = YG_COUNT(all);
	done(resign_run, &later);
	json_t *out YG_AUTO(yg_json) = ok(verify_run, &later);
	json_t *root = json_array_get(json_object_get(out, "roles"), 0);
	assert_int_equal(json_integer_value(json_object_get(root, "version")), 2);
}

/* ---- damage ---- */

static void damage(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char path[256];
	done(init_run, &place->command);
	done(release_run, &place->command);
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	assert_int_equal(repo_open(&repo, place->repo, false, &err), 0);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&repo, NOW, &err);
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL, &err);
	assert_non_null(set);
	const struct yg_file *file = &set->components[0]->files[0];
	char object[YG_OBJECT_PATH];
	yg_form_path(yg_file_form(file), object);
	assert_true(yg_str_put(path, sizeof(path), "%s/%s", place->repo, object));
	struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(yg_fs_read(AT_FDCWD, path, &bytes, &err), 0);
	bytes.data[bytes.len - 1] ^= 1;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(yg_fs_replace(AT_FDCWD, path, yg_buf_bytes(&bytes), 0644, &err), 0);
	fails(verify_run, &place->command, YG_EUNTRUSTED,
		"am-pattern version 1, 'a.hdb': transferred bytes");
	assert_int_equal(unlink(path), 0);
	fails(verify_run, &place->command, YG_EUNTRUSTED, "am-pattern version 1, 'a.hdb': ");
	/* Publishing again brings the object back. */
	done(release_run, &place->command);
	done(verify_run, &place->command);
}

/* ---- killed at any moment ---- */

static void killed(void **state)
{
	struct place *place = *state;
	done(init_run, &place->command);
	done(release_run, &place->command);
	int64_t last = 1;
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct yg_err err = {0};
			json_t *out = NULL;
			_exit(release_run(&place->command, &out, &err) == 0 ? 0 : 1);
		}
		(void)usleep((useconds_t)(i * 700));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		json_t *out YG_AUTO(yg_json) = ok(verify_run, &place->command);
		json_t *one = json_array_get(json_object_get(out, "components"), 0);
		int64_t version = json_integer_value(json_object_get(one, "version"));
		assert_true(version == last || version == last + 1);
		last = version;
	}
	done(release_run, &place->command);
	done(verify_run, &place->command);
}

/* ---- the same in, the same out ---- */

static void deterministic(void **state)
{
	struct place *place = *state;
	char second[96], command[512];
	struct command other = place->command;
	assert_true(yg_str_put(second, sizeof(second), "%s/second", place->dir));
	other.repo = second;
	done(init_run, &place->command);
	done(init_run, &other);
	done(release_run, &place->command);
	done(release_run, &other);
	assert_true(yg_str_put(command, sizeof(command), "diff -r %s %s", place->repo, second));
	assert_int_equal(system(command), 0);
}

/* ---- keys ---- */

static void passphrase(void **state)
{
	struct place *place = *state;
	char path[96], wrong[96];
	struct command command = place->command;
	assert_true(yg_str_put(path, sizeof(path), "%s/pass", place->dir));
	assert_true(yg_str_put(wrong, sizeof(wrong), "%s/wrong", place->dir));
	write_file(path, "correct horse\n");
	write_file(wrong, "\n");
	command.passphrase = wrong;
	fails(init_run, &command, YG_EFORMAT, "want a line of text, have none");
	command.passphrase = path;
	command.root_keys = 1;
	command.threshold = 1;
	done(init_run, &command);
	done(release_run, &command);
	command.passphrase = NULL;
	fails(release_run, &command, YG_EFORMAT, "key 'am': ");
	write_file(wrong, "wrong horse\n");
	command.passphrase = wrong;
	fails(release_run, &command, YG_EFORMAT, "key 'am': ");
	done(verify_run, &command);
}

static void kinds(void **state)
{
	struct place *place = *state;
	static const enum yg_key_type types[] = {YG_KEY_ED25519, YG_KEY_ECDSA_P256, YG_KEY_RSA_PSS};
	struct command command = place->command;
	for (size_t i = 0; i < YG_COUNT(types); i++) {
		char repo[96], keys[96];
		assert_true(yg_str_put(repo, sizeof(repo), "%s/repo-%zu", place->dir, i));
		assert_true(yg_str_put(keys, sizeof(keys), "%s/keys-%zu", place->dir, i));
		command.repo = repo;
		command.keys = keys;
		command.key_type = types[i];
		command.root_keys = 1;
		command.threshold = 1;
		done(init_run, &command);
		done(release_run, &command);
		done(verify_run, &command);
	}
}

static void keys_inside(void **state)
{
	struct place *place = *state;
	char keys[128];
	assert_true(yg_str_put(keys, sizeof(keys), "%s/objects/keys", place->repo));
	place->command.keys = keys;
	fails(init_run, &place->command, YG_EFORMAT,
		"is inside the repository, which everybody can read");
}

static void missing_key(void **state)
{
	struct place *place = *state;
	char path[128];
	done(init_run, &place->command);
	/* Two of three root keys are enough; a class key that lies elsewhere is named. */
	assert_true(yg_str_put(path, sizeof(path), "%s/root-2.pem", place->keys));
	assert_int_equal(unlink(path), 0);
	struct command root = place->command;
	root.roles[0] = "root";
	root.role_count = 1;
	done(resign_run, &root);
	assert_true(yg_str_put(path, sizeof(path), "%s/root-1.pem", place->keys));
	assert_int_equal(unlink(path), 0);
	/* One is not: the new root waits for another's signature, and nothing else can be begun. */
	done(resign_run, &root);
	fails(resign_run, &root, YG_EFORMAT, "waits for signatures: publish it with add-root");
	assert_true(yg_str_put(path, sizeof(path), "%s/am.pem", place->keys));
	assert_int_equal(unlink(path), 0);
	fails(release_run, &place->command, YG_EABSENT,
		"role 'am': none of its 1 keys is in the key folder");
	done(verify_run, &place->command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(healed, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(later_folder_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(one_publisher, setup, teardown),
		cmocka_unit_test_setup_teardown(expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(damage, setup, teardown),
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(deterministic, setup, teardown),
		cmocka_unit_test_setup_teardown(passphrase, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_key, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
