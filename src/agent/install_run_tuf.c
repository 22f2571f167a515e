/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_run_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/hash.h"

/* What verify asks for: it has no files and no network. Metadata is kept here, and fetched for it.
 *
 *     state/tuf/         the cache: metadata as it came. Whatever is broken in it is fetched again
 *     state/manifests/   the same, release manifests by their SHA-256, hashed before each use
 *     state/floor.json   what nothing older is believed than: not part of the cache, so that who empties the
 *                        cache does not open the door to an old repository
 *
 * A relay's own are tuf-relay, manifests-relay and floor-relay.json: it serves other computers, and may know of
 * newer metadata than its own agent.
 */

#define TUF_MAX    (8u << 20) /* bytes of a file of metadata */
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

static int tuf_path(const struct install_run *r, const char *name, char out[INSTALL_RUN_PATH],
	struct yg_err *err)
{
	if (!yg_str_name_ok(name, NAME_BYTES, YG_STR_FILE_CHARS))
		return yg_fail(err, YG_EFORMAT, "name: not a name of metadata");
	bool fits = strcmp(name, "floor.json") == 0
		? yg_str_put(out, INSTALL_RUN_PATH, "state/floor%s.json", r->relay ? "-relay" : "")
		: yg_str_put(out, INSTALL_RUN_PATH, "%s/%s", cache(r), name);
	return fits ? 0 : yg_fail(err, YG_ELIMIT, "name: too long");
}

/* Replace a file, or whatever was put where it belongs. */
static int keep(struct install_run *r, const char *path, struct yg_bytes bytes, struct yg_err *err)
{
	if (yg_fs_replace(r->in->root, path, bytes, 0644, err) == 0)
		return 0;
	struct stat st;
	if (fstatat(r->in->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
		return -1;
	*err = (struct yg_err){0};
	if (yg_fs_remove(r->in->root, path, err) < 0)
		return -1;
	return yg_fs_replace(r->in->root, path, bytes, 0644, err);
}

/* ---- tuf.load, tuf.save ---- */

static int tuf_load(struct install_run *r, const json_t *body, struct yg_err *err)
{
	const char *name = NULL;
	char path[INSTALL_RUN_PATH];
	if (yg_json_str(body, "name", NAME_BYTES, &name, err) < 0)
		return -1;
	if (strcmp(name, "installed.json") == 0) {
		int fd = r->in->installed_root < 0
			? -1
			: fcntl(r->in->installed_root, F_DUPFD_CLOEXEC, 3);
		return fd >= 0 ? fd
			       : yg_fail(err, YG_EABSENT, "no root came with the installation");
	}
	if (tuf_path(r, name, path, err) < 0)
		return -1;
	int fd = yg_fs_open(r->in->root, path, err);
	if (fd >= 0 || err->code != YG_EFORMAT)
		return fd;
	/* A folder, a link: somebody's left-over, in place of something that can be had again. */
	yg_log_err(YG_LOG_WARN, "update.cache", err);
	*err = (struct yg_err){0};
	if (yg_fs_remove(r->in->root, path, err) < 0)
		return -1;
	return yg_fail(err, YG_EABSENT, "'%s' was no file", path);
}

static void on_tuf_load(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = tuf_load(helper->run, msg->body, &err);
	if (fd < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id, NULL, &fd, 1);
}

static int tuf_save(struct install_run *r, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *name = NULL;
	char path[INSTALL_RUN_PATH];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(TUF_MAX);
	if (yg_json_str(msg->body, "name", NAME_BYTES, &name, err) < 0 ||
		tuf_path(r, name, path, err) < 0)
		return -1;
	if (msg->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "tuf.save: want 1 descriptor, have %zu",
			msg->fd_count);
	if (yg_fs_read_fd(msg->fds[0], &text, err) < 0)
		return -1;
	if (text.len == 0)
		return yg_fs_remove(r->in->root, path, err);
	/* On the disk when it returns: verify asks in the order in which one needs the other. */
	if (yg_fs_mkdirs(r->in->root, cache(r), 0755, err) < 0)
		return -1;
	return keep(r, path, yg_buf_bytes(&text), err);
}

static void on_tuf_save(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	if (tuf_save(helper->run, msg, &err) < 0) {
		if (err.code == YG_ESYSTEM && !err.cause[0])
			(void)!yg_str_put(err.cause, sizeof(err.cause), "%s",
				err.sys == ENOSPC || err.sys == EDQUOT ? "store.disk_full"
								       : "store.io");
		yg_ipc_reply_err(ipc, msg->id, &err);
	} else {
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
	}
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

/* The descriptor of one that is here and whole, or -1. */
static int kept_manifest(struct install_run *r, const char *sha256)
{
	char path[INSTALL_RUN_PATH];
	struct yg_err why = {0};
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
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(TUF_MAX);
	if (!has_hash(fd, sha256) || !manifest_path(r, sha256, path))
		return;
	if (yg_fs_read_fd(fd, &text, &why) < 0 ||
		yg_fs_mkdirs(r->in->root, manifests(r), 0755, &why) < 0 ||
		keep(r, path, yg_buf_bytes(&text), &why) < 0)
		yg_log_err(YG_LOG_WARN, "update.cache", &why);
}

static void dir_free_at(DIR **at)
{
	if (*at)
		(void)closedir(*at);
}

void install_run_tuf_collect(struct install_run *r)
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
 *     state/tuf/timestamp.etag   {"url", "etag", "sha256" of the bytes that had this tag}
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
	if (tuf_path(r, "timestamp.json", path, &why) < 0)
		return -1;
	int fd YG_AUTO(fd) = yg_fs_open(r->in->root, path, &why);
	return fd >= 0 && has_hash(fd, sha256) ? yg_take_fd(fd) : -1;
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
	json_t *root YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:s}", "url",
		install_run_source_url(r), "etag", etag, "sha256", sha256);
	if (yg_json_dump(root, &text, &why) < 0 ||
		yg_fs_mkdirs(r->in->root, cache(r), 0755, &why) < 0 ||
		keep(r, path, yg_buf_bytes(&text), &why) < 0)
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

/* ---- tuf.fetch ---- */

static void tuf_fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	int fd YG_AUTO(fd) = yg_take_fd(r->tuf_fd);
	uint32_t id = r->tuf_id;
	char sha256[YG_HASH_TEXT];
	struct yg_err why = *err;
	r->tuf_id = 0;
	install_run_fetch_log(r, r->tuf_path, err, reply->body);
	if (!why.code && strcmp(r->tuf_path, TIMESTAMP) == 0)
		(void)!timestamp_came(r, reply->body, &fd, &why);
	if (!why.code && manifest_hash(r->tuf_path, sha256))
		keep_manifest(r, sha256, fd);
	if (!why.code && r->relay)
		(void)!install_mirror_note(r->in->mirror, r->tuf_path, fd, &why);
	if (!r->verify.ipc)
		return;
	if (why.code)
		yg_ipc_reply_err(r->verify.ipc, id, &why);
	else
		yg_ipc_reply(r->verify.ipc, id, NULL, &fd, 1);
}

