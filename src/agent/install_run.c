/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/install_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

/* What the states of src/update/run.h do on this computer. Everything that comes from outside goes
 * fetch -> a nameless file -> verify -> an object, and is hashed here before it is believed.
 */

#define TUF_MAX     (8u << 20) /* bytes of a file of metadata */
#define ROOT_MAX    (512u << 10)
#define NAME_BYTES  128
#define PATH_BYTES  256
#define PLAN_MS     900000  /* after that, verify or fetch hangs */
#define FETCH_MS    4000000 /* fetch itself gives up before */
#define VERIFY_MS   900000
#define BACKOFF_MS  2000
#define POLL_MS     3000
#define WAIT_S      600 /* how long the aim is waited for, unless the request says */
#define PROGRESS_MS 500 /* between two progress messages of one phase */

struct helper {
	struct install_run *run;
	const char *role;
	struct yg_ipc *ipc;
};

struct item {
	const struct yg_file *file; /* points into the set */
	const struct yg_form *form;
};

struct install_run {
	struct install *in;
	struct yg_run run;
	struct install_waiter *waiters;
	json_t *body; /* of the first request */
	bool relay, scheduled, all_families;
	const char *job, *aim; /* point into body */
	json_t *sources;       /* borrowed from body */
	int64_t timeout_s;

	char tag[48]; /* of the helpers */
	struct helper fetch, verify;
	bool spawning, begun;
	struct yg_timer *pause, *watchdog;

	struct yg_set *from; /* live before; NULL: none */
	struct yg_set *set;  /* the plan's */
	struct item *items;
	size_t count, at;
	uint64_t done_bytes, of_bytes;
	int64_t told_ms;
	int transfer, plain; /* the object under way, as it comes and decoded; -1 */
	uint32_t tuf_id;     /* verify's tuf.fetch under way */
	int tuf_fd;
	char tuf_path[PATH_BYTES];
	struct install_engine *engine; /* being tried */
	struct yg_store_report report;
	int64_t root_next, root_last; /* of a relay: versions that agents may need */
	bool told_relay, told_source;
	bool tried_again; /* the engine of the new set ended once */
};

struct spawned { /* a request to the parent, which may be answered when the run is gone */
	struct install *in;
	char tag[48];
};

static enum yg_logs_file log_file(const struct install_run *r)
{
	return r->relay ? YG_LOGS_RELAY : YG_LOGS_IAU;
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const json_t *source(const struct install_run *r)
{
	return json_array_get(r->sources, r->run.source);
}

static const char *source_url(const struct install_run *r)
{
	const char *url = json_string_value(json_object_get(source(r), "url"));
	return url ? url : "";
}

/* ---- how things fail ---- */

/* A relay or source that cannot be reached is told once a run; that it went well after all is
 * in the result.
 */
static void tell_source(struct install_run *r, const struct yg_err *why)
{
	bool at_relay = yg_run_at_relay(&r->run);
	bool *told = at_relay ? &r->told_relay : &r->told_source;
	if (*told)
		return;
	*told = true;
	install_event(r->in, at_relay ? 9115 : 9108,
		json_pack("{s:s, s:s, s:s}", "url", source_url(r), "cause", why->cause, "detail",
			why->msg));
}

/* Another source may help, unless the fault is this computer's. May free the run. */
static void fail(struct install_run *r, const struct yg_err *why)
{
	yg_timer_stop(r->watchdog);
	bool here = starts(why->cause, "store.") || starts(why->cause, "engine.") ||
		starts(why->cause, "system.") || strcmp(why->cause, "content.abi") == 0 ||
		strcmp(why->cause, "clock.wrong") == 0;
	YG_LOGS(r->in->logs, log_file(r), YG_LOGS_ERR, "Update", "%s (%s): %s",
		yg_run_state_name(r->run.state), source_url(r), why->msg);
	if (!here)
		tell_source(r, why);
	(void)yg_run_step(&r->run, here ? YG_RUN_FAILED : YG_RUN_SOURCE_FAILED, why);
}

static void fail_here(struct install_run *r, const struct yg_err *why)
{
	yg_timer_stop(r->watchdog);
	YG_LOGS(r->in->logs, log_file(r), YG_LOGS_ERR, "Update", "%s: %s",
		yg_run_state_name(r->run.state), why->msg);
	(void)yg_run_step(&r->run, YG_RUN_FAILED, why);
}

static void step(struct install_run *r, enum yg_run_event event)
{
	yg_timer_stop(r->watchdog);
	(void)yg_run_step(&r->run, event, NULL);
}

/* ---- fetch and verify: processes for this run ---- */

static void ended(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	(void)err; /* gone already is what we wanted */
}

static void end_helpers(struct install_run *r)
{
	struct helper *const helpers[] = {&r->fetch, &r->verify};
	for (size_t i = 0; i < YG_COUNT(helpers); i++) {
		if (helpers[i]->ipc || r->spawning)
			yg_ipc_request(r->in->env->parent, "end",
				json_pack("{s:s, s:s}", "role", helpers[i]->role, "tag", r->tag),
				NULL, 0, ended, NULL);
		yg_ipc_free(helpers[i]->ipc);
		helpers[i]->ipc = NULL;
	}
	if (r->tuf_fd >= 0)
		(void)close(yg_take_fd(r->tuf_fd));
	r->tuf_id = 0;
	r->spawning = false;
	r->begun = false;
}

static void helper_closed(void *ctx, struct yg_ipc *ipc)
{
	(void)ipc;
	struct helper *helper = ctx;
	struct install_run *r = helper->run;
	end_helpers(r);
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted",
		"the %s process ended unexpectedly", helper->role);
	yg_log_err(YG_LOG_WARN, "update.helper", &why);
	/* Its own request has failed already, and led on; one at the other helper never answers now. */
	if (r->run.state == YG_RUN_PLAN || r->run.state == YG_RUN_FETCH ||
		r->run.state == YG_RUN_VERIFY)
		fail(r, &why);
}

