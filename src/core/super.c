/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/super.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "core/super_ring.h"

#define DELAY_FIRST_MS 100
#define DELAY_MAX_MS   30000
#define HEALTHY_MS     10000 /* a life this long resets the delay */
#define KILL_AFTER_MS  5000
#define TAG_MAX        128 /* bytes */
#define ROLES_MAX      32  /* of a table */

/* One process, or the place of a standing role that has none at the moment. */
struct node {
	struct yg_super *super;
	const struct yg_super_role *role;
	struct node *next;
	char tag[TAG_MAX + 1];
	char label[TAG_MAX + 40]; /* "am:0123…" for logs */
	struct node *asker;       /* of an instance; NULL: orphaned */

	pid_t pid; /* 0: not running */
	int pidfd;
	struct yg_watch *exited;
	struct yg_ipc *ipc;
	bool on; /* standing: configuration wants it */
	bool ready;
	bool ending; /* was told to end */
	int64_t since_s, since_ms;
	int64_t delay_ms;
	int64_t restarts;
	int ring;               /* descriptor of its ring, or -1 */
	int slot;               /* of the ring, among the living of the same role */
	enum yg_level level;    /* what it was told; 0: nothing */
	struct yg_timer *again; /* start it again */
	struct yg_timer *kill;  /* it had its time to end */
};

struct yg_super {
	struct yg_loop *loop;
	const struct yg_super_role *roles;
	yg_super_config *config;
	void *ctx;
	struct node *nodes;
	int rings;                       /* folder; borrowed; -1: none */
	enum yg_level levels[ROLES_MAX]; /* by place in the table; 0: as configured */
	bool stopping;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	void (*ready)(void *ctx);
	void *ready_ctx;
	void (*turn)(void *ctx, const char *role, int on);
	void *turn_ctx;
	struct yg_timer
		*soon; /* calls `stopped` or `ready` from the loop, never from inside a call */
};

static const struct yg_ipc_handler handlers[];
static void node_exited(void *ctx, unsigned what);
static void node_gone(void *ctx, struct yg_ipc *ipc);

static const struct yg_super_role *role_of(const struct yg_super *super, const char *name)
{
	for (const struct yg_super_role *role = super->roles; role->name; role++)
		if (strcmp(role->name, name) == 0)
			return role;
	return NULL;
}

static struct node *find(const struct yg_super *super, const char *role, const char *tag)
{
	for (struct node *node = super->nodes; node; node = node->next)
		if (strcmp(node->role->name, role) == 0 && strcmp(node->tag, tag) == 0)
			return node;
	return NULL;
}

static bool names(const char *const *list, const char *name)
{
	for (size_t i = 0; i < YG_SUPER_PEERS_MAX && list[i]; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/* ---- finding and starting programs ---- */

static bool helper_at(const char *folder, const char *more, const char *program, char *out,
	size_t size)
{
	const char *slash = strrchr(folder, '/');
	return slash &&
		yg_str_put(out, size, "%.*s/%s%s", (int)(slash - folder), folder, more, program) &&
		access(out, X_OK) == 0;
}

int yg_super_helper(const char *program, char *out, size_t size, struct yg_err *err)
{
	char self[4096];
	const char *started_as = (const char *)getauxval(AT_EXECFN);
	if (started_as && helper_at(started_as, "", program, out, size))
		return 0;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = 0;
		if (helper_at(self, "", program, out, size) ||
			helper_at(self, "../../bin/", program, out, size))
			return 0;
	}
	if (yg_str_put(out, size, "%s/%s", YG_LIBEXECDIR, program) && access(out, X_OK) == 0)
		return 0;
	return yg_fail(err, YG_EABSENT, "'%s': no such program beside this one or in %s", program,
		YG_LIBEXECDIR);
}

/* Out of the way of the numbers that a role finds things at. */
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, YG_SUPER_RING_FD + 1);
}

