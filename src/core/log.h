/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/attr.h"
#include "core/err.h"

/* For the operator of this machine. What the product has to tell its users is an event: proto/. */

enum yg_level { YG_LOG_ERROR = 3, YG_LOG_WARN, YG_LOG_NOTICE, YG_LOG_INFO, YG_LOG_DEBUG };

/* Name this process once, at its start: "agent/session". Borrowed for ever (a literal). */
void yg_log_init(const char *process, enum yg_level level);

/* One line to stderr: "<4>agent/install: update.rejected: manifest '7': name breaks the rules".
 * The journal adds time, unit and process id. `what` is a fixed word pair "area.what" to grep and
 * count by. Control characters in the text are escaped here, once, for everybody.
 */
void yg_log(enum yg_level level, const char *what, const char *fmt, ...) YG_PRINTF(3, 4);

/* Log a failure, at the one place that decides what to do about it. */
void yg_log_err(enum yg_level level, const char *what, const struct yg_err *err);
