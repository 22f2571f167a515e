/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/attr.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Feeds: files of signatures, rules and list entries as others make them, read one signature at a time.
 * Import publishes what comes out of here, and diff compares it. One file a format; which of them reads
 * a file is decided by the component and by the file's name, or by the content engineer.
 *
 * Everything in a feed is a stranger's: errors begin with "line N: " and say what was wanted.
 */

#define FEED_LINE_MAX                                                                              \
	(4u << 20) /* bytes; the longest logical signatures have some hundred thousand */

struct feed_entry {
	struct yg_bytes
		key; /* what names it: "Win.Test-1", "sid 2024001"; an edited one keeps it */
	struct yg_bytes text;  /* all of it as it is published, without an end of line */
	uint64_t line;         /* where it begins in the source, 1.. */
	const char *extension; /* of the file that it is published in; NULL: that of the source */
};

/* Called for each signature, in order; what is in the entry is gone when it returns. */
typedef int feed_take(void *ctx, const struct feed_entry *entry, struct yg_err *err);

struct feed_reader {
	const char *name; /* of the file, without folders */
	bool strict;      /* want what may be published; else what does not parse names itself */
	bool addresses;   /* lists: take addresses and networks only */
	feed_take *take;
	void *ctx;
};

/* How what was read is written: its lines in the order of the feed, sorted, or the text as it was. */
enum feed_form { FEED_LINES, FEED_SORTED, FEED_TEXT };

struct feed_format {
	const char *name; /* the word of --format */
	enum feed_form form;
	const char *extension; /* of what is published; NULL: as the source */
	/* errors  YG_EFORMAT, YG_ELIMIT "line 17: …"; those of take */
	int (*read)(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err);
};

extern const struct feed_format feed_clamav, feed_yara, feed_hash, feed_list, feed_suricata,
	feed_ossec, feed_lines;

/* The format of this name, or NULL. */
const struct feed_format *feed_named(const char *name);

/* What a file of this name has in a component that is imported; NULL: nothing that it publishes. */
const struct feed_format *feed_of_source(const char *component, const char *name);

/* The same for a file as it lies in a component, whoever put it there; never NULL. */
const struct feed_format *feed_of_content(const char *name);

/* ---- for those who read ---- */

/* Lines, without their ends (LF or CR LF) and the white space before them. */
struct feed_text {
	struct yg_bytes rest;
	uint64_t line; /* number of the line that was given last */
};
bool feed_text_next(struct feed_text *text, struct yg_bytes *line);

/* "line N: <fmt>". Returns -1. */
int feed_fail(struct yg_err *err, uint64_t line, const char *fmt, ...) YG_PRINTF(3, 4);

/* Refuse what no text has. errors  YG_EFORMAT a NUL byte; YG_ELIMIT a line is too long */
int feed_check_line(struct yg_bytes line, uint64_t number, struct yg_err *err) YG_MUST_CHECK;

struct yg_bytes feed_trim(struct yg_bytes text); /* without white space around it */
bool feed_is(struct yg_bytes text, const char *word);
bool feed_ext(const char *name, const char *words); /* words: " hdb hsb " */
bool feed_number(struct yg_bytes text, uint64_t max, uint64_t *out);
bool feed_all_hex(struct yg_bytes text);

/* Field number `index` between separators; false when there are not as many. */
bool feed_field(struct yg_bytes line, char separator, size_t index, struct yg_bytes *out);
size_t feed_fields(struct yg_bytes line, char separator);

/* One row of a CSV file, RFC 4180 without line ends in quotes; white space around values is dropped.
 * out     values  at most `max`; point into line or into scratch, which is emptied first
 * errors  YG_EFORMAT a quote that does not end; YG_ELIMIT
 */
int feed_csv(struct yg_bytes line, char separator, struct yg_bytes *values, size_t max,
	size_t *count, struct yg_buf *scratch, struct yg_err *err) YG_MUST_CHECK;

/* Which texts were there before, exactly; borrows what it is given. */
struct feed_seen {
	uint64_t *slots; /* owned; 0: empty; else 24 bits of the hash, and index + 1 in entries */
	struct yg_bytes *entries; /* owned */
	size_t count, cap, slot_count;
};
/* out     *old  index of the equal one, when there is one: 1; otherwise it is kept: 0; -1 failed */
int feed_seen_add(struct feed_seen *seen, struct yg_bytes text, size_t *old, struct yg_err *err)
	YG_MUST_CHECK;
void feed_seen_free(struct feed_seen *seen);
static inline void feed_seen_free_at(struct feed_seen *seen)
{
	feed_seen_free(seen);
}

uint64_t feed_hash64(struct yg_bytes text); /* not for strangers' tables that must not be crowded */