static _Noreturn void exec_role(const char *path, const char *role, int channel, int ring,
	pid_t parent)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	/* Nothing of ours outlives us; if we died before this line, nobody would tell. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(126);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		_exit(126);
	int high = lift(channel);
	int high_ring = ring < 0 ? -1 : lift(ring);
	if (high < 0 || dup2(high, YG_SUPER_FD) < 0)
		_exit(126);
	bool with_ring = high_ring >= 0 && dup2(high_ring, YG_SUPER_RING_FD) >= 0;
	if (close_range(with_ring ? YG_SUPER_RING_FD + 1 : YG_SUPER_FD + 1, ~0u, 0) < 0)
		_exit(126);
	const char *const argv[] = {path, "--role", role, NULL};
	(void)execv(path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int node_fork(struct node *node, const char *path, int channel, struct yg_err *err)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return yg_fail_sys(err, errno, "fork");
	if (pid == 0)
		exec_role(path, node->role->name, channel, node->ring, parent);
	node->pidfd = pidfd_open(pid, 0);
	if (node->pidfd < 0) {
		int sys = errno;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return yg_fail_sys(err, sys, "pidfd_open");
	}
	node->pid = pid;
	return 0;
}

/* ---- rings ---- */

static int free_slot(const struct node *node)
{
	for (int slot = 0; slot < YG_SUPER_INSTANCES_MAX; slot++) {
		const struct node *other = node->super->nodes;
		while (other &&
			!(other != node && other->role == node->role && other->pid &&
				other->slot == slot))
			other = other->next;
		if (!other)
			return slot;
	}
	return -1;
}

static void open_ring(struct node *node)
{
	node->slot = free_slot(node);
	if (node->super->rings >= 0 && node->slot >= 0)
		node->ring = super_ring_open(node->super->rings, node->role->name,
			node->role->instance ? node->slot : -1);
}

static void close_ring(struct node *node)
{
	if (node->ring >= 0)
		(void)close(yg_take_fd(node->ring));
}

void yg_super_rings(struct yg_super *super, int dir)
{
	super->rings = dir;
}

/* Start the process and open its channel. Nothing is sent yet. */
static int node_start(struct node *node, struct yg_err *err)
{
	char path[4096];
	if (yg_super_helper(node->role->program, path, sizeof(path), err) < 0)
		return -1;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return yg_fail_sys(err, errno, "making a channel");
	int ours YG_AUTO(fd) = pair[0];
	int theirs YG_AUTO(fd) = pair[1];
	open_ring(node);
	if (node_fork(node, path, theirs, err) < 0) {
		close_ring(node);
		return -1;
	}
	node->since_s = yg_clock_now_s();
	node->since_ms = yg_clock_mono_ms();
	node->ready = node->ending = false;
	node->exited = yg_loop_watch(node->super->loop, node->pidfd, YG_LOOP_READ, node_exited,
		node);
	node->ipc = yg_ipc_new(node->super->loop, yg_take_fd(ours), node->label, handlers,
		node_gone, node, err);
	if (!node->ipc) {
		(void)kill(node->pid, SIGKILL); /* node_exited tidies up */
		return -1;
	}
	return 0;
}

static void node_send(struct node *node, const char *name, json_t *body, const int *fds,
	size_t count)
{
	struct yg_err err = {0};
	if (!node->ipc) {
		json_decref(body);
		return;
	}
	if (yg_ipc_send(node->ipc, name, body, fds, count, &err) < 0)
		yg_log_err(YG_LOG_WARN, "super.send", &err);
}

static void send_config(struct node *node, json_t *config, const int *fds, size_t count)
{
	enum yg_level level = node->super->levels[node->role - node->super->roles];
	if (level)
		(void)json_object_set_new(config, "log_level",
			json_string(yg_log_level_name(level)));
	const char *told = json_string_value(json_object_get(config, "log_level"));
	struct yg_err ignored = {0};
	if (!told || yg_log_level_parse(told, &node->level, &ignored) < 0)
		node->level = YG_LOG_INFO; /* what a role begins with */
	(void)json_object_set_new(config, "role", json_string(node->role->name));
	(void)json_object_set_new(config, "tag", json_string(node->tag));
	node_send(node, "config", config, fds, count);
}

