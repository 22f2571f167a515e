/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/sign.h"
#include "tuf/canon.h"

void root_free(struct root_pending *pending)
{
	yg_meta_free(pending->before);
	yg_meta_free(pending->root);
	*pending = (struct root_pending){0};
}

/* ---- the file ---- */

static struct yg_meta *meta_of(const json_t *doc, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (yg_json_dump(doc, &text, err) < 0)
		return NULL;
	return yg_meta_parse(YG_META_ROOT, yg_buf_bytes(&text), YG_TUF_ROOT_MAX, err);
}

int root_parse(struct yg_bytes text, struct root_pending *out, struct yg_err *err)
{
	json_t *doc YG_AUTO(yg_json) = NULL, *root = NULL;
	struct root_pending pending YG_AUTO(root_pending) = {0};
	int64_t format = 0;
	if (yg_json_parse(text, ROOT_PENDING_MAX, &doc, err) < 0 ||
		yg_json_int(doc, "format", 1, 1, &format, err) < 0 ||
		yg_json_object(doc, "root", &root, err) < 0)
		return yg_wrap(err, "pending root");
	json_t *before = json_object_get(doc, "before");
	if (before && !json_is_null(before)) {
		pending.before = meta_of(before, err);
		if (!pending.before)
			return yg_wrap(err, "pending root: before");
	}
	pending.root = meta_of(root, err);
	if (!pending.root)
		return yg_wrap(err, "pending root: root");
	int64_t want = pending.before ? pending.before->version + 1 : 1;
	if (pending.root->version != want)
		return yg_fail(err, YG_EFORMAT, "pending root: want version %lld, have %lld",
			(long long)want, (long long)pending.root->version);
	*out = pending;
	pending = (struct root_pending){0};
	return 0;
}

static int load(const char *path, struct root_pending *out, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ROOT_PENDING_MAX);
	if (yg_fs_read(AT_FDCWD, path, &text, err) < 0)
		return -1;
	return root_parse(yg_buf_bytes(&text), out, err) < 0 ? yg_wrap(err, "'%s'", path) : 0;
}

static int save(const struct root_pending *pending, const char *path, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ROOT_PENDING_MAX);
	json_t *doc YG_AUTO(yg_json) = json_pack("{s:i, s:O?, s:O}", "format", 1, "before",
		pending->before ? pending->before->doc : NULL, "root", pending->root->doc);
	if (!doc)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_json_dump(doc, &text, err) < 0 || yg_buf_add(&text, "\n", 1, err) < 0)
		return -1;
	return yg_fs_replace(AT_FDCWD, path, yg_buf_bytes(&text), 0644, err);
}

/* ---- who has signed ---- */

static const json_t *key_of(const struct yg_meta *by, const char *id)
{
	return json_object_get(json_object_get(by->body, "keys"), id);
}

static bool listed(const struct yg_meta *by, const char *role, const char *id)
{
	const json_t *ids = json_object_get(repo_role_entry(by->body, role), "keyids");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			return true;
	}
	return false;
}

/* Whether a key of `by`'s root role has signed: a good signature is there. */
static bool signed_by(const struct yg_meta *by, const struct yg_meta *what, const char *id,
	struct yg_bytes text)
{
	const json_t *signatures = json_object_get(what->doc, "signatures"), *key = key_of(by, id);
	const struct yg_public public = {.keytype = json_string_value(
						 json_object_get(key, "keytype")),
		.scheme = json_string_value(json_object_get(key, "scheme")),
		.text = json_string_value(
			json_object_get(json_object_get(key, "keyval"), "public"))};
	if (!public.keytype || !public.scheme || !public.text)
		return false;
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		const json_t *at = json_array_get(signatures, i);
		const char *keyid = json_string_value(json_object_get(at, "keyid"));
		const char *hex = json_string_value(json_object_get(at, "sig"));
		uint8_t raw[YG_SIGN_MAX];
		struct yg_err why = {0};
		if (!keyid || !hex || strcmp(keyid, id) != 0 || strlen(hex) > 2 * sizeof(raw) ||
			yg_str_unhex("sig", hex, raw, strlen(hex) / 2, &why) < 0)
			continue;
		if (yg_sign_verify(&public, text, (struct yg_bytes){raw, strlen(hex) / 2}, &why) ==
			0)
			return true;
	}
	return false;
}

