/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/rotate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/init.h"
#include "publisher/keyring.h"
#include "publisher/resign.h"
#include "publisher/root.h"
#include "publisher/show.h"
#include "publisher/verify.h"
#include "tests/lib/cmocka_all.h"

#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

typedef int verb_run(const struct command *command, json_t **out, struct yg_err *err);

/* A folder for one test, a command for the repository in it, and a client that keeps its state there. */
struct place {
	char dir[64], repo[96], keys[96], state[96];
	char media[3][96], words[3][96];
	struct command command;
	int repo_fd, state_fd;
};

/* ---- a client ---- */

static int op_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf, struct yg_err *err)
{
	const struct place *place = ctx;
	(void)max;
	return yg_fs_read(place->repo_fd, path, buf, err);
}

static int op_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	const struct place *place = ctx;
	return yg_fs_read(place->state_fd, name, buf, err);
}

static int op_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	const struct place *place = ctx;
	if (bytes.len == 0)
		return yg_fs_remove(place->state_fd, name, err);
	return yg_fs_replace(place->state_fd, name, bytes, 0644, err);
}

static const struct yg_tuf_ops ops = {op_fetch, op_load, op_save};

/* One run of the client, with what it keeps; versions of root, timestamp and snapshot. */
static void follow(struct place *place, int64_t root, int64_t timestamp)
{
	struct yg_err err = {0};
	struct yg_buf trust YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&ops, place, place->command.now, &err);
	assert_non_null(tuf);
	assert_int_equal(yg_fs_read(place->state_fd, "trust", &trust, &err), 0);
	if (yg_tuf_trust(tuf, yg_buf_bytes(&trust), &err) < 0 || yg_tuf_refresh(tuf, &err) < 0)
		fail_msg("a client: %s", err.msg);
	assert_int_equal(yg_tuf_version(tuf, "root"), root);
	assert_int_equal(yg_tuf_version(tuf, "timestamp"), timestamp);
}

/* ---- commands ---- */

static json_t *ok(verb_run *run, const struct command *command)
{
	struct yg_err err = {0};
	json_t *out = NULL;
	if (run(command, &out, &err) != 0)
		fail_msg("%s", err.msg);
	return out;
}

static void done(verb_run *run, const struct command *command)
{
	json_decref(ok(run, command));
}

static void fails(verb_run *run, const struct command *command, enum yg_code code, const char *msg)
{
	struct yg_err err = {0};
	json_t *out = NULL;
	if (run(command, &out, &err) == 0)
		fail_msg("it worked, want '%s'", msg);
	if (!strstr(err.msg, msg))
		fail_msg("'%s', want '%s'", err.msg, msg);
	assert_int_equal(err.code, code);
}

static json_int_t number(const json_t *from, const char *name)
{
	return json_integer_value(json_object_get(from, name));
}

static const char *text(const json_t *from, const char *name)
{
	const char *value = json_string_value(json_object_get(from, name));
	return value ? value : "";
}

