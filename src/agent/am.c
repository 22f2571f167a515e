/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Everything that takes time is a job on a thread: it holds what it needs, and its answer goes out
 * from the loop, if the link it came by still stands.
 *
 *     empty ──am.load──> loading ──> loaded          a set cannot be changed for another one: the
 *                           └──────> failed          new one gets a new process
 *
 * Paths are taken away in steps, each for ever: at the start all writing but in the temporary
 * directory; before loading all but the set and the temporary directory; after it all but the
 * latter. Landlock binds a thread and those it makes, so the thread that loads is made after the
 * second step and gone before the threads that scan are made after the third.
 */
#include "agent/am.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "engine/am/am.h"
#include "engine/pool.h"

#define LINGER_MS      2000  /* from when nobody needs us to the end */
#define LOAD_NICE      10    /* loading is never urgent: the old content protects meanwhile */
#define NAMES_MAX      256   /* samples in one trial message */
#define NAME_BYTES_MAX 32768 /* of a file, for messages: PATH_MAX bytes, each as "\\xNN" */
#define FILES_LIMIT    4096  /* descriptors: files that wait to be scanned */

#define SET_SIZE 129 /* a digest, or what a test calls its set; with the terminator */

enum state { EMPTY, LOADING, LOADED, FAILED };

struct am;

/* A channel to install or walk. Jobs hold it beyond its end, to see that it has ended. */
struct link {
	struct link *next; /* in am->links, while ipc is there */
	struct am *am;
	struct yg_ipc *ipc; /* owned; NULL when the other side has gone */
	unsigned holders;   /* jobs, and am->links */
};

struct am {
	struct yg_role_env *env;
	void *engine;      /* owned */
	int shared_tmp;    /* owned; the folder of all engines' temporary directories */
	int tmp;           /* owned; ours in it, locked as long as we live */
	char tmp_name[32]; /* of ours */
	enum state state;
	char set[SET_SIZE];             /* digest of the set that is loaded, or being loaded */
	struct yg_engine_loaded loaded; /* of it */
	struct job *waiting;            /* for it; owned */
	struct yg_pool *loader;         /* owned; while loading */
	struct yg_pool *scanner;        /* owned; once loaded */
	struct link *links;
	struct yg_timer *linger; /* owned; runs when nobody needs us any more */
	bool had_links;
	struct job *scans;   /* of files; owned by the pool */
	int64_t scan_max_ms; /* what one may take; once loaded */
	size_t jobs;
};

struct job {
	struct job *next; /* in am->waiting, or in am->scans */
	struct am *am;
	struct link *link; /* held */
	uint32_t id;       /* of the request */
	json_t *body;      /* held: names and configurations are read from it */
	int fds[YG_IPC_FDS_MAX];
	size_t fd_count;

	struct yg_err err; /* what came of it */
	struct yg_finding finding;
	struct yg_engine_loaded loaded; /* by the job that loads */
	_Atomic int64_t began_ms;       /* by one that scans; 0: not yet */
};

/* ---- links and jobs ---- */

static void link_drop(struct link *link)
{
	if (--link->holders == 0)
		free(link);
}

static bool is_done(const struct am *am)
{
	return am->had_links && !am->links && am->jobs == 0;
}

/* A rollback comes back for the engine that was just let go: its new links may be on their way. */
static void end_when_done(struct am *am)
{
	if (is_done(am))
		yg_timer_set(am->linger, LINGER_MS);
}

static void linger_over(void *ctx)
{
	struct am *am = ctx;
	if (is_done(am))
		yg_loop_stop(am->env->loop);
}

static void link_end(struct link *link)
{
	struct am *am = link->am;
	for (struct link **at = &am->links; *at; at = &(*at)->next) {
		if (*at == link) {
			*at = link->next;
			break;
		}
	}
	yg_ipc_free(link->ipc);
	link->ipc = NULL;
	link_drop(link);
}

static void link_closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	struct link *link = ctx;
	struct am *am = link->am;
	link_end(link);
	end_when_done(am);
}

static void job_free(struct job *job)
{
	for (size_t i = 0; i < job->fd_count; i++)
		if (job->fds[i] >= 0)
			(void)close(job->fds[i]);
	json_decref(job->body);
	link_drop(job->link);
	free(job);
}