static int ask_fetch(struct install_run *r, const struct yg_ipc_msg *msg, const char *path,
	uint64_t max, struct yg_err *err)
{
	if (r->tuf_id || !r->fetch.ipc)
		return yg_fail_cause(err, YG_EAGAIN, "update.interrupted",
			"'%s': there is no process to fetch it", path);
	r->tuf_fd = install_run_fetch_file(r, err);
	if (r->tuf_fd < 0)
		return -1;
	memcpy(r->tuf_path, path, strlen(path) + 1);
	r->tuf_id = msg->id;
	json_t *body = install_run_fetch_body(r, path, max);
	json_t *known YG_AUTO(yg_json) = strcmp(path, TIMESTAMP) == 0 ? read_etag(r) : NULL;
	if (known)
		(void)json_object_set(body, "etag", json_object_get(known, "etag"));
	install_run_helper_get(r, body, r->tuf_fd, tuf_fetched);
	return 0;
}

static int tuf_fetch(struct install_run *r, struct yg_ipc *ipc, const struct yg_ipc_msg *msg,
	struct yg_err *err)
{
	const char *path = NULL;
	char sha256[YG_HASH_TEXT];
	int64_t max = 0;
	if (yg_json_str(msg->body, "path", INSTALL_RUN_PATH - 1, &path, err) < 0 ||
		yg_json_int(msg->body, "max", 0, TUF_MAX, &max, err) < 0)
		return -1;
	if (!yg_str_path_ok(path, INSTALL_RUN_PATH - 1))
		return yg_fail(err, YG_EFORMAT, "path: not a path of a repository");
	int kept YG_AUTO(fd) = manifest_hash(path, sha256) ? kept_manifest(r, sha256) : -1;
	if (kept < 0)
		return ask_fetch(r, msg, path, (uint64_t)max, err);
	if (r->relay && install_mirror_note(r->in->mirror, path, kept, err) < 0)
		return -1;
	yg_ipc_reply(ipc, msg->id, NULL, &kept, 1);
	return 0;
}

