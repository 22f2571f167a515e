/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/str.h"

#define DEPTH_MAX                                                                                  \
	32 /* levels of directories that yg_fs_remove goes down at once: open descriptors */

/* Signals cut calls short on network file systems and FUSE, and when a program is stopped and goes on. */
static int open_again(int dir, const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = openat(dir, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int yg_fs_open_flags(int dir, const char *path, int flags, mode_t mode, struct yg_err *err)
{
	int fd = open_again(dir, path, flags, mode);
	if (fd < 0 && errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "'%s': no such file", path);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening '%s'", path);
	return fd;
}

int yg_fs_open(int dir, const char *path, struct yg_err *err)
{
	/* O_NONBLOCK: a planted FIFO must not hang us; it means nothing for a regular file. */
	int fd YG_AUTO(
		fd) = yg_fs_open_flags(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
	if (fd < 0)
		return -1;

	struct stat st;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "'%s': stat", path);
	if (!S_ISREG(st.st_mode))
		return yg_fail(err, YG_EFORMAT, "'%s': not a regular file", path);
	return yg_take_fd(fd);
}

int yg_fs_open_dir(int dir, const char *path, struct yg_err *err)
{
	int fd = open_again(dir, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "'%s': no such directory", path);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening directory '%s'", path);
	return fd;
}

int yg_fs_read_fd(int fd, struct yg_buf *buf, struct yg_err *err)
{
	uint8_t chunk[16384];
	for (off_t at = 0;;) {
		ssize_t n = pread(fd, chunk, sizeof(chunk), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			return 0;
		if (yg_buf_add(buf, chunk, (size_t)n, err) < 0)
			return -1;
		at += n;
	}
}

int yg_fs_read(int dir, const char *path, struct yg_buf *buf, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open(dir, path, err);
	if (fd < 0)
		return -1;
	if (yg_fs_read_fd(fd, buf, err) < 0)
		return yg_wrap(err, "'%s'", path);
	return 0;
}

int yg_fs_write_all(int fd, const void *data, size_t len, struct yg_err *err)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "writing");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The directory part of a path, "." when there is none. */
static int parent_of(const char *path, char *out, size_t size, struct yg_err *err)
{
	const char *slash = strrchr(path, '/');
	int len = slash ? (int)(slash - path) : 1;
	if (!yg_str_put(out, size, "%.*s", len ? len : 1, slash ? path : "."))
		return yg_fail(err, YG_ELIMIT, "'%s': path too long", path);
	return 0;
}

int yg_fs_sync(int fd, const char *what, struct yg_err *err)
{
	int rc;
	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? yg_fail_sys(err, errno, "'%s': fsync", what) : 0;
}

int yg_fs_sync_dir(int dir, const char *path, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open_dir(dir, path, err);
	if (fd < 0)
		return -1;
	return yg_fs_sync(fd, path, err);
}

static int sync_parent(int dir, const char *path, struct yg_err *err)
{
	char parent[4096];
	if (parent_of(path, parent, sizeof(parent), err) < 0)
		return -1;
	return yg_fs_sync_dir(dir, parent, err);
}

/* A name beside `path` that nobody else uses: one process writes one path at a time. */
static int temporary(const char *path, char *out, size_t size, struct yg_err *err)
{
	if (!yg_str_put(out, size, "%s.%ld.tmp", path, (long)getpid()))
		return yg_fail(err, YG_ELIMIT, "'%s': path too long", path);
	return 0;
}

/* A new file at a temporary name: what lies there is of a process that is gone, and may be anything, also
 * another name of a file that must not change.
 */
static int create(int dir, const char *temp, struct yg_err *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
	int fd = open_again(dir, temp, flags, 0600);
	if (fd < 0 && errno == EEXIST) {
		if (yg_fs_remove(dir, temp, err) < 0)
			return -1;
		fd = open_again(dir, temp, flags, 0600);
	}
	return fd < 0 ? yg_fail_sys(err, errno, "creating '%s'", temp) : fd;
}

/* Mode, data and inode of a file that is about to get its name. */
static int finish(int fd, const char *path, mode_t mode, struct yg_err *err)
{
	if (fchmod(fd, mode) < 0)
		return yg_fail_sys(err, errno, "'%s': chmod", path);
	return yg_fs_sync(fd, path, err);
}

static int move_in(int dir, const char *temp, const char *path, struct yg_err *err)
{
	if (renameat(dir, temp, dir, path) < 0)
		return yg_fail_sys(err, errno, "renaming to '%s'", path);
	return sync_parent(dir, path, err);
}

int yg_fs_replace(int dir, const char *path, struct yg_bytes bytes, mode_t mode, struct yg_err *err)
{
	char temp[4096];
	if (temporary(path, temp, sizeof(temp), err) < 0)
		return -1;
	int fd YG_AUTO(fd) = create(dir, temp, err);
	if (fd < 0)
		return -1;
	int rc = yg_fs_write_all(fd, bytes.ptr, bytes.len, err);
	if (rc < 0)
		(void)yg_wrap(err, "'%s'", temp);
	if (rc < 0 || finish(fd, temp, mode, err) < 0 || move_in(dir, temp, path, err) < 0) {
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return 0;
}

/* Where there is no O_TMPFILE (overlayfs of old kernels, some network file systems): named for a moment. */
static int tmpfile_by_name(int dir, struct yg_err *err)
{
	static unsigned serial;
	char temp[64];
	(void)snprintf(temp, sizeof(temp), "nameless-%u.%ld.tmp", serial++, (long)getpid());
	int fd YG_AUTO(fd) = create(dir, temp, err);
	if (fd < 0)
		return -1;
	if (unlinkat(dir, temp, 0) < 0)
		return yg_fail_sys(err, errno, "removing '%s'", temp);
	return yg_take_fd(fd);
}

int yg_fs_tmpfile(int dir, struct yg_err *err)
{
	int fd = open_again(dir, ".", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		return tmpfile_by_name(dir, err);
	if (fd < 0)
		return yg_fail_sys(err, errno, "making a temporary file");
	return fd;
}

int yg_fs_copy(int from, int to, struct yg_err *err)
{
	uint8_t chunk[65536];
	for (off_t at = 0;;) {
		ssize_t n = pread(from, chunk, sizeof(chunk), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			return 0;
		if (yg_fs_write_all(to, chunk, (size_t)n, err) < 0)
			return -1;
		at += n;
	}
}

int yg_fs_copy_to(int from, int dir, const char *path, mode_t mode, struct yg_err *err)
{
	char temp[4096];
	if (temporary(path, temp, sizeof(temp), err) < 0)
		return -1;
	int fd YG_AUTO(fd) = create(dir, temp, err);
	if (fd < 0)
		return -1;
	int rc = yg_fs_copy(from, fd, err);
	if (rc < 0)
		(void)yg_wrap(err, "copying to '%s'", path);
	if (rc < 0 || finish(fd, temp, mode, err) < 0 || move_in(dir, temp, path, err) < 0) {
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return 0;
}

int yg_fs_link_tmpfile(int fd, int dir, const char *path, mode_t mode, struct yg_err *err)
{
	char self[64];
	struct stat st;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "'%s': stat", path);
	if (st.st_nlink >
		0) /* it has a name: it gets no second one through which it could change */
		return yg_fs_copy_to(fd, dir, path, mode, err);
	if (finish(fd, path, mode, err) < 0)
		return -1;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, dir, path, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST) {
		/* A file that lost its name, a file system that cannot do it, no /proc. */
		if (errno == ENOENT || errno == EXDEV || errno == EOPNOTSUPP || errno == EPERM)
			return yg_fs_copy_to(fd, dir, path, mode, err);
		return yg_fail_sys(err, errno, "naming '%s'", path);
	}
	return sync_parent(dir, path, err);
}

int yg_fs_allocate(int fd, uint64_t bytes, bool *held, struct yg_err *err)
{
	*held = false;
	if (bytes == 0)
		return 0;
	if (bytes > INT64_MAX)
		return yg_fail_sys(err, ENOSPC, "allocating");
	int rc;
	do
		rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
	while (rc < 0 && errno == EINTR);
	/* Not every file system can, and a limit on the size of files is none on space. */
	if (rc < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EFBIG))
		return 0;
	if (rc < 0)
		return yg_fail_sys(err, errno, "allocating");
	*held = true;
	return 0;
}

int yg_fs_symlink(int dir, const char *target, const char *path, struct yg_err *err)
{
	char temp[4096];
	if (temporary(path, temp, sizeof(temp), err) < 0)
		return -1;
	int rc = symlinkat(target, dir, temp);
	if (rc < 0 && errno == EEXIST) {
		if (yg_fs_remove(dir, temp, err) < 0)
			return -1;
		rc = symlinkat(target, dir, temp);
	}
	if (rc < 0)
		return yg_fail_sys(err, errno, "linking '%s'", path);
	if (move_in(dir, temp, path, err) < 0) {
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return 0;
}

int yg_fs_readlink(int dir, const char *path, char *out, size_t size, struct yg_err *err)
{
	ssize_t n = readlinkat(dir, path, out, size);
	if (n < 0 && errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "'%s': no such link", path);
	if (n < 0 && errno == EINVAL)
		return yg_fail(err, YG_EFORMAT, "'%s': not a symbolic link", path);
	if (n < 0)
		return yg_fail_sys(err, errno, "reading link '%s'", path);
	if ((size_t)n >= size)
		return yg_fail(err, YG_EFORMAT, "'%s': the link is too long", path);
	out[n] = 0;
	return 0;
}

static int make_one(int dir, const char *path, mode_t mode, struct yg_err *err)
{
	struct stat st;
	if (mkdirat(dir, path, mode) == 0) {
		struct yg_err sync = {0};
		if (sync_parent(dir, path, &sync) == 0 || sync.sys == EACCES)
			return 0; /* who may write in a folder but not read it cannot sync it */
		*err = sync;
		return -1;
	}
	int why = errno;
	if (why == EEXIST && fstatat(dir, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return yg_fail_sys(err, why == EEXIST ? ENOTDIR : why, "making directory '%s'", path);
}

int yg_fs_mkdirs(int dir, const char *path, mode_t mode, struct yg_err *err)
{
	char *copy YG_AUTO(mem) = strdup(path);
	if (!copy)
		return yg_fail_sys(err, ENOMEM, "'%s'", path);
	for (char *at = copy; *at; at++) {
		if (*at != '/' || at == copy)
			continue;
		*at = 0;
		if (make_one(dir, copy, mode, err) < 0)
			return -1;
		*at = '/';
	}
	return make_one(dir, copy, mode, err);
}

/* One removal. Folders deeper than DEPTH_MAX are moved up beside the first name, and removed next. */
struct removal {
	int base;
	unsigned moved, removed;
};

static int remove_at(struct removal *r, int dir, const char *name, int depth, struct yg_err *err);

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static void moved_name(unsigned n, char out[64])
{
	(void)snprintf(out, 64, "deep-%u.%ld.tmp", n, (long)getpid());
}

static int remove_inside(struct removal *r, int dir, const char *name, int depth,
	struct yg_err *err)
{
	if (depth >= DEPTH_MAX) {
		char up[64];
		moved_name(r->moved, up);
		if (renameat(dir, name, r->base, up) < 0)
			return yg_fail_sys(err, errno, "moving '%s' up", name);
		r->moved++;
		return 0;
	}
	int fd = open_again(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening directory '%s'", name);
	DIR *list YG_AUTO(dir) = fdopendir(fd);
	if (!list) {
		(void)close(fd);
		return yg_fail_sys(err, ENOMEM, "reading directory '%s'", name);
	}
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(list);
		if (!entry)
			return errno ? yg_fail_sys(err, errno, "reading directory '%s'", name) : 0;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (remove_at(r, dirfd(list), entry->d_name, depth + 1, err) < 0)
			return yg_wrap(err, "'%s'", name);
	}
}

static int remove_at(struct removal *r, int dir, const char *name, int depth, struct yg_err *err)
{
	struct stat st;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	int why = errno;
	if ((why != EISDIR && why != EPERM) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISDIR(st.st_mode))
		return yg_fail_sys(err, why, "removing '%s'", name);
	if (remove_inside(r, dir, name, depth, err) < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return yg_fail_sys(err, errno, "removing directory '%s'", name);
	return 0;
}

int yg_fs_remove(int dir, const char *path, struct yg_err *err)
{
	struct removal r = {.base = dir};
	if (remove_at(&r, dir, path, 0, err) < 0)
		return -1;
	while (r.removed < r.moved) {
		char up[64];
		moved_name(r.removed++, up);
		if (remove_at(&r, dir, up, 0, err) < 0)
			return -1;
	}
	return 0;
}

int yg_fs_memfd(const char *name, struct yg_bytes bytes, struct yg_err *err)
{
	int fd YG_AUTO(fd) = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return yg_fail_sys(err, errno, "making a file in memory");
	if (yg_fs_write_all(fd, bytes.ptr, bytes.len, err) < 0)
		return -1;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return yg_fail_sys(err, errno, "sealing a file in memory");
	return yg_take_fd(fd);
}
