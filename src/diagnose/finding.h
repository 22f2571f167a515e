/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"
#include "proto/lang.h"

/* What a diagnosis found, in order of likelihood: docs/diagnose.md, "The order". The rule, which the tests of this
 * file hold it to:
 *
 *   1. What has the same cause is one finding, unless it is about two different objects.
 *   2. What another finding explains (the table in finding.c: a wrong clock explains a certificate that seems
 *      to have expired) is no cause of its own: it is listed below the one that explains it.
 *   3. What is over (a success came after it) goes behind everything that stands.
 *   4. What was checked just now goes before what the last run said, that before what a log says.
 *   5. What names the cause goes before what only says that something failed.
 *   6. What must work first goes first: program, disk, clock, files, names, routes, proxy, TLS, HTTP, metadata,
 *      content, engine, jobs.
 *   7. The later one goes first.
 */

enum yg_find_how {
	YG_FIND_CHECKED, /* seen by a check that was made now */
	YG_FIND_RUN,     /* how the last run ended */
	YG_FIND_LOG,     /* read in a log */
};

enum yg_find_weight {
	YG_FIND_NAMES,  /* says what is wrong */
	YG_FIND_KIND,   /* says which kind of thing went wrong */
	YG_FIND_FAILED, /* says no more than that something failed */
};

#define YG_FINDINGS_MAX 1000 /* of one diagnosis; more are counted only */
#define YG_FIND_SEEN    6    /* places that are kept of each */

/* One thing that was found. All texts are copied. */
struct yg_found {
	const char *cause; /* of the catalogue */
	enum yg_find_how how;
	enum yg_find_weight weight;
	const char *object;      /* what it is about, when there can be several: a file; NULL */
	const char *seen;        /* what was seen, one line: "iau.log:7: …"; NULL */
	const char *source;      /* the log that it was read in; NULL */
	const char *sentence[2]; /* instead of the cause's, by enum yg_lang; NULL. Static */
	const char *remedy[2];   /* likewise; "{object}" stands for the object. Static */
	int64_t at_s;            /* when; 0: not known */
};

struct yg_findings;

struct yg_findings *yg_findings_new(struct yg_err *err) YG_MUST_CHECK;
void yg_findings_free(struct yg_findings *findings);
YG_DEFINE_AUTO(yg_findings);

/* Note one. A cause that the catalogue lacks is noted as it is.
 * errors  YG_ESYSTEM out of memory
 */
int yg_findings_add(struct yg_findings *findings, const struct yg_found *found, struct yg_err *err)
	YG_MUST_CHECK;

/* Something has worked: what logs said until then is over.
 * in      until_s  only what was found up to that time; 0: all that was added so far
 *         source   only what was read in this log and in no other; NULL: any
 *         area     only causes that begin so ("engine."); "": all
 */
void yg_findings_over(struct yg_findings *findings, int64_t until_s, const char *source,
	const char *area);

/* Apply the rule. Call it once, after the last one was added. */
void yg_findings_settle(struct yg_findings *findings);

/* How many causes stand (neither over nor explained), after settling. */
size_t yg_findings_standing(const struct yg_findings *findings);

/* [{cause, sentence, remedy, auto, object, seen:[…], count, first, last (times or null), how:"checked"|"run"|
 * "log", over, explains:[{cause, sentence, seen:[…]}]}] in order, after settling. A new reference; NULL when memory
 * is out.
 */
json_t *yg_findings_json(const struct yg_findings *findings, enum yg_lang lang) YG_MUST_CHECK;
