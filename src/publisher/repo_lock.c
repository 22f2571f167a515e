/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"
#include "publisher/repo.h"

/* ---- who has the lock ---- */

/* "1: FLOCK  ADVISORY  WRITE 1234 fe:01:917537 0 EOF": the pid of the line about this inode, or 0.
 * source  proc(5), /proc/locks
 */
static uint64_t holder_in(char *line, uint64_t inode)
{
	char *words[6] = {0};
	size_t count = 0;
	struct yg_err why = {0};
	uint64_t pid = 0, found = 0;
	for (char *at = line, *word; count < 6 && (word = strsep(&at, " \n")) != NULL;) {
		if (*word)
			words[count++] = word;
	}
	const char *colon = count == 6 ? strrchr(words[5], ':') : NULL;
	if (!colon || strcmp(words[1], "FLOCK") != 0 ||
		yg_str_u64(colon + 1, UINT64_MAX, &found, &why) < 0 || found != inode ||
		yg_str_u64(words[4], INT32_MAX, &pid, &why) < 0)
		return 0;
	return pid;
}

static void file_free_at(FILE **at)
{
	if (*at)
		(void)fclose(*at);
}

/* Who works on it, as far as this computer's kernel knows. */
static uint64_t holder(int fd)
{
	struct stat at;
	char line[512];
	FILE *locks YG_AUTO(file) = fopen("/proc/locks", "re");
	if (!locks || fstat(fd, &at) < 0)
		return 0;
	while (fgets(line, sizeof(line), locks)) {
		uint64_t pid = holder_in(line, at.st_ino);
		if (pid > 0)
			return pid;
	}
	return 0;
}

/* The lock is on the folder itself: no file of ours lies in what a web server shows. */
int repo_lock(const struct repo *repo, struct yg_err *err)
{
	char host[256] = "";
	if (flock(repo->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return yg_fail_sys(err, errno, "locking");
	uint64_t pid = holder(repo->lock);
	if (pid > 0 && gethostname(host, sizeof(host) - 1) == 0)
		return yg_fail(err, YG_EAGAIN,
			"another publisher is working on it: process %" PRIu64 " on %s", pid, host);
	return yg_fail(err, YG_EAGAIN,
		"another publisher is working on it, on another computer or as another user");
}

/* ---- what a killed publisher left ---- */

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

/* "<name>.<pid>.tmp" (core/fs) */
static bool temporary(const char *name)
{
	size_t len = strlen(name);
	return len > 4 && strcmp(name + len - 4, ".tmp") == 0;
}

/* "N.role.json", of a repository that was never finished. */
static bool versioned(const char *name)
{
	size_t len = strlen(name);
	return len > 5 && name[0] >= '0' && name[0] <= '9' && strcmp(name + len - 5, ".json") == 0;
}

/* What is done with one name of a folder. */
typedef int sweep_name(int fd, const char *path, const char *name, struct yg_err *err);

static int each(int at, const char *path, sweep_name *act, struct yg_err *err)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : yg_fail_sys(err, errno, "'%s'", path);
	DIR *dir YG_AUTO(dir) = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	for (const struct dirent *one; (one = readdir(dir)) != NULL;) {
		if (act(fd, path, one->d_name, err) < 0)
			return -1;
	}
	return 0;
}

static int discard(int fd, const char *path, const char *name, struct yg_err *err)
{
	if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
		return yg_fail_sys(err, errno, "removing '%s/%s'", path, name);
	return 0;
}

static int discard_temporary(int fd, const char *path, const char *name, struct yg_err *err)
{
	return temporary(name) ? discard(fd, path, name, err) : 0;
}

static int discard_versioned(int fd, const char *path, const char *name, struct yg_err *err)
{
	return versioned(name) ? discard(fd, path, name, err) : 0;
}

static int refuse_later(int fd, const char *path, const char *name, struct yg_err *err)
{
	(void)fd;
	if (!versioned(name) || strncmp(name, "1.", 2) == 0)
		return 0;
	return yg_fail(err, YG_EFORMAT,
		"'%s/%s': this was published once, and has lost its timestamp.json: put it back, or "
		"begin in an empty folder",
		path, name);
}

int repo_lock_sweep(const struct repo *repo, bool all, struct yg_err *err)
{
	if (all &&
		(each(repo->dir, "metadata", refuse_later, err) < 0 ||
			each(repo->dir, "metadata", discard_versioned, err) < 0))
		return -1;
	if (each(repo->dir, "metadata", discard_temporary, err) < 0 ||
		each(repo->dir, "targets", discard_temporary, err) < 0)
		return -1;
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		char path[64];
		if (yg_str_put(path, sizeof(path), "targets/%s", at->role) &&
			each(repo->dir, path, discard_temporary, err) < 0)
			return -1;
	}
	return 0;
}
