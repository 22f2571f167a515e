/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "core/super.h"
#include "crypto/seal.h"
#include "crypto/secret.h"
#include "manager/call.h"
#include "manager/options.h"

/* yagura-manager: the parent of the Manager's processes. It reads the configuration, opens what the
 * roles may have (listening sockets, the state folder, the master key file) and hands it out; it
 * starts them, joins them, starts again what dies. Nothing that came from outside reaches it.
 *
 *     people ──4119── web ──────┐
 *                               ├── store ── database          docs/processes.md, "Manager"
 *     agents ──4120── session ──┤     │
 *                        │      │     └──── content ── update source
 *                        └─ ca ─┘
 *
 * The sockets stay open here, so that a role that is started again refuses nobody.
 */

#define KEY_BYTES    32
#define NAMES_MAX    32
#define SETTINGS_KEY "yagura manager settings" /* what the store's key is for: never changed */

struct manager {
	struct yg_conf *conf;
	struct yg_loop *loop;
	struct yg_super *super;
	const char *root; /* "" unless --root */
	char *state;      /* absolute paths, owned */
	char *run;
	char *url; /* of the database */
	char *master_key;
	char *content_root;
	const char *user; /* "" when roles stay what we are */
	int state_fd, tuf_fd, master_fd, settings_fd, bundle_fd, rings_fd;
	int web_fd, session_fd;
	int store_end; /* the store's end of our channel, until it has got it */
	struct call_link store;
	const char *key_file; /* --print-key-to */
	const char *new_key;  /* --new-key NAME */
	struct yg_timer *watchdog;
	int64_t watchdog_ms;
};

static const struct yg_super_role roles[] = {
	{.name = "store", .program = "yagura-manager-store", .logs = true},
	{.name = "ca", .program = "yagura-manager-ca", .links = {"store"}},
	{.name = "web", .program = "yagura-manager-edge", .links = {"store", "ca"}},
	{.name = "session", .program = "yagura-manager-edge", .links = {"store", "ca"}},
	{.name = "content", .program = "yagura-manager-content", .links = {"store", "ca"}},
	{0},
};

/* ---- where things are ---- */

/* A path of the configuration: below `base` unless it is absolute, below --root in any case. */
static char *place(const struct manager *manager, const char *base, const char *path)
{
	if (path[0] == '/')
		return yg_str_format("%s%s", manager->root, path);
	return yg_str_format("%s/%s", base, path);
}

