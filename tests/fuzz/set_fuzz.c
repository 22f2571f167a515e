/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <assert.h>
#include <string.h>

#include "content/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A set that was written and read again has the same digest, with forms and without. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	struct yg_set *one YG_AUTO(yg_set) = yg_set_parse((struct yg_bytes){data, size}, &err);
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_SET_SIZE_MAX);
	if (!one || yg_set_format(one, size % 2, &text, &err) < 0)
		return 0;
	struct yg_set *two YG_AUTO(yg_set) = yg_set_parse(yg_buf_bytes(&text), &err);
	assert(two && strcmp(one->digest, two->digest) == 0);
	return 0;
}
