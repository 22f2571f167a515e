/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/entry.h"

#include <string.h>
#include <time.h>

#include "core/attr.h"
#include "core/str.h"

/* A place in a line; every reader moves it on, and says false when what it wants does not stand there. */
struct at {
	const char *text;
	size_t left;
};

static bool token(struct at *at, const char *word)
{
	size_t len = strlen(word);
	if (at->left < len || memcmp(at->text, word, len) != 0)
		return false;
	at->text += len;
	at->left -= len;
	return true;
}

/* Decimal digits, `min` to `max` of them. */
static bool number(struct at *at, size_t min, size_t max, int64_t *out)
{
	int64_t value = 0;
	size_t n = 0;
	for (; n < max && n < at->left && at->text[n] >= '0' && at->text[n] <= '9'; n++)
		value = value * 10 + (at->text[n] - '0');
	if (n < min)
		return false;
	at->text += n;
	at->left -= n;
	*out = value;
	return true;
}

/* A day and a time of day; 0 when that is none. */
static int64_t moment(int64_t year, int64_t month, int64_t day, const int64_t clock[3])
{
	struct tm tm = {.tm_year = (int)year - 1900,
		.tm_mon = (int)month - 1,
		.tm_mday = (int)day,
		.tm_hour = (int)clock[0],
		.tm_min = (int)clock[1],
		.tm_sec = (int)clock[2]};
	if (year < 1980 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 ||
		clock[0] > 23 || clock[1] > 59 || clock[2] > 60)
		return 0;
	return (int64_t)timegm(&tm);
}

static bool clock_of(struct at *at, int64_t clock[3])
{
	return number(at, 2, 2, &clock[0]) && token(at, ":") && number(at, 2, 2, &clock[1]) &&
		token(at, ":") && number(at, 2, 2, &clock[2]);
}

/* What ends at `end` and has only letters that names have. */
static void keep_word(struct yg_entry *out, const char *from, size_t len)
{
	(void)!yg_str_put(out->word, sizeof(out->word), "%.*s",
		(int)(len < sizeof(out->word) - 1 ? len : sizeof(out->word) - 1), from);
}

/* "Err yyyymmdd hh:mm:ss PID TID Where: text"; as in examples, day and time may be letters. */
static bool tmu(struct at at, const char *line, struct yg_entry *out)
{
	static const char *const levels[] = {"Err ", "Wrn ", "War ", "Inf ", "Dbg "};
	size_t level = 0;
	int64_t day = 0;
	int64_t clock[3];
	int64_t ignored;
	while (level < YG_COUNT(levels) && !token(&at, levels[level]))
		level++;
	if (level == YG_COUNT(levels))
		return false;
	if (!token(&at, "yyyymmdd hh:mm:ss")) {
		if (!number(&at, 8, 8, &day) || !token(&at, " ") || !clock_of(&at, clock))
			return false;
		out->at_s = moment(day / 10000, day / 100 % 100, day % 100, clock);
	}
	if (!token(&at, " ") || !number(&at, 1, 18, &ignored) || !token(&at, " ") ||
		!number(&at, 1, 18, &ignored) || !token(&at, " "))
		return false;
	const char *colon = memchr(at.text, ':', at.left);
	out->format = YG_ENTRY_TMU;
	out->failed = level < 3;
	out->text_at = (size_t)(at.text - line);
	if (colon && (size_t)(colon - at.text) < sizeof(out->word)) {
		keep_word(out, at.text, (size_t)(colon - at.text));
		out->text_at = (size_t)(colon - line) + 1;
	}
	return true;
}

static bool month_of(struct at *at, int64_t *out)
{
	static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec"};
	for (size_t i = 0; i < YG_COUNT(names); i++) {
		if (token(at, names[i])) {
			*out = (int64_t)i + 1;
			return true;
		}
	}
	return false;
}

