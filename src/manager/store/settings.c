/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Settings: one table of names, types, limits and presets. The database keeps what was changed; what
 * people see is the same names as a tree ("update.tries" is {"update":{"tries":3}}).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "manager/store/store.h"

enum type { BOOL, INT, TEXT };

static const struct setting {
	const char *name;
	enum type type;
	int64_t min, max; /* of a number; of the length of a text, in bytes */
	const char *preset;
	bool agents; /* agents and relays are told of a change */
} table[] = {
	{"source.url", TEXT, 0, 1023, "", true}, {"source.ca", TEXT, 0, 65536, "", true}, /* PEM */
	{"direct_fallback", BOOL, 0, 1, "0", true},
	{"heartbeat_interval_s", INT, 1, 3600, "60", true},
	{"offline_after", INT, 1, 100, "3", false}, /* heartbeats missed */
	{"update.tries", INT, 1, 100, "3", true}, {"update.timeout_s", INT, 1, 3600, "60", true},
	{"update.deadline_s", INT, 1, 604800, "3600", false}, /* of a whole job */
	{"schedule.update", TEXT, 0, 64, "", false},
	/* what lasts: failures in a row, or two with so much time between; 0 seconds: no such alert */
	{"alerts.failures", INT, 1, 100, "3", false},
	{"alerts.update_after_s", INT, 60, 31536000, "14400", false},
	{"alerts.offline_after_s", INT, 0, 31536000, "900", false},
	{"alerts.out_of_date_s", INT, 0, 31536000, "3600", false},
	{"events.keep_days", INT, 1, 36500, "90", false},
	{"language", TEXT, 2, 2, "en", false}, /* of texts without a reader: mails, logs */
};

#define COUNT (sizeof(table) / sizeof(table[0]))

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

int store_setting_text(struct store *store, const char *name, char **out, struct yg_err *err)
{
	const struct setting *setting = find(name);
	assert(setting);
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db, "SELECT value FROM settings WHERE name = $1",
		    YG_DB_ARGS(yg_db_text(name)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	*out = strdup(more > 0 ? yg_rows_text(rows, 0) : setting->preset);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int store_setting_int(struct store *store, const char *name, int64_t *out, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	uint64_t value = 0;
	if (store_setting_text(store, name, &text, err) < 0 ||
		yg_str_u64(text, INT64_MAX, &value, err) < 0)
		return -1;
	*out = (int64_t)value;
	return 0;
}

int store_setting_bool(struct store *store, const char *name, bool *out, struct yg_err *err)
{
	int64_t value = 0;
	if (store_setting_int(store, name, &value, err) < 0)
		return -1;
	*out = value != 0;
	return 0;
}

/* The object that holds `name`'s last part, made if absent, and that part in *leaf. */
static json_t *place(json_t *root, const char *name, bool make, const char **leaf)
{
	const char *dot = strchr(name, '.');
	*leaf = dot ? dot + 1 : name;
	if (!dot)
		return root;
	char group[32];
	if (!yg_str_put(group, sizeof(group), "%.*s", (int)(dot - name), name))
		return NULL;
	json_t *inner = json_object_get(root, group);
	if (!inner && make) {
		if (json_object_set_new(root, group, json_object()) < 0)
			return NULL;
		inner = json_object_get(root, group);
	}
	return inner;
}

int op_settings_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *root YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < COUNT; i++) {
		char *text YG_AUTO(mem) = NULL;
		if (store_setting_text(store, table[i].name, &text, err) < 0)
			return -1;
		uint64_t number = 0;
		if (table[i].type != TEXT && yg_str_u64(text, INT64_MAX, &number, err) < 0)
			return yg_wrap(err, "setting %s", table[i].name);
		json_t *value = table[i].type == TEXT ? json_string(text)
			: table[i].type == BOOL       ? json_boolean(number != 0)
						      : json_integer((json_int_t)number);
		const char *leaf;
		json_t *at = place(root, table[i].name, true, &leaf);
		if (!at || json_object_set_new(at, leaf, value) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	*out = yg_take(root);
	return 0;
}

static int check_text(const struct setting *setting, const char *text, struct yg_err *err)
{
	if (strcmp(setting->name, "language") == 0 && strcmp(text, "en") != 0 &&
		strcmp(text, "ja") != 0)
		return yg_fail(err, YG_EFORMAT, "language: want en or ja, have '%s'", text);
	if (strcmp(setting->name, "schedule.update") == 0) {
		int64_t next;
		return store_setting_schedule(text, 0, 0, &next, err) < 0
			? yg_wrap(err, "schedule.update")
			: 0;
	}
	if (strcmp(setting->name, "source.url") == 0 && text[0] != '\0' &&
		strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
		return yg_fail_cause(err, YG_EFORMAT, "net.url",
			"source.url: want http:// or https://, have '%.100s'", text);
	return 0;
}

static int put(struct store *store, const struct setting *setting, const json_t *value,
	struct yg_err *err)
{
	char number[24];
	const char *text = NULL;
	json_t *holder YG_AUTO(yg_json) = json_object();
	(void)json_object_set(holder, setting->name, (json_t *)(uintptr_t)value);
	if (setting->type == TEXT) {
		if (yg_json_str(holder, setting->name, (size_t)setting->max, &text, err) < 0 ||
			check_text(setting, text, err) < 0)
			return -1;
	} else {
		int64_t have = 0;
		bool on = false;
		if (setting->type == BOOL ? yg_json_bool(holder, setting->name, &on, err) < 0
					  : yg_json_int(holder, setting->name, setting->min,
						    setting->max, &have, err) < 0)
			return -1;
		(void)snprintf(number, sizeof(number), "%lld",
			setting->type == BOOL ? (long long)on : (long long)have);
		text = number;
	}
	return yg_db_exec(store->db,
		"INSERT INTO settings (name, value) VALUES ($1, $2) "
		"ON CONFLICT (name) DO UPDATE SET value = $2",
		YG_DB_ARGS(yg_db_text(setting->name), yg_db_text(text)), NULL, err);
}

/* Every member of the request must be a setting: a typing error is no success. */
static int check_names(const json_t *args, struct yg_err *err)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)args, name, value)
	{
		if (find(name))
			continue;
		const char *inner;
		json_t *unused;
		bool group = false;
		for (size_t i = 0; i < COUNT && !group; i++)
			group = strncmp(table[i].name, name, strlen(name)) == 0 &&
				table[i].name[strlen(name)] == '.';
		if (!group)
			return yg_fail(err, YG_EFORMAT, "%s: no such setting", name);
		if (!json_is_object(value))
			return yg_fail(err, YG_EFORMAT, "%s: want an object, have %s", name,
				yg_json_kind(value));
		json_object_foreach(value, inner, unused)
		{
			char full[64];
			if (!yg_str_put(full, sizeof(full), "%s.%s", name, inner) || !find(full))
				return yg_fail(err, YG_EFORMAT, "%s.%s: no such setting", name,
					inner);
		}
	}
	return 0;
}

