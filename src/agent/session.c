/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "proto/wire.h"

#define SPOOL_BYTES       (8u << 20)
#define SPOOL_ENTRIES     20000
#define MEMORY_LIMIT      (1ull << 30)
#define FILE_LIMIT        256
#define SETTLE_MS         10000 /* how long what install said before holds while it starts again */
#define EVENT_POLICY      2000
#define EVENT_STARTED     5000
#define EVENT_STOPPED     5003
#define EVENT_RESTARTED   3700
#define EVENT_DEACTIVATED 20108

/* ---- events ---- */

static void remember(struct session *s, const json_t *entry)
{
	(void)json_array_append(s->recent, (json_t *)(uintptr_t)entry);
	if (json_array_size(s->recent) > SESSION_RECENT_MAX)
		(void)json_array_remove(s->recent, 0);
}

static bool keep(struct session *s, json_t *entry)
{
	struct yg_err err = {0};
	if (spool_add(s->spool, entry, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "session.spool", &err);
		return false;
	}
	if (s->manager)
		manager_events(s->manager);
	return true;
}

void session_event(struct session *s, unsigned id, json_t *params)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	json_t *entry = json_pack("{s:s,s:i,s:s,s:o}", "kind", "event", "id", (int)id, "time", now,
		"params", params ? params : json_object());
	if (!entry) {
		yg_log(YG_LOG_ERROR, "session.event", "event %u has no text that can be kept", id);
		return;
	}
	remember(s, entry);
	(void)keep(s, entry);
}

bool session_result(struct session *s, json_t *entry)
{
	json_t *stored YG_AUTO(yg_json) = json_incref(entry);
	session_changed(s); /* first: the status goes ahead of the result */
	if (!keep(s, entry))
		return false;
	if (s->manager)
		manager_result(s->manager, stored);
	return true;
}

/* Recent events survive a restart as far as they are still in the spool. */
static void load_recent(struct session *s)
{
	json_t *list YG_AUTO(yg_json) = NULL;
	struct yg_err err = {0};
	size_t i;
	json_t *entry;
	if (spool_batch(s->spool, SPOOL_ENTRIES, 1u << 20, &list, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "session.spool", &err);
		return;
	}
	json_array_foreach(list, i, entry) if (json_is_integer(json_object_get(entry, "id")))
		remember(s, entry);
}

/* ---- who we are and how we are ---- */

