/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The life of a store on real file systems, each in an image of its own: updates, rollback, damage, a disk that
 * is full and one that becomes read-only. In a mount namespace of its own: whatever ends this program takes the
 * mounts along, and the loop devices with them.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/lib/content_set.h"

static char top[64]; /* a folder for images and mount points */

/* ---- mounting ---- */

static int run_program(const char *const *argv)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void path_of(const char *name, char out[128])
{
	assert_true(yg_str_put(out, 128, "%s/%s", top, name));
}

static void need(bool can, const char *why)
{
	if (can)
		return;
	printf("skip: %s\n", why);
	skip();
}

/* A file system of `size` bytes at top/<type>. The image takes only the space that is used. */
static void mount_image(const char *type, off_t size, const char *const *mkfs)
{
	char image[128];
	char dir[128];
	char name[64];
	const char *argv[8];
	size_t n = 0;
	assert_true(yg_str_put(name, sizeof(name), "%s.image", type));
	path_of(name, image);
	path_of(type, dir);
	int fd YG_AUTO(fd) = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	while (mkfs[n]) {
		argv[n] = mkfs[n];
		n++;
	}
	argv[n++] = image;
	argv[n] = NULL;
	int rc = run_program(argv);
	need(rc != 127, "mkfs of this file system is not installed");
	assert_int_equal(rc, 0);
	assert_true(mkdir(dir, 0755) == 0 || errno == EEXIST);
	const char *const mount[] = {"mount", "-t", type, "-o", "loop", image, dir, NULL};
	need(run_program(mount) == 0, "a loop device cannot be mounted here");
}

static void unmount(const char *name)
{
	char dir[128];
	path_of(name, dir);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

static int setup(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) == 0)
		(void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	assert_true(yg_str_put(top, sizeof(top), "/tmp/yagura-disks-XXXXXX"));
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	static const char *const mounts[] = {"overlay", "ext4", "xfs", "btrfs"};
	for (size_t i = 0; i < YG_COUNT(mounts); i++) { /* those of tests that failed */
		char dir[128];
		path_of(mounts[i], dir);
		(void)umount2(dir, MNT_DETACH);
	}
	return yg_fs_remove(AT_FDCWD, top, &err);
}

/* ---- the life of a store ---- */

static struct world open_on(const char *name)
{
	struct world w = {0};
	char dir[128];
	path_of(name, dir);
	assert_true(yg_str_put(w.path, sizeof(w.path), "%s/store", dir));
	assert_true(mkdir(w.path, 0755) == 0 || errno == EEXIST);
	w.root = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(w.root >= 0);
	world_start(&w);
	return w;
}

static void close_on(struct world *w)
{
	yg_store_free(w->store);
	w->store = NULL;
	(void)close(w->root);
}

static void update(struct world *w, int version)
{
	struct yg_err err = {0};
	if (world_update(w->store, version, &err) < 0)
		fail_msg("update to %d: %s", version, err.msg);
}

static void check(struct world *w, int lib, int roll)
{
	struct yg_err err = {0};
	char digest[YG_SHA256_TEXT];
	assert_int_equal(world_version(w, YG_STORE_LIB), lib);
	assert_int_equal(world_version(w, YG_STORE_ROLL), roll);
	world_digest(lib, digest);
	if (yg_store_check(w->store, digest, &err) < 0)
		fail_msg("%s", err.msg);
}

static void live(struct world *w)
{
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	update(w, 1);
	update(w, 2);
	check(w, 2, 1);
	world_start(w);
	assert_int_equal(yg_store_rollback(w->store, &err), 0);
	update(w, 2);
	update(w, 3);
	check(w, 3, 2);
	assert_int_equal(yg_fs_remove(w->root, "iaurepo", &err), 0);
	assert_int_equal(yg_store_mend(w->store, &report, &err), 0);
	assert_int_equal(report.missing, 0);
	assert_int_equal(report.adopted, 5);
	check(w, 3, 2);
	update(w, 4);
	check(w, 4, 3);
}

