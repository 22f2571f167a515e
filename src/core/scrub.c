/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/scrub.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/attr.h"

#define LITERAL_MIN 4 /* bytes; a shorter one would be taken out of half the words */
#define TOKEN_MIN   8 /* bytes of what looks like a token */
#define BASE64_MIN  16
#define ADDRESS_MAX 1024 /* bytes of the longest of a proxy */
#define QUOTES_MAX  8    /* backslashes before a quote: JSON in JSON in JSON */

/* Of each byte, whether it can begin a name, and stand in one. */
enum { LETTER = 1, NAME = 2 };
static const unsigned char kinds[256] = {
	['A' ... 'Z'] = LETTER | NAME,
	['a' ... 'z'] = LETTER | NAME,
	['0' ... '9'] = NAME,
	['_'] = NAME,
	['.'] = NAME,
	['-'] = NAME,
};

/* One pass from left to right: what is read is always at or behind what is written. */
struct scrub {
	char *text;
	size_t len, at, out;
	unsigned count;
};

static struct {
	char *text[YG_SCRUB_MAX]; /* for ever: it is in use as long as we are */
	size_t len[YG_SCRUB_MAX];
	size_t count;
	bool first[256]; /* bytes that one of them begins with */
} known;

bool yg_scrub_add(const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;
	if (len < LITERAL_MIN)
		return true;
	for (size_t i = 0; i < known.count; i++)
		if (strcmp(known.text[i], secret) == 0)
			return true;
	char *copy = known.count < YG_SCRUB_MAX ? strdup(secret) : NULL;
	if (!copy)
		return false;
	known.text[known.count] = copy;
	known.len[known.count++] = len;
	known.first[(unsigned char)*copy] = true;
	return true;
}

/* ---- moving on ---- */

static size_t left(const struct scrub *s)
{
	return s->len - s->at;
}

static const char *here(const struct scrub *s)
{
	return s->text + s->at;
}

static void keep(struct scrub *s, size_t n)
{
	if (s->out != s->at)
		memmove(s->text + s->out, s->text + s->at, n);
	s->at += n;
	s->out += n;
}

static void hide(struct scrub *s, size_t n)
{
	size_t stars = n < strlen(YG_SCRUB_MARK) ? n : strlen(YG_SCRUB_MARK);
	memcpy(s->text + s->out, YG_SCRUB_MARK, stars);
	s->at += n;
	s->out += stars;
	s->count += n > 0;
}

/* Bytes from here on that are none of `stop`, nor control characters. */
static size_t until(const struct scrub *s, const char *stop)
{
	size_t n = 0;
	while (n < left(s) && !strchr(stop, here(s)[n]) && (unsigned char)here(s)[n] >= 0x20)
		n++;
	return n;
}

static size_t to_line_end(const struct scrub *s)
{
	size_t n = 0;
	while (n < left(s) && here(s)[n] != '\n' && here(s)[n] != '\r')
		n++;
	return n;
}

/* Bytes from here on, after `skip`, that are letters, digits or of `more`. */
static size_t run_of(const struct scrub *s, size_t skip, const char *more)
{
	size_t n = skip;
	while (n < left(s) && here(s)[n] &&
		(isalnum((unsigned char)here(s)[n]) || strchr(more, here(s)[n])))
		n++;
	return n - skip;
}

/* ---- what has a form of its own ---- */

static bool literal(struct scrub *s)
{
	if (!known.first[(unsigned char)*here(s)])
		return false;
	size_t longest = 0;
	for (size_t i = 0; i < known.count; i++)
		if (known.len[i] > longest && known.len[i] <= left(s) &&
			memcmp(here(s), known.text[i], known.len[i]) == 0)
			longest = known.len[i];
	if (longest)
		hide(s, longest);
	return longest > 0;
}

/* Keep a piece, except for what was told to be a secret; one that begins in it goes as a whole. */
static void keep_but(struct scrub *s, size_t n)
{
	size_t end = s->at + n;
	while (s->at < end) {
		if (literal(s))
			continue;
		size_t plain = 1;
		while (s->at + plain < end && !known.first[(unsigned char)here(s)[plain]])
			plain++;
		keep(s, plain);
	}
}

/* The '@' that ends "user:password"; NULL: there is none. A password may have signs that end an address in a
 * text (RFC 3986, 3.2.1), and others that somebody forgot to encode: a slash, too, when what comes before it is
 * no port.
 */
static const char *userinfo_end(const struct scrub *s)
{
	size_t authority = until(s, "/?# \"'<>\\,;)");
	const char *colon = memchr(here(s), ':', authority);
	if (!colon)
		return memrchr(here(s), '@', authority);
	size_t longest = until(s, "/ \"<>\\");
	const char *at = memrchr(here(s), '@', longest);
	size_t port = (size_t)(colon + 1 - here(s));
	while (port < longest && isdigit((unsigned char)here(s)[port]))
		port++;
	if (at || *here(s) == '[' || longest == left(s) || here(s)[longest] != '/' ||
		(port == longest && port > (size_t)(colon + 1 - here(s))))
		return at;
	struct scrub near = *s;
	near.len = left(s) < ADDRESS_MAX ? s->len : s->at + ADDRESS_MAX;
	return memrchr(here(s), '@', until(&near, " \"'<>\\,;"));
}

