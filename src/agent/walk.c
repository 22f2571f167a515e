/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Scans: each goes down its folders with a stack of open directories, and has a few files at the
 * engine at once. What must stay true:
 *  - a file is counted exactly once: clean, found or unjudged;
 *  - files go to the engine that is current when they are opened; those that an older one has, it
 *    finishes;
 *  - an engine that dies takes no file with it: its files are sent again, one at a time, so that the
 *    one that kills engines is known; killing a second one makes it unjudged.
 */
#include "agent/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"

#define SCANS_MAX     8      /* at once */
#define AHEAD_MAX     16     /* files of one scan at the engine */
#define DEPTH_MAX     128    /* folders within folders */
#define STEP_MAX      256    /* entries looked at before others on the loop get their turn */
#define ENGINES_MAX   4      /* links to engines; two is what the install role has at most */
#define PATHS_MAX     256    /* of one scan */
#define OFFLINE_MS    120000 /* how long a scan waits for an engine */
#define PROGRESS_MS   500
#define UNJUDGED_TOLD 1000 /* files of one scan that are named; the rest are counted */
#define PATH_BYTES    4096
#define FILE_LIMIT    2048 /* descriptors */
#define MEMORY_LIMIT  (512ull << 20)

struct engine {
	struct walk *walk;
	struct engine *next;
	char tag[132];
	struct yg_ipc *ipc;
	size_t ahead; /* files that it has */
	bool old;     /* another one took over: let go of it when it has none */
};

struct item {
	struct walk *walk;
	uint64_t serial;       /* of its scan, which may be over */
	struct engine *engine; /* that has it */
	struct item *next;
	int fd;
	uint64_t size;
	bool again; /* an engine died with it */
	char path[];
};

struct level {
	DIR *list;
	char *path; /* without a slash at its end */
};

struct scan {
	struct walk *walk;
	uint64_t serial;
	struct scan *next;
	struct yg_ipc *asker;
	uint32_t id;
	char job[40];
	json_t *paths; /* a reference */
	size_t path_at;
	struct level levels[DEPTH_MAX];
	size_t depth;
	struct item *waiting; /* to be sent again */
	size_t ahead;
	struct yg_timer *soon, *offline;
	bool is_offline;
	int64_t began_ms, said_ms;
	uint64_t files, bytes, found, unjudged;
	char *first_unjudged, *first_reason;
	size_t paths_failed; /* of those that were named */
};

struct walk {
	struct yg_role_env *env;
	int all; /* the folder "/" */
	struct yg_ipc *session, *install;
	struct engine *engines;
	char current[132];
	struct yg_err
		none; /* why there is no engine and none comes; its code 0: there is, or not known */
	struct scan *scans;
	uint64_t serial;
};

static void step(void *ctx);
static void engine_remove(struct engine *engine);

/* ---- names and folders ---- */

/* File names are bytes; JSON is UTF-8. What is not becomes \xNN. The caller's to free. */
static char *printable(const char *path)
{
	if (yg_str_utf8_ok(path, strlen(path)))
		return strdup(path);
	struct yg_buf out = YG_BUF(4 * PATH_BYTES + 1);
	struct yg_err ignored = {0};
	for (const char *at = path; *at; at++) {
		unsigned char c = (unsigned char)*at;
		int rc = c < 0x80 ? yg_buf_add(&out, at, 1, &ignored)
				  : yg_str_addf(&out, &ignored, "\\x%02x", c);
		if (rc < 0)
			break;
	}
	if (yg_buf_add(&out, "", 1, &ignored) < 0) {
		yg_buf_free(&out);
		return NULL;
	}
	return (char *)out.data;
}

/* Views of the kernel's own state, not stored files: endless, or with effects when read. */
static bool is_kernel_view(int fd)
{
	static const long views[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC,
		DEVPTS_SUPER_MAGIC, PSTOREFS_MAGIC, EFIVARFS_MAGIC, SELINUX_MAGIC, BINFMTFS_MAGIC,
		NSFS_MAGIC, 0x62656570 /* configfs */, 0x19800202 /* mqueue */};
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < YG_COUNT(views); i++)
		if ((long)fs.f_type == views[i])
			return true;
	return false;
}

