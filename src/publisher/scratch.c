/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"

#define PREFIX "yagura-publish-"
#define OLD_S  3600 /* younger ones may be between their making and their lock */

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

/* Ours, old, and locked by nobody: who made it is gone. */
static void sweep_one(int base, const char *name)
{
	struct stat at;
	struct yg_err ignored = {0};
	int dir YG_AUTO(fd) = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &at) < 0 || at.st_uid != geteuid() ||
		at.st_ctime > time(NULL) - OLD_S || flock(dir, LOCK_EX | LOCK_NB) < 0)
		return;
	(void)!yg_fs_remove(base, name, &ignored); /* then it stays until the next time */
}

static void sweep(const char *base)
{
	DIR *dir YG_AUTO(dir) = opendir(base);
	for (const struct dirent *at; dir && (at = readdir(dir));) {
		if (strncmp(at->d_name, PREFIX, strlen(PREFIX)) == 0)
			sweep_one(dirfd(dir), at->d_name);
	}
}

int scratch_open(struct scratch *scratch, struct yg_err *err)
{
	const char *base = getenv("TMPDIR");
	if (!base || base[0] != '/')
		base = "/var/tmp";
	sweep(base);
	if (!yg_str_put(scratch->path, sizeof(scratch->path), "%s/" PREFIX "XXXXXX", base))
		return yg_fail(err, YG_ELIMIT, "'%.200s': path too long", base);
	if (!mkdtemp(scratch->path))
		return yg_fail_sys(err, errno, "making a folder in '%.200s'", base);
	scratch->dir = yg_fs_open_dir(AT_FDCWD, scratch->path, err);
	if (scratch->dir < 0)
		return -1;
	/* On a file system without locks nobody sweeps. */
	(void)flock(scratch->dir, LOCK_EX);
	return 0;
}

void scratch_close(struct scratch *scratch)
{
	struct yg_err ignored = {0};
	if (scratch->dir < 0)
		return;
	(void)!yg_fs_remove(AT_FDCWD, scratch->path, &ignored); /* the next one sweeps */
	fd_free_at(&scratch->dir);
	scratch->dir = -1;
}
