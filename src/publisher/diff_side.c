/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/diff_side.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/codec.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"
#include "publisher/progress.h"

static int decode(int repo, const struct yg_file *file, const char *to, struct yg_err *err)
{
	char object[YG_OBJECT_PATH];
	const struct yg_form *form = yg_file_form(file);
	yg_form_path(form, object);
	int in YG_AUTO(fd) = yg_fs_open(repo, object, err);
	if (in < 0)
		return yg_wrap(err, "'%s': %s", file->path, object);
	int out YG_AUTO(fd) = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return yg_fail_sys(err, errno, "'%.200s'", to);
	progress_begin(file->path, in, form->size);
	int bad = yg_codec_decode(in, out, form, file->sha256, file->size, err);
	progress_end();
	return bad < 0 ? yg_wrap(err, "'%s': %s", file->path, object) : 0;
}

int diff_side_release(struct diff_side *side, int repo, const struct yg_manifest *manifest,
	const char *folder, struct yg_err *err)
{
	for (size_t i = 0; i < manifest->file_count; i++) {
		const struct yg_file *file = &manifest->files[i];
		char to[512];
		if (!yg_str_put(to, sizeof(to), "%s/%zu", folder, i))
			return yg_fail(err, YG_ELIMIT, "'%.200s': path too long", folder);
		if (decode(repo, file, to, err) < 0 ||
			diff_compare_add(side, file->path, to, err) < 0)
			return -1;
	}
	return 0;
}

struct names {
	struct dirent **list; /* owned */
	int count;
};

static void names_free_at(const struct names *names)
{
	for (int i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int diff_side_folder(struct diff_side *side, const char *folder, struct yg_err *err)
{
	struct names names YG_AUTO(names) = {0};
	names.count = scandir(folder, &names.list, not_hidden, by_bytes);
	if (names.count < 0)
		return yg_fail_sys(err, errno, "'%.200s'", folder);
	for (int i = 0; i < names.count; i++) {
		char path[1024];
		if (!yg_str_put(path, sizeof(path), "%s/%s", folder, names.list[i]->d_name))
			return yg_fail(err, YG_ELIMIT, "'%.200s': path too long", folder);
		if (diff_compare_add(side, names.list[i]->d_name, path, err) < 0)
			return -1;
	}
	return 0;
}