/* Join two living processes by a new pair; each side takes it in place of an older one. */
static void join(struct node *a, struct node *b)
{
	int pair[2];
	if (!a->ipc || !b->ipc || a->ending || b->ending)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		yg_log(YG_LOG_ERROR, "super.link", "%s and %s: %s", a->label, b->label,
			strerrordesc_np(errno));
		return;
	}
	node_send(a, "link", json_pack("{s:s,s:s}", "peer", b->role->name, "tag", b->tag), &pair[0],
		1);
	node_send(b, "link", json_pack("{s:s,s:s}", "peer", a->role->name, "tag", a->tag), &pair[1],
		1);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void join_standing(struct node *node)
{
	for (struct node *other = node->super->nodes; other; other = other->next)
		if (other != node && !other->role->instance &&
			(names(node->role->links, other->role->name) ||
				names(other->role->links, node->role->name)))
			join(node, other);
}

/* ---- lives and deaths ---- */

static void later(struct node *node);

static void standing_start(struct node *node)
{
	int fds[YG_IPC_FDS_MAX];
	size_t count = 0;
	struct yg_err err = {0};
	json_t *config = node->super->config(node->super->ctx, node->role->name, fds, &count);
	node->on = config != NULL;
	if (!config)
		return;
	if (node_start(node, &err) < 0) {
		json_decref(config);
		yg_log(YG_LOG_ERROR, "super.start", "%s: %s", node->label, err.msg);
		if (!node->pid)
			later(node);
		return;
	}
	send_config(node, config, fds, count);
	join_standing(node);
}

static void again_fired(void *ctx)
{
	struct node *node = ctx;
	if (!node->super->stopping && node->on && !node->pid) {
		node->restarts++;
		standing_start(node);
	}
}

static void later(struct node *node)
{
	yg_timer_set(node->again, node->delay_ms);
	node->delay_ms = node->delay_ms * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : node->delay_ms * 2;
}

static void kill_fired(void *ctx)
{
	struct node *node = ctx;
	if (!node->pid)
		return;
	yg_log(YG_LOG_WARN, "super.kill", "%s did not end in %d s", node->label,
		KILL_AFTER_MS / 1000);
	(void)pidfd_send_signal(node->pidfd, SIGKILL, NULL, 0);
}

static void node_end(struct node *node)
{
	if (!node->pid || node->ending)
		return;
	node->ending = true;
	(void)pidfd_send_signal(node->pidfd, SIGTERM, NULL, 0);
	yg_timer_set(node->kill, KILL_AFTER_MS);
}

static struct node *node_new(struct yg_super *super, const struct yg_super_role *role,
	const char *tag)
{
	struct node *node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->super = super;
	node->role = role;
	node->pidfd = -1;
	node->ring = -1;
	node->delay_ms = DELAY_FIRST_MS;
	(void)!yg_str_put(node->tag, sizeof(node->tag), "%s", tag);
	(void)!yg_str_put(node->label, sizeof(node->label), "%.32s%s%s", role->name,
		*tag ? ":" : "", tag);
	node->again = yg_loop_timer(super->loop, again_fired, node);
	node->kill = yg_loop_timer(super->loop, kill_fired, node);
	node->next = super->nodes;
	super->nodes = node;
	return node;
}

/* The process is over: what belonged to it goes, the node stays. */
static void node_clear(struct node *node)
{
	yg_ipc_free(yg_take(node->ipc));
	yg_watch_free(yg_take(node->exited));
	if (node->pidfd >= 0)
		(void)close(yg_take_fd(node->pidfd));
	close_ring(node);
	node->pid = 0;
	node->ready = node->ending = false;
	yg_timer_stop(node->kill);
}

static void node_free(struct node *node)
{
	for (struct node **at = &node->super->nodes; *at; at = &(*at)->next) {
		if (*at == node) {
			*at = node->next;
			break;
		}
	}
	node_clear(node);
	yg_timer_free(node->again);
	yg_timer_free(node->kill);
	free(node);
}

