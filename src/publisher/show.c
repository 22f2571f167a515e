/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/show.h"

#include <fcntl.h>
#include <string.h>

#include "content/set.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/history.h"
#include "publisher/wave.h"

static int append(json_t *list, json_t *item, struct yg_err *err)
{
	return json_array_append_new(list, item) < 0 ? yg_fail(err, YG_ESYSTEM, "out of memory")
						     : 0;
}

static int add_role(const struct yg_tuf *tuf, const char *role, json_t *list, struct yg_err *err)
{
	char expires[YG_CLOCK_TEXT];
	yg_clock_format(yg_tuf_expires(tuf, role), expires);
	return append(list,
		json_pack("{s:s, s:I, s:s}", "role", role, "version",
			(json_int_t)yg_tuf_version(tuf, role), "expires", expires),
		err);
}

static int add_component(const struct yg_manifest *manifest, json_t *list, struct yg_err *err)
{
	char released[YG_CLOCK_TEXT];
	uint64_t plain = 0, transfer = 0;
	yg_clock_format(manifest->released, released);
	for (size_t i = 0; i < manifest->file_count; i++) {
		plain += manifest->files[i].size;
		transfer += yg_file_form(&manifest->files[i])->size;
	}
	return append(list,
		json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:s}", "name", manifest->component,
			"version", (json_int_t)manifest->version, "released", released,
			"description", manifest->description, "files",
			(json_int_t)manifest->file_count, "bytes", (json_int_t)plain,
			"transfer_bytes", (json_int_t)transfer, "manifest", manifest->sha256),
		err);
}

int show_describe(const struct yg_tuf *tuf, const struct yg_set *set, const char *path,
	json_t **out, struct yg_err *err)
{
	json_t *roles = json_array(), *components = json_array();
	json_t *root YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:o, s:o}", "repository", path, "set",
		set ? set->digest : "", "roles", roles, "components", components);
	if (!root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	for (const char *const *role =
			(const char *const[]){"root", "timestamp", "snapshot", "targets", NULL};
		*role; role++) {
		if (add_role(tuf, *role, roles, err) < 0)
			return -1;
	}
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		if (yg_tuf_version(tuf, at->role) > 0 && add_role(tuf, at->role, roles, err) < 0)
			return -1;
	}
	for (size_t i = 0; set && i < set->count; i++) {
		if (add_component(set->components[i], components, err) < 0)
			return -1;
	}
	*out = yg_take(root);
	return 0;
}

/* ---- history ---- */

/* Bytes of objects that a computer with the earlier release fetches for the newest. */
static uint64_t update_bytes(const struct yg_manifest *newest, const struct yg_manifest *earlier)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < newest->file_count; i++) {
		const struct yg_file *file = &newest->files[i];
		uint64_t least = yg_file_form(file)->size;
		for (size_t k = 0; least > 0 && k < earlier->file_count; k++) {
			const char *have = earlier->files[k].sha256;
			if (strcmp(have, file->sha256) == 0)
				least = 0;
			for (size_t n = 0; n < file->form_count; n++) {
				const struct yg_form *form = &file->forms[n];
				if (strcmp(form->from, have) == 0 && form->size < least)
					least = form->size;
			}
		}
		bytes += least;
	}
	return bytes;
}

static json_t *earlier_json(const struct history *history)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = 1; list && i < history->count; i++) {
		char released[YG_CLOCK_TEXT];
		const struct yg_manifest *manifest = history->releases[i].manifest;
		yg_clock_format(manifest->released, released);
		if (json_array_append_new(list,
			    json_pack("{s:I, s:s, s:I, s:s}", "version",
				    (json_int_t)manifest->version, "released", released,
				    "update_bytes",
				    (json_int_t)update_bytes(history->releases[0].manifest,
					    manifest),
				    "description", manifest->description)) < 0)
			return NULL;
	}
	return yg_take(list);
}

static json_t *withdrawn_json(const struct yg_rollout *rollout)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; list && i < rollout->withdrawn_count; i++) {
		if (json_array_append_new(list,
			    json_pack("{s:I, s:s}", "version",
				    (json_int_t)rollout->withdrawn[i].version, "reason",
				    rollout->withdrawn[i].reason)) < 0)
			return NULL;
	}
	return yg_take(list);
}

static json_t *lost_json(const struct history *history)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; list && i < history->lost_count; i++) {
		if (json_array_append_new(list, json_string(history->lost[i])) < 0)
			return NULL;
	}
	return yg_take(list);
}

/* More about a component that is described already. */
static int add_history(const struct repo *repo, json_t *item, int64_t now, struct yg_err *err)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	struct history *history YG_AUTO(history) = history_load(repo, name, err);
	if (!history)
		return -1;
	if (json_object_set_new(item, "open_percent",
		    json_integer(wave_open(history->rollout, now))) < 0 ||
		json_object_set_new(item, "waves", wave_json(history->rollout)) < 0 ||
		json_object_set_new(item, "earlier", earlier_json(history)) < 0 ||
		json_object_set_new(item, "withdrawn", withdrawn_json(history->rollout)) < 0 ||
		json_object_set_new(item, "lost", lost_json(history)) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int add_all(const struct repo *repo, json_t *root, int64_t now, struct yg_err *err)
{
	json_t *list = json_object_get(root, "components");
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (add_history(repo, json_array_get(list, i), now, err) < 0)
			return -1;
	}
	return 0;
}

int show_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	if (repo_open(&repo, command->repo, false, err) < 0)
		return -1;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&repo, YG_TUF_ANY_TIME, err);
	if (!tuf || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	json_t *root YG_AUTO(yg_json) = NULL;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL, err);
	if (!set || show_describe(tuf, set, command->repo, &root, err) < 0 ||
		add_all(&repo, root, command->now, err) < 0)
		return -1;
	*out = yg_take(root);
	return 0;
}

/* ---- trust ---- */

int show_trust(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	char path[128];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	if (repo_open(&repo, command->repo, false, err) < 0)
		return -1;
	if (!yg_str_put(path, sizeof(path), "metadata/%lld.root.json",
		    (long long)repo.root->version))
		return yg_fail(err, YG_ELIMIT, "root: path too long");
	if (yg_fs_read(repo.dir, path, &text, err) < 0 ||
		yg_fs_replace(AT_FDCWD, command->out, yg_buf_bytes(&text), 0644, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:s, s:I}", "repository", command->repo, "root", command->out,
		"version", (json_int_t)repo.root->version);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
