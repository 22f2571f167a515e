/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Settings: one table of names, types, limits and presets. The database keeps what was changed; what
 * people see is the same names as a tree ("update.tries" is {"update":{"tries":3}}). Passwords are
 * written only: they are sealed before they come to the database, and shown as "set" or "".
 */
#include "manager/store/settings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/str.h"
#include "crypto/seal.h"
#include "crypto/secret.h"
#include "manager/store/alerts.h"
#include "manager/store/store.h"

#define BOOL       SETTINGS_BOOL
#define INT        SETTINGS_INT
#define TEXT       SETTINGS_TEXT
#define SECRET     SETTINGS_SECRET
#define SECRET_MAX 255   /* bytes of a password */
#define CA_MAX     32768 /* an agent's message between its processes holds twice as much */
#define SHOWN      "set" /* what is shown of a password; as a value: leave it as it is */

static const struct setting {
	const char *name;
	enum settings_type type;
	int64_t min, max; /* of a number; of the length of a text, in bytes */
	const char *preset;
	bool agents; /* agents and relays are told of a change */
	settings_check *check;
} table[] = {
#define PROXY(name, agents)                                                                        \
	{name ".url", TEXT, 0, 300, "", agents, settings_check_proxy},                             \
		{name ".user", TEXT, 0, 255, "", agents, settings_check_user},                     \
	{                                                                                          \
		name ".password", SECRET, 0, SECRET_MAX, "", agents, settings_check_secret         \
	}
#define UPDATE(name)                                                                               \
	{name ".tries", INT, 1, 100, "3", true, NULL},                                             \
		{name ".timeout_s", INT, 1, 3600, "60", true, NULL},                               \
		{name ".connect_s", INT, 1, 3600, "10", true, NULL},                               \
		{name ".limit_s", INT, 10, 604800, "21600", true, NULL},                           \
	{                                                                                          \
		name ".retry_s", INT, 1, 3600, "2", true, NULL                                     \
	}
	{"source.url", TEXT, 0, 1023, "", true, settings_check_source},
	{"source.ca", TEXT, 0, CA_MAX, "", true, settings_check_ca},
	{"direct_fallback", BOOL, 0, 1, "0", true, NULL},
	/* host, HOST:PORT or URL in place of the relays' own addresses (T7) */
	{"relay.load_balancer", TEXT, 0, 300, "", true, settings_check_balancer},
	PROXY("proxy.relay_source", true), PROXY("proxy.agent_relay", true),
	PROXY("proxy.agent_source", true), PROXY("proxy.manager", false), UPDATE("update"),
	{"update.deadline_s", INT, 1, 604800, "3600", false, NULL}, /* of a whole job */
	UPDATE("relay_update"),
#undef PROXY
#undef UPDATE
	{"heartbeat_interval_s", INT, 1, 3600, "60", true, NULL},
	{"offline_after", INT, 1, 100, "3", false, NULL},          /* heartbeats missed */
	{"log.level", TEXT, 0, 8, "", true, settings_check_level}, /* "": each computer's own */
	{"log.manager_level", TEXT, 0, 8, "", false, settings_check_level}, /* "": as configured */
	/* what lasts: failures in a row, or two with so much time between; 0 seconds: no such alert */
	{"alerts.failures", INT, 1, 100, "3", false, NULL},
	{"alerts.update_after_s", INT, 60, 31536000, "14400", false, NULL},
	{"alerts.offline_after_s", INT, 0, 31536000, "900", false, NULL},
	{"alerts.out_of_date_s", INT, 0, 31536000, "3600", false, NULL},
	{"alerts.relay_group_empty_s", INT, 0, 31536000, "600", false, NULL},
	{"events.keep_days", INT, 1, 36500, "90", false, NULL},
	{"language", TEXT, 2, 2, "en", false,
		settings_check_language}, /* of texts without a reader: mails, logs */
};

#define COUNT (sizeof(table) / sizeof(table[0]))

/* What settings.get shows besides, and settings.update takes no notice of: the whole tree may be sent back. */
static const char *const shown_only[] = {"source.certificates"};

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

int settings_read(struct store *store, json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	json_t *all YG_AUTO(yg_json) = json_object();
	if (yg_db_query(store->db, "SELECT name, value FROM settings", YG_DB_NO_ARGS, &rows, err) <
		0)
		return -1;
	int more;
	while ((more = yg_rows_next(rows, err)) > 0)
		if (json_object_set_new(all, yg_rows_text(rows, 0),
			    json_string(yg_rows_text(rows, 1))) < 0)
			return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (more < 0)
		return -1;
	*out = yg_take(all);
	return 0;
}

const char *settings_text(const json_t *all, const char *name)
{
	const struct setting *setting = find(name);
	const char *text = json_string_value(json_object_get(all, name));
	assert(setting);
	return text ? text : setting->preset;
}

