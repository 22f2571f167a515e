/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* The words for what is asked of computers and how it ended, as they stand in messages, the API and
 * the database. How far a job is ("phase") is a word for people that programs pass on as it is.
 */

/* What people ask for: POST /api/v1/jobs. */
enum yg_job_kind {
	YG_JOB_UPDATE,
	YG_JOB_SCAN,
	YG_JOB_ROLLBACK,
	YG_JOB_POLICY,
	YG_JOB_RELEASE_HOLD,
	YG_JOB_TEST /* of connections: POST /api/v1/tests */
};
#define YG_JOB_KINDS 6

/* "update", "scan", "rollback", "policy", "release_hold", "test" */
const char *yg_job_kind_name(enum yg_job_kind kind);
/* errors  YG_EFORMAT "kind: want update, scan, …, have 'x'" */
int yg_job_kind_parse(const char *name, enum yg_job_kind *out, struct yg_err *err) YG_MUST_CHECK;

/* How one computer's part of a job ended: exactly one. */
enum yg_job_outcome { YG_JOB_SUCCESS, YG_JOB_FAILED, YG_JOB_CANCELLED };
#define YG_JOB_OUTCOMES 3

const char *yg_job_outcome_name(enum yg_job_outcome outcome); /* "success", "failed", "cancelled" */
int yg_job_outcome_parse(const char *name, enum yg_job_outcome *out, struct yg_err *err)
	YG_MUST_CHECK;
