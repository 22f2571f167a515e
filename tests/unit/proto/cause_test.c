/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/cause.h"

#include <string.h>

#include "core/attr.h"
#include "core/mem.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *id, *detail;
	enum yg_lang lang;
	const char *text;
} rows[] = {
	{"net.refused", NULL, YG_LANG_EN,
		"The connection was refused: nothing listens at this address and port."},
	{"net.refused", "relay port 4122", YG_LANG_EN,
		"The connection was refused: nothing listens at this address and port. (relay port 4122)"},
	{"tuf.expired", "timestamp", YG_LANG_JA,
		"アップデートリポジトリの署名付きメタデータの有効期限が切れています。 (timestamp)"},
	{"no.such", "what was seen", YG_LANG_EN, "what was seen"},
	{"no.such", "", YG_LANG_EN, "no.such"},
	{"", "what was seen", YG_LANG_JA, "what was seen"},
	{NULL, NULL, YG_LANG_EN, ""},
};

static void sentences(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(1000);
		assert_int_equal(yg_cause_sentence(rows[i].id, rows[i].detail, rows[i].lang, &out,
					 &err),
			0);
		assert_int_equal(yg_buf_add(&out, "", 1, &err), 0);
		assert_string_equal((const char *)out.data, rows[i].text);
	}
}

static void table(void **state)
{
	(void)state;
	assert_true(yg_cause_count() > 50);
	for (size_t i = 0; i < yg_cause_count(); i++) {
		const struct yg_cause *cause = yg_cause_at(i);
		assert_ptr_equal(yg_cause_find(yg_cause_id(cause)), cause);
		if (i)
			assert_true(
				strcmp(yg_cause_id(yg_cause_at(i - 1)), yg_cause_id(cause)) < 0);
		for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
			const char *text = yg_cause_text(cause, (enum yg_lang)lang);
			assert_true(*text && yg_str_utf8_ok(text, strlen(text)));
			assert_non_null(yg_cause_remedy(cause, (enum yg_lang)lang));
		}
	}
	assert_null(yg_cause_find(NULL));
	assert_null(yg_cause_find(""));
	assert_null(yg_cause_find("zzz.zzz"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentences),
		cmocka_unit_test(table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