/* "://user:password@host": the part before the last '@' of the authority. */
static bool address(struct scrub *s)
{
	if (left(s) < 4 || memcmp(here(s), "://", 3) != 0)
		return false;
	keep(s, 3);
	const char *at = userinfo_end(s);
	if (!at)
		return true;
	const char *colon = memchr(here(s), ':', (size_t)(at - here(s)));
	if (colon)
		keep_but(s, (size_t)(colon + 1 - here(s)));
	hide(s, (size_t)(s->text + s->at < at ? at - here(s) : 0));
	return true;
}

static bool private_key(struct scrub *s)
{
	static const char begin[] = "-----BEGIN ", what[] = "PRIVATE KEY-----", end[] = "-----END ";
	if (left(s) < sizeof(begin) + sizeof(what) ||
		memcmp(here(s), begin, sizeof(begin) - 1) != 0)
		return false;
	size_t label = left(s) < 80 ? left(s) : 80;
	const char *key = memmem(here(s), label, what, sizeof(what) - 1);
	if (!key || memchr(here(s), '\n', (size_t)(key - here(s))))
		return false;
	keep_but(s, (size_t)(key - here(s)) + sizeof(what) - 1);
	const char *over = memmem(here(s), left(s), end, sizeof(end) - 1);
	hide(s, over ? (size_t)(over - here(s)) : left(s));
	return true;
}

/* ---- names and their values ---- */

struct word {
	const char *text; /* lower case */
	size_t len;
};
#define WORD(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static bool ends_in(const char *name, size_t len, const struct word *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (len >= words[i].len &&
			(name[len - 1] | 0x20) == words[i].text[words[i].len - 1] &&
			strncasecmp(name + len - words[i].len, words[i].text, words[i].len) == 0)
			return true;
	return false;
}

static bool is(const char *name, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(name, word, len) == 0;
}

static bool is_password(const char *name, size_t len)
{
	static const struct word words[] = {WORD("password"), WORD("passphrase"), WORD("secret")};
	return ends_in(name, len, words, YG_COUNT(words));
}

static bool is_secret(const char *name, size_t len)
{
	static const struct word words[] = {WORD("token"), WORD("credential"), WORD("credentials"),
		WORD("api_key"), WORD("apikey"), WORD("api-key"), WORD("private_key"),
		WORD("privatekey"), WORD("passwd"), WORD("pwd")};
	return is_password(name, len) || ends_in(name, len, words, YG_COUNT(words));
}

static bool is_header(const char *name, size_t len)
{
	static const struct word words[] = {WORD("authorization"), WORD("cookie")};
	return ends_in(name, len, words, YG_COUNT(words));
}

/* The name stands alone at the beginning of its line, as in a configuration. */
static bool begins_line(const struct scrub *s, size_t name)
{
	size_t i = s->out - name;
	while (i > 0 && (s->text[i - 1] == ' ' || s->text[i - 1] == '\t'))
		i--;
	return i == 0 || s->text[i - 1] == '\n';
}

/* A string in quotes that are escaped `slashes` times: what is inside. The end of the text ends it too. */
static size_t quoted(const struct scrub *s, char quote, size_t slashes)
{
	size_t run = 0;
	for (size_t n = 0; n < left(s); n++) {
		char c = here(s)[n];
		if (c == quote && (slashes == 0 ? run % 2 == 0 : run == slashes))
			return n - (slashes == 0 ? 0 : run);
		run = c == '\\' ? run + 1 : 0;
	}
	return left(s);
}

/* After `at`: how many backslashes stand before a quote; false when there is no quote. */
static bool quote_at(const struct scrub *s, size_t at, size_t *slashes, char *quote)
{
	size_t n = 0;
	while (at + n < left(s) && here(s)[at + n] == '\\' && n < QUOTES_MAX)
		n++;
	if (at + n >= left(s) || (here(s)[at + n] != '"' && here(s)[at + n] != '\''))
		return false;
	*slashes = n;
	*quote = here(s)[at + n];
	return true;
}

static bool is_nothing(const struct scrub *s, size_t n)
{
	return is(here(s), n, "null") || is(here(s), n, "true") || is(here(s), n, "false") ||
		is(here(s), n, "none");
}

