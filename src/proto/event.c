/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/event.h"

#include <assert.h>
#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "proto/tables.h"
#include "proto/wire.h"

#define TEXT_MAX       4096 /* bytes of a text parameter */
#define COMPUTER_MAX   255  /* bytes of a computer's name */
#define COMPONENTS_MAX 256  /* items */
#define COMPUTERS_MAX  500  /* items */

static const char *const levels[] = {"info", "warning", "error"};
static const char *const origins[] = {"manager", "agent"};
static const char *const types[] = {"text", "int", "bytes", "duration", "time", "code", "computer",
	"cause", "set", "reason", "phase", "who", "kind", "alert", "components", "computers",
	"failures"};

const char *yg_event_level_name(uint8_t level)
{
	assert(level < YG_COUNT(levels));
	return levels[level];
}

const char *yg_event_origin_name(uint8_t origin)
{
	assert(origin < YG_COUNT(origins));
	return origins[origin];
}

const char *yg_event_type_name(enum yg_event_type type)
{
	assert((unsigned)type < YG_COUNT(types));
	return types[type];
}

const struct yg_event *yg_event_all(size_t *count)
{
	*count = yg_tables_event_count;
	return yg_tables_events;
}

const struct yg_event *yg_event_find(uint32_t id)
{
	size_t low = 0, high = yg_tables_event_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (yg_tables_events[middle].id == id)
			return &yg_tables_events[middle];
		if (id < yg_tables_events[middle].id)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

struct yg_event_param yg_event_param(const struct yg_event *event, size_t index)
{
	assert(index < event->param_count);
	const struct yg_tables_param *row = &yg_tables_params[event->param_first + index];
	return (struct yg_event_param){yg_tables_param_names + row->name,
		(enum yg_event_type)row->type, row->optional != 0};
}

static int check_int(const json_t *params, const char *name, int64_t min, int64_t max,
	struct yg_err *err)
{
	int64_t value = 0;
	return yg_json_int(params, name, min, max, &value, err);
}

static int check_text(const json_t *params, const char *name, size_t max, struct yg_err *err)
{
	const char *value = NULL;
	return yg_json_str(params, name, max, &value, err);
}

static int check_time(const json_t *params, const char *name, struct yg_err *err)
{
	const char *value = NULL;
	int64_t s = 0;
	if (yg_json_str(params, name, YG_CLOCK_TEXT, &value, err) < 0)
		return -1;
	return yg_clock_parse(value, &s, err) < 0 ? yg_wrap(err, "%s", name) : 0;
}

static int check_set(const json_t *params, const char *name, struct yg_err *err)
{
	const char *value = NULL;
	if (yg_json_str(params, name, 64, &value, err) < 0)
		return -1;
	if (*value && !yg_wire_digest_ok(value))
		return yg_fail(err, YG_EFORMAT, "%s: want 64 hex digits, have '%s'", name, value);
	return 0;
}

static int check_component(const json_t *item, struct yg_err *err)
{
	if (!json_is_object(item))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(item));
	if (check_text(item, "name", 64, err) < 0)
		return -1;
	if (json_object_get(item, "from") && check_int(item, "from", 0, INT64_MAX, err) < 0)
		return -1;
	return check_int(item, "to", 0, INT64_MAX, err);
}

static int check_computer(const json_t *item, struct yg_err *err)
{
	if (!json_is_string(item))
		return yg_fail(err, YG_EFORMAT, "want a string, have %s", yg_json_kind(item));
	if (json_string_length(item) > COMPUTER_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %d bytes, have %zu", COMPUTER_MAX,
			json_string_length(item));
	return 0;
}

static int check_failure(const json_t *item, struct yg_err *err)
{
	const char *ignored = NULL;
	if (!json_is_object(item))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(item));
	if (check_text(item, "computer", COMPUTER_MAX, err) < 0)
		return -1;
	if (yg_json_str_or(item, "cause", YG_ERR_CAUSE_MAX - 1, "", &ignored, err) < 0)
		return -1;
	return yg_json_str_or(item, "sentence", TEXT_MAX, "", &ignored, err);
}

static int check_list(const json_t *params, const char *name, size_t max,
	int (*check)(const json_t *item, struct yg_err *err), struct yg_err *err)
{
	json_t *list = NULL;
	if (yg_json_array(params, name, max, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check(json_array_get(list, i), err) < 0)
			return yg_wrap(err, "%s[%zu]", name, i);
	return 0;
}

static int check_alert(const json_t *params, const char *name, struct yg_err *err)
{
	json_t *value = NULL;
	return yg_json_object(params, name, &value, err) < 0 ? -1
							     : check_text(value, "kind", 64, err);
}

static int check_param(const json_t *params, const struct yg_event_param *param, struct yg_err *err)
{
	switch (param->type) {
	case YG_EVENT_TEXT:
	case YG_EVENT_REASON:
	case YG_EVENT_PHASE:
	case YG_EVENT_WHO:
	case YG_EVENT_KIND:
		return check_text(params, param->name, TEXT_MAX, err);
	case YG_EVENT_COMPUTER:
		return check_text(params, param->name, COMPUTER_MAX, err);
	case YG_EVENT_CAUSE:
		return check_text(params, param->name, YG_ERR_CAUSE_MAX - 1, err);
	case YG_EVENT_INT:
		return check_int(params, param->name, INT64_MIN, INT64_MAX, err);
	case YG_EVENT_BYTES:
	case YG_EVENT_DURATION:
		return check_int(params, param->name, 0, INT64_MAX, err);
	case YG_EVENT_CODE:
		return check_int(params, param->name, 0, UINT32_MAX, err);
	case YG_EVENT_TIME:
		return check_time(params, param->name, err);
	case YG_EVENT_SET:
		return check_set(params, param->name, err);
	case YG_EVENT_ALERT:
		return check_alert(params, param->name, err);
	case YG_EVENT_COMPONENTS:
		return check_list(params, param->name, COMPONENTS_MAX, check_component, err);
	case YG_EVENT_COMPUTERS:
		return check_list(params, param->name, COMPUTERS_MAX, check_computer, err);
	case YG_EVENT_FAILURES:
		return check_list(params, param->name, COMPUTERS_MAX, check_failure, err);
	}
	return yg_fail(err, YG_EFORMAT, "%s: type %d", param->name, (int)param->type);
}

int yg_event_row_check(const struct yg_event *row, const json_t *params, struct yg_err *err)
{
	if (params && !json_is_object(params))
		return yg_fail(err, YG_EFORMAT, "params: want an object, have %s",
			yg_json_kind(params));
	for (size_t i = 0; i < row->param_count; i++) {
		struct yg_event_param param = yg_event_param(row, i);
		const json_t *value = json_object_get(params, param.name);
		if (param.optional && (!value || json_is_null(value)))
			continue;
		if (check_param(params, &param, err) < 0)
			return -1;
	}
	return 0;
}

int yg_event_check(uint32_t id, const json_t *params, struct yg_err *err)
{
	const struct yg_event *event = yg_event_find(id);
	if (!event)
		return yg_fail(err, YG_EABSENT, "event %u is not in the catalogue", id);
	return yg_event_row_check(event, params, err) < 0 ? yg_wrap(err, "event %u", id) : 0;
}
