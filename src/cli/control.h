/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"

/* One request over the local agent's control socket: docs/processes.md, "Control socket". */

#define CONTROL_LINE_MAX (8u << 20) /* bytes of one line of an answer */

/* in      ask       {"do":…}; borrowed
 *         fd        a file that goes with it, borrowed; -1: none
 *         progress  called with each line of progress; NULL: they are dropped
 * out     *ok       a new reference
 * errors  YG_EABSENT no agent runs under this root; YG_ESYSTEM; YG_EFORMAT the answer is broken;
 *         else the agent's own refusal, with its cause
 */
int control_call(const char *root, const json_t *ask, int fd,
	void (*progress)(void *ctx, const json_t *line), void *ctx, json_t **ok, struct yg_err *err)
	YG_MUST_CHECK;

/* The same, for at most so many seconds until it is connected, and then without a byte.
 * errors  also YG_EAGAIN cause agent.silent
 */
int control_call_within(const char *root, int seconds, const json_t *ask, json_t **ok,
	struct yg_err *err) YG_MUST_CHECK;