/* What stands after a name that was kept: `= value`, `: value`, `": "value"`. */
static void value(struct scrub *s, const char *name, size_t len)
{
	size_t slashes = 0, at = 0;
	char quote = 0;
	bool password = is_password(name, len);
	bool line = begins_line(s, len);
	if (quote_at(s, 0, &slashes, &quote))
		at = slashes + 1;
	while (at < left(s) && (here(s)[at] == ' ' || here(s)[at] == '\t'))
		at++;
	if (at >= left(s) || (here(s)[at] != '=' && here(s)[at] != ':'))
		return;
	bool equals = here(s)[at++] == '=';
	bool space = at < left(s) && here(s)[at] == ' ';
	while (at < left(s) && (here(s)[at] == ' ' || here(s)[at] == '\t'))
		at++;
	if (quote_at(s, at, &slashes, &quote)) {
		keep(s, at + slashes + 1);
		hide(s, quoted(s, quote, slashes));
		return;
	}
	/* "token: want 43 characters" is a sentence, "passwd: files" says where users are looked up. */
	if (!equals && space && !password)
		return;
	keep(s, at);
	size_t n = equals && line ? to_line_end(s) : until(s, " ,;&)\"'\\{[");
	if (n > 0 && !is_nothing(s, n))
		hide(s, n);
}

static void header(struct scrub *s)
{
	if (left(s) == 0 || *here(s) != ':')
		return;
	keep(s, 1);
	while (left(s) > 0 && *here(s) == ' ')
		keep(s, 1);
	hide(s, to_line_end(s));
}

/* "Bearer abcdef…": a scheme and what proves who one is. */
static bool scheme(struct scrub *s, const char *name, size_t len)
{
	static const char *const schemes[] = {"bearer", "basic", "ntlm", "negotiate", "digest"};
	for (size_t i = 0; i < YG_COUNT(schemes); i++) {
		if (!is(name, len, schemes[i]) || left(s) < 2 || *here(s) != ' ')
			continue;
		size_t n = run_of(s, 1, "+/=_.~-");
		if (n < (i == 0 ? TOKEN_MIN : BASE64_MIN))
			return false;
		keep(s, 1);
		hide(s, n);
		return true;
	}
	return false;
}

/* Tokens that say what they are by how they begin, which may be behind the 'n' of a "\\n". */
static bool token(struct scrub *s)
{
	static const char *const begins[] = {"yg1.", "ygk_", "eyJ"};
	size_t n = run_of(s, 0, "_.-");
	for (size_t i = 0; i < YG_COUNT(begins); i++) {
		const char *from = memmem(here(s), n, begins[i], strlen(begins[i]));
		size_t before = from ? (size_t)(from - here(s)) : n;
		size_t head = before + strlen(begins[i]);
		if (n < head + TOKEN_MIN || (i == 2 && !memchr(from, '.', n - before)))
			continue;
		const char *id = i == 1 ? memchr(from + 4, '_', n - head) : NULL;
		if (id)
			head = (size_t)(id + 1 - here(s));
		size_t end = s->at + n;
		keep_but(s, head);
		hide(s, end > s->at ? end - s->at : 0);
		return true;
	}
	return false;
}

/* After a name: how long the password in ":password@host:port" is, of the address of a proxy; 0: that is none. */
static size_t password_at(const struct scrub *s)
{
	struct scrub rest = *s;
	if (left(s) < 2 || *here(s) != ':')
		return 0;
	rest.len = left(s) < ADDRESS_MAX ? s->len : s->at + ADDRESS_MAX;
	const char *from = here(s) + 1;
	const char *end = here(s) + until(&rest, "/ \"<>\\");
	const char *at = memrchr(from, '@', (size_t)(end - from));
	const char *port = at ? memrchr(at, ':', (size_t)(end - at)) : NULL;
	if (!port || port == at + 1 || end - port < 2 || !isdigit((unsigned char)port[1]))
		return 0;
	return (size_t)(at - from);
}

static void word(struct scrub *s)
{
	size_t n = 0;
	while (n < left(s) && (kinds[(unsigned char)here(s)[n]] & NAME))
		n++;
	if (n > TOKEN_MIN && token(s))
		return;
	size_t start = s->out;
	keep_but(s, n);
	const char *name = s->text + start;
	n = s->out - start;
	size_t password = password_at(s);
	if (password > 0) {
		keep(s, 1);
		hide(s, password);
	} else if (is_header(name, n)) {
		header(s);
	} else if (is_secret(name, n)) {
		value(s, name, n);
	} else {
		(void)scheme(s, name, n);
	}
}

/* Nothing begins with it. */
static bool is_plain(unsigned char c)
{
	return !(kinds[c] & LETTER) && c != ':' && c != '-' && !known.first[c];
}

size_t yg_scrub(char *text, size_t len, unsigned *count)
{
	struct scrub s = {.text = text, .len = len};
	while (s.at < s.len) {
		size_t plain = 0;
		while (plain < left(&s) && is_plain((unsigned char)here(&s)[plain]))
			plain++;
		keep(&s, plain);
		if (s.at == s.len)
			break;
		unsigned char c = (unsigned char)*here(&s);
		if (literal(&s) || (c == ':' && address(&s)) || (c == '-' && private_key(&s)))
			continue;
		if (kinds[c] & LETTER)
			word(&s);
		else
			keep(&s, 1);
	}
	if (count)
		*count += s.count;
	return s.out;
}