static bool add_address(json_t *list, const struct ifaddrs *one)
{
	char text[INET6_ADDRSTRLEN] = "";
	const struct sockaddr *address = one->ifa_addr;
	if (!address || !(one->ifa_flags & IFF_UP))
		return false;
	if (address->sa_family == AF_INET)
		(void)inet_ntop(AF_INET,
			&((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
			sizeof(text));
	else if (address->sa_family == AF_INET6 &&
		!IN6_IS_ADDR_LINKLOCAL(
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr))
		(void)inet_ntop(AF_INET6,
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
			sizeof(text));
	if (text[0] && json_array_size(list) < 64)
		(void)json_array_append_new(list, json_string(text));
	return text[0] != 0;
}

/* Loopback only when there is nothing else: then all there is to reach is here. */
static json_t *find_addresses(void)
{
	struct ifaddrs *all = NULL;
	json_t *list = json_array();
	if (getifaddrs(&all) < 0)
		return list;
	for (const struct ifaddrs *one = all; one; one = one->ifa_next)
		if (!(one->ifa_flags & IFF_LOOPBACK))
			(void)add_address(list, one);
	for (const struct ifaddrs *one = all; one && json_array_size(list) == 0;
		one = one->ifa_next)
		(void)add_address(list, one);
	freeifaddrs(all);
	return list;
}

static void find_os(char *out, size_t size)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(65536);
	struct yg_err ignored = {0};
	(void)!yg_str_put(out, size, "Linux");
	int fd YG_AUTO(fd) = open("/etc/os-release", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || yg_fs_read_fd(fd, &text, &ignored) < 0 ||
		yg_buf_add(&text, "", 1, &ignored) < 0)
		return;
	const char *at = strstr((const char *)text.data, "PRETTY_NAME=\"");
	if (!at)
		return;
	at += strlen("PRETTY_NAME=\"");
	(void)!yg_str_put(out, size, "%.*s", (int)strcspn(at, "\"\n"), at);
}

json_t *session_hello(struct session *s, const char *name)
{
	json_t *hello = json_pack("{s:[i],s:s,s:s,s:s,s:s,s:[s,s,s],s:O}", "protocol",
		YG_WIRE_PROTOCOL, "version", YG_VERSION, "kind", "agent", "hostname",
		name && *name ? name : s->hostname, "os", s->os, "capabilities", "scan", "update",
		"rollback", "addresses", s->addresses);
	if (s->relay_wanted) {
		(void)json_object_set_new(hello, "roles", json_pack("[s]", "relay"));
		(void)json_object_set_new(hello, "relay_port",
			json_integer((json_int_t)s->relay_port));
	}
	return hello;
}

static json_t *part(const struct session *s, const char *name, json_t *preset)
{
	json_t *value = json_object_get(s->store, name);
	if (!value)
		return preset;
	json_decref(preset);
	return json_incref(value);
}

json_t *session_status(struct session *s)
{
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	json_t *engine = json_incref(s->engine_before);
	if (!engine && (s->install || s->store))
		engine = part(s, "engine", json_pack("{s:s,s:s}", "state", "none", "reason", ""));
	if (!engine)
		engine = json_pack("{s:s,s:s}", "state", "offline", "reason",
			"the install role does not run");
	json_t *update = session_task_say_update(s);
	const char *online = json_string_value(json_object_get(engine, "state"));
	const char *state = online && strcmp(online, "online") == 0 ? "protected"
		: json_is_object(update)                            ? "updating"
								    : "unprotected";
	json_t *relay = json_null();
	if (s->relay_wanted) {
		const char *set = json_string_value(
			json_object_get(json_object_get(s->store, "relay"), "set"));
		relay = json_pack("{s:s,s:s}", "set", set ? set : "", "state",
			s->relay_on ? "on" : "off");
	}
	return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "time", now, "epoch",
		spool_epoch(s->spool), "state", state, "components",
		part(s, "components", json_array()), "set", part(s, "set", json_string("")),
		"rollback_set", part(s, "rollback_set", json_string("")), "hold",
		part(s, "hold", json_null()), "policy_fingerprint",
		part(s, "policy_fingerprint", json_string("")), "engine", engine, "update", update,
		"relay", relay);
}

void session_changed(struct session *s)
{
	if (s->manager)
		manager_beat(s->manager);
}

/* ---- the Manager ---- */

static json_t *on_hello(void *ctx)
{
	struct session *s = ctx;
	return session_hello(s, s->identity->name);
}

static json_t *on_status(void *ctx)
{
	return session_status(ctx);
}

static void on_settings(void *ctx, const json_t *settings, const json_t *revoked)
{
	struct session *s = ctx;
	session_settings_came(s, settings, revoked);
	if (s->stale_until_ms) {
		s->stale_until_ms = 0;
		yg_timer_set(s->again, 0);
	}
}

static bool on_policy_wanted(void *ctx, const char *fingerprint)
{
	const struct session *s = ctx;
	const char *have = json_string_value(json_object_get(s->store, "policy_fingerprint"));
	const char *refused = json_string_value(json_object_get(s->store, "policy_refused"));
	return s->install && (!refused || strcmp(refused, fingerprint) != 0) && have &&
		strcmp(have, fingerprint) != 0 && strcmp(s->policy_refused, fingerprint) != 0 &&
		strcmp(s->policy_asked, fingerprint) != 0;
}

static void policy_applied(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)reply;
	struct session *s = ctx;
	if (err->code) {
		/* The same document would be refused again; after a lost channel it is worth a try. */
		if (err->code != YG_EAGAIN)
			(void)!yg_str_put(s->policy_refused, sizeof(s->policy_refused), "%s",
				s->policy_asked);
		yg_log(YG_LOG_WARN, "session.policy", "the last good policy stays: %s", err->msg);
	} else {
		session_event(s, EVENT_POLICY, json_pack("{s:s}", "fingerprint", s->policy_asked));
		if (s->store)
			(void)json_object_set_new(s->store, "policy_fingerprint",
				json_string(s->policy_asked));
	}
	s->policy_asked[0] = 0;
	session_changed(s);
}