/* Take over a message's body and descriptors. */
static struct job *job_new(struct link *link, struct yg_ipc_msg *msg)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		abort(); /* an engine without memory is started again; its asker sees it go */
	job->am = link->am;
	job->link = link;
	link->holders++;
	job->id = msg->id;
	job->body = json_incref(msg->body);
	for (size_t i = 0; i < msg->fd_count; i++)
		job->fds[i] = yg_take_fd(msg->fds[i]);
	job->fd_count = msg->fd_count;
	job->am->jobs++;
	return job;
}

/* Answer with a body, taken over, or with the job's failure; and forget the job. */
static void job_end(struct job *job, json_t *body)
{
	struct am *am = job->am;
	json_t *reply YG_AUTO(yg_json) = body;
	if (job->link->ipc && job->id) {
		if (job->err.code)
			yg_ipc_reply_err(job->link->ipc, job->id, &job->err);
		else
			yg_ipc_reply(job->link->ipc, job->id, yg_take(reply), NULL, 0);
	}
	job_free(job);
	am->jobs--;
	end_when_done(am);
}

static void refuse(struct yg_ipc *ipc, uint32_t id, const struct yg_err *why)
{
	if (id)
		yg_ipc_reply_err(ipc, id, why);
}

/* Only a loaded engine works. */
static bool is_loaded(struct link *link, const struct yg_ipc_msg *msg)
{
	struct yg_err err = {0};
	if (link->am->state == LOADED)
		return true;
	(void)yg_fail_cause(&err, YG_EAGAIN, "engine.absent", "no content is loaded");
	refuse(link->ipc, msg->id, &err);
	return false;
}

/* ---- am.load ---- */