static void part_and_reservation(struct world *w)
{
	struct yg_err err = {0};
	char sha[YG_SHA256_TEXT];
	uint64_t have = 1;
	world_sha("part", sha);
	int fd YG_AUTO(fd) = yg_store_part_open(w->store, sha, &have, &err);
	assert_true(fd >= 0);
	assert_int_equal(yg_store_reserve(w->store, 8u << 20, &err), 0);
	assert_int_equal(yg_store_allot(w->store, fd, 4u << 20, &err), 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_true((uint64_t)st.st_blocks * 512 >= 4u << 20);
	assert_int_equal(yg_store_part_drop(w->store, sha, &err), 0);
	yg_store_release(w->store);
}

/* The disk is filled by somebody else: nothing live changes, and a reservation is refused at once. */
static void full(struct world *w, int lib)
{
	struct yg_err err = {0};
	static const uint8_t block[1 << 16] = {1};
	int fd = openat(w->root, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	while (write(fd, block, 512) > 0)
		;
	assert_int_equal(fsync(fd) == 0 || errno == ENOSPC, 1);
	assert_int_equal(yg_store_reserve(w->store, 1u << 20, &err), -1);
	assert_string_equal(err.cause, "store.disk_full");
	err = (struct yg_err){0};
	if (world_update(w->store, 1, &err) < 0) /* names alone may still fit */
		assert_string_equal(err.cause, "store.disk_full");
	else
		lib = 1;
	assert_int_equal(close(fd), 0);
	assert_int_equal(world_version(w, YG_STORE_LIB), lib);
	assert_int_equal(unlinkat(w->root, "filler", 0), 0);
	sync();
	world_start(w);
	update(w, 2);
	update(w, 4);
	check(w, 4, 2);
}

static void read_only(struct world *w, const char *name)
{
	struct yg_err err = {0};
	char dir[128];
	path_of(name, dir);
	const char *const ro[] = {"mount", "-o", "remount,ro", dir, NULL};
	const char *const rw[] = {"mount", "-o", "remount,rw", dir, NULL};
	yg_store_free(w->store); /* its lock is a file that is open for writing */
	w->store = NULL;
	assert_int_equal(run_program(ro), 0);
	/* What is whole goes on protecting; what cannot be done says why. */
	world_start(w);
	check(w, 4, 2);
	assert_int_equal(world_update(w->store, 1, &err), -1);
	assert_string_equal(err.cause, "store.read_only");
	err = (struct yg_err){0};
	assert_int_equal(yg_store_rollback(w->store, &err), -1);
	assert_string_equal(err.cause, "store.read_only");
	check(w, 4, 2);
	yg_store_free(w->store);
	w->store = NULL;
	assert_int_equal(run_program(rw), 0);
	world_start(w);
	check(w, 4, 2);
}

static void on(const char *type, off_t size, const char *const *mkfs)
{
	mount_image(type, size, mkfs);
	struct world w = open_on(type);
	live(&w);
	part_and_reservation(&w);
	full(&w, 4);
	read_only(&w, type);
	close_on(&w);
	unmount(type);
}

static void on_ext4(void **state)
{
	(void)state;
	static const char *const mkfs[] = {"mkfs.ext4", "-q", "-F", "-N", "2048", NULL};
	on("ext4", 64 << 20, mkfs);
}

static void on_xfs(void **state)
{
	(void)state;
	static const char *const mkfs[] = {"mkfs.xfs", "-q", "-f", NULL};
	on("xfs", 320 << 20, mkfs);
}

static void on_btrfs(void **state)
{
	(void)state;
	static const char *const mkfs[] = {"mkfs.btrfs", "-q", "-f", NULL};
	on("btrfs", 256 << 20, mkfs);
}

/* A store in the lower layer, as in the image of a container: the first change copies a file up, and its other
 * names stay behind.
 */
static void on_overlayfs(void **state)
{
	(void)state;
	static const char *const mkfs[] = {"mkfs.ext4", "-q", "-F", NULL};
	static const char *const folders[] = {"ext4/upper", "ext4/work", "overlay"};
	char dir[128];
	char options[512];
	mount_image("ext4", 64 << 20, mkfs);
	path_of("ext4/lower", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	struct world w = open_on("ext4/lower");
	update(&w, 1);
	update(&w, 2);
	close_on(&w);
	for (size_t i = 0; i < YG_COUNT(folders); i++) {
		path_of(folders[i], dir);
		assert_int_equal(mkdir(dir, 0755), 0);
	}
	assert_true(yg_str_put(options, sizeof(options),
		"lowerdir=%s/ext4/lower,upperdir=%s/ext4/upper,workdir=%s/ext4/work", top, top,
		top));
	path_of("overlay", dir);
	need(mount("overlay", dir, "overlay", 0, options) == 0, "overlayfs cannot be mounted here");
	w = open_on("overlay");
	check(&w, 2, 1);
	live(&w);
	part_and_reservation(&w);
	close_on(&w);
	unmount("overlay");
	unmount("ext4");
}

/* A file has as many names as ext4 allows: the next set gets a copy. */
static void no_more_links(void **state)
{
	(void)state;
	static const char *const mkfs[] = {"mkfs.ext4", "-q", "-F", NULL};
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char sha[YG_SHA256_TEXT];
	char from[128];
	mount_image("ext4", 128 << 20, mkfs);
	struct world w = open_on("ext4");
	update(&w, 1);
	world_sha("the same in every version", sha);
	assert_true(yg_str_put(from, sizeof(from), "iaurepo/objects/%s", sha));
	assert_int_equal(mkdirat(w.root, "links", 0755), 0);
	for (int i = 0;; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "links/%d", i);
		if (linkat(w.root, from, w.root, name, 0) == 0)
			continue;
		assert_int_equal(errno, EMLINK);
		break;
	}
	update(&w, 2);
	check(&w, 2, 1);
	struct stat st;
	assert_int_equal(fstatat(w.root, "lib/am-pattern/a.hsb", &st, 0), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 07777, 0444);
	/* and that is no damage */
	assert_int_equal(yg_store_mend(w.store, &report, &err), 0);
	assert_int_equal(report.relinked + report.adopted + report.dropped + report.missing, 0);
	struct yg_set *set YG_AUTO(yg_set) = world_set(2);
	assert_int_equal(yg_store_stage(w.store, set, &err), 0);
	update(&w, 3);
	check(&w, 3, 2);
	close_on(&w);
	unmount("ext4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_ext4),
		cmocka_unit_test(on_xfs),
		cmocka_unit_test(on_btrfs),
		cmocka_unit_test(on_overlayfs),
		cmocka_unit_test(no_more_links),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