/* The asker is dead: its instances end, or wait for its successor. */
static void orphan(const struct node *asker)
{
	for (struct node *node = asker->super->nodes; node; node = node->next) {
		if (node->asker != asker)
			continue;
		node->asker = NULL;
		if (node->role->survives && !asker->super->stopping && asker->on)
			yg_timer_set(node->kill, YG_SUPER_ORPHAN_MS);
		else
			node_end(node);
	}
}

static bool any_running(const struct yg_super *super)
{
	for (const struct node *node = super->nodes; node; node = node->next)
		if (node->pid)
			return true;
	return false;
}

static void log_exit(const struct node *node, const siginfo_t *info)
{
	enum yg_level level = node->ending ? YG_LOG_INFO : YG_LOG_WARN;
	long long lived = (yg_clock_mono_ms() - node->since_ms) / 1000;
	if (info->si_code == CLD_EXITED && info->si_status == 127)
		yg_log(YG_LOG_ERROR, "super.exit", "%s: %s cannot be executed", node->label,
			node->role->program);
	else if (info->si_code == CLD_EXITED && info->si_status == 0 &&
		(node->role->instance || node->ending))
		yg_log(YG_LOG_DEBUG, "super.exit", "%s ended after %lld s", node->label, lived);
	else
		yg_log(level, "super.exit", "%s (process %ld) ended after %lld s by %s %d",
			node->label, (long)node->pid, lived,
			info->si_code == CLD_EXITED ? "exit" : "signal", info->si_status);
	if (info->si_code != CLD_EXITED && !node->ending)
		super_ring_last(node->ring, node->label);
}

static void node_exited(void *ctx, unsigned what)
{
	(void)what;
	struct node *node = ctx;
	struct yg_super *super = node->super;
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)node->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	log_exit(node, &info);
	bool healthy = yg_clock_mono_ms() - node->since_ms >= HEALTHY_MS;
	node_clear(node);
	orphan(node);
	if (node->role->instance) {
		node_free(node);
	} else if (node->on && !super->stopping) {
		if (healthy)
			node->delay_ms = DELAY_FIRST_MS;
		later(node);
	}
	if (super->stopping && !any_running(super))
		yg_timer_set(super->soon, 0);
}

/* A channel that closes before its process ends: the process is of no use any more. */
static void node_gone(void *ctx, struct yg_ipc *ipc)
{
	struct node *node = ctx;
	yg_ipc_free(ipc);
	node->ipc = NULL;
	if (node->pid && !node->ending)
		yg_timer_set(node->kill, KILL_AFTER_MS);
}

/* ---- what roles ask ---- */

static void refuse(struct node *node, const struct yg_ipc_msg *msg, const struct yg_err *why)
{
	yg_log(YG_LOG_WARN, "super.refused", "%s asks '%s': %s", node->label, msg->name, why->msg);
	if (msg->id)
		yg_ipc_reply_err(node->ipc, msg->id, why);
}

/* The instance that a message names, if the asker may. */
static int read_target(struct node *node, const struct yg_ipc_msg *msg,
	const struct yg_super_role **role, const char **tag, struct yg_err *err)
{
	const char *name = NULL;
	if (yg_json_str(msg->body, "role", 32, &name, err) < 0 ||
		yg_json_str(msg->body, "tag", TAG_MAX, tag, err) < 0)
		return -1;
	if (!yg_str_name_ok(*tag, TAG_MAX, YG_STR_FILE_CHARS))
		return yg_fail(err, YG_EFORMAT, "tag: want a name, have '%.32s'", *tag);
	*role = role_of(node->super, name);
	if (!*role || !(*role)->instance || !names(node->role->spawns, name))
		return yg_fail(err, YG_EUNTRUSTED, "%s may not touch role '%s'", node->role->name,
			name);
	return 0;
}

static size_t count_asked(const struct node *asker)
{
	size_t n = 0;
	for (const struct node *node = asker->super->nodes; node; node = node->next)
		n += node->asker == asker;
	return n;
}

