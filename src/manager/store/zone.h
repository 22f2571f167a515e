/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/err.h"

/* Local times by the system's time zone database (/usr/share/zoneinfo). "UTC" is known without it. Not for
 * threads: the C library has one zone for the whole process, which is put back.
 */

#define ZONE_MAX    64 /* bytes of a name */
#define ZONE_FOLDER "/usr/share/zoneinfo"

struct zone_time {
	int64_t day; /* since 1970-01-01 of the local calendar */
	int32_t s;   /* of that day by the wall clock, 0..86399 */
	int weekday; /* 0 Sunday .. 6 */
};

/* A zone that the system knows, as "Asia/Tokyo".
 * errors  YG_EFORMAT
 */
int zone_check(const char *zone, struct yg_err *err) YG_MUST_CHECK;

/* What calendar and wall clock of a zone show at a moment. errors  as zone_check */
int zone_local(const char *zone, int64_t moment, struct zone_time *out, struct yg_err *err)
	YG_MUST_CHECK;

/* The moment when they show this. Of a time that comes twice (clocks go back) the first; of one that never comes
 * (clocks go forward) as long after the change as it is after the gap's begin.
 * errors  as zone_check
 */
int zone_moment(const char *zone, int64_t day, int32_t s, int64_t *out, struct yg_err *err)
	YG_MUST_CHECK;
