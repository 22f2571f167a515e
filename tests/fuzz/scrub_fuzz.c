/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/scrub.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define TOLD "Zitrone9"

/* Whatever the text is, it does not grow, and what was told to be a secret is not in it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)yg_scrub_add(TOLD);
	char *text YG_AUTO(mem) = malloc(size + 1);
	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	size_t len = yg_scrub(text, size, NULL);
	assert(len <= size);
	assert(!memmem(text, len, TOLD, strlen(TOLD)));
	return 0;
}