void session_policy(struct session *s, const char *fingerprint, const json_t *policy)
{
	if (!s->install || s->policy_asked[0] ||
		!yg_str_put(s->policy_asked, sizeof(s->policy_asked), "%s", fingerprint))
		return;
	yg_ipc_request(s->install, "policy.apply",
		json_pack("{s:s,s:O}", "fingerprint", fingerprint, "policy", policy), NULL, 0,
		policy_applied, s);
}

static void on_policy(void *ctx, const char *fingerprint, const json_t *policy)
{
	session_policy(ctx, fingerprint, policy);
}

static bool on_command(void *ctx, const json_t *command)
{
	return session_task_command(ctx, command);
}

static void on_identity(void *ctx, struct identity *identity)
{
	struct session *s = ctx;
	struct yg_err err = {0};
	struct identity *owned YG_AUTO(identity) = identity;
	if (identity_save(s->identity_dir, owned, &err) < 0) {
		yg_log(YG_LOG_ERROR, "session.identity", "the one before stays: %s", err.msg);
		return;
	}
	yg_log(YG_LOG_INFO, "session.identity", "certificate or CAs were renewed");
	identity_free(s->next_identity);
	s->next_identity = yg_take(owned);
	yg_timer_set(s->remake, 0);
}

static void on_event(void *ctx, unsigned id, json_t *params)
{
	session_event(ctx, id, params);
}

static const struct manager_ops manager_ops = {on_hello, on_status, on_settings, on_policy_wanted,
	on_policy, on_command, on_identity, on_event};

const struct yg_proxy *session_proxy(const struct session *s, struct yg_proxy *out)
{
	const json_t *proxy = json_object_get(json_object_get(s->env->config, "proxy"), "manager");
	if (!json_is_object(proxy))
		return NULL;
	const char *user = json_string_value(json_object_get(proxy, "user"));
	out->url = json_string_value(json_object_get(proxy, "url"));
	out->user = user && *user ? user : NULL;
	out->password = json_string_value(json_object_get(proxy, "password"));
	return out;
}

/* Begin the conversation anew with the identity that we have now. */
static void remake(void *ctx)
{
	struct session *s = ctx;
	struct yg_err err = {0};
	struct yg_proxy proxy;
	manager_free(yg_take(s->manager));
	if (s->next_identity) {
		/* Read back: what was stored is what counts, also for its dates. */
		identity_free(yg_take(s->next_identity));
		identity_free(yg_take(s->identity));
		if (identity_load(s->identity_dir, &s->identity, &err) < 0)
			yg_log_err(YG_LOG_ERROR, "session.identity", &err);
	}
	if (s->forget) {
		s->forget = false;
		session_event(s, EVENT_DEACTIVATED, NULL);
		identity_free(yg_take(s->identity));
		if (identity_forget(s->identity_dir, &err) < 0)
			yg_log_err(YG_LOG_ERROR, "session.identity", &err);
		session_settings_forget(s);
	}
	if (!s->identity)
		return;
	s->manager = manager_new(s->env->loop, s->identity, s->spool, session_proxy(s, &proxy),
		&manager_ops, s, &err);
	if (!s->manager)
		yg_log_err(YG_LOG_ERROR, "session.manager", &err);
	session_relay_settle(s);
	session_relay_serve(s);
}

/* ---- links ---- */

/* Begin to speak to the Manager, unless we do. */
static void speak(struct session *s)
{
	if (!s->manager)
		yg_timer_set(s->remake, 0);
}

/* The engine outlives install, which needs a moment to find it again; without a reason it is neither
 * lost nor refused, but on its way.
 */
static bool engine_comes(const struct session *s)
{
	const json_t *engine = json_object_get(s->store, "engine");
	const char *state = json_string_value(json_object_get(engine, "state"));
	const char *reason = json_string_value(json_object_get(engine, "reason"));
	return state && reason && strcmp(state, "offline") == 0 && !*reason;
}

static void store_taken(struct session *s, json_t *body)
{
	json_decref(s->store);
	s->store = json_incref(body);
	s->store_fresh = true;
	if (!engine_comes(s))
		json_decref(yg_take(s->engine_before));
	speak(s);
	session_changed(s);
	session_task_pump(s);
}

