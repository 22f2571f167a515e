/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/logcode.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/str.h"
#include "proto/event.h"
#include "proto/status.h"

#define STATUS_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
#define DIGITS       "0123456789"

/* What a status says of which cause, when no line before it says more. The rest is the first cause of the status's row. */
static const struct {
	const char *name, *cause;
	enum yg_find_weight weight;
} by_status[] = {
	{"IAU_STATUS_FILE_EXISTS", "store.exists", YG_FIND_NAMES},
	{"IAU_STATUS_FILE_CORRUPT", "store.object_damaged", YG_FIND_NAMES},
	{"IAU_STATUS_DISK_FULL", "store.disk_full", YG_FIND_NAMES},
	{"IAU_STATUS_FILE_IO", "store.io", YG_FIND_KIND},
	{"IAU_STATUS_TIMEOUT", "net.timeout", YG_FIND_KIND},
	{"IAU_STATUS_MAINTENANCE", "http.maintenance", YG_FIND_KIND},
	{"IAU_STATUS_PROXY", "proxy.failed", YG_FIND_KIND},
	{"IAU_STATUS_TLS", "tls.failed", YG_FIND_KIND},
	{"IAU_STATUS_HTTP", "http.status", YG_FIND_KIND},
	{"IAU_STATUS_CONNECT", "net.failed", YG_FIND_KIND},
	{"IAU_STATUS_METADATA_EXPIRED", "tuf.expired", YG_FIND_KIND},
	{"IAU_STATUS_SIGNATURE", "tuf.signature", YG_FIND_KIND},
	{"IAU_STATUS_CONTENT", "content.format", YG_FIND_KIND},
	{"IAU_STATUS_BUSY", "update.busy", YG_FIND_NAMES},
	{"IAU_STATUS_HELD", "update.held", YG_FIND_NAMES},
	{"IAU_STATUS_LICENSE_EXPIRED", "update.licence", YG_FIND_NAMES},
	{"IAU_STATUS_ENGINE", "engine.load", YG_FIND_KIND},
	{"IAURELAY_STATUS_NOT_AVAILABLE", "store.object_damaged", YG_FIND_KIND},
	{"IAURELAY_STATUS_DIGITAL_SIGNATURE_CERT_EXPIRE", "tuf.expired", YG_FIND_KIND},
	{"IAURELAY_STATUS_DIGITAL_SIGNATURE", "tuf.signature", YG_FIND_KIND},
	{"IAURELAY_STATUS_DISK", "store.io", YG_FIND_KIND},
	{"IAURELAY_STATUS_MAINTENANCE", "http.maintenance", YG_FIND_KIND},
	{"IAURELAY_STATUS_TIMEOUT", "net.timeout", YG_FIND_KIND},
	{"IAURELAY_STATUS_PROXY", "proxy.failed", YG_FIND_KIND},
	{"IAURELAY_STATUS_TLS", "tls.failed", YG_FIND_KIND},
	{"IAURELAY_STATUS_HTTP", "http.status", YG_FIND_KIND},
	{"IAURELAY_STATUS_CONNECT", "net.failed", YG_FIND_KIND},
	{"IAURELAY_STATUS_BUSY", "update.busy", YG_FIND_NAMES},
};

static const struct {
	int64_t status;
	const char *cause;
	enum yg_find_weight weight;
} by_http[] = {
	{403, "http.forbidden", YG_FIND_NAMES},
	{401, "http.forbidden", YG_FIND_NAMES},
	{404, "http.not_found", YG_FIND_NAMES},
	{407, "proxy.auth", YG_FIND_NAMES},
	{429, "http.busy", YG_FIND_NAMES},
	{502, "proxy.failed", YG_FIND_KIND},
	{503, "http.maintenance", YG_FIND_NAMES},
	{504, "proxy.timeout", YG_FIND_KIND},
};

