/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-agent, the parent of an agent's roles. It reads the configuration, opens what the roles may
 * have, and hands it out; it never touches anything that comes from outside.
 *
 *     yagura-agent ─┬─ session  yagura-agent-net    Manager, events, control socket
 *                   ├─ install  yagura-agent-store  content: sets, switch, rollback
 *                   ├─ walk     yagura-agent-store  finds the files of a scan
 *                   ├─ relay    yagura-agent-relay  while the relay feature is on
 *                   └─ for a run: fetch (…-net), verify (…-store); for content: am (…-am)
 *
 * docs/processes.md has the messages; the table is `roles` below.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/options.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "core/super.h"

#define STATE "var/opt/yagura/agent"

static const struct yg_super_role roles[] = {
	{.name = "session",
		.program = "yagura-agent-net",
		.links = {"install", "walk"},
		.spawns = {"fetch"},
		.turns = {"relay"},
		.logs = true},
	{.name = "install",
		.program = "yagura-agent-store",
		.links = {"walk"},
		.spawns = {"fetch", "verify", "am"}},
	{.name = "walk", .program = "yagura-agent-store"},
	{.name = "relay", .program = "yagura-agent-relay", .links = {"session", "install"}},
	{.name = "fetch", .program = "yagura-agent-net", .instance = true},
	{.name = "verify", .program = "yagura-agent-store", .instance = true},
	{.name = "am", .program = "yagura-agent-am", .instance = true, .survives = true},
	{0},
};

/* It stays what it is, but for what its roles need to become less: a filter would be theirs too. */
static const struct yg_sandbox box = {
	.syscalls = YG_SYS_ALL,
	.capabilities = 1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_SETPCAP |
		1ull << CAP_KILL | 1ull << CAP_DAC_READ_SEARCH,
	.all_paths = true,
};

struct agent {
	const char *config_path;
	const char *root_path;
	struct yg_conf *conf;
	struct yg_loop *loop;
	struct yg_super *super;
	char *source_ca; /* PEM, or NULL */
	int root, state, identity, session, am_tmp, run, control, lock, all, rings;
	bool stopping;
	int relay; /* what the Manager has made of it: 1 on, 0 off, -1 as configured */
};

/* ---- configuration ---- */

static int check_level(const struct yg_conf *conf, enum yg_level *out, struct yg_err *err)
{
	if (yg_log_level_parse(yg_conf_text(conf, "agent", "log_level"), out, err) < 0)
		return yg_wrap(err, "log_level");
	return 0;
}

static struct yg_conf *load_conf(const char *path, bool required, struct yg_err *err)
{
	struct yg_conf *conf YG_AUTO(yg_conf) = yg_conf_new(options_table, err);
	enum yg_level level;
	if (!conf)
		return NULL;
	if (yg_conf_load(conf, path, err) < 0 && (required || err->code != YG_EABSENT))
		return NULL;
	*err = (struct yg_err){0};
	if (check_level(conf, &level, err) < 0) {
		(void)yg_wrap(err, "%s", path);
		return NULL;
	}
	return yg_take(conf);
}

