/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "agent/install_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"

/* What lasts longer than a run: alarms that are told once. */

#define ALARMS     "state/alarms.json"
#define ALARMS_MAX (64u << 10) /* bytes */

static json_t *read_alarms(struct install *in)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ALARMS_MAX);
	json_t *root = NULL;
	struct yg_err why = {0};
	if (yg_fs_read(in->root, ALARMS, &text, &why) < 0 ||
		yg_json_parse(yg_buf_bytes(&text), ALARMS_MAX, &root, &why) < 0) {
		if (why.code != YG_EABSENT) /* at worst something is told twice */
			yg_log_err(YG_LOG_WARN, "install.alarms", &why);
		return json_object();
	}
	return root;
}

static json_t *alarms(struct install *in)
{
	if (!in->alarms)
		in->alarms = read_alarms(in);
	return in->alarms;
}

static void save(struct install *in)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(ALARMS_MAX);
	struct yg_err err = {0};
	if (yg_json_dump(in->alarms, &text, &err) < 0 ||
		yg_fs_replace(in->root, ALARMS, yg_buf_bytes(&text), 0644, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.alarms", &err);
	install_changed(in);
}

void install_alarm_begin(struct install *in, const char *name, const char *cause,
	const char *detail, int id, json_t *params)
{
	char now[YG_CLOCK_TEXT];
	json_t *known = json_object_get(alarms(in), name);
	const char *since = json_string_value(json_object_get(known, "since"));
	const char *why = json_string_value(json_object_get(known, "cause"));
	if (why && strcmp(why, cause) == 0) {
		json_decref(params);
		return;
	}
	yg_clock_format(yg_clock_now_s(), now);
	json_t *alarm = json_pack("{s:s, s:s, s:s}", "since", since ? since : now, "cause", cause,
		"detail", detail);
	if (!alarm || json_object_set_new(in->alarms, name, alarm) < 0)
		yg_log(YG_LOG_WARN, "install.alarms", "'%s' cannot be remembered", name);
	install_event(in, id, params);
	save(in);
}

void install_alarm_end(struct install *in, const char *name, int id, json_t *params)
{
	if (!json_object_get(alarms(in), name)) {
		json_decref(params);
		return;
	}
	(void)json_object_del(in->alarms, name);
	install_event(in, id, params);
	save(in);
}

json_t *install_alarm_status(struct install *in)
{
	json_t *list = json_array();
	const char *name;
	json_t *alarm;
	json_object_foreach(alarms(in), name, alarm)
	{
		json_t *item = json_deep_copy(alarm);
		if (json_is_object(item))
			(void)json_object_set_new(item, "name", json_string(name));
		(void)json_array_append_new(list, item);
	}
	return list;
}
