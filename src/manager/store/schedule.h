/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "core/err.h"

/* When a scheduled task runs, as JSON:
 *
 *     {"type":"every","seconds":600}
 *     {"type":"hourly","minute":15}
 *     {"type":"daily","at":"03:30","zone":"Asia/Tokyo"}
 *     {"type":"weekly","at":"03:30","weekdays":["mon","thu"],"zone":"Europe/Berlin"}
 *
 * zone: UTC when absent. What happens when clocks change is in zone.h: a run comes once a day, always.
 */

/* errors  YG_EFORMAT, YG_ELIMIT; they name the member */
int schedule_check(const json_t *schedule, struct yg_err *err) YG_MUST_CHECK;

/* The first moment behind `after` that it names.
 * errors  as schedule_check
 */
int schedule_next(const json_t *schedule, int64_t after, int64_t *next, struct yg_err *err)
	YG_MUST_CHECK;