/* How many of the root keys of `by` have signed, and how many must. */
static int count(const struct yg_meta *by, const struct yg_meta *what, int64_t *have, int64_t *want,
	struct yg_err *err)
{
	const json_t *entry = repo_role_entry(by->body, "root");
	const json_t *ids = json_object_get(entry, "keyids");
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	*have = 0;
	*want = json_integer_value(json_object_get(entry, "threshold"));
	if (yg_canon(what->body, &text, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(ids); i++)
		*have += signed_by(by, what, json_string_value(json_array_get(ids, i)),
			yg_buf_bytes(&text));
	return 0;
}

static bool complete(const struct root_pending *pending)
{
	struct yg_err why = {0};
	return (!pending->before ||
		       yg_meta_verify(pending->before, "root", pending->root, &why) == 0) &&
		yg_meta_verify(pending->root, "root", pending->root, &why) == 0;
}

/* Sign with every root key that is here and has not signed yet. */
static int sign(struct keys *keys, struct root_pending *pending, int64_t *added, struct yg_err *err)
{
	struct keys_ref *refs YG_AUTO(mem) = calloc(1024, sizeof(*refs));
	size_t found = 0;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	*added = 0;
	if (!refs)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_canon(pending->root->body, &text, err) < 0 ||
		keys_find(keys, NULL, refs, 1024, &found, err) < 0)
		return -1;
	for (size_t i = 0; i < found; i++) {
		const struct yg_meta *by = listed(pending->root, "root", refs[i].id) ? pending->root
			: pending->before && listed(pending->before, "root", refs[i].id)
			? pending->before
			: NULL;
		if (!by || signed_by(by, pending->root, refs[i].id, yg_buf_bytes(&text)))
			continue;
		if (keys_sign_one(keys, &refs[i], pending->root->body,
			    json_object_get(pending->root->doc, "signatures"), err) < 0)
			return -1;
		++*added;
	}
	return 0;
}

/* ---- what it changes ---- */

static int add_change(json_t *list, const char *what, const char *role, const char *id,
	struct yg_err *err)
{
	if (json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s}", "change", what, "role", role, "key", id)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* Keys of a role in `a` that it has not in `b`. */
static int differences(const struct yg_meta *a, const struct yg_meta *b, const char *role,
	const char *what, json_t *list, struct yg_err *err)
{
	const json_t *ids = json_object_get(repo_role_entry(a->body, role), "keyids");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		if ((!b || !listed(b, role, id)) && add_change(list, what, role, id, err) < 0)
			return -1;
	}
	return 0;
}

static const char *const root_roles[] = {"root", "targets", "snapshot", "timestamp"};

static int64_t threshold_of(const struct yg_meta *by, const char *role)
{
	return json_integer_value(json_object_get(repo_role_entry(by->body, role), "threshold"));
}

