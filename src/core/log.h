/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/attr.h"
#include "core/err.h"

/* For the operator of this machine. What the product has to tell its users is an event: proto/. A line goes to
 * stderr when the level says so, and always into the ring of this process (core/ring.h), when it has one: the
 * last lines, of all levels, are there afterwards without anybody having asked for them. docs/logs.md
 */

enum yg_level {
	YG_LOG_ERROR = 3,
	YG_LOG_WARN,
	YG_LOG_NOTICE,
	YG_LOG_INFO,
	YG_LOG_DEBUG,
	YG_LOG_TRACE, /* for the ring only: what happens too often for a log */
};

/* Name this process once, at its start: "agent/session". Borrowed for ever (a literal). */
void yg_log_init(const char *process, enum yg_level level);

void yg_log_level_set(enum yg_level level);
enum yg_level yg_log_level(void);

/* "error", "warn", "notice", "info", "debug" and back.
 * errors  YG_EFORMAT "want error, warn, notice, info or debug, have '…'"
 */
int yg_log_level_parse(const char *name, enum yg_level *out, struct yg_err *err) YG_MUST_CHECK;
const char *yg_log_level_name(enum yg_level level);

/* Write every line into this ring file from now on; the descriptor stays the caller's.
 * errors  those of yg_ring_map; it goes on without one
 */
int yg_log_ring(int fd, struct yg_err *err) YG_MUST_CHECK;

/* One line to stderr: "<4>agent/install: update.rejected: manifest '7': name breaks the rules".
 * The journal adds time, unit and process id; a line of the ring begins with them. `what` is a fixed word pair
 * "area.what" to grep and count by. Secrets are taken out (core/scrub.h) and control characters escaped here,
 * once, for everybody.
 */
void yg_log(enum yg_level level, const char *what, const char *fmt, ...) YG_PRINTF(3, 4);

/* Log a failure, at the one place that decides what to do about it: its message, and " [net.refused]". */
void yg_log_err(enum yg_level level, const char *what, const struct yg_err *err);
