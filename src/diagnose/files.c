/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"

#define PROBE_BYTES   65536
#define SET_JSON_MAX  (16u << 20)
#define SET_LINK_MAX  256
#define COMPONENT_MAX 64
#define WHAT_MAX      1024

/* ---- the disk ---- */

static const char *cause_of(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return "store.disk_full";
	case EROFS:
		return "store.read_only";
	case EACCES:
	case EPERM:
		return "store.permission";
	default:
		return "store.io";
	}
}

/* Bytes go there and come back. Returns 0 or an errno. */
static int try_write(int dir)
{
	static char wrote[PROBE_BYTES];
	static char back[PROBE_BYTES];
	struct yg_err err = {0};
	memset(wrote, 0x5a, sizeof(wrote));
	int fd YG_AUTO(fd) = yg_fs_tmpfile(dir, &err);
	if (fd < 0)
		return err.sys ? err.sys : EIO;
	for (size_t at = 0; at < sizeof(wrote);) {
		ssize_t n = pwrite(fd, wrote + at, sizeof(wrote) - at, (off_t)at);
		if (n < 0 && errno != EINTR)
			return errno;
		at += n > 0 ? (size_t)n : 0;
	}
	if (fsync(fd) < 0)
		return errno;
	return pread(fd, back, sizeof(back), 0) == (ssize_t)sizeof(back) &&
			memcmp(wrote, back, sizeof(back)) == 0
		? 0
		: EIO;
}

void yg_files_disk(struct yg_diagnosis *d, int dir, const char *path)
{
	struct statvfs fs;
	if (fstatvfs(dir, &fs) < 0) {
		yg_diagnosis_bad(d, "disk", cause_of(errno), "%s: %s", path, strerror(errno));
		return;
	}
	unsigned long long room = (unsigned long long)fs.f_bavail * fs.f_frsize;
	unsigned long long all = (unsigned long long)fs.f_blocks * fs.f_frsize;
	int sys = try_write(dir);
	if (fs.f_flag & ST_RDONLY) {
		yg_diagnosis_bad(d, "disk", "store.read_only",
			yg_diagnosis_say(d, "%s: mounted read-only",
				"%s: 読み取り専用でマウントされています"),
			path);
		return;
	}
	if (sys) {
		yg_diagnosis_bad(d, "disk", cause_of(sys),
			yg_diagnosis_say(d, "%s: writing: %s (%llu MiB of %llu MiB free)",
				"%s: 書き込み: %s (空き%llu MiB / %llu MiB)"),
			path, strerror(sys), room >> 20, all >> 20);
		return;
	}
	if (room < YG_FILES_FREE_MIN && room < all / YG_FILES_PART) {
		yg_diagnosis_bad(d, "disk", "store.disk_full",
			yg_diagnosis_say(d, "%s: %llu MiB of %llu MiB free",
				"%s: 空き%llu MiB / %llu MiB"),
			path, room >> 20, all >> 20);
		return;
	}
	if (fs.f_files > 0 && fs.f_favail < YG_FILES_INODES_MIN &&
		fs.f_favail < fs.f_files / YG_FILES_PART) {
		yg_diagnosis_bad(d, "disk", "store.disk_full",
			yg_diagnosis_say(d, "%s: %llu of %llu inodes free",
				"%s: 空きinode %llu / %llu"),
			path, (unsigned long long)fs.f_favail, (unsigned long long)fs.f_files);
		return;
	}
	yg_diagnosis_good(d, "disk",
		yg_diagnosis_say(d, "%s: %llu MiB of %llu MiB free", "%s: 空き%llu MiB / %llu MiB"),
		path, room >> 20, all >> 20);
}

/* ---- owners ---- */

static const struct {
	const char *path;
	bool secret; /* for its owner only, and maybe another user's than the rest */
} owned[] = {
	{".", false},
	{"state", false},
	{"iaurepo", false},
	{"iaurepo/objects", false},
	{"sets", false},
	{"iaulogs", false},
	{"relay", false},
	{"state/identity", true},
	{"state/identity/identity.json", true},
	{"state/session", true},
	{"state/session/spool", true},
	{"state/am-tmp", true},
};

