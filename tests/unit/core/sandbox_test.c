/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Each row of denials is tried in a child that has entered the sandbox; the child's exit status says
 * what happened. Nothing here may depend on being root, but being root makes the test sharper: what
 * is denied then is denied by the sandbox alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/sandbox.h"
#include "tests/lib/cmocka_all.h"

static char dir[] = "/tmp/sandbox_test.XXXXXX";

/* ---- tries: 0 when allowed, else errno ---- */

static int outcome(long rc)
{
	return rc < 0 ? errno : 0;
}

static int try_open(void)
{
	return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_create(void)
{
	return outcome(open("/tmp/sandbox_test.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_own_write(void)
{
	int fd = openat(open(dir, O_PATH | O_CLOEXEC), "made", O_WRONLY | O_CREAT | O_CLOEXEC,
		0600);
	return outcome(fd);
}

static int try_own_read(void)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/there", dir);
	return outcome(open(path, O_RDONLY | O_CLOEXEC));
}

static int try_socket(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_unix(void)
{
	return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_raw(void)
{
	return outcome(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return errno;
	return outcome(listen(fd, 1));
}

static int try_exec(void)
{
	const char *const argv[] = {"/bin/true", NULL};
	(void)execv("/bin/true", (char *const *)(uintptr_t)argv);
	return errno;
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	return outcome(waitpid(pid, NULL, 0));
}

static int try_kill(void)
{
	return outcome(kill(getppid(), 0));
}

static int try_ptrace(void)
{
	return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_mount(void)
{
	return outcome(mount("none", dir, "tmpfs", 0, NULL));
}

static int try_bpf(void)
{
	return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_io_uring(void)
{
	return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_setuid(void)
{
	return outcome(setuid(12345));
}

static int try_unshare(void)
{
	return outcome(syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
}

static int try_limit(void)
{
	struct rlimit big = {.rlim_cur = 64, .rlim_max = 64};
	return outcome(setrlimit(RLIMIT_NOFILE, &big));
}

static void *nothing(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, nothing, NULL);
	if (rc == 0)
		(void)pthread_join(thread, NULL);
	return rc;
}

static int try_resolve(void)
{
	struct addrinfo *list = NULL;
	int rc = getaddrinfo("localhost", "80", NULL, &list);
	if (rc == 0)
		freeaddrinfo(list);
	return rc == 0 ? 0 : EHOSTUNREACH;
}

/* Memory, the loop with its timers, descriptors in memory: what every role lives on. */
static void *block;
static bool fired;

static void fire(void *ctx)
{
	fired = true;
	yg_loop_stop(ctx);
}

static int try_base(void)
{
	struct yg_err err = {0};
	for (size_t size = 16; size < (16u << 20); size *= 4) {
		block = malloc(size);
		if (!block)
			return ENOMEM;
		memset(block, 1, size);
		free(block);
	}
	struct yg_loop *loop YG_AUTO(yg_loop) = yg_loop_new(&err);
	struct yg_timer *timer = loop ? yg_loop_timer(loop, fire, loop) : NULL;
	if (!timer)
		return EIO;
	yg_timer_set(timer, 1);
	yg_loop_run(loop);
	yg_timer_free(timer);
	int fd YG_AUTO(fd) = yg_fs_memfd("x", yg_bytes_of("text"), &err);
	struct stat st;
	if (!fired || fd < 0 || fstat(fd, &st) < 0 || st.st_size != 4)
		return EIO;
	return 0;
}

/* ---- the machinery ---- */

static int child(const struct yg_sandbox *box, int (*what)(void))
{
	struct yg_err err = {0};
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (yg_sandbox_enter(box, &err) < 0) {
			(void)dprintf(2, "%s\n", err.msg);
			_exit(250);
		}
		_exit(what());
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 251;
}

static void each_group_opens_only_its_own(void **unused)
{
	(void)unused;
	if (!yg_sandbox_walls())
		skip();
	static const struct {
		const char *name;
		int (*what)(void);
		unsigned allowed_with; /* any of these groups */
	} tries[] = {
		{"create elsewhere", try_create, 0},
		{"open /etc/passwd", try_open, 0},
		{"write its own folder", try_own_write, YG_SYS_FILES},
		{"read its own folder", try_own_read, YG_SYS_FILES | YG_SYS_CONNECT},
		{"TCP socket", try_socket, YG_SYS_CONNECT | YG_SYS_LISTEN},
		{"Unix socket", try_unix, YG_SYS_LISTEN},
		{"packet socket", try_raw, 0},
		{"listen", try_listen, YG_SYS_LISTEN},
		{"fork", try_fork, YG_SYS_SPAWN},
		{"kill", try_kill, YG_SYS_SPAWN},
		{"thread", try_thread, YG_SYS_THREADS | YG_SYS_SPAWN},
		{"ptrace", try_ptrace, 0},
		{"mount", try_mount, 0},
		{"bpf", try_bpf, 0},
		{"io_uring", try_io_uring, 0},
		{"setuid", try_setuid, 0},
		{"unshare", try_unshare, 0},
		{"setrlimit", try_limit, 0},
		{"resolve localhost", try_resolve, YG_SYS_CONNECT},
	};
	static const unsigned groups[] = {0, YG_SYS_FILES, YG_SYS_CONNECT, YG_SYS_LISTEN,
		YG_SYS_SPAWN, YG_SYS_THREADS, YG_SYS_FILES | YG_SYS_THREADS,
		YG_SYS_CONNECT | YG_SYS_THREADS, YG_SYS_FILES | YG_SYS_CONNECT | YG_SYS_LISTEN,
		YG_SYS_FILES | YG_SYS_CONNECT | YG_SYS_LISTEN | YG_SYS_SPAWN | YG_SYS_THREADS};
	struct yg_sandbox_path own = {.fd = open(dir, O_PATH | O_CLOEXEC), .write = true};
	assert_true(own.fd >= 0);
	for (size_t g = 0; g < YG_COUNT(groups); g++) {
		const struct yg_sandbox box = {.syscalls = groups[g],
			.paths = &own,
			.path_count = 1};
		assert_int_equal(child(&box, try_base), 0);
		if (!(groups[g] & YG_SYS_SPAWN))
			assert_int_equal(child(&box, try_exec), EPERM);
		for (size_t t = 0; t < YG_COUNT(tries); t++) {
			int got = child(&box, tries[t].what);
			bool want = (groups[g] & tries[t].allowed_with) != 0;
			bool right = want ? got == 0
					  : got == EPERM || got == EACCES || got == EHOSTUNREACH;
			if (!right)
				fail_msg("groups %#x: %s: want %s, have %d (%s)", groups[g],
					tries[t].name, want ? "allowed" : "denied", got,
					strerror(got));
		}
	}
	(void)close(own.fd);
}

static void read_only_paths_cannot_be_written(void **unused)
{
	(void)unused;
	if (!yg_sandbox_walls())
		skip();
	struct yg_sandbox_path own = {.fd = open(dir, O_PATH | O_CLOEXEC), .write = false};
	const struct yg_sandbox box = {.syscalls = YG_SYS_FILES, .paths = &own, .path_count = 1};
	assert_int_equal(child(&box, try_own_read), 0);
	(void)unlinkat(own.fd, "made", 0);
	assert_int_equal(child(&box, try_own_write), EACCES);
	(void)close(own.fd);
}

static int narrow_and_read(void)
{
	struct yg_err err = {0};
	if (try_own_read() != 0 || yg_sandbox_narrow(NULL, 0, &err) < 0)
		return EIO;
	return try_own_read();
}

static void narrowing_takes_the_rest(void **unused)
{
	(void)unused;
	if (!yg_sandbox_walls())
		skip();
	struct yg_sandbox_path own = {.fd = open(dir, O_PATH | O_CLOEXEC), .write = true};
	const struct yg_sandbox box = {.syscalls = YG_SYS_FILES, .paths = &own, .path_count = 1};
	assert_int_equal(child(&box, narrow_and_read), EACCES);
	(void)close(own.fd);
}

static int count_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	if (syscall(SYS_capget, &head, data) < 0)
		return 200;
	return __builtin_popcount(data[0].effective | data[0].permitted | data[0].inheritable) +
		__builtin_popcount(data[1].effective | data[1].permitted | data[1].inheritable);
}

static int count_bounding(void)
{
	int n = 0;
	for (int cap = 0; cap < 64; cap++)
		n += prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1;
	return n;
}

static int uids(void)
{
	return getuid() == 65534 && geteuid() == 65534 && getgid() == 65534 &&
			getgroups(0, NULL) == 0
		? count_capabilities()
		: 99;
}

static void capabilities_and_user_are_gone(void **unused)
{
	(void)unused;
	const struct yg_sandbox none = {.all_paths = true};
	assert_int_equal(child(&none, count_capabilities), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(child(&none, count_bounding), 0);
	const struct yg_sandbox some = {.all_paths = true,
		.capabilities = 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_KILL};
	assert_int_equal(child(&some, count_capabilities), 2);
	assert_int_equal(child(&some, count_bounding), 2);
	const struct yg_sandbox nobody = {.all_paths = true, .user = "nobody"};
	assert_int_equal(child(&nobody, uids), 0);
	const struct yg_sandbox reader = {.all_paths = true,
		.user = "nobody",
		.capabilities = 1ull << CAP_DAC_READ_SEARCH};
	assert_int_equal(child(&reader, uids), 1);
}

static void unknown_user_is_named(void **unused)
{
	(void)unused;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct yg_err err = {0};
		const struct yg_sandbox box = {.all_paths = true, .user = "no-such-user"};
		bool right = yg_sandbox_enter(&box, &err) < 0 &&
			strcmp(err.msg, "sandbox: there is no user 'no-such-user'") == 0;
		_exit(right ? 0 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int eat(void)
{
	void *much = mmap(NULL, 512u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	return much == MAP_FAILED ? errno : 0;
}

static int open_many(void)
{
	for (int i = 0; i < 100; i++)
		if (dup(0) < 0)
			return errno;
	return 0;
}

static void limits_hold(void **unused)
{
	(void)unused;
	const struct yg_sandbox files = {.all_paths = true, .files_max = 32};
	assert_int_equal(child(&files, open_many), EMFILE);
	if (!yg_sandbox_walls())
		skip();
	const struct yg_sandbox box = {.all_paths = true, .memory_max = 256u << 20};
	assert_int_equal(child(&box, eat), ENOMEM);
}

static int setup(void **unused)
{
	(void)unused;
	if (!mkdtemp(dir))
		return -1;
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/there", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **unused)
{
	(void)unused;
	struct yg_err err = {0};
	return yg_fs_remove(AT_FDCWD, dir, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_group_opens_only_its_own),
		cmocka_unit_test(read_only_paths_cannot_be_written),
		cmocka_unit_test(narrowing_takes_the_rest),
		cmocka_unit_test(capabilities_and_user_are_gone),
		cmocka_unit_test(unknown_user_is_named),
		cmocka_unit_test(limits_hold),
	};
	return cmocka_run_group_tests_name("core/sandbox", tests, setup, teardown);
}
