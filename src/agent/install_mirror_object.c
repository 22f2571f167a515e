/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/install_mirror_impl.h"
#include "content/codec.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/str.h"

/* Transfer forms that a relay serves, believed for their hash. That one was hashed is remembered with what the
 * kernel changes when somebody writes to the file, for a day: a disk may change bytes and tell nobody.
 */

#define TRUST_S 86400 /* seconds */

/* What changes whenever somebody writes to a file, or puts another in its place. */
static bool stamp_of(int fd, char out[128])
{
	struct stat st;
	return fstat(fd, &st) == 0 &&
		yg_str_put(out, 128, "%llu %lld %lld.%09ld %lld.%09ld",
			(unsigned long long)st.st_ino, (long long)st.st_size,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static bool is_trusted(const struct install_mirror *mirror, const char *path, int fd)
{
	char stamp[128];
	const json_t *known = json_object_get(mirror->good, path);
	const char *then = json_string_value(json_object_get(known, "stamp"));
	int64_t age = yg_clock_mono_ms() / 1000 - json_integer_value(json_object_get(known, "at"));
	return then && age < TRUST_S && stamp_of(fd, stamp) && strcmp(stamp, then) == 0;
}

static void trust(struct install_mirror *mirror, const char *path, int fd)
{
	char stamp[128];
	if (stamp_of(fd, stamp))
		(void)json_object_set_new(mirror->good, path,
			json_pack("{s:s, s:I}", "stamp", stamp, "at",
				(json_int_t)(yg_clock_mono_ms() / 1000)));
}

static void note_damage(struct install_mirror *mirror, const char *path, const char *sha256)
{
	yg_log(YG_LOG_WARN, "relay.damaged", "'%s' is damaged, it is fetched again", path);
	if (mirror->damage.count++ > 0)
		return;
	(void)!yg_str_put(mirror->damage.path, sizeof(mirror->damage.path), "%s", path);
	(void)!yg_str_put(mirror->damage.object, sizeof(mirror->damage.object), "%s", sha256);
}

struct install_mirror_damage install_mirror_object_damage(struct install_mirror *mirror)
{
	struct install_mirror_damage found = mirror->damage;
	mirror->damage = (struct install_mirror_damage){0};
	return found;
}

bool install_mirror_object_has(struct install_mirror *mirror, const struct yg_form *form)
{
	struct yg_err why = {0};
	char object[YG_OBJECT_PATH];
	char path[MIRROR_FULL];
	char sha256[YG_SHA256_TEXT];
	uint64_t size = 0;
	yg_form_path(form, object);
	if (install_mirror_path(object, path, &why) < 0)
		return false;
	int fd YG_AUTO(fd) = yg_fs_open(mirror->root, path, &why);
	if (fd < 0)
		return false;
	if (is_trusted(mirror, object, fd))
		return true;
	if (yg_codec_hash(fd, sha256, &size, &why) == 0 && size == form->size &&
		strcmp(sha256, form->sha256) == 0) {
		trust(mirror, object, fd);
		return true;
	}
	(void)json_object_del(mirror->good, object);
	note_damage(mirror, path, form->sha256);
	return false;
}

int install_mirror_object_add(struct install_mirror *mirror, int fd, const struct yg_form *form,
	struct yg_err *err)
{
	char object[YG_OBJECT_PATH];
	char path[MIRROR_FULL];
	char folder[MIRROR_FULL];
	char sha256[YG_SHA256_TEXT];
	uint64_t size = 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return yg_fail_sys(err, errno, "object %s: seeking", form->sha256);
	if (yg_codec_hash(fd, sha256, &size, err) < 0)
		return -1;
	if (size != form->size)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.size",
			"object %s: want %llu bytes, have %llu", form->sha256,
			(unsigned long long)form->size, (unsigned long long)size);
	if (strcmp(sha256, form->sha256) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "content.hash",
			"object %s: have SHA-256 %s", form->sha256, sha256);
	yg_form_path(form, object);
	if (install_mirror_path(object, path, err) < 0 ||
		!yg_str_put(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path))
		return -1;
	/* What lies there is not good, or we would not be asked: a link must not find it. */
	if (install_mirror_folder(mirror, folder, err) < 0 ||
		yg_fs_remove(mirror->root, path, err) < 0)
		return -1;
	return yg_fs_link_tmpfile(fd, mirror->root, path, 0444, err);
}

static void check(struct install_mirror *mirror, int dir, const char *name, const char *path)
{
	struct yg_err why = {0};
	char sha256[YG_SHA256_TEXT];
	uint64_t size = 0;
	int fd YG_AUTO(fd) = yg_fs_open(dir, name, &why);
	mirror->damage.checked++;
	if (fd >= 0 && yg_codec_hash(fd, sha256, &size, &why) == 0 && strcmp(sha256, name) == 0) {
		trust(mirror, path, fd);
		return;
	}
	(void)json_object_del(mirror->good, path);
	note_damage(mirror, path, name);
	(void)unlinkat(dir, name, 0);
}

void install_mirror_object_check(struct install_mirror *mirror)
{
	install_mirror_each(mirror, "objects", 0, check);
}