static void spawn_done(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct spawned *asked = ctx;
	struct install_run *r = asked->in->run;
	if (err->code && r && strcmp(r->tag, asked->tag) == 0 && r->spawning) {
		struct yg_err why = *err;
		end_helpers(r);
		if (!why.cause[0])
			(void)yg_fail_cause(&why, YG_ESYSTEM, "system.error", "%s", err->msg);
		fail_here(r, &why);
	}
	free(asked);
}

static void spawn(struct install_run *r)
{
	r->spawning = true;
	r->begun = false;
	(void)!yg_str_put(r->tag, sizeof(r->tag), "run-%ld-%u", (long)getpid(), r->in->serial++);
	static const char *const roles[] = {"fetch", "verify"};
	for (size_t i = 0; i < YG_COUNT(roles); i++) {
		struct spawned *asked = calloc(1, sizeof(*asked));
		if (!asked)
			abort(); /* the parent starts us again */
		asked->in = r->in;
		memcpy(asked->tag, r->tag, sizeof(asked->tag));
		yg_ipc_request(r->in->env->parent, "spawn",
			json_pack("{s:s, s:s, s:{}}", "role", roles[i], "tag", r->tag, "args"),
			NULL, 0, spawn_done, asked);
	}
}

static void watchdog(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err why = {0};
	(void)yg_fail_cause(&why, YG_EAGAIN, "update.timeout", "%s: no answer in time",
		yg_run_state_name(r->run.state));
	end_helpers(r);
	fail(r, &why);
}

/* ---- what verify asks for ---- */

static int tuf_path(const struct install_run *r, const char *name, char out[PATH_BYTES],
	struct yg_err *err)
{
	if (!yg_str_name_ok(name, NAME_BYTES, YG_STR_FILE_CHARS))
		return yg_fail(err, YG_EFORMAT, "name: not a name of metadata");
	if (!yg_str_put(out, PATH_BYTES, "state/%s/%s", r->relay ? "tuf-relay" : "tuf", name))
		return yg_fail(err, YG_ELIMIT, "name: too long");
	return 0;
}

/* A relay keeps only what protects it from being turned back, so that each run brings the files it has to
 * serve; and when what it serves is gone, it begins from the first root again.
 */
static bool may_load(const struct install_run *r, const char *name)
{
	if (!r->relay)
		return true;
	return install_mirror_set(r->in->mirror)[0] &&
		(strcmp(name, "root.json") == 0 || strcmp(name, "timestamp.json") == 0);
}

static int tuf_load(struct install_run *r, const json_t *body, struct yg_err *err)
{
	const char *name = NULL;
	char path[PATH_BYTES];
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
	if (!may_load(r, name))
		return yg_fail(err, YG_EABSENT, "'%s' is fetched anew", name);
	return yg_fs_open(r->in->root, path, err);
}

static void on_tuf_load(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct helper *helper = ctx;
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
	char path[PATH_BYTES];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(TUF_MAX);
	if (yg_json_str(msg->body, "name", NAME_BYTES, &name, err) < 0 ||
		tuf_path(r, name, path, err) < 0)
		return -1;
	if (msg->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "tuf.save: want 1 descriptor, have %zu",
			msg->fd_count);
	if (yg_fs_read_fd(msg->fds[0], &text, err) < 0 ||
		yg_fs_mkdirs(r->in->root, r->relay ? "state/tuf-relay" : "state/tuf", 0755, err) <
			0)
		return -1;
	if (text.len == 0)
		return yg_fs_remove(r->in->root, path, err);
	return yg_fs_replace(r->in->root, path, yg_buf_bytes(&text), 0644, err);
}

static void on_tuf_save(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct helper *helper = ctx;
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

/* One line for each conversation, as the old log had it; a maintenance has its own words (T3). */
static void log_fetch(struct install_run *r, const char *path, const struct yg_err *err,
	const json_t *reply)
{
	struct yg_logs *logs = r->in->logs;
	if (err->code == 0) {
		yg_logs_tmu(logs, false, "HttpsConnection", "%s/%s: HTTP %lld, %lld bytes",
			source_url(r), path,
			(long long)json_integer_value(json_object_get(reply, "status")),
			(long long)json_integer_value(json_object_get(reply, "size")));
		return;
	}
	if (strcmp(err->cause, "http.maintenance") == 0 || strcmp(err->cause, "http.busy") == 0) {
		yg_logs_tmu(logs, true, "HttpsConnection",
			"Server Error: HTTP 503 Service Unavailable");
		yg_logs_tmu(logs, true, "TmDownloader", YG_LOGS_MAINTENANCE);
		return;
	}
	bool expected = err->code == YG_EABSENT && strstr(path, ".root.json");
	yg_logs_tmu(logs, !expected, "HttpsConnection", "%s/%s: %s", source_url(r), path,
		expected ? "HTTP 404, no newer root" : err->msg);
}

static json_t *fetch_body(const struct install_run *r, const char *path, uint64_t max)
{
	json_t *from = json_copy((json_t *)(uintptr_t)source(r));
	json_t *tls = json_object_get(r->body, "tls");
	if (tls && yg_run_at_relay(&r->run))
		(void)json_object_set(from, "tls", tls);
	return json_pack("{s:o, s:s, s:I, s:I}", "source", from, "path", path, "max",
		(json_int_t)max, "timeout_s", (json_int_t)r->timeout_s);
}

static void tuf_fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	int fd YG_AUTO(fd) = yg_take_fd(r->tuf_fd);
	uint32_t id = r->tuf_id;
	struct yg_err why = *err;
	r->tuf_id = 0;
	log_fetch(r, r->tuf_path, err, reply->body);
	if (!why.code && r->relay)
		(void)!install_mirror_note(r->in->mirror, r->tuf_path, fd, &why);
	if (!r->verify.ipc)
		return;
	if (why.code)
		yg_ipc_reply_err(r->verify.ipc, id, &why);
	else
		yg_ipc_reply(r->verify.ipc, id, NULL, &fd, 1);
}