static int setup(void **state)
{
	struct yg_err err = {0};
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	assert_true(yg_str_put(place->dir, sizeof(place->dir), "/tmp/yg-rotate-XXXXXX"));
	assert_non_null(mkdtemp(place->dir));
	assert_true(yg_str_put(place->repo, sizeof(place->repo), "%s/repo", place->dir));
	assert_true(yg_str_put(place->keys, sizeof(place->keys), "%s/keys", place->dir));
	assert_true(yg_str_put(place->state, sizeof(place->state), "%s/state", place->dir));
	assert_int_equal(yg_fs_mkdirs(AT_FDCWD, place->state, 0755, &err), 0);
	for (size_t i = 0; i < YG_COUNT(place->media); i++) {
		char line[32];
		assert_true(yg_str_put(place->media[i], 96, "%s/media-%zu", place->dir, i));
		assert_true(yg_str_put(place->words[i], 96, "%s/words-%zu", place->dir, i));
		assert_true(yg_str_put(line, sizeof(line), "secret %zu\n", i));
		assert_int_equal(yg_fs_mkdirs(AT_FDCWD, place->media[i], 0700, &err), 0);
		assert_int_equal(yg_fs_replace(AT_FDCWD, place->words[i], yg_bytes_of(line), 0600,
					 &err),
			0);
	}
	place->command = (struct command){.repo = place->repo,
		.operands = {place->repo},
		.operand_count = 1,
		.keys = place->keys,
		.now = NOW,
		.days = {365, 90, 14, 7}};
	place->repo_fd = place->state_fd = -1;
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct yg_err err = {0};
	struct place *place = *state;
	fd_free_at(&place->repo_fd);
	fd_free_at(&place->state_fd);
	assert_int_equal(yg_fs_remove(AT_FDCWD, place->dir, &err), 0);
	free(place);
	return 0;
}

/* A repository, and a client that got its root with its installation. */
static void begin(struct place *place, const struct command *command)
{
	struct yg_err err = {0};
	char trust[128];
	struct command asked = *command;
	done(init_run, command);
	assert_true(yg_str_put(trust, sizeof(trust), "%s/trust", place->state));
	asked.out = trust;
	done(show_trust, &asked);
	place->repo_fd = yg_fs_open_dir(AT_FDCWD, place->repo, &err);
	place->state_fd = yg_fs_open_dir(AT_FDCWD, place->state, &err);
	assert_true(place->repo_fd >= 0 && place->state_fd >= 0);
}

static struct command with(const struct place *place, const char *operand)
{
	struct command command = place->command;
	command.operands[1] = operand;
	command.operand_count = 2;
	return command;
}

/* All media are there: three root keys, each encrypted for itself. */
static void use_media(const struct place *place, struct command *command, unsigned which)
{
	command->root_dir_count = command->root_passphrase_count = 0;
	for (size_t i = 0; i < YG_COUNT(place->media); i++) {
		if (!(which & 1u << i))
			continue;
		command->root_dirs[command->root_dir_count++] = place->media[i];
		command->root_passphrases[command->root_passphrase_count++] = place->words[i];
	}
}

/* ---- every role ---- */

static void every_role(void **state)
{
	struct place *place = *state;
	begin(place, &place->command);
	follow(place, 1, 1);
	static const struct {
		const char *role;
		bool root, timestamp; /* what gets a new version */
	} cases[] = {
		{"timestamp", true, true},
		{"snapshot", true, true},
		{"targets", true, true},
		{"am", false, true},
		{"li", false, true},
		{"root", true, false},
		{"timestamp", true, true},
		{"root", true, false},
	};
	int64_t root = 1, timestamp = 1;
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct command command = with(place, cases[i].role);
		json_t *out YG_AUTO(yg_json) = ok(rotate_run, &command);
		root += cases[i].root;
		timestamp += cases[i].timestamp;
		const json_t *row = json_array_get(json_object_get(out, "replaced"), 0);
		assert_string_equal(text(row, "role"), cases[i].role);
		assert_string_not_equal(text(row, "old_key"), text(row, "new_key"));
		assert_int_equal(access(text(row, "file"), R_OK), 0);
		follow(place, root, timestamp);
		/* The old key is not needed for anything that comes. */
		done(resign_run, &place->command);
		follow(place, root, ++timestamp);
	}
	/* A client that slept through all of it. */
	struct yg_err err = {0};
	static const char *const kept[] = {"root.json", "timestamp.json", "snapshot.json",
		"targets.json", "floor.json"};
	for (size_t i = 0; i < YG_COUNT(kept); i++)
		assert_int_equal(yg_fs_remove(place->state_fd, kept[i], &err), 0);
	follow(place, root, timestamp);
	json_t *list YG_AUTO(yg_json) = ok(keyring_list, &place->command);
	size_t unused = 0, index = 0;
	json_t *one = NULL;
	json_array_foreach(json_object_get(list, "keys"), index, one)
		unused += !json_is_true(json_object_get(one, "used"));
	assert_int_equal(unused, YG_COUNT(cases));
	assert_int_equal(json_array_size(json_object_get(list, "elsewhere")), 0);
}

