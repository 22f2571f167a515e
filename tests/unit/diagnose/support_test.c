/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/support.h"

#include <stdlib.h>
#include <time.h>

#include "core/attr.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	struct yg_support given;
	enum yg_lang lang;
	const char *zone, *want;
} rows[] = {
	{{"net.refused", NULL, "web1", "8b1c", 1795304940, "agent 0.1.0, Manager 0.1.0"},
		YG_LANG_EN, "JST-9",
		"Cause: net.refused\n"
		"What: The connection was refused: nothing listens at this address and port.\n"
		"Computer: web1 (8b1c)\n"
		"Time: 2026-11-22T08:49:00+09:00 (JST)\n"
		"Versions: yagura " YG_VERSION ", agent 0.1.0, Manager 0.1.0\n"},
	{{"net.refused", "見た内容", "web1", "", 1795304940, ""}, YG_LANG_JA, "NST3:30",
		"原因コード: net.refused\n"
		"内容: 見た内容\n"
		"コンピュータ: web1\n"
		"時刻: 2026-11-21T20:19:00-03:30 (NST)\n"
		"バージョン: yagura " YG_VERSION "\n"},
	{{NULL, "only text", NULL, NULL, 1795304940, NULL}, YG_LANG_EN, "UTC0",
		"What: only text\n"
		"Time: 2026-11-21T23:49:00+00:00 (UTC)\n"
		"Versions: yagura " YG_VERSION "\n"},
};

static void the_same_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		assert_int_equal(setenv("TZ", rows[i].zone, 1), 0);
		tzset();
		char *text YG_AUTO(mem) = yg_support_text(&rows[i].given, rows[i].lang);
		assert_string_equal(text, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_everywhere)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
