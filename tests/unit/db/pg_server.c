/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pg_server.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"

static struct {
	char bin[512];
	char dir[64];
	char url[128];
	int to, from; /* the keeper's pipes */
	pid_t keeper;
} server = {.to = -1, .from = -1};

static bool find_in(const char *pattern)
{
	glob_t found;
	if (glob(pattern, 0, NULL, &found) != 0)
		return false;
	bool ok = false;
	for (size_t i = found.gl_pathc; i-- > 0 && !ok;) {
		char program[600];
		int len = snprintf(program, sizeof(program), "%s/postgres", found.gl_pathv[i]);
		ok = len > 0 && (size_t)len < sizeof(program) && access(program, X_OK) == 0 &&
			snprintf(server.bin, sizeof(server.bin), "%s", found.gl_pathv[i]) <
				(int)sizeof(server.bin);
	}
	globfree(&found);
	return ok;
}

static bool find(void)
{
	const char *given = getenv("YAGURA_PG_BIN");
	if (given)
		return find_in(given);
	const char *roots[] = {getenv("YAGURA_BUILD_ROOT"), getenv("YAGURA_SOURCE_ROOT")};
	static const char *const below[] = {"/servers/usr/lib/postgresql/*/bin",
		"/../servers/usr/lib/postgresql/*/bin", "/build/servers/usr/lib/postgresql/*/bin"};
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; roots[i] && k < 3; k++) {
			char pattern[600];
			int len = snprintf(pattern, sizeof(pattern), "%s%s", roots[i], below[k]);
			if (len > 0 && (size_t)len < sizeof(pattern) && find_in(pattern))
				return true;
		}
	}
	return find_in("/usr/lib/postgresql/*/bin");
}

static bool say(const char *file, const char *text)
{
	int fd YG_AUTO(fd) = open(file, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* PostgreSQL refuses to run as root, and looks its user up. In a user namespace we are nobody, to
 * whom root's files are still his own, also the server's programs below /root. Where no namespace is
 * allowed nobody gets the folder instead.
 */
static bool become_nobody(void)
{
	const struct passwd *user = getpwnam("nobody");
	if (!user)
		return false;
	if (unshare(CLONE_NEWUSER) == 0) {
		char uids[40];
		char gids[40];
		(void)snprintf(uids, sizeof(uids), "%u 0 1", (unsigned)user->pw_uid);
		(void)snprintf(gids, sizeof(gids), "%u 0 1", (unsigned)user->pw_gid);
		return say("/proc/self/setgroups", "deny") && say("/proc/self/uid_map", uids) &&
			say("/proc/self/gid_map", gids);
	}
	return chown(server.dir, user->pw_uid, user->pw_gid) == 0 && setgroups(0, NULL) == 0 &&
		setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0;
}

/* In the child: become nobody in particular, say nothing, and run. */
static __attribute__((noreturn)) void run(const char *program, char *argv[])
{
	char path[600];
	int len = snprintf(path, sizeof(path), "%s/%s", server.bin, program);
	if (len < 0 || (size_t)len >= sizeof(path))
		_exit(126);
	if (geteuid() == 0 && !become_nobody())
		_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)dup2(null, 0);
	(void)dup2(null, 1);
	(void)dup2(null, 2);
	if (chdir(server.dir) < 0)
		_exit(126);
	/* A server that is only unpacked brings libraries of its own. */
	const char *libraries = getenv("YAGURA_PG_LIB");
	if (libraries && setenv("LD_LIBRARY_PATH", libraries, 1) < 0)
		_exit(126);
	argv[0] = path; /* by which it finds the other programs and its files */
	execv(path, argv);
	_exit(127);
}

static bool initdb(void)
{
	char data[80];
	(void)snprintf(data, sizeof(data), "%s/data", server.dir);
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)(uintptr_t) "initdb", (char *)(uintptr_t) "-D", data,
			(char *)(uintptr_t) "-A", (char *)(uintptr_t) "trust",
			(char *)(uintptr_t) "-U", (char *)(uintptr_t) "postgres",
			(char *)(uintptr_t) "--no-sync", (char *)(uintptr_t) "-E",
			(char *)(uintptr_t) "UTF8", (char *)(uintptr_t) "--locale=C.UTF-8", NULL};
		run("initdb", argv);
	}
	int status = 0;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool answers(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int len = snprintf(to.sun_path, sizeof(to.sun_path), "%s/.s.PGSQL.5432", server.dir);
	if (len < 0 || (size_t)len >= sizeof(to.sun_path))
		return false;
	int fd YG_AUTO(fd) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static pid_t postgres(void)
{
	char data[80];
	char sock[80];
	(void)snprintf(data, sizeof(data), "%s/data", server.dir);
	(void)snprintf(sock, sizeof(sock), "%s", server.dir);
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)(uintptr_t) "postgres", (char *)(uintptr_t) "-D", data,
			(char *)(uintptr_t) "-k", sock, (char *)(uintptr_t) "-c",
			(char *)(uintptr_t) "listen_addresses=", (char *)(uintptr_t) "-c",
			(char *)(uintptr_t) "fsync=off", (char *)(uintptr_t) "-c",
			(char *)(uintptr_t) "shared_buffers=16MB", (char *)(uintptr_t) "-c",
			(char *)(uintptr_t) "max_connections=10", NULL};
		run("postgres", argv);
	}
	for (int i = 0; pid > 0 && i < 300; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -1;
		if (answers())
			return pid;
		(void)usleep(50000);
	}
	return pid;
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGQUIT);
	(void)waitpid(pid, NULL, 0);
}

