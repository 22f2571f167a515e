/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/attr.h"

#define YG_ERR_MSG_MAX   384 /* bytes, with the terminator */
#define YG_ERR_CAUSE_MAX 40  /* bytes, with the terminator */

/* What a caller can do about a failure: one code per reaction; the cause is in the message. */
enum yg_code {
	YG_OK,
	YG_EFORMAT,    /* malformed input: reject it, never retry */
	YG_EUNTRUSTED, /* well formed, but not vouched for: reject it and raise an event */
	YG_ELIMIT,     /* beyond a stated limit: reject it */
	YG_EABSENT,    /* not there */
	YG_EAGAIN,     /* not now: retry with back-off */
	YG_ESYSTEM,    /* the system refused: see sys */
};

/* One failure, owned by the caller, usually on its stack. Zero it before first use. */
struct yg_err {
	enum yg_code code;
	int sys;                      /* errno where it happened, or 0 */
	uint32_t retry_s;             /* not to be asked again before, as the server says; or 0 */
	char cause[YG_ERR_CAUSE_MAX]; /* "net.refused": one of proto/causes.json, or empty */
	char msg[YG_ERR_MSG_MAX];     /* "doing this: doing that: the cause" */
};

/* Record a failure. Always returns -1, so that `return yg_fail(...)` is the whole error path. */
int yg_fail(struct yg_err *err, enum yg_code code, const char *fmt, ...) YG_PRINTF(3, 4);

/* As yg_fail, with YG_ESYSTEM, and ": " and the text of errno value `sys` appended. */
int yg_fail_sys(struct yg_err *err, int sys, const char *fmt, ...) YG_PRINTF(3, 4);

/* As yg_fail, for a failure that has a name in the catalogue of causes. */
int yg_fail_cause(struct yg_err *err, enum yg_code code, const char *cause, const char *fmt, ...)
	YG_PRINTF(4, 5);

/* Put "<fmt>: " in front of a failure that came from below. Keeps all but its text. Returns -1. */
int yg_wrap(struct yg_err *err, const char *fmt, ...) YG_PRINTF(2, 3);
