/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/word.h"

#include <string.h>

#include "core/attr.h"
#include "core/json.h"
#include "core/mem.h"
#include "proto/event.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	enum yg_words words;
	const char *word;
	enum yg_lang lang;
	const char *want;
} rows[] = {
	{YG_WORDS_STATE, "Managed (Online)", YG_LANG_EN, "Managed (Online)"},
	{YG_WORDS_STATE, "Managed (Online)", YG_LANG_JA, "管理対象 (オンライン)"},
	{YG_WORDS_KIND, "read", YG_LANG_JA, "参照のみ"},
	{YG_WORDS_REASON, "read", YG_LANG_JA, "読み取り不可"},
	{YG_WORDS_KIND, "release_hold", YG_LANG_EN, "release hold"},
	{YG_WORDS_WHO, "schedule", YG_LANG_JA, "予約タスク"},
	{YG_WORDS_WHO, "token-1", YG_LANG_JA, "token-1"},
	{YG_WORDS_STATE, "something newer", YG_LANG_JA, "something newer"},
	{YG_WORDS_STATE, "", YG_LANG_JA, ""},
	{YG_WORDS_NONE, "online", YG_LANG_JA, "online"},
};

static void words(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const char *have = yg_word(rows[i].words, rows[i].word, rows[i].lang);
		if (strcmp(have, rows[i].want) != 0)
			fail_msg("'%s': want '%s', have '%s'", rows[i].word, rows[i].want, have);
	}
}

/* No word twice in an area, and none without its texts. */
static void table(void **state)
{
	(void)state;
	enum yg_words area;
	enum yg_words other;
	const char *word;
	const char *same;
	const char *en;
	const char *ja;
	for (size_t i = 0; (word = yg_word_row(i, &area, &en, &ja)); i++) {
		assert_true(word[0] && en[0] && ja[0] && area != YG_WORDS_NONE);
		for (size_t k = 0; k < i; k++) {
			same = yg_word_row(k, &other, &en, &ja);
			if (other == area && strcmp(same, word) == 0)
				fail_msg("'%s' twice", word);
		}
	}
}

/* In the texts of events. */
static const struct {
	uint32_t id;
	const char *params;
	enum yg_lang lang;
	const char *part;
} events[] = {
	{20103, "{\"set\":\"\",\"reason\":\"crash_loop\"}", YG_LANG_JA,
		" (エンジンの異常終了の繰り返し)"},
	{20103, "{\"set\":\"\",\"reason\":\"crash_loop\"}", YG_LANG_EN,
		"(the engine ended again and again)"},
	{20006, "{\"running\":\"j\",\"phase\":\"relays\",\"who\":\"schedule\"}", YG_LANG_JA,
		"開始者 予約タスク、現在の段階 Relayのアップデート"},
	{250, "{\"computer\":\"web1\",\"who\":\"token-1\"}", YG_LANG_JA, "token-1により"},
	{9018, "{\"count\":1,\"path\":\"/a\",\"reason\":\"my own\"}", YG_LANG_JA, "(my own)"},
};

static void in_events(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(events); i++) {
		struct yg_err err = {0};
		json_t *params YG_AUTO(yg_json) = NULL;
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX + 1);
		assert_int_equal(yg_json_parse(yg_bytes_of(events[i].params), 1000, &params, &err),
			0);
		assert_int_equal(yg_event_check(events[i].id, params, &err), 0);
		assert_int_equal(yg_event_render(events[i].id, params, events[i].lang, &text, &err),
			0);
		assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
		if (!strstr((const char *)text.data, events[i].part))
			fail_msg("%u: want '%s' in '%s'", events[i].id, events[i].part,
				(const char *)text.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(table),
		cmocka_unit_test(in_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
