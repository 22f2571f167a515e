/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "proto/lang.h"

/* The kinds of alerts: src/proto/alerts.json. An alert is its kind, its subject (a computer, a relay
 * group …) and typed parameters as an event has them; texts are made when somebody reads it.
 */

/* What the subject of an alert is: the id of one of these, or "" for the whole installation. */
enum yg_alert_subject {
	YG_ALERT_ALL,
	YG_ALERT_COMPUTER,
	YG_ALERT_GROUP,
	YG_ALERT_ITEM /* of the expiry calendar */
};

struct yg_alert; /* one row, static */

const struct yg_alert *yg_alert_find(const char *kind); /* NULL when there is no such kind */
size_t yg_alert_count(void);
const struct yg_alert *yg_alert_at(size_t index); /* by order of kind */

const char *yg_alert_kind(const struct yg_alert *alert);
enum yg_alert_subject yg_alert_subject(const struct yg_alert *alert);
uint8_t yg_alert_level(const struct yg_alert *alert); /* enum yg_event_level */
const char *yg_alert_name(const struct yg_alert *alert, enum yg_lang lang);
const char *yg_alert_template(const struct yg_alert *alert, enum yg_lang lang);

/* What a person can do: that of the cause among the parameters when there is one, else the kind's own;
 * "" when it heals by itself. Static.
 */
const char *yg_alert_remedy(const struct yg_alert *alert, const json_t *params, enum yg_lang lang);

/* Whether parameters (an object; NULL counts as empty) fit. The error names the parameter.
 * errors  YG_EFORMAT, YG_ELIMIT
 */
int yg_alert_check(const struct yg_alert *alert, const json_t *params, struct yg_err *err)
	YG_MUST_CHECK;

/* Append the text with its parameters filled in, as yg_event_render.
 * errors  YG_ELIMIT the buffer's maximum; YG_ESYSTEM
 */
int yg_alert_render(const struct yg_alert *alert, const json_t *params, enum yg_lang lang,
	struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
