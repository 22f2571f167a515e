/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/json.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

/* Disks as they fail, each in a mount namespace that ends with its process. */

static const struct {
	const char *name, *options;
	unsigned long flags, again; /* of the mount, and of a second one over it */
	size_t bytes, files;        /* what is put there */
	const char *cause;          /* "": none */
} rows[] = {
	{"a small disk with room", "size=8m", 0, 0, 4 << 20, 1, ""},
	{"no room", "size=8m", 0, 0, (8 << 20) - 65536, 1, "store.disk_full"},
	{"none at all", "size=1m", 0, 0, 1 << 20, 1, "store.disk_full"},
	{"no inodes", "size=80m,nr_inodes=300", 0, 0, 1, 290, "store.disk_full"},
	{"read-only", "size=8m", 0, MS_REMOUNT | MS_RDONLY, 1, 1, "store.read_only"},
};

#define CANNOT 77

static void fill(int dir, size_t bytes, size_t files)
{
	static char block[65536];
	for (size_t i = 0; i < files; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "f%zu", i);
		int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		for (size_t left = bytes; fd >= 0 && left > 0;) {
			size_t n = left < sizeof(block) ? left : sizeof(block);
			if (write(fd, block, n) <= 0)
				break;
			left -= n;
		}
		if (fd >= 0)
			(void)close(fd);
	}
}

/* Runs in a process of its own. Returns its exit status: 0 as wanted. */
static int look(size_t row, const char *path)
{
	struct yg_err err = {0};
	size_t standing = 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", path, "tmpfs", rows[row].flags, rows[row].options) < 0)
		return CANNOT;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fill(dir, rows[row].bytes, rows[row].files);
	if (rows[row].again && mount(NULL, path, NULL, rows[row].again, NULL) < 0)
		return CANNOT;
	struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = yg_diagnosis_new(YG_LANG_EN, &err);
	yg_files_disk(d, dir, path);
	json_t *result YG_AUTO(yg_json) = yg_diagnosis_result(d, &standing);
	const json_t *first = json_array_get(json_object_get(result, "causes"), 0);
	const char *cause = json_string_value(json_object_get(first, "cause"));
	(void)close(dir);
	if (strcmp(cause ? cause : "", rows[row].cause) == 0)
		return 0;
	char *text YG_AUTO(mem) = yg_json_text(result);
	(void)fprintf(stderr, "%s: want '%s': %s\n", rows[row].name, rows[row].cause,
		text ? text : "");
	return 1;
}

static void disks(void **state)
{
	(void)state;
	char path[] = "/tmp/yagura-files-XXXXXX";
	assert_non_null(mkdtemp(path));
	int worst = 0;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		int status = 0;
		pid_t child = fork();
		if (child == 0)
			_exit(look(i, path));
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		worst = code == CANNOT || worst == CANNOT ? CANNOT : code > worst ? code : worst;
	}
	(void)rmdir(path);
	if (worst == CANNOT)
		skip(); /* no mounts here: not root, or a container that forbids them */
	assert_int_equal(worst, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(disks)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