static int place_all(struct manager *manager, struct yg_err *err)
{
	const struct yg_conf *conf = manager->conf;
	manager->state = place(manager, "", yg_conf_text(conf, "manager", "state"));
	/* Under a root of our own there is one Manager: no folder of its own in run. */
	manager->run = manager->root[0] ? yg_str_format("%s/run", manager->root)
					: place(manager, "", yg_conf_text(conf, "manager", "run"));
	if (!manager->state || !manager->run)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	const char *url = yg_conf_text(conf, "database", "url");
	if (strncmp(url, "sqlite:", 7) == 0) {
		char *path YG_AUTO(mem) = place(manager, manager->state, url + 7);
		manager->url = path ? yg_str_format("sqlite:%s", path) : NULL;
	} else if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0) {
		manager->url = strdup(url);
	} else {
		return yg_fail(err, YG_EFORMAT,
			"[database] url: want sqlite:FILE or postgresql://…, have '%s'", url);
	}
	manager->master_key = place(manager, manager->state,
		yg_conf_text(conf, "secrets", "master_key"));
	manager->content_root = place(manager, manager->state,
		yg_conf_text(conf, "content", "root"));
	if (!manager->url || !manager->master_key || !manager->content_root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

/* ---- first start ---- */

static int make_master_key(const struct manager *manager, struct yg_err *err)
{
	struct stat st;
	if (stat(manager->master_key, &st) == 0)
		return 0;
	uint8_t key[KEY_BYTES];
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return yg_fail_sys(err, errno, "making the master key");
	int rc = yg_fs_replace(AT_FDCWD, manager->master_key, (struct yg_bytes){key, sizeof(key)},
		0600, err);
	explicit_bzero(key, sizeof(key));
	if (rc == 0)
		yg_log(YG_LOG_NOTICE, "manager.master_key",
			"made the master key %s: keep a copy of it apart "
			"from copies of the database",
			manager->master_key);
	return rc;
}

/* The roles lose root: what they write to must be theirs. */
static int give(const struct manager *manager, const char *path, struct yg_err *err)
{
	const struct passwd *user = manager->user[0] ? getpwnam(manager->user) : NULL;
	if (user && geteuid() == 0 && lchown(path, user->pw_uid, user->pw_gid) < 0)
		return yg_fail_sys(err, errno, "'%s': giving it to '%s'", path, manager->user);
	return 0;
}

/* The store seals passwords under a key of its own: the CA's keys are none of its business. */
static int make_settings_key(struct manager *manager, struct yg_err *err)
{
	uint8_t key[YG_SEAL_KEY];
	if (yg_seal_derive(manager->master_fd, SETTINGS_KEY, key, err) < 0)
		return yg_wrap(err, "'%s'", manager->master_key);
	manager->settings_fd = yg_fs_memfd("settings-key", (struct yg_bytes){key, sizeof(key)},
		err);
	yg_secret_wipe(key, sizeof(key));
	return manager->settings_fd < 0 ? -1 : 0;
}

static int open_files(struct manager *manager, struct yg_err *err)
{
	char *tuf YG_AUTO(mem) = yg_str_format("%s/tuf", manager->state);
	char *bundle YG_AUTO(mem) = yg_str_format("%s/ca.pem", manager->run);
	if (!tuf || !bundle)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_fs_mkdirs(AT_FDCWD, manager->run, 0755, err) < 0 ||
		yg_fs_mkdirs(AT_FDCWD, manager->state, 0755, err) < 0 ||
		yg_fs_mkdirs(AT_FDCWD, tuf, 0750, err) < 0 || make_master_key(manager, err) < 0 ||
		give(manager, manager->state, err) < 0 || give(manager, tuf, err) < 0)
		return -1;
	char *rings YG_AUTO(mem) = yg_str_format("%s/ring", manager->run);
	manager->rings_fd = rings ? yg_super_ring_folder(AT_FDCWD, rings) : -1;
	manager->state_fd = yg_fs_open_dir(AT_FDCWD, manager->state, err);
	if (manager->state_fd < 0)
		return -1;
	if (fchmod(manager->state_fd, 0750) < 0)
		return yg_fail_sys(err, errno, "'%s': chmod", manager->state);
	manager->tuf_fd = yg_fs_open_dir(AT_FDCWD, tuf, err);
	if (manager->tuf_fd < 0)
		return -1;
	manager->master_fd = yg_fs_open(AT_FDCWD, manager->master_key, err);
	if (manager->master_fd < 0)
		return -1;
	if (make_settings_key(manager, err) < 0)
		return -1;
	manager->bundle_fd = open(bundle, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (manager->bundle_fd < 0)
		return yg_fail_sys(err, errno, "opening '%s'", bundle);
	return 0;
}

/* ---- ports ---- */

static int listen_on(const char *section, const char *address, int64_t port, struct yg_err *err)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	bool is_six = inet_pton(AF_INET6, address, &six.sin6_addr) == 1;
	if (!is_six && inet_pton(AF_INET, address, &four.sin_addr) != 1)
		return yg_fail(err, YG_EFORMAT, "[%s] bind: want an address, have '%s'", section,
			address);
	int fd YG_AUTO(fd) = socket(is_six ? AF_INET6 : AF_INET,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int off = 0;
	if (fd < 0)
		return yg_fail_sys(err, errno, "[%s] bind %s", section, address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_six)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	const struct sockaddr *to = is_six ? (const struct sockaddr *)(const void *)&six
					   : (const struct sockaddr *)(const void *)&four;
	if (bind(fd, to, is_six ? sizeof(six) : sizeof(four)) < 0 || listen(fd, 4096) < 0)
		return yg_fail_sys(err, errno, "listening on %s port %" PRId64, address, port);
	return yg_take_fd(fd);
}

static int port_of(int fd)
{
	struct sockaddr_storage at = {0};
	socklen_t len = sizeof(at);
	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return 0;
	return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&at)->sin6_port
					      : ((struct sockaddr_in *)(void *)&at)->sin_port);
}

