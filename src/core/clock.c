/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/clock.h"

#include <string.h>
#include <time.h>

int64_t yg_clock_now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

int64_t yg_clock_mono_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void yg_clock_format(int64_t s, char out[YG_CLOCK_TEXT])
{
	time_t t = (time_t)s;
	struct tm tm;
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099 ||
		strftime(out, YG_CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		memcpy(out, "0000-00-00T00:00:00Z", YG_CLOCK_TEXT);
}

int yg_clock_parse(const char *text, int64_t *s, struct yg_err *err)
{
	struct tm tm = {0};
	const char *end = strlen(text) == YG_CLOCK_TEXT - 1
		? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm)
		: NULL;
	if (!end || *end)
		return yg_fail(err, YG_EFORMAT, "time: want YYYY-MM-DDThh:mm:ssZ, have '%.32s'",
			text);

	/* timegm() accepts the 31st of February: what it makes must print as what was given. */
	int64_t parsed = timegm(&tm);
	char again[YG_CLOCK_TEXT];
	yg_clock_format(parsed, again);
	if (strcmp(again, text) != 0)
		return yg_fail(err, YG_EFORMAT, "time: no such moment: '%.32s'", text);
	*s = parsed;
	return 0;
}