/* One ceremony for all that changes. */
static void several(void **state)
{
	struct place *place = *state;
	begin(place, &place->command);
	follow(place, 1, 1);
	struct command command = with(place, "timestamp");
	static const char *const more[] = {"am", "snapshot", "targets", "root", "li"};
	memcpy(command.operands + 2, more, sizeof(more));
	command.operand_count = 2 + YG_COUNT(more);
	command.key = "0123456789";
	fails(rotate_run, &command, YG_EFORMAT,
		"--key, --public-key: want one role with them, have 6");
	command.key = NULL;
	{
		json_t *out YG_AUTO(yg_json) = ok(rotate_run, &command);
		assert_int_equal(json_array_size(json_object_get(out, "replaced")), 6);
	}
	follow(place, 2, 3); /* the classes, then what the root changes */
	{
		json_t *out YG_AUTO(yg_json) = ok(rotate_revoke, &command);
		assert_int_equal(json_array_size(json_object_get(out, "replaced")), 6);
	}
	follow(place, 3, 5);
	command.operands[3] = "timestam";
	fails(rotate_run, &command, YG_EFORMAT,
		"role: want root, targets, snapshot, timestamp or a class, have 'timestam'");
	fails(rotate_revoke, &command, YG_EABSENT, "key 'timestam': no role has it");
	done(resign_run, &place->command);
	follow(place, 3, 6);
}

/* The old key is not there any more: readers get the new root first, and it still works. */
static void lost_key(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char path[128];
	begin(place, &place->command);
	follow(place, 1, 1);
	static const char *const roles[] = {"timestamp", "snapshot", "targets", "am"};
	int64_t root = 1;
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		assert_true(yg_str_put(path, sizeof(path), "%s/%s.pem", place->keys, roles[i]));
		assert_int_equal(yg_fs_remove(AT_FDCWD, path, &err), 0);
		struct command command = with(place, roles[i]);
		fails(resign_run,
			&(struct command){.repo = place->repo,
				.keys = place->keys,
				.now = NOW,
				.days = {365, 90, 14, 7},
				.roles = {roles[i]},
				.role_count = 1},
			YG_EABSENT, "none of its 1 keys is in the key folder");
		done(rotate_revoke, &command);
		root += strcmp(roles[i], "am") != 0;
		follow(place, root, 2 + (int64_t)i);
	}
}

/* Without the old key the root comes first; a publisher that was killed right then goes on from there. */
static void killed_after_root(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char path[128], timestamp[128];
	static const char *const roles[] = {"timestamp", "targets"};
	begin(place, &place->command);
	assert_true(yg_str_put(timestamp, sizeof(timestamp), "%s/metadata/timestamp.json",
		place->repo));
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		struct yg_buf before YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
		struct command command = with(place, roles[i]);
		assert_int_equal(yg_fs_read(AT_FDCWD, timestamp, &before, &err), 0);
		assert_true(yg_str_put(path, sizeof(path), "%s/%s.pem", place->keys, roles[i]));
		assert_int_equal(yg_fs_remove(AT_FDCWD, path, &err), 0);
		done(rotate_revoke, &command);
		assert_int_equal(yg_fs_replace(AT_FDCWD, timestamp, yg_buf_bytes(&before), 0644,
					 &err),
			0);
		fails(verify_run, &place->command, YG_EUNTRUSTED, i == 0 ? "timestamp" : "targets");
		done(resign_run, &place->command);
		done(verify_run, &place->command);
	}
	follow(place, 3, 5);
}

/* ---- somebody else has the keys ---- */

