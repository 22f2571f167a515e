/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* One end of a channel. What must stay true:
 *  - a request is answered exactly once: by its reply, by the close of the channel, or not at all
 *    when its owner frees the channel;
 *  - callbacks may free the channel: after each of them `alive` is looked at, a flag on the stack
 *    of whoever dispatches, which yg_ipc_free clears.
 */
#include "core/ipc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

#define BURST     64   /* datagrams handled before others on the loop get their turn */
#define QUEUE_MAX 4096 /* messages waiting for a slow reader before we give it up */

struct datagram { /* something to send, or something received that waits for its turn */
	struct datagram *next;
	size_t len;
	int fds[YG_IPC_FDS_MAX];
	size_t fd_count;
	uint8_t bytes[];
};

struct queue {
	struct datagram *first, *last;
	size_t count;
};

struct request {
	struct request *next;
	uint32_t id;
	yg_ipc_done *done;
	void *ctx;
};

struct yg_ipc {
	int fd;
	char peer[32];
	struct yg_loop *loop;
	struct yg_watch *watch;
	struct yg_timer *soon; /* handles what a blocking call put aside; reports a close */
	const struct yg_ipc_handler *handlers;
	void (*closed)(void *ctx, struct yg_ipc *ipc);
	void *ctx;
	struct queue out, aside;
	struct request *requests;
	uint32_t last_id;
	bool gone;
	bool *alive; /* on the stack of the innermost dispatch; NULL outside */
};

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static void datagram_free(struct datagram *d)
{
	if (!d)
		return;
	close_fds(d->fds, d->fd_count);
	free(d);
}

static inline void datagram_free_at(struct datagram **at)
{
	datagram_free(*at);
}

static void push(struct queue *queue, struct datagram *d)
{
	d->next = NULL;
	if (queue->last)
		queue->last->next = d;
	else
		queue->first = d;
	queue->last = d;
	queue->count++;
}

static struct datagram *shift(struct queue *queue)
{
	struct datagram *d = queue->first;
	if (!d)
		return NULL;
	queue->first = d->next;
	if (!queue->first)
		queue->last = NULL;
	queue->count--;
	return d;
}

/* 0 sent, 1 not now, -1 the other side is gone */
static int send_one(int fd, const struct datagram *d)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)d->bytes, .iov_len = d->len};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * YG_IPC_FDS_MAX)];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (d->fd_count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * d->fd_count);
		struct cmsghdr *head =
			&control.align; /* CMSG_FIRSTHDR, which cannot be NULL here */
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * d->fd_count);
		memcpy(CMSG_DATA(head), d->fds, sizeof(int) * d->fd_count);
	}
	for (;;) {
		if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		return errno == EAGAIN || errno == ENOBUFS ? 1 : -1;
	}
}

/* 1 received, 0 nothing there, -1 the other side is gone. A datagram that is too long arrives with
 * len above YG_IPC_SIZE_MAX, for the parser to refuse.
 */
static int receive_one(int fd, struct datagram **out)
{
	struct datagram *d YG_AUTO(datagram) = malloc(sizeof(*d) + YG_IPC_SIZE_MAX + 1);
	if (!d)
		return 0;
	*d = (struct datagram){0};
	struct iovec iov = {.iov_base = d->bytes, .iov_len = YG_IPC_SIZE_MAX + 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * YG_IPC_FDS_MAX)];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t n;
	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(&msg); head; head = CMSG_NXTHDR(&msg, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(d->fds + d->fd_count, CMSG_DATA(head), count * sizeof(int));
		d->fd_count += count;
	}
	if (n == 0)
		return -1; /* end of file: our own messages are never empty */
	d->len = (size_t)n;
	struct datagram *fit = realloc(d,
		sizeof(*d) + d->len); /* they wait in queues: give back 64 KiB */
	if (fit)
		d = fit;
	*out = yg_take(d);
	return 1;
}

