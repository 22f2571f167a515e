/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/import_child.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "publisher/progress.h"

#define ANSWER_MAX (64u << 20) /* bytes of JSON */

/* Names of strangers stand in messages: only what a terminal shows, and JSON takes. */
static void clean(char *text)
{
	bool utf8 = yg_str_utf8_ok(text, strlen(text));
	for (char *c = text; *c; c++) {
		if ((uint8_t)*c < 0x20 || *c == 0x7f || (!utf8 && (uint8_t)*c >= 0x80))
			*c = '?';
	}
}

/* ---- there ---- */

static int answer(int fd, json_t *value, struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ANSWER_MAX);
	json_t *root YG_AUTO(yg_json) = value;
	if (!root)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (yg_json_dump(root, &text, err) < 0)
		return -1;
	return yg_fs_write_all(fd, text.data, text.len, err);
}

static json_t *error_json(struct yg_err *err)
{
	clean(err->msg);
	return json_pack("{s:{s:i, s:i, s:s, s:s}}", "error", "code", (int)err->code, "sys",
		err->sys, "cause", err->cause, "message", err->msg);
}

static int there(const struct import_child *child, int fd)
{
	/* As root we may have been asked to read what is another user's; the paths stay what they are. */
	const struct yg_sandbox box = {
		.capabilities = 1ull << CAP_DAC_READ_SEARCH,
		.syscalls = YG_SYS_FILES | YG_SYS_THREADS | YG_SYS_LIMITS,
		.memory_max = child->memory_max,
		.paths = child->paths,
		.path_count = child->path_count,
	};
	struct yg_err err = {0}, ignored = {0};
	json_t *out = NULL;
	if (yg_sandbox_enter(&box, &err) < 0 || child->work(child->ctx, &out, &err) < 0)
		return answer(fd, error_json(&err), &ignored) == 0 ? 0 : 1;
	return answer(fd, json_pack("{s:o}", "ok", out ? out : json_null()), &ignored) == 0 ? 0 : 1;
}

/* ---- here ---- */

/* Wait for the end of it, and have it killed when that takes too long. */
static int wait_for(const struct import_child *child, pid_t pid, struct yg_err *err)
{
	int pidfd YG_AUTO(fd) = (int)syscall(SYS_pidfd_open, pid, 0);
	int64_t end = yg_clock_mono_ms() + 1000 * (int64_t)child->seconds;
	int status = 0;
	bool late = false;
	for (int64_t left; (left = end - yg_clock_mono_ms()) > 0;) {
		struct pollfd at = {.fd = pidfd, .events = POLLIN};
		int got = poll(&at, 1, left > 1000 ? 1000 : (int)left);
		if (got > 0 || (got < 0 && errno != EINTR))
			break; /* it ended; or we cannot watch it, and wait without a limit */
	}
	if (yg_clock_mono_ms() >= end) {
		late = true;
		(void)kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return yg_fail_sys(err, errno, "%s: waiting for it", child->what);
	}
	if (late)
		return yg_fail(err, YG_ELIMIT, "%s: want an end within %u s, had none", child->what,
			child->seconds);
	if (WIFSIGNALED(status))
		return yg_fail(err, YG_ELIMIT, "%s: ended by signal %d (%s)", child->what,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return 0;
}

static int take(const struct import_child *child, int fd, json_t **out, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	const char *message = NULL, *cause = NULL;
	int64_t code = 0, sys = 0;
	if (yg_json_read(fd, ANSWER_MAX, &root, err) < 0)
		return yg_wrap(err, "%s: its answer", child->what);
	json_t *ok = json_object_get(root, "ok"), *bad = json_object_get(root, "error");
	if (ok) {
		*out = json_incref(ok);
		return 0;
	}
	if (yg_json_str(bad, "message", YG_ERR_MSG_MAX, &message, err) < 0 ||
		yg_json_str(bad, "cause", YG_ERR_CAUSE_MAX, &cause, err) < 0 ||
		yg_json_int(bad, "code", YG_EFORMAT, YG_ESYSTEM, &code, err) < 0 ||
		yg_json_int(bad, "sys", 0, INT32_MAX, &sys, err) < 0)
		return yg_wrap(err, "%s: its answer", child->what);
	(void)yg_fail_cause(err, (enum yg_code)code, cause, "%s", message);
	err->sys = (int)sys;
	return -1;
}

int import_child_run(const struct import_child *child, json_t **out, struct yg_err *err)
{
	int fd YG_AUTO(fd) = memfd_create("answer", MFD_CLOEXEC);
	if (fd < 0)
		return yg_fail_sys(err, errno, "making a file in memory");
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return yg_fail_sys(err, errno, "making a process");
	if (pid == 0) {
		(void)signal(SIGALRM, SIG_IGN);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		_exit(there(child, fd));
	}
	progress_begin(child->what, -1, 0);
	int bad = wait_for(child, pid, err);
	progress_end();
	return bad < 0 ? -1 : take(child, fd, out, err);
}
