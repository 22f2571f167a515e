/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/history.h"

#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "crypto/hash.h"

/* ---- names ---- */

int history_target(const struct history *history, size_t index, char out[160], struct yg_err *err)
{
	int64_t version = history->releases[index].manifest->version;
	bool fits = index == 0
		? yg_str_put(out, 160, "%s/%s.json", history->role, history->component)
		: yg_str_put(out, 160, "%s/%s@%lld.json", history->role, history->component,
			  (long long)version);
	return fits ? 0 : yg_fail(err, YG_ELIMIT, "component: name too long");
}

int history_path(const char *target, const char *sha256, char out[320], struct yg_err *err)
{
	const char *slash = strrchr(target, '/');
	int folder = slash ? (int)(slash - target) + 1 : 0;
	if (yg_str_put(out, 320, "targets/%.*s%s.%s", folder, target, sha256, target + folder))
		return 0;
	return yg_fail(err, YG_ELIMIT, "target '%.100s': name too long", target);
}

/* The version in "am/am-pattern@41.json"; 0 for "am/am-pattern.json"; -1 for what is not of this component. */
static int64_t version_of(const struct history *history, const char *target)
{
	char digits[24];
	uint64_t version = 0;
	struct yg_err why = {0};
	size_t role = strlen(history->role), name = strlen(history->component);
	if (strncmp(target, history->role, role) != 0 || target[role] != '/' ||
		strncmp(target + role + 1, history->component, name) != 0)
		return -1;
	const char *rest = target + role + 1 + name;
	if (strcmp(rest, ".json") == 0)
		return 0;
	size_t len = strlen(rest);
	if (rest[0] != '@' || len < 7 || strcmp(rest + len - 5, ".json") != 0 ||
		!yg_str_put(digits, sizeof(digits), "%.*s", (int)len - 6, rest + 1) ||
		yg_str_u64(digits, INT64_MAX, &version, &why) < 0 || version < 1)
		return -1;
	return (int64_t)version;
}

/* ---- reading ---- */

static int read_release(const struct history *history, const struct repo *repo, const char *target,
	int64_t version, struct history_release *out, struct yg_err *err)
{
	struct yg_meta_file file = {0};
	char path[320];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (!yg_meta_file(history->meta, target, &file))
		return yg_fail(err, YG_EABSENT, "'%s': not signed", target);
	if (history_path(target, file.sha256, path, err) < 0 ||
		yg_fs_read(repo->dir, path, &text, err) < 0 ||
		yg_meta_check(&file, yg_buf_bytes(&text), err) < 0)
		return -1;
	struct yg_manifest *manifest YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!manifest)
		return -1;
	if (strcmp(manifest->component, history->component) != 0 ||
		(version > 0 && manifest->version != version))
		return yg_fail(err, YG_EFORMAT, "'%s': it is the manifest of %s version %lld", path,
			manifest->component, (long long)manifest->version);
	*out = (struct history_release){yg_take(manifest), text, version == 0};
	text = YG_BUF(0); /* its bytes have moved */
	return 0;
}

static void raise_highest(struct history *history, int64_t version)
{
	if (version > history->highest)
		history->highest = version;
}

static int read_target(struct history *history, const struct repo *repo, const char *target,
	struct yg_err *err)
{
	struct yg_err why = {0};
	int64_t version = version_of(history, target);
	if (version < 0)
		return 0;
	if (history->count + history->lost_count > HISTORY_EARLIER_MAX)
		return yg_fail(err, YG_ELIMIT, "%s: want <= %u releases that are signed, have more",
			history->component, HISTORY_EARLIER_MAX + 1);
	raise_highest(history, version);
	struct history_release *at = &history->releases[history->count];
	if (read_release(history, repo, target, version, at, &why) == 0) {
		raise_highest(history, at->manifest->version);
		history->count++;
		return 0;
	}
	if (why.code == YG_ESYSTEM) {
		*err = why;
		return -1;
	}
	if (version == 0)
		history->newest_lost = true;
	(void)!yg_str_put(history->lost[history->lost_count++], sizeof(history->lost[0]), "%s",
		target);
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct history_release *one = a, *two = b;
	if (one->newest != two->newest)
		return one->newest ? -1 : 1;
	return (one->manifest->version < two->manifest->version) -
		(one->manifest->version > two->manifest->version);
}

