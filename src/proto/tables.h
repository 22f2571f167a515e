/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/alert.h"
#include "proto/cause.h"
#include "proto/event.h"
#include "proto/status.h"

/* What tools/gen-proto makes of the JSON files here; for the files of this folder only. Texts are
 * pools of strings with offsets into them.
 */

struct yg_tables_param {
	uint16_t name; /* in yg_tables_param_names */
	uint8_t type;  /* enum yg_event_type */
	uint8_t optional;
};

struct yg_cause {
	uint16_t id; /* in yg_tables_cause_ids */
};

struct yg_alert {
	uint16_t kind;       /* in yg_tables_alert_kinds */
	uint8_t subject;     /* enum yg_alert_subject */
	struct yg_event row; /* level and parameters; its id means nothing */
};

/* What events and alerts have in common: parameters that fit, and a template filled with them. */
int yg_event_row_check(const struct yg_event *row, const json_t *params, struct yg_err *err)
	YG_MUST_CHECK;
int yg_event_row_render(const struct yg_event *row, const char *text, const json_t *params,
	enum yg_lang lang, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

struct yg_tables_status_cause {
	const char *cause; /* "net.refused", "net.*" or "*" */
	size_t status;     /* in yg_tables_statuses */
};

extern const struct yg_event yg_tables_events[];
extern const size_t yg_tables_event_count;
extern const struct yg_tables_param yg_tables_params[];
extern const char yg_tables_param_names[];

/* Name and text of each event; name, text and remedy of each alert; sentence, remedy and what is done by itself
 * of each cause: in the order of the tables.
 */
extern const char yg_tables_event_en[];
extern const uint16_t yg_tables_event_en_at[][2];
extern const char yg_tables_event_ja[];
extern const uint16_t yg_tables_event_ja_at[][2];

extern const char yg_tables_alert_kinds[];
extern const struct yg_alert yg_tables_alerts[];
extern const size_t yg_tables_alert_count;
extern const char yg_tables_alert_en[];
extern const uint16_t yg_tables_alert_en_at[][3];
extern const char yg_tables_alert_ja[];
extern const uint16_t yg_tables_alert_ja_at[][3];

extern const char yg_tables_cause_ids[];
extern const struct yg_cause yg_tables_causes[];
extern const size_t yg_tables_cause_count;
extern const char yg_tables_cause_en[];
extern const uint16_t yg_tables_cause_en_at[][3];
extern const char yg_tables_cause_ja[];
extern const uint16_t yg_tables_cause_ja_at[][3];

extern const struct yg_status yg_tables_statuses[];
extern const size_t yg_tables_status_count;
extern const struct yg_tables_status_cause yg_tables_status_causes[];
extern const size_t yg_tables_status_cause_count;