static int parse_failure(const json_t *value, struct yg_err *why, struct yg_err *err)
{
	int64_t code, sys, retry_s;
	const char *cause, *text;
	if (yg_json_int(value, "code", YG_OK + 1, YG_ESYSTEM, &code, err) < 0 ||
		yg_json_int_or(value, "sys", 0, 4096, 0, &sys, err) < 0 ||
		yg_json_int_or(value, "retry_s", 0, UINT32_MAX, 0, &retry_s, err) < 0 ||
		yg_json_str_or(value, "cause", YG_ERR_CAUSE_MAX - 1, "", &cause, err) < 0 ||
		yg_json_str(value, "msg", YG_ERR_MSG_MAX - 1, &text, err) < 0)
		return yg_wrap(err, "err");
	(void)yg_fail_cause(why, (enum yg_code)code, cause, "%s", text);
	why->sys = (int)sys;
	why->retry_s = (uint32_t)retry_s;
	return 0;
}

int yg_ipc_parse(struct yg_bytes text, json_t **root, struct yg_ipc_msg *msg, uint32_t *re,
	struct yg_err *why, struct yg_err *err)
{
	json_t *object YG_AUTO(yg_json) = NULL;
	int64_t id = 0, reply_to = 0;
	if (yg_json_parse(text, YG_IPC_SIZE_MAX, &object, err) < 0 ||
		yg_json_int_or(object, "id", 0, UINT32_MAX, 0, &id, err) < 0 ||
		yg_json_int_or(object, "re", 0, UINT32_MAX, 0, &reply_to, err) < 0)
		return -1;

	*msg = (struct yg_ipc_msg){.id = (uint32_t)id, .name = ""};
	*why = (struct yg_err){0};
	if (reply_to == 0 && yg_json_str(object, "msg", 64, &msg->name, err) < 0)
		return -1;

	json_t *failure = json_object_get(object, "err");
	if (reply_to != 0 && failure) {
		if (parse_failure(failure, why, err) < 0)
			return -1;
	} else if (yg_json_object(object, "body", &msg->body, err) < 0) {
		return -1;
	}
	*re = (uint32_t)reply_to;
	*root = yg_take(object);
	return 0;
}

static struct request *take_request(struct yg_ipc *ipc, uint32_t id)
{
	for (struct request **at = &ipc->requests; *at; at = &(*at)->next) {
		struct request *request = *at;
		if (request->id == id) {
			*at = request->next;
			return request;
		}
	}
	return NULL;
}

static void take_fds(struct yg_ipc_msg *msg, struct datagram *d)
{
	memcpy(msg->fds, d->fds, sizeof(d->fds));
	msg->fd_count = d->fd_count;
	d->fd_count = 0;
}

static void handle_reply(struct yg_ipc *ipc, uint32_t re, struct yg_ipc_msg *msg,
	const struct yg_err *why)
{
	struct request *request = take_request(ipc, re);
	if (!request)
		return; /* its asker no longer waits */
	request->done(request->ctx, msg, why);
	free(request);
}

static void handle_message(struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	for (const struct yg_ipc_handler *h = ipc->handlers; h && h->name; h++) {
		if (strcmp(h->name, msg->name) == 0) {
			h->handle(ipc->ctx, ipc, msg);
			return;
		}
	}
	yg_log(YG_LOG_WARN, "ipc.refused", "%s sent '%s', which is not for us", ipc->peer,
		msg->name);
	if (msg->id) {
		struct yg_err why = {0};
		(void)yg_fail(&why, YG_EFORMAT, "no message '%s' here", msg->name);
		yg_ipc_reply_err(ipc, msg->id, &why);
	}
}

/* Handle one received datagram, which is freed. Returns false when the channel was freed by it. */
static bool dispatch(struct yg_ipc *ipc, struct datagram *received)
{
	struct datagram *d YG_AUTO(datagram) = received;
	json_t *root YG_AUTO(yg_json) = NULL;
	struct yg_ipc_msg msg;
	struct yg_err why = {0}, err = {0};
	uint32_t re = 0;
	if (yg_ipc_parse((struct yg_bytes){d->bytes, d->len}, &root, &msg, &re, &why, &err) < 0) {
		yg_log(YG_LOG_WARN, "ipc.broken", "message from %s dropped: %s", ipc->peer,
			err.msg);
		return true;
	}
	take_fds(&msg, d);
	if (re)
		yg_log(YG_LOG_TRACE, "ipc.got", "%s answers %u: %s%s%s", ipc->peer, re,
			why.code ? why.cause : "ok", why.code ? " " : "", why.msg);
	else
		yg_log(YG_LOG_TRACE, "ipc.got", "%s: %s %u (%zu bytes, %zu descriptors)", ipc->peer,
			msg.name, msg.id, d->len, msg.fd_count);

	bool alive = true, *outer = ipc->alive;
	ipc->alive = &alive;
	if (re)
		handle_reply(ipc, re, &msg, &why);
	else
		handle_message(ipc, &msg);
	close_fds(msg.fds, msg.fd_count);
	if (alive)
		ipc->alive = outer;
	else if (outer)
		*outer = false;
	return alive;
}

