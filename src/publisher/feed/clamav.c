/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* ClamAV's databases in their loose form: one signature a line, fields by ':' or ';'. Enough is looked
 * at here to say which line is broken and what a signature is called; if an engine can load it is for the
 * engine to say (import_check.c). source  ClamAV's manual, "Signatures"; libclamav's loaders
 */
#include "publisher/feed/feed.h"

#include <string.h>

#define WHOLE       255 /* the line is its own name */
#define SIZE_FLEVEL 73  /* from which libclamav takes a hash without a size */

enum check { NOTHING, HASH_FIRST, SIZE_FIRST, NDB };

static const struct kind {
	const char *extensions;
	char separator;
	uint8_t min, max; /* fields; max 0: any number */
	uint8_t key;      /* the field that names it */
	enum check check;
} kinds[] = {
	{" fp hdb hdu hsb hsu imp sfp ", ':', 3, 5, 2, HASH_FIRST},
	{" mdb mdu msb msu ", ':', 3, 5, 2, SIZE_FIRST},
	{" ndb ndu sdb ", ':', 4, 6, 0, NDB},
	{" ldb ldu ", ';', 4, 0, 0, NOTHING},
	{" cdb ", ':', 10, 0, 0, NOTHING},
	{" crb ", ';', 11, 13, 0, NOTHING},
	{" db ", '=', 2, 2, 0, NOTHING},
	{" ftm ", ':', 6, 8, 3, NOTHING},
	{" idb ", ':', 4, 4, 0, NOTHING},
	{" ign ", ':', 3, 0, 2, NOTHING},
	{" ign2 ", ':', 1, 2, 0, NOTHING},
	{" gdb pdb wdb ", ':', 2, 0, WHOLE, NOTHING},
	{" pwdb ", ';', 4, 0, 0, NOTHING},
	{" rmd zmd ", ':', 8, 0, 0, NOTHING},
	{" cfg ", ':', 2, 0, WHOLE, NOTHING},
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < YG_COUNT(kinds); i++) {
		if (feed_ext(name, kinds[i].extensions))
			return &kinds[i];
	}
	return NULL;
}

static int check_hash(struct yg_bytes line, uint64_t number, bool size_first, struct yg_err *err)
{
	struct yg_bytes hash, size, level;
	uint64_t value = 0;
	(void)feed_field(line, ':', size_first ? 1 : 0, &hash);
	(void)feed_field(line, ':', size_first ? 0 : 1, &size);
	if (!feed_all_hex(hash) || (hash.len != 32 && hash.len != 40 && hash.len != 64))
		return feed_fail(err, number, "want a hash of 32, 40 or 64 hex digits, have '%.*s'",
			(int)(hash.len < 70 ? hash.len : 70), (const char *)hash.ptr);
	if (!feed_is(size, "*") && !feed_number(size, INT64_MAX, &value))
		return feed_fail(err, number, "want a size or '*', have '%.*s'",
			(int)(size.len < 30 ? size.len : 30), (const char *)size.ptr);
	if (feed_is(size, "*") &&
		(!feed_field(line, ':', 3, &level) || !feed_number(level, 10000, &value) ||
			value < SIZE_FLEVEL))
		return feed_fail(err, number,
			"a hash without a size wants a functionality level of %d or more behind its name",
			SIZE_FLEVEL);
	return 0;
}

static int check_ndb(struct yg_bytes line, uint64_t number, struct yg_err *err)
{
	struct yg_bytes target;
	uint64_t value = 0;
	(void)feed_field(line, ':', 1, &target);
	return feed_number(target, 1000, &value)
		? 0
		: feed_fail(err, number, "want a target type, a number, have '%.*s'",
			  (int)(target.len < 30 ? target.len : 30), (const char *)target.ptr);
}

static int check(const struct kind *kind, struct yg_bytes line, uint64_t number, struct yg_err *err)
{
	if (feed_check_line(line, number, err) < 0)
		return -1;
	size_t have = feed_fields(line, kind->separator);
	if (have < kind->min)
		return feed_fail(err, number, "want %u or more fields, have %zu", kind->min, have);
	if (kind->max && have > kind->max)
		return feed_fail(err, number, "want %u or fewer fields, have %zu", kind->max, have);
	switch (kind->check) {
	case HASH_FIRST:
		return check_hash(line, number, false, err);
	case SIZE_FIRST:
		return check_hash(line, number, true, err);
	case NDB:
		return check_ndb(line, number, err);
	case NOTHING:
	default:
		return 0;
	}
}

static int check_key(struct yg_bytes key, uint64_t number, struct yg_err *err)
{
	if (key.len == 0)
		return feed_fail(err, number, "want a name, have none");
	return 0;
}

static int read_clamav(const struct feed_reader *reader, struct yg_bytes text, struct yg_err *err)
{
	const struct kind *kind = kind_of(reader->name);
	struct feed_text lines = {text, 0};
	struct yg_bytes line;
	if (!kind)
		return yg_fail(err, YG_EFORMAT, "no database of ClamAV that is made of lines");
	while (feed_text_next(&lines, &line)) {
		/* Remarks; libclamav passes over them in all its formats. */
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		struct yg_bytes key = line;
		if (kind->key != WHOLE && !feed_field(line, kind->separator, kind->key, &key))
			key = line;
		if (reader->strict &&
			(check(kind, line, lines.line, err) < 0 ||
				check_key(key, lines.line, err) < 0))
			return -1;
		if (reader->take(reader->ctx, &(struct feed_entry){key, line, lines.line, NULL},
			    err) < 0)
			return -1;
	}
	return 0;
}

/* In the order of the feed: its makers add at the end, and take out here and there. */
const struct feed_format feed_clamav = {"clamav", FEED_LINES, NULL, read_clamav};