int op_settings_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	if (check_names(args, err) < 0)
		return -1;
	bool tell = false;
	char names[512] = "";
	for (size_t i = 0; i < COUNT; i++) {
		const char *leaf;
		json_t *at = place((json_t *)(uintptr_t)args, table[i].name, false, &leaf);
		const json_t *value = at ? json_object_get(at, leaf) : NULL;
		if (!value)
			continue;
		if (put(store, &table[i], value, err) < 0)
			return -1;
		tell = tell || table[i].agents;
		size_t len = strlen(names);
		(void)snprintf(names + len, sizeof(names) - len, "%s%s", len > 0 ? ", " : "",
			table[i].name);
	}
	if (names[0] != '\0' &&
		store_event(store, 150, NULL, NULL,
			json_pack("{s:s, s:s}", "settings", names, "who", asker->name), err) < 0)
		return -1;
	if (tell && store_command_all(store, "settings", "", err) < 0)
		return -1;
	/* Another source: what is newest there? */
	if (json_object_get(args, "source"))
		store->check_content = true;
	return op_settings_get(store, asker, args, out, err);
}

int store_setting_schedule(const char *text, int64_t last, int64_t now, int64_t *next,
	struct yg_err *err)
{
	*next = 0;
	if (text[0] == '\0')
		return 0;
	uint64_t first;
	uint64_t second;
	if (strncmp(text, "every ", 6) == 0) {
		if (yg_str_u64(text + 6, 31536000, &first, err) < 0)
			return -1;
		if (first == 0)
			return yg_fail(err, YG_EFORMAT, "want every 1..31536000 seconds, have 0");
		*next = last + (int64_t)first;
		return 0;
	}
	/* "daily 03:30" */
	if (strncmp(text, "daily ", 6) == 0 && strlen(text) == 11 && text[8] == ':') {
		const char hour[3] = {text[6], text[7], '\0'};
		const char minute[3] = {text[9], text[10], '\0'};
		if (yg_str_u64(hour, 23, &first, err) < 0 ||
			yg_str_u64(minute, 59, &second, err) < 0)
			return -1;
		int64_t at = (int64_t)(first * 3600 + second * 60);
		int64_t today = now - now % 86400 + at;
		/* Today's, unless it has been: a Manager that was off at the time makes it up. */
		*next = last >= today ? today + 86400 : today;
		return 0;
	}
	return yg_fail(err, YG_EFORMAT, "want nothing, 'every SECONDS' or 'daily HH:MM', have '%s'",
		text);
}