/* Every open request fails with YG_EAGAIN. Returns false when the channel was freed by one. */
static bool fail_requests(struct yg_ipc *ipc)
{
	bool alive = true, *outer = ipc->alive;
	ipc->alive = &alive;
	while (alive && ipc->requests) {
		struct request *request = ipc->requests;
		ipc->requests = request->next;
		struct yg_ipc_msg none = {.name = ""};
		struct yg_err why = {0};
		(void)yg_fail(&why, YG_EAGAIN, "%s went away", ipc->peer);
		request->done(request->ctx, &none, &why);
		free(request);
	}
	if (alive)
		ipc->alive = outer;
	else if (outer)
		*outer = false;
	return alive;
}

/* What a blocking call put aside comes first. Returns false when the channel was freed by it. */
static bool handle_aside(struct yg_ipc *ipc)
{
	for (struct datagram *d; (d = shift(&ipc->aside));)
		if (!dispatch(ipc, d))
			return false;
	return true;
}

static void soon(void *arg)
{
	struct yg_ipc *ipc = arg;
	if (!handle_aside(ipc) || !ipc->gone || !fail_requests(ipc))
		return;
	if (ipc->closed)
		ipc->closed(ipc->ctx, ipc);
}

/* The other side is gone: say so from the loop, never from inside a call of the user's. */
static void lost(struct yg_ipc *ipc)
{
	ipc->gone = true;
	yg_watch_want(ipc->watch, 0);
	yg_timer_set(ipc->soon, 0);
}

static void flush(struct yg_ipc *ipc)
{
	while (ipc->out.first) {
		int r = send_one(ipc->fd, ipc->out.first);
		if (r < 0)
			lost(ipc);
		if (r != 0)
			break;
		datagram_free(shift(&ipc->out));
	}
	if (!ipc->gone)
		yg_watch_want(ipc->watch, YG_LOOP_READ | (ipc->out.first ? YG_LOOP_WRITE : 0u));
}

static void ready(void *arg, unsigned what)
{
	struct yg_ipc *ipc = arg;
	if (what & YG_LOOP_WRITE)
		flush(ipc);
	if (!(what & YG_LOOP_READ) || ipc->gone || !handle_aside(ipc))
		return;
	for (int i = 0; i < BURST; i++) {
		struct datagram *d = NULL;
		int r = receive_one(ipc->fd, &d);
		if (r < 0)
			lost(ipc);
		if (r <= 0)
			return;
		if (!dispatch(ipc, d) || ipc->gone)
			return;
	}
}