/* Events that say that something failed, without saying why. Those of an update end it; others are only named. */
static const struct {
	int64_t id;
	const char *cause;
	enum yg_find_weight weight;
} by_event[] = {
	{785, "update.failed", YG_FIND_FAILED},
	{1602, "update.failed", YG_FIND_FAILED},
	{2205, "update.failed", YG_FIND_FAILED},
	{9017, "update.failed", YG_FIND_FAILED},
	{1001, "engine.config", YG_FIND_KIND},
	{9110, "update.licence", YG_FIND_NAMES},
};

/* A signed number of at most ten digits at *at, which moves on. */
static bool read_number(const char **at, int64_t *out)
{
	const char *from = *at;
	bool minus = *from == '-';
	uint64_t value = 0;
	char digits[16];
	struct yg_err ignored = {0};
	from += minus;
	size_t len = strspn(from, DIGITS);
	if (len == 0 || len > 10 || !yg_str_put(digits, sizeof(digits), "%.*s", (int)len, from) ||
		yg_str_u64(digits, INT64_MAX, &value, &ignored) < 0)
		return false;
	*out = minus ? -(int64_t)value : (int64_t)value;
	*at = from + len;
	return true;
}

/* "[-1073610747(3,2,5)]" or "(-18)" or " (-18)" behind a name. */
static void read_numbers(const char *at, struct yg_logcode *code)
{
	at += strspn(at, " ");
	if (*at == '(') {
		at++;
		(void)read_number(&at, &code->number);
		return;
	}
	if (*at++ != '[' || !read_number(&at, &code->number) || *at++ != '(')
		return;
	for (size_t i = 0; i < YG_COUNT(code->parts); i++) {
		if (!read_number(&at, &code->parts[i]) || code->parts[i] < 0 ||
			code->parts[i] > 0xffff || *at++ != (i == 2 ? ')' : ','))
			return;
	}
	code->has_parts = true;
	uint32_t made = (uint32_t)code->parts[0] << 30 | (uint32_t)code->parts[1] << 16 |
		(uint32_t)code->parts[2];
	code->contradicts = (int64_t)(int32_t)made != code->number;
}

static bool find_status(const char *text, struct yg_logcode *code)
{
	const char *at = strstr(text, "IAURELAY_STATUS_");
	if (!at)
		at = strstr(text, "IAU_STATUS_");
	if (!at)
		return false;
	size_t len = strspn(at, STATUS_CHARS);
	if (len >= sizeof(code->name) ||
		!yg_str_put(code->name, sizeof(code->name), "%.*s", (int)len, at))
		return false;
	const struct yg_status *known = yg_status_find(code->name);
	code->kind = YG_LOGCODE_STATUS;
	code->number = known ? known->number : -1;
	if (known && !known->relay) {
		code->has_parts = true;
		code->parts[0] = known->severity;
		code->parts[1] = known->facility;
		code->parts[2] = known->code;
	}
	read_numbers(at + len, code);
	code->ends_well = code->number == 0 && strstr(code->name, "STATUS_SUCCESS");
	if (code->ends_well)
		return true;
	code->cause = "update.failed";
	code->weight = YG_FIND_FAILED;
	for (size_t i = 0; i < YG_COUNT(by_status); i++) {
		if (strcmp(by_status[i].name, code->name) == 0) {
			code->cause = by_status[i].cause;
			code->weight = by_status[i].weight;
		}
	}
	return true;
}

/* "HTTP 503", "HTTP/1.1 503", "HTTP ステータスコード「503」". */
static bool find_http(const char *text, const struct yg_entry *entry, struct yg_logcode *code)
{
	const char *at = strstr(text, "HTTP");
	int64_t status = 0;
	for (; at; at = strstr(at + 1, "HTTP")) {
		const char *from = at + 4;
		if (strncmp(from, "/1.", 3) == 0 && from[3])
			from += 4;
		from += strspn(from, " :");
		static const char word[] = "ステータスコード";
		if (strncmp(from, word, strlen(word)) == 0)
			from += strlen(word);
		from += strspn(from, " :");
		if (strncmp(from, "「", strlen("「")) == 0)
			from += strlen("「");
		if (strspn(from, DIGITS) == 3 && read_number(&from, &status) && status >= 100)
			break;
	}
	if (!at || status < 400 || (!entry->failed && entry->format != YG_ENTRY_TEXT))
		return false;
	code->kind = YG_LOGCODE_HTTP;
	code->number = status;
	code->cause = "http.status";
	for (size_t i = 0; i < YG_COUNT(by_http); i++) {
		if (by_http[i].status == status) {
			code->cause = by_http[i].cause;
			code->weight = by_http[i].weight;
		}
	}
	return true;
}

