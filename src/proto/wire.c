/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/wire.h"

#include <assert.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "proto/job.h"

/* What a member must be. */
enum kind {
	TEXT,     /* string of min..max bytes */
	NAME,     /* the same without control characters */
	UUID,     /* lower-case UUID */
	DIGEST,   /* 64 hex digits; with min 0 also "" */
	TIME,     /* "2026-11-21T22:47:43Z" */
	INTEGER,  /* min..max */
	BOOLEAN,  /* true or false */
	OBJECT,   /* of `members` when given */
	TEXTS,    /* array of at most max strings of 1..4096 bytes */
	INTEGERS, /* array of at most max whole numbers */
	OBJECTS,  /* array of at most max objects, of `members` when given */
};

enum need {
	MUST,    /* has to be there */
	MAY,     /* may be absent */
	NULL_OK, /* may be absent or null */
};

struct member {
	const char *name; /* a table ends with NULL */
	enum kind kind;
	enum need need;
	int64_t min, max;
	const struct member *members;
	const char *words; /* "a|b|c": the only texts allowed */
};

#define SAFE_INT_MAX ((int64_t)1 << 53) /* what every JSON reader can hold */
#define PEM_MAX      65536
#define BUNDLE_MAX   262144

static const struct member component[] = {
	{.name = "name", .kind = NAME, .min = 1, .max = 64},
	{.name = "version", .kind = INTEGER, .max = SAFE_INT_MAX},
	{0},
};

static const struct member hold[] = {
	{.name = "set", .kind = DIGEST, .min = 1},
	{.name = "since", .kind = TIME},
	{0},
};

