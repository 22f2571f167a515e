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

/* A temporary name is "<name>.<pid>.tmp" (core/fs); in a new repository also what was not finished. */
static bool left_over(const char *name, bool all)
{
	size_t len = strlen(name);
	return (len > 4 && strcmp(name + len - 4, ".tmp") == 0) ||
		(all && len > 5 && name[0] >= '0' && name[0] <= '9' &&
			strcmp(name + len - 5, ".json") == 0);
}

static int sweep_dir(int at, const char *path, bool all, struct yg_err *err)
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
		if (left_over(one->d_name, all) && unlinkat(fd, one->d_name, 0) < 0 &&
			errno != ENOENT)
			return yg_fail_sys(err, errno, "removing '%s/%s'", path, one->d_name);
	}
	return 0;
}

int repo_sweep(const struct repo *repo, bool all, struct yg_err *err)
{
	if (sweep_dir(repo->dir, "metadata", all, err) < 0 ||
		sweep_dir(repo->dir, "targets", false, err) < 0)
		return -1;
	for (const struct repo_class *at = repo_classes; at->role; at++) {
		char path[64];
		if (yg_str_put(path, sizeof(path), "targets/%s", at->role) &&
			sweep_dir(repo->dir, path, false, err) < 0)
			return -1;
	}
	return 0;
}