/* "イベントID: 1001", "イベントID 1600 :", "ID 1600 :", "Event ID: 1001", "event 1001". */
static bool find_event(const char *text, struct yg_logcode *code)
{
	static const char *const words[] = {"イベントID", "Event ID", "ID ", "Event "};
	for (size_t i = 0; i < YG_COUNT(words); i++) {
		const char *at = strcasestr(text, words[i]);
		int64_t id = 0;
		if (!at)
			continue;
		at += strlen(words[i]);
		at += strspn(at, " :");
		if (strncmp(at, "：", strlen("：")) == 0)
			at += strlen("：");
		at += strspn(at, " ");
		if (!read_number(&at, &id) || id <= 0 || id > 99999)
			continue;
		const struct yg_event *event = yg_event_find((uint32_t)id);
		if (!event)
			continue;
		*code = (struct yg_logcode){.kind = YG_LOGCODE_EVENT, .number = id};
		code->ends_well = id == 784;
		for (size_t k = 0; k < YG_COUNT(by_event); k++) {
			if (by_event[k].id == id) {
				code->cause = by_event[k].cause;
				code->weight = by_event[k].weight;
			}
		}
		return true;
	}
	return false;
}

size_t yg_logcode_find(const char *text, const struct yg_entry *entry,
	struct yg_logcode out[YG_LOGCODES_MAX])
{
	size_t count = 0;
	memset(out, 0, YG_LOGCODES_MAX * sizeof(*out));
	if (find_status(text, &out[count]))
		count++;
	if (find_http(text, entry, &out[count]))
		count++;
	if (entry->format == YG_ENTRY_TEXT && find_event(text, &out[count]))
		count++;
	if (entry->format == YG_ENTRY_JOURNAL && strcmp(entry->word, "update.done") == 0)
		out[count++] = (struct yg_logcode){.kind = YG_LOGCODE_EVENT,
			.number = 784,
			.ends_well = true};
	return count;
}

void yg_logcode_say(const struct yg_logcode *code, enum yg_lang lang, char out[YG_LOGCODE_TEXT])
{
	bool ja = lang == YG_LANG_JA;
	switch (code->kind) {
	case YG_LOGCODE_STATUS:
		if (code->number == 0)
			(void)!yg_str_put(out, YG_LOGCODE_TEXT, ja ? "%s: 成功" : "%s: success",
				code->name);
		else if (code->has_parts)
			(void)!yg_str_put(out, YG_LOGCODE_TEXT,
				ja ? "%s: 番号 %lld (重大度%lld、ファシリティ%lld、コード%lld)%s"
				   : "%s: number %lld (severity %lld, facility %lld, code %lld)%s",
				code->name, (long long)code->number, (long long)code->parts[0],
				(long long)code->parts[1], (long long)code->parts[2],
				!code->contradicts ? ""
					: ja       ? "。番号と内訳が一致しません"
						   : "; the parts do not make the number");
		else
			(void)!yg_str_put(out, YG_LOGCODE_TEXT,
				ja ? "%s: 番号 %lld" : "%s: number %lld", code->name,
				(long long)code->number);
		return;
	case YG_LOGCODE_HTTP:
		(void)!yg_str_put(out, YG_LOGCODE_TEXT,
			ja ? "HTTPステータス %lld" : "HTTP status %lld", (long long)code->number);
		return;
	case YG_LOGCODE_EVENT:
		(void)!yg_str_put(out, YG_LOGCODE_TEXT,
			ja ? "イベント%lld: %.300s" : "Event %lld: %.300s", (long long)code->number,
			yg_event_name((uint32_t)code->number, lang));
		return;
	}
}