/* Lives beside the test: end of file on its pipe means that the test is gone. */
static __attribute__((noreturn)) void keep(int from, int to)
{
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	pid_t pid = initdb() ? postgres() : -1;
	char word = pid > 0 ? 'y' : 'n';
	while (write(to, &word, 1) == 1 && read(from, &word, 1) == 1) {
		end(pid);
		pid = word == 'r' ? postgres() : -1;
		word = 'y';
	}
	end(pid);
	struct yg_err err = {0};
	_exit(yg_fs_remove(AT_FDCWD, server.dir, &err) == 0 ? 0 : 1);
}

static bool heard(void)
{
	char word = 'n';
	return read(server.from, &word, 1) == 1 && word == 'y';
}

const char *pg_server_start(const char **why)
{
	if (!find()) {
		*why = "no PostgreSQL server programs (YAGURA_PG_BIN, build/servers, /usr/lib/postgresql)";
		return NULL;
	}
	(void)snprintf(server.dir, sizeof(server.dir), "/tmp/yagura-pg-XXXXXX");
	if (!mkdtemp(server.dir) || chmod(server.dir, 0755) < 0) {
		*why = "no temporary folder";
		return NULL;
	}
	int down[2];
	int up[2];
	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0) {
		*why = "no pipe";
		return NULL;
	}
	server.keeper = fork();
	if (server.keeper == 0) {
		(void)close(down[1]);
		(void)close(up[0]);
		keep(down[0], up[1]);
	}
	(void)close(down[0]);
	(void)close(up[1]);
	server.to = down[1];
	server.from = up[0];
	if (!heard()) {
		*why = "PostgreSQL did not start";
		pg_server_stop();
		return NULL;
	}
	(void)snprintf(server.url, sizeof(server.url), "postgresql://postgres@/postgres?host=%s",
		server.dir);
	return server.url;
}

bool pg_server_crash(bool again)
{
	char word = again ? 'r' : 's';
	return write(server.to, &word, 1) == 1 && heard();
}

void pg_server_stop(void)
{
	if (server.to < 0)
		return;
	(void)close(server.to);
	(void)close(server.from);
	server.to = server.from = -1;
	(void)waitpid(server.keeper, NULL, 0);
}
