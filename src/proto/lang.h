/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

/* The two languages of every text for people. */
enum yg_lang { YG_LANG_EN, YG_LANG_JA };

/* The language that a locale name ("ja_JP.UTF-8"), a tag ("ja", "ja-JP") or an Accept-Language
 * header ("ja,en;q=0.5": the one with the greatest weight) asks for. English for NULL and for
 * anything else.
 */
enum yg_lang yg_lang_of(const char *text);

/* What the environment of somebody at a shell asks for: the first of LC_ALL, LC_MESSAGES and LANG that is
 * not empty. English without one.
 */
enum yg_lang yg_lang_environment(void);

const char *yg_lang_name(enum yg_lang lang); /* "en", "ja" */
