/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Events as text. Apart from event.c, so that agents, which never show any, do not link the texts.
 * A template is plain text, "{param}", and "[parts]" that vanish when a parameter in them is absent,
 * empty or, of a count, 0; tools/gen-proto has checked it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"
#include "proto/alert.h"
#include "proto/cause.h"
#include "proto/event.h"
#include "proto/tables.h"
#include "proto/word.h"

#define NAMES_SHOWN 5 /* of a list of computers; the rest is counted */

struct render {
	const struct yg_event *event;
	const json_t *params;
	enum yg_lang lang;
	struct yg_buf text; /* at most YG_EVENT_TEXT_MAX */
	bool full;          /* it was cut */
	bool empty;         /* a parameter of the part at hand was absent or empty */
};

static const char *pick(const struct render *r, const char *en, const char *ja)
{
	return r->lang == YG_LANG_JA ? ja : en;
}

/* errors  YG_ESYSTEM only: what does not fit is cut */
static int put(struct render *r, const char *text, size_t len, struct yg_err *err)
{
	size_t room = r->text.max - r->text.len;
	if (len > room) {
		r->full = true;
		len = room;
	}
	return len ? yg_buf_add(&r->text, text, len, err) : 0;
}

static int puts_of(struct render *r, const char *text, struct yg_err *err)
{
	return put(r, text, strlen(text), err);
}

/* Text of strangers: control characters become spaces, so that it stays one line. */
static int put_clean(struct render *r, const char *text, struct yg_err *err)
{
	while (*text) {
		size_t len = 0;
		while ((unsigned char)text[len] >= ' ' && text[len] != 0x7f)
			len++;
		if (put(r, text, len, err) < 0)
			return -1;
		text += len;
		if (*text && put(r, " ", 1, err) < 0)
			return -1;
		text += *text != 0;
	}
	return 0;
}

static int put_number(struct render *r, const char *before, int64_t n, const char *after,
	struct yg_err *err)
{
	char text[64] = "";
	(void)snprintf(text, sizeof(text), "%s%" PRId64 "%s", before, n, after);
	return puts_of(r, text, err);
}

static int put_bytes(struct render *r, int64_t n, struct yg_err *err)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (n < 1024)
		return put_number(r, "", n, pick(r, " bytes", "バイト"), err);
	size_t unit = 0;
	while (n >= 1024 * 1024 && unit + 1 < YG_COUNT(units)) {
		n /= 1024;
		unit++;
	}
	char text[64] = "";
	(void)snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64 " %s", n / 1024,
		n % 1024 * 10 / 1024, units[unit]);
	return puts_of(r, text, err);
}

static int put_duration(struct render *r, int64_t s, struct yg_err *err)
{
	int64_t h = s / 3600, min = s / 60 % 60;
	if (h && put_number(r, "", h, pick(r, " h", "時間"), err) < 0)
		return -1;
	if (h && min && puts_of(r, pick(r, " ", ""), err) < 0)
		return -1;
	if (min && put_number(r, "", min, pick(r, " min", "分"), err) < 0)
		return -1;
	/* Seconds do not matter beside hours. */
	if (h || (min && s % 60 == 0))
		return 0;
	return put_number(r, min ? pick(r, " ", "") : "", s % 60, pick(r, " s", "秒"), err);
}

/* "2026-11-21T22:47:43Z" as "2026-11-21 22:47:43 UTC"; anything else as it is. */
static int put_time(struct render *r, const char *text, struct yg_err *err)
{
	if (strlen(text) != 20 || text[10] != 'T' || text[19] != 'Z')
		return put_clean(r, text, err);
	if (put(r, text, 10, err) < 0 || puts_of(r, " ", err) < 0 || put(r, text + 11, 8, err) < 0)
		return -1;
	return puts_of(r, " UTC", err);
}

static int put_cause(struct render *r, const char *id, struct yg_err *err)
{
	const struct yg_cause *cause = yg_cause_find(id);
	return cause ? puts_of(r, yg_cause_text(cause, r->lang), err) : put_clean(r, id, err);
}

static enum yg_words words_of(enum yg_event_type type)
{
	return type == YG_EVENT_REASON   ? YG_WORDS_REASON
		: type == YG_EVENT_PHASE ? YG_WORDS_PHASE
		: type == YG_EVENT_WHO   ? YG_WORDS_WHO
		: type == YG_EVENT_KIND  ? YG_WORDS_KIND
					 : YG_WORDS_NONE;
}