struct yg_ipc *yg_ipc_new(struct yg_loop *loop, int fd, const char *peer,
	const struct yg_ipc_handler *handlers, void (*closed)(void *ctx, struct yg_ipc *ipc),
	void *ctx, struct yg_err *err)
{
	int owned YG_AUTO(fd) = fd;
	struct yg_ipc *ipc = calloc(1, sizeof(*ipc));
	if (!ipc) {
		(void)yg_fail_sys(err, ENOMEM, "opening the channel to %s", peer);
		return NULL;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	ipc->fd = yg_take_fd(owned);
	ipc->loop = loop;
	ipc->handlers = handlers;
	ipc->closed = closed;
	ipc->ctx = ctx;
	(void)snprintf(ipc->peer, sizeof(ipc->peer), "%s", peer);
	ipc->soon = yg_loop_timer(loop, soon, ipc);
	ipc->watch = yg_loop_watch(loop, fd, YG_LOOP_READ, ready, ipc);
	return ipc;
}

static void drain(struct queue *queue)
{
	for (struct datagram *d; (d = shift(queue));)
		datagram_free(d);
}

void yg_ipc_free(struct yg_ipc *ipc)
{
	if (!ipc)
		return;
	if (ipc->alive)
		*ipc->alive = false;
	yg_watch_free(ipc->watch);
	yg_timer_free(ipc->soon);
	(void)close(ipc->fd);
	drain(&ipc->out);
	drain(&ipc->aside);
	while (ipc->requests) {
		struct request *request = ipc->requests;
		ipc->requests = request->next;
		free(request);
	}
	free(ipc);
}

const char *yg_ipc_peer(const struct yg_ipc *ipc)
{
	return ipc->peer;
}

/* Takes `message`. Descriptors are duplicated only when the message has to wait. */
static int post(struct yg_ipc *ipc, json_t *message, const int *fds, size_t fd_count,
	struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = message;
	assert(fd_count <= YG_IPC_FDS_MAX);
	if (ipc->gone)
		return yg_fail(err, YG_EAGAIN, "%s went away", ipc->peer);

	char *text YG_AUTO(mem) = root ? yg_json_text(root) : NULL;
	if (!text)
		return yg_fail_sys(err, ENOMEM, "message to %s", ipc->peer);
	size_t len = strlen(text);
	if (len > YG_IPC_SIZE_MAX)
		return yg_fail(err, YG_ELIMIT, "message to %s: want <= %d bytes, have %zu",
			ipc->peer, YG_IPC_SIZE_MAX, len);
	struct datagram *d YG_AUTO(datagram) = calloc(1, sizeof(*d) + len);
	if (!d)
		return yg_fail_sys(err, ENOMEM, "message to %s", ipc->peer);
	memcpy(d->bytes, text, len);
	d->len = len;

	if (fd_count > 0)
		memcpy(d->fds, fds, fd_count * sizeof(int));
	d->fd_count = fd_count;
	int r = ipc->out.first ? 1 : send_one(ipc->fd, d);
	d->fd_count = 0; /* they are the caller's still */
	if (r == 0)
		return 0;
	if (r < 0) {
		lost(ipc);
		return yg_fail(err, YG_EAGAIN, "%s went away", ipc->peer);
	}
	if (ipc->out.count >= QUEUE_MAX)
		return yg_fail(err, YG_EAGAIN, "%s does not read: %d messages wait", ipc->peer,
			QUEUE_MAX);
	for (size_t i = 0; i < fd_count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return yg_fail_sys(err, errno, "message to %s: keeping a descriptor",
				ipc->peer);
		d->fds[d->fd_count++] = copy;
	}
	push(&ipc->out, yg_take(d));
	yg_watch_want(ipc->watch, YG_LOOP_READ | YG_LOOP_WRITE);
	return 0;
}

static json_t *with_body(json_t *message, json_t *body)
{
	if (!body)
		body = json_object();
	if (!message || json_object_set_new(message, "body", body) < 0) {
		json_decref(message);
		return NULL;
	}
	return message;
}

int yg_ipc_send(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds, size_t fd_count,
	struct yg_err *err)
{
	return post(ipc, with_body(json_pack("{s:s}", "msg", name), body), fds, fd_count, err);
}

/* Ids never are 0 and, in four thousand million requests, not one that is still open. */
static uint32_t next_id(struct yg_ipc *ipc)
{
	if (++ipc->last_id == 0)
		ipc->last_id = 1;
	return ipc->last_id;
}

static int post_request(struct yg_ipc *ipc, uint32_t id, const char *name, json_t *body,
	const int *fds, size_t fd_count, struct yg_err *err)
{
	json_t *message = json_pack("{s:s, s:I}", "msg", name, "id", (json_int_t)id);
	return post(ipc, with_body(message, body), fds, fd_count, err);
}

static json_t *failure_message(uint32_t id, const struct yg_err *why)
{
	/* Names of files need not be UTF-8, and JSON must be. */
	json_t *text = json_string(why->msg);
	return json_pack("{s:I, s:{s:i, s:i, s:I, s:s, s:o}}", "re", (json_int_t)id, "err", "code",
		(int)why->code, "sys", why->sys, "retry_s", (json_int_t)why->retry_s, "cause",
		why->cause, "msg", text ? text : json_string("a failure whose text is not UTF-8"));
}

/* A request that failed at once is answered like any other: from the loop, as if by the peer. */
static void answer_ourselves(struct yg_ipc *ipc, uint32_t id, const struct yg_err *why)
{
	json_t *message YG_AUTO(yg_json) = failure_message(id, why);
	char *text YG_AUTO(mem) = message ? yg_json_text(message) : NULL;
	assert(text);
	size_t len = strlen(text);
	struct datagram *d = calloc(1, sizeof(*d) + len);
	assert(d);
	memcpy(d->bytes, text, len);
	d->len = len;
	push(&ipc->aside, d);
	yg_timer_set(ipc->soon, 0);
}

void yg_ipc_request(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds,
	size_t fd_count, yg_ipc_done *done, void *ctx)
{
	struct yg_err err = {0};
	struct request *request = calloc(1, sizeof(*request));
	assert(request);
	*request = (struct request){.id = next_id(ipc), .done = done, .ctx = ctx};
	request->next = ipc->requests;
	ipc->requests = request;
	if (post_request(ipc, request->id, name, body, fds, fd_count, &err) == 0)
		return;
	if (ipc->gone)
		yg_timer_set(ipc->soon, 0); /* all open requests fail there */
	else
		answer_ourselves(ipc, request->id, &err);
}

/* Block until the socket is readable (or also writable). */
static int wait_for(int fd, short events, struct yg_err *err)
{
	struct pollfd p = {.fd = fd, .events = events};
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return yg_fail_sys(err, errno, "waiting for an answer");
	return 0;
}

/* Take the answer to `id` out of a datagram; 1 when it was that, 0 when it is put aside. */
static int answered(struct yg_ipc *ipc, struct datagram *received, uint32_t id, json_t **reply,
	int *reply_fd, struct yg_err *err)
{
	struct datagram *d YG_AUTO(datagram) = received;
	json_t *root YG_AUTO(yg_json) = NULL;
	struct yg_ipc_msg msg;
	struct yg_err why = {0};
	uint32_t re = 0;
	if (yg_ipc_parse((struct yg_bytes){d->bytes, d->len}, &root, &msg, &re, &why, err) < 0 ||
		re != id) {
		push(&ipc->aside, yg_take(d)); /* dispatch() reports what is broken */
		yg_timer_set(ipc->soon, 0);
		return 0;
	}
	if (why.code != YG_OK) {
		*err = why;
		return -1;
	}
	*reply = json_incref(msg.body);
	if (reply_fd) {
		*reply_fd = -1;
		if (d->fd_count > 0)
			*reply_fd = yg_take_fd(d->fds[0]);
	}
	return 1;
}

int yg_ipc_call(struct yg_ipc *ipc, const char *name, json_t *body, const int *fds, size_t fd_count,
	json_t **reply, int *reply_fd, struct yg_err *err)
{
	uint32_t id = next_id(ipc);
	if (post_request(ipc, id, name, body, fds, fd_count, err) < 0)
		return -1;
	for (;;) {
		flush(ipc);
		struct datagram *d = NULL;
		int r = ipc->gone ? -1 : receive_one(ipc->fd, &d);
		if (r < 0) {
			lost(ipc);
			return yg_fail(err, YG_EAGAIN, "%s went away", ipc->peer);
		}
		if (r == 0) {
			if (wait_for(ipc->fd, (short)(POLLIN | (ipc->out.first ? POLLOUT : 0)),
				    err) < 0)
				return -1;
			continue;
		}
		r = answered(ipc, d, id, reply, reply_fd, err);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
}

void yg_ipc_reply(struct yg_ipc *ipc, uint32_t id, json_t *body, const int *fds, size_t fd_count)
{
	struct yg_err err = {0};
	if (id == 0) {
		json_decref(body);
		return;
	}
	if (post(ipc, with_body(json_pack("{s:I}", "re", (json_int_t)id), body), fds, fd_count,
		    &err) == 0 ||
		ipc->gone)
		return;
	/* The asker must not wait for ever for an answer that is too large: it gets that as its error. */
	yg_ipc_reply_err(ipc, id, &err);
}

void yg_ipc_reply_err(struct yg_ipc *ipc, uint32_t id, const struct yg_err *why)
{
	struct yg_err err = {0};
	if (id == 0)
		return;
	if (post(ipc, failure_message(id, why), NULL, 0, &err) < 0 && !ipc->gone)
		yg_log_err(YG_LOG_WARN, "ipc.unsent", &err);
}