/* Where agents reach a relay: what a person has set, else what the relay says of itself. */
static json_t *relay_urls(const struct yg_rows *rows)
{
	json_t *fixed = store_parse(yg_rows_text(rows, 1));
	if (json_is_array(fixed) && json_array_size(fixed) > 0)
		return fixed;
	json_decref(fixed);
	json_t *hello YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 2));
	json_t *urls = json_array();
	const json_t *addresses = json_object_get(hello, "addresses");
	long long port = (long long)yg_rows_int(rows, 4);
	size_t i;
	json_t *address;
	char url[320];
	json_array_foreach(addresses, i, address)
	{
		const char *host = json_string_value(address);
		if (!host || i >= 15)
			continue;
		bool six = strchr(host, ':') != NULL;
		if (yg_str_put(url, sizeof(url), "https://%s%s%s:%lld", six ? "[" : "", host,
			    six ? "]" : "", port))
			(void)json_array_append_new(urls, json_string(url));
	}
	const char *seen = yg_rows_text(rows, 3);
	if (json_array_size(urls) == 0 && seen && seen[0] != '\0') {
		bool six = strchr(seen, ':') != NULL;
		if (yg_str_put(url, sizeof(url), "https://%s%s%s:%lld", six ? "[" : "", seen,
			    six ? "]" : "", port))
			(void)json_array_append_new(urls, json_string(url));
	}
	return urls;
}

static int relays(struct store *store, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, relay_urls, hello, address, relay_port FROM computers WHERE relay = 1 AND "
		    "deleted = 0 AND activated IS NOT NULL ORDER BY online DESC, id LIMIT 100",
		    YG_DB_NO_ARGS, &rows, err) < 0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0) {
		json_t *urls YG_AUTO(yg_json) = relay_urls(rows);
		if (json_array_size(urls) > 0 &&
			store_add(list,
				json_pack("{s:s, s:O}", "id", yg_rows_text(rows, 0), "urls", urls),
				err) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	*out = yg_take(list);
	return 0;
}

static int common(struct store *store, json_t **relay_list, json_t **source, json_t **update,
	struct yg_err *err)
{
	char *url YG_AUTO(mem) = NULL;
	char *ca YG_AUTO(mem) = NULL;
	int64_t tries = 0;
	int64_t timeout_s = 0;
	if (store_setting_text(store, "source.url", &url, err) < 0 ||
		store_setting_text(store, "source.ca", &ca, err) < 0 ||
		store_setting_int(store, "update.tries", &tries, err) < 0 ||
		store_setting_int(store, "update.timeout_s", &timeout_s, err) < 0 ||
		relays(store, relay_list, err) < 0)
		return -1;
	*source = json_pack("{s:s, s:s}", "url", url, "ca", ca);
	*update = json_pack("{s:I, s:I}", "tries", (json_int_t)tries, "timeout_s",
		(json_int_t)timeout_s);
	return *source && *update ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int store_settings_for_agent(struct store *store, const char *computer, bool relay, json_t **out,
	struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = NULL;
	json_t *source YG_AUTO(yg_json) = NULL;
	json_t *update YG_AUTO(yg_json) = NULL;
	bool direct = false;
	if (common(store, &list, &source, &update, err) < 0 ||
		store_setting_bool(store, "direct_fallback", &direct, err) < 0)
		return -1;
	/* Agents start at different relays; the order stays the same for one agent. */
	size_t count = json_array_size(list);
	unsigned start = 0;
	for (const char *c = computer; *c; c++)
		start = start * 31 + (unsigned char)*c;
	json_t *turned YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_array_append(turned, json_array_get(list, (i + start) % count)) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");

	json_t *made YG_AUTO(yg_json) = json_pack("{s:O, s:b, s:O}", "relays", turned,
		"direct_fallback", direct, "update", update);
	if (!made || json_object_set(made, "source", relay || direct ? source : json_null()) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(made);
	return 0;
}

int op_content_settings(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *list YG_AUTO(yg_json) = NULL;
	json_t *source YG_AUTO(yg_json) = NULL;
	json_t *update YG_AUTO(yg_json) = NULL;
	json_t *newest YG_AUTO(yg_json) = store_component_newest(store, err);
	if (!newest || common(store, &list, &source, &update, err) < 0)
		return -1;
	return store_give(json_pack("{s:O, s:O, s:O, s:O}", "source", source, "relays", list,
				  "update", update, "newest", newest),
		out, err);
}