static int temporary(struct install_run *r, struct yg_err *err)
{
	if (yg_fs_mkdirs(r->in->root, "iaurepo/tmp", 0755, err) < 0)
		return -1;
	int dir YG_AUTO(fd) = yg_fs_open_dir(r->in->root, "iaurepo/tmp", err);
	return dir < 0 ? -1 : yg_fs_tmpfile(dir, err);
}

static int tuf_fetch(struct install_run *r, const struct yg_ipc_msg *msg, struct yg_err *err)
{
	const char *path = NULL;
	int64_t max = 0;
	if (yg_json_str(msg->body, "path", PATH_BYTES - 1, &path, err) < 0 ||
		yg_json_int(msg->body, "max", 0, TUF_MAX, &max, err) < 0)
		return -1;
	if (!yg_str_path_ok(path, PATH_BYTES - 1))
		return yg_fail(err, YG_EFORMAT, "path: not a path of a repository");
	if (r->tuf_id || !r->fetch.ipc)
		return yg_fail_cause(err, YG_EAGAIN, "update.interrupted",
			"'%s': there is no process to fetch it", path);
	r->tuf_fd = temporary(r, err);
	if (r->tuf_fd < 0)
		return -1;
	memcpy(r->tuf_path, path, strlen(path) + 1);
	r->tuf_id = msg->id;
	yg_ipc_request(r->fetch.ipc, "fetch.get", fetch_body(r, path, (uint64_t)max), &r->tuf_fd, 1,
		tuf_fetched, r);
	return 0;
}

static void on_tuf_fetch(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct helper *helper = ctx;
	struct yg_err err = {0};
	if (tuf_fetch(helper->run, msg, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
}

static const struct yg_ipc_handler verify_asks[] = {
	{"tuf.load", on_tuf_load},
	{"tuf.save", on_tuf_save},
	{"tuf.fetch", on_tuf_fetch},
	{0},
};
static const struct yg_ipc_handler fetch_asks[] = {{0}};

/* ---- PLAN ---- */

static void add_item(struct install_run *r, const struct yg_file *file, const struct yg_form *form)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].form->sha256, form->sha256) == 0)
			return;
	struct item *grown = reallocarray(r->items, r->count + 1, sizeof(*grown));
	if (!grown)
		abort(); /* the parent starts us again */
	r->items = grown;
	r->items[r->count++] = (struct item){file, form};
	r->of_bytes += form->size;
}

static void find_missing(struct install_run *r)
{
	r->count = 0;
	r->at = 0;
	r->done_bytes = 0;
	r->of_bytes = 0;
	for (size_t i = 0; i < r->set->count; i++) {
		for (size_t j = 0; j < r->set->components[i]->file_count; j++) {
			const struct yg_file *file = &r->set->components[i]->files[j];
			if (!r->relay) {
				if (!yg_store_object_has(r->in->store, file->sha256, file->size))
					add_item(r, file, yg_file_form(file));
				continue;
			}
			for (size_t k = 0; k < file->form_count; k++)
				if (!install_mirror_has(r->in->mirror, &file->forms[k]))
					add_item(r, file, &file->forms[k]);
		}
	}
}

static uint64_t bytes_needed(const struct install_run *r)
{
	uint64_t need = 0;
	uint64_t largest = 0;
	for (size_t i = 0; i < r->count; i++) {
		need += r->relay ? r->items[i].form->size : r->items[i].file->size;
		if (r->items[i].form->size > largest)
			largest = r->items[i].form->size;
	}
	return need + largest;
}

/* T11: what was damaged is named, once it is whole again. */
static void tell_healed(struct install_run *r)
{
	uint32_t count = r->report.relinked + r->report.dropped + r->report.missing;
	if (r->relay || count == 0 || !r->report.first[0])
		return;
	char path[sizeof(r->report.first)];
	memcpy(path, r->report.first, sizeof(path));
	char *space = strrchr(path, ' ');
	if (space)
		*space = 0;
	install_event(r->in, 20105,
		json_pack("{s:s, s:s, s:I}", "path", path, "object", space ? space + 1 : "",
			"count", (json_int_t)count));
	YG_LOGS(r->in->logs, YG_LOGS_IAU, YG_LOGS_APP, "Repair",
		"%u damaged or missing files, first %s: fetched or linked again", count,
		r->report.first);
	memset(&r->report, 0, sizeof(r->report));
}

/* T14: a disk that is too small is told before anything is fetched. Ends the run when it is. */
static bool has_room(struct install_run *r)
{
	struct yg_err why = {0};
	uint64_t need = bytes_needed(r);
	if (yg_store_room(r->in->store, need, &why) == 0)
		return true;
	install_event(r->in, 6012,
		json_pack("{s:s, s:I}", "path", r->relay ? "relay" : "iaurepo", "needed",
			(json_int_t)need));
	fail_here(r, &why);
	return false;
}

static void plan_relay(struct install_run *r)
{
	find_missing(r);
	if (r->count == 0 && install_mirror_same(r->in->mirror, r->set)) {
		step(r, YG_RUN_SAME);
		return;
	}
	if (has_room(r))
		step(r, YG_RUN_OK);
}

/* The relay has another set than the aim: behind, unless the aim is what this agent has or has left, for
 * what comes now was signed later.
 */
static bool not_yet(const struct install_run *r, const char *lib)
{
	char roll[YG_SHA256_TEXT];
	yg_store_link(r->in->store, YG_STORE_ROLL, roll);
	return *r->aim && r->all_families && yg_run_at_relay(&r->run) &&
		strcmp(r->aim, r->set->digest) != 0 && strcmp(r->aim, lib) != 0 &&
		strcmp(r->aim, roll) != 0;
}

static void fetch_roots(struct install_run *r);

