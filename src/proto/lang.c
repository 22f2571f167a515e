/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/lang.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/attr.h"

const char *yg_lang_name(enum yg_lang lang)
{
	return lang == YG_LANG_JA ? "ja" : "en";
}

/* True when `text` begins with a language and its name ends there ("ja-JP", "ja_JP", "ja;q=1"). */
static bool begins(const char *text, const char *language)
{
	size_t len = strlen(language);
	return strncasecmp(text, language, len) == 0 && strchr("-_.@;, \t", text[len]);
}

/* Thousandths of ";q=0.5" before the end of an item; 1000 without one or with a broken one. */
static int weight(const char *item, size_t len)
{
	const char *q = memmem(item, len, "q=", 2);
	if (!q || (q[2] != '0' && q[2] != '1'))
		return 1000;
	int value = (q[2] - '0') * 1000;
	if (q[3] == '.') {
		int unit = 100;
		for (const char *at = q + 4; *at >= '0' && *at <= '9' && unit; at++, unit /= 10)
			value += (*at - '0') * unit;
	}
	return value > 1000 ? 1000 : value;
}

enum yg_lang yg_lang_of(const char *text)
{
	int best = 0;
	enum yg_lang lang = YG_LANG_EN;
	while (text && *text) {
		text += strspn(text, ", \t");
		size_t len = strcspn(text, ",");
		int have = weight(text, len);
		bool ja = begins(text, "ja");
		if ((ja || begins(text, "en")) && have > best) {
			best = have;
			lang = ja ? YG_LANG_JA : YG_LANG_EN;
		}
		text += len;
	}
	return lang;
}

enum yg_lang yg_lang_environment(void)
{
	static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return yg_lang_of(value);
	}
	return YG_LANG_EN;
}
