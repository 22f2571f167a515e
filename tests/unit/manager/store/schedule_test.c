/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/schedule.h"

#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "manager/store/zone.h"
#include "tests/lib/cmocka_all.h"

#define DAILY(at, zone) "{\"type\":\"daily\",\"at\":\"" at "\",\"zone\":\"" zone "\"}"
#define WEEKLY(at, days, zone)                                                                     \
	"{\"type\":\"weekly\",\"at\":\"" at "\",\"weekdays\":[" days "],\"zone\":\"" zone "\"}"

static json_t *parse(const char *text)
{
	struct yg_err err = {0};
	json_t *value = NULL;
	if (yg_json_parse(yg_bytes_of(text), 4096, &value, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

/* Runs one after the other: after, then each next. */
static const struct {
	const char *label, *schedule, *after, *next[4];
} rows[] = {
	{"seconds", "{\"type\":\"every\",\"seconds\":90}", "2026-11-22T00:00:00Z",
		{"2026-11-22T00:01:30Z", "2026-11-22T00:03:00Z"}},
	{"every hour", "{\"type\":\"hourly\",\"minute\":15}", "2026-11-22T23:15:00Z",
		{"2026-11-23T00:15:00Z", "2026-11-23T01:15:00Z"}},
	{"every hour, by default on the hour", "{\"type\":\"hourly\"}", "2026-11-22T23:59:59Z",
		{"2026-11-23T00:00:00Z", "2026-11-23T01:00:00Z"}},
	{"UTC unless said", "{\"type\":\"daily\",\"at\":\"03:30\"}", "2026-11-22T03:29:59Z",
		{"2026-11-22T03:30:00Z", "2026-11-23T03:30:00Z", "2026-11-24T03:30:00Z"}},
	{"the same moment is not after itself", DAILY("03:30", "UTC"), "2026-11-22T03:30:00Z",
		{"2026-11-23T03:30:00Z"}},
	{"east: the day before in UTC", DAILY("03:30", "Asia/Tokyo"), "2026-11-22T00:00:00Z",
		{"2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z"}},
	{"west: the day after in UTC", DAILY("22:00", "America/Los_Angeles"),
		"2026-11-22T00:00:00Z", {"2026-11-22T06:00:00Z", "2026-11-23T06:00:00Z"}},
	{"half an hour", DAILY("12:00", "Asia/Kolkata"), "2026-11-22T00:00:00Z",
		{"2026-11-22T06:30:00Z"}},
	{"clocks go forward: the wall clock stays", DAILY("12:00", "Europe/Berlin"),
		"2026-03-28T00:00:00Z",
		{"2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z", "2026-03-30T10:00:00Z"}},
	{"a time that never comes is later that day", DAILY("02:30", "Europe/Berlin"),
		"2026-03-28T00:00:00Z",
		{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
	{"the last minute before the gap", DAILY("01:59", "Europe/Berlin"), "2026-03-29T00:00:00Z",
		{"2026-03-29T00:59:00Z", "2026-03-29T23:59:00Z"}},
	{"the first one behind it", DAILY("03:00", "Europe/Berlin"), "2026-03-28T12:00:00Z",
		{"2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"}},
	{"a time that comes twice runs once, the first time", DAILY("02:30", "Europe/Berlin"),
		"2026-10-24T12:00:00Z",
		{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"}},
	{"asked between the two", DAILY("02:30", "Europe/Berlin"), "2026-10-25T01:00:00Z",
		{"2026-10-26T01:30:00Z"}},
	{"south: the other half of the year", DAILY("02:30", "Australia/Sydney"),
		"2026-10-03T00:00:00Z", {"2026-10-03T16:30:00Z", "2026-10-04T15:30:00Z"}},
	{"half an hour of summer time", DAILY("02:15", "Australia/Lord_Howe"),
		"2026-10-03T00:00:00Z", {"2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"}},
	{"at midnight, where that never comes", DAILY("00:15", "Africa/Cairo"),
		"2026-04-23T12:00:00Z", {"2026-04-23T22:15:00Z", "2026-04-24T21:15:00Z"}},
	{"a day that never was", DAILY("03:30", "Pacific/Apia"), "2011-12-29T10:00:00Z",
		{"2011-12-29T13:30:00Z", "2011-12-30T13:30:00Z", "2011-12-31T13:30:00Z"}},
	{"two days of the week", WEEKLY("03:30", "\"mon\",\"thu\"", "Asia/Tokyo"),
		"2026-11-22T00:00:00Z", /* a Sunday */
		{"2026-11-22T18:30:00Z", "2026-11-25T18:30:00Z", "2026-11-29T18:30:00Z"}},
	{"today, later", WEEKLY("10:00", "\"sun\"", "UTC"), "2026-11-22T00:00:00Z",
		{"2026-11-22T10:00:00Z", "2026-11-29T10:00:00Z"}},
	{"over the end of a year", WEEKLY("00:00", "\"fri\"", "UTC"), "2026-12-31T23:59:59Z",
		{"2027-01-01T00:00:00Z", "2027-01-08T00:00:00Z"}},
	{"on the 29th of February", DAILY("00:00", "UTC"), "2028-02-28T00:00:00Z",
		{"2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"}},
};

static void next(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		json_t *schedule YG_AUTO(yg_json) = parse(rows[i].schedule);
		int64_t at = 0;
		assert_int_equal(yg_clock_parse(rows[i].after, &at, &err), 0);
		for (size_t k = 0; k < 4 && rows[i].next[k]; k++) {
			char have[YG_CLOCK_TEXT];
			if (schedule_next(schedule, at, &at, &err) < 0)
				fail_msg("%s: %s", rows[i].label, err.msg);
			yg_clock_format(at, have);
			if (strcmp(have, rows[i].next[k]) != 0)
				fail_msg("%s: want %s, have %s", rows[i].label, rows[i].next[k],
					have);
		}
	}
}

/* Whatever the zone does: a daily task comes once for every day of a year, and never goes back. */
static void once_a_day(void **state)
{
	(void)state;
	static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Africa/Cairo",
		"Australia/Lord_Howe", "America/Santiago", "Asia/Tehran", "Pacific/Chatham"};
	static const char *const times[] = {"00:30", "02:30"};
	for (size_t z = 0; z < YG_COUNT(zones); z++) {
		for (size_t t = 0; t < YG_COUNT(times); t++) {
			struct yg_err err = {0};
			json_t *schedule YG_AUTO(yg_json) = json_pack("{s:s, s:s, s:s}", "type",
				"daily", "at", times[t], "zone", zones[z]);
			int64_t at = 1767225600 - 43200; /* before 2026 */
			int64_t before = at;
			int count = 0;
			while (at < 1767225600 + 365 * 86400 - 43200) {
				if (schedule_next(schedule, at, &at, &err) < 0)
					fail_msg("%s: %s", zones[z], err.msg);
				assert_true(at > before);
				assert_true(count == 0 ||
					(at - before >= 22 * 3600 && at - before <= 26 * 3600));
				before = at;
				count++;
			}
			if (count < 365 || count > 366)
				fail_msg("%s %s: %d runs a year", zones[z], times[t], count);
		}
	}
}

static const struct {
	const char *schedule, *msg;
} bad_rows[] = {
	{"{}", "schedule: type: want a string, have nothing"},
	{"{\"type\":\"monthly\"}",
		"schedule: type: want every, hourly, daily or weekly, have 'monthly'"},
	{"{\"type\":\"every\",\"seconds\":0}", "schedule: seconds: want 1..31536000, have 0"},
	{"{\"type\":\"hourly\",\"minute\":60}", "schedule: minute: want 0..59, have 60"},
	{"{\"type\":\"daily\"}", "schedule: at: want a string, have nothing"},
	{"{\"type\":\"daily\",\"at\":\"3:30\"}", "schedule: at: want HH:MM, have '3:30'"},
	{"{\"type\":\"daily\",\"at\":\"24:00\"}", "schedule: at: want <= 23, have 24"},
	{"{\"type\":\"daily\",\"at\":\"12:6x\"}", "schedule: at: want digits, have '6x'"},
	{DAILY("12:00", "Tokyo/Asia"),
		"schedule: zone: 'Tokyo/Asia' is not in this system's time zone database"},
	{DAILY("12:00", ""), "schedule: zone: want a time zone as Asia/Tokyo, have ''"},
	{DAILY("12:00", "../../../etc/passwd"),
		"schedule: zone: want a time zone as Asia/Tokyo, have '../../../etc/passwd'"},
	{DAILY("12:00", "/etc/passwd"),
		"schedule: zone: want a time zone as Asia/Tokyo, have '/etc/passwd'"},
	{DAILY("12:00", "Asia"),
		"schedule: zone: 'Asia' is not in this system's time zone database"},
	{DAILY("12:00", "tzdata-zi"),
		"schedule: zone: 'tzdata-zi' is not in this system's time zone database"},
	{WEEKLY("12:00", "", "UTC"), "schedule: weekdays: want 1..7, have none"},
	{WEEKLY("12:00", "\"someday\"", "UTC"),
		"schedule: weekdays[0]: want sun, mon, tue, wed, thu, fri or sat, have 'someday'"},
	{WEEKLY("12:00", "1", "UTC"),
		"schedule: weekdays[0]: want sun, mon, tue, wed, thu, fri or sat, have 'a whole number'"},
};

static void bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(bad_rows); i++) {
		struct yg_err err = {0};
		json_t *schedule YG_AUTO(yg_json) = parse(bad_rows[i].schedule);
		assert_int_equal(schedule_check(schedule, &err), -1);
		if (strcmp(err.msg, bad_rows[i].msg) != 0)
			fail_msg("want '%s', have '%s'", bad_rows[i].msg, err.msg);
	}
}

/* The process keeps its own zone. */
static void zone_kept(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct zone_time local;
	assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
	assert_int_equal(zone_local("Asia/Tokyo", 0, &local, &err), 0);
	assert_int_equal(local.s, 9 * 3600);
	assert_int_equal(local.weekday, 4);
	assert_string_equal(getenv("TZ"), "America/New_York");
	assert_int_equal(unsetenv("TZ"), 0);
	assert_int_equal(zone_local("America/New_York", 0, &local, &err), 0);
	assert_int_equal(local.day, -1);
	assert_int_equal(local.weekday, 3);
	assert_null(getenv("TZ"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(next), cmocka_unit_test(once_a_day),
		cmocka_unit_test(bad), cmocka_unit_test(zone_kept)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