/* Whoever has the online keys can say that all is much newer: after new keys, clients come back. */
static void fast_forward(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char copy[128], line[512];
	begin(place, &place->command);
	follow(place, 1, 1);
	assert_true(yg_str_put(copy, sizeof(copy), "%s/copy", place->dir));
	assert_true(yg_str_put(line, sizeof(line), "cp -a %s %s", place->repo, copy));
	assert_int_equal(system(line), 0);
	{
		struct keys keys YG_AUTO(keys) = {.dir = -1};
		struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
		assert_int_equal(repo_open(&repo, place->repo, true, &err), 0);
		assert_int_equal(keys_open(&keys, place->keys, NULL, false, &err), 0);
		repo.keys = &keys;
		repo.now = NOW;
		repo.days = place->command.days;
		repo.snapshot->version = 1000000;
		repo.timestamp->version = 2000000;
		assert_int_equal(repo_publish(&repo, true, &err), 0);
	}
	follow(place, 1, 2000001);
	/* The publisher's own copy knows nothing of that. */
	assert_int_equal(yg_fs_remove(AT_FDCWD, place->repo, &err), 0);
	assert_int_equal(rename(copy, place->repo), 0);
	fd_free_at(&place->repo_fd);
	place->repo_fd = yg_fs_open_dir(AT_FDCWD, place->repo, &err);
	struct command command = with(place, "timestamp");
	command.operands[2] = "snapshot";
	command.operand_count = 3;
	done(rotate_revoke, &command);
	follow(place, 2, 2);
}

/* ---- a root that is signed step by step ---- */

static void ceremony(void **state)
{
	struct place *place = *state;
	struct command init = place->command;
	char pending[128], other[128];
	init.threshold = 2;
	use_media(place, &init, 7);
	init.root_passphrase_count = 2;
	fails(init_run, &init, YG_EFORMAT,
		"media-2': want a passphrase file for its key, a terminal to ask on, or --plain-keys");
	use_media(place, &init, 7);
	begin(place, &init);
	follow(place, 1, 1);
	assert_true(yg_str_put(pending, sizeof(pending), "%s/pending-root.json", place->keys));
	assert_true(yg_str_put(other, sizeof(other), "%s/travels.json", place->dir));
	/* No root key is here: the change waits, and nothing has changed for readers. */
	struct command command = with(place, "timestamp");
	{
		json_t *out YG_AUTO(yg_json) = ok(rotate_run, &command);
		assert_string_equal(text(out, "pending"), pending);
		assert_int_equal(number(out, "signatures"), 0);
		assert_int_equal(number(out, "wanted"), 2);
		assert_int_equal(json_array_size(json_object_get(out, "changes")), 2);
	}
	follow(place, 1, 1);
	fails(rotate_run, &command, YG_EFORMAT, "waits for signatures");
	fails(root_add, &place->command, YG_EUNTRUSTED,
		"want 2 signatures of its own root keys and 2 of those before, have 0 and 0");
	/* Meanwhile the old keys go on. */
	done(resign_run, &place->command);
	follow(place, 1, 2);
	/* On another machine: no repository, one medium. */
	struct command sign = {.repo = pending,
		.operands = {pending},
		.operand_count = 1,
		.out = other};
	fails(root_sign, &sign, YG_EFORMAT, "want a folder with keys: --keys or --root-key-dir");
	use_media(place, &sign, 1);
	sign.root_passphrases[0] = place->words[1];
	fails(root_sign, &sign, YG_EFORMAT, "the passphrase does not open it");
	sign.root_passphrase_count = 0;
	fails(root_sign, &sign, YG_EFORMAT, "it is encrypted, and no passphrase was given");
	use_media(place, &sign, 1);
	{
		json_t *out YG_AUTO(yg_json) = ok(root_sign, &sign);
		assert_int_equal(number(out, "signatures"), 1);
		assert_int_equal(number(out, "signatures_before"), 1);
		assert_false(json_is_true(json_object_get(out, "complete")));
	}
	sign.repo = other;
	fails(root_sign, &sign, YG_EABSENT, "has a root key that must sign and has not");
	use_media(place, &sign, 4);
	{
		json_t *out YG_AUTO(yg_json) = ok(root_sign, &sign);
		assert_int_equal(number(out, "signatures"), 2);
		assert_true(json_is_true(json_object_get(out, "complete")));
	}
	struct command add = with(place, other);
	done(root_add, &add);
	follow(place, 2, 3);
	assert_int_equal(access(other, F_OK), -1);
	/* What is left of the first file says the same: signed too, it is done already. */
	fails(root_add, &place->command, YG_EUNTRUSTED, "have 0 and 0");
	sign.repo = sign.operands[0] = pending;
	sign.out = NULL;
	use_media(place, &sign, 3);
	done(root_sign, &sign);
	done(root_add, &place->command);
	assert_int_equal(access(pending, F_OK), -1);
	/* Two changes of one root: only one of them can come. */
	done(rotate_run, &command);
	assert_int_equal(rename(pending, other), 0);
	done(rotate_run, &command);
	for (int i = 0; i < 2; i++) {
		sign.repo = i == 0 ? pending : other;
		done(root_sign, &sign);
	}
	done(root_add, &place->command);
	fails(root_add, &add, YG_EFORMAT,
		"it follows another root than the repository's, version 3: remove it and make it again");
	follow(place, 3, 4);
	done(resign_run, &place->command);
	follow(place, 3, 5);
}

