/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* The jobs that this agent knows, so that none is run twice and each ends in one result: the file
 * jobs.json. A job is on disk before its command is acknowledged; it is done after its result is in
 * the spool. The last JOBS_MAX are remembered.
 */

#define JOBS_MAX 256

struct jobs;

/* errors  YG_ESYSTEM; a broken file is begun anew */
struct jobs *jobs_open(int dir, struct yg_err *err) YG_MUST_CHECK;
void jobs_free(struct jobs *jobs);
YG_DEFINE_AUTO(jobs);

bool jobs_known(const struct jobs *jobs, const char *id);

/* Remember a job and the command that it came with (borrowed). errors  YG_ESYSTEM */
int jobs_begin(struct jobs *jobs, const char *id, const json_t *command, struct yg_err *err)
	YG_MUST_CHECK;
int jobs_end(struct jobs *jobs, const char *id, struct yg_err *err) YG_MUST_CHECK;

/* Its command gets "cancelled": true; nothing happens to one that is done. errors  YG_ESYSTEM */
int jobs_cancel(struct jobs *jobs, const char *id, struct yg_err *err) YG_MUST_CHECK;

/* The commands of jobs that have begun and not ended: an array, a new reference. Each has "begun_s". */
json_t *jobs_running(const struct jobs *jobs);
