/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>

#include "core/str.h"
#include "net/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct yg_bytes page = {data, size};
	char title[YG_PAGE_TITLE];
	bool found = yg_page_title(page, title);
	assert(strnlen(title, sizeof(title)) < sizeof(title));
	assert(found == (title[0] != 0));
	assert(yg_str_utf8_ok(title, strlen(title)));
	for (const char *at = title; *at; at++)
		assert((unsigned char)*at >= ' ' && *at != 0x7f);
	(void)yg_page_is(page);
	(void)yg_page_says_maintenance(page);
	(void)yg_page_says_busy(page);
	return 0;
}
