/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/attr.h"
#include "core/err.h"
#include "core/mem.h"
#include "diagnose/finding.h"

/* What is looked at in one diagnosis, and what was seen: a list of checks, good and bad, and the findings that the bad
 * ones lead to.
 */

struct yg_diagnosis {
	enum yg_lang lang;
	struct yg_findings *findings; /* owned */
	json_t *checks; /* owned; [{check, state:"ok"|"note"|"bad"|"unknown", seen}]. `check` is a word, proto/word.h */
	struct yg_err failed; /* the first failure of the diagnosis itself (memory) */
};

/* in  lang  of what is seen, and of the result */
struct yg_diagnosis *yg_diagnosis_new(enum yg_lang lang, struct yg_err *err) YG_MUST_CHECK;
void yg_diagnosis_free(struct yg_diagnosis *diagnosis);
YG_DEFINE_AUTO(yg_diagnosis);

/* The one of two texts, or formats, that is in the language. */
const char *yg_diagnosis_say(const struct yg_diagnosis *diagnosis, const char *en, const char *ja)
	__attribute__((format_arg(2), format_arg(3)));

/* A check was good; or it could not be made. */
void yg_diagnosis_good(struct yg_diagnosis *diagnosis, const char *check, const char *fmt, ...)
	YG_PRINTF(3, 4);
void yg_diagnosis_unknown(struct yg_diagnosis *diagnosis, const char *check, const char *fmt, ...)
	YG_PRINTF(3, 4);

/* Nothing is wrong, and yet somebody should know it. */
void yg_diagnosis_note(struct yg_diagnosis *diagnosis, const char *check, const char *fmt, ...)
	YG_PRINTF(3, 4);

/* A check was bad, for this cause. `fmt` is what was seen, as the detail of an error. */
void yg_diagnosis_bad(struct yg_diagnosis *diagnosis, const char *check, const char *cause,
	const char *fmt, ...) YG_PRINTF(4, 5);

/* The same with all that is known; found->seen is set from the text. */
void yg_diagnosis_find(struct yg_diagnosis *diagnosis, const char *check,
	const struct yg_found *found, const char *fmt, ...) YG_PRINTF(4, 5);

/* Settle, and give {causes:[…], checks:[…]}. A new reference; NULL when memory is out.
 * out     *standing  how many causes stand
 */
json_t *yg_diagnosis_result(struct yg_diagnosis *diagnosis, size_t *standing) YG_MUST_CHECK;