/* The port of the last start, for "any free one": agents know that one. 0 when there is none. */
static int64_t port_before(const char *path, const char *section)
{
	struct yg_err err = {0};
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(4096);
	json_t *ports YG_AUTO(yg_json) = NULL;
	int64_t port = 0;
	if (yg_fs_read(AT_FDCWD, path, &text, &err) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), 4096, &ports, &err) < 0 ||
		yg_json_int(ports, section, 1, 65535, &port, &err) < 0)
		return 0;
	return port;
}

static int open_port(const struct manager *manager, const char *section, const char *path,
	struct yg_err *err)
{
	const char *address = yg_conf_text(manager->conf, section, "bind");
	int64_t port = yg_conf_int(manager->conf, section, "port");
	int64_t before = port == 0 ? port_before(path, section) : 0;
	struct yg_err taken = {0};
	int fd = before ? listen_on(section, address, before, &taken) : -1;
	return fd >= 0 ? fd : listen_on(section, address, port, err);
}

static int open_ports(struct manager *manager, struct yg_err *err)
{
	char *path YG_AUTO(mem) = yg_str_format("%s/ports.json", manager->run);
	if (!path)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	manager->web_fd = open_port(manager, "web", path, err);
	if (manager->web_fd < 0)
		return -1;
	manager->session_fd = open_port(manager, "session", path, err);
	if (manager->session_fd < 0)
		return -1;
	char *text YG_AUTO(mem) = yg_str_format("{\"session\":%d,\"web\":%d}\n",
		port_of(manager->session_fd), port_of(manager->web_fd));
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_fs_replace(AT_FDCWD, path, yg_bytes_of(text), 0644, err);
}

/* ---- what each role gets ---- */

/* The names that a server certificate holds besides the Manager's URI. */
static json_t *names(const struct manager *manager)
{
	json_t *list = json_pack("[s, s, s]", "localhost", "127.0.0.1", "::1");
	char host[256];
	if (gethostname(host, sizeof(host)) == 0 && memchr(host, 0, sizeof(host)) && host[0])
		(void)json_array_append_new(list, json_string(host));
	const char *at = yg_conf_text(manager->conf, "manager", "names");
	for (at = at ? at : ""; *at && json_array_size(list) < NAMES_MAX;) {
		at += strspn(at, " \t");
		size_t len = strcspn(at, " \t");
		if (len)
			(void)json_array_append_new(list, json_stringn(at, len));
		at += len;
	}
	return list;
}

/* What the network plan says of this Manager: its names, where it listens, and where its database is, when that is
 * another computer's.
 */
