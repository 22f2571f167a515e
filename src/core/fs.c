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

#define DEPTH_MAX 64 /* levels of directories that yg_fs_remove goes down */

int yg_fs_open(int dir, const char *path, struct yg_err *err)
{
	/* O_NONBLOCK: a planted FIFO must not hang us; it means nothing for a regular file. */
	int fd YG_AUTO(fd) = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return yg_fail(err, YG_EABSENT, "'%s': no such file", path);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening '%s'", path);

	struct stat st;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "'%s': stat", path);
	if (!S_ISREG(st.st_mode))
		return yg_fail(err, YG_EFORMAT, "'%s': not a regular file", path);
	return yg_take_fd(fd);
}

int yg_fs_open_dir(int dir, const char *path, struct yg_err *err)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
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

int yg_fs_sync_dir(int dir, const char *path, struct yg_err *err)
{
	int fd YG_AUTO(fd) = yg_fs_open_dir(dir, path, err);
	if (fd < 0)
		return -1;
	if (fsync(fd) < 0)
		return yg_fail_sys(err, errno, "'%s': fsync", path);
	return 0;
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

static int write_new(int dir, const char *path, struct yg_bytes bytes, mode_t mode,
	struct yg_err *err)
{
	int fd YG_AUTO(fd) = openat(dir, path,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return yg_fail_sys(err, errno, "creating '%s'", path);
	if (fchmod(fd, mode) < 0)
		return yg_fail_sys(err, errno, "'%s': chmod", path);
	if (yg_fs_write_all(fd, bytes.ptr, bytes.len, err) < 0)
		return yg_wrap(err, "'%s'", path);
	if (fsync(fd) < 0)
		return yg_fail_sys(err, errno, "'%s': fsync", path);
	return 0;
}

int yg_fs_replace(int dir, const char *path, struct yg_bytes bytes, mode_t mode, struct yg_err *err)
{
	char temp[4096];
	if (temporary(path, temp, sizeof(temp), err) < 0)
		return -1;
	if (write_new(dir, temp, bytes, mode, err) < 0) {
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	if (renameat(dir, temp, dir, path) < 0) {
		(void)yg_fail_sys(err, errno, "renaming to '%s'", path);
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return sync_parent(dir, path, err);
}

int yg_fs_tmpfile(int dir, struct yg_err *err)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return yg_fail_sys(err, errno, "making a temporary file");
	return fd;
}

int yg_fs_link_tmpfile(int fd, int dir, const char *path, mode_t mode, struct yg_err *err)
{
	char self[64];
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fchmod(fd, mode) < 0)
		return yg_fail_sys(err, errno, "'%s': chmod", path);
	if (fsync(fd) < 0)
		return yg_fail_sys(err, errno, "'%s': fsync", path);
	if (linkat(AT_FDCWD, self, dir, path, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
		return yg_fail_sys(err, errno, "naming '%s'", path);
	return sync_parent(dir, path, err);
}

int yg_fs_symlink(int dir, const char *target, const char *path, struct yg_err *err)
{
	char temp[4096];
	if (temporary(path, temp, sizeof(temp), err) < 0)
		return -1;
	(void)unlinkat(dir, temp, 0);
	if (symlinkat(target, dir, temp) < 0)
		return yg_fail_sys(err, errno, "linking '%s'", path);
	if (renameat(dir, temp, dir, path) < 0) {
		(void)yg_fail_sys(err, errno, "renaming to '%s'", path);
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	return sync_parent(dir, path, err);
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

int yg_fs_mkdirs(int dir, const char *path, mode_t mode, struct yg_err *err)
{
	char *copy YG_AUTO(mem) = strdup(path);
	if (!copy)
		return yg_fail_sys(err, ENOMEM, "'%s'", path);
	for (char *at = copy; *at; at++) {
		if (*at != '/' || at == copy)
			continue;
		*at = 0;
		if (mkdirat(dir, copy, mode) < 0 && errno != EEXIST)
			return yg_fail_sys(err, errno, "making directory '%s'", copy);
		*at = '/';
	}
	if (mkdirat(dir, copy, mode) < 0 && errno != EEXIST)
		return yg_fail_sys(err, errno, "making directory '%s'", copy);
	return 0;
}

static int remove_at(int dir, const char *name, int depth, struct yg_err *err);

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

static int remove_inside(int dir, const char *name, int depth, struct yg_err *err)
{
	if (depth >= DEPTH_MAX)
		return yg_fail(err, YG_ELIMIT, "'%s': more than %d levels", name, DEPTH_MAX);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return yg_fail_sys(err, errno, "opening directory '%s'", name);
	DIR *list YG_AUTO(dir) = fdopendir(fd);
	if (!list) {
		(void)close(fd);
		return yg_fail_sys(err, ENOMEM, "reading directory '%s'", name);
	}
	for (struct dirent *entry; (entry = readdir(list));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (remove_at(dirfd(list), entry->d_name, depth + 1, err) < 0)
			return yg_wrap(err, "'%s'", name);
	}
	return 0;
}

static int remove_at(int dir, const char *name, int depth, struct yg_err *err)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return yg_fail_sys(err, errno, "removing '%s'", name);
	if (remove_inside(dir, name, depth, err) < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return yg_fail_sys(err, errno, "removing directory '%s'", name);
	return 0;
}

int yg_fs_remove(int dir, const char *path, struct yg_err *err)
{
	return remove_at(dir, path, 0, err);
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