static int spawn_new(struct node *asker, const struct yg_super_role *role, const char *tag,
	const struct yg_ipc_msg *msg, struct node **out, struct yg_err *err)
{
	struct yg_super *super = asker->super;
	int fds[2 * YG_IPC_FDS_MAX];
	size_t count = 0;
	if (count_asked(asker) >= YG_SUPER_INSTANCES_MAX)
		return yg_fail(err, YG_ELIMIT, "%s has %d instances already", asker->label,
			YG_SUPER_INSTANCES_MAX);
	json_t *config = super->config(super->ctx, role->name, fds, &count);
	if (!config)
		config = json_object();
	json_t *args = json_object_get(msg->body, "args");
	if (args)
		(void)json_object_set(config, "args", args);
	for (size_t i = 0; i < msg->fd_count; i++)
		fds[count++] = msg->fds[i];
	struct node *node = count <= YG_IPC_FDS_MAX ? node_new(super, role, tag) : NULL;
	if (!node) {
		json_decref(config);
		return yg_fail(err, YG_ELIMIT, "%s: too many descriptors, or no memory",
			role->name);
	}
	if (node_start(node, err) < 0) {
		json_decref(config);
		if (!node->pid)
			node_free(node);
		return -1;
	}
	node->asker = asker;
	send_config(node, config, fds, count);
	*out = node;
	return 0;
}

/* A running instance of that name: take it over, make way for a new one, or refuse. One whose channel
 * has closed is on its way out.
 */
static int spawn_known(struct node *asker, struct node *known, bool adopt, bool *adopted,
	struct yg_err *err)
{
	if (known->asker && !known->ending && !(adopt && known->asker == asker))
		return yg_fail(err, YG_EFORMAT, "%s runs already", known->label);
	if (adopt && !known->ending && known->ipc) {
		known->asker = asker;
		yg_timer_stop(known->kill);
		*adopted = true;
		return 0;
	}
	node_end(known);
	/* Its name is needed now; it keeps its process until that has ended. */
	known->asker = NULL;
	known->tag[0] = 0;
	return 0;
}

static void got_spawn(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	const struct yg_super_role *role = NULL;
	const char *tag = NULL;
	bool adopt = false;
	bool adopted = false;
	struct yg_err err = {0};
	if (read_target(asker, msg, &role, &tag, &err) < 0 ||
		yg_json_bool_or(msg->body, "adopt", false, &adopt, &err) < 0) {
		refuse(asker, msg, &err);
		return;
	}
	struct node *node = find(asker->super, role->name, tag);
	if ((node && spawn_known(asker, node, adopt, &adopted, &err) < 0) ||
		(!adopted && spawn_new(asker, role, tag, msg, &node, &err) < 0)) {
		refuse(asker, msg, &err);
		return;
	}
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, json_pack("{s:b}", "adopted", adopted), NULL, 0);
	join(node, asker);
}