static void tell(const struct scan *scan, const char *name, json_t *body);

static void unjudged(struct scan *scan, const char *path, const char *reason)
{
	char *text YG_AUTO(mem) = printable(path);
	if (scan->unjudged++ < UNJUDGED_TOLD)
		tell(scan, "scan.unjudged",
			json_pack("{s:s,s:s,s:s}", "job", scan->job, "path", text ? text : "",
				"reason", reason));
	if (scan->first_unjudged)
		return;
	scan->first_unjudged = yg_take(text);
	scan->first_reason = strdup(reason);
}

/* Go into an open folder, which is taken over. */
static void enter(struct scan *scan, int fd, const char *path)
{
	int owned YG_AUTO(fd) = fd;
	if (scan->depth == DEPTH_MAX) {
		unjudged(scan, path, "depth");
		return;
	}
	if (is_kernel_view(fd))
		return;
	struct level *level = &scan->levels[scan->depth];
	size_t len = strlen(path);
	level->path = strndup(path, len > 0 && path[len - 1] == '/' ? len - 1 : len);
	level->list = level->path ? fdopendir(fd) : NULL;
	if (!level->list) {
		free(yg_take(level->path));
		unjudged(scan, path, "read");
		return;
	}
	(void)yg_take_fd(owned);
	scan->depth++;
}

static void leave(struct scan *scan)
{
	struct level *level = &scan->levels[--scan->depth];
	(void)closedir(level->list);
	free(yg_take(level->path));
}

/* ---- scans ---- */

static json_t *counts(const struct scan *scan)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:I}", "job", scan->job, "files",
		(json_int_t)scan->files, "bytes", (json_int_t)scan->bytes, "found",
		(json_int_t)scan->found, "unjudged", (json_int_t)scan->unjudged);
}

