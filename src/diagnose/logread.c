/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/logread.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "diagnose/entry.h"
#include "diagnose/lines.h"
#include "diagnose/logcode.h"
#include "diagnose/signature.h"
#include "proto/cause.h"

#define SEEN_MAX    240 /* bytes of a line that are shown */
#define NOTES_MAX   100
#define UNKNOWN_MAX 10
#define SERVICE_MAX 64

static const char *const format_names[] = {"text", "tmudump", "iau", "journal"};

struct yg_logread {
	enum yg_lang lang;
	struct yg_findings *findings;    /* owned */
	json_t *files, *notes, *unknown; /* owned */
	uint64_t unknown_count;
	int64_t good_s; /* when the last update ended in success; 0: never, or at a time that is not known */
	/* of the file that is read */
	const char *name; /* borrowed */
	uint64_t line, entries, formats[YG_COUNT(format_names)];
	bool ours, theirs;
	/* of the entry that is read */
	struct yg_entry entry;
	bool open;
	uint64_t entry_line;
	char text[YG_LOGREAD_ENTRY_MAX];
	size_t len;
	char service[SERVICE_MAX]; /* that "SERVICE_NAME: …" named */
	bool stopping;             /* the program was told to stop: what ends then ends for that */
};

struct yg_logread *yg_logread_new(enum yg_lang lang, struct yg_err *err)
{
	struct yg_logread *r YG_AUTO(yg_logread) = calloc(1, sizeof(*r));
	if (r) {
		r->lang = lang;
		r->files = json_array();
		r->notes = json_array();
		r->unknown = json_array();
		r->findings = yg_findings_new(err);
	}
	if (!r || !r->findings || !r->files || !r->notes || !r->unknown) {
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	return yg_take(r);
}

void yg_logread_free(struct yg_logread *r)
{
	if (!r)
		return;
	yg_findings_free(r->findings);
	json_decref(r->files);
	json_decref(r->notes);
	json_decref(r->unknown);
	free(r);
}

__attribute__((format_arg(2), format_arg(3))) static const char *say(const struct yg_logread *r,
	const char *en, const char *ja)
{
	return r->lang == YG_LANG_JA ? ja : en;
}

/* `len` bytes, or as many of them as whole letters have in `max`. */
static size_t cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	for (len = max; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* "iau.log:7: the first line that says something". A new string; NULL when memory is out. */
static char *seen_text(const struct yg_logread *r)
{
	const char *text = r->text + strspn(r->text, " \n");
	size_t all = strcspn(text, "\n");
	size_t len = cut(text, all, SEEN_MAX);
	return yg_str_format("%s:%llu: %.*s%s", r->name, (unsigned long long)r->entry_line,
		(int)len, text, len < all ? "…" : "");
}

static void note(struct yg_logread *r, const char *text, bool says)
{
	size_t i;
	json_t *item;
	json_array_foreach(r->notes, i, item)
	{
		const char *have = json_string_value(json_object_get(item, "text"));
		if (!have || strcmp(have, text) != 0)
			continue;
		(void)json_object_set_new(item, "count",
			json_integer(json_integer_value(json_object_get(item, "count")) + 1));
		return;
	}
	char *seen YG_AUTO(mem) = says ? seen_text(r) : NULL;
	if (json_array_size(r->notes) < NOTES_MAX)
		(void)json_array_append_new(r->notes,
			json_pack("{s:s, s:i, s:s}", "text", text, "count", 1, "seen",
				seen ? seen : ""));
}

/* ---- what an entry means ---- */

static int found(struct yg_logread *r, const char *cause, enum yg_find_weight weight,
	const char *object, const struct yg_signature *row, struct yg_err *err)
{
	char *seen YG_AUTO(mem) = seen_text(r);
	struct yg_found one = {.cause = cause,
		.how = YG_FIND_LOG,
		.weight = weight,
		.object = object,
		.seen = seen,
		.source = r->name,
		.at_s = r->entry.at_s};
	/* Our readers have our tools; the other product's have not. */
	for (size_t i = 0; row && !r->ours && i < YG_COUNT(one.remedy); i++) {
		one.sentence[i] = row->sentence[i];
		one.remedy[i] = row->remedy[i];
	}
	return yg_findings_add(r->findings, &one, err);
}

/* "Path2: …", else the second text in quotation marks. A new string, or NULL. */
static char *second_path(const char *text)
{
	const char *at = strstr(text, "Path2: ");
	if (at) {
		at += strlen("Path2: ");
		return yg_str_format("%.*s", (int)strcspn(at, "\r\n"), at);
	}
	for (int quote = 0; (at = strchr(at ? at : text, '"')); quote++, at++)
		if (quote == 2)
			return yg_str_format("%.*s", (int)strcspn(at + 1, "\"\n"), at + 1);
	return NULL;
}

static int by_row(struct yg_logread *r, const struct yg_signature *row, struct yg_err *err)
{
	char *object YG_AUTO(mem) = row->object == YG_SIGNATURE_PATH2 ? second_path(r->text) : NULL;
	/* Without the file, the advice that belongs to the code says where to find it. */
	if (row->object == YG_SIGNATURE_PATH2 && !object)
		row = yg_signature_status("IAU_STATUS_FILE_EXISTS");
	return found(r, row->cause, row->weight, object, row, err);
}

/* The end of an update in success: what was before is over. */
static void good(struct yg_logread *r, const struct yg_logcode *code)
{
	if (!strstr(r->text, "Update finished with result") &&
		r->entry.format != YG_ENTRY_JOURNAL && code->kind != YG_LOGCODE_EVENT)
		return;
	bool relay = code->kind == YG_LOGCODE_STATUS && strncmp(code->name, "IAURELAY_", 9) == 0;
	if (!relay && r->entry.at_s > r->good_s)
		r->good_s = r->entry.at_s;
	yg_findings_over(r->findings, 0, r->name, "");
}

static int by_code(struct yg_logread *r, const struct yg_logcode *code, struct yg_err *err)
{
	char text[YG_LOGCODE_TEXT];
	yg_logcode_say(code, r->lang, text);
	if (code->ends_well)
		good(r, code);
	if (!code->cause) {
		note(r, text, true);
		return 0;
	}
	const struct yg_signature *row = code->kind == YG_LOGCODE_STATUS
		? yg_signature_status(code->name)
		: NULL;
	return found(r, code->cause, code->weight, NULL, row, err);
}

/* `sc query` names a service, then its state two lines below. */
static int by_service(struct yg_logread *r, bool *known, struct yg_err *err)
{
	static const struct yg_signature driver = {.cause = "engine.offline",
		.sentence = {"The driver {object} of the virtual machine is not running, so the machine is not "
			     "protected from outside.",
			"仮想マシンのドライバ {object} が動作していないため、エージェントレスの保護が働いていません。"},
		.remedy = {
			"Repair or reinstall VMware Tools with Guest Introspection (NSX File Introspection) "
			"and restart the virtual machine.",
			"Guest Introspection (NSX File Introspection) を含めてVMware Toolsを修復または再インストールし、"
			"仮想マシンを再起動してください。"}};
	const char *at = strcasestr(r->text, "SERVICE_NAME:");
	if (at) {
		at += strlen("SERVICE_NAME:");
		at += strspn(at, " ");
		(void)!yg_str_put(r->service, sizeof(r->service), "%.*s",
			(int)cut(at, strcspn(at, " \n"), SERVICE_MAX - 1), at);
		*known = true;
		return 0;
	}
	if (!r->service[0] || !strstr(r->text, "STATE"))
		return 0;
	*known = true;
	if (strstr(r->text, "RUNNING")) {
		char text[160];
		(void)!yg_str_put(text, sizeof(text),
			say(r, "The service %s is running", "サービス %s は動作しています"),
			r->service);
		note(r, text, true);
		return 0;
	}
	return found(r, driver.cause, YG_FIND_NAMES, r->service, &driver, err);
}

/* Our logs name causes as they are: "… [net.refused]". */
static const struct yg_cause *named(const char *text)
{
	for (const char *at = strchr(text, '['); at; at = strchr(at + 1, '[')) {
		char id[YG_ERR_CAUSE_MAX];
		size_t len = strcspn(at + 1, "]\n");
		if (len < 3 || len >= sizeof(id) || at[1 + len] != ']' ||
			!yg_str_put(id, sizeof(id), "%.*s", (int)len, at + 1))
			continue;
		const struct yg_cause *cause = yg_cause_find(id);
		if (cause)
			return cause;
	}
	return NULL;
}

/* A source whose certificate is not checked: not wrong, but worth knowing. */
static void unchecked_source(struct yg_logread *r)
{
	const char *at = strstr(r->text, "https://");
	if (!at)
		return;
	size_t len = strcspn(at, " \n\"'>)");
	if (len > 10 && at[len - 1] == '/' && at[len - 2] == '/' && at[len - 3] != ':')
		note(r,
			say(r, "The certificate of this source is not checked: its URL ends in //",
				"URLの末尾が // のため、このアップデート元の証明書は検証されません"),
			true);
}

static void unexplained(struct yg_logread *r)
{
	char *seen YG_AUTO(mem) = seen_text(r);
	r->unknown_count++;
	if (seen && json_array_size(r->unknown) < UNKNOWN_MAX)
		(void)json_array_append_new(r->unknown, json_pack("{s:s}", "seen", seen));
}

static bool listed(const char *word, const char *const *list)
{
	while (*list && strcmp(*list, word) != 0)
		list++;
	return *list;
}

/* From when a program is told to stop until it starts again it is no failure that something ends. All else counts:
 * the start may fail, or another program have trouble. Returns whether the entry is passed over.
 */
static bool stops(struct yg_logread *r, const struct yg_cause *cause)
{
	static const char *const told[] = {"agent.stop", "manager.stopping", NULL};
	static const char *const starts[] = {"agent.start", "agent.ready", "manager.start",
		"manager.ready", "super.start", "role.start", NULL};
	static const char *const ends[] = {"super.exit", "engine.offline", "update.interrupted",
		NULL};
	const char *word = r->entry.word;
	if (r->entry.format != YG_ENTRY_JOURNAL)
		return false;
	if (listed(word, starts))
		r->stopping = false;
	if (!listed(word, told))
		return r->stopping && listed(cause ? yg_cause_id(cause) : word, ends);
	r->stopping = true;
	return true;
}

static int judge(struct yg_logread *r, struct yg_err *err)
{
	struct yg_logcode codes[YG_LOGCODES_MAX];
	bool known = false;
	const struct yg_cause *cause = r->entry.failed ? named(r->text) : NULL;
	if (stops(r, cause))
		return 0;
	unchecked_source(r);
	if (cause)
		return found(r, yg_cause_id(cause), YG_FIND_NAMES, NULL, NULL, err);
	/* "engine.offline: it ended, starting again": some words of the journal are causes. */
	if (r->entry.format == YG_ENTRY_JOURNAL && r->entry.failed && yg_cause_find(r->entry.word))
		return found(r, r->entry.word, YG_FIND_KIND, NULL, NULL, err);
	if (r->entry.format == YG_ENTRY_JOURNAL && strcmp(r->entry.word, "engine.loaded") == 0)
		yg_findings_over(r->findings, 0, r->name, "engine.");
	if (by_service(r, &known, err) < 0)
		return -1;
	size_t count = yg_logcode_find(r->text, &r->entry, codes);
	for (size_t i = 0; i < count; i++)
		if (by_code(r, &codes[i], err) < 0)
			return -1;
	const struct yg_signature *row = yg_signature_find(r->text, r->entry.failed);
	if (row)
		return by_row(r, row, err);
	if (!known && count == 0 && r->entry.failed && r->entry.format != YG_ENTRY_TEXT)
		unexplained(r);
	return 0;
}

/* ---- entries ---- */

static int finish_entry(struct yg_logread *r, struct yg_err *err)
{
	if (!r->open)
		return 0;
	r->open = false;
	r->entries++;
	r->ours |= r->entry.ours || strstr(r->text, "/var/opt/yagura");
	r->theirs |= r->entry.theirs || strstr(r->text, "ds_agent") ||
		strstr(r->text, "Trend Micro");
	return judge(r, err);
}

static void add_text(struct yg_logread *r, const char *text, size_t len)
{
	size_t room = sizeof(r->text) - r->len - 1;
	if (r->len > 0 && room > 0) {
		r->text[r->len++] = '\n';
		room--;
	}
	len = cut(text, len, room);
	memcpy(r->text + r->len, text, len);
	r->len += len;
	r->text[r->len] = 0;
}

static int take_line(void *ctx, const char *line, size_t len, struct yg_err *err)
{
	struct yg_logread *r = ctx;
	struct yg_entry entry;
	yg_entry_parse(line, len, &entry);
	r->line++;
	r->formats[entry.format]++;
	/* What follows a head of iau.log, up to the next one, belongs to it. */
	if (entry.format == YG_ENTRY_TEXT && r->open && r->entry.format == YG_ENTRY_IAU) {
		add_text(r, line, len);
		return 0;
	}
	if (finish_entry(r, err) < 0)
		return -1;
	r->entry = entry;
	r->open = true;
	r->entry_line = r->line;
	r->len = 0;
	r->text[0] = 0;
	if (entry.text_at < len)
		add_text(r, line + entry.text_at, len - entry.text_at);
	return 0;
}

static void begin_file(struct yg_logread *r, const char *name)
{
	r->name = name;
	r->line = r->entries = 0;
	memset(r->formats, 0, sizeof(r->formats));
	r->ours = r->theirs = r->open = false;
	r->service[0] = 0;
	r->stopping = false;
}

static void end_file(struct yg_logread *r, bool whole, const struct yg_err *why)
{
	size_t format = YG_ENTRY_TEXT;
	for (size_t i = YG_ENTRY_TMU; i < YG_COUNT(format_names); i++)
		if (r->formats[i] > (format == YG_ENTRY_TEXT ? 0 : r->formats[format]))
			format = i;
	(void)json_array_append_new(r->files,
		json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:s}", "name", r->name, "format",
			format_names[format], "product",
			r->ours && !r->theirs ? "yagura"
				: r->theirs   ? "other"
					      : "",
			"lines", (json_int_t)r->line, "entries", (json_int_t)r->entries, "whole",
			(int)whole, "error", why->msg));
	r->name = "";
}