/* A root key that was made elsewhere: only its public half ever comes here. */
static void made_elsewhere(void **state)
{
	struct place *place = *state;
	struct command make = {.repo = "holder", .operands = {"holder"}, .operand_count = 1};
	char public[2][128], pending[128];
	for (size_t i = 0; i < 2; i++) {
		make.new_dir = place->media[i];
		make.new_passphrase = place->words[i];
		done(keyring_make, &make);
		assert_true(
			yg_str_put(public[i], sizeof(public[i]), "%s/holder.pub", place->media[i]));
	}
	fails(keyring_make, &make, YG_EFORMAT, "holder.pem': want a new key, have one");
	struct command init = place->command;
	init.public_keys[0] = public[0];
	init.public_keys[1] = public[1];
	init.public_key_count = 2;
	init.threshold = 2;
	{
		json_t *out YG_AUTO(yg_json) = ok(init_run, &init);
		assert_int_equal(number(out, "root_keys"), 2);
		assert_string_not_equal(text(out, "pending"), "");
	}
	fails(verify_run, &place->command, YG_EABSENT, "1.root.json");
	assert_true(yg_str_put(pending, sizeof(pending), "%s/pending-root.json", place->keys));
	struct command sign = {.repo = pending, .operands = {pending}, .operand_count = 1};
	for (unsigned i = 0; i < 2; i++) {
		use_media(place, &sign, 1u << i);
		done(root_sign, &sign);
	}
	/* The pending root of another repository, signed by the same people. */
	char repo[128], keys[128], wrong[160], copy[160];
	assert_true(yg_str_put(repo, sizeof(repo), "%s/second", place->dir));
	assert_true(yg_str_put(keys, sizeof(keys), "%s/second-keys", place->dir));
	assert_true(yg_str_put(wrong, sizeof(wrong), "%s/pending-root.json", keys));
	assert_true(yg_str_put(copy, sizeof(copy), "%s/copy.json", place->dir));
	init.repo = init.operands[0] = repo;
	init.keys = keys;
	done(init_run, &init);
	sign.repo = sign.operands[0] = wrong;
	use_media(place, &sign, 3);
	done(root_sign, &sign);
	struct command add = with(place, wrong);
	fails(root_add, &add, YG_EUNTRUSTED, "is not the one that the repository waits for");
	sign.repo = sign.operands[0] = pending;
	{
		struct yg_err err = {0};
		struct yg_buf bytes YG_AUTO(yg_buf) = YG_BUF(1u << 20);
		assert_int_equal(yg_fs_read(AT_FDCWD, pending, &bytes, &err), 0);
		assert_int_equal(yg_fs_replace(AT_FDCWD, copy, yg_buf_bytes(&bytes), 0644, &err),
			0);
	}
	done(root_add, &place->command);
	done(verify_run, &place->command);
	fails(root_add, &add, YG_EFORMAT, "the repository has another first root already");
	done(verify_run, &place->command);
	add = with(place, copy); /* again is harmless */
	done(root_add, &add);
	done(verify_run, &place->command);
}

