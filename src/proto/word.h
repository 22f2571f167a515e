/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>

#include "proto/lang.h"

/* Words that programs use (in the API, in messages, in parameters of events) as people read them. The
 * same word can mean different things: each belongs to an area.
 */
enum yg_words {
	YG_WORDS_NONE,
	YG_WORDS_STATE,  /* of computers, jobs, engines, content */
	YG_WORDS_KIND,   /* of jobs and computers; levels and origins of events; roles */
	YG_WORDS_PHASE,  /* of an update or a job */
	YG_WORDS_REASON, /* of a hold, of a file without a verdict, of lost events */
	YG_WORDS_WHO,    /* who asked, when that was no person: "system", "schedule" */
	YG_WORDS_CHECK, /* what a diagnosis looks at, and how it found that; columns of the network plan */
};

/* `word` in a language; itself when nothing is known of it. */
const char *yg_word(enum yg_words words, const char *word, enum yg_lang lang);

/* One row of the table, for its test. NULL behind the end. */
const char *yg_word_row(size_t row, enum yg_words *words, const char **en, const char **ja);
