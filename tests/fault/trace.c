/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tests/fault/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

#define END 0
static const int of_create[] = {ENOSPC, EIO, EMFILE, ENOMEM, EROFS, EINTR, EDQUOT, END};
static const int of_open[] = {EIO, EMFILE, ENFILE, ENOMEM, EINTR, END};
static const int of_write[] = {ENOSPC, EIO, EINTR, EROFS, EDQUOT, ENOMEM, END};
static const int of_sync[] = {EIO, ENOSPC, EINTR, EROFS, EDQUOT, END};
static const int of_name[] = {ENOSPC, EIO, ENOMEM, EROFS, EDQUOT, END};
static const int of_mode[] = {EIO, EROFS, ENOMEM, END};
static const int of_read[] = {EIO, EINTR, ENOMEM, END};
static const int of_list[] = {EIO, ENOMEM, END};
static const int of_memory[] = {ENOMEM, END};

#define CALL(name, errors, always)                                                                 \
	{                                                                                          \
		SYS_##name, #name, errors, always                                                  \
	}

static const struct {
	int nr;
	const char *name;
	const int *errors;
	bool changes; /* else only with TRACE_ALL; openat is looked at more closely */
} calls[] = {
	CALL(openat, of_open, false),
	CALL(write, of_write, true),
	CALL(pwrite64, of_write, true),
	CALL(writev, of_write, true),
	CALL(ftruncate, of_write, true),
	CALL(fallocate, of_write, true),
	CALL(copy_file_range, of_write, true),
	CALL(fsync, of_sync, true),
	CALL(fdatasync, of_sync, true),
	CALL(fchmod, of_mode, true),
	CALL(linkat, of_name, true),
	CALL(symlinkat, of_name, true),
	CALL(renameat2, of_name, true),
	CALL(unlinkat, of_name, true),
	CALL(mkdirat, of_name, true),
	CALL(mknodat, of_name, true),
#ifdef SYS_renameat
	CALL(renameat, of_name, true),
#endif
#ifdef SYS_rename
	CALL(rename, of_name, true),
	CALL(link, of_name, true),
	CALL(unlink, of_name, true),
	CALL(mkdir, of_name, true),
	CALL(rmdir, of_name, true),
	CALL(symlink, of_name, true),
#endif
	CALL(read, of_read, false),
	CALL(pread64, of_read, false),
	CALL(readlinkat, of_list, false),
	CALL(getdents64, of_list, false),
	CALL(mmap, of_memory, false),
	CALL(brk, of_memory, false),
};

const char *trace_name(int nr)
{
	for (size_t i = 0; i < YG_COUNT(calls); i++)
		if (calls[i].nr == nr)
			return calls[i].name;
	return "?";
}

const int *trace_errors(const struct trace_call *call)
{
	if (call->nr == SYS_openat && (call->args[2] & (O_CREAT | __O_TMPFILE)))
		return of_create;
	for (size_t i = 0; i < YG_COUNT(calls); i++)
		if (calls[i].nr == call->nr)
			return calls[i].errors;
	return of_memory + 1;
}

#define LOAD(field)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define ASK  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
#define PASS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Numbers are of this build's architecture: the child is this program. Flags lie in the low half of args[2],
 * which comes first on the little-endian machines that this test runs on.
 */
static int install(enum trace_what what)
{
	struct sock_filter code[4 + 2 * YG_COUNT(calls) + 8];
	unsigned short n = 0;
	code[n++] = (struct sock_filter)LOAD(nr);
	for (size_t i = 0; i < YG_COUNT(calls); i++) {
		if (!calls[i].changes && what != TRACE_ALL)
			continue;
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)calls[i].nr, 0, 1);
		code[n++] = (struct sock_filter)ASK;
	}
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0);
	code[n++] = (struct sock_filter)PASS;
	code[n++] = (struct sock_filter)LOAD(args[2]);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | __O_TMPFILE,
		0, 1);
	code[n++] = (struct sock_filter)ASK;
	code[n++] = (struct sock_filter)PASS;
	struct sock_fprog program = {.len = n, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		&program);
}

/* One descriptor over a socket: sendmsg and recvmsg are not among the calls that are asked about. */
union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void send_fd(int to, int fd)
{
	union control control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = fd < 0 ? NULL : &control,
		.msg_controllen = fd < 0 ? 0 : sizeof(control)};
	if (fd >= 0) {
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	(void)!sendmsg(to, &msg, 0);
}

static int receive_fd(int from)
{
	union control control = {0};
	char byte = 0;
	int fd = -1;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static pid_t start(int (*child)(void *arg), void *arg, enum trace_what what, int *listener)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t parent = getpid();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would answer its calls */
		if (getppid() != parent)
			_exit(127);
		int fd = install(what);
		send_fd(pair[1], fd);
		_exit(fd < 0 ? 126 : child(arg));
	}
	(void)close(pair[1]);
	*listener = receive_fd(pair[0]);
	(void)close(pair[0]);
	return pid;
}

/* Returns false when the process is to end. */
static bool answer(int listener, trace_step *step, void *ctx)
{
	struct seccomp_notif ask = {0};
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0)
		return true; /* it ended meanwhile */
	struct trace_call call = {.pid = (pid_t)ask.pid, .nr = ask.data.nr};
	for (size_t i = 0; i < 6; i++)
		call.args[i] = ask.data.args[i];
	int verdict = step(ctx, &call);
	if (verdict == TRACE_KILL)
		return false;
	struct seccomp_notif_resp resp = {.id = ask.id, .error = -verdict};
	if (verdict == TRACE_GO)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	return true;
}

int trace_run(int (*child)(void *arg), void *arg, enum trace_what what, trace_step *step, void *ctx)
{
	int listener YG_AUTO(fd) = -1;
	pid_t pid = start(child, arg, what, &listener);
	int status = 0;
	bool killed = false;
	assert_true(listener >= 0);
	for (;;) {
		struct pollfd wait = {.fd = listener, .events = POLLIN};
		int rc = poll(&wait, 1, 60000);
		assert_true(rc > 0); /* a run takes no minute */
		if (!(wait.revents & POLLIN))
			break; /* the process has ended */
		if (!answer(listener, step, ctx)) {
			killed = true;
			assert_int_equal(kill(pid, SIGKILL), 0);
			break;
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (killed)
		return -1;
	if (!WIFEXITED(status))
		fail_msg("the process ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

bool trace_possible(void)
{
	int listener YG_AUTO(fd) = -1;
	pid_t pid = start(nothing, NULL, TRACE_CHANGES, &listener);
	(void)waitpid(pid, NULL, 0);
	if (listener < 0)
		printf("skip: this kernel or container does not let seccomp ask another process\n");
	return listener >= 0;
}
