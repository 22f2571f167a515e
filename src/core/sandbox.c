/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

/* Two walls, because either may be missing or have a hole: seccomp says which system calls exist,
 * Landlock says which paths do. Both only ever take away, also for uid 0.
 *
 * Under a sanitizer neither is put up: ASan's and LSan's reports need to read /proc, to make threads
 * and to trace them, and there a report is worth more than the wall. Capabilities and users change
 * there as everywhere.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#	define SANITIZED true
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                 \
		__has_feature(thread_sanitizer)
#		define SANITIZED true
#	endif
#endif
#ifndef SANITIZED
#	define SANITIZED false
#endif

bool yg_sandbox_walls(void)
{
	return !SANITIZED;
}

/* ---- Landlock: the kernel's interface by number, since headers lag behind kernels ---- */

#define LL_CREATE   444
#define LL_ADD_RULE 445
#define LL_RESTRICT 446

#define LL_VERSION      1u /* flag of LL_CREATE: tell the ABI */
#define LL_PATH_BENEATH 1  /* kind of rule */

#define LL_EXECUTE     (1ull << 0)
#define LL_WRITE_FILE  (1ull << 1)
#define LL_READ_FILE   (1ull << 2)
#define LL_READ_DIR    (1ull << 3)
#define LL_REMOVE_DIR  (1ull << 4)
#define LL_REMOVE_FILE (1ull << 5)
#define LL_MAKE_DIR    (1ull << 7)
#define LL_MAKE_REG    (1ull << 8)
#define LL_MAKE_SOCK   (1ull << 9)
#define LL_MAKE_SYM    (1ull << 12)
#define LL_REFER       (1ull << 13)
#define LL_TRUNCATE    (1ull << 14)
#define LL_ALL_ABI1    ((1ull << 13) - 1)
#define LL_IOCTL_DEV   (1ull << 15)

#define LL_SCOPE_ABSTRACT_UNIX (1ull << 0)
#define LL_SCOPE_SIGNAL        (1ull << 1)

#define LL_FOR_FILES (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)
#define LL_READ      (LL_READ_FILE | LL_READ_DIR)
#define LL_WRITE                                                                                   \
	(LL_READ | LL_WRITE_FILE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG |    \
		LL_MAKE_SOCK | LL_MAKE_SYM | LL_REFER | LL_TRUNCATE)

/* source  uapi/linux/landlock.h; the kernel takes a prefix of it, so older ABIs get less */
struct ll_ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct ll_path {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

static int ll_abi(void)
{
	return (int)syscall(LL_CREATE, NULL, 0, LL_VERSION);
}

static uint64_t ll_handled(int abi)
{
	return LL_ALL_ABI1 | (abi >= 2 ? LL_REFER : 0) | (abi >= 3 ? LL_TRUNCATE : 0) |
		(abi >= 5 ? LL_IOCTL_DEV : 0);
}

static int ll_allow(int ruleset, int fd, uint64_t access, struct yg_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return yg_fail_sys(err, errno, "a path for the sandbox");
	struct ll_path rule = {.access = S_ISDIR(st.st_mode) ? access : access & LL_FOR_FILES,
		.parent = fd};
	if (syscall(LL_ADD_RULE, ruleset, LL_PATH_BENEATH, &rule, 0) < 0)
		return yg_fail_sys(err, errno, "allowing a path in the sandbox");
	return 0;
}

/* What the C library reads to find addresses of names, and to load its modules for that. */
static const char *const resolver_paths[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf",
	"/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/ld.so.cache",
	"/run/systemd/resolve", "/run/NetworkManager", "/lib", "/usr/lib", "/lib64", "/usr/lib64"};

static int ll_allow_resolver(int ruleset, uint64_t handled, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(resolver_paths); i++) {
		int fd YG_AUTO(fd) = open(resolver_paths[i], O_PATH | O_CLOEXEC);
		if (fd >= 0 && ll_allow(ruleset, fd, LL_READ & handled, err) < 0)
			return -1;
	}
	return 0;
}