static int read_rollout(struct history *history, struct yg_err *err)
{
	char target[160];
	struct yg_meta_file file = {0};
	if (!yg_str_put(target, sizeof(target), "%s/%s.json", history->role, history->component))
		return yg_fail(err, YG_ELIMIT, "component: name too long");
	bool found = yg_meta_file(history->meta, target, &file);
	history->rollout = yg_rollout_parse(found ? file.custom : NULL, err);
	if (!history->rollout)
		return yg_wrap(err, "target '%s': custom", target);
	raise_highest(history, history->rollout->version);
	for (size_t i = 0; i < history->rollout->earlier_count; i++)
		raise_highest(history, history->rollout->earlier[i]);
	for (size_t i = 0; i < history->rollout->withdrawn_count; i++)
		raise_highest(history, history->rollout->withdrawn[i].version);
	return 0;
}

struct history *history_load(const struct repo *repo, const char *component, struct yg_err *err)
{
	struct history *history YG_AUTO(history) = calloc(1, sizeof(*history));
	if (!history) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	history->role = yg_component_role(component);
	if (!history->role ||
		!yg_str_put(history->component, sizeof(history->component), "%s", component)) {
		(void)yg_fail(err, YG_EFORMAT, "component '%.64s': not known", component);
		return NULL;
	}
	history->meta = repo_role(repo, history->role, err);
	if (!history->meta || read_rollout(history, err) < 0)
		return NULL;
	json_t *targets = json_object_get(history->meta->body, "targets");
	const char *target;
	json_t *entry;
	json_object_foreach(targets, target, entry)
	{
		if (read_target(history, repo, target, err) < 0)
			return NULL;
	}
	qsort(history->releases, history->count, sizeof(history->releases[0]), newest_first);
	return yg_take(history);
}

static void release_free(struct history_release *release)
{
	yg_manifest_free(release->manifest);
	yg_buf_free(&release->text);
}

void history_free(struct history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++)
		release_free(&history->releases[i]);
	yg_meta_free(history->meta);
	yg_rollout_free(history->rollout);
	free(history);
}

const struct history_release *history_find(const struct history *history, int64_t version,
	size_t *index)
{
	for (size_t i = 0; i < history->count; i++) {
		if (history->releases[i].manifest->version == version) {
			if (index)
				*index = i;
			return &history->releases[i];
		}
	}
	return NULL;
}

/* ---- changing ---- */

int history_add(struct history *history, struct yg_manifest *manifest, size_t keep,
	struct yg_err *err)
{
	struct yg_manifest *owned YG_AUTO(yg_manifest) = manifest;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (yg_manifest_format(owned, &text, err) < 0 ||
		yg_hash_text(yg_buf_bytes(&text), owned->sha256, err) < 0)
		return -1;
	/* Nobody should get what their own parser refuses. */
	struct yg_manifest *again YG_AUTO(
		yg_manifest) = yg_manifest_parse(yg_buf_bytes(&text), err);
	if (!again)
		return yg_wrap(err, "new manifest");
	memmove(history->releases + 1, history->releases,
		history->count * sizeof(history->releases[0]));
	history->releases[0] = (struct history_release){yg_take(owned), text, true};
	text = YG_BUF(0);
	history->count++;
	history->newest_lost = false;
	raise_highest(history, history->releases[0].manifest->version);
	(void)history_trim(history, keep);
	return history_set_waves(history, NULL, 0, err);
}

void history_remove(struct history *history, size_t index)
{
	release_free(&history->releases[index]);
	history->count--;
	memmove(history->releases + index, history->releases + index + 1,
		(history->count - index) * sizeof(history->releases[0]));
}

size_t history_trim(struct history *history, size_t keep)
{
	size_t removed = 0;
	if (keep > HISTORY_EARLIER_MAX)
		keep = HISTORY_EARLIER_MAX;
	for (; history->count > keep + 1; removed++)
		history_remove(history, history->count - 1);
	return removed;
}

int history_set_waves(struct history *history, const struct yg_wave *waves, size_t count,
	struct yg_err *err)
{
	struct yg_wave *copy = calloc(count + 1, sizeof(*copy));
	if (!copy)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (count > 0)
		memcpy(copy, waves, count * sizeof(*copy));
	free(history->rollout->waves);
	history->rollout->waves = copy;
	history->rollout->wave_count = count;
	return 0;
}