/* One of three root keys was stolen: it goes without its own signature. */
static void stolen_root(void **state)
{
	struct place *place = *state;
	struct command init = place->command;
	char id[65];
	init.threshold = 2;
	use_media(place, &init, 7);
	begin(place, &init);
	follow(place, 1, 1);
	{
		struct command list = place->command;
		use_media(place, &list, 7);
		json_t *out YG_AUTO(yg_json) = ok(keyring_list, &list);
		size_t index = 0;
		json_t *one = NULL;
		json_array_foreach(json_object_get(out, "keys"), index, one)
		{
			if (strstr(text(one, "file"), "media-1/"))
				assert_true(yg_str_put(id, sizeof(id), "%s", text(one, "key")));
		}
	}
	struct command revoke = with(place, id);
	use_media(place, &revoke, 5);
	revoke.drop = true;
	{
		struct command role = with(place, "root");
		fails(rotate_revoke, &role, YG_EFORMAT,
			"role 'root' has 3 keys: say with --key which one goes");
	}
	done(rotate_revoke, &revoke);
	follow(place, 2, 1);
	fails(rotate_revoke, &revoke, YG_EABSENT, "no role has it");
	/* Two are left, and both must sign: no more can go without another in its place. */
	struct command list = place->command;
	json_t *out YG_AUTO(yg_json) = ok(keyring_list, &list);
	const char *left = text(json_array_get(json_object_get(out, "elsewhere"), 0), "key");
	struct command last = with(place, left);
	use_media(place, &last, 5);
	last.drop = true;
	fails(rotate_revoke, &last, YG_EFORMAT,
		"role 'root': 2 keys must sign, and only 1 would be left");
	last.drop = false;
	last.new_dir = place->media[1];
	last.new_passphrase = place->words[1];
	done(rotate_revoke, &last);
	follow(place, 3, 1);
}

/* Several keys of a role, and a threshold, for roles other than root. */
static void thresholds(void **state)
{
	struct place *place = *state;
	struct command init = place->command;
	char path[128];
	static const struct {
		const char *text, *msg;
	} bad[] = {
		{"targets", "--role-keys: want ROLE=M/N with 1 <= M <= N <= 32, have 'targets'"},
		{"targets=3/2", "--role-keys: want ROLE=M/N"},
		{"targets=0/2", "--role-keys: want ROLE=M/N"},
		{"root=1/2", "--role-keys: want targets, snapshot, timestamp or a class"},
	};
	for (size_t i = 0; i < YG_COUNT(bad); i++) {
		init.role_keys[0] = bad[i].text;
		init.role_key_count = 1;
		fails(init_run, &init, YG_EFORMAT, bad[i].msg);
	}
	init.role_keys[0] = "targets=2/3";
	init.role_keys[1] = "am=2/2";
	init.role_key_count = 2;
	begin(place, &init);
	follow(place, 1, 1);
	struct command command = with(place, "am");
	fails(rotate_run, &command, YG_EFORMAT, "role 'am' has 2 keys: say with --key which one");
	assert_true(yg_str_put(path, sizeof(path), "%s/am-2.pem", place->keys));
	assert_int_equal(unlink(path), 0);
	struct command resign = place->command;
	resign.roles[0] = "am";
	resign.role_count = 1;
	fails(resign_run, &resign, YG_EUNTRUSTED, "2 keys of role 'am'");
	follow(place, 1, 1);
}

