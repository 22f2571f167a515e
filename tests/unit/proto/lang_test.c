/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/lang.h"

#include <stdlib.h>

#include "core/attr.h"
#include "tests/lib/cmocka_all.h"

static const struct {
	const char *text;
	enum yg_lang lang;
} rows[] = {
	{NULL, YG_LANG_EN},
	{"", YG_LANG_EN},
	{"C", YG_LANG_EN},
	{"ja", YG_LANG_JA},
	{"ja_JP.UTF-8", YG_LANG_JA},
	{"ja-JP", YG_LANG_JA},
	{"JA", YG_LANG_JA},
	{"jav", YG_LANG_EN},
	{"en_US.UTF-8", YG_LANG_EN},
	{"de,ja;q=0.8,en;q=0.5", YG_LANG_JA},
	{"en;q=0.9, ja;q=0.95", YG_LANG_JA},
	{"en, ja", YG_LANG_EN},
	{"ja;q=0, en;q=0.1", YG_LANG_EN},
	{"ja;q=0", YG_LANG_EN},
	{"fr", YG_LANG_EN},
	{"*", YG_LANG_EN},
	{",,,ja", YG_LANG_JA},
};

static void set(const char *name, const char *value)
{
	assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void of(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++)
		if (yg_lang_of(rows[i].text) != rows[i].lang)
			fail_msg("'%s'", rows[i].text);
	assert_string_equal(yg_lang_name(YG_LANG_JA), "ja");
	assert_string_equal(yg_lang_name(YG_LANG_EN), "en");
}

static void environment(void **state)
{
	static const struct {
		const char *all, *messages, *lang;
		enum yg_lang want;
	} cases[] = {
		{NULL, NULL, NULL, YG_LANG_EN},
		{NULL, NULL, "ja_JP.UTF-8", YG_LANG_JA},
		{"", "", "ja_JP.UTF-8", YG_LANG_JA},
		{NULL, "C", "ja_JP.UTF-8", YG_LANG_EN},
		{NULL, "ja_JP.UTF-8", "C", YG_LANG_JA},
		{"C", "ja_JP.UTF-8", "ja_JP.UTF-8", YG_LANG_EN},
		{"ja", "C", "C", YG_LANG_JA},
	};
	(void)state;
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		set("LC_ALL", cases[i].all);
		set("LC_MESSAGES", cases[i].messages);
		set("LANG", cases[i].lang);
		if (yg_lang_environment() != cases[i].want)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(of), cmocka_unit_test(environment)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