static void root_fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct yg_err why = *err;
	int fd YG_AUTO(fd) = yg_take_fd(r->transfer);
	char path[PATH_BYTES];
	(void)!yg_str_put(path, sizeof(path), "metadata/%lld.root.json", (long long)r->root_next);
	log_fetch(r, path, err, reply->body);
	if (why.code || install_mirror_note(r->in->mirror, path, fd, &why) < 0)
		YG_LOGS(r->in->logs, YG_LOGS_RELAY, YG_LOGS_APP, "Roots", "%s: %s", path, why.msg);
	r->root_next++;
	fetch_roots(r);
}

/* Root versions from before the one this relay was installed with: agents that are older need each of
 * them, and believe none that is not signed by the one before. One that the source lacks is no failure.
 */
static void fetch_roots(struct install_run *r)
{
	struct yg_err err = {0};
	char path[PATH_BYTES];
	for (; r->root_next <= r->root_last; r->root_next++) {
		(void)!yg_str_put(path, sizeof(path), "metadata/%lld.root.json",
			(long long)r->root_next);
		if (!install_mirror_knows(r->in->mirror, path))
			break;
	}
	if (r->root_next > r->root_last || !r->fetch.ipc) {
		plan_relay(r);
		return;
	}
	r->transfer = temporary(r, &err);
	if (r->transfer < 0) {
		fail_here(r, &err);
		return;
	}
	yg_timer_set(r->watchdog, PLAN_MS);
	yg_ipc_request(r->fetch.ipc, "fetch.get", fetch_body(r, path, ROOT_MAX), &r->transfer, 1,
		root_fetched, r);
}

static int plan_agent(struct install_run *r, enum yg_run_event *event, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	struct yg_store_hold hold;
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	yg_store_hold(r->in->store, &hold);
	if (not_yet(r, lib)) {
		*event = YG_RUN_NOT_YET;
		return 0;
	}
	if (r->scheduled && strcmp(hold.set, r->set->digest) == 0) {
		*event = YG_RUN_HELD;
		return 0;
	}
	if (yg_store_mend(r->in->store, &r->report, err) < 0)
		return -1;
	find_missing(r);
	*event = YG_RUN_OK;
	if (strcmp(lib, r->set->digest) == 0 && r->count == 0) {
		tell_healed(r);
		*event = YG_RUN_SAME;
	}
	return 0;
}

static int read_plan(struct install_run *r, const struct yg_ipc_msg *reply, struct yg_err *err)
{
	const char *digest = NULL;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (yg_json_str(reply->body, "set", YG_SHA256_TEXT - 1, &digest, err) < 0)
		return -1;
	if (reply->fd_count != 1)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want 1 descriptor, have %zu",
			reply->fd_count);
	if (yg_fs_read_fd(reply->fds[0], &text, err) < 0)
		return -1;
	struct yg_set *set = yg_set_parse(yg_buf_bytes(&text), err);
	if (!set)
		return -1;
	yg_set_free(r->set);
	r->set = set;
	if (strcmp(set->digest, digest) != 0)
		return yg_fail(err, YG_EFORMAT, "verify.refresh: want set %s, have %s", digest,
			set->digest);
	return 0;
}

/* A relay that has nothing yet is behind, as one with an old set is. */
static bool is_behind(const struct install_run *r, const struct yg_err *err)
{
	return *r->aim && yg_run_at_relay(&r->run) &&
		(strcmp(err->cause, "http.busy") == 0 ||
			strcmp(err->cause, "http.maintenance") == 0);
}

static void planned(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	struct yg_err why = *err;
	enum yg_run_event event = YG_RUN_OK;
	if (why.code && is_behind(r, &why)) {
		step(r, YG_RUN_NOT_YET);
		return;
	}
	if (why.code || read_plan(r, reply, &why) < 0) {
		if (why.code == YG_EAGAIN && !why.cause[0])
			(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
		fail(r, &why);
		return;
	}
	if (r->relay) {
		r->root_next = 2; /* the first is what everybody is installed with */
		r->root_last = json_integer_value(json_object_get(reply->body, "root"));
		fetch_roots(r);
		return;
	}
	if (plan_agent(r, &event, &why) < 0) {
		fail_here(r, &why);
		return;
	}
	if (event == YG_RUN_OK && !has_room(r))
		return;
	YG_LOGS(r->in->logs, log_file(r), YG_LOGS_DBG, "Plan", "set %s, %zu objects missing, %s",
		r->set->digest, r->count, yg_run_event_name(event));
	step(r, event);
}

static void refresh(struct install_run *r)
{
	json_t *families = json_object_get(r->body, "families");
	families = families ? json_incref(families) : json_pack("[s,s]", "pattern", "rule");
	if (r->relay && r->in->mirror)
		install_mirror_forget(r->in->mirror);
	/* A relay serves agents with other engines than ours. */
	yg_timer_set(r->watchdog, PLAN_MS);
	yg_ipc_request(r->verify.ipc, "verify.refresh",
		json_pack("{s:{s:I}, s:o}", "abi", "clamav",
			(json_int_t)(r->relay ? 0 : r->in->abi), "families", families),
		NULL, 0, planned, r);
}

static void begun(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_run *r = ctx;
	if (err->code) {
		fail(r, err);
		return;
	}
	r->begun = true;
	refresh(r);
}

static void op_plan(void *ctx)
{
	struct install_run *r = ctx;
	yg_timer_set(r->watchdog, PLAN_MS);
	if (r->fetch.ipc && r->verify.ipc && r->begun) {
		refresh(r);
		return;
	}
	end_helpers(r);
	spawn(r); /* goes on when both are linked */
}

void install_run_link(struct install *in, const char *peer, const char *tag, int fd)
{
	int owned YG_AUTO(fd) = fd;
	struct install_run *r = in->run;
	struct yg_err err = {0};
	if (!r || strcmp(tag, r->tag) != 0)
		return;
	bool is_fetch = strcmp(peer, "fetch") == 0;
	struct helper *helper = is_fetch ? &r->fetch : &r->verify;
	yg_ipc_free(helper->ipc);
	helper->ipc = yg_ipc_new(in->env->loop, yg_take_fd(owned), peer,
		is_fetch ? fetch_asks : verify_asks, helper_closed, helper, &err);
	if (!helper->ipc) {
		fail_here(r, &err);
		return;
	}
	if (!r->spawning || !r->fetch.ipc || !r->verify.ipc)
		return;
	r->spawning = false;
	yg_ipc_request(r->verify.ipc, "verify.begin",
		json_pack("{s:I}", "now", (json_int_t)yg_clock_now_s()), NULL, 0, begun, r);
}

/* ---- FETCH, VERIFY ---- */

static void tell_progress(struct install_run *r)
{
	int64_t now = yg_clock_mono_ms();
	if (now - r->told_ms < PROGRESS_MS && r->at < r->count)
		return;
	r->told_ms = now;
	install_progress(r->in, r->job, "fetch", (int64_t)r->done_bytes, (int64_t)r->of_bytes);
}

static void fetched(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct install_run *r = ctx;
	char path[YG_OBJECT_PATH];
	yg_form_path(r->items[r->at].form, path);
	log_fetch(r, path, err, reply->body);
	if (!err->code) {
		step(r, YG_RUN_OK);
		return;
	}
	struct yg_err why = *err;
	if (why.code == YG_EABSENT)
		(void)yg_fail_cause(&why, YG_EABSENT, "content.missing", "%s", err->msg);
	else if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
	fail(r, &why);
}

static void op_fetch(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	tell_progress(r);
	if (r->at == r->count) {
		step(r, YG_RUN_COMPLETE);
		return;
	}
	const struct yg_form *form = r->items[r->at].form;
	char path[YG_OBJECT_PATH];
	yg_form_path(form, path);
	if (r->transfer >= 0)
		(void)close(yg_take_fd(r->transfer));
	r->transfer = r->relay ? install_mirror_new_object(r->in->mirror, &err)
			       : temporary(r, &err);
	if (r->transfer < 0) {
		fail_here(r, &err);
		return;
	}
	if (!r->fetch.ipc) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"the fetch process ended unexpectedly");
		fail(r, &err);
		return;
	}
	yg_timer_set(r->watchdog, FETCH_MS);
	yg_ipc_request(r->fetch.ipc, "fetch.get", fetch_body(r, path, form->size), &r->transfer, 1,
		fetched, r);
}