static int put_string(struct render *r, enum yg_event_type type, const char *text,
	struct yg_err *err)
{
	if (!*text)
		r->empty = true;
	if (type == YG_EVENT_TIME)
		return put_time(r, text, err);
	if (type == YG_EVENT_CAUSE)
		return put_cause(r, text, err);
	if (type == YG_EVENT_SET && strlen(text) > 12)
		return put(r, text, 12, err);
	return put_clean(r, yg_word(words_of(type), text, r->lang), err);
}

static int put_integer(struct render *r, enum yg_event_type type, int64_t n, struct yg_err *err)
{
	/* "0 could not be judged" says nothing; 0 bytes free does. */
	if (n == 0 && (type == YG_EVENT_INT || type == YG_EVENT_DURATION))
		r->empty = true;
	if (type == YG_EVENT_BYTES && n >= 0)
		return put_bytes(r, n, err);
	if (type == YG_EVENT_DURATION && n >= 0)
		return put_duration(r, n, err);
	if (type != YG_EVENT_CODE)
		return put_number(r, "", n, "", err);
	char text[32] = "";
	(void)snprintf(text, sizeof(text), "%08" PRIx64, (uint64_t)n & 0xffffffffu);
	return puts_of(r, text, err);
}

/* {"name","from","to"}: "am-pattern 1 → 2", or "am-pattern 2" when it is new or the same. */
static int put_component(struct render *r, const json_t *item, struct yg_err *err)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	int64_t from = json_integer_value(json_object_get(item, "from"));
	int64_t to = json_integer_value(json_object_get(item, "to"));
	if (put_clean(r, name ? name : "?", err) < 0)
		return -1;
	if (from > 0 && from != to && put_number(r, " ", from, " →", err) < 0)
		return -1;
	return put_number(r, " ", to, "", err);
}

/* {"computer","cause","sentence"}: "web1: The connection was refused. (10.0.0.5 port 4122)" */
static int put_failure(struct render *r, const json_t *item, struct yg_err *err)
{
	const char *name = json_string_value(json_object_get(item, "computer"));
	const char *id = json_string_value(json_object_get(item, "cause"));
	const char *detail = json_string_value(json_object_get(item, "sentence"));
	if (put_clean(r, name ? name : "?", err) < 0 || puts_of(r, ": ", err) < 0)
		return -1;
	if (id && *id && put_cause(r, id, err) < 0)
		return -1;
	if (!detail || !*detail)
		return 0;
	bool alone = !id || !*id;
	if (puts_of(r, alone ? "" : " (", err) < 0 || put_clean(r, detail, err) < 0)
		return -1;
	return puts_of(r, alone ? "" : ")", err);
}

static int put_item(struct render *r, enum yg_event_type type, const json_t *item,
	struct yg_err *err)
{
	if (type == YG_EVENT_COMPONENTS)
		return put_component(r, item, err);
	if (type == YG_EVENT_FAILURES)
		return put_failure(r, item, err);
	const char *text = json_string_value(item);
	return put_clean(r, text ? text : "?", err);
}

static int put_list(struct render *r, enum yg_event_type type, const json_t *list,
	struct yg_err *err)
{
	size_t count = json_array_size(list);
	size_t shown = type != YG_EVENT_COMPONENTS && count > NAMES_SHOWN ? NAMES_SHOWN : count;
	const char *between = type == YG_EVENT_FAILURES ? pick(r, "; ", "、") : pick(r, ", ", "、");
	if (count == 0)
		r->empty = true;
	for (size_t i = 0; i < shown; i++) {
		if (i && puts_of(r, between, err) < 0)
			return -1;
		if (put_item(r, type, json_array_get(list, i), err) < 0)
			return -1;
	}
	if (shown == count)
		return 0;
	return put_number(r, pick(r, " and ", " 他"), (int64_t)(count - shown),
		pick(r, " more", "台"), err);
}

/* {"kind","params"}: "Name: text" */
static int put_alert(struct render *r, const json_t *value, struct yg_err *err)
{
	const char *kind = json_string_value(json_object_get(value, "kind"));
	const json_t *params = json_object_get(value, "params");
	const struct yg_alert *alert = yg_alert_find(kind);
	if (!alert)
		return put_clean(r, kind ? kind : "?", err);
	if (puts_of(r, yg_alert_name(alert, r->lang), err) < 0 || !params)
		return params ? -1 : 0;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX);
	if (puts_of(r, ": ", err) < 0 || yg_alert_render(alert, params, r->lang, &text, err) < 0)
		return -1;
	return put(r, (const char *)text.data, text.len, err);
}

