/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* What the Manager has set, as each heartbeat brings it (docs/wire.md): kept over restarts in settings.json, mode
 * 0600 for the passwords in it, which are in no log. A member that is malformed counts as absent: a newer Manager's
 * idea of one setting must not cost the others.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"

#define SETTINGS_MAX      (4u << 20)
#define SERVE_MAX         4
#define LICENCE           "am-wr" /* the group that covers components of family pattern */
#define EVENT_EXPIRED     9110
#define EVENT_LICENCE_NEW 20120

static void save(struct session *s)
{
	struct yg_err err = {0};
	json_t *both YG_AUTO(
		yg_json) = json_pack("{s:O,s:O}", "settings", s->settings, "revoked", s->revoked);
	char *text YG_AUTO(mem) = both ? yg_json_text(both) : NULL;
	if (text && yg_fs_replace(s->state_dir, "settings.json", yg_bytes_of(text), 0600, &err) < 0)
		yg_log_err(YG_LOG_ERROR, "session.settings", &err);
}

/* Of nobody's Manager there are none. */
static const json_t *given(const struct session *s)
{
	return s->identity ? s->settings : NULL;
}

void session_settings_load(struct session *s)
{
	json_t *both YG_AUTO(yg_json) = NULL;
	json_t *settings = NULL;
	json_t *revoked = NULL;
	struct yg_err err = {0};
	s->revoked = json_array();
	int fd YG_AUTO(fd) = yg_fs_open(s->state_dir, "settings.json", &err);
	if (fd < 0 && err.code == YG_EABSENT)
		return;
	if (fd < 0 || yg_json_read(fd, SETTINGS_MAX, &both, &err) < 0 ||
		yg_json_object(both, "settings", &settings, &err) < 0 ||
		yg_json_array(both, "revoked", 10000, &revoked, &err) < 0) {
		yg_log(YG_LOG_WARN, "session.settings", "they come with the next heartbeat: %s",
			err.msg);
		return;
	}
	s->settings = json_incref(settings);
	json_decref(s->revoked);
	s->revoked = json_incref(revoked);
	session_log_settings(s, given(s));
}

/* ---- the licence (U5) ---- */

static const json_t *expired(const json_t *settings)
{
	const json_t *list = json_object_get(settings, "licences");
	size_t i;
	json_t *licence;
	json_array_foreach(list, i, licence)
	{
		const char *group = json_string_value(json_object_get(licence, "group"));
		const char *state = json_string_value(json_object_get(licence, "state"));
		if (group && state && strcmp(group, LICENCE) == 0 && strcmp(state, "expired") == 0)
			return licence;
	}
	return NULL;
}

json_t *session_settings_families(const struct session *s)
{
	return expired(given(s)) ? json_pack("[s]", "rule") : json_pack("[s,s]", "pattern", "rule");
}

json_t *session_settings_licence(const struct session *s)
{
	const json_t *licence = expired(given(s));
	const char *ends = json_string_value(json_object_get(licence, "ends"));
	if (!licence)
		return NULL;
	return json_pack("{s:s,s:s,s:s,s:s}", "name", "licence", "since", ends ? ends : "", "cause",
		"update.licence", "detail",
		"components of family pattern stay as they are; rules go on");
}

/* Once when it begins, once when it ends. */
static void tell_licence(struct session *s, const json_t *before, const json_t *now)
{
	if (!expired(before) && expired(now))
		session_event(s, EVENT_EXPIRED, NULL);
	else if (expired(before) && !expired(now))
		session_event(s, EVENT_LICENCE_NEW, NULL);
}

/* ---- all of them ---- */

void session_settings_came(struct session *s, const json_t *settings, const json_t *revoked)
{
	bool new_revoked = !json_equal(revoked, s->revoked);
	if (new_revoked || !s->settings || !json_equal(settings, s->settings)) {
		json_t *before YG_AUTO(yg_json) = s->settings;
		json_decref(s->revoked);
		s->settings = json_deep_copy(settings);
		s->revoked = json_deep_copy(revoked);
		save(s);
		tell_licence(s, before, s->settings);
	}
	session_log_settings(s, settings);
	session_relay_settle(s);
	if (new_revoked)
		session_relay_serve(s);
}

void session_settings_forget(struct session *s)
{
	struct yg_err err = {0};
	json_decref(yg_take(s->settings));
	json_decref(s->revoked);
	s->revoked = json_array();
	if (yg_fs_remove(s->state_dir, "settings.json", &err) < 0 && err.code != YG_EABSENT)
		yg_log_err(YG_LOG_WARN, "session.settings", &err);
	session_log_settings(s, NULL);
	session_relay_settle(s);
}

static bool find_number(const json_t *group, const char *name, int64_t min, int64_t max,
	int64_t *out)
{
	const json_t *value = json_object_get(group, name);
	if (!json_is_integer(value) || json_integer_value(value) < min ||
		json_integer_value(value) > max)
		return false;
	*out = json_integer_value(value);
	return true;
}

void session_settings_limits(const struct session *s, bool relay, json_t *body)
{
	static const struct {
		const char *name;
		int64_t min, max;
	} limits[] = {{"tries", 1, 100}, {"timeout_s", 1, 3600}, {"connect_s", 1, 3600},
		{"limit_s", 1, 604800}, {"retry_s", 1, 3600}};
	const json_t *groups[] = {relay ? json_object_get(given(s), "relay_update") : NULL,
		json_object_get(given(s), "update"), json_object_get(s->env->config, "update")};
	for (size_t i = 0; i < YG_COUNT(limits); i++) {
		int64_t value = 0;
		bool found = false;
		for (size_t g = 0; g < YG_COUNT(groups) && !found; g++)
			found = find_number(groups[g], limits[i].name, limits[i].min, limits[i].max,
				&value);
		if (found)
			(void)json_object_set_new(body, limits[i].name,
				json_integer((json_int_t)value));
	}
}

static bool is_latest(const json_t *content)
{
	const char *mode = json_string_value(json_object_get(content, "mode"));
	return !mode || strcmp(mode, "latest") == 0;
}

json_t *session_settings_content(const struct session *s)
{
	json_t *content = json_object_get(given(s), "content");
	return json_is_object(content) && !is_latest(content) ? json_incref(content) : NULL;
}

/* Its own computer asks it first, too. */
json_t *session_settings_serve(const struct session *s)
{
	json_t *list = json_array();
	json_t *own YG_AUTO(yg_json) = session_settings_content(s);
	size_t i;
	json_t *content;
	if (own)
		(void)json_array_append(list, own);
	json_array_foreach(json_object_get(given(s), "serve"), i, content)
	{
		if (json_is_object(content) && !is_latest(content) &&
			!(own && json_equal(own, content)) && json_array_size(list) < SERVE_MAX)
			(void)json_array_append(list, content);
	}
	return list;
}

int session_settings_relay(const struct session *s)
{
	const json_t *on = json_object_get(json_object_get(given(s), "relay"), "on");
	return json_is_boolean(on) ? json_is_true(on) : -1;
}