static void object_done(struct install_run *r)
{
	r->done_bytes += r->items[r->at].form->size;
	r->at++;
	(void)close(yg_take_fd(r->transfer));
	step(r, YG_RUN_OK);
}

static void decoded(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct install_run *r = ctx;
	struct yg_err why = *err;
	const struct yg_file *file = r->items[r->at].file;
	int out YG_AUTO(fd) = yg_take_fd(r->plain);
	if (why.code == YG_EAGAIN && !why.cause[0])
		(void)yg_fail_cause(&why, YG_EAGAIN, "update.interrupted", "%s", err->msg);
	/* Out of room looks to verify like any other failed write. */
	if (why.code == YG_ESYSTEM && !why.cause[0])
		(void)!yg_str_put(why.cause, sizeof(why.cause), "%s",
			why.sys == ENOSPC || why.sys == EDQUOT ? "store.disk_full" : "store.io");
	if (!why.code)
		(void)!yg_store_object_add(r->in->store, out, file->sha256, file->size, &why);
	if (why.code) {
		(void)yg_wrap(&why, "'%s'", file->path);
		fail(r, &why);
		return;
	}
	object_done(r);
}

static void op_verify(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	const struct item *item = &r->items[r->at];
	if (r->relay) {
		if (install_mirror_add(r->in->mirror, r->transfer, item->form, &err) < 0)
			fail(r, &err);
		else
			object_done(r);
		return;
	}
	if (!r->verify.ipc) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.interrupted",
			"the verify process ended unexpectedly");
		fail(r, &err);
		return;
	}
	if (r->plain >= 0)
		(void)close(yg_take_fd(r->plain));
	r->plain = yg_store_object_new(r->in->store, &err);
	if (r->plain < 0 || lseek(r->transfer, 0, SEEK_SET) < 0) {
		if (!err.code)
			(void)yg_fail_cause(&err, YG_ESYSTEM, "store.io", "seeking in a transfer");
		fail_here(r, &err);
		return;
	}
	const int fds[] = {r->transfer, r->plain};
	yg_timer_set(r->watchdog, VERIFY_MS);
	yg_ipc_request(r->verify.ipc, "verify.object",
		json_pack("{s:s, s:s, s:I, s:s, s:I}", "encoding",
			yg_encoding_name(item->form->encoding), "sha256", item->form->sha256,
			"size", (json_int_t)item->form->size, "plain_sha256", item->file->sha256,
			"plain_size", (json_int_t)item->file->size),
		fds, 2, decoded, r);
}

/* ---- LICENCE, SNAPSHOT, STAGE, TRY, SWITCH, CLOSING ---- */

/* A licence is perpetual as long as there is no other kind: the families that session found valid are
 * what may be updated, and none of them is a failure with a name (U5).
 */
static void op_licence(void *ctx)
{
	struct install_run *r = ctx;
	const json_t *families = json_object_get(r->body, "families");
	if (families && json_array_size(families) == 0) {
		struct yg_err err = {0};
		(void)yg_fail_cause(&err, YG_EUNTRUSTED, "update.licence",
			"no component family may be updated under the present licence");
		install_event(r->in, 9110, json_object());
		fail_here(r, &err);
		return;
	}
	step(r, YG_RUN_OK);
}

static void op_snapshot(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	if (!r->relay && yg_store_snapshot(r->in->store, &err) < 0)
		fail_here(r, &err);
	else
		step(r, YG_RUN_OK);
}

static void op_stage(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	int rc = r->relay ? install_mirror_stage(r->in->mirror, &err)
			  : yg_store_stage(r->in->store, r->set, &err);
	if (rc == 0)
		step(r, YG_RUN_OK);
	else if (err.code == YG_EABSENT)
		step(r, YG_RUN_LACKING);
	else
		fail_here(r, &err);
}