static int changes(const struct root_pending *pending, json_t *list, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(root_roles); i++) {
		char text[64];
		const char *role = root_roles[i];
		if (differences(pending->root, pending->before, role, "key added", list, err) < 0 ||
			(pending->before &&
				differences(pending->before, pending->root, role, "key removed",
					list, err) < 0))
			return -1;
		int64_t new = threshold_of(pending->root, role);
		if (pending->before && threshold_of(pending->before, role) == new)
			continue;
		if (!yg_str_put(text, sizeof(text), "%lld", (long long)new))
			return yg_fail(err, YG_ELIMIT, "threshold: too large");
		if (json_array_append_new(list,
			    json_pack("{s:s, s:s, s:s}", "change", "threshold", "role", role,
				    "threshold", text)) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	return 0;
}

/* {"version", "expires", "signatures", "wanted"[, "signatures_before", "wanted_before"], "complete",
 * "changes"}
 */
static int describe(const struct root_pending *pending, json_t **out, struct yg_err *err)
{
	char expires[YG_CLOCK_TEXT];
	int64_t have = 0, want = 0;
	json_t *list = json_array();
	json_t *doc YG_AUTO(yg_json) = json_pack("{s:I, s:o}", "version",
		(json_int_t)pending->root->version, "changes", list);
	yg_clock_format(pending->root->expires, expires);
	if (!doc || json_object_set_new(doc, "expires", json_string(expires)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (count(pending->root, pending->root, &have, &want, err) < 0)
		return -1;
	(void)json_object_set_new(doc, "signatures", json_integer(have));
	(void)json_object_set_new(doc, "wanted", json_integer(want));
	if (pending->before) {
		if (count(pending->before, pending->root, &have, &want, err) < 0)
			return -1;
		(void)json_object_set_new(doc, "signatures_before", json_integer(have));
		(void)json_object_set_new(doc, "wanted_before", json_integer(want));
	}
	(void)json_object_set_new(doc, "complete", json_boolean(complete(pending)));
	if (changes(pending, list, err) < 0)
		return -1;
	*out = yg_take(doc);
	return 0;
}

/* ---- publishing it ---- */

static bool same(const struct yg_meta *a, const struct yg_meta *b, const char *role)
{
	return json_equal(repo_role_entry(a->body, role), repo_role_entry(b->body, role));
}

/* Everything whose keys change is signed with the old and the new ones and published first, so that a
 * reader finds a whole repository whichever root it has; then the root itself.
 */
static int adopt(struct repo *repo, const struct root_pending *pending, struct yg_err *err)
{
	if (!repo->root || !repo->timestamp)
		return yg_fail(err, YG_EFORMAT, "root: there is nothing to publish with it");
	bool targets = !same(repo->root, pending->root, "targets");
	bool snapshot = targets || !same(repo->root, pending->root, "snapshot");
	bool timestamp = snapshot || !same(repo->root, pending->root, "timestamp");
	repo->next = meta_of(pending->root->doc, err);
	if (!repo->next)
		return -1;
	if (targets &&
		repo_stage(repo, "targets", repo->root, repo->targets->body,
			repo->targets->version + 1, err) < 0)
		return -1;
	if (timestamp && repo_publish(repo, snapshot, err) < 0)
		return -1;
	if (!repo->next) /* it went first */
		return 0;
	struct yg_meta *next YG_AUTO(yg_meta) = repo->next;
	repo->next = NULL;
	return repo_write_root(repo, next, err);
}

static char *pending_path(const struct command *command, const struct keys *keys)
{
	return command->out ? strdup(command->out)
			    : yg_str_format("%s/%s", keys->places[0].path, ROOT_PENDING_NAME);
}

/* A body, stamped, with what is before it, and no signature yet. */
static int prepare(struct repo *repo, json_t *body, struct root_pending *out, struct yg_err *err)
{
	int64_t version = repo->root ? repo->root->version + 1 : 1;
	struct root_pending pending YG_AUTO(root_pending) = {0};
	if (repo_stamp(body, "root", version, repo->now + repo->days.root * REPO_DAY, err) < 0)
		return -1;
	json_t *doc YG_AUTO(yg_json) = json_pack("{s:[], s:O}", "signatures", "signed", body);
	if (!doc)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	pending.root = meta_of(doc, err);
	if (!pending.root)
		return -1;
	if (repo->root) {
		pending.before = meta_of(repo->root->doc, err);
		if (!pending.before)
			return -1;
	}
	*out = pending;
	pending = (struct root_pending){0};
	return 0;
}

static int finish(json_t **out, struct root_pending *pending, const char *path, struct yg_err *err)
{
	json_t *doc YG_AUTO(yg_json) = NULL;
	if (describe(pending, &doc, err) < 0)
		return -1;
	if (path && json_object_set_new(doc, "pending", json_string(path)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(doc);
	return 0;
}

int root_none_waits(const struct command *command, const struct keys *keys, struct yg_err *err)
{
	char *path YG_AUTO(mem) = pending_path(command, keys);
	if (!path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (access(path, F_OK) == 0)
		return yg_fail(err, YG_EFORMAT,
			"'%s' waits for signatures: publish it with add-root, or remove it", path);
	return 0;
}

int root_propose(const struct command *command, struct repo *repo, json_t *body, json_t **out,
	struct yg_err *err)
{
	struct root_pending pending YG_AUTO(root_pending) = {0};
	int64_t added = 0;
	char *path YG_AUTO(mem) = pending_path(command, repo->keys);
	if (!path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (root_none_waits(command, repo->keys, err) < 0 ||
		prepare(repo, body, &pending, err) < 0 ||
		sign(repo->keys, &pending, &added, err) < 0)
		return -1;
	if (complete(&pending))
		return adopt(repo, &pending, err) < 0 ? -1 : finish(out, &pending, NULL, err);
	if (save(&pending, path, err) < 0)
		return -1;
	return finish(out, &pending, path, err);
}

int root_first(const struct command *command, struct repo *repo, json_t *body, char **path,
	struct yg_err *err)
{
	struct root_pending pending YG_AUTO(root_pending) = {0};
	int64_t added = 0;
	*path = NULL;
	if (prepare(repo, body, &pending, err) < 0 || sign(repo->keys, &pending, &added, err) < 0)
		return -1;
	if (complete(&pending))
		return repo_write_root(repo, pending.root, err);
	char *at YG_AUTO(mem) = pending_path(command, repo->keys);
	if (!at)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (save(&pending, at, err) < 0 || repo_take_root(repo, pending.root, err) < 0)
		return -1;
	*path = yg_take(at);
	return 0;
}

/* ---- the commands ---- */

int root_show(const struct command *command, json_t **out, struct yg_err *err)
{
	struct root_pending pending YG_AUTO(root_pending) = {0};
	if (load(command->repo, &pending, err) < 0)
		return -1;
	return finish(out, &pending, NULL, err);
}

int root_sign(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct root_pending pending YG_AUTO(root_pending) = {0};
	int64_t added = 0;
	if (load(command->repo, &pending, err) < 0 || command_places(command, &keys, err) < 0 ||
		sign(&keys, &pending, &added, err) < 0)
		return -1;
	if (added == 0)
		return yg_fail(err, YG_EABSENT,
			"none of the %zu folders has a root key that must sign and has not",
			keys.place_count);
	const char *path = command->out ? command->out : command->repo;
	if (save(&pending, path, err) < 0 || finish(out, &pending, path, err) < 0)
		return -1;
	return json_object_set_new(*out, "added", json_integer(added)) < 0
		? yg_fail(err, YG_ESYSTEM, "out of memory")
		: 0;
}

static struct yg_meta *read_meta(const struct repo *repo, enum yg_meta_type type, const char *path,
	struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (yg_fs_read(repo->dir, path, &text, err) < 0)
		return NULL;
	struct yg_meta *meta = yg_meta_parse(type, yg_buf_bytes(&text), YG_TUF_ROOT_MAX, err);
	if (!meta)
		(void)yg_wrap(err, "%s", path);
	return meta;
}

/* Everybody begins with the first root: it is never another one, and what waits for it was signed with its keys.
 * Copies of pending roots lie on media for years, also of repositories that were begun anew.
 */
static int check_first(const struct repo *repo, const struct root_pending *pending, bool *there,
	struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_meta *have YG_AUTO(
		yg_meta) = read_meta(repo, YG_META_ROOT, "metadata/1.root.json", &why);
	if (!have && why.code != YG_EABSENT) {
		*err = why;
		return -1;
	}
	*there = have != NULL;
	if (have)
		return json_equal(have->body, pending->root->body)
			? 0
			: yg_fail(err, YG_EFORMAT,
				  "metadata/1.root.json: the repository has another first root already");
	struct yg_meta *timestamp YG_AUTO(
		yg_meta) = read_meta(repo, YG_META_TIMESTAMP, "metadata/timestamp.json", err);
	if (!timestamp || yg_meta_verify(pending->root, "timestamp", timestamp, err) < 0)
		return yg_wrap(err, "this root is not the one that the repository waits for");
	return 0;
}

/* The root that init could not write: all the rest waits for it. */
static int add_first(const struct command *command, const struct root_pending *pending,
	struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	bool there = false;
	if (repo_open_unrooted(&repo, command->repo, err) < 0 ||
		check_first(&repo, pending, &there, err) < 0)
		return -1;
	return there ? 0 : repo_write_root(&repo, pending->root, err);
}

static int check(const struct root_pending *pending, const char *path, struct yg_err *err)
{
	int64_t have = 0, want = 0, have_before = 0, want_before = 0;
	if (complete(pending))
		return 0;
	if (count(pending->root, pending->root, &have, &want, err) < 0 ||
		(pending->before &&
			count(pending->before, pending->root, &have_before, &want_before, err) < 0))
		return -1;
	return yg_fail(err, YG_EUNTRUSTED,
		"'%s': want %lld signatures of its own root keys and %lld of those before, have %lld "
		"and %lld",
		path, (long long)want, (long long)want_before, (long long)have,
		(long long)have_before);
}

/* Publish it, or go on where a publisher was killed. */
static int add_next(struct repo *repo, const struct root_pending *pending, const char *path,
	struct yg_err *err)
{
	if (json_equal(repo->root->body, pending->root->body))
		return repo_finish(repo, err);
	if (!json_equal(repo->root->body, pending->before->body))
		return yg_fail(err, YG_EFORMAT,
			"'%s': it follows another root than the repository's, version %lld: remove it "
			"and make it again",
			path, (long long)repo->root->version);
	return adopt(repo, pending, err);
}

int root_add(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1};
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	struct root_pending pending YG_AUTO(root_pending) = {0};
	char *path YG_AUTO(mem) = NULL;
	if (command_keys(command, &keys, false, err) < 0)
		return -1;
	path = command->operand_count > 1 ? strdup(command->operands[1])
					  : pending_path(command, &keys);
	if (!path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (load(path, &pending, err) < 0)
		return -1;
	if (check(&pending, path, err) < 0)
		return -1;
	if (!pending.before) {
		if (add_first(command, &pending, err) < 0)
			return -1;
	} else if (command_repo(command, &repo, &keys, err) < 0 ||
		add_next(&repo, &pending, path, err) < 0) {
		return -1;
	}
	if (finish(out, &pending, NULL, err) < 0)
		return -1;
	return yg_fs_remove(AT_FDCWD, path, err);
}
