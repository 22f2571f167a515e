/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/mem.h"

/* Names to addresses, in a thread of its own: the resolver of the system can take half a minute. */

#define YG_RESOLVE_MAX  8  /* addresses of one name that are kept */
#define YG_RESOLVE_TEXT 48 /* bytes of an address as text, with the terminator */

struct yg_resolved {
	int error; /* EAI_*, as getaddrinfo says; 0: there are addresses */
	int sys;   /* errno, with EAI_SYSTEM */
	size_t count;
	struct {
		struct sockaddr_storage address;
		socklen_t len;
		char text[YG_RESOLVE_TEXT]; /* "10.0.0.5", "fd00::5" */
	} list[YG_RESOLVE_MAX];
};

struct yg_resolve; /* one question */

/* Begin. The descriptor becomes readable when the answer is there; it is the question's.
 * errors  YG_ESYSTEM
 */
struct yg_resolve *yg_resolve_start(const char *host, uint16_t port, int *fd, struct yg_err *err)
	YG_MUST_CHECK;

/* The answer, or NULL while there is none. Points into the question. */
const struct yg_resolved *yg_resolve_answer(const struct yg_resolve *resolve);

/* The thread, if it still asks, goes on until it has its answer, and throws it away. NULL is fine. */
void yg_resolve_free(struct yg_resolve *resolve);
YG_DEFINE_AUTO(yg_resolve);

/* Wait for it. Error EAI_AGAIN when there is no answer within `ms`. errors  YG_ESYSTEM */
int yg_resolve_wait(const char *host, uint16_t port, uint32_t ms, struct yg_resolved *out,
	struct yg_err *err) YG_MUST_CHECK;
