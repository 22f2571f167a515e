/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/alert.h"

#include <assert.h>
#include <string.h>

#include "proto/cause.h"
#include "proto/tables.h"

enum { NAME, TEXT, REMEDY };

size_t yg_alert_count(void)
{
	return yg_tables_alert_count;
}

const struct yg_alert *yg_alert_at(size_t index)
{
	assert(index < yg_tables_alert_count);
	return &yg_tables_alerts[index];
}

const struct yg_alert *yg_alert_find(const char *kind)
{
	for (size_t i = 0; kind && i < yg_tables_alert_count; i++)
		if (strcmp(yg_alert_kind(yg_alert_at(i)), kind) == 0)
			return yg_alert_at(i);
	return NULL;
}

const char *yg_alert_kind(const struct yg_alert *alert)
{
	return yg_tables_alert_kinds + alert->kind;
}

enum yg_alert_subject yg_alert_subject(const struct yg_alert *alert)
{
	return (enum yg_alert_subject)alert->subject;
}

uint8_t yg_alert_level(const struct yg_alert *alert)
{
	return alert->row.level;
}

static const char *text_of(const struct yg_alert *alert, enum yg_lang lang, size_t which)
{
	ptrdiff_t at = alert - yg_tables_alerts;
	return lang == YG_LANG_JA ? yg_tables_alert_ja + yg_tables_alert_ja_at[at][which]
				  : yg_tables_alert_en + yg_tables_alert_en_at[at][which];
}

const char *yg_alert_name(const struct yg_alert *alert, enum yg_lang lang)
{
	return text_of(alert, lang, NAME);
}

const char *yg_alert_template(const struct yg_alert *alert, enum yg_lang lang)
{
	return text_of(alert, lang, TEXT);
}

const char *yg_alert_remedy(const struct yg_alert *alert, const json_t *params, enum yg_lang lang)
{
	const struct yg_cause *cause = yg_cause_find(
		json_string_value(json_object_get(params, "cause")));
	const char *remedy = cause ? yg_cause_remedy(cause, lang) : "";
	return remedy[0] ? remedy : text_of(alert, lang, REMEDY);
}

int yg_alert_check(const struct yg_alert *alert, const json_t *params, struct yg_err *err)
{
	return yg_event_row_check(&alert->row, params, err) < 0
		? yg_wrap(err, "alert %s", yg_alert_kind(alert))
		: 0;
}

int yg_alert_render(const struct yg_alert *alert, const json_t *params, enum yg_lang lang,
	struct yg_buf *out, struct yg_err *err)
{
	return yg_event_row_render(&alert->row, text_of(alert, lang, TEXT), params, lang, out, err);
}
