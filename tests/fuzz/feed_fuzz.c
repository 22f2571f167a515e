/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>

#include "publisher/feed/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *format, *name;
} kinds[] = {
	{"clamav", "a.ndb"},
	{"clamav", "a.hdb"},
	{"clamav", "a.msb"},
	{"clamav", "a.ldb"},
	{"clamav", "a.cdb"},
	{"yara", "a.yar"},
	{"hash", "a.csv"},
	{"list", "hosts"},
	{"suricata", "a.rules"},
	{"ossec", "a.xml"},
	{"lines", "a.conf"},
};

static int take(void *ctx, const struct feed_entry *entry, struct yg_err *err)
{
	uint64_t *seen = ctx;
	(void)err;
	for (size_t i = 0; i < entry->key.len; i++)
		*seen += entry->key.ptr[i];
	for (size_t i = 0; i < entry->text.len; i++)
		*seen += entry->text.ptr[i];
	assert(entry->line > 0 && *seen < UINT64_MAX);
	return 0;
}

/* The first byte says how the rest is read. What is read strictly is read in any way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	uint64_t seen = 0;
	if (size < 1)
		return 0;
	size_t kind = (data[0] & 0x0f) % YG_COUNT(kinds);
	const struct feed_format *format = feed_named(kinds[kind].format);
	struct feed_reader reader = {.name = kinds[kind].name,
		.strict = true,
		.addresses = data[0] & 0x20,
		.take = take,
		.ctx = &seen};
	int strict = format->read(&reader, (struct yg_bytes){data + 1, size - 1}, &err);
	assert(strict == 0 || err.msg[0]);
	reader.strict = false;
	err = (struct yg_err){0};
	int lax = format->read(&reader, (struct yg_bytes){data + 1, size - 1}, &err);
	assert(strict < 0 || lax == 0);
	return 0;
}
