/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "proto/lang.h"

/* The causes of failures: src/proto/causes.json. A cause is a fixed word pair ("net.refused") that
 * goes from where a failure is found (yg_fail_cause) to everybody who reads about it, who sees one
 * sentence and what to do. A script checks that every cause in the code is in the catalogue.
 */

struct yg_cause; /* one row, static */

/* NULL when there is no such cause (or id is NULL or ""). */
const struct yg_cause *yg_cause_find(const char *id);

size_t yg_cause_count(void);
const struct yg_cause *yg_cause_at(size_t index); /* by order of id */
const char *yg_cause_id(const struct yg_cause *cause);

/* One plain sentence; what a person can do about it ("": nothing); what the system does by itself ("": nothing).
 * Static.
 */
const char *yg_cause_text(const struct yg_cause *cause, enum yg_lang lang);
const char *yg_cause_remedy(const struct yg_cause *cause, enum yg_lang lang);
const char *yg_cause_auto(const struct yg_cause *cause, enum yg_lang lang);

/* Append "<sentence> (<detail>)": what every program shows for a failure. `detail` is the message
 * of struct yg_err, may be NULL or "". A cause that the catalogue lacks leaves the detail alone, or
 * the id.
 * errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_cause_sentence(const char *id, const char *detail, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err) YG_MUST_CHECK;
