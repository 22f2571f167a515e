/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/schedule.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "manager/store/zone.h"

#define DAYS_AHEAD 9 /* a week, and what a date line that was moved takes away */

static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

enum type { EVERY, HOURLY, DAILY, WEEKLY };
static const char *const types[] = {"every", "hourly", "daily", "weekly"};

struct plan {
	enum type type;
	int64_t seconds;  /* EVERY */
	int64_t minute;   /* HOURLY */
	int32_t at;       /* seconds of the day */
	unsigned days;    /* bits 1 << weekday */
	const char *zone; /* points into the JSON */
};

static int parse_at(const json_t *schedule, int32_t *out, struct yg_err *err)
{
	const char *text;
	uint64_t hour = 0;
	uint64_t minute = 0;
	if (yg_json_str(schedule, "at", 16, &text, err) < 0)
		return -1;
	if (strlen(text) != 5 || text[2] != ':')
		return yg_fail(err, YG_EFORMAT, "at: want HH:MM, have '%s'", text);
	const char h[3] = {text[0], text[1], '\0'};
	const char m[3] = {text[3], text[4], '\0'};
	if (yg_str_u64(h, 23, &hour, err) < 0 || yg_str_u64(m, 59, &minute, err) < 0)
		return yg_wrap(err, "at");
	*out = (int32_t)(hour * 3600 + minute * 60);
	return 0;
}

static int parse_days(const json_t *schedule, unsigned *out, struct yg_err *err)
{
	json_t *list;
	size_t i;
	json_t *item;
	*out = 0;
	if (yg_json_array(schedule, "weekdays", 7, &list, err) < 0)
		return -1;
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		size_t day = 0;
		while (text && day < YG_COUNT(weekdays) && strcmp(weekdays[day], text) != 0)
			day++;
		if (!text || day == YG_COUNT(weekdays))
			return yg_fail(err, YG_EFORMAT,
				"weekdays[%zu]: want sun, mon, tue, wed, thu, fri or sat, have '%s'",
				i, text ? text : yg_json_kind(item));
		*out |= 1u << day;
	}
	if (*out == 0)
		return yg_fail(err, YG_EFORMAT, "weekdays: want 1..7, have none");
	return 0;
}

static int parse(const json_t *schedule, struct plan *plan, struct yg_err *err)
{
	const char *type;
	size_t i = 0;
	if (yg_json_str(schedule, "type", 16, &type, err) < 0)
		return -1;
	while (i < YG_COUNT(types) && strcmp(types[i], type) != 0)
		i++;
	if (i == YG_COUNT(types))
		return yg_fail(err, YG_EFORMAT,
			"type: want every, hourly, daily or weekly, have '%s'", type);
	*plan = (struct plan){.type = (enum type)i, .days = 0x7f, .zone = "UTC"};
	if (plan->type == EVERY)
		return yg_json_int(schedule, "seconds", 1, 31536000, &plan->seconds, err);
	if (plan->type == HOURLY)
		return yg_json_int_or(schedule, "minute", 0, 59, 0, &plan->minute, err);
	if (parse_at(schedule, &plan->at, err) < 0 ||
		yg_json_str_or(schedule, "zone", ZONE_MAX - 1, "UTC", &plan->zone, err) < 0 ||
		zone_check(plan->zone, err) < 0)
		return -1;
	return plan->type == WEEKLY ? parse_days(schedule, &plan->days, err) : 0;
}

int schedule_check(const json_t *schedule, struct yg_err *err)
{
	struct plan plan;
	return parse(schedule, &plan, err) < 0 ? yg_wrap(err, "schedule") : 0;
}

static int next_day(const struct plan *plan, int64_t after, int64_t *next, struct yg_err *err)
{
	struct zone_time now;
	if (zone_local(plan->zone, after, &now, err) < 0)
		return -1;
	/* From yesterday: a time in a gap can belong to the day before. */
	for (int64_t day = now.day - 1; day < now.day + DAYS_AHEAD; day++) {
		int64_t moment = 0;
		if ((plan->days & 1u << ((day + 4) % 7)) == 0)
			continue;
		if (zone_moment(plan->zone, day, plan->at, &moment, err) < 0)
			return -1;
		if (moment > after) {
			*next = moment;
			return 0;
		}
	}
	return yg_fail(err, YG_EFORMAT, "no such time within %d days", DAYS_AHEAD);
}

int schedule_next(const json_t *schedule, int64_t after, int64_t *next, struct yg_err *err)
{
	struct plan plan;
	if (parse(schedule, &plan, err) < 0)
		return yg_wrap(err, "schedule");
	if (plan.type == EVERY) {
		*next = after + plan.seconds;
		return 0;
	}
	if (plan.type == HOURLY) {
		int64_t at = after - after % 3600 + plan.minute * 60;
		*next = at > after ? at : at + 3600;
		return 0;
	}
	return next_day(&plan, after, next, err) < 0 ? yg_wrap(err, "schedule") : 0;
}