static int ll_enter(const struct yg_sandbox_path *paths, uint32_t count, unsigned syscalls,
	struct yg_err *err)
{
	int abi = ll_abi();
	if (abi <
		2) { /* ABI 1 forbids every link and rename between folders, with no way to allow it */
		yg_log(YG_LOG_WARN, "sandbox.landlock",
			"this kernel has no Landlock (ABI %d): paths are not restricted",
			abi < 0 ? 0 : abi);
		return 0;
	}
	struct ll_ruleset attr = {.fs = ll_handled(abi)};
	if (abi >= 6)
		attr.scoped = LL_SCOPE_ABSTRACT_UNIX |
			((syscalls & YG_SYS_SPAWN) ? 0 : LL_SCOPE_SIGNAL);
	size_t size = abi >= 6 ? sizeof(attr)
		: abi >= 4     ? offsetof(struct ll_ruleset, scoped)
			       : offsetof(struct ll_ruleset, net);
	int ruleset YG_AUTO(fd) = (int)syscall(LL_CREATE, &attr, size, 0);
	if (ruleset < 0)
		return yg_fail_sys(err, errno, "making a Landlock rule set");
	for (uint32_t i = 0; i < count; i++) {
		uint64_t access = (paths[i].write ? LL_WRITE : LL_READ) |
			(paths[i].run ? LL_EXECUTE : 0);
		if (ll_allow(ruleset, paths[i].fd, access & attr.fs, err) < 0)
			return -1;
	}
	if ((syscalls & YG_SYS_CONNECT) && ll_allow_resolver(ruleset, attr.fs, err) < 0)
		return -1;
	if (syscall(LL_RESTRICT, ruleset, 0) < 0)
		return yg_fail_sys(err, errno, "entering the Landlock rule set");
	return 0;
}

/* ---- seccomp ---- */

/* Everything that works on what a process has already, and nothing that reaches further. */
static const int base_calls[] = {
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
	SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(msync), SCMP_SYS(mlock), SCMP_SYS(munlock),
	SCMP_SYS(membarrier), SCMP_SYS(memfd_create),
	/* open descriptors */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(close_range),
	SCMP_SYS(fstat), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
	SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(flock), SCMP_SYS(sendfile),
	SCMP_SYS(copy_file_range), SCMP_SYS(fchmod), SCMP_SYS(fstatfs), SCMP_SYS(sync_file_range),
	SCMP_SYS(readahead),
	/* waiting */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd), SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
	SCMP_SYS(futex), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
	/* open sockets */
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
	SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(accept),
	SCMP_SYS(accept4),
	/* clocks, chance, and what the process may know of itself */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(times), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(getpgrp),
	SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname),
	SCMP_SYS(getcpu), SCMP_SYS(capget), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getpriority), SCMP_SYS(umask),
	/* signals, and the end */
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigpending), SCMP_SYS(tgkill),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* the C library's start of threads and their end */
	SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address), SCMP_SYS(arch_prctl), SCMP_SYS(prctl),
	/* still less */
	SCMP_SYS(seccomp), SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self)};

static const int files_calls[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink),
	SCMP_SYS(symlinkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(truncate),
	SCMP_SYS(utimensat), SCMP_SYS(chdir), SCMP_SYS(fchdir), SCMP_SYS(getcwd), SCMP_SYS(statfs),
	SCMP_SYS(creat)};

static const int connect_calls[] = {SCMP_SYS(connect), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(bind)};

static const int listen_calls[] = {SCMP_SYS(bind), SCMP_SYS(listen)};

static const int spawn_calls[] = {SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(fork),
	SCMP_SYS(vfork), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(wait4), SCMP_SYS(waitid),
	SCMP_SYS(kill), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(setsid),
	SCMP_SYS(setpgid), SCMP_SYS(dup2)};

static void filter_free(scmp_filter_ctx filter)
{
	if (filter)
		seccomp_release(filter);
}

static void filter_free_at(const scmp_filter_ctx *at)
{
	filter_free(*at);
}

/* A call that libseccomp, or this machine, does not know cannot be made either: no failure. */
static bool unknown(int rc)
{
	return rc == -EINVAL || rc == -EDOM || rc == -EEXIST || rc == -EFAULT;
}

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count, struct yg_err *err)
{
	for (size_t i = 0; i < count; i++) {
		int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (rc < 0 && !unknown(rc))
			return yg_fail_sys(err, -rc, "allowing system call %d", calls[i]);
	}
	return 0;
}