static bool has_engine(const struct yg_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (starts(set->components[i]->component, "am-"))
			return true;
	return false;
}

static void op_trial(void *ctx);

static void refuse_content(struct install_run *r, const struct yg_err *why)
{
	struct yg_err err = *why;
	/* An engine that ended once may have been ended by somebody; twice, it was the content. */
	if (strcmp(err.cause, "engine.crash") == 0 && !r->tried_again) {
		r->tried_again = true;
		YG_LOGS(r->in->logs, YG_LOGS_IAU, YG_LOGS_ERR, "Trial", "%s, trying again",
			err.msg);
		install_engine_end(yg_take(r->engine));
		op_trial(r);
		return;
	}
	if (!err.cause[0])
		(void)yg_fail_cause(&err, why->code, "engine.trial", "%s", why->msg);
	install_event(r->in, 9017,
		json_pack("{s:o, s:s, s:s, s:s}", "components",
			install_run_updated(r->from, r->set), "set", r->set->digest, "cause",
			err.cause, "detail", err.msg));
	fail_here(r, &err);
}

static void tried(void *ctx, const struct yg_err *err)
{
	struct install_run *r = ctx;
	if (err->code)
		refuse_content(r, err);
	else
		step(r, YG_RUN_OK);
}

static void engine_up(void *ctx, struct install_engine *engine, const struct yg_err *err)
{
	struct install_run *r = ctx;
	if (err->code) {
		r->engine = NULL; /* freed by who calls */
		refuse_content(r, err);
		return;
	}
	install_engine_try(engine, r->set, tried, r);
}

static void engine_down(void *ctx, struct install_engine *engine)
{
	struct install_run *r = ctx;
	if (r->engine == engine)
		r->engine = NULL;
}

static void op_trial(void *ctx)
{
	struct install_run *r = ctx;
	const struct install_engine *live = r->in->live.engine;
	if (r->relay || !has_engine(r->set) || (live && strcmp(live->set, r->set->digest) == 0)) {
		step(r, YG_RUN_OK);
		return;
	}
	struct install_engine *coming = install_engine_find(r->in, r->set->digest);
	if (coming) /* of the live set, which is being healed: it starts again after this */
		install_engine_end(coming);
	r->engine = install_engine_new(r->in, r->set->digest, engine_up, engine_down, r);
	install_live_tell(r->in);
}

/* A newer set, or a person's own command, ends a hold. */
static void end_hold(struct install_run *r)
{
	struct yg_err err = {0};
	struct yg_store_hold hold;
	yg_store_hold(r->in->store, &hold);
	if (!hold.set[0])
		return;
	if (yg_store_hold_clear(r->in->store, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "store.hold", &err);
		return;
	}
	install_event(r->in, 20104,
		json_pack("{s:s, s:s}", "set", hold.set, "reason",
			strcmp(hold.set, r->set->digest) == 0 ? "command" : "newer"));
}

static int swap_agent(struct install_run *r, struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	if (yg_store_check(r->in->store, r->set->digest, err) < 0)
		return -1;
	if (r->engine == NULL && has_engine(r->set) && strcmp(lib, r->set->digest) != 0 &&
		!(r->in->live.engine && strcmp(r->in->live.engine->set, r->set->digest) == 0))
		return yg_fail_cause(err, YG_EAGAIN, "engine.crash",
			"the engine ended after it had judged the samples");
	if (yg_store_switch(r->in->store, r->set->digest, err) < 0)
		return -1;
	end_hold(r);
	return 0;
}

static void op_swap(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	if (r->relay) {
		if (install_mirror_switch(r->in->mirror, r->set, &err) < 0) {
			fail_here(r, &err);
			return;
		}
		install_changed(r->in);
		step(r, YG_RUN_OK);
		return;
	}
	if (swap_agent(r, &err) < 0) {
		fail_here(r, &err);
		return;
	}
	struct install_engine *engine = yg_take(r->engine);
	if (engine) {
		install_event(r->in, 9016,
			json_pack("{s:o, s:I, s:I}", "components",
				install_run_updated(r->from, r->set), "signatures",
				(json_int_t)engine->signatures, "seconds",
				(json_int_t)(engine->seconds + 0.5)));
		install_live_take(r->in, engine);
	} else {
		install_live_ensure(r->in);
	}
	tell_healed(r);
	install_changed(r->in);
	step(r, YG_RUN_OK);
}

static void op_close(void *ctx)
{
	struct install_run *r = ctx;
	struct yg_err err = {0};
	uint32_t removed = 0;
	end_helpers(r);
	install_engine_end(yg_take(r->engine));
	if (r->relay && r->in->mirror)
		install_mirror_forget(r->in->mirror);
	if (!r->relay && yg_store_drop_snapshot(r->in->store, &err) < 0)
		yg_log_err(YG_LOG_WARN, "store.snapshot", &err);
	if (!r->relay && r->run.changed && yg_store_collect(r->in->store, &removed, &err) < 0)
		yg_log_err(YG_LOG_WARN, "store.collect", &err);
	(void)yg_run_step(&r->run, YG_RUN_OK, NULL);
}

static void paused(void *ctx)
{
	struct install_run *r = ctx;
	(void)yg_run_step(&r->run, YG_RUN_DUE, NULL);
}

static void op_pause(void *ctx, int64_t ms)
{
	struct install_run *r = ctx;
	yg_timer_set(r->pause, ms);
}

static void op_phase(void *ctx, const char *phase)
{
	struct install_run *r = ctx;
	YG_LOGS(r->in->logs, log_file(r), YG_LOGS_DBG, "Update", "Phase %s (%s)", phase,
		yg_run_state_name(r->run.state));
	install_progress(r->in, r->job, phase, 0, 0);
}

static int64_t op_now_ms(void *ctx)
{
	(void)ctx;
	return yg_clock_mono_ms();
}

/* ---- the result ---- */

