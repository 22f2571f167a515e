/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/hash.h"

/* What of the repository is kept.
 *
 *     state/tuf/         the cache: metadata as it came. Whatever is broken in it is fetched again
 *     state/manifests/   the same, release manifests by their SHA-256, hashed before each use
 *     state/floor.json   what nothing older is believed than: not part of the cache, so that who empties the
 *                        cache does not open the door to an old repository
 *
 * A relay's own are tuf-relay, manifests-relay and floor-relay.json: it serves other computers, and may know of
 * newer metadata than its own agent.
 */

#define FILE_MAX   (8u << 20) /* bytes of a manifest */
#define NAME_BYTES 128
#define TIMESTAMP  "metadata/timestamp.json"
#define ETAG_BYTES 128
#define ETAG_MAX   4096 /* bytes of the file that remembers one */

/* ---- where things lie ---- */

static const char *cache(const struct install_run *r)
{
	return r->relay ? "state/tuf-relay" : "state/tuf";
}

static const char *manifests(const struct install_run *r)
{
	return r->relay ? "state/manifests-relay" : "state/manifests";
}

int install_run_cache_path(const struct install_run *r, const char *name,
	char out[INSTALL_RUN_PATH], struct yg_err *err)
{
	if (!yg_str_name_ok(name, NAME_BYTES, YG_STR_FILE_CHARS))
		return yg_fail(err, YG_EFORMAT, "name: not a name of metadata");
	bool fits = strcmp(name, "floor.json") == 0
		? yg_str_put(out, INSTALL_RUN_PATH, "state/floor%s.json", r->relay ? "-relay" : "")
		: yg_str_put(out, INSTALL_RUN_PATH, "%s/%s", cache(r), name);
	return fits ? 0 : yg_fail(err, YG_ELIMIT, "name: too long");
}

/* Replace a file, or whatever was put where it belongs. */
int install_run_cache_keep(struct install_run *r, const char *path, struct yg_bytes bytes,
	struct yg_err *err)
{
	char folder[INSTALL_RUN_PATH];
	struct stat st;
	if (!yg_str_put(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path) ||
		yg_fs_mkdirs(r->in->root, folder, 0755, err) < 0)
		return -1;
	if (yg_fs_replace(r->in->root, path, bytes, 0644, err) == 0)
		return 0;
	if (fstatat(r->in->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
		return -1;
	*err = (struct yg_err){0};
	if (yg_fs_remove(r->in->root, path, err) < 0)
		return -1;
	return yg_fs_replace(r->in->root, path, bytes, 0644, err);
}

/* ---- manifests ---- */

/* The hash in "targets/am/<sha256>.am-pattern.json"; false when there is none. */
static bool manifest_hash(const char *path, char out[YG_HASH_TEXT])
{
	const char *slash = strrchr(path, '/');
	if (strncmp(path, "targets/", 8) != 0 || !slash)
		return false;
	size_t len = strspn(slash + 1, "0123456789abcdef");
	return len == YG_HASH_TEXT - 1 && slash[1 + len] == '.' &&
		yg_str_put(out, YG_HASH_TEXT, "%.*s", (int)len, slash + 1);
}

static bool has_hash(int fd, const char *sha256)
{
	uint8_t hash[YG_HASH_SIZE];
	char text[YG_HASH_TEXT];
	struct yg_err why = {0};
	if (yg_hash_fd(fd, hash, NULL, &why) < 0)
		return false;
	yg_str_hex(hash, sizeof(hash), text);
	return strcmp(text, sha256) == 0;
}

static bool manifest_path(const struct install_run *r, const char *sha256,
	char out[INSTALL_RUN_PATH])
{
	return yg_str_put(out, INSTALL_RUN_PATH, "%s/%s", manifests(r), sha256);
}

int install_run_cache_find(struct install_run *r, const char *target)
{
	char path[INSTALL_RUN_PATH];
	char sha256[YG_HASH_TEXT];
	struct yg_err why = {0};
	if (!manifest_hash(target, sha256))
		return -1;
	(void)json_object_set_new(r->manifests, sha256, json_true());
	if (!manifest_path(r, sha256, path))
		return -1;
	int fd YG_AUTO(fd) = yg_fs_open(r->in->root, path, &why);
	return fd >= 0 && has_hash(fd, sha256) ? yg_take_fd(fd) : -1;
}

/* Not being able to is no failure: it is fetched again next time. */
static void keep_manifest(struct install_run *r, const char *sha256, int fd)
{
	char path[INSTALL_RUN_PATH];
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	if (!has_hash(fd, sha256) || !manifest_path(r, sha256, path))
		return;
	if (yg_fs_read_fd(fd, &text, &why) < 0 ||
		install_run_cache_keep(r, path, yg_buf_bytes(&text), &why) < 0)
		yg_log_err(YG_LOG_WARN, "update.cache", &why);
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

void install_run_cache_collect(struct install_run *r)
{
	struct yg_err why = {0};
	int fd YG_AUTO(fd) = yg_fs_open_dir(r->in->root, manifests(r), &why);
	int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *list YG_AUTO(dir) = own < 0 ? NULL : fdopendir(own);
	if (!list)
		return;
	for (struct dirent *entry; (entry = readdir(list));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			!json_object_get(r->manifests, entry->d_name))
			(void)!yg_fs_remove(fd, entry->d_name, &why); /* it costs room, no more */
}

/* ---- timestamp.json: asked for on condition ---- */

/* It is all that most runs fetch, and the same as last time: then the answer is a status line.
 *
 *     state/tuf/timestamp.etag   {"url", "etag", "sha256" of the bytes that had this tag, "since", "seen"}
 *
 * Common web servers make the tag of the file's size and the second of its last change, so that two publications
 * in one second look the same. A tag is believed when the same bytes had it some seconds later, or when it is
 * their hash, as a relay's.
 */
static bool etag_path(const struct install_run *r, char out[INSTALL_RUN_PATH])
{
	return yg_str_put(out, INSTALL_RUN_PATH, "%s/timestamp.etag", cache(r));
}

/* The descriptor of the kept file, if it has this hash; -1. */
static int kept_timestamp(struct install_run *r, const char *sha256)
{
	char path[INSTALL_RUN_PATH];
	struct yg_err why = {0};
	if (install_run_cache_path(r, "timestamp.json", path, &why) < 0)
		return -1;
	int fd YG_AUTO(fd) = yg_fs_open(r->in->root, path, &why);
	return fd >= 0 && has_hash(fd, sha256) ? yg_take_fd(fd) : -1;
}

#define SURE_S 3

static bool is_sure(const json_t *known)
{
	const char *etag = json_string_value(json_object_get(known, "etag"));
	const char *sha256 = json_string_value(json_object_get(known, "sha256"));
	return etag && sha256 &&
		(strstr(etag, sha256) ||
			json_integer_value(json_object_get(known, "seen")) -
					json_integer_value(json_object_get(known, "since")) >=
				SURE_S);
}

/* What is remembered of this source, as long as the kept file is still the one; or NULL. */
static json_t *read_etag(struct install_run *r)
{
	char path[INSTALL_RUN_PATH];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ETAG_MAX);
	json_t *root YG_AUTO(yg_json) = NULL;
	struct yg_err why = {0};
	const char *url = NULL;
	const char *sha256 = NULL;
	if (r->bundle >= 0 || !etag_path(r, path) ||
		yg_fs_read(r->in->root, path, &text, &why) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), ETAG_MAX, &root, &why) < 0 ||
		yg_json_str(root, "url", ETAG_MAX, &url, &why) < 0 ||
		yg_json_str(root, "sha256", YG_HASH_TEXT - 1, &sha256, &why) < 0 ||
		strcmp(url, install_run_source_url(r)) != 0)
		return NULL;
	int fd YG_AUTO(fd) = kept_timestamp(r, sha256);
	return fd < 0 ? NULL : yg_take(root);
}

