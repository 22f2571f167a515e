/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/log.h"

#define LINE_MAX_BYTES  65536
#define OUT_MAX         (8u << 20) /* bytes waiting for somebody who does not read */
#define CONNECTIONS_MAX 32

struct connection {
	struct control *control;
	struct connection *next;
	int fd;
	struct yg_watch *watch;
	struct yg_buf in, out;
	size_t sent;
	struct control_call *call; /* the question that is being answered */
	bool ended;                /* the other side sends no more */
	int came;                  /* a file, for the question that is under way or comes; -1 */
};

struct control_call {
	struct connection *connection; /* NULL: the asker has gone */
	void (*gone)(void *ctx);       /* or NULL */
	void *ctx;
	int file; /* -1: none, or taken */
};

struct control {
	struct yg_loop *loop;
	int fd;
	struct yg_watch *watch;
	const struct control_verb *verbs;
	void *ctx;
	struct connection *connections;
	size_t count;
};

static void work(struct connection *c);

static void connection_free(struct connection *c)
{
	for (struct connection **at = &c->control->connections; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	c->control->count--;
	struct control_call *call = c->call;
	if (call)
		call->connection = NULL;
	yg_watch_free(c->watch);
	(void)close(c->fd);
	if (c->came >= 0)
		(void)close(c->came);
	yg_buf_free(&c->in);
	yg_buf_free(&c->out);
	free(c);
	if (call && call->gone) {
		void (*gone)(void *) = call->gone;
		call->gone = NULL;
		gone(call->ctx);
	}
}

int control_take_fd(struct control_call *call)
{
	return yg_take_fd(call->file);
}

void control_on_gone(struct control_call *call, void (*gone)(void *ctx), void *ctx)
{
	call->gone = gone;
	call->ctx = ctx;
}

/* Send what waits. Returns false when the connection was freed. */
static bool flush(struct connection *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			connection_free(c);
			return false;
		}
		if (n < 0)
			break;
		c->sent += (size_t)n;
	}
	if (c->sent == c->out.len)
		c->out.len = c->sent = 0;
	if (c->ended && c->out.len == 0 && !c->call) {
		connection_free(c);
		return false;
	}
	/* Also while it is answered: to see it go. */
	yg_watch_want(c->watch,
		(c->ended || c->in.len >= LINE_MAX_BYTES ? 0u : YG_LOOP_READ) |
			(c->out.len > 0 ? YG_LOOP_WRITE : 0u));
	return true;
}

static bool say(struct connection *c, const char *name, json_t *body)
{
	json_t *line YG_AUTO(yg_json) = json_pack("{s:o}", name, body ? body : json_object());
	struct yg_err err = {0};
	if (c->sent > 0) {
		memmove(c->out.data, c->out.data + c->sent, c->out.len - c->sent);
		c->out.len -= c->sent;
		c->sent = 0;
	}
	if (yg_json_dump(line, &c->out, &err) < 0 || yg_buf_add(&c->out, "\n", 1, &err) < 0) {
		yg_log_err(YG_LOG_WARN, "control.send", &err);
		connection_free(c);
		return false;
	}
	return flush(c);
}

static const char *word_of(enum yg_code code)
{
	switch (code) {
	case YG_EFORMAT:
		return "bad_request";
	case YG_EUNTRUSTED:
		return "forbidden";
	case YG_ELIMIT:
		return "too_large";
	case YG_EABSENT:
		return "not_found";
	case YG_EAGAIN:
		return "unavailable";
	case YG_OK:
	case YG_ESYSTEM:
		break;
	}
	return "internal";
}

static json_t *failure(const struct yg_err *why)
{
	json_t *body = json_pack("{s:s,s:s}", "code", word_of(why->code), "cause", why->cause);
	json_t *text = json_string(why->msg);
	(void)json_object_set_new(body, "message",
		text ? text : json_string("a message that is not text"));
	return body;
}

void control_progress(struct control_call *call, json_t *body)
{
	if (call->connection)
		(void)say(call->connection, "progress", body);
	else
		json_decref(body);
}

static void end(struct control_call *call, const char *name, json_t *body)
{
	struct connection *c = call->connection;
	if (call->file >= 0)
		(void)close(call->file);
	free(call);
	if (!c) {
		json_decref(body);
		return;
	}
	c->call = NULL;
	if (say(c, name, body))
		work(c);
}

void control_reply(struct control_call *call, json_t *body)
{
	end(call, "ok", body);
}

void control_fail(struct control_call *call, const struct yg_err *why)
{
	end(call, "error", failure(why));
}