json_t *install_run_updated(const struct yg_set *from, const struct yg_set *to)
{
	json_t *list = json_array();
	for (size_t i = 0; to && i < to->count; i++) {
		const struct yg_manifest *now = to->components[i];
		const struct yg_manifest *old = from ? yg_set_component(from, now->component)
						     : NULL;
		int64_t version = old ? old->version : 0;
		if (version != now->version)
			(void)json_array_append_new(list,
				json_pack("{s:s, s:I, s:I}", "name", now->component, "from",
					(json_int_t)version, "to", (json_int_t)now->version));
	}
	return list;
}

/* What repair cannot fetch: objects of the set before, which the newest manifests do not name. */
static const char *after_repair(struct install_run *r, const struct install_waiter *waiter)
{
	struct yg_err why = {0};
	char roll[YG_SHA256_TEXT];
	if (!waiter->prefix)
		return "";
	yg_store_link(r->in->store, YG_STORE_ROLL, roll);
	if (!roll[0] || yg_store_check(r->in->store, roll, &why) == 0)
		return "";
	return "; the set before stays damaged, and cannot be gone back to";
}

static void answer(struct install_run *r, const struct install_waiter *waiter)
{
	char lib[YG_SHA256_TEXT];
	char text[YG_ERR_MSG_MAX + 512];
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	const char *set = r->relay ? install_mirror_set(r->in->mirror) : lib;
	if (!yg_str_put(text, sizeof(text), "%s%s%s%s", waiter->prefix ? waiter->prefix : "",
		    waiter->prefix && r->run.err.msg[0] ? "; " : "", r->run.err.msg,
		    after_repair(r, waiter)))
		memcpy(text, r->run.err.msg, sizeof(r->run.err.msg));
	json_t *updated = r->run.changed ? install_run_updated(r->from, r->set) : json_array();
	yg_ipc_reply(r->in->session, waiter->id,
		json_pack("{s:s, s:s, s:o, s:s, s:s}", "outcome",
			yg_job_outcome_name(r->run.outcome), "set", set, "updated", updated,
			"cause", r->run.err.cause, "sentence", text),
		NULL, 0);
}

static void waiter_free(struct install_waiter *waiter)
{
	json_decref(waiter->body);
	free(waiter->prefix);
	free(waiter);
}

static void run_free(struct install_run *r)
{
	end_helpers(r);
	yg_timer_free(r->pause);
	yg_timer_free(r->watchdog);
	while (r->waiters) {
		struct install_waiter *waiter = r->waiters;
		r->waiters = waiter->next;
		waiter_free(waiter);
	}
	if (r->transfer >= 0)
		(void)close(r->transfer);
	if (r->plain >= 0)
		(void)close(r->plain);
	yg_set_free(r->from);
	yg_set_free(r->set);
	free(r->items);
	json_decref(r->body);
	free(r);
}

static void tell_result(struct install_run *r)
{
	if (r->relay)
		return;
	if (r->run.outcome == YG_JOB_FAILED)
		install_event(r->in, 9101,
			json_pack("{s:s, s:s}", "cause", r->run.err.cause, "detail",
				r->run.err.msg));
	else if (r->run.changed)
		install_event(r->in, 9100,
			json_pack("{s:o, s:s}", "components", install_run_updated(r->from, r->set),
				"set", r->set->digest));
}

static void start_next(struct install *in);

static void op_done(void *ctx)
{
	struct install_run *r = ctx;
	struct install *in = r->in;
	yg_logs_finished(in->logs, log_file(r), r->run.err.cause);
	if (r->run.outcome == YG_JOB_FAILED)
		yg_log_err(YG_LOG_ERROR, "update.failed", &r->run.err);
	else
		yg_log(YG_LOG_INFO, "update.done", "%s: %s", r->relay ? "relay" : "agent",
			r->run.outcome == YG_JOB_CANCELLED ? "the newest set is held"
				: r->run.changed           ? "new content is live"
							   : "nothing was new");
	tell_result(r);
	in->run = NULL;
	install_changed(in); /* before the answer, which must not find the old status */
	for (const struct install_waiter *waiter = r->waiters; waiter; waiter = waiter->next)
		if (waiter->id && in->session)
			answer(r, waiter);
	run_free(r);
	install_live_ensure(in);
	start_next(in);
}

static const struct yg_run_ops ops = {
	.licence = op_licence,
	.snapshot = op_snapshot,
	.plan = op_plan,
	.fetch = op_fetch,
	.verify = op_verify,
	.stage = op_stage,
	.trial = op_trial,
	.swap = op_swap,
	.close = op_close,
	.pause = op_pause,
	.done = op_done,
	.phase = op_phase,
	.now_ms = op_now_ms,
};

/* ---- starting, joining, waiting ---- */

struct wish { /* what a request asks for; points into its body */
	const char *job, *aim, *kind;
	bool scheduled;
	int64_t tries, timeout_s, wait_s;
	json_t *sources;
};

static int parse_sources(struct wish *wish, struct yg_run_limits *limits, struct yg_err *err)
{
	for (size_t i = 0; i < json_array_size(wish->sources); i++) {
		const json_t *item = json_array_get(wish->sources, i);
		const char *url = NULL;
		const char *kind = NULL;
		if (yg_json_str(item, "url", 2048, &url, err) < 0 ||
			yg_json_str(item, "kind", 16, &kind, err) < 0)
			return yg_wrap(err, "sources[%zu]", i);
		bool relay = strcmp(kind, "relay") == 0;
		if (relay && limits->sources > 0)
			return yg_fail(err, YG_EFORMAT, "sources[%zu]: relays come before sources",
				i);
		if (relay)
			limits->relays++;
		else
			limits->sources++;
	}
	return 0;
}

