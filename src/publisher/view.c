/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/fs.h"

int view_open(struct view *view, const char *path, struct yg_err *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? yg_fail(err, YG_EABSENT, "'%s': not there", path)
				       : yg_fail_sys(err, errno, "'%s'", path);
	view->scratch = yg_fs_open_dir(AT_FDCWD, "/var/tmp", err);
	if (view->scratch < 0)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		view->dir = yg_fs_open_dir(AT_FDCWD, path, err);
		return view->dir < 0 ? -1 : 0;
	}
	view->file = yg_fs_open(AT_FDCWD, path, err);
	view->bundle = view->file < 0 ? NULL : yg_bundle_open(view->file, err);
	return view->bundle ? 0 : yg_wrap(err, "'%s'", path);
}

void view_free_at(struct view *view)
{
	yg_bundle_free(view->bundle);
	fd_free_at(&view->dir);
	fd_free_at(&view->file);
	fd_free_at(&view->scratch);
}

/* ---- a client's operations; nothing is kept ---- */

static int read_file(const struct view *view, const char *path, struct yg_buf *buf,
	struct yg_err *err)
{
	return view->bundle ? yg_bundle_read(view->bundle, path, buf, err)
			    : yg_fs_read(view->dir, path, buf, err);
}

static int op_fetch(void *ctx, const char *path, size_t max, struct yg_buf *buf, struct yg_err *err)
{
	(void)max; /* the buffer's own limit is never more */
	return read_file(ctx, path, buf, err);
}

static int op_load(void *ctx, const char *name, struct yg_buf *buf, struct yg_err *err)
{
	(void)ctx;
	(void)buf;
	return yg_fail(err, YG_EABSENT, "'%s': nothing is kept", name);
}

static int op_save(void *ctx, const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	(void)ctx;
	(void)name;
	(void)bytes;
	(void)err;
	return 0;
}

struct yg_tuf *view_client(struct view *view, const char *root, int64_t now, struct yg_err *err)
{
	static const struct yg_tuf_ops ops = {op_fetch, op_load, op_save};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_TUF_ROOT_MAX);
	struct yg_tuf *tuf YG_AUTO(yg_tuf) = yg_tuf_new(&ops, view, now, err);
	if (!tuf)
		return NULL;
	int bad = root ? yg_fs_read(AT_FDCWD, root, &text, err)
		       : read_file(view, "metadata/1.root.json", &text, err);
	if (bad < 0 || yg_tuf_trust(tuf, yg_buf_bytes(&text), err) < 0 ||
		yg_tuf_refresh(tuf, err) < 0)
		return NULL;
	return yg_take(tuf);
}

/* ---- objects ---- */

bool view_has(const struct view *view, const struct yg_form *form)
{
	struct stat st;
	struct yg_bundle_file file;
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	if (view->bundle)
		return yg_bundle_find(view->bundle, path, &file) && file.size == form->size;
	return fstatat(view->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size == form->size;
}

int view_object(const struct view *view, const struct yg_form *form, struct yg_err *err)
{
	struct yg_bundle_file file;
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	if (!view->bundle)
		return yg_fs_open(view->dir, path, err);
	if (!yg_bundle_find(view->bundle, path, &file))
		return yg_fail(err, YG_EABSENT, "'%s': not in the bundle", path);
	int out YG_AUTO(fd) = yg_fs_tmpfile(view->scratch, err);
	if (out < 0 || yg_bundle_copy(view->bundle, &file, out, err) < 0)
		return -1;
	if (lseek(out, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "rewinding");
	return yg_take_fd(out);
}