static json_t *site(const struct manager *manager)
{
	static const char *const own[] = {"localhost", "127.0.0.1", "::1"};
	json_t *all YG_AUTO(yg_json) = names(manager);
	json_t *list = json_array();
	for (size_t i = YG_COUNT(own); i < json_array_size(all); i++)
		(void)json_array_append(list, json_array_get(all, i));
	json_t *made = json_pack("{s:{s:o, s:i, s:i}}", "manager", "names", list, "web_port",
		port_of(manager->web_fd), "agent_port", port_of(manager->session_fd));
	const char *at = strstr(manager->url, "://");
	if (strncmp(manager->url, "postgresql:", 11) != 0 || !at)
		return made;
	at += 3;
	size_t len = strcspn(at, "/?");
	const char *user = memchr(at, '@', len);
	const char *host = user ? user + 1 : at;
	len -= (size_t)(host - at);
	size_t name = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?");
	uint64_t port = 5432;
	struct yg_err ignored = {0};
	char *digits YG_AUTO(mem) = name < len
		? yg_str_format("%.*s", (int)(len - name - 1), host + name + 1)
		: NULL;
	if (digits)
		(void)!yg_str_u64(digits, 65535, &port, &ignored);
	if (len > 0)
		(void)json_object_set_new(made, "database",
			json_pack("{s:o, s:I}", "host", json_stringn(host, name < len ? name : len),
				"port", (json_int_t)port));
	return made;
}

/* Print a key that people need: once, to stdout and where --print-key-to says. */
static void got_key(void *ctx, json_t *result, const struct yg_err *err)
{
	struct manager *manager = ctx;
	struct yg_err why = {0};
	if (err->code != YG_OK) {
		if (err->code != YG_EAGAIN)
			yg_log_err(YG_LOG_ERROR, "manager.first_key", err);
		return;
	}
	const char *key = json_string_value(json_object_get(result, "key"));
	if (!key)
		return;
	(void)printf("admin key: %s\n", key);
	(void)fflush(stdout);
	char *line YG_AUTO(mem) = yg_str_format("%s\n", key);
	if (manager->key_file && line &&
		yg_fs_replace(AT_FDCWD, manager->key_file, yg_bytes_of(line), 0600, &why) < 0)
		yg_log_err(YG_LOG_ERROR, "manager.first_key", &why);
}

static void got_new_key(void *ctx, json_t *result, const struct yg_err *err)
{
	struct manager *manager = ctx;
	if (err->code == YG_OK)
		manager->new_key = NULL; /* once, however often the store starts */
	got_key(ctx, result, err);
}

/* Our end of the channel is gone with its store: the next one gets a new channel. */
static void store_closed(void *ctx, struct yg_ipc *ipc)
{
	struct manager *manager = ctx;
	(void)ipc;
	call_link_drop(&manager->store);
}

/* A channel of our own to the store that starts now, and the first thing to ask it. */
static int store_channel(struct manager *manager)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	fd_free_at(&manager->store_end);
	manager->store_end = pair[1];
	call_link_set(&manager->store, manager->loop, pair[0], "store", NULL, store_closed,
		manager);
	call_store(&manager->store, "keys.first", json_object(), NULL, NULL, got_key, manager);
	if (manager->new_key)
		call_store(&manager->store, "keys.create",
			json_pack("{s:s, s:s}", "name", manager->new_key, "role", "full"), NULL,
			NULL, got_new_key, manager);
	return pair[1];
}

static json_t *config_of(void *ctx, const char *role, int fds[YG_IPC_FDS_MAX], size_t *fd_count)
{
	struct manager *manager = ctx;
	json_t *config = json_pack("{s:s, s:s}", "user", manager->user, "log_level",
		yg_conf_text(manager->conf, "manager", "log_level"));
	*fd_count = 0;
	if (strcmp(role, "store") == 0) {
		(void)json_object_set_new(config, "database", json_string(manager->url));
		(void)json_object_set_new(config, "state", json_string(manager->state));
		(void)json_object_set_new(config, "site", site(manager));
		fds[(*fd_count)++] = manager->state_fd;
		fds[(*fd_count)++] = store_channel(manager);
		fds[(*fd_count)++] = manager->settings_fd;
	} else if (strcmp(role, "ca") == 0) {
		(void)json_object_set_new(config, "names", names(manager));
		fds[(*fd_count)++] = manager->master_fd;
		fds[(*fd_count)++] = manager->bundle_fd;
	} else if (strcmp(role, "content") == 0) {
		fds[(*fd_count)++] = manager->tuf_fd;
		/* Looked for at each start: it may come later than the Manager. */
		static int root_fd = -1;
		struct yg_err err = {0};
		fd_free_at(&root_fd);
		root_fd = yg_fs_open(AT_FDCWD, manager->content_root, &err);
		if (root_fd >= 0)
			fds[(*fd_count)++] = root_fd;
		(void)json_object_set_new(config, "root_path", json_string(manager->content_root));
	} else {
		fds[(*fd_count)++] = strcmp(role, "web") == 0 ? manager->web_fd
							      : manager->session_fd;
	}
	return config;
}

