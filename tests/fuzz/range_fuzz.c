/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "net/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: the file's size; the rest is the header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	char *text YG_AUTO(mem) = strndup((const char *)data + 1, size - 1);
	uint64_t first = 0, last = 0;
	if (!text)
		return 0;
	if (yg_range_parse(text, data[0], &first, &last) == YG_RANGE_PART)
		assert(first <= last && last < data[0]);
	if (yg_range_etag_match(text, "\"abc\""))
		assert(strcmp(text, "*") == 0 || strstr(text, "\"abc\""));
	return 0;
}
