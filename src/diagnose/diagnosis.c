/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/diagnosis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"

#define SEEN_MAX 1024 /* bytes */

struct yg_diagnosis *yg_diagnosis_new(enum yg_lang lang, struct yg_err *err)
{
	struct yg_diagnosis *d YG_AUTO(yg_diagnosis) = calloc(1, sizeof(*d));
	if (d) {
		d->lang = lang;
		d->findings = yg_findings_new(err);
		d->checks = json_array();
	}
	if (!d || !d->findings || !d->checks) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	return yg_take(d);
}

void yg_diagnosis_free(struct yg_diagnosis *d)
{
	if (!d)
		return;
	yg_findings_free(d->findings);
	json_decref(d->checks);
	free(d);
}

const char *yg_diagnosis_say(const struct yg_diagnosis *d, const char *en, const char *ja)
{
	return d->lang == YG_LANG_JA ? ja : en;
}

static void note(struct yg_diagnosis *d, const char *check, const char *state, const char *seen)
{
	(void)json_array_append_new(d->checks,
		json_pack("{s:s, s:s, s:s}", "check", check, "state", state, "seen", seen));
}

/* What did not fit may have been cut inside of a character. */
static void end_whole(char *text)
{
	size_t len = strlen(text);
	for (size_t back = 0; back < 4 && back <= len; back++) {
		if (yg_str_utf8_ok(text, len - back)) {
			text[len - back] = '\0';
			return;
		}
	}
}

#define SEEN(out, fmt)                                                                             \
	char out[SEEN_MAX];                                                                        \
	do {                                                                                       \
		va_list ap_;                                                                       \
		va_start(ap_, fmt);                                                                \
		(void)vsnprintf(out, sizeof(out), fmt, ap_);                                       \
		va_end(ap_);                                                                       \
		end_whole(out);                                                                    \
	} while (0)

void yg_diagnosis_good(struct yg_diagnosis *d, const char *check, const char *fmt, ...)
{
	SEEN(seen, fmt);
	note(d, check, "ok", seen);
}

void yg_diagnosis_unknown(struct yg_diagnosis *d, const char *check, const char *fmt, ...)
{
	SEEN(seen, fmt);
	note(d, check, "unknown", seen);
}

void yg_diagnosis_note(struct yg_diagnosis *d, const char *check, const char *fmt, ...)
{
	SEEN(seen, fmt);
	note(d, check, "note", seen);
}

static void find(struct yg_diagnosis *d, const char *check, struct yg_found found, const char *seen)
{
	char line[SEEN_MAX + 64];
	struct yg_err err = {0};
	note(d, check, "bad", seen);
	(void)snprintf(line, sizeof(line), "%s: %s", check, seen);
	found.seen = line;
	if (yg_findings_add(d->findings, &found, &err) < 0 && !d->failed.code)
		d->failed = err;
}

void yg_diagnosis_bad(struct yg_diagnosis *d, const char *check, const char *cause, const char *fmt,
	...)
{
	SEEN(seen, fmt);
	find(d, check, (struct yg_found){.cause = cause}, seen);
}

void yg_diagnosis_find(struct yg_diagnosis *d, const char *check, const struct yg_found *found,
	const char *fmt, ...)
{
	SEEN(seen, fmt);
	find(d, check, *found, seen);
}

json_t *yg_diagnosis_result(struct yg_diagnosis *d, size_t *standing)
{
	yg_findings_settle(d->findings);
	*standing = yg_findings_standing(d->findings);
	return json_pack("{s:o, s:O}", "causes", yg_findings_json(d->findings, d->lang), "checks",
		d->checks);
}