int64_t settings_number(const json_t *all, const char *name)
{
	struct yg_err ignored = {0};
	uint64_t value = 0;
	bool read = yg_str_u64(settings_text(all, name), INT64_MAX, &value, &ignored) == 0;
	assert(read); /* only numbers are let into the table */
	return read ? (int64_t)value : 0;
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

/* ---- passwords ---- */

/* The plain text goes to the database as the hex digits of its sealed form, bound to the setting's name. */
static int seal(struct store *store, const char *name, const char *plain, char **out,
	struct yg_err *err)
{
	struct yg_buf sealed YG_AUTO(yg_buf) = YG_BUF(SECRET_MAX + YG_SEAL_EXTRA);
	if (plain[0] == '\0') {
		*out = strdup("");
		return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	if (!store->seal)
		return yg_fail(err, YG_ESYSTEM, "%s: there is no key to seal it with", name);
	if (yg_seal_put(store->seal, yg_bytes_of(plain), yg_bytes_of(name), &sealed, err) < 0)
		return -1;
	*out = malloc(2 * sealed.len + 1);
	if (!*out)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	yg_str_hex(sealed.data, sealed.len, *out);
	return 0;
}

static int unseal(struct store *store, const char *name, const char *hex, char **out,
	struct yg_err *err)
{
	uint8_t sealed[SECRET_MAX + YG_SEAL_EXTRA];
	char plain[SECRET_MAX + 1] = "";
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(SECRET_MAX);
	size_t len = strlen(hex) / 2;
	int rc = 0;
	if (hex[0] != '\0' && (len > sizeof(sealed) || !store->seal))
		return yg_fail(err, YG_EFORMAT, "%s: %s", name,
			store->seal ? "too long" : "there is no key to open it with");
	if (hex[0] != '\0') {
		if (yg_str_unhex(name, hex, sealed, len, err) < 0 ||
			yg_seal_get(store->seal, (struct yg_bytes){sealed, len}, yg_bytes_of(name),
				&text, err) < 0)
			return -1;
		(void)snprintf(plain, sizeof(plain), "%.*s", (int)text.len,
			(const char *)text.data);
		yg_secret_wipe(text.data, text.len);
	}
	*out = strdup(plain);
	if (!*out)
		rc = yg_fail(err, YG_ESYSTEM, "out of memory");
	yg_secret_wipe(plain, sizeof(plain));
	return rc;
}

int settings_secret(struct store *store, const json_t *all, const char *name, char **out,
	struct yg_err *err)
{
	struct yg_err why = {0};
	if (unseal(store, name, settings_text(all, name), out, &why) == 0)
		return 0;
	/* Another master key than the database was made with: the rest of the settings goes on. */
	if (!store->told_seal)
		yg_log(YG_LOG_ERROR, "store.settings",
			"a password cannot be opened; set it again: %s", why.msg);
	store->told_seal = true;
	*out = strdup("");
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* ---- the tree ---- */

/* The object that holds `name`'s last part, made if absent, and that part in *leaf. */
static json_t *place(json_t *root, const char *name, bool make, const char **leaf)
{
	const char *dot;
	for (*leaf = name; root && (dot = strchr(*leaf, '.')); *leaf = dot + 1) {
		char part[32];
		if (!yg_str_put(part, sizeof(part), "%.*s", (int)(dot - *leaf), *leaf))
			return NULL;
		json_t *inner = json_object_get(root, part);
		if (!inner && make && json_object_set_new(root, part, json_object()) == 0)
			inner = json_object_get(root, part);
		root = inner;
	}
	return root;
}

static json_t *shown(const struct setting *setting, const char *text)
{
	struct yg_err ignored = {0};
	uint64_t number = 0;
	switch (setting->type) {
	case SETTINGS_TEXT:
		return json_string(text);
	case SETTINGS_SECRET:
		return json_string(text[0] ? SHOWN : "");
	case SETTINGS_BOOL:
	case SETTINGS_INT:
		break;
	}
	if (yg_str_u64(text, INT64_MAX, &number, &ignored) < 0)
		return NULL;
	return setting->type == SETTINGS_BOOL ? json_boolean(number != 0)
					      : json_integer((json_int_t)number);
}

int op_settings_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	(void)args;
	json_t *root YG_AUTO(yg_json) = json_object();
	json_t *all YG_AUTO(yg_json) = NULL;
	if (settings_read(store, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT; i++) {
		const char *leaf;
		json_t *at = place(root, table[i].name, true, &leaf);
		const char *text = settings_text(all, table[i].name);
		if (!at || json_object_set_new(at, leaf, shown(&table[i], text)) < 0)
			return yg_fail(err, YG_ESYSTEM, "setting %s: cannot be shown",
				table[i].name);
	}
	json_t *source = json_object_get(root, "source");
	const char *ca = json_string_value(json_object_get(source, "ca"));
	if (json_object_set_new(source, "certificates", settings_certificates(ca ? ca : "")) < 0)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*out = yg_take(root);
	return 0;
}

/* ---- changing ---- */

static int put_text(struct store *store, const struct setting *setting, const char *text,
	struct yg_err *err)
{
	return yg_db_exec(store->db,
		"INSERT INTO settings (name, value) VALUES ($1, $2) "
		"ON CONFLICT (name) DO UPDATE SET value = $2",
		YG_DB_ARGS(yg_db_text(setting->name), yg_db_text(text)), NULL, err);
}

/* The value as the database keeps it, checked. */
static int to_text(const struct setting *setting, const json_t *value, char **out,
	struct yg_err *err)
{
	const char *text = NULL;
	int64_t number = 0;
	bool on = false;
	json_t *holder YG_AUTO(yg_json) = json_object();
	(void)json_object_set(holder, setting->name, (json_t *)(uintptr_t)value);
	switch (setting->type) {
	case SETTINGS_TEXT:
	case SETTINGS_SECRET:
		if (yg_json_str(holder, setting->name, (size_t)setting->max, &text, err) < 0 ||
			(setting->check && setting->check(setting->name, text, err) < 0))
			return -1;
		*out = strdup(text);
		break;
	case SETTINGS_BOOL:
		if (yg_json_bool(holder, setting->name, &on, err) < 0)
			return -1;
		*out = strdup(on ? "1" : "0");
		break;
	case SETTINGS_INT:
		if (yg_json_int(holder, setting->name, setting->min, setting->max, &number, err) <
			0)
			return -1;
		*out = yg_str_format("%lld", (long long)number);
		break;
	}
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* out  *changed  it was not so before */
static int put(struct store *store, const json_t *all, const struct setting *setting,
	const json_t *value, bool *changed, struct yg_err *err)
{
	char *text YG_AUTO(yg_secret) = NULL;
	char *sealed YG_AUTO(mem) = NULL;
	if (to_text(setting, value, &text, err) < 0)
		return -1;
	bool secret = setting->type == SETTINGS_SECRET;
	const char *before = settings_text(all, setting->name);
	*changed = secret ? strcmp(text, SHOWN) != 0 && (text[0] || before[0])
			  : strcmp(text, before) != 0;
	if (!*changed)
		return 0;
	if (secret && seal(store, setting->name, text, &sealed, err) < 0)
		return -1;
	return put_text(store, setting, sealed ? sealed : text, err);
}

static bool names_group(const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < COUNT; i++)
		if (strncmp(table[i].name, name, len) == 0 && table[i].name[len] == '.')
			return true;
	return false;
}

/* Every member of the request must be a setting: a typing error is no success. */
static int check_names(const char *prefix, const json_t *args, struct yg_err *err)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)args, name, value)
	{
		char full[64] = "";
		bool fits = yg_str_put(full, sizeof(full), "%s%s%s", prefix, prefix[0] ? "." : "",
			name);
		bool skip = false;
		fits = fits && !strchr(name, '.'); /* a name with dots is a tree, not a member */
		for (size_t i = 0; i < YG_COUNT(shown_only); i++)
			skip = skip || strcmp(full, shown_only[i]) == 0;
		if (fits && (skip || find(full)))
			continue;
		if (!fits || !names_group(full))
			return yg_fail(err, YG_EFORMAT, "%s%s%s: no such setting", prefix,
				prefix[0] ? "." : "", name);
		if (!json_is_object(value))
			return yg_fail(err, YG_EFORMAT, "%s: want an object, have %s", full,
				yg_json_kind(value));
		if (check_names(full, value, err) < 0)
			return -1;
	}
	return 0;
}