static void got_connect(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	const struct yg_super_role *role = NULL;
	const char *tag = NULL;
	const char *to = NULL;
	struct yg_err err = {0};
	if (read_target(asker, msg, &role, &tag, &err) < 0 ||
		yg_json_str(msg->body, "to", 32, &to, &err) < 0) {
		refuse(asker, msg, &err);
		return;
	}
	struct node *node = find(asker->super, role->name, tag);
	struct node *other = find(asker->super, to, "");
	if (!node || !node->ipc || node->asker != asker) {
		(void)yg_fail(&err, YG_EABSENT, "there is no %s:%s", role->name, tag);
		refuse(asker, msg, &err);
		return;
	}
	if (!other || !other->ipc || other->role->instance) {
		(void)yg_fail(&err, YG_EAGAIN, "%s does not run", to);
		refuse(asker, msg, &err);
		return;
	}
	join(node, other);
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static void got_end(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	const struct yg_super_role *role = NULL;
	const char *tag = NULL;
	struct yg_err err = {0};
	if (read_target(asker, msg, &role, &tag, &err) < 0) {
		refuse(asker, msg, &err);
		return;
	}
	struct node *node = find(asker->super, role->name, tag);
	if (node && (node->asker == asker || !node->asker))
		node_end(node);
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static int read_turn(const struct node *asker, const struct yg_ipc_msg *msg, const char **role,
	int *on, struct yg_err *err)
{
	const json_t *value = json_object_get(msg->body, "on");
	if (yg_json_str(msg->body, "role", 32, role, err) < 0)
		return -1;
	if (!json_is_boolean(value) && !json_is_null(value))
		return yg_fail(err, YG_EFORMAT, "on: want true, false or null, have %s",
			yg_json_kind(value));
	const struct yg_super_role *known = role_of(asker->super, *role);
	if (!asker->super->turn || !known || known->instance || !names(asker->role->turns, *role))
		return yg_fail(err, YG_EUNTRUSTED, "%s may not turn role '%s'", asker->role->name,
			*role);
	*on = json_is_null(value) ? -1 : json_is_true(value);
	return 0;
}

static void got_turn(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	const char *role = NULL;
	int on = -1;
	struct yg_err err = {0};
	if (read_turn(asker, msg, &role, &on, &err) < 0) {
		refuse(asker, msg, &err);
		return;
	}
	asker->super->turn(asker->super->turn_ctx, role, on);
	yg_super_start(asker->super);
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static void got_ready(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	(void)ipc;
	(void)msg;
	struct node *node = ctx;
	node->ready = true;
	if (node->super->ready && yg_super_ready(node->super))
		yg_timer_set(node->super->soon, 0);
}

static void got_status(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	const struct node *asker = ctx;
	json_t *list = json_array();
	for (const struct node *node = asker->super->nodes; node; node = node->next)
		if (node->pid)
			(void)json_array_append_new(list,
				json_pack("{s:s,s:s,s:i,s:I,s:I,s:s}", "role", node->role->name,
					"tag", node->tag, "pid", (int)node->pid, "since",
					(json_int_t)node->since_s, "restarts",
					(json_int_t)node->restarts, "log_level",
					yg_log_level_name(node->level)));
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, json_pack("{s:o}", "roles", list), NULL, 0);
	else
		json_decref(list);
}

/* ---- logs ---- */

static void set_level(struct yg_super *super, const struct yg_super_role *role, enum yg_level level)
{
	super->levels[role - super->roles] = level;
	for (struct node *node = super->nodes; node; node = node->next) {
		if (node->role != role || !node->pid)
			continue;
		node->level = level;
		node_send(node, "log", json_pack("{s:s}", "level", yg_log_level_name(level)), NULL,
			0);
	}
}

static int read_level(const struct node *node, const struct yg_ipc_msg *msg, const char **role,
	enum yg_level *level, struct yg_err *err)
{
	const char *name = NULL;
	if (!node->role->logs)
		return yg_fail(err, YG_EUNTRUSTED, "%s may not", node->role->name);
	if (yg_json_str(msg->body, "level", 16, &name, err) < 0 ||
		yg_json_str_or(msg->body, "role", 32, "", role, err) < 0)
		return -1;
	if (yg_log_level_parse(name, level, err) < 0)
		return yg_wrap(err, "level");
	if (**role && strcmp(*role, "parent") != 0 && !role_of(node->super, *role))
		return yg_fail(err, YG_EABSENT, "there is no role '%s'", *role);
	return 0;
}

static void got_log(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	const char *name = NULL;
	enum yg_level level = YG_LOG_INFO;
	struct yg_err err = {0};
	if (read_level(asker, msg, &name, &level, &err) < 0) {
		refuse(asker, msg, &err);
		return;
	}
	if (!*name || strcmp(name, "parent") == 0)
		yg_log_level_set(level);
	for (const struct yg_super_role *role = asker->super->roles; role->name; role++)
		if (!*name || strcmp(name, role->name) == 0)
			set_level(asker->super, role, level);
	yg_log(YG_LOG_NOTICE, "super.log", "level of %s: %s", *name ? name : "all",
		yg_log_level_name(level));
	if (msg->id)
		yg_ipc_reply(ipc, msg->id, NULL, NULL, 0);
}

static void got_rings(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct node *asker = ctx;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = -1;
	if (!asker->role->logs)
		(void)yg_fail(&err, YG_EUNTRUSTED, "%s may not", asker->role->name);
	else
		fd = super_ring_pack(asker->super->rings, &err);
	if (fd < 0)
		refuse(asker, msg, &err);
	else if (msg->id)
		yg_ipc_reply(ipc, msg->id, NULL, &fd, 1);
}

static const struct yg_ipc_handler handlers[] = {
	{"log", got_log},
	{"rings", got_rings},
	{"spawn", got_spawn},
	{"connect", got_connect},
	{"end", got_end},
	{"turn", got_turn},
	{"ready", got_ready},
	{"status", got_status},
	{0},
};

/* ---- the whole ---- */

static void soon_fired(void *ctx)
{
	struct yg_super *super = ctx;
	if (super->stopping) {
		void (*stopped)(void *) = super->stopped;
		super->stopped = NULL;
		if (stopped)
			stopped(super->stopped_ctx);
	} else if (super->ready && yg_super_ready(super)) {
		void (*ready)(void *) = super->ready;
		super->ready = NULL;
		ready(super->ready_ctx);
	}
}

struct yg_super *yg_super_new(struct yg_loop *loop, const struct yg_super_role *roles,
	yg_super_config *config, void *ctx, struct yg_err *err)
{
	struct yg_super *super YG_AUTO(yg_super) = calloc(1, sizeof(*super));
	if (!super) {
		(void)yg_fail_sys(err, ENOMEM, "making the supervisor");
		return NULL;
	}
	super->loop = loop;
	super->roles = roles;
	super->config = config;
	super->ctx = ctx;
	super->rings = -1;
	super->soon = yg_loop_timer(loop, soon_fired, super);
	for (const struct yg_super_role *role = roles; role->name; role++) {
		assert(role - roles < ROLES_MAX);
		if (!role->instance && !node_new(super, role, "")) {
			(void)yg_fail_sys(err, ENOMEM, "making the supervisor");
			return NULL;
		}
	}
	return yg_take(super);
}

void yg_super_start(struct yg_super *super)
{
	if (super->stopping)
		return;
	for (struct node *node = super->nodes; node; node = node->next) {
		if (node->role->instance)
			continue;
		if (!node->pid) {
			yg_timer_stop(node->again);
			node->delay_ms = DELAY_FIRST_MS;
			standing_start(node);
			continue;
		}
		int fds[YG_IPC_FDS_MAX];
		size_t count = 0;
		json_t *config = super->config(super->ctx, node->role->name, fds, &count);
		node->on = config != NULL;
		json_decref(config);
		if (!node->on)
			node_end(node);
	}
}

void yg_super_stop(struct yg_super *super, void (*stopped)(void *ctx), void *ctx)
{
	super->stopping = true;
	super->stopped = stopped;
	super->stopped_ctx = ctx;
	for (struct node *node = super->nodes; node; node = node->next) {
		yg_timer_stop(node->again);
		node_end(node);
	}
	if (!any_running(super))
		yg_timer_set(super->soon, 0);
}

void yg_super_free(struct yg_super *super)
{
	if (!super)
		return;
	while (super->nodes) {
		struct node *node = super->nodes;
		if (node->pid) {
			(void)pidfd_send_signal(node->pidfd, SIGKILL, NULL, 0);
			(void)waitpid(node->pid, NULL, 0);
		}
		node_free(node);
	}
	yg_timer_free(super->soon);
	free(super);
}

void yg_super_on_turn(struct yg_super *super, void (*turn)(void *ctx, const char *role, int on),
	void *ctx)
{
	super->turn = turn;
	super->turn_ctx = ctx;
}

void yg_super_on_ready(struct yg_super *super, void (*ready)(void *ctx), void *ctx)
{
	super->ready = ready;
	super->ready_ctx = ctx;
}

bool yg_super_ready(const struct yg_super *super)
{
	for (const struct node *node = super->nodes; node; node = node->next)
		if (!node->role->instance && node->on && !(node->pid && node->ready))
			return false;
	return true;
}
