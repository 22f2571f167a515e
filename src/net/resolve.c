/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "net/resolve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"

/* Held by who asks and by the thread: who comes last frees it. */
struct yg_resolve {
	atomic_int holders;
	atomic_bool done;
	int fd;
	char host[256];
	char port[8];
	struct yg_resolved answer;
};

static void release(struct yg_resolve *resolve)
{
	if (atomic_fetch_sub(&resolve->holders, 1) > 1)
		return;
	(void)close(resolve->fd);
	free(resolve);
}

static void keep(struct yg_resolved *out, const struct addrinfo *list)
{
	for (; list && out->count < YG_RESOLVE_MAX; list = list->ai_next) {
		size_t at = out->count;
		if (list->ai_addrlen > sizeof(out->list[at].address) ||
			getnameinfo(list->ai_addr, list->ai_addrlen, out->list[at].text,
				sizeof(out->list[at].text), NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		memcpy(&out->list[at].address, list->ai_addr, list->ai_addrlen);
		out->list[at].len = list->ai_addrlen;
		out->count++;
	}
}

static void *ask(void *arg)
{
	struct yg_resolve *resolve = arg;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int error = getaddrinfo(resolve->host, resolve->port, &hints, &list);
	resolve->answer.error = error;
	resolve->answer.sys = error == EAI_SYSTEM ? errno : 0;
	if (error == 0) {
		keep(&resolve->answer, list);
		freeaddrinfo(list);
	}
	atomic_store(&resolve->done, true);
	(void)eventfd_write(resolve->fd, 1);
	release(resolve);
	return NULL;
}

struct yg_resolve *yg_resolve_start(const char *host, uint16_t port, int *fd, struct yg_err *err)
{
	struct yg_resolve *resolve = calloc(1, sizeof(*resolve));
	if (!resolve) {
		(void)yg_fail(err, YG_ESYSTEM, "resolving: out of memory");
		return NULL;
	}
	(void)snprintf(resolve->host, sizeof(resolve->host), "%s", host);
	(void)snprintf(resolve->port, sizeof(resolve->port), "%u", port);
	atomic_init(&resolve->holders, 1);
	resolve->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (resolve->fd < 0) {
		(void)yg_fail_sys(err, errno, "resolving");
		free(resolve);
		return NULL;
	}
	pthread_t thread;
	atomic_store(&resolve->holders, 2);
	int rc = pthread_create(&thread, NULL, ask, resolve);
	if (rc != 0) {
		(void)yg_fail_sys(err, rc, "resolving");
		atomic_store(&resolve->holders, 1);
		release(resolve);
		return NULL;
	}
	(void)pthread_detach(thread);
	*fd = resolve->fd;
	return resolve;
}

const struct yg_resolved *yg_resolve_answer(const struct yg_resolve *resolve)
{
	return atomic_load(&resolve->done) ? &resolve->answer : NULL;
}

void yg_resolve_free(struct yg_resolve *resolve)
{
	if (resolve)
		release(resolve);
}

int yg_resolve_wait(const char *host, uint16_t port, uint32_t ms, struct yg_resolved *out,
	struct yg_err *err)
{
	int fd = -1;
	struct yg_resolve *resolve YG_AUTO(yg_resolve) = yg_resolve_start(host, port, &fd, err);
	if (!resolve)
		return -1;
	const int64_t until = yg_clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !yg_resolve_answer(resolve);
		left = until - yg_clock_mono_ms()) {
		struct pollfd one = {.fd = fd, .events = POLLIN};
		(void)poll(&one, 1, (int)left);
	}
	const struct yg_resolved *answer = yg_resolve_answer(resolve);
	*out = answer ? *answer : (struct yg_resolved){.error = EAI_AGAIN};
	return 0;
}