/* A source whose certificate nobody checks is an alert for as long as it is set (T13). */
static int warn_unchecked(struct store *store, struct yg_err *err)
{
	char *url YG_AUTO(mem) = NULL;
	if (store_setting_text(store, "source.url", &url, err) < 0)
		return -1;
	return settings_unchecked(url)
		? store_alert_raise(store, "source_unchecked", "", json_pack("{s:s}", "url", url),
			  err)
		: store_alert_end(store, "source_unchecked", "", "settings", err);
}

int op_settings_update(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	json_t *all YG_AUTO(yg_json) = NULL;
	if (check_names("", args, err) < 0 || settings_read(store, &all, err) < 0)
		return -1;
	bool tell = false;
	struct yg_buf names YG_AUTO(yg_buf) = YG_BUF(4096);
	for (size_t i = 0; i < COUNT; i++) {
		const char *leaf;
		json_t *at = place((json_t *)(uintptr_t)args, table[i].name, false, &leaf);
		const json_t *value = at ? json_object_get(at, leaf) : NULL;
		bool changed = false;
		if (!value)
			continue;
		if (put(store, all, &table[i], value, &changed, err) < 0)
			return -1;
		if (!changed)
			continue;
		if (yg_str_addf(&names, err, "%s%s", names.len > 0 ? ", " : "", table[i].name) < 0)
			return -1;
		tell = tell || table[i].agents;
	}
	/* The names alone: a value may be a password. */
	if (names.len > 0 &&
		store_event(store, 150, NULL, NULL,
			json_pack("{s:s%, s:s}", "settings", (const char *)names.data, names.len,
				"who", asker->name),
			err) < 0)
		return -1;
	if (tell && store_command_all(store, "settings", "", err) < 0)
		return -1;
	if (json_object_get(args, "source") && warn_unchecked(store, err) < 0)
		return -1;
	/* Another source, or another way to it: what is newest there? */
	if (json_object_get(args, "source") || json_object_get(args, "proxy"))
		store->check_content = true;
	return op_settings_get(store, asker, args, out, err);
}
