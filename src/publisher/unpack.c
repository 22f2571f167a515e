/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "content/codec.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/progress.h"
#include "publisher/view.h"
#include "tuf/meta.h"

#define TIMESTAMP "metadata/timestamp.json"
#define SMALL_MAX (8u << 20) /* bytes of metadata or a manifest */

struct unpack {
	struct view view;
	int dir; /* where to */
	size_t files;
	uint64_t bytes;
};

static void unpack_free_at(struct unpack *unpack)
{
	view_free_at(&unpack->view);
	fd_free_at(&unpack->dir);
}

static int64_t timestamp_of(struct yg_bytes text, struct yg_err *err)
{
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse(YG_META_TIMESTAMP, text, YG_TUF_TIMESTAMP_MAX, err);
	return meta ? meta->version : -1;
}

/* What lies there may only be older, or the same. */
static int check_newer(const struct unpack *unpack, int64_t version, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	if (yg_fs_read(unpack->dir, TIMESTAMP, &text, &why) < 0) {
		if (why.code == YG_EABSENT)
			return 0;
		*err = why;
		return -1;
	}
	int64_t have = timestamp_of(yg_buf_bytes(&text), &why);
	if (have <= version)
		return 0;
	return yg_fail(err, YG_EFORMAT,
		"the folder has a newer repository: its timestamp has version %lld, the bundle's %lld",
		(long long)have, (long long)version);
}

static bool same_size(const struct unpack *unpack, const struct yg_bundle_file *file)
{
	struct stat st;
	return fstatat(unpack->dir, file->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size;
}

/* An object's name is the hash of its bytes. Whatever else is named by hash, every reader checks. */
static int check_object(const char *path, int fd, struct yg_err *err)
{
	char have[YG_SHA256_TEXT];
	uint64_t size = 0;
	const char *name = strrchr(path, '/') + 1;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "rewinding");
	if (yg_codec_hash(fd, have, &size, err) < 0)
		return -1;
	return strcmp(have, name) == 0 ? 0
				       : yg_fail_cause(err, YG_EUNTRUSTED, "content.hash",
						 "%s: its bytes have SHA-256 %s", path, have);
}

/* Metadata and manifests are small. One that lies there with these bytes stays. */
static int put_small(struct unpack *unpack, const struct yg_bundle_file *file, struct yg_err *err)
{
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(SMALL_MAX),
			   have YG_AUTO(yg_buf) = YG_BUF(SMALL_MAX);
	if (yg_bundle_read(unpack->view.bundle, file->path, &text, err) < 0)
		return -1;
	if (yg_fs_read(unpack->dir, file->path, &have, &why) == 0 && have.len == text.len &&
		(text.len == 0 || memcmp(have.data, text.data, text.len) == 0))
		return 0;
	return yg_fs_replace(unpack->dir, file->path, yg_buf_bytes(&text), 0644, err);
}

/* One that lies there is read before it is relied on. */
static int put_object(struct unpack *unpack, const struct yg_bundle_file *file, struct yg_err *err)
{
	struct yg_err why = {0};
	int have YG_AUTO(fd) = same_size(unpack, file) ? yg_fs_open(unpack->dir, file->path, &why)
						       : -1;
	if (have >= 0 && check_object(file->path, have, &why) == 0)
		return 0;
	int out YG_AUTO(fd) = yg_fs_tmpfile(unpack->dir, err);
	if (out < 0 || yg_bundle_copy(unpack->view.bundle, file, out, err) < 0 ||
		check_object(file->path, out, err) < 0 ||
		yg_fs_remove(unpack->dir, file->path, err) < 0)
		return -1;
	return yg_fs_link_tmpfile(out, unpack->dir, file->path, 0644, err);
}

static int put(struct unpack *unpack, const struct yg_bundle_file *file, struct yg_err *err)
{
	char folder[YG_BUNDLE_PATH_MAX + 1];
	const char *slash = strrchr(file->path, '/');
	if (!yg_str_put(folder, sizeof(folder), "%.*s", (int)(slash - file->path), file->path))
		return yg_fail(err, YG_ELIMIT, "'%s': name too long", file->path);
	if (yg_fs_mkdirs(unpack->dir, folder, 0755, err) < 0)
		return -1;
	unpack->files++;
	unpack->bytes += file->size;
	return strncmp(file->path, "objects/", 8) == 0 ? put_object(unpack, file, err)
						       : put_small(unpack, file, err);
}

/* Objects, manifests, versioned metadata; the timestamp shows them. */
static int put_all(struct unpack *unpack, struct yg_err *err)
{
	static const char *const folders[] = {"objects/", "targets/", "metadata/", NULL};
	struct yg_bundle_file file;
	for (const char *const *at = folders; *at; at++) {
		for (size_t i = 0; yg_bundle_file(unpack->view.bundle, i, &file); i++) {
			if (strncmp(file.path, *at, strlen(*at)) == 0 &&
				strcmp(file.path, TIMESTAMP) != 0 && put(unpack, &file, err) < 0)
				return -1;
			progress_step(i + 1);
		}
	}
	return 0;
}

static int open_all(struct unpack *unpack, const struct command *command, struct yg_err *err)
{
	if (view_open(&unpack->view, command->operands[0], err) < 0)
		return -1;
	if (!unpack->view.bundle)
		return yg_fail(err, YG_EFORMAT, "'%s': want a bundle, have a folder",
			command->operands[0]);
	struct yg_tuf *tuf YG_AUTO(
		yg_tuf) = view_client(&unpack->view, command->root, command->now, err);
	if (!tuf || yg_fs_mkdirs(AT_FDCWD, command->operands[1], 0755, err) < 0)
		return -1;
	unpack->dir = yg_fs_open_dir(AT_FDCWD, command->operands[1], err);
	return unpack->dir < 0 ? -1 : 0;
}

int unpack_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct unpack unpack YG_AUTO(unpack) = {.view = VIEW_NONE, .dir = -1};
	struct yg_buf timestamp YG_AUTO(yg_buf) = YG_BUF(YG_TUF_TIMESTAMP_MAX);
	struct yg_bundle_file file;
	if (command->operand_count != 2)
		return yg_fail(err, YG_EFORMAT, "--unpack: want BUNDLE and DIR");
	if (open_all(&unpack, command, err) < 0 ||
		yg_bundle_read(unpack.view.bundle, TIMESTAMP, &timestamp, err) < 0)
		return -1;
	int64_t version = timestamp_of(yg_buf_bytes(&timestamp), err);
	if (version < 0 || check_newer(&unpack, version, err) < 0)
		return -1;
	size_t count = 0;
	while (yg_bundle_file(unpack.view.bundle, count, &file))
		count++;
	progress_count("unpacking", count);
	int bad = put_all(&unpack, err);
	progress_end();
	if (bad < 0 ||
		yg_fs_replace(unpack.dir, TIMESTAMP, yg_buf_bytes(&timestamp), 0644, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:s, s:I, s:I, s:I}", "bundle", command->operands[0], "repository",
		command->operands[1], "timestamp", (json_int_t)version, "files",
		(json_int_t)unpack.files + 1, "bytes", (json_int_t)(unpack.bytes + timestamp.len));
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