/* ---- running ---- */

static void stopped(void *ctx)
{
	yg_loop_stop(((struct manager *)ctx)->loop);
}

static void told_to_stop(void *ctx, int signo)
{
	struct manager *manager = ctx;
	yg_log(YG_LOG_NOTICE, "manager.stopping", "stopping: %s", strsignal(signo));
	(void)sd_notify(0, "STOPPING=1");
	yg_super_stop(manager->super, stopped, manager);
}

static void ready(void *ctx)
{
	struct manager *manager = ctx;
	yg_log(YG_LOG_NOTICE, "manager.ready", "ready: REST API on port %d, agents on port %d",
		port_of(manager->web_fd), port_of(manager->session_fd));
	(void)sd_notifyf(0, "READY=1\nMAINPID=%ld\nSTATUS=REST API on port %d, agents on port %d",
		(long)getpid(), port_of(manager->web_fd), port_of(manager->session_fd));
}

static void watchdog(void *ctx)
{
	struct manager *manager = ctx;
	(void)sd_notify(0, "WATCHDOG=1");
	yg_timer_set(manager->watchdog, manager->watchdog_ms);
}

static int start(struct manager *manager, struct yg_err *err)
{
	manager->loop = yg_loop_new(err);
	if (!manager->loop || open_files(manager, err) < 0 || open_ports(manager, err) < 0)
		return -1;
	manager->super = yg_super_new(manager->loop, roles, config_of, manager, err);
	manager->watchdog = yg_loop_timer(manager->loop, watchdog, manager);
	if (!manager->super || !manager->watchdog ||
		yg_loop_signal(manager->loop, SIGTERM, told_to_stop, manager, err) < 0 ||
		yg_loop_signal(manager->loop, SIGINT, told_to_stop, manager, err) < 0)
		return -1;
	uint64_t us = 0;
	if (sd_watchdog_enabled(0, &us) > 0) {
		manager->watchdog_ms = (int64_t)(us / 3000) + 1;
		watchdog(manager);
	}
	yg_super_rings(manager->super, manager->rings_fd);
	yg_super_on_ready(manager->super, ready, manager);
	yg_super_start(manager->super);
	return 0;
}

static void manager_free(struct manager *manager)
{
	call_link_drop(&manager->store);
	yg_super_free(manager->super);
	yg_timer_free(manager->watchdog);
	yg_loop_free(manager->loop);
	int *fds[] = {&manager->state_fd, &manager->tuf_fd, &manager->master_fd,
		&manager->settings_fd, &manager->bundle_fd, &manager->web_fd, &manager->session_fd,
		&manager->store_end, &manager->rings_fd};
	for (size_t i = 0; i < YG_COUNT(fds); i++)
		fd_free_at(fds[i]);
	char *texts[] = {manager->state, manager->run, manager->url, manager->master_key,
		manager->content_root};
	for (size_t i = 0; i < YG_COUNT(texts); i++)
		free(texts[i]);
	yg_conf_free(manager->conf);
}

/* ---- the command line ---- */