/* Not being able to remember it costs some bytes, next time. */
static void save_etag(struct install_run *r, const json_t *reply, int fd)
{
	char path[INSTALL_RUN_PATH];
	char sha256[YG_HASH_TEXT];
	uint8_t hash[YG_HASH_SIZE];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ETAG_MAX);
	struct yg_err why = {0};
	const char *etag = NULL;
	if (!etag_path(r, path) ||
		yg_json_str_or(reply, "etag", ETAG_BYTES - 1, "", &etag, &why) < 0 || !*etag ||
		yg_hash_fd(fd, hash, NULL, &why) < 0)
		return;
	yg_str_hex(hash, sizeof(hash), sha256);
	json_t *before YG_AUTO(yg_json) = read_etag(r);
	const char *same[] = {json_string_value(json_object_get(before, "etag")),
		json_string_value(json_object_get(before, "sha256"))};
	json_int_t now = yg_clock_now_s();
	json_int_t since = same[0] && same[1] && strcmp(same[0], etag) == 0 &&
			strcmp(same[1], sha256) == 0
		? json_integer_value(json_object_get(before, "since"))
		: now;
	json_t *root YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:s, s:I, s:I}", "url",
		install_run_source_url(r), "etag", etag, "sha256", sha256, "since", since, "seen",
		now);
	if (yg_json_dump(root, &text, &why) < 0 ||
		install_run_cache_keep(r, path, yg_buf_bytes(&text), &why) < 0)
		yg_log_err(YG_LOG_WARN, "update.cache", &why);
}

/* What came for timestamp.json: bytes, or that they are those that are here. */
static int timestamp_came(struct install_run *r, const json_t *reply, int *fd, struct yg_err *err)
{
	if (json_integer_value(json_object_get(reply, "status")) != 304) {
		save_etag(r, reply, *fd);
		return 0;
	}
	json_t *known YG_AUTO(yg_json) = read_etag(r);
	int kept = known ? kept_timestamp(r, json_string_value(json_object_get(known, "sha256")))
			 : -1;
	if (kept < 0)
		return yg_fail_cause(err, YG_EAGAIN, "update.interrupted",
			TIMESTAMP ": unchanged, but not here any more");
	(void)close(*fd);
	*fd = kept;
	return 0;
}

json_t *install_run_cache_etag(struct install_run *r, const char *path)
{
	json_t *known YG_AUTO(yg_json) = strcmp(path, TIMESTAMP) == 0 ? read_etag(r) : NULL;
	return is_sure(known) ? json_incref(json_object_get(known, "etag")) : NULL;
}

int install_run_cache_came(struct install_run *r, const char *path, const json_t *reply, int *fd,
	struct yg_err *err)
{
	char sha256[YG_HASH_TEXT];
	if (manifest_hash(path, sha256))
		keep_manifest(r, sha256, *fd);
	return strcmp(path, TIMESTAMP) == 0 ? timestamp_came(r, reply, fd, err) : 0;
}