int yg_logread_file(struct yg_logread *r, const char *name, int fd, struct yg_err *err)
{
	bool whole = false;
	struct yg_lines *lines YG_AUTO(yg_lines) = yg_lines_new(take_line, r, err);
	if (!lines)
		return -1;
	begin_file(r, name);
	int rc = yg_lines_read(lines, fd, YG_LOGREAD_FILE_MAX, &whole, err);
	if (rc == 0)
		rc = finish_entry(r, err);
	end_file(r, whole && rc == 0, err);
	return rc;
}

int yg_logread_bytes(struct yg_logread *r, const char *name, const void *bytes, size_t len,
	struct yg_err *err)
{
	struct yg_lines *lines YG_AUTO(yg_lines) = yg_lines_new(take_line, r, err);
	if (!lines)
		return -1;
	begin_file(r, name);
	int rc = yg_lines_add(lines, bytes, len, err) < 0 || yg_lines_end(lines, err) < 0 ||
			finish_entry(r, err) < 0
		? -1
		: 0;
	end_file(r, rc == 0, err);
	return rc;
}

json_t *yg_logread_result(struct yg_logread *r, size_t *standing)
{
	if (r->good_s)
		yg_findings_over(r->findings, r->good_s, NULL, "");
	yg_findings_settle(r->findings);
	*standing = yg_findings_standing(r->findings);
	return json_pack("{s:O, s:o, s:O, s:O, s:I}", "files", r->files, "causes",
		yg_findings_json(r->findings, r->lang), "notes", r->notes, "unknown", r->unknown,
		"unknown_count", (json_int_t)r->unknown_count);
}