/* One call, if its argument `arg` has `value` in the bits of `mask`. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned arg, uint64_t mask, uint64_t value,
	struct yg_err *err)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
		SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
	if (rc < 0 && !unknown(rc))
		return yg_fail_sys(err, -rc, "allowing system call %d", call);
	return 0;
}

static int allow_base(scmp_filter_ctx filter, unsigned groups, struct yg_err *err)
{
	const uint64_t whole = UINT32_MAX; /* these arguments are ints */
	static const uint64_t ioctls[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
	if (allow_all(filter, base_calls, YG_COUNT(base_calls), err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(ioctls); i++)
		if (allow_if(filter, SCMP_SYS(ioctl), 1, whole, ioctls[i], err) < 0)
			return -1;
	/* fstat() of the C library is newfstatat(fd, "", …, AT_EMPTY_PATH). A filter cannot see that the
	 * name is empty: what is left is that a stat of some path can be asked for, never its content. */
	if (!(groups & (YG_SYS_FILES | YG_SYS_CONNECT)) &&
		allow_if(filter, SCMP_SYS(newfstatat), 3, whole, AT_EMPTY_PATH, err) < 0)
		return -1;
	/* Reading limits, not setting them: a null pointer as the new value. */
	if (allow_if(filter, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0, err) < 0)
		return -1;
	return allow_if(filter, SCMP_SYS(socketpair), 0, whole, AF_UNIX, err);
}

static int allow_connect(scmp_filter_ctx filter, unsigned groups, struct yg_err *err)
{
	static const uint64_t families[] = {AF_INET, AF_INET6, AF_NETLINK};
	if (allow_all(filter, connect_calls, YG_COUNT(connect_calls), err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(families); i++)
		if (allow_if(filter, SCMP_SYS(socket), 0, UINT32_MAX, families[i], err) < 0)
			return -1;
	if ((groups & YG_SYS_LOCAL) &&
		allow_if(filter, SCMP_SYS(socket), 0, UINT32_MAX, AF_UNIX, err) < 0)
		return -1;
	/* The resolver reads its files; nothing that creates or writes. */
	const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
	if (!(groups & YG_SYS_FILES))
		return allow_if(filter, SCMP_SYS(openat), 2, writing, O_RDONLY, err);
	return 0;
}

static int allow_listen(scmp_filter_ctx filter, struct yg_err *err)
{
	static const uint64_t families[] = {AF_INET, AF_INET6, AF_UNIX};
	if (allow_all(filter, listen_calls, YG_COUNT(listen_calls), err) < 0)
		return -1;
	for (size_t i = 0; i < YG_COUNT(families); i++)
		if (allow_if(filter, SCMP_SYS(socket), 0, UINT32_MAX, families[i], err) < 0)
			return -1;
	return 0;
}

static int allow_threads(scmp_filter_ctx filter, unsigned groups, struct yg_err *err)
{
	if (groups & YG_SYS_SPAWN)
		return 0;
	const uint64_t thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
	if (allow_if(filter, SCMP_SYS(clone), 0, thread, thread, err) < 0)
		return -1;
	/* clone3 keeps its flags in memory, out of our sight; told that it does not exist, the C library
	 * falls back to clone. */
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc < 0 && !unknown(rc))
		return yg_fail_sys(err, -rc, "clone3");
	return 0;
}

/* Its own only: process 0 in both calls, which is whoever asks. */
static int allow_limits(scmp_filter_ctx filter, struct yg_err *err)
{
	if (allow_if(filter, SCMP_SYS(prlimit64), 0, UINT32_MAX, 0, err) < 0)
		return -1;
	return allow_if(filter, SCMP_SYS(setpriority), 1, UINT32_MAX, 0, err);
}

static int filter_enter(unsigned groups, struct yg_err *err)
{
	scmp_filter_ctx filter YG_AUTO(filter) = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return yg_fail_sys(err, ENOMEM, "making the system call filter");
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE,
		2); /* a binary tree: fewer steps */
	if (allow_base(filter, groups, err) < 0)
		return -1;
	if ((groups & YG_SYS_FILES) &&
		allow_all(filter, files_calls, YG_COUNT(files_calls), err) < 0)
		return -1;
	if ((groups & YG_SYS_SPAWN) &&
		allow_all(filter, spawn_calls, YG_COUNT(spawn_calls), err) < 0)
		return -1;
	if ((groups & YG_SYS_CONNECT) && allow_connect(filter, groups, err) < 0)
		return -1;
	if ((groups & YG_SYS_LISTEN) && allow_listen(filter, err) < 0)
		return -1;
	if ((groups & YG_SYS_THREADS) && allow_threads(filter, groups, err) < 0)
		return -1;
	if ((groups & YG_SYS_LIMITS) && allow_limits(filter, err) < 0)
		return -1;
	int rc = seccomp_load(filter);
	if (rc < 0)
		return yg_fail_sys(err, -rc, "entering the system call filter");
	return 0;
}