static const struct member engine[] = {
	{.name = "state", .kind = TEXT, .max = 16, .words = "online|offline|none"},
	{.name = "reason", .kind = TEXT, .need = NULL_OK, .max = 1024},
	{.name = "signatures", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{.name = "memory_bytes", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{0},
};

static const struct member running[] = {
	{.name = "job", .kind = UUID},
	{.name = "phase", .kind = NAME, .min = 1, .max = 32},
	{0},
};

static const struct member relay[] = {
	{.name = "set", .kind = DIGEST},
	{.name = "state", .kind = TEXT, .max = 16, .words = "on|off"},
	{0},
};

static const struct member hello[] = {
	{.name = "protocol", .kind = INTEGERS, .max = 16},
	{.name = "version", .kind = NAME, .min = 1, .max = 64},
	{.name = "kind", .kind = TEXT, .max = 16, .words = "agent|appliance"},
	{.name = "roles", .kind = TEXTS, .need = MAY, .max = 16},
	{.name = "hostname", .kind = NAME, .min = 1, .max = 255},
	{.name = "os", .kind = NAME, .need = MAY, .max = 255},
	{.name = "capabilities", .kind = TEXTS, .need = MAY, .max = 64},
	{.name = "relay_port", .kind = INTEGER, .need = NULL_OK, .max = 65535},
	{.name = "addresses", .kind = TEXTS, .need = MAY, .max = 64},
	{0},
};

static const struct member status[] = {
	{.name = "time", .kind = TIME},
	{.name = "epoch", .kind = UUID},
	{.name = "state", .kind = TEXT, .max = 16, .words = "protected|unprotected|updating"},
	{.name = "components", .kind = OBJECTS, .max = 256, .members = component},
	{.name = "set", .kind = DIGEST},
	{.name = "rollback_set", .kind = DIGEST},
	{.name = "hold", .kind = OBJECT, .need = NULL_OK, .members = hold},
	{.name = "policy_fingerprint", .kind = TEXT, .max = 64},
	{.name = "engine", .kind = OBJECT, .members = engine},
	{.name = "update", .kind = OBJECT, .need = NULL_OK, .members = running},
	{.name = "relay", .kind = OBJECT, .need = NULL_OK, .members = relay},
	{0},
};

/* What is malformed here fails the whole heartbeat; newer members are looked at by who uses them (src/agent), each
 * by itself.
 */
static const struct member settings_relay[] = {
	{.name = "id", .kind = NAME, .need = MAY, .max = 64},
	{.name = "urls", .kind = TEXTS, .need = MAY, .max = 64},
	{0},
};

static const struct member settings_source[] = {
	{.name = "url", .kind = NAME, .need = MAY, .max = 1023},
	{.name = "ca", .kind = TEXT, .need = NULL_OK, .max = BUNDLE_MAX},
	{0},
};

static const struct member settings_update[] = {
	{.name = "tries", .kind = INTEGER, .need = MAY, .min = 1, .max = 100},
	{.name = "timeout_s", .kind = INTEGER, .need = MAY, .min = 1, .max = 3600},
	{0},
};

static const struct member settings[] = {
	{.name = "relays", .kind = OBJECTS, .need = MAY, .max = 1000, .members = settings_relay},
	{.name = "parents", .kind = OBJECTS, .need = MAY, .max = 1000, .members = settings_relay},
	{.name = "source", .kind = OBJECT, .need = NULL_OK, .members = settings_source},
	{.name = "direct_fallback", .kind = BOOLEAN, .need = MAY},
	{.name = "update", .kind = OBJECT, .need = MAY, .members = settings_update},
	{0},
};

static const struct member policy_head[] = {
	{.name = "fingerprint", .kind = TEXT, .max = 64},
	{0},
};

static const struct member command_head[] = {
	{.name = "seq", .kind = INTEGER, .min = 1, .max = SAFE_INT_MAX},
	{.name = "command", .kind = NAME, .min = 1, .max = 64},
	{0},
};

static const struct member entry_head[] = {
	{.name = "seq", .kind = INTEGER, .max = SAFE_INT_MAX},
	{.name = "kind", .kind = NAME, .min = 1, .max = 32},
	{0},
};

static const struct member entry_event[] = {
	{.name = "seq", .kind = INTEGER, .min = 1, .max = SAFE_INT_MAX},
	{.name = "id", .kind = INTEGER, .min = 1, .max = INT32_MAX},
	{.name = "time", .kind = TIME},
	{.name = "params", .kind = OBJECT},
	{0},
};

static const struct member entry_result[] = {
	{.name = "seq",
		.kind = INTEGER,
		.max = SAFE_INT_MAX}, /* 0: not kept; the command comes again */
	{.name = "job", .kind = UUID},
	{.name = "time", .kind = TIME},
	{.name = "outcome", .kind = TEXT, .max = 16, .words = "success|failed|cancelled"},
	{.name = "cause", .kind = NAME, .need = NULL_OK, .max = YG_ERR_CAUSE_MAX - 1},
	{.name = "sentence", .kind = TEXT, .need = NULL_OK, .max = 4096},
	{.name = "detail", .kind = OBJECT, .need = NULL_OK},
	{0},
};

static const struct member entry_progress[] = {
	{.name = "job", .kind = UUID},
	{.name = "phase", .kind = NAME, .min = 1, .max = 32},
	{.name = "done", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{.name = "of", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{.name = "what", .kind = NAME, .need = NULL_OK, .max = 64},
	{.name = "bytes", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{.name = "bytes_of", .kind = INTEGER, .need = MAY, .max = SAFE_INT_MAX},
	{.name = "left_s", .kind = INTEGER, .need = NULL_OK, .max = SAFE_INT_MAX},
	{0},
};

static const struct member activate[] = {
	{.name = "hello", .kind = OBJECT, .members = hello},
	{.name = "token", .kind = NAME, .min = 1, .max = 200},
	{.name = "csr", .kind = TEXT, .min = 1, .max = PEM_MAX},
	{0},
};

static const struct member activate_reply[] = {
	{.name = "agent_id", .kind = UUID},
	{.name = "certificate", .kind = TEXT, .min = 1, .max = PEM_MAX},
	{.name = "ca_bundle", .kind = TEXT, .min = 1, .max = BUNDLE_MAX},
	{.name = "manager_id", .kind = UUID},
	{0},
};

static const struct member renew[] = {
	{.name = "csr", .kind = TEXT, .min = 1, .max = PEM_MAX},
	{0},
};

static const struct member renew_reply[] = {
	{.name = "certificate", .kind = TEXT, .min = 1, .max = PEM_MAX},
	{.name = "ca_bundle", .kind = TEXT, .min = 1, .max = BUNDLE_MAX},
	{0},
};

static const struct member heartbeat[] = {
	{.name = "hello", .kind = OBJECT, .members = hello},
	{.name = "status", .kind = OBJECT, .members = status},
	{0},
};

static const struct member heartbeat_reply[] = {
	{.name = "time", .kind = TIME},
	{.name = "interval_s", .kind = INTEGER, .min = 1, .max = 86400},
	{.name = "policy", .kind = OBJECT, .members = policy_head},
	{.name = "settings", .kind = OBJECT, .members = settings},
	{.name = "revoked", .kind = TEXTS, .max = 10000},
	{.name = "ca_bundle_sha256", .kind = DIGEST, .min = 1},
	{0},
};

static const struct member commands_reply[] = {
	{.name = "commands", .kind = OBJECTS, .max = YG_WIRE_COMMANDS_MAX, .members = command_head},
	{0},
};

static const struct member events[] = {
	{.name = "epoch", .kind = UUID},
	{.name = "entries", .kind = OBJECTS, .max = YG_WIRE_ENTRIES_MAX, .members = entry_head},
	{0},
};

static const struct member events_reply[] = {
	{.name = "ack", .kind = INTEGER, .max = SAFE_INT_MAX},
	{0},
};

static const struct member policy_reply[] = {
	{.name = "policy", .kind = OBJECT},
	{.name = "fingerprint", .kind = TEXT, .max = 64},
	{0},
};

static const struct member ca_reply[] = {
	{.name = "ca_bundle", .kind = TEXT, .min = 1, .max = BUNDLE_MAX},
	{0},
};

static const struct member error_body[] = {
	{.name = "code", .kind = NAME, .min = 1, .max = 64},
	{.name = "message", .kind = TEXT, .max = 4096},
	{.name = "field", .kind = TEXT, .need = NULL_OK, .max = 256},
	{0},
};

static const struct member error_reply[] = {
	{.name = "error", .kind = OBJECT, .members = error_body},
	{0},
};

static const struct {
	const char *name;
	const struct member *members;
} messages[YG_WIRE_KINDS] = {
	[YG_WIRE_ACTIVATE] = {"activate", activate},
	[YG_WIRE_ACTIVATE_REPLY] = {"activate-reply", activate_reply},
	[YG_WIRE_RENEW] = {"renew", renew},
	[YG_WIRE_RENEW_REPLY] = {"renew-reply", renew_reply},
	[YG_WIRE_HEARTBEAT] = {"heartbeat", heartbeat},
	[YG_WIRE_HEARTBEAT_REPLY] = {"heartbeat-reply", heartbeat_reply},
	[YG_WIRE_COMMANDS_REPLY] = {"commands-reply", commands_reply},
	[YG_WIRE_EVENTS] = {"events", events},
	[YG_WIRE_EVENTS_REPLY] = {"events-reply", events_reply},
	[YG_WIRE_POLICY_REPLY] = {"policy-reply", policy_reply},
	[YG_WIRE_CA_REPLY] = {"ca-reply", ca_reply},
	[YG_WIRE_ERROR] = {"error", error_reply},
	[YG_WIRE_HELLO] = {"hello", hello},
	[YG_WIRE_STATUS] = {"status", status},
	[YG_WIRE_SETTINGS] = {"settings", settings},
	[YG_WIRE_COMMAND] = {"command", command_head},
	[YG_WIRE_ENTRY] = {"entry", entry_head},
};

const char *yg_wire_name(enum yg_wire kind)
{
	assert((unsigned)kind < YG_WIRE_KINDS);
	return messages[kind].name;
}

bool yg_wire_uuid_ok(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
			return false;
	return true;
}

bool yg_wire_digest_ok(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* True when `text` is one of "a|b|c". */
static bool among(const char *text, const char *words)
{
	size_t len = strlen(text);
	while (len) {
		size_t word = strcspn(words, "|");
		if (word == len && memcmp(words, text, len) == 0)
			return true;
		if (!words[word])
			return false;
		words += word + 1;
	}
	return false;
}

static bool plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static int check_text(const char *text, const struct member *m, struct yg_err *err)
{
	size_t len = strlen(text);
	if (len < (size_t)m->min)
		return yg_fail(err, YG_EFORMAT, "%s: want text, have none", m->name);
	if (m->words && !among(text, m->words))
		return yg_fail(err, YG_EFORMAT, "%s: want %s, have '%.64s'", m->name, m->words,
			text);
	if (m->kind == NAME && !plain(text))
		return yg_fail(err, YG_EFORMAT, "%s: control characters in it", m->name);
	if (m->kind == UUID && !yg_wire_uuid_ok(text))
		return yg_fail(err, YG_EFORMAT, "%s: want a UUID, have '%s'", m->name, text);
	if (m->kind == DIGEST && len && !yg_wire_digest_ok(text))
		return yg_fail(err, YG_EFORMAT, "%s: want 64 hex digits, have '%s'", m->name, text);
	return 0;
}

/* Longest text of a kind, in bytes. */
static size_t text_max(const struct member *m)
{
	if (m->kind == UUID)
		return 36;
	return m->kind == DIGEST ? 64 : (size_t)m->max;
}

static int check_members(const json_t *value, const struct member *members, struct yg_err *err);

static int check_item(const json_t *item, const struct member *m, struct yg_err *err)
{
	if (m->kind == OBJECTS && !json_is_object(item))
		return yg_fail(err, YG_EFORMAT, "want an object, have %s", yg_json_kind(item));
	if (m->kind == OBJECTS)
		return m->members ? check_members(item, m->members, err) : 0;
	if (m->kind == INTEGERS && !json_is_integer(item))
		return yg_fail(err, YG_EFORMAT, "want a whole number, have %s", yg_json_kind(item));
	if (m->kind == INTEGERS)
		return 0;
	if (!json_is_string(item))
		return yg_fail(err, YG_EFORMAT, "want a string, have %s", yg_json_kind(item));
	if (json_string_length(item) < 1 || json_string_length(item) > 4096)
		return yg_fail(err, YG_ELIMIT, "want 1..4096 bytes, have %zu",
			json_string_length(item));
	return plain(json_string_value(item))
		? 0
		: yg_fail(err, YG_EFORMAT, "control characters in it");
}

static int check_array(const json_t *value, const struct member *m, struct yg_err *err)
{
	json_t *list = NULL;
	if (yg_json_array(value, m->name, (size_t)m->max, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check_item(json_array_get(list, i), m, err) < 0)
			return yg_wrap(err, "%s[%zu]", m->name, i);
	return 0;
}

static int check_object(const json_t *value, const struct member *m, struct yg_err *err)
{
	json_t *object = NULL;
	if (yg_json_object(value, m->name, &object, err) < 0)
		return -1;
	if (m->members && check_members(object, m->members, err) < 0)
		return yg_wrap(err, "%s", m->name);
	return 0;
}

static int check_time(const json_t *value, const struct member *m, struct yg_err *err)
{
	const char *text = NULL;
	int64_t s = 0;
	if (yg_json_str(value, m->name, YG_CLOCK_TEXT, &text, err) < 0)
		return -1;
	return yg_clock_parse(text, &s, err) < 0 ? yg_wrap(err, "%s", m->name) : 0;
}

static int check_member(const json_t *value, const struct member *m, struct yg_err *err)
{
	const char *text = NULL;
	int64_t number = 0;
	bool truth = false;
	switch (m->kind) {
	case TEXT:
	case NAME:
	case UUID:
	case DIGEST:
		if (yg_json_str(value, m->name, text_max(m), &text, err) < 0)
			return -1;
		return check_text(text, m, err);
	case TIME:
		return check_time(value, m, err);
	case INTEGER:
		return yg_json_int(value, m->name, m->min, m->max, &number, err);
	case BOOLEAN:
		return yg_json_bool(value, m->name, &truth, err);
	case OBJECT:
		return check_object(value, m, err);
	case TEXTS:
	case INTEGERS:
	case OBJECTS:
		return check_array(value, m, err);
	}
	return yg_fail(err, YG_EFORMAT, "%s: kind %d", m->name, (int)m->kind);
}

static int check_members(const json_t *value, const struct member *members, struct yg_err *err)
{
	for (const struct member *m = members; m->name; m++) {
		const json_t *have = json_object_get(value, m->name);
		if (!have && m->need != MUST)
			continue;
		if (have && json_is_null(have) && m->need == NULL_OK)
			continue;
		if (check_member(value, m, err) < 0)
			return -1;
	}
	return 0;
}

/* An entry of a kind that this version does not know passes: it is acknowledged and left alone, or
 * a newer agent would send it for ever.
 */
static int check_entry(const json_t *value, struct yg_err *err)
{
	static const struct {
		const char *kind;
		const struct member *members;
	} kinds[] = {
		{"event", entry_event},
		{"result", entry_result},
		{"progress", entry_progress},
	};
	const char *kind = json_string_value(json_object_get(value, "kind"));
	for (size_t i = 0; kind && i < YG_COUNT(kinds); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			return check_members(value, kinds[i].members, err);
	return 0;
}

static int check_entries(const json_t *value, struct yg_err *err)
{
	const json_t *list = json_object_get(value, "entries");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check_entry(json_array_get(list, i), err) < 0)
			return yg_wrap(err, "entries[%zu]", i);
	return 0;
}

static int check_rest(enum yg_wire kind, const json_t *value, struct yg_err *err)
{
	struct yg_wire_command command = {0};
	if (kind == YG_WIRE_EVENTS)
		return check_entries(value, err);
	if (kind == YG_WIRE_ENTRY)
		return check_entry(value, err);
	return kind == YG_WIRE_COMMAND ? yg_wire_command(value, &command, err) : 0;
}

int yg_wire_check(enum yg_wire kind, const json_t *value, struct yg_err *err)
{
	assert((unsigned)kind < YG_WIRE_KINDS);
	if (!json_is_object(value))
		return yg_fail(err, YG_EFORMAT, "%s: want an object, have %s", messages[kind].name,
			yg_json_kind(value));
	if (check_members(value, messages[kind].members, err) < 0 ||
		check_rest(kind, value, err) < 0)
		return yg_wrap(err, "%s", messages[kind].name);
	return 0;
}

int yg_wire_parse(enum yg_wire kind, struct yg_bytes text, json_t **out, struct yg_err *err)
{
	size_t max = kind == YG_WIRE_POLICY_REPLY ? YG_WIRE_POLICY_MAX : YG_WIRE_SIZE_MAX;
	json_t *value YG_AUTO(yg_json) = NULL;
	if (yg_json_parse(text, max, &value, err) < 0)
		return yg_wrap(err, "%s", yg_wire_name(kind));
	if (yg_wire_check(kind, value, err) < 0)
		return -1;
	*out = yg_take(value);
	return 0;
}

static const struct member job_only[] = {{.name = "job", .kind = UUID}, {0}};

static const struct member update[] = {
	{.name = "job", .kind = UUID},
	{.name = "set", .kind = DIGEST, .need = NULL_OK},
	{.name = "scheduled", .kind = BOOLEAN, .need = MAY},
	{.name = "with_relays", .kind = BOOLEAN, .need = MAY},
	{0},
};

static const struct member scan[] = {
	{.name = "job", .kind = UUID},
	{.name = "paths", .kind = TEXTS, .max = 1000},
	{0},
};

static const struct member test[] = {
	{.name = "job", .kind = UUID},
	{.name = "what", .kind = TEXT, .max = 16, .words = "relays|source|manager"},
	{0},
};

static const struct {
	const char *name;
	const struct member *members; /* besides seq and command; NULL: none */
} dos[YG_WIRE_DOS] = {
	[YG_DO_UPDATE_RELAY] = {"update.relay", job_only},
	[YG_DO_UPDATE] = {"update", update},
	[YG_DO_ROLLBACK] = {"rollback", job_only},
	[YG_DO_SCAN] = {"scan", scan},
	[YG_DO_POLICY] = {"policy", NULL},
	[YG_DO_SETTINGS] = {"settings", NULL},
	[YG_DO_RELEASE_HOLD] = {"release_hold", job_only},
	[YG_DO_DEACTIVATE] = {"deactivate", NULL},
	[YG_DO_CANCEL] = {"cancel", job_only},
	[YG_DO_TEST] = {"test", test},
};

const char *yg_wire_do_name(enum yg_wire_do what)
{
	assert((unsigned)what < YG_WIRE_DOS);
	return dos[what].name;
}

static int check_paths(const json_t *paths, struct yg_err *err)
{
	if (json_array_size(paths) == 0)
		return yg_fail(err, YG_EFORMAT, "paths: want at least one, have none");
	for (size_t i = 0; i < json_array_size(paths); i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		if (!path || path[0] != '/')
			return yg_fail(err, YG_EFORMAT,
				"paths[%zu]: want an absolute path, have '%.128s'", i,
				path ? path : "");
	}
	return 0;
}

static int fill_command(const json_t *value, enum yg_wire_do what, struct yg_wire_command *out,
	struct yg_err *err)
{
	if (dos[what].members && check_members(value, dos[what].members, err) < 0)
		return -1;
	const json_t *paths = what == YG_DO_SCAN ? json_object_get(value, "paths") : NULL;
	if (paths && check_paths(paths, err) < 0)
		return -1;
	const char *set = what == YG_DO_UPDATE ? json_string_value(json_object_get(value, "set"))
					       : NULL;
	*out = (struct yg_wire_command){
		.seq = json_integer_value(json_object_get(value, "seq")),
		.what = what,
		.job = dos[what].members ? json_string_value(json_object_get(value, "job")) : NULL,
		.set = set ? set : "",
		.scheduled = json_is_true(json_object_get(value, "scheduled")),
		.with_relays = json_is_true(json_object_get(value, "with_relays")),
		.paths = paths,
		.test = what == YG_DO_TEST ? json_string_value(json_object_get(value, "what")) : "",
	};
	return 0;
}

int yg_wire_command(const json_t *value, struct yg_wire_command *out, struct yg_err *err)
{
	if (!json_is_object(value))
		return yg_fail(err, YG_EFORMAT, "command: want an object, have %s",
			yg_json_kind(value));
	if (check_members(value, command_head, err) < 0)
		return yg_wrap(err, "command");
	const char *name = json_string_value(json_object_get(value, "command"));
	for (size_t i = 0; i < YG_WIRE_DOS; i++) {
		if (strcmp(name, dos[i].name) != 0)
			continue;
		if (fill_command(value, (enum yg_wire_do)i, out, err) < 0)
			return yg_wrap(err, "command %s", name);
		return 0;
	}
	return yg_fail_cause(err, YG_EABSENT, "job.unsupported",
		"command '%s' is not known to version " YG_VERSION, name);
}

static bool speaks(const json_t *versions)
{
	for (size_t i = 0; i < json_array_size(versions); i++)
		if (json_integer_value(json_array_get(versions, i)) == YG_WIRE_PROTOCOL)
			return true;
	return false;
}

/* T12: which side is the older one. */
static int refuse_versions(const json_t *versions, struct yg_err *err)
{
	json_int_t newest = 0;
	for (size_t i = 0; i < json_array_size(versions); i++)
		if (json_integer_value(json_array_get(versions, i)) > newest)
			newest = json_integer_value(json_array_get(versions, i));
	bool agent = newest < YG_WIRE_PROTOCOL;
	return yg_fail_cause(err, YG_EFORMAT, agent ? "version.agent" : "version.manager",
		"hello: protocol: want %d among the versions, have %lld at most: the %s must be upgraded",
		YG_WIRE_PROTOCOL, (long long)newest, agent ? "agent" : "Manager");
}

static bool holds(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
			return true;
	return false;
}

int yg_wire_hello(const json_t *value, struct yg_wire_hello *out, struct yg_err *err)
{
	if (yg_wire_check(YG_WIRE_HELLO, value, err) < 0)
		return -1;
	if (!speaks(json_object_get(value, "protocol")))
		return refuse_versions(json_object_get(value, "protocol"), err);
	const char *os = json_string_value(json_object_get(value, "os"));
	*out = (struct yg_wire_hello){
		.version = json_string_value(json_object_get(value, "version")),
		.appliance = strcmp(json_string_value(json_object_get(value, "kind")),
				     "appliance") == 0,
		.relay = holds(json_object_get(value, "roles"), "relay"),
		.hostname = json_string_value(json_object_get(value, "hostname")),
		.os = os ? os : "",
		.relay_port = (uint16_t)json_integer_value(json_object_get(value, "relay_port")),
		.addresses = json_object_get(value, "addresses"),
		.capabilities = json_object_get(value, "capabilities"),
	};
	return 0;
}

json_t *yg_wire_error(const char *code, const char *message, const char *field)
{
	return json_pack("{s:{s:s, s:s, s:s*}}", "error", "code", code, "message", message, "field",
		field);
}