static int narrow(const struct am *am, int set, struct yg_err *err)
{
	int certs YG_AUTO(fd) = open(YG_AM_NO_CERTS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct yg_sandbox_path paths[] = {{.fd = am->tmp, .write = true}, {.fd = set},
		{.fd = certs}};
	return yg_sandbox_narrow(paths, set < 0 ? 1 : certs < 0 ? 2 : 3, err);
}

static void load_work(void *arg)
{
	struct job *job = arg;
	/* Of this thread alone. Refused: then it loads as fast as it scans. */
	(void)setpriority(PRIO_PROCESS, 0, LOAD_NICE);
	(void)!yg_am_engine.load(job->am->engine, job->fds[0], &job->loaded, &job->err);
}

static void loaded(struct am *am, struct job *job)
{
	yg_pool_free(am->loader);
	am->loader = NULL;
	if (job->err.code == YG_OK && narrow(am, -1, &job->err) == 0)
		am->scanner = yg_pool_new(am->env->loop, yg_am_threads(am->engine), &job->err);
	am->state = job->err.code == YG_OK ? LOADED : FAILED;
	am->scan_max_ms = yg_am_scan_ms(am->engine);
}

static json_t *loaded_body(const struct am *am)
{
	return json_pack("{s:I, s:I, s:f, s:I}", "signatures", (json_int_t)am->loaded.signatures,
		"memory_bytes", (json_int_t)am->loaded.memory_bytes, "seconds", am->loaded.seconds,
		"abi", (json_int_t)yg_am_engine.abi());
}

static void answer_load(struct job *job)
{
	struct am *am = job->am;
	job_end(job, am->state == LOADED ? loaded_body(am) : NULL);
}

static void load_done(void *ctx, void *arg)
{
	struct am *am = ctx;
	struct job *job = arg;
	loaded(am, job);
	if (am->state == LOADED) {
		am->loaded = job->loaded;
		yg_log(YG_LOG_INFO, "engine.loaded", "%llu signatures in %.2f s, %llu MB",
			(unsigned long long)am->loaded.signatures, am->loaded.seconds,
			(unsigned long long)(am->loaded.memory_bytes >> 20));
	} else {
		yg_log_err(YG_LOG_WARN, "engine.refused", &job->err);
	}
	for (struct job *other; (other = am->waiting);) {
		am->waiting = other->next;
		other->err = job->err;
		answer_load(other);
	}
	answer_load(job);
}

static int begin_load(struct am *am, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *set = NULL;
	json_t *policy = json_object_get(msg->body, "policy");
	if (msg->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "want 1 descriptor, have %zu", msg->fd_count);
	if (yg_json_str_or(msg->body, "set", SET_SIZE - 1, "", &set, err) < 0)
		return -1;
	if (policy && yg_am_engine.configure(am->engine, policy, err) < 0)
		return -1;
	if (narrow(am, msg->fds[0], err) < 0)
		return -1;
	am->loader = yg_pool_new(am->env->loop, 1, err);
	if (!am->loader)
		return -1;
	memcpy(am->set, set, strlen(set) + 1);
	return 0;
}

/* Install was started again, and asks an engine that outlived it. */
static int join_load(struct am *am, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *set = NULL;
	if (yg_json_str_or(msg->body, "set", SET_SIZE - 1, "", &set, err) < 0)
		return -1;
	if (am->state == FAILED || strcmp(set, am->set) != 0)
		return yg_fail(err, YG_EFORMAT, "this engine had its content: want a new one");
	return 0;
}

static void on_load(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct link *link = ctx;
	struct am *am = link->am;
	struct yg_err err = {0};
	bool first = am->state == EMPTY;
	if ((first ? begin_load(am, msg, &err) : join_load(am, msg, &err)) < 0) {
		(void)yg_wrap(&err, "am.load");
		refuse(ipc, msg->id, &err);
		return;
	}
	struct job *job = job_new(link, msg);
	if (first) {
		am->state = LOADING;
		yg_pool_run(am->loader, load_work, load_done, am, job);
	} else if (am->state == LOADING) {
		job->next = am->waiting;
		am->waiting = job;
	} else {
		answer_load(job);
	}
}

/* ---- am.trial ---- */

struct trial {
	const char *names[NAMES_MAX]; /* point into the message */
	int fds[NAMES_MAX];           /* borrowed from the job; -1 for EICAR */
	size_t count, fd_count;
};

static int add_samples(struct trial *trial, const struct job *job, const char *member,
	struct yg_err *err)
{
	json_t *list = NULL;
	if (yg_json_array(job->body, member, NAMES_MAX - trial->count, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		if (!name)
			return yg_fail(err, YG_EFORMAT, "%s: item %zu: want a string", member, i);
		int fd = -1;
		if (strcmp(name, YG_ENGINE_EICAR) != 0) {
			if (trial->fd_count == job->fd_count)
				return yg_fail(err, YG_EFORMAT,
					"%s: sample '%.256s': no descriptor came for it", member,
					name);
			fd = job->fds[trial->fd_count++];
		}
		trial->names[trial->count] = name;
		trial->fds[trial->count++] = fd;
	}
	return 0;
}

static int try(const struct job *job, struct yg_err *err)
{
	struct trial trial = {0};
	if (add_samples(&trial, job, "find", err) < 0)
		return -1;
	size_t find_count = trial.count;
	if (add_samples(&trial, job, "pass", err) < 0)
		return -1;
	if (trial.fd_count != job->fd_count)
		return yg_fail(err, YG_EFORMAT, "want %zu descriptors, have %zu", trial.fd_count,
			job->fd_count);
	return yg_engine_trial(&yg_am_engine, job->am->engine, trial.names, trial.fds, trial.count,
		find_count, err);
}

static void trial_work(void *arg)
{
	struct job *job = arg;
	if (try(job, &job->err) < 0)
		(void)yg_wrap(&job->err, "trial");
}

static void trial_done(void *ctx, void *arg)
{
	(void)ctx;
	job_end(arg, json_object());
}

static void on_trial(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct link *link = ctx;
	if (is_loaded(link, msg))
		yg_pool_run(link->am->scanner, trial_work, trial_done, link->am,
			job_new(link, msg));
}

/* ---- am.config ---- */

static void config_work(void *arg)
{
	struct job *job = arg;
	const char *command = NULL;
	if (yg_json_str(job->body, "command", 64, &command, &job->err) < 0)
		return;
	if (strcmp(command, "SET_CONFIG") != 0) {
		(void)yg_fail(&job->err, YG_EFORMAT, "command: want 'SET_CONFIG', have '%s'",
			command);
		return;
	}
	(void)!yg_am_engine.configure(job->am->engine, json_object_get(job->body, "config"),
		&job->err);
}

static void config_done(void *ctx, void *arg)
{
	struct am *am = ctx;
	struct job *job = arg;
	struct yg_err err = {0};
	am->scan_max_ms = yg_am_scan_ms(am->engine);
	/* Threads that cannot be had leave us with those we have: slower, and not a failure. */
	if (yg_pool_resize(am->scanner, yg_am_threads(am->engine), &err) < 0)
		yg_log_err(YG_LOG_WARN, "engine.threads", &err);
	job_end(job, json_object());
}

static void on_config(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct link *link = ctx;
	if (is_loaded(link, msg))
		yg_pool_run(link->am->scanner, config_work, config_done, link->am,
			job_new(link, msg));
}

/* ---- am.scan ---- */

static void scan_work(void *arg)
{
	struct job *job = arg;
	const char *name = NULL;
	if (yg_json_str(job->body, "name", NAME_BYTES_MAX, &name, &job->err) < 0)
		return;
	if (job->fd_count != 1) {
		(void)yg_fail(&job->err, YG_EFORMAT, "want 1 descriptor, have %zu", job->fd_count);
		return;
	}
	atomic_store(&job->began_ms, yg_clock_mono_ms());
	yg_am_engine.judge(job->am->engine, job->fds[0], name, &job->finding);
}

static void scan_done(void *ctx, void *arg)
{
	struct am *am = ctx;
	struct job *job = arg;
	struct job **at = &am->scans;
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	json_t *body = json_pack("{s:s, s:s, s:s}", "verdict",
		yg_engine_verdict_name(job->finding.verdict), "signature", job->finding.signature,
		"reason", yg_engine_unjudged_name(job->finding.why));
	job_end(job, body);
}

static void on_scan(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct link *link = ctx;
	if (!is_loaded(link, msg))
		return;
	struct job *job = job_new(link, msg);
	job->next = link->am->scans;
	link->am->scans = job;
	yg_pool_run(link->am->scanner, scan_work, scan_done, link->am, job);
}

/* ---- am.abi ---- */

/* Of the files that are being judged, the one that takes longest. */
static int64_t slowest_ms(const struct am *am)
{
	int64_t first = 0;
	for (const struct job *job = am->scans; job; job = job->next) {
		int64_t began = atomic_load(&job->began_ms);
		if (began && (!first || began < first))
			first = began;
	}
	return first ? yg_clock_mono_ms() - first : 0;
}

static void on_abi(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	const struct am *am = ((struct link *)ctx)->am;
	if (msg->id)
		yg_ipc_reply(ipc, msg->id,
			json_pack("{s:I, s:I, s:I}", "clamav", (json_int_t)yg_am_engine.abi(),
				"slowest_ms", (json_int_t)slowest_ms(am), "scan_max_ms",
				(json_int_t)am->scan_max_ms),
			NULL, 0);
}

/* ---- the role ---- */

static const struct yg_ipc_handler from_install[] = {
	{"am.abi", on_abi},
	{"am.load", on_load},
	{"am.trial", on_trial},
	{"am.config", on_config},
	{0},
};

static const struct yg_ipc_handler from_walk[] = {
	{"am.scan", on_scan},
	{0},
};

void am_link(void *self, const char *peer, const char *tag, int fd)
{
	(void)tag;
	struct am *am = self;
	int owned YG_AUTO(fd) = fd;
	const struct yg_ipc_handler *handlers = strcmp(peer, "install") == 0 ? from_install
		: strcmp(peer, "walk") == 0                                  ? from_walk
									     : NULL;
	if (!handlers) {
		yg_log(YG_LOG_WARN, "role.link", "a link to %s, which has no business here", peer);
		return;
	}
	struct link *link = calloc(1, sizeof(*link));
	if (!link)
		abort();
	struct yg_err err = {0};
	link->am = am;
	link->ipc = yg_ipc_new(am->env->loop, yg_take_fd(owned), peer, handlers, link_closed, link,
		&err);
	if (!link->ipc) {
		yg_log_err(YG_LOG_WARN, "role.link", &err);
		free(link);
		return;
	}
	for (struct link *old = am->links; old; old = old->next) {
		if (strcmp(yg_ipc_peer(old->ipc), peer) == 0) {
			link_end(old); /* that process was replaced */
			break;
		}
	}
	link->holders = 1;
	link->next = am->links;
	am->links = link;
	am->had_links = true;
}

/* ---- the temporary directory ----
 *
 * Two engines live at a time, and share the folder they are given. Each has a directory in it, named
 * by its process and locked by it; what is not locked was left behind by one that ended.
 */

static void remove_if_left(int shared, const char *name)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = openat(shared, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (yg_fs_remove(shared, name, &err) < 0)
		yg_log_err(YG_LOG_WARN, "engine.tmp", &err);
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int clean(int shared, struct yg_err *err)
{
	struct dirent **list = NULL;
	int count = scandirat(shared, ".", &list, not_dots, NULL);
	if (count < 0)
		return yg_fail_sys(err, errno, "reading the folder of temporary directories");
	for (int i = 0; i < count; i++) {
		remove_if_left(shared, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return 0;
}

/* While we look and make, nobody else does: the lock is on the folder itself, by a description of our
 * own, since the one we were given is shared with others.
 */
static int make_own(struct am *am, struct yg_err *err)
{
	int shared YG_AUTO(fd) = openat(am->shared_tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shared < 0 || flock(shared, LOCK_EX) < 0)
		return yg_fail_sys(err, errno, "locking the folder of temporary directories");
	if (clean(shared, err) < 0)
		return -1;
	if (!yg_str_put(am->tmp_name, sizeof(am->tmp_name), "engine-%d", (int)getpid()))
		return yg_fail(err, YG_ELIMIT, "name of the temporary directory");
	if (mkdirat(shared, am->tmp_name, 0700) < 0)
		return yg_fail_sys(err, errno, "making %s", am->tmp_name);
	am->tmp = yg_fs_open_dir(shared, am->tmp_name, err);
	if (am->tmp < 0)
		return -1;
	if (flock(am->tmp, LOCK_EX | LOCK_NB) < 0)
		return yg_fail_sys(err, errno, "locking %s", am->tmp_name);
	return 0;
}

/* The folder is the user's, and root without capabilities may not write there: be him for as long as
 * it takes. The sandbox makes it final, after libclamav is set up.
 */
static int make_tmp(struct am *am, const char *user, struct yg_err *err)
{
	struct passwd pw;
	struct passwd *found = NULL;
	char text[4096];
	if (user[0] == '\0' || geteuid() != 0)
		return make_own(am, err);
	int r = getpwnam_r(user, &pw, text, sizeof(text), &found);
	if (r != 0)
		return yg_fail_sys(err, r, "user '%s'", user);
	if (!found)
		return yg_fail(err, YG_EABSENT, "user '%s': there is none", user);
	if (setegid(pw.pw_gid) < 0 || seteuid(pw.pw_uid) < 0)
		return yg_fail_sys(err, errno, "becoming user '%s'", user);
	r = make_own(am, err);
	if (seteuid(0) < 0 || setegid(0) < 0)
		return yg_fail_sys(err, errno, "becoming root again");
	return r;
}

static int enter_sandbox(const struct am *am, const char *user, struct yg_err *err)
{
	int all YG_AUTO(fd) = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (all < 0)
		return yg_fail_sys(err, errno, "opening /");
	const struct yg_sandbox_path paths[] = {{.fd = all}, {.fd = am->tmp, .write = true}};
	const struct yg_sandbox box = {
		.syscalls = YG_SYS_FILES | YG_SYS_THREADS | YG_SYS_LIMITS,
		.user = user[0] ? user : NULL,
		.files_max = FILES_LIMIT,
		.paths = paths,
		.path_count = YG_COUNT(paths),
	};
	return yg_sandbox_enter(&box, err);
}

static inline void am_free_at(struct am **at)
{
	am_stop(*at);
}

int am_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	const char *user = NULL;
	if (env->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "want 1 descriptor, have %zu", env->fd_count);
	if (yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	struct am *am YG_AUTO(am) = calloc(1, sizeof(*am));
	if (!am)
		return yg_fail_sys(err, ENOMEM, "starting");
	am->env = env;
	am->tmp = -1;
	am->shared_tmp = yg_take_fd(env->fds[0]);
	am->linger = yg_loop_timer(env->loop, linger_over, am);
	if (make_tmp(am, user, err) < 0 || yg_am_engine.start(am->tmp, &am->engine, err) < 0 ||
		enter_sandbox(am, user, err) < 0)
		return -1;
	*self = yg_take(am);
	return 0;
}

void am_stop(void *self)
{
	struct am *am = self;
	if (!am)
		return;
	/* A file can take minutes, and nobody waits for its answer any more. What it unpacked is
	 * removed by the next engine.
	 */
	if (am->jobs > 0)
		_exit(EXIT_SUCCESS);
	yg_timer_free(am->linger);
	yg_pool_free(am->loader);
	yg_pool_free(am->scanner);
	while (am->links)
		link_end(am->links);
	yg_am_engine.stop(am->engine);
	if (am->tmp >= 0)
		(void)close(am->tmp);
	if (am->shared_tmp >= 0)
		(void)close(am->shared_tmp);
	free(am);
}