/* Somebody copied a key over another, or lost what lay beside it. */
static void mixed_up(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char line[512];
	begin(place, &place->command);
	assert_true(
		yg_str_put(line, sizeof(line), "cp %s/li.pem %s/am.pem", place->keys, place->keys));
	assert_int_equal(system(line), 0);
	struct command resign = place->command;
	resign.roles[0] = "am";
	resign.role_count = 1;
	fails(resign_run, &resign, YG_EFORMAT,
		"key 'am': 'am.pub' is the public half of another key than 'am.pem' is");
	assert_true(yg_str_put(line, sizeof(line), "%s/am.pub", place->keys));
	assert_int_equal(yg_fs_remove(AT_FDCWD, line, &err), 0);
	fails(resign_run, &resign, YG_EABSENT,
		"role 'am': none of its 1 keys is in the key folder");
	/* Without the public half the private one says which key it is. */
	assert_true(yg_str_put(line, sizeof(line), "%s/li.pub", place->keys));
	assert_int_equal(yg_fs_remove(AT_FDCWD, line, &err), 0);
	resign.roles[0] = "li";
	done(resign_run, &resign);
	follow(place, 1, 2);
}

/* A published repository without its timestamp.json is no place for a new one. */
static void lost_timestamp(void **state)
{
	struct place *place = *state;
	struct yg_err err = {0};
	char path[128];
	begin(place, &place->command);
	done(resign_run, &place->command);
	assert_true(yg_str_put(path, sizeof(path), "%s/metadata/timestamp.json", place->repo));
	assert_int_equal(yg_fs_remove(AT_FDCWD, path, &err), 0);
	fails(init_run, &place->command, YG_EFORMAT,
		"metadata/2.snapshot.json': this was published once, and has lost its timestamp.json");
	static const char *const still[] = {"1.root", "1.am", "2.snapshot"};
	for (size_t i = 0; i < YG_COUNT(still); i++) {
		assert_true(yg_str_put(path, sizeof(path), "%s/metadata/%s.json", place->repo,
			still[i]));
		assert_int_equal(access(path, R_OK), 0);
	}
}

/* A pending root of somebody else's making. */
static void malformed(void **state)
{
	(void)state;
	static const struct {
		const char *text, *msg;
	} cases[] = {
		{"", "pending root: "},
		{"[]", "pending root: "},
		{"{\"format\":2,\"root\":{}}", "pending root: format: want 1..1, have 2"},
		{"{\"format\":1}", "pending root: root: "},
		{"{\"format\":1,\"before\":null,\"root\":{}}", "pending root: root: "},
		{"{\"format\":1,\"before\":{},\"root\":{}}", "pending root: before: "},
	};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct root_pending pending = {0};
		struct yg_err err = {0};
		assert_int_equal(root_parse(yg_bytes_of(cases[i].text), &pending, &err), -1);
		if (strncmp(err.msg, cases[i].msg, strlen(cases[i].msg)) != 0)
			fail_msg("'%s', want '%s'", err.msg, cases[i].msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_role, setup, teardown),
		cmocka_unit_test_setup_teardown(several, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_key, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_after_root, setup, teardown),
		cmocka_unit_test_setup_teardown(fast_forward, setup, teardown),
		cmocka_unit_test_setup_teardown(ceremony, setup, teardown),
		cmocka_unit_test_setup_teardown(made_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(stolen_root, setup, teardown),
		cmocka_unit_test_setup_teardown(thresholds, setup, teardown),
		cmocka_unit_test_setup_teardown(mixed_up, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_timestamp, setup, teardown),
		cmocka_unit_test(malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
