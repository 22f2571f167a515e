/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"

#define CAUSE_OFFLINE "agent.offline"

/* errno is of a call on the connection. */
static int fail(struct yg_err *err)
{
	if (errno == EAGAIN)
		return yg_fail_cause(err, YG_EAGAIN, "agent.silent",
			"control socket: no answer in time");
	return yg_fail_sys(err, errno, "control socket");
}

/* A socket's path has 107 bytes at most: it is named through the folder's descriptor, so that a
 * root may have any length. `seconds` is the limit of each step, from connecting on; 0: none.
 */
static int dial(const char *root, int seconds, struct yg_err *err)
{
	const struct timeval limit = {.tv_sec = seconds};
	char *folder YG_AUTO(mem) = yg_str_format("%s/run/yagura", root);
	if (!folder)
		return yg_fail_sys(err, ENOMEM, "control socket");
	int dir YG_AUTO(fd) = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return yg_fail_cause(err, YG_EABSENT, CAUSE_OFFLINE, "%s: no such folder", folder);
	if (dir < 0)
		return yg_fail_sys(err, errno, "%s", folder);
	int fd YG_AUTO(fd) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return fail(err);
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/control.sock", dir);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return yg_take_fd(fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return yg_fail_cause(err, YG_EABSENT, CAUSE_OFFLINE, "%s/control.sock: %s", folder,
			strerror(errno));
	if (errno == EACCES)
		return yg_fail_cause(err, YG_ESYSTEM, "auth.denied",
			"%s/control.sock: only root and the agent's own user may", folder);
	if (errno == EAGAIN)
		return fail(err);
	return yg_fail_sys(err, errno, "%s/control.sock", folder);
}

/* The first piece, which a file goes with. */
static ssize_t send_first(int fd, const struct yg_buf *line, int file)
{
	union {
		struct cmsghdr header; /* for its alignment */
		char bytes[CMSG_SPACE(sizeof(int))];
	} space = {0};
	struct iovec piece = {line->data, line->len};
	struct msghdr msg = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = space.bytes,
		.msg_controllen = sizeof(space.bytes)};
	space.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&space.header), &file, sizeof(int));
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static int ask_it(int fd, const json_t *ask, int file, struct yg_err *err)
{
	struct yg_buf line YG_AUTO(yg_buf) = YG_BUF(1u << 20);
	if (yg_json_dump(ask, &line, err) < 0 || yg_buf_add(&line, "\n", 1, err) < 0)
		return yg_wrap(err, "control socket");
	for (size_t at = 0; at < line.len;) {
		ssize_t n = at == 0 && file >= 0
			? send_first(fd, &line, file)
			: send(fd, line.data + at, line.len - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err);
		at += (size_t)n;
	}
	return 0;
}

static int refusal(const json_t *error, struct yg_err *err)
{
	const char *cause = json_string_value(json_object_get(error, "cause"));
	const char *message = json_string_value(json_object_get(error, "message"));
	return yg_fail_cause(err, YG_EFORMAT, cause ? cause : "", "%s", message ? message : "");
}

/* One line of the answer. returns 1 when it was the last one, 0 when more come */
static int take(struct yg_bytes text, void (*progress)(void *ctx, const json_t *line), void *ctx,
	json_t **ok, struct yg_err *err)
{
	json_t *line YG_AUTO(yg_json) = NULL;
	if (yg_json_parse(text, CONTROL_LINE_MAX, &line, err) < 0)
		return yg_wrap(err, "control socket");
	json_t *part = json_object_get(line, "progress");
	if (part) {
		if (progress)
			progress(ctx, part);
		return 0;
	}
	part = json_object_get(line, "error");
	if (part)
		return refusal(part, err);
	part = json_object_get(line, "ok");
	if (!json_is_object(part))
		return yg_fail(err, YG_EFORMAT,
			"control socket: want ok, error or progress, have none of them");
	*ok = json_incref(part);
	return 1;
}

static int listen_to(int fd, void (*progress)(void *ctx, const json_t *line), void *ctx,
	json_t **ok, struct yg_err *err)
{
	struct yg_buf got YG_AUTO(yg_buf) = YG_BUF(CONTROL_LINE_MAX + 65536);
	for (;;) {
		uint8_t piece[16384];
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err);
		if (n == 0)
			return yg_fail_cause(err, YG_EAGAIN, CAUSE_OFFLINE,
				"the agent ended the conversation before its answer");
		if (yg_buf_add(&got, piece, (size_t)n, err) < 0)
			return yg_wrap(err, "control socket");
		size_t used = 0;
		for (const uint8_t *end; (end = memchr(got.data + used, '\n', got.len - used));) {
			size_t len = (size_t)(end - (got.data + used));
			int last = take((struct yg_bytes){got.data + used, len}, progress, ctx, ok,
				err);
			if (last != 0)
				return last < 0 ? -1 : 0;
			used += len + 1;
		}
		got.len -= used;
		memmove(got.data, got.data + used, got.len);
	}
}

static int call(const char *root, int seconds, const json_t *ask, int file,
	void (*progress)(void *ctx, const json_t *line), void *ctx, json_t **ok, struct yg_err *err)
{
	int fd YG_AUTO(fd) = dial(root, seconds, err);
	if (fd < 0 || ask_it(fd, ask, file, err) < 0)
		return -1;
	return listen_to(fd, progress, ctx, ok, err);
}

int control_call(const char *root, const json_t *ask, int file,
	void (*progress)(void *ctx, const json_t *line), void *ctx, json_t **ok, struct yg_err *err)
{
	return call(root, 0, ask, file, progress, ctx, ok, err);
}

int control_call_within(const char *root, int seconds, const json_t *ask, json_t **ok,
	struct yg_err *err)
{
	return call(root, seconds, ask, -1, NULL, NULL, ok, err);
}
