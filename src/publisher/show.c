/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/show.h"

#include <fcntl.h>

#include "content/codec.h"
#include "content/set.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/progress.h"

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

static int describe(const struct yg_tuf *tuf, const struct yg_set *set, const char *path,
	json_t **out, struct yg_err *err)
{
	json_t *roles = json_array(), *components = json_array();
	json_t *root YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:o, s:o}", "repository", path, "set",
		set->digest, "roles", roles, "components", components);
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
	for (size_t i = 0; i < set->count; i++) {
		if (add_component(set->components[i], components, err) < 0)
			return -1;
	}
	*out = yg_take(root);
	return 0;
}

int show_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	if (repo_open(&repo, command->repo, false, err) < 0)
		return -1;
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = repo_client(&repo, 0, err);
	if (!tuf || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL, err);
	return set ? describe(tuf, set, command->repo, out, err) : -1;
}

/* ---- verify ---- */

static int check_form(const struct repo *repo, const struct yg_file *file,
	const struct yg_form *form, int sink, struct yg_err *err)
{
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	int fd YG_AUTO(fd) = yg_fs_open(repo->dir, path, err);
	if (fd < 0)
		return -1;
	progress_begin(file->path, fd, form->size);
	int bad = yg_codec_decode(fd, sink, form, file->sha256, file->size, err);
	progress_end();
	return bad < 0 ? yg_wrap(err, "%s", path) : 0;
}

static int check_objects(const struct repo *repo, const struct yg_set *set, struct yg_err *err)
{
	int sink YG_AUTO(fd) = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (size_t i = 0; i < set->count; i++) {
		const struct yg_manifest *manifest = set->components[i];
		for (size_t k = 0; k < manifest->file_count; k++) {
			const struct yg_file *file = &manifest->files[k];
			for (size_t n = 0; n < file->form_count; n++) {
				if (file->forms[n].encoding == YG_ENCODING_DELTA)
					continue; /* --deep applies them */
				if (check_form(repo, file, &file->forms[n], sink, err) < 0)
					return yg_wrap(err, "%s: '%s'", manifest->component,
						file->path);
			}
		}
	}
	return 0;
}

int show_verify(const struct command *command, json_t **out, struct yg_err *err)
{
	struct repo repo YG_AUTO(repo) = {.dir = -1, .lock = -1};
	repo.dir = yg_fs_open_dir(AT_FDCWD, command->repo, err);
	if (repo.dir < 0)
		return yg_wrap(err, "repository");
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = NULL;
	if (command->root) {
		struct yg_buf root YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
		tuf = yg_tuf_new(&repo_ops, &repo.dir, command->now, err);
		if (!tuf || yg_fs_read(AT_FDCWD, command->root, &root, err) < 0 ||
			yg_tuf_trust(tuf, yg_buf_bytes(&root), err) < 0)
			return -1;
	} else {
		tuf = repo_client(&repo, command->now, err);
	}
	if (!tuf || yg_tuf_refresh(tuf, err) < 0)
		return -1;
	struct yg_set *set YG_AUTO(yg_set) = yg_set_collect(tuf,
		&(struct yg_set_want){.families = YG_FAMILIES_ALL, .every = true}, NULL, err);
	if (!set || check_objects(&repo, set, err) < 0)
		return -1;
	return describe(tuf, set, command->repo, out, err);
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