static void on_tuf_fetch(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_run_helper *helper = ctx;
	struct yg_err err = {0};
	if (tuf_fetch(helper->run, ipc, msg, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
}

const struct yg_ipc_handler install_run_tuf_asks[] = {
	{"tuf.load", on_tuf_load},
	{"tuf.save", on_tuf_save},
	{"tuf.fetch", on_tuf_fetch},
	{0},
};

/* ---- a relay's metadata ---- */

/* What verify found good without fetching it, the relay serves as well: from what is kept, which was just checked. */
static int note_kept(struct install_run *r, const char *path, const char *name, struct yg_err *err)
{
	char kept[INSTALL_RUN_PATH];
	if (install_mirror_noted(r->in->mirror, path))
		return 0;
	if (tuf_path(r, name, kept, err) < 0)
		return -1;
	int fd YG_AUTO(fd) = yg_fs_open(r->in->root, kept, err);
	return fd < 0 ? -1 : install_mirror_note(r->in->mirror, path, fd, err);
}

static int note_metadata(struct install_run *r, const json_t *reply, struct yg_err *err)
{
	json_t *list = NULL;
	if (!r->relay)
		return 0;
	if (yg_json_array(reply, "metadata", 64, &list, err) < 0)
		return yg_wrap(err, "verify.refresh");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *path = NULL;
		const char *name = NULL;
		if (yg_json_str(item, "path", INSTALL_RUN_PATH - 1, &path, err) < 0 ||
			yg_json_str(item, "name", NAME_BYTES, &name, err) < 0 ||
			note_kept(r, path, name, err) < 0)
			return yg_wrap(err, "verify.refresh: metadata[%zu]", i);
	}
	return 0;
}

/* ---- verify.refresh ---- */

#define BEHIND_MAX_S 300 /* of a clock that is not worth an alarm */

/* The description of what is in use, for components of which nothing good is to be had; -1. */
static int have_fd(struct install_run *r)
{
	char lib[YG_SHA256_TEXT];
	struct yg_err why = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	struct yg_set *set YG_AUTO(yg_set) = NULL;
	if (r->relay)
		return install_mirror_description(r->in->mirror);
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	set = lib[0] ? yg_store_set(r->in->store, lib, &why) : NULL;
	if (!set || yg_set_format(set, false, &text, &why) < 0)
		return -1;
	return yg_fs_memfd("set", yg_buf_bytes(&text), &why);
}

void install_run_tuf_refresh(struct install_run *r, bool kept, yg_ipc_done *done)
{
	json_t *families = json_object_get(r->body, "families");
	families = families ? json_incref(families) : json_pack("[s,s]", "pattern", "rule");
	int have YG_AUTO(fd) = have_fd(r);
	r->kept = kept;
	if (r->relay && r->in->mirror)
		install_mirror_forget(r->in->mirror);
	/* A relay serves agents with other engines than ours, and in other waves. */
	yg_ipc_request(r->verify.ipc, "verify.refresh",
		json_pack("{s:{s:I}, s:o, s:i, s:b, s:b}", "abi", "clamav",
			(json_int_t)(r->relay ? 0 : r->in->abi), "families", families, "seat",
			(int)install_seat(r->in), "every", r->relay || !r->scheduled, "kept", kept),
		&have, have < 0 ? 0 : 1, done, r);
}

/* One role that expired was forgotten by who publishes; all of them at once, those that live for years too, is
 * this computer's clock.
 */
static void judge_clock(struct install_run *r, int64_t all_expired)
{
	char was[YG_ERR_MSG_MAX];
	if (!r->expired.code || all_expired <= 0)
		return;
	memcpy(was, r->expired.msg, sizeof(was));
	(void)yg_fail_cause(&r->expired, YG_EUNTRUSTED, "clock.ahead",
		"everything that was signed has expired, the last of it %lld days ago: %s",
		(long long)(all_expired / 86400), was);
}

int install_run_tuf_answered(struct install_run *r, const json_t *reply, struct yg_err *err)
{
	const char *newest = NULL;
	json_t *notes = NULL;
	int64_t all_expired = 0;
	if (yg_json_str(reply, "newest", YG_SHA256_TEXT - 1, &newest, err) < 0 ||
		yg_json_int(reply, "behind", 0, INT64_MAX, &r->behind, err) < 0 ||
		yg_json_int(reply, "all_expired", 0, INT64_MAX, &all_expired, err) < 0 ||
		yg_json_array(reply, "notes", YG_SET_COMPONENTS_MAX, &notes, err) < 0)
		return yg_wrap(err, "verify.refresh");
	(void)!yg_str_put(r->newest, sizeof(r->newest), "%s", newest);
	json_decref(r->notes);
	r->notes = json_incref(notes);
	r->answered = true;
	if (r->kept)
		judge_clock(r, all_expired);
	else
		r->expired = (struct yg_err){0};
	return note_metadata(r, reply, err);
}

/* ---- the end of a run ---- */

static const char *text_of(const json_t *note, const char *name)
{
	const char *text = json_string_value(json_object_get(note, name));
	return text ? text : "";
}

/* A component that stays behind for another reason than its wave. */
static void tell_component(struct install_run *r, const json_t *note, struct yg_err *partial)
{
	char key[YG_COMPONENT_NAME_MAX + 16];
	const char *name = text_of(note, "component");
	const char *cause = text_of(note, "cause");
	json_int_t taken = json_integer_value(json_object_get(note, "taken"));
	if (!*cause || !yg_str_put(key, sizeof(key), "component:%.64s", name))
		return;
	install_alarm_begin(r->in, key, cause, text_of(note, "message"), 20115,
		json_pack("{s:s, s:I, s:s, s:s}", "component", name, "version", taken, "cause",
			cause, "detail", text_of(note, "message")));
	if (partial->code)
		return;
	(void)yg_fail_cause(partial, strcmp(cause, "content.abi") == 0 ? YG_ELIMIT : YG_EUNTRUSTED,
		"update.partial", "%s stays at version %lld: %s", name, (long long)taken,
		text_of(note, "message"));
}

static void end_components(struct install_run *r)
{
	for (size_t i = 0; r->set && i < r->set->count; i++) {
		char key[YG_COMPONENT_NAME_MAX + 16];
		const char *name = r->set->components[i]->component;
		bool noted = false;
		for (size_t k = 0; k < json_array_size(r->notes); k++)
			noted = noted ||
				(strcmp(text_of(json_array_get(r->notes, k), "component"), name) ==
						0 &&
					*text_of(json_array_get(r->notes, k), "cause"));
		if (!noted && yg_str_put(key, sizeof(key), "component:%.64s", name))
			install_alarm_end(r->in, key, 20116, json_pack("{s:s}", "component", name));
	}
}

static void tell_components(struct install_run *r)
{
	struct yg_err partial = {0};
	size_t i;
	json_t *note;
	json_array_foreach(r->notes, i, note) tell_component(r, note, &partial);
	end_components(r);
	if (!partial.code)
		return;
	/* That this engine is too old for the newest is no fault of the run. */
	if (partial.code != YG_ELIMIT)
		r->run.outcome = YG_JOB_FAILED;
	r->run.err = partial;
}

void install_run_tuf_ended(struct install_run *r)
{
	if (!r->answered)
		return;
	if (r->expired.code) {
		if (r->run.outcome == YG_JOB_SUCCESS) { /* it healed what was damaged, no more */
			r->run.outcome = YG_JOB_FAILED;
			r->run.err = r->expired;
		}
		install_alarm_begin(r->in, "expired", r->expired.cause, r->expired.msg, 20111,
			json_pack("{s:s, s:s}", "cause", r->expired.cause, "detail",
				r->expired.msg));
	} else {
		install_alarm_end(r->in, "expired", 20112, json_object());
	}
	if (r->behind > BEHIND_MAX_S) {
		char text[96];
		(void)!yg_str_put(text, sizeof(text), "at least %lld seconds",
			(long long)r->behind);
		install_alarm_begin(r->in, "clock", "clock.behind", text, 20113,
			json_pack("{s:I}", "seconds", (json_int_t)r->behind));
	} else {
		install_alarm_end(r->in, "clock", 20114, json_object());
	}
	if (!r->relay && r->run.outcome == YG_JOB_SUCCESS && !r->expired.code)
		tell_components(r);
}