/* Install had its time to come (back): now what is, is said. */
static void settled(void *ctx)
{
	struct session *s = ctx;
	json_decref(yg_take(s->engine_before));
	if (!s->store_fresh)
		json_decref(yg_take(s->store));
	speak(s);
	session_changed(s);
}

static void install_gone(struct session *s)
{
	s->install = NULL;
	s->store_fresh = false;
	if (!s->engine_before)
		s->engine_before = json_incref(json_object_get(s->store, "engine"));
	yg_timer_set(s->settled, SETTLE_MS);
}

static void store_known(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	if (err->code)
		yg_log_err(YG_LOG_WARN, "session.store", err);
	else
		store_taken(ctx, reply->body);
}

static void got_changed(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	store_taken(ctx, msg->body);
}

static void got_progress(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	session_task_say_phase(ctx, msg->body);
}

static void got_joined(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	session_task_say_joined(ctx, msg->body);
}

static void got_event(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	int64_t id = 0;
	json_t *params = NULL;
	struct yg_err err = {0};
	if (yg_json_int(msg->body, "id", 1, 99999, &id, &err) < 0 ||
		(json_object_get(msg->body, "params") &&
			yg_json_object(msg->body, "params", &params, &err) < 0))
		yg_log_err(YG_LOG_WARN, "session.event", &err);
	else
		session_event(ctx, (unsigned)id, json_incref(params));
}

static void got_scan(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	session_task_say_scan(ctx, msg->name, msg->body);
}

static const struct yg_ipc_handler install_handlers[] = {
	{"store.changed", got_changed},
	{"update.progress", got_progress},
	{"update.joined", got_joined},
	{"update.event", got_event},
	{0},
};
static const struct yg_ipc_handler walk_handlers[] = {
	{"scan.found", got_scan},
	{"scan.unjudged", got_scan},
	{"scan.progress", got_scan},
	{0},
};
static const struct yg_ipc_handler relay_handlers[] = {{0}};

static void link_gone(void *ctx, struct yg_ipc *ipc)
{
	struct session *s = ctx;
	if (ipc == s->install) {
		install_gone(s);
	} else if (ipc == s->walk) {
		s->walk = NULL;
	} else if (ipc == s->relay) {
		session_relay_gone(s);
	}
	yg_ipc_free(ipc);
	session_changed(s);
	yg_timer_set(s->again, 0);
}

void session_link(void *self, const char *peer, const char *tag, int fd)
{
	struct session *s = self;
	struct yg_err err = {0};
	const struct {
		const char *name;
		struct yg_ipc **at;
		const struct yg_ipc_handler *handlers;
	} peers[] = {{"install", &s->install, install_handlers}, {"walk", &s->walk, walk_handlers},
		{"relay", &s->relay, relay_handlers}};
	size_t i = 0;
	if (strcmp(peer, "fetch") == 0 && session_probe_link(s, tag, fd))
		return;
	while (i < YG_COUNT(peers) && strcmp(peers[i].name, peer) != 0)
		i++;
	if (i == YG_COUNT(peers)) {
		yg_log(YG_LOG_WARN, "session.link", "a link to '%s' is not wanted", peer);
		(void)close(fd);
		return;
	}
	/* An older channel ends by itself, its other side being dead; then its tasks start anew. */
	*peers[i].at = yg_ipc_new(s->env->loop, fd, peer, peers[i].handlers, link_gone, s, &err);
	if (!*peers[i].at)
		yg_log_err(YG_LOG_ERROR, "session.link", &err);
	else if (s->install && peers[i].at == &s->install)
		yg_ipc_request(s->install, "store.status", NULL, NULL, 0, store_known, s);
	else if (peers[i].at == &s->relay)
		session_relay_serve(s);
	session_task_pump(s);
}

/* ---- start and stop ---- */

int session_confine(int identity, int state, const char *user, struct yg_err *err)
{
	const struct yg_sandbox_path paths[] = {{.fd = identity, .write = true},
		{.fd = state, .write = true}};
	const struct yg_sandbox box = {
		.syscalls = YG_SYS_FILES | YG_SYS_CONNECT | YG_SYS_THREADS,
		.user = user && *user ? user : NULL,
		.memory_max = MEMORY_LIMIT,
		.files_max = FILE_LIMIT,
		.paths = paths,
		.path_count = YG_COUNT(paths),
	};
	return yg_sandbox_enter(&box, err);
}

