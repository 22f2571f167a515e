/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/objects.h"

#include <errno.h>
#include <string.h>

#include "content/codec.h"
#include "core/fs.h"

bool objects_good(int repo, const struct yg_form *form)
{
	char path[YG_OBJECT_PATH], have[YG_SHA256_TEXT];
	uint64_t size = 0;
	struct yg_err why = {0};
	yg_form_path(form, path);
	int fd YG_AUTO(fd) = yg_fs_open(repo, path, &why);
	return fd >= 0 && yg_codec_hash(fd, have, &size, &why) == 0 && size == form->size &&
		strcmp(have, form->sha256) == 0;
}

int objects_keep(int repo, int fd, const struct yg_form *form, struct yg_err *err)
{
	char path[YG_OBJECT_PATH], folder[] = "objects/xx";
	yg_form_path(form, path);
	if (objects_good(repo, form))
		return 0;
	memcpy(folder + 8, form->sha256, 2);
	if (yg_fs_mkdirs(repo, folder, 0755, err) < 0 || yg_fs_remove(repo, path, err) < 0)
		return -1;
	return yg_fs_link_tmpfile(fd, repo, path, 0444, err);
}

int objects_load(int repo, int dir, const struct yg_file *file, struct yg_err *err)
{
	char path[YG_OBJECT_PATH];
	const struct yg_form *form = yg_file_form(file);
	yg_form_path(form, path);
	int in YG_AUTO(fd) = yg_fs_open(repo, path, err);
	if (in < 0)
		return -1;
	int out YG_AUTO(fd) = yg_fs_tmpfile(dir, err);
	if (out < 0)
		return -1;
	if (yg_codec_decode(in, out, form, file->sha256, file->size, err) < 0)
		return yg_wrap(err, "%s", path);
	if (lseek(out, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "rewinding");
	return yg_take_fd(out);
}
