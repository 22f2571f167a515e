/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "proto/lang.h"

/* The event catalogue: src/proto/events.json, from which the tables here, docs/events.md and the
 * API's catalogue are made. An event is its id and typed parameters, a JSON object; texts are made
 * when somebody reads it, in that person's language. Parameters that the catalogue does not have
 * are ignored everywhere.
 */

enum yg_event_level { YG_EVENT_INFO, YG_EVENT_WARNING, YG_EVENT_ERROR };
enum yg_event_origin { YG_EVENT_MANAGER, YG_EVENT_AGENT };

/* What a parameter holds, and how it is shown. */
enum yg_event_type {
	YG_EVENT_TEXT,     /* string, at most 4096 bytes */
	YG_EVENT_INT,      /* whole number */
	YG_EVENT_BYTES,    /* whole number >= 0; "1.5 MiB" */
	YG_EVENT_DURATION, /* whole number of seconds >= 0; "2 min 5 s" */
	YG_EVENT_TIME,     /* string "2026-11-21T22:47:43Z" */
	YG_EVENT_CODE,     /* whole number, 0..2^32-1; "ffffd8ef" */
	YG_EVENT_COMPUTER, /* string, a computer's name, at most 255 bytes */
	YG_EVENT_CAUSE,    /* string, an id of causes.json (or ""); its sentence */
	YG_EVENT_SET,      /* string, 64 hex digits or ""; the first twelve */
	YG_EVENT_REASON,   /* text that may be one of proto/word.h's, in the reader's language */
	YG_EVENT_PHASE,    /* the same */
	YG_EVENT_WHO,      /* the same */
	YG_EVENT_KIND,     /* the same */
	YG_EVENT_ALERT, /* {"kind","params"?}, an alert; its name and text, without params its name */
	YG_EVENT_COMPONENTS, /* [{"name","from","to"}], versions, from 0 when new; "am-pattern 1 → 2" */
	YG_EVENT_COMPUTERS, /* ["name"]; the first five, then "and 7 more" */
	YG_EVENT_FAILURES,  /* [{"computer","cause","sentence"}]; "web1: sentence (detail)" */
};

#define YG_EVENT_PARAMS_MAX 65536 /* bytes of one event's parameters as JSON text */
#define YG_EVENT_TEXT_MAX   16384 /* bytes of one rendered text; what is more is cut */

struct yg_event {
	uint32_t id;
	uint16_t param_first; /* for yg_event_param */
	uint8_t param_count;
	uint8_t level;  /* enum yg_event_level */
	uint8_t origin; /* enum yg_event_origin */
};

struct yg_event_param {
	const char *name; /* member of the parameters' object */
	enum yg_event_type type;
	bool optional; /* may be absent or null */
};

/* NULL when the catalogue has no such id. */
const struct yg_event *yg_event_find(uint32_t id);

/* All of them, by growing id. */
const struct yg_event *yg_event_all(size_t *count);

/* in  index  0 .. param_count - 1 */
struct yg_event_param yg_event_param(const struct yg_event *event, size_t index);

const char *yg_event_level_name(uint8_t level);   /* "info", "warning", "error" */
const char *yg_event_origin_name(uint8_t origin); /* "manager", "agent" */
const char *yg_event_type_name(enum yg_event_type type);

/* Whether parameters (an object; NULL counts as empty) fit the catalogue. The error names the
 * parameter.
 * errors  YG_EABSENT no such event; YG_EFORMAT; YG_ELIMIT
 */
int yg_event_check(uint32_t id, const json_t *params, struct yg_err *err) YG_MUST_CHECK;

/* The event's name in a language, "Security Update Successful"; for an id that the catalogue lacks
 * (a newer agent), a name that says so. Never NULL.
 */
const char *yg_event_name(uint32_t id, enum yg_lang lang);

/* Append the description with its parameters filled in. Parameters that are missing or of another
 * type (a newer or older agent) are shown as "?"; control characters as spaces; nothing else can go
 * wrong. For an unknown id the parameters are shown as JSON.
 * errors  YG_ELIMIT the buffer's maximum; YG_ESYSTEM
 */
int yg_event_render(uint32_t id, const json_t *params, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err) YG_MUST_CHECK;

/* The text template with "{param}" left as it is, for the catalogue that the API shows. NULL:
 * unknown.
 */
const char *yg_event_template(uint32_t id, enum yg_lang lang);
