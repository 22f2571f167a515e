/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/install.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/install_impl.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"

#define EVENTS_MAX 64        /* that wait for session */
#define LOG_SIZE   (4 << 20) /* bytes of each update log */
#define LOG_KEEP   4         /* old files of each */

/* ---- telling session ---- */

void install_event(struct install *in, int id, json_t *params)
{
	struct yg_err err = {0};
	json_t *body = json_pack("{s:i, s:o}", "id", id, "params", params ? params : json_object());
	if (in->session) {
		if (yg_ipc_send(in->session, "update.event", body, NULL, 0, &err) < 0)
			yg_log_err(YG_LOG_WARN, "install.event", &err);
	} else if (json_array_size(in->events) < EVENTS_MAX) {
		(void)json_array_append_new(in->events, body);
	} else {
		json_decref(body);
	}
}

static void flush_events(struct install *in)
{
	json_t *events YG_AUTO(yg_json) = in->events;
	in->events = json_array();
	for (size_t i = 0; i < json_array_size(events); i++) {
		struct yg_err err = {0};
		if (yg_ipc_send(in->session, "update.event", json_incref(json_array_get(events, i)),
			    NULL, 0, &err) < 0)
			yg_log_err(YG_LOG_WARN, "install.event", &err);
	}
}

void install_changed(struct install *in)
{
	struct yg_err err = {0};
	if (in->session &&
		yg_ipc_send(in->session, "store.changed", install_status(in), NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.changed", &err);
}

void install_progress(struct install *in, const char *job, const char *phase, int64_t done,
	int64_t of, const json_t *more)
{
	struct yg_err err = {0};
	if (!in->session)
		return;
	json_t *body = json_pack("{s:s, s:s, s:I, s:I}", "job", job, "phase", phase, "done",
		(json_int_t)done, "of", (json_int_t)of);
	if (more)
		(void)json_object_update_missing(body, (json_t *)(uintptr_t)more);
	if (yg_ipc_send(in->session, "update.progress", body, NULL, 0, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.progress", &err);
}

json_t *install_components(struct install *in, const char *digest)
{
	struct yg_err err = {0};
	json_t *list = json_array();
	struct yg_set *set YG_AUTO(yg_set) = *digest ? yg_store_set(in->store, digest, &err) : NULL;
	for (size_t i = 0; set && i < set->count; i++)
		(void)json_array_append_new(list,
			json_pack("{s:s, s:I}", "name", set->components[i]->component, "version",
				(json_int_t)set->components[i]->version));
	return list;
}

json_t *install_status(struct install *in)
{
	char lib[YG_SHA256_TEXT];
	char roll[YG_SHA256_TEXT];
	struct yg_store_hold hold;
	yg_store_link(in->store, YG_STORE_LIB, lib);
	yg_store_link(in->store, YG_STORE_ROLL, roll);
	yg_store_hold(in->store, &hold);
	json_t *held = hold.set[0] ? json_pack("{s:s, s:s}", "set", hold.set, "since", hold.since)
				   : json_null();
	json_t *relay = in->mirror
		? json_pack("{s:s, s:s}", "set", install_mirror_set(in->mirror), "state", "on")
		: json_null();
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:o}", "set", lib,
		"rollback_set", roll, "hold", held, "components", install_components(in, lib),
		"engine", install_live_status(in), "relay", relay, "policy_fingerprint",
		in->policy.fingerprint, "policy_refused", in->policy.refused, "alarms",
		install_alarm_status(in));
}

/* ---- what session asks for ---- */

static void on_status(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	yg_ipc_reply(ipc, msg->id, install_status(ctx), NULL, 0);
}

static struct install_waiter *new_waiter(const struct yg_ipc_msg *msg)
{
	struct install_waiter *waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		abort(); /* the parent starts us again */
	waiter->id = msg->id;
	waiter->body = json_incref(msg->body);
	waiter->bundle = -1;
	return waiter;
}

static void on_update(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct install_waiter *waiter = new_waiter(msg);
	if (msg->fd_count > 0)
		waiter->bundle = yg_take_fd(msg->fds[0]);
	install_run_ask(ctx, waiter);
}

static void on_cancel(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	const char *job = NULL;
	struct yg_err err = {0};
	if (yg_json_str(msg->body, "job", 128, &job, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.cancel", &err);
	else
		install_run_ask_cancel(ctx, job);
}

static void reply_outcome(struct install *in, uint32_t id, const struct yg_err *err,
	const char *sentence)
{
	char lib[YG_SHA256_TEXT];
	yg_store_link(in->store, YG_STORE_LIB, lib);
	if (in->session && id)
		yg_ipc_reply(in->session, id,
			json_pack("{s:s, s:s, s:s, s:s}", "outcome",
				err->code ? "failed" : "success", "set", lib, "cause", err->cause,
				"sentence", sentence),
			NULL, 0);
}

static void rolled_back(void *ctx, const struct yg_err *err)
{
	struct install_asked *asked = ctx;
	struct install *in = asked->in;
	if (err->code)
		yg_log_err(YG_LOG_WARN, "rollback.failed", err);
	install_changed(in);
	if (asked->session == in->session)
		reply_outcome(in, asked->id, err, err->msg);
	install_asked_free(asked);
	install_live_ensure(in);
}

static void on_rollback(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct install_asked *asked = install_asked_new(ctx, NULL);
	asked->session = ipc;
	asked->id = msg->id;
	install_back_start(ctx, "rollback", rolled_back, asked);
}

static void on_release(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct install *in = ctx;
	struct yg_err err = {0};
	struct yg_store_hold hold;
	yg_store_hold(in->store, &hold);
	if (hold.set[0] && yg_store_hold_clear(in->store, &err) == 0)
		install_event(in, 20104,
			json_pack("{s:s, s:s}", "set", hold.set, "reason", "command"));
	install_changed(in);
	reply_outcome(in, msg->id, &err,
		err.code              ? err.msg
			: hold.set[0] ? "the hold is released"
				      : "nothing was held");
}

/* What a relay serves. Returns `out`, or "" when nothing is served. */
static const char *repair_mirror(struct install *in, char *out, size_t size)
{
	if (!in->mirror)
		return "";
	install_mirror_object_check(in->mirror);
	const struct install_mirror_damage found = install_mirror_object_damage(in->mirror);
	if (found.count > 0)
		install_event(in, 20105,
			json_pack("{s:s, s:s, s:I}", "path", found.path, "object", found.object,
				"count", (json_int_t)found.count));
	(void)!yg_str_put(out, size,
		"; relay: %u objects read, %u damaged removed, which the relay's next update fetches",
		found.checked, found.count);
	return out;
}

static int repair(struct install *in, struct yg_store_report *report, char *text, size_t size,
	struct yg_err *err)
{
	char served[128] = "";
	if (in->run || in->back)
		return yg_fail_cause(err, YG_EAGAIN, "update.busy",
			in->run ? "an update is running: repair when it has ended"
				: "a rollback is running: repair when it has ended");
	if (yg_store_repair(in->store, report, err) < 0)
		return -1;
	if (!yg_str_put(text, size,
		    "%u sets, %u files read: %u taken back, %u linked again, %u damaged removed, "
		    "%u missing, %u left-overs removed%s",
		    report->sets, report->checked, report->adopted, report->relinked,
		    report->dropped, report->missing, report->leftovers,
		    repair_mirror(in, served, sizeof(served))))
		return yg_fail(err, YG_ELIMIT, "the report is too long");
	YG_LOGS(in->logs, YG_LOGS_IAU, YG_LOGS_APP, "Repair", "%s", text);
	return 0;
}

static void on_repair(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	struct install *in = ctx;
	struct yg_err err = {0};
	struct yg_store_report report = {0};
	char text[512] = "";
	if (repair(in, &report, text, sizeof(text), &err) < 0) {
		reply_outcome(in, msg->id, &err, err.msg);
		return;
	}
	if (report.first[0]) {
		char *space = strrchr(report.first, ' ');
		const char *object = space ? space + 1 : "";
		if (space)
			*space = 0;
		install_event(in, 20105,
			json_pack("{s:s, s:s}", "path", report.first, "object", object));
	}
	install_changed(in);
	install_live_ensure(in);
	if (report.missing > 0 && json_array_size(json_object_get(msg->body, "sources")) > 0) {
		struct install_waiter *waiter = new_waiter(msg);
		waiter->prefix = strdup(text);
		install_run_ask(in, waiter);
		return;
	}
	if (report.missing > 0)
		(void)yg_fail_cause(&err, YG_EABSENT, "store.missing", "%s", text);
	reply_outcome(in, msg->id, &err, text);
}

static void on_policy(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	install_policy_apply(ctx, msg->id, msg->body);
}

static const struct yg_ipc_handler from_session[] = {
	{"update.run", on_update},
	{"update.cancel", on_cancel},
	{"rollback.run", on_rollback},
	{"hold.release", on_release},
	{"repair.run", on_repair},
	{"store.status", on_status},
	{"policy.apply", on_policy},
	{0},
};
static const struct yg_ipc_handler from_others[] = {{0}};

/* ---- links ---- */

static void peer_gone(void *ctx, struct yg_ipc *ipc)
{
	struct install *in = ctx;
	if (ipc == in->session) {
		in->session = NULL;
		install_run_ask_gone(in);
	} else if (ipc == in->walk) {
		in->walk = NULL;
	} else if (ipc == in->relay) {
		in->relay = NULL;
	}
	yg_ipc_free(ipc);
}

static void link_peer(struct install *in, struct yg_ipc **at, const char *peer, int fd,
	const struct yg_ipc_handler *handlers)
{
	struct yg_err err = {0};
	yg_ipc_free(*at);
	*at = yg_ipc_new(in->env->loop, fd, peer, handlers, peer_gone, in, &err);
	if (!*at)
		yg_log_err(YG_LOG_ERROR, "install.link", &err);
}

void install_link(void *self, const char *peer, const char *tag, int fd)
{
	struct install *in = self;
	int owned YG_AUTO(fd) = fd;
	if (strcmp(peer, "session") == 0) {
		install_run_ask_gone(in);
		link_peer(in, &in->session, peer, yg_take_fd(owned), from_session);
		if (in->session) {
			flush_events(in);
			install_changed(in);
		}
	} else if (strcmp(peer, "walk") == 0) {
		link_peer(in, &in->walk, peer, yg_take_fd(owned), from_others);
		install_live_join(in);
	} else if (strcmp(peer, "relay") == 0) {
		link_peer(in, &in->relay, peer, yg_take_fd(owned), from_others);
	} else if (strcmp(peer, "am") == 0) {
		struct install_engine *engine = install_engine_find(in, tag);
		if (engine)
			install_engine_link(engine, yg_take_fd(owned));
	} else {
		install_run_helper_link(in, peer, tag, yg_take_fd(owned));
	}
}

/* ---- start and stop ---- */

int install_confine(int root, struct yg_err *err)
{
	const struct yg_sandbox_path paths[] = {{.fd = root, .write = true}};
	return yg_sandbox_enter(&(struct yg_sandbox){.syscalls = YG_SYS_FILES,
					.files_max = 1024,
					.paths = paths,
					.path_count = YG_COUNT(paths)},
		err);
}

static int open_logs(struct install *in, struct yg_err *err)
{
	const json_t *given = json_object_get(in->env->config, "logs");
	int64_t size = LOG_SIZE, files = LOG_KEEP;
	if (given &&
		(yg_json_int(given, "size", 1, INT32_MAX, &size, err) < 0 ||
			yg_json_int(given, "files", 0, 99, &files, err) < 0))
		return yg_wrap(err, "logs");
	int dir YG_AUTO(fd) = yg_fs_open_dir(in->root, "iaulogs", err);
	if (dir < 0)
		return -1;
	in->logs = yg_logs_new(dir, YG_LOGS_APP, size, (int)files, err);
	return in->logs ? 0 : -1;
}

static int recover(struct install *in, struct yg_err *err)
{
	struct yg_store_report report = {0};
	struct yg_store_hold hold;
	char lib[YG_SHA256_TEXT];
	if (yg_store_recover(in->store, &report, err) < 0)
		return -1;
	yg_log(YG_LOG_INFO, "store.recovered",
		"%s; %u sets, %u files read: %u taken back, %u linked again, %u damaged removed, %u missing, %u left-overs removed",
		report.links, report.sets, report.checked, report.adopted, report.relinked,
		report.dropped, report.missing, report.leftovers);
	if (report.dropped + report.missing > 0)
		yg_log(YG_LOG_WARN, "store.damaged", "first damaged: %s", report.first);
	/* A rollback that was cut off between its hold and its rename did not happen. */
	yg_store_link(in->store, YG_STORE_LIB, lib);
	yg_store_hold(in->store, &hold);
	if (hold.set[0] && strcmp(hold.set, lib) == 0)
		return yg_store_hold_clear(in->store, err);
	return 0;
}

static int open_mirror(struct install *in, struct yg_err *err)
{
	struct yg_err why = {0};
	int state YG_AUTO(fd) = yg_fs_open(in->root, "state/relay.json", &why);
	if (state < 0)
		return 0;
	in->mirror = install_mirror_new(in->root, err);
	return in->mirror ? 0 : -1;
}

static int start(struct install *in, struct yg_err *err)
{
	struct yg_role_env *env = in->env;
	if (env->fd_count < 1)
		return yg_fail(err, YG_EFORMAT,
			"no descriptor of the agent's folder came with the config");
	in->root = yg_take_fd(env->fds[0]);
	if (env->fd_count > 1)
		in->installed_root = yg_take_fd(env->fds[1]);
	tzset(); /* the logs have local times, and /etc is out of reach below */
	if (install_confine(in->root, err) < 0)
		return -1;
	in->store = yg_store_open(in->root, err);
	if (!in->store || recover(in, err) < 0 || open_logs(in, err) < 0 ||
		open_mirror(in, err) < 0)
		return -1;
	install_policy_load(in);
	install_live_init(in);
	install_live_ensure(in);
	return 0;
}

int install_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct install *in = calloc(1, sizeof(*in));
	if (!in)
		return yg_fail_sys(err, ENOMEM, "starting");
	in->env = env;
	in->root = -1;
	in->installed_root = -1;
	in->events = json_array();
	in->later = json_object();
	*self = in;
	if (start(in, err) < 0)
		return -1;
	yg_role_ready(env);
	return 0;
}

void install_stop(void *self)
{
	struct install *in = self;
	if (!in)
		return;
	install_run_ask_free(in);
	install_back_free(in);
	install_engine_free_all(in);
	install_asked_lost(in, NULL);
	install_live_done(in);
	yg_ipc_free(in->session);
	yg_ipc_free(in->walk);
	yg_ipc_free(in->relay);
	install_mirror_free(in->mirror);
	yg_logs_free(in->logs);
	yg_store_free(in->store);
	json_decref(in->policy.engine);
	json_decref(in->policy.before);
	json_decref(in->events);
	json_decref(in->alarms);
	json_decref(in->later);
	if (in->root >= 0)
		(void)close(in->root);
	if (in->installed_root >= 0)
		(void)close(in->installed_root);
	free(in);
}