static int put_param(struct render *r, const char *name, size_t len, struct yg_err *err)
{
	for (size_t i = 0; i < r->event->param_count; i++) {
		struct yg_event_param param = yg_event_param(r->event, i);
		if (strlen(param.name) != len || memcmp(param.name, name, len) != 0)
			continue;
		const json_t *value = json_object_get(r->params, param.name);
		bool list = param.type >= YG_EVENT_COMPONENTS;
		bool text = !list &&
			(param.type == YG_EVENT_TEXT || param.type == YG_EVENT_TIME ||
				(param.type >= YG_EVENT_COMPUTER && param.type <= YG_EVENT_KIND));
		if (param.type == YG_EVENT_ALERT && json_is_object(value))
			return put_alert(r, value, err);
		if (text && json_is_string(value))
			return put_string(r, param.type, json_string_value(value), err);
		if (list && json_is_array(value))
			return put_list(r, param.type, value, err);
		if (!text && !list && param.type != YG_EVENT_ALERT && json_is_integer(value))
			return put_integer(r, param.type, json_integer_value(value), err);
	}
	r->empty = true;
	return puts_of(r, "?", err);
}

static int fill(struct render *r, const char *at, struct yg_err *err)
{
	size_t part = 0; /* length of the text before the part at hand */
	while (*at) {
		size_t len = strcspn(at, "[]{");
		if (put(r, at, len, err) < 0)
			return -1;
		at += len;
		if (*at == '[') {
			part = r->text.len;
			r->empty = false;
		} else if (*at == ']' && r->empty) {
			r->text.len = part;
		} else if (*at == '{') {
			len = strcspn(at, "}");
			if (put_param(r, at + 1, len - 1, err) < 0)
				return -1;
			at += len;
		}
		at += *at != 0;
	}
	return 0;
}

/* A text that was cut ends in a whole character and "…"; one that ends in a part that vanished, not
 * in the space before that.
 */
static void trim(struct render *r)
{
	struct yg_buf *text = &r->text;
	if (r->full && text->len > 8) {
		text->len -= 3;
		while ((text->data[text->len] & 0xc0) == 0x80)
			text->len--;
		memcpy(text->data + text->len, "…", 3);
		text->len += 3;
	}
	while (text->len && text->data[text->len - 1] == ' ')
		text->len--;
}

static const char *text_of(const struct yg_event *event, enum yg_lang lang, size_t which)
{
	ptrdiff_t at = event - yg_tables_events;
	return lang == YG_LANG_JA ? yg_tables_event_ja + yg_tables_event_ja_at[at][which]
				  : yg_tables_event_en + yg_tables_event_en_at[at][which];
}

const char *yg_event_name(uint32_t id, enum yg_lang lang)
{
	const struct yg_event *event = yg_event_find(id);
	if (!event)
		return lang == YG_LANG_JA ? "不明なイベント" : "Unknown Event";
	return text_of(event, lang, 0);
}

const char *yg_event_template(uint32_t id, enum yg_lang lang)
{
	const struct yg_event *event = yg_event_find(id);
	return event ? text_of(event, lang, 1) : NULL;
}

static int unknown(struct render *r, uint32_t id, struct yg_err *err)
{
	char *json YG_AUTO(mem) = r->params ? yg_json_text(r->params) : NULL;
	if (put_number(r, pick(r, "Event ", "イベント"), id, ": ", err) < 0)
		return -1;
	return put_clean(r, json ? json : "{}", err);
}

static int render(struct render *r, uint32_t id, const char *template, struct yg_buf *out,
	struct yg_err *err)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX);
	r->text = text;
	int outcome = r->event ? fill(r, template, err) : unknown(r, id, err);
	text = r->text;
	if (outcome < 0)
		return -1;
	trim(r);
	return r->text.len ? yg_buf_add(out, r->text.data, r->text.len, err) : 0;
}

int yg_event_row_render(const struct yg_event *row, const char *text, const json_t *params,
	enum yg_lang lang, struct yg_buf *out, struct yg_err *err)
{
	struct render r = {.event = row, .params = params, .lang = lang};
	return render(&r, 0, text, out, err);
}

int yg_event_render(uint32_t id, const json_t *params, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err)
{
	struct render r = {.event = yg_event_find(id), .params = params, .lang = lang};
	return render(&r, id, r.event ? text_of(r.event, lang, 1) : NULL, out, err);
}
