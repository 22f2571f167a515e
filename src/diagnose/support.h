/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/attr.h"
#include "core/err.h"
#include "proto/lang.h"

/* A failure in the form that is sent to whoever helps: the same lines wherever it is taken from.
 *
 *     Cause: net.refused
 *     What: The connection was refused: nothing listens at this address and port. (10.0.0.5 port 4122)
 *     Computer: web1 (8b1c…)
 *     Time: 2026-11-22T15:30:00+09:00 (JST)
 *     Versions: yagura 0.1.0, agent 0.1.0
 */

struct yg_support {
	const char *cause; /* of the catalogue; "" or NULL: none */
	const char *
		what; /* the sentence in the reader's language, with what was found; NULL: the cause's */
	const char *computer; /* name, and "" when there is none */
	const char *id;       /* of the computer, or of the job; "" */
	int64_t at_s;         /* 0: now */
	const char *versions; /* besides that of this program: "agent 0.1.0, Manager 0.1.0"; "" */
};

/* A new string with a line feed behind each line, the caller's to free; NULL when memory is out. */
char *yg_support_text(const struct yg_support *given, enum yg_lang lang) YG_MUST_CHECK;