static void tell(const struct scan *scan, const char *name, json_t *body)
{
	struct yg_err err = {0};
	if (yg_ipc_send(scan->asker, name, body, NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "walk.send", &err);
}

static void item_free(struct item *item)
{
	if (item->fd >= 0)
		(void)close(item->fd);
	free(item);
}

/* Files at an engine outlive their scan and then count for nobody. */
static void scan_free(struct scan *scan)
{
	for (struct scan **at = &scan->walk->scans; *at; at = &(*at)->next) {
		if (*at == scan) {
			*at = scan->next;
			break;
		}
	}
	while (scan->depth > 0)
		leave(scan);
	while (scan->waiting) {
		struct item *item = scan->waiting;
		scan->waiting = item->next;
		item_free(item);
	}
	json_decref(scan->paths);
	yg_timer_free(scan->soon);
	yg_timer_free(scan->offline);
	free(scan->first_unjudged);
	free(scan->first_reason);
	free(scan);
}

static void finish(struct scan *scan)
{
	json_t *body = counts(scan);
	double seconds = (double)(yg_clock_mono_ms() - scan->began_ms) / 1000.0;
	(void)json_object_set_new(body, "seconds", json_real(seconds));
	if (scan->first_unjudged)
		(void)json_object_set_new(body, "unjudged_first",
			json_pack("{s:s,s:s}", "path", scan->first_unjudged, "reason",
				scan->first_reason ? scan->first_reason : ""));
	yg_ipc_reply(scan->asker, scan->id, body, NULL, 0);
	scan_free(scan);
}

static void abandon(struct scan *scan, const struct yg_err *why)
{
	yg_log_err(YG_LOG_WARN, "walk.scan", why);
	yg_ipc_reply_err(scan->asker, scan->id, why);
	scan_free(scan);
}

static void all_paths_failed(struct scan *scan)
{
	struct yg_err err = {0};
	(void)yg_fail_cause(&err, YG_EABSENT, "scan.path", "'%.200s': %s", scan->first_unjudged,
		strcmp(scan->first_reason, "absent") == 0 ? "no such file or folder"
							  : "cannot be read");
	abandon(scan, &err);
}

static void offline_fired(void *ctx)
{
	struct scan *scan = ctx;
	struct yg_err err = {0};
	(void)yg_fail_cause(&err, YG_EAGAIN, "engine.offline",
		"scan given up: no engine for %d s; %llu files were judged", OFFLINE_MS / 1000,
		(unsigned long long)scan->files);
	abandon(scan, &err);
}

static struct engine *current(const struct walk *walk)
{
	for (struct engine *engine = walk->engines; engine; engine = engine->next)
		if (engine->ipc && !engine->old && strcmp(engine->tag, walk->current) == 0)
			return engine;
	return NULL;
}

static void progress(struct scan *scan)
{
	int64_t now = yg_clock_mono_ms();
	if (now - scan->said_ms < PROGRESS_MS)
		return;
	scan->said_ms = now;
	tell(scan, "scan.progress", counts(scan));
}

/* ---- files at the engine ---- */

static void count(struct scan *scan, const struct item *item)
{
	scan->files++;
	scan->bytes += item->size;
}

static void judge(struct scan *scan, const struct item *item, const json_t *body)
{
	const char *verdict = "";
	const char *text = "";
	struct yg_err err = {0};
	count(scan, item);
	if (yg_json_str(body, "verdict", 16, &verdict, &err) < 0)
		verdict = "";
	if (strcmp(verdict, "clean") == 0)
		return;
	if (strcmp(verdict, "malicious") == 0) {
		char *path YG_AUTO(mem) = printable(item->path);
		if (yg_json_str_or(body, "signature", 1024, "", &text, &err) < 0)
			text = "";
		scan->found++;
		tell(scan, "scan.found",
			json_pack("{s:s,s:s,s:s}", "job", scan->job, "path", path ? path : "",
				"signature", text));
		return;
	}
	if (yg_json_str_or(body, "reason", 64, "engine", &text, &err) < 0)
		text = "engine";
	unjudged(scan, item->path, text);
}

/* An engine ends by itself when nobody holds a channel to it. */
static void let_go(struct engine *engine)
{
	if (engine->old && engine->ahead == 0)
		engine_remove(engine);
}

static void judged(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct item *item = ctx;
	item->engine->ahead--;
	let_go(item->engine);
	struct scan *scan = item->walk->scans;
	while (scan && scan->serial != item->serial)
		scan = scan->next;
	if (!scan) { /* over meanwhile */
		item_free(item);
		return;
	}
	scan->ahead--;
	if (err->code == YG_EAGAIN && !item->again) {
		item->again = true;
		item->next = scan->waiting;
		scan->waiting = item;
	} else {
		if (err->code) {
			count(scan, item);
			unjudged(scan, item->path, "engine");
		} else {
			judge(scan, item, reply->body);
		}
		item_free(item);
		progress(scan);
	}
	yg_timer_set(scan->soon, 0);
}

static void submit(struct scan *scan, struct engine *engine, struct item *item)
{
	char *name YG_AUTO(mem) = printable(item->path);
	scan->ahead++;
	engine->ahead++;
	item->engine = engine;
	yg_ipc_request(engine->ipc, "am.scan", json_pack("{s:s}", "name", name ? name : ""),
		&item->fd, 1, judged, item);
}

/* A file that is open; fd is taken over. */
static void found_file(struct scan *scan, struct engine *engine, int fd, const char *path)
{
	struct stat st;
	struct item *item = NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		item = malloc(sizeof(*item) + strlen(path) + 1);
	if (!item) {
		(void)close(fd);
		return;
	}
	*item = (struct item){.walk = scan->walk,
		.serial = scan->serial,
		.fd = fd,
		.size = (uint64_t)st.st_size};
	memcpy(item->path, path, strlen(path) + 1);
	submit(scan, engine, item);
}

static int open_at(int dir, const char *name, int flags)
{
	return openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
}

static void cannot_open(struct scan *scan, const char *path)
{
	if (errno == ENOENT || errno == ELOOP || errno == ENXIO)
		return; /* gone meanwhile, replaced by a link, or a socket */
	scan->files++;
	unjudged(scan, path, "read");
}

static void look_at(struct scan *scan, struct engine *engine, int dir, const struct dirent *entry)
{
	char path[PATH_BYTES];
	const char *name = entry->d_name;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	if (!yg_str_put(path, sizeof(path), "%s/%s", scan->levels[scan->depth - 1].path, name)) {
		unjudged(scan, scan->levels[scan->depth - 1].path, "depth");
		return;
	}
	struct stat st = {0};
	unsigned char type = entry->d_type;
	if (type == DT_UNKNOWN && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		type = (unsigned char)IFTODT(st.st_mode);
	if (type != DT_DIR && type != DT_REG)
		return;
	int fd = open_at(dir, name, O_NOFOLLOW | (type == DT_DIR ? O_DIRECTORY : 0));
	if (fd < 0)
		cannot_open(scan, path);
	else if (type == DT_DIR)
		enter(scan, fd, path);
	else
		found_file(scan, engine, fd, path);
}

/* A path that somebody named; a link is followed here, and only here: they meant where it leads. */
static void begin_path(struct scan *scan, struct engine *engine)
{
	const char *path = json_string_value(json_array_get(scan->paths, scan->path_at++));
	const char *from_root = path + strspn(path, "/");
	struct stat st;
	int fd = open_at(scan->walk->all, *from_root ? from_root : ".", 0);
	if (fd < 0 || fstat(fd, &st) < 0) {
		scan->paths_failed++;
		unjudged(scan, path, errno == ENOENT ? "absent" : "read");
		if (fd >= 0)
			(void)close(fd);
	} else if (S_ISDIR(st.st_mode)) {
		enter(scan, fd, path);
	} else {
		found_file(scan, engine, fd, path);
	}
}

/* One entry further. Returns false when there is nothing more to find. */
static bool advance(struct scan *scan, struct engine *engine)
{
	if (scan->depth == 0) {
		if (scan->path_at >= json_array_size(scan->paths))
			return false;
		begin_path(scan, engine);
		return true;
	}
	DIR *list = scan->levels[scan->depth - 1].list;
	const struct dirent *entry = readdir(list);
	if (entry)
		look_at(scan, engine, dirfd(list), entry);
	else
		leave(scan);
	return true;
}

/* Files that an engine has are still its own; they come back when it dies. */
static void wait_for_engine(struct scan *scan)
{
	if (scan->walk->none.code) {
		if (scan->ahead == 0)
			abandon(scan, &scan->walk->none);
		return;
	}
	if (scan->is_offline)
		return;
	scan->is_offline = true;
	yg_timer_set(scan->offline, OFFLINE_MS);
}

static void step(void *ctx)
{
	struct scan *scan = ctx;
	struct engine *engine = current(scan->walk);
	if (!engine) {
		wait_for_engine(scan);
		return;
	}
	scan->is_offline = false;
	yg_timer_stop(scan->offline);
	if (scan->waiting) { /* alone, see the top */
		if (scan->ahead == 0) {
			struct item *item = scan->waiting;
			scan->waiting = item->next;
			submit(scan, engine, item);
		}
		return;
	}
	for (int i = 0; i < STEP_MAX && scan->ahead < AHEAD_MAX; i++) {
		if (advance(scan, engine))
			continue;
		if (scan->ahead > 0)
			return;
		if (scan->paths_failed == json_array_size(scan->paths) && scan->first_reason)
			all_paths_failed(scan);
		else
			finish(scan);
		return;
	}
	progress(scan);
	if (scan->ahead < AHEAD_MAX)
		yg_timer_set(scan->soon, 0);
}

/* ---- messages ---- */

static int check_paths(const json_t *paths, struct yg_err *err)
{
	size_t i;
	json_t *path;
	if (json_array_size(paths) == 0)
		return yg_fail(err, YG_EFORMAT, "paths: want at least one");
	json_array_foreach(paths, i, path)
	{
		const char *text = json_string_value(path);
		if (!text || text[0] != '/' || strlen(text) >= PATH_BYTES)
			return yg_fail(err, YG_EFORMAT,
				"paths[%zu]: want a path from /, have '%.64s'", i,
				text ? text : yg_json_kind(path));
	}
	return 0;
}

static int begin(struct walk *walk, struct yg_ipc *ipc, const struct yg_ipc_msg *msg,
	struct yg_err *err)
{
	const char *job = NULL;
	json_t *paths = NULL;
	size_t running = 0;
	if (yg_json_str(msg->body, "job", 36, &job, err) < 0 ||
		yg_json_array(msg->body, "paths", PATHS_MAX, &paths, err) < 0 ||
		check_paths(paths, err) < 0)
		return -1;
	for (const struct scan *scan = walk->scans; scan; scan = scan->next)
		running++;
	if (running >= SCANS_MAX)
		return yg_fail(err, YG_ELIMIT, "%d scans run already", SCANS_MAX);
	struct scan *scan = calloc(1, sizeof(*scan));
	if (!scan)
		return yg_fail_sys(err, ENOMEM, "starting a scan");
	scan->walk = walk;
	scan->serial = ++walk->serial;
	scan->asker = ipc;
	scan->id = msg->id;
	scan->paths = json_incref(paths);
	scan->began_ms = scan->said_ms = yg_clock_mono_ms();
	(void)!yg_str_put(scan->job, sizeof(scan->job), "%s", job);
	scan->soon = yg_loop_timer(walk->env->loop, step, scan);
	scan->offline = yg_loop_timer(walk->env->loop, offline_fired, scan);
	scan->next = walk->scans;
	walk->scans = scan;
	yg_timer_set(scan->soon, 0);
	return 0;
}

static void got_run(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct yg_err err = {0};
	if (begin(ctx, ipc, msg, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
}

static void got_cancel(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct walk *walk = ctx;
	const char *job = NULL;
	struct yg_err err = {0};
	if (yg_json_str(msg->body, "job", 36, &job, &err) < 0)
		return;
	for (struct scan *scan = walk->scans; scan; scan = scan->next) {
		if (scan->asker == ipc && strcmp(scan->job, job) == 0) {
			(void)yg_fail_cause(&err, YG_EAGAIN, "job.cancelled",
				"the scan was cancelled");
			abandon(scan, &err);
			return;
		}
	}
}

static void wake_all(struct walk *walk)
{
	for (struct scan *scan = walk->scans; scan; scan = scan->next)
		yg_timer_set(scan->soon, 0);
}

static void got_changed(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct walk *walk = ctx;
	const char *tag = NULL;
	struct yg_err err = {0};
	if (yg_json_str(msg->body, "tag", sizeof(walk->current) - 1, &tag, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "walk.engine", &err);
		return;
	}
	for (struct engine *engine = walk->engines; engine; engine = engine->next)
		engine->old = engine->old ||
			(strcmp(engine->tag, walk->current) == 0 && strcmp(engine->tag, tag) != 0);
	(void)!yg_str_put(walk->current, sizeof(walk->current), "%s", tag);
	for (struct engine *engine = walk->engines; engine;) {
		struct engine *next = engine->next;
		let_go(engine);
		engine = next;
	}
	yg_log(YG_LOG_INFO, "walk.engine", "files go to engine %.12s now", tag);
	wake_all(walk);
}

static void got_state(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct walk *walk = ctx;
	const char *cause = NULL;
	const char *message = NULL;
	bool comes = true;
	struct yg_err err = {0};
	if (yg_json_bool(msg->body, "comes", &comes, &err) < 0 ||
		yg_json_str(msg->body, "cause", YG_ERR_CAUSE_MAX - 1, &cause, &err) < 0 ||
		yg_json_str(msg->body, "message", YG_ERR_MSG_MAX - 1, &message, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "walk.engine", &err);
		return;
	}
	walk->none = (struct yg_err){0};
	if (!comes)
		(void)yg_fail_cause(&walk->none, YG_EABSENT, cause, "%s", message);
	wake_all(walk);
}

static void session_gone(void *ctx, struct yg_ipc *ipc)
{
	struct walk *walk = ctx;
	for (struct scan *scan = walk->scans; scan;) {
		struct scan *next = scan->next;
		if (scan->asker == ipc)
			scan_free(scan);
		scan = next;
	}
	yg_ipc_free(ipc);
	if (walk->session == ipc)
		walk->session = NULL;
}

static void install_gone(void *ctx, struct yg_ipc *ipc)
{
	struct walk *walk = ctx;
	yg_ipc_free(ipc);
	if (walk->install == ipc) {
		walk->install = NULL;
		walk->none = (struct yg_err){0}; /* it says so again */
	}
}

static void engine_remove(struct engine *engine)
{
	for (struct engine **at = &engine->walk->engines; *at; at = &(*at)->next) {
		if (*at == engine) {
			*at = engine->next;
			break;
		}
	}
	yg_ipc_free(engine->ipc);
	free(engine);
}

/* Its files have come back to their scans before this. */
static void engine_gone(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	struct engine *engine = ctx;
	struct walk *walk = engine->walk;
	engine_remove(engine);
	wake_all(walk);
}

static void engine_add(struct walk *walk, const char *tag, int fd)
{
	struct yg_err err = {0};
	size_t n = 0;
	for (const struct engine *at = walk->engines; at; at = at->next)
		n++;
	struct engine *engine = n < ENGINES_MAX ? calloc(1, sizeof(*engine)) : NULL;
	if (!engine) {
		yg_log(YG_LOG_ERROR, "walk.engine", "a link too many to engines");
		(void)close(fd);
		return;
	}
	engine->walk = walk;
	(void)!yg_str_put(engine->tag, sizeof(engine->tag), "%s", tag);
	engine->next = walk->engines;
	walk->engines = engine;
	engine->ipc = yg_ipc_new(walk->env->loop, fd, "am", NULL, engine_gone, engine, &err);
	if (!engine->ipc) {
		yg_log_err(YG_LOG_ERROR, "walk.engine", &err);
		engine_remove(engine);
		return;
	}
	wake_all(walk);
}

static const struct yg_ipc_handler session_handlers[] = {
	{"scan.run", got_run},
	{"scan.cancel", got_cancel},
	{0},
};
static const struct yg_ipc_handler install_handlers[] = {
	{"engine.changed", got_changed},
	{"engine.state", got_state},
	{0},
};

void walk_link(void *self, const char *peer, const char *tag, int fd)
{
	struct walk *walk = self;
	struct yg_err err = {0};
	if (strcmp(peer, "am") == 0) {
		engine_add(walk, tag, fd);
	} else if (strcmp(peer, "session") == 0) {
		if (walk->session)
			session_gone(walk, walk->session);
		walk->session = yg_ipc_new(walk->env->loop, fd, peer, session_handlers,
			session_gone, walk, &err);
	} else if (strcmp(peer, "install") == 0) {
		yg_ipc_free(walk->install);
		walk->install = yg_ipc_new(walk->env->loop, fd, peer, install_handlers,
			install_gone, walk, &err);
	} else {
		yg_log(YG_LOG_WARN, "walk.link", "a link to '%s' is not wanted", peer);
		(void)close(fd);
	}
	if (err.code)
		yg_log_err(YG_LOG_ERROR, "walk.link", &err);
}

int walk_confine(struct yg_err *err)
{
	int all YG_AUTO(fd) = open("/", O_PATH | O_CLOEXEC | O_DIRECTORY);
	if (all < 0)
		return yg_fail_sys(err, errno, "opening '/'");
	const struct yg_sandbox_path paths[] = {{.fd = all, .write = false}};
	const struct yg_sandbox box = {
		.syscalls = YG_SYS_FILES,
		.capabilities = 1ull << CAP_DAC_READ_SEARCH,
		.memory_max = MEMORY_LIMIT,
		.files_max = FILE_LIMIT,
		.paths = paths,
		.path_count = YG_COUNT(paths),
	};
	return yg_sandbox_enter(&box, err);
}

int walk_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	if (env->fd_count < 1)
		return yg_fail(err, YG_EFORMAT, "want a descriptor of '/', have none");
	struct walk *walk = calloc(1, sizeof(*walk));
	if (!walk)
		return yg_fail_sys(err, ENOMEM, "starting");
	walk->env = env;
	walk->all = env->fds[0];
	if (walk_confine(err) < 0) {
		free(walk);
		return -1;
	}
	*self = walk;
	yg_role_ready(env);
	return 0;
}

void walk_stop(void *self)
{
	struct walk *walk = self;
	if (!walk)
		return;
	while (walk->scans)
		scan_free(walk->scans);
	while (walk->engines)
		engine_remove(walk->engines);
	yg_ipc_free(walk->session);
	yg_ipc_free(walk->install);
	(void)close(walk->all);
	free(walk);
}