/* The CA of the configured source, as text for the session role. */
static int read_source_ca(struct agent *a, struct yg_err *err)
{
	const char *path = yg_conf_text(a->conf, "update", "ca");
	struct yg_buf pem YG_AUTO(yg_buf) = YG_BUF(32768);
	free(yg_take(a->source_ca));
	if (!path || !*path)
		return 0;
	int fd YG_AUTO(fd) = openat(a->root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return yg_fail_sys(err, errno, "[update] ca: '%s'", path);
	if (yg_fs_read_fd(fd, &pem, err) < 0 || yg_buf_add(&pem, "", 1, err) < 0)
		return yg_wrap(err, "[update] ca: '%s'", path);
	a->source_ca = (char *)pem.data;
	pem.data = NULL;
	return 0;
}

/* ---- what roles get ---- */

static json_t *proxy_of(const struct yg_conf *conf, const char *to)
{
	char user[32], password[32];
	const char *url = yg_conf_text(conf, "proxy", to);
	if (!url || !*url || !yg_str_put(user, sizeof(user), "%s_user", to) ||
		!yg_str_put(password, sizeof(password), "%s_password", to))
		return json_null();
	return json_pack("{s:s,s:s,s:s}", "url", url, "user", yg_conf_text(conf, "proxy", user),
		"password", yg_conf_text(conf, "proxy", password));
}

static json_t *session_config(const struct agent *a, int fds[YG_IPC_FDS_MAX], size_t *count)
{
	char host[256] = "localhost";
	(void)gethostname(host, sizeof(host) - 1);
	static int starts;
	fds[(*count)++] = a->control;
	fds[(*count)++] = a->identity;
	fds[(*count)++] = a->session;
	return json_pack(
		"{s:s,s:i,s:s,s:{s:b,s:I},s:{s:s,s:s,s:I,s:I,s:I,s:I,s:I},s:{s:o,s:o,s:o}}",
		"hostname", host, "restarts", starts++, "own_log_level",
		yg_conf_text(a->conf, "agent", "log_level"), "relay", "enabled",
		(int)yg_conf_bool(a->conf, "relay", "enabled"), "port",
		(json_int_t)yg_conf_int(a->conf, "relay", "port"), "update", "source",
		yg_conf_text(a->conf, "update", "source"), "ca", a->source_ca ? a->source_ca : "",
		"tries", (json_int_t)yg_conf_int(a->conf, "update", "tries"), "timeout_s",
		(json_int_t)yg_conf_int(a->conf, "update", "timeout_s"), "limit_s",
		(json_int_t)yg_conf_int(a->conf, "update", "limit_s"), "connect_s",
		(json_int_t)yg_conf_int(a->conf, "update", "connect_s"), "retry_s",
		(json_int_t)yg_conf_int(a->conf, "update", "retry_s"), "proxy", "manager",
		proxy_of(a->conf, "manager"), "relay", proxy_of(a->conf, "relay"), "source",
		proxy_of(a->conf, "source"));
}

/* Opened anew each time: whoever installs may have put it there since. The descriptor stays ours
 * until the next call.
 */
static void add_installed_root(const struct agent *a, int fds[YG_IPC_FDS_MAX], size_t *count)
{
	static int fd = -1;
	if (fd >= 0)
		(void)close(fd);
	fd = openat(a->root, yg_conf_text(a->conf, "content", "root"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		fds[(*count)++] = fd;
	else
		yg_log(YG_LOG_WARN, "agent.root",
			"no root.json: '%s' in '%s': %s: no content can be verified",
			yg_conf_text(a->conf, "content", "root"), a->root_path,
			strerrordesc_np(errno));
}

static json_t *role_config(void *ctx, const char *role, int fds[YG_IPC_FDS_MAX], size_t *count)
{
	const struct agent *a = ctx;
	json_t *config = NULL;
	if (strcmp(role, "session") == 0) {
		config = session_config(a, fds, count);
	} else if (strcmp(role, "install") == 0) {
		config = json_pack("{s:I,s:{s:I,s:I}}", "engine_silence_s",
			(json_int_t)yg_conf_int(a->conf, "agent", "engine_silence_s"), "logs",
			"size", (json_int_t)yg_conf_int(a->conf, "log", "file_kib") * 1024, "files",
			(json_int_t)yg_conf_int(a->conf, "log", "files"));
		fds[(*count)++] = a->state;
		add_installed_root(a, fds, count);
	} else if (strcmp(role, "walk") == 0) {
		fds[(*count)++] = a->all;
	} else if (strcmp(role, "am") == 0) {
		fds[(*count)++] = a->am_tmp;
	} else if (strcmp(role, "relay") == 0) {
		if (a->relay < 0 ? !yg_conf_bool(a->conf, "relay", "enabled") : a->relay == 0)
			return NULL;
		fds[(*count)++] = a->state;
		config = json_pack("{s:I,s:s}", "port",
			(json_int_t)yg_conf_int(a->conf, "relay", "port"), "bind",
			yg_conf_text(a->conf, "relay", "bind"));
	}
	if (!config)
		config = json_object();
	(void)json_object_set_new(config, "user",
		json_string(yg_conf_text(a->conf, "agent", "user")));
	(void)json_object_set_new(config, "log_level",
		json_string(yg_conf_text(a->conf, "agent", "log_level")));
	return config;
}

/* ---- folders, lock, control socket ---- */

static int open_folder(int root, const char *path, mode_t mode, int *out, struct yg_err *err)
{
	if (yg_fs_mkdirs(root, path, mode, err) < 0)
		return -1;
	*out = yg_fs_open_dir(root, path, err);
	return *out < 0 ? -1 : 0;
}

/* The folders of roles that become another user are that user's. */
static int give_away(const struct agent *a, struct yg_err *err)
{
	const char *user = yg_conf_text(a->conf, "agent", "user");
	if (!*user || geteuid() != 0)
		return 0;
	struct passwd pw;
	struct passwd *found = NULL;
	char text[4096];
	if (getpwnam_r(user, &pw, text, sizeof(text), &found) != 0 || !found)
		return yg_fail(err, YG_EFORMAT, "[agent] user: there is no user '%s'", user);
	const int folders[] = {a->identity, a->session, a->am_tmp};
	for (size_t i = 0; i < YG_COUNT(folders); i++)
		if (fchown(folders[i], pw.pw_uid, pw.pw_gid) < 0)
			return yg_fail_sys(err, errno, "giving a folder to '%s'", user);
	static const char *const files[] = {"identity.json", "spool", "jobs.json", "settings.json",
		"policy.json", "last-run.json"};
	for (size_t i = 0; i < YG_COUNT(files); i++)
		if (fchownat(i == 0 ? a->identity : a->session, files[i], pw.pw_uid, pw.pw_gid,
			    AT_SYMLINK_NOFOLLOW) < 0 &&
			errno != ENOENT)
			return yg_fail_sys(err, errno, "giving '%s' to '%s'", files[i], user);
	return 0;
}

static int take_lock(struct agent *a, struct yg_err *err)
{
	a->lock = openat(a->state, "state/agent.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (a->lock < 0)
		return yg_fail_sys(err, errno, "'%s/" STATE "/state/agent.lock'", a->root_path);
	if (flock(a->lock, LOCK_EX | LOCK_NB) < 0)
		return yg_fail(err, YG_EAGAIN, "another agent runs with --root %s", a->root_path);
	return 0;
}

/* Bound through the folder's descriptor: a socket's own path may have no more than 107 bytes. */
static int open_control(struct agent *a, struct yg_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	if (!yg_str_put(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/control.sock", a->run))
		return yg_fail(err, YG_ELIMIT, "control.sock: the path is too long");
	(void)unlinkat(a->run, "control.sock", 0);
	a->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before = umask(0177);
	int rc = a->control < 0 ? -1 : bind(a->control, (const struct sockaddr *)&at, sizeof(at));
	(void)umask(before);
	if (rc < 0 || listen(a->control, 64) < 0)
		return yg_fail_sys(err, errno, "making '%s/run/yagura/control.sock'", a->root_path);
	return 0;
}

static int open_all(struct agent *a, struct yg_err *err)
{
	if (yg_fs_mkdirs(AT_FDCWD, a->root_path, 0755, err) < 0)
		return -1;
	a->root = yg_fs_open_dir(AT_FDCWD, a->root_path, err);
	a->all = a->root < 0 ? -1 : yg_fs_open_dir(AT_FDCWD, "/", err);
	if (a->all < 0 || open_folder(a->root, STATE, 0755, &a->state, err) < 0 ||
		open_folder(a->root, "run/yagura", 0755, &a->run, err) < 0 ||
		open_folder(a->state, "state/identity", 0700, &a->identity, err) < 0 ||
		open_folder(a->state, "state/session", 0700, &a->session, err) < 0 ||
		open_folder(a->state, "state/am-tmp", 0700, &a->am_tmp, err) < 0)
		return yg_wrap(err, "--root %s", a->root_path);
	if (take_lock(a, err) < 0 || give_away(a, err) < 0 || read_source_ca(a, err) < 0)
		return -1;
	a->rings = yg_super_ring_folder(a->run, "ring");
	return open_control(a, err);
}

static void close_all(struct agent *a)
{
	const int fds[] = {a->root, a->state, a->identity, a->session, a->am_tmp, a->run,
		a->control, a->lock, a->all, a->rings};
	if (a->control >= 0)
		(void)unlinkat(a->run, "control.sock", 0);
	for (size_t i = 0; i < YG_COUNT(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	free(a->source_ca);
}

/* ---- running ---- */

/* Tell the service manager. source  sd_notify(3), whose datagram is this simple */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!path || (path[0] != '/' && path[0] != '@') ||
		!yg_str_put(to.sun_path, sizeof(to.sun_path), "%s", path))
		return;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		to.sun_path[0] = 0;
	int fd YG_AUTO(fd) = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
			len);
}

static void all_ready(void *ctx)
{
	(void)ctx;
	yg_log(YG_LOG_INFO, "agent.ready", "all roles run");
	notify("READY=1");
}

/* Session says it anew when it starts. */
static void turn(void *ctx, const char *role, int on)
{
	struct agent *a = ctx;
	if (strcmp(role, "relay") == 0)
		a->relay = on;
}

static void all_stopped(void *ctx)
{
	yg_loop_stop(((struct agent *)ctx)->loop);
}

static void stop(void *ctx, int signo)
{
	struct agent *a = ctx;
	if (a->stopping)
		return;
	yg_log(YG_LOG_INFO, "agent.stop", "stopping (%s)", strsignal(signo));
	notify("STOPPING=1");
	a->stopping = true;
	yg_super_stop(a->super, all_stopped, a);
}

/* SIGHUP: what a role gets at its next start, and whether there is a relay, follow the file. */
static void reload(void *ctx, int signo)
{
	(void)signo;
	struct agent *a = ctx;
	struct yg_err err = {0};
	struct yg_conf *conf = load_conf(a->config_path, true, &err);
	if (!conf) {
		yg_log(YG_LOG_ERROR, "agent.config", "the configuration stays as it was: %s",
			err.msg);
		return;
	}
	yg_conf_free(a->conf);
	a->conf = conf;
	if (read_source_ca(a, &err) < 0)
		yg_log_err(YG_LOG_ERROR, "agent.config", &err);
	yg_super_start(a->super);
}

static int run(struct agent *a, struct yg_err *err)
{
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(err);
	if (!loop)
		return -1;
	a->loop = loop;
	if (yg_loop_signal(loop, SIGTERM, stop, a, err) < 0 ||
		yg_loop_signal(loop, SIGINT, stop, a, err) < 0 ||
		yg_loop_signal(loop, SIGHUP, reload, a, err) < 0)
		return -1;
	if (yg_sandbox_enter(&box, err) < 0)
		return -1;
	struct yg_super *super YG_AUTO(yg_super) = yg_super_new(loop, roles, role_config, a, err);
	if (!super)
		return -1;
	a->super = super;
	yg_super_rings(super, a->rings);
	yg_super_on_turn(super, turn, a);
	yg_super_on_ready(super, all_ready, a);
	yg_super_start(super);
	yg_loop_run(loop);
	return 0;
}

static void help(FILE *out)
{
	(void)fputs(
		"usage: yagura-agent [options]\n"
		"Protects this computer, and keeps that protection current.\n\n"
		"  --config FILE    configuration (" YG_SYSCONFDIR "/agent.conf, below the root)\n"
		"  --root DIR       everything below DIR instead of / (several agents on one machine)\n"
		"  --check-config   say whether the configuration is right, and end\n"
		"  --help-config    all options of the configuration, with their presets\n"
		"  --help, --version\n",
		out);
}

static int check_only(const struct agent *a, bool required)
{
	struct yg_err err = {0};
	struct yg_conf *conf YG_AUTO(yg_conf) = load_conf(a->config_path, required, &err);
	if (!conf) {
		(void)fprintf(stderr, "yagura-agent: %s\n", err.msg);
		return EXIT_FAILURE;
	}
	(void)printf("%s: ok\n", a->config_path);
	return EXIT_SUCCESS;
}

static int serve(struct agent *a, bool required)
{
	struct yg_err err = {0};
	enum yg_level level = YG_LOG_INFO;
	int status = EXIT_FAILURE;
	a->conf = load_conf(a->config_path, required, &err);
	if (a->conf && check_level(a->conf, &level, &err) == 0) {
		yg_log_init("agent", level);
		(void)signal(SIGPIPE, SIG_IGN);
		if (open_all(a, &err) == 0 && run(a, &err) == 0)
			status = EXIT_SUCCESS;
	}
	if (status != EXIT_SUCCESS)
		yg_log_err(YG_LOG_ERROR, "agent.start", &err);
	close_all(a);
	yg_conf_free(a->conf);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
		{"root", required_argument, NULL, 'r'}, {"check-config", no_argument, NULL, 'k'},
		{"help-config", no_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'}, {0}};
	struct agent a = {.config_path = NULL,
		.root_path = "/",
		.root = -1,
		.state = -1,
		.identity = -1,
		.session = -1,
		.am_tmp = -1,
		.run = -1,
		.control = -1,
		.lock = -1,
		.all = -1,
		.rings = -1,
		.relay = -1};
	bool check = false;
	bool given = false;
	for (int opt; (opt = getopt_long(argc, argv, "", longs, NULL)) >= 0;) {
		if (opt == 'c') {
			a.config_path = optarg;
			given = true;
		} else if (opt == 'r') {
			a.root_path = optarg;
		} else if (opt == 'k') {
			check = true;
		} else if (opt == 'o') {
			yg_conf_help(options_table, stdout);
			return EXIT_SUCCESS;
		} else if (opt == 'h') {
			help(stdout);
			return EXIT_SUCCESS;
		} else if (opt == 'v') {
			(void)puts("yagura-agent " YG_VERSION);
			return EXIT_SUCCESS;
		} else {
			help(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "yagura-agent: '%s': no arguments are wanted\n",
			argv[optind]);
		return 2;
	}
	char path[4096];
	const char *root = strcmp(a.root_path, "/") == 0 ? "" : a.root_path;
	if (!given && !yg_str_put(path, sizeof(path), "%s" YG_SYSCONFDIR "/agent.conf", root)) {
		(void)fprintf(stderr, "yagura-agent: --root: the path is too long\n");
		return 2;
	}
	if (!given)
		a.config_path = path;
	return check ? check_only(&a, given) : serve(&a, given);
}
