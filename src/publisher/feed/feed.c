/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/feed/feed.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"

static const struct feed_format *const formats[] = {&feed_clamav, &feed_yara, &feed_hash,
	&feed_list, &feed_suricata, &feed_ossec, &feed_lines};

/* source  libclamav, CLI_DBEXT, without what holds other files, programs, or facts for freshclam only */
#define CLAMAV_TEXTS                                                                                   \
	" cdb cfg crb db fp ftm gdb hdb hdu hsb hsu idb ign ign2 imp ldb ldu mdb mdu msb msu ndb ndu " \
	"pdb pwdb rmd sdb sfp wdb zmd "
#define CLAMAV_HASHES " fp hdb hdu hsb hsu mdb mdu msb msu sfp "

const struct feed_format *feed_named(const char *name)
{
	for (size_t i = 0; i < YG_COUNT(formats); i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

/* Texts that come along with rules and lists and are not part of them. */
static bool is_note(const char *name)
{
	static const char *const words[] = {"LICENSE", "LICENCE", "COPYING", "README", "CHANGELOG",
		"BSD-License", "gpl-2.0", "SHA256SUMS", "MD5SUMS"};
	for (size_t i = 0; i < YG_COUNT(words); i++) {
		if (strncasecmp(name, words[i], strlen(words[i])) == 0)
			return true;
	}
	return feed_ext(name, " asc html info json md md5 pdf pem sha256 sig sign ");
}

static const struct feed_format *of_malware(const char *component, const char *name)
{
	bool hashes = strcmp(component, "am-hash") == 0;
	if (feed_ext(name, " yar yara "))
		return hashes ? NULL : &feed_yara;
	if (strcmp(component, "am-yara") == 0)
		return NULL;
	if (feed_ext(name, hashes ? CLAMAV_HASHES : CLAMAV_TEXTS))
		return &feed_clamav;
	return hashes && !is_note(name) && !feed_ext(name, CLAMAV_TEXTS) ? &feed_hash : NULL;
}

const struct feed_format *feed_of_source(const char *component, const char *name)
{
	if (strncmp(component, "am-", 3) == 0)
		return of_malware(component, name);
	if (is_note(name))
		return NULL;
	if (strcmp(component, "wr-list") == 0 || strcmp(component, "fw-list") == 0)
		return &feed_list;
	if (strcmp(component, "ips-rules") == 0 && feed_ext(name, " rules "))
		return &feed_suricata;
	if (feed_ext(name, " xml "))
		return strcmp(component, "ips-rules") == 0 ? NULL : &feed_ossec;
	if (strcmp(component, "ips-rules") == 0)
		return feed_ext(name, " conf config list map yaml ") ? &feed_lines : NULL;
	return feed_ext(name, " conf rules txt yaml ") ? &feed_lines : NULL;
}

const struct feed_format *feed_of_content(const char *name)
{
	if (feed_ext(name, CLAMAV_TEXTS))
		return &feed_clamav;
	if (feed_ext(name, " yar yara "))
		return &feed_yara;
	if (feed_ext(name, " rules "))
		return &feed_suricata;
	return feed_ext(name, " xml ") ? &feed_ossec : &feed_lines;
}

/* ---- plain lines ---- */

static int read_lines(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	while (feed_text_next(&lines, &line)) {
		if (reader->strict && feed_check_line(line, lines.line, err) < 0)
			return -1;
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (reader->take(reader->ctx, &(struct feed_entry){line, line, lines.line, NULL},
			    err) < 0)
			return -1;
	}
	return 0;
}

/* Its order may mean something: the text stays as it is. */
const struct feed_format feed_lines = {"lines", FEED_TEXT, NULL, read_lines};

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

bool feed_text_next(struct feed_text *text, struct yg_bytes *line)
{
	if (text->rest.len == 0)
		return false;
	const uint8_t *end = memchr(text->rest.ptr, '\n', text->rest.len);
	size_t len = end ? (size_t)(end - text->rest.ptr) : text->rest.len;
	*line = (struct yg_bytes){text->rest.ptr, len};
	text->rest.ptr += len + (end ? 1 : 0);
	text->rest.len -= len + (end ? 1 : 0);
	text->line++;
	if (text->line == 1 && line->len >= 3 && memcmp(line->ptr, "\xef\xbb\xbf", 3) == 0) {
		line->ptr += 3; /* the mark that some editors begin with */
		line->len -= 3;
	}
	while (line->len > 0 && blank(line->ptr[line->len - 1]))
		line->len--;
	return true;
}

int feed_fail(struct yg_err *err, uint64_t line, const char *fmt, ...)
{
	char text[YG_ERR_MSG_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut when it does not fit */
	va_end(args);
	for (char *c = text; *c; c++) {
		if ((uint8_t)*c < 0x20 || (uint8_t)*c > 0x7e)
			*c = '?'; /* a stranger's bytes, on somebody's terminal */
	}
	return yg_fail(err, YG_EFORMAT, "line %llu: %s", (unsigned long long)line, text);
}

int feed_check_line(struct yg_bytes line, uint64_t number, struct yg_err *err)
{
	if (line.len > FEED_LINE_MAX)
		return yg_fail(err, YG_ELIMIT, "line %llu: want <= %u bytes, have %zu",
			(unsigned long long)number, FEED_LINE_MAX, line.len);
	if (line.len > 0 && memchr(line.ptr, 0, line.len))
		return feed_fail(err, number, "want text, have a NUL byte");
	return 0;
}

struct yg_bytes feed_trim(struct yg_bytes text)
{
	while (text.len > 0 && blank(text.ptr[0])) {
		text.ptr++;
		text.len--;
	}
	while (text.len > 0 && blank(text.ptr[text.len - 1]))
		text.len--;
	return text;
}

bool feed_is(struct yg_bytes text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

bool feed_ext(const char *name, const char *words)
{
	char word[16];
	const char *dot = strrchr(name, '.');
	return dot && dot != name && !strchr(dot, ' ') &&
		yg_str_put(word, sizeof(word), " %s ", dot + 1) && strstr(words, word);
}

bool feed_number(struct yg_bytes text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;
	if (text.len == 0 || text.len > 19)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		value = 10 * value + (uint64_t)(text.ptr[i] - '0');
	}
	*out = value;
	return value <= max;
}

bool feed_all_hex(struct yg_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		if ((c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F'))
			return false;
	}
	return text.len > 0;
}

bool feed_field(struct yg_bytes line, char separator, size_t index, struct yg_bytes *out)
{
	for (;; index--) {
		const uint8_t *end = line.len ? memchr(line.ptr, separator, line.len) : NULL;
		size_t len = end ? (size_t)(end - line.ptr) : line.len;
		if (index == 0) {
			*out = (struct yg_bytes){line.ptr, len};
			return true;
		}
		if (!end)
			return false;
		line.ptr += len + 1;
		line.len -= len + 1;
	}
}

size_t feed_fields(struct yg_bytes line, char separator)
{
	size_t count = 1;
	for (size_t i = 0; i < line.len; i++)
		count += line.ptr[i] == (uint8_t)separator;
	return count;
}

/* ---- CSV ---- */

/* A value in quotes; *at is behind the first quote, and behind the last one afterwards. */
static int quoted(struct yg_bytes line, size_t *at, struct yg_bytes *value, struct yg_buf *scratch,
	struct yg_err *err)
{
	size_t begin = scratch->len, start = *at;
	for (; *at < line.len; ++*at) {
		if (line.ptr[*at] != '"')
			continue;
		if (yg_buf_add(scratch, line.ptr + start, *at - start, err) < 0)
			return -1;
		if (*at + 1 >= line.len || line.ptr[*at + 1] != '"') {
			++*at;
			*value = (struct yg_bytes){scratch->data + begin, scratch->len - begin};
			return 0;
		}
		start = ++*at; /* a doubled quote stands for one */
	}
	return yg_fail(err, YG_EFORMAT, "want a quote at the end of a value, have none");
}

int feed_csv(struct yg_bytes line, char separator, struct yg_bytes *values, size_t max,
	size_t *count, struct yg_buf *scratch, struct yg_err *err)
{
	size_t at = 0;
	scratch->len = 0;
	*count = 0;
	/* Values point into scratch: it must not move. */
	if (scratch->cap < line.len + 1) {
		char zero = 0;
		while (scratch->len < line.len + 1) {
			if (yg_buf_add(scratch, &zero, 1, err) < 0)
				return -1;
		}
		scratch->len = 0;
	}
	for (;;) {
		if (*count == max)
			return yg_fail(err, YG_ELIMIT, "want <= %zu columns, have more", max);
		while (at < line.len && blank(line.ptr[at]) && line.ptr[at] != (uint8_t)separator)
			at++;
		struct yg_bytes *value = &values[(*count)++];
		if (at < line.len && line.ptr[at] == '"') {
			at++;
			if (quoted(line, &at, value, scratch, err) < 0)
				return -1;
			while (at < line.len && line.ptr[at] != (uint8_t)separator)
				at++;
		} else {
			size_t start = at;
			while (at < line.len && line.ptr[at] != (uint8_t)separator)
				at++;
			*value = feed_trim((struct yg_bytes){line.ptr + start, at - start});
		}
		if (at >= line.len)
			return 0;
		at++;
	}
}

/* ---- what was there before ---- */

uint64_t feed_hash64(struct yg_bytes text)
{
	const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = text.len * k;
	size_t i = 0;
	for (; i + 8 <= text.len; i += 8) {
		uint64_t word;
		memcpy(&word, text.ptr + i, sizeof(word));
		h = (h ^ word) * k;
		h ^= h >> 29;
	}
	uint64_t last = 0;
	if (i < text.len)
		memcpy(&last, text.ptr + i, text.len - i);
	h = (h ^ last) * k;
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

#define INDEX_BITS 40

static uint64_t slot_of(uint64_t hash, size_t index)
{
	return (hash >> INDEX_BITS) << INDEX_BITS | (uint64_t)(index + 1);
}

static size_t entry_of(uint64_t slot)
{
	return (size_t)(slot & ((UINT64_C(1) << INDEX_BITS) - 1)) - 1;
}

static int seen_grow(struct feed_seen *seen, struct yg_err *err)
{
	size_t cap = seen->cap ? 2 * seen->cap : 1024;
	uint64_t *slots = calloc(2 * cap, sizeof(*slots));
	struct yg_bytes *entries = reallocarray(seen->entries, cap, sizeof(*entries));
	if (entries)
		seen->entries = entries;
	if (!slots || !entries) {
		free(slots);
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	}
	free(seen->slots);
	seen->slots = slots;
	seen->cap = cap;
	seen->slot_count = 2 * cap;
	for (size_t i = 0; i < seen->count; i++) {
		uint64_t hash = feed_hash64(entries[i]);
		size_t at = (size_t)hash & (seen->slot_count - 1);
		while (slots[at])
			at = (at + 1) & (seen->slot_count - 1);
		slots[at] = slot_of(hash, i);
	}
	return 0;
}

int feed_seen_add(struct feed_seen *seen, struct yg_bytes text, size_t *old, struct yg_err *err)
{
	if (seen->count == seen->cap && seen_grow(seen, err) < 0)
		return -1;
	uint64_t hash = feed_hash64(text);
	size_t at = (size_t)hash & (seen->slot_count - 1);
	for (; seen->slots[at]; at = (at + 1) & (seen->slot_count - 1)) {
		if (seen->slots[at] >> INDEX_BITS != hash >> INDEX_BITS)
			continue;
		const struct yg_bytes *one = &seen->entries[entry_of(seen->slots[at])];
		if (one->len == text.len && memcmp(one->ptr, text.ptr, text.len) == 0) {
			*old = entry_of(seen->slots[at]);
			return 1;
		}
	}
	seen->slots[at] = slot_of(hash, seen->count);
	seen->entries[seen->count++] = text;
	return 0;
}

void feed_seen_free(struct feed_seen *seen)
{
	free(seen->slots);
	free(seen->entries);
	*seen = (struct feed_seen){0};
}