static int find(const struct control *control, const json_t *question,
	const struct control_verb **out, struct yg_err *err)
{
	const char *name = NULL;
	if (yg_json_str(question, "do", 64, &name, err) < 0)
		return -1;
	for (const struct control_verb *verb = control->verbs; verb->name; verb++) {
		if (strcmp(verb->name, name) == 0) {
			*out = verb;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "do: there is no '%s' here", name);
}

static void ask(struct connection *c, struct yg_bytes text)
{
	json_t *question YG_AUTO(yg_json) = NULL;
	const struct control_verb *verb = NULL;
	struct yg_err err = {0};
	struct control_call *call = calloc(1, sizeof(*call));
	if (!call)
		return;
	call->connection = c;
	call->file = yg_take_fd(c->came);
	c->call = call;
	if (yg_json_parse(text, LINE_MAX_BYTES, &question, &err) < 0 ||
		find(c->control, question, &verb, &err) < 0) {
		control_fail(call, &err);
		return;
	}
	verb->handle(c->control->ctx, call, question);
}

/* The next whole line, if nobody is being answered. */
static void work(struct connection *c)
{
	const uint8_t *end_of = c->in.len > 0 ? memchr(c->in.data, '\n', c->in.len) : NULL;
	if (c->call || !end_of) {
		(void)flush(c);
		return;
	}
	size_t len = (size_t)(end_of - c->in.data);
	uint8_t *line YG_AUTO(mem) = malloc(len + 1);
	if (!line) {
		connection_free(c);
		return;
	}
	memcpy(line, c->in.data, len);
	memmove(c->in.data, end_of + 1, c->in.len - len - 1);
	c->in.len -= len + 1;
	ask(c, (struct yg_bytes){line, len}); /* may free the connection */
}

/* Closed altogether, and not only for what it would send. */
static bool is_gone(const struct connection *c)
{
	struct pollfd at = {.fd = c->fd};
	return poll(&at, 1, 0) > 0 && (at.revents & (POLLHUP | POLLERR));
}

/* Bytes, and perhaps a file: of several the last, of one that nobody asked about none. */
static ssize_t receive(struct connection *c, char *out, size_t size)
{
	union {
		struct cmsghdr header; /* for its alignment */
		char bytes[CMSG_SPACE(sizeof(int))];
	} space = {0};
	struct iovec piece = {out, size};
	struct msghdr msg = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = space.bytes,
		.msg_controllen = sizeof(space.bytes)};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *with = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	if (!with || with->cmsg_level != SOL_SOCKET || with->cmsg_type != SCM_RIGHTS)
		return n;
	/* What is rounded up for alignment has room for two. */
	size_t count = (with->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		if (c->came >= 0)
			(void)close(c->came);
		memcpy(&c->came, CMSG_DATA(with) + i * sizeof(int), sizeof(int));
	}
	return n;
}

static void ready(void *ctx, unsigned what)
{
	struct connection *c = ctx;
	struct yg_err err = {0};
	if ((what & YG_LOOP_WRITE) && !flush(c))
		return;
	if (!(what & YG_LOOP_READ))
		return;
	char chunk[4096];
	ssize_t n = receive(c, chunk, sizeof(chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && is_gone(c)) {
		connection_free(c);
		return;
	}
	if (n <= 0) {
		c->ended = true;
	} else if (yg_buf_add(&c->in, chunk, (size_t)n, &err) < 0) {
		connection_free(c); /* a line longer than any question */
		return;
	}
	work(c);
}

static bool may(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		(peer.uid == 0 || peer.uid == geteuid());
}

static void accept_one(void *ctx, unsigned what)
{
	(void)what;
	struct control *control = ctx;
	int fd YG_AUTO(fd) = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!may(fd) || control->count >= CONNECTIONS_MAX) {
		yg_log(YG_LOG_WARN, "control.refused",
			"a connection of another user, or one too many");
		return;
	}
	struct connection *c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->control = control;
	c->fd = yg_take_fd(fd);
	c->came = -1;
	c->in = YG_BUF(LINE_MAX_BYTES + 1);
	c->out = YG_BUF(OUT_MAX);
	c->next = control->connections;
	control->connections = c;
	control->count++;
	c->watch = yg_loop_watch(control->loop, c->fd, YG_LOOP_READ, ready, c);
}

struct control *control_new(struct yg_loop *loop, int fd, const struct control_verb *verbs,
	void *ctx, struct yg_err *err)
{
	struct control *control = calloc(1, sizeof(*control));
	if (!control) {
		(void)close(fd);
		(void)yg_fail_sys(err, ENOMEM, "the control socket");
		return NULL;
	}
	control->loop = loop;
	control->fd = fd;
	control->verbs = verbs;
	control->ctx = ctx;
	control->watch = yg_loop_watch(loop, fd, YG_LOOP_READ, accept_one, control);
	return control;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->connections)
		connection_free(control->connections);
	yg_watch_free(control->watch);
	(void)close(control->fd);
	free(control);
}
