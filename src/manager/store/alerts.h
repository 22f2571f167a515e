/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "core/err.h"

/* Alerts: what lasts and wants a person. At most one stands for a kind (src/proto/alerts.json) and a subject;
 * it begins once, may change, and ends by itself with a reason. One failure followed by a success is no
 * alert: whoever counts failures calls store_alert_failing and store_alert_well, and they know how long
 * is long.
 */

struct store;

/* The alert stands from now on; one that stands takes the new parameters. Events 190 and 191 (the latter
 * when its cause or its days changed).
 * in      kind     of alerts.json; an unknown one is logged and nothing happens
 *         subject  id of a computer, a relay group …; "" for the whole installation
 *         params   taken over
 * errors  those of db/
 */
int store_alert_raise(struct store *store, const char *kind, const char *subject, json_t *params,
	struct yg_err *err) YG_MUST_CHECK;

/* It stands no more. Event 192. Nothing happens when none stands.
 * in      reason   a word of YG_WORDS_REASON
 */
int store_alert_end(struct store *store, const char *kind, const char *subject, const char *reason,
	struct yg_err *err) YG_MUST_CHECK;

/* One more failure of something that may pass. Raised when it lasts: alerts.failures in a row, or a second
 * one when the first is alerts.update_after_s ago. `params` (taken over) get failures and since.
 * out     *raised  the alert stands; may be NULL
 */
int store_alert_failing(struct store *store, const char *kind, const char *subject, json_t *params,
	bool *raised, struct yg_err *err) YG_MUST_CHECK;

/* It went well: forget the failures and end the alert. */
int store_alert_well(struct store *store, const char *kind, const char *subject, const char *reason,
	struct yg_err *err) YG_MUST_CHECK;

/* A computer's part of an update job has ended: called from the one place where that happens.
 * in      relay    the relay's part
 *         outcome  "success", "failed", "cancelled" (says nothing)
 *         cause    of a failure, or ""; job.timeout: no result came in time (T4)
 */
int store_alerts_result(struct store *store, const char *computer, bool relay, const char *outcome,
	const char *cause, struct yg_err *err) YG_MUST_CHECK;

/* The result that job.timeout stood for has come after all: the part stays as it is, but nobody need wait for
 * that computer any more (T4). A success counts as one.
 */
int store_alerts_late(struct store *store, const char *computer, bool relay, const char *outcome,
	struct yg_err *err) YG_MUST_CHECK;

/* A computer has said what it is: "protected", "unprotected" … (E1); and it was heard at all. */
int store_alerts_heartbeat(struct store *store, const char *computer, const char *name,
	const json_t *status, struct yg_err *err) YG_MUST_CHECK;

/* The computer is deleted: its alerts end. */
int store_alerts_forget(struct store *store, const char *computer, struct yg_err *err)
	YG_MUST_CHECK;

/* By the clock: who is silent, who is out of date, what the settings say. */
int store_alerts_tick(struct store *store, struct yg_err *err) YG_MUST_CHECK;

/* Drop those that ended before that moment. */
int store_alerts_clean(struct store *store, int64_t before, struct yg_err *err) YG_MUST_CHECK;