static void again(void *ctx)
{
	session_task_pump(ctx);
}

static void activation_over(void *ctx)
{
	struct session *s = ctx;
	activate_free(yg_take(s->activation));
}

static int open_state(struct session *s, struct yg_err *err)
{
	const struct spool_limits limits = {.bytes = SPOOL_BYTES, .entries = SPOOL_ENTRIES};
	if (identity_load(s->identity_dir, &s->identity, err) < 0 && err->code != YG_EABSENT)
		yg_log(YG_LOG_ERROR, "session.identity", "not activated: %s", err->msg);
	*err = (struct yg_err){0};
	session_settings_load(s);
	session_last_load(s);
	s->spool = spool_open(s->state_dir, &limits, err);
	s->jobs = s->spool ? jobs_open(s->state_dir, err) : NULL;
	return s->jobs ? 0 : -1;
}

static int open_all(struct session *s, struct yg_err *err)
{
	struct yg_role_env *env = s->env;
	json_t *relay = json_object_get(env->config, "relay");
	const char *host = NULL;
	const char *user = NULL;
	if (env->fd_count != 3)
		return yg_fail(err, YG_EFORMAT, "want 3 descriptors, have %zu", env->fd_count);
	if (yg_json_str_or(env->config, "hostname", 255, "localhost", &host, err) < 0 ||
		yg_json_str_or(env->config, "user", 64, "", &user, err) < 0)
		return -1;
	(void)!yg_str_put(s->hostname, sizeof(s->hostname), "%s", *host ? host : "localhost");
	s->relay_turned = -1;
	s->relay_port = json_integer_value(json_object_get(relay, "port"));
	s->identity_dir = env->fds[1];
	s->state_dir = env->fds[2];
	s->addresses = find_addresses();
	s->recent = json_array();
	find_os(s->os, sizeof(s->os));
	if (session_confine(s->identity_dir, s->state_dir, user, err) < 0 || open_state(s, err) < 0)
		return -1;
	s->remake = yg_loop_timer(env->loop, remake, s);
	s->again = yg_loop_timer(env->loop, again, s);
	s->settled = yg_loop_timer(env->loop, settled, s);
	s->activation_end = yg_loop_timer(env->loop, activation_over, s);
	session_relay_settle(s);
	s->control = control_new(env->loop, env->fds[0], session_ask_verbs, s, err);
	return s->control ? 0 : -1;
}

int session_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return yg_fail_sys(err, ENOMEM, "starting");
	s->env = env;
	if (open_all(s, err) < 0)
		return -1; /* the process ends now */
	*self = s;
	load_recent(s);
	int64_t restarts = json_integer_value(json_object_get(env->config, "restarts"));
	if (restarts > 0)
		session_event(s, EVENT_RESTARTED, json_pack("{s:s}", "process", "session"));
	else
		session_event(s, EVENT_STARTED, json_pack("{s:s}", "version", YG_VERSION));
	session_task_resume(s);
	yg_timer_set(s->settled, SETTLE_MS); /* until then install has said how this computer is */
	yg_role_ready(env);
	return 0;
}

void session_stop(void *self)
{
	struct session *s = self;
	if (!s)
		return;
	manager_free(yg_take(s->manager));
	session_event(s, EVENT_STOPPED, NULL);
	session_probe_free(s);
	session_task_free(s);
	control_free(s->control);
	activate_free(s->activation);
	yg_ipc_free(s->install);
	yg_ipc_free(s->walk);
	yg_ipc_free(s->relay);
	yg_timer_free(s->remake);
	yg_timer_free(s->again);
	yg_timer_free(s->settled);
	yg_timer_free(s->activation_end);
	spool_free(s->spool);
	jobs_free(s->jobs);
	identity_free(s->identity);
	identity_free(s->next_identity);
	json_decref(s->store);
	json_decref(s->engine_before);
	json_decref(s->settings);
	json_decref(s->revoked);
	json_decref(s->last);
	json_decref(s->addresses);
	json_decref(s->recent);
	free(s);
}
