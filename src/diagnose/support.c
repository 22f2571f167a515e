/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/support.h"

#include <string.h>
#include <time.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"
#include "proto/cause.h"

#define TEXT_MAX 8192 /* bytes */

static const char *const labels[][2] = {
	{"Cause", "原因コード"},
	{"What", "内容"},
	{"Computer", "コンピュータ"},
	{"Time", "時刻"},
	{"Versions", "バージョン"},
};

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/* "2026-11-22T15:30:00+09:00 (JST)": local, with the zone, so that nobody has to ask which one. */
static void say_time(int64_t at_s, char out[64])
{
	time_t s = (time_t)at_s;
	struct tm tm = {0};
	(void)localtime_r(&s, &tm);
	long off = tm.tm_gmtoff;
	char sign = off < 0 ? '-' : '+';
	off = off < 0 ? -off : off;
	(void)!yg_str_put(out, 64, "%04d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld (%.16s)",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		sign, off / 3600, off / 60 % 60, text_of(tm.tm_zone));
}

static int add(struct yg_buf *out, size_t label, enum yg_lang lang, struct yg_err *err,
	const char *text)
{
	return *text ? yg_str_addf(out, err, "%s: %s\n", labels[label][lang], text) : 0;
}

char *yg_support_text(const struct yg_support *given, enum yg_lang lang)
{
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(TEXT_MAX);
	struct yg_err err = {0};
	char when[64];
	const struct yg_cause *cause = yg_cause_find(given->cause);
	const char *what = given->what ? given->what : cause ? yg_cause_text(cause, lang) : "";
	const char *id = text_of(given->id), *more = text_of(given->versions);
	say_time(given->at_s ? given->at_s : yg_clock_now_s(), when);
	char *computer YG_AUTO(mem) = *id && *text_of(given->computer)
		? yg_str_format("%s (%s)", given->computer, id)
		: yg_str_format("%s%s", text_of(given->computer), id);
	char *versions YG_AUTO(
		mem) = yg_str_format("yagura %s%s%s", YG_VERSION, *more ? ", " : "", more);
	if (!computer || !versions || add(&out, 0, lang, &err, text_of(given->cause)) < 0 ||
		add(&out, 1, lang, &err, what) < 0 || add(&out, 2, lang, &err, computer) < 0 ||
		add(&out, 3, lang, &err, when) < 0 || add(&out, 4, lang, &err, versions) < 0 ||
		yg_buf_add(&out, "", 1, &err) < 0)
		return NULL;
	return (char *)yg_take(out.data);
}
