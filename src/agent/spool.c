/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/random.h"

#define FILE_NAME    "spool"
#define CRC_TEXT     9 /* bytes of "0123abcd " */
#define LINE_MAX     (80u << 10)
#define EVENT_LOST   20106
#define REWRITE_FROM (64u << 10) /* bytes acknowledged before a rewrite pays */

struct entry {
	uint64_t seq;
	size_t at, len; /* in the file: the JSON text, without crc and line end */
	bool result;
	uint64_t lost; /* of an event that tells of lost ones: how many */
};

struct spool {
	int dir, fd;
	struct spool_limits limits;
	char epoch[SPOOL_EPOCH_TEXT];
	uint64_t next;
	struct entry *entries;
	size_t first, count, cap; /* entries[first .. first + count) are not acknowledged */
	size_t size;              /* bytes of the file */
};

/* source  CRC-32 of IEEE 802.3, bit by bit: lines are short */
static uint32_t crc32_of(const void *data, size_t len)
{
	uint32_t crc = ~0u;
	for (const uint8_t *at = data; len > 0; at++, len--) {
		crc ^= *at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static int add_line(struct yg_buf *out, const char *text, size_t len, struct yg_err *err)
{
	if (yg_str_addf(out, err, "%08x ", crc32_of(text, len)) < 0 ||
		yg_buf_add(out, text, len, err) < 0)
		return -1;
	return yg_buf_add(out, "\n", 1, err);
}

/* Remember where an entry lies, and what decides its fate. */
static int note(struct spool *s, uint64_t seq, size_t at, size_t len, const json_t *entry,
	struct yg_err *err)
{
	if (s->first + s->count == s->cap) {
		if (s->first > 0) {
			memmove(s->entries, s->entries + s->first, s->count * sizeof(*s->entries));
			s->first = 0;
		} else {
			size_t cap = s->cap ? 2 * s->cap : 64;
			struct entry *more = reallocarray(s->entries, cap, sizeof(*more));
			if (!more)
				return yg_fail_sys(err, ENOMEM, "the event spool");
			s->entries = more;
			s->cap = cap;
		}
	}
	const char *kind = json_string_value(json_object_get(entry, "kind"));
	struct entry *new = &s->entries[s->first + s->count++];
	*new = (struct entry){.seq = seq, .at = at, .len = len};
	new->result = kind &&strcmp(kind, "result") == 0;
	if (json_integer_value(json_object_get(entry, "id")) == EVENT_LOST)
		new->lost = (uint64_t)json_integer_value(
			json_object_get(json_object_get(entry, "params"), "count"));
	return 0;
}

/* ---- writing ---- */

static int add_head(const struct spool *s, struct yg_buf *out, struct yg_err *err)
{
	char text[128];
	if (!yg_str_put(text, sizeof(text), "{\"epoch\":\"%s\",\"next\":%llu}", s->epoch,
		    (unsigned long long)s->next))
		return yg_fail(err, YG_ELIMIT, "the event spool's head");
	return add_line(out, text, strlen(text), err);
}

static int reopen(struct spool *s, struct yg_err *err)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = openat(s->dir, FILE_NAME, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return s->fd < 0 ? yg_fail_sys(err, errno, "the event spool") : 0;
}

/* The whole file anew, with the entries that `keep` likes. */
static int rewrite(struct spool *s, bool (*keep)(const struct entry *entry, void *ctx), void *ctx,
	struct yg_err *err)
{
	struct yg_buf out YG_AUTO(yg_buf) = YG_BUF(4 * s->limits.bytes + LINE_MAX);
	char *text YG_AUTO(mem) = malloc(LINE_MAX);
	if (!text)
		return yg_fail_sys(err, ENOMEM, "the event spool");
	if (add_head(s, &out, err) < 0)
		return -1;
	struct entry *kept = calloc(s->count + 1, sizeof(*kept));
	void *owned YG_AUTO(mem) = kept;
	size_t n = 0;
	for (size_t i = 0; kept && i < s->count; i++) {
		const struct entry *entry = &s->entries[s->first + i];
		if (keep && !keep(entry, ctx))
			continue;
		if (pread(s->fd, text, entry->len, (off_t)entry->at) != (ssize_t)entry->len)
			return yg_fail_sys(err, errno ? errno : EIO, "reading the event spool");
		kept[n] = *entry;
		kept[n++].at = out.len + CRC_TEXT;
		if (add_line(&out, text, entry->len, err) < 0)
			return -1;
	}
	if (!kept)
		return yg_fail_sys(err, ENOMEM, "the event spool");
	if (yg_fs_replace(s->dir, FILE_NAME, yg_buf_bytes(&out), 0600, err) < 0)
		return yg_wrap(err, "the event spool");
	free(s->entries);
	s->entries = yg_take(owned);
	s->first = 0;
	s->cap = s->count + 1;
	s->count = n;
	s->size = out.len;
	return reopen(s, err);
}

/* ---- reading ---- */

/* One line of the file. Returns its length with the line end, 0 when it is not whole and right. */
static size_t read_line(const struct yg_bytes *all, size_t at, const char **text, size_t *len)
{
	const char *line = (const char *)all->ptr + at;
	const char *end = at < all->len ? memchr(line, '\n', all->len - at) : NULL;
	if (!end || (size_t)(end - line) <= CRC_TEXT)
		return 0;
	*text = line + CRC_TEXT;
	*len = (size_t)(end - *text);
	char want[CRC_TEXT + 1];
	(void)!yg_str_put(want, sizeof(want), "%08x ", crc32_of(*text, *len));
	return memcmp(line, want, CRC_TEXT) == 0 ? (size_t)(end - line) + 1 : 0;
}

static int read_head(struct spool *s, const char *text, size_t len, struct yg_err *err)
{
	json_t *head YG_AUTO(yg_json) = NULL;
	const char *epoch = NULL;
	int64_t next = 0;
	if (yg_json_parse((struct yg_bytes){(const uint8_t *)text, len}, LINE_MAX, &head, err) <
			0 ||
		yg_json_str(head, "epoch", SPOOL_EPOCH_TEXT - 1, &epoch, err) < 0 ||
		yg_json_int(head, "next", 1, INT64_MAX, &next, err) < 0)
		return -1;
	if (!yg_random_uuid_ok(epoch))
		return yg_fail(err, YG_EFORMAT, "epoch: want a UUID");
	memcpy(s->epoch, epoch, SPOOL_EPOCH_TEXT);
	s->next = (uint64_t)next;
	return 0;
}

static int read_entry(struct spool *s, const char *text, size_t len, size_t at, struct yg_err *err)
{
	json_t *entry YG_AUTO(yg_json) = NULL;
	const char *kind = NULL;
	int64_t seq = 0;
	if (yg_json_parse((struct yg_bytes){(const uint8_t *)text, len}, LINE_MAX, &entry, err) <
			0 ||
		yg_json_int(entry, "seq", 1, INT64_MAX - 1, &seq, err) < 0 ||
		yg_json_str(entry, "kind", 16, &kind, err) < 0)
		return -1;
	if ((uint64_t)seq >= s->next)
		s->next = (uint64_t)seq + 1;
	return note(s, (uint64_t)seq, at, len, entry, err);
}

static int load(struct spool *s, struct yg_err *err)
{
	struct yg_buf all YG_AUTO(yg_buf) = YG_BUF(8 * s->limits.bytes + LINE_MAX);
	if (yg_fs_read(s->dir, FILE_NAME, &all, err) < 0)
		return -1;
	struct yg_bytes bytes = yg_buf_bytes(&all);
	const char *text = NULL;
	size_t len = 0;
	size_t at = read_line(&bytes, 0, &text, &len);
	if (at == 0 || read_head(s, text, len, err) < 0)
		return yg_fail(err, YG_EFORMAT, "the event spool has no head");
	for (size_t n; (n = read_line(&bytes, at, &text, &len)) > 0; at += n)
		if (read_entry(s, text, len, at + CRC_TEXT, err) < 0)
			break;
	if (reopen(s, err) < 0)
		return -1;
	s->size = at;
	if (at == bytes.len)
		return 0;
	yg_log(YG_LOG_NOTICE, "spool.torn", "%zu bytes of an unfinished entry were cut off",
		bytes.len - at);
	if (ftruncate(s->fd, (off_t)at) < 0 || fsync(s->fd) < 0)
		return yg_fail_sys(err, errno, "cutting the event spool");
	return 0;
}

struct spool *spool_open(int dir, const struct spool_limits *limits, struct yg_err *err)
{
	struct spool *s YG_AUTO(spool) = calloc(1, sizeof(*s));
	if (!s) {
		(void)yg_fail_sys(err, ENOMEM, "the event spool");
		return NULL;
	}
	s->dir = dir;
	s->fd = -1;
	s->limits = *limits;
	if (load(s, err) == 0)
		return yg_take(s);
	if (err->code == YG_ESYSTEM)
		return NULL;
	if (err->code != YG_EABSENT)
		yg_log(YG_LOG_ERROR, "spool.broken", "begun anew: %s", err->msg);
	*err = (struct yg_err){0};
	s->next = 1;
	s->count = 0;
	if (yg_random_uuid(s->epoch, err) < 0 || rewrite(s, NULL, NULL, err) < 0)
		return NULL;
	return yg_take(s);
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->fd >= 0)
		(void)close(spool->fd);
	free(spool->entries);
	free(spool);
}

const char *spool_epoch(const struct spool *spool)
{
	return spool->epoch;
}

size_t spool_count(const struct spool *spool)
{
	return spool->count;
}

/* ---- adding, and making room ---- */

static int append(struct spool *s, json_t *entry, struct yg_err *err)
{
	json_t *owned YG_AUTO(yg_json) = entry;
	struct yg_buf line YG_AUTO(yg_buf) = YG_BUF(LINE_MAX + CRC_TEXT + 1);
	(void)json_object_set_new(owned, "seq", json_integer((json_int_t)s->next));
	char *text YG_AUTO(mem) = yg_json_text(owned);
	if (!text)
		return yg_fail_sys(err, ENOMEM, "an event");
	size_t len = strlen(text);
	if (len > LINE_MAX - CRC_TEXT - 1)
		return yg_fail(err, YG_ELIMIT, "an event of %zu bytes is too large", len);
	if (add_line(&line, text, len, err) < 0 ||
		note(s, s->next, s->size + CRC_TEXT, len, owned, err) < 0)
		return -1;
	if (yg_fs_write_all(s->fd, line.data, line.len, err) < 0 || fdatasync(s->fd) < 0) {
		int sys = err->code ? err->sys : errno;
		s->count--;
		(void)!ftruncate(s->fd, (off_t)s->size); /* else the next one follows half a line */
		return yg_fail_sys(err, sys, "writing the event spool");
	}
	s->size += line.len;
	s->next++;
	return 0;
}

struct drop {
	uint64_t up_to;
	uint64_t count;
};

static bool not_dropped(const struct entry *entry, void *ctx)
{
	struct drop *drop = ctx;
	if (entry->result || entry->seq > drop->up_to)
		return true;
	drop->count += entry->lost ? entry->lost : 1;
	return false;
}

/* A tenth of the oldest goes at once, so that this is rare. */
static int make_room(struct spool *s, struct yg_err *err)
{
	size_t tenth = s->count / 10 + 1;
	if (s->count == 0)
		return 0;
	struct drop drop = {
		.up_to = s->entries[s->first + (tenth < s->count ? tenth : s->count) - 1].seq};
	if (rewrite(s, not_dropped, &drop, err) < 0)
		return -1;
	if (drop.count == 0)
		return 0;
	char now[YG_CLOCK_TEXT];
	yg_clock_format(yg_clock_now_s(), now);
	yg_log(YG_LOG_WARN, "spool.full", "%llu events were dropped",
		(unsigned long long)drop.count);
	return append(s,
		json_pack("{s:s,s:i,s:s,s:{s:I,s:s}}", "kind", "event", "id", EVENT_LOST, "time",
			now, "params", "count", (json_int_t)drop.count, "reason",
			"the spool is full"),
		err);
}

int spool_add(struct spool *s, json_t *entry, struct yg_err *err)
{
	if ((s->size > s->limits.bytes || s->count >= s->limits.entries) && make_room(s, err) < 0) {
		json_decref(entry);
		return -1;
	}
	return append(s, entry, err);
}

int spool_batch(struct spool *s, size_t entries, size_t bytes, json_t **out, struct yg_err *err)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	char *text YG_AUTO(mem) = malloc(LINE_MAX);
	size_t used = 0;
	if (!list || !text)
		return yg_fail_sys(err, ENOMEM, "the event spool");
	for (size_t i = 0; i < s->count && i < entries && used < bytes; i++) {
		const struct entry *entry = &s->entries[s->first + i];
		json_t *value = NULL;
		if (pread(s->fd, text, entry->len, (off_t)entry->at) != (ssize_t)entry->len)
			return yg_fail_sys(err, errno ? errno : EIO, "reading the event spool");
		if (yg_json_parse((struct yg_bytes){(const uint8_t *)text, entry->len}, LINE_MAX,
			    &value, err) < 0)
			return yg_wrap(err, "the event spool");
		(void)json_array_append_new(list, value);
		used += entry->len;
	}
	*out = yg_take(list);
	return 0;
}

int spool_ack(struct spool *s, uint64_t seq, struct yg_err *err)
{
	while (s->count > 0 && s->entries[s->first].seq <= seq) {
		s->first++;
		s->count--;
	}
	size_t gone = s->count > 0 ? s->entries[s->first].at : s->size;
	if ((s->count == 0 && s->size > 4096) || (gone > REWRITE_FROM && gone > s->size / 2))
		return rewrite(s, NULL, NULL, err);
	return 0;
}

bool spool_has_result(const struct spool *s, const char *job)
{
	char text[LINE_MAX];
	for (size_t i = 0; i < s->count; i++) {
		const struct entry *entry = &s->entries[s->first + i];
		if (!entry->result || entry->len >= sizeof(text) ||
			pread(s->fd, text, entry->len, (off_t)entry->at) != (ssize_t)entry->len)
			continue;
		text[entry->len] = 0;
		if (strstr(text, job))
			return true;
	}
	return false;
}