/* "[2014-May-28 06:39:39 4467|1085278544] [app] Function [file(line)]" */
static bool iau(struct at at, const char *line, struct yg_entry *out)
{
	int64_t year, month, day, ignored;
	int64_t clock[3];
	if (!token(&at, "[") || !number(&at, 4, 4, &year) || !token(&at, "-") ||
		!month_of(&at, &month) || !token(&at, "-") || !number(&at, 2, 2, &day) ||
		!token(&at, " ") || !clock_of(&at, clock) || !token(&at, " ") ||
		!number(&at, 1, 18, &ignored) || !token(&at, "|") ||
		!number(&at, 1, 18, &ignored) || !token(&at, "] ["))
		return false;
	out->failed = token(&at, "err]") || token(&at, "fatal]") || token(&at, "wrn]");
	const char *end = out->failed ? at.text : memchr(at.text, ']', at.left);
	if (!end)
		return false;
	if (!out->failed)
		end++;
	at.left -= (size_t)(end - at.text);
	at.text = end;
	if (token(&at, " "))
		keep_word(out, at.text,
			(size_t)(strcspn(at.text, " [") < at.left ? strcspn(at.text, " [")
								  : at.left));
	out->format = YG_ENTRY_IAU;
	out->at_s = moment(year, month, day, clock);
	out->text_at = (size_t)(at.text - line) + at.left;
	out->ours = strstr(at.text, "[src/") && strstr(at.text, ".c(");
	out->theirs = strstr(at.text, ".cpp(") != NULL;
	return true;
}

/* "2026-11-21T22:47:43+09:00" or "2026-11-21 22:47:43" at the start of a line: the time there, as it stands. */
static int64_t leading_time(struct at at)
{
	int64_t year, month, day;
	int64_t clock[3];
	if (!number(&at, 4, 4, &year) || !token(&at, "-") || !number(&at, 2, 2, &month) ||
		!token(&at, "-") || !number(&at, 2, 2, &day) ||
		(!token(&at, "T") && !token(&at, " ")) || !clock_of(&at, clock))
		return 0;
	return moment(year, month, day, clock);
}

/* "update.failed: " or "agent.start: ". Returns its length without the colon, 0 when there is none. */
static size_t word_pair(struct at at)
{
	size_t dots = 0;
	size_t len = 0;
	for (; len < at.left && len < 31; len++) {
		char c = at.text[len];
		if (c == '.' && len > 0)
			dots++;
		else if (!((c >= 'a' && c <= 'z') || c == '_'))
			break;
	}
	return dots == 1 && len + 1 < at.left && at.text[len] == ':' && at.text[len + 1] == ' '
		? len
		: 0;
}

/* "<4>agent/install: update.failed: text", with whatever a journal puts in front. */
static bool journal(struct at all, const char *line, struct yg_entry *out)
{
	static const char *const programs[] = {"agent", "manager", "relay", "publisher"};
	for (size_t i = 0; i < YG_COUNT(programs); i++) {
		const char *found = all.text;
		while ((found = strstr(found, programs[i]))) {
			struct at at = {found, all.left - (size_t)(found - all.text)};
			bool begins = found == all.text || strchr(" >", found[-1]);
			found++;
			if (!begins || !token(&at, programs[i]))
				continue;
			if (token(&at, "/"))
				while (at.left > 0 && *at.text >= 'a' && *at.text <= 'z') {
					at.text++;
					at.left--;
				}
			size_t len = token(&at, ": ") ? word_pair(at) : 0;
			if (len == 0)
				continue;
			out->format = YG_ENTRY_JOURNAL;
			out->ours = true;
			out->at_s = leading_time(all);
			keep_word(out, at.text, len);
			out->text_at = (size_t)(at.text - line) + len + 2;
			out->failed = !strstr(all.text, "<6>") && !strstr(all.text, "<7>");
			return true;
		}
	}
	return false;
}

void yg_entry_parse(const char *line, size_t len, struct yg_entry *out)
{
	struct at at = {line, len};
	*out = (struct yg_entry){.failed = true};
	if (tmu(at, line, out) || iau(at, line, out))
		return;
	*out = (struct yg_entry){.failed = true};
	if (journal(at, line, out))
		return;
	*out = (struct yg_entry){.failed = true, .at_s = leading_time(at)};
}
