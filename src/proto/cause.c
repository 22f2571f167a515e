/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/cause.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "core/str.h"
#include "proto/tables.h"

size_t yg_cause_count(void)
{
	return yg_tables_cause_count;
}

const struct yg_cause *yg_cause_at(size_t index)
{
	assert(index < yg_tables_cause_count);
	return &yg_tables_causes[index];
}

const char *yg_cause_id(const struct yg_cause *cause)
{
	return yg_tables_cause_ids + cause->id;
}

const struct yg_cause *yg_cause_find(const char *id)
{
	size_t low = 0, high = yg_tables_cause_count;
	while (id && low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(id, yg_tables_cause_ids + yg_tables_causes[middle].id);
		if (order == 0)
			return yg_cause_at(middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static const char *text(const struct yg_cause *cause, enum yg_lang lang, size_t which)
{
	ptrdiff_t at = cause - yg_tables_causes;
	return lang == YG_LANG_JA ? yg_tables_cause_ja + yg_tables_cause_ja_at[at][which]
				  : yg_tables_cause_en + yg_tables_cause_en_at[at][which];
}

const char *yg_cause_text(const struct yg_cause *cause, enum yg_lang lang)
{
	return text(cause, lang, 0);
}

const char *yg_cause_remedy(const struct yg_cause *cause, enum yg_lang lang)
{
	return text(cause, lang, 1);
}

const char *yg_cause_auto(const struct yg_cause *cause, enum yg_lang lang)
{
	return text(cause, lang, 2);
}

int yg_cause_sentence(const char *id, const char *detail, enum yg_lang lang, struct yg_buf *out,
	struct yg_err *err)
{
	const struct yg_cause *cause = yg_cause_find(id);
	bool more = detail && *detail;
	if (cause && more)
		return yg_str_addf(out, err, "%s (%s)", yg_cause_text(cause, lang), detail);
	if (cause)
		return yg_str_addf(out, err, "%s", yg_cause_text(cause, lang));
	return yg_str_addf(out, err, "%s", more ? detail : id ? id : "");
}