static void help(FILE *out)
{
	(void)fputs(
		"usage: yagura-manager [OPTION]...\n"
		"The Yagura Manager: REST API for people, sessions of agents.\n\n"
		"  --config FILE        read this configuration (/etc/yagura/manager.conf)\n"
		"  --check-config       read it, say what is wrong with it, end\n"
		"  --root DIR           put everything under DIR; needs no configuration\n"
		"  --print-key-to FILE  write the first admin key there too, when it is made\n"
		"  --new-key NAME       make another admin key of this name and print it\n"
		"  --help, --help-config, --version\n\n"
		"On its first start it makes its master key, its certificate authority and the first\n"
		"admin key, which is printed to standard output, once. See yagura-manager(8).\n",
		out);
}

struct choice {
	const char *config; /* NULL: the usual place, which may be missing */
	bool check;
};

static int load(struct manager *manager, const struct choice *choice, struct yg_err *err)
{
	manager->conf = yg_conf_new(manager_options, err);
	char *usual YG_AUTO(mem) = yg_str_format("%s%s/manager.conf", manager->root, YG_SYSCONFDIR);
	if (!manager->conf || !usual)
		return -1;
	if (yg_conf_load(manager->conf, choice->config ? choice->config : usual, err) < 0 &&
		(choice->config || err->code != YG_EABSENT))
		return -1;
	*err = (struct yg_err){0};
	enum yg_level level = YG_LOG_INFO;
	if (yg_log_level_parse(yg_conf_text(manager->conf, "manager", "log_level"), &level, err) <
		0)
		return yg_wrap(err, "[manager] log_level");
	yg_log_init("manager", level);
	return place_all(manager, err);
}

static void choose_user(struct manager *manager)
{
	const char *user = yg_conf_text(manager->conf, "manager", "user");
	manager->user = user && geteuid() == 0 ? user : "";
	if (manager->user[0] && !getpwnam(manager->user)) {
		yg_log(YG_LOG_WARN, "manager.user",
			"user '%s' does not exist: the roles stay root, with no capabilities",
			manager->user);
		manager->user = "";
	}
}

static int run(struct manager *manager, const struct choice *choice)
{
	struct yg_err err = {0};
	if (load(manager, choice, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "manager.config", &err);
		return EXIT_FAILURE;
	}
	if (choice->check) {
		(void)puts("the configuration is fine");
		return EXIT_SUCCESS;
	}
	choose_user(manager);
	if (start(manager, &err) < 0) {
		yg_log_err(YG_LOG_ERROR, "manager.start", &err);
		return EXIT_FAILURE;
	}
	yg_loop_run(manager->loop);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'C'},
		{"root", required_argument, NULL, 'r'},
		{"print-key-to", required_argument, NULL, 'k'},
		{"new-key", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{"help-config", no_argument, NULL, 'H'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	struct manager manager = {.root = "",
		.state_fd = -1,
		.tuf_fd = -1,
		.master_fd = -1,
		.settings_fd = -1,
		.bundle_fd = -1,
		.rings_fd = -1,
		.web_fd = -1,
		.session_fd = -1,
		.store_end = -1};
	struct choice choice = {0};
	char root[4096];
	yg_log_init("manager", YG_LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			choice.config = optarg;
			break;
		case 'C':
			choice.check = true;
			break;
		case 'r':
			if (!realpath(optarg, root)) {
				(void)fprintf(stderr, "yagura-manager: --root '%s': %s\n", optarg,
					strerror(errno));
				return EXIT_FAILURE;
			}
			manager.root = strcmp(root, "/") == 0 ? "" : root;
			break;
		case 'k':
			manager.key_file = optarg;
			break;
		case 'n':
			manager.new_key = optarg;
			break;
		case 'h':
			help(stdout);
			return EXIT_SUCCESS;
		case 'H':
			yg_conf_help(manager_options, stdout);
			return EXIT_SUCCESS;
		case 'v':
			(void)puts("yagura-manager " YG_VERSION);
			return EXIT_SUCCESS;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "yagura-manager: '%s': want options only; see --help\n",
			argv[optind]);
		return 2;
	}
	int status = run(&manager, &choice);
	manager_free(&manager);
	return status;
}