static int parse_wish(const json_t *body, struct wish *wish, struct yg_err *err)
{
	if (yg_json_str_or(body, "job", 128, "", &wish->job, err) < 0 ||
		yg_json_str_or(body, "aim", YG_SHA256_TEXT - 1, "", &wish->aim, err) < 0 ||
		yg_json_str_or(body, "kind", 16, "agent", &wish->kind, err) < 0 ||
		yg_json_bool_or(body, "scheduled", false, &wish->scheduled, err) < 0 ||
		yg_json_int_or(body, "tries", 1, 100, 3, &wish->tries, err) < 0 ||
		yg_json_int_or(body, "timeout_s", 1, 3600, 60, &wish->timeout_s, err) < 0 ||
		yg_json_int_or(body, "wait_s", 0, 86400, WAIT_S, &wish->wait_s, err) < 0 ||
		yg_json_array(body, "sources", 64, &wish->sources, err) < 0)
		return -1;
	if (strcmp(wish->kind, "agent") != 0 && strcmp(wish->kind, "relay") != 0)
		return yg_fail(err, YG_EFORMAT, "kind: want agent or relay, have '%s'", wish->kind);
	return 0;
}

static void refuse(struct install *in, struct install_waiter *waiter, const struct yg_err *err)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	if (waiter->id && in->session)
		yg_ipc_reply(in->session, waiter->id,
			json_pack("{s:s, s:s, s:[], s:s, s:s}", "outcome", "failed", "set", lib,
				"updated", "cause", err->cause, "sentence", err->msg),
			NULL, 0);
	waiter_free(waiter);
}

static bool has_all_families(const json_t *body)
{
	const json_t *families = json_object_get(body, "families");
	return !families || json_array_size(families) >= 2;
}

static int set_up(struct install_run *r, const json_t *body, struct yg_err *err)
{
	struct wish wish = {0};
	struct yg_run_limits limits = {.backoff_ms = BACKOFF_MS, .poll_ms = POLL_MS};
	char lib[YG_SHA256_TEXT];
	struct yg_err why = {0};
	if (parse_wish(body, &wish, err) < 0 || parse_sources(&wish, &limits, err) < 0)
		return yg_wrap(err, "update.run");
	limits.tries = (uint32_t)wish.tries;
	limits.wait_ms = wish.wait_s * 1000;
	r->relay = strcmp(wish.kind, "relay") == 0;
	r->scheduled = wish.scheduled;
	r->all_families = has_all_families(body);
	r->job = wish.job;
	r->aim = wish.aim;
	r->sources = wish.sources;
	r->timeout_s = wish.timeout_s;
	if (r->relay && !r->in->mirror) {
		r->in->mirror = install_mirror_new(r->in->root, err);
		if (!r->in->mirror)
			return -1;
	}
	yg_store_link(r->in->store, YG_STORE_LIB, lib);
	r->from = lib[0] ? yg_store_set(r->in->store, lib, &why) : NULL;
	yg_run_init(&r->run, &limits, &ops, r);
	return 0;
}

static void start(struct install *in, struct install_waiter *waiter)
{
	struct yg_err err = {0};
	struct install_run *r = calloc(1, sizeof(*r));
	if (!r)
		abort(); /* the parent starts us again */
	r->in = in;
	r->transfer = -1;
	r->plain = -1;
	r->tuf_fd = -1;
	r->fetch = (struct helper){.run = r, .role = "fetch"};
	r->verify = (struct helper){.run = r, .role = "verify"};
	r->body = json_incref(waiter->body);
	r->pause = yg_loop_timer(in->env->loop, paused, r);
	r->watchdog = yg_loop_timer(in->env->loop, watchdog, r);
	if (set_up(r, r->body, &err) < 0) {
		run_free(r);
		refuse(in, waiter, &err);
		return;
	}
	waiter->next = NULL;
	r->waiters = waiter;
	in->run = r;
	YG_LOGS(in->logs, log_file(r), YG_LOGS_APP, "Update", "Start update, job %s%s%s", r->job,
		*r->aim ? ", aim " : "", r->aim);
	(void)yg_run_step(&r->run, YG_RUN_START, NULL);
}

static void start_next(struct install *in)
{
	while (in->queue && !in->run) {
		struct install_waiter *waiter = in->queue;
		in->queue = waiter->next;
		start(in, waiter);
	}
}

/* The same kind, and nothing newer than what runs aims at: its result is this one's too. */
static bool joins(const struct install_run *r, const struct wish *wish)
{
	return r->relay == (strcmp(wish->kind, "relay") == 0) &&
		(!*wish->aim || strcmp(wish->aim, r->aim) == 0 ||
			(r->set && strcmp(wish->aim, r->set->digest) == 0)) &&
		(!r->scheduled || wish->scheduled);
}

void install_run_ask(struct install *in, struct install_waiter *waiter)
{
	struct yg_err err = {0};
	struct wish wish = {0};
	if (parse_wish(waiter->body, &wish, &err) < 0) {
		refuse(in, waiter, &err);
		return;
	}
	if (in->back) {
		(void)yg_fail_cause(&err, YG_EAGAIN, "update.busy", "a rollback is running");
		refuse(in, waiter, &err);
		return;
	}
	if (!in->run) {
		start(in, waiter);
		return;
	}
	YG_LOGS(in->logs, log_file(in->run), YG_LOGS_APP, "Update", YG_LOGS_BUSY);
	if (joins(in->run, &wish)) {
		yg_log(YG_LOG_INFO, "update.joined", "job %s joins job %s, which is at '%s'",
			wish.job, in->run->job, yg_run_state_name(in->run->run.state));
		waiter->next = in->run->waiters;
		in->run->waiters = waiter;
		return;
	}
	struct install_waiter **at = &in->queue;
	while (*at)
		at = &(*at)->next;
	waiter->next = NULL;
	*at = waiter;
}

void install_run_session_gone(struct install *in)
{
	for (struct install_waiter *waiter = in->run ? in->run->waiters : NULL; waiter;
		waiter = waiter->next)
		waiter->id = 0;
	for (struct install_waiter *waiter = in->queue; waiter; waiter = waiter->next)
		waiter->id = 0;
}

void install_run_free(struct install *in)
{
	if (in->run)
		run_free(yg_take(in->run));
	while (in->queue) {
		struct install_waiter *waiter = in->queue;
		in->queue = waiter->next;
		waiter_free(waiter);
	}
}