void yg_files_owners(struct yg_diagnosis *d, int dir, const char *path, int64_t extra)
{
	struct stat top;
	bool bad = false;
	if (fstat(dir, &top) < 0)
		return;
	for (size_t i = 0; i < YG_COUNT(owned); i++) {
		struct stat st;
		if (fstatat(dir, owned[i].path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			yg_diagnosis_bad(d, "permissions", cause_of(errno), "%s/%s: %s", path,
				owned[i].path, strerror(errno));
			bad = true;
			continue;
		}
		mode_t need = S_ISDIR(st.st_mode) ? 0700 : 0600;
		bool other = st.st_uid != top.st_uid &&
			!(owned[i].secret && (int64_t)st.st_uid == extra);
		bool closed = (st.st_mode & need) != need;
		bool open = (st.st_mode & 0002) || (owned[i].secret && (st.st_mode & 0077));
		if (!other && !closed && !open)
			continue;
		bad = true;
		yg_diagnosis_bad(d, "permissions", "store.permission",
			"%s/%s: owner %u, mode %04o%s", path, owned[i].path, (unsigned)st.st_uid,
			(unsigned)(st.st_mode & 07777),
			other            ? ": another owner than the rest"
				: closed ? ": its owner may not use it"
					 : ": others may use it");
	}
	if (!bad)
		yg_diagnosis_good(d, "permissions",
			yg_diagnosis_say(d, "%s: owner %u", "%s: 所有者 %u"), path,
			(unsigned)top.st_uid);
}

/* ---- the live set ---- */

/* The first file of a set that is not as it should be, in `what`. Returns its cause, or NULL. */
static const char *look(int set, const json_t *components, char what[WHAT_MAX])
{
	size_t i, k;
	json_t *component, *file;
	json_array_foreach(components, i, component)
	{
		const char *name = json_string_value(json_object_get(component, "name"));
		json_array_foreach(json_object_get(component, "files"), k, file)
		{
			const char *path = json_string_value(json_object_get(file, "path"));
			json_int_t size = json_integer_value(json_object_get(file, "size"));
			struct stat st;
			if (!name || !path ||
				!yg_str_name_ok(name, COMPONENT_MAX, YG_STR_NAME_CHARS) ||
				!yg_str_path_ok(path, 512) ||
				!yg_str_put(what, WHAT_MAX, "%s/%s", name, path))
				return "store.object_damaged";
			if (fstatat(set, what, &st, AT_SYMLINK_NOFOLLOW) < 0)
				return errno == ENOENT ? "store.missing" : cause_of(errno);
			if (!S_ISREG(st.st_mode) || st.st_size != size)
				return "store.object_damaged";
		}
	}
	return NULL;
}

void yg_files_store(struct yg_diagnosis *d, int dir)
{
	char link[SET_LINK_MAX];
	char what[WHAT_MAX] = "set.json";
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(SET_JSON_MAX);
	json_t *root YG_AUTO(yg_json) = NULL;
	json_t *components = NULL;
	if (yg_fs_readlink(dir, "lib", link, sizeof(link), &err) < 0) {
		if (err.code == YG_EABSENT)
			yg_diagnosis_unknown(d, "store",
				yg_diagnosis_say(d, "no components yet",
					"コンポーネントがまだありません"));
		else
			yg_diagnosis_bad(d, "store", "store.object_damaged", "lib: %s", err.msg);
		return;
	}
	int set YG_AUTO(fd) = yg_fs_open_dir(dir, "lib", &err);
	if (set < 0) {
		yg_diagnosis_bad(d, "store",
			err.code == YG_EABSENT ? "store.missing" : cause_of(err.sys),
			"lib leads to %s: %s", link, err.msg);
		return;
	}
	if (yg_fs_read(set, "set.json", &text, &err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), SET_JSON_MAX, &root, &err) < 0 ||
		yg_json_array(root, "components", COMPONENT_MAX, &components, &err) < 0) {
		yg_diagnosis_bad(d, "store",
			err.code == YG_EABSENT ? "store.missing" : "store.object_damaged",
			"lib: %s", err.msg);
		return;
	}
	const char *cause = look(set, components, what);
	if (cause)
		yg_diagnosis_bad(d, "store", cause, "lib/%s", what);
	else
		yg_diagnosis_good(d, "store",
			yg_diagnosis_say(d, "%zu components, every file is there in its size",
				"コンポーネント%zu個、すべてのファイルが正しいサイズで存在します"),
			json_array_size(components));
}