int history_withdraw(struct history *history, int64_t version, const char *reason,
	struct yg_err *err)
{
	struct yg_rollout *rollout = history->rollout;
	struct yg_withdrawn *list YG_AUTO(mem) = calloc(YG_ROLLOUT_WITHDRAWN_MAX, sizeof(*list));
	if (!list)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	/* When there is no room, the oldest goes: what counts is that numbers are not given again. */
	size_t skip = rollout->withdrawn_count == YG_ROLLOUT_WITHDRAWN_MAX;
	size_t count = rollout->withdrawn_count - skip;
	if (count > 0)
		memcpy(list, rollout->withdrawn + skip, count * sizeof(*list));
	list[count].version = version;
	if (!yg_str_put(list[count].reason, sizeof(list[count].reason), "%s", reason))
		return yg_fail(err, YG_ELIMIT, "--reason: want <= %u bytes, have %zu",
			YG_ROLLOUT_REASON_MAX, strlen(reason));
	raise_highest(history, version);
	free(rollout->withdrawn);
	rollout->withdrawn = yg_take(list);
	rollout->withdrawn_count = count + 1;
	return 0;
}

/* ---- writing ---- */

/* A manifest under the name that it has now; one that lies there with these bytes stays. */
static int write_manifest(struct repo *repo, const struct history_release *release,
	const char *target, struct yg_err *err)
{
	char path[320];
	struct yg_err why = {0};
	struct yg_buf have YG_AUTO(yg_buf) = YG_BUF(YG_MANIFEST_SIZE_MAX);
	if (history_path(target, release->manifest->sha256, path, err) < 0)
		return -1;
	if (yg_fs_read(repo->dir, path, &have, &why) == 0 && have.len == release->text.len &&
		memcmp(have.data, release->text.data, have.len) == 0)
		return 0;
	return yg_fs_replace(repo->dir, path, yg_buf_bytes(&release->text), 0644, err);
}

static int rewrite_rollout(struct history *history, struct yg_err *err)
{
	struct yg_rollout *rollout = history->rollout;
	int64_t *earlier = calloc(history->count + 1, sizeof(*earlier));
	if (!earlier)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (size_t i = 1; i < history->count; i++)
		earlier[i - 1] = history->releases[i].manifest->version;
	free(rollout->earlier);
	rollout->earlier = earlier;
	rollout->earlier_count = history->count - 1;
	rollout->version = history->releases[0].manifest->version;
	return 0;
}

/* Forget what the role says of this component, but of nothing else. */
static void remove_targets(const struct history *history, json_t *targets)
{
	const char *target;
	json_t *entry;
	void *next;
	json_object_foreach_safe(targets, next, target, entry)
	{
		if (version_of(history, target) >= 0)
			(void)json_object_del(targets, target);
	}
}

static int add_target(struct history *history, struct repo *repo, size_t index, json_t *targets,
	struct yg_err *err)
{
	char target[160];
	const struct history_release *release = &history->releases[index];
	if (history_target(history, index, target, err) < 0 ||
		write_manifest(repo, release, target, err) < 0)
		return -1;
	json_t *entry YG_AUTO(yg_json) = json_pack("{s:I, s:{s:s}}", "length",
		(json_int_t)release->text.len, "hashes", "sha256", release->manifest->sha256);
	if (!entry ||
		(index == 0 &&
			json_object_set_new(entry, "custom", yg_rollout_json(history->rollout)) <
				0) ||
		json_object_set(targets, target, entry) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

int history_stage(struct history *history, struct repo *repo, struct yg_err *err)
{
	char folder[64];
	json_t *targets = json_object_get(history->meta->body, "targets");
	if (!yg_str_put(folder, sizeof(folder), "targets/%s", history->role))
		return yg_fail(err, YG_ELIMIT, "role: name too long");
	if (yg_fs_mkdirs(repo->dir, folder, 0755, err) < 0 || rewrite_rollout(history, err) < 0)
		return -1;
	remove_targets(history, targets);
	for (size_t i = 0; i < history->count; i++) {
		if (add_target(history, repo, i, targets, err) < 0)
			return -1;
	}
	return repo_stage(repo, history->role, repo->targets, history->meta->body,
		history->meta->version + 1, err);
}