/* ---- users, capabilities, limits ---- */

static int find_user(const char *name, struct passwd *out, char *text, size_t size,
	struct yg_err *err)
{
	struct passwd *found = NULL;
	int rc = getpwnam_r(name, out, text, size, &found);
	if (rc != 0)
		return yg_fail_sys(err, rc, "looking up user '%s'", name);
	if (!found)
		return yg_fail(err, YG_ESYSTEM, "there is no user '%s'", name);
	return 0;
}

/* Become another user, but keep the permitted capabilities for drop_capabilities to choose from. */
static int become(const char *user, struct yg_err *err)
{
	struct passwd pw;
	char text[4096];
	if (find_user(user, &pw, text, sizeof(text), err) < 0)
		return -1;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return yg_fail_sys(err, errno, "keeping capabilities");
	if (setgroups(0, NULL) < 0 || setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid) < 0 ||
		setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid) < 0)
		return yg_fail_sys(err, errno, "becoming user '%s'", user);
	return 0;
}

static int drop_capabilities(uint64_t keep, struct yg_err *err)
{
	if (capng_get_caps_process() < 0)
		return yg_fail(err, YG_ESYSTEM, "reading capabilities");
	uint64_t have = 0;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			have |= 1ull << cap;
	bool bounding = (have >> CAP_SETPCAP & 1) != 0;

	/* The bounding set first, while we may: what is not in it never comes back, by no exec. */
	for (int cap = 0; bounding && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
			errno != EPERM)
			return yg_fail_sys(err, errno,
				"dropping capability %d from the bounding set", cap);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	const int kept = CAPNG_EFFECTIVE | CAPNG_PERMITTED;
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if ((keep & have) >> cap & 1)
			(void)capng_update(CAPNG_ADD, (capng_type_t)kept, cap);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return yg_fail(err, YG_ESYSTEM, "dropping capabilities");
	return 0;
}

static int limit(int what, uint64_t value, const char *name, struct yg_err *err)
{
	struct rlimit now;
	if (value == 0)
		return 0;
	if (getrlimit((__rlimit_resource_t)what, &now) < 0)
		return yg_fail_sys(err, errno, "reading the limit of %s", name);
	if (now.rlim_max < value)
		value = now.rlim_max;
	struct rlimit to = {.rlim_cur = value, .rlim_max = value};
	if (setrlimit((__rlimit_resource_t)what, &to) < 0)
		return yg_fail_sys(err, errno, "limiting %s", name);
	return 0;
}

int yg_sandbox_enter(const struct yg_sandbox *box, struct yg_err *err)
{
	int with_parent = 0;
	(void)prctl(PR_GET_PDEATHSIG, &with_parent, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return yg_fail_sys(err, errno, "sandbox: no_new_privs");
	/* A sanitizer's shadow memory is terabytes of address space. */
	if ((!SANITIZED && limit(RLIMIT_AS, box->memory_max, "memory", err) < 0) ||
		limit(RLIMIT_NOFILE, box->files_max, "open files", err) < 0)
		return yg_wrap(err, "sandbox");
	if (box->user && geteuid() == 0 && become(box->user, err) < 0)
		return yg_wrap(err, "sandbox");
	if (drop_capabilities(box->capabilities, err) < 0)
		return yg_wrap(err, "sandbox");
	/* A change of user forgets that we want to end with our parent. */
	if (with_parent > 0 && prctl(PR_SET_PDEATHSIG, with_parent, 0, 0, 0) < 0)
		return yg_fail_sys(err, errno, "sandbox: ending with the parent");
	if (SANITIZED)
		return 0;
	if (!box->all_paths && ll_enter(box->paths, box->path_count, box->syscalls, err) < 0)
		return yg_wrap(err, "sandbox");
	if (!(box->syscalls & YG_SYS_ALL) && filter_enter(box->syscalls, err) < 0)
		return yg_wrap(err, "sandbox");
	return 0;
}

int yg_sandbox_narrow(const struct yg_sandbox_path *paths, uint32_t count, struct yg_err *err)
{
	if (SANITIZED)
		return 0;
	if (ll_enter(paths, count, 0, err) < 0)
		return yg_wrap(err, "sandbox");
	return 0;
}
