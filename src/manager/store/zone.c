/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/zone.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"

#define DAY_S 86400

static bool name_ok(const char *zone)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
	size_t len = strlen(zone);
	return len > 0 && len < ZONE_MAX && zone[0] != '/' && zone[0] != '-' &&
		zone[len - 1] != '/' && strspn(zone, letters) == len && !strstr(zone, "//");
}

int zone_check(const char *zone, struct yg_err *err)
{
	char path[sizeof(ZONE_FOLDER) + ZONE_MAX + 1];
	char magic[4] = "";
	if (strcmp(zone, "UTC") == 0)
		return 0;
	if (!name_ok(zone) || !yg_str_put(path, sizeof(path), ZONE_FOLDER "/%s", zone))
		return yg_fail(err, YG_EFORMAT,
			"zone: want a time zone as Asia/Tokyo, have '%.64s'", zone);
	/* The C library would take UTC for one that it cannot read, and say nothing. */
	int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || read(fd, magic, sizeof(magic)) != sizeof(magic) ||
		memcmp(magic, "TZif", sizeof(magic)) != 0)
		return yg_fail(err, YG_EFORMAT,
			"zone: '%s' is not in this system's time zone database", zone);
	return 0;
}

/* Seconds east of UTC at a moment; the zone has been checked. */
static int offset(const char *zone, int64_t moment, int64_t *out, struct yg_err *err)
{
	const char *now = getenv("TZ");
	char *before YG_AUTO(mem) = now ? strdup(now) : NULL;
	struct tm tm;
	time_t at = (time_t)moment;
	if ((now && !before) || setenv("TZ", zone, 1) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	tzset();
	bool good = localtime_r(&at, &tm) != NULL;
	if (before ? setenv("TZ", before, 1) < 0 : unsetenv("TZ") < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	tzset();
	if (!good)
		return yg_fail(err, YG_EFORMAT, "zone %s: no such time", zone);
	*out = tm.tm_gmtoff;
	return 0;
}

int zone_local(const char *zone, int64_t moment, struct zone_time *out, struct yg_err *err)
{
	int64_t east = 0;
	if (zone_check(zone, err) < 0 || offset(zone, moment, &east, err) < 0)
		return -1;
	int64_t local = moment + east;
	int64_t s = (local % DAY_S + DAY_S) % DAY_S;
	out->day = (local - s) / DAY_S;
	out->s = (int32_t)s;
	out->weekday = (int)(((out->day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	return 0;
}

int zone_moment(const char *zone, int64_t day, int32_t s, int64_t *out, struct yg_err *err)
{
	int64_t local = day * DAY_S + s;
	int64_t before = 0;
	int64_t after = 0;
	int64_t first = 0;
	int64_t second = 0;
	/* No zone changes twice within two days: one of these two is right, both where a time comes twice, none
	 * where it never comes.
	 */
	if (zone_check(zone, err) < 0 || offset(zone, local - DAY_S, &before, err) < 0 ||
		offset(zone, local + DAY_S, &after, err) < 0 ||
		offset(zone, local - before, &first, err) < 0 ||
		offset(zone, local - after, &second, err) < 0)
		return -1;
	*out = local - (first != before && second == after ? after : before);
	return 0;
}
